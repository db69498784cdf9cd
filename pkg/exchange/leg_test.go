package exchange_test

import (
	"testing"

	"patchbay.io/pkg/exchange"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func pair() *patchbayv1.CreateIntent {
	return &patchbayv1.CreateIntent{Name: "one",
		Primary: &patchbayv1.Leg{ASide: &patchbayv1.Endpoint{PortId: "a1"},
			ZSide: &patchbayv1.Endpoint{ProfileId: "p", Metro: "SV", AuthorizationKey: "k"}},
		Secondary: &patchbayv1.Leg{Name: "two", ASide: &patchbayv1.Endpoint{PortId: "a2"},
			ZSide: &patchbayv1.Endpoint{Metro: "DC"}}}
}

func TestLegsInherit(t *testing.T) {
	legs := exchange.LegsOf(pair())
	if len(legs) != 2 || !legs[0].Pair || !legs[1].Pair {
		t.Fatalf("legs %v, want the two of a pair", legs)
	}
	two := legs[1]
	if two.Which != exchange.Secondary || two.Name != "two" || two.A.GetPortId() != "a2" ||
		two.Z.GetProfileId() != "p" || two.Z.GetMetro() != "DC" || two.Z.GetAuthorizationKey() != "k" {
		t.Errorf("secondary %+v; want its own name, port and metro, and the primary's profile and key", two)
	}
	single := pair()
	single.Secondary = nil
	if legs := exchange.LegsOf(single); len(legs) != 1 || legs[0].Pair || legs[0].Name != "one" {
		t.Errorf("legs %v, want one that is alone", legs)
	}
}

func TestLegsToPlace(t *testing.T) {
	tests := []struct {
		legs []string
		want string
	}{
		{nil, ""},
		{[]string{exchange.Primary}, "primary "},
		{[]string{exchange.Secondary}, "secondary "},
		{[]string{exchange.Both}, "primary secondary "},
		{[]string{exchange.Secondary, exchange.Primary}, "primary secondary "},
		{[]string{"third"}, ""},
	}
	for _, tt := range tests {
		got := ""
		for _, l := range (exchange.Placement{Intent: pair(), Legs: tt.legs}).LegsToPlace() {
			got += l.Which + " "
		}
		if got != tt.want {
			t.Errorf("of %v the legs %q, want %q", tt.legs, got, tt.want)
		}
	}
}

// TestField names the leg that can be blamed: what the secondary inherits is the primary's.
func TestField(t *testing.T) {
	two := exchange.LegsOf(pair())[1]
	for _, tt := range []struct{ side, name, want, reason string }{
		{"zSide", "metro", "secondary.zSide.metro", "it has its own"},
		{"zSide", "profileId", "primary.zSide.profileId", "it is inherited"},
		{"aSide", "portId", "secondary.aSide.portId", "it has its own"},
		{"aSide", "tag", "secondary.aSide.tag", "nothing of an A side is inherited, so it is the secondary that lacks it"},
	} {
		if got := two.Field(tt.side, tt.name); got != tt.want {
			t.Errorf("%s of %s: %s, want %s: %s", tt.name, tt.side, got, tt.want, tt.reason)
		}
	}
}
