package requester_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Fifty intents want one service token, at once and through ports of their own. One gets the
// circuit; each of the others fails and names the order that has the token.
func TestOneTokenForMany(t *testing.T) {
	const many = 50
	for _, tt := range []struct {
		name, reason string
		fault        func(string, int) exchangetest.Fault
	}{
		{name: "answered", reason: "the first has it"},
		{name: "lost answer", reason: "the token is held while nobody knows", fault: onPlace(exchangetest.LostAnswer())},
		{name: "throttled", reason: "and while the exchange is busy",
			fault: onPlace(answers(exchange.Outcome{Class: exchange.Busy, After: time.Minute, Answer: "429"}))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, &exchangetest.Fake{API: "fabric", Fault: tt.fault}, func(w *world) {
				var orders []string
				for n := range many {
					orders = append(orders, w.submit("create", fmt.Sprint(n), spending("one", 100+n, "canary-token")))
				}
				winner, failed := "", 0
				for _, id := range orders {
					o := w.until(id, "placed or failed", func(o *patchbayv1.Order) bool {
						return o.GetFact() == order.Placed || o.GetOutcome() != ""
					})
					if o.GetFact() == order.Placed {
						winner = id
					}
				}
				for _, id := range orders {
					if id == winner {
						continue
					}
					o := w.ended(id)
					if f := o.GetFailure(); o.GetOutcome() == order.Failed && f.GetReason() == "held" && f.GetHolder() == winner {
						failed++
					} else {
						t.Errorf("order %s: %s, %v; want failed, held by %s", id, o.GetOutcome(), f, winner)
					}
					if b, err := event.Marshal(o); err != nil || containsCanary(b) {
						t.Errorf("the fact shows the token: %s, %v", b, err)
					}
				}
				if len(w.fake.Circuits()) != 1 || failed != many-1 {
					t.Errorf("%d circuits, %d orders failed; want 1 and %d: %s", len(w.fake.Circuits()), failed, many-1, tt.reason)
				}
			})
		})
	}
}

// An exchange that has seen the token being spent says so when it is asked to check the next
// intent. That is not the intent's fault, and the order names who has the token.
func TestLateForAToken(t *testing.T) {
	for _, tt := range []struct {
		name, field, rule string
		outcome           string
	}{
		{"the token is spent", "primary.zSide.serviceToken", exchange.TokenUsed, order.Failed},
		{"the token has no place", "primary.zSide.serviceToken", "absent: there is no such field", order.Invalid},
		{"a wrong tag that is held too", "primary.aSide.tag.vlan", "a number from 2 to 4092", order.Invalid},
		{"something else", "bandwidthMbps", "one that is sold", order.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := &exchangetest.Fake{API: "fabric"}
			bubble(t, fake, func(w *world) {
				first := w.submit("create", "1", spending("one", 100, "token-1"))
				w.fact(first, order.Placed)
				w.stop()
				fake.Checked = exchange.Checked{Violations: []*patchbayv1.Violation{{Field: tt.field, Rule: tt.rule}}}
				w.run(nil)
				o := w.ended(w.submit("create", "2", spending("two", 100, "token-1")))
				if o.GetOutcome() != tt.outcome || tt.outcome == order.Failed && o.GetFailure().GetHolder() != first {
					t.Errorf("%s, %v; want %s, naming order %s", o.GetOutcome(), o.GetFailure(), tt.outcome, first)
				}
				if fake.Calls("Place") != 1 {
					t.Errorf("%d calls of Place, want 1", fake.Calls("Place"))
				}
			})
		})
	}
}

// A token that somebody else has redeemed fails the order, however often the exchange had
// been too busy to say so.
func TestTokenSpentElsewhere(t *testing.T) {
	busy := answers(exchange.Outcome{Class: exchange.Busy, Answer: "429"})
	for _, faults := range [][]exchangetest.Fault{nil, {busy, busy}} {
		t.Run(fmt.Sprintf("%d times busy", len(faults)), func(t *testing.T) {
			fake := &exchangetest.Fake{API: "fabric"}
			bubble(t, fake, func(w *world) {
				old := w.submit("create", "1", spending("one", 100, "token-1"))
				placed := w.fact(old, order.Placed)
				w.ready(placed)
				w.ended(old)
				w.turn(placed.GetLegs()[0].GetExchangeId(), status.Deprovisioned, status.NotAvailable)
				time.Sleep(time.Hour) // it is held no more, and spent for ever
				w.stop()
				fake.Fault = func(call string, n int) exchangetest.Fault { return onPlace(faults...)(call, n-1) }
				w.run(nil)
				o := w.ended(w.submit("create", "2", spending("two", 100, "token-1")))
				if f := o.GetFailure(); f.GetReason() != "refused" || f.GetCode() != "FAKE-TAKEN" {
					t.Errorf("%s, %v; want failed with the exchange's own code", o.GetOutcome(), f)
				}
			})
		})
	}
}

// Requests to one customer in one market at one speed look alike at PacketFabric. Whatever
// becomes of the calls, each order gets a circuit of its own, and none another's.
func TestLookalikes(t *testing.T) {
	const many = 12
	for _, tt := range []struct {
		name, reason string
		fault        exchangetest.Fault
	}{
		{"answered", "each knows its own by the answer", exchangetest.Fault{}},
		{"lost answers", "what is found belongs to nobody else", exchangetest.LostAnswer()},
		{"lost requests", "what is found is another's", exchangetest.Lost()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int64
			fake := &exchangetest.Fake{API: "packetfabric", Fault: func(call string, _ int) exchangetest.Fault {
				if call == "Place" && calls.Add(1)%3 == 0 {
					return tt.fault
				}
				return exchangetest.Fault{}
			}}
			bubble(t, fake, func(w *world) {
				var orders []string
				for n := range many {
					orders = append(orders, w.submit("create", fmt.Sprint(n), requests(fmt.Sprintf("one-%d", n), 100+n, false)))
				}
				owner := map[string]string{}
				for _, id := range orders {
					o := w.fact(id, order.Placed)
					circuit := o.GetLegs()[0].GetExchangeId()
					if owner[circuit] != "" {
						t.Errorf("circuit %s is order %s's and %s's", circuit, owner[circuit], id)
					}
					owner[circuit] = id
				}
				if len(fake.Circuits()) != many {
					t.Errorf("%d circuits for %d orders: %s", len(fake.Circuits()), many, tt.reason)
				}
			})
		})
	}
}

// While a request's fate is unknown, another that looks like it waits and says for what.
func TestLookalikeWaits(t *testing.T) {
	fake := &exchangetest.Fake{API: "packetfabric", Fault: onPlace(exchangetest.Lost())}
	bubble(t, fake, func(w *world) {
		first := w.submit("create", "1", requests("one", 100, false))
		w.fact(first, order.Uncertain)
		second := w.submit("create", "2", requests("two", 101, false))
		o := w.until(second, "waiting for its turn", func(o *patchbayv1.Order) bool {
			return strings.Contains(o.GetWait().GetWhat(), "looks alike")
		})
		if o.GetWait().GetAdvice() == "" || fake.Calls("Place") != 1 {
			t.Errorf("wait %v after %d calls of Place, want advice after 1", o.GetWait(), fake.Calls("Place"))
		}
		other := w.submit("create", "3", strings.Replace(requests("three", 102, false), "ATL", "NYC", 1))
		w.fact(other, order.Placed)
		w.fact(first, order.Placed)
		w.fact(second, order.Placed)
		if len(fake.Circuits()) != 3 {
			t.Errorf("%d circuits, want 3", len(fake.Circuits()))
		}
	})
}

// A circuit between two ports of one's own holds the tag at both ends; an EPL both ports.
func TestOwnPorts(t *testing.T) {
	own := func(name, a, z string) string {
		return fmt.Sprintf(`{"name":%q,"bandwidthMbps":50,"notifications":["a@example.com"],
			"primary":{"aSide":{"portId":"port-1"%s},"zSide":{"portId":"port-9"%s}}}`, name, a, z)
	}
	for _, tt := range []struct {
		name          string
		first, second string
		held          bool
	}{
		{"one tag at the far end", own("one", `,"tag":{"vlan":5}`, `,"tag":{"vlan":7}`), own("two", `,"tag":{"vlan":6}`, `,"tag":{"vlan":7}`), true},
		{"near is far", own("one", `,"tag":{"vlan":5}`, `,"tag":{"vlan":7}`),
			strings.NewReplacer("port-1", "port-9", "port-9", "port-1").Replace(own("two", `,"tag":{"vlan":7}`, `,"tag":{"vlan":8}`)), true},
		{"two tags", own("one", `,"tag":{"vlan":5}`, `,"tag":{"vlan":7}`), own("two", `,"tag":{"vlan":6}`, `,"tag":{"vlan":8}`), false},
		{"inner tags", own("one", `,"tag":{"vlan":5}`, `,"tag":{"sTag":7,"cTag":1000}`), own("two", `,"tag":{"vlan":6}`, `,"tag":{"sTag":7,"cTag":1001}`), false},
		{"EPL twice", own("one", "", ""), own("two", "", ""), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, &exchangetest.Fake{API: "fabric"}, func(w *world) {
				first := w.submit("create", "1", tt.first)
				w.fact(first, order.Placed)
				second := w.submit("create", "2", tt.second)
				o := w.until(second, "placed or failed", func(o *patchbayv1.Order) bool {
					return o.GetFact() == order.Placed || o.GetOutcome() != ""
				})
				if held := o.GetFailure().GetReason() == "held" && o.GetFailure().GetHolder() == first; held != tt.held {
					t.Errorf("%s, %v; want held by %s: %v", o.GetFact(), o.GetFailure(), first, tt.held)
				}
			})
		})
	}
}

// If the primary of a pair is refused, the policy says whether the secondary is ordered
// alone, without a group that does not exist.
func TestPrimaryRefused(t *testing.T) {
	refused := answers(exchange.Outcome{Class: exchange.Refused, Code: "EQ-1", Message: "no"})
	for policy, calls := range map[string]int{"keep": 2, "rollback": 1} {
		t.Run(policy, func(t *testing.T) {
			bubble(t, &exchangetest.Fake{API: "fabric", Fault: onPlace(refused)}, func(w *world) {
				id := w.submit("create", "1", `{"onLegFailure":"`+policy+`",`+pair("both", 100)[1:])
				if policy == "keep" {
					w.ready(w.until(id, "the secondary is placed", func(o *patchbayv1.Order) bool {
						return len(o.GetLegs()) == 2 && o.GetLegs()[1].GetState() == order.Placed
					}))
				}
				o := w.ended(id)
				if o.GetOutcome() != order.Failed || o.GetFailure().GetCode() != "EQ-1" || w.fake.Calls("Place") != calls {
					t.Errorf("%s, %v after %d calls; want failed for EQ-1 after %d", o.GetOutcome(), o.GetFailure(), w.fake.Calls("Place"), calls)
				}
			})
		})
	}
}

// Without the intent nobody knows the token by which a lost circuit would be found, so that
// none is found proves nothing.
func TestTokenForgotten(t *testing.T) {
	fake := &exchangetest.Fake{API: "fabric", Fault: func(call string, n int) exchangetest.Fault {
		switch {
		case call == "Place":
			return exchangetest.LostAnswer()
		case call == "Find" && n == 1:
			return exchangetest.Fault{Err: errors.New("503")}
		}
		return exchangetest.Fault{}
	}}
	bubble(t, fake, func(w *world) {
		id := w.submit("create", "1", spending("one", 100, "token-1"))
		o := w.fact(id, order.Uncertain)
		if err := w.j.DropIntent(w.t.Context(), o.GetIntentSequence()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if w.reached(id, isOver) || fake.Calls("Place") != 1 {
			t.Errorf("ended, or %d calls of Place; want it uncertain after 1", fake.Calls("Place"))
		}
	})
}

// What nobody else has to agree to waits on the exchange alone: to a circuit of such a flow, or
// to a change or a deletion where the exchange asks nobody about it.
func TestWaitsOn(t *testing.T) {
	const alone, both = "exchange acme", "the other company, then exchange acme"
	for _, tt := range []struct{ api, flow, create, later string }{
		{"fabric", "own", alone, alone},
		{"fabric", "token", alone, alone},
		{"fabric", "approval", both, both},
		{"packetfabric", "own", alone, alone},
		{"packetfabric", "approval", both, alone},
	} {
		t.Run(tt.api+" "+tt.flow, func(t *testing.T) {
			fake := &exchangetest.Fake{API: tt.api, Checked: exchange.Checked{Flow: tt.flow},
				Fault: on("Alter", answers(exchange.Outcome{Class: exchange.Done}))}
			bubble(t, fake, func(w *world) {
				waits := func(o *patchbayv1.Order, want string) {
					t.Helper()
					if got := o.GetWait().GetOn(); got != want {
						t.Errorf("a %s waits on %q, want %q", o.GetKind(), got, want)
					}
					if consent := strings.Contains(o.GetWait().GetAdvice(), "agree"); consent && want == alone {
						t.Errorf("a %s that waits on the exchange alone says %q", o.GetKind(), o.GetWait().GetAdvice())
					}
				}
				intent := single("one", 100)
				if tt.api == "packetfabric" {
					intent = requests("one", 100, false)
				}
				o := w.fact(w.submit("create", "1", intent), order.Placed)
				waits(o, tt.create)
				w.announce(o.GetLegs()[0].GetExchangeId(), func(t *patchbayv1.Transition) {
					t.Connection.Status, t.Connection.ProviderStatus = string(status.Provisioned), string(status.Available)
					t.Connection.Flow = tt.flow
				})
				w.ended(o.GetId())
				change := w.submit("change", "2", `{"target":{"orderId":"`+o.GetId()+`"},"set":{"bandwidthMbps":100}}`)
				waits(w.fact(change, order.Placed), tt.later)
				gone := w.submit("delete", "3", `{"target":{"connectionId":"`+o.GetLegs()[0].GetConnectionId()+`"}}`)
				waits(w.fact(gone, order.Placed), tt.later)
			})
		})
	}
}
