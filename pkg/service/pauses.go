package service

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// pauses are what an instance knows of accounts that operators have paused, to show it. What
// decides asks the journal; see [Runtime.Free].
type pauses struct {
	mu sync.Mutex
	of map[string]*patchbayv1.AccountPause
}

// known returns what the runtime knows. It is called before the runtime is at work.
func (rt *Runtime) known() *pauses {
	if rt.pauses == nil {
		rt.pauses = &pauses{of: map[string]*patchbayv1.AccountPause{}}
	}
	return rt.pauses
}

// note takes in a fact, and reports whether anything has changed.
func (p *pauses) note(f *patchbayv1.AccountPause) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.of[f.GetAccount()]
	p.of[f.GetAccount()] = f
	return (was.GetFact() == Paused) != (f.GetFact() == Paused)
}

// standing returns an error that says who paused an account, since when and why; nil if
// nobody has.
func (p *pauses) standing(account string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.of[account]
	if f.GetFact() != Paused {
		return nil
	}
	return errors.New("since " + f.GetAt().AsTime().Format(time.RFC3339) + " " + PauseWords(f))
}

// watchPauses keeps what is shown of pauses up to date until ctx ends: the health page, the
// metric and the log.
func (rt *Runtime) watchPauses(ctx context.Context, known *pauses) error {
	gauge, err := otel.Meter("patchbay.io/pkg/service").Int64Gauge("patchbay.account.paused",
		metric.WithDescription("1 while an operator has paused the account, else 0."))
	if err != nil {
		return err
	}
	record := func(account string, paused int64) {
		gauge.Record(ctx, paused, metric.WithAttributes(attribute.String("account", account)))
	}
	for _, a := range rt.Accounts.Accounts {
		record(a.Name, 0)
	}
	filters := []string{event.Account.Filter("*", "*")}
	return rt.Journal.Follow(ctx, journal.From{LastPerSubject: true}, filters, func(r journal.Record) error {
		f := new(patchbayv1.AccountPause)
		if r.Into(f) != nil {
			return nil
		}
		// What comes first, at the start, may be the last pause before the last resumption.
		if last, _, err := rt.pause(ctx, f.GetAccount()); err == nil {
			f = last
		}
		if !known.note(f) {
			return nil
		}
		if f.GetFact() == Paused {
			record(f.GetAccount(), 1)
			rt.Log.Warn().Str("account", f.GetAccount()).Str("by", f.GetBy()).Str("reason", f.GetReason()).
				Msg("account is paused; nothing that creates or decides is sent to its exchange")
			return nil
		}
		record(f.GetAccount(), 0)
		rt.Log.Info().Str("account", f.GetAccount()).Str("by", f.GetBy()).Msg("account is resumed")
		return nil
	})
}
