package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/sandbox"
)

// story is the journal, read once and sorted by entity.
type story struct {
	orders      map[string][]*patchbayv1.Order
	connections map[string][]*patchbayv1.Transition
	holds       map[string][]*patchbayv1.Hold
	refusals    map[string][]*patchbayv1.Refusal
	numbers     map[event.Entity]uint64
	// asked follows, fact by fact, who has asked the exchange for which tag.
	asked map[string]map[string]asking
}

// asking is a leg that has asked for a tag and may have a circuit on it.
type asking struct {
	inner      int32
	connection string
}

// read reads the whole journal and checks what every fact must keep: sequences without
// gap, and no secret anywhere.
func (w *world) read() story {
	s := story{
		orders: map[string][]*patchbayv1.Order{}, connections: map[string][]*patchbayv1.Transition{},
		holds: map[string][]*patchbayv1.Hold{}, refusals: map[string][]*patchbayv1.Refusal{},
		numbers: map[event.Entity]uint64{}, asked: map[string]map[string]asking{},
	}
	err := w.own.History(w.t.Context(), []string{"patchbay.>"}, func(r journal.Record) error {
		e := r.Entity()
		s.numbers[e]++
		if r.Number() != s.numbers[e] {
			w.t.Errorf("invariant 3: %s fact %d has sequence %d", e, s.numbers[e], r.Number())
		}
		if strings.Contains(string(r.Event.Data()), canary) {
			w.t.Errorf("invariant 7: a secret stands in %s", r.Subject)
		}
		if err := s.add(e, r); err != nil {
			return err
		}
		switch e.Noun {
		default:
		case event.Order:
			facts := s.orders[e.ID]
			w.followTags(s, facts[len(facts)-1])
		case event.Connection:
			path := s.connections[e.ID]
			if st := status.Status(path[len(path)-1].GetTo().GetStatus()); st.Ended() {
				s.forget(e.ID)
			}
		}
		return nil
	})
	if err != nil {
		w.t.Errorf("read the journal: %v", err)
	}
	return s
}

func (s story) add(e event.Entity, r journal.Record) error {
	switch e.Noun {
	case event.Order:
		o := new(patchbayv1.Order)
		s.orders[e.ID] = append(s.orders[e.ID], o)
		return r.Into(o)
	case event.Connection:
		t := new(patchbayv1.Transition)
		s.connections[e.ID] = append(s.connections[e.ID], t)
		return r.Into(t)
	case event.Hold:
		h := new(patchbayv1.Hold)
		s.holds[e.ID] = append(s.holds[e.ID], h)
		return r.Into(h)
	case event.Refusal:
		f := new(patchbayv1.Refusal)
		s.refusals[e.ID] = append(s.refusals[e.ID], f)
		return r.Into(f)
	default:
		return nil
	}
}

// check holds the journal against the invariants and against the exchange's own books.
func (w *world) check(wishes []wish) {
	s := w.read()
	books := w.exchange.Inventory().Connections
	w.checkOrders(s, wishes)
	w.checkLegs(s, books)
	for _, c := range books {
		w.checkTransitions(s, c)
	}
	w.checkHolds(s)
	w.count(s)
	if strings.Contains(w.log.String(), canary) {
		w.t.Errorf("invariant 7: a secret stands in the log")
	}
}

// checkOrders: every wish has one order, which took allowed steps and ended; wrong ones
// say why.
func (w *world) checkOrders(s story, wishes []wish) {
	for _, x := range wishes {
		facts := s.orders[x.orderID()]
		if len(facts) == 0 {
			w.t.Errorf("invariant 2: %s has no order", x.id)
			continue
		}
		var before *patchbayv1.Order
		for _, o := range facts {
			if err := order.Check(before, o); err != nil {
				w.t.Errorf("order of %s: %v", x.id, err)
			}
			if o.GetOutcome() == "" && o.GetWait().GetWhat() == "" {
				w.t.Errorf("invariant 2: order of %s waits for nothing at %s", x.id, o.GetFact())
			}
			before = o
		}
		last := facts[len(facts)-1]
		switch {
		case x.wrong && (last.GetOutcome() != "invalid" && last.GetFailure().GetReason() != "invalid"):
			w.t.Errorf("invariant 8: %s ended %q, want invalid", x.id, last.GetOutcome())
		case x.wrong && len(last.GetViolations()) == 0:
			w.t.Errorf("invariant 8: %s is invalid without a violation", x.id)
		case !x.wrong && last.GetOutcome() == "invalid":
			w.t.Errorf("%s is right and was found invalid: %v", x.id, last.GetViolations())
		case len(last.GetOrphans()) > 0:
			w.t.Errorf("invariant 1: %s left orphans %v", x.id, last.GetOrphans())
		}
	}
}

// checkLegs: each circuit that our account created belongs to one leg of one order, and
// each leg has at most one circuit.
func (w *world) checkLegs(s story, books []sandbox.Connection) {
	claims := map[string][]string{}
	for id, facts := range s.orders {
		last := facts[len(facts)-1]
		if last.GetKind() != "create" {
			continue
		}
		seen := map[string]map[string]bool{}
		for _, o := range facts {
			for _, l := range o.GetLegs() {
				if l.GetExchangeId() != "" {
					if seen[l.GetLeg()] == nil {
						seen[l.GetLeg()] = map[string]bool{}
					}
					seen[l.GetLeg()][l.GetExchangeId()] = true
				}
			}
		}
		for leg, ids := range seen {
			if len(ids) > 1 {
				w.t.Errorf("invariant 1: leg %s of order %s had %d circuits", leg, id, len(ids))
			}
			for x := range ids {
				claims[x] = append(claims[x], id+"/"+leg)
			}
		}
		if last.GetOutcome() == "completed" && len(seen) != len(last.GetLegs()) {
			w.t.Errorf("order %s completed with %d circuits for %d legs", id, len(seen), len(last.GetLegs()))
		}
	}
	for _, c := range books {
		if c.Buyer == "Acme" && len(claims[c.ID]) != 1 {
			w.t.Errorf("invariant 1: circuit %s (%s, created %s) belongs to %d legs %v", c.ID, c.Name,
				c.Created.Format("15:04:05"), len(claims[c.ID]), claims[c.ID])
		}
		delete(claims, c.ID)
	}
	for id, legs := range claims {
		w.t.Errorf("invariant 1: circuit %s of %v does not exist", id, legs)
	}
}

// checkTransitions: the path of a circuit in the journal has no gap, was not invented, and
// ends where the exchange's own history ends.
func (w *world) checkTransitions(s story, c sandbox.Connection) {
	path := s.connections[event.ConnectionID("equinix", c.ID)]
	if len(path) == 0 {
		w.t.Errorf("invariant 3: circuit %s (%s) was never announced", c.ID, c.Name)
		return
	}
	var truth []string
	for _, h := range c.History {
		truth = append(truth, words(h.Status, h.ProviderStatus))
	}
	at := 0
	for i, t := range path {
		if i > 0 && !sameState(t.GetFrom(), path[i-1].GetTo()) {
			w.t.Errorf("invariant 3: %s goes from %v though it was at %v", c.Name, t.GetFrom(), path[i-1].GetTo())
		}
		if i == 0 && t.GetFrom() != nil {
			w.t.Errorf("invariant 3: the first transition of %s comes from %v", c.Name, t.GetFrom())
		}
		to := t.GetTo().GetStatus() + "/" + t.GetTo().GetProviderStatus()
		if strings.Contains(to, "UNKNOWN") || (i > 0 && bare(t.GetFrom()) == to) {
			continue
		}
		if i > 0 && at > 0 && truth[at-1] == to && strings.Contains(bare(t.GetFrom()), "UNKNOWN") {
			continue // back from a word that nobody knows
		}
		found := slices.Index(truth[at:], to)
		if found < 0 {
			w.t.Errorf("invariant 3: %s never went to %s; the exchange's history is %v, ours %v", c.Name, to, truth, tos(path))
			return
		}
		at += found + 1
	}
	last := path[len(path)-1]
	if got, want := bare(last.GetTo()), words(c.Status, c.ProviderStatus); got != want {
		w.t.Errorf("invariant 4: %s is %s, and %s at the exchange", c.Name, got, want)
	}
}

func tos(path []*patchbayv1.Transition) []string {
	var all []string
	for _, t := range path {
		s := bare(t.GetTo())
		if t.GetInferred() {
			s += "(inferred)"
		}
		all = append(all, s)
	}
	return all
}

// words writes the exchange's words as ours.
func words(native, provider string) string {
	s := status.Normalise(status.ECX, status.Native{Status: native, ProviderStatus: provider})
	return string(s.Status) + "/" + string(s.Provider)
}

func bare(s *patchbayv1.State) string { return s.GetStatus() + "/" + s.GetProviderStatus() }

func sameState(a, b *patchbayv1.State) bool { return bare(a) == bare(b) }

// followTags: while a leg of an order may have a circuit on a tag, no other order asks the
// exchange for that tag.
func (w *world) followTags(s story, o *patchbayv1.Order) {
	for _, l := range o.GetLegs() {
		if o.GetKind() != "create" {
			continue
		}
		side := o.GetCreate().GetPrimary().GetASide()
		if l.GetLeg() == "secondary" {
			side = o.GetCreate().GetSecondary().GetASide()
		}
		outer, inner := hold.OuterInner(side.GetTag())
		key := hold.TagKey("equinix", side.GetPortId(), outer)
		who := o.GetId() + "/" + l.GetLeg()
		if s.asked[key] == nil {
			s.asked[key] = map[string]asking{}
		}
		path := s.connections[l.GetConnectionId()]
		ended := len(path) > 0 && status.Status(path[len(path)-1].GetTo().GetStatus()).Ended()
		switch state := l.GetState(); {
		case ended, state == "failed" && l.GetExchangeId() == "":
			delete(s.asked[key], who)
		case state == "placing", state == "uncertain", state == "placed":
			for other, a := range s.asked[key] {
				if other != who && (a.inner == inner || a.inner == 0 || inner == 0) && state == "placing" {
					w.t.Errorf("invariant 5: %s asks for %s, which %s has", who, key, other)
				}
			}
			s.asked[key][who] = asking{inner, l.GetConnectionId()}
		}
	}
}

// forget takes a circuit that has ended off its tag.
func (s story) forget(connection string) {
	for _, legs := range s.asked {
		for who, a := range legs {
			if a.connection == connection {
				delete(legs, who)
			}
		}
	}
}

// checkHolds: a tag has one owner of the whole, or owners of different inner tags; and at
// the end nobody holds what he has no circuit for.
func (w *world) checkHolds(s story) {
	for _, facts := range s.holds {
		for _, h := range facts {
			inner := map[int32]bool{}
			for _, o := range h.GetOwners() {
				if inner[o.GetInner()] || (o.GetInner() == 0 && len(h.GetOwners()) > 1) {
					w.t.Errorf("invariant 5: %s has owners %v", h.GetKey(), h.GetOwners())
				}
				inner[o.GetInner()] = true
			}
		}
		last := facts[len(facts)-1]
		for _, o := range last.GetOwners() {
			if !s.lives(o) {
				w.t.Errorf("invariant 5: %s is still held by %s %s %s, which has no circuit", last.GetKey(), o.GetNoun(), o.GetId(), o.GetLeg())
			}
		}
	}
}

// lives reports whether an owner of a tag has a circuit, or may get one.
func (s story) lives(owner *patchbayv1.Owner) bool {
	id := owner.GetId()
	if owner.GetNoun() == "order" {
		facts := s.orders[id]
		if len(facts) == 0 {
			return false
		}
		for _, l := range facts[len(facts)-1].GetLegs() {
			if l.GetLeg() == owner.GetLeg() {
				id = l.GetConnectionId()
			}
		}
	}
	path := s.connections[id]
	return len(path) > 0 && !status.Status(path[len(path)-1].GetTo().GetStatus()).Ended()
}

// unsettled says what keeps the world from being quiet.
func (w *world) unsettled(wishes []wish) []string {
	var open []string
	orders := map[string]*patchbayv1.Order{}
	for _, r := range w.each(event.Order) {
		o := new(patchbayv1.Order)
		if err := r.Into(o); err != nil {
			return []string{err.Error()}
		}
		orders[o.GetId()] = o
		if o.GetOutcome() == "" {
			open = append(open, fmt.Sprintf("order %s of %s: %s, waits for %s", o.GetId(), o.GetIntentId(), legs(o), protojson.Format(o.GetWait())))
		}
	}
	for _, x := range wishes {
		if orders[x.orderID()] == nil {
			open = append(open, x.id+" has no order")
		}
	}
	for _, a := range w.waiting() {
		open = append(open, fmt.Sprintf("approval of %s %s", a.GetKind(), a.GetConnection().GetName()))
	}
	ours := map[string]*patchbayv1.Transition{}
	for _, r := range w.each(event.Connection) {
		t := new(patchbayv1.Transition)
		if err := r.Into(t); err != nil {
			return []string{err.Error()}
		}
		ours[t.GetConnection().GetId()] = t
	}
	for _, c := range w.exchange.Inventory().Connections {
		t := ours[event.ConnectionID("equinix", c.ID)]
		if got, want := bare(t.GetTo()), words(c.Status, c.ProviderStatus); got != want {
			open = append(open, fmt.Sprintf("circuit %s is %s for us and %s at the exchange", c.Name, got, want))
		}
	}
	return open
}

func legs(o *patchbayv1.Order) string {
	s := o.GetFact()
	for _, l := range o.GetLegs() {
		s += fmt.Sprintf(" %s=%s/%d", l.GetLeg(), l.GetState(), l.GetAttempt().GetNumber())
	}
	return s
}

// tally is what happened in all worlds of a run.
type tally struct {
	orders, circuits, transitions, inferred, facts, crashes, attempts int
	outcomes                                                          map[string]int
}

// count adds a world to the run's tally.
func (w *world) count(s story) {
	if w.tally == nil {
		return
	}
	for _, facts := range s.orders {
		o := facts[len(facts)-1]
		w.tally.orders++
		w.tally.outcomes[strings.TrimSuffix(o.GetOutcome()+" "+o.GetFailure().GetReason(), " ")]++
		for _, l := range o.GetLegs() {
			w.tally.attempts += int(l.GetAttempt().GetNumber())
		}
	}
	for _, path := range s.connections {
		w.tally.circuits++
		w.tally.transitions += len(path)
		for _, t := range path {
			if t.GetInferred() {
				w.tally.inferred++
			}
		}
	}
	for _, n := range s.numbers {
		w.tally.facts += int(n)
	}
	for _, p := range w.procs {
		w.tally.crashes += int(p.crashes.Load())
	}
}

func (t tally) String() string {
	var ends []string
	for _, o := range slices.Sorted(maps.Keys(t.outcomes)) {
		ends = append(ends, fmt.Sprintf("%d %s", t.outcomes[o], o))
	}
	return fmt.Sprintf("%d orders (%s), %d attempts, %d circuits, %d transitions (%d inferred), %d facts, %d crashes",
		t.orders, strings.Join(ends, ", "), t.attempts, t.circuits, t.transitions, t.inferred, t.facts, t.crashes)
}
