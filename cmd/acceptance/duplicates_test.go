package acceptance_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"patchbay.io/cmd/invariants"
)

// One intent published 200 times at once is one order and one POST.
func TestDuplicates(t *testing.T) {
	p := up(t, setup{})
	r := read(t, p.NATS)
	body := single(1)
	start := time.Now()
	var senders sync.WaitGroup
	for range 200 {
		senders.Go(func() { r.publish("create", "same", body) })
	}
	senders.Wait()
	id := r.publish("create", "same", body)
	r.expect(id, "completed")
	r.answered()
	r.look(func(s *invariants.Story) {
		if len(s.Orders) != 1 || len(s.Refusals) != 0 {
			t.Errorf("%d orders and %d refusals, want one and none", len(s.Orders), len(s.Refusals))
		}
	})
	made, sent := created(t, p.Sandbox)
	if made != 1 || sent != 1 {
		t.Errorf("%d creates sent, %d of them made a circuit; want 1 and 1", sent, made)
	}
	r.check(p.Sandbox)
	t.Logf("201 messages: 1 order, %d POST sent, %d circuit, in %s", sent, made, since(start))
}

// The same file handed in by many commands at once is one order.
func TestDuplicatesByCommandLine(t *testing.T) {
	p := up(t, setup{})
	r := read(t, p.NATS)
	file := filepath.Join(t.TempDir(), "intent.json")
	if err := os.WriteFile(file, single(1), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 200
	if testing.Short() || raced { // the race detector makes each command slow to start
		n = 40
	}
	start := time.Now()
	slots := make(chan struct{}, 50) // processes at one time
	var senders sync.WaitGroup
	for range n {
		senders.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if out, code := p.run("intent", "submit", file); code != 0 && code != 5 {
				t.Errorf("submit exits with %d: %s", code, out)
			}
		})
	}
	senders.Wait()
	out, code := p.run("intent", "submit", file, "--wait")
	if code != 0 {
		t.Errorf("submit --wait exits with %d: %s", code, out)
	}
	r.look(func(s *invariants.Story) {
		if len(s.Orders) != 1 {
			t.Errorf("%d orders, want one", len(s.Orders))
		}
	})
	made, sent := created(t, p.Sandbox)
	if made != 1 || sent != 1 {
		t.Errorf("%d creates sent, %d of them made a circuit; want 1 and 1", sent, made)
	}
	r.check(p.Sandbox)
	t.Logf("%d commands: 1 order, %d POST sent, %d circuit, in %s", n+1, sent, made, since(start))
}

// The same source and id with another payload is refused by field, and the order that runs
// does not notice.
func TestConflictingPayload(t *testing.T) {
	t.Parallel()
	p := up(t, setup{})
	ask(t, http.MethodPut, p.Sandbox+"/sandbox/delays", object{"provision": "2s"})
	r := read(t, p.NATS)
	id := r.publish("create", "same", single(1))
	circuit := r.circuitOf(id)
	r.publish("create", "same", single(1, set("bandwidthMbps", 200)))
	r.until(30*time.Second, func(s *invariants.Story) string {
		if len(s.Refusals[id]) == 0 {
			return "the other payload is not refused"
		}
		return ""
	})
	running := r.order(id)
	r.look(func(s *invariants.Story) {
		f := s.Refusals[id][0]
		b, err := json.Marshal(f.GetDifferences())
		if err != nil {
			t.Error(err)
		}
		if d := f.GetDifferences(); f.GetFact() != "conflicting" || len(d) != 1 || d[0].GetField() != "bandwidthMbps" ||
			d[0].GetWas() != "50" || d[0].GetNow() != "200" {
			t.Errorf("the refusal is %s %s, want conflicting in bandwidthMbps, 50 and 200", f.GetFact(), b)
		}
		t.Logf("refusal: %s; %s", f.GetMessage(), b)
	})
	if running.GetOutcome() != "" {
		t.Log("the order had ended before the conflict was seen")
	}
	if o := r.expect(id, "completed"); o.GetCreate().GetBandwidthMbps() != 50 {
		t.Errorf("the order says %d Mbit/s, want 50", o.GetCreate().GetBandwidthMbps())
	}
	r.path(circuit, "PENDING_APPROVAL/NOT_AVAILABLE", "PROVISIONING/NOT_AVAILABLE", "PROVISIONED/AVAILABLE")
	r.check(p.Sandbox)
}

// answered waits until no intent is left that nobody has looked at: one that is new is
// answered after all the others.
func (r *reader) answered() {
	r.t.Helper()
	js := r.consumerOf("INTENTS")
	for deadline := time.Now().Add(30 * time.Second); ; {
		waiting := js()
		if waiting == 0 {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d intents are not answered", waiting)
		}
		r.pause(50 * time.Millisecond)
	}
}
