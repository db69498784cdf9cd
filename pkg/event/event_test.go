package event_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"patchbay.io/pkg/event"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func ExampleFact_Subject() {
	o := event.Entity{Noun: event.Order, ID: "9f"}
	c := event.Entity{Noun: event.Connection, ID: "c1"}
	fmt.Println(event.Fact{Entity: o, Name: "placed"}.Subject())
	fmt.Println(event.Fact{Entity: c, Name: "provisioned.available"}.Subject())
	fmt.Println(o.Filter())
	fmt.Println(c.Filter())
	// Output:
	// patchbay.order.placed.9f
	// patchbay.connection.provisioned.available.c1
	// patchbay.order.*.9f
	// patchbay.connection.*.*.c1
}

func ExampleOrderID() {
	fmt.Println(event.OrderID("crm/eu", "4711"))
	fmt.Println(event.OrderID("crm/eu", "4711"))
	// Output:
	// edd24bec-7601-5e25-821c-acc3731e4e9f
	// edd24bec-7601-5e25-821c-acc3731e4e9f
}

func TestEntityOf(t *testing.T) {
	for _, tt := range []struct {
		subject string
		want    event.Entity
		bad     bool
	}{
		{subject: "patchbay.order.placed.o-1", want: event.Entity{Noun: event.Order, ID: "o-1"}},
		{subject: "patchbay.connection.provisioned.available.c1", want: event.Entity{Noun: event.Connection, ID: "c1"}},
		{subject: "patchbay.connection.provisioned.c1", bad: true},
		{subject: "patchbay.order.placed.a.b", bad: true},
		{subject: "patchbay.order.placed.*", bad: true},
		{subject: "other.order.placed.x", bad: true},
		{subject: "", bad: true},
	} {
		got, err := event.EntityOf(tt.subject)
		if got != tt.want || errors.Is(err, event.ErrMalformed) != tt.bad {
			t.Errorf("EntityOf(%q) = %v, %v; want %v, malformed %v", tt.subject, got, err, tt.want, tt.bad)
		}
	}
}

func TestFactBecomesEvent(t *testing.T) {
	f := event.Fact{
		Entity:   event.Entity{Noun: event.Order, ID: "o-1"},
		Name:     "placed",
		Data:     &patchbayv1.Order{Id: "o-1", Fact: "placed"},
		By:       "requester",
		Cause:    "cause",
		Order:    "o-1",
		Exchange: "equinix",
		Origin:   event.Origin{TraceParent: "00-66c62c1af1864fbd979271a60705518f-00f067aa0ba90111-01"},
	}
	e, err := f.Event(7, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if got := event.Sequence(e); got != 7 {
		t.Errorf("sequence = %d, want 7", got)
	}
	if got, want := event.Ext(e, event.ExtSequence), "00000000000000000007"; got != want {
		t.Errorf("sequence extension = %q, want %q: it must sort as text", got, want)
	}
	if got, want := e.Type(), "io.patchbay.order.placed.v1"; got != want {
		t.Errorf("type = %q, want %q", got, want)
	}
	again, err := f.Event(7, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() == e.ID() {
		t.Error("two events of one fact share an id; both writers would believe they had won")
	}
}

// Whatever an event holds, it survives a message in either mode.
func TestBinding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~äß"%😀]{1,20}`)
		e := ce.New(ce.CloudEventsVersionV1)
		e.SetID(text.Draw(t, "id"))
		e.SetSource(rapid.StringMatching(`[a-z]{1,8}/[a-z%0-9]{0,2}`).Filter(validURI).Draw(t, "source"))
		e.SetType(text.Draw(t, "type"))
		e.SetSubject(text.Draw(t, "subject"))
		e.SetExtension("partitionkey", text.Draw(t, "extension"))
		if err := e.SetData("application/json", map[string]string{"a": text.Draw(t, "data")}); err != nil {
			t.Fatal(err)
		}
		if e.Validate() != nil {
			t.Skip("not an event")
		}
		h, body := event.Encode(e)
		for name, v := range h {
			for i := range len(v[0]) {
				if v[0][i] <= ' ' || v[0][i] > '~' {
					t.Fatalf("header %s = %q is not printable ASCII", name, v[0])
				}
			}
		}
		got, err := event.Decode(h, body)
		if err != nil {
			t.Fatalf("decode binary: %v", err)
		}
		same(t, got, e)

		structured, err := e.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		got, err = event.Decode(event.Headers{"Content-Type": {"application/cloudevents+json; charset=utf-8"}}, structured)
		if err != nil {
			t.Fatalf("decode structured: %v", err)
		}
		same(t, got, e)
	})
}

func validURI(s string) bool {
	e := ce.New(ce.CloudEventsVersionV1)
	return e.Context.SetSource(s) == nil
}

func same(t *rapid.T, got, want ce.Event) {
	t.Helper()
	if got.ID() != want.ID() || got.Source() != want.Source() || got.Type() != want.Type() ||
		got.Subject() != want.Subject() || string(got.Data()) != string(want.Data()) ||
		event.Ext(got, "partitionkey") != event.Ext(want, "partitionkey") {
		t.Fatalf("got %v\nwant %v", got, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	full := func(change func(event.Headers)) event.Headers {
		h := event.Headers{"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"a"}, "ce-type": {"t"}}
		change(h)
		return h
	}
	for _, tt := range []struct {
		name   string
		reason string
		h      event.Headers
		body   string
	}{
		{"no headers", "a plain message is no event", nil, "{}"},
		{"no id", "id is required", full(func(h event.Headers) { delete(h, "ce-id") }), ""},
		{"no source", "source is required", full(func(h event.Headers) { delete(h, "ce-source") }), ""},
		{"old version", "0.3 has other rules", full(func(h event.Headers) { h["ce-specversion"] = []string{"0.3"} }), ""},
		{"no version", "specversion is required", full(func(h event.Headers) { delete(h, "ce-specversion") }), ""},
		{"not UTF-8", "the binding asks for UTF-8", full(func(h event.Headers) { h["ce-id"] = []string{"%FF"} }), ""},
		{"bad time", "time is RFC 3339", full(func(h event.Headers) { h["ce-time"] = []string{"yesterday"} }), ""},
		{"structured, no JSON", "the body is the event", event.Headers{"Content-Type": {"application/cloudevents+json"}}, "<xml>"},
		{"batch", "there is no batch mode on NATS", event.Headers{"Content-Type": {"application/cloudevents-batch+json"}}, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := event.Decode(tt.h, []byte(tt.body)); !errors.Is(err, event.ErrMalformed) {
				t.Errorf("Decode = %v, want ErrMalformed: %s", err, tt.reason)
			}
		})
	}
}

func TestDecodeIsTolerant(t *testing.T) {
	h := event.Headers{"Ce-Specversion": {"1.0"}, "CE-ID": {"100%"}, "ce-source": {"a"}, "ce-type": {"t"}, "Nats-Msg-Id": {"x"}}
	e, err := event.Decode(h, nil)
	if err != nil || e.ID() != "100%" {
		t.Errorf("Decode = %q, %v; want id 100%%: header names have any case, a lone %% stands for itself", e.ID(), err)
	}
}

func TestIntentKind(t *testing.T) {
	for typ, want := range map[string]string{
		"io.patchbay.intent.create.v1":    "intent create",
		"io.patchbay.decision.reject.v1":  "decision reject",
		"io.patchbay.intent.approve.v1":   "",
		"io.patchbay.intent.create.v2":    "",
		"com.example.something":           "",
		"io.patchbay.decision.approve.v1": "decision approve",
	} {
		n, kind, ok := event.IntentKind(typ)
		got := ""
		if ok {
			got = string(n) + " " + kind
		}
		if got != want {
			t.Errorf("IntentKind(%q) = %q, want %q", typ, got, want)
		}
	}
}

// FuzzBinary reads messages whose headers are lines, as in "ce-id: 7".
func FuzzBinary(f *testing.F) {
	const full = "ce-specversion: 1.0\nce-id: %s\nce-source: /s\nce-type: t\n"
	f.Add(fmt.Sprintf(full, "a%20b")+"ce-time: 2026-11-22T09:30:00.5+01:00\nce-datacontenttype: application/json", []byte("{}"))
	f.Add(fmt.Sprintf(full, "%zz%")+"ce-subject: %C3%A9\nCe-PartitionKey: order/1\nce-dataschema: http://x/%41", []byte(nil))
	f.Add(fmt.Sprintf(full, "%FF")+"ce-x: %22\ncontent-type: text/plain", []byte{0xff})
	f.Fuzz(func(t *testing.T, headers string, body []byte) {
		h := event.Headers{}
		for l := range strings.Lines(headers) {
			name, value, _ := strings.Cut(strings.TrimSuffix(l, "\n"), ": ")
			h[name] = append(h[name], value)
		}
		survives(t, h, body)
	})
}

// FuzzStructured reads events that are JSON.
func FuzzStructured(f *testing.F) {
	const json = "application/cloudevents+json"
	f.Add(json, []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":[1]},"time":"2026-11-22T09:30:00Z"}`))
	f.Add(json+"; charset=utf-8", []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"/w==","n":7,"b":true}`))
	f.Add(json, []byte(`{"specversion":"1.0","id":"é\u0000\"","source":"%zz","type":"t","datacontenttype":"text/plain","data":"x"}`))
	f.Add(json, []byte(`{"specversion":"0.3","id":"1","source":"s","type":"t","schemaurl":"x"}`))
	f.Add("application/cloudevents-batch+json", []byte("[]"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		survives(t, event.Headers{"Content-Type": {contentType}}, body)
	})
}

// survives checks that a message is refused as malformed, or is an event that is the same
// after it was written and read again.
func survives(t *testing.T, h event.Headers, body []byte) {
	t.Helper()
	e, err := event.Decode(h, body)
	if err != nil {
		if !errors.Is(err, event.ErrMalformed) {
			t.Fatalf("error %v is not ErrMalformed", err)
		}
		return
	}
	if e.ID() == "" || e.Source() == "" || e.Type() == "" || e.SpecVersion() != "1.0" {
		t.Fatalf("read %v, which is no event", e)
	}
	written, data := event.Encode(e)
	for name, v := range written {
		if strings.ContainsFunc(name+v[0], func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("header %q: %q is not printable ASCII", name, v[0])
		}
	}
	again, err := event.Decode(written, data)
	if err != nil {
		t.Fatalf("an event we read cannot be written and read again: %v\n%v", err, e)
	}
	if !again.Time().Equal(e.Time()) || again.DataContentType() != e.DataContentType() || again.DataSchema() != e.DataSchema() ||
		again.ID() != e.ID() || again.Source() != e.Source() || again.Type() != e.Type() || again.Subject() != e.Subject() ||
		!slices.Equal(again.Data(), e.Data()) {
		t.Fatalf("got %v, want %v", again, e)
	}
	for name, value := range e.Extensions() {
		if got := event.Ext(again, name); got != fmt.Sprint(value) {
			t.Fatalf("extension %s = %q, want %q", name, got, value)
		}
	}
}

// FuzzSubject reads subjects and types.
func FuzzSubject(f *testing.F) {
	for _, s := range []string{
		"patchbay.order.placed.o-1", "patchbay.connection.provisioned.available.c1", "patchbay..x.y", "patchbay.*.>.a",
		"io.patchbay.intent.create.v1", "io.patchbay.decision.reject.v1", "PENDING DELETE", "é\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := event.EntityOf(s); err == nil {
			if again, err := event.EntityOf(event.Fact{Entity: e, Name: nameOf(s)}.Subject()); again != e || err != nil {
				t.Errorf("%q is of %v, and its fact is published where it is of %v, %v", s, e, again, err)
			}
			if !event.Matches(e.Filter(), s) {
				t.Errorf("%q is of %v, whose filter %s leaves it out", s, e, e.Filter())
			}
		} else if !errors.Is(err, event.ErrMalformed) {
			t.Errorf("error %v is not ErrMalformed", err)
		}
		if n, kind, ok := event.IntentKind(s); ok && event.IntentType(n, kind) != s {
			t.Errorf("%q is read as %s %s, whose type is %s", s, n, kind, event.IntentType(n, kind))
		}
		if slug := event.Slug(s); slug == "" || event.Slug(slug) != slug || strings.ContainsAny(slug, ". *>\r\n\t") {
			t.Errorf("%q as a token is %q", s, slug)
		}
	})
}

// nameOf is what stands between the noun and the id of a subject.
func nameOf(subject string) string {
	t := strings.Split(subject, ".")
	return strings.Join(t[2:len(t)-1], ".")
}

func TestMatches(t *testing.T) {
	for _, subject := range []string{"a", "a.b", "a.b.c", "a.c.b", "b.a"} {
		for filter, want := range map[string][]string{
			"a": {"a"}, "*": {"a"}, "a.*": {"a.b"}, "*.*": {"a.b", "b.a"}, "*.b.*": {"a.b.c"}, "a.*.b": {"a.c.b"}, "": nil, "a.b.c.*": nil,
		} {
			if got := event.Matches(filter, subject); got != slices.Contains(want, subject) {
				t.Errorf("Matches(%q, %q) = %v", filter, subject, got)
			}
		}
	}
}

// FuzzData reads the data of facts of every noun.
func FuzzData(f *testing.F) {
	for _, s := range []string{
		`{"id":"o-1","fact":"placed","legs":[{"leg":"primary","attempt":{"number":1,"within":"60s"}}]}`,
		`{"connection":{"id":"c","aSide":{"tag":{"sTag":1,"cTag":2}}},"from":null,"to":{"native":{}},"marks":["first"]}`,
		`{"id":"h","owners":[{"id":"o","inner":7,"since":"2026-11-22T09:30:00.000000001Z"}]}`,
		`{"later":{"unknown":[1e999]},"bandwidthMbps":"50"}`, `{"id":"\ud800"}`, `[]`, `null`, `{"id":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range []proto.Message{
			new(patchbayv1.Order), new(patchbayv1.Refusal), new(patchbayv1.Transition), new(patchbayv1.Sighting),
			new(patchbayv1.Change), new(patchbayv1.Token), new(patchbayv1.Approval), new(patchbayv1.Landing), new(patchbayv1.Hold),
		} {
			if err := event.Unmarshal(data, m); err != nil {
				if !errors.Is(err, event.ErrMalformed) {
					t.Fatalf("error %v is not ErrMalformed", err)
				}
				continue
			}
			text, err := event.Marshal(m)
			if err != nil {
				t.Fatalf("%T read from %q cannot be written: %v", m, data, err)
			}
			again := m.ProtoReflect().New().Interface()
			if err := event.Unmarshal(text, again); err != nil || !proto.Equal(m, again) {
				t.Fatalf("%q is read as %v and, written again, as %v, %v", data, m, again, err)
			}
		}
	})
}
