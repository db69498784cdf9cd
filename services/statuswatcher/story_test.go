package statuswatcher_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/status"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

const trace1 = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// order appends a fact of an order, whatever its last one is.
func (w *world) order(t *testing.T, o *patchbayv1.Order) journal.Record {
	t.Helper()
	e := event.Entity{Noun: event.Order, ID: o.GetId()}
	last, err := w.j.Last(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.j.Append(t.Context(), last, event.Fact{
		Entity: e, Name: o.GetFact(), Data: o, By: "requester", Order: o.GetId(), Exchange: "equinix",
		Origin: event.Origin{TraceParent: trace1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// placing is an order about to place a circuit that will show the key of requested(id).
func placing(order, id string) *patchbayv1.Order {
	return &patchbayv1.Order{
		Id: order, Fact: "placing", Kind: "create", Account: "acme", Exchange: "equinix", Api: "ecx", Flow: "approval",
		Leg: "primary", Legs: []*patchbayv1.OrderLeg{{
			Leg: "primary", State: "placing", Attempt: &patchbayv1.Attempt{Number: 1, LookupKey: "port-1/circuit-" + id},
		}},
	}
}

func placed(o *patchbayv1.Order, id string) *patchbayv1.Order {
	o = proto.CloneOf(o)
	o.Fact, o.Legs[0].State, o.Legs[0].ExchangeId = "placed", "placed", id
	o.Legs[0].ConnectionId = event.ConnectionID("equinix", id)
	return o
}

// A circuit that was placed, and deleted in the portal before anybody looked, is announced
// as gone, or its order would wait for it for ever, and a delete with it.
func TestVanishedUnseen(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	o := placing("o-1", "x-1")
	w.order(t, o)
	w.order(t, placed(o, "x-1"))
	began := time.Now()
	w.run(t, fast)
	r := w.facts(t, event.Connection.Filter("deprovisioned.not_available", event.ConnectionID("equinix", "x-1")), 1)[0]
	if d := time.Since(began); d < 2*fast.Full-50*time.Millisecond {
		t.Errorf("announced as gone after %v; it may be shown late", d)
	}
	if c := transition(t, r).GetConnection(); c.GetOrderId() != "o-1" || c.GetLeg() != "primary" || c.GetExchangeId() != "x-1" {
		t.Errorf("connection = %v, want the primary of o-1", c)
	}
	n := len(w.history(t, connection("x-1")))
	w.settled(t)
	if got := steps(w.history(t, connection("x-1"))); len(strings.Fields(got)) != n {
		t.Errorf("steps = %s; want nothing more", got)
	}
}

// A circuit that an order deletes before anybody looked is announced as gone as soon as the
// exchange would show it if it were there, and not after hours.
func TestDeletedUnseen(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	w.rt.Accounts.Accounts[0].Attempt, w.rt.Accounts.Accounts[0].Quiet = 100*time.Millisecond, 200*time.Millisecond
	o := placing("o-1", "x-1")
	w.order(t, o)
	began := time.Now()
	w.order(t, placed(o, "x-1"))
	w.order(t, &patchbayv1.Order{
		Id: "o-2", Fact: "placed", Kind: "delete", Account: "acme", Exchange: "equinix", Api: "ecx",
		Legs: []*patchbayv1.OrderLeg{{
			Leg: "primary", State: "placed", ExchangeId: "x-1", ConnectionId: event.ConnectionID("equinix", "x-1"),
		}},
	})
	pace := fast
	pace.Full = time.Hour
	w.run(t, pace)
	r := w.facts(t, event.Connection.Filter("deprovisioned.not_available", event.ConnectionID("equinix", "x-1")), 1)[0]
	if d := time.Since(began); d < 300*time.Millisecond {
		t.Errorf("announced as gone after %v; it may be shown for 300ms", d)
	}
	if c := transition(t, r).GetConnection(); c.GetOrderId() != "o-1" || c.GetExchangeId() != "x-1" {
		t.Errorf("connection = %v, want that of o-1", c)
	}
}

// A circuit is seen before its order knows that it was placed.
func TestOrderOfCircuitSeenEarly(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	w.order(t, placing("o-old", "x-1")) // an older try of somebody with the same key
	cause := w.order(t, placing("o-1", "x-1"))
	w.run(t, fast)
	c := requested("x-1")
	c.Flow = ""
	c.CreatedAt = timestamppb.New(time.Now().Add(-2 * time.Second)) // the exchange's clock is behind
	w.m.put(c)
	r := w.facts(t, connection("x-1"), 1)[0]
	got := transition(t, r).GetConnection()
	if got.GetOrderId() != "o-1" || got.GetLeg() != "primary" || got.GetFlow() != "approval" {
		t.Errorf("order %q, leg %q, flow %q; want o-1, the newest that may have made it", got.GetOrderId(), got.GetLeg(), got.GetFlow())
	}
	if got.GetBuyerAccount() != "acme" || got.GetSellerAccount() != "cloud" {
		t.Errorf("accounts = %q, %q", got.GetBuyerAccount(), got.GetSellerAccount())
	}
	for name, want := range map[string]string{
		event.ExtTraceParent: trace1, event.ExtCorrelationID: "o-1", event.ExtCausationID: cause.Event.ID(),
		event.ExtExchange: "equinix",
	} {
		if got := event.Ext(r.Event, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	w.m.move("x-1", status.Provisioning, status.NotAvailable)
	if r := w.facts(t, connection("x-1"), 2)[1]; event.Ext(r.Event, event.ExtTraceParent) != trace1 {
		t.Error("the next step has left the trace")
	}
}

// The order is written down, and its circuit made, while the list is on its way: the
// watcher's index cannot know it yet.
func TestOrderDuringList(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	once := false
	w.m.onList = func(role string, _ bool, n int) error {
		if n > 4 && role == exchange.Buyer && !once {
			once = true
			for _, id := range []string{"x-1", "x-2", "x-3"} {
				w.order(t, placing("o-"+id, id))
				w.m.circuits[id] = requested(id)
			}
		}
		return nil
	}
	w.run(t, fast)
	for _, id := range []string{"x-1", "x-2", "x-3"} {
		if got := transition(t, w.facts(t, connection(id), 1)[0]).GetConnection().GetOrderId(); got != "o-"+id {
			t.Errorf("order of %s = %q, want o-%s", id, got, id)
		}
	}
}

// Circuits that look like an order's and are not.
func TestNotTheOrders(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	w.order(t, placing("o-1", "x-1"))
	before := requested("x-1")
	before.CreatedAt = timestamppb.New(time.Now().Add(-time.Minute))
	w.m.put(before)
	taken := placing("o-2", "x-2")
	w.order(t, taken)
	w.order(t, placed(taken, "x-other"))
	w.m.put(requested("x-2"))
	w.run(t, fast)
	for id, reason := range map[string]string{
		"x-1": "it was created long before the order was placed",
		"x-2": "the order's leg has another circuit",
	} {
		if got := transition(t, w.facts(t, connection(id), 1)[0]).GetConnection(); got.GetOrderId() != "" {
			t.Errorf("%s belongs to %s: %s", id, got.GetOrderId(), reason)
		}
	}
}

// A circuit that shows no key waits for the order that may be about to get it.
func TestCircuitWithoutKey(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	o := placing("o-1", "x-1")
	w.order(t, o)
	mine, old := requested("x-1"), requested("x-2")
	mine.Name, old.Name = "", ""
	old.CreatedAt = timestamppb.New(time.Now().Add(-time.Hour))
	w.m.put(mine)
	w.m.put(old)
	w.run(t, fast)
	w.facts(t, connection("x-2"), 1) // it was there before the order
	w.settled(t)
	if got := w.history(t, connection("x-1")); len(got) != 0 {
		t.Fatalf("announced as %v while the order's call is not over", names(got))
	}
	w.order(t, placed(o, "x-1"))
	if got := transition(t, w.facts(t, connection("x-1"), 1)[0]).GetConnection().GetOrderId(); got != "o-1" {
		t.Errorf("order = %q, want o-1", got)
	}
}

// A hint has a circuit looked at that no list shows yet, by its exchange id.
func TestHint(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	slow := fast
	slow.Moving, slow.Quiet, slow.Full = time.Hour, time.Hour, time.Hour
	w.run(t, slow)
	for w.m.count("all") < 2 {
		waitABit(t)
	}
	c := requested("x-1")
	c.Name = "" // no key
	w.m.hidden["x-1"], w.m.blind["x-1"] = true, true
	w.m.put(c)
	o := placing("o-1", "x-1")
	w.order(t, o)
	hint := w.order(t, placed(o, "x-1"))
	for w.m.count("get x-1") < 2 {
		waitABit(t)
	}
	w.m.mu.Lock()
	w.m.blind["x-1"] = false
	w.m.mu.Unlock()
	r := w.facts(t, connection("x-1"), 1)[0]
	tr := transition(t, r)
	if tr.GetObservedBy() != "command" || tr.GetConnection().GetOrderId() != "o-1" {
		t.Errorf("observed by %q for order %q, want command for o-1", tr.GetObservedBy(), tr.GetConnection().GetOrderId())
	}
	if got := event.Ext(r.Event, event.ExtCausationID); got != hint.Event.ID() {
		t.Errorf("cause = %s, want the hint %s", got, hint.Event.ID())
	}
	// The seller's acceptance names the same circuit, and the buyer's account looks at it.
	w.m.move("x-1", status.Provisioning, status.NotAvailable)
	_, err := w.j.Append(t.Context(), journal.Record{}, event.Fact{
		Entity: event.Entity{Noun: event.Landing, ID: c.GetId()}, Name: "accepted", By: "provisioner",
		Data: &patchbayv1.Landing{ConnectionId: c.GetId(), Account: "cloud", ExchangeId: "x-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.facts(t, event.Connection.Filter("provisioning.not_available", "*"), 1)
	if n := w.m.count("moving"); n != 0 {
		t.Errorf("%d sweeps, want none: the hints were enough", n)
	}
}

// hung does not answer about one circuit until it is let go.
type hung struct {
	*client
	id    string
	let   chan struct{}
	asked atomic.Int64
}

func (h *hung) Get(ctx context.Context, id string) (*patchbayv1.Connection, error) {
	if id == h.id {
		h.asked.Add(1)
		select {
		case <-h.let:
		case <-ctx.Done():
		}
	}
	return h.client.Get(ctx, id)
}

// A circuit that the exchange does not answer about holds up no other of the account, and is
// not asked for a second time meanwhile.
func TestHungLook(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	h := &hung{client: w.m.buyer("port-1"), id: "x-1", let: make(chan struct{})}
	w.rt.Clients["acme"] = h
	slow := fast
	slow.Moving, slow.Quiet, slow.Full = time.Hour, time.Hour, time.Hour
	w.run(t, slow)
	for w.m.count("all") < 2 {
		waitABit(t)
	}
	for _, id := range []string{"x-1", "x-2"} {
		w.m.mu.Lock()
		w.m.hidden[id] = true
		w.m.mu.Unlock()
		w.m.put(requested(id))
	}
	hint := func(id string) {
		o := placing("o-"+id, id)
		w.order(t, o)
		w.order(t, placed(o, id))
	}
	hint("x-1")
	for h.asked.Load() == 0 {
		waitABit(t)
	}
	if _, err := w.j.Append(t.Context(), journal.Record{}, event.Fact{ // the same again, from the seller
		Entity: event.Entity{Noun: event.Landing, ID: "c-1"}, Name: "accepted", By: "provisioner",
		Data: &patchbayv1.Landing{ConnectionId: "c-1", Account: "acme", ExchangeId: "x-1"},
	}); err != nil {
		t.Fatal(err)
	}
	hint("x-2")
	w.facts(t, connection("x-2"), 1)
	if n := h.asked.Load(); n != 1 {
		t.Errorf("the circuit was asked for %d times at once, want 1", n)
	}
	close(h.let)
	w.facts(t, connection("x-1"), 1)
}

// A look that was overtaken is thrown away, not written after the newer fact.
func TestStaleLook(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	w.m.put(requested("x-1"))
	stop := w.run(t, fast)
	first := w.facts(t, connection("x-1"), 1)[0]
	stop()
	// While the exchange makes up its answer, another watcher sees more.
	tr := transition(t, first)
	overtaken := false
	w.m.onGet = func(string, int) (*patchbayv1.Connection, error) {
		if overtaken {
			return nil, nil
		}
		overtaken = true
		next := proto.CloneOf(tr)
		next.Connection.Status, next.Connection.ProviderStatus = "PROVISIONED", "AVAILABLE"
		next.Connection.UpdatedAt = nil // nothing but the journal tells which look is older
		_, err := w.j.Append(context.Background(), first, event.Fact{
			Entity: first.Entity(), Name: "provisioned.available", By: "status-watcher", Data: next,
		})
		if err != nil {
			t.Error(err)
		}
		waitFor(t, 30*time.Millisecond) // the watcher learns of it by its index, or else by losing
		w.m.circuits["x-1"] = next.GetConnection()
		old := proto.CloneOf(tr.GetConnection())
		old.Status, old.UpdatedAt = "REJECTED", nil
		return old, nil
	}
	w.m.mu.Lock()
	w.m.hidden["x-1"] = true
	w.m.mu.Unlock()
	w.run(t, fast)
	w.settled(t)
	if got, want := steps(w.history(t, connection("x-1"))), "pending_approval.not_available provisioned.available"; got != want {
		t.Errorf("steps = %s, want %s", got, want)
	}
}

// A list served from an old copy.
func TestBackwardInList(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	c := requested("x-1")
	c.Status, c.ProviderStatus, c.UpdatedAt = "PROVISIONED", "AVAILABLE", nil
	w.m.put(c)
	w.run(t, fast)
	w.facts(t, connection("x-1"), 1)
	var believed atomic.Bool
	w.m.mu.Lock()
	w.m.onGet = func(string, int) (*patchbayv1.Connection, error) {
		if believed.Load() {
			return nil, nil
		}
		return c, nil
	}
	old := requested("x-1")
	old.UpdatedAt = nil
	w.m.circuits["x-1"] = old
	w.m.mu.Unlock()
	w.settled(t)
	if got := steps(w.history(t, connection("x-1"))); got != "provisioned.available" {
		t.Errorf("steps = %s: a list was believed that the circuit itself contradicts", got)
	}
	if w.m.count("get x-1") == 0 {
		t.Error("the circuit was not asked")
	}
	believed.Store(true)
	w.facts(t, connection("x-1"), 2)
	if got := transition(t, w.history(t, connection("x-1"))[1]); !got.GetUnexpected() {
		t.Errorf("the step back = %v, want unexpected", got)
	}
}

// A status nobody documented is told, logged once, and survived.
func TestUnknownStatus(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	var log testenv.Log
	w.rt.Log = zerolog.New(&log)
	w.m.put(requested("x-1"))
	w.run(t, fast)
	w.facts(t, connection("x-1"), 1)
	w.m.edit("x-1", func(c *patchbayv1.Connection) {
		c.Status, c.Native = "UNKNOWN", &patchbayv1.Native{Status: "MOONSTRUCK", ProviderStatus: "NOT_AVAILABLE"}
	})
	w.facts(t, connection("x-1"), 2)
	w.settled(t)
	w.m.move("x-1", status.Provisioned, status.Available)
	all := w.facts(t, connection("x-1"), 3)
	want := "pending_approval.not_available unknown.not_available provisioned.available"
	if got := steps(all); got != want {
		t.Errorf("steps = %s, want %s", got, want)
	}
	if got := transition(t, all[1]).GetTo().GetNative().GetStatus(); got != "MOONSTRUCK" {
		t.Errorf("native status = %q, want the exchange's own word", got)
	}
	if n := strings.Count(log.String(), "MOONSTRUCK"); n != 1 {
		t.Errorf("%d lines in the log about the status, want 1:\n%s", n, log.String())
	}
}

// A seller's account that joins later is a party of a circuit that was announced.
func TestSighting(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	cloud := w.rt.Clients["cloud"]
	delete(w.rt.Clients, "cloud")
	w.m.put(requested("x-1"))
	stop := w.run(t, fast)
	first := transition(t, w.facts(t, connection("x-1"), 1)[0])
	if got := first.GetConnection().GetSellerAccount(); got != "" {
		t.Fatalf("seller = %q before there is one", got)
	}
	stop()
	w.rt.Clients["cloud"] = cloud
	w.run(t, fast)
	r := w.facts(t, event.Sighting.Filter("seller", "*"), 1)[0]
	var s patchbayv1.Sighting
	if err := r.Into(&s); err != nil || s.GetAccount() != "cloud" || s.GetConnection().GetSellerAccount() != "cloud" {
		t.Errorf("sighting = %v, %v", &s, err)
	}
	w.m.move("x-1", status.Provisioning, status.NotAvailable)
	next := transition(t, w.facts(t, connection("x-1"), 2)[1])
	if got := next.GetConnection().GetSellerAccount(); got != "cloud" {
		t.Errorf("seller of the next step = %q, want cloud", got)
	}
	w.settled(t)
	if n := len(w.history(t, event.Sighting.Filter("*", "*"))); n != 1 {
		t.Errorf("%d sightings, want 1", n)
	}
}

// A change order whose values are there at once, and one that takes its time.
func TestChangeOrder(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	c := requested("x-1")
	w.m.put(c)
	w.m.move("x-1", status.Provisioned, status.Available)
	w.run(t, fast)
	w.facts(t, connection("x-1"), 1)
	change := func(id string, mbps int32) *patchbayv1.Order {
		return &patchbayv1.Order{
			Id: id, Fact: "placed", Kind: "change", Account: "acme",
			Change: &patchbayv1.ChangeIntent{Set: &patchbayv1.ChangeSet{BandwidthMbps: &mbps}},
			Legs: []*patchbayv1.OrderLeg{{
				Leg: "primary", State: "placed", ExchangeId: "x-1", ConnectionId: c.GetId(),
			}},
		}
	}
	w.order(t, change("o-1", 50))
	all := w.facts(t, event.Change.Filter("completed", c.GetId()), 1)
	if got := event.Ext(all[0].Event, event.ExtCorrelationID); got != "o-1" {
		t.Errorf("the change belongs to %q, want o-1", got)
	}
	w.order(t, change("o-2", 200))
	w.m.edit("x-1", func(c *patchbayv1.Connection) { c.ChangePending, c.PendingBandwidthMbps = true, 200 })
	w.facts(t, event.Change.Filter("submitted_for_approval", c.GetId()), 1)
	w.m.edit("x-1", func(c *patchbayv1.Connection) {
		c.ChangePending, c.PendingBandwidthMbps, c.BandwidthMbps = false, 0, 200
	})
	w.facts(t, event.Change.Filter("completed", c.GetId()), 2)
	w.settled(t)
	var got []string
	for _, r := range w.history(t, event.Change.Filter("*", c.GetId())) {
		var ch patchbayv1.Change
		if err := r.Into(&ch); err != nil {
			t.Fatal(err)
		}
		got = append(got, ch.GetFrom()+">"+ch.GetStatus()+":"+ch.GetOrderId())
	}
	want := ">COMPLETED:o-1 COMPLETED>SUBMITTED_FOR_APPROVAL:o-2 SUBMITTED_FOR_APPROVAL>COMPLETED:o-2"
	if strings.Join(got, " ") != want {
		t.Errorf("changes = %s\nwant      %s", strings.Join(got, " "), want)
	}
}

// The exchange is down, then throttles, then answers.
func TestExchangeAway(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	w.m.onList = func(_ string, _ bool, n int) error {
		switch {
		case n < 4:
			return errDown
		case n < 6:
			return exchange.Throttled{After: 20 * time.Millisecond}
		}
		return nil
	}
	w.m.put(requested("x-1"))
	w.run(t, fast)
	w.facts(t, connection("x-1"), 1)
}

// The seller's account alone was shown a request; then its order says whose it is, and it is
// gone before the buyer's account was ever shown it. One of the two has to tell.
func TestGoneBeforeItsBuyerSawIt(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	c := requested("x-1")
	c.Name, c.ASide = "", nil // a request shows neither name nor port
	w.m.put(c)
	w.run(t, fast)
	if tr := transition(t, w.facts(t, connection("x-1"), 1)[0]); tr.GetConnection().GetBuyerAccount() != "" {
		t.Fatalf("buyer = %q before anything tells", tr.GetConnection().GetBuyerAccount())
	}
	w.m.remove("x-1")
	if _, err := w.j.Append(t.Context(), journal.Record{}, event.Fact{
		Entity: event.Entity{Noun: event.Order, ID: "o-1"}, Name: "placed", By: "requester", Order: "o-1",
		Data: &patchbayv1.Order{Id: "o-1", Fact: "placed", Kind: "create", Account: "acme", Legs: []*patchbayv1.OrderLeg{{
			Leg: "primary", State: "placed", ExchangeId: "x-1", ConnectionId: c.GetId(), Attempt: &patchbayv1.Attempt{Number: 1},
		}}},
	}); err != nil {
		t.Fatal(err)
	}
	if got := transition(t, w.facts(t, connection("x-1"), 2)[1]); got.GetTo().GetStatus() != "DEPROVISIONED" {
		t.Errorf("then %v, want DEPROVISIONED", got.GetTo())
	}
}
