// Package client is the half of the command line that asks and tells: it hands in intents,
// follows orders to their end, lists, explains and watches, and carries people's decisions.
//
// It speaks NATS only. What it shows comes from the journal, or from whoever answers below
// patchbay.ask; where nobody answers it reads the journal itself. It writes intents and
// decisions, as any upstream system would, and nothing else: no facts, no streams, but for
// archives and for what is restored from them. Nothing is tried for longer than about five
// seconds, unless a flag says so.
package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
)

// Exit codes; see the root command.
const (
	exitError   = 1
	exitUsage   = 2
	exitInvalid = 3
	exitFailed  = 4
	exitWaiting = 5
)

// DefaultNATS is where `patchbay up` has its NATS unless it is told otherwise.
const DefaultNATS = "nats://127.0.0.1:4222"

// connectTime is how long to try to reach NATS, and askTime how long to wait for an answer
// that is there at once if it ever comes.
const (
	connectTime = 5 * time.Second
	askTime     = 2 * time.Second
)

// Error is an error with the code to exit with. Its text may be empty if everything has
// been said.
type Error struct {
	code int
	error
}

// ExitCode is the code to exit with.
func (e Error) ExitCode() int { return e.code }

func (e Error) Unwrap() error { return e.error }

// Fail makes an [Error].
func Fail(code int, format string, args ...any) error {
	return Error{code, fmt.Errorf(format, args...)}
}

// quiet is an error that has been reported already.
func quiet(code int) error { return Error{code, errors.New("")} }

// Commands returns the client's commands. The root needs the groups "ask" and "care".
func Commands() []*cobra.Command {
	return []*cobra.Command{
		intentCommand(), listCommand(), getCommand(), explainCommand(), watchCommand(),
		approvalsCommand(), approveCommand(), rejectCommand(),
		deadLettersCommand(), rebuildCommand(), limitsCommand(), archiveCommand(), accountsCommand(), healthCommand(),
	}
}

// Usage makes a wrong number of arguments an error of usage.
func Usage(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		err := args(cmd, given)
		if err == nil {
			return nil
		}
		_, names, _ := strings.Cut(cmd.Use, " ")
		switch counts := strings.Contains(err.Error(), "arg(s)"); { // cobra's own words, which name none
		case counts && len(given) == 0:
			err = fmt.Errorf("%s is missing", names)
		case counts:
			err = fmt.Errorf("%d arguments are not what is wanted: %s", len(given), strings.Join(given, " "))
		}
		return Fail(exitUsage, "%w\nUsage: %s", err, cmd.UseLine())
	}
}

// OnlySubcommands is for a command that does nothing by itself: it prints its help, and
// takes any argument for a misspelt subcommand.
func OnlySubcommands(cmd *cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if cmd.SuggestionsMinimumDistance <= 0 {
			cmd.SuggestionsMinimumDistance = 2
		}
		if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
			text += "; did you mean " + strings.Join(s, " or ") + "?"
		}
		return Fail(exitUsage, "%s\nSee %q.", text, cmd.CommandPath()+" --help")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// common is what all commands that speak NATS have.
type common struct {
	natsURL string
	json    bool
}

// register adds the common flags.
func (c *common) register(cmd *cobra.Command) *cobra.Command {
	c.registerURL(cmd)
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON")
	return cmd
}

func (c *common) registerURL(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.natsURL, "nats-url", DefaultNATS, "NATS servers, comma-separated")
}

// open connects to the journal that cfg, which may be zero, asks for.
func (c *common) open(ctx context.Context, cfg journal.Config) (*journal.Journal, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	cfg.URL, cfg.Name, cfg.Client = c.natsURL, "patchbay command line", true
	j, err := journal.Open(ctx, cfg)
	if errors.Is(err, journal.ErrNoJournal) {
		return nil, fmt.Errorf("%w\nStart it with \"patchbay up\", or say with --nats-url (PATCHBAY_NATS_URL) where it is", err)
	}
	return j, err
}

// with opens the journal that is there for the time of f.
func (c *common) with(ctx context.Context, f func(*journal.Journal) error) error {
	return c.withConfig(ctx, journal.Config{}, f)
}

// withConfig opens the journal that cfg asks for.
func (c *common) withConfig(ctx context.Context, cfg journal.Config, f func(*journal.Journal) error) error {
	j, err := c.open(ctx, cfg)
	if err != nil {
		return err
	}
	defer j.Close()
	return f(j)
}

// printJSON prints a document, indented.
func printJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(b))
	return err
}

// printLine prints a document on one line, for streams.
func printLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// question is a request of a verb.
type question struct {
	verb string
	body any
	// wait is how long to wait for the answer; default askTime.
	wait time.Duration
}

// ask asks whoever serves the question's verb.
func ask(ctx context.Context, j *journal.Journal, q question, answer any) error {
	body, err := json.Marshal(q.body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(q.wait, askTime))
	defer cancel()
	got, err := j.Ask(ctx, q.verb, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(got, answer)
}

// unserved asks whether who would answer runs, of an error that nobody answered.
func unserved(err error, who string) error {
	if errors.Is(err, journal.ErrNobody) {
		return fmt.Errorf("%w; is a %s running?", err, who)
	}
	return err
}

// askList asks the view.
func askList(ctx context.Context, j *journal.Journal, q service.ListRequest) (service.ListAnswer, error) {
	var a service.ListAnswer
	err := ask(ctx, j, question{verb: service.VerbList, body: q}, &a)
	return a, err
}
