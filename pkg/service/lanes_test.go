package service_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/service"
)

// Some get in, some wait a second and are turned away, and the rest at once, who are told to
// come the later the more they are. There are handlers for all who get in or wait.
func TestLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := service.NewLanes()
		begun := time.Now()
		in := make(chan func(), 1000)
		away := make(chan error, 1000)
		enter := func() {
			out, err := l.Enter(t.Context(), "hung")
			if err != nil {
				away <- err
				return
			}
			in <- out
		}
		for len(away) == 0 {
			go enter()
			synctest.Wait()
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("the first was turned away after %v, want at once: enough wait", took)
		}
		var full service.LaneFull
		if err := <-away; !errors.As(err, &full) || full.Lane != "hung" || full.After != time.Second {
			t.Errorf("the first that is turned away is told %v, want a second", err)
		}
		out, err := l.Enter(t.Context(), "fine")
		if err != nil {
			t.Fatalf("another account's lane: %v", err)
		}
		out()

		(<-in)() // a place for one of those who wait
		synctest.Wait()
		inside := len(in)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if inside == 0 || len(in) != inside {
			t.Errorf("%d are inside and %d after two seconds, want as many: who waits takes a place that is given back", inside, len(in))
		}
		if waited := len(away); waited == 0 || inside+waited > service.Handlers(1) {
			t.Errorf("%d were inside and %d waited a second, and a service with one lane has %d handlers", inside, waited, service.Handlers(1))
		}
		for range 1000 {
			go enter()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for len(away) > 0 {
			err = <-away
		}
		if !errors.As(err, &full) || full.After != 30*time.Second {
			t.Errorf("the thousandth is told %v, want half a minute: a crowd must not come each second", err)
		}
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := l.Enter(short, "hung"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who may not wait is told %v, want that its time is over", err)
		}
	})
}
