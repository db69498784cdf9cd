package provisioner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/hold"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// A request is what a circuit wants of the place where it lands.
type request struct {
	metro string
	// encapsulation is dot1q, qinq or untagged; empty if any will do.
	encapsulation string
	// inner tag that the buyer asks for, nil if none; gives says that the seller has to
	// give one on a QinQ port then.
	inner *int32
	gives bool
	// secondary of a pair, whose primary landed on one of the ports in avoid.
	secondary bool
	avoid     []string
}

func requestOf(c *patchbayv1.Connection) request {
	z := c.GetZSide()
	r := request{
		metro: z.GetMetro(), encapsulation: z.GetEncapsulation(), secondary: c.GetRedundancy() == exchange.Secondary,
	}
	if r.metro == "" {
		r.metro = c.GetASide().GetMetro() // what an absent metro means in an order
	}
	if t := z.GetTag(); t != nil {
		r.inner = t.CTag
	}
	return r
}

// giveInner lets the seller give the inner tag of a request whose buyer is on one tag, as
// Fabric wants it on a QinQ port: there the buyer cannot name one to a profile. It is the
// buyer's own VLAN where that is shown, as in Equinix' sample of an acceptance, and else
// the same number as the outer one, which is ours alone.
func (r request) giveInner(a *patchbayv1.Side) request {
	if r.inner == nil && (a.GetEncapsulation() == string(account.Dot1q) || a.GetTag().GetVlan() != 0) {
		r.gives = true
		if t := a.GetTag(); t != nil {
			r.inner = t.Vlan
		}
	}
	return r
}

// innerOn is the inner tag on a spot.
func (r request) innerOn(s spot) *int32 {
	if r.inner == nil && r.gives {
		return proto.Int32(s.outer)
	}
	return r.inner
}

// A place is a port on which a rule lets circuits land.
type place struct {
	port string
	rule account.Landing
}

// places returns where a request may land, best first: rules and their ports in the order
// written, but a secondary begins with the second port, and ends with those that its
// primary landed on. The words say why there is none.
func places(rules []account.Landing, ports []exchange.Port, r request) ([]place, string) {
	var found []place
	var missing []string
	fits := 0
	for _, rule := range rules {
		if rule.Place() != r.metro || r.encapsulation != "" && string(rule.Encapsulation) != r.encapsulation {
			continue
		}
		fits++
		for _, id := range inOrder(rule.Ports, r) {
			if !usable(ports, id, rule) {
				missing = append(missing, id)
				continue
			}
			found = append(found, place{id, rule})
		}
	}
	switch {
	case len(found) > 0:
		return found, ""
	case fits == 0:
		return nil, fmt.Sprintf("no landing rule for metro %s with encapsulation %s", r.metro, orAny(r.encapsulation))
	}
	return nil, fmt.Sprintf("no port of the landing rules for metro %s with encapsulation %s is at the exchange as the rules say: %s",
		r.metro, orAny(r.encapsulation), strings.Join(missing, ", "))
}

func orAny(encapsulation string) string {
	if encapsulation == "" {
		return "of any kind"
	}
	return encapsulation
}

// inOrder are the ports of a rule in the order in which a request tries them, each in the one
// spelling of its id, which a person may have written otherwise.
func inOrder(written []string, r request) []string {
	var ports []string
	for _, id := range written {
		ports = append(ports, event.CanonicalID(id))
	}
	if !r.secondary || len(ports) == 0 {
		return ports
	}
	rotated := slices.Concat(ports[1:], ports[:1])
	slices.SortStableFunc(rotated, func(a, b string) int {
		return rank(r.avoid, a) - rank(r.avoid, b)
	})
	return rotated
}

func rank(avoid []string, port string) int {
	if slices.Contains(avoid, port) {
		return 1
	}
	return 0
}

func usable(ports []exchange.Port, id string, rule account.Landing) bool {
	return slices.ContainsFunc(ports, func(p exchange.Port) bool {
		return p.ID == id && (p.Metro == "" || p.Metro == rule.Place()) && carries(p, rule)
	})
}

// carries reports whether a port takes circuits of a rule's encapsulation. At PacketFabric,
// whose landings have a market, a port with tags takes one circuit without.
func carries(p exchange.Port, rule account.Landing) bool {
	beside := rule.Market != "" && rule.Encapsulation == account.Untagged && p.Encapsulation == string(account.Dot1q)
	return p.Encapsulation == "" || p.Encapsulation == string(rule.Encapsulation) || beside
}

// spot is one outer tag on one port; 0 is none.
type spot struct {
	place
	outer int32
}

func (s spot) String() string { return fmt.Sprintf("%s/%d", s.port, s.outer) }

// pick returns the first spot that is not taken.
func pick(where []place, taken func(port string, outer int32) bool) (spot, bool) {
	for _, p := range where {
		if p.rule.Encapsulation == account.Untagged && !taken(p.port, 0) {
			return spot{p, 0}, true
		}
		for tag := range p.rule.Tags.All() {
			if !taken(p.port, int32(tag)) {
				return spot{p, int32(tag)}, true
			}
		}
	}
	return spot{}, false
}

// reserve is l on a spot, with an inner tag where one is wanted.
func reserve(l *patchbayv1.Landing, s spot, inner *int32, at time.Time) *patchbayv1.Landing {
	n := following(l, reserved, at)
	n.PortId, n.Metro, n.Encapsulation = s.port, s.rule.Place(), string(s.rule.Encapsulation)
	switch s.rule.Encapsulation {
	case account.QinQ:
		n.Tag = &patchbayv1.Tag{STag: proto.Int32(s.outer), CTag: inner}
	case account.Untagged:
		n.Tag = &patchbayv1.Tag{Untagged: true}
	default:
		n.Tag = &patchbayv1.Tag{Vlan: proto.Int32(s.outer)}
	}
	n.HoldId = event.HoldID(hold.Tag, hold.TagKey(l.GetExchange(), s.port, s.outer))
	n.Wait = &patchbayv1.Wait{What: "the hold on " + s.String(), On: name, Since: timestamppb.New(at)}
	return n
}

// tried notes that what l reserved is taken by somebody else.
func tried(l *patchbayv1.Landing) *patchbayv1.Landing {
	n := proto.CloneOf(l)
	n.Taken = append(n.Taken, spotName(l))
	n.PortId, n.Tag, n.HoldId = "", nil, ""
	return n
}

func spotName(l *patchbayv1.Landing) string {
	outer, _ := hold.OuterInner(l.GetTag())
	return fmt.Sprintf("%s/%d", l.GetPortId(), outer)
}

// nowhere is l when there is no port, or no tag, to land on.
func nowhere(l *patchbayv1.Landing, reason, message string, at time.Time) *patchbayv1.Landing {
	n := following(l, failed, at)
	n.PortId, n.Tag, n.HoldId = "", nil, ""
	n.Failure = &patchbayv1.Failure{Reason: reason, Message: message}
	n.Wait = forPerson(at, message+"; add a rule, ports or tags to the landing of account "+l.GetAccount()+
		", or reject the request; Patchbay looks again by itself")
	return n
}

// full says that no tag is left.
func full(where []place, r request) string {
	var tags []string
	for _, p := range where {
		tags = append(tags, strings.TrimSpace(p.port+" "+cmp.Or(p.rule.Tags.String(), string(p.rule.Encapsulation))))
	}
	return fmt.Sprintf("no tag left of the landing rules for metro %s with encapsulation %s: %s",
		r.metro, orAny(r.encapsulation), strings.Join(tags, "; "))
}

// sameFailure reports whether two failures say the same, so that saying it again would
// only make the journal longer.
func sameFailure(a, b *patchbayv1.Landing) bool {
	return a.GetFact() == failed && b.GetFact() == failed && a.GetKind() == b.GetKind() &&
		a.GetApprovalDigest() == b.GetApprovalDigest() && proto.Equal(a.GetFailure(), b.GetFailure())
}
