package sandbox_test

import (
	"fmt"
	"net/http"
	"testing"

	"patchbay.io/services/sandbox"
)

func TestProfilesAtFabric(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	r := s.get(s.acme, profileAPI+"/"+express).want(http.StatusOK)
	config := r.object()["accessPointTypeConfigs"].([]any)[0].(object)
	for field, want := range map[string]string{
		"authenticationKey":   "map[label:Authorization Key required:true]",
		"supportedBandwidths": "[50 100 200 500 1000 2000 5000 10000]",
		"linkProtocolConfig":  "map[encapsulation:DOT1Q encapsulationStrategy:CTAGED reuseVlanSTag:false]",
	} {
		if got := fmt.Sprint(config[field]); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	if r.header.Get("ETag") == "" || r.object()["ports"] != nil {
		t.Errorf("ETag %q, ports %v; want an ETag, and ports only for the seller", r.header.Get("ETag"), r.object()["ports"])
	}
	own := s.get(s.cloud, profileAPI+"/"+express+"?viewPoint=zSide").want(http.StatusOK)
	if got := own.object()["ports"]; got == nil {
		t.Error("the seller sees no ports")
	}
	s.get(s.acme, profileAPI+"/"+express+"?viewPoint=zSide").refused(http.StatusBadRequest, "EQ-3001114")
	s.get(s.acme, profileAPI+"/"+express+"?viewPoint=above").refused(http.StatusBadRequest, "EQ-3001022")
	s.get(s.globex, profileAPI+"/"+ownProfile).refused(http.StatusBadRequest, "EQ-3001114")
	metros := s.get(s.acme, profileAPI+"/"+express+"/metros?limit=2").want(http.StatusOK)
	if got := metros.items(); len(got) != 2 || got[0]["code"] != "SV" {
		t.Errorf("metros are %v, want SV and another", got)
	}
}

func TestProfileSearch(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	all := len(s.get(s.acme, profileAPI).want(http.StatusOK).items())
	term := func(property, value string) object {
		return object{"property": property, "operator": "=", "values": []string{value}}
	}
	for _, tt := range []struct {
		name, query string
		filter      object
		want        int
	}{
		{"by id", "", term("/uuid", openProfile), 1},
		{"by name", "", term("/name", "Cloud Open"), 1},
		{"private", "", term("/visibility", "PRIVATE"), 1},
		{"in a metro", "", object{"and": []object{term("/type", "L2_PROFILE"), term("/metros/code", "SV")}}, all},
		{"in no metro", "", term("/metros/code", "XX"), 0},
		{"of a buyer's own", "?viewPoint=zSide", term("/state", "ACTIVE"), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.post(s.acme, profileAPI+"/search"+tt.query, object{"filter": tt.filter}).want(http.StatusOK).items()
			if len(got) != tt.want {
				t.Errorf("%d profiles, want %d", len(got), tt.want)
			}
		})
	}
	s.post(s.acme, profileAPI+"/search", object{"filter": term("/ports/uuid", cloudPort)}).
		refused(http.StatusBadRequest, "EQ-3001202")
	s.post(s.acme, profileAPI+"/search", object{"filter": with(term("/name", "x"), object{"operator": "LIKE"})}).
		refused(http.StatusBadRequest, "EQ-3001202")
	s.post(s.acme, profileAPI+"/search", object{"filter": term("/name", "x"), "pagination": object{"limit": 0}}).
		refused(http.StatusBadRequest, "EQ-3001022")
}

func TestMetrosAtFabric(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	if got := s.get(s.acme, "/fabric/v4/metros").want(http.StatusOK).items(); len(got) != 3 {
		t.Errorf("%d metros, want 3", len(got))
	}
	if got := s.get(s.acme, "/fabric/v4/metros?presence=MY_PORTS&limit=2").want(http.StatusOK).items(); len(got) != 2 {
		t.Errorf("%d metros on a page of 2", len(got))
	}
	if got := s.get(s.acme, "/fabric/v4/metros/SV").want(http.StatusOK).text("name"); got != "Silicon Valley" {
		t.Errorf("SV is %q, want Silicon Valley", got)
	}
	s.get(s.acme, "/fabric/v4/metros/XX").refused(http.StatusBadRequest, "EQ-3036013")
	s.get(s.acme, "/fabric/v4/metros?presence=ALL").refused(http.StatusBadRequest, "EQ-3036013")
	if got := s.get(s.acme, "/fabric/v4/health").want(http.StatusOK).text("state"); got != "HEALTHY" {
		t.Errorf("the exchange is %s, want HEALTHY", got)
	}
}
