package sandbox_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Seed: 1, Delays: sandbox.Delays{Provision: 5 * time.Second, Deprovision: 3 * time.Second}})
		id := s.create(single())
		is := func(want, why string) {
			t.Helper()
			if got := s.state(id); got != want {
				t.Fatalf("state %s, want %s: %s", got, want, why)
			}
		}
		is("PENDING_APPROVAL/NOT_AVAILABLE", "the profile needs the seller's approval")
		time.Sleep(1000 * time.Hour)
		s.acme, s.cloud = s.login("acme"), s.login("cloud")
		is("PENDING_APPROVAL/NOT_AVAILABLE", "a silent seller has no time-out")
		s.approve(id, 7)
		is("PROVISIONING/NOT_AVAILABLE", "approved")
		time.Sleep(5*time.Second - time.Nanosecond)
		is("PROVISIONING/NOT_AVAILABLE", "one nanosecond is missing")
		time.Sleep(time.Nanosecond)
		is("PROVISIONED/AVAILABLE", "the provision delay is over")
		s.do(s.acme, http.MethodDelete, connections+"/"+id, nil).want(http.StatusOK)
		is("PENDING_DELETE/AVAILABLE", "the seller must agree")
		s.patch(s.cloud, id, "Reject", object{"rejectComment": "pay first"}).want(http.StatusOK)
		is("PROVISIONED/AVAILABLE", "the seller did not agree")
		s.do(s.acme, http.MethodDelete, connections+"/"+id, nil).want(http.StatusOK)
		s.patch(s.cloud, id, "Approve", nil).want(http.StatusOK)
		is("DEPROVISIONING/AVAILABLE", "the seller agreed")
		time.Sleep(3 * time.Second)
		is("DEPROVISIONED/NOT_AVAILABLE", "the deprovision delay is over")
	})
}
