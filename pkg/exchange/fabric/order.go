package fabric

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// Together reports false: a pair is two POSTs, tied by the group that the first answer
// gives.
func (c *Client) Together() bool { return false }

// Place creates one leg with one POST. Outcome.Group is the pair's group.
func (c *Client) Place(ctx context.Context, p exchange.Placement) exchange.Outcome {
	legs := asLegs(p.LegsToPlace())
	if len(legs) != 1 {
		return exchange.RefusedHere("", fmt.Sprintf("the placement has %d legs; Fabric takes one at a time", len(legs)))
	}
	l := legs[0]
	body, err := c.body(ctx, p, l)
	if err != nil {
		out := wire.Unanswered(wire.NotSent{Err: err}) // whatever became of the reads, nothing was asked for
		var busy exchange.Throttled
		if errors.As(err, &busy) {
			out = wire.Unanswered(busy)
		}
		return out
	}
	k := v4Call(http.MethodPost, connections)
	k.Body, k.Secrets = body, l.secrets()
	r, out, ok := c.decide(ctx, k, toPlace)
	if !ok {
		out.Leg = l.Which
		return out
	}
	return placed(r, l.Which)
}

// body writes a leg's POST. It asks the exchange for what the intent leaves open.
func (c *Client) body(ctx context.Context, p exchange.Placement, l leg) (createBody, error) {
	metro, err := c.metroOf(ctx, l)
	if err != nil {
		return createBody{}, err
	}
	b := newCreateBody(p.Intent, l, metro)
	if l.Which != exchange.Secondary {
		return b, nil
	}
	group := p.Group
	if group == "" {
		if group, err = c.groupOf(ctx, p.Intent); err != nil {
			return createBody{}, err
		}
	}
	if group != "" {
		b.Redundancy = &redundancyBody{Group: group, Priority: "SECONDARY"}
	}
	return b, nil
}

// metroOf is where a leg meets its profile: in the metro that it names, or in that of the
// A port. Of other Z sides it is what the intent says.
func (c *Client) metroOf(ctx context.Context, l leg) (string, error) {
	if l.Z.GetMetro() != "" || l.Z.GetProfileId() == "" || l.A.GetPortId() == "" {
		return l.Z.GetMetro(), nil
	}
	ports, err := c.Ports(ctx)
	if err != nil {
		return "", fmt.Errorf("metro of the A port: %w", err)
	}
	if p := portByID(ports, l.A.GetPortId()); p != nil {
		return p.Metro, nil
	}
	return "", nil
}

// groupOf looks up the group of a pair whose primary's answer did not bring it; empty if
// there is no primary to be tied to.
func (c *Client) groupOf(ctx context.Context, in *patchbayv1.CreateIntent) (string, error) {
	found, err := c.Find(ctx, exchange.Placement{Intent: in, Legs: []string{exchange.Primary}})
	if err != nil {
		return "", fmt.Errorf("group of the pair: %w", err)
	}
	group := ""
	var newest time.Time
	for _, conn := range found.Circuits[exchange.Primary] {
		created := conn.GetCreatedAt().AsTime()
		if !status.Status(conn.GetStatus()).Ended() && !created.Before(newest) {
			group, newest = conn.GetRedundancyGroup(), created
		}
	}
	return group, nil
}

// placed says what a create did that was answered with a 2xx.
func placed(r wire.Reply, which string) exchange.Outcome {
	shown, err := readRow(r.Body)
	if err != nil || !json.Valid(r.Body) {
		return exchange.Outcome{Class: exchange.Unknown, Answer: r.Words() + " without an id"}
	}
	return exchange.Outcome{Class: exchange.Done, Answer: r.Words(), IDs: map[string]string{which: string(shown.UUID)},
		Group: string(shown.Redundancy.Group)}
}

// change is one operation of PATCH (schema ConnectionChangeOperation).
type change struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// jsonPatch is what PATCH takes.
const jsonPatch = "application/json-patch+json"

// Alter changes name, bandwidth, term and notifications with one PATCH. It refuses a change
// of the tag itself.
func (c *Client) Alter(ctx context.Context, exchangeID string, set *patchbayv1.ChangeSet) exchange.Outcome {
	if set.GetTag() != nil {
		return exchange.RefusedHere("set.tag", "Fabric v4 cannot change a tag")
	}
	var ops []change
	replace := func(path string, value any) { ops = append(ops, change{"replace", path, value}) }
	if set.GetName() != "" {
		replace("/name", set.GetName())
	}
	if set != nil && set.BandwidthMbps != nil {
		replace("/bandwidth", set.GetBandwidthMbps())
	}
	if set != nil && set.TermMonths != nil {
		replace("/order/termLength", set.GetTermMonths())
	}
	for _, n := range set.GetNotifications() {
		if len(n.GetEmails()) < 1 || len(n.GetEmails()) > mostEmails {
			return exchange.RefusedHere("set.notifications", fmt.Sprintf("Fabric v4 takes 1 to %d addresses of a type", mostEmails))
		}
	}
	if len(set.GetNotifications()) > 0 {
		replace("/notifications", notifications(set.GetNotifications()))
	}
	if len(ops) == 0 {
		return exchange.RefusedHere("set", "nothing to change")
	}
	k := v4Call(http.MethodPatch, connections+"/{id}", exchangeID)
	k.Body, k.ContentType = ops, jsonPatch
	return c.command(ctx, k, exchangeID, toAlter)
}

// Remove asks for the end of a circuit. That there is none is Over.
func (c *Client) Remove(ctx context.Context, exchangeID string) exchange.Outcome {
	return c.command(ctx, v4Call(http.MethodDelete, connections+"/{id}", exchangeID), exchangeID, toRemove)
}

// Find searches by the leg's token, which is used once, or else by name and A-side port,
// and keeps what bears the leg's key.
//
// A circuit whose port and name fit but whose tag is not shown is looked at by itself. If
// its tag stays hidden and it has not ended, nothing can be concluded: an error.
func (c *Client) Find(ctx context.Context, p exchange.Placement) (exchange.Found, error) {
	found := exchange.Found{Circuits: map[string][]*patchbayv1.Connection{}}
	for _, l := range asLegs(p.LegsToPlace()) {
		look := l.search()
		look.ahead = &found.Ahead
		err := c.search(ctx, look, func(item json.RawMessage) error {
			shown, err := readRow(item)
			if err != nil {
				return err
			}
			conn, is, err := c.bears(ctx, l, shown)
			if is {
				found.Circuits[l.Which] = append(found.Circuits[l.Which], conn)
			}
			return err
		})
		if err != nil {
			return exchange.Found{}, err
		}
	}
	return found, nil
}

// search is the search for a leg.
func (l leg) search() search {
	var all []filter
	switch {
	case l.A.GetServiceToken() != "":
		all = append(all, is("/aSide/serviceToken/uuid", l.A.GetServiceToken()))
	case l.Z.GetServiceToken() != "":
		all = append(all, is("/zSide/serviceToken/uuid", l.Z.GetServiceToken()))
	default:
		all = append(all, is("/name", l.Name), is("/aSide/accessPoint/port/uuid", l.A.GetPortId()))
	}
	return search{path: connections + "/search", purpose: exchange.ForOrder, secrets: l.secrets(),
		query: query{Filter: &filter{And: all}, Sort: byCreation}}
}

// bears reports whether a circuit that a search brought is l's, and returns it as far as
// it had to be read.
func (c *Client) bears(ctx context.Context, l leg, shown row) (*patchbayv1.Connection, bool, error) {
	conn := c.taken(shown)
	if l.A.GetPortId() != "" && conn.GetASide().GetPortId() != l.A.GetPortId() {
		return nil, false, nil
	}
	if l.A.GetServiceToken() != "" || l.Z.GetServiceToken() != "" {
		return conn, true, nil // the search was for the token; somebody may have renamed the circuit since
	}
	if conn.GetName() != l.Name {
		return nil, false, nil
	}
	if ended := status.Status(conn.GetStatus()).Ended(); c.KeyOf(conn) == "" && !ended {
		full, err := c.get(ctx, conn.GetExchangeId(), exchange.ForOrder)
		if err != nil {
			return nil, false, err
		}
		if c.KeyOf(full) == "" && !status.Status(full.GetStatus()).Ended() {
			return nil, false, fmt.Errorf("circuit %s looks like the one sought and does not show its tag", full.GetExchangeId())
		}
		conn = full
	}
	return conn, c.KeyOf(conn) == l.key(), nil
}

// Acknowledge takes note of the seller's rejection, after which the circuit is
// REJECTED_ACK.
func (c *Client) Acknowledge(ctx context.Context, exchangeID string) exchange.Outcome {
	return c.act(ctx, exchangeID, action{Type: "CONNECTION_REJECTION_ACCEPTANCE"})
}

// Retry tries a creation or deletion again that failed at the exchange.
func (c *Client) Retry(ctx context.Context, exchangeID, kind string) exchange.Outcome {
	switch kind {
	case exchange.Create:
		return c.act(ctx, exchangeID, action{Type: "CONNECTION_CREATION_RETRY"})
	case exchange.Delete:
		return c.act(ctx, exchangeID, action{Type: "CONNECTION_DELETION_RETRY"})
	}
	return exchange.RefusedHere("kind", fmt.Sprintf("Fabric v4 cannot retry a %q", kind))
}

// action is the body of an action on a circuit (schema ConnectionActionRequest).
type action struct {
	Type        string      `json:"type"`
	Description string      `json:"description,omitempty"`
	Data        *actionData `json:"data,omitempty"`
}

type actionData struct {
	ZSide sideBody `json:"zSide"`
}

func (c *Client) act(ctx context.Context, exchangeID string, a action) exchange.Outcome {
	k := v4Call(http.MethodPost, connections+"/{id}/actions", exchangeID)
	k.Body = a
	return c.command(ctx, k, exchangeID, toAnswer)
}

// get reads one circuit; [exchange.ErrGone] if there is none.
func (c *Client) get(ctx context.Context, id string, p exchange.Purpose) (*patchbayv1.Connection, error) {
	if !event.ValidID(id) {
		return nil, fmt.Errorf("%q is no id of a circuit", id)
	}
	k := v4Call(http.MethodGet, connections+"/{id}", id)
	k.Purpose = p
	r, err := c.read(ctx, k)
	if own := new(refused); errors.As(err, &own) && own.gone() {
		return nil, fmt.Errorf("circuit %s: %w", id, exchange.ErrGone)
	}
	if err != nil {
		return nil, err
	}
	shown, err := readRow(r.Body)
	if err != nil {
		return nil, fmt.Errorf("circuit %s: %w", id, err)
	}
	if shown.UUID != wire.ID(id) {
		return nil, fmt.Errorf("circuit %s: the exchange answered with %s", id, shown.UUID)
	}
	return c.taken(shown), nil
}
