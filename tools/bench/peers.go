package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/tools/bench/measure"
	"patchbay.io/tools/bench/page"
	"patchbay.io/tools/bench/peers"
	"patchbay.io/tools/bench/rig"
)

const (
	// roundTime bounds one round of one contender.
	roundTime = 10 * time.Minute
	// warming are the intents before those that are measured.
	warming = 16
	// losing: of so many orders the answer to one is lost.
	losing = 5
)

// contender is a system that carries out the same intents.
type contender struct {
	name string
	// write says what its durable write is, lost what it does when an answer is lost, and again
	// after what time it takes up again what its killed workers had in hand.
	write, lost, again string
	start              func(ctx context.Context, at *rig.Place) (contestant, error)
}

// contestant is a contender at work.
type contestant interface {
	system
	// Writes is how many durable writes it has made.
	Writes(context.Context) (float64, error)
	Stop() error
}

// contenders are the product, and what it is measured beside. The program temporal is Temporal's
// command line.
func contenders(temporal string) []contender {
	const message, again = "message on JetStream", "orders again"
	return []contender{
		{"Patchbay", message, "looks for the circuit", "its lease, 7 to 10 s", onNATS(func(ctx context.Context, n *rig.NATS, at *rig.Place) (contestant, error) {
			return rig.StartProduct(ctx, n, at)
		})},
		{"Watermill", message, again, fmt.Sprintf("AckWait, %.0f s", peers.Dead.Seconds()), onNATS(func(ctx context.Context, n *rig.NATS, at *rig.Place) (contestant, error) {
			return peers.StartWatermill(ctx, n, at)
		})},
		{"River", "transaction of PostgreSQL", again, fmt.Sprintf("RescueStuckJobsAfter, %.0f s, looked for each 30 s", peers.Rescue.Seconds()), func(ctx context.Context, at *rig.Place) (contestant, error) {
			return peers.StartRiver(ctx, at)
		}},
		{"Temporal", "request to its SQLite store", again, fmt.Sprintf("StartToCloseTimeout, %.0f s", peers.Dead.Seconds()), func(ctx context.Context, at *rig.Place) (contestant, error) {
			return peers.StartTemporal(ctx, temporal, at)
		}},
	}
}

// onNATS gives a contestant a NATS server of its own, or that of the place.
func onNATS(start func(context.Context, *rig.NATS, *rig.Place) (contestant, error)) func(context.Context, *rig.Place) (contestant, error) {
	return func(ctx context.Context, at *rig.Place) (contestant, error) {
		n, err := rig.NATSAt(ctx, at)
		if err != nil {
			return nil, err
		}
		c, err := start(ctx, n, at)
		if err != nil {
			n.Stop()
			return nil, err
		}
		return withNATS{c, n}, nil
	}
}

type withNATS struct {
	contestant
	nats *rig.NATS
}

// Stop ends the contestant, then NATS.
func (w withNATS) Stop() error {
	err := w.contestant.Stop()
	w.nats.Stop()
	return err
}

// trial is what a contender is put through.
type trial struct {
	api     account.API
	intents int
	losing  int // of so many orders the answer to one is lost; 0 for none
}

// result is what came of a trial.
type result struct {
	rate, writes, calls float64 // intents a second; the others for an intent
	intents, circuits   int
	failed              int // intents that were given up
}

// arena is where a contender is, or a part of it.
type arena struct {
	contestant
	exchange *rig.Exchange
	place    *rig.Place
}

// in has do done where a part of the contender is at work, on an exchange and servers that are all new.
func (c contender) in(ctx context.Context, api account.API, part rig.Part, do func(context.Context, arena) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	dir, err := os.MkdirTemp("", "patchbay-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	x, err := rig.StartExchange(ctx, api, rig.AtOnce())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Stop()) }()
	at := &rig.Place{Part: part, Exchange: x.Endpoint, Dir: dir}
	s, err := c.start(ctx, at)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	return do(ctx, arena{s, x, at})
}

// try puts a contender through a trial.
func (c contender) try(ctx context.Context, t trial) (res result, err error) {
	err = c.in(ctx, t.api, rig.Whole, func(ctx context.Context, a arena) (err error) {
		res, err = t.of(ctx, a)
		return err
	})
	return res, err
}

// of is the trial of whoever is in the arena.
func (t trial) of(ctx context.Context, s arena) (res result, err error) {
	x := s.exchange
	w := rig.NewWishes(x)
	if _, err := run(ctx, s, w, load{count: warming}); err != nil {
		return res, err
	}
	if t.losing > 0 {
		if err := x.LoseAnswers(t.losing); err != nil {
			return res, err
		}
	}
	wrote, err := s.Writes(ctx)
	if err != nil {
		return res, err
	}
	calls, circuits := x.Calls(), x.Circuits()
	got, err := run(ctx, s, w, load{count: t.intents, failures: t.losing > 0})
	if err != nil {
		return res, err
	}
	n := float64(got.intents)
	writes, err := s.Writes(ctx)
	return result{
		rate: got.rate, writes: (writes - wrote) / n, calls: float64(x.Calls()-calls) / n,
		intents: got.intents, circuits: x.Circuits() - circuits, failed: len(got.failed),
	}, err
}

// measured is what came of all trials of a contender.
type measured struct {
	contender
	rounds []result
	// lossy are the trials in which answers were lost, and mortal those in which workers were
	// killed, by API.
	lossy  map[account.API]result
	mortal map[account.API]mortality
}

func (m measured) of(get func(result) float64) measure.Spread {
	var all []float64
	for _, r := range m.rounds {
		all = append(all, get(r))
	}
	return measure.Of(all)
}

// beside measures the product beside the same flow written with what a team would
// otherwise use, in turn.
func beside(ctx context.Context, o options) (page.Section, error) {
	t, deaths := trial{api: account.ECX, intents: 300}, kills
	if o.short {
		t.intents, deaths = 64, 1
	}
	var s page.Section
	temporal, err := peers.InstallTemporal(ctx, filepath.Join(o.root, ".bin"))
	field := contenders(temporal)
	if errors.Is(err, peers.ErrAbsent) {
		field = field[:len(field)-1]
		s.Notes = append(s.Notes, "Temporal was skipped: "+err.Error())
	} else if err != nil {
		return s, err
	}
	var all []measured
	for _, c := range field {
		all = append(all, measured{contender: c, lossy: map[account.API]result{}, mortal: map[account.API]mortality{}})
	}
	for range o.rounds { // in turn, so that all see the same machine
		if all, err = round(ctx, t, all, &s); err != nil {
			return s, err
		}
		o.conditions.Sample()
	}
	t.losing, t.intents = losing, t.intents/3
	for _, m := range all {
		for _, at := range habits() {
			t.api = at.api
			if m.lossy[t.api], err = m.try(ctx, t); err != nil {
				return s, fmt.Errorf("%s, whose answers are lost: %w", m.name, err)
			}
			if m.mortal[t.api], err = m.die(ctx, t.api, deaths); err != nil {
				return s, fmt.Errorf("%s, whose workers are killed: %w", m.name, err)
			}
		}
		o.conditions.Sample()
	}
	tellBeside(&s, all)
	s.Tables = append(s.Tables, tellDeaths(&s, all, deaths))
	return s, nil
}

// habit is what an API makes of a second order for the same circuit.
type habit struct {
	api  account.API
	name string
}

func habits() []habit {
	return []habit{{account.PacketFabric, "PacketFabric, which takes a second order"}, {account.ECX, "ECX, which refuses a tag that is in use"}}
}

// round puts each through a trial once. What lacks something on this machine is left out from
// then on, and the section says so.
func round(ctx context.Context, t trial, all []measured, s *page.Section) (kept []measured, err error) {
	for _, m := range all {
		r, err := m.try(ctx, t)
		if errors.Is(err, peers.ErrAbsent) {
			s.Notes = append(s.Notes, m.name+" was skipped: "+err.Error())
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		m.rounds = append(m.rounds, r)
		kept = append(kept, m)
	}
	return kept, nil
}

// tellBeside writes the tables. The first measured is the product.
func tellBeside(s *page.Section, all []measured) {
	ours := all[0]
	speed := page.Table{Head: []string{""}, Rows: [][]string{
		{"intents a second"}, {"durable writes for an intent"}, {"a durable write is a"}, {"durable writes a second"}, {"calls to the exchange for an intent"},
		{"**Patchbay's intents a second beside its**"}, {"**Patchbay's durable writes a second beside its**"},
	}}
	chart := page.Chart{Name: "peers", Title: "Patchbay beside others; the line is as fast", Aim: 1, Log: true}
	for _, m := range all {
		speed.Head = append(speed.Head, m.name)
		rate, writes := m.of(func(r result) float64 { return r.rate }), m.of(func(r result) float64 { return r.rate * r.writes })
		cells := []string{
			rate.String(), m.of(func(r result) float64 { return r.writes }).String(), m.write, writes.String(),
			m.of(func(r result) float64 { return r.calls }).String(), "1", "1",
		}
		s.Set(m.name+": intents a second", rate)
		s.Set(m.name+": durable writes a second", writes)
		if m.name != ours.name {
			var perIntent, perWrite []float64
			for i, r := range m.rounds {
				o := ours.rounds[i]
				perIntent, perWrite = append(perIntent, o.rate/r.rate), append(perWrite, o.rate*o.writes/(r.rate*r.writes))
			}
			byIntent, byWrite := measure.Of(perIntent), measure.Of(perWrite)
			cells[5], cells[6] = "**"+byIntent.String()+"**", "**"+byWrite.String()+"**"
			chart.Bars = append(chart.Bars, page.Bar{Label: "intents, beside " + m.name, Value: byIntent},
				page.Bar{Label: "durable writes, beside " + m.name, Value: byWrite})
			s.Set("Patchbay beside "+m.name+": intents a second", byIntent)
			s.Set("Patchbay beside "+m.name+": durable writes a second", byWrite)
		}
		for i, c := range cells {
			speed.Rows[i] = append(speed.Rows[i], c)
		}
	}
	s.Tables, s.Charts = []page.Table{speed, tellLosses(s, all)}, []page.Chart{chart}
}

// tellLosses writes what lost answers led to: circuits beside intents.
func tellLosses(s *page.Section, all []measured) page.Table {
	t := page.Table{Head: []string{fmt.Sprintf("the answer to every %dth order is lost", losing)}, Rows: [][]string{{"then it"}}}
	for _, m := range all {
		t.Head, t.Rows[0] = append(t.Head, m.name), append(t.Rows[0], m.lost)
	}
	for _, at := range habits() {
		circuits, unknown, failed := []string{at.name + ": circuits for intents"}, []string{"**circuits that nobody knows of**"}, []string{"intents given up"}
		for _, m := range all {
			r := m.lossy[at.api]
			// Whoever was told PROVISIONED knows of one circuit.
			lost := r.circuits - (r.intents - r.failed)
			circuits = append(circuits, fmt.Sprintf("%d for %d", r.circuits, r.intents))
			unknown, failed = append(unknown, fmt.Sprintf("**%d**", lost)), append(failed, fmt.Sprint(r.failed))
			s.Set(fmt.Sprintf("%s at %s: circuits that nobody knows of, for each intent", m.name, at.api), measure.Of([]float64{float64(lost) / float64(r.intents)}))
		}
		t.Rows = append(t.Rows, circuits, unknown, failed)
	}
	return t
}
