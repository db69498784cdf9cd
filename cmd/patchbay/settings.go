package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/pflag"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/policy"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/telemetry"
)

// settings are what all services share.
type settings struct {
	natsURL   string
	redisURL  string
	accounts  string
	keyFile   string
	httpAddr  string
	replicas  int
	maxBytes  int64
	perMinute int
	open      int
	gone      []string
	push      struct{ addr, token string }
	logLevel  string
	logFormat string
}

func (s *settings) register(f *pflag.FlagSet, httpAddr string) {
	f.StringVar(&s.natsURL, "nats-url", s.natsURL, "NATS servers, comma-separated")
	f.StringVar(&s.redisURL, "redis-url", s.redisURL, "Redis, as redis://host:port")
	f.StringVar(&s.accounts, "accounts", "", "accounts and policies, a YAML file")
	f.StringVar(&s.keyFile, "key-file", "", "deployment key: 32 bytes, by which secrets are recognised; up makes one in --data, services need one")
	f.StringVar(&s.httpAddr, "http-addr", httpAddr, "where /healthz, /readyz and /metrics are served; port 0 picks one")
	f.IntVar(&s.replicas, "replicas", 0, "replicas of each stream; 0 means 3 where NATS is a cluster of three or more, else 1")
	f.Int64Var(&s.maxBytes, "journal-bytes", 0, "size at which the journal is full; creates and changes wait from 90 % on, deletes from 95 %; 0 leaves it as it is, 1 GiB at first")
	f.IntVar(&s.perMinute, "source-per-minute", 10_000, "creates and changes, and as many deletes, that one source gets taken in a minute; 0 is no limit")
	f.IntVar(&s.open, "source-open", 50_000, "creates and changes of one source that may be under way at one time; 0 is no limit")
	s.registerLog(f)
}

// registerWatcher adds what only the status-watcher heeds.
func (s *settings) registerWatcher(f *pflag.FlagSet) {
	f.StringSliceVar(&s.gone, "gone", nil, "accounts whose circuits are really gone, though the exchange suddenly shows almost none")
	f.StringVar(&s.push.addr, "push-listen", "", "where the events are taken that Equinix pushes, as HTTP; empty takes none")
	f.StringVar(&s.push.token, "push-token", "", "what Equinix has to show there, as env:NAME or file:/path")
}

func (s *settings) registerLog(f *pflag.FlagSet) {
	f.StringVar(&s.logLevel, "log-level", "info", "trace, debug, info, warn, error or disabled")
	f.StringVar(&s.logFormat, "log-format", "console", "json or console")
}

// leastBytes is the smallest journal that still has room for orders beside its reserves.
const leastBytes = 1 << 20

// check reports every number that makes no sense.
func (s *settings) check() error {
	var errs []error
	refuse := func(wrong bool, flag string, value int64, rule string) {
		if wrong {
			errs = append(errs, fmt.Errorf("--%s %d: %s", flag, value, rule))
		}
	}
	refuse(s.maxBytes != 0 && s.maxBytes < leastBytes, "journal-bytes", s.maxBytes,
		fmt.Sprintf("give at least %d bytes, or 0 to leave the journal as it is", leastBytes))
	refuse(s.replicas < 0 || s.replicas > 5, "replicas", int64(s.replicas), "NATS keeps 1 to 5; 0 chooses")
	refuse(s.perMinute < 0, "source-per-minute", int64(s.perMinute), "give a number of intents, or 0 for no limit")
	refuse(s.open < 0, "source-open", int64(s.open), "give a number of intents, or 0 for no limit")
	if len(errs) > 0 {
		return codedError{exitUsage, errors.Join(errs...)}
	}
	return nil
}

func (s *settings) telemetry(name string) telemetry.Config {
	return telemetry.Config{Service: name, Version: version(), LogLevel: s.logLevel, LogFormat: s.logFormat}
}

// startTelemetry begins logs, traces and metrics.
func (s *settings) startTelemetry(ctx context.Context, name string) (*telemetry.Telemetry, error) {
	t, err := telemetry.Start(ctx, s.telemetry(name))
	if errors.Is(err, telemetry.ErrSetting) {
		err = codedError{exitUsage, err}
	}
	return t, err
}

func (s *settings) nats() journal.Config {
	return journal.Config{URL: s.natsURL, Replicas: s.replicas, MaxBytes: s.maxBytes}
}

// loadAccounts reads the accounts file and compiles its rules, and reports everything that
// is wrong with either.
func loadAccounts(path string) (account.File, error) {
	f, err := account.Load(path)
	if err == nil {
		err = policy.Check(f)
	}
	if err != nil {
		return account.File{}, codedError{exitInvalid, fmt.Errorf("accounts %s:\n%w", path, err)}
	}
	return f, nil
}

// allSet refuses accounts whose credentials stand in environment variables that are not set:
// they could not log in, and no waiting would change that.
func allSet(accounts []account.Account) error {
	var errs []error
	for _, a := range accounts {
		errs = append(errs, a.Unset(os.Getenv))
	}
	if err := errors.Join(errs...); err != nil {
		return codedError{exitInvalid, fmt.Errorf("%w\nSet what is missing and start again; a process does not see variables that are set later", err)}
	}
	return nil
}

// receiver opens the place where pushed events are taken, and reads what is to be shown
// there; nil if none are.
func (s *settings) receiver() (net.Listener, secret.Secret, error) {
	if s.push.addr == "" {
		return nil, "", nil
	}
	ref, err := account.ParseRef(s.push.token)
	if err != nil {
		return nil, "", codedError{exitUsage, fmt.Errorf("--push-token %w; --push-listen needs one, since whoever can reach "+
			"it could ask for looks", err)}
	}
	token, err := ref.Resolve(os.Getenv)
	if err != nil {
		return nil, "", codedError{exitInvalid, fmt.Errorf("--push-token: %w", err)}
	}
	l, err := listen(s.push.addr)
	if err != nil {
		return nil, "", fmt.Errorf("--push-listen: %w", err)
	}
	return l, token, nil
}

// loadKey reads the deployment key of separate services.
func (s *settings) loadKey() (secret.Key, error) {
	if s.keyFile == "" {
		return secret.Key{}, codedError{exitUsage, errors.New("--key-file is required: 32 random bytes, the same for every " +
			"service of a deployment (head -c 32 /dev/urandom > key; chmod 600 key)")}
	}
	return secret.LoadKey(s.keyFile)
}

// keyWords says what to do about a key that is not the deployment's.
func (s *settings) keyWords(err error) error {
	if !errors.Is(err, journal.ErrOtherKey) {
		return err
	}
	return codedError{exitInvalid, fmt.Errorf("deployment key %s: %w\nThe orders of this deployment name their secrets by its "+
		"own key, and by this one none of them would be recognised.\nPut the deployment's own key there (every service has the "+
		"same; patchbay up keeps it as \"key\" in --data) and start again; docs/services.md tells what to do if it is lost", s.keyFile, err)}
}
