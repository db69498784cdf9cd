package fabric

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

const (
	// Tags that are sent. The guide allows 4093 and 4094 too, the schema does not.
	minTag, maxTag = 2, 4092
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
		c.token(l, "aSide", l.a)
		c.token(l, "zSide", l.z)
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
	v := &patchbayv1.Violation{Field: field, Value: jsonText(value), Rule: rule, Hint: hint}
	if !slices.ContainsFunc(c.found, func(o *patchbayv1.Violation) bool {
		return o.GetField() == field && o.GetRule() == rule
	}) {
		c.found = append(c.found, v)
	}
}

// jsonText writes a value for a violation; nil and empty texts are absent ones.
func jsonText(v any) string {
	switch v {
	case nil, "":
		return ""
	case wire.Masked:
		return wire.Masked
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// field is the path of a field of l. A value that the secondary leg inherits is the
// primary's to blame.
func (l leg) field(side, name string) string {
	which := l.which
	if which == exchange.Secondary && side == "zSide" && !l.says(name) {
		which = exchange.Primary
	}
	return which + "." + side + "." + name
}

// says reports whether the leg itself gives the field of its Z side, rather than inherit it.
func (l leg) says(name string) bool {
	m := l.own.GetZSide().ProtoReflect()
	f := m.Descriptor().Fields().ByJSONName(name)
	return f != nil && m.Has(f)
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
			{"routingId", l.z.GetRoutingId()}, {"market", l.z.GetMarket()}, {"serviceId", l.z.GetServiceId()},
		} {
			if f.value != "" {
				c.violate(l.field("zSide", f.name), f.value, rule, "it is PacketFabric's; leave it out")
			}
		}
		if l.z != nil && l.z.CTag != nil {
			c.violate(l.field("zSide", "cTag"), l.z.GetCTag(), rule, "the seller chooses the tag on his side; leave it out")
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
	if len(l.name) <= mostName {
		return
	}
	field := "name"
	if l.which == exchange.Secondary {
		field = "secondary.name"
	}
	c.violate(field, l.name, fmt.Sprintf("at most %d characters", mostName), "choose a shorter name")
}

// aSide checks the port that the circuit starts from.
func (c *checker) aSide(l leg) {
	if l.a.GetPortId() != "" {
		c.port(l, "aSide", l.a)
	}
}

// zSide checks where the circuit goes: to a profile, to a port of one's own or to a token.
func (c *checker) zSide(l leg) {
	if l.z.GetPortId() != "" {
		c.port(l, "zSide", l.z)
		if l.z.GetPortId() == l.a.GetPortId() && outer(l.z.GetTag()) == outer(l.a.GetTag()) {
			c.violate(l.field("zSide", "tag"), nil, "another tag than the A side has on the same port", "choose another tag")
		}
		if p := portByID(c.ports, l.z.GetPortId()); p != nil && l.z.GetMetro() != "" && l.z.GetMetro() != p.Metro {
			c.violate(l.field("zSide", "metro"), l.z.GetMetro(), "the metro of port "+p.ID, "it is in "+p.Metro+"; leave it out")
		}
		return
	}
	id := l.z.GetProfileId()
	if id == "" {
		return // tokens are checked by themselves, and no target at all is package intent's to say
	}
	p := c.profiles[id]
	if p == nil {
		c.violate(l.field("zSide", "profileId"), id, "a service profile that this account may order from",
			"the exchange shows this account no such profile")
		return
	}
	if p.State != "" && p.State != "ACTIVE" {
		c.violate(l.field("zSide", "profileId"), id, "an active service profile", "profile "+p.Name+" is "+p.State)
	}
	c.place(l, p)
	c.authorize(l, p)
	c.peering(l, p)
	if p.NeedsPair && len(c.legs) == 1 {
		c.violate(exchange.Secondary, nil, "a secondary leg: profile "+p.Name+" is sold in redundant pairs only",
			"add a secondary on another port")
	}
}

// port checks a port of the account's own, and the tag's form and numbers on it.
func (c *checker) port(l leg, side string, e *patchbayv1.Endpoint) {
	p := portByID(c.ports, e.GetPortId())
	if p == nil {
		c.violate(l.field(side, "portId"), e.GetPortId(), "a port of this account", c.knownPorts())
	}
	t, path := e.GetTag(), l.field(side, "tag")
	c.numbers(path, t)
	switch {
	case p == nil || t == nil:
	case p.Encapsulation == untagged && outer(t) != 0:
		c.violate(path, outer(t), "absent: port "+p.ID+" is untagged", "leave the tag out")
	case p.Encapsulation == dot1q && t.STag != nil:
		c.violate(path+".sTag", t.GetSTag(), "absent: port "+p.ID+" is Dot1q", tagHint(p))
	case p.Encapsulation == dot1q && t.CTag != nil:
		c.violate(path+".cTag", t.GetCTag(), "absent: port "+p.ID+" is Dot1q", tagHint(p))
	case p.Encapsulation == qinq && t.Vlan != nil:
		c.violate(path+".vlan", t.GetVlan(), "absent: port "+p.ID+" is QinQ", tagHint(p))
	}
}

// numbers checks the numbers of a tag.
func (c *checker) numbers(path string, t *patchbayv1.Tag) {
	if t == nil {
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

func tagHint(p *exchange.Port) string {
	if p.Encapsulation == qinq {
		return `give {"sTag": n}, and "cTag" where the Z side is Dot1q`
	}
	return `give {"vlan": n}`
}

func (c *checker) inRange(field string, n int32) {
	if n >= minTag && n <= maxTag {
		return
	}
	hint := "choose another tag"
	if n == 4093 || n == 4094 {
		hint = "the exchange's documents disagree about 4093 and 4094, so neither is used; choose another tag"
	}
	c.violate(field, n, fmt.Sprintf("a number from %d to %d", minTag, maxTag), hint)
}

// tags holds both sides' tags against each other, by the combinations that the samples of
// ConnectionPostRequest have.
//
//	A      Z      A-side C-tag  Z-side C-tag
//	Dot1q  Dot1q  no            no
//	Dot1q  QinQ   no            yes, on a port of one's own
//	QinQ   Dot1q  yes           no
//	QinQ   QinQ   no            no
//	none   none   –             –             two ports, or a port and a token
func (c *checker) tags(l leg) {
	a, z := tagForm(l.a.GetTag()), tagForm(l.z.GetTag())
	own := l.z.GetPortId() != ""
	if l.a.GetPortId() != "" && a == "" && (l.z.GetProfileId() != "" || own && z != "") {
		c.violate(l.which+".aSide.tag", nil, "a tag: only circuits between untagged ports, or to an EPL token, go without",
			`give {"vlan": n} on a Dot1q port, {"sTag": n} on a QinQ port`)
		return
	}
	if own && z == "" && a != "" {
		c.violate(l.which+".zSide.tag", nil, "a tag: the A side has one", `give {"vlan": n} on a Dot1q port, {"sTag": n} on a QinQ port`)
		return
	}
	if a == "" {
		c.tokenTags(l, z)
		return
	}
	zEncap := z
	if !own {
		zEncap = c.beyond(l)
	}
	c.innerTags(l, a, zEncap)
}

// tokenTags checks the Z side's tag where the A side is a token.
func (c *checker) tokenTags(l leg, z string) {
	t, known := c.tokens[l.which+".aSide"]
	if !known || t.Encapsulation == "" || t.Encapsulation == untagged || l.z.GetPortId() == "" || z == "" {
		return
	}
	c.innerTags(l, t.Encapsulation, z)
}

// innerTags checks the C-tags by the table. What the far side is may not be known.
func (c *checker) innerTags(l leg, a, z string) {
	way := pretty(a) + " to " + pretty(z)
	aTag, zTag := l.a.GetTag(), l.z.GetTag()
	ask := func(field string, t *patchbayv1.Tag, wanted bool) {
		switch {
		case t.GetSTag() == 0: // the form of the tag says enough
		case wanted && t.CTag == nil:
			c.violate(field, nil, "a C-tag: "+way+" needs one", `add "cTag" to the tag`)
		case !wanted && t.CTag != nil:
			c.violate(field, t.GetCTag(), "absent: "+way+" takes no C-tag", "leave it out")
		}
	}
	if z == dot1q || z == qinq {
		ask(l.field("aSide", "tag")+".cTag", aTag, z == dot1q)
	}
	ask(l.field("zSide", "tag")+".cTag", zTag, a == dot1q)
}

// beyond is the encapsulation of a Z side that is no port of one's own, empty if it is not
// known or leaves the buyer's tag alone.
func (c *checker) beyond(l leg) string {
	if p := c.profiles[l.z.GetProfileId()]; p != nil && !p.Named {
		return p.Encapsulation
	}
	return "" // a token's maker chose its tag, and the guide shows a C-tag with one
}

// tagForm is what a tag is for: dot1q, qinq, or empty for none.
func tagForm(t *patchbayv1.Tag) string {
	switch {
	case t.GetVlan() != 0:
		return dot1q
	case t.GetSTag() != 0:
		return qinq
	}
	return ""
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

// place checks metro and region of the Z side.
func (c *checker) place(l leg, p *profile) {
	metro := l.z.GetMetro()
	port := portByID(c.ports, l.a.GetPortId())
	if metro == "" && port != nil {
		metro = port.Metro
	}
	if metro == "" && l.a.GetServiceToken() != "" {
		c.violate(l.field("zSide", "metro"), nil, "a metro: a service token does not tell one", "offered in "+sorted(p.Metros))
		return
	}
	regions, offered := p.Metros[strings.ToUpper(metro)]
	if metro != "" && len(p.Metros) > 0 && !offered {
		hint := "offered in " + sorted(p.Metros)
		if l.z.GetMetro() == "" {
			hint += "; an absent metro is that of the A port, here " + metro
		}
		c.violate(l.field("zSide", "metro"), l.z.GetMetro(), "a metro of profile "+p.Name, hint)
	}
	if offered && p.NoRemote && port != nil && !strings.EqualFold(metro, port.Metro) {
		c.violate(l.field("zSide", "metro"), l.z.GetMetro(), "the A port's metro: profile "+p.Name+" takes no remote circuits",
			"the A port is in "+port.Metro)
	}
	region := l.z.GetRegion()
	switch {
	case len(regions) == 0:
	case region == "":
		c.violate(l.field("zSide", "region"), nil, "a seller region: profile "+p.Name+" asks for one",
			"one of "+strings.Join(regions, ", "))
	case !slices.Contains(regions, region):
		c.violate(l.field("zSide", "region"), region, "a seller region of profile "+p.Name+" in "+metro,
			"one of "+strings.Join(regions, ", "))
	}
}

// authorize checks the authentication key.
func (c *checker) authorize(l leg, p *profile) {
	path := l.field("zSide", "authorizationKey")
	if l.z.GetAuthorizationKey() == "" {
		if p.NeedsKey {
			c.violate(path, nil, "an authorization key: profile "+p.Name+" asks for one", "the seller gives it out")
		}
		return
	}
	if a, asked := c.keys[l.which]; asked && !a.valid {
		c.violate(path, wire.Masked, "an authorization key that profile "+p.Name+" takes", "the exchange says: "+a.words)
	}
}

// peering checks the peering type.
func (c *checker) peering(l leg, p *profile) {
	given, path := strings.ToUpper(l.z.GetPeering()), l.field("zSide", "peering")
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

// bandwidth checks the speed against what profiles sell and tokens allow.
func (c *checker) bandwidth() {
	const path = "bandwidthMbps"
	given := c.in.GetBandwidthMbps()
	if c.in.BandwidthMbps == nil && c.speedFromKey() {
		return // the schema allows 0
	}
	if given < 1 || given > mostMbps {
		var value any
		if c.in.BandwidthMbps != nil {
			value = given
		}
		c.violate(path, value, fmt.Sprintf("a bandwidth of 1 to %d Mbit/s", mostMbps), "only a profile that takes it from the key goes without")
		return
	}
	for _, l := range c.legs {
		c.sold(path, given, l)
		for _, side := range []string{"aSide", "zSide"} {
			c.allowed(path, given, c.tokens[l.which+"."+side])
		}
	}
}

// speedFromKey reports whether every leg's profile takes the speed from the key.
func (c *checker) speedFromKey() bool {
	return !slices.ContainsFunc(c.legs, func(l leg) bool {
		p := c.profiles[l.z.GetProfileId()]
		return p == nil || !p.SpeedFromKey
	})
}

// sold checks the speed against what the leg's profile sells.
func (c *checker) sold(path string, given int32, l leg) {
	p := c.profiles[l.z.GetProfileId()]
	if p == nil {
		return
	}
	if !p.AnySpeed && !p.SpeedFromKey && len(p.Bands) > 0 && !slices.Contains(p.Bands, given) {
		c.violate(path, given, "a bandwidth that profile "+p.Name+" sells", "sold are "+list(p.Bands)+" Mbit/s")
	}
	if most := p.Most[strings.ToUpper(l.z.GetMetro())]; most > 0 && given > most {
		c.violate(path, given, "a bandwidth that profile "+p.Name+" sells in "+l.z.GetMetro(),
			fmt.Sprintf("the most is %d Mbit/s", most))
	}
}

// allowed checks the speed against what a token allows.
func (c *checker) allowed(path string, given int32, t tokenFacts) {
	if t.LimitMbps > 0 && given > t.LimitMbps {
		c.violate(path, given, "a bandwidth that the service token allows", fmt.Sprintf("the most is %d Mbit/s", t.LimitMbps))
	}
	if len(t.Bands) > 0 && !t.AllowCustom && !slices.Contains(t.Bands, given) {
		c.violate(path, given, "a bandwidth that the service token allows", "allowed are "+list(t.Bands)+" Mbit/s")
	}
}

func list(numbers []int32) string {
	var all []string
	for _, n := range numbers {
		all = append(all, strconv.Itoa(int(n)))
	}
	return strings.Join(all, ", ")
}

// token checks a service token: there, not used, not expired, for this side and metro.
func (c *checker) token(l leg, side string, e *patchbayv1.Endpoint) {
	t, asked := c.tokens[l.which+"."+side]
	if e.GetServiceToken() == "" || !asked || t.hidden {
		return
	}
	path := l.field(side, "serviceToken")
	say := func(rule, hint string) { c.violate(path, wire.Masked, rule, hint) }
	switch {
	case t.absent:
		say("a service token that exists", "the exchange knows no such token; ask who gave it to you")
		return
	case t.State == TokenActive:
		say("a service token that nobody has used", "a token is used once; ask for another")
	case t.State == TokenExpired || !t.ExpiresAt.IsZero() && t.ExpiresAt.Before(c.now):
		say("a service token that has not expired", "ask for another")
	case t.State == TokenDeleted:
		say("a service token that was not deleted", "ask for another")
	}
	if t.Side != "" && t.Side+"Side" != side {
		say("a service token for the "+strings.ToUpper(side[:1])+" side", "it stands for the "+strings.ToUpper(t.Side)+" side")
	}
	c.tokenType(l, t, say)
	c.tokenMetro(l, side, t, say)
}

// tokenType checks that a token's kind of circuit is the one that is ordered.
func (c *checker) tokenType(l leg, t tokenFacts, say func(rule, hint string)) {
	switch {
	case t.Type == "EPL_TOKEN" && !l.untagged():
		say("a service token for tagged circuits", "it is for untagged ones; leave the tag of the port out")
	case t.Type == "VC_TOKEN" && l.untagged():
		say("a service token for untagged circuits", "it is for tagged ones; give the port's side a tag")
	}
}

// tokenMetro checks that a local token is used in its own metro.
func (c *checker) tokenMetro(l leg, side string, t tokenFacts, say func(rule, hint string)) {
	far := l.a
	if side == "aSide" {
		far = l.z
	}
	metro := far.GetMetro()
	if p := portByID(c.ports, far.GetPortId()); p != nil {
		metro = p.Metro
	}
	if t.AllowRemote || t.Metro == "" || metro == "" || strings.EqualFold(t.Metro, metro) {
		return
	}
	say("a service token for metro "+metro, "it allows local circuits only, in "+t.Metro)
}

// pair checks what holds between the legs of a redundant order.
func (c *checker) pair() {
	if len(c.legs) < 2 {
		return
	}
	one, two := c.legs[0], c.legs[1]
	if !strings.EqualFold(two.z.GetPeering(), one.z.GetPeering()) {
		c.violate("secondary.zSide.peering", two.z.GetPeering(), "the primary's peering", "leave it out")
	}
	if one.z.GetProfileId() != two.z.GetProfileId() { // EQ-3142320
		c.violate("secondary.zSide.profileId", two.z.GetProfileId(), "the primary's profile", "leave it out")
	}
	for _, s := range []struct{ side, one, two string }{
		{"aSide", one.a.GetServiceToken(), two.a.GetServiceToken()},
		{"zSide", one.z.GetServiceToken(), two.z.GetServiceToken()},
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
	case l.z.GetProfileId() != "": // also by an A-side token
	case l.a.GetServiceToken() != "" || l.z.GetServiceToken() != "":
		return tokenFlow
	case l.z.GetPortId() != "":
		return string(status.OwnFlow)
	}
	if p := f.profiles[l.z.GetProfileId()]; p != nil {
		return p.flow()
	}
	return ""
}
