package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

// leaves flattens v to "path: value" by path.
func leaves(v any, path string, into map[string]string) {
	switch v := v.(type) {
	case object:
		for k, one := range v {
			leaves(one, path+"/"+k, into)
		}
	case []any:
		for i, one := range v {
			leaves(one, fmt.Sprint(path, "/", i), into)
		}
	default:
		into[path] = fmt.Sprint(v)
	}
}

// differences lists what got does not have as want has it: the samples' fields with their
// values. Fields that got has besides are not counted.
func differences(t *testing.T, sample string, got object) []string {
	t.Helper()
	var want object
	if err := json.Unmarshal([]byte(sample), &want); err != nil {
		t.Fatal(err)
	}
	w, g := make(map[string]string), make(map[string]string)
	leaves(want, "", w)
	leaves(got, "", g)
	var out []string
	for path, value := range w {
		if have, ok := g[path]; !ok || have != value {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// guideAnswer is the answer to the guide's order by token, and guideAccepted the
// connection after the guide's acceptance.
const (
	guideAnswer = `{"href":"https://api.equinix.com/fabric/v4/connections/3a58dd05-f46d-4b1d-a154-2e85c396ea62",
 "type":"EVPL_VC","uuid":"3a58dd05-f46d-4b1d-a154-2e85c396ea62","state":"PROVISIONING","name":"Conn-1",
 "order":{"purchaseOrderNumber":"1-129105284100","billingTier":"Up to 1 Gbps"},"bandwidth":1000,
 "aSide":{"accessPoint":{"type":"COLO","port":{"href":"https://api.equinix.com/fabric/v4/ports/a867f685-41b0-1b07-6de0-320a5c00abdd",
  "type":"XF_PORT","uuid":"a867f685-41b0-1b07-6de0-320a5c00abdd"},"linkProtocol":{"type":"DOT1Q","vlanTag":1001}}},
 "zSide":{"serviceToken":{"href":"https://api.equinix.com/fabric/v4/serviceTokens/20d32a80-0d61-4333-bc03-707b591ae2f5",
  "type":"VC_TOKEN","uuid":"20d32a80-0d61-4333-bc03-707b591ae2f5"}},
 "notifications":[{"type":"ALL","emails":["test@equinix.com","test2@equinix.com"]}],
 "operation":{"equinixStatus":"PROVISIONING","providerStatus":"NOT_AVAILABLE"},
 "changeLog":{"createdDateTime":"2021-07-15T19:30:29.526Z"}}`

	guideAccepted = `{"href":"https://api.equinix.com/fabric/v4/connections/3a58dd05-f46d-4b1d-a154-2e85c396ea62",
 "type":"EVPL_VC","uuid":"3a58dd05-f46d-4b1d-a154-2e85c396ea62","name":"Conn-Name-2",
 "order":{"purchaseOrderNumber":"1-129105284100","billingTier":"Up to 1 Gbps"},"bandwidth":1000,
 "change":{"uuid":"da6a1a0b-0872-4c06-b9d7-5c8ee3056775","type":"CONNECTION_CREATION","status":"APPROVED",
  "createdDateTime":"2021-12-12T06:00:01.183Z"},
 "redundancy":{"priority":"PRIMARY"},
 "aSide":{"accessPoint":{"type":"COLO","port":{"href":"https://api.equinix.com/fabric/v4/ports/a867f685-41b0-1b07-6de0-320a5c00abdd",
  "type":"XF_PORT","uuid":"a867f685-41b0-1b07-6de0-320a5c00abdd"},"linkProtocol":{"type":"DOT1Q","vlanTag":1001}}},
 "zSide":{"accessPoint":{"type":"SP","profile":{"href":"https://api.equinix.com/fabric/v4/ports/a867f685-41b0-1b07-6de0-320a5c00abdd",
   "type":"L2_Profile","uuid":"20d32a80-0d61-4333-bc03-707b591ae2f4"},
  "location":{"href":"https://api.equinix.com/v4/metros/SV","metrocode":"SV","region":"AMER"},
  "port":{"href":"https://api.equinix.com/fabric/v4/ports/c791f8cb-5ae1-ae10-8ce0-306a5c00a4ee",
   "uuid":"c791f8cb-5ae1-ae10-8ce0-306a5c00a4ee","name":"testBuyer-FR4-L-Dot1q-STD-PRI-10G-JN-489"},
  "linkProtocol":{"type":"DOT1Q","vlanTag":837}}},
 "notifications":[{"type":"ALL","emails":["test@equinix.com","test@equinix.com"]}],
 "operation":{"equinixStatus":"PROVISIONED","providerStatus":"PROVISIONED"},
 "changeLog":{"createdDateTime":"2021-07-15T19:30:29.526Z","updatedDateTime":"2021-08-15T19:30:29.526Z"}}`

	guideOrder = `{"type":"EVPL_VC","name":"Conn-1","order":{"purchaseOrderNumber":"1-129105284100"},"bandwidth":1000,
 "aSide":{"accessPoint":{"type":"COLO","port":{"uuid":"a867f685-41b0-1b07-6de0-320a5c00abdd"},
  "linkProtocol":{"type":"DOT1Q","vlanTag":1001}}},
 "zSide":{"serviceToken":{"uuid":"20d32a80-0d61-4333-bc03-707b591ae2f4"}},
 "notifications":[{"type":"ALL","emails":["test@equinix.com","test2@equinix.com"]}]}`

	guideAcceptance = `{"type":"CONNECTION_CREATION_ACCEPTANCE","data":{"zSide":{"accessPoint":{"type":"COLO",
 "port":{"uuid":"20d32a80-0d61-4333-bc03-707b591ae2f4"},"linkProtocol":{"type":"QINQ","vlanSTag":1002,"vlanCTag":1001}}}}}`
)

// TestGuide compares the exchange's answers with those of the guide, field by field. What
// differs is listed, with the reason.
func TestGuide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Seed: 1})
		check := func(name, sample string, got object, deliberate map[string]string) {
			t.Helper()
			for _, path := range differences(t, sample, got) {
				if deliberate[path] == "" {
					t.Errorf("%s: %s differs from the guide: %v", name, path, got)
				}
				delete(deliberate, path)
			}
			for path := range deliberate {
				t.Errorf("%s: %s is as in the guide, so it is no deliberate difference", name, path)
			}
		}
		const id, clock = "an id of its own", "the time is another"
		r := s.post(s.acme, fabricBase, guideOrder).want(http.StatusCreated)
		compare(t, filepath.Join("testdata", "fabric_created.json"), r.body)
		check("order", guideAnswer, r.object(), map[string]string{
			"/href": id, "/uuid": id, "/changeLog/createdDateTime": clock,
			"/zSide/serviceToken/href": "the guide answers with another token than it was asked with",
			"/zSide/serviceToken/uuid": "the guide answers with another token than it was asked with",
		})

		accepted := s.ordered(order(colo(guideDot1q, dot1qLink(1002)), sp(connect, nil), object{"name": "Conn-Name-2",
			"order":         object{"purchaseOrderNumber": "1-129105284100"},
			"notifications": []object{{"type": "ALL", "emails": []string{"test@equinix.com", "test@equinix.com"}}}}))
		r = s.post(s.cloud, fabricBase+"/"+accepted+"/actions", guideAcceptance).want(http.StatusAccepted)
		compare(t, filepath.Join("testdata", "fabric_action.json"), r.body)
		const landed = "the guide accepts on one port and shows another"
		check("acceptance", guideAccepted, s.get(s.acme, fabricBase+"/"+accepted).object(), map[string]string{
			"/href": id, "/uuid": id, "/change/uuid": id, "/change/createdDateTime": clock,
			"/changeLog/createdDateTime": clock, "/changeLog/updatedDateTime": clock,
			"/aSide/accessPoint/linkProtocol/vlanTag": "1001 is taken by the order above",
			"/zSide/accessPoint/profile/href":         "the guide's link goes to a port",
			"/zSide/accessPoint/profile/type":         "the document of the API says L2_PROFILE",
			"/zSide/accessPoint/location/href":        "the document says metroHref",
			"/zSide/accessPoint/location/metrocode":   "the document says metroCode",
			"/zSide/accessPoint/port/href":            landed, "/zSide/accessPoint/port/uuid": landed,
			"/zSide/accessPoint/port/name": landed, "/zSide/accessPoint/linkProtocol/type": landed,
			"/zSide/accessPoint/linkProtocol/vlanTag": landed,
			"/operation/equinixStatus":                "provisioning takes its time",
			"/operation/providerStatus":               "provisioning takes its time",
		})
		time.Sleep(2 * time.Second)
		golden := func(name string, r *reply, status int) {
			t.Helper()
			compare(t, filepath.Join("testdata", name+".json"), r.want(status).body)
		}
		golden("fabric_provisioned", s.get(s.acme, fabricBase+"/"+accepted), http.StatusOK)
		golden("fabric_search", s.post(s.cloud, searchPath, both(cond("/direction", "=", "INCOMING"))), http.StatusOK)
		golden("fabric_dry", s.post(s.acme, fabricBase+"?dryRun=true",
			strings.NewReplacer("1001", "1003", "707b591ae2f4", "707b591ae2f5").Replace(guideOrder)), http.StatusOK)
		golden("fabric_update", s.do(s.acme, http.MethodPatch, fabricBase+"/"+accepted,
			[]object{{"op": "replace", "path": "/bandwidth", "value": 2000}}), http.StatusAccepted)
		golden("fabric_delete", s.do(s.acme, http.MethodDelete, fabricBase+"/"+accepted, nil), http.StatusOK)
		golden("fabric_price", s.post(s.acme, pricePath, priceOf("100")), http.StatusOK)
	})
}

const pricePath = "/fabric/v4/prices/search"

// priceOf asks what a connection in SV costs.
func priceOf(bandwidths ...any) object {
	const side = "/accessPoint/"
	return both(cond("/type", "=", "VIRTUAL_CONNECTION_PRODUCT"), cond("/connection/type", "=", "EVPL_VC"),
		cond("/connection/bandwidth", "IN", bandwidths...),
		cond("/connection/aSide"+side+"type", "=", "COLO"), cond("/connection/aSide"+side+"location/metroCode", "=", "SV"),
		cond("/connection/zSide"+side+"type", "=", "COLO"), cond("/connection/zSide"+side+"location/metroCode", "=", "SV"))
}

func TestFabricPrices(t *testing.T) {
	s := open(t, sandbox.Config{})
	r := s.post(s.acme, pricePath, priceOf("100", 1000)).want(http.StatusOK)
	if got := r.items(); len(got) != 2 || dig(got[1], "connection/bandwidth") != 1000.0 {
		t.Errorf("prices %v, want one for each bandwidth", got)
	}
	for name, body := range map[string]object{
		"no filter": {}, "no bandwidth": priceOf(), "a bandwidth of text": priceOf("much"),
		"another product": both(cond("/type", "=", "CLOUD_ROUTER_PRODUCT")),
	} {
		t.Run(name, func(t *testing.T) {
			s.post(s.acme, pricePath, body).refused(http.StatusBadRequest, "EQ-3038010")
		})
	}
}

func TestFabricValidate(t *testing.T) {
	const path, z = fabricBase + "/validate", "/zSide/accessPoint"
	s := open(t, sandbox.Config{})
	key := func(k string) object {
		return both(cond(z+"/authenticationKey", "=", k), cond(z+"/profile/uuid", "=", dot1qProfile))
	}
	tag := func(vlan any) object {
		return both(cond(z+"/port/uuid", "=", acmePort), cond(z+"/linkProtocol/vlanTag", "=", vlan))
	}
	says := func(r *reply, want string) {
		t.Helper()
		if !strings.Contains(string(r.want(http.StatusOK).body), want) {
			t.Errorf("%s, want %q", r.body, want)
		}
	}
	says(s.post(s.acme, path, key("xxxxxxxx")), "Authorization key provided is valid")
	says(s.post(s.acme, path, tag("155")), "vlanTag(s) provided is available")
	s.ordered(order(colo(acmePort, dot1qLink(155)), sp(dot1qProfile, object{"authenticationKey": "xxxxxxxx"}), nil))
	if got := len(s.post(s.acme, path, key("xxxxxxxx")).items()); got != 1 {
		t.Errorf("%d connections with the key, want 1", got)
	}
	for _, bad := range []object{{}, key("yyyyyyyy"), tag(155), tag(1), tag("x"),
		both(cond(z+"/profile/uuid", "=", acmePort)), both(cond(z+"/port/uuid", "=", globexPort))} {
		s.post(s.acme, path, bad).refused(http.StatusBadRequest, "EQ-2041022")
	}
}

// TestFabricShapes holds the errors that belong to no connection.
func TestFabricShapes(t *testing.T) {
	s := open(t, sandbox.Config{})
	id := s.ordered(toOpen(5))
	s.get("nonsense", fabricBase+"/"+id).refused(http.StatusUnauthorized, "EQ-3000039")
	s.do(s.acme, http.MethodPut, fabricBase+"/"+id, object{}).refused(http.StatusMethodNotAllowed, "EQ-3142569")
	s.get(s.acme, "/fabric/v4/nothing").refused(http.StatusNotFound, "EQ-3045811")
	for _, unknown := range []string{acmePort, "x"} {
		s.get(s.acme, fabricBase+"/"+unknown).refused(http.StatusBadRequest, "EQ-3142519")
	}
	s.get(s.globex, fabricBase+"/"+id).refused(http.StatusBadRequest, "EQ-3142519")
	s.get(s.acme, fabricBase+"/"+id+"?direction=INCOMING").refused(http.StatusBadRequest, "EQ-3142519")
	s.get(s.cloud, fabricBase+"/"+id+"?direction=INCOMING").want(http.StatusOK)
	s.post(s.acme, fabricBase, "{").refused(http.StatusBadRequest, "EQ-3142501")
}

func TestFabricPatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		id := s.ordered(order(colo(acmePort, dot1qLink(5)), byToken(bandedToken), object{"bandwidth": 50}))
		time.Sleep(2 * time.Second)
		patch := func(path string, value any) *reply {
			return s.do(s.acme, http.MethodPatch, fabricBase+"/"+id, []object{{"op": "replace", "path": path, "value": value}})
		}
		to := []object{{"type": "TECHNICAL", "emails": []string{"noc@example.com"}}}
		for _, good := range []struct {
			path  string
			value any
			shown string
		}{
			{"/name", "new", "name"}, {"/order/termLength", 24.0, "order/termLength"}, {"/notifications", to, ""},
		} {
			got := patch(good.path, good.value).want(http.StatusAccepted).object()
			if good.shown != "" && dig(got, good.shown) != good.value {
				t.Errorf("%s is %v, want %v", good.path, dig(got, good.shown), good.value)
			}
			if dig(got, "change/type") != "CONNECTION_UPDATE" || dig(got, "change/status") != "COMPLETED" || dig(got, "change/data/path") != good.path {
				t.Errorf("%s: change %v", good.path, got["change"])
			}
		}
		dry := s.do(s.acme, http.MethodPatch, fabricBase+"/"+id+"?dryRun=true", []object{{"op": "replace", "path": "/bandwidth", "value": 200}})
		if got := dry.want(http.StatusOK).object()["bandwidth"]; got != 200.0 {
			t.Errorf("dry run shows %v, want 200", got)
		}
		patch("/bandwidth", 200).want(http.StatusAccepted)
		time.Sleep(2 * time.Second)
		if got := s.get(s.acme, fabricBase+"/"+id).object()["bandwidth"]; got != 200.0 {
			t.Errorf("bandwidth %v, want 200", got)
		}
		for _, bad := range []struct {
			path  string
			value any
			code  string
		}{
			{"/name", "a b", "EQ-3142501"}, {"/name", nil, "EQ-3142501"}, {"/bandwidth", "x", "EQ-3142501"},
			{"/bandwidth", 0, "EQ-3142501"}, {"/bandwidth", 100, "EQ-3142540"}, {"/order/termLength", 5, "EQ-3142501"},
			{"/notifications", []object{}, "EQ-3142501"}, {"/aSide/accessPoint/port/uuid", acmePort2, "EQ-3142501"},
		} {
			patch(bad.path, bad.value).refused(http.StatusBadRequest, bad.code)
		}
		s.do(s.acme, http.MethodPatch, fabricBase+"/"+id, []object{}).refused(http.StatusBadRequest, "EQ-3142501")
		s.do(s.acme, http.MethodPatch, fabricBase+"/"+id, []object{{"op": "add", "path": ""}}).refused(http.StatusBadRequest, "EQ-3142501")
		s.do(s.globex, http.MethodPatch, fabricBase+"/"+id, []object{}).refused(http.StatusBadRequest, "EQ-3142519")
		s.do(s.cloud, http.MethodPatch, fabricBase+"/"+id, []object{}).refused(http.StatusForbidden, "EQ-3045003")
	})
}

// TestFabricPair ties two orders by the group that the first answer gives.
func TestFabricPair(t *testing.T) {
	s := open(t, sandbox.Config{})
	first := s.post(s.acme, fabricBase, order(colo(acmePort, dot1qLink(5)), byToken(guideToken), nil)).want(http.StatusCreated).object()
	group := dig(first, "redundancy/group")
	second := func(z, more object) object {
		return order(colo(acmePort2, dot1qLink(5)), z, with(object{"name": "second",
			"redundancy": object{"group": group, "priority": "SECONDARY"}}, more))
	}
	s.post(s.acme, fabricBase, second(byToken(guideToken), nil)).refused(http.StatusBadRequest, "EQ-3142225")
	s.post(s.acme, fabricBase, second(byToken(qinqToken), nil)).refused(http.StatusBadRequest, "EQ-3142222")
	s.post(s.acme, fabricBase, second(byToken(bandedToken), object{"bandwidth": 50})).refused(http.StatusBadRequest, "EQ-3142221")
	s.post(s.globex, fabricBase, second(byToken(secondToken), nil)).refused(http.StatusBadRequest, "EQ-3142516")
	got := s.post(s.acme, fabricBase, second(byToken(secondToken), nil)).want(http.StatusCreated).object()
	if dig(got, "redundancy/group") != group || dig(got, "redundancy/priority") != "SECONDARY" {
		t.Errorf("redundancy %v, want the secondary of %v", got["redundancy"], group)
	}
	s.post(s.acme, fabricBase, second(byToken(bandedToken), nil)).refused(http.StatusBadRequest, "EQ-3142516")
	v3 := s.get(s.acme, connections+"/"+fmt.Sprint(first["uuid"])).want(http.StatusOK).object()
	if v3["redundancyType"] != "primary" || v3["redundantUUID"] != got["uuid"] || v3["redundancyGroup"] != group {
		t.Errorf("ECX shows %v %v, want the primary of the pair", v3["redundancyType"], v3["redundantUUID"])
	}

	alone := s.post(s.acme, fabricBase, toOpen(20)).want(http.StatusCreated).object()
	tied := object{"redundancy": object{"group": dig(alone, "redundancy/group"), "priority": "SECONDARY"}}
	s.post(s.acme, fabricBase, with(order(colo(acmePort, dot1qLink(21)), sp(connect, nil), nil), tied)).
		refused(http.StatusBadRequest, "EQ-3142320")
	s.post(s.acme, fabricBase, with(order(colo(acmePort, dot1qLink(21)), sp(solo, nil), nil), tied)).
		refused(http.StatusBadRequest, "EQ-3142303")
}

// TestBothAPIs approves, at each API, what was ordered at the other.
func TestBothAPIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		old := s.create(single())
		if got := s.face(old); got != "PENDING PENDING_APPROVAL/NOT_AVAILABLE CONNECTION_CREATION SUBMITTED_FOR_APPROVAL" {
			t.Errorf("Fabric shows %s", got)
		}
		s.act(s.cloud, old, "CONNECTION_CREATION_ACCEPTANCE", landingAt(cloudPort, dot1qLink(7))).want(http.StatusAccepted)
		fresh := s.ordered(order(colo(guideDot1q, dot1qLink(1001)), sp(connect, nil), nil))
		if got := s.state(fresh); got != "PENDING_APPROVAL/NOT_AVAILABLE" {
			t.Errorf("ECX shows %s", got)
		}
		s.patch(s.cloud, fresh, "Approve", object{"primaryPortUUID": "754086e4-164d-64d0-84e0-30ac188c7c35",
			"primaryVlanSTag": "555"}).want(http.StatusOK)
		token := s.ordered(order(colo(acmePort, dot1qLink(30)), byToken(guideToken), nil))
		time.Sleep(2 * time.Second)
		for _, id := range []string{old, fresh, token} {
			if got := s.state(id); got != "PROVISIONED/AVAILABLE" {
				t.Errorf("ECX shows %s", got)
			}
			if got := s.face(id); got != "PROVISIONED PROVISIONED/AVAILABLE CONNECTION_CREATION COMPLETED" {
				t.Errorf("Fabric shows %s", got)
			}
		}
		if got := s.get(s.cloud, "/ecx/v3/l2/seller/connections?profileId="+connect).object()["totalCount"]; got != 1.0 {
			t.Errorf("the seller's list at ECX has %v for the profile, want 1", got)
		}
		s.do(s.acme, http.MethodDelete, connections+"/"+fresh, nil).want(http.StatusOK)
		s.act(s.cloud, fresh, "CONNECTION_DELETION_ACCEPTANCE", nil).want(http.StatusAccepted)
		time.Sleep(2 * time.Second)
		if got := s.state(fresh); got != "DEPROVISIONED/NOT_AVAILABLE" {
			t.Errorf("ECX shows %s", got)
		}
	})
}
