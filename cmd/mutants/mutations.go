package main

import (
	"slices"

	"patchbay.io/cmd/plant"
)

// mutations are the bugs that such systems really have. Each is one that the design rules
// out by a rule of its own, and that tests of single packages may well miss.
func mutations() []mutation { return slices.Concat(ofJournal(), ofServices(), ofExchanges()) }

// ofJournal are those below the services.
func ofJournal() []mutation {
	return []mutation{
		{"no compare in the append", plant.NoCompare},
		{"the id of placing derived from its content", []plant.Change{{
			File: "pkg/event/event.go",
			Old:  `	e.SetID(id.String())`,
			With: `	e.SetID(id.String())
	if f.Name == "placing" {
		e.SetID(derived(f.Entity.String(), fmt.Sprint(f.Name, sequence)))
	}`,
		}}},
		{"acknowledge before the append", plant.AcknowledgeFirst},
	}
}

// ofServices are those of the services.
func ofServices() []mutation {
	return []mutation{
		{"a conflicting payload recorded on the order's own subject", []plant.Change{{
			File: "services/requester/intake.go",
			Old:  `	entity := event.Entity{Noun: event.Refusal, ID: a.orderID}`,
			With: `	entity := event.Entity{Noun: event.Order, ID: a.orderID}`,
		}}},
		{"POST again without looking", []plant.Change{{
			File: "services/requester/decide.go",
			Old:  `		if !s.conclusive(l) {`,
			With: `		if false {`,
		}}},
		{"a stale observation appended again after it lost", []plant.Change{{
			File: "services/statuswatcher/look.go",
			Old:  `	r, err := a.rt.Journal.Append(ctx, *after, f)`,
			With: `	r, err := a.rt.Journal.Append(ctx, *after, f)
	for errors.Is(err, journal.ErrLost) {
		last, rerr := a.rt.Journal.Last(ctx, f.Entity)
		if rerr != nil {
			return rerr
		}
		r, err = a.rt.Journal.Append(ctx, last, f)
	}`,
		}}},
		{"holds kept in Redis only", []plant.Change{{
			File: "services/requester/holds.go",
			Old: `	err := r.holds.Take(ctx, w, h.fact(h.s.order))
	var taken hold.HeldError`,
			With: `	if got, lerr := r.rt.View.Lease(ctx, "hold-"+w.ID(), w.Owner.GetId(), 1<<52); lerr == nil && !got {
		return hold.HeldError{Kind: w.Kind, Key: w.Key, Holder: &patchbayv1.Owner{Id: "somebody", Noun: "connection"}}
	}
	var err error
	var taken hold.HeldError`,
		}}},
	}
}

// ofExchanges are those that only show where orders of several exchanges meet.
func ofExchanges() []mutation {
	return []mutation{
		{"requests that look alike go out together", []plant.Change{{
			File: "pkg/hold/leg.go",
			Old:  `	if to := side.GetZSide(); to.GetRoutingId() != "" {`,
			With: `	if to := side.GetZSide(); to.GetRoutingId() == "nobody" {`,
		}}},
		{"a service token is held by nobody", []plant.Change{{
			File: "pkg/hold/leg.go",
			Old:  `		if token := end.GetServiceToken(); token != "" {`,
			With: `		if token := end.GetServiceToken(); token == "none" {`,
		}}},
		{"the tag on the far port is held by nobody", []plant.Change{{
			File: "pkg/hold/leg.go",
			Old:  `		if port := end.GetPortId(); port != "" {`,
			With: `		if port := end.GetPortId(); port != "" && end.name == "aSide" {`,
		}}},
	}
}
