package ecx

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
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

// login is the account's token and what became of getting it.
type login struct {
	turn chan struct{} // holds one thing while somebody looks at the rest

	token   secret.Secret
	until   time.Time // when to renew it
	refusal refusal
}

// refusal is a login that the exchange refused.
type refusal struct {
	of    account.Secrets
	err   error
	pause time.Duration
	until time.Time
}

func newLogin() *login { return &login{turn: make(chan struct{}, 1)} }

// token returns a token that is not bad, the one the exchange refused; the empty bad is
// none. One caller at a time logs in, the others wait for its token.
func (c *Client) token(ctx context.Context, bad secret.Secret, p exchange.Purpose) (secret.Secret, error) {
	l := c.login
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
	s, err := c.cfg.Account.Resolve(c.cfg.Getenv)
	if err != nil {
		return "", err
	}
	if now.Before(l.refusal.until) && l.refusal.of == s {
		return "", fmt.Errorf("%w; not asked again before %s", l.refusal.err,
			l.refusal.until.UTC().Format(time.RFC3339))
	}
	g, err := c.logIn(ctx, s, p)
	if err != nil {
		return "", err
	}
	life := g.life()
	l.token, l.until = secret.Secret(g.AccessToken), now.Add(life-min(renewBefore, life/2))
	return l.token, nil
}

// granted is the token endpoint's answer.
type granted struct {
	AccessToken text `json:"access_token"`
	Timeout     text `json:"token_timeout"` // seconds, as text
}

func (g granted) life() time.Duration {
	n, err := strconv.Atoi(string(g.Timeout))
	if err != nil || n <= 0 || n > 1<<30 {
		return tokenLife
	}
	return time.Duration(n) * time.Second
}

// logIn asks for a token, and remembers a refusal. The caller has the turn.
func (c *Client) logIn(ctx context.Context, s account.Secrets, p exchange.Purpose) (granted, error) {
	secrets := []string{s.ClientSecret.Reveal(), s.ClientID.Reveal()}
	r, err := c.roundTrip(ctx, call{
		method: http.MethodPost, name: "/oauth2/v1/token", path: "/oauth2/v1/token",
		body: map[string]string{
			"grant_type":    "client_credentials",
			"client_id":     s.ClientID.Reveal(),
			"client_secret": s.ClientSecret.Reveal(),
		},
		purpose: p, decides: true, secrets: secrets,
	}, "")
	if err != nil {
		return granted{}, fmt.Errorf("log in: %w", err)
	}
	if r.status == http.StatusTooManyRequests {
		return granted{}, exchange.Throttled{After: retryAfter(r.header, r.at)}
	}
	if r.ok() {
		var g granted
		if json.Unmarshal(r.body, &g) != nil || g.AccessToken == "" {
			return granted{}, fmt.Errorf("log in: %s without a token", r.words())
		}
		c.login.refusal = refusal{}
		return g, nil
	}
	why, own := loginComplaint(r.body)
	switch r.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
	default:
		if !own {
			return granted{}, fmt.Errorf("log in: %s", r.words())
		}
	}
	err = fmt.Errorf("login refused: %s: %s", r.words(), scrub(why, secrets))
	c.login.remember(s, err)
	return granted{}, err
}

// remember notes a refusal. The pause is longer each time the same is refused again.
func (l *login) remember(s account.Secrets, err error) {
	pause := firstPause
	if l.refusal.of == s && l.refusal.pause > 0 {
		pause = min(l.refusal.pause*pauseGrows, lastPause)
	}
	l.refusal = refusal{of: s, err: err, pause: pause, until: time.Now().Add(pause)}
}

// loginComplaint reads the error of the token endpoint, in either of its spellings. A
// wrong secret comes as a 500, so the form tells a refusal and not the status.
func loginComplaint(body []byte) (string, bool) {
	var e struct {
		Domain  text `json:"errorDomain"`
		Title   text `json:"errorTitle"`
		Code    text `json:"errorCode"`
		Message text `json:"errorMessage"`

		SnakeDomain  text `json:"error_domain"`
		SnakeTitle   text `json:"error_title"`
		SnakeCode    text `json:"error_code"`
		SnakeMessage text `json:"error_message"`
	}
	if json.Unmarshal(body, &e) != nil || e.Domain+e.Title+e.SnakeDomain+e.SnakeTitle == "" {
		return "", false
	}
	return string(e.Code + e.SnakeCode + " " + e.Message + e.SnakeMessage), true
}
