// Package hold gives a scarce thing to one owner at a time: a tag on a port, a service
// token, a request that nothing tells from its like.
//
// A hold is an entity of the journal, taken and freed by compare-and-append; two owners
// that want it at once meet there, and one wins. A tag has either one owner of the whole
// outer tag or any number of owners by inner tag. Whoever takes a hold has written his
// choice on the owning entity first, so that after a crash "the owner is me" is mine.
package hold

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Kinds of holds.
const (
	Tag       = "tag"
	Token     = "token"
	Lookalike = "lookalike"
)

// Facts of a hold.
const (
	Taken = "taken"
	Freed = "freed"
)

// TagKey names an outer tag on a port; 0 is untagged.
func TagKey(exchange, port string, outer int32) string {
	return fmt.Sprintf("%s/%s/%d", exchange, port, outer)
}

// OuterInner returns what of a tag is held: the outer tag, and the inner one or 0 for the
// whole.
func OuterInner(t *patchbayv1.Tag) (outer, inner int32) {
	switch {
	case t == nil || t.GetUntagged():
		return 0, 0
	case t.Vlan != nil:
		return t.GetVlan(), 0
	default:
		return t.GetSTag(), t.GetCTag()
	}
}

// A Want is what somebody asks to hold.
type Want struct {
	Kind, Key string
	Owner     *patchbayv1.Owner
	// Field is the path of what it is in the intent; empty if it is no single field.
	Field string
}

// ID is the id of the hold.
func (w Want) ID() string { return event.HoldID(w.Kind, w.Key) }

func (w Want) entity() event.Entity { return event.Entity{Noun: event.Hold, ID: w.ID()} }

// HeldError names who has what was wanted.
type HeldError struct {
	Kind, Key string
	Holder    *patchbayv1.Owner
}

func (e HeldError) Error() string {
	return fmt.Sprintf("%s %s is held by %s %s", e.Kind, e.Key, e.Holder.GetNoun(), e.Holder.GetId())
}

// Take returns h with w's owner added; h may be nil. It returns h itself if he has it
// already, and a [HeldError] if somebody else has it or a part that overlaps.
func Take(h *patchbayv1.Hold, w Want, now time.Time) (*patchbayv1.Hold, error) {
	for _, o := range h.GetOwners() {
		switch {
		case same(o, w.Owner):
			return h, nil
		case o.GetInner() == w.Owner.GetInner() || o.GetInner() == 0 || w.Owner.GetInner() == 0:
			return h, HeldError{w.Kind, w.Key, o}
		}
	}
	next := &patchbayv1.Hold{Id: w.ID(), Kind: w.Kind, Key: w.Key, Fact: Taken, At: timestamppb.New(now)}
	owner := proto.CloneOf(w.Owner)
	owner.Since = timestamppb.New(now)
	next.Owners = append(slices.Clone(h.GetOwners()), owner)
	return next, nil
}

// Free returns h without the owner; h itself if he does not have it.
func Free(h *patchbayv1.Hold, owner *patchbayv1.Owner, now time.Time) *patchbayv1.Hold {
	i := slices.IndexFunc(h.GetOwners(), func(o *patchbayv1.Owner) bool { return same(o, owner) })
	if i < 0 {
		return h
	}
	next := proto.CloneOf(h)
	next.Owners = slices.Delete(next.Owners, i, i+1)
	next.Fact, next.At = Freed, timestamppb.New(now)
	return next
}

func same(a, b *patchbayv1.Owner) bool {
	return a.GetId() == b.GetId() && a.GetNoun() == b.GetNoun() && a.GetLeg() == b.GetLeg() &&
		a.GetInner() == b.GetInner()
}

// A Ledger takes and frees holds in a journal on behalf of one service.
type Ledger struct {
	Journal *journal.Journal
	// By is the service, as in [event.Fact].
	By string
}

// Take takes w for its owner. The fact carries the marks of because: order, cause, trace.
// It returns nil if he has it now, and a [HeldError] if somebody else has it.
func (l Ledger) Take(ctx context.Context, w Want, because event.Fact) error {
	return l.update(ctx, w, because, func(h *patchbayv1.Hold) (*patchbayv1.Hold, error) {
		return Take(h, w, l.Journal.Now())
	})
}

// Peek returns a [HeldError] if somebody else has w, nil if it could be taken now.
func (l Ledger) Peek(ctx context.Context, w Want) error {
	h, _, err := l.last(ctx, w)
	if err != nil {
		return err
	}
	_, err = Take(h, w, l.Journal.Now())
	return err
}

// Free gives w back. It is not an error if the owner does not have it.
func (l Ledger) Free(ctx context.Context, w Want, because event.Fact) error {
	return l.update(ctx, w, because, func(h *patchbayv1.Hold) (*patchbayv1.Hold, error) {
		return Free(h, w.Owner, l.Journal.Now()), nil
	})
}

// update reads, decides and appends until nobody else comes first.
func (l Ledger) update(ctx context.Context, w Want, because event.Fact, decide func(*patchbayv1.Hold) (*patchbayv1.Hold, error)) error {
	for {
		h, last, err := l.last(ctx, w)
		if err != nil {
			return err
		}
		next, err := decide(h)
		if err != nil || next == h {
			return err
		}
		_, err = l.Journal.Append(ctx, last, event.Fact{
			Entity: w.entity(), Name: next.GetFact(), Data: next, By: l.By,
			Cause: because.Cause, Order: because.Order, Exchange: because.Exchange, Origin: because.Origin,
		})
		if errors.Is(err, journal.ErrLost) {
			continue
		}
		return err
	}
}

// last reads the hold's last fact; nil if there is none.
func (l Ledger) last(ctx context.Context, w Want) (*patchbayv1.Hold, journal.Record, error) {
	rec, err := l.Journal.Last(ctx, w.entity())
	if err != nil || rec.None() {
		return nil, rec, wrap(w, err)
	}
	h := new(patchbayv1.Hold)
	return h, rec, wrap(w, rec.Into(h))
}

func wrap(w Want, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("hold %s: %w", w.Key, err)
}
