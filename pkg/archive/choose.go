package archive

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Reasons to keep what cannot be put away yet.
const (
	Open    = "open: it, or what belongs to it, has not ended"
	Young   = "young: it, or what belongs to it, ended too short a time ago"
	Held    = "held: it has a tag, a token or a turn that was not given back"
	Unseen  = "unseen: an order names a circuit that was never seen"
	Strange = "unreadable"
)

// life is what matters of an entity's last fact.
type life struct {
	last journal.Record // without its data
	// archived: an archive has its facts up to here; below says that they are still there.
	archived, below bool
	// outcome is where it ended, empty if it did not; keep is why it stays in any case.
	outcome, keep string
	// kind and digest of an order.
	kind, digest string
	// with are the ids of the orders and circuits that it belongs together with; needs are
	// those of circuits that have to be known; owners have the hold.
	with, needs, owners []string
}

// lifeOf reads a last fact.
func lifeOf(r journal.Record) *life {
	l := &life{last: r}
	e := r.Entity()
	if e.Noun != event.Hold && e.Noun != event.Token {
		l.with = append(l.with, e.ID)
	}
	if r.Archived() {
		l.archived = true
	} else if read := readers[e.Noun]; read == nil || read(l, r) != nil {
		l.keep = Strange
	}
	l.last.Event.DataEncoded = nil
	return l
}

// readers tell of each noun whether it ended, and what it belongs to.
var readers = map[event.Noun]func(*life, journal.Record) error{
	event.Order:      readOrder,
	event.Connection: readConnection,
	event.Approval: reader(func(l *life, a *patchbayv1.Approval) {
		if a.GetFact() != "requested" && a.GetFact() != "reminded" {
			l.outcome = a.GetFact()
		}
	}),
	event.Landing: reader(func(l *life, a *patchbayv1.Landing) {
		if a.GetFact() == "failed" || a.GetFact() == "released" {
			l.outcome = a.GetFact()
		}
	}),
	event.Change: reader(func(l *life, c *patchbayv1.Change) {
		// It is over with its circuit at the latest, so that one has to be known.
		l.outcome, l.needs = c.GetStatus(), []string{c.GetConnectionId()}
		l.with = append(l.with, c.GetOrderId())
	}),
	event.Sighting: reader(func(l *life, s *patchbayv1.Sighting) { l.outcome = s.GetRole() }),
	event.Refusal:  reader(func(l *life, r *patchbayv1.Refusal) { l.outcome = r.GetFact() }),
	event.Account:  reader(func(*life, *patchbayv1.AccountPause) {}), // has no end
	event.Token: reader(func(l *life, t *patchbayv1.Token) {
		if t.GetState() == "EXPIRED" || t.GetState() == "DELETED" {
			l.outcome = t.GetState()
		}
	}),
	event.Hold: reader(func(l *life, h *patchbayv1.Hold) {
		for _, o := range h.GetOwners() {
			l.owners = append(l.owners, o.GetId())
		}
		if len(l.owners) == 0 {
			l.outcome = h.GetFact()
		}
	}),
}

// reader reads the data into a message of its kind.
func reader[T any, M interface {
	*T
	proto.Message
}](tell func(*life, M)) func(*life, journal.Record) error {
	return func(l *life, r journal.Record) error {
		m := M(new(T))
		if err := r.Into(m); err != nil {
			return err
		}
		tell(l, m)
		return nil
	}
}

func readOrder(l *life, r journal.Record) error {
	o := new(patchbayv1.Order)
	if err := r.Into(o); err != nil {
		return err
	}
	l.kind, l.digest = o.GetKind(), o.GetPayloadDigest()
	if order.Over(o) {
		l.outcome = o.GetOutcome()
	}
	for _, leg := range o.GetLegs() {
		if leg.GetConnectionId() != "" {
			l.needs = append(l.needs, leg.GetConnectionId())
		}
	}
	for _, id := range o.GetOrphans() {
		l.needs = append(l.needs, event.ConnectionID(o.GetExchange(), id))
	}
	l.with = append(l.with, l.needs...)
	l.with = append(l.with, o.GetTargetOrderId(), o.GetCancelledBy(),
		o.GetChange().GetTarget().GetConnectionId(), o.GetDelete().GetTarget().GetConnectionId())
	return nil
}

func readConnection(l *life, r journal.Record) error {
	t := new(patchbayv1.Transition)
	if err := r.Into(t); err != nil {
		return err
	}
	c := t.GetConnection()
	if s := status.Status(c.GetStatus()); s.Ended() && !t.GetInferred() {
		l.outcome = string(s)
	}
	l.with = append(l.with, c.GetOrderId())
	return nil
}

// choose returns what may be put away: whole families of orders, circuits and all that is
// about them, of which everything ended before the cut and nothing is held. Of the rest it
// counts why it stays.
func choose(all map[event.Entity]*life, cut time.Time) (chosen []event.Entity, kept map[string]int) {
	families := families{}
	for e, l := range all {
		families.join(e.String(), l.with...)
	}
	why := map[string]string{} // of a family
	blame := func(id, reason string) {
		if id = families.of(id); why[id] == "" || why[id] == Young {
			why[id] = reason // that it is young passes by itself, so it is the least to say
		}
	}
	for e, l := range all {
		switch {
		case l.keep != "":
			blame(e.String(), l.keep)
		case !l.archived && l.outcome == "":
			blame(e.String(), Open)
		case !l.archived && !l.last.Stamp.Before(cut):
			blame(e.String(), Young)
		}
		for _, id := range l.needs {
			if all[event.Entity{Noun: event.Connection, ID: id}] == nil {
				blame(e.String(), Unseen)
			}
		}
		for _, id := range l.owners {
			blame(id, Held)
		}
	}
	kept = map[string]int{}
	for e, l := range all {
		reason := why[families.of(e.String())]
		switch {
		case l.archived:
		case reason != "":
			kept[reason]++
		default:
			chosen = append(chosen, e)
		}
	}
	// Circuits first: nobody does anything about one that was put away.
	slices.SortFunc(chosen, func(a, b event.Entity) int {
		return cmp.Or(later(a)-later(b), cmp.Compare(all[a].last.Seq, all[b].last.Seq))
	})
	return chosen, kept
}

func later(e event.Entity) int {
	if e.Noun == event.Connection {
		return 0
	}
	return 1
}

// families joins what belongs together: names to the name that stands for all of them.
type families map[string]string

func (f families) of(id string) string {
	for f[id] != "" && f[id] != id {
		if up := f[f[id]]; up != "" {
			f[id] = up
		}
		id = f[id]
	}
	return id
}

func (f families) join(id string, with ...string) {
	for _, w := range with {
		if w != "" {
			f[f.of(w)] = f.of(id)
		}
	}
}
