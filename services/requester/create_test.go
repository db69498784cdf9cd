package requester_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// onPlace returns faults for the first calls of Place.
func onPlace(faults ...exchangetest.Fault) func(string, int) exchangetest.Fault {
	return on("Place", faults...)
}

func on(call string, faults ...exchangetest.Fault) func(string, int) exchangetest.Fault {
	return func(c string, n int) exchangetest.Fault {
		if c != call || n > len(faults) {
			return exchangetest.Fault{}
		}
		return faults[n-1]
	}
}

func answers(out exchange.Outcome) exchangetest.Fault { return exchangetest.Fault{Outcome: out} }

// Whatever becomes of the first calls, each leg gets one circuit, and the order says so.
func TestCreate(t *testing.T) {
	unknown := exchange.Outcome{Class: exchange.Unknown, Answer: "502 Bad Gateway"}
	for _, tt := range []struct {
		name, reason string
		fault        func(string, int) exchangetest.Fault
		single       bool
		calls        int // of Place
		after        time.Duration
	}{
		{name: "at once", reason: "both legs go out in one call", calls: 1},
		{name: "one by one", reason: "two calls, the second with the group of the first", single: true, calls: 2},
		{name: "lost answer", reason: "the circuits are found by looking; a second call would buy again",
			fault: onPlace(exchangetest.LostAnswer()), calls: 1},
		{name: "lost answer, one by one", reason: "the second leg waits until the first is found", single: true,
			fault: onPlace(exchangetest.LostAnswer(), exchangetest.LostAnswer()), calls: 2},
		{name: "lost request", reason: "nothing is found, so it is tried again, but not before D + Q",
			fault: onPlace(exchangetest.Lost()), calls: 2, after: 3 * time.Minute},
		{name: "lost twice", reason: "each attempt has its own D + Q",
			fault: onPlace(exchangetest.Lost(), exchangetest.Lost()), calls: 3, after: 6 * time.Minute},
		{name: "lost request, then lost answer", reason: "the second attempt is resolved like the first",
			fault: onPlace(exchangetest.Lost(), exchangetest.LostAnswer()), calls: 2, after: 3 * time.Minute},
		{name: "throttled", reason: "the exchange says when to come back",
			fault: onPlace(answers(exchange.Outcome{Class: exchange.Busy, After: 90 * time.Second, Answer: "429"})),
			calls: 2, after: 90 * time.Second},
		{name: "not sent", reason: "nothing happened, so it is tried again after a second, then two",
			fault: onPlace(answers(exchange.Outcome{Class: exchange.NotSent, Answer: "no route"}),
				answers(exchange.Outcome{Class: exchange.NotSent, Answer: "no route"})), calls: 3, after: 3 * time.Second},
		{name: "looks fail", reason: "a look that fails concludes nothing, however often",
			fault: func(call string, n int) exchangetest.Fault {
				switch {
				case call == "Place" && n == 1:
					return exchangetest.Fault{Reached: true, Outcome: unknown}
				case call == "Find" && n < 12:
					return exchangetest.Fault{Err: errors.New("503")}
				}
				return exchangetest.Fault{}
			}, calls: 1, after: 4 * time.Minute},
	} {
		for _, kind := range kinds {
			calls := tt.calls
			if kind != "ecx" && !tt.single {
				calls++ // the second leg has a call of its own
			}
			t.Run(kind+" "+tt.name, func(t *testing.T) {
				bubble(t, &exchangetest.Fake{API: kind, Fault: tt.fault, Single: tt.single}, func(w *world) {
					began := time.Now()
					id := w.submit("create", "1", w.pair("both", 100))
					o := w.until(id, "placed on both legs", bothPlaced)
					if took := time.Since(began); took < tt.after {
						t.Errorf("placed after %v, want not before %v: %s", took, tt.after, tt.reason)
					}
					if len(w.fake.Circuits()) != 2 || w.fake.Calls("Place") != calls {
						t.Errorf("%d circuits by %d calls, want 2 by %d: %s",
							len(w.fake.Circuits()), w.fake.Calls("Place"), calls, tt.reason)
					}
					w.grouped()
					w.ready(o)
					if o := w.ended(id); o.GetOutcome() != order.Completed {
						t.Errorf("outcome %q (%v), want completed: %s", o.GetOutcome(), o.GetFailure(), tt.reason)
					}
					w.submit("create", "1", " "+w.pair("both", 100))
					time.Sleep(time.Hour)
					if len(w.fake.Circuits()) != 2 {
						t.Errorf("%d circuits after the intent came again, want 2", len(w.fake.Circuits()))
					}
				})
			})
		}
	}
}

// grouped checks that the circuits of a pair are tied where the exchange ties them.
func (w *world) grouped() {
	w.t.Helper()
	all := w.fake.Circuits()
	if w.fake.API == "fabric" && (all[0].GetRedundancyGroup() == "" || all[0].GetRedundancyGroup() != all[1].GetRedundancyGroup()) {
		w.t.Errorf("groups %q and %q, want one for both", all[0].GetRedundancyGroup(), all[1].GetRedundancyGroup())
	}
}

func bothPlaced(o *patchbayv1.Order) bool {
	n := 0
	for _, l := range o.GetLegs() {
		if l.GetState() == order.Placed {
			n++
		}
	}
	return n == 2
}

// What ends an order says why, in the exchange's words where it has any.
func TestCreateFails(t *testing.T) {
	refusal := exchange.Outcome{Class: exchange.Refused, Code: "IC-1", Message: "no", Property: "speed"}
	for _, tt := range []struct {
		name, reason string
		fault        func(string, int) exchangetest.Fault
		before       func(*exchangetest.Fake)
		after        func(w *world, o *patchbayv1.Order)
		want         *patchbayv1.Failure
	}{
		{name: "refused", reason: "another 4xx is a refusal", fault: onPlace(answers(refusal)),
			want: &patchbayv1.Failure{Reason: "refused", Code: "IC-1", ExchangeMessage: "no", Property: "speed"}},
		{name: "taken by somebody else", reason: "one look tells that the tag is not ours",
			before: func(f *exchangetest.Fake) {
				f.Add(&patchbayv1.Connection{Name: "other", Status: "PROVISIONED",
					ASide: &patchbayv1.Side{PortId: "port-1", Tag: &patchbayv1.Tag{Vlan: proto.Int32(100)}}})
			},
			want: &patchbayv1.Failure{Reason: "refused", Code: "FAKE-TAKEN", ExchangeMessage: "the VLAN is in use"}},
		{name: "rejected", reason: "the seller's words are the failure's",
			after: func(w *world, o *patchbayv1.Order) {
				w.announce(o.GetLegs()[0].GetExchangeId(), func(t *patchbayv1.Transition) {
					t.Connection.Status, t.Connection.RejectComment = "REJECTED", "wrong key"
				})
			},
			want: &patchbayv1.Failure{Reason: "rejected", ExchangeMessage: "wrong key"}},
		{name: "gone", reason: "somebody deleted it at the portal",
			after: func(w *world, o *patchbayv1.Order) {
				w.observe(o.GetLegs()[0].GetExchangeId(), status.Deprovisioned, status.NotAvailable)
			},
			want: &patchbayv1.Failure{Reason: "gone"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := &exchangetest.Fake{Fault: tt.fault}
			bubble(t, fake, func(w *world) {
				if tt.before != nil {
					tt.before(fake)
				}
				id := w.submit("create", "1", single("one", 100))
				if tt.after != nil {
					tt.after(w, w.fact(id, order.Placed))
				}
				o := w.ended(id)
				got := proto.CloneOf(o.GetFailure())
				got.Message = ""
				if o.GetOutcome() != order.Failed || !proto.Equal(got, tt.want) || o.GetFailure().GetMessage() == "" {
					t.Errorf("outcome %q, failure %v; want failed, %v: %s", o.GetOutcome(), o.GetFailure(), tt.want, tt.reason)
				}
				if w.fake.Calls("Place") != 1 {
					t.Errorf("%d calls of Place, want 1", w.fake.Calls("Place"))
				}
				// The tag is free again.
				fake.Fault = nil
				for _, c := range fake.Circuits() {
					fake.Set(c.GetExchangeId(), func(c *patchbayv1.Connection) { c.Status = "DEPROVISIONED" })
				}
				w.fact(w.submit("create", "2", single("one", 100)), order.Placed)
			})
		})
	}
}

// One of two circuits created: that leg is placed, the other is looked for.
func TestPartial(t *testing.T) {
	first := true
	fake := new(exchangetest.Fake)
	fake.Fault = func(call string, _ int) exchangetest.Fault {
		if call != "Place" || !first {
			return exchangetest.Fault{}
		}
		first = false
		return exchangetest.Fault{Reached: true, Outcome: exchange.Outcome{
			Class: exchange.Partial, IDs: map[string]string{"primary": "fake-000001"}, Answer: "200",
		}}
	}
	bubble(t, fake, func(w *world) {
		id := w.submit("create", "1", pair("both", 100))
		o := w.fact(id, order.Uncertain)
		if o.GetLegs()[0].GetState() != order.Placed || o.GetLegs()[1].GetState() != order.Uncertain {
			t.Errorf("legs %v, want the primary placed and the secondary uncertain", o.GetLegs())
		}
		w.until(id, "placed on both legs", bothPlaced)
		if len(fake.Circuits()) != 2 || fake.Calls("Place") != 1 {
			t.Errorf("%d circuits by %d calls, want 2 by 1", len(fake.Circuits()), fake.Calls("Place"))
		}
	})
}

// Two circuits that look alike are for a person; nothing is guessed, nothing bought.
func TestCandidates(t *testing.T) {
	fake := &exchangetest.Fake{Fault: onPlace(exchangetest.LostAnswer())}
	bubble(t, fake, func(w *world) {
		twin := &patchbayv1.Connection{Name: "one", Status: "PENDING_APPROVAL",
			ASide: &patchbayv1.Side{PortId: "port-1", Tag: &patchbayv1.Tag{Vlan: proto.Int32(100)}}}
		fake.Fault = func(call string, n int) exchangetest.Fault {
			if call == "Place" && n == 1 {
				return exchangetest.LostAnswer()
			}
			if call == "Find" && n == 1 {
				fake.Add(twin)
			}
			return exchangetest.Fault{}
		}
		id := w.submit("create", "1", single("one", 100))
		o := w.until(id, "two candidates", func(o *patchbayv1.Order) bool {
			return len(o.GetLegs()) == 1 && len(o.GetLegs()[0].GetAttempt().GetCandidates()) == 2
		})
		if o.GetWait().GetOn() != "operator" || o.GetWait().GetAdvice() == "" {
			t.Errorf("wait = %v, want a person with advice", o.GetWait())
		}
		time.Sleep(24 * time.Hour)
		if fake.Calls("Place") != 1 {
			t.Errorf("%d calls of Place, want 1 while it is unclear", fake.Calls("Place"))
		}
		fake.Set("fake-000002", func(c *patchbayv1.Connection) { c.Status = "DEPROVISIONED" })
		if o := w.fact(id, order.Placed); o.GetLegs()[0].GetExchangeId() != "fake-000001" {
			t.Errorf("placed as %s, want fake-000001, the one that is left", o.GetLegs()[0].GetExchangeId())
		}
	})
}

// A circuit made before the attempt, by the exchange's own clock, is not ours.
func TestOlderIsNotAdopted(t *testing.T) {
	fake := &exchangetest.Fake{Ahead: time.Hour}
	fake.Now = func() time.Time { return time.Now().Add(fake.Ahead) }
	fake.Fault = onPlace(exchangetest.Lost())
	bubble(t, fake, func(w *world) {
		fake.Add(&patchbayv1.Connection{Name: "one", Status: "PROVISIONED",
			ASide: &patchbayv1.Side{PortId: "port-1", Tag: &patchbayv1.Tag{Vlan: proto.Int32(100)}}})
		time.Sleep(time.Minute)
		id := w.submit("create", "1", single("one", 100))
		o := w.until(id, "a second attempt", func(o *patchbayv1.Order) bool {
			return len(o.GetLegs()) == 1 && o.GetLegs()[0].GetAttempt().GetNumber() == 2
		})
		if o.GetLegs()[0].GetExchangeId() != "" {
			t.Errorf("adopted %s, which is older than the order", o.GetLegs()[0].GetExchangeId())
		}
	})
}

// A hold whose append was on its way while the order ended is given back when it arrives:
// the end had nothing to give back.
func TestTakenAfterTheEnd(t *testing.T) {
	bubble(t, &exchangetest.Fake{}, func(w *world) {
		first := w.submit("create", "1", single("one", 100))
		w.ready(w.fact(first, order.Placed))
		w.ended(first)
		o := w.ended(w.submit("create", "2", pair("two", 100)))
		if o.GetOutcome() != order.Failed {
			t.Fatalf("the second order %s, want it to fail: a tag is taken", o.GetOutcome())
		}
		time.Sleep(time.Minute) // all is given back
		late := hold.OfLeg(o, "secondary")[0]
		now, err := hold.Take(nil, late, w.j.Now())
		if err != nil {
			t.Fatal(err)
		}
		e := event.Entity{Noun: event.Hold, ID: late.ID()}
		last, err := w.j.Last(w.t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.j.Append(w.t.Context(), last, event.Fact{Entity: e, Name: now.GetFact(), Data: now}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		h := new(patchbayv1.Hold)
		if err := w.lastOf(e).Into(h); err != nil || len(h.GetOwners()) > 0 {
			t.Errorf("the tag is held by %v, %v; want by nobody", h.GetOwners(), err)
		}
	})
}

// A tag on a port has one owner at a time; who comes second is told who has it.
func TestHeld(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		first := w.submit("create", "1", single("one", 100))
		placed := w.fact(first, order.Placed)
		o := w.ended(w.submit("create", "2", pair("two", 100)))
		if f := o.GetFailure(); o.GetOutcome() != order.Failed || f.GetReason() != "held" || f.GetHolder() != first {
			t.Errorf("outcome %q, failure %v; want held by order %s", o.GetOutcome(), f, first)
		} else if !strings.Contains(f.GetMessage(), "choose another tag") {
			t.Errorf("failure %v; want what to do about it", f)
		}
		w.ready(placed)
		w.ended(first)
		w.observe(placed.GetLegs()[0].GetExchangeId(), status.Deprovisioned, status.NotAvailable)
		w.fake.Set(placed.GetLegs()[0].GetExchangeId(), func(c *patchbayv1.Connection) { c.Status = "DEPROVISIONED" })
		time.Sleep(time.Minute)
		w.fact(w.submit("create", "3", pair("three", 100)), order.Placed)
	})
}

// What intake could not check is checked before the first attempt.
func TestCheckLater(t *testing.T) {
	fake := &exchangetest.Fake{Checked: exchange.Checked{Violations: []*patchbayv1.Violation{{Field: "primary.zSide.metro", Rule: "SV"}}}}
	fake.Fault = on("Check", exchangetest.Fault{Err: errors.New("away")}, exchangetest.Fault{Err: errors.New("away")})
	bubble(t, fake, func(w *world) {
		id := w.submit("create", "1", single("one", 100))
		o := w.until(id, "why the exchange was not asked", func(o *patchbayv1.Order) bool { return o.GetWait().GetAdvice() != "" })
		if o.GetChecked() || !strings.Contains(o.GetWait().GetAdvice(), "away") || !strings.Contains(o.GetWait().GetAdvice(), "account acme") {
			t.Errorf("the order waits %v, checked %v; want the exchange's error and what to do", o.GetWait(), o.GetChecked())
		}
		o = w.ended(id)
		if o.GetFailure().GetReason() != "invalid" || len(o.GetViolations()) != 1 || fake.Calls("Place") != 0 {
			t.Errorf("failure %v, violations %v after %d calls of Place; want invalid, one, none",
				o.GetFailure(), o.GetViolations(), fake.Calls("Place"))
		}
	})
}

// If one leg is refused the policy says what becomes of the other.
func TestLegPolicy(t *testing.T) {
	refuseSecond := func(call string, n int) exchangetest.Fault {
		if call == "Place" && n == 2 {
			return answers(exchange.Outcome{Class: exchange.Refused, Code: "IC-2", Message: "no"})
		}
		return exchangetest.Fault{}
	}
	for _, policy := range []string{"keep", "rollback"} {
		t.Run(policy, func(t *testing.T) {
			bubble(t, &exchangetest.Fake{Single: true, Fault: refuseSecond}, func(w *world) {
				id := w.submit("create", "1", `{"onLegFailure":"`+policy+`",`+pair("both", 100)[1:])
				if policy == "keep" {
					o := w.until(id, "one leg failed", func(o *patchbayv1.Order) bool {
						return len(o.GetLegs()) == 2 && o.GetLegs()[1].GetState() == order.Failed
					})
					w.ready(o)
				}
				if policy == "rollback" {
					o := w.until(id, "one leg failed", func(o *patchbayv1.Order) bool {
						return len(o.GetLegs()) == 2 && o.GetLegs()[1].GetState() == order.Failed
					})
					w.observe(o.GetLegs()[0].GetExchangeId(), status.PendingApproval, status.NotAvailable)
				}
				o := w.ended(id)
				if o.GetOutcome() != order.Failed || o.GetFailure().GetCode() != "IC-2" || o.GetLeg() == "" {
					t.Errorf("outcome %q, leg %q, failure %v; want failed for IC-2, with the leg", o.GetOutcome(), o.GetLeg(), o.GetFailure())
				}
				removed := 0
				if policy == "rollback" {
					time.Sleep(time.Minute)
					removed = 1
				}
				if w.fake.Calls("Remove") != removed {
					t.Errorf("%d calls of Remove, want %d", w.fake.Calls("Remove"), removed)
				}
			})
		})
	}
}

// Secrets stand in no fact, and the intent is gone once its order has ended.
func TestSecrets(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		id := w.submit("create", "1", pair("both", 100))
		o := w.fact(id, order.Placed)
		seq := o.GetIntentSequence()
		if rec, err := w.j.Intent(w.t.Context(), seq); err != nil || rec.None() {
			t.Fatalf("intent %d while the order is open: %v, %v; want it", seq, rec, err)
		}
		b, err := event.Marshal(o)
		if err != nil || containsCanary(b) {
			t.Errorf("the fact shows the authorization key: %s, %v", b, err)
		}
		w.ready(o)
		w.ended(id)
		time.Sleep(time.Minute)
		if rec, err := w.j.Intent(w.t.Context(), seq); err != nil || !rec.None() {
			t.Errorf("intent %d after the end: %v, %v; want none", seq, rec, err)
		}
	})
}
