package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

// list reads the content of a list's first page.
func (s *site) list(token, path string) []object {
	s.t.Helper()
	var page struct{ Content []object }
	r := s.get(token, path).want(http.StatusOK)
	if err := json.Unmarshal(r.body, &page); err != nil {
		s.t.Fatalf("%s: %v: %s", path, err, r.body)
	}
	return page.Content
}

func TestPaging(t *testing.T) {
	s := open(t, sandbox.Config{})
	for i := range 45 {
		s.create(with(single(), object{"primaryName": fmt.Sprint("n", i), "primaryVlanSTag": 100 + i}))
	}
	tests := []struct {
		query       string
		first, last string // names on the page
		count       int
		isFirst     bool
		isLast      bool
		total, size int
	}{
		{"", "n44", "n25", 20, true, false, 45, 20},
		{"pageNumber=0", "n44", "n25", 20, true, false, 45, 20},
		{"pageNumber=1", "n24", "n5", 20, false, false, 45, 20},
		{"pageNumber=2", "n4", "n0", 5, false, true, 45, 20},
		{"pageNumber=3", "", "", 0, false, true, 45, 20},
		{"pageSize=300", "n44", "n0", 45, true, true, 45, 300},
		{"pageSize=9&pageNumber=4", "n8", "n0", 9, false, true, 45, 9},
		{"status=PROVISIONED", "", "", 0, true, true, 0, 20},
		{"status=PROVISIONED,PENDING_APPROVAL", "n44", "n25", 20, true, false, 45, 20},
		{"metroCode=DC", "", "", 0, true, true, 0, 20},
		{"metroCode=SV", "n44", "n25", 20, true, false, 45, 20},
	}
	for _, who := range []string{"buyer", "seller"} {
		token := map[string]string{"buyer": s.acme, "seller": s.cloud}[who]
		for _, tt := range tests {
			t.Run(who+" "+tt.query, func(t *testing.T) {
				var page struct {
					IsFirstPage, IsLastPage          bool
					TotalCount, PageSize, PageNumber int
					Content                          []struct{ Name string }
				}
				r := s.get(token, "/ecx/v3/l2/"+who+"/connections?"+tt.query).want(http.StatusOK)
				if err := json.Unmarshal(r.body, &page); err != nil {
					t.Fatal(err)
				}
				first, last := "", ""
				if n := len(page.Content); n > 0 {
					first, last = page.Content[0].Name, page.Content[n-1].Name
				}
				if first != tt.first || last != tt.last || len(page.Content) != tt.count {
					t.Errorf("%d from %s to %s, want %d from %s to %s: newest first", len(page.Content), first, last,
						tt.count, tt.first, tt.last)
				}
				if page.IsFirstPage != tt.isFirst || page.IsLastPage != tt.isLast || page.TotalCount != tt.total ||
					page.PageSize != tt.size {
					t.Errorf("%s, want %+v", r.body[:120], tt)
				}
			})
		}
	}
	if got := len(s.list(s.cloud, "/ecx/v3/l2/seller/connections?profileId="+openProfile)); got != 20 {
		t.Errorf("%d of the profile, want 20", got)
	}
	if got := len(s.list(s.cloud, "/ecx/v3/l2/seller/connections?profileId="+dot1qProfile)); got != 0 {
		t.Errorf("%d of another profile, want none", got)
	}
	for _, q := range []string{"pageNumber=-1", "pageNumber=x", "pageSize=0", "pageSize=1001"} {
		s.get(s.acme, "/ecx/v3/l2/buyer/connections?"+q).want(http.StatusBadRequest).array()
	}
}

func TestTenants(t *testing.T) {
	s := open(t, sandbox.Config{})
	id := s.create(single())
	unknown := func(r *reply, why string) {
		t.Helper()
		got := r.want(http.StatusBadRequest).array()[0]
		if got["errorCode"] != "IC-LAYER2-4023" || got["property"] != "uuid" ||
			got["errorMessage"] != "Connection does not exist or do not belong to user,Please check connection Id" {
			t.Errorf("%s: %v, want IC-LAYER2-4023: %s", r.what, got, why)
		}
	}
	unknown(s.get(s.globex, connections+"/"+id), "a stranger")
	unknown(s.do(s.globex, http.MethodDelete, connections+"/"+id, nil), "a stranger")
	unknown(s.patch(s.globex, id, "Approve", object{}), "a stranger")
	unknown(s.patch(s.acme, id, "Approve", object{}), "the buyer is not the seller")
	unknown(s.patch(s.cloud, id, "update", object{"connectionNewName": "x"}), "the seller is not the buyer")
	unknown(s.get(s.acme, connections+"/nonsense"), "no such circuit")
	s.get(s.cloud, connections+"/"+id).want(http.StatusOK)
	got := s.do(s.cloud, http.MethodDelete, connections+"/"+id, nil).want(http.StatusForbidden).array()
	if got[0]["errorCode"] != "IC-USR-403-DELETE" {
		t.Errorf("%v, want IC-USR-403-DELETE: only the buyer deletes", got)
	}
	for token, want := range map[string]int{s.acme: 1, s.cloud: 0, s.globex: 0} {
		if got := len(s.list(token, "/ecx/v3/l2/buyer/connections")); got != want {
			t.Errorf("%d bought, want %d", got, want)
		}
	}
	for token, want := range map[string]int{s.acme: 0, s.cloud: 1, s.globex: 0} {
		if got := len(s.list(token, "/ecx/v3/l2/seller/connections")); got != want {
			t.Errorf("%d sold, want %d", got, want)
		}
	}
	for _, p := range s.get(s.globex, "/ecx/v3/port/userport").want(http.StatusOK).array() {
		if p["custOrgName"] != "Globex" {
			t.Errorf("Globex is shown the port %v", p)
		}
	}
}

func TestPorts(t *testing.T) {
	s := open(t, sandbox.Config{})
	encapsulation := make(map[any]any)
	for _, p := range s.get(s.acme, "/ecx/v3/port/userport").want(http.StatusOK).array() {
		encapsulation[p["uuid"]] = p["encapsulation"]
		if _, ok := p["custOrgId"].(string); !ok {
			t.Errorf("custOrgId of %v is %v, want text", p["uuid"], p["custOrgId"])
		}
	}
	if len(encapsulation) != 20 {
		t.Errorf("%d ports, want the guide's 8 and 12 more, without managed ones", len(encapsulation))
	}
	for id, want := range map[string]string{
		"7g831d3b-9740-7420-bae0-30ac1885127a": "Dot1q",
		"7f21d3b-93d3-6d30-cae0-33ac2895297a":  "Qinq",
		acmeQinQ:                               "Qinq",
	} {
		if encapsulation[id] != want {
			t.Errorf("%s is %v, want %s", id, encapsulation[id], want)
		}
	}
}

func TestProfiles(t *testing.T) {
	s := open(t, sandbox.Config{})
	const services = "/ecx/v3/l2/serviceprofiles/services"
	for token, want := range map[string]int{s.acme: 9, s.globex: 8, s.cloud: 8} {
		if got := len(s.list(token, services)); got != want {
			t.Errorf("%d profiles, want %d", got, want)
		}
	}
	if got := len(s.list(s.acme, services+"?metroCode=SV&metroCode=DC&pageSize=3")); got != 3 {
		t.Errorf("%d profiles on a page of three", got)
	}
	if r := s.get(s.acme, services+"?metroCode=XX").want(http.StatusNoContent); len(r.body) != 0 {
		t.Errorf("204 with a body %s", r.body)
	}
	s.get(s.globex, services+"/"+ownProfile).want(http.StatusNotFound).object()
	s.get(s.acme, services+"/nonsense").want(http.StatusNotFound).object()
	got := s.get(s.acme, services+"/"+peering).want(http.StatusOK).object()
	if got["tagType"] != "NAMED" || got["profileEncapsulation"] != "Qinq" || len(got["namedTags"].([]any)) != 3 {
		t.Errorf("%v, want named tags on QinQ", got)
	}
	if got["ports"] != nil {
		t.Error("a buyer is shown the seller's ports")
	}
	own := s.get(s.cloud, "/ecx/v3/l2/serviceprofiles/"+peering).want(http.StatusOK).object()
	if n := len(own["ports"].([]any)); n != 12 {
		t.Errorf("the seller sees %d ports, want four in each of three metros", n)
	}
	s.get(s.acme, "/ecx/v3/l2/serviceprofiles/"+peering).want(http.StatusNotFound)
	s.get(s.globex, "/ecx/v3/l2/serviceprofiles").want(http.StatusNoContent)
	if n := len(s.list(s.cloud, "/ecx/v3/l2/serviceprofiles")); n != 8 {
		t.Errorf("the seller has %d profiles, want 8", n)
	}
	if n := len(s.get(s.acme, "/ecx/v3/l2/common/metros").want(http.StatusOK).array()); n != 3 {
		t.Errorf("%d metros, want 3", n)
	}
	s.get(s.acme, "/ecx/v3/l2/buyerPreference").want(http.StatusOK).object()
	s.get(s.acme, "/ecx/v3/nothing").want(http.StatusNotFound).object()
}

func TestValidateKey(t *testing.T) {
	s := open(t, sandbox.Config{})
	ask := func(profile, key, region string) *reply {
		q := url.Values{"authorizationKey": {key}, "profileId": {profile}, "metroCode": {"SV"}, "region": {region}}
		return s.get(s.acme, connections+"/validateAuthorizationKey?"+q.Encode())
	}
	got := ask(express, "express-200", "").want(http.StatusOK).object()
	primary, _ := got["primary"].(object)
	if got["status"] != "VALID" || got["message"] != "Authorization key provided is valid" || primary["bandwidth"] != "200MB" {
		t.Errorf("%v, want a valid key of 200MB", got)
	}
	ask(toQinQProfile, "xxxxxxxx", "us-sv").want(http.StatusOK)
	ask("nonsense", "xxxxxxxx", "us-sv").want(http.StatusNotFound).object()
	for _, tt := range []struct{ profile, key, region, want string }{
		{express, "nonsense", "", "IC-LAYER2-AUTH-004"},
		{toQinQProfile, "xxxxxxxx", "", "IC-LAYER2-402"},
		{express, "", "", "IC-LAYER2-402"},
	} {
		if got := ask(tt.profile, tt.key, tt.region).want(http.StatusBadRequest).array()[0]["errorCode"]; got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestLogin(t *testing.T) {
	good := object{"grant_type": "client_credentials", "client_id": "acme-client", "client_secret": "acme-secret"}
	user := with(good, object{"grant_type": nil, "user_name": "john.doe", "user_password": "acme-password"})
	tests := []struct {
		name   string
		body   any
		status int
	}{
		{"good", good, 200},
		{"wrong secret", with(good, object{"client_secret": "x"}), 500},
		{"unknown client", with(good, object{"client_id": "x"}), 500},
		{"password", user, 200},
		{"wrong password", with(user, object{"user_password": "x"}), 401},
		{"odd grant", with(good, object{"grant_type": "implicit"}), 400},
		{"a form", "grant_type=client_credentials", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, sandbox.Config{})
			got := s.post("", "/oauth2/v1/token", tt.body).want(tt.status).object()
			if tt.status == 200 {
				if got["token_timeout"] != "3600" || got["token_type"] != "Bearer" {
					t.Errorf("%v, want a bearer token for \"3600\" seconds", got)
				}
				return
			}
			for _, field := range []string{"errorDomain", "errorTitle", "errorCode", "developerMessage", "errorMessage"} {
				if got[field] == nil {
					t.Errorf("no %s in %v", field, got)
				}
			}
		})
	}
}

func TestTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		r := s.post("", "/oauth2/v1/token", object{"client_id": "acme-client", "client_secret": "acme-secret",
			"user_name": "john.doe", "user_password": "acme-password"}).want(http.StatusOK)
		token, refresh := r.text("access_token"), r.text("refresh_token")
		time.Sleep(time.Hour - time.Second)
		s.get(token, "/ecx/v3/port/userport").want(http.StatusOK)
		time.Sleep(time.Second)
		got := s.get(token, "/ecx/v3/port/userport").want(http.StatusUnauthorized).object()
		if got["errorTitle"] != "Login Failure" {
			t.Errorf("%v, want the OAuth object", got)
		}
		again := object{"client_id": "acme-client", "client_secret": "acme-secret", "refresh_token": refresh}
		token = s.post("", "/oauth2/v1/refreshaccesstoken", again).want(http.StatusOK).text("access_token")
		s.get(token, "/ecx/v3/port/userport").want(http.StatusOK)
		s.post("", "/oauth2/v1/refreshaccesstoken", with(again, object{"client_id": "globex-client",
			"client_secret": "globex-secret"})).want(http.StatusUnauthorized)
		time.Sleep(60 * 24 * time.Hour)
		s.post("", "/oauth2/v1/refreshaccesstoken", again).want(http.StatusUnauthorized)
		for _, bad := range []string{"", "nonsense"} {
			s.post(bad, connections, single()).want(http.StatusUnauthorized).object()
		}
	})
}

func TestLock(t *testing.T) {
	good := object{"grant_type": "client_credentials", "client_id": "acme-client", "client_secret": "acme-secret"}
	fail := func(s *site, n int) {
		for range n {
			s.post("", "/oauth2/v1/token", with(good, object{"client_secret": "x"})).want(http.StatusInternalServerError)
		}
	}
	s := open(t, sandbox.Config{})
	fail(s, 4)
	s.login("acme") // starts the count again
	fail(s, 5)
	if got := s.post("", "/oauth2/v1/token", good).want(http.StatusUnauthorized).text("errorMessage"); !strings.Contains(got, "locked") {
		t.Errorf("%q, want the account locked", got)
	}
	s.login("globex")
	if err := s.Edit(sandbox.Edit{Kind: "unlock", Client: "acme-client"}); err != nil {
		t.Fatal(err)
	}
	s.login("acme")

	never := open(t, sandbox.Config{LockAfter: -1})
	fail(never, 20)
	never.login("acme")
}

// TestDate shows virtual time to clients.
func TestDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		time.Sleep(100 * time.Hour)
		for _, path := range []string{"/ecx/v3/port/userport", "/nothing", "/sandbox/delays"} {
			if got, want := s.get("", path).header.Get("Date"), time.Now().UTC().Format(http.TimeFormat); got != want {
				t.Errorf("%s: Date %q, want %q", path, got, want)
			}
		}
	})
}
