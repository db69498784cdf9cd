package statuswatcher

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

	"patchbay.io/pkg/archive"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Who begins with the newest facts knows what one knows who has followed from the first, of
// what was archived too, and of what nobody can read.
func TestBegin(t *testing.T) {
	for _, seed := range []uint64{
		8477023243241045133, // an order whose accepting was taken for since when its circuit is awaited
		rand.Uint64(),
	} {
		t.Run("", func(t *testing.T) { testBegin(t, seed) })
	}
}

func testBegin(t *testing.T, seed uint64) {
	t.Logf("seed %d", seed)
	h := history{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), j: testenv.Journal(t),
		last: map[event.Entity]journal.Record{}, stages: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	begin := func() *index {
		x := newIndex()
		go func() { ended <- x.follow(ctx, h.j, func(journal.Record) {}) }()
		return x
	}
	reach := func(x *index) {
		seq, err := h.j.LastSeq(t.Context())
		if err == nil {
			err = x.reach(t.Context(), seq)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	followed := begin()
	reach(followed)
	for i := range 2 {
		live(t, h.j, i)
	}
	reach(followed) // or it would read what is purged no sooner than afterwards
	rep, err := archive.Run(t.Context(), h.j, filepath.Join(t.TempDir(), "a"), archive.Options{Before: h.j.Now().Add(time.Hour)})
	if err != nil || len(rep.Kept) != 0 {
		t.Fatalf("archive = %+v, %v; want all put away", rep, err)
	}
	for range 150 {
		h.append(h.random())
	}
	for i := range 3 { // of each kind
		h.append(orderIn(fmt.Sprintf("order-%c", 'm'+i), 3))
		h.append(strange(orderIn(fmt.Sprintf("order-%c", 'm'+i), 3)))
	}
	reach(followed)
	begun := begin()
	reach(begun)
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if done, progress := begun.reading.Part(); !done {
		t.Errorf("the reading is at %v, want it done", progress)
	}
	got, want := known(begun), known(followed)
	for what := range want {
		if !reflect.DeepEqual(got[what], want[what]) {
			t.Errorf("%s:\n%v\nwant\n%v", what, got[what], want[what])
		}
	}
}

// known is what an index knows, without its counts of what it has read.
func known(x *index) map[string]any {
	circuits, orders, tokens := map[string]string{}, map[string]string{}, map[string]string{}
	for id, c := range x.circuits {
		circuits[id] = fmt.Sprint(c.conn, c.fact.Seq, c.past.change, c.change.Seq, c.sighting.Seq, c.sighted, c.newer, c.archived)
	}
	for id, o := range x.orders {
		orders[id] = fmt.Sprintf("%+v", *o)
	}
	for id, n := range x.tokens {
		tokens[id] = fmt.Sprint(n.token, n.fact.Seq, n.archived)
	}
	return map[string]any{
		"circuits": circuits, "restless": x.restless, "orders": orders, "placings": x.placed, "claims": x.claims,
		"awaited": x.awaited, "calls": x.calling, "changes": x.altering, "ends of changes": x.told,
		"deletes": x.removing, "tokens": tokens, "put away": x.away,
	}
}

// history writes facts about a few circuits, tokens and orders, which go through their stages.
type history struct {
	t      *testing.T
	rnd    *rand.Rand
	j      *journal.Journal
	last   map[event.Entity]journal.Record
	stages map[string]int
}

func (h *history) append(f event.Fact) {
	h.t.Helper()
	r, err := h.j.Append(h.t.Context(), h.last[f.Entity], f)
	if err != nil {
		h.t.Fatal(err)
	}
	h.last[f.Entity] = r
}

// strange is a fact with data that its readers cannot read.
func strange(f event.Fact) event.Fact {
	f.Data = &structpb.Struct{Fields: map[string]*structpb.Value{"legs": structpb.NewStringValue("none")}}
	return f
}

func (h *history) random() event.Fact {
	pick := func(words ...string) string { return words[h.rnd.IntN(len(words))] }
	exchangeID, orderID := fmt.Sprintf("ECX-%c", ids[h.rnd.IntN(12)]), fmt.Sprintf("order-%c", ids[h.rnd.IntN(12)])
	id := event.ConnectionID("equinix", exchangeID)
	fact := func(n event.Noun, id, name string, data proto.Message) event.Fact {
		return event.Fact{Entity: event.Entity{Noun: n, ID: id}, Name: name, By: name, Data: data}
	}
	switch h.rnd.IntN(7) {
	case 0:
		s := pick("PENDING_APPROVAL", "PROVISIONING", "PROVISIONED", "DEPROVISIONED")
		c := &patchbayv1.Connection{Id: id, Exchange: "equinix", ExchangeId: exchangeID, Status: s, ProviderStatus: "AVAILABLE"}
		return fact(event.Connection, id, pick("pending_approval", "provisioning", "provisioned")+".available",
			&patchbayv1.Transition{Connection: c})
	case 1:
		change := &patchbayv1.Change{ConnectionId: id, Status: pick("PENDING", "COMPLETED", "REJECTED")}
		if h.stages[orderID] < lastStage {
			change.OrderId = orderID
		}
		return fact(event.Change, id, pick("pending", "completed", "rejected"), change)
	case 2:
		role := pick("buyer", "seller")
		return fact(event.Sighting, id, role, &patchbayv1.Sighting{ConnectionId: id, Role: role, Account: pick("a", "b")})
	case 3:
		token := pick("token-a", "token-b")
		return fact(event.Token, token, pick("active", "expired"), &patchbayv1.Token{Id: token, State: pick("ACTIVE", "EXPIRED")})
	default:
		if h.stages[orderID] < lastStage && h.rnd.IntN(3) > 0 {
			h.stages[orderID]++
		}
		return orderIn(orderID, h.stages[orderID])
	}
}

// ids end those of orders and of circuits.
const ids = "abcdefghijkl"

// lastStage is that of an order that has ended.
const lastStage = 4

// orderIn is the fact of an order in a stage; its id says of what kind it is, and which
// circuit it is about. A circuit was made by one order only.
func orderIn(id string, stage int) event.Fact {
	n := int(id[len(id)-1])
	fact := []string{"accepted", "placing", "placing", "placed", []string{"completed", "failed"}[n/2%2]}[stage]
	kind := []string{exchange.Create, exchange.Create, exchange.Change, exchange.Delete}[n%4]
	exchangeID := fmt.Sprintf("ECX-%c", n)
	if kind != exchange.Create {
		exchangeID = fmt.Sprintf("ECX-%c", n-n%4) // that a create has made
	}
	leg := &patchbayv1.OrderLeg{Leg: "primary", State: fact, Attempt: &patchbayv1.Attempt{LookupKey: fmt.Sprint("key-", n%3)}}
	if kind != exchange.Create || stage >= 3 {
		leg.ExchangeId, leg.ConnectionId = exchangeID, event.ConnectionID("equinix", exchangeID)
	}
	o := &patchbayv1.Order{Id: id, Fact: fact, Kind: kind, Account: "a", Exchange: "equinix", Legs: []*patchbayv1.OrderLeg{leg}}
	if stage == lastStage {
		o.Outcome = fact
	}
	return event.Fact{Entity: event.Entity{Noun: event.Order, ID: id}, Name: fact, By: "requester", Data: o}
}
