package sandbox_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"patchbay.io/services/sandbox"
)

// FuzzRequests sends an exchange whole requests, one a line: who asks, the method, the
// target and the body. "$0" is the id of the oldest circuit, and a line "sleep 1h" lets time
// pass. Nothing makes the exchange panic or answer 5xx; what it refuses has changed nothing;
// and its books hold together throughout.
func FuzzRequests(f *testing.F) {
	line := func(who, method, target string, body any) string {
		if body == nil {
			return who + " " + method + " " + target
		}
		text, err := json.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		return who + " " + method + " " + target + " " + string(text)
	}
	ecx, fabric := connections+"/$0", fabricBase+"/$0"
	for _, script := range [][]string{
		{ // ECX
			line("acme", "POST", connections, pair()),
			line("acme", "POST", connections, single()),
			line("cloud", "PATCH", ecx+"?action=Approve", object{"primaryPortUUID": cloudPort, "primaryVlanSTag": 7}),
			"sleep 2s",
			line("acme", "PATCH", ecx+"?action=update", object{"connectionNewName": "new", "speed": 100, "speedUnit": "MB"}),
			line("cloud", "PATCH", ecx+"?action=Reject", object{"rejectComment": "no"}),
			line("acme", "GET", "/ecx/v3/l2/buyer/connections?pageSize=1&pageNumber=1", nil),
			line("acme", "DELETE", ecx, nil),
			line("nobody", "POST", "/oauth2/v1/token", object{"grant_type": "password", "client_id": "acme-client", "user_name": "x"}),
		},
		{ // Fabric
			line("acme", "POST", fabricBase, order(colo(acmePort, dot1qLink(100)), byToken(guideToken), nil)),
			line("acme", "POST", fabricBase, toOpen(101)),
			line("acme", "POST", fabricBase, order(colo(acmeQinQ, qinqLink(11, 12)), colo(acmePort2, dot1qLink(5)), nil)),
			line("acme", "PATCH", fabric, []object{{"op": "replace", "path": "/bandwidth", "value": 500}}),
			line("cloud", "POST", fabricBase+"/$1/actions", with(object{"type": "CONNECTION_CREATION_ACCEPTANCE"},
				landingAt(cloudPort, dot1qLink(9)))),
			line("acme", "POST", searchPath, both(cond("/name", "LIKE", "%onn%"))),
			"sleep 2s",
			line("acme", "DELETE", fabric, nil),
			line("acme", "GET", "/fabric/v4/ports?limit=1", nil),
		},
		{ // PacketFabric
			line("acme", "POST", pfThirdParty, pfOrder()),
			line("cloud", "POST", pfRequests+"/$0/provision", pfLanding(cloudCHI, 7)),
			line("acme", "POST", pfBackbone, pfOwn(11, 12)),
			"sleep 1m",
			line("acme", "PATCH", pfServices+"/$0", object{"description": "new"}),
			line("acme", "GET", "/v2.1/services/$0/status", nil),
			line("acme", "DELETE", pfServices+"/$0", nil),
			line("nobody", "POST", "/v2/auth/login", object{"login": "acme", "password": "x"}),
		},
		{ // control
			line("acme", "POST", connections, single()),
			line("nobody", "PUT", "/sandbox/delays", object{"provision": "1s", "answer": "10ms"}),
			line("nobody", "PUT", "/sandbox/robots", object{"profile": "*", "action": "approve", "after": "1s"}),
			line("nobody", "POST", "/sandbox/edits", object{"kind": "rename", "connection": "$0", "name": "x"}),
			line("nobody", "POST", "/sandbox/faults", object{"kind": "throttle", "retryAfter": "1s", "match": object{"method": "GET"}}),
			line("acme", "GET", ecx, nil),
			line("nobody", "DELETE", "/sandbox/faults?id=fault-1", nil),
			line("nobody", "GET", "/sandbox/inventory?tenant=Acme", nil),
		},
	} {
		f.Add(strings.Join(script, "\n"))
	}
	f.Fuzz(func(t *testing.T, script string) {
		synctest.Test(t, func(t *testing.T) {
			x := sandbox.New(sandbox.Config{Seed: 1, Dial: unplugged})
			defer x.Close()
			c := caller{t: t, Exchange: x, handler: x.Handler(), tokens: map[string]string{}}
			for _, who := range []string{"acme", "cloud", "globex"} {
				c.tokens[who] = c.login(who)
			}
			for i, l := range strings.Split(script, "\n") {
				if i == 20 {
					break
				}
				c.line(l)
			}
		})
	})
}

// unplugged is a network on which no webhook answers.
func unplugged(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("nobody is there")
}

// caller calls an exchange without a network, and looks into its books after each call.
type caller struct {
	*sandbox.Exchange
	t       testing.TB
	handler http.Handler
	tokens  map[string]string
	// forced says that somebody made an edit, after which a circuit may be in any state.
	forced bool
}

func (c *caller) login(who string) string {
	var granted struct {
		Token string `json:"access_token"`
	}
	b := serve(c.t, c.handler, ask{"", http.MethodPost, "/oauth2/v1/token", object{"grant_type": "client_credentials",
		"client_id": who + "-client", "client_secret": who + "-secret"}})
	if err := json.Unmarshal(b, &granted); err != nil {
		c.t.Fatal(err)
	}
	return granted.Token
}

// line makes the call that a line of a script says.
func (c *caller) line(l string) {
	who, rest, _ := strings.Cut(l, " ")
	if d, err := time.ParseDuration(rest); who == "sleep" && err == nil {
		time.Sleep(min(d, 24*time.Hour))
		c.checkBooks(l)
		return
	}
	before := c.Inventory()
	method, rest, _ := strings.Cut(c.named(rest, before), " ")
	target, body, _ := strings.Cut(rest, " ")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: exchange\r\n\r\n")))
	if err != nil {
		return // no server hands it on
	}
	r.Body = io.NopCloser(strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+c.tokens[who])
	if method == http.MethodPatch && strings.HasPrefix(target, "/fabric/") {
		r.Header.Set("Content-Type", "application/json-patch+json")
	}
	if strings.HasPrefix(target, "/v2") {
		r.Header.Set("Authorization", "Bearer "+who+"-api-key")
	}
	w := httptest.NewRecorder()
	c.serve(w, r)
	c.forced = c.forced || strings.HasPrefix(target, "/sandbox/edits")
	c.checkAnswer(l, r, w)
	c.checkBooks(l)
	if after := c.Inventory(); w.Code >= 400 && len(c.Faults()) == 0 && after.Now.Equal(before.Now) &&
		!reflect.DeepEqual(circuits(before), circuits(after)) {
		c.t.Errorf("%q is refused with %d and changed\n%+v\nto\n%+v", l, w.Code, circuits(before), circuits(after))
	}
}

// serve lets a fault close the connection, for which the handler panics as net/http wants it.
func (c *caller) serve(w http.ResponseWriter, r *http.Request) {
	defer func() {
		p := recover()
		if err, ok := p.(error); p != nil && (!ok || !errors.Is(err, http.ErrAbortHandler) || len(c.Faults()) == 0) {
			panic(p)
		}
	}()
	c.handler.ServeHTTP(w, r)
}

// circuits are those in the books of both exchanges.
func circuits(v sandbox.Inventory) any { return []any{v.Connections, v.PacketFabric.Circuits} }

// named puts the ids of circuits in the place of "$0" and so on.
func (c *caller) named(text string, v sandbox.Inventory) string {
	var ids []string
	for _, one := range v.Connections {
		ids = append(ids, one.ID)
	}
	for _, one := range v.PacketFabric.Circuits {
		id := one.ID
		if one.CircuitID != "" && !strings.Contains(text, pfRequests) {
			id = one.CircuitID
		}
		ids = append(ids, id)
	}
	for i, id := range ids {
		text = strings.ReplaceAll(text, fmt.Sprint("$", i), id)
	}
	return text
}

func (c *caller) checkAnswer(l string, r *http.Request, w *httptest.ResponseRecorder) {
	body := w.Body.Bytes()
	// The real exchange answers a wrong secret so.
	refusedLogin := strings.HasPrefix(r.URL.Path, "/oauth2/") && strings.Contains(w.Body.String(), `"S1006"`)
	if w.Code >= 500 && !refusedLogin && len(c.Faults()) == 0 {
		c.t.Errorf("%q: %d %s", l, w.Code, body)
	}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !json.Valid(body) && len(c.Faults()) == 0 {
		c.t.Errorf("%q: no JSON: %s", l, body)
	}
}

// checkBooks checks that each circuit has what it sits on, that nothing sits on a port but
// circuits and tokens, and that circuits move along their life.
func (c *caller) checkBooks(l string) {
	if c.forced {
		return
	}
	v := c.Inventory()
	held := map[string]string{} // seats by the circuit on each
	for _, one := range v.Connections {
		before := ""
		for _, h := range one.History {
			if h.Status != before && !slices.Contains(strings.Fields(allowed[before]), h.Status) {
				c.t.Errorf("after %q %s went from %q to %q", l, one.ID, before, h.Status)
			}
			before = h.Status
		}
		if one.Status != "REJECTED" && one.Status != "DEPROVISIONED" {
			hold(held, one.ID, &one.A, one.Z)
		}
	}
	for _, one := range v.PacketFabric.Circuits {
		if slices.Contains([]string{"Pending", "Provisioning", "Active", "Deleting"}, one.State) {
			hold(held, one.ID, &one.A, one.Z)
		}
	}
	for _, p := range v.Ports {
		for _, u := range p.InUse {
			c.release(l, held, p.ID, u)
			if u.CTag == 0 && slices.ContainsFunc(p.InUse, func(o sandbox.TagInUse) bool { return o.STag == u.STag && o.CTag != 0 }) {
				c.t.Errorf("after %q S-tag %d of %s is taken whole and in part", l, u.STag, p.ID)
			}
		}
	}
	for _, p := range v.PacketFabric.Ports {
		for _, u := range p.InUse {
			c.release(l, held, p.ID, u)
		}
	}
	for at, id := range held {
		c.t.Errorf("after %q %s is at %s and does not hold it", l, id, at)
	}
}

// hold notes the seats of a circuit.
func hold(held map[string]string, id string, sides ...*sandbox.Side) {
	for _, s := range sides {
		if s != nil {
			held[fmt.Sprint(*s)] = id
		}
	}
}

// release takes a seat away from who has it, unless it waits for the circuit of a token.
func (c *caller) release(l string, held map[string]string, port string, u sandbox.TagInUse) {
	if u.Token != "" {
		return
	}
	at := fmt.Sprint(sandbox.Side{Port: port, STag: u.STag, CTag: u.CTag})
	if held[at] != u.Connection {
		c.t.Errorf("after %q %s is taken by %s, and the circuit there is %q", l, at, u.Connection, held[at])
	}
	delete(held, at)
}

// FuzzSearch searches with filters. One that is refused is refused however it is wrapped, and
// one that is understood finds the same alone, through the index and by a scan.
func FuzzSearch(f *testing.F) {
	for _, c := range []object{
		cond("/name", "=", "a", "b"), cond("/name", "NOT LIKE", "%a*"), cond("/bandwidth", "BETWEEN", 10, "20"),
		cond("/operation/equinixStatus", "IN", "PENDING_APPROVAL"), cond("/uuid", "IS NOT NULL"), cond("/redundancy/group", "is null"),
		cond("/changeLog/updatedDateTime", ">", "2000-01-01T00:00:01.000Z"), cond("/name", "ILIKE", nil, true, []int{1}),
		either(cond("/state", "!=", "x"), object{"and": []object{cond("/aSide/accessPoint/port/uuid", "=", acmePort)}}),
		{"and": []object{}}, {"or": nil},
	} {
		text, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	x := sandbox.New(sandbox.Config{Seed: 1})
	f.Cleanup(x.Close)
	c := caller{t: f, Exchange: x, handler: x.Handler(), tokens: map[string]string{}}
	c.tokens["acme"] = c.login("acme")
	for _, o := range []object{
		order(colo(acmePort, dot1qLink(10)), colo(acmeQinQ, qinqLink(11, 12)), object{"name": "a", "bandwidth": 10}),
		order(colo(acmePort, dot1qLink(20)), byToken(guideToken), object{"name": "b", "bandwidth": 20}),
		toOpen(30),
	} {
		serve(f, c.handler, ask{c.tokens["acme"], http.MethodPost, fabricBase, o})
	}
	f.Fuzz(func(t *testing.T, filter []byte) {
		if !json.Valid(filter) {
			t.Skip("no filter")
		}
		one := c.search(t, fmt.Sprintf(`{"filter":%s}`, filter))
		and := c.search(t, fmt.Sprintf(`{"filter":{"and":[%s]}}`, filter))
		or := c.search(t, fmt.Sprintf(`{"filter":{"or":[%s]}}`, filter))
		if and != or || string(filter) != "null" && one != and {
			t.Errorf("%s finds %q alone, %q as all of one, %q as any of one", filter, one, and, or)
		}
	})
}

// search returns the ids that a search of Acme finds, or "refused".
func (c *caller) search(t *testing.T, body string) string {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, searchPath, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+c.tokens["acme"])
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	if w.Code == http.StatusBadRequest {
		return "refused"
	}
	var found struct{ Data []struct{ UUID string } }
	if err := json.Unmarshal(w.Body.Bytes(), &found); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", body, w.Code, w.Body)
	}
	return fmt.Sprint(found.Data)
}

// FuzzScenario reads scenario files. What is wrong with one is said by line; one that is right
// is played to its end without a word about a robot or fault that cannot be.
func FuzzScenario(f *testing.F) {
	for _, s := range []string{
		"seed: 7\nlockAfter: -1\ndelays: {answer: 20ms, history: 0s}\nrobots:\n  - {profile: \"*\", action: reject, after: 5s, on: [create]}\n",
		"faults:\n  - {kind: throttle, match: {method: POST, path: /v2/, tenant: acme-client}, times: -1, every: 2, retryAfter: 2s}\n",
		"steps:\n  - {at: 1m, delays: {provision: 30s}}\n  - at: 2m\n    clearFaults: true\n    edits:\n      - {kind: rename, connection: a, name: b}\n      - {kind: expire-tokens}\n",
		"steps: &a\n  - {at: 1s, edits: *a}\n", "a: &a [*a]", "? [a]\n: b", "---\n", "# nothing\n", "~", "seed: 1e400", "\xff\xfe", "%YAML 1.1\n---\nseed: 1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := sandbox.ReadScenario(file)
		if err != nil {
			var wrong sandbox.Mistakes
			if !errors.As(err, &wrong) || len(wrong) == 0 || slices.ContainsFunc(wrong, func(m sandbox.Mistake) bool { return m.Text == "" }) {
				t.Fatalf("error %v, want a list of mistakes", err)
			}
			return
		}
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			x := sandbox.New(sandbox.Config{Scenario: s, Log: zerolog.New(&log), Dial: unplugged})
			defer x.Close()
			if n := len(s.Steps); n > 0 {
				time.Sleep(s.Steps[n-1].At)
			}
			x.Inventory() // does what has fallen due
			if strings.Contains(log.String(), "scenario: robot") || strings.Contains(log.String(), "scenario: fault") {
				t.Errorf("%q is taken for a scenario, and then: %s", file, log.String())
			}
		})
	})
}

// FuzzKept opens files that another program, a crash or a person has written. One is
// refused, or opened; and what was opened once is the same when it is opened again.
func FuzzKept(f *testing.F) {
	state := filepath.Join(f.TempDir(), "sandbox.jsonl")
	cfg := sandbox.Config{Seed: 1, Delays: sandbox.Delays{Provision: time.Hour, Deprovision: time.Hour}}
	x, err := sandbox.Open(cfg, state)
	if err != nil {
		f.Fatal(err)
	}
	s := attach(f, x)
	s.create(single())
	s.create(with(single(), object{"primaryVlanSTag": 101}))
	whole, err := os.ReadFile(state)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(bytes.ToUpper(whole))
	f.Add([]byte(`{"id":"x","gone":true}` + "\n{}\n"))
	f.Add([]byte("null\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var before sandbox.Inventory
		for i := range 2 {
			x, err := sandbox.Open(cfg, file)
			if err != nil && i == 0 {
				return
			}
			if err != nil {
				t.Fatalf("%q was opened, and then: %v", text, err)
			}
			after := x.Inventory()
			x.Close()
			if i > 0 && !reflect.DeepEqual(before.Connections, after.Connections) {
				t.Errorf("%q: opened again it has\n%+v\nwant\n%+v", text, after.Connections, before.Connections)
			}
			before = after
		}
	})
}
