package ecx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/secret"
)

const (
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 4 << 20
	// patience is how long a call takes at most whose ctx has no deadline.
	patience = time.Minute
	// busyFor is how long to stay away when the exchange throttles and does not say.
	busyFor = 10 * time.Second
	// busyMost bounds what a Retry-After is believed.
	busyMost = 24 * time.Hour
	// v3 is where the API's paths begin.
	v3 = "/ecx/v3"
	// connections is where circuits are.
	connections = "/l2/connections"
)

// call is one request to the exchange.
type call struct {
	method string
	name   string // the path with its variables, for spans and logs
	path   string // after the base URL
	query  url.Values
	body   any // to be sent as JSON; nil is none

	purpose exchange.Purpose
	decides bool     // may create or decide something
	secrets []string // in it, to be kept out of whatever is said about it
}

// v3Call returns a call to a path of the API; each id fills the next {id} of name.
func v3Call(method, name string, ids ...string) call {
	path := name
	for _, id := range ids {
		path = strings.Replace(path, "{id}", url.PathEscape(id), 1)
	}
	return call{method: method, name: name, path: v3 + path, purpose: exchange.ForOrder}
}

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	body   []byte
	at     time.Time // when it had arrived
}

// words are the answer in a few words: "502 Bad Gateway".
func (r reply) words() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, http.StatusText(r.status)))
}

func (r reply) ok() bool { return r.status >= 200 && r.status < 300 }

// notSent reports a request that was never written, for certain.
type notSent struct{ err error }

func (e notSent) Error() string { return "not sent: " + e.err.Error() }
func (e notSent) Unwrap() error { return e.err }

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

// send makes the call with a token that the exchange takes. It returns an answer
// whatever its status, 401 only if a fresh token is refused too. Errors are
// [exchange.Throttled] if our budget or the login is throttled, notSent if nothing was
// written, and anything else if the answer was lost.
func (c *Client) send(ctx context.Context, k call) (reply, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	token, err := c.token(ctx, "", k.purpose)
	if err != nil {
		return reply{}, unsent(err)
	}
	r, err := c.roundTrip(ctx, k, token)
	if err != nil || r.status != http.StatusUnauthorized {
		return r, err
	}
	if token, err = c.token(ctx, token, k.purpose); err != nil {
		return reply{}, unsent(err)
	}
	return c.roundTrip(ctx, k, token)
}

// unsent marks an error from before the request.
func unsent(err error) error {
	if errors.As(err, new(exchange.Throttled)) {
		return err
	}
	return notSent{err}
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patience)
}

// take waits for the account's budget.
func (c *Client) take(ctx context.Context, p exchange.Purpose) error {
	if c.cfg.Budget == nil {
		return ctx.Err()
	}
	return c.cfg.Budget.Take(ctx, c.cfg.Account.Name, c.cfg.Account.BudgetPerMinute, p)
}

// roundTrip makes one request, with a span and a line in the log. An empty token sends
// none.
func (c *Client) roundTrip(ctx context.Context, k call, token secret.Secret) (reply, error) {
	if err := c.take(ctx, k.purpose); err != nil {
		return reply{}, unsent(err)
	}
	ctx, span := c.tracer(ctx).Start(ctx, k.method+" ecx "+k.name,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(
			attribute.String("http.request.method", k.method),
			attribute.String("server.address", c.host)))
	defer span.End()
	start := time.Now()
	r, err := c.request(ctx, k, token)
	line := c.cfg.Log.Debug().Str("account", c.cfg.Account.Name).Str("call", k.method+" "+k.name).
		Dur("took", time.Since(start))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		line = line.Err(err)
	} else {
		span.SetAttributes(attribute.Int("http.response.status_code", r.status))
		if r.status >= http.StatusBadRequest {
			span.SetStatus(codes.Error, r.words())
		}
		line = line.Int("status", r.status)
	}
	line.Msg("exchange asked")
	return r, err
}

// tracer is asked for at each use: the global provider may be set after New.
func (c *Client) tracer(ctx context.Context) trace.Tracer {
	p := c.cfg.TracerProvider
	if span := trace.SpanFromContext(ctx); p == nil && span.SpanContext().IsValid() {
		p = span.TracerProvider()
	}
	if p == nil {
		p = otel.GetTracerProvider()
	}
	return p.Tracer("patchbay.io/pkg/exchange/ecx")
}

// request writes k and reads the answer. Its errors name no URL and no secret.
func (c *Client) request(ctx context.Context, k call, token secret.Secret) (reply, error) {
	// From the moment there is a connection the request may have been written: the
	// goroutine that writes it tells only afterwards that it did.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := c.newRequest(ctx, k, token)
	if err != nil {
		return reply{}, notSent{plain(err, k.secrets)}
	}
	client := c.reads
	if k.decides {
		client = c.decides
	}
	resp, err := client.Do(req)
	if err != nil {
		if !connected.Load() {
			return reply{}, notSent{plain(err, k.secrets)}
		}
		return reply{}, plain(err, k.secrets)
	}
	defer func() { _ = resp.Body.Close() }() // all that is wanted of it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return reply{}, plain(err, k.secrets)
	}
	if len(body) > maxAnswer {
		return reply{}, errors.New("an answer longer than 4 MiB")
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: body, at: time.Now()}, nil
}

func (c *Client) newRequest(ctx context.Context, k call, token secret.Secret) (*http.Request, error) {
	var body io.Reader
	if k.body != nil {
		b, err := json.Marshal(k.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	target := c.base + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, body)
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // without it nothing can re-send the body
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "patchbay")
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	return req, nil
}

// plain says what went wrong on the wire without the URL, which may hold a key.
func plain(err error, secrets []string) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errHungUp
	}
	return errors.New(scrub(err.Error(), secrets))
}

var (
	errReset  = errors.New("connection reset")
	errHungUp = errors.New("connection closed without a whole answer")
)

// scrub takes secrets out of a text of somebody else's.
func scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if s == "" {
			continue
		}
		text = strings.ReplaceAll(text, s, masked)
		text = strings.ReplaceAll(text, url.QueryEscape(s), masked)
	}
	return text
}

// masked stands for a secret.
const masked = "***"

// retryAfter reads how long a throttled client is asked to stay away. A date is held
// against the exchange's own clock, if the answer tells it.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if d, err := time.ParseDuration(text + "s"); err == nil && d >= 0 {
		return min(max(d, time.Second), busyMost)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return busyFor
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), time.Second), busyMost)
}
