package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/status"
	"patchbay.io/services/sandbox"
)

// object is a JSON object to be sent.
type object = map[string]any

// crowd is an exchange full of circuits that one buyer ordered by one API.
type crowd struct {
	t        *testing.T
	api      account.API
	exchange *sandbox.Exchange
	handler  http.Handler
	bearer   string
	granted  time.Time
	ports    []string
	made     int
	// passing are the exchange's ids of circuits that will be deleted, the oldest first;
	// staying, of those that will get new names, and named counts them.
	passing, staying []string
	named            int
}

func newCrowd(t *testing.T, api account.API, size int) *crowd {
	t.Helper()
	x := sandbox.New(sandbox.Config{Seed: 1, Delays: sandbox.Delays{
		Provision: 30 * time.Second, Deprovision: 30 * time.Second, History: time.Minute}})
	c := &crowd{t: t, api: api, exchange: x, handler: x.Handler(), bearer: "acme-api-key"}
	v := x.Inventory()
	for _, p := range v.Ports {
		if api != account.PacketFabric && p.Tenant == "Acme" && p.Encapsulation == "Dot1q" && !p.Managed {
			c.ports = append(c.ports, p.ID)
		}
	}
	for _, p := range v.PacketFabric.Ports {
		if api == account.PacketFabric && p.Tenant == "Acme" && !p.ENNI {
			c.ports = append(c.ports, p.ID)
		}
	}
	if err := x.SetRobot(sandbox.Robot{Profile: "*", Action: "approve"}); err != nil {
		t.Fatal(err)
	}
	for range size / 2 {
		c.passing, c.staying = append(c.passing, c.order()), append(c.staying, c.order())
	}
	time.Sleep(10 * time.Minute) // until all are at rest
	for _, id := range slices.Concat(c.passing, c.staying) {
		if s := c.history(id); s[len(s)-1].status != status.Provisioned {
			t.Fatalf("circuit %s is %s at the beginning", id, s[len(s)-1].status)
		}
	}
	return c
}

// login gets a new token when the old one is about to end.
func (c *crowd) login() {
	c.t.Helper()
	if c.api == account.PacketFabric || time.Since(c.granted) < 30*time.Minute {
		return
	}
	var got struct {
		Token string `json:"access_token"`
	}
	c.call("/oauth2/v1/token", object{"grant_type": "client_credentials",
		"client_id": "acme-client", "client_secret": "acme-secret"}, &got)
	c.bearer, c.granted = got.Token, time.Now()
}

// call posts to the exchange without a network.
func (c *crowd) call(path string, body object, into any) {
	c.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(b))
	r.Header.Set("Authorization", "Bearer "+c.bearer)
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	if w.Code >= http.StatusBadRequest {
		c.t.Fatalf("POST %s: %d %s", path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		c.t.Fatal(err)
	}
}

// order makes one more circuit, on the next free VLAN, and returns the exchange's id of it.
func (c *crowd) order() string {
	c.login()
	n := c.made
	c.made++
	name := fmt.Sprintf("c-%d", n)
	port, vlan := c.ports[n%len(c.ports)], 100+n/len(c.ports)
	metro := []string{"SV", "DC", "SE"}[n%3]
	var got struct {
		ECX     string `json:"primaryConnectionId"`
		Fabric  string `json:"uuid"`
		Request string `json:"vc_request_uuid"`
	}
	switch c.api {
	case account.ECX:
		c.call("/ecx/v3/l2/connections", object{"primaryName": name, "speed": 50, "speedUnit": "MB",
			"profileUUID": "c10f0000-0000-4000-8000-000000000005", "authorizationKey": "xxxxxxxx",
			"notifications": []string{"john.doe@example.com"}, "primaryPortUUID": port,
			"primaryVlanSTag": vlan, "sellerMetroCode": metro}, &got)
		return got.ECX
	case account.Fabric:
		c.call("/fabric/v4/connections", object{"type": "EVPL_VC", "name": name, "bandwidth": 50,
			"aSide": object{"accessPoint": object{"type": "COLO", "port": object{"uuid": port},
				"linkProtocol": object{"type": "DOT1Q", "vlanTag": vlan}}},
			"zSide": object{"accessPoint": object{"type": "SP", "location": object{"metroCode": metro},
				"profile": object{"type": "L2_PROFILE", "uuid": "c10f0000-0000-4000-8000-000000000009"}}},
			"notifications": []object{{"type": "ALL", "emails": []string{"john.doe@example.com"}}}}, &got)
		return got.Fabric
	default:
		c.call("/v2/services/third-party", object{"routing_id": "TR-1RI-OQ85", "description": name,
			"market":    []string{"NYC", "CHI", "ATL", "LAX"}[n%4],
			"interface": object{"port_circuit_id": port, "vlan": vlan},
			"bandwidth": object{"account_uuid": "b2af000f-d15f-4413-9645-6f566e641c29", "longhaul_type": "dedicated",
				"subscription_term": 1, "speed": "50Mbps"}}, &got)
		return got.Request
	}
}

// end deletes the oldest circuit, in the portal, and returns its id.
func (c *crowd) end() string {
	c.t.Helper()
	id := c.passing[0]
	c.passing = c.passing[1:]
	if err := c.exchange.Edit(sandbox.Edit{Kind: "delete", Connection: id}); err != nil {
		c.t.Fatal(err)
	}
	return id
}

// rename gives the next circuit a new name, in the portal, and returns that and the name
// that it was given before.
func (c *crowd) rename() (name, before string) {
	c.t.Helper()
	name, before = fmt.Sprintf("renamed-%d", c.named), fmt.Sprintf("renamed-%d", c.named-len(c.staying))
	id := c.staying[c.named%len(c.staying)]
	c.named++
	if err := c.exchange.Edit(sandbox.Edit{Kind: "rename", Connection: id, Name: name}); err != nil {
		c.t.Fatal(err)
	}
	return name, before
}

// entered is a status and when a circuit came into it, or when that was told.
type entered struct {
	status  status.Status
	at      time.Time
	skipped bool // told with the word that steps before it were missed
}

// history is what a circuit went through by the exchange's own books, in our words.
func (c *crowd) history(id string) []entered {
	c.t.Helper()
	var steps []sandbox.Step
	if c.api == account.PacketFabric {
		v, ok := c.exchange.PFCircuit(id)
		if !ok {
			c.t.Fatalf("the exchange has no circuit %s", id)
		}
		steps = v.History
	} else {
		v, ok := c.exchange.Connection(id)
		if !ok {
			c.t.Fatalf("the exchange has no circuit %s", id)
		}
		steps = v.History
	}
	var all []entered
	for _, s := range steps {
		words := status.Native{Status: s.Status, ProviderStatus: s.ProviderStatus}
		if c.api == account.PacketFabric && strings.ToLower(s.Status) != s.Status {
			words = status.Native{State: s.Status} // a circuit's words have a capital, a request's have none
		}
		is := status.Normalise(status.API(c.api), words).Status
		if len(all) == 0 || all[len(all)-1].status != is {
			all = append(all, entered{is, s.At, false})
		}
	}
	return all
}
