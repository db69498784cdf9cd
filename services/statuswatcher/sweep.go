package statuswatcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// sweeping sweeps over the account's lists, while that is for this watcher to do, until ctx
// ends.
func (a *watch) sweeping(ctx context.Context) {
	pace := newCadence(a.pace)
	var full, last time.Time // when the next sweep over everything is due, and when the last was
	failing := false
	failed := 0 // in a row
	for a.myTurn(ctx) {
		all := a.whole || !time.Now().Before(full) || a.wantsAll() && time.Since(last) >= a.pace.Quiet
		moved, err := a.sweep(ctx, all)
		if err == nil && all {
			last = time.Now()
			full = last.Add(min(jittered(a.fullEvery()), longestFull))
		}
		a.report(ctx, err, &failing)
		if failed++; err == nil {
			failed = 0
		}
		if moved {
			pace.moved()
		}
		if failed == failures {
			a.passOn(ctx)
			failed = 0
		}
		a.rest(ctx, &pace)
	}
}

// fullEvery is the time between sweeps over everything. An exchange that says what has
// changed needs them for absences alone, and their calls grow with what exists.
func (a *watch) fullEvery() time.Duration {
	if a.feed != nil {
		return 4 * a.pace.Full
	}
	return a.pace.Full
}

// report says once that sweeps fail, and once that they do not any more.
func (a *watch) report(ctx context.Context, err error, failing *bool) {
	if ctx.Err() != nil || (err != nil) == *failing {
		return
	}
	*failing = err != nil
	if *failing {
		a.rt.Log.Warn().Err(err).Str("account", a.account.Name).Msg("sweep failed; trying on")
		return
	}
	a.rt.Log.Info().Str("account", a.account.Name).Msg("sweeps work again")
}

// rest waits for the time of the next sweep, which comes closer if something moves.
func (a *watch) rest(ctx context.Context, pace *cadence) {
	at := time.Now().Add(pace.next())
	for {
		wait := max(time.Until(at), a.awayFor())
		if wait <= 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-a.pulse:
			pace.moved()
			if soon := time.Now().Add(pace.next()); soon.Before(at) {
				at = soon
			}
		case <-time.After(wait):
		}
	}
}

// shown is a circuit of an answer that may be news.
type shown struct {
	conn *patchbayv1.Connection
	role string
	by   string
	at   time.Time
}

// Kinds of sweeps, as metrics have them.
const (
	sweepAll     = "all"     // everything
	sweepMoving  = "moving"  // what is in motion, by the exchange's words
	sweepChanged = "changed" // what changed since the last time
)

func (a *watch) kindOf(all bool) string {
	switch {
	case all:
		return sweepAll
	case a.feed != nil:
		return sweepChanged
	default:
		return sweepMoving
	}
}

// sweep reads the account's lists, of everything or of what is in motion or has changed,
// and takes in what they show. It reports whether anything moved.
func (a *watch) sweep(ctx context.Context, all bool) (moved bool, err error) {
	ctx, span := a.tracer().Start(ctx, "sweep", trace.WithNewRoot(),
		trace.WithAttributes(attribute.String("patchbay.account", a.account.Name), attribute.Bool("patchbay.full", all)))
	defer func() {
		if err != nil {
			a.mind(err)
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}()

	began, before := time.Now(), a.index.now()
	seen := map[string]bool{}
	fresh, newest, err := a.list(ctx, a.kindOf(all), before, seen)
	var got intake
	if err == nil || len(fresh) > 0 {
		// What came before a list broke off is as good as the rest.
		got, err = a.takeMore(ctx, fresh, before, err)
	}
	if err != nil {
		return got.moved, err
	}
	if !got.open {
		a.mark.rise(newest, began, time.Now())
	}
	if all {
		a.judge(ctx, before, seen)
	}
	more, err := a.missing(ctx, all, before, seen)
	return got.moved || more.moved, err
}

// takeMore takes in what came of a list and keeps the list's own error.
func (a *watch) takeMore(ctx context.Context, fresh []shown, before uint64, broken error) (intake, error) {
	got, err := a.takeAll(ctx, fresh, before)
	return got, errors.Join(broken, err)
}

// list reads the account's lists and keeps what may be news. The ids of all that was shown
// go into seen; newest is the latest time that the exchange gave of any.
func (a *watch) list(ctx context.Context, kind string, before uint64, seen map[string]bool) (fresh []shown, newest time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	for _, role := range rolesOf(a.account) {
		err := a.read(ctx, kind, role, func(c *patchbayv1.Connection) error {
			seen[c.GetId()] = true
			if at := c.GetUpdatedAt(); at != nil && at.AsTime().After(newest) {
				newest = at.AsTime()
			}
			l := shown{c, role, "sweep", a.rt.Journal.Now()}
			if !a.old(l, before) {
				fresh = append(fresh, l)
			}
			return nil
		})
		a.meters.looked(ctx, a.account.Name, kind, err)
		if err != nil {
			return fresh, newest, fmt.Errorf("list circuits of %s as %s: %w", a.account.Name, role, err)
		}
	}
	return fresh, newest, nil
}

func (a *watch) read(ctx context.Context, kind, role string, yield func(*patchbayv1.Connection) error) error {
	if kind == sweepChanged {
		return a.feed.Changed(ctx, role, a.mark.since, yield)
	}
	return a.client.List(ctx, role, kind == sweepMoving, yield)
}

// old reports whether a circuit of a list is just as it is known.
func (a *watch) old(l shown, before uint64) bool {
	k, orders := a.index.circuit(l.conn.GetId())
	if k.archived {
		return true
	}
	if k.conn == nil || k.version > before {
		return false
	}
	around := a.around(k, l.conn, l.role, orders)
	if a.parties.observer(around.buyer, around.seller) != a.account.Name {
		return alike(k.conn, l.conn)
	}
	n, v := observe(k.past, sight{conn: l.conn, by: "sweep", at: l.at}, around.surroundings)
	return v == stale || v == taken && n.none()
}

// alike reports whether another account than the observer is shown nothing else than what
// is known. Two APIs have words of their own for one circuit, and only the observer's
// count: of another's the status alone is compared.
func alike(known, shown *patchbayv1.Connection) bool {
	if known.GetApi() != shown.GetApi() {
		return known.GetStatus() == shown.GetStatus()
	}
	return stateOf(known) == stateOf(shown)
}

// intake is what came of taking in what lists showed.
type intake struct {
	// moved says that facts were written; open, that something has to be shown again.
	moved, open bool
}

// takeAll takes in what lists showed. New circuits are announced only when every fact that
// was there after they were seen is known, since one of them names their order.
func (a *watch) takeAll(ctx context.Context, fresh []shown, before uint64) (got intake, err error) {
	for _, l := range fresh {
		if k, _ := a.index.circuit(l.conn.GetId()); k.conn == nil {
			if err := a.sync(ctx); err != nil {
				return intake{open: true}, err
			}
			break
		}
	}
	var errs []error
	for _, l := range fresh {
		s := sight{conn: l.conn, by: l.by, at: l.at}
		r := a.take(ctx, look{id: l.conn.GetId(), role: l.role, before: before, sight: s})
		got.moved = got.moved || r.moved
		got.open = got.open || r.open || r.err != nil
		switch {
		case errors.Is(r.err, errOvertaken):
			a.pursue(chase{exchangeID: l.conn.GetExchangeId(), role: l.role, by: l.by, at: time.Now()})
		case r.err != nil:
			errs = append(errs, r.err)
		case r.doubt != nil:
			a.pursue(chase{
				exchangeID: l.conn.GetExchangeId(), role: l.role, by: l.by,
				at: time.Now().Add(a.pace.Settle), doubt: r.doubt,
			})
		}
	}
	return got, errors.Join(errs...)
}

// missing has those circuits asked for that the lists should have shown: what is in motion
// and not among that, what was placed and never seen, and, after a list of everything,
// whatever has not ended. They are asked for many at a time where the exchange can do
// that, and else, or if it leaves them out, one by one.
func (a *watch) missing(ctx context.Context, all bool, before uint64, seen map[string]bool) (intake, error) {
	wanted := map[string]chase{} // by exchange id
	ask := func(k circuit, doubt *status.State) {
		if k.version <= before && !seen[k.conn.GetId()] {
			id := k.conn.GetExchangeId()
			wanted[id] = chase{exchangeID: id, by: "sweep", at: time.Now(), doubt: doubt, checked: doubt != nil}
		}
	}
	inMotion, patient := 0, a.patient()
	for _, k := range a.index.inMotion() {
		if a.observes(k) {
			inMotion++
			if !all && (patient || !waits(k)) {
				ask(k, nil)
			}
		}
	}
	a.meters.inMotion(ctx, a.account.Name, inMotion)
	if gone := status.Gone(); all && a.Healthy() == nil {
		for _, k := range a.index.alive() {
			if a.observes(k) {
				ask(k, &gone)
			}
		}
	}
	for _, id := range a.index.expected(a.account.Name) {
		wanted[id] = chase{exchangeID: id, role: exchange.Buyer, by: "sweep", at: time.Now()}
	}
	var got intake
	var err error
	if a.batch != nil && !all {
		got, err = a.readMany(ctx, wanted)
	}
	for _, c := range wanted {
		a.pursue(c)
	}
	return got, err
}

// observes reports whether a circuit is this account's to observe.
func (a *watch) observes(k circuit) bool {
	return a.observer(k) == a.account.Name
}
