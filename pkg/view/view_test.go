package view_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
	"patchbay.io/pkg/view"
)

func TestMain(m *testing.M) {
	embedded.KeepTime()
	already := goleak.IgnoreCurrent()
	code := m.Run()
	if err := goleak.Find(already); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// open returns a view on r that looks after itself every 20 ms.
func open(t testing.TB, r testenv.Redis) *view.View {
	t.Helper()
	cfg := view.Config{
		URL: r.URL, CheckEvery: 20 * time.Millisecond, Log: zerolog.New(zerolog.NewTestWriter(t)),
	}
	v, err := view.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// project runs the projector until the test ends or stop is called.
func project(t testing.TB, v *view.View, j *journal.Journal) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Project(ctx, j) }()
	stopped := false
	stop = func() {
		cancel()
		if !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Errorf("project: %v", err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// until asks again every few milliseconds until ok, or fails after 20 seconds.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("after 20s still not so: %s", what)
		case <-tick.C:
		}
	}
}

func raw(t testing.TB, r testenv.Redis) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opts)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// caughtUp waits until all of j is in the view.
func caughtUp(t testing.TB, r *redis.Client, j *journal.Journal) {
	t.Helper()
	last, err := j.LastSeq(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	until(t, fmt.Sprintf("the watermark is %d", last), func() bool {
		n, err := r.HGet(t.Context(), "pb:mark", "seq").Uint64()
		return err == nil && n == last
	})
}

// dump is everything in the view, by key.
func dump(t testing.TB, r *redis.Client) map[string]string {
	t.Helper()
	ctx := t.Context()
	keys, err := r.Keys(ctx, "pb:v:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, k := range keys {
		var value any
		switch kind := r.Type(ctx, k).Val(); kind {
		case "hash":
			value = r.HGetAll(ctx, k).Val()
		case "zset":
			value = r.ZRangeWithScores(ctx, k, 0, -1).Val()
		case "string":
			value = r.Get(ctx, k).Val()
		default:
			t.Fatalf("%s is a %s", k, kind)
		}
		all[k] = fmt.Sprint(value)
	}
	return all
}

// same compares two dumps and names the first few differences.
func same(t testing.TB, got, want map[string]string, why string) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	keys := slices.Sorted(maps.Keys(want))
	for k := range got {
		if _, ok := want[k]; !ok {
			keys = append(keys, k)
		}
	}
	shown := 0
	for _, k := range keys {
		if got[k] != want[k] && shown < 5 {
			t.Errorf("%s: %s\n  is   %s\n  want %s", why, k, got[k], want[k])
			shown++
		}
	}
}

// writer appends facts to a journal and remembers the last of each entity.
type writer struct {
	t    testing.TB
	j    *journal.Journal
	last map[event.Entity]journal.Record
	data map[event.Entity]proto.Message
}

func newWriter(t testing.TB, j *journal.Journal) *writer {
	return &writer{t, j, map[event.Entity]journal.Record{}, map[event.Entity]proto.Message{}}
}

func (w *writer) add(f event.Fact) {
	w.t.Helper()
	f.By = "test"
	r, err := w.j.Append(context.Background(), w.last[f.Entity], f)
	if err != nil {
		w.t.Fatal(err)
	}
	w.last[f.Entity], w.data[f.Entity] = r, f.Data
}

func (w *writer) order(n int, fact, account string) event.Entity {
	w.t.Helper()
	intent := fmt.Sprintf("intent-%d", n)
	o := &patchbayv1.Order{
		Id: event.OrderID("test", intent), Fact: fact, Kind: "create", Source: "test", IntentId: intent,
		Account: account, PayloadDigest: fmt.Sprintf("digest-%d", n),
		Create: &patchbayv1.CreateIntent{Name: fmt.Sprintf("Circuit_%d", n)},
	}
	if fact != "accepted" {
		exchangeID := fmt.Sprintf("ECX-%d", n)
		o.Legs = []*patchbayv1.OrderLeg{{
			Leg: "primary", ExchangeId: exchangeID, ConnectionId: event.ConnectionID("equinix", exchangeID),
		}}
	}
	e := event.Entity{Noun: event.Order, ID: o.GetId()}
	w.add(event.Fact{Entity: e, Name: fact, Data: o, Order: o.GetId()})
	return e
}

func (w *writer) connection(n int, status, provider string) event.Entity {
	w.t.Helper()
	exchangeID := fmt.Sprintf("ECX-%d", n)
	c := &patchbayv1.Connection{
		Id: event.ConnectionID("equinix", exchangeID), Exchange: "equinix", ExchangeId: exchangeID,
		Aliases: []string{fmt.Sprintf("VC-%d", n)}, Name: fmt.Sprintf("Circuit_%d", n),
		Status: status, ProviderStatus: provider, BuyerAccount: "acme", SellerAccount: "cloud",
		OrderId: event.OrderID("test", fmt.Sprintf("intent-%d", n)),
	}
	e := event.Entity{Noun: event.Connection, ID: c.GetId()}
	w.add(event.Fact{
		Entity: e, Name: strings.ToLower(status + "." + provider),
		Data: &patchbayv1.Transition{Connection: c}, Order: c.GetOrderId(),
	})
	return e
}

// bubble is a Redis inside a bubble of virtual time, which can be cut off.
type bubble struct {
	*embedded.Redis
	mu     sync.Mutex
	away   bool
	dialed int
	conns  []net.Conn
}

func newBubble(t testing.TB) *bubble {
	t.Helper()
	r, err := embedded.StartRedis("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return &bubble{Redis: r}
}

func (b *bubble) open(t testing.TB, cfg view.Config) *view.View {
	t.Helper()
	cfg.Dial = b.dial
	v, err := view.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func (b *bubble) dial(context.Context, string, string) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dialed++
	if b.away {
		return nil, errors.New("connection refused")
	}
	c, err := b.Dial()
	b.conns = append(b.conns, c)
	return c, err
}

func (b *bubble) dials() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dialed
}

// cut ends all connections and lets no new ones in until mend.
func (b *bubble) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = true
	for _, c := range b.conns {
		_ = c.Close()
	}
	b.conns = nil
}

func (b *bubble) mend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = false
}
