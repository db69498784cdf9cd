package ecx_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/ecx"
)

const (
	dot1qPort   = "4f891d3b-973e-73e0-bae0-30ac1885197a"
	dot1qPortDC = "7g831d3b-9740-7420-bae0-30ac1885127a"
	regions     = "c10f0000-0000-4000-8000-000000000001"
	peering     = "c10f0000-0000-4000-8000-000000000002"
	express     = "c10f0000-0000-4000-8000-000000000003"
	pairsOnly   = "c10f0000-0000-4000-8000-000000000004"
	open        = "c10f0000-0000-4000-8000-000000000005"
	ownProfile  = "c10f0000-0000-4000-8000-000000000006"
)

// checking returns a client of an exchange with four ports and seven profiles, where
// every key but "bad" is good for 200 Mbit/s.
func checking(t *testing.T) (*ecx.Client, *fake) {
	t.Helper()
	f := newFake(t)
	f.on("GET /ecx/v3/port/userport", file(t, "ports.json"))
	f.on("GET /ecx/v3/l2/serviceprofiles/services/", profileByID(t))
	f.on("GET /ecx/v3/l2/connections/validateAuthorizationKey", keyHandler())
	return client(t, f.URL, nil), f
}

// vlan and stag are tags; a zero inner tag is none.
func vlan(n int32) *patchbayv1.Tag { return &patchbayv1.Tag{Vlan: &n} }
func stag(s, c int32) *patchbayv1.Tag {
	t := &patchbayv1.Tag{STag: &s}
	if c != 0 {
		t.CTag = &c
	}
	return t
}

func TestCheck(t *testing.T) {
	type intent = *patchbayv1.CreateIntent
	to := func(profile string) func(intent) {
		return func(in intent) {
			in.Primary.ZSide.ProfileId, in.Primary.ZSide.AuthorizationKey = profile, ""
			in.Primary.ASide.PortId, in.Primary.ASide.Tag = dot1qPort, vlan(5)
		}
	}
	with := func(changes ...func(intent)) func(intent) {
		return func(in intent) {
			for _, change := range changes {
				change(in)
			}
		}
	}
	z := func(change func(*patchbayv1.Endpoint)) func(intent) {
		return func(in intent) { change(in.Primary.ZSide) }
	}
	a := func(port string, tag *patchbayv1.Tag) func(intent) {
		return func(in intent) { in.Primary.ASide = &patchbayv1.Endpoint{PortId: port, Tag: tag} }
	}
	cTag := func(n int32) func(intent) { return z(func(e *patchbayv1.Endpoint) { e.CTag = &n }) }
	peer := func(p string) func(intent) { return z(func(e *patchbayv1.Endpoint) { e.Peering = p }) }
	region := func(r string) func(intent) { return z(func(e *patchbayv1.Endpoint) { e.Region = r }) }
	speed := func(n int32) func(intent) {
		return func(in intent) {
			in.BandwidthMbps = nil
			if n != 0 {
				in.BandwidthMbps = &n
			}
		}
	}
	second := func(port string, tag *patchbayv1.Tag) func(intent) {
		return func(in intent) {
			in.Secondary = &patchbayv1.Leg{Name: "two", ASide: &patchbayv1.Endpoint{PortId: port, Tag: tag}}
		}
	}
	zPort := func(port string, tag *patchbayv1.Tag) func(intent) {
		return func(in intent) { in.Primary.ZSide = &patchbayv1.Endpoint{PortId: port, Tag: tag} }
	}
	tests := []struct {
		name   string
		change func(intent)
		want   []string // "field=value" of each violation
		hint   string   // in the first one's hint
	}{
		{"right", func(intent) {}, nil, ""},
		{"a right pair", second(portB, stag(881, 118)), nil, ""},
		{"port of somebody else", a("not-mine", stag(5, 6)), []string{`primary.aSide.portId="not-mine"`}, portA},
		{"vlan on QinQ", a(portA, vlan(5)), []string{"primary.aSide.tag.vlan=5"}, ""},
		{"sTag on Dot1q", a(dot1qPort, stag(5, 0)), []string{"primary.aSide.tag.sTag=5"}, `{"vlan": n}`},
		{"no tag", a(dot1qPort, nil), []string{"primary.aSide.tag="}, `{"vlan": n}`},
		{"untagged", a(dot1qPort, &patchbayv1.Tag{Untagged: true}), []string{"primary.aSide.tag.untagged=true"}, ""},
		{"tag 1", a(dot1qPort, vlan(1)), []string{"primary.aSide.tag.vlan=1"}, ""},
		{"tag 2", a(dot1qPort, vlan(2)), nil, ""},
		{"tag 4092", a(dot1qPort, vlan(4092)), nil, ""},
		{"tag 4093", a(dot1qPort, vlan(4093)), []string{"primary.aSide.tag.vlan=4093"}, "4093 and 4094"},
		{"tags 1 and 4095", a(portA, stag(1, 4095)), []string{"primary.aSide.tag.cTag=4095", "primary.aSide.tag.sTag=1"}, ""},
		{"QinQ to Dot1q without C-tag", a(portA, stag(5, 0)), []string{"primary.aSide.tag.cTag="}, ""},
		{"Dot1q to Dot1q with Z C-tag", with(a(dot1qPort, vlan(5)), cTag(9)), []string{"primary.zSide.cTag=9"}, ""},
		{"Dot1q to QinQ", with(to(regions), region("us-sv"), cTag(421)), nil, ""},
		{"Dot1q to QinQ without Z C-tag", with(to(regions), region("us-sv")), []string{"primary.zSide.cTag="}, ""},
		{"Z C-tag 4094", with(to(regions), region("us-sv"), cTag(4094)), []string{"primary.zSide.cTag=4094"}, "4093 and 4094"},
		{"QinQ to QinQ", with(to(regions), region("us-sv"), a(portA, stag(5, 0))), nil, ""},
		{"QinQ to QinQ with C-tag", with(to(regions), region("us-sv"), a(portA, stag(5, 6))), []string{"primary.aSide.tag.cTag=6"}, ""},
		{"one missing tag for two legs", with(to(regions), region("us-sv"), second(dot1qPortDC, vlan(6))), []string{"primary.zSide.cTag="}, ""},
		{"only the secondary's", with(to(regions), region("us-sv"), a(portA, stag(5, 0)), second(dot1qPortDC, vlan(6))),
			[]string{"secondary.zSide.cTag="}, ""},
		{"unknown profile", to("nowhere"), []string{`primary.zSide.profileId="nowhere"`}, ""},
		{"metro", with(to(open), z(func(e *patchbayv1.Endpoint) { e.Metro = "DC" })), []string{`primary.zSide.metro="DC"`}, "offered in SV"},
		{"metro of the A port", with(to(open), a(dot1qPortDC, vlan(5)), z(func(e *patchbayv1.Endpoint) { e.Metro = "" })),
			[]string{"primary.zSide.metro="}, "here DC"},
		{"region missing", with(to(regions), cTag(9)), []string{"primary.zSide.region="}, "us-sv"},
		{"region wrong", with(to(regions), cTag(9), region("mars")), []string{`primary.zSide.region="mars"`}, "us-sv"},
		{"bandwidth", with(to(open), speed(70)), []string{"bandwidthMbps=70"}, "50, 200, 1000"},
		{"bandwidth in GB", with(to(open), speed(1000)), nil, ""},
		{"bandwidth missing", with(to(open), speed(0)), []string{"bandwidthMbps="}, "50, 200, 1000"},
		{"any bandwidth", with(to(pairsOnly), speed(70), second(dot1qPortDC, vlan(6))), nil, ""},
		{"bandwidth of the key", with(to(express), speed(0), z(func(e *patchbayv1.Endpoint) { e.AuthorizationKey = canary })), nil, ""},
		{"another than the key's", with(to(express), speed(50), z(func(e *patchbayv1.Endpoint) { e.AuthorizationKey = canary })),
			[]string{"bandwidthMbps=50"}, "200"},
		{"key missing", z(func(e *patchbayv1.Endpoint) { e.AuthorizationKey = "" }), []string{"primary.zSide.authorizationKey="}, ""},
		{"key bad", z(func(e *patchbayv1.Endpoint) { e.AuthorizationKey = "bad" }), []string{"primary.zSide.authorizationKey=***"}, "no such key"},
		{"secondary's own key bad", with(second(portB, stag(8, 9)), func(in intent) {
			in.Secondary.ZSide = &patchbayv1.Endpoint{AuthorizationKey: "bad"}
		}), []string{"secondary.zSide.authorizationKey=***"}, "no such key"},
		{"peering", with(to(peering), peer("PRIVATE")), nil, ""},
		{"Manual", with(to(peering), peer("MANUAL"), cTag(7)), nil, ""},
		{"Manual without C-tag", with(to(peering), peer("MANUAL")), []string{"primary.zSide.cTag="}, ""},
		{"Private with C-tag", with(to(peering), peer("PRIVATE"), cTag(7)), []string{"primary.zSide.cTag=7"}, ""},
		{"peering missing", to(peering), []string{"primary.zSide.peering="}, "PRIVATE, MANUAL"},
		{"peering not offered", with(to(peering), peer("PUBLIC")), []string{`primary.zSide.peering="PUBLIC"`}, "PRIVATE, MANUAL"},
		{"no named tags", with(to(open), peer("PRIVATE")), []string{`primary.zSide.peering="PRIVATE"`}, ""},
		{"two peerings", with(to(peering), peer("PRIVATE"), second(dot1qPortDC, vlan(6)), func(in intent) {
			in.Secondary.ZSide = &patchbayv1.Endpoint{Peering: "MANUAL", CTag: proto.Int32(9)}
		}), []string{`secondary.zSide.peering="MANUAL"`}, ""},
		{"pair needed", to(pairsOnly), []string{"secondary="}, ""},
		{"own port", with(a(portA, stag(5, 6)), zPort(dot1qPort, vlan(9))), nil, ""},
		{"own port unknown", with(a(portA, stag(5, 6)), zPort("x", vlan(9))), []string{`primary.zSide.portId="x"`}, portA},
		{"own QinQ port without C-tag", with(a(dot1qPort, vlan(5)), zPort(portA, stag(9, 0))), []string{"primary.zSide.tag.cTag="}, ""},
		{"own port, same tag", with(a(dot1qPort, vlan(5)), zPort(dot1qPort, vlan(5))), []string{"primary.zSide.tag="}, ""},
		{"service tokens", func(in intent) {
			in.Primary.ASide = &patchbayv1.Endpoint{ServiceToken: canary}
			in.Primary.ZSide = &patchbayv1.Endpoint{ServiceToken: canary}
		}, []string{"primary.aSide.serviceToken=***", "primary.zSide.serviceToken=***"}, "api: fabric"},
		{"fields of others", func(in intent) {
			in.Billing = &patchbayv1.Billing{AccountId: "1", TermMonths: proto.Int32(1), Longhaul: "x", FlexBandwidthId: "2"}
			in.Description, in.CustomerReference, in.ProjectId = "d", "c", "p"
			in.Primary.ZSide = &patchbayv1.Endpoint{RoutingId: "r", Market: "m", ServiceId: "s"}
		}, []string{`billing.accountId="1"`, `billing.flexBandwidthId="2"`, `billing.longhaul="x"`, "billing.termMonths=1",
			`customerReference="c"`, `description="d"`, `primary.zSide.market="m"`, `primary.zSide.routingId="r"`,
			`primary.zSide.serviceId="s"`, `projectId="p"`}, ""},
		{"everything at once", with(to(open), a(dot1qPort, vlan(1)), speed(70), peer("PRIVATE"), cTag(1)),
			[]string{"bandwidthMbps=70", "primary.aSide.tag.vlan=1", "primary.zSide.cTag=1", "primary.zSide.cTag=1",
				`primary.zSide.peering="PRIVATE"`}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := checking(t)
			in := single(t)
			tt.change(in)
			checked, err := c.Check(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			var got, hints []string
			for _, v := range checked.Violations {
				got, hints = append(got, v.GetField()+"="+v.GetValue()), append(hints, v.GetHint())
				if v.GetRule() == "" {
					t.Errorf("%s: no rule", v.GetField())
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("violations\n got %q\nwant %q", got, tt.want)
			}
			if tt.hint != "" && !strings.Contains(strings.Join(hints, "\n"), tt.hint) {
				t.Errorf("hints %q, want one with %q", hints, tt.hint)
			}
		})
	}
}

func TestCheckTellsFlowAndWhatIsSent(t *testing.T) {
	c, f := checking(t)
	for profile, flow := range map[string]string{profileA: "approval", express: "integrated", ownProfile: "own", "": "own"} {
		in := pair(t)
		in.Primary.ZSide.ProfileId = profile
		if profile == "" {
			in.Primary.ZSide = &patchbayv1.Endpoint{PortId: dot1qPort, Tag: vlan(9)}
		}
		checked, err := c.Check(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if checked.Flow != flow {
			t.Errorf("flow to %q = %q, want %q", profile, checked.Flow, flow)
		}
		notes := strings.Join(checked.Notes, "\n")
		for _, want := range []string{"POST " + f.URL + "/ecx/v3/l2/connections {", `"secondaryName":"two"`, "price"} {
			if !strings.Contains(notes, want) {
				t.Errorf("notes %s, want %q in them", notes, want)
			}
		}
	}
}

func TestCheckAsksOnce(t *testing.T) {
	c, f := checking(t)
	for range 3 {
		if _, err := c.Check(t.Context(), pair(t)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.calls()); n != 3 {
		t.Errorf("%d requests for three checks, want ports, profile and key once each", n)
	}
}

func TestCheckThatCannotAsk(t *testing.T) {
	f := newFake(t)
	f.on("GET /ecx/v3/", answer(503, "<html>"))
	if got, err := client(t, f.URL, nil).Check(t.Context(), single(t)); err == nil {
		t.Errorf("Check = %+v without error; nothing was held against anything", got)
	}
}

func TestFlowOfWhatIsSeenAfterwards(t *testing.T) {
	c, f := checking(t)
	f.on("GET /ecx/v3/l2/connections/"+circuitA, answer(200,
		`{"uuid":"`+circuitA+`","status":"PROVISIONED","sellerServiceUUID":"`+express+`"}`))
	for _, want := range []string{"", "integrated"} {
		conn, err := c.Get(t.Context(), circuitA)
		if err != nil || conn.GetFlow() != want {
			t.Errorf("flow %q, %v; want %q", conn.GetFlow(), err, want)
		}
		in := single(t)
		in.Primary.ZSide.ProfileId = express
		if _, err := c.Check(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
}

var _ exchange.Client = (*ecx.Client)(nil)

// TestEmptyIntent: what package intent refuses does not get here, but if it does it must
// not take the process with it.
func TestEmptyIntent(t *testing.T) {
	c, f := checking(t)
	f.on("POST /ecx/v3/l2/connections", answer(400, `[{"errorCode":"X","errorMessage":"no"}]`))
	for _, in := range []*patchbayv1.CreateIntent{{}, {Primary: &patchbayv1.Leg{}, Secondary: &patchbayv1.Leg{}}} {
		if _, err := c.Check(t.Context(), in); err != nil {
			t.Errorf("Check: %v", err)
		}
		if out := c.Place(t.Context(), exchange.Placement{Intent: in, Legs: bothLegs}); out.Class != exchange.Refused {
			t.Errorf("Place: %+v, want the exchange's refusal", out)
		}
		if keys := c.Keys(in); keys[exchange.Primary] != "" {
			t.Errorf("Keys = %v, want none: nothing could be found by it", keys)
		}
	}
}
