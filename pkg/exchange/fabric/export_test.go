package fabric

import (
	"patchbay.io/pkg/exchange"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// ReadConnection reads a circuit, for fuzzing.
func ReadConnection(b []byte) (*patchbayv1.Connection, error) {
	r, err := readRow(b)
	if err != nil {
		return nil, err
	}
	return r.connection(), nil
}

// ReadComplaints reads an error body and returns its codes, for fuzzing.
func ReadComplaints(b []byte) ([]string, bool) {
	list, own := complaints(b)
	var all []string
	for _, c := range list {
		all = append(all, string(c.Code))
		_, _, _ = c.words(), c.taken(), c.property() // must not panic
	}
	return all, own
}

// ReadAll reads what else the exchange answers, for fuzzing. It must not panic.
func ReadAll(b []byte) {
	_, _ = readToken(b)
	_, _ = readProfile(b)
	_, _ = readEvent(b, "x")
	_ = readPrices(b)
	var r linkRow
	if decode(b, &r) == nil {
		_ = r.tags()
	}
}

// FieldOf is the intent's name of a field of the exchange's.
func FieldOf(in *patchbayv1.CreateIntent, which, property string) string {
	return asLegs(exchange.Placement{Intent: in, Legs: []string{which}}.LegsToPlace())[0].fieldOf(property)
}
