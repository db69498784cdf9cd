// Package breaker keeps calls from an exchange that cannot be reached: one breaker for each
// account of a process, told by package wire of every call.
//
// It opens after five calls in a row that brought no answer: refused or broken connections,
// time-outs, 5xx. What the exchange answers otherwise, refusals and throttling included, shows
// that it can be reached. While it is open no call goes out. After a while one look may, and
// its answer closes the breaker or keeps it open. A call that decides something is never that
// try, so that no order becomes uncertain for it.
//
// It relies on sony/gobreaker. What an instance finds out is its own: another may reach what
// this one cannot.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"patchbay.io/pkg/exchange"
)

const (
	// failures in a row open it.
	failures = 5
	// openFor is the time from one try to the next.
	openFor = 15 * time.Second
	// tryAgain is when to ask again while somebody else's try is under way.
	tryAgain = time.Second
)

// Breaker is one account's. It is safe for use by many goroutines.
type Breaker struct {
	account string
	log     zerolog.Logger
	two     *gobreaker.TwoStepCircuitBreaker[struct{}]
	gauge   metric.Int64Gauge

	mu    sync.Mutex
	why   error     // of the last failure
	since time.Time // when it opened; zero while it is closed
	next  time.Time // when the next try may go out
}

var _ exchange.Breaker = (*Breaker)(nil)

// New returns a breaker that is closed. It logs when it opens and when it closes.
func New(account string, log zerolog.Logger) (*Breaker, error) {
	gauge, err := otel.Meter("patchbay.io/pkg/exchange/breaker").Int64Gauge("patchbay.account.away",
		metric.WithDescription("1 while the account's exchange cannot be reached and calls are held back, else 0."))
	if err != nil {
		return nil, fmt.Errorf("breaker of %s: %w", account, err)
	}
	b := &Breaker{account: account, log: log, gauge: gauge}
	b.record(0)
	b.two = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: account, MaxRequests: 1, Timeout: openFor,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		IsExcluded:    func(err error) bool { return errors.Is(err, exchange.ErrNotTried) },
		OnStateChange: func(_ string, _, to gobreaker.State) { b.changed(to) },
	})
	return b, nil
}

func (b *Breaker) record(away int64) {
	b.gauge.Record(context.Background(), away, metric.WithAttributes(attribute.String("account", b.account)))
}

// changed notes a new state. The library calls it under its own lock.
func (b *Breaker) changed(to gobreaker.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch to {
	case gobreaker.StateOpen:
		b.next = now.Add(openFor)
		if b.since.IsZero() {
			b.since = now
			b.record(1)
			b.log.Warn().Str("account", b.account).AnErr("last", b.why).Msg("exchange out of reach; calls are held back")
		}
	case gobreaker.StateClosed:
		b.log.Info().Str("account", b.account).Dur("after", now.Sub(b.since)).Msg("exchange in reach again")
		b.since, b.why = time.Time{}, nil
		b.record(0)
	case gobreaker.StateHalfOpen:
	}
}

// Allow lets a call out, or returns [exchange.Throttled]. What became of it is told to done,
// once: nil if the exchange answered, an error if it did not, and [exchange.ErrNotTried] if
// the call says nothing about that.
func (b *Breaker) Allow(decides bool) (done func(error), err error) {
	if b.two.State() != gobreaker.StateClosed && decides {
		return nil, exchange.Throttled{After: b.wait()}
	}
	tell, err := b.two.Allow()
	if err != nil {
		return nil, exchange.Throttled{After: b.wait()}
	}
	return func(err error) {
		if err != nil && !errors.Is(err, exchange.ErrNotTried) {
			b.mu.Lock()
			b.why = err
			b.mu.Unlock()
		}
		tell(err)
	}, nil
}

func (b *Breaker) wait() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(time.Until(b.next), tryAgain)
}

// Away returns why the exchange cannot be reached, as far as is known; nil if it can.
func (b *Breaker) Away() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since.IsZero() {
		return nil
	}
	return fmt.Errorf("%s is out of reach since %s: %w", b.account, b.since.UTC().Format(time.RFC3339), b.why)
}

// Reach returns nil if a call that decides something may go out, and [exchange.Throttled] if
// the exchange cannot be reached. When it is time for a try, look is that try.
func (b *Breaker) Reach(ctx context.Context, look func(context.Context) error) error {
	if b.two.State() == gobreaker.StateHalfOpen {
		_ = look(ctx) // the breaker is told by the wire what came of it
	}
	if b.two.State() == gobreaker.StateClosed {
		return nil
	}
	return exchange.Throttled{After: b.wait()}
}
