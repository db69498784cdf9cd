package acceptance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/account"
	"patchbay.io/services/sandbox"
)

// apis are the three exchanges, as accounts name them.
var apis = []string{"ecx", "fabric", "packetfabric"}

// venue is a sandbox in this process that remembers all that it was asked, bodies too.
type venue struct {
	t    *testing.T
	x    *sandbox.Exchange
	base string
	// loses says that of every so many calls that decide something the answer of one is
	// lost, though they did what was asked; 0 is none. It is set before anybody calls.
	loses   int64
	decided atomic.Int64
	lost    atomic.Int64

	mu    sync.Mutex
	asked []asked
}

// asked is one request.
type asked struct {
	method, path, query, body string
	shown                     string // to say who asks
	decides                   bool
}

// opened serves a sandbox until the test ends.
func opened(t *testing.T, d sandbox.Delays) *venue {
	t.Helper()
	v := &venue{t: t, x: sandbox.New(sandbox.Config{Delays: d, LockAfter: -1})}
	srv := httptest.NewServer(v)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		v.x.Close()
	})
	v.base = srv.URL
	return v
}

func (v *venue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/sandbox/") {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller is gone
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		v.mu.Lock()
		v.asked = append(v.asked, asked{
			r.Method, r.URL.Path, r.URL.RawQuery, string(b), r.Header.Get("Authorization"), decides(r),
		})
		v.mu.Unlock()
		if v.loses > 0 && decides(r) && v.decided.Add(1)%v.loses == 0 {
			v.x.Handler().ServeHTTP(httptest.NewRecorder(), r)
			v.lost.Add(1)
			panic(http.ErrAbortHandler)
		}
	}
	v.x.Handler().ServeHTTP(w, r)
}

// decides reports whether a call creates or decides something.
func decides(r *http.Request) bool {
	for _, asks := range []string{"/search", "/validate", "/token"} {
		if strings.HasSuffix(r.URL.Path, asks) {
			return false
		}
	}
	return r.Method != http.MethodGet && r.URL.Query().Get("dryRun") != "true"
}

// since returns what was asked after the first n requests.
func (v *venue) since(n int) []asked {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.asked[n:])
}

// apiOf is the exchange that a path belongs to.
func apiOf(path string) string {
	switch {
	case strings.HasPrefix(path, "/ecx/"):
		return "ecx"
	case strings.HasPrefix(path, "/fabric/"):
		return "fabric"
	case strings.HasPrefix(path, "/v2"):
		return "packetfabric"
	default:
		return "login"
	}
}

// accounts writes an accounts file for a buyer and a seller at each exchange, whose budgets
// are no bottleneck. The policy is YAML; that of an exchange without one approves all.
func (v *venue) accounts(policy map[string]string) setup {
	v.t.Helper()
	var b strings.Builder
	b.WriteString("accounts:\n")
	for _, a := range account.Sandbox(v.base).Accounts {
		tenant, api, _ := strings.Cut(a.Name, "-")
		credentials := fmt.Sprintf("{clientId: env:ID_%s, clientSecret: env:SECRET_%[1]s}", tenant)
		if api == "packetfabric" {
			credentials = "{apiKey: env:KEY_" + tenant + "}"
		}
		fmt.Fprintf(&b, "  - name: %s\n    api: %s\n    role: %s\n    baseUrl: %s\n    credentials: %s\n"+
			"    budgetPerMinute: 60000\n    attempt: 5s\n    quiet: 5s\n", a.Name, a.API, a.Role, v.base, credentials)
		if len(a.Landing) == 0 {
			continue
		}
		b.WriteString("    landing:\n")
		for _, l := range a.Landing {
			place := "metro: " + l.Metro
			if l.Market != "" {
				place = "market: " + l.Market
			}
			fmt.Fprintf(&b, "      - {%s, encapsulation: %s, tags: %q, ports: [%s]}\n",
				place, l.Encapsulation, l.Tags, strings.Join(l.Ports, ", "))
		}
		fmt.Fprintf(&b, "    policy:\n%s%s", policy[api], approveAll)
	}
	file := filepath.Join(v.t.TempDir(), "accounts.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		v.t.Fatal(err)
	}
	return setup{args: []string{"--accounts", file}, env: []string{
		"ID_acme=acme-client", "SECRET_acme=acme-secret", "KEY_acme=acme-api-key",
		"ID_cloud=cloud-client", "SECRET_cloud=cloud-secret", "KEY_cloud=cloud-api-key",
	}}
}

// circuits are those of all exchanges, of one organization.
func (v *venue) circuits(buyer string) []invariants.Circuit {
	return slices.DeleteFunc(invariants.Circuits(v.x.Inventory()), func(c invariants.Circuit) bool { return c.Buyer != buyer })
}

// globex asks the exchange for something as Globex, the third tenant, and returns the answer.
func (v *venue) globex(path string, body any) object {
	v.t.Helper()
	bearer := "globex-api-key"
	if apiOf(path) != "packetfabric" {
		var login struct {
			Token string `json:"access_token"`
		}
		decode(v.t, ask(v.t, http.MethodPost, v.base+"/oauth2/v1/token", object{
			"grant_type": "client_credentials", "client_id": "globex-client", "client_secret": "globex-secret",
		}), &login)
		bearer = login.Token
	}
	b, err := json.Marshal(body)
	if err != nil {
		v.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.base+path, bytes.NewReader(b))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		v.t.Fatalf("Globex: %s: %s %v\n%s", path, resp.Status, err, answer)
	}
	var out object
	decode(v.t, answer, &out)
	return out
}

// Ports of the sandbox's buyer; see docs/sandbox.md.
const (
	secondDot1q = "aced1050-0000-4000-8000-000000000002"
	ashburn     = "aced10d0-0000-4000-8000-000000000001"
	newYork     = "PF-AP-NYC1-1100001"
	newYork2    = "PF-AP-NYC1-1100002"
	atlanta     = "PF-AP-ATL1-1100001"
	routing     = "TR-1RI-OQ85" // the seller's
	ownECX      = "acef0000-0000-4000-8000-000000000001"
)

// at is the n-th create at an exchange, to its seller, whose consent it needs. No two have the
// same tag; requests at PacketFabric look alike if n is the same modulo 8.
func at(api string, n int, changes ...func(object)) []byte {
	switch api {
	case "fabric":
		changes = append([]func(object){set("account", "acme-fabric"), set("primary.aSide.portId", secondDot1q)}, changes...)
	case "packetfabric":
		speeds := []int{50, 100, 200, 300, 400, 500, 1000, 2000}
		changes = append([]func(object){
			set("account", "acme-packetfabric"), set("bandwidthMbps", speeds[n%len(speeds)]),
			set("billing", object{"accountId": "b2af000f-d15f-4413-9645-6f566e641c29", "longhaul": "dedicated", "termMonths": 1}),
			set("primary.aSide.portId", newYork), set("primary.zSide", object{"routingId": routing, "market": "CHI"}),
		}, changes...)
	}
	return single(n, changes...)
}

// own makes a create one that nobody has to agree to.
func own(api string, n int) func(object) {
	switch api {
	case "fabric":
		return set("primary.zSide", object{"portId": ashburn, "tag": object{"vlan": 200 + n}})
	case "packetfabric":
		return set("primary.zSide", object{"portId": atlanta, "tag": object{"vlan": 200 + n}})
	default:
		return set("primary.zSide.profileId", ownECX)
	}
}
