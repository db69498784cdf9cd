package account

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"patchbay.io/pkg/secret"
)

// secretLimit is more than any secret in a file needs.
const secretLimit = 64 << 10

// Credentials say where the secrets of an account are. Of the Equinix APIs it is ClientID
// and ClientSecret; of PacketFabric either APIKey, or Login and Password.
type Credentials struct {
	ClientID     Ref
	ClientSecret Ref
	Login        Ref
	Password     Ref
	APIKey       Ref
}

// Secrets are the secrets themselves, as they were when they were read.
type Secrets struct {
	ClientID     secret.Secret
	ClientSecret secret.Secret
	Login        secret.Secret
	Password     secret.Secret
	APIKey       secret.Secret
}

// Ref says where a secret is. The zero Ref is none.
type Ref struct {
	scheme scheme
	name   string               // of a variable or a file
	value  func() secret.Secret // of a literal; a function, so that fmt cannot show it
}

type scheme string

const (
	inEnv   scheme = "env"
	inFile  scheme = "file"
	inPlace scheme = "value"
)

// envName is what a variable may be called.
var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// errRef shows nothing of what was written, which may be a secret.
var errRef = errors.New("must be env:NAME or file:/absolute/path, never the secret itself")

var errUnset = errors.New("is empty or not set")

// ParseRef reads "env:NAME" or "file:/absolute/path".
func ParseRef(text string) (Ref, error) {
	before, name, _ := strings.Cut(text, ":")
	switch s := scheme(before); {
	case s == inEnv && envName.MatchString(name):
		return Ref{scheme: s, name: name}, nil
	case s == inFile && filepath.IsAbs(name):
		return Ref{scheme: s, name: name}, nil
	}
	return Ref{}, errRef
}

// Literal is a reference to s itself. Files cannot say it; it is for the accounts of the
// sandbox, whose secrets are none, and for tests.
func Literal(s secret.Secret) Ref {
	return Ref{scheme: inPlace, value: func() secret.Secret { return s }}
}

// String returns the reference as in a file; a literal is "value:***".
func (r Ref) String() string {
	if r.IsZero() {
		return ""
	}
	name := r.name
	if r.scheme == inPlace {
		name = "***"
	}
	return string(r.scheme) + ":" + name
}

// MarshalText returns String.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// IsZero tells whether r refers to nothing.
func (r Ref) IsZero() bool { return r.scheme == "" }

// Resolve reads the secrets of the account, variables with getenv, such as [os.Getenv].
// It may be called whenever they are needed; secrets are meant to be rotated. Errors
// name each reference that leads nowhere, all at once.
func (a Account) Resolve(getenv func(string) string) (Secrets, error) {
	s, errs := a.read(getenv)
	if err := errors.Join(errs...); err != nil {
		return Secrets{}, err
	}
	return s, nil
}

// Unset reports the environment variables that the account refers to and that are empty or
// not set, all at once. A file may come to be; a variable is the same as long as a process
// runs.
func (a Account) Unset(getenv func(string) string) error {
	_, errs := a.read(getenv)
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return !errors.Is(err, errUnset) })...)
}

// read reads what can be read, and says for each of the rest why it cannot.
func (a Account) read(getenv func(string) string) (s Secrets, errs []error) {
	for _, x := range []struct {
		key string
		ref Ref
		to  *secret.Secret
	}{
		{"clientId", a.Credentials.ClientID, &s.ClientID},
		{"clientSecret", a.Credentials.ClientSecret, &s.ClientSecret},
		{"login", a.Credentials.Login, &s.Login},
		{"password", a.Credentials.Password, &s.Password},
		{"apiKey", a.Credentials.APIKey, &s.APIKey},
	} {
		value, err := x.ref.Resolve(getenv)
		if err != nil {
			errs = append(errs, fmt.Errorf("account %s: %s: %w", a.Name, x.key, err))
		}
		*x.to = value
	}
	return s, errs
}

// Resolve reads the secret itself, a variable with getenv, such as [os.Getenv]; empty if r
// refers to nothing.
func (r Ref) Resolve(getenv func(string) string) (secret.Secret, error) {
	switch r.scheme {
	case inEnv:
		if s := getenv(r.name); s != "" {
			return secret.Secret(s), nil
		}
		return "", fmt.Errorf("environment variable %s %w", r.name, errUnset)
	case inFile:
		return readSecret(r.name)
	case inPlace:
		return r.value(), nil
	}
	return "", nil // none is asked for
}

// readSecret reads a secret from a file, without the line end that editors add.
func readSecret(path string) (secret.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, secretLimit+1))
	if err != nil {
		return "", err
	}
	if len(data) > secretLimit {
		return "", &fs.PathError{Op: "read", Path: path, Err: errors.New("too long for a secret")}
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", &fs.PathError{Op: "read", Path: path, Err: errors.New("empty")}
	}
	return secret.Secret(text), nil
}
