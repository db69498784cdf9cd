package approver

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/policy"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func connection(status string) *patchbayv1.Connection {
	return &patchbayv1.Connection{
		Id: "c-1", Exchange: "equinix", ExchangeId: "x-1", Name: "John_1", BandwidthMbps: 50,
		Status: status, ProviderStatus: "NOT_AVAILABLE", BuyerOrganization: "Acme",
	}
}

func standing(status string, a *patchbayv1.Approval) state {
	c := connection(status)
	return state{sight: approval.Sight{Connection: c, Kind: approval.Kind(c)}, account: "cloud", approval: a}
}

// asked is an approval of the create that waits for a person until 13:00, reminded at
// 12:30; edits are applied to it.
func asked(edits ...func(*patchbayv1.Approval)) *patchbayv1.Approval {
	a := requested(standing("PENDING_APPROVAL", nil), askHour(account.Wait), moment{noon, noon})
	for _, edit := range edits {
		edit(a)
	}
	return a
}

func askHour(onExpiry account.Verb) policy.Decision {
	return policy.Decision{Rule: "people", Then: account.Ask, Deadline: time.Hour, Remind: 30 * time.Minute, OnExpiry: onExpiry}
}

func as(fact, by string) func(*patchbayv1.Approval) {
	return func(a *patchbayv1.Approval) { a.Fact, a.By, a.Wait = fact, by, nil }
}

func TestNext(t *testing.T) {
	auto := policy.Decision{Rule: "auto", Then: account.Approve}
	deny := policy.Decision{Rule: "deny", Then: account.Reject, Reason: "no"}
	people := askHour(account.Wait)
	elsewhere := standing("PROVISIONED", asked())
	inferred := elsewhere
	inferred.inferred = true
	stranger := standing("PENDING_APPROVAL", nil)
	stranger.account = ""
	renewed := standing("PENDING_APPROVAL", asked(as(approval.Rejected, "ann")))
	renewed.renewed = true
	changed := standing("PENDING_APPROVAL", asked(as(approval.Approved, "ann")))
	changed.sight.Connection.BandwidthMbps = 500
	onExpiry := func(v account.Verb) func(*patchbayv1.Approval) {
		return func(a *patchbayv1.Approval) { a.OnExpiry = string(v) }
	}
	tests := []struct {
		name     string
		s        state
		verdict  policy.Decision
		after    time.Duration
		fact, by string
		reason   string
	}{
		{"new", standing("PENDING_APPROVAL", nil), auto, 0, approval.Requested, "", "a request is written down before it is answered"},
		{"new delete", standing("PENDING_DELETE", nil), people, 0, approval.Requested, "", ""},
		{"nothing asked", standing("PROVISIONED", nil), auto, 0, "", "", "most circuits ask for nothing"},
		{"stranger", stranger, auto, 0, "", "", "not ours to answer"},
		{"by rule", standing("PENDING_APPROVAL", asked(as(approval.Requested, ""))), auto, 0, approval.Approved, "policy auto", ""},
		{"by rule no", standing("PENDING_APPROVAL", asked(as(approval.Requested, ""))), deny, 0, approval.Rejected, "policy deny", ""},
		{"rule changed to ask", standing("PENDING_APPROVAL", asked(as(approval.Requested, ""))), people, 0, approval.Requested, "",
			"a crash before the rule's answer, and another rule since"},
		{"waiting", standing("PENDING_APPROVAL", asked()), auto, 0, "", "", "a person was asked; new rules do not overrule him"},
		{"remind", standing("PENDING_APPROVAL", asked()), people, 30 * time.Minute, approval.Reminded, "", ""},
		{"deadline", standing("PENDING_APPROVAL", asked()), people, time.Hour, approval.Expired, "", "it goes before a reminder"},
		{"just before", standing("PENDING_APPROVAL", asked(func(a *patchbayv1.Approval) { a.RemindAt = nil })), people,
			time.Hour - 1, "", "", "deadlines are not early"},
		{"expired, approve", standing("PENDING_APPROVAL", asked(as(approval.Expired, ""), onExpiry(account.Approve))), people, time.Hour,
			approval.Approved, "expiry", ""},
		{"expired, reject", standing("PENDING_APPROVAL", asked(as(approval.Expired, ""), onExpiry(account.Reject))), people, time.Hour,
			approval.Rejected, "expiry", ""},
		{"expired, wait", standing("PENDING_APPROVAL", expired(standing("PENDING_APPROVAL", asked()), moment{noon.Add(time.Hour), noon.Add(time.Hour)})), policy.Decision{Then: account.Ask},
			10 * time.Minute, "", "", "it waits on, without a deadline"},
		{"gone while open", elsewhere, people, 0, approval.Expired, "elsewhere", "somebody used the portal"},
		{"gone, inferred", inferred, people, 0, "", "", "nothing is decided upon a conclusion"},
		{"gone, unknown", standing("UNKNOWN", asked()), people, 0, "", "", "a word nobody documented says nothing"},
		{"another kind", standing("PENDING_DELETE", asked()), people, 0, approval.Expired, "elsewhere", "first the old request ends"},
		{"next kind", standing("PENDING_DELETE", asked(as(approval.Approved, "ann"))), people, 0, approval.Requested, "", ""},
		{"approved", standing("PENDING_APPROVAL", asked(as(approval.Approved, "ann"))), people, 0, "", "", "the provisioner has it"},
		{"rejected", standing("PENDING_APPROVAL", asked(as(approval.Rejected, "ann"))), people, 0, "", "", "its own nudge has it"},
		{"asked for again", renewed, people, 0, approval.Requested, "", "another request that reads the same"},
		{"back after elsewhere", standing("PENDING_APPROVAL", asked(as(approval.Expired, "elsewhere"))), people, 0, approval.Requested, "", ""},
		{"changed after approval", changed, people, 0, approval.Requested, "", "what was approved is not what is there"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := noon.Add(tt.after)
			got := next(tt.s, tt.verdict, moment{at, at})
			if got.GetFact() != tt.fact || got.GetBy() != tt.by {
				t.Fatalf("next = %q by %q, want %q by %q: %s", got.GetFact(), got.GetBy(), tt.fact, tt.by, tt.reason)
			}
		})
	}
}

func TestReminderCounts(t *testing.T) {
	a := asked()
	for n := int32(1); n <= 3; n++ {
		at := noon.Add(time.Duration(n) * time.Hour)
		a = reminded(standing("PENDING_APPROVAL", a), 30*time.Minute, moment{at, at})
		if a.GetReminders() != n || !a.GetRemindAt().AsTime().Equal(at.Add(30*time.Minute)) {
			t.Fatalf("reminder %d: count %d next %v, want next half an hour later", n, a.GetReminders(), a.GetRemindAt().AsTime())
		}
		if a.GetWait().GetAdvice() == "" || !a.GetWait().GetUntil().AsTime().After(noon) {
			t.Errorf("wait = %v, want advice and a time", a.GetWait())
		}
	}
}

func TestJudge(t *testing.T) {
	was := connection("PENDING_APPROVAL")
	good := &patchbayv1.Decision{ConnectionId: "c-1", Kind: "create", Digest: asked().GetDigest(), By: "ann", Reason: "fine"}
	faster := standing("PENDING_APPROVAL", nil)
	faster.sight.Connection.BandwidthMbps = 500
	faster.approval = requested(faster, askHour(account.Wait), moment{noon, noon})
	stranger := standing("PENDING_APPROVAL", asked())
	stranger.account = ""
	stuck := standing("PENDING_APPROVAL", asked(as(approval.Approved, "bob")))
	stuck.stuck = true
	tests := []struct {
		name    string
		s       state
		d       *patchbayv1.Decision
		message string // empty: allowed
		reason  string
	}{
		{"stuck, approve", stuck, good, "not pending", "it is approved already"},
		{"good", standing("PENDING_APPROVAL", asked()), good, "", ""},
		{"reminded", standing("PENDING_APPROVAL", asked(func(a *patchbayv1.Approval) { a.Fact = approval.Reminded })), good, "", ""},
		{"expired and waiting", standing("PENDING_APPROVAL", expired(standing("PENDING_APPROVAL", asked()), moment{noon, noon})), good, "", "late is better than never"},
		{"unknown", state{}, good, "not allowed", "nobody has seen it"},
		{"not ours", stranger, good, "not allowed", ""},
		{"never asked", standing("PROVISIONED", nil), good, "not pending", ""},
		{"decided", standing("PENDING_APPROVAL", asked(as(approval.Approved, "bob"))), good, "not pending", "bob was first"},
		{"other kind", standing("PENDING_APPROVAL", asked(func(a *patchbayv1.Approval) { a.Kind = "delete" })), good, "not pending", ""},
		{"changed", faster, good, "stale", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fact, refusal := judge(tt.s, decision{tt.d, approval.Approved, was}, moment{noon, noon})
			switch {
			case tt.message == "" && (refusal != nil || fact.GetFact() != approval.Approved || fact.GetBy() != "ann" || fact.GetWait() != nil):
				t.Errorf("judge = %v, %v; want approved by ann, waiting for nobody: %s", fact, refusal, tt.reason)
			case tt.message != "" && (fact != nil || !strings.HasPrefix(refusal.GetMessage(), tt.message)):
				t.Errorf("judge = %v, %q; want a refusal %q: %s", fact, refusal.GetMessage(), tt.message, tt.reason)
			case tt.message == "stale" && (len(refusal.GetDifferences()) != 1 || refusal.GetDifferences()[0].GetNow() != "500"):
				t.Errorf("differences = %v, want the bandwidth", refusal.GetDifferences())
			}
		})
	}
}

// An exchange without a way to reject: neither a rule nor a person nor time can.
func TestNoWayToReject(t *testing.T) {
	s := standing("PENDING_DELETE", nil)
	s.final = true
	deny := policy.Decision{Rule: "deny", Then: account.Reject, Reason: "no"}
	asks := possible(deny, s)
	if asks.Then != account.Ask || asks.OnExpiry != account.Wait || !strings.Contains(asks.Reason, "no way to reject") {
		t.Errorf("a rule that rejects = %+v, want a person to be asked, and why", asks)
	}
	if got := possible(askHour(account.Reject), s); got.OnExpiry != account.Wait || got.Deadline != time.Hour {
		t.Errorf("at the deadline = %+v, want it to wait on", got)
	}
	if got := possible(deny, standing("PENDING_DELETE", nil)); got != deny {
		t.Errorf("elsewhere = %+v, want the rule to reject", got)
	}
	s.approval = requested(s, asks, moment{noon, noon})
	if advice := s.approval.GetWait().GetAdvice(); strings.Contains(advice, "patchbay reject") || !strings.Contains(advice, "patchbay approve") {
		t.Errorf("advice = %q, want only what can be done", advice)
	}
	d := decision{Decision: &patchbayv1.Decision{ConnectionId: "c-1", Kind: "delete", Digest: s.approval.GetDigest(), By: "ann"}}
	d.fact = approval.Rejected
	if fact, refusal := judge(s, d, moment{noon, noon}); fact != nil || !strings.Contains(refusal.GetMessage(), "no way to reject a delete") {
		t.Errorf("rejected by a person = %v, %q; want a refusal that says so", fact, refusal.GetMessage())
	}
	d.fact = approval.Approved
	if fact, refusal := judge(s, d, moment{noon, noon}); fact.GetFact() != approval.Approved {
		t.Errorf("approved by a person = %v, %v; want it approved", fact, refusal)
	}
}

func TestRejectWhatCannotLand(t *testing.T) {
	s := standing("PENDING_APPROVAL", asked(as(approval.Approved, "policy auto")))
	no := decision{Decision: &patchbayv1.Decision{ConnectionId: "c-1", Kind: "create", Digest: asked().GetDigest(), By: "ann"},
		fact: approval.Rejected}
	if fact, _ := judge(s, no, moment{noon, noon}); fact != nil {
		t.Errorf("judge = %v, want a refusal: the provisioner is about to land it", fact)
	}
	s.stuck = true
	if fact, refusal := judge(s, no, moment{noon, noon}); fact.GetFact() != approval.Rejected {
		t.Errorf("judge = %v, %v; want rejected: there is nowhere to land it", fact, refusal)
	}
}

// Whatever the journal says, an approval comes to rest, and never decides what nobody
// asked it to.
func TestComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		verbs := rapid.SampledFrom([]account.Verb{account.Approve, account.Reject, account.Ask})
		verdict := policy.Decision{
			Rule: "r", Then: verbs.Draw(t, "then"), Deadline: rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "deadline"),
			Remind:   rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "remind"),
			OnExpiry: rapid.SampledFrom([]account.Verb{account.Approve, account.Reject, account.Wait}).Draw(t, "expiry"),
		}
		s := standing("PROVISIONED", nil)
		now := noon
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(t, "pass"))
			status := rapid.SampledFrom([]string{"PENDING_APPROVAL", "PROVISIONED", "PENDING_DELETE", "UNKNOWN"}).Draw(t, "status")
			was := s
			s = standing(status, was.approval)
			s.renewed = s.sight.Kind != "" && s.sight.Kind != was.sight.Kind && !open(s.approval)
			for n := 0; ; n++ {
				a := next(s, verdict, moment{now, now})
				if a == nil {
					break
				}
				if n > 5 {
					t.Fatalf("no rest after %d facts; last %v", n, a)
				}
				if (a.GetFact() == approval.Approved || a.GetFact() == approval.Rejected) && a.GetKind() != s.sight.Kind {
					t.Fatalf("%s of a %s that is not asked for", a.GetFact(), a.GetKind())
				}
				if a.GetFact() == approval.Approved && verdict.Then != account.Approve && verdict.OnExpiry != account.Approve {
					t.Fatalf("approved by %s, which nobody said", a.GetBy())
				}
				s.approval, s.renewed = a, false
			}
			if s.approval != nil && open(s.approval) && s.approval.GetWait() == nil {
				t.Fatalf("an open approval waits for nothing: %v", s.approval)
			}
		}
	})
}

// News that needs no further reading is news upon which nothing would be written.
func TestQuiet(t *testing.T) {
	approvals := map[string]*patchbayv1.Approval{"none": nil, "asked": asked(), "expired": expired(standing("PENDING_APPROVAL", asked()), moment{noon, noon})}
	for _, fact := range []string{approval.Approved, approval.Rejected} {
		approvals[fact] = decided(asked(), fact, by{"a person", ""}, moment{noon, noon})
	}
	approvals[byElsewhere] = endedElsewhere(asked(), connection("PROVISIONED"), moment{noon, noon})
	found := 0
	for _, status := range []string{"PENDING_APPROVAL", "PROVISIONING", "PROVISIONED", "PENDING_DELETE", "DEPROVISIONED", "UNKNOWN"} {
		for name, a := range approvals {
			s := standing(status, a)
			if !quiet(a, s.sight.Connection) {
				continue
			}
			found++
			if got := next(s, policy.Decision{Then: account.Approve}, moment{noon, noon}); got != nil {
				t.Errorf("%s, %s: next = %v upon news that is said to leave nothing to do", status, name, got)
			}
		}
	}
	if found == 0 || !quiet(approvals[approval.Approved], connection("PROVISIONED")) {
		t.Errorf("%d cases are quiet; an approved circuit that is PROVISIONED has to be", found)
	}
}

func TestWaitNamesTheFirstTime(t *testing.T) {
	a := asked()
	if got := a.GetWait().GetUntil().AsTime(); !got.Equal(noon.Add(30 * time.Minute)) {
		t.Errorf("until %v, want the reminder", got)
	}
	late := proto.CloneOf(a)
	late.RemindAt = timestamppb.New(noon.Add(2 * time.Hour))
	if got := waiting(late, false).GetUntil().AsTime(); !got.Equal(noon.Add(time.Hour)) {
		t.Errorf("until %v, want the deadline", got)
	}
}

// What a rule sees of a change is both speeds, and whose circuit it is.
func TestRequestOfChange(t *testing.T) {
	c := connection("PROVISIONED")
	c.BandwidthMbps, c.PendingBandwidthMbps, c.BuyerAccount = 200, 500, "acme"
	c.ASide = &patchbayv1.Side{PortId: "port-1", Tag: &patchbayv1.Tag{STag: proto.Int32(870), CTag: proto.Int32(7)}}
	r := requestOf(state{sight: approval.Sight{Connection: c, Kind: "change"}, account: "cloud"})
	if r.CurrentMbps != 200 || r.BandwidthMbps != 500 || r.BuyerAccount != "acme" || r.BuyerPort != "port-1" || r.BuyerTag != 870 {
		t.Errorf("%+v, want 200 to 500 Mbps on S-tag 870 of port-1 of acme", r)
	}
}
