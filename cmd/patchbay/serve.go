package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"patchbay.io/cmd/client"
	"patchbay.io/pkg/account"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/telemetry"
	"patchbay.io/services/approver"
	"patchbay.io/services/provisioner"
	"patchbay.io/services/requester"
	"patchbay.io/services/statuswatcher"
)

// aService is one of the four, as the command line sees it.
type aService struct {
	name, short string
	run         func(context.Context, *service.Runtime) error
	// uses are the accounts that it asks exchanges for.
	uses func(account.File) []account.Account
}

// watcher is the one service with flags of its own.
const watcher = "status-watcher"

func theServices(set *settings) []aService {
	return []aService{
		{"requester", "Turn intents into orders, and orders into circuits", running(func(ctx context.Context, rt service.Runtime) error {
			return requester.Run(ctx, rt, requester.Limits{PerMinute: set.perMinute, Open: set.open})
		}), account.File.Buyers},
		{"approver", "Decide requests at seller accounts, by policy or by people", running(approver.Run), account.File.Sellers},
		{"provisioner", "Land approved requests on ports", running(provisioner.Run), account.File.Sellers},
		{watcher, "See every transition of every circuit", running(func(ctx context.Context, rt service.Runtime) error {
			return watch(ctx, rt, set)
		}), func(f account.File) []account.Account { return f.Accounts }},
	}
}

// watch runs the status-watcher and, where it is wanted, the receiver of pushed events.
func watch(ctx context.Context, rt service.Runtime, set *settings) error {
	w, err := statuswatcher.New(rt, statuswatcher.Pace{Gone: set.gone})
	if err != nil {
		return err
	}
	pushes, token, err := set.receiver()
	if err != nil {
		return err
	}
	if pushes == nil {
		return w.Run(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rt.Log.Info().Str("push", "http://"+pushes.Addr().String()+statuswatcher.PushPath).Msg("pushed events are taken")
	var work errgroup.Group
	work.Go(func() error {
		defer cancel()
		return serve(ctx, pushes, w.Receiver(token))
	})
	work.Go(func() error {
		defer cancel()
		return w.Run(ctx)
	})
	return work.Wait()
}

// running runs a service and, beside it, the answers to questions, of which every instance
// takes its share.
func running(run func(context.Context, service.Runtime) error) func(context.Context, *service.Runtime) error {
	return func(ctx context.Context, rt *service.Runtime) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var work errgroup.Group
		for _, part := range []func() error{
			func() error { return run(ctx, *rt) },
			func() error { return rt.Answer(ctx) },
		} {
			work.Go(func() error {
				defer cancel()
				return part()
			})
		}
		return work.Wait()
	}
}

// awaitJournal has /readyz say that services are not ready before their journals are open.
func awaitJournal(tel *telemetry.Telemetry, services ...aService) {
	for _, s := range services {
		tel.Ready(s.name+" journal", func() (bool, any) { return false, nil })
	}
}

// openRuntime connects a service and puts it on the health pages.
func openRuntime(ctx context.Context, tel *telemetry.Telemetry, cfg service.Config, name string) (*service.Runtime, error) {
	cfg.Name, cfg.Log, cfg.Tracers = name, tel.Logger(name), tel.TracerProvider(name)
	rt, err := service.Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	tel.Ready(name+" journal", func() (bool, any) { return true, nil })
	rt.Check, rt.Ready = tel.Check, tel.Ready
	rt.CheckAccounts(tel.Check)
	tel.Check(name+" journal", rt.Journal.Healthy)
	tel.Check(name+" redis", rt.View.Healthy)
	for _, a := range cfg.Accounts.Accounts {
		tel.Check("credentials of "+a.Name, func() error {
			_, err := a.Resolve(os.Getenv)
			return err
		})
	}
	tel.Ready("view", func() (bool, any) {
		p := rt.View.Progress()
		return p.Done, p
	})
	return rt, nil
}

func serviceCommands() []*cobra.Command {
	var all []*cobra.Command
	// One of them runs in a process, so they share what is set.
	set := settings{natsURL: client.DefaultNATS, redisURL: "redis://127.0.0.1:6379"}
	for _, s := range theServices(&set) {
		cmd := &cobra.Command{
			Use: s.name, Short: s.short, GroupID: "run", Args: client.Usage(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error { return runService(cmd.Context(), &set, s) },
		}
		set.register(cmd.Flags(), "127.0.0.1:8080")
		if s.name == watcher {
			set.registerWatcher(cmd.Flags())
		}
		all = append(all, cmd)
	}
	return all
}

// runService runs one service until ctx ends.
func runService(ctx context.Context, set *settings, s aService) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := set.check(); err != nil {
		return err
	}
	if set.accounts == "" {
		return coded(exitUsage, "--accounts is required; docs/accounts.md explains the file")
	}
	file, err := loadAccounts(set.accounts)
	if err != nil {
		return err
	}
	if err := allSet(s.uses(file)); err != nil {
		return err
	}
	key, err := set.loadKey()
	if err != nil {
		return err
	}
	tel, err := set.startTelemetry(ctx, s.name)
	if err != nil {
		return err
	}
	defer func() { _ = tel.Close(context.WithoutCancel(ctx)) }() // it reports what it drops itself
	pages, err := listen(set.httpAddr)
	if err != nil {
		return fmt.Errorf("--http-addr: %w", err)
	}
	awaitJournal(tel, s)
	var work errgroup.Group
	work.Go(func() error { return serve(ctx, pages, tel.Handler()) })
	log := tel.Logger(s.name)
	log.Info().Str("http", pages.Addr().String()).Str("nats", set.natsURL).Msg("starting")

	cfg := service.Config{NATS: set.nats(), Accounts: file, Key: key}
	cfg.Redis.URL = set.redisURL
	rt, err := openRuntime(ctx, tel, cfg, s.name)
	if err != nil {
		cancel()
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		return errors.Join(set.keyWords(err), work.Wait())
	}
	defer func() { _ = rt.Close() }() // connections that end with the process
	work.Go(func() error { return rt.View.Project(ctx, rt.Journal) })
	work.Go(func() error {
		defer cancel()
		return s.run(ctx, rt)
	})
	log.Info().Msg("started")
	err = work.Wait()
	log.Info().Err(err).Msg("stopped")
	return err
}
