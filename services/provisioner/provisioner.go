// Package provisioner is the service that carries out approvals: it puts a request on a
// port and tag of the seller's and accepts it at the exchange, and consents there to
// changes and deletions.
//
// It is nudged by approvals, by transitions of connections and by timers. The choice of
// port and tag is written down first, then held (package hold), then accepted: the holds
// in the journal, not the choice, see to it that a tag is given to one connection at a
// time. If somebody else has the tag, the next is chosen. A tag stays held until the
// connection has ended.
//
// The rules of the account say where: by metro at ECX and Fabric, by market at PacketFabric;
// on a port with one tag, with two (at PacketFabric an ENNI port), or without. What is
// chosen is the lowest tag of the first rule that fits which is neither held here nor, as
// far as the exchange says, in use by somebody else. A request that does not allow to be
// landed without a tag, which only PacketFabric's answer tells, goes to the next place.
//
// Before each call the exchange is looked at, and after it again: what moved on is
// accepted, whatever the call's answer was. Whoever writes down an acceptance has the time
// that is written with it to make one call; after that anybody may look and try again.
// Accepting again with the same landing does no harm, since an exchange accepts a request
// once.
//
// Nothing is accepted but what was approved, by its digest, and nothing is done upon a
// status that was concluded and not seen, or for an account that is not ours.
package provisioner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
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

// name is the service's, in facts and as the prefix of its durables.
const name = "provisioner"

// onLook is the purpose of the one timer of a landing: look again.
const onLook = "look"

const (
	// failedPause is the time between two tries at what a person has to cure.
	failedPause = 10 * time.Minute
	// lookPause is the least time between two looks after a throttled one.
	lookPause = time.Second
	// pausedPause is the time until somebody looks again whether an account is still paused.
	pausedPause = 10 * time.Second
	// most bounds the deeds of one nudge. A request that meets more taken tags than that
	// goes on with the next delivery.
	most = 32
)

// Provisioner carries out approvals.
type Provisioner struct {
	rt     service.Runtime
	ledger hold.Ledger
	tags   *tags
	lanes  *service.Lanes // one an account
}

// Run carries out approvals until ctx ends.
func Run(ctx context.Context, rt service.Runtime) error {
	p := New(rt)
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range []struct {
		suffix, stream string
		filters        []string
	}{
		{"", journal.Facts, []string{event.Approval.Filter(approval.Approved, "*"), event.Connection.Filter("*", "*"),
			event.Hold.Filter(hold.Taken, "*")}},
		{"-timers", journal.Timers, []string{
			journal.Due(event.Landing), journal.Due(event.Approval), journal.Due(event.Connection)}},
	} {
		group.Go(func() error {
			return rt.Journal.Consume(ctx, journal.Consumer{
				Durable: name + c.suffix, Stream: c.stream, Filters: c.filters,
				Limit: service.Handlers(len(rt.Accounts.Sellers())),
			}, p.Handle)
		})
	}
	group.Go(func() error {
		p.armAll(ctx)
		return nil
	})
	return group.Wait()
}

// New returns a provisioner; [Run] makes it work.
func New(rt service.Runtime) *Provisioner {
	return &Provisioner{
		rt: rt, ledger: hold.Ledger{Journal: rt.Journal, By: name}, tags: newTags(rt.Journal),
		lanes: service.NewLanes(),
	}
}

// entry is a state with where it was read.
type entry struct {
	state
	// last fact of the landing; the zero Record if there is none.
	last journal.Record
	// connection's last fact, whose order and trace every fact of ours bears.
	connection journal.Record
	// because is the id of what made us act.
	because string
	// account that sells; the zero Account if it is none of ours.
	account account.Account
	client  exchange.Client
}

// marks are what each fact about the connection bears.
func (e entry) marks() event.Fact {
	order := e.sight.Connection.GetOrderId()
	if order == "" {
		order = event.Ext(e.connection.Event, event.ExtCorrelationID)
	}
	return event.Fact{
		By: name, Cause: e.because, Order: order, Exchange: e.sight.Connection.GetExchange(),
		Origin: event.OriginOf(e.connection.Event),
	}
}

// Handle does what there is to do for the connection that a fact or timer is about.
func (p *Provisioner) Handle(ctx context.Context, nudge journal.Record) error {
	if nudge.Entity().Noun == event.Hold {
		return p.late(ctx, nudge)
	}
	e, err := p.read(ctx, nudge, nudge.Entity().ID)
	if err != nil {
		return err
	}
	for range most {
		more, err := p.do(ctx, &e, next(e.state, nudge.Stamp))
		if err != nil || !more {
			return err
		}
	}
	return fmt.Errorf("landing of %s: %d tags in a row are taken", nudge.Entity().ID, most)
}

// do does one deed and reports whether the landing has changed by it.
func (p *Provisioner) do(ctx context.Context, e *entry, d deed) (bool, error) {
	switch d {
	case nothing:
		return false, nil
	case await:
		return false, p.arm(ctx, e.landing)
	case release:
		return false, p.release(ctx, e)
	default:
		if e.client == nil {
			return false, p.stranger(e)
		}
		return p.atExchange(ctx, e, d)
	}
}

// atExchange does a deed that the exchange has a part in.
func (p *Provisioner) atExchange(ctx context.Context, e *entry, d deed) (bool, error) {
	leave, err := p.lanes.Enter(ctx, e.account.Name)
	var full service.LaneFull
	if errors.As(err, &full) {
		return false, journal.Later(full.After, err)
	}
	if err != nil {
		return false, err
	}
	defer leave()
	switch d {
	case choose:
		return p.choose(ctx, e)
	case take:
		return p.take(ctx, e)
	case look:
		return p.conclude(ctx, e)
	default:
		return p.accept(ctx, e)
	}
}

// late gives a tag back that was taken just now for a circuit which has ended. The append may
// have been on its way for long, while another instance found nothing to give back.
func (p *Provisioner) late(ctx context.Context, nudge journal.Record) error {
	h := new(patchbayv1.Hold)
	if err := nudge.Into(h); err != nil {
		return journal.Permanent(err)
	}
	for _, owner := range h.GetOwners() {
		if owner.GetNoun() != string(event.Connection) {
			continue
		}
		l := new(patchbayv1.Landing)
		if _, err := p.last(ctx, event.Landing, owner.GetId(), l); err != nil {
			return err
		}
		if l.GetFact() != released {
			continue
		}
		e, err := p.read(ctx, nudge, owner.GetId())
		if err == nil && e.landing.GetFact() == released {
			err = p.ledger.Free(ctx, hold.Want{Kind: h.GetKind(), Key: h.GetKey(), Owner: owner}, e.marks())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stranger is why nothing is done for an account that we cannot act for.
func (p *Provisioner) stranger(e *entry) error {
	if e.account.Name == "" {
		p.rt.Log.Warn().Str("connection", e.sight.Connection.GetId()).Str("account", e.approval.GetAccount()).
			Msg("approved for an account that is not ours")
		return nil
	}
	return journal.Later(failedPause, fmt.Errorf("no client for account %s", e.account.Name))
}

func (p *Provisioner) read(ctx context.Context, nudge journal.Record, id string) (entry, error) {
	e := entry{because: nudge.Event.ID()}
	l, w := new(patchbayv1.Landing), new(patchbayv1.Approval)
	var err error
	if e.last, err = p.last(ctx, event.Landing, id, l); err != nil {
		return e, err
	}
	asked, err := p.last(ctx, event.Approval, id, w)
	if err != nil || asked.None() && e.last.None() {
		return e, err
	}
	if !e.last.None() {
		e.landing = l
	}
	if !asked.None() {
		e.approval, e.fresh = w, asked.Seq > e.last.Seq
	}
	var t patchbayv1.Transition
	if nudge.Stream == journal.Facts && nudge.Entity().Noun == event.Connection {
		if err := nudge.Into(&t); err != nil {
			return e, journal.Permanent(err)
		}
		if quiet(e.state, t.GetConnection()) {
			return entry{}, nil // should there be more news of it, each is a nudge too
		}
		proto.Reset(&t)
	}
	if nudge.Stream == journal.Timers {
		if e.because = e.last.Event.ID(); e.last.None() {
			e.because = asked.Event.ID()
		}
	}
	if e.connection, err = p.last(ctx, event.Connection, id, &t); err != nil {
		return e, err
	}
	if e.connection.Archived() {
		return entry{}, nil
	}
	var ch patchbayv1.Change
	changed, err := p.last(ctx, event.Change, id, &ch)
	if err != nil {
		return e, err
	}
	newer := changed.Seq > e.connection.Seq
	e.sight = approval.Latest(&t, &ch, newer)
	e.inferred = t.GetInferred() && !newer
	seller := w.GetAccount()
	if seller == "" {
		seller = l.GetAccount()
	}
	if a, ok := p.rt.Accounts.ByName(seller); ok && a.Role.Sells() {
		e.account, e.client = a, p.rt.Clients[seller]
	}
	return e, nil
}

func (p *Provisioner) last(ctx context.Context, n event.Noun, id string, into proto.Message) (journal.Record, error) {
	r, err := p.rt.Journal.Last(ctx, event.Entity{Noun: n, ID: id})
	if err != nil || r.None() {
		return r, err
	}
	if err := r.Into(into); err != nil {
		return r, journal.Permanent(fmt.Errorf("%s %s: %w", n, id, err))
	}
	return r, nil
}

// append writes the landing's next fact after the one that was read.
func (p *Provisioner) append(ctx context.Context, e *entry, l *patchbayv1.Landing) error {
	f := e.marks()
	f.Entity = event.Entity{Noun: event.Landing, ID: l.GetConnectionId()}
	f.Name, f.Data = l.GetFact(), l
	rec, err := p.rt.Journal.Append(ctx, e.last, f)
	if err != nil {
		return err
	}
	e.last, e.landing, e.fresh = rec, l, false
	return nil
}

// arm makes sure of the timer of a landing that is looked at again.
func (p *Provisioner) arm(ctx context.Context, l *patchbayv1.Landing) error {
	until := l.GetWait().GetUntil()
	if until == nil {
		return nil
	}
	_, err := p.rt.Journal.ArmBy(ctx, event.Entity{Noun: event.Landing, ID: l.GetConnectionId()}, onLook, until.AsTime())
	return err
}

// armAll arms the timers of every landing that waits anew, until that has worked once.
func (p *Provisioner) armAll(ctx context.Context) {
	for {
		err := p.rt.Journal.Each(ctx, []string{event.Landing.Filter("*", "*")}, func(r journal.Record) error {
			var l patchbayv1.Landing
			if err := r.Into(&l); err != nil {
				p.rt.Log.Warn().Err(err).Str("topic", r.Subject).Msg("unreadable landing")
				return nil
			}
			return p.arm(ctx, &l)
		})
		if err == nil || ctx.Err() != nil {
			return
		}
		p.rt.Log.Warn().Err(err).Msg("timers of landings are not armed yet")
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// get reads the circuit at the exchange.
func (p *Provisioner) get(ctx context.Context, e *entry) (*patchbayv1.Connection, error) {
	ctx, cancel := p.callContext(ctx, e)
	defer cancel()
	c, err := e.client.Get(ctx, e.sight.Connection.GetExchangeId())
	return c, p.pause(e, err)
}

// pause makes an error of a look one that comes again when the exchange allows.
func (p *Provisioner) pause(e *entry, err error) error {
	var busy exchange.Throttled
	switch {
	case errors.As(err, &busy):
		return journal.Later(max(busy.After, lookPause), err)
	case err != nil:
		return fmt.Errorf("look at %s: %w", e.sight.Connection.GetId(), err)
	}
	return nil
}

func (p *Provisioner) within(e *entry) time.Duration {
	if e.account.Attempt > 0 {
		return e.account.Attempt
	}
	return account.DefaultAttempt
}

func (p *Provisioner) callContext(ctx context.Context, e *entry) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, p.within(e))
}
