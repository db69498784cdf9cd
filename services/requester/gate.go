package requester

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Limits bound what intake takes from one source. Zero is no limit.
type Limits struct {
	// PerMinute is how many creates and changes of a source become orders in any minute, and
	// how many deletes beside them.
	PerMinute int
	// Open is how many creates and changes of a source may be under way at one time. Deletes
	// are not counted: they end what bills.
	Open int
}

const (
	// full is the part of the journal that creates and changes may fill, fullest the part that
	// deletes may; the rest is for outcomes.
	full    = 0.90
	fullest = 0.95
	// window is the time that the budget of a source is for.
	window = time.Minute
	// soonest and latest are when an intent is looked at again that waits for what may come at
	// any moment, and apart is the time between two of them: a few come again soon, and many
	// one after the other, so that they do not keep everybody busy.
	soonest = 2 * time.Second
	latest  = 30 * time.Second
	apart   = 5 * time.Millisecond
	// overdue is how long after its time an intent that waited comes again for certain, here or
	// at another instance, even if who had it was killed.
	overdue = 10 * time.Second
)

// gate says which intents have to wait. An intent that waits stays in INTENTS and comes
// again by itself; nothing is lost, and nobody else's waits behind it.
//
// What a source has used is counted from the facts of its orders, so all instances count
// alike and a restart forgets nothing. Two instances may each let one more through at the
// same moment: the limits are for runaway loops, and exact to a few.
type gate struct {
	limits Limits

	mu      sync.Mutex
	sources map[string]*spending
	halts   map[string]halt // by source; "" for all of them
	tidied  time.Time       // when sources that have used nothing lately were forgotten
	turn    time.Time       // when the last of those comes again that wait for room
}

// spending is what a source has used of its budget.
type spending struct {
	recent, deletes arrivals
	open            map[string]bool // ids of orders under way
}

// halt is why the intents of a source wait.
type halt struct {
	reason string
	// until is when the last that was held comes again. Zero leaves that to [gate.hold].
	until time.Time
	// news says that they did not wait before.
	news bool
}

func newGate(l Limits) *gate {
	return &gate{limits: l, sources: map[string]*spending{}, halts: map[string]halt{}}
}

// arrivals are the orders that came within the window, oldest first.
type arrivals struct {
	queue []arrival
	known map[string]bool
}

type arrival struct {
	id string
	at time.Time
}

// add notes an order. It may be noted again.
func (a *arrivals) add(id string, at time.Time) {
	if a.known[id] {
		return
	}
	if a.known == nil {
		a.known = map[string]bool{}
	}
	a.known[id] = true
	a.queue = append(a.queue, arrival{id, at})
}

// count is how many came within the window before now, and when the first of them leaves it.
func (a *arrivals) count(now time.Time) (n int, next time.Time) {
	for len(a.queue) > 0 && (!a.known[a.queue[0].id] || !a.queue[0].at.After(now.Add(-window))) {
		delete(a.known, a.queue[0].id)
		a.queue = a.queue[1:]
	}
	if len(a.queue) == 0 {
		return 0, now
	}
	return len(a.known), a.queue[0].at.Add(window)
}

// note takes in what became of an order. One that was archived was counted long ago.
func (g *gate) note(o *patchbayv1.Order, now time.Time) {
	if o.GetFact() == event.Archived {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	at := o.GetAcceptedAt()
	if at == nil {
		at = o.GetAt()
	}
	s := g.of(o.GetSource())
	if at.AsTime().After(now.Add(-window)) {
		s.arrivals(o.GetKind()).add(o.GetId(), at.AsTime())
	}
	if o.GetOutcome() == "" && o.GetKind() != exchange.Delete {
		s.open[o.GetId()] = true
	} else {
		delete(s.open, o.GetId())
	}
	if now.Sub(g.tidied) > window {
		for source := range g.sources {
			g.tidy(source, now)
		}
		g.tidied = now
	}
}

func (g *gate) of(source string) *spending {
	if g.sources[source] == nil {
		g.sources[source] = &spending{open: map[string]bool{}}
	}
	return g.sources[source]
}

// arrivals are those that an intent of a kind is counted with.
func (s *spending) arrivals(kind string) *arrivals {
	if kind == exchange.Delete {
		return &s.deletes
	}
	return &s.recent
}

// tidy forgets a source that has used nothing lately. The lock is held.
func (g *gate) tidy(source string, now time.Time) {
	s := g.of(source)
	recent, _ := s.recent.count(now)
	deletes, _ := s.deletes.count(now)
	if recent+deletes+len(s.open) == 0 {
		delete(g.sources, source)
	}
}

// enter lets an intent in, or returns why it has to wait. Who does not make an order of it
// after all calls leave.
func (g *gate) enter(a *asked, use journal.Use, now time.Time) (leave func(), wait *halt) {
	g.mu.Lock()
	defer g.mu.Unlock()
	source := a.rec.Event.Source()
	if source == rollbackSource && a.kind == exchange.Delete {
		return func() {}, nil // an outcome
	}
	if h := stopped(a.kind, use); h != nil {
		return nil, g.hold("", h, now)
	}
	if use.Fill() < full {
		delete(g.halts, "")
	}
	if h := g.over(source, a.kind, now); h != nil {
		return nil, g.hold(source, h, now)
	}
	delete(g.halts, source)
	s := g.of(source)
	s.arrivals(a.kind).add(a.orderID, now)
	if a.kind != exchange.Delete {
		s.open[a.orderID] = true
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		s := g.of(source)
		delete(s.arrivals(a.kind).known, a.orderID)
		delete(s.open, a.orderID)
		g.tidy(source, now)
	}, nil
}

// hold remembers why the intents of a source wait. The lock is held.
func (g *gate) hold(source string, h *halt, now time.Time) *halt {
	if h.until.IsZero() {
		g.turn = g.turn.Add(apart)
		if soon := now.Add(soonest); g.turn.Before(soon) {
			g.turn = soon
		}
		if late := now.Add(latest); g.turn.After(late) {
			g.turn = late
		}
		h.until = g.turn
	}
	_, known := g.standing(now)[source]
	h.news = !known
	g.halts[source] = *h
	return h
}

// standing are the halts that somebody met lately. Where none comes again, nothing waits any
// more: another instance has let it in. The lock is held.
func (g *gate) standing(now time.Time) map[string]halt {
	maps.DeleteFunc(g.halts, func(_ string, h halt) bool { return now.After(h.until.Add(overdue)) })
	return g.halts
}

// stopped is why nobody's intent of a kind is taken now; nil if that is not so.
func stopped(kind string, use journal.Use) *halt {
	limit, what := full, "creates and changes wait, deletes are taken"
	if use.Fill() >= fullest {
		what = "all intents wait"
	}
	if kind == exchange.Delete {
		limit = fullest
	}
	if use.Fill() < limit {
		return nil
	}
	return &halt{reason: fmt.Sprintf("the journal is %.0f %% full (%s of %s), and what is left is for outcomes: %s; "+
		`make room with "patchbay archive", or raise --journal-bytes`,
		100*use.Fill(), mebibytes(use.Bytes), mebibytes(use.MaxBytes), what)}
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// over is why a source's intent of a kind is not taken now; nil if it is within its budget.
// The lock is held.
func (g *gate) over(source, kind string, now time.Time) *halt {
	s := g.sources[source]
	if s == nil {
		return nil
	}
	if n, next := s.arrivals(kind).count(now); g.limits.PerMinute > 0 && n >= g.limits.PerMinute {
		what := "creates and changes"
		if kind == exchange.Delete {
			what = "deletes"
		}
		return &halt{reason: fmt.Sprintf("source %q has handed in %d %s within a minute, and --source-per-minute is %d: "+
			"the others wait for their turn", source, n, what, g.limits.PerMinute), until: next}
	}
	if n := len(s.open); g.limits.Open > 0 && kind != exchange.Delete && n >= g.limits.Open {
		return &halt{reason: fmt.Sprintf("source %q has %d orders under way, and --source-open is %d: the others wait until "+
			"some have ended", source, n, g.limits.Open)}
	}
	return nil
}

// check is the gate on the health page.
func (g *gate) check(now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, h := range g.standing(now) {
		all = append(all, h.reason)
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	more := ""
	if n := len(all) - 3; n > 0 {
		all, more = all[:3], fmt.Sprintf(", and of %d more sources", n)
	}
	return errors.New("intents wait: " + strings.Join(all, "; ") + more)
}

// answer tells what the sources have used.
func (g *gate) answer(now time.Time) service.IntakeAnswer {
	g.mu.Lock()
	defer g.mu.Unlock()
	halts := g.standing(now)
	a := service.IntakeAnswer{PerMinute: g.limits.PerMinute, Open: g.limits.Open, Stopped: halts[""].reason}
	for source := range g.sources {
		s := g.sources[source]
		u := service.SourceUse{Source: source, Open: len(s.open), Waits: halts[source].reason}
		u.LastMinute, _ = s.recent.count(now)
		u.Deletes, _ = s.deletes.count(now)
		a.Sources = append(a.Sources, u)
	}
	a.Shorten()
	return a
}

// Intake answers the question how much intake may take, and from whom it has taken what.
func (r *Requester) Intake(context.Context, []byte) ([]byte, error) {
	return json.Marshal(r.gate.answer(r.rt.Journal.Now()))
}

// admit lets an intent through the gate; see [gate.enter]. The error asks for the message
// again.
func (r *Requester) admit(ctx context.Context, a *asked) (leave func(), err error) {
	if _, err := r.index.of(ctx, "", 0); err != nil {
		return nil, err // what the sources have under way is not known yet
	}
	now := r.rt.Journal.Now()
	leave, wait := r.gate.enter(a, r.rt.Journal.Use(ctx), now)
	if wait == nil {
		return leave, nil
	}
	if wait.news {
		r.rt.Log.Warn().Str("why", wait.reason).Msg("intents wait")
	}
	r.meters.held(ctx, a.kind)
	return nil, journal.Later(max(wait.until.Sub(now), time.Second), errors.New(wait.reason))
}
