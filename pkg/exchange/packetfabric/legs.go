package packetfabric

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
)

// leg is a leg of an intent as PacketFabric takes it.
type leg struct {
	exchange.Leg
	label string // what describes the circuit at the exchange
}

func legsOf(in *patchbayv1.CreateIntent) []leg { return asLegs(in, exchange.LegsOf(in)) }

func asLegs(in *patchbayv1.CreateIntent, all []exchange.Leg) []leg {
	var legs []leg
	for _, l := range all {
		legs = append(legs, leg{l, cmp.Or(in.GetDescription(), l.Name)})
	}
	return legs
}

// ownPort reports whether the leg goes to a port of the buyer's own.
func (l leg) ownPort() bool { return l.Z.GetPortId() != "" }

// key is the leg's look-up key.
func (l leg) key(account string, mbps int32) string {
	if l.ownPort() {
		return ownKey([2]string{l.A.GetPortId(), l.Z.GetPortId()}, [2]*patchbayv1.Tag{l.A.GetTag(), l.Z.GetTag()}, l.label)
	}
	return marketKey(account, l.Z.GetRoutingId(), l.Z.GetMarket(), mbps)
}

// marketKey is all that the list of requests echoes of one: to whom, where, how fast. Two
// orders may well share it, hence the holds on lookalikes.
func marketKey(account, routing, market string, mbps int32) string {
	if routing == "" || market == "" || mbps == 0 {
		return ""
	}
	return strings.Join([]string{account, routing, strings.ToUpper(market), strconv.Itoa(int(mbps))}, "/")
}

// ownKey names a circuit by its two ends, in either order, and its description.
func ownKey(ports [2]string, tags [2]*patchbayv1.Tag, label string) string {
	if ports[0] == "" || ports[1] == "" || label == "" {
		return ""
	}
	ends := make([]string, 0, 2)
	for i, port := range ports {
		ends = append(ends, fmt.Sprintf("%s/%d.%d", port, exchange.Outer(tags[i]), exchange.Inner(tags[i])))
	}
	slices.Sort(ends)
	return strings.Join(append(ends, label), "/")
}

// Keys returns the look-up key of each leg: of one to another customer "<account>/<routing
// id>/<market>/<Mbit/s>", of one between ports of one's own both ends and the description.
func (c *Client) Keys(in *patchbayv1.CreateIntent) map[string]string {
	keys := make(map[string]string)
	for _, l := range legsOf(in) {
		keys[l.Which] = l.key(c.cfg.Account.Name, in.GetBandwidthMbps())
	}
	return keys
}

// KeyOf returns the key of a circuit. It is empty where the routing id that leads to the
// other customer is not known, for no answer tells it.
func (c *Client) KeyOf(conn *patchbayv1.Connection) string {
	a, z := conn.GetASide(), conn.GetZSide()
	if seller := z.GetProfileId(); seller != "" {
		return marketKey(c.cfg.Account.Name, c.known.routeTo(seller), z.GetMetro(), conn.GetBandwidthMbps())
	}
	return ownKey([2]string{a.GetPortId(), z.GetPortId()}, [2]*patchbayv1.Tag{a.GetTag(), z.GetTag()}, conn.GetName())
}
