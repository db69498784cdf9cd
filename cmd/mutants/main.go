// Command mutants checks that the simulation finds bugs: it plants one at a time while
// the workspace is built, runs random worlds of it until one fails, and says which seed did. A
// bug that no world finds in the time given is a fault of the simulation.
//
// The bugs are the ways in which such systems really break: see mutations.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"time"

	"patchbay.io/cmd/plant"
)

func main() {
	limit := flag.Duration("for", 10*time.Minute, "how long a bug may survive before it counts as not found")
	only := flag.String("only", "", "plant only the bugs whose name contains this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *limit, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, limit time.Duration, only string) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	survivors := 0
	for _, m := range mutations() {
		if !strings.Contains(m.name, only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", m.name)
		start := time.Now()
		seed, why, err := m.try(ctx, dir, limit)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", m.name, err)
		case seed == "":
			survivors++
			fmt.Printf("SURVIVED  %s  after %v\n", m.name, time.Since(start).Round(time.Second))
		default:
			fmt.Printf("found     %s  after %v by seed %s: %.200s\n", m.name, time.Since(start).Round(time.Second), seed, why)
		}
	}
	if survivors > 0 {
		return fmt.Errorf("%d bugs were not found", survivors)
	}
	return nil
}

// A mutation is one bug.
type mutation struct {
	name    string
	changes []plant.Change
}

var (
	seedLine  = regexp.MustCompile(`SEED=(\d+)`)
	firstLine = regexp.MustCompile(`(?:_test\.go:\d+|panic): (.*)`)
)

// try plants the bug and runs worlds. It returns the seed that found it and what it said.
func (m mutation) try(ctx context.Context, dir string, limit time.Duration) (seed, why string, err error) {
	checkout, err := plant.Checkout(ctx)
	if err != nil {
		return "", "", err
	}
	overlay, err := plant.Overlay(checkout, dir, m.changes)
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, limit+10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "./cmd/simulation", "-count=1", "-run", "TestSimulation",
		"-timeout", "0", "-args", "-sim.for="+limit.String())
	cmd.Dir = checkout
	text, err := cmd.CombinedOutput()
	if err == nil {
		return "", "", nil
	}
	found := seedLine.FindSubmatch(text)
	if found == nil {
		return "", "", fmt.Errorf("no seed in the output: %w\n%s", err, text)
	}
	if said := firstLine.FindSubmatch(text); said != nil {
		why = string(said[1])
	}
	return string(found[1]), why, nil
}
