package telemetry_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"patchbay.io/pkg/telemetry"
	"patchbay.io/pkg/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start makes telemetry that logs into what it returns, as if no collector were configured
// unless the test has set one. Complaints of an exporter of a test before may be among the lines.
func start(t *testing.T, cfg telemetry.Config) (*telemetry.Telemetry, *testenv.Log) {
	t.Helper()
	var log testenv.Log
	cfg.LogOutput = &log
	tel, err := telemetry.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Close(context.Background()) })
	return tel, &log
}

func TestLogLine(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	tel, buf := start(t, telemetry.Config{Service: "requester"})
	ctx, span := otel.Tracer("test").Start(t.Context(), "work")
	defer span.End()
	if !span.SpanContext().IsValid() {
		t.Fatal("a span without a collector has no ids; facts would have no trace")
	}

	log := tel.Logger("requester")
	log.Debug().Msg("below the level")
	log.Info().Ctx(ctx).Str("topic", "x").Msg("message")
	lines := func(message string) (all []string) {
		for line := range strings.Lines(buf.String()) {
			if strings.Contains(line, `"message":"`+message+`"`) {
				all = append(all, line)
			}
		}
		return all
	}
	var line map[string]string
	if got := lines("message"); len(got) != 1 {
		t.Fatalf("the log %q has %d lines of the message, want one", buf, len(got))
	} else if err := json.Unmarshal([]byte(got[0]), &line); err != nil {
		t.Fatalf("%q is no JSON: %v", got[0], err)
	}
	if got := lines("below the level"); len(got) > 0 {
		t.Errorf("%q is below the level", got)
	}
	want := map[string]string{
		"service": "requester", "level": "info", "message": "message", "topic": "x",
		"trace": span.SpanContext().TraceID().String(), "span": span.SpanContext().SpanID().String(),
	}
	for name, value := range want {
		if line[name] != value {
			t.Errorf("field %s is %q, want %q", name, line[name], value)
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, line["time"]); err != nil || time.Since(at) > time.Minute {
		t.Errorf("time is %q, want now", line["time"])
	}

	log.Info().Ctx(t.Context()).Msg("no span")
	if got := lines("no span"); len(got) != 1 || strings.Contains(got[0], `"trace"`) {
		t.Errorf("the log has %q, want one line, without a trace as without a span", got)
	}
}

func TestLogConsole(t *testing.T) {
	tel, buf := start(t, telemetry.Config{Service: "up", LogFormat: "console", LogLevel: "debug"})
	log := tel.Logger("watcher")
	log.Debug().Str("topic", "x").Msg("message")
	if got := buf.String(); !strings.Contains(got, "DBG message") || !strings.Contains(got, "service=watcher") ||
		strings.Contains(got, "\x1b") {
		t.Errorf("console line is %q, want level, message and service without colours", got)
	}
}

func TestStartRefuses(t *testing.T) {
	for _, cfg := range []telemetry.Config{{LogLevel: "loud"}, {LogFormat: "xml"}} {
		if _, err := telemetry.Start(t.Context(), cfg); err == nil {
			t.Errorf("Start(%+v) gave no error, want one that lists what is allowed", cfg)
		}
	}
}

func get(t *testing.T, tel *telemetry.Telemetry, path string, into any) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			t.Fatalf("%s answers %q: %v", path, w.Body, err)
		}
	}
	return w.Code, w.Body.String()
}

func TestHealthz(t *testing.T) {
	tel, _ := start(t, telemetry.Config{Service: "up"})
	var away error
	tel.Check("nats", func() error { return nil })
	tel.Check("redis", func() error { return away })

	for _, step := range []struct {
		away error
		want telemetry.Finding
		all  string
	}{
		{nil, telemetry.Finding{Status: "ok"}, "ok"},
		{errors.New("connection refused"), telemetry.Finding{Status: "degraded", Reason: "connection refused"}, "degraded"},
		{nil, telemetry.Finding{Status: "ok"}, "ok"},
	} {
		away = step.away
		var h telemetry.Health
		code, _ := get(t, tel, "/healthz", &h)
		if code != 200 {
			t.Errorf("with redis %v: code %d, want 200: the process is alive", step.away, code)
		}
		if h.Status != step.all || h.Checks["redis"] != step.want || h.Checks["nats"].Status != "ok" {
			t.Errorf("with redis %v: %+v, want redis %+v, all %s", step.away, h, step.want, step.all)
		}
	}
}

func TestReadyz(t *testing.T) {
	tel, _ := start(t, telemetry.Config{Service: "up"})
	done := false
	tel.Ready("intake", func() (bool, any) { return done, nil })
	tel.Ready("view", func() (bool, any) { return true, map[string]int{"seen": 7} })

	var r telemetry.Readiness
	if code, body := get(t, tel, "/readyz", &r); code != 503 || r.Ready || r.Parts["intake"].Done {
		t.Errorf("before intake: %d %s, want 503 and not ready", code, body)
	}
	done = true
	code, body := get(t, tel, "/readyz", &r)
	if code != 200 || !r.Ready || !strings.Contains(body, `"seen": 7`) {
		t.Errorf("after intake: %d %s, want 200 and the view's progress", code, body)
	}
}

func TestMetricsPage(t *testing.T) {
	tel, _ := start(t, telemetry.Config{Service: "up"})
	counter, err := otel.Meter("test").Int64Counter("patchbay.test.things")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3)
	code, body := get(t, tel, "/metrics", nil)
	for _, want := range []string{"patchbay_test_things_total", "go_goroutines", "process_open_fds"} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("/metrics answers %d without %s", code, want)
		}
	}
}

// TestServicesInTraces sends spans of two services to a collector and looks for both names.
func TestServicesInTraces(t *testing.T) {
	bodies := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		bodies <- r.URL.Path + " " + string(b)
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	tel, _ := start(t, telemetry.Config{Service: "patchbay"})

	ctx, ask := tel.TracerProvider("requester").Tracer("test").Start(t.Context(), "ask")
	_, look := tel.TracerProvider("watcher").Tracer("test").Start(ctx, "look")
	if ask.SpanContext().TraceID() != look.SpanContext().TraceID() {
		t.Error("two services in one call have two traces, want one")
	}
	look.End()
	ask.End()
	if err := tel.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
	close(bodies)
	var traces, metrics string
	for b := range bodies {
		if strings.HasPrefix(b, "/v1/traces ") {
			traces += b
		} else {
			metrics += b
		}
	}
	for _, want := range []string{"requester", "watcher", "ask", "look"} {
		if !strings.Contains(traces, want) {
			t.Errorf("the collector got no %q in its traces", want)
		}
	}
	if !strings.HasPrefix(metrics, "/v1/metrics ") {
		t.Errorf("the collector got metrics %.20q, want some at /v1/metrics", metrics)
	}
}

func TestCloseDoesNotWaitForACollector(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	hangs := "http://" + l.Addr().String()
	defer l.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := "http://" + gone.Addr().String()
	gone.Close()

	for name, endpoint := range map[string]string{"hangs": hangs, "away": away} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
			tel, _ := start(t, telemetry.Config{Service: "up"})
			_, span := tel.TracerProvider("up").Tracer("test").Start(t.Context(), "work", trace.WithNewRoot())
			span.End()
			began := time.Now()
			err := tel.Close(t.Context())
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("close took %v, want about a second at most", took)
			}
			if err == nil {
				t.Error("close reports no error, want what could not be sent")
			}
		})
	}
}
