package story_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

var start = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

const (
	orderID  = "9f2c0e6a-1111-5222-8333-444455556666"
	deleteID = "5c1f09aa-1111-5222-8333-444455556666"
	first    = "3f29ab01-1111-5222-8333-444455556666"
	second   = "71d0c4e2-1111-5222-8333-444455556666"
	trace    = "00-66c62c1af1864fbd979271a60705518f-00f067aa0ba90111-01"
)

// tape records facts, each some time after the one before.
type tape struct {
	t     *testing.T
	at    time.Time
	count map[event.Entity]uint64
	all   []journal.Record
}

// writers are the services that write each noun.
var writers = map[event.Noun]string{
	event.Order: "requester", event.Refusal: "requester", event.Hold: "requester", event.Connection: "status-watcher",
	event.Sighting: "status-watcher", event.Change: "status-watcher",
	event.Approval: "approver", event.Landing: "provisioner",
}

func entity(n event.Noun, id string) event.Entity { return event.Entity{Noun: n, ID: id} }

func newTape(t *testing.T) *tape {
	return &tape{t: t, at: start, count: map[event.Entity]uint64{}}
}

func (p *tape) add(after time.Duration, e event.Entity, name string, data proto.Message) {
	p.t.Helper()
	p.at = p.at.Add(after)
	p.count[e]++
	f := event.Fact{Entity: e, Name: name, Data: data, By: writers[e.Noun], Order: orderID, Origin: event.Origin{TraceParent: trace}}
	ev, err := f.Event(p.count[e], p.at)
	if err != nil {
		p.t.Fatal(err)
	}
	p.all = append(p.all, journal.Record{
		Stream: journal.Facts, Subject: f.Subject(), Seq: uint64(len(p.all) + 1), Stamp: p.at.Add(time.Hour), Event: ev, // taken back from an archive
	})
}

func (p *tape) order(after time.Duration, o *patchbayv1.Order) {
	p.t.Helper()
	p.add(after, entity(event.Order, o.GetId()), o.GetFact(), o)
}

// step adds a transition of a circuit; words are "FROM STATUS PROVIDER marks…".
func (p *tape) step(after time.Duration, id, words string, change func(*patchbayv1.Transition)) {
	p.t.Helper()
	w := strings.Fields(words)
	c := &patchbayv1.Connection{
		Id: id, Exchange: "equinix", ExchangeId: "ECX-" + id[:4], Name: "JohnDoe_Dot1Q", Status: w[1], ProviderStatus: w[2],
		Leg: map[string]string{first: "primary", second: "secondary"}[id], OrderId: orderID,
		BuyerAccount: "acme-ecx", BuyerOrganization: "Acme", SellerOrganization: "Cloud Services",
	}
	from, provider, _ := strings.Cut(w[0], "/")
	t := &patchbayv1.Transition{
		Connection: c, ObservedBy: "batch", First: w[0] == "-",
		From: &patchbayv1.State{Status: from, ProviderStatus: provider},
		To:   &patchbayv1.State{Status: w[1], ProviderStatus: w[2], Native: &patchbayv1.Native{Status: w[1], ProviderStatus: w[2]}},
	}
	if change != nil {
		change(t)
	}
	p.add(after, entity(event.Connection, id), event.Slug(w[1])+"."+event.Slug(w[2]), t)
}

func pair(fact string, legs ...*patchbayv1.OrderLeg) *patchbayv1.Order {
	for i, l := range legs {
		l.Leg = []string{"primary", "secondary"}[i]
	}
	return &patchbayv1.Order{
		Id: orderID, Fact: fact, Kind: "create", Source: "crm.example.com/orders", IntentId: "4711", Account: "acme-ecx",
		Exchange: "equinix", Api: "ecx", Create: &patchbayv1.CreateIntent{Name: "JohnDoe_Dot1Q"}, Legs: legs,
	}
}

func leg(state string) *patchbayv1.OrderLeg { return &patchbayv1.OrderLeg{State: state} }

func attempted(state string, answer string) *patchbayv1.OrderLeg {
	return &patchbayv1.OrderLeg{State: state, Attempt: &patchbayv1.Attempt{Number: 1, Within: durationpb.New(time.Minute), Answer: answer}}
}

func circuit(state, connection string) *patchbayv1.OrderLeg {
	l := attempted(state, "201 Created")
	l.ConnectionId, l.ExchangeId = connection, "ECX-"+connection[:4]
	return l
}

// born tells of a pair from the intent to two circuits that carry traffic.
func born(p *tape) {
	p.order(0, pair("accepted", leg("open"), leg("open")))
	p.add(8*time.Millisecond, entity(event.Hold, "aaaa"), "taken", &patchbayv1.Hold{Id: "aaaa", Kind: "tag", Key: "equinix/4f89/873"})
	p.order(4*time.Millisecond, pair("placing", attempted("placing", ""), attempted("placing", "")))
	p.step(300*time.Millisecond, first, "- PENDING_APPROVAL NOT_AVAILABLE", nil)
	p.order(90*time.Millisecond, pair("placed", circuit("placed", first), circuit("placed", second)))
	p.step(5*time.Millisecond, second, "- PENDING_APPROVAL NOT_AVAILABLE", nil)
	p.add(20*time.Millisecond, entity(event.Approval, first), "requested", &patchbayv1.Approval{
		ConnectionId: first, Fact: "requested", Kind: "create", Account: "cloud-ecx", Rule: "auto"})
	p.add(2*time.Millisecond, entity(event.Approval, first), "approved", &patchbayv1.Approval{
		ConnectionId: first, Fact: "approved", Kind: "create", Account: "cloud-ecx", By: "policy auto"})
	vlan := int32(101)
	p.add(2*time.Millisecond, entity(event.Landing, first), "accepted", &patchbayv1.Landing{
		ConnectionId: first, Fact: "accepted", Kind: "create", PortId: "c10d1050", Tag: &patchbayv1.Tag{Vlan: &vlan}})
	p.step(time.Second, first, "PENDING_APPROVAL/NOT_AVAILABLE PROVISIONING NOT_AVAILABLE", func(t *patchbayv1.Transition) { t.Inferred = true })
	p.step(0, first, "PROVISIONING/NOT_AVAILABLE PROVISIONED AVAILABLE", nil)
	p.step(time.Second, second, "PENDING_APPROVAL/NOT_AVAILABLE PROVISIONED AVAILABLE", func(t *patchbayv1.Transition) { t.Skipped = true })
	p.order(10*time.Millisecond, pair("completed", circuit("completed", first), circuit("completed", second)))
}

func TestStories(t *testing.T) {
	for _, tt := range []struct {
		name  string
		about event.Entity
		tell  func(*tape)
	}{
		{"pair-completed", event.Entity{Noun: event.Order, ID: orderID}, born},
		{"delete-waits-for-seller", event.Entity{Noun: event.Connection, ID: first}, func(p *tape) {
			born(p)
			legs := []*patchbayv1.OrderLeg{{Leg: "primary", State: "placed", ConnectionId: first, ExchangeId: "ECX-3f29"}}
			p.order(26*time.Hour, &patchbayv1.Order{Id: deleteID, Fact: "accepted", Kind: "delete", Account: "acme-ecx", TargetOrderId: orderID})
			p.order(20*time.Millisecond, &patchbayv1.Order{Id: deleteID, Fact: "placed", Kind: "delete", Account: "acme-ecx", Legs: legs,
				Wait: &patchbayv1.Wait{What: "the end of the circuit", On: "the other company, then exchange acme-ecx", Since: timestamppb.New(p.at)}})
			p.step(time.Second, first, "PROVISIONED/AVAILABLE PENDING_DELETE AVAILABLE", nil)
		}},
		{"answer-lost", event.Entity{Noun: event.Order, ID: orderID}, func(p *tape) {
			p.order(0, pair("accepted", leg("open")))
			p.order(time.Millisecond, pair("placing", attempted("placing", "")))
			lost := attempted("uncertain", "connection reset")
			o := pair("uncertain", lost)
			p.order(40*time.Second, o)
			looked := attempted("uncertain", "connection reset")
			looked.Attempt.Looks, looked.Attempt.Candidates = 2, []string{"ECX-1", "ECX-2"}
			o = pair("uncertain", looked)
			o.Wait = &patchbayv1.Wait{What: "a person", On: "operator", Since: timestamppb.New(p.at),
				Until: timestamppb.New(p.at.Add(4 * time.Hour)), Advice: "look at the exchange which one it is"}
			p.order(time.Minute, o)
		}},
		{"rejected", event.Entity{Noun: event.Order, ID: orderID}, func(p *tape) {
			p.order(0, pair("accepted", leg("open")))
			p.order(time.Second, pair("placed", circuit("placed", first)))
			p.step(time.Second, first, "- PENDING_APPROVAL NOT_AVAILABLE", nil)
			p.step(time.Hour, first, "PENDING_APPROVAL/NOT_AVAILABLE REJECTED NOT_AVAILABLE", func(t *patchbayv1.Transition) {
				t.Connection.RejectComment = "who are you?"
				t.ExchangeTime = timestamppb.New(start.Add(time.Minute))
			})
			o := pair("failed", circuit("failed", first))
			o.Failure = &patchbayv1.Failure{Reason: "rejected", Message: "the other company rejected the request", ExchangeMessage: "who are you?"}
			p.order(time.Second, o)
			p.add(time.Minute, entity(event.Refusal, orderID), "conflicting", &patchbayv1.Refusal{
				Fact: "conflicting", OrderId: orderID, Message: "this intent was handed in before with other data",
				Differences: []*patchbayv1.Difference{{Field: "bandwidthMbps", Was: "50", Now: "100"}, {Field: "name", Was: `"a"`}}})
		}},
		{"single-waits-for-person", event.Entity{Noun: event.Order, ID: orderID}, func(p *tape) {
			p.order(0, pair("accepted", leg("open")))
			p.order(time.Second, pair("placed", circuit("placed", first)))
			p.add(time.Second, entity(event.Sighting, first), "seller", &patchbayv1.Sighting{ConnectionId: first, Role: "seller", Account: "cloud-ecx"})
			p.step(time.Second, first, "- PENDING_APPROVAL NOT_AVAILABLE", nil)
			p.add(time.Second, entity(event.Approval, first), "requested", &patchbayv1.Approval{
				ConnectionId: first, Fact: "requested", Kind: "create", Account: "cloud-ecx", Rule: "big", OnExpiry: "reject",
				Deadline: timestamppb.New(p.at.Add(time.Hour)),
				Wait:     &patchbayv1.Wait{What: "approval", On: "operator", Since: timestamppb.New(p.at), Until: timestamppb.New(p.at.Add(time.Hour))}})
			p.add(time.Second, entity(event.Change, first), "completed", &patchbayv1.Change{ConnectionId: first, Status: "COMPLETED",
				Differences: []*patchbayv1.Difference{{Field: "name", Was: `"a"`, Now: `"b"`}}})
		}},
		{"invalid", event.Entity{Noun: event.Order, ID: orderID}, func(p *tape) {
			o := pair("invalid")
			o.Violations = []*patchbayv1.Violation{
				{Field: "primary.aSide.tag.vlan", Value: "5000", Rule: "a number from 1 to 4094", Hint: "see the port"},
				{Field: "name", Rule: "required"}}
			p.order(0, o)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newTape(t)
			tt.tell(p)
			s := story.Tell(tt.about, p.all)
			var text strings.Builder
			if err := s.Write(story.Page{W: &text, Now: p.at.Add(90 * time.Second)}); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name+".txt", text.String())
			asJSON, err := json.MarshalIndent(s, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name+".json", string(asJSON)+"\n")
		})
	}
}

// PacketFabric shows no name with a request that was sent.
func TestNameless(t *testing.T) {
	p := newTape(t)
	p.step(0, first, "- PENDING_APPROVAL NOT_AVAILABLE", func(s *patchbayv1.Transition) { s.Connection.Name = "" })
	s := story.Tell(event.Entity{Noun: event.Connection, ID: first}, p.all)
	want := "ECX-" + first[:4] + " at equinix"
	if len(s.Steps) != 1 || !slices.Contains(s.Steps[0].Details, want) {
		t.Errorf("the story is %+v, want one step that says %q and no space before it", s.Steps, want)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not as it was\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

// Whatever order facts come in, and with data nobody can read, a story is told.
func TestTellSurvives(t *testing.T) {
	p := newTape(t)
	born(p)
	for i, j := 0, len(p.all)-1; i < j; i, j = i+1, j-1 {
		p.all[i], p.all[j] = p.all[j], p.all[i]
	}
	about := event.Entity{Noun: event.Order, ID: orderID}
	if got := story.Tell(about, p.all); got.State != "completed" || got.Steps[0].What != "accepted" {
		t.Errorf("told backwards it ends %s and begins %s, want completed and accepted", got.State, got.Steps[0].What)
	}
	if err := p.all[0].Event.SetData("application/json", json.RawMessage(`{"legs": 7}`)); err != nil {
		t.Fatal(err)
	}
	if got := story.Tell(about, p.all); len(got.Steps) != 13 {
		t.Errorf("with one unreadable fact there are %d steps, want all 13", len(got.Steps))
	}
	if got := story.Tell(about, nil); len(got.Steps) != 0 {
		t.Errorf("of nothing %d steps are told", len(got.Steps))
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 850 * time.Microsecond: "1ms", 850 * time.Millisecond: "850ms",
		2345 * time.Millisecond: "2.3s", 123 * time.Second: "2m3s", time.Minute: "1m", time.Hour: "1h", 20 * time.Minute: "20m", 3*time.Hour + 2*time.Minute: "3h2m",
		76 * time.Hour: "3d4h",
	} {
		if got := story.Span(d); got != want {
			t.Errorf("Span(%s) = %q, want %q", d, got, want)
		}
	}
}

// What an exchange says is said once, also where its message begins with its code.
func TestFailureSaysCodeOnce(t *testing.T) {
	for message, want := range map[string]string{
		"InvalidVlanParam: VLAN 100 is in use": `refused: no (the exchange says "InvalidVlanParam: VLAN 100 is in use")`,
		"VLAN 100 is in use":                   `refused: no (the exchange says "InvalidVlanParam VLAN 100 is in use")`,
	} {
		f := &patchbayv1.Failure{Reason: "refused", Message: "no", Code: "InvalidVlanParam", ExchangeMessage: message}
		if got := story.Failure(f); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
