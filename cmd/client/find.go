package client

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/view"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

const referenceHelp = "ID is the id of an order or connection, the exchange's id of a circuit, \"SOURCE ID\" of an\n" +
	"intent, a trace id, a name, or the beginning of one of these (six characters at least) if only\n" +
	"one thing begins so. A name is that of what bears it now, before what bore it once, and of what\n" +
	"has not ended, before what has."

var whole = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// leastPrefix is how much of a name must be given.
const leastPrefix = 6

// find returns the one order or connection that goes by a name.
func find(ctx context.Context, j *journal.Journal, name string) (event.Entity, error) {
	name = strings.TrimSpace(name)
	direct, err := named(ctx, j, name)
	if err != nil || direct != (event.Entity{}) {
		return direct, err
	}
	a, err := askList(ctx, j, service.ListRequest{Find: name})
	found := slices.DeleteFunc(a.Entities, func(e event.Entity) bool { return e.Noun != event.Order && e.Noun != event.Connection })
	if err == nil && a.Away == "" && len(found) > 0 {
		renamed, err := renamedTo(ctx, j, name)
		if err != nil {
			return event.Entity{}, err
		}
		found = append(found, renamed...)
	} else if found, err = search(ctx, j, name); err != nil { // the view lacks what has ended long ago
		return event.Entity{}, err
	}
	all, err := meet(ctx, j, found, name)
	if err != nil {
		return event.Entity{}, err
	}
	switch all = likeliest(all); len(all) {
	case 0:
		return event.Entity{}, fmt.Errorf("nothing goes by %q; \"patchbay list --all\" shows what there is", name)
	case 1:
		return all[0].Entity, nil
	}
	var text strings.Builder
	screen{Writer: &text}.table([]string{"  WHAT", "ID", "STATE", "FOR", "NAME"}, candidateRows(all, j.Now()), -1)
	return event.Entity{}, Fail(exitUsage, "%q may be any of these; say which:\n%s", name, strings.TrimRight(text.String(), "\n"))
}

// candidate is something that a name may mean.
type candidate struct {
	event.Entity
	order  string // that made it
	name   string // that it bears now
	state  string
	since  time.Time
	ended  bool
	former bool // it bore the name that was asked for once, and no more
	own    bool // its own id begins as was asked for, and not what somebody has called it
}

func candidateRows(all []candidate, now time.Time) (rows [][]string) {
	for _, c := range all {
		rows = append(rows, []string{"  " + string(c.Noun), c.ID, c.state, story.Span(now.Sub(c.since)), orDash(c.name)})
	}
	return rows
}

// likeliest leaves of several candidates those that are meant before the others: that whose own
// id it is, what bears the name now, and then what has not ended. An order stands for its
// circuits.
func likeliest(all []candidate) []candidate {
	for _, less := range []func(candidate) bool{
		func(c candidate) bool { return !c.own },
		func(c candidate) bool { return c.former },
		func(c candidate) bool {
			return slices.ContainsFunc(all, func(o candidate) bool { return o.Noun == event.Order && o.ID == c.order })
		},
		func(c candidate) bool { return c.ended },
	} {
		if left := slices.DeleteFunc(slices.Clone(all), less); len(left) > 0 {
			all = left
		}
	}
	return all
}

// meet looks at each thing that was found by a name.
func meet(ctx context.Context, j *journal.Journal, found []event.Entity, name string) ([]candidate, error) {
	var all []candidate
	for _, e := range found {
		if slices.ContainsFunc(all, func(c candidate) bool { return c.Entity == e }) {
			continue
		}
		see := meetOrder
		if e.Noun == event.Connection {
			see = meetConnection
		}
		c, err := see(ctx, j, e, name)
		if err != nil {
			return nil, err
		}
		c.own = strings.HasPrefix(strings.ToLower(e.ID), strings.ToLower(name))
		all = append(all, c)
	}
	return all, nil
}

func meetOrder(ctx context.Context, j *journal.Journal, e event.Entity, name string) (candidate, error) {
	c := candidate{Entity: e}
	r, err := j.Last(ctx, e)
	o := new(patchbayv1.Order)
	if err != nil || r.None() || r.Into(o) != nil {
		return c, err
	}
	s, _ := snapshot(r)
	c.name, c.state, c.since, c.ended = cmp.Or(o.GetCreate().GetName(), legNames(o)), o.GetKind()+" "+stateOf(s), s.Stamp, s.Ended
	if !strings.EqualFold(o.GetCreate().GetName(), name) {
		return c, nil // it goes by something else, which stays
	}
	for _, l := range o.GetLegs() {
		t, _, err := present(ctx, j, l.GetConnectionId())
		if err != nil {
			return c, err
		}
		if t == nil || strings.EqualFold(t.GetConnection().GetName(), name) {
			return c, nil
		}
	}
	c.former = len(o.GetLegs()) > 0
	return c, nil
}

func meetConnection(ctx context.Context, j *journal.Journal, e event.Entity, name string) (candidate, error) {
	c := candidate{Entity: e}
	t, s, err := present(ctx, j, e.ID)
	if err != nil || t == nil {
		return c, err
	}
	conn := t.GetConnection()
	c.name, c.state, c.since, c.order, c.ended = conn.GetName(), stateOf(s), s.Stamp, conn.GetOrderId(), s.Ended
	begins := func(n string) bool { return strings.HasPrefix(strings.ToLower(n), strings.ToLower(name)) }
	c.former = !slices.ContainsFunc(append([]string{e.ID, conn.GetExchangeId(), conn.GetName()}, conn.GetAliases()...), begins)
	return c, nil
}

// present is the last transition of a connection, amended by what has changed since, and the
// fact that has it; nil if there is none.
func present(ctx context.Context, j *journal.Journal, id string) (*patchbayv1.Transition, view.Snapshot, error) {
	if id == "" {
		return nil, view.Snapshot{}, nil
	}
	r, err := j.Last(ctx, event.Entity{Noun: event.Connection, ID: id})
	if err != nil || r.None() {
		return nil, view.Snapshot{}, err
	}
	s, err := standing(ctx, j, r)
	t := new(patchbayv1.Transition)
	if err != nil || s.Into(t) != nil { // what cannot be read has no name
		return nil, s, err
	}
	return t, s, nil
}

// renamedTo returns the connections to which a change has given a name; the view looks for
// names of transitions only.
func renamedTo(ctx context.Context, j *journal.Journal, name string) ([]event.Entity, error) {
	changes, _, err := (&list{all: true}).read(ctx, j, event.Change)
	var found []event.Entity
	for _, s := range changes {
		c := new(patchbayv1.Change)
		if s.Into(c) == nil && strings.EqualFold(c.GetConnection().GetName(), name) {
			found = append(found, event.Entity{Noun: event.Connection, ID: s.ID})
		}
	}
	return found, err
}

// named looks a name up that tells an id by itself; the zero Entity if it does not.
func named(ctx context.Context, j *journal.Journal, name string) (event.Entity, error) {
	ids := []event.Entity{{Noun: event.Connection, ID: event.ConnectionID("equinix", name)}}
	if id := strings.ToLower(name); whole.MatchString(id) {
		ids = []event.Entity{{Noun: event.Order, ID: id}, {Noun: event.Connection, ID: id}, ids[0]}
	} else if source, id, two := strings.Cut(name, " "); two {
		ids = []event.Entity{{Noun: event.Order, ID: event.OrderID(source, strings.TrimSpace(id))}}
	}
	for _, e := range ids {
		r, err := j.Last(ctx, e)
		if err != nil {
			return event.Entity{}, err
		}
		if !r.None() {
			return e, nil
		}
	}
	return event.Entity{}, nil
}

// search goes through the journal for what goes by a name, or begins with it.
func search(ctx context.Context, j *journal.Journal, name string) ([]event.Entity, error) {
	var exact, begin []event.Entity
	name = strings.ToLower(name)
	filters := []string{event.Order.Filter("*", "*"), event.Connection.Filter("*", "*"), event.Change.Filter("*", "*")}
	err := j.Each(ctx, filters, func(r journal.Record) error {
		e := r.Entity()
		if e.Noun == event.Change {
			e.Noun = event.Connection // the circuit goes by its new name
		}
		for _, n := range namesOf(r) {
			n = strings.ToLower(n)
			if n == name && !slices.Contains(exact, e) {
				exact = append(exact, e)
			}
			if strings.HasPrefix(n, name) && len(name) >= leastPrefix && !slices.Contains(begin, e) {
				begin = append(begin, e)
			}
		}
		return nil
	})
	if len(exact) > 0 {
		begin = exact
	}
	slices.SortFunc(begin, func(a, b event.Entity) int { return strings.Compare(a.String(), b.String()) })
	return begin, err
}

// namesOf are the names an entity goes by.
func namesOf(r journal.Record) []string {
	names := []string{r.Entity().ID}
	if r.Entity().Noun == event.Order {
		names = append(names, story.TraceID(event.OriginOf(r.Event).TraceParent))
	}
	switch r.Entity().Noun {
	case event.Order:
		o := new(patchbayv1.Order)
		if r.Into(o) == nil {
			names = append(names, o.GetIntentId(), o.GetSource()+" "+o.GetIntentId(), o.GetCreate().GetName())
		}
	case event.Connection:
		t := new(patchbayv1.Transition)
		if r.Into(t) == nil {
			c := t.GetConnection()
			names = append(append(names, c.GetExchangeId()), c.GetAliases()...)
			if c.GetOrderId() == "" {
				names = append(names, c.GetName()) // else the order goes by it
			}
		}
	case event.Change:
		c := new(patchbayv1.Change)
		if r.Into(c) == nil && slices.ContainsFunc(c.GetDifferences(), func(d *patchbayv1.Difference) bool { return d.GetField() == "name" }) {
			names = append(names, c.GetConnection().GetName())
		}
	default:
	}
	return slices.DeleteFunc(names, func(n string) bool { return strings.TrimSpace(n) == "" })
}
