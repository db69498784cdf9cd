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

// tokenLife is believed of a token that does not tell when it expires. Real ones live for
// 30 days.
const tokenLife = 12 * time.Hour

// newLogin returns a login of w's account. An API key is a token that needs no login, and
// is not kept, so that a new key counts from the next call on.
func newLogin(w *wire.Wire) *wire.Login {
	return wire.NewLogin(w, func(ctx context.Context, s account.Secrets, bad secret.Secret, p exchange.Purpose) (wire.Grant, error) {
		switch s.APIKey {
		case "":
			return logIn(ctx, w, s, p)
		case bad:
			return wire.Grant{}, wire.LoginRefused{Why: fmt.Errorf("the API key is refused: 401 %s", http.StatusText(http.StatusUnauthorized))}
		}
		return wire.Grant{Token: s.APIKey}, nil
	})
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

// logIn asks for a token.
func logIn(ctx context.Context, w *wire.Wire, s account.Secrets, p exchange.Purpose) (wire.Grant, error) {
	secrets := []string{s.Password.Reveal(), s.Login.Reveal()}
	r, err := w.RoundTrip(ctx, wire.Call{
		Method: http.MethodPost, Name: "/auth/login", Path: v2 + "/auth/login",
		Body:    map[string]string{"login": s.Login.Reveal(), "password": s.Password.Reveal()},
		Purpose: p, Decides: true, Secrets: secrets,
	}, "")
	if err != nil {
		return wire.Grant{}, fmt.Errorf("log in: %w", err)
	}
	switch r.Status {
	case http.StatusTooManyRequests:
		return wire.Grant{}, exchange.Throttled{After: r.RetryAfter()}
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		err = fmt.Errorf("login refused: %s", r.Words())
		if m, own := readMessage(r.Body); own {
			err = fmt.Errorf("%w: %s", err, wire.Scrub(m, secrets))
		}
		return wire.Grant{}, wire.LoginRefused{Why: err}
	}
	if !r.OK() {
		return wire.Grant{}, fmt.Errorf("log in: %s", r.Words())
	}
	var g granted
	if json.Unmarshal(r.Body, &g) != nil || g.Token == "" {
		return wire.Grant{}, fmt.Errorf("log in: %s without a token", r.Words())
	}
	return wire.Grant{Token: secret.Secret(g.Token), Life: g.life(r)}, nil
}
