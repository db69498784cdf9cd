package acceptance_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"patchbay.io/cmd/invariants"
)

// Limits are generous, since tests share their machine; the figures are logged.
const (
	readyLimit = 10 * time.Second
	stopLimit  = 10 * time.Second
	restLimit  = 300 << 10 // KiB
)

// The program is ready soon, small at rest, stops when told to, and finds everything again.
func TestStartAndStop(t *testing.T) {
	s := setup{data: t.TempDir()}
	p := up(t, s)
	if p.took > readyLimit {
		t.Errorf("ready after %v, want %v at most", p.took, readyLimit)
	}
	empty := resident(t, p)
	ask(t, http.MethodPut, p.Sandbox+"/sandbox/delays", object{"provision": "300ms"})
	r := read(t, p.NATS)
	ids := r.publishAll(10)
	r.allCompleted(time.Minute, ids)
	gone := r.publish("delete", "delete-3", remove("create-3"))
	circuit := r.circuitOf(ids[3])
	r.asked(circuit, "delete")
	r.check(p.Sandbox)
	before := books(t, p.Sandbox)
	facts := 0
	r.look(func(s *invariants.Story) { facts = s.Facts })
	used := resident(t, p)
	if !raced && max(empty, used) > restLimit { // the race detector has a memory of its own
		t.Errorf("%d KiB resident at rest, %d after ten orders; want %d at most", empty, used, restLimit)
	}
	took, stopped := p.took, p.interrupt()
	if stopped > stopLimit {
		t.Errorf("stopped after %v, want %v at most", stopped, stopLimit)
	}

	p = up(t, s)
	r = read(t, p.NATS)
	r.until(10*time.Second, func(s *invariants.Story) string {
		if s.Facts < facts {
			return fmt.Sprintf("%d facts after the second start, want the %d of the first", s.Facts, facts)
		}
		return ""
	})
	if after := books(t, p.Sandbox); len(after) != len(before) {
		t.Errorf("the sandbox has %d circuits after the second start, want the %d of the first", len(after), len(before))
	}
	out, code := p.run("list", "orders", "--all", "--json")
	if n := strings.Count(out, `"create-`); code != 0 || n < len(ids) {
		t.Errorf("list exits with %d and shows %d creates, want %d:\n%s", code, n, len(ids), out)
	}
	r.decide("approve", circuit, "")
	r.expect(gone, "completed")
	r.check(p.Sandbox)
	t.Logf("ready %v after the start of the process, %v on the second start; %d MiB resident at rest, %d MiB after ten orders; "+
		"stopped %v after the interrupt; %d orders found again, one of them carried out after the second start",
		took.Round(time.Millisecond), p.took.Round(time.Millisecond), empty>>10, used>>10, stopped.Round(time.Millisecond), len(ids)+1)
}

// resident is the program's memory in KiB, 0 where the system does not say.
func resident(t *testing.T, p *program) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Logf("memory is not known: %v", err)
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kib := 0
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Errorf("VmRSS: %v", err)
	}
	return kib
}
