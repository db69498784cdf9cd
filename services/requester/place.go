package requester

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// errNoClient reports an order of an account that is not in the accounts file any more.
var errNoClient = errors.New("no such account any more")

func (r *Requester) client(o *patchbayv1.Order) (exchange.Client, error) {
	c := r.rt.Clients[o.GetAccount()]
	if c == nil {
		return nil, journal.Later(time.Minute, fmt.Errorf("order %s: account %q: %w", o.GetId(), o.GetAccount(), errNoClient))
	}
	return c, nil
}

// enter takes a place in the order's lane, to be given back by leave.
func (r *Requester) enter(ctx context.Context, o *patchbayv1.Order) (leave func(), err error) {
	if o.GetKind() == exchange.Create {
		return r.lanes.Enter(ctx, o.GetAccount()+" "+createLane)
	}
	return r.lanes.Enter(ctx, o.GetAccount()+" "+actLane)
}

// place writes down an attempt and makes its one call. Winning that append is the licence
// to call. The time allowed to the call began before the append.
func (r *Requester) place(ctx context.Context, h *handling, st step) error {
	c, err := r.client(h.s.order)
	if err != nil {
		return err
	}
	send, err := r.sender(ctx, h.s, c, st.legs)
	if err != nil {
		return err
	}
	if send == nil {
		return r.append(ctx, h, intentGone(h.s))
	}
	leave, err := r.enter(ctx, h.s.order)
	if err != nil {
		return err
	}
	defer leave()
	if err := r.rt.Reach(ctx, h.s.order.GetAccount()); err != nil {
		return err
	}
	finishing, finished := service.Finish(ctx)
	defer finished()
	calling, stop := context.WithDeadline(finishing, time.Now().Add(h.s.within))
	defer stop()
	due := r.rt.Journal.Now().Add(h.s.within + timerSlack)
	if err := r.rt.Journal.Arm(ctx, orderEntity(h.s.order.GetId()), purpose, due); err != nil {
		return err
	}
	if err := r.append(ctx, h, st.next); err != nil {
		return err
	}
	out := exchange.Outcome{Class: exchange.NotSent, Answer: "no time was left for the call"}
	if calling.Err() == nil {
		out = send(calling)
	}
	number := legOf(st.next, st.legs[0]).GetAttempt().GetNumber()
	return r.settle(ctx, h, call{legs: st.legs, number: number, out: out})
}

// sender returns the function that makes the call, nil if the intent's secrets are gone.
func (r *Requester) sender(ctx context.Context, s *state, c exchange.Client, legs []string) (func(context.Context) exchange.Outcome, error) {
	id := legOf(s.order, legs[0]).GetExchangeId()
	remind(c, s.circuits[legs[0]])
	switch s.order.GetKind() {
	case exchange.Delete:
		return func(ctx context.Context) exchange.Outcome { return c.Remove(ctx, id) }, nil
	case exchange.Change:
		set := order.SetFor(s.order, legs[0])
		return func(ctx context.Context) exchange.Outcome { return c.Alter(ctx, id, set) }, nil
	}
	in, err := r.secretIntent(ctx, s.order)
	if err != nil || in == nil {
		return nil, err
	}
	p := exchange.Placement{Intent: in, Legs: legs, Group: s.group()}
	return func(ctx context.Context) exchange.Outcome { return c.Place(ctx, p) }, nil
}

// remind tells the exchange's client what was seen of a circuit, where it has use for that.
func remind(client exchange.Client, c circuit) {
	if r, ok := client.(exchange.Reminded); ok && c.conn != nil {
		r.Remind(c.conn)
	}
}

// settle writes down what became of a call. It goes on when the handler is told to stop:
// the call was made, so what came of it is not given up while the journal is away.
func (r *Requester) settle(ctx context.Context, h *handling, c call) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookkeeping)
	defer cancel()
	for failures := 0; ; {
		s, rec, err := r.read(ctx, h.s.order.GetId())
		if err != nil && failures < settleTries {
			failures++
			time.Sleep(time.Second) // a new leader of the journal is there in a few
			continue
		}
		if err != nil {
			return err
		}
		if s == nil {
			return fmt.Errorf("order %s is gone", h.s.order.GetId())
		}
		h.s, h.rec = s, rec
		next := settle(s, c, r.rt.Journal.Now())
		if next == nil {
			return nil
		}
		if err := r.append(ctx, h, next); !errors.Is(err, journal.ErrLost) {
			return err
		}
	}
}

// look asks the exchange what became of legs. A look that fails concludes nothing.
func (r *Requester) look(ctx context.Context, h *handling, legs []string) error {
	c, err := r.client(h.s.order)
	if err != nil {
		return err
	}
	leave, err := r.enter(ctx, h.s.order)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var next *patchbayv1.Order
	if h.s.order.GetKind() == exchange.Create {
		next, err = r.find(ctx, h, c, legs)
	} else {
		next = r.get(ctx, h, c, legs)
	}
	if err != nil || next == nil {
		return err
	}
	return r.append(ctx, h, next)
}

// find looks for the circuits of a create whose answer was lost.
func (r *Requester) find(ctx context.Context, h *handling, c exchange.Client, legs []string) (*patchbayv1.Order, error) {
	in, err := r.secretIntent(ctx, h.s.order)
	if err != nil {
		return nil, err
	}
	if in == nil {
		in = intent.Expand(h.s.order.GetCreate())
		if spendsToken(h.s.order, legs) {
			// What is sought by its token is not found by the token's HMAC, and not finding it
			// would prove nothing.
			r.rt.Log.Warn().Str("order", h.s.order.GetId()).Msg("the intent is gone, and with it the token to look for")
			return nil, nil
		}
	}
	found, err := c.Find(ctx, exchange.Placement{Intent: in, Legs: legs, Group: h.s.group()})
	if err != nil {
		r.rt.Log.Info().Err(err).Str("order", h.s.order.GetId()).Msg("look failed")
		return nil, nil
	}
	by := map[string]sought{}
	for _, leg := range legs {
		w, err := r.tried(ctx, h.s, leg)
		if err != nil {
			return nil, err
		}
		// The stamp is by the NATS server's clock; both are known relative to ours.
		w.since = w.since.Add(found.Ahead - r.rt.Journal.Ahead())
		if w.foreign, err = r.foreign(ctx, h, leg, found.Circuits[leg]); err != nil {
			return nil, err
		}
		by[leg] = w
	}
	return afterFind(h.s, found.Circuits, by, h.now), nil
}

// spendsToken reports whether any of the legs has a service token.
func spendsToken(o *patchbayv1.Order, legs []string) bool {
	return slices.ContainsFunc(legs, func(leg string) bool {
		return slices.ContainsFunc(hold.OfLeg(o, leg), func(w hold.Want) bool { return w.Kind == hold.Token })
	})
}

// foreign returns the circuits that belong to another order, or to another leg. An order
// that had its turn before ours named its circuit before ours was placed.
func (r *Requester) foreign(ctx context.Context, h *handling, leg string, found []*patchbayv1.Connection) ([]string, error) {
	var ids []string
	o := h.s.order
	for _, l := range o.GetLegs() {
		if l.GetLeg() != leg && l.GetExchangeId() != "" {
			ids = append(ids, l.GetExchangeId())
		}
	}
	for _, c := range found {
		id := event.ConnectionID(o.GetExchange(), c.GetExchangeId())
		owner, err := r.index.owner(ctx, id, h.rec.Seq)
		if err != nil {
			return nil, err
		}
		if owner == "" {
			t, _, err := r.lastTransition(ctx, id)
			if err != nil {
				return nil, err
			}
			owner = t.GetConnection().GetOrderId()
		}
		if owner != "" && owner != o.GetId() {
			ids = append(ids, c.GetExchangeId())
		}
	}
	return ids, nil
}

// get looks at the circuits of a change or delete.
func (r *Requester) get(ctx context.Context, h *handling, c exchange.Client, legs []string) *patchbayv1.Order {
	seen := map[string]*patchbayv1.Connection{}
	for _, leg := range legs {
		remind(c, h.s.circuits[leg])
		shown, err := c.Get(ctx, legOf(h.s.order, leg).GetExchangeId())
		switch {
		case err == nil:
			seen[leg] = shown
		case errors.Is(err, exchange.ErrGone):
			seen[leg] = nil
		default:
			r.rt.Log.Info().Err(err).Str("order", h.s.order.GetId()).Msg("look failed")
		}
	}
	return afterGet(h.s, seen, h.now)
}
