package simulation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// check holds the journal against the invariants and against the exchange's own books,
// and the orders against what was wished.
func (w *world) check(wishes []wish) {
	secrets := append([]string{canary, eplToken}, w.secrets...)
	s := invariants.NewStory(secrets...)
	if err := w.own.History(w.t.Context(), []string{"patchbay.>"}, s.Add); err != nil {
		w.t.Errorf("read the journal: %v", err)
	}
	for _, found := range s.Check(w.exchange.Inventory(), "Acme") {
		w.t.Error(found)
	}
	for _, x := range wishes {
		w.checkOutcome(x, s.Order(x.orderID()))
	}
	for _, secret := range secrets {
		if strings.Contains(w.log.String(), secret) {
			w.t.Errorf("invariant 7: a secret stands in the log")
		}
	}
	w.count(s)
	if w.t.Failed() {
		w.keepFacts()
	}
}

// keepFacts reads the journal for whoever looks for the cause.
func (w *world) keepFacts() {
	var all strings.Builder
	err := w.own.History(w.t.Context(), []string{"patchbay.>"}, func(r journal.Record) error {
		fmt.Fprintf(&all, "%d %s %s %s\n", r.Seq, r.Event.Time().UTC().Format("15:04:05.000"), r.Subject, r.Event.Data())
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	w.facts = all.String()
}

// checkOutcome: every wish has an order; wrong ones say why, and right ones are not found
// to be wrong.
func (w *world) checkOutcome(x wish, o *patchbayv1.Order) {
	invalid := o.GetOutcome() == "invalid" || o.GetFailure().GetReason() == "invalid"
	switch {
	case o == nil:
		w.t.Errorf("invariant 2: %s has no order", x.id)
	case x.wrong && x.late && o.GetFailure().GetReason() == "held":
	case x.wrong && !invalid:
		w.t.Errorf("invariant 8: %s ended %q, want invalid", x.id, o.GetOutcome())
	case x.wrong && len(o.GetViolations()) == 0:
		w.t.Errorf("invariant 8: %s is invalid without a violation", x.id)
	case !x.wrong && !x.late && invalid:
		w.t.Errorf("%s is right and was found invalid: %v", x.id, o.GetViolations())
	}
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
			open = append(open, fmt.Sprintf("order %s of %s: %s, waits for %s", o.GetId(), o.GetIntentId(), w.legs(o), protojson.Format(o.GetWait())))
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
	for _, c := range invariants.Circuits(w.exchange.Inventory()) {
		t := ours[c.ID]
		if got, want := invariants.State(t.GetTo()), c.State(t.GetConnection().GetApi()); got != want {
			open = append(open, fmt.Sprintf("circuit %s is %s for us and %s at the exchange", c.Name, got, want))
		}
		if c.Moving {
			open = append(open, fmt.Sprintf("circuit %s moves at the exchange", c.Name))
		}
	}
	return open
}

// legs says where an order stands: each leg, its circuit, and the last fact about its landing.
func (w *world) legs(o *patchbayv1.Order) string {
	s := o.GetFact()
	for _, l := range o.GetLegs() {
		s += fmt.Sprintf(" %s=%s/%d", l.GetLeg(), l.GetState(), l.GetAttempt().GetNumber())
		if c, ok := w.exchange.Connection(l.GetExchangeId()); ok {
			s += fmt.Sprintf(" (%s %s/%s)", c.Name, c.Status, c.ProviderStatus)
		}
		if c, ok := w.exchange.PFCircuit(l.GetExchangeId()); ok {
			s += fmt.Sprintf(" (%s %s/%s)", c.Description, c.Status, c.State)
		}
		for _, n := range []event.Noun{event.Connection, event.Approval, event.Landing} {
			r, err := w.own.Last(w.t.Context(), event.Entity{Noun: n, ID: l.GetConnectionId()})
			if err == nil && !r.None() {
				s += "\n" + r.Subject + " " + string(r.Event.Data())
			}
		}
	}
	return s
}

// tally is what happened in all worlds of a run.
type tally struct {
	orders, circuits, transitions, inferred, facts, crashes, attempts int
	outcomes                                                          map[string]int // of orders, by API
}

// count adds a world to the run's tally.
func (w *world) count(s *invariants.Story) {
	if w.tally == nil {
		return
	}
	for _, facts := range s.Orders {
		o := facts[len(facts)-1]
		w.tally.orders++
		w.tally.outcomes[strings.TrimRight(cmp.Or(o.GetApi(), "no exchange")+" "+o.GetOutcome()+" "+o.GetFailure().GetReason(), " ")]++
		for _, l := range o.GetLegs() {
			w.tally.attempts += int(l.GetAttempt().GetNumber())
		}
	}
	for _, path := range s.Connections {
		w.tally.circuits++
		w.tally.transitions += len(path)
		for _, t := range path {
			if t.GetInferred() {
				w.tally.inferred++
			}
		}
	}
	w.tally.facts += s.Facts
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
