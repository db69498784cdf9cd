package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// decisionTime is how long to wait for what becomes of a decision.
const decisionTime = 5 * time.Second

// pending reports whether an approval may still be decided upon.
func pending(a *patchbayv1.Approval) bool {
	switch a.GetFact() {
	case approval.Requested, approval.Reminded:
		return true
	case approval.Expired:
		return a.GetBy() == ""
	}
	return false
}

func approvalsCommand() *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: "approvals", Short: "List requests that wait for a person", GroupID: "ask", Args: Usage(cobra.NoArgs),
		Long: "Lists the requests for a seller account's consent that wait for a person, the oldest first.\n" +
			"\"patchbay approve\" and \"patchbay reject\" answer them.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(j *journal.Journal) error {
				waiting, err := waitingApprovals(cmd.Context(), j)
				if err != nil {
					return err
				}
				out := newScreen(cmd.OutOrStdout())
				if c.json {
					all := []json.RawMessage{}
					for _, a := range waiting {
						all = append(all, raw(a))
					}
					return printJSON(out, all)
				}
				printApprovals(out, waiting, j.Now())
				return nil
			})
		},
	}
	return c.register(cmd)
}

func waitingApprovals(ctx context.Context, j *journal.Journal) ([]*patchbayv1.Approval, error) {
	var all []*patchbayv1.Approval
	err := j.Each(ctx, []string{event.Approval.Filter("*", "*")}, func(r journal.Record) error {
		a := new(patchbayv1.Approval)
		if r.Into(a) == nil && pending(a) && a.GetWait() != nil {
			all = append(all, a)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b *patchbayv1.Approval) int {
		return cmp.Or(a.GetRequestedAt().AsTime().Compare(b.GetRequestedAt().AsTime()), strings.Compare(a.GetConnectionId(), b.GetConnectionId()))
	})
	return all, err
}

func printApprovals(out screen, all []*patchbayv1.Approval, now time.Time) {
	if len(all) == 0 {
		fmt.Fprintln(out, "Nothing waits for a person.")
		return
	}
	var rows [][]string
	for _, a := range all {
		deadline := "-"
		if a.GetDeadline() != nil {
			deadline = fmt.Sprintf("in %s, then %s", story.Span(a.GetDeadline().AsTime().Sub(now)), a.GetOnExpiry())
		}
		rows = append(rows, []string{
			a.GetConnectionId(), a.GetKind(), story.Span(now.Sub(a.GetRequestedAt().AsTime())), deadline, a.GetAccount(), asked(a),
		})
	}
	out.table([]string{"CONNECTION", "KIND", "WAITS", "DEADLINE", "ACCOUNT", "WHAT"}, rows, -1)
}

// asked is what an approval is about, on one line.
func asked(a *patchbayv1.Approval) string {
	c := a.GetConnection()
	text := fmt.Sprintf("%s of %s, %d Mbit/s", orDash(c.GetName()), cmp.Or(c.GetBuyerOrganization(), c.GetBuyerAccount(), "an unnamed buyer"), c.GetBandwidthMbps())
	if p := c.GetPendingBandwidthMbps(); p > 0 {
		text += fmt.Sprintf(" → %d Mbit/s", p)
	}
	if z := c.GetZSide(); z.GetMetro() != "" {
		text += " in " + z.GetMetro()
	}
	return text
}

// decision is what a person says to a request.
type decision struct {
	common
	kind               string // approve or reject
	by, reason, digest string
}

func approveCommand() *cobra.Command {
	d := decision{kind: intent.Approve}
	return d.command("Consent to a request that waits for a person")
}

func rejectCommand() *cobra.Command {
	d := decision{kind: intent.Reject}
	return d.command("Reject a request that waits for a person")
}

func (d *decision) command(short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: d.kind + " ID", Short: short, GroupID: "ask",
		Long: short + ". The decision names what you were shown, by its digest: if the request\n" +
			"has changed meanwhile, the decision is refused with the difference. Of an order, the one\n" +
			"connection is meant that waits.\n\n" + referenceHelp + "\n\n" +
			"Exit codes: 0 decided, 1 error or refused, 2 usage, 5 no answer yet.",
		Args: Usage(cobra.RangeArgs(1, 2)), ValidArgsFunction: completeIDs(&d.common, event.Approval),
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.kind == intent.Reject && strings.TrimSpace(d.reason) == "" {
				return Fail(exitUsage, "--reason is required: the other company is told why")
			}
			return d.with(cmd.Context(), func(j *journal.Journal) error { return d.run(cmd, j, strings.Join(args, " ")) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.by, "by", "", "who decides; default you")
	f.StringVar(&d.reason, "reason", "", "why; a seller's reason for rejecting is told to the buyer")
	f.StringVar(&d.digest, "digest", "", "digest of the request you saw; default that of the request as it is now")
	return d.register(cmd)
}

func (d *decision) run(cmd *cobra.Command, j *journal.Journal, name string) error {
	ctx := cmd.Context()
	a, err := findPending(ctx, j, name)
	if err != nil {
		return err
	}
	out := newScreen(cmd.OutOrStdout())
	if !d.json {
		fmt.Fprintf(out, "%s a %s: %s\n", d.kind, a.GetKind(), asked(a))
	}
	made := &patchbayv1.Decision{
		ConnectionId: a.GetConnectionId(), Kind: a.GetKind(), Digest: cmp.Or(d.digest, a.GetDigest()),
		By: cmp.Or(d.by, whoami()), Reason: d.reason,
	}
	e, err := event.NewIntent(event.IntentType(event.Decision, d.kind), ownSource, rand.Text(), raw(made))
	if err != nil {
		return err
	}
	e.SetExtension(event.ExtTraceParent, newTrace())
	last, err := j.LastSeq(ctx)
	if err != nil {
		return err
	}
	if _, err := j.Submit(ctx, event.IntentSubject(event.Decision, d.kind), e); err != nil {
		return err
	}
	r, err := answerTo(ctx, j, e.ID(), a.GetConnectionId(), last+1)
	if err != nil {
		return err
	}
	return d.print(out, r)
}

// findPending returns the one approval that waits and that a name means.
//
// A name that "approvals" prints means what it prints it for, whatever else goes by it.
func findPending(ctx context.Context, j *journal.Journal, name string) (*patchbayv1.Approval, error) {
	waiting, err := waitingApprovals(ctx, j)
	if err != nil {
		return nil, err
	}
	named := slices.DeleteFunc(waiting, func(a *patchbayv1.Approval) bool {
		c := a.GetConnection()
		return !slices.ContainsFunc(append([]string{a.GetConnectionId(), c.GetExchangeId(), c.GetName()}, c.GetAliases()...),
			func(n string) bool { return strings.EqualFold(n, strings.TrimSpace(name)) })
	})
	if len(named) > 0 {
		return only(named, strconv.Quote(name))
	}
	e, err := find(ctx, j, name)
	if err != nil {
		return nil, err
	}
	connections := []string{e.ID}
	if e.Noun == event.Order {
		if connections, err = connectionsOf(ctx, j, e); err != nil {
			return nil, err
		}
	}
	var found []*patchbayv1.Approval
	for _, id := range connections {
		r, err := j.Last(ctx, event.Entity{Noun: event.Approval, ID: id})
		if err != nil {
			return nil, err
		}
		a := new(patchbayv1.Approval)
		if !r.None() && r.Into(a) == nil && pending(a) {
			found = append(found, a)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("nothing about %s %s waits for approval; \"patchbay approvals\" lists what does", e.Noun, e.ID)
	}
	return only(found, "the order")
}

// only returns the one request there is of something, or says which there are.
func only(found []*patchbayv1.Approval, of string) (*patchbayv1.Approval, error) {
	if len(found) == 1 {
		return found[0], nil
	}
	var text []string
	for _, a := range found {
		text = append(text, fmt.Sprintf("  %s  %s: %s", a.GetConnectionId(), a.GetKind(), asked(a)))
	}
	return nil, Fail(exitUsage, "%d requests of %s wait; say which connection:\n%s", len(found), of, strings.Join(text, "\n"))
}

func connectionsOf(ctx context.Context, j *journal.Journal, e event.Entity) ([]string, error) {
	r, err := j.Last(ctx, e)
	if err != nil {
		return nil, err
	}
	o := new(patchbayv1.Order)
	if err := r.Into(o); err != nil {
		return nil, err
	}
	var ids []string
	for _, l := range o.GetLegs() {
		if l.GetConnectionId() != "" {
			ids = append(ids, l.GetConnectionId())
		}
	}
	return ids, nil
}

// errFound ends a search.
var errFound = errors.New("found")

// answerTo waits for the fact that a decision caused; the zero Record if none came in time.
func answerTo(ctx context.Context, j *journal.Journal, id, connection string, from uint64) (journal.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, decisionTime)
	defer cancel()
	var answer journal.Record
	filters := []string{event.Approval.Filter("*", connection), event.Refusal.Filter("decision", connection)}
	err := j.Follow(ctx, journal.From{Seq: from}, filters, func(r journal.Record) error {
		if event.Ext(r.Event, event.ExtCausationID) != id {
			return nil
		}
		fact := strings.Split(r.Subject, ".")[2]
		if fact != "decision" && fact != approval.Approved && fact != approval.Rejected {
			return nil // the request was asked anew before the decision was looked at
		}
		answer = r
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return answer, err
}

// print says what became of the decision.
func (d *decision) print(out screen, r journal.Record) error {
	if r.None() {
		return Fail(exitWaiting, "the decision is kept, and nobody has answered within %s; is an approver running?", decisionTime)
	}
	if d.json {
		if err := printJSON(out, map[string]any{
			"subject": r.Subject, "eventId": r.Event.ID(), "data": json.RawMessage(r.Event.Data())}); err != nil {
			return err
		}
	}
	if r.Entity().Noun == event.Refusal {
		f := new(patchbayv1.Refusal)
		if err := r.Into(f); err != nil {
			return err
		}
		if !d.json {
			fmt.Fprintf(out, "%s: %s\n", out.paint("refusal", "refused"), f.GetMessage())
			printDifferences(out, f.GetDifferences(), "AS YOU SAW IT", "AS IT IS")
		}
		return quiet(exitError)
	}
	if !d.json {
		a := new(patchbayv1.Approval)
		if err := r.Into(a); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s by %s\n", out.paint(a.GetFact(), a.GetFact()), a.GetBy())
	}
	return nil
}

// whoami is the name of whoever runs this.
func whoami() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return cmp.Or(os.Getenv("USER"), "somebody at the command line")
}
