// Package equinix logs in at Equinix, whose token endpoint ECX v3 and Fabric v4 share.
//
// Five refused logins in a row lock the account. So a refusal is remembered and not
// repeated before a pause that grows; new credentials are tried at once. Each [Login]
// counts for itself: a process should have one an account.
//
// golang.org/x/oauth2 is not used: its token sources know neither a deadline nor a
// refusal that has to be remembered, and the token endpoint takes JSON.
package equinix

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/secret"
)

const (
	// tokenLife is believed of a token that does not tell how long it lives.
	tokenLife = time.Hour
	// renewBefore is how long before its end a token is not used any more.
	renewBefore = time.Minute
	// The pause after refused logins grows from the first to the last. Five refusals in
	// a row lock the account; so many take an hour and twenty minutes.
	firstPause, lastPause = time.Minute, time.Hour
	pauseGrows            = 4
)

// Login is an account's token and what became of getting it. It is safe for use by many
// goroutines.
type Login struct {
	wire *wire.Wire
	turn chan struct{} // holds one thing while somebody looks at the rest

	token   secret.Secret
	until   time.Time // when to renew it
	refusal refusal
}

var _ wire.Auth = (*Login)(nil)

// refusal is a login that the exchange refused.
type refusal struct {
	of    account.Secrets
	err   error
	pause time.Duration
	until time.Time
}

// NewLogin returns a login of w's account. It asks nothing of the exchange.
func NewLogin(w *wire.Wire) *Login { return &Login{wire: w, turn: make(chan struct{}, 1)} }

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
	g, err := l.logIn(ctx, s, p)
	if err != nil {
		return "", err
	}
	life := g.life()
	l.token, l.until = secret.Secret(g.AccessToken), now.Add(life-min(renewBefore, life/2))
	return l.token, nil
}

// granted is the token endpoint's answer.
type granted struct {
	AccessToken wire.Text `json:"access_token"`
	Timeout     wire.Text `json:"token_timeout"` // seconds, as text
}

func (g granted) life() time.Duration {
	n, err := strconv.Atoi(string(g.Timeout))
	if err != nil || n <= 0 || n > 1<<30 {
		return tokenLife
	}
	return time.Duration(n) * time.Second
}

// logIn asks for a token, and remembers a refusal. The caller has the turn.
func (l *Login) logIn(ctx context.Context, s account.Secrets, p exchange.Purpose) (granted, error) {
	secrets := []string{s.ClientSecret.Reveal(), s.ClientID.Reveal()}
	r, err := l.wire.RoundTrip(ctx, wire.Call{
		Method: http.MethodPost, Name: "/oauth2/v1/token", Path: "/oauth2/v1/token",
		Body: map[string]string{
			"grant_type":    "client_credentials",
			"client_id":     s.ClientID.Reveal(),
			"client_secret": s.ClientSecret.Reveal(),
		},
		Purpose: p, Decides: true, Secrets: secrets,
	}, "")
	if err != nil {
		return granted{}, fmt.Errorf("log in: %w", err)
	}
	if r.Status == http.StatusTooManyRequests {
		return granted{}, exchange.Throttled{After: r.RetryAfter()}
	}
	if r.OK() {
		var g granted
		if json.Unmarshal(r.Body, &g) != nil || g.AccessToken == "" {
			return granted{}, fmt.Errorf("log in: %s without a token", r.Words())
		}
		l.refusal = refusal{}
		return g, nil
	}
	why, own := complaint(r.Body)
	switch r.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
	default:
		if !own {
			return granted{}, fmt.Errorf("log in: %s", r.Words())
		}
	}
	err = fmt.Errorf("login refused: %s: %s", r.Words(), wire.Scrub(why, secrets))
	l.remember(s, err)
	return granted{}, err
}

// remember notes a refusal. The pause is longer each time the same is refused again.
func (l *Login) remember(s account.Secrets, err error) {
	pause := firstPause
	if l.refusal.of == s && l.refusal.pause > 0 {
		pause = min(l.refusal.pause*pauseGrows, lastPause)
	}
	l.refusal = refusal{of: s, err: err, pause: pause, until: time.Now().Add(pause)}
}

// complaint reads the error of the token endpoint, in either of its spellings. A wrong
// secret comes as a 500, so the form tells a refusal and not the status.
func complaint(body []byte) (string, bool) {
	var e struct {
		Domain  wire.Text `json:"errorDomain"`
		Title   wire.Text `json:"errorTitle"`
		Code    wire.Text `json:"errorCode"`
		Message wire.Text `json:"errorMessage"`

		SnakeDomain  wire.Text `json:"error_domain"`
		SnakeTitle   wire.Text `json:"error_title"`
		SnakeCode    wire.Text `json:"error_code"`
		SnakeMessage wire.Text `json:"error_message"`
	}
	if json.Unmarshal(body, &e) != nil || e.Domain+e.Title+e.SnakeDomain+e.SnakeTitle == "" {
		return "", false
	}
	return string(e.Code + e.SnakeCode + " " + e.Message + e.SnakeMessage), true
}
