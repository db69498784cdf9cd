package statuswatcher_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/status"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/statuswatcher"
)

// feeder is an account's view of a market that says what has changed.
type feeder struct {
	*client
	// past is what the exchange tells of each circuit.
	past map[string][]exchange.PastState
	// tokens are the account's, by uuid.
	tokens func() []exchange.Token
}

func (f *feeder) Changed(_ context.Context, role string, since time.Time, yield func(*patchbayv1.Connection) error) error {
	f.m.mu.Lock()
	f.m.calls["changed"]++
	var found []*patchbayv1.Connection
	for id, c := range f.m.circuits {
		if !f.m.hidden[id] && f.sees(role, c) && !c.GetUpdatedAt().AsTime().Before(since) {
			found = append(found, proto.CloneOf(c))
		}
	}
	f.m.calls["shown"] += len(found)
	f.m.mu.Unlock()
	for _, c := range found {
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

func (f *feeder) GetAll(_ context.Context, ids []string, yield func(*patchbayv1.Connection) error) error {
	f.m.mu.Lock()
	f.m.calls["batch"]++
	var found []*patchbayv1.Connection
	for _, id := range ids {
		f.m.calls["batch "+id]++
		if c := f.m.circuits[id]; c != nil && !f.m.blind[id] {
			found = append(found, proto.CloneOf(c))
		}
	}
	f.m.mu.Unlock()
	for _, c := range found {
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

func (f *feeder) Past(_ context.Context, id string, _ time.Time) ([]exchange.PastState, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.calls["past"]++
	return f.past[id], nil
}

func (f *feeder) Tokens(_ context.Context, yield func(exchange.Token) error) error {
	f.m.mu.Lock()
	f.m.calls["tokens"]++
	var all []exchange.Token
	if f.tokens != nil {
		all = f.tokens()
	}
	f.m.mu.Unlock()
	for _, t := range all {
		if err := yield(t); err != nil {
			return err
		}
	}
	return nil
}

// newFeedWorld is a world whose buyer's account says what has changed.
func newFeedWorld(t *testing.T) (*world, *feeder) {
	t.Helper()
	w := newWorld(t, testenv.Journal(t))
	f := &feeder{client: w.m.buyer("port-1"), past: map[string][]exchange.PastState{}}
	w.rt.Accounts.Accounts = []account.Account{{Name: "acme", API: account.Fabric, Role: account.Buyer}}
	w.rt.Clients = map[string]exchange.Client{"acme": f}
	return w, f
}

// standing is a circuit of Fabric's that was built long ago.
func standing(id string) *patchbayv1.Connection {
	c := requested(id)
	c.Api = "fabric"
	c.Status, c.ProviderStatus = "PROVISIONED", "AVAILABLE"
	c.Native = &patchbayv1.Native{Status: "PROVISIONED", ProviderStatus: "AVAILABLE", State: "ACTIVE"}
	c.CreatedAt = timestamppb.New(time.Now().Add(-24 * time.Hour))
	c.UpdatedAt = timestamppb.New(time.Now().Add(-time.Hour))
	return c
}

// What exists and does not change costs no calls: it is shown in sweeps over everything.
func TestFeedGrowsWithChanges(t *testing.T) {
	w, _ := newFeedWorld(t)
	for n := range 50 {
		w.m.put(standing(fmt.Sprintf("old-%d", n)))
	}
	recent := standing("recent")
	recent.UpdatedAt = timestamppb.Now()
	w.m.put(recent)
	slow := fast
	slow.Full = time.Hour
	w.run(t, slow)
	w.facts(t, event.Connection.Filter("*", "*"), 51)
	c := requested("x-1")
	c.Api = "fabric"
	w.m.put(c)
	w.facts(t, connection("x-1"), 1)
	w.m.move("x-1", status.Provisioning, status.ProviderProvisioning)
	w.facts(t, connection("x-1"), 2)
	w.m.move("x-1", status.Provisioned, status.Available)
	w.facts(t, connection("x-1"), 3)
	sweeps := w.m.count("changed")
	for w.m.count("changed") < sweeps+3 {
		waitABit(t)
	}
	if n := w.m.count("all"); n != 1 {
		t.Errorf("%d sweeps over everything, want the one at the start", n)
	}
	if n := w.m.count("moving"); n != 0 {
		t.Errorf("%d lists of what is in motion; the exchange says what has changed", n)
	}
	if n := w.m.count("get"); n != 0 {
		t.Errorf("%d circuits were asked for one by one, want none", n)
	}
	if got, most := w.m.count("shown"), 2*w.m.count("changed"); got > most {
		t.Errorf("%d circuits shown in %d sweeps; what did not change was read again", got, w.m.count("changed"))
	}
}

// What moves without the exchange saying so is read many at a time.
func TestBatchFindsWhatTheFeedDoesNotSay(t *testing.T) {
	w, _ := newFeedWorld(t)
	slow := fast
	slow.Full = time.Hour
	for n := range 20 {
		c := standing(fmt.Sprintf("x-%d", n))
		c.Status, c.ProviderStatus = "PROVISIONING", "PROVISIONING"
		w.m.put(c)
	}
	w.run(t, slow)
	w.facts(t, event.Connection.Filter("provisioning.*", "*"), 20)
	w.m.mu.Lock()
	for n := range 20 {
		c := proto.CloneOf(w.m.circuits[fmt.Sprintf("x-%d", n)])
		c.Status, c.ProviderStatus = "PROVISIONED", "AVAILABLE"
		w.m.circuits[c.GetExchangeId()] = c
		w.m.hidden[c.GetExchangeId()] = true
	}
	w.m.mu.Unlock()
	for _, r := range w.facts(t, event.Connection.Filter("provisioned.available", "*"), 20) {
		if by := transition(t, r).GetObservedBy(); by != "batch" {
			t.Errorf("observed by %s, want batch", by)
		}
	}
	if n := w.m.count("get"); n != 0 {
		t.Errorf("%d circuits were asked for one by one, want none", n)
	}
}

// A circuit that cannot be told yet is shown again, however long ago it changed.
func TestMarkStaysForWhatIsOpen(t *testing.T) {
	w, _ := newFeedWorld(t)
	o := placing("o-1", "x-1")
	o.Api = "fabric"
	w.order(t, o)
	mine := standing("x-1")
	mine.Name = "" // it shows no key
	mine.CreatedAt = timestamppb.Now()
	slow := fast
	slow.Full = time.Hour
	w.run(t, slow)
	for w.m.count("changed") < 2 {
		waitABit(t)
	}
	other := standing("x-2")
	other.ASide.PortId, other.CreatedAt, other.UpdatedAt = "port-1", timestamppb.New(time.Now().Add(-time.Hour)), timestamppb.Now()
	w.m.mu.Lock()
	w.m.circuits["x-1"], w.m.circuits["x-2"] = mine, other // the other one is much newer
	w.m.mu.Unlock()
	w.facts(t, connection("x-2"), 1)
	sweeps := w.m.count("changed")
	for w.m.count("changed") < sweeps+3 {
		waitABit(t)
	}
	if got := w.history(t, connection("x-1")); len(got) != 0 {
		t.Fatalf("announced as %v while the order's call is not over", names(got))
	}
	failed := proto.CloneOf(o)
	failed.Fact, failed.Outcome = "failed", "failed"
	w.order(t, failed)
	w.facts(t, connection("x-1"), 1)
}

// What the exchange tells of the time between two looks makes a step certain.
func TestPast(t *testing.T) {
	w, f := newFeedWorld(t)
	c := requested("x-1")
	c.Api = "fabric"
	w.m.put(c)
	c2 := proto.CloneOf(c)
	c2.Id, c2.ExchangeId, c2.Name = event.ConnectionID("equinix", "x-2"), "x-2", "circuit-x-2"
	w.m.put(c2)
	f.past["x-1"] = []exchange.PastState{{State: "pending"}, {State: "provisioning"}, {State: "provisioned"}}
	f.past["x-2"] = []exchange.PastState{{State: "provisioning"}, {State: "moonstruck"}, {State: "provisioned"}}
	w.run(t, fast)
	for _, tt := range []struct{ id, want, reason string }{
		{"x-1", "pending_approval.not_available provisioning.provisioning provisioned.available", "its events tell"},
		{"x-2", "pending_approval.not_available provisioned.available", "a word nobody knows tells nothing"},
	} {
		w.facts(t, connection(tt.id), 1)
		w.m.move(tt.id, status.Provisioned, status.Available)
		w.facts(t, event.Connection.Filter("provisioned.available", event.ConnectionID("equinix", tt.id)), 1)
		all := w.history(t, connection(tt.id))
		if got := steps(all); got != tt.want {
			t.Errorf("%s: steps = %s, want %s: %s", tt.id, got, tt.want, tt.reason)
		}
		last := transition(t, all[len(all)-1])
		if inferred := len(all) == 3; last.GetSkipped() == inferred || inferred && !transition(t, all[1]).GetInferred() {
			t.Errorf("%s: skipped = %v; want the step between inferred, or else the last one skipped", tt.id, last.GetSkipped())
		}
	}
	if n := w.m.count("past"); n != 2 {
		t.Errorf("the past was asked for %d times, want once for each step that was missed", n)
	}
}

// An exchange that suddenly shows nothing is not believed.
func TestEclipse(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		of, left     int
		dark         bool
	}{
		{"none of three", "the wrong exchange", 3, 0, true},
		{"few of many", "the wrong company", 12, 5, true},
		{"one of three", "two were deleted", 3, 1, false},
		{"half of many", "a big clean-up", 12, 6, false},
		{"none of two", "too few to conclude anything", 2, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, testenv.Journal(t))
			log := new(testenv.Log)
			w.rt.Log = zerolog.New(log)
			health := make(chan func() error, 1)
			w.rt.Check = func(_ string, check func() error) { health <- check }
			before := map[string]*patchbayv1.Connection{}
			for n := range tt.of {
				c := standing(fmt.Sprintf("x-%02d", n))
				c.Api = "ecx"
				before[c.GetExchangeId()] = c
				w.m.put(c)
			}
			w.run(t, fast)
			w.facts(t, event.Connection.Filter("provisioned.available", "*"), tt.of)
			for n := tt.left; n < tt.of; n++ {
				w.m.remove(fmt.Sprintf("x-%02d", n))
			}
			w.settled(t)
			w.settled(t)
			ended := len(w.history(t, event.Connection.Filter("deprovisioned.not_available", "*")))
			if !tt.dark {
				w.facts(t, event.Connection.Filter("deprovisioned.not_available", "*"), tt.of-tt.left)
				return
			}
			if ended != 0 {
				t.Errorf("%d of %d circuits are announced as gone, want none: %s", ended, tt.of, tt.reason)
			}
			if n := strings.Count(log.String(), "does not show circuits that were there"); n != 1 {
				t.Errorf("said %d times, want once:\n%s", n, log.String())
			}
			check := <-health
			if err := check(); err == nil || !strings.Contains(err.Error(), "acme") {
				t.Errorf("health = %v, want the account named", err)
			}
			for _, c := range before {
				w.m.put(c)
			}
			deadline := time.Now().Add(60 * time.Second)
			for check() != nil {
				if time.Now().After(deadline) {
					t.Fatal("not well again though all is shown again")
				}
				waitABit(t)
			}
			w.m.remove("x-00")
			w.facts(t, event.Connection.Filter("deprovisioned.not_available", "*"), 1)
		})
	}
}

// The operator knows better.
func TestEclipseConfirmed(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	for n := range 3 {
		c := standing(fmt.Sprintf("x-%d", n))
		c.Api = "ecx"
		w.m.put(c)
	}
	stop := w.run(t, fast)
	w.facts(t, event.Connection.Filter("provisioned.available", "*"), 3)
	for n := range 3 {
		w.m.remove(fmt.Sprintf("x-%d", n))
	}
	w.settled(t)
	stop()
	if all := w.history(t, event.Connection.Filter("deprovisioned.*", "*")); len(all) != 0 {
		t.Fatalf("announced as gone before anybody said so: %v", names(all))
	}
	known := fast
	known.Gone = []string{"acme"}
	w.run(t, known)
	w.facts(t, event.Connection.Filter("deprovisioned.not_available", "*"), 3)
}

// What is being taken down may vanish, however little is left.
func TestExpectedAbsence(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	for n := range 4 {
		c := standing(fmt.Sprintf("x-%d", n))
		c.Api = "ecx"
		w.m.put(c)
	}
	w.run(t, fast)
	w.facts(t, event.Connection.Filter("provisioned.available", "*"), 4)
	w.m.move("x-0", status.Deprovisioning, status.Available)
	w.facts(t, event.Connection.Filter("deprovisioning.*", "*"), 1)
	w.order(t, &patchbayv1.Order{
		Id: "o-1", Fact: "placed", Kind: "delete", Account: "acme", Exchange: "equinix", Api: "ecx",
		Legs: []*patchbayv1.OrderLeg{{Leg: "primary", State: "placed", ExchangeId: "x-1", ConnectionId: event.ConnectionID("equinix", "x-1")}},
	})
	for _, id := range []string{"x-0", "x-1", "x-2", "x-3"} {
		w.m.remove(id)
	}
	all := w.facts(t, event.Connection.Filter("deprovisioned.not_available", "*"), 2)
	w.settled(t)
	all = append(all[:0], w.history(t, event.Connection.Filter("deprovisioned.not_available", "*"))...)
	if len(all) < 2 {
		t.Errorf("%d circuits are gone, want the two that were expected to vanish at least", len(all))
	}
	for _, id := range []string{"x-0", "x-1"} {
		want := event.ConnectionID("equinix", id)
		if !slices.ContainsFunc(names(all), func(n string) bool { return strings.HasSuffix(n, want) }) {
			t.Errorf("%s is not announced as gone", id)
		}
	}
}

// Each state of a token is a fact, and its uuid is in none.
func TestTokens(t *testing.T) {
	w, f := newFeedWorld(t)
	var raw [32]byte
	copy(raw[:], "a key of thirty-two bytes length")
	w.rt.Key = secret.NewKey(raw)
	const uuid = "f10d177b-4afb-461a-bb23-b65b021af367"
	state, redeemer := "INACTIVE", ""
	f.tokens = func() []exchange.Token {
		return []exchange.Token{{UUID: uuid, State: state, Native: state, ConnectionID: redeemer, ExpiresAt: time.Unix(2e9, 0)}}
	}
	set := func(s, by string) {
		w.m.mu.Lock()
		defer w.m.mu.Unlock()
		state, redeemer = s, by
	}
	w.run(t, fast)
	w.run(t, fast) // two watchers write it once
	id := w.rt.Key.Token(uuid)
	w.facts(t, event.Token.Filter("inactive", id), 1)
	set("ACTIVE", "x-1")
	w.facts(t, event.Token.Filter("active", id), 1)
	set("DELETED", "x-1")
	w.facts(t, event.Token.Filter("deleted", id), 1)
	listings := w.m.count("tokens")
	for w.m.count("tokens") < listings+4 {
		waitABit(t)
	}
	all := w.history(t, event.Token.Filter("*", id))
	if got, want := strings.Join(names(all), " "), fmt.Sprintf("token.inactive.%[1]s token.active.%[1]s token.deleted.%[1]s", id); got != want {
		t.Fatalf("facts = %s, want %s", got, want)
	}
	from := ""
	for i, r := range all {
		if bytes.Contains(r.Event.Data(), []byte(uuid)) {
			t.Error("the token itself is in a fact")
		}
		var tok patchbayv1.Token
		if err := r.Into(&tok); err != nil {
			t.Fatal(err)
		}
		if tok.GetFrom() != from || r.Number() != uint64(i+1) || tok.GetAccount() != "acme" {
			t.Errorf("fact %d is %v from %q, want from %q", r.Number(), tok.GetState(), tok.GetFrom(), from)
		}
		if want := event.ConnectionID("equinix", "x-1"); i > 0 && tok.GetConnectionId() != want {
			t.Errorf("redeemed by %q, want %s", tok.GetConnectionId(), want)
		}
		from = tok.GetState()
	}
}

// A token that is used here is looked at, without waiting for the next list.
func TestTokenHint(t *testing.T) {
	w, f := newFeedWorld(t)
	w.rt.Key = secret.NewKey([32]byte{1})
	slow := fast
	slow.Full = time.Hour
	f.tokens = func() []exchange.Token { return nil }
	w.run(t, slow)
	for w.m.count("tokens") < 1 {
		waitABit(t)
	}
	o := placing("o-1", "x-1")
	o.Flow = "token"
	w.order(t, o)
	w.order(t, placed(o, "x-1"))
	deadline := time.Now().Add(10 * time.Second)
	for w.m.count("tokens") < 3 {
		if time.Now().After(deadline) {
			t.Fatalf("%d lists of tokens, want two more after the hint", w.m.count("tokens"))
		}
		waitABit(t)
	}
}

// Two accounts of one company, at two APIs, are shown the same circuit in other words.
func TestWordsOfAnotherAPI(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	w.rt.Accounts.Accounts = []account.Account{
		{Name: "acme-ecx", API: account.ECX, Role: account.Buyer},
		{Name: "acme-fabric", API: account.Fabric, Role: account.Buyer},
	}
	w.rt.Clients = map[string]exchange.Client{"acme-ecx": w.m.buyer("port-1"), "acme-fabric": speaker{w.m.buyer("port-1")}}
	w.m.put(requested("x-1"))
	w.run(t, fast)
	w.facts(t, connection("x-1"), 1)
	w.settled(t)
	before := w.m.count("get x-1")
	w.settled(t)
	if n := w.m.count("get x-1"); n != before {
		t.Errorf("asked for %d times more; the other account's words are no news", n-before)
	}
	w.m.move("x-1", status.Provisioning, status.NotAvailable)
	w.facts(t, connection("x-1"), 2)
	w.settled(t)
	all := w.history(t, connection("x-1"))
	if got, want := steps(all), "pending_approval.not_available provisioning.not_available"; got != want {
		t.Errorf("steps = %s, want %s", got, want)
	}
	for _, r := range all {
		if c := transition(t, r).GetConnection(); c.GetApi() != "ecx" || c.GetNative().GetState() != "" {
			t.Errorf("api %s, native %v: want the observer's, the first of the file", c.GetApi(), c.GetNative())
		}
	}
	// The account that ordered a circuit observes it, wherever it stands in the file.
	o := placing("o-2", "x-2")
	o.Account, o.Api = "acme-fabric", "fabric"
	w.order(t, o)
	w.m.put(requested("x-2"))
	c := transition(t, w.facts(t, connection("x-2"), 1)[0]).GetConnection()
	if c.GetBuyerAccount() != "acme-fabric" || c.GetApi() != "fabric" || c.GetOrderId() != "o-2" {
		t.Errorf("buyer %s by %s, order %q; want the account that ordered", c.GetBuyerAccount(), c.GetApi(), c.GetOrderId())
	}
}

// speaker shows what its client shows in Fabric's words.
type speaker struct{ *client }

func (s speaker) translate(c *patchbayv1.Connection) *patchbayv1.Connection {
	c.Api = "fabric"
	c.Native.State = "PENDING"
	if c.GetStatus() == "PROVISIONING" {
		c.ProviderStatus, c.Native.State = "PROVISIONING", "PROVISIONING"
	}
	return c
}

func (s speaker) Get(ctx context.Context, id string) (*patchbayv1.Connection, error) {
	c, err := s.client.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.translate(c), nil
}

func (s speaker) List(ctx context.Context, role string, moving bool, yield func(*patchbayv1.Connection) error) error {
	return s.client.List(ctx, role, moving, func(c *patchbayv1.Connection) error { return yield(s.translate(c)) })
}

func TestGoneNamesAnAccount(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	if _, err := statuswatcher.New(w.rt, statuswatcher.Pace{Gone: []string{"acne"}}); err == nil || !strings.Contains(err.Error(), "acne") {
		t.Errorf("New = %v, want the account named that is not there", err)
	}
}
