// Package peers is the same flow as the product's, written with what a team would otherwise
// use: Watermill on NATS JetStream with Redis, River on PostgreSQL, and Temporal's dev server.
//
// Each is written as its own documentation says, for throughput, by somebody who knows it:
// an intent is taken once by its key; one step orders the circuit, one lands and accepts it
// for the seller, one reads it until it is PROVISIONED; and a subscriber receives the outcome.
// A step that failed is done again, and one that was refused is not. Everything that is kept
// is synced to disk before anybody is told that it is kept. The workers may be in a process of
// their own, so that they can be killed while the stores and the client go on.
//
// The calls to the exchange go through the product's own adapters, one request each, so
// what differs is how the work is kept. Less is done than by the product: the landing comes
// with the wish and is not chosen or held, nothing is checked beforehand, nothing is looked
// for after an answer that was lost, and nobody watches the circuit once it is PROVISIONED.
package peers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/ecx"
	"patchbay.io/pkg/exchange/packetfabric"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/tools/bench/rig"
)

// order is what goes from step to step.
type order struct {
	Wish rig.Wish
	// ID of the circuit, once it was ordered.
	ID string `json:",omitempty"`
	// Failed is why it was given up; empty unless it was.
	Failed string `json:",omitempty"`
}

func (o order) told() rig.Told {
	return rig.Told{Name: o.Wish.Name, Provisioned: o.Failed == "", Done: true, Failed: o.Failed}
}

var (
	// errRefused: the exchange will not do it, however often it is asked.
	errRefused = errors.New("refused by the exchange")
	// errNotYet: the circuit is not PROVISIONED yet.
	errNotYet = errors.New("not provisioned yet")
)

const (
	// callTime bounds a call to the exchange.
	callTime = 10 * time.Second
	// Dead is after what time a step is taken for dead that has not ended, and done again: somewhat
	// more than a call may take, as the documentation of each system advises.
	Dead = 12 * time.Second
)

// calls are the calls to the exchange, each the body of a step.
type calls struct{ buyer, seller closing }

// closing is an adapter's client.
type closing interface {
	exchange.Client
	Close()
}

func newCalls(x rig.Endpoint) (c calls, err error) {
	for _, a := range x.Accounts().Accounts {
		cfg := exchange.Config{Account: a}
		var client closing
		if a.API == account.PacketFabric {
			client, err = packetfabric.New(cfg)
		} else {
			client, err = ecx.New(cfg)
		}
		if err != nil {
			return c, err
		}
		if a.Role.Buys() {
			c.buyer = client
		} else {
			c.seller = client
		}
	}
	return c, nil
}

// create orders the circuit.
func (c calls) create(ctx context.Context, o order) (order, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	in := &patchbayv1.CreateIntent{}
	if err := (protojson.UnmarshalOptions{}).Unmarshal(o.Wish.Intent(), in); err != nil {
		return o, fmt.Errorf("%w: %w", errRefused, err)
	}
	out := c.buyer.Place(ctx, exchange.Placement{Intent: in, Legs: []string{exchange.Primary}})
	o.ID = out.IDs[exchange.Primary]
	return o, judge(out)
}

// accept lands the circuit for its seller.
func (c calls) accept(ctx context.Context, o order) (order, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	vlan := int32(o.Wish.SellersVLAN)
	return o, judge(c.seller.Accept(ctx, exchange.Acceptance{
		ExchangeID: o.ID, Kind: exchange.Create, PortID: o.Wish.SellersPort, Tag: &patchbayv1.Tag{Vlan: &vlan},
	}))
}

// provisioned returns [errNotYet] until the circuit is PROVISIONED.
func (c calls) provisioned(ctx context.Context, o order) (order, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	conn, err := c.buyer.Get(ctx, o.ID)
	switch {
	case errors.Is(err, exchange.ErrGone):
		return o, fmt.Errorf("%w: %w", errRefused, err)
	case err != nil:
		return o, err
	case status.Status(conn.GetStatus()).Ended():
		return o, fmt.Errorf("%w: it is %s", errRefused, conn.GetStatus())
	case status.Status(conn.GetStatus()) != status.Provisioned:
		return o, errNotYet
	}
	return o, nil
}

// judge tells what is worth another try from what is not.
func judge(out exchange.Outcome) error {
	switch out.Class {
	case exchange.Done, exchange.Over:
		return nil
	case exchange.Refused, exchange.Taken:
		return fmt.Errorf("%w: %s %s %s", errRefused, out.Class, out.Code, out.Message)
	default:
		return fmt.Errorf("%s: %s", out.Class, out.Answer)
	}
}

func (c calls) close() {
	for _, client := range []closing{c.buyer, c.seller} {
		if client != nil {
			client.Close()
		}
	}
}
