package provisioner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/provisioner"
)

// teller is a fake that says which tags of its ports are in use, and has ports of its own.
type teller struct {
	*fake
	ports []exchange.Port
	inUse map[string][]*patchbayv1.Tag
	err   error
	asked int
	// profiles is what profiles ask of ports.
	profiles map[string]string
	// accepted are the acceptances as they came.
	accepted []exchange.Acceptance
}

func (f *teller) Ports(context.Context) ([]exchange.Port, error) { return f.ports, nil }

func (f *teller) InUse(_ context.Context, port string) ([]*patchbayv1.Tag, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return f.inUse[port], f.err
}

func (f *teller) Accept(ctx context.Context, a exchange.Acceptance) exchange.Outcome {
	f.accepted = append(f.accepted, a)
	return f.fake.Accept(ctx, a)
}

// LandsOn is what a profile asks of ports.
func (f *teller) LandsOn(_ context.Context, profile string) (string, error) {
	return f.profiles[profile], f.err
}

// sells makes the bench's account one at an API with landing rules, and its exchange one
// that tells.
func (b *bench) sells(api account.API, rules []account.Landing, ports ...exchange.Port) *teller {
	b.t.Helper()
	f := &teller{fake: b.fake, ports: ports, inUse: map[string][]*patchbayv1.Tag{}}
	b.rt.Accounts.Accounts[0].API, b.rt.Accounts.Accounts[0].Landing = api, rules
	b.rt.Clients = map[string]exchange.Client{"cloud": f}
	b.p = provisioner.New(b.rt)
	return f
}

func tagsOf(t *testing.T, text string) account.Tags {
	t.Helper()
	tags, err := account.ParseTags(text)
	if err != nil {
		t.Fatal(err)
	}
	return tags
}

func tag(vlan, s, c int32) *patchbayv1.Tag {
	t := new(patchbayv1.Tag)
	for _, n := range []struct {
		value int32
		at    **int32
	}{{vlan, &t.Vlan}, {s, &t.STag}, {c, &t.CTag}} {
		if n.value != 0 {
			*n.at = proto.Int32(n.value)
		}
	}
	return t
}

// The same approval lands the same way at every exchange: by metro or market, with the
// tags of the port's encapsulation, on the lowest one that nobody has.
func TestLandsAtEveryExchange(t *testing.T) {
	equinix := func(encapsulation account.Encapsulation) []account.Landing {
		return []account.Landing{{Metro: "SV", Ports: []string{"p-1"}, Encapsulation: encapsulation, Tags: tagsOf(t, "555-560")}}
	}
	market := func(encapsulation account.Encapsulation) []account.Landing {
		l := account.Landing{Market: "SV", Ports: []string{"PF-AP-1"}, Encapsulation: encapsulation}
		if encapsulation != account.Untagged {
			l.Tags = tagsOf(t, "4-9")
		}
		return []account.Landing{l}
	}
	port := func(id, encapsulation string) exchange.Port {
		return exchange.Port{ID: id, Metro: "SV", Encapsulation: encapsulation}
	}
	for _, tt := range []struct {
		name   string
		api    account.API
		rules  []account.Landing
		port   exchange.Port
		inner  int32
		aSide  *patchbayv1.Side
		used   []*patchbayv1.Tag
		want   *patchbayv1.Tag
		reason string
	}{
		{"v3", account.ECX, equinix(account.Dot1q), port("p-1", "dot1q"), 0, nil, nil, tag(555, 0, 0), "primaryVlanSTag 555 on primaryPortUUID"},
		{"v4", account.Fabric, equinix(account.Dot1q), port("p-1", "dot1q"), 0, nil, nil, tag(555, 0, 0), "the same port and tag as by v3"},
		{"v3 QinQ", account.ECX, equinix(account.QinQ), port("p-1", "qinq"), 1001, nil, nil, tag(0, 555, 1001), "the inner tag is the buyer's"},
		{"v4 QinQ", account.Fabric, equinix(account.QinQ), port("p-1", "qinq"), 0, &patchbayv1.Side{Encapsulation: "dot1q", Tag: tag(1001, 0, 0)},
			nil, tag(0, 555, 1001), "nobody may name it to a profile; the sample gives the buyer's VLAN"},
		{"v4 QinQ, VLAN not shown", account.Fabric, equinix(account.QinQ), port("p-1", "qinq"), 0, &patchbayv1.Side{Encapsulation: "dot1q"},
			nil, tag(0, 555, 555), "the outer tag is ours alone"},
		{"v4 QinQ to QinQ", account.Fabric, equinix(account.QinQ), port("p-1", "qinq"), 0, &patchbayv1.Side{Encapsulation: "qinq", Tag: tag(0, 7, 0)},
			nil, tag(0, 555, 0), "outer tags only"},
		{"in use", account.Fabric, equinix(account.Dot1q), port("p-1", "dot1q"), 0, nil,
			[]*patchbayv1.Tag{tag(555, 0, 0), tag(556, 0, 0), tag(558, 0, 0)}, tag(557, 0, 0), "circuits of others and tokens have the lower ones"},
		{"in use, QinQ", account.Fabric, equinix(account.QinQ), port("p-1", "qinq"), 0, nil,
			[]*patchbayv1.Tag{tag(0, 555, 7), tag(0, 556, 0)}, tag(0, 557, 0), "an outer tag that somebody shares is not ours either"},
		{"market", account.PacketFabric, market(account.Dot1q), port("PF-AP-1", "dot1q"), 0, nil, []*patchbayv1.Tag{tag(4, 0, 0)}, tag(5, 0, 0), "interface.vlan"},
		{"ENNI", account.PacketFabric, market(account.QinQ), port("PF-AP-1", "qinq"), 0, nil, nil, tag(0, 4, 0), "interface.svlan"},
		{"untagged", account.PacketFabric, market(account.Untagged), port("PF-AP-1", "dot1q"), 0, nil, nil, &patchbayv1.Tag{Untagged: true},
			"beside tagged circuits"},
		{"untagged at Fabric", account.Fabric, equinix(account.Untagged), port("p-1", "untagged"), 0, nil, nil, &patchbayv1.Tag{Untagged: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, testenv.Journal(t))
			f := b.sells(tt.api, tt.rules, tt.port)
			f.inUse[tt.port.ID] = tt.used
			c := circuit("x-1", "PENDING_APPROVAL")
			c.Api, c.ZSide.Encapsulation = string(tt.api), ""
			c.ASide = tt.aSide
			if tt.inner != 0 {
				c.ZSide.Tag = tag(0, 0, tt.inner)
			}
			r := b.approve(c)
			b.handle(r)
			b.handle(r)
			b.wantFacts("x-1", "reserved accepting accepted", "written down, held, accepted once")
			if len(f.accepted) != 1 {
				t.Fatalf("%d acceptances, want one", len(f.accepted))
			}
			if a := f.accepted[0]; a.PortID != tt.port.ID || a.ExchangeID != "x-1" || a.Kind != "create" || !proto.Equal(a.Tag, tt.want) {
				t.Errorf("accepted %+v on %v, want %v on %s: %s", a, a.Tag, tt.want, tt.port.ID, tt.reason)
			}
		})
	}
}

// A request that does not allow a landing without a tag lands by the next rule.
func TestUntaggedNotAllowed(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	f := b.sells(account.PacketFabric, []account.Landing{
		{Market: "SV", Ports: []string{"PF-AP-1"}, Encapsulation: account.Untagged},
		{Market: "SV", Ports: []string{"PF-AP-1"}, Encapsulation: account.Dot1q, Tags: tagsOf(t, "100")},
	}, exchange.Port{ID: "PF-AP-1", Metro: "SV", Encapsulation: "dot1q"})
	b.fake.script = func(call int) (bool, exchange.Outcome) {
		if call == 1 {
			return false, exchange.Outcome{Class: exchange.Refused, Property: "interface.untagged"}
		}
		return true, exchange.Outcome{}
	}
	c := circuit("x-1", "PENDING_APPROVAL")
	c.ZSide.Encapsulation = ""
	b.handle(b.approve(c))
	b.wantFacts("x-1", "reserved accepting reserved accepting accepted", "the next place")
	if l := b.landing("x-1"); l.GetTag().GetVlan() != 100 || b.owner("PF-AP-1", 0) != "" || len(f.accepted) != 2 {
		t.Errorf("landing = %v after %d calls, want 100, and nobody without a tag", l, len(f.accepted))
	}
}

// One untagged circuit has the port to itself, as far as untagged ones go.
func TestOneUntaggedCircuitAPort(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	b.sells(account.PacketFabric, []account.Landing{{Market: "SV", Ports: []string{"PF-AP-1", "PF-AP-2"}, Encapsulation: account.Untagged}},
		exchange.Port{ID: "PF-AP-1", Metro: "SV", Encapsulation: "dot1q"}, exchange.Port{ID: "PF-AP-2", Metro: "SV", Encapsulation: "dot1q"})
	for _, tt := range []struct{ id, port, fact string }{{"x-1", "PF-AP-1", "accepted"}, {"x-2", "PF-AP-2", "accepted"}, {"x-3", "", "failed"}} {
		c := circuit(tt.id, "PENDING_APPROVAL")
		c.ZSide.Encapsulation = ""
		b.handle(b.approve(c))
		if l := b.landing(tt.id); l.GetPortId() != tt.port || l.GetFact() != tt.fact {
			t.Errorf("%s: %s on %q, want %s on %q", tt.id, l.GetFact(), l.GetPortId(), tt.fact, tt.port)
		}
	}
}

// The profile tells on what kind of port a request lands that does not show it.
func TestProfileTellsThePort(t *testing.T) {
	for profile, want := range map[string]string{"qinq": "q-1", "dot1q": "d-1", "": "d-1", "CARRIER PIGEON": "d-1"} {
		b := newBench(t, testenv.Journal(t))
		f := b.sells(account.Fabric, []account.Landing{
			{Metro: "SV", Ports: []string{"d-1"}, Encapsulation: account.Dot1q, Tags: tagsOf(t, "100")},
			{Metro: "SV", Ports: []string{"q-1"}, Encapsulation: account.QinQ, Tags: tagsOf(t, "100")},
		}, exchange.Port{ID: "d-1", Metro: "SV", Encapsulation: "dot1q"}, exchange.Port{ID: "q-1", Metro: "SV", Encapsulation: "qinq"})
		f.profiles = map[string]string{"p-1": profile}
		c := circuit("x-1", "PENDING_APPROVAL")
		c.ZSide.Encapsulation = ""
		b.handle(b.approve(c))
		if l := b.landing("x-1"); l.GetPortId() != want || l.GetFact() != "accepted" {
			t.Errorf("a profile for %q: %s on %s, want it on %s", profile, l.GetFact(), l.GetPortId(), want)
		}
	}
}

// What the exchange says of a port's tags is asked for once for many approvals, and anew
// when a tag turns out to be taken.
func TestTagsInUseAreRemembered(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	f := b.sells(account.Fabric, []account.Landing{{Metro: "SV", Ports: []string{"p-1"}, Encapsulation: account.Dot1q, Tags: tagsOf(t, "100-299")}},
		exchange.Port{ID: "p-1", Metro: "SV", Encapsulation: "dot1q"})
	for n := range 10 {
		b.handle(b.approve(circuit(fmt.Sprintf("x-%d", n), "PENDING_APPROVAL")))
	}
	if f.asked != 1 {
		t.Errorf("asked %d times for 10 approvals, want once", f.asked)
	}
	b.fake.mu.Lock()
	for n := int32(110); n < 120; n++ { // somebody else takes tags behind our back
		b.fake.used[fmt.Sprintf("p-1/%d", n)] = "stranger"
		f.inUse["p-1"] = append(f.inUse["p-1"], tag(n, 0, 0))
	}
	b.fake.mu.Unlock()
	b.handle(b.approve(circuit("x-10", "PENDING_APPROVAL")))
	if l := b.landing("x-10"); l.GetTag().GetVlan() != 120 || f.asked != 2 || !slices.Equal(l.GetTaken(), []string{"p-1/110"}) {
		t.Errorf("landing = %v after %d questions; want 120 after the second", l, f.asked)
	}
}

// Not to know which tags are in use holds nothing up, unless we are to stay away.
func TestTagsInUseUnknown(t *testing.T) {
	for _, tt := range []struct {
		name, facts string
		err         error
	}{
		{"broken", "reserved accepting accepted", errors.New("502")},
		{"throttled", "", exchange.Throttled{After: time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, testenv.Journal(t))
			f := b.sells(account.Fabric, []account.Landing{{Metro: "SV", Ports: []string{"p-1"}, Encapsulation: account.Dot1q, Tags: tagsOf(t, "100")}},
				exchange.Port{ID: "p-1", Metro: "SV", Encapsulation: "dot1q"})
			f.err = tt.err
			r := b.approve(circuit("x-1", "PENDING_APPROVAL"))
			err := b.p.Handle(t.Context(), r)
			if throttled := errors.As(err, new(exchange.Throttled)); throttled != (tt.facts == "") {
				t.Errorf("Handle: %v", err)
			}
			b.wantFacts("x-1", tt.facts, "the exchange refuses what is taken anyway")
			f.err = nil
			b.handle(r)
			b.wantFacts("x-1", "reserved accepting accepted", "it goes on")
		})
	}
}

// PacketFabric never asks for consent to a deletion; what ends there gives its tag back.
func TestReleasedAtTheEnd(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	b.sells(account.PacketFabric, []account.Landing{{Market: "SV", Ports: []string{"PF-AP-1"}, Encapsulation: account.Dot1q, Tags: tagsOf(t, "100")}},
		exchange.Port{ID: "PF-AP-1", Metro: "SV", Encapsulation: "dot1q"})
	c := circuit("x-1", "PENDING_APPROVAL")
	b.handle(b.approve(c))
	if b.owner("PF-AP-1", 100) != event.ConnectionID("equinix", "x-1") {
		t.Fatal("the tag is not held")
	}
	c = proto.CloneOf(c)
	c.Status = "DEPROVISIONED"
	b.handle(b.announce(c))
	if got := b.owner("PF-AP-1", 100); got != "" {
		t.Errorf("the tag is held by %s after the circuit has ended", got)
	}
}
