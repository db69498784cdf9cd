package wire_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/secret"
)

// canary is every secret of the tests: it must come out nowhere.
const canary = "c4n4ry-7Zq"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tokens are handed out one after the other; a bad one is followed by the next.
type tokens struct {
	list []secret.Secret
	err  error
}

func (a *tokens) Token(_ context.Context, bad secret.Secret, _ exchange.Purpose) (secret.Secret, error) {
	if a.err != nil {
		return "", a.err
	}
	if bad != "" && bad == a.list[0] {
		a.list = a.list[1:]
	}
	return a.list[0], nil
}

func newWire(t *testing.T, base string, dial func(context.Context, string, string) (net.Conn, error)) *wire.Wire {
	t.Helper()
	w, err := wire.New(exchange.Config{Account: account.Account{Name: "x", BaseURL: base}, Dial: dial}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// TestSend follows one call from its parts to the request and back.
func TestSend(t *testing.T) {
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // a broken request is as good as an empty one
		got = append(got, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header.Get("Content-Type"), " ", r.Header.Get("Authorization"), " ", string(b)))
		if strings.HasSuffix(r.Header.Get("Authorization"), "t1") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer s.Close()
	w := newWire(t, s.URL+"/", nil)
	k := wire.NewCall(http.MethodPatch, "/api", "/things/{id}/of/{id}", "a/b", "c")
	k.Query, k.Body, k.ContentType, k.Decides = map[string][]string{"q": {"1 2"}}, []int{1}, "application/json-patch+json", true
	r, err := w.Send(t.Context(), &tokens{list: []secret.Secret{"t1", "t2"}}, k)
	if err != nil || r.Status != http.StatusFound || r.Words() != "302 Found" || r.OK() || r.At.IsZero() {
		t.Errorf("Send = %+v, %v, want the redirect itself", r, err)
	}
	want := "PATCH /api/things/a%2Fb/of/c?q=1+2 application/json-patch+json Bearer "
	if len(got) != 2 || got[0] != want+"t1 [1]" || got[1] != want+"t2 [1]" {
		t.Errorf("asked %q, want twice %q, under each token", got, want)
	}
	if k.Name != "/things/{id}/of/{id}" || w.Base() != s.URL || w.Config().CacheFor == 0 || w.Config().Getenv == nil {
		t.Errorf("name %s, base %s, config %+v", k.Name, w.Base(), w.Config())
	}
}

// TestLongAnswers: a list of thousands of circuits comes in one piece, and who was asked
// for one thing has no reason to say as much.
func TestLongAnswers(t *testing.T) {
	const length = 20 << 20
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat(" ", length)) // who reads less hangs up
	}))
	defer s.Close()
	w, auth := newWire(t, s.URL, nil), &tokens{list: []secret.Secret{"t"}}
	if r, err := w.Send(t.Context(), auth, wire.NewCall(http.MethodGet, "", "/x")); err != nil || len(r.Body) != length {
		t.Errorf("a list: %d bytes, %v, want %d", len(r.Body), err, length)
	}
	k := wire.NewCall(http.MethodPost, "", "/x")
	k.Decides = true
	if _, err := w.Send(t.Context(), auth, k); err == nil || !strings.Contains(err.Error(), "longer than 4 MiB") {
		t.Errorf("a decision: %v, want an answer that is too long", err)
	}
}

// TestNotSent tells what was never written from what may have been.
func TestNotSent(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_ = conn.Close() // that is the case
		}
	}))
	defer s.Close()
	noRoute := func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no route to " + canary)
	}
	good := &tokens{list: []secret.Secret{"t"}}
	tests := []struct {
		name string
		w    *wire.Wire
		auth wire.Auth
		body any
		want exchange.Class
	}{
		{"hung up", newWire(t, s.URL, nil), good, nil, exchange.Unknown},
		{"no route", newWire(t, s.URL, noRoute), good, nil, exchange.NotSent},
		{"no login", newWire(t, s.URL, nil), &tokens{err: errors.New("no")}, nil, exchange.NotSent},
		{"login throttled", newWire(t, s.URL, nil), &tokens{err: exchange.Throttled{After: time.Second}}, nil, exchange.Busy},
		{"no JSON", newWire(t, s.URL, nil), good, func() {}, exchange.NotSent},
	}
	for _, tt := range tests {
		k := wire.NewCall(http.MethodPost, "", "/x")
		k.Body, k.Decides, k.Secrets = tt.body, true, []string{canary}
		_, err := tt.w.Send(t.Context(), tt.auth, k)
		out := wire.Unanswered(err)
		if err == nil || out.Class != tt.want || strings.Contains(out.Answer, canary) {
			t.Errorf("%s: %v, %+v, want %s without the secret", tt.name, err, out, tt.want)
		}
	}
	if out := wire.Unanswered(context.DeadlineExceeded); out.Class != exchange.Unknown || out.Answer != "context deadline exceeded" {
		t.Errorf("Unanswered = %+v", out)
	}
}

func TestSettled(t *testing.T) {
	for status, want := range map[int]exchange.Class{
		401: exchange.NotSent, 429: exchange.Busy, 301: exchange.Unknown, 408: exchange.Unknown, 409: exchange.Unknown,
		425: exchange.Unknown, 499: exchange.Unknown, 500: exchange.Unknown, 503: exchange.Unknown,
	} {
		out, settled := wire.Settled(wire.Reply{Status: status})
		if !settled || out.Class != want || out.Answer == "" || (out.After > 0) != (want == exchange.Busy) {
			t.Errorf("Settled(%d) = %+v, %v, want %s", status, out, settled, want)
		}
	}
	for _, status := range []int{200, 204, 400, 403, 404, 422} {
		if out, settled := wire.Settled(wire.Reply{Status: status}); settled || out.Class != exchange.Unknown {
			t.Errorf("Settled(%d) = %+v, %v, want it left to the adapter", status, out, settled)
		}
	}
}

func TestClocks(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	reply := func(retry, date string) wire.Reply {
		return wire.Reply{At: now, Header: http.Header{"Retry-After": {retry}, "Date": {date}}}
	}
	later := now.Add(90 * time.Second).Format(http.TimeFormat)
	for _, tt := range []struct {
		retry, date  string
		after, ahead time.Duration
	}{
		{"7", "", 7 * time.Second, 0},
		{"0", later, time.Second, 90 * time.Second},
		{later, "", 90 * time.Second, 0},
		{later, later, time.Second, 90 * time.Second},
		{"soon", "", 10 * time.Second, 0},
		{"-1", "", 10 * time.Second, 0},
		{"99999999", "", 24 * time.Hour, 0},
	} {
		r := reply(tt.retry, tt.date)
		if r.RetryAfter() != tt.after || r.Ahead() != tt.ahead {
			t.Errorf("%q, %q: stay away %v, ahead %v; want %v, %v", tt.retry, tt.date, r.RetryAfter(), r.Ahead(), tt.after, tt.ahead)
		}
	}
}

// TestScalars: an odd field hides nothing but itself.
func TestScalars(t *testing.T) {
	for _, tt := range []struct {
		json   string
		text   wire.Text
		number wire.Number
		flag   wire.Flag
	}{
		{`"5"`, "5", 5, false}, {`5`, "5", 5, false}, {`" 7 "`, " 7 ", 7, false}, {`5.5`, "5.5", 0, false}, {`1e3`, "1e3", 1000, false},
		{`99999999999`, "99999999999", 0, false}, {`true`, "true", 0, true}, {`"True"`, "True", 0, true}, {`1`, "1", 1, true},
		{`null`, "", 0, false}, {`{"a":1}`, "", 0, false}, {`[1]`, "", 0, false}, {`""`, "", 0, false},
	} {
		var v struct {
			T wire.Text
			N wire.Number
			F wire.Flag
		}
		if err := json.Unmarshal([]byte(`{"T":`+tt.json+`,"N":`+tt.json+`,"F":`+tt.json+`}`), &v); err != nil ||
			v.T != tt.text || v.N != tt.number || v.F != tt.flag {
			t.Errorf("%s is read as %+v, %v; want %q, %d, %v", tt.json, v, err, tt.text, tt.number, tt.flag)
		}
	}
	for text, want := range map[wire.Text]string{
		"2021-10-27 16:25:37.229Z": "2021-10-27T16:25:37.229Z", "2020-06-18 19:51:12.0": "2020-06-18T19:51:12Z",
		"2021-07-15T19:30:29.526+0200": "2021-07-15T17:30:29.526Z", "2021-07-15": "2021-07-15T00:00:00Z",
	} {
		if at := wire.Date(text); at == nil || at.AsTime().Format(time.RFC3339Nano) != want {
			t.Errorf("Date(%q) = %v, want %s", text, at, want)
		}
	}
	for _, none := range []wire.Text{"", "yesterday", "7"} {
		if at := wire.Date(none); at != nil {
			t.Errorf("Date(%q) = %v, want none", none, at)
		}
	}
}

func TestMemo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		brief, long := wire.NewMemo[int, string](time.Minute), wire.NewMemo[int, string](0)
		brief.Put(1, "a")
		long.Put(1, "a")
		time.Sleep(59 * time.Second)
		if v, ok := brief.Get(1); v != "a" || !ok {
			t.Errorf("Get = %q, %v after 59s, want it kept for a minute", v, ok)
		}
		time.Sleep(time.Second)
		if v, ok := brief.Get(1); v != "" || ok {
			t.Errorf("Get = %q, %v after a minute, want it forgotten", v, ok)
		}
		if _, ok := long.Get(1); !ok {
			t.Error("what is kept for ever is gone")
		}
		for i := range 1100 {
			long.Put(i+2, "b")
		}
		if _, ok := long.Get(1); ok {
			t.Error("too much is remembered")
		}
		if _, ok := long.Get(1101); !ok {
			t.Error("the newest is forgotten")
		}
	})
}

func TestNew(t *testing.T) {
	for _, base := range []string{"", "ftp://x", "http://", "http://user@x", "http://%zz"} {
		if _, err := wire.New(exchange.Config{Account: account.Account{BaseURL: base}}, "test"); err == nil {
			t.Errorf("base URL %q was taken", base)
		}
	}
}

// FuzzFields reads single fields of answers. None fails, whatever JSON it is.
func FuzzFields(f *testing.F) {
	for _, s := range []string{`"a\u001b[2J"`, `1e99`, `"-2147483648"`, `2147483648`, `" 7 "`, `"TRUE"`, `{"a":1}`, `null`, `"2026-11-22T09:30:00+0100"`,
		`"2026-11-22 09:30:00.5Z"`, `"0000-01-01"`, `"\ud800"`} {
		f.Add([]byte(s), "120", "Sun, 22 Nov 2026 10:00:00 GMT")
	}
	f.Add([]byte(`""`), "Sun, 22 Nov 2026 10:00:30 GMT", "never")
	f.Add([]byte(`""`), "1e300", "")
	f.Fuzz(func(t *testing.T, b []byte, retry, date string) {
		var read struct {
			Text   wire.Text
			Number wire.Number
			Flag   wire.Flag
		}
		if err := json.Unmarshal(fmt.Appendf(nil, `{"Text":%s,"Number":%s,"Flag":%s}`, b, b, b), &read); err != nil && json.Valid(b) {
			t.Errorf("%q: %v", b, err)
		}
		if text := string(read.Text); !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%q is read as %q", b, text)
		}
		if at := wire.Date(read.Text); at != nil && !at.IsValid() {
			t.Errorf("%q is the time %v", b, at)
		}
		r := wire.Reply{Status: 429, Header: http.Header{"Retry-After": {retry}, "Date": {date}}, At: time.Now()}
		if after := r.RetryAfter(); after < time.Second || after > 24*time.Hour {
			t.Errorf("Retry-After %q at %q is %v, want between a second and a day", retry, date, after)
		}
	})
}
