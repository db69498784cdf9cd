package main

import (
	"patchbay.io/cmd/plant"
)

// plantable is a bug that a run can be started with, to see that it is found.
type plantable struct {
	name    string
	what    string
	changes []plant.Change
}

// bugs are ways to promise "exactly once" that look right and are not, but for
// compare-and-append itself.
func bugs() []plantable {
	return []plantable{
		{"no-compare", "facts are appended whatever others have appended meanwhile", plant.NoCompare},
		{"acknowledge-first", "messages are acknowledged before anything is done about them", plant.AcknowledgeFirst},
		{"duplicate-window", "the id of an append is derived from what it says, and the server's duplicate window is the only guard", []plant.Change{
			{
				File: "pkg/journal/append.go",
				Old: `ack, err := j.publish(try, Facts, m, jetstream.WithMsgID(id),
			jetstream.WithExpectLastSequenceForSubject(after, e.Filter()))`,
				With: `ack, err := j.publish(try, Facts, m, jetstream.WithMsgID(fmt.Sprint(m.Subject, after)))`,
			},
			// Nobody waits for two minutes here; what is true after one is true after two.
			{File: "pkg/journal/journal.go", Old: "Duplicates: 2 * time.Minute", With: "Duplicates: 10 * time.Second"},
		}},
		{"redis-lock", "a lock in Redis is all that keeps two instances from working on one order", redisLock()},
		{"impatient", "another attempt is made before D + Q is over", []plant.Change{{
			File: "services/requester/state.go",
			Old: `a.GetLooks() >= 2 && len(a.GetCandidates()) == 0 &&
		!a.GetLookedAt().AsTime().Before(s.calm(leg))`,
			With: `a.GetLooks() >= 1 && len(a.GetCandidates()) == 0`,
		}}},
	}
}

// redisLock appends facts about orders without a comparison, under a lock in Redis.
func redisLock() []plant.Change {
	return []plant.Change{
		{
			File: "pkg/journal/append.go",
			Old: `ack, err := j.publish(try, Facts, m, jetstream.WithMsgID(id),
			jetstream.WithExpectLastSequenceForSubject(after, e.Filter()))`,
			With: `guard := []jetstream.PublishOpt{jetstream.WithMsgID(id)}
		if e.Noun != event.Order {
			guard = append(guard, jetstream.WithExpectLastSequenceForSubject(after, e.Filter()))
		}
		ack, err := j.publish(try, Facts, m, guard...)`,
		},
		{
			File: "services/requester/drive.go",
			Old:  "	h := &handling{now: n.now, cause: n.cause}\n",
			With: `	free, err := r.lock(ctx, id)
	if err != nil {
		return err
	}
	defer free()
	h := &handling{now: n.now, cause: n.cause}
`,
		},
		{
			File: "services/requester/intake.go",
			Old:  "	if r.recall(ctx, a.orderID) {\n",
			With: `	free, err := r.lock(ctx, a.orderID)
	if err != nil {
		return err
	}
	defer free()
	if last, err := r.rt.Journal.Last(ctx, orderEntity(a.orderID)); err != nil || !last.None() {
		if err != nil {
			return err
		}
		_, err = r.again(ctx, a)
		return err
	}
	if r.recall(ctx, a.orderID) {
`,
		},
		{
			File: "services/requester/requester.go",
			Old:  "// nudge is what a message tells",
			With: `// lock takes the order's lock in Redis, for ten seconds.
func (r *Requester) lock(ctx context.Context, id string) (free func(), err error) {
	me := fmt.Sprint(time.Now().UnixNano())
	got, err := r.rt.View.Lease(ctx, "order-"+id, me, 10*time.Second)
	if err == nil && !got {
		err = journal.Later(time.Second, errors.New("somebody works on this order"))
	}
	return func() { _ = r.rt.View.Release(context.WithoutCancel(ctx), "order-"+id, me) }, err
}

// nudge is what a message tells`,
		},
	}
}
