package journal

import (
	"context"
	"time"
)

// turnTime is how long a reading waits for those before it. It is longer than one of millions of
// facts takes; so who waits longer waits for somebody who is stuck.
const turnTime = time.Minute

// Turns has the readings of one process come one after the other, in the order in which they
// ask: each is done no later than if all shared the processor, and the first much sooner. A nil
// *Turns lets everybody read at once.
type Turns struct{ turn chan struct{} }

// NewTurns returns turns that nobody has taken.
func NewTurns() *Turns { return &Turns{make(chan struct{}, 1)} }

// Take runs a reading once those before it have ended, well or not, or after a minute, and
// returns its error, or that of ctx if that ends before.
func (t *Turns) Take(ctx context.Context, read func() error) error {
	if t == nil {
		return read()
	}
	late := time.NewTimer(turnTime)
	defer late.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case t.turn <- struct{}{}: // who waits for a channel longest is served first
		defer func() { <-t.turn }()
	case <-late.C:
	}
	return read()
}
