// Package sandbox is an exchange of our own: an HTTP server that behaves like a
// commercial interconnection exchange closely enough that a client cannot tell,
// and that can be looked into and made to misbehave.
//
// It speaks ECX v3 (OAuth2, connections, ports, service profiles), Fabric v4 and
// PacketFabric v2 below the paths of the real exchanges, and a control API below
// /sandbox/: inventory, calls, delays, faults, robots and edits made "in the portal".
// What it is to do by itself from its start on is a [Scenario], which may be a file.
//
// It relies on nothing but the standard library's clock and HTTP server, so it runs
// inside a testing/synctest bubble and on any net.Listener, in memory or not.
//
// It promises what money depends on at a real exchange: a VLAN of a port belongs to
// one circuit at a time until that circuit is gone; a create is done wholly or not
// at all; a circuit moves only along its life cycle unless an edit forces it; and a
// fault happens to exactly the calls it was asked for.
//
// Nothing runs in the background unless somebody is subscribed to events. What falls due
// (provisioning finished, a robot's decision) is done, in order and with the time at
// which it fell due, before the next look at the exchange; nobody can see the
// difference, and there is nothing to stop but the answers that are being held back.
// With a subscription it is done when it falls due, and told to the webhook by
// goroutines for which Close waits.
//
// Circuits and service tokens outlive the process if [Open] is given a file; all else
// begins anew. The exchange calls nobody but those webhooks, and does not check that
// what is ordered could be built.
package sandbox

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// Config says how an exchange behaves. The zero Config is a working exchange.
type Config struct {
	Log       zerolog.Logger // one line per request; the zero logger discards
	Seed      int64          // ids and tokens: 0 makes them random, otherwise they are replayable
	Delays    Delays         // the zero Delays means [DefaultDelays]
	LockAfter int            // failed logins in a row that lock an account; 0 means 5, negative never
	Dial      Dial           // by which webhooks are reached; nil means the network
	Scenario  *Scenario      // what the exchange does by itself; nil means nothing
}

// Exchange is one exchange with its inventory, circuits, clock and faults. Its
// methods may be called by several goroutines.
type Exchange struct {
	log       zerolog.Logger
	lockAfter int
	dial      Dial
	done      chan struct{} // closed by Close; ends answers that are being held back

	calls  callLog
	faults faultList

	mu       sync.Mutex // guards all below
	closed   bool
	inFlight sync.WaitGroup
	pushers  sync.WaitGroup // whatever runs for subscribers
	delays   Delays
	ids      *rand.ChaCha8 // nil: random
	agenda   agenda
	plan     int // number of the next entry of the agenda

	tenants  []*tenant
	ports    map[string]*port
	profiles map[string]*profile
	order    inventoryOrder
	circuits map[string]*circuit
	all      []*circuit      // by age
	used     map[string]bool // ids of circuits and groups
	changed  []*circuit      // since the last look
	made     int             // circuits so far
	groups   map[string][]*circuit
	hooks    []func(happening) // told of each change of a circuit; they must not look at the exchange
	events   eventLog
	told     int // events so far
	streams  []*stream
	clock    bool                     // somebody waits for what falls due
	sooner   chan struct{}            // tells them that something falls due earlier
	passes   map[string]*serviceToken // by id
	sold     []*profile               // made or changed since the last look
	spent    []*serviceToken          // changed since the last look
	kept     *keeper                  // nil: nothing is kept
	tokens   map[string]token
	renewals map[string]token
	robots   map[string]Robot // by profile id, "*" for all
	pf       packetFabric
}

// New returns an exchange that holds the default inventory and no circuits.
func New(cfg Config) *Exchange {
	if cfg.Scenario != nil {
		cfg = cfg.Scenario.under(cfg)
	}
	x := &Exchange{
		log:       cfg.Log,
		lockAfter: cfg.LockAfter,
		dial:      cfg.Dial,
		events:    make(eventLog),
		sooner:    make(chan struct{}, 1),
		done:      make(chan struct{}),
		delays:    cfg.Delays,
		ports:     make(map[string]*port),
		profiles:  make(map[string]*profile),
		circuits:  make(map[string]*circuit),
		groups:    make(map[string][]*circuit),
		passes:    make(map[string]*serviceToken),
		used:      make(map[string]bool),
		tokens:    make(map[string]token),
		renewals:  make(map[string]token),
		robots:    make(map[string]Robot),
	}
	if x.delays == (Delays{}) {
		x.delays = DefaultDelays()
	}
	if x.lockAfter == 0 {
		x.lockAfter = 5
	}
	if cfg.Seed != 0 {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], uint64(cfg.Seed))
		x.ids = rand.NewChaCha8(seed)
	}
	x.load(defaultInventory())
	x.hooks = append(x.hooks, x.connectionEvents)
	x.pf = newPacketFabric(x.tenants)
	if cfg.Scenario != nil {
		x.play(cfg.Scenario, cfg)
	}
	return x
}

// Handler returns the exchange's HTTP interface: the API and, below /sandbox/, the
// control API. Every answer has a Date header.
func (x *Exchange) Handler() http.Handler {
	mux := http.NewServeMux()
	x.routes(func(pattern string, o op) { mux.Handle(pattern, x.endpoint(o)) })
	x.routeControl(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
		if !x.begin() {
			http.Error(w, "the exchange is closed", http.StatusServiceUnavailable)
			return
		}
		defer x.inFlight.Done()
		mux.ServeHTTP(w, r)
	})
}

// route takes an operation with its pattern: a method and a path, or the beginning of all
// paths of an API at which there is nothing else.
type route func(pattern string, o op)

// routes tells handle of every operation of every API.
func (x *Exchange) routes(handle route) {
	x.routeOAuth(handle)
	x.routeECX(handle)
	x.routeFabric(handle)
	x.routePacketFabric(handle)
	handle("/", op{run: func(*request) answer { return notFound() }})
}

// begin counts a request in, unless the exchange is closed.
func (x *Exchange) begin() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return false
	}
	x.inFlight.Add(1)
	return true
}

// Close ends the answers that are being held back, lets what is in flight finish and
// waits for it. Later requests are answered 503. It may be called again.
func (x *Exchange) Close() {
	x.mu.Lock()
	if !x.closed {
		x.closed = true
		close(x.done)
	}
	x.mu.Unlock()
	x.inFlight.Wait()
	x.pushers.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.keep() // what fell due in the last look of all
	if x.kept != nil {
		if err := x.kept.file.Close(); err != nil {
			x.log.Error().Err(err).Msg("close the file of circuits")
		}
		x.kept = nil
	}
}

// lock takes the exchange for one look or change: all that has fallen due is done
// first. It returns the time of the look.
func (x *Exchange) lock() time.Time {
	x.mu.Lock()
	now := time.Now()
	for len(x.agenda) > 0 && !x.agenda[0].at.After(now) {
		e, _ := heap.Pop(&x.agenda).(entry) // the agenda holds nothing else
		e.do(e.at)
	}
	return now
}

// unlock ends a look or change. Nobody is told of a change before it is kept.
func (x *Exchange) unlock() {
	x.keep()
	x.mu.Unlock()
}

// step is something that happens to a circuit when its time has come.
type step string

const (
	autoApprove step = "approve"
	finish      step = "provision"
	tearDown    step = "deprovision"
	changeSpeed step = "speed"
	askRobot    step = "robot"
)

// later plans s for c at the time at. It is void if c has by then moved on.
func (x *Exchange) later(c *circuit, at time.Time, s step) {
	if s != askRobot {
		c.next, c.due = s, at
	}
	moves := c.moves
	x.schedule(at, func(at time.Time) {
		if c.moves == moves {
			x.perform(c, s, at)
		}
	})
}

// schedule plans do for the time at, which it is given.
func (x *Exchange) schedule(at time.Time, do func(at time.Time)) {
	x.plan++
	heap.Push(&x.agenda, entry{at: at, seq: x.plan, do: do})
	if x.clock {
		select {
		case x.sooner <- struct{}{}:
		default: // they have been told already
		}
	}
}

// perform does what was planned.
func (x *Exchange) perform(c *circuit, s step, at time.Time) {
	if s != askRobot {
		c.next, c.due = "", time.Time{}
	}
	switch s {
	case autoApprove:
		x.approveByAPI(c, at)
	case finish:
		c.settle(at, completed)
		c.enter(at, words{provisioned, c.working()}, "exchange", "provisioned")
	case tearDown:
		c.settle(at, completed)
		c.enter(at, words{deprovisioned, notAvailable}, "exchange", "deprovisioned")
	case changeSpeed:
		c.speed, c.wanted = *c.wanted, nil
		c.settle(at, completed)
		c.note(at, "exchange", "speed is now "+c.speed.String())
	case askRobot:
		x.askRobot(c, at)
	}
}

// moveOn makes void what is planned for c.
func (c *circuit) moveOn() {
	c.moves++
	c.next, c.due = "", time.Time{}
}

// newID returns an id that no circuit or group has.
func (x *Exchange) newID() string {
	for {
		id := x.randomID()
		if !x.used[id] { // replayable ids begin again after a restart
			x.used[id] = true
			return id
		}
	}
}

// randomID returns an id as the seed has it.
func (x *Exchange) randomID() string {
	if x.ids == nil {
		return uuid.NewString()
	}
	id, err := uuid.NewRandomFromReader(x.ids)
	if err != nil {
		panic(err) // ChaCha8 never fails
	}
	return id.String()
}

// agenda is what will fall due, the next first.
type agenda []entry

type entry struct {
	at  time.Time
	seq int // among equals the older entry is first
	do  func(at time.Time)
}

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if !a[i].at.Equal(a[j].at) {
		return a[i].at.Before(a[j].at)
	}
	return a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push is for package heap.
func (a *agenda) Push(v any) {
	e, _ := v.(entry) // only later pushes, and pushes entries
	*a = append(*a, e)
}

// Pop is for package heap.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = entry{}
	*a = (*a)[:last]
	return e
}
