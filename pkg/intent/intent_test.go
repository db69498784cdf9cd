package intent_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/secret"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func ExampleRead() {
	_, wrong := intent.Read(event.Intent, intent.Create, []byte(`{
		"name": "two words", "bandwidth": 50, "notifications": ["noc@example.com"],
		"primary": {"aSide": {"portId": "4f891d3b", "tag": {"vlan": 5000}},
		            "zSide": {"serviceToken": "not to be seen"}}}`))
	for _, v := range wrong {
		fmt.Println(intent.Line(v))
	}
	// Output:
	// bandwidth: unknown field (did you mean bandwidthMbps?)
	// name: 1 to 24 of A-Z a-z 0-9 _ -, got "two words"
	// primary.aSide.tag.vlan: a number from 1 to 4094, got 5000
	// primary.zSide.serviceToken: 1 to 64 of A-Z a-z 0-9 -, got ***
}

func ExampleDifferences() {
	was := &patchbayv1.ChangeSet{Name: "one", BandwidthMbps: proto.Int32(50)}
	now := &patchbayv1.ChangeSet{Name: "one", TermMonths: proto.Int32(12)}
	for _, d := range intent.Differences(was, now) {
		fmt.Printf("%s: %q to %q\n", d.GetField(), d.GetWas(), d.GetNow())
	}
	// Output:
	// bandwidthMbps: "50" to ""
	// termMonths: "" to "12"
}

const canary = "canary-7f3a"

var key = secret.NewKey([32]byte{1, 2, 3})

// Sound creates of every form.
func creates() *rapid.Generator[*patchbayv1.CreateIntent] {
	return rapid.Custom(func(t *rapid.T) *patchbayv1.CreateIntent {
		m := &patchbayv1.CreateIntent{
			Name:          rapid.StringMatching(`[A-Za-z0-9_-]{1,20}`).Draw(t, "name"),
			PurchaseOrder: rapid.StringMatching(`[ -~é]{0,30}`).Draw(t, "purchase order"),
			OnLegFailure:  rapid.SampledFrom([]string{"", "keep", "rollback"}).Draw(t, "on leg failure"),
			Notifications: rapid.SliceOfN(notifications(), 1, 3).Draw(t, "notifications"),
			Primary:       &patchbayv1.Leg{ASide: aSides("a").Draw(t, "A side"), ZSide: zSides("z").Draw(t, "Z side")},
		}
		if rapid.Bool().Draw(t, "speed") {
			m.BandwidthMbps = proto.Int32(rapid.Int32Range(1, 100_000).Draw(t, "bandwidth"))
		}
		if rapid.Bool().Draw(t, "pair") {
			m.Secondary = &patchbayv1.Leg{Name: m.GetName() + "-2", ASide: aSides("b").Draw(t, "second A side")}
			z := m.GetPrimary().GetZSide()
			switch {
			case z.GetServiceToken() != "":
				m.Secondary.ZSide = &patchbayv1.Endpoint{ServiceToken: canary + "-second"}
			case z.GetPortId() != "":
				m.Secondary.ZSide = &patchbayv1.Endpoint{PortId: "another"}
			}
			if m.GetPrimary().GetASide().GetTag() != nil && m.GetSecondary().GetASide().GetPortId() != "" {
				m.Secondary.ASide.Tag = tags().Draw(t, "second tag")
			}
		}
		return m
	})
}

func notifications() *rapid.Generator[*patchbayv1.Notification] {
	return rapid.Custom(func(t *rapid.T) *patchbayv1.Notification {
		n := &patchbayv1.Notification{Type: rapid.SampledFrom([]string{"", "ALL", "ORDERING"}).Draw(t, "type")}
		for i := range rapid.IntRange(1, 3).Draw(t, "addresses") {
			n.Emails = append(n.Emails, fmt.Sprintf("noc%d@example.com", i))
		}
		return n
	})
}

func tags() *rapid.Generator[*patchbayv1.Tag] {
	return rapid.Custom(func(t *rapid.T) *patchbayv1.Tag {
		n := rapid.Int32Range(1, 4094).Draw(t, "tag")
		return rapid.SampledFrom([]*patchbayv1.Tag{
			{Vlan: &n}, {STag: &n}, {STag: &n, CTag: &n}, {Untagged: true},
		}).Draw(t, "form of tag")
	})
}

func aSides(id string) *rapid.Generator[*patchbayv1.Endpoint] {
	return rapid.Custom(func(t *rapid.T) *patchbayv1.Endpoint {
		if rapid.Bool().Draw(t, "by token") {
			return &patchbayv1.Endpoint{ServiceToken: canary + "-" + id}
		}
		return &patchbayv1.Endpoint{PortId: "port-" + id, Tag: tags().Draw(t, "tag")}
	})
}

func zSides(id string) *rapid.Generator[*patchbayv1.Endpoint] {
	return rapid.Custom(func(t *rapid.T) *patchbayv1.Endpoint {
		return rapid.SampledFrom([]*patchbayv1.Endpoint{
			{ProfileId: "profile-" + id, Metro: "SV", Region: "us-sv", AuthorizationKey: canary, Peering: "MANUAL", CTag: proto.Int32(5)},
			{ProfileId: "profile-" + id},
			{PortId: "port-" + id, Tag: tags().Draw(t, "tag")},
			{ServiceToken: canary + "-" + id},
			{RoutingId: "TR-1RI-OQ85", Market: "ATL", ServiceId: "service"},
		}).Draw(t, "end")
	})
}

func marshal(t interface{ Fatal(...any) }, m proto.Message) []byte {
	b, err := event.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// scramble writes JSON with its fields in another order, and with spaces.
func scramble(t *rapid.T, data []byte) []byte {
	var v map[string]json.RawMessage
	if err := json.Unmarshal(data, &v); err != nil {
		return data
	}
	var names []string
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	var parts []string
	for _, name := range rapid.Permutation(names).Draw(t, "order") {
		parts = append(parts, fmt.Sprintf("%q : %s", name, scramble(t, v[name])))
	}
	return []byte("{ " + strings.Join(parts, " ,\n") + "\t}")
}

func TestDecodeReadsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := creates().Draw(t, "create")
		data := marshal(t, want)
		got, wrong := intent.Read(event.Intent, intent.Create, data)
		if len(wrong) > 0 || !proto.Equal(got, want) {
			t.Fatalf("Read(%s) = %v, %q; want the same and no violation", data, got, lines(wrong))
		}
		full := intent.Expand(want)
		if wrong := intent.Check(full); len(wrong) > 0 {
			t.Fatalf("expanded: %q, want none: what is inherited was sound", lines(wrong))
		}
		if again := intent.Expand(full); !proto.Equal(again, full) {
			t.Fatalf("expanded twice = %v, want as once: %v", again, full)
		}
	})
}

func TestLayoutDoesNotCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := creates().Draw(t, "create")
		data := marshal(t, want)
		other := scramble(t, data)
		got, _ := intent.Decode(event.Intent, intent.Create, other)
		if intent.Digest(got) != intent.Digest(want) || intent.ID(other) != intent.ID(data) {
			t.Fatalf("%s and\n%s have two digests, want one: they say the same", data, other)
		}
		if d := intent.Differences(want, got); len(d) > 0 {
			t.Fatalf("differences of equal messages = %v, want none", d)
		}
		got.(*patchbayv1.CreateIntent).Name += "x"
		d := intent.Differences(want, got)
		if intent.Digest(got) == intent.Digest(want) || len(d) != 1 || d[0].GetField() != "name" {
			t.Fatalf("another name: differences %v, want the name, and another digest", d)
		}
	})
}

func TestIDsOfExchangesAreFolded(t *testing.T) {
	const port, token, own = "a867f685-41bc-1bc7-6de0-320a5c00abdd", "f10d177b-4afb-461a-bb23-b65b021af367", "PF-AP-LAX1-1234"
	write := func(port, token, own string) []byte {
		return []byte(`{"name":"PF-x","primary":{"aSide":{"portId":"` + port + `"},"zSide":{"serviceToken":"` + token + `","profileId":"` + port +
			`","serviceId":"` + token + `"}},"secondary":{"aSide":{"portId":"` + own + `"}}}`)
	}
	want, _ := intent.Decode(event.Intent, intent.Create, write(port, token, own))
	got, violations := intent.Decode(event.Intent, intent.Create, write(strings.ToUpper(port), strings.ToUpper(token), strings.ToLower(own)))
	if !proto.Equal(got, want) || len(violations) > 0 || got.(*patchbayv1.CreateIntent).GetName() != "PF-x" {
		t.Errorf("ids in another case are read as %v, %v; want %v", got, violations, want)
	}
}

func TestRedactLeavesNoSecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := creates().Draw(t, "create")
		before := proto.Clone(m)
		clean := intent.Redact(m, key)
		if text := string(marshal(t, clean)); strings.Contains(text, canary) {
			t.Fatalf("redacted: %s, want no %s", text, canary)
		}
		if !proto.Equal(m, before) {
			t.Fatal("Redact changed what it was given, want a copy")
		}
		if d := fmt.Sprint(intent.Differences(m, clean)); strings.Contains(d, canary) || strings.Contains(d, "hmac:") {
			t.Fatalf("differences show a secret: %s", d)
		}
		again := intent.Redact(m, key)
		if intent.Digest(clean) != intent.Digest(again) {
			t.Fatal("two redactions have two digests, want one: repeats are known by it")
		}
	})
}

func TestSecretsCount(t *testing.T) {
	a := &patchbayv1.CreateIntent{Primary: &patchbayv1.Leg{ZSide: &patchbayv1.Endpoint{AuthorizationKey: "a"}}}
	b := &patchbayv1.CreateIntent{Primary: &patchbayv1.Leg{ZSide: &patchbayv1.Endpoint{AuthorizationKey: "b"}}}
	was, now := intent.Redact(a, key), intent.Redact(b, key)
	if intent.Digest(was) == intent.Digest(now) {
		t.Error("two keys have one digest, want two: the intents are not the same")
	}
	d := intent.Differences(was, now)
	if len(d) != 1 || d[0].GetField() != "primary.zSide.authorizationKey" || d[0].GetWas() != "***" || d[0].GetNow() != "***" {
		t.Errorf("differences = %v, want the key, shown as *** twice", d)
	}
	if intent.ID(marshal(t, a)) != intent.ID(marshal(t, b)) {
		t.Error("the id of bare data depends on a secret, want not: ids are public")
	}
}

func TestDifferencesOfNothing(t *testing.T) {
	m := &patchbayv1.ChangeSet{Name: "one", Tag: &patchbayv1.Tag{}}
	if d := intent.Differences(nil, nil); len(d) > 0 {
		t.Errorf("of nothing and nothing = %v, want none", d)
	}
	for _, d := range [][]*patchbayv1.Difference{intent.Differences(nil, m), intent.Differences((*patchbayv1.ChangeSet)(nil), m)} {
		if len(d) != 2 || d[0].GetField() != "name" || d[1].GetField() != "tag" || d[1].GetNow() != "{}" {
			t.Errorf("of nothing and something = %v, want name and the empty tag", d)
		}
	}
}

func TestShortNotificationsAreFolded(t *testing.T) {
	data := strings.Replace(single, `["noc@example.com"]`,
		`[{"type":"ORDERING","emails":["o@example.com"]},"a@example.com",{"emails":["n@example.com"]},"b@example.com"]`, 1)
	m, wrong := intent.Read(event.Intent, intent.Create, []byte(data))
	if len(wrong) > 0 {
		t.Fatalf("%q, want no violation", lines(wrong))
	}
	want := []*patchbayv1.Notification{
		{Type: "ORDERING", Emails: []string{"o@example.com"}},
		{Type: "ALL", Emails: []string{"a@example.com", "b@example.com"}},
		{Emails: []string{"n@example.com"}},
	}
	got := m.(*patchbayv1.CreateIntent).GetNotifications()
	if !slices.EqualFunc(got, want, func(a, b *patchbayv1.Notification) bool { return proto.Equal(a, b) }) {
		t.Errorf("notifications = %v, want %v: bare addresses become one, where the first stood", got, want)
	}
}

func TestExpandInherits(t *testing.T) {
	m, _ := intent.Decode(event.Intent, intent.Create, []byte(pair))
	got := intent.Expand(m.(*patchbayv1.CreateIntent))
	z := got.GetSecondary().GetZSide()
	if z.GetProfileId() != "profile-1" || z.GetAuthorizationKey() != "KEY2" {
		t.Errorf("the secondary's Z side is %v, want the primary's profile and its own key", z)
	}
	if got.GetOnLegFailure() != intent.Keep {
		t.Errorf("on leg failure %q, want keep", got.GetOnLegFailure())
	}
	if a := got.GetSecondary().GetASide(); a.GetPortId() != "port-b" || a.GetTag().GetVlan() != 101 {
		t.Errorf("the secondary's A side is %v, want it untouched", a)
	}
}

func TestKindOf(t *testing.T) {
	for data, want := range map[string]string{
		single: "create", change: "change", remove: "delete", ` {"target":{}} `: "delete", "": "create", "[]": "create",
	} {
		if got := intent.KindOf([]byte(data)); got != want {
			t.Errorf("KindOf(%.30q) = %s, want %s", data, got, want)
		}
	}
}

func TestManyViolationsAreSummed(t *testing.T) {
	_, wrong := intent.Read(event.Intent, intent.Create, []byte(`{"a":1`+strings.Repeat(`,"zz":1`, 200)+`}`))
	if len(wrong) != 101 || !strings.HasSuffix(intent.Line(wrong[100]), "more rules are broken") {
		t.Errorf("%d violations, the last %v; want 100 and how many more", len(wrong), wrong[len(wrong)-1])
	}
}

func TestNoSuchKind(t *testing.T) {
	if m, wrong := intent.Read(event.Order, "placed", []byte("{}")); m != nil || len(wrong) != 1 {
		t.Errorf("a fact is read as %v, %q; want a violation", m, lines(wrong))
	}
	if wrong := intent.Check(&patchbayv1.Order{}); len(wrong) != 1 {
		t.Errorf("an order is checked with %q, want a violation", lines(wrong))
	}
	if wrong := intent.Check((*patchbayv1.CreateIntent)(nil)); len(wrong) != 1 {
		t.Errorf("no create is checked with %q, want a violation", lines(wrong))
	}
}

func FuzzDecodeIntent(f *testing.F) {
	for _, tt := range wrong {
		if tt.body == "-" {
			f.Add(tt.new)
		}
	}
	for _, body := range []string{single, pair, change, remove} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, data string) {
		for _, kind := range []string{intent.Create, intent.Change, intent.Delete} {
			again(t, event.Intent, kind, data)
		}
	})
}

func FuzzDecodeDecision(f *testing.F) {
	f.Add(decide)
	f.Add(`{"kind":7,"digest":null}`)
	f.Add("\"\x7f\"")
	f.Fuzz(func(t *testing.T, data string) {
		again(t, event.Decision, intent.Approve, data)
		again(t, event.Decision, intent.Reject, data)
	})
}

// again checks that data is refused, or reads the same after it was written again.
func again(t *testing.T, noun event.Noun, kind, data string) {
	m, wrong := intent.Read(noun, kind, []byte(data))
	for _, v := range wrong {
		if v.GetRule() == "" || strings.ContainsFunc(intent.Line(v), unicode.IsControl) {
			t.Errorf("violation %q of %q: no rule, or not on one line", intent.Line(v), data)
		}
	}
	if len(wrong) > 0 {
		return
	}
	second, wrong := intent.Read(noun, kind, marshal(t, m))
	if len(wrong) > 0 || !proto.Equal(m, second) {
		t.Errorf("%q reads as %v; written again as %v, %q", data, m, second, lines(wrong))
	}
}
