package invariants

import (
	"fmt"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// asking is a leg that has asked the exchange for something scarce and may have a circuit
// on it.
type asking struct {
	inner      int32
	connection string
}

// scarce is a tag on a port or a service token; of a tag either the whole or what has an
// inner tag.
type scarce struct {
	key   string
	inner int32
}

// follow follows, fact by fact, who has asked for what: while a leg of an order may have a
// circuit on a tag or with a token, no other order asks for it. And while nobody knows what
// has become of a request of PacketFabric, no other goes out that looks like it.
func (s *Story) follow(e event.Entity) {
	switch e.Noun {
	case event.Order:
		o := s.Order(e.ID)
		for _, l := range o.GetLegs() {
			switch o.GetKind() {
			case "create":
				s.ask(o, l)
			case "change":
				s.retag(o, l)
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

// sides are the ends of a leg.
func sides(o *patchbayv1.Order, leg string) (a, z *patchbayv1.Endpoint, mbps int32) {
	full := intent.Expand(o.GetCreate())
	l := full.GetPrimary()
	if leg == "secondary" {
		l = full.GetSecondary()
	}
	return l.GetASide(), l.GetZSide(), full.GetBandwidthMbps()
}

func tagOn(exchange, port string, t *patchbayv1.Tag) scarce {
	outer, inner := hold.OuterInner(t)
	return scarce{hold.TagKey(exchange, port, outer), inner}
}

// needs is what a leg of a create asks for, but for a tag that a change has replaced.
func (s *Story) needs(o *patchbayv1.Order, leg string) []scarce {
	var all []scarce
	a, z, _ := sides(o, leg)
	for i, e := range []*patchbayv1.Endpoint{a, z} {
		if e.GetPortId() != "" && (i > 0 || !s.retagged[o.GetId()+"/"+leg]) {
			all = append(all, tagOn(o.GetExchange(), e.GetPortId(), e.GetTag()))
		}
		if e.GetServiceToken() != "" {
			all = append(all, scarce{key: "token " + e.GetServiceToken()})
		}
	}
	return all
}

func (s *Story) ask(o *patchbayv1.Order, l *patchbayv1.OrderLeg) {
	who, at := o.GetId()+"/"+l.GetLeg(), l.GetState()
	open := at == order.Placing || at == order.Uncertain
	over := s.ended(l.GetConnectionId()) || at == order.Failed && l.GetExchangeId() == ""
	for _, n := range s.needs(o, l.GetLeg()) {
		switch {
		case over:
			delete(s.asked[n.key], who)
		case open || at == order.Placed:
			s.enter(who, n, asking{n.inner, l.GetConnectionId()}, at == order.Placing)
		}
	}
	if _, z, mbps := sides(o, l.GetLeg()); z.GetRoutingId() != "" {
		like := scarce{key: "a request to " + z.GetRoutingId() + " in " + z.GetMarket() + " of " + fmt.Sprint(mbps)}
		if open {
			s.enter(who, like, asking{}, at == order.Placing)
		} else {
			delete(s.asked[like.key], who)
		}
	}
}

// enter notes that somebody asks for n; if he does so just now, nobody else may have it.
func (s *Story) enter(who string, n scarce, a asking, now bool) {
	if s.asked[n.key] == nil {
		s.asked[n.key] = map[string]asking{}
	}
	for other, b := range s.asked[n.key] {
		if now && other != who && (b.inner == n.inner || b.inner == 0 || n.inner == 0) {
			s.violate("5: %s asks for %s, which %s has", who, n.key, other)
		}
	}
	s.asked[n.key][who] = a
}

// retag follows a change of a tag, which the order that made the circuit asks for.
func (s *Story) retag(o *patchbayv1.Order, l *patchbayv1.OrderLeg) {
	target := s.Order(o.GetTargetOrderId())
	tag := o.GetChange().GetSet().GetTag()
	if tag == nil || target.GetCreate() == nil {
		return
	}
	who := target.GetId() + "/" + l.GetLeg()
	a, _, _ := sides(target, l.GetLeg())
	old, next := tagOn(target.GetExchange(), a.GetPortId(), a.GetTag()), tagOn(target.GetExchange(), a.GetPortId(), tag)
	switch l.GetState() {
	case order.Placing, order.Uncertain, order.Placed:
		if !s.ended(l.GetConnectionId()) {
			s.enter(who, next, asking{next.inner, l.GetConnectionId()}, l.GetState() == order.Placing)
		}
	case order.Completed:
		s.retagged[who] = true
		if old != next {
			delete(s.asked[old.key], who)
		}
	case order.Failed:
		if old != next {
			delete(s.asked[next.key], who)
		}
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
			if end.GetKind() == hold.Lookalike && s.Order(o.GetId()).GetOutcome() != "" {
				s.violate("5: %s is still held by order %s, which has ended", end.GetKey(), o.GetId())
			}
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
