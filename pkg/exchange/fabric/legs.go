package fabric

import (
	"patchbay.io/pkg/exchange"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// leg is a leg of an intent as Fabric takes it.
type leg struct{ exchange.Leg }

func legsOf(in *patchbayv1.CreateIntent) []leg { return asLegs(exchange.LegsOf(in)) }

func asLegs(all []exchange.Leg) []leg {
	var legs []leg
	for _, l := range all {
		legs = append(legs, leg{l})
	}
	return legs
}

// untagged reports a leg that has a tag on no side: it takes whole ports.
func (l leg) untagged() bool {
	return exchange.Outer(l.A.GetTag()) == 0 && exchange.Outer(l.Z.GetTag()) == 0 && l.Z.GetProfileId() == "" &&
		(l.A.GetPortId() != "" || l.Z.GetPortId() != "")
}
