package simulation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"patchbay.io/services/sandbox"
)

// Customers of the exchanges, by the beginning of their credentials: the seller, and one
// who is none of ours.
const (
	cloud  = "cloud"
	globex = "globex"
)

// customer is somebody who calls the exchanges' APIs himself.
type customer struct {
	w      *world
	name   string
	bearer string
}

// as returns a customer who has logged in.
func (w *world) as(name string) customer {
	c := customer{w: w, name: name}
	var token struct {
		Access string `json:"access_token"`
	}
	c.call(http.MethodPost, "/oauth2/v1/token", map[string]string{
		"grant_type": "client_credentials", "client_id": name + "-client", "client_secret": name + "-secret",
	}, &token)
	c.bearer = token.Access
	return c
}

// call calls an exchange. Who is hit by a fault gives up.
func (c customer) call(method, path string, body, into any) {
	l := newLine()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.w.network.dial(ctx, l) },
	}}
	defer client.CloseIdleConnections()
	b, err := json.Marshal(body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.w.t.Context(), method, base+path, bytes.NewReader(b))
	if err != nil {
		c.w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.bearer)
	res, err := client.Do(req)
	if err != nil {
		return
	}
	defer func() { _ = res.Body.Close() }()    // read to the end or not, it is over
	_ = json.NewDecoder(res.Body).Decode(into) // likewise
}

// stranger has another customer order at our seller, at one of the three APIs.
func (w *world) stranger(n int) {
	c, name := w.as(globex), fmt.Sprintf("stranger-%d", n)
	var answer struct{}
	switch w.pick(3) {
	case 0:
		c.call(http.MethodPost, "/ecx/v3/l2/connections", map[string]any{
			"primaryName": name, "profileUUID": ways()[0].profile, "speed": 50, "speedUnit": "MB",
			"notifications": []string{"max.muster@example.org"}, "authorizationKey": canary,
			"primaryPortUUID": strangerPort(w.exchange), "primaryVlanSTag": 3000 + n, "sellerMetroCode": "SV",
		}, &answer)
	case 1:
		c.call(http.MethodPost, "/fabric/v4/connections", map[string]any{
			"type": "EVPL_VC", "name": name, "bandwidth": 50,
			"notifications": []any{map[string]any{"type": "ALL", "emails": []string{"max.muster@example.org"}}},
			"order":         map[string]any{"purchaseOrderNumber": name},
			"aSide": map[string]any{"accessPoint": map[string]any{
				"type": "COLO", "port": map[string]string{"uuid": strangerPort(w.exchange)},
				"linkProtocol": map[string]any{"type": "DOT1Q", "vlanTag": 3000 + n},
			}},
			"zSide": map[string]any{"accessPoint": map[string]any{
				"type": "SP", "profile": map[string]string{"type": "L2_PROFILE", "uuid": ways()[0].profile},
				"location": map[string]string{"metroCode": "SV"}, "authenticationKey": canary,
			}},
		}, &answer)
	default:
		c.bearer = globex + "-api-key"
		c.call(http.MethodPost, "/v2/services/third-party", map[string]any{
			"routing_id": sellersRouting, "market": []string{"NYC", "CHI", "ATL"}[w.pick(3)], "description": name,
			"rate_limit_in": 50, "rate_limit_out": 50, "flex_bandwidth_id": "PF-FB-3000001",
			"interface": map[string]any{"port_circuit_id": "PF-AP-NYC1-310000" + fmt.Sprint(1+n%2), "vlan": 3000 + n},
		}, &answer)
	}
}

func strangerPort(x *sandbox.Exchange) string {
	ports := x.Inventory().Ports
	i := slices.IndexFunc(ports, func(p sandbox.Port) bool {
		return p.Tenant == "Globex" && p.Encapsulation == "Dot1q" && p.Metro == "SV"
	})
	return ports[i].ID
}

// portal does things behind our back: a stranger orders, somebody edits a circuit, or at
// PacketFabric the seller's people decide by themselves.
func (w *world) portal(n int) {
	switch w.pick(4) {
	case 0, 1:
		w.note("stranger orders")
		w.stranger(n)
	case 2:
		r := sandbox.Robot{Profile: backupService, Action: []string{"approve", "approve", "reject"}[w.pick(3)], After: w.upTo(time.Minute)}
		w.note("portal decides: %s after %v", r.Action, r.After)
		if err := w.exchange.SetRobot(r); err != nil {
			w.t.Errorf("robot: %v", err)
		}
	default:
		w.edit()
	}
}

// edit edits a circuit that is in service. It may have begun to end by now, which the
// portal then refuses.
func (w *world) edit() {
	type circuit struct{ id, name string }
	var all []circuit
	inventory := w.exchange.Inventory()
	for _, c := range inventory.Connections {
		if c.Status == "PROVISIONED" && c.WantedMbps == 0 {
			all = append(all, circuit{c.ID, c.Name})
		}
	}
	for _, c := range inventory.PacketFabric.Circuits {
		if c.State == "Active" {
			all = append(all, circuit{c.ID, c.Description})
		}
	}
	if len(all) == 0 {
		return
	}
	c := all[w.pick(len(all))]
	e := sandbox.Edit{Connection: c.id}
	switch w.pick(4) {
	case 0:
		e.Kind = "delete"
	case 1:
		e.Kind, e.SpeedMbps = "speed", 100
	default:
		e.Kind, e.Name = "rename", c.name+"-p"
	}
	err := w.exchange.Edit(e)
	if e.Kind == "rename" && err == nil {
		w.mu.Lock()
		w.renamed[c.id] = cmp.Or(w.renamed[c.id], c.name)
		w.mu.Unlock()
	}
	w.note("portal: %s of %s: %v", e.Kind, c.name, err)
}
