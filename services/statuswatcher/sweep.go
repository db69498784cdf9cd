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

// sweeping sweeps over the account's lists until ctx ends.
func (a *watch) sweeping(ctx context.Context) {
	pace := newCadence(a.pace)
	var full time.Time // when the next sweep over everything is due
	parties := time.Now().Add(partiesEvery)
	failing := false
	for ctx.Err() == nil {
		if !time.Now().Before(parties) && a.readParties(ctx) == nil {
			parties = time.Now().Add(partiesEvery)
		}
		all := !time.Now().Before(full)
		moved, err := a.sweep(ctx, all)
		if err == nil && all {
			full = time.Now().Add(min(jittered(a.pace.Full), longestFull))
		}
		a.report(ctx, err, &failing)
		if moved {
			pace.moved()
		}
		a.rest(ctx, &pace)
	}
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

// shown is a circuit of a list that may be news.
type shown struct {
	conn *patchbayv1.Connection
	role string
	at   time.Time
}

// sweep reads the account's lists, of everything or of what is in motion, and takes in what
// they show. It reports whether anything moved.
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

	before := a.index.now()
	seen := map[string]bool{}
	fresh, err := a.list(ctx, all, before, seen)
	if err == nil || len(fresh) > 0 {
		// What came before a list broke off is as good as the rest.
		var terr error
		moved, terr = a.takeAll(ctx, fresh, before)
		err = errors.Join(err, terr)
	}
	if err == nil {
		a.missing(ctx, all, before, seen)
	}
	return moved, err
}

// list reads the account's lists and keeps what may be news. The ids of all that was shown
// go into seen.
func (a *watch) list(ctx context.Context, all bool, before uint64, seen map[string]bool) ([]shown, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	kind := "moving"
	if all {
		kind = "all"
	}
	var fresh []shown
	for _, role := range rolesOf(a.account) {
		err := a.client.List(ctx, role, !all, func(c *patchbayv1.Connection) error {
			seen[c.GetId()] = true
			l := shown{c, role, a.rt.Journal.Now()}
			if !a.old(l, before) {
				fresh = append(fresh, l)
			}
			return nil
		})
		a.meters.looked(ctx, a.account.Name, kind, err)
		if err != nil {
			return fresh, fmt.Errorf("list circuits of %s as %s: %w", a.account.Name, role, err)
		}
	}
	return fresh, nil
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
		return stateOf(k.conn) == stateOf(l.conn)
	}
	n, v := observe(k.past, sight{conn: l.conn, by: "sweep", at: l.at}, around.surroundings)
	return v == stale || v == taken && n.none()
}

// takeAll takes in what lists showed. New circuits are announced only when every fact that
// was there after they were seen is known, since one of them names their order.
func (a *watch) takeAll(ctx context.Context, fresh []shown, before uint64) (moved bool, err error) {
	for _, l := range fresh {
		if k, _ := a.index.circuit(l.conn.GetId()); k.conn == nil {
			if err := a.sync(ctx); err != nil {
				return false, err
			}
			break
		}
	}
	var errs []error
	for _, l := range fresh {
		s := sight{conn: l.conn, by: "sweep", at: l.at}
		r := a.take(ctx, look{id: l.conn.GetId(), role: l.role, before: before, sight: s})
		moved = moved || r.moved
		switch {
		case errors.Is(r.err, errOvertaken):
			a.pursue(chase{exchangeID: l.conn.GetExchangeId(), role: l.role, by: "sweep", at: time.Now()})
		case r.err != nil:
			errs = append(errs, r.err)
		case r.doubt != nil:
			a.pursue(chase{
				exchangeID: l.conn.GetExchangeId(), role: l.role, by: "sweep",
				at: time.Now().Add(a.pace.Settle), doubt: r.doubt,
			})
		}
	}
	return moved, errors.Join(errs...)
}

// missing has those circuits asked for directly that the lists should have shown: what is
// in motion and not among that, what was placed and never seen, and, after a list of
// everything, whatever has not ended.
func (a *watch) missing(ctx context.Context, all bool, before uint64, seen map[string]bool) {
	gone := status.Gone()
	inMotion := 0
	ask := func(k circuit, doubt *status.State) {
		if k.version > before || seen[k.conn.GetId()] {
			return
		}
		a.pursue(chase{exchangeID: k.conn.GetExchangeId(), by: "sweep", at: time.Now(), doubt: doubt})
	}
	for _, k := range a.index.inMotion() {
		if a.observes(k) {
			inMotion++
			if !all {
				ask(k, nil)
			}
		}
	}
	a.meters.inMotion(ctx, a.account.Name, inMotion)
	if all {
		for _, k := range a.index.alive() {
			if a.observes(k) {
				ask(k, &gone)
			}
		}
	}
	for _, id := range a.index.expected(a.account.Name) {
		a.pursue(chase{exchangeID: id, role: exchange.Buyer, by: "sweep", at: time.Now()})
	}
}

// observes reports whether a circuit is this account's to observe.
func (a *watch) observes(k circuit) bool {
	return a.parties.observer(k.account(exchange.Buyer), k.account(exchange.Seller)) == a.account.Name
}
