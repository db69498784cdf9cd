package exchange

import (
	"cmp"
	"slices"

	"patchbay.io/pkg/intent"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// A Leg is one circuit of an intent with what it inherits.
type Leg struct {
	Which string // primary or secondary
	Name  string
	A, Z  *patchbayv1.Endpoint
	Pair  bool // it is one of two

	own *patchbayv1.Leg // what the intent says of this leg itself
}

// LegsOf returns the legs of an intent, the primary first.
func LegsOf(in *patchbayv1.CreateIntent) []Leg {
	full := intent.Expand(in)
	one, two := full.GetPrimary(), full.GetSecondary()
	legs := []Leg{{Which: Primary, Name: in.GetName(), A: one.GetASide(), Z: one.GetZSide(), Pair: two != nil,
		own: in.GetPrimary()}}
	if two != nil {
		legs = append(legs, Leg{Which: Secondary, Name: two.GetName(), A: two.GetASide(), Z: two.GetZSide(), Pair: true,
			own: in.GetSecondary()})
	}
	return legs
}

// LegsToPlace returns the legs of the placement's intent that are to be placed, the primary
// first.
func (p Placement) LegsToPlace() []Leg {
	all := LegsOf(p.Intent)
	if slices.Contains(p.Legs, Both) {
		return all
	}
	return slices.DeleteFunc(all, func(l Leg) bool { return !slices.Contains(p.Legs, l.Which) })
}

// Field is the path of a field of one of the leg's sides, aSide or zSide. A value that the
// secondary leg inherits is the primary's to blame; only those of a Z side are inherited.
func (l Leg) Field(side, name string) string {
	which := l.Which
	if which == Secondary && side == "zSide" && !l.says(name) {
		which = Primary
	}
	return which + "." + side + "." + name
}

// says reports whether the leg itself gives the field of its Z side, rather than inherit it.
func (l Leg) says(name string) bool {
	m := l.own.GetZSide().ProtoReflect()
	f := m.Descriptor().Fields().ByJSONName(name)
	return f != nil && m.Has(f)
}

// Outer is the VLAN or S-tag of a tag; 0 if absent.
func Outer(t *patchbayv1.Tag) int32 { return cmp.Or(t.GetVlan(), t.GetSTag()) }

// Inner is the C-tag of a tag; 0 if absent.
func Inner(t *patchbayv1.Tag) int32 { return t.GetCTag() }

// RefusedHere is the outcome of a call that would be in vain: nothing was sent.
func RefusedHere(property, message string) Outcome {
	return Outcome{Class: Refused, Answer: "not sent", Message: message, Property: property}
}
