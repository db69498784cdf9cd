package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"patchbay.io/pkg/journal"
	"patchbay.io/tools/bench/measure"
	"patchbay.io/tools/bench/page"
	"patchbay.io/tools/bench/rig"
)

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
	if _, err := run(ctx, r.Product, w, load{span: o.span / 5}); err != nil { // it warms up
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
	got, err := run(ctx, r.Product, w, load{span: o.span})
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
