package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"patchbay.io/tools/bench/measure"
	"patchbay.io/tools/bench/page"
	"patchbay.io/tools/bench/rig"
)

// startTime bounds a start.
const startTime = 10 * time.Minute

// start measures how long `patchbay up` takes until it is ready, and until its view is
// whole, with an empty journal and with a full one.
func start(ctx context.Context, o options) (s page.Section, err error) {
	dir, err := os.MkdirTemp("", "patchbay-bench-")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "patchbay")
	build := o.goCommand(ctx, "build", "-o", program, "patchbay.io/cmd/patchbay")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return s, fmt.Errorf("build patchbay: %w", err)
	}
	facts, rounds := 1_000_000, 3
	if o.short {
		facts, rounds = 50_000, 1
	}
	full := filepath.Join(dir, "full")
	wrote, err := rig.Fill(ctx, full, facts)
	if err != nil {
		return s, fmt.Errorf("fill a journal: %w", err)
	}
	var empty, many []started
	for i := range rounds { // in turn, so that both see the same machine
		e, err := startUp(ctx, program, filepath.Join(dir, fmt.Sprintf("empty-%d", i)))
		if err != nil {
			return s, err
		}
		m, err := startUp(ctx, program, full)
		if err != nil {
			return s, err
		}
		empty, many = append(empty, e), append(many, m)
		o.conditions.Sample()
	}
	s = tellStarts([]starts{{"empty", 0, empty}, {measure.Short(float64(wrote)) + " facts", wrote, many}})
	s.Notes = []string{fmt.Sprintf("The facts are those of %s orders that were carried out, %d each.",
		measure.Short(float64(wrote/rig.FactsPerOrder)), rig.FactsPerOrder)}
	return s, nil
}

// starts are those with one journal.
type starts struct {
	name  string
	facts int
	all   []started
}

func (s starts) of(get func(started) float64) measure.Spread {
	var all []float64
	for _, v := range s.all {
		all = append(all, get(v))
	}
	return measure.Of(all)
}

func tellStarts(journals []starts) (s page.Section) {
	t := page.Table{Head: []string{"journal", "until ready, s", "until the view is whole, s", "facts a second into the view", "resident when whole, MiB", "at most, MiB"}}
	chart := page.Chart{Name: "start", Title: "Seconds from the start until the view is whole", Log: true}
	for _, j := range journals {
		ready, whole := j.of(func(v started) float64 { return v.ready.Seconds() }), j.of(func(v started) float64 { return v.whole.Seconds() })
		rate := measure.Spread{}
		if j.facts > 0 {
			rate = j.of(func(v started) float64 { return float64(j.facts) / v.rebuild })
		}
		t.Rows = append(t.Rows, []string{
			j.name, ready.String(), "**" + whole.String() + "**", rate.String(),
			j.of(func(v started) float64 { return v.resident }).String(), j.of(func(v started) float64 { return v.peak }).String(),
		})
		chart.Bars = append(chart.Bars, page.Bar{Label: j.name, Value: whole})
		s.Set(j.name+": until ready, s", ready)
		s.Set(j.name+": until the view is whole, s", whole)
	}
	s.Tables, s.Charts = []page.Table{t}, []page.Chart{chart}
	return s
}

// started is what came of one start.
type started struct {
	ready, whole   time.Duration
	rebuild        float64 // seconds, by its own word
	resident, peak float64 // MiB
}

func startUp(ctx context.Context, program, data string) (got started, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	begun := time.Now()
	cmd := exec.CommandContext(ctx, program, "up", "--json", "--data", data, "--nats-addr", "127.0.0.1:0",
		"--http-addr", "127.0.0.1:0", "--sandbox-addr", "127.0.0.1:0", "--journal-bytes", strconv.Itoa(rig.JournalBytes), "--log-level", "error")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return got, err
	}
	if err := cmd.Start(); err != nil {
		return got, err
	}
	defer func() {
		cancel()
		var exit *exec.ExitError
		if werr := cmd.Wait(); werr != nil && !errors.Is(werr, context.Canceled) && !errors.As(werr, &exit) {
			err = errors.Join(err, werr)
		}
	}()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		return got, fmt.Errorf("patchbay up said nothing: %w", err)
	}
	got.ready = time.Since(begun)
	var ready struct{ HTTP string }
	if err := json.Unmarshal(line, &ready); err != nil {
		return got, err
	}
	if got.rebuild, err = whole(ctx, ready.HTTP+"/readyz"); err != nil {
		return got, err
	}
	got.whole = time.Since(begun)
	got.resident, got.peak, err = memory(cmd.Process.Pid)
	return got, err
}

// whole waits until the page says that the view is whole, and returns the seconds that it
// says the rebuild took.
func whole(ctx context.Context, url string) (float64, error) {
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		var answer struct {
			Parts map[string]struct {
				Done   bool
				Detail struct{ Seconds float64 }
			}
		}
		if err := getJSON(ctx, url, &answer); err != nil {
			return 0, err
		}
		if v, ok := answer.Parts["view"]; ok && v.Done {
			return v.Detail.Seconds, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("the view is not whole: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func getJSON(ctx context.Context, url string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	return json.NewDecoder(answer.Body).Decode(into)
}

// memory is what a process has resident now and had at most, in MiB.
func memory(pid int) (now, most float64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kB, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			continue // not one of the two
		}
		switch f[0] {
		case "VmRSS:":
			now = kB / 1024
		case "VmHWM:":
			most = kB / 1024
		}
	}
	return now, most, nil
}
