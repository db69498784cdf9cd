package requester_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/requester"
)

func TestMain(m *testing.M) {
	embedded.KeepTime()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// patience is how long a test waits for what is sure to come, in virtual time.
const patience = 24 * time.Hour

// world is a requester at work in a bubble of virtual time, with a journal and an exchange
// of its own.
type world struct {
	t    *testing.T
	nats *embedded.NATS
	j    *journal.Journal // the test's own
	fake *exchangetest.Fake
	acc  []account.Account
	// others are the fakes of accounts beside the first, by name.
	others map[string]*exchangetest.Fake
	stop   func()
	keys   memory
	limits requester.Limits
	checks sync.Map // what is on the health page, by name
	// restarted: the requester crashed, and another runs.
	restarted bool
}

// onHealthPage puts a check on the health page.
func (w *world) onHealthPage(name string, check func() error) { w.checks.Store(name, check) }

// intake is what the health page says of it.
func (w *world) intake() error {
	w.t.Helper()
	check, ok := w.checks.Load("requester intake")
	if !ok {
		w.t.Fatal("intake is not on the health page")
	}
	return check.(func() error)()
}

// memory remembers orders, as Redis does.
type memory struct{ known sync.Map }

func (m *memory) Remember(_ context.Context, id, digest string) error {
	m.known.Store(id, digest)
	return nil
}

func (m *memory) Recall(_ context.Context, id string) (string, bool, error) {
	digest, ok := m.known.Load(id)
	s, _ := digest.(string)
	return s, ok, nil
}

func orderEntity(id string) event.Entity { return event.Entity{Noun: event.Order, ID: id} }

// bubble runs test against a requester and fake. Attempts take a minute and quiet times
// two, as they do by default.
func bubble(t *testing.T, fake *exchangetest.Fake, test func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, fake: fake, acc: []account.Account{{
			Name: "acme", API: account.API(cmp.Or(fake.API, "ecx")), Role: account.Buyer, Attempt: account.DefaultAttempt, Quiet: account.DefaultQuiet,
		}}}
		var err error
		if w.nats, err = embedded.StartNATS(embedded.NATSConfig{Dir: dir, Relaxed: true}); err != nil {
			t.Fatal(err)
		}
		defer w.nats.Stop()
		w.j = w.open(nil)
		defer w.j.Close()
		w.run(nil)
		defer func() { w.stop() }()
		test(w)
	})
}

func (w *world) open(probe func(string)) *journal.Journal {
	w.t.Helper()
	j, err := journal.Open(context.Background(), journal.Config{InProcess: w.nats, MaxBytes: 64 << 20, Probe: probe})
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

// run starts a requester with a connection of its own; w.stop ends it.
func (w *world) run(probe func(j *journal.Journal, point string)) {
	var j *journal.Journal
	j = w.open(func(point string) {
		if probe != nil && j != nil {
			probe(j, point)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	clients := map[string]exchange.Client{"acme": w.fake}
	for name, f := range w.others {
		clients[name] = f
	}
	go func() {
		done <- requester.Run(ctx, service.Runtime{
			Journal: j, Key: secret.NewKey([32]byte{1}), Log: zerolog.Nop(),
			Keys: &w.keys, Accounts: account.File{Accounts: w.acc}, Clients: clients, Check: w.onHealthPage,
		}, w.limits)
	}()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run = %v, want nil after a stop", err)
		}
		j.Close()
		w.stop = func() {}
	}
}

// pair is an intent for two legs on ports of their own.
func pair(name string, tag int) string {
	return fmt.Sprintf(`{"name":%q,"bandwidthMbps":50,"notifications":["a@example.com"],
		"primary":{"aSide":{"portId":"port-1","tag":{"vlan":%d}},"zSide":{"profileId":"profile-1","authorizationKey":"canary"}},
		"secondary":{"name":"%s-2","aSide":{"portId":"port-2","tag":{"vlan":%d}}}}`, name, tag, name, tag)
}

// kinds are the three kinds of exchange, as the fake plays them.
var kinds = []string{"ecx", "fabric", "packetfabric"}

// exchange is the name of the fake's exchange, as in ids of circuits.
func (w *world) exchange() string {
	if w.fake.API == "packetfabric" {
		return "packetfabric"
	}
	return "equinix"
}

// pair is an intent for two legs at the world's exchange.
func (w *world) pair(name string, tag int) string {
	if w.fake.API == "packetfabric" {
		return requests(name, tag, true)
	}
	return pair(name, tag)
}

// requests is an intent for one or two requests at PacketFabric.
func requests(name string, tag int, two bool) string {
	second := ""
	if two {
		second = fmt.Sprintf(`,"secondary":{"name":"%s-2","aSide":{"portId":"port-2","tag":{"vlan":%d}}}`, name, tag)
	}
	return fmt.Sprintf(`{"name":%q,"bandwidthMbps":50,"notifications":["a@example.com"],"billing":{"accountId":"b-1"},
		"primary":{"aSide":{"portId":"port-1","tag":{"vlan":%d}},"zSide":{"routingId":"TR-1RI-OQ85","market":"ATL"}}%s}`, name, tag, second)
}

// spending is an intent for one leg that spends a service token.
func spending(name string, tag int, token string) string {
	return fmt.Sprintf(`{"name":%q,"bandwidthMbps":50,"notifications":["a@example.com"],
		"primary":{"aSide":{"portId":"port-1","tag":{"vlan":%d}},"zSide":{"serviceToken":%q}}}`, name, tag, token)
}

// single is an intent for one leg.
func single(name string, tag int) string {
	return fmt.Sprintf(`{"name":%q,"bandwidthMbps":50,"notifications":["a@example.com"],
		"primary":{"aSide":{"portId":"port-1","tag":{"vlan":%d}},"zSide":{"profileId":"profile-1"}}}`, name, tag)
}

// submit publishes an intent and returns its order's id.
func (w *world) submit(kind, id, data string) string {
	w.t.Helper()
	e, err := event.NewIntent(event.IntentType(event.Intent, kind), "test", id, []byte(data))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.j.Submit(context.Background(), event.IntentSubject(event.Intent, kind), e); err != nil {
		w.t.Fatal(err)
	}
	return event.OrderID("test", id)
}

// until follows the order until a fact fits, and returns it. Every step on the way is held
// against the charts.
func (w *world) until(id, want string, fits func(*patchbayv1.Order) bool) *patchbayv1.Order {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	enough := errors.New("enough")
	var last, found *patchbayv1.Order
	err := w.j.Follow(ctx, journal.From{}, []string{event.Order.Filter("*", id)}, func(r journal.Record) error {
		o := new(patchbayv1.Order)
		if err := r.Into(o); err != nil {
			return err
		}
		if err := order.Check(last, o); err != nil {
			w.t.Errorf("%v", err)
		}
		if o.GetOutcome() == "" && o.GetWait().GetWhat() == "" {
			w.t.Errorf("order %s waits for nothing named after %s", id, o.GetFact())
		}
		last = o
		if fits(o) {
			found = o
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		b, _ := json.MarshalIndent(last, "", " ")
		w.t.Fatalf("order %s did not come to %q: %v; last fact %s", id, want, err, b)
	}
	return found
}

func (w *world) fact(id, fact string) *patchbayv1.Order {
	w.t.Helper()
	return w.until(id, fact, func(o *patchbayv1.Order) bool { return o.GetFact() == fact })
}

// ended waits for the end of an order.
func (w *world) ended(id string) *patchbayv1.Order {
	w.t.Helper()
	return w.until(id, "its end", func(o *patchbayv1.Order) bool { return o.GetOutcome() != "" })
}

// observe announces where a circuit stands, as the watcher would.
func (w *world) observe(exchangeID string, s status.Status, p status.Provider) {
	w.t.Helper()
	w.announce(exchangeID, func(t *patchbayv1.Transition) {
		t.Connection.Status, t.Connection.ProviderStatus = string(s), string(p)
	})
}

func (w *world) announce(exchangeID string, change func(*patchbayv1.Transition)) {
	w.t.Helper()
	ctx := context.Background()
	e := event.Entity{Noun: event.Connection, ID: event.ConnectionID(w.exchange(), exchangeID)}
	for {
		last, err := w.j.Last(ctx, e)
		if err != nil {
			w.t.Fatal(err)
		}
		was := new(patchbayv1.Transition)
		if !last.None() {
			if err := last.Into(was); err != nil {
				w.t.Fatal(err)
			}
		}
		t := &patchbayv1.Transition{Connection: proto.CloneOf(was.GetConnection()), From: was.GetTo()}
		if t.Connection == nil {
			t.Connection = &patchbayv1.Connection{Id: e.ID, Exchange: w.exchange(), ExchangeId: exchangeID, BuyerAccount: "acme"}
		}
		change(t)
		t.To = &patchbayv1.State{Status: t.Connection.GetStatus(), ProviderStatus: t.Connection.GetProviderStatus()}
		_, err = w.j.Append(ctx, last, event.Fact{
			Entity: e, Name: event.Slug(t.To.GetStatus()) + "." + event.Slug(t.To.GetProviderStatus()), Data: t, By: "status-watcher",
		})
		if !errors.Is(err, journal.ErrLost) {
			if err != nil {
				w.t.Fatal(err)
			}
			return
		}
	}
}

// ready lets all circuits of a placed order become usable.
func (w *world) ready(o *patchbayv1.Order) {
	w.t.Helper()
	for _, l := range o.GetLegs() {
		if l.GetExchangeId() != "" {
			w.observe(l.GetExchangeId(), status.Provisioned, status.Available)
		}
	}
}

func containsCanary(b []byte) bool { return bytes.Contains(b, []byte("canary")) }
