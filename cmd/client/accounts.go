package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// errNobody reports that no service is there to answer.
var errNobody = errors.New("no service answers; is one running?")

func accountsListCommand() *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: "list", Short: "List the accounts: which are paused, and whose exchange cannot be reached", Args: Usage(cobra.NoArgs),
		Long: "Lists the accounts as the services that run know them. An exchange may be out of reach of one\n" +
			"service and not of another, so that is said by service.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(j *journal.Journal) error {
				var all []service.AccountState
				err := j.AskEach(cmd.Context(), service.VerbAccounts, func(answer []byte) error {
					var some []service.AccountState
					err := json.Unmarshal(answer, &some)
					all = append(all, some...)
					return err
				})
				if err == nil && len(all) == 0 {
					err = errNobody
				}
				if err != nil {
					return err
				}
				slices.SortStableFunc(all, func(a, b service.AccountState) int {
					return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Service, b.Service))
				})
				if c.json {
					return printJSON(cmd.OutOrStdout(), all)
				}
				printAccounts(newScreen(cmd.OutOrStdout()), all, j)
				return nil
			})
		},
	}
	return c.register(cmd)
}

// printAccounts prints a line an account. All instances say the same of it but what they
// cannot reach.
func printAccounts(out screen, all []service.AccountState, j *journal.Journal) {
	var rows [][]string
	for len(all) > 0 {
		a := all[0]
		var away, why []string
		for len(all) > 0 && all[0].Account == a.Account {
			if all[0].Away != "" {
				away, why = append(away, all[0].Service), append(why, all[0].Away)
			}
			all = all[1:]
		}
		state, since := "ok", "-"
		if len(away) > 0 {
			state = "away"
			why = []string{"from " + strings.Join(slices.Compact(away), ", ") + ": " + why[0]}
		}
		if a.Paused != "" {
			state, since = service.Paused, story.Span(j.Now().Sub(*a.Since))
			why = append([]string{a.Paused}, why...)
		}
		rows = append(rows, []string{a.Account, a.API, a.Role, state, since, orDash(strings.Join(why, "; "))})
	}
	out.table([]string{"ACCOUNT", "API", "ROLE", "STATE", "SINCE", "WHY"}, rows, -1)
}

// pauseOf is the pause of an account that stands; nil if there is none.
func pauseOf(ctx context.Context, j *journal.Journal, account string) (*patchbayv1.AccountPause, error) {
	r, err := j.Last(ctx, event.Entity{Noun: event.Account, ID: event.AccountID(account)})
	p := new(patchbayv1.AccountPause)
	if err != nil || r.None() || r.Into(p) != nil || p.GetFact() != service.Paused {
		return nil, err
	}
	return p, nil
}

func pauseCommand() *cobra.Command {
	return stopCommand(service.Paused, &cobra.Command{
		Use: "pause NAME", Short: "Send nothing to an account's exchange that creates or decides",
		Long: "Pauses an account: nothing that creates, changes, deletes, accepts or rejects is sent to its\n" +
			"exchange any more, by any instance, until it is resumed, restarts included. What was sent is\n" +
			"waited for, and looks go on. Orders are taken in and wait; \"patchbay explain\" says so.",
	})
}

func resumeCommand() *cobra.Command {
	return stopCommand(service.Resumed, &cobra.Command{
		Use: "resume NAME", Short: "Let a paused account go on", Long: "Resumes an account. What waits for it goes on at once.",
	})
}

func stopCommand(fact string, cmd *cobra.Command) *cobra.Command {
	var c common
	var by, reason string
	cmd.Args = Usage(cobra.ExactArgs(1))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.with(cmd.Context(), func(j *journal.Journal) error {
			was, err := pauseOf(cmd.Context(), j, args[0])
			if err != nil {
				return err
			}
			q := service.PauseRequest{Account: args[0], Fact: fact, By: cmp.Or(by, whoami()), Reason: reason}
			var now json.RawMessage
			if err := ask(cmd.Context(), j, question{verb: service.VerbPause, body: q}, &now); err != nil {
				return unserved(err, "service")
			}
			if c.json {
				return printJSON(cmd.OutOrStdout(), now)
			}
			text := args[0] + " is " + fact
			switch {
			case was != nil && fact == service.Paused:
				text += "; before it was " + service.PauseWords(was)
			case was == nil && fact == service.Resumed:
				text = args[0] + " was not paused"
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		})
	}
	cmd.Flags().StringVar(&by, "by", "", "who asks; default you")
	cmd.Flags().StringVar(&reason, "reason", "", "why; told to everybody whose order waits")
	return c.register(cmd)
}
