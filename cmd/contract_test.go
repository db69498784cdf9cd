package cmd_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"go.yaml.in/yaml/v3"
	pb "google.golang.org/protobuf/proto"

	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/status"
	"patchbay.io/pkg/view"
	"patchbay.io/proto"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// vocabulary returns the facts of each noun, as the packages that own them list them.
func vocabulary() map[event.Noun][]string {
	facts := func(c order.Chart) []string {
		var all []string
		for _, s := range c {
			if !slices.Contains(all, s.To) {
				all = append(all, s.To)
			}
		}
		return all
	}
	return map[event.Noun][]string{
		event.Intent:   {intent.Create, intent.Change, intent.Delete},
		event.Decision: {intent.Approve, intent.Reject},
		event.Order:    order.Facts(),
		event.Refusal:  {"conflicting", "decision"},
		event.Approval: facts(order.Approvals()),
		event.Landing:  facts(order.Landings()),
		event.Hold:     facts(order.Holds()),
		event.Account:  {service.Paused, service.Resumed},
	}
}

// TestContractHasEveryType walks what can happen: each has an example and a message in the
// AsyncAPI document, and neither has anything else.
func TestContractHasEveryType(t *testing.T) {
	var want []string
	for _, n := range append(event.Nouns(), event.Intent, event.Decision) {
		facts := vocabulary()[n]
		if facts == nil {
			facts = []string{"any"}
		}
		if slices.Contains(event.Nouns(), n) && n != event.Account { // which has no end
			facts = append(slices.Clone(facts), n.Archived())
		}
		for _, f := range facts {
			want = append(want, event.Fact{Entity: event.Entity{Noun: n}, Name: f}.Type())
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(exampleEvents(t))); !slices.Equal(got, want) {
		t.Errorf("examples of\n%q, want\n%q", got, want)
	}
	var got []string
	for _, m := range asyncAPI(t).Components.Messages {
		if strings.HasPrefix(m.Name, "io.patchbay.") {
			got = append(got, m.Name)
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("asyncapi.yaml has the messages\n%q, want\n%q", got, want)
	}
}

// TestContractHasEveryWord compares the words that the document lists for subjects.
func TestContractHasEveryWord(t *testing.T) {
	var statuses, providers []string
	for _, s := range status.Statuses() {
		statuses = append(statuses, s.Token())
	}
	for _, p := range status.Providers() {
		providers = append(providers, p.Token())
	}
	channels := asyncAPI(t).Channels
	for _, tt := range []struct {
		channel, parameter string
		want               []string
	}{
		{"intent", "kind", vocabulary()[event.Intent]},
		{"decision", "decision", vocabulary()[event.Decision]},
		{"order", "fact", vocabulary()[event.Order]},
		{"approval", "fact", vocabulary()[event.Approval]},
		{"landing", "fact", vocabulary()[event.Landing]},
		{"hold", "fact", vocabulary()[event.Hold]},
		{"account", "fact", vocabulary()[event.Account]},
		{"connection", "status", statuses},
		{"connection", "providerStatus", providers},
	} {
		p := channels[tt.channel].Parameters[tt.parameter]
		got := slices.Sorted(slices.Values(slices.Concat(p.Enum, p.Examples)))
		if want := slices.Sorted(slices.Values(tt.want)); !slices.Equal(got, want) {
			t.Errorf("channel %s lists for %s\n%q, want\n%q", tt.channel, tt.parameter, got, want)
		}
	}
}

// TestContractAddresses derives the subject of each example and holds it against the
// channel that its message is on.
func TestContractAddresses(t *testing.T) {
	doc, found := asyncAPI(t), 0
	parameter := regexp.MustCompile(`\{(\w+)\}`)
	for _, c := range doc.Channels {
		for short := range c.Messages {
			e, ok := exampleEvents(t)[doc.Components.Messages[short].Name]
			if !ok {
				continue
			}
			found++
			pattern := "^" + parameter.ReplaceAllString(strings.ReplaceAll(c.Address, ".", `\.`), `(?P<$1>[^.]+)`) + "$"
			re, subject := regexp.MustCompile(pattern), subjectOf(t, e)
			values := re.FindStringSubmatch(subject)
			if values == nil {
				t.Errorf("%s is published on %s, which is not %s", e.Type(), subject, c.Address)
				continue
			}
			for i, name := range re.SubexpNames() {
				if at := c.Parameters[name].Location; at != "" && lookUp(t, e, at) != values[i] {
					t.Errorf("%s on %s: %s is %q, want %q", e.Type(), subject, at, lookUp(t, e, at), values[i])
				}
			}
		}
	}
	if found != len(exampleEvents(t)) {
		t.Errorf("%d of %d examples have a channel", found, len(exampleEvents(t)))
	}
}

// TestContractQuestions compares the questions that the document describes with those that
// are answered.
func TestContractQuestions(t *testing.T) {
	doc := asyncAPI(t)
	for _, verb := range []string{"check", service.VerbList, service.VerbRebuild, service.VerbIntake} {
		if got, want := doc.Channels["ask."+verb].Address, event.AskSubject(verb); got != want {
			t.Errorf("%s is asked on %q, want %q", verb, got, want)
		}
	}
	for name, v := range map[string]any{
		"list.question": service.ListRequest{}, "list.answer": service.ListAnswer{},
		"snapshot": view.Snapshot{}, "entity": event.Entity{}, "rebuild.answer": view.Report{},
		"intake.answer": service.IntakeAnswer{}, "source.use": service.SourceUse{},
	} {
		var want []string
		for f := range reflect.TypeOf(v).NumField() {
			tag, _, _ := strings.Cut(reflect.TypeOf(v).Field(f).Tag.Get("json"), ",")
			want = append(want, tag)
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(doc.Components.Schemas[name].Properties)); !slices.Equal(got, want) {
			t.Errorf("%s has the fields %q, want %q", name, got, want)
		}
	}
}

// The examples' deployment key is the bytes 0 to 31.
func exampleKey() secret.Key {
	var raw [32]byte
	for i := range raw {
		raw[i] = byte(i)
	}
	return secret.NewKey(raw)
}

// TestExamplesAreOneStory holds what the examples say against the rules: ids, digests,
// HMACs, charts, and that events which belong together say so.
func TestExamplesAreOneStory(t *testing.T) {
	ids, places, traces := map[string]string{}, map[string]string{}, map[string]string{}
	for typ, e := range exampleEvents(t) {
		twice(t, "id", ids, e.Source()+" "+e.ID(), typ)
		noun, _, input := event.IntentKind(typ)
		if noun == event.Intent {
			sameTrace(t, e, traces, event.OrderID(e.Source(), e.ID()))
		}
		if !input {
			twice(t, "place", places, e.Subject()+" "+event.Ext(e, event.ExtSequence), typ)
			sameTrace(t, e, traces, event.Ext(e, event.ExtCorrelationID))
		}
		for _, c := range connectionsIn(t, e) {
			if want := event.ConnectionID(c.GetExchange(), c.GetExchangeId()); c.GetId() != want {
				t.Errorf("%s: connection %s, want %s", typ, c.GetId(), want)
			}
		}
	}
}

func twice(t *testing.T, what string, seen map[string]string, key, typ string) {
	t.Helper()
	if other := seen[key]; other != "" {
		t.Errorf("%s and %s have the same %s: %s", typ, other, what, key)
	}
	seen[key] = typ
}

// sameTrace reports an event of an order that is not in the trace of the others.
func sameTrace(t *testing.T, e ce.Event, traces map[string]string, id string) {
	t.Helper()
	if id == "" {
		return
	}
	trace := event.OriginOf(e).TraceParent
	if known := traces[id]; known != "" && known != trace {
		t.Errorf("%s of order %s is in trace %s, others in %s", e.Type(), id, trace, known)
	}
	traces[id] = trace
}

func TestExampleOrders(t *testing.T) {
	create := example(t, "intent.create", new(patchbayv1.CreateIntent))
	redacted := intent.Redact(create, exampleKey())
	var before *patchbayv1.Order
	for _, fact := range []string{order.Accepted, order.Placing, order.Placed, order.Completed} {
		o := example(t, "order."+fact, new(patchbayv1.Order))
		if err := order.Check(before, o); err != nil {
			t.Error(err)
		}
		if !pb.Equal(o.GetCreate(), redacted) || o.GetPayloadDigest() != intent.Digest(redacted) {
			t.Errorf("order %s is not that of the intent: %v", fact, o.GetCreate())
		}
		before = o
	}
	for _, fact := range order.Facts() {
		o := example(t, "order."+fact, new(patchbayv1.Order))
		if want := event.OrderID(o.GetSource(), o.GetIntentId()); o.GetId() != want || o.GetFact() != fact {
			t.Errorf("order %s, %q, want %s, %q", o.GetId(), o.GetFact(), want, fact)
		}
		for _, l := range o.GetLegs() {
			if l.GetExchangeId() != "" && l.GetConnectionId() != event.ConnectionID(o.GetExchange(), l.GetExchangeId()) {
				t.Errorf("order %s: connection %s is not that of %s", fact, l.GetConnectionId(), l.GetExchangeId())
			}
		}
	}
}

func TestExampleApprovals(t *testing.T) {
	for _, fact := range vocabulary()[event.Approval] {
		a := example(t, "approval."+fact, new(patchbayv1.Approval))
		if want := approval.Digest(a.GetConnection(), a.GetKind()); a.GetDigest() != want || a.GetFact() != fact {
			t.Errorf("approval %q has the digest %s, want %q, %s", a.GetFact(), a.GetDigest(), fact, want)
		}
	}
	for decision, fact := range map[string]string{intent.Approve: approval.Approved, intent.Reject: approval.Rejected} {
		d := example(t, "decision."+decision, new(patchbayv1.Decision))
		a := example(t, "approval."+fact, new(patchbayv1.Approval))
		if d.GetConnectionId() != a.GetConnectionId() || d.GetDigest() != a.GetDigest() || d.GetBy() != a.GetBy() {
			t.Errorf("%s is not the answer to the decision to %s", fact, decision)
		}
	}
	r := example(t, "refusal.decision", new(patchbayv1.Refusal))
	asked := example(t, "approval.requested", new(patchbayv1.Approval))
	was := pb.CloneOf(asked.GetConnection())
	was.BandwidthMbps = 50
	if got, want := r.GetDecision().GetDigest(), approval.Digest(was, asked.GetKind()); got != want {
		t.Errorf("the stale decision names %s, want %s", got, want)
	}
	want := approval.Differences(asked.GetKind(), was, asked.GetConnection())
	if !slices.EqualFunc(r.GetDifferences(), want, func(a, b *patchbayv1.Difference) bool { return pb.Equal(a, b) }) {
		t.Errorf("the stale decision differs in %v, want %v", r.GetDifferences(), want)
	}
}

func TestExampleHolds(t *testing.T) {
	for _, fact := range vocabulary()[event.Hold] {
		h := example(t, "hold."+fact, new(patchbayv1.Hold))
		if want := event.HoldID(h.GetKind(), h.GetKey()); h.GetId() != want || h.GetFact() != fact {
			t.Errorf("hold %s, %q, want %s, %q", h.GetId(), h.GetFact(), want, fact)
		}
	}
	for _, fact := range vocabulary()[event.Landing] {
		l := example(t, "landing."+fact, new(patchbayv1.Landing))
		outer, _ := hold.OuterInner(l.GetTag())
		want := event.HoldID(hold.Tag, hold.TagKey(l.GetExchange(), l.GetPortId(), outer))
		if l.GetHoldId() != want || l.GetFact() != fact {
			t.Errorf("landing %q has the hold %s, want %q, %s", l.GetFact(), l.GetHoldId(), fact, want)
		}
	}
	const token = "d8b3fcb9-5a36-4f6c-9c55-5fd9b0b5c0a1"
	if got, want := example(t, "token.transitioned", new(patchbayv1.Token)).GetId(), exampleKey().Token(token); got != want {
		t.Errorf("the token is %s, want %s", got, want)
	}
}

func TestExampleTransition(t *testing.T) {
	m := example(t, "connection.transitioned", new(patchbayv1.Transition))
	state := func(s *patchbayv1.State) status.State {
		return status.State{Status: status.Status(s.GetStatus()), Provider: status.Provider(s.GetProviderStatus())}
	}
	c := m.GetConnection()
	allowed := status.Chart(status.API(c.GetApi()), status.Flow(c.GetFlow()))
	if !slices.ContainsFunc(allowed, func(s status.Step) bool { return s.From == state(m.GetFrom()) && s.To == state(m.GetTo()) }) {
		t.Errorf("the chart has no step from %v to %v", state(m.GetFrom()), state(m.GetTo()))
	}
	if c.GetStatus() != m.GetTo().GetStatus() || c.GetProviderStatus() != m.GetTo().GetProviderStatus() {
		t.Errorf("the connection is %s/%s after a step to %v", c.GetStatus(), c.GetProviderStatus(), state(m.GetTo()))
	}
}

// connectionsIn returns the connections that are in an example whole.
func connectionsIn(t *testing.T, e ce.Event) []*patchbayv1.Connection {
	t.Helper()
	var d struct{ Connection json.RawMessage }
	if err := json.Unmarshal(e.Data(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Connection == nil {
		return nil
	}
	c := new(patchbayv1.Connection)
	if err := event.Unmarshal(d.Connection, c); err != nil {
		t.Fatal(err)
	}
	return []*patchbayv1.Connection{c}
}

// subjectOf derives where an example is published from what it says.
func subjectOf(t *testing.T, e ce.Event) string {
	t.Helper()
	if n, kind, input := event.IntentKind(e.Type()); input {
		return event.IntentSubject(n, kind)
	}
	noun, id, _ := strings.Cut(e.Subject(), "/")
	var d struct {
		Fact, Role, Status, State string
		To                        struct{ Status, ProviderStatus string }
	}
	if err := json.Unmarshal(e.Data(), &d); err != nil {
		t.Fatal(err)
	}
	if n := event.Noun(noun); d.Fact == event.Archived {
		return event.Fact{Entity: event.Entity{Noun: n, ID: id}, Name: n.Archived()}.Subject()
	}
	name := map[event.Noun]string{
		event.Connection: d.To.Status + "." + d.To.ProviderStatus, event.Sighting: d.Role,
		event.Change: d.Status, event.Token: d.State,
	}[event.Noun(noun)]
	return event.Fact{Entity: event.Entity{Noun: event.Noun(noun), ID: id}, Name: strings.ToLower(d.Fact + name)}.Subject()
}

// lookUp follows a runtime expression of AsyncAPI into the data of an example.
func lookUp(t *testing.T, e ce.Event, location string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(e.Data(), &v); err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimPrefix(location, "$message.payload#/"), "/") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// example reads the data of the example of a type into m.
func example[M pb.Message](t *testing.T, short string, m M) M {
	t.Helper()
	e, ok := exampleEvents(t)["io.patchbay."+short+".v1"]
	if !ok {
		t.Fatalf("there is no example of %s", short)
	}
	if err := event.Unmarshal(e.Data(), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// exampleEvents returns the golden events by type.
func exampleEvents(t *testing.T) map[string]ce.Event {
	t.Helper()
	names, err := fs.Glob(proto.Files(), "events/*.json")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]ce.Event{}
	for _, name := range names {
		b, err := fs.ReadFile(proto.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		var e ce.Event
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[strings.TrimSuffix(path.Base(name), ".json")] = e
	}
	return all
}

// document is the AsyncAPI document, as far as it is compared with the code.
type document struct {
	Channels map[string]struct {
		Address    string
		Messages   map[string]any
		Parameters map[string]struct {
			Location       string
			Enum, Examples []string
		}
	}
	Components struct {
		Messages map[string]struct{ Name string }
		Schemas  map[string]struct{ Properties map[string]any }
	}
}

func asyncAPI(t *testing.T) document {
	t.Helper()
	b, err := fs.ReadFile(proto.Files(), "asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := yaml.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}
