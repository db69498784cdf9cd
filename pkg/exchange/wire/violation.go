package wire

import (
	"encoding/json"
	"slices"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Violate notes in found that a field breaks a rule, once. The value is written as JSON,
// nil and "" as none; a secret has to be given as [Masked].
func Violate(found []*patchbayv1.Violation, v *patchbayv1.Violation, value any) []*patchbayv1.Violation {
	if slices.ContainsFunc(found, func(o *patchbayv1.Violation) bool {
		return o.GetField() == v.GetField() && o.GetRule() == v.GetRule()
	}) {
		return found
	}
	v.Value = jsonText(value)
	return append(found, v)
}

func jsonText(v any) string {
	switch v {
	case nil, "":
		return ""
	case Masked:
		return Masked
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
