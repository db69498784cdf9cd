package client

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// While an order waits since its account's exchange is out of reach, submit says so, and so
// does who asks what is going on.
func TestExchangeAway(t *testing.T) {
	h := newHouse(t)
	const why = "acme is out of reach since 2026-11-22T09:30:00Z: connection refused"
	open := &patchbayv1.Order{Kind: "create", Fact: "accepted", Account: "acme"}
	h.answer(event.IntentSubjects, func(r journal.Record) {
		open.Id = event.OrderID(r.Event.Source(), r.Event.ID())
		h.order(open)
	})
	ctx, cancel := context.WithCancel(t.Context())
	var work errgroup.Group
	for _, who := range []string{"requester", "status-watcher"} {
		work.Go(func() error {
			return h.j.ServeEach(ctx, service.VerbAccounts, func(context.Context, []byte) ([]byte, error) {
				return json.Marshal([]service.AccountState{
					{Account: "acme", Service: who, Away: why}, {Account: "other", Service: who, Away: "other is out of reach"}, {Account: "well", Service: who},
				})
			})
		})
	}
	t.Cleanup(func() { cancel(); _ = work.Wait() })
	cmd := submitCommand()
	cmd.SetArgs([]string{h.file(`{"name":"good"}`), "--wait", "--nats-url", h.n.URL})
	out := &until{want: "patchbay accounts list", stop: sync.OnceFunc(func() {
		for _, verb := range []string{"explain", "get"} {
			if said, code := h.run("", verb, open.GetId()); code != 0 || !strings.Contains(said, "exchange acme") || !strings.Contains(said, why) {
				t.Errorf("%s = %d %q, want that the exchange is out of reach and why", verb, code, said)
			}
		}
		h.order(&patchbayv1.Order{Id: open.GetId(), Kind: "create", Fact: "completed", Outcome: "completed", Account: "acme"})
	})}
	cmd.SetOut(out)
	waiting, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if err := cmd.ExecuteContext(waiting); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.text, why); n != 1 || strings.Contains(out.text, "other is") {
		t.Errorf("submit says %q; want once that acme's exchange is out of reach and nothing of another", out.text)
	}
}

// That an exchange is out of reach is said once each time it happens, and shown for as long.
func TestAwayIsSaidOnce(t *testing.T) {
	h := newHouse(t)
	var said strings.Builder
	f := &follower{j: h.j, out: newScreen(&said), t: newTracker([]handed{{orderID: "o-1"}, {orderID: "o-2"}})}
	for _, tr := range f.t.orders {
		tr.order = &patchbayv1.Order{Id: tr.orderID, Fact: "accepted", Account: "acme"}
	}
	far := []service.AccountState{{Account: "acme", Service: "requester", Away: "connection refused"}, {Account: "acme", Service: "status-watcher", Away: "x"}}
	for i, step := range []struct {
		far  []service.AccountState
		want int
		rows int
	}{{nil, 0, 2}, {far, 1, 3}, {far, 1, 3}, {nil, 1, 2}, {far, 2, 3}} {
		f.tellAway(step.far)
		if n := strings.Count(said.String(), "away"); n != step.want || len(f.rows(h.j.Now())) != step.rows {
			t.Errorf("step %d: said %d times %q, and %d lines are shown; want %d and %d", i, n, said.String(), len(f.rows(h.j.Now())), step.want, step.rows)
		}
	}
	for _, tr := range f.t.orders {
		tr.order = &patchbayv1.Order{Id: tr.orderID, Fact: "completed", Outcome: "completed", Account: "acme"}
	}
	f.tellAway(nil)
	if f.tellAway(far); strings.Count(said.String(), "away") != 2 {
		t.Errorf("said %q of orders that have ended", said.String())
	}
}
