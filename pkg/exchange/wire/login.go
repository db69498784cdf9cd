package wire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/secret"
)

const (
	// renewBefore is how long before its end a token is not used any more.
	renewBefore = time.Minute
	// The pause after refused logins grows from the first to the last. Equinix locks an
	// account after five in a row, which take an hour and twenty minutes so; PacketFabric
	// takes six a minute.
	firstPause, lastPause = time.Minute, time.Hour
	pauseGrows            = 4
)

// Grant is what a login brought.
type Grant struct {
	Token secret.Secret
	// Life of the token from the request on. One without a life is not kept: an API key,
	// which is read anew each time.
	Life time.Duration
}

// LoginRefused reports that the exchange refused who asked, so that the same must not be
// asked again soon.
type LoginRefused struct{ Why error }

func (r LoginRefused) Error() string { return r.Why.Error() }

// Ask gets a token. The bad one was refused by the exchange just now; empty is none.
type Ask func(ctx context.Context, s account.Secrets, bad secret.Secret, p exchange.Purpose) (Grant, error)

// Login is an account's token and what became of getting it. It is safe for use by many
// goroutines. A refusal is remembered and not repeated before a pause that grows; new
// credentials are tried at once.
type Login struct {
	wire *Wire
	ask  Ask
	turn chan struct{} // holds one thing while somebody looks at the rest

	token   secret.Secret
	until   time.Time // when to renew it
	refusal refusal
}

var _ Auth = (*Login)(nil)

type refusal struct {
	of    account.Secrets
	err   error
	pause time.Duration
	until time.Time
}

// NewLogin returns a login of w's account. It asks nothing of the exchange.
func NewLogin(w *Wire, ask Ask) *Login {
	return &Login{wire: w, ask: ask, turn: make(chan struct{}, 1)}
}

// Token returns a token that is not bad, the one the exchange refused; the empty bad is
// none. One caller at a time logs in, the others wait for its token.
func (l *Login) Token(ctx context.Context, bad secret.Secret, p exchange.Purpose) (secret.Secret, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	now := time.Now()
	if l.token != "" && l.token != bad && now.Before(l.until) {
		return l.token, nil
	}
	l.token = ""
	cfg := l.wire.Config()
	s, err := cfg.Account.Resolve(cfg.Getenv)
	if err != nil {
		return "", err
	}
	if now.Before(l.refusal.until) && l.refusal.of == s {
		return "", fmt.Errorf("%w; not asked again before %s", l.refusal.err,
			l.refusal.until.UTC().Format(time.RFC3339))
	}
	g, err := l.ask(ctx, s, bad, p)
	var refused LoginRefused
	switch {
	case errors.As(err, &refused):
		l.remember(s, refused.Why)
		return "", refused.Why
	case err != nil:
		return "", err
	case g.Life > 0:
		l.refusal = refusal{}
		l.token, l.until = g.Token, now.Add(g.Life-min(renewBefore, g.Life/2))
	}
	return g.Token, nil
}

// remember notes a refusal. The pause is longer each time the same is refused again.
func (l *Login) remember(s account.Secrets, err error) {
	pause := firstPause
	if l.refusal.of == s && l.refusal.pause > 0 {
		pause = min(l.refusal.pause*pauseGrows, lastPause)
	}
	l.refusal = refusal{of: s, err: err, pause: pause, until: time.Now().Add(pause)}
}
