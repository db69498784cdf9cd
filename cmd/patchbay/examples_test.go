package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every example that creates a circuit at Fabric or PacketFabric comes to its end, all at once,
// and a check of it before says what would be sent.
func TestExamplesOfTheExchanges(t *testing.T) {
	var files []string
	for _, pattern := range []string{"fabric/*.intent.json", "packetfabric/*.intent.json"} {
		found, err := filepath.Glob("../../examples/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	files = slices.DeleteFunc(files, func(f string) bool {
		return strings.HasSuffix(f, "-change.intent.json") || strings.HasSuffix(f, "-delete.intent.json")
	})
	if len(files) < 20 {
		t.Fatalf("%d examples, want 20", len(files))
	}
	r := startUp(t)
	out, code := patchbay(t, r, append([]string{"intent", "check"}, files...)...)
	if n := strings.Count(out, "Would be sent: POST"); code != exitDone || n < len(files) {
		t.Errorf("check: exit code %d and %d bodies, want 0 and one for each of %d files:\n%s", code, n, len(files), out)
	}
	if !strings.Contains(out, "Price of the primary: ") || strings.Contains(out, "20d32a80-0d61-4333-bc03-707b591ae2f5") {
		t.Errorf("check shows no price, or a token:\n%s", out)
	}
	out, code = patchbay(t, r, append([]string{"intent", "submit", "--wait", "--timeout", "90s", "--json"}, files...)...)
	var all []struct {
		File, State string
		Connections []struct{ Status, ProviderStatus string }
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("submit: exit code %d, %s: %v", code, out, err)
	}
	for _, o := range all {
		if o.State != "completed" || len(o.Connections) == 0 {
			t.Errorf("%s: %s with %d circuits, want completed", o.File, o.State, len(o.Connections))
		}
		for _, c := range o.Connections {
			if c.Status != "PROVISIONED" || c.ProviderStatus != "AVAILABLE" {
				t.Errorf("%s: a circuit is %s/%s, want PROVISIONED/AVAILABLE", o.File, c.Status, c.ProviderStatus)
			}
		}
	}
	if code != exitDone {
		t.Errorf("submit: exit code %d, want %d", code, exitDone)
	}
}
