// Package intent reads what upstream systems want, and what people decide: creates,
// changes, deletes, approvals and rejections.
//
// It reads strictly and answers once: a wrong text gets every rule it breaks, by field
// path, with the value, the rule and, where one is known, the remedy. It also puts
// secrets out of sight, digests and compares messages, and fills in what a redundant
// pair inherits.
//
// The package relies on the schema in patchbay.io/proto alone: names and types of fields
// are read from it, so a new field needs no code here unless it has rules. It does no I/O,
// asks no exchange, knows no clock, never panics on any input and never shows a secret:
// not in a violation, not in a difference. What needs a look at the exchange (does the port
// exist, which tags does it allow) is checked elsewhere.
package intent

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Kinds of intents and decisions, as in their CloudEvents types.
const (
	Create  = "create"
	Change  = "change"
	Delete  = "delete"
	Approve = "approve"
	Reject  = "reject"
)

// New returns an empty message for an intent or decision of a kind, nil if there is no
// such kind.
func New(noun event.Noun, kind string) proto.Message {
	switch {
	case noun == event.Intent && kind == Create:
		return new(patchbayv1.CreateIntent)
	case noun == event.Intent && kind == Change:
		return new(patchbayv1.ChangeIntent)
	case noun == event.Intent && kind == Delete:
		return new(patchbayv1.DeleteIntent)
	case noun == event.Decision && (kind == Approve || kind == Reject):
		return new(patchbayv1.Decision)
	default:
		return nil
	}
}

// KindOf guesses the kind of an intent that comes without its CloudEvent, by the fields
// that only one kind has: a target and a set make a change, a target alone a delete,
// anything else is read as a create.
func KindOf(data []byte) string {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(bytes.TrimSpace(data), &fields); err != nil {
		return Create
	}
	_, target := fields["target"]
	_, set := fields["set"]
	switch {
	case set:
		return Change
	case target:
		return Delete
	default:
		return Create
	}
}

// Read decodes data and checks it: all violations of [Decode] and of [Check] at once,
// without those of the second that only follow from the first. The message is nil if the
// data could not be read at all; else it has whatever could be.
func Read(noun event.Noun, kind string, data []byte) (proto.Message, []*patchbayv1.Violation) {
	m, r := decode(noun, kind, data)
	if m == nil {
		return nil, r.result()
	}
	c := new(checker)
	c.check(m)
	if d, ok := m.(*patchbayv1.Decision); ok && kind == Reject && d.GetReason() == "" {
		c.add("reason", "", required, "the other company is told why")
	}
	for _, v := range c.violations {
		if !r.explains(v) {
			v.Field = r.asWritten(v.GetField())
			r.violations = append(r.violations, v)
		}
	}
	return m, r.result()
}

// Line returns v as one line for people, as in
//
//	primary.aSide.tag.vlan: a number from 1 to 4094, got 5000
func Line(v *patchbayv1.Violation) string {
	s := v.GetRule()
	if v.GetField() != "" {
		s = v.GetField() + ": " + s
	}
	if v.GetValue() != "" {
		s += ", got " + v.GetValue()
	}
	if v.GetHint() != "" {
		s += " (" + v.GetHint() + ")"
	}
	return s
}

// Expand returns create with every default filled in and, for a pair, with what the
// secondary inherits: each field of the primary's Z side that the secondary's lacks.
// Nothing of an A side is inherited, since a tag on a port is used once.
func Expand(create *patchbayv1.CreateIntent) *patchbayv1.CreateIntent {
	out := proto.CloneOf(create)
	if out.GetOnLegFailure() == "" {
		out.OnLegFailure = Keep
	}
	for _, n := range out.GetNotifications() {
		if n.GetType() == "" {
			n.Type = allNotifications
		}
	}
	if s := out.GetSecondary(); s != nil && out.GetPrimary().GetZSide() != nil {
		z := proto.CloneOf(out.GetPrimary().GetZSide())
		override(z, s.GetZSide())
		s.ZSide = z
	}
	return out
}

// override puts each field that from has in the place of to's.
func override(to, from *patchbayv1.Endpoint) {
	if from == nil {
		return
	}
	for _, f := range fieldsOf(from) {
		to.ProtoReflect().Set(f, from.ProtoReflect().Get(f))
	}
}
