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

// What is in the environment of a program built by [build]: how far its clock is off, a
// duration, and a file which, while it is there, means that the disk is full.
const (
	clockVariable = "PATCHBAY_CHAOS_CLOCK"
	diskVariable  = "PATCHBAY_CHAOS_DISK"
)

// goSource is a file of Go's own.
func goSource(ctx context.Context, path ...string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("where is Go: %w", err)
	}
	return filepath.Join(append([]string{strings.TrimSpace(string(root)), "src"}, path...)...), nil
}

// disk makes whatever is written to a file fail as on a disk that is full.
func disk(ctx context.Context) ([]plant.Change, error) {
	file, err := goSource(ctx, "os", "file_posix.go")
	if err != nil {
		return nil, err
	}
	return []plant.Change{
		{File: file, Old: "func (f *File) write(b []byte) (n int, err error) {\n", With: `var whenFull, _ = syscall.Getenv("` + diskVariable + `")

func full() bool { return whenFull != "" && syscall.Access(whenFull, 0) == nil }

func (f *File) write(b []byte) (n int, err error) {
	if full() {
		return 0, syscall.ENOSPC
	}
`},
		{File: file, Old: "func (f *File) pwrite(b []byte, off int64) (n int, err error) {\n", With: `func (f *File) pwrite(b []byte, off int64) (n int, err error) {
	if full() {
		return 0, syscall.ENOSPC
	}
`},
	}, nil
}

// clock makes time.Now tell another time of day, by the environment variable. What
// measures how long something takes is untouched, as where a clock was set wrong.
func clock(ctx context.Context) ([]plant.Change, error) {
	file, err := goSource(ctx, "time", "time.go")
	if err != nil {
		return nil, err
	}
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

// build builds the product for this run, with a clock that can be shifted and the bug if one is
// named, and this program once more, whose disk can be full.
func build(ctx context.Context, dir, bug string) (product, node string, err error) {
	checkout, err := plant.Checkout(ctx)
	if err != nil {
		return "", "", err
	}
	changes, err := clock(ctx)
	if err != nil {
		return "", "", err
	}
	full, err := disk(ctx)
	if err != nil {
		return "", "", err
	}
	changes = append(changes, full...)
	if bug != "" {
		i := slices.IndexFunc(bugs(), func(b plantable) bool { return b.name == bug })
		if i < 0 {
			var names []string
			for _, b := range bugs() {
				names = append(names, b.name)
			}
			return "", "", fmt.Errorf("-plant %q: no such bug; there are %s", bug, strings.Join(names, ", "))
		}
		changes = append(changes, bugs()[i].changes...)
	}
	overlay, err := plant.Overlay(checkout, dir, changes)
	if err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", dir, "./cmd/patchbay", "./cmd/chaos")
	cmd.Dir = checkout
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("build patchbay: %w\n%s", err, out)
	}
	return filepath.Join(dir, "patchbay"), filepath.Join(dir, "chaos"), nil
}
