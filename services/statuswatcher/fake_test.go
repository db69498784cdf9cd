package statuswatcher_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// market is an exchange in memory, with one view of it for each account.
type market struct {
	mu       sync.Mutex
	circuits map[string]*patchbayv1.Connection
	// hidden circuits are not in lists; blind ones are not found at all.
	hidden, blind map[string]bool
	calls         map[string]int
	// onGet and onList may answer in the exchange's place, or do something meanwhile.
	onGet  func(id string, n int) (*patchbayv1.Connection, error)
	onList func(role string, moving bool, n int) error
}

func newMarket() *market {
	return &market{
		circuits: map[string]*patchbayv1.Connection{}, hidden: map[string]bool{}, blind: map[string]bool{},
		calls: map[string]int{},
	}
}

// client is an account's view of a market.
type client struct {
	exchange.Client // the rest is not for watchers
	m               *market
	parties         exchange.Parties
	sweeps          int // over everything
	sees            func(role string, c *patchbayv1.Connection) bool
}

func (m *market) buyer(ports ...string) *client {
	return &client{m: m, parties: exchange.Parties{Ports: ports}, sees: func(role string, c *patchbayv1.Connection) bool {
		return role == exchange.Buyer && slices.Contains(ports, c.GetASide().GetPortId())
	}}
}

func (m *market) seller(profiles ...string) *client {
	return &client{m: m, parties: exchange.Parties{Profiles: profiles}, sees: func(role string, c *patchbayv1.Connection) bool {
		return role == exchange.Seller && slices.Contains(profiles, c.GetZSide().GetProfileId())
	}}
}

func (c *client) Parties(context.Context) (exchange.Parties, error) { return c.parties, nil }

func (c *client) KeyOf(conn *patchbayv1.Connection) string {
	if conn.GetName() == "" {
		return ""
	}
	return conn.GetASide().GetPortId() + "/" + conn.GetName()
}

func (c *client) Get(_ context.Context, id string) (*patchbayv1.Connection, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.calls["get "+id]++
	c.m.calls["get"]++
	if c.m.onGet != nil {
		if conn, err := c.m.onGet(id, c.m.calls["get "+id]); conn != nil || err != nil {
			return conn, err
		}
	}
	conn := c.m.circuits[id]
	if conn == nil || c.m.blind[id] {
		return nil, fmt.Errorf("%s: %w", id, exchange.ErrGone)
	}
	return proto.CloneOf(conn), nil
}

func (c *client) List(_ context.Context, role string, moving bool, yield func(*patchbayv1.Connection) error) error {
	c.m.mu.Lock()
	kind := "all"
	if moving {
		kind = "moving"
	} else {
		c.sweeps++
	}
	c.m.calls[kind]++
	c.m.calls[role]++
	if c.m.onList != nil {
		if err := c.m.onList(role, moving, c.m.calls[kind]); err != nil {
			c.m.mu.Unlock()
			return err
		}
	}
	var found []*patchbayv1.Connection
	for id, conn := range c.m.circuits {
		inMotion := status.Status(conn.GetStatus()).InMotion()
		if !c.m.hidden[id] && !c.m.blind[id] && c.sees(role, conn) && (inMotion || !moving) {
			found = append(found, proto.CloneOf(conn))
		}
	}
	c.m.mu.Unlock()
	for _, conn := range found {
		if err := yield(conn); err != nil {
			return err
		}
	}
	return nil
}

// put adds a circuit or changes it.
func (m *market) put(c *patchbayv1.Connection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.circuits[c.GetExchangeId()] = c
}

// move puts a circuit into another state, now.
func (m *market) move(id string, s status.Status, p status.Provider) {
	m.edit(id, func(c *patchbayv1.Connection) {
		c.Status, c.ProviderStatus = string(s), string(p)
		c.Native = &patchbayv1.Native{Status: string(s), ProviderStatus: string(p)}
	})
}

func (m *market) edit(id string, f func(*patchbayv1.Connection)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := proto.CloneOf(m.circuits[id])
	f(c)
	c.UpdatedAt = timestamppb.Now()
	m.circuits[id] = c
}

func (m *market) remove(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.circuits, id)
}

// swept counts a client's sweeps over everything.
func (c *client) swept() int {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return c.sweeps
}

func (m *market) count(call string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[call]
}

var errDown = errors.New("502 Bad Gateway")

// requested is a fresh circuit that waits for its seller.
func requested(id string) *patchbayv1.Connection {
	return &patchbayv1.Connection{
		Id: event.ConnectionID("equinix", id), Exchange: "equinix", Api: "ecx", ExchangeId: id,
		Name: "circuit-" + id, BandwidthMbps: 50, Flow: "approval",
		Status: "PENDING_APPROVAL", ProviderStatus: "NOT_AVAILABLE",
		Native:    &patchbayv1.Native{Status: "PENDING_APPROVAL", ProviderStatus: "NOT_AVAILABLE"},
		ASide:     &patchbayv1.Side{PortId: "port-1"},
		ZSide:     &patchbayv1.Side{ProfileId: "profile-1"},
		CreatedAt: timestamppb.Now(), UpdatedAt: timestamppb.Now(),
	}
}
