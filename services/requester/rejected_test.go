package requester_test

import (
	"strings"
	"testing"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// refuseHere writes down that an account of ours rejects what is asked of a circuit.
func (w *world) refuseHere(exchangeID, kind string) {
	w.t.Helper()
	id := event.ConnectionID(w.exchange(), exchangeID)
	_, err := w.j.Append(w.t.Context(), noRecord, event.Fact{
		Entity: event.Entity{Noun: event.Approval, ID: id}, Name: "rejected", By: "approver",
		Data: &patchbayv1.Approval{ConnectionId: id, Fact: "rejected", Kind: kind, Account: "cloud",
			By: "policy banned", Reason: "pay the old bills"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// Where an account of ours rejected the request, its order fails with the reason even if the
// exchange has no place for it.
func TestRejectedHere(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		kind         string // of what was rejected here
		shown        string
		want         bool
	}{
		{name: "no place for a comment", reason: "PacketFabric shows none", kind: "create", want: true},
		{name: "a comment", reason: "what the exchange shows is what the buyer is told", kind: "create", shown: "pay first"},
		{name: "another request", reason: "a rejected change does not reject the circuit", kind: "change"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, &exchangetest.Fake{API: "packetfabric"}, func(w *world) {
				id := w.submit("create", "1", requests("one", 100, false))
				circuit := w.fact(id, order.Placed).GetLegs()[0].GetExchangeId()
				w.refuseHere(circuit, tt.kind)
				w.announce(circuit, func(c *patchbayv1.Transition) {
					c.Connection.Status, c.Connection.RejectComment = "REJECTED", tt.shown
				})
				f := w.ended(id).GetFailure()
				if f.GetReason() != "rejected" || f.GetExchangeMessage() != tt.shown {
					t.Errorf("failure %v, want rejected with the comment %q", f, tt.shown)
				}
				told := strings.Contains(f.GetMessage(), "account cloud rejected it, by policy banned: pay the old bills")
				if told != tt.want {
					t.Errorf("the failure says %q; own words %v, want %v: %s", f.GetMessage(), told, tt.want, tt.reason)
				}
			})
		})
	}
}

// The same of a deletion: the rejection of an earlier one is not that of this one.
func TestDeletionRejectedHere(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		created := standing(w)
		for i, circuit := range ids(created) {
			old := i == 1
			if old {
				w.refuseHere(circuit, "delete")
				w.show(circuit) // it was PENDING_DELETE, and stands again
			}
			conn := event.ConnectionID("equinix", circuit)
			id := w.submit("delete", "of "+circuit, `{"target":{"connectionId":"`+conn+`"}}`)
			w.fact(id, order.Placed)
			w.show(circuit)
			if !old {
				w.refuseHere(circuit, "delete")
			}
			w.fake.Reject(t.Context(), circuit, "delete", "")
			w.show(circuit)
			f := w.ended(id).GetFailure()
			if told := strings.Contains(f.GetMessage(), "pay the old bills"); f.GetReason() != "rejected" || told == old {
				t.Errorf("failure %v; want rejected, with our own words: %v", f, !old)
			}
		}
	})
}
