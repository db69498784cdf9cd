package simulation

import (
	"fmt"
	"net/http"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Ports of the inventory at Equinix: Dot1q ones of ours and the seller's in SV, and
// untagged ones of ours.
const (
	farPort   = "a867f685-41b0-1b07-6de0-320a5c00abdd"
	tokenPort = "c10d1050-0000-4000-8000-000000000004"
)

// fabricWays are the ways to a profile that only Fabric has, after those of the guide: to
// one without a key, to one whose own system approves, and to one of our own.
func fabricWays() []way {
	one, two := ways()[0].ports[0], ways()[0].ports[1]
	return append(ways(),
		way{ports: [2]string{one, two}, profile: "20d32a80-0d61-4333-bc03-707b591ae2f4", metro: "SV", free: true},
		way{ports: [2]string{one, two}, profile: "c10f0000-0000-4000-8000-000000000009", metro: "SV", free: true, single: true},
		way{ports: [2]string{one, two}, profile: "acef0000-0000-4000-8000-000000000001", metro: "SV", free: true},
	)
}

// fabricCreate returns the n-th create of a world, at Fabric.
func (w *world) fabricCreate(n int, pair bool, seller string) wish {
	switch w.pick(10) {
	case 0, 1:
		return w.byZToken(n, pair, seller)
	case 2, 3:
		return w.byAToken(n, seller)
	case 4:
		return betweenPorts(n, pair, seller)
	case 5:
		return w.wholePorts(n, seller)
	default:
		v := fabricWays()[w.pick(len(fabricWays()))]
		return toProfile(n, v, pair && !v.single, seller)
	}
}

// toProfile is a circuit, or a pair made by two calls, to a profile.
func toProfile(n int, v way, pair bool, seller string) wish {
	v.zCTag = false // the seller's to choose
	c := create(n, v, pair, seller)
	in := c.intent()
	in.Account = "acme-fabric"
	if v.free {
		in.Primary.ZSide.AuthorizationKey = ""
	}
	return c
}

// fabricWish is a create at Fabric from a Dot1q port, whose Z side is up to the caller.
func fabricWish(n int, pair bool, seller string) (wish, *patchbayv1.CreateIntent) {
	c := toProfile(n, ways()[0], pair, seller)
	in := c.intent()
	in.Primary.ZSide = nil
	return c, in
}

// byZToken spends a token of the seller's for each leg. Nobody has to approve.
func (w *world) byZToken(n int, pair bool, seller string) wish {
	c, in := fabricWish(n, pair, seller)
	c.late = true
	in.Primary.ZSide = &patchbayv1.Endpoint{ServiceToken: w.issue("zSide", 2*n)}
	if pair {
		in.Secondary.ZSide = &patchbayv1.Endpoint{ServiceToken: w.issue("zSide", 2*n+1)}
	}
	return c
}

// byAToken goes from a port of somebody else's to one of our own or to a profile.
func (w *world) byAToken(n int, seller string) wish {
	c, in := fabricWish(n, false, seller)
	c.late = true
	in.Primary.ASide = &patchbayv1.Endpoint{ServiceToken: w.issue("aSide", 2*n)}
	if w.chance(2) {
		in.Primary.ZSide = &patchbayv1.Endpoint{PortId: farPort, Tag: ways()[0].tag(100 + 2*n)}
	} else {
		in.Primary.ZSide = &patchbayv1.Endpoint{ProfileId: ways()[0].profile, Metro: "SV", AuthorizationKey: canary}
	}
	return c
}

// betweenPorts is a circuit between two ports of our own.
func betweenPorts(n int, pair bool, seller string) wish {
	c, in := fabricWish(n, pair, seller)
	in.Primary.ZSide = &patchbayv1.Endpoint{PortId: farPort, Tag: ways()[0].tag(100 + 2*n)}
	if pair {
		in.Secondary.ZSide = &patchbayv1.Endpoint{Tag: ways()[0].tag(101 + 2*n)}
	}
	return c
}

// wholePorts is an EPL, between two ports of our own or from one to a token. There are few
// such ports, so some come too late.
func (w *world) wholePorts(n int, seller string) wish {
	c, in := fabricWish(n, false, seller)
	c.late = true
	port := func(metro, number int) *patchbayv1.Endpoint {
		return &patchbayv1.Endpoint{PortId: fmt.Sprintf("ace00%s0-0000-4000-8000-00000000000%d", []string{"05", "0d"}[metro], number)}
	}
	metro := w.pick(2)
	in.Primary.ASide, in.Primary.ZSide = port(metro, 1), port(metro, 2)
	if metro == 0 && w.chance(2) {
		in.Primary.ASide = port(metro, 1+w.pick(2))
		in.Primary.ZSide = &patchbayv1.Endpoint{ServiceToken: eplToken}
	}
	return c
}

// eplToken is the one token for untagged ports that every exchange starts with.
const eplToken = "20d32a80-0d61-4333-bc03-707b591ae2f8"

// issue has the seller issue a token for one side, and returns it. It must show up nowhere.
func (w *world) issue(side string, n int) string {
	var answer struct {
		UUID string `json:"uuid"`
	}
	selector := map[string]any{
		"type": "COLO", "port": map[string]string{"uuid": tokenPort},
		"linkProtocol": map[string]any{"type": "DOT1Q", "vlanTag": 2000 + n},
	}
	w.as(cloud).call(http.MethodPost, "/fabric/v4/serviceTokens", map[string]any{
		"type": "VC_TOKEN", "name": fmt.Sprintf("token-%d", n),
		"connection": map[string]any{
			"type": "EVPL_VC", "allowRemoteConnection": true, "allowCustomBandwidth": true,
			side: map[string]any{"accessPointSelectors": []any{selector}},
		},
	}, &answer)
	if answer.UUID == "" {
		w.t.Fatal("the exchange issues no token")
	}
	w.secrets = append(w.secrets, answer.UUID)
	return answer.UUID
}
