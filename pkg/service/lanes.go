package service

import (
	"fmt"
	"sync"
	"time"
)

const (
	// laneWidth is how many handlers of a service wait for the exchange of one account, in one
	// lane, at one time.
	laneWidth = 16
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

type lane struct{ inside, turnedAway int }

// NewLanes returns lanes with nobody inside.
func NewLanes() *Lanes { return &Lanes{lanes: map[string]*lane{}} }

// Handlers is how many handlers a consumer needs in a service with so many lanes.
func Handlers(lanes int) int { return spare + lanes*laneWidth }

// LaneFull reports that enough handlers wait for an account's exchange already. Who gets it
// gives his message back, or sets a timer, and comes again.
type LaneFull struct {
	Lane  string
	After time.Duration
}

func (f LaneFull) Error() string {
	return fmt.Sprintf("enough handlers wait for %s already, again after %v", f.Lane, f.After)
}

// Enter takes a place in the lane of a name, to be given back by leave, or returns
// [LaneFull]. It does not wait.
func (l *Lanes) Enter(name string) (leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.lanes[name]
	if of == nil {
		of = &lane{}
		l.lanes[name] = of
	}
	if of.inside >= laneWidth {
		after := min(againSoon*time.Duration(1+of.turnedAway/laneWidth), againLate)
		of.turnedAway++
		return nil, LaneFull{name, after}
	}
	of.inside++
	of.turnedAway = 0
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		of.inside--
	}, nil
}
