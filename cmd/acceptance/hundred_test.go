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

// askSome asks a person about what a name or, at PacketFabric, whose requests show none, a
// market picks, and approves all else.
var askSome = map[string]string{
	"ecx":          "      - {name: person, when: 'name.startsWith(\"ask-\")', then: ask}\n",
	"fabric":       "      - {name: person, when: 'name.startsWith(\"ask-\")', then: ask}\n",
	"packetfabric": "      - {name: person, when: 'market == \"LAX\"', then: ask}\n",
}

// wish is one of the intents, and how it should end.
type wish struct {
	api     string
	by      string // who agrees: nobody, policy or person
	outcome string
	order   string
}

// hundred is 100 creates over the exchanges: 50 that a rule approves, 10 that a person
// decides, of which three are refused, and 40 that need nobody.
func (r *reader) hundred() []*wish {
	var all []*wish
	for i := range 100 {
		w := &wish{api: apis[i%3], by: "nobody", outcome: "completed"}
		changes := []func(object){own(w.api, i)}
		switch {
		case i < 50:
			w.by, changes = "policy", nil
		case i < 60:
			w.by = "person"
			changes = []func(object){set("name", fmt.Sprintf("ask-%d", i))}
			if w.api == "packetfabric" {
				changes = append(changes, set("primary.zSide.market", "LAX"))
			}
			if i < 53 {
				w.outcome = "failed"
			}
		}
		w.order = r.publish("create", fmt.Sprintf("create-%d", i), at(w.api, i, changes...))
		all = append(all, w)
	}
	return all
}

// A hundred intents over three exchanges at once end as they should.
func TestHundred(t *testing.T) {
	heavy(t)
	t.Parallel()
	const comment = "no room before June"
	v := opened(t, sandbox.Delays{Provision: 500 * time.Millisecond})
	p := up(t, v.accounts(askSome))
	r := read(t, p.NATS)
	start := time.Now()
	all := r.hundred()
	for _, w := range all {
		if w.by != "person" {
			continue
		}
		circuit := r.circuitOf(w.order)
		r.asked(circuit, "create")
		if w.outcome == "failed" {
			r.decide("reject", circuit, comment)
		} else {
			r.decide("approve", circuit, "")
		}
	}
	took := map[string]time.Duration{}
	r.until(2*time.Minute, func(s *invariants.Story) string {
		open := ""
		for _, api := range apis {
			var ids []string
			for _, w := range all {
				if w.api == api {
					ids = append(ids, w.order)
				}
			}
			switch left := ended(ids...)(s); {
			case left != "":
				open = left
			case took[api] == 0:
				took[api] = time.Since(start)
			}
		}
		return open
	})
	r.check(v.base)
	r.look(func(s *invariants.Story) {
		for _, w := range all {
			o := s.Order(w.order)
			f := o.GetFailure()
			if o.GetOutcome() != w.outcome {
				t.Errorf("%s, %s agrees: %s ended %s, want %s: %v", w.api, w.by, o.GetIntentId(), o.GetOutcome(), w.outcome, f)
			}
			if w.outcome == "failed" && (f.GetReason() != "rejected" || w.api != "packetfabric" &&
				!strings.Contains(f.GetMessage()+f.GetExchangeMessage(), comment)) {
				t.Errorf("%s: refused for %v, want rejected and, where the exchange shows it, %q", w.api, f, comment)
			}
			decider := s.Approval(o.GetLegs()[0].GetConnectionId())
			if by := decider.GetBy(); w.by == "person" && by != "jane" || w.by == "nobody" && decider != nil ||
				w.by == "policy" && decider.GetRule() != "all" {
				t.Errorf("%s: %s was decided by %q, rule %q; want %s", w.api, o.GetIntentId(), by, decider.GetRule(), w.by)
			}
		}
	})
	t.Logf("100 intents over three exchanges:\n%s", v.table(r, all, took))
}

// table is what each exchange was given, told and asked, and how long it took.
func (v *venue) table(r *reader, all []*wish, took map[string]time.Duration) string {
	type row struct{ orders, completed, failed, policy, person, transitions, inferred, calls, posts int }
	rows := map[string]*row{}
	for _, api := range apis {
		rows[api] = &row{}
	}
	r.look(func(s *invariants.Story) {
		for _, w := range all {
			x := rows[w.api]
			x.orders++
			switch s.Order(w.order).GetOutcome() {
			case "completed":
				x.completed++
			case "failed":
				x.failed++
			}
			switch w.by {
			case "policy":
				x.policy++
			case "person":
				x.person++
			}
			for _, l := range s.Order(w.order).GetLegs() {
				for _, step := range s.Connections[l.GetConnectionId()] {
					x.transitions++
					if step.GetInferred() {
						x.inferred++
					}
				}
			}
		}
	})
	for _, a := range v.since(0) {
		if x := rows[apiOf(a.path)]; x != nil {
			x.calls++
			if a.decides {
				x.posts++
			}
		}
	}
	var b strings.Builder
	b.WriteString("exchange      orders completed failed | by policy by a person | transitions inferred | calls deciding | time")
	for _, api := range apis {
		x := rows[api]
		fmt.Fprintf(&b, "\n%-13s %6d %9d %6d | %9d %11d | %11d %8d | %5d %8d | %.1fs", api, x.orders, x.completed, x.failed,
			x.policy, x.person, x.transitions, x.inferred, x.calls, x.posts, took[api].Seconds())
	}
	return b.String()
}

// lots of sixty intents: at each exchange twelve creates, of which four are renamed and four
// deleted on their way.
type lots struct{ kept, deletes, others []string }

// handIn hands in the n-th of ten lots.
func (l *lots) handIn(r *reader, n int) {
	for i := n * 36 / kills; i < (n+1)*36/kills; i++ {
		api, round := apis[i%3], i/3
		name := fmt.Sprintf("create-%d", i)
		var changes []func(object)
		if round%2 == 1 {
			changes = append(changes, own(api, i))
		}
		id := r.publish("create", name, at(api, i, changes...))
		switch round % 3 {
		case 0:
			l.kept = append(l.kept, id)
		case 1:
			l.kept = append(l.kept, id)
			l.others = append(l.others, r.publish("change", "change-"+name, fmt.Appendf(nil,
				`{"target": {"source": %q, "id": %q}, "set": {"name": "renamed-%d"}}`, source, name, i)))
		default:
			l.others = append(l.others, id)
			l.deletes = append(l.deletes, r.publish("delete", "delete-"+name, remove(name)))
		}
	}
}

// The program, killed ten times while it carries out sixty intents at three exchanges that
// lose every third answer to what decides, buys each circuit once and forgets none.
func TestKilledAtThreeExchanges(t *testing.T) {
	heavy(t)
	t.Parallel()
	v := opened(t, sandbox.Delays{Provision: 300 * time.Millisecond, Deprovision: 300 * time.Millisecond})
	v.loses = 3
	s := v.accounts(nil)
	s.data = t.TempDir()
	p := up(t, s)
	s.nats = strings.TrimPrefix(p.NATS, "nats://")
	r := read(t, p.NATS)
	start := time.Now()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed of the times of the kills: %d", seed)
	var l lots
	for n := range kills {
		l.handIn(r, n)
		r.pause(time.Duration(rng.Int64N(int64(time.Second))))
		p.kill()
		p = up(t, s)
	}
	last := since(start)
	r.allCompleted(2*time.Minute, append(l.kept, l.deletes...))
	r.until(2*time.Minute, ended(l.others...))
	took := since(start)
	r.check(v.base)
	working := 0
	for _, c := range v.circuits("Acme") {
		switch at := c.State("ecx"); {
		case strings.HasPrefix(at, "PROVISIONED/"):
			working++
		case !strings.HasPrefix(at, "DEPROVISIONED/"):
			t.Errorf("%s is %s at the end", c.Name, at)
		}
	}
	if working != len(l.kept) {
		t.Errorf("%d circuits work, want the %d that nobody deleted", working, len(l.kept))
	}
	facts := 0
	r.look(func(s *invariants.Story) { facts = s.Facts })
	t.Logf("%d creates kept, %d deleted on the way, %d others, %d times killed in %s, %d answers lost: %d circuits work of %d "+
		"that were made, %d creates sent that made one, %d facts, in %s", len(l.kept), len(l.deletes), len(l.others)-len(l.deletes),
		kills, last, v.lost.Load(), working, len(v.circuits("Acme")), v.x.Calls().Created, facts, took)
}
