package load

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/ecx"
	"patchbay.io/pkg/exchange/fabric"
	"patchbay.io/pkg/exchange/packetfabric"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/statuswatcher"
)

var (
	watchFor  = flag.Duration("watch.for", 0, "virtual time in which circuits change; 0 skips the measurement")
	watchAPIs = flag.String("watch.apis", "ecx,fabric,packetfabric", "the APIs to measure")
	watchN    = flag.Int("watch.circuits", 0, "so many circuits alone; 0 is 1000 and then 10000")
	watchJSON = flag.String("watch.json", "", "a file to which each measurement is added as a line of JSON")
)

func TestMain(m *testing.M) {
	embedded.KeepTime()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

const (
	// perMinute is how many circuits change in a minute.
	perMinute = 20
	// after is how long the watcher may take for the last change: a list of everything
	// comes every 15 minutes.
	after = 20 * time.Minute
)

// What watching costs, by what exists.
func TestWatch(t *testing.T) {
	if *watchFor == 0 {
		t.Skip("a measurement of minutes: make watch-load")
	}
	sizes := []int{1000, 10_000}
	if *watchN > 0 {
		sizes = []int{*watchN}
	}
	for api := range strings.SplitSeq(*watchAPIs, ",") {
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%s/%d", api, size), func(t *testing.T) {
				began := time.Now()
				var r report
				synctest.Test(t, func(t *testing.T) { r = measure(t, account.API(api), size) })
				t.Logf("%s, %d circuits, real time %v\n%s", api, size, time.Since(began).Round(time.Second), r)
				r.keep(t, api, "watch")
			})
			t.Run(fmt.Sprintf("%s/%d/poll", api, size), func(t *testing.T) {
				var r report
				synctest.Test(t, func(t *testing.T) { r = measurePoll(t, account.API(api), size) })
				t.Logf("%s, %d circuits, polled one by one\n%s", api, size, r)
				r.keep(t, api, "poll")
			})
		}
	}
}

// report is what came of one run.
type report struct {
	first       time.Duration // until all circuits were in the journal
	firstCalls  int
	span        time.Duration // that was counted
	calls       map[string]int
	bytes       int64
	transitions []time.Duration // from the exchange to the journal
	values      []time.Duration // the same for new names
	facts       int
	skipped     int // steps missed between two looks, which the journal says
	lost        int
	invented    int
	circuits    int
	cpu         time.Duration // of the whole process in that time, the exchange included
	watcher     uint64        // heap in bytes
	nats        uint64
}

func (r report) String() string {
	var b strings.Builder
	minutes := r.span.Minutes()
	fmt.Fprintf(&b, "  first sighting of all: %d calls, %v\n", r.firstCalls, r.first)
	quick, full := 0, 0
	for _, what := range slices.Sorted(maps.Keys(r.calls)) {
		n := r.calls[what]
		if strings.HasSuffix(what, fullSweep) {
			full += n
		} else {
			quick += n
		}
		fmt.Fprintf(&b, "  %8.2f calls/min  %s\n", float64(n)/minutes, what)
	}
	fmt.Fprintf(&b, "  %8.2f calls/min, and %.2f of sweeps over everything; %.0f kB/min\n",
		float64(quick)/minutes, float64(full)/minutes, float64(r.bytes)/1000/minutes)
	fmt.Fprintf(&b, "  processor time of watcher, NATS and exchange together: %.0f ms/min\n", r.busy())
	fmt.Fprintf(&b, "  transitions: %s\n  new names:   %s\n", delays(r.transitions), delays(r.values))
	fmt.Fprintf(&b, "  %d facts; transitions: %d skipped and said so, %d lost, %d invented\n", r.facts, r.skipped, r.lost, r.invented)
	fmt.Fprintf(&b, "  heap of the watcher %.1f MB (%.1f kB a circuit), of NATS since the watcher began %.1f MB",
		float64(r.watcher)/1e6, float64(r.watcher)/1e3/float64(r.circuits), float64(r.nats)/1e6)
	return b.String()
}

func delays(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(100 * time.Millisecond) }
	return fmt.Sprintf("%d, delay median %v, p99 %v, longest %v", len(all), at(0.5), at(0.99), at(1))
}

// heap is what is in use after a collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers let go
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// processor is the processor time that this process has used.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func measure(t *testing.T, api account.API, size int) report {
	c := newCrowd(t, api, size)
	defer c.exchange.Close()
	calls, network, end := serve(t, c)
	defer end()
	nats, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nats.Stop()
	j, err := journal.Open(t.Context(), journal.Config{InProcess: nats})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()

	r := report{circuits: size}
	before := heap()
	stop := watch(t, j, api, network)
	begin := time.Now()
	for r.facts = 0; r.facts < size; time.Sleep(5 * time.Second) {
		last, err := j.LastSeq(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.facts = int(last)
		if time.Since(begin) > time.Hour {
			t.Fatalf("%d facts of %d circuits after an hour", last, size)
		}
	}
	r.first = time.Since(begin)
	first, _ := calls.reset()
	for _, n := range first {
		r.firstCalls += n
	}
	time.Sleep(5 * time.Minute) // until it is at rest
	calls.reset()
	from, used := time.Now(), processor(t)
	changed := c.change(*watchFor)
	r.span, r.cpu = time.Since(from), processor(t)-used
	r.calls, r.bytes = calls.reset()
	time.Sleep(after)
	synctest.Wait()
	with := heap()
	stop()
	synctest.Wait()
	without := heap()
	r.watcher, r.nats = with-without, without-before
	r.compare(t, c, j, changed)
	return r
}

// serve lets the exchange serve a network of its own, and counts the calls.
func serve(t *testing.T, c *crowd) (calls *counter, network *memory, end func()) {
	calls = &counter{next: c.handler, calls: map[string]int{}}
	network = newMemory()
	server := &http.Server{Handler: calls, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(network) }()
	return calls, network, func() {
		_ = server.Close() // nobody is in the middle of anything
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}
}

// buyer opens a client of the account that buys, and returns a file of that account alone.
func buyer(t *testing.T, api account.API, network *memory) (file account.File, client exchange.Client, end func()) {
	t.Helper()
	file = account.Sandbox("http://sandbox.test")
	a, ok := file.ByName("acme-" + string(api))
	if !ok {
		t.Fatalf("no account at %s", api)
	}
	file.Accounts = []account.Account{a}
	open := map[account.API]func(exchange.Config) (exchange.Client, func(), error){
		account.ECX: func(c exchange.Config) (exchange.Client, func(), error) { x, err := ecx.New(c); return x, x.Close, err },
		account.Fabric: func(c exchange.Config) (exchange.Client, func(), error) {
			x, err := fabric.New(c)
			return x, x.Close, err
		},
		account.PacketFabric: func(c exchange.Config) (exchange.Client, func(), error) {
			x, err := packetfabric.New(c)
			return x, x.Close, err
		},
	}
	client, end, err := open[api](exchange.Config{Account: a, Dial: network.dial})
	if err != nil {
		t.Fatal(err)
	}
	return file, client, end
}

// watch starts a status-watcher on one account that buys.
func watch(t *testing.T, j *journal.Journal, api account.API, network *memory) (stop func()) {
	t.Helper()
	file, client, end := buyer(t, api, network)
	rt := service.Runtime{
		Journal: j, Log: zerolog.Nop(), Accounts: file, Key: secret.NewKey([32]byte{1}),
		Clients: map[string]exchange.Client{file.Accounts[0].Name: client},
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- statuswatcher.Run(ctx, rt, statuswatcher.Pace{}) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		end()
	}
}

// changes are what was done to the circuits, and when.
type changes struct {
	began time.Time
	ids   []string             // of circuits that were made or deleted
	names map[string]time.Time // new names
}

// change lets circuits change for so long.
func (c *crowd) change(span time.Duration) changes {
	all := changes{began: time.Now(), names: map[string]time.Time{}}
	for n := 0; time.Since(all.began) < span; n++ {
		switch n % 3 {
		case 0:
			id := c.order()
			c.passing = append(c.passing, id)
			all.ids = append(all.ids, id)
		case 1:
			all.ids = append(all.ids, c.end())
		default:
			name, replaced := c.rename()
			all.names[name] = time.Now()
			delete(all.names, replaced) // nobody may have looked meanwhile
		}
		time.Sleep(time.Minute / perMinute)
	}
	return all
}

// compare holds the journal against the exchange's own books.
func (r *report) compare(t *testing.T, c *crowd, j *journal.Journal, done changes) {
	t.Helper()
	told := map[string][]entered{} // by exchange id
	last := map[string]status.Status{}
	r.facts = 0
	for _, noun := range []event.Noun{event.Connection, event.Change} {
		err := j.History(t.Context(), []string{event.Root + "." + string(noun) + ".>"}, func(rec journal.Record) error {
			r.facts++
			var conn *patchbayv1.Connection
			if noun == event.Connection {
				var tr patchbayv1.Transition
				if err := rec.Into(&tr); err != nil {
					return err
				}
				conn = tr.GetConnection()
				is := status.Status(conn.GetStatus())
				if last[conn.GetExchangeId()] != is {
					last[conn.GetExchangeId()] = is
					told[conn.GetExchangeId()] = append(told[conn.GetExchangeId()], entered{is, rec.Stamp, tr.GetSkipped()})
				}
			} else {
				var ch patchbayv1.Change
				if err := rec.Into(&ch); err != nil {
					return err
				}
				conn = ch.GetConnection()
			}
			if at, ok := done.names[conn.GetName()]; ok {
				r.values = append(r.values, rec.Stamp.Sub(at))
				delete(done.names, conn.GetName())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for id, facts := range told {
		r.follow(t, id, c.history(id), facts, done.began)
	}
	for _, id := range done.ids {
		if told[id] == nil {
			t.Errorf("circuit %s was never seen", id)
		}
	}
	if len(done.names) > 0 {
		t.Errorf("%d new names were never seen", len(done.names))
	}
	if cmp.Or(r.lost, r.invented) != 0 {
		t.Errorf("%d transitions lost, %d invented", r.lost, r.invented)
	}
}

// follow walks along what happened to a circuit and what was told of it. What happened
// before it was seen for the first time is not told.
func (r *report) follow(t *testing.T, id string, happened, facts []entered, began time.Time) {
	t.Helper()
	at, lost, invented := 0, 0, 0
	for n, f := range facts {
		next := slices.IndexFunc(happened[at:], func(e entered) bool { return e.status == f.status })
		if next < 0 {
			invented++
			continue
		}
		switch {
		case n == 0:
		case f.skipped:
			r.skipped += next
		default:
			lost += next
		}
		if e := happened[at+next]; !e.at.Before(began) {
			r.transitions = append(r.transitions, f.at.Sub(e.at))
		}
		at += next + 1
	}
	lost += len(happened) - at
	if lost+invented > 0 && r.lost+r.invented < 3 {
		t.Logf("circuit %s: happened %v, told %v", id, happened, facts)
	}
	r.lost, r.invented = r.lost+lost, r.invented+invented
}
