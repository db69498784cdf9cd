package archive

import (
	"context"
	"fmt"
	"io"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
)

// Restored says what was taken back.
type Restored struct {
	Entities int `json:"entities"`
	Facts    int `json:"facts"`
	// There counts facts that the journal had already.
	There int `json:"there,omitempty"`
	// Skipped are entities that the journal knows otherwise: archived, or gone on. Nothing of
	// them is written.
	Skipped []event.Entity `json:"skipped,omitempty"`
}

// place is where an entity stands while its facts are taken back.
type place struct {
	last journal.Record
	// fits: what the file has goes on where the journal ends.
	fits  bool
	wrote bool
}

// Restore writes the facts of an archive into the journal, each as it was: with its id, its
// number and its time, in the old order. The stamp of the server is a new one.
//
// It is for a deployment in which nobody works: a service would take the beginning of a
// history for news. Whoever is interrupted restores the same file again.
func Restore(ctx context.Context, j *journal.Journal, f io.ReadSeeker) (Restored, error) {
	var rep Restored
	places := map[event.Entity]*place{}
	err := read(f, func(e event.Entity, r record, _ []byte) error {
		p := places[e]
		if p == nil {
			last, err := j.Last(ctx, e)
			if err != nil {
				return err
			}
			p = &place{last: last, fits: last.None() || last.Number()+1 == event.Sequence(r.event)}
			places[e] = p
		}
		p.fits = p.fits || p.last.Event.ID() == r.event.ID() && p.last.Number() == event.Sequence(r.event)
		return nil
	})
	if err != nil {
		return rep, err
	}
	for e, p := range places {
		if !p.fits {
			rep.Skipped = append(rep.Skipped, e)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return rep, err
	}
	err = read(f, func(e event.Entity, r record, _ []byte) error {
		p := places[e]
		switch {
		case !p.fits:
			return nil
		case event.Sequence(r.event) <= p.last.Number():
			rep.There++
			return nil
		case !p.last.None() && event.Sequence(r.event) != p.last.Number()+1:
			return fmt.Errorf("%s goes from fact %d to %d", e, p.last.Number(), event.Sequence(r.event))
		}
		next, err := j.Put(ctx, p.last, r.subject, r.event)
		if err != nil {
			return err
		}
		if p.last = next; !p.wrote {
			p.wrote = true
			rep.Entities++
		}
		rep.Facts++
		return nil
	})
	return rep, err
}
