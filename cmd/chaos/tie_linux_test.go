package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// parent is set in a process that starts another and is then killed.
const parent = "CHAOS_TEST_PARENT"

// Whoever kills this program outright leaves nothing of what it started.
func TestTied(t *testing.T) {
	if os.Getenv(parent) != "" {
		p := newProgram("sleep", t.TempDir(), func(string, error) {}, "sleep", "600")
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("started", p.cmd.Process.Pid)
		select {}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTied$")
	cmd.Env = append(os.Environ(), parent+"=yes")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child := 0
	for lines := bufio.NewScanner(out); child == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "started %d", &child) // other lines are none of ours
	}
	if child == 0 || !alive(child) {
		t.Fatalf("process %d was not started", child)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for limit := time.Now().Add(20 * time.Second); alive(child); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("process %d still runs", child)
		}
	}
}

// alive reports whether a process runs; one that nobody has waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
