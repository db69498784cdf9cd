package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay.io/services/sandbox"
)

// A fault is one misfortune. Its begin is undone by its end.
type fault struct {
	at, span   time.Duration // from the start of the run, and how long
	lane, what string
	kind       string
	busy       *sync.Mutex // held while it lasts; faults of one lane take turns
	begin, end func(ctx context.Context) error
}

// mark is a fault as it came to pass, for the report.
type mark struct {
	Lane string  `json:"lane"`
	Kind string  `json:"kind"`
	What string  `json:"what"`
	From float64 `json:"from"` // seconds from the start
	To   float64 `json:"to"`
	// Stall is how long the publish took that took longest meanwhile; for a leader's death.
	Stall float64 `json:"stall,omitempty"`
	Error string  `json:"error,omitempty"`
}

// plot draws n faults within a span of time.
type plot struct {
	w   *world
	rng *rand.Rand
	// most is how long anything may last that makes the exchange do late what it was asked
	// for. All of them together stay below the quiet time, on which the promise rests.
	most time.Duration
	// all is the longest that anything lasts.
	all time.Duration
	// late is when the exchange does what nobody waits for any more.
	late time.Duration
}

func newPlot(w *world, seed uint64) *plot {
	most := w.opts.quiet * 3 / 10
	return &plot{
		w: w, rng: rand.New(rand.NewPCG(seed, 2)), most: most, all: min(40*time.Second, w.opts.over/2), late: w.opts.attempt + most/2,
	}
}

// draw returns n faults of all kinds, mixed.
func (p *plot) draw(n int) []*fault {
	kinds := []func() *fault{
		p.crash, p.crash, p.crash, p.crash, p.leader, p.leader, p.freeze, p.freeze, p.freeze, p.freeze,
		p.line, p.line, p.line, p.line, p.line, p.flush, p.flush, p.misbehave, p.misbehave, p.misbehave,
		p.misbehave, p.misbehave, p.misbehave, p.misbehave, p.clock, p.clock, p.disk, p.disk,
	}
	// Each kind comes once before any comes by chance.
	first := []func() *fault{p.leader, p.freeze, p.flush, p.crash, p.misbehave, p.clock, p.line, p.disk, p.lateCommits}
	var all []*fault
	for i := range n {
		draw := kinds[p.rng.IntN(len(kinds))]
		if i < len(first) {
			draw = first[i]
		}
		f := draw()
		f.at = time.Duration(p.rng.Int64N(int64(p.w.opts.over * 9 / 10)))
		all = append(all, f)
	}
	return all
}

func (p *plot) between(least, most time.Duration) time.Duration {
	return least + time.Duration(p.rng.Int64N(int64(max(most-least, 1))))
}

// anyone is any process.
func (p *plot) anyone() *program {
	all := p.w.programs()
	return all[p.rng.IntN(len(all))]
}

// crash kills a process and starts it again.
func (p *plot) crash() *fault {
	of := p.anyone()
	return p.killing(of, p.between(200*time.Millisecond, 12*time.Second))
}

func (p *plot) killing(of *program, span time.Duration) *fault {
	return &fault{
		lane: of.name, kind: "kill", what: "killed, and started again", span: span, busy: &of.busy,
		begin: func(context.Context) error { of.kill(); return nil },
		end:   func(context.Context) error { return of.start() },
	}
}

// leader kills the NATS node that leads one of the streams, the journal or that of intents.
func (p *plot) leader() *fault {
	return p.leaderOf([]string{"JOURNAL", "INTENTS"}[p.rng.IntN(2)])
}

func (p *plot) leaderOf(stream string) *fault {
	return p.atLeader(stream, fault{
		kind: "kill", what: "the leader of " + stream + " killed, and started again", span: p.between(500*time.Millisecond, 10*time.Second),
	}, func(of *program) error { of.kill(); return nil }, func(of *program) error { return of.start() })
}

// atLeader is a fault of the node that then leads a stream.
func (p *plot) atLeader(stream string, f fault, begin, end func(*program) error) *fault {
	var of *program
	f.lane = "NATS leader"
	f.begin = func(ctx context.Context) error {
		name, err := p.w.leader(ctx, stream)
		if err != nil {
			return err
		}
		for _, n := range p.w.nodes {
			if n.name == name {
				of = n
			}
		}
		of.busy.Lock()
		return begin(of)
	}
	f.end = func(context.Context) error {
		if of == nil {
			return nil
		}
		defer of.busy.Unlock()
		return end(of)
	}
	return &f
}

// disk leaves a NATS node no room on its disk. One that has met that serves nothing until
// it is started again, so it is once there is room.
func (p *plot) disk() *fault {
	of := p.w.nodes[p.rng.IntN(len(p.w.nodes))]
	return &fault{
		lane: of.name, kind: "disk", what: diskFull, span: p.between(time.Second, p.all), busy: &of.busy,
		begin: func(context.Context) error { return of.noRoom() },
		end:   func(context.Context) error { return of.room() },
	}
}

const diskFull = "its disk is full, and it is started again once there is room"

// leader is the name of the node that leads a stream.
func (w *world) leader(ctx context.Context, stream string) (string, error) {
	nc, js, err := streamsAt(w.natsURL, nats.Name("leader"), nats.Timeout(2*time.Second))
	if err != nil {
		return "", err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return "", err
	}
	if c := s.CachedInfo().Cluster; c != nil && c.Leader != "" {
		return c.Leader, nil
	}
	return "", fmt.Errorf("nobody leads %s just now", stream)
}

// freeze stops a process in the middle of whatever it does.
func (p *plot) freeze() *fault {
	of := p.anyone()
	span := p.between(time.Second, p.all)
	if of == p.w.exchange {
		span = p.between(time.Second, p.most)
	}
	return &fault{
		lane: of.name, kind: "freeze", what: "stopped, and continued", span: span, busy: &of.busy,
		begin: func(context.Context) error { of.signal(syscall.SIGSTOP); return nil },
		end:   func(context.Context) error { of.signal(syscall.SIGCONT); return nil },
	}
}

// line makes bad weather on one link, or on an instance's links to all of NATS.
func (p *plot) line() *fault {
	links := []*link{p.w.routes[p.rng.IntN(len(p.w.routes))]}
	i := p.w.instances[p.rng.IntN(len(p.w.instances))]
	lane, which := links[0].name, p.rng.IntN(4)
	switch which {
	case 0: // a route
	case 1:
		links, lane = i.nats, i.name+" to NATS"
	case 2:
		links, lane = []*link{i.redis}, i.redis.name
	default:
		links, lane = []*link{i.sandbox}, i.sandbox.name
	}
	span := p.between(time.Second, p.all)
	if which == 3 {
		span = p.between(time.Second, p.most)
	}
	how, what := weather{cut: true}, "cut"
	switch p.rng.IntN(3) {
	case 0:
		how, what = weather{held: true}, "held up"
	case 1:
		how.cut, how.delay = false, p.between(50*time.Millisecond, 1500*time.Millisecond)
		what = "delayed by " + how.delay.Round(time.Millisecond).String()
	}
	return &fault{
		lane: "line " + lane, kind: "line", what: what, span: span, busy: &sync.Mutex{},
		begin: func(context.Context) error { setAll(links, how); return nil },
		end:   func(context.Context) error { setAll(links, weather{}); return nil },
	}
}

func setAll(links []*link, how weather) {
	for _, l := range links {
		l.set(how)
	}
}

// flush empties Redis.
func (p *plot) flush() *fault {
	return &fault{
		lane: "redis", kind: "flush", what: "FLUSHALL", busy: &sync.Mutex{},
		begin: func(ctx context.Context) error { return p.w.flushRedis(ctx) },
		end:   func(context.Context) error { return nil },
	}
}

func (w *world) flushRedis(ctx context.Context) error {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", w.redisAddr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing is kept
	if err := c.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("FLUSHALL\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(answer, "+OK") {
		err = fmt.Errorf("FLUSHALL: %s", answer)
	}
	return err
}

// misbehave has the exchanges do what exchanges do.
func (p *plot) misbehave() *fault {
	paths := []string{"/ecx/v3/l2/connections", "/fabric/v4/connections", "/v2/services", "/v2.1/services", ""}
	kinds := []sandbox.Fault{
		{Kind: sandbox.LostAnswer}, {Kind: sandbox.LostAnswer}, {Kind: sandbox.ResetBefore},
		{Kind: sandbox.ErrorBefore}, {Kind: sandbox.ErrorAfter, Status: 502}, {Kind: sandbox.ErrorAfter, Status: 503},
		{Kind: sandbox.Throttle}, {Kind: sandbox.Throttle, RetryAfter: 2 * time.Second},
		{Kind: sandbox.Slow, Delay: p.most}, {Kind: sandbox.SlowCommit, Delay: p.late},
		{Kind: sandbox.SlowAnswer, Delay: p.most}, {Kind: sandbox.Garbage}, {Kind: sandbox.ForeignError}, {Kind: sandbox.Redirect},
		{Kind: sandbox.Hide, Delay: p.most, Match: sandbox.Match{Method: http.MethodPost}},
	}
	f := kinds[p.rng.IntN(len(kinds))]
	f.Match.Path = paths[p.rng.IntN(len(paths))]
	if f.Match.Method == "" {
		f.Match.Method = []string{http.MethodPost, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodGet}[p.rng.IntN(5)]
	}
	if f.Match.Path == "/v2.1/services" {
		f.Match.Method = http.MethodGet // there is nothing else
	}
	f.Times, f.Every = -1, 1+p.rng.IntN(3)
	return p.scripted(f, p.between(time.Second, p.all/2))
}

// lateCommits has PacketFabric carry out requests after everybody has given up waiting.
// Nothing there keeps a second request from being carried out too.
func (p *plot) lateCommits() *fault {
	return p.scripted(sandbox.Fault{
		Kind: sandbox.SlowCommit, Delay: p.late, Times: -1, Every: 2,
		Match: sandbox.Match{Method: http.MethodPost, Path: "/v2/services/third-party"},
	}, p.all/2)
}

func (p *plot) scripted(f sandbox.Fault, span time.Duration) *fault {
	var id string
	return &fault{
		lane: "sandbox answers", kind: "exchange", span: span, busy: &sync.Mutex{},
		what: fmt.Sprintf("%s, each %d. %s %s", f.Kind, f.Every, f.Match.Method, f.Match.Path),
		begin: func(ctx context.Context) error {
			b, err := call(ctx, http.MethodPost, p.w.sandboxBase+"/sandbox/faults", f)
			var added struct{ ID string }
			if err == nil {
				err = json.Unmarshal(b, &added)
			}
			id = added.ID
			return err
		},
		end: func(ctx context.Context) error {
			if id == "" {
				return nil
			}
			_, err := call(ctx, http.MethodDelete, p.w.sandboxBase+"/sandbox/faults?id="+url.QueryEscape(id), nil)
			return err
		},
	}
}

// clock starts an instance again with a clock that is wrong, and later with the right one.
func (p *plot) clock() *fault {
	of := p.w.instances[p.rng.IntN(len(p.w.instances))].program
	shift := []time.Duration{-time.Hour, -90 * time.Second, 90 * time.Second, time.Hour, 24 * time.Hour}[p.rng.IntN(5)]
	return &fault{
		lane: of.name, kind: "clock", what: fmt.Sprintf("its clock is %+v off", shift), span: p.between(p.all/2, p.all), busy: &of.busy,
		begin: func(context.Context) error { return of.restart(clockVariable + "=" + shift.String()) },
		end:   func(context.Context) error { return of.restart() },
	}
}

// play lets the faults happen and returns when all are over. A fault that could not begin
// is marked as such.
func (r *run) play(ctx context.Context, faults []*fault) {
	var all sync.WaitGroup
	for _, f := range faults {
		all.Go(func() { r.one(ctx, f) })
	}
	all.Wait()
}

func (r *run) one(ctx context.Context, f *fault) {
	if !sleep(ctx, time.Until(r.began.Add(f.at))) {
		return
	}
	if f.busy != nil {
		f.busy.Lock()
		defer f.busy.Unlock()
	}
	if ctx.Err() != nil {
		return
	}
	from := time.Now()
	r.on(+1)
	defer r.on(-1)
	err := f.begin(ctx)
	if err == nil {
		sleep(ctx, f.span)
	}
	over := context.WithoutCancel(ctx)
	if eerr := f.end(over); err == nil && eerr != nil {
		err = eerr // heal takes care of what is left
	}
	m := mark{Lane: f.lane, Kind: f.kind, What: f.what, From: r.at(from), To: r.at(time.Now())}
	if err != nil {
		m.Error = err.Error()
	}
	if f.lane == "NATS leader" && err == nil {
		sleep(ctx, 10*time.Second) // for what hangs to get through
		m.Stall = r.crowd.stall(from, from.Add(10*time.Second)).Seconds()
	}
	r.mark(m)
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// heal ends every misfortune that may be left.
func (w *world) heal(ctx context.Context) error {
	setAll(w.links(), weather{})
	for _, p := range w.programs() {
		p.signal(syscall.SIGCONT)
	}
	return within(ctx, 30*time.Second, "end the exchange's faults", func(ctx context.Context) error {
		_, err := call(ctx, http.MethodDelete, w.sandboxBase+"/sandbox/faults", nil)
		return err
	})
}
