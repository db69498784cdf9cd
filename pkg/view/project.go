package view

import (
	"context"
	"crypto/rand"
	"errors"
	"hash/maphash"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
)

// Sizes of what goes to Redis in one call, in entities, and of what is read at a time while
// the view is built, in facts.
const (
	batch      = 128
	buildBatch = 512
	buildPart  = 8192
)

// gather is the least time between two writes of facts as they come: one write of many costs
// Redis little more than one of one.
const gather = 20 * time.Millisecond

// patience is how long a rebuild waits for a Redis that does not answer.
const patience = 20 * time.Second

var (
	// errMoved tells the projector that the view is not what it was: flushed, or of another
	// generation.
	errMoved = errors.New("the view was begun anew")
	// errBuilding tells it that another instance is making the view.
	errBuilding = errors.New("the view is being built by another instance")
)

// Progress is how far a rebuild is.
type Progress struct {
	// Running tells that this instance makes the view just now.
	Running bool `json:"running"`
	// Done tells that the view was whole when this instance last looked.
	Done bool `json:"done"`
	// Seen of Total facts were read.
	Seen  uint64        `json:"seen"`
	Total uint64        `json:"total"`
	Took  time.Duration `json:"-"`
	// Seconds is Took for JSON.
	Seconds float64 `json:"seconds"`
}

// Report is what a rebuild did.
type Report struct {
	Entities int     `json:"entities"`
	Facts    uint64  `json:"facts"`
	Seconds  float64 `json:"seconds"`
	PerSec   float64 `json:"factsPerSecond"`
}

// Progress returns how far the last rebuild by this instance is.
func (v *View) Progress() Progress {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.progress
}

func (v *View) note(change func(*Progress)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.progress)
	v.progress.Seconds = v.progress.Took.Seconds()
}

// Project keeps the view in step with the journal until ctx ends, and then returns nil.
//
// It goes on from the watermark that it finds in Redis. Where that is missing, of another
// journal, or of facts that the journal has not got, the view is wiped and built anew;
// so it is when Redis is flushed meanwhile. Any number of instances may project at once:
// one builds while the others wait, then all follow, and the newest fact wins.
func (v *View) Project(ctx context.Context, j *journal.Journal) error {
	for ctx.Err() == nil {
		m, err := v.attach(ctx, j)
		if err == nil {
			err = v.follow(ctx, j, m)
		}
		v.note(func(p *Progress) { p.Done, p.Running = false, false })
		wait := pause
		if errors.Is(err, errMoved) || errors.Is(err, errBuilding) {
			wait = pause / 4
		}
		if ctx.Err() == nil {
			v.cfg.Log.Debug().Err(err).Msg("view: attach again")
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// Rebuild wipes the view and makes it anew from the journal, and reports what that took.
// If another instance is at it, it waits until that has ended.
func (v *View) Rebuild(ctx context.Context, j *journal.Journal) (Report, error) {
	for {
		m, err := v.readMark(ctx)
		if err != nil {
			return Report{}, err
		}
		_, r, err := v.build(ctx, j, m, "to be rebuilt")
		if !errors.Is(err, errBuilding) && !errors.Is(err, errMoved) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return Report{}, ctx.Err()
		case <-time.After(pause / 4):
		}
	}
}

// attach finds the view of our journal, and builds it if it is not there.
func (v *View) attach(ctx context.Context, j *journal.Journal) (mark, error) {
	id, err := j.Identity(ctx)
	if err != nil {
		return mark{}, err
	}
	m, err := v.readMark(ctx) // before the journal's end, so that it cannot be ahead of it
	if err != nil {
		return mark{}, err
	}
	last, err := j.LastSeq(ctx)
	if err != nil {
		return mark{}, err
	}
	if m.journal == id && m.whole && m.seq <= last {
		v.journal.Store(&id)
		return m, nil
	}
	if m.building {
		return mark{}, errBuilding
	}
	why := "missing"
	switch {
	case m.gen == "":
	case m.journal != id:
		why = "of another journal"
	case !m.whole:
		why = "unfinished"
	default:
		why = "ahead of the journal"
	}
	// If another instance builds it meanwhile, this one finds that it has moved.
	err = j.InTurn(ctx, func() error {
		m, _, err = v.build(ctx, j, m, why)
		return err
	})
	return m, err
}

// build makes a new generation in place of the one seen. Of those who try at one time one
// does, and the log says so with why and how it ended.
func (v *View) build(ctx context.Context, j *journal.Journal, seen mark, why string) (m mark, r Report, err error) {
	start := time.Now()
	id, err := j.Identity(ctx)
	if err != nil {
		return m, r, err
	}
	last, err := j.LastSeq(ctx)
	if err != nil {
		return m, r, err
	}
	if seen.building {
		return m, r, errBuilding
	}
	m = mark{gen: rand.Text(), journal: id, seq: last, whole: true}
	if err := v.begin(ctx, seen.gen, m.gen, id); err != nil {
		return m, r, err
	}
	v.cfg.Log.Info().Str("view", why).Msg("building the view from the journal")
	v.note(func(p *Progress) { *p = Progress{Running: true} })
	defer func() {
		if err != nil {
			v.cfg.Log.Info().Err(err).Msg("view not built")
		} else {
			v.cfg.Log.Info().Int("entities", r.Entities).Uint64("facts", r.Facts).Float64("seconds", r.Seconds).Msg("view built")
		}
		v.note(func(p *Progress) { p.Running, p.Done, p.Took = false, err == nil, time.Since(start) })
	}()
	if err := v.wipe(ctx, m.gen); err != nil {
		return m, r, err
	}
	b := builder{v: v, gen: m.gen, cut: j.Now().Add(-keep), written: map[uint64]bool{}, seed: maphash.MakeSeed(), stayed: start}
	if err := j.Newest(ctx, nil, v.part, func(p journal.Part) error { return b.take(ctx, p) }); err != nil {
		return m, r, err
	}
	if err := v.dropOld(ctx, b.cut); err != nil {
		return m, r, err
	}
	v.journal.Store(&id) // before anybody can see that it is whole
	if err := v.finish(ctx, m.gen, last); err != nil {
		return m, r, err
	}
	took := time.Since(start)
	v.meters.rebuild.Record(ctx, took.Seconds())
	r = Report{Entities: len(b.written), Facts: b.seen, Seconds: took.Seconds()}
	if took > 0 {
		r.PerSec = float64(b.seen) / took.Seconds()
	}
	return m, r, nil
}

// builder builds one generation. Nobody else writes to it before it is whole, so what comes
// for the first time needs no look at what is there.
type builder struct {
	v   *View
	gen string
	cut time.Time // what ended before is left out
	// written has the hashes of the entities that were written. Two with the same hash cost
	// a little time.
	written map[uint64]bool
	seed    maphash.Seed
	seen    uint64
	stayed  time.Time
}

// take writes a part of the journal.
func (b *builder) take(ctx context.Context, p journal.Part) error {
	b.seen = p.Seen
	b.v.note(func(now *Progress) { now.Seen, now.Total = p.Seen, p.Total })
	var first, again []entry
	for _, r := range p.Records {
		e, err := entryOf(r)
		if err != nil {
			b.v.cfg.Log.Warn().Err(err).Msg("fact left out of the view")
			continue
		}
		h := maphash.Comparable(b.seed, e.entity)
		switch {
		case b.written[h]:
			again = append(again, e)
		case !e.ended || !e.stamp.Before(b.cut):
			first, b.written[h] = append(first, e), true
		}
	}
	for some := range slices.Chunk(first, buildBatch) {
		if err := b.insist(ctx, func() error { return b.v.fill(ctx, b.gen, some) }); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(again, batch) {
		if err := b.insist(ctx, func() error { return b.v.put(ctx, b.gen, some, 0) }); err != nil {
			return err
		}
	}
	return b.insist(ctx, func() error { return nil })
}

// insist makes a call, after a sign of life, and again for a while if Redis does not answer in
// time: to begin the whole rebuild again would not make it any faster. All calls may be
// repeated.
func (b *builder) insist(ctx context.Context, call func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := b.alive(ctx)
		if err == nil {
			err = call()
		}
		if !errors.Is(err, ErrAway) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// alive renews the claim on the rebuild now and then.
func (b *builder) alive(ctx context.Context) error {
	if time.Since(b.stayed) < buildLease/5 {
		return nil
	}
	err := b.v.stay(ctx, b.gen)
	if err == nil {
		b.stayed = time.Now()
	}
	return err
}

// follow writes facts as they come, until the view is not of m's generation any more.
func (v *View) follow(ctx context.Context, j *journal.Journal, m mark) error {
	v.note(func(p *Progress) { p.Done = true })
	f := &follower{v: v, gen: m.gen, turn: make(chan struct{}, 1), ready: make(chan struct{}, 1)}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return j.Follow(ctx, journal.From{Seq: m.seq + 1}, nil, func(r journal.Record) error { return f.take(ctx, r) })
	})
	g.Go(func() error { return f.write(ctx) })
	g.Go(func() error { return f.check(ctx, j) })
	return g.Wait()
}

// follower gathers facts while more are waiting, and writes them together.
type follower struct {
	v   *View
	gen string

	// turn is a lock that is held while Redis is written. It is a channel, since who waits
	// for one waits in virtual time too.
	turn    chan struct{}
	waiting []entry
	seq     uint64
	ready   chan struct{} // there is something to write, and no more at hand
}

func (f *follower) take(ctx context.Context, r journal.Record) error {
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	f.seq = r.Seq
	if r.Entity() != (event.Entity{}) {
		e, err := entryOf(r)
		if err != nil {
			f.v.cfg.Log.Warn().Err(err).Msg("fact left out of the view")
		} else {
			f.waiting = append(f.waiting, e)
		}
	}
	if len(f.waiting) >= batch {
		return f.flush(ctx)
	}
	if r.Pending == 0 {
		select {
		case f.ready <- struct{}{}:
		default: // it is known
		}
	}
	return nil
}

// write writes what take has gathered, at once after a lull and else together with what comes
// within a moment, until ctx ends.
func (f *follower) write(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.ready:
		}
		f.turn <- struct{}{}
		err := f.flush(ctx)
		<-f.turn
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(gather):
		}
	}
}

// flush needs the turn.
func (f *follower) flush(ctx context.Context) error {
	if f.seq == 0 {
		return nil
	}
	if err := f.v.put(ctx, f.gen, f.waiting, f.seq); err != nil {
		return err
	}
	f.waiting, f.seq = f.waiting[:0], 0
	return nil
}

// check looks now and then whether the view is still there, writes what take has gathered
// for too long, says how far behind the view is, and forgets what is old.
func (f *follower) check(ctx context.Context, j *journal.Journal) error {
	tick := time.NewTicker(f.v.cfg.CheckEvery)
	defer tick.Stop()
	var swept time.Time
	for {
		f.turn <- struct{}{}
		err := f.flush(ctx)
		<-f.turn
		if err != nil {
			return err
		}
		m, err := f.v.readMark(ctx)
		if err != nil {
			return err
		}
		if m.gen != f.gen {
			return errMoved
		}
		if last, err := j.LastSeq(ctx); err == nil { // else NATS is away, and follow waits
			f.v.meters.lag.Record(ctx, int64(max(last, m.seq)-m.seq))
		}
		if now := j.Now(); now.Sub(swept) > time.Hour {
			if err := f.v.dropOld(ctx, now.Add(-keep)); err != nil {
				return err
			}
			swept = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
