package requester

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// scope names this package in traces and metrics.
const scope = "patchbay.io/services/requester"

type meters struct{ waiting metric.Int64Counter }

func newMeters() (m meters, err error) {
	m.waiting, err = otel.Meter(scope).Int64Counter("patchbay.intake.held",
		metric.WithDescription("Times that an intent had to wait for room in the journal or for its source's budget."),
		metric.WithUnit("{time}"))
	return m, err
}

// held counts an intent of a kind that has to wait.
func (m meters) held(ctx context.Context, kind string) {
	m.waiting.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", kind)))
}
