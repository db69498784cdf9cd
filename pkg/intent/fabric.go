package intent

import (
	"fmt"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Limits of Fabric v4. Of tags the specification says 2 to 4092 and the guide 4094; the
// numbers between are refused, which is always safe.
var fabricTags = [2]int32{2, 4092}

// fabricEmails is how many addresses one entry of notifications may have.
const fabricEmails = 12

func (c *apiChecker) fabricCreate(m *patchbayv1.CreateIntent) {
	const packetFabric = "it is PacketFabric's; leave it out"
	c.absent(
		field{"billing.accountId", m.GetBilling().GetAccountId(), packetFabric},
		field{"billing.longhaul", m.GetBilling().GetLonghaul(), packetFabric},
		field{"billing.flexBandwidthId", m.GetBilling().GetFlexBandwidthId(), packetFabric},
		field{"description", m.GetDescription(), "leave it out, or write it into customerReference"},
	)
	if m.BandwidthMbps == nil {
		c.add("bandwidthMbps", "", required, "Fabric v4 asks for a bandwidth in each order, in Mbit/s")
	}
	c.fabricNotifications("notifications", m.GetNotifications())
	for _, l := range legsOf(m) {
		for _, f := range []struct{ name, value string }{
			{"routingId", l.z.is.GetRoutingId()}, {"market", l.z.is.GetMarket()}, {"serviceId", l.z.is.GetServiceId()},
		} {
			c.absent(field{l.z.at(f.name), f.value, packetFabric})
		}
		c.absent(field{l.z.at("cTag"), text(cTagOf(l.z.is)), "the seller chooses the tags on his side; leave it out"})
		c.fabricTags(l)
	}
}

func cTagOf(e *patchbayv1.Endpoint) *int32 {
	if e == nil {
		return nil
	}
	return e.CTag
}

// fabricNotifications: up to twelve recipients an entry.
func (c *apiChecker) fabricNotifications(path string, all []*patchbayv1.Notification) {
	for i, n := range all {
		if len(n.GetEmails()) > fabricEmails {
			c.add(fmt.Sprintf("%s[%d].emails", path, i), fmt.Sprintf("%d addresses", len(n.GetEmails())),
				fmt.Sprintf("at most %d addresses", fabricEmails), "write the rest as another entry with the same type")
		}
	}
}

// fabricTags checks the tags of a leg against each other. Whether a circuit to or from a
// service token has tags, the token says.
func (c *apiChecker) fabricTags(l ends) {
	a, z := l.a.is, l.z.is
	c.numbers(l.a.at("tag"), a.GetTag(), fabricTags)
	c.numbers(l.z.at("tag"), z.GetTag(), fabricTags)
	for _, e := range []end{l.a, l.z} {
		if e.is.GetTag().GetUntagged() {
			c.add(e.at("tag")+".untagged", "true", "absent: Fabric v4 tags each circuit that is no EPL",
				"for an EPL give both sides a portId and no tag at all")
			return
		}
	}
	own := a.GetPortId() != "" && z.GetPortId() != ""
	switch {
	case namedTwice(a), namedTwice(z): // which of the two is meant decides about tags
	case own && (a.GetTag() == nil) != (z.GetTag() == nil):
		c.lonelyTag(l)
	case own && a.GetTag() != nil:
		c.fabricTable(l)
	case a.GetPortId() != "" && a.GetTag() == nil && z.GetProfileId() != "":
		c.add(l.a.path+".tag", "", required, "a vlan on a Dot1q port, an sTag on a QinQ port")
	}
}

// namedTwice reports whether an end has a port and a token, which is a violation by itself.
func namedTwice(e *patchbayv1.Endpoint) bool { return e.GetPortId() != "" && e.GetServiceToken() != "" }

// lonelyTag reports the side that lacks the tag that the other has.
func (c *apiChecker) lonelyTag(l ends) {
	without := l.a
	if l.z.is.GetTag() == nil {
		without = l.z
	}
	c.add(without.path+".tag", "", required, "the other side has one; an EPL has none on either side")
}

// fabricTable is the specification's own: which tags go with which between own ports.
//
//	A      Z      A side        Z side
//	Dot1q  Dot1q  vlan          vlan
//	Dot1q  QinQ   vlan          sTag and cTag
//	QinQ   Dot1q  sTag and cTag vlan
//	QinQ   QinQ   sTag          sTag
func (c *apiChecker) fabricTable(l ends) {
	a, z := l.a.is.GetTag(), l.z.is.GetTag()
	for _, side := range []struct {
		end
		other *patchbayv1.Tag
	}{{l.a, z}, {l.z, a}} {
		t := side.is.GetTag()
		path := side.at("tag") + ".cTag"
		switch {
		case t.STag == nil:
		case side.other.STag != nil && t.CTag != nil:
			c.add(path, text(t.CTag), "absent: QinQ to QinQ takes no inner tag", "leave it out on both sides")
		case side.other.Vlan != nil && t.CTag == nil:
			c.add(path, "", required, "between a QinQ and a Dot1q port the QinQ side has an inner tag too")
		}
	}
}

// fabricChange: PATCH takes name, bandwidth, term and notifications. A port can be moved by
// it, a tag on its own not.
func (c *apiChecker) fabricChange(s *patchbayv1.ChangeSet) {
	if s.GetTag() != nil {
		c.add("set.tag", tagText(s.GetTag()), "absent: Fabric v4 cannot change a tag", "order another circuit, and delete this one")
	}
	c.fabricNotifications("set.notifications", s.GetNotifications())
}
