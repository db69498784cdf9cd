package acceptance_test

import (
	"net/http"
	"strings"
	"testing"

	"patchbay.io/services/sandbox"
)

// circuit orders a single circuit and waits until it works.
func (r *reader) circuit(intent string, n int) (orderID, connection string) {
	r.t.Helper()
	orderID = r.publish("create", intent, single(n))
	r.expect(orderID, "completed")
	return orderID, r.circuitOf(orderID)
}

// A delete waits for the seller's consent, says so, and is carried out once it is there.
func TestDeleteWithConsent(t *testing.T) {
	t.Parallel()
	p := up(t, setup{})
	ask(t, http.MethodPut, p.Sandbox+"/sandbox/delays", object{"provision": "300ms", "deprovision": "1s"})
	r := read(t, p.NATS)
	_, circuit := r.circuit("create-1", 1)

	gone := r.publish("delete", "delete-1", remove("create-1"))
	r.asked(circuit, "delete")
	billed := books(t, p.Sandbox)[0]
	if !billed.Billed || billed.Status != "PENDING_DELETE" {
		t.Fatalf("at the exchange the circuit is %s, billed %v; want PENDING_DELETE, billed", billed.Status, billed.Billed)
	}
	waits := r.order(gone).GetWait()
	if !strings.Contains(waits.GetAdvice(), "bills") || !strings.Contains(waits.GetOn(), "other company") {
		t.Errorf("the delete waits for %s on %s (%s); want that the circuit still bills, and who must act",
			waits.GetWhat(), waits.GetOn(), waits.GetAdvice())
	}
	text, _ := p.run("explain", gone)
	for _, word := range []string{"bills", "seller"} {
		if !strings.Contains(text, word) {
			t.Errorf("explain does not say %q:\n%s", word, text)
		}
	}
	t.Logf("explain, without consent:\n%s", text)

	r.decide("approve", circuit, "")
	r.expect(gone, "completed")
	r.path(circuit,
		"PENDING_APPROVAL/NOT_AVAILABLE", "PROVISIONING/NOT_AVAILABLE", "PROVISIONED/AVAILABLE",
		"PENDING_DELETE/AVAILABLE", "DEPROVISIONING/AVAILABLE", "DEPROVISIONED/NOT_AVAILABLE")
	r.check(p.Sandbox)
}

// A seller may keep the circuit: the delete fails with his words, and the circuit works on.
func TestDeleteRefused(t *testing.T) {
	t.Parallel()
	p := up(t, setup{})
	ask(t, http.MethodPut, p.Sandbox+"/sandbox/delays", object{"provision": "300ms"})
	r := read(t, p.NATS)
	_, circuit := r.circuit("create-1", 1)

	gone := r.publish("delete", "delete-1", remove("create-1"))
	r.asked(circuit, "delete")
	const comment = "the contract runs until June"
	r.decide("reject", circuit, comment)
	o := r.expect(gone, "failed")
	if f := o.GetFailure(); f.GetReason() != "rejected" || !strings.Contains(f.GetMessage()+f.GetExchangeMessage(), comment) {
		t.Errorf("the delete failed with %v, want rejected and %q", f, comment)
	}
	r.path(circuit,
		"PENDING_APPROVAL/NOT_AVAILABLE", "PROVISIONING/NOT_AVAILABLE", "PROVISIONED/AVAILABLE",
		"PENDING_DELETE/AVAILABLE", "PROVISIONED/AVAILABLE")
	if c := books(t, p.Sandbox)[0]; c.Status != "PROVISIONED" || !c.Billed {
		t.Errorf("at the exchange the circuit is %s, billed %v; want PROVISIONED, billed", c.Status, c.Billed)
	}
	r.check(p.Sandbox)
	t.Logf("a refused delete: %s; the seller says %q", o.GetFailure().GetMessage(), o.GetFailure().GetExchangeMessage())
}

// A rule of the seller's rejects a create; the buyer reads the rule's reason.
func TestCreateRejected(t *testing.T) {
	t.Parallel()
	const reason = "not in this metro before June"
	_, base := exchange(t, sandbox.Delays{})
	p := up(t, accounts(t, base, "      - {name: no, when: 'name == \"circuit-1\"', then: reject, reason: \""+reason+"\"}\n"+approveAll))
	r := read(t, p.NATS)

	refused := r.publish("create", "create-1", single(1))
	taken := r.publish("create", "create-2", single(2))
	o := r.expect(refused, "failed")
	if f := o.GetFailure(); f.GetReason() != "rejected" || !strings.Contains(f.GetMessage()+f.GetExchangeMessage(), reason) {
		t.Errorf("the create failed with %v, want rejected and %q", f, reason)
	}
	r.path(r.circuitOf(refused), "PENDING_APPROVAL/NOT_AVAILABLE", "REJECTED/NOT_AVAILABLE")
	r.expect(taken, "completed")
	r.check(base)
	t.Logf("a rejected create: %s; the seller says %q", o.GetFailure().GetMessage(), o.GetFailure().GetExchangeMessage())
}
