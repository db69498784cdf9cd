package status_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"patchbay.io/pkg/status"
)

// Each documented word of each API, by the table of words.
func TestWords(t *testing.T) {
	equinix := map[string]status.Status{
		"PENDING_APPROVAL":                status.PendingApproval,
		"PENDING_AUTO_APPROVAL":           status.Provisioning,
		"PROVISIONING":                    status.Provisioning,
		"NOT_PROVISIONED":                 status.Provisioning,
		"PENDING_BGP_PEERING":             status.Provisioning,
		"PENDING_PROVIDER_VLAN":           status.Provisioning,
		"PENDING_INTERFACE_CONFIGURATION": status.Provisioning,
		"DRAFT":                           status.Provisioning,
		"PROVISIONED":                     status.Provisioned,
		"REJECTED":                        status.Rejected,
		"REJECTED_ACK":                    status.Rejected,
		"AUTO_APPROVAL_FAILED":            status.Failed,
		"PENDING_PROVIDER_VLAN_ERROR":     status.Failed,
		"PENDING_DELETE":                  status.PendingDelete,
		"DEPROVISIONING":                  status.Deprovisioning,
		"NOT_DEPROVISIONED":               status.Deprovisioning,
		"DEPROVISIONED":                   status.Deprovisioned,
		"DELETED":                         status.Deprovisioned,
		"CANCELLED":                       status.Deprovisioned,
	}
	requests := map[string]status.Status{
		"pending":     status.PendingApproval,
		"rejected":    status.Rejected,
		"withdrawn":   status.Deprovisioned,
		"gone":        status.Deprovisioned,
		"provisioned": status.Provisioning,
	}
	circuits := map[string]status.Status{
		"Pending":      status.Provisioning,
		"Provisioning": status.Provisioning,
		"requested":    status.Provisioning,
		"requesting":   status.Provisioning,
		"Active":       status.Provisioned,
		"deleting":     status.Deprovisioning,
		"Deleted":      status.Deprovisioned,
	}
	check := func(api status.API, n status.Native, want status.Status) {
		t.Helper()
		if got := status.Normalise(api, n); got.Status != want || got.Native != n {
			t.Errorf("%s %+v = %v (native %+v), want %s and the native words unchanged", api, n, got, got.Native, want)
		}
	}
	for word, want := range equinix {
		check(status.ECX, status.Native{Status: word}, want)
		check(status.Fabric, status.Native{Status: word}, want)
	}
	for word, want := range requests {
		check(status.PacketFabric, status.Native{Status: word}, want)
	}
	for word, want := range circuits {
		check(status.PacketFabric, status.Native{State: word}, want)
		check(status.PacketFabric, status.Native{Status: "provisioned", State: word}, want)
	}

	for _, api := range status.APIs() {
		words, states := status.Words(api)
		for _, w := range slices.Concat(words, states) {
			if !w.Status.Known() {
				t.Errorf("%s: %s means %s", api, w.Native, w.Status)
			}
		}
	}
	if words, _ := status.Words(status.Fabric); len(words) != len(equinix) {
		t.Errorf("%d words of Equinix, %d tested", len(words), len(equinix))
	}
}

func TestNormalise(t *testing.T) {
	for _, tt := range []struct {
		name   string
		api    status.API
		native status.Native
		want   status.State
		reason string
	}{
		{"sample of the guide", status.ECX, status.Native{Status: "PROVISIONING", ProviderStatus: "NOT_AVAILABLE"},
			state(status.Provisioning, status.NotAvailable), ""},
		{"empty", status.ECX, status.Native{},
			state(status.Unknown, status.NotAvailable), "an absent status is unknown, an absent providerStatus is not"},
		{"undocumented", status.ECX, status.Native{Status: "ON_FIRE", ProviderStatus: "ON_FIRE"},
			state(status.Unknown, status.ProviderUnknown), "reported, never an error"},
		{"n/a", status.ECX, status.Native{Status: "PROVISIONED", ProviderStatus: "N/A"},
			state(status.Provisioned, status.NotAvailable), ""},
		{"space", status.Fabric, status.Native{Status: "PENDING_DELETE", ProviderStatus: "PENDING DELETE"},
			state(status.PendingDelete, status.ProviderPendingDelete), "Fabric documents it with a space"},
		{"letter case", status.Fabric, status.Native{Status: "Provisioned", ProviderStatus: "available"},
			state(status.Provisioned, status.Available), "spelling is no meaning"},
		{"passing through", status.Fabric, status.Native{Status: "NOT_PROVISIONED", State: "PROVISIONING", Change: "REQUESTED"},
			state(status.Provisioning, status.NotAvailable), "seen as transient"},
		{"failed state", status.Fabric, status.Native{Status: "NOT_PROVISIONED", State: "FAILED", ProviderStatus: "ERROR"},
			state(status.Failed, status.ProviderError), ""},
		{"failed change", status.Fabric, status.Native{Status: "NOT_PROVISIONED", Change: "FAILED"},
			state(status.Failed, status.NotAvailable), ""},
		{"failed update", status.Fabric, status.Native{Status: "PROVISIONED", Change: "FAILED", ProviderStatus: "AVAILABLE"},
			state(status.Provisioned, status.Available), "a change that failed leaves the circuit in service"},
		{"failed deletion", status.Fabric, status.Native{Status: "NOT_DEPROVISIONED", Change: "FAILED"},
			state(status.Deprovisioning, status.NotAvailable), "it is still to be deleted"},
		{"no such thing on ECX", status.ECX, status.Native{Status: "NOT_PROVISIONED", State: "FAILED"},
			state(status.Provisioning, status.NotAvailable), "ECX has no state beside its status"},
		{"pending with a circuit", status.PacketFabric, status.Native{Status: "pending", State: "Pending"},
			state(status.PendingApproval, status.NotAvailable), "somebody still has to accept it"},
		{"accepted", status.PacketFabric, status.Native{Status: "provisioned"},
			state(status.Provisioning, status.NotAvailable), "the circuit is not listed yet"},
		{"circuit of a request", status.PacketFabric, status.Native{Status: "provisioned", State: "Active"},
			state(status.Provisioned, status.Available), ""},
		{"deleting", status.PacketFabric, status.Native{State: "Deleting", ProviderStatus: "FAILED"},
			state(status.Deprovisioning, status.Available), "PacketFabric has no providerStatus"},
		{"new request word", status.PacketFabric, status.Native{Status: "expired", State: "Active"},
			state(status.Unknown, status.NotAvailable), "nobody documented it, whatever the circuit says"},
		{"no words", status.PacketFabric, status.Native{},
			state(status.Unknown, status.NotAvailable), ""},
		{"foreign API", "carrier-pigeon", status.Native{Status: "PROVISIONED", ProviderStatus: "AVAILABLE"},
			state(status.Unknown, status.ProviderUnknown), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := status.Normalise(tt.api, tt.native)
			if got.Bare() != tt.want {
				t.Errorf("Normalise(%s, %+v) = %v, want %v: %s", tt.api, tt.native, got, tt.want, tt.reason)
			}
			if got.Native != tt.native {
				t.Errorf("native words = %+v, want %+v unchanged", got.Native, tt.native)
			}
		})
	}
}

// Every provider status of ours is a word of an exchange and means itself.
func TestProviderWords(t *testing.T) {
	for _, p := range status.Providers() {
		got := status.Normalise(status.Fabric, status.Native{ProviderStatus: string(p)}).Provider
		if got != p {
			t.Errorf("providerStatus %q = %q, want the same", p, got)
		}
	}
}

func TestNormaliseStaysInTheVocabulary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		api := rapid.SampledFrom(append(status.APIs(), "", "other")).Draw(t, "api")
		n := status.Native{
			Status:         word().Draw(t, "status"),
			ProviderStatus: word().Draw(t, "providerStatus"),
			State:          word().Draw(t, "state"),
			Change:         word().Draw(t, "change"),
		}
		if msg := outside(api, n); msg != "" {
			t.Fatal(msg)
		}
	})
}

func FuzzNormalise(f *testing.F) {
	f.Add("ecx", "PROVISIONED", "AVAILABLE", "", "")
	f.Add("fabric", "NOT_PROVISIONED", "PENDING DELETE", "FAILED", "SUBMITTED_FOR_APPROVAL")
	f.Add("packetfabric", "pending", "", "Pending", "")
	f.Add("", "\xff", " N/A ", "ı", "\x00")
	f.Fuzz(func(t *testing.T, api, st, prov, own, change string) {
		n := status.Native{Status: st, ProviderStatus: prov, State: own, Change: change}
		if msg := outside(status.API(api), n); msg != "" {
			t.Error(msg)
		}
	})
}

// outside tells what is wrong with the translation of n; "" if nothing is.
func outside(api status.API, n status.Native) string {
	s := status.Normalise(api, n)
	switch {
	case !slices.Contains(status.Statuses(), s.Status), !slices.Contains(status.Providers(), s.Provider):
		return fmt.Sprintf("%s %+v = %v, which is no word of ours", api, n, s)
	case s.Native != n:
		return fmt.Sprintf("%s %+v: native words became %+v", api, n, s.Native)
	case s != status.Normalise(api, n):
		return fmt.Sprintf("%s %+v: not the same twice", api, n)
	}
	return ""
}

// word draws a word an exchange might say, documented or not.
func word() *rapid.Generator[string] {
	var known []string
	for _, api := range status.APIs() {
		words, states := status.Words(api)
		for _, w := range slices.Concat(words, states) {
			known = append(known, w.Native)
		}
	}
	for _, p := range status.Providers() {
		known = append(known, string(p))
	}
	known = append(known, "", "N/A", "FAILED", "provisioned")
	return rapid.OneOf(rapid.SampledFrom(known), rapid.String())
}

func ExampleNormalise() {
	for _, word := range []string{"PENDING_AUTO_APPROVAL", "PENDING_BGP_PEERING", "DELETED", "HIBERNATING"} {
		fmt.Println(status.Normalise(status.ECX, status.Native{Status: word}))
	}
	// Output:
	// PROVISIONING/NOT_AVAILABLE
	// PROVISIONING/NOT_AVAILABLE
	// DEPROVISIONED/NOT_AVAILABLE
	// UNKNOWN/NOT_AVAILABLE
}
