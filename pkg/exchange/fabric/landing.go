package fabric

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// portRow is a port as the API shows it (schema Port).
type portRow struct {
	UUID     wire.ID   `json:"uuid"`
	Name     wire.Text `json:"name"`
	State    wire.Text `json:"state"`
	Location struct {
		Metro wire.Text `json:"metroCode"`
	} `json:"location"`
	Encapsulation struct {
		Type wire.Text `json:"type"`
	} `json:"encapsulation"`
}

// endedPorts are the states of ports on which nothing can be ordered any more.
var endedPorts = []string{"DEPROVISIONED", "DELETED"}

// Ports returns the account's ports, at most CacheFor old.
func (c *Client) Ports(ctx context.Context) ([]exchange.Port, error) {
	if ports, ok := c.ports.Get(""); ok {
		return ports, nil
	}
	return c.freshPorts(ctx, exchange.ForOrder)
}

func (c *Client) freshPorts(ctx context.Context, p exchange.Purpose) ([]exchange.Port, error) {
	k := v4Call(http.MethodGet, "/ports")
	k.Purpose = p
	ports := []exchange.Port{}
	err := c.pages(ctx, listed(k, false), func(item json.RawMessage) error {
		var r portRow
		if decode(item, &r) != nil || !event.ValidID(string(r.UUID)) {
			return errors.New("a port without a usable id")
		}
		if slices.Contains(endedPorts, strings.ToUpper(string(r.State))) {
			return nil
		}
		ports = append(ports, exchange.Port{ID: string(r.UUID), Name: string(r.Name),
			Metro: string(r.Location.Metro), Encapsulation: encapsulation(r.Encapsulation.Type)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.ports.Put("", ports)
	return ports, nil
}

func portByID(ports []exchange.Port, id string) *exchange.Port {
	i := slices.IndexFunc(ports, func(p exchange.Port) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return &ports[i]
}

// linkRow is a tag that somebody has on a port (schema LinkProtocolResponse).
type linkRow struct {
	State   wire.Text   `json:"state"`
	Tag     wire.Number `json:"vlanTag"`
	TagMin  wire.Number `json:"vlanTagMin"`
	TagMax  wire.Number `json:"vlanTagMax"`
	STag    wire.Number `json:"vlanSTag"`
	CTag    wire.Number `json:"vlanCTag"`
	CTagMin wire.Number `json:"vlanCTagMin"`
	CTagMax wire.Number `json:"vlanCTagMax"`
}

// tags are the tags of a row, each by itself. A range is not wider than tags are.
func (r linkRow) tags() []*patchbayv1.Tag {
	if strings.EqualFold(string(r.State), "RELEASED") {
		return nil
	}
	var all []*patchbayv1.Tag
	if r.STag != 0 {
		s := int32(r.STag)
		low, high := span(r.CTag, r.CTagMin, r.CTagMax)
		if low == 0 {
			return []*patchbayv1.Tag{{STag: &s}}
		}
		for c := low; c <= high; c++ {
			all = append(all, &patchbayv1.Tag{STag: &s, CTag: &c})
		}
		return all
	}
	low, high := span(r.Tag, r.TagMin, r.TagMax)
	if low == 0 {
		return nil
	}
	for v := low; v <= high; v++ {
		all = append(all, &patchbayv1.Tag{Vlan: &v})
	}
	return all
}

// span is the range of one number, or of two; 0 if there is none.
func span(one, low, high wire.Number) (int32, int32) {
	const most = 4094
	if one != 0 {
		low, high = one, one
	}
	high = max(cmp.Or(high, low), low)
	if low < 1 || low > most {
		return 0, 0
	}
	return int32(low), int32(min(high, most))
}

// InUse returns the tags that circuits and service tokens have on a port.
func (c *Client) InUse(ctx context.Context, portID string) ([]*patchbayv1.Tag, error) {
	if !event.ValidID(portID) {
		return nil, fmt.Errorf("%q is no id of a port", portID)
	}
	var tags []*patchbayv1.Tag
	k := v4Call(http.MethodGet, "/ports/{id}/linkProtocols", portID)
	err := c.pages(ctx, listed(k, false), func(item json.RawMessage) error {
		var r linkRow
		if decode(item, &r) != nil {
			return errors.New("a link protocol in a form that is not the exchange's")
		}
		tags = append(tags, r.tags()...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tags, nil
}

// LandsOn returns the encapsulation that a profile asks of the seller's ports (schema
// ServiceProfile, accessPointTypeConfigs.linkProtocolConfig.encapsulation).
func (c *Client) LandsOn(ctx context.Context, profileID string) (string, error) {
	p, err := c.profile(ctx, profileID)
	if err != nil || p == nil {
		return "", err
	}
	return p.Encapsulation, nil
}

// Accept consents to a request. A create lands on the port and tag.
func (c *Client) Accept(ctx context.Context, a exchange.Acceptance) exchange.Outcome {
	switch a.Kind {
	case exchange.Create:
		if a.PortID == "" || exchange.Outer(a.Tag) == 0 && !a.Tag.GetUntagged() {
			return exchange.RefusedHere("port", "a new circuit lands on a port and a tag")
		}
		at := sideBody{Access: &accessBody{Type: "COLO", Port: &uuidBody{UUID: a.PortID}, Link: linkOf(a.Tag)}}
		return c.act(ctx, a.ExchangeID, action{Type: "CONNECTION_CREATION_ACCEPTANCE", Data: &actionData{ZSide: at}})
	case exchange.Change:
		return c.act(ctx, a.ExchangeID, action{Type: "CONNECTION_UPDATE_ACCEPTANCE"})
	case exchange.Delete:
		return c.act(ctx, a.ExchangeID, action{Type: "CONNECTION_DELETION_ACCEPTANCE"})
	}
	return exchange.RefusedHere("kind", fmt.Sprintf("%q is no kind of request", a.Kind))
}

// Reject refuses a request to create or change. A deletion cannot be refused at Fabric:
// there is no such action, and nothing is sent.
func (c *Client) Reject(ctx context.Context, exchangeID, kind, reason string) exchange.Outcome {
	switch kind {
	case exchange.Create:
		return c.act(ctx, exchangeID, action{Type: "CONNECTION_CREATION_REJECTION", Description: reason})
	case exchange.Change:
		return c.act(ctx, exchangeID, action{Type: "CONNECTION_UPDATE_REJECTION", Description: reason})
	case exchange.Delete:
		return exchange.RefusedHere("kind", "Fabric v4 has no way to reject a deletion; accept it, or let it wait")
	}
	return exchange.RefusedHere("kind", fmt.Sprintf("%q is no kind of request", kind))
}

// Parties asks for the ports of a buyer and the profiles of a seller.
func (c *Client) Parties(ctx context.Context) (exchange.Parties, error) {
	var p exchange.Parties
	if c.cfg.Account.Role.Buys() {
		ports, err := c.freshPorts(ctx, exchange.ForWatch)
		if err != nil {
			return exchange.Parties{}, err
		}
		for _, port := range ports {
			p.Ports = append(p.Ports, port.ID)
		}
	}
	if c.cfg.Account.Role.Sells() {
		k := v4Call(http.MethodGet, "/serviceProfiles")
		k.Purpose, k.Query = exchange.ForWatch, url.Values{"viewPoint": {"zSide"}}
		err := c.pages(ctx, listed(k, true), func(item json.RawMessage) error {
			sold, err := readProfile(item)
			if err != nil {
				return err
			}
			c.learn(sold.ID, sold)
			p.Profiles = append(p.Profiles, sold.ID)
			return nil
		})
		if err != nil {
			return exchange.Parties{}, err
		}
	}
	return p, nil
}
