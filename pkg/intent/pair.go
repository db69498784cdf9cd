package intent

import (
	"slices"

	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// secondary checks the second leg of a pair. What it inherits was checked with the
// primary, so only what it says itself is reported.
func (c *checker) secondary(m *patchbayv1.CreateIntent) {
	one, two := m.GetPrimary(), m.GetSecondary()
	c.required("secondary.name", two.GetName(), circuitName)
	if two.GetName() != "" && two.GetName() == m.GetName() {
		c.add("secondary.name", shown("name", two.GetName()), "another name than the primary's", "")
	}
	c.aSide("secondary.aSide", two.GetASide())
	if two.GetZSide() != nil {
		c.ownZSide(m)
	}
	if one.GetASide() != nil && two.GetASide() != nil {
		c.apart(one.GetASide(), two.GetASide())
	}
	if one.GetZSide() != nil {
		c.zApart(one.GetZSide(), Expand(m).GetSecondary().GetZSide())
	}
}

// ownZSide checks what the secondary says of its Z side beside what it inherits.
func (c *checker) ownZSide(m *patchbayv1.CreateIntent) {
	const path = "secondary.zSide"
	own := m.GetSecondary().GetZSide()
	inner := new(checker)
	inner.form(path, Expand(m).GetSecondary().GetZSide(), zSideForms)
	for _, v := range inner.violations {
		// Where the primary names no end, or two, the primary's violation says so.
		named := v.GetField() == path && makesEnd(own)
		given := slices.ContainsFunc(fieldNames(own), func(name string) bool { return v.GetField() == join(path, name) })
		if named || given {
			c.violations = append(c.violations, v)
		}
	}
	c.values(path, own)
	if p, s := m.GetPrimary().GetZSide().GetProfileId(), own.GetProfileId(); p != "" && s != "" && s != p {
		c.add(path+".profileId", shown(path, s), "the primary's profile", "leave it out: both legs go to one profile")
	}
}

// apart checks that the A sides of a pair share nothing: a pair on one port is not
// redundant, and a tag or token is used once.
func (c *checker) apart(one, two *patchbayv1.Endpoint) {
	const path = "secondary.aSide"
	if p := two.GetPortId(); p != "" && p == one.GetPortId() {
		c.add(path+".portId", shown(path, p), "another port than the primary's", "")
	}
	if one.GetTag() != nil && two.GetPortId() != "" && two.GetTag() == nil {
		c.add(path+".tag", "", required, "tags are not inherited")
	}
	if t := two.GetServiceToken(); t != "" && t == one.GetServiceToken() {
		c.add(path+".serviceToken", mask, "another token than the primary's", "a token is used once")
	}
}

// zApart checks that the Z sides of a pair, after inheritance, do not use one thing twice.
func (c *checker) zApart(one, two *patchbayv1.Endpoint) {
	const path = "secondary.zSide"
	if t := two.GetServiceToken(); t != "" && t == one.GetServiceToken() {
		c.add(path+".serviceToken", mask, "another token than the primary's", "a token is used once")
	}
	if p := two.GetPortId(); p != "" && p == one.GetPortId() && proto.Equal(one.GetTag(), two.GetTag()) {
		c.add(path, "", "another port or tag than the primary's", "a tag on a port is used once")
	}
}

func makesEnd(e *patchbayv1.Endpoint) bool {
	return slices.ContainsFunc(zSideForms, func(f form) bool { return slices.Contains(fieldNames(e), f.by) })
}

func fieldNames(m proto.Message) []string {
	var names []string
	for _, f := range fieldsOf(m) {
		names = append(names, f.JSONName())
	}
	return names
}
