package requester_test

import (
	"strings"
	"testing"
	"time"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// alike announces a circuit with all that the fake shows of it.
func (w *world) alike(exchangeID string) {
	w.t.Helper()
	for _, c := range w.fake.Circuits() {
		if c.GetExchangeId() == exchangeID {
			w.announce(exchangeID, func(t *patchbayv1.Transition) {
				t.Connection.ASide, t.Connection.Name = c.GetASide(), c.GetName()
			})
		}
	}
}

// A tag that a circuit changes to is held before it is asked for; the one it had is free
// once it has changed, and both are when it has ended.
func TestRetag(t *testing.T) {
	tagged := func(name, vlan string) string {
		return strings.Replace(requests(name, 100, false), `"vlan":100`, `"vlan":`+vlan, 1)
	}
	change := func(vlan string) string {
		return `{"target":{"source":"test","id":"1"},"set":{"tag":{"vlan":` + vlan + `}}}`
	}
	fake := &exchangetest.Fake{API: "packetfabric"}
	bubble(t, fake, func(w *world) {
		one := w.submit("create", "1", tagged("one", "100"))
		circuit := w.fact(one, order.Placed).GetLegs()[0].GetExchangeId()
		w.observe(circuit, status.Provisioned, status.Available)
		w.ended(one)
		other := w.submit("create", "2", tagged("two", "200"))
		w.fact(other, order.Placed)

		if o := w.ended(w.submit("change", "3", change("200"))); o.GetFailure().GetReason() != "held" || o.GetFailure().GetHolder() != other {
			t.Errorf("change to the tag of another order: %s, %v; want held by %s", o.GetOutcome(), o.GetFailure(), other)
		}
		for n, vlan := range []string{"300", "400"} {
			if o := w.ended(w.submit("change", "to "+vlan, change(vlan))); o.GetOutcome() != order.Completed {
				t.Fatalf("change %d: %s, %v; want completed", n, o.GetOutcome(), o.GetFailure())
			}
			w.alike(circuit)
			time.Sleep(2 * time.Hour) // those that have ended are nudged once more
		}
		if o := w.ended(w.submit("create", "4", tagged("four", "400"))); o.GetFailure().GetHolder() != one {
			t.Errorf("create on the changed tag: %s, %v; want held by %s", o.GetOutcome(), o.GetFailure(), one)
		}
		for _, vlan := range []string{"100", "300"} {
			w.fact(w.submit("create", "on "+vlan, tagged("on"+vlan, vlan)), order.Placed)
		}
		w.turn(circuit, status.Deprovisioned, status.NotAvailable)
		w.announce(circuit, func(t *patchbayv1.Transition) { t.Connection.OrderId = one })
		time.Sleep(time.Minute)
		w.fact(w.submit("create", "5", tagged("five", "400")), order.Placed)
	})
}

// A tag that a change did not get is free again, also if the circuit never showed a tag.
func TestRetagRefused(t *testing.T) {
	hundred := int32(100)
	for name, side := range map[string]*patchbayv1.Side{
		"circuit": {PortId: "port-1", Tag: &patchbayv1.Tag{Vlan: &hundred}},
		"request": {},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &exchangetest.Fake{API: "packetfabric", Fault: on("Alter", answers(exchange.Outcome{Class: exchange.Refused, Code: "no"}))}
			bubble(t, fake, func(w *world) {
				one := w.submit("create", "1", requests("one", 100, false))
				circuit := w.fact(one, order.Placed).GetLegs()[0].GetExchangeId()
				w.observe(circuit, status.Provisioned, status.Available)
				w.announce(circuit, func(t *patchbayv1.Transition) { t.Connection.ASide = side })
				w.ended(one)
				o := w.ended(w.submit("change", "2", `{"target":{"source":"test","id":"1"},"set":{"tag":{"vlan":300}}}`))
				if o.GetOutcome() != order.Failed {
					t.Fatalf("%s, want failed", o.GetOutcome())
				}
				time.Sleep(time.Minute)
				w.fact(w.submit("create", "3", strings.Replace(requests("three", 100, false), `"vlan":100`, `"vlan":300`, 1)), order.Placed)
			})
		})
	}
}
