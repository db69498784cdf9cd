package fabric

import (
	"fmt"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/equinix"
)

// port checks a port of the account's own, and the tag's form and numbers on it.
func (c *checker) port(l leg, side string, e *patchbayv1.Endpoint) {
	p := portByID(c.ports, e.GetPortId())
	if p == nil {
		c.violate(l.Field(side, "portId"), e.GetPortId(), "a port of this account", c.knownPorts())
	}
	t, path := e.GetTag(), l.Field(side, "tag")
	c.numbers(path, t)
	switch {
	case p == nil || t == nil:
	case p.Encapsulation == untagged && exchange.Outer(t) != 0:
		c.violate(path, exchange.Outer(t), "absent: port "+p.ID+" is untagged", "leave the tag out")
	case p.Encapsulation == dot1q && t.STag != nil:
		c.violate(path+".sTag", t.GetSTag(), "absent: port "+p.ID+" is Dot1q", equinix.TagHint(p))
	case p.Encapsulation == dot1q && t.CTag != nil:
		c.violate(path+".cTag", t.GetCTag(), "absent: port "+p.ID+" is Dot1q", equinix.TagHint(p))
	case p.Encapsulation == qinq && t.Vlan != nil:
		c.violate(path+".vlan", t.GetVlan(), "absent: port "+p.ID+" is QinQ", equinix.TagHint(p))
	}
}

// unfit reports whether the form of the tag is one that its port does not take.
func (c *checker) unfit(e *patchbayv1.Endpoint) bool {
	p, t := portByID(c.ports, e.GetPortId()), e.GetTag()
	if p == nil {
		return false
	}
	return p.Encapsulation == dot1q && (t.GetSTag() != 0 || t.GetCTag() != 0) || p.Encapsulation == qinq && t.GetVlan() != 0 ||
		p.Encapsulation == untagged && exchange.Outer(t) != 0
}

// namedTwice reports whether an end has a port and a token, which package intent refuses.
func namedTwice(e *patchbayv1.Endpoint) bool { return e.GetPortId() != "" && e.GetServiceToken() != "" }

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

func (c *checker) inRange(field string, n int32) {
	if hint := equinix.NoTag(n); hint != "" {
		c.violate(field, n, equinix.TagRule, hint)
	}
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
	if c.unfit(l.A) || c.unfit(l.Z) || namedTwice(l.A) || namedTwice(l.Z) {
		return // another form of tag, or another end, breaks or keeps other rules
	}
	a, z := tagForm(l.A.GetTag()), tagForm(l.Z.GetTag())
	own := l.Z.GetPortId() != ""
	if l.A.GetPortId() != "" && a == "" && (l.Z.GetProfileId() != "" || own && z != "") {
		c.violate(l.Which+".aSide.tag", nil, "a tag: only circuits between untagged ports, or to an EPL token, go without",
			`give {"vlan": n} on a Dot1q port, {"sTag": n} on a QinQ port`)
		return
	}
	if own && z == "" && a != "" {
		c.violate(l.Which+".zSide.tag", nil, "a tag: the A side has one", `give {"vlan": n} on a Dot1q port, {"sTag": n} on a QinQ port`)
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
	t, known := c.tokens[l.Which+".aSide"]
	if !known || t.Encapsulation == "" || t.Encapsulation == untagged || l.Z.GetPortId() == "" || z == "" {
		return
	}
	c.innerTags(l, t.Encapsulation, z)
}

// innerTags checks the C-tags by the table. What the far side is may not be known.
func (c *checker) innerTags(l leg, a, z string) {
	way := pretty(a) + " to " + pretty(z)
	aTag, zTag := l.A.GetTag(), l.Z.GetTag()
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
		ask(l.Field("aSide", "tag")+".cTag", aTag, z == dot1q)
	}
	ask(l.Field("zSide", "tag")+".cTag", zTag, a == dot1q)
}

// beyond is the encapsulation of a Z side that is no port of one's own, empty if it is not
// known or leaves the buyer's tag alone.
func (c *checker) beyond(l leg) string {
	if p := c.profiles[l.Z.GetProfileId()]; p != nil && !p.Named {
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
