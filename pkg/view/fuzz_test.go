package view_test

import (
	"errors"
	"testing"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/testenv"
	"patchbay.io/pkg/view"
)

// FuzzForeign finds values in Redis that are not the view's: a snapshot, its index, a member
// of a set, a name, a mark, a lease, a cooldown. Whatever they are, there is an answer, or the
// view is away; the projector goes on; and Redis itself does not seem to be away.
func FuzzForeign(f *testing.F) {
	const body = `{"noun":"order","id":"o-1","fact":"placed","seq":"7","data":{"id":"o-1"}}`
	f.Add(body, `[["order:all","7","o-1"],["order:open","7","o-1"]]`, "o-1", "one\x1f0 order/o-1", "7")
	f.Add(`{"seq":-1,"data":null}`, `[[1,2]]`, "", "one", "")
	f.Add(`[]`, `{}`, "*", "one\x1f\x1f", "9999999999999999999999")
	f.Add("\xff", "null", "o-1 ", "one\x1f1 ", "nan")
	f.Add("", "[[]]", "o/1", "\x1f0 order", "-1e9")
	r := testenv.StartRedis(f)
	rdb := raw(f, r)
	f.Fuzz(func(t *testing.T, body, index, id, name, number string) {
		r.Flush()
		ctx := t.Context()
		p := rdb.Pipeline()
		p.HSet(ctx, "pb:mark", "gen", "g", "journal", "j", "seq", "7", "until", number)
		p.HSet(ctx, "pb:v:e:order/"+id, "seq", number, "body", body, "index", index)
		for _, set := range []string{"order:all", "order:open"} {
			p.Do(ctx, "ZADD", "pb:v:i:"+set, 7, id)
		}
		p.Do(ctx, "ZADD", "pb:v:i:find:on", 0, name)
		p.Do(ctx, "ZADD", "pb:v:i:ended", 0, "order/"+id)
		p.Set(ctx, "pb:v:seen:"+id, body, 0)
		p.HSet(ctx, "pb:lease:l", "owner", "somebody", "until", number)
		p.Set(ctx, "pb:cool:a", number, 0)
		if _, err := p.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		v, err := view.Open(view.Config{URL: r.URL})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = v.Close() }()
		v.Attach("j")
		away := func(what string, err error) {
			t.Helper()
			if err != nil && !errors.Is(err, view.ErrAway) && !errors.Is(err, view.ErrShort) {
				t.Errorf("%s: %v, want an answer or ErrAway", what, err)
			}
		}
		e := event.Entity{Noun: event.Order, ID: id}
		for _, q := range []view.Query{{}, {Open: true}} {
			all, err := v.Orders(ctx, q)
			away("list", err)
			for _, s := range all {
				_ = s.Into(new(patchbayv1.Order)) // may well fail
			}
		}
		_, err = v.Snapshot(ctx, e)
		away("snapshot", err)
		_, err = v.Find(ctx, "one")
		away("find", err)
		if digest, known, err := v.Recall(ctx, id); err != nil || !known || digest != body {
			t.Errorf("recalled %q, %v, %v, want what is there: it is confirmed in the journal anyway", digest, known, err)
		}
		if _, err := v.Lease(ctx, "l", "me", time.Second); err != nil {
			t.Errorf("lease: %v", err)
		}
		if err := v.Take(ctx, "a", 0, exchange.ForOrder); err != nil && !errors.As(err, new(exchange.Throttled)) {
			t.Errorf("take: %v", err)
		}
		if err := v.Write(ctx, "g", e, 8); err != nil {
			t.Errorf("the projector is stopped: %v", err)
		}
		if err := v.Healthy(); err != nil {
			t.Errorf("Redis seems to be away: %v", err)
		}
	})
}
