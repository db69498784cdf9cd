package journal

import (
	"context"
	"maps"
	"slices"

	"patchbay.io/pkg/event"
)

// Beginning says what [Journal.Begin] reads, and for whom.
type Beginning struct {
	// All facts that these filters match come, oldest first; none means none.
	All []string
	// Newest are the filters of the facts of which the newest of each entity comes, sometimes
	// after an older one. Facts that come for either reason come near their order, not in it.
	Newest []string
	// Note takes a fact in, and reports whether it can be read. Facts may come again.
	Note func(Record) bool
	// More, if set, is asked for entities of which all facts come at the end, once the newest
	// are known.
	More func() []event.Entity
	// Progress is told how many messages were read, of how many that are known.
	Progress func(seen, total uint64)
}

const (
	// beginPart is how many facts Begin reads at a time.
	beginPart = 8192
	// entitiesAtOnce is of how many entities all facts are read at a time.
	entitiesAtOnce = 64
)

// Begin reads what there is now, for whom the newest facts of most entities tell as much as
// all of them, and returns the sequence behind which [Journal.Follow] goes on. Of an entity
// whose newest fact cannot be read all facts come, at the end. What fails is read again from
// the beginning; Begin itself fails only when ctx or the journal ends.
func (j *Journal) Begin(ctx context.Context, b Beginning) (seq uint64, err error) {
	for {
		if seq, err = j.LastSeq(ctx); err == nil {
			if err = j.begin(ctx, b); err == nil {
				return seq, nil
			}
		}
		j.cfg.Log.Debug().Err(err).Msg("read again")
		if err := j.pause(ctx); err != nil {
			return 0, err
		}
	}
}

// begin reads all there is, and looks itself for what matches: a server that has to, with a
// million subjects, takes longer than all the rest.
func (j *Journal) begin(ctx context.Context, b Beginning) error {
	matches := func(filters []string, subject string) bool {
		return slices.ContainsFunc(filters, func(f string) bool { return event.Matches(f, subject) })
	}
	want := func(subject string) wanted {
		switch {
		case matches(b.All, subject):
			return everything
		case matches(b.Newest, subject):
			return newestOnly
		default:
			return nothing
		}
	}
	whole := map[event.Entity]bool{} // of which all facts are wanted
	err := j.parts(ctx, nil, beginPart, want, func(p Part) error {
		for _, r := range p.Records {
			if b.Note(r) {
				delete(whole, r.Entity())
			} else {
				whole[r.Entity()] = true
			}
		}
		b.Progress(p.Seen, p.Total)
		return nil
	})
	if err != nil {
		return err
	}
	if b.More != nil {
		for _, e := range b.More() {
			whole[e] = true
		}
	}
	for some := range slices.Chunk(slices.Collect(maps.Keys(whole)), entitiesAtOnce) {
		var filters []string
		for _, e := range some {
			filters = append(filters, e.Filter())
		}
		err := j.History(ctx, filters, func(r Record) error {
			b.Note(r)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
