package packetfabric_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
)

const (
	provision = "POST " + pathRequest + asked + "/provision"
	reject    = "POST " + pathRequest + asked + "/reject"
)

// TestAcceptSends compares what is sent with golden bodies that have the fields of the
// exchange's guide to marketplace requests, and no others.
func TestAcceptSends(t *testing.T) {
	samples, err := filepath.Glob("testdata/accept-*.json")
	if err != nil || len(samples) < 5 {
		t.Fatalf("found %d samples, %v", len(samples), err)
	}
	for _, path := range samples {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var sample struct {
				Port, Description string
				Tag               json.RawMessage
				Body              map[string]any
			}
			if err := json.Unmarshal(text, &sample); err != nil {
				t.Fatal(err)
			}
			tag := new(patchbayv1.Tag)
			if err := protojson.Unmarshal(sample.Tag, tag); err != nil {
				t.Fatal(err)
			}
			f := newFake(t)
			f.says("GET "+pathRequest+asked, requestText(asked, "pending", ""))
			f.on(provision, answer(201, circuitText(vc, "Pending")))
			out := client(t, f.URL).Accept(t.Context(), exchange.Acceptance{ExchangeID: asked, Kind: exchange.Create,
				PortID: sample.Port, Tag: tag, Description: sample.Description})
			if out.Class != exchange.Done {
				t.Errorf("Accept = %+v, want done", out)
			}
			calls := f.calls()
			if got := fields(t, calls[len(calls)-1].body); !reflect.DeepEqual(got, sample.Body) {
				t.Errorf("sent %v\nwant %v", got, sample.Body)
			}
			if n := len(calls); n != 1 && !tag.GetUntagged() {
				t.Errorf("%q, want one call", f.whats())
			}
		})
	}
}

func TestAccept(t *testing.T) {
	vlan := func(n int32) *patchbayv1.Tag { return &patchbayv1.Tag{Vlan: &n} }
	good := exchange.Acceptance{ExchangeID: asked, Kind: exchange.Create, PortID: portCHI, Tag: vlan(300)}
	with := func(change func(*exchange.Acceptance)) exchange.Acceptance {
		a := good
		change(&a)
		return a
	}
	answers := func(status int, text, then string) func(*fake) {
		return func(f *fake) {
			f.on(provision, message(status, text))
			if then != "" {
				f.says("GET "+pathRequest+asked, requestText(asked, then, ""))
			}
		}
	}
	untagged := with(func(a *exchange.Acceptance) { a.Tag = &patchbayv1.Tag{Untagged: true} })
	tests := []struct {
		name string
		a    exchange.Acceptance
		know func(*fake)
		want exchange.Class
		sent bool
		says string
	}{
		{"tag in use", good, answers(400, "InvalidVlanParam: VLAN 300 is already in use on port "+portCHI+".", "pending"), exchange.Taken, true, "in use"},
		{"refused", good, answers(400, "interface.vlan: ensure this value", "pending"), exchange.Refused, true, "ensure"},
		{"accepted already", good, answers(400, "Request is not pending", "provisioned"), exchange.Over, true, ""},
		{"in use, by itself", good, answers(400, "InvalidVlanParam: VLAN 300 is already in use", "provisioned"), exchange.Over, true, ""},
		{"rejected meanwhile", good, answers(400, "VLAN 300 is already in use", "rejected"), exchange.Refused, true, ""},
		{"withdrawn meanwhile", good, answers(404, "Requested URL x not found", ""), exchange.Refused, true, ""},
		{"refused, and who knows", good, func(f *fake) {
			f.on(provision, message(400, "no"))
			f.on("GET "+pathRequest+asked, answer(500, ""))
		}, exchange.Refused, true, ""},
		{"conflict", good, answers(409, "x", "pending"), exchange.Unknown, true, ""},
		{"broken", good, answers(500, "x", "pending"), exchange.Unknown, true, ""},
		{"odd answer", good, func(f *fake) { f.says(provision, "<html>") }, exchange.Unknown, true, ""},
		{"change", with(func(a *exchange.Acceptance) { a.Kind = exchange.Change }), nil, exchange.Refused, false, "never about a change"},
		{"delete", with(func(a *exchange.Acceptance) { a.Kind = exchange.Delete }), nil, exchange.Refused, false, "never about a delete"},
		{"nothing", with(func(a *exchange.Acceptance) { a.Kind = "" }), nil, exchange.Refused, false, "no kind"},
		{"circuit id", with(func(a *exchange.Acceptance) { a.ExchangeID = vc }), nil, exchange.Refused, false, "no uuid"},
		{"no port", with(func(a *exchange.Acceptance) { a.PortID = "" }), nil, exchange.Refused, false, "port"},
		{"no tag", with(func(a *exchange.Acceptance) { a.Tag = nil }), nil, exchange.Refused, false, "tag"},
		{"empty tag", with(func(a *exchange.Acceptance) { a.Tag = &patchbayv1.Tag{} }), nil, exchange.Refused, false, "a tag"},
		{"too low", with(func(a *exchange.Acceptance) { a.Tag = vlan(3) }), nil, exchange.Refused, false, "4 to 4094"},
		{"too high", with(func(a *exchange.Acceptance) { a.Tag = vlan(4095) }), nil, exchange.Refused, false, "4 to 4094"},
		{"tagged and not", with(func(a *exchange.Acceptance) {
			a.Tag = &patchbayv1.Tag{Vlan: proto.Int32(5), Untagged: true}
		}), nil, exchange.Refused, false, "not both"},
		{"untagged, not allowed", untagged, func(f *fake) {
			f.says("GET "+pathRequest+asked, strings.Replace(requestText(asked, "pending", ""), `"allow_untagged_z":true`, `"allow_untagged_z":false`, 1))
		}, exchange.Refused, false, "does not allow"},
		{"untagged, gone", untagged, func(*fake) {}, exchange.Refused, false, "gone"},
		{"untagged, unreadable", untagged, func(f *fake) { f.on("GET "+pathRequest+asked, answer(502, "")) }, exchange.NotSent, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			if tt.know != nil {
				tt.know(f)
			}
			out := client(t, f.URL).Accept(t.Context(), tt.a)
			if out.Class != tt.want || !strings.Contains(out.Message, tt.says) {
				t.Errorf("%+v, want %s and %q", out, tt.want, tt.says)
			}
			if sent := slices.Contains(f.whats(), provision); sent != tt.sent {
				t.Errorf("%q, want the call: %v", f.whats(), tt.sent)
			}
		})
	}
}

func TestReject(t *testing.T) {
	tests := []struct {
		name, kind string
		know       func(*fake)
		want       exchange.Class
		calls      int
	}{
		{"rejected", exchange.Create, func(f *fake) { f.says(reject, requestText(asked, "rejected", "")) }, exchange.Done, 1},
		{"already", exchange.Create, func(f *fake) {
			f.on(reject, message(400, "Request is not pending"))
			f.says("GET "+pathRequest+asked, requestText(asked, "rejected", ""))
		}, exchange.Over, 2},
		{"withdrawn", exchange.Create, func(*fake) {}, exchange.Over, 2},
		{"provisioned", exchange.Create, func(f *fake) {
			f.on(reject, message(400, "Request is not pending"))
			f.says("GET "+pathRequest+asked, requestText(asked, "provisioned", vc))
		}, exchange.Refused, 2},
		{"forbidden", exchange.Create, func(f *fake) {
			f.on(reject, message(403, "no"))
			f.says("GET "+pathRequest+asked, requestText(asked, "pending", ""))
		}, exchange.Refused, 2},
		{"lost", exchange.Create, func(f *fake) { f.on(reject, answer(503, "")) }, exchange.Unknown, 1},
		{"change", exchange.Change, func(*fake) {}, exchange.Refused, 0},
		{"delete", exchange.Delete, func(*fake) {}, exchange.Refused, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			tt.know(f)
			out := client(t, f.URL).Reject(t.Context(), asked, tt.kind, "no money")
			calls := f.calls()
			if out.Class != tt.want || len(calls) != tt.calls {
				t.Errorf("%+v by %q, want %s by %d calls", out, f.whats(), tt.want, tt.calls)
			}
			if len(calls) > 0 && len(calls[0].body) > 0 {
				t.Errorf("body %s, want none", calls[0].body)
			}
		})
	}
}

func TestPortsAndParties(t *testing.T) {
	f := newFake(t)
	f.says("GET /v2/ports", portsText)
	c := client(t, f.URL)
	want := []exchange.Port{
		{ID: portNYC, Name: "NYC", Metro: "NYC", Encapsulation: "dot1q"},
		{ID: enniNYC, Name: "NYC ENNI", Metro: "NYC", Encapsulation: "qinq"},
		{ID: portCHI, Name: "CHI", Metro: "CHI", Encapsulation: "dot1q"},
	}
	for range 2 {
		got, err := c.Ports(t.Context())
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	if n := len(f.calls()); n != 1 {
		t.Errorf("%d calls, want one: the second time they are remembered", n)
	}
	for _, tt := range []struct {
		role            account.Role
		ports, profiles []string
	}{
		{account.Buyer, []string{portNYC, enniNYC, portCHI}, nil},
		{account.Seller, nil, []string{buyer}},
		{account.Both, []string{portNYC, enniNYC, portCHI}, []string{buyer}},
	} {
		got, err := client(t, f.URL, func(cfg *exchange.Config) { cfg.Account.Role = tt.role }).Parties(t.Context())
		if err != nil || !slices.Equal(got.Ports, tt.ports) || !slices.Equal(got.Profiles, tt.profiles) {
			t.Errorf("%s: %+v, %v; want ports %v and the customer %v", tt.role, got, err, tt.ports, tt.profiles)
		}
	}
	f.says("GET /v2/ports", `[{"description":"no id"}]`)
	if _, err := client(t, f.URL).Ports(t.Context()); err == nil {
		t.Error("a port without an id is taken")
	}
}

func TestInUse(t *testing.T) {
	f := newFake(t)
	f.says("GET /v2/ports", portsText)
	f.says(listVCs, "["+circuitText(vc, "Active")+","+ownText(vc2, "Active")+
		`,{"vc_circuit_id":"PF-3","interfaces":[{"port_circuit_id":"`+enniNYC+`","svlan":5,"vlan":6},{"port_circuit_id":"`+portNYC+`","untagged":true}]}]`)
	f.says("GET /v2/ports/"+portNYC+"/vlan-summary", `{"lowest_available_vlan":6,"max_vlan":4093}`)
	c := client(t, f.URL)
	show := func(tags []*patchbayv1.Tag) []string {
		var all []string
		for _, tag := range tags {
			b, err := json.Marshal(tag)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(b))
		}
		return all
	}
	for _, tt := range []struct {
		port string
		want []string
	}{
		{portNYC, []string{`{"vlan":100}`, `{"vlan":100}`, `{"untagged":true}`, `{"vlan":4}`, `{"vlan":5}`, `{"vlan":4094}`}},
		{enniNYC, []string{`{"s_tag":5,"c_tag":6}`}},
	} {
		tags, err := c.InUse(t.Context(), tt.port)
		if got := show(tags); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v; want %v", tt.port, got, err, tt.want)
		}
	}
	f.says("GET /v2/ports/"+portNYC+"/vlan-summary", `{"max_vlan":4094}`)
	if tags, err := c.InUse(t.Context(), portNYC); err != nil || len(tags) != 3+4091 {
		t.Errorf("%d tags, %v; want all of a port that is full", len(tags), err)
	}
	for name, spoil := range map[string]func(){
		"odd summary": func() { f.says("GET /v2/ports/"+portNYC+"/vlan-summary", `{}`) },
		"no summary":  func() { f.on("GET /v2/ports/"+portNYC+"/vlan-summary", answer(500, "")) },
		"no circuits": func() { f.on(listVCs, answer(500, "")) },
	} {
		spoil()
		if _, err := c.InUse(t.Context(), portNYC); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := c.InUse(t.Context(), "PF-AP-FOREIGN"); err == nil {
		t.Error("a foreign port is looked at")
	}
	f.on("GET /v2/ports", http.NotFound)
	if _, err := client(t, f.URL).InUse(t.Context(), portNYC); err == nil {
		t.Error("ports that cannot be read are no error")
	}
}
