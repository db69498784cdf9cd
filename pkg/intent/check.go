package intent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Check returns every rule that an intent or decision breaks, of those that can be told
// without asking the exchange; none if it is sound. A rejection needs a reason besides,
// which only [Read] asks for: a decision itself does not say which of both it is.
func Check(m proto.Message) []*patchbayv1.Violation {
	c := new(checker)
	if m == nil || !m.ProtoReflect().IsValid() {
		c.add("", "", required, "an intent or a decision")
		return c.violations
	}
	c.check(m)
	return c.violations
}

type checker struct{ violations []*patchbayv1.Violation }

func (c *checker) check(m proto.Message) {
	switch m := m.(type) {
	case *patchbayv1.CreateIntent:
		c.create(m)
	case *patchbayv1.ChangeIntent:
		c.target(m.GetTarget())
		c.set(m.GetSet())
	case *patchbayv1.DeleteIntent:
		c.target(m.GetTarget())
		c.optional("reason", m.GetReason(), remark)
	case *patchbayv1.Decision:
		c.decision(m)
	default:
		c.add("", "", "an intent or a decision", "")
	}
}

func (c *checker) add(field, value, rule, hint string) {
	c.violations = append(c.violations, &patchbayv1.Violation{Field: field, Value: value, Rule: rule, Hint: hint})
}

// required checks a text that must be there.
func (c *checker) required(field, text string, r rule) {
	if text == "" {
		c.add(field, "", required, r.says)
		return
	}
	c.optional(field, text, r)
}

// optional checks a text that may be absent.
func (c *checker) optional(field, text string, r rule) {
	if text == "" || r.pattern.MatchString(text) {
		return
	}
	hint := r.hint
	if upper := strings.ToUpper(text); upper != text && r.pattern.MatchString(upper) {
		hint = "write it in capital letters"
	}
	if lower := strings.ToLower(text); lower != text && r.pattern.MatchString(lower) {
		hint = "write it in small letters"
	}
	if trimmed := strings.TrimSpace(text); trimmed != text && r.pattern.MatchString(trimmed) {
		hint = "leave out the space around it"
	}
	c.add(field, shown(field, text), r.says, hint)
}

// number checks a number that may be absent.
func (c *checker) number(field string, n *int32, limits [2]int32) {
	if n != nil && (*n < limits[0] || *n > limits[1]) {
		c.add(field, fmt.Sprint(*n), fmt.Sprintf("a number from %d to %d", limits[0], limits[1]), "")
	}
}

// Limits that hold at every exchange; each has narrower ones of its own.
var (
	tagLimits       = [2]int32{1, 4094}
	bandwidthLimits = [2]int32{1, 100_000}
)

func (c *checker) create(m *patchbayv1.CreateIntent) {
	c.optional("account", m.GetAccount(), accountName)
	c.required("name", m.GetName(), circuitName)
	c.number("bandwidthMbps", m.BandwidthMbps, bandwidthLimits)
	c.optional("purchaseOrder", m.GetPurchaseOrder(), purchaseOrder)
	c.notifications("notifications", m.GetNotifications())
	if len(m.GetNotifications()) == 0 {
		c.add("notifications", "", required, "at least one e-mail address")
	}
	c.optional("onLegFailure", m.GetOnLegFailure(), legFailure)
	c.primary(m.GetPrimary())
	if m.GetSecondary() != nil {
		c.secondary(m)
	}
	c.billing(m.GetBilling())
	c.optional("description", m.GetDescription(), remark)
	c.optional("customerReference", m.GetCustomerReference(), person)
	c.optional("projectId", m.GetProjectId(), exchangeID)
}

func (c *checker) primary(leg *patchbayv1.Leg) {
	if leg == nil {
		c.add("primary", "", required, "the circuit: its aSide and its zSide")
		return
	}
	if leg.GetName() != "" {
		c.add("primary.name", shown("name", leg.GetName()), "not allowed", "the primary's name is the intent's own")
	}
	c.aSide("primary.aSide", leg.GetASide())
	z := leg.GetZSide()
	if z == nil {
		c.add("primary.zSide", "", required, "one of "+makers(zSideForms))
		return
	}
	c.form("primary.zSide", z, zSideForms)
	c.values("primary.zSide", z)
}

func (c *checker) aSide(path string, e *patchbayv1.Endpoint) {
	if e == nil {
		c.add(path, "", required, "one of "+makers(aSideForms))
		return
	}
	c.form(path, e, aSideForms)
	c.values(path, e)
}

// form checks that an end is named in exactly one way, without fields that do not go with
// that way.
func (c *checker) form(path string, e *patchbayv1.Endpoint, forms []form) {
	var names, chosen []string
	for _, f := range fieldsOf(e) {
		names = append(names, f.JSONName())
	}
	allowed := ""
	for _, f := range forms {
		allowed += " " + f.by + " " + f.with
		if slices.Contains(names, f.by) {
			chosen = append(chosen, f.by)
		}
	}
	switch len(chosen) {
	case 0:
		c.add(path, "", "exactly one of "+makers(forms), "")
	case 1:
		i := slices.IndexFunc(forms, func(f form) bool { return f.by == chosen[0] })
		allowed = forms[i].by + " " + forms[i].with
	default:
		c.add(path, "{…}", "exactly one of "+makers(forms), "it has "+strings.Join(chosen, " and "))
	}
	for _, name := range names {
		if !slices.Contains(strings.Fields(allowed), name) {
			c.misplaced(path, name, chosen)
		}
	}
}

// misplaced reports a field that does not go with the way in which the end is named.
func (c *checker) misplaced(path, name string, chosen []string) {
	switch {
	case strings.HasSuffix(path, ".aSide") && name == "cTag":
		c.add(path+".cTag", "", "not allowed", "the A side's inner tag is tag.cTag")
	case strings.HasSuffix(path, ".aSide") && name != "tag":
		c.add(join(path, name), "", "not allowed", "it belongs to the Z side, or to nothing")
	case len(chosen) == 1:
		c.add(join(path, name), "", "not allowed beside "+chosen[0], "")
	default:
		c.add(join(path, name), "", "not allowed", "it goes with none of "+makers(zSideForms))
	}
}

// values checks each value of an end by itself.
func (c *checker) values(path string, e *patchbayv1.Endpoint) {
	m := e.ProtoReflect()
	for _, r := range endpointRules {
		f := m.Descriptor().Fields().ByJSONName(r.field)
		c.optional(join(path, r.field), m.Get(f).String(), r.rule)
	}
	if e.GetRoutingId() != "" && e.GetMarket() == "" {
		c.add(path+".market", "", required, "the other customer's market, as in ATL")
	}
	c.number(path+".cTag", e.CTag, tagLimits)
	c.tag(path+".tag", e.GetTag())
}

func (c *checker) tag(path string, t *patchbayv1.Tag) {
	if t == nil {
		return
	}
	const forms = "exactly one of vlan, sTag (with or without cTag), untagged"
	given := 0
	for _, is := range []bool{t.Vlan != nil, t.STag != nil || t.CTag != nil, t.GetUntagged()} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		c.add(path, "", forms, "")
	case given > 1:
		c.add(path, tagText(t), forms, "")
	case t.CTag != nil && t.STag == nil:
		c.add(path+".sTag", "", required, "a cTag is the inner tag of an sTag")
	}
	c.number(path+".vlan", t.Vlan, tagLimits)
	c.number(path+".sTag", t.STag, tagLimits)
	c.number(path+".cTag", t.CTag, tagLimits)
}

// tagText writes a tag as the violation shows it.
func tagText(t *patchbayv1.Tag) string {
	var parts []string
	for _, x := range []struct {
		name string
		n    *int32
	}{{"vlan", t.Vlan}, {"sTag", t.STag}, {"cTag", t.CTag}} {
		if x.n != nil {
			parts = append(parts, strconv.Quote(x.name)+":"+fmt.Sprint(*x.n))
		}
	}
	if t.GetUntagged() {
		parts = append(parts, `"untagged":true`)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (c *checker) billing(b *patchbayv1.Billing) {
	if b == nil {
		return
	}
	c.optional("billing.accountId", b.GetAccountId(), exchangeID)
	c.term("billing.termMonths", b.TermMonths)
	c.optional("billing.longhaul", b.GetLonghaul(), longhaul)
	c.optional("billing.flexBandwidthId", b.GetFlexBandwidthId(), exchangeID)
}

// term checks a number of months, of billing or of a change.
func (c *checker) term(field string, n *int32) {
	if n != nil && !slices.Contains(terms, *n) {
		c.add(field, fmt.Sprint(*n), "one of 1, 12, 24, 36", "")
	}
}

func (c *checker) notifications(path string, all []*patchbayv1.Notification) {
	for i, n := range all {
		p := fmt.Sprintf("%s[%d]", path, i)
		c.optional(p+".type", n.GetType(), notifyType)
		if len(n.GetEmails()) == 0 {
			c.add(p+".emails", "", required, "at least one e-mail address")
		}
		seen := map[string]bool{}
		for j, email := range n.GetEmails() {
			field := fmt.Sprintf("%s.emails[%d]", p, j)
			folded := strings.ToLower(email)
			switch {
			case !validEmail(email):
				c.add(field, shown(field, email), "an e-mail address", "as in john.doe@example.com")
			case seen[folded]:
				c.add(field, shown(field, email), "an address once", "")
			}
			seen[folded] = true
		}
	}
}

func (c *checker) target(t *patchbayv1.Target) {
	const forms = "exactly one of connectionId, orderId, source and id"
	given := 0
	for _, is := range []bool{t.GetConnectionId() != "", t.GetOrderId() != "", t.GetSource() != "" || t.GetId() != ""} {
		if is {
			given++
		}
	}
	switch {
	case t == nil:
		c.add("target", "", required, forms)
		return
	case given == 0:
		c.add("target", "", forms, "")
	case given > 1:
		c.add("target", "{…}", forms, "")
	case t.GetSource() == "" && t.GetId() != "":
		c.add("target.source", "", required, "the source of the create that target.id names")
	case t.GetId() == "" && t.GetSource() != "":
		c.add("target.id", "", required, "the id of the create, as its source gave it")
	}
	c.optional("target.connectionId", t.GetConnectionId(), ourID)
	c.optional("target.orderId", t.GetOrderId(), ourID)
	c.optional("target.source", t.GetSource(), eventSource)
	c.optional("target.id", t.GetId(), eventSource)
}

func (c *checker) set(s *patchbayv1.ChangeSet) {
	const hint = "at least one of name, bandwidthMbps, tag, termMonths, notifications"
	switch {
	case s == nil:
		c.add("set", "", required, hint)
		return
	case len(fieldsOf(s)) == 0:
		c.add("set", "", "not empty", hint)
	}
	c.optional("set.name", s.GetName(), circuitName)
	c.number("set.bandwidthMbps", s.BandwidthMbps, bandwidthLimits)
	c.tag("set.tag", s.GetTag())
	c.term("set.termMonths", s.TermMonths)
	c.notifications("set.notifications", s.GetNotifications())
}

func (c *checker) decision(d *patchbayv1.Decision) {
	c.required("connectionId", d.GetConnectionId(), ourID)
	c.required("kind", d.GetKind(), orderKind)
	c.required("digest", d.GetDigest(), digestHex)
	c.required("by", d.GetBy(), person)
	c.optional("reason", d.GetReason(), remark)
}

// fieldsOf returns the fields that m has, in the order of the schema.
func fieldsOf(m proto.Message) []protoreflect.FieldDescriptor {
	var out []protoreflect.FieldDescriptor
	r := m.ProtoReflect()
	for i := range r.Descriptor().Fields().Len() {
		if f := r.Descriptor().Fields().Get(i); r.Has(f) {
			out = append(out, f)
		}
	}
	return out
}
