package packetfabric_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/packetfabric"
)

const deleteVC = "DELETE /v2/services/" + vc

// TestTokens lives through the life of tokens in virtual time.
func TestTokens(t *testing.T) {
	expires := func(in time.Duration, form string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			at := time.Now().Add(in).In(time.FixedZone("", -6*60*60)).Format(form)
			answer(200, `{"token":"t","time_expires":"`+at+`"}`)(w, r)
		}
	}
	const guide = "2006-01-02T15:04:05.000000-0700"
	tests := []struct {
		name, reason string
		login        http.HandlerFunc
		resist       int // that many calls are answered 401
		waits        []time.Duration
		logins       int
		last         exchange.Class
	}{
		{"kept", "30 days are long", expires(30*24*time.Hour, guide), 0, []time.Duration{0, 24 * time.Hour, 28 * 24 * time.Hour}, 1, exchange.Done},
		{"renewed a minute early", "before time_expires", expires(time.Hour, guide), 0, []time.Duration{0, 59*time.Minute + time.Second}, 2, exchange.Done},
		{"short", "half of it at most is given away", expires(time.Minute, time.RFC3339), 0, []time.Duration{0, 20 * time.Second, 20 * time.Second}, 2, exchange.Done},
		{"over at once", "a time that is off must not log in with each call", expires(-time.Hour, guide), 0, []time.Duration{0, time.Second}, 1, exchange.Done},
		{"no expiry", "twelve hours are believed", answer(200, `{"token":"t"}`), 0, []time.Duration{0, 11 * time.Hour, 2 * time.Hour}, 2, exchange.Done},
		{"taken back", "401 did nothing", nil, 1, []time.Duration{0}, 2, exchange.Done},
		{"never liked", "a fresh token is refused too", nil, 9, []time.Duration{0}, 2, exchange.NotSent},
		{"refused", "not asked again for a minute", message(401, "bad password"), 0, []time.Duration{0, time.Second, 58 * time.Second}, 1, exchange.NotSent},
		{"refused again", "the pause grows to four minutes", message(400, "no"), 0, []time.Duration{0, 61 * time.Second, 3 * time.Minute, 2 * time.Minute}, 3, exchange.NotSent},
		{"forbidden", "", answer(403, ``), 0, []time.Duration{0, time.Second}, 1, exchange.NotSent},
		{"out of order", "that is no refusal", answer(503, `<html>`), 0, []time.Duration{0, time.Second, time.Second}, 3, exchange.NotSent},
		{"throttled", "six logins a minute", message(429, "slow down"), 0, []time.Duration{0}, 1, exchange.Busy},
		{"no token", "a second step is wanted, and nobody is there to take it", answer(200, `{}`), 0, []time.Duration{0, 0}, 2, exchange.NotSent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := quietFake()
				if tt.login != nil {
					f.on("POST /v2/auth/login", tt.login)
				}
				f.on(deleteVC, func(w http.ResponseWriter, r *http.Request) {
					if len(f.calls()) <= tt.resist {
						message(401, "Unauthorized")(w, r)
						return
					}
					message(200, "deleted")(w, r)
				})
				c := bubble(t, f)
				var out exchange.Outcome
				for _, d := range tt.waits {
					time.Sleep(d)
					out = c.Remove(t.Context(), vc)
				}
				if n := f.logins(); out.Class != tt.last || n != tt.logins {
					t.Errorf("%s after %d logins, want %s after %d: %s", out.Class, n, tt.last, tt.logins, tt.reason)
				}
				if strings.Contains(fmt.Sprint(out), canary) {
					t.Errorf("the outcome %v shows a secret", out)
				}
			})
		})
	}
}

// TestAPIKey needs no login. A key that is refused is left alone for a while.
func TestAPIKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake()
		key := "old"
		f.on(deleteVC, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer new" {
				message(401, "Unauthorized")(w, r)
				return
			}
			message(200, "deleted")(w, r)
		})
		c := bubble(t, f, func(cfg *exchange.Config) {
			ref, err := account.ParseRef("env:KEY")
			if err != nil {
				t.Fatal(err)
			}
			cfg.Account.Credentials = account.Credentials{APIKey: ref}
			cfg.Getenv = func(string) string { return key }
		})
		for _, tt := range []struct {
			reason, key string
			wait        time.Duration
			want        exchange.Class
			calls       int
		}{
			{"the key is refused", "old", 0, exchange.NotSent, 1},
			{"and not tried again at once", "old", time.Second, exchange.NotSent, 1},
			{"but after the pause", "old", time.Minute, exchange.NotSent, 2},
			{"a new key counts at once", "new", time.Second, exchange.Done, 3},
		} {
			time.Sleep(tt.wait)
			key = tt.key
			if out := c.Remove(t.Context(), vc); out.Class != tt.want || len(f.calls()) != tt.calls {
				t.Errorf("%v after %d calls, want %s after %d: %s", out, len(f.calls()), tt.want, tt.calls, tt.reason)
			}
		}
		if n := f.logins(); n != 0 {
			t.Errorf("%d logins, want none", n)
		}
	})
}

// What is known of a circuit is kept while it is there, and forgotten a day after it was last
// heard of.
func TestKnowledgeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake()
		c := bubble(t, f)
		f.says(listVCs, "["+circuitText(vc, "Active")+","+circuitText(vc2, "Active")+"]")
		f.says(listSent, "["+requestText("r-one", "provisioned", vc)+","+requestText("r-two", "provisioned", vc2)+"]")
		list(t, c, exchange.Buyer, false)
		f.says(listVCs, "["+circuitText(vc, "Active")+"]")
		f.says(listSent, "[]")
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{{23 * time.Hour, 2}, {2 * time.Hour, 1}, {48 * time.Hour, 1}} {
			time.Sleep(tt.after)
			if got := list(t, c, exchange.Buyer, false); !slices.Equal(got, []string{"r-one PROVISIONED"}) {
				t.Errorf("listed %q, want the circuit that is there under its request's name", got)
			}
			if got := c.Known(); got != [4]int{tt.want, tt.want, tt.want, tt.want} {
				t.Errorf("%v later %v circuits are known, want %d", tt.after, got, tt.want)
			}
		}
	})
}

func TestLoginsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := quietFake()
		f.on("POST /v2/auth/login", func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			answer(200, `{"token":"t"}`)(w, r)
		})
		f.on(deleteVC, message(200, "deleted"))
		c := bubble(t, f)
		outs := make(chan exchange.Outcome)
		for range 8 {
			go func() { outs <- c.Remove(t.Context(), vc) }()
		}
		for range 8 {
			if out := <-outs; out.Class != exchange.Done {
				t.Errorf("%+v, want done", out)
			}
		}
		if n := f.logins(); n != 1 {
			t.Errorf("%d logins for 8 callers, want one", n)
		}
	})
}

// TestReadsAreErrors holds what the exchange's own clients take for success to be none.
func TestReadsAreErrors(t *testing.T) {
	for _, tt := range []struct {
		status    int
		body      string
		gone      bool
		throttled bool
	}{
		{404, `{"message":"Requested URL /v2/services/requests/x not found"}`, true, false},
		{404, `{"message":"Cloud not found: PF-CC-1"}`, true, false},
		{404, `{"message":"no Route matched with those values"}`, false, false},
		{404, `<html>not found</html>`, false, false},
		{403, `{"message":"not found for you"}`, false, false},
		{409, `{"message":"conflict"}`, false, false},
		{429, ``, false, true},
		{500, `{"message":"oops"}`, false, false},
		{502, `<html>`, false, false},
		{302, ``, false, false},
		{200, `{"message":"fine"}`, false, false},
		{200, `not json`, false, false},
	} {
		f := newFake(t)
		for _, what := range []string{"GET " + pathRequest + asked, "GET " + pathService + vc, listVCs, "GET /v2/ports"} {
			f.on(what, answer(tt.status, tt.body))
		}
		c := client(t, f.URL)
		for _, id := range []string{asked, vc} {
			conn, err := c.Get(t.Context(), id)
			if err == nil || errors.Is(err, exchange.ErrGone) != tt.gone || errors.As(err, new(exchange.Throttled)) != tt.throttled {
				t.Errorf("%d %s: Get(%s) = %v, %v; want gone %v, throttled %v", tt.status, tt.body, id, conn, err, tt.gone, tt.throttled)
			}
		}
		if err := c.List(t.Context(), exchange.Buyer, false, nil); err == nil || errors.Is(err, exchange.ErrGone) {
			t.Errorf("%d %s: List says %v, want an error that is about no circuit", tt.status, tt.body, err)
		}
		if _, err := c.Parties(t.Context()); err == nil {
			t.Errorf("%d %s: Parties says nothing is wrong", tt.status, tt.body)
		}
	}
}

func TestNew(t *testing.T) {
	for _, base := range []string{"", "ftp://x", "https://user:pass@x", "://"} {
		if c, err := packetfabric.New(config(base)); err == nil {
			c.Close()
			t.Errorf("base URL %q is taken", base)
		}
	}
}

// TestSecretsStayInside looks for the canary in whatever leaves the adapter but the
// requests themselves. It is the password, and a person's telephone number.
func TestSecretsStayInside(t *testing.T) {
	f := newFake(t)
	f.on("POST /v2/auth/login", answer(200, `{"token":"`+canary+`"}`))
	f.says("GET "+pathRequest+asked, requestText(asked, "pending", ""))
	f.says(listVCs, "[]")
	f.says(listSent, "["+requestText(asked, "pending", "")+"]")
	f.says("GET /v2/ports", portsText)
	f.says("GET /v2/locations/markets", marketsText)
	f.on("GET /v2/marketplace/services", message(403, "no"))
	f.on("POST /v2/services/third-party", message(400, "no"))
	var log bytes.Buffer
	spans := tracetest.NewSpanRecorder()
	c := client(t, f.URL, func(cfg *exchange.Config) {
		cfg.Log = zerolog.New(&log)
		cfg.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	})
	var said []string
	say := func(v any, err error) { said = append(said, fmt.Sprintf("%+v %v", v, err)) }
	say(c.Place(t.Context(), exchange.Placement{Intent: single(t), Legs: []string{exchange.Primary}}), nil)
	say(c.Check(t.Context(), single(t)))
	say(c.Get(t.Context(), asked))
	say(c.Find(t.Context(), exchange.Placement{Intent: single(t), Legs: []string{exchange.Primary}}))
	f.on("POST /v2/auth/login", message(401, canary+"-login is bad"))
	other := client(t, f.URL)
	say(other.Get(t.Context(), asked))
	for _, s := range spans.Ended() {
		say([]any{s.Name(), s.Attributes(), s.Status(), s.Events()}, nil)
		if strings.Contains(s.Name(), asked) {
			t.Errorf("span %q has an id in its name", s.Name())
		}
	}
	say(log.String(), nil)
	for _, text := range said {
		if strings.Contains(text, canary) {
			t.Errorf("a secret is shown: %s", text)
		}
	}
	if n := len(spans.Ended()); n < 6 {
		t.Errorf("%d spans, want one a request", n)
	}
}
