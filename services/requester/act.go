package requester

import (
	"cmp"
	"time"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Statuses of a change request that end it.
const (
	changeCompleted = "COMPLETED"
	changeRejected  = "REJECTED"
	changeFailed    = "FAILED"
)

// cancels reports whether this delete cancels its target, instead of ending one circuit of
// a pair that goes on.
func cancels(o, target *patchbayv1.Order) bool {
	return o.GetKind() == exchange.Delete && target.GetOutcome() == "" &&
		(aimOf(o).GetConnectionId() == "" || len(target.GetLegs()) == 1)
}

// adoptLegs gives a change or delete the flow and the legs of its target, and their circuits
// as they become known. The first fact that follows writes them down.
func adoptLegs(o, target *patchbayv1.Order) {
	o.Flow = cmp.Or(o.GetFlow(), target.GetFlow())
	if aimOf(o).GetConnectionId() != "" {
		return // it names its only circuit
	}
	for _, l := range target.GetLegs() {
		own := legOf(o, l.GetLeg())
		if own == nil && o.GetKind() == exchange.Change && order.SetFor(o, l.GetLeg()) == nil {
			continue
		}
		if own == nil {
			own = &patchbayv1.OrderLeg{Leg: l.GetLeg(), State: order.Open, Name: l.GetName()}
			o.Legs = append(o.Legs, own)
		}
		if own.GetExchangeId() == "" {
			own.ConnectionId, own.ExchangeId = l.GetConnectionId(), l.GetExchangeId()
		}
	}
}

// aimOf is what a change or delete names.
func aimOf(o *patchbayv1.Order) *patchbayv1.Target {
	if o.GetKind() == exchange.Change {
		return o.GetChange().GetTarget()
	}
	return o.GetDelete().GetTarget()
}

// never reports whether a leg of the target has no circuit and will get none.
func (s *state) never(leg string) bool {
	l := legOf(s.target, leg)
	return s.target != nil && l.GetExchangeId() == "" && (s.target.GetOutcome() != "" || l.GetState() == order.Failed)
}

// targeting: a delete tells an order that has not ended that it is cancelled, before
// anything else.
func targeting(s *state, _ time.Time) *step {
	if s.target == nil || !cancels(s.order, s.target) || s.target.GetCancelledBy() != "" {
		return nil
	}
	return &step{do: doCancel}
}

// watching: what was seen of a circuit settles its leg.
func watching(s *state, _ time.Time) *step {
	for _, l := range inState(s.order, order.Open, order.Uncertain, order.Placed) {
		c := s.circuits[l.GetLeg()]
		to, why := seen(s.order, l, c)
		if l.GetExchangeId() == "" && s.never(l.GetLeg()) {
			to, why = without(s.order)
		}
		if to == "" || to == l.GetState() {
			continue
		}
		next := s.next("", l.GetLeg())
		n := legOf(next, l.GetLeg())
		n.State, n.Failure = to, why
		sum(next)
		return &step{do: doAppend, next: next}
	}
	return nil
}

// without is the state of a leg that turns out to have no circuit.
func without(o *patchbayv1.Order) (string, *patchbayv1.Failure) {
	if o.GetKind() == exchange.Delete {
		return order.Completed, nil
	}
	return order.Failed, &patchbayv1.Failure{Reason: gone, Message: "there is no circuit to change"}
}

// seen returns the state that a leg of a change or delete enters by what is known of its
// circuit, empty if it stays.
func seen(o *patchbayv1.Order, l *patchbayv1.OrderLeg, c circuit) (string, *patchbayv1.Failure) {
	if o.GetKind() == exchange.Delete {
		return seenOfDelete(l, c)
	}
	switch {
	case c.ended():
		return order.Failed, c.unchanged(&patchbayv1.Failure{Reason: gone, Message: "the circuit is no more"})
	case l.GetState() == order.Placed && !shown(order.SetFor(o, l.GetLeg())):
		return order.Completed, nil // that it was taken is all that anybody will see
	case l.GetState() == order.Open, c.change == nil, c.changeSeq <= l.GetConnectionSequence():
		return "", nil
	case c.change.GetOrderId() != "" && c.change.GetOrderId() != o.GetId():
		return "", nil
	}
	switch c.change.GetStatus() {
	case changeCompleted:
		if c.change.GetOrderId() == o.GetId() || shows(c.change.GetConnection(), order.SetFor(o, l.GetLeg())) {
			return order.Completed, nil
		}
	case changeRejected:
		return order.Failed, c.unchanged(c.rejected("the other company rejected the change",
			c.change.GetConnection().GetRejectComment()))
	case changeFailed:
		return order.Failed, c.unchanged(&patchbayv1.Failure{Reason: refused,
			Message: "the exchange could not carry out the change", Code: c.change.GetNative()})
	}
	return "", nil
}

func seenOfDelete(l *patchbayv1.OrderLeg, c circuit) (string, *patchbayv1.Failure) {
	switch at := c.state().Status; {
	case at.Ended():
		return order.Completed, nil
	case l.GetState() == order.Open:
		return "", nil
	case c.returned:
		return order.Failed, c.rejected("the other company did not agree to the deletion; the circuit still bills",
			c.conn.GetRejectComment())
	case l.GetState() == order.Uncertain && (at == status.PendingDelete || at == status.Deprovisioning):
		return order.Placed, nil
	}
	return "", nil
}

// shows reports whether a circuit has the values that were asked for, of those that an
// exchange shows.
func shows(c *patchbayv1.Connection, set *patchbayv1.ChangeSet) bool {
	return c != nil && (set.GetName() == "" || set.GetName() == c.GetName()) &&
		(set.BandwidthMbps == nil || set.GetBandwidthMbps() == c.GetBandwidthMbps()) &&
		(set.GetTag() == nil || proto.Equal(set.GetTag(), c.GetASide().GetTag()))
}

// shown reports whether an exchange shows anything of what is set.
func shown(set *patchbayv1.ChangeSet) bool {
	return set.GetName() != "" || set.BandwidthMbps != nil || set.GetTag() != nil
}

// acting: the change or delete is asked for, one circuit at a time, the least tried first.
func acting(s *state, now time.Time) *step {
	var first *patchbayv1.OrderLeg
	var soonest time.Time
	for _, l := range inState(s.order, order.Open, order.Uncertain) { // these uncertain ones are conclusive
		if l.GetExchangeId() == "" {
			continue // it is yet to come
		}
		c := s.circuits[l.GetLeg()]
		until := s.pause([]*patchbayv1.OrderLeg{l})
		moved := l.GetConnectionSequence() > 0 && c.latest() > l.GetConnectionSequence()
		if now.Before(until) && !moved {
			if soonest.IsZero() || until.Before(soonest) {
				soonest = until
			}
			continue
		}
		if first == nil || l.GetAttempt().GetNumber() < first.GetAttempt().GetNumber() {
			first = l
		}
	}
	switch {
	case first != nil && s.paused != nil:
		return whilePaused(s, now)
	case first != nil:
		legs := []*patchbayv1.OrderLeg{first}
		all, _ := names(legs)
		if !s.holds(all) && len(s.wants(first.GetLeg())) > 0 {
			return &step{do: doHold, legs: all, first: all}
		}
		return &step{do: doPlace, legs: all, next: s.attempt(legs)}
	case !soonest.IsZero():
		return &step{do: doWait, until: soonest}
	default:
		return nil
	}
}

// concluding: a change or delete is over when each of its circuits is, and its target can
// have no more of them.
func concluding(s *state, _ time.Time) *step {
	// A deletion that failed does not wait for the order that it could not cancel, which
	// waits for it.
	unended := s.target != nil && cancels(s.order, s.target) && !has(s.order, order.Failed)
	if has(s.order, order.Open, order.Placed) || unended {
		return nil
	}
	next := s.next("", "")
	if len(next.GetLegs()) == 0 && next.GetKind() == exchange.Change {
		next.Outcome, next.Fact, next.Wait = order.Failed, order.Failed, nil
		next.Failure = &patchbayv1.Failure{Reason: gone, Message: "the order has no circuit to change"}
		return &step{do: doAppend, next: next}
	}
	conclude(next)
	return &step{do: doAppend, next: next}
}

// polling: what was taken is looked at now and then, ever more rarely: a change may show
// in nothing but its values, and a deletion may have been refused between two sweeps.
func polling(s *state, now time.Time) *step {
	legs := inState(s.order, order.Placed)
	if len(legs) == 0 {
		return nil
	}
	due := s.stamp.Add(s.spacing())
	if s.looked {
		due = now.Add(s.ease(now, backstop))
	}
	if s.looked || now.Before(due) {
		return &step{do: doWait, until: due}
	}
	all, _ := names(legs)
	return &step{do: doLook, legs: all}
}
