package invariants_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/sandbox"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// told is a journal in the making.
type told struct {
	t *testing.T
	s *invariants.Story
	n map[event.Entity]uint64
}

func (j *told) add(e event.Entity, name string, m proto.Message) {
	j.t.Helper()
	j.n[e]++
	f := event.Fact{Entity: e, Name: name, Data: m, By: "test"}
	ev, err := f.Event(j.n[e], noon)
	if err != nil {
		j.t.Fatal(err)
	}
	if err := j.s.Add(journal.Record{Stream: journal.Facts, Subject: f.Subject(), Event: ev}); err != nil {
		j.t.Fatal(err)
	}
}

func (j *told) order(fact, leg, circuit string, edit func(*patchbayv1.Order)) {
	j.t.Helper()
	id := event.OrderID("test", "1")
	l := &patchbayv1.OrderLeg{Leg: "primary", State: leg, Name: "one", ExchangeId: circuit}
	if circuit != "" {
		l.ConnectionId = event.ConnectionID("equinix", circuit)
	}
	if fact != "accepted" {
		l.Attempt = &patchbayv1.Attempt{Number: 1, LookupKey: "one"}
	}
	o := &patchbayv1.Order{
		Id: id, Fact: fact, Kind: "create", Source: "test", IntentId: "1", PayloadDigest: strings.Repeat("0", 64),
		Account: "acme-ecx", Exchange: "equinix", Api: "ecx", Checked: true, Legs: []*patchbayv1.OrderLeg{l},
		IntentSequence: 1, AcceptedAt: timestamppb.New(noon), At: timestamppb.New(noon),
		Create: &patchbayv1.CreateIntent{Name: "one", Primary: &patchbayv1.Leg{
			ASide: &patchbayv1.Endpoint{PortId: "p", Tag: &patchbayv1.Tag{Vlan: proto.Int32(7)}},
			ZSide: &patchbayv1.Endpoint{ServiceToken: "hmac"},
		}},
	}
	if fact == "placing" || fact == "placed" {
		o.Leg = "primary"
	}
	if fact == "completed" {
		o.Outcome = "completed"
	} else {
		o.Wait = &patchbayv1.Wait{What: "something", On: "test"}
	}
	edit(o)
	j.add(event.Entity{Noun: event.Order, ID: o.GetId()}, fact, o)
}

func (j *told) step(from, to string) {
	j.t.Helper()
	id := event.ConnectionID("equinix", "x-1")
	t := &patchbayv1.Transition{
		Connection: &patchbayv1.Connection{Id: id, ExchangeId: "x-1", Api: "ecx"}, From: stateOf(from), To: stateOf(to), First: from == "",
	}
	j.add(event.Entity{Noun: event.Connection, ID: id}, strings.ToLower(strings.ReplaceAll(to, "/", ".")), t)
}

func stateOf(words string) *patchbayv1.State {
	status, provider, ok := strings.Cut(words, "/")
	if !ok {
		return nil
	}
	return &patchbayv1.State{Status: status, ProviderStatus: provider}
}

const (
	pending     = "PENDING_APPROVAL/NOT_AVAILABLE"
	provisioned = "PROVISIONED/AVAILABLE"
)

// circuit is what the exchange's books say of the one circuit.
func circuit() sandbox.Connection {
	return sandbox.Connection{
		ID: "x-1", Name: "one", Buyer: "Acme", Status: "PROVISIONED", ProviderStatus: "AVAILABLE",
		History: []sandbox.Step{
			{Status: "PENDING_APPROVAL", ProviderStatus: "NOT_AVAILABLE"},
			{Status: "PROVISIONED", ProviderStatus: "AVAILABLE"},
		},
	}
}

func asIs(*patchbayv1.Order) {}

// life tells the whole life of the one order.
func (j *told) life() {
	j.t.Helper()
	j.order("accepted", "open", "", asIs)
	j.order("placing", "placing", "", asIs)
	j.order("placed", "placed", "x-1", asIs)
	j.step("", pending)
	j.step(pending, provisioned)
	j.order("completed", "completed", "x-1", asIs)
}

// Each break of an invariant is found, and a sound story has none.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		tell func(j *told, books *[]sandbox.Connection)
		want string
	}{
		{"sound", func(j *told, _ *[]sandbox.Connection) { j.life() }, ""},
		{"a circuit of nobody", func(j *told, b *[]sandbox.Connection) {
			j.life()
			other := circuit()
			other.ID = "x-2"
			*b = append(*b, other)
		}, "1: circuit x-2"},
		{"a circuit that is not there", func(j *told, b *[]sandbox.Connection) {
			j.life()
			*b = nil
		}, "1: circuit x-1"},
		{"orphans", func(j *told, _ *[]sandbox.Connection) {
			j.order("accepted", "open", "", func(o *patchbayv1.Order) { o.Orphans = []string{"x-9"} })
		}, "left orphans"},
		{"waits for nothing", func(j *told, _ *[]sandbox.Connection) {
			j.order("accepted", "open", "", func(o *patchbayv1.Order) { o.Wait = nil })
		}, "2: order"},
		{"a step that is not allowed", func(j *told, _ *[]sandbox.Connection) {
			j.order("accepted", "open", "", asIs)
			j.order("completed", "completed", "x-1", asIs)
		}, "2: order"},
		{"a gap in the numbers", func(j *told, _ *[]sandbox.Connection) {
			j.n[event.Entity{Noun: event.Order, ID: event.OrderID("test", "1")}] = 1
			j.life()
		}, "3: fact 1 of"},
		{"a path with a gap", func(j *told, _ *[]sandbox.Connection) {
			j.life()
			j.step("PROVISIONING/NOT_AVAILABLE", provisioned)
		}, "though it was at"},
		{"a step that never was", func(j *told, _ *[]sandbox.Connection) {
			j.life()
			j.step(provisioned, "DEPROVISIONED/NOT_AVAILABLE")
		}, "never went to"},
		{"never announced", func(j *told, _ *[]sandbox.Connection) { j.order("accepted", "open", "", asIs) }, "never announced"},
		{"another end", func(j *told, b *[]sandbox.Connection) {
			j.life()
			(*b)[0].Status = "DEPROVISIONING"
		}, "4: one is"},
		{"a tag given twice", func(j *told, _ *[]sandbox.Connection) {
			j.life()
			j.add(event.Entity{Noun: event.Hold, ID: event.HoldID("tag", "k")}, "taken", &patchbayv1.Hold{
				Kind: "tag", Key: "k", Owners: []*patchbayv1.Owner{{Id: "a"}, {Id: "b"}},
			})
		}, "5: k has owners"},
		{"a tag asked for twice", func(j *told, _ *[]sandbox.Connection) {
			j.life()
			j.order("placing", "placing", "", func(o *patchbayv1.Order) { o.Id = "another" })
		}, "asks for equinix/p/7"},
		{"a token asked for twice", func(j *told, _ *[]sandbox.Connection) {
			j.life()
			j.order("placing", "placing", "", func(o *patchbayv1.Order) {
				o.Id, o.Create.Primary.ASide.PortId = "another", "q"
			})
		}, "asks for token hmac"},
		{"circuits by one token", func(j *told, b *[]sandbox.Connection) {
			j.life()
			other := circuit()
			(*b)[0].ZToken, other.ZToken, other.ID = "t", "t", "x-2"
			*b = append(*b, other)
		}, "made with one service token"},
		{"a turn that is not given back", func(j *told, _ *[]sandbox.Connection) {
			j.life()
			j.add(event.Entity{Noun: event.Hold, ID: event.HoldID("lookalike", "k")}, "taken", &patchbayv1.Hold{
				Kind: "lookalike", Key: "k", Owners: []*patchbayv1.Owner{{Id: event.OrderID("test", "1"), Noun: "order", Leg: "primary"}},
			})
		}, "still held by order"},
		{"a tag held for nothing", func(j *told, _ *[]sandbox.Connection) {
			j.life()
			j.add(event.Entity{Noun: event.Hold, ID: event.HoldID("tag", "k")}, "taken", &patchbayv1.Hold{
				Kind: "tag", Key: "k", Owners: []*patchbayv1.Owner{{Id: "gone", Noun: "order", Leg: "primary"}},
			})
		}, "still held by order gone"},
		{"a secret", func(j *told, _ *[]sandbox.Connection) {
			j.order("accepted", "open", "", func(o *patchbayv1.Order) { o.Create.PurchaseOrder = "canary" })
		}, "7: a secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := &told{t, invariants.NewStory("canary"), map[event.Entity]uint64{}}
			books := []sandbox.Connection{circuit()}
			tt.tell(j, &books)
			found := j.s.Check(sandbox.Inventory{Connections: books}, "Acme")
			switch all := strings.Join(found, "\n"); {
			case tt.want == "" && len(found) > 0:
				t.Errorf("found in a sound story:\n%s", all)
			case !strings.Contains(all, tt.want):
				t.Errorf("found\n%s\nwant %q", all, tt.want)
			}
			if again := fmt.Sprint(j.s.Check(sandbox.Inventory{Connections: books}, "Acme")); again != fmt.Sprint(found) {
				t.Errorf("found %s the second time, want %s again", again, found)
			}
		})
	}
}

// Of requests that look alike one is on its way at a time, until it is known by its id.
func TestLookalikes(t *testing.T) {
	ask := func(id string) func(*patchbayv1.Order) {
		return func(o *patchbayv1.Order) {
			o.Id, o.Exchange, o.Api = id, "packetfabric", "packetfabric"
			o.Create.BandwidthMbps = proto.Int32(50)
			o.Create.Primary.ASide.PortId = id
			o.Create.Primary.ZSide = &patchbayv1.Endpoint{RoutingId: "R", Market: "NYC"}
		}
	}
	for _, tt := range []struct {
		state, circuit string
		alone          bool
	}{{"placing", "", false}, {"uncertain", "", false}, {"placed", "x-1", true}} {
		j := &told{t, invariants.NewStory(), map[event.Entity]uint64{}}
		j.order("accepted", "open", "", ask("one"))
		j.order("placing", "placing", "", ask("one"))
		if tt.state != "placing" {
			j.order(tt.state, tt.state, tt.circuit, func(o *patchbayv1.Order) {
				ask("one")(o)
				o.Leg = "primary"
			})
		}
		j.order("accepted", "open", "", ask("two"))
		j.order("placing", "placing", "", ask("two"))
		all := strings.Join(j.s.Check(sandbox.Inventory{}, "Acme"), "\n")
		if got := !strings.Contains(all, "asks for a request to R"); got != tt.alone {
			t.Errorf("after %s: alone %v, want %v; found\n%s", tt.state, got, tt.alone, all)
		}
	}
}

// A step is held against the exchange's history in the words of the API that saw it.
func TestWords(t *testing.T) {
	one := circuit()
	one.Profile = "p"
	one.History = []sandbox.Step{{Status: "PROVISIONING", ProviderStatus: "NOT_AVAILABLE"}, {Status: "DEPROVISIONED", ProviderStatus: "NOT_AVAILABLE"}}
	two := sandbox.PFCircuit{ID: "r-1", CircuitID: "PF-1", Status: "provisioned", State: "Deleting", History: []sandbox.Step{
		{Status: "pending"}, {Status: "Pending"}, {Status: "Active"}, {Status: "Deleting"},
	}}
	all := invariants.Circuits(sandbox.Inventory{
		Connections: []sandbox.Connection{one}, PacketFabric: sandbox.PacketFabric{Circuits: []sandbox.PFCircuit{two}},
	})
	for _, tt := range []struct {
		circuit   invariants.Circuit
		api, want string
	}{
		{all[0], "ecx", "[PROVISIONING/NOT_AVAILABLE DEPROVISIONED/NOT_AVAILABLE] PROVISIONED/AVAILABLE"},
		{all[0], "fabric", "[PROVISIONING/PROVISIONING DEPROVISIONED/DEPROVISIONED] PROVISIONED/AVAILABLE"},
		{all[1], "packetfabric", "[PENDING_APPROVAL/NOT_AVAILABLE PROVISIONING/NOT_AVAILABLE PROVISIONED/AVAILABLE " +
			"DEPROVISIONING/AVAILABLE] DEPROVISIONING/AVAILABLE"},
	} {
		if got := fmt.Sprint(tt.circuit.Path(tt.api), " ", tt.circuit.State(tt.api)); got != tt.want {
			t.Errorf("by %s: %s, want %s", tt.api, got, tt.want)
		}
	}
	if all[0].Moving || !all[1].Moving {
		t.Errorf("moving: %v, %v; want the second only", all[0].Moving, all[1].Moving)
	}
}
