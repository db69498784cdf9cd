package ecx

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
}

// legsOf returns the legs of an intent, the primary first.
func legsOf(in *patchbayv1.CreateIntent) []leg {
	full := intent.Expand(in)
	one, two := full.GetPrimary(), full.GetSecondary()
	legs := []leg{{which: exchange.Primary, name: in.GetName(), a: one.GetASide(), z: one.GetZSide(), own: in.GetPrimary()}}
	if two != nil {
		legs = append(legs, leg{which: exchange.Secondary, name: two.GetName(), a: two.GetASide(), z: two.GetZSide(),
			own: in.GetSecondary()})
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

// outer and inner are a tag's numbers, 0 if absent.
func outer(t *patchbayv1.Tag) int32 { return cmp.Or(t.GetVlan(), t.GetSTag()) }
func inner(t *patchbayv1.Tag) int32 { return t.GetCTag() }

// cTag is the inner tag asked for on a Z side, nil if none is.
func cTag(z *patchbayv1.Endpoint) *int32 {
	if z == nil {
		return nil
	}
	return z.CTag
}
