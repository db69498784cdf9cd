package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"patchbay.io/cmd/plant"
)

// clockVariable shifts the clock of a program built by [build]: a duration.
const clockVariable = "PATCHBAY_CHAOS_CLOCK"

// clock makes time.Now tell another time of day, by the environment variable. What
// measures how long something takes is untouched, as where a clock was set wrong.
func clock(ctx context.Context) ([]plant.Change, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("where is Go: %w", err)
	}
	file := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	return []plant.Change{
		{File: file, Old: "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n", With: `// shift is how many seconds this process's time of day is ahead.
var shift = func() int64 {
	text, _ := syscall.Getenv("` + clockVariable + `")
	d, _ := ParseDuration(text)
	return int64(d / Second)
}()

func Now() Time {
	sec, nsec, mono := runtimeNow()
	sec += shift
`},
		{File: file, Old: "\t\"errors\"\n", With: "\t\"errors\"\n\t\"syscall\"\n"},
	}, nil
}

// build builds the product for this run: with a clock that can be shifted, and with the
// bug if one is named.
func build(ctx context.Context, dir, bug string) (binary string, err error) {
	checkout, err := plant.Checkout(ctx)
	if err != nil {
		return "", err
	}
	changes, err := clock(ctx)
	if err != nil {
		return "", err
	}
	if bug != "" {
		i := slices.IndexFunc(bugs(), func(b plantable) bool { return b.name == bug })
		if i < 0 {
			var names []string
			for _, b := range bugs() {
				names = append(names, b.name)
			}
			return "", fmt.Errorf("-plant %q: no such bug; there are %s", bug, strings.Join(names, ", "))
		}
		changes = append(changes, bugs()[i].changes...)
	}
	overlay, err := plant.Overlay(checkout, dir, changes)
	if err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "patchbay")
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", binary, "./cmd/patchbay")
	cmd.Dir = checkout
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build patchbay: %w\n%s", err, out)
	}
	return binary, nil
}
