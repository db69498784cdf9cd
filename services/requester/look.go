package requester

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// slack is how far two clocks that are compared may be apart beyond what is known of them.
const slack = 5 * time.Second

// sought says which circuits may be the one that a lost answer was about.
type sought struct {
	// since is when the leg's first attempt was written down, by the exchange's clock.
	since time.Time
	// foreign has the exchange's ids of circuits that belong to something else.
	foreign []string
	// before: an attempt before the last one may have reached the exchange.
	before bool
}

// may reports whether c can be ours, and whether that can be told at all.
func (w sought) may(c *patchbayv1.Connection) (ours, clear bool) {
	switch {
	case slices.Contains(w.foreign, c.GetExchangeId()):
		return false, true
	case c.GetCreatedAt() == nil:
		return true, false
	default:
		return !c.GetCreatedAt().AsTime().Before(w.since.Add(-slack)), true
	}
}

// afterFind returns the fact that follows a look for lost circuits: those that were found,
// by leg, sifted by what may be ours. It returns nil if nothing changes by it.
func afterFind(s *state, found map[string][]*patchbayv1.Connection, by map[string]sought, now time.Time) *patchbayv1.Order {
	var legs []*patchbayv1.OrderLeg
	next := s.next("", "")
	changed := false
	for _, l := range inState(next, order.Uncertain) {
		want, asked := by[l.GetLeg()]
		if !asked {
			continue
		}
		legs = append(legs, l)
		was := l.GetAttempt().GetCandidates()
		ours, clear := sift(found[l.GetLeg()], want)
		switch {
		case len(ours) == 1 && clear:
			place(next, l, ours[0])
			l.Group = groupOf(found[l.GetLeg()], ours[0])
			changed = true
		case len(ours) > 0:
			l.Attempt.Candidates = ours
			changed = changed || !slices.Equal(was, ours)
		default:
			nothingFound(s, l, now)
			takenByOthers(l, want.before)
			changed = true
		}
	}
	_, next.Leg = names(legs)
	if !changed {
		return nil
	}
	sum(next)
	return next
}

// sift returns the ids of the circuits that may be ours, sorted, and whether all are clear.
//
// One that has ended counts if none lives: a seller may have rejected it, or somebody may
// have deleted it in the portal, before we came to look. It was the answer to our call all
// the same, and to place the leg again would make a second circuit of one leg.
func sift(found []*patchbayv1.Connection, want sought) (ids []string, clear bool) {
	clear = true
	lives := func(c *patchbayv1.Connection) bool {
		ours, _ := want.may(c)
		return ours && !status.Status(c.GetStatus()).Ended()
	}
	anyLives := slices.ContainsFunc(found, lives)
	for _, c := range found {
		if ours, sure := want.may(c); ours && (lives(c) || !anyLives) {
			ids = append(ids, c.GetExchangeId())
			clear = clear && sure
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), clear
}

// nothingFound notes a look in vain. It counts only if the attempt was over before it.
func nothingFound(s *state, l *patchbayv1.OrderLeg, now time.Time) {
	a := l.GetAttempt()
	a.Candidates = nil
	a.LookedAt = timestamppb.New(now)
	if !now.Before(s.over(l)) {
		a.Looks++
	}
}

// takenByOthers ends a leg of which the exchange said that its tag or token is taken, and
// that none of our attempts can have taken.
func takenByOthers(l *patchbayv1.OrderLeg, triedBefore bool) {
	if f := l.GetFailure(); f.GetReason() == refused && !triedBefore {
		f.Message = "somebody else has the tag or token at the exchange"
		fail(l, f)
	}
}

// groupOf is the redundancy group that a found circuit shows.
func groupOf(found []*patchbayv1.Connection, id string) string {
	for _, c := range found {
		if c.GetExchangeId() == id {
			return c.GetRedundancyGroup()
		}
	}
	return ""
}

// afterGet returns the fact that follows a look at the circuits of a change or delete:
// each as the exchange shows it, nil for one that the exchange does not know any more. It
// returns nil if nothing changes by it.
func afterGet(s *state, seen map[string]*patchbayv1.Connection, now time.Time) *patchbayv1.Order {
	next := s.next("", "")
	var changed []*patchbayv1.OrderLeg
	for _, l := range next.GetLegs() {
		c, looked := seen[l.GetLeg()]
		if !looked {
			continue
		}
		before := proto.CloneOf(l)
		if s.order.GetKind() == exchange.Delete {
			getOfDelete(s, l, c, now)
		} else {
			getOfChange(s, l, c, now)
		}
		if !proto.Equal(before, l) {
			changed = append(changed, l)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	_, next.Leg = names(changed)
	sum(next)
	return next
}

func getOfDelete(s *state, l *patchbayv1.OrderLeg, c *patchbayv1.Connection, now time.Time) {
	at := status.Status(c.GetStatus())
	switch {
	case l.GetState() == order.Placed:
		if at == status.Provisioned && !now.Before(s.calm(l)) {
			fail(l, s.circuits[l.GetLeg()].rejected("the circuit stands as before, and still bills; the other company "+
				"did not agree to the deletion", c.GetRejectComment()))
		}
	case c == nil, at.Ended():
		l.State = order.Completed
	case at == status.PendingDelete, at == status.Deprovisioning:
		l.State = order.Placed
	default:
		nothingFound(s, l, now)
		takenByOthers(l, l.GetAttempt().GetNumber() > 1)
	}
}

func getOfChange(s *state, l *patchbayv1.OrderLeg, c *patchbayv1.Connection, now time.Time) {
	set, known := order.SetFor(s.order, l.GetLeg()), s.circuits[l.GetLeg()]
	pending := c.GetChangePending() && set.BandwidthMbps != nil && c.GetPendingBandwidthMbps() == set.GetBandwidthMbps()
	switch {
	case c == nil, status.Status(c.GetStatus()).Ended():
		fail(l, known.unchanged(&patchbayv1.Failure{Reason: gone, Message: "the circuit is no more"}))
	case shown(set) && shows(c, set):
		l.State = order.Completed
	case l.GetState() == order.Placed:
		if ended := !c.GetChangePending() && c.GetPendingBandwidthMbps() == 0; ended && !now.Before(s.calm(l)) {
			fail(l, known.unchanged(known.rejected("the circuit stands as before, and no change of it is under way; "+
				"the other company did not agree", c.GetRejectComment())))
		}
	case pending:
		l.State = order.Placed
	default:
		nothingFound(s, l, now)
		takenByOthers(l, l.GetAttempt().GetNumber() > 1)
	}
}
