package ecx

import (
	"context"
	"fmt"
	"sync"
	"time"

	"patchbay.io/pkg/exchange"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// bought lets all who look for something lost at one time read the list of what the
// account bought once, together: a look each would use up the budget of an account that has
// many circuits, and then none of them would come to its end.
type bought struct {
	turn chan struct{} // holds one thing while somebody reads the list

	mu   sync.Mutex
	next *reading // that has not begun; nil if nobody waits for one
}

// reading is the list read once.
type reading struct {
	done chan struct{} // closed when the rest is there

	circuits []*patchbayv1.Connection
	ahead    time.Duration
	err      error
}

func newBought() *bought { return &bought{turn: make(chan struct{}, 1)} }

// readBought returns a reading that began after the call.
func (c *Client) readBought(ctx context.Context) (*reading, error) {
	b := c.bought
	b.mu.Lock()
	r := b.next
	first := r == nil
	if first {
		r = &reading{done: make(chan struct{})}
		b.next = r
	}
	b.mu.Unlock()
	if first {
		c.readFor(ctx, r)
	}
	select {
	case <-r.done:
		return r, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the list: %w", ctx.Err())
	}
}

// readFor reads the list for all who wait for r.
func (c *Client) readFor(ctx context.Context, r *reading) {
	b := c.bought
	defer close(r.done)
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		r.err = fmt.Errorf("wait for the list: %w", ctx.Err())
	}
	b.mu.Lock()
	b.next = nil // who comes now needs a reading that begins later
	b.mu.Unlock()
	if r.err != nil {
		return
	}
	look := listing{role: exchange.Buyer, size: findSize, purpose: exchange.ForOrder, ahead: &r.ahead}
	r.err = c.list(ctx, look, func(conn *patchbayv1.Connection) error {
		r.circuits = append(r.circuits, conn)
		return nil
	})
}
