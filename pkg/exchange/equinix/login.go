// Package equinix is what ECX v3 and Fabric v4 share: how to log in at their token endpoint,
// and what tags there are.
//
// Five refused logins in a row lock the account. So a refusal is remembered and not
// repeated before a pause that grows; new credentials are tried at once. Each [wire.Login]
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

// tokenLife is believed of a token that does not tell how long it lives.
const tokenLife = time.Hour

// NewLogin returns a login of w's account. It asks nothing of the exchange.
func NewLogin(w *wire.Wire) *wire.Login {
	return wire.NewLogin(w, func(ctx context.Context, s account.Secrets, _ secret.Secret, p exchange.Purpose) (wire.Grant, error) {
		g, err := logIn(ctx, w, s, p)
		if err != nil {
			return wire.Grant{}, err
		}
		return wire.Grant{Token: secret.Secret(g.AccessToken), Life: g.life()}, nil
	})
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

// logIn asks for a token.
func logIn(ctx context.Context, w *wire.Wire, s account.Secrets, p exchange.Purpose) (granted, error) {
	secrets := []string{s.ClientSecret.Reveal(), s.ClientID.Reveal()}
	r, err := w.RoundTrip(ctx, wire.Call{
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
	return granted{}, wire.LoginRefused{Why: fmt.Errorf("login refused: %s: %s", r.Words(), wire.Scrub(why, secrets))}
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
