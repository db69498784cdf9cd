package sandbox_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

// Ports, customers and paths of PacketFabric that tests order with.
const (
	acmeNYC   = "PF-AP-NYC1-1100001"
	acmeNYC2  = "PF-AP-NYC1-1100002"
	acmeENNI  = "PF-AP-NYC1-1900001"
	cloudCHI  = "PF-AP-CHI1-2100001"
	cloudCHI2 = "PF-AP-CHI1-2100002"
	cloudENNI = "PF-AP-CHI1-2900001"
	cloudATL  = "PF-AP-ATL1-2100001"
	globexNYC = "PF-AP-NYC1-3100001"

	cloudRouting = "TR-1RI-OQ85"
	acmeAccount  = "b2af000f-d15f-4413-9645-6f566e641c29"
	pfBackup     = "c10f0000-0000-4000-8000-0000000000f2"

	pfThirdParty = "/v2/services/third-party"
	pfRequests   = "/v2/services/requests"
	pfServices   = "/v2/services"
	pfBackbone   = "/v2/services/backbone"

	// API keys, which need no login.
	acmeKey   = "acme-api-key"
	cloudKey  = "cloud-api-key"
	globexKey = "globex-api-key"
)

// pfOrder is a request that the exchange takes.
func pfOrder() object {
	return object{"routing_id": cloudRouting, "market": "CHI", "description": "first",
		"interface": object{"port_circuit_id": acmeNYC, "vlan": 100, "untagged": false},
		"bandwidth": object{"account_uuid": acmeAccount, "longhaul_type": "dedicated", "subscription_term": 1,
			"speed": "50Mbps"}}
}

// pfLanding is where the seller puts a request.
func pfLanding(port string, vlan int) object {
	return object{"interface": object{"port_circuit_id": port, "vlan": vlan}}
}

func pfOwn(vlanA, vlanZ int) object {
	return object{"description": "own", "epl": false, "bandwidth": pfOrder()["bandwidth"], "interfaces": []object{
		{"port_circuit_id": acmeNYC, "vlan": vlanA}, {"port_circuit_id": acmeNYC2, "vlan": vlanZ}}}
}

// ask posts a request and returns its uuid.
func (s *site) ask(order object) string {
	s.t.Helper()
	return s.post(acmeKey, pfThirdParty, order).want(http.StatusCreated).text("vc_request_uuid")
}

// provision lands a request and returns the circuit's id.
func (s *site) provision(id string, landing object) string {
	s.t.Helper()
	return s.post(cloudKey, pfRequests+"/"+id+"/provision", landing).want(http.StatusCreated).text("vc_circuit_id")
}

// message is the exchange's words of an error, whose request has an id.
func (r *reply) message() string {
	r.t.Helper()
	if len(r.text("request_id")) != 36 || len(r.object()) != 2 {
		r.t.Errorf("%s: %s, want a message and a request_id", r.what, r.body)
	}
	return r.text("message")
}

func (s *site) pfState(id string) string {
	s.t.Helper()
	r := s.get(acmeKey, pfServices+"/"+id)
	if r.status == http.StatusNotFound {
		return "404"
	}
	return r.want(http.StatusOK).text("state")
}

func TestPFLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Delays: sandbox.Delays{
			Provision: 8 * time.Second, Deprovision: 4 * time.Second, History: time.Minute}})
		id := s.ask(pfOrder())
		asked := func(want string) *reply {
			t.Helper()
			r := s.get(acmeKey, pfRequests+"/"+id).want(http.StatusOK)
			if got := r.text("status"); got != want {
				t.Errorf("request is %s, want %s", got, want)
			}
			return r
		}
		time.Sleep(1000 * time.Hour)
		asked("pending") // a silent seller has no time-out
		r := s.post(cloudKey, pfRequests+"/"+id+"/provision", pfLanding(cloudCHI, 7)).want(http.StatusCreated)
		if got := r.text("state"); got != "Pending" {
			t.Errorf("the answer says %s, want Pending", got)
		}
		vc := r.text("vc_circuit_id")
		if got := asked("provisioned").text("vc_circuit_id"); got != vc {
			t.Errorf("the request's circuit is %s, want %s", got, vc)
		}
		is := func(want string) {
			t.Helper()
			if got := s.pfState(vc); got != want {
				t.Errorf("state %s, want %s", got, want)
			}
		}
		is("Pending")
		time.Sleep(2 * time.Second)
		is("Provisioning")
		s.do(acmeKey, http.MethodDelete, pfServices+"/"+vc, nil).want(http.StatusBadRequest)
		time.Sleep(6*time.Second - time.Nanosecond)
		is("Provisioning")
		time.Sleep(time.Nanosecond)
		is("Active")
		s.do(acmeKey, http.MethodDelete, pfServices+"/"+vc, nil).want(http.StatusOK)
		is("Deleting")
		s.do(acmeKey, http.MethodDelete, pfServices+"/"+vc, nil).want(http.StatusBadRequest)
		s.post(acmeKey, pfThirdParty, pfOrder()).want(http.StatusBadRequest) // the VLAN is still held
		time.Sleep(4 * time.Second)
		is("Deleted")
		if got := s.get(acmeKey, pfServices).want(http.StatusOK).array(); len(got) != 0 {
			t.Errorf("the list shows %v, want nothing that is deleted", got)
		}
		time.Sleep(time.Minute)
		is("404")
		asked("provisioned")
		s.ask(pfOrder()) // its VLAN is free again
	})
}

// TestPFEqual orders the same twice: nothing guards against it before the VLAN is used.
func TestPFEqual(t *testing.T) {
	s := open(t, sandbox.Config{})
	one, two := s.ask(pfOrder()), s.ask(pfOrder())
	if one == two {
		t.Fatal("two requests have one id")
	}
	if got := s.get(cloudKey, pfRequests+"?type=received").want(http.StatusOK).array(); len(got) != 2 {
		t.Errorf("%d requests, want both", len(got))
	}
	s.provision(one, pfLanding(cloudCHI, 7))
	r := s.post(cloudKey, pfRequests+"/"+two+"/provision", pfLanding(cloudCHI, 8)).want(http.StatusBadRequest)
	if got, want := r.message(), "InvalidVlanParam: VLAN 100 is already in use on port "+acmeNYC+"."; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	r = s.post(acmeKey, pfThirdParty, pfOrder()).want(http.StatusBadRequest)
	if got := r.message(); !strings.HasPrefix(got, "InvalidVlanParam: VLAN 100") {
		t.Errorf("%s, want the VLAN in use", got)
	}
}

// TestPFRefused tries what the exchange refuses, each with its code and words.
func TestPFRefused(t *testing.T) {
	s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: time.Hour}})
	pending := s.ask(pfOrder())
	landed := s.ask(with(pfOrder(), object{"interface": object{"port_circuit_id": acmeNYC, "vlan": 124}}))
	vc := s.provision(landed, pfLanding(cloudCHI, 124))
	bare := s.ask(with(pfOrder(), object{"interface": object{"port_circuit_id": acmeNYC, "untagged": true}}))
	refused := s.ask(pfOrder())
	s.post(cloudKey, pfRequests+"/"+refused+"/reject", nil).want(http.StatusOK)
	on := func(side object) object { return with(pfOrder(), object{"interface": side}) }
	pay := func(change object) object {
		return with(pfOrder(), object{"bandwidth": with(pfOrder()["bandwidth"].(object), change)})
	}
	land := func(side object) object { return object{"interface": side} }
	request, provision := pfRequests+"/"+pending, pfRequests+"/"+pending+"/provision"
	const speeds = "bandwidth.speed: value is not a valid enumeration member; permitted: '50Mbps', "
	tests := []struct {
		name, token, method, path string
		body                      any
		status                    int
		message                   string // or how it begins
	}{
		{"nothing at all", acmeKey, "POST", pfThirdParty, object{}, 400,
			"routing_id: field required, market: field required, interface: field required, bandwidth: field required"},
		{"no object", acmeKey, "POST", pfThirdParty, "[", 400, "Request body is not a valid JSON object"},
		{"text for a number", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": acmeNYC, "vlan": "x"}), 400,
			"interface.vlan: value is not a valid integer"},
		{"VLAN 0 is not no VLAN", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": acmeNYC, "vlan": 0}), 400,
			"interface.vlan: ensure this value is greater than or equal to 4"},
		{"reserved", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": acmeNYC, "vlan": 3}), 400,
			"interface.vlan: ensure this value is greater than or equal to 4"},
		{"too high", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": acmeNYC, "vlan": 4095}), 400,
			"interface.vlan: ensure this value is less than or equal to 4094"},
		{"neither VLAN nor untagged", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": acmeNYC}), 400,
			"InvalidVlanParam: You must provide a VLAN unless untagged is set to true."},
		{"both", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": acmeNYC, "vlan": 5, "untagged": true}), 400,
			"InvalidVlanParam: A VLAN is not allowed"},
		{"in use", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": acmeNYC, "vlan": 124}), 400,
			"InvalidVlanParam: VLAN 124 is already in use on port " + acmeNYC + "."},
		{"S-VLAN on a port", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": acmeNYC, "vlan": 5, "svlan": 6}),
			400, "InvalidVlanParam: S-VLAN is only applicable to ENNI ports"},
		{"no S-VLAN on ENNI", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": acmeENNI, "vlan": 5}), 400,
			"InvalidVlanParam: You must provide an S-VLAN on ENNI port"},
		{"untagged on ENNI", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": acmeENNI, "untagged": true}), 400,
			"InvalidVlanParam: Untagged is not allowed on ENNI port"},
		{"another's port", acmeKey, "POST", pfThirdParty, on(object{"port_circuit_id": globexNYC, "vlan": 5}), 404,
			"Port not found: " + globexNYC},
		{"speed", acmeKey, "POST", pfThirdParty, pay(object{"speed": "51Mbps"}), 400, speeds},
		{"no speed", acmeKey, "POST", pfThirdParty, pay(object{"speed": nil}), 400, "bandwidth.speed: field required"},
		{"term", acmeKey, "POST", pfThirdParty, pay(object{"subscription_term": 13}), 400,
			"bandwidth.subscription_term: value is not a valid"},
		{"longhaul", acmeKey, "POST", pfThirdParty, pay(object{"longhaul_type": "daily"}), 400,
			"bandwidth.longhaul_type: value is not a valid"},
		{"account", acmeKey, "POST", pfThirdParty, pay(object{"account_uuid": vc}), 404, "Account not found: "},
		{"empty account", acmeKey, "POST", pfThirdParty, pay(object{"account_uuid": ""}), 400,
			"bandwidth.account_uuid: value is not a valid uuid"},
		{"flex", acmeKey, "POST", pfThirdParty, with(pfOrder(), object{"bandwidth": nil, "flex_bandwidth_id": "x"}), 404,
			"Flex bandwidth not found: x"},
		{"customer", acmeKey, "POST", pfThirdParty, with(pfOrder(), object{"routing_id": "X"}), 404,
			"Customer not found: X"},
		{"oneself", acmeKey, "POST", pfThirdParty, with(pfOrder(), object{"routing_id": "PD-WUY-9VB0"}), 400,
			"Invalid Param: Routing ID PD-WUY-9VB0 is your own"},
		{"market", acmeKey, "POST", pfThirdParty, with(pfOrder(), object{"market": "SV"}), 404, "Market not found: SV"},
		{"service", acmeKey, "POST", pfThirdParty, with(pfOrder(), object{"service_uuid": vc}), 404,
			"Service not found: " + vc},

		{"list without type", acmeKey, "GET", pfRequests, nil, 400, `{"type": ["This field is required."]}`},
		{"list of another type", acmeKey, "GET", pfRequests + "?type=all", nil, 400,
			`{"type": ["\"all\" is not a valid choice."]}`},
		{"circuit id for a uuid", acmeKey, "GET", pfRequests + "/" + vc, nil, 404,
			"Requested URL " + pfRequests + "/" + vc + " not found"},
		{"uuid for a circuit id", acmeKey, "GET", pfServices + "/" + landed, nil, 404, "Requested URL " + pfServices},
		{"no such endpoint", acmeKey, "POST", pfRequests, nil, 404, "Requested URL /v2/services/requests not found"},
		{"status of v2", acmeKey, "GET", pfServices + "/" + vc + "/status", nil, 404, "Requested URL "},
		{"a stranger's look", globexKey, "GET", request, nil, 404, "Requested URL " + request + " not found"},
		{"a stranger's provision", globexKey, "POST", provision, pfLanding(cloudCHI, 7), 404, "Requested URL "},
		{"a stranger's delete", globexKey, "DELETE", pfServices + "/" + vc, nil, 404, "Requested URL "},
		{"a stranger's port", globexKey, "GET", "/v2/ports/" + acmeNYC, nil, 404, "Requested URL "},
		{"the buyer provisions", acmeKey, "POST", provision, pfLanding(acmeNYC, 7), 403, "Forbidden: "},
		{"the buyer rejects", acmeKey, "POST", request + "/reject", nil, 403, "Forbidden: "},
		{"the seller withdraws", cloudKey, "DELETE", request, nil, 403, "Forbidden: "},
		{"no token", "", "GET", pfServices, nil, 401, "Unauthorized"},
		{"a token of another API", s.acme, "GET", pfServices, nil, 401, "Unauthorized"},

		{"landing nowhere", cloudKey, "POST", provision, object{}, 400, "interface: field required"},
		{"landing without a VLAN", cloudKey, "POST", provision, land(object{"port_circuit_id": cloudCHI}), 400,
			"InvalidVlanParam: You must provide a VLAN"},
		{"landing on the buyer's port", cloudKey, "POST", provision, pfLanding(acmeNYC, 7), 404, "Port not found: "},
		{"landing in another market", cloudKey, "POST", provision, pfLanding(cloudATL, 7), 400,
			"Invalid Param: Port " + cloudATL + " is not in market CHI"},
		{"landing on a VLAN in use", cloudKey, "POST", provision, pfLanding(cloudCHI, 124), 400,
			"InvalidVlanParam: VLAN 124 is already in use on port " + cloudCHI + "."},
		{"landing beside the bounds", cloudKey, "POST", provision, pfLanding(cloudCHI, 1), 400,
			"interface.vlan: ensure this value is greater than or equal to 4"},
		{"untagged to untagged", cloudKey, "POST", pfRequests + "/" + bare + "/provision",
			land(object{"port_circuit_id": cloudCHI, "untagged": true}), 400, "InvalidVlanParam: "},
		{"provisioned already", cloudKey, "POST", pfRequests + "/" + landed + "/provision", pfLanding(cloudCHI, 9), 400,
			"Invalid Param: Request " + landed + " is not pending"},
		{"provisioned, rejected", cloudKey, "POST", pfRequests + "/" + landed + "/reject", nil, 400, "Invalid Param: "},
		{"provisioned, withdrawn", acmeKey, "DELETE", pfRequests + "/" + landed, nil, 400, "Invalid Param: "},
		{"rejected, provisioned", cloudKey, "POST", pfRequests + "/" + refused + "/provision", pfLanding(cloudCHI, 9), 400,
			"Invalid Param: "},
		{"rejected, rejected", cloudKey, "POST", pfRequests + "/" + refused + "/reject", nil, 400, "Invalid Param: "},
		{"a change too early", acmeKey, "PATCH", pfServices + "/" + vc, object{"description": "x"}, 400, "Invalid Param: "},
		{"the seller renames", cloudKey, "PATCH", pfServices + "/" + vc, object{"description": "x"}, 403, "Forbidden: "},

		{"one end", acmeKey, "POST", pfBackbone, with(pfOwn(7, 8), object{"interfaces": []object{}}), 400,
			"interfaces: ensure this value has 2 items"},
		{"path with an index", acmeKey, "POST", pfBackbone, pfOwn(0, 8), 400,
			"interfaces.0.vlan: ensure this value is greater than or equal to 4"},
		{"one end twice", acmeKey, "POST", pfBackbone, with(pfOwn(7, 7), object{"interfaces": []object{
			{"port_circuit_id": acmeNYC, "vlan": 7}, {"port_circuit_id": acmeNYC, "vlan": 7}}}), 400,
			"InvalidVlanParam: VLAN 7 is already in use"},
		{"the other's port", acmeKey, "POST", pfBackbone, with(pfOwn(7, 7), object{"interfaces": []object{
			{"port_circuit_id": acmeNYC, "vlan": 7}, {"port_circuit_id": cloudCHI, "vlan": 7}}}), 404, "Port not found: "},
		{"EPL with tags", acmeKey, "POST", pfBackbone, with(pfOwn(7, 7), object{"epl": true}), 400, "InvalidVlanParam: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := s.Inventory().PacketFabric
			r := s.do(tt.token, tt.method, tt.path, tt.body)
			r.t = t
			if got := r.want(tt.status).message(); !strings.HasPrefix(got, tt.message) {
				t.Errorf("%s\nwant %s", got, tt.message)
			}
			if after := s.Inventory().PacketFabric; !reflect.DeepEqual(before, after) {
				t.Errorf("what is refused left a trace: %+v", after)
			}
		})
	}
}

// TestPFTags lands circuits in every way that the exchange allows.
func TestPFTags(t *testing.T) {
	bare := func(port string) object { return object{"port_circuit_id": port, "untagged": true} }
	double := func(port string, svlan, vlan int) object {
		return object{"port_circuit_id": port, "svlan": svlan, "vlan": vlan}
	}
	plain := func(port string, vlan int) object { return object{"port_circuit_id": port, "vlan": vlan} }
	s := open(t, sandbox.Config{})
	tests := []struct {
		name string
		a, z object
		ok   bool
	}{
		{"VLAN to VLAN", plain(acmeNYC, 4), plain(cloudCHI, 4094), true},
		{"VLAN to ENNI", plain(acmeNYC, 5), double(cloudENNI, 10, 10), true},
		{"ENNI to VLAN", double(acmeENNI, 10, 11), plain(cloudCHI, 5), true},
		{"the same S-VLAN with another VLAN", double(acmeENNI, 10, 12), double(cloudENNI, 10, 11), true},
		{"the same both", plain(acmeNYC, 6), double(cloudENNI, 10, 11), false},
		{"VLAN to untagged", plain(acmeNYC, 6), bare(cloudCHI), true},
		{"the second untagged", plain(acmeNYC, 7), bare(cloudCHI), false},
		{"untagged to VLAN", bare(acmeNYC), plain(cloudCHI, 6), true},
		{"untagged to untagged", bare(acmeNYC2), bare(cloudCHI2), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := s.post(acmeKey, pfThirdParty, with(pfOrder(), object{"interface": tt.a})).want(http.StatusCreated)
			if got, want := r.object()["allow_untagged_z"], tt.a["untagged"] != true; got != want {
				t.Errorf("allow_untagged_z %v, want %v", got, want)
			}
			id := r.text("vc_request_uuid")
			r = s.post(cloudKey, pfRequests+"/"+id+"/provision", object{"interface": tt.z, "description": "landed"})
			if !tt.ok {
				if got := r.want(http.StatusBadRequest).message(); !strings.HasPrefix(got, "InvalidVlanParam: ") {
					t.Errorf("%s, want the VLAN refused", got)
				}
				return
			}
			for i, want := range []object{tt.a, tt.z} {
				got, _ := r.want(http.StatusCreated).object()["interfaces"].([]any)[i].(object)
				for _, field := range []string{"port_circuit_id", "vlan", "svlan", "untagged"} {
					w := want[field]
					if n, ok := w.(int); ok {
						w = float64(n)
					}
					if field == "untagged" && w == nil {
						w = false
					}
					if got[field] != w {
						t.Errorf("end %d: %s is %v, want %v", i, field, got[field], w)
					}
				}
			}
			if got := r.text("description"); got != "landed" {
				t.Errorf("description %s, want the seller's", got)
			}
		})
	}
	for port, want := range map[string]float64{acmeNYC: 7, acmeENNI: 4, acmeNYC2: 4} {
		got := s.get(acmeKey, "/v2/ports/"+port+"/vlan-summary").want(http.StatusOK).object()
		if got["lowest_available_vlan"] != want || got["max_vlan"] != 4094.0 {
			t.Errorf("%s: %v, want %v of 4094", port, got, want)
		}
	}
}
