package ecx

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/equinix"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// facts are what the exchange says about an intent's ports, profiles and keys.
type facts struct {
	ports    []exchange.Port
	profiles map[string]*profile  // nil where the exchange shows none
	keys     map[string]keyAnswer // by leg; absent where none was asked about
}

// checker holds one intent against facts. It asks nobody.
type checker struct {
	facts
	in    *patchbayv1.CreateIntent
	legs  []exchange.Leg
	found []*patchbayv1.Violation
}

// check returns every rule that the intent breaks at this exchange. What needs no
// exchange, such as the form of names and addresses, package intent has checked.
func check(in *patchbayv1.CreateIntent, f facts) []*patchbayv1.Violation {
	c := &checker{facts: f, in: in, legs: exchange.LegsOf(in)}
	c.foreign()
	for _, l := range c.legs {
		c.aSide(l)
		c.zSide(l)
	}
	c.bandwidth()
	c.pair()
	return c.found
}

// violate notes a violation, once.
func (c *checker) violate(field string, value any, rule, hint string) {
	c.found = wire.Violate(c.found, &patchbayv1.Violation{Field: field, Rule: rule, Hint: hint}, value)
}

// blamed reports whether a field has a violation already.
func (c *checker) blamed(field string) bool {
	return slices.ContainsFunc(c.found, func(v *patchbayv1.Violation) bool { return v.GetField() == field })
}

// foreign refuses what only the other exchanges have.
func (c *checker) foreign() {
	const rule = "absent: ECX v3 has no such field"
	b := c.in.GetBilling()
	if b != nil && b.TermMonths != nil {
		c.violate("billing.termMonths", b.GetTermMonths(), rule, "leave it out")
	}
	for _, f := range []struct{ field, value string }{
		{"billing.accountId", b.GetAccountId()}, {"billing.longhaul", b.GetLonghaul()},
		{"billing.flexBandwidthId", b.GetFlexBandwidthId()}, {"description", c.in.GetDescription()},
		{"customerReference", c.in.GetCustomerReference()}, {"projectId", c.in.GetProjectId()},
	} {
		if f.value != "" {
			c.violate(f.field, f.value, rule, "leave it out")
		}
	}
	for _, l := range c.legs {
		for _, f := range []struct{ name, value string }{
			{"routingId", l.Z.GetRoutingId()}, {"market", l.Z.GetMarket()}, {"serviceId", l.Z.GetServiceId()},
		} {
			if f.value != "" {
				c.violate(l.Field("zSide", f.name), f.value, rule, "it is PacketFabric's; leave it out")
			}
		}
		c.noToken(l, "aSide", l.A)
		c.noToken(l, "zSide", l.Z)
	}
}

func (c *checker) noToken(l exchange.Leg, side string, e *patchbayv1.Endpoint) {
	if e.GetServiceToken() != "" {
		c.violate(l.Field(side, "serviceToken"), wire.Masked, "absent: service tokens are not used at ECX v3",
			"order through an account with api: fabric")
	}
}

// aSide checks the port that the circuit starts from, and its tag.
func (c *checker) aSide(l exchange.Leg) {
	if l.A.GetServiceToken() != "" || l.A.GetPortId() == "" {
		return
	}
	p := portByID(c.ports, l.A.GetPortId())
	if p == nil {
		c.violate(l.Field("aSide", "portId"), l.A.GetPortId(), "a port of this account", c.knownPorts())
	}
	c.tag(l, "aSide", l.A.GetTag(), p)
	if zEncap := c.zEncapsulation(l); p != nil && zEncap != "" {
		c.table(l, p.Encapsulation, zEncap)
	}
}

// knownPorts lists some ports of the account.
func (c *checker) knownPorts() string {
	if len(c.ports) == 0 {
		return "the exchange shows this account no ports"
	}
	var names []string
	for _, p := range c.ports[:min(len(c.ports), 5)] {
		names = append(names, fmt.Sprintf("%s (%s, %s)", p.ID, p.Metro, p.Encapsulation))
	}
	if more := len(c.ports) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return "ports of this account: " + strings.Join(names, ", ")
}

// tag checks the form of a tag against the port's encapsulation, and its numbers. The
// port is nil if it is not known.
func (c *checker) tag(l exchange.Leg, side string, t *patchbayv1.Tag, p *exchange.Port) {
	path := l.Field(side, "tag")
	switch {
	case t == nil:
		c.violate(l.Which+"."+side+".tag", nil, "a tag", equinix.TagHint(p))
		return
	case t.GetUntagged():
		c.violate(path+".untagged", true, "absent: ECX v3 has tagged circuits only", equinix.TagHint(p))
		return
	}
	for _, n := range []struct {
		name  string
		value *int32
	}{{"vlan", t.Vlan}, {"sTag", t.STag}, {"cTag", t.CTag}} {
		if n.value != nil {
			c.inRange(path+"."+n.name, *n.value)
		}
	}
	switch {
	case p == nil:
	case p.Encapsulation == dot1q && t.STag != nil:
		c.violate(path+".sTag", t.GetSTag(), "absent: port "+p.ID+" is Dot1q", equinix.TagHint(p))
	case p.Encapsulation == dot1q && t.CTag != nil:
		c.violate(path+".cTag", t.GetCTag(), "absent: port "+p.ID+" is Dot1q", equinix.TagHint(p))
	case p.Encapsulation == qinq && t.Vlan != nil:
		c.violate(path+".vlan", t.GetVlan(), "absent: port "+p.ID+" is QinQ", equinix.TagHint(p))
	}
}

func (c *checker) inRange(field string, n int32) {
	if hint := equinix.NoTag(n); hint != "" {
		c.violate(field, n, equinix.TagRule, hint)
	}
}

// zEncapsulation is that of the Z side, empty if it is not known.
func (c *checker) zEncapsulation(l exchange.Leg) string {
	if p := portByID(c.ports, l.Z.GetPortId()); p != nil {
		return p.Encapsulation
	}
	if p := c.profiles[l.Z.GetProfileId()]; p != nil {
		return p.Encapsulation
	}
	return ""
}

// named reports whether the leg's profile is ordered by named tag.
func (c *checker) named(l exchange.Leg) bool {
	p := c.profiles[l.Z.GetProfileId()]
	return p != nil && p.Named
}

// table is the guide's tagging table. With named tags the inner tag of the Z side goes
// with Manual and nothing else.
//
//	A      Z      A-side C-tag  Z-side C-tag
//	Dot1q  QinQ   no            yes
//	Dot1q  Dot1q  no            no
//	QinQ   Dot1q  yes           no
//	QinQ   QinQ   no            no
func (c *checker) table(l exchange.Leg, a, z string) {
	way := pretty(a) + " to " + pretty(z)
	aTag, path := l.A.GetTag(), l.Field("aSide", "tag")+".cTag"
	switch wanted := a == qinq && z == dot1q; {
	case a != qinq || aTag.GetSTag() == 0: // the form of the tag says enough
	case wanted && aTag.CTag == nil:
		c.violate(path, nil, "a C-tag: "+way+" needs one", `add "cTag" to the tag`)
	case !wanted && aTag.CTag != nil:
		c.violate(path, aTag.GetCTag(), "absent: "+way+" takes no C-tag", "leave it out")
	}
	wanted, why := a == dot1q && z == qinq, way
	if c.named(l) {
		if l.Z.GetPeering() == "" {
			return // that it is missing says enough
		}
		wanted, why = strings.EqualFold(l.Z.GetPeering(), "MANUAL"), "peering "+strings.ToUpper(l.Z.GetPeering())
	}
	c.zTag(l, wanted, why)
}

// zTag checks the inner tag on the Z side: the buyer's wish at a profile, a part of the
// tag on a port of one's own.
func (c *checker) zTag(l exchange.Leg, wanted bool, why string) {
	path, given := l.Field("zSide", "cTag"), cTag(l.Z)
	if l.Z.GetPortId() != "" {
		path, given = l.Field("zSide", "tag")+".cTag", nil
		if t := l.Z.GetTag(); t != nil {
			given = t.CTag
		}
	}
	switch {
	case wanted && given == nil:
		if rest, inherited := strings.CutPrefix(path, exchange.Primary); inherited && !c.blamed(path) {
			path = l.Which + rest
		}
		c.violate(path, nil, "a C-tag on the Z side: "+why+" needs one", equinix.TagRule)
	case !wanted && given != nil:
		c.violate(path, *given, "absent: "+why+" takes no C-tag on the Z side", "leave it out")
	}
}

// pretty writes an encapsulation as people do.
func pretty(encap string) string {
	switch encap {
	case dot1q:
		return "Dot1q"
	case qinq:
		return "QinQ"
	}
	return encap
}

// zSide checks where the circuit goes: to a profile, or to a port of one's own.
func (c *checker) zSide(l exchange.Leg) {
	if id := l.Z.GetPortId(); id != "" {
		c.ownTarget(l, portByID(c.ports, id))
		return
	}
	id := l.Z.GetProfileId()
	if id == "" {
		return // no target at all is package intent's to say
	}
	p := c.profiles[id]
	if p == nil {
		c.violate(l.Field("zSide", "profileId"), id, "a service profile that this account may order from",
			"the exchange shows this account no such profile")
		return
	}
	if given := cTag(l.Z); given != nil {
		c.inRange(l.Field("zSide", "cTag"), *given)
	}
	c.place(l, p)
	c.authorize(l, p)
	c.peering(l, p)
	if p.NeedsPair && len(c.legs) == 1 {
		c.violate(exchange.Secondary, nil, "a secondary leg: profile "+p.Name+" is sold in redundant pairs only",
			"add a secondary on another port")
	}
}

// ownTarget checks a Z side that is a port of the buyer's own.
func (c *checker) ownTarget(l exchange.Leg, p *exchange.Port) {
	if p == nil {
		c.violate(l.Field("zSide", "portId"), l.Z.GetPortId(), "a port of this account", c.knownPorts())
	}
	c.tag(l, "zSide", l.Z.GetTag(), p)
	if l.Z.GetPortId() == l.A.GetPortId() && exchange.Outer(l.Z.GetTag()) == exchange.Outer(l.A.GetTag()) {
		c.violate(l.Field("zSide", "tag"), nil, "another tag than the A side has on the same port", "choose another tag")
	}
}

// place checks metro and region of the Z side.
func (c *checker) place(l exchange.Leg, p *profile) {
	metro := metroOf(l, c.ports)
	regions, offered := p.Metros[strings.ToUpper(metro)]
	if metro == "" || len(p.Metros) == 0 {
		offered = true // nothing to hold against each other
	}
	if !offered {
		hint := "offered in " + sorted(p.Metros)
		if l.Z.GetMetro() == "" {
			hint += "; an absent metro is that of the A port, here " + metro
		}
		c.violate(l.Field("zSide", "metro"), l.Z.GetMetro(), "a metro of profile "+p.Name, hint)
	}
	region := l.Z.GetRegion()
	switch {
	case len(regions) == 0:
	case region == "":
		c.violate(l.Field("zSide", "region"), nil, "a seller region: profile "+p.Name+" asks for one",
			"one of "+strings.Join(regions, ", "))
	case !slices.Contains(regions, region):
		c.violate(l.Field("zSide", "region"), region, "a seller region of profile "+p.Name+" in "+metro,
			"one of "+strings.Join(regions, ", "))
	}
}

// authorize checks the authorization key.
func (c *checker) authorize(l exchange.Leg, p *profile) {
	path := l.Field("zSide", "authorizationKey")
	if l.Z.GetAuthorizationKey() == "" {
		if p.NeedsKey {
			c.violate(path, nil, "an authorization key: profile "+p.Name+" asks for one", "the seller gives it out")
		}
		return
	}
	if a, asked := c.keys[l.Which]; asked && !a.valid {
		c.violate(path, wire.Masked, "an authorization key that profile "+p.Name+" takes", "the exchange says: "+a.words)
	}
}

// peering checks the named tag.
func (c *checker) peering(l exchange.Leg, p *profile) {
	given, path := l.Z.GetPeering(), l.Field("zSide", "peering")
	is := func(tag string) bool { return strings.EqualFold(tag, given) }
	switch {
	case given == "" && p.Named:
		c.violate(path, nil, "a peering: profile "+p.Name+" is ordered by named tag", peerings(p))
	case given != "" && !p.Named:
		c.violate(path, given, "absent: profile "+p.Name+" has no named tags", "leave it out")
	case given != "" && len(p.NamedTags) > 0 && !slices.ContainsFunc(p.NamedTags, is):
		c.violate(path, given, "a named tag of profile "+p.Name, peerings(p))
	}
}

func peerings(p *profile) string {
	if len(p.NamedTags) == 0 {
		return "PRIVATE, MICROSOFT, PUBLIC or MANUAL"
	}
	return "one of " + strings.ToUpper(strings.Join(p.NamedTags, ", "))
}

func sorted(metros map[string][]string) string {
	var codes []string
	for code := range metros {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return strings.Join(codes, ", ")
}

// bandwidth checks the speed against what the profile sells and the key stands for.
func (c *checker) bandwidth() {
	const path = "bandwidthMbps"
	given := c.in.GetBandwidthMbps()
	for _, l := range c.legs {
		p := c.profiles[l.Z.GetProfileId()]
		if p == nil {
			if given == 0 && l.Z.GetPortId() != "" {
				c.violate(path, nil, "a bandwidth in Mbit/s", "")
			}
			continue
		}
		ofKey := c.keys[l.Which].mbps
		switch {
		case p.SpeedFromKey && given != 0 && ofKey != 0 && given != ofKey:
			c.violate(path, given, "the bandwidth of the authorization key, or none",
				fmt.Sprintf("the key stands for %d Mbit/s", ofKey))
		case p.SpeedFromKey:
		case given == 0:
			c.violate(path, nil, "a bandwidth in Mbit/s: profile "+p.Name+" does not take it from the key", bandsHint(p))
		case !p.AnySpeed && len(p.Bands) > 0 && !slices.Contains(p.Bands, given):
			c.violate(path, given, "a bandwidth that profile "+p.Name+" sells", bandsHint(p))
		}
	}
}

func bandsHint(p *profile) string {
	if len(p.Bands) == 0 {
		return ""
	}
	var list []string
	for _, b := range p.Bands {
		list = append(list, strconv.Itoa(int(b)))
	}
	return "sold are " + strings.Join(list, ", ") + " Mbit/s"
}

// pair checks what holds between the legs of a redundant order.
func (c *checker) pair() {
	if len(c.legs) < 2 {
		return
	}
	first, second := c.legs[0], c.legs[1]
	if !strings.EqualFold(second.Z.GetPeering(), first.Z.GetPeering()) {
		c.violate("secondary.zSide.peering", second.Z.GetPeering(), "the primary's peering", "leave it out")
	}
}

// flowOf is how the exchange will treat the intent; empty if its profile is not known.
func flowOf(legs []exchange.Leg, f facts) string {
	z := legs[0].Z
	if z.GetPortId() != "" {
		return string(status.OwnFlow)
	}
	if p := f.profiles[z.GetProfileId()]; p != nil {
		return p.flow()
	}
	return ""
}
