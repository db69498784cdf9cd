package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"patchbay.io/pkg/account"
	"patchbay.io/tools/bench/peers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every contender orders one circuit for each intent. When answers are lost the product
// still does, and the others do not: that is what the page says of them.
func TestContenders(t *testing.T) {
	temporal, err := filepath.Abs("../../.bin/temporal")
	if err != nil {
		t.Fatal(err)
	}
	const intents = 10
	for i, c := range contenders(temporal) {
		t.Run(c.name, func(t *testing.T) {
			if _, err := os.Stat(temporal); c.name == "Temporal" && err != nil {
				t.Skip("make bench builds its dev server, and it was not built yet")
			}
			for _, losing := range []int{0, losing} {
				got, err := c.try(t.Context(), trial{api: account.PacketFabric, intents: intents, losing: losing})
				if errors.Is(err, peers.ErrAbsent) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				if got.intents != intents || got.failed != 0 || got.rate <= 0 || got.calls < 3 || got.writes < 3 {
					t.Errorf("losing %d: got %+v, want %d intents, none given up, and at least three calls and writes for each", losing, got, intents)
				}
				if doubled := got.circuits > intents; got.circuits < intents || doubled != (losing > 0 && i > 0) {
					t.Errorf("losing %d: %d circuits for %d intents", losing, got.circuits, intents)
				}
			}
		})
	}
}
