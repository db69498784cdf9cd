package hold

import (
	"fmt"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// OfLeg returns the holds that a leg of a create needs before it is placed: the tag on its
// A-side port and, where the Z side is a port too, the tag there; the tokens it spends; and
// the right to be the only request of its looks, where the exchange shows no more of one.
// The order's intent is redacted, so a token is known by its HMAC.
func OfLeg(o *patchbayv1.Order, leg string) []Want {
	if o.GetCreate() == nil {
		return nil
	}
	full := intent.Expand(o.GetCreate())
	side := full.GetPrimary()
	if leg != "primary" {
		side = full.GetSecondary()
	}
	var all []Want
	want := func(kind, key, field string, inner int32) {
		if field != "" {
			field = leg + "." + field
		}
		all = append(all, Want{Kind: kind, Key: key, Field: field, Owner: &patchbayv1.Owner{
			Id: o.GetId(), Noun: string(event.Order), Leg: leg, Inner: inner,
		}})
	}
	for _, end := range []struct {
		name string
		*patchbayv1.Endpoint
	}{{"aSide", side.GetASide()}, {"zSide", side.GetZSide()}} {
		if port := end.GetPortId(); port != "" {
			outer, inner := OuterInner(end.GetTag())
			want(Tag, TagKey(o.GetExchange(), port, outer), end.name+".tag", inner)
		}
		if token := end.GetServiceToken(); token != "" {
			want(Token, token, end.name+".serviceToken", 0)
		}
	}
	if to := side.GetZSide(); to.GetRoutingId() != "" {
		want(Lookalike, lookalikeKey(o.GetAccount(), to, full.GetBandwidthMbps()), "", 0)
	}
	return all
}

// lookalikeKey names what PacketFabric shows of a request that was sent: neither the port
// nor the tag nor the description.
func lookalikeKey(account string, to *patchbayv1.Endpoint, mbps int32) string {
	return fmt.Sprintf("%s/%s/%s/%d", account, to.GetRoutingId(), to.GetMarket(), mbps)
}
