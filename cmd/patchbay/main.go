// Command patchbay orders, approves, provisions and watches layer-2 interconnections.
//
// One binary, one subcommand a service: `patchbay up` runs everything in one process,
// `patchbay requester` and its like run one service each, and the other subcommands are
// the client, which speaks NATS only. Every flag is also an environment variable:
// --nats-url is PATCHBAY_NATS_URL.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"patchbay.io/cmd/client"
)

// Exit codes.
const (
	exitDone    = 0
	exitError   = 1 // it did not work
	exitUsage   = 2 // the command line is wrong
	exitInvalid = 3 // what was handed over breaks rules
	exitFailed  = 4 // the order failed
	exitWaiting = 5 // the order is still on its way
)

// codedError carries the exit code of an error whose text is all there is to say.
type codedError struct {
	code int
	error
}

func (e codedError) Unwrap() error { return e.error }

// ExitCode is the code to exit with, as errors of package client have it too.
func (e codedError) ExitCode() int { return e.code }

func coded(code int, format string, args ...any) error {
	return codedError{code, fmt.Errorf(format, args...)}
}

func main() {
	// A file that may not grow is an error of whoever writes to it, and no reason to die.
	signal.Ignore(syscall.SIGXFSZ)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who cannot wait for the end interrupts a second time
	err := root().ExecuteContext(ctx)
	stop()
	os.Exit(exitCode(err))
}

// exitCode says err on standard error and returns the code to exit with.
func exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "patchbay: "+text)
	}
	var own interface{ ExitCode() int }
	if errors.As(err, &own) {
		return own.ExitCode()
	}
	return exitError
}

func root() *cobra.Command {
	cmd := client.OnlySubcommands(&cobra.Command{
		Use:   "patchbay",
		Short: "Order, approve, provision and watch layer-2 interconnections",
		Long: "Patchbay carries connection intents to working circuits at Equinix Cloud Exchange, Equinix\n" +
			"Fabric and PacketFabric, and tells every transition of every circuit.\n\n" +
			"Every flag is also an environment variable: --nats-url is PATCHBAY_NATS_URL.\n\n" +
			"Exit codes: 0 done, 1 error, 2 usage, 3 invalid, 4 order failed, 5 still waiting.",
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnv(cmd.Flags()) },
	})
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return coded(exitUsage, "%w\nSee %q.", err, cmd.CommandPath()+" --help")
	})
	cmd.AddGroup(
		&cobra.Group{ID: "run", Title: "Run:"},
		&cobra.Group{ID: "ask", Title: "Ask and tell:"},
		&cobra.Group{ID: "care", Title: "Take care:"},
	)
	cmd.AddCommand(upCommand(), sandboxCommand(), versionCommand())
	cmd.AddCommand(serviceCommands()...)
	cmd.AddCommand(client.Commands()...)
	return cmd
}

// fromEnv sets each flag that was not given from its environment variable.
func fromEnv(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := envName(f.Name)
		if value, ok := os.LookupEnv(name); ok && !f.Changed && f.Name != "help" {
			if err := flags.Set(f.Name, value); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	if len(errs) > 0 {
		return codedError{exitUsage, errors.Join(errs...)}
	}
	return nil
}

func envName(flag string) string {
	return "PATCHBAY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// version is what the Go toolchain recorded of the build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return v + " " + info.GoVersion
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", GroupID: "care", Args: client.Usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "patchbay", version())
			return err
		},
	}
}
