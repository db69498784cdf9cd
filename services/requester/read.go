package requester

import (
	"context"
	"fmt"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func orderEntity(id string) event.Entity { return event.Entity{Noun: event.Order, ID: id} }

// lastOrder reads the order's last fact; nil if there is none.
func (r *Requester) lastOrder(ctx context.Context, id string) (*patchbayv1.Order, journal.Record, error) {
	rec, err := r.rt.Journal.Last(ctx, orderEntity(id))
	if err != nil || rec.None() {
		return nil, rec, err
	}
	o := new(patchbayv1.Order)
	if err := rec.Into(o); err != nil {
		return nil, rec, journal.Permanent(fmt.Errorf("order %s: %w", id, err))
	}
	return o, rec, nil
}

// read gathers what a decision about an order rests on. It returns nil if there is no
// such order.
func (r *Requester) read(ctx context.Context, id string) (*state, journal.Record, error) {
	o, rec, err := r.lastOrder(ctx, id)
	if err != nil || o == nil {
		return nil, rec, err
	}
	s := &state{order: o, stamp: rec.Stamp, within: account.DefaultAttempt, quiet: account.DefaultQuiet}
	if a, ok := r.rt.Accounts.ByName(o.GetAccount()); ok {
		s.within, s.quiet = a.Attempt, a.Quiet
	}
	if c := r.rt.Clients[o.GetAccount()]; c != nil && o.GetCreate() != nil {
		s.together, s.keys = c.Together(), c.Keys(intent.Expand(o.GetCreate()))
	}
	if err := r.readOthers(ctx, s); err != nil {
		return nil, rec, err
	}
	s.circuits = map[string]circuit{}
	for _, l := range o.GetLegs() {
		if l.GetConnectionId() == "" {
			continue
		}
		if s.circuits[l.GetLeg()], err = r.readCircuit(ctx, o, l); err != nil {
			return nil, rec, err
		}
	}
	return s, rec, nil
}

// readOthers reads the orders that this one is about, or that is about it.
func (r *Requester) readOthers(ctx context.Context, s *state) (err error) {
	if s.order.GetOutcome() != "" {
		return nil
	}
	if id := s.order.GetTargetOrderId(); id != "" {
		if s.target, _, err = r.lastOrder(ctx, id); err != nil {
			return err
		}
		adoptLegs(s.order, s.target)
	}
	if id := s.order.GetCancelledBy(); id != "" {
		s.cancel, _, err = r.lastOrder(ctx, id)
	}
	return err
}

func (r *Requester) readCircuit(ctx context.Context, o *patchbayv1.Order, l *patchbayv1.OrderLeg) (circuit, error) {
	c := circuit{}
	t, seq, err := r.lastTransition(ctx, l.GetConnectionId())
	if err != nil {
		return c, err
	}
	if t != nil {
		c.seq, c.conn, c.inferred = seq, t.GetConnection(), t.GetInferred()
	}
	if o.GetOutcome() != "" {
		return c, nil
	}
	if l.GetState() == order.Placed && (o.GetKind() != exchange.Create || c.state().Status == status.Rejected) {
		if c.rejection, err = r.rejection(ctx, o, l); err != nil {
			return c, err
		}
	}
	if o.GetKind() == exchange.Create {
		return c, nil
	}
	rec, err := r.rt.Journal.Last(ctx, event.Entity{Noun: event.Change, ID: l.GetConnectionId()})
	if err != nil {
		return c, err
	}
	if !rec.None() {
		c.change, c.changeSeq = new(patchbayv1.Change), rec.Seq
		if err := rec.Into(c.change); err != nil {
			return c, journal.Permanent(err)
		}
	}
	if o.GetKind() == exchange.Change {
		if c.ender, err = r.index.ender(ctx, l.GetConnectionId(), c.latest()); err != nil {
			return c, err
		}
	}
	if o.GetKind() == exchange.Delete && l.GetState() == order.Placed && c.state().Status == status.Provisioned &&
		c.seq > l.GetConnectionSequence() {
		c.returned, err = r.returned(ctx, l, c.seq)
	}
	return c, err
}

// lastTransition reads the last fact of a connection; nil if it was not seen yet, or was put
// away.
func (r *Requester) lastTransition(ctx context.Context, connection string) (*patchbayv1.Transition, uint64, error) {
	rec, err := r.rt.Journal.Last(ctx, event.Entity{Noun: event.Connection, ID: connection})
	if err != nil || rec.None() || rec.Archived() {
		return nil, 0, err
	}
	t := new(patchbayv1.Transition)
	if err := rec.Into(t); err != nil {
		return nil, 0, journal.Permanent(err)
	}
	return t, rec.Seq, nil
}

// rejection reads the approval by which an account of ours refused what the order asks of a
// leg's circuit; nil if there is none. It is written before the exchange is told.
func (r *Requester) rejection(ctx context.Context, o *patchbayv1.Order, l *patchbayv1.OrderLeg) (*patchbayv1.Approval, error) {
	rec, err := r.rt.Journal.Last(ctx, event.Entity{Noun: event.Approval, ID: l.GetConnectionId()})
	if err != nil || rec.None() || rec.Seq <= l.GetConnectionSequence() {
		return nil, err
	}
	a := new(patchbayv1.Approval)
	if err := rec.Into(a); err != nil {
		return nil, journal.Permanent(err)
	}
	if a.GetFact() != approval.Rejected || a.GetKind() != o.GetKind() {
		return nil, nil
	}
	return a, nil
}

// returned reports whether a circuit was PENDING_DELETE after its deletion was placed and
// before the fact at until. Later ones do not count: they may have come since that was read.
func (r *Requester) returned(ctx context.Context, l *patchbayv1.OrderLeg, until uint64) (bool, error) {
	e := event.Entity{Noun: event.Connection, ID: l.GetConnectionId()}
	found := false
	err := r.rt.Journal.History(ctx, []string{e.Filter()}, func(rec journal.Record) error {
		t := new(patchbayv1.Transition)
		if rec.Seq <= l.GetConnectionSequence() || rec.Seq > until || rec.Into(t) != nil {
			return nil // before the deletion, too late, or unreadable
		}
		found = found || t.GetTo().GetStatus() == string(status.PendingDelete) ||
			t.GetFrom().GetStatus() == string(status.PendingDelete)
		return nil
	})
	return found, err
}

// tried reads when the leg was attempted first, by the NATS server's clock, and whether an
// attempt before the last one may have reached the exchange. A circuit of any attempt since
// then may be ours.
func (r *Requester) tried(ctx context.Context, s *state, leg string) (sought, error) {
	l := legOf(s.order, leg)
	w := sought{since: s.started(l)}
	if l.GetAttempt().GetNumber() <= 1 {
		return w, nil
	}
	filters := []string{event.Order.Filter(order.Placing, s.order.GetId()), event.Order.Filter(order.Uncertain, s.order.GetId())}
	err := r.rt.Journal.History(ctx, filters, func(rec journal.Record) error {
		o := new(patchbayv1.Order)
		if rec.Into(o) != nil {
			return nil // unreadable: it tells nothing
		}
		was := legOf(o, leg)
		switch {
		case was.GetState() == order.Placing && o.GetFact() == order.Placing && rec.Stamp.Before(w.since):
			w.since = rec.Stamp
		case was.GetState() == order.Uncertain && was.GetAttempt().GetNumber() < l.GetAttempt().GetNumber():
			w.before = true
		}
		return nil
	})
	return w, err
}
