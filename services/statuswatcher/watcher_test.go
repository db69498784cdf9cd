package statuswatcher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/status"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/statuswatcher"
)

func TestMain(m *testing.M) {
	embedded.KeepTime()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// fast is a pace for tests on the real clock.
var fast = statuswatcher.Pace{
	Moving: 20 * time.Millisecond, Quiet: 60 * time.Millisecond, Full: 150 * time.Millisecond, Settle: 10 * time.Millisecond,
}

// world is a journal, an exchange, and the accounts that watch it.
type world struct {
	j  *journal.Journal
	m  *market
	rt service.Runtime
}

// newWorld has a buyer with port-1 and a seller with profile-1.
func newWorld(t testing.TB, j *journal.Journal) *world {
	t.Helper()
	m := newMarket()
	return &world{j: j, m: m, rt: service.Runtime{
		Journal: j, Log: zerolog.Nop(),
		Accounts: account.File{Accounts: []account.Account{
			{Name: "acme", API: account.ECX, Role: account.Buyer},
			{Name: "cloud", API: account.ECX, Role: account.Seller},
		}},
		Clients: map[string]exchange.Client{"acme": m.buyer("port-1"), "cloud": m.seller("profile-1")},
	}}
}

// run watches until the test ends or stop is called.
func (w *world) run(t *testing.T, p statuswatcher.Pace) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- statuswatcher.Run(ctx, w.rt, p) }()
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// facts collects the facts that match a filter until enough have come.
func (w *world) facts(t *testing.T, filter string, n int) []journal.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var all []journal.Record
	enough := errors.New("enough")
	err := w.j.Follow(ctx, journal.From{}, []string{filter}, func(r journal.Record) error {
		all = append(all, r)
		if len(all) >= n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("%d facts on %s, want %d: %v\n%s", len(all), filter, n, err, strings.Join(names(all), "\n"))
	}
	return all
}

// history is what there is now.
func (w *world) history(t *testing.T, filter string) []journal.Record {
	t.Helper()
	var all []journal.Record
	if err := w.j.History(t.Context(), []string{filter}, func(r journal.Record) error {
		all = append(all, r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func names(rs []journal.Record) []string {
	var all []string
	for _, r := range rs {
		all = append(all, strings.TrimPrefix(r.Subject, "patchbay."))
	}
	return all
}

func steps(rs []journal.Record) string {
	var all []string
	for _, r := range rs {
		f := strings.Split(r.Subject, ".")
		all = append(all, f[2]+"."+f[3])
	}
	return strings.Join(all, " ")
}

// settled waits until every account has swept the exchange whole twice from now on; a third
// sweep begins when the second is over.
func (w *world) settled(t *testing.T) {
	t.Helper()
	from := map[string]int{}
	for name, c := range w.rt.Clients {
		from[name] = c.(interface{ swept() int }).swept()
	}
	deadline := time.Now().Add(60 * time.Second)
	for name, c := range w.rt.Clients {
		for c.(interface{ swept() int }).swept() < from[name]+3 {
			if time.Now().After(deadline) {
				t.Fatalf("no full sweeps of %s for 60s", name)
			}
			waitABit(t)
		}
	}
}

// waitABit lets others work; there is no event to wait for.
func waitABit(t *testing.T) {
	t.Helper()
	waitFor(t, 5*time.Millisecond)
}

func waitFor(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
	case <-time.After(d):
	}
}

func transition(t *testing.T, r journal.Record) *patchbayv1.Transition {
	t.Helper()
	var tr patchbayv1.Transition
	if err := r.Into(&tr); err != nil {
		t.Fatal(err)
	}
	return &tr
}

func connection(id string) string {
	return event.Connection.Filter("*", event.ConnectionID("equinix", id))
}

// A circuit that nobody ordered here, from its request to its end.
func TestForeignCircuit(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	w.run(t, fast)
	c := requested("x-1")
	c.ASide.PortId = "somebody-else's"
	w.m.put(c)
	first := w.facts(t, connection("x-1"), 1)[0]
	tr := transition(t, first)
	if !tr.GetFirst() || tr.GetInferred() || tr.GetFrom() != nil {
		t.Errorf("first sighting = %v, want first and no from", tr)
	}
	if got := tr.GetConnection(); got.GetSellerAccount() != "cloud" || got.GetBuyerAccount() != "" || got.GetOrderId() != "" {
		t.Errorf("accounts and order = %q %q %q, want the seller only", got.GetBuyerAccount(), got.GetSellerAccount(), got.GetOrderId())
	}
	if event.Ext(first.Event, event.ExtTraceParent) != "" || event.Ext(first.Event, event.ExtCorrelationID) != "" {
		t.Error("a circuit that nobody ordered has a correlation id, or a trace without a tracer")
	}
	w.m.move("x-1", status.Provisioned, status.Available)
	w.facts(t, connection("x-1"), 3)
	w.m.remove("x-1")
	w.facts(t, event.Connection.Filter("deprovisioned.not_available", "*"), 1)
	w.settled(t)
	all := w.history(t, connection("x-1"))
	want := "pending_approval.not_available provisioning.not_available provisioned.available " +
		"pending_delete.available deprovisioning.available deprovisioned.not_available"
	if got := steps(all); got != want {
		t.Errorf("steps = %s\n want   %s", got, want)
	}
	for i, r := range all {
		tr := transition(t, r)
		if inferred := i == 1 || i == 3 || i == 4; tr.GetInferred() != inferred {
			t.Errorf("step %d: inferred = %v, want %v", i+1, tr.GetInferred(), inferred)
		}
		if r.Number() != uint64(i+1) {
			t.Errorf("step %d has sequence %d", i+1, r.Number())
		}
	}
}

// Two watchers see the same and write it once.
func TestTwoWatchers(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	w.run(t, fast)
	w.run(t, fast)
	for n := range 20 {
		w.m.put(requested(fmt.Sprintf("x-%d", n)))
	}
	w.facts(t, event.Connection.Filter("*", "*"), 20)
	for n := range 20 {
		w.m.move(fmt.Sprintf("x-%d", n), status.Provisioning, status.NotAvailable)
	}
	w.facts(t, event.Connection.Filter("provisioning.*", "*"), 20)
	for n := range 20 {
		w.m.move(fmt.Sprintf("x-%d", n), status.Provisioned, status.Available)
	}
	w.facts(t, event.Connection.Filter("provisioned.available", "*"), 20)
	w.settled(t)
	for n := range 20 {
		want := "pending_approval.not_available provisioning.not_available provisioned.available"
		if got := steps(w.history(t, connection(fmt.Sprintf("x-%d", n)))); got != want {
			t.Errorf("circuit %d: %s, want %s", n, got, want)
		}
	}
	if all := w.history(t, event.Change.Filter("*", "*")); len(all) != 0 {
		t.Errorf("change facts %v, want none", names(all))
	}
	if all := w.history(t, event.Sighting.Filter("*", "*")); len(all) != 0 {
		t.Errorf("sightings %v, want none: both parties were known at once", names(all))
	}
}

// forgetful is an account's view of a market that shows a circuit under its first name only to who
// knows it, and to all others under its alias.
type forgetful struct {
	*client
	mu    sync.Mutex
	known map[string]bool // first names
}

func (f *forgetful) Remind(c *patchbayv1.Connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[c.GetExchangeId()] = len(c.GetAliases()) > 0
}

func (f *forgetful) knows(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known[id]
}

func (f *forgetful) Get(ctx context.Context, id string) (*patchbayv1.Connection, error) {
	if !f.knows(id) {
		return nil, exchange.ErrGone
	}
	return f.client.Get(ctx, id)
}

func (f *forgetful) List(ctx context.Context, role string, _ bool, yield func(*patchbayv1.Connection) error) error {
	return f.client.List(ctx, role, false, func(c *patchbayv1.Connection) error {
		if !f.knows(c.GetExchangeId()) {
			c.ExchangeId = c.GetAliases()[0]
			c.Id, c.Aliases = event.ConnectionID("equinix", c.GetExchangeId()), nil
		}
		return yield(c)
	})
}

// A circuit keeps its name over a restart, though the exchange has stopped to show it.
func TestNameSurvivesRestart(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	w.rt.Accounts.Accounts = w.rt.Accounts.Accounts[:1]
	start := func(known map[string]bool) (stop func()) {
		w.rt.Clients = map[string]exchange.Client{"acme": &forgetful{client: w.m.buyer("port-1"), known: known}}
		return w.run(t, fast)
	}
	c := standing("x-1")
	c.Api, c.Aliases = "ecx", []string{"alias-1"}
	w.m.put(c)
	stop := start(map[string]bool{"x-1": true})
	w.facts(t, connection("x-1"), 1)
	stop()

	start(map[string]bool{})
	w.m.move("x-1", status.Deprovisioning, status.Available)
	w.facts(t, connection("x-1"), 2)
	if other := w.history(t, connection("alias-1")); len(other) > 0 {
		t.Errorf("%d facts under the circuit's other name, want none: it is one circuit", len(other))
	}
}
