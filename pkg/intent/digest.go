package intent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/gowebpki/jcs"
	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Digest names the content of m: SHA-256 in hex over its RFC 8785 JSON. Digest redacted
// messages only (see [Redact]): the digest of a short secret gives it away.
func Digest(m proto.Message) string {
	data, err := event.Marshal(m)
	if err == nil {
		data, err = jcs.Transform(data)
	}
	if err != nil {
		panic(fmt.Sprintf("digest of %T: %v", m, err)) // only a message with text that is no UTF-8
	}
	return RawDigest(data)
}

// RawDigest names bytes as they are, for what cannot be read as a message: SHA-256 in hex.
func RawDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ID returns the id of an intent that comes without its CloudEvent: a digest of what it
// says, however it is laid out. Secrets do not count, for the id is public; so an intent
// that differs from an earlier one in a secret alone needs an id of its own.
func ID(data []byte) string {
	m, violations := Decode(event.Intent, KindOf(data), data)
	if len(violations) > 0 {
		return RawDigest(data)
	}
	return Digest(replaced(m, func(string) string { return mask }))
}

// Differences returns the fields in which two messages differ, sorted by path. Either may
// be nil, which has no fields. Give it redacted messages: secrets are compared, and shown
// as ***.
func Differences(was, now proto.Message) []*patchbayv1.Difference {
	a, b := flat(was), flat(now)
	all := maps.Clone(a)
	maps.Copy(all, b)
	var out []*patchbayv1.Difference
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if a[path] != b[path] {
			out = append(out, &patchbayv1.Difference{Field: path, Was: masked(path, a[path]), Now: masked(path, b[path])})
		}
	}
	return out
}

func masked(path, text string) string {
	if text != "" && isSecretPath(path) {
		return mask
	}
	return text
}

// flat returns the JSON text of every value of m that is no object or list, by its path.
func flat(m proto.Message) map[string]string {
	leaves := map[string]string{}
	if m == nil || !m.ProtoReflect().IsValid() {
		return leaves
	}
	data, err := event.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("compare %T: %v", m, err)) // only a message with text that is no UTF-8
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	root, err := tree(d, 0)
	if err != nil {
		panic(fmt.Sprintf("compare %T: %v", m, err)) // only a schema deeper than any of ours
	}
	gather(leaves, "", root)
	return leaves
}

func gather(leaves map[string]string, path string, n *node) {
	switch n.kind {
	case '{':
		if len(n.members) == 0 && path != "" {
			leaves[path] = "{}"
		}
		for _, x := range n.members {
			gather(leaves, join(path, x.name), x.value)
		}
	case '[':
		for i, item := range n.items {
			gather(leaves, fmt.Sprintf("%s[%d]", path, i), item)
		}
	case '"':
		leaves[path] = quoted(n.str)
	default:
		leaves[path] = n.text
	}
}
