package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"patchbay.io/services/sandbox"
)

func TestPFLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		login := func(name, password string) *reply {
			t.Helper()
			return s.post("", "/v2/auth/login", object{"login": name, "password": password})
		}
		time.Sleep(30 * time.Second) // into the middle of a window
		token := login("john.doe", "acme-password").want(http.StatusOK).text("token")
		s.get(token, "/v2/ports").want(http.StatusOK)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://exchange/v2/ports", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token) // as the public client sends it
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("status %d (%v) without Bearer, want 200", resp.StatusCode, err)
		}
		login("john.doe", "wrong").want(http.StatusUnauthorized).message()
		login("nobody", "acme-password").want(http.StatusUnauthorized).message()
		if got := s.post("", "/v2/auth/login", object{}).want(http.StatusBadRequest).message(); got != "login: field required, password: field required" {
			t.Errorf("%s, want both fields", got)
		}
		for range 4 {
			login("john.doe", "acme-password").want(http.StatusOK)
		}
		login("john.doe", "acme-password").want(http.StatusTooManyRequests).message() // the seventh of the minute
		login("grace.hall", "cloud-password").want(http.StatusOK)
		time.Sleep(30 * time.Second) // windows are fixed
		login("john.doe", "acme-password").want(http.StatusOK)

		s.get(token, "/v2/auth/logout").want(http.StatusOK)
		s.get(token, "/v2/ports").want(http.StatusUnauthorized)
		token = login("john.doe", "acme-password").want(http.StatusOK).text("token")
		time.Sleep(30*24*time.Hour - time.Second)
		s.get(token, "/v2/ports").want(http.StatusOK)
		time.Sleep(time.Second)
		s.get(token, "/v2/ports").want(http.StatusUnauthorized)
		s.get(acmeKey, "/v2/ports").want(http.StatusOK) // a key is for ever
		token = login("john.doe", "acme-password").want(http.StatusOK).text("token")
		if err := s.Edit(sandbox.Edit{Kind: "expire-tokens", Client: "acme-client"}); err != nil {
			t.Fatal(err)
		}
		s.get(token, "/v2/ports").want(http.StatusUnauthorized)
	})
}

func TestPFPorts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		if got := s.get(acmeKey, "/v2/ports").want(http.StatusOK).array(); len(got) != 16 {
			t.Errorf("%d ports, want four in each of four markets", len(got))
		}
		ports := s.get(cloudKey, "/v2/ports?market=CHI").want(http.StatusOK).array()
		if len(ports) != 4 || ports[0]["port_circuit_id"] != cloudCHI || ports[2]["is_nni"] != true {
			t.Errorf("%v, want the four in Chicago, two of them ENNI", ports)
		}
		for range 15 {
			s.post(acmeKey, "/v2/ports/"+acmeNYC+"/disable", nil).want(http.StatusOK)
			s.post(acmeKey, "/v2/ports/"+acmeNYC2+"/enable", nil).want(http.StatusOK)
		}
		s.post(acmeKey, "/v2/ports/"+acmeENNI+"/enable", nil).want(http.StatusTooManyRequests).message()
		s.post(acmeKey, "/v2/ports/PF-AP-CHI1-1100001/enable", nil).want(http.StatusOK) // another device
		if got := s.get(acmeKey, "/v2/ports/"+acmeNYC).want(http.StatusOK).object()["disabled"]; got != true {
			t.Errorf("disabled %v, want true", got)
		}
		s.post(globexKey, "/v2/ports/"+acmeNYC+"/enable", nil).want(http.StatusNotFound)
	})
}

// TestPFEnds settles requests in each way, and looks at both lists.
func TestPFEnds(t *testing.T) {
	s := open(t, sandbox.Config{})
	statuses := func(token, kind string) string {
		var out []string
		for _, r := range s.get(token, pfRequests+"?type="+kind).want(http.StatusOK).array() {
			out = append(out, fmt.Sprint(r["status"]))
		}
		return strings.Join(out, ",")
	}
	pending, withdrawn, rejected, landed := s.ask(pfOrder()), s.ask(pfOrder()), s.ask(pfOrder()), s.ask(pfOrder())
	s.do(acmeKey, http.MethodDelete, pfRequests+"/"+withdrawn, object{"delete_reason": "a mistake"}).want(http.StatusOK).text("message")
	r := s.post(cloudKey, pfRequests+"/"+rejected+"/reject", object{"rejection_reason": "no room"}).want(http.StatusOK)
	if got := r.text("status"); got != "rejected" {
		t.Errorf("status %s, want rejected", got)
	}
	s.provision(landed, pfLanding(cloudCHI, 7))
	s.get(acmeKey, pfRequests+"/"+withdrawn).want(http.StatusNotFound)
	s.get(cloudKey, pfRequests+"/"+pending).want(http.StatusOK)
	const want = "provisioned,rejected,pending"
	for token, kind := range map[string]string{acmeKey: "sent", cloudKey: "received"} {
		if got := statuses(token, kind); got != want {
			t.Errorf("%s %s, want %s: newest first, withdrawn ones are gone", kind, got, want)
		}
	}
	if got := statuses(cloudKey, "sent") + statuses(globexKey, "received"); got != "" {
		t.Errorf("others see %s", got)
	}
	for query, want := range map[string]int{"": 1, "?q=fir": 1, "?q=nothing": 0, "?service_type=backbone": 1,
		"?service_type=ix": 0, "?port_circuit_id=" + cloudCHI: 1, "?port_circuit_id=" + acmeNYC2: 0} {
		for _, token := range []string{acmeKey, cloudKey} {
			if got := len(s.get(token, pfServices+query).want(http.StatusOK).array()); got != want {
				t.Errorf("%s: %d circuits, want %d", query, got, want)
			}
		}
	}
	if got := len(s.get(globexKey, pfServices).want(http.StatusOK).array()); got != 0 {
		t.Errorf("a stranger sees %d circuits", got)
	}
}

func TestPFPatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		vc := s.provision(s.ask(pfOrder()), pfLanding(cloudCHI, 7))
		other := s.provision(s.ask(with(pfOrder(), object{"interface": object{"port_circuit_id": acmeNYC, "vlan": 101}})),
			pfLanding(cloudCHI, 8))
		time.Sleep(2 * time.Second)
		patch := func(token string, body object) *reply {
			t.Helper()
			return s.do(token, http.MethodPatch, pfServices+"/"+vc, body)
		}
		side := func(port string, vlan int) object {
			return object{"interfaces": []object{{"port_circuit_id": port, "vlan": vlan}}}
		}
		r := patch(acmeKey, with(side(acmeNYC, 200), object{"rate_limit_in": 70, "rate_limit_out": 80,
			"description": "new", "po_number": "PO-1"})).want(http.StatusOK)
		o := r.object()
		if o["rate_limit_in"] != 70.0 || o["rate_limit_out"] != 80.0 || o["description"] != "new" || o["po_number"] != "PO-1" {
			t.Errorf("%s, want all of it changed", r.body)
		}
		patch(cloudKey, side(cloudCHI, 9)).want(http.StatusOK)
		patch(cloudKey, side(cloudCHI, 9)).want(http.StatusOK) // its own VLAN is not in its way
		for _, tt := range []struct {
			token  string
			body   object
			status int
		}{
			{cloudKey, side(acmeNYC, 10), 404}, {acmeKey, side(acmeNYC2, 10), 404}, {acmeKey, side(acmeNYC, 101), 400},
			{acmeKey, side(acmeNYC, 3), 400}, {acmeKey, object{"rate_limit_in": 0}, 400},
			{globexKey, object{"description": "x"}, 404}, {cloudKey, object{"rate_limit_in": 1}, 403},
		} {
			patch(tt.token, tt.body).want(tt.status).message()
		}
		c, _ := s.PFCircuit(vc)
		if c.A.STag != 200 || c.Z.STag != 9 {
			t.Errorf("on %d and %d, want 200 and 9", c.A.STag, c.Z.STag)
		}
		s.ask(pfOrder()) // VLAN 100 is free again
		if o, _ := s.PFCircuit(other); o.A.STag != 101 {
			t.Errorf("the other moved to %d", o.A.STag)
		}
	})
}

// TestPFFaults asks once under each kind of fault.
func TestPFFaults(t *testing.T) {
	for _, tt := range []struct {
		fault    sandbox.Fault
		status   int // 0: no answer
		circuits int
		body     string
	}{
		{sandbox.Fault{Kind: sandbox.LostAnswer}, 0, 1, ""},
		{sandbox.Fault{Kind: sandbox.ResetBefore}, 0, 0, ""},
		{sandbox.Fault{Kind: sandbox.ErrorBefore}, 500, 0, `{"message":"Internal Server Error","request_id":"`},
		{sandbox.Fault{Kind: sandbox.ErrorAfter, Status: 502}, 502, 1, `{"message":"Bad Gateway","request_id":"`},
		{sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: time.Second}, 429, 0, `{"message":"Too Many Requests","request_id":"`},
		{sandbox.Fault{Kind: sandbox.Slow, Delay: time.Second}, 201, 1, "vc_request_uuid"},
		{sandbox.Fault{Kind: sandbox.Slow, Delay: time.Hour}, 0, 0, ""},
		{sandbox.Fault{Kind: sandbox.SlowCommit, Delay: 30 * time.Second}, 0, 1, ""},
		{sandbox.Fault{Kind: sandbox.SlowAnswer, Delay: 30 * time.Second}, 0, 1, ""},
		{sandbox.Fault{Kind: sandbox.Hide, Delay: time.Hour}, 201, 1, "vc_request_uuid"},
		{sandbox.Fault{Kind: sandbox.ShowStatus, Value: "odd"}, 201, 1, `"pending"`},
		{sandbox.Fault{Kind: sandbox.Garbage}, 200, 1, "<html>"},
		{sandbox.Fault{Kind: sandbox.Partial}, 201, 1, `{"from_customer"`},
		{sandbox.Fault{Kind: sandbox.ForeignError}, 403, 0, "<html>"},
		{sandbox.Fault{Kind: sandbox.Redirect}, 307, 0, ""},
	} {
		t.Run(tt.fault.Kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, sandbox.Config{})
				tt.fault.Match = sandbox.Match{Method: http.MethodPost, Path: pfThirdParty, Tenant: "Acme", Name: "first"}
				if tt.fault.Kind == sandbox.ShowStatus {
					tt.fault.Match.Method, tt.fault.Match.Path = "", "" // creates are no reads
				}
				s.fault(tt.fault)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				r, err := s.try(ctx, ask{acmeKey, http.MethodPost, pfThirdParty, pfOrder()})
				if err != nil {
					r = &reply{}
				}
				if r.status != tt.status || !strings.HasPrefix(strings.TrimSpace(string(r.body)), tt.body) &&
					!strings.Contains(string(r.body), tt.body) {
					t.Errorf("%d %s (%v), want %d %s", r.status, r.body, err, tt.status, tt.body)
				}
				time.Sleep(time.Minute)
				if got := len(s.Inventory().PacketFabric.Circuits); got != tt.circuits {
					t.Errorf("%d requests, want %d", got, tt.circuits)
				}
				listed := tt.circuits
				if tt.fault.Kind == sandbox.Hide {
					listed = 0
				}
				if got := len(s.get(acmeKey, pfRequests+"?type=sent").array()); got != listed {
					t.Errorf("%d requests are listed, want %d", got, listed)
				}
				calls := s.Calls()
				i := slices.IndexFunc(calls.Endpoints, func(c sandbox.CallCount) bool { return c.Endpoint == "POST "+pfThirdParty })
				if c := calls.Endpoints[i]; c.Calls != 1 || c.Created != tt.circuits || c.Tenant != "Acme" {
					t.Errorf("counted %+v, want one call of Acme that created %d", c, tt.circuits)
				}
			})
		})
	}
}

func TestPFShown(t *testing.T) {
	s := open(t, sandbox.Config{})
	s.SetDelays(sandbox.Delays{History: time.Hour})
	id := s.ask(pfOrder())
	two := s.ask(with(pfOrder(), object{"description": "second", "interface": object{"port_circuit_id": acmeNYC, "vlan": 101}}))
	s.fault(sandbox.Fault{Kind: sandbox.ShowStatus, Match: sandbox.Match{Name: "first"}, Value: "on fire/smoking", Times: -1})
	if got := s.get(acmeKey, pfRequests+"/"+id).text("status"); got != "on fire" {
		t.Errorf("status %s, want on fire", got)
	}
	if got := s.get(acmeKey, pfRequests+"/"+two).text("status"); got != "pending" {
		t.Errorf("status %s, want the other's left alone", got)
	}
	vc := s.provision(id, pfLanding(cloudCHI, 7))
	r := s.get(acmeKey, pfServices).want(http.StatusOK).array()[0]
	side, _ := r["interfaces"].([]any)[0].(object)
	if r["state"] != "on fire" || side["provisioning_status"] != "smoking" {
		t.Errorf("%v, want on fire and smoking", r)
	}
	status, _ := s.get(acmeKey, "/v2.1/services/"+vc+"/status").want(http.StatusOK).object()["status"].(object)
	if of, _ := status["object"].(object); of["state"] != "on fire" {
		t.Errorf("%v, want on fire", status)
	}
	s.ClearFaults()
	s.fault(sandbox.Fault{Kind: sandbox.ShowStatus, Value: `""/""`, Times: -1})
	r = s.get(acmeKey, pfServices).want(http.StatusOK).array()[0]
	if side, _ = r["interfaces"].([]any)[0].(object); r["state"] != "" || side["provisioning_status"] != "" {
		t.Errorf("%v, want words that are empty", r)
	}
	if c, _ := s.PFCircuit(vc); c.State != "Active" {
		t.Errorf("state %s, want Active: only what is shown differs", c.State)
	}
}

func TestPFControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		one := s.ask(pfOrder())
		two := s.ask(with(pfOrder(), object{"description": "second", "service_uuid": pfBackup,
			"interface": object{"port_circuit_id": acmeNYC, "vlan": 101}}))
		r := s.get("", "/sandbox/inventory").want(http.StatusOK)
		for _, secret := range []string{acmeKey, "acme-password"} {
			if strings.Contains(string(r.body), secret) {
				t.Errorf("the inventory tells the secret %s", secret)
			}
		}
		for query, want := range map[string]int{"": 2, "connections=none": 0, "connections=open": 2, "name=first": 1,
			"name=sec*": 1, "status=pending": 2, "tenant=Acme": 2, "tenant=Globex": 0, "port=" + acmeNYC: 2} {
			if got := len(s.inventory(query).PacketFabric.Circuits); got != want {
				t.Errorf("%s: %d circuits, want %d", query, got, want)
			}
		}
		edit := func(want int, body object) {
			t.Helper()
			s.post("", "/sandbox/edits", body).want(want)
		}
		s.do("", http.MethodPut, "/sandbox/robots", object{"profile": pfBackup, "action": "approve", "after": "5s"}).want(http.StatusOK)
		s.do("", http.MethodPut, "/sandbox/robots", object{"profile": cloudRouting, "action": "reject", "after": "9s",
			"comment": "no room"}).want(http.StatusOK)
		s.do("", http.MethodPut, "/sandbox/robots", object{"profile": "nobody", "action": "approve"}).want(http.StatusBadRequest)
		time.Sleep(9 * time.Second)
		var c sandbox.PFCircuit
		if err := json.Unmarshal(s.get("", "/sandbox/connections/"+two).want(http.StatusOK).body, &c); err != nil {
			t.Fatal(err)
		}
		if c.State != "Active" || c.Z == nil || *c.Z != (sandbox.Side{Port: cloudCHI, STag: 4}) || len(c.History) != 4 {
			t.Errorf("%+v, want the service's robot to land it on the lowest VLAN", c)
		}
		if c, _ := s.PFCircuit(one); c.Status != "rejected" {
			t.Errorf("%+v, want the customer's robot to reject it", c)
		}
		edit(204, object{"kind": "rename", "connection": two, "name": "by-hand"})
		edit(204, object{"kind": "speed", "connection": c.CircuitID, "speedMbps": 70})
		got := s.get(acmeKey, pfServices+"/"+c.CircuitID).object()
		if got["description"] != "by-hand" || got["rate_limit_in"] != 70.0 {
			t.Errorf("%v, want both edits", got)
		}
		edit(204, object{"kind": "status", "connection": two, "status": "On Hold"})
		if got := s.pfState(c.CircuitID); got != "On Hold" {
			t.Errorf("state %s, want the forced one", got)
		}
		edit(400, object{"kind": "delete", "connection": two})
		edit(204, object{"kind": "status", "connection": two, "status": "Active"})
		edit(204, object{"kind": "delete", "connection": two})
		edit(400, object{"kind": "approve", "connection": two})
		edit(400, object{"kind": "dance", "connection": two})
		edit(204, object{"kind": "vanish", "connection": one})
		s.get(acmeKey, pfRequests+"/"+one).want(http.StatusNotFound)
		s.do("", http.MethodPut, "/sandbox/robots", object{"profile": cloudRouting, "action": "silent"}).want(http.StatusOK)
		three := s.ask(pfOrder())
		edit(204, object{"kind": "delete", "connection": three})
		if c, _ := s.PFCircuit(three); c.Status != "withdrawn" {
			t.Errorf("%s, want withdrawn", c.Status)
		}
	})
}

func TestPFKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := filepath.Join(t.TempDir(), "sandbox.jsonl")
		cfg := sandbox.Config{Seed: 1, Delays: sandbox.Delays{Provision: time.Minute, Deprovision: time.Minute, History: time.Hour}}
		s := reopen(t, cfg, state)
		on := func(vlan int) object {
			return with(pfOrder(), object{"interface": object{"port_circuit_id": acmeNYC, "vlan": vlan}})
		}
		pending, rejected, gone := s.ask(with(on(100), object{"service_uuid": pfBackup})), s.ask(on(101)), s.ask(on(102))
		s.post(cloudKey, pfRequests+"/"+rejected+"/reject", nil).want(http.StatusOK)
		if err := s.Edit(sandbox.Edit{Kind: "vanish", Connection: gone}); err != nil {
			t.Fatal(err)
		}
		vc := s.provision(s.ask(on(103)), object{"interface": object{"port_circuit_id": cloudENNI, "svlan": 7, "vlan": 8}})
		own := s.post(acmeKey, pfBackbone, pfOwn(104, 104)).want(http.StatusCreated).text("vc_circuit_id")
		status := "/v2.1/services/" + vc + "/status"
		before, work := s.Inventory(), s.get(acmeKey, status).want(http.StatusOK).body

		s = reopen(t, cfg, state)
		if after := s.Inventory(); !reflect.DeepEqual(before, after) {
			t.Errorf("after a restart:\n%+v\nwant\n%+v", after, before)
		}
		if got := s.get(acmeKey, status).want(http.StatusOK).body; string(got) != string(work) {
			t.Errorf("status %s, want %s", got, work)
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if a, b := s.pfState(vc), s.pfState(own); a != "Provisioning" || b != "Provisioning" {
			t.Errorf("%s and %s a moment before", a, b)
		}
		s = reopen(t, cfg, state)
		time.Sleep(time.Nanosecond)
		if a, b := s.pfState(vc), s.pfState(own); a != "Active" || b != "Active" {
			t.Errorf("%s and %s, want Active: what was under way goes on", a, b)
		}
		s.post(acmeKey, pfThirdParty, on(103)).want(http.StatusBadRequest)
		again := s.provision(pending, pfLanding(cloudCHI, 7))
		if again == vc || again == own {
			t.Errorf("the id %s was given twice", again)
		}
		s.post(cloudKey, pfRequests+"/"+rejected+"/reject", nil).want(http.StatusBadRequest)
	})
}

// pfMove is one random call; pick chooses a request or circuit among those there are.
type pfMove struct {
	call, who, pick, vlan, svlan, wait int
	enni                               bool
}

// side is the end that m names: port or enni, without a tag where the VLAN is 3.
func (m pfMove) side(port, enni string) object {
	switch {
	case m.enni:
		return object{"port_circuit_id": enni, "vlan": m.vlan, "svlan": m.svlan}
	case m.vlan == 3:
		return object{"port_circuit_id": port, "untagged": true}
	}
	return object{"port_circuit_id": port, "vlan": m.vlan}
}

// TestPFRandom makes random calls: a VLAN of a port has one owner at a time, a request is
// settled once, and every circuit holds both of its ends until it is deleted.
func TestPFRandom(t *testing.T) {
	move := rapid.Custom(func(t *rapid.T) pfMove {
		n := func(name string, least, most int) int { return rapid.IntRange(least, most).Draw(t, name) }
		return pfMove{n("call", 0, 9), n("who", 0, 5), n("pick", 0, 50), n("vlan", 3, 6), n("svlan", 4, 5),
			n("wait", 0, 2), rapid.Bool().Draw(t, "enni")}
	})
	rapid.Check(t, func(rt *rapid.T) {
		moves := rapid.SliceOfN(move, 10, 60).Draw(rt, "moves")
		var err error
		synctest.Test(t, func(t *testing.T) { err = pfPlay(open(t, sandbox.Config{Seed: 1}), moves) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func pfPlay(s *site, moves []pfMove) error {
	var requests, circuits []string
	settled := make(map[string]string)
	for _, m := range moves {
		seller := []string{cloudKey, cloudKey, cloudKey, cloudKey, acmeKey, globexKey}[m.who]
		anyone := []string{acmeKey, cloudKey, globexKey}[m.who%3]
		one := func(ids []string) string { return append(ids, "none")[m.pick%(len(ids)+1)] }
		id, how := one(requests), ""
		var r *reply
		switch m.call {
		case 0, 1, 2:
			r = s.post(acmeKey, pfThirdParty, with(pfOrder(), object{"interface": m.side(acmeNYC, acmeENNI)}))
			if r.status == http.StatusCreated {
				requests = append(requests, r.text("vc_request_uuid"))
			}
		case 3, 4, 5:
			how, r = "provisioned", s.post(seller, pfRequests+"/"+id+"/provision", object{"interface": m.side(cloudCHI, cloudENNI)})
			if r.status == http.StatusCreated {
				circuits = append(circuits, r.text("vc_circuit_id"))
			}
		case 6:
			how, r = "rejected", s.post(seller, pfRequests+"/"+id+"/reject", nil)
		case 7:
			how, r = "withdrawn", s.do(anyone, http.MethodDelete, pfRequests+"/"+id, nil)
		case 8:
			s.do(anyone, http.MethodDelete, pfServices+"/"+one(circuits), nil)
		case 9:
			s.do(anyone, http.MethodPatch, pfServices+"/"+one(circuits), object{"interfaces": []object{m.side(acmeNYC, cloudENNI)}})
		}
		if how != "" && r.status < 300 {
			if old := settled[id]; old != "" {
				return fmt.Errorf("%s was %s and then %s", id, old, how)
			}
			settled[id] = how
		}
		time.Sleep(time.Duration(m.wait) * time.Second)
		if err := pfConsistent(s.Inventory().PacketFabric); err != nil {
			return err
		}
	}
	return nil
}

// pfConsistent checks that ports and circuits say the same of who holds what.
func pfConsistent(v sandbox.PacketFabric) error {
	type place struct {
		port         string
		outer, inner int
	}
	held := make(map[place]string)
	for _, c := range v.Circuits {
		if c.State == "" || c.State == "Deleted" {
			continue
		}
		for _, e := range []sandbox.Side{c.A, *c.Z} {
			p := place{e.Port, e.STag, e.CTag}
			if other := held[p]; other != "" {
				return fmt.Errorf("%v belongs to %s and %s", p, other, c.ID)
			}
			held[p] = c.ID
		}
	}
	used := 0
	for _, p := range v.Ports {
		for _, u := range p.InUse {
			used++
			if got := held[place{p.ID, u.STag, u.CTag}]; got != u.Connection {
				return fmt.Errorf("%s %v is held by %q, want %q", p.ID, u, u.Connection, got)
			}
		}
	}
	if used != len(held) {
		return fmt.Errorf("%d VLANs are in use, want %d", used, len(held))
	}
	return nil
}
