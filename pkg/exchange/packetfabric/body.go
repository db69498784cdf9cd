package packetfabric

import (
	"fmt"
	"slices"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Tags that are sent: 1 to 3 are reserved.
const minTag, maxTag = 4, 4094

// usage is the kind of longhaul of which the speed does not count.
const usage = "usage"

// speeds are what PacketFabric sells, in Mbit/s.
var speeds = []int32{50, 100, 200, 300, 400, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000,
	40_000, 50_000, 60_000, 80_000, 100_000}

// sold reports whether there is a speed of so many Mbit/s.
func sold(mbps int32) bool { return slices.Contains(speeds, mbps) }

// speedText writes a speed as the API does.
func speedText(mbps int32) string {
	if mbps >= 1000 && mbps%1000 == 0 {
		return fmt.Sprintf("%dGbps", mbps/1000)
	}
	return fmt.Sprintf("%dMbps", mbps)
}

// landingBody is an end of a circuit in a request. A VLAN of 0 is not the same as none.
type landingBody struct {
	Port     string `json:"port_circuit_id"`
	Vlan     int32  `json:"vlan,omitempty"`
	Svlan    int32  `json:"svlan,omitempty"`
	Untagged bool   `json:"untagged,omitempty"`
}

// landOn writes a port and a tag. No tag is an untagged end, as of a circuit that takes
// the whole port; an outer tag without an inner one has the same number inside.
func landOn(port string, t *patchbayv1.Tag) landingBody {
	b := landingBody{Port: port, Vlan: t.GetVlan(), Svlan: t.GetSTag()}
	switch {
	case b.Svlan != 0 && t.GetCTag() != 0:
		b.Vlan = t.GetCTag()
	case b.Svlan != 0:
		b.Vlan = b.Svlan
	}
	b.Untagged = b.Vlan == 0
	return b
}

// paidBody says how a circuit is paid for.
type paidBody struct {
	Account  string `json:"account_uuid"`
	Longhaul string `json:"longhaul_type,omitempty"`
	Term     int32  `json:"subscription_term,omitempty"`
	Speed    string `json:"speed,omitempty"`
}

// thirdPartyBody is the body of POST /v2/services/third-party.
type thirdPartyBody struct {
	Routing     string      `json:"routing_id"`
	Market      string      `json:"market"`
	Description string      `json:"description,omitempty"`
	RateIn      int32       `json:"rate_limit_in,omitempty"`
	RateOut     int32       `json:"rate_limit_out,omitempty"`
	Bandwidth   *paidBody   `json:"bandwidth,omitempty"`
	Interface   landingBody `json:"interface"`
	Service     string      `json:"service_uuid,omitempty"`
	Flex        string      `json:"flex_bandwidth_id,omitempty"`
}

// backboneBody is the body of POST /v2/services/backbone, with the A side first.
type backboneBody struct {
	Description string         `json:"description"`
	Bandwidth   *paidBody      `json:"bandwidth,omitempty"`
	Interfaces  [2]landingBody `json:"interfaces"`
	RateIn      int32          `json:"rate_limit_in,omitempty"`
	RateOut     int32          `json:"rate_limit_out,omitempty"`
	Whole       bool           `json:"epl"`
	Flex        string         `json:"flex_bandwidth_id,omitempty"`
}

// pay writes how a circuit is paid for; nil if flex bandwidth covers it.
func pay(in *patchbayv1.CreateIntent) *paidBody {
	b := in.GetBilling()
	if b.GetFlexBandwidthId() != "" {
		return nil
	}
	p := &paidBody{Account: b.GetAccountId(), Longhaul: b.GetLonghaul(), Term: b.GetTermMonths()}
	if speedCounts(b) {
		p.Speed = speedText(in.GetBandwidthMbps())
	}
	return p
}

// speedCounts reports whether the speed of a circuit has to be one that is sold.
func speedCounts(b *patchbayv1.Billing) bool {
	return b.GetFlexBandwidthId() == "" && b.GetLonghaul() != usage
}

// whole reports whether neither end has a tag, so that the circuit takes both ports whole:
// two untagged ends make no EVPL.
func (l leg) whole() bool {
	return landOn("", l.A.GetTag()).Untagged && landOn("", l.Z.GetTag()).Untagged
}

// body returns where the request for a leg goes, and its body.
func (l leg) body(in *patchbayv1.CreateIntent) (string, any) {
	rate, flex := in.GetBandwidthMbps(), in.GetBilling().GetFlexBandwidthId()
	if l.ownPort() {
		return services + "/backbone", backboneBody{
			Description: l.label, Bandwidth: pay(in), RateIn: rate, RateOut: rate, Whole: l.whole(), Flex: flex,
			Interfaces: [2]landingBody{landOn(l.A.GetPortId(), l.A.GetTag()), landOn(l.Z.GetPortId(), l.Z.GetTag())},
		}
	}
	return services + "/third-party", thirdPartyBody{
		Routing: l.Z.GetRoutingId(), Market: l.Z.GetMarket(), Description: l.label, RateIn: rate, RateOut: rate,
		Bandwidth: pay(in), Interface: landOn(l.A.GetPortId(), l.A.GetTag()), Service: l.Z.GetServiceId(), Flex: flex,
	}
}
