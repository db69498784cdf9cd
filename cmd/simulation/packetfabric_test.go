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

// packetFabricCreate returns the n-th create of a world, at PacketFabric: a request to the
// seller, or a circuit between two ports of our own. Requests in one market look alike.
func (w *world) packetFabricCreate(n int, pair bool, seller string) wish {
	name := fmt.Sprintf("%s-%d", seller, n)
	in := &patchbayv1.CreateIntent{
		Account: "acme-packetfabric", Name: name, BandwidthMbps: proto.Int32(int32(50 * (1 + w.pick(2)))),
		Billing:       &patchbayv1.Billing{AccountId: billingAccount, TermMonths: proto.Int32(1)},
		Notifications: []*patchbayv1.Notification{{Emails: []string{"john.doe@example.com"}}},
		Primary: &patchbayv1.Leg{
			ZSide: &patchbayv1.Endpoint{RoutingId: sellersRouting, Market: marketOf(seller)},
		},
	}
	c := wish{id: fmt.Sprintf("create-%d", n), kind: "create", data: in}
	if w.chance(4) {
		in.Billing = &patchbayv1.Billing{FlexBandwidthId: flexBandwidth}
	}
	if w.chance(3) {
		in.Primary.ZSide.ServiceId = backupService
	}
	enni, untagged := w.chance(3), w.chance(6)
	side := func(leg int) *patchbayv1.Endpoint {
		tag := int32(100 + 2*n + leg)
		switch {
		case untagged:
			return &patchbayv1.Endpoint{PortId: aPort("NYC", false, 1+leg), Tag: &patchbayv1.Tag{Untagged: true}}
		case enni:
			return &patchbayv1.Endpoint{PortId: aPort("NYC", true, 1+leg), Tag: &patchbayv1.Tag{STag: &tag, CTag: &tag}}
		}
		return &patchbayv1.Endpoint{PortId: aPort("NYC", false, 1+leg), Tag: &patchbayv1.Tag{Vlan: &tag}}
	}
	in.Primary.ASide = side(0)
	own := w.chance(4)
	if own {
		in.Primary.ZSide = &patchbayv1.Endpoint{PortId: aPort("CHI", false, 1), Tag: ways()[0].tag(100 + 2*n)}
	}
	if pair {
		in.Secondary = &patchbayv1.Leg{Name: name + "-2", ASide: side(1)}
		if own {
			in.Secondary.ZSide = &patchbayv1.Endpoint{PortId: aPort("CHI", false, 2), Tag: ways()[0].tag(101 + 2*n)}
		}
	}
	c.late = untagged
	return c
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
