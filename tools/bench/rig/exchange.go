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

	"patchbay.io/services/sandbox"
)

// Exchange is the sandbox behind a socket of the loopback interface.
type Exchange struct {
	*sandbox.Exchange
	URL string

	calls    atomic.Int64
	onCreate atomic.Pointer[func(name string)]
	server   *http.Server
	work     errgroup.Group
}

// AtOnce are the delays of an exchange that does everything at once. No delays at all
// would mean the default ones.
func AtOnce() sandbox.Delays {
	return sandbox.Delays{Provision: time.Nanosecond, Deprovision: time.Nanosecond}
}

// StartExchange starts an exchange that has the default inventory and no circuits.
func StartExchange(ctx context.Context, d sandbox.Delays) (*Exchange, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	x := &Exchange{Exchange: sandbox.New(sandbox.Config{Seed: 1, Delays: d}), URL: "http://" + l.Addr().String()}
	x.server = &http.Server{Handler: x.counting(x.Handler()), ReadHeaderTimeout: 10 * time.Second}
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

// Stop ends the server and waits for it.
func (x *Exchange) Stop() error {
	_ = x.server.Close() // who is still calling has been stopped before
	err := x.work.Wait()
	x.Close()
	return err
}

// Wish is a circuit to be ordered.
type Wish struct {
	Name, Port, Profile, Metro string
	VLAN                       int
}

// Wishes makes circuits from a Dot1q port of the sandbox's buyer to its seller, on VLANs
// that are used once each.
type Wishes struct {
	ports []string
	made  int
}

// NewWishes returns wishes for the exchange.
func NewWishes(x *Exchange) *Wishes {
	w := &Wishes{}
	for _, p := range x.Inventory().Ports {
		if strings.HasPrefix(p.ID, buyersPorts) && p.Encapsulation == "Dot1q" && !p.Managed {
			w.ports = append(w.ports, p.ID)
		}
	}
	return w
}

// buyersPorts begin the ids of the Dot1q ports that the buyer has, two in each metro.
const buyersPorts = "aced1"

// The seller's profile whose requests the seller approves, and where it has ports.
const sellersProfile = "c10f0000-0000-4000-8000-000000000008"

func metros() []string { return []string{"SV", "DC", "SE"} }

// Next returns one more.
func (w *Wishes) Next() Wish {
	n := w.made
	w.made++
	return Wish{
		Name: fmt.Sprintf("bench-%d", n), Profile: sellersProfile, Metro: metros()[n%3],
		Port: w.ports[n%len(w.ports)], VLAN: 2 + n/len(w.ports),
	}
}

// Intent is the wish as an intent of the product.
func (w Wish) Intent() []byte {
	return fmt.Appendf(nil, `{"account":"acme-ecx","name":%q,"bandwidthMbps":200,"notifications":["john.doe@example.com"],`+
		`"primary":{"aSide":{"portId":%q,"tag":{"vlan":%d}},"zSide":{"profileId":%q,"metro":%q}}}`,
		w.Name, w.Port, w.VLAN, w.Profile, w.Metro)
}
