package statuswatcher

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// scope names this package in traces and metrics.
const scope = "patchbay.io/services/statuswatcher"

type meters struct {
	looks  metric.Int64Counter
	lag    metric.Float64Histogram
	moving metric.Int64Gauge
	absent metric.Int64Gauge
	polled metric.Int64Gauge
}

func newMeters() (m meters, err error) {
	meter := otel.Meter(scope)
	var errs [5]error
	m.looks, errs[0] = meter.Int64Counter("patchbay.watch.looks",
		metric.WithDescription("Looks at an exchange: single circuits, lists, and what became of them."),
		metric.WithUnit("{look}"))
	m.lag, errs[1] = meter.Float64Histogram("patchbay.watch.lag",
		metric.WithDescription("Time from a change at the exchange to its being seen."), metric.WithUnit("s"))
	m.moving, errs[2] = meter.Int64Gauge("patchbay.watch.moving",
		metric.WithDescription("Circuits of which more is to come."), metric.WithUnit("{circuit}"))
	m.absent, errs[3] = meter.Int64Gauge("patchbay.watch.absent",
		metric.WithDescription("Circuits that the exchange does not show any more and that are not believed to be gone."),
		metric.WithUnit("{circuit}"))
	m.polled, errs[4] = meter.Int64Gauge("patchbay.watch.polls",
		metric.WithDescription("1 while it is this watcher that polls the account, 0 while it is another."))
	return m, errors.Join(errs[:]...)
}

// looked counts a look of a kind (get, batch, past, tokens, moving, changed or all) by how
// it ended.
func (m meters) looked(ctx context.Context, account, kind string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	m.looks.Add(ctx, 1, metric.WithAttributes(attribute.String("account", account),
		attribute.String("kind", kind), attribute.String("outcome", outcome)))
}

// saw records how late a transition was seen; one that was inferred was not seen.
func (m meters) saw(ctx context.Context, account string, t *patchbayv1.Transition) {
	if t.GetInferred() || t.GetExchangeTime() == nil {
		return
	}
	lag := t.GetObservedAt().AsTime().Sub(t.GetExchangeTime().AsTime())
	m.lag.Record(ctx, max(lag.Seconds(), 0), metric.WithAttributes(attribute.String("account", account)))
}

func (m meters) inMotion(ctx context.Context, account string, n int) {
	m.moving.Record(ctx, int64(n), metric.WithAttributes(attribute.String("account", account)))
}

func (m meters) held(ctx context.Context, account string, n int) {
	m.absent.Record(ctx, int64(n), metric.WithAttributes(attribute.String("account", account)))
}

func (m meters) polls(ctx context.Context, account string, polls bool) {
	n := int64(0)
	if polls {
		n = 1
	}
	m.polled.Record(ctx, n, metric.WithAttributes(attribute.String("account", account)))
}
