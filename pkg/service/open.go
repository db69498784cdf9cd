package service

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/breaker"
	"patchbay.io/pkg/exchange/ecx"
	"patchbay.io/pkg/exchange/fabric"
	"patchbay.io/pkg/exchange/packetfabric"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/view"
)

// Config says what a service connects to.
type Config struct {
	// Name of the service, as logs, traces and NATS show it.
	Name string
	// NATS is where the journal is. Its name, log, tracer and key are filled in.
	NATS journal.Config
	// Redis is where the view is. Its log is filled in.
	Redis view.Config
	// Accounts at the exchanges.
	Accounts account.File
	// Clients of those accounts, shared with other services of this process; nil opens
	// some of its own. Exchanges lock an account after a few failed logins, so one
	// process should not try several times over.
	Clients *Clients
	// View, shared with another runtime of this process, which closes it; nil opens one. One
	// projector is enough for those who share it.
	View *view.View
	// Key makes HMACs of secrets.
	Key secret.Key
	// Dial replaces the network between us and the exchanges; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  zerolog.Logger
	// Tracers makes the service's spans; nil means OpenTelemetry's global provider.
	Tracers trace.TracerProvider
}

// Open connects a runtime. It waits for NATS until ctx ends, and for nothing else. It fails
// with [journal.ErrOtherKey] if the deployment was begun with another key.
func Open(ctx context.Context, cfg Config) (*Runtime, error) {
	rt := &Runtime{Name: cfg.Name, Accounts: cfg.Accounts, Key: cfg.Key, Log: cfg.Log, Tracers: cfg.Tracers}
	var err error
	if rt.View = cfg.View; rt.View == nil {
		cfg.Redis.Log = cfg.Log
		if rt.View, err = view.Open(cfg.Redis); err != nil {
			return nil, err
		}
		rt.ownView = true
	}
	rt.Keys = rt.View
	clients := cfg.Clients
	if clients == nil {
		if clients, err = OpenClients(cfg); err != nil {
			return nil, errors.Join(err, rt.Close())
		}
		rt.own = clients
	}
	rt.Clients, rt.breakers = clients.byName, clients.breakers
	nats := cfg.NATS
	nats.Name, nats.Log, nats.TracerProvider = cfg.Name, cfg.Log, cfg.Tracers
	nats.Key = cfg.Key.Fingerprint()
	if rt.Journal, err = journal.Open(ctx, nats); err != nil {
		return nil, errors.Join(err, rt.Close())
	}
	return rt, nil
}

// Close ends all connections at once.
func (rt *Runtime) Close() error {
	if rt.Journal != nil {
		rt.Journal.Close()
	}
	var err error
	if rt.ownView {
		err = rt.View.Close()
	}
	if rt.own != nil {
		err = errors.Join(err, rt.own.Close())
	}
	return err
}

// Clients are the clients of a file's accounts.
type Clients struct {
	byName   map[string]exchange.Client
	breakers map[string]*breaker.Breaker
	closers  []func()
	view     *view.View
}

// OpenClients makes a client for each account, with budgets in Redis. Nothing is called yet.
func OpenClients(cfg Config) (*Clients, error) {
	cfg.Redis.Log = cfg.Log
	v, err := view.Open(cfg.Redis)
	if err != nil {
		return nil, err
	}
	c := &Clients{byName: map[string]exchange.Client{}, breakers: map[string]*breaker.Breaker{}, view: v}
	for _, a := range cfg.Accounts.Accounts {
		if err := c.add(cfg, a); err != nil {
			return nil, errors.Join(fmt.Errorf("account %s: %w", a.Name, err), c.Close())
		}
	}
	return c, nil
}

func (c *Clients) add(cfg Config, a account.Account) error {
	b, err := breaker.New(a.Name, cfg.Log)
	if err != nil {
		return err
	}
	c.breakers[a.Name] = b
	of := exchange.Config{Account: a, Breaker: b, Budget: c.view, Dial: cfg.Dial, Log: cfg.Log, TracerProvider: cfg.Tracers}
	var client interface {
		exchange.Client
		Close()
	}
	switch a.API {
	case account.ECX:
		client, err = ecx.New(of)
	case account.Fabric:
		client, err = fabric.New(of)
	case account.PacketFabric:
		client, err = packetfabric.New(of)
	default:
		return fmt.Errorf("no such api: %q", a.API)
	}
	if err != nil {
		return err
	}
	c.byName[a.Name] = client
	c.closers = append(c.closers, client.Close)
	return nil
}

// Close ends the clients' connections.
func (c *Clients) Close() error {
	for _, end := range c.closers {
		end()
	}
	return c.view.Close()
}
