package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/account"
	"patchbay.io/tools/bench/measure"
	"patchbay.io/tools/bench/page"
	"patchbay.io/tools/bench/rig"
)

// The same for all whose workers are killed.
const (
	kills = 3
	// The workers are killed when so many new orders were answered since the last time, and so
	// many more were carried out and not answered.
	answered, unanswered = 11, 4
	// pace is the time between two intents. They keep coming while there are no workers.
	pace = 100 * time.Millisecond
	// limit is how long after the last restart an intent may be done. What is left then is counted.
	limit = 90 * time.Second
	// settling is how long orders may still come after the last outcome: what was done when the
	// workers were killed, and not known to be done, comes again with the rest.
	settling = 2 * time.Second
	// starting bounds how long workers take until they are at work, or have ended.
	starting = time.Minute
)

// intentsFor are enough for so many kills, and some are done after the last.
func intentsFor(times int) int { return (times + 1) * (answered + unanswered) }

// mortality is what came of a trial in which workers were killed.
type mortality struct {
	intents, circuits int
	unknown           int           // circuits that nobody knows of
	failed, left      int           // intents that were given up, and that were not done in time
	after             time.Duration // from the last restart until the last outcome
}

// die has the contender's workers killed so many times while intents are under way.
func (c contender) die(ctx context.Context, api account.API, times int) (m mortality, err error) {
	err = c.in(ctx, api, rig.Front, func(ctx context.Context, a arena) (err error) {
		m, err = c.killed(ctx, a, times)
		return err
	})
	return m, err
}

func (c contender) killed(ctx context.Context, a arena, times int) (m mortality, err error) {
	moment := a.exchange.Withhold(answered, unanswered)
	w, err := c.hire(ctx, a.place)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	var got ran
	var restart time.Time
	enough := time.NewTimer(roundTime)
	defer enough.Stop()
	l := load{count: intentsFor(times), every: pace, enough: enough.C, failures: true}
	work, doing := errgroup.WithContext(ctx)
	work.Go(func() (err error) {
		got, err = run(doing, a, rig.NewWishes(a.exchange), l)
		return err
	})
	work.Go(func() error {
		for n := range times {
			if err := await(doing, moment); err != nil {
				return err
			}
			if err := w.kill(); err != nil {
				return err
			}
			if a.exchange.Answer(); n+1 < times {
				moment = a.exchange.Withhold(answered, unanswered) // before the next order
			}
			restart = time.Now()
			if w, err = c.hire(ctx, a.place); err != nil {
				return err
			}
		}
		enough.Reset(limit)
		return nil
	})
	if err := work.Wait(); err != nil {
		return m, err
	}
	select {
	case <-time.After(settling):
	case <-ctx.Done():
		return m, ctx.Err()
	}
	m.intents, m.failed, m.left, m.after = got.intents, len(got.failed), got.left, got.last.Sub(restart)
	for name, n := range a.exchange.Named() {
		m.circuits += n
		if _, given := got.failed[name]; !given {
			n-- // that of the intent
		}
		m.unknown += n
	}
	return m, nil
}

// await waits for the moment of a kill.
func await(ctx context.Context, moment <-chan struct{}) error {
	select {
	case <-moment:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("the exchange carried out no %d orders within %v to kill the workers at", answered+unanswered, limit)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// workersEnv makes a process of this program the workers of a contender. It has a [posting].
const workersEnv = "PATCHBAY_BENCH_WORKERS"

// posting says whose workers to be, and where.
type posting struct {
	Contender string
	At        rig.Place
}

// atWork is what workers say when they are at work.
const atWork = "at work\n"

// workers are a process of this program.
type workers struct {
	cmd   *exec.Cmd
	in    io.Closer // held open as long as it is to work
	ended bool
}

// hire starts the contender's workers, and returns when they are at work.
func (c contender) hire(ctx context.Context, at *rig.Place) (*workers, error) {
	p := posting{Contender: c.name, At: *at}
	p.At.Part = rig.Workers
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &workers{cmd: exec.CommandContext(ctx, self)}
	w.cmd.Env, w.cmd.Stderr = append(os.Environ(), workersEnv+"="+string(text)), os.Stderr
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(starting, func() { _ = w.cmd.Process.Kill() }) // it may have ended
	defer late.Stop()
	if said, err := bufio.NewReader(out).ReadString('\n'); said != atWork {
		return nil, errors.Join(fmt.Errorf("the workers of %s are not at work after %v: %q", c.name, starting, said), err, w.end())
	}
	return w, nil
}

// labour is what a process does that was hired: it works until nobody holds its input open.
func labour(ctx context.Context, text string) error {
	var p posting
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return fmt.Errorf("%s: %w", workersEnv, err)
	}
	field := contenders("")
	i := slices.IndexFunc(field, func(c contender) bool { return c.name == p.Contender })
	if i < 0 {
		return fmt.Errorf("%s: nobody is called %q", workersEnv, p.Contender)
	}
	s, err := field[i].start(ctx, &p.At)
	if err != nil {
		return err
	}
	fmt.Print(atWork)
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, s.Stop())
}

// kill kills the workers with SIGKILL, and waits for them. It fails if they had ended before.
func (w *workers) kill() error {
	w.ended = true
	if err := w.cmd.Process.Kill(); err != nil {
		return err
	}
	err := w.cmd.Wait()
	if s, ok := w.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the workers had ended before they were killed: %w", err)
	}
	return nil
}

// end lets the workers end, and waits for them.
func (w *workers) end() error {
	if w == nil || w.ended {
		return nil
	}
	w.ended = true
	late := time.AfterFunc(starting, func() { _ = w.cmd.Process.Kill() }) // it may have ended
	defer late.Stop()
	return errors.Join(w.in.Close(), w.cmd.Wait())
}

// tellDeaths writes what became of intents whose workers were killed.
func tellDeaths(s *page.Section, all []measured, times int) page.Table {
	t := page.Table{
		Head: []string{fmt.Sprintf("kills (`kill -9`) of the workers, while %d intents are under way: %d, with %d orders not answered each", intentsFor(times), times, unanswered)},
		Rows: [][]string{{"what they had in hand comes again after"}},
	}
	for _, m := range all {
		t.Head, t.Rows[0] = append(t.Head, m.name), append(t.Rows[0], m.again)
	}
	for _, at := range habits() {
		rows := [][]string{
			{at.name + ": circuits for intents"}, {"**circuits that nobody knows of**"}, {"intents given up"},
			{fmt.Sprintf("intents not done %.0f s after the last restart", limit.Seconds())}, {"seconds from the last restart until the last outcome"},
		}
		for _, m := range all {
			r := m.mortal[at.api]
			after := measure.Of([]float64{r.after.Seconds()})
			for i, cell := range []string{
				fmt.Sprintf("%d for %d", r.circuits, r.intents), fmt.Sprintf("**%d**", r.unknown),
				fmt.Sprint(r.failed), fmt.Sprint(r.left), after.String(),
			} {
				rows[i] = append(rows[i], cell)
			}
			name := fmt.Sprintf("%s at %s, killed: ", m.name, at.api)
			s.Set(name+"circuits that nobody knows of, for each order not answered", measure.Of([]float64{float64(r.unknown) / float64(times*unanswered)}))
			s.Set(name+"seconds from the last restart until the last outcome", after)
		}
		t.Rows = append(t.Rows, rows...)
	}
	return t
}
