package intent

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"patchbay.io/pkg/secret"
)

// secrets are the fields that nobody may see, wherever they stand, by their JSON names.
var secrets = map[string]bool{
	"serviceToken":     true,
	"authorizationKey": true,
}

// isSecretPath reports whether the field at path is a secret.
func isSecretPath(path string) bool {
	return secrets[path[strings.LastIndexByte(path, '.')+1:]]
}

// Redact returns a copy of m with the HMAC of each secret in its place. Facts are made of
// redacted messages only. Redacting twice gives HMACs of HMACs.
func Redact(m proto.Message, key secret.Key) proto.Message {
	return replaced(m, func(s string) string { return key.HMAC(secret.Secret(s)) })
}

// replaced returns a copy of m with another text for each secret.
func replaced(m proto.Message, by func(string) string) proto.Message {
	out := proto.Clone(m)
	replace(out.ProtoReflect(), by)
	return out
}

func replace(m protoreflect.Message, by func(string) string) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			// The schema has none.
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			for i := range v.List().Len() {
				replace(v.List().Get(i).Message(), by)
			}
		case f.Kind() == protoreflect.MessageKind:
			replace(v.Message(), by)
		case secrets[f.JSONName()]:
			m.Set(f, protoreflect.ValueOfString(by(v.String())))
		}
		return true
	})
}
