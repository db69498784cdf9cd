package statuswatcher

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/archive"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Of what was archived nothing stays but the ids of circuits and tokens, which an exchange may
// show still; neither with who follows nor with who starts later.
func TestForgetArchived(t *testing.T) {
	const n = 10
	j := testenv.Journal(t)
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan error, 2)
	begin := func() *index {
		x := newIndex()
		go func() { followed <- x.follow(ctx, j, func(journal.Record) {}) }()
		return x
	}
	catchUp := func(x *index) {
		seq, err := j.LastSeq(t.Context())
		if err == nil {
			err = x.reach(t.Context(), seq)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	x := begin()
	for i := range n {
		live(t, j, i)
	}
	catchUp(x)
	if len(x.circuits) != n || len(x.orders) != 3*n || len(x.claims) != n || len(x.tokens) != n || len(x.placed.byKey) != n {
		t.Fatalf("of %d circuits: %d circuits, %d orders, %d claims, %d tokens, placings under %d keys",
			n, len(x.circuits), len(x.orders), len(x.claims), len(x.tokens), len(x.placed.byKey))
	}
	if len(x.told) != 0 {
		t.Errorf("the ends of changes are remembered of %d orders that have ended", len(x.told))
	}
	rep, err := archive.Run(t.Context(), j, filepath.Join(t.TempDir(), "a"), archive.Options{Before: j.Now().Add(time.Hour)})
	if err != nil || len(rep.Kept) != 0 {
		t.Fatalf("archive = %+v, %v; want all put away", rep, err)
	}
	catchUp(x)
	late := begin()
	catchUp(late)
	cancel()
	for range 2 {
		if err := <-followed; err != nil {
			t.Error(err)
		}
	}
	for name, x := range map[string]*index{"from the start": x, "afterwards": late} {
		for what, left := range map[string]int{
			"circuits": len(x.circuits), "circuits in motion": len(x.restless), "orders": len(x.orders), "keys": len(x.placed.byKey), "orders with keys": len(x.placed.keys),
			"claims": len(x.claims), "placed": len(x.awaited), "calls": len(x.calling), "changes": len(x.altering),
			"ends of changes": len(x.told), "deletes": len(x.removing), "tokens": len(x.tokens),
		} {
			if left != 0 {
				t.Errorf("who followed %s still has %d %s", name, left, what)
			}
		}
		if len(x.away) != 2*n {
			t.Errorf("who followed %s knows %d ids as put away, want %d", name, len(x.away), 2*n)
		}
		if c, _ := x.circuit("circuit-0"); !c.archived || x.token("token-0").archived != true {
			t.Errorf("who followed %s would announce a circuit or token anew that was put away", name)
		}
	}
}

// live writes the lives of a circuit that was ordered, changed and deleted, of its token, and
// of an order that failed when it had been placed.
func live(t *testing.T, j *journal.Journal, i int) {
	t.Helper()
	name := func(what string) string { return fmt.Sprintf("%s-%d", what, i) }
	leg := &patchbayv1.OrderLeg{Leg: "primary", ConnectionId: name("circuit"), ExchangeId: name("exchange"), State: "completed"}
	order := func(id, kind, fact, outcome string, l *patchbayv1.OrderLeg) *patchbayv1.Order {
		return &patchbayv1.Order{Id: id, Kind: kind, Fact: fact, Outcome: outcome, Account: "acme", Exchange: "equinix",
			TargetOrderId: map[bool]string{true: name("create")}[kind != "create"], Legs: []*patchbayv1.OrderLeg{l}}
	}
	placing := &patchbayv1.OrderLeg{Leg: "primary", State: "placing", Attempt: &patchbayv1.Attempt{Number: 1, LookupKey: name("key")}}
	failed := &patchbayv1.OrderLeg{Leg: "primary", State: "failed", Attempt: placing.GetAttempt()}
	change := &patchbayv1.Change{ConnectionId: name("circuit"), OrderId: name("change"), Status: "COMPLETED"}
	last := map[event.Entity]journal.Record{}
	for _, f := range []struct {
		noun event.Noun
		id   string
		name string
		data proto.Message
	}{
		{event.Order, name("failed"), "placing", order(name("failed"), "create", "placing", "", placing)},
		{event.Order, name("failed"), "failed", order(name("failed"), "create", "failed", "failed", failed)},
		{event.Order, name("create"), "completed", order(name("create"), "create", "completed", "completed", leg)},
		{event.Connection, name("circuit"), "provisioned.available", &patchbayv1.Transition{Connection: &patchbayv1.Connection{
			Id: name("circuit"), OrderId: name("create"), ExchangeId: name("exchange"), Status: "PROVISIONED", ProviderStatus: "AVAILABLE"}}},
		{event.Order, name("change"), "completed", order(name("change"), "change", "completed", "completed", leg)},
		{event.Change, name("circuit"), "completed", change},
		{event.Sighting, name("circuit"), "seller", &patchbayv1.Sighting{Role: "seller", Account: "cloud"}},
		{event.Connection, name("circuit"), "deprovisioned.not_available", &patchbayv1.Transition{Connection: &patchbayv1.Connection{
			Id: name("circuit"), OrderId: name("create"), ExchangeId: name("exchange"), Status: "DEPROVISIONED", ProviderStatus: "NOT_AVAILABLE"}}},
		{event.Token, name("token"), "expired", &patchbayv1.Token{Id: name("token"), State: "EXPIRED"}},
	} {
		e := event.Entity{Noun: f.noun, ID: f.id}
		r, err := j.Append(t.Context(), last[e], event.Fact{Entity: e, Name: f.name, By: "test", Exchange: "equinix", Data: f.data})
		if err != nil {
			t.Fatal(err)
		}
		last[e] = r
	}
}
