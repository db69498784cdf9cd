package journal

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/event"
)

// scope names this package in traces and metrics.
const scope = "patchbay.io/pkg/journal"

// tracer is looked up at each use: one kept in a variable stays bound to the first
// provider it meets.
func (j *Journal) tracer() trace.Tracer {
	if p := j.cfg.TracerProvider; p != nil {
		return p.Tracer(scope)
	}
	return otel.Tracer(scope)
}

// carrier reads and writes trace headers: lower case when written, any case when read.
type carrier nats.Header

func (c carrier) Get(key string) string {
	for k, v := range c {
		if len(v) > 0 && strings.EqualFold(k, key) {
			return v[0]
		}
	}
	return ""
}

func (c carrier) Set(key, value string) { c[strings.ToLower(key)] = []string{value} }

func (c carrier) Keys() []string {
	var keys []string
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// inject writes the present span as the hop of a message.
func inject(ctx context.Context, h nats.Header) {
	propagation.TraceContext{}.Inject(ctx, carrier(h))
}

// OriginOf returns the trace of the present span, for a [event.Fact] that begins one.
func OriginOf(ctx context.Context) event.Origin {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return event.Origin{TraceParent: c["traceparent"], TraceState: c["tracestate"]}
}

func spanContext(o event.Origin) trace.SpanContext {
	c := propagation.MapCarrier{"traceparent": o.TraceParent, "tracestate": o.TraceState}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), c))
}

// startSend starts the span of an append. A fact of a trace other than the present one is
// sent in its own trace, with a link to the present span; a fact of no trace begins in
// the present one.
func (j *Journal) startSend(ctx context.Context, f *event.Fact) (context.Context, trace.Span) {
	opts := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(append(messaging("send", f.Entity.Noun),
			attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.destination.name", f.Subject()),
			attribute.String("messaging.message.conversation_id", f.Order),
			attribute.String("cloudevents.event_type", f.Type()))...),
	}
	here := trace.SpanContextFromContext(ctx)
	if origin := spanContext(f.Origin); origin.IsValid() && origin.TraceID() != here.TraceID() {
		if here.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: here}))
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, origin)
	}
	ctx, span := j.tracer().Start(ctx, "send "+template(f.Entity.Noun), opts...)
	if f.Origin.TraceParent == "" {
		f.Origin = OriginOf(ctx)
	}
	return ctx, span
}

// startProcess starts the span of handling msg. Its parent is the hop that brought the
// message; the trace in which the thing began, if another, is linked, and so is the hop
// of a timer, since days may lie between.
func (j *Journal) startProcess(ctx context.Context, c Consumer, msg jetstream.Msg) (context.Context, trace.Span) {
	h := carrier(msg.Headers())
	hop := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), h))
	origin := spanContext(event.Origin{TraceParent: h.Get("ce-traceparent"), TraceState: h.Get("ce-tracestate")})
	noun := event.Noun(strings.ToLower(c.Stream))
	if t := strings.SplitN(msg.Subject(), ".", 4); len(t) > 2 {
		noun = event.Noun(t[1])
	}
	attrs := append(messaging("process", noun),
		attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", msg.Subject()),
		attribute.String("messaging.consumer.group.name", c.Durable),
		attribute.String("messaging.message.id", h.Get("ce-id")),
		attribute.String("messaging.message.conversation_id", h.Get("ce-correlationid")),
		attribute.String("cloudevents.event_type", h.Get("ce-type")))
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attrs...)}
	var links []trace.Link
	switch {
	case c.Stream == Timers && hop.IsValid():
		links = append(links, trace.Link{SpanContext: hop})
	case hop.IsValid():
		ctx = trace.ContextWithRemoteSpanContext(ctx, hop)
	case origin.IsValid():
		ctx = trace.ContextWithRemoteSpanContext(ctx, origin)
	}
	if origin.IsValid() && hop.IsValid() && origin.TraceID() != hop.TraceID() {
		links = append(links, trace.Link{SpanContext: origin})
	}
	return j.tracer().Start(ctx, "process "+template(noun), append(opts, trace.WithLinks(links...))...)
}

func template(n event.Noun) string { return event.Root + "." + string(n) + ".{fact}.{id}" }

func messaging(operation string, n event.Noun) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "nats"),
		attribute.String("messaging.operation.name", operation),
		attribute.String("messaging.destination.template", template(n)),
	}
}

// endSpan ends a span with its error, unless the error is part of the game.
func endSpan(span trace.Span, err, game error) {
	if err != nil && !errors.Is(err, game) {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

type meters struct {
	sentMessages metric.Int64Counter
	consumed     metric.Int64Counter
	duration     metric.Float64Histogram
	bytes, limit metric.Int64Gauge
}

func newMeters() (m meters, err error) {
	meter := otel.Meter(scope)
	var errs [5]error
	m.sentMessages, errs[0] = meter.Int64Counter("messaging.client.sent.messages",
		metric.WithDescription("Facts written to the journal."), metric.WithUnit("{message}"))
	m.consumed, errs[1] = meter.Int64Counter("messaging.client.consumed.messages",
		metric.WithDescription("Messages handled, by what became of them."), metric.WithUnit("{message}"))
	m.duration, errs[2] = meter.Float64Histogram("messaging.process.duration",
		metric.WithDescription("Time to handle a message."), metric.WithUnit("s"))
	m.bytes, errs[3] = meter.Int64Gauge("patchbay.stream.bytes",
		metric.WithDescription("What a stream holds."), metric.WithUnit("By"))
	m.limit, errs[4] = meter.Int64Gauge("patchbay.stream.limit",
		metric.WithDescription("What a stream may hold; -1 for no limit."), metric.WithUnit("By"))
	return m, errors.Join(errs[:]...)
}

func (m meters) used(ctx context.Context, u Use) {
	of := metric.WithAttributes(attribute.String("stream", u.Stream))
	m.bytes.Record(ctx, u.Bytes, of)
	m.limit.Record(ctx, u.MaxBytes, of)
}

func (m meters) sent(ctx context.Context, f event.Fact) {
	m.sentMessages.Add(ctx, 1, metric.WithAttributes(
		attribute.String("messaging.system", "nats"), attribute.String("noun", string(f.Entity.Noun)),
		attribute.String("fact", f.Name)))
}

func (m meters) processed(ctx context.Context, c Consumer, outcome string, took time.Duration) {
	attrs := metric.WithAttributes(
		attribute.String("messaging.system", "nats"),
		attribute.String("messaging.consumer.group.name", c.Durable), attribute.String("outcome", outcome))
	m.consumed.Add(ctx, 1, attrs)
	m.duration.Record(ctx, took.Seconds(), attrs)
}
