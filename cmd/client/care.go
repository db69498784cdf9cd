package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/account"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/policy"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/view"
)

func deadLettersCommand() *cobra.Command {
	cmd := OnlySubcommands(&cobra.Command{
		Use: "deadletters", Short: "Look after messages that no retry could cure", GroupID: "care",
	})
	cmd.AddCommand(deadListCommand(), deadRetryCommand())
	return cmd
}

func deadListCommand() *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters, the oldest first", Args: Usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(j *journal.Journal) error {
				all, err := j.Dead(cmd.Context())
				if err != nil {
					return err
				}
				if c.json {
					if all == nil {
						all = []journal.DeadLetter{}
					}
					return printJSON(cmd.OutOrStdout(), all)
				}
				printDead(newScreen(cmd.OutOrStdout()), all, j.Now())
				return nil
			})
		},
	}
	return c.register(cmd)
}

func printDead(out screen, all []journal.DeadLetter, now time.Time) {
	if len(all) == 0 {
		fmt.Fprintln(out, "No dead letters.")
		return
	}
	var rows [][]string
	for _, d := range all {
		rows = append(rows, []string{
			strconv.FormatUint(d.Seq, 10), story.Span(now.Sub(d.At)), d.Consumer, d.Subject, orDash(d.EventID), d.Cause,
		})
	}
	out.table([]string{"SEQ", "AGE", "WHO COULD NOT", "SUBJECT", "EVENT", "CAUSE"}, rows, -1)
}

func deadRetryCommand() *cobra.Command {
	var c common
	var all bool
	cmd := &cobra.Command{
		Use: "retry SEQ… | --all", Short: "Send dead letters again where they came from",
		Long: "Sends dead letters again where they came from, and removes them. A fact is not written\n" +
			"twice: the entity that it is about is looked at once more.",
		Args: Usage(func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("say which by SEQ, or --all")
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(j *journal.Journal) error {
				sequences, err := whichDead(cmd.Context(), j, args)
				if err != nil {
					return err
				}
				sent := []uint64{}
				var errs []error
				for _, seq := range sequences {
					if err := j.Redrive(cmd.Context(), seq); err != nil {
						errs = append(errs, err)
						continue
					}
					sent = append(sent, seq)
				}
				if c.json {
					errs = append(errs, printJSON(cmd.OutOrStdout(), map[string]any{"sent": sent}))
				} else {
					fmt.Fprintf(cmd.OutOrStdout(), "%s sent again\n", counted(len(sent), "message"))
				}
				return errors.Join(errs...)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every dead letter")
	return c.register(cmd)
}

// whichDead reads sequences; none means all.
func whichDead(ctx context.Context, j *journal.Journal, args []string) ([]uint64, error) {
	var sequences []uint64
	for _, a := range args {
		seq, err := strconv.ParseUint(a, 10, 64)
		if err != nil || seq == 0 {
			return nil, Fail(exitUsage, "%q is no sequence; \"patchbay deadletters list\" shows them", a)
		}
		sequences = append(sequences, seq)
	}
	all, err := j.Dead(ctx)
	var dead []uint64
	for _, d := range all {
		dead = append(dead, d.Seq)
	}
	if err != nil || len(args) == 0 {
		return dead, err
	}
	for _, seq := range sequences {
		if !slices.Contains(dead, seq) {
			return nil, fmt.Errorf("there is no dead letter %d; \"patchbay deadletters list\" shows what there is", seq)
		}
	}
	return sequences, nil
}

func rebuildCommand() *cobra.Command {
	var c common
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Make the view in Redis anew from the journal", GroupID: "care", Args: Usage(cobra.NoArgs),
		Long: "Wipes the view in Redis and makes it anew from the journal. Orders go on meanwhile.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(j *journal.Journal) error {
				var r view.Report
				if err := ask(cmd.Context(), j, question{verb: service.VerbRebuild, wait: timeout}, &r); err != nil {
					return unserved(err, "service")
				}
				if c.json {
					return printJSON(cmd.OutOrStdout(), r)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "rebuilt %d entities from %d facts in %s, %.0f facts a second\n",
					r.Entities, r.Facts, story.Span(time.Duration(r.Seconds*float64(time.Second))), r.PerSec)
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait for it")
	return c.register(cmd)
}

func accountsCommand() *cobra.Command {
	var asJSON bool
	check := &cobra.Command{
		Use: "check FILE", Short: "Say everything that is wrong with an accounts file", Args: Usage(cobra.ExactArgs(1)),
		Long: "Reads an accounts file as a service would, rules included, and says everything that is wrong.\n" +
			"Secrets that are not to be found here are a note only, since a service may run elsewhere, but\n" +
			"one whose environment variables are not set does not start. No service need be running.\n\nExit codes: 0 nothing, 1 error, 2 usage, 3 something.",
		RunE: func(cmd *cobra.Command, args []string) error { return checkAccounts(cmd, args[0], asJSON) },
	}
	check.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd := OnlySubcommands(&cobra.Command{Use: "accounts", Short: "Look after the accounts", GroupID: "care"})
	cmd.AddCommand(check, accountsListCommand(), pauseCommand(), resumeCommand())
	return cmd
}

func checkAccounts(cmd *cobra.Command, path string, asJSON bool) error {
	f, err := account.Load(path)
	if err == nil {
		err = policy.Check(f)
	}
	var found account.Violations
	if err != nil && !errors.As(err, &found) {
		return err
	}
	notes := []string{}
	for _, a := range f.Accounts {
		if _, err := a.Resolve(os.Getenv); err != nil {
			notes = append(notes, strings.Split(err.Error(), "\n")...)
		}
	}
	if asJSON {
		text := []string{}
		for _, v := range found {
			text = append(text, v.String())
		}
		if err := printJSON(cmd.OutOrStdout(), map[string]any{"accounts": len(f.Accounts), "violations": text, "notes": notes}); err != nil {
			return err
		}
	} else {
		for _, v := range found {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", path, v)
		}
		if len(found) == 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, nothing wrong\n", path, counted(len(f.Accounts), "account"))
		}
		for _, n := range notes {
			fmt.Fprintf(cmd.OutOrStdout(), "note: %s\n", n)
		}
	}
	if len(found) > 0 {
		return quiet(exitInvalid)
	}
	return nil
}

func healthCommand() *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use: "health", Short: "Ask a running service whether it is well", GroupID: "care", Args: Usage(cobra.NoArgs),
		Long: "Asks /healthz of the service that listens on --http-addr, and fails if it does not answer or\n" +
			"is not well. It is what a container calls.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := health(cmd.Context(), addr)
			if text != "" {
				fmt.Fprintln(cmd.OutOrStdout(), text)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&addr, "http-addr", "127.0.0.1:8080", "where the service serves /healthz")
	return cmd
}

// health returns what /healthz says. A service that listens everywhere listens here too.
func health(ctx context.Context, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", Fail(exitUsage, "--http-addr: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	url := "http://" + net.JoinHostPort(host, port) + "/healthz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }() // it has been read, or is of no use
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if answer.StatusCode != http.StatusOK {
		return text, fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return text, nil
}
