package fabric

import (
	"encoding/json"
	"errors"
	"slices"
)

// decode reads JSON into v. A field of an odd form is left out and the rest is read; only
// the whole must be what v is.
func decode(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	var odd *json.UnmarshalTypeError
	if errors.As(err, &odd) && odd.Field != "" {
		return nil
	}
	return err
}

// many is a list, also where the API writes its only element without the brackets.
type many[T any] []T

// UnmarshalJSON never fails. Elements of an odd form are left out.
func (m *many[T]) UnmarshalJSON(b []byte) error {
	*m = nil
	list := []json.RawMessage{slices.Clone(b)}
	if len(b) > 0 && b[0] == '[' {
		list = nil
		_ = json.Unmarshal(b, &list) // the decoder has seen that it is an array
	}
	for _, raw := range list {
		var v T
		if string(raw) != "null" && decode(raw, &v) == nil {
			*m = append(*m, v)
		}
	}
	return nil
}

// shown tells whether a field is there, and nothing of its value: it may be a secret.
type shown bool

// UnmarshalJSON never fails.
func (s *shown) UnmarshalJSON(b []byte) error {
	*s = len(b) > 0 && string(b) != "null"
	return nil
}
