package simulation

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/sandbox"
	"patchbay.io/services/statuswatcher"
)

// lasted publishes wishes and returns how long it took until the last has ended.
func (w *world) lasted(wishes []wish) time.Duration {
	start := time.Now()
	for _, x := range wishes {
		w.publish(x)
	}
	for _, x := range wishes {
		for w.outcome(x) == "" {
			if time.Since(start) > patience {
				w.t.Fatalf("after %v %s has not ended", patience, x.id)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return time.Since(start)
}

// outcome is how the order of a wish ended; empty if it has not.
func (w *world) outcome(x wish) string {
	r, err := w.own.Last(w.t.Context(), event.Entity{Noun: event.Order, ID: x.orderID()})
	o := new(patchbayv1.Order)
	if err != nil || r.None() || r.Into(o) != nil {
		return ""
	}
	return o.GetOutcome()
}

// An exchange that hangs, with more orders, approvals and landings waiting for it than a
// service has handlers, delays nobody at another.
func TestHungExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 7, sandbox.Delays{Provision: time.Second})
		w.setAccounts(time.Hour)
		w.accounts.Accounts = slices.DeleteFunc(w.accounts.Accounts, func(a account.Account) bool {
			return a.API == account.PacketFabric // fewer accounts have fewer handlers
		})
		w.launch(1)
		const few = 10
		crowd := 2*service.Handlers(2) + few // half of it is more than the handlers for two accounts
		var atECX, again, landing, placing []wish
		for n := range few {
			atECX = append(atECX, create(n, ways()[2], false, approved))
			again = append(again, create(few+n, ways()[2], false, approved))
		}
		for n := range crowd {
			landing = append(landing, toProfile(2*few+n, ways()[0], false, asked))
			placing = append(placing, toProfile(2*few+crowd+n, ways()[0], false, approved))
		}
		before := w.lasted(atECX)

		for _, x := range landing {
			w.publish(x)
		}
		for len(w.waiting()) < crowd {
			time.Sleep(time.Second)
		}
		if _, err := w.exchange.AddFault(sandbox.Fault{
			Kind: sandbox.Slow, Match: sandbox.Match{Path: "/fabric"}, Delay: 24 * time.Hour, Times: -1,
		}); err != nil {
			t.Fatal(err)
		}
		for i, a := range w.waiting() {
			w.decide(a, []string{"approve", "reject"}[i%2])
		}
		for _, x := range placing {
			w.publish(x)
		}
		time.Sleep(3 * time.Second) // until all of them have come up
		during := w.lasted(again)
		if during > 2*before {
			t.Errorf("while Fabric hangs, orders at ECX take %v, and %v before; want no more than twice that", during, before)
		}
		for _, x := range placing {
			if o := w.outcome(x); o != "" {
				t.Errorf("%s ended %q at an exchange that hangs", x.id, o)
			}
		}
		w.heal()
		w.check(append(again, atECX...))
		t.Logf("%v before, %v while Fabric hangs", before, during)
		w.stop()
		w.tell("hung")
	})
}

// Instances of each service join and leave under load, in turn gracefully and by dying, while
// orders come at all three exchanges. All invariants hold, and no order waits longer than it
// takes to find out what became of a call whose caller died.
func TestJoinAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 11, sandbox.Delays{Provision: time.Second})
		w.pace = statuswatcher.Pace{} // as it is in production
		w.setAccounts(time.Hour)
		w.launch(3)
		time.Sleep(time.Minute)
		const rounds = 12
		var wishes []wish
		var slowest time.Duration
		for n := range rounds {
			p := w.procs[n*5%len(w.procs)]
			batch := []wish{
				create(3*n, ways()[2], false, approved), toProfile(3*n+1, ways()[0], false, approved),
				atPacketFabric(3*n+2, approved, manner{}),
			}
			wishes = append(wishes, batch...)
			for _, x := range batch {
				w.publish(x)
			}
			time.Sleep(w.upTo(2 * time.Second)) // they are on their way
			if n%2 == 0 {
				p.end()
			} else {
				p.kill()
				<-p.ended
			}
			for _, x := range batch {
				for start := time.Now(); w.outcome(x) == ""; {
					time.Sleep(100 * time.Millisecond)
					if took := time.Since(start); took > slowest {
						slowest = took
					}
					if time.Since(start) > patience {
						t.Fatalf("%s has not ended after %s left", x.id, p.name)
					}
				}
			}
			p.mu.Lock()
			p.stopped = false
			p.mu.Unlock()
			p.start()
		}
		w.heal()
		w.quiet(wishes)
		w.check(wishes)
		if slowest > 5*time.Minute {
			t.Errorf("an order took %v after an instance had left", slowest)
		}
		t.Logf("the slowest order took %v", slowest)
		w.stop()
		w.tell("joining and leaving")
	})
}
