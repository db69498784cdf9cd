package packetfabric

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/intent"
)

// leg is one circuit of an intent with what it inherits.
type leg struct {
	which string // primary or secondary
	label string // what describes the circuit at the exchange
	a, z  *patchbayv1.Endpoint
	own   *patchbayv1.Leg // what the intent says of this leg itself
}

// legsOf returns the legs of an intent, the primary first.
func legsOf(in *patchbayv1.CreateIntent) []leg {
	full := intent.Expand(in)
	one, two := full.GetPrimary(), full.GetSecondary()
	legs := []leg{{which: exchange.Primary, label: cmp.Or(in.GetDescription(), in.GetName()),
		a: one.GetASide(), z: one.GetZSide(), own: in.GetPrimary()}}
	if two != nil {
		legs = append(legs, leg{which: exchange.Secondary, label: cmp.Or(in.GetDescription(), two.GetName()),
			a: two.GetASide(), z: two.GetZSide(), own: in.GetSecondary()})
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

// ownPort reports whether the leg goes to a port of the buyer's own.
func (l leg) ownPort() bool { return l.z.GetPortId() != "" }

// key is the leg's look-up key.
func (l leg) key(account string, mbps int32) string {
	if l.ownPort() {
		return ownKey([2]string{l.a.GetPortId(), l.z.GetPortId()}, [2]*patchbayv1.Tag{l.a.GetTag(), l.z.GetTag()}, l.label)
	}
	return marketKey(account, l.z.GetRoutingId(), l.z.GetMarket(), mbps)
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
		outer, inner := tags[i].GetVlan(), tags[i].GetCTag()
		if tags[i].GetSTag() != 0 {
			outer = tags[i].GetSTag()
		}
		ends = append(ends, fmt.Sprintf("%s/%d.%d", port, outer, inner))
	}
	slices.Sort(ends)
	return strings.Join(append(ends, label), "/")
}

// Keys returns the look-up key of each leg: of one to another customer "<account>/<routing
// id>/<market>/<Mbit/s>", of one between ports of one's own both ends and the description.
func (c *Client) Keys(in *patchbayv1.CreateIntent) map[string]string {
	keys := make(map[string]string)
	for _, l := range legsOf(in) {
		keys[l.which] = l.key(c.cfg.Account.Name, in.GetBandwidthMbps())
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
