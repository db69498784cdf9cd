// Bench measures the product beside what its surroundings allow and beside what a team would
// otherwise use: in one run, in turn, so that whatever slows the machine down slows all.
// What counts are the ratios; docs/performance.md tells the method.
//
//	make bench              everything; writes docs/performance.md
//	make bench ARGS=-short  the same, briefly; only prints
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"patchbay.io/tools/bench/measure"
	"patchbay.io/tools/bench/page"
)

// options are how much is measured.
type options struct {
	short bool
	// rounds of each measurement, and how long each takes.
	rounds int
	span   time.Duration
	// root of the repository.
	root string
	// journal is a folder that keeps the long journal of the section start; empty makes it anew.
	journal    string
	conditions *measure.Conditions
}

// goCommand is a go command at the root of the repository and in its workspace, which `make
// bench` turns off for this module.
func (o options) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = o.root
	cmd.Env = append(cmd.Environ(), "GOWORK=")
	return cmd
}

// section is a group of measurements, as the page has them.
type section struct {
	name    string
	measure func(context.Context, options) (page.Section, error)
}

func sections() []section {
	return []section{
		{"pipeline", pipeline},
		{"peers", beside},
		{"latency", latency},
		{"watch", watch},
		{"start", start},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := bench
	if posting := os.Getenv(workersEnv); posting != "" {
		run = func(ctx context.Context) error { return labour(ctx, posting) }
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context) error {
	var names []string
	for _, s := range sections() {
		names = append(names, s.name)
	}
	o := options{rounds: 5, span: 20 * time.Second}
	flag.BoolVar(&o.short, "short", false, "few and short rounds, for a look")
	flag.StringVar(&o.root, "root", "../..", "the repository")
	flag.StringVar(&o.journal, "journal", "", "a folder in which the long journal of the section start is kept for the next run; empty makes it anew")
	only := flag.String("only", strings.Join(names, ","), "the sections to measure")
	write := flag.String("write", "", "the page whose tables and charts are to be written; empty only prints")
	profiles := flag.String("profile", "", "a folder for processor and block profiles of each section")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("no argument is known, and %q was given", flag.Arg(0))
	}
	if o.short {
		o.rounds, o.span = 2, 5*time.Second
	}
	wanted := strings.Split(*only, ",")
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-only: there is no section %q, but %s", name, strings.Join(names, ", "))
		}
	}
	var failures []error
	for _, s := range sections() {
		if !slices.Contains(wanted, s.name) {
			continue
		}
		fmt.Printf("== %s\n\n", s.name)
		o.conditions = measure.Begin(ctx, o.short)
		p, err := profiled(*profiles, s.name, func() (page.Section, error) { return s.measure(ctx, o) })
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", s.name, err))
			continue
		}
		o.conditions.End()
		p.Name, p.Conditions = s.name, *o.conditions
		fmt.Println(p.Markdown("charts"))
		if *write != "" {
			if err := p.Write(*write); err != nil {
				return err
			}
		}
	}
	return errors.Join(failures...)
}

// profiled keeps profiles of what work does, if a folder is given.
func profiled(folder, name string, work func() (page.Section, error)) (s page.Section, err error) {
	if folder == "" {
		return work()
	}
	cpu, err := os.Create(filepath.Join(folder, name+".cpu"))
	if err != nil {
		return s, err
	}
	block, err := os.Create(filepath.Join(folder, name+".block"))
	if err != nil {
		return s, errors.Join(err, cpu.Close())
	}
	const every = 10 * time.Microsecond // of blocking, on average, one sample
	runtime.SetBlockProfileRate(int(every))
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return s, err
	}
	s, err = work()
	pprof.StopCPUProfile()
	return s, errors.Join(err, pprof.Lookup("block").WriteTo(block, 0), cpu.Close(), block.Close())
}
