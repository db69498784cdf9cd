package intent_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
)

// Sound bodies, which the cases below spoil.
const (
	single = `{"name":"one","bandwidthMbps":50,"purchaseOrder":"PO-1","notifications":["noc@example.com"],
"primary":{"aSide":{"portId":"port-a","tag":{"vlan":100}},
"zSide":{"profileId":"profile-1","metro":"SV","region":"us-sv","authorizationKey":"KEY"}}}`
	pair = `{"name":"one","bandwidthMbps":50,"notifications":["noc@example.com"],
"primary":{"aSide":{"portId":"port-a","tag":{"vlan":100}},"zSide":{"profileId":"profile-1","authorizationKey":"KEY"}},
"secondary":{"name":"two","aSide":{"portId":"port-b","tag":{"vlan":101}},"zSide":{"authorizationKey":"KEY2"}}}`
	change = `{"target":{"source":"crm","id":"4711"},"set":{"name":"other"}}`
	remove = `{"target":{"orderId":"edd24bec-7601-5e25-821c-acc3731e4e9f"},"reason":"over"}`
	decide = `{"connectionId":"edd24bec-7601-5e25-821c-acc3731e4e9f","kind":"create","by":"jane","reason":"too fast",
"digest":"ab2f481fdc609ce6ea6e41dad1b8afe245882ad6748e598983b500141fdc9321"}`
)

// spoilt is a body in which an old text, which it has once, is replaced; of the body "-"
// all of it is.
type spoilt struct {
	name     string
	kind     string // default create
	body     string // default single
	old, new string
	want     []string
}

// What the ends of a circuit can be.
const (
	aForm = "exactly one of portId, serviceToken"
	zForm = "exactly one of profileId, portId, serviceToken, routingId"
)

var wrong = []spoilt{
	// Not a JSON object.
	{name: "nothing", body: "-", want: []string{"one JSON object and nothing after it (the text is empty)"}},
	{name: "words", body: "-", new: "hello", want: []string{"one JSON object and nothing after it (invalid character 'h' looking for beginning of value at line 1, column 1)"}},
	{name: "a list", body: "-", new: "[]", want: []string{"a JSON object, got […] (begin with {)"}},
	{name: "a text", body: "-", new: `"x"`, want: []string{`a JSON object, got "x" (begin with {)`}},
	{name: "unseen signs", body: "-", new: "\"\x7f\u0085\u202ex\"", want: []string{`a JSON object, got "\u007f\u0085\u202ex" (begin with {)`}},
	{name: "null", body: "-", new: "null", want: []string{"a JSON object, got null (begin with {)"}},
	{name: "cut off", body: "-", new: `{"name":"x"`, want: []string{"one JSON object and nothing after it (unexpected end of JSON input at line 1, column 11)"}},
	{name: "two objects", body: "-", new: "{}\n{}", want: []string{"one JSON object and nothing after it (invalid character '{' after top-level value at line 2, column 1)"}},
	{name: "comma at the end", old: `"bandwidthMbps":50,"purchaseOrder":"PO-1",`, new: `"bandwidthMbps":50,,`, want: []string{"one JSON object and nothing after it (invalid character ',' looking for beginning of object key string at line 1, column 34)"}},
	{name: "not UTF-8", old: `"one"`, new: "\"\xff\"", want: []string{"UTF-8 text (other bytes at line 1, column 10)"}},
	{name: "too large", old: `"one"`, new: `"` + strings.Repeat("x", 70000) + `"`, want: []string{"at most 65536 bytes, got 70239 bytes"}},
	{name: "too deep", old: `"PO-1"`, new: strings.Repeat("[", 20) + strings.Repeat("]", 20), want: []string{"objects and lists at most 16 deep (deeper at line 1, column 65)"}},

	// Form.
	{name: "unknown field", old: `"name":"one",`, new: `"name":"one","color":"red",`, want: []string{"color: unknown field"}},
	{name: "slip of the pen", old: `"name":`, new: `"named":`, want: []string{"named: unknown field (did you mean name?)"}},
	{name: "snake case", old: `"bandwidthMbps"`, new: `"bandwidth_mbps"`, want: []string{"bandwidth_mbps: unknown field (did you mean bandwidthMbps?)"}},
	{name: "other case", old: `"portId"`, new: `"PortID"`, want: []string{"primary.aSide.PortID: unknown field (did you mean primary.aSide.portId?)"}},
	{name: "word of Fabric", old: `"authorizationKey"`, new: `"authenticationKey"`, want: []string{"primary.zSide.authenticationKey: unknown field (did you mean primary.zSide.authorizationKey?)"}},
	{name: "one level too high", old: `"tag":{"vlan":100}`, new: `"vlan":100`, want: []string{"primary.aSide.vlan: unknown field (did you mean primary.aSide.tag.vlan?)"}},
	{name: "two levels too high", old: `"name":`, new: `"authorizationKey":"x","name":`, want: []string{"authorizationKey: unknown field (did you mean primary.zSide.authorizationKey?)"}},
	{name: "on no side", old: `"aSide":`, new: `"profileId":"x","aSide":`, want: []string{"primary.profileId: unknown field (did you mean primary.zSide.profileId?)"}},
	{name: "one level too low", old: `"metro":"SV"`, new: `"purchaseOrder":"PO-2"`, want: []string{"primary.zSide.purchaseOrder: unknown field (did you mean purchaseOrder?)"}},
	{name: "strange name", old: `"name":"one"`, new: `"name":"one","a b.c":1`, want: []string{`["a b.c"]: unknown field`}},
	{name: "number for text", old: `"one"`, new: `1`, want: []string{"name: a text, got 1 (put it in quotes)"}},
	{name: "text for number", old: `50`, new: `"50"`, want: []string{`bandwidthMbps: a whole number, got "50" (write it without quotes)`}},
	{name: "words for number", old: `50`, new: `"fast"`, want: []string{`bandwidthMbps: a whole number, got "fast"`}},
	{name: "fraction", old: `50`, new: `50.0`, want: []string{"bandwidthMbps: a whole number, got 50.0"}},
	{name: "exponent", old: `50`, new: `5e1`, want: []string{"bandwidthMbps: a whole number, got 5e1"}},
	{name: "more than 32 bits", old: `50`, new: `4294967346`, want: []string{"bandwidthMbps: a whole number, got 4294967346"}},
	{name: "null in place of text", old: `"PO-1"`, new: `null`, want: []string{"purchaseOrder: not null, got null (leave the field out)"}},
	{name: "null in a list", old: `"noc@example.com"`, new: `null`, want: []string{"notifications[0]: not null, got null (leave it out)"}},
	{name: "twice", old: `"name":"one",`, new: `"name":"one","name":"one",`, want: []string{`name: a field once, got "one" (it is given before)`}},
	{name: "text for object", old: `{"vlan":100}`, new: `"100"`, want: []string{`primary.aSide.tag: an object, got "100"`}},
	{name: "list for object", old: `{"vlan":100}`, new: `[100]`, want: []string{"primary.aSide.tag: an object, got […]"}},
	{name: "object for text", old: `"KEY"`, new: `{"key":"KEY"}`, want: []string{"primary.zSide.authorizationKey: a text, got {…}"}},
	{name: "number for secret", old: `"KEY"`, new: `123456789012`, want: []string{"primary.zSide.authorizationKey: a text, got *** (put it in quotes)"}},
	{name: "text for boolean", old: `"vlan":100`, new: `"untagged":"true"`, want: []string{`primary.aSide.tag.untagged: true or false, got "true"`}},
	{name: "text for list", old: `["noc@example.com"]`, new: `"noc@example.com"`, want: []string{`notifications: a list, got "noc@example.com" (put it in [ ])`}},
	{name: "number in a list", old: `"noc@example.com"`, new: `7`, want: []string{"notifications[0]: an object, got 7"}},

	// Values of a create.
	{name: "account", old: `{"name"`, new: `{"account":"a/b","name"`, want: []string{`account: 1 to 64 of A-Z a-z 0-9 . _ -, got "a/b"`}},
	{name: "no name", old: `"name":"one",`, new: ``, want: []string{"name: required (1 to 24 of A-Z a-z 0-9 _ -)"}},
	{name: "name of 25", old: `"one"`, new: `"a234567890123456789012345"`, want: []string{`name: 1 to 24 of A-Z a-z 0-9 _ -, got "a234567890123456789012345"`}},
	{name: "name with a line", old: `"one"`, new: `"one\n"`, want: []string{`name: 1 to 24 of A-Z a-z 0-9 _ -, got "one\n" (leave out the space around it)`}},
	{name: "name in Greek", old: `"one"`, new: `"ένα"`, want: []string{`name: 1 to 24 of A-Z a-z 0-9 _ -, got "ένα"`}},
	{name: "no speed at all", old: `50`, new: `0`, want: []string{"bandwidthMbps: a number from 1 to 100000, got 0"}},
	{name: "too fast", old: `50`, new: `100001`, want: []string{"bandwidthMbps: a number from 1 to 100000, got 100001"}},
	{name: "purchase order of 31", old: `PO-1`, new: strings.Repeat("é", 31), want: []string{`purchaseOrder: at most 30 characters on one line, got "` + strings.Repeat("é", 31) + `"`}},
	{name: "purchase order with control", old: `PO-1`, new: `PO\u0000`, want: []string{`purchaseOrder: at most 30 characters on one line, got "PO\u0000"`}},
	{name: "nobody told", old: `"noc@example.com"`, new: ``, want: []string{"notifications: required (at least one e-mail address)"}},
	{name: "no address", old: `"noc@example.com"`, new: `{"type":"ALL"}`, want: []string{"notifications[0].emails: required (at least one e-mail address)"}},
	{name: "second address", old: `"noc@example.com"`, new: `"noc@example.com","noc","Noc <noc@example.com>"`, want: []string{`notifications[1]: an e-mail address, got "noc" (as in john.doe@example.com)`, `notifications[2]: an e-mail address, got "Noc <noc@example.com>" (as in john.doe@example.com)`}},
	{name: "same address", old: `"noc@example.com"`, new: `"noc@example.com","Noc@example.com"`, want: []string{`notifications[1]: an address once, got "Noc@example.com"`}},
	{name: "type of notification", old: `"noc@example.com"`, new: `{"type":"SMS","emails":["noc@example.com"]}`, want: []string{`notifications[0].type: one of ALL, NOTIFICATION, BANDWIDTH_ALERT, CONNECTION_APPROVAL, PROFILE_LIFECYCLE, SALES_REP_NOTIFICATIONS, TECHNICAL, ORDERING, got "SMS"`}},
	{name: "leg failure", old: `{"name"`, new: `{"onLegFailure":"Keep","name"`, want: []string{`onLegFailure: one of keep, rollback, got "Keep" (write it in small letters)`}},
	{name: "no circuit", body: "-", new: `{"name":"x"}`, want: []string{"notifications: required (at least one e-mail address)", "primary: required (the circuit: its aSide and its zSide)"}},
	{name: "empty circuit", old: `"aSide":{"portId":"port-a","tag":{"vlan":100}},
"zSide":{"profileId":"profile-1","metro":"SV","region":"us-sv","authorizationKey":"KEY"}`, new: ``, want: []string{"primary.aSide: required (one of portId, serviceToken)", "primary.zSide: required (one of profileId, portId, serviceToken, routingId)"}},
	{name: "name of the primary", old: `"primary":{`, new: `"primary":{"name":"x",`, want: []string{`primary.name: not allowed, got "x" (the primary's name is the intent's own)`}},
	{name: "A side of nothing", old: `"portId":"port-a","tag":{"vlan":100}`, new: ``, want: []string{"primary.aSide: " + aForm}},
	{name: "token with a tag", old: `"portId":"port-a"`, new: `"serviceToken":"token-1"`, want: []string{"primary.aSide.tag: not allowed beside serviceToken"}},
	{name: "A side is a profile", old: `"portId":"port-a"`, new: `"profileId":"profile-2"`, want: []string{"primary.aSide: " + aForm, "primary.aSide.profileId: not allowed (it belongs to the Z side, or to nothing)"}},
	{name: "inner tag beside the tag", old: `"tag":{"vlan":100}`, new: `"tag":{"sTag":100},"cTag":5`, want: []string{"primary.aSide.cTag: not allowed (the A side's inner tag is tag.cTag)"}},
	{name: "port id", old: `"port-a"`, new: `"port a"`, want: []string{`primary.aSide.portId: 1 to 64 of A-Z a-z 0-9 -, got "port a"`}},
	{name: "token that is none", old: `"portId":"port-a","tag":{"vlan":100}`, new: `"serviceToken":"canary secret"`, want: []string{"primary.aSide.serviceToken: 1 to 64 of A-Z a-z 0-9 -, got ***"}},
	{name: "key with a line", old: `"KEY"`, new: `"KEY\n"`, want: []string{"primary.zSide.authorizationKey: 1 to 256 visible ASCII characters, got *** (leave out the space around it)"}},
	{name: "empty tag", old: `{"vlan":100}`, new: `{}`, want: []string{"primary.aSide.tag: exactly one of vlan, sTag (with or without cTag), untagged"}},
	{name: "tagged and untagged", old: `"vlan":100`, new: `"vlan":100,"untagged":true`, want: []string{`primary.aSide.tag: exactly one of vlan, sTag (with or without cTag), untagged, got {"vlan":100,"untagged":true}`}},
	{name: "tag 0", old: `100`, new: `0`, want: []string{"primary.aSide.tag.vlan: a number from 1 to 4094, got 0"}},
	{name: "tags 4095", old: `"vlan":100`, new: `"sTag":4095,"cTag":4096`, want: []string{"primary.aSide.tag.sTag: a number from 1 to 4094, got 4095", "primary.aSide.tag.cTag: a number from 1 to 4094, got 4096"}},
	{name: "inner tag alone", old: `"vlan":100`, new: `"cTag":100`, want: []string{"primary.aSide.tag.sTag: required (a cTag is the inner tag of an sTag)"}},
	{name: "Z side of nothing", old: `"profileId":"profile-1",`, new: ``, want: []string{"primary.zSide: " + zForm}},
	{name: "Z side of two", old: `"profileId"`, new: `"serviceToken":"t","profileId"`, want: []string{"primary.zSide: " + zForm + ", got {…} (it has profileId and serviceToken)"}},
	{name: "own port with a region", old: `"profileId":"profile-1"`, new: `"portId":"port-z"`, want: []string{"primary.zSide.region: not allowed beside portId", "primary.zSide.authorizationKey: not allowed beside portId"}},
	{name: "profile with a tag", old: `"metro":"SV"`, new: `"tag":{"vlan":0}`, want: []string{"primary.zSide.tag: not allowed beside profileId", "primary.zSide.tag.vlan: a number from 1 to 4094, got 0"}},
	{name: "customer without market", old: `"profileId":"profile-1","metro":"SV","region":"us-sv","authorizationKey":"KEY"`, new: `"routingId":"TR-1RI-OQ85"`, want: []string{"primary.zSide.market: required (the other customer's market, as in ATL)"}},
	{name: "metro", old: `"SV"`, new: `"SV1"`, want: []string{`primary.zSide.metro: two capital letters, got "SV1" (as in SV)`}},
	{name: "region", old: `"us-sv"`, new: `"-"`, want: []string{`primary.zSide.region: 1 to 64 of A-Z a-z 0-9 space . _ -, got "-" (as in us-sv)`}},
	{name: "peering", old: `"region":"us-sv"`, new: `"peering":"Manual"`, want: []string{`primary.zSide.peering: one of PRIVATE, MICROSOFT, PUBLIC, MANUAL, got "Manual" (write it in capital letters)`}},
	{name: "Z tag", old: `"region":"us-sv"`, new: `"cTag":4095`, want: []string{"primary.zSide.cTag: a number from 1 to 4094, got 4095"}},
	{name: "term", old: `"bandwidthMbps"`, new: `"billing":{"termMonths":0,"longhaul":"cheap"},"bandwidthMbps"`, want: []string{"billing.termMonths: one of 1, 12, 24, 36, got 0", `billing.longhaul: one of dedicated, usage, hourly, got "cheap"`}},
	{name: "long description", old: `{"name"`, new: `{"description":"` + strings.Repeat("x", 256) + `","name"`, want: []string{`description: at most 255 characters on one line, got "` + strings.Repeat("x", 59) + "…"}},

	// Pairs.
	{name: "secondary without a name", body: pair, old: `"name":"two",`, want: []string{"secondary.name: required (1 to 24 of A-Z a-z 0-9 _ -)"}},
	{name: "one name", body: pair, old: `"two"`, new: `"one"`, want: []string{`secondary.name: another name than the primary's, got "one"`}},
	{name: "no second A side", body: pair, old: `"aSide":{"portId":"port-b","tag":{"vlan":101}},`, want: []string{"secondary.aSide: required (one of portId, serviceToken)"}},
	{name: "one port", body: pair, old: `port-b`, new: `port-a`, want: []string{`secondary.aSide.portId: another port than the primary's, got "port-a"`}},
	{name: "no second tag", body: pair, old: `,"tag":{"vlan":101}`, want: []string{"secondary.aSide.tag: required (tags are not inherited)"}},
	{name: "two profiles", body: pair, old: `{"authorizationKey":"KEY2"}`, new: `{"profileId":"profile-2"}`, want: []string{`secondary.zSide.profileId: the primary's profile, got "profile-2" (leave it out: both legs go to one profile)`}},
	{name: "another kind of end", body: pair, old: `{"authorizationKey":"KEY2"}`, new: `{"serviceToken":"t"}`, want: []string{"secondary.zSide: " + zForm + ", got {…} (it has profileId and serviceToken)"}},
	{name: "wrong value of the secondary", body: pair, old: `{"authorizationKey":"KEY2"}`, new: `{"metro":"x","tag":{"vlan":3}}`, want: []string{"secondary.zSide.tag: not allowed beside profileId", `secondary.zSide.metro: two capital letters, got "x" (as in SV)`}},
	{name: "one own port and tag", body: pair, old: `"profileId":"profile-1","authorizationKey":"KEY"}},
"secondary":{"name":"two","aSide":{"portId":"port-b","tag":{"vlan":101}},"zSide":{"authorizationKey":"KEY2"}}`, new: `"portId":"port-z","tag":{"vlan":1}}},
"secondary":{"name":"two","aSide":{"portId":"port-b","tag":{"vlan":101}}}`, want: []string{"secondary.zSide: another port or tag than the primary's (a tag on a port is used once)"}},

	// Changes, deletes, decisions.
	{name: "no target", kind: "change", body: change, old: `"target":{"source":"crm","id":"4711"},`, want: []string{"target: required (exactly one of connectionId, orderId, source and id)"}},
	{name: "empty target", kind: "change", body: change, old: `"source":"crm","id":"4711"`, want: []string{"target: exactly one of connectionId, orderId, source and id"}},
	{name: "source without id", kind: "change", body: change, old: `,"id":"4711"`, want: []string{"target.id: required (the id of the create, as its source gave it)"}},
	{name: "no new values", kind: "change", body: change, old: `,"set":{"name":"other"}`, want: []string{"set: required (at least one of name, bandwidthMbps, tag, termMonths, notifications)"}},
	{name: "new name", kind: "change", body: change, old: `other`, new: `an other`, want: []string{`set.name: 1 to 24 of A-Z a-z 0-9 _ -, got "an other"`}},
	{name: "change of a port", kind: "change", body: change, old: `"name":"other"`, new: `"portId":"port-c"`, want: []string{"set.portId: unknown field", "set: not empty (at least one of name, bandwidthMbps, tag, termMonths, notifications)"}},
	{name: "two targets", kind: "delete", body: remove, old: `"orderId"`, new: `"source":"crm","orderId"`, want: []string{"target: exactly one of connectionId, orderId, source and id, got {…}"}},
	{name: "order in capitals", kind: "delete", body: remove, old: `edd24bec`, new: `EDD24BEC`, want: []string{`target.orderId: a UUID in lower case, got "EDD24BEC-7601-5e25-821c-acc3731e4e9f" (write it in small letters)`}},
	{name: "nothing decided", kind: "approve", body: "-", new: "{}", want: []string{"connectionId: required (a UUID in lower case)", "kind: required (one of create, change, delete)", "digest: required (64 of 0-9 a-f)", "by: required (at most 100 characters on one line)"}},
	{name: "kind and digest", kind: "approve", body: decide, old: `"kind":"create"`, new: `"kind":"approve"`, want: []string{`kind: one of create, change, delete, got "approve"`}},
	{name: "no reason", kind: "reject", body: decide, old: `,"reason":"too fast"`, want: []string{"reason: required (the other company is told why)"}},
}

// text makes the text of a case.
func (s spoilt) text(t *testing.T) string {
	t.Helper()
	switch s.body {
	case "-":
		return s.new
	case "":
		s.body = single
	}
	if strings.Count(s.body, s.old) != 1 {
		t.Fatalf("%s: the body has %q %d times, want once", s.name, s.old, strings.Count(s.body, s.old))
	}
	return strings.Replace(s.body, s.old, s.new, 1)
}

func (s spoilt) noun() (event.Noun, string) {
	switch s.kind {
	case "":
		return event.Intent, intent.Create
	case intent.Approve, intent.Reject:
		return event.Decision, s.kind
	}
	return event.Intent, s.kind
}

func TestWrong(t *testing.T) {
	for _, tt := range wrong {
		t.Run(tt.name, func(t *testing.T) {
			noun, kind := tt.noun()
			_, violations := intent.Read(noun, kind, []byte(tt.text(t)))
			if got := lines(violations); !slices.Equal(got, tt.want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
		})
	}
}

func TestSoundBodiesAreSound(t *testing.T) {
	for _, tt := range []struct{ kind, body string }{
		{"", single}, {"", pair}, {"change", change}, {"delete", remove}, {"approve", decide}, {"reject", decide},
	} {
		noun, kind := spoilt{kind: tt.kind}.noun()
		if _, v := intent.Read(noun, kind, []byte(tt.body)); len(v) > 0 {
			t.Errorf("%s: %q, want none: the wrong bodies are made of it", kind, lines(v))
		}
	}
}

// The table is handed on as a file, for tests of the whole pipeline.
func TestWrongAsFile(t *testing.T) {
	type body struct {
		Name string   `json:"name"`
		Type string   `json:"type"`
		Data []byte   `json:"data"` // base64: not all of it is text
		Want []string `json:"want"`
	}
	var all []body
	for _, tt := range wrong {
		noun, kind := tt.noun()
		all = append(all, body{tt.name, event.IntentType(noun, kind), []byte(tt.text(t)), tt.want})
	}
	if len(all) < 60 {
		t.Errorf("%d wrong bodies, want 60 or more", len(all))
	}
	got, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/wrong.json"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, file); !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("%s is stale; run go test ./pkg/intent -update", file)
	}
}
