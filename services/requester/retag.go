package requester

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// A change of a tag takes the new tag for the order that made the circuit, so that there is
// one owner of what the circuit has. Of a circuit that was not ordered here nothing is held,
// as for the tag that it has.

// retag is the hold that a change of a leg's tag needs.
func retag(o, target *patchbayv1.Order, leg string) (hold.Want, bool) {
	if o.GetKind() != exchange.Change || target.GetCreate() == nil {
		return hold.Want{}, false
	}
	tag := order.SetFor(o, leg).GetTag()
	like := proto.CloneOf(target)
	side := like.GetCreate().GetPrimary()
	if leg != exchange.Primary {
		side = like.GetCreate().GetSecondary()
	}
	if tag == nil || side.GetASide().GetPortId() == "" {
		return hold.Want{}, false // a token's issuer chose it
	}
	side.ASide.Tag = tag
	return hold.OfLeg(like, leg)[0], true
}

// wants are the holds that a leg needs before it is placed.
func (s *state) wants(leg string) []hold.Want {
	if w, ok := retag(s.order, s.target, leg); ok {
		return []hold.Want{w}
	}
	return hold.OfLeg(s.order, leg)
}

// changed is the hold of the tag that a change has given a leg's circuit, as its last fact
// shows it.
func (s *state) changed(leg string) []hold.Want {
	shown := s.circuits[leg].conn.GetASide()
	like := &patchbayv1.Order{Kind: exchange.Change, Change: &patchbayv1.ChangeIntent{Set: &patchbayv1.ChangeSet{Tag: shown.GetTag()},
		Target: &patchbayv1.Target{ConnectionId: s.circuits[leg].conn.GetId()}}}
	if w, ok := retag(like, s.order, leg); ok {
		return []hold.Want{w}
	}
	return nil
}

// tidyTags frees what a change of tags that has ended leaves unused: the tags that a circuit
// had before, or the one that it did not get. It may be repeated, also after other changes.
func (r *Requester) tidyTags(ctx context.Context, h *handling) error {
	o := h.s.order
	if o.GetChange().GetSet().GetTag() == nil {
		return nil
	}
	target, rec, err := r.lastOrder(ctx, o.GetTargetOrderId())
	if err != nil {
		return err
	}
	owner := &handling{now: h.now, cause: h.cause, s: &state{order: target}, rec: rec}
	for _, l := range o.GetLegs() {
		w, ok := retag(o, target, l.GetLeg())
		if !ok {
			continue
		}
		taken, err := r.takenAt(ctx, w)
		switch {
		case err != nil:
			return err
		case taken == 0 || taken > h.rec.Seq: // not any more, or by another change
		case l.GetState() == order.Completed:
			err = r.freeOlder(ctx, owner, w, taken)
		case l.GetState() == order.Failed:
			var shown *patchbayv1.Tag
			shown, err = r.shownTag(ctx, l.GetConnectionId())
			if err == nil && !proto.Equal(shown, order.SetFor(o, l.GetLeg()).GetTag()) {
				err = r.holds.Free(ctx, w, owner.fact(target))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takenAt is the journal sequence of the last fact of w's hold, 0 if its owner does not have
// it.
func (r *Requester) takenAt(ctx context.Context, w hold.Want) (uint64, error) {
	rec, err := r.rt.Journal.Last(ctx, event.Entity{Noun: event.Hold, ID: w.ID()})
	if err != nil || rec.None() {
		return 0, err
	}
	x := new(patchbayv1.Hold)
	if err := rec.Into(x); err != nil {
		return 0, journal.Permanent(err)
	}
	for _, o := range x.GetOwners() {
		if mine(o, w) && o.GetInner() == w.Owner.GetInner() {
			return rec.Seq, nil
		}
	}
	return 0, nil
}

// mine reports whether an owner is that of w, whatever inner tag he has.
func mine(o *patchbayv1.Owner, w hold.Want) bool {
	return o.GetId() == w.Owner.GetId() && o.GetNoun() == w.Owner.GetNoun() && o.GetLeg() == w.Owner.GetLeg()
}

// shownTag is the A-side tag of a circuit as it was last seen; nil if none was, as of a
// request at PacketFabric that nobody has accepted.
func (r *Requester) shownTag(ctx context.Context, connection string) (*patchbayv1.Tag, error) {
	t, seq, err := r.lastTransition(ctx, connection)
	if err != nil {
		return nil, err
	}
	rec, err := r.rt.Journal.Last(ctx, event.Entity{Noun: event.Change, ID: connection})
	if err != nil || rec.None() || rec.Seq < seq {
		return t.GetConnection().GetASide().GetTag(), err
	}
	c := new(patchbayv1.Change)
	if err := rec.Into(c); err != nil {
		return nil, journal.Permanent(err)
	}
	return c.GetConnection().GetASide().GetTag(), nil
}

// freeOlder frees the tags that the owner of w has taken before it on the same port for the
// same leg, but for that of a Z side there.
func (r *Requester) freeOlder(ctx context.Context, owner *handling, w hold.Want, taken uint64) error {
	port := w.Key[:strings.LastIndexByte(w.Key, '/')+1]
	keep := map[string]bool{w.ID(): true}
	for _, z := range hold.OfLeg(owner.s.order, w.Owner.GetLeg())[1:] {
		keep[z.ID()] = true
	}
	var old []hold.Want
	err := r.rt.Journal.Each(ctx, []string{event.Hold.Filter(hold.Taken, "*")}, func(rec journal.Record) error {
		x := new(patchbayv1.Hold)
		if rec.Seq > taken || rec.Into(x) != nil || keep[x.GetId()] || x.GetKind() != hold.Tag || !strings.HasPrefix(x.GetKey(), port) {
			return nil // newer, unreadable, or something else
		}
		for _, o := range x.GetOwners() {
			if mine(o, w) {
				old = append(old, hold.Want{Kind: hold.Tag, Key: x.GetKey(), Owner: o})
			}
		}
		return nil
	})
	for _, x := range old {
		if err == nil {
			err = r.holds.Free(ctx, x, owner.fact(owner.s.order))
		}
	}
	return err
}
