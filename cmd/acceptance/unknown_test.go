package acceptance_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"patchbay.io/cmd/invariants"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Statuses that nobody documented are told as UNKNOWN with the exchange's own words, and the
// order goes on when they pass.
func TestUndocumentedStatuses(t *testing.T) {
	t.Parallel()
	p := up(t, setup{})
	ask(t, http.MethodPut, p.Sandbox+"/sandbox/delays", object{"provision": "500ms", "deprovision": "500ms"})
	r := read(t, p.NATS)
	start := time.Now()
	words := []string{"PENDING_MOON/HALF", "PENDING_MOON", "Sent to Mars/N/A", "PROVISIONED_MAYBE/AVAILABLE", "42"}
	fault := func(n int) {
		ask(t, http.MethodPost, p.Sandbox+"/sandbox/faults", object{
			"kind": "status", "times": -1, "value": words[n], "match": object{"name": fmt.Sprintf("circuit-%d", n)},
		})
	}
	var ids []string
	for n := range words { // from the first sight on
		fault(n)
		ids = append(ids, r.publish("create", fmt.Sprintf("create-%d", n), single(n)))
	}
	bystander := r.publish("create", "bystander", single(99))
	r.expect(bystander, "completed")
	for _, id := range ids {
		r.unknown(id, 1)
		if o := r.order(id); o.GetOutcome() != "" {
			t.Errorf("%s ended %s at a status that nobody knows", o.GetIntentId(), o.GetOutcome())
		}
	}
	ask(t, http.MethodDelete, p.Sandbox+"/sandbox/faults", nil)
	r.allCompleted(time.Minute, ids)

	var gone []string
	for n, id := range ids { // and of circuits whose end waits for consent
		gone = append(gone, r.publish("delete", fmt.Sprintf("delete-%d", n), remove(fmt.Sprintf("create-%d", n))))
		r.asked(r.circuitOf(id), "delete")
		fault(n)
	}
	for n, id := range ids {
		last := r.unknown(id, 2)
		if got := last.GetTo().GetNative().GetStatus(); got != statusOf(words[n]) {
			t.Errorf("the exchange's word is told as %q, want %q", got, statusOf(words[n]))
		}
	}
	ask(t, http.MethodDelete, p.Sandbox+"/sandbox/faults", nil)
	for _, id := range ids {
		circuit := r.circuitOf(id)
		r.until(time.Minute, func(s *invariants.Story) string {
			if to := s.Connection(circuit).GetTo(); to.GetStatus() != "PENDING_DELETE" {
				return circuit + " is " + to.GetStatus() + ", want PENDING_DELETE again"
			}
			return ""
		})
		r.decide("approve", circuit, "")
	}
	r.allCompleted(time.Minute, gone)
	r.check(p.Sandbox)
	t.Logf("%d undocumented statuses, each seen at birth and while a delete waits: %d orders completed, and one beside them, in %s",
		len(words), len(ids)+len(gone), since(start))
}

// unknown waits for the n-th transition of an order's circuit to UNKNOWN and returns it.
func (r *reader) unknown(orderID string, n int) *patchbayv1.Transition {
	r.t.Helper()
	circuit := r.circuitOf(orderID)
	var last *patchbayv1.Transition
	r.until(time.Minute, func(s *invariants.Story) string {
		seen := 0
		for _, t := range s.Connections[circuit] {
			if t.GetTo().GetStatus() == "UNKNOWN" && t.GetFrom().GetStatus() != "UNKNOWN" {
				seen, last = seen+1, t
			}
		}
		if seen < n {
			return fmt.Sprintf("%s went %v, want %d times to UNKNOWN", circuit, s.Path(circuit), n)
		}
		return ""
	})
	return last
}

// statusOf is the status in what a fault shows.
func statusOf(words string) string {
	for i, c := range words {
		if c == '/' {
			return words[:i]
		}
	}
	return words
}
