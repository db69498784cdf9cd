package packetfabric

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// offer is a service of the marketplace. Whether a routing id and a customer stand beside
// it is not documented.
type offer struct {
	ID       wire.ID   `json:"uuid"`
	Name     wire.Text `json:"name"`
	Routing  wire.Text `json:"routing_id"`
	Customer wire.ID   `json:"customer_uuid"`
}

func readOffer(b []byte) (offer, error) {
	var o offer
	if !decode(b, &o) || !event.ValidID(string(o.ID)) {
		return offer{}, errors.New("a service without a usable uuid")
	}
	return o, nil
}

func offerByID(all []offer, id string) offer {
	for _, o := range all {
		if id != "" && o.ID == wire.ID(id) {
			return o
		}
	}
	return offer{}
}

// marketplace returns the services that are on offer, at most CacheFor old.
func (c *Client) marketplace(ctx context.Context) ([]offer, error) {
	if all, ok := c.offers.Get(""); ok {
		return all, nil
	}
	k := call(http.MethodGet, v2, "/marketplace/services", exchange.ForOrder)
	all, err := remembered(ctx, c, c.offers, k, readOffer)
	for _, o := range all {
		c.known.leads(string(o.Routing), string(o.Customer))
	}
	return all, err
}

// marketCodes returns the codes of all markets, at most CacheFor old.
func (c *Client) marketCodes(ctx context.Context) ([]string, error) {
	if all, ok := c.markets.Get(""); ok {
		return all, nil
	}
	k := call(http.MethodGet, v2, "/locations/markets", exchange.ForOrder)
	return remembered(ctx, c, c.markets, k, func(b []byte) (string, error) {
		var m struct {
			Code wire.Text `json:"code"`
		}
		if !decode(b, &m) || m.Code == "" {
			return "", errors.New("a market without a code")
		}
		return strings.ToUpper(string(m.Code)), nil
	})
}

// facts are what the exchange says about an intent's ports, markets and sellers.
type facts struct {
	ports   []port
	markets []string
	offers  []offer // nil where the exchange does not show the marketplace
}

// Check holds an intent against the account's ports, the markets and the marketplace.
func (c *Client) Check(ctx context.Context, in *patchbayv1.CreateIntent) (exchange.Checked, error) {
	legs := legsOf(in)
	f, err := c.facts(ctx, legs)
	if err != nil {
		return exchange.Checked{}, err
	}
	return exchange.Checked{
		Violations: check(in, f),
		Flow:       flowOf(legs),
		Notes:      c.notes(in, legs, f),
	}, nil
}

// facts looks up what check needs.
func (c *Client) facts(ctx context.Context, legs []leg) (facts, error) {
	var f facts
	var err error
	if f.ports, err = c.allPorts(ctx, exchange.ForOrder); err != nil {
		return facts{}, err
	}
	for _, l := range legs {
		if l.Z.GetMarket() == "" && l.Z.GetRoutingId() == "" {
			continue
		}
		if f.markets, err = c.marketCodes(ctx); err != nil {
			return facts{}, err
		}
		f.offers, err = c.marketplace(ctx)
		if denied := new(refused); errors.As(err, &denied) || errors.Is(err, errAbsent) {
			err = nil // not shown to this account
		}
		return f, err
	}
	return f, nil
}

// notes says what will be sent where, and what it rests on.
func (c *Client) notes(in *patchbayv1.CreateIntent, legs []leg, f facts) []string {
	var notes []string
	for _, l := range legs {
		path, body := l.body(in)
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(body); err != nil {
			return nil // texts and numbers always encode
		}
		notes = append(notes, "Would be sent: "+http.MethodPost+" "+c.wire.Base()+v2+path+" "+strings.TrimSpace(text.String()))
	}
	notes = append(notes,
		"The price is unknown: PacketFabric's API for circuits does not tell prices.",
		"Whether a VLAN is free is known only when the exchange takes the order.")
	if id := in.GetBilling().GetAccountId(); id != "" {
		notes = append(notes, "Whether "+id+" is one of your billing accounts is known only when the exchange takes the order: "+
			"its API does not list them.")
	}
	if len(legs) > 1 {
		notes = append(notes, "The legs are two requests; nothing ties them at the exchange.")
	}
	if len(in.GetNotifications()) > 0 {
		notes = append(notes, "PacketFabric sends no notifications about a circuit, so the addresses stay here.")
	}
	if to := legs[0].Z.GetRoutingId(); to != "" && !legs[0].ownPort() && !tellsRouting(f.offers) {
		notes = append(notes, "The exchange does not show which routing ids there are, so "+to+" was not looked up.")
	}
	return notes
}
