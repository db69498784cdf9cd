package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/services/sandbox"
)

// TestScenarioFlag starts nothing that a scenario file forbids.
func TestScenarioFlag(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "scenario.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"every mistake", []string{"--scenario", file("sead: 1\nsteps: [{at: x}]\n")}, exitInvalid, "is no scenario:\nline 1: sead: unknown key"},
		{"no file", []string{"--scenario", filepath.Join(t.TempDir(), "none")}, exitError, "--scenario: open"},
		{"delays twice", []string{"--scenario", file(""), "--provision-delay", "1s"}, exitUsage, "--provision-delay"},
		{"no time", []string{"--provision-delay", "-1s"}, exitUsage, "--provision-delay -1s"},
		{"a list", []string{"--scenario", file("-")}, exitInvalid, "line 1: must be a mapping"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := root()
			cmd.SetArgs(append([]string{"sandbox", "--sandbox-addr", "127.0.0.1:0", "--log-level", "disabled"}, tt.args...))
			err := cmd.ExecuteContext(t.Context())
			if err == nil || exitCode(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v (code %d), want %q and code %d", err, exitCode(err), tt.says, tt.code)
			}
		})
	}
}

// One delay that is set leaves the others as they are.
func TestProvisionDelay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	cmd := root()
	cmd.SetArgs([]string{"sandbox", "--sandbox-addr", "127.0.0.1:0", "--log-level", "disabled", "--provision-delay", "7s"})
	cmd.SetOut(in)
	var work errgroup.Group
	work.Go(func() error {
		err := cmd.ExecuteContext(ctx)
		return errors.Join(err, in.CloseWithError(errors.Join(io.EOF, err)))
	})
	defer func() {
		cancel()
		if err := work.Wait(); err != nil {
			t.Errorf("sandbox = %v, want nil when told to stop", err)
		}
	}()
	var page string
	if _, err := fmt.Fscanf(out, "sandbox at %s\n", &page); err != nil {
		t.Fatal(err)
	}
	r, err := http.Get(strings.Replace(page, "inventory", "delays", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }() // it is read
	want := sandbox.DefaultDelays()
	want.Provision = 7 * time.Second
	var got sandbox.Delays
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got != want {
		t.Errorf("delays %+v, %v; want %+v", got, err, want)
	}
}
