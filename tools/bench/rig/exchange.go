package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/account"
	"patchbay.io/services/sandbox"
)

// Endpoint is where an exchange is.
type Endpoint struct {
	URL string
	// API is the one of those it speaks that circuits are ordered at.
	API account.API
}

// Exchange is the sandbox behind a socket of the loopback interface.
type Exchange struct {
	*sandbox.Exchange
	Endpoint

	calls    atomic.Int64
	onCreate atomic.Pointer[func(name string)]
	withheld atomic.Pointer[withheld]
	server   *http.Server
	work     errgroup.Group
}

// AtOnce are the delays of an exchange that does everything at once. No delays at all
// would mean the default ones.
func AtOnce() sandbox.Delays {
	return sandbox.Delays{Provision: time.Nanosecond, Deprovision: time.Nanosecond}
}

// StartExchange starts an exchange that has the default inventory and no circuits.
func StartExchange(ctx context.Context, api account.API, d sandbox.Delays) (*Exchange, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	x := &Exchange{Exchange: sandbox.New(sandbox.Config{Seed: 1, Delays: d}), Endpoint: Endpoint{"http://" + l.Addr().String(), api}}
	x.server = &http.Server{Handler: x.counting(x.withholding(x.Handler())), ReadHeaderTimeout: 10 * time.Second}
	x.work.Go(func() error {
		if err := x.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return x, nil
}

// counting counts calls and tells who wants to know of creates.
func (x *Exchange) counting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.calls.Add(1)
		if told := x.onCreate.Load(); told != nil && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/l2/connections") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return // the client has gone
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			var order struct{ PrimaryName string }
			if json.Unmarshal(body, &order) == nil {
				(*told)(order.PrimaryName)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// OnCreate has told called with the name of each circuit that is ordered at ECX, when the
// order arrives.
func (x *Exchange) OnCreate(told func(name string)) { x.onCreate.Store(&told) }

// Calls is how many requests were made so far.
func (x *Exchange) Calls() int64 { return x.calls.Load() }

// budget is the largest that an accounts file allows, in calls a minute: the gates are
// gone through, and never shut.
const budget = 60_000

// orders is the path that circuits are ordered at.
func (e Endpoint) orders() string {
	if e.API == account.PacketFabric {
		return "/v2/services/third-party"
	}
	return "/ecx/v3/l2/connections"
}

// LoseAnswers lets every nth order be carried out and its answer be lost, from now on.
func (x *Exchange) LoseAnswers(every int) error {
	_, err := x.AddFault(sandbox.Fault{
		Kind: sandbox.LostAnswer, Times: -1, Every: every, Match: sandbox.Match{Method: http.MethodPost, Path: x.orders()},
	})
	return err
}

// Circuits is how many circuits were ever ordered, by the exchange's own books.
func (x *Exchange) Circuits() int {
	all := x.Inventory()
	return len(all.Connections) + len(all.PacketFabric.Circuits)
}

// Named is how many circuits were ever ordered by each name, by the exchange's own books.
func (x *Exchange) Named() map[string]int {
	all, named := x.Inventory(), map[string]int{}
	for _, c := range all.Connections {
		named[c.Name]++
	}
	for _, c := range all.PacketFabric.Circuits {
		named[c.Description]++ // where a name goes at PacketFabric
	}
	return named
}

// Accounts are those at the API: one that buys, and one that sells and approves every create.
func (e Endpoint) Accounts() account.File {
	var f account.File
	for _, a := range account.Sandbox(e.URL).Accounts {
		if a.API == e.API {
			a.BudgetPerMinute = budget
			f.Accounts = append(f.Accounts, a)
		}
	}
	return f
}

// PushTo subscribes the buyer's organisation: the exchange pushes what happens to its circuits
// to a webhook, as to whoever has asked for that at Fabric.
func (x *Exchange) PushTo(ctx context.Context, hook string) error {
	var login struct {
		Token string `json:"access_token"`
	}
	err := x.call(ctx, "POST /oauth2/v1/token", "",
		`{"grant_type":"client_credentials","client_id":"acme-client","client_secret":"acme-secret"}`, &login)
	if err != nil {
		return err
	}
	var stream struct{ UUID string }
	err = x.call(ctx, "POST /fabric/v4/streams", login.Token,
		`{"type":"TELEMETRY_STREAM","name":"bench","project":{"projectId":"`+buyersProject+`"}}`, &stream)
	if err != nil {
		return err
	}
	path := "/fabric/v4/streams/" + stream.UUID
	return errors.Join(
		x.call(ctx, "PUT "+path+"/organizations/"+buyersOrganization, login.Token, "{}", nil),
		x.call(ctx, "POST "+path+"/subscriptions", login.Token, fmt.Sprintf(
			`{"type":"STREAM_SUBSCRIPTION","name":"bench","eventSelector":{"include":["equinix.fabric.connection.*"]},"sink":{`+
				`"type":"WEBHOOK","settings":{"eventUri":%q,"format":"CLOUDEVENT"},"credential":{"type":"ACCESS_TOKEN","accessToken":%q}}}`,
			hook, hookToken), nil))
}

// Of the buyer, in the sandbox's inventory.
const (
	buyersProject      = "ace00000-0000-4000-8000-00000000000a"
	buyersOrganization = "85287"
)

// call sends a request, such as "PUT /path", to the exchange, and reads the answer into v,
// which may be nil.
func (x *Exchange) call(ctx context.Context, what, token, body string, v any) error {
	method, path, _ := strings.Cut(what, " ")
	req, err := http.NewRequestWithContext(ctx, method, x.URL+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode > 299 {
		return fmt.Errorf("%s: %s: %s", what, resp.Status, answer)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(answer, v)
}

// Stop ends the server and waits for it.
func (x *Exchange) Stop() error {
	_ = x.server.Close() // who is still calling has been stopped before
	err := x.work.Wait()
	x.Close()
	return err
}

// Wish is a circuit to be ordered, and where its seller will land it. The product chooses
// the landing itself and is not told.
type Wish struct {
	API            account.API
	Name           string
	Port           string
	Profile, Metro string // of the seller; at PacketFabric his routing id and market
	VLAN           int
	SellersPort    string
	SellersVLAN    int
}

// Wishes makes circuits from a Dot1q port of the sandbox's buyer to its seller, on VLANs
// that are used once each.
type Wishes struct {
	api           account.API
	seller        string
	ports, metros []string
	sellersPorts  map[string][]string // by metro
	made          int
}

// NewWishes returns wishes for the exchange, at ECX or PacketFabric.
func NewWishes(x *Exchange) *Wishes {
	w := &Wishes{api: x.API, sellersPorts: map[string][]string{}}
	add := func(id, metro, buyers, sellers string) {
		switch {
		case strings.HasPrefix(id, buyers):
			w.ports = append(w.ports, id)
		case strings.HasPrefix(id, sellers):
			if w.sellersPorts[metro] == nil {
				w.metros = append(w.metros, metro)
			}
			w.sellersPorts[metro] = append(w.sellersPorts[metro], id)
		}
	}
	all := x.Inventory()
	if x.API == account.PacketFabric {
		w.seller = sellersRouting
		for _, p := range all.PacketFabric.Ports {
			add(p.ID, p.Market, "PF-AP-"+p.Market+"1-11", "PF-AP-"+p.Market+"1-21")
		}
		return w
	}
	w.seller = sellersProfile
	for _, p := range all.Ports {
		if !p.Managed {
			add(p.ID, p.Metro, "aced1", "c10d1") // a tenant's Dot1q ports, some in each metro
		}
	}
	return w
}

// The seller's profile whose requests the seller approves, and his name at PacketFabric.
const (
	sellersProfile = "c10f0000-0000-4000-8000-000000000008"
	sellersRouting = "TR-1RI-OQ85"
	buyersBilling  = "b2af000f-d15f-4413-9645-6f566e641c29"
)

// firstVLAN is one that every port takes.
const firstVLAN = 100

// Next returns one more.
func (w *Wishes) Next() Wish {
	n := w.made
	w.made++
	metro, nth := w.metros[n%len(w.metros)], n/len(w.metros)
	landings := w.sellersPorts[metro]
	return Wish{
		API: w.api, Name: fmt.Sprintf("bench-%d", n), Profile: w.seller, Metro: metro,
		Port: w.ports[n%len(w.ports)], VLAN: firstVLAN + n/len(w.ports),
		SellersPort: landings[nth%len(landings)], SellersVLAN: firstVLAN + nth/len(landings),
	}
}

// Intent is the wish as an intent of the product.
func (w Wish) Intent() []byte {
	seller, metro, more := "profileId", "metro", ""
	if w.API == account.PacketFabric {
		seller, metro, more = "routingId", "market", `"billing":{"accountId":"`+buyersBilling+`","termMonths":1},`
	}
	return fmt.Appendf(nil, `{"account":"acme-%s","name":%q,"bandwidthMbps":200,%s`+
		`"notifications":[{"type":"ALL","emails":["john.doe@example.com"]}],`+
		`"primary":{"aSide":{"portId":%q,"tag":{"vlan":%d}},"zSide":{%q:%q,%q:%q}}}`,
		w.API, w.Name, more, w.Port, w.VLAN, seller, w.Profile, metro, w.Metro)
}
