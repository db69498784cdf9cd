package provisioner_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/archive"
	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/provisioner"
)

func TestMain(m *testing.M) {
	embedded.KeepTime()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// fake is a seller's account at an exchange that gives a tag to one circuit. Script says
// what becomes of each Accept: whether it is carried out, and what is answered; an answer
// without a class means the honest one.
type fake struct {
	exchange.Client
	script func(call int) (done bool, out exchange.Outcome)

	mu       sync.Mutex
	circuits map[string]*patchbayv1.Connection
	used     map[string]string // circuit by "port/tag"
	accepts  []string
}

func (f *fake) Ports(context.Context) ([]exchange.Port, error) {
	return []exchange.Port{
		{ID: "d1", Metro: "SV", Encapsulation: "dot1q"}, {ID: "d2", Metro: "SV", Encapsulation: "dot1q"},
		{ID: "q1", Metro: "SV", Encapsulation: "qinq"},
	}, nil
}

func (f *fake) Get(_ context.Context, id string) (*patchbayv1.Connection, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.circuits[id] == nil {
		return nil, exchange.ErrGone
	}
	return proto.CloneOf(f.circuits[id]), nil
}

func (f *fake) Accept(_ context.Context, a exchange.Acceptance) exchange.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	outer, _ := hold.OuterInner(a.Tag)
	spot := fmt.Sprintf("%s/%d", a.PortID, outer)
	f.accepts = append(f.accepts, a.Kind+" "+a.ExchangeID+" "+spot)
	done, out := true, exchange.Outcome{}
	if f.script != nil {
		done, out = f.script(len(f.accepts))
	}
	if !done {
		return out
	}
	if honest := f.carryOut(a, spot); out.Class == "" {
		return honest
	}
	return out
}

func (f *fake) carryOut(a exchange.Acceptance, spot string) exchange.Outcome {
	c := f.circuits[a.ExchangeID]
	switch {
	case approval.Kind(c) != a.Kind:
		return exchange.Outcome{Class: exchange.Refused, Code: "IC-NOT-PENDING"}
	case a.Kind == exchange.Delete:
		c.Status = "DEPROVISIONING"
	case a.Kind == exchange.Change:
		c.PendingBandwidthMbps = 0
	case f.used[spot] != "":
		return exchange.Outcome{Class: exchange.Taken, Code: "IC-TAKEN"}
	default:
		f.used[spot] = a.ExchangeID
		c.Status = "PROVISIONING"
		c.ZSide.PortId, c.ZSide.Tag = a.PortID, a.Tag
	}
	return exchange.Outcome{Class: exchange.Done}
}

func (f *fake) calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.accepts)
}

// bench is a provisioner with a journal and a fake exchange.
type bench struct {
	t    *testing.T
	j    *journal.Journal
	fake *fake
	p    *provisioner.Provisioner
	rt   service.Runtime
}

func newBench(t *testing.T, j *journal.Journal) *bench {
	t.Helper()
	tags, err := account.ParseTags("100-299")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{circuits: map[string]*patchbayv1.Connection{}, used: map[string]string{}}
	rt := service.Runtime{
		Journal: j,
		Accounts: account.File{Accounts: []account.Account{{
			Name: "cloud", Role: account.Seller, API: account.ECX, Attempt: 10 * time.Second,
			Landing: []account.Landing{
				{Metro: "SV", Ports: []string{"d1", "d2"}, Encapsulation: account.Dot1q, Tags: tags},
				{Metro: "SV", Ports: []string{"q1"}, Encapsulation: account.QinQ, Tags: tags},
			},
		}}},
		Clients: map[string]exchange.Client{"cloud": f},
	}
	return &bench{t, j, f, provisioner.New(rt), rt}
}

// on is the bench with another journal, as another process has it.
func (b *bench) on(j *journal.Journal) *provisioner.Provisioner {
	rt := b.rt
	rt.Journal = j
	return provisioner.New(rt)
}

func circuit(id, status string) *patchbayv1.Connection {
	return &patchbayv1.Connection{
		Id: event.ConnectionID("equinix", id), Exchange: "equinix", Api: "ecx", ExchangeId: id, Name: "John", BandwidthMbps: 50,
		Status: status, ProviderStatus: "NOT_AVAILABLE", SellerAccount: "cloud", OrderId: "order-1",
		ZSide: &patchbayv1.Side{Metro: "SV", ProfileId: "p-1", Encapsulation: "dot1q"},
	}
}

func (b *bench) append(e event.Entity, fact string, data proto.Message) journal.Record {
	b.t.Helper()
	_, err := b.j.Append(b.t.Context(), b.last(e), event.Fact{Entity: e, Name: fact, Data: data, By: "test", Exchange: "equinix"})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.last(e)
}

func (b *bench) last(e event.Entity) journal.Record {
	b.t.Helper()
	r, err := b.j.Last(b.t.Context(), e)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// announce makes c the exchange's circuit and tells the journal as the watcher would.
func (b *bench) announce(c *patchbayv1.Connection) journal.Record {
	b.t.Helper()
	b.fake.mu.Lock()
	b.fake.circuits[c.GetExchangeId()] = proto.CloneOf(c)
	if c.GetStatus() == "DEPROVISIONED" {
		maps.DeleteFunc(b.fake.used, func(_, id string) bool { return id == c.GetExchangeId() })
	}
	b.fake.mu.Unlock()
	return b.append(event.Entity{Noun: event.Connection, ID: c.GetId()},
		event.Slug(c.GetStatus())+"."+event.Slug(c.GetProviderStatus()), &patchbayv1.Transition{Connection: c})
}

// approve announces c and approves what it asks for.
func (b *bench) approve(c *patchbayv1.Connection) journal.Record {
	b.t.Helper()
	b.announce(c)
	kind := approval.Kind(c)
	return b.append(event.Entity{Noun: event.Approval, ID: c.GetId()}, approval.Approved, &patchbayv1.Approval{
		ConnectionId: c.GetId(), Fact: approval.Approved, Kind: kind, Account: "cloud", Connection: c,
		Digest: approval.Digest(c, kind), By: "ann",
	})
}

func (b *bench) handle(r journal.Record) {
	b.t.Helper()
	if err := b.p.Handle(b.t.Context(), r); err != nil {
		b.t.Fatalf("handle %s: %v", r.Subject, err)
	}
}

func entity(id string) event.Entity {
	return event.Entity{Noun: event.Landing, ID: event.ConnectionID("equinix", id)}
}

func (b *bench) landing(id string) *patchbayv1.Landing {
	b.t.Helper()
	l := new(patchbayv1.Landing)
	if r := b.last(entity(id)); !r.None() {
		if err := r.Into(l); err != nil {
			b.t.Fatal(err)
		}
	}
	return l
}

func (b *bench) wantFacts(id, want, why string) {
	b.t.Helper()
	var names []string
	err := b.j.History(b.t.Context(), []string{entity(id).Filter()}, func(r journal.Record) error {
		names = append(names, strings.Split(r.Subject, ".")[2])
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if got := strings.Join(names, " "); got != want {
		b.t.Fatalf("facts = %q, want %q: %s", got, want, why)
	}
}

// owner is who holds a tag on a port; empty if nobody does.
func (b *bench) owner(port string, outer int32) string {
	b.t.Helper()
	r := b.last(event.Entity{Noun: event.Hold, ID: event.HoldID(hold.Tag, hold.TagKey("equinix", port, outer))})
	h := new(patchbayv1.Hold)
	if !r.None() {
		if err := r.Into(h); err != nil {
			b.t.Fatal(err)
		}
	}
	if len(h.GetOwners()) == 0 {
		return ""
	}
	return h.GetOwners()[0].GetId()
}

func TestLands(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	r := b.approve(circuit("x-1", "PENDING_APPROVAL"))
	b.handle(r)
	b.wantFacts("x-1", "reserved accepting accepted", "each step is written down")
	l := b.landing("x-1")
	if l.GetPortId() != "d1" || l.GetTag().GetVlan() != 100 || b.owner("d1", 100) != l.GetConnectionId() {
		t.Errorf("landing = %v held by %q, want d1/100, held by the connection", l, b.owner("d1", 100))
	}
	rec := b.last(entity("x-1"))
	if event.Ext(rec.Event, event.ExtCausationID) != r.Event.ID() || event.Ext(rec.Event, event.ExtCorrelationID) != "order-1" {
		t.Errorf("extensions = %v, want the approval as cause, and the order", rec.Event.Extensions())
	}
	b.handle(r)
	b.handle(b.announce(circuit("x-1", "PROVISIONED")))
	b.wantFacts("x-1", "reserved accepting accepted", "a redelivery and a transition find all done")
	if got := b.fake.calls(); len(got) != 1 {
		t.Errorf("calls = %q, want one", got)
	}

	b.handle(b.approve(circuit("x-1", "PENDING_DELETE")))
	b.wantFacts("x-1", "reserved accepting accepted accepting accepted", "consent to the delete")
	if b.owner("d1", 100) == "" {
		t.Error("the tag is free before the circuit has ended")
	}
	end := b.announce(circuit("x-1", "DEPROVISIONED"))
	b.handle(end)
	b.handle(end)
	b.wantFacts("x-1", "reserved accepting accepted accepting accepted released", "the end")
	if o := b.owner("d1", 100); o != "" {
		t.Errorf("the tag is held by %s after the end", o)
	}
	b.handle(b.approve(circuit("x-2", "PENDING_APPROVAL")))
	if l := b.landing("x-2"); l.GetTag().GetVlan() != 100 {
		t.Errorf("landing = %v, want the tag that is free again", l)
	}
}

func TestConsent(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	b.handle(b.approve(circuit("x-1", "PENDING_DELETE")))
	b.wantFacts("x-1", "accepting accepted", "a circuit that landed before us")
	if l := b.landing("x-1"); l.GetKind() != "delete" || l.GetHoldId() != "" {
		t.Errorf("landing = %v, want consent to a delete, without a hold", l)
	}
	b.handle(b.announce(circuit("x-1", "DEPROVISIONED")))
	b.wantFacts("x-1", "accepting accepted released", "nothing to free is no trouble")

	c := circuit("x-2", "PROVISIONED")
	c.PendingBandwidthMbps = 500
	b.handle(b.approve(c))
	b.wantFacts("x-2", "accepting accepted", "consent to a change")
	if got := b.fake.calls(); !slices.Equal(got, []string{"delete x-1 /0", "change x-2 /0"}) {
		t.Errorf("calls = %q, want one for each, without a port", got)
	}
}

func TestAnswers(t *testing.T) {
	say := func(done bool, class exchange.Class) func(int) (bool, exchange.Outcome) {
		return func(call int) (bool, exchange.Outcome) {
			if call == 1 {
				return done, exchange.Outcome{Class: class, Code: "IC-1", Message: "no"}
			}
			return true, exchange.Outcome{}
		}
	}
	tests := []struct {
		name   string
		script func(int) (bool, exchange.Outcome)
		facts  string
		tag    int32
		calls  int
		reason string
	}{
		{"answer lost", say(true, exchange.Unknown), "reserved accepting accepted", 100, 1, "the look shows that it worked"},
		{"request lost", say(false, exchange.Unknown), "reserved accepting", 100, 1, "nobody knows; its timer looks again"},
		{"not sent", say(false, exchange.NotSent), "reserved accepting", 100, 1, ""},
		{"throttled", say(false, exchange.Busy), "reserved accepting", 100, 1, ""},
		{"in motion", say(false, exchange.Moving), "reserved accepting", 100, 1, ""},
		{"taken", say(false, exchange.Taken), "reserved accepting reserved accepting accepted", 101, 2, "the next tag"},
		{"refused", say(false, exchange.Refused), "reserved accepting failed", 100, 1, "a person has to see"},
		{"refused, and done", say(true, exchange.Refused), "reserved accepting accepted", 100, 1, "the look counts, not the answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, testenv.Journal(t))
			b.fake.script = tt.script
			r := b.approve(circuit("x-1", "PENDING_APPROVAL"))
			b.handle(r)
			b.handle(r)
			b.wantFacts("x-1", tt.facts, tt.reason)
			l := b.landing("x-1")
			if l.GetTag().GetVlan() != tt.tag || b.owner("d1", tt.tag) != l.GetConnectionId() {
				t.Errorf("landing = %v, want held tag %d", l, tt.tag)
			}
			if got := b.fake.calls(); len(got) != tt.calls {
				t.Errorf("calls = %q, want %d", got, tt.calls)
			}
			if tt.tag != 100 && b.owner("d1", 100) != "" {
				t.Error("the tag that the exchange gave to somebody else is still held")
			}
			if l.GetFact() == "failed" && (l.GetFailure().GetCode() != "IC-1" || l.GetWait().GetAdvice() == "") {
				t.Errorf("landing = %v, want the exchange's code, and advice", l)
			}
		})
	}
}

func TestHeldByAnother(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	theirs := hold.Want{Kind: hold.Tag, Key: hold.TagKey("equinix", "d1", 100), Owner: &patchbayv1.Owner{Id: "order-9", Noun: "order"}}
	take := func() {
		t.Helper()
		if err := (hold.Ledger{Journal: b.j, By: "requester"}).Take(t.Context(), theirs, event.Fact{}); err != nil {
			t.Fatal(err)
		}
	}
	b.handle(b.approve(circuit("x-0", "PENDING_APPROVAL"))) // loads the hint, takes 100
	theirs.Key = hold.TagKey("equinix", "d1", 101)
	take() // behind the back of the hint
	b.handle(b.approve(circuit("x-1", "PENDING_APPROVAL")))
	b.wantFacts("x-1", "reserved reserved accepting accepted", "the choice is made again")
	l := b.landing("x-1")
	if l.GetTag().GetVlan() != 102 || !slices.Equal(l.GetTaken(), []string{"d1/101"}) {
		t.Errorf("landing = %v, want 102, 101 being taken", l)
	}
	if b.owner("d1", 101) != "order-9" {
		t.Error("somebody else's hold is gone")
	}
}

// A hold whose append was on its way while the circuit ended is given back when it arrives.
func TestTakenAfterTheEnd(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	b.handle(b.approve(circuit("x-1", "PENDING_APPROVAL")))
	want := hold.Want{Kind: hold.Tag, Key: hold.TagKey("equinix", "d1", 107),
		Owner: &patchbayv1.Owner{Id: event.ConnectionID("equinix", "x-1"), Noun: "connection"}}
	take := func() {
		t.Helper()
		if err := (hold.Ledger{Journal: b.j, By: "provisioner"}).Take(t.Context(), want, event.Fact{}); err != nil {
			t.Fatal(err)
		}
		b.handle(b.last(event.Entity{Noun: event.Hold, ID: want.ID()}))
	}
	take()
	if b.owner("d1", 107) != want.Owner.GetId() {
		t.Error("a tag was given back though the circuit lives")
	}
	b.handle(b.announce(circuit("x-1", "DEPROVISIONED")))
	want.Key = hold.TagKey("equinix", "d1", 108)
	take()
	if got := b.owner("d1", 108); got != "" {
		t.Errorf("the tag is held by %s, which has ended", got)
	}
}

func TestNowhere(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	c := circuit("x-1", "PENDING_APPROVAL")
	c.ZSide.Metro = "ZZ"
	r := b.approve(c)
	b.handle(r)
	l := b.landing("x-1")
	for _, word := range []string{"ZZ", "dot1q", "cloud"} {
		if l.GetFact() != "failed" || !strings.Contains(l.GetWait().GetAdvice(), word) {
			t.Errorf("landing = %v, want failed, with advice that names %s", l, word)
		}
	}
	b.handle(r)
	b.wantFacts("x-1", "failed", "it is said once")
	if got := b.fake.calls(); len(got) != 0 {
		t.Errorf("calls = %q, want none", got)
	}
}

func TestNotApproved(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	r := b.approve(circuit("x-1", "PENDING_APPROVAL"))
	faster := circuit("x-1", "PENDING_APPROVAL")
	faster.BandwidthMbps = 10_000
	b.handle(b.announce(faster))
	b.handle(r)
	b.wantFacts("x-1", "", "what is there is not what was approved")

	r = b.approve(circuit("x-2", "PENDING_APPROVAL"))
	b.rt.Accounts = account.File{}
	if err := b.on(b.j).Handle(t.Context(), r); err != nil {
		t.Error(err)
	}
	b.wantFacts("x-2", "", "an account that is not ours")
	if got := b.fake.calls(); len(got) != 0 {
		t.Errorf("calls = %q, want none", got)
	}
}

// Somebody accepts in the portal what we have reserved a place for.
// What the buyer changes after the approval, and before anybody has told, is not accepted.
func TestChangedAtTheExchange(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	r := b.approve(circuit("x-1", "PENDING_APPROVAL"))
	b.fake.mu.Lock()
	b.fake.circuits["x-1"].BandwidthMbps = 10_000
	b.fake.mu.Unlock()
	if err := b.p.Handle(t.Context(), r); err == nil {
		t.Error("handled; want it again, once the watcher has seen the change")
	}
	if got := b.fake.calls(); len(got) != 0 {
		t.Fatalf("calls = %q, want none: 50 Mbit/s were approved", got)
	}
	c := circuit("x-1", "PENDING_APPROVAL")
	c.BandwidthMbps = 10_000
	b.announce(c)
	b.handle(r)
	if got := b.fake.calls(); len(got) != 0 {
		t.Fatalf("calls = %q, want none: it is not approved", got)
	}
	b.handle(b.approve(c))
	b.wantFacts("x-1", "reserved accepting accepted", "approved again")
}

// A crash between giving a taken tag back and the next choice does not leave a landing on
// a tag that it does not hold.
// A landing that was archived is over: late news of it changes nothing, and its tag is
// given to the next circuit.
func TestAfterArchive(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	approved := b.approve(circuit("x-1", "PENDING_APPROVAL"))
	b.handle(approved)
	tag := b.landing("x-1").GetTag().GetVlan()
	end := b.announce(circuit("x-1", "DEPROVISIONED"))
	b.handle(end)
	rep, err := archive.Run(t.Context(), b.j, filepath.Join(t.TempDir(), "a"), archive.Options{Before: b.j.Now().Add(time.Hour)})
	if err != nil || len(rep.Kept) > 0 {
		t.Fatalf("archive = %+v, %v; want circuit, approval, landing and hold put away", rep, err)
	}
	id := event.ConnectionID("equinix", "x-1")
	for _, r := range []journal.Record{
		approved, end, b.last(event.Entity{Noun: event.Connection, ID: id}), b.last(event.Entity{Noun: event.Approval, ID: id}),
	} {
		b.handle(r)
	}
	b.wantFacts("x-1", "archived", "nothing comes after the archive")
	b.handle(b.approve(circuit("x-2", "PENDING_APPROVAL")))
	if l := b.landing("x-2"); l.GetTag().GetVlan() != tag || b.owner("d1", tag) != l.GetConnectionId() || len(b.fake.calls()) != 2 {
		t.Errorf("the next landing is %v after %d acceptances, want it on tag %d, and one for each circuit", l, len(b.fake.calls()), tag)
	}
}

func TestGivenBackBeforeCrash(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	b.fake.script = func(call int) (bool, exchange.Outcome) {
		return call > 1, exchange.Outcome{Class: exchange.Unknown}
	}
	r := b.approve(circuit("x-1", "PENDING_APPROVAL"))
	b.handle(r)
	b.wantFacts("x-1", "reserved accepting", "the answer was lost")
	ledger := hold.Ledger{Journal: b.j, By: "test"}
	mine := hold.Want{Kind: hold.Tag, Key: hold.TagKey("equinix", "d1", 100),
		Owner: &patchbayv1.Owner{Id: event.ConnectionID("equinix", "x-1"), Noun: "connection"}}
	theirs := mine
	theirs.Owner = &patchbayv1.Owner{Id: "order-9", Noun: "order"}
	if err := ledger.Free(t.Context(), mine, event.Fact{}); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Take(t.Context(), theirs, event.Fact{}); err != nil {
		t.Fatal(err)
	}
	r.Stamp = r.Stamp.Add(time.Hour)
	b.handle(r)
	if l := b.landing("x-1"); l.GetTag().GetVlan() == 100 || b.owner("d1", l.GetTag().GetVlan()) != l.GetConnectionId() {
		t.Errorf("landing = %v, want it on a tag that it holds", l)
	}
}

func TestPortal(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	b.fake.script = func(int) (bool, exchange.Outcome) { return false, exchange.Outcome{Class: exchange.Unknown} }
	b.handle(b.approve(circuit("x-1", "PENDING_APPROVAL")))
	c := circuit("x-1", "PROVISIONED")
	c.ZSide.PortId, c.ZSide.Tag = "d2", &patchbayv1.Tag{Vlan: proto.Int32(250)}
	b.handle(b.announce(c))
	b.wantFacts("x-1", "reserved accepting accepted", "it is accepted, by whomever")
	l := b.landing("x-1")
	if l.GetPortId() != "d2" || b.owner("d2", 250) != l.GetConnectionId() || b.owner("d1", 100) != "" {
		t.Errorf("landing = %v, want d2/250 held, and d1/100 free", l)
	}
	b.handle(b.announce(circuit("x-1", "DEPROVISIONED")))
	if b.owner("d2", 250) != "" {
		t.Error("the tag is held after the end")
	}
}

func TestPair(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	for id, role := range map[string]string{"x-1": "primary", "x-2": "secondary"} {
		c := circuit(id, "PENDING_APPROVAL")
		c.Redundancy, c.RedundancyGroup = role, "g-1"
		b.handle(b.approve(c))
	}
	if one, two := b.landing("x-1").GetPortId(), b.landing("x-2").GetPortId(); one != "d1" || two != "d2" {
		t.Errorf("pair lands on %s and %s, want d1 and d2", one, two)
	}
}

// A crash at any point between effects is repaired by redelivery and timers; the tag is
// held once, and the circuit lands on it.
func TestCrash(t *testing.T) {
	n := testenv.StartNATS(t)
	for at, crashed := 1, true; crashed; at++ {
		b := newBench(t, n.Open(t, journal.Config{}))
		id := fmt.Sprintf("x-%d", at)
		r := b.approve(circuit(id, "PENDING_APPROVAL"))
		ctx, crash := context.WithCancel(t.Context())
		seen := 0
		dying := n.Open(t, journal.Config{Probe: func(string) {
			if seen++; seen == at {
				crash()
			}
		}})
		_ = b.on(dying).Handle(ctx, r) // it crashes; what it returned nobody hears
		crash()
		if crashed = seen >= at; !crashed && at <= 8 {
			t.Errorf("%d points, want before and after four appends", seen)
		}

		b.handle(r)
		late := r
		late.Stamp = time.Now().Add(time.Minute) // whoever crashed had his time
		b.handle(late)
		l := b.landing(id)
		if l.GetFact() != "accepted" || b.owner(l.GetPortId(), l.GetTag().GetVlan()) != l.GetConnectionId() {
			t.Errorf("crash at %d: landing %v, want accepted and held", at, l)
		}
		if got := b.fake.calls(); len(got) != 1 {
			t.Errorf("crash at %d: calls = %q, want one", at, got)
		}
	}
}

// Two processes that know nothing of each other take one tag each.
func TestTwoProcesses(t *testing.T) {
	n := testenv.StartNATS(t)
	b := newBench(t, n.Open(t, journal.Config{}))
	other := b.on(n.Open(t, journal.Config{}))
	for id, p := range map[string]*provisioner.Provisioner{"x-0": b.p, "x-1": other} { // both load their hints
		if err := p.Handle(t.Context(), b.approve(circuit(id, "PENDING_APPROVAL"))); err != nil {
			t.Fatal(err)
		}
	}
	one, two := b.approve(circuit("x-2", "PENDING_APPROVAL")), b.approve(circuit("x-3", "PENDING_APPROVAL"))
	var wg sync.WaitGroup
	for p, r := range map[*provisioner.Provisioner]journal.Record{b.p: one, other: two} {
		wg.Go(func() {
			if err := p.Handle(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tags := map[int32]bool{}
	for i := range 4 {
		l := b.landing(fmt.Sprintf("x-%d", i))
		if l.GetFact() != "accepted" {
			t.Errorf("landing %d = %v, want accepted", i, l)
		}
		tags[l.GetTag().GetVlan()] = true
	}
	if len(tags) != 4 {
		t.Errorf("%d tags for 4 circuits", len(tags))
	}
}

// Many requests at once, to two instances of the service: each gets a tag of its own, by
// few more holds than requests.
func TestMany(t *testing.T) {
	const many = 200
	n := testenv.StartNATS(t)
	b := newBench(t, n.Open(t, journal.Config{}))
	for i := range many {
		b.approve(circuit(fmt.Sprintf("x-%d", i), "PENDING_APPROVAL"))
	}
	stop := run(t, b.rt)
	defer stop()
	done := map[string]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	err := b.j.Follow(ctx, journal.From{}, []string{event.Landing.Filter("accepted", "*")}, func(r journal.Record) error {
		if done[r.Entity().ID] = true; len(done) == many {
			cancel()
		}
		return nil
	})
	if err != nil || len(done) != many {
		t.Fatalf("%d of %d landed, %v", len(done), many, err)
	}
	spots := map[string]bool{}
	for i := range many {
		l := b.landing(fmt.Sprintf("x-%d", i))
		spots[fmt.Sprintf("%s/%d", l.GetPortId(), l.GetTag().GetVlan())] = true
	}
	if len(spots) != many {
		t.Errorf("%d circuits on %d tags", many, len(spots))
	}
	if got := len(b.fake.calls()); got != many {
		t.Errorf("%d calls for %d circuits", got, many)
	}
}

// Time passes in a bubble: whoever called is gone, the timer brings another; and what a
// person has cured lands by itself.
func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		j, err := journal.Open(t.Context(), journal.Config{InProcess: s, MaxBytes: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		b := newBench(t, j)
		b.fake.script = func(call int) (bool, exchange.Outcome) {
			switch call {
			case 1:
				return false, exchange.Outcome{Class: exchange.Unknown}
			case 2:
				return false, exchange.Outcome{Class: exchange.Refused, Code: "IC-1"}
			}
			return true, exchange.Outcome{}
		}
		b.approve(circuit("x-1", "PENDING_APPROVAL"))
		stop := run(t, b.rt)
		time.Sleep(5 * time.Second)
		b.wantFacts("x-1", "reserved accepting", "it is not called again before its time is over")
		first := b.landing("x-1").GetTag().GetVlan()
		stop()
		time.Sleep(time.Minute)
		defer run(t, b.rt)()
		time.Sleep(5 * time.Second)
		b.wantFacts("x-1", "reserved accepting accepting failed", "the next instance finds the timer")
		time.Sleep(11 * time.Minute)
		b.wantFacts("x-1", "reserved accepting accepting failed accepting accepted", "the cause is cured")
		if l := b.landing("x-1"); l.GetTag().GetVlan() != first || l.GetFailure() != nil || l.GetWait() != nil {
			t.Errorf("landing = %v, want tag %d still, no failure, no wait", l, first)
		}
	})
}

// run starts the service and returns how to stop it.
func run(t *testing.T, rt service.Runtime) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- provisioner.Run(ctx, rt) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil after a stop", err)
		}
	}
}
