package journal_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func TestMain(m *testing.M) {
	embedded.KeepTime()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

func order(id string) event.Entity { return event.Entity{Noun: event.Order, ID: id} }

func fact(id, name string) event.Fact {
	return event.Fact{
		Entity: order(id), Name: name, By: "test", Order: id,
		Data: &patchbayv1.Order{Id: id, Fact: name},
	}
}

func mustAppend(t *testing.T, j *journal.Journal, after journal.Record, f event.Fact) journal.Record {
	t.Helper()
	r, err := j.Append(t.Context(), after, f)
	if err != nil {
		t.Fatalf("append %s: %v", f.Subject(), err)
	}
	return r
}

func TestAppend(t *testing.T) {
	j := testenv.Journal(t)
	none, err := j.Last(t.Context(), order("o-1"))
	if err != nil || !none.None() {
		t.Fatalf("Last of nothing = %v, %v; want none", none, err)
	}
	first := mustAppend(t, j, none, fact("o-1", "accepted"))
	second := mustAppend(t, j, first, fact("o-1", "placing"))

	if _, err := j.Append(t.Context(), first, fact("o-1", "placing")); !errors.Is(err, journal.ErrLost) {
		t.Errorf("append after an old fact = %v, want ErrLost", err)
	}
	if _, err := j.Append(t.Context(), none, fact("o-1", "accepted")); !errors.Is(err, journal.ErrLost) {
		t.Errorf("second first fact = %v, want ErrLost", err)
	}
	mustAppend(t, j, none, fact("o-2", "accepted")) // another entity is not in the way

	last, err := j.Last(t.Context(), order("o-1"))
	if err != nil {
		t.Fatal(err)
	}
	if last.Seq != second.Seq || last.Number() != 2 || last.Event.ID() != second.Event.ID() {
		t.Errorf("last = seq %d number %d, want seq %d number 2", last.Seq, last.Number(), second.Seq)
	}
	if last.Stamp.IsZero() {
		t.Error("a record that was read has no server stamp")
	}
	var o patchbayv1.Order
	if err := last.Into(&o); err != nil || o.GetFact() != "placing" {
		t.Errorf("data = %v, %v; want fact placing", &o, err)
	}
}

// Many writers that all read the same last fact: one wins each round.
func TestOneWriterWins(t *testing.T) {
	j := testenv.Journal(t)
	var last journal.Record
	for round := range 20 {
		var won atomic.Int32
		var next journal.Record
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				r, err := j.Append(t.Context(), last, fact("o-1", fmt.Sprintf("round%d", round)))
				switch {
				case err == nil:
					won.Add(1)
					mu.Lock()
					next = r
					mu.Unlock()
				case !errors.Is(err, journal.ErrLost):
					t.Errorf("append: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d writers won, want 1", round, won.Load())
		}
		last = next
	}
	n := uint64(0)
	err := j.History(t.Context(), []string{order("o-1").Filter()}, func(r journal.Record) error {
		n++
		if r.Number() != n {
			t.Errorf("fact %d has sequence %d", n, r.Number())
		}
		return nil
	})
	if err != nil || n != 20 {
		t.Errorf("history has %d facts, %v; want 20", n, err)
	}
}

// The outcomes a handler can choose, and that each is chosen once.
func TestConsume(t *testing.T) {
	j := testenv.Journal(t)
	for _, id := range []string{"ok", "again", "later", "dead"} {
		mustAppend(t, j, journal.Record{}, fact(id, "accepted"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	seen := map[string]int{}
	settled := make(chan string, 10)
	done := make(chan error, 1)
	go func() {
		done <- j.Consume(ctx, journal.Consumer{Durable: "t", Stream: journal.Facts, Filters: []string{"patchbay.order.>"}},
			func(_ context.Context, r journal.Record) error {
				id := r.Entity().ID
				mu.Lock()
				seen[id]++
				n := seen[id]
				mu.Unlock()
				switch {
				case id == "again" && n == 1:
					return errors.New("not yet")
				case id == "later" && n == 1:
					return journal.Later(10*time.Millisecond, errors.New("busy"))
				case id == "dead":
					defer func() { settled <- id }()
					return journal.Permanent(errors.New("no use"))
				}
				settled <- id
				return nil
			})
	}()
	for range 4 {
		select {
		case <-settled:
		case <-time.After(20 * time.Second):
			t.Fatalf("not all settled: %v", seen)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Consume = %v, want nil after a stop", err)
	}
	for id, want := range map[string]int{"ok": 1, "again": 2, "later": 2, "dead": 1} {
		if seen[id] != want {
			t.Errorf("%s was delivered %d times, want %d", id, seen[id], want)
		}
	}
	dead, err := j.Dead(t.Context())
	if err != nil || len(dead) != 1 || dead[0].Cause != "no use" || dead[0].Subject != "patchbay.order.accepted.dead" {
		t.Fatalf("dead letters = %+v, %v; want one with its cause", dead, err)
	}
}

// A message that is no CloudEvent is set aside, and does not stop the next.
func TestUndecodableIntent(t *testing.T) {
	n := testenv.StartNATS(t)
	j := n.Open(t, journal.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	publishRaw(t, n.URL, "patchbay.intent.create", "{}")
	e, err := fact("o-1", "accepted").Event(1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Submit(ctx, "patchbay.intent.create", e); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		done <- j.Consume(ctx, journal.Consumer{Durable: "i", Stream: journal.Intents, Filters: []string{event.IntentSubjects}},
			func(_ context.Context, r journal.Record) error {
				got <- r.Event.ID()
				return nil
			})
	}()
	select {
	case id := <-got:
		if id != e.ID() {
			t.Errorf("handled %q, want %q", id, e.ID())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the good intent was not handled")
	}
	deadline := time.After(20 * time.Second)
	for {
		dead, err := j.Dead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(dead) == 1 {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the undecodable intent is not in DEADLETTERS")
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left, err := j.Intent(t.Context(), 1); err != nil || !left.None() {
		t.Errorf("the intent is still in INTENTS, too (%v), want its copy alone", err)
	}
}

// Days pass in a bubble: a timer is never early, and arming again replaces it.
// A timer is set only if none stands that is due before, and in any case is due in time.
func TestArmBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		j, err := journal.Open(t.Context(), journal.Config{InProcess: s, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		got := make(chan time.Duration, 10)
		done := make(chan error, 1)
		go func() {
			done <- j.Consume(ctx, journal.Consumer{Durable: "due", Stream: journal.Timers, Filters: []string{journal.Due(event.Order)}},
				func(_ context.Context, r journal.Record) error {
					got <- r.Stamp.Sub(start).Truncate(time.Minute)
					return nil
				})
		}()
		for _, tt := range []struct {
			reason string
			at     time.Duration
			want   bool
		}{
			{"none stands", 2 * time.Hour, true},
			{"the one that stands is earlier", 3 * time.Hour, false},
			{"the one that stands is as early", 2 * time.Hour, false},
			{"the one that stands is later", time.Hour, true},
		} {
			set, err := j.ArmBy(t.Context(), order("o-1"), "attempt", start.Add(tt.at))
			if err != nil || set != tt.want {
				t.Errorf("set %v, error %v; want %v, since %s", set, err, tt.want, tt.reason)
			}
		}
		if set, err := j.ArmBy(t.Context(), order("o-1"), "other", start.Add(4*time.Hour)); err != nil || !set {
			t.Errorf("set %v, error %v; want another purpose to have a timer of its own", set, err)
		}
		if at := <-got; at != time.Hour {
			t.Errorf("due after %v, want 1h", at)
		}
		if set, err := j.ArmBy(t.Context(), order("o-1"), "attempt", start.Add(3*time.Hour)); err != nil || !set {
			t.Errorf("set %v, error %v; want it set, since what stood is over", set, err)
		}
		for _, want := range []time.Duration{3 * time.Hour, 4 * time.Hour} {
			if at := <-got; at != want {
				t.Errorf("due after %v, want %v", at, want)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(got) != 0 {
			t.Errorf("%d timers fired that had been replaced", len(got))
		}
	})
}

func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		j, err := journal.Open(t.Context(), journal.Config{InProcess: s, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		got := make(chan journal.Record, 10)
		done := make(chan error, 1)
		go func() {
			done <- j.Consume(ctx, journal.Consumer{Durable: "due", Stream: journal.Timers, Filters: []string{journal.Due(event.Order)}},
				func(_ context.Context, r journal.Record) error {
					got <- r
					return nil
				})
		}()
		for _, at := range []time.Duration{time.Hour, 25 * time.Hour} {
			if err := j.Arm(t.Context(), order("o-1"), "attempt", start.Add(at)); err != nil {
				t.Fatal(err)
			}
		}
		r := <-got
		late := r.Stamp.Sub(start.Add(25 * time.Hour))
		if late < 0 || late > 500*time.Millisecond || r.Entity() != order("o-1") {
			t.Errorf("due %v after its time for %v; want 0 to 500ms for order/o-1", late, r.Entity())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(got) != 0 {
			t.Errorf("the replaced timer fired too")
		}
	})
}

func TestFollowAndEach(t *testing.T) {
	j := testenv.Journal(t)
	a := mustAppend(t, j, journal.Record{}, fact("a", "accepted"))
	mustAppend(t, j, a, fact("a", "placing"))
	end := mustAppend(t, j, journal.Record{}, fact("b", "accepted"))

	last := map[string]string{}
	if err := j.Each(t.Context(), []string{"patchbay.order.>"}, func(r journal.Record) error {
		last[r.Entity().ID] = r.Subject
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if last["a"] != "patchbay.order.placing.a" || last["b"] != "patchbay.order.accepted.b" || len(last) != 2 {
		t.Errorf("Each = %v, want the last fact of each", last)
	}

	stop := errors.New("enough")
	var got []string
	err := j.Follow(t.Context(), journal.From{}, []string{"patchbay.order.>"}, func(r journal.Record) error {
		got = append(got, r.Subject)
		if r.Seq == end.Seq {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || len(got) != 3 {
		t.Errorf("Follow = %v after %v, want %v after three facts", err, got, stop)
	}
}

// A reading ends though what it counted on is purged on the way.
func TestPurgedMeanwhile(t *testing.T) {
	t.Parallel()
	j := testenv.Journal(t)
	mustAppend(t, j, journal.Record{}, fact("first", "accepted"))
	var middle journal.Record
	for range 600 { // more than a reader asks for at once
		middle = mustAppend(t, j, middle, fact("middle", "accepted"))
	}
	last := mustAppend(t, j, journal.Record{}, fact("last", "accepted"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var seq uint64
	err := j.History(ctx, nil, func(r journal.Record) error {
		if seq = r.Seq; seq == 1 {
			return j.Purge(ctx, order("middle"), 0)
		}
		return nil
	})
	if err != nil || seq != last.Seq {
		t.Errorf("History = %v and ends at %d, want %d", err, seq, last.Seq)
	}
}

// A fact that nobody can read is passed on by its sequence, so that who waits to have
// seen everything does not wait for ever.
func TestUnreadableFact(t *testing.T) {
	n := testenv.StartNATS(t)
	j := n.Open(t, journal.Config{})
	mustAppend(t, j, journal.Record{}, fact("a", "accepted"))
	publishRaw(t, n.URL, "patchbay.order.accepted.b", "no event")

	var got []journal.Record
	collect := func(r journal.Record) error {
		got = append(got, r)
		return nil
	}
	filters := []string{"patchbay.order.>"}
	stop := errors.New("enough")
	for name, read := range map[string]func() error{
		"Latest":  func() error { return j.Latest(t.Context(), filters, collect) },
		"History": func() error { return j.History(t.Context(), filters, collect) },
		"Follow": func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := j.Follow(ctx, journal.From{}, filters, func(r journal.Record) error {
				if _ = collect(r); r.Seq == 2 {
					return stop
				}
				return nil
			})
			if errors.Is(err, stop) {
				err = nil
			}
			return err
		},
	} {
		got = nil
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(got) != 2 || got[1].Seq != 2 || got[1].Entity() != order("b") || got[1].Event.ID() != "" {
			t.Errorf("%s gives %v; want two records, the second with the zero Event", name, got)
			continue
		}
		if err := got[1].Into(new(patchbayv1.Order)); err == nil {
			t.Errorf("%s: Into reads what cannot be read", name)
		}
	}
}

// Parts have the newest facts only, each entity once in a part and oldest first, and all of
// them together the newest of all.
func TestNewest(t *testing.T) {
	n := testenv.StartNATS(t)
	j := n.Open(t, journal.Config{})
	want := map[event.Entity]uint64{}
	last := map[event.Entity]journal.Record{}
	for n, name := range []string{"accepted", "placing", "placed", "completed"} {
		for _, id := range []string{"a", "b", "c"}[n%2:] {
			r, err := j.Append(t.Context(), last[order(id)], fact(id, name))
			if err != nil {
				t.Fatal(err)
			}
			last[order(id)], want[order(id)] = r, r.Seq
		}
	}
	n.Settle(t) // a node that is behind knows of a smaller total
	for size, parts := range map[uint64]int{0: 1, 3: 4, 4: 3, 100: 1} {
		got := map[event.Entity]uint64{}
		var seen uint64
		count := 0
		err := j.Newest(t.Context(), []string{event.Order.Filter("*", "*")}, size, func(p journal.Part) error {
			if count++; size > 0 && p.Seen-seen > size || p.Total != 10 {
				t.Errorf("by %d: %d of %d read, after %d", size, p.Seen, p.Total, seen)
			}
			seen = p.Seen
			if !slices.IsSortedFunc(p.Records, func(a, b journal.Record) int { return cmp.Compare(a.Seq, b.Seq) }) {
				t.Errorf("by %d: a part is not oldest first", size)
			}
			in := map[event.Entity]bool{}
			for _, r := range p.Records {
				if e := r.Entity(); in[e] || got[e] >= r.Seq {
					t.Errorf("by %d: %s comes again with fact %d", size, e, r.Seq)
				} else {
					in[e], got[e] = true, r.Seq
				}
			}
			return nil
		})
		if err != nil || !maps.Equal(got, want) || count != parts || seen != 10 {
			t.Errorf("by %d: %v in %d parts of %d facts, error %v; want %v in %d of 10", size, got, count, seen, err, want, parts)
		}
	}
	stop := errors.New("enough")
	err := j.Newest(t.Context(), nil, 1, func(journal.Part) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want yield's own", err)
	}
}

// Begin hands over all that it is asked for, newest facts, and every fact of an entity of which
// more is wanted or whose newest nobody can read.
func TestBegin(t *testing.T) {
	n := testenv.StartNATS(t)
	j := n.Open(t, journal.Config{})
	last := map[string]journal.Record{}
	for _, name := range []string{"accepted", "placing", "placed"} {
		for _, id := range []string{"a", "b"} {
			last[id] = mustAppend(t, j, last[id], fact(id, name))
		}
	}
	publishRaw(t, n.URL, "patchbay.order.completed.b", "no event")
	end := mustAppend(t, j, journal.Record{}, fact("c", "accepted"))
	n.Settle(t) // a node that is behind knows of a smaller total
	var got []uint64
	var seen, total uint64
	ctx, cancel := context.WithCancel(t.Context())
	b := journal.Beginning{
		All:    []string{event.Order.Filter("placing", "*")},
		Newest: []string{event.Order.Filter("*", "*")},
		Note: func(r journal.Record) bool {
			got = append(got, r.Seq)
			return r.Into(new(patchbayv1.Order)) == nil
		},
		More:     func() []event.Entity { return []event.Entity{order("c")} },
		Progress: func(s, of uint64) { seen, total = s, of },
	}
	want := []uint64{3, 4, 5, 7, 8, 2, 4, 6, 7, 8} // placing; newest; those of b and c
	seq, err := j.Begin(ctx, b)
	if err != nil || seq != end.Seq || !slices.Equal(got, want) {
		t.Errorf("Begin = %d, %v and hands over %v; want %d and %v", seq, err, got, end.Seq, want)
	}
	if seen != 8 || total != 8 {
		t.Errorf("%d of %d were read in the end, want 8 of 8", seen, total)
	}
	cancel()
	if _, err := j.Begin(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("Begin = %v after the end, want that said", err)
	}
}

func TestAsk(t *testing.T) {
	j := testenv.Journal(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- j.Serve(ctx, "echo", func(_ context.Context, b []byte) ([]byte, error) {
			switch string(b) {
			case "":
				return nil, errors.New("nothing to say")
			case "much":
				return make([]byte, 2<<20), nil
			case "much wrong":
				return nil, errors.New(strings.Repeat("wrong ", 1<<20))
			}
			return b, nil
		})
	}()
	var err error
	var got []byte
	for range 50 { // the subscription may take a moment
		if got, err = j.Ask(t.Context(), "echo", []byte("x")); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil || string(got) != "x" {
		t.Errorf("Ask = %q, %v; want x", got, err)
	}
	if _, err := j.Ask(t.Context(), "nobody", nil); !errors.Is(err, journal.ErrNobody) {
		t.Errorf("Ask = %v, want %v", err, journal.ErrNobody)
	}
	if _, err := j.Ask(t.Context(), "echo", nil); err == nil || err.Error() != "ask echo: nothing to say" || errors.Is(err, journal.ErrNobody) {
		t.Errorf("Ask = %v, want the server's error", err)
	}
	for _, q := range []string{"much", "much wrong"} {
		if _, err := j.Ask(t.Context(), "echo", []byte(q)); err == nil || !strings.Contains(err.Error(), "1048576 bytes") {
			t.Errorf("Ask(%s) = %v, want to hear that the answer is too long", q, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestIntentsAreDropped(t *testing.T) {
	j := testenv.Journal(t)
	e, err := fact("o-1", "accepted").Event(1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	seq, err := j.Submit(t.Context(), "patchbay.intent.create", e)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := j.Intent(t.Context(), seq); err != nil || r.Event.ID() != e.ID() {
		t.Fatalf("Intent = %v, %v; want the event", r, err)
	}
	for range 2 { // dropping it again is no error
		if err := j.DropIntent(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := j.Intent(t.Context(), seq); err != nil || !r.None() {
		t.Errorf("Intent after the drop = %v, %v; want none", r, err)
	}
}

// An intent that the leader does not know yet is waited for; one that was dropped is not.
func TestIntentIsOnItsWay(t *testing.T) {
	t.Parallel()
	n := testenv.StartCluster(t)
	j := n.Open(t, journal.Config{})
	e, err := fact("o-1", "accepted").Event(1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	submitted := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() {
		_, err := j.Submit(t.Context(), "patchbay.intent.create", e)
		submitted <- err
	})
	if r, err := j.Intent(t.Context(), 1); err != nil || r.Event.ID() != e.ID() {
		t.Errorf("Intent = %v, %v; want the one that comes a little later", r, err)
	}
	if err := errors.Join(<-submitted, j.DropIntent(t.Context(), 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // it would be waited for longer
	defer cancel()
	if r, err := j.Intent(ctx, 1); err != nil || !r.None() {
		t.Errorf("Intent after the drop = %v, %v; want none, at once", r, err)
	}
}
