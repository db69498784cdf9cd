package equinix_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/equinix"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/secret"
)

// canary is the secret of the tests: it must come out nowhere.
const canary = "c4n4ry-7Zq"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// login returns a login at an exchange that answers so, and the count of its requests.
func login(t *testing.T, status int, body string) (*wire.Login, func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		n++
		sent, _ := io.ReadAll(r.Body) // a broken request is as good as an empty one
		want := `{"client_id":"id","client_secret":"` + canary + `","grant_type":"client_credentials"}`
		if r.URL.Path != "/oauth2/v1/token" || string(sent) != want {
			t.Errorf("asked %s %s, want JSON with the credentials", r.URL.Path, sent)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "N", string(rune('0'+n)))) // the client may be gone
	}))
	t.Cleanup(s.Close)
	w, err := wire.New(exchange.Config{Account: account.Account{Name: "x", BaseURL: s.URL, Credentials: account.Credentials{
		ClientID: account.Literal("id"), ClientSecret: account.Literal(canary)}}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return equinix.NewLogin(w), func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// TestShared: who asks at one time shares one login, and a refused token is renewed once.
func TestShared(t *testing.T) {
	l, asked := login(t, 200, `{"access_token":"tN","token_timeout":"3600"}`)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if token, err := l.Token(t.Context(), "", exchange.ForOrder); token != "t1" || err != nil {
				t.Errorf("Token = %q, %v, want the first", token.Reveal(), err)
			}
		})
	}
	all.Wait()
	for range 2 {
		if token, err := l.Token(t.Context(), "t1", exchange.ForOrder); token != "t2" || err != nil {
			t.Errorf("Token = %q, %v, want one that is not bad", token.Reveal(), err)
		}
	}
	if asked() != 2 {
		t.Errorf("%d logins, want two", asked())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Token(ctx, secret.Secret("t2"), exchange.ForOrder); err == nil {
		t.Error("a token after the deadline")
	}
}

// TestRefused: a refusal is not repeated at once, since five lock the account.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		asked  int // by two calls
		busy   bool
	}{
		{"camel case", 500, `{"errorDomain":"d","errorTitle":"Login Failure","errorCode":"S1006","errorMessage":"` + canary + `"}`, 1, false},
		{"snake case", 400, `{"error_domain":"d","error_title":"t","error_code":"1","error_message":"no"}`, 1, false},
		{"no form", 401, ``, 1, false},
		{"out of order", 503, `<html>`, 2, false},
		{"no token", 200, `{}`, 2, false},
		{"throttled", 429, ``, 2, true},
	} {
		l, asked := login(t, tt.status, tt.body)
		for range 2 {
			_, err := l.Token(t.Context(), "", exchange.ForWatch)
			if err == nil || strings.Contains(err.Error(), canary) || errors.As(err, new(exchange.Throttled)) != tt.busy {
				t.Errorf("%s: %v, want an error without the secret, throttled %v", tt.name, err, tt.busy)
			}
		}
		if asked() != tt.asked {
			t.Errorf("%s: %d logins, want %d", tt.name, asked(), tt.asked)
		}
	}
}

// FuzzLogin is answered anything. There is a token or an error, which does not tell the
// secret, and a token that was got is not asked for again.
func FuzzLogin(f *testing.F) {
	f.Add(200, `{"access_token":"t","token_timeout":"3600"}`)
	f.Add(200, `{"access_token":{},"token_timeout":-1}`)
	f.Add(500, `{"errorDomain":"d","errorCode":"S1006","errorMessage":"`+canary+`"}`)
	f.Add(400, `{"error_domain":"d","error_code":"c4n4ry\u002d7Zq"}`)
	f.Add(429, "")
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 {
			t.Skip("no final status")
		}
		l, asked := login(t, status, body)
		token, err := l.Token(t.Context(), "", exchange.ForOrder)
		if (token == "") == (err == nil) {
			t.Errorf("%d %q: token %q and error %v", status, body, token.Reveal(), err)
		}
		var busy exchange.Throttled
		switch {
		case err == nil:
			if again, err := l.Token(t.Context(), "", exchange.ForOrder); again != token || err != nil || asked() != 1 {
				t.Errorf("%d %q: then %q, %v and %d logins, want the same", status, body, again.Reveal(), err, asked())
			}
		case strings.Contains(err.Error(), canary):
			t.Errorf("%d %q: the error tells the secret: %v", status, body, err)
		case errors.As(err, &busy) && busy.After <= 0:
			t.Errorf("%d %q: throttled for %v", status, body, busy.After)
		}
	})
}
