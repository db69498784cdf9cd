package client

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

const referenceHelp = "ID is the id of an order or connection, the exchange's id of a circuit, \"SOURCE ID\" of an\n" +
	"intent, a name, or the beginning of one of these (six characters at least) if only one thing\n" +
	"begins so."

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
	if err != nil || a.Away != "" || len(found) == 0 { // the view lacks what has ended long ago
		if found, err = search(ctx, j, name); err != nil {
			return event.Entity{}, err
		}
	}
	switch len(found) {
	case 0:
		return event.Entity{}, fmt.Errorf("nothing goes by %q; \"patchbay list --all\" shows what there is", name)
	case 1:
		return found[0], nil
	}
	var text []string
	for _, e := range found {
		text = append(text, fmt.Sprintf("  %-10s  %s", e.Noun, e.ID))
	}
	return event.Entity{}, Fail(exitUsage, "%q may be any of these; say which:\n%s", name, strings.Join(text, "\n"))
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
