package requester

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/archive"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Who begins with the newest facts knows what one knows who has followed from the first, of
// what was archived too, and of what nobody can read. Only orders that can be read are woken.
func TestBegin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	j := testenv.Journal(t)
	last := map[event.Entity]journal.Record{}
	write := func(e event.Entity, f event.Fact) {
		f.Entity, f.By, f.Exchange = e, "test", "equinix"
		r, err := j.Append(t.Context(), last[e], f)
		if err != nil {
			t.Fatal(err)
		}
		last[e] = r
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	begin := func() (x *index, g *gate, open chan map[string]bool) {
		x, g, open = newIndex(), newGate(Limits{}), make(chan map[string]bool, 1)
		note := func(o *patchbayv1.Order) { g.note(o, j.Now()) }
		go func() {
			woken, seq, err := x.begin(ctx, j, note)
			open <- woken
			if err == nil {
				err = x.follow(ctx, j, seq, note)
			}
			ended <- err
		}()
		return x, g, open
	}
	followed, followedGate, none := begin()
	<-none
	for i := range 3 {
		live(t, j, i)
	}
	reached(t, followed, j)
	rep, err := archive.Run(t.Context(), j, filepath.Join(t.TempDir(), "a"), archive.Options{Before: j.Now().Add(time.Hour)})
	if err != nil || rep.Entities != 9 {
		t.Fatalf("archive = %+v, %v; want 9 entities put away", rep, err)
	}
	orders := map[string]*patchbayv1.Order{}
	for range 120 {
		id := fmt.Sprintf("order-%d", rnd.IntN(20))
		if orders[id].GetOutcome() != "" && len(orders[id].GetOrphans()) > 0 {
			continue
		}
		orders[id] = further(rnd, id, orders[id])
		write(orderEntity(id), event.Fact{Name: orders[id].GetFact(), Data: orders[id]})
	}
	put := event.Entity{Noun: event.Connection, ID: event.ConnectionID("equinix", "circuit-0")}
	write(put, event.Fact{Name: event.Connection.Archived(), Data: &patchbayv1.Archived{Id: put.ID, Fact: event.Archived}})
	dark := further(rnd, "order-dark", nil)
	dark.Kind, dark.Legs[0].ConnectionId = exchange.Create, "dark"
	write(orderEntity("order-dark"), event.Fact{Name: dark.GetFact(), Data: dark})
	write(orderEntity("order-dark"), event.Fact{Name: order.Placed, Data: &structpb.Struct{
		Fields: map[string]*structpb.Value{"legs": structpb.NewStringValue("none")},
	}})
	reached(t, followed, j)
	begun, begunGate, open := begin()
	woken := <-open
	reached(t, begun, j)
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	delete(followedGate.sources, "test") // put away within a minute, as only tests do
	for id, o := range orders {
		if woken[id] != (o.GetOutcome() == "") {
			t.Errorf("%s is woken: %v, and its outcome is %q", id, woken[id], o.GetOutcome())
		}
	}
	if woken["order-dark"] || followed.owners["dark"] == "" {
		t.Errorf("an order that nobody can read is woken: %v, owns its circuit: %v", woken["order-dark"], followed.owners["dark"] != "")
	}
	if done, progress := begun.reading.Part(); !done {
		t.Errorf("the reading is at %v, want it done", progress)
	}
	for what, pair := range map[string][2]any{
		"open orders": {begun.orders, followed.orders}, "owners": {begun.owners, followed.owners},
		"enders": {begun.enders, followed.enders}, "use": {use(begunGate), use(followedGate)},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s:\n%v\nwant\n%v", what, pair[0], pair[1])
		}
	}
}

// use is what the gate knows of each source: the orders that are open, and those that came lately.
func use(g *gate) map[string]any {
	all := map[string]any{}
	for source, s := range g.sources {
		all[source] = []map[string]bool{s.open, s.recent.known, s.deletes.known}
	}
	return all
}

// further is what becomes of an order next. What it has named once it goes on naming.
func further(rnd *rand.Rand, id string, was *patchbayv1.Order) *patchbayv1.Order {
	circuit := func() string { return fmt.Sprintf("circuit-%d", rnd.IntN(6)) }
	if was == nil {
		return &patchbayv1.Order{
			Id: id, Kind: []string{exchange.Create, exchange.Change, exchange.Delete}[rnd.IntN(3)], Fact: "accepted",
			Source: fmt.Sprint("source-", rnd.IntN(2)), Exchange: "equinix", AcceptedAt: timestamppb.Now(),
			TargetOrderId: fmt.Sprintf("order-%d", rnd.IntN(20)), Legs: []*patchbayv1.OrderLeg{{Leg: "primary", State: order.Open}},
		}
	}
	o := proto.CloneOf(was)
	l := o.GetLegs()[0]
	if o.GetOutcome() != "" {
		o.Fact, o.Orphans = order.Orphaned, append(o.GetOrphans(), circuit())
		return o
	}
	if l.GetConnectionId() == "" && rnd.IntN(2) == 0 {
		l.ConnectionId = event.ConnectionID("equinix", circuit())
	}
	if l.GetAttempt() == nil && rnd.IntN(2) == 0 {
		l.Attempt = &patchbayv1.Attempt{Number: 1}
	}
	switch rnd.IntN(4) {
	case 0:
		o.Fact, o.Outcome, l.State = order.Failed, order.Failed, order.Failed
	case 1:
		o.Fact, o.Outcome, l.State = order.Completed, order.Completed, order.Completed
	default:
		o.Fact, l.State = order.Placed, order.Placed
	}
	return o
}
