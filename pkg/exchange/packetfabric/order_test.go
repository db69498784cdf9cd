package packetfabric_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
)

var primary = []string{exchange.Primary}

// TestPlaceSends compares what is sent with golden bodies, field by field.
func TestPlaceSends(t *testing.T) {
	samples, err := filepath.Glob("testdata/place-*.json")
	if err != nil || len(samples) < 10 {
		t.Fatalf("found %d samples, %v", len(samples), err)
	}
	for _, path := range samples {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var sample struct {
				Intent    json.RawMessage
				Leg, Path string
				Body      map[string]any
			}
			if err := json.Unmarshal(text, &sample); err != nil {
				t.Fatal(err)
			}
			f := newFake(t)
			id, body := asked, requestText(asked, "pending", "")
			if strings.HasSuffix(sample.Path, "backbone") {
				id, body = vc, ownText(vc, "Provisioning")
			}
			f.on("POST "+sample.Path, answer(201, body))
			in := create(t, string(sample.Intent))
			c := client(t, f.URL)
			out := c.Place(t.Context(), exchange.Placement{Intent: in, Legs: []string{sample.Leg}})
			if want := map[string]string{sample.Leg: id}; out.Class != exchange.Done || !maps.Equal(out.IDs, want) {
				t.Errorf("Place = %+v, want done with %v", out, want)
			}
			calls := f.calls()
			if len(calls) != 1 || calls[0].bearer != "Bearer t1" {
				t.Fatalf("%v, want one request with the token", calls)
			}
			if got := fields(t, calls[0].body); !reflect.DeepEqual(got, sample.Body) {
				t.Errorf("sent %v\nwant %v", got, sample.Body)
			}
		})
	}
}

func TestPlaceOneLeg(t *testing.T) {
	f := newFake(t)
	c := client(t, f.URL)
	if c.Together() {
		t.Error("the legs of a pair are two requests")
	}
	in := single(t)
	in.Secondary = proto.CloneOf(in.Primary)
	for _, legs := range [][]string{nil, {exchange.Both}, {exchange.Primary, exchange.Secondary}} {
		if out := c.Place(t.Context(), exchange.Placement{Intent: in, Legs: legs}); out.Class != exchange.Refused {
			t.Errorf("Place(%v) = %+v, want refused", legs, out)
		}
	}
	if n := len(f.calls()); n != 0 {
		t.Errorf("%d calls, want none", n)
	}
}

// TestAnswers says what each class of answer to a create is.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name, body             string
		status                 int
		want                   exchange.Class
		code, message, propery string
	}{
		{"placed", requestText(asked, "pending", ""), 200, exchange.Done, "", "", ""},
		{"any 2xx", requestText(asked, "pending", ""), 202, exchange.Done, "", "", ""},
		{"no id", `{"status":"pending"}`, 201, exchange.Unknown, "", "", ""},
		{"a circuit's id", `{"vc_request_uuid":"PF-DC-1"}`, 201, exchange.Unknown, "", "", ""},
		{"empty", ``, 201, exchange.Unknown, "", "", ""},
		{"garbage", `<html>`, 200, exchange.Unknown, "", "", ""},
		{"redirect", ``, 302, exchange.Unknown, "", "", ""},
		{"tag in use", `{"message":"InvalidVlanParam: VLAN 124 is already in use on port PF-AP-LAX1-1748039."}`, 400, exchange.Taken,
			"InvalidVlanParam", "InvalidVlanParam: VLAN 124 is already in use on port PF-AP-LAX1-1748039.", ""},
		{"bounds", `{"message":"interfaces.0.vlan: ensure this value is greater than or equal to 4"}`, 400, exchange.Refused,
			"", "interfaces.0.vlan: ensure this value is greater than or equal to 4", "interfaces.0.vlan"},
		{"two words", `{"message":"Invalid Param: Port cannot be deleted"}`, 400, exchange.Refused, "Invalid Param", "Invalid Param: Port cannot be deleted", ""},
		{"JSON in a text", `{"message":"{\"type\": [\"This field is required.\"]}"}`, 400, exchange.Refused, "", `{"type": ["This field is required."]}`, ""},
		{"JSON for a text", `{"message":{"type":["required"]}}`, 422, exchange.Refused, "", `{"type":["required"]}`, ""},
		{"forbidden", `{"message":"no"}`, 403, exchange.Refused, "", "no", ""},
		{"foreign 403", `<html>`, 403, exchange.Unknown, "", "", ""},
		{"foreign 400", `{"error":"x"}`, 400, exchange.Unknown, "", "", ""},
		{"null", `{"message":null}`, 400, exchange.Unknown, "", "", ""},
		{"unauthorized", `{"message":"x"}`, 401, exchange.NotSent, "", "", ""},
		{"conflict", `{"message":"x"}`, 409, exchange.Unknown, "", "", ""},
		{"time-out", `{"message":"x"}`, 408, exchange.Unknown, "", "", ""},
		{"throttled", `{"message":"x"}`, 429, exchange.Busy, "", "", ""},
		{"broken", `{"message":"x"}`, 500, exchange.Unknown, "", "", ""},
		{"away", `<html>`, 503, exchange.Unknown, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.on("POST /v2/services/third-party", answer(tt.status, tt.body))
			out := client(t, f.URL).Place(t.Context(), exchange.Placement{Intent: single(t), Legs: primary})
			if out.Class != tt.want || out.Code != tt.code || out.Message != tt.message || out.Property != tt.propery {
				t.Errorf("%+v, want %s %q %q %q", out, tt.want, tt.code, tt.message, tt.propery)
			}
			if n := len(f.calls()); n != 1 && tt.status != 401 {
				t.Errorf("%d requests, want one", n)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	const deleteRequest = "DELETE " + pathRequest + asked
	pending := func(status, circuit string) func(*fake) {
		return func(f *fake) { f.says("GET "+pathRequest+asked, requestText(asked, status, circuit)) }
	}
	tests := []struct {
		name, reason, id string
		know             []func(*fake)
		want             exchange.Class
		calls            []string
	}{
		{"withdrawn", "", asked, []func(*fake){pending("pending", ""), func(f *fake) { f.says(deleteRequest, `{"message":"ok"}`) }},
			exchange.Done, []string{"GET " + pathRequest + asked, deleteRequest}},
		{"pending with a circuit", "it is no circuit yet", asked,
			[]func(*fake){pending("pending", vc), func(f *fake) { f.says(deleteRequest, `{"message":"ok"}`) }},
			exchange.Done, []string{"GET " + pathRequest + asked, deleteRequest}},
		{"a new word", "the exchange knows whether it is pending", asked,
			[]func(*fake){pending("expired", ""), func(f *fake) { f.says(deleteRequest, `{"message":"ok"}`) }},
			exchange.Done, []string{"GET " + pathRequest + asked, deleteRequest}},
		{"circuit", "", asked, []func(*fake){pending("provisioned", vc), func(f *fake) { f.says(deleteVC, `{"message":"ok"}`) }},
			exchange.Done, []string{"GET " + pathRequest + asked, deleteVC}},
		{"own circuit", "", vc, []func(*fake){func(f *fake) { f.on(deleteVC, answer(204, ``)) }}, exchange.Done, []string{deleteVC}},
		{"not shown yet", "the circuit will have an id", asked, []func(*fake){pending("provisioned", "")},
			exchange.Moving, []string{"GET " + pathRequest + asked}},
		{"rejected", "there is nothing to end", asked, []func(*fake){pending("rejected", vc)}, exchange.Over, []string{"GET " + pathRequest + asked}},
		{"gone", "", asked, nil, exchange.Over, []string{"GET " + pathRequest + asked}},
		{"cannot be read", "nothing was decided", asked,
			[]func(*fake){func(f *fake) { f.on("GET "+pathRequest+asked, answer(502, ``)) }}, exchange.NotSent, []string{"GET " + pathRequest + asked}},
		{"may not be read", "so it may not be ended", asked,
			[]func(*fake){func(f *fake) { f.on("GET "+pathRequest+asked, message(403, "no")) }}, exchange.Refused, []string{"GET " + pathRequest + asked}},
		{"odd look", "a 409 to a question says nothing", asked,
			[]func(*fake){func(f *fake) { f.on("GET "+pathRequest+asked, message(409, "no")) }}, exchange.NotSent, []string{"GET " + pathRequest + asked}},
		{"throttled look", "", asked, []func(*fake){func(f *fake) { f.on("GET "+pathRequest+asked, answer(429, ``)) }},
			exchange.Busy, []string{"GET " + pathRequest + asked}},
		{"own circuit gone", "404 and not found when looked at", vc, nil, exchange.Over, []string{deleteVC, "GET " + pathService + vc}},
		{"in the making", "ask again after the next transition", vc, []func(*fake){func(f *fake) {
			f.on(deleteVC, message(400, "Service is not in a final state"))
			f.says("GET "+pathService+vc, ownText(vc, "Provisioning"))
		}}, exchange.Moving, []string{deleteVC, "GET " + pathService + vc, pathStatus(vc), "GET " + pathService + vc}},
		{"being deleted", "", vc, []func(*fake){func(f *fake) {
			f.on(deleteVC, message(400, "no"))
			f.says("GET "+pathService+vc, ownText(vc, "deleting"))
			f.says(pathStatus(vc), `{}`)
		}}, exchange.Moving, []string{deleteVC, "GET " + pathService + vc, pathStatus(vc)}},
		{"deleted", "", vc, []func(*fake){func(f *fake) {
			f.on(deleteVC, message(400, "no"))
			f.says("GET "+pathService+vc, ownText(vc, "Deleted"))
		}}, exchange.Over, []string{deleteVC, "GET " + pathService + vc}},
		{"refused", "it stands", vc, []func(*fake){func(f *fake) {
			f.on(deleteVC, message(403, "no"))
			f.says("GET "+pathService+vc, ownText(vc, "Active"))
		}}, exchange.Refused, []string{deleteVC, "GET " + pathService + vc}},
		{"refused, and who knows", "", vc, []func(*fake){func(f *fake) {
			f.on(deleteVC, message(403, "no"))
			f.on("GET "+pathService+vc, answer(500, ``))
		}}, exchange.Refused, []string{deleteVC, "GET " + pathService + vc}},
		{"lost", "", vc, []func(*fake){func(f *fake) { f.on(deleteVC, answer(502, ``)) }}, exchange.Unknown, []string{deleteVC}},
		{"odd answer", "", vc, []func(*fake){func(f *fake) { f.says(deleteVC, `<html>`) }}, exchange.Unknown, []string{deleteVC}},
		{"no id", "", "a/b", nil, exchange.Refused, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			for _, know := range tt.know {
				know(f)
			}
			out := client(t, f.URL).Remove(t.Context(), tt.id)
			if out.Class != tt.want || !slices.Equal(f.whats(), tt.calls) {
				t.Errorf("%+v by %q, want %s by %q %s", out, f.whats(), tt.want, tt.calls, tt.reason)
			}
			for _, q := range f.calls() {
				if q.what == deleteRequest && fields(t, q.body)["delete_reason"] == "" {
					t.Error("no reason is given")
				}
			}
		})
	}
}

// TestWithdrawTooLate is the race of a buyer with his seller.
func TestWithdrawTooLate(t *testing.T) {
	for _, tt := range []struct {
		then, circuit string
		want          exchange.Class
	}{
		{"rejected", "", exchange.Over},
		{"provisioned", vc, exchange.Moving},
		{"provisioned", "", exchange.Moving},
		{"pending", "", exchange.Refused},
	} {
		f := newFake(t)
		f.says("GET "+pathRequest+asked, requestText(asked, "pending", ""))
		f.says("GET "+pathService+vc, circuitText(vc, "Active"))
		f.on("DELETE "+pathRequest+asked, func(w http.ResponseWriter, r *http.Request) {
			f.says("GET "+pathRequest+asked, requestText(asked, tt.then, tt.circuit))
			message(400, "Request is not pending")(w, r)
		})
		if out := client(t, f.URL).Remove(t.Context(), asked); out.Class != tt.want {
			t.Errorf("then %s: %+v, want %s", tt.then, out, tt.want)
		}
	}
}

func TestAlter(t *testing.T) {
	const patchVC = "PATCH " + pathService + vc
	active := func(f *fake) {
		f.says("GET "+pathRequest+asked, requestText(asked, "provisioned", vc))
		f.says("GET "+pathService+vc, circuitText(vc, "Active"))
		f.says(patchVC, circuitText(vc, "Active"))
	}
	ownActive := func(f *fake) {
		f.says("GET "+pathService+vc, ownText(vc, "Active"))
		f.says(patchVC, ownText(vc, "Active"))
	}
	set := func(text string) *patchbayv1.ChangeSet {
		s := new(patchbayv1.ChangeSet)
		if err := protojson.Unmarshal([]byte(text), s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	tests := []struct {
		name, id, set string
		know          func(*fake)
		want          exchange.Class
		body          string // empty: nothing is sent
		says          string
	}{
		{"name", asked, `{"name":"two"}`, active, exchange.Done, `{"description":"two"}`, ""},
		{"bandwidth", asked, `{"bandwidthMbps":100}`, active, exchange.Done, `{"rate_limit_in":100,"rate_limit_out":100}`, ""},
		{"tag of the buyer", asked, `{"tag":{"vlan":7}}`, active, exchange.Done,
			`{"interfaces":[{"port_circuit_id":"` + portNYC + `","vlan":7}]}`, ""},
		{"tag between own ports", vc, `{"tag":{"vlan":7},"name":"two"}`, ownActive, exchange.Done,
			`{"description":"two","interfaces":[{"port_circuit_id":"` + portCHI + `","vlan":7},{"port_circuit_id":"` + portNYC + `","vlan":100}]}`, ""},
		{"tag out of range", vc, `{"tag":{"vlan":3}}`, ownActive, exchange.Refused, "", "from 4 to 4094"},
		{"S-tag on no ENNI", vc, `{"tag":{"sTag":5,"cTag":6}}`, ownActive, exchange.Refused, "", "no ENNI"},
		{"tag that cannot be read", vc, `{"tag":{"vlan":7}}`, func(f *fake) { f.on("GET "+pathService+vc, answer(503, "")) }, exchange.NotSent, "", ""},
		{"no ports shown", vc, `{"tag":{"vlan":7}}`, func(f *fake) { f.says("GET "+pathService+vc, `{"vc_circuit_id":"`+vc+`","state":"Active"}`) },
			exchange.Refused, "", "does not show"},
		{"term", asked, `{"termMonths":12}`, active, exchange.Refused, "", "term"},
		{"notifications", asked, `{"notifications":[{"emails":["a@x.com"]}]}`, active, exchange.Refused, "", "notifications"},
		{"nothing", asked, `{}`, active, exchange.Refused, "", "nothing to change"},
		{"no id", "a/b", `{"name":"two"}`, active, exchange.Refused, "", "no id"},
		{"pending", asked, `{"name":"two"}`, func(f *fake) { f.says("GET "+pathRequest+asked, requestText(asked, "pending", vc)) },
			exchange.Refused, "", "pending"},
		{"gone", asked, `{"name":"two"}`, func(*fake) {}, exchange.Refused, "", "gone"},
		{"unreadable", asked, `{"name":"two"}`, func(f *fake) { f.on("GET "+pathRequest+asked, answer(500, "")) }, exchange.NotSent, "", ""},
		{"tag in use", vc, `{"tag":{"vlan":7}}`, func(f *fake) {
			ownActive(f)
			f.on(patchVC, message(400, "InvalidVlanParam: VLAN 7 is already in use on port "+portCHI+"."))
		}, exchange.Taken, `{"interfaces":[{"port_circuit_id":"` + portCHI + `","vlan":7},{"port_circuit_id":"` + portNYC + `","vlan":100}]}`, "in use"},
		{"refused", vc, `{"name":"two"}`, func(f *fake) {
			ownActive(f)
			f.on(patchVC, message(400, "no"))
		}, exchange.Refused, `{"description":"two"}`, "no"},
		{"in the making", vc, `{"name":"two"}`, func(f *fake) {
			f.says("GET "+pathService+vc, ownText(vc, "Provisioning"))
			f.says(pathStatus(vc), `{}`)
			f.on(patchVC, message(400, "no"))
		}, exchange.Moving, `{"description":"two"}`, "no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			tt.know(f)
			out := client(t, f.URL).Alter(t.Context(), tt.id, set(tt.set))
			if out.Class != tt.want || !strings.Contains(out.Message, tt.says) {
				t.Errorf("%+v, want %s and %q", out, tt.want, tt.says)
			}
			var sent string
			for _, q := range f.calls() {
				if strings.HasPrefix(q.what, "PATCH") {
					sent += string(q.body)
				}
			}
			if sent != tt.body {
				t.Errorf("sent %s, want %s", sent, tt.body)
			}
		})
	}
}

// TestKeysAgree holds the key that an intent has before it is placed against that of the
// circuit that came of it, as lists show it.
func TestKeysAgree(t *testing.T) {
	f := newFake(t)
	f.on("POST /v2/services/third-party", answer(201, requestText(asked, "pending", "")))
	f.says("GET "+pathRequest+asked, requestText(asked, "pending", ""))
	f.says("GET "+pathService+vc2, ownText(vc2, "Active"))
	c := client(t, f.URL)
	in := single(t)
	want := c.Keys(in)[exchange.Primary]
	if want != "acme-pf/"+routing+"/CHI/50" {
		t.Errorf("key %q", want)
	}
	conn, err := c.Get(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.KeyOf(conn); got != "" {
		t.Errorf("KeyOf = %q before anybody said whose routing id it is, want none", got)
	}
	if out := c.Place(t.Context(), exchange.Placement{Intent: in, Legs: primary}); out.Class != exchange.Done {
		t.Fatalf("%+v", out)
	}
	if got := c.KeyOf(conn); got != want {
		t.Errorf("KeyOf = %q, want %q", got, want)
	}
	in.Primary.ZSide.RoutingId = "OTHER"
	f.on("POST /v2/services/third-party", answer(201, requestText(asked2, "pending", "")))
	_ = c.Place(t.Context(), exchange.Placement{Intent: in, Legs: primary})
	if got := c.KeyOf(conn); got != "" {
		t.Errorf("KeyOf = %q, want none: two routing ids lead to that customer", got)
	}
	ours := own(t)
	if conn, err = c.Get(t.Context(), vc2); err != nil {
		t.Fatal(err)
	}
	if got, want := c.KeyOf(conn), c.Keys(ours)[exchange.Primary]; got != want || got == "" {
		t.Errorf("KeyOf = %q, want %q, though the ends stand the other way round", got, want)
	}
	for _, change := range []func(*patchbayv1.CreateIntent){
		func(in *patchbayv1.CreateIntent) { in.Name = "other" },
		func(in *patchbayv1.CreateIntent) { in.Primary.ASide.Tag.Vlan = proto.Int32(101) },
		func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.PortId = enniNYC },
	} {
		in := own(t)
		change(in)
		if c.Keys(in)[exchange.Primary] == c.KeyOf(conn) {
			t.Errorf("%v has the key of another circuit", in)
		}
	}
	if got := c.KeyOf(&patchbayv1.Connection{}); got != "" {
		t.Errorf("KeyOf nothing = %q", got)
	}
}

func TestFind(t *testing.T) {
	like := requestText(asked, "pending", "")
	other := strings.ReplaceAll(requestText(asked2, "pending", ""), seller, "somebody-else")
	change := func(text, from, to string) string { return strings.ReplaceAll(text, from, to) }
	tests := []struct {
		name, reason string
		sent         []string
		services     string
		offers       string // empty: not shown
		service      bool   // the intent names it
		want         []string
	}{
		{"none", "", nil, "[]", offersText, false, nil},
		{"one", "", []string{like}, "[]", offersText, false, []string{asked}},
		{"ended ones too", "it was the answer all the same", []string{requestText(asked, "rejected", "")}, "[]", offersText, false, []string{asked}},
		{"two alike", "who can tell", []string{like, requestText(asked2, "pending", "")}, "[]", offersText, false, []string{asked, asked2}},
		{"another customer", "the marketplace tells", []string{like, other}, "[]", offersText, false, []string{asked}},
		{"any customer", "the marketplace does not tell", []string{like, other}, "[]", "", false, []string{asked, asked2}},
		{"another market", "", []string{change(like, `"CHI"`, `"LAX"`)}, "[]", offersText, false, nil},
		{"another speed", "", []string{change(like, "50Mbps", "100Mbps")}, "[]", offersText, false, nil},
		{"rate limits for a speed", "flex bandwidth has none", []string{change(like, `"speed":"50Mbps"},`, `"speed":null},"rate_limit_in":50,"rate_limit_out":50,`)}, "[]", offersText, false, []string{asked}},
		{"another service", "", []string{change(like, "Cloud Connect", "Cloud Backup")}, "[]", offersText, true, nil},
		{"its service", "", []string{like}, "[]", offersText, true, []string{asked}},
		{"built", "", []string{requestText(asked, "provisioned", vc)}, "[" + circuitText(vc, "Active") + "]", offersText, false, []string{asked}},
		{"built and gone", "", []string{requestText(asked, "provisioned", vc)}, "[]", offersText, false, []string{asked}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.says(listVCs, tt.services)
			f.says(listSent, "["+strings.Join(tt.sent, ",")+"]")
			if tt.offers != "" {
				f.says("GET /v2/marketplace/services", tt.offers)
			}
			in := single(t)
			if tt.service {
				in.Primary.ZSide.ServiceId = service
			}
			found, err := client(t, f.URL).Find(t.Context(), exchange.Placement{Intent: in, Legs: primary})
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, conn := range found.Circuits[exchange.Primary] {
				ids = append(ids, conn.GetExchangeId())
				if conn.GetCreatedAt() == nil {
					t.Error("it does not show when it was created")
				}
				if tt.name == "built and gone" && conn.GetStatus() != "DEPROVISIONED" {
					t.Errorf("%s, want an end", conn.GetStatus())
				}
			}
			if !slices.Equal(ids, tt.want) {
				t.Errorf("found %q, want %q %s", ids, tt.want, tt.reason)
			}
			if found.Ahead.Abs() > 2*time.Second {
				t.Errorf("the clock is ahead %v", found.Ahead)
			}
		})
	}
}

func TestFindOwn(t *testing.T) {
	f := newFake(t)
	f.says(listVCs, "["+ownText(vc, "Active")+","+ownText(vc2, "Pending")+","+
		strings.Replace(ownText("PF-BC-3", "Active"), `"one"`, `"two"`, 1)+"]")
	f.says(listSent, "[]")
	c := client(t, f.URL)
	found, err := c.Find(t.Context(), exchange.Placement{Intent: own(t), Legs: primary})
	if got := found.Circuits[exchange.Primary]; err != nil || len(got) != 2 || got[0].GetExchangeId() != vc || got[1].GetExchangeId() != vc2 {
		t.Errorf("found %v, %v; want the two of that name between those ends", got, err)
	}
	f.on(listSent, answer(500, ""))
	if _, err := c.Find(t.Context(), exchange.Placement{Intent: own(t), Legs: primary}); err == nil {
		t.Error("a look that failed says nothing")
	}
}
