package wire

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/secret"
)

const (
	// maxAnswer and maxRead bound what is read of the answer to a call that decides and to
	// one that only looks. PacketFabric lists whatever a customer has in one answer, some
	// 2 kB a circuit.
	maxAnswer = 4 << 20
	maxRead   = 128 << 20
	// busyFor is how long to stay away when the exchange throttles and does not say.
	busyFor = 10 * time.Second
	// busyMost bounds what a Retry-After is believed.
	busyMost = 24 * time.Hour
)

// Masked stands for a secret in texts.
const Masked = "***"

// Call is one request to the exchange.
type Call struct {
	Method string
	Name   string // the path with its variables, for spans and logs
	Path   string // after the base URL
	Query  url.Values
	Body   any // to be sent as JSON; nil is none
	// ContentType of the body; empty is application/json.
	ContentType string

	Purpose exchange.Purpose
	Decides bool     // may create or decide something
	Secrets []string // in it, to be kept out of whatever is said about it
}

// NewCall returns a call to a path below prefix, for an order; each id fills the next {id}
// of name.
func NewCall(method, prefix, name string, ids ...string) Call {
	path := name
	for _, id := range ids {
		path = strings.Replace(path, "{id}", url.PathEscape(id), 1)
	}
	return Call{Method: method, Name: name, Path: prefix + path, Purpose: exchange.ForOrder}
}

// Reply is a whole answer.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
	At     time.Time // when it had arrived
}

// Words are the answer in a few words: "502 Bad Gateway".
func (r Reply) Words() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status)))
}

// OK reports a 2xx.
func (r Reply) OK() bool { return r.Status >= 200 && r.Status < 300 }

// RetryAfter is how long a throttled client is asked to stay away, and a guess if the
// answer does not say. A date is held against the exchange's own clock, if it tells it.
func (r Reply) RetryAfter() time.Duration {
	text := strings.TrimSpace(r.Header.Get("Retry-After"))
	if d, err := time.ParseDuration(text + "s"); err == nil && d >= 0 {
		return min(max(d, time.Second), busyMost)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return busyFor
	}
	now := r.At
	if date, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), time.Second), busyMost)
}

// Ahead is how far the exchange's clock is ahead of ours; 0 if it does not tell.
func (r Reply) Ahead() time.Duration {
	date, err := http.ParseTime(r.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return date.Sub(r.At)
}

// Settled says what a deciding call did where the status alone tells, and reports whether
// it does. A 2xx is for the adapter to judge, and so is a 4xx that it may read in the
// exchange's own form: the outcome is then [exchange.Unknown] until it has.
func Settled(r Reply) (exchange.Outcome, bool) {
	out := exchange.Outcome{Class: exchange.Unknown, Answer: r.Words()}
	switch r.Status {
	case http.StatusUnauthorized:
		out.Class = exchange.NotSent
		out.Answer = "401 Unauthorized, under a new token too"
		return out, true
	case http.StatusTooManyRequests:
		out.Class, out.After = exchange.Busy, r.RetryAfter()
		return out, true
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, 499:
		return out, true
	}
	return out, !r.OK() && (r.Status < 400 || r.Status > 499)
}

// Unanswered says what a deciding call did that has no whole answer.
func Unanswered(err error) exchange.Outcome {
	var busy exchange.Throttled
	var never NotSent
	switch {
	case errors.As(err, &busy):
		return exchange.Outcome{Class: exchange.Busy, Answer: busy.Error(), After: busy.After}
	case errors.As(err, &never):
		return exchange.Outcome{Class: exchange.NotSent, Answer: never.Error()}
	}
	return exchange.Outcome{Class: exchange.Unknown, Answer: plain(err, nil).Error()}
}

// request writes k and reads the answer. Its errors name no URL and no secret.
func (w *Wire) request(ctx context.Context, k Call, token secret.Secret) (Reply, error) {
	// From the moment there is a connection the request may have been written: the
	// goroutine that writes it tells only afterwards that it did.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := w.newRequest(ctx, k, token)
	if err != nil {
		return Reply{}, NotSent{plain(err, k.Secrets)}
	}
	client, most := w.reads, maxRead
	if k.Decides {
		client, most = w.decides, maxAnswer
	}
	resp, err := client.Do(req)
	if err != nil {
		if !connected.Load() {
			return Reply{}, NotSent{plain(err, k.Secrets)}
		}
		return Reply{}, plain(err, k.Secrets)
	}
	defer func() { _ = resp.Body.Close() }() // all that is wanted of it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if err != nil {
		return Reply{}, plain(err, k.Secrets)
	}
	if len(body) > most {
		return Reply{}, fmt.Errorf("an answer longer than %d MiB", most>>20)
	}
	return Reply{Status: resp.StatusCode, Header: resp.Header, Body: body, At: time.Now()}, nil
}

func (w *Wire) newRequest(ctx context.Context, k Call, token secret.Secret) (*http.Request, error) {
	var body io.Reader
	if k.Body != nil {
		b, err := json.Marshal(k.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	target := w.base + k.Path
	if len(k.Query) > 0 {
		target += "?" + k.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.Method, target, body)
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // without it nothing can re-send the body
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "patchbay")
	if k.Body != nil {
		req.Header.Set("Content-Type", cmp.Or(k.ContentType, "application/json"))
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
	return errors.New(Scrub(err.Error(), secrets))
}

var (
	errReset  = errors.New("connection reset")
	errHungUp = errors.New("connection closed without a whole answer")
)

// Scrub takes secrets out of a text of somebody else's.
func Scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if s == "" {
			continue
		}
		text = strings.ReplaceAll(text, s, Masked)
		text = strings.ReplaceAll(text, url.QueryEscape(s), Masked)
	}
	return text
}
