package requester

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// call is an attempt that was made, and what came of it.
type call struct {
	legs   []string
	number int32
	out    exchange.Outcome
}

// still reports whether the leg is in the state in which the call left it, or found so by
// somebody who saw only that its time was over.
func (c call) still(l *patchbayv1.OrderLeg) bool {
	return slices.Contains([]string{order.Placing, order.Uncertain}, l.GetState()) && l.GetAttempt().GetNumber() == c.number
}

// settle returns the fact that says what became of a call, nil if that is known already.
// The order may have gone on in the meantime: then another circuit stands in the leg's
// place, and the one that the call created is an orphan. now is only for pauses.
func settle(s *state, c call, now time.Time) *patchbayv1.Order {
	if s.order.GetOutcome() == "" {
		if next := settleLegs(s, c, now); next != nil {
			return next
		}
	}
	return orphan(s, c)
}

func settleLegs(s *state, c call, now time.Time) *patchbayv1.Order {
	_, word := names(named(s.order, c.legs))
	next := s.next("", word)
	touched := false
	for _, name := range c.legs {
		l := legOf(next, name)
		if l == nil || !c.still(l) {
			continue
		}
		touched = true
		l.Attempt.Answer = c.out.Answer
		settleLeg(next, l, c.out)
	}
	if !touched {
		return nil
	}
	sum(next)
	if until := pauseAfter(c, now); has(next, order.Open) && !until.IsZero() {
		next.Wait = &patchbayv1.Wait{Until: timestamppb.New(until)}
	}
	return next
}

func named(o *patchbayv1.Order, all []string) []*patchbayv1.OrderLeg {
	var legs []*patchbayv1.OrderLeg
	for _, name := range all {
		if l := legOf(o, name); l != nil {
			legs = append(legs, l)
		}
	}
	return legs
}

// settleLeg enters the state that the class of an outcome stands for.
func settleLeg(o *patchbayv1.Order, l *patchbayv1.OrderLeg, out exchange.Outcome) {
	creates := o.GetKind() == exchange.Create
	id := out.IDs[l.GetLeg()]
	switch out.Class {
	case exchange.Done, exchange.Partial:
		switch {
		case creates && id == "":
			l.State = order.Uncertain
		case creates:
			place(o, l, id)
			l.Group = out.Group
		default:
			l.State = order.Placed
		}
	case exchange.Over:
		switch {
		case creates:
			l.State = order.Uncertain
		case o.GetKind() == exchange.Delete:
			l.State = order.Completed
		default:
			l.State = order.Placed
		}
	case exchange.NotSent, exchange.Busy:
		l.State = untried(l)
	case exchange.Moving:
		l.State = untried(l)
		l.Attempt.Answer = strings.TrimSpace(out.Answer + " " + order.Said(out.Code, out.Message))
		if creates {
			l.State = order.Uncertain
		}
	case exchange.Taken:
		l.State, l.Failure = order.Uncertain, failureOf(out)
	case exchange.Refused:
		fail(l, failureOf(out))
		if out.Leg != "" && out.Leg != l.GetLeg() {
			l.Failure.Message = "the exchange refused the other leg, which went out in the same call"
		}
	default:
		l.State = order.Uncertain
	}
}

// untried is the state of a leg after a call that did nothing. What somebody found uncertain
// in the meantime stays so: he may have looked already, and it is resolved by looking.
func untried(l *patchbayv1.OrderLeg) string {
	if l.GetState() == order.Uncertain {
		return order.Uncertain
	}
	return order.Open
}

// place gives a leg its circuit.
func place(o *patchbayv1.Order, l *patchbayv1.OrderLeg, exchangeID string) {
	l.State, l.Failure = order.Placed, nil
	l.ExchangeId = exchangeID
	l.ConnectionId = event.ConnectionID(o.GetExchange(), exchangeID)
	l.Attempt.Candidates = nil
}

func failureOf(out exchange.Outcome) *patchbayv1.Failure {
	return &patchbayv1.Failure{
		Reason: refused, Message: "the exchange refused it", Code: out.Code,
		ExchangeMessage: out.Message, Property: out.Property,
	}
}

// longestPause is the longest time between two attempts that did nothing. Each writes two
// facts, so over a weekend without an exchange a short one would fill the journal.
const longestPause = 5 * time.Minute

// pauseAfter is when to try again after a call that did nothing, zero if it did something
// or may have.
func pauseAfter(c call, now time.Time) time.Time {
	switch c.out.Class {
	case exchange.Busy, exchange.NotSent, exchange.Moving:
		pause := min(time.Second<<min(max(c.number, 1)-1, 10), longestPause)
		return now.Add(max(pause, c.out.After))
	default:
		return time.Time{}
	}
}

// orphan returns the fact that a circuit stands at the exchange to which no leg belongs.
func orphan(s *state, c call) *patchbayv1.Order {
	if s.order.GetKind() != exchange.Create {
		return nil
	}
	next := s.next(order.Orphaned, "")
	for _, name := range c.legs {
		id := c.out.IDs[name]
		l := legOf(s.order, name)
		if id == "" || l.GetExchangeId() == id || slices.Contains(next.GetOrphans(), id) {
			continue
		}
		next.Orphans = append(next.Orphans, id)
		next.Leg = name
	}
	if len(next.GetOrphans()) == len(s.order.GetOrphans()) {
		return nil
	}
	return next
}
