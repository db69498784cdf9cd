package requester

import (
	"testing"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// A delete is refused when its circuit is PROVISIONED after it was PENDING_DELETE. Between
// the reading of the last fact and that of its history the circuit may go on.
func TestReturned(t *testing.T) {
	j := testenv.Journal(t)
	r := &Requester{rt: service.Runtime{Journal: j}}
	e := event.Entity{Noun: event.Connection, ID: "c-1"}
	seqs := map[string]uint64{}
	var last journal.Record
	for _, step := range []struct{ name, from, to string }{
		{"placed", "PROVISIONING", "PROVISIONED"},
		{"asked", "PROVISIONED", "PENDING_DELETE"},
		{"refused", "PENDING_DELETE", "PROVISIONED"},
	} {
		var err error
		last, err = j.Append(t.Context(), last, event.Fact{
			Entity: e, Name: "x.y", By: "test", Exchange: "equinix",
			Data: &patchbayv1.Transition{From: &patchbayv1.State{Status: step.from}, To: &patchbayv1.State{Status: step.to}},
		})
		if err != nil {
			t.Fatal(err)
		}
		seqs[step.name] = last.Seq
	}
	for _, tt := range []struct {
		name, reason string
		since, until string
		want         bool
	}{
		{"came later", "it was read before it was PENDING_DELETE", "", "placed", false},
		{"refused", "it went there and back", "", "refused", true},
		{"by its origin", "the step back alone shows it", "asked", "refused", true},
		{"earlier", "an earlier deletion was refused, not this one", "refused", "refused", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &patchbayv1.OrderLeg{ConnectionId: e.ID, ConnectionSequence: seqs[tt.since]}
			got, err := r.returned(t.Context(), l, seqs[tt.until])
			if err != nil || got != tt.want {
				t.Errorf("returned = %v, %v; want %v: %s", got, err, tt.want, tt.reason)
			}
		})
	}
}
