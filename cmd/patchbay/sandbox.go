package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"patchbay.io/cmd/client"
	"patchbay.io/services/sandbox"
)

// aSandbox is the exchange alone.
type aSandbox struct {
	settings
	addr, state, scenario string
	provision             time.Duration
}

func sandboxCommand() *cobra.Command {
	var s aSandbox
	cmd := &cobra.Command{
		Use: "sandbox", Short: "Run an exchange to test against, alone", GroupID: "run", Args: client.Usage(cobra.NoArgs),
		Long: "Serves an exchange that behaves like Equinix Cloud Exchange v3, Equinix Fabric v4 and\n" +
			"PacketFabric v2, with ports, service profiles and sellers of its own, and a control API\n" +
			"below /sandbox/. A scenario file says what it does by itself. See docs/sandbox.md.",
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	f := cmd.Flags()
	f.StringVar(&s.addr, "sandbox-addr", "127.0.0.1:8090", "where to listen; port 0 picks one")
	f.StringVar(&s.state, "state", "", "file that keeps the circuits over a restart; empty forgets them")
	f.DurationVar(&s.provision, "provision-delay", 0, "how long provisioning takes; 0 is the default delay")
	f.StringVar(&s.scenario, "scenario", "", "file of robots, faults, delays and edits, each at its time; empty is none")
	f.StringVar(&s.httpAddr, "http-addr", "", "where /healthz, /readyz and /metrics are served; empty is nowhere, port 0 picks one")
	s.registerLog(f)
	return cmd
}

func (s *aSandbox) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.provision < 0 {
		return coded(exitUsage, "--provision-delay %s: a delay is not negative; 0 is the default delay", s.provision)
	}
	tel, err := s.startTelemetry(ctx, "sandbox")
	if err != nil {
		return err
	}
	defer func() { _ = tel.Close(context.WithoutCancel(ctx)) }() // it reports what it drops itself
	scenario, err := s.readScenario()
	if err != nil {
		return err
	}
	cfg := sandbox.Config{Log: tel.Logger("sandbox"), Scenario: scenario}
	if s.provision != 0 {
		cfg.Delays = sandbox.DefaultDelays()
		cfg.Delays.Provision = s.provision
	}
	x, err := sandbox.Open(cfg, s.state)
	if err != nil {
		return err
	}
	defer x.Close()
	l, err := listen(s.addr)
	if err != nil {
		return fmt.Errorf("--sandbox-addr: %w", err)
	}
	var work errgroup.Group
	if s.httpAddr != "" {
		pages, err := listen(s.httpAddr)
		if err != nil {
			return errors.Join(fmt.Errorf("--http-addr: %w", err), l.Close())
		}
		work.Go(func() error {
			defer cancel()
			return serve(ctx, pages, tel.Handler())
		})
	}
	fmt.Fprintf(out, "sandbox at http://%s/sandbox/inventory\n", l.Addr())
	work.Go(func() error {
		defer cancel()
		return serve(ctx, l, x.Handler())
	})
	return work.Wait()
}

// readScenario returns nil if no file is named.
func (s *aSandbox) readScenario() (*sandbox.Scenario, error) {
	if s.scenario == "" {
		return nil, nil
	}
	if s.provision != 0 {
		return nil, coded(exitUsage, "--provision-delay: the delays stand in the scenario")
	}
	text, err := os.ReadFile(s.scenario)
	if err != nil {
		return nil, fmt.Errorf("--scenario: %w", err)
	}
	scenario, err := sandbox.ReadScenario(text)
	if err != nil {
		return nil, coded(exitInvalid, "%s is no scenario:\n%w", s.scenario, err)
	}
	return scenario, nil
}
