// Package statuswatcher sees what becomes of circuits at the exchanges and writes it
// down: one connection fact for every step of a circuit, first sightings included; change
// facts for new values; and sightings of accounts of ours that turn out to be a party.
//
// It relies on the journal's compare-and-append and on [exchange.Observing]. What an
// exchange shows is held against what the journal said before it was asked; the append
// expects that very record, so of two watchers one wins, and the other throws its look
// away and looks again. What goes backward in a circuit's life is believed only when the
// circuit, asked directly, shows it once more. Steps that were missed are concluded from
// the chart of package status where there is but one way, and marked as such.
//
// Looks are cheap where nothing happens: each account has one goroutine that sweeps over
// the lists of the exchange, often while circuits move and rarely while none does, and
// a few that ask for single circuits at once when a fact of another service hints at
// them, and a few times soon after; none asks for a circuit that another is asking for.
// Once in a while all circuits are listed, which finds those that are gone. An instance
// that is started twice, or a hundred times, writes nothing twice, and one of them polls an
// account at a time; see turn.go.
//
// What an exchange offers besides is used where it has it. One that says what has changed
// ([exchange.Feed]) is read from a mark on that rises only after everything was written
// down, and stays behind by the time an exchange takes to show a change; what is in motion
// and not among that is read many at a time ([exchange.Batch]), what waits for a decision
// more rarely. Its own account of the past ([exchange.Past]) makes steps certain that two
// looks leave open. Its service tokens ([exchange.Tokens]) have facts of their own, under
// an HMAC: a token is a secret.
//
// Of several accounts of ours that are shown a circuit one observes it, and only its words
// count: the account that ordered it, else the first in the file that owns the port it
// begins at, else the seller's. The native words of two APIs differ, and circuits that
// changed them with whoever looked last would never be at rest. Another account only
// hints.
//
// An exchange that suddenly shows nothing is more likely another exchange than an empty
// one. No circuit is announced as gone unless a list of everything showed the others, and
// where almost all are absent, not without an operator's word; see [Pace.Gone].
//
// It promises that the facts of a connection are a path without gap or repeat that ends
// in what the exchange shows, and that a circuit ordered here is announced with its order,
// leg and trace. It never acts on what it sees, and asks the exchange for nothing but looks.
package statuswatcher

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
)

// name is the service's name: in the facts it writes, and of its durable consumer.
const name = "status-watcher"

// Watcher watches all accounts of a runtime.
type Watcher struct {
	rt      service.Runtime
	pace    Pace
	index   *index
	parties *parties
	owner   string // of leases
	meters  meters
	watches map[string]*watch
}

// New makes a watcher of the runtime's accounts. It asks nobody anything yet. It fails if
// the pace names an account that is not in the file.
func New(rt service.Runtime, pace Pace) (*Watcher, error) {
	for _, gone := range pace.Gone {
		if _, ok := rt.Accounts.ByName(gone); !ok {
			return nil, fmt.Errorf("status-watcher: there is no account %q whose circuits may be gone", gone)
		}
	}
	m, err := newMeters()
	if err != nil {
		return nil, fmt.Errorf("status-watcher: %w", err)
	}
	w := &Watcher{
		rt: rt, pace: pace.withDefaults(), index: newIndex(), parties: newParties(rt.Accounts),
		owner: rand.Text(), meters: m, watches: map[string]*watch{},
	}
	for _, a := range rt.Accounts.Accounts {
		client, ok := rt.Clients[a.Name]
		if !ok {
			rt.Log.Warn().Str("account", a.Name).Msg("account has no client and is not watched")
			continue
		}
		w.watches[a.Name] = newWatch(w, a, client)
	}
	return w, nil
}

// Run watches until ctx ends, and then returns nil.
func Run(ctx context.Context, rt service.Runtime, pace Pace) error {
	w, err := New(rt, pace)
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// Run watches until ctx ends or the journal is closed, and then returns nil. A watcher
// runs once.
func (w *Watcher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if w.rt.Check != nil {
		w.rt.Check(name, w.Healthy)
	}
	if w.rt.Ready != nil {
		w.rt.Ready(name, w.index.reading.Part)
	}
	var work errgroup.Group
	work.Go(func() error {
		defer cancel() // it ends before ctx does only if the journal is closed
		return w.index.follow(ctx, w.rt.Journal, w.stirred)
	})
	work.Go(func() error {
		return w.rt.Journal.Consume(ctx, journal.Consumer{
			Durable: name, Stream: journal.Facts, Filters: hintSubjects(),
		}, w.hint)
	})
	for _, a := range w.watches {
		work.Go(func() error {
			a.run(ctx)
			return nil
		})
	}
	return work.Wait()
}

// syncTime is what the index gets to catch up with the journal. It follows the same
// stream, so more than a moment means that NATS is away.
const syncTime = 10 * time.Second

// sync waits until the index knows every fact that the journal has now.
func (w *Watcher) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	seq, err := w.rt.Journal.LastSeq(ctx)
	if err != nil {
		return err
	}
	if err := w.index.reach(ctx, seq); err != nil {
		return fmt.Errorf("wait for fact %d: %w", seq, err)
	}
	return nil
}

// tracer is looked up at each use: one kept in a variable stays bound to the first
// provider it meets.
func (w *Watcher) tracer() trace.Tracer {
	if w.rt.Tracers != nil {
		return w.rt.Tracers.Tracer(scope)
	}
	return otel.Tracer(scope)
}

// pause waits for d, or for ctx, and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
