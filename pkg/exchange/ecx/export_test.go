package ecx

import (
	"slices"

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
		_, _, _ = c.words(), c.taken(), c.leg() // must not panic
	}
	return all, own
}

// MovingWords are the statuses that List filters by.
func MovingWords() []string { return slices.Clone(movingWords) }
