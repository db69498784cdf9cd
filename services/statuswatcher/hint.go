package statuswatcher

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// hintSubjects are the facts of others after which a circuit is worth a look at once.
func hintSubjects() []string {
	return []string{
		event.Order.Filter("placed", "*"), event.Landing.Filter("accepted", "*"), event.Approval.Filter("rejected", "*"),
	}
}

// pointer is a circuit that a hint names.
type pointer struct {
	account, role, exchangeID string
	// token says that the circuit redeems a service token.
	token bool
}

// hint has the circuits that a fact names looked at, at once and a few times after. It
// does not wait for that: should this instance die, a sweep sees what there was to see.
func (w *Watcher) hint(ctx context.Context, r journal.Record) error {
	if w.rt.Journal.Now().Sub(r.Stamp) > w.pace.Full {
		return nil // a full sweep has been since, or is the first thing to come
	}
	named, err := pointers(r)
	if err != nil {
		return journal.Permanent(err)
	}
	for _, p := range named {
		if from, ok := w.rt.Accounts.ByName(p.account); ok && p.token {
			w.redeemed(exchangeOf(from.API))
		}
		a := w.watches[w.observerOf(p)]
		if a == nil {
			continue // no account of this process sees it
		}
		a.pursue(chase{
			exchangeID: p.exchangeID, role: p.role, by: "command", cause: r.Event.ID(),
			from: trace.SpanContextFromContext(ctx), at: time.Now(), wait: firstWait, quick: true,
		})
	}
	return nil
}

// observerOf is the account that observes a circuit if it was announced, else the one that
// the hint comes from.
func (w *Watcher) observerOf(p pointer) string {
	from, ok := w.rt.Accounts.ByName(p.account)
	if !ok {
		return ""
	}
	known, _ := w.index.circuit(event.ConnectionID(exchangeOf(from.API), p.exchangeID))
	if known.conn == nil {
		return p.account
	}
	if o := w.observer(known); o != "" {
		return o
	}
	return p.account
}

// pointers reads the circuits out of a hint.
func pointers(r journal.Record) ([]pointer, error) {
	switch r.Entity().Noun {
	case event.Order:
		var o patchbayv1.Order
		if err := r.Into(&o); err != nil {
			return nil, err
		}
		var all []pointer
		for _, l := range o.GetLegs() {
			if l.GetExchangeId() != "" {
				all = append(all, pointer{o.GetAccount(), exchange.Buyer, l.GetExchangeId(), o.GetFlow() == tokenFlow})
			}
		}
		return all, nil
	case event.Landing:
		var l patchbayv1.Landing
		if err := r.Into(&l); err != nil {
			return nil, err
		}
		return []pointer{{l.GetAccount(), exchange.Seller, l.GetExchangeId(), false}}, nil
	default:
		var a patchbayv1.Approval
		if err := r.Into(&a); err != nil {
			return nil, err
		}
		return []pointer{{a.GetAccount(), exchange.Seller, a.GetConnection().GetExchangeId(), false}}, nil
	}
}
