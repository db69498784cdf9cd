package acceptance_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Profiles of the sandbox's seller; see docs/sandbox.md.
const (
	toQinQ  = "31b7263f-7e6a-42d0-859e-80a7fd3b9609" // in region us-sv, by key
	peering = "c10f0000-0000-4000-8000-000000000006" // QinQ, by named tag and key
	express = "c10f0000-0000-4000-8000-000000000007" // its key names the speed
	key     = "xxxxxxxx"
)

// sentence is one violation: the field, and words of the rule.
type sentence struct{ field, words string }

// atExchange are creates that only the exchange's ports, profiles and keys show to be wrong.
var atExchange = []struct {
	name    string
	changes []func(object)
	want    []sentence
}{
	{"S-tag on Dot1q", list(set("primary.aSide.tag", object{"sTag": 9})), []sentence{{"primary.aSide.tag.sTag", "is Dot1q"}}},
	{"VLAN on QinQ", list(set("primary.aSide.portId", qinqPort)), []sentence{{"primary.aSide.tag.vlan", "is QinQ"}}},
	{"QinQ to Dot1q without C-tag", list(set("primary.aSide.portId", qinqPort), set("primary.aSide.tag", object{"sTag": 9})),
		[]sentence{{"primary.aSide.tag.cTag", "QinQ to Dot1q needs one"}}},
	{"QinQ to QinQ with C-tag", list(set("primary.aSide.portId", qinqPort), set("primary.aSide.tag", object{"sTag": 9, "cTag": 9}),
		set("primary.zSide", object{"profileId": toQinQ, "metro": "SV", "region": "us-sv", "authorizationKey": key})),
		[]sentence{{"primary.aSide.tag.cTag", "takes no C-tag"}}},
	{"Dot1q to Dot1q with C-tag", list(set("primary.zSide.cTag", 9)), []sentence{{"primary.zSide.cTag", "takes no C-tag"}}},
	{"Dot1q to QinQ without C-tag", list(set("primary.zSide", object{"profileId": toQinQ, "metro": "SV", "region": "us-sv", "authorizationKey": key})),
		[]sentence{{"primary.zSide.cTag", "needs one"}}},
	{"no key", list(set("primary.zSide.profileId", keyed)), []sentence{{"primary.zSide.authorizationKey", "asks for one"}}},
	{"wrong key", list(set("primary.zSide.profileId", keyed), set("primary.zSide.authorizationKey", "canary-wrong-key")),
		[]sentence{{"primary.zSide.authorizationKey", "takes"}}},
	{"speed that is not sold", list(set("bandwidthMbps", 75)), []sentence{{"bandwidthMbps", "sells"}}},
	{"no speed", list(set("bandwidthMbps", nil)), []sentence{{"bandwidthMbps", "a bandwidth in Mbit/s"}}},
	{"another speed than the key's", list(set("primary.zSide.profileId", express), set("primary.zSide.authorizationKey", "express-200")),
		[]sentence{{"bandwidthMbps", "of the authorization key"}}},
	{"metro", list(set("primary.zSide.metro", "XX")), []sentence{{"primary.zSide.metro", "a metro of profile"}}},
	{"no region", list(set("primary.zSide", object{"profileId": toQinQ, "metro": "SV", "cTag": 9, "authorizationKey": key})),
		[]sentence{{"primary.zSide.region", "asks for one"}}},
	{"region", list(set("primary.zSide", object{"profileId": toQinQ, "metro": "SV", "region": "eu-de", "cTag": 9, "authorizationKey": key})),
		[]sentence{{"primary.zSide.region", "a seller region"}}},
	{"port of nobody", list(set("primary.aSide.portId", "aced1050-0000-4000-8000-000000000077")), []sentence{{"primary.aSide.portId", "a port of this account"}}},
	{"profile of nobody", list(set("primary.zSide.profileId", "c10f0000-0000-4000-8000-000000000077")), []sentence{{"primary.zSide.profileId", "a service profile"}}},
	{"VLAN 4093", list(set("primary.aSide.tag.vlan", 4093)), []sentence{{"primary.aSide.tag.vlan", "2 to 4092"}}},
	{"untagged", list(set("primary.aSide.tag", object{"untagged": true})), []sentence{{"primary.aSide.tag.untagged", "tagged circuits only"}}},
	{"no peering", list(set("primary.zSide", object{"profileId": peering, "metro": "SV", "authorizationKey": key})), []sentence{{"primary.zSide.peering", "named tag"}}},
	{"peering without named tags", list(set("primary.zSide.peering", "PRIVATE")), []sentence{{"primary.zSide.peering", "no named tags"}}},
	{"manual peering without C-tag", list(set("primary.zSide", object{"profileId": peering, "metro": "SV", "peering": "MANUAL", "authorizationKey": key})),
		[]sentence{{"primary.zSide.cTag", "MANUAL needs one"}}},
	{"words of other exchanges", list(set("description", "x"), set("billing.termMonths", 12)),
		[]sentence{{"description", "absent"}, {"billing.termMonths", "absent"}}},
	{"nobody's account", list(set("account", "nobody")), []sentence{{"account", ""}}},
	{"everything at once", list(set("bandwidthMbps", 75), set("name", "much too long a name, with spaces"), set("primary.aSide.tag.vlan", 4094),
		set("primary.zSide", object{"profileId": keyed, "metro": "XX", "cTag": 9, "peering": "MANUAL"})), []sentence{
		{"name", "1 to 24"}, {"bandwidthMbps", "sells"}, {"primary.aSide.tag.vlan", "2 to 4092"}, {"primary.zSide.metro", "a metro"},
		{"primary.zSide.cTag", "takes no C-tag"}, {"primary.zSide.peering", "no named tags"}, {"primary.zSide.authorizationKey", "asks for one"},
	}},
}

func list(changes ...func(object)) []func(object) { return changes }

// undecodable are messages that name no intent, and words of the reason they are set aside for.
var undecodable = []struct {
	name, subject string
	headers       map[string]string
	body, want    string
}{
	{"no event", "patchbay.intent.create", nil, "hello", "no ce-specversion"},
	{"broken JSON", "patchbay.intent.create", map[string]string{"Content-Type": "application/cloudevents+json"}, `{"specversion":`, "malformed"},
	{"no id", "patchbay.intent.create", map[string]string{"ce-specversion": "1.0", "ce-type": "io.patchbay.intent.create.v1", "ce-source": source}, "{}", "id"},
	{"version 2", "patchbay.intent.create", map[string]string{"ce-specversion": "2.0"}, "{}", "want 1.0"},
	{"unknown type", "patchbay.intent.create", identity("io.patchbay.intent.dance.v1"), "{}", "dance"},
	{"another subject", "patchbay.intent.delete", identity("io.patchbay.intent.create.v1"), "{}", "does not belong"},
	{"decision about nothing", "patchbay.decision.approve", identity("io.patchbay.decision.approve.v1"), `{"kind": "create"}`, "about nothing"},
}

func identity(typ string) map[string]string {
	return map[string]string{"ce-specversion": "1.0", "ce-id": "dead", "ce-source": source, "ce-type": typ}
}

// wrongBody is a row of the table that package intent is tested by.
type wrongBody struct {
	Name, Type string
	Data       []byte
	Want       []string
}

// Each wrong intent is answered with all that is wrong with it, and stops none of the good
// ones between them.
func TestWrongIntents(t *testing.T) {
	t.Parallel()
	const everyTenth = 10
	p := up(t, setup{})
	r := read(t, p.NATS, "canary")
	start := time.Now()
	var good []string
	sent := 0
	wrong := func() {
		if sent++; sent%everyTenth == 0 {
			good = append(good, r.publish("create", fmt.Sprintf("good-%d", sent), single(sent)))
		}
	}
	var bodies []wrongBody
	table, err := os.ReadFile("../../pkg/intent/testdata/wrong.json")
	if err != nil {
		t.Fatal(err)
	}
	decode(t, table, &bodies)
	for _, b := range bodies {
		subject := strings.TrimSuffix(strings.TrimPrefix(b.Type, "io."), ".v1")
		r.send(subject, b.Type, b.Name, b.Data)
		wrong()
	}
	for i, x := range atExchange {
		r.publish("create", "exchange: "+x.name, single(1000+i, x.changes...))
		wrong()
	}
	r.publish("change", "change of nothing", []byte(`{"target": {"source": "nobody", "id": "1"}, "set": {"name": "x"}}`))
	r.publish("delete", "delete of nothing", remove("never"))
	for _, u := range undecodable {
		m := nats.NewMsg(u.subject)
		m.Data = []byte(u.body)
		for k, v := range u.headers {
			m.Header.Set(k, v)
		}
		r.raw(m)
		wrong()
	}
	r.allCompleted(time.Minute, good)
	r.answered()
	dead, err := r.j.Dead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	decisions := 0
	for _, b := range bodies {
		if strings.Contains(b.Type, ".decision.") {
			decisions++
			r.decisionRefused(b, dead)
			continue
		}
		r.invalid(b.Name, len(b.Want), func(lines string) string { return lacks(lines, b.Want) })
	}
	for _, x := range atExchange {
		r.invalid("exchange: "+x.name, len(x.want), func(lines string) string {
			for _, want := range x.want {
				if !strings.Contains("\n"+lines, "\n"+want.field+": ") || !strings.Contains(lines, want.words) {
					return want.field + ": …" + want.words
				}
			}
			return ""
		})
	}
	for _, name := range []string{"change of nothing", "delete of nothing"} {
		r.invalid(name, 1, func(lines string) string { return lacks(lines, []string{"target"}) })
	}
	buried(t, dead)
	made, _ := created(t, p.Sandbox)
	if made != len(good) {
		t.Errorf("%d creates made circuits, want the %d good ones", made, len(good))
	}
	r.check(p.Sandbox)
	if strings.Contains(p.log.String(), "canary") {
		t.Error("a secret stands in the log")
	}
	t.Logf("%d wrong bodies (%d of them decisions), %d wrong at the exchange, %d undecodable: all answered; %d good ones "+
		"between them completed, in %s", len(bodies), decisions, len(atExchange)+2, len(undecodable), len(good), since(start))
}

func lacks(text string, want []string) string {
	for _, w := range want {
		if !strings.Contains(text, w) {
			return w
		}
	}
	return ""
}

// invalid checks that the intent with id is answered with n violations or more, and with
// those that missing looks for.
func (r *reader) invalid(id string, n int, missing func(lines string) string) {
	r.t.Helper()
	o := r.expectEnded(event.OrderID(source, id), id)
	if o == nil {
		return
	}
	var all []string
	for _, v := range o.GetViolations() {
		all = append(all, intent.Line(v))
	}
	text := strings.Join(all, "\n")
	switch {
	case o.GetOutcome() != "invalid" && o.GetFailure().GetReason() != "invalid":
		r.t.Errorf("%s: ended %s, want invalid", id, o.GetOutcome())
	case len(all) < n:
		r.t.Errorf("%s: %d violations, want %d or more:\n%s", id, len(all), n, text)
	case missing(text) != "":
		r.t.Errorf("%s: no violation %q among\n%s", id, missing(text), text)
	}
}

func (r *reader) expectEnded(orderID, name string) *patchbayv1.Order {
	r.t.Helper()
	var o *patchbayv1.Order
	r.look(func(s *invariants.Story) { o = s.Order(orderID) })
	if o == nil {
		r.t.Errorf("%s: was not answered", name)
		return nil
	}
	return r.expect(orderID, o.GetOutcome())
}

// decisionRefused checks that a wrong decision was refused, or set aside if it names nothing,
// with all that is wrong with it.
func (r *reader) decisionRefused(b wrongBody, dead []journal.DeadLetter) {
	r.t.Helper()
	for _, d := range dead {
		if d.EventID == b.Name {
			if l := lacks(d.Cause, b.Want); l != "" {
				r.t.Errorf("%s: dead letter lacks %q: %s", b.Name, l, d.Cause)
			}
			return
		}
	}
	found := ""
	r.look(func(s *invariants.Story) {
		for _, facts := range s.Refusals {
			for _, f := range facts {
				found += f.GetMessage() + "\n"
			}
		}
	})
	if l := lacks(found, b.Want); l != "" {
		r.t.Errorf("%s: neither a dead letter nor a refusal %q", b.Name, l)
	}
}

// buried checks that each undecodable message was set aside with its reason.
func buried(t *testing.T, dead []journal.DeadLetter) {
	t.Helper()
	for _, u := range undecodable {
		found := false
		for _, d := range dead {
			found = found || d.Bytes == len(u.body) && strings.Contains(d.Cause, u.want)
		}
		if !found {
			b, err := json.MarshalIndent(dead, "", " ")
			t.Errorf("%s: no dead letter with cause %q (%v) among %s", u.name, u.want, err, b)
		}
	}
}
