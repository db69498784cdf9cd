package sandbox_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
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

// TestKinds follows each kind of circuit from order to service and back, by the clock.
func TestKinds(t *testing.T) {
	tests := []struct {
		name   string
		change object
		steps  []string // after each five seconds; at the third the buyer deletes
	}{
		{"integrated", object{"profileUUID": apiProfile, "authorizationKey": "xxxxxxxx"}, []string{
			"PENDING_AUTO_APPROVAL/NOT_AVAILABLE", "PROVISIONING/NOT_AVAILABLE", "PROVISIONED/PROVISIONED",
			"DEPROVISIONING/PROVISIONED", "DEPROVISIONED/NOT_AVAILABLE"}},
		{"own profile", object{"profileUUID": ownProfile}, []string{
			"PROVISIONING/NOT_AVAILABLE", "PROVISIONED/AVAILABLE", "PROVISIONED/AVAILABLE",
			"DEPROVISIONING/AVAILABLE", "DEPROVISIONED/NOT_AVAILABLE"}},
		{"own port", object{"profileUUID": nil, "primaryZSidePortUUID": acmePort2, "primaryZSideVlanSTag": 31}, []string{
			"PROVISIONING/NOT_AVAILABLE", "PROVISIONED/AVAILABLE", "PROVISIONED/AVAILABLE",
			"DEPROVISIONING/AVAILABLE", "DEPROVISIONED/NOT_AVAILABLE"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: 5 * time.Second, Deprovision: 5 * time.Second}})
				id := s.create(with(single(), tt.change))
				for i, want := range tt.steps {
					if i == 3 {
						s.do(s.acme, http.MethodDelete, connections+"/"+id, nil).want(http.StatusOK)
					} else if i > 0 {
						time.Sleep(5 * time.Second)
					}
					if got := s.state(id); got != want {
						t.Fatalf("step %d: state %s, want %s", i, got, want)
					}
				}
				// Its tags are free again, on both sides.
				for _, p := range s.Inventory().Ports {
					for _, use := range p.InUse {
						if use.Connection != "" {
							t.Errorf("port %s still holds %v", p.ID, use)
						}
					}
				}
				s.post(s.acme, connections, with(single(), tt.change)).want(http.StatusOK)
			})
		})
	}
}

// TestNoDelay finds every step in the history even when nobody could have seen it.
func TestNoDelay(t *testing.T) {
	s := open(t, sandbox.Config{})
	s.SetDelays(sandbox.Delays{})
	id := s.create(single())
	s.approve(id, 7)
	if got, want := s.state(id), "PROVISIONED/AVAILABLE"; got != want {
		t.Errorf("state %s, want %s", got, want)
	}
	c, _ := s.Connection(id)
	var got []string
	for _, h := range c.History {
		got = append(got, h.Status+" "+h.By)
	}
	want := []string{"PENDING_APPROVAL john.doe", "PROVISIONING grace.hall", "PROVISIONED exchange"}
	if !slices.Equal(got, want) {
		t.Errorf("history %v, want %v", got, want)
	}
}

func TestTransient(t *testing.T) {
	s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: time.Hour, Deprovision: time.Hour}})
	code := func(r *reply, want, why string) {
		t.Helper()
		if got := r.want(http.StatusBadRequest).array()[0]["errorCode"]; got != want {
			t.Errorf("%s: %v, want %s: %s", r.what, got, want, why)
		}
	}
	del := func(id string) *reply { return s.do(s.acme, http.MethodDelete, connections+"/"+id, nil) }

	id := s.create(single())
	s.approve(id, 7)
	code(del(id), "IC-LAYER2-4092", "it is being provisioned")
	code(s.patch(s.acme, id, "update", object{"speed": 100, "speedUnit": "MB"}), "IC-LAYER2-4092", "it is being provisioned")
	code(s.patch(s.cloud, id, "Approve", object{}), "IC-LAYER2-4093", "nothing is pending")
	code(s.patch(s.cloud, id, "Reject", nil), "IC-LAYER2-4093", "nothing is pending")

	refused := s.create(with(single(), object{"primaryVlanSTag": 101}))
	s.patch(s.cloud, refused, "Reject", object{"rejectComment": "no"}).want(http.StatusOK)
	if got, want := s.state(refused), "REJECTED/NOT_AVAILABLE"; got != want {
		t.Errorf("state %s, want %s", got, want)
	}
	code(del(refused), "IC-LAYER2-4021", "it has ended")
	s.create(with(single(), object{"primaryVlanSTag": 101})) // its VLAN is free again

	withdrawn := s.create(with(single(), object{"primaryVlanSTag": 102}))
	del(withdrawn).want(http.StatusOK)
	if got, want := s.state(withdrawn), "DEPROVISIONED/NOT_AVAILABLE"; got != want {
		t.Errorf("state %s, want %s: a request is withdrawn at once", got, want)
	}
	code(del(withdrawn), "IC-LAYER2-4021", "deleted before")
	code(s.patch(s.acme, withdrawn, "update", object{"connectionNewName": "x"}), "IC-LAYER2-4021", "deleted")
}

// TestHeldUntilGone keeps the VLANs of a circuit until it is DEPROVISIONED.
func TestHeldUntilGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		id := s.create(single())
		s.approve(id, 7)
		time.Sleep(2 * time.Second)
		taken := func(want int, why string) {
			t.Helper()
			r := s.post(s.acme, connections, with(single(), object{"primaryName": "next"}))
			if r.status != want {
				t.Fatalf("status %d, want %d: %s", r.status, want, why)
			}
		}
		s.do(s.acme, http.MethodDelete, connections+"/"+id, nil).want(http.StatusOK)
		taken(http.StatusBadRequest, "the seller has not consented")
		s.patch(s.cloud, id, "Approve", nil).want(http.StatusOK)
		taken(http.StatusBadRequest, "it is being taken down")
		time.Sleep(2 * time.Second)
		taken(http.StatusOK, "it is gone")
	})
}

func TestLanding(t *testing.T) {
	land := func(port string, sTag any, more object) object {
		return with(object{"primaryPortUUID": port, "primaryVlanSTag": sTag}, more)
	}
	tests := []struct {
		name, profile string // QinQ is ordered with the Z-side C-tag 421
		body          object
		want          string // code property, or the landing as S.C
	}{
		{"taken", openProfile, land(cloudPort, "555", nil), "555.0"},
		{"no port", openProfile, object{"primaryVlanSTag": 5}, "IC-LAYER2-PORTS-001 primaryPortUUID"},
		{"buyer's port", openProfile, land(acmePort, 5, nil), "IC-LAYER2-PORTS-001 primaryPortUUID"},
		{"managed port", openProfile, land(managedPort, 5, nil), "IC-LAYER2-PORTS-001 primaryPortUUID"},
		{"other metro", openProfile, land(cloudPortDC, 5, nil), "IC-LAYER2-402 primaryPortUUID"},
		{"other encapsulation", openProfile, land(cloudQinQ, 5, nil), "IC-LAYER2-402 primaryPortUUID"},
		{"no VLAN", openProfile, land(cloudPort, nil, nil), "IC-LAYER2-402 primaryVlanSTag"},
		{"VLAN out of range", openProfile, land(cloudPort, 4093, nil), "IC-LAYER2-402 primaryVlanSTag"},
		{"C-tag on Dot1q", openProfile, land(cloudPort, 5, object{"primaryVlanCTag": 6}), "IC-LAYER2-402 primaryVlanCTag"},
		{"VLAN in use", openProfile, land(cloudPort, 9, nil), "IC-LAYER2-4091 primaryVlanSTag"},
		{"buyer's C-tag", toQinQProfile, land(cloudQinQ, 5, nil), "5.421"},
		{"seller's C-tag", toQinQProfile, land(cloudQinQ, 5, object{"primaryVlanCTag": "422"}), "5.422"},
		{"malformed", openProfile, object{"primaryPortUUID": 5}, "IC-LAYER2-402 primaryPortUUID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: time.Hour}})
			s.approve(s.create(with(single(), object{"primaryVlanSTag": 900})), 9)
			order := with(single(), object{"profileUUID": tt.profile})
			if tt.profile == toQinQProfile {
				order = with(order, object{"primaryZSideVlanCTag": 421, "authorizationKey": "xxxxxxxx", "sellerRegion": "us-sv"})
			}
			id := s.create(order)
			r := s.patch(s.cloud, id, "Approve", tt.body)
			code, property, refused := strings.Cut(tt.want, " ")
			if refused {
				got := r.want(http.StatusBadRequest).array()
				if got[0]["errorCode"] != code || got[0]["property"] != property {
					t.Errorf("%v, want %s", got, tt.want)
				}
				if got := s.state(id); got != "PENDING_APPROVAL/NOT_AVAILABLE" {
					t.Errorf("state %s after a refusal", got)
				}
				return
			}
			r.want(http.StatusOK)
			c, _ := s.Connection(id)
			if got := fmt.Sprintf("%d.%d", c.Z.STag, c.Z.CTag); got != tt.want {
				t.Errorf("landed on %s, want %s", got, tt.want)
			}
		})
	}
}

// TestPairApproved lands both legs in one call, or neither.
func TestPairApproved(t *testing.T) {
	s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: time.Hour}})
	r := s.post(s.acme, connections, pair()).want(http.StatusOK)
	first, second := r.text("primaryConnectionId"), r.text("secondaryConnectionId")
	body := object{"primaryPortUUID": cloudPort, "primaryVlanSTag": 5, "secondaryPortUUID": cloudPort, "secondaryVlanSTag": 5}
	got := s.patch(s.cloud, first, "Approve", body).want(http.StatusBadRequest).array()
	if got[0]["errorCode"] != "IC-LAYER2-4091" || s.state(first) != "PENDING_APPROVAL/NOT_AVAILABLE" {
		t.Errorf("%v and %s, want a refusal that lands nothing", got, s.state(first))
	}
	r = s.patch(s.cloud, first, "Approve", with(body, object{"secondaryVlanSTag": 6})).want(http.StatusOK)
	if r.text("secondaryConnectionId") != second || s.state(second) != "PROVISIONING/NOT_AVAILABLE" {
		t.Errorf("%s and %s, want both legs landed", r.body, s.state(second))
	}
}

func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		id := s.create(single())
		s.patch(s.acme, id, "update", object{"connectionNewName": "John_Demo_Connection"}).want(http.StatusOK)
		s.approve(id, 7)
		time.Sleep(2 * time.Second)
		see := func() object { return s.get(s.acme, connections+"/"+id).want(http.StatusOK).object() }
		if got := see()["name"]; got != "John_Demo_Connection" {
			t.Errorf("name %v: a rename takes effect at once", got)
		}
		is := func(why string, want object) {
			t.Helper()
			got := see()
			for f, w := range want {
				if got[f] != w {
					t.Errorf("%s is %v, want %v: %s", f, got[f], w, why)
				}
			}
		}
		faster := object{"speed": 1, "speedUnit": "GB"}
		before := see()["lastUpdatedDate"]
		time.Sleep(time.Second)
		s.patch(s.acme, id, "update", faster).want(http.StatusOK)
		is("asked", object{"speed": 50.0, "updateInProgress": true, "sellerApprovalPendingForBandwidth": true,
			"requestedSpeed": 1.0, "requestedSpeedUnit": "GB", "connectionEditable": false, "status": "PROVISIONED"})
		if see()["lastUpdatedDate"] == before {
			t.Error("lastUpdatedDate did not change")
		}
		s.patch(s.cloud, id, "Reject", object{"rejectComment": "full"}).want(http.StatusOK)
		is("rejected", object{"speed": 50.0, "updateInProgress": false, "sellerApprovalPendingForBandwidth": false, "rejectComment": "full"})
		s.patch(s.acme, id, "update", faster).want(http.StatusOK)
		s.patch(s.cloud, id, "Approve", nil).want(http.StatusOK)
		is("approved", object{"speed": 50.0, "updateInProgress": true, "sellerApprovalPendingForBandwidth": false})
		time.Sleep(2 * time.Second)
		is("done", object{"speed": 1.0, "speedUnit": "GB", "updateInProgress": false, "sellerApprovedBandwidth": true})

		for _, bad := range []object{{}, {"speed": 51, "speedUnit": "MB"}, {"speed": 50}, {"connectionNewName": "a/b"}} {
			if got := s.patch(s.acme, id, "update", bad).want(http.StatusBadRequest).array()[0]["errorCode"]; got != "IC-LAYER2-402" {
				t.Errorf("%v: %v, want IC-LAYER2-402", bad, got)
			}
		}
		if got := s.patch(s.acme, id, "dance", nil).want(http.StatusBadRequest).array()[0]["property"]; got != "action" {
			t.Errorf("property %v, want action", got)
		}
	})
}

// TestOvertaken deletes a circuit whose speed is being changed: the change never comes.
func TestOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		id := s.create(with(single(), object{"profileUUID": ownProfile}))
		time.Sleep(2 * time.Second)
		s.patch(s.acme, id, "update", object{"speed": 100, "speedUnit": "MB"}).want(http.StatusOK)
		s.do(s.acme, http.MethodDelete, connections+"/"+id, nil).want(http.StatusOK)
		time.Sleep(time.Minute)
		got := s.get(s.acme, connections+"/"+id).want(http.StatusOK).object()
		if got["status"] != "DEPROVISIONED" || got["speed"] != 50.0 || got["updateInProgress"] != false {
			t.Errorf("%v at %v, in progress %v, want it gone at 50", got["status"], got["speed"], got["updateInProgress"])
		}
	})
}
