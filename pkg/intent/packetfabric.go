package intent

import (
	"fmt"
	"slices"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Limits of PacketFabric: VLANs 1 to 3 are its own.
var packetFabricTags = [2]int32{4, 4094}

// packetFabricSpeeds are the speeds one can order, in Mbit/s: the API's own list of words,
// from 50Mbps to 100Gbps.
var packetFabricSpeeds = []int32{
	50, 100, 200, 300, 400, 500, 1000, 2000, 5000,
	10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 80_000, 100_000,
}

func (c *apiChecker) packetFabricCreate(m *patchbayv1.CreateIntent) {
	const fabric = "it is Equinix Fabric's; leave it out"
	c.absent(
		field{"purchaseOrder", m.GetPurchaseOrder(), "a new circuit has none; write it into description"},
		field{"customerReference", m.GetCustomerReference(), "write it into description"},
		field{"projectId", m.GetProjectId(), fabric},
	)
	c.packetFabricBilling(m)
	for _, l := range legsOf(m) {
		c.packetFabricEnds(l)
		own := l.z.is.GetPortId() != ""
		if own && l.a.is.GetTag() == nil && l.z.is.GetTag() == nil {
			continue // it takes both ports whole
		}
		c.packetFabricTag(l.a)
		c.packetFabricTag(l.z)
		if own && l.a.is.GetTag().GetUntagged() && l.z.is.GetTag().GetUntagged() {
			c.add(l.z.at("tag")+".untagged", "true", "a tag on one side at least",
				"two untagged ends are no EVPL; give one a vlan, or leave both tags out and take the ports whole")
		}
	}
}

// packetFabricEnds refuses what only the Equinix APIs have.
func (c *apiChecker) packetFabricEnds(l ends) {
	const (
		tokens   = "order through an account with api: fabric"
		profiles = "name the other customer by routingId and market, or order through an account at Equinix"
	)
	c.absent(
		field{l.a.at("serviceToken"), l.a.is.GetServiceToken(), tokens},
		field{l.z.at("serviceToken"), l.z.is.GetServiceToken(), tokens},
		field{l.z.at("profileId"), l.z.is.GetProfileId(), profiles},
		field{l.z.at("region"), l.z.is.GetRegion(), "leave it out"},
		field{l.z.at("authorizationKey"), l.z.is.GetAuthorizationKey(), "leave it out"},
		field{l.z.at("peering"), l.z.is.GetPeering(), "leave it out"},
		field{l.z.at("cTag"), text(cTagOf(l.z.is)), "leave it out"},
		field{l.z.at("metro"), l.z.is.GetMetro(), "PacketFabric has markets, and a port is in one"},
	)
}

// packetFabricTag: a VLAN, an outer tag around it on an ENNI port, or none by will.
func (c *apiChecker) packetFabricTag(e end) {
	t := e.is.GetTag()
	switch {
	case e.is.GetPortId() == "":
		return
	case t == nil:
		c.add(e.path+".tag", "", required, `a vlan, an sTag with a cTag on an ENNI port, or {"untagged": true}`)
	case t.STag != nil && t.CTag == nil:
		c.add(e.at("tag")+".cTag", "", required, "on an ENNI port the sTag is the svlan and the cTag the vlan within")
	}
	c.numbers(e.at("tag"), t, packetFabricTags)
}

// packetFabricBilling: who pays, and how fast. Flex bandwidth is paid for already, and where
// it or usage is billed the speed is no more than a limit.
func (c *apiChecker) packetFabricBilling(m *patchbayv1.CreateIntent) {
	b := m.GetBilling()
	flex := b.GetFlexBandwidthId() != ""
	if flex {
		for _, f := range []field{
			{"billing.accountId", b.GetAccountId(), ""}, {"billing.longhaul", b.GetLonghaul(), ""},
			{"billing.termMonths", text(termOf(b)), ""},
		} {
			if f.value != "" {
				c.add(f.path, shown(f.path, f.value), "absent beside flexBandwidthId", "flex bandwidth is paid for already")
			}
		}
	} else if b.GetAccountId() == "" {
		c.add("billing.accountId", "", required, "PacketFabric's billing account; or flexBandwidthId, for what is paid for already")
	}
	switch {
	case m.BandwidthMbps == nil:
		c.add("bandwidthMbps", "", required, packetFabricSpeedHint())
	case !flex && b.GetLonghaul() != "usage":
		c.packetFabricSpeed(m.GetBandwidthMbps())
	}
}

func termOf(b *patchbayv1.Billing) *int32 {
	if b == nil {
		return nil
	}
	return b.TermMonths
}

func (c *apiChecker) packetFabricSpeed(mbps int32) {
	if !slices.Contains(packetFabricSpeeds, mbps) {
		c.add("bandwidthMbps", fmt.Sprint(mbps), "a speed that PacketFabric sells", packetFabricSpeedHint())
	}
}

func packetFabricSpeedHint() string {
	var list []string
	for _, n := range packetFabricSpeeds {
		list = append(list, fmt.Sprint(n))
	}
	return "one of " + strings.Join(list, ", ") + " Mbit/s"
}

// packetFabricChange: PATCH takes a description, rate limits and interfaces.
func (c *apiChecker) packetFabricChange(s *patchbayv1.ChangeSet) {
	const hint = "PacketFabric changes name, bandwidthMbps and tag only"
	c.absent(field{"set.termMonths", text(s.TermMonths), hint})
	if len(s.GetNotifications()) > 0 {
		c.add("set.notifications", "", "absent: PacketFabric v2 has no such field", hint)
	}
	if t := s.GetTag(); t != nil {
		c.numbers("set.tag", t, packetFabricTags)
		if t.STag != nil && t.CTag == nil {
			c.add("set.tag.cTag", "", required, "on an ENNI port the sTag is the svlan and the cTag the vlan within")
		}
	}
}
