// Command mutants checks that the simulation finds bugs: it plants one at a time in a copy
// of the workspace, runs random worlds there until one fails, and says which seed did. A
// bug that no world finds in the time given is a fault of the simulation.
//
// The bugs are the ways in which such systems really break: see mutations.go.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
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

// A mutation is one bug: in a file, a piece of code that stands there exactly once
// becomes another.
type mutation struct {
	name      string
	file      string
	old, with string
}

var (
	seedLine  = regexp.MustCompile(`SEED=(\d+)`)
	firstLine = regexp.MustCompile(`(?:_test\.go:\d+|panic): (.*)`)
)

// try plants the bug and runs worlds. It returns the seed that found it and what it said.
func (m mutation) try(ctx context.Context, dir string, limit time.Duration) (seed, why string, err error) {
	if err := copyTree(ctx, dir); err != nil {
		return "", "", err
	}
	if err := m.plant(dir); err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, limit+10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "./cmd/simulation", "-count=1", "-run", "TestSimulation",
		"-timeout", "0", "-args", "-sim.for="+limit.String())
	cmd.Dir = dir
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

// plant changes the one place.
func (m mutation) plant(dir string) error {
	path := filepath.Join(dir, m.file)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if n := bytes.Count(b, []byte(m.old)); n != 1 {
		return fmt.Errorf("%s has %d places that read %q, want 1", m.file, n, m.old)
	}
	return os.WriteFile(path, bytes.Replace(b, []byte(m.old), []byte(m.with), 1), 0o600)
}

// copyTree copies the files of the workspace that git knows, as they are now.
func copyTree(ctx context.Context, dir string) error {
	root, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("not in a checkout: %w", err)
	}
	top := strings.TrimSpace(string(root))
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = top
	files, err := list.Output()
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(files), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join(top, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
