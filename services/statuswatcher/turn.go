package statuswatcher

import (
	"context"
	"sync"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
)

// Of all watchers one polls an account, so that calls do not grow with their number: who has
// the account's lease in Redis. It is renewed three times while it lasts. Who stops gives it
// back, and of who dies it runs out. Single circuits that a hint names are asked for by
// whoever got the hint, which is one watcher too.
//
// A lease only saves calls. While Redis is away everybody has it, and one who was frozen
// while it ran out may still finish a sweep beside its successor: what they see is held
// against the journal before it is written.
const (
	// beats is how often a lease is renewed while it lasts.
	beats = 3
	// releaseTime is what giving a lease back may take of a stop.
	releaseTime = time.Second
	// failures is how many sweeps may fail in a row before another watcher shall try: what
	// keeps this one from the exchange may be its own trouble.
	failures = 3
)

// turn is how one watcher stands to the lease of one account.
type turn struct {
	mu    sync.Mutex
	until time.Time     // ours until then
	after time.Time     // not asked for before
	asked chan struct{} // closed when the lease was asked for again
}

func newTurn() *turn { return &turn{asked: make(chan struct{})} }

// set notes that the lease was asked for, and until when it is ours. It reports whether that
// changes anything.
func (t *turn) set(held bool, until time.Time) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := !t.until.IsZero()
	t.until = time.Time{}
	if held {
		t.until = until
	}
	close(t.asked)
	t.asked = make(chan struct{})
	return was != held
}

// pass lets somebody else have the lease for a while, and reports whether it was ours.
func (t *turn) pass(d time.Duration) (was bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was = !t.until.IsZero()
	t.until, t.after = time.Time{}, time.Now().Add(d)
	return was
}

// state tells whether the lease is ours, in how long it may be asked for, and, by closing
// asked, that it was.
func (t *turn) state() (ours bool, wait time.Duration, asked <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	return now.Before(t.until), t.after.Sub(now), t.asked
}

// polls reports whether it is this watcher that polls the account now.
func (a *watch) polls() bool {
	if a.rt.View == nil {
		return true
	}
	ours, _, _ := a.turn.state()
	return ours
}

// myTurn waits until it is this watcher that polls the account. It reports whether ctx is
// still alive.
func (a *watch) myTurn(ctx context.Context) bool {
	for a.rt.View != nil {
		ours, _, asked := a.turn.state()
		if ours {
			break
		}
		select {
		case <-ctx.Done():
			return false
		case <-asked:
		}
	}
	return ctx.Err() == nil
}

// leaseName is the account's.
func (a *watch) leaseName() string { return "watch:" + a.account.Name }

// takingTurns asks for the account's lease, again and again, until ctx ends.
func (a *watch) takingTurns(ctx context.Context) {
	a.meters.polls(ctx, a.account.Name, false)
	for {
		_, wait, _ := a.turn.state()
		if wait <= 0 {
			began := time.Now()
			held, err := a.rt.View.Lease(ctx, a.leaseName(), a.owner, a.pace.Lease)
			if err != nil {
				return // ctx has ended
			}
			if a.turn.set(held, began.Add(a.pace.Lease)) {
				a.turned(ctx, held)
			}
			wait = jittered(a.pace.Lease / beats)
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// turned says that this watcher polls the account from now on, or does not.
func (a *watch) turned(ctx context.Context, polls bool) {
	a.meters.polls(ctx, a.account.Name, polls)
	if polls {
		a.rt.Log.Info().Str("account", a.account.Name).Msg("polls the account from now on")
		return
	}
	a.rt.Log.Info().Str("account", a.account.Name).Msg("leaves it to another watcher to poll the account")
	// What it found is for the other to find again.
	a.mu.Lock()
	a.eclipse = nil
	a.mu.Unlock()
	a.meters.inMotion(ctx, a.account.Name, 0)
	a.meters.held(ctx, a.account.Name, 0)
}

// release gives the account's lease back, if it is ours.
func (a *watch) release(ctx context.Context) {
	if a.rt.View == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if err := a.rt.View.Release(ctx, a.leaseName(), a.owner); err != nil {
		a.rt.Log.Debug().Err(err).Str("account", a.account.Name).Msg("lease not given back; it runs out")
	}
}

// passOn gives another watcher the chance to poll the account, for as long as a lease lasts.
func (a *watch) passOn(ctx context.Context) {
	if a.turn.pass(a.pace.Lease) {
		a.release(ctx)
		a.turned(ctx, false)
	}
}

// stirred lets sweeps come soon over the account that observes a circuit which has moved:
// whoever saw that, it was in answer to a hint perhaps, need not be who polls.
func (w *Watcher) stirred(r journal.Record) {
	e := r.Entity()
	if e.Noun != event.Connection || w.rt.Journal.Now().Sub(r.Stamp) > w.pace.Quiet {
		return
	}
	k, _ := w.index.circuit(e.ID)
	if k.conn == nil {
		return
	}
	if a := w.watches[w.observer(k)]; a != nil {
		a.stir()
	}
}
