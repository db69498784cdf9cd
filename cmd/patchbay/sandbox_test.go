package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{"every mistake", []string{"--scenario", file("sead: 1\nsteps: [{at: x}]\n")}, exitInvalid, "is no scenario:\nline 1: unknown key \"sead\""},
		{"no file", []string{"--scenario", filepath.Join(t.TempDir(), "none")}, exitError, "--scenario: open"},
		{"delays twice", []string{"--scenario", file(""), "--provision-delay", "1s"}, exitUsage, "--provision-delay"},
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
