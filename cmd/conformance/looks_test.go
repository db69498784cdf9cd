package conformance_test

import (
	"context"
	"errors"
	"testing"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/services/sandbox"
)

// looks are all ways of reading an account, by name, of a circuit that is there.
func (w *world) looks(c terms, id string) map[string]func(context.Context) error {
	take := func(*patchbayv1.Connection) error { return nil }
	port := c.intent().Primary.GetASide().GetPortId()
	all := map[string]func(context.Context) error{
		"Find": func(ctx context.Context) error {
			_, err := w.buyer.Find(ctx, exchange.Placement{Intent: c.intent(), Legs: legs[:1]})
			return err
		},
		"Get":     func(ctx context.Context) error { _, err := w.buyer.Get(ctx, id); return err },
		"List":    func(ctx context.Context) error { return w.buyer.List(ctx, exchange.Buyer, false, take) },
		"moving":  func(ctx context.Context) error { return w.seller.List(ctx, exchange.Seller, true, take) },
		"Parties": func(ctx context.Context) error { _, err := w.seller.Parties(ctx); return err },
		"Ports":   func(ctx context.Context) error { _, err := w.seller.Ports(ctx); return err },
		"Check":   func(ctx context.Context) error { _, err := w.buyer.Check(ctx, c.intent()); return err },
	}
	if x, ok := w.buyer.(exchange.Feed); ok {
		all["Changed"] = func(ctx context.Context) error { return x.Changed(ctx, exchange.Buyer, w.start, take) }
	}
	if x, ok := w.buyer.(exchange.Batch); ok {
		all["GetAll"] = func(ctx context.Context) error { return x.GetAll(ctx, []string{id}, take) }
	}
	if x, ok := w.buyer.(exchange.Past); ok {
		all["Past"] = func(ctx context.Context) error { _, err := x.Past(ctx, id, w.start); return err }
	}
	if x, ok := w.buyer.(exchange.Tokens); ok {
		all["Tokens"] = func(ctx context.Context) error { return x.Tokens(ctx, func(exchange.Token) error { return nil }) }
	}
	if x, ok := w.buyer.(exchange.TagsInUse); ok {
		all["InUse"] = func(ctx context.Context) error { _, err := x.InUse(ctx, port); return err }
	}
	return all
}

// TestLooksThatFail makes every read of every exchange go wrong: that is an error, and never
// the news that there is nothing.
func TestLooksThatFail(t *testing.T) {
	faults := []sandbox.Fault{
		{Kind: sandbox.ResetBefore},
		{Kind: sandbox.LostAnswer},
		{Kind: sandbox.ErrorBefore, Status: 503},
		{Kind: sandbox.Throttle, RetryAfter: 7 * time.Second},
		{Kind: sandbox.Slow, Delay: time.Minute},
		{Kind: sandbox.Garbage},
		{Kind: sandbox.Garbage, Body: "{}"},
		{Kind: sandbox.ForeignError, Status: 404},
		{Kind: sandbox.Redirect},
	}
	for _, c := range allTerms() {
		for _, f := range faults {
			t.Run(string(c.api)+" "+f.Kind+" "+f.Body, func(t *testing.T) {
				inWorldOf(t, c.api, func(t *testing.T, w *world) { w.failsToLook(t, c, f) })
			})
		}
	}
}

func (w *world) failsToLook(t *testing.T, c terms, f sandbox.Fault) {
	t.Helper()
	id := c.stands(t, w)
	time.Sleep(2 * time.Minute) // nothing is remembered by then
	f.Times = -1
	for _, path := range []string{"/ecx", "/fabric", "/v2"} {
		f.Match.Path = path
		w.fault(t, f)
	}
	for name, look := range w.looks(c, id) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		start := time.Now()
		err := look(ctx)
		cancel()
		if err == nil || errors.Is(err, exchange.ErrGone) {
			t.Errorf("%s: %v, want an error that does not say it is gone", name, err)
		}
		if took := time.Since(start); took > patience {
			t.Errorf("%s took %v, longer than its deadline", name, took)
		}
		var throttled exchange.Throttled
		if f.Kind == sandbox.Throttle && (!errors.As(err, &throttled) || throttled.After != f.RetryAfter) {
			t.Errorf("%s: %v, want it throttled for %v", name, err, f.RetryAfter)
		}
	}
}

// TestExpiredLogin ends every login: the next call gets a new one and is made once.
func TestExpiredLogin(t *testing.T) {
	for _, c := range allTerms() {
		if c.api == account.PacketFabric {
			continue // its account shows an API key, which does not expire
		}
		for _, d := range c.decides() {
			t.Run(d.String(), func(t *testing.T) {
				inWorldOf(t, c.api, func(t *testing.T, w *world) {
					id := d.ready(t, w)
					before := w.deeds()
					if err := w.sandbox.Edit(sandbox.Edit{Kind: "expire-tokens"}); err != nil {
						t.Fatal(err)
					}
					want(t, d.name, d.call(t.Context(), w, id), exchange.Done)
					if n := w.deeds() - before; n != 1 {
						t.Errorf("%d effects, want one", n)
					}
				})
			})
		}
	}
}
