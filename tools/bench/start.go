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

	"github.com/redis/go-redis/v9"

	"patchbay.io/tools/bench/measure"
	"patchbay.io/tools/bench/page"
	"patchbay.io/tools/bench/rig"
)

const (
	// startTime bounds a start.
	startTime = 20 * time.Minute
	// endTime is what a process gets that was told to end.
	endTime = 30 * time.Second
)

// start measures how long `patchbay up` takes until it is ready, and until its view is whole:
// with an empty journal and with a full one, on the Redis that it has in itself; and with the
// full one on a redis-server, which is empty, has the view of another journal, or has this
// very view.
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
	if o.journal != "" {
		full = filepath.Join(o.journal, strconv.Itoa(facts))
	}
	wrote, err := rig.Fill(ctx, full, facts)
	if err != nil {
		return s, fmt.Errorf("fill a journal: %w", err)
	}
	name := measure.Short(float64(wrote)) + " facts"
	all := []*starts{
		{name: "empty"},
		{name: name, facts: wrote},
		{name: name + ", redis-server, empty", facts: wrote},
		{name: name + ", redis-server, with the view of another journal", facts: wrote},
		{name: name + ", redis-server, with this view"},
	}
	redisServer, absent := exec.LookPath("redis-server")
	for i := range rounds { // in turn, so that all see the same machine
		if err := all[0].add(ctx, program, filepath.Join(dir, fmt.Sprintf("empty-%d", i)), ""); err != nil {
			return s, err
		}
		if err := all[1].add(ctx, program, full, ""); err != nil {
			return s, err
		}
		if absent == nil {
			if err := onRedis(ctx, redisServer, dir, startsOnRedis(ctx, program, full, all[2:])); err != nil {
				return s, err
			}
		}
		o.conditions.Sample()
	}
	s = tellStarts(all)
	s.Notes = []string{
		fmt.Sprintf("The facts are those of %s orders that were carried out, %d each, at accounts that there are no more; the consumers have settled them.",
			measure.Short(float64(wrote/rig.FactsPerOrder)), rig.FactsPerOrder),
		"Processor time and memory are those of Patchbay, so with the Redis that it has in itself, and without redis-server.",
	}
	if absent != nil {
		s.Notes = append(s.Notes, "There is no redis-server on this machine.")
	}
	return s, nil
}

// startsOnRedis starts on a Redis that is empty, has the view of another journal, and has this
// very view.
func startsOnRedis(ctx context.Context, program, full string, s []*starts) func(string, *redis.Client) error {
	return func(url string, c *redis.Client) error {
		if err := s[0].add(ctx, program, full, url); err != nil {
			return err
		}
		if err := c.HSet(ctx, "pb:mark", "journal", "another").Err(); err != nil {
			return err
		}
		if err := s[1].add(ctx, program, full, url); err != nil {
			return err
		}
		return s[2].add(ctx, program, full, url)
	}
}

// starts are those with one journal and one Redis.
type starts struct {
	name  string
	facts int // that go into the view
	all   []started
}

// add starts once more.
func (s *starts) add(ctx context.Context, program, data, redis string) error {
	got, err := startUp(ctx, program, data, redis)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.all = append(s.all, got)
	return nil
}

func (s *starts) of(get func(started) float64) measure.Spread {
	var all []float64
	for _, v := range s.all {
		all = append(all, get(v))
	}
	return measure.Of(all)
}

func tellStarts(all []*starts) (s page.Section) {
	t := page.Table{Head: []string{"journal, Redis", "until ready, s", "until the view is whole, s", "until all parts are done, s",
		"processor time until then, s", "facts a second into the view", "resident then, MiB", "at most, MiB"}}
	chart := page.Chart{Name: "start", Title: "Seconds from the start until the view is whole; the line is the aim", Aim: 10, Log: true}
	for _, j := range all {
		if len(j.all) == 0 {
			continue
		}
		ready, whole := j.of(func(v started) float64 { return v.ready.Seconds() }), j.of(func(v started) float64 { return v.whole.Seconds() })
		rate := "–"
		if j.facts > 0 {
			rate = j.of(func(v started) float64 { return float64(j.facts) / v.rebuild }).String()
		}
		done := j.of(func(v started) float64 { return v.done.Seconds() })
		busy := j.of(func(v started) float64 { return v.processor.Seconds() })
		t.Rows = append(t.Rows, []string{
			j.name, ready.String(), "**" + whole.String() + "**", done.String(), busy.String(), rate,
			j.of(func(v started) float64 { return v.resident }).String(), j.of(func(v started) float64 { return v.peak }).String(),
		})
		chart.Bars = append(chart.Bars, page.Bar{Label: j.name, Value: whole})
		s.Set(j.name+": until ready, s", ready)
		s.Set(j.name+": until the view is whole, s", whole)
		s.Set(j.name+": until all parts are done, s", done)
		s.Set(j.name+": processor time until then, s", busy)
	}
	s.Tables, s.Charts = []page.Table{t}, []page.Chart{chart}
	return s
}

// onRedis runs use on a redis-server without a disk that is empty.
func onRedis(ctx context.Context, program, dir string, use func(url string, c *redis.Client) error) error {
	ctx, cancel := context.WithCancel(ctx)
	socket := filepath.Join(dir, "redis.sock")
	cmd := exec.CommandContext(ctx, program, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	if err := cmd.Start(); err != nil {
		cancel()
		return err
	}
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: 100, MaxRetryBackoff: 100 * time.Millisecond})
	err := c.Ping(ctx).Err() // tries until the server listens
	if err == nil {
		err = use("unix://"+socket, c)
	}
	err = errors.Join(err, c.Close())
	cancel()
	return errors.Join(err, ended(cmd))
}

// started is what came of one start.
type started struct {
	ready, whole   time.Duration
	done           time.Duration // what /readyz lists, the view among it
	processor      time.Duration
	rebuild        float64 // seconds, by its own word
	resident, peak float64 // MiB
}

func startUp(ctx context.Context, program, data, redis string) (got started, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	begun := time.Now()
	cmd := exec.CommandContext(ctx, program, "up", "--redis-url", redis, "--json", "--data", data, "--nats-addr", "127.0.0.1:0",
		"--http-addr", "127.0.0.1:0", "--sandbox-addr", "127.0.0.1:0", "--journal-bytes", strconv.Itoa(rig.JournalBytes), "--log-level", "error")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTime
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
		err = errors.Join(err, ended(cmd))
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
	if err := got.wait(ctx, begun, ready.HTTP+"/readyz"); err != nil {
		return got, err
	}
	if got.resident, got.peak, err = memory(cmd.Process.Pid); err != nil {
		return got, err
	}
	got.processor, err = processor(cmd.Process.Pid)
	return got, err
}

// ended waits for a process that was told to end.
func ended(cmd *exec.Cmd) error {
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// wait waits until the page says that the view is whole, and then that all is done.
func (s *started) wait(ctx context.Context, begun time.Time, url string) error {
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		var answer struct {
			Ready bool
			Parts map[string]struct {
				Done   bool
				Detail struct{ Seconds float64 }
			}
		}
		if err := getJSON(ctx, url, &answer); err != nil {
			return err
		}
		if v := answer.Parts["view"]; v.Done && s.whole == 0 {
			s.whole, s.rebuild = time.Since(begun), v.Detail.Seconds
		}
		if answer.Ready {
			s.done = time.Since(begun)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not all of /readyz is done: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// ticks are what /proc counts in a second.
const ticks = 100

// processor is the processor time that a process has used.
func processor(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	var used time.Duration
	for _, field := range f[11:13] { // in user mode, and in the kernel
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		used += time.Duration(n) * time.Second / ticks
	}
	return used, nil
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
