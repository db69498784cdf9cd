package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
)

// most lines of a live display; more would not fit on a screen.
const mostRows = 20

// frames of the spinner, one each tenth of a second.
const frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

// follower follows orders on behalf of somebody who waits.
type follower struct {
	j   *journal.Journal
	t   *tracker
	out screen
	// from is the sequence of the first fact that is news of the intents; 0 if all are.
	from uint64
	// silent prints nothing on the way.
	silent bool
	drawn  int // lines on the screen that are to be rewritten
	frame  int
}

// run takes facts from sequence on, until done says so or ctx ends.
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
			if err := f.fetch(ctx); err != nil {
				return err
			}
		case now := <-tick.C:
			f.frame++
			f.draw(now)
		}
	}
	return nil
}

// fetch reads the last fact of connections that an order has named.
func (f *follower) fetch(ctx context.Context) error {
	for _, id := range f.t.wanted {
		r, err := f.j.Last(ctx, event.Entity{Noun: event.Connection, ID: id})
		if err != nil {
			return err
		}
		if r.None() {
			continue
		}
		if all := f.t.take(r); !f.t.acted(id) || f.from == 0 || r.Seq >= f.from {
			f.print(all)
		}
	}
	f.t.wanted = nil
	return nil
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
