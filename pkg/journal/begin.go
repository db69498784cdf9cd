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
	// after an older one.
	//
	// What one filter of either kind matches comes near its order, not in it; then comes what
	// the next one matches.
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
// the beginning; Begin itself fails only when ctx or the journal ends. It takes its turn, where
// there are [Turns].
func (j *Journal) Begin(ctx context.Context, b Beginning) (seq uint64, err error) {
	begin := func() error {
		var err error
		if seq, err = j.LastSeq(ctx); err != nil {
			return err
		}
		return j.begin(ctx, b)
	}
	// Who has failed does not wait again for those who had their turn meanwhile.
	for err = j.cfg.Turns.Take(ctx, begin); err != nil; err = begin() {
		j.cfg.Log.Debug().Err(err).Msg("read again")
		if err := j.pause(ctx); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

// begin reads what each filter matches by itself. A server that is given several at once looks
// at every subject that there is for each block of its files, and who is given all there is
// takes much longer to throw away most of it.
func (j *Journal) begin(ctx context.Context, b Beginning) error {
	whole := map[event.Entity]bool{} // of which all facts are wanted
	var seen uint64                  // by the filters before
	for _, filter := range b.filters() {
		var read uint64
		err := j.parts(ctx, []string{filter}, beginPart, b.want, func(p Part) error {
			for _, r := range p.Records {
				if b.Note(r) {
					delete(whole, r.Entity())
				} else {
					whole[r.Entity()] = true
				}
			}
			read = p.Seen
			b.Progress(seen+p.Seen, seen+p.Total)
			return nil
		})
		if err != nil {
			return err
		}
		seen += read
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

// filters are those of both kinds, without those that match nothing but what another matches.
func (b Beginning) filters() (all []string) {
	for _, f := range slices.Concat(b.All, b.Newest) {
		if !matches(all, f) {
			all = append(slices.DeleteFunc(all, func(g string) bool { return event.Matches(f, g) }), f)
		}
	}
	return all
}

// want says what is wanted of the facts under a subject.
func (b Beginning) want(subject string) wanted {
	switch {
	case matches(b.All, subject):
		return everything
	case matches(b.Newest, subject):
		return newestOnly
	default:
		return nothing
	}
}

// matches reports whether one of the filters matches a subject, or all that another filter does.
func matches(filters []string, subject string) bool {
	return slices.ContainsFunc(filters, func(f string) bool { return event.Matches(f, subject) })
}
