package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/testenv"
	"patchbay.io/services/approver"
	"patchbay.io/services/provisioner"
	"patchbay.io/services/requester"
	"patchbay.io/services/sandbox"
	"patchbay.io/services/statuswatcher"
)

// A world is one run of the whole system in one bubble.
type world struct {
	t    *testing.T
	seed uint64
	log  *testenv.Log
	// busy counts helpers of the world that must end before it does.
	busy sync.WaitGroup

	mu   sync.Mutex
	rng  *rand.Rand
	nats *embedded.NATS
	dir  string
	// toNATS has every connection to it.
	toNATS *line
	held   time.Duration // how long NATS reads may be held up; 0 for not
	redis  *embedded.Redis
	away   atomic.Bool // Redis refuses connections

	exchange *sandbox.Exchange
	network  *network
	server   *http.Server
	accounts account.File
	key      secret.Key
	procs    []*process
	own      *journal.Journal // the world's own window on the journal
	healed   atomic.Bool      // no more crashes
	notes    []string         // what was done to the world, for a seed that fails
	tally    *tally           // of the run; nil for none
	facts    string           // the whole journal, read at the end of a world that failed
	secrets  []string         // beside the canary; must show up nowhere
	// renamed has the first name of each circuit that was renamed in the portal.
	renamed map[string]string
	// pace of the watchers. A lease that is renewed each two seconds would cost most of the run.
	pace statuswatcher.Pace
}

// newWorld starts the servers and connects the world's own window.
func newWorld(t *testing.T, seed uint64, delays sandbox.Delays) *world {
	w := &world{
		t: t, seed: seed, log: &testenv.Log{}, renamed: map[string]string{}, rng: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(),
		network: newNetwork(), toNATS: newLine(), key: secret.NewKey([32]byte{1, 2, 3}),
		pace: statuswatcher.Pace{Lease: time.Minute},
	}
	w.startNATS()
	var err error
	if w.redis, err = embedded.StartRedis(""); err != nil {
		t.Fatal(err)
	}
	w.exchange = sandbox.New(sandbox.Config{Seed: int64(seed>>1) + 1, Delays: delays, LockAfter: -1})
	w.server = &http.Server{Handler: w.exchange.Handler(), ReadHeaderTimeout: time.Minute}
	w.busy.Go(func() {
		if err := w.server.Serve(w.network); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("exchange stopped: %v", err)
		}
	})
	if w.own, err = journal.Open(t.Context(), journal.Config{InProcess: w.wire(newLine()), Name: "world"}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) startNATS() {
	n, err := embedded.StartNATS(embedded.NATSConfig{Dir: w.dir, Relaxed: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.nats = n
	w.mu.Unlock()
}

// restartNATS stops the server, with all its connections, and starts it again after a while.
func (w *world) restartNATS(after time.Duration) {
	w.mu.Lock()
	n := w.nats
	w.nats = nil
	w.mu.Unlock()
	if n == nil {
		return // it is being restarted already
	}
	// A server that stops sleeps under a lock that requests wait for, so none may be on its
	// way: virtual time would stand still.
	w.toNATS.cut(false)
	time.Sleep(time.Millisecond)
	n.Stop()
	time.Sleep(after)
	w.startNATS()
}

// stop ends everything and waits for it.
func (w *world) stop() {
	for _, p := range w.procs {
		p.end()
	}
	w.own.Close()
	_ = w.server.Close() // it has nothing to report
	_ = w.network.Close()
	w.busy.Wait()
	w.exchange.Close()
	w.redis.Stop()
	w.nats.Stop()
}

// chance is true once in n.
func (w *world) chance(n int) bool { return w.pick(n) == 0 }

// pick returns a number from 0 to n-1.
func (w *world) pick(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// upTo returns a time from 0 to d.
func (w *world) upTo(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.rng.Int64N(int64(d) + 1))
}

// note remembers what was done, with the virtual time.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, time.Now().UTC().Format("02 15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// wire connects to whatever NATS server runs, over l.
func (w *world) wire(l *line) natsWire { return natsWire{w, l} }

type natsWire struct {
	w *world
	l *line
}

// InProcessConn implements [journal.InProcess].
func (n natsWire) InProcessConn() (net.Conn, error) {
	n.w.mu.Lock()
	srv := n.w.nats
	n.w.mu.Unlock()
	if srv == nil {
		return nil, errReset
	}
	c, err := srv.InProcessConn()
	if err != nil {
		return nil, err
	}
	b := &borrowed{Conn: c, delay: n.w.holdUp, made: time.Now()}
	if err := n.l.add(b); err != nil {
		_ = c.Close() // the process is dead
		return nil, err
	}
	return b, n.w.toNATS.add(b)
}

// holdUp is how long a read from NATS is held up now.
func (w *world) holdUp() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == 0 || w.rng.IntN(4) > 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(w.held)))
}

func (w *world) setHoldUp(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = d
}

// A process is one instance of one service. It can crash and come back.
type process struct {
	w    *world
	name string
	run  func(context.Context, service.Runtime) error

	mu      sync.Mutex
	cancel  context.CancelFunc
	lines   []*line
	rt      *service.Runtime
	ended   chan struct{}
	stopped bool // for good

	effects atomic.Int64 // since the world began
	crashAt atomic.Int64 // the effect at which it crashes; 0 for never
	crashes atomic.Int64
}

// theServices are the parts of the system, by name.
func theServices(pace statuswatcher.Pace) map[string]func(context.Context, service.Runtime) error {
	return map[string]func(context.Context, service.Runtime) error{
		"requester": func(ctx context.Context, rt service.Runtime) error {
			return requester.Run(ctx, rt, requester.Limits{})
		},
		"approver":    approver.Run,
		"provisioner": provisioner.Run,
		"status-watcher": func(ctx context.Context, rt service.Runtime) error {
			return statuswatcher.Run(ctx, rt, pace)
		},
	}
}

// launch starts n instances of each service.
func (w *world) launch(n int) {
	for name, run := range theServices(w.pace) {
		for i := range n {
			p := &process{w: w, name: fmt.Sprintf("%s-%d", name, i+1), run: run}
			w.procs = append(w.procs, p)
			p.start()
		}
	}
}

// start runs the process until it crashes or ends.
func (p *process) start() {
	ctx, cancel := context.WithCancel(context.Background())
	nats, redis, exchange := newLine(), newLine(), newLine()
	exchange.wrote = func(point string) { p.effect("http." + point) }
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		cancel()
		return
	}
	p.cancel, p.lines, p.ended = cancel, []*line{nats, redis, exchange}, make(chan struct{})
	ended := p.ended
	p.w.busy.Go(func() {
		defer close(ended)
		defer cancel()
		rt, err := service.Open(ctx, p.config(nats, redis, exchange))
		if err != nil {
			if ctx.Err() == nil {
				p.w.t.Errorf("%s does not start: %v", p.name, err)
			}
			return
		}
		p.mu.Lock()
		p.rt = rt
		p.mu.Unlock()
		var parts sync.WaitGroup
		parts.Go(func() { _ = rt.View.Project(ctx, rt.Journal) }) // it ends with ctx
		if err := p.run(ctx, *rt); err != nil && ctx.Err() == nil {
			p.w.t.Errorf("%s stopped by itself: %v", p.name, err)
		}
		cancel()
		parts.Wait()
		_ = rt.Close() // connections that may be cut already
	})
}

func (p *process) config(nats, redis, exchange *line) service.Config {
	w := p.w
	log := zerolog.New(w.log).With().Str("process", p.name).Logger()
	cfg := service.Config{
		Name: p.name, Accounts: w.accounts, Key: w.key, Log: log,
		NATS: journal.Config{InProcess: w.wire(nats), Probe: p.effect},
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return w.network.dial(ctx, exchange) },
	}
	cfg.Redis.CheckEvery = time.Minute // a look every two seconds would cost most of the run
	cfg.Redis.Dial = func(context.Context, string, string) (net.Conn, error) {
		if w.away.Load() {
			return nil, errReset
		}
		c, err := w.redis.Dial()
		if err != nil {
			return nil, err
		}
		b := &borrowed{Conn: c}
		if err := redis.add(b); err != nil {
			_ = c.Close() // the process is dead
			return nil, err
		}
		return b, nil
	}
	return cfg
}

// effect counts an effect, and crashes the process if this is the one.
func (p *process) effect(point string) {
	n := p.effects.Add(1)
	if at := p.crashAt.Load(); at > 0 && n >= at && p.crashAt.CompareAndSwap(at, 0) && !p.w.healed.Load() {
		p.crash(point)
	}
}

// crash kills the process here and now, and starts it again after a while.
func (p *process) crash(point string) {
	p.crashes.Add(1)
	p.w.note("%s crashes at %s", p.name, point)
	p.kill()
	p.w.busy.Go(func() {
		<-p.ended
		time.Sleep(p.w.upTo(20 * time.Second))
		p.start()
	})
}

// kill cancels the process's context and cuts all its connections.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel()
	for _, l := range p.lines {
		l.cut(true)
	}
	if rt := p.rt; rt != nil {
		p.rt = nil
		p.w.busy.Go(rt.Journal.Close)
	}
}

// cut breaks the process's connections to NATS, Redis or the exchange; it may make new ones.
func (p *process) cut(which int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) > 0 {
		p.lines[which%len(p.lines)].cut(false)
	}
}

// end stops the process for good, gracefully.
func (p *process) end() {
	p.mu.Lock()
	p.stopped = true
	cancel, ended := p.cancel, p.ended
	p.mu.Unlock()
	cancel()
	<-ended
}
