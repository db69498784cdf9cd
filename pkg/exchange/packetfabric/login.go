package packetfabric

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/secret"
)

const (
	// tokenLife is believed of a token that does not tell when it expires. Real ones live
	// for 30 days.
	tokenLife = 12 * time.Hour
	// renewBefore is how long before its end a token is not used any more.
	renewBefore = time.Minute
	// The pause after refused logins grows from the first to the last. Six logins a minute
	// are allowed, and what locks an account nobody says.
	firstPause, lastPause = time.Minute, time.Hour
	pauseGrows            = 4
)

// login is an account's token and what became of getting it. An API key is a token that
// needs no login.
type login struct {
	wire *wire.Wire
	turn chan struct{} // holds one thing while somebody looks at the rest

	token   secret.Secret
	until   time.Time // when to renew it
	refusal refusal
}

// refusal is a login, or a key, that the exchange refused.
type refusal struct {
	of    account.Secrets
	err   error
	pause time.Duration
	until time.Time
}

// Token returns a token that is not bad, the one the exchange refused; the empty bad is
// none. One caller at a time logs in, the others wait for its token.
func (l *login) Token(ctx context.Context, bad secret.Secret, p exchange.Purpose) (secret.Secret, error) {
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
	if s.APIKey != "" {
		return l.key(s, bad)
	}
	token, life, err := l.logIn(ctx, s, p)
	if err != nil {
		return "", err
	}
	l.token, l.until = token, now.Add(life-min(renewBefore, life/2))
	return token, nil
}

// key returns the API key, unless it is the bad one. It is not kept, so that a new key
// counts from the next call on.
func (l *login) key(s account.Secrets, bad secret.Secret) (secret.Secret, error) {
	if s.APIKey == bad {
		err := fmt.Errorf("the API key is refused: 401 %s", http.StatusText(http.StatusUnauthorized))
		l.remember(s, err)
		return "", err
	}
	return s.APIKey, nil
}

// granted is the answer to a login.
type granted struct {
	Token   wire.Text `json:"token"`
	Expires wire.Text `json:"time_expires"`
}

// life is how long the token lives, told by the exchange's own clock. One that is over at
// its birth is not believed: a token that is bad after all is answered with 401.
func (g granted) life(r wire.Reply) time.Duration {
	at := wire.Date(g.Expires)
	if at == nil {
		return tokenLife
	}
	if life := at.AsTime().Sub(r.At.Add(r.Ahead())); life > 0 {
		return life
	}
	return tokenLife
}

// logIn asks for a token, and remembers a refusal. The caller has the turn.
func (l *login) logIn(ctx context.Context, s account.Secrets, p exchange.Purpose) (secret.Secret, time.Duration, error) {
	secrets := []string{s.Password.Reveal(), s.Login.Reveal()}
	r, err := l.wire.RoundTrip(ctx, wire.Call{
		Method: http.MethodPost, Name: "/auth/login", Path: v2 + "/auth/login",
		Body:    map[string]string{"login": s.Login.Reveal(), "password": s.Password.Reveal()},
		Purpose: p, Decides: true, Secrets: secrets,
	}, "")
	if err != nil {
		return "", 0, fmt.Errorf("log in: %w", err)
	}
	switch r.Status {
	case http.StatusTooManyRequests:
		return "", 0, exchange.Throttled{After: r.RetryAfter()}
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		err = fmt.Errorf("login refused: %s", r.Words())
		if m, own := readMessage(r.Body); own {
			err = fmt.Errorf("%w: %s", err, wire.Scrub(m, secrets))
		}
		l.remember(s, err)
		return "", 0, err
	}
	if !r.OK() {
		return "", 0, fmt.Errorf("log in: %s", r.Words())
	}
	var g granted
	if json.Unmarshal(r.Body, &g) != nil || g.Token == "" {
		return "", 0, fmt.Errorf("log in: %s without a token", r.Words())
	}
	l.refusal = refusal{}
	return secret.Secret(g.Token), g.life(r), nil
}

// remember notes a refusal. The pause is longer each time the same is refused again.
func (l *login) remember(s account.Secrets, err error) {
	pause := firstPause
	if l.refusal.of == s && l.refusal.pause > 0 {
		pause = min(l.refusal.pause*pauseGrows, lastPause)
	}
	l.refusal = refusal{of: s, err: err, pause: pause, until: time.Now().Add(pause)}
}
