package client

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

type watch struct {
	common
	status []string
	since  string
}

// ends are the facts of orders that watch tells.
var ends = []string{order.Completed, order.Failed, order.Invalid, order.Orphaned, order.Uncertain}

func watchCommand() *cobra.Command {
	var w watch
	cmd := &cobra.Command{
		Use: "watch", Short: "Print transitions and outcomes as they happen", GroupID: "ask",
		Long: "Prints one line for each transition of a connection, each outcome of an order and each\n" +
			"refusal, until it is interrupted. Nothing is lost while NATS is away; it goes on afterwards.",
		Example: "  patchbay watch --since 1h\n  patchbay watch --status provisioned/available --status failed --json",
		Args:    Usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return w.with(cmd.Context(), func(j *journal.Journal) error { return w.run(cmd, j) })
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&w.status, "status", nil, "only these: a status, status/providerStatus, or an order's fact")
	f.StringVar(&w.since, "since", "", "begin that long ago (10m) or at a time (2026-11-22T09:30:00Z)")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(
		append(slices.Clone(ends), statusWords()...), cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
	return w.register(cmd)
}

func (w *watch) run(cmd *cobra.Command, j *journal.Journal) error {
	from := journal.From{New: true}
	if w.since != "" {
		at, err := moment(w.since, j.Now())
		if err != nil {
			return err
		}
		from = journal.From{Since: at}
	}
	for _, word := range w.status {
		status, _, _ := strings.Cut(word, "/")
		if !slices.ContainsFunc(stateWords(), func(known string) bool { return strings.EqualFold(known, status) }) {
			fmt.Fprintf(cmd.ErrOrStderr(), "patchbay: %q is no status or order fact that is documented; watching for it all the same\n", word)
		}
	}
	out := newScreen(cmd.OutOrStdout())
	return j.Follow(cmd.Context(), from, filters(w.status), func(r journal.Record) error {
		if w.json {
			return printLine(out, watched{r.At(), r.Subject, r.Event.ID(), r.Number(), event.Ext(r.Event, event.ExtCorrelationID), r.Event.Data()})
		}
		_, err := fmt.Fprintln(out, watchLine(out, r))
		return err
	})
}

// watched is a line of JSON.
type watched struct {
	At       time.Time       `json:"at"`
	Subject  string          `json:"subject"`
	EventID  string          `json:"eventId"`
	Sequence uint64          `json:"sequence"`
	Order    string          `json:"orderId,omitempty"`
	Data     json.RawMessage `json:"data"`
}

// moment reads a time, or how long ago it was.
func moment(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-max(d, -d)), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, Fail(exitUsage, "--since %q is neither a duration such as 10m nor a time such as 2026-11-22T09:30:00Z", text)
	}
	return at, nil
}

// filters are the subjects of what is to be watched; no word means all.
func filters(words []string) []string {
	if len(words) == 0 {
		all := []string{event.Connection.Filter("*", "*"), event.Refusal.Filter("*", "*")}
		for _, fact := range ends {
			all = append(all, event.Order.Filter(fact, "*"))
		}
		return all
	}
	var all []string
	for _, w := range words {
		w = strings.ToLower(w)
		status, provider, both := strings.Cut(w, "/")
		if !both {
			provider = "*"
		}
		isFact := slices.Contains(order.Facts(), w)
		if isFact {
			all = append(all, event.Order.Filter(w, "*"))
		}
		if !isFact || slices.Contains(statusWords(), strings.ToUpper(w)) {
			all = append(all, event.Connection.Filter(event.Slug(status)+"."+wild(provider), "*"))
		}
	}
	slices.Sort(all)
	return slices.Compact(all) // the server refuses filters that overlap
}

func wild(token string) string {
	if token == "*" {
		return token
	}
	return event.Slug(token)
}

// watchLine is a fact on one line.
func watchLine(out screen, r journal.Record) string {
	at := r.At().Local().Format("15:04:05.000")
	e := r.Entity()
	switch e.Noun {
	case event.Order:
		o := new(patchbayv1.Order)
		_ = r.Into(o) // what cannot be read is shown bare
		fact := strings.Split(r.Subject, ".")[2]
		return strings.TrimRight(fmt.Sprintf("%s  order       %s  %s  %s  %s", at, e.ID, out.paint(fact, fact),
			strings.TrimSpace(o.GetKind()+" "+o.GetCreate().GetName()), orderText(o)), " ")
	case event.Connection:
		return stepLine(out, at, r)
	default:
		f := new(patchbayv1.Refusal)
		_ = r.Into(f) // what cannot be read is shown bare
		return fmt.Sprintf("%s  %-10s  %s  %s  %s", at, e.Noun, e.ID, out.paint("refusal", "refused"), f.GetMessage())
	}
}

func stepLine(out screen, at string, r journal.Record) string {
	t := new(patchbayv1.Transition)
	_ = r.Into(t) // what cannot be read is shown bare
	c := t.GetConnection()
	from := t.GetFrom().GetStatus() + "/" + t.GetFrom().GetProviderStatus()
	if t.GetFrom() == nil || t.GetFirst() {
		from = "first seen"
	}
	to := t.GetTo().GetStatus() + "/" + t.GetTo().GetProviderStatus()
	text := fmt.Sprintf("%s  connection  %s  %s → %s  %s", at, r.Entity().ID, out.faint(from), out.paint(to, to), c.GetName())
	for word, set := range map[string]bool{"[inferred]": t.GetInferred(), "[skipped]": t.GetSkipped(), "[unexpected]": t.GetUnexpected()} {
		if set {
			text += " " + word
		}
	}
	if c.GetOrderId() != "" {
		text += out.faint("  order " + story.Short(c.GetOrderId()) + " " + c.GetLeg())
	}
	return strings.TrimRight(text, " ")
}
