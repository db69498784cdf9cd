package ecx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// Encapsulations of ports.
const (
	dot1q = "dot1q"
	qinq  = "qinq"
)

// portRow is a port as the API shows it.
type portRow struct {
	UUID          wire.ID   `json:"uuid"`
	Name          wire.Text `json:"name"`
	Metro         wire.Text `json:"metroCode"`
	Encapsulation wire.Text `json:"encapsulation"`
}

// readPorts reads the list of ports, which is a bare array.
func readPorts(r wire.Reply) ([]exchange.Port, error) {
	if r.Status == http.StatusNoContent {
		return nil, nil
	}
	var rows []portRow
	if err := json.Unmarshal(r.Body, &rows); err != nil {
		return nil, errors.New("ports in a form that is not the exchange's")
	}
	ports := make([]exchange.Port, 0, len(rows))
	for _, p := range rows {
		if !event.ValidID(string(p.UUID)) {
			return nil, errors.New("a port without a usable id")
		}
		ports = append(ports, exchange.Port{ID: string(p.UUID), Name: string(p.Name),
			Metro: string(p.Metro), Encapsulation: encapsulation(p.Encapsulation)})
	}
	return ports, nil
}

// Ports returns the account's ports, at most CacheFor old.
func (c *Client) Ports(ctx context.Context) ([]exchange.Port, error) {
	if ports, ok := c.ports.Get(""); ok {
		return ports, nil
	}
	return c.freshPorts(ctx, exchange.ForOrder)
}

func (c *Client) freshPorts(ctx context.Context, p exchange.Purpose) ([]exchange.Port, error) {
	k := v3Call(http.MethodGet, "/port/userport")
	k.Purpose = p
	r, err := c.read(ctx, k)
	if err != nil {
		return nil, err
	}
	ports, err := readPorts(r)
	if err != nil {
		return nil, fmt.Errorf("%s ecx %s: %w", k.Method, k.Name, err)
	}
	c.ports.Put("", ports)
	return ports, nil
}

// approveBody lands a new circuit. The circuit that is named in the path is the
// request's primary, whichever leg of a pair it is.
type approveBody struct {
	PortUUID string `json:"primaryPortUUID,omitempty"`
	STag     int32  `json:"primaryVlanSTag,omitempty"`
	CTag     int32  `json:"primaryVlanCTag,omitempty"`
}

// Accept consents to a request. What was decided before is refused by the exchange, so
// the caller reads again.
func (c *Client) Accept(ctx context.Context, a exchange.Acceptance) exchange.Outcome {
	var b approveBody
	switch a.Kind {
	case exchange.Create:
		b = approveBody{PortUUID: a.PortID, STag: exchange.Outer(a.Tag), CTag: exchange.Inner(a.Tag)}
		if b.PortUUID == "" || b.STag == 0 {
			return exchange.RefusedHere("primaryPortUUID", "a new circuit lands on a port and a tag")
		}
	case exchange.Change, exchange.Delete:
	default:
		return exchange.RefusedHere("kind", fmt.Sprintf("%q is no kind of request", a.Kind))
	}
	return c.command(ctx, patch(a.ExchangeID, "Approve", b), a.ExchangeID, toAnswer)
}

// rejectBody is the body of ?action=Reject.
type rejectBody struct {
	Comment string `json:"rejectComment"`
}

// Reject refuses a request. ECX knows itself of which kind it is.
func (c *Client) Reject(ctx context.Context, exchangeID, _, reason string) exchange.Outcome {
	return c.command(ctx, patch(exchangeID, "Reject", rejectBody{reason}), exchangeID, toAnswer)
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
		k := v3Call(http.MethodGet, "/l2/serviceprofiles")
		k.Purpose = exchange.ForWatch
		err := c.pages(ctx, k, listSize, func(_ wire.Reply, item json.RawMessage) error {
			sold, err := readProfile(item)
			if err != nil {
				return err
			}
			c.flows.Put(sold.ID, sold.flow())
			p.Profiles = append(p.Profiles, sold.ID)
			return nil
		})
		if err != nil {
			return exchange.Parties{}, err
		}
	}
	return p, nil
}
