package requester_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.io/pkg/archive"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/requester"
)

// limited runs test against a requester with limits.
func limited(t *testing.T, limits requester.Limits, test func(w *world)) {
	t.Helper()
	bubble(t, new(exchangetest.Fake), func(w *world) {
		w.stop()
		w.limits = limits
		w.run(nil)
		test(w)
	})
}

// orders counts the orders there are, by the source of their intents.
func (w *world) orders(source string) (n int) {
	w.t.Helper()
	err := w.j.Each(w.t.Context(), []string{event.Order.Filter("*", "*")}, func(r journal.Record) error {
		o := new(patchbayv1.Order)
		if err := r.Into(o); err != nil {
			return err
		}
		if o.GetSource() == source {
			n++
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// submitFrom publishes an intent of a source.
func (w *world) submitFrom(source, kind, id, data string) string {
	w.t.Helper()
	e, err := event.NewIntent(event.IntentType(event.Intent, kind), source, id, []byte(data))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.j.Submit(w.t.Context(), event.IntentSubject(event.Intent, kind), e); err != nil {
		w.t.Fatal(err)
	}
	return event.OrderID(source, id)
}

// A source that floods gets its budget a minute and no more; another source, deletes, and
// repeats of what was taken do not wait behind it; and in the end nothing is lost.
func TestBudgetOfASource(t *testing.T) {
	limited(t, requester.Limits{PerMinute: 4}, func(w *world) {
		for i := range 10 {
			w.submitFrom("flood", "create", fmt.Sprint(i), single("f", 100+i))
		}
		time.Sleep(20 * time.Second)
		if n := w.orders("flood"); n != 4 {
			t.Fatalf("%d orders of 10 intents in the first minute, want 4", n)
		}
		why := w.intake()
		if why == nil || !strings.Contains(why.Error(), `source "flood" has handed in 4 creates and changes within a minute, and --source-per-minute is 4`) {
			t.Errorf("the health page says %v, want the source, its use and its limit", why)
		}
		calm := w.submitFrom("calm", "create", "1", single("calm", 300))
		w.fact(calm, order.Placed)
		w.submitFrom("flood", "delete", "d", `{"target":{"orderId":"`+calm+`"}}`)
		w.fact(event.OrderID("flood", "d"), order.Placed)
		for i := range 10 { // one of the four says the same again, six wait twice
			w.submitFrom("flood", "create", fmt.Sprint(i), single("f", 100+i)+" ")
		}
		time.Sleep(20 * time.Second)
		if n := w.orders("flood"); n != 5 {
			t.Errorf("%d orders after repeats, want the 4 and a delete", n)
		}
		time.Sleep(2 * time.Minute)
		if n := w.orders("flood"); n != 11 {
			t.Errorf("%d orders three minutes later, want all 10 and the delete", n)
		}
		time.Sleep(2 * time.Minute)
		if why := w.intake(); why != nil {
			t.Errorf("when nothing waits the health page says %v, want nothing", why)
		}
	})
}

// A source may have so many orders under way; the others wait until some have ended. A
// requester that starts counts what is there before it takes anything.
func TestOpenOrdersOfASource(t *testing.T) {
	limited(t, requester.Limits{Open: 2}, func(w *world) {
		var ids []string
		for i := range 3 {
			ids = append(ids, w.submit("create", fmt.Sprint(i), single("o", 100+i)))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if n := w.orders("test"); n != 2 {
			t.Fatalf("%d orders, want 2", n)
		}
		if why := w.intake(); why == nil || !strings.Contains(why.Error(), `source "test" has 2 orders under way, and --source-open is 2`) {
			t.Errorf("the health page says %v, want the source, its use and its limit", why)
		}
		w.stop()
		w.run(nil)
		time.Sleep(time.Minute)
		if n := w.orders("test"); n != 2 {
			t.Errorf("%d orders after a restart, want 2", n)
		}
		del := w.submit("delete", "d", `{"target":{"orderId":"`+ids[0]+`"}}`)
		placed := w.fact(del, order.Placed)
		for _, l := range placed.GetLegs() {
			w.observe(l.GetExchangeId(), "DEPROVISIONED", "NOT_AVAILABLE")
		}
		w.ended(ids[0])
		w.soon(ids[2])
		w.fact(ids[2], order.Placed)
	})
}

// fill appends facts that mean nothing until the journal is as full as asked for, and
// returns their entities.
func (w *world) fill(part float64) {
	w.t.Helper()
	text := strings.Repeat("x", 256<<10)
	for i := 0; ; i++ {
		time.Sleep(2 * time.Second) // a reading is good for one
		if w.j.Use(w.t.Context()).Fill() >= part {
			return
		}
		_, err := w.j.Append(w.t.Context(), noRecord, event.Fact{
			Entity: event.Entity{Noun: event.Refusal, ID: fmt.Sprintf("ballast-%d-%.0f", i, 100*part)}, Name: "conflicting", By: "test",
			Data: &patchbayv1.Refusal{Message: text},
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// The delete of a create that is held waits with it, however long that takes: it is not refused
// before its create is carried out.
func TestDeleteOfWhatIsHeld(t *testing.T) {
	limited(t, requester.Limits{Open: 1}, func(w *world) {
		first := w.submit("create", "1", single("one", 100))
		placed := w.fact(first, order.Placed)
		held := w.submit("create", "2", single("two", 200))
		del := w.submit("delete", "3", `{"target":{"source":"test","id":"2"}}`)
		time.Sleep(time.Hour)
		w.ready(placed)
		w.ended(first)
		o := w.until(del, "its first fact", func(*patchbayv1.Order) bool { return true })
		if o.GetFact() != order.Accepted || o.GetTargetOrderId() != held {
			t.Errorf("the delete is %s with target %q %v, want accepted with %s", o.GetFact(), o.GetTargetOrderId(), o.GetViolations(), held)
		}
	})
}

// An order that was taken back from an archive has its intent's sequence of then, where now
// another's intent stands; that stays.
func TestSequenceOfAnother(t *testing.T) {
	limited(t, requester.Limits{Open: 1}, func(w *world) {
		w.fact(w.submit("create", "1", single("one", 100)), order.Placed)
		w.submit("create", "2", single("two", 200))
		old := &patchbayv1.Order{Id: event.OrderID("old", "9"), Fact: order.Completed, Outcome: order.Completed, Kind: "create", Source: "old", IntentId: "9", IntentSequence: 2}
		if _, err := w.j.Append(w.t.Context(), noRecord, event.Fact{Entity: orderEntity(old.GetId()), Name: old.GetFact(), By: "test", Data: old}); err != nil {
			t.Fatal(err)
		}
		if err := w.j.Arm(w.t.Context(), orderEntity(old.GetId()), "next", w.j.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if rec, err := w.j.Intent(w.t.Context(), 2); err != nil || rec.None() {
			t.Errorf("the intent that waits is gone (%v)", err)
		}
	})
}

// Every requester is asked what waits, since each knows only what it holds back itself; and
// what one held and another took waits no more.
func TestEachSaysWhatItHolds(t *testing.T) {
	limited(t, requester.Limits{Open: 1}, func(w *world) {
		placed := w.fact(w.submit("create", "1", single("one", 100)), order.Placed)
		one := w.stop
		w.run(nil)
		other := w.stop
		w.stop = func() { one(); other() }
		waits := func() (held, all int) {
			err := w.j.AskEach(w.t.Context(), service.VerbIntake, func(answer []byte) error {
				var a service.IntakeAnswer
				err := json.Unmarshal(answer, &a)
				if all++; slices.ContainsFunc(a.Sources, func(u service.SourceUse) bool { return u.Waits != "" }) {
					held++
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return held, all
		}
		waiting := w.submit("create", "2", single("two", 200))
		time.Sleep(time.Minute)
		if held, all := waits(); held == 0 || all != 2 {
			t.Errorf("%d requesters answer, of which %d hold something back; want 2, and at least one", all, held)
		}
		w.ready(placed)
		w.soon(waiting)
		time.Sleep(15 * time.Second)
		if held, all := waits(); held != 0 || all != 2 {
			t.Errorf("when it was taken %d of %d say that something waits", held, all)
		}
	})
}

// soon waits for the order of an intent that waited until now.
func (w *world) soon(id string) { w.within(id, 5*time.Second) }

func (w *world) within(id string, limit time.Duration) {
	w.t.Helper()
	since := time.Now()
	w.fact(id, order.Accepted)
	if took := time.Since(since); took > limit {
		w.t.Errorf("order %s began %s after nothing was in its way, want %s at most", id, took, limit)
	}
}

// From 90 % on creates and changes wait, from 95 % on deletes; what is under way goes on,
// and what waits is taken when there is room.
func TestFullJournal(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		first := w.submit("create", "1", single("one", 100))
		placed := w.fact(first, order.Placed)
		w.fill(0.90)
		waits := w.submit("create", "2", single("two", 200))
		time.Sleep(2 * time.Minute)
		if n := w.orders("test"); n != 1 {
			t.Fatalf("%d orders when the journal is full, want 1", n)
		}
		why := w.intake()
		if why == nil || !strings.Contains(why.Error(), "the journal is 90 % full") || !strings.Contains(why.Error(), "of 64.0 MiB") ||
			!strings.Contains(why.Error(), "creates and changes wait, deletes are taken") || !strings.Contains(why.Error(), "patchbay archive") {
			t.Errorf("the health page says %v, want how full of what, what waits and what to do", why)
		}
		w.ready(placed)
		w.ended(first)
		del := w.submit("delete", "3", `{"target":{"orderId":"`+first+`"}}`)
		w.fact(del, order.Placed)

		w.fill(0.95)
		late := w.submit("delete", "4", `{"target":{"source":"test","id":"2"}}`)
		time.Sleep(2 * time.Minute)
		if n := w.orders("test"); n != 2 {
			t.Errorf("%d orders at 95 %%, want the create and the first delete", n)
		}
		if why := w.intake(); why == nil || !strings.Contains(why.Error(), "all intents wait") {
			t.Errorf("the health page says %v, want that all wait", why)
		}
		if err := w.j.Purge(w.t.Context(), event.Entity{Noun: event.Refusal, ID: "*"}, 0); err != nil {
			t.Fatal(err)
		}
		w.soon(waits)
		w.within(late, 15*time.Second) // of what is not an order yet, which is asked every ten
		w.fact(waits, order.Placed)
		if why := w.intake(); why != nil {
			t.Errorf("when there is room again the health page says %v", why)
		}
	})
}

// A journal that is full to the last byte while an order is placed costs time and no second
// circuit: what could not be written down is found at the exchange when there is room.
func TestFullToTheLastByte(t *testing.T) {
	fake := new(exchangetest.Fake)
	bubble(t, fake, func(w *world) {
		fake.Fault = func(call string, n int) exchangetest.Fault {
			if call == "Place" && n == 1 {
				w.cram()
			}
			return exchangetest.Fault{}
		}
		id := w.submit("create", "1", single("one", 100))
		time.Sleep(10 * time.Minute)
		if rec, err := w.j.Last(w.t.Context(), orderEntity(id)); err != nil || !strings.Contains(rec.Subject, ".placing.") {
			t.Fatalf("the order's last fact is %q (%v), want that it is being placed: nothing fits behind it", rec.Subject, err)
		}
		if err := w.j.Purge(w.t.Context(), event.Entity{Noun: event.Refusal, ID: "*"}, 0); err != nil {
			t.Fatal(err)
		}
		w.fact(id, order.Placed)
		if n := fake.Calls("Place"); n != 1 || len(fake.Circuits()) != 1 {
			t.Errorf("%d calls to place and %d circuits, want one of each", n, len(fake.Circuits()))
		}
	})
}

// cram fills the journal until not even a small fact fits.
func (w *world) cram() {
	for i, size := 0, 256<<10; size > 16; i++ {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		_, err := w.j.Append(ctx, noRecord, event.Fact{
			Entity: event.Entity{Noun: event.Refusal, ID: fmt.Sprintf("ballast-%d", i)}, Name: "conflicting", By: "test",
			Data: &patchbayv1.Refusal{Message: strings.Repeat("x", size)},
		})
		cancel()
		if err != nil {
			size /= 4
		}
	}
}

// An intent whose order was archived stays known: a repeat is that order still, with no
// circuit of its own; another payload is refused; and there is nothing left to delete.
func TestAfterArchive(t *testing.T) {
	bubble(t, new(exchangetest.Fake), func(w *world) {
		id := w.submit("create", "1", single("one", 100))
		placed := w.fact(id, order.Placed)
		w.ready(placed)
		w.ended(id)
		connection, at := placed.GetLegs()[0].GetConnectionId(), placed.GetLegs()[0].GetExchangeId()
		w.announce(at, func(t *patchbayv1.Transition) { t.Connection.OrderId = id }) // so its end frees the order's tag
		w.turn(at, "DEPROVISIONED", "NOT_AVAILABLE")
		time.Sleep(2 * time.Minute)
		rep, err := archive.Run(w.t.Context(), w.j, filepath.Join(w.t.TempDir(), "a"), archive.Options{
			Before: w.j.Now().Add(-time.Minute)})
		if err != nil || rep.Entities < 3 || len(rep.Kept) > 0 {
			t.Fatalf("archive = %+v, %v; want order, circuit and hold put away", rep, err)
		}
		w.stop()
		w.run(nil)

		w.submit("create", "1", single("one", 100)+" ")
		w.submit("create", "1", single("two", 200))
		refusal := new(patchbayv1.Refusal)
		last := w.lastOf(event.Entity{Noun: event.Refusal, ID: id})
		if err := last.Into(refusal); err != nil || refusal.GetIntentId() != "1" || refusal.GetSource() != "test" || len(refusal.GetDifferences()) == 0 {
			t.Errorf("another payload: refusal %v (%v), want it to name the intent and that it differs", refusal, err)
		}
		gone := w.ended(w.submit("delete", "2", `{"target":{"orderId":"`+id+`"}}`))
		if gone.GetOutcome() != order.Invalid || !strings.Contains(gone.GetViolations()[0].GetHint(), "archived") {
			t.Errorf("a delete of it: %s %v, want invalid, since it is archived", gone.GetOutcome(), gone.GetViolations())
		}
		if gone := w.ended(w.submit("delete", "3", `{"target":{"connectionId":"`+connection+`"}}`)); gone.GetOutcome() != order.Invalid {
			t.Errorf("a delete of its circuit: %s, want invalid", gone.GetOutcome())
		}
		again := w.submit("create", "4", single("again", 100))
		w.fact(again, order.Placed) // the tag's hold goes on after the archive
		if rec, err := w.j.Last(w.t.Context(), orderEntity(id)); err != nil || !rec.Archived() {
			t.Errorf("the order's last fact is %q (%v), want it archived still", rec.Subject, err)
		}
		if n := w.fake.Calls("Place"); n != 2 {
			t.Errorf("%d calls to place, want 2", n)
		}
		for seq := uint64(1); seq <= 3; seq++ {
			if rec, err := w.j.Intent(w.t.Context(), seq); err != nil || !rec.None() {
				t.Errorf("intent %d is still there (%v)", seq, err)
			}
		}
	})
}

// lastOf waits for a fact of an entity and returns its last.
func (w *world) lastOf(e event.Entity) journal.Record {
	w.t.Helper()
	for range 600 {
		rec, err := w.j.Last(w.t.Context(), e)
		if err != nil {
			w.t.Fatal(err)
		}
		if !rec.None() {
			return rec
		}
		time.Sleep(time.Second)
	}
	w.t.Fatalf("no fact of %s", e)
	return journal.Record{}
}
