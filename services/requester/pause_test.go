package requester_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// operator answers the questions of operators in a world, until the test is over.
func (w *world) operator() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	rt := service.Runtime{Name: "requester", Journal: w.j, Accounts: account.File{Accounts: w.acc}}
	done := make(chan error, 1)
	go func() { done <- rt.Answer(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	time.Sleep(time.Second) // until it listens
}

// say pauses or resumes the account.
func (w *world) say(fact string) {
	w.t.Helper()
	q, err := json.Marshal(service.PauseRequest{Account: "acme", Fact: fact, By: "ada", Reason: "the API moves"})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.j.Ask(w.t.Context(), service.VerbPause, q); err != nil {
		w.t.Fatal(err)
	}
}

// paused waits until an order says that it waits for its account.
func (w *world) paused(id string) *patchbayv1.Order {
	w.t.Helper()
	return w.until(id, "waiting for its account", func(o *patchbayv1.Order) bool {
		return o.GetWait().GetWhat() == "its account to be resumed"
	})
}

// While an account is paused its orders wait and say so, restarts included, and nothing is
// sent. Once it is resumed they go on within a second.
func TestPausedAccount(t *testing.T) {
	for _, kind := range []string{"create", "delete"} {
		t.Run(kind, func(t *testing.T) {
			fake := &exchangetest.Fake{}
			bubble(t, fake, func(w *world) {
				w.operator()
				call, data := "Place", single("one", 100)
				if kind == "delete" {
					id := w.submit("create", "c", data)
					w.ready(w.fact(id, order.Placed))
					w.ended(id)
					call, data = "Remove", `{"target":{"source":"test","id":"c"}}`
				}
				w.say(service.Paused)
				id := w.submit(kind, "while paused", data)
				o := w.paused(id)
				if a := o.GetWait().GetAdvice(); o.GetWait().GetOn() != "operator" || !strings.Contains(a, "ada: the API moves") ||
					!strings.Contains(a, "patchbay accounts resume acme") {
					t.Errorf("it waits on %q, advice %q; want who paused it, why and what ends it", o.GetWait().GetOn(), a)
				}
				w.stop()
				w.run(nil)
				time.Sleep(3 * time.Hour)
				if n := fake.Calls(call); n != 0 {
					t.Errorf("%d calls were made while the account was paused", n)
				}
				w.say(service.Resumed)
				resumed := time.Now()
				w.fact(id, order.Placed)
				if took := time.Since(resumed); took > time.Second {
					t.Errorf("it went on %v after the account was resumed, want at once", took)
				}
			})
		})
	}
}

// What is uncertain when an account is paused is resolved by looking all the same. What the
// looks do not find is not tried again before the account is resumed.
func TestPausedWhileUncertain(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fault   exchangetest.Fault
		arrived bool
	}{
		{"it arrived", exchangetest.LostAnswer(), true},
		{"it did not arrive", exchangetest.Lost(), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := &exchangetest.Fake{Fault: onPlace(tt.fault)}
			bubble(t, fake, func(w *world) {
				w.operator()
				id := w.submit("create", "c", single("one", 100))
				w.until(id, "placing", func(o *patchbayv1.Order) bool { return o.GetFact() == order.Placing })
				w.say(service.Paused)
				if tt.arrived {
					w.fact(id, order.Placed)
				} else {
					w.paused(id)
					time.Sleep(3 * time.Hour)
				}
				if n := fake.Calls("Place"); n != 1 {
					t.Errorf("%d calls while the account is paused, want the one from before", n)
				}
				w.say(service.Resumed)
				w.fact(id, order.Placed)
				if n := len(fake.Circuits()); n != 1 {
					t.Errorf("there are %d circuits, want 1", n)
				}
			})
		})
	}
}
