package ecx_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/ecx"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/secret"
)

// canary is every secret of the tests: it must come out nowhere.
const canary = "c4n4ry-7Zq"

const (
	circuitA = "1902767c-2e77-41de-a7cb-bc9db91651a2"
	circuitB = "2902767c-2e77-41de-a7cb-bc9db91651a3"
	profileA = "2a73af1a-3c74-47ac-b778-6bf455d1174e"
	portA    = "6f891d3b-972d-73d0-bae3-30ac1995197a"
	portB    = "7f892d5b-993f-73f0-bae0-32ad1889197a"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an exchange that says what it is told and notes what it is asked.
type fake struct {
	*httptest.Server
	mux *http.ServeMux

	mu    sync.Mutex
	asked []asked
}

// asked is one request as it arrived.
type asked struct {
	method, uri, bearer string
	body                []byte
}

// newFake returns an exchange that grants tokens t1, t2 … and knows nothing else.
func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{mux: http.NewServeMux()}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Server.Close)
	f.on("POST /oauth2/v1/token", grant("3600"))
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a broken request is as good as an empty one
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	f.asked = append(f.asked, asked{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), body})
	f.mu.Unlock()
	f.mux.ServeHTTP(w, r)
}

// on answers pattern, once it is called for.
func (f *fake) on(pattern string, h http.HandlerFunc) { f.mux.HandleFunc(pattern, h) }

// calls returns what was asked but logins.
func (f *fake) calls() []asked {
	return f.filter(func(uri string) bool { return uri != "/oauth2/v1/token" })
}

// logins returns the logins.
func (f *fake) logins() []asked {
	return f.filter(func(uri string) bool { return uri == "/oauth2/v1/token" })
}

func (f *fake) filter(keep func(string) bool) []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []asked
	for _, a := range f.asked {
		if keep(a.uri) {
			out = append(out, a)
		}
	}
	return out
}

// grant gives a new token each time: t1, t2 …
func grant(timeout string) http.HandlerFunc {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		n++
		token := "t" + string(rune('0'+n))
		mu.Unlock()
		answer(200, `{"access_token":"`+token+`","token_timeout":"`+timeout+`","token_type":"Bearer"}`)(w, nil)
	}
}

// answer says body with a status.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client may be gone
	}
}

// file answers with a recorded body.
func file(t testing.TB, name string) http.HandlerFunc {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return answer(200, string(b))
}

func config(base string) exchange.Config {
	return exchange.Config{Account: account.Account{
		Name: "acme-ecx", API: account.ECX, Role: account.Both, BaseURL: base, BudgetPerMinute: 60,
		Credentials: account.Credentials{
			ClientID:     account.Literal("acme-id"),
			ClientSecret: account.Literal(secret.Secret(canary + "-login")),
		},
	}}
}

// client returns a client of the account at base, as change makes it.
func client(t *testing.T, base string, change func(*exchange.Config)) *ecx.Client {
	t.Helper()
	cfg := config(base)
	if change != nil {
		change(&cfg)
	}
	c, err := ecx.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// create reads an intent.
func create(t testing.TB, text string) *patchbayv1.CreateIntent {
	t.Helper()
	in := new(patchbayv1.CreateIntent)
	if err := protojson.Unmarshal([]byte(text), in); err != nil {
		t.Fatal(err)
	}
	return in
}

// single is an intent for one circuit, with a canary for key.
func single(t testing.TB) *patchbayv1.CreateIntent {
	return create(t, `{"name":"one","bandwidthMbps":50,"notifications":[{"emails":["a@example.com"]}],
		"primary":{"aSide":{"portId":"`+portA+`","tag":{"sTag":771,"cTag":117}},
		"zSide":{"profileId":"`+profileA+`","metro":"SV","authorizationKey":"`+canary+`"}}}`)
}

// pair is the same with a secondary leg.
func pair(t testing.TB) *patchbayv1.CreateIntent {
	in := single(t)
	in.Secondary = create(t, `{"primary":{"name":"two","aSide":{"portId":"`+portB+`","tag":{"sTag":881,"cTag":118}}}}`).Primary
	return in
}

// fields decodes a JSON object.
func fields(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("body %q: %v", b, err)
	}
	return m
}

// bubble returns a client of f inside a bubble of virtual time.
func bubble(t *testing.T, f *fake, change ...func(*exchange.Config)) *ecx.Client {
	t.Helper()
	cfg := config("http://exchange.test")
	cfg.Dial = exchangetest.Serve(t, f)
	for _, f := range change {
		f(&cfg)
	}
	c, err := ecx.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func mustRef(text string) account.Ref {
	r, err := account.ParseRef(text)
	if err != nil {
		panic(err)
	}
	return r
}

// profileByID serves the recorded profiles one by one.
func profileByID(t *testing.T) http.HandlerFunc {
	t.Helper()
	b, err := os.ReadFile("testdata/profiles.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		for _, p := range all {
			if id := fields(t, p)["uuid"]; strings.HasSuffix(r.URL.Path, "/"+id.(string)) {
				answer(200, string(p))(w, r)
				return
			}
		}
		answer(404, `{"errorCode":"IC-LAYER2-404","errorMessage":"Not Found"}`)(w, r)
	}
}

// keyHandler takes every key but "bad", for 200 Mbit/s.
func keyHandler() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("authorizationKey") == "bad" {
			answer(400, `[{"errorCode":"IC-LAYER2-AUTH-004","errorMessage":"no such key"}]`)(w, r)
			return
		}
		answer(200, `[{"message":"ok","status":"VALID","primary":{"bandwidth":"200MB"}}]`)(w, r)
	}
}
