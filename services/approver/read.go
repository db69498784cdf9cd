package approver

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// entry is a state with where it was read.
type entry struct {
	state
	// last fact of the approval; the zero Record if there is none.
	last journal.Record
	// connection's last fact, whose order and trace every fact of ours bears.
	connection journal.Record
}

// fact is the next fact of a noun about the connection.
func (e entry) fact(n event.Noun, because string, data interface {
	proto.Message
	GetConnectionId() string
	GetFact() string
}) event.Fact {
	order := e.sight.Connection.GetOrderId()
	if order == "" {
		order = event.Ext(e.connection.Event, event.ExtCorrelationID)
	}
	return event.Fact{
		Entity: event.Entity{Noun: n, ID: data.GetConnectionId()}, Name: data.GetFact(), Data: data,
		By: name, Cause: because, Order: order, Exchange: e.sight.Connection.GetExchange(),
		Origin: event.OriginOf(e.connection.Event),
	}
}

// read returns what the journal says about the connection. Its account is empty if there
// is no such connection, or if no seller account of ours is a party to it.
//
// The approval is read first: the append that follows expects it, so whoever wins decided
// upon a connection that is no older than the one the approval before was decided upon.
func (a *Approver) read(ctx context.Context, nudge journal.Record, id string) (entry, error) {
	var e entry
	var t patchbayv1.Transition
	w := new(patchbayv1.Approval)
	last, err := a.last(ctx, event.Approval, id, w)
	if err != nil {
		return e, err
	}
	if nudge.Stream == journal.Facts && nudge.Entity().Noun == event.Connection {
		if err := nudge.Into(&t); err != nil {
			return e, journal.Permanent(err)
		}
		if quiet(w, t.GetConnection()) {
			return e, nil // should there be more news of it, each is a nudge too
		}
		proto.Reset(&t)
	}
	if e.connection, err = a.last(ctx, event.Connection, id, &t); err != nil || e.connection.None() || e.connection.Archived() {
		return e, err
	}
	var ch patchbayv1.Change
	changed, err := a.last(ctx, event.Change, id, &ch)
	if err != nil {
		return e, err
	}
	newer := changed.Seq > e.connection.Seq
	e.sight = approval.Latest(&t, &ch, newer)
	e.inferred = t.GetInferred() && !newer
	if e.account, err = a.seller(ctx, e.sight.Connection, nudge); err != nil || e.account == "" {
		return e, err
	}
	if acc, ok := a.rt.Accounts.ByName(e.account); ok {
		e.api = string(acc.API)
		e.final = !approval.Rejectable(status.API(acc.API), e.sight.Kind)
	}
	if e.routingID, err = a.routingID(ctx, e.sight); err != nil {
		return e, err
	}
	if e.last = last; last.None() {
		return e, nil
	}
	e.approval = w
	if open(w) || w.GetKind() != e.sight.Kind || e.inferred {
		return e, nil
	}
	if e.renewed, err = a.renewed(ctx, w); err != nil {
		return e, err
	}
	var l patchbayv1.Landing
	_, err = a.last(ctx, event.Landing, id, &l)
	e.stuck = w.GetFact() == approval.Approved && l.GetFact() == "failed" && l.GetApprovalDigest() == w.GetDigest()
	return e, err
}

func (a *Approver) last(ctx context.Context, n event.Noun, id string, into proto.Message) (journal.Record, error) {
	r, err := a.rt.Journal.Last(ctx, event.Entity{Noun: n, ID: id})
	if err != nil || r.None() {
		return r, err
	}
	if err := r.Into(into); err != nil {
		return r, journal.Permanent(fmt.Errorf("%s %s: %w", n, id, err))
	}
	return r, nil
}

// seller returns the account of ours that sells c; empty if none does. A sighting may
// know it before the connection's facts do.
func (a *Approver) seller(ctx context.Context, c *patchbayv1.Connection, nudge journal.Record) (string, error) {
	seller := c.GetSellerAccount()
	if seller == "" {
		var s patchbayv1.Sighting
		if nudge.Stream == journal.Facts && nudge.Entity().Noun == event.Sighting {
			if err := nudge.Into(&s); err != nil {
				return "", journal.Permanent(err)
			}
		} else if _, err := a.last(ctx, event.Sighting, c.GetId(), &s); err != nil {
			return "", err
		}
		if seller = s.GetConnection().GetSellerAccount(); s.GetRole() == exchange.Seller {
			seller = s.GetAccount()
		}
	}
	if !a.sells(seller) {
		return "", nil
	}
	return seller, nil
}

// routingID reads where a request at PacketFabric was sent, which only its order tells; empty
// if no order of ours sent it.
func (a *Approver) routingID(ctx context.Context, s approval.Sight) (string, error) {
	c := s.Connection
	if s.Kind == "" || c.GetApi() != string(status.PacketFabric) || c.GetOrderId() == "" {
		return "", nil
	}
	r, err := a.rt.Journal.Last(ctx, event.Entity{Noun: event.Order, ID: c.GetOrderId()})
	var o patchbayv1.Order
	if err != nil || r.None() || r.Into(&o) != nil || o.GetCreate() == nil {
		return "", err // what has no order that can be read has none that tells
	}
	for _, l := range exchange.LegsOf(o.GetCreate()) {
		if l.Which == c.GetLeg() {
			return l.Z.GetRoutingId(), nil
		}
	}
	return "", nil
}

// renewed reports whether what the connection waits for now was asked for after w's
// approval was: its last entry into the status is newer. A deletion that was rejected and
// is asked for again reads like the first in every field.
func (a *Approver) renewed(ctx context.Context, w *patchbayv1.Approval) (bool, error) {
	id := w.GetConnectionId()
	var asked, entered uint64
	var stood string
	var was patchbayv1.Change
	filters := []string{
		event.Entity{Noun: event.Connection, ID: id}.Filter(), event.Entity{Noun: event.Change, ID: id}.Filter(),
		event.Approval.Filter(approval.Requested, id),
	}
	err := a.rt.Journal.History(ctx, filters, func(r journal.Record) error {
		var t patchbayv1.Transition
		var ch patchbayv1.Change
		switch r.Entity().Noun {
		case event.Approval:
			asked = r.Seq
		case event.Connection:
			if r.Into(&t) != nil {
				return nil // unreadable: it tells no status
			}
			now := t.GetConnection().GetStatus()
			if now == string(status.Unknown) {
				return nil
			}
			if w.GetKind() != exchange.Change && now != stood {
				entered = r.Seq
			}
			stood = now
		case event.Change:
			if r.Into(&ch) != nil {
				return nil // unreadable: it tells no status
			}
			another := ch.GetStatus() != was.GetStatus() || ch.GetExchangeId() != was.GetExchangeId()
			if w.GetKind() == exchange.Change && another && ch.GetStatus() == approval.Submitted {
				entered = r.Seq
			}
			proto.Reset(&was)
			proto.Merge(&was, &ch)
		default: // the filters let nothing else through
		}
		return nil
	})
	return entered > asked, err
}
