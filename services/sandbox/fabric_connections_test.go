package sandbox_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

// What the samples of the Fabric API order with, and more.
const (
	fabricBase = "/fabric/v4/connections"
	guideDot1q = "a867f685-41b0-1b07-6de0-320a5c00abdd" // Acme, SV

	secondToken   = "20d32a80-0d61-4333-bc03-707b591ae2f5"
	qinqToken     = "20d32a80-0d61-4333-bc03-707b591ae2f6"
	aSideToken    = "20d32a80-0d61-4333-bc03-707b591ae2f7"
	eplToken      = "20d32a80-0d61-4333-bc03-707b591ae2f8"
	bandedToken   = "20d32a80-0d61-4333-bc03-707b591ae2f9"
	connect       = "20d32a80-0d61-4333-bc03-707b591ae2f4" // profile: seller approves, QinQ
	landingQinQ   = "20d32a80-0d61-4333-bc03-707b591ae2f4" // port of the seller
	solo          = "c10f0000-0000-4000-8000-000000000009"
	acmeDC        = "aced10d0-0000-4000-8000-000000000001"
	acmeUntagged  = "ace00050-0000-4000-8000-000000000001"
	acmeUntagged2 = "ace00050-0000-4000-8000-000000000002"
	acmeQinQ2     = "ace99050-0000-4000-8000-000000000002"
)

func dot1qLink(vlan int) object { return object{"type": "DOT1Q", "vlanTag": vlan} }

// qinqLink is a link with an S-tag and, unless it is 0, a C-tag.
func qinqLink(outer, inner int) object {
	if inner == 0 {
		return object{"type": "QINQ", "vlanSTag": outer}
	}
	return object{"type": "QINQ", "vlanSTag": outer, "vlanCTag": inner}
}

// colo is a side that is a port; a nil link is none.
func colo(port string, link object) object {
	p := object{"type": "COLO", "port": object{"uuid": port}}
	if link != nil {
		p["linkProtocol"] = link
	}
	return object{"accessPoint": p}
}

func byToken(id string) object { return object{"serviceToken": object{"uuid": id}} }

// sp is a side that is a service profile in SV.
func sp(profile string, more object) object {
	return object{"accessPoint": with(object{"type": "SP", "profile": object{"type": "L2_PROFILE", "uuid": profile},
		"location": object{"metroCode": "SV"}}, more)}
}

// order is an order to Fabric.
func order(a, z, more object) object {
	return with(object{"type": "EVPL_VC", "name": "Conn-1", "bandwidth": 1000, "aSide": a, "zSide": z,
		"notifications": []object{{"type": "ALL", "emails": []string{"john.doe@example.com"}}}}, more)
}

// toOpen is an order to the profile without a key, which the seller approves.
func toOpen(vlan int) object {
	return order(colo(acmePort, dot1qLink(vlan)), sp(openProfile, nil), nil)
}

// ordered makes a connection and returns its id.
func (s *site) ordered(body object) string {
	s.t.Helper()
	return s.post(s.acme, fabricBase, body).want(http.StatusCreated).text("uuid")
}

// act performs an action.
func (s *site) act(token, id, kind string, more object) *reply {
	s.t.Helper()
	return s.post(token, fabricBase+"/"+id+"/actions", with(object{"type": kind}, more))
}

// landingAt is an acceptance's data.
func landingAt(port string, link object) object {
	return object{"data": object{"zSide": colo(port, link)}}
}

// dig follows a path of keys.
func dig(v any, path string) any {
	for key := range strings.SplitSeq(path, "/") {
		o, _ := v.(object)
		v = o[key]
	}
	return v
}

// face is what Fabric shows of a connection's state.
func (s *site) face(id string) string {
	s.t.Helper()
	o := s.get(s.acme, fabricBase+"/"+id).want(http.StatusOK).object()
	return fmt.Sprint(dig(o, "state"), " ", dig(o, "operation/equinixStatus"), "/", dig(o, "operation/providerStatus"),
		" ", dig(o, "change/type"), " ", dig(o, "change/status"))
}

// codes are a refusal's codes with the property of each.
func (r *reply) codes() []string {
	r.t.Helper()
	var out []string
	for _, e := range r.array() {
		if id, _ := e["correlationId"].(string); id == "" {
			r.t.Errorf("%s: an error without correlationId: %s", r.what, r.body)
		}
		code, _ := e["errorCode"].(string)
		if info, ok := e["additionalInfo"].([]any); ok {
			code += fmt.Sprint(" ", dig(info[0], "property"))
		}
		out = append(out, code)
	}
	return out
}

func TestFabricOrders(t *testing.T) {
	const invalid = "EQ-3142501 "
	const aLink, zLink = "/aSide/accessPoint/linkProtocol", "/zSide/accessPoint/linkProtocol"
	dot, z := colo(acmePort, dot1qLink(100)), colo(acmePort2, dot1qLink(200))
	tests := []struct {
		name string
		body object
		want string // what is refused, comma list; empty: it is made
	}{
		{"guide's first", order(colo(guideDot1q, dot1qLink(1001)), byToken(guideToken), nil), ""},
		{"guide's second", order(colo(acmeQinQ, qinqLink(1002, 1001)), byToken(secondToken), nil), ""},
		{"to a QinQ token", order(dot, byToken(qinqToken), nil), ""},
		{"QinQ to a QinQ token", order(colo(acmeQinQ, qinqLink(5, 0)), byToken(qinqToken), nil), ""},
		{"from a token", order(byToken(aSideToken), z, nil), ""},
		{"from a token to a token", order(byToken(aSideToken), byToken(guideToken), nil), ""},
		{"to a profile", toOpen(100), ""},
		{"to a profile with a key", order(dot, sp(dot1qProfile, object{"authenticationKey": "xxxxxxxx"}), nil), ""},
		{"to a profile with a region", order(dot, sp(toQinQProfile, object{"authenticationKey": "xxxxxxxx", "sellerRegion": "us-sv"}), nil), ""},
		{"to a profile by peering", order(dot, sp(peering, object{"authenticationKey": "xxxxxxxx", "peeringType": "MICROSOFT"}), nil), ""},
		{"to a profile by the key's bandwidth", order(dot, sp(express, object{"authenticationKey": "express-50"}), object{"bandwidth": 0}), ""},
		{"Dot1q to Dot1q", order(dot, z, nil), ""},
		{"Dot1q to QinQ", order(dot, colo(acmeQinQ, qinqLink(7, 8)), nil), ""},
		{"QinQ to Dot1q", order(colo(acmeQinQ, qinqLink(7, 8)), dot, nil), ""},
		{"QinQ to QinQ", order(colo(acmeQinQ, qinqLink(7, 0)), colo(acmeQinQ2, qinqLink(7, 0)), nil), ""},
		{"EPL", order(colo(acmeUntagged, nil), colo(acmeUntagged2, nil), object{"type": "EPL_VC"}), ""},
		{"EPL to a token", order(colo(acmeUntagged, nil), byToken(eplToken), object{"type": "EPL_VC"}), ""},
		{"everything", order(dot, z, object{"order": object{"purchaseOrderNumber": "po", "customerReferenceNumber": "c", "termLength": 12},
			"redundancy": object{"priority": "PRIMARY"}, "geoScope": "CONUS", "project": object{"projectId": "p"},
			"additionalInfo": []object{{"key": "k", "value": "v"}}, "description": "d"}), ""},

		{"no JSON", object{"name": []int{1}}, invalid + "/name"},
		{"nothing", object{}, invalid + "/type," + invalid + "/name," + invalid + "/notifications," + invalid + "/bandwidth," +
			invalid + "/aSide," + invalid + "/zSide"},
		{"a type that is not here", order(dot, z, object{"type": "IP_VC"}), invalid + "/type"},
		{"a long name", order(dot, z, object{"name": strings.Repeat("x", 25)}), invalid + "/name"},
		{"a name with a space", order(dot, z, object{"name": "a b"}), invalid + "/name"},
		{"no bandwidth", order(dot, z, object{"bandwidth": 0}), invalid + "/bandwidth"},
		{"too much bandwidth", order(dot, z, object{"bandwidth": 100001}), invalid + "/bandwidth"},
		{"a bandwidth of text", order(dot, z, object{"bandwidth": "10"}), invalid + "/bandwidth"},
		{"a kind of notice", order(dot, z, object{"notifications": []object{{"type": "SOME", "emails": []string{"a@b.c"}}}}), invalid + "/notifications/type"},
		{"no addresses", order(dot, z, object{"notifications": []object{{"type": "ALL"}}}), invalid + "/notifications/emails"},
		{"no address", order(dot, z, object{"notifications": []object{{"type": "ALL", "emails": []string{"nobody"}}}}), invalid + "/notifications/emails"},
		{"thirteen addresses", order(dot, z, object{"notifications": []object{{"type": "ALL", "emails": slices.Repeat([]string{"a@b.c"}, 13)}}}), invalid + "/notifications/emails"},
		{"a term", order(dot, z, object{"order": object{"termLength": 2}}), invalid + "/order/termLength"},
		{"a scope", order(dot, z, object{"geoScope": "MOON"}), invalid + "/geoScope"},
		{"both on a side", order(with(dot, byToken(aSideToken)), z, nil), invalid + "/aSide"},
		{"a cloud router", order(object{"accessPoint": object{"type": "CLOUD_ROUTER"}}, z, nil), invalid + "/aSide/accessPoint/type"},
		{"a network", order(dot, object{"accessPoint": object{"type": "NETWORK"}}, nil), invalid + "/zSide/accessPoint/type"},
		{"no port", order(object{"accessPoint": object{"type": "COLO"}}, z, nil), invalid + "/aSide/accessPoint/port/uuid"},
		{"somebody else's port", order(colo(globexPort, dot1qLink(5)), z, nil), invalid + "/aSide/accessPoint/port/uuid"},
		{"a managed port", order(dot, colo(managedPort, dot1qLink(5)), nil), invalid + "/zSide/accessPoint/port/uuid"},
		{"no link", order(colo(acmePort, nil), z, nil), invalid + aLink + "/type"},
		{"another link", order(colo(acmePort, qinqLink(5, 6)), z, nil), invalid + aLink + "/type"},
		{"no VLAN", order(colo(acmePort, object{"type": "DOT1Q"}), z, nil), invalid + aLink + "/vlanTag"},
		{"VLAN 1", order(colo(acmePort, dot1qLink(1)), z, nil), invalid + aLink + "/vlanTag"},
		{"VLAN 4093", order(dot, colo(acmePort2, dot1qLink(4093)), nil), invalid + zLink + "/vlanTag"},
		{"a C-tag too many", order(colo(acmeQinQ, qinqLink(7, 8)), colo(acmeQinQ2, qinqLink(7, 0)), nil), invalid + aLink + "/vlanCTag"},
		{"a C-tag too few", order(colo(acmeQinQ, qinqLink(7, 0)), dot, nil), invalid + aLink + "/vlanCTag"},
		{"an S-tag on Dot1q", order(colo(acmePort, with(dot1qLink(5), object{"vlanSTag": 6})), z, nil), invalid + aLink + "/vlanSTag"},
		{"EPL on a tagged port", order(dot, colo(acmeUntagged, nil), object{"type": "EPL_VC"}), invalid + "/aSide/accessPoint/port/uuid"},
		{"EPL with a tag", order(colo(acmeUntagged, object{"type": "UNTAGGED", "vlanTag": 5}), colo(acmeUntagged2, nil), object{"type": "EPL_VC"}), invalid + aLink + "/vlanTag"},
		{"a port to itself", order(dot, colo(acmePort, dot1qLink(100)), nil), "EQ-3142102 " + zLink},
		{"EPL to itself", order(colo(acmeUntagged, nil), colo(acmeUntagged, nil), object{"type": "EPL_VC"}), "EQ-3142102 " + zLink},
		{"no such profile", order(dot, sp(acmePort, nil), nil), "EQ-3142301 /zSide/accessPoint/profile/uuid"},
		{"no such metro", order(dot, sp(openProfile, object{"location": object{"metroCode": "XX"}}), nil), "EQ-3142302 /zSide/accessPoint/location/metroCode"},
		{"a band not sold", order(dot, sp(openProfile, nil), object{"bandwidth": 51}), "EQ-3142306 /bandwidth"},
		{"not the key's bandwidth", order(dot, sp(express, object{"authenticationKey": "express-50"}), nil), "EQ-3142306 /bandwidth"},
		{"no key", order(dot, sp(dot1qProfile, nil), nil), "EQ-3142308 /zSide/accessPoint/authenticationKey"},
		{"a wrong key", order(dot, sp(dot1qProfile, object{"authenticationKey": "yyyyyyyy"}), nil), invalid + "/zSide/accessPoint/authenticationKey"},
		{"no region", order(dot, sp(toQinQProfile, object{"authenticationKey": "xxxxxxxx"}), nil), invalid + "/zSide/accessPoint/sellerRegion"},
		{"no peering", order(dot, sp(peering, object{"authenticationKey": "xxxxxxxx"}), nil), invalid + "/zSide/accessPoint/peeringType"},
		{"a peering too many", order(dot, sp(openProfile, object{"peeringType": "PRIVATE"}), nil), invalid + "/zSide/accessPoint/peeringType"},
		{"EPL to a profile", order(colo(acmeUntagged, nil), sp(openProfile, nil), object{"type": "EPL_VC"}), invalid + "/type"},
		{"no such token", order(dot, byToken(acmePort), nil), "EQ-3034016 /zSide/serviceToken/uuid"},
		{"a token of the other side", order(dot, byToken(aSideToken), nil), "EQ-3034016 /zSide/serviceToken/uuid"},
		{"a token of another type", order(dot, byToken(eplToken), nil), invalid + "/zSide/serviceToken/uuid"},
		{"over the token's limit", order(byToken(aSideToken), z, object{"bandwidth": 1001}), "EQ-3142535 /aSide/serviceToken/uuid"},
		{"from another metro to a token", order(colo(acmeDC, dot1qLink(5)), byToken(guideToken), nil), "EQ-3142536 /zSide/accessPoint/port/uuid"},
		{"a secondary alone", order(dot, z, object{"redundancy": object{"priority": "SECONDARY"}}), "EQ-3142514 /redundancy/group"},
		{"a group alone", order(dot, z, object{"redundancy": object{"group": acmePort}}), "EQ-3142515 /redundancy/priority"},
		{"no such group", order(dot, z, object{"redundancy": object{"group": acmePort, "priority": "SECONDARY"}}), "EQ-3142516 /redundancy/group"},
		{"an empty group", order(dot, z, object{"redundancy": object{"group": "", "priority": "SECONDARY"}}), "EQ-3142516 /redundancy/group"},
		{"no such priority", order(dot, z, object{"redundancy": object{"priority": "THIRD"}}), "EQ-3142517 /redundancy/priority"},
		{"all at once", order(colo(acmePort, dot1qLink(1)), sp(openProfile, object{"location": object{"metroCode": "XX"}}), object{"name": "a/b", "bandwidth": 51}),
			invalid + "/name,EQ-3142302 /zSide/accessPoint/location/metroCode,EQ-3142306 /bandwidth," + invalid + aLink + "/vlanTag"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, sandbox.Config{})
			dry := s.post(s.acme, fabricBase+"?dryRun=true", tt.body)
			if n := len(s.Inventory().Connections); n != 0 {
				t.Fatalf("%d connections after a dry run, want none", n)
			}
			r := s.post(s.acme, fabricBase, tt.body)
			if tt.want != "" {
				if got := strings.Join(r.want(http.StatusBadRequest).codes(), ","); got != tt.want {
					t.Errorf("refused for %s\nwant %s: %s", got, tt.want, r.body)
				}
				if got := strings.Join(dry.want(http.StatusBadRequest).codes(), ","); got != tt.want {
					t.Errorf("dry run refused for %s, want %s", got, tt.want)
				}
				if n := len(s.Inventory().Connections); n != 0 {
					t.Errorf("%d connections after a refusal", n)
				}
				return
			}
			made, tried := r.want(http.StatusCreated).object(), dry.want(http.StatusOK).object()
			for _, f := range []string{"href", "uuid", "state", "operation", "changeLog", "change"} {
				if tried[f] != nil || made[f] == nil {
					t.Errorf("%s is %v in the dry run and %v in the order, want it in the order only", f, tried[f], made[f])
				}
			}
			if dig(tried, "redundancy/group") != nil || dig(made, "redundancy/group") == nil {
				t.Error("a group is given by the order, and by the order only")
			}
			for _, side := range []string{"aSide", "zSide"} {
				if dig(tried, side+"/accessPoint") == nil || dig(made, side+"/accessPoint") == nil {
					t.Errorf("%s: no access point in %v", side, tried)
				}
			}
			again := s.post(s.acme, fabricBase, tt.body)
			if again.want(http.StatusBadRequest); len(s.Inventory().Connections) != 1 {
				t.Error("a second order of the same was made")
			}
		})
	}
}

// TestFabricLife follows each kind of connection from order to the end, by the clock.
func TestFabricLife(t *testing.T) {
	tests := []struct {
		name  string
		body  object
		steps []string // each five seconds; at the third the buyer deletes
	}{
		{"by token", order(colo(acmePort, dot1qLink(100)), byToken(guideToken), nil), []string{
			"PROVISIONING PROVISIONING/NOT_AVAILABLE CONNECTION_CREATION REQUESTED",
			"PROVISIONED PROVISIONED/AVAILABLE CONNECTION_CREATION COMPLETED",
			"PROVISIONED PROVISIONED/AVAILABLE CONNECTION_CREATION COMPLETED",
			"DEPROVISIONING DEPROVISIONING/DEPROVISIONING CONNECTION_DELETION REQUESTED",
			"DEPROVISIONED DEPROVISIONED/DEPROVISIONED CONNECTION_DELETION COMPLETED"}},
		{"EPL", order(colo(acmeUntagged, nil), colo(acmeUntagged2, nil), object{"type": "EPL_VC"}), []string{
			"PROVISIONING PROVISIONING/NOT_AVAILABLE CONNECTION_CREATION REQUESTED",
			"PROVISIONED PROVISIONED/AVAILABLE CONNECTION_CREATION COMPLETED",
			"PROVISIONED PROVISIONED/AVAILABLE CONNECTION_CREATION COMPLETED",
			"DEPROVISIONING DEPROVISIONING/DEPROVISIONING CONNECTION_DELETION REQUESTED",
			"DEPROVISIONED DEPROVISIONED/DEPROVISIONED CONNECTION_DELETION COMPLETED"}},
		{"integrated", order(colo(acmePort, dot1qLink(100)), sp(solo, nil), nil), []string{
			"PROVISIONING PROVISIONING/PROVISIONING CONNECTION_CREATION REQUESTED",
			"PROVISIONING PROVISIONING/PROVISIONING CONNECTION_CREATION APPROVED",
			"PROVISIONED PROVISIONED/AVAILABLE CONNECTION_CREATION COMPLETED",
			"DEPROVISIONING DEPROVISIONING/DEPROVISIONING CONNECTION_DELETION REQUESTED",
			"DEPROVISIONED DEPROVISIONED/DEPROVISIONED CONNECTION_DELETION COMPLETED"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: 5 * time.Second, Deprovision: 5 * time.Second}})
				id := s.ordered(tt.body)
				for i, want := range tt.steps {
					if i == 3 {
						s.do(s.acme, http.MethodDelete, fabricBase+"/"+id, nil).want(http.StatusOK)
					} else if i > 0 {
						time.Sleep(5 * time.Second)
					}
					if got := s.face(id); got != want {
						t.Fatalf("step %d: %s, want %s", i, got, want)
					}
				}
				r := s.do(s.acme, http.MethodDelete, fabricBase+"/"+id, nil).want(http.StatusBadRequest)
				if got := r.codes(); !slices.Equal(got, []string{"EQ-3142509 uuid"}) {
					t.Errorf("deleted again: %v", got)
				}
			})
		})
	}
}

func TestFabricApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		is := func(id, want, why string) {
			t.Helper()
			if got := s.face(id); got != want {
				t.Fatalf("%s, want %s: %s", got, want, why)
			}
		}
		refused := func(r *reply, status int, want string) {
			t.Helper()
			if got := strings.Join(r.want(status).codes(), ","); got != want {
				t.Errorf("%s: %s, want %s", r.what, got, want)
			}
		}
		land := landingAt(landingQinQ, qinqLink(1002, 1001))
		id := s.ordered(order(colo(guideDot1q, dot1qLink(1001)), sp(connect, nil), nil))
		is(id, "PENDING PENDING_APPROVAL/NOT_AVAILABLE CONNECTION_CREATION SUBMITTED_FOR_APPROVAL", "the seller must approve")
		refused(s.act(s.acme, id, "CONNECTION_CREATION_ACCEPTANCE", land), http.StatusForbidden, "EQ-3045003")
		refused(s.act(s.globex, id, "CONNECTION_CREATION_ACCEPTANCE", land), http.StatusBadRequest, "EQ-3142519")
		refused(s.act(s.cloud, id, "CONNECTION_UPDATE_ACCEPTANCE", nil), http.StatusBadRequest, "EQ-3142510 uuid")
		refused(s.act(s.cloud, id, "DANCE", nil), http.StatusBadRequest, "EQ-3142501 /type")

		r := s.act(s.cloud, id, "CONNECTION_CREATION_ACCEPTANCE", land).want(http.StatusAccepted)
		if got := r.object(); got["type"] != "CONNECTION_CREATION_ACCEPTANCE" || !strings.Contains(r.text("href"), id+"/actions/") ||
			dig(got, "data/zSide/accessPoint/port/uuid") != landingQinQ {
			t.Errorf("answer to an action: %s", r.body)
		}
		is(id, "PROVISIONING PROVISIONING/PROVISIONING CONNECTION_CREATION APPROVED", "accepted")
		refused(s.act(s.cloud, id, "CONNECTION_CREATION_ACCEPTANCE", land), http.StatusBadRequest, "EQ-3142510 uuid")
		refused(s.do(s.acme, http.MethodDelete, fabricBase+"/"+id, nil), http.StatusBadRequest, "EQ-3142510 uuid")
		time.Sleep(2 * time.Second)
		is(id, "PROVISIONED PROVISIONED/AVAILABLE CONNECTION_CREATION COMPLETED", "done")
		if got := dig(s.get(s.acme, fabricBase+"/"+id).object(), "zSide/accessPoint/linkProtocol"); !maps.Equal(got.(object), object{"type": "QINQ", "vlanSTag": 1002.0, "vlanCTag": 1001.0}) {
			t.Errorf("the buyer sees the landing %v", got)
		}

		faster := []object{{"op": "replace", "path": "/bandwidth", "value": 2000}}
		patch := func() { s.do(s.acme, http.MethodPatch, fabricBase+"/"+id, faster).want(http.StatusAccepted) }
		patch()
		is(id, "PROVISIONED PROVISIONED/AVAILABLE CONNECTION_UPDATE SUBMITTED_FOR_APPROVAL", "the seller must approve")
		refused(s.do(s.acme, http.MethodPatch, fabricBase+"/"+id, faster), http.StatusBadRequest, "EQ-3142510 uuid")
		s.act(s.cloud, id, "CONNECTION_UPDATE_REJECTION", object{"description": "full"}).want(http.StatusAccepted)
		is(id, "PROVISIONED PROVISIONED/AVAILABLE CONNECTION_UPDATE REJECTED", "rejected")
		patch()
		s.act(s.cloud, id, "CONNECTION_UPDATE_ACCEPTANCE", nil).want(http.StatusAccepted)
		is(id, "REPROVISIONING PROVISIONED/AVAILABLE CONNECTION_UPDATE APPROVED", "accepted")
		time.Sleep(2 * time.Second)
		is(id, "PROVISIONED PROVISIONED/AVAILABLE CONNECTION_UPDATE COMPLETED", "done")
		if got := s.get(s.acme, fabricBase+"/"+id).object()["bandwidth"]; got != 2000.0 {
			t.Errorf("bandwidth %v, want 2000", got)
		}

		refused(s.do(s.cloud, http.MethodDelete, fabricBase+"/"+id, nil), http.StatusForbidden, "EQ-3142401")
		s.do(s.acme, http.MethodDelete, fabricBase+"/"+id, nil).want(http.StatusOK)
		is(id, "PROVISIONED PENDING_DELETE/AVAILABLE CONNECTION_DELETION SUBMITTED_FOR_APPROVAL", "the seller must agree")
		refused(s.do(s.acme, http.MethodDelete, fabricBase+"/"+id, nil), http.StatusBadRequest, "EQ-3142510 uuid")
		next := order(colo(guideDot1q, dot1qLink(1001)), sp(connect, nil), object{"name": "next"})
		refused(s.post(s.acme, fabricBase, next), http.StatusBadRequest, "EQ-3142102 /aSide/accessPoint/linkProtocol")
		s.act(s.cloud, id, "CONNECTION_DELETION_ACCEPTANCE", nil).want(http.StatusAccepted)
		is(id, "DEPROVISIONING DEPROVISIONING/DEPROVISIONING CONNECTION_DELETION APPROVED", "agreed")
		refused(s.post(s.acme, fabricBase, next), http.StatusBadRequest, "EQ-3142102 /aSide/accessPoint/linkProtocol")
		time.Sleep(2 * time.Second)
		is(id, "DEPROVISIONED DEPROVISIONED/DEPROVISIONED CONNECTION_DELETION COMPLETED", "gone")
		refused(s.act(s.cloud, id, "CONNECTION_CREATION_ACCEPTANCE", land), http.StatusBadRequest, "EQ-3142509 uuid")

		no := s.ordered(next)
		s.act(s.cloud, no, "CONNECTION_CREATION_REJECTION", object{"description": "no room"}).want(http.StatusAccepted)
		is(no, "FAILED REJECTED/REJECTED CONNECTION_CREATION REJECTED", "refused")
		refused(s.act(s.cloud, no, "CONNECTION_REJECTION_ACCEPTANCE", nil), http.StatusForbidden, "EQ-3045003")
		s.act(s.acme, no, "CONNECTION_REJECTION_ACCEPTANCE", nil).want(http.StatusAccepted)
		is(no, "FAILED REJECTED_ACK/REJECTED CONNECTION_CREATION REJECTED", "acknowledged")
		refused(s.act(s.acme, no, "CONNECTION_REJECTION_ACCEPTANCE", nil), http.StatusBadRequest, "EQ-3142510 uuid")
		if got := s.state(no); got != "REJECTED/NOT_AVAILABLE" {
			t.Errorf("ECX shows %s, which has no word for the receipt", got)
		}
	})
}

func TestFabricLanding(t *testing.T) {
	const point = "EQ-3142501 /data/zSide/accessPoint"
	tests := []struct {
		name, profile string
		data          object
		want          string // refusal, or the landing as S.C
	}{
		{"Dot1q", openProfile, landingAt(cloudPort, dot1qLink(555)), "555.0"},
		{"QinQ", connect, landingAt(landingQinQ, qinqLink(5, 6)), "5.6"},
		{"nothing", openProfile, nil, point + "/type"},
		{"a device", openProfile, object{"data": object{"zSide": object{"accessPoint": object{"type": "VD"}}}}, point + "/type"},
		{"buyer's port", openProfile, landingAt(acmePort, dot1qLink(5)), point + "/port/uuid"},
		{"managed port", openProfile, landingAt(managedPort, dot1qLink(5)), point + "/port/uuid"},
		{"other metro", openProfile, landingAt(cloudPortDC, dot1qLink(5)), point + "/port/uuid"},
		{"other encapsulation", openProfile, landingAt(cloudQinQ, qinqLink(5, 6)), point + "/port/uuid"},
		{"no VLAN", openProfile, landingAt(cloudPort, object{"type": "DOT1Q"}), point + "/linkProtocol/vlanTag"},
		{"no C-tag", connect, landingAt(landingQinQ, qinqLink(5, 0)), point + "/linkProtocol/vlanCTag"},
		{"in use", openProfile, landingAt(cloudPort, dot1qLink(9)), "EQ-3142102 /data/zSide/accessPoint/linkProtocol"},
		{"kept by a token", openProfile, landingAt("c10d1050-0000-4000-8000-000000000003", dot1qLink(3001)),
			"EQ-3142102 /data/zSide/accessPoint/linkProtocol"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: time.Hour}})
			s.approve(s.create(with(single(), object{"primaryVlanSTag": 900})), 9)
			id := s.ordered(order(colo(acmePort, dot1qLink(100)), sp(tt.profile, nil), nil))
			r := s.act(s.cloud, id, "CONNECTION_CREATION_ACCEPTANCE", tt.data)
			if strings.HasPrefix(tt.want, "EQ-") {
				if got := strings.Join(r.want(http.StatusBadRequest).codes(), ","); got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
				if got := s.state(id); got != "PENDING_APPROVAL/NOT_AVAILABLE" {
					t.Errorf("state %s after a refusal", got)
				}
				return
			}
			r.want(http.StatusAccepted)
			c, _ := s.Connection(id)
			if got := fmt.Sprintf("%d.%d", c.Z.STag, c.Z.CTag); got != tt.want {
				t.Errorf("landed on %s, want %s", got, tt.want)
			}
		})
	}
}
