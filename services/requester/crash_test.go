package requester_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// crasher ends a requester at its nth effect: the connection is cut, and whoever was about
// to go on does not.
type crasher struct {
	at int

	mu    sync.Mutex
	n     int
	point string
}

func (c *crasher) probe(j *journal.Journal, point string) {
	c.mu.Lock()
	c.n++
	dead := c.point != ""
	if c.n == c.at {
		c.point = point
		go j.Close()
	}
	dead = dead || c.point != ""
	c.mu.Unlock()
	if dead {
		runtime.Goexit()
	}
}

// crashed reports where the crash was, empty if there was none.
func (c *crasher) crashed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.point
}

// Wherever a requester dies, the next one carries on: an order is neither forgotten nor
// carried out twice.
func TestCrashes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		stride int
		fault  func(string, int) exchangetest.Fault
	}{
		{"answered", 1, nil},
		{"lost answer", 4, onPlace(exchangetest.LostAnswer())},
		{"lost request", 9, onPlace(exchangetest.Lost())},
	} {
		for _, kind := range kinds {
			t.Run(kind+" "+tt.name, func(t *testing.T) {
				stride := tt.stride
				if kind != "ecx" {
					stride = 2*stride + 4 // one exchange is gone through in full
				}
				if testing.Short() {
					stride = 8
				}
				for at := 1; ; at += stride {
					c := &crasher{at: at}
					fake := &exchangetest.Fake{API: kind, Fault: tt.fault}
					ok := t.Run(fmt.Sprint(at), func(t *testing.T) { crash(t, c, fake) })
					t.Logf("crashed at %q", c.crashed())
					if !ok || c.crashed() == "" {
						return
					}
				}
			})
		}
	}
}

func crash(t *testing.T, c *crasher, fake *exchangetest.Fake) {
	bubble(t, fake, func(w *world) {
		w.stop()
		w.run(c.probe)
		create := w.submit("create", "1", w.pair("both", 100))
		// A day is more than a life without crashes takes.
		w.alive(c, func() bool { return w.reached(create, bothPlaced) })
		o := w.until(create, "placed on both legs", bothPlaced)
		w.ready(o)
		w.alive(c, func() bool { return w.reached(create, isOver) })
		w.ended(create)
		del := w.submit("delete", "2", `{"target":{"orderId":"`+create+`"}}`)
		w.alive(c, func() bool { return w.reached(del, bothPlaced) })
		for _, id := range ids(w.until(del, "placed on both legs", bothPlaced)) {
			w.show(id)
			w.turn(id, "DEPROVISIONED", "NOT_AVAILABLE")
		}
		w.alive(c, func() bool { return w.reached(del, isOver) })
		if o := w.ended(del); o.GetOutcome() != order.Completed {
			t.Errorf("after a crash at %q: delete %q, %v; want completed", c.crashed(), o.GetOutcome(), o.GetFailure())
		}
		if n := len(w.fake.Circuits()); n != 2 {
			t.Errorf("after a crash at %q: %d circuits, want 2", c.crashed(), n)
		}
		for _, seq := range []uint64{o.GetIntentSequence(), o.GetIntentSequence() + 1} {
			time.Sleep(time.Minute)
			if rec, err := w.j.Intent(w.t.Context(), seq); err != nil || !rec.None() {
				t.Errorf("after a crash at %q: intent %d is still there (%v)", c.crashed(), seq, err)
			}
		}
	})
}

func isOver(o *patchbayv1.Order) bool { return o.GetOutcome() != "" }

// alive waits until done; if the requester crashes before, it starts another.
func (w *world) alive(c *crasher, done func() bool) {
	w.t.Helper()
	for range 3600 {
		if c.crashed() != "" && !w.restarted {
			w.stop()
			w.run(nil)
			w.restarted = true
		}
		if done() {
			return
		}
		time.Sleep(time.Second)
	}
}

// reached reports whether an order's last fact fits.
func (w *world) reached(id string, fits func(*patchbayv1.Order) bool) bool {
	w.t.Helper()
	rec, err := w.j.Last(w.t.Context(), orderEntity(id))
	if err != nil {
		w.t.Fatal(err)
	}
	o := new(patchbayv1.Order)
	if rec.None() {
		return false
	}
	if err := rec.Into(o); err != nil {
		w.t.Fatal(err)
	}
	return fits(o)
}
