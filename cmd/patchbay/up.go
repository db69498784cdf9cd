package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"patchbay.io/cmd/client"
	"patchbay.io/pkg/account"
	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/policy"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/telemetry"
	"patchbay.io/services/sandbox"
)

// up is everything in one process.
type up struct {
	settings
	data        string
	natsAddr    string
	sandboxAddr string
	relaxed     bool
	json        bool
}

// ready is what `up` prints once everything runs.
type ready struct {
	Ready   bool   `json:"ready"`
	NATS    string `json:"nats"`
	HTTP    string `json:"http"`
	Sandbox string `json:"sandbox,omitempty"`
	Data    string `json:"data"`
}

func upCommand() *cobra.Command {
	var u up
	cmd := &cobra.Command{
		Use: "up", Short: "Run everything in this process", GroupID: "run", Args: client.Usage(cobra.NoArgs),
		Long: "Runs NATS with JetStream, Redis, a sandbox exchange and all services in this process.\n" +
			"--nats-url, --redis-url and --accounts replace what is embedded.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if u.natsURL != "" && cmd.Flags().Changed("nats-addr") {
				return coded(exitUsage, "--nats-addr is for a NATS of its own, and --nats-url (PATCHBAY_NATS_URL) names another: give one of them")
			}
			if err := u.check(); err != nil {
				return err
			}
			return u.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	u.register(f, "127.0.0.1:8080")
	u.registerWatcher(f)
	f.StringVar(&u.data, "data", "./data", "where the journal and the key are kept")
	f.StringVar(&u.natsAddr, "nats-addr", "127.0.0.1:4222", "where the embedded NATS listens; port 0 picks one")
	f.StringVar(&u.sandboxAddr, "sandbox-addr", "127.0.0.1:8090", "where the sandbox exchange listens; port 0 picks one")
	f.BoolVar(&u.relaxed, "relaxed-sync", false, "acknowledge before facts are on disk; faster, for development only")
	f.BoolVar(&u.json, "json", false, "print the ready line as JSON")
	return cmd
}

func (u *up) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tel, err := u.startTelemetry(ctx, "patchbay")
	if err != nil {
		return err
	}
	defer func() { _ = tel.Close(context.WithoutCancel(ctx)) }() // it reports what it drops itself
	// What is wrong with the file is said before anything is started that may be in the way.
	accounts, err := u.ownAccounts()
	if err != nil {
		return err
	}
	var stop cleanup
	defer stop.run()
	data, err := folder(&stop, u.data)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}

	cfg, line, err := u.embed(&stop, tel, data, accounts)
	if err != nil {
		return err
	}
	u.warn(tel, line)
	pages, err := listen(u.httpAddr)
	if err != nil {
		return fmt.Errorf("--http-addr: %w", err)
	}
	line.HTTP = "http://" + pages.Addr().String()

	if cfg.Clients, err = service.OpenClients(cfg); err != nil {
		return err
	}
	stop.add(func() { _ = cfg.Clients.Close() }) // connections that end with the process

	services := theServices(&u.settings)
	awaitJournal(tel, services...)
	cfg.NATS.Turns = journal.NewTurns()
	var work errgroup.Group
	var project func() error
	work.Go(func() error { return serve(ctx, pages, tel.Handler()) })
	for _, s := range services {
		rt, err := openRuntime(ctx, tel, cfg, s.name)
		if err != nil {
			cancel()
			return errors.Join(u.keyWords(err), work.Wait())
		}
		stop.add(func() { _ = rt.Close() }) // connections that end with the process
		if cfg.View == nil {
			cfg.View, project = rt.View, func() error { return rt.View.Project(ctx, rt.Journal) }
		}
		work.Go(func() error {
			defer cancel()
			return s.run(ctx, rt)
		})
	}
	work.Go(project) // last, since intents wait for the readings of the services
	if err := line.print(out, u.json); err != nil {
		cancel()
		return errors.Join(err, work.Wait())
	}
	err = work.Wait()
	log := tel.Logger("patchbay")
	log.Info().Err(err).Msg("stopped")
	return err
}

// warn says what about the NATS in use is not as usual.
func (u *up) warn(tel *telemetry.Telemetry, line ready) {
	log := tel.Logger("patchbay")
	switch {
	case u.natsURL != "":
		log.Info().Str("nats", line.NATS).Msg("no NATS of its own, since --nats-url or PATCHBAY_NATS_URL names one")
	case u.relaxed:
		log.Warn().Msg("relaxed sync: facts are acknowledged before they are on disk; a power cut can lose orders")
	}
}

// ownAccounts reads the accounts file, if one was given, whose variables have to be set.
func (u *up) ownAccounts() (account.File, error) {
	if u.accounts == "" {
		return account.File{}, nil
	}
	f, err := loadAccounts(u.accounts)
	if err != nil {
		return account.File{}, err
	}
	return f, allSet(f.Accounts)
}

// folder makes a folder if it is not there, keeps it for this process and returns its path
// from the root.
func folder(stop *cleanup, path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", err
	}
	return path, lock(stop, path)
}

// lock keeps the data folder for this process alone; two servers on one journal would
// destroy it.
func lock(stop *cleanup, data string) error {
	l := flock.New(filepath.Join(data, "lock"))
	held, err := l.TryLock()
	if err == nil && !held {
		err = errors.New("another patchbay uses it; stop that one, or give --data another folder")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", data, err)
	}
	stop.add(func() { _ = l.Unlock() }) // it ends with the process anyway
	return nil
}

// embed starts the servers that the settings do not replace.
func (u *up) embed(stop *cleanup, tel *telemetry.Telemetry, data string, accounts account.File) (service.Config, ready, error) {
	cfg := service.Config{NATS: u.nats(), Accounts: accounts}
	line := ready{Ready: true, NATS: u.natsURL, Data: data}
	if u.natsURL == "" {
		nats, err := embedded.StartNATS(embedded.NATSConfig{
			Dir: filepath.Join(data, "nats"), Addr: u.natsAddr, Relaxed: u.relaxed, Log: tel.Logger("nats"),
		})
		if err != nil {
			return cfg, line, fmt.Errorf("--nats-addr: %w", err)
		}
		stop.add(nats.Stop)
		tel.Check("nats", nats.Healthy)
		ctx, cancel := context.WithCancel(context.Background())
		var keeping sync.WaitGroup
		keeping.Go(func() { nats.Keep(ctx) })
		stop.add(func() {
			cancel()
			keeping.Wait()
		})
		cfg.NATS.InProcess, line.NATS = nats, nats.URL()
	}
	cfg.Redis.URL = u.redisURL
	if u.redisURL == "" {
		redis, err := embedded.StartRedis("")
		if err != nil {
			return cfg, line, err
		}
		stop.add(redis.Stop)
		cfg.Redis.Dial = func(context.Context, string, string) (net.Conn, error) { return redis.Dial() }
		cfg.Redis.Alone = true
	}
	var err error
	if u.accounts == "" {
		cfg.Accounts, line.Sandbox, err = u.sandbox(stop, data)
	}
	if err != nil {
		return cfg, line, err
	}
	load := secret.LoadKey
	if u.keyFile == "" {
		u.keyFile, load = filepath.Join(data, "key"), secret.MakeKey
	}
	cfg.Key, err = load(u.keyFile)
	return cfg, line, err
}

// sandbox starts the exchange and returns the accounts that are known there.
func (u *up) sandbox(stop *cleanup, data string) (account.File, string, error) {
	l, err := listen(u.sandboxAddr)
	if err != nil {
		return account.File{}, "", fmt.Errorf("--sandbox-addr: %w", err)
	}
	x, err := sandbox.Open(sandbox.Config{}, filepath.Join(data, "sandbox.jsonl"))
	if err != nil {
		return account.File{}, "", errors.Join(err, l.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work errgroup.Group
	work.Go(func() error { return serve(ctx, l, x.Handler()) })
	stop.add(func() {
		cancel()
		_ = work.Wait() // a server that stops has nothing to report
		x.Close()
	})
	base := "http://" + l.Addr().String()
	f := account.Sandbox(base)
	return f, base, policy.Check(f)
}

func (r ready) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	_, err := fmt.Fprintf(w, "Patchbay is ready.\n\n"+
		"  NATS      %s\n  health    %s/readyz\n  metrics   %s/metrics\n", r.NATS, r.HTTP, r.HTTP)
	sandbox := "none, since --accounts says where the exchanges are (docs/accounts.md: your own rules, and a sandbox)"
	if r.Sandbox != "" {
		sandbox = r.Sandbox + "/sandbox/inventory"
	}
	if err == nil {
		_, err = fmt.Fprintf(w, "  sandbox   %s\n", sandbox)
	}
	if err == nil {
		_, err = fmt.Fprintf(w, "  data      %s\n\nIn another terminal:\n\n", r.Data)
	}
	if err == nil && r.NATS != client.DefaultNATS {
		_, err = fmt.Fprintf(w, "  export PATCHBAY_NATS_URL=%s\n", r.NATS)
	}
	if err == nil && r.Sandbox != "" { // the examples are about its ports
		_, err = fmt.Fprintln(w, "  patchbay intent submit examples/*/01-*.intent.json --wait")
	}
	if err == nil {
		_, err = fmt.Fprint(w, "  patchbay watch\n\n")
	}
	return err
}

// cleanup runs what was added, last first.
type cleanup struct{ steps []func() }

func (c *cleanup) add(step func()) { c.steps = append(c.steps, step) }

func (c *cleanup) run() {
	for i := len(c.steps) - 1; i >= 0; i-- {
		c.steps[i]()
	}
}

func listen(addr string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", addr)
}

// serve serves h until ctx ends, and waits a second for requests at work.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if srv.Shutdown(ending) != nil {
			_ = srv.Close() // a second is what requests at work get
		}
	})
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
