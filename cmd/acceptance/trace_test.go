package acceptance_test

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/event"
	"patchbay.io/services/sandbox"
)

// otlp is a collector: what it was sent, read and as it came.
type otlp struct {
	t   *testing.T
	url string

	mu    sync.Mutex
	spans []span
	raw   []byte // of traces and metrics
	posts map[string]int
}

// span is a span and the service that made it.
type span struct {
	*trace.Span
	service string
}

func collect(t *testing.T) *otlp {
	t.Helper()
	o := &otlp{t: t, posts: map[string]int{}}
	srv := httptest.NewServer(o)
	t.Cleanup(srv.Close)
	o.url = srv.URL
	return o
}

func (o *otlp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			o.t.Errorf("OTLP: %v", err)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if err != nil {
		o.t.Errorf("OTLP: %v", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.raw = append(o.raw, b...)
	o.posts[r.URL.Path]++
	if r.URL.Path != "/v1/traces" {
		return
	}
	var req collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(b, &req); err != nil {
		o.t.Errorf("OTLP: %v", err)
	}
	for _, rs := range req.GetResourceSpans() {
		service := text(rs.GetResource().GetAttributes(), "service.name")
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				o.spans = append(o.spans, span{s, service})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// text is the value of an attribute, empty if it is not there.
func text(attrs []*common.KeyValue, name string) string {
	for _, a := range attrs {
		if a.GetKey() == name {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// ofTrace returns the spans that belong to a trace, or are linked with one that does by
// parents or links, however many between; and how many of the trace are not connected with
// span root.
func (o *otlp) ofTrace(traceID, root string) (all []span, loose int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	parent := map[string]string{}
	var find func(string) string
	find = func(x string) string {
		if p, ok := parent[x]; ok && p != x {
			parent[x] = find(p)
			return parent[x]
		}
		return x
	}
	name := func(traceID, id []byte) string { return hex.EncodeToString(traceID) + "/" + hex.EncodeToString(id) }
	for _, s := range o.spans {
		me := find(name(s.GetTraceId(), s.GetSpanId()))
		if len(s.GetParentSpanId()) > 0 {
			parent[me] = find(name(s.GetTraceId(), s.GetParentSpanId()))
			me = find(me)
		}
		for _, l := range s.GetLinks() {
			parent[me] = find(name(l.GetTraceId(), l.GetSpanId()))
			me = find(me)
		}
	}
	for _, s := range o.spans {
		connected := find(name(s.GetTraceId(), s.GetSpanId())) == find(traceID+"/"+root)
		if connected {
			all = append(all, s)
		} else if hex.EncodeToString(s.GetTraceId()) == traceID {
			loose++
		}
	}
	return all, loose
}

// One intent is one trace over all services, and its secrets are in no place that anybody
// looks at.
func TestOneTraceAndNoSecret(t *testing.T) {
	t.Parallel()
	const canary, other = "canary-key-5b1f", "canary-key-9c2e"
	const traceID, root = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	o := collect(t)
	x, base := exchange(t, sandbox.Delays{Provision: 300 * time.Millisecond, Deprovision: 300 * time.Millisecond})
	for _, k := range []string{canary, other} {
		if err := x.Edit(sandbox.Edit{Kind: "key", Profile: keyed, Key: k}); err != nil {
			t.Fatal(err)
		}
	}
	store := startRedis(t)
	s := accounts(t, base, approveAll)
	s.data = t.TempDir()
	s.args = append(s.args, "--redis-url", "redis://"+store.addr, "--log-level", "trace")
	s.env = append(s.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+o.url, "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_METRIC_EXPORT_INTERVAL=500")
	p := up(t, s)
	r := read(t, p.NATS, canary, other)

	start := time.Now()
	id := r.traced("traced", single(1, set("primary.zSide.profileId", keyed), set("primary.zSide.authorizationKey", canary)),
		"00-"+traceID+"-"+root+"-01")
	r.expect(id, "completed")
	took := since(start)
	circuit := r.circuitOf(id)
	r.publish("create", "traced", single(1, set("primary.zSide.profileId", keyed), set("primary.zSide.authorizationKey", other)))
	r.invalidSecret(canary)
	r.refusedSecret(id)
	renamed := r.publish("change", "rename", fmt.Appendf(nil, `{"target": {"orderId": %q}, "set": {"name": "renamed"}}`, id))
	r.expect(renamed, "completed")
	r.expect(r.publish("delete", "end", remove("traced")), "completed")
	r.answered()
	said := ""
	for _, args := range [][]string{
		{"explain", id}, {"explain", circuit}, {"get", id, "--json"}, {"get", circuit, "--json"},
		{"list", "--all", "--json"}, {"list", "connections", "--all", "--json"}, {"deadletters", "list"},
	} {
		out, _ := p.run(args...)
		said += out
	}
	metrics := string(page(t, p.HTTP+"/metrics"))
	r.check(base)
	r.intentsForgotten(canary, other)
	p.interrupt()

	services := o.checkTrace(traceID, root)
	for where, text := range map[string]string{
		"a span or an exported metric": string(o.raw), "the log": p.log.String(), "/metrics": metrics,
		"what commands print": said, "Redis": contents(t, store.dir, ""),
		"the journal on disk": contents(t, s.data, "JOURNAL"),
		"the timers on disk":  contents(t, s.data, "TIMERS"),
	} {
		for _, secret := range []string{canary, other} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a secret", where)
			}
		}
		t.Logf("searched for secrets: %s, %d bytes", where, len(text))
	}
	t.Logf("one intent, completed in %s: %s", took, services)
}

// traced publishes a create as part of upstream's trace.
func (r *reader) traced(id string, data []byte, traceparent string) string {
	m := nats.NewMsg("patchbay.intent.create")
	m.Data = data
	for k, v := range identity("io.patchbay.intent.create.v1") {
		m.Header.Set(k, v)
	}
	m.Header.Set("ce-id", id)
	m.Header.Set("ce-traceparent", traceparent)
	m.Header.Set("traceparent", traceparent)
	r.raw(m)
	return event.OrderID(source, id)
}

// invalidSecret hands in intents whose secrets stand where they are wrong.
func (r *reader) invalidSecret(secret string) {
	r.t.Helper()
	for i, change := range []func(object){
		set("primary.zSide.authorizationKey", object{"key": secret}),
		set("primary.zSide.authorizationKey", secret+"\n"),
		set("primary.zSide.authorisationKey", secret),
		set("primary.aSide.serviceToken", secret),
		set("primary.zSide.authorizationKey", secret), // the profile is not that key's
	} {
		id := fmt.Sprintf("leak-%d", i)
		order := r.publish("create", id, single(500+i, set("primary.zSide.profileId", express), change))
		r.expect(order, "invalid")
	}
}

// refusedSecret waits for the refusal of another payload that differs in a secret only.
func (r *reader) refusedSecret(orderID string) {
	r.t.Helper()
	r.until(30*time.Second, func(s *invariants.Story) string {
		for _, f := range s.Refusals[orderID] {
			for _, d := range f.GetDifferences() {
				if strings.HasSuffix(d.GetField(), "authorizationKey") {
					return ""
				}
			}
		}
		return "no refusal names the authorization key"
	})
}

// intentsForgotten checks that no intent of an order that has ended is kept.
func (r *reader) intentsForgotten(secrets ...string) {
	r.t.Helper()
	js, err := jetstream.New(r.nc)
	if err != nil {
		r.t.Fatal(err)
	}
	stream, err := js.Stream(r.t.Context(), "INTENTS")
	if err != nil {
		r.t.Fatal(err)
	}
	info, err := stream.Info(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	kept := 0
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(r.t.Context(), seq)
		if err != nil {
			continue // deleted
		}
		kept++
		for _, secret := range secrets {
			if strings.Contains(string(m.Data), secret) {
				r.t.Errorf("intent %d on %s (%s) is kept with its secret", seq, m.Subject, m.Header.Get("ce-id"))
			}
		}
	}
	r.t.Logf("%d of %d intents and decisions are kept", kept, info.State.LastSeq)
}

// checkTrace checks that the four services' spans of a trace hang together and say what
// messages they are about. It returns how many each made.
func (o *otlp) checkTrace(traceID, root string) string {
	o.t.Helper()
	all, loose := o.ofTrace(traceID, root)
	if loose > 0 {
		o.t.Errorf("%d spans of the trace hang loose", loose)
	}
	count := map[string]int{}
	for _, s := range all {
		if hex.EncodeToString(s.GetTraceId()) == traceID {
			count[s.service]++
		}
		operation, _, _ := strings.Cut(s.GetName(), " ")
		if operation != "send" && operation != "process" {
			continue
		}
		for _, name := range []string{
			"messaging.system", "messaging.operation.name", "messaging.operation.type",
			"messaging.destination.name", "messaging.destination.template", "cloudevents.event_type",
		} {
			if text(s.GetAttributes(), name) == "" && (name != "cloudevents.event_type" || s.timer() == "") {
				o.t.Errorf("span %q of %s has no %s", s.GetName(), s.service, name)
			}
		}
	}
	var services []string
	for _, service := range []string{"requester", "approver", "provisioner", "status-watcher"} {
		if count[service] == 0 {
			o.t.Errorf("%s has no span in the trace", service)
		}
		services = append(services, fmt.Sprintf("%d spans of %s", count[service], service))
	}
	slices.Sort(services)
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("%s in the trace, %d spans connected by parents or links, none loose; %v", strings.Join(services, ", "), len(all), o.posts)
}

// timer is the subject of a timer that the span is about; timers are no events.
func (s span) timer() string {
	if d := text(s.GetAttributes(), "messaging.destination.name"); strings.HasPrefix(d, "patchbay.due.") {
		return d
	}
	return ""
}

// contents returns all files below dir whose path has part in it.
func contents(t *testing.T, dir, part string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, part) {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return all.String()
}

// What is secret at Fabric and PacketFabric, service tokens and keys and what accounts log in
// with, is in no place that anybody looks at either.
func TestNoSecretOfTheExchanges(t *testing.T) {
	t.Parallel()
	const key = "canary-key-77d0"
	o := collect(t)
	v := opened(t, sandbox.Delays{Provision: 300 * time.Millisecond, Deprovision: 300 * time.Millisecond})
	if err := v.x.Edit(sandbox.Edit{Kind: "key", Profile: keyed, Key: key}); err != nil {
		t.Fatal(err)
	}
	const stock = "20d32a80-0d61-4333-bc03-707b591ae2f" // and a digit: the sandbox's service tokens
	secrets := []string{key, stock, "acme-secret", "cloud-secret", "acme-api-key", "cloud-api-key"}
	store := startRedis(t)
	s := v.accounts(nil)
	s.data = t.TempDir()
	s.args = append(s.args, "--redis-url", "redis://"+store.addr, "--log-level", "trace")
	s.env = append(s.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+o.url, "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_METRIC_EXPORT_INTERVAL=500")
	p := up(t, s)
	r := read(t, p.NATS, secrets...)

	good := map[string][]byte{
		"z-token": at("fabric", 1, set("primary.zSide", object{"serviceToken": stock + "4"})),
		"a-token": at("fabric", 2, set("primary.aSide", object{"serviceToken": stock + "7"}),
			set("primary.zSide", object{"portId": secondDot1q, "tag": object{"vlan": 202}})),
		"key":          at("fabric", 3, set("primary.zSide.profileId", keyed), set("primary.zSide.authorizationKey", key)),
		"packetfabric": at("packetfabric", 4),
	}
	var ids []string
	for name, body := range good {
		ids = append(ids, r.publish("create", name, body))
	}
	r.allCompleted(time.Minute, ids)
	wrong := []string{ // a token that is spent, of nobody, misplaced and misspelt, and a key that is misplaced
		r.publish("create", "spent", at("fabric", 5, set("primary.zSide", object{"serviceToken": stock + "4"}))),
		r.publish("create", "nobody's", at("fabric", 6, set("primary.zSide", object{"serviceToken": stock + "0"}))),
		r.publish("create", "misplaced", at("packetfabric", 7, set("primary.zSide.serviceToken", stock+"5"))),
		r.publish("create", "misspelt", at("fabric", 8, set("primary.zSide.servicetoken", stock+"5"))),
		r.publish("create", "key's", at("packetfabric", 9, set("primary.zSide.authorizationKey", key))),
	}
	r.until(time.Minute, ended(wrong...))
	for _, id := range wrong {
		if end := r.order(id).GetOutcome(); end == "completed" {
			t.Errorf("%s is completed", r.order(id).GetIntentId())
		}
	}
	said := ""
	for _, id := range append(ids, wrong...) {
		for _, args := range [][]string{{"explain", id}, {"get", id, "--json"}} {
			out, _ := p.run(args...)
			said += out
		}
	}
	for _, args := range [][]string{
		{"list", "--all", "--json"}, {"list", "connections", "--all", "--json"}, {"list", "tokens", "--all", "--json"}, {"deadletters", "list"},
	} {
		out, _ := p.run(args...)
		said += out
	}
	metrics := string(page(t, p.HTTP+"/metrics"))
	r.check(v.base)
	r.intentsForgotten(secrets...)
	p.interrupt()

	shown := map[string]bool{} // what the program showed to log in, and was given for it
	for _, a := range v.since(0) {
		if token := strings.TrimPrefix(a.shown, "Bearer "); token != "" {
			shown[token] = true
		}
	}
	for token := range shown {
		secrets = append(secrets, token)
	}
	if len(shown) < 4 {
		t.Errorf("%d kinds of tokens and keys at the doors, want those of four accounts or more", len(shown))
	}
	searched := 0
	for where, text := range map[string]string{
		"a span or an exported metric": string(o.raw), "the log": p.log.String(), "/metrics": metrics,
		"what commands print": said, "Redis": contents(t, store.dir, ""),
		"the journal on disk": contents(t, s.data, "JOURNAL"), "the timers on disk": contents(t, s.data, "TIMERS"),
	} {
		searched += len(text)
		for i, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds secret %d: %s", where, i, around(text, secret))
			}
		}
	}
	t.Logf("searched %d bytes of spans, metrics, log, output, Redis, journal and timers for %d secrets", searched, len(secrets))
}

// around is the text before the first secret in it, which says where it stands.
func around(text, secret string) string {
	at := strings.Index(text, secret)
	return fmt.Sprintf("%q", text[max(0, at-120):at])
}
