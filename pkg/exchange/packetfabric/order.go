package packetfabric

import (
	"context"
	"errors"
	"net/http"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// Together reports false: the legs of a pair are requests of their own, and nothing ties
// them at the exchange.
func (c *Client) Together() bool { return false }

// decide makes a call that may create or decide something. It reports false if there was
// no 2xx; the outcome then says all that is known.
func (c *Client) decide(ctx context.Context, k wire.Call) (wire.Reply, exchange.Outcome, bool) {
	k.Decides = true
	r, err := c.wire.Send(ctx, c.login, k)
	if err != nil {
		return r, wire.Unanswered(err), false
	}
	if !r.OK() {
		return r, judge(r), false
	}
	return r, exchange.Outcome{}, true
}

// command makes a deciding call whose answer brings nothing but that it was taken.
func (c *Client) command(ctx context.Context, k wire.Call) exchange.Outcome {
	r, out, ok := c.decide(ctx, k)
	if !ok {
		return out
	}
	return done(r)
}

// Place creates the leg of a placement with one POST.
func (c *Client) Place(ctx context.Context, p exchange.Placement) exchange.Outcome {
	legs := asLegs(p.Intent, p.LegsToPlace())
	if len(legs) != 1 {
		return exchange.RefusedHere("", "PacketFabric takes one circuit a request")
	}
	l := legs[0]
	path, body := l.body(p.Intent)
	k := call(http.MethodPost, v2, path, exchange.ForOrder)
	k.Body = body
	r, out, ok := c.decide(ctx, k)
	if !ok {
		out.Leg = l.Which
		return out
	}
	id := c.created(r, l)
	if id == "" {
		return exchange.Outcome{Class: exchange.Unknown, Answer: r.Words() + " without an id"}
	}
	return exchange.Outcome{Class: exchange.Done, Answer: r.Words(), IDs: map[string]string{l.Which: id}}
}

// created is the id in the answer to a create; empty if there is none.
func (c *Client) created(r wire.Reply, l leg) string {
	if l.ownPort() {
		v, err := readCircuit(r.Body)
		if err != nil {
			return ""
		}
		return string(v.ID)
	}
	q, err := readRequest(r.Body)
	if err != nil {
		return ""
	}
	c.known.became(string(q.UUID), string(q.Circuit))
	c.known.leads(l.Z.GetRoutingId(), string(q.To.UUID))
	return string(q.UUID)
}

// Find reads all requests that were sent, and all circuits, and keeps what bears the legs'
// keys. Where it is not known to which customer a routing id leads, a request to any
// customer who is not known to be another counts.
func (c *Client) Find(ctx context.Context, p exchange.Placement) (exchange.Found, error) {
	legs := asLegs(p.Intent, p.LegsToPlace())
	s, err := c.look(ctx, exchange.Buyer, exchange.ForOrder)
	if err != nil {
		return exchange.Found{}, err
	}
	found := exchange.Found{Circuits: map[string][]*patchbayv1.Connection{}, Ahead: s.last.Ahead()}
	for _, l := range legs {
		w := c.wanted(ctx, l, p.Intent.GetBandwidthMbps())
		found.Circuits[l.Which] = nil
		for _, q := range s.requests {
			if w.like(q) {
				found.Circuits[l.Which] = append(found.Circuits[l.Which], c.located(s, q))
			}
		}
		for _, v := range s.unclaimed(c.known, false) {
			conn := v.connection(c.known.requestOf(string(v.ID)))
			if w.key != "" && c.KeyOf(conn) == w.key {
				found.Circuits[l.Which] = append(found.Circuits[l.Which], conn)
			}
		}
	}
	return found, nil
}

// located is a request as a look shows it. One whose circuit is gone has ended.
func (c *Client) located(s picture, q request) *patchbayv1.Connection {
	v := s.circuit(q)
	conn := q.connection(v)
	if v == nil && !q.waiting() && q.Circuit != "" && !c.coming(q, s.last) {
		gone := status.Gone()
		conn.Status, conn.ProviderStatus = string(gone.Status), string(gone.Provider)
	}
	return conn
}

// wanted is what a request that may be a leg looks like.
type wanted struct {
	key             string // of a circuit between ports of one's own
	market, service string
	mbps            int32
	is              func(customer string) bool
}

// wanted asks the marketplace what it can tell. If it tells nothing, more requests look
// alike, which is for the caller to sift.
func (c *Client) wanted(ctx context.Context, l leg, mbps int32) wanted {
	if l.ownPort() {
		return wanted{key: l.key(c.cfg.Account.Name, mbps)}
	}
	w := wanted{market: l.Z.GetMarket(), mbps: mbps}
	routing := l.Z.GetRoutingId()
	if l.Z.GetServiceId() != "" || c.known.customerOf(routing) == "" {
		all, err := c.marketplace(ctx)
		if err == nil {
			w.service = string(offerByID(all, l.Z.GetServiceId()).Name)
		}
	}
	seller := c.known.customerOf(routing)
	w.is = func(customer string) bool { return seller == "" || customer == "" || seller == customer }
	return w
}

// like reports whether q may be what is wanted.
func (w wanted) like(q request) bool {
	return w.key == "" && strings.EqualFold(string(q.To.Market), w.market) &&
		mbps(q.RateIn, q.RateOut, q.Bandwidth) == w.mbps &&
		(w.service == "" || q.Service == "" || strings.EqualFold(w.service, string(q.Service))) &&
		w.is(string(q.To.UUID))
}

// updateBody is the body of PATCH /v2/services/{id}.
type updateBody struct {
	RateIn      int32         `json:"rate_limit_in,omitempty"`
	RateOut     int32         `json:"rate_limit_out,omitempty"`
	Description string        `json:"description,omitempty"`
	Interfaces  []landingBody `json:"interfaces,omitempty"`
}

// Alter changes description, rate limits and the tag of the A side. It refuses the rest
// itself, and any change of a request that is no circuit yet.
func (c *Client) Alter(ctx context.Context, exchangeID string, set *patchbayv1.ChangeSet) exchange.Outcome {
	switch {
	case set != nil && set.TermMonths != nil:
		return exchange.RefusedHere("set.termMonths", "PacketFabric cannot change the term of a circuit")
	case len(set.GetNotifications()) > 0:
		return exchange.RefusedHere("set.notifications", "PacketFabric has no notifications of a circuit")
	case !event.ValidID(exchangeID):
		return exchange.RefusedHere("uuid", "that is no id of a circuit")
	}
	b := updateBody{RateIn: set.GetBandwidthMbps(), RateOut: set.GetBandwidthMbps(), Description: set.GetName()}
	if b.RateIn == 0 && b.Description == "" && set.GetTag() == nil {
		return exchange.RefusedHere("set", "nothing to change")
	}
	t, out, ok := c.aim(ctx, exchangeID)
	switch {
	case !ok:
		return out
	case t.circuit == "":
		return exchange.RefusedHere("", "PacketFabric changes circuits only, and this is a request that is "+t.words())
	}
	if tag := set.GetTag(); tag != nil {
		ends, out, ok := c.retag(ctx, t, tag)
		if !ok {
			return out
		}
		b.Interfaces = ends
	}
	k := call(http.MethodPatch, v2, services+"/{id}", exchange.ForOrder, t.circuit)
	k.Body = b
	return c.afterwards(ctx, c.command(ctx, k), t)
}

// retag returns the ends of the circuit that are the account's to set, the A side with
// another tag.
func (c *Client) retag(ctx context.Context, t target, tag *patchbayv1.Tag) ([]landingBody, exchange.Outcome, bool) {
	v, err := c.getCircuit(ctx, t.circuit, exchange.ForOrder)
	if err != nil {
		return nil, undecided(err), false
	}
	buyer, seller := v.Customer, wire.ID("")
	if t.request != nil {
		buyer, seller = t.request.From.UUID, t.request.To.UUID
	}
	a, z := v.ends(buyer, seller)
	if a.Port == "" {
		return nil, exchange.RefusedHere("set.tag", "the exchange does not show the port of the A side"), false
	}
	if field, why := wrongTag(tag, a.Svlan > 0); why != "" {
		return nil, exchange.RefusedHere("set.tag"+field, why), false
	}
	ends := []landingBody{landOn(string(a.Port), tag)}
	if !v.shared() {
		ends = append(ends, landOn(string(z.Port), z.tag()))
	}
	return ends, exchange.Outcome{}, true
}

// withdrawBody is the body of DELETE /v2/services/requests/{id}.
type withdrawBody struct {
	Reason string `json:"delete_reason"`
}

// Remove withdraws a request that is pending, and else asks for the end of its circuit.
// That there is nothing to end is Over.
func (c *Client) Remove(ctx context.Context, exchangeID string) exchange.Outcome {
	if !event.ValidID(exchangeID) {
		return exchange.RefusedHere("uuid", "that is no id of a circuit")
	}
	t, out, ok := c.aim(ctx, exchangeID)
	switch {
	case !ok:
		return out
	case t.circuit != "":
		k := call(http.MethodDelete, v2, services+"/{id}", exchange.ForOrder, t.circuit)
		return c.afterRemoval(ctx, c.command(ctx, k), t)
	case t.request == nil, t.request.is("rejected"):
		return exchange.Outcome{Class: exchange.Over, Answer: "not sent", Message: "the request is " + t.words()}
	case t.request.is("provisioned"):
		return exchange.Outcome{Class: exchange.Moving, Answer: "not sent: the circuit is not shown yet"}
	}
	k := call(http.MethodDelete, v2, requests+"/{id}", exchange.ForOrder, string(t.request.UUID))
	k.Body = withdrawBody{"withdrawn by its buyer"}
	return c.afterRemoval(ctx, c.command(ctx, k), t)
}

// target is what a command on a circuit is about.
type target struct {
	id      string   // as it was named
	request *request // nil if none is shown
	circuit string   // empty if there is none yet
}

// words say how far the request is.
func (t target) words() string {
	if t.request == nil {
		return "gone"
	}
	return string(t.request.Status)
}

// aim reads what there is of a circuit before a command on it. It reports false if that
// cannot be read; nothing was decided then.
func (c *Client) aim(ctx context.Context, id string) (target, exchange.Outcome, bool) {
	t := target{id: id}
	if isCircuit(id) {
		t.circuit = id
		return t, exchange.Outcome{}, true
	}
	q, _, err := c.getRequest(ctx, id, exchange.ForOrder)
	switch {
	case errors.Is(err, errAbsent):
		t.circuit = c.known.circuitOf(id)
		return t, exchange.Outcome{}, true
	case err != nil:
		return t, undecided(err), false
	}
	t.request = &q
	if !q.waiting() {
		t.circuit = string(q.Circuit)
	}
	return t, exchange.Outcome{}, true
}

// afterwards holds a refusal against what the exchange shows of the circuit after it: what
// is in motion may be asked again later.
func (c *Client) afterwards(ctx context.Context, out exchange.Outcome, t target) exchange.Outcome {
	if out.Class != exchange.Refused {
		return out
	}
	conn, err := c.get(ctx, t.id, exchange.ForOrder)
	if err == nil && inTheMaking(conn) {
		out.Class = exchange.Moving
	}
	return out
}

// inTheMaking reports whether a circuit is being built or taken down.
func inTheMaking(c *patchbayv1.Connection) bool {
	at := status.Status(c.GetStatus())
	return at == status.Provisioning || at == status.Deprovisioning
}

// afterRemoval is afterwards for a removal, which is over where nothing is left to remove.
func (c *Client) afterRemoval(ctx context.Context, out exchange.Outcome, t target) exchange.Outcome {
	if out.Class != exchange.Refused {
		return out
	}
	conn, err := c.get(ctx, t.id, exchange.ForOrder)
	switch at := status.Status(conn.GetStatus()); {
	case errors.Is(err, errAbsent):
		out.Class = exchange.Over
	case err != nil:
	case at.Ended():
		out.Class = exchange.Over
	case inTheMaking(conn), t.circuit == "" && at == status.Provisioned: // accepted meanwhile
		out.Class = exchange.Moving
	}
	return out
}
