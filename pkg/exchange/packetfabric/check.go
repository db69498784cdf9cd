package packetfabric

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// checker holds one intent against facts. It asks nobody.
type checker struct {
	facts
	in    *patchbayv1.CreateIntent
	found []*patchbayv1.Violation
}

// check returns every rule that the intent breaks at this exchange. What needs no
// exchange, such as the form of names and addresses, package intent has checked.
func check(in *patchbayv1.CreateIntent, f facts) []*patchbayv1.Violation {
	c := &checker{facts: f, in: in}
	c.foreign()
	for _, l := range legsOf(in) {
		c.foreignEnds(l)
		c.aSide(l)
		c.zSide(l)
	}
	c.bandwidth()
	c.billing()
	return c.found
}

// violate notes a violation, once.
func (c *checker) violate(field string, value any, rule, hint string) {
	c.found = wire.Violate(c.found, &patchbayv1.Violation{Field: field, Rule: rule, Hint: hint}, value)
}

// absent is the rule that a field of other exchanges breaks.
const absent = "absent: PacketFabric has no such field"

// foreign refuses what PacketFabric has no place for.
func (c *checker) foreign() {
	for _, f := range []struct{ field, value string }{
		{"purchaseOrder", c.in.GetPurchaseOrder()},
		{"customerReference", c.in.GetCustomerReference()},
		{"projectId", c.in.GetProjectId()},
	} {
		if f.value != "" {
			c.violate(f.field, f.value, absent+" in a new circuit", "leave it out")
		}
	}
}

// foreignEnds refuses what only the other exchanges have at the ends of a circuit.
func (c *checker) foreignEnds(l leg) {
	secret := func(s string) string {
		if s == "" {
			return ""
		}
		return wire.Masked
	}
	for _, f := range []struct{ side, name, value string }{
		{"aSide", "serviceToken", secret(l.A.GetServiceToken())},
		{"zSide", "serviceToken", secret(l.Z.GetServiceToken())},
		{"zSide", "profileId", l.Z.GetProfileId()},
		{"zSide", "metro", l.Z.GetMetro()},
		{"zSide", "region", l.Z.GetRegion()},
		{"zSide", "authorizationKey", secret(l.Z.GetAuthorizationKey())},
		{"zSide", "peering", l.Z.GetPeering()},
	} {
		if f.value != "" {
			c.violate(l.Field(f.side, f.name), f.value, absent, "give the other customer's routingId and market, or a port of your own")
		}
	}
	if l.Z != nil && l.Z.CTag != nil {
		c.violate(l.Field("zSide", "cTag"), l.Z.GetCTag(), absent, "the seller chooses the tags of his side; leave it out")
	}
}

// aSide checks the port that the circuit starts from, and its tag.
func (c *checker) aSide(l leg) {
	if l.A.GetPortId() != "" {
		c.end(l, "aSide", l.A)
	}
}

// end checks a port of the account and its tag. A circuit between two ports may take both
// whole, without tags.
func (c *checker) end(l leg, side string, e *patchbayv1.Endpoint) {
	p := c.port(e.GetPortId())
	if p == nil {
		c.violate(l.Field(side, "portId"), e.GetPortId(), "a port of this account", c.knownPorts())
	}
	t := e.GetTag()
	if t == nil {
		if !l.ownPort() || l.A.GetTag() != nil || l.Z.GetTag() != nil {
			c.violate(l.Which+"."+side+".tag", nil, "a tag", tagHint(p))
		}
		return
	}
	path := l.Field(side, "tag")
	numbers := false
	for _, n := range []struct {
		name  string
		value *int32
	}{{"vlan", t.Vlan}, {"sTag", t.STag}, {"cTag", t.CTag}} {
		if n.value != nil && (*n.value < minTag || *n.value > maxTag) {
			numbers = true
			c.violate(path+"."+n.name, *n.value, fmt.Sprintf("a number from %d to %d", minTag, maxTag),
				"choose another tag; 1 to 3 are reserved")
		}
	}
	if p == nil || numbers {
		return
	}
	if field, why := wrongTag(t, bool(p.ENNI)); why != "" {
		c.violate(path+field, tagValue(t, field), why, tagHint(p))
	}
}

// wrongTag says what is wrong with a tag on a port, and with which field of it; two empty
// texts if nothing is.
func wrongTag(t *patchbayv1.Tag, enni bool) (field, why string) {
	for _, n := range []*int32{t.Vlan, t.STag, t.CTag} {
		if n != nil && (*n < minTag || *n > maxTag) {
			return "", fmt.Sprintf("a tag is a number from %d to %d", minTag, maxTag)
		}
	}
	tagged := t.Vlan != nil || t.STag != nil || t.CTag != nil
	switch {
	case t.GetUntagged() && tagged:
		return "", "a tag, or untagged, and not both"
	case t.GetUntagged():
		return "", ""
	case !tagged:
		return "", "a tag"
	case enni && t.Vlan != nil:
		return ".vlan", "absent: the port is an ENNI, which has two tags"
	case enni && t.STag == nil:
		return ".sTag", "an S-tag: the port is an ENNI, which has two tags"
	case enni && t.CTag == nil:
		return ".cTag", "a C-tag: the port is an ENNI, and the exchange wants a VLAN inside the S-VLAN"
	case !enni && t.STag != nil:
		return ".sTag", "absent: the port is no ENNI"
	case !enni && t.CTag != nil:
		return ".cTag", "absent: the port is no ENNI"
	}
	return "", ""
}

// tagValue is the value of a field of a tag, for a violation.
func tagValue(t *patchbayv1.Tag, field string) any {
	for name, n := range map[string]*int32{".vlan": t.Vlan, ".sTag": t.STag, ".cTag": t.CTag} {
		if name == field && n != nil {
			return *n
		}
	}
	return nil
}

func (c *checker) port(id string) *port {
	i := slices.IndexFunc(c.ports, func(p port) bool { return string(p.ID) == id })
	if i < 0 {
		return nil
	}
	return &c.ports[i]
}

// knownPorts lists some ports of the account.
func (c *checker) knownPorts() string {
	if len(c.ports) == 0 {
		return "the exchange shows this account no ports"
	}
	var names []string
	for _, p := range c.ports[:min(len(c.ports), 5)] {
		names = append(names, fmt.Sprintf("%s (%s, %s)", p.ID, p.Market, p.encapsulation()))
	}
	if more := len(c.ports) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return "ports of this account: " + strings.Join(names, ", ")
}

func tagHint(p *port) string {
	switch {
	case p == nil:
		return `give {"vlan": n}, {"untagged": true}, or {"sTag": n, "cTag": n} on an ENNI port`
	case bool(p.ENNI):
		return `give {"sTag": n, "cTag": n}`
	}
	return `give {"vlan": n} or {"untagged": true}`
}

// zSide checks where the circuit goes: to another customer, or to a port of one's own.
func (c *checker) zSide(l leg) {
	switch {
	case l.ownPort():
		c.ownTarget(l)
	case l.Z.GetRoutingId() != "":
		c.otherCustomer(l)
	}
}

// ownTarget checks a Z side that is a port of the buyer's own.
func (c *checker) ownTarget(l leg) {
	c.end(l, "zSide", l.Z)
	if l.Z.GetPortId() != l.A.GetPortId() {
		return
	}
	a, z := landOn("", l.A.GetTag()), landOn("", l.Z.GetTag())
	if a == z || a.Untagged && z.Untagged {
		c.violate(l.Field("zSide", "tag"), nil, "another tag than the A side has on the same port", "choose another tag")
	}
}

// otherCustomer checks market, service and routing id of a Z side.
func (c *checker) otherCustomer(l leg) {
	market := strings.ToUpper(l.Z.GetMarket())
	if market != "" && !slices.Contains(c.markets, market) {
		c.violate(l.Field("zSide", "market"), l.Z.GetMarket(), "a market of PacketFabric", "one of "+listed(c.markets))
	}
	if c.offers == nil {
		return
	}
	routing := l.Z.GetRoutingId()
	o := offerByID(c.offers, l.Z.GetServiceId())
	switch {
	case l.Z.GetServiceId() == "":
	case o.ID == "":
		c.violate(l.Field("zSide", "serviceId"), l.Z.GetServiceId(), "a service of the marketplace",
			"the exchange shows this account no such service")
	case o.Routing != "" && string(o.Routing) != routing:
		c.violate(l.Field("zSide", "routingId"), routing, "the routing id of service "+string(o.Name), "it is "+string(o.Routing))
		return
	}
	if tellsRouting(c.offers) && !slices.ContainsFunc(c.offers, func(o offer) bool { return string(o.Routing) == routing }) {
		c.violate(l.Field("zSide", "routingId"), routing, "a routing id of the marketplace",
			"the exchange shows this account no customer with it")
	}
}

// tellsRouting reports whether the marketplace shows routing ids at all.
func tellsRouting(all []offer) bool {
	return slices.ContainsFunc(all, func(o offer) bool { return o.Routing != "" })
}

func listed(codes []string) string {
	codes = slices.Clone(codes)
	slices.Sort(codes)
	return strings.Join(slices.Compact(codes), ", ")
}

// bandwidth checks the speed against what is sold.
func (c *checker) bandwidth() {
	given, counts := c.in.GetBandwidthMbps(), speedCounts(c.in.GetBilling())
	var all []string
	for _, s := range speeds {
		all = append(all, fmt.Sprint(s))
	}
	switch {
	case given <= 0:
		c.violate("bandwidthMbps", nil, "a bandwidth in Mbit/s", "")
	case counts && !sold(given):
		c.violate("bandwidthMbps", given, "a speed that PacketFabric sells", "one of "+strings.Join(all, ", ")+" Mbit/s")
	}
}

// uuidForm is that of a billing account's name.
var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// billing checks how the circuit is paid for: from a billing account, or out of flex
// bandwidth that is paid for already. Which billing accounts there are the API does not tell.
func (c *checker) billing() {
	b := c.in.GetBilling()
	if b.GetFlexBandwidthId() == "" {
		switch id := b.GetAccountId(); {
		case id == "":
			c.violate("billing.accountId", nil, "a billing account, or flex bandwidth", "give accountId or flexBandwidthId")
		case !uuidForm.MatchString(id):
			c.violate("billing.accountId", id, "the uuid of a billing account", "")
		}
		return
	}
	const rule = "absent beside flexBandwidthId, which is paid for already"
	if b.GetAccountId() != "" {
		c.violate("billing.accountId", b.GetAccountId(), rule, "leave one of them out")
	}
	if b.GetLonghaul() != "" {
		c.violate("billing.longhaul", b.GetLonghaul(), rule, "leave one of them out")
	}
	if b.TermMonths != nil {
		c.violate("billing.termMonths", b.GetTermMonths(), rule, "leave one of them out")
	}
}

// flowOf is how the exchange will treat the intent.
func flowOf(legs []leg) string {
	if legs[0].ownPort() {
		return string(status.OwnFlow)
	}
	return string(status.ApprovalFlow)
}
