package approver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// errInferred keeps a decision until the status it is about has been seen.
var errInferred = errors.New("the connection's status is inferred and not seen")

// Decision handles a person's decision. One that cannot be read, or that names no
// connection, is a dead letter; any other changes the approval or is refused, and is then
// deleted: what came of it is in the journal.
func (a *Approver) Decision(ctx context.Context, r journal.Record) error {
	if err := a.decide(ctx, r); err != nil {
		return err
	}
	return a.rt.Journal.DropIntent(ctx, r.Seq)
}

func (a *Approver) decide(ctx context.Context, r journal.Record) error {
	d, wrong, err := readDecision(r)
	if err != nil {
		return journal.Permanent(err)
	}
	e, err := a.advance(ctx, r, d.GetConnectionId())
	if err != nil {
		return err
	}
	if e.inferred {
		return journal.Later(time.Second, errInferred)
	}
	before, err := a.recall(ctx, r.Event.ID(), d.Decision)
	if err != nil || before.handled {
		return err
	}
	d.seen = before.seen
	m := moment{r.Stamp, a.rt.Journal.Now()}
	if wrong != "" {
		return a.refuse(ctx, e, r.Event.ID(), refusalOf(e.state, d, wrong, m))
	}
	fact, refusal := judge(e.state, d, m)
	if refusal != nil {
		return a.refuse(ctx, e, r.Event.ID(), refusal)
	}
	return a.append(ctx, &e, r.Event.ID(), fact)
}

// readDecision returns the decision and the rules it breaks. The error says why it can
// neither be followed nor refused.
func readDecision(r journal.Record) (d decision, wrong string, err error) {
	noun, kind, ok := event.IntentKind(r.Event.Type())
	if !ok || noun != event.Decision {
		return d, "", fmt.Errorf("%w: type %q is no decision", event.ErrMalformed, r.Event.Type())
	}
	d.fact = approval.Approved
	if kind == intent.Reject {
		d.fact = approval.Rejected
	}
	m, violations := intent.Read(event.Decision, kind, r.Event.Data())
	if len(violations) > 0 {
		var lines []string
		for _, v := range violations {
			lines = append(lines, intent.Line(v))
		}
		wrong = "not allowed: " + strings.Join(lines, "; ")
	}
	d.Decision, ok = m.(*patchbayv1.Decision)
	if !ok || !event.ValidID(d.GetConnectionId()) {
		return d, wrong, fmt.Errorf("%w: a decision about nothing: %s", event.ErrMalformed, wrong)
	}
	return d, wrong, nil
}

// recollection is what the journal knows of a decision.
type recollection struct {
	// handled: a fact says that this very decision was followed or refused.
	handled bool
	// seen is the connection whose digest the decision names; nil if nobody was ever
	// asked about it.
	seen *patchbayv1.Connection
}

func (a *Approver) recall(ctx context.Context, id string, d *patchbayv1.Decision) (recollection, error) {
	var found recollection
	filters := []string{
		event.Entity{Noun: event.Approval, ID: d.GetConnectionId()}.Filter(),
		event.Entity{Noun: event.Refusal, ID: d.GetConnectionId()}.Filter(),
	}
	err := a.rt.Journal.History(ctx, filters, func(r journal.Record) error {
		mine := event.Ext(r.Event, event.ExtCausationID) == id
		if r.Entity().Noun == event.Refusal {
			found.handled = found.handled || mine
			return nil
		}
		var w patchbayv1.Approval
		if r.Into(&w) != nil {
			return nil // unreadable: whoever reads it as the last one says so
		}
		decided := w.GetFact() == approval.Approved || w.GetFact() == approval.Rejected
		found.handled = found.handled || mine && decided && w.GetBy() == d.GetBy()
		if w.GetDigest() == d.GetDigest() {
			found.seen = w.GetConnection()
		}
		return nil
	})
	return found, err
}

// refuse says why a decision changes nothing.
func (a *Approver) refuse(ctx context.Context, e entry, because string, refusal *patchbayv1.Refusal) error {
	last, err := a.rt.Journal.Last(ctx, event.Entity{Noun: event.Refusal, ID: refusal.GetConnectionId()})
	if err != nil {
		return err
	}
	_, err = a.rt.Journal.Append(ctx, last, e.fact(event.Refusal, because, refusal))
	return err
}
