package requester_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

var noRecord journal.Record

// One intent published 200 times at once is one order, placed by one call.
func TestDuplicates(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() { w.submit("create", "1", pair("both", 100)+strings.Repeat(" ", i)) })
		}
		all.Wait()
		w.ready(w.fact(event.OrderID("test", "1"), order.Placed))
		w.ended(event.OrderID("test", "1"))
		time.Sleep(time.Hour)
		if len(w.fake.Circuits()) != 2 || w.fake.Calls("Place") != 1 {
			t.Errorf("%d circuits by %d calls, want 2 by 1", len(w.fake.Circuits()), w.fake.Calls("Place"))
		}
		if n := count(w, event.Refusal.Filter("*", "*")); n != 0 {
			t.Errorf("%d refusals, want none: the payload is the same", n)
		}
	})
}

func count(w *world, filter string) (n int) {
	w.t.Helper()
	if err := w.j.History(w.t.Context(), []string{filter}, func(journal.Record) error { n++; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// A delete that overtakes its create finds it.
func TestDeleteFirst(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		del := w.submit("delete", "2", `{"target":{"source":"test","id":"1"}}`)
		time.Sleep(700 * time.Millisecond)
		create := w.submit("create", "1", single("one", 100))
		o := w.until(del, "accepted", func(*patchbayv1.Order) bool { return true })
		if o.GetFact() != order.Accepted || o.GetTargetOrderId() != create {
			t.Errorf("%s with target %q %v, want accepted with %s", o.GetFact(), o.GetTargetOrderId(), o.GetViolations(), create)
		}
	})
}

// A key without its order, as when the journal was made anew, forgets nothing: what is
// remembered is confirmed in the journal.
func TestKeyWithoutOrder(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		id := event.OrderID("test", "1")
		if err := w.keys.Remember(w.t.Context(), id, "whatever"); err != nil {
			t.Fatal(err)
		}
		w.submit("create", "1", single("one", 100))
		w.fact(id, order.Placed)
	})
}

// Another payload under the same identity is refused by field, and changes nothing.
func TestConflict(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		id := w.submit("create", "1", pair("both", 100))
		placed := w.fact(id, order.Placed)
		for range 2 { // said once is enough
			w.submit("create", "1", strings.Replace(pair("both", 100), `"bandwidthMbps":50`, `"bandwidthMbps":60`, 1))
			time.Sleep(5 * time.Minute)
		}
		last, err := w.j.Last(w.t.Context(), event.Entity{Noun: event.Refusal, ID: id})
		if err != nil || last.None() {
			t.Fatalf("refusal %v, %v; want one", last, err)
		}
		r := new(patchbayv1.Refusal)
		if err := last.Into(r); err != nil {
			t.Fatal(err)
		}
		if d := r.GetDifferences(); len(d) != 1 || d[0].GetField() != "bandwidthMbps" || d[0].GetWas() != "50" || d[0].GetNow() != "60" {
			t.Errorf("differences %v, want bandwidthMbps from 50 to 60", d)
		}
		if n := count(w, event.Refusal.Filter("*", "*")); n != 1 {
			t.Errorf("%d refusals of the same, want 1", n)
		}
		w.submit("delete", "1", `{"target":{"source":"test","id":"2"}}`)
		w.submit("create", "1", `{"nonsense":`)
		time.Sleep(time.Minute)
		if n := count(w, event.Refusal.Filter("*", "*")); n != 3 {
			t.Errorf("%d refusals, want 3: another kind and an unreadable body differ too", n)
		}
		w.ready(placed)
		if o := w.ended(id); o.GetOutcome() != order.Completed || o.GetCreate().GetBandwidthMbps() != 50 {
			t.Errorf("outcome %q at %d Mbit/s, want completed at 50", o.GetOutcome(), o.GetCreate().GetBandwidthMbps())
		}
	})
}

// An intent that breaks rules is answered with all of them, ours and the exchange's.
func TestInvalid(t *testing.T) {
	for _, tt := range []struct {
		name, reason, kind, data string
		want                     []string // fields
	}{
		{"fields", "all at once, and the exchange's for what is sound", "create",
			strings.Replace(single("bad name", 5000), `"bandwidthMbps"`, `"speed"`, 1),
			[]string{"speed", "name", "primary.aSide.tag.vlan", "primary.zSide.metro"}},
		{"account", "only an account that orders can", "create", `{"account":"nobody",` + single("one", 100)[1:], []string{"account"}},
		{"unreadable", "source, id and type are readable, so there is an order to answer with", "create", `{"name":`, []string{""}},
		{"change", "a change needs a target and a set", "change", `{}`, []string{"target", "set"}},
		{"delete", "a delete needs a target", "delete", `{}`, []string{"target"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := &exchangetest.Fake{Checked: exchange.Checked{Violations: []*patchbayv1.Violation{
				{Field: "primary.zSide.metro", Rule: "SV"}, {Field: "name", Rule: "shorter"},
			}}}
			bubble(t, fake, func(w *world) {
				o := w.ended(w.submit(tt.kind, "1", tt.data))
				var got []string
				for _, v := range o.GetViolations() {
					got = append(got, v.GetField())
				}
				slices.Sort(got)
				slices.Sort(tt.want)
				if o.GetFact() != order.Invalid || !slices.Equal(got, tt.want) {
					t.Errorf("%s with violations of %q, want invalid with %q: %s", o.GetFact(), got, tt.want, tt.reason)
				}
				if fake.Calls("Place") != 0 {
					t.Errorf("%d calls of Place, want none", fake.Calls("Place"))
				}
			})
		})
	}
}

// What has no readable identity or kind is set aside, and stops nobody else.
func TestDeadLetters(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		for i, x := range []struct{ subject, typ, source string }{
			{event.IntentSubject(event.Intent, "create"), "io.patchbay.intent.delete.v1", "test"},
			{event.IntentSubject(event.Intent, "create"), "com.example.whatever", "test"},
			{event.IntentSubject(event.Intent, "create"), "io.patchbay.intent.create.v1", "te\nst"},
		} {
			e, err := event.NewIntent(x.typ, x.source, fmt.Sprint("bad-", i), []byte(single("one", 100)))
			if err != nil {
				t.Logf("%q cannot even be sent: %v", x, err)
				continue
			}
			if _, err := w.j.Submit(w.t.Context(), x.subject, e); err != nil {
				t.Fatal(err)
			}
		}
		w.fact(w.submit("create", "good", single("one", 100)), order.Placed)
		time.Sleep(time.Minute)
		dead, err := w.j.Dead(w.t.Context())
		if err != nil || len(dead) < 2 {
			t.Fatalf("dead letters %v, %v; want each with its cause", dead, err)
		}
		for _, d := range dead {
			if d.Cause == "" {
				t.Errorf("dead letter %v has no cause", d)
			}
		}
	})
}

// A check answers what an intent would meet, and orders nothing.
func TestAskCheck(t *testing.T) {
	fake := &exchangetest.Fake{Checked: exchange.Checked{Flow: "approval", Notes: []string{"goes to SV"}}}
	bubble(t, fake, func(w *world) {
		time.Sleep(time.Second) // until it serves
		for _, tt := range []struct {
			kind, data string
			violations int
		}{
			{"create", single("one", 100), 0}, {"create", `{}`, 3}, {"delete", `{"target":{"source":"a","id":"b"}}`, 1},
		} {
			request := fmt.Sprintf(`{"kind":%q,"data":%s}`, tt.kind, tt.data)
			b, err := w.j.Ask(w.t.Context(), "check", []byte(request))
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Violations    []patchbayv1.Violation
				Flow, Account string
				Notes         []string
			}
			if err := json.Unmarshal(b, &got); err != nil || len(got.Violations) != tt.violations {
				t.Errorf("check %s = %s, %v; want %d violations", request, b, err, tt.violations)
			}
			if tt.kind == "create" && (got.Flow != "approval" || got.Account != "acme" || len(got.Notes) != 1) {
				t.Errorf("check %s = %s; want flow, account and notes", request, b)
			}
		}
		if n := count(w, "patchbay.order.>"); n != 0 || fake.Calls("Place") != 0 {
			t.Errorf("%d facts and %d calls of Place, want none", n, fake.Calls("Place"))
		}
	})
}

// A check says which tag or token another order has, and which order that is; the exchange's
// own words for it are left out.
func TestAskCheckHeld(t *testing.T) {
	fake := &exchangetest.Fake{API: "fabric"}
	bubble(t, fake, func(w *world) {
		first := w.submit("create", "1", spending("one", 100, "token-1"))
		w.fact(first, order.Placed)
		w.stop()
		fake.Checked = exchange.Checked{Violations: []*patchbayv1.Violation{{Field: "primary.zSide.serviceToken", Rule: exchange.TokenUsed}}}
		w.run(nil)
		time.Sleep(time.Second) // until it serves
		b, err := w.j.Ask(w.t.Context(), "check", fmt.Appendf(nil, `{"kind":"create","data":%s}`, spending("two", 100, "token-1")))
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Violations []patchbayv1.Violation }
		if err := json.Unmarshal(b, &got); err != nil || len(got.Violations) != 2 {
			t.Fatalf("check = %s, %v; want one violation about the tag and one about the token", b, err)
		}
		for i, want := range []string{"primary.aSide.tag", "primary.zSide.serviceToken"} {
			v := &got.Violations[i]
			if v.GetField() != want || !strings.Contains(v.GetHint(), "held by order "+first) {
				t.Errorf("violation %v, want %s, held by order %s", v, want, first)
			}
		}
		if containsCanary(b) {
			t.Errorf("the answer shows the token: %s", b)
		}
	})
}
