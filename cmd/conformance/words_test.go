package conformance_test

import (
	"testing"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/services/sandbox"
)

// TestWordsNobodyDocumented has each exchange use words that no document has: they become
// UNKNOWN beside the exchange's own, and nothing else is lost or fails.
func TestWordsNobodyDocumented(t *testing.T) {
	equinix := []oddWord{
		{"a status", "PENDING_MOON", "UNKNOWN/AVAILABLE", "PENDING_MOON,AVAILABLE"},
		{"a providerStatus", "/HALF", "PROVISIONED/UNKNOWN", "PROVISIONED,HALF"},
		{"both", "PENDING_MOON/HALF", "UNKNOWN/UNKNOWN", "PENDING_MOON,HALF"},
		{"an empty status", `""`, "UNKNOWN/AVAILABLE", ",AVAILABLE"},
		{"an empty providerStatus", `/""`, "PROVISIONED/NOT_AVAILABLE", "PROVISIONED,"},
		{"a cloud's words", "PENDING_BGP_PEERING/PENDING_BGP", "PROVISIONING/PENDING_BGP", "PENDING_BGP_PEERING,PENDING_BGP"},
		{"a space", "PENDING_DELETE/PENDING DELETE", "PENDING_DELETE/PENDING_DELETE", "PENDING_DELETE,PENDING DELETE"},
		{"other letters", "Provisioned/available", "PROVISIONED/AVAILABLE", "Provisioned,available"},
	}
	words := map[account.API][]oddWord{
		account.ECX: equinix,
		account.Fabric: append(equinix[:len(equinix):len(equinix)],
			oddWord{"a state", "//MOON", "PROVISIONED/AVAILABLE", "PROVISIONED,AVAILABLE"}),
		account.PacketFabric: {
			{"a state", "Orbiting", "UNKNOWN/NOT_AVAILABLE", "Orbiting,"},
			{"an empty state", `""`, "UNKNOWN/NOT_AVAILABLE", ","},
			{"a word of an interface", "/smoking", "PROVISIONED/AVAILABLE", "provisioned,"},
		},
	}
	for _, c := range allTerms() {
		for _, odd := range words[c.api] {
			t.Run(string(c.api)+" "+odd.name, func(t *testing.T) {
				inWorldOf(t, c.api, func(t *testing.T, w *world) { w.meets(t, c, odd) })
			})
		}
	}
}

// oddWord is a word that an exchange shows of a circuit in service, and what is made of it.
type oddWord struct {
	name, shown string
	ours        string // status/providerStatus
	native      string // their own words for these
}

// meets has both sides go on with a circuit that shows odd words.
func (w *world) meets(t *testing.T, c terms, odd oddWord) {
	t.Helper()
	ctx, in := t.Context(), c.intent()
	id := c.stands(t, w)
	w.fault(t, sandbox.Fault{Kind: sandbox.ShowStatus, Value: odd.shown, Times: -1})
	is := func(how string, shown *patchbayv1.Connection) {
		t.Helper()
		ours, native := shown.GetStatus()+"/"+shown.GetProviderStatus(), shown.GetNative().GetStatus()+","+shown.GetNative().GetProviderStatus()
		if ours != odd.ours || native != odd.native {
			t.Errorf("%s: %s in their words %q, want %s in their words %q", how, ours, native, odd.ours, odd.native)
		}
		if got := w.buyer.KeyOf(shown); got != w.buyer.Keys(in)[exchange.Primary] {
			t.Errorf("%s: the look-up key %q is another one", how, got)
		}
		if shown.GetBandwidthMbps() != 50 || shown.GetZSide().GetPortId() == "" {
			t.Errorf("%s: the word hides more than itself: %v", how, shown)
		}
	}
	is("Get", w.get(t, w.buyer, id))
	// Lists of what moves are asked for by the words that are known.
	w.seen(t, w.buyer, exchange.Buyer, id, "moving")
	w.seen(t, w.seller, exchange.Seller, id, "moving")
	found, err := w.buyer.Find(ctx, exchange.Placement{Intent: in, Legs: legs[:1]})
	if err != nil || len(found.Circuits[exchange.Primary]) != 1 {
		t.Fatalf("Find = %v, %v; want the circuit", found.Circuits, err)
	}
	is("Find", found.Circuits[exchange.Primary][0])
	want(t, "Remove", w.buyer.Remove(ctx, id), exchange.Done)
	if c.api != account.PacketFabric {
		want(t, "Consent", w.seller.Accept(ctx, exchange.Acceptance{ExchangeID: id, Kind: exchange.Delete}), exchange.Done)
	}
	w.sandbox.ClearFaults()
	time.Sleep(5 * time.Second)
	if got := w.get(t, w.buyer, id).GetStatus(); got != "DEPROVISIONED" {
		t.Errorf("the circuit is %s in the end, want DEPROVISIONED", got)
	}
}
