package simulation

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// What we buy with and from whom at PacketFabric.
const (
	billingAccount = "b2af000f-d15f-4413-9645-6f566e641c29"
	flexBandwidth  = "PF-FB-1000001"
	sellersRouting = "TR-1RI-OQ85"
	backupService  = "c10f0000-0000-4000-8000-0000000000f2"
)

// marketOf is where the seller does what the name of a circuit asks for: a request shows
// no name.
func marketOf(seller string) string {
	return map[string]string{approved: "NYC", rejected: "CHI", asked: "ATL", expiring: "LAX"}[seller]
}

// aPort is the n-th port of ours in a market, or the n-th ENNI port.
func aPort(market string, enni bool, n int) string {
	kind := 1
	if enni {
		kind = 9
	}
	return fmt.Sprintf("PF-AP-%s1-1%d0000%d", market, kind, n)
}

// manner is how a circuit at PacketFabric is ordered; the zero manner is a request with a
// VLAN, at 50 Mbit/s, on the bill.
type manner struct {
	pair, own, enni, untagged, flex, service bool
	fast                                     int // more steps of 50 Mbit/s
}

// packetFabricCreate returns the n-th create of a world, at PacketFabric: a request to the
// seller, or a circuit between two ports of our own. Requests in one market look alike.
func (w *world) packetFabricCreate(n int, pair bool, seller string) wish {
	return atPacketFabric(n, seller, manner{
		pair: pair, own: w.chance(4), enni: w.chance(3), untagged: w.chance(6), flex: w.chance(4), service: w.chance(3),
		fast: w.pick(2),
	})
}

func atPacketFabric(n int, seller string, m manner) wish {
	name := fmt.Sprintf("%s-%d", seller, n)
	in := &patchbayv1.CreateIntent{
		Account: "acme-packetfabric", Name: name, BandwidthMbps: proto.Int32(int32(50 * (1 + m.fast))),
		Billing:       &patchbayv1.Billing{AccountId: billingAccount, TermMonths: proto.Int32(1)},
		Notifications: []*patchbayv1.Notification{{Emails: []string{"john.doe@example.com"}}},
		Primary: &patchbayv1.Leg{
			ASide: m.aSide(n, 0), ZSide: &patchbayv1.Endpoint{RoutingId: sellersRouting, Market: marketOf(seller)},
		},
	}
	if m.pair {
		in.Secondary = &patchbayv1.Leg{Name: name + "-2", ASide: m.aSide(n, 1)}
	}
	if m.flex {
		in.Billing = &patchbayv1.Billing{FlexBandwidthId: flexBandwidth}
	}
	if m.service {
		in.Primary.ZSide.ServiceId = backupService
	}
	if m.own {
		for i, l := range []*patchbayv1.Leg{in.Primary, in.Secondary} {
			if l != nil {
				l.ZSide = &patchbayv1.Endpoint{PortId: aPort("CHI", false, 1+i), Tag: ways()[0].tag(100 + 2*n + i)}
			}
		}
	}
	return wish{id: fmt.Sprintf("create-%d", n), kind: "create", data: in, late: m.untagged}
}

// aSide is where a leg, 0 or 1, begins.
func (m manner) aSide(n, leg int) *patchbayv1.Endpoint {
	tag := int32(100 + 2*n + leg)
	e := &patchbayv1.Endpoint{PortId: aPort("NYC", m.enni && !m.untagged, 1+leg)}
	switch {
	case m.untagged:
		e.Tag = &patchbayv1.Tag{Untagged: true}
	case m.enni:
		e.Tag = &patchbayv1.Tag{STag: &tag, CTag: &tag}
	default:
		e.Tag = &patchbayv1.Tag{Vlan: &tag}
	}
	return e
}

// packetFabricChange is a change that PacketFabric makes: of the tag only where there is
// one circuit, and a VLAN alone.
func packetFabricChange(s *patchbayv1.ChangeSet, n int, in *patchbayv1.CreateIntent) {
	vlan := in.GetPrimary().GetASide().GetTag().GetVlan()
	switch {
	case n%3 == 0:
		s.Name = in.GetName() + "-new"
	case n%3 == 1 || in.GetSecondary() != nil || vlan == 0:
		s.BandwidthMbps = proto.Int32(200)
	default:
		s.Tag = &patchbayv1.Tag{Vlan: proto.Int32(vlan + 1000)}
	}
}
