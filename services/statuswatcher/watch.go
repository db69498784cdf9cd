package statuswatcher

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
)

// Times that nobody would set.
const (
	// firstWait is between the first two looks after a hint; it doubles with each.
	firstWait = 250 * time.Millisecond
	// getTime and listTime bound calls; a list may be long and wait for its budget.
	getTime  = 30 * time.Second
	listTime = 5 * time.Minute
	// partiesEvery is how often ports and profiles of an account are read again.
	partiesEvery = time.Hour
	// chasers is how many circuits of an account are asked for at one time, should its budget
	// allow that. With few of them circuits wait longer for their turn than for the exchange.
	chasers = 32
	// acquaintance is how long an account waits for the others to know their ports and
	// profiles, so that circuits are announced by whom they belong to and with all parties.
	acquaintance = 10 * time.Second
)

// watch watches one account.
type watch struct {
	*Watcher
	account account.Account
	client  exchange.Observing
	feed    exchange.Feed  // nil if the exchange does not say what has changed
	batch   exchange.Batch // nil if it shows circuits one by one or all
	// whole says that the exchange shows everything at each sweep.
	whole bool
	// confirmed says that the operator knows the account's circuits to be gone.
	confirmed bool

	known  chan struct{} // closed when the account's parties are known
	pulse  chan struct{} // something moved: sweep soon
	wake   chan struct{} // there is a chase for who has none
	redeem chan struct{} // a token may have been used: list the tokens soon

	turn *turn

	mark  mark      // of the sweeps alone
	asked time.Time // when they asked last for what waits for a decision

	mu       sync.Mutex
	chases   map[string]chase // by exchange id
	visited  map[string]bool  // circuits that are being asked for now, by exchange id
	away     time.Time        // nothing is asked before
	eclipse  *eclipse         // nil while the exchange shows what there was
	demanded bool             // a sweep over everything should come soon
}

// chase is a circuit that is to be asked for directly.
type chase struct {
	exchangeID string
	role       string // of the account, if certain
	by         string
	cause      string            // id of the event that asked for it; may be empty
	from       trace.SpanContext // where that was
	at         time.Time
	// quick chases go on: the next look is wait later, which doubles until it is as long
	// as the time between sweeps.
	quick bool
	wait  time.Duration
	// moved says that a look of this chase brought news.
	moved bool
	// doubt is what an earlier look showed and was not believed.
	doubt *status.State
	// checked says that a sweep over everything showed the others and not this one.
	checked bool
}

func newWatch(w *Watcher, a account.Account, c exchange.Observing) *watch {
	n := &watch{
		Watcher: w, account: a, client: c, known: make(chan struct{}), pulse: make(chan struct{}, 1), turn: newTurn(),
		wake: make(chan struct{}, 1), redeem: make(chan struct{}, 1),
		chases: map[string]chase{}, visited: map[string]bool{},
		confirmed: slices.Contains(w.pace.Gone, a.Name),
	}
	n.feed, _ = c.(exchange.Feed) // not every exchange has these
	n.batch, _ = c.(exchange.Batch)
	_, n.whole = c.(exchange.Whole)
	return n
}

// run watches until ctx ends.
func (a *watch) run(ctx context.Context) {
	for wait := firstWait; a.sync(ctx) != nil; wait = min(2*wait, a.pace.Moving) {
		if !pause(ctx, wait) {
			return
		}
	}
	a.remind()
	if !a.getAcquainted(ctx) {
		return
	}
	var work errgroup.Group
	if a.rt.View != nil {
		work.Go(func() error { a.takingTurns(ctx); return nil })
	}
	work.Go(func() error { a.stayingAcquainted(ctx); return nil })
	work.Go(func() error { a.sweeping(ctx); return nil })
	for range chasers {
		work.Go(func() error { a.chasing(ctx); return nil })
	}
	if issuer, ok := a.client.(exchange.Tokens); ok {
		work.Go(func() error { a.listingTokens(ctx, issuer); return nil })
	}
	_ = work.Wait() // all return nil
	a.release(ctx)
}

// remind tells the exchange's client what was seen before it began, where it has use for that.
func (a *watch) remind() {
	client, ok := a.client.(exchange.Reminded)
	if !ok {
		return
	}
	for _, k := range a.index.alive() {
		client.Remind(k.newest())
	}
}

// getAcquainted reads the account's parties, as often as it takes, and then waits a while
// for the others to have done so. It reports whether ctx is still alive.
func (a *watch) getAcquainted(ctx context.Context) bool {
	for wait := firstWait; a.readParties(ctx) != nil; wait = min(2*wait, a.pace.Quiet) {
		if !pause(ctx, max(wait, a.awayFor())) {
			return false
		}
	}
	close(a.known)
	patience := time.After(acquaintance)
	for _, other := range a.watches {
		select {
		case <-ctx.Done():
			return false
		case <-patience:
			return true
		case <-other.known:
		}
	}
	return ctx.Err() == nil
}

// stayingAcquainted reads the account's parties again, now and then, until ctx ends.
func (a *watch) stayingAcquainted(ctx context.Context) {
	for wait := partiesEvery; pause(ctx, max(jittered(wait), a.awayFor())); {
		wait = partiesEvery
		if a.readParties(ctx) != nil {
			wait = a.pace.Quiet
		}
	}
}

func (a *watch) readParties(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	p, err := a.client.Parties(ctx)
	if err != nil {
		a.mind(err)
		if ctx.Err() == nil {
			a.rt.Log.Warn().Err(err).Str("account", a.account.Name).Msg("ports and profiles not read")
		}
		return err
	}
	a.parties.learn(a.account.Name, p)
	return nil
}

// mind keeps away from the exchange if err says so.
func (a *watch) mind(err error) {
	var t exchange.Throttled
	if !errors.As(err, &t) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if until := time.Now().Add(t.After); until.After(a.away) {
		a.away = until
	}
}

// awayFor is how long nothing may be asked.
func (a *watch) awayFor() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(time.Until(a.away), 0)
}

// stir lets the next sweep come soon.
func (a *watch) stir() {
	select {
	case a.pulse <- struct{}{}:
	default: // it is coming already
	}
}

// pursue adds a chase, or hurries one that is there.
func (a *watch) pursue(c chase) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, ok := a.chases[c.exchangeID]
	if ok {
		c = merged(old, c)
	}
	a.chases[c.exchangeID] = c
	a.rouse()
}

// rouse wakes a chaser that has nothing to do, if there is one.
func (a *watch) rouse() {
	select {
	case a.wake <- struct{}{}:
	default: // one is being woken already
	}
}

// merged is two chases of one circuit as one: quick if one is, and as early as the earlier.
func merged(old, c chase) chase {
	if old.quick && !c.quick {
		old, c = c, old
	}
	if old.at.Before(c.at) {
		c.at = old.at
	}
	if c.doubt == nil {
		c.doubt = old.doubt
	}
	c.checked = c.checked || old.checked
	return c
}

// due takes the next chase whose time has come, hints first, of a circuit that nobody is
// asking for. If there is none it tells how long there will be none.
func (a *watch) due() (chase, time.Duration, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.away.After(now) {
		return chase{}, a.away.Sub(now), false
	}
	var best chase
	wait := time.Hour // there may be none at all; a new one wakes us
	for _, c := range a.chases {
		if a.visited[c.exchangeID] {
			continue // who asks for it goes on with it
		}
		if c.at.After(now) {
			wait = min(wait, c.at.Sub(now))
			continue
		}
		if best.exchangeID == "" || c.quick && !best.quick || c.quick == best.quick && c.at.Before(best.at) {
			best = c
		}
	}
	if best.exchangeID == "" {
		return chase{}, wait, false
	}
	delete(a.chases, best.exchangeID)
	a.visited[best.exchangeID] = true
	if len(a.chases) > 0 {
		a.rouse() // another may be due too
	}
	return best, 0, true
}

// chasing asks for single circuits until ctx ends, one at a time; some do it beside each
// other.
func (a *watch) chasing(ctx context.Context) {
	for ctx.Err() == nil {
		c, wait, ok := a.due()
		if ok {
			next, again := a.after(c, a.visit(ctx, c))
			a.leave(c.exchangeID)
			if again {
				a.pursue(next)
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-time.After(wait):
		}
	}
}

// leave ends the asking for a circuit. Who calls it looks for the next chase, which may be of
// the same.
func (a *watch) leave(exchangeID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.visited, exchangeID)
}

// after is the chase that follows a look, if one does.
func (a *watch) after(c chase, r result) (chase, bool) {
	now := time.Now()
	if r.err == nil {
		c.doubt, c.checked = r.doubt, c.checked && r.doubt != nil
	}
	c.moved = c.moved || r.moved
	if r.moved {
		a.stir()
		c.wait = firstWait
	}
	var throttled exchange.Throttled
	switch {
	case errors.As(r.err, &throttled):
		c.at = now.Add(throttled.After)
		return c, true
	case r.doubt != nil:
		c.at = now.Add(a.pace.Settle)
		return c, true
	case r.err != nil && c.doubt != nil:
		c.at = now.Add(jittered(a.pace.Moving)) // what is in doubt must not be forgotten
		return c, true
	case !c.quick, c.wait > a.pace.Moving, c.moved && !r.moving:
		return chase{}, false
	}
	c.at = now.Add(jittered(c.wait))
	c.wait *= 2
	return c, true
}
