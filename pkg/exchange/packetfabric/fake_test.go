package packetfabric_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/exchange/packetfabric"
	"patchbay.io/pkg/secret"
)

// canary is every secret of the tests: it must come out nowhere.
const canary = "c4n4ry-7Zq"

const (
	asked   = "1b074b22-0a81-4189-a05c-12bdbd964728"
	asked2  = "2b074b22-0a81-4189-a05c-12bdbd964728"
	vc      = "PF-BC-NYC-CHI-1000001"
	vc2     = "PF-BC-NYC-CHI-1000002"
	buyer   = "9972df99-3a8e-44f0-87e1-51a3005d913b"
	seller  = "5ea91f45-4325-4503-8d7d-1eb5f075be97"
	portNYC = "PF-AP-NYC1-1001"
	portCHI = "PF-AP-CHI1-2001"
	enniNYC = "PF-AP-NYC1-1900"
	routing = "TR-1RI-OQ85"
	service = "c10f0000-0000-4000-8000-0000000000f1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an exchange that says what it is told and notes what it is asked. What it was
// not told about it does not find, in the exchange's own words.
type fake struct {
	*httptest.Server

	mu      sync.Mutex
	answers map[string]http.HandlerFunc
	asked   []question
}

// question is one request as it arrived.
type question struct {
	what, bearer string // as in "GET /v2/services"
	body         []byte
}

// newFake returns an exchange that grants tokens t1, t2 … and knows nothing else.
func newFake(t *testing.T) *fake {
	t.Helper()
	f := quietFake()
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Server.Close)
	return f
}

// quietFake is one that does not listen.
func quietFake() *fake {
	f := &fake{answers: map[string]http.HandlerFunc{}}
	n := 0
	f.on("POST /v2/auth/login", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		n++
		token := "t" + strconv.Itoa(n)
		f.mu.Unlock()
		answer(200, `{"token":"`+token+`"}`)(w, r)
	})
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a broken request is as good as an empty one
	r.Body = io.NopCloser(bytes.NewReader(body))
	what := r.Method + " " + r.URL.RequestURI()
	f.mu.Lock()
	f.asked = append(f.asked, question{what, r.Header.Get("Authorization"), body})
	h := f.answers[what]
	f.mu.Unlock()
	if h == nil {
		h = answer(404, `{"message":"Requested URL `+r.URL.Path+` not found","request_id":"x"}`)
	}
	h(w, r)
}

// on answers what is asked, as in "GET /v2/services", from now on.
func (f *fake) on(what string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[what] = h
}

// says answers what is asked with 200 and a body.
func (f *fake) says(what, body string) { f.on(what, answer(200, body)) }

// calls returns what was asked but logins.
func (f *fake) calls() []question {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []question
	for _, q := range f.asked {
		if q.what != "POST /v2/auth/login" {
			out = append(out, q)
		}
	}
	return out
}

// whats returns what was asked, without bodies.
func (f *fake) whats() []string {
	var out []string
	for _, q := range f.calls() {
		out = append(out, q.what)
	}
	return out
}

func (f *fake) logins() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, q := range f.asked {
		if q.what == "POST /v2/auth/login" {
			n++
		}
	}
	return n
}

// answer says body with a status.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client may be gone
	}
}

// message is an error in the exchange's own form.
func message(status int, text string) http.HandlerFunc {
	b, err := json.Marshal(map[string]string{"message": text, "request_id": "x"})
	if err != nil {
		panic(err)
	}
	return answer(status, string(b))
}

func config(base string) exchange.Config {
	return exchange.Config{Account: account.Account{
		Name: "acme-pf", API: account.PacketFabric, Role: account.Both, BaseURL: base, BudgetPerMinute: 60,
		Credentials: account.Credentials{
			Login:    account.Literal("acme"),
			Password: account.Literal(secret.Secret(canary + "-login")),
		},
	}}
}

// client returns a client of the account at base, as change makes it.
func client(t *testing.T, base string, change ...func(*exchange.Config)) *packetfabric.Client {
	t.Helper()
	cfg := config(base)
	for _, f := range change {
		f(&cfg)
	}
	c, err := packetfabric.New(cfg)
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

// single is an intent for one circuit to another customer.
func single(t testing.TB) *patchbayv1.CreateIntent {
	t.Helper()
	return create(t, `{"name":"one","bandwidthMbps":50,"notifications":[{"emails":["a@example.com"]}],
		"billing":{"accountId":"b2af000f-d15f-4413-9645-6f566e641c29","longhaul":"dedicated","termMonths":1},
		"primary":{"aSide":{"portId":"`+portNYC+`","tag":{"vlan":100}},
		"zSide":{"routingId":"`+routing+`","market":"CHI"}}}`)
}

// own is an intent for one circuit between two ports of the account.
func own(t testing.TB) *patchbayv1.CreateIntent {
	t.Helper()
	in := single(t)
	in.Primary.ZSide = create(t, `{"primary":{"zSide":{"portId":"`+portCHI+`","tag":{"vlan":200}}}}`).Primary.ZSide
	return in
}

// requestText is a request as the exchange's guide shows it.
func requestText(uuid, status, circuit string) string {
	return `{"vc_request_uuid":"` + uuid + `","vc_circuit_id":"` + circuit + `",
		"from_customer":{"customer_uuid":"` + buyer + `","name":"Evil KB Docs","market":"NYC","market_description":"New York City",
			"contact_first_name":"Caitlin","contact_last_name":"McGoodwriter","contact_email":"","contact_phone":"` + canary + `"},
		"to_customer":{"customer_uuid":"` + seller + `","name":"Knowledge Base Documents","market":"CHI","market_description":"Chicago"},
		"text":"Evil KB Docs is requesting an EVPL connection in CHI.","status":"` + status + `","vc_mode":"evpl",
		"request_type":"marketplace","bandwidth":{"account_uuid":"b2af000f-d15f-4413-9645-6f566e641c29","longhaul_type":"dedicated",
			"subscription_term":1,"speed":"50Mbps"},"service_name":"Cloud Connect",
		"time_created":"2022-07-06T11:17:03.623071-0600","time_updated":"2022-07-06T11:17:03.623071-0600","allow_untagged_z":true}`
}

// circuitText is a circuit between the two customers, the seller's end first.
func circuitText(id, state string) string {
	return `{"vc_circuit_id":"` + id + `","customer_uuid":"` + buyer + `","state":"` + state + `","service_type":"backbone",
		"mode":"evpl","description":"one","rate_limit_in":50,"rate_limit_out":50,"po_number":"PO1",
		"time_created":"2022-07-06T18:00:00Z","time_updated":"2022-07-06T18:00:30+00:00",
		"interfaces":[
			{"port_circuit_id":"` + portCHI + `","vlan":300,"svlan":301,"untagged":false,"customer_uuid":"` + seller + `","customer_name":"KB"},
			{"port_circuit_id":"` + portNYC + `","vlan":100,"untagged":false,"customer_uuid":"` + buyer + `","customer_name":"Evil"}]}`
}

// ownText is a circuit between two ports of the buyer.
func ownText(id, state string) string {
	return `{"vc_circuit_id":"` + id + `","customer_uuid":"` + buyer + `","state":"` + state + `","description":"one",
		"bandwidth":{"speed":"50Mbps"},"time_created":"2022-07-06T18:00:00Z",
		"interfaces":[
			{"port_circuit_id":"` + portCHI + `","vlan":200,"customer_uuid":"` + buyer + `"},
			{"port_circuit_id":"` + portNYC + `","vlan":100,"customer_uuid":"` + buyer + `"}]}`
}

const (
	portsText = `[{"port_circuit_id":"` + portNYC + `","description":"NYC","market":"NYC","is_nni":false,"customer_uuid":"` + buyer + `"},
		{"port_circuit_id":"` + enniNYC + `","description":"NYC ENNI","market":"NYC","is_nni":true,"customer_uuid":"` + buyer + `"},
		{"port_circuit_id":"` + portCHI + `","description":"CHI","market":"CHI","customer_uuid":"` + buyer + `"}]`
	marketsText = `[{"name":"New York City","code":"NYC","country":"US"},{"name":"Chicago","code":"CHI","country":"US"}]`
	offersText  = `[{"uuid":"` + service + `","name":"Cloud Connect","routing_id":"` + routing + `","customer_uuid":"` + seller + `"},
		{"uuid":"c10f0000-0000-4000-8000-0000000000f2","name":"Other","routing_id":"PD-WUY-9VB0","customer_uuid":"other"}]`
)

const (
	pathRequest = "/v2/services/requests/"
	pathService = "/v2/services/"
	listVCs     = "GET /v2/services"
	listSent    = "GET /v2/services/requests?type=sent"
	listGot     = "GET /v2/services/requests?type=received"
)

func pathStatus(id string) string { return "GET /v2.1/services/" + id + "/status" }

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
func bubble(t *testing.T, f *fake, change ...func(*exchange.Config)) *packetfabric.Client {
	t.Helper()
	return client(t, "http://exchange.test", append(change, func(cfg *exchange.Config) { cfg.Dial = exchangetest.Serve(t, f) })...)
}
