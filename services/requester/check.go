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
	leave, err := r.enter(h.s.order)
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
	h.held = false
	if err != nil || next == nil {
		return false, err
	}
	return true, r.append(ctx, h, next)
}

// question is a request of the verb "check": an intent of a kind as upstream would send it.
type question struct {
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data"`
}

// answer is what is wrong with an intent, and what would become of it.
type answer struct {
	Violations []json.RawMessage `json:"violations"`
	Notes      []string          `json:"notes,omitempty"`
	Flow       string            `json:"flow,omitempty"`
	Account    string            `json:"account,omitempty"`
	// Unasked says why the exchange could not be asked; then what only it knows was not checked.
	Unasked string `json:"unasked,omitempty"`
}

// Check answers what an intent would meet, without ordering anything.
func (r *Requester) Check(ctx context.Context, request []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(request, &q); err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	m, violations := intent.Read(event.Intent, q.Kind, q.Data)
	o := &patchbayv1.Order{Kind: q.Kind}
	a := &asked{kind: q.Kind, message: m, violations: violations}
	if m != nil {
		a.redacted = intent.Redact(m, r.rt.Key)
	}
	out := answer{Violations: []json.RawMessage{}}
	var all []*patchbayv1.Violation
	var err error
	if in, ok := m.(*patchbayv1.CreateIntent); ok {
		var checked exchange.Checked
		checked, err = r.examineCreate(ctx, o, in)
		all, out.Notes = merge(violations, checked.Violations), checked.Notes
		if err != nil && (o.GetAccount() == "" || errors.As(err, new(unaskedError))) {
			out.Unasked, err = err.Error(), nil // it may be needed to tell whose port it is
		}
		if err == nil && o.GetAccount() != "" {
			o.Create, _ = a.redacted.(*patchbayv1.CreateIntent)
			var held []spokenFor
			held, err = r.spoken(ctx, o)
			all = slices.DeleteFunc(all, func(v *patchbayv1.Violation) bool { return tells(v, held) })
			all = append(all, broken(held)...)
		}
	} else {
		all, err = r.examine(ctx, o, a)
	}
	if err != nil {
		return nil, err
	}
	out.Flow, out.Account = o.GetFlow(), o.GetAccount()
	for _, v := range all {
		b, err := event.Marshal(proto.Message(v))
		if err != nil {
			return nil, err
		}
		out.Violations = append(out.Violations, b)
	}
	return json.Marshal(out)
}
