package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/sandbox"
	"patchbay.io/tools/bench/measure"
	"patchbay.io/tools/bench/page"
	"patchbay.io/tools/bench/rig"
)

const (
	// beforePOST are the appends that have to be on disk before the exchange is called: the
	// intent, accepted, the hold, the timer, placing.
	beforePOST = 5
	// pause is the time from one intent to the next while delays are measured: one at a time.
	pause = 50 * time.Millisecond
)

// latency measures, with one intent under way at a time, the delay from the publish to the
// request at the exchange, and from the exchange's change to the subscriber's receipt.
func latency(ctx context.Context, o options) (page.Section, error) {
	var s page.Section
	t := page.Table{Head: []string{"", "one server, embedded", "three servers, R3"}, Rows: [][]string{
		{"intent to POST: median, ms"}, {"intent to POST: **p99, ms**"},
		{fmt.Sprintf("%d raw appends one after the other: median, ms", beforePOST)},
		{fmt.Sprintf("%d raw appends one after the other: p99, ms", beforePOST)},
		{"intent to POST, beside those appends: median"},
		{"change that Patchbay caused, to the subscriber: median, ms"}, {"change that Patchbay caused, to the subscriber: **p99, ms**"},
		{"change that the exchange pushed, to the subscriber: median, ms"}, {"change that the exchange pushed, to the subscriber: **p99, ms**"},
	}}
	chart := page.Chart{Name: "latency", Title: "Delays, ms: median, and p99 as the end of the range", Log: true}
	for _, nodes := range []int{1, 3} {
		name := map[int]string{1: "one server", 3: "three servers"}[nodes]
		d, err := measureDelays(ctx, o, nodes)
		if err != nil {
			return s, fmt.Errorf("%s: %w", name, err)
		}
		var cells []string
		show := func(what string, delays []time.Duration) {
			v := measure.Spread{
				Median: measure.Milliseconds(measure.Quantile(delays, 0.5)), Min: measure.Milliseconds(measure.Quantile(delays, 0)),
				Max: measure.Milliseconds(measure.Quantile(delays, 0.99)), N: len(delays),
			}
			cells = append(cells, measure.Short(v.Median), measure.Short(v.Max))
			s.Set(name+": "+what+", ms, p99 as the maximum", v)
			chart.Bars = append(chart.Bars, page.Bar{Label: what + ", " + name, Value: v})
		}
		show("intent to POST", d.post)
		show("raw appends", d.raw)
		cells = append(cells, measure.Short(float64(measure.Quantile(d.post, 0.5))/float64(measure.Quantile(d.raw, 0.5))))
		show("change to subscriber", d.seen)
		show("pushed change to subscriber", d.pushed)
		for i, c := range cells {
			t.Rows[i] = append(t.Rows[i], c)
		}
		o.conditions.Sample()
	}
	s.Tables, s.Charts = []page.Table{t}, []page.Chart{chart}
	s.Notes = []string{"What happens behind Patchbay's back and is not pushed is seen by the next look; " +
		"those delays are in the next section, in virtual time."}
	return s, nil
}

// delays of each intent, and of the raw appends and the pushed changes.
type delays struct{ post, seen, raw, pushed []time.Duration }

func measureDelays(ctx context.Context, o options, nodes int) (d delays, err error) {
	r, err := rig.Start(ctx, nodes, rig.AtOnce())
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	count := 400
	if o.short {
		count = 40
	}
	w := rig.NewWishes(r.Exchange)
	if _, err := oneByOne(ctx, r, w, 10); err != nil {
		return d, err
	}
	samples, err := rig.Samples(ctx, r.NATS, 1000)
	if err != nil {
		return d, err
	}
	if d, err = oneByOne(ctx, r, w, count); err != nil {
		return d, err
	}
	if d.pushed, err = pushed(ctx, r); err != nil {
		return d, err
	}
	d.raw, err = rig.RawChains(ctx, r.NATS, samples, beforePOST, count)
	return d, err
}

// pushed has the exchange push what happens, takes the circuits that there are down one after
// the other, in the buyer's portal, and measures from each change to its receipt.
func pushed(ctx context.Context, r *rig.Rig) (took []time.Duration, err error) {
	if err := r.Exchange.PushTo(ctx, r.Product.Hook); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	seen := make(chan receipt, 1)
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return receive(ctx, r, "pending_delete.*", seen) })
	work.Go(func() error {
		defer cancel()
		for _, c := range r.Exchange.Inventory().Connections {
			time.Sleep(pause)
			changed := time.Now()
			if err := r.Exchange.Edit(sandbox.Edit{Kind: "delete", Connection: c.ID}); err != nil {
				return err
			}
			for got := (receipt{}); got.id != c.ID; {
				select {
				case got = <-seen:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if got.id == c.ID {
					took = append(took, got.at.Sub(changed))
				}
			}
		}
		return nil
	})
	return took, work.Wait()
}

// receipt of a transition by a subscriber.
type receipt struct {
	name, id string // of the circuit, at the exchange
	at       time.Time
}

// receive hands the receipt of each transition into a state to the channel, until ctx ends.
func receive(ctx context.Context, r *rig.Rig, state string, to chan<- receipt) error {
	return r.Product.Window.Follow(ctx, journal.From{New: true}, []string{event.Connection.Filter(state, "*")},
		func(rec journal.Record) error {
			at := time.Now()
			var t patchbayv1.Transition
			if err := rec.Into(&t); err != nil {
				return err
			}
			select {
			case to <- receipt{t.GetConnection().GetName(), t.GetConnection().GetExchangeId(), at}:
			case <-ctx.Done():
			}
			return nil
		})
}

// oneByOne carries out intents one after the other.
func oneByOne(ctx context.Context, r *rig.Rig, w *rig.Wishes, count int) (d delays, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	posted := map[string]time.Time{}
	r.Exchange.OnCreate(func(name string) {
		mu.Lock()
		defer mu.Unlock()
		posted[name] = time.Now()
	})
	receipts := make(chan receipt, 1)
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return receive(ctx, r, "provisioned.available", receipts) })
	work.Go(func() error {
		defer cancel()
		for range count {
			wish, begun := w.Next(), time.Now()
			if err := r.Product.Submit(ctx, wish); err != nil {
				return err
			}
			for got := (receipt{}); got.name != wish.Name; {
				select {
				case got = <-receipts:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if got.name != wish.Name {
					continue // a further fact of the one before
				}
				changed, err := provisionedAt(r.Exchange, got.id)
				if err != nil {
					return err
				}
				d.seen = append(d.seen, got.at.Sub(changed))
			}
			mu.Lock()
			d.post = append(d.post, posted[wish.Name].Sub(begun))
			mu.Unlock()
			time.Sleep(pause)
		}
		return nil
	})
	return d, work.Wait()
}

// provisionedAt is when a circuit became PROVISIONED by the exchange's own books.
func provisionedAt(x *rig.Exchange, id string) (time.Time, error) {
	c, ok := x.Connection(id)
	if !ok {
		return time.Time{}, fmt.Errorf("the exchange has no circuit %s", id)
	}
	for _, s := range c.History {
		if s.Status == "PROVISIONED" {
			return s.At, nil
		}
	}
	return time.Time{}, fmt.Errorf("circuit %s was never PROVISIONED", id)
}
