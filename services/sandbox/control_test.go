package sandbox_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

func (s *site) inventory(query string) sandbox.Inventory {
	s.t.Helper()
	var v sandbox.Inventory
	r := s.get("", "/sandbox/inventory?"+query).want(http.StatusOK)
	if err := json.Unmarshal(r.body, &v); err != nil {
		s.t.Fatalf("inventory: %v", err)
	}
	return v
}

func TestInventory(t *testing.T) {
	s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: time.Hour}})
	id := s.create(single())
	s.create(with(pair(), object{"authorizationKey": "xxxxxxxx"}))
	s.approve(id, 7)
	r := s.get("", "/sandbox/inventory").want(http.StatusOK)
	for _, secret := range []string{"acme-secret", "cloud-password", "xxxxxxxx", s.acme} {
		if strings.Contains(string(r.body), secret) {
			t.Errorf("the inventory tells the secret %s", secret)
		}
	}
	kept := 0
	for _, p := range s.inventory("").Ports {
		for _, u := range p.InUse {
			if u.Token == "" {
				continue
			}
			if kept++; string(u.Token) != "***" {
				t.Errorf("the inventory tells the service token that keeps S-tag %d of %s", u.STag, p.ID)
			}
		}
	}
	if kept == 0 {
		t.Error("no service token keeps a tag; want those that every exchange starts with")
	}
	for query, want := range map[string]int{
		"": 3, "connections=none": 0, "connections=open": 3, "name=one": 1, "name=John*": 2, "status=PROVISIONING": 1,
		"tenant=Acme": 3, "tenant=globex-client": 0, "port=" + acmePort: 1, "port=" + cloudPort: 1,
	} {
		if got := len(s.inventory(query).Connections); got != want {
			t.Errorf("%s: %d connections, want %d", query, got, want)
		}
	}
	v := s.inventory("")
	if len(v.Tenants) != 3 || len(v.Ports) != 8+3*2*(3+5+3)+4+2*3*2 || len(v.Profiles) != 9+2 {
		t.Errorf("%d tenants, %d ports, %d profiles", len(v.Tenants), len(v.Ports), len(v.Profiles))
	}
	i := slices.IndexFunc(v.Ports, func(p sandbox.Port) bool { return p.ID == cloudPort })
	if got := v.Ports[i].InUse; len(got) != 1 || got[0] != (sandbox.TagInUse{STag: 7, Connection: id}) {
		t.Errorf("in use on the seller's port: %v", got)
	}
	var c sandbox.Connection
	if err := json.Unmarshal(s.get("", "/sandbox/connections/"+id).want(http.StatusOK).body, &c); err != nil {
		t.Fatal(err)
	}
	if c.ID != id || len(c.History) != 2 || c.History[1].By != "grace.hall" {
		t.Errorf("%+v, want two steps, the second by the seller", c)
	}
	s.get("", "/sandbox/connections/nonsense").want(http.StatusNotFound)
}

func TestCalls(t *testing.T) {
	s := open(t, sandbox.Config{})
	id := s.create(single())
	s.get(s.acme, connections+"/"+id)
	s.get(s.globex, connections+"/"+id)
	s.get(s.acme, connections+"/validateAuthorizationKey?authorizationKey=canary")
	s.post(s.acme, connections, pair()).want(http.StatusOK)
	r := s.get("", "/sandbox/calls").want(http.StatusOK)
	var got sandbox.CallReport
	if err := json.Unmarshal(r.body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Total != 5 || got.Created != 2 || len(got.Recent) != 5 || len(got.Endpoints) != 4 {
		t.Errorf("%s, want five calls at four endpoints or tenants", r.body)
	}
	i := slices.IndexFunc(got.Endpoints, func(c sandbox.CallCount) bool { return c.Endpoint == "POST "+connections })
	if c := got.Endpoints[i]; c.Tenant != "Acme" || c.Calls != 2 || c.Created != 2 || c.Circuits != 3 || c.Answers["200"] != 2 {
		t.Errorf("%+v, want two creates of three circuits", c)
	}
	if strings.Contains(string(r.body), "canary") {
		t.Error("calls tell an authorization key")
	}
	s.do("", http.MethodDelete, "/sandbox/calls", nil).want(http.StatusNoContent)
	if got := s.Calls(); got.Total != 0 || len(got.Recent) != 0 {
		t.Errorf("%+v after a reset", got)
	}
	for range 1100 {
		s.get("", "/nothing")
	}
	if got := s.Calls(); got.Total != 1100 || len(got.Recent) != 1000 || got.Recent[999].At.Before(got.Recent[0].At) {
		t.Errorf("%d calls, %d remembered, want the last 1000 of 1100 in order", got.Total, len(got.Recent))
	}
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		r := s.get("", "/sandbox/delays").want(http.StatusOK)
		if got, want := strings.TrimSpace(string(r.body)), `{"provision":"2s","deprovision":"2s","visible":"0s","answer":"0s","history":"1m0s"}`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		s.do("", http.MethodPut, "/sandbox/delays", object{"answer": "1500ms"}).want(http.StatusOK)
		if got := s.Delays(); got.Answer != 1500*time.Millisecond || got.Provision != 2*time.Second {
			t.Errorf("%+v, want only the answer changed", got)
		}
		start := time.Now()
		s.create(single())
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
		for _, bad := range []object{{"provision": "soon"}, {"provision": "-1s"}, {"provison": "1s"}, {"answer": 5}} {
			s.do("", http.MethodPut, "/sandbox/delays", bad).want(http.StatusBadRequest)
		}
	})
}

func TestControlFaults(t *testing.T) {
	s := open(t, sandbox.Config{})
	fault := object{"kind": "throttle", "retryAfter": "7s", "match": object{"method": "POST", "path": connections}, "times": 2}
	id := s.post("", "/sandbox/faults", fault).want(http.StatusCreated).text("id")
	if got := s.post(s.acme, connections, single()).want(http.StatusTooManyRequests).header.Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After %q, want 7", got)
	}
	got := s.get("", "/sandbox/faults").want(http.StatusOK).array()[0]
	if got["applied"] != 1.0 || got["retryAfter"] != "7s" || got["id"] != id {
		t.Errorf("%v, want applied once", got)
	}
	s.do("", http.MethodDelete, "/sandbox/faults?id=other", nil).want(http.StatusNoContent)
	s.post(s.acme, connections, single()).want(http.StatusTooManyRequests)
	s.post("", "/sandbox/faults", fault).want(http.StatusCreated)
	s.do("", http.MethodDelete, "/sandbox/faults", nil).want(http.StatusNoContent)
	s.post(s.acme, connections, single()).want(http.StatusOK)
	for _, bad := range []any{object{"kind": "x"}, object{"kind": "throttle", "tmies": 1}, "{", object{"kind": "slow", "delay": "x"}} {
		s.post("", "/sandbox/faults", bad).want(http.StatusBadRequest).object()
	}
}

// TestControlTellsAll sends the control API what is wrong in many ways, and wants all of them
// in one answer, in the words of scenario files.
func TestControlTellsAll(t *testing.T) {
	s := open(t, sandbox.Config{})
	id := s.create(single())
	for _, tt := range []struct {
		path string
		body any
		want []string // how each line of the error begins
	}{
		{"faults", object{"kind": "throttle", "match": object{"tenant": "Foo", "path": "/nope", "method": "FOO"}}, []string{
			`match.tenant: "Foo" is none of Acme or acme-client, `, `match.method: "FOO" is none of DELETE, `, `match.path: "/nope" is no`}},
		{"faults", object{"kind": "slow", "times": "many", "every": 1.5, "delay": "5", "tmies": 3, "match": object{"name": nil}}, []string{
			`delay: "5" is not a duration such as 5s`, `every: "1.5" is not a whole number`, "match.name: must be a single value",
			`times: "many" is not a whole number`, "tmies: unknown key; known are after, body, "}},
		{"faults", object{}, []string{`kind: "" is none of lost-answer, `}},
		{"faults", object{"kind": "throttle", "times": 3000000000000000000000.0}, []string{`times: "3e`}},
		{"edits", object{"kind": "foo", "connection": id}, []string{`kind: "foo" is none of rename, speed, status, approve, `}},
		{"edits", object{"kind": "foo"}, []string{`kind: "foo" is none of `}},
		{"edits", object{"kind": "rename", "speedMbps": true}, []string{
			`speedMbps: "true" is not`, "connection: kind rename needs it", "name: kind rename needs it"}},
		{"edits", object{"kind": "expire-tokens", "client": "Acme"}, []string{`client: "Acme" is none of acme-client, `}},
		{"edits", object{"kind": "rename", "connection": "x", "name": "y"}, []string{`connection: "x" is not there; GET `}},
		{"edits", object{"kind": "fail", "connection": id}, []string{"kind: fail of " + id + ", which is PENDING_APPROVAL: nothing is under way"}},
		{"robots", object{"profile": "Cloud Open", "action": "ponder", "after": 5, "on": []any{"create", "sunday"}}, []string{
			`after: "5" is not`, `profile: "Cloud Open" is not there; give`, `action: "ponder" is none of`, `on[1]: "sunday" is none of`}},
		{"delays", object{"provision": "soon", "provison": "1s"}, []string{
			`provision: "soon" is not`, "provison: unknown key; known are answer, "}},
		{"delays", []any{}, []string{"must be a mapping with some of answer, "}},
		{"delays", "{} {}", []string{"the body must be one JSON object"}},
		{"delays", "", []string{"the body must be a JSON object"}},
	} {
		method := http.MethodPut
		if tt.path == "faults" || tt.path == "edits" {
			method = http.MethodPost
		}
		r := s.do("", method, "/sandbox/"+tt.path, tt.body).want(http.StatusBadRequest)
		got := strings.Split(r.text("error"), "\n")
		if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
			t.Errorf("%s %v: %q, want %q", tt.path, tt.body, got, tt.want)
		}
		if strings.Contains(string(r.body), "json:") || strings.Contains(string(r.body), "Go ") {
			t.Errorf("%s %v: %s is not for people", tt.path, tt.body, r.body)
		}
	}
	for query, want := range map[string]string{"naem=one": "naem: unknown parameter; known are ",
		"connections=all": `connections: "all" is none of none, open`, "tenant=Foo": `tenant: "Foo" is none of Acme `,
		"port=7": `port: "7" is not there; give`} {
		if got := s.get("", "/sandbox/inventory?"+query).want(http.StatusBadRequest).text("error"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	first, _ := s.post("", "/sandbox/faults", object{"kind": "slow", "delay": "x"}).object()["violations"].([]any)
	if len(first) != 1 || first[0].(object)["field"] != "delay" {
		t.Errorf("violations are %v, want one of the field delay", first)
	}
	if got := s.Faults(); len(got) != 0 {
		t.Errorf("%d faults were taken", len(got))
	}
}

// TestFaultComesBack posts a fault as it was listed, and reads all there is with the types of
// this package.
func TestFaultComesBack(t *testing.T) {
	s := open(t, sandbox.Config{})
	s.post("", "/sandbox/faults", object{"kind": "garbage", "times": -1, "delay": "90s", "retryAfter": "1s",
		"body": "\U0001f600\t\u0007", "match": object{"method": "POST"}}).want(http.StatusCreated)
	s.do("", http.MethodPut, "/sandbox/robots", object{"profile": "*", "action": "approve", "after": "5s"}).want(http.StatusOK)
	s.post("", "/sandbox/faults", s.get("", "/sandbox/faults").array()[0]).want(http.StatusCreated)
	var faults []sandbox.Fault
	var robots []sandbox.Robot
	for path, to := range map[string]any{"faults": &faults, "robots": &robots} {
		if err := json.Unmarshal(s.get("", "/sandbox/"+path).body, to); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if len(faults) != 2 || faults[0].Body != "\U0001f600\t\u0007" || faults[0].Delay != 90*time.Second {
		t.Fatalf("%+v, want two that are as was asked", faults)
	}
	if faults[1].ID = faults[0].ID; faults[0] != faults[1] {
		t.Errorf("%+v came back as %+v", faults[0], faults[1])
	}
	if len(robots) != 1 || robots[0].After != 5*time.Second {
		t.Errorf("robots %+v, want one", robots)
	}
}

func TestEdits(t *testing.T) {
	s := open(t, sandbox.Config{})
	s.SetDelays(sandbox.Delays{})
	id := s.create(single())
	edit := func(status int, e object) {
		t.Helper()
		s.post("", "/sandbox/edits", with(object{"connection": id}, e)).want(status)
	}
	see := func(field string, want any) {
		t.Helper()
		if got := s.get(s.acme, connections+"/"+id).want(http.StatusOK).object()[field]; got != want {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
	edit(http.StatusNoContent, object{"kind": "rename", "name": "by hand"})
	see("name", "by hand")
	see("lastUpdatedBy", "portal")
	edit(http.StatusNoContent, object{"kind": "speed", "speedMbps": 700})
	see("speed", 700.0)
	edit(http.StatusNoContent, object{"kind": "status", "providerStatus": "LOST IN SPACE"})
	see("providerStatus", "LOST IN SPACE")
	see("status", "PENDING_APPROVAL")
	edit(http.StatusNoContent, object{"kind": "approve"})
	see("status", "PROVISIONED")
	see("zSidePortUUID", cloudPort)
	edit(http.StatusNoContent, object{"kind": "delete"})
	see("status", "PENDING_DELETE")
	edit(http.StatusNoContent, object{"kind": "reject", "comment": "pay first"})
	see("rejectComment", "pay first")
	edit(http.StatusBadRequest, object{"kind": "approve"})
	edit(http.StatusBadRequest, object{"kind": "dance"})
	edit(http.StatusBadRequest, object{"kind": "rename"})
	edit(http.StatusBadRequest, object{"kind": "speed"})
	edit(http.StatusBadRequest, object{"kind": "status"})
	edit(http.StatusBadRequest, object{"kind": "rename", "connection": "x"})
	edit(http.StatusNoContent, object{"kind": "vanish"})
	s.get(s.acme, connections+"/"+id).want(http.StatusBadRequest)
	if got := len(s.list(s.cloud, "/ecx/v3/l2/seller/connections")); got != 0 {
		t.Errorf("the seller still sees %d", got)
	}

	id = s.create(single()) // the VLAN of what vanished is free
	edit(http.StatusNoContent, object{"kind": "status", "status": "DELETED"})
	see("status", "DELETED")
	edit(http.StatusBadRequest, object{"kind": "status", "status": "PROVISIONED"})
	s.create(single()) // and that of what was forced to end
}

func TestEditKeysAndTokens(t *testing.T) {
	s := open(t, sandbox.Config{})
	body := with(pair(), object{"authorizationKey": "canary-7"})
	s.post(s.acme, connections, body).want(http.StatusBadRequest)
	s.post("", "/sandbox/edits", object{"kind": "key", "profile": dot1qProfile, "key": "canary-7"}).want(http.StatusNoContent)
	s.post(s.acme, connections, body).want(http.StatusOK)
	s.post("", "/sandbox/edits", object{"kind": "key", "profile": "x", "key": "y"}).want(http.StatusBadRequest)
	s.post("", "/sandbox/edits", object{"kind": "unlock", "client": "x"}).want(http.StatusBadRequest)
	s.post("", "/sandbox/edits", object{"kind": "expire-tokens", "client": "acme-client"}).want(http.StatusNoContent)
	s.get(s.acme, "/ecx/v3/port/userport").want(http.StatusUnauthorized)
	s.get(s.cloud, "/ecx/v3/port/userport").want(http.StatusOK)
}

func TestRobot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: time.Second, Deprovision: time.Second}})
		early := s.create(single())
		put := func(status int, robot object) {
			t.Helper()
			s.do("", http.MethodPut, "/sandbox/robots", robot).want(status)
		}
		is := func(id, want, why string) {
			t.Helper()
			if got := s.state(id); got != want {
				t.Errorf("state %s, want %s: %s", got, want, why)
			}
		}
		put(http.StatusOK, object{"profile": "*", "action": "approve", "after": "5s", "on": []string{"create", "delete", "change"}})
		put(http.StatusOK, object{"profile": dot1qProfile, "action": "reject", "after": "1s", "comment": "no"})
		late := s.create(pair())
		time.Sleep(time.Second)
		is(late, "REJECTED/NOT_AVAILABLE", "the profile's own robot")
		time.Sleep(5 * time.Second)
		is(early, "PROVISIONED/AVAILABLE", "what was pending before is decided too")
		s.patch(s.acme, early, "update", object{"speed": 100, "speedUnit": "MB"}).want(http.StatusOK)
		time.Sleep(6 * time.Second)
		if got := s.get(s.acme, connections+"/"+early).object()["speed"]; got != 100.0 {
			t.Errorf("speed %v, want the change approved", got)
		}
		s.do(s.acme, http.MethodDelete, connections+"/"+early, nil).want(http.StatusOK)
		time.Sleep(5 * time.Second)
		is(early, "DEPROVISIONING/AVAILABLE", "the robot consents to deletes")
		if got := len(s.Robots()); got != 2 {
			t.Errorf("%d robots, want 2", got)
		}
		put(http.StatusOK, object{"profile": "*", "action": "silent"})
		quiet := s.create(with(single(), object{"primaryVlanSTag": 200}))
		time.Sleep(time.Hour)
		s.acme = s.login("acme")
		is(quiet, "PENDING_APPROVAL/NOT_AVAILABLE", "the robot is gone")
		put(http.StatusBadRequest, object{"profile": "x", "action": "approve"})
		put(http.StatusBadRequest, object{"profile": "*", "action": "ponder"})
		put(http.StatusBadRequest, object{"profile": "*", "action": "approve", "on": []string{"sunday"}})
		if got := len(s.get("", "/sandbox/robots").want(http.StatusOK).array()); got != 1 {
			t.Errorf("%d robots, want 1", got)
		}
	})
}

func TestSeed(t *testing.T) {
	one, two, other := open(t, sandbox.Config{Seed: 7}), open(t, sandbox.Config{Seed: 7}), open(t, sandbox.Config{Seed: 8})
	a, b, c := one.create(single()), two.create(single()), other.create(single())
	if a != b || a == c {
		t.Errorf("ids %s, %s with one seed, %s with another", a, b, c)
	}
}
