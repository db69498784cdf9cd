// Package secret holds what must not be seen: the secrets of accounts, authorization
// keys and service tokens, and the deployment key under which such a secret may be
// named in public.
//
// A [Secret] prints as *** under the verbs of fmt, in JSON, YAML, XML and text, in gob,
// and in zerolog and slog. [Secret.Reveal] is the one call that shows it, so a search
// for Reveal finds every line that sends a secret somewhere.
//
// Facts, keys and logs name a secret by its HMAC under the deployment [Key]: whoever
// has the key can tell that two secrets are the same, and nobody can guess back. The
// key is 32 bytes in a file that only its owner may write and strangers cannot read.
//
// Three places are out of reach, so keep secrets out of them: unexported struct fields,
// whose methods fmt may not call (let a function hold the secret there, as Key does);
// the keys of maps, which encoding/json writes as they are; and the verbs %p and %w,
// which fmt handles itself and go vet refuses for a text. The package never logs, and
// its errors name files, never what is in them.
package secret

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/rs/zerolog"
)

// mask is what anybody sees of a secret, whatever its length, the empty one included.
const mask = "***"

// Secret is a text that prints as ***. It can be decoded from JSON, YAML and flags like
// any string; it is never encoded.
type Secret string

// Reveal returns the secret itself. Call it on the line that sends it, nowhere else.
func (s Secret) Reveal() string { return string(s) }

// String returns ***.
func (Secret) String() string { return mask }

// GoString returns ***, for %#v.
func (Secret) GoString() string { return mask }

// Format writes *** whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { hide(f) }

// MarshalText returns ***.
func (Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// MarshalJSON returns "***".
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// MarshalBinary returns ***, for gob.
func (Secret) MarshalBinary() ([]byte, error) { return []byte(mask), nil }

// MarshalZerologObject logs ***.
func (Secret) MarshalZerologObject(e *zerolog.Event) { e.Str("secret", mask) }

// LogValue logs ***.
func (Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// hide writes the mask. An error of the writer is fmt's to report.
func hide(w io.Writer) { _, _ = io.WriteString(w, mask) }
