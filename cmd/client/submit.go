package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// firstAnswer is how long submit waits to hear that an intent conflicts with an order that is
// there already, and lateAnswer how long it goes on to wait for an answer to the others: a
// requester gives the target of a change or delete some seconds to become known.
const (
	firstAnswer = 2 * time.Second
	lateAnswer  = 3 * time.Second
)

const filesHelp = "Each FILE is a CloudEvent in structured JSON, or its data alone; \"-\" is standard input.\n" +
	"Bare data gets the source " + ownSource + " and, as its id, a digest of what it says: the same\n" +
	"file handed in twice is the same order, however it is laid out. Data with target and set is a\n" +
	"change, with target alone a delete, anything else a create; --id, --source and --type override.\n\n"

func intentCommand() *cobra.Command {
	cmd := OnlySubcommands(&cobra.Command{Use: "intent", Short: "Hand in or check intents", GroupID: "ask"})
	cmd.AddCommand(submitCommand(), checkCommand())
	return cmd
}

type submit struct {
	common
	as      identity
	wait    bool
	timeout time.Duration
}

func (id *identity) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&id.id, "id", "", "id of the intent (one file only)")
	f.StringVar(&id.source, "source", "", "source of the intents")
	f.StringVar(&id.kind, "type", "", "create, change, delete, or a CloudEvents type")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(
		[]string{"create", "change", "delete"}, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
}

func submitCommand() *cobra.Command {
	var s submit
	cmd := &cobra.Command{
		Use: "submit FILE…|-", Short: "Hand in intents, and follow them with --wait",
		Long: "Hands in intents and prints the order id of each.\n\n" + filesHelp +
			"Without --wait it returns as soon as each intent is answered, accepted or invalid, and waits\n" +
			"five seconds for that at most. With --wait it follows all orders to their end.\n\n" +
			"Exit codes: 0 done, 1 error, 2 usage, 3 an intent is invalid or conflicts with an earlier one,\n" +
			"4 an order failed, 5 an order is still on its way after --timeout, or an intent has no answer yet.",
		Example: "  patchbay intent submit examples/ecx/0[1-4]*.intent.json --wait\n" +
			"  jq .order intent.json | patchbay intent submit - --source crm --id 4711",
		Args: Usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error { return s.run(cmd, files) },
	}
	s.as.register(cmd)
	cmd.Flags().BoolVarP(&s.wait, "wait", "w", false, "follow the orders to their end")
	cmd.Flags().DurationVar(&s.timeout, "timeout", 10*time.Minute, "how long --wait waits")
	return s.register(cmd)
}

func (s *submit) run(cmd *cobra.Command, files []string) error {
	all, err := readFiles(cmd.InOrStdin(), files, s.as)
	switch {
	case err != nil && len(files) > 1:
		return fmt.Errorf("%w\nNothing is handed in", errors.Join(err, unsound(all)))
	case err != nil:
		return err
	}
	return s.with(cmd.Context(), func(j *journal.Journal) error {
		f := &follower{j: j, t: newTracker(all), out: newScreen(cmd.OutOrStdout()), silent: s.json || !s.wait}
		if err := s.publish(cmd.Context(), f); err != nil {
			return err
		}
		code := f.t.exitCode(s.wait)
		if s.json {
			err = printJSON(f.out, f.t.report())
		} else {
			unanswered := ""
			if !f.t.all((*tracked).known) {
				unanswered = whyUnanswered(cmd.Context(), j, f.t.sources())
			}
			f.t.print(f.out, s.wait, unanswered)
		}
		if err == nil && code != 0 {
			err = quiet(code)
		}
		return err
	})
}

// publish hands the intents in and follows the orders as far as is asked for.
func (s *submit) publish(ctx context.Context, f *follower) error {
	last, err := f.j.LastSeq(ctx)
	if err != nil {
		return fmt.Errorf("nothing is handed in yet; try again: %w", err)
	}
	f.from = last + 1
	hear := func(d time.Duration, done func() bool) error {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return f.run(ctx, last+1, done)
	}
	for i, tr := range f.t.orders {
		// A change or delete may be about an order that stands before it in line.
		before := tracker{orders: f.t.orders[:i]}
		if tr.kind != intent.Create && !before.all((*tracked).known) {
			if err := hear(firstAnswer+lateAnswer, func() bool { return before.all((*tracked).known) }); err != nil {
				return err
			}
		}
		if err := s.handIn(ctx, f, tr); err != nil {
			return err
		}
	}
	f.fetch(ctx)
	if err := hear(firstAnswer, func() bool { return f.t.all((*tracked).answered) }); err != nil {
		return err
	}
	if err := hear(lateAnswer, func() bool { return f.t.all((*tracked).known) }); err != nil || !s.wait {
		return err
	}
	// Whoever was there before is taken to be the same unless two seconds brought a refusal.
	settled, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return f.run(settled, last+1, func() bool { return f.t.all((*tracked).settled) })
}

// handIn publishes one intent.
func (s *submit) handIn(ctx context.Context, f *follower, tr *tracked) error {
	r, err := f.j.Last(ctx, event.Entity{Noun: event.Order, ID: tr.orderID})
	if err != nil {
		return fmt.Errorf("%s is not handed in, nor what comes after it; try again, what was handed in before counts once: %w", tr.file, err)
	}
	var before []news
	if !r.None() {
		before = f.t.take(r)
		tr.existed = true
		tr.compare()
	}
	if _, err := f.j.Submit(ctx, event.IntentSubject(event.Intent, tr.kind), tr.event); err != nil {
		return fmt.Errorf("%s: %w", tr.file, err)
	}
	if s.wait && !s.json && !f.out.terminal {
		fmt.Fprintf(f.out, "%s  %s\n", tr.orderID, tr.file)
	}
	if tr.refusal == nil {
		f.print(before)
	}
	return nil
}

// sources are those of the intents that were not answered.
func (t *tracker) sources() (all []string) {
	for _, tr := range t.orders {
		if !tr.known() {
			all = append(all, tr.event.Source())
		}
	}
	return all
}

func (t *tracker) all(is func(*tracked) bool) bool {
	for _, tr := range t.orders {
		if !is(tr) {
			return false
		}
	}
	return true
}

// submitted is what submit says of one intent in JSON.
type submitted struct {
	File        string            `json:"file"`
	OrderID     string            `json:"orderId"`
	Source      string            `json:"source"`
	ID          string            `json:"id"`
	TraceID     string            `json:"traceId,omitempty"`
	Existed     bool              `json:"existed,omitempty"`
	State       string            `json:"state"`
	Ended       bool              `json:"ended"`
	Violations  []json.RawMessage `json:"violations,omitempty"`
	Failure     json.RawMessage   `json:"failure,omitempty"`
	Refusal     json.RawMessage   `json:"refusal,omitempty"`
	Connections []connectionState `json:"connections,omitempty"`
}

type connectionState struct {
	ID             string `json:"id"`
	Leg            string `json:"leg,omitempty"`
	ExchangeID     string `json:"exchangeId"`
	Status         string `json:"status"`
	ProviderStatus string `json:"providerStatus"`
}

// report is what is known of all orders.
func (t *tracker) report() []submitted {
	all := []submitted{}
	for _, tr := range t.orders {
		s := submitted{
			File: tr.file, OrderID: tr.orderID, Source: tr.event.Source(), ID: tr.event.ID(), TraceID: tr.traceID,
			Existed: tr.existed, State: tr.state(), Ended: tr.settled(),
		}
		for _, v := range tr.order.GetViolations() {
			s.Violations = append(s.Violations, raw(v))
		}
		if tr.order.GetFailure() != nil {
			s.Failure = raw(tr.order.GetFailure())
		}
		if tr.refusal != nil {
			s.Refusal = raw(tr.refusal)
		}
		for _, c := range t.circuitsOf(tr) {
			s.Connections = append(s.Connections, connectionState{
				c.id, c.leg, c.conn.GetExchangeId(), c.conn.GetStatus(), c.conn.GetProviderStatus(),
			})
		}
		all = append(all, s)
	}
	return all
}

func raw(m proto.Message) json.RawMessage {
	b, err := event.Marshal(m)
	if err != nil {
		return nil // it was read from JSON
	}
	return b
}

// print says what became of the intents, and why some were not answered if that is so.
// Where a live display has told the rest already, only what it had no room for is left.
func (t *tracker) print(out screen, waited bool, unanswered string) {
	for _, tr := range t.orders {
		if !waited {
			again := ""
			if tr.existed && tr.refusal == nil {
				again = " (handed in before)"
			}
			fmt.Fprintf(out, "%s  %s  %s%s\n", tr.orderID, tr.file, out.paint(tr.state(), tr.state()), again)
		}
		tr.printWrong(out, waited)
	}
	switch {
	case unanswered != "":
		fmt.Fprintln(out, unanswered)
	case waited:
		for _, tr := range t.orders {
			if !tr.settled() {
				fmt.Fprintf(out, "Still waiting; \"patchbay explain %s\" says for what.\n", tr.orderID)
			}
		}
	}
}

// printWrong says in full what is wrong with an intent.
func (tr *tracked) printWrong(out screen, named bool) {
	violations := tr.order.GetViolations()
	if tr.refusal == nil && len(violations) == 0 && tr.order.GetFailure() == nil {
		return
	}
	if named {
		fmt.Fprintf(out, "\n%s  %s  %s\n", tr.orderID, tr.file, out.paint(tr.state(), tr.state()))
	}
	if tr.refusal != nil {
		fmt.Fprintln(out, tr.refusal.GetMessage())
		printDifferences(out, tr.refusal.GetDifferences(), "ORDERED BEFORE", "THIS TIME")
		return
	}
	if f := tr.order.GetFailure(); f != nil {
		fmt.Fprintln(out, story.Failure(f))
	}
	if len(violations) > 0 {
		out.table(violationHead, violationRows(violations), -1)
	}
	if tr.order.GetFact() == order.Invalid {
		fmt.Fprintln(out, "This answer is final: hand in a correction, or the same again under another --id.")
	}
}

func printDifferences(out screen, all []*patchbayv1.Difference, was, now string) {
	if len(all) == 0 {
		return
	}
	var rows [][]string
	for _, d := range all {
		rows = append(rows, []string{d.GetField(), orDash(d.GetWas()), orDash(d.GetNow())})
	}
	out.table([]string{"FIELD", was, now}, rows, -1)
}

type check struct {
	common
	as identity
}

// checked is the answer to "check"; violations are those of the schema.
type checked struct {
	Violations []json.RawMessage `json:"violations"`
	Notes      []string          `json:"notes,omitempty"`
	Flow       string            `json:"flow,omitempty"`
	Account    string            `json:"account,omitempty"`
	// Paused says who paused the account and why, if it is.
	Paused string `json:"paused,omitempty"`
	// Unasked says why the exchange could not be asked.
	Unasked string `json:"unasked,omitempty"`
	// Conflict is a refusal: the intent's source and id are those of an order with other data.
	Conflict json.RawMessage `json:"conflict,omitempty"`
}

func checkCommand() *cobra.Command {
	var c check
	cmd := &cobra.Command{
		Use: "check FILE…|-", Short: "Say what is wrong with intents, without ordering anything",
		Long: "Asks a requester what it would say to the intents: every violation at once, and notes on\n" +
			"what would happen. Nothing is ordered.\n\n" + filesHelp +
			"Exit codes: 0 no violations, 1 error or an exchange could not be asked, 2 usage,\n3 an intent is invalid.",
		Args: Usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error { return c.run(cmd, files) },
	}
	c.as.register(cmd)
	return c.register(cmd)
}

func (c *check) run(cmd *cobra.Command, files []string) error {
	all, unread := readFiles(cmd.InOrStdin(), files, c.as)
	if len(all) == 0 {
		return unread
	}
	out := newScreen(cmd.OutOrStdout())
	wrong, unasked := false, false
	err := c.with(cmd.Context(), func(j *journal.Journal) error {
		for _, h := range all {
			var a checked
			q := question{verb: "check", wait: 3 * connectTime,
				body: map[string]any{"kind": h.kind, "data": json.RawMessage(h.event.Data()), "source": h.event.Source(), "id": h.event.ID()}}
			if err := ask(cmd.Context(), j, q, &a); err != nil {
				return fmt.Errorf("%s: %w", h.file, unserved(err, "requester"))
			}
			p, err := pauseOf(cmd.Context(), j, a.Account)
			if err != nil {
				return fmt.Errorf("%s: %w", h.file, err)
			}
			if p != nil {
				a.Paused = service.PauseWords(p)
			}
			wrong, unasked = wrong || len(a.Violations) > 0 || a.Conflict != nil, unasked || a.Unasked != ""
			if err := c.print(out, h, a); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return errors.Join(unread, err)
	case wrong && unread != nil:
		return Error{exitInvalid, unread}
	case unread != nil:
		return unread
	case wrong:
		return quiet(exitInvalid)
	case unasked:
		return quiet(exitError)
	}
	return nil
}

func (c *check) print(out screen, h handed, a checked) error {
	if c.json {
		return printLine(out, struct {
			File string `json:"file"`
			Kind string `json:"kind"`
			checked
		}{h.file, h.kind, a})
	}
	var violations []*patchbayv1.Violation
	var errs []error
	for _, text := range a.Violations {
		v := new(patchbayv1.Violation)
		errs = append(errs, event.Unmarshal(text, v))
		violations = append(violations, v)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if a.Conflict != nil {
		f := new(patchbayv1.Refusal)
		if err := event.Unmarshal(a.Conflict, f); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s  %s: %s\n%s\n", h.file, h.kind, out.paint("conflicting", "conflicting"), f.GetMessage())
		printDifferences(out, f.GetDifferences(), "ORDERED BEFORE", "THIS TIME")
		return nil
	}
	verdict := out.paint("completed", "ok")
	switch {
	case len(violations) > 0:
		verdict = out.paint("invalid", counted(len(violations), "violation"))
	case a.Unasked != "":
		verdict = out.paint("uncertain", "the exchange could not be asked")
	}
	fmt.Fprintf(out, "%s  %s: %s\n", h.file, h.kind, verdict)
	if len(violations) > 0 {
		out.table(violationHead, violationRows(violations), -1)
	}
	switch {
	case a.Paused != "":
		fmt.Fprintf(out, "  account %s, %s: an order waits until \"patchbay accounts resume %s\"\n", a.Account, a.Paused, a.Account)
	case a.Account != "":
		fmt.Fprintf(out, "  account %s\n", a.Account)
	}
	if a.Unasked != "" {
		fmt.Fprintf(out, "  The exchange could not be asked: %s.\n  What only it knows was not checked. If that stays so, see to "+
			"credentials and baseUrl in the accounts file.\n", a.Unasked)
	}
	for _, n := range a.Notes {
		fmt.Fprintf(out, "  %s\n", n)
	}
	return nil
}
