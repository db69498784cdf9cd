// Package view is Redis, which only ever holds a copy: snapshots of entities and indexes
// to find them by, idempotency keys that save work, leases that save calls, and the rate
// budgets of accounts.
//
// The journal is the truth. Everything here can be thrown away at any moment, and is made
// again by replay; see [View.Project]. Redis that is away, empty or wrong changes no
// outcome: queries return [ErrAway] and the caller reads the journal, a key that is not
// known is looked up in the journal, everybody gets the lease, and each process goes on
// with a fixed share of the budgets. That is said once in the log, in [View.Healthy] and
// in the metrics, and ends by itself.
//
// A Redis inside this very process has no other users, so the budgets need not go through it:
// each call would run a script or two, which costs miniredis more than all else about the call.
// See [Config.Alone].
//
// An absent Redis costs little: a call waits half a second at most, and after one that
// failed Redis is not asked for a second.
//
// The package relies on one Redis database for one journal, alone or behind Sentinel: its
// scripts work out the names of keys, which Redis Cluster does not allow. All keys begin
// with "pb:", those of the budgets with "rate:pb:". No decision may rest on what is read
// here, and no secret enters, since facts have none.
package view

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/time/rate"
)

// ErrAway reports that the view cannot tell: Redis is away, or what it holds is not (yet)
// the whole view of our journal. Ask the journal instead.
var ErrAway = errors.New("the view is away")

// Times of a call. The projector writes many entities in one.
const (
	callTime  = 500 * time.Millisecond
	batchTime = 5 * time.Second
	pause     = time.Second // how long Redis is not asked after a failure
)

// Config says which Redis to use and how. The zero value of each optional field is a
// sensible default.
type Config struct {
	// URL is redis://[user:password@]host:port[/database], or rediss:// for TLS. Required
	// unless Dial is given.
	URL string
	// Dial replaces the network; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  zerolog.Logger
	// CheckEvery is how often the projector looks whether the view is still there and how
	// far it is behind; default 2s.
	CheckEvery time.Duration
	// WatchShare is the part of an account's budget that watching may use, from 0 to 1;
	// default 0.7. Orders may use all of it.
	WatchShare float64
	// AwayShare is the part of an account's budget that this process takes while Redis is
	// away, from 0 to 1; default 0.25, since four services share an account.
	AwayShare float64
	// Alone says that this process alone uses the Redis, through this view: then the budgets
	// and cooldowns are kept here whole, and no call asks for them.
	Alone bool
	// MeterProvider makes the metrics; default OpenTelemetry's global one.
	MeterProvider metric.MeterProvider
}

func (c Config) withDefaults() Config {
	if c.CheckEvery == 0 {
		c.CheckEvery = 2 * time.Second
	}
	if c.WatchShare == 0 {
		c.WatchShare = 0.7
	}
	if c.AwayShare == 0 {
		c.AwayShare = 0.25
	}
	if c.MeterProvider == nil {
		c.MeterProvider = otel.GetMeterProvider()
	}
	return c
}

// View is a connection to Redis. It is safe for use by many goroutines.
type View struct {
	cfg    Config
	rdb    *redis.Client
	rates  *redis_rate.Limiter
	meters meters
	part   uint64 // facts that a rebuild reads at a time

	skip    atomic.Int64           // not to be asked before, in Unix nanoseconds; 0 while all is well
	failure atomic.Pointer[error]  // why skip is set
	journal atomic.Pointer[string] // the identity of our journal, once the view is known to be its own

	mu       sync.Mutex
	progress Progress
	local    map[string]*rate.Limiter
	cool     map[string]time.Time
}

// Open returns a view. It does not connect yet, so an absent server is no error; the only
// error is a URL that cannot be read.
func Open(cfg Config) (*View, error) {
	cfg = cfg.withDefaults()
	opts := &redis.Options{Addr: "redis"}
	if cfg.URL != "" || cfg.Dial == nil {
		var err error
		if opts, err = redis.ParseURL(cfg.URL); err != nil {
			// Its own error may show the password.
			return nil, errors.New("redis URL: want redis://[user:password@]host:port[/database]")
		}
	}
	opts.Protocol = 2
	opts.DisableIdentity = true
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opts.ContextTimeoutEnabled = true
	opts.DialTimeout, opts.DialerRetries = callTime, 1
	opts.ReadTimeout, opts.WriteTimeout, opts.PoolTimeout = batchTime, batchTime, callTime
	opts.MaxRetries = -1
	opts.Dialer = dialer(cfg.Dial, opts)
	m, err := newMeters(cfg.MeterProvider)
	if err != nil {
		return nil, err
	}
	v := &View{
		cfg: cfg, rdb: redis.NewClient(opts), meters: m, part: buildPart,
		local: map[string]*rate.Limiter{}, cool: map[string]time.Time{},
	}
	v.rates = redis_rate.NewLimiter(v.rdb)
	return v, nil
}

// dialer dials as told, and where nobody answers returns a connection that says so. The
// client would count errors, and dial by itself every second from a goroutine that
// outlives Close, beside lines on standard error; how often to ask is for admit to say.
func dialer(dial func(context.Context, string, string) (net.Conn, error), opts *redis.Options) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = redis.NewDialer(opts)
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return unreachable{err: err}, nil
		}
		return c, nil
	}
}

// unreachable is a connection to nobody.
type unreachable struct{ err error }

func (u unreachable) Read([]byte) (int, error)         { return 0, u.err }
func (u unreachable) Write([]byte) (int, error)        { return 0, u.err }
func (u unreachable) Close() error                     { return nil }
func (u unreachable) LocalAddr() net.Addr              { return nobody{} }
func (u unreachable) RemoteAddr() net.Addr             { return nobody{} }
func (u unreachable) SetDeadline(time.Time) error      { return nil }
func (u unreachable) SetReadDeadline(time.Time) error  { return nil }
func (u unreachable) SetWriteDeadline(time.Time) error { return nil }

type nobody struct{}

func (nobody) Network() string { return "none" }
func (nobody) String() string  { return "nobody" }

// Close ends the connections. Calls afterwards return [ErrAway].
func (v *View) Close() error { return v.rdb.Close() }

// Healthy reports why Redis cannot be reached, as the last call found; nil if it can.
func (v *View) Healthy() error {
	if v.skip.Load() == 0 {
		return nil
	}
	if why := v.failure.Load(); why != nil {
		return fmt.Errorf("%w: %w", ErrAway, *why)
	}
	return ErrAway
}

// do makes one call with time of its own. An error is ErrAway, or ctx's. f may return only
// what Redis or the network says, and has dealt with redis.Nil.
func (v *View) do(ctx context.Context, allowed time.Duration, f func(context.Context) error) error {
	if !v.admit() {
		return v.Healthy()
	}
	try, cancel := context.WithTimeout(ctx, allowed)
	defer cancel()
	err := f(try)
	if err == nil {
		v.found()
		return nil
	}
	if over := ended(ctx); over != nil {
		return over
	}
	err = fmt.Errorf("no answer from Redis at %s: %w", v.rdb.Options().Addr, err)
	v.missed(err)
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// ended reports that it was the caller who gave up or ran out of time, which says nothing
// about Redis. The connection's timer may be a moment ahead of the context's.
func ended(ctx context.Context) error {
	if d, ok := ctx.Deadline(); ok && ctx.Err() == nil && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// admit reports whether Redis may be asked now. After a pause one caller finds out for all.
func (v *View) admit() bool {
	until := v.skip.Load()
	if until == 0 {
		return true
	}
	now := time.Now()
	return now.UnixNano() >= until && v.skip.CompareAndSwap(until, now.Add(pause).UnixNano())
}

func (v *View) found() {
	if v.skip.Swap(0) != 0 {
		v.cfg.Log.Info().Msg("redis is back")
	}
	v.meters.up.Record(context.Background(), 1)
}

func (v *View) missed(err error) {
	v.failure.Store(&err)
	if v.skip.Swap(time.Now().Add(pause).UnixNano()) == 0 {
		v.cfg.Log.Warn().Err(err).Msg("redis is away; orders go on without it")
	}
	v.meters.up.Record(context.Background(), 0)
}

type meters struct {
	up, lag metric.Int64Gauge
	rebuild metric.Float64Histogram
}

func newMeters(p metric.MeterProvider) (m meters, err error) {
	meter := p.Meter("patchbay.io/pkg/view")
	var errs [3]error
	m.up, errs[0] = meter.Int64Gauge("patchbay.view.up",
		metric.WithDescription("1 while Redis answers, 0 while it is away."))
	m.lag, errs[1] = meter.Int64Gauge("patchbay.view.lag",
		metric.WithDescription("Facts of the journal that the view has not got yet."))
	m.rebuild, errs[2] = meter.Float64Histogram("patchbay.view.rebuild.duration",
		metric.WithDescription("Time to make the view anew."), metric.WithUnit("s"))
	return m, errors.Join(errs[:]...)
}
