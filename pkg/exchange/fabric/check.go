package fabric

import (
	"fmt"
	"slices"
	"strings"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

const (
	// mostName is the guide's limit; the schema states none.
	mostName = 24
	// mostEmails is how many addresses a notification has (guide of service tokens).
	mostEmails = 12
	// mostMbps is the highest bandwidth of ConnectionPostRequest.
	mostMbps = 100_000
)

// facts are what the exchange says about an intent's ports, profiles, keys and tokens.
type facts struct {
	now      time.Time
	ports    []exchange.Port
	profiles map[string]*profile   // nil where the exchange shows none
	keys     map[string]keyAnswer  // by leg; absent where none was asked about
	tokens   map[string]tokenFacts // by leg and side, as "primary.aSide"
}

// tokenFacts are what the exchange says of a service token.
type tokenFacts struct {
	absent bool // there is none
	hidden bool // this account may not look at it
	ServiceToken
}

// checker holds one intent against facts. It asks nobody.
type checker struct {
	facts
	in    *patchbayv1.CreateIntent
	legs  []leg
	found []*patchbayv1.Violation
}

// check returns every rule that the intent breaks at this exchange. What needs no
// exchange, such as the form of names and addresses, package intent has checked.
func check(in *patchbayv1.CreateIntent, f facts) []*patchbayv1.Violation {
	c := &checker{facts: f, in: in, legs: legsOf(in)}
	c.foreign()
	c.notifications()
	for _, l := range c.legs {
		c.name(l)
		c.token(l, "aSide", l.A)
		c.token(l, "zSide", l.Z)
		c.aSide(l)
		c.zSide(l)
		c.tags(l)
	}
	c.bandwidth()
	c.pair()
	return c.found
}

// violate notes a violation, once.
func (c *checker) violate(field string, value any, rule, hint string) {
	c.found = wire.Violate(c.found, &patchbayv1.Violation{Field: field, Rule: rule, Hint: hint}, value)
}

// foreign refuses what only the other exchanges have.
func (c *checker) foreign() {
	const rule = "absent: Fabric v4 has no such field"
	b := c.in.GetBilling()
	for _, f := range []struct{ field, value string }{
		{"billing.accountId", b.GetAccountId()}, {"billing.longhaul", b.GetLonghaul()},
		{"billing.flexBandwidthId", b.GetFlexBandwidthId()}, {"description", c.in.GetDescription()},
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
		if l.Z != nil && l.Z.CTag != nil {
			c.violate(l.Field("zSide", "cTag"), l.Z.GetCTag(), rule, "the seller chooses the tag on his side; leave it out")
		}
	}
}

func (c *checker) notifications() {
	for i, n := range c.in.GetNotifications() {
		if len(n.GetEmails()) > mostEmails {
			c.violate(fmt.Sprintf("notifications[%d].emails", i), len(n.GetEmails()),
				fmt.Sprintf("1 to %d addresses", mostEmails), "give the others another type, or a list of their own")
		}
	}
}

func (c *checker) name(l leg) {
	if len(l.Name) <= mostName {
		return
	}
	field := "name"
	if l.Which == exchange.Secondary {
		field = "secondary.name"
	}
	c.violate(field, l.Name, fmt.Sprintf("at most %d characters", mostName), "choose a shorter name")
}

// aSide checks the port that the circuit starts from.
func (c *checker) aSide(l leg) {
	if l.A.GetPortId() != "" {
		c.port(l, "aSide", l.A)
	}
}

// zSide checks where the circuit goes: to a profile, to a port of one's own or to a token.
func (c *checker) zSide(l leg) {
	if l.Z.GetPortId() != "" {
		c.port(l, "zSide", l.Z)
		if l.Z.GetPortId() == l.A.GetPortId() && exchange.Outer(l.Z.GetTag()) == exchange.Outer(l.A.GetTag()) {
			c.violate(l.Field("zSide", "tag"), nil, "another tag than the A side has on the same port", "choose another tag")
		}
		if p := portByID(c.ports, l.Z.GetPortId()); p != nil && l.Z.GetMetro() != "" && l.Z.GetMetro() != p.Metro {
			c.violate(l.Field("zSide", "metro"), l.Z.GetMetro(), "the metro of port "+p.ID, "it is in "+p.Metro+"; leave it out")
		}
		return
	}
	id := l.Z.GetProfileId()
	if id == "" {
		if l.Z.GetServiceToken() == "" && l.Z.GetRoutingId() != "" { // which package intent takes for a target
			c.violate(l.Which+".zSide", nil, "exactly one of profileId, portId, serviceToken", "a routing id is no target at Equinix")
		}
		return // tokens are checked by themselves, and no target at all is package intent's to say
	}
	p := c.profiles[id]
	if p == nil {
		c.violate(l.Field("zSide", "profileId"), id, "a service profile that this account may order from",
			"the exchange shows this account no such profile")
		return
	}
	if p.State != "" && p.State != "ACTIVE" {
		c.violate(l.Field("zSide", "profileId"), id, "an active service profile", "profile "+p.Name+" is "+p.State)
	}
	c.place(l, p)
	c.authorize(l, p)
	c.peering(l, p)
	if p.NeedsPair && len(c.legs) == 1 {
		c.violate(exchange.Secondary, nil, "a secondary leg: profile "+p.Name+" is sold in redundant pairs only",
			"add a secondary on another port")
	}
}

// place checks metro and region of the Z side.
func (c *checker) place(l leg, p *profile) {
	metro := l.Z.GetMetro()
	port := portByID(c.ports, l.A.GetPortId())
	if metro == "" && port != nil {
		metro = port.Metro
	}
	if metro == "" && l.A.GetServiceToken() != "" {
		c.violate(l.Field("zSide", "metro"), nil, "a metro: a service token does not tell one", "offered in "+sorted(p.Metros))
		return
	}
	regions, offered := p.Metros[strings.ToUpper(metro)]
	if metro != "" && len(p.Metros) > 0 && !offered {
		hint := "offered in " + sorted(p.Metros)
		if l.Z.GetMetro() == "" {
			hint += "; an absent metro is that of the A port, here " + metro
		}
		c.violate(l.Field("zSide", "metro"), l.Z.GetMetro(), "a metro of profile "+p.Name, hint)
	}
	if offered && p.NoRemote && port != nil && !strings.EqualFold(metro, port.Metro) {
		c.violate(l.Field("zSide", "metro"), l.Z.GetMetro(), "the A port's metro: profile "+p.Name+" takes no remote circuits",
			"the A port is in "+port.Metro)
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

// authorize checks the authentication key.
func (c *checker) authorize(l leg, p *profile) {
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

// peering checks the peering type.
func (c *checker) peering(l leg, p *profile) {
	given, path := strings.ToUpper(l.Z.GetPeering()), l.Field("zSide", "peering")
	hint := "PRIVATE, MICROSOFT, PUBLIC or MANUAL"
	if len(p.NamedTags) > 0 {
		hint = "one of " + strings.Join(p.NamedTags, ", ")
	}
	switch {
	case given == "" && p.Named:
		c.violate(path, nil, "a peering: profile "+p.Name+" is ordered by named tag", hint)
	case given != "" && !p.Named:
		c.violate(path, given, "absent: profile "+p.Name+" has no named tags", "leave it out")
	case given != "" && len(p.NamedTags) > 0 && !slices.Contains(p.NamedTags, given):
		c.violate(path, given, "a named tag of profile "+p.Name, hint)
	}
}

func sorted(metros map[string][]string) string {
	var codes []string
	for code := range metros {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return strings.Join(codes, ", ")
}

// pair checks what holds between the legs of a redundant order.
func (c *checker) pair() {
	if len(c.legs) < 2 {
		return
	}
	one, two := c.legs[0], c.legs[1]
	if !strings.EqualFold(two.Z.GetPeering(), one.Z.GetPeering()) {
		c.violate("secondary.zSide.peering", two.Z.GetPeering(), "the primary's peering", "leave it out")
	}
	if one.Z.GetProfileId() != two.Z.GetProfileId() { // EQ-3142320
		c.violate("secondary.zSide.profileId", two.Z.GetProfileId(), "the primary's profile", "leave it out")
	}
	for _, s := range []struct{ side, one, two string }{
		{"aSide", one.A.GetServiceToken(), two.A.GetServiceToken()},
		{"zSide", one.Z.GetServiceToken(), two.Z.GetServiceToken()},
	} {
		if s.one != "" && s.one == s.two { // EQ-3142225
			c.violate("secondary."+s.side+".serviceToken", wire.Masked, "another token than the primary's", "a token is used once")
		}
	}
}

// flowOf is how the exchange will treat the intent; empty if its profile is not known.
func flowOf(legs []leg, f facts) string {
	l := legs[0]
	switch {
	case l.Z.GetProfileId() != "": // also by an A-side token
	case l.A.GetServiceToken() != "" || l.Z.GetServiceToken() != "":
		return tokenFlow
	case l.Z.GetPortId() != "":
		return string(status.OwnFlow)
	}
	if p := f.profiles[l.Z.GetProfileId()]; p != nil {
		return p.flow()
	}
	return ""
}
