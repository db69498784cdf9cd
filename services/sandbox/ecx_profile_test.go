package sandbox_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"patchbay.io/services/sandbox"
)

const sellAPI = "/ecx/v3/l2/serviceprofiles"

// sale makes a profile on the seller's first Dot1q port.
func sale() object {
	return object{"name": "Cloud Made", "speedBands": []object{{"speed": 50, "unit": "MB"}},
		"ports": []object{{"id": cloudPort, "metroCode": "SV"}}}
}

func TestProfileIsRefused(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	for _, tt := range []struct {
		name, code string
		body       any
	}{
		{"no JSON", "IC-LAYER2-402", "{"},
		{"no name", "IC-LAYER2-402", with(sale(), object{"name": ""})},
		{"no speed", "IC-LAYER2-402", with(sale(), object{"speedBands": nil})},
		{"odd unit", "IC-LAYER2-402", with(sale(), object{"speedBands": []object{{"speed": 50, "unit": "KB"}}})},
		{"no port", "IC-LAYER2-402", with(sale(), object{"ports": nil})},
		{"somebody else's port", "IC-LAYER2-PORTS-001", with(sale(), object{"ports": []object{{"id": acmePort}}})},
		{"two encapsulations", "IC-LAYER2-402", with(sale(), object{"ports": []object{{"id": cloudPort}, {"id": cloudQinQ}}})},
		{"integration", "IC-LAYER2-402", with(sale(), object{"apiAvailable": true})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.post(s.cloud, sellAPI, tt.body).refused(http.StatusBadRequest, tt.code)
		})
	}
	s.do(s.cloud, http.MethodPut, sellAPI, with(sale(), object{"uuid": openProfile})).refused(http.StatusBadRequest, "IC-LAYER2-402")
}

// TestProfilesAreKept opens the file of an exchange that has a made profile and a deleted
// one again.
func TestProfilesAreKept(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.jsonl")
	x, err := sandbox.Open(sandbox.Config{Seed: 1}, state)
	if err != nil {
		t.Fatal(err)
	}
	s := attach(t, x)
	id := s.post(s.cloud, sellAPI, sale()).want(http.StatusOK).text("uuid")
	gone := s.post(s.cloud, sellAPI, sale()).want(http.StatusOK).text("uuid")
	s.do(s.cloud, http.MethodDelete, sellAPI+"/"+gone, nil).want(http.StatusOK)
	s.post(s.acme, connections, with(single(), object{"profileUUID": id})).want(http.StatusOK)
	for range 2 { // the second time from a file that was written anew
		again, err := sandbox.Open(sandbox.Config{Seed: 1}, state)
		if err != nil {
			t.Fatal(err)
		}
		s := attach(t, again)
		if got := s.get(s.acme, profileAPI+"/"+id).want(http.StatusOK).text("name"); got != "Cloud Made" {
			t.Errorf("profile is %q, want Cloud Made as before", got)
		}
		s.get(s.acme, profileAPI+"/"+gone).refused(http.StatusBadRequest, "EQ-3001114")
		if got := s.get(s.cloud, sellAPI+"/"+gone).want(http.StatusOK).text("state"); got != "DELETED" {
			t.Errorf("the deleted profile is %s, want DELETED", got)
		}
		if got := len(again.Inventory().Connections); got != 1 {
			t.Errorf("%d connections, want the one to the made profile", got)
		}
	}
}
