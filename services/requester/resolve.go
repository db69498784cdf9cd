package requester

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// portsFor is how long the ports of an account are believed.
const portsFor = 5 * time.Minute

// ports remembers which ports an account has.
type ports struct {
	mu  sync.Mutex
	all map[string]knownPorts
}

type knownPorts struct {
	ids  []string
	asOf time.Time
}

// of returns the account's ports, if they were read lately.
func (p *ports) of(name string) (ids []string, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, ok := p.all[name]
	return k.ids, ok && time.Since(k.asOf) < portsFor
}

func (p *ports) learn(name string, ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[name] = knownPorts{ids, time.Now()}
}

// portsOf returns the account's ports. It asks the exchange when it was not asked lately,
// unless enough others wait for it.
func (r *Requester) portsOf(ctx context.Context, name string, c exchange.Client) ([]string, error) {
	if ids, known := r.ports.of(name); known {
		return ids, nil
	}
	leave, err := r.lanes.Enter(ctx, name+" "+checkLane)
	if err != nil {
		return nil, err
	}
	defer leave()
	parties, err := c.Parties(ctx)
	if err != nil {
		return nil, fmt.Errorf("ports of %s: %w", name, err)
	}
	r.ports.learn(name, parties.Ports)
	return parties.Ports, nil
}

func exchangeOf(a account.API) string {
	if a == account.PacketFabric {
		return "packetfabric"
	}
	return "equinix"
}

func violation(field, value, rule, hint string) []*patchbayv1.Violation {
	return []*patchbayv1.Violation{{Field: field, Value: value, Rule: rule, Hint: hint}}
}

func (r *Requester) buyers() (all []string) {
	for _, a := range r.rt.Accounts.Buyers() {
		all = append(all, a.Name)
	}
	return all
}

// buyer finds the account that orders: the one that is named, else the only one, else the
// one that has the A-side port, else the only one whose API takes service tokens. An error
// means that the exchange could not be asked.
func (r *Requester) buyer(ctx context.Context, in *patchbayv1.CreateIntent) (account.Account, []*patchbayv1.Violation, error) {
	buyers := r.buyers()
	hint := "the accounts that order: " + strings.Join(buyers, ", ")
	named := in.GetAccount()
	switch {
	case named != "" && slices.Contains(buyers, named):
		return r.pick(named)
	case named != "":
		return account.Account{}, violation("account", fmt.Sprintf("%q", named), "an account that orders", hint), nil
	case len(buyers) == 1:
		return r.pick(buyers[0])
	}
	a := in.GetPrimary().GetASide()
	var can []string
	var err error
	what := "no port and no token tells it; " + hint
	switch {
	case a.GetPortId() != "":
		what = "no account has the A-side port; " + hint
		can, err = r.owners(ctx, a.GetPortId())
	case a.GetServiceToken() != "":
		what = "no account is at an exchange with service tokens; " + hint
		can = r.buyersAt(account.Fabric)
	}
	switch {
	case err != nil:
		return account.Account{}, nil, err
	case len(can) == 1:
		return r.pick(can[0])
	case len(can) > 1 && a.GetPortId() != "":
		what = "the A-side port belongs to " + strings.Join(can, ", ")
	case len(can) > 1:
		what = "the A-side token may be redeemed by " + strings.Join(can, ", ")
	}
	return account.Account{}, violation("account", "", "required", what), nil
}

func (r *Requester) pick(name string) (account.Account, []*patchbayv1.Violation, error) {
	a, _ := r.rt.Accounts.ByName(name)
	return a, nil, nil
}

// buyersAt returns the accounts that order at an API.
func (r *Requester) buyersAt(api account.API) (all []string) {
	for _, a := range r.rt.Accounts.Buyers() {
		if a.API == api {
			all = append(all, a.Name)
		}
	}
	return all
}

// owners returns the accounts that have a port. Nobody can tell, which is an error, while an
// account cannot be asked at whose exchange the port is or, if nobody has it, may be.
func (r *Requester) owners(ctx context.Context, port string) ([]string, error) {
	var owners, at []string
	away := map[string]error{}
	buyers := r.rt.Accounts.Buyers()
	ports, errs := make([][]string, len(buyers)), make([]error, len(buyers))
	var asking errgroup.Group // one that hangs must not use up the time of the others
	for i, a := range buyers {
		if c := r.rt.Clients[a.Name]; c != nil {
			asking.Go(func() error {
				ports[i], errs[i] = r.portsOf(ctx, a.Name, c)
				return nil
			})
		}
	}
	_ = asking.Wait() // all return nil
	for i, a := range buyers {
		if errs[i] != nil {
			away[exchangeOf(a.API)] = errs[i]
		}
		if slices.Contains(ports[i], port) {
			owners, at = append(owners, a.Name), append(at, exchangeOf(a.API))
		}
	}
	for where, err := range away {
		if len(owners) == 0 || slices.Contains(at, where) {
			return nil, err
		}
	}
	return owners, nil
}

// unknownTarget is what to do about a target that is not known.
const unknownTarget = "hand in the create first, then this once more under another id"

// aim finds what a change or delete is about and puts it into the order.
func (r *Requester) aim(ctx context.Context, o *patchbayv1.Order, t *patchbayv1.Target) ([]*patchbayv1.Violation, error) {
	if t.GetConnectionId() != "" {
		return r.aimAtConnection(ctx, o, t.GetConnectionId())
	}
	id, field, value := targetOrder(t), "target.orderId", t.GetOrderId()
	if value == "" {
		field, value = "target.id", t.GetId()
	}
	target, _, err := r.lastOrder(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case target == nil:
		return violation(field, fmt.Sprintf("%q", value), "an order that is known here", unknownTarget), nil
	case target.GetKind() != exchange.Create:
		return violation(field, fmt.Sprintf("%q", value), "an order that creates", "it is a "+target.GetKind()), nil
	case target.GetFact() == event.Archived:
		return violation(field, fmt.Sprintf("%q", value), "an order whose circuits may still stand", "it ended long ago and is archived"), nil
	}
	o.TargetOrderId = id
	o.Account, o.Exchange, o.Api = target.GetAccount(), target.GetExchange(), target.GetApi()
	adoptLegs(o, target)
	return nil, nil
}

// targetOrder is the id of the order that a change or delete names, if it names one.
func targetOrder(t *patchbayv1.Target) string {
	if t.GetSource() != "" {
		return event.OrderID(t.GetSource(), t.GetId())
	}
	return t.GetOrderId()
}

// errFound ends a search.
var errFound = errors.New("found")

// onItsWay reports whether upstream has published the create of an order that does not
// exist yet. A change or delete may overtake it, and is not to be refused for that.
func (r *Requester) onItsWay(ctx context.Context, orderID string) (bool, error) {
	err := r.rt.Journal.EachIntent(ctx, event.IntentSubject(event.Intent, exchange.Create), func(rec journal.Record) error {
		if event.OrderID(rec.Event.Source(), rec.Event.ID()) == orderID {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// aimAtUnseen finds a circuit that was ordered here and that nobody has seen yet. It
// reports whether there is one.
func (r *Requester) aimAtUnseen(ctx context.Context, o *patchbayv1.Order, id string) (bool, error) {
	owners, err := r.index.of(ctx, id, 0)
	if err != nil {
		return false, err
	}
	for _, owner := range owners {
		target, _, err := r.lastOrder(ctx, owner)
		if err != nil {
			return false, err
		}
		for _, l := range target.GetLegs() {
			if target.GetKind() != exchange.Create || l.GetConnectionId() != id {
				continue
			}
			o.TargetOrderId = owner
			o.Account, o.Exchange, o.Api = target.GetAccount(), target.GetExchange(), target.GetApi()
			o.Legs = []*patchbayv1.OrderLeg{{
				Leg: l.GetLeg(), State: order.Open, Name: l.GetName(), ConnectionId: id, ExchangeId: l.GetExchangeId(),
			}}
			return true, nil
		}
	}
	return false, nil
}

// buyerOf is the account of ours that has the A side of a circuit: the one that ordered it,
// if that was done here, for another of the same company may speak another API. A sighting
// may know it before the circuit's own facts do.
func (r *Requester) buyerOf(ctx context.Context, c *patchbayv1.Connection) (string, error) {
	if c.GetOrderId() != "" {
		o, _, err := r.lastOrder(ctx, c.GetOrderId())
		if err != nil || o.GetAccount() != "" {
			return o.GetAccount(), err
		}
	}
	if c.GetBuyerAccount() != "" {
		return c.GetBuyerAccount(), nil
	}
	rec, err := r.rt.Journal.Last(ctx, event.Entity{Noun: event.Sighting, ID: c.GetId()})
	if err != nil || rec.None() {
		return "", err
	}
	s := new(patchbayv1.Sighting)
	if err := rec.Into(s); err != nil {
		return "", journal.Permanent(err)
	}
	return s.GetConnection().GetBuyerAccount(), nil
}

func (r *Requester) aimAtConnection(ctx context.Context, o *patchbayv1.Order, id string) ([]*patchbayv1.Violation, error) {
	t, _, err := r.lastTransition(ctx, id)
	if err != nil {
		return nil, err
	}
	if t == nil {
		if known, err := r.aimAtUnseen(ctx, o, id); known || err != nil {
			return nil, err
		}
		return violation("target.connectionId", fmt.Sprintf("%q", id), "a circuit that is known here",
			"one that was just ordered may take some seconds to be seen, one that ended long ago may be archived; "+unknownTarget), nil
	}
	c := t.GetConnection()
	buyer, err := r.buyerOf(ctx, c)
	if err != nil {
		return nil, err
	}
	a, ok := r.rt.Accounts.ByName(buyer)
	if !ok || !a.Role.Buys() {
		return violation("target.connectionId", fmt.Sprintf("%q", id), "a circuit of an account of ours that orders", ""), nil
	}
	o.TargetOrderId, o.Flow = c.GetOrderId(), c.GetFlow()
	o.Account, o.Exchange, o.Api = a.Name, exchangeOf(a.API), string(a.API)
	leg := c.GetLeg()
	if leg != exchange.Secondary {
		leg = exchange.Primary
	}
	o.Legs = []*patchbayv1.OrderLeg{{
		Leg: leg, State: order.Open, Name: c.GetName(), ConnectionId: id, ExchangeId: c.GetExchangeId(),
	}}
	return nil, nil
}
