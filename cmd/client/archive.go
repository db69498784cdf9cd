package client

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"patchbay.io/pkg/archive"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
)

// leastAge is the age below which nothing is put away unless somebody insists: as long as
// the view shows what has ended.
const leastAge = 30 * 24 * time.Hour

func archiveCommand() *cobra.Command {
	var c common
	opts, age := archive.Options{}, leastAge
	cmd := &cobra.Command{
		Use: "archive FILE", Short: "Put what ended long ago out of the journal into a file", GroupID: "care",
		Long: "Puts orders, circuits and all that is about them into a new FILE, and out of the journal, if\n" +
			"everything of them ended longer ago than --older-than. What is open or held stays. Of each thing\n" +
			"one fact is left, so that a repeat of an intent is still known as one. docs/limits.md has more.\n\n" +
			"On a cluster this is the administrator's: services may not delete facts.",
		Args: Usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if age < 0 {
				return Fail(exitUsage, "--older-than is %s; give a time like 720h", age)
			}
			return c.with(cmd.Context(), func(j *journal.Journal) error {
				opts.Before = j.Now().Add(-age)
				rep, err := archive.Run(cmd.Context(), j, args[0], opts)
				if c.json {
					return printReport(cmd, rep, err)
				}
				if err == nil || rep.File != "" || rep.Finished > 0 {
					printArchive(newScreen(cmd.OutOrStdout()), rep, opts.DryRun)
				}
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&age, "older-than", leastAge, "how long ago everything has to have ended")
	cmd.Flags().BoolVar(&opts.DryRun, "dry-run", false, "only say what would be put away")
	cmd.AddCommand(restoreCommand())
	return c.register(cmd)
}

// printReport prints what was done, even if it ended with an error.
func printReport(cmd *cobra.Command, rep any, err error) error {
	if perr := printJSON(cmd.OutOrStdout(), rep); err == nil {
		err = perr
	}
	return err
}

func printArchive(out screen, r archive.Report, dry bool) {
	switch {
	case dry:
		fmt.Fprintf(out, "Would put away %s of %s.\n", counted(r.Facts, "fact"), counted(r.Entities, "thing"))
	case r.File == "":
		fmt.Fprintln(out, "Nothing to put away.")
	default:
		fmt.Fprintf(out, "Put away %s of %s into %s (%s).\n", counted(r.Facts, "fact"), counted(r.Entities, "thing"), r.File, mebibytes(r.Bytes))
	}
	if r.Finished > 0 {
		fmt.Fprintf(out, "Deleted the facts of %s that an archive before this one had put away.\n", counted(r.Finished, "thing"))
	}
	if r.Moved > 0 {
		fmt.Fprintf(out, "%s went on meanwhile and stayed.\n", counted(r.Moved, "thing"))
	}
	for _, why := range slices.Sorted(maps.Keys(r.Kept)) {
		fmt.Fprintf(out, "%s stayed: %s.\n", counted(r.Kept[why], "thing"), why)
	}
}

func restoreCommand() *cobra.Command {
	var c common
	cfg := journal.Config{Make: true}
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Take an archive back into an empty journal",
		Long: "Writes the facts of an archive into the journal, each as it was, and makes the streams if there\n" +
			"are none. It is for a NATS on which no service has run yet: a service would take the beginning of\n" +
			"a history for news, and a history that it has begun itself cannot be taken back. Several archives\n" +
			"are restored oldest first; what is there already is passed over.\n\n" +
			"Exit codes: 0 all of it is in the journal, 1 error or the journal knows something otherwise, 2 usage.",
		Args: Usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cfg.MaxBytes < 0 {
				return Fail(exitUsage, "--journal-bytes is %d; give how many bytes the journal may hold, or 0", cfg.MaxBytes)
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }() // it is only read
			return c.withConfig(cmd.Context(), cfg, func(j *journal.Journal) error {
				served, err := j.Served(cmd.Context(), service.VerbList)
				if err != nil {
					return fmt.Errorf("whether a service runs: %w", err)
				}
				if served {
					return errors.New("a service is running; stop all of them, restore, and start them again")
				}
				rep, err := archive.Restore(cmd.Context(), j, f)
				if err != nil {
					err = fmt.Errorf("%s: %w", args[0], err)
				}
				if n := len(rep.Skipped); err == nil && n > 0 {
					err = fmt.Errorf("%s not taken back: the journal had begun a history of the same name, or has it archived; "+
						"restore into a journal in which no service ran before", counted(n, "thing"))
				}
				if c.json {
					return printReport(cmd, rep, err)
				}
				if err == nil || rep.Facts+rep.There+len(rep.Skipped) > 0 {
					printRestored(newScreen(cmd.OutOrStdout()), rep)
				}
				return err
			})
		},
	}
	cmd.Flags().Int64Var(&cfg.MaxBytes, "journal-bytes", 0,
		"size at which the journal is full; 0 leaves it as it is, and is 1 GiB where restore makes it")
	return c.register(cmd)
}

func printRestored(out screen, r archive.Restored) {
	fmt.Fprintf(out, "Took back %s of %s.\n", counted(r.Facts, "fact"), counted(r.Entities, "thing"))
	if r.There > 0 {
		fmt.Fprintf(out, "%s had been there already.\n", counted(r.There, "fact"))
	}
	for _, e := range r.Skipped {
		fmt.Fprintf(out, "%s was passed over: the journal knows it otherwise.\n", e)
	}
}
