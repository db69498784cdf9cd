package service

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// laneWidth is how many handlers of a service ask the exchange of one account, in one
	// lane, at one time.
	laneWidth = 16
	// laneQueue is how many more wait for a place, and patience how long: where calls are
	// answered a place is free soon, and to come again costs a timer and its message.
	laneQueue = 48
	patience  = time.Second
	// spare is how many handlers a service has beside those that may wait for exchanges.
	spare = 32
	// A lane that is full asks to come again after the first of these, and the later the more
	// were turned away already, up to the last.
	againSoon, againLate = time.Second, 30 * time.Second
)

// Lanes keep the accounts of a service apart. Who asks an exchange does it in a lane, of
// which an account has one or some, and each has room for so many handlers only. With a
// number of handlers from [Handlers] there are some for everybody else when every lane is
// full of calls that hang. Lanes are safe for use by many goroutines.
type Lanes struct {
	mu    sync.Mutex
	lanes map[string]*lane
}

type lane struct {
	places              chan struct{} // one is taken by each who is inside
	waiting, turnedAway int
}

// NewLanes returns lanes with nobody inside.
func NewLanes() *Lanes { return &Lanes{lanes: map[string]*lane{}} }

// Handlers is how many handlers a consumer needs in a service with so many lanes.
func Handlers(lanes int) int { return spare + lanes*(laneWidth+laneQueue) }

// LaneFull reports that enough handlers wait for an account's exchange already. Who gets it
// gives his message back, or sets a timer, and comes again.
type LaneFull struct {
	Lane  string
	After time.Duration
}

func (f LaneFull) Error() string {
	return fmt.Sprintf("enough handlers wait for %s already, again after %v", f.Lane, f.After)
}

// Enter takes a place in the lane of a name, to be given back by leave. If there is none it
// waits for one, for a second at most, and returns [LaneFull] if none comes, or at once if
// enough others wait. It returns ctx's error if that ends first.
func (l *Lanes) Enter(ctx context.Context, name string) (leave func(), err error) {
	of, full := l.queue(name)
	if full != nil {
		return nil, full
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case of.places <- struct{}{}:
		l.change(func() { of.waiting, of.turnedAway = of.waiting-1, 0 })
		return func() { <-of.places }, nil
	case <-late.C:
		l.change(func() {
			of.waiting--
			err = of.turnAway(name)
		})
	case <-ctx.Done():
		l.change(func() { of.waiting-- })
		err = ctx.Err()
	}
	return nil, err
}

// queue makes one more wait for a place in a lane, unless enough do.
func (l *Lanes) queue(name string) (of *lane, full error) {
	l.change(func() {
		if of = l.lanes[name]; of == nil {
			of = &lane{places: make(chan struct{}, laneWidth)}
			l.lanes[name] = of
		}
		if of.waiting >= laneQueue {
			full = of.turnAway(name)
			return
		}
		of.waiting++
	})
	return of, full
}

func (l *Lanes) change(how func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how()
}

// turnAway says when to come again. The lock is held.
func (of *lane) turnAway(name string) error {
	after := min(againSoon*time.Duration(1+of.turnedAway/laneWidth), againLate)
	of.turnedAway++
	return LaneFull{name, after}
}
