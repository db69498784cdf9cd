package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// report is all that a run has to say.
type report struct {
	Seed     uint64            `json:"seed"`
	Holds    bool              `json:"holds"`
	Plant    string            `json:"plant,omitempty"`
	What     string            `json:"what,omitempty"` // the bug does
	Only     string            `json:"only,omitempty"`
	When     time.Time         `json:"when"`
	Versions map[string]string `json:"versions"`
	Load     string            `json:"load"` // of the machine at the end

	Intents     int            `json:"intents"`
	Publishes   int            `json:"publishes"` // acknowledged, repeats too
	Tries       int            `json:"tries"`
	Orders      int            `json:"orders"`
	Outcomes    map[string]int `json:"outcomes"`
	Attempts    int            `json:"attempts"`
	Circuits    int            `json:"circuits"`
	Transitions int            `json:"transitions"`
	Inferred    int            `json:"inferred"`
	Facts       int            `json:"facts"`

	Over    string  `json:"over"`
	Attempt string  `json:"attempt"`
	Quiet   string  `json:"quiet"`
	Healed  float64 `json:"healed"` // seconds from the start
	Quieted float64 `json:"quieted"`
	Recover float64 `json:"recover"` // from healed to quiet
	Stall   float64 `json:"stall"`   // the longest publish of all
	Took50  float64 `json:"took50"`  // from accepted to the outcome
	Took99  float64 `json:"took99"`
	Most    int     `json:"most"` // faults at one time

	// Orders that ended a second before a scenario's fault, and while it was on.
	Rates []float64 `json:"rates,omitempty"`

	Verdicts    []verdict     `json:"verdicts"`
	Subscribers []*subscriber `json:"subscribers"`
	Faults      []mark        `json:"faults"`
	Probes      []probe       `json:"probes,omitempty"`
	Samples     []sample      `json:"samples"`
}

func (r *run) report(ctx context.Context, verdicts []verdict) *report {
	slices.SortFunc(r.marks, func(a, b mark) int { return int(1000 * (a.From - b.From)) })
	slices.SortFunc(r.subscribers, func(a, b *subscriber) int { return strings.Compare(a.Name, b.Name) })
	o := &report{
		Seed: r.opts.seed, Plant: r.opts.plant, Only: r.opts.only, When: r.began.UTC().Truncate(time.Second), Versions: versions(ctx),
		Load: load(), Intents: len(r.crowd.all), Publishes: len(r.crowd.acked), Tries: r.crowd.tries,
		Orders: len(r.reader.story.Orders), Outcomes: r.outcomes, Attempts: r.attempts, Circuits: r.circuits,
		Transitions: r.transitions, Inferred: r.inferred, Facts: r.reader.story.Facts,
		Over: r.opts.over.String(), Attempt: r.opts.attempt.String(), Quiet: r.opts.quiet.String(),
		Healed: r.at(r.healed), Quieted: r.at(r.reader.newest), Recover: max(0, r.reader.newest.Sub(r.healed).Seconds()),
		Stall:  r.crowd.stall(r.began, time.Now()).Seconds(),
		Took50: percentile(r.reader.took, 50).Seconds(), Took99: percentile(r.reader.took, 99).Seconds(),
		Verdicts: verdicts, Subscribers: r.subscribers, Faults: r.marks, Probes: r.probes, Samples: r.samples,
	}
	o.Holds = !slices.ContainsFunc(verdicts, func(v verdict) bool { return !v.Holds })
	for _, b := range bugs() {
		if b.name == o.Plant {
			o.What = b.what
		}
	}
	for _, s := range r.samples {
		o.Most = max(o.Most, s.Faults)
	}
	if r.opts.only == onlyRedis && len(r.marks) > 0 {
		before, during := r.rates(r.marks[0])
		o.Rates = []float64{before, during}
	}
	return o
}

func versions(ctx context.Context) map[string]string {
	v := map[string]string{"go": runtime.Version(), "nats-server": server.VERSION}
	if out, err := exec.CommandContext(ctx, "redis-server", "--version").Output(); err == nil {
		v["redis"], _, _ = strings.Cut(strings.TrimPrefix(string(out), "Redis server "), " sha")
	}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		v["patchbay"] = strings.TrimSpace(string(out))
	}
	return v
}

// load is the machine's load, where it says so.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%s on %d cores", strings.Join(strings.Fields(string(b))[:3], " "), runtime.NumCPU())
}

// print says it in short.
func (o *report) print(out io.Writer) {
	fmt.Fprintf(out, "\n%d intents, %d orders, %d attempts, %d circuits, %d transitions (%d inferred), %d facts; %d faults, %d at a time\n",
		o.Intents, o.Orders, o.Attempts, o.Circuits, o.Transitions, o.Inferred, o.Facts, len(o.Faults), o.Most)
	fmt.Fprintf(out, "quiet %.0fs after all was healed; longest publish %.1fs; orders took %.1fs (median), %.1fs (99 %%)\n",
		o.Recover, o.Stall, o.Took50, o.Took99)
	for _, v := range o.Verdicts {
		word := "holds "
		if !v.Holds {
			word = "BROKEN"
		}
		fmt.Fprintf(out, "%s  %-10s  %s\n", word, v.Number, v.Text)
		for i, f := range v.Found {
			if i == 5 {
				fmt.Fprintf(out, "                      … and %d more\n", len(v.Found)-i)
				break
			}
			fmt.Fprintf(out, "                      %.300s\n", f)
		}
	}
}

// write writes the report as JSON and as a page.
func (o *report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	b, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "report.json"), b, 0o600); err != nil {
		return err
	}
	page, err := os.OpenFile(filepath.Join(dir, "report.html"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := o.page(page); err != nil {
		_ = page.Close() // it is of no use
		return err
	}
	fmt.Println("report:", page.Name())
	return page.Close()
}

//go:embed report.html
var pages embed.FS

func (o *report) page(out io.Writer) error {
	t, err := template.New("report.html").Funcs(template.FuncMap{
		"lanes": o.lanes, "curves": o.curves, "ticks": o.ticks,
		"x": o.x,
	}).ParseFS(pages, "report.html")
	if err != nil {
		return err
	}
	return t.Execute(out, o)
}

// The page draws into a box of this size; x grows with time.
const (
	left, width = 190.0, 1000.0
	laneHeight  = 18.0
)

func (o *report) end() float64 {
	if len(o.Samples) == 0 {
		return 1
	}
	return max(o.Samples[len(o.Samples)-1].At, 1)
}

func (o *report) x(at float64) float64 { return left + at/o.end()*(width-left-10) }

// tick is a mark on the axis of time.
type tick struct {
	X    float64
	Text string
}

func (o *report) ticks() []tick {
	step := 10.0
	for o.end()/step > 12 {
		step *= 2
	}
	var all []tick
	for at := 0.0; at <= o.end(); at += step {
		all = append(all, tick{o.x(at), fmt.Sprintf("%.0fs", at)})
	}
	return all
}

// lane is what happened to one thing.
type lane struct {
	Name  string
	Y     float64
	Marks []bar
}

// TextY is where the lane's name stands.
func (l lane) TextY() float64 { return l.Y + 11 }

type bar struct {
	X, Width float64
	mark
}

// Height is that of all lanes.
func (o *report) Height() float64 { return float64(len(o.lanes()))*laneHeight + 20 }

func (o *report) lanes() []lane {
	var all []lane
	for _, m := range o.Faults {
		i := slices.IndexFunc(all, func(l lane) bool { return l.Name == m.Lane })
		if i < 0 {
			all = append(all, lane{Name: m.Lane})
			i = len(all) - 1
		}
		all[i].Marks = append(all[i].Marks, bar{o.x(m.From), max(o.x(m.To)-o.x(m.From), 3), m})
	}
	slices.SortFunc(all, func(a, b lane) int { return strings.Compare(a.Name, b.Name) })
	for i := range all {
		all[i].Y = float64(i) * laneHeight
	}
	return all
}

// curve is a line of one figure over time.
type curve struct {
	Name, Class, Points string
	Most                float64
}

const curveHeight = 160.0

func (o *report) curves() []curve {
	var published, ended, facts, open []float64
	for i, s := range o.Samples {
		before := o.Samples[max(0, i-5)] // an average of five seconds
		seconds := max(s.At-before.At, 1)
		published = append(published, float64(s.Published-before.Published)/seconds)
		ended = append(ended, float64(s.Ended-before.Ended)/seconds)
		facts = append(facts, float64(s.Facts-before.Facts)/seconds)
		open = append(open, float64(s.Open))
	}
	return []curve{
		o.curve("intents published a second", "published", published),
		o.curve("orders ended a second", "ended", ended),
		o.curve("facts a second", "facts", facts),
		o.curve("orders open", "open", open),
	}
}

func (o *report) curve(name, class string, values []float64) curve {
	c := curve{Name: name, Class: class}
	for _, v := range values {
		c.Most = max(c.Most, v)
	}
	var points []string
	for i, v := range values {
		points = append(points, fmt.Sprintf("%.1f,%.1f", o.x(o.Samples[i].At), curveHeight-v/max(c.Most, 1)*(curveHeight-10)))
	}
	c.Points = strings.Join(points, " ")
	return c
}
