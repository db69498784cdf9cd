package requester

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Reasons of failures.
const (
	refused   = "refused"
	rejected  = "rejected"
	held      = "held"
	cancelled = "cancelled"
	gone      = "gone"
)

// state is what a decision rests on: the order's last fact and what that depends on, as
// read from the journal, and what the present handling has done already.
type state struct {
	order *patchbayv1.Order
	// stamp is when the order's last fact was written, by the NATS server's clock.
	stamp time.Time
	// within and quiet are the account's D and Q.
	within, quiet time.Duration
	// together: the exchange takes both legs in one call.
	together bool
	// keys are the look-up keys of the legs of a create.
	keys map[string]string
	// circuits has what is known of each leg's circuit.
	circuits map[string]circuit
	// target is the order that a delete or change is about, cancel the delete order that
	// cancels this one; nil for none.
	target, cancel *patchbayv1.Order

	// held are the legs whose holds were taken so that they can be placed.
	held []string
	// looked: the exchange was looked at. asked: it was asked to check, in vain. queued:
	// another order's request would look like this one's.
	looked, asked, queued bool
	// paused is why nothing may be sent to the exchange, nil if something may.
	paused *patchbayv1.AccountPause
}

// circuit is what the journal says of one leg's circuit.
type circuit struct {
	// seq is the journal sequence of the connection's last fact, 0 if it was not seen yet.
	seq  uint64
	conn *patchbayv1.Connection
	// inferred: nobody saw that state, so nothing may be decided upon it.
	inferred bool
	// change is the last change of the connection, with its sequence.
	change    *patchbayv1.Change
	changeSeq uint64
	// returned: since the delete was placed it has been PENDING_DELETE and is PROVISIONED.
	returned bool
	// rejection is the approval by which an account of ours refused what the order asks for;
	// nil if none did.
	rejection *patchbayv1.Approval
	// ender is the delete order that has asked for the end of a circuit that is to be changed.
	ender string
}

// unchanged is why a circuit was not changed: as why says, or for its end, if somebody here has
// asked for that. An exchange takes back what was to change with the circuit, and then shows it as
// one that the seller did not want; a seller who says why, or is ours, did reject it.
func (c circuit) unchanged(why *patchbayv1.Failure) *patchbayv1.Failure {
	if c.ender == "" || why.GetReason() == rejected && (why.GetExchangeMessage() != "" || c.rejection != nil) {
		return why
	}
	return &patchbayv1.Failure{Reason: cancelled, Message: "order " + c.ender + " deletes the circuit"}
}

// rejected is the failure of what the other company rejected: what is said about it, in the
// words that the exchange shows, or else, where the other company is ours too, in its own.
// PacketFabric has no place for them.
func (c circuit) rejected(what, shown string) *patchbayv1.Failure {
	f := &patchbayv1.Failure{Reason: rejected, Message: what, ExchangeMessage: shown}
	if a := c.rejection; a != nil && shown == "" {
		f.Message += fmt.Sprintf("; account %s rejected it, by %s", a.GetAccount(), a.GetBy())
		if a.GetReason() != "" {
			f.Message += ": " + a.GetReason()
		}
	}
	return f
}

// state is where the circuit was seen to stand; the zero State if nobody saw it.
func (c circuit) state() status.State {
	if c.conn == nil || c.inferred {
		return status.State{}
	}
	return status.State{Status: status.Status(c.conn.GetStatus()), Provider: status.Provider(c.conn.GetProviderStatus())}
}

func (c circuit) ended() bool { return c.state().Status.Ended() }

// latest is the sequence of the newest fact about the circuit.
func (c circuit) latest() uint64 { return max(c.seq, c.changeSeq) }

// group is the redundancy group that a secondary joins: the primary's, as it was answered
// or shown, as long as there is a primary.
func (s *state) group() string {
	l := legOf(s.order, exchange.Primary)
	if s.order.GetKind() != exchange.Create || l.GetState() == order.Failed {
		return ""
	}
	return cmp.Or(l.GetGroup(), s.circuits[exchange.Primary].conn.GetRedundancyGroup())
}

// spacing is the time between two looks of which each counts.
func (s *state) spacing() time.Duration { return max(s.quiet/4, 2*time.Second) }

// started is when the leg's last attempt was written down.
func (s *state) started(leg *patchbayv1.OrderLeg) time.Time {
	if t := leg.GetAttempt().GetStartedAt(); t != nil {
		return t.AsTime()
	}
	return s.stamp
}

// over is when the leg's attempt cannot be under way any more.
func (s *state) over(leg *patchbayv1.OrderLeg) time.Time {
	within := leg.GetAttempt().GetWithin().AsDuration()
	return s.started(leg).Add(within)
}

// calm is when the exchange has had its quiet time since the attempt.
func (s *state) calm(leg *patchbayv1.OrderLeg) time.Time { return s.over(leg).Add(s.quiet) }

// conclusive reports whether enough looks have found nothing, the last of them after the
// quiet time, so that the leg may be attempted again.
func (s *state) conclusive(leg *patchbayv1.OrderLeg) bool {
	a := leg.GetAttempt()
	return leg.GetState() == order.Uncertain && a.GetLooks() >= 2 && len(a.GetCandidates()) == 0 &&
		!a.GetLookedAt().AsTime().Before(s.calm(leg))
}

// next returns a copy of the order for a fact that follows the last one.
func (s *state) next(fact, leg string) *patchbayv1.Order {
	o := proto.CloneOf(s.order)
	o.Fact, o.Leg = fact, leg
	for _, l := range o.GetLegs() {
		if l.GetAttempt() != nil && l.Attempt.StartedAt == nil {
			l.Attempt.StartedAt = timestamppb.New(s.stamp)
		}
	}
	return o
}

// sum gives an order the fact that says where it stands by its legs, which is its end if
// all of them have failed.
func sum(o *patchbayv1.Order) {
	switch {
	case o.GetOutcome() != "":
		o.Fact = o.GetOutcome()
	case len(o.GetLegs()) > 0 && len(inState(o, order.Failed)) == len(o.GetLegs()):
		conclude(o)
	case o.GetCancelledBy() != "":
		o.Fact = order.Cancelling
	case has(o, order.Uncertain):
		o.Fact = order.Uncertain
	case has(o, order.Placed, order.Completed):
		o.Fact = order.Placed
	default:
		o.Fact = order.Accepted
	}
}

func has(o *patchbayv1.Order, states ...string) bool { return len(inState(o, states...)) > 0 }

// inState returns the legs of o that are in one of the states.
func inState(o *patchbayv1.Order, states ...string) []*patchbayv1.OrderLeg {
	var found []*patchbayv1.OrderLeg
	for _, l := range o.GetLegs() {
		if slices.Contains(states, l.GetState()) {
			found = append(found, l)
		}
	}
	return found
}

func legOf(o *patchbayv1.Order, name string) *patchbayv1.OrderLeg {
	for _, l := range o.GetLegs() {
		if l.GetLeg() == name {
			return l
		}
	}
	return nil
}

// names returns the names of legs, and the one word for them that a fact bears.
func names(legs []*patchbayv1.OrderLeg) (all []string, word string) {
	for _, l := range legs {
		all = append(all, l.GetLeg())
	}
	switch len(all) {
	case 0:
		return nil, ""
	case 1:
		return all, all[0]
	default:
		return all, exchange.Both
	}
}

// fail ends a leg.
func fail(l *patchbayv1.OrderLeg, f *patchbayv1.Failure) {
	l.State, l.Failure = order.Failed, f
}

// rollsBack reports whether one leg has failed and the intent does not want the other alone.
func rollsBack(o *patchbayv1.Order) bool {
	return o.GetCreate().GetOnLegFailure() == "rollback" && has(o, order.Failed)
}
