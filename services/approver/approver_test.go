package approver_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	ce "github.com/cloudevents/sdk-go/v2/event"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/archive"
	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/approver"
)

func TestMain(m *testing.M) {
	embedded.KeepTime()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// fake is a seller's account at an exchange with circuits by the exchange's id. Script
// says what becomes of each Reject: whether it is done, and what is answered.
type fake struct {
	exchange.Client
	script func(call int) (done bool, out exchange.Outcome)

	mu       sync.Mutex
	circuits map[string]*patchbayv1.Connection
	rejects  []string
}

func (f *fake) Get(_ context.Context, id string) (*patchbayv1.Connection, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.circuits[id] == nil {
		return nil, exchange.ErrGone
	}
	return proto.CloneOf(f.circuits[id]), nil
}

// show changes what the exchange shows of a circuit.
func (f *fake) show(id, status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.circuits[id] = proto.CloneOf(f.circuits[id])
	f.circuits[id].Status = status
}

func (f *fake) Reject(_ context.Context, id, kind, reason string) exchange.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rejects = append(f.rejects, kind+" "+id+" "+reason)
	done, out := true, exchange.Outcome{Class: exchange.Done}
	if f.script != nil {
		done, out = f.script(len(f.rejects))
	}
	if done && kind == exchange.Create {
		f.circuits[id].Status = "REJECTED"
	} else if done {
		f.circuits[id].Status = "PROVISIONED"
	}
	return out
}

func (f *fake) calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.rejects...)
}

// bench is an approver with a journal and a fake exchange.
type bench struct {
	t    *testing.T
	j    *journal.Journal
	fake *fake
	a    *approver.Approver
	rt   service.Runtime
}

func newBench(t *testing.T, j *journal.Journal, rules ...account.Rule) *bench {
	t.Helper()
	f := &fake{circuits: map[string]*patchbayv1.Connection{}}
	rt := service.Runtime{
		Journal: j,
		Accounts: account.File{Accounts: []account.Account{
			{Name: "cloud", Role: account.Seller, API: account.ECX, Policy: rules, Attempt: 10 * time.Second},
			{Name: "acme", Role: account.Buyer, API: account.ECX},
		}},
		Clients: map[string]exchange.Client{"cloud": f},
	}
	a, err := approver.New(rt)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t, j, f, a, rt}
}

var (
	approveAll = account.Rule{Name: "auto", When: `kind == "create"`, Then: account.Approve}
	rejectAll  = account.Rule{Name: "deny", When: `true`, Then: account.Reject, Reason: "full"}
	askAll     = account.Rule{Name: "people", When: `true`, Then: account.Ask, OnExpiry: account.Wait}
)

func circuit(status string) *patchbayv1.Connection {
	return &patchbayv1.Connection{
		Id: event.ConnectionID("equinix", "x-1"), Exchange: "equinix", Api: "ecx", ExchangeId: "x-1", Name: "John_1",
		BandwidthMbps: 50, Status: status, ProviderStatus: "NOT_AVAILABLE", BuyerOrganization: "Acme",
		SellerAccount: "cloud", OrderId: "order-1", ZSide: &patchbayv1.Side{Metro: "SV", ProfileId: "p-1"},
	}
}

// announce makes c the exchange's circuit, tells the journal as the watcher would, and
// returns the fact.
func (b *bench) announce(c *patchbayv1.Connection, edits ...func(*patchbayv1.Transition)) journal.Record {
	b.t.Helper()
	b.fake.mu.Lock()
	b.fake.circuits[c.GetExchangeId()] = proto.CloneOf(c)
	b.fake.mu.Unlock()
	return b.seen(c, edits...)
}

func (b *bench) seen(c *patchbayv1.Connection, edits ...func(*patchbayv1.Transition)) journal.Record {
	b.t.Helper()
	tr := &patchbayv1.Transition{Connection: c}
	for _, edit := range edits {
		edit(tr)
	}
	e := event.Entity{Noun: event.Connection, ID: c.GetId()}
	last := b.last(e)
	_, err := b.j.Append(b.t.Context(), last, event.Fact{
		Entity: e, Name: event.Slug(c.GetStatus()) + "." + event.Slug(c.GetProviderStatus()), Data: tr,
		By: "status-watcher", Order: c.GetOrderId(), Exchange: "equinix", Origin: event.Origin{TraceParent: trace},
	})
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

func (b *bench) approval() (*patchbayv1.Approval, journal.Record) {
	b.t.Helper()
	r := b.last(event.Entity{Noun: event.Approval, ID: circuit("").GetId()})
	w := new(patchbayv1.Approval)
	if !r.None() {
		if err := r.Into(w); err != nil {
			b.t.Fatal(err)
		}
	}
	return w, r
}

// facts are the names of the approval's facts, oldest first.
func (b *bench) facts() string {
	b.t.Helper()
	var names []string
	e := event.Entity{Noun: event.Approval, ID: circuit("").GetId()}
	err := b.j.History(b.t.Context(), []string{e.Filter()}, func(r journal.Record) error {
		names = append(names, strings.Split(r.Subject, ".")[2])
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func (b *bench) handle(r journal.Record) {
	b.t.Helper()
	if err := b.a.Fact(b.t.Context(), r); err != nil {
		b.t.Fatalf("handle %s: %v", r.Subject, err)
	}
}

func (b *bench) wantFacts(want, why string) {
	b.t.Helper()
	from := ""
	for _, fact := range strings.Fields(b.facts()) {
		if !order.Approvals().Allows(from, fact) {
			b.t.Errorf("%q to %q is no step of an approval", from, fact)
		}
		from = fact
	}
	if got := b.facts(); got != want {
		b.t.Fatalf("facts = %q, want %q: %s", got, want, why)
	}
}

// submit makes a decision of ann's and returns it as the approver gets it.
func (b *bench) submit(verb, id string, d *patchbayv1.Decision) journal.Record {
	b.t.Helper()
	data, err := event.Marshal(d)
	if err != nil {
		b.t.Fatal(err)
	}
	e := ce.New()
	e.SetID(id)
	e.SetSource("patchbay/cli")
	e.SetType(event.IntentType(event.Decision, verb))
	if err := e.SetData("application/json", data); err != nil {
		b.t.Fatal(err)
	}
	seq, err := b.j.Submit(b.t.Context(), event.IntentSubject(event.Decision, verb), e)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := b.j.Intent(b.t.Context(), seq)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) decide(r journal.Record) {
	b.t.Helper()
	if err := b.a.Decision(b.t.Context(), r); err != nil {
		b.t.Fatalf("decide: %v", err)
	}
	if left, err := b.j.Intent(b.t.Context(), r.Seq); err != nil || !left.None() {
		b.t.Errorf("decision %s is still in INTENTS (%v), want it deleted once it is dealt with", r.Event.ID(), err)
	}
}

func (b *bench) refusal() (*patchbayv1.Refusal, uint64) {
	b.t.Helper()
	r := b.last(event.Entity{Noun: event.Refusal, ID: circuit("").GetId()})
	f := new(patchbayv1.Refusal)
	if !r.None() {
		if err := r.Into(f); err != nil {
			b.t.Fatal(err)
		}
	}
	return f, r.Number()
}

func yes(digest string) *patchbayv1.Decision {
	return &patchbayv1.Decision{ConnectionId: circuit("").GetId(), Kind: "create", Digest: digest, By: "ann", Reason: "fine"}
}

func TestApprovedByRule(t *testing.T) {
	b := newBench(t, testenv.Journal(t), approveAll)
	r := b.announce(circuit("PENDING_APPROVAL"))
	b.handle(r)
	b.wantFacts("requested approved", "the rule answers right after the request")
	w, rec := b.approval()
	if w.GetBy() != "policy auto" || w.GetDigest() != approval.Digest(circuit("PENDING_APPROVAL"), "create") || w.GetWait() != nil {
		t.Errorf("approval = %v, want by policy auto, with the digest, waiting for nobody", w)
	}
	for name, want := range map[string]string{
		event.ExtCorrelationID: "order-1", event.ExtCausationID: r.Event.ID(), event.ExtExchange: "equinix",
		event.ExtTraceParent: trace,
	} {
		if got := event.Ext(rec.Event, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	b.handle(r)
	b.wantFacts("requested approved", "a redelivery finds all done")
}

// An approval that was archived is over: late news of the circuit asks nobody again.
func TestAfterArchive(t *testing.T) {
	b := newBench(t, testenv.Journal(t), approveAll)
	asked := b.announce(circuit("PENDING_APPROVAL"))
	b.handle(asked)
	end := b.announce(circuit("DEPROVISIONED"))
	b.handle(end)
	b.wantFacts("requested approved", "the circuit's end asks nobody")
	rep, err := archive.Run(t.Context(), b.j, filepath.Join(t.TempDir(), "a"), archive.Options{Before: b.j.Now().Add(time.Hour)})
	if err != nil || len(rep.Kept) > 0 {
		t.Fatalf("archive = %+v, %v; want circuit and approval put away", rep, err)
	}
	_, approved := b.approval()
	for _, r := range []journal.Record{asked, end, b.last(asked.Entity()), approved} {
		b.handle(r)
	}
	if got := b.facts(); got != "archived" {
		t.Errorf("facts = %q, want nothing after the archive", got)
	}
	if n := len(b.fake.calls()); n != 0 {
		t.Errorf("%d rejections, want none", n)
	}
}

func TestNotOurs(t *testing.T) {
	b := newBench(t, testenv.Journal(t), approveAll)
	c := circuit("PENDING_APPROVAL")
	for _, seller := range []string{"", "acme", "somebody"} {
		c.SellerAccount = seller
		b.handle(b.announce(c))
		b.wantFacts("", "no seller account of ours: "+seller)
	}
	c.SellerAccount = "cloud"
	b.handle(b.announce(c, func(tr *patchbayv1.Transition) { tr.Inferred = true }))
	b.wantFacts("", "what is inferred is not acted upon")
}

func TestSighting(t *testing.T) {
	b := newBench(t, testenv.Journal(t), approveAll)
	c := circuit("PENDING_APPROVAL")
	c.SellerAccount = ""
	b.handle(b.announce(c))
	e := event.Entity{Noun: event.Sighting, ID: c.GetId()}
	if _, err := b.j.Append(t.Context(), journal.Record{}, event.Fact{Entity: e, Name: "seller", By: "status-watcher",
		Data: &patchbayv1.Sighting{ConnectionId: c.GetId(), Role: "seller", Account: "cloud"}}); err != nil {
		t.Fatal(err)
	}
	b.handle(b.last(e))
	b.wantFacts("requested approved", "the seller turned out to be ours")
	if w, _ := b.approval(); w.GetAccount() != "cloud" {
		t.Errorf("account = %q, want cloud", w.GetAccount())
	}
}

// A sighting that is sent again from the dead letters comes as a timer; by then the last
// sighting may be the buyer's.
func TestSightingSentAgain(t *testing.T) {
	b := newBench(t, testenv.Journal(t), approveAll)
	c := circuit("PENDING_APPROVAL")
	c.SellerAccount = ""
	b.handle(b.announce(c))
	e := event.Entity{Noun: event.Sighting, ID: c.GetId()}
	if _, err := b.j.Append(t.Context(), journal.Record{}, event.Fact{Entity: e, Name: "buyer", By: "status-watcher",
		Data: &patchbayv1.Sighting{ConnectionId: c.GetId(), Role: "buyer", Account: "acme",
			Connection: &patchbayv1.Connection{Id: c.GetId(), SellerAccount: "cloud", BuyerAccount: "acme"}}}); err != nil {
		t.Fatal(err)
	}
	due := journal.Record{
		Stream: journal.Timers, Subject: "patchbay.due.sighting.redrive." + c.GetId(), Seq: 1, Stamp: b.last(e).Stamp,
	}
	if err := b.a.Due(t.Context(), due); err != nil {
		t.Fatal(err)
	}
	b.wantFacts("requested approved", "the seller is ours")
}

func TestChange(t *testing.T) {
	b := newBench(t, testenv.Journal(t), askAll)
	c := circuit("PROVISIONED")
	b.handle(b.announce(c))
	b.wantFacts("", "nothing is asked")
	c.PendingBandwidthMbps = 500
	e := event.Entity{Noun: event.Change, ID: c.GetId()}
	change := func(status string) {
		t.Helper()
		if _, err := b.j.Append(t.Context(), b.last(e), event.Fact{Entity: e, Name: event.Slug(status), By: "status-watcher",
			Data: &patchbayv1.Change{ConnectionId: c.GetId(), Status: status, Connection: c}}); err != nil {
			t.Fatal(err)
		}
		b.handle(b.last(e))
	}
	change(approval.Submitted)
	w, _ := b.approval()
	if w.GetKind() != "change" || w.GetFact() != approval.Requested || w.GetConnection().GetPendingBandwidthMbps() != 500 {
		t.Fatalf("approval = %v, want a change to 500 requested", w)
	}
	c.PendingBandwidthMbps, c.BandwidthMbps = 0, 500
	change("COMPLETED")
	if w, _ := b.approval(); w.GetFact() != approval.Expired || w.GetBy() != "elsewhere" {
		t.Errorf("approval = %v, want expired, by elsewhere", w)
	}
}

func TestDecision(t *testing.T) {
	b := newBench(t, testenv.Journal(t), askAll)
	b.handle(b.announce(circuit("PENDING_APPROVAL")))
	w, _ := b.approval()
	if w.GetWait().GetAdvice() == "" || w.GetWait().GetOn() != "operator" {
		t.Errorf("wait = %v, want one on the operator, with advice", w.GetWait())
	}
	d := b.submit("approve", "d-1", yes(w.GetDigest()))
	b.decide(d)
	b.wantFacts("requested approved", "ann approves")
	w, rec := b.approval()
	if w.GetBy() != "ann" || w.GetReason() != "fine" || event.Ext(rec.Event, event.ExtCausationID) != "d-1" {
		t.Errorf("approval = %v caused by %s, want ann's for a reason, caused by d-1", w, event.Ext(rec.Event, event.ExtCausationID))
	}
	b.decide(d)
	b.wantFacts("requested approved", "the same decision again is no other")
	if f, n := b.refusal(); n != 0 {
		t.Errorf("refusal = %v, want none for a redelivery", f)
	}
	late := b.submit("reject", "d-2", yes(w.GetDigest()))
	b.decide(late)
	b.decide(late)
	if f, n := b.refusal(); n != 1 || !strings.HasPrefix(f.GetMessage(), "not pending") || f.GetDecision().GetBy() != "ann" {
		t.Errorf("refusal %d = %v, want one: not pending", n, f)
	}
	b.wantFacts("requested approved", "a refusal changes nothing")
}

func TestStaleDecision(t *testing.T) {
	b := newBench(t, testenv.Journal(t), askAll)
	b.handle(b.announce(circuit("PENDING_APPROVAL")))
	w, _ := b.approval()
	old := b.submit("approve", "d-1", yes(w.GetDigest()))

	faster := circuit("PENDING_APPROVAL")
	faster.BandwidthMbps = 10_000
	b.announce(faster) // the approver has not been nudged by it yet
	b.decide(old)
	f, n := b.refusal()
	if n != 1 || !strings.HasPrefix(f.GetMessage(), "stale") || len(f.GetDifferences()) != 1 {
		t.Fatalf("refusal %d = %v, want one: stale, with the difference", n, f)
	}
	if d := f.GetDifferences()[0]; d.GetField() != "bandwidthMbps" || d.GetWas() != "50" || d.GetNow() != "10000" {
		t.Errorf("difference = %v, want bandwidthMbps from 50 to 10000", d)
	}
	b.wantFacts("requested requested", "it is asked anew")
	w, _ = b.approval()
	b.decide(b.submit("approve", "d-2", yes(w.GetDigest())))
	b.wantFacts("requested requested approved", "ann has looked again")
}

func TestBadDecisions(t *testing.T) {
	b := newBench(t, testenv.Journal(t), askAll)
	b.handle(b.announce(circuit("PENDING_APPROVAL")))
	w, _ := b.approval()
	if err := b.a.Decision(t.Context(), b.submit("approve", "d-0", &patchbayv1.Decision{By: "ann"})); err == nil {
		t.Error("a decision about nothing was taken")
	}
	anonymous := yes(w.GetDigest())
	anonymous.By = ""
	b.decide(b.submit("approve", "d-1", anonymous))
	if f, n := b.refusal(); n != 1 || !strings.Contains(f.GetMessage(), "by") {
		t.Errorf("refusal %d = %v, want one that names the field by", n, f)
	}
	mute := yes(w.GetDigest())
	mute.Reason, mute.By = "", ""
	b.decide(b.submit("reject", "d-2", mute))
	if f, n := b.refusal(); n != 2 || !strings.Contains(f.GetMessage(), "reason: ") || !strings.Contains(f.GetMessage(), "by: ") {
		t.Errorf("refusal %d = %v, want another that names the reason and by", n, f)
	}
	b.wantFacts("requested", "none of them decides")
}

func TestDecisionAboutNobodysCircuit(t *testing.T) {
	b := newBench(t, testenv.Journal(t), askAll)
	r := b.submit("approve", "d-1", yes(strings.Repeat("0", 64)))
	b.decide(r)
	b.decide(r)
	if f, n := b.refusal(); n != 1 || !strings.HasPrefix(f.GetMessage(), "not allowed") {
		t.Errorf("refusal %d = %v, want one: not allowed", n, f)
	}
}

// An approval that the provisioner cannot carry out may be taken back.
func TestStuck(t *testing.T) {
	b := newBench(t, testenv.Journal(t), approveAll)
	b.handle(b.announce(circuit("PENDING_APPROVAL")))
	w, _ := b.approval()
	e := event.Entity{Noun: event.Landing, ID: w.GetConnectionId()}
	if _, err := b.j.Append(t.Context(), journal.Record{}, event.Fact{Entity: e, Name: "failed", By: "provisioner",
		Data: &patchbayv1.Landing{ConnectionId: e.ID, Fact: "failed", ApprovalDigest: w.GetDigest()}}); err != nil {
		t.Fatal(err)
	}
	b.decide(b.submit("reject", "d-1", yes(w.GetDigest())))
	_, r := b.approval()
	b.handle(r)
	b.wantFacts("requested approved rejected", "there is nowhere to land it")
	if n := len(b.fake.calls()); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestReject(t *testing.T) {
	lost := func(int) (bool, exchange.Outcome) {
		return true, exchange.Outcome{Class: exchange.Unknown, Answer: "reset"}
	}
	unsentOnce := func(call int) (bool, exchange.Outcome) {
		if call == 1 {
			return false, exchange.Outcome{Class: exchange.NotSent}
		}
		return true, exchange.Outcome{Class: exchange.Done}
	}
	tests := []struct {
		name       string
		script     func(int) (bool, exchange.Outcome)
		deliveries int
		calls      int
		reason     string
	}{
		{"taken", nil, 1, 1, ""},
		{"answer lost", lost, 1, 1, "the look after the call shows that it worked"},
		{"not sent", unsentOnce, 2, 2, "the nudge comes again, looks and calls again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, testenv.Journal(t), rejectAll)
			b.fake.script = tt.script
			b.handle(b.announce(circuit("PENDING_APPROVAL")))
			b.wantFacts("requested rejected", "the rejection is written first")
			if len(b.fake.calls()) != 0 {
				t.Fatal("the exchange was told by another nudge than the rejection's own")
			}
			_, r := b.approval()
			for n := 1; ; n++ {
				err := b.a.Fact(t.Context(), r)
				if err == nil && n == tt.deliveries {
					break
				}
				if err == nil || n == tt.deliveries {
					t.Fatalf("delivery %d = %v, want done at delivery %d: %s", n, err, tt.deliveries, tt.reason)
				}
			}
			b.handle(r)
			calls := b.fake.calls()
			if len(calls) != tt.calls || calls[0] != "create x-1 full" {
				t.Errorf("calls = %q, want %d of create x-1 full: %s", calls, tt.calls, tt.reason)
			}
		})
	}
}

// A word that nobody documented may hide that the request still waits.
func TestRejectUnclear(t *testing.T) {
	b := newBench(t, testenv.Journal(t), rejectAll)
	b.handle(b.announce(circuit("PENDING_APPROVAL")))
	_, r := b.approval()
	b.fake.show("x-1", "UNKNOWN")
	if err := b.a.Fact(t.Context(), r); err == nil {
		t.Error("a rejection is done though nobody can tell whether the request still waits")
	}
	if n := len(b.fake.calls()); n != 0 {
		t.Errorf("%d calls while the status is unclear, want 0", n)
	}
	b.fake.show("x-1", "PENDING_APPROVAL")
	b.handle(r)
	if n := len(b.fake.calls()); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestRejectRefused(t *testing.T) {
	b := newBench(t, testenv.Journal(t), rejectAll)
	b.fake.script = func(int) (bool, exchange.Outcome) {
		return false, exchange.Outcome{Class: exchange.Refused, Code: "IC-1", Message: "not you"}
	}
	b.handle(b.announce(circuit("PENDING_APPROVAL")))
	_, r := b.approval()
	b.handle(r)
	w, r := b.approval()
	if !strings.Contains(w.GetWait().GetAdvice(), "IC-1") || w.GetFact() != approval.Rejected {
		t.Fatalf("approval = %v, want rejected, waiting with the exchange's code", w)
	}
	if err := b.a.Fact(t.Context(), r); err == nil {
		t.Error("a rejection that the exchange refuses is done")
	}
	b.wantFacts("requested rejected rejected", "it is said once")
	b.announce(circuit("REJECTED")) // somebody did it in the portal
	b.handle(r)
	if n := len(b.fake.calls()); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

// A deletion that was rejected and is asked for again reads as before, and is another.
func TestDeleteAgain(t *testing.T) {
	b := newBench(t, testenv.Journal(t), rejectAll)
	b.handle(b.announce(circuit("PROVISIONED")))
	r := b.announce(circuit("PENDING_DELETE"))
	b.handle(r)
	_, rejected := b.approval()
	b.handle(rejected)
	b.handle(b.announce(circuit("PROVISIONED")))
	b.wantFacts("requested rejected", "the first is over")
	b.handle(r)
	b.wantFacts("requested rejected", "an old nudge asks nothing")
	b.handle(b.announce(circuit("PENDING_DELETE")))
	b.wantFacts("requested rejected requested rejected", "the second is a request of its own")
	b.handle(rejected)
	if n := len(b.fake.calls()); n != 1 {
		t.Errorf("%d calls, want 1: the nudge of the first rejection is not that of the second", n)
	}
	_, again := b.approval()
	b.handle(again)
	if n := len(b.fake.calls()); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestDecidedElsewhere(t *testing.T) {
	b := newBench(t, testenv.Journal(t), askAll)
	b.handle(b.announce(circuit("PENDING_APPROVAL")))
	b.handle(b.announce(circuit("PROVISIONING")))
	w, _ := b.approval()
	if w.GetFact() != approval.Expired || w.GetBy() != "elsewhere" || !strings.Contains(w.GetReason(), "PROVISIONING") || w.GetWait() != nil {
		t.Errorf("approval = %v, want expired by elsewhere, for what was seen", w)
	}
}

// A crash at any point between effects is repaired by the redelivery.
func TestCrash(t *testing.T) {
	n := testenv.StartNATS(t)
	for at, crashed := 1, true; crashed; at++ {
		id := fmt.Sprintf("x-%d", at)
		c := circuit("PENDING_APPROVAL")
		c.Id, c.ExchangeId = event.ConnectionID("equinix", id), id
		b := newBench(t, n.Open(t, journal.Config{}), rejectAll)
		r := b.announce(c)

		ctx, crash := context.WithCancel(t.Context())
		seen := 0
		dying := newBench(t, n.Open(t, journal.Config{Probe: func(string) {
			if seen++; seen == at {
				crash()
			}
		}}), rejectAll)
		_ = dying.a.Fact(ctx, r) // it crashes; what it returned nobody hears
		crash()
		if crashed = seen >= at; !crashed && at <= 4 {
			t.Errorf("%d points, want before and after two appends", seen)
		}
		b.handle(r)
		rec := b.last(event.Entity{Noun: event.Approval, ID: c.GetId()})
		b.handle(rec)
		if rec.Number() != 2 || len(b.fake.calls()) != 1 {
			t.Errorf("crash at %d: %d facts, calls %q; want requested and rejected, and one call", at, rec.Number(), b.fake.calls())
		}
	}
}

// Time passes in a bubble: reminders, then the deadline and what was to happen then.
func TestDeadlines(t *testing.T) {
	for _, tt := range []struct {
		onExpiry account.Verb
		facts    string
		wait     bool
	}{
		{account.Approve, "requested reminded reminded expired approved", false},
		{account.Reject, "requested reminded reminded expired rejected", false},
		{account.Wait, "requested reminded reminded expired reminded", true},
	} {
		t.Run(string(tt.onExpiry), func(t *testing.T) {
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
				rule := askAll
				rule.Deadline, rule.Remind, rule.OnExpiry = 70*time.Minute, 24*time.Minute, tt.onExpiry
				b := newBench(t, j, rule)
				b.announce(circuit("PENDING_APPROVAL"))

				stop := run(t, b.rt)
				time.Sleep(30 * time.Minute)
				b.wantFacts("requested reminded", "after the first reminder")
				stop() // whoever runs next has the timers still
				time.Sleep(time.Minute)
				stop = run(t, b.rt)
				defer stop()
				time.Sleep(44 * time.Minute) // 75 in all; a third reminder is due after 72
				b.wantFacts(tt.facts, "after the deadline")
				w, _ := b.approval()
				if (w.GetWait() != nil) != tt.wait {
					t.Errorf("wait = %v, want one: %t", w.GetWait(), tt.wait)
				}
				if !tt.wait && w.GetBy() != "expiry" {
					t.Errorf("by = %q, want expiry", w.GetBy())
				}
				if want := map[account.Verb]int{account.Reject: 1}[tt.onExpiry]; len(b.fake.calls()) != want {
					t.Errorf("rejects = %q, want %d", b.fake.calls(), want)
				}
			})
		})
	}
}

// run starts the service and returns how to stop it.
func run(t *testing.T, rt service.Runtime) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- approver.Run(ctx, rt) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil after a stop", err)
		}
	}
}
