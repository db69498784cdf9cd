package breaker_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/breaker"
)

var errReset = errors.New("connection reset")

// call makes a call that ends so, and reports whether it went out.
func call(t *testing.T, b *breaker.Breaker, decides bool, end error) bool {
	t.Helper()
	done, err := b.Allow(decides)
	if err != nil {
		if !errors.As(err, new(exchange.Throttled)) {
			t.Fatalf("Allow = %v, want Throttled", err)
		}
		return false
	}
	done(end)
	return true
}

// A breaker opens after failures in a row, holds all back, lets one look out when its time
// has come, and closes when that is answered. It says so once each.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b, err := breaker.New("acme", zerolog.New(&log))
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			call(t, b, true, errReset)
		}
		call(t, b, true, nil) // an answer of any kind, a refusal too
		for range 4 {
			call(t, b, true, errReset)
		}
		for range 100 {
			call(t, b, true, exchange.ErrNotTried)
		}
		if err := b.Away(); err != nil {
			t.Fatalf("before five failures in a row: %v", err)
		}
		call(t, b, false, errReset)
		if err := b.Away(); !errors.Is(err, errReset) || !strings.Contains(err.Error(), "acme") {
			t.Fatalf("after the fifth failure in a row it says %v, want whose exchange it is and why", err)
		}
		if call(t, b, false, nil) {
			t.Error("a look went out at once")
		}
		time.Sleep(time.Minute)
		if call(t, b, true, nil) {
			t.Error("a call that decides something went out to try the exchange")
		}
		if !call(t, b, false, errReset) || call(t, b, false, nil) {
			t.Error("of two looks after a while the first must go out, and the second not after it failed")
		}
		time.Sleep(time.Minute)
		if !call(t, b, false, exchange.ErrNotTried) || b.Away() == nil {
			t.Error("a try that was given up says nothing")
		}
		if err := b.Reach(t.Context(), func(context.Context) error {
			call(t, b, false, nil)
			return nil
		}); err != nil {
			t.Errorf("Reach = %v after a look that was answered", err)
		}
		if !call(t, b, true, nil) || b.Away() != nil {
			t.Error("calls do not go out after the exchange has answered")
		}
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("the log has %d lines, want one for each change:\n%s", n, log.String())
		}
	})
}
