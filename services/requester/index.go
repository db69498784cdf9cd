package requester

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// index knows which open orders a circuit or another order concerns. It only says whom to
// nudge; what it says is read again in the journal.
type index struct {
	reading service.Reading
	mu      sync.Mutex
	reached uint64
	whole   bool          // it knows the orders that there were at the start
	moved   chan struct{} // closed and replaced when reached rises
	keys    map[string][]string
	orders  map[string]map[string]bool
	// owners has the create order of each circuit that an order has named, until the circuit is
	// archived: a circuit of an order that has ended is no other order's either.
	owners map[string]string
	// enders has the delete orders of each circuit whose end was asked for, as long.
	enders map[string]map[string]bool
	// away has the circuits that are archived, and by which fact, until all was read that there
	// was at the start: the orders come after them.
	away map[string]uint64
}

func newIndex() *index {
	return &index{moved: make(chan struct{}), keys: map[string][]string{}, orders: map[string]map[string]bool{},
		owners: map[string]string{}, enders: map[string]map[string]bool{}, away: map[string]uint64{}}
}

// begin reads the orders that there are, and hands each on with its newest fact, sometimes
// with older ones before. It returns those that are open, and how far it has read; it fails
// only when ctx or the journal ends.
func (x *index) begin(ctx context.Context, j *journal.Journal, yield func(*patchbayv1.Order)) (open map[string]bool, seq uint64, err error) {
	open = map[string]bool{}
	seq, err = j.Begin(ctx, journal.Beginning{
		Newest: []string{event.Connection.Filter(event.Connection.Archived(), "*"), event.Order.Filter("*", "*")},
		Note: func(rec journal.Record) bool {
			delete(open, rec.Entity().ID)
			return x.take(rec, func(o *patchbayv1.Order) {
				if o.GetOutcome() == "" {
					open[o.GetId()] = true
				}
				yield(o)
			})
		},
		Progress: x.reading.Note,
	})
	if err != nil {
		return nil, 0, err
	}
	x.moveTo(seq)
	x.reading.End()
	return open, seq, nil
}

// follow keeps the index until ctx ends, with what comes behind seq, and hands on each order
// that it reads. It reads all that orders wait for, to know how far it has come.
func (x *index) follow(ctx context.Context, j *journal.Journal, seq uint64, yield func(*patchbayv1.Order)) error {
	return j.Follow(ctx, journal.From{Seq: seq + 1}, factFilters(), func(rec journal.Record) error {
		x.take(rec, yield)
		x.moveTo(rec.Seq)
		return nil
	})
}

// take takes a fact in, and hands on the order in it. It reports whether the fact can be read.
func (x *index) take(rec journal.Record, yield func(*patchbayv1.Order)) bool {
	switch e := rec.Entity(); {
	case e.Noun == event.Order:
		o := new(patchbayv1.Order)
		if rec.Into(o) != nil {
			return false // its own message says so
		}
		x.note(o, rec.Seq)
		yield(o)
	case e.Noun == event.Connection && rec.Archived():
		x.forget(e.ID, rec.Seq)
	}
	return true
}

// forget drops a circuit that nobody will ask about again, by the fact seq.
func (x *index) forget(circuit string, seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.whole {
		x.away[circuit] = seq
	}
	delete(x.owners, circuit)
	delete(x.enders, circuit)
}

// moveTo says that no fact up to seq is unknown.
func (x *index) moveTo(seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reached, x.whole, x.away = seq, true, nil
	close(x.moved)
	x.moved = make(chan struct{})
}

// note remembers what an order is concerned by while it is open, by its fact seq.
func (x *index) note(o *patchbayv1.Order, seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range x.keys[o.GetId()] {
		drop(x.orders, key, o.GetId())
	}
	delete(x.keys, o.GetId())
	for _, id := range circuitsOf(o) {
		if seq > x.away[id] {
			x.owners[id] = o.GetId()
		}
	}
	x.noteEnds(o, seq)
	if o.GetOutcome() != "" {
		return
	}
	for _, key := range concerns(o) {
		put(x.orders, key, o.GetId())
		x.keys[o.GetId()] = append(x.keys[o.GetId()], key)
	}
}

// put notes an order under a key.
func put(orders map[string]map[string]bool, key, order string) {
	if orders[key] == nil {
		orders[key] = map[string]bool{}
	}
	orders[key][order] = true
}

// drop is put undone.
func drop(orders map[string]map[string]bool, key, order string) {
	delete(orders[key], order)
	if len(orders[key]) == 0 {
		delete(orders, key)
	}
}

// circuitsOf are the ids of the circuits that a create order has named as its own, or as made for
// it by mistake.
func circuitsOf(o *patchbayv1.Order) []string {
	if o.GetKind() != exchange.Create {
		return nil
	}
	var all []string
	for _, l := range o.GetLegs() {
		if l.GetConnectionId() != "" {
			all = append(all, l.GetConnectionId())
		}
	}
	for _, id := range o.GetOrphans() {
		all = append(all, event.ConnectionID(o.GetExchange(), id))
	}
	return all
}

// owner returns the create order that has named a circuit, empty if none has, as of the
// journal sequence seq.
func (x *index) owner(ctx context.Context, connection string, seq uint64) (string, error) {
	if _, err := x.of(ctx, connection, seq); err != nil {
		return "", err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.owners[connection], nil
}

// noteEnds remembers the circuits whose end a delete order has asked for. One that stands after
// all has no such order any more.
func (x *index) noteEnds(o *patchbayv1.Order, seq uint64) {
	if o.GetKind() != exchange.Delete {
		return
	}
	for _, l := range o.GetLegs() {
		id := l.GetConnectionId()
		switch {
		case id == "", seq < x.away[id]: // it has none yet, or none any more
		case l.GetState() == order.Failed:
			drop(x.enders, id, o.GetId())
		case l.GetAttempt() != nil:
			put(x.enders, id, o.GetId())
		}
	}
}

// ender returns a delete order that has asked for the end of a circuit, always the same of
// several and empty if none has, as of the journal sequence seq.
func (x *index) ender(ctx context.Context, connection string, seq uint64) (string, error) {
	if _, err := x.of(ctx, connection, seq); err != nil {
		return "", err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if all := slices.Sorted(maps.Keys(x.enders[connection])); len(all) > 0 {
		return all[0], nil
	}
	return "", nil
}

// concerns are the ids of circuits, orders and holds whose news an order wants.
func concerns(o *patchbayv1.Order) []string {
	var all []string
	for _, l := range o.GetLegs() {
		if l.GetConnectionId() != "" {
			all = append(all, l.GetConnectionId())
		}
	}
	if o.GetKind() != exchange.Create && o.GetTargetOrderId() != "" {
		all = append(all, o.GetTargetOrderId())
	}
	if waitsForAccount(o) {
		all = append(all, event.AccountID(o.GetAccount()))
	}
	if o.GetCreate() == nil {
		return all
	}
	for _, l := range inState(o, order.Open) {
		for _, w := range hold.OfLeg(o, l.GetLeg()) {
			if w.Kind == hold.Lookalike {
				all = append(all, w.ID())
			}
		}
	}
	return all
}

// of returns the open orders that the circuit or order with the id concerns, as of the
// journal sequence seq.
func (x *index) of(ctx context.Context, id string, seq uint64) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for {
		x.mu.Lock()
		reached, whole, moved := x.reached, x.whole, x.moved
		var found []string
		for id := range x.orders[id] {
			found = append(found, id)
		}
		x.mu.Unlock()
		if whole && reached >= seq {
			slices.Sort(found)
			return found, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, journal.Later(250*time.Millisecond, fmt.Errorf("index is at %d, not yet at %d: %w", reached, seq, errBehind))
		}
	}
}

var errBehind = errors.New("still reading the journal")
