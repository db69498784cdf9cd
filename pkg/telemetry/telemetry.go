// Package telemetry is what operators see of a process: its log, its traces and metrics,
// and the pages that say whether it is well.
//
// Log lines are zerolog's, in JSON or for the eye, and carry the trace of the context
// they are written with. Metrics are always at /metrics for Prometheus. If the standard
// variable OTEL_EXPORTER_OTLP_ENDPOINT is set, traces and metrics also go there over
// OTLP/HTTP; the other standard variables are obeyed too. Trace ids exist and travel
// whether or not anybody collects them.
//
// Several services may share one process and one [Telemetry]. Each has its own logger
// and its own tracer provider, so that each is a node of its own in the graph of traces.
//
// It promises that a collector that is away or hangs costs neither work nor time: what
// cannot be sent is dropped, with a line in the log at most once a minute, and
// [Telemetry.Close] takes a second at most. It never decides what is healthy; those who
// know register a check.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	promexport "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// endpointVar names the collector. The exporters read it themselves.
const endpointVar = "OTEL_EXPORTER_OTLP_ENDPOINT"

// closing is how long Close may take to send what is left.
const closing = time.Second

// Config says what the process is called and how it logs.
type Config struct {
	// Service is the name of the process: "requester", or "patchbay" for all in one. Required.
	Service string
	// Version of the program; may be empty.
	Version string
	// LogLevel is trace, debug, info, warn, error or disabled; default info.
	LogLevel string
	// LogFormat is json or console; default json.
	LogFormat string
	// LogOutput gets the lines; default standard error.
	LogOutput io.Writer
}

// Telemetry is safe for use by many goroutines.
type Telemetry struct {
	cfg      Config
	log      zerolog.Logger
	registry *prometheus.Registry
	spans    sdktrace.SpanProcessor // nil without a collector
	meters   *sdkmetric.MeterProvider

	mu      sync.Mutex
	tracers map[string]*sdktrace.TracerProvider
	checks  map[string]func() error
	parts   map[string]func() (bool, any)
}

// Start makes telemetry and installs it as OpenTelemetry's default.
func Start(ctx context.Context, cfg Config) (*Telemetry, error) {
	log, err := newLogger(cfg)
	if err != nil {
		return nil, err
	}
	t := &Telemetry{
		cfg: cfg, log: log, registry: prometheus.NewRegistry(),
		tracers: map[string]*sdktrace.TracerProvider{},
		checks:  map[string]func() error{},
		parts:   map[string]func() (bool, any){},
	}
	t.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := t.startMetrics(ctx); err != nil {
		return nil, err
	}
	if os.Getenv(endpointVar) != "" {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("traces to %s: %w", endpointVar, err)
		}
		t.spans = sdktrace.NewBatchSpanProcessor(exporter)
	}
	otel.SetErrorHandler(&complaints{log: t.Logger(cfg.Service)})
	otel.SetTextMapPropagator(propagation.TraceContext{})
	otel.SetMeterProvider(t.meters)
	otel.SetTracerProvider(t.TracerProvider(cfg.Service))
	return t, nil
}

func (t *Telemetry) startMetrics(ctx context.Context) error {
	scrape, err := promexport.New(promexport.WithRegisterer(t.registry))
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	opts := []sdkmetric.Option{
		sdkmetric.WithResource(t.resource(ctx, t.cfg.Service)), sdkmetric.WithReader(scrape),
	}
	if os.Getenv(endpointVar) != "" {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return fmt.Errorf("metrics to %s: %w", endpointVar, err)
		}
		opts = append(opts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)))
	}
	t.meters = sdkmetric.NewMeterProvider(opts...)
	return nil
}

// resource describes a service. What OTEL_RESOURCE_ATTRIBUTES cannot tell is left out.
func (t *Telemetry) resource(ctx context.Context, service string) *resource.Resource {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	attrs := []attribute.KeyValue{
		attribute.String("service.name", service),
		attribute.String("service.namespace", "patchbay"),
		attribute.String("service.instance.id", fmt.Sprintf("%s:%d", host, os.Getpid())),
	}
	if t.cfg.Version != "" {
		attrs = append(attrs, attribute.String("service.version", t.cfg.Version))
	}
	res, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK(),
		resource.WithAttributes(attrs...))
	if err != nil {
		t.log.Warn().Err(err).Msg("resource attributes")
	}
	return res
}

// TracerProvider returns the provider whose spans belong to service, the same one each time.
func (t *Telemetry) TracerProvider(service string) trace.TracerProvider {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.tracers[service]; p != nil {
		return p
	}
	opts := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(t.resource(context.Background(), service)),
	}
	if t.spans != nil {
		opts = append(opts, sdktrace.WithSpanProcessor(t.spans))
	}
	p := sdktrace.NewTracerProvider(opts...)
	t.tracers[service] = p
	return p
}

// Close sends what is left, for a second at most, and ends what Start began. Spans and
// metrics made afterwards are lost. It reports what could not be sent.
func (t *Telemetry) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closing)
	defer cancel()
	done := make(chan error, 2)
	go func() { done <- t.meters.Shutdown(ctx) }()
	go func() {
		if t.spans == nil {
			done <- nil
			return
		}
		done <- t.spans.Shutdown(ctx)
	}()
	if err := errors.Join(<-done, <-done); err != nil {
		return fmt.Errorf("close telemetry: %w", err)
	}
	return nil
}
