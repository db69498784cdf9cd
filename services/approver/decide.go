package approver

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/policy"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Who decided, where it was neither a person nor a rule.
const (
	byExpiry    = "expiry"
	byElsewhere = "elsewhere"
)

// state is what the journal says about one connection and its approval.
type state struct {
	sight approval.Sight
	// inferred: the connection's last status was concluded, not seen.
	inferred bool
	// account of ours that sells it, and its API; empty if none does.
	account, api string
	// routingID is where an order of ours sent the request; empty if none did, or it has none.
	routingID string
	// approval is nil if none was ever asked for.
	approval *patchbayv1.Approval
	// renewed: what waits now was asked for after the approval was, so it is another
	// request, even if it reads the same.
	renewed bool
	// stuck: what was approved could not be landed, and waits for a person.
	stuck bool
	// final: the account's exchange has no way to reject what is asked for.
	final bool
}

// moment is when somebody decides: now by the stamp of the nudge, which deadlines are
// held against, and at, which is written into facts.
type moment struct{ now, at time.Time }

// open reports whether a may still be decided upon.
func open(a *patchbayv1.Approval) bool {
	switch a.GetFact() {
	case approval.Requested, approval.Reminded:
		return true
	case approval.Expired:
		return a.GetBy() == ""
	}
	return false
}

// quiet reports whether news of a connection leaves nothing to answer: it waits for nobody's
// consent, and neither does its approval.
func quiet(a *patchbayv1.Approval, news *patchbayv1.Connection) bool {
	return !open(a) && approval.Kind(news) == ""
}

// next returns the approval's next fact, nil if there is nothing to do. The verdict is
// what the policy says about the connection as it is now.
func next(s state, verdict policy.Decision, m moment) *patchbayv1.Approval {
	a, kind := s.approval, s.sight.Kind
	switch {
	case s.inferred || s.account == "":
		return nil
	case s.sight.Connection.GetStatus() == string(status.Unknown):
		return nil // a word nobody documented ends nothing and asks for nothing
	case open(a) && a.GetKind() != kind:
		return endedElsewhere(a, s.sight.Connection, m)
	case kind == "":
		return nil
	case a.GetKind() != kind, s.renewed, a.GetBy() == byElsewhere,
		a.GetDigest() != approval.Digest(s.sight.Connection, kind):
		return requested(s, verdict, m)
	case !open(a):
		return nil
	case a.GetFact() == approval.Expired && a.GetOnExpiry() == string(account.Approve):
		return decided(a, approval.Approved, by{byExpiry, a.GetReason()}, m)
	case a.GetFact() == approval.Expired && a.GetOnExpiry() == string(account.Reject):
		return decided(a, approval.Rejected, by{byExpiry, a.GetReason()}, m)
	case a.GetWait() == nil:
		return byPolicy(s, verdict, m)
	case due(a.GetDeadline(), m.now):
		return expired(s, m)
	case due(a.GetRemindAt(), m.now):
		return reminded(s, verdict.Remind, m)
	}
	return nil
}

func due(at *timestamppb.Timestamp, now time.Time) bool {
	return at != nil && !now.Before(at.AsTime())
}

// requested begins an approval. One that a rule answers at once waits for nobody.
func requested(s state, verdict policy.Decision, m moment) *patchbayv1.Approval {
	c := s.sight.Connection
	a := &patchbayv1.Approval{
		ConnectionId: c.GetId(), Fact: approval.Requested, Kind: s.sight.Kind, Account: s.account,
		Connection: c, Digest: approval.Digest(c, s.sight.Kind), Rule: verdict.Rule, Reason: verdict.Reason,
		RequestedAt: timestamppb.New(m.at), At: timestamppb.New(m.at),
	}
	if verdict.Then != account.Ask {
		return a
	}
	a.OnExpiry = string(verdict.OnExpiry)
	if verdict.Deadline > 0 {
		a.Deadline = timestamppb.New(m.at.Add(verdict.Deadline))
	}
	if verdict.Remind > 0 {
		a.RemindAt = timestamppb.New(m.at.Add(verdict.Remind))
	}
	a.Wait = waiting(a, s.final)
	return a
}

// byPolicy answers a request that a rule answers. If the rules have changed since it was
// asked, and a person is to decide now, it is asked anew.
func byPolicy(s state, verdict policy.Decision, m moment) *patchbayv1.Approval {
	who := by{"policy " + verdict.Rule, verdict.Reason}
	switch verdict.Then {
	case account.Approve:
		return decided(s.approval, approval.Approved, who, m)
	case account.Reject:
		return decided(s.approval, approval.Rejected, who, m)
	default:
		return requested(s, verdict, m)
	}
}

// by is who decided, and why.
type by struct{ who, why string }

func decided(a *patchbayv1.Approval, fact string, b by, m moment) *patchbayv1.Approval {
	d := following(a, fact, m)
	d.By, d.Reason = b.who, b.why
	d.Deadline, d.RemindAt, d.Wait = nil, nil, nil
	return d
}

// expired ends the time people had. An approval that waits on has no deadline any more.
func expired(s state, m moment) *patchbayv1.Approval {
	a := s.approval
	e := following(a, approval.Expired, m)
	e.Reason = "nobody decided until " + a.GetDeadline().AsTime().Format(time.RFC3339)
	e.Wait = nil
	if a.GetOnExpiry() == string(account.Approve) || a.GetOnExpiry() == string(account.Reject) {
		return e
	}
	e.Deadline = nil
	e.Wait = waiting(e, s.final)
	return e
}

// reminded counts a reminder and sets the next one. Reminders missed while nobody ran
// are one.
func reminded(s state, every time.Duration, m moment) *patchbayv1.Approval {
	r := following(s.approval, approval.Reminded, m)
	r.Reminders++
	r.RemindAt = nil
	if every > 0 {
		r.RemindAt = timestamppb.New(m.at.Add(every))
	}
	r.Wait = waiting(r, s.final)
	return r
}

// endedElsewhere closes an approval whose request is no longer there: somebody answered it
// in the exchange's portal, or the buyer took it back. None of our words for decisions
// would be true, so the approval has expired, by "elsewhere".
func endedElsewhere(a *patchbayv1.Approval, c *patchbayv1.Connection, m moment) *patchbayv1.Approval {
	e := following(a, approval.Expired, m)
	e.By = byElsewhere
	e.Reason = fmt.Sprintf("decided elsewhere: the connection is %s/%s and asks for no consent to a %s any more",
		c.GetStatus(), c.GetProviderStatus(), a.GetKind())
	e.Deadline, e.RemindAt, e.Wait = nil, nil, nil
	return e
}

// refusedByExchange says that the exchange does not take our rejection, once.
func refusedByExchange(a *patchbayv1.Approval, out exchange.Outcome, m moment) *patchbayv1.Approval {
	r := following(a, approval.Rejected, m)
	r.Wait = &patchbayv1.Wait{
		What: "the exchange to take the rejection", On: "exchange " + a.GetAccount(), Since: timestamppb.New(m.at),
		Until: timestamppb.New(m.at.Add(refusedPause)),
		Advice: fmt.Sprintf("the exchange answered %s %q; Patchbay tries again, a person may reject it in the portal",
			out.Code, out.Message),
	}
	return r
}

func following(a *patchbayv1.Approval, fact string, m moment) *patchbayv1.Approval {
	next := proto.CloneOf(a)
	next.Fact, next.At = fact, timestamppb.New(m.at)
	return next
}

// waiting says for what a waits, on whom, and what that person can do; final says that it
// cannot be rejected.
func waiting(a *patchbayv1.Approval, final bool) *patchbayv1.Wait {
	w := &patchbayv1.Wait{
		What: "approval", On: "operator", Since: a.GetRequestedAt(), Until: a.GetDeadline(),
		Advice: fmt.Sprintf("patchbay approve %s, or patchbay reject %s --reason TEXT", a.GetConnectionId(), a.GetConnectionId()),
	}
	if final {
		w.Advice = fmt.Sprintf("patchbay approve %s; the exchange has no way to reject a %s", a.GetConnectionId(), a.GetKind())
	}
	if r := a.GetRemindAt(); r != nil && (w.Until == nil || r.AsTime().Before(w.Until.AsTime())) {
		w.Until = r
	}
	if a.GetKind() == exchange.Delete {
		w.Advice += "; the circuit bills until then"
	}
	switch {
	case a.GetFact() == approval.Expired || a.GetDeadline() == nil:
		w.Advice += "; it waits until somebody decides"
	case a.GetOnExpiry() == string(account.Wait):
		w.Advice += "; after the deadline it waits on"
	default:
		w.Advice += "; at the deadline the answer is to " + a.GetOnExpiry()
	}
	return w
}

// A decision is what a person wants, and what he knew.
type decision struct {
	*patchbayv1.Decision
	// fact is approved or rejected.
	fact string
	// seen is the connection whose digest the decision names; nil if nobody was ever
	// asked about it.
	seen *patchbayv1.Connection
}

// judge returns the approval's next fact, or why there is none. An approval is final, but
// for one that cannot be carried out: that may still be rejected.
func judge(s state, d decision, m moment) (*patchbayv1.Approval, *patchbayv1.Refusal) {
	a := s.approval
	refusal := refusalOf(s, d, "", m)
	switch {
	case s.sight.Connection == nil:
		refusal.Message = "not allowed: nobody here has seen connection " + d.GetConnectionId()
	case s.account == "":
		refusal.Message = "not allowed: no seller account of ours is a party to the connection"
	case a == nil:
		refusal.Message = "not pending: the connection asks for no consent"
	case !open(a) && (!s.stuck || d.fact != approval.Rejected):
		refusal.Message = fmt.Sprintf("not pending: the %s was %s before, by %s", a.GetKind(), a.GetFact(), a.GetBy())
	case a.GetKind() != d.GetKind():
		refusal.Message = fmt.Sprintf("not pending: the connection asks for consent to a %s, not to a %s", a.GetKind(), d.GetKind())
	case a.GetDigest() != d.GetDigest():
		refusal.Message = "stale: the request is not what was decided upon; look at it and decide again"
		if d.seen != nil {
			refusal.Differences = approval.Differences(d.GetKind(), d.seen, a.GetConnection())
		}
	case d.fact == approval.Rejected && s.final:
		refusal.Message = fmt.Sprintf("not allowed: the exchange has no way to reject a %s; approve it, or let it wait", a.GetKind())
	default:
		return decided(a, d.fact, by{d.GetBy(), d.GetReason()}, m), nil
	}
	return nil, refusal
}

// possible is what a rule says, as far as the exchange lets us: where there is no way to
// reject, a person is asked who may settle it with the buyer, and time decides nothing.
func possible(d policy.Decision, s state) policy.Decision {
	if !s.final {
		return d
	}
	if d.Then == account.Reject {
		why := fmt.Sprintf("the rule says reject, and the exchange has no way to reject a %s", s.sight.Kind)
		if d.Reason != "" {
			why += ": " + d.Reason
		}
		return policy.Decision{Rule: d.Rule, Then: account.Ask, Reason: why, OnExpiry: account.Wait}
	}
	if d.OnExpiry == account.Reject {
		d.OnExpiry = account.Wait
	}
	return d
}

func refusalOf(s state, d decision, why string, m moment) *patchbayv1.Refusal {
	return &patchbayv1.Refusal{
		Fact: "decision", ConnectionId: d.GetConnectionId(), OrderId: s.sight.Connection.GetOrderId(),
		Message: why, Decision: d.Decision, At: timestamppb.New(m.at),
	}
}

// requestOf is what a rule sees of a request.
func requestOf(s state) policy.Request {
	c := s.sight.Connection
	bandwidth := c.GetBandwidthMbps()
	if s.sight.Kind == exchange.Change && c.GetPendingBandwidthMbps() > 0 {
		bandwidth = c.GetPendingBandwidthMbps()
	}
	a, z := c.GetASide(), c.GetZSide()
	return policy.Request{
		Kind: s.sight.Kind, Buyer: c.GetBuyerOrganization(), Name: c.GetName(), BandwidthMbps: int(bandwidth),
		Metro: z.GetMetro(), Region: z.GetRegion(), Profile: z.GetProfileId(), ProfileName: z.GetProfileName(),
		CurrentMbps: int(c.GetBandwidthMbps()), RoutingID: s.routingID,
		Account: s.account, API: s.api, Exchange: c.GetExchange(), BuyerMetro: a.GetMetro(),
		BuyerPort: a.GetPortId(), BuyerTag: int(exchange.Outer(a.GetTag())), BuyerAccount: c.GetBuyerAccount(),
		Peering: z.GetPeering(), Redundancy: c.GetRedundancy(), Token: c.GetFlow() == "token",
		PurchaseOrder: c.GetPurchaseOrder(),
	}
}
