package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/rs/zerolog"
)

const (
	// keySize is the size of a deployment key in bytes.
	keySize = 32
	// tokenSize is how many bytes of the HMAC name a service token in a subject.
	tokenSize = 16
	// printSize is how many bytes a fingerprint has, and printOf what it is the HMAC of.
	printSize = 8
	printOf   = "patchbay deployment key"
	// keyFileLimit is more than any key file needs: 64 hex digits and a line end.
	keyFileLimit = 1 << 10
	// unsafeMode are the permissions a key file must not have: anything for strangers,
	// and writing for the group. The group may read, as it must where an orchestrator
	// mounts secrets for a user that is not root.
	unsafeMode fs.FileMode = 0o027
)

// Key is a deployment key. All instances of a deployment share one, and it is never
// changed: the HMACs that facts carry would no longer match. It prints as ***.
//
// The zero Key is no key. Using it is a mistake of the program, and panics: an HMAC
// under a key that anybody knows would give short secrets away.
type Key struct {
	// A function, of which fmt prints an address at most where it cannot call Format.
	sum func(Secret) []byte
}

// NewKey returns the key with the given bytes, which should be random.
func NewKey(raw [keySize]byte) Key {
	return Key{sum: func(s Secret) []byte {
		mac := hmac.New(sha256.New, raw[:])
		_, _ = mac.Write([]byte(s)) // a hash never fails
		return mac.Sum(nil)
	}}
}

// LoadKey reads a key from a file that holds 32 bytes, or 64 hex digits and perhaps a
// line end. It refuses a file that strangers can read or that others can write.
func LoadKey(path string) (Key, error) {
	key, err := loadKey(path)
	if err != nil {
		return Key{}, fmt.Errorf("deployment key %s: %w", path, err)
	}
	return key, nil
}

func loadKey(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, cause(err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return Key{}, cause(err)
	}
	mode := info.Mode()
	if !mode.IsRegular() {
		return Key{}, errors.New("not a file")
	}
	// Windows has no such permissions; Go reports 0666 for every file there.
	if mode.Perm()&unsafeMode != 0 && runtime.GOOS != "windows" {
		return Key{}, fmt.Errorf("mode %04o lets others at it; run chmod 600 on it", mode.Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, keyFileLimit))
	if err != nil {
		return Key{}, cause(err)
	}
	return parseKey(data)
}

// parseKey reads the content of a key file. Its errors show none of it.
func parseKey(data []byte) (Key, error) {
	if len(data) == keySize {
		return NewKey([keySize]byte(data)), nil
	}
	text := strings.TrimSpace(string(data))
	if len(text) != hex.EncodedLen(keySize) {
		return Key{}, fmt.Errorf("holds %d bytes; want %d bytes, or %d hex digits",
			len(data), keySize, hex.EncodedLen(keySize))
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return Key{}, fmt.Errorf("holds %d characters that are not all hex digits", len(text))
	}
	return NewKey([keySize]byte(raw)), nil
}

// MakeKey returns the key at path, and makes a random one first if there is none. The
// file appears whole or not at all, with mode 0600, and is on disk when MakeKey returns;
// of several callers at once one makes it and all get the same. The directory must
// exist, on a file system that has hard links.
func MakeKey(path string) (Key, error) {
	key, err := loadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(path); err == nil {
			key, err = loadKey(path)
		}
	}
	if err != nil {
		return Key{}, fmt.Errorf("deployment key %s: %w", path, err)
	}
	return key, nil
}

// makeKey writes a random key to path unless something is there.
func makeKey(path string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return cause(err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // a leftover is harmless
	var raw [keySize]byte
	_, _ = rand.Read(raw[:]) // never fails, as its documentation says
	_, err = f.Write(raw[:])
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return cause(err)
	}
	// A link, unlike a rename, fails if the name is taken: somebody else was first.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return cause(err)
	}
	return syncDir(dir)
}

// syncDir makes a new name in dir last.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return cause(err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// cause strips the path from err where the caller adds it.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// HMAC names s in public: "hmac:" and the HMAC-SHA256 of s in lower-case hex.
func (k Key) HMAC(s Secret) string { return "hmac:" + hex.EncodeToString(k.sum(s)) }

// Token names the service token s in a subject: the first 16 bytes of its HMAC in
// lower-case hex.
func (k Key) Token(s Secret) string { return hex.EncodeToString(k.sum(s)[:tokenSize]) }

// Fingerprint tells this key from another, in 16 hex digits. Nobody can guess the key from
// it, nor any HMAC that the key makes of something else.
func (k Key) Fingerprint() string { return hex.EncodeToString(k.sum(printOf)[:printSize]) }

// String returns ***.
func (Key) String() string { return mask }

// GoString returns ***, for %#v.
func (Key) GoString() string { return mask }

// Format writes *** under every verb.
func (Key) Format(f fmt.State, _ rune) { hide(f) }

// MarshalText returns ***; JSON and YAML use it.
func (Key) MarshalText() ([]byte, error) { return []byte(mask), nil }

// MarshalBinary returns ***, for gob.
func (Key) MarshalBinary() ([]byte, error) { return []byte(mask), nil }

// MarshalZerologObject logs ***.
func (Key) MarshalZerologObject(e *zerolog.Event) { e.Str("secret", mask) }

// LogValue logs ***.
func (Key) LogValue() slog.Value { return slog.StringValue(mask) }
