package ecx

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// createBody is the body of POST /l2/connections, as the guide names its fields. A pair
// is one body. What is absent is left out, the metro alone is then empty.
type createBody struct {
	PrimaryName            string   `json:"primaryName"`
	ProfileUUID            string   `json:"profileUUID,omitempty"`
	Speed                  int32    `json:"speed,omitempty"`
	SpeedUnit              string   `json:"speedUnit,omitempty"`
	Notifications          []string `json:"notifications"`
	PurchaseOrderNumber    string   `json:"purchaseOrderNumber,omitempty"`
	AuthorizationKey       string   `json:"authorizationKey,omitempty"`
	NamedTag               string   `json:"namedTag,omitempty"`
	SellerMetroCode        *string  `json:"sellerMetroCode,omitempty"`
	SellerRegion           string   `json:"sellerRegion,omitempty"`
	PrimaryPortUUID        string   `json:"primaryPortUUID,omitempty"`
	PrimaryVlanSTag        int32    `json:"primaryVlanSTag,omitempty"`
	PrimaryVlanCTag        int32    `json:"primaryVlanCTag,omitempty"`
	PrimaryZSidePortUUID   string   `json:"primaryZSidePortUUID,omitempty"`
	PrimaryZSideVlanSTag   int32    `json:"primaryZSideVlanSTag,omitempty"`
	PrimaryZSideVlanCTag   int32    `json:"primaryZSideVlanCTag,omitempty"`
	SecondaryName          string   `json:"secondaryName,omitempty"`
	SecondaryPortUUID      string   `json:"secondaryPortUUID,omitempty"`
	SecondaryVlanSTag      int32    `json:"secondaryVlanSTag,omitempty"`
	SecondaryVlanCTag      int32    `json:"secondaryVlanCTag,omitempty"`
	SecondaryZSidePortUUID string   `json:"secondaryZSidePortUUID,omitempty"`
	SecondaryZSideVlanSTag int32    `json:"secondaryZSideVlanSTag,omitempty"`
	SecondaryZSideVlanCTag int32    `json:"secondaryZSideVlanCTag,omitempty"`
	SecondaryAuthorization string   `json:"secondaryAuthorizationKey,omitempty"`
	SecondarySellerMetro   string   `json:"secondarySellerMetroCode,omitempty"`
	SecondarySellerRegion  string   `json:"secondarySellerRegion,omitempty"`
}

// newCreateBody writes one leg or a pair. A secondary leg that is placed alone goes out
// as a circuit of its own; the exchange does not tie it to its primary then.
func newCreateBody(in *patchbayv1.CreateIntent, legs []exchange.Leg) createBody {
	first := legs[0]
	b := createBody{
		PrimaryName: first.Name, ProfileUUID: first.Z.GetProfileId(),
		Notifications: emails(in), PurchaseOrderNumber: in.GetPurchaseOrder(),
		AuthorizationKey: first.Z.GetAuthorizationKey(), NamedTag: namedTag(first.Z.GetPeering()),
		SellerRegion:    first.Z.GetRegion(),
		PrimaryPortUUID: first.A.GetPortId(), PrimaryVlanSTag: exchange.Outer(first.A.GetTag()),
		PrimaryVlanCTag:      exchange.Inner(first.A.GetTag()),
		PrimaryZSidePortUUID: first.Z.GetPortId(), PrimaryZSideVlanSTag: exchange.Outer(first.Z.GetTag()),
		PrimaryZSideVlanCTag: zInner(first),
	}
	b.Speed, b.SpeedUnit = speed(in.GetBandwidthMbps())
	if b.ProfileUUID != "" {
		metro := first.Z.GetMetro()
		b.SellerMetroCode = &metro
	}
	if len(legs) < 2 {
		return b
	}
	second := legs[1]
	b.SecondaryName = second.Name
	b.SecondaryPortUUID, b.SecondaryVlanSTag = second.A.GetPortId(), exchange.Outer(second.A.GetTag())
	b.SecondaryVlanCTag = exchange.Inner(second.A.GetTag())
	b.SecondaryZSidePortUUID, b.SecondaryZSideVlanSTag = second.Z.GetPortId(), exchange.Outer(second.Z.GetTag())
	b.SecondaryZSideVlanCTag = zInner(second)
	b.SecondaryAuthorization = second.Z.GetAuthorizationKey()
	if second.Z.GetMetro() != first.Z.GetMetro() {
		b.SecondarySellerMetro = second.Z.GetMetro()
	}
	if second.Z.GetRegion() != first.Z.GetRegion() {
		b.SecondarySellerRegion = second.Z.GetRegion()
	}
	return b
}

// wire.Masked returns b with *** for its secrets.
func (b createBody) masked() createBody {
	for _, s := range []*string{&b.AuthorizationKey, &b.SecondaryAuthorization} {
		if *s != "" {
			*s = wire.Masked
		}
	}
	return b
}

// zInner is the inner tag on the Z side: on a profile's port the buyer's wish, on a port
// of one's own a part of the tag.
func zInner(l exchange.Leg) int32 { return cmp.Or(l.Z.GetCTag(), exchange.Inner(l.Z.GetTag())) }

// speed writes Mbit/s as the API does: GB where it comes out even.
func speed(mbps int32) (int32, string) {
	switch {
	case mbps <= 0:
		return 0, ""
	case mbps%1000 == 0:
		return mbps / 1000, "GB"
	}
	return mbps, "MB"
}

// emails are all addresses of an intent, each once. ECX does not tell kinds of news apart.
func emails(in *patchbayv1.CreateIntent) []string {
	list := []string{}
	for _, n := range in.GetNotifications() {
		for _, e := range n.GetEmails() {
			if !slices.Contains(list, e) {
				list = append(list, e)
			}
		}
	}
	return list
}

// namedTag writes PRIVATE as Private.
func namedTag(peering string) string {
	if peering == "" {
		return ""
	}
	return strings.ToUpper(peering[:1]) + strings.ToLower(peering[1:])
}

// secretsOf lists what of an intent must not be seen.
func secretsOf(in *patchbayv1.CreateIntent) []string {
	var list []string
	for _, l := range exchange.LegsOf(in) {
		list = append(list, l.A.GetServiceToken(), l.Z.GetServiceToken(), l.Z.GetAuthorizationKey(),
			l.A.GetAuthorizationKey())
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// Together reports true: a pair is one POST.
func (c *Client) Together() bool { return true }

// Keys returns "<port>/<S-tag>.<C-tag or 0>/<name>" for each leg.
func (c *Client) Keys(in *patchbayv1.CreateIntent) map[string]string {
	keys := make(map[string]string)
	for _, l := range exchange.LegsOf(in) {
		keys[l.Which] = lookUpKey(l.A.GetPortId(), l.A.GetTag(), l.Name)
	}
	return keys
}

// KeyOf returns the key of a circuit, or nothing where port, tag or name is not shown:
// tags of secondary circuits have been seen to read as 0.
func (c *Client) KeyOf(conn *patchbayv1.Connection) string {
	return lookUpKey(conn.GetASide().GetPortId(), conn.GetASide().GetTag(), conn.GetName())
}

func lookUpKey(port string, t *patchbayv1.Tag, name string) string {
	if port == "" || name == "" || exchange.Outer(t) == 0 {
		return ""
	}
	return port + "/" + strconv.Itoa(int(exchange.Outer(t))) + "." + strconv.Itoa(int(exchange.Inner(t))) + "/" + name
}

// decide makes a call that may create or decide something. It reports false if there was
// no 2xx; the outcome then says all that is known.
func (c *Client) decide(ctx context.Context, k wire.Call, v verb) (wire.Reply, exchange.Outcome, bool) {
	k.Decides = true
	r, err := c.wire.Send(ctx, c.login, k)
	if err != nil {
		return r, wire.Unanswered(err), false
	}
	if !r.OK() {
		return r, judge(r, v, k.Secrets), false
	}
	return r, exchange.Outcome{}, true
}

// Place creates the legs of a placement with one POST.
func (c *Client) Place(ctx context.Context, p exchange.Placement) exchange.Outcome {
	legs := p.LegsToPlace()
	if len(legs) == 0 {
		return exchange.RefusedHere("", "the placement has no leg")
	}
	k := v3Call(http.MethodPost, connections)
	k.Body, k.Secrets = newCreateBody(p.Intent, legs), secretsOf(p.Intent)
	r, out, ok := c.decide(ctx, k, toPlace)
	if !ok {
		return named(out, legs)
	}
	var names []string
	for _, l := range legs {
		names = append(names, l.Which)
	}
	return placed(r, names)
}

// named says which leg of ours a refusal is about: a leg that was placed alone was the
// request's primary.
func named(out exchange.Outcome, legs []exchange.Leg) exchange.Outcome {
	if len(legs) == 1 {
		out.Leg = legs[0].Which
	}
	return out
}

// updateBody is the body of ?action=update.
type updateBody struct {
	Name      string `json:"connectionNewName,omitempty"`
	Speed     int32  `json:"speed,omitempty"`
	SpeedUnit string `json:"speedUnit,omitempty"`
}

// Alter changes name and speed, all that ECX can change. It refuses the rest itself.
func (c *Client) Alter(ctx context.Context, exchangeID string, set *patchbayv1.ChangeSet) exchange.Outcome {
	switch {
	case set.GetTag() != nil:
		return exchange.RefusedHere("set.tag", "ECX v3 cannot change a tag")
	case set != nil && set.TermMonths != nil:
		return exchange.RefusedHere("set.termMonths", "ECX v3 has no terms")
	case len(set.GetNotifications()) > 0:
		return exchange.RefusedHere("set.notifications", "ECX v3 cannot change notifications")
	}
	b := updateBody{Name: set.GetName()}
	b.Speed, b.SpeedUnit = speed(set.GetBandwidthMbps())
	if b == (updateBody{}) {
		return exchange.RefusedHere("set", "nothing to change")
	}
	return c.command(ctx, patch(exchangeID, "update", b), exchangeID, toAlter)
}

// Remove asks for the end of a circuit. That there is none is Over.
func (c *Client) Remove(ctx context.Context, exchangeID string) exchange.Outcome {
	return c.command(ctx, v3Call(http.MethodDelete, connections+"/{id}", exchangeID), exchangeID, toRemove)
}

func patch(id, action string, body any) wire.Call {
	k := v3Call(http.MethodPatch, connections+"/{id}", id)
	k.Query, k.Body = url.Values{"action": {action}}, body
	return k
}

// command makes a deciding call on circuit id.
func (c *Client) command(ctx context.Context, k wire.Call, id string, v verb) exchange.Outcome {
	if !event.ValidID(id) {
		return exchange.RefusedHere("uuid", fmt.Sprintf("%q is no id of a circuit", id))
	}
	r, out, ok := c.decide(ctx, k, v)
	if !ok {
		return out
	}
	return done(r, id)
}

// Find pages through all that the account bought and keeps what bears the legs' keys. Those
// who look at one time share a reading of the list, which begins after each has asked.
//
// A circuit whose port and name fit but whose tag is not shown is looked at by itself.
// If its tag stays hidden and it has not ended, nothing can be concluded: an error.
func (c *Client) Find(ctx context.Context, p exchange.Placement) (exchange.Found, error) {
	legs := p.LegsToPlace()
	r, err := c.readBought(ctx)
	if err != nil {
		return exchange.Found{}, err
	}
	found := exchange.Found{Circuits: map[string][]*patchbayv1.Connection{}, Ahead: r.ahead}
	for _, conn := range r.circuits {
		for _, l := range legs {
			full, err := c.inFull(ctx, conn, l)
			if err != nil {
				return exchange.Found{}, err
			}
			if k := c.KeyOf(full); k != "" && k == lookUpKey(l.A.GetPortId(), l.A.GetTag(), l.Name) {
				found.Circuits[l.Which] = append(found.Circuits[l.Which], full)
			}
		}
	}
	return found, nil
}

// inFull reads conn by itself if it may be l but does not show its tag.
func (c *Client) inFull(ctx context.Context, conn *patchbayv1.Connection, l exchange.Leg) (*patchbayv1.Connection, error) {
	like := conn.GetName() == l.Name && conn.GetASide().GetPortId() == l.A.GetPortId()
	if !like || exchange.Outer(conn.GetASide().GetTag()) != 0 || status.Status(conn.GetStatus()).Ended() {
		return conn, nil
	}
	full, err := c.get(ctx, conn.GetExchangeId(), exchange.ForOrder)
	if err != nil {
		return nil, err
	}
	if exchange.Outer(full.GetASide().GetTag()) == 0 && !status.Status(full.GetStatus()).Ended() {
		return nil, fmt.Errorf("circuit %s looks like the one sought and does not show its tag", full.GetExchangeId())
	}
	return full, nil
}
