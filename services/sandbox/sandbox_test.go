package sandbox_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/services/sandbox"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

// The guide's profiles and ports that tests order with.
const (
	dot1qProfile  = "7a73af1a-3d74-47ac-b778-6bf455d1174e"
	toQinQProfile = "31b7263f-7e6a-42d0-859e-80a7fd3b9609"
	fromQinQ      = "2a73af1a-3c74-47ac-b778-6bf455d1174e"
	qinqProfile   = "32b7273f-7e7a-43d0-859e-81a7fd3b9609"
	apiProfile    = "c10f0000-0000-4000-8000-000000000005"
	peering       = "c10f0000-0000-4000-8000-000000000006"
	express       = "c10f0000-0000-4000-8000-000000000007"
	openProfile   = "c10f0000-0000-4000-8000-000000000008"
	ownProfile    = "acef0000-0000-4000-8000-000000000001"

	acmePort    = "aced1050-0000-4000-8000-000000000001" // Dot1q, SV
	acmePort2   = "aced1050-0000-4000-8000-000000000002"
	acmeQinQ    = "ace99050-0000-4000-8000-000000000001" // QinQ, SV
	globexPort  = "610d1050-0000-4000-8000-000000000001"
	cloudPort   = "c10d1050-0000-4000-8000-000000000001" // Dot1q, SV
	cloudQinQ   = "c1099050-0000-4000-8000-000000000001"
	cloudPortDC = "c10d10d0-0000-4000-8000-000000000001"
	managedPort = "c10d1050-0000-4000-8000-000000000099"

	connections = "/ecx/v3/l2/connections"
)

// object is a JSON object.
type object = map[string]any

// with returns a copy of o with the fields of more; a nil value takes one away.
func with(o, more object) object {
	out := maps.Clone(o)
	for k, v := range more {
		out[k] = v
		if v == nil {
			delete(out, k)
		}
	}
	return out
}

// site is an exchange behind a real HTTP server on an in-memory network.
type site struct {
	*sandbox.Exchange
	t      testing.TB
	client *http.Client
	acme   string // bearer tokens
	cloud  string
	globex string
}

// open serves a new exchange.
func open(t testing.TB, cfg sandbox.Config) *site {
	t.Helper()
	return attach(t, sandbox.New(cfg))
}

// attach serves x, and ends it with the test.
func attach(t testing.TB, x *sandbox.Exchange) *site {
	t.Helper()
	transport := &http.Transport{DialContext: exchangetest.Serve(t, x.Handler())}
	t.Cleanup(func() {
		x.Close()
		transport.CloseIdleConnections()
	})
	s := &site{Exchange: x, t: t, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	s.acme, s.cloud, s.globex = s.login("acme"), s.login("cloud"), s.login("globex")
	x.ResetCalls()
	return s
}

func (s *site) login(who string) string {
	s.t.Helper()
	r := s.post("", "/oauth2/v1/token", object{"grant_type": "client_credentials",
		"client_id": who + "-client", "client_secret": who + "-secret"})
	return r.want(http.StatusOK).text("access_token")
}

// reply is an answer, read whole.
type reply struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

// ask is a request; its body may be nil, text or anything that is JSON.
type ask struct {
	token, method, path string
	body                any
}

func (s *site) try(ctx context.Context, a ask) (*reply, error) {
	var r io.Reader
	switch b := a.body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		r = strings.NewReader(string(text))
	}
	req, err := http.NewRequestWithContext(ctx, a.method, "http://exchange"+a.path, r)
	if err != nil {
		return nil, err
	}
	if a.method == http.MethodPatch && strings.HasPrefix(a.path, "/fabric/") {
		req.Header.Set("Content-Type", "application/json-patch+json")
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	return &reply{s.t, a.method + " " + a.path, resp.StatusCode, resp.Header, b}, err
}

func (s *site) do(token, method, path string, body any) *reply {
	s.t.Helper()
	r, err := s.try(s.t.Context(), ask{token, method, path, body})
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (s *site) post(token, path string, body any) *reply {
	s.t.Helper()
	return s.do(token, http.MethodPost, path, body)
}

func (s *site) get(token, path string) *reply {
	s.t.Helper()
	return s.do(token, http.MethodGet, path, nil)
}

func (s *site) patch(token, id, action string, body any) *reply {
	s.t.Helper()
	return s.do(token, http.MethodPatch, connections+"/"+id+"?action="+action, body)
}

func (r *reply) want(status int) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: status %d, want %d: %s", r.what, r.status, status, r.body)
	}
	return r
}

func (r *reply) object() object {
	r.t.Helper()
	var o object
	if err := json.Unmarshal(r.body, &o); err != nil {
		r.t.Fatalf("%s: %v: %s", r.what, err, r.body)
	}
	return o
}

// text is a field that must be there and be text.
func (r *reply) text(field string) string {
	r.t.Helper()
	s, ok := r.object()[field].(string)
	if !ok {
		r.t.Fatalf("%s: no text %q in %s", r.what, field, r.body)
	}
	return s
}

func (r *reply) array() []object {
	r.t.Helper()
	var a []object
	if err := json.Unmarshal(r.body, &a); err != nil {
		r.t.Fatalf("%s: %v: %s", r.what, err, r.body)
	}
	return a
}

// single is a request that the exchange takes: one circuit, Dot1q to Dot1q.
func single() object {
	return object{"primaryName": "one", "profileUUID": openProfile, "speed": 50, "speedUnit": "MB",
		"notifications": []string{"john.doe@example.com"}, "primaryPortUUID": acmePort,
		"primaryVlanSTag": 100, "sellerMetroCode": "SV"}
}

// create orders and returns the primary's id.
func (s *site) create(body object) string {
	s.t.Helper()
	return s.post(s.acme, connections, body).want(http.StatusOK).text("primaryConnectionId")
}

func (s *site) approve(id string, sTag int) {
	s.t.Helper()
	s.patch(s.cloud, id, "Approve", object{"primaryPortUUID": cloudPort, "primaryVlanSTag": sTag}).want(http.StatusOK)
}

// state is what the exchange shows of a circuit.
func (s *site) state(id string) string {
	s.t.Helper()
	r := s.get(s.acme, connections+"/"+id).want(http.StatusOK)
	return r.text("status") + "/" + r.text("providerStatus")
}

// serve calls h without a network and returns the body of the answer.
func serve(t testing.TB, h http.Handler, a ask) []byte {
	t.Helper()
	text, err := json.Marshal(a.body)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), a.method, a.path, strings.NewReader(string(text)))
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code >= 300 {
		t.Fatalf("%s %s: %d %s", a.method, a.path, w.Code, w.Body)
	}
	return w.Body.Bytes()
}
