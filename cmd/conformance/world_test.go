package conformance_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/ecx"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/exchange/fabric"
	"patchbay.io/pkg/exchange/packetfabric"
	"patchbay.io/pkg/status"
	"patchbay.io/services/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is an adapter, which lets go of its connections in the end.
type client interface {
	exchange.Client
	Close()
}

// world is the sandbox with a buyer and a seller at one of its APIs, in virtual time.
type world struct {
	sandbox       *sandbox.Exchange
	api           account.API
	buyer, seller exchange.Client
	start         time.Time
}

// inWorld runs a test in a bubble of virtual time, at ECX.
func inWorld(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	inWorldOf(t, account.ECX, test)
}

// inWorldOf runs a test in a bubble of virtual time, at an API.
func inWorldOf(t *testing.T, api account.API, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{sandbox: sandbox.New(sandbox.Config{Seed: 1}), api: api, start: time.Now()}
		dial := exchangetest.Serve(t, w.sandbox.Handler())
		t.Cleanup(w.sandbox.Close)
		accounts := account.Sandbox("http://sandbox.test")
		w.buyer = open(t, accounts, "acme-"+string(api), dial)
		w.seller = open(t, accounts, "cloud-"+string(api), dial)
		test(t, w)
	})
}

func open(t *testing.T, accounts account.File, name string, dial func(context.Context, string, string) (net.Conn, error)) exchange.Client {
	t.Helper()
	a, ok := accounts.ByName(name)
	if !ok {
		t.Fatalf("the sandbox's accounts have no %s", name)
	}
	var c client
	var err error
	cfg := exchange.Config{Account: a, Dial: dial}
	switch a.API {
	case account.ECX:
		c, err = ecx.New(cfg)
	case account.Fabric:
		c, err = fabric.New(cfg)
	case account.PacketFabric:
		c, err = packetfabric.New(cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// want fails the test unless the outcome has a class.
func want(t *testing.T, what string, out exchange.Outcome, class exchange.Class) {
	t.Helper()
	if out.Class != class {
		t.Fatalf("%s: %+v, want %s", what, out, class)
	}
}

func number(n int32) *int32 { return &n }

func vlan(n int32) *patchbayv1.Tag { return &patchbayv1.Tag{Vlan: &n} }

// double is an S-tag and, unless it is 0, a C-tag.
func double(s, c int32) *patchbayv1.Tag {
	if c == 0 {
		return &patchbayv1.Tag{STag: &s}
	}
	return &patchbayv1.Tag{STag: &s, CTag: &c}
}

func untagged() *patchbayv1.Tag { return &patchbayv1.Tag{Untagged: true} }

func onPort(port string, tag *patchbayv1.Tag) *patchbayv1.Endpoint {
	return &patchbayv1.Endpoint{PortId: port, Tag: tag}
}

// legsOf names the legs of an intent.
func legsOf(in *patchbayv1.CreateIntent) []string {
	if in.GetSecondary() == nil {
		return legs[:1]
	}
	return legs
}

// ordered checks an intent, places its legs one after the other, and returns their ids.
// Each leg can be found by what the intent says of it, and by nothing else.
func (w *world) ordered(t *testing.T, in *patchbayv1.CreateIntent, flow string) map[string]string {
	t.Helper()
	ctx := t.Context()
	checked, err := w.buyer.Check(ctx, in)
	if err != nil || len(checked.Violations) != 0 || checked.Flow != flow {
		t.Fatalf("Check = %v, flow %q, %v; want no violations and flow %q", checked.Violations, checked.Flow, err, flow)
	}
	if w.buyer.Together() {
		t.Fatal("the legs go out together, and this API has no call for that")
	}
	ids, group := map[string]string{}, ""
	for _, leg := range legsOf(in) {
		out := w.buyer.Place(ctx, exchange.Placement{Intent: in, Legs: []string{leg}, Group: group})
		want(t, "Place "+leg, out, exchange.Done)
		ids[leg], group = out.IDs[leg], out.Group
		if w.api == account.Fabric && group == "" {
			t.Errorf("Place %s brings no group, and the answer has one", leg)
		}
	}
	all := exchange.Placement{Intent: in, Legs: legs}
	found, err := w.buyer.Find(ctx, all)
	if err != nil || found.Ahead.Abs() > 5*time.Second {
		t.Fatalf("Find: %v, clock %v ahead; want no error and the same clock", err, found.Ahead)
	}
	keys := w.buyer.Keys(in)
	for leg, id := range ids {
		if got := found.Circuits[leg]; len(got) != 1 || got[0].GetExchangeId() != id {
			t.Fatalf("%s: found %v, want %s alone", leg, got, id)
		}
		if got := w.buyer.KeyOf(w.get(t, w.buyer, id)); got != keys[leg] {
			t.Errorf("%s: key of the circuit %q, of the intent %q; want the same", leg, got, keys[leg])
		}
	}
	return ids
}

func (w *world) get(t *testing.T, c exchange.Client, id string) *patchbayv1.Connection {
	t.Helper()
	shown, err := c.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

// face is a circuit's state in our words, and then in the exchange's.
func face(c *patchbayv1.Connection) string {
	n := c.GetNative()
	return fmt.Sprintf("%s/%s = %s,%s,%s,%s", c.GetStatus(), c.GetProviderStatus(),
		n.GetState(), n.GetStatus(), n.GetProviderStatus(), n.GetChange())
}

// trail watches a circuit until nothing is under way, and returns what it showed. Each
// step is one that the chart of its flow knows.
func (w *world) trail(t *testing.T, id string, flow status.Flow) []string {
	t.Helper()
	const tick, most = 100 * time.Millisecond, 10 * time.Second
	var faces []string
	var last status.State
	for range int(most / tick) {
		c := w.get(t, w.buyer, id)
		now := status.State{Status: status.Status(c.GetStatus()), Provider: status.Provider(c.GetProviderStatus())}
		if f := face(c); len(faces) == 0 || faces[len(faces)-1] != f {
			faces = append(faces, f)
		}
		if last != (status.State{}) && last != now && !w.charted(flow, last, now) {
			t.Errorf("from %v to %v, which the chart of %s %s does not know", last, now, w.api, flow)
		}
		last = now
		time.Sleep(tick)
	}
	return faces
}

func (w *world) charted(flow status.Flow, from, to status.State) bool {
	return slices.ContainsFunc(status.Chart(status.API(w.api), flow), func(s status.Step) bool {
		return s.From == from && s.To == to
	})
}

// follows fails the test unless a circuit shows these faces, one after the other.
func (w *world) follows(t *testing.T, id string, flow status.Flow, faces ...string) {
	t.Helper()
	if got := w.trail(t, id, flow); !slices.Equal(got, faces) {
		t.Errorf("the circuit went\n\t%q\nwant\n\t%q", got, faces)
	}
}

// seen fails the test unless every way of reading, but those that are named, shows a
// circuit alike.
func (w *world) seen(t *testing.T, c exchange.Client, role, id string, but ...string) {
	t.Helper()
	shown := map[string]string{}
	note := func(how string) func(*patchbayv1.Connection) error {
		return func(c *patchbayv1.Connection) error {
			if c.GetExchangeId() == id {
				shown[how] = face(c)
			}
			return nil
		}
	}
	ctx := t.Context()
	reads := map[string]error{
		"List":   c.List(ctx, role, false, note("List")),
		"moving": c.List(ctx, role, true, note("moving")),
	}
	if feed, ok := c.(exchange.Feed); ok {
		reads["Changed"] = feed.Changed(ctx, role, w.start, note("Changed"))
	}
	if batch, ok := c.(exchange.Batch); ok {
		reads["GetAll"] = batch.GetAll(ctx, []string{id, "00000000-0000-4000-8000-000000000000"}, note("GetAll"))
	}
	one := w.get(t, c, id)
	state := status.State{Status: status.Status(one.GetStatus()), Provider: status.Provider(one.GetProviderStatus())}
	for how, err := range reads {
		due := face(one)
		// PacketFabric lists all or nothing, and the adapter keeps nothing back.
		if how == "moving" && w.api != account.PacketFabric && !state.InMotion() && !one.GetChangePending() {
			due = ""
		}
		if slices.Contains(but, how) {
			continue
		}
		if err != nil || shown[how] != due {
			t.Errorf("%s of the %s shows %q, %v; want %q as by Get", how, role, shown[how], err, due)
		}
	}
}
