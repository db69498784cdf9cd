package approver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Pauses before the exchange is looked at again: after a call it may have taken, for what
// it shows late; after it refused ours, which a person has to cure; and after it showed a
// word that nobody knows.
const (
	lookPause    = 2 * time.Second
	refusedPause = 10 * time.Minute
	unclearPause = 15 * time.Second
	// pausedPause is the time until somebody looks again whether an account is still paused.
	pausedPause = 10 * time.Second
)

// callTime is what one call to the exchange gets where the account says nothing.
const callTime = time.Minute

// errPending reports that the exchange still shows what was rejected as pending.
var errPending = errors.New("still pending at the exchange")

// errChanged reports that the request at the exchange is not the one that was rejected. A
// transition or change will say so, and then it is asked about anew.
var errChanged = errors.New("the exchange shows another request than the one rejected")

// errUnclear reports a status by which nobody can tell whether something is pending.
var errUnclear = errors.New("undocumented status")

// carryOut tells the exchange of the rejection r. It looks first, calls at most once, and
// looks again; it is done only when nothing is pending any more, so r is its own outbox.
func (a *Approver) carryOut(ctx context.Context, r journal.Record) error {
	e, err := a.read(ctx, r, r.Entity().ID)
	if err != nil || e.account == "" {
		return err
	}
	w := e.approval
	if e.last.Seq != r.Seq || w.GetFact() != approval.Rejected || e.renewed {
		return nil // it has been asked about anew; another nudge knows
	}
	client := a.rt.Clients[e.account]
	if client == nil {
		return journal.Later(refusedPause, fmt.Errorf("no client for account %s", e.account))
	}
	if err := a.rt.Free(ctx, e.account); err != nil {
		return afterPause(err)
	}
	leave, err := a.lanes.Enter(ctx, e.account)
	var full service.LaneFull
	if errors.As(err, &full) {
		return journal.Later(full.After, err)
	}
	if err != nil {
		return err
	}
	defer leave()
	if pending, err := a.pending(ctx, client, w); err != nil || !pending {
		return err
	}
	ctx, finished := service.Finish(ctx)
	defer finished()
	out := a.reject(ctx, client, w)
	if pending, err := a.pending(ctx, client, w); err != nil || !pending {
		return err
	}
	err = fmt.Errorf("reject %s: %w: %s %s %s", w.GetConnectionId(), errPending, out.Class, out.Code, out.Answer)
	switch {
	case out.Class == exchange.Refused && w.GetWait() == nil:
		return a.append(ctx, &e, r.Event.ID(),
			refusedByExchange(w, out, moment{r.Stamp, a.rt.Journal.Now()}))
	case out.Class == exchange.Refused:
		return journal.Later(refusedPause, err)
	}
	return journal.Later(max(out.After, lookPause), err)
}

// afterPause has what waits for an account that is paused come again.
func afterPause(err error) error {
	if errors.As(err, new(service.AccountPaused)) {
		return journal.Later(pausedPause, err)
	}
	return err
}

func (a *Approver) reject(ctx context.Context, client exchange.Client, w *patchbayv1.Approval) exchange.Outcome {
	ctx, cancel := a.callContext(ctx, w.GetAccount())
	defer cancel()
	reason := w.GetReason()
	if reason == "" {
		reason = "rejected by " + w.GetAccount()
	}
	return client.Reject(ctx, w.GetConnection().GetExchangeId(), w.GetKind(), reason)
}

// pending reports whether the exchange shows what was rejected as still asked for. What it
// does not know any more is not.
func (a *Approver) pending(ctx context.Context, client exchange.Client, w *patchbayv1.Approval) (bool, error) {
	ctx, cancel := a.callContext(ctx, w.GetAccount())
	defer cancel()
	c, err := client.Get(ctx, w.GetConnection().GetExchangeId())
	var busy exchange.Throttled
	switch {
	case errors.Is(err, exchange.ErrGone):
		return false, nil
	case errors.As(err, &busy):
		return false, journal.Later(max(busy.After, lookPause), err)
	case err != nil:
		return false, fmt.Errorf("look at %s: %w", w.GetConnectionId(), err)
	case c.GetStatus() == string(status.Unknown):
		// It may still be asked for, under a word that nobody documented.
		return false, journal.Later(unclearPause, fmt.Errorf("look at %s: %w: %q",
			w.GetConnectionId(), errUnclear, c.GetNative().GetStatus()))
	}
	if approval.Kind(c) == w.GetKind() && approval.Contradicts(w.GetConnection(), c) {
		return false, journal.Later(lookPause, errChanged)
	}
	return approval.Kind(c) == w.GetKind(), nil
}

func (a *Approver) callContext(ctx context.Context, account string) (context.Context, context.CancelFunc) {
	d := callTime
	if acc, ok := a.rt.Accounts.ByName(account); ok && acc.Attempt > 0 {
		d = acc.Attempt
	}
	return context.WithTimeout(ctx, d)
}
