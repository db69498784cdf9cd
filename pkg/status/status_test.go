package status_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"patchbay.io/pkg/status"
)

func TestPredicates(t *testing.T) {
	for _, tt := range []struct {
		status                      status.Status
		ended, moves, waits, billed bool
		reason                      string
	}{
		{status.PendingApproval, false, true, true, false, "the seller has to act; nothing is built"},
		{status.Provisioning, false, true, false, false, "being built is not yet billed"},
		{status.Provisioned, false, false, false, true, "at rest, and paid for"},
		{status.Rejected, true, false, false, false, "a refused request holds no tag"},
		{status.Failed, true, false, false, false, "a circuit that was not built holds no tag"},
		{status.PendingDelete, false, true, true, true, "bills until the seller agrees"},
		{status.Deprovisioning, false, true, false, false, "the tag is freed only at the end"},
		{status.Deprovisioned, true, false, false, false, "gone"},
		{status.Unknown, false, true, false, false, "nobody knows, so look often and free nothing"},
	} {
		s := tt.status
		if s.Ended() != tt.ended || s.InMotion() != tt.moves || s.Waits() != tt.waits || s.Bills() != tt.billed {
			t.Errorf("%s: Ended, InMotion, Waits, Bills = %v %v %v %v, want %v %v %v %v: %s", s,
				s.Ended(), s.InMotion(), s.Waits(), s.Bills(), tt.ended, tt.moves, tt.waits, tt.billed, tt.reason)
		}
		if got, want := s.Known(), s != status.Unknown; got != want {
			t.Errorf("%s.Known() = %v, want %v", s, got, want)
		}
		if !slices.Contains(status.Statuses(), s) {
			t.Errorf("Statuses() lacks %s", s)
		}
	}
	if got, want := len(status.Statuses()), 9; got != want {
		t.Errorf("%d statuses, want %d: each needs a row above", got, want)
	}
	if status.Status("ACTIVE").Known() || status.Provider("").Known() || status.ProviderUnknown.Known() {
		t.Error("a word that is not ours is said to be known")
	}
}

func TestReady(t *testing.T) {
	for _, tt := range []struct {
		state        status.State
		ready, moves bool
		reason       string
	}{
		{state(status.Provisioned, status.Available), true, false, "both sides are done"},
		{state(status.Provisioned, status.ProviderProvisioned), true, false, "cloud providers say PROVISIONED"},
		{state(status.Provisioned, status.ProviderProvisioning), false, true, "the cloud is still at work"},
		{state(status.Provisioned, status.ProviderUnknown), false, true, "nobody knows"},
		{state(status.PendingDelete, status.Available), false, true, "waits for its end"},
		{status.Gone(), false, false, "nothing more will come"},
	} {
		if got := tt.state.Ready(); got != tt.ready {
			t.Errorf("%v.Ready() = %v, want %v: %s", tt.state, got, tt.ready, tt.reason)
		}
		if got := tt.state.InMotion(); got != tt.moves {
			t.Errorf("%v.InMotion() = %v, want %v: %s", tt.state, got, tt.moves, tt.reason)
		}
	}
}

// Tokens stand in subjects, where a dot or a wildcard would change the meaning.
func TestTokensAreDistinctAndFitSubjects(t *testing.T) {
	check := func(tokens []string) {
		t.Helper()
		seen := map[string]bool{}
		for _, tok := range tokens {
			if strings.Trim(tok, "abcdefghijklmnopqrstuvwxyz_") != "" || tok == "" {
				t.Errorf("token %q has other characters than a-z and _", tok)
			}
			if seen[tok] {
				t.Errorf("token %q stands for two words", tok)
			}
			seen[tok] = true
		}
	}
	var statuses, providers []string
	for _, s := range status.Statuses() {
		statuses = append(statuses, s.Token())
	}
	for _, p := range status.Providers() {
		providers = append(providers, p.Token())
	}
	check(statuses)
	check(providers)
}

func ExampleStatus_Token() {
	s := status.Normalise(status.ECX, status.Native{Status: "PROVISIONED", ProviderStatus: "AVAILABLE"})
	fmt.Printf("patchbay.connection.%s.%s.*\n", s.Status.Token(), s.Provider.Token())
	// Output: patchbay.connection.provisioned.available.*
}

// state returns an observation without native words.
func state(s status.Status, p status.Provider) status.State {
	return status.State{Status: s, Provider: p}
}
