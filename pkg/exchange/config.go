package exchange

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/account"
)

// Purpose says what a call to an exchange is for; budgets keep a share for orders.
type Purpose string

const (
	// ForOrder: the call creates, changes, accepts, or looks for what was lost.
	ForOrder Purpose = "order"
	// ForWatch: the call looks at statuses.
	ForWatch Purpose = "watch"
)

// A Budget lets a call out when the account's rate allows it. It waits until then, and
// returns [Throttled] instead if that is later than ctx's deadline.
type Budget interface {
	Take(ctx context.Context, account string, perMinute int, p Purpose) error
}

// A Cooler is a [Budget] that can be told that the exchange asked to stay away, so that
// every instance does and not only the one that was told.
type Cooler interface {
	// Cool keeps all calls of an account back until then. It does not wait long, and an
	// earlier time than one given before changes nothing.
	Cool(ctx context.Context, account string, until time.Time)
}

// ErrNotTried tells a [Breaker] that a call says nothing about whether the exchange can be
// reached: its own time was too short, it was given up, or our budget kept it back.
var ErrNotTried = errors.New("the exchange was not tried")

// A Breaker keeps calls from an exchange that cannot be reached. Package breaker has it.
type Breaker interface {
	// Allow lets a call out, or returns [Throttled]. What became of it is told to done, once:
	// nil if the exchange answered, an error if it did not, and [ErrNotTried].
	Allow(decides bool) (done func(error), err error)
}

// Config is what an adapter needs to know of its account.
type Config struct {
	Account account.Account
	// Budget is asked before each request; nil means no limit. One that is a [Cooler] is
	// told when the exchange throttles and says for how long.
	Budget Budget
	// Breaker is asked before each request; nil lets all out.
	Breaker Breaker
	// Dial replaces the network in tests; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Getenv reads credentials; nil means os.Getenv.
	Getenv func(string) string
	Log    zerolog.Logger
	// TracerProvider makes the spans of requests; nil means the one that made the span of
	// the call's context, so that a client can be shared by services, or else the global one.
	TracerProvider trace.TracerProvider
	// CacheFor is how long ports and profiles are kept; default 1 minute.
	CacheFor time.Duration
}
