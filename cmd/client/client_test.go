package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

// run runs a command line and returns what it printed and the code it would exit with.
func run(t *testing.T, in string, args ...string) (out string, code int) {
	t.Helper()
	root := OnlySubcommands(&cobra.Command{Use: "patchbay", SilenceUsage: true, SilenceErrors: true})
	root.AddGroup(&cobra.Group{ID: "ask"}, &cobra.Group{ID: "care"})
	root.AddCommand(Commands()...)
	root.SetArgs(args)
	root.SetIn(strings.NewReader(in))
	var b strings.Builder
	root.SetOut(&b)
	root.SetErr(io.Discard)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := root.ExecuteContext(ctx)
	var own interface{ ExitCode() int }
	switch {
	case errors.As(err, &own):
		code = own.ExitCode()
	case err != nil:
		code = exitError
	}
	if err != nil {
		b.WriteString(err.Error())
	}
	return b.String(), code
}

// house is a journal with somebody who writes facts.
type house struct {
	t *testing.T
	j *journal.Journal
	n testenv.NATS
}

func newHouse(t *testing.T) house {
	t.Helper()
	n := testenv.StartNATS(t)
	return house{t, n.Open(t, journal.Config{}), n}
}

func (h house) run(in string, args ...string) (string, int) {
	h.t.Helper()
	return run(h.t, in, append(args, "--nats-url", h.n.URL)...)
}

func (h house) add(n event.Noun, id, name, cause string, data proto.Message) {
	h.t.Helper()
	e := event.Entity{Noun: n, ID: id}
	last, err := h.j.Last(h.t.Context(), e)
	if err == nil {
		_, err = h.j.Append(h.t.Context(), last, event.Fact{Entity: e, Name: name, By: "test", Cause: cause, Data: data})
	}
	// Who plays a service may still be at it when the test is over.
	if err != nil && h.t.Context().Err() == nil {
		h.t.Error(err)
	}
}

func (h house) order(o *patchbayv1.Order) {
	h.t.Helper()
	h.add(event.Order, o.GetId(), o.GetFact(), "", o)
}

func (h house) connection(c *patchbayv1.Connection) {
	h.t.Helper()
	h.add(event.Connection, c.GetId(), event.Slug(c.GetStatus())+"."+event.Slug(c.GetProviderStatus()), "", &patchbayv1.Transition{
		Connection: c, First: true, ObservedBy: "sweep",
		To: &patchbayv1.State{Status: c.GetStatus(), ProviderStatus: c.GetProviderStatus()},
	})
}

// answer plays a service: it answers each intent or decision by f.
func (h house) answer(filter string, f func(r journal.Record)) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var work errgroup.Group
	work.Go(func() error {
		return h.j.Consume(ctx, journal.Consumer{Durable: "played", Stream: journal.Intents, Filters: []string{filter}},
			func(_ context.Context, r journal.Record) error { f(r); return nil })
	})
	h.t.Cleanup(func() { cancel(); _ = work.Wait() })
}

func (h house) file(text string) string {
	path := filepath.Join(h.t.TempDir(), "intent.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	const create = `{"account":"a","name":"n"}`
	digest := intent.ID([]byte(create))
	for _, tt := range []struct {
		name, reason, text       string
		as                       identity
		wantType, wantSource, id string
		fails                    bool
	}{
		{name: "bare create", text: create, wantType: "create", wantSource: ownSource, id: digest},
		{name: "laid out otherwise", reason: "formatting does not matter", text: "\ufeff {\n\"name\": \"n\",\n\"account\": \"a\"}",
			wantType: "create", wantSource: ownSource, id: digest},
		{name: "change", text: `{"target":{"orderId":"x"},"set":{"name":"m"}}`, wantType: "change", wantSource: ownSource,
			id: intent.ID([]byte(`{"target":{"orderId":"x"},"set":{"name":"m"}}`))},
		{name: "delete", text: `{"target":{"orderId":"x"}}`, wantType: "delete", wantSource: ownSource,
			id: intent.ID([]byte(`{"target":{"orderId":"x"}}`))},
		{name: "no object", reason: "the server says what is wrong with it", text: `[1]`, wantType: "create", wantSource: ownSource,
			id: intent.ID([]byte(`[1]`))},
		{name: "whole event", text: `{"specversion":"1.0","id":"7","source":"crm","type":"io.patchbay.intent.delete.v1","data":{}}`,
			wantType: "delete", wantSource: "crm", id: "7"},
		{name: "event without identity", text: `{"specversion":"1.0","data":` + create + `}`,
			wantType: "create", wantSource: ownSource, id: digest},
		{name: "overrides", text: `{"specversion":"1.0","id":"7","source":"crm","type":"x","data":{}}`,
			as: identity{id: "8", source: "erp", kind: "change"}, wantType: "change", wantSource: "erp", id: "8"},
		{name: "no JSON", text: `{"a":`, fails: true},
		{name: "two documents", text: `{} {}`, fails: true},
		{name: "foreign type", reason: "there is no subject for it", text: create, as: identity{kind: "com.example.x"}, fails: true},
		{name: "decision", reason: "approve and reject are for that", text: create, as: identity{kind: "io.patchbay.decision.approve.v1"}, fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := read([]byte(tt.text), tt.as)
			if tt.fails {
				if err == nil {
					t.Errorf("read = %v, want an error: %s", h.event, tt.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.kind != tt.wantType || h.event.Source() != tt.wantSource || h.event.ID() != tt.id {
				t.Errorf("read = %s %s %s, want %s %s %s: %s", h.kind, h.event.Source(), h.event.ID(), tt.wantType, tt.wantSource, tt.id, tt.reason)
			}
			if h.orderID != event.OrderID(tt.wantSource, tt.id) || len(h.traceID) != 32 {
				t.Errorf("order %s of trace %q, want the order of the identity, and a trace", h.orderID, h.traceID)
			}
		})
	}
}

func TestReadKeepsTrace(t *testing.T) {
	const trace = "00-66c62c1af1864fbd979271a60705518f-00f067aa0ba90111-01"
	h, err := read([]byte(`{"specversion":"1.0","id":"7","source":"crm","traceparent":"`+trace+`","data":{}}`), identity{})
	if err != nil || h.traceID != "66c62c1af1864fbd979271a60705518f" || event.OriginOf(h.event).TraceParent != trace {
		t.Errorf("trace = %q, %v; want that of the event", h.traceID, err)
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{"unknown command", []string{"frobnicate"}, exitUsage},
		{"unknown subcommand", []string{"intent", "sumbit"}, exitUsage},
		{"no file", []string{"intent", "submit"}, exitUsage},
		{"reject without a reason", []string{"reject", "x", "--reason", " "}, exitUsage},
		{"retry of nothing", []string{"deadletters", "retry"}, exitUsage},
		{"list of what there is not", []string{"list", "ports"}, exitUsage},
		{"one id for two files", []string{"intent", "submit", "-", "-", "--id", "x"}, exitUsage},
		{"address without a port", []string{"health", "--http-addr", "here"}, exitUsage},
		{"no NATS", []string{"list", "--nats-url", "nats://127.0.0.1:1"}, exitError},
		{"no JSON", []string{"intent", "submit", "-"}, exitInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if out, code := run(t, "{", tt.args...); code != tt.want {
				t.Errorf("exit code = %d, want %d; said %q", code, tt.want, out)
			}
		})
	}
	huge := `{"name":"` + strings.Repeat("x", mostBytes) + `"}`
	if out, code := run(t, huge, "intent", "check", "-"); code != exitInvalid || !strings.Contains(out, "at most 65536") {
		t.Errorf("a huge intent = %d %q, want 3 and the limit", code, out)
	}
	if out, _ := run(t, "", "intent", "sumbit"); !strings.Contains(out, "did you mean submit?") {
		t.Errorf("a misspelt command says %q, want what was meant", out)
	}
	if out, _ := run(t, "", "reject"); !strings.Contains(out, "is missing") || !strings.Contains(out, "Usage: patchbay reject") {
		t.Errorf("without an argument it says %q, want which one is missing", out)
	}
	if out, _ := run(t, "", "list", "--nats-url", "nats://127.0.0.1:1"); !strings.Contains(out, "patchbay up") {
		t.Errorf("without NATS it says %q, want what to do", out)
	}
}

func TestSubmit(t *testing.T) {
	h := newHouse(t)
	h.answer(event.IntentSubjects, func(r journal.Record) {
		id := event.OrderID(r.Event.Source(), r.Event.ID())
		o := &patchbayv1.Order{Id: id, Kind: "create", Source: r.Event.Source(), IntentId: r.Event.ID(), Account: "acme"}
		var data struct{ Name string }
		_ = json.Unmarshal(r.Event.Data(), &data)
		last, _ := h.j.Last(t.Context(), event.Entity{Noun: event.Order, ID: id})
		step := func(fact, outcome string, f *patchbayv1.Failure) {
			o.Fact, o.Outcome, o.Failure = fact, outcome, f
			h.order(proto.CloneOf(o))
		}
		switch {
		case !last.None():
			h.add(event.Refusal, id, "conflicting", r.Event.ID(), &patchbayv1.Refusal{
				Fact: "conflicting", OrderId: id, Message: "handed in before with other data",
				Differences: []*patchbayv1.Difference{{Field: "name", Was: `"good"`, Now: `"other"`}}})
		case data.Name == "bad":
			o.Violations = []*patchbayv1.Violation{{Field: "name", Value: `"bad"`, Rule: "a good name", Hint: "try good"}}
			step("invalid", "invalid", nil)
		case data.Name == "slow":
			step("accepted", "", nil)
		case data.Name == "doomed":
			step("accepted", "", nil)
			step("failed", "failed", &patchbayv1.Failure{Reason: "rejected", Message: "the other company rejected the request"})
		case data.Name == "azure":
			step("accepted", "", nil)
			h.connection(&patchbayv1.Connection{Id: "c-" + id, OrderId: id, Status: "PROVISIONED", ProviderStatus: "PENDING_BGP"})
			step("completed", "completed", nil)
		default:
			step("accepted", "", nil)
			h.connection(&patchbayv1.Connection{Id: "c-" + id, ExchangeId: "X", OrderId: id, Leg: "primary", Status: "PROVISIONED", ProviderStatus: "AVAILABLE"})
			at := &patchbayv1.State{Status: "PROVISIONED", ProviderStatus: "AVAILABLE", Native: &patchbayv1.Native{Status: "provisioned", State: "Active"}}
			h.add(event.Connection, "c-"+id, "provisioned.available", "", &patchbayv1.Transition{
				Connection: &patchbayv1.Connection{Id: "c-" + id, OrderId: id, Status: "PROVISIONED", ProviderStatus: "AVAILABLE"}, From: at, To: at})
			step("completed", "completed", nil)
		}
	})
	for _, tt := range []struct {
		name string
		text string
		args []string
		code int
		want []string
	}{
		{"done", `{"name":"good"}`, []string{"--wait", "--id", "1"}, 0, []string{"PROVISIONED/AVAILABLE", "(the exchange's words: provisioned, Active)", "completed"}},
		{"conflicting", `{"name":"other"}`, []string{"--id", "1"}, exitInvalid, []string{"conflicting", "ORDERED BEFORE", `"good"`, `"other"`}},
		{"invalid at once", `{"name":"bad"}`, nil, exitInvalid, []string{"invalid", "FIELD", "a good name", "try good"}},
		{"invalid", `{"name":"bad","description":"2"}`, []string{"--wait"}, exitInvalid, []string{"1 violation", "a good name"}},
		{"failed", `{"name":"doomed"}`, []string{"--wait"}, exitFailed, []string{"rejected: the other company rejected"}},
		{"second confirmation", `{"name":"azure"}`, []string{"--wait"}, 0, []string{"waits for BGP peering at the cloud on buyer: set up"}},
		{"still waiting", `{"name":"slow"}`, []string{"--wait", "--timeout", "300ms"}, exitWaiting, []string{"accepted", "Still waiting", "patchbay explain"}},
		{"taken", `{"name":"slow","description":"2"}`, nil, 0, []string{"accepted"}},
		{"JSON", `{"name":"good","description":"2"}`, []string{"--wait", "--json"}, 0,
			[]string{`"state": "completed"`, `"traceId": "`, `"providerStatus": "AVAILABLE"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, code := h.run("", append([]string{"intent", "submit", h.file(tt.text)}, tt.args...)...)
			if code != tt.code {
				t.Errorf("exit code = %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("said %q, want %q in it", out, want)
				}
			}
		})
	}
}

// A requester refuses the same conflict once; whoever hands it in again is told all the same.
func TestSubmitAgain(t *testing.T) {
	h := newHouse(t)
	id := event.OrderID(ownSource, "1")
	h.order(&patchbayv1.Order{Id: id, Fact: "completed", Outcome: "completed", Kind: "create", Source: ownSource, IntentId: "1",
		Create: &patchbayv1.CreateIntent{Account: "acme", Name: "good", BandwidthMbps: proto.Int32(50)}})
	for _, tt := range []struct {
		name, text string
		code       int
		want       []string
	}{
		{"the same", `{"name": "good", "account": "acme", "bandwidthMbps": 50}`, 0, []string{"completed"}},
		{"other data", `{"account": "acme", "name": "good", "bandwidthMbps": 1000}`, exitInvalid,
			[]string{"conflicting", "bandwidthMbps", "50", "1000"}},
		{"another kind", `{"target": {"orderId": "` + id + `"}}`, exitInvalid, []string{"conflicting", "type", "create", "delete"}},
	} {
		for _, wait := range []string{"--wait", "--wait=false"} {
			t.Run(tt.name+" "+wait, func(t *testing.T) {
				start := time.Now()
				out, code := h.run("", "intent", "submit", h.file(tt.text), "--id", "1", wait)
				if code != tt.code {
					t.Errorf("exit code = %d, want %d", code, tt.code)
				}
				for _, want := range tt.want {
					if !strings.Contains(out, want) {
						t.Errorf("said %q, want %q in it", out, want)
					}
				}
				if code == exitInvalid && strings.Contains(out, "completed") {
					t.Errorf("said %q, want nothing of an order that was not meant", out)
				}
				if took := time.Since(start); took >= firstAnswer {
					t.Errorf("took %s, want no waiting for an answer that is known", took)
				}
			})
		}
	}
}

// Of several files of which one cannot be read, all that is wrong is said and none is handed in.
func TestSubmitNothing(t *testing.T) {
	h := newHouse(t)
	out, code := h.run(`{"colour":"red"}`, "intent", "submit", h.file(`{"name":`), "-", "missing.json")
	for _, want := range []string{"intent.json: not JSON: line 1", "-: colour: unknown field", "missing.json", "Nothing is handed in"} {
		if code != exitInvalid || !strings.Contains(out, want) {
			t.Errorf("submit of three files = %d %q, want 3 and %q", code, out, want)
		}
	}
	err := h.j.EachIntent(t.Context(), event.IntentSubject(event.Intent, "*"), func(r journal.Record) error {
		t.Errorf("%s is handed in, want nothing", r.Event.ID())
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	var work errgroup.Group
	asked := make(chan string, 8)
	var says atomic.Pointer[string]
	first := `{"violations":[{"field":"name","rule":"required"}],"notes":["costs nothing"],"account":"acme"}`
	says.Store(&first)
	work.Go(func() error {
		return h.j.Serve(ctx, "check", func(_ context.Context, q []byte) ([]byte, error) {
			asked <- string(q)
			return []byte(*says.Load()), nil
		})
	})
	t.Cleanup(func() { cancel(); _ = work.Wait() })
	var out string
	code := exitError
	for try := 0; code == exitError && try < 100; try++ { // until somebody serves
		out, code = h.run(`{"target":{"orderId":"x"}}`, "intent", "check", "-")
	}
	if code != exitInvalid || !strings.Contains(out, "required") || !strings.Contains(out, "costs nothing") {
		t.Errorf("check = %d %q, want 3, the violation and the note", code, out)
	}
	var q struct {
		Kind, Source, ID string
		Data             json.RawMessage
	}
	if err := json.Unmarshal([]byte(<-asked), &q); err != nil || q.Kind != "delete" || q.Source != ownSource || q.ID == "" ||
		string(q.Data) != `{"target":{"orderId":"x"}}` {
		t.Errorf("asked %+v, %v; want the data, what kind it is and its identity", q, err)
	}
	// What one file lacks keeps nobody from hearing of the others.
	out, code = h.run(`{"target":{"orderId":"x"}}`, "intent", "check", h.file(`{"name":`), "-", "missing.json")
	select {
	case <-asked:
	default:
		t.Error("check of three files asks about none, want about the one that can be read")
	}
	for _, want := range []string{"intent.json: not JSON: line 1", "-  delete: 1 violation", "missing.json"} {
		if code != exitInvalid || !strings.Contains(out, want) {
			t.Errorf("check of three files = %d %q, want 3 and %q", code, out, want)
		}
	}
	h.add(event.Account, event.AccountID("acme"), service.Paused, "", &patchbayv1.AccountPause{
		Account: "acme", Fact: service.Paused, By: "ada", Reason: "the ports move"})
	out, _ = h.run(`{}`, "intent", "check", "-")
	<-asked
	for _, want := range []string{"account acme", "ada", "the ports move", "patchbay accounts resume acme"} {
		if !strings.Contains(out, want) {
			t.Errorf("check for a paused account says %q, want %q", out, want)
		}
	}
	for _, tt := range []struct {
		answer string
		code   int
		want   []string
	}{
		{`{"violations":[],"account":"acme","unasked":"connection refused"}`, exitError, []string{"the exchange could not be asked", "connection refused", "accounts file"}},
		{`{"violations":[],"conflict":{"message":"send a new intent","differences":[{"field":"name","was":"\"a\"","now":"\"b\""}]}}`, exitInvalid,
			[]string{"conflicting", "send a new intent", "ORDERED BEFORE"}},
	} {
		says.Store(&tt.answer)
		out, code := h.run(`{}`, "intent", "check", "-")
		<-asked
		for _, want := range tt.want {
			if code != tt.code || !strings.Contains(out, want) || strings.Contains(out, ": ok") {
				t.Errorf("check = %d %q, want %d and %q", code, out, tt.code, want)
			}
		}
	}
}

// NATS may be slow to tell where a circuit stands. The order goes on meanwhile, and so does
// whoever follows it.
func TestFollowAsksAgain(t *testing.T) {
	h := newHouse(t)
	h.connection(&patchbayv1.Connection{Id: "c-1", ExchangeId: "X", Status: "PROVISIONED", ProviderStatus: "AVAILABLE"})
	h.order(&patchbayv1.Order{Id: "o-1", Fact: "placed", Kind: "change", Legs: []*patchbayv1.OrderLeg{{Leg: "primary", ConnectionId: "c-1"}}})
	slow := h.n.Open(t, journal.Config{InProcess: h.n.Unheard("$JS.API.STREAM.MSG.GET.JOURNAL")})
	f := &follower{j: slow, t: newTracker([]handed{{orderID: "o-1"}}), silent: true}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := func() bool { return len(f.t.circuitsOf(f.t.orders[0])) > 0 }
	if err := f.run(ctx, 2, seen); err != nil || !seen() {
		t.Errorf("following ends with %v and %d circuits, want none missing", err, len(f.t.circuitsOf(f.t.orders[0])))
	}
}

// Where a circuit stood before its delete was handed in is no news of the delete.
func TestSubmitDelete(t *testing.T) {
	h := newHouse(t)
	const circuit = "c-1"
	h.connection(&patchbayv1.Connection{Id: circuit, ExchangeId: "X", Status: "PROVISIONED", ProviderStatus: "AVAILABLE"})
	h.answer(event.IntentSubjects, func(r journal.Record) {
		o := &patchbayv1.Order{Id: event.OrderID(r.Event.Source(), r.Event.ID()), Kind: "delete", Fact: "accepted",
			Source: r.Event.Source(), IntentId: r.Event.ID(), Account: "acme",
			Legs: []*patchbayv1.OrderLeg{{Leg: "primary", State: "accepted", ConnectionId: circuit}}}
		h.order(proto.CloneOf(o))
		h.connection(&patchbayv1.Connection{Id: circuit, ExchangeId: "X", Status: "DEPROVISIONED", ProviderStatus: "NOT_AVAILABLE"})
		o.Fact, o.Outcome = "completed", "completed"
		h.order(o)
	})
	out, code := h.run("", "intent", "submit", h.file(`{"target": {"connectionId": "`+circuit+`"}}`), "--wait")
	if code != 0 || !strings.Contains(out, "DEPROVISIONED/NOT_AVAILABLE") || strings.Contains(out, " PROVISIONED/AVAILABLE") {
		t.Errorf("a delete says (exit code %d)\n%s\nwant the circuit's end, and not where it stood before", code, out)
	}
}

// stocked has an order with two circuits, one of which waits for a person.
func stocked(t *testing.T) house {
	t.Helper()
	h := newHouse(t)
	order, first, second := stock()
	h.order(&patchbayv1.Order{Id: order, Fact: "placed", Kind: "create", Source: "crm", IntentId: "4711", Account: "acme",
		Create: &patchbayv1.CreateIntent{Name: "pair"},
		Legs:   []*patchbayv1.OrderLeg{{Leg: "primary", State: "placed", ConnectionId: first}, {Leg: "secondary", State: "placed", ConnectionId: second}},
		Wait:   &patchbayv1.Wait{What: "approval", On: "cloud"}})
	for id, x := range map[string]string{first: "ECX-1", second: "ECX-2"} {
		h.connection(&patchbayv1.Connection{Id: id, Exchange: "equinix", ExchangeId: x, Name: "pair", OrderId: order,
			BuyerAccount: "acme", Status: "PENDING_APPROVAL", ProviderStatus: "NOT_AVAILABLE"})
	}
	h.request(first)
	return h
}

// stock are the ids of the order and its circuits.
func stock() (order, first, second string) {
	return event.OrderID("crm", "4711"), event.ConnectionID("equinix", "ECX-1"), event.ConnectionID("equinix", "ECX-2")
}

func (h house) request(connection string) {
	h.add(event.Approval, connection, "requested", "", &patchbayv1.Approval{ConnectionId: connection, Fact: "requested", Kind: "create",
		Account: "cloud", Digest: strings.Repeat("a", 64), Connection: &patchbayv1.Connection{Id: connection, Name: "pair", BandwidthMbps: 50},
		Wait: &patchbayv1.Wait{What: "approval", On: "operator"}})
}

func TestLook(t *testing.T) {
	h := stocked(t)
	order, first, _ := stock()
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		want   []string
		hidden string
	}{
		{"list", []string{"list"}, 0, []string{order, first, "approval on cloud"}, ""},
		{"orders", []string{"list", "orders"}, 0, []string{order, "placed"}, "CONNECTION"},
		{"by status", []string{"list", "--status", "pending_approval"}, 0, []string{first}, "ORDER  "},
		{"by both statuses", []string{"list", "--status", "PENDING_APPROVAL/not_available"}, 0, []string{first}, "ORDER  "},
		{"by another providerStatus", []string{"list", "--status", "PENDING_APPROVAL/AVAILABLE"}, 0, []string{"Nothing"}, first},
		{"of nobody", []string{"list", "--account", "nobody"}, 0, []string{"Nothing", `nothing here was ever of an account "nobody"`}, order},
		{"of somebody, but none", []string{"list", "--account", "acme", "--status", "FAILED"}, 0, []string{"Nothing"}, "was ever"},
		{"JSON from the journal", []string{"list", "--json"}, 0, []string{`"from": "journal"`, `"fact": "placed"`}, ""},
		{"by id", []string{"get", order}, 0, []string{"create.name", "pair"}, ""},
		{"by source and id", []string{"get", "crm", "4711"}, 0, []string{order}, ""},
		{"by exchange's id", []string{"get", "ECX-1"}, 0, []string{first}, ""},
		{"by name", []string{"get", "pair", "--json"}, 0, []string{`"noun": "order"`}, ""},
		{"by beginning", []string{"get", order[:7]}, 0, []string{order}, ""},
		{"too short", []string{"get", order[:3]}, exitError, []string{"nothing goes by"}, ""},
		{"of many", []string{"get", "ECX-"}, exitError, []string{"nothing goes by"}, ""},
		{"explain", []string{"explain", order}, 0, []string{"order waits for approval", "seller", "circuit", "does not bill", "PENDING_APPROVAL"}, ""},
		{"explain a circuit", []string{"explain", "ECX-2", "--json"}, 0, []string{`"noun": "connection"`, `"what": "placed"`}, ""},
		{"approvals", []string{"approvals"}, 0, []string{first, "pair", "50 Mbit/s"}, ""},
		{"by a word nobody knows", []string{"list", "--status", "bogus"}, 0, []string{"Nothing", `"bogus"`}, ""},
		{"dead letters", []string{"deadletters", "list", "--json"}, 0, []string{"[]"}, ""},
		{"no dead letter", []string{"deadletters", "retry", "5"}, exitError, []string{"there is no dead letter 5"}, "sent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, code := h.run("", tt.args...)
			if code != tt.code {
				t.Errorf("exit code = %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("said %q, want %q in it", out, want)
				}
			}
			if tt.hidden != "" && strings.Contains(out, tt.hidden) {
				t.Errorf("said %q, want no %q in it", out, tt.hidden)
			}
			if strings.Contains(out, "\x1b") {
				t.Errorf("said %q where nobody looks, want no colours", out)
			}
		})
	}
}

// A rename is no transition; what is shown has the new name all the same.
func TestLookAfterChange(t *testing.T) {
	h := stocked(t)
	_, first, second := stock()
	h.add(event.Change, first, "completed", "", &patchbayv1.Change{ConnectionId: first, Status: "COMPLETED",
		Differences: []*patchbayv1.Difference{{Field: "name", Was: `"pair"`, Now: `"renamed"`}},
		Connection: &patchbayv1.Connection{Id: first, Name: "renamed", BandwidthMbps: 500, BuyerAccount: "acme",
			Status: "PENDING_APPROVAL", ProviderStatus: "NOT_AVAILABLE"}})
	for _, args := range [][]string{{"list", "connections"}, {"list", "--json"}, {"get", first}, {"get", "renamed", "--json"}} {
		if out, code := h.run("", args...); code != 0 || !strings.Contains(out, "renamed") || !strings.Contains(out, first) {
			t.Errorf("%s = %d %q, want the new name", args, code, out)
		}
	}
	if out, code := h.run("", "explain", first); code != 0 || !strings.Contains(out, "  renamed (before: pair)\n") {
		t.Errorf("explain = %d %q, want the new name in its head", code, out)
	}
	// Others that bore the name, or have ended, are not meant.
	const gone, third, ended = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"
	h.order(&patchbayv1.Order{Id: gone, Fact: "placed", Kind: "create", Create: &patchbayv1.CreateIntent{Name: "renamed"},
		Legs: []*patchbayv1.OrderLeg{{Leg: "primary", ConnectionId: third}}})
	h.connection(&patchbayv1.Connection{Id: third, Name: "elsewhere", OrderId: gone, Status: "PROVISIONED"})
	h.order(&patchbayv1.Order{Id: ended, Fact: "failed", Outcome: "failed", Kind: "create", Create: &patchbayv1.CreateIntent{Name: "renamed"}})
	if out, code := h.run("", "get", "renamed"); code != 0 || !strings.Contains(out, "connection "+first+"  PENDING_APPROVAL/NOT_AVAILABLE for ") {
		t.Errorf("get = %d %q, want the circuit that bears the name now, and its state as everywhere", code, out)
	}
	h.order(&patchbayv1.Order{Id: "00000000-0000-4000-8000-000000000004", Fact: "accepted", Kind: "create", Create: &patchbayv1.CreateIntent{Name: "renamed"}})
	if out, code := h.run("", "get", "renamed"); code != exitUsage || !strings.Contains(out, "create accepted") || !strings.Contains(out, "PENDING_APPROVAL/NOT_AVAILABLE") ||
		strings.Contains(out, gone) || strings.Contains(out, ended) {
		t.Errorf("get = %d %q, want the two that may be meant, with their states", code, out)
	}
	h.connection(&patchbayv1.Connection{Id: first, Name: "later", Status: "PROVISIONED", ProviderStatus: "AVAILABLE"})
	if out, _ := h.run("", "get", first); strings.Contains(out, "renamed") || !strings.Contains(out, "later") {
		t.Errorf("after a transition it says %q, want what came last", out)
	}
	if out, _ := h.run("", "get", second); strings.Contains(out, "renamed") {
		t.Errorf("the other leg says %q, want its own name", out)
	}
}

// A change has no name of its own; it is listed by those of its circuits.
func TestListChange(t *testing.T) {
	h := newHouse(t)
	target, change := event.OrderID("crm", "1"), event.OrderID("crm", "2")
	h.order(&patchbayv1.Order{Id: change, Fact: "accepted", Kind: "change", TargetOrderId: target})
	if out, _ := h.run("", "list", "orders"); !strings.Contains(out, target) {
		t.Errorf("before its circuits are known it says %q, want the order that is changed", out)
	}
	h.order(&patchbayv1.Order{Id: change, Fact: "placed", Kind: "change", TargetOrderId: target,
		Legs: []*patchbayv1.OrderLeg{{Leg: "primary", Name: "north"}, {Leg: "secondary", Name: "south"}}})
	if out, _ := h.run("", "list", "orders"); !strings.Contains(out, "north, south") || strings.Contains(out, target) {
		t.Errorf("said %q, want the names of both circuits", out)
	}
}

func TestDecide(t *testing.T) {
	h := stocked(t)
	order, first, second := stock()
	h.answer(event.DecisionSubjects, func(r journal.Record) {
		d := new(patchbayv1.Decision)
		if err := r.Into(d); err != nil {
			t.Error(err)
		}
		if d.GetDigest() != strings.Repeat("a", 64) {
			h.add(event.Refusal, d.GetConnectionId(), "decision", r.Event.ID(), &patchbayv1.Refusal{Fact: "decision", Message: "stale",
				Differences: []*patchbayv1.Difference{{Field: "bandwidthMbps", Was: "50", Now: "500"}}})
			return
		}
		fact := approval.Approved
		if r.Event.Type() == event.IntentType(event.Decision, intent.Reject) {
			fact = approval.Rejected
		}
		h.add(event.Approval, d.GetConnectionId(), fact, r.Event.ID(), &patchbayv1.Approval{
			ConnectionId: d.GetConnectionId(), Fact: fact, By: d.GetBy(), Reason: d.GetReason()})
	})
	if out, code := h.run("", "approve", order, "--digest", strings.Repeat("b", 64)); code != exitError || !strings.Contains(out, "500") {
		t.Errorf("a stale decision = %d %q, want 1 and the difference", code, out)
	}
	h.request(second)
	if out, code := h.run("", "approve", order); code != exitUsage || !strings.Contains(out, first) || !strings.Contains(out, second) {
		t.Errorf("an ambiguous order = %d %q, want 2 and both connections", code, out)
	}
	if out, code := h.run("", "approve", "ECX-1", "--by", "ada"); code != 0 || !strings.Contains(out, "approved by ada") {
		t.Errorf("approve = %d %q, want 0 and who decided", code, out)
	}
	if out, code := h.run("", "reject", order, "--reason", "no", "--by", "ada", "--json"); code != 0 || !strings.Contains(out, `"reason": "no"`) {
		t.Errorf("reject = %d %q, want 0 and the approval", code, out)
	}
	if out, code := h.run("", "approve", order); code != exitError || !strings.Contains(out, "nothing about") {
		t.Errorf("a second decision = %d %q, want that nothing waits", code, out)
	}
}

// What "approvals" prints can be approved by that name, whatever else goes by it.
func TestDecideByName(t *testing.T) {
	h := stocked(t)
	_, first, second := stock()
	h.add(event.Approval, second, "requested", "", &patchbayv1.Approval{ConnectionId: second, Fact: "requested", Kind: "create",
		Connection: &patchbayv1.Connection{Id: second, ExchangeId: "ECX-2", Name: "pair-2"}, Wait: &patchbayv1.Wait{What: "approval", On: "operator"}})
	h.order(&patchbayv1.Order{Id: "o-3", Fact: "placed", Kind: "create", Create: &patchbayv1.CreateIntent{Name: "pair-2"}})
	for name, want := range map[string]string{"pair": first, "pair-2": second, "ecx-2": second, first: first} {
		if a, err := findPending(t.Context(), h.j, name); err != nil || a.GetConnectionId() != want {
			t.Errorf("%s means %s, %v; want %s", name, a.GetConnectionId(), err, want)
		}
	}
	if out, code := h.run("", "approve", "o-3"); code != exitError || !strings.Contains(out, "o-3") {
		t.Errorf("approve = %d %q, want 1: nothing of that order waits", code, out)
	}
}

// An order is found by the trace that it is part of.
func TestFindByTrace(t *testing.T) {
	h := newHouse(t)
	const trace, id = "0af7651916cd43dd8448eb211c80319c", "o-1"
	_, err := h.j.Append(t.Context(), journal.Record{}, event.Fact{
		Entity: event.Entity{Noun: event.Order, ID: id}, Name: "accepted", By: "requester", Order: id,
		Data:   &patchbayv1.Order{Id: id, Fact: "accepted"},
		Origin: event.Origin{TraceParent: "00-" + trace + "-b7ad6b7169203331-01"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out, code := h.run("", "explain", trace); code != 0 || !strings.Contains(out, "order o-1") {
		t.Errorf("explain = %d %q, want the order", code, out)
	}
}

// The beginning of an id is that of what has the id, not of what somebody has called so.
func TestFindOwn(t *testing.T) {
	h := newHouse(t)
	id := event.OrderID("crm", "1")
	h.order(&patchbayv1.Order{Id: id, Fact: "failed", Outcome: "failed", Kind: "create"})
	h.order(&patchbayv1.Order{Id: "o-2", Fact: "accepted", Kind: "delete", IntentId: id + "/secondary"})
	if out, code := h.run("", "get", id[:8]); code != 0 || !strings.Contains(out, "order "+id) {
		t.Errorf("get %s = %d %q, want the order %s", id[:8], code, out, id)
	}
}

// What is archived is told of among others as everywhere else.
func TestFindArchived(t *testing.T) {
	h := newHouse(t)
	for _, e := range []event.Entity{{Noun: event.Order, ID: "abcdef-1"}, {Noun: event.Connection, ID: "abcdef-2"}} {
		h.add(e.Noun, e.ID, e.Noun.Archived(), "", &patchbayv1.Archived{Id: e.ID, Fact: event.Archived, Kind: "create", Outcome: "gone"})
	}
	out, code := h.run("", "get", "abcdef")
	if code != exitUsage || strings.Count(out, "gone (archived)") != 2 {
		t.Errorf("get = %d %q, want 2 and how both ended", code, out)
	}
}

func TestDeadLetters(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan bool, 4)
	done := make(chan error, 1)
	go func() {
		done <- h.j.Consume(ctx, journal.Consumer{Durable: "played", Stream: journal.Intents, Filters: []string{event.IntentSubjects}},
			func(context.Context, journal.Record) error {
				seen <- true
				return journal.Permanent(errors.New("no retry helps"))
			})
	}()
	e, err := event.NewIntent(event.IntentType(event.Intent, intent.Create), "crm", "1", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.j.Submit(t.Context(), event.IntentSubject(event.Intent, intent.Create), e); err != nil {
		t.Fatal(err)
	}
	<-seen
	var out string
	for try := 0; !strings.Contains(out, "no retry helps") && try < 100; try++ { // until it is buried
		out, _ = h.run("", "deadletters", "list")
	}
	if out, code := h.run("", "deadletters", "retry", "--all"); code != 0 || !strings.Contains(out, "1 message sent again") {
		t.Errorf("retry = %d %q, want one message sent again", code, out)
	}
	<-seen // it came again
	if out, code := h.run("", "deadletters", "retry", "one"); code != exitUsage {
		t.Errorf("retry of a word = %d %q, want 2", code, out)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWatch(t *testing.T) {
	h := stocked(t)
	order, first, _ := stock()
	h.order(&patchbayv1.Order{Id: order, Fact: "failed", Kind: "create", Failure: &patchbayv1.Failure{Reason: "rejected"}})
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"all", nil, "first seen → PENDING_APPROVAL/NOT_AVAILABLE"},
		{"one status", []string{"--status", "pending_approval/not_available"}, first},
		{"one outcome", []string{"--status", "failed"}, "failed  create  rejected"},
		{"JSON", []string{"--json"}, `"subject":"patchbay.connection.pending_approval.not_available.`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := watchCommand()
			cmd.SetArgs(append(tt.args, "--since", "1h", "--nats-url", h.n.URL))
			out := &until{want: tt.want, stop: cancel}
			cmd.SetOut(out)
			if err := cmd.ExecuteContext(ctx); err != nil {
				t.Errorf("watch = %v, want nil when interrupted", err)
			}
			if !strings.Contains(out.text, tt.want) {
				t.Errorf("said %q, want %q in it", out.text, tt.want)
			}
		})
	}
}

// until stops once it has read what is wanted.
type until struct {
	text, want string
	stop       func()
}

func (u *until) Write(b []byte) (int, error) {
	u.text += string(b)
	if strings.Contains(u.text, u.want) {
		u.stop()
	}
	return len(b), nil
}

func TestFilters(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{[]string{"PROVISIONED"}, "patchbay.connection.provisioned.*.*"},
		{[]string{"provisioned/available", "PROVISIONED/AVAILABLE"}, "patchbay.connection.provisioned.available.*"},
		{[]string{"completed"}, "patchbay.order.completed.*"},
		{[]string{"failed"}, "patchbay.connection.failed.*.* patchbay.order.failed.*"},
	} {
		if got := strings.Join(filters(tt.words), " "); got != tt.want {
			t.Errorf("filters(%v) = %s, want %s", tt.words, got, tt.want)
		}
	}
}

func TestHealth(t *testing.T) {
	well := true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !well {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, `{"status":"x"}`) // the reader is the test
	}))
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	if out, code := run(t, "", "health", "--http-addr", "0.0.0.0:"+port); code != 0 || !strings.Contains(out, `"status":"x"`) {
		t.Errorf("health = %d %q, want 0 and what it says: who listens everywhere listens here", code, out)
	}
	well = false
	if out, code := run(t, "", "health", "--http-addr", "127.0.0.1:"+port); code != exitError {
		t.Errorf("health of what is not well = %d %q, want 1", code, out)
	}
	srv.Close()
	if out, code := run(t, "", "health", "--http-addr", "127.0.0.1:"+port); code != exitError {
		t.Errorf("health of nothing = %d %q, want 1", code, out)
	}
}

func TestAccountsCheck(t *testing.T) {
	h := house{t: t}
	bad := h.file("accounts:\n  - name: a\n    api: nope\n    colour: red\n")
	if out, code := run(t, "", "accounts", "check", bad); code != exitInvalid || !strings.Contains(out, "colour") || !strings.Contains(out, "nope") {
		t.Errorf("check = %d %q, want 3 and everything that is wrong", code, out)
	}
	if out, code := run(t, "", "accounts", "check", "../../deploy/accounts.yaml", "--json"); code != 0 || !strings.Contains(out, `"violations": []`) {
		t.Errorf("check of our own = %d %q, want 0", code, out)
	}
	if out, code := run(t, "", "accounts", "check", bad+".not"); code != exitError {
		t.Errorf("check of no file = %d %q, want 1", code, out)
	}
}

// Whether a service runs is asked where nobody answers, and nowhere else.
func TestNobodyAnswers(t *testing.T) {
	h := newHouse(t)
	const hint = "is a service running?"
	for _, args := range [][]string{{"accounts", "pause", "nope"}, {"rebuild"}} {
		if out, code := h.run("", args...); code != exitError || !strings.Contains(out, hint) {
			t.Errorf("%q = %d %q, want 1 and %q", args, code, out, hint)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work errgroup.Group
	for _, verb := range []string{service.VerbPause, service.VerbRebuild} {
		work.Go(func() error {
			return h.j.Serve(ctx, verb, func(context.Context, []byte) ([]byte, error) { return nil, errors.New("not so") })
		})
	}
	t.Cleanup(func() { cancel(); _ = work.Wait() })
	for _, args := range [][]string{{"accounts", "pause", "nope"}, {"rebuild"}} {
		out, code := "", 0
		for try := 0; !strings.Contains(out, "not so") && try < 100; try++ { // until somebody serves
			out, code = h.run("", args...)
		}
		if code != exitError || !strings.HasSuffix(out, ": not so") {
			t.Errorf("%q = %d %q, want 1 and the answer alone", args, code, out)
		}
	}
}

// Whoever hands in what has to wait is told why, and so is who asks for the limits.
func TestLimits(t *testing.T) {
	h := newHouse(t)
	out, code := h.run("", "limits")
	if code != 0 || !strings.Contains(out, "JOURNAL") || !strings.Contains(out, "256.0 MiB") || !strings.Contains(out, "No requester answers") {
		t.Errorf("limits without a requester = %d %q, want 0, the streams, and that nobody answers", code, out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work errgroup.Group
	for _, says := range [][]service.SourceUse{ // each requester holds back what another does not
		{{Source: ownSource, LastMinute: 5, Open: 2}, {Source: "others", Waits: "others are too many"}},
		{{Source: ownSource, LastMinute: 4, Open: 3, Waits: "you are too fast"}},
	} {
		work.Go(func() error {
			return h.j.ServeEach(ctx, service.VerbIntake, func(context.Context, []byte) ([]byte, error) {
				return json.Marshal(service.IntakeAnswer{PerMinute: 5, Open: 7, Sources: says})
			})
		})
	}
	t.Cleanup(func() { cancel(); _ = work.Wait() })
	for try := 0; strings.Count(out, "Intents wait") < 2 && try < 100; try++ { // until both serve
		out, code = h.run("", "limits")
	}
	for _, want := range []string{ownSource, "5 of 5", "3 of 7", "Intents wait: others are too many", "Intents wait: you are too fast"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("limits = %d %q, want %q in it", code, out, want)
		}
	}
	out, code = h.run("", "intent", "submit", h.file(`{"name":"good"}`))
	if code != exitWaiting || !strings.Contains(out, "It is kept, and carried out later: you are too fast.") || strings.Contains(out, "others are") {
		t.Errorf("submit = %d %q, want why this source waits and no other", code, out)
	}
}

// FuzzRead reads files of intents. The same data has the same id, however it is laid out.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"name":"a","primary":{}}`, `{"target":{"orderId":"x"},"set":{"name":"b"}}`, `[]`, "\ufeff{}", `{"specversion":"1.0","data":{"target":{}}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"io.patchbay.intent.delete.v1","data_base64":"e30="}`, `{"specversion":1}`,
		`{"specversion":"1.0","type":"io.patchbay.decision.approve.v1"}`, `{"specversion":"1.0","source":"","id":null,"traceparent":"a-b-c-d"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := read(text, identity{})
		if err != nil {
			return
		}
		if noun, kind, ok := event.IntentKind(h.event.Type()); !ok || noun != event.Intent || kind != h.kind || !event.ValidID(h.orderID) {
			t.Errorf("%q is read as %+v", text, h)
		}
		if _, wrong := intent.Decode(event.Intent, h.kind, h.event.Data()); len(wrong) > 0 {
			return // it is refused, so its id does not matter
		}
		var other bytes.Buffer
		if err := json.Indent(&other, bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff"))), " ", "\t"); err != nil {
			t.Fatalf("%q is read, and it is no JSON: %v", text, err)
		}
		if again, err := read(other.Bytes(), identity{}); err != nil || again.orderID != h.orderID || again.kind != h.kind {
			t.Errorf("%q is a %s for order %s, and laid out otherwise a %s for %s, %v", text, h.kind, h.orderID, again.kind, again.orderID, err)
		}
	})
}

func TestArchive(t *testing.T) {
	h := newHouse(t)
	h.order(&patchbayv1.Order{Id: "o-1", Fact: "accepted", Kind: "create", PayloadDigest: "x"})
	h.order(&patchbayv1.Order{Id: "o-1", Fact: "failed", Outcome: "failed", Kind: "create", PayloadDigest: "x"})
	h.order(&patchbayv1.Order{Id: "o-2", Fact: "accepted", Kind: "create"})
	h.connection(&patchbayv1.Connection{Id: "c-1", Status: "DEPROVISIONED", ProviderStatus: "NOT_AVAILABLE"})
	path, broken := filepath.Join(t.TempDir(), "archive.jsonl.gz"), h.file("no archive")
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"archive", path}, 0, []string{"Nothing to put away", "2 things stayed: young", "1 thing stayed: open"}},
		{[]string{"archive", path, "--older-than", "-1h"}, exitUsage, []string{"--older-than is -1h"}},
		{[]string{"archive", path, "--older-than", "0s", "--dry-run"}, 0, []string{"Would put away 3 facts of 2 things"}},
		{[]string{"archive", path, "--older-than", "0s"}, 0, []string{"Put away 3 facts of 2 things into " + path}},
		{[]string{"archive", path, "--older-than", "0s"}, exitError, []string{"exists"}},
		{[]string{"list", "--all"}, 0, []string{"failed (archived)", "DEPROVISIONED (archived)"}},
		{[]string{"get", "c-1"}, 0, []string{"connection c-1  DEPROVISIONED (archived) for "}},
		{[]string{"explain", "o-1"}, 0, []string{"failed (archived)", "create", "in an archive: 2 facts"}},
		{[]string{"explain", "c-1"}, 0, []string{"DEPROVISIONED (archived)", "in an archive: 1 fact"}},
		{[]string{"archive", "restore", path}, exitError, []string{"Took back 0 facts", "order/o-1 was passed over", "2 things not taken back", "no service ran before"}},
		{[]string{"archive", "restore", path, "--journal-bytes", "-1"}, exitUsage, []string{"--journal-bytes is -1"}},
		{[]string{"archive", "restore", path + "x"}, exitError, []string{"no such file"}},
		{[]string{"archive", "restore", broken}, exitError, []string{broken + ": gzip: invalid header"}},
	} {
		out, code := h.run("", tt.args...)
		for _, want := range tt.want {
			if code != tt.code || !strings.Contains(out, want) {
				t.Errorf("%q = %d %q, want %d and %q in it", tt.args, code, out, tt.code, want)
			}
			if tt.want[0] == "exists" && strings.Contains(out, "Nothing to put away") || strings.Contains(want, "gzip") && strings.Contains(out, "Took back") {
				t.Errorf("%q says %q, want only why it did not work", tt.args, out)
			}
		}
	}
	// No service ever ran on the NATS that an archive is taken back into.
	n := testenv.StartNATS(t)
	if out, code := run(t, "", "archive", "restore", path, "--nats-url", n.URL); code != 0 || !strings.Contains(out, "Took back 3 facts of 2 things") {
		t.Errorf("restore = %d %q, want all facts", code, out)
	}
	empty := house{t, n.Open(t, journal.Config{}), n}
	ctx, cancel := context.WithCancel(t.Context())
	var work errgroup.Group
	work.Go(func() error { return (&service.Runtime{Journal: empty.j}).Answer(ctx) })
	t.Cleanup(func() { cancel(); _ = work.Wait() })
	var out string
	code := 0
	for try := 0; code == 0 && try < 100; try++ { // until somebody serves
		out, code = empty.run("", "archive", "restore", path)
	}
	if code != exitError || !strings.Contains(out, "a service is running") {
		t.Errorf("restore beside a service = %d %q, want it refused", code, out)
	}
}
