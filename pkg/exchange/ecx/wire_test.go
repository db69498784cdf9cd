package ecx_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/exchange"
)

// TestBrokenWires says what a create did whose answer never came.
func TestBrokenWires(t *testing.T) {
	// A login, then one connection to which each case does something.
	serve := func(t *testing.T, do func(net.Conn)) (string, *atomic.Int32) {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var posts atomic.Int32
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				req, err := http.ReadRequest(bufio.NewReader(conn))
				switch {
				case err != nil:
				case req.URL.Path == "/oauth2/v1/token":
					body := `{"access_token":"t1","token_timeout":"3600"}`
					fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
				default:
					posts.Add(1)
					do(conn)
				}
				_ = conn.Close() // whatever it says, the case is over
			}
		}()
		t.Cleanup(func() { _ = l.Close(); <-done })
		return "http://" + l.Addr().String(), &posts
	}
	reset := func(c net.Conn, _ func()) {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a close is a reset then
		}
	}
	tests := []struct {
		name   string
		do     func(c net.Conn, timeOver func())
		answer string
	}{
		{"reset", reset, "connection reset"},
		{"closed", func(net.Conn, func()) {}, "connection closed"},
		{"cut in the body", func(c net.Conn, _ func()) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"primaryConnectionId\":\""+circuitA+"\"")
		}, "connection closed"},
		{"silence", func(c net.Conn, timeOver func()) {
			timeOver()
			_, _ = c.Read(make([]byte, 1)) // until the client has given up
		}, "deadline exceeded"},
		{"not HTTP", func(c net.Conn, _ func()) { fmt.Fprint(c, "hello\r\n\r\n") }, "malformed"},
		{"endless", func(c net.Conn, _ func()) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n", strings.Repeat(" ", 4<<20+1))
		}, "longer than 4 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, end := context.WithCancelCause(t.Context())
			defer end(nil)
			base, posts := serve(t, func(c net.Conn) { tt.do(c, func() { end(context.DeadlineExceeded) }) })
			out := client(t, base, nil).Place(ctx, exchange.Placement{Intent: single(t), Legs: bothLegs})
			if out.Class != exchange.Unknown || !strings.Contains(out.Answer, tt.answer) {
				t.Errorf("Place = %+v, want unknown, answer %q: it may have been created", out, tt.answer)
			}
			if n := posts.Load(); n != 1 {
				t.Errorf("%d POSTs, want one", n)
			}
		})
	}
}

func TestNeverSent(t *testing.T) {
	tests := []struct {
		name   string
		change func(*exchange.Config)
		want   exchange.Class
		after  time.Duration
	}{
		{"no route", func(c *exchange.Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
		}, exchange.NotSent, 0},
		{"no budget", func(c *exchange.Config) { c.Budget = budget{exchange.Throttled{After: time.Minute}} }, exchange.Busy, time.Minute},
		{"budget away", func(c *exchange.Config) { c.Budget = budget{errors.New("no Redis")} }, exchange.NotSent, 0},
		{"no TLS", func(c *exchange.Config) { c.Account.BaseURL = strings.Replace(c.Account.BaseURL, "http:", "https:", 1) }, exchange.NotSent, 0},
		{"no credentials", func(c *exchange.Config) { c.Account.Credentials.ClientID = mustRef("env:NOWHERE") }, exchange.NotSent, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.Server.Config.ErrorLog = nil
			out := client(t, f.URL, tt.change).Place(t.Context(), exchange.Placement{Intent: single(t), Legs: bothLegs})
			if out.Class != tt.want || out.After != tt.after {
				t.Errorf("Place = %+v, want %s, stay away %v", out, tt.want, tt.after)
			}
			if n := len(f.calls()); n != 0 {
				t.Errorf("%d requests arrived", n)
			}
		})
	}
	t.Run("deadline over", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		f := newFake(t)
		out := client(t, f.URL, nil).Remove(ctx, circuitA)
		if out.Class != exchange.NotSent {
			t.Errorf("Remove = %+v, want not sent", out)
		}
	})
}

// budget answers every Take with one error.
type budget struct{ err error }

func (b budget) Take(context.Context, string, int, exchange.Purpose) error { return b.err }

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		header, date string
		want         time.Duration
	}{
		{"7", "", 7 * time.Second},
		{"0", "", time.Second},
		{now.Add(90 * time.Second).Format(http.TimeFormat), now.Format(http.TimeFormat), 90 * time.Second},
		{now.Format(http.TimeFormat), now.Format(http.TimeFormat), time.Second},
		{"soon", "", 10 * time.Second},
		{"99999999", "", 24 * time.Hour},
	}
	for _, tt := range tests {
		f := newFake(t)
		f.on("DELETE /ecx/v3/", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", tt.header)
			if tt.date != "" {
				w.Header().Set("Date", tt.date)
			}
			answer(429, "")(w, r)
		})
		f.on("GET /ecx/v3/", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", tt.header)
			w.Header().Set("Date", tt.date)
			answer(429, "")(w, r)
		})
		c := client(t, f.URL, nil)
		if out := c.Remove(t.Context(), circuitA); out.Class != exchange.Busy || out.After != tt.want {
			t.Errorf("Retry-After %q: %+v, want throttled for %v", tt.header, out, tt.want)
		}
		_, err := c.Get(t.Context(), circuitA)
		var busy exchange.Throttled
		if !errors.As(err, &busy) || busy.After != tt.want {
			t.Errorf("Retry-After %q: Get says %v, want Throttled for %v", tt.header, err, tt.want)
		}
	}
}

// TestTokens lives through the life of tokens in virtual time.
func TestTokens(t *testing.T) {
	const remove = `{"message":"deleted"}`
	tests := []struct {
		name   string
		token  http.HandlerFunc
		resist int // that many calls are answered 401
		waits  []time.Duration
		logins int
		last   exchange.Class
	}{
		{"kept", grant("3600"), 0, []time.Duration{0, time.Minute, 57 * time.Minute}, 1, exchange.Done},
		{"renewed a minute early", grant("3600"), 0, []time.Duration{0, 59*time.Minute + time.Second}, 2, exchange.Done},
		{"no time-out", grant("soon"), 0, []time.Duration{0, 58 * time.Minute}, 1, exchange.Done},
		{"short", grant("60"), 0, []time.Duration{0, 20 * time.Second, 20 * time.Second}, 2, exchange.Done},
		{"taken back", grant("3600"), 1, []time.Duration{0}, 2, exchange.Done},
		{"never liked", grant("3600"), 9, []time.Duration{0}, 2, exchange.NotSent},
		{"refused", answer(500, `{"errorDomain":"d","errorTitle":"Login Failure","errorCode":"S1006","errorMessage":"Login Failure"}`),
			0, []time.Duration{0, time.Second, 58 * time.Second}, 1, exchange.NotSent},
		{"refused again", answer(400, `{"error_domain":"d","error_title":"Login","error_code":"1","error_message":"no"}`),
			0, []time.Duration{0, 61 * time.Second, 3 * time.Minute, 2 * time.Minute}, 3, exchange.NotSent},
		{"refused without form", answer(401, ``), 0, []time.Duration{0, time.Second}, 1, exchange.NotSent},
		{"out of order", answer(503, `<html>`), 0, []time.Duration{0, time.Second, time.Second}, 3, exchange.NotSent},
		{"throttled", answer(429, ``), 0, []time.Duration{0}, 1, exchange.Busy},
		{"no token", answer(200, `{}`), 0, []time.Duration{0, 0}, 2, exchange.NotSent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{mux: http.NewServeMux()}
				f.on("POST /oauth2/v1/token", tt.token)
				f.on("/ecx/v3/", func(w http.ResponseWriter, r *http.Request) {
					if len(f.calls()) <= tt.resist {
						answer(401, `{"errorCode":"S1015","errorTitle":"x"}`)(w, r)
						return
					}
					answer(200, remove)(w, r)
				})
				c := bubble(t, f)
				var out exchange.Outcome
				for _, d := range tt.waits {
					time.Sleep(d)
					out = c.Remove(t.Context(), circuitA)
				}
				if out.Class != tt.last {
					t.Errorf("last outcome %+v, want %s", out, tt.last)
				}
				if n := len(f.logins()); n != tt.logins {
					t.Errorf("%d logins, want %d", n, tt.logins)
				}
				if strings.Contains(out.Answer, canary) {
					t.Errorf("the answer %q shows a secret", out.Answer)
				}
			})
		})
	}
}

func TestLoginsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{mux: http.NewServeMux()}
		f.on("POST /oauth2/v1/token", func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			answer(200, `{"access_token":"t1","token_timeout":"3600"}`)(w, r)
		})
		f.on("/ecx/v3/", answer(200, `{"message":"ok"}`))
		c := bubble(t, f)
		outs := make(chan exchange.Outcome)
		for range 8 {
			go func() { outs <- c.Remove(t.Context(), circuitA) }()
		}
		for range 8 {
			if out := <-outs; out.Class != exchange.Done {
				t.Errorf("%+v, want done", out)
			}
		}
		if n := len(f.logins()); n != 1 {
			t.Errorf("%d logins for 8 callers, want one", n)
		}
	})
}

func TestNewCredentialsAreTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{mux: http.NewServeMux()}
		f.on("POST /oauth2/v1/token", func(w http.ResponseWriter, r *http.Request) {
			if len(f.logins()) == 1 {
				answer(401, ``)(w, r)
				return
			}
			answer(200, `{"access_token":"t1"}`)(w, r)
		})
		f.on("/ecx/v3/", answer(200, `{"message":"ok"}`))
		now := "old"
		c := bubble(t, f, func(cfg *exchange.Config) {
			cfg.Account.Credentials.ClientSecret = mustRef("env:SECRET")
			cfg.Getenv = func(string) string { return now }
		})
		if out := c.Remove(t.Context(), circuitA); out.Class != exchange.NotSent {
			t.Errorf("%+v, want not sent: the login was refused", out)
		}
		now = "new"
		if out := c.Remove(t.Context(), circuitA); out.Class != exchange.Done {
			t.Errorf("%+v, want done: other credentials were not refused", out)
		}
	})
}

// TestSecretsStayInside looks for the canary in whatever leaves the adapter but the
// requests themselves.
func TestSecretsStayInside(t *testing.T) {
	f := newFake(t)
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			answer(status, `[{"errorCode":"`+canary+`","errorMessage":"`+canary+` is bad","property":"`+canary+`"}]`)(w, r)
		}
	}
	f.on("POST /ecx/v3/l2/connections", echo(400))
	f.on("GET /ecx/v3/port/userport", file(t, "ports.json"))
	f.on("GET /ecx/v3/l2/serviceprofiles/services/", profileByID(t))
	f.on("GET /ecx/v3/l2/connections/validateAuthorizationKey", echo(400))
	f.on("GET /ecx/v3/l2/connections/"+circuitA, file(t, "connection.json"))
	var log bytes.Buffer
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	c := client(t, f.URL, func(cfg *exchange.Config) {
		cfg.Log, cfg.TracerProvider = zerolog.New(&log), provider
	})
	var said []string
	say := func(v any) { said = append(said, fmt.Sprintf("%+v", v)) }
	say(c.Place(t.Context(), exchange.Placement{Intent: pair(t), Legs: bothLegs}))
	checked, err := c.Check(t.Context(), pair(t))
	say(checked)
	say(err)
	if !strings.Contains(fmt.Sprint(checked.Violations), "***") {
		t.Errorf("violations %v, want the key's, as ***", checked.Violations)
	}
	conn, err := c.Get(t.Context(), circuitA)
	say(conn)
	say(err)
	f.Server.CloseClientConnections()
	f.Server.Close()
	in := pair(t)
	in.Primary.ZSide.AuthorizationKey = canary + "?& other" // not remembered
	_, err = c.Check(t.Context(), in)
	say(err)
	say(c.Place(t.Context(), exchange.Placement{Intent: in, Legs: bothLegs}))
	for _, s := range spans.Ended() {
		say(s)
		say([]any{s.Name(), s.Attributes(), s.Status(), s.Events()})
		if s.SpanKind() != trace.SpanKindClient || strings.Contains(s.Name(), circuitA) {
			t.Errorf("span %q of kind %v, want a client's without an id in its name", s.Name(), s.SpanKind())
		}
	}
	say(log.String())
	for _, text := range said {
		if strings.Contains(text, canary) {
			t.Errorf("a secret is shown: %s", text)
		}
	}
	if n := len(spans.Ended()); n < 6 {
		t.Errorf("%d spans, want one a request", n)
	}
	if !strings.Contains(log.String(), `"call":"POST /l2/connections"`) {
		t.Errorf("log %s, want a line a request", log.String())
	}
}
