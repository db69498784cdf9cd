package statuswatcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// errOvertaken reports a look whose circuit has got a fact since before the look: it is
// thrown away.
var errOvertaken = errors.New("a fact came since before the look")

// overtakings is how often a circuit is looked at again at once; then the next sweep does.
const overtakings = 5

// look is one look at a circuit, and what was known before.
type look struct {
	id     string
	role   string // in which the account was shown the circuit; empty if not certain
	before uint64 // the index's version before the exchange was asked
	cause  string
	sight
}

// result is what came of a look.
type result struct {
	// moved says that facts were written; moving, that more is to come of the circuit.
	moved, moving bool
	// doubt is the state that was seen and not believed.
	doubt *status.State
	// open says that the circuit has to be shown again before there is news of it.
	open bool
	err  error
}

// visit asks for one circuit directly and takes in the answer.
func (a *watch) visit(ctx context.Context, c chase) (r result) {
	opts := []trace.SpanStartOption{trace.WithNewRoot(), trace.WithAttributes(
		attribute.String("patchbay.account", a.account.Name), attribute.String("patchbay.observed_by", c.by))}
	if c.from.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: c.from}))
	}
	ctx, span := a.tracer().Start(ctx, "look", opts...)
	defer func() {
		if r.err != nil {
			a.mind(r.err)
			span.RecordError(r.err)
			span.SetStatus(codes.Error, r.err.Error())
			a.rt.Log.Debug().Err(r.err).Str("account", a.account.Name).Str("circuit", c.exchangeID).Msg("look failed")
		}
		span.End()
	}()
	for range overtakings {
		if r = a.visitOnce(ctx, c); !errors.Is(r.err, errOvertaken) {
			return r
		}
	}
	return r
}

func (a *watch) visitOnce(ctx context.Context, c chase) result {
	if err := a.sync(ctx); err != nil {
		return result{err: err}
	}
	before := a.index.now()
	conn, err := a.get(ctx, c.exchangeID)
	if err != nil {
		return result{err: err}
	}
	id := event.ConnectionID(exchangeOf(a.account.API), c.exchangeID)
	if conn != nil {
		id = conn.GetId()
	}
	k, _ := a.index.circuit(id)
	if conn == nil && a.unbelievable(k, c) {
		return result{moving: true}
	}
	if k.conn == nil && conn == nil {
		if conn = a.vanished(c.exchangeID); conn != nil && !confirmed(sight{direct: true, doubt: c.doubt}, status.Gone()) {
			gone := status.Gone()
			return result{doubt: &gone, moving: true}
		}
	}
	if k, _ := a.index.circuit(id); k.conn == nil && conn != nil {
		// It is announced only when every fact is known that was there after it was seen,
		// since one of them names its order.
		if err := a.sync(ctx); err != nil {
			return result{err: err}
		}
	}
	return a.take(ctx, look{
		id: id, role: cmp.Or(c.role, soleRole(a.account)), before: before, cause: c.cause,
		sight: sight{conn: conn, by: c.by, at: a.rt.Journal.Now(), doubt: c.doubt, direct: true},
	})
}

// vanished is a circuit that was placed and that nobody ever saw, as far as it is known,
// once that has lasted for two full sweeps: somebody deleted it before we looked. Without
// a word of it its order would wait for ever. Of what is deleted by an order, like a
// request that is withdrawn as soon as it is made, nothing else is to be expected, so the
// time within which an exchange shows what it does is enough. It is nil where it may still
// turn up.
func (a *watch) vanished(exchangeID string) *patchbayv1.Connection {
	ex := exchangeOf(a.account.API)
	wait := 2 * a.pace.Full
	if a.index.deleting(event.ConnectionID(ex, exchangeID)) {
		wait = min(wait, a.account.Attempt+a.account.Quiet)
	}
	since, ok := a.index.unseenSince(exchangeID, a.account.Name)
	if !ok || a.Healthy() != nil || a.rt.Journal.Now().Sub(since) < wait {
		return nil
	}
	c := &patchbayv1.Connection{
		Id: event.ConnectionID(ex, exchangeID), Exchange: ex, Api: string(a.account.API), ExchangeId: exchangeID,
		BuyerAccount: a.account.Name,
	}
	setState(c, status.Gone())
	return c
}

// get reads a circuit; nil if the exchange has none.
func (a *watch) get(ctx context.Context, exchangeID string) (*patchbayv1.Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, getTime)
	defer cancel()
	conn, err := a.client.Get(ctx, exchangeID)
	if errors.Is(err, exchange.ErrGone) {
		conn, err = nil, nil
	}
	a.meters.looked(ctx, a.account.Name, "get", err)
	if err != nil {
		return nil, fmt.Errorf("get circuit %s: %w", exchangeID, err)
	}
	return conn, nil
}

// take holds a look against what is known of the circuit, and writes down what is new.
func (a *watch) take(ctx context.Context, l look) result {
	k, orders := a.index.circuit(l.id)
	switch {
	case k.version > l.before:
		return result{err: errOvertaken}
	case k.archived, k.conn == nil && l.conn == nil:
		return result{}
	}
	around := a.around(k, l.conn, l.role, orders)
	if o := a.parties.observer(around.buyer, around.seller); o != a.account.Name {
		a.pass(o, k, l)
		return result{}
	}
	if around.order == "" && k.conn == nil && a.early(l.conn) {
		return result{moving: true, open: true}
	}
	l.told = a.told(ctx, k.past, l, around.surroundings)
	n, v := observe(k.past, l.sight, around.surroundings)
	switch v {
	case doubtful:
		seen := status.Gone()
		if l.conn != nil {
			seen = stateOf(l.conn)
		}
		return result{doubt: &seen, moving: true}
	case stale:
		return result{moving: moving(k.newest())}
	case taken:
	}
	err := a.write(ctx, k, n, writing{link: around.link, cause: l.cause})
	if errors.Is(err, journal.ErrLost) {
		err = errOvertaken
	}
	known, _ := a.index.circuit(l.id)
	return result{moved: !n.none(), moving: known.conn != nil && a.index.moves(l.id), err: err}
}

// early reports whether it is too early to say that a new circuit has no order: it does not
// show enough to be told by its key, and a call that may have created it is not over. Lists
// show it again.
func (a *watch) early(c *patchbayv1.Connection) bool {
	for _, other := range a.kin() {
		if other.account.Role.Buys() && other.client.KeyOf(c) == "" &&
			a.index.mayBeCalled(other.account.Name, createdAt(c), a.rt.Journal.Now()) {
			return true
		}
	}
	return false
}

// kin are the accounts that may be shown the same circuits, this one first: an order of
// any of them may have made a circuit that this one sees first.
func (a *watch) kin() []*watch {
	all := []*watch{a}
	for _, acc := range a.rt.Accounts.Accounts {
		if other := a.watches[acc.Name]; other != nil && other != a && exchangeOf(acc.API) == exchangeOf(a.account.API) {
			all = append(all, other)
		}
	}
	return all
}

// linkOf finds the order of a circuit by its exchange id or by what it shows, as any of
// the accounts that may have ordered it would look it up.
func (a *watch) linkOf(c *patchbayv1.Connection) link {
	for _, other := range a.kin() {
		if l := a.index.linkOf(c.GetExchangeId(), other.client.KeyOf(c), createdAt(c)); l.order != "" {
			return l
		}
	}
	return link{}
}

// pass leaves a circuit to the account that observes it, with a hint if it has moved.
func (a *watch) pass(observer string, k circuit, l look) {
	other := a.watches[observer]
	if other == nil || l.conn == nil || k.conn != nil && alike(k.conn, l.conn) {
		return
	}
	other.pursue(chase{exchangeID: l.conn.GetExchangeId(), by: "sweep", cause: l.cause, at: time.Now()})
}

// environs is what is known of a circuit besides what it shows, and whence.
type environs struct {
	surroundings
	link link
}

// around finds the order and the parties of a circuit. A circuit that was announced without
// an order gets one only by the order's own word.
func (a *watch) around(k circuit, conn *patchbayv1.Connection, role string, orders []changeOrder) environs {
	shown := cmp.Or(conn, k.newest())
	var e environs
	e.changes = orders
	switch {
	case k.conn == nil:
		e.link = a.linkOf(shown)
	case k.newest().GetOrderId() == "":
		e.link = a.index.linkOf(shown.GetExchangeId(), "", time.Time{})
	}
	e.order, e.leg, e.flow = e.link.order, e.link.leg, e.link.flow
	buyer, seller := a.parties.on(shown, a.account.Name, role)
	e.buyer, e.seller = a.partiesOf(k, shown, e.link, party{buyer, seller})
	return e
}

// party is who may be on a circuit by what it shows.
type party struct{ buyer, seller string }

// partiesOf is who is on a circuit: first by the journal, then by the order that claims it,
// then by what it shows.
func (w *Watcher) partiesOf(k circuit, shown *patchbayv1.Connection, l link, by party) (buyer, seller string) {
	if a, ok := w.rt.Accounts.ByName(l.account); ok && a.Role.Buys() {
		by.buyer = a.Name // of several accounts that own the port the one that ordered
		by.seller = cmp.Or(w.parties.sellerAt(shown, a.API), by.seller)
	}
	return cmp.Or(k.account(exchange.Buyer), by.buyer), cmp.Or(k.account(exchange.Seller), by.seller)
}

// observer is the account that observes a circuit which was announced, as a look at it
// would find: else of two accounts each might leave it to the other.
func (w *Watcher) observer(k circuit) string {
	shown := k.newest()
	var l link
	if shown.GetOrderId() == "" {
		l = w.index.linkOf(shown.GetExchangeId(), "", time.Time{})
	}
	buyer, seller := w.parties.on(shown, "", "")
	return w.parties.observer(w.partiesOf(k, shown, l, party{buyer, seller}))
}

// createdAt is when the exchange says that a circuit was created; zero if it does not.
func createdAt(c *patchbayv1.Connection) time.Time {
	if c.GetCreatedAt() == nil {
		return time.Time{}
	}
	return c.GetCreatedAt().AsTime()
}

// writing is what all facts of a look have in common.
type writing struct {
	link  link
	cause string
}

// write appends news, each fact after the one before it.
func (a *watch) write(ctx context.Context, k circuit, n news, w writing) error {
	origin := w.link.origin
	if !k.fact.None() {
		origin = event.OriginOf(k.fact.Event)
	} else {
		w.cause = cmp.Or(w.link.cause, w.cause)
	}
	if !n.none() {
		relate(ctx, origin)
	}
	for _, s := range n.sightings {
		f := a.fact(event.Sighting, s.GetConnection(), w.cause, origin)
		f.Name, f.Data = s.GetRole(), s
		if err := a.append(ctx, &k.sighting, f); err != nil {
			return err
		}
	}
	for _, c := range n.changes {
		f := a.fact(event.Change, c.GetConnection(), w.cause, origin)
		f.Name, f.Data = token(c.GetStatus()), c
		if c.GetOrderId() != "" {
			f.Order, f.Origin = c.GetOrderId(), a.index.originOf(c.GetOrderId())
		}
		if err := a.append(ctx, &k.change, f); err != nil {
			return err
		}
	}
	for _, t := range n.transitions {
		f := a.fact(event.Connection, t.GetConnection(), w.cause, origin)
		f.Name = token(t.GetTo().GetStatus()) + "." + token(t.GetTo().GetProviderStatus())
		f.Data = t
		if err := a.append(ctx, &k.fact, f); err != nil {
			return err
		}
		origin = event.OriginOf(k.fact.Event)
		a.announce(ctx, t)
	}
	return nil
}

func (a *watch) fact(n event.Noun, c *patchbayv1.Connection, cause string, origin event.Origin) event.Fact {
	return event.Fact{
		Entity: event.Entity{Noun: n, ID: c.GetId()}, By: name, Cause: cause, Order: c.GetOrderId(),
		Exchange: c.GetExchange(), Origin: origin,
	}
}

func (a *watch) append(ctx context.Context, after *journal.Record, f event.Fact) error {
	r, err := a.rt.Journal.Append(ctx, *after, f)
	if err != nil {
		return err
	}
	a.index.note(r)
	*after = r
	return nil
}

// announce counts a transition, and logs one into a state that nobody documented.
func (a *watch) announce(ctx context.Context, t *patchbayv1.Transition) {
	a.meters.saw(ctx, a.account.Name, t)
	if c := t.GetConnection(); c.GetFlow() == tokenFlow && (t.GetFirst() || status.Status(c.GetStatus()).Ended()) {
		a.redeemed(c.GetExchange())
	}
	s := stateOf(t.GetConnection())
	if s.Status != status.Unknown && s.Provider != status.ProviderUnknown {
		return
	}
	a.rt.Log.Warn().Str("account", a.account.Name).Str("connection", t.GetConnection().GetId()).
		Str("status", s.Native.Status).Str("provider_status", s.Native.ProviderStatus).
		Str("state", s.Native.State).Msg("status that nobody documented")
}

// relate links the present span to the trace of a circuit.
func relate(ctx context.Context, o event.Origin) {
	c := propagation.MapCarrier{"traceparent": o.TraceParent, "tracestate": o.TraceState}
	to := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), c))
	if to.IsValid() {
		trace.SpanFromContext(ctx).AddLink(trace.Link{SpanContext: to})
	}
}

// account is the account of ours that is known to have a role on the circuit.
func (c circuit) account(role string) string {
	if a := c.sighted[role]; a != "" {
		return a
	}
	if role == exchange.Buyer {
		return c.newest().GetBuyerAccount()
	}
	return c.newest().GetSellerAccount()
}

// exchangeOf names the exchange that an API belongs to, as ids of connections have it.
func exchangeOf(api account.API) string {
	if api == account.PacketFabric {
		return "packetfabric"
	}
	return "equinix"
}
