package intent

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/account"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// CheckFor returns every rule of one API that a create or change breaks, of those that can
// be told without asking the exchange. What holds at every exchange is for [Check] to say;
// what a create must be like at ECX depends on the encapsulations of its ports, so that
// API's adapter says it.
func CheckFor(api account.API, m proto.Message) []*patchbayv1.Violation {
	c := &apiChecker{api: api}
	rules := apis[api]
	switch m := m.(type) {
	case *patchbayv1.CreateIntent:
		if rules.create != nil && m.GetPrimary() != nil {
			rules.create(c, m)
		}
	case *patchbayv1.ChangeIntent:
		if rules.change != nil && m.GetSet() != nil {
			rules.change(c, m.GetSet())
		}
	}
	return c.distinct()
}

// apis are the rules of each API.
var apis = map[account.API]struct {
	create func(*apiChecker, *patchbayv1.CreateIntent)
	change func(*apiChecker, *patchbayv1.ChangeSet)
}{
	account.ECX:          {nil, (*apiChecker).ecxChange},
	account.Fabric:       {(*apiChecker).fabricCreate, (*apiChecker).fabricChange},
	account.PacketFabric: {(*apiChecker).packetFabricCreate, (*apiChecker).packetFabricChange},
}

// apiNames are the APIs as people call them.
var apiNames = map[account.API]string{
	account.ECX: "ECX v3", account.Fabric: "Fabric v4", account.PacketFabric: "PacketFabric v2",
}

// apiChecker collects violations of one API's rules.
type apiChecker struct {
	checker
	api account.API
}

// distinct returns each violation once: a secondary inherits the primary's mistakes.
func (c *apiChecker) distinct() []*patchbayv1.Violation {
	var all []*patchbayv1.Violation
	for _, v := range c.violations {
		if !slices.ContainsFunc(all, func(o *patchbayv1.Violation) bool { return proto.Equal(o, v) }) {
			all = append(all, v)
		}
	}
	return all
}

// field is a field that has a value, and what to do about it where the API has none such.
type field struct{ path, value, hint string }

// absent reports the fields that have a value; the API does not know them.
func (c *apiChecker) absent(fields ...field) {
	for _, f := range fields {
		if f.value != "" {
			c.add(f.path, shown(f.path, f.value), "absent: "+apiNames[c.api]+" has no such field", f.hint)
		}
	}
}

// text is the decimal text of a number that may be absent, empty if it is.
func text(n *int32) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}

// end is one side of a leg with what it inherits.
type end struct {
	path string // as in primary.zSide
	is   *patchbayv1.Endpoint
	own  *patchbayv1.Endpoint // what the leg says itself
}

// at is the path of a field. That of an inherited one is the primary's.
func (e end) at(name string) string {
	if e.is != nil && slices.Contains(fieldNames(e.is), name) && !slices.Contains(fieldNames(e.own), name) {
		return "primary" + strings.TrimPrefix(e.path, "secondary") + "." + name
	}
	return e.path + "." + name
}

// ends are the two sides of a leg.
type ends struct{ a, z end }

// legsOf returns the sides of each leg, the primary's first.
func legsOf(m *patchbayv1.CreateIntent) []ends {
	full := Expand(m)
	legs := []ends{{
		end{"primary.aSide", full.GetPrimary().GetASide(), m.GetPrimary().GetASide()},
		end{"primary.zSide", full.GetPrimary().GetZSide(), m.GetPrimary().GetZSide()},
	}}
	if full.GetSecondary() == nil {
		return legs
	}
	return append(legs, ends{
		end{"secondary.aSide", full.GetSecondary().GetASide(), m.GetSecondary().GetASide()},
		end{"secondary.zSide", full.GetSecondary().GetZSide(), m.GetSecondary().GetZSide()},
	})
}

// numbers checks the numbers of a tag against the limits of the API.
func (c *apiChecker) numbers(path string, t *patchbayv1.Tag, limits [2]int32) {
	if t == nil {
		return
	}
	c.number(path+".vlan", t.Vlan, limits)
	c.number(path+".sTag", t.STag, limits)
	c.number(path+".cTag", t.CTag, limits)
}

// ecxChange: a name and a speed are all that ECX v3 changes (?action=update).
func (c *apiChecker) ecxChange(s *patchbayv1.ChangeSet) {
	const hint = "ECX v3 changes name and bandwidthMbps only"
	c.absent(field{"set.termMonths", text(s.TermMonths), hint})
	if s.GetTag() != nil {
		c.add("set.tag", tagText(s.GetTag()), "absent: ECX v3 cannot change a tag", hint)
	}
	if len(s.GetNotifications()) > 0 {
		c.add("set.notifications", "", "absent: ECX v3 cannot change notifications", hint)
	}
}
