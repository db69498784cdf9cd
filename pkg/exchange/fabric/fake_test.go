package fabric_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/fabric"
	"patchbay.io/pkg/secret"
)

// canary is in every secret of the tests: it must come out nowhere.
const canary = "c4n4ry-7Zq"

const (
	circuitA = "3a58dd05-f46d-4b1d-a154-2e85c396ea62"
	circuitB = "4a58dd05-f46d-4b1d-a154-2e85c396ea63"
	groupA   = "48852efe-f68a-4f0d-8449-36abd43a4afa"
	profileA = "2a73af1a-3c74-47ac-b778-6bf455d1174e"
	profileN = "3a73af1a-3c74-47ac-b778-6bf455d1174f"
	portDot  = "a867f685-41b0-1b07-6de0-320a5c00abdd"
	portDot2 = "b867f685-41b0-1b07-6de0-320a5c00abde"
	portQ    = "c867f685-41b0-1b07-6de0-320a5c00abdf"
	portQ2   = "d867f685-41b0-1b07-6de0-320a5c00abe0"
	portU    = "e867f685-41b0-1b07-6de0-320a5c00abe1"
	portU2   = "f867f685-41b0-1b07-6de0-320a5c00abe2"
	tokenZ   = canary + "-token-z"
	tokenA   = canary + "-token-a"
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
	method, uri, kind string
	body              []byte
}

// newFake returns an exchange that grants a token and knows nothing else.
func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{mux: http.NewServeMux()}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Server.Close)
	f.on("POST /oauth2/v1/token", answer(200, `{"access_token":"t1","token_timeout":"3600","token_type":"Bearer"}`))
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a broken request is as good as an empty one
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	f.asked = append(f.asked, asked{r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), body})
	f.mu.Unlock()
	f.mux.ServeHTTP(w, r)
}

func (f *fake) on(pattern string, h http.HandlerFunc) { f.mux.HandleFunc(pattern, h) }

// calls returns what was asked whose method and address begin so.
func (f *fake) calls(prefix string) []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.asked), func(a asked) bool {
		return !strings.HasPrefix(a.method+" "+a.uri, prefix)
	})
}

// answer says body with a status.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client may be gone
	}
}

// file is a recorded body.
func file(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// refusal is a body in the exchange's own form.
func refusal(code, message, property string) string {
	return `[{"errorCode":"` + code + `","errorMessage":"` + message +
		`","correlationId":"c","additionalInfo":[{"property":"` + property + `"}]}]`
}

// listOf is a whole list.
func listOf(items ...string) string {
	b, _ := json.Marshal(len(items)) // a number always encodes
	return `{"pagination":{"offset":0,"limit":100,"total":` + string(b) + `},"data":[` + strings.Join(items, ",") + `]}`
}

// searched answers searches with a page of items, as asked.
func searched(items ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Pagination struct{ Offset, Limit int } }
		_ = json.NewDecoder(r.Body).Decode(&q) // the zero page is the first
		from := min(q.Pagination.Offset, len(items))
		to := min(from+q.Pagination.Limit, len(items))
		total, _ := json.Marshal(len(items)) // a number always encodes
		answer(200, `{"pagination":{"total":`+string(total)+`},"data":[`+strings.Join(items[from:to], ",")+`]}`)(w, r)
	}
}

func port(id, metro, encapsulation string) string {
	return `{"type":"XF_PORT","uuid":"` + id + `","name":"p","state":"ACTIVE","location":{"metroCode":"` + metro +
		`"},"encapsulation":{"type":"` + encapsulation + `"}}`
}

// ports are those of the account.
func (f *fake) ports() *fake {
	f.on("GET /fabric/v4/ports", answer(200, listOf(
		port(portDot, "SV", "DOT1Q"), port(portDot2, "DC", "DOT1Q"), port(portQ, "SV", "QINQ"),
		port(portQ2, "DC", "QINQ"), port(portU, "SV", "UNTAGGED"), port(portU2, "DC", "UNTAGGED"),
		`{"uuid":"0867f685","state":"DEPROVISIONED"}`)))
	return f
}

func config(base string) exchange.Config {
	return exchange.Config{Account: account.Account{
		Name: "acme-fabric", API: account.Fabric, Role: account.Both, BaseURL: base, BudgetPerMinute: 60,
		Credentials: account.Credentials{
			ClientID:     account.Literal("acme-id"),
			ClientSecret: account.Literal(secret.Secret(canary + "-login")),
		},
	}}
}

// client returns a client of the account at f, in a role.
func client(t *testing.T, f *fake, change ...func(*exchange.Config)) *fabric.Client {
	t.Helper()
	cfg := config(f.URL)
	for _, c := range change {
		c(&cfg)
	}
	c, err := fabric.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func role(r account.Role) func(*exchange.Config) {
	return func(c *exchange.Config) { c.Account.Role = r }
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

// order is an intent between two ends, and between two more if there are.
func order(t testing.TB, a, z string, second ...string) *patchbayv1.CreateIntent {
	t.Helper()
	text := `{"name":"one","bandwidthMbps":50,"notifications":["a@example.com"],
		"primary":{"aSide":` + a + `,"zSide":` + z + `}`
	if len(second) == 2 {
		text += `,"secondary":{"name":"two","aSide":` + second[0] + `,"zSide":` + second[1] + `}`
	}
	return createShort(t, text+"}")
}

// createShort is create for intents whose notifications are bare addresses.
func createShort(t testing.TB, text string) *patchbayv1.CreateIntent {
	t.Helper()
	return create(t, strings.Replace(text, `["a@example.com"]`, `[{"emails":["a@example.com"]}]`, 1))
}

// Ends of circuits.
const (
	onDot   = `{"portId":"` + portDot + `","tag":{"vlan":1001}}`
	onDot2  = `{"portId":"` + portDot2 + `","tag":{"vlan":1002}}`
	onQ     = `{"portId":"` + portQ + `","tag":{"sTag":100}}`
	onQC    = `{"portId":"` + portQ + `","tag":{"sTag":100,"cTag":7}}`
	onQ2    = `{"portId":"` + portQ2 + `","tag":{"sTag":200}}`
	onQ2C   = `{"portId":"` + portQ2 + `","tag":{"sTag":200,"cTag":8}}`
	onU     = `{"portId":"` + portU + `"}`
	onU2    = `{"portId":"` + portU2 + `","tag":{"untagged":true}}`
	byTokZ  = `{"serviceToken":"` + tokenZ + `"}`
	byTokA  = `{"serviceToken":"` + tokenA + `"}`
	toSP    = `{"profileId":"` + profileA + `","metro":"SV","region":"us-sv","authorizationKey":"` + canary + `-key"}`
	toNamed = `{"profileId":"` + profileN + `","peering":"PRIVATE"}`
)

// sameJSON compares two bodies by value.
func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("body %q: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("wanted body %q: %v", want, err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("body %s\nwant %s", got, want)
	}
}
