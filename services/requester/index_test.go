package requester

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/archive"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// What was archived is in no map any more, neither of who follows nor of who starts later.
func TestForgetArchived(t *testing.T) {
	const n = 20
	j := testenv.Journal(t)
	x, g := newIndex(), newGate(Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan error, 2)
	follow := func(x *index) {
		note := func(o *patchbayv1.Order) { g.note(o, j.Now()) }
		_, seq, err := x.begin(ctx, j, note)
		if err == nil {
			err = x.follow(ctx, j, seq, note)
		}
		followed <- err
	}
	go follow(x)
	for i := range n {
		live(t, j, i)
	}
	reached(t, x, j)
	if len(x.owners) != n || len(x.enders) != n {
		t.Fatalf("%d owners and %d enders of %d circuits", len(x.owners), len(x.enders), n)
	}
	rep, err := archive.Run(t.Context(), j, filepath.Join(t.TempDir(), "a"), archive.Options{Before: j.Now().Add(time.Hour)})
	if err != nil || rep.Entities != 3*n {
		t.Fatalf("archive = %+v, %v; want %d entities put away", rep, err, 3*n)
	}
	reached(t, x, j)
	late := newIndex()
	go follow(late)
	reached(t, late, j)
	for name, x := range map[string]*index{"from the start": x, "afterwards": late} {
		if left := len(x.keys) + len(x.orders) + len(x.owners) + len(x.enders); left != 0 {
			t.Errorf("who followed %s still has %d keys, %d orders, %d owners, %d enders", name,
				len(x.keys), len(x.orders), len(x.owners), len(x.enders))
		}
	}
	cancel()
	for range 2 {
		if err := <-followed; err != nil {
			t.Error(err)
		}
	}
	if s := g.sources[""]; s != nil {
		t.Errorf("archived orders count as those of a source without a name: %+v", s)
	}
	g.note(&patchbayv1.Order{Id: "new", Source: "other", AcceptedAt: timestamppb.New(j.Now())}, j.Now().Add(2*window))
	if g.sources["test"] != nil {
		t.Error("a source that has used nothing for two minutes is remembered")
	}
}

// live writes the life of a circuit that was ordered and deleted.
func live(t *testing.T, j *journal.Journal, i int) {
	t.Helper()
	create, remove, circuit := fmt.Sprintf("create-%d", i), fmt.Sprintf("delete-%d", i), fmt.Sprintf("circuit-%d", i)
	legs := []*patchbayv1.OrderLeg{{Leg: "primary", ConnectionId: circuit, State: "completed", Attempt: &patchbayv1.Attempt{Number: 1}}}
	for _, f := range []struct {
		noun event.Noun
		id   string
		name string
		data proto.Message
	}{
		{event.Order, create, "completed", &patchbayv1.Order{Id: create, Kind: "create", Source: "test", Fact: "completed",
			Outcome: "completed", Exchange: "equinix", AcceptedAt: timestamppb.New(j.Now()), Legs: legs}},
		{event.Connection, circuit, "deprovisioned.not_available", &patchbayv1.Transition{Connection: &patchbayv1.Connection{
			Id: circuit, OrderId: create, Status: "DEPROVISIONED", ProviderStatus: "NOT_AVAILABLE"}}},
		{event.Order, remove, "completed", &patchbayv1.Order{Id: remove, Kind: "delete", Source: "test", Fact: "completed",
			Outcome: "completed", Exchange: "equinix", AcceptedAt: timestamppb.New(j.Now()), TargetOrderId: create, Legs: legs}},
	} {
		_, err := j.Append(t.Context(), journal.Record{}, event.Fact{
			Entity: event.Entity{Noun: f.noun, ID: f.id}, Name: f.name, By: "test", Exchange: "equinix", Data: f.data})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// reached waits until an index knows all of the journal. Nothing else is appended meanwhile.
func reached(t *testing.T, x *index, j *journal.Journal) {
	t.Helper()
	seq, err := j.LastSeq(t.Context())
	if err == nil {
		_, err = x.of(t.Context(), "", seq)
	}
	if err != nil {
		t.Fatal(err)
	}
}
