package view

import (
	"context"
	"time"

	"patchbay.io/pkg/event"
)

// Attach makes v take what Redis holds for the view of a journal, as when it has found it so.
func (v *View) Attach(journal string) { v.journal.Store(&journal) }

// ReadBy makes v read so many facts at a time when it builds the view.
func (v *View) ReadBy(facts uint64) { v.part = facts }

// Write does what the projector does: it writes fact seq of e for a generation, and forgets
// what ended long ago.
func (v *View) Write(ctx context.Context, gen string, e event.Entity, seq uint64) error {
	if err := v.put(ctx, gen, []entry{{entity: e, seq: seq, body: "{}", index: "[]"}}, seq); err != nil {
		return err
	}
	return v.dropOld(ctx, time.Unix(1, 0))
}
