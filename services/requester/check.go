package requester

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// check asks the exchange what intake could not, before the first attempt.
func (r *Requester) check(ctx context.Context, h *handling) error {
	h.asked = true
	c, err := r.client(h.s.order)
	if err != nil {
		return err
	}
	in, err := r.secretIntent(ctx, h.s.order)
	if err != nil {
		return err
	}
	if in == nil {
		return r.append(ctx, h, intentGone(h.s))
	}
	leave, err := r.enter(ctx, h.s.order)
	if err != nil {
		return err
	}
	defer leave()
	if done, err := r.lose(ctx, h, nil); done || err != nil {
		return err
	}
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	checked, err := c.Check(looking, in)
	if err != nil {
		r.rt.Log.Info().Err(err).Str("order", h.s.order.GetId()).Msg("check failed")
		if next := unasked(h.s, err, r.rt.Journal.Now()); next != nil {
			return r.append(ctx, h, next)
		}
		return nil
	}
	if done, err := r.lose(ctx, h, checked.Violations); done || err != nil {
		return err
	}
	next := h.s.next(order.Accepted, "")
	next.Checked, next.Flow = true, checked.Flow
	if next.Violations = checked.Violations; len(checked.Violations) > 0 {
		for _, l := range inState(next, order.Open) {
			fail(l, &patchbayv1.Failure{Reason: order.Invalid, Message: "the exchange does not allow it; see the violations"})
		}
		conclude(next)
	}
	return r.append(ctx, h, next)
}

// unasked says in the order why its exchange could not be asked; nil if it says so already. A
// reason that differs is not worth a fact each half minute.
func unasked(s *state, err error, now time.Time) *patchbayv1.Order {
	if s.order.GetWait().GetAdvice() != "" && now.Sub(s.stamp) < reasonAgain {
		return nil
	}
	next := s.next(order.Accepted, "")
	next.Wait = waitOf(next)
	next.Wait.Advice = fmt.Sprintf("it could not be asked: %v. It is asked every %s; if that stays so, see to credentials "+
		"and baseUrl of account %s in the accounts file", err, checkAgain, next.GetAccount())
	if next.GetWait().GetAdvice() == s.order.GetWait().GetAdvice() {
		return nil
	}
	return next
}

// lose ends an order before it is checked if somebody else has a hold that it needs. Where the
// exchange has found violations they must be about nothing else. It reports whether it did.
func (r *Requester) lose(ctx context.Context, h *handling, violations []*patchbayv1.Violation) (bool, error) {
	fields, err := r.spoken(ctx, h.s.order)
	switch {
	case err != nil, len(fields) == 0, violations != nil && !explained(violations, fields):
		return false, err
	}
	all, _ := names(inState(h.s.order, order.Open))
	next, err := r.hold(ctx, h, all, nil) // the holder may have ended
	if err != nil || next == nil {
		return false, err
	}
	return true, r.append(ctx, h, next)
}

// question is a request of the verb "check": an intent of a kind as upstream would send it,
// and under which identity, if that is known.
type question struct {
	Kind   string          `json:"kind"`
	Data   json.RawMessage `json:"data"`
	Source string          `json:"source,omitempty"`
	ID     string          `json:"id,omitempty"`
}

// answer is what is wrong with an intent, and what would become of it.
type answer struct {
	Violations []json.RawMessage `json:"violations"`
	Notes      []string          `json:"notes,omitempty"`
	Flow       string            `json:"flow,omitempty"`
	Account    string            `json:"account,omitempty"`
	// Unasked says why the exchange could not be asked; then what only it knows was not checked.
	Unasked string `json:"unasked,omitempty"`
	// Conflict is the refusal of an intent whose identity is that of an order with other data.
	Conflict json.RawMessage `json:"conflict,omitempty"`
}

// Check answers what an intent would meet, without ordering anything.
func (r *Requester) Check(ctx context.Context, request []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(request, &q); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	a := &asked{kind: q.Kind}
	if q.Source != "" && q.ID != "" {
		a.orderID = event.OrderID(q.Source, q.ID)
	}
	r.readData(a, q.Data)
	o := &patchbayv1.Order{Kind: q.Kind}
	out := answer{Violations: []json.RawMessage{}}
	over, err := r.handedInBefore(ctx, a, &out)
	if over || err != nil {
		return answered(out, err)
	}
	var all []*patchbayv1.Violation
	if in, ok := a.message.(*patchbayv1.CreateIntent); ok {
		all, err = r.checkCreate(ctx, o, a, in, &out)
	} else {
		all, err = r.examine(ctx, o, a)
		if err == nil && len(all) == 0 {
			all, err = r.checkCircuits(ctx, o, &out)
		}
	}
	out.Flow, out.Account = o.GetFlow(), o.GetAccount()
	for _, v := range all {
		b, merr := event.Marshal(proto.Message(v))
		err = errors.Join(err, merr)
		out.Violations = append(out.Violations, b)
	}
	return answered(out, err)
}

func answered(out answer, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// handedInBefore says what the order means that an intent has already, if it has one, and
// reports whether that is all there is to say.
func (r *Requester) handedInBefore(ctx context.Context, a *asked, out *answer) (bool, error) {
	if a.orderID == "" {
		return false, nil
	}
	o, _, err := r.lastOrder(ctx, a.orderID)
	if err != nil || o == nil {
		return false, err
	}
	if o.GetPayloadDigest() != a.digest {
		out.Conflict, err = event.Marshal(conflict(o, a))
		return true, err
	}
	out.Account = o.GetAccount()
	note := fmt.Sprintf("This is order %s, %s: handed in again it orders nothing.", o.GetId(), o.GetFact())
	if o.GetOutcome() != "" {
		note += " To order the same once more, give it another --id."
	}
	out.Notes = append(out.Notes, note)
	return o.GetOutcome() != order.Invalid, nil
}

// checkCreate returns what is wrong with an intent that creates.
func (r *Requester) checkCreate(ctx context.Context, o *patchbayv1.Order, a *asked, in *patchbayv1.CreateIntent, out *answer) ([]*patchbayv1.Violation, error) {
	checked, err := r.examineCreate(ctx, o, in)
	all := merge(a.violations, checked.Violations)
	out.Notes = append(out.Notes, checked.Notes...)
	if err != nil && (o.GetAccount() == "" || errors.As(err, new(unaskedError))) {
		out.Unasked, err = err.Error(), nil // it may be needed to tell whose port it is
	}
	if err != nil || o.GetAccount() == "" {
		return all, err
	}
	o.Create, _ = a.redacted.(*patchbayv1.CreateIntent)
	o.Id = a.orderID
	held, err := r.spoken(ctx, o)
	all = slices.DeleteFunc(all, func(v *patchbayv1.Violation) bool { return tells(v, held) })
	return append(all, broken(held)...), err
}

// checkCircuits says what a change or delete would be asked for, and what of it cannot be.
func (r *Requester) checkCircuits(ctx context.Context, o *patchbayv1.Order, out *answer) ([]*patchbayv1.Violation, error) {
	target, _, err := r.lastOrder(ctx, o.GetTargetOrderId())
	if err != nil {
		return nil, err
	}
	s := &state{order: o, target: target}
	var all []*patchbayv1.Violation
	for _, l := range o.GetLegs() {
		t, _, err := r.lastTransition(ctx, l.GetConnectionId())
		if err != nil {
			return nil, err
		}
		c := circuit{conn: t.GetConnection()}
		what := fmt.Sprintf("the %s circuit %s", l.GetLeg(), l.GetExchangeId())
		over := s.never(l.GetLeg()) || t != nil && c.ended()
		switch {
		case over && o.GetKind() == exchange.Change:
			all = append(all, violation("target", "", "a circuit that has not ended", what+" is no more")...)
		case over:
			out.Notes = append(out.Notes, what+" is no more: there is nothing to delete.")
		case t == nil:
			out.Notes = append(out.Notes, what+" has not been seen yet: the "+o.GetKind()+" would wait for it.")
		default:
			out.Notes = append(out.Notes, fmt.Sprintf("The %s would be asked for of %s, which is %s/%s.",
				o.GetKind(), what, c.conn.GetStatus(), c.conn.GetProviderStatus()))
		}
	}
	if set := o.GetChange().GetSet(); len(all) > 0 || set == nil || set.BandwidthMbps == nil {
		return all, nil
	}
	return r.checkSpeed(ctx, o, target, out)
}

// checkSpeed asks the exchange whether a circuit like the one that was ordered is sold at the
// speed of a change.
func (r *Requester) checkSpeed(ctx context.Context, o, target *patchbayv1.Order, out *answer) ([]*patchbayv1.Violation, error) {
	if target.GetCreate() == nil {
		out.Notes = append(out.Notes, "Whether the speed is sold only the exchange can tell: the circuit was not ordered here.")
		return nil, nil
	}
	c, err := r.client(o)
	if err != nil {
		return nil, err
	}
	like := intent.Expand(target.GetCreate())
	like.BandwidthMbps = o.GetChange().GetSet().BandwidthMbps
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	checked, err := c.Check(ctx, like)
	if err != nil {
		out.Unasked = err.Error()
		return nil, nil
	}
	var all []*patchbayv1.Violation
	for _, v := range checked.Violations { // the rest is about what has been ordered already
		if v.GetField() == "bandwidthMbps" {
			v.Field = "set.bandwidthMbps"
			all = append(all, v)
		}
	}
	return all, nil
}
