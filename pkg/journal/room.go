package journal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"patchbay.io/pkg/event"
)

// Use is how much of a stream is used.
type Use struct {
	Stream   string `json:"stream"`
	Messages uint64 `json:"messages"`
	Bytes    int64  `json:"bytes"`
	// MaxBytes is its limit; -1 for none.
	MaxBytes int64 `json:"maxBytes"`
}

// Fill is the part of the limit that is used, from 0 to 1; 0 where there is none.
func (u Use) Fill() float64 {
	if u.MaxBytes <= 0 {
		return 0
	}
	return float64(u.Bytes) / float64(u.MaxBytes)
}

func useOf(info *jetstream.StreamInfo) Use {
	return Use{
		Stream: info.Config.Name, Messages: info.State.Msgs,
		Bytes: int64(info.State.Bytes), MaxBytes: info.Config.MaxBytes,
	}
}

// Uses tells how much of each stream is used: the journal, what upstream has handed in,
// the timers and the dead letters.
func (j *Journal) Uses(ctx context.Context) ([]Use, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTry)
	defer cancel()
	var all []Use
	for _, name := range []string{Facts, Intents, Timers, DeadLetters} {
		info, err := j.streams[name].Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", name, err)
		}
		u := useOf(info)
		j.meters.used(ctx, u)
		all = append(all, u)
	}
	return all, nil
}

// fresh is how old a reading of the journal's use may be for [Journal.Use].
const fresh = time.Second

// room remembers how full the journal is.
type room struct {
	mu   sync.Mutex
	use  Use
	asOf time.Time
}

func (r *room) note(u Use) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.use, r.asOf = u, time.Now()
}

// Use tells how full the journal is, as the server had it a second ago at most; when it
// cannot be asked, as it said last.
func (j *Journal) Use(ctx context.Context) Use {
	j.room.mu.Lock()
	use, stale := j.room.use, time.Since(j.room.asOf) > fresh
	if stale {
		j.room.asOf = time.Now() // one asks for all
	}
	j.room.mu.Unlock()
	if !stale {
		return use
	}
	if err := j.readClock(ctx); err != nil {
		j.cfg.Log.Debug().Err(err).Msg("how full the journal is")
	}
	j.room.mu.Lock()
	defer j.room.mu.Unlock()
	return j.room.use
}

// Purge deletes the facts of an entity that come before the sequence, all of them if it is
// 0. Only an archive may do so, once it has them; services are not allowed to.
func (j *Journal) Purge(ctx context.Context, e event.Entity, before uint64) error {
	ctx, cancel := context.WithTimeout(ctx, appendTry)
	defer cancel()
	opts := []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject(e.Filter())}
	if before > 0 {
		opts = append(opts, jetstream.WithPurgeSequence(before))
	}
	j.cfg.Probe("purge.before " + e.String())
	if err := j.streams[Facts].Purge(ctx, opts...); err != nil {
		return fmt.Errorf("purge %s: %w", e, err)
	}
	j.cfg.Probe("purge.after " + e.String())
	return nil
}
