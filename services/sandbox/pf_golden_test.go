package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

// TestPFGolden compares whole answers with testdata, by value.
func TestPFGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Seed: 1})
		golden := func(name string, r *reply, status int) *reply {
			t.Helper()
			r.want(status)
			compare(t, filepath.Join("testdata", "pf_"+name+".json"), r.body)
			return r
		}
		golden("login", s.post("", "/v2/auth/login", object{"login": "john.doe", "password": "acme-password"}), 200)
		id := golden("request", s.post(acmeKey, pfThirdParty, with(pfOrder(), object{"service_uuid": pfBackup,
			"rate_limit_in": 50, "rate_limit_out": 50})), 201).text("vc_request_uuid")
		golden("refused_type", s.get(acmeKey, pfRequests), 400)
		vc := golden("provision", s.post(cloudKey, pfRequests+"/"+id+"/provision", pfLanding(cloudCHI, 7)),
			201).text("vc_circuit_id")
		time.Sleep(time.Second)
		golden("status", s.get(acmeKey, "/v2.1/services/"+vc+"/status"), 200)
		time.Sleep(time.Second)
		golden("status_complete", s.get(acmeKey, "/v2.1/services/"+vc+"/status"), 200)
		golden("service", s.get(acmeKey, pfServices+"/"+vc), 200)
		golden("requests", s.get(cloudKey, pfRequests+"?type=received"), 200)
		golden("backbone", s.post(acmeKey, pfBackbone, pfOwn(8, 9)), 201)
		golden("port", s.get(acmeKey, "/v2/ports/"+acmeENNI), 200)
		golden("port_status", s.get(acmeKey, "/v2.1/ports/"+acmeENNI+"/status"), 200)
		golden("vlan_summary", s.get(acmeKey, "/v2/ports/"+acmeENNI+"/vlan-summary"), 200)
		golden("markets", s.get(acmeKey, "/v2/locations/markets"), 200)
		golden("marketplace", s.get(acmeKey, "/v2/marketplace/services"), 200)
		golden("activity", s.get(cloudKey, "/v2/activity-logs"), 200)
		golden("delete", s.do(acmeKey, http.MethodDelete, pfServices+"/"+vc, nil), 200)
	})
}

// alike checks that got is spelled as the exchange's sample: the same fields with the same
// types, and the same values but for those in differ. Fields in extra may be there besides;
// fields in absent need not.
func alike(t *testing.T, path string, got, want any, s spelling) {
	t.Helper()
	if reflect.TypeOf(got) != reflect.TypeOf(want) {
		t.Errorf("%s: %T, want %T as in the sample", path, got, want)
		return
	}
	switch w := want.(type) {
	case object:
		g, _ := got.(object)
		for field, value := range w {
			at := strings.TrimPrefix(path+"."+field, ".")
			if _, ok := g[field]; ok {
				alike(t, at, g[field], value, s)
			} else if !slices.Contains(s.absent, at) {
				t.Errorf("%s is not there", at)
			}
		}
		for field := range g {
			at := strings.TrimPrefix(path+"."+field, ".")
			if _, ok := w[field]; !ok && !slices.Contains(s.extra, at) {
				t.Errorf("%s is not in the sample", at)
			}
		}
	case []any:
		g, _ := got.([]any)
		if len(g) > 0 && len(w) > 0 {
			alike(t, path+"[]", g[0], w[0], s)
		}
	default:
		if got != want && !slices.Contains(s.differ, path) {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}

// spelling lists deliberate differences from a sample.
type spelling struct{ differ, extra, absent []string }

// TestPFSamples compares answers with the samples that the exchange's documents and the
// fixtures of its public clients have; the differences are listed, each for a reason.
func TestPFSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		id := s.ask(pfOrder())
		r := s.post(cloudKey, pfRequests+"/"+id+"/provision", pfLanding(cloudCHI, 6))
		vc := r.text("vc_circuit_id")
		time.Sleep(600 * time.Millisecond)
		id2 := s.ask(with(pfOrder(), object{"interface": object{"port_circuit_id": acmeNYC, "vlan": 101}}))
		for name, tt := range map[string]struct {
			got []byte
			spelling
		}{
			"request": {s.get(cloudKey, pfRequests+"/"+id2).body, spelling{
				// Other companies and people ask each other here, at another time.
				differ: strings.Fields(`vc_request_uuid from_customer.name from_customer.contact_first_name
					from_customer.contact_last_name to_customer.name text time_created time_updated`)}},
			"provision": {r.body, spelling{
				// The fixture is of an EPL circuit within one market; this one is EVPL from New York to
				// Chicago, on other ports, and is named as circuits of the marketplace are.
				differ: strings.Fields(`vc_circuit_id customer_uuid service_class mode description rate_limit_in
					rate_limit_out time_created time_updated interfaces[].port_circuit_id interfaces[].pop
					interfaces[].site interfaces[].site_name interfaces[].speed interfaces[].vlan
					interfaces[].customer_uuid interfaces[].customer_name interfaces[].time_created
					interfaces[].admin_status interfaces[].operational_status`),
				// Shown by reads of the real exchange.
				extra: strings.Fields(`bandwidth account_uuid interfaces[].time_updated`)}},
			"status": {s.get(acmeKey, "/v2.1/services/"+vc+"/status").body, spelling{
				differ: strings.Fields(`circuit_id status.last_workflow.root status.last_workflow.current
					status.last_workflow.current_state status.last_workflow.prev_state`),
				// Clients know the state under two names; both are there.
				extra: []string{"status.last_workflow.current_name"}}},
			"vlan-summary": {s.get(acmeKey, "/v2/ports/"+acmeNYC2+"/vlan-summary").body, spelling{}},
		} {
			var got, want any
			text, err := os.ReadFile(filepath.Join("testdata", "pf_samples", name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(name, err)
			}
			if err := json.Unmarshal(tt.got, &got); err != nil {
				t.Fatal(name, err)
			}
			t.Log(name)
			alike(t, "", got, want, tt.spelling)
		}
		made := s.get(acmeKey, pfRequests+"/"+id2).text("time_created")
		if _, err := time.Parse("2006-01-02T15:04:05.000000-0700", made); err != nil {
			t.Errorf("time_created: %v", err)
		}
		if _, err := time.Parse(time.RFC3339, made); err == nil {
			t.Errorf("time_created %s: want an offset without a colon", made)
		}
	})
}

// TestPFStatus follows a workflow to the erasure of its history.
func TestPFStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: 70 * time.Second, Deprovision: 7 * time.Second,
			History: time.Minute}})
		vc := s.provision(s.ask(pfOrder()), pfLanding(cloudCHI, 7))
		look := func(token string) string {
			t.Helper()
			r := s.get(token, "/v2.1/services/"+vc+"/status")
			if r.status == http.StatusNotFound {
				r.message()
				return "404"
			}
			status, _ := r.want(http.StatusOK).object()["status"].(object)
			w, _ := status["last_workflow"].(object)
			if w["current_state"] != w["current_name"] {
				t.Errorf("%s, want one state under both names", r.body)
			}
			current, _ := status["current"].(object)
			of, _ := status["object"].(object)
			progress, _ := w["progress"].(object)
			return fmt.Sprint(of["state"], " ", current["state"], " ", progress["position"], " of ", progress["steps"],
				" ", w["is_final"])
		}
		is := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			if got := look(acmeKey); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		is(0, "Active WORKFLOW_OBJECT_XREF 1 of 8 false")
		is(21*time.Second, "Active CREATE_INTERFACES 3 of 8 false")
		is(48*time.Second, "Active NOTIFY_RESELLER_PROVISION_WORKFLOW 7 of 8 false")
		is(time.Second, "Active COMPLETE 10 of 8 true") // beyond its own steps
		if got := look(cloudKey); got == "404" {
			t.Error("the seller sees no status")
		}
		if got := look(globexKey); got != "404" {
			t.Errorf("a stranger sees %s", got)
		}
		is(time.Minute, "404")
		if got := s.pfState(vc); got != "Active" {
			t.Errorf("state %s, want Active: only the history is erased", got)
		}
		s.do(cloudKey, http.MethodDelete, pfServices+"/"+vc, nil).want(http.StatusOK) // either party may
		is(0, "deleting DELETE_VC 1 of 8 false")
		is(7*time.Second, "deleted COMPLETE 10 of 8 true")
		is(time.Minute, "404")

		stuck := s.provision(s.ask(pfOrder()), pfLanding(cloudCHI, 7))
		time.Sleep(21 * time.Second)
		if err := s.Edit(sandbox.Edit{Kind: "fail", Connection: stuck}); err != nil {
			t.Fatal(err)
		}
		vc = stuck
		is(time.Hour, "Active CREATE_INTERFACES 3 of 8 true")
		if got := s.pfState(vc); got != "Provisioning" {
			t.Errorf("state %s, want Provisioning for ever", got)
		}
		s.do(acmeKey, http.MethodDelete, pfServices+"/"+vc, nil).want(http.StatusOK)
		time.Sleep(7 * time.Second)
		if got := s.pfState(vc); got != "Deleted" {
			t.Errorf("state %s, want Deleted", got)
		}
	})
}
