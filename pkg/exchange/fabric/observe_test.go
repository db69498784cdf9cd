package fabric_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/encoding/protojson"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/exchange/fabric"
)

// TestDecode reads the documents' samples, and their odd forms.
func TestDecode(t *testing.T) {
	tests := []struct {
		name, body, want string
	}{
		{"created by token", file(t, "created.json"), `{"name":"Conn-1","bandwidthMbps":1000,"status":"PROVISIONING",
			"providerStatus":"NOT_AVAILABLE","native":{"status":"PROVISIONING","providerStatus":"NOT_AVAILABLE","state":"PROVISIONING"},
			"aSide":{"portId":"a867f685-41b0-1b07-6de0-320a5c00abdd","encapsulation":"dot1q","tag":{"vlan":1001}},"zSide":{},
			"purchaseOrder":"1-129105284100","flow":"token","createdAt":"2021-07-15T19:30:29.526Z"}`},
		{"approved", file(t, "approved.json"), `{"name":"Conn-Name-2","bandwidthMbps":1000,"status":"PROVISIONED",
			"providerStatus":"PROVISIONED","native":{"status":"PROVISIONED","providerStatus":"PROVISIONED","change":"APPROVED"},
			"aSide":{"portId":"a867f685-41b0-1b07-6de0-320a5c00abdd","encapsulation":"dot1q","tag":{"vlan":1001}},
			"zSide":{"portId":"c791f8cb-5ae1-ae10-8ce0-306a5c00a4ee","portName":"testBuyer-FR4-L-Dot1q-STD-PRI-10G-JN-489",
			"encapsulation":"dot1q","tag":{"vlan":837},"metro":"SV","profileId":"20d32a80-0d61-4333-bc03-707b591ae2f4"},
			"redundancy":"primary","purchaseOrder":"1-129105284100",
			"createdAt":"2021-07-15T19:30:29.526Z","updatedAt":"2021-08-15T19:30:29.526Z"}`},
		{"odd forms", `{"uuid":"` + circuitA + `","name":7,"bandwidth":"10","state":"","operation":{"equinixStatus":"PENDING_DELETE",
			"providerStatus":"PENDING DELETE"},"changelog":{"createdBy":91997,"createdDateTime":"2021-10-27 16:25:37.229Z","updatedBy":"me"},
			"aSide":{"accessPoint":{"linkProtocol":{"type":"Dot1q","vlanTag":"23"},"location":"DA"}},
			"zSide":{"accessPoint":{"linkProtocol":{"type":"QINQ","vlanSTag":1,"vlanCTag":"0"},"port":[]}},"change":[1],"order":"x"}`,
			`{"name":"7","bandwidthMbps":10,"status":"PENDING_DELETE","providerStatus":"PENDING_DELETE",
			"native":{"status":"PENDING_DELETE","providerStatus":"PENDING DELETE"},
			"aSide":{"encapsulation":"dot1q","tag":{"vlan":23}},"zSide":{"encapsulation":"qinq","tag":{"sTag":1}},
			"createdAt":"2021-10-27T16:25:37.229Z"}`},
		{"words nobody knows", `{"uuid":"` + circuitA + `","state":"MAGIC","operation":{"equinixStatus":"WONDERING","providerStatus":"BUSY"}}`,
			`{"status":"UNKNOWN","providerStatus":"UNKNOWN","native":{"status":"WONDERING","providerStatus":"BUSY","state":"MAGIC"},"aSide":{},"zSide":{}}`},
		{"failed", `{"uuid":"` + circuitA + `","state":"FAILED","operation":{"equinixStatus":"NOT_PROVISIONED","providerStatus":"FAILED"}}`,
			`{"status":"FAILED","providerStatus":"FAILED","native":{"status":"NOT_PROVISIONED","providerStatus":"FAILED","state":"FAILED"},"aSide":{},"zSide":{}}`},
		{"rejected", `{"uuid":"` + circuitA + `","operation":{"equinixStatus":"REJECTED","providerStatus":"REJECTED"},"change":{"status":"REJECTED","information":"no room"}}`,
			`{"status":"REJECTED","providerStatus":"REJECTED","native":{"status":"REJECTED","providerStatus":"REJECTED","change":"REJECTED"},
			"rejectComment":"no room","aSide":{},"zSide":{}}`},
		{"rejected in other words", `{"uuid":"` + circuitA + `","operation":{"equinixStatus":"REJECTED","errors":[{"errorMessage":"no room"}]}}`,
			`{"status":"REJECTED","providerStatus":"NOT_AVAILABLE","native":{"status":"REJECTED"},"rejectComment":"no room","aSide":{},"zSide":{}}`},
		{"change waits", `{"uuid":"` + circuitA + `","state":"PROVISIONED","operation":{"equinixStatus":"PROVISIONED","providerStatus":"AVAILABLE"},
			"change":{"type":"CONNECTION_UPDATE","status":"SUBMITTED_FOR_APPROVAL","data":{"op":"replace","path":"/bandwidth","value":500}}}`,
			`{"status":"PROVISIONED","providerStatus":"AVAILABLE","native":{"status":"PROVISIONED","providerStatus":"AVAILABLE","state":"PROVISIONED",
			"change":"SUBMITTED_FOR_APPROVAL"},"changePending":true,"pendingBandwidthMbps":500,"aSide":{},"zSide":{}}`},
		{"change of the name", `{"uuid":"` + circuitA + `","operation":{"equinixStatus":"PROVISIONED","providerStatus":"AVAILABLE"},
			"change":{"type":"CONNECTION_UPDATE","status":"REQUESTED","data":[{"path":"/name","value":"x"}]}}`,
			`{"status":"PROVISIONED","providerStatus":"AVAILABLE","native":{"status":"PROVISIONED","providerStatus":"AVAILABLE","change":"REQUESTED"},
			"changePending":true,"aSide":{},"zSide":{}}`},
		{"being changed", `{"uuid":"` + circuitA + `","state":"REPROVISIONING","operation":{"equinixStatus":"PROVISIONED","providerStatus":"AVAILABLE"},
			"change":{"type":"CONNECTION_UPDATE","status":"COMPLETED"}}`,
			`{"status":"PROVISIONED","providerStatus":"AVAILABLE","native":{"status":"PROVISIONED","providerStatus":"AVAILABLE","state":"REPROVISIONING",
			"change":"COMPLETED"},"changePending":true,"aSide":{},"zSide":{}}`},
		{"own ports, untagged", `{"type":"EPL_VC","uuid":"` + circuitA + `","operation":{"equinixStatus":"PROVISIONED","providerStatus":"AVAILABLE"},
			"aSide":{"accessPoint":{"port":{"uuid":"p1"}}},"zSide":{"accessPoint":{"port":{"uuid":"p2"},"linkProtocol":{"type":"UNTAGGED"}}}}`,
			`{"status":"PROVISIONED","providerStatus":"AVAILABLE","native":{"status":"PROVISIONED","providerStatus":"AVAILABLE"},"flow":"own",
			"aSide":{"portId":"p1","encapsulation":"untagged","tag":{"untagged":true}},"zSide":{"portId":"p2","encapsulation":"untagged","tag":{"untagged":true}}}`},
		{"whose account", accounts("INCOMING", "", `{"organizationName":"Globex","accountName":"globex-1"}`, `{"organizationName":"Other"}`, ""), named("Globex", "")},
		{"account without an organization", accounts("INCOMING", "", `{"accountName":"globex-1"}`, "", `{"accountName":"cloud-1"}`), named("globex-1", "cloud-1")},
		{"only the circuit names the buyer", accounts("INCOMING", "", "", `{"organizationName":"Globex"}`, `{"organizationName":"Cloud"}`), named("Globex", "Cloud")},
		{"the circuit names the seller who reads it", accounts("INCOMING", "", "", `{"organizationName":"Cloud"}`, `{"organizationName":"Cloud"}`), named("", "Cloud")},
		{"within one company", accounts("INTERNAL", "", "", `{"organizationName":"Acme"}`, `{"organizationName":"Acme"}`), named("Acme", "Acme")},
		{"the A side is its maker's", accounts("OUTGOING", "t", `{"organizationName":"Maker"}`, `{"organizationName":"Acme"}`, ""), named("Acme", "")},
		{"secrets stay", `{"uuid":"` + circuitA + `","operation":{"equinixStatus":"PROVISIONED"},"additionalInfo":[{"key":"accessKey","value":"` + canary + `"}],
			"notifications":[{"type":"ALL","emails":["` + canary + `@example.com"]}],"aSide":{"serviceToken":{"uuid":"` + canary + `"}},
			"zSide":{"accessPoint":{"authenticationKey":"` + canary + `","sellerRegion":"us","peeringType":"private","linkProtocol":{"vlanCTag":3}}}}`,
			`{"status":"PROVISIONED","providerStatus":"NOT_AVAILABLE","native":{"status":"PROVISIONED"},"flow":"token","aSide":{},
			"zSide":{"region":"us","peering":"PRIVATE","tag":{"cTag":3}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := fabric.ReadConnection([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if got.GetExchange() != "equinix" || got.GetApi() != "fabric" || got.GetExchangeId() != circuitA || got.GetId() == "" {
				t.Errorf("%v is not named as it should be", got)
			}
			got.Id, got.Exchange, got.Api, got.ExchangeId = "", "", "", ""
			b, err := protojson.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			sameJSON(t, string(b), tt.want)
			if strings.Contains(string(b), canary) {
				t.Errorf("%s tells a secret", b)
			}
		})
	}
}

// accounts is a circuit on which accounts are named: the A side's, its own and the Z side's.
func accounts(direction, token, a, own, z string) string {
	field := func(s string) string { return `"account":` + cmp.Or(s, "null") }
	side := ""
	if token != "" {
		side = `"serviceToken":{"uuid":"` + token + `"},`
	}
	return `{"uuid":"` + circuitA + `","direction":"` + direction + `",` + field(own) + `,"operation":{"equinixStatus":"PROVISIONED"},` +
		`"aSide":{` + side + `"accessPoint":{` + field(a) + `}},"zSide":{"accessPoint":{"profile":{"uuid":"p"},` + field(z) + `}}}`
}

// named is what such a circuit is in our words.
func named(buyer, seller string) string {
	parties := ""
	if buyer != "" {
		parties += `"buyerOrganization":"` + buyer + `",`
	}
	if seller != "" {
		parties += `"sellerOrganization":"` + seller + `",`
	}
	return `{"status":"PROVISIONED","providerStatus":"NOT_AVAILABLE","native":{"status":"PROVISIONED"},` + parties +
		`"aSide":{},"zSide":{"profileId":"p"}}`
}

// TestGet says what an answer to a read means.
func TestGet(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		gone   bool
		ok     bool
	}{
		{"there", 200, file(t, "approved.json"), false, true},
		{"unknown, 400", 400, refusal("EQ-3142519", "does not exist", ""), true, false},
		{"unknown, 404", 404, refusal("EQ-3045811", "uuid not found", ""), true, false},
		{"unknown, 404 with the code of 400", 404, refusal("EQ-3142519", "does not exist", ""), true, false},
		{"somebody else's 404", 404, `<html>`, false, false},
		{"another code", 400, refusal("EQ-3142501", "bad", ""), false, false},
		{"no permission", 403, refusal("EQ-300005", "no READ permission", ""), false, false},
		{"the code under a 403", 403, refusal("EQ-3142519", "no", ""), false, false},
		{"error", 500, ``, false, false},
		{"another circuit", 200, circuit(circuitB, "x", portDot, ""), false, false},
		{"no circuit", 200, `{}`, false, false},
	}
	for _, tt := range tests {
		f := newFake(t)
		f.on("GET /fabric/v4/connections/{id}", answer(tt.status, tt.body))
		conn, err := client(t, f).Get(t.Context(), circuitA)
		if errors.Is(err, exchange.ErrGone) != tt.gone || (err == nil) != tt.ok {
			t.Errorf("%s: %v, %v; want gone %v, found %v", tt.name, conn, err, tt.gone, tt.ok)
		}
	}
	if _, err := client(t, newFake(t)).Get(t.Context(), "../x"); err == nil {
		t.Error("an id that is none was asked for")
	}
}

// collect gathers the ids of what a list yields.
func collect(ids *[]string) func(*patchbayv1.Connection) error {
	return func(c *patchbayv1.Connection) error {
		*ids = append(*ids, c.GetExchangeId())
		return nil
	}
}

// TestRoles says whose a circuit is.
func TestRoles(t *testing.T) {
	rows := []string{
		circuit("out", "a", "other", `"direction":"OUTGOING"`),
		circuit("in", "b", portDot, `"direction":"INCOMING"`),
		circuit("internal", "c", portDot, `"direction":"INTERNAL","zSide":{"accessPoint":{"profile":{"uuid":"p"}}}`),
		circuit("own", "d", portDot, `"direction":"INTERNAL","zSide":{"accessPoint":{"port":{"uuid":"`+portDot2+`"}}}`),
		circuit("mine", "e", portDot, ``),
		circuit("theirs", "f", "other", ``),
		`{"uuid":"redeemed","name":"g","direction":"INCOMING","aSide":{"serviceToken":{"uuid":"x"}}}`,
		`{"uuid":"asked","name":"h","direction":"INCOMING","aSide":{"serviceToken":{"uuid":"x"}},"zSide":{"accessPoint":{"profile":{"uuid":"p"}}}}`,
	}
	tests := []struct {
		account account.Role
		list    string
		want    []string
	}{
		{account.Both, exchange.Buyer, []string{"out", "internal", "own", "mine", "redeemed"}},
		{account.Both, exchange.Seller, []string{"in", "internal", "theirs", "asked"}},
		{account.Buyer, exchange.Buyer, []string{"out", "internal", "own", "mine", "theirs", "redeemed"}},
		{account.Seller, exchange.Seller, []string{"in", "internal", "mine", "theirs", "asked"}},
	}
	for _, tt := range tests {
		f := newFake(t).ports()
		f.on("POST /fabric/v4/connections/search", searched(rows...))
		c := client(t, f, role(tt.account))
		for name, list := range map[string]func(func(*patchbayv1.Connection) error) error{
			"List": func(y func(*patchbayv1.Connection) error) error { return c.List(t.Context(), tt.list, false, y) },
			"Changed": func(y func(*patchbayv1.Connection) error) error {
				return c.Changed(t.Context(), tt.list, time.Time{}, y)
			},
		} {
			var got []string
			if err := list(collect(&got)); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%s of a %s as %s = %v, %v; want %v", name, tt.account, tt.list, got, err, tt.want)
			}
		}
	}
	f := newFake(t)
	c := client(t, f, role(account.Buyer))
	if err := c.List(t.Context(), "owner", false, nil); err == nil {
		t.Error("a role that is none was listed")
	}
	f.on("GET /fabric/v4/ports", answer(500, ""))
	if err := client(t, f).List(t.Context(), exchange.Buyer, false, nil); err == nil {
		t.Error("circuits were told apart without the ports")
	}
}

// numbered are n circuits of which the first was updated last, a minute apart.
func numbered(n int, newest time.Time) []string {
	var rows []string
	for i := range n {
		rows = append(rows, fmt.Sprintf(`{"uuid":"c%d","direction":"OUTGOING","changeLog":{"updatedDateTime":%q}}`, i,
			newest.Add(-time.Duration(i)*time.Minute).Format(time.RFC3339)))
	}
	return rows
}

// TestWhole says how a list is read to its end, and when it cannot be.
func TestWhole(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rows := numbered(250, now)
	pageOf := func(total int, rows ...string) http.HandlerFunc {
		return answer(200, fmt.Sprintf(`{"pagination":{"total":%d},"data":[%s]}`, total, strings.Join(rows, ",")))
	}
	tests := []struct {
		name  string
		h     http.HandlerFunc
		want  int // negative: an error
		calls int
	}{
		{"three pages", searched(rows...), 250, 3},
		{"exactly two", searched(rows[:200]...), 200, 2},
		{"none", searched(), 0, 1},
		{"nothing to say", answer(204, ""), 0, 1},
		{"a bare list", answer(200, "["+strings.Join(rows[:3], ",")+"]"), 3, 1},
		{"no total", answer(200, `{"data":[`+rows[0]+`]}`), 1, 1},
		{"repeats", pageOf(9, rows[:3]...), -1, 2},
		{"too short", pageOf(9), -1, 1},
		{"no list", answer(200, `{"message":"hello"}`), -1, 1},
		{"no JSON", answer(200, `<html>`), -1, 1},
		{"a circuit without id", pageOf(1, `{"name":"x"}`), -1, 1},
		{"throttled", answer(429, ""), -1, 1},
	}
	for _, tt := range tests {
		f := newFake(t)
		f.on("POST /fabric/v4/connections/search", tt.h)
		var got []string
		err := client(t, f, role(account.Buyer)).List(t.Context(), exchange.Buyer, false, collect(&got))
		if (err != nil) != (tt.want < 0) || err == nil && len(got) != tt.want || len(f.calls(posted)) != tt.calls {
			t.Errorf("%s: %d circuits, %v, %d calls; want %d, %d", tt.name, len(got), err, len(f.calls(posted)), tt.want, tt.calls)
		}
	}
	f := newFake(t)
	f.on("POST /fabric/v4/connections/search", searched(rows...))
	c := client(t, f, role(account.Buyer))
	stop := errors.New("stop")
	if err := c.List(t.Context(), exchange.Buyer, true, func(*patchbayv1.Connection) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("List = %v, want what yield said", err)
	}
	q := fields(t, f.calls(posted)[0].body)
	sameJSON(t, text(t, q["pagination"]), `{"offset":0,"limit":100}`)
	for _, word := range []string{"PENDING_APPROVAL", "NOT_DEPROVISIONED", "SUBMITTED_FOR_APPROVAL", "PENDING DELETE"} {
		if !strings.Contains(text(t, q["filter"]), `"`+word+`"`) {
			t.Errorf("filter %s lacks %s", text(t, q["filter"]), word)
		}
	}

	// Calls grow with what changed, not with what there is.
	var got []string
	before := len(f.calls(posted))
	if err := c.Changed(t.Context(), exchange.Buyer, now.Add(-30*time.Minute), collect(&got)); err != nil || len(got) != 31 {
		t.Errorf("Changed = %d circuits, %v; want 31", len(got), err)
	}
	if n := len(f.calls(posted)) - before; n != 1 {
		t.Errorf("Changed made %d calls, want one", n)
	}
	sameJSON(t, text(t, fields(t, f.calls(posted)[before].body)["sort"]), `[{"property":"/changeLog/updatedDateTime","direction":"DESC"}]`)
	if err := c.Changed(t.Context(), exchange.Buyer, now, func(*patchbayv1.Connection) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Changed = %v, want what yield said", err)
	}
}

// TestMovingList is read while circuits move to its front: what was missed is newer than
// all that was seen.
func TestMovingList(t *testing.T) {
	rows := numbered(150, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	f := newFake(t)
	f.on("POST /fabric/v4/connections/search", func(w http.ResponseWriter, r *http.Request) {
		searched(rows...)(w, r)
		rows = append([]string{rows[120]}, slices.Delete(slices.Clone(rows), 120, 121)...)
	})
	var got []string
	c := client(t, f, role(account.Buyer))
	if err := c.Changed(t.Context(), exchange.Buyer, time.Time{}, collect(&got)); err != nil || len(got) != 149 {
		t.Errorf("Changed = %d circuits, %v; want the 149 that held still", len(got), err)
	}
	if err := c.List(t.Context(), exchange.Buyer, false, collect(&got)); err == nil {
		t.Error("a list that moved was called whole")
	}
	shrinks := newFake(t)
	shrinks.on("POST /fabric/v4/connections/search", func(w http.ResponseWriter, r *http.Request) {
		searched(rows...)(w, r)
		rows = rows[5:]
	})
	if err := client(t, shrinks, role(account.Buyer)).List(t.Context(), exchange.Buyer, false, collect(&got)); err == nil {
		t.Error("a list that shrank was called whole, and lacks what moved up")
	}
}

func TestGetAll(t *testing.T) {
	var ids []string
	for i := range 150 {
		ids = append(ids, fmt.Sprintf("c%d", i))
	}
	f := newFake(t)
	f.on("POST /fabric/v4/connections/search", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Filter struct{ And []struct{ Values []string } }
		}
		_ = json.NewDecoder(r.Body).Decode(&q) // then there are no values
		var rows []string
		for _, id := range q.Filter.And[0].Values {
			if id != "c7" {
				rows = append(rows, `{"uuid":"`+id+`"}`)
			}
		}
		answer(200, listOf(rows...))(w, r)
	})
	c := client(t, f)
	var got []string
	if err := c.GetAll(t.Context(), ids, collect(&got)); err != nil || len(got) != 149 || len(f.calls(posted)) != 2 {
		t.Errorf("GetAll = %d circuits, %v, by %d calls; want 149 by two", len(got), err, len(f.calls(posted)))
	}
	if err := c.GetAll(t.Context(), []string{"a b"}, collect(&got)); err == nil {
		t.Error("an id that is none was asked for")
	}
	if err := c.GetAll(t.Context(), nil, collect(&got)); err != nil || len(f.calls(posted)) != 2 {
		t.Errorf("GetAll of nothing = %v, by %d calls; want none more", err, len(f.calls(posted))-2)
	}
	bad := newFake(t)
	bad.on("POST /fabric/v4/connections/search", answer(200, listOf(`{"name":"x"}`)))
	if err := client(t, bad).GetAll(t.Context(), []string{"c1"}, collect(&got)); err == nil {
		t.Error("a circuit without an id was read")
	}
}

func TestPast(t *testing.T) {
	event := func(id, kind, at, data string) string {
		return `{"specversion":"1.0","id":"` + id + `","type":"equinix.fabric.` + kind + `","subject":"/fabric/v4/connections/` + circuitA +
			`","time":"` + at + `","authid":123456,"severitynumber":"9","traceparent":"00-66c62c1af1864fbd979271a60705518f-00f067aa0ba90111-00,"` + data + `}`
	}
	f := newFake(t)
	f.on("POST /fabric/v4/cloudevents/search", searched(
		event("1", "connection.state.provisioned", "2025-03-20T13:13:15Z", `,"data":{"resource":{"state":"PROVISIONED"}}`),
		event("2", "connection.state.provisioning", "2025-03-20T13:13:12Z", `,"data":{"message":"m","resource":null}`),
		event("3", "service_profile_connection.state.pending", "2025-03-20T13:13:13.5Z", ``),
		event("4", "connection.attribute.changed", "2025-03-20T13:13:12Z", ``),
		event("5", "connection.state.failed", "yesterday", ``),
		event("6", "connection.state.failed", "2025-03-20T13:13:10Z", ``),
		strings.Replace(event("7", "connection.state.failed", "2025-03-20T13:13:14Z", ``), circuitA, circuitB, 1),
		`7`,
	))
	since := time.Date(2025, 3, 20, 13, 13, 12, 0, time.UTC)
	past, err := client(t, f).Past(t.Context(), circuitA, since)
	var got []string
	for _, p := range past {
		got = append(got, p.At.Format("05.0")+" "+p.State)
	}
	want := []string{"12.0 PROVISIONING", "13.5 PENDING", "15.0 PROVISIONED"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Past = %v, %v; want %v", got, err, want)
	}
	q := text(t, fields(t, f.calls("POST /fabric/v4/cloudevents")[0].body))
	for _, part := range []string{`"/fabric/v4/connections/` + circuitA + `"`, `"2025-03-20T13:13:12Z"`, `"equinix.fabric.connection.state.reprovisioning"`} {
		if !strings.Contains(q, part) {
			t.Errorf("query %s lacks %s", q, part)
		}
	}
	if _, err := client(t, f).Past(t.Context(), "..", since); err == nil {
		t.Error("an id that is none was asked for")
	}
	if _, err := client(t, newFake(t)).Past(t.Context(), circuitA, since); err == nil {
		t.Error("no answer was taken for no events")
	}
}

func TestPortsAndTags(t *testing.T) {
	f := newFake(t).ports()
	f.on("GET /fabric/v4/ports/{id}/linkProtocols", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("offset") == "" {
			answer(200, `{"pagination":{"offset":0,"limit":4,"total":7},"data":[
				{"type":"DOT1Q","uuid":"1","state":"RESERVED","vlanTag":200,"asset":{}},
				{"type":"DOT1Q","uuid":"2","state":"RESERVED","vlanTag":"257","serviceToken":{"uuid":"x"}},
				{"type":"DOT1Q","uuid":"3","state":"RELEASED","vlanTag":300},
				{"type":"DOT1Q","uuid":"4","state":"RESERVED","vlanTagMin":177,"vlanTagMax":179}]}`)(w, r)
			return
		}
		answer(200, `{"pagination":{"offset":4,"limit":4,"total":7},"data":[
			{"type":"QINQ","uuid":"5","vlanSTag":10},{"type":"QINQ","uuid":"6","vlanSTag":11,"vlanCTag":3},
			{"type":"QINQ","uuid":"7","vlanSTag":12,"vlanCTagMin":1,"vlanCTagMax":2}, {"type":"UNTAGGED"}, {"uuid":"9","vlanTagMin":99999}]}`)(w, r)
	})
	c := client(t, f)
	tags, err := c.InUse(t.Context(), portDot)
	var got []string
	for _, tag := range tags {
		got = append(got, fmt.Sprintf("%d/%d.%d", tag.GetVlan(), tag.GetSTag(), tag.GetCTag()))
	}
	want := []string{"200/0.0", "257/0.0", "177/0.0", "178/0.0", "179/0.0", "0/10.0", "0/11.3", "0/12.1", "0/12.2"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("InUse = %v, %v; want %v", got, err, want)
	}
	if _, err := c.InUse(t.Context(), "a/b"); err == nil {
		t.Error("a port that is none was asked for")
	}
	ports, err := c.Ports(t.Context())
	if err != nil || len(ports) != 6 || ports[0] != (exchange.Port{ID: portDot, Name: "p", Metro: "SV", Encapsulation: "dot1q"}) {
		t.Errorf("Ports = %v, %v; want the six that live", ports, err)
	}
	if _, err := c.Ports(t.Context()); err != nil || len(f.calls("GET /fabric/v4/ports")) != 3 {
		t.Errorf("%d calls, %v; want the ports kept", len(f.calls("GET /fabric/v4/ports")), err)
	}
	for name, body := range map[string]string{"no id": listOf(`{"name":"x"}`), "no port": listOf(`7`), "no list": `{}`} {
		bad := newFake(t)
		bad.on("GET /fabric/v4/ports", answer(200, body))
		bad.on("GET /fabric/v4/ports/{id}/linkProtocols", answer(200, strings.Replace(body, `{"name":"x"}`, `7`, 1)))
		if _, err := client(t, bad).Ports(t.Context()); err == nil {
			t.Errorf("%s: ports were read", name)
		}
		if _, err := client(t, bad).InUse(t.Context(), portDot); err == nil {
			t.Errorf("%s: tags were read", name)
		}
	}
}

func TestParties(t *testing.T) {
	f := newFake(t).ports()
	f.on("GET /fabric/v4/serviceProfiles", func(w http.ResponseWriter, r *http.Request) {
		if v := r.URL.Query(); v.Get("viewPoint") != "zSide" || v.Get("limit") != "100" {
			t.Errorf("asked for %v", v)
		}
		answer(200, listOf(profileBody(profileA, ""), profileBody(profileN, `"apiConfig":{"apiAvailable":true},`)))(w, r)
	})
	f.on("GET /fabric/v4/connections/{id}", answer(200, circuit(circuitA, "x", portDot, `"zSide":{"accessPoint":{"profile":{"uuid":"`+profileN+`"}}}`)))
	c := client(t, f)
	p, err := c.Parties(t.Context())
	if err != nil || len(p.Ports) != 6 || !slices.Equal(p.Profiles, []string{profileA, profileN}) {
		t.Errorf("Parties = %v, %v", p, err)
	}
	if conn, err := c.Get(t.Context(), circuitA); err != nil || conn.GetFlow() != "integrated" {
		t.Errorf("flow %q, %v; want integrated, as the profile says", conn.GetFlow(), err)
	}
	bad := newFake(t)
	for _, r := range []account.Role{account.Buyer, account.Seller} {
		if _, err := client(t, bad, role(r)).Parties(t.Context()); err == nil {
			t.Errorf("a %s that cannot ask has parties", r)
		}
	}
	bad.on("GET /fabric/v4/serviceProfiles", answer(200, listOf(`{}`)))
	if _, err := client(t, bad, role(account.Seller)).Parties(t.Context()); err == nil {
		t.Error("a profile without an id was read")
	}
}

// TestSilence: what is secret is in no error and no log.
func TestSilence(t *testing.T) {
	var log bytes.Buffer
	f := newFake(t)
	f.on("/fabric/v4/", answer(400, refusal("EQ-3034016", "Token "+tokenZ+" not found", "tokenUuid")))
	c := client(t, f, func(c *exchange.Config) { c.Log = zerolog.New(&log) })
	_, err := c.Token(t.Context(), tokenZ)
	_, found := c.Find(t.Context(), primary(order(t, onDot, byTokZ)))
	out := c.Place(t.Context(), primary(order(t, onDot, byTokZ)))
	all := fmt.Sprint(err, found, out, log.String())
	if strings.Contains(all, canary) || log.Len() == 0 {
		t.Errorf("%s tells a secret", all)
	}
}

func TestNew(t *testing.T) {
	for _, base := range []string{"", "ftp://x", "http://", "http://user@x", "http://%zz"} {
		if _, err := fabric.New(exchange.Config{Account: account.Account{BaseURL: base}}); err == nil {
			t.Errorf("base URL %q was taken", base)
		}
	}
}

// TestOtherCase reads the same circuits, ports and tokens whatever the case of their ids.
func TestOtherCase(t *testing.T) {
	told := func(around func(http.Handler) http.Handler) []string {
		f := newFake(t)
		circuit := `{"uuid":"` + circuitA + `","name":"one","redundancy":{"group":"` + groupA + `"},
			"operation":{"equinixStatus":"PROVISIONED","providerStatus":"AVAILABLE"},
			"aSide":{"accessPoint":{"port":{"uuid":"` + portDot + `"},"linkProtocol":{"type":"DOT1Q","vlanTag":1001}}},
			"zSide":{"accessPoint":{"profile":{"uuid":"` + profileA + `"}}}}`
		f.ports().on("GET /fabric/v4/connections/"+circuitA, answer(200, circuit))
		f.on("DELETE /fabric/v4/connections/"+circuitA, answer(200, circuit))
		f.on("POST /fabric/v4/connections", answer(201, circuit))
		f.on("POST /fabric/v4/connections/search", searched(circuit))
		f.on("GET /fabric/v4/serviceProfiles", answer(200, listOf(`{"uuid":"`+profileA+`"}`)))
		f.on("GET /fabric/v4/serviceTokens", answer(200, listOf(
			`{"uuid":"`+circuitB+`","state":"ACTIVE","connection":{"href":"https://x/fabric/v4/connections/`+circuitA+`"}}`,
			`{"uuid":"`+groupA+`","state":"ACTIVE","connection":{"uuid":"`+circuitA+`"}}`)))
		s := httptest.NewServer(around(f))
		defer s.Close()
		f.URL = s.URL
		return exchangetest.Told(t, client(t, f, role(account.Both)), circuitA, order(t, onDot, toSP))
	}
	want := told(func(h http.Handler) http.Handler { return h })
	got := told(exchangetest.OtherCase)
	if !slices.Equal(got, want) {
		t.Errorf("with ids in another case\n got %q\nwant %q", got, want)
	}
}

// FuzzRead: no answer makes a reader panic, and nothing secret comes out.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"uuid":"x","zSide":{"accessPoint":{}}}`, `[{"errorCode":"EQ-3142501","additionalInfo":{"property":"p"}}]`,
		`{"uuid":"t","connection":{"aSide":{"accessPointSelectors":{"linkProtocol":{"vlanTag":"1"}}}}}`, `null`, `[]`, `{"data":[{"charges":[{}]}]}`,
		`{"vlanTagMin":-5,"vlanTagMax":99999}`, `{"vlanSTag":1,"vlanCTagMin":4094,"vlanCTagMax":2147483647}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := fabric.ReadConnection(b); err == nil && (c.GetExchangeId() == "" || c.GetBandwidthMbps() < 0 || c.GetStatus() == "") {
			t.Errorf("%q is read as %v", b, c)
		}
		if codes, own := fabric.ReadComplaints(b); own && (len(codes) == 0 || slices.Contains(codes, "")) {
			t.Errorf("%q is read as %v", b, codes)
		}
		fabric.ReadAll(b)
	})
}

// FuzzClient asks everything of an exchange that answers anything.
func FuzzClient(f *testing.F) {
	for _, s := range []string{
		file(f, "approved.json"),
		`{"uuid":"3a58dd05-f46d-4b1d-a154-2e85c396ea62","redundancy":{"group":"g"},"operation":{"equinixStatus":"PROVISIONING"}}`,
		listOf(port(portDot, "SV", "DOT1Q"), `{"uuid":"a","operation":{"equinixStatus":"X"}}`),
		"400 " + refusal("EQ-3142501", canary+"-key", "/zSide"),
		`{"pagination":{"offset":0,"limit":1,"total":2147483647},"data":[{"uuid":"a"}]}`,
		`{"pagination":{"total":1},"data":[{"uuid":"t","state":"ACTIVE","type":"VC_TOKEN","data":{"a":1},"time":"2026-01-01T00:00:00Z"}]}`,
		`{"uuid":"1902767C-2E77-41DE-A7CB-BC9DB91651A2","operation":{"equinixStatus":"PROVISIONED"}}`,
		"429 \n--\n503 <html>\n--\n204 ",
	} {
		f.Add(s)
	}
	stranger := exchangetest.Stranger{
		Login: "/oauth2/v1/token", Granted: `{"access_token":"t","token_timeout":"3600"}`, Intent: order(f, onDot, toSP), Secret: canary + "-key",
		Open: func(dial func(context.Context, string, string) (net.Conn, error)) (exchange.Client, error) {
			cfg := config("http://exchange.test")
			cfg.Dial = dial
			return fabric.New(cfg)
		},
	}
	f.Fuzz(stranger.Ask)
}
