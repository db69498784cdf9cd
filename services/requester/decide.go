package requester

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// do is what the shell is to do next.
type do string

const (
	// doCheck: hold the intent against what the exchange knows.
	doCheck do = "check"
	// doHold: take the holds of the legs.
	doHold do = "hold"
	// doPlace: append next, which is a `placing`, and make the one call for the legs.
	doPlace do = "place"
	// doLook: look at the exchange for what became of the legs.
	doLook do = "look"
	// doCancel: tell the target order that it is cancelled.
	doCancel do = "cancel"
	// doRollBack: submit deletes for the legs, then append next.
	doRollBack do = "roll back"
	// doAppend: append next.
	doAppend do = "append"
	// doWait: nothing until the time given, or until something else nudges.
	doWait do = "wait"
	// doNothing: the order has ended.
	doNothing do = "nothing"
)

// step is the one next thing.
type step struct {
	do   do
	legs []string
	// first are those of the legs that are to be placed as soon as they are held.
	first []string
	next  *patchbayv1.Order
	until time.Time
}

// rule returns the next thing if it has a say, nil if not.
type rule func(s *state, now time.Time) *step

// The rules by which an order is carried out. Read from the top; the first that has a say
// decides. They rest on nothing but what they are given: now is the NATS server's stamp on
// what nudged us, so it may be old, and then less is concluded, never more.
var (
	createRules = []rule{ended, attempting, losing, abandoning, checking, looking, ordering, finishing, waiting}
	actRules    = []rule{ended, targeting, attempting, watching, looking, acting, polling, concluding, waiting}
)

// decide returns the one next thing to do for an order.
func decide(s *state, now time.Time) step {
	rules := actRules
	if s.order.GetKind() == exchange.Create {
		rules = createRules
	}
	for _, r := range rules {
		if st := r(s, now); st != nil {
			return *st
		}
	}
	return step{do: doWait}
}

// ended: nothing follows an outcome.
func ended(s *state, _ time.Time) *step {
	if s.order.GetOutcome() == "" {
		return nil
	}
	return &step{do: doNothing}
}

// attempting: a call is under way until its time is over. Whoever made it writes down what
// became of it; if nobody has by then, nobody knows.
func attempting(s *state, now time.Time) *step {
	legs := inState(s.order, order.Placing)
	if len(legs) == 0 {
		return nil
	}
	if over := s.over(legs[0]); now.Before(over) {
		return &step{do: doWait, until: over.Add(timerSlack)} // as whoever makes the call has set it
	}
	all, word := names(legs)
	next := s.next("", word)
	for _, name := range all {
		l := legOf(next, name)
		l.State = order.Uncertain
		l.Attempt.Answer = "none was written down within " + l.GetAttempt().GetWithin().AsDuration().String()
	}
	sum(next)
	return &step{do: doAppend, next: next}
}

// losing: a circuit that ended ends its leg.
func losing(s *state, _ time.Time) *step {
	for _, l := range inState(s.order, order.Placed) {
		c := s.circuits[l.GetLeg()]
		if !c.ended() {
			continue
		}
		next := s.next("", l.GetLeg())
		fail(legOf(next, l.GetLeg()), lost(s.order, c))
		sum(next)
		return &step{do: doAppend, next: next}
	}
	return nil
}

// lost says why a circuit that was ordered is no more.
func lost(o *patchbayv1.Order, c circuit) *patchbayv1.Failure {
	f := &patchbayv1.Failure{ExchangeMessage: c.conn.GetRejectComment()}
	switch {
	case o.GetCancelledBy() != "":
		f.Reason, f.Message = cancelled, "cancelled by order "+o.GetCancelledBy()
	case c.state().Status == status.Rejected:
		return c.rejected("the other company rejected the request", f.GetExchangeMessage())
	case c.state().Status == status.Failed:
		f.Reason, f.Message = refused, "the exchange could not build the circuit"
		f.Code = c.conn.GetNative().GetStatus()
	default:
		f.Reason, f.Message = gone, "the circuit was deleted before it was complete"
	}
	return f
}

// abandoning: once cancelled, or once the other leg has failed and wants company, nothing
// more is placed.
func abandoning(s *state, _ time.Time) *step {
	why := abandoned(s.order)
	legs := inState(s.order, order.Open)
	if why == nil || len(legs) == 0 {
		return nil
	}
	all, word := names(legs)
	next := s.next("", word)
	for _, name := range all {
		fail(legOf(next, name), why)
	}
	sum(next)
	return &step{do: doAppend, next: next}
}

// abandoned says why nothing more is placed, nil if more is.
func abandoned(o *patchbayv1.Order) *patchbayv1.Failure {
	switch {
	case o.GetCancelledBy() != "":
		return &patchbayv1.Failure{Reason: cancelled, Message: "cancelled by order " + o.GetCancelledBy()}
	case rollsBack(o):
		return &patchbayv1.Failure{Reason: cancelled, Message: "given up because the other leg failed"}
	default:
		return nil
	}
}

// checking: what intake could not ask the exchange is asked before money is spent.
func checking(s *state, now time.Time) *step {
	switch {
	case s.order.GetChecked() || !has(s.order, order.Open):
		return nil
	case s.asked:
		return &step{do: doWait, until: now.Add(checkAgain)}
	default:
		return &step{do: doCheck}
	}
}

// looking: what is uncertain is resolved by looking, and attempted again only after the
// looks have found nothing for long enough.
func looking(s *state, now time.Time) *step {
	var legs []*patchbayv1.OrderLeg
	for _, l := range inState(s.order, order.Uncertain) {
		if !s.conclusive(l) {
			legs = append(legs, l)
		}
	}
	if len(legs) == 0 {
		return givingUp(s)
	}
	due := s.lookDue(legs)
	if again := now.Add(s.ease(now, lookAgain)); s.looked && due.Before(again) {
		due = again
	}
	if s.looked || now.Before(due) {
		return &step{do: doWait, until: due}
	}
	all, _ := names(legs)
	return &step{do: doLook, legs: all}
}

// ease is the pause after a look that changed nothing: as long as nothing has changed, but
// no longer than most.
func (s *state) ease(now time.Time, most time.Duration) time.Duration {
	return min(max(s.spacing(), now.Sub(s.stamp)), most)
}

// lookDue is when the legs are to be looked for: at once if nobody has yet.
func (s *state) lookDue(legs []*patchbayv1.OrderLeg) time.Time {
	for _, l := range legs {
		if l.GetAttempt().GetLookedAt() == nil {
			return time.Time{}
		}
	}
	return s.stamp.Add(s.spacing())
}

// givingUp: an abandoned leg of which nothing was found is over.
func givingUp(s *state) *step {
	why := abandoned(s.order)
	legs := inState(s.order, order.Uncertain)
	if why == nil || len(legs) == 0 {
		return nil
	}
	all, word := names(legs)
	next := s.next("", word)
	for _, name := range all {
		fail(legOf(next, name), why)
	}
	sum(next)
	return &step{do: doAppend, next: next}
}

// ordering: what is open is placed, one call at a time.
func ordering(s *state, now time.Time) *step {
	legs := inState(s.order, order.Open, order.Uncertain) // these uncertain ones are conclusive
	if len(legs) == 0 {
		return nil
	}
	if !s.together {
		legs = legs[:1]
	}
	if until := s.pause(legs); now.Before(until) {
		return &step{do: doWait, until: until}
	}
	all, _ := names(legs)
	switch {
	case s.paused != nil:
		return whilePaused(s, now)
	case s.queued:
		return &step{do: doWait, until: now.Add(turnAgain)}
	case !s.holds(all):
		unplaced, _ := names(inState(s.order, order.Open, order.Uncertain))
		return &step{do: doHold, legs: unplaced, first: all}
	}
	return &step{do: doPlace, legs: all, next: s.attempt(legs)}
}

// holds reports whether the legs can be placed as far as holds go. Those that were taken for
// another leg, which somebody else has placed meanwhile, do not count.
func (s *state) holds(legs []string) bool {
	return !slices.ContainsFunc(legs, func(leg string) bool { return !slices.Contains(s.held, leg) })
}

// pause is until when the legs are not to be tried again.
func (s *state) pause(legs []*patchbayv1.OrderLeg) time.Time {
	var until time.Time
	for _, l := range legs {
		switch a := l.GetAttempt(); {
		case l.GetState() == order.Open && a != nil:
			return s.order.GetWait().GetUntil().AsTime()
		case l.GetState() == order.Uncertain && l.GetFailure().GetReason() == refused:
			// The tag or token stays in use until somebody does something about it.
			longer := s.quiet << min(a.GetNumber(), 16)
			if again := s.started(l).Add(min(longer, inUseAgain)); again.After(until) {
				until = again
			}
		}
	}
	return until
}

// attempt returns the `placing` that licenses a call for the legs.
func (s *state) attempt(legs []*patchbayv1.OrderLeg) *patchbayv1.Order {
	all, word := names(legs)
	next := s.next(order.Placing, word)
	number := int32(1)
	for _, l := range legs {
		number = max(number, l.GetAttempt().GetNumber()+1)
	}
	for _, name := range all {
		l := legOf(next, name)
		l.State, l.Failure = order.Placing, nil
		l.Attempt = &patchbayv1.Attempt{Number: number, Within: durationpb.New(s.within), LookupKey: s.keys[name]}
		if next.GetKind() != exchange.Create {
			l.ConnectionSequence = s.circuits[name].latest()
		}
	}
	return next
}

// finishing: an order is over when each leg is either failed or ready.
func finishing(s *state, _ time.Time) *step {
	live := inState(s.order, order.Placed)
	if rollsBack(s.order) && len(live) > 0 {
		for _, l := range live {
			if s.circuits[l.GetLeg()].seq == 0 {
				return nil // nobody has seen it yet, so it could not be named
			}
		}
		all, word := names(live)
		next := s.next(order.Failed, word)
		for _, name := range all {
			l := legOf(next, name)
			fail(l, &patchbayv1.Failure{Reason: cancelled, Message: "rolled back by order " + rollbackOrder(next.GetId(), name)})
		}
		conclude(next)
		return &step{do: doRollBack, legs: all, next: next}
	}
	for _, l := range live {
		if !s.circuits[l.GetLeg()].state().Ready() || s.beingCancelled() {
			return nil
		}
	}
	next := s.next("", "")
	for _, l := range inState(next, order.Placed) {
		l.State = order.Completed
	}
	conclude(next)
	return &step{do: doAppend, next: next}
}

// beingCancelled reports whether a delete order is still at work on this one.
func (s *state) beingCancelled() bool {
	return s.order.GetCancelledBy() != "" && s.cancel.GetOutcome() == ""
}

// conclude gives an order whose legs are all settled its outcome.
func conclude(o *patchbayv1.Order) {
	o.Outcome, o.Wait, o.Leg = order.Completed, nil, ""
	legs := inState(o, order.Failed)
	if len(legs) > 0 {
		o.Outcome = order.Failed
		_, o.Leg = names(legs)
		o.Failure = because(o, legs)
	}
	o.Fact = o.Outcome
}

// because is why the order failed: the first leg's reason that is not the consequence of
// another's.
func because(o *patchbayv1.Order, legs []*patchbayv1.OrderLeg) *patchbayv1.Failure {
	first := legs[0]
	for _, l := range legs {
		if first.GetFailure().GetReason() == cancelled {
			first = l
		}
	}
	f := proto.CloneOf(first.GetFailure())
	if len(o.GetLegs()) > 1 {
		f.Message = first.GetLeg() + ": " + f.GetMessage()
	}
	for _, l := range inState(o, order.Completed) {
		if o.GetKind() == exchange.Create {
			f.Message += fmt.Sprintf("; the %s circuit %s stays", l.GetLeg(), l.GetExchangeId())
		}
	}
	return f
}

// waiting: nothing to do but to be nudged.
func waiting(*state, time.Time) *step { return &step{do: doWait} }
