package packetfabric_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
)

// shop is an exchange that shows ports, markets and the marketplace.
func shop(t *testing.T) *fake {
	t.Helper()
	f := newFake(t)
	f.says("GET /v2/ports", portsText)
	f.says("GET /v2/locations/markets", marketsText)
	f.says("GET /v2/marketplace/services", offersText)
	return f
}

func TestCheck(t *testing.T) {
	n := proto.Int32
	tag := func(vlan int32) *patchbayv1.Tag { return &patchbayv1.Tag{Vlan: n(vlan)} }
	tests := []struct {
		name, reason string
		own          bool
		change       func(*patchbayv1.CreateIntent)
		want         []string // field: rule
	}{
		{"sound", "", false, func(*patchbayv1.CreateIntent) {}, nil},
		{"sound between own ports", "", true, func(*patchbayv1.CreateIntent) {}, nil},
		{"lowest tag", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ASide.Tag = tag(4) }, nil},
		{"highest tag", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ASide.Tag = tag(4094) }, nil},
		{"tag too low", "1 to 3 are reserved", false, func(in *patchbayv1.CreateIntent) { in.Primary.ASide.Tag = tag(3) },
			[]string{"primary.aSide.tag.vlan: a number from 4 to 4094"}},
		{"tag too high", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ASide.Tag = tag(4095) },
			[]string{"primary.aSide.tag.vlan: a number from 4 to 4094"}},
		{"untagged", "the seller's side has a tag then", false, func(in *patchbayv1.CreateIntent) {
			in.Primary.ASide.Tag = &patchbayv1.Tag{Untagged: true}
		}, nil},
		{"no tag", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ASide.Tag = nil }, []string{"primary.aSide.tag: a tag"}},
		{"empty tag", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ASide.Tag = &patchbayv1.Tag{} }, []string{"primary.aSide.tag: a tag"}},
		{"two tags on no ENNI", "", false, func(in *patchbayv1.CreateIntent) {
			in.Primary.ASide.Tag = &patchbayv1.Tag{STag: n(5), CTag: n(6)}
		}, []string{"primary.aSide.tag.sTag: absent: the port is no ENNI"}},
		{"C-tag on no ENNI", "", false, func(in *patchbayv1.CreateIntent) {
			in.Primary.ASide.Tag = &patchbayv1.Tag{Vlan: n(5), CTag: n(6)}
		}, []string{"primary.aSide.tag.cTag: absent: the port is no ENNI"}},
		{"ENNI", "", false, func(in *patchbayv1.CreateIntent) {
			in.Primary.ASide = &patchbayv1.Endpoint{PortId: enniNYC, Tag: &patchbayv1.Tag{STag: n(5), CTag: n(6)}}
		}, nil},
		{"one tag on an ENNI", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ASide.PortId = enniNYC },
			[]string{"primary.aSide.tag.vlan: absent: the port is an ENNI, which has two tags"}},
		{"outer tag alone", "the exchange wants a VLAN", false, func(in *patchbayv1.CreateIntent) {
			in.Primary.ASide = &patchbayv1.Endpoint{PortId: enniNYC, Tag: &patchbayv1.Tag{STag: n(5)}}
		}, []string{"primary.aSide.tag.cTag: a C-tag: the port is an ENNI, and the exchange wants a VLAN inside the S-VLAN"}},
		{"inner tag alone", "", false, func(in *patchbayv1.CreateIntent) {
			in.Primary.ASide = &patchbayv1.Endpoint{PortId: enniNYC, Tag: &patchbayv1.Tag{CTag: n(5)}}
		}, []string{"primary.aSide.tag.sTag: an S-tag: the port is an ENNI, which has two tags"}},
		{"foreign port", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ASide.PortId = "PF-AP-X" },
			[]string{"primary.aSide.portId: a port of this account"}},
		{"whole ports", "no tags make an EPL", true, func(in *patchbayv1.CreateIntent) {
			in.Primary.ASide.Tag, in.Primary.ZSide.Tag = nil, nil
		}, nil},
		{"half a tag", "", true, func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.Tag = nil }, []string{"primary.zSide.tag: a tag"}},
		{"the same port and tag", "", true, func(in *patchbayv1.CreateIntent) {
			in.Primary.ZSide = proto.CloneOf(in.Primary.ASide)
		}, []string{"primary.zSide.tag: another tag than the A side has on the same port"}},
		{"the same port", "", true, func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.PortId = portNYC }, nil},
		{"the same port, one end untagged", "", true, func(in *patchbayv1.CreateIntent) {
			in.Primary.ZSide.PortId, in.Primary.ASide.Tag = portNYC, &patchbayv1.Tag{Untagged: true}
		}, nil},
		{"the same port, both whole", "", true, func(in *patchbayv1.CreateIntent) {
			in.Primary.ZSide = &patchbayv1.Endpoint{PortId: portNYC, Tag: &patchbayv1.Tag{Untagged: true}}
			in.Primary.ASide.Tag = &patchbayv1.Tag{Untagged: true}
		}, []string{"primary.zSide.tag: another tag than the A side has on the same port"}},
		{"foreign target", "", true, func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.PortId = "PF-AP-X" },
			[]string{"primary.zSide.portId: a port of this account"}},
		{"odd speed", "the enum is exact", false, func(in *patchbayv1.CreateIntent) { in.BandwidthMbps = n(51) },
			[]string{"bandwidthMbps: a speed that PacketFabric sells"}},
		{"no speed", "", false, func(in *patchbayv1.CreateIntent) { in.BandwidthMbps = nil }, []string{"bandwidthMbps: a bandwidth in Mbit/s"}},
		{"odd speed by usage", "it does not count", false, func(in *patchbayv1.CreateIntent) {
			in.BandwidthMbps, in.Billing.Longhaul = n(51), "usage"
		}, nil},
		{"odd speed out of flex bandwidth", "", false, func(in *patchbayv1.CreateIntent) {
			in.BandwidthMbps, in.Billing = n(51), &patchbayv1.Billing{FlexBandwidthId: "PF-FB-1"}
		}, nil},
		{"nobody pays", "", false, func(in *patchbayv1.CreateIntent) { in.Billing = nil },
			[]string{"billing.accountId: a billing account, or flex bandwidth"}},
		{"paid by a number", "a billing account is named by a uuid", false, func(in *patchbayv1.CreateIntent) {
			in.Billing.AccountId = "4711"
		}, []string{"billing.accountId: the uuid of a billing account"}},
		{"paid twice", "", false, func(in *patchbayv1.CreateIntent) { in.Billing.FlexBandwidthId = "PF-FB-1" }, []string{
			"billing.accountId: absent beside flexBandwidthId, which is paid for already",
			"billing.longhaul: absent beside flexBandwidthId, which is paid for already",
			"billing.termMonths: absent beside flexBandwidthId, which is paid for already"}},
		{"no such market", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.Market = "XXX" },
			[]string{"primary.zSide.market: a market of PacketFabric"}},
		{"no such routing id", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.RoutingId = "XX-1" },
			[]string{"primary.zSide.routingId: a routing id of the marketplace"}},
		{"its service", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.ServiceId = service }, nil},
		{"another's service", "", false, func(in *patchbayv1.CreateIntent) {
			in.Primary.ZSide.RoutingId, in.Primary.ZSide.ServiceId = "PD-WUY-9VB0", service
		}, []string{"primary.zSide.routingId: the routing id of service Cloud Connect"}},
		{"no such service", "", false, func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.ServiceId = "nothing" },
			[]string{"primary.zSide.serviceId: a service of the marketplace"}},
		{"a pair", "what the secondary inherits is the primary's to blame", false, func(in *patchbayv1.CreateIntent) {
			in.Secondary = &patchbayv1.Leg{Name: "two", ASide: &patchbayv1.Endpoint{PortId: portCHI, Tag: tag(2)}}
			in.Primary.ZSide.Market = "XXX"
		}, []string{"primary.zSide.market: a market of PacketFabric", "secondary.aSide.tag.vlan: a number from 4 to 4094"}},
		{"all that others have", "every one at once", false, func(in *patchbayv1.CreateIntent) {
			in.PurchaseOrder, in.CustomerReference, in.ProjectId = "po", "ref", "p"
			in.Primary.ASide = &patchbayv1.Endpoint{ServiceToken: canary}
			in.Primary.ZSide = &patchbayv1.Endpoint{ServiceToken: canary, ProfileId: "p", Metro: "SV", Region: "us", AuthorizationKey: canary,
				Peering: "PRIVATE", CTag: n(7)}
		}, []string{
			"purchaseOrder: absent: PacketFabric has no such field in a new circuit",
			"customerReference: absent: PacketFabric has no such field in a new circuit",
			"projectId: absent: PacketFabric has no such field in a new circuit",
			"primary.aSide.serviceToken: absent: PacketFabric has no such field",
			"primary.zSide.serviceToken: absent: PacketFabric has no such field",
			"primary.zSide.profileId: absent: PacketFabric has no such field",
			"primary.zSide.metro: absent: PacketFabric has no such field",
			"primary.zSide.region: absent: PacketFabric has no such field",
			"primary.zSide.authorizationKey: absent: PacketFabric has no such field",
			"primary.zSide.peering: absent: PacketFabric has no such field",
			"primary.zSide.cTag: absent: PacketFabric has no such field"}},
	}
	f := shop(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, flow := single(t), "approval"
			if tt.own {
				in, flow = own(t), "own"
			}
			tt.change(in)
			got, err := client(t, f.URL).Check(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			var rules []string
			for _, v := range got.Violations {
				rules = append(rules, v.GetField()+": "+v.GetRule())
				if strings.Contains(v.String(), canary) {
					t.Errorf("%v shows a secret", v)
				}
			}
			if !slices.Equal(rules, tt.want) {
				t.Errorf("got  %q\nwant %q %s", rules, tt.want, tt.reason)
			}
			if got.Flow != flow && tt.name != "all that others have" {
				t.Errorf("flow %q, want %q", got.Flow, flow)
			}
		})
	}
}

// TestHints: a violation says what was given and what would do.
func TestHints(t *testing.T) {
	f := shop(t)
	in := single(t)
	in.BandwidthMbps, in.Primary.ZSide.Market, in.Primary.ASide.PortId = proto.Int32(51), "XXX", "PF-AP-X"
	got, err := client(t, f.URL).Check(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string][2]string{
		"bandwidthMbps":        {"51", "50, 100, 200"},
		"primary.zSide.market": {`"XXX"`, "one of CHI, NYC"},
		"primary.aSide.portId": {`"PF-AP-X"`, portNYC + " (NYC, dot1q)"},
	} {
		i := slices.IndexFunc(got.Violations, func(v *patchbayv1.Violation) bool { return v.GetField() == field })
		if i < 0 || got.Violations[i].GetValue() != want[0] || !strings.Contains(got.Violations[i].GetHint(), want[1]) {
			t.Errorf("%s: %v, want value %s and a hint at %s", field, got.Violations, want[0], want[1])
		}
	}
}

func TestNotes(t *testing.T) {
	f := shop(t)
	in := single(t)
	in.Secondary = &patchbayv1.Leg{Name: "two", ASide: &patchbayv1.Endpoint{PortId: portCHI, Tag: &patchbayv1.Tag{Vlan: proto.Int32(9)}}}
	c := client(t, f.URL)
	for range 2 {
		got, err := c.Check(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(got.Notes, "\n")
		for _, want := range []string{
			`POST ` + f.URL + `/v2/services/third-party {"routing_id":"` + routing + `","market":"CHI","description":"one"`,
			`"description":"two"`, "price", "two requests", "notifications",
		} {
			if !strings.Contains(all, want) {
				t.Errorf("notes %s\nlack %s", all, want)
			}
		}
	}
	if got := f.whats(); len(got) != 3 {
		t.Errorf("asked %q, want each list once", got)
	}
	f.on("GET /v2/marketplace/services", message(403, "no"))
	got, err := client(t, f.URL).Check(t.Context(), single(t))
	if err != nil || len(got.Violations) > 0 || !strings.Contains(strings.Join(got.Notes, "\n"), "was not looked up") {
		t.Errorf("%v, %v; want a note that the marketplace is not shown", got, err)
	}
	without := single(t)
	without.Primary.ZSide.RoutingId = ""
	got, err = client(t, f.URL).Check(t.Context(), without)
	if err != nil || strings.Contains(strings.Join(got.Notes, "\n"), "was not looked up") {
		t.Errorf("%v, %v; want no word about the routing id, for there is none", got, err)
	}
}

// TestCheckCannotAsk: what cannot be asked is an error and no violation.
func TestCheckCannotAsk(t *testing.T) {
	for _, what := range []string{"GET /v2/ports", "GET /v2/locations/markets", "GET /v2/marketplace/services"} {
		for name, h := range map[string]http.HandlerFunc{"broken": answer(500, ""), "throttled": answer(429, ""), "odd": answer(200, `[{}]`)} {
			f := shop(t)
			f.on(what, h)
			got, err := client(t, f.URL).Check(t.Context(), single(t))
			if err == nil || len(got.Violations) > 0 {
				t.Errorf("%s %s: %v, %v; want an error alone", what, name, got, err)
			}
			if busy := errors.As(err, new(exchange.Throttled)); busy != (name == "throttled") {
				t.Errorf("%s %s: %v", what, name, err)
			}
		}
	}
	f := newFake(t)
	f.says("GET /v2/ports", `[]`)
	got, err := client(t, f.URL).Check(t.Context(), own(t))
	if err != nil || len(got.Violations) != 2 || !strings.Contains(got.Violations[0].GetHint(), "no ports") {
		t.Errorf("%v, %v; want both ports missed", got, err)
	}
}
