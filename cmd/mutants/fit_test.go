package main

import (
	"testing"

	"go.uber.org/goleak"

	"patchbay.io/cmd/plant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every bug finds its place in the sources of today.
func TestBugsFit(t *testing.T) {
	checkout, err := plant.Checkout(t.Context())
	if err != nil {
		t.Skipf("the sources are not in a checkout: %v", err)
	}
	for _, m := range mutations() {
		if _, err := plant.Overlay(checkout, t.TempDir(), m.changes); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}
