package acceptance_test

import (
	"fmt"
	"testing"
	"time"

	"patchbay.io/cmd/invariants"
	"patchbay.io/services/sandbox"
)

// noGlobex rejects what one company orders.
const noGlobex = `      - {name: no-globex, when: 'buyer in ["Globex"]', then: reject, reason: "no contract"}
`

// TestBuyerInPolicy has a rule that names a buyer meet what that buyer orders at each exchange.
func TestBuyerInPolicy(t *testing.T) {
	t.Parallel()
	v := opened(t, sandbox.Delays{Provision: time.Second})
	p := up(t, v.accounts(map[string]string{"ecx": noGlobex, "fabric": noGlobex, "packetfabric": noGlobex}))
	r := read(t, p.NATS)
	v.strangers()
	circuits := v.circuits("Globex")
	if len(circuits) != len(apis) {
		t.Fatalf("Globex has %d circuits, want one at each of %v", len(circuits), apis)
	}
	for _, c := range circuits {
		r.until(time.Minute, func(s *invariants.Story) string {
			if a := s.Approval(c.ID); a.GetFact() != "rejected" || a.GetRule() != "no-globex" {
				return fmt.Sprintf("%s was %q by rule %q, want rejected by no-globex", c.Name, a.GetFact(), a.GetRule())
			}
			return ""
		})
		r.look(func(s *invariants.Story) {
			if got := s.Connection(c.ID).GetConnection().GetBuyerOrganization(); got != "Globex" {
				t.Errorf("%s shows buyer %q, want Globex", c.Name, got)
			}
		})
	}
}
