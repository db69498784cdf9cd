package journal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay.io/pkg/event"
)

// scheduleHeader says in a timer when it is due, after the mark atMark.
const (
	scheduleHeader = "Nats-Schedule"
	atMark         = "@at "
)

const (
	timerRoot = event.Root + ".timer."
	dueRoot   = event.Root + ".due."
	// keepDue is how long a due message waits for its service; whoever starts arms all
	// open timers anew anyway.
	keepDue = "168h"
)

// Due is the filter for the due messages of a noun, for [Consumer.Filters] on [Timers].
func Due(n event.Noun) string { return dueRoot + string(n) + ".>" }

// Arm sets the timer for a purpose of e: at the time given, by the server's clock, those
// who consume [Due] get a message about e. Arming it again replaces it. Times in the past
// are due at once; a timer is never early, and up to a quarter second late.
//
// There is no cancelling: a due message is only a nudge.
func (j *Journal) Arm(ctx context.Context, e event.Entity, purpose string, at time.Time) error {
	name := timerName(e, purpose)
	m := nats.NewMsg(timerRoot + name)
	// The client's own option would cut the time to whole seconds, and fire early.
	m.Header.Set(scheduleHeader, atMark+at.UTC().Format(time.RFC3339Nano))
	m.Header.Set("Nats-Schedule-Target", dueRoot+name)
	m.Header.Set("Nats-Schedule-TTL", keepDue)
	inject(ctx, m.Header)

	ctx, cancel := context.WithTimeout(ctx, appendBudget)
	defer cancel()
	j.cfg.Probe("arm.before " + m.Subject)
	for {
		try, cancelTry := context.WithTimeout(ctx, appendTry)
		_, err := j.publish(try, Timers, m)
		cancelTry()
		if err == nil {
			j.cfg.Probe("arm.after " + m.Subject)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("arm %s for %s: %w", purpose, e, err)
		case <-j.ctx.Done():
			return fmt.Errorf("arm %s for %s: %w", purpose, e, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ArmBy makes sure that the timer for a purpose of e is due at the time given or before: it
// is [Journal.Arm], unless the timer stands already for a time that is still to come and is
// no later. It reports whether it set the timer. Who is nudged too early only arms it again,
// and a read costs far less than a write that has to reach the disk.
func (j *Journal) ArmBy(ctx context.Context, e event.Entity, purpose string, at time.Time) (set bool, err error) {
	due, err := j.dueAt(ctx, e, purpose)
	if err == nil && due.After(j.Now()) && !due.After(at) {
		return false, nil
	}
	return true, j.Arm(ctx, e, purpose, at)
}

// dueAt is when a timer is due; the zero time if it is not set.
func (j *Journal) dueAt(ctx context.Context, e event.Entity, purpose string) (time.Time, error) {
	m, err := j.lastMessage(ctx, Timers, timerRoot+timerName(e, purpose))
	if err != nil || m == nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339Nano, strings.TrimPrefix(m.Header.Get(scheduleHeader), atMark))
}

func timerName(e event.Entity, purpose string) string {
	return fmt.Sprintf("%s.%s.%s", e.Noun, purpose, e.ID)
}

// parseTimer reads entity and purpose out of the subject of a timer or due message.
func parseTimer(subject string) (event.Entity, string, error) {
	name, ok := strings.CutPrefix(subject, dueRoot)
	if !ok {
		name, ok = strings.CutPrefix(subject, timerRoot)
	}
	t := strings.Split(name, ".")
	if !ok || len(t) != 3 || !event.ValidID(t[2]) {
		return event.Entity{}, "", fmt.Errorf("%w: subject %q", event.ErrMalformed, subject)
	}
	return event.Entity{Noun: event.Noun(t[0]), ID: t[2]}, t[1], nil
}
