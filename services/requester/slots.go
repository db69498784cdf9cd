package requester

import (
	"errors"
	"sync"
	"time"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

const (
	// createSlots and otherSlots are how many handlers wait for the exchange of one account
	// at one time. One exchange that hangs then leaves handlers to the orders of others, and
	// creates that hang leave some to deletes and changes.
	createSlots = limit / 4
	otherSlots  = limit / 8
	// slotAgain is when to ask for a slot again.
	slotAgain = time.Second
)

var errNoSlot = errors.New("enough handlers wait for this exchange already")

// slots counts who waits for an exchange.
type slots struct {
	mu    sync.Mutex
	taken map[slot]int
}

type slot struct {
	account string
	create  bool
}

func newSlots() *slots { return &slots{taken: map[slot]int{}} }

// enter takes a slot for an order, to be given back by leave. If there is none, the error
// asks for the message again.
func (s *slots) enter(o *patchbayv1.Order) (leave func(), err error) {
	of, most := slot{o.GetAccount(), o.GetKind() == exchange.Create}, otherSlots
	if of.create {
		most = createSlots
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[of] >= most {
		return nil, journal.Later(slotAgain, errNoSlot)
	}
	s.taken[of]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken[of]--
	}, nil
}
