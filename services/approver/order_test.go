package approver_test

import (
	"errors"
	"testing"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/approver"
)

// While one approver reads what a change is about, the circuit's deletion is asked for and
// another writes that down. Whatever the first has read by then, the request stays open.
func TestReadsOvertaken(t *testing.T) {
	for _, noun := range []event.Noun{event.Approval, event.Connection, event.Change} {
		t.Run(string(noun), func(t *testing.T) {
			n := testenv.StartNATS(t)
			b := newBench(t, n.Open(t, journal.Config{}), askAll)
			b.handle(b.announce(circuit("PROVISIONED")))
			c := circuit("PROVISIONED")
			e := event.Entity{Noun: event.Change, ID: c.GetId()}
			if _, err := b.j.Append(t.Context(), journal.Record{}, event.Fact{Entity: e, Name: "rejected", By: "status-watcher",
				Data: &patchbayv1.Change{ConnectionId: c.GetId(), Status: "REJECTED", Connection: c}}); err != nil {
				t.Fatal(err)
			}
			rt := b.rt
			rt.Journal = n.Open(t, journal.Config{InProcess: n.Interrupted(
				event.Entity{Noun: noun, ID: c.GetId()}.Filter(),
				func() { b.handle(b.announce(circuit("PENDING_DELETE"))) },
			)})
			slow, err := approver.New(rt)
			if err != nil {
				t.Fatal(err)
			}
			if err := slow.Fact(t.Context(), b.last(e)); err != nil && !errors.Is(err, journal.ErrLost) {
				t.Fatal(err)
			}
			b.wantFacts("requested", "the deletion waits for a person, whoever was slow")
		})
	}
}
