// Package approver is the service that answers requests for a seller account's consent:
// to new circuits, to changes and to deletions.
//
// It is nudged by transitions, sightings and changes of connections, by people's
// decisions and by timers. A new request is written down whole, with the digest of what is
// decided upon; then the rules of the account approve it, reject it, or ask a person, who
// is reminded and whose time may run out. A person decides upon a digest: if the request
// is another by then, nothing happens but a refusal with the differences, and a request
// that changes while it waits is asked about anew.
//
// An approval is carried out by the provisioner. A rejection is carried out here: it is
// written first, and its own nudge is not done before the exchange shows that nothing is
// pending any more. A request that ends without us, in the exchange's portal or by the
// buyer, becomes "expired" by "elsewhere": nobody here decided it.
//
// One approver serves ECX, Fabric and PacketFabric: what is asked for and what was decided
// are the same facts for all, and what differs is what can be asked for and refused. ECX
// and Fabric ask about creations, changes and deletions; Fabric has no way to reject a
// deletion, so a person who does is refused, and a rule that would asks a person.
// PacketFabric asks about creations only.
//
// Of several seller accounts of ours that are shown a circuit one decides: the one that
// the journal names as the circuit's seller. That is the first account in the file that
// sells the circuit's profile, whichever account or API showed it first; where the profile
// tells nothing, the first account that was shown it as a seller. The others are not asked.
//
// What was concluded and not seen is never acted upon, nor is anything that no seller
// account of ours is a party to.
package approver

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/policy"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// name is the service's, in facts and as the prefix of its durables.
const name = "approver"

// Purposes of timers on an approval.
const (
	onDeadline = "deadline"
	onReminder = "reminder"
)

// most bounds the facts that one nudge may write; the longest way is expired, requested,
// approved.
const most = 8

// Approver answers requests.
type Approver struct {
	rt       service.Runtime
	policies map[string]policy.Policy
	lanes    *service.Lanes // one an account
}

// Run answers requests until ctx ends.
func Run(ctx context.Context, rt service.Runtime) error {
	a, err := New(rt)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range []struct {
		suffix, stream string
		filters        []string
		handle         journal.Handler
	}{
		{"", journal.Facts, factFilters(), a.Fact},
		{"-decisions", journal.Intents, []string{event.DecisionSubjects}, a.Decision},
		{"-timers", journal.Timers, dueFilters(), a.Due},
	} {
		group.Go(func() error {
			return rt.Journal.Consume(ctx, journal.Consumer{
				Durable: name + c.suffix, Stream: c.stream, Filters: c.filters,
				Limit: service.Handlers(len(rt.Accounts.Sellers())),
			}, c.handle)
		})
	}
	group.Go(func() error {
		a.armAll(ctx)
		return nil
	})
	return group.Wait()
}

// factFilters are the facts that may call for an answer. Of approvals only rejections
// need a second look: any other is written within the handler of a nudge that stays
// until all is done.
func factFilters() []string {
	return []string{
		event.Connection.Filter("*", "*"), event.Sighting.Filter("seller", "*"),
		event.Change.Filter("*", "*"), event.Approval.Filter(approval.Rejected, "*"),
	}
}

// dueFilters are the timers of approvals, and dead letters about a circuit that were sent
// again.
func dueFilters() []string {
	return []string{
		journal.Due(event.Approval), journal.Due(event.Connection), journal.Due(event.Change), journal.Due(event.Sighting),
	}
}

// New returns an approver; [Run] makes it work. It fails if the rules of an account
// cannot be compiled.
func New(rt service.Runtime) (*Approver, error) {
	a := &Approver{rt: rt, policies: map[string]policy.Policy{}, lanes: service.NewLanes()}
	for _, acc := range rt.Accounts.Sellers() {
		p, err := policy.Compile(acc.Policy)
		if err != nil {
			return nil, fmt.Errorf("policy of %s: %w", acc.Name, err)
		}
		a.policies[acc.Name] = p
	}
	return a, nil
}

// Fact handles a fact about a connection, or a rejection of ours.
func (a *Approver) Fact(ctx context.Context, r journal.Record) error {
	if r.Entity().Noun == event.Approval {
		return a.carryOut(ctx, r)
	}
	_, err := a.advance(ctx, r, r.Entity().ID)
	return err
}

// Due handles a timer. One that was sent again by hand may be about a rejection, too; one
// that leads to a rejection leaves it to that fact's own nudge.
func (a *Approver) Due(ctx context.Context, r journal.Record) error {
	e, err := a.advance(ctx, r, r.Entity().ID)
	written := e.last.Stamp.IsZero() // just now
	if err == nil && !written && e.approval.GetFact() == approval.Rejected && e.sight.Kind == e.approval.GetKind() {
		return a.carryOut(ctx, e.last)
	}
	return err
}

// advance takes the approval of a connection as far as it goes now, and arms its timers.
func (a *Approver) advance(ctx context.Context, nudge journal.Record, id string) (entry, error) {
	e, err := a.read(ctx, nudge, id)
	if err != nil || e.account == "" {
		return e, err
	}
	for range most {
		fact := next(e.state, a.verdict(e.state), moment{nudge.Stamp, a.rt.Journal.Now()})
		if fact == nil {
			return e, a.arm(ctx, e.approval)
		}
		if err := a.append(ctx, &e, cause(nudge, e), fact); err != nil {
			return e, err
		}
	}
	return e, fmt.Errorf("approval of %s does not come to rest", id)
}

func (a *Approver) verdict(s state) policy.Decision {
	return possible(a.policies[s.account].Decide(requestOf(s)), s)
}

// cause is the id of what made us act; a timer has none and stands for the fact that
// armed it.
func cause(nudge journal.Record, e entry) string {
	if nudge.Stream == journal.Timers {
		return e.last.Event.ID()
	}
	return nudge.Event.ID()
}

// append writes the approval's next fact after the one that was read.
func (a *Approver) append(ctx context.Context, e *entry, because string, fact *patchbayv1.Approval) error {
	rec, err := a.rt.Journal.Append(ctx, e.last, e.fact(event.Approval, because, fact))
	if err != nil {
		return err
	}
	e.last, e.approval, e.renewed = rec, fact, false
	return nil
}

// arm sets the timers of an approval that waits for a person.
func (a *Approver) arm(ctx context.Context, w *patchbayv1.Approval) error {
	if !open(w) || w.GetWait() == nil {
		return nil
	}
	e := event.Entity{Noun: event.Approval, ID: w.GetConnectionId()}
	if d := w.GetDeadline(); d != nil {
		if err := a.rt.Journal.Arm(ctx, e, onDeadline, d.AsTime()); err != nil {
			return err
		}
	}
	if d := w.GetRemindAt(); d != nil {
		return a.rt.Journal.Arm(ctx, e, onReminder, d.AsTime())
	}
	return nil
}

// armAll arms the timers of every open approval anew, until that has worked once.
func (a *Approver) armAll(ctx context.Context) {
	for {
		err := a.rt.Journal.Each(ctx, []string{event.Approval.Filter("*", "*")}, func(r journal.Record) error {
			var w patchbayv1.Approval
			if err := r.Into(&w); err != nil {
				a.rt.Log.Warn().Err(err).Str("topic", r.Subject).Msg("unreadable approval")
				return nil
			}
			return a.arm(ctx, &w)
		})
		if err == nil || ctx.Err() != nil {
			return
		}
		a.rt.Log.Warn().Err(err).Msg("timers of approvals are not armed yet")
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// sells reports whether an account is one of ours that answers requests.
func (a *Approver) sells(name string) bool {
	acc, ok := a.rt.Accounts.ByName(name)
	return ok && acc.Role.Sells()
}
