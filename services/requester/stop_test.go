package requester_test

import (
	"testing"
	"time"

	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// A requester that is told to stop in the middle of a call waits for its answer and writes it
// down, so that nothing has to be looked for.
func TestStopFinishesCalls(t *testing.T) {
	fake := &exchangetest.Fake{}
	bubble(t, fake, func(w *world) {
		begun := make(chan struct{}, 8)
		fake.Fault = func(call string, _ int) exchangetest.Fault {
			if call == "Place" {
				begun <- struct{}{}
				time.Sleep(12 * time.Second)
			}
			return exchangetest.Fault{}
		}
		id := w.submit("create", "c", single("one", 100))
		select {
		case <-begun:
		case <-time.After(patience):
			w.t.Fatal("no call is made")
		}
		w.stop()
		last, err := w.j.Last(w.t.Context(), orderEntity(id))
		if err != nil {
			w.t.Fatal(err)
		}
		o := new(patchbayv1.Order)
		if err := last.Into(o); err != nil || o.GetFact() != order.Placed {
			w.t.Errorf("after the stop the order is %q (%v), want placed", o.GetFact(), err)
		}
		w.run(nil)
		w.ready(o)
		w.ended(id)
		if n := fake.Calls("Place"); n != 1 || len(fake.Circuits()) != 1 {
			w.t.Errorf("%d calls and %d circuits, want one each", n, len(fake.Circuits()))
		}
	})
}
