package statuswatcher

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// slack is how far the clocks of an exchange and of NATS may be apart: a circuit may seem
// to have been created this much before the order that created it was written down.
const slack = 5 * time.Second

// index is what the journal says of circuits and of the orders they may belong to. It
// follows all nouns, so its position is exact: once it has come to a sequence, no fact up
// to there that matters is unknown to it. What it hands out is never changed afterwards.
type index struct {
	reading service.Reading

	mu       sync.Mutex
	position uint64
	changed  chan struct{} // closed when the position moves
	version  uint64        // counts what was noted

	circuits map[string]circuit    // by connection id
	restless map[string]bool       // connection ids of circuits in motion
	orders   map[string]*orderNote // by order id
	placed   placings
	claims   map[string]claim             // by exchange id
	awaited  map[string]awaited           // by exchange ids placed and not yet seen
	calling  map[string]time.Time         // order id to when a call for it began whose outcome is not known
	altering map[string]map[string]bool   // connection id to the change orders under way on it
	told     map[string]map[string]uint64 // order id to connection id to the fact that told the end of the change
	removing map[string]map[string]bool   // connection id to the delete orders under way on it
	tokens   map[string]tokenNote         // by token id
	away     map[string]bool              // ids of circuits and tokens whose life is over and put away
}

// circuit is what the journal says of one connection, with the records after which the
// next facts are to be appended.
type circuit struct {
	past
	fact, change, sighting journal.Record
	// archived says that the connection's life is over and put away.
	archived bool
	version  uint64
}

// orderNote is what matters here of an order's last fact.
type orderNote struct {
	seq     uint64
	account string
	kind    string
	ended   bool
	flow    string
	origin  event.Origin
	legs    map[string]string     // leg to exchange id
	alters  map[string]alteration // of a change, by connection id
}

// alteration is what a change order asks of one circuit.
type alteration struct {
	set    *patchbayv1.ChangeSet
	placed bool
	// after is the last fact of the circuit before the order was placed the last time.
	after uint64
}

// awaited is who placed a circuit that nobody has seen, and when that was written down.
type awaited struct {
	account string
	since   time.Time
}

// claim says to which order the circuit of an exchange id belongs, by the order's own word.
type claim struct{ order, leg string }

// link is what a circuit has from the order that made it.
type link struct {
	order, leg, flow string
	account          string // that ordered
	cause            string
	origin           event.Origin
}

func newIndex() *index {
	return &index{
		changed: make(chan struct{}), circuits: map[string]circuit{}, restless: map[string]bool{},
		orders: map[string]*orderNote{}, placed: newPlacings(), claims: map[string]claim{},
		awaited: map[string]awaited{}, calling: map[string]time.Time{},
		altering: map[string]map[string]bool{}, told: map[string]map[string]uint64{},
		removing: map[string]map[string]bool{}, tokens: map[string]tokenNote{},
		away: map[string]bool{},
	}
}

// follow keeps the index up to date until ctx ends, and shows each record to noted once it
// is.
func (x *index) follow(ctx context.Context, j *journal.Journal, noted func(journal.Record)) error {
	seq, err := x.begin(ctx, j, noted)
	if err != nil {
		return nil // the end has come
	}
	var filters []string
	for _, n := range event.Nouns() {
		filters = append(filters, event.Root+"."+string(n)+".>")
	}
	return j.Follow(ctx, journal.From{Seq: seq + 1}, filters, func(r journal.Record) error {
		x.note(r)
		x.moveTo(r.Seq)
		noted(r)
		return nil
	})
}

// begin reads what there is: every `placing`, change and sighting, since more than the last of
// them counts; the newest facts of orders, circuits and tokens; and all facts of the orders
// that wait for a circuit, which tell since when. It returns how far it has come, and fails
// only when ctx or the journal ends.
func (x *index) begin(ctx context.Context, j *journal.Journal, noted func(journal.Record)) (seq uint64, err error) {
	seq, err = j.Begin(ctx, journal.Beginning{
		All: []string{
			event.Order.Filter("placing", "*"), event.Change.Filter("*", "*"), event.Sighting.Filter("*", "*"),
		},
		Newest: []string{
			event.Order.Filter("*", "*"), event.Connection.Filter("*", "*"), event.Token.Filter("*", "*"),
		},
		Note: func(r journal.Record) bool {
			ok := x.note(r)
			noted(r)
			return ok
		},
		More:     x.waiting,
		Progress: x.reading.Note,
	})
	if err != nil {
		return 0, err
	}
	x.moveTo(seq)
	x.reading.End()
	return seq, nil
}

// waiting are the orders that have placed a circuit which nobody has seen.
func (x *index) waiting() []event.Entity {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []event.Entity
	for exchangeID := range x.awaited {
		all = append(all, event.Entity{Noun: event.Order, ID: x.claims[exchangeID].order})
	}
	return all
}

// moveTo says that no fact up to seq is unknown.
func (x *index) moveTo(seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.position = seq
	close(x.changed)
	x.changed = make(chan struct{})
}

// reach waits until the index has come to seq.
func (x *index) reach(ctx context.Context, seq uint64) error {
	for {
		x.mu.Lock()
		position, changed := x.position, x.changed
		x.mu.Unlock()
		if position >= seq {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// note takes in a record, in whatever order records come. Who has appended one may note it
// before it comes back. A fact that cannot be read is as good as none, and reported.
func (x *index) note(r journal.Record) (ok bool) {
	e := r.Entity()
	switch e.Noun {
	case event.Order:
		var o patchbayv1.Order
		if r.Into(&o) != nil {
			return false
		}
		x.noteOrder(e.ID, &o, r)
		return true
	case event.Connection, event.Change, event.Sighting:
		return x.noteCircuit(e, r)
	case event.Token:
		return x.noteToken(e.ID, r)
	default: // the rest only moves the position
		return true
	}
}

func (x *index) noteCircuit(e event.Entity, r journal.Record) (ok bool) {
	var t patchbayv1.Transition
	var ch patchbayv1.Change
	var si patchbayv1.Sighting
	var err error
	switch {
	case r.Archived():
		x.putAway(e)
		return true
	case e.Noun == event.Connection:
		err = r.Into(&t)
	case e.Noun == event.Change:
		err = r.Into(&ch)
	default:
		err = r.Into(&si)
	}
	if err != nil {
		return false
	}
	r.Event.DataEncoded = nil // what is needed of it is kept beside

	x.mu.Lock()
	defer x.mu.Unlock()
	if x.away[e.ID] {
		return true
	}
	x.version++
	c := x.circuits[e.ID]
	c.version = x.version
	switch {
	case e.Noun == event.Connection && r.Seq > c.fact.Seq:
		c.fact, c.conn = r, t.GetConnection()
	case e.Noun == event.Change && r.Seq > c.change.Seq:
		c.change = r
		c.past.change = &ch
	case e.Noun == event.Sighting && r.Seq > c.sighting.Seq:
		c.sighting = r
		c.sighted = maps.Clone(c.sighted)
		if c.sighted == nil {
			c.sighted = map[string]string{}
		}
		c.sighted[si.GetRole()] = si.GetAccount()
	}
	if e.Noun == event.Change && ch.GetOrderId() != "" && final(ch.GetStatus()) {
		x.tell(ch.GetOrderId(), e.ID, r.Seq)
	}
	c.newer = c.change.Seq > c.fact.Seq
	x.circuits[e.ID] = c
	delete(x.awaited, c.newest().GetExchangeId())
	x.rest(e.ID)
	return true
}

// putAway forgets a circuit but for its id: an exchange may show it still. Its changes and
// sightings are put away with it.
func (x *index) putAway(e event.Entity) {
	if e.Noun != event.Connection {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.away[e.ID] = true
	delete(x.circuits, e.ID)
	delete(x.restless, e.ID)
}

// tell remembers that the end of a change on a connection was told, unless nobody waits for
// that any more. The lock is held.
func (x *index) tell(order, connection string, seq uint64) {
	if n := x.orders[order]; n != nil && n.ended {
		return
	}
	if x.told[order] == nil {
		x.told[order] = map[string]uint64{}
	}
	x.told[order][connection] = max(x.told[order][connection], seq)
}

// rest works out whether a circuit is in motion. The lock is held.
func (x *index) rest(id string) {
	c := x.circuits[id]
	if c.conn != nil && (moving(c.newest()) || len(x.open(id)) > 0) {
		x.restless[id] = true
		return
	}
	delete(x.restless, id)
}

// moving reports whether more is to come of a circuit by itself.
func moving(c *patchbayv1.Connection) bool {
	s := stateOf(c)
	return s.InMotion() || !s.Status.Ended() && !ended(c)
}

func (x *index) noteOrder(id string, o *patchbayv1.Order, r journal.Record) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.version++
	if o.GetFact() == event.Archived {
		x.forget(id)
		return
	}
	if old := x.orders[id]; old == nil || r.Seq > old.seq {
		x.orders[id] = newOrderNote(o, r)
	}
	n := x.orders[id]
	delete(x.calling, id)
	if n.kind == exchange.Create && o.GetFact() == "placing" {
		x.calling[id] = r.Stamp
	}
	for _, l := range o.GetLegs() {
		if n.kind == exchange.Create && l.GetExchangeId() != "" {
			x.claims[l.GetExchangeId()] = claim{id, l.GetLeg()}
		}
		if n.kind == exchange.Create && o.GetFact() == "placing" && l.GetState() == "placing" {
			x.placed.add(l.GetAttempt().GetLookupKey(), placing{id, l.GetLeg(), r.Event.ID(), r.Stamp})
		}
		switch c := l.GetConnectionId(); {
		case c == "":
		case n.kind == exchange.Change:
			put(x.altering, c, id)
		case n.kind == exchange.Delete:
			put(x.removing, c, id)
		}
	}
	if n.ended {
		x.close(id, o)
	}
	x.await(n, o, r.Stamp)
	for _, l := range o.GetLegs() {
		x.rest(l.GetConnectionId())
	}
}

// put puts a member into the set of a name.
func put(sets map[string]map[string]bool, name, member string) {
	if sets[name] == nil {
		sets[name] = map[string]bool{}
	}
	sets[name][member] = true
}

// drop is put undone.
func drop(sets map[string]map[string]bool, name, member string) {
	delete(sets[name], member)
	if len(sets[name]) == 0 {
		delete(sets, name)
	}
}

func newOrderNote(o *patchbayv1.Order, r journal.Record) *orderNote {
	n := &orderNote{
		seq: r.Seq, account: o.GetAccount(), kind: o.GetKind(), flow: o.GetFlow(),
		ended:  o.GetOutcome() != "",
		origin: event.OriginOf(r.Event), legs: map[string]string{}, alters: map[string]alteration{},
	}
	for _, l := range o.GetLegs() {
		n.legs[l.GetLeg()] = l.GetExchangeId()
		if n.kind == exchange.Change && !n.ended && l.GetConnectionId() != "" {
			n.alters[l.GetConnectionId()] = alteration{
				set: order.SetFor(o, l.GetLeg()), placed: l.GetState() == "placed", after: l.GetConnectionSequence(),
			}
		}
	}
	return n
}

// close drops what nobody will ask about once an order has ended. The placings of a failed
// order stay: a circuit that nobody waited for any more may still turn up.
func (x *index) close(id string, o *patchbayv1.Order) {
	for _, l := range o.GetLegs() {
		drop(x.altering, l.GetConnectionId(), id)
		drop(x.removing, l.GetConnectionId(), id)
	}
	if o.GetOutcome() == "completed" {
		x.placed.drop(id)
	}
	delete(x.told, id)
}

// forget drops an order that was put away, and so are its circuits. The lock is held.
func (x *index) forget(id string) {
	if n := x.orders[id]; n != nil {
		for _, exchangeID := range n.legs {
			if x.claims[exchangeID].order == id {
				delete(x.claims, exchangeID)
			}
		}
	}
	delete(x.orders, id)
	delete(x.told, id)
	x.placed.drop(id)
}

// await notes the circuits that a fact of an order, not always its newest, says are placed, and
// nobody has seen.
func (x *index) await(n *orderNote, o *patchbayv1.Order, at time.Time) {
	for _, l := range o.GetLegs() {
		exchangeID := l.GetExchangeId()
		if exchangeID == "" || n.kind != exchange.Create {
			continue
		}
		a, known := x.awaited[exchangeID]
		switch {
		case n.ended:
			delete(x.awaited, exchangeID)
		case known && !at.Before(a.since), !known && x.seen(exchangeID):
		default:
			x.awaited[exchangeID] = awaited{n.account, at}
		}
	}
}

func (x *index) seen(exchangeID string) bool {
	for _, ex := range exchanges() {
		if x.circuits[event.ConnectionID(ex, exchangeID)].conn != nil {
			return true
		}
	}
	return false
}

// now is the count of what was noted so far.
func (x *index) now() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.version
}

// circuit is what is known of a connection, and the change orders under way on it.
func (x *index) circuit(id string) (circuit, []changeOrder) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var orders []changeOrder
	for order := range x.altering[id] {
		a := x.orders[order].alters[id]
		orders = append(orders, changeOrder{id: order, set: a.set, placed: a.placed, settled: x.settled(order, id)})
	}
	slices.SortFunc(orders, func(a, b changeOrder) int { return strings.Compare(a.id, b.id) })
	c := x.circuits[id]
	c.archived = x.away[id]
	return c, orders
}

// open lists the change orders on a connection whose end was not told. The lock is held.
func (x *index) open(id string) []string {
	var all []string
	for order := range x.altering[id] {
		if !x.settled(order, id) {
			all = append(all, order)
		}
	}
	return all
}

// settled reports whether the end of what an order asked of a circuit was told since it was
// placed the last time. The lock is held.
func (x *index) settled(order, connection string) bool {
	return x.told[order][connection] > x.orders[order].alters[connection].after
}

// inMotion hands out the circuits of which more is to come.
func (x *index) inMotion() []circuit {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []circuit
	for id := range x.restless {
		all = append(all, x.circuits[id])
	}
	return all
}

// moves reports whether more is to come of a circuit.
func (x *index) moves(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.restless[id]
}

// alive hands out the circuits that have not ended.
func (x *index) alive() []circuit {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []circuit
	for _, c := range x.circuits {
		if c.conn != nil && !stateOf(c.conn).Status.Ended() {
			all = append(all, c)
		}
	}
	return all
}

// deleting reports whether an order to delete a circuit is under way.
func (x *index) deleting(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.removing[id]) > 0
}

// expected are the exchange ids that orders of an account have placed and nobody has seen.
func (x *index) expected(account string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []string
	for id, a := range x.awaited {
		if a.account == account {
			all = append(all, id)
		}
	}
	return all
}

// unseenSince is since when a circuit was placed for an account without being seen; false
// if it was not.
func (x *index) unseenSince(exchangeID, account string) (time.Time, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	a, ok := x.awaited[exchangeID]
	return a.since, ok && a.account == account
}

// linkOf finds the order that made a circuit: by the order's own word, or else by the
// newest `placing` with the circuit's key that may have preceded its creation, unless that
// leg has another circuit already. Where the exchange does not say when a circuit was
// created, any `placing` may have.
func (x *index) linkOf(exchangeID, key string, created time.Time) link {
	x.mu.Lock()
	defer x.mu.Unlock()
	if c, ok := x.claims[exchangeID]; ok {
		return x.link(placing{order: c.order, leg: c.leg})
	}
	var best placing
	for p := range x.placed.of(key) {
		other := x.orders[p.order].legs[p.leg]
		late := !created.IsZero() && p.stamp.Add(-slack).After(created)
		if key != "" && !late && (other == "" || other == exchangeID) && p.stamp.After(best.stamp) {
			best = p
		}
	}
	if best.order == "" {
		return link{}
	}
	return x.link(best)
}

// callTime bounds how long an order's call may keep circuits without a key waiting.
const callTime = 2 * time.Minute

// mayBeCalled reports whether a circuit that shows no key may be what an order of an account
// is about to get: the order's next fact then says whether it is.
func (x *index) mayBeCalled(account string, created, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id, began := range x.calling {
		late := !created.IsZero() && began.Add(-slack).After(created)
		if x.orders[id].account == account && !late && now.Sub(began) < callTime {
			return true
		}
	}
	return false
}

func (x *index) link(p placing) link {
	n := x.orders[p.order]
	return link{order: p.order, leg: p.leg, flow: n.flow, account: n.account, cause: p.event, origin: n.origin}
}

// originOf is the trace of an order.
func (x *index) originOf(order string) event.Origin {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := x.orders[order]; n != nil {
		return n.origin
	}
	return event.Origin{}
}

// exchanges are those whose circuits have ids of ours.
func exchanges() []string { return []string{"equinix", "packetfabric"} }
