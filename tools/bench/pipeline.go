package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/tools/bench/measure"
	"patchbay.io/tools/bench/page"
	"patchbay.io/tools/bench/rig"
)

// window is how many intents are under way at any time while throughput is measured.
const window = 64

// pipeline measures intents a second from the publish to the PROVISIONED event, against
// what the same NATS takes of as many durable appends when nothing else is done.
func pipeline(ctx context.Context, o options) (page.Section, error) {
	var s page.Section
	t := page.Table{Head: []string{"", "one server, embedded", "three servers, R3"}}
	rows := [][]string{
		{"durable appends for an intent"}, {"of them in INTENTS, JOURNAL, TIMERS"}, {"calls to the exchange for an intent"},
		{"raw appends a second, at its best"}, {"writers at which that was"}, {"intents a second the raw appends would allow"},
		{"intents a second, measured"}, {"**part of the raw limit**"}, {"processor time for an intent, all in one process, ms"},
	}
	chart := page.Chart{Name: "pipeline", Title: "Part of the raw limit of durable appends; the line is the aim", Aim: 0.5}
	for _, nodes := range []int{1, 3} {
		name := map[int]string{1: "one server", 3: "three servers"}[nodes]
		p, err := measurePipeline(ctx, o, nodes)
		if err != nil {
			return s, fmt.Errorf("%s: %w", name, err)
		}
		w := p.perIntent
		for i, cell := range []string{
			measure.Short(w.Sum()), fmt.Sprintf("%s, %s, %s", measure.Short(w[journal.Intents]), measure.Short(w[journal.Facts]), measure.Short(w[journal.Timers])),
			measure.Of(p.calls).String(), measure.Of(p.raw).String(), fmt.Sprint(p.writers), measure.Of(p.limit).String(),
			measure.Of(p.rate).String(), "**" + measure.Of(p.ratio).String() + "**", measure.Of(p.cpu).String(),
		} {
			rows[i] = append(rows[i], cell)
		}
		chart.Bars = append(chart.Bars, page.Bar{Label: name, Value: measure.Of(p.ratio)})
		s.Set(name+": part of the raw limit", measure.Of(p.ratio))
		s.Set(name+": intents a second", measure.Of(p.rate))
		s.Set(name+": raw appends a second", measure.Of(p.raw))
		s.Set(name+": appends for an intent", measure.Of([]float64{w.Sum()}))
	}
	t.Rows = rows
	s.Tables, s.Charts = []page.Table{t}, []page.Chart{chart}
	return s, nil
}

// throughput is what came of the rounds on one kind of NATS, a value for each round.
type throughput struct {
	perIntent                           rig.Writes
	writers                             int
	raw, limit, rate, ratio, cpu, calls []float64
}

func measurePipeline(ctx context.Context, o options, nodes int) (t throughput, err error) {
	r, err := rig.Start(ctx, nodes, rig.AtOnce())
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	w := rig.NewWishes(r.Exchange)
	if _, err := run(ctx, r.Product, w, o.span/5); err != nil { // it warms up
		return t, err
	}
	samples, err := rig.Samples(ctx, r.NATS, 1000)
	if err != nil {
		return t, err
	}
	raw := func() (float64, error) { return rig.Raw(ctx, r.NATS, samples, o.span/4, t.writers) }
	if t.writers, err = bestWriters(ctx, o, r.NATS, samples); err != nil {
		return t, err
	}
	before, err := raw()
	if err != nil {
		return t, err
	}
	counted, intents := rig.Writes{}, 0
	for range o.rounds {
		n, err := t.round(ctx, o, r, w, counted)
		if err != nil {
			return t, err
		}
		intents += n
		after, err := raw()
		if err != nil {
			return t, err
		}
		t.raw = append(t.raw, (before+after)/2)
		before = after
		o.conditions.Sample()
	}
	t.perIntent = counted.Per(intents)
	for i, rate := range t.rate {
		t.limit = append(t.limit, t.raw[i]/t.perIntent.Sum())
		t.ratio = append(t.ratio, rate/t.limit[i])
	}
	return t, nil
}

// bestWriters is how many writers NATS takes most from.
func bestWriters(ctx context.Context, o options, n *rig.NATS, samples []*nats.Msg) (best int, err error) {
	most := 0.0
	for _, writers := range []int{1, 16, 64, 256} {
		rate, err := rig.Raw(ctx, n, samples, o.span/5, writers)
		if err != nil {
			return 0, err
		}
		if rate > most {
			most, best = rate, writers
		}
	}
	return best, nil
}

// round runs the pipeline once, adds its appends to counted, and returns its intents.
func (t *throughput) round(ctx context.Context, o options, r *rig.Rig, w *rig.Wishes, counted rig.Writes) (int, error) {
	was, err := rig.CountWrites(ctx, r.NATS)
	if err != nil {
		return 0, err
	}
	calls, cpu := r.Exchange.Calls(), measure.CPUTime()
	got, err := run(ctx, r.Product, w, o.span)
	if err != nil {
		return 0, err
	}
	n := float64(got.intents)
	t.rate = append(t.rate, got.rate)
	t.calls = append(t.calls, float64(r.Exchange.Calls()-calls)/n)
	t.cpu = append(t.cpu, measure.Milliseconds(measure.CPUTime()-cpu)/n)
	is, err := rig.CountWrites(ctx, r.NATS)
	counted.Add(is, was)
	return got.intents, err
}

// ran is what came of one run of the pipeline.
type ran struct {
	rate    float64 // intents a second, from the first publish to the last PROVISIONED
	intents int
}

// run publishes intents for so long, never more than the window of them unfinished, and
// returns when all have been completed.
func run(ctx context.Context, p *rig.Product, w *rig.Wishes, span time.Duration) (ran, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := customer{waiting: map[string]bool{}, open: map[string]bool{}, places: make(chan struct{}, window), done: make(chan struct{})}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return c.follow(ctx, p.Window) })
	work.Go(func() error { return c.publish(ctx, p, w, span) })
	begun := time.Now()
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	cancel()
	if err := work.Wait(); err != nil {
		return ran{}, err
	}
	return ran{rate: float64(c.published) / c.last.Sub(begun).Seconds(), intents: c.published}, nil
}

// customer publishes intents and waits for what becomes of them.
type customer struct {
	places chan struct{} // one is taken by each intent until its circuit is provisioned
	done   chan struct{} // closed when all that was published is completed

	mu        sync.Mutex
	waiting   map[string]bool // names of circuits that are not provisioned yet
	open      map[string]bool // names of orders that are not completed yet
	published int
	over      bool      // nothing more will be published
	last      time.Time // when the last circuit was provisioned
}

// publish publishes intents for so long, as places allow.
func (c *customer) publish(ctx context.Context, p *rig.Product, w *rig.Wishes, span time.Duration) error {
	work, ctx := errgroup.WithContext(ctx)
	for over := time.After(span); ; {
		select {
		case c.places <- struct{}{}:
			wish := w.Next()
			c.change(func() {
				c.published++
				c.waiting[wish.Name], c.open[wish.Name] = true, true
			})
			work.Go(func() error { return p.Submit(ctx, wish) })
			continue
		case <-over:
		case <-ctx.Done():
		}
		c.change(func() { c.over = true })
		return work.Wait()
	}
}

// change changes what is known, and tells when nothing more is to come.
func (c *customer) change(how func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	how()
	if c.over && len(c.waiting)+len(c.open) == 0 {
		c.over = false // told once
		close(c.done)
	}
}

// follow takes note of circuits that are provisioned and orders that are completed, until
// ctx ends. An order that ends otherwise is an error.
func (c *customer) follow(ctx context.Context, j *journal.Journal) error {
	filters := []string{event.Connection.Filter("provisioned.available", "*")}
	for _, fact := range []string{"completed", "failed", "invalid", "orphaned"} {
		filters = append(filters, event.Order.Filter(fact, "*"))
	}
	return j.Follow(ctx, journal.From{New: true}, filters, func(r journal.Record) error {
		if r.Entity().Noun == event.Connection {
			var t patchbayv1.Transition
			if err := r.Into(&t); err != nil {
				return err
			}
			c.change(func() { c.provisioned(t.GetConnection().GetName()) })
			return nil
		}
		var o patchbayv1.Order
		if err := r.Into(&o); err != nil {
			return err
		}
		if o.GetFact() != "completed" {
			return fmt.Errorf("order %s: %s", o.GetFact(), r.Event.Data())
		}
		c.change(func() { delete(c.open, o.GetCreate().GetName()) })
		return nil
	})
}

// provisioned gives the circuit's place to another. More facts of the same may follow.
func (c *customer) provisioned(name string) {
	if c.waiting[name] {
		delete(c.waiting, name)
		c.last = time.Now()
		<-c.places
	}
}
