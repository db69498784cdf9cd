package view_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
	"patchbay.io/pkg/view"
)

func TestQueries(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, v := newWriter(t, j), open(t, r)
	done, open1, other := w.order(1, "completed", "acme"), w.order(2, "placed", "acme"), w.order(3, "placed", "other")
	c1, c2 := w.connection(1, "PROVISIONED", "AVAILABLE"), w.connection(2, "PENDING_APPROVAL", "NOT_AVAILABLE")
	if _, err := v.Rebuild(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		reason string
		noun   event.Noun
		q      view.Query
		want   []event.Entity
	}{
		{"everything, newest first", event.Order, view.Query{}, []event.Entity{other, open1, done}},
		{"open only", event.Order, view.Query{Open: true}, []event.Entity{other, open1}},
		{"by account", event.Order, view.Query{Account: "acme"}, []event.Entity{open1, done}},
		{"by account and open", event.Order, view.Query{Account: "acme", Open: true}, []event.Entity{open1}},
		{"by fact", event.Order, view.Query{Status: "completed"}, []event.Entity{done}},
		{"orders about a connection", event.Order, view.Query{Connection: c2.ID}, []event.Entity{open1}},
		{"nothing fits", event.Order, view.Query{Account: "nobody"}, nil},
		{"no more than the limit", event.Order, view.Query{Limit: 1}, []event.Entity{other}},
		{"by status", event.Connection, view.Query{Status: "PROVISIONED"}, []event.Entity{c1}},
		{"by provider status", event.Connection, view.Query{Provider: "NOT_AVAILABLE"}, []event.Entity{c2}},
		{"by seller", event.Connection, view.Query{Account: "cloud"}, []event.Entity{c2, c1}},
		{"of an order", event.Connection, view.Query{Order: done.ID}, []event.Entity{c1}},
		{"status and order do not meet", event.Connection, view.Query{Order: done.ID, Status: "PENDING_APPROVAL"}, nil},
	} {
		found, err := v.List(t.Context(), tt.noun, tt.q)
		var got []event.Entity
		for _, s := range found {
			got = append(got, s.Entity())
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v; want %v", tt.reason, got, err, tt.want)
		}
	}
}

func TestFind(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, v := newWriter(t, j), open(t, r)
	order, unseen := w.order(1, "placed", "acme"), w.order(12, "placed", "acme")
	circuit := w.connection(1, "PROVISIONED", "AVAILABLE")
	if _, err := v.Rebuild(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		reason, ref string
		want        []event.Entity
	}{
		{"order id", order.ID, []event.Entity{order}},
		{"order id in capitals and with spaces", " " + strings.ToUpper(order.ID) + "\n", []event.Entity{order}},
		{"beginning of an order id", order.ID[:8], []event.Entity{order}},
		{"connection id: its order merely knows it", circuit.ID, []event.Entity{circuit}},
		{"exchange's id", "ECX-1", []event.Entity{circuit}},
		{"exchange's id of a circuit nobody has seen yet", "ECX-12", []event.Entity{unseen}},
		{"alias", "vc-1", []event.Entity{circuit}},
		{"source and id", "test intent-1", []event.Entity{order}},
		{"id alone, which is also the beginning of another", "intent-1", []event.Entity{order}},
		{"beginning of two", "intent-", []event.Entity{order, unseen}},
		{"name of order and circuit", "Circuit_1", []event.Entity{order}},
		{"unknown", "nothing-of-ours", nil},
		{"empty", " ", nil},
		{"characters that mean something to the index", "ECX-1\x1f", []event.Entity{circuit}},
	} {
		got, err := v.Find(t.Context(), tt.ref)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: find %q gives %v, %v; want %v", tt.reason, tt.ref, got, err, tt.want)
		}
	}
	if _, err := v.Find(t.Context(), "inten"); !errors.Is(err, view.ErrShort) {
		t.Errorf("five characters: %v, want ErrShort", err)
	}
}

func TestRememberAndRecall(t *testing.T) {
	v := open(t, testenv.StartRedis(t))
	if _, known, err := v.Recall(t.Context(), "o-1"); known || err != nil {
		t.Errorf("recall of nothing: %v, %v; want not known", known, err)
	}
	for range 2 {
		if err := v.Remember(t.Context(), "o-1", "digest"); err != nil {
			t.Fatal(err)
		}
	}
	if digest, known, err := v.Recall(t.Context(), "o-1"); digest != "digest" || !known || err != nil {
		t.Errorf("recall: %q, %v, %v; want the digest", digest, known, err)
	}
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		v := b.open(t, view.Config{})
		held := func(owner string) bool {
			t.Helper()
			got, err := v.Lease(t.Context(), "sweep", owner, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if !held("a") || held("b") || !held("a") {
			t.Error("want a to get the free lease, b not, and a to renew it")
		}
		time.Sleep(40 * time.Second)
		if !held("a") {
			t.Error("a cannot renew its lease")
		}
		time.Sleep(40 * time.Second)
		if held("b") {
			t.Error("b has the lease 40s after it was renewed for a minute")
		}
		time.Sleep(21 * time.Second)
		if !held("b") {
			t.Error("b has no lease after a's has run out")
		}
		if err := v.Release(t.Context(), "sweep", "a"); err != nil {
			t.Fatal(err)
		}
		if held("a") {
			t.Error("a got the lease by giving back what it had not")
		}
		if err := v.Release(t.Context(), "sweep", "b"); err != nil || !held("a") {
			t.Errorf("a has no lease after b gave it back (%v)", err)
		}
		b.cut()
		if !held("b") {
			t.Error("while Redis is away, want everybody to have the lease")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if got, err := v.Lease(ended, "sweep", "b", time.Minute); got || err == nil {
			t.Errorf("a lease for a context that has ended: %v, %v; want none and its error", got, err)
		}
	})
}

// TestAwayAndBack counts how often an absent Redis is called, and looks at what is said.
func TestAwayAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		v := b.open(t, view.Config{})
		if err := v.Remember(t.Context(), "o-1", "digest"); err != nil || v.Healthy() != nil {
			t.Fatalf("with Redis there: %v, healthy %v", err, v.Healthy())
		}
		b.cut()
		start := time.Now()
		before := b.dials()
		for range 1000 {
			if _, _, err := v.Recall(t.Context(), "o-1"); !errors.Is(err, view.ErrAway) {
				t.Fatalf("recall while Redis is away: %v, want ErrAway", err)
			}
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("1000 calls to an absent Redis took %v, want a second at most", took)
		}
		if n := b.dials() - before; n > 3 {
			t.Errorf("an absent Redis was dialled %d times in an instant", n)
		}
		time.Sleep(time.Second)
		_, _, _ = v.Recall(t.Context(), "o-1") // finds out by dialling
		if err := v.Healthy(); !errors.Is(err, view.ErrAway) || !strings.Contains(err.Error(), "Redis at redis: ") || !strings.Contains(err.Error(), "refused") {
			t.Errorf("healthy says %v, want ErrAway, where and why", err)
		}
		if _, err := v.Orders(t.Context(), view.Query{}); !errors.Is(err, view.ErrAway) {
			t.Errorf("query while Redis is away: %v, want ErrAway", err)
		}
		b.mend()
		time.Sleep(time.Second)
		if digest, _, err := v.Recall(t.Context(), "o-1"); err != nil || digest != "digest" || v.Healthy() != nil {
			t.Errorf("after a second back: %q, %v, healthy %v", digest, err, v.Healthy())
		}
	})
}

// TestSilentRedis has a server that takes connections and never answers.
func TestSilentRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends []net.Conn
		v, err := view.Open(view.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			ends = append(ends, there)
			return here, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		start := time.Now()
		if _, _, err := v.Recall(t.Context(), "o-1"); !errors.Is(err, view.ErrAway) {
			t.Errorf("recall: %v, want ErrAway", err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("a silent Redis held a call for %v, want about half a second", took)
		}
		for _, c := range ends {
			c.Close()
		}
	})
}

// calls counts what a budget lets out in d of virtual time, when each of many asks again
// at once, and the most in any minute.
func calls(t *testing.T, d time.Duration, ask func(context.Context) error) (all, worst int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var mu sync.Mutex
	var at []time.Time
	var crowd sync.WaitGroup
	for range 4 {
		crowd.Go(func() {
			for ctx.Err() == nil {
				err := ask(ctx)
				var throttled exchange.Throttled
				switch {
				case err == nil:
					mu.Lock()
					at = append(at, time.Now())
					mu.Unlock()
				case errors.As(err, &throttled):
					time.Sleep(throttled.After)
				case !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("take: %v", err)
					return
				}
			}
		})
	}
	crowd.Wait()
	for i, start := range at {
		n := 0
		for _, other := range at[i:] {
			if other.Sub(start) < time.Minute {
				n++
			}
		}
		worst = max(worst, n)
	}
	return len(at), worst
}

func TestBudget(t *testing.T) {
	for _, tt := range []struct {
		reason      string
		purpose     exchange.Purpose
		perMinute   int
		away, here  bool
		least, most int // calls in ten minutes
		inAnyMinute int
	}{
		{"orders have the whole", exchange.ForOrder, 60, false, false, 440, 600, 60},
		{"watching has its share", exchange.ForWatch, 60, false, false, 300, 420, 42},
		{"a small budget", exchange.ForOrder, 1, false, false, 10, 11, 1},
		{"a small share", exchange.ForWatch, 2, false, false, 10, 11, 1},
		{"alone, a fixed share of the whole", exchange.ForOrder, 60, true, false, 149, 151, 16},
		{"alone, watching has less", exchange.ForWatch, 60, true, false, 70, 106, 11},
		{"kept here, orders have the whole", exchange.ForOrder, 60, true, true, 440, 600, 60},
		{"kept here, watching has its share", exchange.ForWatch, 60, true, true, 300, 420, 42},
		{"kept here, a small budget", exchange.ForOrder, 1, true, true, 10, 11, 1},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t)
				// Two replicas share what there is.
				views := []*view.View{b.open(t, view.Config{Alone: tt.here}), b.open(t, view.Config{})}
				if tt.away {
					b.cut()
					views = views[:1]
				}
				turn := 0
				var mu sync.Mutex
				all, worst := calls(t, 10*time.Minute, func(ctx context.Context) error {
					mu.Lock()
					turn++
					v := views[turn%len(views)]
					mu.Unlock()
					return v.Take(ctx, "acme", tt.perMinute, tt.purpose)
				})
				if all < tt.least || all > tt.most || worst > tt.inAnyMinute {
					t.Errorf("%d calls in ten minutes, %d in the worst; want %d to %d, and %d in the worst",
						all, worst, tt.least, tt.most, tt.inAnyMinute)
				}
			})
		})
	}
}

func TestOrdersGoOnBesideWatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newBubble(t).open(t, view.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		for range 4 {
			watching.Go(func() {
				for ctx.Err() == nil {
					var throttled exchange.Throttled
					if errors.As(v.Take(ctx, "acme", 60, exchange.ForWatch), &throttled) {
						time.Sleep(throttled.After)
					}
				}
			})
		}
		time.Sleep(5 * time.Minute)
		start := time.Now()
		for range 10 {
			if err := v.Take(ctx, "acme", 60, exchange.ForOrder); err != nil {
				t.Errorf("an order beside watching: %v", err)
			}
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("ten orders took %v beside watching, want a minute at most", took)
		}
		cancel()
		watching.Wait()
	})
}

func TestThrottled(t *testing.T) {
	t.Run("budgets in Redis", func(t *testing.T) { testThrottled(t, false) })
	t.Run("budgets kept here", func(t *testing.T) { testThrottled(t, true) })
}

func testThrottled(t *testing.T, here bool) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		v := b.open(t, view.Config{Alone: here})
		replica := v
		if here {
			b.cut()
		} else {
			replica = b.open(t, view.Config{})
		}
		take := func(v *view.View, timeout time.Duration) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			start := time.Now()
			err := v.Take(ctx, "acme", 1, exchange.ForOrder)
			return time.Since(start), err
		}
		var throttled exchange.Throttled
		if took, err := take(v, time.Hour); err != nil || took > 0 {
			t.Errorf("the first call: %v after %v, want it at once", err, took)
		}
		if took, err := take(v, time.Hour); !errors.As(err, &throttled) || took > 0 ||
			throttled.After < 59*time.Second || throttled.After > time.Minute {
			t.Errorf("a turn a minute away: %v after %v, want Throttled at once with about a minute", err, took)
		}
		time.Sleep(50 * time.Second)
		if took, err := take(v, 5*time.Second); !errors.As(err, &throttled) || took > 0 {
			t.Errorf("a turn behind the deadline: %v after %v, want Throttled at once", err, took)
		}
		if took, err := take(v, time.Hour); err != nil || took < 9*time.Second || took > 11*time.Second {
			t.Errorf("a turn ten seconds away: %v after %v, want it after ten seconds", err, took)
		}
		if err := v.Take(t.Context(), "acme", 0, exchange.ForOrder); err != nil {
			t.Errorf("no limit: %v", err)
		}

		v.Cool(t.Context(), "acme", time.Now().Add(2*time.Minute))
		v.Cool(t.Context(), "acme", time.Now().Add(time.Minute)) // does not shorten it
		time.Sleep(50 * time.Second)
		for who, v := range map[string]*view.View{"the one told": v, "a replica": replica} {
			if _, err := take(v, time.Hour); !errors.As(err, &throttled) ||
				throttled.After < 69*time.Second || throttled.After > 71*time.Second {
				t.Errorf("%s, 50s into two minutes of staying away: %v, want Throttled with 70s", who, err)
			}
		}
		if err := v.Take(t.Context(), "another", 1, exchange.ForOrder); err != nil {
			t.Errorf("another account: %v, want no cooldown", err)
		}
		b.cut()
		if _, err := take(v, time.Hour); !errors.As(err, &throttled) {
			t.Errorf("cooled and Redis away: %v, want Throttled still", err)
		}
		b.mend()
		time.Sleep(70 * time.Second)
		if _, err := take(replica, time.Hour); err != nil {
			t.Errorf("after the cooldown: %v", err)
		}
	})
}

// TestEverythingInABubble runs journal, Redis and projector in virtual time, with Redis
// cut off for an hour in the middle.
func TestEverythingInABubble(t *testing.T) {
	if testenv.Clustered() {
		t.Skip("a cluster needs real sockets")
	}
	synctest.Test(t, func(t *testing.T) {
		srv, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Stop()
		j, err := journal.Open(t.Context(), journal.Config{InProcess: srv})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		b := newBubble(t)
		v := b.open(t, view.Config{})
		stop := project(t, v, j)
		defer stop()
		w := newWriter(t, j)
		w.order(1, "placed", "acme")
		time.Sleep(5 * time.Second)
		w.checkView(v)

		b.cut()
		w.order(2, "placed", "acme")
		time.Sleep(time.Hour)
		b.mend()
		time.Sleep(5 * time.Second)
		w.checkView(v)

		b.Flush()
		time.Sleep(5 * time.Second)
		w.checkView(v)
	})
}

func TestOpenHidesThePassword(t *testing.T) {
	_, err := view.Open(view.Config{URL: "redis://user:canary@host:port:x/%zz"})
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a URL that cannot be read: %v, want an error without its password", err)
	}
}

func ExampleOpen() {
	r, err := embedded.StartRedis("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Stop()
	v, err := view.Open(view.Config{URL: "redis://" + r.Addr()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = v.Close() }()
	held, err := v.Lease(context.Background(), "sweep/acme-ecx", "watcher-1", time.Minute)
	fmt.Println(held, err)
	// Output: true <nil>
}
