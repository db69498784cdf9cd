package wire_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// gate is a breaker that notes what it is asked and told.
type gate struct {
	closed  error // calls are held back with it; nil lets them out
	decides []bool
	told    []error
}

func (g *gate) Allow(decides bool) (func(error), error) {
	if g.closed != nil {
		return nil, g.closed
	}
	g.decides = append(g.decides, decides)
	return func(err error) { g.told = append(g.told, err) }, nil
}

// Every call is the breaker's to let out, and what came of it is told once, as it bears on
// whether the exchange can be reached.
func TestBreakerIsAsked(t *testing.T) {
	away := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
	for _, tt := range []struct {
		name, reason string
		status       int
		dial         func(context.Context, string, string) (net.Conn, error)
		given        time.Duration
		tried, well  bool
	}{
		{"fine", "an answer", 200, nil, time.Minute, true, true},
		{"refused", "a refusal is an answer", 400, nil, time.Minute, true, true},
		{"throttled", "so is that", 429, nil, time.Minute, true, true},
		{"down", "a gateway answers, not the exchange", 502, nil, time.Minute, true, false},
		{"away", "nobody answers", 200, away, time.Minute, true, false},
		{"hurried", "a call without time of its own says nothing", 200, nil, 0, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hits := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				hits++
				w.WriteHeader(tt.status)
			}))
			t.Cleanup(srv.Close)
			g := &gate{}
			w, err := wire.New(exchange.Config{Account: account.Account{Name: "acme", BaseURL: srv.URL}, Breaker: g, Dial: tt.dial}, "test")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(w.Close)
			look := wire.NewCall(http.MethodGet, "", "/")
			order := wire.NewCall(http.MethodPost, "", "/")
			order.Decides = true
			for _, k := range []wire.Call{look, order} {
				ctx, cancel := context.WithTimeout(t.Context(), tt.given)
				_, _ = w.RoundTrip(ctx, k, "") // what it returns is not the question here
				cancel()
			}
			if len(g.decides) != 2 || g.decides[0] || !g.decides[1] || len(g.told) != 2 {
				t.Fatalf("the breaker was asked %v and told %v; want both calls, the second as one that decides", g.decides, g.told)
			}
			for _, err := range g.told {
				if tried := !errors.Is(err, exchange.ErrNotTried); tried != tt.tried || tried && (err == nil) != tt.well {
					t.Errorf("it was told %v: %s", err, tt.reason)
				}
			}
			before := hits
			g.closed = exchange.Throttled{After: time.Minute}
			var throttled exchange.Throttled
			if _, err := w.RoundTrip(t.Context(), order, ""); !errors.As(err, &throttled) || throttled.After != time.Minute {
				t.Errorf("while the breaker is open a call ends in %v, want what the breaker says", err)
			}
			if hits != before {
				t.Error("while the breaker is open a call went out")
			}
		})
	}
}
