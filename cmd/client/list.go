package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/status"
	"patchbay.io/pkg/view"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

type list struct {
	common
	status, account string
	all             bool
}

// listed is what list prints as JSON.
type listed struct {
	Orders      []view.Snapshot `json:"orders,omitempty"`
	Connections []view.Snapshot `json:"connections,omitempty"`
	// From is view or journal.
	From string `json:"from"`
}

func listCommand() *cobra.Command {
	var l list
	cmd := &cobra.Command{
		Use: "list [orders|connections]", Short: "List orders and connections", GroupID: "ask",
		Long: "Lists the orders and connections that have not ended, the most recently changed first.\n\n" +
			"It asks for the view in Redis; where nobody answers, it reads the journal itself.",
		Args:      Usage(cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: []string{"orders", "connections"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.with(cmd.Context(), func(j *journal.Journal) error { return l.run(cmd, j, args) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&l.status, "status", "", "only this status (PROVISIONED, PROVISIONED/AVAILABLE …) or order fact (placed, failed …)")
	f.StringVar(&l.account, "account", "", "only of this account")
	f.BoolVar(&l.all, "all", false, "also what has ended")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(
		stateWords(), cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
	return l.register(cmd)
}

// stateWords are the words of --status.
func stateWords() []string { return append(order.Facts(), statusWords()...) }

func statusWords() []string {
	var words []string
	for _, s := range status.Statuses() {
		words = append(words, string(s))
	}
	return words
}

func (l *list) run(cmd *cobra.Command, j *journal.Journal, nouns []string) error {
	out := listed{From: "view"}
	want := func(noun string) bool { return len(nouns) == 0 || nouns[0] == noun }
	for _, part := range []struct {
		noun event.Noun
		want bool
		into *[]view.Snapshot
	}{
		{event.Order, want("orders") && l.fits(order.Facts()), &out.Orders},
		{event.Connection, want("connections") && (l.fits(statusWords()) || !l.fits(order.Facts())), &out.Connections},
	} {
		if !part.want {
			continue
		}
		all, from, err := l.read(cmd.Context(), j, part.noun)
		if err != nil {
			return err
		}
		*part.into, out.From = all, from
	}
	if err := amendAll(cmd.Context(), j, out.Connections); err != nil {
		return err
	}
	if l.json {
		return printJSON(cmd.OutOrStdout(), out)
	}
	known, err := l.knowsAccount(cmd.Context(), j, out)
	if err != nil {
		return err
	}
	l.print(newScreen(cmd.OutOrStdout()), out, j.Now(), known)
	return nil
}

// knowsAccount reports whether anything here was ever of the account that is asked for, if one
// is.
func (l *list) knowsAccount(ctx context.Context, j *journal.Journal, shown listed) (bool, error) {
	if l.account == "" || len(shown.Orders)+len(shown.Connections) > 0 {
		return true, nil
	}
	for _, n := range []event.Noun{event.Order, event.Connection} {
		all, _, err := (&list{all: true, account: l.account}).read(ctx, j, n)
		if err != nil || len(all) > 0 {
			return true, err
		}
	}
	return false, nil
}

// amendAll amends connections by their changes.
func amendAll(ctx context.Context, j *journal.Journal, connections []view.Snapshot) error {
	if len(connections) == 0 {
		return nil
	}
	changes, _, err := (&list{all: true}).read(ctx, j, event.Change)
	byID := map[string]view.Snapshot{}
	for _, c := range changes {
		byID[c.ID] = c
	}
	for i, s := range connections {
		connections[i] = amended(s, byID[s.ID])
	}
	return err
}

// amended is a connection with the values that a change has given it since its last
// transition: a new name or bandwidth is no transition, and has an entity of its own.
func amended(s, change view.Snapshot) view.Snapshot {
	t, c := new(patchbayv1.Transition), new(patchbayv1.Change)
	if change.Seq < s.Seq || s.Into(t) != nil || change.Into(c) != nil || c.GetConnection() == nil {
		return s
	}
	t.Connection = c.GetConnection()
	s.Data = raw(t)
	return s
}

// fits reports whether the status that is asked for, if any, is one of words.
func (l *list) fits(words []string) bool {
	word, _, _ := strings.Cut(l.status, "/")
	return word == "" || slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
}

// read asks the view for all pages, and reads the journal where it does not answer.
func (l *list) read(ctx context.Context, j *journal.Journal, n event.Noun) (all []view.Snapshot, from string, err error) {
	word, provider, _ := strings.Cut(l.word(n), "/")
	q := service.ListRequest{Noun: n, Open: !l.all && l.status == "", Account: l.account, Status: word, Provider: provider, Limit: 200}
	for {
		a, err := askList(ctx, j, q)
		if err != nil || a.Away != "" {
			all, err := l.scan(ctx, j, n)
			return all, "journal", err
		}
		all = append(all, a.Snapshots...)
		if a.Next == 0 {
			return all, "view", nil
		}
		q.After = a.Next
	}
}

// word is the status as the noun spells it.
func (l *list) word(n event.Noun) string {
	if n == event.Order {
		return strings.ToLower(l.status)
	}
	return strings.ToUpper(l.status)
}

func (l *list) scan(ctx context.Context, j *journal.Journal, n event.Noun) ([]view.Snapshot, error) {
	all := []view.Snapshot{}
	err := j.Each(ctx, []string{n.Filter("*", "*")}, func(r journal.Record) error {
		s, accounts := snapshot(r)
		word, provider, _ := strings.Cut(strings.ToUpper(s.Fact), ".")
		wanted, of, _ := strings.Cut(strings.ToUpper(l.status), "/")
		open := l.all || l.status != "" || !s.Ended
		if open && (wanted == "" || word == wanted) && (of == "" || provider == of) &&
			(l.account == "" || slices.Contains(accounts, l.account)) {
			all = append(all, s)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b view.Snapshot) int { return cmp.Compare(b.Seq, a.Seq) })
	return all, err
}

// snapshot is what the view would keep of an order or connection, and its accounts.
func snapshot(r journal.Record) (view.Snapshot, []string) {
	e := r.Entity()
	tokens := strings.Split(r.Subject, ".")
	s := view.Snapshot{
		Noun: e.Noun, ID: e.ID, Fact: strings.Join(tokens[2:max(2, len(tokens)-1)], "."), Seq: r.Seq, Number: r.Number(),
		EventID: r.Event.ID(), Stamp: r.At(), Order: event.Ext(r.Event, event.ExtCorrelationID),
		TraceParent: event.Ext(r.Event, event.ExtTraceParent), Data: r.Event.Data(),
	}
	if e.Noun == event.Order {
		o := new(patchbayv1.Order)
		_ = s.Into(o) // what cannot be read is listed bare
		s.Ended = order.Over(o)
		return s, []string{o.GetAccount()}
	}
	t := new(patchbayv1.Transition)
	_ = s.Into(t) // what cannot be read is listed bare
	c := t.GetConnection()
	s.Ended = status.Status(c.GetStatus()).Ended() || strings.HasPrefix(s.Fact, "archived")
	return s, []string{c.GetBuyerAccount(), c.GetSellerAccount()}
}

func (l *list) print(out screen, all listed, now time.Time, accountKnown bool) {
	if len(all.Orders) > 0 {
		var rows [][]string
		for _, s := range all.Orders {
			rows = append(rows, orderRow(s, now))
		}
		out.table([]string{"ORDER", "KIND", "STATE", "FOR", "ACCOUNT", "NAME", "WAITS FOR"}, rows, 2)
	}
	if len(all.Connections) > 0 {
		if len(all.Orders) > 0 {
			fmt.Fprintln(out)
		}
		var rows [][]string
		for _, s := range all.Connections {
			rows = append(rows, connectionRow(s, now))
		}
		out.table([]string{"CONNECTION", "STATE", "FOR", "EXCHANGE ID", "NAME", "ORDER"}, rows, 1)
	}
	if len(all.Orders)+len(all.Connections) == 0 {
		hint := "."
		switch {
		case !accountKnown:
			hint = fmt.Sprintf("; and nothing here was ever of an account %q.", l.account)
		case l.status != "" && !l.fits(stateWords()):
			hint = fmt.Sprintf("; and %q is no status or order fact that is documented.", l.status)
		case !l.all && l.status == "":
			hint = "; --all shows what has ended."
		}
		fmt.Fprintln(out, "Nothing"+hint)
	}
}

func orderRow(s view.Snapshot, now time.Time) []string {
	o := new(patchbayv1.Order)
	if err := s.Into(o); err != nil {
		return []string{s.ID, "-", s.Fact, story.Span(now.Sub(s.Stamp)), "-", "-", err.Error()}
	}
	name := cmp.Or(o.GetCreate().GetName(), legNames(o), o.GetTargetOrderId())
	text := orderText(o)
	if !order.Over(o) {
		text = strings.TrimPrefix(text, "waits for ")
	}
	return []string{s.ID, orDash(o.GetKind()), stateOf(s), story.Span(now.Sub(s.Stamp)), orDash(o.GetAccount()), orDash(name), text}
}

// legNames are the names of the circuits that a change or delete is about.
func legNames(o *patchbayv1.Order) string {
	var all []string
	for _, l := range o.GetLegs() {
		if l.GetName() != "" {
			all = append(all, l.GetName())
		}
	}
	return strings.Join(all, ", ")
}

func connectionRow(s view.Snapshot, now time.Time) []string {
	t := new(patchbayv1.Transition)
	if err := s.Into(t); err != nil {
		return []string{s.ID, s.Fact, story.Span(now.Sub(s.Stamp)), "-", "-", err.Error()}
	}
	c := t.GetConnection()
	return []string{
		s.ID, stateOf(s), story.Span(now.Sub(s.Stamp)),
		orDash(c.GetExchangeId()), orDash(c.GetName()), orDash(c.GetOrderId()),
	}
}

// completeIDs offers the ids of what is open, if somebody tells them quickly.
func completeIDs(c *common, nouns ...event.Noun) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 {
			return nil, none
		}
		if url, ok := os.LookupEnv("PATCHBAY_NATS_URL"); ok && !cmd.Flags().Changed("nats-url") {
			c.natsURL = url // flags are not set from the environment before a completion
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
		defer cancel()
		var ids []string
		err := c.with(ctx, func(j *journal.Journal) error {
			for _, n := range nouns {
				a, err := askList(ctx, j, service.ListRequest{Noun: n, Open: true, Limit: 50})
				if err != nil {
					return err
				}
				for _, s := range a.Snapshots {
					ids = append(ids, s.ID+"\t"+string(n)+" "+s.Fact)
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			return nil, none
		}
		return ids, none
	}
}
