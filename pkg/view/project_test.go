package view_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"google.golang.org/protobuf/types/known/timestamppb"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/testenv"
	"patchbay.io/pkg/view"
)

// random appends n facts about a handful of entities of every noun.
func (w *writer) random(rnd *rand.Rand, n int) {
	w.t.Helper()
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	for range n {
		k := rnd.IntN(5)
		c := event.ConnectionID("equinix", fmt.Sprintf("ECX-%d", k))
		of := func(n event.Noun) event.Entity { return event.Entity{Noun: n, ID: c} }
		switch rnd.IntN(8) {
		case 0, 1:
			w.order(k, pick("accepted", "placing", "uncertain", "placed", "failed", "completed"), pick("acme", "other"))
		case 2, 3:
			w.connection(k, pick("PENDING_APPROVAL", "PROVISIONING", "PROVISIONED", "DEPROVISIONED"), pick("AVAILABLE", "NOT_AVAILABLE"))
		case 4:
			fact := pick("requested", "reminded", "approved", "rejected")
			w.add(event.Fact{Entity: of(event.Approval), Name: fact, Data: &patchbayv1.Approval{ConnectionId: c, Fact: fact, Account: "cloud"}})
		case 5:
			fact := pick("reserved", "accepted", "released")
			w.add(event.Fact{Entity: of(event.Landing), Name: fact, Data: &patchbayv1.Landing{ConnectionId: c, Fact: fact, Account: "cloud"}})
		case 6:
			fact := pick("taken", "freed")
			w.add(event.Fact{
				Entity: event.Entity{Noun: event.Hold, ID: event.HoldID("tag", c)}, Name: fact,
				Data: &patchbayv1.Hold{Id: event.HoldID("tag", c), Key: "equinix/<port>/" + c, Owners: []*patchbayv1.Owner{{Id: c, Noun: "connection"}}},
			})
		case 7:
			w.add(event.Fact{Entity: of(event.Connection), Name: "archived.archived", Data: &patchbayv1.Refusal{Message: "archive"}})
		}
	}
}

// TestRebuildEqualsFollow holds four ways to the same view against each other: following
// from the start, starting on an empty Redis, and a rebuild on request, in one part and in
// many, between which an entity changes.
func TestRebuildEqualsFollow(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			j, r := testenv.Journal(t), testenv.StartRedis(t)
			w, v, c := newWriter(t, j), open(t, r), raw(t, r)
			stop := project(t, v, j)
			w.random(rand.New(rand.NewPCG(seed, 0)), 120)
			caughtUp(t, c, j)
			followed := dump(t, c)
			w.checkView(v)
			if err := c.Set(t.Context(), "someone:else", "1", 0).Err(); err != nil {
				t.Fatal(err)
			}

			report, err := v.Rebuild(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			same(t, dump(t, c), followed, "after a rebuild")
			v.ReadBy(7)
			if _, err := v.Rebuild(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			same(t, dump(t, c), followed, "after a rebuild in parts")
			if report.Entities != len(w.last) || report.Facts < uint64(len(w.last)) || report.PerSec <= 0 {
				t.Errorf("the rebuild reports %+v, want %d entities", report, len(w.last))
			}
			if c.Exists(t.Context(), "someone:else").Val() != 1 {
				t.Error("the rebuild deleted a key that is not ours")
			}

			stop()
			r.Flush()
			project(t, open(t, r), j)
			caughtUp(t, c, j)
			same(t, dump(t, c), followed, "after a start on an empty Redis")
		})
	}
}

// checkView compares what the view answers with the last facts as they were written.
func (w *writer) checkView(v *view.View) {
	w.t.Helper()
	ctx := w.t.Context()
	want := map[event.Noun][]event.Entity{}
	open := map[event.Noun][]event.Entity{}
	for e, r := range w.last {
		s, err := v.Snapshot(ctx, e)
		if err != nil {
			w.t.Fatal(err)
		}
		if s.Seq != r.Seq || s.EventID != r.Event.ID() || s.Number != r.Number() || !s.Stamp.Equal(r.Event.Time()) || s.Entity() != e {
			w.t.Errorf("snapshot of %s is %+v, want that of fact %d, %s", e, s, r.Seq, r.Event.ID())
		}
		want[e.Noun] = append(want[e.Noun], e)
		if !s.Ended {
			open[e.Noun] = append(open[e.Noun], e)
		}
		var o patchbayv1.Order
		if e.Noun == event.Order {
			if err := s.Into(&o); err != nil {
				w.t.Fatal(err)
			}
			if ended := o.GetFact() == "failed" || o.GetFact() == "completed"; ended != s.Ended || o.GetFact() != s.Fact {
				w.t.Errorf("order in %s: snapshot says fact %s and ended %v", o.GetFact(), s.Fact, s.Ended)
			}
			if digest, known, err := v.Recall(ctx, e.ID); err != nil || !known || digest != o.GetPayloadDigest() {
				w.t.Errorf("recall of %s: %q, %v, %v; want the digest %q", e, digest, known, err, o.GetPayloadDigest())
			}
		}
	}
	for n := range want {
		for isOpen, entities := range map[bool][]event.Entity{false: want[n], true: open[n]} {
			var got []event.Entity
			for q := (view.Query{Open: isOpen, Limit: 2}); ; {
				page, err := v.List(ctx, n, q)
				if err != nil {
					w.t.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				for _, s := range page {
					got = append(got, s.Entity())
				}
				q.After = page[len(page)-1].Seq
			}
			newestFirst := func(a, b event.Entity) int { return int(w.last[b].Seq) - int(w.last[a].Seq) }
			slices.SortFunc(entities, newestFirst)
			if !slices.Equal(got, entities) {
				w.t.Errorf("list %s, open %v: %v, want %v", n, isOpen, got, entities)
			}
		}
	}
}

func TestFlushInTheMiddle(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, v, c := newWriter(t, j), open(t, r), raw(t, r)
	project(t, v, j)
	w.order(1, "accepted", "acme")
	caughtUp(t, c, j)

	r.Flush() // nothing is written meanwhile: the projector has to look by itself
	caughtUp(t, c, j)
	w.checkViewSoon(v)

	for n := range 20 { // and now while facts come
		w.order(n, "placed", "acme")
		if n%7 == 3 {
			r.Flush()
		}
	}
	caughtUp(t, c, j)
	w.checkViewSoon(v)
}

// checkViewSoon waits until queries are answered and then checks the answers.
func (w *writer) checkViewSoon(v *view.View) {
	w.t.Helper()
	until(w.t, "the view answers", func() bool {
		_, err := v.Orders(w.t.Context(), view.Query{})
		return err == nil
	})
	w.checkView(v)
}

func TestForeignView(t *testing.T) {
	r := testenv.StartRedis(t)
	c := raw(t, r)
	old := testenv.Journal(t)
	newWriter(t, old).order(1, "accepted", "acme")
	stop := project(t, open(t, r), old)
	caughtUp(t, c, old)
	stop()

	j := testenv.Journal(t)
	w, v := newWriter(t, j), open(t, r)
	w.order(2, "accepted", "acme")
	w.order(3, "accepted", "acme")
	if _, err := v.Orders(t.Context(), view.Query{}); !errors.Is(err, view.ErrAway) {
		t.Errorf("before the projector runs, another journal's orders are answered (error %v), want ErrAway", err)
	}
	project(t, v, j)
	caughtUp(t, c, j)
	w.checkViewSoon(v)
	orders, err := v.Orders(t.Context(), view.Query{})
	if err != nil || len(orders) != 2 {
		t.Errorf("%d orders, error %v; want the 2 of this journal and none of the other", len(orders), err)
	}
	if _, known, _ := v.Recall(t.Context(), event.OrderID("test", "intent-1")); known {
		t.Error("the other journal's idempotency key is still there")
	}
}

func TestAheadOfTheJournal(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, c := newWriter(t, j), raw(t, r)
	w.order(1, "accepted", "acme")
	stop := project(t, open(t, r), j)
	caughtUp(t, c, j)
	stop()
	// As if the journal had been restored from an older copy of itself.
	if err := c.HSet(t.Context(), "pb:mark", "seq", 1000).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.HSet(t.Context(), "pb:v:e:order/lost", "seq", 1000, "body", "{}", "index", "[]").Err(); err != nil {
		t.Fatal(err)
	}
	project(t, open(t, r), j)
	caughtUp(t, c, j)
	if c.Exists(t.Context(), "pb:v:e:order/lost").Val() != 0 {
		t.Error("the view keeps an order that the journal has not got")
	}
}

func TestTwoProjectors(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, c := newWriter(t, j), raw(t, r)
	first, second := open(t, r), open(t, r)
	w.random(rand.New(rand.NewPCG(1, 1)), 60)
	project(t, first, j)
	project(t, second, j)
	for n := range uint64(3) {
		w.random(rand.New(rand.NewPCG(2, n)), 40)
		if _, err := second.Rebuild(t.Context(), j); err != nil {
			t.Errorf("rebuild while another follows: %v", err)
		}
	}
	caughtUp(t, c, j)
	w.checkViewSoon(first)
	w.checkViewSoon(second)
	got := dump(t, c)
	if _, err := first.Rebuild(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	same(t, dump(t, c), got, "what two projectors made, and a rebuild")
}

// Of all who find no view one builds it, and only that one says so, at the beginning and at
// the end.
func TestWhoBuildsSaysSo(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, c := newWriter(t, j), raw(t, r)
	w.random(rand.New(rand.NewPCG(3, 1)), 60)
	var said testenv.Log
	var all []*view.View
	for range 8 {
		v, err := view.Open(view.Config{URL: r.URL, CheckEvery: 20 * time.Millisecond, Log: zerolog.New(&said)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.Close() })
		all = append(all, v)
	}
	for _, v := range all {
		project(t, v, j)
	}
	for _, v := range all {
		until(t, "the view is there for all", func() bool { return v.Progress().Done })
	}
	caughtUp(t, c, j)
	if n, ends := said.Count("building the view"), said.Count("view built"); n != 1 || ends != 1 {
		t.Errorf("%d say that they build the view and %d that it is built, want one of each", n, ends)
	}
}

func TestOldEntitiesAreLeftOut(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, v, c := newWriter(t, j), open(t, r), raw(t, r)
	ended, alive := w.order(1, "completed", "acme"), w.order(2, "placed", "acme")
	// As if order 1 had ended 31 days ago.
	stop := project(t, v, j)
	caughtUp(t, c, j)
	stop()
	old := float64(time.Now().Add(-31 * 24 * time.Hour).Unix())
	if n := c.ZScore(t.Context(), "pb:v:i:ended", ended.String()).Val(); n == 0 {
		t.Fatal("the ended order is not among the ended")
	}
	c.ZAdd(t.Context(), "pb:v:i:ended", redis.Z{Score: old, Member: ended.String()})

	project(t, v, j)
	until(t, "the old order is gone", func() bool {
		return c.Exists(t.Context(), "pb:v:e:"+ended.String()).Val() == 0
	})
	w.checkGone(v, ended, alive)
	for k, s := range dump(t, c) {
		if strings.Contains(k+s, ended.ID) {
			t.Errorf("%s still has the old order", k)
		}
	}
}

func (w *writer) checkGone(v *view.View, gone, there event.Entity) {
	w.t.Helper()
	var orders []view.Snapshot
	until(w.t, "the view answers", func() (ok bool) {
		var err error
		orders, err = v.Orders(w.t.Context(), view.Query{})
		return err == nil
	})
	if len(orders) != 1 || orders[0].Entity() != there {
		w.t.Errorf("orders are %v, want %s only", orders, there)
	}
	if s, err := v.Snapshot(w.t.Context(), gone); err != nil || !s.None() {
		w.t.Errorf("snapshot of %s is %v, %v; want none", gone, s, err)
	}
	if found, err := v.Find(w.t.Context(), gone.ID); err != nil || len(found) != 0 {
		w.t.Errorf("find %s gives %v, %v; want nothing", gone.ID, found, err)
	}
}

func TestUnreadableData(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, v, c := newWriter(t, j), open(t, r), raw(t, r)
	// A later version's data: an order whose fact is no text any more.
	e := event.Entity{Noun: event.Order, ID: "from-tomorrow"}
	w.add(event.Fact{Entity: e, Name: "dreamt", Data: timestamppb.Now()})
	project(t, v, j)
	caughtUp(t, c, j)
	s, err := v.Snapshot(t.Context(), e)
	if err != nil || s.Fact != "dreamt" {
		t.Errorf("snapshot is %+v, %v; want the fact, found by its id", s, err)
	}
}

func TestProgress(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, v, c := newWriter(t, j), open(t, r), raw(t, r)
	for n := range 5 {
		w.order(n, "accepted", "acme")
	}
	if p := v.Progress(); p.Done || p.Running {
		t.Errorf("before the start: %+v, want nothing done", p)
	}
	project(t, v, j)
	caughtUp(t, c, j)
	until(t, "progress says done", func() bool { return v.Progress().Done })
	if p := v.Progress(); p.Seen != 5 || p.Total != 5 || p.Running || p.Took <= 0 {
		t.Errorf("after the rebuild: %+v, want 5 of 5", p)
	}
}

func BenchmarkRebuild(b *testing.B) {
	j, r := testenv.Journal(b), testenv.StartRedis(b)
	w, v := newWriter(b, j), open(b, r)
	const facts = 3000
	for n := range facts / 3 {
		w.order(n, "accepted", "acme")
		w.connection(n, "PROVISIONING", "NOT_AVAILABLE")
		w.connection(n, "PROVISIONED", "AVAILABLE")
	}
	b.ResetTimer()
	var last view.Report
	for b.Loop() {
		var err error
		if last, err = v.Rebuild(b.Context(), j); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(last.Facts)*float64(b.N)/b.Elapsed().Seconds(), "facts/s")
	b.ReportMetric(float64(last.Entities)*float64(b.N)/b.Elapsed().Seconds(), "entities/s")
}

// TestNewestWins has a projector that comes late with an old fact.
func TestNewestWins(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, c := newWriter(t, j), raw(t, r)
	project(t, open(t, r), j)
	e := w.order(1, "accepted", "acme")
	caughtUp(t, c, j)
	key := "pb:v:e:" + e.String()
	// As if another projector had already written a fact that this one has yet to see.
	if err := c.HSet(t.Context(), key, "seq", 1000, "body", "newer").Err(); err != nil {
		t.Fatal(err)
	}
	w.order(1, "placed", "acme")
	caughtUp(t, c, j)
	if body := c.HGet(t.Context(), key, "body").Val(); body != "newer" {
		t.Errorf("an older fact came later and is now the snapshot: %s", body)
	}
}

// TestOtherGeneration has somebody begin a rebuild behind the back of a projector that does
// not look by itself.
func TestOtherGeneration(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, c := newWriter(t, j), raw(t, r)
	v, err := view.Open(view.Config{URL: r.URL, CheckEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	w.order(1, "accepted", "acme")
	stop := project(t, v, j)
	defer stop()
	caughtUp(t, c, j)
	until(t, "the projector follows", func() bool { return v.Progress().Done })

	later := time.Now().Add(time.Minute).UnixMilli()
	c.HDel(t.Context(), "pb:mark", "seq")
	c.HSet(t.Context(), "pb:mark", "gen", "another", "until", later)
	e := w.order(2, "accepted", "acme")
	until(t, "the projector noticed", func() bool { return !v.Progress().Done })
	if c.Exists(t.Context(), "pb:v:e:"+e.String()).Val() != 0 {
		t.Error("a fact was written into a view that is being built by another")
	}
	// The other dies; its time runs out, and the view is built after all.
	c.HSet(t.Context(), "pb:mark", "until", 1)
	caughtUp(t, c, j)
	w.checkViewSoon(v)
}
