package sandbox_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"patchbay.io/services/sandbox"
)

func TestPortsAtFabric(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	all := s.get(s.acme, portAPI).want(http.StatusOK).items()
	i := slices.IndexFunc(all, func(p object) bool { return p["uuid"] == acmePort })
	if i < 0 {
		t.Fatalf("port %s is not among %d", acmePort, len(all))
	}
	p := all[i]
	name, _ := p["name"].(string)
	for field, want := range map[string]string{
		"type": "XF_PORT", "state": "ACTIVE", "bandwidth": "10000", "usedBandwidth": "0",
		"encapsulation": "map[tagProtocolId:33024 type:DOT1Q]", "redundancy": "map[priority:PRIMARY]",
	} {
		if got := fmt.Sprint(p[field]); got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	if got := s.get(s.acme, portAPI+"?name="+name).items(); len(got) != 1 {
		t.Errorf("%d ports of one name, want 1", len(got))
	}
	if got := s.get(s.acme, portAPI+"/"+acmePort).want(http.StatusOK).text("uuid"); got != acmePort {
		t.Errorf("got port %s, want %s", got, acmePort)
	}
	for _, id := range []string{nowhere, cloudPort, managedPort} {
		s.get(s.acme, portAPI+"/"+id).refused(http.StatusBadRequest, "EQ-3035202")
		s.get(s.acme, portAPI+"/"+id+"/linkProtocols").refused(http.StatusBadRequest, "EQ-3035202")
	}
}

func TestPortSearch(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	search := func(body object) *reply { return s.post(s.acme, portAPI+"/search", body) }
	in := func(metro string) object {
		return object{"or": []object{{"and": []object{
			{"property": "/location/metroCode", "operator": "=", "values": []string{metro}},
			{"property": "/state", "operator": "=", "values": []string{"ACTIVE", "REPROVISIONING"}}}}}}
	}
	found := search(object{"filter": in("DC"), "sort": []object{{"property": "/name", "direction": "ASC"}}}).
		want(http.StatusOK).items()
	var names []string
	for _, p := range found {
		names = append(names, p["name"].(string))
	}
	if len(names) != 6 || !slices.IsSorted(names) {
		t.Errorf("ports in DC are %v, want 6 by name", names)
	}
	search(object{"filter": object{"property": "/settings/productCod", "operator": "=", "values": []string{"CX"}}}).
		refused(http.StatusBadRequest, "EQ-3046116")
	search(object{"filter": in("DC"), "pagination": object{"limit": 0}}).refused(http.StatusBadRequest, "EQ-3046116")
}

// TestLinkProtocols pages through the VLANs in use, of circuits and of tokens.
func TestLinkProtocols(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	id := s.post(s.acme, connections, single()).want(http.StatusOK).text("primaryConnectionId")
	if got, want := s.holder(s.acme, acmePort), "100 asset "+id; got != want {
		t.Errorf("VLANs in use: %s, want %s", got, want)
	}
	if got := s.get(s.acme, portAPI+"/"+acmePort).object()["usedBandwidth"]; got != 50.0 {
		t.Errorf("used bandwidth is %v, want 50", got)
	}
	for vlan := 720; vlan > 699; vlan-- {
		s.post(s.cloud, tokenAPI, tokenOrder(vlan)).want(http.StatusCreated)
	}
	var seen []any
	for path := portAPI + "/" + cloudPort + "/linkProtocols?limit=8"; path != ""; {
		r := s.get(s.cloud, path).want(http.StatusOK)
		for _, l := range r.items() {
			seen = append(seen, l["vlanTag"])
		}
		path, _ = r.object()["pagination"].(object)["next"].(string)
	}
	if len(seen) != 21 || seen[0] != 700.0 || seen[20] != 720.0 {
		t.Errorf("VLANs in use are %v, want 700 to 720 in order", seen)
	}
	s.get(s.cloud, portAPI+"/"+cloudPort+"/linkProtocols?limit=0").refused(http.StatusBadRequest, "EQ-3142501")
}
