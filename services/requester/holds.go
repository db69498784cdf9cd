package requester

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// hold takes the holds of legs, of which those of next are about to be placed. If somebody
// else has one, it returns the fact that says so: `failed`, whereupon what was taken is
// freed, or, of a request that looks alike, that its turn is yet to come.
func (r *Requester) hold(ctx context.Context, h *handling, legs, next []string) (*patchbayv1.Order, error) {
	if err := r.release(ctx, h); err != nil {
		return nil, err
	}
	for _, leg := range legs {
		for _, w := range h.s.wants(leg) {
			if w.Kind == hold.Lookalike && !slices.Contains(next, leg) {
				continue
			}
			err := r.take(ctx, h, w)
			var taken hold.HeldError
			switch {
			case errors.As(err, &taken) && w.Kind == hold.Lookalike:
				h.queued = true
				return queued(h.s), nil
			case errors.As(err, &taken):
				return heldBy(h.s, leg, taken), nil
			case err != nil:
				return nil, err
			}
		}
	}
	h.held = next
	return nil, nil
}

// spokenFor is a field of an intent for which somebody else has the hold.
type spokenFor struct {
	field string
	hold.HeldError
}

// spoken returns the fields of the order's legs for which somebody else has the hold, as
// far as can be told without asking for it.
func (r *Requester) spoken(ctx context.Context, o *patchbayv1.Order) ([]spokenFor, error) {
	var fields []spokenFor
	for _, l := range o.GetLegs() {
		for _, w := range hold.OfLeg(o, l.GetLeg()) {
			if w.Kind == hold.Lookalike {
				continue // its turn will come
			}
			err := r.holds.Peek(ctx, w)
			var taken hold.HeldError
			switch {
			case errors.As(err, &taken):
				fields = append(fields, spokenFor{w.Field, taken})
			case err != nil:
				return nil, err
			}
		}
	}
	return fields, nil
}

// value is what somebody else holds: the outer tag. A token is not shown.
func (s spokenFor) value() string {
	if s.Kind == hold.Token {
		return ""
	}
	return s.Key[strings.LastIndexByte(s.Key, '/')+1:]
}

// tells reports whether v only says, in the exchange's words, that a token is spent which
// somebody else holds. Whatever else is wrong with the field is the intent's own.
func tells(v *patchbayv1.Violation, held []spokenFor) bool {
	return v.GetRule() == exchange.TokenUsed && slices.ContainsFunc(held, func(s spokenFor) bool {
		return s.Kind == hold.Token && s.field == v.GetField()
	})
}

// explained reports whether all violations are about tokens that somebody else holds.
func explained(violations []*patchbayv1.Violation, held []spokenFor) bool {
	return len(violations) > 0 && !slices.ContainsFunc(violations, func(v *patchbayv1.Violation) bool { return !tells(v, held) })
}

// broken says of each hold of somebody else which rule an intent breaks that wants it too.
func broken(held []spokenFor) []*patchbayv1.Violation {
	var all []*patchbayv1.Violation
	for _, s := range held {
		all = append(all, &patchbayv1.Violation{
			Field: s.field, Value: s.value(), Rule: "a " + s.Kind + " that nobody else holds",
			Hint: "held by " + s.Holder.GetNoun() + " " + s.Holder.GetId() + "; " + instead(s.Kind),
		})
	}
	return all
}

// instead is what to do about a thing that somebody else holds.
func instead(kind string) string {
	if kind == hold.Token {
		return "a token is used once: ask for another"
	}
	return "it has one owner at a time: choose another tag, or end what has it"
}

// queued says that an order waits for the end of an attempt whose request would look like
// its own; nil if its last fact says so already.
func queued(s *state) *patchbayv1.Order {
	if waitsForTurn(s.order) {
		return nil
	}
	next := s.next("", "")
	next.Wait = &patchbayv1.Wait{What: lookalikeTurn, On: "another order of account " + next.GetAccount(),
		Advice: "the exchange shows of a request neither port nor tag, so those that look alike go out one by one"}
	sum(next)
	return next
}

// take takes one hold. An owner that has ended may not have come to freeing it yet; then
// that is done here.
func (r *Requester) take(ctx context.Context, h *handling, w hold.Want) error {
	err := r.holds.Take(ctx, w, h.fact(h.s.order))
	var taken hold.HeldError
	if !errors.As(err, &taken) || taken.Holder.GetNoun() != string(event.Order) {
		return err
	}
	s, rec, rerr := r.read(ctx, taken.Holder.GetId())
	if rerr != nil {
		return rerr
	}
	if s == nil {
		return err
	}
	if rerr := r.release(ctx, &handling{now: h.now, cause: h.cause, s: s, rec: rec}); rerr != nil {
		return rerr
	}
	return r.holds.Take(ctx, w, h.fact(h.s.order))
}

// heldBy gives up what is not placed yet, since somebody else has the tag or token of a leg.
func heldBy(s *state, leg string, taken hold.HeldError) *patchbayv1.Order {
	next := s.next("", leg)
	for _, l := range inState(next, order.Open, order.Uncertain) {
		fail(l, &patchbayv1.Failure{
			Reason: held, Holder: taken.Holder.GetId(),
			Message: fmt.Sprintf("the %s's %s %s is held by %s %s; %s", leg, taken.Kind, taken.Key,
				taken.Holder.GetNoun(), taken.Holder.GetId(), instead(taken.Kind)),
		})
	}
	sum(next)
	return next
}

// release frees the holds of legs that have no circuit and will get none, and the turns of
// those whose request is told from others by its id. It may be repeated.
func (r *Requester) release(ctx context.Context, h *handling) error {
	if h.s.order.GetCreate() == nil {
		return nil
	}
	for _, l := range h.s.order.GetLegs() {
		over := l.GetState() == order.Failed && l.GetExchangeId() == "" || h.s.circuits[l.GetLeg()].ended()
		settled := slices.Contains([]string{order.Placed, order.Completed, order.Failed}, l.GetState())
		for _, w := range append(hold.OfLeg(h.s.order, l.GetLeg()), h.s.changed(l.GetLeg())...) {
			if !over && !(settled && w.Kind == hold.Lookalike) {
				continue
			}
			if err := r.holds.Free(ctx, w, h.fact(h.s.order)); err != nil {
				return err
			}
		}
	}
	return nil
}
