package statuswatcher_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/statuswatcher"
)

// lister is an account's view of a market that has one list, of everything.
type lister struct{ *client }

func (l lister) ListsAll() {}

func (l lister) List(ctx context.Context, role string, _ bool, yield func(*patchbayv1.Connection) error) error {
	return l.client.List(ctx, role, false, yield)
}

// Where each list shows everything, what has vanished is told after the next one, and not only
// after the next quarter of an hour.
func TestAbsenceFromWholeLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		j, err := journal.Open(t.Context(), journal.Config{InProcess: s, MaxBytes: 1 << 24})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		w := newWorld(t, j)
		w.rt.Accounts.Accounts = w.rt.Accounts.Accounts[:1]
		w.rt.Clients = map[string]exchange.Client{"acme": lister{w.m.buyer("port-1")}}
		for n := range 5 {
			w.m.put(standing(fmt.Sprintf("x-%d", n)))
		}
		stop := w.run(t, statuswatcher.Pace{})
		defer stop()
		time.Sleep(20 * time.Minute) // all is quiet: looks are a minute apart
		w.m.remove("x-1")
		gone := func(id string) bool {
			return strings.HasSuffix(steps(w.history(t, connection(id))), "deprovisioned.not_available")
		}
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if !gone("x-1") || gone("x-2") {
			t.Errorf("x-1 gone: %v, x-2 gone: %v; want the first alone, a look after it vanished", gone("x-1"), gone("x-2"))
		}
		if get := w.m.count("get"); get != 1 {
			t.Errorf("%d single looks, want 1, which confirms that it is absent", get)
		}
	})
}

// Half a day in virtual time: how often the exchange is asked, and how late things are seen.
func TestCadence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		j, err := journal.Open(t.Context(), journal.Config{InProcess: s, MaxBytes: 1 << 24})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		w := newWorld(t, j)
		w.rt.Accounts.Accounts = w.rt.Accounts.Accounts[:1] // the buyer alone
		stop := w.run(t, statuswatcher.Pace{})
		defer stop()

		pass := func(d time.Duration) (moving, all, get int) {
			moving, all, get = w.m.count("moving"), w.m.count("all"), w.m.count("get")
			time.Sleep(d)
			synctest.Wait()
			return w.m.count("moving") - moving, w.m.count("all") - all, w.m.count("get") - get
		}
		within := func(what string, got, low, high int) {
			t.Helper()
			if got < low || got > high {
				t.Errorf("%s: %d, want %d to %d", what, got, low, high)
			}
		}
		pass(10 * time.Minute) // it starts fast and slows down
		moving, all, get := pass(6 * time.Hour)
		within("sweeps in six quiet hours", moving+all, 327, 400)
		within("full sweeps in six quiet hours", all, 21, 27)
		within("single looks in six quiet hours", get, 0, 0)

		w.m.put(requested("x-1"))
		pass(67 * time.Second)
		within("transitions a minute after the request", len(w.history(t, connection("x-1"))), 1, 1)
		pass(10 * time.Minute) // the seller thinks
		moving, all, get = pass(time.Hour)
		within("sweeps in an hour of waiting for the seller", moving+all, 54, 67)
		within("single looks meanwhile", get, 0, 0)

		w.m.move("x-1", status.Provisioning, status.NotAvailable)
		for n := 0; len(w.history(t, connection("x-1"))) < 2; n++ {
			if pass(time.Second); n > 67 {
				t.Fatal("the step was not seen within a minute")
			}
		}
		moving, all, _ = pass(20 * time.Second)
		within("sweeps in the 20s after a step", moving+all, 2, 4)
		w.m.move("x-1", status.Provisioning, status.ProviderProvisioning)
		pass(67 * time.Second)
		within("transitions", len(w.history(t, connection("x-1"))), 3, 3)
		w.m.move("x-1", status.Provisioned, status.Available)
		pass(67 * time.Second)
		within("transitions", len(w.history(t, connection("x-1"))), 4, 4)

		w.m.remove("x-1")
		pass(17 * time.Minute)
		all = len(w.history(t, connection("x-1")))
		moving, _, get = pass(time.Hour)
		within("transitions after it has vanished", len(w.history(t, connection("x-1")))-all, 0, 0)
		within("single looks at a circuit that is gone", get, 0, 0)
		within("sweeps in an hour of rest", moving, 47, 67)
		if got := steps(w.history(t, connection("x-1"))); got[len(got)-len("deprovisioned.not_available"):] != "deprovisioned.not_available" {
			t.Errorf("it ends in %s", got)
		}
	})
}
