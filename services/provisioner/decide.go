package provisioner

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Facts of a landing.
const (
	reserved  = "reserved"
	accepting = "accepting"
	accepted  = "accepted"
	failed    = "failed"
	released  = "released"
)

// state is what the journal says about one connection, its approval and its landing.
type state struct {
	sight approval.Sight
	// inferred: the connection's last status was concluded, not seen.
	inferred bool
	// approval is nil if nothing was ever asked; fresh if it is newer than the landing.
	approval *patchbayv1.Approval
	fresh    bool
	// landing is nil if there never was one.
	landing *patchbayv1.Landing
}

// A deed is the one next thing to do for a connection.
type deed string

const (
	nothing deed = "nothing"
	// await: only see to it that the timer is armed.
	await deed = "await"
	// choose a port and a tag, and reserve them.
	choose deed = "choose"
	// take the hold of where it is to land, unless it is held already, then accept.
	take deed = "take"
	// accept a change or delete at the exchange, after a look.
	accept deed = "accept"
	// look at the exchange at what became of the landing without us.
	look deed = "look"
	// release what the landing holds.
	release deed = "release"
)

// next returns what to do at a moment, by the stamp of the nudge.
func next(s state, now time.Time) deed {
	c, l := s.sight.Connection, s.landing
	switch {
	case c == nil, s.inferred, c.GetStatus() == string(status.Unknown):
		return nothing
	case status.Status(c.GetStatus()).Ended():
		if l == nil {
			return nothing
		}
		return release
	case unfinished(l) && l.GetKind() != s.sight.Kind:
		return look
	case !approved(s):
		return nothing
	case begins(s):
		if s.sight.Kind == exchange.Create {
			return choose
		}
		return accept
	}
	return proceed(s, now)
}

// approved reports whether what the connection waits for is what was approved, to the
// letter.
func approved(s state) bool {
	a := s.approval
	return a.GetFact() == approval.Approved && s.sight.Kind != "" && a.GetKind() == s.sight.Kind &&
		a.GetDigest() == approval.Digest(s.sight.Connection, s.sight.Kind)
}

// unfinished reports whether a landing has something before it still.
func unfinished(l *patchbayv1.Landing) bool {
	switch l.GetFact() {
	case reserved, accepting:
		return true
	case failed:
		return l.GetWait() != nil
	}
	return false
}

// begins reports whether the approval begins a landing: there is none, or it was for
// something else, or it has come to its end before the approval.
func begins(s state) bool {
	l := s.landing
	switch {
	case l == nil, l.GetKind() != s.sight.Kind, l.GetFact() == released:
		return true
	case l.GetFact() == accepted:
		return s.fresh
	case l.GetFact() == failed:
		return s.fresh && (l.GetKind() != exchange.Create || l.GetPortId() == "")
	}
	return false
}

// proceed returns the next thing for a landing that is under way. An acceptance belongs
// to whoever wrote it down until its time is over. A failure is over when it has been
// approved again.
func proceed(s state, now time.Time) deed {
	l := s.landing
	over := !now.Before(l.GetWait().GetUntil().AsTime()) || s.fresh && l.GetFact() == failed
	switch {
	case l.GetFact() == reserved:
		return take
	case l.GetFact() == accepted:
		return nothing
	case !over:
		return await
	case l.GetKind() == exchange.Create && l.GetPortId() == "":
		return choose
	case l.GetKind() == exchange.Create:
		return take // it may have been given back right before a crash
	}
	return accept
}

// quiet reports whether news of a circuit leaves nothing to do, whatever it waits for: what was
// approved is accepted, and the circuit has not ended.
func quiet(s state, news *patchbayv1.Connection) bool {
	l := s.landing
	return l.GetFact() == accepted && !s.fresh && l.GetKind() == s.approval.GetKind() &&
		!status.Status(news.GetStatus()).Ended()
}

// progress is how far the exchange is with a consent.
type progress string

const (
	pending   progress = "pending"   // it waits for the consent
	maybe     progress = "maybe"     // a change is under way, and the API does not show whether it waits
	moved     progress = "moved"     // the consent is given
	withdrawn progress = "withdrawn" // nobody asks for it any more
	ended     progress = "ended"     // the circuit is no more
	unclear   progress = "unclear"   // a word nobody documented
)

// progressOf reads from the exchange's own view how far a consent is.
func progressOf(kind string, c *patchbayv1.Connection) progress {
	s := status.Status(c.GetStatus())
	switch {
	case !s.Known():
		return unclear
	case kind == exchange.Delete && (s == status.Deprovisioning || s.Ended()):
		return moved
	case s.Ended():
		return ended
	case approval.Kind(c) == kind:
		return pending
	case kind == exchange.Delete:
		return withdrawn
	case kind == exchange.Change && c.GetChangePending():
		return maybe
	}
	return moved
}

// after returns how far a consent is after a call that gave it.
func after(p progress, class exchange.Class) progress {
	if p != maybe {
		return p
	}
	switch class {
	case exchange.NotSent, exchange.Busy, exchange.Unknown, exchange.Moving:
		return unclear
	default:
		return moved // the exchange gave its word that nothing waits
	}
}

// following is l entering another fact.
func following(l *patchbayv1.Landing, fact string, at time.Time) *patchbayv1.Landing {
	n := proto.CloneOf(l)
	n.Fact, n.At = fact, timestamppb.New(at)
	n.Wait, n.Failure = nil, nil
	return n
}

// first is the landing of an approval before anything was done for it. Of an earlier
// landing it keeps where the circuit is.
func first(s state) *patchbayv1.Landing {
	c := s.sight.Connection
	n := &patchbayv1.Landing{
		ConnectionId: c.GetId(), Kind: s.sight.Kind, Account: s.approval.GetAccount(), Exchange: c.GetExchange(),
		ExchangeId: c.GetExchangeId(), ApprovalDigest: s.approval.GetDigest(),
	}
	if l := s.landing; l != nil && l.GetFact() != released {
		n.PortId, n.Metro, n.Encapsulation = l.GetPortId(), l.GetMetro(), l.GetEncapsulation()
		n.Tag, n.HoldId = proto.CloneOf(l.GetTag()), l.GetHoldId()
	}
	return n
}

// toAccept is l with the licence to make one call until a time.
func toAccept(l *patchbayv1.Landing, within time.Duration, at time.Time) *patchbayv1.Landing {
	n := following(l, accepting, at)
	n.Wait = &patchbayv1.Wait{
		What: "the exchange's answer", On: "exchange " + l.GetAccount(),
		Since: timestamppb.New(at), Until: timestamppb.New(at.Add(within)),
		Advice: "after that Patchbay looks at the exchange, and accepts again if it is still pending",
	}
	return n
}

// refused is l after the exchange refused the consent for a reason that a person has to
// cure. What it holds it keeps.
func refused(l *patchbayv1.Landing, out exchange.Outcome, at time.Time) *patchbayv1.Landing {
	n := following(l, failed, at)
	n.Failure = &patchbayv1.Failure{
		Reason: "refused", Message: "the exchange refuses the consent to the " + l.GetKind(),
		Code: out.Code, ExchangeMessage: out.Message, Property: out.Property,
	}
	n.Wait = forPerson(at, "see what the exchange complains about; Patchbay tries again, "+
		"and notices if somebody accepts or rejects it in the portal")
	return n
}

// cancelled is l after nobody asked for the consent any more.
func cancelled(l *patchbayv1.Landing, at time.Time) *patchbayv1.Landing {
	n := following(l, failed, at)
	n.Failure = &patchbayv1.Failure{Reason: "cancelled",
		Message: "nobody asks for consent to a " + l.GetKind() + " any more"}
	return n
}

func forPerson(at time.Time, advice string) *patchbayv1.Wait {
	return &patchbayv1.Wait{What: "a person", On: "operator", Since: timestamppb.New(at),
		Until: timestamppb.New(at.Add(failedPause)), Advice: advice}
}
