package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"patchbay.io/tools/bench/measure"
	"patchbay.io/tools/bench/page"
)

// watched is a line of what package load of cmd measures.
type watched struct {
	API, How                      string
	Circuits                      int
	CallsPerMinute, FullPerMinute float64
	Median, P99                   float64 // seconds
	HeapMiB                       float64
	CPUMillis                     float64 // of a minute, the exchange included
}

// watch measures what watching costs in calls, delay and memory, beside asking for each
// circuit by itself every half minute. It is package load of cmd that does so.
func watch(ctx context.Context, o options) (s page.Section, err error) {
	sizes, span, apis := []int{100, 1000, 10_000}, "30m", "ecx,fabric,packetfabric"
	if o.short {
		sizes, span, apis = []int{100, 1000}, "5m", "ecx,fabric"
	}
	dir, err := os.MkdirTemp("", "patchbay-bench-")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	out := filepath.Join(dir, "watch.json")
	for _, size := range sizes {
		cmd := o.goCommand(ctx, "test", "patchbay.io/cmd/load", "-run", "TestWatch", "-count=1", "-timeout", "0", "-args",
			"-watch.for="+span, "-watch.apis="+apis, "-watch.circuits="+strconv.Itoa(size), "-watch.json="+out)
		if said, err := cmd.CombinedOutput(); err != nil {
			return s, fmt.Errorf("%d circuits: %w\n%s", size, err, said)
		}
		o.conditions.Sample()
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return s, err
	}
	return tellWatched(b)
}

// tellWatched pairs each measurement with that of asking one by one, which follows it.
func tellWatched(lines []byte) (s page.Section, err error) {
	t := page.Table{Head: []string{"API, circuits", "calls a minute", "of them sweeps over everything", "one by one, calls a minute", "**times fewer calls**",
		"seen after: median, p99, s", "one by one: median, p99, s",
		"heap, MiB", "heap for 1,000, MiB", "processor time a minute, s", "for 1,000, s", "one by one, s"}}
	chart := page.Chart{Name: "watch", Title: "Times fewer calls than one by one; the line is the aim", Aim: 20, Log: true}
	var ours watched
	for in := bufio.NewScanner(bytes.NewReader(lines)); in.Scan(); {
		var w watched
		if err := json.Unmarshal(in.Bytes(), &w); err != nil {
			return s, err
		}
		if w.How == "watch" {
			ours = w
			continue
		}
		if w.API != ours.API || w.Circuits != ours.Circuits {
			return s, fmt.Errorf("%s with %d circuits was only measured one by one", w.API, w.Circuits)
		}
		name := fmt.Sprintf("%s, %s", w.API, measure.Short(float64(w.Circuits)))
		thousands := float64(w.Circuits) / 1000
		fewer := measure.Of([]float64{w.CallsPerMinute / ours.CallsPerMinute})
		t.Rows = append(t.Rows, []string{
			name, measure.Short(ours.CallsPerMinute), measure.Short(ours.FullPerMinute), measure.Short(w.CallsPerMinute), "**" + fewer.String() + "**",
			measure.Short(ours.Median) + ", " + measure.Short(ours.P99), measure.Short(w.Median) + ", " + measure.Short(w.P99),
			measure.Short(ours.HeapMiB), measure.Short(ours.HeapMiB / thousands),
			measure.Short(ours.CPUMillis / 1e3), measure.Short(ours.CPUMillis / 1e3 / thousands), measure.Short(w.CPUMillis / 1e3),
		})
		chart.Bars = append(chart.Bars, page.Bar{Label: name, Value: fewer})
		s.Set(name+": times fewer calls", fewer)
		s.Set(name+": heap of the watcher, MiB", measure.Of([]float64{ours.HeapMiB}))
		s.Set(name+": processor time a minute, s", measure.Of([]float64{ours.CPUMillis / 1e3}))
	}
	s.Tables, s.Charts = []page.Table{t}, []page.Chart{chart}
	return s, nil
}
