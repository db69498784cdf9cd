package requester

import (
	"context"
	"errors"
	"fmt"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	// maxSteps is more than any order needs for one nudge.
	maxSteps = 64
	// timerSlack is added to the timer of an attempt, for clocks that are a little apart.
	timerSlack = 500 * time.Millisecond
	// bookkeeping is the time to write down what became of a call.
	bookkeeping = 40 * time.Second
	// settleTries is how often the journal is asked again in between.
	settleTries = 3
	// lookTime is the time allowed to a look at the exchange, which may have to read a long
	// list within its budget.
	lookTime = time.Minute
	// purpose names the one timer of an order.
	purpose = "next"
)

// handling is the work for one order upon one nudge.
type handling struct {
	// now is the NATS server's stamp on the nudge, cause the id of its event.
	now   time.Time
	cause string

	s   *state
	rec journal.Record
	// What was done already; see state.
	held                  []string
	looked, asked, queued bool
	paused                *patchbayv1.AccountPause
	// free: nobody had paused the account when the holds were taken, just now.
	free bool
}

// fact wraps the data of a fact about an order in its marks.
func (h *handling) fact(o *patchbayv1.Order) event.Fact {
	cause := h.cause
	if cause == "" {
		cause = h.rec.Event.ID() // a timer: what armed it is the cause
	}
	return event.Fact{
		Entity: orderEntity(o.GetId()), Name: o.GetFact(), Data: o, By: name, Cause: cause,
		Order: o.GetId(), Exchange: o.GetExchange(), Origin: event.OriginOf(h.rec.Event),
	}
}

// advance does for an order whatever can be done now: it reads, does the one next thing,
// and reads again, until there is nothing to do but to wait.
func (r *Requester) advance(ctx context.Context, id string, n nudge) error {
	h := &handling{now: n.now, cause: n.cause}
	for range maxSteps {
		s, rec, err := r.read(ctx, id)
		if err != nil || s == nil {
			return err
		}
		s.held, s.looked, s.asked, s.queued, s.paused = h.held, h.looked, h.asked, h.queued, h.paused
		h.s, h.rec = s, rec
		more, err := r.do(ctx, h, decide(s, n.now))
		var full service.LaneFull
		var away exchange.Throttled
		switch {
		case errors.As(err, &full):
			more, err = r.rest(ctx, h, r.rt.Journal.Now().Add(full.After))
		case errors.As(err, &away):
			more, err = r.rest(ctx, h, r.rt.Journal.Now().Add(away.After))
		}
		switch {
		case errors.Is(err, journal.ErrLost): // somebody else did the next thing
		case err != nil:
			return err
		case !more:
			return nil
		}
	}
	return journal.Later(time.Second, fmt.Errorf("order %s does not come to rest", id))
}

// do does one step and reports whether another may follow.
func (r *Requester) do(ctx context.Context, h *handling, st step) (more bool, err error) {
	switch st.do {
	case doCheck:
		return true, r.check(ctx, h)
	case doHold:
		if paused, err := r.paused(ctx, h); paused || err != nil {
			return true, err
		}
		h.free = true
		next, err := r.hold(ctx, h, st.legs, st.first)
		if err != nil || next == nil {
			return true, err
		}
		return true, r.append(ctx, h, next)
	case doPlace:
		if !h.free {
			if paused, err := r.paused(ctx, h); paused || err != nil {
				return true, err
			}
		}
		h.held, h.free = nil, false // the next leg needs a turn of its own
		return true, r.place(ctx, h, st)
	case doLook:
		h.looked = true
		return true, r.look(ctx, h, st.legs)
	case doCancel:
		return true, r.cancel(ctx, h)
	case doRollBack:
		if err := r.rollBack(ctx, h, st.legs); err != nil {
			return false, err
		}
		return true, r.append(ctx, h, st.next)
	case doAppend:
		return true, r.append(ctx, h, st.next)
	case doWait:
		more, err := r.wait(ctx, h, st.until)
		if more || err != nil || h.paused == nil {
			return more, err
		}
		// Whoever resumed the account before the timer was set has set one that is gone now.
		paused, err := r.paused(ctx, h)
		return !paused, err
	default:
		return false, r.close(ctx, h)
	}
}

// paused notes whether an operator has paused the order's account.
func (r *Requester) paused(ctx context.Context, h *handling) (bool, error) {
	err := r.rt.Free(ctx, h.s.order.GetAccount())
	var p service.AccountPaused
	if errors.As(err, &p) {
		h.paused = p.Pause
		return true, nil
	}
	h.paused = nil
	return false, err
}

// append adds a fact after the one that was read.
func (r *Requester) append(ctx context.Context, h *handling, next *patchbayv1.Order) error {
	at := r.rt.Journal.Now()
	describe(next, h.s.order, at)
	next.At = timestamppb.New(at)
	_, err := r.rt.Journal.Append(ctx, h.rec, h.fact(next))
	return err
}

// wait frees what is not needed any more and makes sure of the timer; see rest.
func (r *Requester) wait(ctx context.Context, h *handling, until time.Time) (more bool, err error) {
	if err := r.release(ctx, h); err != nil {
		return false, err
	}
	if until.IsZero() {
		until = r.rt.Journal.Now().Add(backstop)
	}
	return r.rest(ctx, h, until)
}

// rest makes sure of the timer. If the order has gone on meanwhile, setting it may have
// replaced the timer of who saw that by a later one; then it reports that there is more to
// do, and what follows sets the timer that is due.
func (r *Requester) rest(ctx context.Context, h *handling, until time.Time) (more bool, err error) {
	e := orderEntity(h.s.order.GetId())
	set, err := r.rt.Journal.ArmBy(ctx, e, purpose, until)
	if err != nil || !set {
		return false, err
	}
	last, err := r.rt.Journal.Last(ctx, e)
	return last.Seq != h.rec.Seq, err
}

// close tidies up after an order that has ended: holds, and the intent with its secrets.
func (r *Requester) close(ctx context.Context, h *handling) error {
	if err := r.release(ctx, h); err != nil {
		return err
	}
	if err := r.tidyTags(ctx, h); err != nil {
		return err
	}
	return r.dropIntent(ctx, h.s.order)
}

// dropIntent deletes the intent of an order, if it is still there. Where the order was taken
// back from an archive, its sequence may be that of another's intent in a new stream.
func (r *Requester) dropIntent(ctx context.Context, o *patchbayv1.Order) error {
	if o.GetIntentSequence() == 0 {
		return nil
	}
	rec, err := r.rt.Journal.Intent(ctx, o.GetIntentSequence())
	if err != nil || rec.None() || event.OrderID(rec.Event.Source(), rec.Event.ID()) != o.GetId() {
		return err
	}
	return r.rt.Journal.DropIntent(ctx, rec.Seq)
}

// secretIntent reads the intent as upstream wrote it, with its secrets; nil if it is gone.
func (r *Requester) secretIntent(ctx context.Context, o *patchbayv1.Order) (*patchbayv1.CreateIntent, error) {
	rec, err := r.rt.Journal.Intent(ctx, o.GetIntentSequence())
	if err != nil || rec.None() {
		return nil, err
	}
	m, _ := intent.Read(event.Intent, exchange.Create, rec.Event.Data())
	in, ok := m.(*patchbayv1.CreateIntent)
	if !ok || event.OrderID(rec.Event.Source(), rec.Event.ID()) != o.GetId() ||
		!proto.Equal(intent.Redact(in, r.rt.Key), o.GetCreate()) {
		return nil, nil // another message stands there
	}
	return intent.Expand(in), nil
}

// intentGone ends the legs that cannot be ordered since the intent's secrets are no more.
func intentGone(s *state) *patchbayv1.Order {
	next := s.next("", "")
	for _, l := range inState(next, order.Open, order.Uncertain) {
		fail(l, &patchbayv1.Failure{Reason: gone, Message: "the intent was deleted before it was carried out"})
	}
	sum(next)
	return next
}

// cancel tells the target order that nothing more is to be placed for it.
func (r *Requester) cancel(ctx context.Context, h *handling) error {
	s, rec, err := r.read(ctx, h.s.order.GetTargetOrderId())
	if err != nil || s == nil || s.order.GetOutcome() != "" || s.order.GetCancelledBy() != "" {
		return err
	}
	target := &handling{now: h.now, cause: h.rec.Event.ID(), s: s, rec: rec}
	next := s.next(order.Cancelling, "")
	next.CancelledBy = h.s.order.GetId()
	return r.append(ctx, target, next)
}

// rollbackSource is the source of the delete intents that undo a leg.
const rollbackSource = "patchbay/rollback"

// rollbackOrder is the id of the order that undoes a leg.
func rollbackOrder(order, leg string) string { return event.OrderID(rollbackSource, order+"/"+leg) }

// rollBack submits the deletion of the legs' circuits. Submitting it again is the same
// order.
func (r *Requester) rollBack(ctx context.Context, h *handling, legs []string) error {
	for _, leg := range legs {
		del := &patchbayv1.DeleteIntent{
			Target: &patchbayv1.Target{ConnectionId: legOf(h.s.order, leg).GetConnectionId()},
			Reason: "the other leg of order " + h.s.order.GetId() + " failed",
		}
		data, err := event.Marshal(del)
		if err != nil {
			return err
		}
		typ := event.IntentType(event.Intent, exchange.Delete)
		e, err := event.NewIntent(typ, rollbackSource, h.s.order.GetId()+"/"+leg, data)
		if err != nil {
			return err
		}
		if _, err := r.rt.Journal.Submit(ctx, event.IntentSubject(event.Intent, exchange.Delete), e); err != nil {
			return err
		}
	}
	return nil
}
