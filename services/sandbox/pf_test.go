package sandbox_test

import (
	"net/http"
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
