package requester

import (
	"context"
	"errors"
	"fmt"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// wants are the holds that a leg of a create needs: the tag on its A-side port, and the
// tokens it spends. The intent is redacted, so a token is its HMAC.
func wants(o *patchbayv1.Order, leg string) []hold.Want {
	side := o.GetCreate().GetPrimary()
	if leg != "primary" {
		side = o.GetCreate().GetSecondary()
	}
	owner := func(inner int32) *patchbayv1.Owner {
		return &patchbayv1.Owner{Id: o.GetId(), Noun: string(event.Order), Leg: leg, Inner: inner}
	}
	var all []hold.Want
	if port := side.GetASide().GetPortId(); port != "" {
		outer, inner := hold.OuterInner(side.GetASide().GetTag())
		all = append(all, hold.Want{
			Kind: hold.Tag, Key: hold.TagKey(o.GetExchange(), port, outer), Owner: owner(inner),
		})
	}
	for _, token := range []string{side.GetASide().GetServiceToken(), side.GetZSide().GetServiceToken()} {
		if token != "" {
			all = append(all, hold.Want{Kind: hold.Token, Key: token, Owner: owner(0)})
		}
	}
	return all
}

// hold takes the holds of the legs. If somebody else has one, it returns the `failed`
// that says so; what was taken is freed when that is written.
func (r *Requester) hold(ctx context.Context, h *handling, legs []string) (*patchbayv1.Order, error) {
	for _, leg := range legs {
		for _, w := range wants(h.s.order, leg) {
			err := r.take(ctx, h, w)
			var taken hold.HeldError
			if errors.As(err, &taken) {
				return heldBy(h.s, leg, taken), nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
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
			Message: fmt.Sprintf("the %s's %s %s is held by %s %s", leg, taken.Kind, taken.Key,
				taken.Holder.GetNoun(), taken.Holder.GetId()),
		})
	}
	sum(next)
	return next
}

// release frees the holds of legs that have no circuit and will get none. It may be
// repeated.
func (r *Requester) release(ctx context.Context, h *handling) error {
	for _, l := range h.s.order.GetLegs() {
		none := l.GetState() == order.Failed && l.GetExchangeId() == ""
		if !none && !h.s.circuits[l.GetLeg()].ended() {
			continue
		}
		for _, w := range wants(h.s.order, l.GetLeg()) {
			if err := r.holds.Free(ctx, w, h.fact(h.s.order)); err != nil {
				return err
			}
		}
	}
	return nil
}
