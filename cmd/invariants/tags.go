package invariants

import (
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// asking is a leg that has asked the exchange for a tag and may have a circuit on it.
type asking struct {
	inner      int32
	connection string
}

// follow follows, fact by fact, who has asked for which tag: while a leg of an order may
// have a circuit on a tag, no other order asks for it.
func (s *Story) follow(e event.Entity) {
	switch e.Noun {
	case event.Order:
		if o := s.Order(e.ID); o.GetKind() == "create" {
			for _, l := range o.GetLegs() {
				s.ask(o, l)
			}
		}
	case event.Connection:
		if s.ended(e.ID) {
			for _, legs := range s.asked {
				for who, a := range legs {
					if a.connection == e.ID {
						delete(legs, who)
					}
				}
			}
		}
	default:
	}
}

func (s *Story) ask(o *patchbayv1.Order, l *patchbayv1.OrderLeg) {
	side := o.GetCreate().GetPrimary().GetASide()
	if l.GetLeg() == "secondary" {
		side = o.GetCreate().GetSecondary().GetASide()
	}
	outer, inner := hold.OuterInner(side.GetTag())
	key := hold.TagKey(o.GetExchange(), side.GetPortId(), outer)
	who := o.GetId() + "/" + l.GetLeg()
	if s.asked[key] == nil {
		s.asked[key] = map[string]asking{}
	}
	switch at := l.GetState(); {
	case s.ended(l.GetConnectionId()), at == order.Failed && l.GetExchangeId() == "":
		delete(s.asked[key], who)
	case at == order.Placing, at == order.Uncertain, at == order.Placed:
		for other, a := range s.asked[key] {
			if other != who && (a.inner == inner || a.inner == 0 || inner == 0) && at == order.Placing {
				s.violate("5: %s asks for %s, which %s has", who, key, other)
			}
		}
		s.asked[key][who] = asking{inner, l.GetConnectionId()}
	}
}

// ended reports whether a connection is known and has ended.
func (s *Story) ended(connection string) bool {
	t := s.Connection(connection)
	return t != nil && status.Status(t.GetTo().GetStatus()).Ended()
}

// checkHolds: a tag has one owner of the whole, or owners of different inner tags; and
// nobody holds what he has no circuit for, and will not get one.
func (s *Story) checkHolds() {
	for _, facts := range s.Holds {
		for _, h := range facts {
			inner := map[int32]bool{}
			for _, o := range h.GetOwners() {
				if inner[o.GetInner()] || (o.GetInner() == 0 && len(h.GetOwners()) > 1) {
					s.violate("5: %s has owners %v", h.GetKey(), h.GetOwners())
				}
				inner[o.GetInner()] = true
			}
		}
		end := last(facts)
		for _, o := range end.GetOwners() {
			if !s.entitled(o) {
				s.violate("5: %s is still held by %s %s %s, which has no circuit", end.GetKey(), o.GetNoun(), o.GetId(), o.GetLeg())
			}
		}
	}
}

// entitled reports whether an owner has a circuit, or may get one.
func (s *Story) entitled(owner *patchbayv1.Owner) bool {
	id := owner.GetId()
	if owner.GetNoun() == string(event.Order) {
		o := s.Order(id)
		if o == nil {
			return false
		}
		for _, l := range o.GetLegs() {
			if l.GetLeg() == owner.GetLeg() {
				id = l.GetConnectionId()
			}
		}
		if o.GetOutcome() == "" && s.Connection(id) == nil {
			return true // it is on its way
		}
	}
	return s.Connection(id) != nil && !s.ended(id)
}
