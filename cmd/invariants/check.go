package invariants

import (
	"fmt"
	"slices"
	"strings"

	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/sandbox"
)

// unknown is the word for what nobody documented; it may precede and follow anything.
const unknown = string(status.Unknown)

// Check holds the story against the exchanges' books. All circuits of the organization
// buyer must have been ordered here. It may be asked again, as after the next fact.
func (s *Story) Check(books sandbox.Inventory, buyer string) []string {
	before := len(s.found)
	all := Circuits(books)
	s.checkOrders()
	s.checkLegs(all, buyer)
	s.checkTokens(books.Connections)
	for _, c := range all {
		s.checkPath(c)
	}
	s.checkHolds()
	found := slices.Clone(s.found)
	slices.Sort(found)
	s.found = s.found[:before]
	return found
}

// checkOrders: each order takes allowed steps only, and ends or waits for something.
func (s *Story) checkOrders() {
	for id, facts := range s.Orders {
		var before *patchbayv1.Order
		for _, o := range facts {
			if err := order.Check(before, o); err != nil {
				s.violate("2: order %s: %v", id, err)
			}
			if o.GetOutcome() == "" && o.GetWait().GetWhat() == "" {
				s.violate("2: order %s waits for nothing at %s", id, o.GetFact())
			}
			before = o
		}
		if orphans := before.GetOrphans(); len(orphans) > 0 {
			s.violate("1: order %s left orphans %v", id, orphans)
		}
	}
}

// circuits returns, by leg, every circuit that an order ever said was its own.
func circuits(facts []*patchbayv1.Order) map[string]map[string]bool {
	seen := map[string]map[string]bool{}
	for _, o := range facts {
		for _, l := range o.GetLegs() {
			if x := l.GetExchangeId(); x != "" {
				if seen[l.GetLeg()] == nil {
					seen[l.GetLeg()] = map[string]bool{}
				}
				seen[l.GetLeg()][x] = true
			}
		}
	}
	return seen
}

// checkLegs: each circuit that we bought belongs to one leg of one order, and each leg has
// at most one circuit.
func (s *Story) checkLegs(books []Circuit, buyer string) {
	claims := map[string][]string{}
	for id, facts := range s.Orders {
		end := last(facts)
		if end.GetKind() != "create" {
			continue
		}
		legs := circuits(facts)
		for leg, ids := range legs {
			if len(ids) > 1 {
				s.violate("1: leg %s of order %s had %d circuits", leg, id, len(ids))
			}
			for x := range ids {
				claims[x] = append(claims[x], id+"/"+leg)
			}
		}
		if end.GetOutcome() == order.Completed && len(legs) != len(end.GetLegs()) {
			s.violate("1: order %s completed with %d circuits for %d legs", id, len(legs), len(end.GetLegs()))
		}
	}
	for _, c := range books {
		if c.Buyer == buyer && len(claims[c.ExchangeID]) != 1 {
			s.violate("1: circuit %s (%s, created %s) belongs to %d legs %v", c.ExchangeID, c.Name,
				c.Created.Format("15:04:05"), len(claims[c.ExchangeID]), claims[c.ExchangeID])
		}
		delete(claims, c.ExchangeID)
	}
	for id, legs := range claims {
		s.violate("1: circuit %s of %v does not exist", id, legs)
	}
}

// checkTokens: no two circuits were made with one service token.
func (s *Story) checkTokens(books []sandbox.Connection) {
	spent := map[string]string{}
	for _, c := range books {
		for _, token := range []string{c.AToken, c.ZToken} {
			if other := spent[token]; token != "" && other != "" {
				s.violate("5: circuits %s and %s were made with one service token", other, c.ID)
			}
			spent[token] = c.ID
		}
	}
}

// checkPath: the path of a circuit in the journal has no gap, was not invented, and ends
// where the exchange's own history ends. Each transition is held against that history in
// the words of the API by which it was seen.
func (s *Story) checkPath(c Circuit) {
	path := s.Connections[c.ID]
	if len(path) == 0 {
		s.violate("3: circuit %s (%s) was never announced", c.ExchangeID, c.Name)
		return
	}
	at := 0
	for i, t := range path {
		truth := c.Path(t.GetConnection().GetApi())
		switch {
		case i > 0 && State(t.GetFrom()) != State(path[i-1].GetTo()):
			s.violate("3: %s goes from %s though it was at %s", c.Name, State(t.GetFrom()), State(path[i-1].GetTo()))
		case i == 0 && t.GetFrom() != nil:
			s.violate("3: the first transition of %s comes from %s", c.Name, State(t.GetFrom()))
		}
		to := State(t.GetTo())
		if strings.Contains(to, unknown) || (i > 0 && State(t.GetFrom()) == to) {
			continue
		}
		if i > 0 && at > 0 && truth[at-1] == to && strings.Contains(State(t.GetFrom()), unknown) {
			continue // back from a word that nobody knows
		}
		found := slices.Index(truth[at:], to)
		if found < 0 {
			s.violate("3: %s never went to %s; the exchange's history is %v, ours %v", c.Name, to, truth, told(path))
			return
		}
		at += found + 1
	}
	if got, want := State(last(path).GetTo()), c.State(last(path).GetConnection().GetApi()); got != want {
		s.violate("4: %s is %s for us and %s at the exchange", c.Name, got, want)
	}
}

// told writes a path as it was told.
func told(path []*patchbayv1.Transition) []string {
	var all []string
	for _, t := range path {
		s := State(t.GetTo())
		if t.GetInferred() {
			s += " (inferred)"
		}
		all = append(all, s)
	}
	return all
}

// State is a state as status/providerStatus.
func State(s *patchbayv1.State) string {
	return fmt.Sprintf("%s/%s", s.GetStatus(), s.GetProviderStatus())
}
