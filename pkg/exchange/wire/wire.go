// Package wire carries calls to the HTTP API of an exchange and says what is known of
// each: what every adapter below package exchange needs, and nothing of any one API.
//
// It relies on net/http. Promises:
//   - A call that decides something is one request on a connection of its own: HTTP/1.1,
//     no redirect, nothing that re-sends it. Only a 401, which did nothing, is followed by
//     a second request under a new token.
//   - An error tells whether the request may have been written: a [NotSent] was not, for
//     certain.
//   - Errors, logs and spans bear no URL and no secret that the call names.
//   - The account's budget is asked before each request.
//   - An answer is read whole or not at all, up to 128 MiB, and up to 4 MiB where the call
//     decides something.
//
// The types that read answers ([Text], [ID], [Number], [Flag]) never fail: one odd field of an
// answer must not hide the rest.
package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/secret"
)

const (
	// patience is how long a call takes at most whose ctx has no deadline.
	patience = time.Minute
	// cacheFor is how long things are remembered, unless the Config says.
	cacheFor = time.Minute
)

// Auth knows the token under which an account's calls are made.
type Auth interface {
	// Token returns a token that is not bad, the one that the exchange refused; the empty
	// bad is none. Its errors are [exchange.Throttled] if the login is throttled.
	Token(ctx context.Context, bad secret.Secret, p exchange.Purpose) (secret.Secret, error)
}

// Wire is the way to an account's API. It is safe for use by many goroutines.
type Wire struct {
	cfg     exchange.Config
	api     string
	base    string // of the URLs, without a slash at the end
	host    string
	reads   *http.Client // keeps its connections
	decides *http.Client // one connection a request
}

// New returns the way to the account in cfg. The name of the api is that of its adapter's
// package; it is said in spans, logs and errors. New asks nothing of the exchange.
func New(cfg exchange.Config, api string) (*Wire, error) {
	u, err := url.Parse(cfg.Account.BaseURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("account %s: the base URL is no URL", cfg.Account.Name)
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil:
		return nil, fmt.Errorf("account %s: the base URL must be https://host", cfg.Account.Name)
	}
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.CacheFor == 0 {
		cfg.CacheFor = cacheFor
	}
	return &Wire{
		cfg:     cfg,
		api:     api,
		base:    strings.TrimRight(cfg.Account.BaseURL, "/"),
		host:    u.Hostname(),
		reads:   newHTTPClient(cfg, false),
		decides: newHTTPClient(cfg, true),
	}, nil
}

// Config is the account's configuration with its defaults filled in.
func (w *Wire) Config() exchange.Config { return w.cfg }

// Base is the account's base URL without a slash at its end.
func (w *Wire) Base() string { return w.base }

// Close lets go of idle connections. Calls under way are not disturbed.
func (w *Wire) Close() {
	w.reads.CloseIdleConnections()
	w.decides.CloseIdleConnections()
}

// NotSent reports a request that was never written, for certain.
type NotSent struct{ Err error }

func (e NotSent) Error() string { return "not sent: " + e.Err.Error() }

// Unwrap returns why it was not.
func (e NotSent) Unwrap() error { return e.Err }

func newHTTPClient(cfg exchange.Config, once bool) *http.Client {
	var http1 http.Protocols
	http1.SetHTTP1(true) // HTTP/2 re-sends by rules of its own
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     30 * time.Second,
		MaxIdleConnsPerHost: 4,
		DisableKeepAlives:   once,
		Protocols:           &http1,
	}
	if cfg.Dial != nil {
		t.Proxy, t.DialContext = nil, cfg.Dial
	}
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Send makes the call with a token that the exchange takes. It returns an answer
// whatever its status, 401 only if a fresh token is refused too. Errors are
// [exchange.Throttled] if our budget or the login is throttled, [NotSent] if nothing was
// written, and anything else if the answer was lost.
func (w *Wire) Send(ctx context.Context, auth Auth, k Call) (Reply, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	token, err := auth.Token(ctx, "", k.Purpose)
	if err != nil {
		return Reply{}, unsent(err)
	}
	r, err := w.RoundTrip(ctx, k, token)
	if err != nil || r.Status != http.StatusUnauthorized {
		return r, err
	}
	if token, err = auth.Token(ctx, token, k.Purpose); err != nil {
		return Reply{}, unsent(err)
	}
	return w.RoundTrip(ctx, k, token)
}

// unsent marks an error from before the request.
func unsent(err error) error {
	if errors.As(err, new(exchange.Throttled)) {
		return err
	}
	return NotSent{err}
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patience)
}

// take waits for the account's budget.
func (w *Wire) take(ctx context.Context, p exchange.Purpose) error {
	if w.cfg.Budget == nil {
		return ctx.Err()
	}
	return w.cfg.Budget.Take(ctx, w.cfg.Account.Name, w.cfg.Account.BudgetPerMinute, p)
}

// cool passes on for how long the exchange wants to be left alone, where it says so: all
// instances share one account, and whoever asks on prolongs the silence.
func (w *Wire) cool(ctx context.Context, r Reply) {
	c, ok := w.cfg.Budget.(exchange.Cooler)
	if !ok || r.Status != http.StatusTooManyRequests || r.Header.Get("Retry-After") == "" {
		return
	}
	// The caller may have no time left; those who ask next must know all the same.
	c.Cool(context.WithoutCancel(ctx), w.cfg.Account.Name, r.At.Add(r.RetryAfter()))
}

// RoundTrip makes one request, with a span and a line in the log. An empty token sends
// none. Its errors are those of [Wire.Send].
func (w *Wire) RoundTrip(ctx context.Context, k Call, token secret.Secret) (Reply, error) {
	done, err := w.allow(k)
	if err != nil {
		return Reply{}, unsent(err)
	}
	r, err := w.roundTrip(ctx, k, token)
	return r, done(r, err)
}

// allow asks the breaker. What came of the call is told to done, which returns its error.
func (w *Wire) allow(k Call) (done func(Reply, error) error, err error) {
	if w.cfg.Breaker == nil {
		return func(_ Reply, err error) error { return err }, nil
	}
	tell, err := w.cfg.Breaker.Allow(k.Decides)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	return func(r Reply, err error) error {
		tell(reached(r, err, time.Since(began)))
		return err
	}, nil
}

// fair is the least time that a call has to have had before it says that the exchange hangs.
const fair = 5 * time.Second

// reached says for a [exchange.Breaker] what a call shows that took so long.
func reached(r Reply, err error, took time.Duration) error {
	switch {
	case err == nil && r.Status < http.StatusInternalServerError:
		return nil
	case err == nil:
		return errors.New(r.Words())
	case errors.As(err, new(exchange.Throttled)), errors.Is(err, context.Canceled),
		errors.Is(err, context.DeadlineExceeded) && took < fair:
		return exchange.ErrNotTried
	}
	return err
}

func (w *Wire) roundTrip(ctx context.Context, k Call, token secret.Secret) (Reply, error) {
	if err := w.take(ctx, k.Purpose); err != nil {
		return Reply{}, unsent(err)
	}
	ctx, span := w.tracer(ctx).Start(ctx, k.Method+" "+w.api+" "+k.Name,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(
			attribute.String("http.request.method", k.Method),
			attribute.String("server.address", w.host)))
	defer span.End()
	start := time.Now()
	r, err := w.request(ctx, k, token)
	line := w.cfg.Log.Debug().Str("account", w.cfg.Account.Name).Str("call", k.Method+" "+k.Name).
		Dur("took", time.Since(start))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		line = line.Err(err)
	} else {
		span.SetAttributes(attribute.Int("http.response.status_code", r.Status))
		if r.Status >= http.StatusBadRequest {
			span.SetStatus(codes.Error, r.Words())
		}
		line = line.Int("status", r.Status)
		w.cool(ctx, r)
	}
	line.Msg("exchange asked")
	return r, err
}

// tracer is asked for at each use: the global provider may be set after New.
func (w *Wire) tracer(ctx context.Context) trace.Tracer {
	p := w.cfg.TracerProvider
	if span := trace.SpanFromContext(ctx); p == nil && span.SpanContext().IsValid() {
		p = span.TracerProvider()
	}
	if p == nil {
		p = otel.GetTracerProvider()
	}
	return p.Tracer("patchbay.io/pkg/exchange/" + w.api)
}
