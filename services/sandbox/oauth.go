package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Lifetimes of tokens.
const (
	tokenLife   = time.Hour
	renewalLife = 5182560 * time.Second
)

// token is a right to act as a tenant for a while.
type token struct {
	tenant  *tenant
	expires time.Time
}

// oauthError is the error object of the token endpoint, and of a bad bearer token
// elsewhere.
type oauthError struct {
	ErrorDomain      string `json:"errorDomain"`
	ErrorTitle       string `json:"errorTitle"`
	ErrorCode        string `json:"errorCode"`
	DeveloperMessage string `json:"developerMessage"`
	ErrorMessage     string `json:"errorMessage"`
}

func oauthFailure(status int, code, message string) answer {
	return answer{status: status, body: oauthError{
		ErrorDomain: "apps-sandbox", ErrorTitle: "Login Failure", ErrorCode: code,
		DeveloperMessage: message, ErrorMessage: message,
	}}
}

func badBearer() answer {
	return oauthFailure(http.StatusUnauthorized, "S1015", "Access token is invalid or has expired.")
}

func (x *Exchange) routeOAuth(handle route) {
	handle("POST /oauth2/v1/token", op{run: x.grant})
	handle("POST /oauth2/v1/refreshaccesstoken", op{run: x.renew})
}

type credentials struct {
	GrantType    string `json:"grant_type"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	UserName     string `json:"user_name"`
	UserPassword string `json:"user_password"`
	RefreshToken string `json:"refresh_token"`
}

// granted is the token endpoint's answer. Its times are text.
type granted struct {
	AccessToken         string `json:"access_token"`
	TokenTimeout        string `json:"token_timeout"`
	UserName            string `json:"user_name"`
	TokenType           string `json:"token_type"`
	RefreshToken        string `json:"refresh_token,omitempty"`
	RefreshTokenTimeout string `json:"refresh_token_timeout,omitempty"`
}

// caller tells who sends r: by its token, or at the token endpoints by its client id.
func (x *Exchange) caller(r *http.Request, body []byte) *tenant {
	now := x.lock()
	defer x.unlock()
	if strings.HasPrefix(r.URL.Path, "/oauth2/") {
		var c credentials
		// What is no JSON comes from nobody; the operation refuses it.
		_ = json.Unmarshal(body, &c)
		return x.client(c.ClientID)
	}
	if strings.HasPrefix(r.URL.Path, "/v2/") || strings.HasPrefix(r.URL.Path, "/v2.1/") {
		return x.pfCaller(r, body, now)
	}
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil
	}
	t := x.tokens[bearer]
	if t.tenant == nil {
		return nil
	}
	if !now.Before(t.expires) {
		delete(x.tokens, bearer)
		return nil
	}
	return t.tenant
}

func (x *Exchange) client(id string) *tenant {
	for _, t := range x.tenants {
		if t.clientID == id {
			return t
		}
	}
	return nil
}

// grant gives a token for client credentials or, as the real exchange did until 2025,
// for a user's password.
func (x *Exchange) grant(q *request) answer {
	var c credentials
	if err := json.Unmarshal(q.body, &c); err != nil {
		return oauthFailure(http.StatusBadRequest, "S1001", "Request body is not valid JSON.")
	}
	now := x.lock()
	defer x.unlock()
	t := x.client(c.ClientID)
	if t != nil && x.lockAfter > 0 && t.failures >= x.lockAfter {
		return oauthFailure(http.StatusUnauthorized, "S1007", "Account is locked after too many failed logins.")
	}
	if t == nil || c.ClientSecret != t.clientSecret {
		if t != nil {
			t.failures++
		}
		return oauthFailure(http.StatusInternalServerError, "S1006", "Login Failure, please try again.")
	}
	switch c.GrantType {
	case "client_credentials":
		t.failures = 0
		return answer{status: http.StatusOK, body: x.newToken(t, now)}
	case "password", "":
		if c.UserName != t.user.login || c.UserPassword != t.password {
			t.failures++
			return oauthFailure(http.StatusUnauthorized, "S1006", "Login Failure, please try again.")
		}
		t.failures = 0
		return answer{status: http.StatusOK, body: x.withRenewal(x.newToken(t, now), t, now)}
	}
	return oauthFailure(http.StatusBadRequest, "S1002", "Grant type is not supported.")
}

// renew gives a new token for a refresh token, which stays usable until it expires.
func (x *Exchange) renew(q *request) answer {
	var c credentials
	if err := json.Unmarshal(q.body, &c); err != nil {
		return oauthFailure(http.StatusBadRequest, "S1001", "Request body is not valid JSON.")
	}
	now := x.lock()
	defer x.unlock()
	t := x.client(c.ClientID)
	if t == nil || c.ClientSecret != t.clientSecret {
		return oauthFailure(http.StatusInternalServerError, "S1006", "Login Failure, please try again.")
	}
	r := x.renewals[c.RefreshToken]
	if r.tenant != t || !now.Before(r.expires) {
		return oauthFailure(http.StatusUnauthorized, "S1008", "Refresh token is invalid or has expired.")
	}
	return answer{status: http.StatusOK, body: x.newToken(t, now)}
}

func (x *Exchange) newToken(t *tenant, now time.Time) granted {
	secret := strings.ReplaceAll(x.randomID(), "-", "")
	x.tokens[secret] = token{t, now.Add(tokenLife)}
	return granted{AccessToken: secret, TokenTimeout: seconds(tokenLife),
		UserName: t.user.email, TokenType: "Bearer"}
}

func (x *Exchange) withRenewal(g granted, t *tenant, now time.Time) granted {
	g.RefreshToken, g.RefreshTokenTimeout = strings.ReplaceAll(x.randomID(), "-", ""), seconds(renewalLife)
	x.renewals[g.RefreshToken] = token{t, now.Add(renewalLife)}
	return g
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
