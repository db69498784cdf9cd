// Package service is what the services have in common: the runtime each of them stands
// on. A service is a function Run(ctx, Runtime) that returns nil when ctx ends; whatever
// differs between two services belongs to them and not here.
package service

import (
	"context"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/breaker"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/view"
)

// Keys remembers which intents were ordered already. It only saves work: a hit is
// confirmed in the journal, and a miss asks the journal. Package view has it in Redis.
type Keys interface {
	// Remember notes that an order exists for a payload.
	Remember(ctx context.Context, orderID, payloadDigest string) error
	// Recall returns the payload digest noted for an order, if any is.
	Recall(ctx context.Context, orderID string) (digest string, known bool, err error)
}

// Runtime is what a service runs on.
type Runtime struct {
	// Name of the service, as its facts have it.
	Name     string
	Journal  *journal.Journal
	Accounts account.File
	// Clients has an exchange client for each account, by its name.
	Clients map[string]exchange.Client
	// Key makes HMACs of secrets.
	Key secret.Key
	// Keys is optional; nil remembers nothing.
	Keys Keys
	// View answers questions; services decide nothing by it. Nil in unit tests.
	View *view.View
	Log  zerolog.Logger
	// Check puts what a service finds out about others on the health page, under a name:
	// nil if all is well, else why not. It is optional.
	Check func(name string, check func() error)
	// Ready puts a part of readiness on its page, under a name: whether it is done, and how
	// far it is. It is optional.
	Ready func(name string, part func() (done bool, detail any))
	// Tracers makes the service's spans; nil means OpenTelemetry's global provider.
	Tracers trace.TracerProvider

	breakers map[string]*breaker.Breaker // by account; of the clients
	pauses   *pauses                     // as far as they are known, to be shown; see known
	own      *Clients                    // closed with the runtime; nil if they are shared
	ownView  bool                        // View is closed with the runtime
}
