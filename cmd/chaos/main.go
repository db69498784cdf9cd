// Command chaos runs the whole system as processes and does to them what happens in the
// field: three NATS servers with three replicas of each stream, a real Redis, the sandbox
// exchange, and two instances of each service, with a link between any two of them that can
// be cut, held up and delayed. Upstream systems publish intents at all three exchanges,
// with repeats and contradictions, while by a printed seed processes are killed, frozen and
// given wrong clocks, Redis is emptied, links break and the exchanges misbehave, several at
// a time. Then everything is healed; when things are quiet the journal is held against the
// exchanges' books, the view in Redis, the logs, and what three subscribers received.
//
//	go run ./cmd/chaos -seed 5 -intents 2000 -faults 60 -over 5m
//
// It writes report.json and report.html, and exits with 1 if anything that is promised did
// not hold; then the journal and all logs are kept beside the report.
//
// The product is built for the run with a clock that can be set wrong, the NATS servers with a
// disk that can be full, and with -plant the product also with a bug, without a change to their
// sources; see build.go and bugs.go. The links are a relay of our own: those that can be had keep no bytes back, or want a server of theirs.
//
// What it relies on: redis-server in PATH, the Go toolchain, and being run in a checkout.
// It kills only what it started, and ends by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"patchbay.io/pkg/journal"
)

type options struct {
	seed           uint64
	intents        int
	faults         int
	over           time.Duration
	attempt, quiet time.Duration
	limit          time.Duration
	only, plant    string
	report, logs   string
}

func main() {
	if file, ok := isNode(); ok {
		if err := runNode(file); err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.Uint64Var(&o.seed, "seed", 0, "decides what happens and when; 0 draws one")
	flag.IntVar(&o.intents, "intents", 150, "how many intents are published")
	flag.IntVar(&o.faults, "faults", 20, "how many faults there are")
	flag.DurationVar(&o.over, "over", time.Minute, "in which all of that happens")
	flag.DurationVar(&o.attempt, "attempt", 15*time.Second, "time of an attempt, of the accounts")
	flag.DurationVar(&o.quiet, "quiet", time.Minute, "quiet time before another attempt, of the accounts")
	flag.DurationVar(&o.limit, "limit", 15*time.Minute, "how long it may take to be quiet once all is healed")
	flag.StringVar(&o.only, "only", "", "one scenario instead of all faults: "+strings.Join(scenarios(), ", "))
	flag.StringVar(&o.plant, "plant", "", "plant this bug, to see that it is found")
	flag.StringVar(&o.report, "report", "chaos-report", "folder for the report, and for the evidence if something did not hold")
	flag.StringVar(&o.logs, "log-level", "info", "of the services")
	flag.Parse()
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	holds, err := chaos(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || !holds {
		os.Exit(1)
	}
}

// run is one run of the program.
type run struct {
	opts        options
	w           *world
	j           *journal.Journal
	reader      *reader
	crowd       *crowd
	subscribers []*subscriber
	secrets     []string
	began       time.Time
	healed      time.Time

	mu      sync.Mutex
	marks   []mark
	now     int // faults that are on
	samples []sample
	probes  []probe

	// What was counted at the end.
	outcomes                                  map[string]int
	attempts, transitions, inferred, circuits int
}

func (r *run) at(t time.Time) float64 { return t.Sub(r.began).Seconds() }

func (r *run) mark(m mark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks = append(r.marks, m)
}

func (r *run) on(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now += n
}

// chaos does it all and reports whether everything held.
func chaos(ctx context.Context, o options) (holds bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.over+o.limit+15*time.Minute)
	defer cancel()
	fmt.Printf("seed %d: %d intents and %d faults over %v; attempt %v, quiet time %v\n", o.seed, o.intents, o.faults, o.over, o.attempt, o.quiet)
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Println("building patchbay …")
	product, node, err := build(ctx, dir, o.plant)
	if err != nil {
		return false, err
	}
	r := &run{opts: o}
	r.w, err = raise(ctx, o, dir, product, node)
	gracefully := false
	defer func() {
		if r.w != nil {
			r.w.end(gracefully)
		}
	}()
	if err != nil {
		return false, errors.Join(err, keep(o.report, dir, nil))
	}
	found, err := r.all(ctx)
	if err != nil {
		return false, errors.Join(err, keep(o.report, dir, r.reader))
	}
	found = append(found, r.w.end(true)...)
	r.w = nil
	verdicts := judge(found)
	holds = !slices.ContainsFunc(verdicts, func(v verdict) bool { return !v.Holds })
	if !holds {
		err = keep(o.report, dir, r.reader)
	}
	rep := r.report(ctx, verdicts)
	rep.print(os.Stdout)
	return holds, errors.Join(err, rep.write(o.report))
}

// all lets everything happen and returns what was found.
func (r *run) all(ctx context.Context) (found []string, err error) {
	all, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer r.j.Close()
	faults, err := r.faults()
	if err != nil {
		return nil, err
	}
	r.began = time.Now()

	// These run until things are quiet.
	living, stop := context.WithCancel(ctx)
	defer stop()
	var beside sync.WaitGroup
	problems := make(chan error, 8)
	beside.Go(func() { problems <- r.reader.follow(living) })
	beside.Go(func() { problems <- r.crowd.person(living) })
	beside.Go(func() { r.watch(living) })
	rng := rand.New(rand.NewPCG(r.opts.seed, 3))
	for name, patience := range map[string]time.Duration{"durable": 0, "interrupted": 5 * time.Second} {
		s := newSubscriber(name)
		r.subscribers = append(r.subscribers, s)
		beside.Go(func() { problems <- s.durable(living, r.w.natsURL, patience, rng) })
	}

	var acts sync.WaitGroup
	acts.Go(func() { problems <- r.crowd.publish(living) })
	acts.Go(func() { r.play(living, faults) })
	acts.Wait()
	if err := r.w.heal(living); err != nil {
		return nil, err
	}
	r.healed = time.Now()
	fmt.Println("healed; waiting until things are quiet")
	open := r.quiet(living, all)
	for _, o := range open {
		found = append(found, "2: after "+r.opts.limit.String()+" still open: "+o)
	}
	more, err := r.check(ctx)
	stop()
	beside.Wait()
	close(problems)
	for p := range problems {
		err = errors.Join(err, p)
	}
	return append(found, append(more, r.reader.wrong...)...), err
}

// connect opens a window on the journal and draws what upstream wants.
func (r *run) connect(ctx context.Context) ([]*wish, error) {
	// The services make the streams.
	err := within(ctx, 3*time.Minute, "open the journal", func(ctx context.Context) (err error) {
		r.j, err = journal.Open(ctx, journal.Config{URL: r.w.natsURL, Name: "chaos", Client: true})
		return err
	})
	if err != nil {
		return nil, err
	}
	issue, failed, err := r.w.issuer(ctx)
	if err != nil {
		return nil, err
	}
	all, err := wishes(rand.New(rand.NewPCG(r.opts.seed, 1)), r.opts.intents, issue)
	if err = errors.Join(err, failed()); err != nil {
		return nil, err
	}
	r.secrets = secrets(all)
	r.reader = newReader(r.j, r.secrets)
	r.crowd = &crowd{r: r.reader, all: all, over: r.opts.over, seed: r.opts.seed, urls: r.w.natsURL}
	return all, nil
}

// quiet waits until nothing is open any more, and returns what is at the limit.
func (r *run) quiet(ctx context.Context, all []*wish) []string {
	deadline := time.Now().Add(r.opts.limit)
	for {
		open := []string{"the books cannot be read"}
		if books, err := r.w.inventory(ctx); err == nil {
			open = r.reader.unsettled(all, books)
		}
		r.reader.mu.Lock()
		calm := time.Since(r.reader.newest) > 3*time.Second
		r.reader.mu.Unlock()
		if len(open) == 0 && calm {
			return nil
		}
		if time.Now().After(deadline) || !sleep(ctx, time.Second) {
			return open
		}
	}
}

// sample is a second of the run.
type sample struct {
	At        float64 `json:"at"`
	Published int     `json:"published"`
	Facts     int     `json:"facts"`
	Ended     int     `json:"ended"`
	Open      int     `json:"open"`
	Faults    int     `json:"faults"`
}

// watch takes a sample each second and says where things are every ten.
func (r *run) watch(ctx context.Context) {
	for n := 1; sleep(ctx, time.Until(r.began.Add(time.Duration(n)*time.Second))); n++ {
		s := sample{At: r.at(time.Now()), Published: r.crowd.published()}
		r.reader.mu.Lock()
		s.Facts, s.Ended, s.Open = r.reader.story.Facts, r.reader.done, len(r.reader.open)
		r.reader.mu.Unlock()
		r.mu.Lock()
		s.Faults = r.now
		r.samples = append(r.samples, s)
		r.mu.Unlock()
		if n%10 == 0 {
			fmt.Printf("%5.0fs  %5d published  %5d orders ended  %4d open  %6d facts  %2d faults\n",
				s.At, s.Published, s.Ended, s.Open, s.Facts, s.Faults)
		}
	}
}

// keep copies what tells what happened: logs, configuration, and the journal.
func keep(to, dir string, reader *reader) error {
	to = filepath.Join(to, "evidence")
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(to, "logs"), os.DirFS(filepath.Join(dir, "logs"))); err != nil {
		return err
	}
	for _, n := range nodeNames() {
		b, err := os.ReadFile(filepath.Join(dir, n, "server.log"))
		if err != nil {
			continue // it may not have come that far
		}
		if err := os.WriteFile(filepath.Join(to, "logs", n+".server.log"), b, 0o600); err != nil {
			return err
		}
	}
	if reader == nil {
		return nil
	}
	reader.mu.Lock()
	defer reader.mu.Unlock()
	return os.WriteFile(filepath.Join(to, "journal.txt"), []byte(strings.Join(reader.lines, "\n")), 0o600)
}
