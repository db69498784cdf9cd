package simulation

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"patchbay.io/pkg/embedded"
	"patchbay.io/services/sandbox"
	"patchbay.io/services/statuswatcher"
)

var (
	simFor  = flag.Duration("sim.for", 10*time.Second, "how long to run random worlds")
	simSeed = flag.Uint64("sim.seed", 0, "run this seed alone, five times; 0 draws seeds")
	simStep = flag.Int64("sim.every", 36, "crash at every n-th effect only; 1 is each of them")
	simLog  = flag.String("sim.log", "", "file for the log and the journal of the world that fails")
)

func TestMain(m *testing.M) {
	embedded.KeepTime()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// Random worlds, for as long as asked.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		for i := range 5 {
			t.Run(fmt.Sprintf("seed=%d/%d", *simSeed, i), func(t *testing.T) { runWorld(t, *simSeed, nil) })
		}
		return
	}
	start := time.Now()
	worlds, virtual := 0, time.Duration(0)
	sum := &tally{outcomes: map[string]int{}}
	for worlds == 0 || time.Since(start) < *simFor {
		seed := rand.Uint64()>>20 | 1
		var took time.Duration
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { took = runWorld(t, seed, sum) })
		worlds, virtual = worlds+1, virtual+took
		if !ok {
			t.Fatalf("world %d failed; run it alone with: make sim SEED=%d", worlds, seed)
		}
	}
	took := time.Since(start)
	t.Logf("%d worlds, %.1f virtual days in %v: %.0f worlds a minute", worlds, virtual.Hours()/24, took.Round(time.Second),
		float64(worlds)/took.Minutes())
	t.Log(sum)
}

// spinning is how long virtual time may stand still in real time. Where something goes
// round and round without ever waiting it would stand still for ever.
const spinning = 3 * time.Minute

// runWorld plays one seed and returns how long it took in the world.
func runWorld(t *testing.T, seed uint64, sum *tally) (took time.Duration) {
	var seconds atomic.Int64 // that virtual time has gone on
	over := make(chan struct{})
	defer close(over)
	go func() {
		for last := int64(-1); ; {
			select {
			case <-over:
				return
			case <-time.After(spinning):
			}
			now := seconds.Load()
			if now == last {
				debug.SetTraceback("all")
				panic(fmt.Sprintf("for %v virtual time has stood still; run it alone with: make sim SEED=%d", spinning, seed))
			}
			last = now
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		clock := time.NewTicker(time.Second)
		ended := make(chan struct{})
		defer close(ended)
		defer clock.Stop()
		go func() {
			for {
				select {
				case <-ended:
					return
				case <-clock.C:
					seconds.Add(1)
				}
			}
		}()
		draw := rand.New(rand.NewPCG(seed, 2))
		d := dramaOf(draw.IntN)
		start := time.Now()
		w := newWorld(t, seed, d.delays)
		w.tally = sum
		wishes := w.play(d)
		w.check(wishes)
		w.stop()
		took = time.Since(start)
		w.tell(d)
	})
	return took
}

// tell writes down what happened, if the world failed.
func (w *world) tell(d any) {
	if !w.t.Failed() {
		return
	}
	w.t.Logf("drama: %+v\n%s", d, strings.Join(w.notes, "\n"))
	if *simLog != "" {
		if err := os.WriteFile(*simLog, []byte(w.log.String()+w.facts), 0o600); err != nil {
			w.t.Error(err)
		}
	}
}

// An order at each API and its delete, with a crash of one process at each of its effects in
// turn: a pair by one call, a pair by two, and a request.
func TestCrashPoints(t *testing.T) {
	for _, api := range []string{"ecx", "fabric", "packetfabric"} {
		for name := range theServices(statuswatcher.Pace{}) {
			t.Run(api+"/"+name, func(t *testing.T) {
				for at := int64(1); ; at += *simStep {
					crashed := false
					ok := t.Run(fmt.Sprintf("effect=%d", at), func(t *testing.T) { crashed = crashAt(t, api, name+"-1", at) })
					if !ok || !crashed {
						t.Logf("fewer than %d effects", at)
						return
					}
				}
			})
		}
	}
}

// theOrder is the create of the world in which process after process crashes.
func theOrder(api string) wish {
	switch api {
	case "fabric":
		return toProfile(1, ways()[2], true, approved)
	case "packetfabric":
		return atPacketFabric(1, approved, manner{})
	default:
		return create(1, ways()[2], true, approved)
	}
}

// crashAt reports whether the process had that many effects at all.
func crashAt(t *testing.T, api, process string, at int64) (crashed bool) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, uint64(at), sandbox.Delays{Provision: time.Second, Deprovision: time.Second})
		w.setAccounts(time.Hour)
		w.launch(1)
		for _, p := range w.procs {
			if p.name == process {
				p.crashAt.Store(at)
			}
		}
		c := theOrder(api)
		wishes := []wish{c, remove(c)}
		w.publish(wishes[0])
		time.Sleep(5 * time.Minute)
		w.publish(wishes[1])
		time.Sleep(5 * time.Minute)
		w.heal()
		w.quiet(wishes)
		w.check(wishes)
		w.stop()
		for _, p := range w.procs {
			crashed = crashed || p.crashes.Load() > 0
		}
		w.tell(at)
	})
	return crashed
}
