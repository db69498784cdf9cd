package packetfabric_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/exchange/packetfabric"
)

// TestRequestInOurWords reads the request of the exchange's guide, alone and joined with
// its circuit.
func TestRequestInOurWords(t *testing.T) {
	f := newFake(t)
	f.says("GET "+pathRequest+asked, requestText(asked, "pending", ""))
	c := client(t, f.URL)
	check := func(id, want string) {
		t.Helper()
		got, err := c.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		conn := new(patchbayv1.Connection)
		if err := protojson.Unmarshal([]byte(want), conn); err != nil {
			t.Fatal(err)
		}
		conn.Id = event.ConnectionID("packetfabric", conn.GetExchangeId())
		if !proto.Equal(got, conn) {
			t.Errorf("got  %v\nwant %v", got, conn)
		}
	}
	base := `"exchange":"packetfabric","api":"packetfabric","exchangeId":"` + asked + `","bandwidthMbps":50,"flow":"approval",
		"buyerOrganization":"Evil KB Docs","sellerOrganization":"Knowledge Base Documents","createdAt":"2022-07-06T17:17:03.623071Z",`
	z := `"metro":"CHI","profileId":"` + seller + `","profileName":"Cloud Connect"`
	check(asked, `{`+base+`"status":"PENDING_APPROVAL","providerStatus":"NOT_AVAILABLE","native":{"status":"pending"},
		"aSide":{"metro":"NYC"},"zSide":{`+z+`},"updatedAt":"2022-07-06T17:17:03.623071Z"}`)

	f.says("GET "+pathRequest+asked, requestText(asked, "provisioned", vc))
	f.says("GET "+pathService+vc, circuitText(vc, "Active"))
	built := `{` + base + `"status":"PROVISIONED","providerStatus":"AVAILABLE","native":{"status":"provisioned","state":"Active"},
		"aliases":["` + vc + `"],"name":"one","purchaseOrder":"PO1","updatedAt":"2022-07-06T18:00:30Z",
		"aSide":{"metro":"NYC","portId":"` + portNYC + `","encapsulation":"dot1q","tag":{"vlan":100}},
		"zSide":{` + z + `,"portId":"` + portCHI + `","encapsulation":"qinq","tag":{"sTag":301,"cTag":300}}}`
	check(asked, built)
	check(vc, built) // by its alias
	if slices.ContainsFunc(f.whats(), func(w string) bool { return strings.HasSuffix(w, "/status") }) {
		t.Errorf("%q: the workflow of what is not in motion is of no interest", f.whats())
	}

	f.says("GET "+pathService+vc2, ownText(vc2, "Provisioning"))
	check(vc2, `{"exchange":"packetfabric","api":"packetfabric","exchangeId":"`+vc2+`","bandwidthMbps":50,"flow":"own","name":"one",
		"status":"PROVISIONING","providerStatus":"NOT_AVAILABLE","native":{"state":"Provisioning"},"createdAt":"2022-07-06T18:00:00Z",
		"aSide":{"portId":"`+portCHI+`","encapsulation":"dot1q","tag":{"vlan":200}},
		"zSide":{"portId":"`+portNYC+`","encapsulation":"dot1q","tag":{"vlan":100}}}`)
}

// updated is a request that changed a while ago.
func updated(status, circuit string, ago time.Duration) string {
	at := time.Now().Add(-ago).Format("2006-01-02T15:04:05.000000-0700")
	return strings.Replace(requestText(asked, status, circuit), `"time_updated":"2022-07-06T11:17:03.623071-0600"`, `"time_updated":"`+at+`"`, 1)
}

// TestGet follows a circuit through what the exchange may show of it.
func TestGet(t *testing.T) {
	const get, getVC = "GET " + pathRequest + asked, "GET " + pathService + vc
	tests := []struct {
		name, reason string
		know         map[string]string // with 200
		want         string            // status and native words; empty: gone
		calls        []string
	}{
		{"pending with an id", "its state must not hide that it waits", map[string]string{get: requestText(asked, "pending", vc)},
			"PENDING_APPROVAL pending  ", []string{get}},
		{"rejected", "", map[string]string{get: requestText(asked, "rejected", vc)}, "REJECTED rejected  ", []string{get}},
		{"a new word", "reported, never an error", map[string]string{get: requestText(asked, "expired", "")}, "UNKNOWN expired  ", []string{get}},
		{"no word", "", map[string]string{get: requestText(asked, "", "")}, "UNKNOWN   ", []string{get}},
		{"accepted, no id", "", map[string]string{get: requestText(asked, "provisioned", "")}, "PROVISIONING provisioned  ", []string{get}},
		{"accepted just now", "its circuit may be yet to come", map[string]string{get: updated("provisioned", vc, time.Second)},
			"PROVISIONING provisioned  ", []string{get, getVC}},
		{"accepted long ago", "its circuit is gone", map[string]string{get: updated("provisioned", vc, time.Minute)}, "", []string{get, getVC}},
		{"gone", "404 of request and no circuit", nil, "", []string{get}},
		{"building", "", map[string]string{get: requestText(asked, "provisioned", vc), getVC: circuitText(vc, "Pending"),
			pathStatus(vc): `{"status":{"object":{"state":"Pending"},"current":{"state":"ACTIVATING"},"last_workflow":{"state":"CREATE_INTERFACES",
			"is_final":false,"failures":[],"progress":{"position":3,"steps":8}}}}`},
			"PROVISIONING provisioned Pending ", []string{get, getVC, pathStatus(vc)}},
		{"history erased", "done or gone: the circuit has the last word", map[string]string{get: requestText(asked, "provisioned", vc),
			getVC: circuitText(vc, "Pending")}, "PROVISIONING provisioned Pending ", []string{get, getVC, pathStatus(vc), getVC}},
		{"workflow failed", "it may hold its tag still", map[string]string{get: requestText(asked, "provisioned", vc), getVC: circuitText(vc, "Pending"),
			pathStatus(vc): `{"status":{"last_workflow":{"current_state":"CREATE_INTERFACES","is_final":true,"failures":[{"x":1}]}}}`},
			"PROVISIONING provisioned Pending CREATE_INTERFACES", []string{get, getVC, pathStatus(vc), getVC}},
		{"workflow failed, by the other name", "the sources disagree", map[string]string{get: requestText(asked, "provisioned", vc),
			getVC: circuitText(vc, "Pending"), pathStatus(vc): `{"status":{"last_workflow":{"current_name":"X","is_final":true,"failures":["y"]}}}`},
			"PROVISIONING provisioned Pending X", []string{get, getVC, pathStatus(vc), getVC}},
		{"odd status", "the circuit tells enough", map[string]string{get: requestText(asked, "provisioned", vc), getVC: circuitText(vc, "Pending"),
			pathStatus(vc): `<html>`}, "PROVISIONING provisioned Pending ", []string{get, getVC, pathStatus(vc)}},
		{"deleting", "", map[string]string{get: requestText(asked, "provisioned", vc), getVC: circuitText(vc, "deleting"), pathStatus(vc): `{}`},
			"DEPROVISIONING provisioned deleting ", []string{get, getVC, pathStatus(vc)}},
		{"deleted", "", map[string]string{get: requestText(asked, "provisioned", vc), getVC: circuitText(vc, "Deleted")},
			"DEPROVISIONED provisioned Deleted ", []string{get, getVC}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			for what, text := range tt.know {
				f.says(what, text)
			}
			conn, err := client(t, f.URL).Get(t.Context(), asked)
			n := conn.GetNative()
			got := fmt.Sprintf("%s %s %s %s", conn.GetStatus(), n.GetStatus(), n.GetState(), n.GetChange())
			switch {
			case tt.want == "" && !errors.Is(err, exchange.ErrGone):
				t.Errorf("%s, %v; want gone: %s", got, err, tt.reason)
			case tt.want != "" && (err != nil || got != tt.want):
				t.Errorf("%q, %v; want %q: %s", got, err, tt.want, tt.reason)
			}
			if !slices.Equal(f.whats(), tt.calls) {
				t.Errorf("asked %q, want %q", f.whats(), tt.calls)
			}
		})
	}
}

// TestWorkflowIsOver reads the circuit again once its workflow is over, however it says so.
func TestWorkflowIsOver(t *testing.T) {
	for _, tt := range []struct {
		status, then string // then: the circuit's next state; empty: gone
		want         string
	}{
		{`{"status":{"last_workflow":{"progress":{"position":10,"steps":8}}}}`, "Active", "PROVISIONED"},
		{`{"status":{"last_workflow":{"state":"COMPLETE"}}}`, "Active", "PROVISIONED"},
		{`{"status":{"last_workflow":{"current_name":"COMPLETED"}}}`, "Active", "PROVISIONED"},
		{`{"status":{"current":{"state":"ACTIVE"}}}`, "Active", "PROVISIONED"},
		{`{"status":{"object":{"state":"Active"}}}`, "Active", "PROVISIONED"},
		{`{"status":{"object":{"deleted":true}}}`, "", ""},
		{`{"status":{"last_workflow":{"is_final":true,"failures":["x"],"state":"COMPLETE"}}}`, "Active", "PROVISIONED"},
		{``, "", ""}, // 404
		{``, "Active", "PROVISIONED"},
	} {
		f := newFake(t)
		seen := 0
		f.on("GET "+pathService+vc, func(w http.ResponseWriter, r *http.Request) {
			seen++
			switch {
			case seen == 1:
				answer(200, ownText(vc, "Pending"))(w, r)
			case tt.then == "":
				message(404, "Requested URL not found")(w, r)
			default:
				answer(200, ownText(vc, tt.then))(w, r)
			}
		})
		if tt.status != "" {
			f.says(pathStatus(vc), tt.status)
		}
		conn, err := client(t, f.URL).Get(t.Context(), vc)
		if conn.GetStatus() != tt.want || (tt.want == "") != errors.Is(err, exchange.ErrGone) {
			t.Errorf("%s then %s: %s, %v; want %s", tt.status, tt.then, conn.GetStatus(), err, tt.want)
		}
		if change := conn.GetNative().GetChange(); change != "" {
			t.Errorf("%s: shows a failure %q", tt.status, change)
		}
	}
}

// While a workflow is at work the circuit is read once a look, though the object is called active.
func TestWorkflowIsAtWork(t *testing.T) {
	for _, text := range []string{
		`{"status":{"object":{"state":"Active"},"current":{"state":"CREATE_INTERFACES"}}}`,
		`{"status":{"object":{"state":"Active"},"last_workflow":{"current_state":"CREATE_INTERFACES"}}}`,
		`{"status":{"object":{"state":"Active"},"last_workflow":{"progress":{"position":3,"steps":8}}}}`,
		`{"status":{"object":{"state":"deleting"},"last_workflow":{"name":"vc/workflow/delete/master"}}}`,
	} {
		f := newFake(t)
		f.says("GET "+pathService+vc, ownText(vc, "Pending"))
		f.says(pathStatus(vc), text)
		conn, err := client(t, f.URL).Get(t.Context(), vc)
		if err != nil || conn.GetStatus() != "PROVISIONING" {
			t.Errorf("%s: %s, %v; want PROVISIONING", text, conn.GetStatus(), err)
		}
		if want := []string{"GET " + pathService + vc, pathStatus(vc)}; !slices.Equal(f.whats(), want) {
			t.Errorf("%s: asked %q, want %q", text, f.whats(), want)
		}
	}
}

// TestGoneRequest: what became of a request is remembered when the exchange shows it no more.
func TestGoneRequest(t *testing.T) {
	f := newFake(t)
	f.says("GET "+pathRequest+asked, requestText(asked, "provisioned", vc))
	f.says("GET "+pathService+vc, circuitText(vc, "Active"))
	c := client(t, f.URL)
	if _, err := c.Get(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	f.on("GET "+pathRequest+asked, message(404, "Requested URL not found"))
	conn, err := c.Get(t.Context(), asked)
	if err != nil || conn.GetExchangeId() != asked || conn.GetStatus() != "PROVISIONED" || conn.GetFlow() != "approval" ||
		conn.GetZSide().GetProfileId() != seller || conn.GetASide().GetPortId() != portNYC {
		t.Errorf("%v, %v; want the circuit under the request's name", conn, err)
	}
	f.says(listVCs, "["+circuitText(vc, "Active")+"]")
	f.says(listSent, "[]")
	if got := list(t, c, exchange.Buyer, false); !slices.Equal(got, []string{asked + " PROVISIONED"}) {
		t.Errorf("listed %q, want the circuit under the request's name", got)
	}
	f.says(deleteVC, `{"message":"ok"}`)
	if out := c.Remove(t.Context(), asked); out.Class != exchange.Done {
		t.Errorf("%+v, want the circuit's end", out)
	}
	f.on("GET "+pathService+vc, message(404, "Requested URL not found"))
	if _, err := c.Get(t.Context(), asked); !errors.Is(err, exchange.ErrGone) {
		t.Errorf("%v, want gone", err)
	}
	// A circuit that was seen is not yet to come.
	f.says("GET "+pathRequest+asked, updated("provisioned", vc, 0))
	if _, err := c.Get(t.Context(), asked); !errors.Is(err, exchange.ErrGone) {
		t.Errorf("%v, want gone", err)
	}
}

// What became of a request is known to a process that never saw it, once it is told what one
// before had seen: else a circuit that bills would be taken for gone, and its deletion for done.
func TestGoneRequestAfterRestart(t *testing.T) {
	f := newFake(t)
	f.says("GET "+pathRequest+asked, requestText(asked, "provisioned", vc))
	f.says("GET "+pathService+vc, circuitText(vc, "Active"))
	seen, err := client(t, f.URL).Get(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	f.on("GET "+pathRequest+asked, message(404, "Requested URL not found"))
	f.says(listVCs, "["+circuitText(vc, "Active")+"]")
	f.says(listSent, "[]")
	f.says(deleteVC, `{"message":"ok"}`)

	c := client(t, f.URL)
	c.Remind(seen)
	conn, err := c.Get(t.Context(), asked)
	if err != nil || conn.GetExchangeId() != asked || conn.GetStatus() != "PROVISIONED" {
		t.Errorf("%v, %v; want the circuit under the request's name", conn, err)
	}
	if got := list(t, c, exchange.Buyer, false); !slices.Equal(got, []string{asked + " PROVISIONED"}) {
		t.Errorf("listed %q, want the circuit under the request's name", got)
	}
	if out := c.Remove(t.Context(), asked); out.Class != exchange.Done {
		t.Errorf("%+v, want the circuit's end", out)
	}
	// What the exchange has said since is newer.
	f.says("GET "+pathRequest+asked, requestText(asked, "provisioned", vc2))
	f.says("GET "+pathService+vc2, circuitText(vc2, "Active"))
	if _, err := c.Get(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	c.Remind(seen)
	f.on("GET "+pathRequest+asked, message(404, "Requested URL not found"))
	if conn, err := c.Get(t.Context(), asked); err != nil || !slices.Equal(conn.GetAliases(), []string{vc2}) {
		t.Errorf("%v, %v; want %s, which was shown later", conn, err, vc2)
	}
}

// list reads a list as "id STATUS".
func list(t *testing.T, c *packetfabric.Client, role string, moving bool) []string {
	t.Helper()
	var got []string
	err := c.List(t.Context(), role, moving, func(conn *patchbayv1.Connection) error {
		got = append(got, conn.GetExchangeId()+" "+conn.GetStatus())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestList(t *testing.T) {
	f := newFake(t)
	f.says(listVCs, `[{"cloud_circuit_id":"PF-CC-1"},`+strings.Join([]string{circuitText(vc, "Active"), ownText(vc2, "Pending"), circuitText("PF-BC-RECEIVED", "Active"),
		circuitText("PF-BC-OLD", "Active"), circuitText("PF-BC-NEW", "Pending"), ownText("PF-BC-GOING", "Deleting")}, ",")+"]")
	f.says("GET "+pathService+vc2, ownText(vc2, "Active"))
	f.says(pathStatus(vc2), `{"status":{"last_workflow":{"state":"COMPLETE"}}}`)
	sent := []string{
		requestText("r-pending", "pending", "PF-DC-1"), requestText("r-rejected", "rejected", ""),
		requestText("r-built", "provisioned", vc), requestText("r-lost", "provisioned", "PF-BC-LOST"),
		strings.ReplaceAll(updated("provisioned", "PF-BC-LATE", time.Second), asked, "r-late"), requestText("r-odd", "expired", ""),
	}
	f.says(listSent, "["+strings.Join(sent, ",")+"]")
	f.says(listGot, "["+requestText("g-built", "provisioned", "PF-BC-RECEIVED")+","+requestText("g-pending", "pending", "")+"]")
	c := client(t, f.URL)
	all := []string{"r-pending PENDING_APPROVAL", "r-rejected REJECTED", "r-built PROVISIONED", "r-late PROVISIONING", "r-odd UNKNOWN",
		vc2 + " PROVISIONED", "PF-BC-OLD PROVISIONED"}
	if got := list(t, c, exchange.Buyer, false); !slices.Equal(got, all) {
		t.Errorf("got  %q\nwant %q\n(one whose circuit is lost is gone; so is one that went during the look; a new one's request is to come)", got, all)
	}
	want := []string{listVCs, listSent, listGot, pathStatus(vc2), "GET " + pathService + vc2, pathStatus("PF-BC-GOING"), "GET " + pathService + "PF-BC-GOING"}
	if got := f.whats(); !slices.Equal(got, want) {
		t.Errorf("asked %q\nwant  %q: circuits before requests, more of those in motion alone", got, want)
	}
	if got := list(t, c, exchange.Buyer, true); !slices.Equal(got, all) {
		t.Errorf("in motion: %q, want %q: the lists are read whole, so nothing need be left out", got, all)
	}
	if got, want := list(t, c, exchange.Seller, false), []string{"g-built PROVISIONED", "g-pending PENDING_APPROVAL"}; !slices.Equal(got, want) {
		t.Errorf("received: %q, want %q", got, want)
	}
}

func TestListErrors(t *testing.T) {
	tests := []struct {
		name, role string
		know       map[string]http.HandlerFunc
	}{
		{"no role", "", nil},
		{"circuits", exchange.Seller, map[string]http.HandlerFunc{listVCs: answer(500, "")}},
		{"requests", exchange.Seller, map[string]http.HandlerFunc{listGot: answer(500, "")}},
		{"one odd circuit", exchange.Buyer, map[string]http.HandlerFunc{listVCs: answer(200, `[7]`)}},
		{"one odd request", exchange.Buyer, map[string]http.HandlerFunc{listSent: answer(200, `[{}]`)}},
		{"an object", exchange.Buyer, map[string]http.HandlerFunc{listSent: answer(200, `{"items":[]}`)}},
		{"null", exchange.Buyer, map[string]http.HandlerFunc{listVCs: answer(200, `null`)}},
		{"received", exchange.Buyer, map[string]http.HandlerFunc{listVCs: answer(200, "["+circuitText(vc, "Active")+"]"), listGot: answer(500, "")}},
		{"throttled status", exchange.Buyer, map[string]http.HandlerFunc{listVCs: answer(200, "["+ownText(vc, "Pending")+"]"), pathStatus(vc): answer(429, "")}},
		{"throttled status of a request", exchange.Buyer, map[string]http.HandlerFunc{listVCs: answer(200, "["+circuitText(vc, "Pending")+"]"),
			listSent: answer(200, "["+requestText(asked, "provisioned", vc)+"]"), pathStatus(vc): answer(429, "")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			for _, what := range []string{listVCs, listSent, listGot} {
				f.says(what, "[]")
			}
			for what, h := range tt.know {
				f.on(what, h)
			}
			err := client(t, f.URL).List(t.Context(), tt.role, false, func(*patchbayv1.Connection) error { return nil })
			if err == nil {
				t.Error("no error: what is missing would be taken for gone")
			}
		})
	}
	f := newFake(t)
	f.on(listVCs, answer(204, ""))
	f.says(listSent, "["+requestText(asked, "pending", "")+"]")
	stop := errors.New("stop")
	if err := client(t, f.URL).List(t.Context(), exchange.Buyer, false, func(*patchbayv1.Connection) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want yield's own error", err)
	}
	f.says(listVCs, "["+ownText(vc, "Active")+"]")
	f.says(listSent, "[]")
	if err := client(t, f.URL).List(t.Context(), exchange.Buyer, false, func(*patchbayv1.Connection) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v, want yield's own error", err)
	}
}

// TestOddAnswers: one odd field hides no other, and another circuit's answer is none.
func TestOddAnswers(t *testing.T) {
	f := newFake(t)
	f.says("GET "+pathRequest+asked, `{"vc_request_uuid":"`+asked+`","status":"pending","from_customer":"x","bandwidth":[1],
		"rate_limit_in":"70","rate_limit_out":null,"time_created":"yesterday","vc_circuit_id":{"a":1}}`)
	f.says("GET "+pathRequest+asked2, requestText(asked, "pending", ""))
	f.says("GET "+pathService+vc, ownText(vc2, "Active"))
	f.says("GET "+pathService+vc2, `[]`)
	c := client(t, f.URL)
	conn, err := c.Get(t.Context(), asked)
	if err != nil || conn.GetStatus() != "PENDING_APPROVAL" || conn.GetBandwidthMbps() != 70 || conn.GetCreatedAt() != nil {
		t.Errorf("%v, %v; want what can be read", conn, err)
	}
	for _, id := range []string{asked2, vc, vc2, "a/b", ""} {
		if conn, err := c.Get(t.Context(), id); err == nil || errors.Is(err, exchange.ErrGone) {
			t.Errorf("Get(%q) = %v, %v; want an error", id, conn, err)
		}
	}
}

func TestDatesAndSpeeds(t *testing.T) {
	const utc = "2022-07-06T17:17:03.623071Z"
	for _, tt := range []struct {
		text, want string
	}{
		{"2022-07-06T11:17:03.623071-0600", utc},
		{"2022-07-06T17:17:03.623071+00:00", utc},
		{utc, utc},
		{"2022-07-06T17:17:03Z", "2022-07-06T17:17:03Z"},
		{"", ""},
		{"soon", ""},
	} {
		conn, err := packetfabric.ReadRequest([]byte(`{"vc_request_uuid":"a","time_created":"` + tt.text + `"}`))
		got := ""
		if at := conn.GetCreatedAt(); at != nil {
			got = at.AsTime().Format(time.RFC3339Nano)
		}
		if err != nil || got != tt.want {
			t.Errorf("%q is read as %q, %v; want %q", tt.text, got, err, tt.want)
		}
	}
	for _, tt := range []struct {
		text string
		want int32
	}{
		{`"bandwidth":{"speed":"50Mbps"}`, 50},
		{`"bandwidth":{"speed":"1Gbps"}`, 1000},
		{`"bandwidth":{"speed":"100Gbps"}`, 100_000},
		{`"bandwidth":{"speed":"50"}`, 0},
		{`"bandwidth":{"speed":"manyMbps"}`, 0},
		{`"bandwidth":{"speed":"9999999Gbps"}`, 0},
		{`"bandwidth":{"speed":"1Gbps"},"rate_limit_in":500,"rate_limit_out":700`, 500},
		{`"bandwidth":{"speed":"1Gbps"},"rate_limit_out":700`, 700},
		{`"bandwidth":null`, 0},
	} {
		conn, err := packetfabric.ReadRequest([]byte(`{"vc_request_uuid":"a",` + tt.text + `}`))
		if err != nil || conn.GetBandwidthMbps() != tt.want {
			t.Errorf("%s is read as %d, %v; want %d", tt.text, conn.GetBandwidthMbps(), err, tt.want)
		}
	}
}

// TestOtherCase reads the same circuits, ports and customers whatever the case of their ids.
func TestOtherCase(t *testing.T) {
	told := func(around func(http.Handler) http.Handler) []string {
		f := newFake(t)
		f.says("GET "+pathRequest+asked, requestText(asked, "provisioned", vc))
		f.says("GET "+pathService+vc, circuitText(vc, "Active"))
		f.says("GET "+pathService+vc2, ownText(vc2, "Active"))
		f.says("DELETE "+pathService+vc, `{"message":"ok"}`)
		f.says("POST /v2/services/third-party", requestText(asked, "pending", vc))
		f.says(listVCs, "["+circuitText(vc, "Active")+","+ownText(vc2, "Active")+"]")
		f.says(listSent, "["+requestText(asked, "provisioned", vc)+"]")
		f.says(listGot, "[]")
		f.says("GET /v2/ports", portsText)
		f.says("GET /v2/marketplace/services", offersText)
		s := httptest.NewServer(around(f))
		defer s.Close()
		c := client(t, s.URL, func(cfg *exchange.Config) { cfg.Account.Role = account.Both })
		lines := exchangetest.Told(t, c, asked, single(t))
		for _, id := range []string{vc, vc2} { // an alias, and a circuit of no request
			conn, err := c.Get(t.Context(), id)
			lines = append(lines, fmt.Sprint(conn.GetId(), conn.GetExchangeId(), conn.GetAliases(), err))
		}
		return lines
	}
	want := told(func(h http.Handler) http.Handler { return h })
	got := told(exchangetest.OtherCase)
	if !slices.Equal(got, want) {
		t.Errorf("with ids in another case\n got %q\nwant %q", got, want)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(requestText(asked, "pending", vc)))
	f.Add([]byte(`{"vc_request_uuid":"a","rate_limit_in":1e99,"from_customer":[],"time_created":"2022-07-06 19:51:12.0"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		conn, err := packetfabric.ReadRequest(b)
		if err != nil {
			return
		}
		sound(t, b, conn)
	})
}

func FuzzCircuit(f *testing.F) {
	f.Add([]byte(circuitText(vc, "Active")))
	f.Add([]byte(`{"vc_circuit_id":"a","interfaces":[{"vlan":-1},{"svlan":"7"},{}]}`))
	f.Add([]byte(`{"vc_circuit_id":"a","interfaces":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		alone, joined, err := packetfabric.ReadCircuit(b)
		if err != nil {
			return
		}
		sound(t, b, alone)
		sound(t, b, joined)
	})
}

func sound(t *testing.T, b []byte, conn *patchbayv1.Connection) {
	t.Helper()
	if conn.GetExchangeId() == "" || conn.GetStatus() == "" || conn.GetProviderStatus() == "" || conn.GetBandwidthMbps() < 0 {
		t.Errorf("%q reads as %v, without id or status", b, conn)
	}
	if ts := conn.GetCreatedAt(); ts != nil && !ts.IsValid() {
		t.Errorf("%q has the time %v", b, ts)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"message":"InvalidVlanParam: x"}`))
	f.Add([]byte(`{"message":{"a":[1]}}`))
	f.Add([]byte(`{"status":{"last_workflow":{"progress":{"position":10,"steps":8},"failures":[{}],"is_final":"true"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, own := packetfabric.ReadMessage(b)
		if own && m.Text == "" || !strings.HasPrefix(m.Text, m.Code) || !strings.HasPrefix(m.Text, m.Property) {
			t.Errorf("%q reads as %+v", b, m)
		}
		if over, failed := packetfabric.ReadWorkflow(b); failed != "" && !over {
			t.Errorf("%q: a workflow failed and is not over", b)
		}
	})
}

// FuzzLogin is answered anything when it logs in: there are ports or an error, which does not
// tell the secret, and a login that was granted is not asked for again.
func FuzzLogin(f *testing.F) {
	f.Add(200, `{"token":"t","time_expires":"2022-07-06T11:17:03.623071-0600"}`)
	f.Add(200, `{"token":["t"],"time_expires":7}`)
	f.Add(201, `{"token":"a\u000ab"}`)
	f.Add(401, `{"message":"no `+canary+`-login"}`)
	f.Add(403, `{"message":"c4n4ry\u002d7Zq-login"}`)
	f.Add(429, "")
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 {
			t.Skip("no final status")
		}
		x := newFake(t)
		x.on("POST /v2/auth/login", answer(status, body))
		x.says("GET /v2/ports", portsText)
		c := client(t, x.URL)
		_, err := c.Ports(t.Context())
		switch {
		case err == nil:
			if _, err := c.Ports(t.Context()); err != nil || x.logins() != 1 {
				t.Errorf("%d %q: then %v and %d logins, want the same login", status, body, err, x.logins())
			}
		case strings.Contains(err.Error(), canary+"-login"):
			t.Errorf("%d %q: the error tells the secret: %v", status, body, err)
		}
	})
}

// FuzzClient asks everything of an exchange that answers anything.
func FuzzClient(f *testing.F) {
	for _, s := range []string{
		requestText(asked, "pending", ""),
		"[" + requestText(asked, "provisioned", vc) + "]\n--\n[" + circuitText(vc, "Active") + "]",
		portsText + "\n--\n" + marketsText + "\n--\n" + offersText,
		"400 " + `{"message":"InvalidVlanParam: x"}`,
		`{"status":{"last_workflow":{"progress":{"position":1,"steps":8},"is_final":true,"failures":["x"]}}}`,
		requestText("1902767C-2E77-41DE-A7CB-BC9DB91651A2", "provisioned", "pf-bc-nyc-chi-1000001"),
		"429 \n--\n503 <html>\n--\n204 ",
	} {
		f.Add(s)
	}
	stranger := exchangetest.Stranger{
		Login: "/v2/auth/login", Granted: `{"token":"t"}`, Intent: single(f),
		Open: func(dial func(context.Context, string, string) (net.Conn, error)) (exchange.Client, error) {
			cfg := config("http://exchange.test")
			cfg.Dial = dial
			return packetfabric.New(cfg)
		},
	}
	f.Fuzz(stranger.Ask)
}
