package fabric_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/fabric"
)

// profileBody is a profile in SV and DC that sells 50 and 200 Mbit/s.
func profileBody(id, more string) string {
	return `{"uuid":"` + id + `","name":"Cloud","state":"ACTIVE","visibility":"PUBLIC","accessPointTypeConfigs":[{"type":"VD"},
		{"type":"COLO",` + more + `"supportedBandwidths":[50,"200"]}],
		"metros":[{"code":"SV","sellerRegions":{"us-sv":"x"},"vcBandwidthMax":100},{"code":"DC"}]}`
}

// tokenBody is a service token as the exchange shows it.
func tokenBody(uuid, state, connection string) string {
	return `{"type":"VC_TOKEN","uuid":"` + uuid + `","name":"tok","state":"` + state + `","connection":{"type":"EVPL_VC"` + connection + `}}`
}

// market is an exchange with ports, profiles, keys, tokens and prices.
func market(t *testing.T, profile, token string) *fake {
	t.Helper()
	f := newFake(t).ports()
	f.on("GET /fabric/v4/serviceProfiles/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "gone" {
			answer(404, refusal("EQ-3001001", "no profile", ""))(w, r)
			return
		}
		answer(200, profile)(w, r)
	})
	f.on("GET /fabric/v4/serviceTokens/{id}", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.PathValue("id"), "gone"):
			answer(400, refusal("EQ-3034016", "Token not found", "tokenUuid"))(w, r)
		case strings.HasSuffix(r.PathValue("id"), "hidden"):
			answer(403, refusal("EQ-3045003", "Operation not allowed", ""))(w, r)
		default:
			answer(200, strings.ReplaceAll(token, "@", r.PathValue("id")))(w, r)
		}
	})
	f.on("POST /fabric/v4/connections/validate", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Filter struct{ And []struct{ Values []string } }
		}
		_ = json.NewDecoder(r.Body).Decode(&q) // then the key is refused
		if len(q.Filter.And) == 0 || strings.HasSuffix(q.Filter.And[0].Values[0], "bad") {
			answer(400, refusal("EQ-2041022", "Invalid argument value passed", ""))(w, r)
			return
		}
		answer(200, `{"additionalInfo":[{"key":"message","value":"Authorization key provided is valid"}],"data":[]}`)(w, r)
	})
	f.on("POST /fabric/v4/prices/search", answer(200, `{"data":[{"code":"ECX00015.PROD","currency":"USD","charges":[
		{"type":"MONTHLY_RECURRING","price":500.5},{"type":"NON_RECURRING","price":0}]}]}`))
	return f
}

// dryRuns answers dry runs.
func (f *fake) dryRuns(h http.HandlerFunc) *fake {
	f.on("POST /fabric/v4/connections", h)
	return f
}

// TestViolations breaks one rule after the other.
func TestViolations(t *testing.T) {
	profile := profileBody(profileA, `"linkProtocolConfig":{"encapsulation":"DOT1Q"},"authenticationKey":{"required":true},`)
	named := profileBody(profileN, `"linkProtocolConfig":{"encapsulationStrategy":"NAMED","namedTags":["Private","Public"]},`)
	free := tokenBody("@", "INACTIVE", ``)
	sp := func(more string) string { return `{"profileId":"` + profileA + `"` + more + `}` }
	const key = `,"metro":"SV","region":"us-sv","authorizationKey":"` + canary + `"`
	onVlan := func(n int) string { return fmt.Sprintf(`{"portId":"%s","tag":{"vlan":%d}}`, portDot, n) }
	tests := []struct {
		name           string
		a, z           string
		profile, token string
		change         func(*patchbayv1.CreateIntent)
		want           []string // fields
		reason         string   // part of rule or hint of the first
		broken         bool     // by a rule of package intent
	}{
		{name: "sound profile", a: onDot, z: sp(key), profile: profile},
		{name: "sound named", a: onDot, z: toNamed + "", profile: strings.ReplaceAll(named, `"us-sv":"x"`, ``)},
		{name: "sound token", a: onDot, z: byTokZ, token: free},
		{name: "sound QinQ token", a: onQC, z: byTokZ, token: free},
		{name: "hidden token", a: onDot, z: `{"serviceToken":"` + canary + `-hidden"}`},
		{name: "sound A token", a: byTokA, z: onDot2, token: tokenBody("@", "INACTIVE", `,"bandwidthLimit":100,"aSide":{"accessPointSelectors":[{"linkProtocol":{"type":"DOT1Q","vlanTag":3}}]}`)},
		{name: "sound own", a: onDot, z: onQ2C},
		{name: "sound untagged", a: onU, z: `{"portId":"` + portU2 + `"}`},
		{name: "half read", a: onDot, z: `{}`, broken: true},
		{name: "not my port", a: `{"portId":"x","tag":{"vlan":5}}`, z: byTokZ, token: free, want: []string{"primary.aSide.portId"}, reason: portDot},
		{name: "not my Z port", a: onDot, z: `{"portId":"x","tag":{"vlan":5}}`, want: []string{"primary.zSide.portId"}},
		{name: "VLAN 1", a: onVlan(1), z: byTokZ, token: free, want: []string{"primary.aSide.tag.vlan"}, reason: "2 to 4092"},
		{name: "VLAN 4093", a: onVlan(4093), z: byTokZ, token: free, want: []string{"primary.aSide.tag.vlan"}, reason: "disagree"},
		{name: "S-tag on Dot1q", a: `{"portId":"` + portDot + `","tag":{"sTag":5,"cTag":6}}`, z: byTokZ, token: free, want: []string{"primary.aSide.tag.sTag"}},
		{name: "S-tag alone on Dot1q to a Dot1q profile", a: `{"portId":"` + portDot + `","tag":{"sTag":12}}`, z: sp(key), profile: profile,
			want: []string{"primary.aSide.tag.sTag"}, reason: `give {"vlan": n}`},
		{name: "port and token on both sides", a: `{"portId":"` + portDot + `","serviceToken":"` + canary + `-hidden","tag":{"vlan":100}}`,
			z: `{"portId":"` + portDot2 + `","serviceToken":"` + canary + `-hidden"}`, broken: true},
		{name: "VLAN at a QinQ Z side", a: onDot, z: `{"portId":"` + portQ2 + `","tag":{"vlan":12}}`, want: []string{"primary.zSide.tag.vlan"}},
		{name: "VLAN on QinQ", a: `{"portId":"` + portQ + `","tag":{"vlan":5}}`, z: byTokZ, token: free, want: []string{"primary.aSide.tag.vlan"}},
		{name: "tag on untagged", a: `{"portId":"` + portU + `","tag":{"vlan":5}}`, z: byTokZ, token: free, want: []string{"primary.aSide.tag"}},
		{name: "no tag to profile", a: onU, z: sp(key), profile: profile, want: []string{"primary.aSide.tag"}},
		{name: "tag on one side", a: onDot, z: onU2, want: []string{"primary.zSide.tag"}},
		{name: "tag on the other side", a: onU, z: onDot2, want: []string{"primary.aSide.tag"}},
		{name: "Dot1q to QinQ without C-tag", a: onDot, z: onQ2, want: []string{"primary.zSide.tag.cTag"}},
		{name: "QinQ to Dot1q without C-tag", a: onQ, z: onDot2, want: []string{"primary.aSide.tag.cTag"}},
		{name: "QinQ to QinQ with C-tags", a: onQC, z: onQ2C, want: []string{"primary.aSide.tag.cTag", "primary.zSide.tag.cTag"}},
		{name: "QinQ to Dot1q profile", a: onQ, z: sp(key), profile: profile, want: []string{"primary.aSide.tag.cTag"}},
		{name: "A token to QinQ", a: byTokA, z: onQ2, token: tokenBody("@", "INACTIVE", `,"aSide":{"accessPointSelectors":{"linkProtocol":{"type":"DOT1Q","vlanTag":"3"}}}`),
			want: []string{"primary.zSide.tag.cTag"}},
		{name: "same port and tag", a: onDot, z: onDot, want: []string{"primary.zSide.tag"}},
		{name: "Z metro", a: onDot, z: strings.Replace(onDot2, `{`, `{"metro":"AM",`, 1), want: []string{"primary.zSide.metro"}},
		{name: "no profile", a: onDot, z: `{"profileId":"gone"}`, want: []string{"primary.zSide.profileId"}},
		{name: "no id of a profile", a: onDot, z: `{"profileId":"a b"}`, want: []string{"primary.zSide.profileId"}},
		{name: "dead profile", a: onDot, z: sp(key), profile: strings.Replace(profile, "ACTIVE", "DELETED", 1), want: []string{"primary.zSide.profileId"}},
		{name: "metro", a: onDot, z: sp(`,"metro":"AM","authorizationKey":"k"`), profile: profile, want: []string{"primary.zSide.metro"}, reason: "DC, SV"},
		{name: "A port's metro", a: onDot, z: sp(`,"authorizationKey":"k","region":"us-sv"`), profile: strings.Replace(profile, `"SV"`, `"LA"`, 1),
			want: []string{"primary.zSide.metro"}, reason: "that of the A port"},
		{name: "no metro by token", a: byTokA, z: sp(`,"authorizationKey":"k"`), profile: profile, token: free, want: []string{"primary.zSide.metro"}},
		{name: "remote", a: onDot2, z: sp(key), profile: strings.Replace(profile, `"COLO",`, `"COLO","allowRemoteConnections":false,`, 1), want: []string{"primary.zSide.metro"}},
		{name: "no region", a: onDot, z: sp(`,"metro":"SV","authorizationKey":"k"`), profile: profile, want: []string{"primary.zSide.region"}},
		{name: "region", a: onDot, z: sp(`,"metro":"SV","region":"eu","authorizationKey":"k"`), profile: profile, want: []string{"primary.zSide.region"}},
		{name: "no key", a: onDot, z: sp(`,"metro":"SV","region":"us-sv"`), profile: profile, want: []string{"primary.zSide.authorizationKey"}},
		{name: "bad key", a: onDot, z: sp(`,"metro":"SV","region":"us-sv","authorizationKey":"` + canary + `bad"`), profile: profile,
			want: []string{"primary.zSide.authorizationKey"}, reason: "Invalid argument"},
		{name: "no peering", a: onDot, z: sp(`,"metro":"DC"`), profile: named, want: []string{"primary.zSide.peering"}, reason: "PRIVATE, PUBLIC"},
		{name: "other peering", a: onDot, z: sp(`,"metro":"DC","peering":"MANUAL"`), profile: named, want: []string{"primary.zSide.peering"}},
		{name: "peering for nothing", a: onDot, z: sp(key + `,"peering":"PRIVATE"`), profile: profile, want: []string{"primary.zSide.peering"}},
		{name: "pairs only", a: onDot, z: sp(key), profile: strings.Replace(profile, `"COLO",`, `"COLO","connectionRedundancyRequired":true,`, 1), want: []string{"secondary"}},
		{name: "band", a: onDot, z: sp(key), profile: profile, change: mbps(70), want: []string{"bandwidthMbps"}, reason: "50, 200"},
		{name: "any speed", a: onDot, z: sp(key), profile: strings.Replace(profile, `"COLO",`, `"COLO","allowCustomBandwidth":true,`, 1), change: mbps(70)},
		{name: "too fast for the metro", a: onDot, z: sp(key), profile: profile, change: mbps(200), want: []string{"bandwidthMbps"}, reason: "the most is 100"},
		{name: "too fast", a: onDot, z: onDot2, change: mbps(100_001), want: []string{"bandwidthMbps"}},
		{name: "no speed", a: onDot, z: onDot2, change: func(in *patchbayv1.CreateIntent) { in.BandwidthMbps = nil }, want: []string{"bandwidthMbps"}},
		{name: "speed of the key", a: onDot, z: sp(key), profile: strings.Replace(profile, `"COLO",`, `"COLO","apiConfig":{"bandwidthFromApi":true},`, 1),
			change: func(in *patchbayv1.CreateIntent) { in.BandwidthMbps = nil }, broken: true},
		{name: "no token", a: onDot, z: `{"serviceToken":"` + canary + `-gone"}`, want: []string{"primary.zSide.serviceToken"}, reason: "exists"},
		{name: "no id of a token", a: onDot, z: `{"serviceToken":"` + canary + ` x"}`, want: []string{"primary.zSide.serviceToken"}, reason: "exists"},
		{name: "used token", a: onDot, z: byTokZ, token: tokenBody("@", "ACTIVE", ``), want: []string{"primary.zSide.serviceToken"}, reason: "used"},
		{name: "expired token", a: onDot, z: byTokZ, token: tokenBody("@", "EXPIRED", ``), want: []string{"primary.zSide.serviceToken"}, reason: "expired"},
		{name: "expired by the clock", a: onDot, z: byTokZ, token: strings.Replace(free, `"name"`, `"expiryDateTime":"2020-01-02T03:04:05Z","name"`, 1),
			want: []string{"primary.zSide.serviceToken"}, reason: "expired"},
		{name: "deleted token", a: onDot, z: byTokZ, token: tokenBody("@", "DELETED", ``), want: []string{"primary.zSide.serviceToken"}, reason: "deleted"},
		{name: "token for the other side", a: onDot, z: byTokZ, token: tokenBody("@", "INACTIVE", `,"aSide":{"accessPointSelectors":[{}]}`),
			want: []string{"primary.zSide.serviceToken"}, reason: "Z side"},
		{name: "EPL token", a: onDot, z: byTokZ, token: strings.Replace(free, "VC_TOKEN", "EPL_TOKEN", 1), want: []string{"primary.zSide.serviceToken"}},
		{name: "VC token untagged", a: onU, z: byTokZ, token: free, want: []string{"primary.zSide.serviceToken"}},
		{name: "local token", a: onDot, z: byTokZ, token: tokenBody("@", "INACTIVE", `,"zSide":{"accessPointSelectors":[{"port":{"uuid":"`+portQ2+`"}}]}`),
			want: []string{"primary.zSide.serviceToken"}, reason: "in DC"},
		{name: "local A token", a: byTokA, z: onDot2, token: tokenBody("@", "INACTIVE", `,"aSide":{"accessPointSelectors":[{"location":{"metroCode":"SV"}}]}`),
			want: []string{"primary.aSide.serviceToken"}, reason: "in SV"},
		{name: "remote token", a: onDot, z: byTokZ, token: tokenBody("@", "INACTIVE", `,"allowRemoteConnection":true,"zSide":{"accessPointSelectors":[{"port":{"uuid":"`+portQ2+`"}}]}`)},
		{name: "token's limit", a: byTokA, z: onDot2, token: tokenBody("@", "INACTIVE", `,"bandwidthLimit":"10"`), want: []string{"bandwidthMbps"}},
		{name: "token's bands", a: onDot, z: byTokZ, token: tokenBody("@", "INACTIVE", `,"supportedBandwidths":[10,20]`), want: []string{"bandwidthMbps"}, reason: "10, 20"},
		{name: "token's custom bands", a: onDot, z: byTokZ, token: tokenBody("@", "INACTIVE", `,"supportedBandwidths":[10,20],"allowCustomBandwidth":true`)},
		{name: "long name", a: onDot, z: onDot2, change: func(in *patchbayv1.CreateIntent) { in.Name = strings.Repeat("x", 25) }, want: []string{"name"}},
		{name: "others' fields", a: onDot, z: onDot2, change: func(in *patchbayv1.CreateIntent) {
			n := int32(3)
			in.Billing = &patchbayv1.Billing{AccountId: "1", Longhaul: "usage", FlexBandwidthId: "2"}
			in.Description, in.Primary.ZSide.RoutingId, in.Primary.ZSide.CTag = "d", "TT-1OI-1450", &n
		}, want: []string{"billing.accountId", "billing.longhaul", "billing.flexBandwidthId", "description", "primary.zSide.routingId", "primary.zSide.cTag"}},
		{name: "PacketFabric's target", a: onDot, z: `{"routingId":"TT-1OI-1450","market":"CHI"}`,
			want: []string{"primary.zSide.routingId", "primary.zSide.market", "primary.zSide"}},
		{name: "13 addresses", a: onDot, z: onDot2, change: func(in *patchbayv1.CreateIntent) {
			in.Notifications[0].Emails = slices.Repeat([]string{"a@example.com"}, 13)
		}, want: []string{"notifications[0].emails"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := market(t, tt.profile, tt.token).dryRuns(answer(200, `{"type":"EVPL_VC","name":"one"}`))
			in := order(t, tt.a, tt.z)
			if tt.change != nil {
				tt.change(in)
			}
			got, err := client(t, f).Check(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			var where []string
			for _, v := range got.Violations {
				where = append(where, v.GetField())
			}
			if !slices.Equal(where, tt.want) {
				t.Errorf("violations %v, want %v", got.Violations, tt.want)
			}
			if len(tt.want) > 0 && len(got.Violations) > 0 && !strings.Contains(fmt.Sprint(got.Violations[0].GetRule(), got.Violations[0].GetHint()), tt.reason) {
				t.Errorf("violation %v, want one that says %q", got.Violations[0], tt.reason)
			}
			if strings.Contains(fmt.Sprint(got), canary) {
				t.Errorf("%v tells a secret", got)
			}
			if n := len(f.calls(posted + "?dryRun=true")); n > 1 || (n == 1) != (len(tt.want) == 0 && !tt.broken) {
				t.Errorf("%d dry runs, want one if it is sound by package intent's rules too", n)
			}
		})
	}
}

func mbps(n int32) func(*patchbayv1.CreateIntent) {
	return func(in *patchbayv1.CreateIntent) { in.BandwidthMbps = &n }
}

// TestPairViolations are what only a pair can break.
func TestPairViolations(t *testing.T) {
	f := market(t, profileBody(profileN, `"linkProtocolConfig":{"namedTags":["Private","Public"]},`), tokenBody("@", "INACTIVE", ``)).
		dryRuns(answer(200, `{}`))
	tests := []struct {
		a, z, a2, z2 string
		want         []string
	}{
		{onDot, byTokZ, onDot2, byTokZ, []string{"secondary.zSide.serviceToken"}},
		{byTokA, onDot, byTokA, onQC, []string{"secondary.aSide.serviceToken"}},
		{onDot, `{"profileId":"` + profileN + `","metro":"DC","peering":"PRIVATE"}`, onDot2, `{"peering":"PUBLIC"}`, []string{"secondary.zSide.peering"}},
		{onDot, `{"profileId":"` + profileN + `","metro":"DC","peering":"PRIVATE"}`, onDot2, `{"profileId":"other"}`, []string{"secondary.zSide.profileId"}},
		{onDot, `{"profileId":"` + profileN + `","metro":"DC","peering":"PRIVATE"}`, onDot2, `{"metro":"AM"}`, []string{"secondary.zSide.metro"}},
		{onDot, `{"profileId":"` + profileN + `","metro":"DC","peering":"PRIVATE"}`, `{"portId":"` + portDot2 + `","tag":{"vlan":1}}`, `{}`, []string{"secondary.aSide.tag.vlan"}},
		{onDot, `{"profileId":"` + profileN + `","metro":"DC"}`, onDot2, `{}`, []string{"primary.zSide.peering"}},
	}
	for _, tt := range tests {
		got, err := client(t, f).Check(t.Context(), order(t, tt.a, tt.z, tt.a2, tt.z2))
		var where []string
		for _, v := range got.Violations {
			where = append(where, v.GetField())
		}
		if err != nil || !slices.Equal(where, tt.want) {
			t.Errorf("%s: violations %v, %v, want %v", tt.z2, got.Violations, err, tt.want)
		}
	}
	long := order(t, onDot, `{"profileId":"`+profileN+`","metro":"DC","peering":"PRIVATE"}`, onDot2, `{}`)
	long.Secondary.Name = strings.Repeat("x", 25)
	if got, err := client(t, f).Check(t.Context(), long); err != nil || len(got.Violations) != 1 || got.Violations[0].GetField() != "secondary.name" {
		t.Errorf("violations %v, %v, want one of secondary.name", got.Violations, err)
	}
}

// TestNotes says what a check tells people: what will be sent, what the exchange thinks of
// it, and what it costs.
// Who buys from his own company may need nobody's consent; who sells to others gives his.
func TestOwnProfile(t *testing.T) {
	own := strings.Replace(profileBody(profileA, ""), `"state"`, `"selfProfile":true,"state"`, 1)
	for r, want := range map[account.Role]string{account.Buyer: "", account.Both: "", account.Seller: "approval"} {
		c := client(t, market(t, own, tokenBody("@", "INACTIVE", "")), role(r))
		got, err := c.Check(t.Context(), order(t, onDot, toSP))
		if err != nil || got.Flow != want {
			t.Errorf("Check of a %s = flow %q, %v; want %q", r, got.Flow, err, want)
		}
	}
}

func TestNotes(t *testing.T) {
	profile := profileBody(profileA, "")
	free := tokenBody("@", "INACTIVE", ``)
	tests := []struct {
		name, a, z, flow string
		dry              http.HandlerFunc
		want             []string
		violation        string
	}{
		{"profile", onDot, toSP, "approval", answer(200, `{}`), []string{
			`"authenticationKey":"***"`, "POST http", "Price of the primary: 500.5 USD monthly recurring, 0 USD non recurring (ECX00015.PROD).",
			"took the primary in a dry run", "does not ask for the authorization key"}, ""},
		{"token", onDot, byTokZ, "token", answer(200, `{}`), []string{`"serviceToken":{"uuid":"***"}`, "No price of the primary: what is behind"}, ""},
		{"A token", byTokA, onDot2, "token", answer(200, `{}`), []string{`"serviceToken":{"uuid":"***"}`}, ""},
		{"A token to profile", byTokA, toSP, "approval", answer(200, `{}`), []string{`"serviceToken":{"uuid":"***"}`}, ""},
		{"own", onDot, onDot2, "own", answer(200, `{}`), []string{"Price of the primary"}, ""},
		{"untagged on a tagged port", `{"portId":"` + portDot + `"}`, onU2, "own", answer(200, `{}`), []string{"is Dot1q; whether"}, ""},
		{"taken in the dry run", onDot, onDot2, "own", answer(400, refusal("EQ-3142102", "duplicate VLAN", "")), []string{"the exchange said: duplicate VLAN"}, ""},
		{"no dry run", onDot, onDot2, "own", answer(400, refusal("EQ-3142411", "Dry run is not supported", "")), []string{"has no dry run"}, ""},
		{"dry run lost", onDot, onDot2, "own", answer(502, ""), []string{"No dry run of the primary: 502 Bad Gateway."}, ""},
		{"dry run refused", onDot, onDot2, "own", answer(400, refusal("EQ-3142501", "Invalid input", "/notifications/emails")), nil, "notifications"},
		{"hidden token", onDot, `{"serviceToken":"x-hidden"}`, "token", answer(200, `{}`), []string{"does not show this account the service token of primary.zSide"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := client(t, market(t, profile, free).dryRuns(tt.dry)).Check(t.Context(), order(t, tt.a, tt.z))
			if err != nil || got.Flow != tt.flow {
				t.Fatalf("Check = %+v, %v, want flow %s", got, err, tt.flow)
			}
			for _, part := range tt.want {
				if !strings.Contains(strings.Join(got.Notes, "\n"), part) {
					t.Errorf("notes %q lack %q", got.Notes, part)
				}
			}
			if tt.violation == "" && len(got.Violations) > 0 || tt.violation != "" && (len(got.Violations) != 1 || got.Violations[0].GetField() != tt.violation) {
				t.Errorf("violations %v, want %q", got.Violations, tt.violation)
			}
			if strings.Contains(fmt.Sprint(got), canary) {
				t.Errorf("%v tells a secret", got)
			}
		})
	}
	t.Run("pair", func(t *testing.T) {
		f := market(t, profile, free).dryRuns(answer(200, `{}`))
		got, err := client(t, f).Check(t.Context(), order(t, onDot, toSP, onDot2, `{}`))
		if err != nil || len(got.Violations) > 0 || !strings.Contains(strings.Join(got.Notes, "\n"), `"redundancy":{"group":"(the primary's)","priority":"SECONDARY"}`) {
			t.Errorf("Check = %+v, %v, want both bodies", got, err)
		}
		for _, a := range f.calls(posted + "?") {
			if fields(t, a.body)["redundancy"] != nil {
				t.Errorf("dry run %s names a group that is not there yet", a.body)
			}
		}
	})
	t.Run("price", func(t *testing.T) {
		f := market(t, profile, free).dryRuns(answer(200, `{}`))
		c := client(t, f)
		for range 2 {
			if _, err := c.Check(t.Context(), order(t, onDot, toSP)); err != nil {
				t.Fatal(err)
			}
		}
		calls := f.calls("POST /fabric/v4/prices")
		if len(calls) != 1 {
			t.Errorf("%d calls, want the price kept", len(calls))
		}
		sameJSON(t, text(t, fields(t, calls[0].body)["filter"]), `{"and":[
			{"property":"/type","operator":"=","values":["VIRTUAL_CONNECTION_PRODUCT"]},
			{"property":"/connection/type","operator":"=","values":["EVPL_VC"]},
			{"property":"/connection/bandwidth","operator":"IN","values":["50"]},
			{"property":"/connection/aSide/accessPoint/type","operator":"=","values":["COLO"]},
			{"property":"/connection/aSide/accessPoint/location/metroCode","operator":"=","values":["SV"]},
			{"property":"/connection/zSide/accessPoint/type","operator":"=","values":["SP"]},
			{"property":"/connection/zSide/accessPoint/location/metroCode","operator":"=","values":["SV"]},
			{"property":"/connection/zSide/accessPoint/profile/uuid","operator":"=","values":["`+profileA+`"]}]}`)
		for body, want := range map[string]string{`{"data":[]}`: "has none", `{"data":[{"charges":[]}]}`: "has none", `<html>`: "has none"} {
			other := newFake(t).ports().dryRuns(answer(200, `{}`))
			other.on("POST /fabric/v4/prices/search", answer(200, body))
			got, err := client(t, other).Check(t.Context(), order(t, onDot, onDot2))
			if err != nil || !strings.Contains(strings.Join(got.Notes, "\n"), want) {
				t.Errorf("price %s: %q, %v, want %q", body, got.Notes, err, want)
			}
		}
		other := newFake(t).ports().dryRuns(answer(200, `{}`))
		got, err := client(t, other).Check(t.Context(), order(t, onDot, onDot2))
		if err != nil || !strings.Contains(strings.Join(got.Notes, "\n"), "No price of the primary: POST fabric /prices/search: 404") {
			t.Errorf("notes %q, %v, want that there is no price", got.Notes, err)
		}
	})
}

// TestWetRun: an exchange that creates circuits in dry runs gets no more of them.
func TestWetRun(t *testing.T) {
	f := market(t, "", "").dryRuns(answer(201, `{"uuid":"`+circuitA+`"}`))
	c := client(t, f)
	if _, err := c.Check(t.Context(), order(t, onDot, onDot2)); err == nil || !strings.Contains(err.Error(), circuitA) {
		t.Errorf("Check = %v, want an error that names the circuit", err)
	}
	got, err := c.Check(t.Context(), order(t, onDot, onDot2))
	if err != nil || !strings.Contains(strings.Join(got.Notes, "\n"), "an earlier one created a circuit") || len(f.calls(posted+"?")) != 1 {
		t.Errorf("Check = %+v, %v, after %d dry runs, want no second", got, err, len(f.calls(posted+"?")))
	}
}

// TestCheckCannotAsk: an exchange that does not answer is an error, not a violation.
func TestCheckCannotAsk(t *testing.T) {
	for _, path := range []string{"/fabric/v4/ports", "/fabric/v4/serviceProfiles/", "/fabric/v4/serviceTokens/", "/fabric/v4/connections/validate"} {
		f := newFake(t)
		f.on(path, answer(503, ""))
		if path != "/fabric/v4/ports" {
			f.ports()
		}
		if path == "/fabric/v4/connections/validate" {
			f.on("GET /fabric/v4/serviceProfiles/{id}", answer(200, profileBody(profileA, `"authenticationKey":{"required":true},`)))
		}
		z := toSP
		if strings.Contains(path, "Tokens") {
			z = byTokZ
		}
		if got, err := client(t, f).Check(t.Context(), order(t, onDot, z)); err == nil {
			t.Errorf("%s does not answer: Check = %+v, want an error", path, got)
		}
	}
	f := newFake(t).ports()
	f.on("GET /fabric/v4/serviceProfiles/{id}", answer(200, `{}`))
	if got, err := client(t, f).Check(t.Context(), order(t, onDot, toSP)); err == nil {
		t.Errorf("no profile: Check = %+v, want an error", got)
	}
}

func TestFieldOf(t *testing.T) {
	in := order(t, onDot, toSP, onDot2, `{"metro":"DC"}`)
	for _, tt := range []struct{ which, property, want string }{
		{exchange.Primary, "/aSide/accessPoint/linkProtocol", "primary.aSide.tag"},
		{exchange.Secondary, "aSide/accessPoint/port/uuid", "secondary.aSide.portId"},
		{exchange.Secondary, "/zSide/accessPoint/profile/uuid", "primary.zSide.profileId"},
		{exchange.Secondary, "/zSide/accessPoint/location/metroCode", "secondary.zSide.metro"},
		{exchange.Secondary, "/name", "secondary.name"},
		{exchange.Primary, "/name", "name"},
		{exchange.Primary, "/zSide/visibility", "primary.zSide"},
		{exchange.Primary, "/order/termLength", "billing.termMonths"},
		{exchange.Primary, "/redundancy/group", "primary"},
		{exchange.Primary, "", "primary"},
	} {
		if got := fabric.FieldOf(in, tt.which, tt.property); got != tt.want {
			t.Errorf("%s of the %s is %s, want %s", tt.property, tt.which, got, tt.want)
		}
	}
}

func TestTokens(t *testing.T) {
	f := newFake(t)
	used := `{"type":"VC_TOKEN","uuid":"t1","state":"ACTIVE","expirationDateTime":"2026-05-06T07:08:09Z","connection":{"uuid":"` + circuitA + `"}}`
	href := `{"uuid":"t2","state":"SPENT","connection":{"href":"https://x/fabric/v4/connections/` + circuitB + `"},"notifications":{"type":"ALL"}}`
	f.on("GET /fabric/v4/serviceTokens", answer(200, listOf(used, href, tokenBody("t3", "INACTIVE", ""))))
	f.on("POST /fabric/v4/serviceTokens/search", answer(200, listOf(used)))
	c := client(t, f)
	var got []exchange.Token
	err := c.Tokens(t.Context(), func(k exchange.Token) error { got = append(got, k); return nil })
	want := []exchange.Token{
		{UUID: "t1", State: "ACTIVE", Native: "ACTIVE", ConnectionID: circuitA, ExpiresAt: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)},
		{UUID: "t2", State: "UNKNOWN", Native: "SPENT", ConnectionID: circuitB},
		{UUID: "t3", State: "INACTIVE", Native: "INACTIVE"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Tokens = %v, %v; want %v", got, err, want)
	}
	n := 0
	count := func(fabric.ServiceToken) error { n++; return nil }
	if err := c.SearchTokens(t.Context(), fabric.TokenQuery{Name: "tok", PortID: portDot, States: []string{fabric.TokenInactive}}, count); err != nil || n != 1 {
		t.Errorf("SearchTokens = %d, %v; want one", n, err)
	}
	sameJSON(t, text(t, fields(t, f.calls("POST /fabric/v4/serviceTokens/search")[0].body)["filter"]), `{"and":[
		{"property":"/name","operator":"=","values":["tok"]},{"property":"/state","operator":"IN","values":["INACTIVE"]},
		{"or":[{"property":"/connection/aSide/accessPointSelectors/port/uuid","operator":"=","values":["`+portDot+`"]},
		{"property":"/connection/zSide/accessPointSelectors/port/uuid","operator":"=","values":["`+portDot+`"]}]}]}`)
	if err := c.SearchTokens(t.Context(), fabric.TokenQuery{}, count); err != nil || n != 4 {
		t.Errorf("SearchTokens = %d, %v; want three more", n, err)
	}
	bad := newFake(t)
	bad.on("GET /fabric/v4/serviceTokens", answer(200, listOf(`{}`)))
	if client(t, bad).Tokens(t.Context(), nil) == nil || client(t, bad).SearchTokens(t.Context(), fabric.TokenQuery{}, nil) == nil {
		t.Error("a token without an id was read")
	}
}

func TestToken(t *testing.T) {
	f := market(t, "", tokenBody("@", "INACTIVE", `,"supportedBandwidths":[200,50],"allowRemoteConnection":"true","zSide":{"accessPointSelectors":
		{"type":"COLO","port":{"uuid":"`+portDot+`"},"linkProtocol":{"type":"DOT1Q","vlanTag":"3332"}}}`))
	c := client(t, f)
	got, err := c.Token(t.Context(), tokenZ)
	if err != nil || got.Side != "z" || got.PortID != portDot || got.Tag.GetVlan() != 3332 || !slices.Equal(got.Bands, []int32{50, 200}) || !got.AllowRemote {
		t.Errorf("Token = %+v, %v", got, err)
	}
	if strings.Contains(fmt.Sprint(got), canary) {
		t.Errorf("%v tells the token", got)
	}
	if _, err := c.Token(t.Context(), canary+"-gone"); !strings.Contains(fmt.Sprint(err), fabric.ErrNoToken.Error()) || strings.Contains(err.Error(), canary) {
		t.Errorf("Token = %v, want that there is none", err)
	}
	other := market(t, "", tokenBody("another", "INACTIVE", ""))
	if _, err := client(t, other).Token(t.Context(), tokenZ); err == nil {
		t.Error("another token was taken for the one asked for")
	}
}

// TestTokenCommands creates, changes and takes back service tokens.
func TestTokenCommands(t *testing.T) {
	f := newFake(t)
	f.on("/fabric/v4/serviceTokens", answer(201, tokenBody(tokenZ, "INACTIVE", "")))
	f.on("/fabric/v4/serviceTokens/{id}", answer(200, tokenBody(tokenZ, "INACTIVE", "")))
	c := client(t, f)
	vlan := int32(5)
	ends := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	made, out := c.CreateToken(t.Context(), fabric.TokenWish{Name: "tok", Description: "d", Side: "z", PortID: portDot, Tag: &patchbayv1.Tag{Vlan: &vlan},
		Bandwidths: []int32{50, 200}, ExpiresAt: ends, Emails: []string{"a@example.com"}, ProjectID: "p"})
	if out.Class != exchange.Done || made.UUID != tokenZ || made.State != fabric.TokenInactive {
		t.Errorf("CreateToken = %v, %+v", made, out)
	}
	sameJSON(t, string(f.calls("POST /fabric")[0].body), `{"type":"VC_TOKEN","name":"tok","description":"d","expirationDateTime":"2026-05-06T07:08:09Z",
		"connection":{"type":"EVPL_VC","allowRemoteConnection":false,"allowCustomBandwidth":false,"supportedBandwidths":[50,200],"zSide":{"accessPointSelectors":
		[{"type":"COLO","port":{"uuid":"`+portDot+`"},"linkProtocol":{"type":"DOT1Q","vlanTag":5}}]}},
		"notifications":[{"type":"ALL","emails":["a@example.com"]}],"project":{"projectId":"p"}}`)
	if _, out = c.CreateToken(t.Context(), fabric.TokenWish{Name: "tok", Side: "a", PortID: portU, Bandwidths: []int32{50, 200}}); out.Class != exchange.Done {
		t.Errorf("CreateToken = %+v", out)
	}
	sameJSON(t, string(f.calls("POST /fabric")[1].body), `{"type":"EPL_TOKEN","name":"tok","connection":{"type":"EPL_VC","allowRemoteConnection":false,
		"allowCustomBandwidth":false,"bandwidthLimit":200,"aSide":{"accessPointSelectors":[{"type":"COLO","port":{"uuid":"`+portU+`"}}]}}}`)
	for _, w := range []fabric.TokenWish{{PortID: portDot}, {Side: "a"}} {
		if _, out := c.CreateToken(t.Context(), w); out.Class != exchange.Refused {
			t.Errorf("CreateToken(%+v) = %+v, want refused", w, out)
		}
	}
	if out := c.UpdateToken(t.Context(), tokenZ, fabric.TokenChange{Name: "n", Description: "d", ExpiresAt: ends}); out.Class != exchange.Done {
		t.Errorf("UpdateToken = %+v", out)
	}
	sameJSON(t, string(f.calls("PATCH")[0].body), `[{"op":"replace","path":"/name","value":"n"},{"op":"replace","path":"/description","value":"d"},
		{"op":"replace","path":"/expirationDateTime","value":"2026-05-06T07:08:09Z"}]`)
	if out := c.UpdateToken(t.Context(), tokenZ, fabric.TokenChange{}); out.Class != exchange.Refused {
		t.Errorf("UpdateToken = %+v, want refused: nothing to change", out)
	}
	if out := c.DeleteToken(t.Context(), tokenZ); out.Class != exchange.Done {
		t.Errorf("DeleteToken = %+v", out)
	}
	if out := c.DeleteToken(t.Context(), "a/b"); out.Class != exchange.Refused {
		t.Errorf("DeleteToken = %+v, want refused: that is no id", out)
	}
	for body, want := range map[string]exchange.Class{refusal("EQ-3034019", "deleted already", ""): exchange.Over,
		refusal("EQ-3034016", "Token not found", ""): exchange.Refused} {
		bad := newFake(t)
		bad.on("/fabric/v4/", answer(400, body))
		if out := client(t, bad).DeleteToken(t.Context(), tokenZ); out.Class != want {
			t.Errorf("DeleteToken = %+v, want %s", out, want)
		}
		if _, out := client(t, bad).CreateToken(t.Context(), fabric.TokenWish{Side: "a", PortID: portU}); out.Class == exchange.Done {
			t.Errorf("CreateToken = %+v, want no token", out)
		}
	}
	odd := newFake(t)
	odd.on("/fabric/v4/", answer(200, `{}`))
	if _, out := client(t, odd).CreateToken(t.Context(), fabric.TokenWish{Side: "a", PortID: portU}); out.Class != exchange.Unknown {
		t.Errorf("CreateToken = %+v, want unknown: a token may exist", out)
	}
}
