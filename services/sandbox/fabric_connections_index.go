package sandbox

import (
	"cmp"
	"container/list"
	"iter"
	"slices"
	"strings"
	"time"
)

// shelf is what one tenant sees, in the orders in which searches ask for it. Without it
// each search would look at every circuit.
type shelf struct {
	recent list.List                    // circuits, the last changed first
	status map[string]map[*circuit]bool // by equinixStatus
	places map[*circuit]*list.Element   // in recent
}

// put takes c in, or notes that it has changed and how it looked before.
func (s *shelf) put(c *circuit, before string) {
	if s.places == nil {
		s.places, s.status = make(map[*circuit]*list.Element), make(map[string]map[*circuit]bool)
	}
	if e := s.places[c]; e != nil {
		s.recent.MoveToFront(e)
	} else {
		s.places[c] = s.recent.PushFront(c)
	}
	delete(s.status[before], c)
	if s.status[c.face.equinix] == nil {
		s.status[c.face.equinix] = make(map[*circuit]bool)
	}
	s.status[c.face.equinix][c] = true
}

func (s *shelf) remove(c *circuit) {
	if e := s.places[c]; e != nil {
		s.recent.Remove(e)
	}
	delete(s.places, c)
	delete(s.status[c.face.equinix], c)
}

// since yields the circuits that changed not before a time.
func (s *shelf) since(at time.Time) iter.Seq[*circuit] {
	return func(yield func(*circuit) bool) {
		for e := s.recent.Front(); e != nil; e = e.Next() {
			c, _ := e.Value.(*circuit) // the list holds nothing else
			if c.updated.Before(at) || !yield(c) {
				return
			}
		}
	}
}

// narrowing is what a filter demands of every match, as far as there is an index.
type narrowing struct {
	ids, statuses []string
	since         time.Time
}

// narrow reads what e demands: e itself, or any part of a conjunction.
func (n *narrowing) narrow(e expression) {
	for _, part := range e.And {
		n.narrow(part)
	}
	operator := strings.TrimSpace(strings.ToUpper(e.Operator))
	in := operator == "=" || operator == "IN"
	switch {
	case e.And != nil || e.Or != nil:
	case e.Property == "/uuid" && in:
		n.ids = texts(e.Values)
	case e.Property == "/operation/equinixStatus" && in:
		n.statuses = texts(e.Values)
	case e.Property == "/changeLog/updatedDateTime" && slices.Contains([]string{">", ">=", "=", "BETWEEN"}, operator) && len(e.Values) > 0:
		if operator != "=" || len(e.Values) == 1 {
			n.since = operandOf(e.Values[0]).at
		}
	}
}

func texts(values []any) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		out = append(out, operandOf(v).text)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// candidates are the circuits among which a search looks, the newest first: all that
// who sees, or fewer if the filter says which.
func (x *Exchange) candidates(who *tenant, filter *expression, now time.Time) iter.Seq[*circuit] {
	var n narrowing
	if filter != nil {
		n.narrow(*filter)
	}
	var found []*circuit
	switch {
	case n.ids != nil:
		for _, id := range n.ids {
			if c := x.circuits[id]; c != nil && who.shelf.places[c] != nil {
				found = append(found, c)
			}
		}
	case n.statuses != nil:
		for _, status := range n.statuses {
			for c := range who.shelf.status[status] {
				found = append(found, c)
			}
		}
	case !n.since.IsZero():
		found = slices.Collect(who.shelf.since(n.since))
	default:
		found = slices.Clone(who.party)
	}
	found = slices.DeleteFunc(found, func(c *circuit) bool { return now.Before(c.visible) })
	slices.SortFunc(found, func(a, b *circuit) int { return cmp.Compare(b.number, a.number) })
	return slices.Values(found)
}
