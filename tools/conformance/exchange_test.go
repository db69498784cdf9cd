package conformance_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"patchbay.io/services/sandbox"
)

// base is where the clients believe the exchange is; every address leads there.
const base = "http://exchange.example"

// wire is a network with one address: each connection is a net.Pipe, which a bubble
// can wait for.
type wire struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

func (w *wire) Addr() net.Addr { return &net.UnixAddr{Name: "wire", Net: "pipe"} }

func (w *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case w.conns <- server:
		return client, nil
	case <-w.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// exchange is a sandbox behind an HTTP server.
type exchange struct {
	*sandbox.Exchange
	plain *http.Client // reaches it without a token
}

// drive runs f against a new exchange, in virtual time.
func drive(t *testing.T, f func(*testing.T, *exchange)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{conns: make(chan net.Conn), done: make(chan struct{})}
		x := sandbox.New(sandbox.Config{Seed: 1})
		srv := &httptest.Server{Listener: w, Config: &http.Server{Handler: x.Handler()}}
		srv.Start()
		transport := &http.Transport{DialContext: w.dial}
		defer func() {
			transport.CloseIdleConnections()
			x.Close()
			srv.Close()
		}()
		f(t, &exchange{x, &http.Client{Transport: transport, Timeout: time.Minute}})
	})
}

// through is ctx with the way to x for clients that take it from there.
func through(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, x.plain)
}

// settle lets the exchange finish whatever is under way.
func settle() { time.Sleep(time.Minute) }
