package fabric

import (
	"cmp"
	"slices"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/intent"
)

// leg is one circuit of an intent with what it inherits.
type leg struct {
	which string // primary or secondary
	name  string
	a, z  *patchbayv1.Endpoint
	own   *patchbayv1.Leg // what the intent says of this leg itself
	pair  bool            // it is one of two
}

// legsOf returns the legs of an intent, the primary first.
func legsOf(in *patchbayv1.CreateIntent) []leg {
	full := intent.Expand(in)
	one, two := full.GetPrimary(), full.GetSecondary()
	legs := []leg{{which: exchange.Primary, name: in.GetName(), a: one.GetASide(), z: one.GetZSide(),
		own: in.GetPrimary(), pair: two != nil}}
	if two != nil {
		legs = append(legs, leg{which: exchange.Secondary, name: two.GetName(), a: two.GetASide(), z: two.GetZSide(),
			own: in.GetSecondary(), pair: true})
	}
	return legs
}

// pick returns the legs that a placement is about.
func pick(all []leg, which []string) []leg {
	if slices.Contains(which, exchange.Both) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(l leg) bool { return !slices.Contains(which, l.which) })
}

// untagged reports a leg that has a tag on no side: it takes whole ports.
func (l leg) untagged() bool {
	return outer(l.a.GetTag()) == 0 && outer(l.z.GetTag()) == 0 && l.z.GetProfileId() == "" &&
		(l.a.GetPortId() != "" || l.z.GetPortId() != "")
}

// outer and inner are a tag's numbers, 0 if absent.
func outer(t *patchbayv1.Tag) int32 { return cmp.Or(t.GetVlan(), t.GetSTag()) }
func inner(t *patchbayv1.Tag) int32 { return t.GetCTag() }
