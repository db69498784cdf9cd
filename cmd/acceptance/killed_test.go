package acceptance_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"patchbay.io/cmd/invariants"
	"patchbay.io/services/sandbox"
)

const kills = 10

// killed kills p ten times, whenever facts about so many more are in the journal, and starts
// it again each time.
func (r *reader) killed(p *program, s setup, facts int) {
	r.t.Helper()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	r.t.Logf("seed of the times of the kills: %d", seed)
	next := 0
	for range kills {
		next += facts*4/5 + rng.IntN(facts*2/5)
		// A slow look lets many facts by, so the last kills may come when all is done.
		seen, grown := 0, time.Now()
		for seen < next && time.Since(grown) < 5*time.Second {
			r.pause(5 * time.Millisecond)
			r.look(func(s *invariants.Story) {
				if s.Facts > seen {
					seen, grown = s.Facts, time.Now()
				}
			})
		}
		p.kill()
		r.look(func(s *invariants.Story) { next = max(next, s.Facts) })
		p = up(r.t, s)
	}
}

// killable starts the program so that it can be started again where it was.
func killable(t *testing.T, base string) (*program, setup) {
	t.Helper()
	s := accounts(t, base, approveAll)
	s.data = t.TempDir()
	p := up(t, s)
	s.nats = strings.TrimPrefix(p.NATS, "nats://")
	return p, s
}

// The program, killed ten times while it carries out 200 intents, buys each circuit once and
// forgets none.
func TestKilled(t *testing.T) {
	heavy(t)
	const n = 200
	_, base := exchange(t, sandbox.Delays{Provision: 300 * time.Millisecond})
	p, s := killable(t, base)
	r := read(t, p.NATS)
	start := time.Now()
	handedIn := make(chan []string, 1)
	go func() { handedIn <- r.publishAll(n) }()
	r.killed(p, s, 200) // of some 2800
	last := since(start)
	ids := <-handedIn
	r.allCompleted(2*time.Minute, ids)
	took := since(start)
	sent := r.exactly(base, n)
	facts := 0
	r.look(func(s *invariants.Story) { facts = s.Facts })
	t.Logf("%d intents, %d times killed in %s, all completed after %s: %d circuits, %d POSTs sent, %d facts",
		n, kills, last, took, len(books(t, base)), sent, facts)
}

// mixture hands in pairs and single circuits, changes, and deletes of what is still on its
// way, and returns the orders of the creates to be kept, and of all else.
func (r *reader) mixture(n int) (kept, others []string, circuits int) {
	deleted := func(i int) bool { return i%2 == 1 && i < n-5 }
	for i := range n {
		legs, changes := 1, []func(object){}
		if i%3 == 0 {
			legs, changes = 2, append(changes, set("secondary", object{
				"name":  fmt.Sprintf("second-%d", i),
				"aSide": object{"portId": "aced1050-0000-4000-8000-000000000002", "tag": object{"vlan": 200 + i}},
			}))
		}
		id := r.publish("create", fmt.Sprintf("create-%d", i), single(i, changes...))
		if deleted(i) {
			others = append(others, id)
		} else {
			kept, circuits = append(kept, id), circuits+legs
		}
		if i >= 5 && deleted(i-5) {
			others = append(others, r.publish("delete", fmt.Sprintf("delete-%d", i), remove(fmt.Sprintf("create-%d", i-5))))
		}
		if i%4 == 1 {
			others = append(others, r.publish("change", fmt.Sprintf("change-%d", i), fmt.Appendf(nil,
				`{"target": {"source": %q, "id": "create-%d"}, "set": {"name": "renamed-%[2]d"}}`, source, i)))
		}
	}
	return kept, others, circuits
}

// The same with pairs, changes, and deletes that overtake what they delete, at an exchange
// that loses the answer of every third create: what was deleted is gone, and nothing else.
func TestKilledWhileCancelling(t *testing.T) {
	heavy(t)
	x, base := exchange(t, sandbox.Delays{Provision: 300 * time.Millisecond, Deprovision: 300 * time.Millisecond})
	if _, err := x.AddFault(sandbox.Fault{
		Kind: sandbox.LostAnswer, Times: -1, Every: 3,
		Match: sandbox.Match{Method: "POST", Path: "/ecx/v3/l2/connections"},
	}); err != nil {
		t.Fatal(err)
	}
	p, s := killable(t, base)
	r := read(t, p.NATS)
	start := time.Now()
	var kept, others []string
	circuits := 0
	handedIn := make(chan struct{})
	go func() {
		defer close(handedIn)
		kept, others, circuits = r.mixture(100)
	}()
	r.killed(p, s, 120) // of some 1800
	<-handedIn
	r.allCompleted(2*time.Minute, kept)
	r.until(2*time.Minute, ended(others...))
	took := since(start)
	deletes := 0
	r.look(func(s *invariants.Story) {
		for _, id := range others {
			o := s.Order(id)
			if o.GetKind() == "delete" {
				deletes++
				if o.GetOutcome() != "completed" {
					t.Errorf("%s ended %s: %v", o.GetIntentId(), o.GetOutcome(), o.GetFailure())
				}
			}
		}
	})
	working := 0
	for _, c := range books(t, base) {
		switch c.Status {
		case "PROVISIONED":
			working++
		case "DEPROVISIONED":
		default:
			t.Errorf("%s is %s at the end", c.Name, c.Status)
		}
	}
	if working != circuits {
		t.Errorf("%d circuits work, want the %d that nobody deleted", working, circuits)
	}
	r.check(base)
	made, sent := created(t, base)
	if made != sent {
		t.Errorf("%d creates sent, %d of them made circuits; want no create that is refused", sent, made)
	}
	t.Logf("%d creates kept, %d deleted on the way, %d times killed, every third answer lost: %d circuits work, %d POSTs "+
		"sent, %d made circuits, in %s", len(kept), deletes, kills, working, sent, made, took)
}
