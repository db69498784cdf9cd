package event_test

import (
	"encoding/json"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	ce "github.com/cloudevents/sdk-go/v2/event"
	pb "google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	"patchbay.io/proto"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// The golden examples survive a NATS message in either mode.
func TestExamplesTravel(t *testing.T) {
	for name, raw := range examples(t) {
		t.Run(name, func(t *testing.T) {
			want := parseEvent(t, raw)
			if got := want.Type(); got+".json" != name {
				t.Errorf("type = %q, want that of the file's name", got)
			}
			got, err := event.Decode(event.Encode(want))
			if err != nil {
				t.Fatalf("decode binary: %v", err)
			}
			sameJSON(t, "binary", got, want)
			got, err = event.Decode(event.Headers{"content-type": {"application/cloudevents+json"}}, raw)
			if err != nil {
				t.Fatalf("decode structured: %v", err)
			}
			sameJSON(t, "structured", got, want)
		})
	}
}

// A fact with the data of an example is written as the example.
func TestExamplesAreWrittenByUs(t *testing.T) {
	for name, raw := range examples(t) {
		t.Run(name, func(t *testing.T) {
			want := parseEvent(t, raw)
			if _, _, input := event.IntentKind(want.Type()); input {
				checkInput(t, want)
				return
			}
			f := factOf(t, want)
			got, err := f.Event(event.Sequence(want), want.Time())
			if err != nil {
				t.Fatal(err)
			}
			if got.ID() == want.ID() {
				t.Error("the event has the id of the example; each append has one of its own")
			}
			got.SetID(want.ID())
			sameJSON(t, "written", got, want)
			if e, err := event.EntityOf(f.Subject()); err != nil || e != f.Entity {
				t.Errorf("EntityOf(%q) = %v, %v; want %v", f.Subject(), e, err, f.Entity)
			}
		})
	}
}

func checkInput(t *testing.T, want ce.Event) {
	t.Helper()
	got, err := event.NewIntent(want.Type(), want.Source(), want.ID(), want.Data())
	if err != nil {
		t.Fatal(err)
	}
	got.SetTime(want.Time())
	got.SetExtension(event.ExtTraceParent, event.Ext(want, event.ExtTraceParent))
	if got, err = event.Decode(event.Encode(got)); err != nil {
		t.Fatal(err)
	}
	sameJSON(t, "written", got, want)
}

// factOf reads the fact back that e was made from.
func factOf(t *testing.T, e ce.Event) event.Fact {
	t.Helper()
	noun, id, _ := strings.Cut(e.Subject(), "/")
	f := event.Fact{
		Entity: event.Entity{Noun: event.Noun(noun), ID: id},
		By:     strings.TrimPrefix(e.Source(), "patchbay/"),
		Cause:  event.Ext(e, event.ExtCausationID), Order: event.Ext(e, event.ExtCorrelationID),
		Exchange: event.Ext(e, event.ExtExchange), Origin: event.OriginOf(e),
	}
	into := func(m pb.Message) {
		if err := event.Unmarshal(e.Data(), m); err != nil {
			t.Fatal(err)
		}
		f.Data = m
	}
	if strings.HasSuffix(e.Type(), ".archived.v1") {
		into(new(patchbayv1.Archived))
		f.Name = f.Entity.Noun.Archived()
		return f
	}
	switch f.Entity.Noun {
	case event.Connection:
		m := new(patchbayv1.Transition)
		into(m)
		f.Name = strings.ToLower(m.GetTo().GetStatus() + "." + m.GetTo().GetProviderStatus())
	case event.Sighting:
		m := new(patchbayv1.Sighting)
		into(m)
		f.Name = m.GetRole()
	case event.Change:
		m := new(patchbayv1.Change)
		into(m)
		f.Name = strings.ToLower(m.GetStatus())
	case event.Token:
		m := new(patchbayv1.Token)
		into(m)
		f.Name = strings.ToLower(m.GetState())
	default:
		m := withFact(t, f.Entity.Noun)
		into(m)
		f.Name = m.GetFact()
	}
	return f
}

// withFact returns an empty message of a noun whose data names the fact.
func withFact(t *testing.T, n event.Noun) interface {
	pb.Message
	GetFact() string
} {
	t.Helper()
	switch n {
	case event.Order:
		return new(patchbayv1.Order)
	case event.Refusal:
		return new(patchbayv1.Refusal)
	case event.Approval:
		return new(patchbayv1.Approval)
	case event.Landing:
		return new(patchbayv1.Landing)
	case event.Hold:
		return new(patchbayv1.Hold)
	case event.Account:
		return new(patchbayv1.AccountPause)
	default:
		t.Fatalf("no message for noun %q", n)
		return nil
	}
}

// examples returns the golden events by file name.
func examples(t *testing.T) map[string][]byte {
	t.Helper()
	all, err := fs.ReadDir(proto.Files(), "events")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range all {
		if out[f.Name()], err = fs.ReadFile(proto.Files(), "events/"+f.Name()); err != nil {
			t.Fatal(err)
		}
	}
	if len(out) == 0 {
		t.Fatal("there are no examples")
	}
	return out
}

// parseEvent reads an example as any user of the SDK would.
func parseEvent(t *testing.T, raw []byte) ce.Event {
	t.Helper()
	var e ce.Event
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatalf("the SDK: %v", err)
	}
	if err := e.Validate(); err != nil {
		t.Fatalf("the SDK: %v", err)
	}
	return e
}

// sameJSON compares all that two events say.
func sameJSON(t *testing.T, how string, got, want ce.Event) {
	t.Helper()
	if a, b := asJSON(t, got), asJSON(t, want); !reflect.DeepEqual(a, b) {
		t.Fatalf("%s: got %v\nwant %v", how, a, b)
	}
}

func asJSON(t *testing.T, e ce.Event) map[string]any {
	t.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
