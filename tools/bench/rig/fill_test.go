package rig_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/tools/bench/rig"
)

// A filled journal holds whole stories of orders that have nothing in common, is not filled
// again, and leaves a start nothing to do: its facts are settled, and of nobody's accounts.
func TestFill(t *testing.T) {
	const orders = 3
	dir := filepath.Join(t.TempDir(), "full")
	for range 2 {
		wrote, err := rig.Fill(t.Context(), dir, orders*rig.FactsPerOrder)
		if err != nil || wrote != orders*rig.FactsPerOrder {
			t.Fatalf("wrote %d facts, error %v; want %d", wrote, err, orders*rig.FactsPerOrder)
		}
	}
	n, err := embedded.StartNATS(embedded.NATSConfig{Dir: filepath.Join(dir, "nats"), Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	j, err := journal.Open(t.Context(), journal.Config{InProcess: n, MaxBytes: rig.JournalBytes})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	entities := map[event.Noun]int{}
	circuits := map[string]bool{}
	err = j.Each(t.Context(), nil, func(r journal.Record) error {
		e := r.Entity()
		entities[e.Noun]++
		for _, account := range []string{"acme-ecx", "cloud-ecx"} {
			if bytes.Contains(r.Event.Data(), []byte(account)) {
				t.Errorf("%s is of account %s, which a start knows", r.Subject, account)
			}
		}
		if e.Noun != event.Order {
			return nil
		}
		var o patchbayv1.Order
		if err := r.Into(&o); err != nil {
			return err
		}
		if o.GetId() != e.ID || o.GetOutcome() != "completed" {
			t.Errorf("order %s says that it is %s, and is %q", e.ID, o.GetId(), o.GetOutcome())
		}
		circuits[o.GetLegs()[0].GetExchangeId()] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for noun, want := range map[event.Noun]int{
		event.Order: orders, event.Connection: orders, event.Approval: orders, event.Landing: orders, event.Hold: 2 * orders,
	} {
		if entities[noun] != want {
			t.Errorf("%d entities of %s, want %d", entities[noun], noun, want)
		}
	}
	if len(circuits) != orders {
		t.Errorf("the orders have %d circuits at the exchange, want %d", len(circuits), orders)
	}
	nc, err := nats.Connect("", nats.InProcessServer(n))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := js.Stream(t.Context(), journal.Facts)
	if err != nil {
		t.Fatal(err)
	}
	if got := facts.CachedInfo().State.Msgs; got != orders*rig.FactsPerOrder {
		t.Errorf("the journal has %d facts, want %d", got, orders*rig.FactsPerOrder)
	}
	consumers := 0
	list := facts.ListConsumers(t.Context())
	for c := range list.Info() {
		if consumers++; c.NumPending > 0 || c.NumAckPending > 0 {
			t.Errorf("consumer %s has %d facts to see and %d to settle, want none", c.Name, c.NumPending, c.NumAckPending)
		}
	}
	if err := list.Err(); err != nil || consumers == 0 {
		t.Errorf("%d consumers, error %v; want those of the services", consumers, err)
	}
}
