package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/event"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/sandbox"
)

// Paths of circuits to PROVISIONED, by who has to agree.
var (
	nobodyAsked  = []string{"PROVISIONING/NOT_AVAILABLE", "PROVISIONED/AVAILABLE"}
	atFabric     = []string{"PENDING_APPROVAL/NOT_AVAILABLE", "PROVISIONING/PROVISIONING", "PROVISIONED/AVAILABLE"}
	atOthers     = []string{"PENDING_APPROVAL/NOT_AVAILABLE", "PROVISIONING/NOT_AVAILABLE", "PROVISIONED/AVAILABLE"}
	goneAtFabric = []string{"PENDING_DELETE/AVAILABLE", "DEPROVISIONING/DEPROVISIONING", "DEPROVISIONED/DEPROVISIONED"}
	goneAtPF     = []string{"DEPROVISIONING/AVAILABLE", "DEPROVISIONED/NOT_AVAILABLE"}
)

// exampleOf is an example of an exchange and the path of each of its circuits.
type exampleOf struct {
	file string
	path []string
}

// createExamples are the examples that create; those after them change or delete.
var createExamples = []exampleOf{
	{"fabric/01-token-dot1q", nobodyAsked},
	{"fabric/02-token-qinq", nobodyAsked},
	{"fabric/03-profile-approval", atFabric},
	{"fabric/04-own-dot1q-to-dot1q", nobodyAsked},
	{"fabric/05-own-dot1q-to-qinq", nobodyAsked},
	{"fabric/06-own-qinq-to-dot1q", nobodyAsked},
	{"fabric/07-own-qinq-to-qinq", nobodyAsked},
	{"fabric/08-epl", nobodyAsked},
	{"fabric/09-a-side-token", nobodyAsked},
	{"fabric/10-redundant-pair", slices.Concat(atFabric, goneAtFabric)},
	{"fabric/11-token-epl", nobodyAsked},
	{"fabric/12-private-peering", atFabric},
	{"packetfabric/01-vlan", atOthers},
	{"packetfabric/02-svlan", atOthers},
	{"packetfabric/03-untagged", atOthers},
	{"packetfabric/04-service", atOthers},
	{"packetfabric/05-own-port", nobodyAsked},
	{"packetfabric/06-own-port-untagged", nobodyAsked},
	{"packetfabric/07-pair", slices.Concat(atOthers, goneAtPF)},
	{"packetfabric/08-flex-bandwidth", atOthers},
}

// askDeletes approves creates and asks people about the rest.
const askDeletes = `      - {name: creates, when: 'kind == "create"', then: approve}
      - {name: rest, when: "true", then: ask}
`

// One program at all three exchanges: the examples, a stranger's requests, words that no
// document has, and one token that many want.
func TestExchanges(t *testing.T) {
	heavy(t)
	t.Parallel()
	v := opened(t, sandbox.Delays{Provision: time.Second, Deprovision: time.Second})
	p := up(t, v.accounts(map[string]string{"ecx": askDeletes, "fabric": askDeletes, "packetfabric": askDeletes}))
	r := read(t, p.NATS)
	foreign := v.strangers()
	t.Run("examples", func(t *testing.T) { examplesOfExchanges(t, p, r.with(t)) })
	t.Run("strangers", func(t *testing.T) { v.strangersEnd(t, r.with(t), foreign) })
	t.Run("words", func(t *testing.T) { v.words(t, p, r.with(t)) })
	t.Run("one token", func(t *testing.T) { v.oneToken(t, r.with(t)) })
	t.Run("at rest", func(t *testing.T) { v.atRest(t) })
	r.check(v.base, "to PENDING_DELETE/PENDING_DELETE") // which "words" had it show
}

// submitted hands files in by the command line, without waiting, and returns their orders.
func submitted(t *testing.T, p *program, files ...string) []string {
	t.Helper()
	args := []string{"intent", "submit", "--json"}
	for _, f := range files {
		args = append(args, filepath.Join("..", "..", "examples", filepath.FromSlash(f)+".intent.json"))
	}
	out, code := p.run(args...)
	var all []struct{ OrderID string }
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != len(files) {
		t.Fatalf("submit exits with %d: %v\n%s", code, err, out)
	}
	var ids []string
	for _, o := range all {
		ids = append(ids, o.OrderID)
	}
	return ids
}

func examplesOfExchanges(t *testing.T, p *program, r *reader) {
	t.Helper()
	every := everyEvent(t, r)
	start := time.Now()
	var files []string
	for _, e := range createExamples {
		files = append(files, e.file)
	}
	ids := submitted(t, p, files...)
	r.allCompleted(time.Minute, ids)
	created := since(start)
	pair := r.order(ids[9]).GetLegs()
	changes := submitted(t, p, "fabric/13-change", "packetfabric/09-change")
	for _, l := range pair {
		r.asked(l.GetConnectionId(), "change")
		r.decide("approve", l.GetConnectionId(), "")
	}
	r.allCompleted(time.Minute, changes)
	deletes := submitted(t, p, "fabric/14-delete", "packetfabric/10-delete")
	for _, l := range pair {
		r.asked(l.GetConnectionId(), "delete")
		r.decide("approve", l.GetConnectionId(), "")
	}
	r.allCompleted(time.Minute, deletes)
	took := since(start)
	var table strings.Builder
	transitions := 0
	r.look(func(s *invariants.Story) {
		for i, e := range createExamples {
			for _, l := range s.Order(ids[i]).GetLegs() {
				n, inferred := stepwise(t, e, s.Connections[l.GetConnectionId()])
				transitions += n
				fmt.Fprintf(&table, "\n%-34s %-9s %2d steps, %d inferred: %s", e.file, l.GetLeg(), n, inferred, strings.Join(e.path, " → "))
			}
		}
	})
	n := every(transitions)
	t.Logf("%d examples completed in %s, with 2 changes and 2 deletes in %s; %d transitions, %d events read by the "+
		"CloudEvents SDK:%s", len(createExamples), created, took, transitions, n, table.String())
}

// stepwise compares the path of a circuit with an example's and returns how many steps were
// told and how many of them were inferred. Its first and last are always seen, and whatever
// the exchange's own words did within a state is told too.
func stepwise(t *testing.T, e exampleOf, steps []*patchbayv1.Transition) (told, inferred int) {
	t.Helper()
	var path []string
	for i, s := range steps {
		at := invariants.State(s.GetTo())
		if len(path) == 0 || path[len(path)-1] != at {
			path = append(path, at)
		}
		if s.GetSkipped() || s.GetUnexpected() {
			t.Errorf("%s: step to %s is skipped or unexpected", e.file, at)
		}
		if s.GetInferred() {
			inferred++
			if i == len(steps)-1 || !strings.HasSuffix(strings.Split(at, "/")[0], "PROVISIONING") {
				t.Errorf("%s: step %d of %d to %s is inferred, want only what lasts a second", e.file, i+1, len(steps), at)
			}
		}
	}
	if !slices.Equal(path, e.path) {
		t.Errorf("%s went %s, want %s", e.file, strings.Join(path, " → "), strings.Join(e.path, " → "))
	}
	return len(steps), inferred
}

// everyEvent reads every transition with NATS and the CloudEvents SDK alone. What it returns
// waits until n or more were read, and returns how many there were. Each connection's
// sequence has no gap.
func everyEvent(t *testing.T, r *reader) func(n int) int {
	t.Helper()
	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := js.CreateConsumer(t.Context(), "JOURNAL", jetstream.ConsumerConfig{
		Durable: "every", FilterSubject: "patchbay.connection.>", AckPolicy: jetstream.AckNonePolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(n int) int {
		t.Helper()
		next := map[string]int{}
		read := 0
		for read < n {
			m, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
			if err != nil {
				t.Errorf("%d events, want %d: %v", read, n, err)
				return read
			}
			e := decoded(t, m)
			next[e.Subject()]++
			if got, want := e.Extensions()["sequence"], fmt.Sprintf("%020d", next[e.Subject()]); got != want {
				t.Errorf("event %s on %s has sequence %v, want %s", e.ID(), m.Subject(), got, want)
			}
			read++
		}
		return read
	}
}

// decoded reads a message by the CloudEvents SDK alone.
func decoded(t *testing.T, m jetstream.Msg) cloudevents.Event {
	t.Helper()
	e := cloudevents.New("1.0")
	e.SetID(m.Headers().Get("ce-id"))
	e.SetSource(m.Headers().Get("ce-source"))
	e.SetType(m.Headers().Get("ce-type"))
	e.SetSubject(m.Headers().Get("ce-subject"))
	for _, name := range []string{"sequence", "partitionkey", "correlationid", "causationid", "exchange", "traceparent"} {
		if text := m.Headers().Get("ce-" + name); text != "" {
			e.SetExtension(name, text)
		}
	}
	if err := e.SetData("application/json", m.Data()); err != nil {
		t.Error(err)
	}
	if err := e.Validate(); err != nil {
		t.Errorf("the CloudEvents SDK refuses the event on %s: %v", m.Subject(), err)
	}
	return e
}

// strangers has Globex ask the seller for a circuit at each exchange, and returns their ids
// in our words.
func (v *venue) strangers() map[string]string {
	v.t.Helper()
	mails := []string{"max.muster@example.org"}
	atECX := v.globex("/ecx/v3/l2/connections", object{
		"primaryName": "stranger-ecx", "profileUUID": openProfile, "speed": 50, "speedUnit": "MB", "notifications": mails,
		"primaryPortUUID": "610d1050-0000-4000-8000-000000000001", "primaryVlanSTag": 100, "sellerMetroCode": "SV",
	})
	const connect = "20d32a80-0d61-4333-bc03-707b591ae2f4" // ECX does not list it
	atFabric := v.globex("/fabric/v4/connections", object{
		"type": "EVPL_VC", "name": "stranger-fabric", "bandwidth": 50,
		"notifications": []object{{"type": "ALL", "emails": mails}},
		"aSide": object{"accessPoint": object{"type": "COLO", "port": object{"uuid": "610d1050-0000-4000-8000-000000000002"},
			"linkProtocol": object{"type": "DOT1Q", "vlanTag": 100}}},
		"zSide": object{"accessPoint": object{"type": "SP", "profile": object{"type": "L2_PROFILE", "uuid": connect},
			"location": object{"metroCode": "SV"}}},
	})
	atPF := v.globex("/v2/services/third-party", object{
		"routing_id": routing, "market": "ATL", "description": "stranger-packetfabric",
		"interface": object{"port_circuit_id": "PF-AP-NYC1-3100001", "vlan": 100},
		"bandwidth": object{"account_uuid": "610f0000-0000-4000-8000-0000000000ac", "longhaul_type": "dedicated",
			"subscription_term": 1, "speed": "50Mbps"},
	})
	text := func(o object, field string) string { s, _ := o[field].(string); return s } // empty fails below
	return map[string]string{
		"ecx": text(atECX, "primaryConnectionId"), "fabric": text(atFabric, "uuid"), "packetfabric": text(atPF, "vc_request_uuid"),
	}
}

// strangersEnd waits until what nobody here ordered was found, decided, landed and watched.
func (v *venue) strangersEnd(t *testing.T, r *reader, foreign map[string]string) {
	t.Helper()
	for _, c := range v.circuits("Globex") {
		api := strings.TrimPrefix(c.Name, "stranger-")
		want := atOthers
		if api == "fabric" {
			want = atFabric
		}
		if c.ExchangeID != foreign[api] {
			t.Errorf("%s is %s, want %s as its order was answered", c.Name, c.ExchangeID, foreign[api])
		}
		r.until(time.Minute, func(s *invariants.Story) string {
			if got := s.Path(c.ID); len(got) == 0 || got[len(got)-1] != want[len(want)-1] {
				return fmt.Sprintf("%s went %v, want %v", c.Name, got, want)
			}
			return ""
		})
		r.look(func(s *invariants.Story) {
			if got := slices.Compact(s.Path(c.ID)); !slices.Equal(got, want) {
				t.Errorf("%s went %v, want %v", c.Name, got, want)
			}
			first, end := s.Connections[c.ID][0], s.Connection(c.ID)
			if !first.GetFirst() || end.GetConnection().GetSellerAccount() != "cloud-"+api || end.GetConnection().GetBuyerAccount() != "" || end.GetConnection().GetOrderId() != "" {
				t.Errorf("%s: first %v, seller %q, buyer %q, order %q; want first, cloud-%s and neither buyer nor order",
					c.Name, first.GetFirst(), end.GetConnection().GetSellerAccount(), end.GetConnection().GetBuyerAccount(), end.GetConnection().GetOrderId(), api)
			}
			a, landings := s.Approval(c.ID), s.Landings[c.ID]
			if a.GetFact() != "approved" || len(landings) == 0 || landings[len(landings)-1].GetFact() != "accepted" {
				t.Errorf("%s: approval %s, %d facts of its landing; want approved and accepted", c.Name, a.GetFact(), len(landings))
				return
			}
			t.Logf("%s at %s: found by %s, decided by rule %q, landed on %s, watched through %s", c.Name, api, first.GetObservedBy(),
				a.GetRule(), landings[len(landings)-1].GetPortId(), strings.Join(s.Path(c.ID), " → "))
		})
	}
}

// words that no document has, by exchange.
var oddWords = map[string][]string{
	"ecx":          {`""`},
	"fabric":       {"PENDING_MOON/HALF", `""`},
	"packetfabric": {"Orbiting", `""`},
}

// words has the exchanges show words that no document has.
func (v *venue) words(t *testing.T, p *program, r *reader) {
	t.Helper()
	type odd struct{ api, word, order string }
	var all []odd
	for _, api := range apis {
		for _, word := range oddWords[api] {
			n := 100 + len(all)
			ask(t, http.MethodPost, v.base+"/sandbox/faults", object{
				"kind": "status", "times": -1, "value": word, "match": object{"name": fmt.Sprintf("circuit-%d", n)},
			})
			all = append(all, odd{api, word, r.publish("create", fmt.Sprintf("odd-%d", n), at(api, n))})
		}
	}
	for _, o := range all {
		last := r.unknown(o.order, 1)
		told := last.GetTo().GetNative().GetStatus()
		if want := strings.Trim(statusOf(o.word), `"`); told != want {
			t.Errorf("%s: the word %s is told as %q, want %q", o.api, o.word, told, want)
		}
		text, code := p.run("explain", r.circuitOf(o.order))
		if !strings.Contains(text, "UNKNOWN") || !strings.Contains(text, strings.Trim(statusOf(o.word), `"`)) || code != 0 {
			t.Errorf("%s: explain exits with %d and does not tell of %s:\n%s", o.api, code, o.word, text)
		}
		if end := r.order(o.order).GetOutcome(); end != "" {
			t.Errorf("%s: the order ended %s at the word %s", o.api, end, o.word)
		}
	}
	ask(t, http.MethodDelete, v.base+"/sandbox/faults", nil)
	var ids []string
	for _, o := range all {
		ids = append(ids, o.order)
	}
	r.allCompleted(time.Minute, ids)
	r.look(func(s *invariants.Story) {
		for _, o := range all {
			for _, l := range s.Order(o.order).GetLegs() {
				t.Logf("%s shows %s: %s", o.api, o.word, strings.Join(s.Path(l.GetConnectionId()), " → "))
			}
		}
	})
	v.spaced(t, p, r)
}

// spacedWord is Fabric's word for a seller who has to consent to a delete: with a space.
const spacedWord = "PENDING DELETE"

// spaced has Fabric use the word while a delete waits for consent, and not only before.
func (v *venue) spaced(t *testing.T, p *program, r *reader) {
	t.Helper()
	r.expect(r.publish("create", "spaced", at("fabric", 150)), "completed")
	circuit := r.circuitOf(r.publish("delete", "unspaced", remove("spaced")))
	r.asked(circuit, "delete")
	ask(t, http.MethodPost, v.base+"/sandbox/faults", object{
		"kind": "status", "times": -1, "value": "/" + spacedWord, "match": object{"name": "circuit-150"},
	})
	r.until(time.Minute, func(s *invariants.Story) string {
		if got := s.Connection(circuit).GetTo().GetNative().GetProviderStatus(); got != spacedWord {
			return "the provider's word is told as " + got + ", want " + spacedWord
		}
		return ""
	})
	if text, code := p.run("explain", circuit); !strings.Contains(text, "PENDING_DELETE/PENDING_DELETE") || code != 0 {
		t.Errorf("explain exits with %d and does not tell of %s:\n%s", code, spacedWord, text)
	}
	r.decide("approve", circuit, "")
	ask(t, http.MethodDelete, v.base+"/sandbox/faults", nil)
	r.expect(event.OrderID(source, "unspaced"), "completed")
	r.look(func(s *invariants.Story) {
		t.Logf("fabric shows %s: %s", spacedWord, strings.Join(s.Path(circuit), " → "))
	})
}

// oneToken has fifty intents want the same service token at once.
func (v *venue) oneToken(t *testing.T, r *reader) {
	t.Helper()
	const n, token = 50, "20d32a80-0d61-4333-bc03-707b591ae2f9"
	before := len(v.since(0))
	start := time.Now()
	var ids []string
	for i := range n {
		ids = append(ids, r.publish("create", fmt.Sprintf("token-%d", i), at("fabric", 400+i,
			set("name", "token"), set("primary.zSide", object{"serviceToken": token}))))
	}
	r.until(time.Minute, ended(ids...))
	took := since(start)
	winner, reasons := "", map[string]int{}
	r.look(func(s *invariants.Story) {
		for _, id := range ids {
			for _, o := range s.Orders[id] {
				if o.GetFact() == "uncertain" {
					t.Errorf("order %s was uncertain", id)
				}
			}
			if s.Order(id).GetOutcome() == "completed" {
				winner = id
			}
		}
		for _, id := range ids {
			o := s.Order(id)
			if id == winner {
				continue
			}
			f := o.GetFailure()
			named := strings.Contains(f.GetMessage()+f.GetHolder(), winner) || f.GetCode() != ""
			if o.GetOutcome() != "failed" || !named {
				t.Errorf("order %s ended %s: %v; want failed, with the holder or the exchange's reason", id, o.GetOutcome(), f)
			}
			reasons[f.GetReason()]++
		}
	})
	posts, circuits := 0, 0
	for _, a := range v.since(before) {
		if a.path == "/fabric/v4/connections" && a.decides {
			posts++
		}
	}
	for _, c := range v.circuits("Acme") {
		if c.Name == "token" {
			circuits++
		}
	}
	if winner == "" || posts != 1 || circuits != 1 {
		t.Errorf("%d POSTs, %d circuits, winner %q; want one of each", posts, circuits, winner)
	}
	t.Logf("%d intents for one token: %d POST, %d circuit, the others failed for %v, in %s", n, posts, circuits, reasons, took)
}

// atRest looks what the exchanges are asked while nothing is in motion: nothing that names a
// circuit, once the last looks at what has just come to rest are over.
func (v *venue) atRest(t *testing.T) {
	t.Helper()
	const calm, look, limit = 5 * time.Second, 20 * time.Second, 30 * time.Second
	books := v.x.Inventory()
	names := map[string]string{}
	for _, c := range books.Connections {
		names[c.ID] = c.Name
	}
	for _, c := range books.PacketFabric.Circuits {
		names[c.ID] = c.Description
		if c.CircuitID != "" {
			names[c.CircuitID] = c.Description
		}
	}
	named := func(d time.Duration) (all []string) {
		before := len(v.since(0))
		select {
		case <-time.After(d):
		case <-t.Context().Done():
		}
		for _, a := range v.since(before) {
			for id, name := range names {
				if strings.Contains(a.path+a.query+a.body, id) {
					all = append(all, fmt.Sprintf("%s %s names %s, which is at rest: %s", a.method, a.path, name, a.body))
				}
			}
		}
		return all
	}
	start := time.Now()
	for len(named(calm)) > 0 && time.Since(start) < limit {
	}
	took := since(start)
	v.x.ResetCalls()
	for _, n := range named(look) {
		t.Error(n)
	}
	var table strings.Builder
	report := v.x.Calls()
	for _, e := range report.Endpoints {
		fmt.Fprintf(&table, "\n%4d  %-45s %s", e.Calls, e.Endpoint, e.Tenant)
	}
	t.Logf("%d circuits at rest, nothing asked about one of them after %s; %d calls in the next %v:%s",
		len(invariants.Circuits(books)), took, report.Total, look, table.String())
}
