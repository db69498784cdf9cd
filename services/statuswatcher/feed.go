package statuswatcher

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// overlap is how long an exchange may take to show a change in its searches. No document
// gives a time; clients that read after a write are seen to wait half a minute.
const overlap = 2 * time.Minute

// mark is how far an account's changes are known, by the exchange's clock. The zero mark
// knows nothing.
//
// The exchange does not tell its time, but what it shows bears witness: its clock was at
// least at the newest time it showed, and has run on since. So the mark rises while
// nothing happens too, and a burst of changes is not read again for ever.
type mark struct {
	newest time.Time // the best witness
	at     time.Time // our clock when it was seen
	since  time.Time // everything before has been shown, and taken in
}

// rise notes a sweep that was taken in whole: when it began and ended by our clock, and
// the newest time it showed, or zero.
func (m *mark) rise(newest, began, ended time.Time) {
	if !newest.IsZero() && (m.newest.IsZero() || newest.After(m.clock(ended))) {
		m.newest, m.at = newest, ended
	}
	if m.newest.IsZero() {
		return
	}
	if s := m.clock(began).Add(-overlap); s.After(m.since) {
		m.since = s
	}
}

// clock is what the exchange's clock showed at least when ours showed t.
func (m *mark) clock(t time.Time) time.Time { return m.newest.Add(t.Sub(m.at)) }

// waits reports whether a circuit moves only when somebody decides, which the exchange
// will say among its changes.
func waits(k circuit) bool { return status.Status(k.newest().GetStatus()).Waits() }

// patient reports whether those that wait for a decision are asked about this time. With
// an exchange that says what has changed that is seldom: thousands may wait for weeks.
func (a *watch) patient() bool {
	if a.feed == nil {
		return true
	}
	if time.Now().Before(a.asked.Add(a.pace.Quiet)) {
		return false
	}
	a.asked = time.Now()
	return true
}

// readMany asks for the circuits of many chases at once, takes in what is shown, and
// leaves those that were not in wanted.
func (a *watch) readMany(ctx context.Context, wanted map[string]chase) (intake, error) {
	if len(wanted) == 0 {
		return intake{}, nil
	}
	before := a.index.now()
	var fresh []shown
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	ids := slices.Sorted(maps.Keys(wanted))
	err := a.batch.GetAll(ctx, ids, func(c *patchbayv1.Connection) error {
		l := shown{c, wanted[c.GetExchangeId()].role, "batch", a.rt.Journal.Now()}
		if l.role == "" {
			l.role = soleRole(a.account)
		}
		delete(wanted, c.GetExchangeId())
		if !a.old(l, before) {
			fresh = append(fresh, l)
		}
		return nil
	})
	a.meters.looked(ctx, a.account.Name, "batch", err)
	if err != nil {
		clear(wanted) // the next sweep asks again
		return intake{}, fmt.Errorf("read %d circuits of %s: %w", len(ids), a.account.Name, err)
	}
	return a.takeAll(ctx, fresh, before)
}

// told asks the exchange what happened to a circuit between what is known and what is
// shown, where two looks alone leave that open. No answer is as good as none.
func (a *watch) told(ctx context.Context, p past, l look, around surroundings) []status.Status {
	teller, ok := a.client.(exchange.Past)
	if !ok || l.conn == nil || older(l.conn, p.newest()) {
		return nil
	}
	whole := complete(p, l.sight, around)
	if path(p.conn, whole, nil).Kind != status.Skipped {
		return nil
	}
	since := createdAt(whole)
	if at := p.conn.GetUpdatedAt(); at != nil {
		since = at.AsTime()
	}
	ctx, cancel := context.WithTimeout(ctx, getTime)
	defer cancel()
	states, err := teller.Past(ctx, l.conn.GetExchangeId(), since)
	a.meters.looked(ctx, a.account.Name, "past", err)
	if err != nil {
		a.rt.Log.Debug().Err(err).Str("account", a.account.Name).Str("circuit", l.conn.GetExchangeId()).Msg("past not read")
		return nil
	}
	var all []status.Status
	for _, s := range states {
		w, ok := status.StateWord(s.State)
		if !ok {
			return nil // something happened that cannot be told
		}
		all = append(all, w)
	}
	return all
}
