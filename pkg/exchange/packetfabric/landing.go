package packetfabric

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// port is a port as the API shows it.
type port struct {
	ID       wire.ID   `json:"port_circuit_id"`
	Name     wire.Text `json:"description"`
	Market   wire.Text `json:"market"`
	ENNI     wire.Flag `json:"is_nni"`
	Customer wire.ID   `json:"customer_uuid"`
}

func readPort(b []byte) (port, error) {
	var p port
	if !decode(b, &p) || !event.ValidID(string(p.ID)) {
		return port{}, errors.New("a port without a usable id")
	}
	return p, nil
}

func (p port) encapsulation() string {
	if p.ENNI {
		return qinq
	}
	return dot1q
}

// Ports returns the account's ports, at most CacheFor old. An ENNI port is qinq.
func (c *Client) Ports(ctx context.Context) ([]exchange.Port, error) {
	all, err := c.allPorts(ctx, exchange.ForOrder)
	if err != nil {
		return nil, err
	}
	ports := make([]exchange.Port, 0, len(all))
	for _, p := range all {
		ports = append(ports, exchange.Port{ID: string(p.ID), Name: string(p.Name), Metro: string(p.Market),
			Encapsulation: p.encapsulation()})
	}
	return ports, nil
}

func (c *Client) allPorts(ctx context.Context, p exchange.Purpose) ([]port, error) {
	if all, ok := c.ports.Get(""); ok {
		return all, nil
	}
	return c.freshPorts(ctx, p)
}

func (c *Client) freshPorts(ctx context.Context, p exchange.Purpose) ([]port, error) {
	return remembered(ctx, c, c.ports, call(http.MethodGet, v2, "/ports", p), readPort)
}

// remembered reads a list and keeps it for a while.
func remembered[T any](ctx context.Context, c *Client, m *wire.Memo[string, []T], k wire.Call,
	read func([]byte) (T, error)) ([]T, error) {
	r, err := c.read(ctx, k)
	if err != nil {
		return nil, err
	}
	all, err := readAll(r, read)
	if err != nil {
		return nil, malformed(k, err)
	}
	m.Put("", all)
	return all, nil
}

// provisionBody is the body of POST /v2/services/requests/{id}/provision.
type provisionBody struct {
	Interface   landingBody `json:"interface"`
	Description string      `json:"description,omitempty"`
}

// Accept provisions a request on a port and a tag. PacketFabric asks a seller about new
// circuits only. An untagged landing is refused unless the request allows it.
func (c *Client) Accept(ctx context.Context, a exchange.Acceptance) exchange.Outcome {
	if out, ok := answerable(a.ExchangeID, a.Kind); !ok {
		return out
	}
	if a.PortID == "" || a.Tag == nil {
		return exchange.RefusedHere("interface", "a new circuit lands on a port and a tag")
	}
	if field, why := wrongTag(a.Tag, a.Tag.STag != nil); why != "" && (field != ".cTag" || a.Tag.CTag != nil) {
		return exchange.RefusedHere("interface", why)
	}
	if a.Tag.GetUntagged() {
		q, _, err := c.getRequest(ctx, a.ExchangeID, exchange.ForOrder)
		switch {
		case errors.Is(err, errAbsent):
			return exchange.RefusedHere("", "the request is gone")
		case err != nil:
			return undecided(err)
		case !bool(q.AllowUntaggedZ):
			return exchange.RefusedHere("interface.untagged", "the request does not allow an untagged Z side")
		}
	}
	k := call(http.MethodPost, v2, requests+"/{id}/provision", exchange.ForOrder, a.ExchangeID)
	k.Body = provisionBody{Interface: landOn(a.PortID, a.Tag), Description: a.Description}
	r, out, ok := c.decide(ctx, k)
	if !ok {
		return c.afterAnswer(ctx, out, a.ExchangeID, "provisioned")
	}
	if v, err := readCircuit(r.Body); err == nil {
		c.known.became(a.ExchangeID, string(v.ID))
	}
	return done(r)
}

// Reject refuses a request. The API has no place for the reason.
func (c *Client) Reject(ctx context.Context, exchangeID, kind, _ string) exchange.Outcome {
	if out, ok := answerable(exchangeID, kind); !ok {
		return out
	}
	k := call(http.MethodPost, v2, requests+"/{id}/reject", exchange.ForOrder, exchangeID)
	return c.afterAnswer(ctx, c.command(ctx, k), exchangeID, "rejected")
}

// answerable refuses what a seller cannot be asked at PacketFabric.
func answerable(id, kind string) (exchange.Outcome, bool) {
	switch {
	case !event.ValidID(id) || isCircuit(id):
		return exchange.RefusedHere("vc_request_uuid", fmt.Sprintf("%q is no uuid of a request", id)), false
	case kind == exchange.Change || kind == exchange.Delete:
		return exchange.RefusedHere("kind", "PacketFabric asks a seller about new circuits only, never about a "+kind), false
	case kind != exchange.Create:
		return exchange.RefusedHere("kind", fmt.Sprintf("%q is no kind of request", kind)), false
	}
	return exchange.Outcome{}, true
}

// afterAnswer holds a refusal against the request as it is after it: what was to be said
// may be said already, and a tag cannot be in the way of a request that is settled.
func (c *Client) afterAnswer(ctx context.Context, out exchange.Outcome, uuid, wanted string) exchange.Outcome {
	if out.Class != exchange.Refused && out.Class != exchange.Taken {
		return out
	}
	q, _, err := c.getRequest(ctx, uuid, exchange.ForOrder)
	switch {
	case errors.Is(err, errAbsent):
		out.Class = exchange.Refused
		if wanted == "rejected" {
			out.Class = exchange.Over // it was withdrawn, and nothing is asked for any more
		}
	case err != nil:
	case q.is(wanted):
		out.Class = exchange.Over
	case q.is("provisioned"), q.is("rejected"):
		out.Class = exchange.Refused
	}
	return out
}

// Parties asks for the ports: they are a buyer's, and the customer whom they belong to is
// by whom a request shows its seller.
func (c *Client) Parties(ctx context.Context) (exchange.Parties, error) {
	all, err := c.freshPorts(ctx, exchange.ForWatch)
	if err != nil {
		return exchange.Parties{}, err
	}
	var p exchange.Parties
	for _, port := range all {
		if c.cfg.Account.Role.Buys() {
			p.Ports = append(p.Ports, string(port.ID))
		}
		own := string(port.Customer)
		if c.cfg.Account.Role.Sells() && own != "" && !slices.Contains(p.Profiles, own) {
			p.Profiles = append(p.Profiles, own)
		}
	}
	return p, nil
}

// InUse returns the tags of a port that circuits of the account show, and those that the
// port's own summary rules out: all below the lowest VLAN that is free, and all above the
// highest there is. Of an ENNI port the summary does not say which of the two tags it
// counts, so there the circuits alone tell. A tag may be taken by what is no circuit; then
// the exchange says so when it is asked for.
func (c *Client) InUse(ctx context.Context, portID string) ([]*patchbayv1.Tag, error) {
	ports, err := c.allPorts(ctx, exchange.ForOrder)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(ports, func(p port) bool { return string(p.ID) == portID })
	if i < 0 {
		return nil, fmt.Errorf("%q is no port of account %s", portID, c.cfg.Account.Name)
	}
	circuits, err := c.listCircuits(ctx, exchange.ForOrder)
	if err != nil {
		return nil, err
	}
	var tags []*patchbayv1.Tag
	for _, v := range circuits {
		for _, e := range v.Ends {
			if t := e.tag(); string(e.Port) == portID && t != nil {
				tags = append(tags, t)
			}
		}
	}
	if ports[i].ENNI {
		return tags, nil
	}
	out, err := c.ruledOut(ctx, portID)
	return append(tags, out...), err
}

// ruledOut returns the VLANs that the summary of a port says are not to be had.
func (c *Client) ruledOut(ctx context.Context, portID string) ([]*patchbayv1.Tag, error) {
	k := call(http.MethodGet, v2, "/ports/{id}/vlan-summary", exchange.ForOrder, portID)
	r, err := c.read(ctx, k)
	if err != nil {
		return nil, err
	}
	var s struct {
		Lowest wire.Number `json:"lowest_available_vlan"`
		Max    wire.Number `json:"max_vlan"`
	}
	if !decode(r.Body, &s) || s.Lowest == 0 && s.Max == 0 {
		return nil, malformed(k, errors.New("a summary in a form that is not the exchange's"))
	}
	var tags []*patchbayv1.Tag
	for vlan := int32(minTag); vlan <= maxTag; vlan++ {
		full := s.Lowest == 0 // there is no lowest one
		if full || vlan < int32(s.Lowest) || s.Max > 0 && vlan > int32(s.Max) {
			tags = append(tags, &patchbayv1.Tag{Vlan: &vlan})
		}
	}
	return tags, nil
}
