package wire_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// shared is a budget that all instances share.
type shared struct{ cooled map[string]time.Time }

func (s *shared) Take(context.Context, string, int, exchange.Purpose) error { return nil }

func (s *shared) Cool(ctx context.Context, account string, until time.Time) {
	if ctx.Err() == nil {
		s.cooled[account] = until
	}
}

func TestThrottledAccountIsCooled(t *testing.T) {
	for _, tt := range []struct {
		name, reason, header string
		status               int
		want                 time.Duration
	}{
		{"throttled", "all instances stay away as long as the exchange wants", "7", 429, 7 * time.Second},
		{"throttled without a time", "our guess binds nobody but the caller", "", 429, 0},
		{"down", "only a throttling is about the account", "7", 503, 0},
		{"fine", "nothing to stay away for", "7", 200, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tt.header != "" {
					w.Header().Set("Retry-After", tt.header)
				}
				w.WriteHeader(tt.status)
			}))
			t.Cleanup(srv.Close)
			s := &shared{cooled: map[string]time.Time{}}
			w, err := wire.New(exchange.Config{Account: account.Account{Name: "acme", BaseURL: srv.URL}, Budget: s}, "test")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(w.Close)
			before := time.Now()
			if _, err := w.RoundTrip(t.Context(), wire.NewCall(http.MethodGet, "", "/"), ""); err != nil {
				t.Fatal(err)
			}
			got := max(s.cooled["acme"].Sub(before), 0).Truncate(time.Second)
			if got != tt.want {
				t.Errorf("cooled for %v, want %v: %s", got, tt.want, tt.reason)
			}
		})
	}
}
