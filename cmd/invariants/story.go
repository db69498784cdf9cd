// Package invariants holds a journal against what must always be true of it, and against
// the books of the sandbox exchanges. Tests of the whole system end with it.
//
// It relies on the system being quiet: nothing may be under way while the books are read.
// It reads what it is given and changes nothing. What it finds it returns as sentences
// that begin with the number of the invariant:
//
//  1. An intent has at most one order; a leg at most one circuit at the exchange.
//  2. No accepted intent is forgotten: each order ends, or waits for a named reason.
//  3. Per connection the transitions form a path without gap, repeat or disorder.
//  4. The journal's statuses equal the exchange's.
//  5. A port's tag is given to one connection at a time, a service token spent once; and of
//     requests at PacketFabric that look alike only one is on its way.
//  7. Secrets appear in no fact.
//
// That Redis does not matter (6) and that bad input is answered (8) show in the outcome,
// which the tests compare themselves.
package invariants

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// A Story is a journal, sorted by entity; each entity's facts are in order. Facts must not
// be changed by those who look at them.
type Story struct {
	Orders      map[string][]*patchbayv1.Order
	Connections map[string][]*patchbayv1.Transition
	Approvals   map[string][]*patchbayv1.Approval
	Landings    map[string][]*patchbayv1.Landing
	Holds       map[string][]*patchbayv1.Hold
	Refusals    map[string][]*patchbayv1.Refusal
	// Facts counts them all.
	Facts int

	canaries []string
	numbers  map[event.Entity]uint64
	asked    map[string]map[string]asking // by what is asked for, and leg
	retagged map[string]bool              // legs whose tag was changed
	found    []string
}

// NewStory returns an empty story, in which no canary may appear.
func NewStory(canaries ...string) *Story {
	return &Story{
		Orders:      map[string][]*patchbayv1.Order{},
		Connections: map[string][]*patchbayv1.Transition{},
		Approvals:   map[string][]*patchbayv1.Approval{},
		Landings:    map[string][]*patchbayv1.Landing{},
		Holds:       map[string][]*patchbayv1.Hold{},
		Refusals:    map[string][]*patchbayv1.Refusal{},
		canaries:    canaries,
		numbers:     map[event.Entity]uint64{},
		asked:       map[string]map[string]asking{},
		retagged:    map[string]bool{},
	}
}

// Add takes the next fact of the journal. The error says that it cannot be read.
func (s *Story) Add(r journal.Record) error {
	e := r.Entity()
	s.Facts++
	s.numbers[e]++
	if r.Number() != s.numbers[e] {
		s.violate("3: fact %d of %s has sequence %d", s.numbers[e], e, r.Number())
	}
	for _, c := range s.canaries {
		if strings.Contains(string(r.Event.Data()), c) || strings.Contains(fmt.Sprint(r.Event.Extensions()), c) {
			s.violate("7: a secret stands in %s", r.Subject)
		}
	}
	if err := s.keep(e, r); err != nil {
		return err
	}
	s.follow(e)
	return nil
}

func (s *Story) keep(e event.Entity, r journal.Record) error {
	switch e.Noun {
	case event.Order:
		return into(s.Orders, new(patchbayv1.Order), r)
	case event.Connection:
		return into(s.Connections, new(patchbayv1.Transition), r)
	case event.Approval:
		return into(s.Approvals, new(patchbayv1.Approval), r)
	case event.Landing:
		return into(s.Landings, new(patchbayv1.Landing), r)
	case event.Hold:
		return into(s.Holds, new(patchbayv1.Hold), r)
	case event.Refusal:
		return into(s.Refusals, new(patchbayv1.Refusal), r)
	default:
		return nil
	}
}

func into[M proto.Message](all map[string][]M, m M, r journal.Record) error {
	if err := r.Into(m); err != nil {
		return fmt.Errorf("fact %d on %s: %w", r.Seq, r.Subject, err)
	}
	id := r.Entity().ID
	all[id] = append(all[id], m)
	return nil
}

func (s *Story) violate(format string, args ...any) {
	s.found = append(s.found, "invariant "+fmt.Sprintf(format, args...))
}

// Order returns the last fact of an order, nil if there is none.
func (s *Story) Order(id string) *patchbayv1.Order { return last(s.Orders[id]) }

// Connection returns the last transition of a connection, nil if there is none.
func (s *Story) Connection(id string) *patchbayv1.Transition { return last(s.Connections[id]) }

// Approval returns the last fact about the consent to a connection, nil if there is none.
func (s *Story) Approval(id string) *patchbayv1.Approval { return last(s.Approvals[id]) }

func last[M any](facts []*M) *M {
	if len(facts) == 0 {
		return nil
	}
	return facts[len(facts)-1]
}

// Path writes the states of a connection, in order, as "STATUS/PROVIDERSTATUS".
func (s *Story) Path(id string) []string {
	var all []string
	for _, t := range s.Connections[id] {
		all = append(all, State(t.GetTo()))
	}
	return all
}
