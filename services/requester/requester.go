// Package requester turns intents into circuits, exactly one for each leg of an intent.
//
// It relies on the journal alone: a handler reads the order's last fact, works out the one
// next thing, does it, reads again. What the next thing is, decide says, a pure function of
// what was read and of the NATS server's stamp on the message that nudged; the shell around
// it only reads, asks the exchange and appends. So repeats, delays and any number of
// instances do no harm.
//
// Promises:
//   - The append of `accepted`, which expects no fact before it, is the only claim on an
//     intent; winning the append of `placing` is the only licence for a call. Both are
//     written before what they are about.
//   - A call whose answer is lost is resolved by looking, never by another call first.
//     Another call follows only after the attempt's time, the exchange's quiet time and
//     two looks that found nothing, the last of them after the quiet time.
//   - Requests that would look alike at the exchange go out one by one, each when it is known
//     what has become of the one before. The later ones wait instead of failing, since nobody
//     has what they want.
//   - An order that has not ended says in its last fact what it waits for. Nothing follows
//     an outcome but `orphaned`.
//   - Secrets are read from INTENTS right before they are sent, and stay in no fact.
//
// Where an attempt did nothing (throttled, never sent), and where one leg fails while the
// other goes on, the fact that follows bears the word for where the order stands: accepted,
// uncertain, placed or cancelling. The closed list of words has none of its own for that.
//
// It never decides for the seller, never watches circuits, and never guesses: what stays
// unclear stays `uncertain` and says what a person should check.
package requester

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

const name = "requester"

// A handler may wait for an exchange for as long as an attempt may take. So each account has
// lanes: for creates, for deletes and changes, which creates that hang must not hold up, and
// for the checks of intake.
const (
	createLane = "create"
	actLane    = "act"
	checkLane  = "check"
	lanes      = 3
)

// Requester handles intents, and the news that orders wait for.
type Requester struct {
	rt    service.Runtime
	holds hold.Ledger
	ports ports
	index *index
	lanes *service.Lanes
	gate  *gate

	meters meters
}

// New returns a requester that stands on rt and takes in what limits allow.
func New(rt service.Runtime, limits Limits) (*Requester, error) {
	m, err := newMeters()
	if err != nil {
		return nil, err
	}
	return &Requester{
		rt:    rt,
		holds: hold.Ledger{Journal: rt.Journal, By: name},
		ports: ports{all: map[string]knownPorts{}},
		index: newIndex(),
		lanes: service.NewLanes(),
		gate:  newGate(limits),

		meters: m,
	}, nil
}

// Run carries out intents until ctx ends.
func Run(ctx context.Context, rt service.Runtime, limits Limits) error {
	r, err := New(rt, limits)
	if err != nil {
		return err
	}
	if rt.Check != nil {
		rt.Check(name+" intake", func() error { return r.gate.check(rt.Journal.Now()) })
	}
	if rt.Ready != nil {
		rt.Ready(name, r.index.reading.Part)
	}
	work, ctx := errgroup.WithContext(ctx)
	j := rt.Journal
	handlers := service.Handlers(lanes * len(rt.Accounts.Buyers()))
	note := func(o *patchbayv1.Order) { r.gate.note(o, j.Now()) }
	work.Go(func() error {
		open, seq, err := r.index.begin(ctx, j, note)
		if err != nil {
			return nil // the end has come
		}
		work.Go(func() error { return r.rearm(ctx, open) })
		return r.index.follow(ctx, j, seq, note)
	})
	work.Go(func() error { return j.Serve(ctx, "check", r.Check) })
	work.Go(func() error { return j.ServeEach(ctx, service.VerbIntake, r.Intake) })
	for _, c := range []struct {
		journal.Consumer
		handle journal.Handler
	}{
		{journal.Consumer{Durable: "requester-intents", Stream: journal.Intents, Filters: []string{event.IntentSubjects}}, r.Intent},
		{journal.Consumer{Durable: name, Stream: journal.Facts, Filters: factFilters()}, r.Fact},
		{journal.Consumer{Durable: "requester-timers", Stream: journal.Timers, Filters: dueFilters()}, r.Due},
	} {
		c.Limit = handlers
		work.Go(func() error { return j.Consume(ctx, c.Consumer, c.handle) })
	}
	return work.Wait()
}

// factFilters are the facts that orders wait for.
func factFilters() []string {
	return []string{
		event.Order.Filter("*", "*"), event.Connection.Filter("*", "*"), event.Change.Filter("*", "*"),
		event.Hold.Filter("*", "*"), event.Account.Filter(service.Resumed, "*"),
	}
}

// dueFilters are the timers of orders, and dead letters about a circuit that were sent again.
func dueFilters() []string {
	return []string{journal.Due(event.Order), journal.Due(event.Connection), journal.Due(event.Change)}
}

// nudge is what a message tells: the time, by the NATS server's clock, and what caused it.
type nudge struct {
	now   time.Time
	cause string
}

// Fact advances the orders that a fact concerns.
func (r *Requester) Fact(ctx context.Context, rec journal.Record) error {
	e := rec.Entity()
	if e.Noun == event.Hold {
		if late, err := r.late(ctx, rec); late || err != nil {
			return err
		}
	}
	orders, err := r.index.of(ctx, e.ID, rec.Seq)
	if err != nil {
		return err
	}
	if e.Noun == event.Account {
		return r.wake(ctx, orders)
	}
	related, err := relatedTo(rec)
	if err != nil {
		return journal.Permanent(err)
	}
	done := map[string]bool{"": true}
	var failures []error
	for _, id := range append(related, orders...) {
		if done[id] {
			continue
		}
		done[id] = true
		if err := r.advance(ctx, id, nudge{rec.Stamp, rec.Event.ID()}); err != nil {
			failures = append(failures, fmt.Errorf("order %s: %w", id, err))
		}
	}
	return errors.Join(failures...)
}

// late looks after a hold that was taken just now, and reports whether it was. The append may
// have been on its way for long, while another instance ended the order and found nothing to
// give back; then it is given back now.
func (r *Requester) late(ctx context.Context, rec journal.Record) (bool, error) {
	h := new(patchbayv1.Hold)
	if err := rec.Into(h); err != nil {
		return false, journal.Permanent(err)
	}
	if h.GetFact() != hold.Taken {
		return false, nil
	}
	for _, owner := range h.GetOwners() {
		if owner.GetNoun() != string(event.Order) {
			continue
		}
		o, _, err := r.lastOrder(ctx, owner.GetId())
		if err == nil && o.GetOutcome() != "" {
			err = r.advance(ctx, owner.GetId(), nudge{rec.Stamp, rec.Event.ID()})
		}
		if err != nil {
			return true, fmt.Errorf("order %s: %w", owner.GetId(), err)
		}
	}
	return true, nil
}

// wake has orders look around now, by their timers: there may be many, and then all instances
// go on with them.
func (r *Requester) wake(ctx context.Context, orders []string) error {
	for _, id := range orders {
		if err := r.rt.Journal.Arm(ctx, orderEntity(id), purpose, r.rt.Journal.Now()); err != nil {
			return err
		}
	}
	return nil
}

// ownFacts are those after which whoever writes them goes on with the order himself: the nudge
// that led to them is not done before there is nothing left to do, so none of their own would
// find any more. Intake does not go on, nor does an order that cancels another.
var ownFacts = []string{order.Placing, order.Placed, order.Uncertain, order.Completed, order.Failed}

// relatedTo returns the orders that have something to do after a fact, as far as it names them.
func relatedTo(rec journal.Record) ([]string, error) {
	switch rec.Entity().Noun {
	case event.Order:
		o := new(patchbayv1.Order)
		err := rec.Into(o)
		related := []string{o.GetCancelledBy()}
		if !slices.Contains(ownFacts, o.GetFact()) {
			related = append(related, rec.Entity().ID)
		}
		if o.GetKind() != exchange.Create {
			related = append(related, o.GetTargetOrderId())
		}
		return related, err
	case event.Connection:
		t := new(patchbayv1.Transition)
		err := rec.Into(t)
		return []string{t.GetConnection().GetOrderId()}, err
	case event.Hold:
		return nil, nil // whoever waits for it is found by its id
	default:
		c := new(patchbayv1.Change)
		err := rec.Into(c)
		return []string{c.GetOrderId()}, err
	}
}

// Due advances the order whose timer is due, or those that wait for the circuit it names.
func (r *Requester) Due(ctx context.Context, rec journal.Record) error {
	e := rec.Entity()
	if e.Noun == event.Order {
		return r.advance(ctx, e.ID, nudge{now: rec.Stamp})
	}
	orders, err := r.index.of(ctx, e.ID, 0)
	if err != nil {
		return err
	}
	var failures []error
	for _, id := range orders {
		if err := r.advance(ctx, id, nudge{now: rec.Stamp}); err != nil {
			failures = append(failures, fmt.Errorf("order %s: %w", id, err))
		}
	}
	return errors.Join(failures...)
}

// rearm makes the orders that are open at the start look around once, since a timer may have
// been lost while nobody ran. It tries until it has.
func (r *Requester) rearm(ctx context.Context, open map[string]bool) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := r.wake(ctx, slices.Collect(maps.Keys(open)))
		if err == nil || ctx.Err() != nil {
			return nil
		}
		r.rt.Log.Warn().Err(err).Msg("timers not yet armed anew")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}
