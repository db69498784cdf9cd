package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
)

// most lines of a live display; more would not fit on a screen.
const mostRows = 20

// frames of the spinner, one each tenth of a second.
const frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

// fetchEvery is how often a circuit that an order has named is looked for until it was read.
const fetchEvery = time.Second

// Who waits learns soon, and then now and then, which exchanges are out of reach: an order that
// waits for one has no news of its own.
const (
	awayFirst = time.Second
	awayEvery = 5 * time.Second
)

// follower follows orders on behalf of somebody who waits.
type follower struct {
	j   *journal.Journal
	t   *tracker
	out screen
	// from is the sequence of the first fact that is news of the intents; 0 if all are.
	from uint64
	// silent prints nothing on the way.
	silent bool
	// away are the accounts of open orders whose exchange cannot be reached.
	away []news
	// fetched is when circuits that are wanted were looked for last.
	fetched time.Time
	drawn   int // lines on the screen that are to be rewritten
	frame   int
}

// run takes facts from sequence on, until done says so or ctx ends. A circuit that cannot be
// read is looked for again: whoever follows is told how an order ends, however slow NATS is.
func (f *follower) run(ctx context.Context, sequence uint64, done func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	facts := make(chan journal.Record)
	var work errgroup.Group
	work.Go(func() error {
		filters := []string{
			event.Order.Filter("*", "*"), event.Refusal.Filter("conflicting", "*"), event.Connection.Filter("*", "*"),
		}
		return f.j.Follow(ctx, journal.From{Seq: sequence}, filters, func(r journal.Record) error {
			select {
			case facts <- r:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	far := make(chan []service.AccountState)
	if !f.silent {
		work.Go(func() error { f.askAway(ctx, far); return nil })
	}
	defer func() {
		cancel()
		_ = work.Wait() // it ends because it was told to
		f.draw(time.Now())
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return nil
		case r := <-facts:
			f.print(f.t.take(r))
			f.fetch(ctx)
		case all := <-far:
			f.tellAway(all)
		case now := <-tick.C:
			f.frame++
			f.draw(now)
			if now.Sub(f.fetched) > fetchEvery {
				f.fetch(ctx)
			}
		}
	}
	return nil
}

// askAway asks again and again which exchanges are out of reach, until ctx ends.
func (f *follower) askAway(ctx context.Context, far chan<- []service.AccountState) {
	for wait := awayFirst; ; wait = awayEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		all, err := away(ctx, f.j)
		if err != nil {
			continue // what cannot be asked is not said
		}
		select {
		case <-ctx.Done():
			return
		case far <- all:
		}
	}
}

// tellAway says, once for as long as it is so, that the exchange of an open order cannot be
// reached.
func (f *follower) tellAway(all []service.AccountState) {
	var now []news
	told := func(all []news, account string) bool {
		return slices.ContainsFunc(all, func(n news) bool { return n.ID == account })
	}
	for _, a := range all {
		if told(now, a.Account) || !slices.ContainsFunc(f.t.orders, func(tr *tracked) bool { return !tr.settled() && tr.order.GetAccount() == a.Account }) {
			continue
		}
		now = append(now, news{f.j.Now(), event.Account, a.Account, "", "away", "from " + a.Service + ": " + a.Away +
			`; calls are held back and it is tried again each few seconds, "patchbay accounts list" shows how it stands`})
	}
	f.print(slices.DeleteFunc(slices.Clone(now), func(n news) bool { return told(f.away, n.ID) }))
	f.away = now
}

// fetch reads the last fact of connections that an order has named. What cannot be read stays
// wanted.
func (f *follower) fetch(ctx context.Context) {
	defer func() { f.fetched = time.Now() }()
	for len(f.t.wanted) > 0 {
		id := f.t.wanted[0]
		r, err := f.j.Last(ctx, event.Entity{Noun: event.Connection, ID: id})
		if err != nil {
			return
		}
		f.t.wanted = f.t.wanted[1:]
		if r.None() {
			continue
		}
		if all := f.t.take(r); !f.t.acted(id) || f.from == 0 || r.Seq >= f.from {
			f.print(all)
		}
	}
}

// print tells news where nobody watches a screen.
func (f *follower) print(all []news) {
	if f.silent || f.out.terminal {
		return
	}
	for _, n := range all {
		fmt.Fprintln(f.out, strings.TrimRight(fmt.Sprintf("%s  %-10s  %s  %s  %s",
			n.At.Local().Format(time.TimeOnly), n.Noun, n.ID, n.State, n.Text), " "))
	}
}

// draw rewrites the lines on the screen.
func (f *follower) draw(now time.Time) {
	if f.silent || !f.out.terminal {
		return
	}
	rows := f.rows(now)
	var b strings.Builder
	if f.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", f.drawn)
	}
	b.WriteString("\x1b[?7l") // a line that is too long is cut, not continued
	for _, r := range rows {
		b.WriteString(r + "\n")
	}
	b.WriteString("\x1b[?7h")
	f.drawn = len(rows)
	fmt.Fprint(f.out, b.String())
}

// rows are the lines of the live display.
func (f *follower) rows(now time.Time) []string {
	var rows []string
	hidden := map[string]int{}
	for _, tr := range f.t.orders {
		if len(rows) >= mostRows {
			hidden[tr.state()]++
			continue
		}
		spin := string([]rune(frames)[f.frame%len([]rune(frames))])
		switch {
		case tr.settled() && tr.outcome() == 0:
			spin = "✔"
		case tr.settled():
			spin = "✘"
		}
		text := ""
		if tr.order != nil {
			text = orderText(tr.order)
		}
		rows = append(rows, fmt.Sprintf("%s %s  %s  %s  %s  %s", f.out.paint(tr.state(), spin), tr.orderID, tr.file,
			f.out.paint(tr.state(), fmt.Sprintf("%-10s", tr.state())), age(now, tr.since), f.out.faint(text)))
		for _, c := range f.t.circuitsOf(tr) {
			state := c.conn.GetStatus() + "/" + c.conn.GetProviderStatus()
			rows = append(rows, fmt.Sprintf("    %-9s  %s  %s  %s", c.leg, c.id,
				f.out.paint(state, fmt.Sprintf("%-30s", state)), age(now, c.since)))
		}
	}
	for _, n := range f.away {
		rows = append(rows, fmt.Sprintf("  account %s  %s  %s", n.ID, f.out.paint(n.State, n.State), n.Text))
	}
	if len(hidden) > 0 {
		var all []string
		for state, n := range hidden {
			all = append(all, fmt.Sprintf("%d %s", n, state))
		}
		rows = append(rows, "  and "+strings.Join(all, ", "))
	}
	return rows
}

func age(now, since time.Time) string {
	if since.IsZero() {
		return fmt.Sprintf("%6s", "")
	}
	return fmt.Sprintf("%6s", story.Span(now.Sub(since)))
}
