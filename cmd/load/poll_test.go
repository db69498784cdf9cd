package load

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/status"
)

// pollEvery is how often the Terraform providers of these exchanges ask for a circuit that
// they wait for.
const pollEvery = 30 * time.Second

// polled is what asking one by one knows of a circuit.
type polled struct {
	status status.Status
	name   string
	at     time.Time
}

// measurePoll measures the way without a watcher: each circuit that is there at the start is
// asked for by itself, every half minute, while the same changes are made.
func measurePoll(t *testing.T, api account.API, size int) report {
	c := newCrowd(t, api, size)
	defer c.exchange.Close()
	calls, network, end := serve(t, c)
	defer end()
	_, client, closeClient := buyer(t, api, network)
	defer closeClient()
	ids := slices.Concat(c.passing, c.staying)
	seen := map[string][]polled{}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		begun := time.Now()
		for n := 0; ; n++ {
			// They are spread evenly over the half minute.
			time.Sleep(time.Until(begun.Add(time.Duration(n) * pollEvery / time.Duration(len(ids)))))
			select {
			case <-stop:
				return
			default:
			}
			id := ids[n%len(ids)]
			was := seen[id]
			if len(was) > 0 && was[len(was)-1].status.Ended() {
				continue
			}
			conn, err := client.Get(t.Context(), id)
			now := polled{status.Deprovisioned, "", time.Now()}
			if err == nil {
				now.status, now.name = status.Status(conn.GetStatus()), conn.GetName()
			}
			if len(was) == 0 || was[len(was)-1].status != now.status || was[len(was)-1].name != now.name && now.name != "" {
				seen[id] = append(was, now)
			}
		}
	}()
	time.Sleep(pollEvery) // each was asked for once
	calls.reset()
	r := report{circuits: size}
	from, used := time.Now(), processor(t)
	changed := c.change(*watchFor)
	r.span, r.cpu = time.Since(from), processor(t)-used
	r.calls, r.bytes = calls.reset()
	time.Sleep(4 * pollEvery)
	close(stop)
	<-stopped
	r.comparePolled(c, seen, changed)
	return r
}

// comparePolled finds how late each change was noticed.
func (r *report) comparePolled(c *crowd, seen map[string][]polled, done changes) {
	for id, looks := range seen {
		happened := c.history(id)
		for n, look := range looks {
			if at, ok := done.names[look.name]; ok {
				r.values = append(r.values, look.at.Sub(at))
				delete(done.names, look.name)
			}
			if n == 0 || look.status == looks[n-1].status {
				continue
			}
			for _, e := range happened {
				if e.status == look.status && !e.at.Before(done.began) {
					r.transitions = append(r.transitions, look.at.Sub(e.at))
				}
			}
		}
	}
}

// perMinute is how many calls a minute there were, and how many of those were parts of
// sweeps over everything.
func (r report) perMinute() (all, full float64) {
	for what, n := range r.calls {
		all += float64(n) / r.span.Minutes()
		if strings.HasSuffix(what, fullSweep) {
			full += float64(n) / r.span.Minutes()
		}
	}
	return all, full
}

// busy is the processor time of a minute, in ms.
func (r report) busy() float64 { return float64(r.cpu.Microseconds()) / 1e3 / r.span.Minutes() }

// kept is a measurement as a line of JSON.
type kept struct {
	API, How       string
	Circuits       int
	CallsPerMinute float64
	FullPerMinute  float64 // of those, the sweeps over everything
	Median, P99    float64 // seconds until a transition was noticed
	HeapMiB        float64 // of the watcher
	CPUMillis      float64 // of a minute, the exchange included
}

// keep adds the report to the file, if one is asked for.
func (r report) keep(t *testing.T, api, how string) {
	t.Helper()
	if *watchJSON == "" {
		return
	}
	k := kept{API: api, How: how, Circuits: r.circuits, HeapMiB: float64(r.watcher) / (1 << 20), CPUMillis: r.busy()}
	k.CallsPerMinute, k.FullPerMinute = r.perMinute()
	if len(r.transitions) > 0 {
		slices.Sort(r.transitions)
		k.Median = r.transitions[len(r.transitions)/2].Seconds()
		k.P99 = r.transitions[(len(r.transitions)-1)*99/100].Seconds()
	}
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(*watchJSON, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
