package provisioner

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// errStale reports that the exchange shows less than the journal knows. It shows it soon.
var errStale = errors.New("the exchange does not show the request")

// errChanged reports that the request at the exchange is not the one that was approved. A
// transition or change will say so, and then it is asked about anew.
var errChanged = errors.New("the exchange shows another request than the one approved")

// choose looks whether the request is still there, and reserves a port and a tag for it.
func (p *Provisioner) choose(ctx context.Context, e *entry) (bool, error) {
	c, err := p.get(ctx, e)
	if err != nil {
		return false, err
	}
	switch progressOf(exchange.Create, c) {
	case pending:
	case unclear:
		return false, errStale
	default:
		return false, nil // it has moved on; a transition will say so
	}
	l := first(e.state)
	if e.landing.GetKind() == exchange.Create && e.landing.GetApprovalDigest() == l.GetApprovalDigest() {
		l.Taken = e.landing.GetTaken()
	}
	l.PortId, l.Tag, l.HoldId = "", nil, ""
	return p.reserve(ctx, e, l, c)
}

// reserve writes down the first spot that is not known to be taken, or that there is none.
func (p *Provisioner) reserve(ctx context.Context, e *entry, l *patchbayv1.Landing, c *patchbayv1.Connection) (bool, error) {
	r, err := p.request(ctx, e, c)
	if err != nil {
		return false, err
	}
	ports, err := p.ports(ctx, e)
	if err != nil {
		return false, err
	}
	group := e.sight.Connection.GetRedundancyGroup()
	r.avoid = p.tags.ports(group)
	where, why := places(e.account.Landing, ports, r)
	if len(where) == 0 {
		return false, p.fail(ctx, e, nowhere(l, "invalid", why, p.rt.Journal.Now()))
	}
	s, ok, err := p.pick(ctx, e, l, where)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, p.fail(ctx, e, nowhere(l, "held", full(where, r), p.rt.Journal.Now()))
	}
	if err := p.append(ctx, e, reserve(l, s, r.innerOn(s), p.rt.Journal.Now())); err != nil {
		p.tags.forget(hold.TagKey(l.GetExchange(), s.port, s.outer))
		return false, err
	}
	p.tags.pair(group, s.port)
	return true, nil
}

// request is what c wants of its place. Where the exchange does not show it on the request,
// it may on the profile that was asked for.
func (p *Provisioner) request(ctx context.Context, e *entry, c *patchbayv1.Connection) (request, error) {
	r := requestOf(c)
	if e.account.API == account.Fabric {
		r = r.giveInner(c.GetASide())
	}
	knows, ok := e.client.(exchange.LandsOn)
	if !ok || r.encapsulation != "" || c.GetZSide().GetProfileId() == "" {
		return r, nil
	}
	ctx, cancel := p.callContext(ctx, e)
	defer cancel()
	encapsulation, err := knows.LandsOn(ctx, c.GetZSide().GetProfileId())
	switch {
	case errors.As(err, new(exchange.Throttled)):
		return r, p.pause(e, err)
	case err != nil:
		p.rt.Log.Warn().Err(err).Str("account", e.account.Name).Str("profile", c.GetZSide().GetProfileId()).
			Msg("on what ports requests land is not known")
	case slices.Contains([]account.Encapsulation{account.Dot1q, account.QinQ, account.Untagged}, account.Encapsulation(encapsulation)):
		r.encapsulation = encapsulation
	}
	return r, nil
}

func (p *Provisioner) ports(ctx context.Context, e *entry) ([]exchange.Port, error) {
	ctx, cancel := p.callContext(ctx, e)
	defer cancel()
	ports, err := e.client.Ports(ctx)
	return ports, p.pause(e, err)
}

// pick reads the holds once more before it says that nothing is free: tags that other
// processes gave back are not known here. Where the exchange says which tags of a port are
// in use, none of those is picked: circuits that nobody here has seen may have them.
func (p *Provisioner) pick(ctx context.Context, e *entry, l *patchbayv1.Landing, where []place) (spot, bool, error) {
	tried := l.GetTaken()
	asked := map[string]bool{} // ports whose tags the exchange has told
	for _, again := range []bool{false, true} {
		if err := p.tags.load(ctx, again); err != nil {
			return spot{}, false, fmt.Errorf("read holds: %w", err)
		}
		for {
			s, ok := p.tags.pick(l.GetExchange(), where, tried)
			if !ok {
				break
			}
			if asked[s.port] {
				return s, true, nil
			}
			asked[s.port] = true
			used, err := p.inUse(ctx, e, s.port)
			if err == nil && !slices.Contains(used, s.String()) {
				return s, true, nil
			}
			p.tags.forget(hold.TagKey(l.GetExchange(), s.port, s.outer))
			if err != nil {
				return spot{}, false, err
			}
			tried = slices.Concat(tried, used)
		}
	}
	return spot{}, false, nil
}

// inUse are the spots of a port that the exchange says are in use, as it said lately. An
// exchange that does not say, or cannot now, refuses what is taken when it is asked for.
func (p *Provisioner) inUse(ctx context.Context, e *entry, port string) ([]string, error) {
	teller, ok := e.client.(exchange.TagsInUse)
	if !ok {
		return nil, nil
	}
	if used, known := p.tags.usedOn(e.account.Name, port); known {
		return used, nil
	}
	ctx, cancel := p.callContext(ctx, e)
	defer cancel()
	tags, err := teller.InUse(ctx, port)
	switch {
	case errors.As(err, new(exchange.Throttled)):
		return nil, p.pause(e, err)
	case err != nil:
		p.rt.Log.Warn().Err(err).Str("account", e.account.Name).Str("port", port).Msg("tags in use are not known")
		return nil, nil
	}
	var used []string
	for _, t := range tags {
		outer, _ := hold.OuterInner(t)
		used = append(used, spot{place{port: port}, outer}.String())
	}
	p.tags.use(e.account.Name, port, used)
	return used, nil
}

// fail writes down a failure, unless it was said before, and arms the next try.
func (p *Provisioner) fail(ctx context.Context, e *entry, l *patchbayv1.Landing) error {
	if !sameFailure(e.landing, l) {
		if err := p.append(ctx, e, l); err != nil {
			return err
		}
	}
	return p.arm(ctx, l)
}

// wantOf is the hold on what l reserved.
func wantOf(l *patchbayv1.Landing) hold.Want {
	outer, _ := hold.OuterInner(l.GetTag())
	return hold.Want{
		Kind: hold.Tag, Key: hold.TagKey(l.GetExchange(), l.GetPortId(), outer),
		Owner: &patchbayv1.Owner{Id: l.GetConnectionId(), Noun: string(event.Connection)},
	}
}

// take takes the hold of what is reserved and accepts, or reserves the next.
func (p *Provisioner) take(ctx context.Context, e *entry) (bool, error) {
	err := p.ledger.Take(ctx, wantOf(e.landing), e.marks())
	var held hold.HeldError
	if errors.As(err, &held) {
		return p.reserve(ctx, e, tried(e.landing), e.sight.Connection)
	}
	if err != nil {
		return false, err
	}
	return p.accept(ctx, e)
}

// accept gives the consent: look, write down, call once, look again.
func (p *Provisioner) accept(ctx context.Context, e *entry) (bool, error) {
	err := p.rt.Free(ctx, e.account.Name)
	if errors.As(err, new(service.AccountPaused)) {
		return false, journal.Later(pausedPause, err)
	}
	if err != nil {
		return false, err
	}
	c, err := p.get(ctx, e)
	if err != nil {
		return false, err
	}
	l := e.landing
	if begins(e.state) {
		l = first(e.state)
	}
	if at := progressOf(l.GetKind(), c); at != pending && at != maybe {
		return p.settle(ctx, e, l, sighting{c, at})
	}
	if approval.Contradicts(e.sight.Connection, c) {
		return false, errChanged
	}
	l = toAccept(l, p.within(e), p.rt.Journal.Now())
	l.ApprovalDigest = e.approval.GetDigest()
	if err := p.append(ctx, e, l); err != nil {
		return false, err
	}
	// Should this process end now, the nudge comes again, and who gets it arms the timer.
	ctx, finished := service.Finish(ctx)
	defer finished()
	out := p.call(ctx, e, l)
	if c, err = p.get(ctx, e); err != nil {
		return false, p.arm(ctx, l) // it brings the next look
	}
	return p.answered(ctx, e, out, sighting{c, after(progressOf(l.GetKind(), c), out.Class)})
}

func (p *Provisioner) call(ctx context.Context, e *entry, l *patchbayv1.Landing) exchange.Outcome {
	ctx, cancel := p.callContext(ctx, e)
	defer cancel()
	a := exchange.Acceptance{
		ExchangeID: l.GetExchangeId(), Kind: l.GetKind(), Redundancy: e.sight.Connection.GetRedundancy(),
	}
	if l.GetKind() == exchange.Create {
		a.PortID, a.Tag = l.GetPortId(), l.GetTag()
	}
	out := e.client.Accept(ctx, a)
	p.rt.Log.Debug().Str("connection", l.GetConnectionId()).Str("kind", l.GetKind()).Str("class", string(out.Class)).
		Str("answer", out.Answer).Msg("accept")
	return out
}

// sighting is the circuit at the exchange, and what that means for the consent.
type sighting struct {
	connection *patchbayv1.Connection
	at         progress
}

// answered settles a call by what the exchange shows after it.
func (p *Provisioner) answered(ctx context.Context, e *entry, out exchange.Outcome, s sighting) (bool, error) {
	switch {
	case s.at != pending && s.at != unclear:
		return p.settle(ctx, e, e.landing, s)
	case s.at == pending && elsewhere(e.landing, out):
		p.tags.unknow(e.account.Name, e.landing.GetPortId())
		if err := p.ledger.Free(ctx, wantOf(e.landing), e.marks()); err != nil {
			return false, err
		}
		return p.reserve(ctx, e, tried(e.landing), e.sight.Connection)
	case s.at == pending && (out.Class == exchange.Refused || out.Class == exchange.Taken):
		return false, p.fail(ctx, e, refused(e.landing, out, p.rt.Journal.Now()))
	}
	return false, p.arm(ctx, e.landing)
}

// elsewhere reports whether a request that was refused may land on another spot: the tag is
// somebody else's, or the request does not allow a landing without a tag.
func elsewhere(l *patchbayv1.Landing, out exchange.Outcome) bool {
	return l.GetKind() == exchange.Create &&
		(out.Class == exchange.Taken || out.Class == exchange.Refused && l.GetTag().GetUntagged())
}

// conclude looks at what became of a landing without us.
func (p *Provisioner) conclude(ctx context.Context, e *entry) (bool, error) {
	c, err := p.get(ctx, e)
	if err != nil {
		return false, err
	}
	return p.settle(ctx, e, e.landing, sighting{c, progressOf(e.landing.GetKind(), c)})
}

// settle writes down what the exchange shows to have become of the consent.
func (p *Provisioner) settle(ctx context.Context, e *entry, l *patchbayv1.Landing, s sighting) (bool, error) {
	now := p.rt.Journal.Now()
	switch {
	case s.at == moved || s.at == maybe && e.sight.Kind != exchange.Change:
		return p.landed(ctx, e, following(l, accepted, now), s.connection)
	case s.at == ended:
		return false, p.release(ctx, e)
	case s.at == withdrawn && e.sight.Kind != l.GetKind():
		return true, p.append(ctx, e, cancelled(l, now))
	}
	return false, errStale
}

// landed writes down that the request is accepted, where the exchange says it is: somebody
// may have accepted it in the portal. The holds follow it.
func (p *Provisioner) landed(ctx context.Context, e *entry, l *patchbayv1.Landing, c *patchbayv1.Connection) (bool, error) {
	if l.GetKind() != exchange.Create {
		return true, p.append(ctx, e, l)
	}
	there, moved := actual(l, c)
	if !moved {
		return true, p.append(ctx, e, l)
	}
	err := p.ledger.Take(ctx, wantOf(there), e.marks())
	var held hold.HeldError
	switch {
	case errors.As(err, &held):
		there.HoldId = ""
		there.Failure = &patchbayv1.Failure{Reason: "held", Holder: held.Holder.GetId(),
			Message: "the exchange shows the circuit on a tag that is held for another: " + held.Error()}
	case err != nil:
		return false, err
	}
	if l.GetHoldId() != "" {
		if err := p.free(ctx, e, l); err != nil {
			return false, err
		}
	}
	return true, p.append(ctx, e, there)
}

// actual returns the landing where the exchange shows it, and whether that is elsewhere.
func actual(l *patchbayv1.Landing, c *patchbayv1.Connection) (*patchbayv1.Landing, bool) {
	z := c.GetZSide()
	want, _ := hold.OuterInner(l.GetTag())
	got, _ := hold.OuterInner(z.GetTag())
	if z.GetPortId() == "" || got == 0 || z.GetPortId() == l.GetPortId() && got == want {
		return l, false
	}
	n := proto.CloneOf(l)
	n.PortId, n.Tag, n.Encapsulation = z.GetPortId(), proto.CloneOf(z.GetTag()), z.GetEncapsulation()
	n.HoldId = wantOf(n).ID()
	return n, true
}

func (p *Provisioner) free(ctx context.Context, e *entry, l *patchbayv1.Landing) error {
	w := wantOf(l)
	if err := p.ledger.Free(ctx, w, e.marks()); err != nil {
		return err
	}
	p.tags.forget(w.Key)
	return nil
}

// release gives back what a landing holds. The fact comes first; who finds it frees the
// hold again, which does no harm.
func (p *Provisioner) release(ctx context.Context, e *entry) error {
	l := e.landing
	if l == nil {
		return nil
	}
	if l.GetFact() != released {
		if err := p.append(ctx, e, following(l, released, p.rt.Journal.Now())); err != nil {
			return err
		}
	}
	p.tags.part(e.sight.Connection.GetRedundancyGroup())
	if l.GetHoldId() == "" {
		return nil
	}
	if err := p.free(ctx, e, l); err != nil {
		return journal.Later(lookPause, err)
	}
	return nil
}
