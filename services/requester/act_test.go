package requester_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// standing has a completed order of a pair, and returns it.
func standing(w *world) *patchbayv1.Order {
	w.t.Helper()
	id := w.submit("create", "1", w.pair("both", 100))
	w.ready(w.until(id, "placed on both legs", bothPlaced))
	return w.ended(id)
}

// show announces what the exchange says of a circuit, as the watcher would.
func (w *world) show(exchangeID string) {
	w.t.Helper()
	for _, c := range w.fake.Circuits() {
		if c.GetExchangeId() == exchangeID {
			w.announce(exchangeID, func(t *patchbayv1.Transition) {
				t.Connection.Status, t.Connection.ProviderStatus = c.GetStatus(), c.GetProviderStatus()
				t.Connection.RejectComment, t.Connection.Name = c.GetRejectComment(), c.GetName()
			})
		}
	}
}

// turn moves a circuit at the exchange, and announces it.
func (w *world) turn(exchangeID string, s status.Status, p status.Provider) {
	w.t.Helper()
	w.fake.Set(exchangeID, func(c *patchbayv1.Connection) { c.Status, c.ProviderStatus = string(s), string(p) })
	w.observe(exchangeID, s, p)
}

func ids(o *patchbayv1.Order) (all []string) {
	for _, l := range o.GetLegs() {
		all = append(all, l.GetExchangeId())
	}
	return all
}

func TestDelete(t *testing.T) {
	moving := answers(exchange.Outcome{Class: exchange.Moving, Answer: "400 Bad Request", Code: "EQ-3142042",
		Message: "Connection is in transient state"})
	for _, tt := range []struct {
		name, reason string
		fault        func(string, int) exchangetest.Fault
		calls        int
		answer       string
	}{
		{name: "both legs", reason: "an order is all its legs", calls: 2},
		{name: "lost answer", reason: "found PENDING_DELETE by looking", fault: on("Remove", exchangetest.LostAnswer()), calls: 2},
		{name: "lost request", reason: "still PROVISIONED after D + Q, so asked again",
			fault: on("Remove", exchangetest.Lost()), calls: 3},
		{name: "moving", reason: "a circuit in a transient state is asked again later",
			fault: on("Remove", moving, moving), calls: 4,
			answer: `another attempt after: 400 Bad Request (the exchange says "EQ-3142042 Connection is in transient state")`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, &exchangetest.Fake{Fault: tt.fault}, func(w *world) {
				created := standing(w)
				for _, id := range ids(created) {
					w.turn(id, status.Provisioned, status.Available)
				}
				id := w.submit("delete", "2", `{"target":{"source":"test","id":"1"}}`)
				if tt.answer != "" {
					w.until(id, "a wait for "+tt.answer, func(o *patchbayv1.Order) bool { return o.GetWait().GetWhat() == tt.answer })
				}
				w.until(id, "both legs placed", bothPlaced)
				if w.fake.Calls("Remove") != tt.calls {
					t.Errorf("%d calls of Remove, want %d: %s", w.fake.Calls("Remove"), tt.calls, tt.reason)
				}
				for _, c := range ids(created) {
					w.show(c)
					w.turn(c, status.Deprovisioning, status.Available)
					w.turn(c, status.Deprovisioned, status.NotAvailable)
				}
				if o := w.ended(id); o.GetOutcome() != order.Completed {
					t.Errorf("outcome %q, %v; want completed: %s", o.GetOutcome(), o.GetFailure(), tt.reason)
				}
				// What is gone already is deleted at once.
				again := w.submit("delete", "3", `{"target":{"orderId":"`+created.GetId()+`"}}`)
				if o := w.ended(again); o.GetOutcome() != order.Completed || w.fake.Calls("Remove") != tt.calls {
					t.Errorf("second delete: %q after %d calls; want completed after %d", o.GetOutcome(), w.fake.Calls("Remove"), tt.calls)
				}
			})
		})
	}
}

// A seller who does not agree to a deletion ends the delete order, with his comment.
func TestDeleteRejected(t *testing.T) {
	for _, seen := range []bool{true, false} {
		t.Run(fmt.Sprintf("seen=%v", seen), func(t *testing.T) {
			bubble(t, new(exchangetest.Fake), func(w *world) {
				created := standing(w)
				circuit := ids(created)[1]
				w.turn(circuit, status.Provisioned, status.Available)
				id := w.submit("delete", "2", `{"target":{"connectionId":"`+event.ConnectionID("equinix", circuit)+`"}}`)
				w.fact(id, order.Placed)
				if seen {
					w.show(circuit)
				}
				w.fake.Reject(w.t.Context(), circuit, "delete", "pay first")
				if seen {
					w.show(circuit)
				}
				o := w.ended(id)
				f := o.GetFailure()
				if o.GetOutcome() != order.Failed || f.GetReason() != "rejected" || f.GetExchangeMessage() != "pay first" {
					t.Errorf("outcome %q, %v; want rejected with the seller's comment", o.GetOutcome(), f)
				}
			})
		})
	}
}

// A delete of an order that has not ended cancels it: nothing more is placed, what was
// placed is deleted, then the target ends, then the delete.
func TestCancel(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		fault        func(string, int) exchangetest.Fault
		circuits     int
		wait         string // the target's fact at which the delete comes
	}{
		{name: "while busy", reason: "nothing was created", wait: order.Accepted,
			fault: onPlace(answers(exchange.Outcome{Class: exchange.Busy, After: time.Hour, Answer: "429"}))},
		{name: "while uncertain, lost answer", reason: "it is found and deleted", circuits: 2, wait: order.Uncertain,
			fault: onPlace(exchangetest.LostAnswer())},
		{name: "while uncertain, lost request", reason: "nothing is found, nothing more is placed", wait: order.Uncertain,
			fault: onPlace(exchangetest.Lost())},
		{name: "while pending", reason: "the request is withdrawn", circuits: 2, wait: order.Placed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, &exchangetest.Fake{Fault: tt.fault}, func(w *world) {
				create := w.submit("create", "1", pair("both", 100))
				w.until(create, tt.wait, func(o *patchbayv1.Order) bool {
					return o.GetFact() == tt.wait && o.GetLegs()[0].GetAttempt() != nil
				})
				id := w.submit("delete", "2", `{"target":{"source":"test","id":"1"}}`)
				if tt.circuits > 0 {
					o := w.until(id, "both legs placed", bothPlaced)
					for _, c := range ids(o) {
						w.show(c)
						w.turn(c, status.Deprovisioned, status.NotAvailable)
					}
				}
				o := w.ended(id)
				target := w.ended(create)
				if o.GetOutcome() != order.Completed || target.GetOutcome() != order.Failed ||
					target.GetFailure().GetReason() != "cancelled" || target.GetCancelledBy() != id {
					t.Errorf("delete %q, target %q %v by %q; want completed, failed, cancelled by %s: %s", o.GetOutcome(),
						target.GetOutcome(), target.GetFailure(), target.GetCancelledBy(), id, tt.reason)
				}
				time.Sleep(6 * time.Hour)
				if n := len(w.fake.Circuits()); n != tt.circuits || w.fake.Calls("Place") != 1 {
					t.Errorf("%d circuits by %d calls, want %d by 1: %s", n, w.fake.Calls("Place"), tt.circuits, tt.reason)
				}
			})
		})
	}
}

// A cancel that the seller does not agree to leaves a circuit that stands, and says so.
func TestCancelRejected(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		create := w.submit("create", "1", single("one", 100))
		circuit := ids(w.fact(create, order.Placed))[0]
		w.turn(circuit, status.Provisioning, status.NotAvailable)
		id := w.submit("delete", "2", `{"target":{"source":"test","id":"1"}}`)
		w.fact(id, order.Placed)
		w.show(circuit)
		w.turn(circuit, status.Provisioned, status.Available)
		if o := w.ended(id); o.GetFailure().GetReason() != "rejected" {
			t.Errorf("delete %q %v, want rejected", o.GetOutcome(), o.GetFailure())
		}
		if o := w.ended(create); o.GetOutcome() != order.Completed {
			t.Errorf("target %q %v, want completed: its circuit stands", o.GetOutcome(), o.GetFailure())
		}
	})
}

func TestChange(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		set          string
		api          string
		fault        func(string, int) exchangetest.Fault
		calls        int
		want         string
	}{
		{name: "rename", reason: "a name is the primary's alone", set: `{"name":"other"}`, calls: 1, want: order.Completed},
		{name: "speed", reason: "a speed is both legs'", set: `{"bandwidthMbps":100}`, calls: 2, want: order.Completed},
		{name: "lost answer", reason: "the value stands there", set: `{"name":"other"}`,
			fault: on("Alter", exchangetest.LostAnswer()), calls: 1, want: order.Completed},
		{name: "lost request", reason: "asked again after D + Q", set: `{"name":"other"}`,
			fault: on("Alter", exchangetest.Lost()), calls: 2, want: order.Completed},
		{name: "refused", reason: "the exchange will not", set: `{"name":"other"}`, calls: 1, want: order.Failed,
			fault: on("Alter", answers(exchange.Outcome{Class: exchange.Refused, Code: "IC-9"}))},
		{name: "taken", reason: "somebody else has the tag", set: `{"tag":{"vlan":7}}`, api: "packetfabric", calls: 1,
			want: order.Failed, fault: on("Alter", answers(exchange.Outcome{Class: exchange.Taken, Code: "InvalidVlanParam"}))},
		{name: "tag", reason: "it shows", set: `{"tag":{"vlan":7}}`, api: "packetfabric", calls: 1, want: order.Completed},
		{name: "invisible", reason: "of e-mail addresses nothing shows but that they were taken", calls: 2,
			api: "fabric", set: `{"notifications":["b@example.com"]}`, want: order.Completed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, &exchangetest.Fake{API: tt.api, Fault: tt.fault}, func(w *world) {
				standing(w)
				o := w.ended(w.submit("change", "2", `{"target":{"source":"test","id":"1"},"set":`+tt.set+`}`))
				if o.GetOutcome() != tt.want || w.fake.Calls("Alter") != tt.calls {
					t.Errorf("outcome %q %v after %d calls, want %q after %d: %s",
						o.GetOutcome(), o.GetFailure(), w.fake.Calls("Alter"), tt.want, tt.calls, tt.reason)
				}
			})
		})
	}
}

// A change that the seller rejects fails with his comment.
func TestChangeRejected(t *testing.T) {
	fake := &exchangetest.Fake{Fault: on("Alter", answers(exchange.Outcome{Class: exchange.Done}))}
	bubble(t, fake, func(w *world) {
		created := standing(w)
		conn := event.ConnectionID("equinix", ids(created)[0])
		id := w.submit("change", "2", `{"target":{"connectionId":"`+conn+`"},"set":{"bandwidthMbps":100}}`)
		w.fact(id, order.Placed)
		_, err := w.j.Append(w.t.Context(), noRecord, event.Fact{
			Entity: event.Entity{Noun: event.Change, ID: conn}, Name: "rejected", By: "status-watcher",
			Data: &patchbayv1.Change{ConnectionId: conn, Status: "REJECTED",
				Connection: &patchbayv1.Connection{Id: conn, RejectComment: "too fast"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if o := w.ended(id); o.GetFailure().GetReason() != "rejected" || o.GetFailure().GetExchangeMessage() != "too fast" {
			t.Errorf("failure %v, want rejected with the comment", o.GetFailure())
		}
	})
}

// A change that was taken and left no trace, as one that a seller rejects before anybody
// looks, does not wait for ever.
func TestChangeVanishes(t *testing.T) {
	fake := &exchangetest.Fake{Fault: on("Alter", answers(exchange.Outcome{Class: exchange.Done}))}
	bubble(t, fake, func(w *world) {
		created := standing(w)
		conn := event.ConnectionID("equinix", ids(created)[0])
		id := w.submit("change", "2", `{"target":{"connectionId":"`+conn+`"},"set":{"bandwidthMbps":100}}`)
		placed := w.fact(id, order.Placed)
		o := w.ended(id)
		if o.GetFailure().GetReason() != "rejected" {
			t.Errorf("outcome %q, %v; want failed, rejected", o.GetOutcome(), o.GetFailure())
		}
		if d := o.GetAt().AsTime().Sub(placed.GetAt().AsTime()); d < account.DefaultQuiet {
			t.Errorf("given up after %v, within the exchange's quiet time", d)
		}
	})
}

// A circuit that was first seen by its seller alone can be deleted once its buyer is known,
// though no transition says so.
func TestDeleteOfSightedBuyer(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		x := w.fake.Add(&patchbayv1.Connection{Status: "PROVISIONED", ProviderStatus: "AVAILABLE"})
		w.announce(x, func(tr *patchbayv1.Transition) {
			tr.Connection.BuyerAccount, tr.Connection.SellerAccount = "", "cloud"
			tr.Connection.Status, tr.Connection.ProviderStatus = "PROVISIONED", "AVAILABLE"
		})
		conn := event.ConnectionID("equinix", x)
		_, err := w.j.Append(w.t.Context(), noRecord, event.Fact{
			Entity: event.Entity{Noun: event.Sighting, ID: conn}, Name: "buyer", By: "status-watcher",
			Data: &patchbayv1.Sighting{ConnectionId: conn, Role: "buyer", Account: "acme",
				Connection: &patchbayv1.Connection{Id: conn, BuyerAccount: "acme", SellerAccount: "cloud"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.fact(w.submit("delete", "2", `{"target":{"connectionId":"`+conn+`"}}`), order.Placed)
	})
}

// A delete does not wait until creates that hang have ended.
func TestDeleteOvertakesCreates(t *testing.T) {
	hang := func(call string, n int) exchangetest.Fault {
		if call == "Place" && n > 1 {
			time.Sleep(50 * time.Second)
		}
		return exchangetest.Fault{}
	}
	bubble(t, &exchangetest.Fake{Fault: hang}, func(w *world) {
		standing(w)
		for i := range 100 {
			w.submit("create", fmt.Sprint("hangs-", i), single(fmt.Sprint("hangs-", i), 1000+i))
		}
		time.Sleep(5 * time.Second)
		began := time.Now()
		w.until(w.submit("delete", "2", `{"target":{"source":"test","id":"1"}}`), "both legs placed", bothPlaced)
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("the delete was placed after %v, want at once", d)
		}
	})
}

// Whoever arms a timer upon what he read before the order went on does not leave it at that.
func TestLateTimer(t *testing.T) {
	busy := answers(exchange.Outcome{Class: exchange.Busy, After: 10 * time.Hour, Answer: "429"})
	bubble(t, &exchangetest.Fake{Fault: onPlace(busy)}, func(w *world) {
		w.stop()
		var done atomic.Bool // a lock would stop the bubble's clock
		id := event.OrderID("test", "1")
		w.run(func(_ *journal.Journal, point string) {
			last, err := w.j.Last(context.Background(), orderEntity(id))
			o := new(patchbayv1.Order)
			if err == nil && strings.HasPrefix(point, "arm.before") && last.Into(o) == nil && o.GetWait().GetUntil() != nil && done.CompareAndSwap(false, true) {
				w.sooner(last, o)
			}
		})
		w.submit("create", "1", single("one", 100))
		began := time.Now()
		w.fact(id, order.Placed)
		if d := time.Since(began); d > 10*time.Minute {
			t.Errorf("placed after %v; want as soon as it was due", d)
		}
	})
}

// sooner lets an order wait no longer than a minute, and waits until that has been handled.
func (w *world) sooner(last journal.Record, o *patchbayv1.Order) {
	o.Wait.Until = timestamppb.New(time.Now().Add(time.Minute))
	_, err := w.j.Append(context.Background(), last, event.Fact{
		Entity: orderEntity(o.GetId()), Name: o.GetFact(), Data: o, By: "test", Order: o.GetId(),
	})
	if err != nil {
		w.t.Error(err)
	}
	time.Sleep(5 * time.Second)
}

// A delete names what is known here, or is invalid.
func TestUnknownTarget(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		const unknown = "00000000-0000-4000-8000-000000000000"
		for i, target := range []string{
			`{"connectionId":"` + unknown + `"}`, `{"orderId":"` + unknown + `"}`, `{"source":"test","id":"never"}`,
		} {
			o := w.ended(w.submit("delete", fmt.Sprint("d", i), `{"target":`+target+`}`))
			if o.GetOutcome() != order.Invalid || len(o.GetViolations()) != 1 || !strings.Contains(o.GetViolations()[0].GetHint(), "another id") {
				t.Errorf("target %s: %q %v; want invalid with one violation that says what to do", target, o.GetOutcome(), o.GetViolations())
			}
		}
	})
}

// An inferred state is a conclusion of ours; nothing is decided upon it.
func TestInferredIsIgnored(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		id := w.submit("create", "1", single("one", 100))
		o := w.fact(id, order.Placed)
		w.announce(ids(o)[0], func(tr *patchbayv1.Transition) {
			tr.Connection.Status, tr.Connection.ProviderStatus, tr.Inferred = "PROVISIONED", "AVAILABLE", true
		})
		time.Sleep(time.Hour)
		last, err := w.j.Last(w.t.Context(), event.Entity{Noun: event.Order, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		now := new(patchbayv1.Order)
		if err := last.Into(now); err != nil || !proto.Equal(now, o) {
			t.Errorf("the order went on to %q upon an inferred state", now.GetFact())
		}
		w.ready(o)
		w.ended(id)
	})
}

// A change whose circuit is deleted while it waits ends for that reason, however the exchange
// takes it back. What the seller says no to all the same was rejected.
func TestChangeOfDeleted(t *testing.T) {
	takenBack := func(comment string) func(w *world, circuit string) {
		return func(w *world, circuit string) {
			conn := event.ConnectionID("equinix", circuit)
			_, err := w.j.Append(w.t.Context(), noRecord, event.Fact{
				Entity: event.Entity{Noun: event.Change, ID: conn}, Name: "rejected", By: "status-watcher",
				Data: &patchbayv1.Change{ConnectionId: conn, Status: "REJECTED",
					Connection: &patchbayv1.Connection{Id: conn, RejectComment: comment}},
			})
			if err != nil {
				w.t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name, reason string
		meanwhile    func(w *world, circuit string)
		want         string
	}{
		{"shown as rejected", "Fabric ends the change request with the circuit", takenBack(""), "cancelled"},
		{"rejected with a comment", "a seller said so", takenBack("too fast"), "rejected"},
		{"gone", "nothing else shows", func(w *world, circuit string) {
			w.turn(circuit, status.Deprovisioning, status.Available)
			w.turn(circuit, status.Deprovisioned, status.NotAvailable)
		}, "cancelled"},
		{"not shown", "found by looking, while the deletion waits", func(*world, string) {}, "cancelled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := &exchangetest.Fake{Fault: on("Alter", answers(exchange.Outcome{Class: exchange.Done}))}
			bubble(t, fake, func(w *world) {
				circuit := ids(standing(w))[0]
				target := `{"target":{"connectionId":"` + event.ConnectionID("equinix", circuit) + `"}`
				change := w.submit("change", "2", target+`,"set":{"bandwidthMbps":100}}`)
				w.fact(change, order.Placed)
				end := w.submit("delete", "3", target+`}`)
				w.fact(end, order.Placed)
				tt.meanwhile(w, circuit)
				f := w.ended(change).GetFailure()
				if f.GetReason() != tt.want || strings.Contains(f.GetMessage(), end) != (tt.want == "cancelled") {
					t.Errorf("failure %v, want %s, naming order %s if it is for that: %s", f, tt.want, end, tt.reason)
				}
			})
		})
	}
}

// A deletion that the seller does not agree to is no reason for what follows.
func TestChangeAfterDeleteRejected(t *testing.T) {
	fake := &exchangetest.Fake{Fault: on("Alter", answers(exchange.Outcome{Class: exchange.Done}))}
	bubble(t, fake, func(w *world) {
		circuit := ids(standing(w))[0]
		target := `{"target":{"connectionId":"` + event.ConnectionID("equinix", circuit) + `"}`
		end := w.submit("delete", "2", target+`}`)
		w.fact(end, order.Placed)
		w.show(circuit)
		w.fake.Reject(t.Context(), circuit, "delete", "pay first")
		w.show(circuit)
		w.ended(end)
		o := w.ended(w.submit("change", "3", target+`,"set":{"bandwidthMbps":100}}`))
		if o.GetFailure().GetReason() != "rejected" {
			t.Errorf("failure %v, want rejected", o.GetFailure())
		}
	})
}
