package sandbox_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

const (
	tokenAPI   = "/fabric/v4/serviceTokens"
	portAPI    = "/fabric/v4/ports"
	profileAPI = "/fabric/v4/serviceProfiles"

	cloudUntagged = "c1000050-0000-4000-8000-000000000002"
	guideToken    = "20d32a80-0d61-4333-bc03-707b591ae2f4"
	nowhere       = "00000000-0000-4000-8000-000000000000"
)

// tokenOrder asks for a Z-side token on the seller's first Dot1q port.
func tokenOrder(vlan int) object {
	return object{
		"type": "VC_TOKEN", "name": "to-us", "description": "for a partner",
		"connection": zToken(object{"type": "COLO", "port": object{"uuid": cloudPort},
			"linkProtocol": object{"type": "DOT1Q", "vlanTag": vlan}}),
		"notifications": []object{{"type": "ALL", "emails": []string{"grace.hall@example.net"}}},
	}
}

func zToken(selector object) object {
	return object{"type": "EVPL_VC", "allowRemoteConnection": true, "supportedBandwidths": []int{50, 200},
		"zSide": object{"accessPointSelectors": []object{selector}}}
}

// items are the elements of a page.
func (r *reply) items() []object {
	r.t.Helper()
	list, ok := r.object()["data"].([]any)
	if !ok {
		r.t.Fatalf("%s: no data in %s", r.what, r.body)
	}
	var out []object
	for _, one := range list {
		o, _ := one.(object)
		out = append(out, o)
	}
	return out
}

// refused checks that the answer is an error of Fabric with that code.
func (r *reply) refused(status int, code string) {
	r.t.Helper()
	r.want(status)
	for _, e := range r.array() {
		if e["errorCode"] == code {
			return
		}
	}
	r.t.Errorf("%s: %s, want %s", r.what, r.body, code)
}

// holder says who holds the lowest VLAN in use on a port: "" if none is.
func (s *site) holder(token, port string) string {
	s.t.Helper()
	for _, l := range s.get(token, portAPI+"/"+port+"/linkProtocols").want(http.StatusOK).items() {
		for _, kind := range []string{"asset", "serviceToken"} {
			if h, ok := l[kind].(object); ok {
				return fmt.Sprint(l["vlanTag"], " ", kind, " ", h["uuid"])
			}
		}
	}
	return ""
}

func TestTokenIsMade(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	dry := s.post(s.cloud, tokenAPI+"?dryRun=true", tokenOrder(700)).want(http.StatusOK).object()
	if dry["uuid"] != nil || dry["state"] != nil {
		t.Errorf("a dry run answers %v, want neither uuid nor state", dry)
	}
	if got := s.holder(s.cloud, cloudPort); got != "" {
		t.Errorf("after a dry run %s, want no VLAN in use", got)
	}
	made := s.post(s.cloud, tokenAPI, tokenOrder(700)).want(http.StatusCreated)
	id := made.text("uuid")
	if got := made.text("state"); got != "INACTIVE" {
		t.Errorf("a new token is %s, want INACTIVE", got)
	}
	if got, want := s.holder(s.cloud, cloudPort), "700 serviceToken "+id; got != want {
		t.Errorf("VLANs in use: %s, want %s", got, want)
	}
	s.post(s.cloud, tokenAPI, tokenOrder(700)).refused(http.StatusBadRequest, "EQ-3142102")
	if got := s.get(s.acme, tokenAPI+"/"+id).want(http.StatusOK).text("name"); got != "to-us" {
		t.Errorf("whoever knows the id sees %q, want to-us", got)
	}
	if got := s.get(s.acme, tokenAPI).want(http.StatusOK).items(); len(got) != 0 {
		t.Errorf("a stranger lists %v, want nothing", got)
	}
}

func TestTokenIsRefused(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	selector := func(port, kind string, link object) object {
		return with(tokenOrder(700), object{"connection": zToken(
			object{"type": kind, "port": object{"uuid": port}, "linkProtocol": link})})
	}
	link := object{"type": "DOT1Q", "vlanTag": 700}
	for _, tt := range []struct {
		name string
		body any
	}{
		{"no JSON", "{"},
		{"another type", with(tokenOrder(700), object{"type": "MAGIC_TOKEN"})},
		{"past", with(tokenOrder(700), object{"expirationDateTime": "1999-01-01T00:00:00Z"})},
		{"after 91 days", with(tokenOrder(700), object{
			"expirationDateTime": time.Now().Add(91 * 24 * time.Hour).Format(time.RFC3339)})},
		{"no side", with(tokenOrder(700), object{"connection": object{"type": "EVPL_VC"}})},
		{"somebody else's port", selector(acmePort, "COLO", link)},
		{"virtual device", selector(cloudPort, "VD", link)},
		{"no tag", selector(cloudPort, "COLO", object{"type": "DOT1Q"})},
		{"tag of another encapsulation", selector(cloudPort, "COLO", object{"type": "QINQ", "vlanSTag": 700})},
		{"tag out of bounds", tokenOrder(4093)},
		{"untagged port", selector(cloudUntagged, "COLO", nil)},
		{"no e-mail", with(tokenOrder(700), object{"notifications": []object{{"type": "ALL", "emails": []string{"x"}}}})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.post(s.cloud, tokenAPI, tt.body).refused(http.StatusBadRequest, "EQ-3142501")
		})
	}
	if got := s.holder(s.cloud, cloudPort); got != "" {
		t.Errorf("%s, want no VLAN in use: a refused order leaves nothing", got)
	}
	text := object{"type": "DOT1Q", "vlanTag": "700"}
	s.post(s.cloud, tokenAPI, selector(cloudPort, "COLO", text)).want(http.StatusCreated)
	epl := object{"type": "EPL_TOKEN", "connection": with(zToken(object{"type": "COLO",
		"port": object{"uuid": cloudUntagged}}), object{"type": "EPL_VC"})}
	s.post(s.cloud, tokenAPI, epl).want(http.StatusCreated)
	s.post(s.cloud, tokenAPI, epl).refused(http.StatusBadRequest, "EQ-3142102")
}

func TestTokenIsChanged(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	id := s.post(s.cloud, tokenAPI, tokenOrder(700)).want(http.StatusCreated).text("uuid")
	change := func(token, id, path string, value any) *reply {
		return s.do(token, http.MethodPatch, tokenAPI+"/"+id, []object{{"op": "replace", "path": path, "value": value}})
	}
	for path, value := range map[string]any{
		"/name": "renamed", "/description": "other", "/notifications/emails": []string{"max@example.org"},
		"/connection/supportedBandwidths": []int{500},
		"/expirationDateTime":             time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	} {
		change(s.cloud, id, path, value).want(http.StatusOK)
	}
	got := s.get(s.cloud, tokenAPI+"/"+id).want(http.StatusOK).object()
	if got["name"] != "renamed" || fmt.Sprint(got["connection"].(object)["supportedBandwidths"]) != "[500]" ||
		fmt.Sprint(got["notifications"]) != "[map[emails:[max@example.org] type:ALL]]" {
		t.Errorf("got %v, want the new name, bandwidths and addresses", got)
	}
	change(s.cloud, id, "/uuid", "x").refused(http.StatusBadRequest, "EQ-3142501")
	change(s.cloud, id, "/name", 7).refused(http.StatusBadRequest, "EQ-3142501")
	change(s.acme, id, "/name", "mine").refused(http.StatusForbidden, "EQ-3045003")
	change(s.cloud, nowhere, "/name", "x").refused(http.StatusBadRequest, "EQ-3034016")
	dry := s.do(s.cloud, http.MethodPatch, tokenAPI+"/"+id+"?dryRun=true", []object{{"op": "replace", "path": "/name", "value": "tried"}})
	if dry.want(http.StatusOK).text("name") != "tried" || s.get(s.cloud, tokenAPI+"/"+id).text("name") != "renamed" {
		t.Error("a dry run shows the new name and keeps the old one")
	}
	s.post(s.cloud, tokenAPI+"/"+id+"/actions", object{"type": "RESEND_EMAIL_NOTIFICATION"}).want(http.StatusAccepted)
	s.post(s.cloud, tokenAPI+"/"+id+"/actions", object{"type": "SPEND"}).refused(http.StatusBadRequest, "EQ-3142501")
}

func TestTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Seed: 1})
		id := s.post(s.cloud, tokenAPI, tokenOrder(700)).want(http.StatusCreated).text("uuid")
		s.do(s.acme, http.MethodDelete, tokenAPI+"/"+id, nil).refused(http.StatusForbidden, "EQ-3045003")
		gone := s.do(s.cloud, http.MethodDelete, tokenAPI+"/"+id, nil).want(http.StatusOK)
		if got := gone.text("state"); got != "DELETED" {
			t.Errorf("a deleted token is %s, want DELETED", got)
		}
		s.do(s.cloud, http.MethodDelete, tokenAPI+"/"+id, nil).refused(http.StatusBadRequest, "EQ-3034019")
		late := s.post(s.cloud, tokenAPI, tokenOrder(700)).want(http.StatusCreated).text("uuid")
		time.Sleep(90*24*time.Hour - time.Second)
		s.cloud = s.login("cloud")
		if got := s.get(s.cloud, tokenAPI+"/"+late).text("state"); got != "INACTIVE" {
			t.Errorf("a second before 90 days the token is %s, want INACTIVE", got)
		}
		time.Sleep(time.Second)
		if got := s.get(s.cloud, tokenAPI+"/"+late).text("state"); got != "EXPIRED" {
			t.Errorf("after 90 days the token is %s, want EXPIRED", got)
		}
		if got := s.holder(s.cloud, cloudPort); got != "" {
			t.Errorf("%s, want no VLAN in use: ended tokens keep none", got)
		}
	})
}

func TestTokenSearch(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	for vlan := 700; vlan < 703; vlan++ {
		s.post(s.cloud, tokenAPI, with(tokenOrder(vlan), object{"name": fmt.Sprint("t-", vlan)})).want(http.StatusCreated)
	}
	search := func(property, operator string, values ...any) *reply {
		return s.post(s.cloud, tokenAPI+"/search", object{"filter": object{"and": []object{
			{"property": property, "operator": operator, "values": values}}}})
	}
	for _, tt := range []struct {
		property, operator string
		values             []any
		want               int
	}{
		{"/uuid", "=", []any{guideToken}, 1},
		{"/name", "LIKE", []any{"t-%"}, 3},
		{"/name", "IN", []any{"t-700", "t-702", "t-709"}, 2},
		{"/name", "NOT IN", []any{"t-700"}, 8},
		{"/state", "!=", []any{"INACTIVE"}, 0},
		{"/type", "=", []any{"EPL_TOKEN"}, 1},
		{"/connection/zSide/accessPointSelectors/port/uuid", "=", []any{cloudPort}, 3},
		{"/connection/aSide/accessPointSelectors/port/uuid", "=", []any{cloudPort}, 0},
		{"/expirationDateTime", ">", []any{time.Now().UTC().Format(time.RFC3339)}, 9},
	} {
		got := search(tt.property, tt.operator, tt.values...).want(http.StatusOK).items()
		if len(got) != tt.want {
			t.Errorf("%s %s %v finds %d tokens, want %d", tt.property, tt.operator, tt.values, len(got), tt.want)
		}
	}
	search("/color", "=", "red").refused(http.StatusBadRequest, "EQ-3000035")
	page := s.get(s.cloud, tokenAPI+"?offset=4&limit=2").want(http.StatusOK)
	if got := page.items(); len(got) != 2 {
		t.Errorf("a page of 2 has %d tokens", len(got))
	}
}

// TestTokensAreKept ends one token, makes one, and opens the same file again.
func TestTokensAreKept(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.jsonl")
	x, err := sandbox.Open(sandbox.Config{Seed: 1}, state)
	if err != nil {
		t.Fatal(err)
	}
	s := attach(t, x)
	id := s.post(s.cloud, tokenAPI, tokenOrder(700)).want(http.StatusCreated).text("uuid")
	s.do(s.cloud, http.MethodDelete, tokenAPI+"/"+guideToken, nil).want(http.StatusOK)
	again, err := sandbox.Open(sandbox.Config{Seed: 1}, state)
	if err != nil {
		t.Fatal(err)
	}
	s2 := attach(t, again)
	if got := s2.get(s2.cloud, tokenAPI+"/"+id).want(http.StatusOK).text("state"); got != "INACTIVE" {
		t.Errorf("the token is %s, want INACTIVE as before", got)
	}
	if got, want := s2.holder(s2.cloud, cloudPort), "700 serviceToken "+id; got != want {
		t.Errorf("VLANs in use: %s, want %s", got, want)
	}
	if got := s2.get(s2.cloud, tokenAPI+"/"+guideToken).want(http.StatusOK).text("state"); got != "DELETED" {
		t.Errorf("the guide's token is %s, want DELETED as before", got)
	}
	if got := len(s2.get(s2.cloud, tokenAPI).items()); got != 7 {
		t.Errorf("%d tokens, want the six of a new exchange and one", got)
	}
}

// TestTokenIsSpentOnce has many orders want one token at the same time.
func TestTokenIsSpentOnce(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	const orders = 50
	answers := make(chan *reply, orders)
	for n := range orders {
		go func() {
			r, err := s.try(t.Context(), ask{s.acme, http.MethodPost, "/fabric/v4/connections", object{
				"type": "EVPL_VC", "name": fmt.Sprint("order-", n), "bandwidth": 50,
				"notifications": []object{{"type": "ALL", "emails": []string{"john.doe@example.com"}}},
				"aSide": object{"accessPoint": object{"type": "COLO", "port": object{"uuid": acmePort},
					"linkProtocol": object{"type": "DOT1Q", "vlanTag": 100 + n}}},
				"zSide": object{"serviceToken": object{"uuid": guideToken}},
			}})
			if err != nil {
				t.Error(err)
			}
			answers <- r
		}()
	}
	made := 0
	for range orders {
		r := <-answers
		if r == nil {
			continue
		}
		if r.status == http.StatusCreated {
			made++
			continue
		}
		r.refused(http.StatusBadRequest, "EQ-3142537")
	}
	if made != 1 || len(s.Inventory().Connections) != 1 {
		t.Errorf("%d orders were taken and %d connections exist, want 1 and 1", made, len(s.Inventory().Connections))
	}
	if got := s.get(s.cloud, tokenAPI+"/"+guideToken).want(http.StatusOK).text("state"); got != "ACTIVE" {
		t.Errorf("the token is %s, want ACTIVE", got)
	}
	s.do(s.cloud, http.MethodDelete, tokenAPI+"/"+guideToken, nil).refused(http.StatusBadRequest, "EQ-3034020")
}
