package intent_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
)

// Sound bodies of each API; a case of [TestCheckFor] spoils one.
const (
	fabricToken = `{"name":"one","bandwidthMbps":50,"purchaseOrder":"PO-1","notifications":["noc@example.com"],
"primary":{"aSide":{"portId":"port-a","tag":{"vlan":100}},"zSide":{"serviceToken":"token-1"}}}`
	fabricProfile = `{"name":"one","bandwidthMbps":50,"notifications":["noc@example.com"],"customerReference":"r","projectId":"p",
"billing":{"termMonths":12},
"primary":{"aSide":{"portId":"port-a","tag":{"vlan":100}},"zSide":{"profileId":"profile-1","metro":"SV","region":"us-sv","authorizationKey":"KEY","peering":"PRIVATE"}},
"secondary":{"name":"two","aSide":{"portId":"port-b","tag":{"vlan":101}}}}`
	fabricOwn = `{"name":"one","bandwidthMbps":50,"notifications":["noc@example.com"],
"primary":{"aSide":{"portId":"port-a","tag":{"vlan":100}},"zSide":{"portId":"port-z","tag":{"vlan":200}}}}`
	fabricIssued = `{"name":"one","bandwidthMbps":50,"notifications":["noc@example.com"],
"primary":{"aSide":{"serviceToken":"token-1"},"zSide":{"portId":"port-z","tag":{"sTag":200,"cTag":201}}}}`
	pfRequest = `{"name":"one","bandwidthMbps":50,"notifications":["noc@example.com"],"description":"for the office",
"billing":{"accountId":"billing-1","longhaul":"dedicated","termMonths":1},
"primary":{"aSide":{"portId":"PF-AP-CHI1-1","tag":{"vlan":100}},"zSide":{"routingId":"TR-1RI-OQ85","market":"ATL"}}}`
	pfOwn = `{"name":"one","bandwidthMbps":1000,"notifications":["noc@example.com"],"billing":{"accountId":"billing-1"},
"primary":{"aSide":{"portId":"PF-AP-CHI1-1","tag":{"sTag":100,"cTag":5}},"zSide":{"portId":"PF-AP-ATL1-1","tag":{"untagged":true}}}}`
	ecxAnything = `{"name":"one","notifications":["noc@example.com"],
"primary":{"aSide":{"serviceToken":"token-1"},"zSide":{"routingId":"TR-1RI-OQ85","market":"ATL"}}}`
	setAll = `{"target":{"source":"crm","id":"4711"},"set":{"name":"other","bandwidthMbps":75,"tag":{"vlan":5},"termMonths":12,"notifications":["noc@example.com"]}}`
)

func TestCheckFor(t *testing.T) {
	const foreign = "absent: Fabric v4 has no such field"
	many := `{"type":"ALL","emails":["a1@x.org","a2@x.org","a3@x.org","a4@x.org","a5@x.org","a6@x.org","a7@x.org","a8@x.org","a9@x.org","a10@x.org","a11@x.org","a12@x.org","a13@x.org"]}`
	for _, tt := range []struct {
		name     string
		api      account.API
		body     string
		old, new string
		want     []string // the violations' fields
	}{
		{"token", account.Fabric, fabricToken, "", "", nil},
		{"profile", account.Fabric, fabricProfile, "", "", nil},
		{"own port", account.Fabric, fabricOwn, "", "", nil},
		{"issued token", account.Fabric, fabricIssued, "", "", nil},
		{"QinQ to a token", account.Fabric, fabricToken, `"vlan":100`, `"sTag":1002,"cTag":1001`, nil},
		{"Dot1q to QinQ", account.Fabric, fabricOwn, `"vlan":200`, `"sTag":200,"cTag":201`, nil},
		{"QinQ to Dot1q", account.Fabric, fabricOwn, `"vlan":100`, `"sTag":200,"cTag":201`, nil},
		{"QinQ to QinQ", account.Fabric, fabricOwn, `{"vlan":100}},"zSide":{"portId":"port-z","tag":{"vlan":200}}`, `{"sTag":100}},"zSide":{"portId":"port-z","tag":{"sTag":200}}`, nil},
		{"EPL", account.Fabric, fabricOwn, `,"tag":{"vlan":100}},"zSide":{"portId":"port-z","tag":{"vlan":200}}`, `},"zSide":{"portId":"port-z"}`, nil},
		{"port and token on both sides", account.Fabric, fabricOwn, `"tag":{"vlan":100}},"zSide":{"portId":"port-z","tag":{"vlan":200}}`,
			`"serviceToken":"t-1","tag":{"vlan":100}},"zSide":{"portId":"port-z","serviceToken":"t-2"}`, nil},
		{"no bandwidth", account.Fabric, fabricToken, `"bandwidthMbps":50,`, ``, []string{"bandwidthMbps"}},
		{"thirteen addresses", account.Fabric, fabricToken, `"noc@example.com"`, many, []string{"notifications[0].emails"}},
		{"tag 4093", account.Fabric, fabricToken, `100`, `4093`, []string{"primary.aSide.tag.vlan"}},
		{"tag 1 on the other side", account.Fabric, fabricOwn, `200`, `1`, []string{"primary.zSide.tag.vlan"}},
		{"untagged", account.Fabric, fabricOwn, `"vlan":100`, `"untagged":true`, []string{"primary.aSide.tag.untagged"}},
		{"half an EPL", account.Fabric, fabricOwn, `,"tag":{"vlan":200}`, ``, []string{"primary.zSide.tag"}},
		{"the other half", account.Fabric, fabricOwn, `,"tag":{"vlan":100}`, ``, []string{"primary.aSide.tag"}},
		{"EPL to a token", account.Fabric, fabricToken, `,"tag":{"vlan":100}`, ``, nil},
		{"EPL from a token", account.Fabric, fabricIssued, `,"tag":{"sTag":200,"cTag":201}`, ``, nil},
		{"a profile without a tag", account.Fabric, fabricProfile, `,"tag":{"vlan":100}`, ``, []string{"primary.aSide.tag"}},
		{"Dot1q to half of QinQ", account.Fabric, fabricOwn, `"vlan":200`, `"sTag":200`, []string{"primary.zSide.tag.cTag"}},
		{"QinQ to QinQ with an inner tag", account.Fabric, fabricOwn, `{"vlan":100}},"zSide":{"portId":"port-z","tag":{"vlan":200}}`, `{"sTag":100,"cTag":5}},"zSide":{"portId":"port-z","tag":{"sTag":200}}`, []string{"primary.aSide.tag.cTag"}},
		{"inner tag of the seller", account.Fabric, fabricProfile, `"metro":"SV"`, `"cTag":5`, []string{"primary.zSide.cTag"}},
		{"words of PacketFabric", account.Fabric, pfRequest, "", "", []string{"billing.accountId", "billing.longhaul", "description", "primary.zSide.routingId", "primary.zSide.market"}},

		{"request", account.PacketFabric, pfRequest, "", "", nil},
		{"own port", account.PacketFabric, pfOwn, "", "", nil},
		{"ENNI", account.PacketFabric, pfRequest, `"vlan":100`, `"sTag":100,"cTag":4094`, nil},
		{"untagged", account.PacketFabric, pfRequest, `"vlan":100`, `"untagged":true`, nil},
		{"flex", account.PacketFabric, pfRequest, `"accountId":"billing-1","longhaul":"dedicated","termMonths":1`, `"flexBandwidthId":"f"`, nil},
		{"flex with any limit", account.PacketFabric, pfRequest, `"bandwidthMbps":50,"notifications":["noc@example.com"],"description":"for the office",
"billing":{"accountId":"billing-1","longhaul":"dedicated","termMonths":1`, `"bandwidthMbps":75,"notifications":["noc@example.com"],
"billing":{"flexBandwidthId":"f"`, nil},
		{"tag 3", account.PacketFabric, pfRequest, `"vlan":100`, `"vlan":3`, []string{"primary.aSide.tag.vlan"}},
		{"no tag", account.PacketFabric, pfRequest, `,"tag":{"vlan":100}`, ``, []string{"primary.aSide.tag"}},
		{"outer tag alone", account.PacketFabric, pfRequest, `"vlan":100`, `"sTag":100`, []string{"primary.aSide.tag.cTag"}},
		{"nobody pays", account.PacketFabric, pfRequest, `"accountId":"billing-1",`, ``, []string{"billing.accountId"}},
		{"paid twice", account.PacketFabric, pfRequest, `"accountId"`, `"flexBandwidthId":"f","accountId"`, []string{"billing.accountId", "billing.longhaul", "billing.termMonths"}},
		{"speed", account.PacketFabric, pfRequest, `50`, `75`, []string{"bandwidthMbps"}},
		{"no speed", account.PacketFabric, pfRequest, `"bandwidthMbps":50,`, ``, []string{"bandwidthMbps"}},
		{"purchase order", account.PacketFabric, pfRequest, `"description"`, `"purchaseOrder"`, []string{"purchaseOrder"}},
		{"two ports whole", account.PacketFabric, pfOwn, `,"tag":{"sTag":100,"cTag":5}},"zSide":{"portId":"PF-AP-ATL1-1","tag":{"untagged":true}}`, `},"zSide":{"portId":"PF-AP-ATL1-1"}`, nil},
		{"one port whole", account.PacketFabric, pfOwn, `,"tag":{"untagged":true}`, ``, []string{"primary.zSide.tag"}},
		{"both ends untagged", account.PacketFabric, pfOwn, `"sTag":100,"cTag":5`, `"untagged":true`, []string{"primary.zSide.tag.untagged"}},
		{"words of Fabric", account.PacketFabric, fabricProfile, "", "", []string{"customerReference", "projectId", "billing.accountId",
			"primary.zSide.profileId", "primary.zSide.region", "primary.zSide.authorizationKey", "primary.zSide.peering", "primary.zSide.metro"}},
		{"token", account.PacketFabric, fabricToken, "", "", []string{"billing.accountId", "primary.zSide.serviceToken", "purchaseOrder"}},

		{"anything, for its adapter to judge", account.ECX, ecxAnything, "", "", nil},
		{"nothing at all", account.Fabric, `{}`, "", "", nil},

		{"change", account.Fabric, setAll, "", "", []string{"set.tag"}},
		{"change of what can be", account.Fabric, setAll, `"tag":{"vlan":5},`, ``, nil},
		{"change", account.PacketFabric, setAll, "", "", []string{"set.termMonths", "set.notifications"}},
		{"tag of a change", account.PacketFabric, setAll, `"vlan":5},"termMonths":12,"notifications":["noc@example.com"]`, `"sTag":5}`, []string{"set.tag.cTag"}},
		{"change", account.ECX, setAll, "", "", []string{"set.termMonths", "set.tag", "set.notifications"}},
	} {
		t.Run(string(tt.api)+" "+tt.name, func(t *testing.T) {
			if tt.old != "" && strings.Count(tt.body, tt.old) != 1 {
				t.Fatalf("the body has %q %d times, want once", tt.old, strings.Count(tt.body, tt.old))
			}
			body := []byte(strings.Replace(tt.body, tt.old, tt.new, min(len(tt.old), 1)))
			m, form := intent.Decode(event.Intent, intent.KindOf(body), body)
			if len(form) > 0 {
				t.Fatalf("%s: %q, want a readable body", body, lines(form))
			}
			before := proto.Clone(m)
			got := intent.CheckFor(tt.api, m)
			var fields []string
			for _, v := range got {
				fields = append(fields, v.GetField())
				if v.GetRule() == "" || strings.Contains(intent.Line(v), "KEY") || strings.Contains(intent.Line(v), "token-1") {
					t.Errorf("violation %q, want a rule and no secret", intent.Line(v))
				}
			}
			slices.Sort(fields)
			want := slices.Sorted(slices.Values(tt.want))
			if !slices.Equal(fields, want) {
				t.Errorf("%q, want violations of %q", lines(got), want)
			}
			if !proto.Equal(before, m) {
				t.Error("CheckFor changed what it was given")
			}
		})
	}
	v := intent.CheckFor(account.Fabric, mustRead(t, pfRequest))
	if v[0].GetRule() != foreign || v[0].GetHint() == "" {
		t.Errorf("%q, want %q and a hint", intent.Line(v[0]), foreign)
	}
}

func mustRead(t *testing.T, body string) proto.Message {
	t.Helper()
	m, wrong := intent.Read(event.Intent, intent.KindOf([]byte(body)), []byte(body))
	if len(wrong) > 0 {
		t.Fatalf("%s: %q, want none", body, lines(wrong))
	}
	return m
}
