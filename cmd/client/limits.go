package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
)

// limits is what the command prints as JSON.
type limits struct {
	Streams []journal.Use `json:"streams"`
	// Intake is absent where no requester answers.
	Intake *service.IntakeAnswer `json:"intake,omitempty"`
}

func limitsCommand() *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: "limits", Short: "Show how full the journal is, and what each source has used", GroupID: "care",
		Long: "Shows how full the streams are, how many orders each source has under way and has handed in\n" +
			"within a minute, and why intents wait, if any do.",
		Args: Usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(j *journal.Journal) error {
				all, err := j.Uses(cmd.Context())
				if err != nil {
					return err
				}
				l := limits{Streams: all}
				if l.Intake, err = askIntake(cmd.Context(), j); err != nil {
					return err
				}
				if c.json {
					return printJSON(cmd.OutOrStdout(), l)
				}
				l.print(newScreen(cmd.OutOrStdout()))
				return nil
			})
		},
	}
	return c.register(cmd)
}

// askIntake asks all requesters what intake takes, and puts their answers together: each says
// what it holds back itself. It returns nil if none answers.
func askIntake(ctx context.Context, j *journal.Journal) (*service.IntakeAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var all *service.IntakeAnswer
	err := j.AskEach(ctx, service.VerbIntake, func(answer []byte) error {
		a := new(service.IntakeAnswer)
		err := json.Unmarshal(answer, a)
		if err == nil && all != nil {
			a.Join(*all)
		}
		all = a
		return err
	})
	return all, err
}

func (l limits) print(out screen) {
	var rows [][]string
	for _, u := range l.Streams {
		of, part := "no limit", "-"
		if u.MaxBytes > 0 {
			of, part = mebibytes(u.MaxBytes), fmt.Sprintf("%.1f %%", 100*u.Fill())
		}
		rows = append(rows, []string{u.Stream, strconv.FormatUint(u.Messages, 10), mebibytes(u.Bytes), of, part})
	}
	out.table([]string{"STREAM", "MESSAGES", "SIZE", "OF", "FULL"}, rows, -1)
	fmt.Fprintln(out)
	if l.Intake == nil {
		fmt.Fprintln(out, "No requester answers, so what sources have used is not known.")
		return
	}
	if rows = nil; len(l.Intake.Sources) > 0 {
		for _, s := range l.Intake.Sources {
			rows = append(rows, []string{
				s.Source, ofLimit(s.Open, l.Intake.Open), ofLimit(s.LastMinute, l.Intake.PerMinute), ofLimit(s.Deletes, l.Intake.PerMinute),
			})
		}
		out.table([]string{"SOURCE", "UNDER WAY", "LAST MINUTE", "DELETES"}, rows, -1)
		fmt.Fprintln(out)
	}
	why := waits(l.Intake, nil)
	for _, w := range why {
		fmt.Fprintln(out, "Intents wait: "+w)
	}
	if len(why) == 0 {
		fmt.Fprintln(out, "No intent waits for room or for its source's budget.")
	}
}

// waits are the reasons for which intents of the sources wait, of all sources if there are
// none.
func waits(a *service.IntakeAnswer, sources []string) []string {
	var all []string
	if a.Stopped != "" {
		all = append(all, a.Stopped)
	}
	for _, s := range a.Sources {
		if s.Waits != "" && (len(sources) == 0 || slices.Contains(sources, s.Source)) {
			all = append(all, s.Waits)
		}
	}
	return all
}

// whyUnanswered says why intents were not answered yet.
func whyUnanswered(ctx context.Context, j *journal.Journal, sources []string) string {
	a, err := askIntake(ctx, j)
	if err != nil || a == nil {
		return "Not everything was answered. It is kept; is a requester running?"
	}
	if why := waits(a, sources); len(why) > 0 {
		return "Not everything was answered. It is kept, and carried out later: " + strings.Join(why, "; ") + "."
	}
	return "Not everything was answered yet. It is kept; \"patchbay watch\" shows the answer when it comes."
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// ofLimit is a number beside its limit, if it has one.
func ofLimit(n, limit int) string {
	if limit == 0 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d of %d", n, limit)
}
