package proto_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"patchbay.io/proto"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// root is where the schema compiler finds the files of the contract.
const root = "contract:///"

// A contract is asyncapi.yaml, as far as the tests read it.
type contract struct {
	Channels map[string]struct {
		Messages map[string]ref
	}
	Operations map[string]struct {
		Channel ref
		Reply   struct{ Channel ref }
	}
	Components struct {
		Messages map[string]message
		Schemas  map[string]struct {
			AllOf []ref `yaml:"allOf"`
		}
	}
}

type ref struct {
	Ref string `yaml:"$ref"`
}

type message struct {
	Name    string
	Traits  []ref
	Payload ref
	Headers struct {
		Properties map[string]struct{ Const string }
	}
}

// event reports whether m is one of the events that have an example.
func (m message) event() bool { return strings.HasPrefix(m.Name, "io.patchbay.") }

func TestMessagesAndChannels(t *testing.T) {
	c := read(t)
	found := map[string]int{}
	for name, channel := range c.Channels {
		for short, r := range channel.Messages {
			if want := "#/components/messages/" + short; r.Ref != want {
				t.Errorf("channel %s: message %s refers to %q, want %q", name, short, r.Ref, want)
			}
			found[short]++
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(c.Operations)), func(o string) bool {
			return c.Operations[o].Channel.Ref == "#/channels/"+name || c.Operations[o].Reply.Channel.Ref == "#/channels/"+name
		}) {
			t.Errorf("nobody sends or receives anything on channel %s", name)
		}
	}
	for short, m := range c.Components.Messages {
		if found[short] != 1 {
			t.Errorf("message %s is on %d channels, want 1", short, found[short])
		}
		if !m.event() {
			continue
		}
		if want := "io.patchbay." + short + ".v1"; m.Name != want || m.Headers.Properties["ce-type"].Const != want {
			t.Errorf("message %s has the name %q and the ce-type %q, want %q", short, m.Name, m.Headers.Properties["ce-type"].Const, want)
		}
	}
}

func TestEachEventHasAnExample(t *testing.T) {
	var want []string
	for _, m := range read(t).Components.Messages {
		if m.event() {
			want = append(want, m.Name)
		}
	}
	slices.Sort(want)
	if got := names(t, "events"); !slices.Equal(got, want) {
		t.Errorf("events/ has\n%q, want one for each event of asyncapi.yaml:\n%q", got, want)
	}
}

func TestExamplesFitTheDocument(t *testing.T) {
	c, check := read(t), newChecker(t)
	for short, m := range c.Components.Messages {
		if !m.event() {
			continue
		}
		e := example(t, m.Name)
		if err := check.event(short, m, e); err != nil {
			t.Errorf("events/%s.json: %v", m.Name, err)
		}
		if got := e["type"]; got != m.Name {
			t.Errorf("events/%s.json has the type %q", m.Name, got)
		}
	}
}

// What the document does not describe must be refused, or the test above means nothing.
func TestDocumentRefuses(t *testing.T) {
	data := func(e map[string]any) map[string]any { return e["data"].(map[string]any) }
	for _, tt := range []struct {
		short, reason string
		spoil         func(e map[string]any)
	}{
		{"order.placed", "id is required", func(e map[string]any) { delete(e, "id") }},
		{"order.placed", "facts have a sequence", func(e map[string]any) { delete(e, "sequence") }},
		{"order.placed", "a sequence has 20 digits", func(e map[string]any) { e["sequence"] = "3" }},
		{"order.placed", "sequences begin with 1", func(e map[string]any) { e["sequence"] = strings.Repeat("0", 20) }},
		{"order.placed", "facts have a partition key", func(e map[string]any) { delete(e, "partitionkey") }},
		{"order.placed", "another type is another message", func(e map[string]any) { e["type"] = "io.patchbay.order.failed.v1" }},
		{"order.placed", "time is RFC 3339", func(e map[string]any) { e["time"] = "yesterday" }},
		{"order.placed", "there is no version but 1.0", func(e map[string]any) { e["specversion"] = "0.3" }},
		{"order.placed", "a trace context has four parts", func(e map[string]any) { e["traceparent"] = "00-00" }},
		{"order.placed", "data is an object", func(e map[string]any) { e["data"] = "placed" }},
		{"order.placed", "an order has an id", func(e map[string]any) { delete(data(e), "id") }},
		{"order.placed", "legs are a list", func(e map[string]any) { data(e)["legs"] = map[string]any{} }},
		{"order.placed", "a time is RFC 3339 in data too", func(e map[string]any) { data(e)["at"] = "09:00" }},
		{"order.placed", "a uint64 is a text", func(e map[string]any) { data(e)["intentSequence"] = json.Number("1") }},
		{"connection.transitioned", "a transition leads somewhere", func(e map[string]any) { delete(data(e), "to") }},
		{"connection.transitioned", "a flag is a boolean", func(e map[string]any) { data(e)["first"] = "yes" }},
		{"intent.create", "a number is no text", func(e map[string]any) { data(e)["bandwidthMbps"] = "50" }},
		{"intent.create", "an intent has a source", func(e map[string]any) { delete(e, "source") }},
		{"intent.create", "there are two ways to deal with a failed leg", func(e map[string]any) { data(e)["onLegFailure"] = "panic" }},
		{"intent.delete", "a target is one thing", func(e map[string]any) {
			data(e)["target"] = map[string]any{"orderId": "a", "connectionId": "b"}
		}},
		{"intent.change", "a source alone names no intent", func(e map[string]any) {
			data(e)["target"] = map[string]any{"source": "a"}
		}},
		{"decision.approve", "a decision names what was seen", func(e map[string]any) { delete(data(e), "digest") }},
	} {
		t.Run(tt.short+", "+tt.reason, func(t *testing.T) {
			m := read(t).Components.Messages[tt.short]
			e := example(t, m.Name)
			tt.spoil(e)
			err := newChecker(t).event(tt.short, m, e)
			if refusal := new(jsonschema.ValidationError); !errors.As(err, &refusal) {
				t.Errorf("the document says %v, want a refusal: %s", err, tt.reason)
			}
		})
	}
}

// Upstream may write a notification as a text.
func TestShortNotification(t *testing.T) {
	m := read(t).Components.Messages["intent.create"]
	e := example(t, m.Name)
	e["data"].(map[string]any)["notifications"] = []any{"noc@example.com"}
	if err := newChecker(t).event("intent.create", m, e); err != nil {
		t.Error(err)
	}
}

// The examples are read strictly and written again, by the generated code.
func TestExamplesAreProtobuf(t *testing.T) {
	c := read(t)
	for _, m := range c.Components.Messages {
		if !m.event() {
			continue
		}
		schemas := c.Components.Schemas[path.Base(m.Payload.Ref)].AllOf
		if len(schemas) == 0 {
			t.Errorf("%s has no payload of ours", m.Name)
			continue
		}
		name := strings.TrimSuffix(path.Base(schemas[0].Ref), ".json")
		typ, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("patchbay.v1." + name))
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		want := example(t, m.Name)["data"]
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		msg := typ.New().Interface()
		if err := protojson.Unmarshal(data, msg); err != nil {
			t.Errorf("events/%s.json is no %s: %v", m.Name, name, err)
			continue
		}
		again, err := protojson.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(t, again); !reflect.DeepEqual(got, want) {
			t.Errorf("events/%s.json is written again as\n%s, want\n%s", m.Name, again, data)
		}
	}
}

// Each message has its schema, with all its fields and no other.
func TestSchemasAreOfTheMessages(t *testing.T) {
	var want []string
	for _, f := range []protoreflect.FileDescriptor{
		patchbayv1.File_patchbay_v1_approval_proto, patchbayv1.File_patchbay_v1_common_proto,
		patchbayv1.File_patchbay_v1_connection_proto, patchbayv1.File_patchbay_v1_intent_proto,
		patchbayv1.File_patchbay_v1_order_proto,
		patchbayv1.File_patchbay_v1_archive_proto,
	} {
		for i := range f.Messages().Len() {
			d := f.Messages().Get(i)
			want = append(want, string(d.Name()))
			checkFields(t, d)
		}
	}
	slices.Sort(want)
	if got := names(t, "schemas"); !slices.Equal(got, want) {
		t.Errorf("schemas/ has %q, want one for each message: %q", got, want)
	}
}

func checkFields(t *testing.T, d protoreflect.MessageDescriptor) {
	t.Helper()
	var s struct {
		Properties map[string]any
		AnyOf      []struct{ Properties map[string]any }
	}
	if err := json.Unmarshal(file(t, "schemas/"+string(d.Name())+".json"), &s); err != nil {
		t.Fatal(err)
	}
	if s.Properties == nil && len(s.AnyOf) > 0 {
		s.Properties = s.AnyOf[0].Properties
	}
	var want []string
	for i := range d.Fields().Len() {
		want = append(want, d.Fields().Get(i).JSONName())
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(s.Properties)); !slices.Equal(got, want) {
		t.Errorf("schemas/%s.json has the fields %q, want %q; run make generate", d.Name(), got, want)
	}
}

// A checker holds events against the schemas of the document.
type checker struct{ compiler *jsonschema.Compiler }

func newChecker(t *testing.T) checker {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.AssertFormat()
	c.UseLoader(loader{})
	return checker{c}
}

// event checks headers as they are in binary mode, and data.
func (c checker) event(short string, m message, e map[string]any) error {
	headers := map[string]any{}
	for name, value := range e {
		if name != "data" {
			headers["ce-"+name] = value
		}
	}
	at := "#/components/messages/" + short
	if err := c.validate(at+"/headers", headers); err != nil {
		return err
	}
	for _, trait := range m.Traits {
		if err := c.validate(trait.Ref+"/headers", headers); err != nil {
			return err
		}
	}
	return c.validate(at+"/payload", e["data"])
}

func (c checker) validate(pointer string, value any) error {
	s, err := c.compiler.Compile(root + "asyncapi.yaml" + pointer)
	if err != nil {
		return err
	}
	return s.Validate(value)
}

// loader reads the files of the contract for the compiler.
type loader struct{}

func (loader) Load(url string) (any, error) {
	b, err := fs.ReadFile(proto.Files(), strings.TrimPrefix(url, root))
	if err != nil {
		return nil, err
	}
	var doc any
	if strings.HasSuffix(url, ".yaml") {
		err = yaml.Unmarshal(b, &doc)
	} else {
		doc, err = jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return doc, nil
}

func read(t *testing.T) contract {
	t.Helper()
	var c contract
	if err := yaml.Unmarshal(file(t, "asyncapi.yaml"), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func example(t *testing.T, typ string) map[string]any {
	t.Helper()
	e, ok := parse(t, file(t, "events/"+typ+".json")).(map[string]any)
	if !ok {
		t.Fatalf("events/%s.json is no object", typ)
	}
	return e
}

func parse(t *testing.T, b []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	b, err := fs.ReadFile(proto.Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// names lists a folder without endings, sorted.
func names(t *testing.T, dir string) []string {
	t.Helper()
	all, err := fs.ReadDir(proto.Files(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range all {
		out = append(out, strings.TrimSuffix(f.Name(), ".json"))
	}
	slices.Sort(out)
	return out
}
