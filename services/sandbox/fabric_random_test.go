package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

// allowed is which equinixStatus may follow which, whoever decides and at whichever API.
// Read a row as "from … to any of …".
var allowed = map[string]string{
	"":                 "PENDING_APPROVAL PROVISIONING",
	"PENDING_APPROVAL": "PROVISIONING REJECTED DEPROVISIONED",
	"PROVISIONING":     "PROVISIONED",
	"PROVISIONED":      "PENDING_DELETE DEPROVISIONING",
	"PENDING_DELETE":   "PROVISIONED DEPROVISIONING",
	"DEPROVISIONING":   "DEPROVISIONED",
	"REJECTED":         "",
	"DEPROVISIONED":    "",
}

// TestFabricRandom calls both APIs at random and checks after each call that no two
// circuits share a VLAN, that each moves only along its life, and that both APIs agree.
func TestFabricRandom(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, sandbox.Config{Seed: int64(seed) + 1})
				r := rand.New(rand.NewPCG(seed, 0))
				var ids []string
				for n := range 120 {
					if id := s.anything(r, ids); id != "" {
						ids = append(ids, id)
					}
					s.sound(t, n)
				}
				if len(ids) < 10 {
					t.Errorf("only %d circuits were made: the calls are too random", len(ids))
				}
			})
		})
	}
}

// anything makes one random call and returns the id of what it created.
func (s *site) anything(r *rand.Rand, ids []string) string {
	vlan := 2 + r.IntN(6)
	dot := colo(acmePort, dot1qLink(vlan))
	if r.IntN(3) == 0 || len(ids) == 0 {
		orders := []object{
			toOpen(vlan),
			order(dot, colo(acmePort2, dot1qLink(2+r.IntN(6))), nil),
			order(colo(acmeQinQ, qinqLink(vlan, 2+r.IntN(3))), dot, nil),
			order(colo(acmeQinQ, qinqLink(vlan, 0)), colo(acmeQinQ2, qinqLink(vlan, 0)), nil),
			order(dot, byToken([]string{guideToken, secondToken, qinqToken}[r.IntN(3)]), nil),
			order(colo(acmeUntagged, nil), colo(acmeUntagged2, nil), object{"type": "EPL_VC"}),
		}
		n := r.IntN(len(orders) + 1)
		if n == len(orders) {
			made := s.post(s.acme, connections, with(single(), object{"primaryVlanSTag": vlan}))
			id, _ := fields(made)["primaryConnectionId"].(string)
			return id
		}
		id, _ := fields(s.post(s.acme, fabricBase, orders[n]))["uuid"].(string)
		return id
	}
	id := ids[r.IntN(len(ids))]
	fabric, old := fabricBase+"/"+id, connections+"/"+id
	switch r.IntN(10) {
	case 0:
		s.act(s.cloud, id, "CONNECTION_CREATION_ACCEPTANCE", landingAt(cloudPort, dot1qLink(vlan)))
	case 1:
		s.patch(s.cloud, id, "Approve", object{"primaryPortUUID": cloudPort, "primaryVlanSTag": vlan})
	case 2:
		s.act(s.cloud, id, "CONNECTION_CREATION_REJECTION", nil)
	case 3:
		s.do(s.acme, http.MethodDelete, fabric, nil)
	case 4:
		s.do(s.acme, http.MethodDelete, old, nil)
	case 5:
		s.act(s.cloud, id, "CONNECTION_DELETION_ACCEPTANCE", nil)
	case 6:
		s.patch(s.cloud, id, "Reject", nil)
	case 7:
		s.do(s.acme, http.MethodPatch, fabric, []object{{"op": "replace", "path": "/bandwidth", "value": 500}})
	case 8:
		s.act(s.cloud, id, "CONNECTION_UPDATE_ACCEPTANCE", nil)
	default:
		time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
	}
	return ""
}

// fields are those of an answer that is an object; a refusal has none.
func fields(r *reply) object {
	var o object
	if r.status < 300 {
		_ = json.Unmarshal(r.body, &o) // what is no object has no fields
	}
	return o
}

// sound checks the whole exchange, after the nth call.
func (s *site) sound(t *testing.T, n int) {
	t.Helper()
	v := s.Inventory()
	held := make(map[string]string)
	ends := map[string]bool{"REJECTED": true, "DEPROVISIONED": true}
	hold := func(c sandbox.Connection, e sandbox.Side) {
		key := fmt.Sprint(e.Port, " ", e.STag, ".", e.CTag)
		whole := fmt.Sprint(e.Port, " ", e.STag, ".", 0)
		for _, k := range []string{key, whole} {
			if other := held[k]; other != "" {
				t.Fatalf("%s is held by %s and by %s", k, other, c.ID)
			}
		}
		held[key] = c.ID
	}
	for _, c := range v.Connections {
		before := ""
		for _, h := range c.History {
			if h.Status != before && !slices.Contains(strings.Fields(allowed[before]), h.Status) {
				t.Fatalf("%s went from %q to %q: %+v", c.ID, before, h.Status, c.History)
			}
			before = h.Status
		}
		if ends[c.Status] {
			continue
		}
		hold(c, c.A)
		if c.Z != nil {
			hold(c, *c.Z)
		}
	}
	total := s.post(s.acme, searchPath, object{"pagination": object{"limit": 1}}).want(http.StatusOK)
	old := s.get(s.acme, "/ecx/v3/l2/buyer/connections?pageSize=1").want(http.StatusOK)
	if f, e := dig(total.object(), "pagination/total"), old.object()["totalCount"]; f != e || f != float64(len(v.Connections)) {
		t.Fatalf("Fabric finds %v, ECX %v of %d circuits", f, e, len(v.Connections))
	}
	statuses := []string{"PENDING_APPROVAL", "PROVISIONING", "PROVISIONED", "PENDING_DELETE", "DEPROVISIONED"}
	status := cond("/operation/equinixStatus", "=", statuses[n%len(statuses)])
	a := s.post(s.acme, searchPath, both(status)).names()
	if b := s.post(s.acme, searchPath, object{"filter": either(status)}).names(); a != b {
		t.Fatalf("%v: the index finds %s, a scan %s", status, a, b)
	}
}

// TestFabricOnce orders with one service token fifty times at once: one circuit.
func TestFabricOnce(t *testing.T) {
	s := open(t, sandbox.Config{})
	answers := make(chan int, 50)
	for i := range 50 {
		go func() {
			r, err := s.try(context.WithoutCancel(t.Context()), ask{s.acme, http.MethodPost, fabricBase,
				order(colo(acmePort, dot1qLink(100+i)), byToken(guideToken), nil)})
			if err != nil {
				answers <- 0
				return
			}
			answers <- r.status
		}()
	}
	got := make(map[int]int)
	for range 50 {
		got[<-answers]++
	}
	if got[http.StatusCreated] != 1 || got[http.StatusBadRequest] != 49 || len(s.Inventory().Connections) != 1 {
		t.Errorf("answers %v and %d circuits, want one made and 49 refused", got, len(s.Inventory().Connections))
	}
}

// TestFabricFaults has each kind of fault happen to an order.
func TestFabricFaults(t *testing.T) {
	tests := []struct {
		kind    sandbox.Fault
		status  int // 0: the connection breaks
		created int
		has     string
	}{
		{sandbox.Fault{Kind: sandbox.LostAnswer}, 0, 1, ""},
		{sandbox.Fault{Kind: sandbox.ResetBefore}, 0, 0, ""},
		{sandbox.Fault{Kind: sandbox.ErrorBefore}, 500, 0, `[{"errorCode":"EQ-`},
		{sandbox.Fault{Kind: sandbox.ErrorAfter, Status: 503}, 503, 1, `[{"errorCode":"EQ-`},
		{sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: time.Second}, 429, 0, `[{"errorCode":"EQ-`},
		{sandbox.Fault{Kind: sandbox.Slow, Delay: time.Second}, 201, 1, `"uuid"`},
		{sandbox.Fault{Kind: sandbox.SlowCommit, Delay: time.Second}, 201, 1, `"uuid"`},
		{sandbox.Fault{Kind: sandbox.SlowAnswer, Delay: time.Second}, 201, 1, `"uuid"`},
		{sandbox.Fault{Kind: sandbox.Garbage}, 200, 1, "<html>"},
		{sandbox.Fault{Kind: sandbox.Partial}, 201, 1, `"uuid"`},
		{sandbox.Fault{Kind: sandbox.ForeignError}, 403, 0, "<html>"},
		{sandbox.Fault{Kind: sandbox.Redirect}, 307, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.kind.Kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, sandbox.Config{})
				tt.kind.Match = sandbox.Match{Method: "POST", Path: fabricBase, Name: "Conn-1"}
				if _, err := s.AddFault(tt.kind); err != nil {
					t.Fatal(err)
				}
				r, err := s.try(t.Context(), ask{s.acme, http.MethodPost, fabricBase, toOpen(5)})
				if (err != nil) != (tt.status == 0) || err == nil && (r.status != tt.status || !strings.Contains(string(r.body), tt.has)) {
					t.Errorf("%+v, %v, want %d with %s", r, err, tt.status, tt.has)
				}
				if tt.kind.Kind == sandbox.Partial && strings.Contains(string(r.body), "redundancy") {
					t.Errorf("%s, want no redundancy", r.body)
				}
				if got := len(s.Inventory().Connections); got != tt.created {
					t.Errorf("%d circuits, want %d", got, tt.created)
				}
				calls := s.Calls()
				if calls.Created != tt.created || len(calls.Endpoints) != 1 || calls.Endpoints[0].Endpoint != "POST "+fabricBase {
					t.Errorf("counted %+v, want one call to the endpoint that created %d", calls, tt.created)
				}
			})
		})
	}
}

// TestFabricShown shows other words, and hides what was made from searches.
func TestFabricShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		for _, f := range []sandbox.Fault{
			{Kind: sandbox.Hide, Delay: time.Minute, Match: sandbox.Match{Method: "POST", Path: fabricBase}},
			{Kind: sandbox.ShowStatus, Value: `PENDING_MOON/""/HALF`, Match: sandbox.Match{Name: "Conn-1"}, Times: -1},
		} {
			if _, err := s.AddFault(f); err != nil {
				t.Fatal(err)
			}
		}
		id := s.ordered(toOpen(5))
		if got := s.post(s.acme, searchPath, both(cond("/uuid", "=", id))).names(); got != "" {
			t.Errorf("found %s at once", got)
		}
		if got := s.face(id); !strings.HasPrefix(got, "HALF PENDING_MOON/ ") {
			t.Errorf("shows %q, want the words of the fault", got)
		}
		time.Sleep(time.Minute)
		if got := s.post(s.acme, searchPath, both(cond("/uuid", "=", id))); dig(got.items()[0], "operation/equinixStatus") != "PENDING_MOON" {
			t.Errorf("found %s, want it with the words of the fault", got.body)
		}
	})
}

// TestFabricRetry tries again what an edit made fail.
func TestFabricRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		id := s.ordered(order(colo(acmePort, dot1qLink(5)), byToken(guideToken), nil))
		fail := func(want string) {
			t.Helper()
			if err := s.Edit(sandbox.Edit{Kind: "fail", Connection: id}); err != nil {
				t.Fatal(err)
			}
			if got := s.face(id); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, " FAILED") {
				t.Errorf("%s, want %s and a change that failed", got, want)
			}
		}
		fail("FAILED NOT_PROVISIONED/FAILED")
		if err := s.Edit(sandbox.Edit{Kind: "fail", Connection: id}); err == nil {
			t.Error("what is not under way failed")
		}
		s.act(s.acme, id, "CONNECTION_DELETION_RETRY", nil).refused(http.StatusBadRequest, "EQ-3142510")
		s.act(s.acme, id, "CONNECTION_CREATION_RETRY", nil).want(http.StatusAccepted)
		time.Sleep(2 * time.Second)
		s.act(s.acme, id, "CONNECTION_PROVIDER_STATUS_REQUEST", nil).want(http.StatusAccepted)
		if got := s.face(id); got != "PROVISIONED PROVISIONED/AVAILABLE CONNECTION_PROVIDER_STATUS_REQUEST COMPLETED" {
			t.Errorf("%s, want it in service", got)
		}
		if got := dig(s.act(s.acme, id, "CONNECTION_PROVIDER_BANDWIDTH_REQUEST", nil).object(), "data/providerBandwidth"); got != 1000.0 {
			t.Errorf("provider's bandwidth %v, want 1000", got)
		}
		s.do(s.acme, http.MethodDelete, fabricBase+"/"+id, nil).want(http.StatusOK)
		fail("FAILED NOT_DEPROVISIONED/FAILED")
		s.act(s.acme, id, "CONNECTION_DELETION_RETRY", nil).want(http.StatusAccepted)
		time.Sleep(2 * time.Second)
		if got := s.face(id); !strings.HasPrefix(got, "DEPROVISIONED ") {
			t.Errorf("%s, want it gone", got)
		}
	})
}

// TestFabricKept restarts the exchange with circuits of every kind under way: both APIs
// show afterwards what they showed before.
func TestFabricKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := filepath.Join(t.TempDir(), "sandbox.jsonl")
		s := reopen(t, sandbox.Config{}, state)
		first := s.post(s.acme, fabricBase, order(colo(acmePort, dot1qLink(5)), byToken(guideToken),
			object{"order": object{"termLength": 12, "customerReferenceNumber": "c"}})).want(http.StatusCreated).object()
		s.ordered(order(colo(acmePort2, dot1qLink(5)), byToken(secondToken), object{"name": "second",
			"redundancy": object{"group": dig(first, "redundancy/group"), "priority": "SECONDARY"}}))
		no := s.ordered(toOpen(6))
		s.act(s.cloud, no, "CONNECTION_CREATION_REJECTION", nil).want(http.StatusAccepted)
		s.act(s.acme, no, "CONNECTION_REJECTION_ACCEPTANCE", nil).want(http.StatusAccepted)
		s.ordered(order(colo(acmeUntagged, nil), colo(acmeUntagged2, nil), object{"type": "EPL_VC"}))
		s.create(with(single(), object{"primaryVlanSTag": 7}))
		see := func(s *site) string {
			return string(s.post(s.acme, searchPath, nil).want(http.StatusOK).body) + string(s.post(s.cloud, searchPath,
				both(cond("/operation/equinixStatus", "!=", "X"))).body) + string(s.get(s.acme, "/ecx/v3/l2/buyer/connections").body)
		}
		before := see(s)
		s = reopen(t, sandbox.Config{}, state)
		if after := see(s); after != before {
			t.Errorf("before the restart %s\nafter it %s", before, after)
		}
		s.post(s.acme, fabricBase, order(colo(acmePort, dot1qLink(9)), byToken(guideToken), nil)).want(http.StatusBadRequest)
		time.Sleep(2 * time.Second)
		if got := s.post(s.acme, searchPath, both(cond("/state", "=", "PROVISIONED"))).items(); len(got) != 3 {
			t.Errorf("%d in service, want what was under way to go on", len(got))
		}
	})
}

// TestFabricRobot has the seller's robot decide Fabric's requests, and faults happen to
// one type of action only.
func TestFabricRobot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		if err := s.SetRobot(sandbox.Robot{Profile: "*", Action: "approve", After: time.Second, On: []string{"create", "delete"}}); err != nil {
			t.Fatal(err)
		}
		id := s.ordered(order(colo(guideDot1q, dot1qLink(1001)), sp(connect, nil), nil))
		time.Sleep(3 * time.Second)
		if got := s.face(id); !strings.HasPrefix(got, "PROVISIONED PROVISIONED/AVAILABLE") {
			t.Errorf("%s, want it approved and in service", got)
		}
		if c, _ := s.Connection(id); c.Z == nil || c.Z.STag == 0 || c.Z.CTag != 1001 {
			t.Errorf("landed on %+v, want an S-tag and the buyer's VLAN as C-tag", c.Z)
		}
		if _, err := s.AddFault(sandbox.Fault{Kind: sandbox.ErrorBefore,
			Match: sandbox.Match{Action: "CONNECTION_UPDATE_ACCEPTANCE"}}); err != nil {
			t.Fatal(err)
		}
		s.do(s.acme, http.MethodPatch, fabricBase+"/"+id, []object{{"op": "replace", "path": "/bandwidth", "value": 2000}}).want(http.StatusAccepted)
		s.act(s.acme, id, "CONNECTION_PROVIDER_STATUS_REQUEST", nil).want(http.StatusAccepted)
		s.act(s.cloud, id, "CONNECTION_UPDATE_ACCEPTANCE", nil).want(http.StatusInternalServerError)
		s.act(s.cloud, id, "CONNECTION_UPDATE_ACCEPTANCE", nil).want(http.StatusAccepted)
		s.do(s.acme, http.MethodDelete, fabricBase+"/"+id, nil).want(http.StatusOK)
		time.Sleep(3 * time.Second)
		if got := s.face(id); !strings.HasPrefix(got, "DEPROVISIONED ") {
			t.Errorf("%s, want the delete agreed to", got)
		}
	})
}
