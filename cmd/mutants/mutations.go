package main

import "slices"

// mutations are the bugs that such systems really have. Each is one that the design rules
// out by a rule of its own, and that tests of single packages may well miss.
func mutations() []mutation { return slices.Concat(ofJournal(), ofServices(), ofExchanges()) }

// ofJournal are those below the services.
func ofJournal() []mutation {
	return []mutation{
		{
			name: "no compare in the append",
			file: "pkg/journal/append.go",
			old: `ack, err := j.js.PublishMsg(try, m, jetstream.WithMsgID(id),
			jetstream.WithExpectLastSequenceForSubject(after, e.Filter()))`,
			with: `ack, err := j.js.PublishMsg(try, m, jetstream.WithMsgID(id))`,
		},
		{
			name: "the id of placing derived from its content",
			file: "pkg/event/event.go",
			old:  `	e.SetID(id.String())`,
			with: `	e.SetID(id.String())
	if f.Name == "placing" {
		e.SetID(derived(f.Entity.String(), fmt.Sprint(f.Name, sequence)))
	}`,
		},
		{
			name: "acknowledge before the append",
			file: "pkg/journal/consume.go",
			old:  `	err := j.handle(ctx, c, msg, h)`,
			with: `	_ = msg.Ack()
	err := j.handle(ctx, c, msg, h)`,
		},
	}
}

// ofServices are those of the services.
func ofServices() []mutation {
	return []mutation{
		{
			name: "a conflicting payload recorded on the order's own subject",
			file: "services/requester/intake.go",
			old:  `	entity := event.Entity{Noun: event.Refusal, ID: a.orderID}`,
			with: `	entity := event.Entity{Noun: event.Order, ID: a.orderID}`,
		},
		{
			name: "POST again without looking",
			file: "services/requester/decide.go",
			old:  `		if !s.conclusive(l) {`,
			with: `		if false {`,
		},
		{
			name: "a stale observation appended again after it lost",
			file: "services/statuswatcher/look.go",
			old:  `	r, err := a.rt.Journal.Append(ctx, *after, f)`,
			with: `	r, err := a.rt.Journal.Append(ctx, *after, f)
	for errors.Is(err, journal.ErrLost) {
		last, rerr := a.rt.Journal.Last(ctx, f.Entity)
		if rerr != nil {
			return rerr
		}
		r, err = a.rt.Journal.Append(ctx, last, f)
	}`,
		},
		{
			name: "holds kept in Redis only",
			file: "services/requester/holds.go",
			old: `	err := r.holds.Take(ctx, w, h.fact(h.s.order))
	var taken hold.HeldError`,
			with: `	if got, lerr := r.rt.View.Lease(ctx, "hold-"+w.ID(), w.Owner.GetId(), 1<<52); lerr == nil && !got {
		return hold.HeldError{Kind: w.Kind, Key: w.Key, Holder: &patchbayv1.Owner{Id: "somebody", Noun: "connection"}}
	}
	var err error
	var taken hold.HeldError`,
		},
	}
}

// ofExchanges are those that only show where orders of several exchanges meet.
func ofExchanges() []mutation {
	return []mutation{
		{
			name: "requests that look alike go out together",
			file: "pkg/hold/leg.go",
			old:  `	if to := side.GetZSide(); to.GetRoutingId() != "" {`,
			with: `	if to := side.GetZSide(); to.GetRoutingId() == "nobody" {`,
		},
		{
			name: "a service token is held by nobody",
			file: "pkg/hold/leg.go",
			old:  `		if token := end.GetServiceToken(); token != "" {`,
			with: `		if token := end.GetServiceToken(); token == "none" {`,
		},
		{
			name: "the tag on the far port is held by nobody",
			file: "pkg/hold/leg.go",
			old:  `		if port := end.GetPortId(); port != "" {`,
			with: `		if port := end.GetPortId(); port != "" && end.name == "aSide" {`,
		},
	}
}
