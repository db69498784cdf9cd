package journal_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	ce "github.com/cloudevents/sdk-go/v2/event"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
)

// Who meets a stream that is full is told which, how much it may hold and what to do, and so
// is who looks at the health page, until there is room.
func TestFullStream(t *testing.T) {
	j := testenv.StartNATS(t).Open(t, journal.Config{MaxBytes: 1 << 20})
	submit := func(n int) (uint64, error) {
		e := ce.New()
		e.SetID(fmt.Sprintf("full-%d", n))
		e.SetSource("test")
		e.SetType("io.patchbay.intent.create.v1")
		if err := e.SetData("application/json", strings.Repeat("x", 32<<10)); err != nil {
			t.Fatal(err)
		}
		return j.Submit(t.Context(), event.IntentSubject(event.Intent, "create"), e)
	}
	first, err := submit(0)
	n := 1
	for ; err == nil && n < 100; n++ {
		_, err = submit(n)
	}
	if err == nil {
		t.Fatalf("%d intents of 32 KiB were taken, and a quarter of a mebibyte is the limit", n)
	}
	for _, want := range []string{"submit: ", "stream INTENTS is full", "262144 bytes", "--journal-bytes", "hand it in again"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %q, want %q in it", err, want)
		}
	}
	if err := j.Healthy(); err == nil || !strings.Contains(err.Error(), "stream INTENTS is full") {
		t.Errorf("the journal says it is %v, want that INTENTS is full", err)
	}
	if _, err := j.Append(t.Context(), journal.Record{}, fact("o-1", "accepted")); err != nil {
		t.Fatalf("a fact, while INTENTS is full: %v", err)
	}
	if j.Healthy() == nil {
		t.Error("after a fact was kept the journal says it is well, and INTENTS is full still")
	}
	if err := j.DropIntent(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if _, err := submit(n); err != nil {
		t.Fatalf("an intent, when another has left: %v", err)
	}
	if err := j.Healthy(); err != nil {
		t.Errorf("the journal says %v, and an intent was taken", err)
	}
}

// However often a timer is set and comes due, one message about it is kept.
func TestTimersDoNotPileUp(t *testing.T) {
	j := testenv.StartNATS(t).Open(t, journal.Config{MaxBytes: 1 << 20})
	ctx, cancel := context.WithCancel(t.Context())
	due, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- j.Consume(ctx, journal.Consumer{Durable: "due", Stream: journal.Timers, Filters: []string{journal.Due(event.Order)}},
			func(context.Context, journal.Record) error {
				due <- struct{}{}
				return nil
			})
	}()
	for range 3 {
		if err := j.Arm(t.Context(), order("o-1"), "attempt", j.Now()); err != nil {
			t.Fatal(err)
		}
		<-due
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	uses, err := j.Uses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uses {
		if u.Stream == journal.Timers && u.Messages > 1 {
			t.Errorf("%d messages are kept of a timer that came due three times, want the last", u.Messages)
		}
	}
}
