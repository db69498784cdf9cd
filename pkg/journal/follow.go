package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
)

// From says where [Journal.Follow] begins. The zero From is the first fact.
type From struct {
	// Seq is the first sequence wanted.
	Seq uint64
	// Since is the time, by the server's clock, from which facts are wanted.
	Since time.Time
	// New skips everything that is there already.
	New bool
	// LastPerSubject begins with the last message of each subject.
	LastPerSubject bool
}

// Follow hands facts that match the filters to yield, in order, until ctx ends or yield
// returns an error. Nothing is acknowledged and nothing is remembered. While NATS is away
// it waits and goes on where it was. It returns yield's error, or nil when ctx ends;
// with [From.New] an error too if the server cannot say what is the last fact now.
//
// A fact that cannot be read is handed over with the zero Event, after a line in the log,
// so that who counts sequences knows of it. [Record.Into] fails on it.
func (j *Journal) Follow(ctx context.Context, from From, filters []string, yield func(Record) error) error {
	if from.New {
		// What "new" means is settled once: facts that come while the line is down are new too.
		last, err := j.LastSeq(ctx)
		if err != nil {
			return err
		}
		from = From{Seq: last + 1}
	}
	for ctx.Err() == nil && j.ctx.Err() == nil {
		err := j.follow(ctx, &from, filters, yield)
		var own yieldError
		if errors.As(err, &own) {
			return own.error
		}
		if ctx.Err() != nil || j.ctx.Err() != nil {
			return nil
		}
		j.cfg.Log.Debug().Err(err).Msg("follow again")
		select {
		case <-ctx.Done():
		case <-j.ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
	return nil
}

type yieldError struct{ error }

// follow follows by a consumer of its own until that is lost. The client's ordered consumer
// would make it anew by itself, but under a lock that its Stop waits for.
func (j *Journal) follow(ctx context.Context, from *From, filters []string, yield func(Record) error) error {
	cfg := jetstream.ConsumerConfig{
		FilterSubjects: filters, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute,
		MemoryStorage: true, Replicas: 1,
	}
	switch {
	case from.Seq > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from.Seq
	case !from.Since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &from.Since
	case from.LastPerSubject:
		cfg.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
		if len(filters) == 0 {
			cfg.FilterSubjects = []string{event.Root + ".>"} // the server wants one
		}
	}
	create, cancel := context.WithTimeout(ctx, appendTry)
	defer cancel()
	cons, err := j.streams[Facts].CreateConsumer(create, cfg)
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	defer j.drop(ctx, Facts, cons)
	msgs, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	defer context.AfterFunc(ctx, msgs.Stop)()
	defer context.AfterFunc(j.ctx, msgs.Stop)()
	defer msgs.Stop()
	defer j.stopOnReconnect(msgs)()
	pending := cons.CachedInfo().NumPending
	quiet := stillness{j: j, from: from, filters: filters}
	for n := uint64(1); ; n++ {
		wait := stillTime
		if n <= pending || quiet.owed {
			wait = backlogWait // there is something to give
		}
		msg, err := msgs.Next(jetstream.NextMaxWait(wait))
		if wait == stillTime && errors.Is(err, nats.ErrTimeout) {
			quiet.look(ctx)
			n--
			continue
		}
		if err != nil {
			return err
		}
		quiet.owed, quiet.looked = false, time.Now()
		md, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("follow: %w", err)
		}
		if md.Sequence.Consumer != n {
			return fmt.Errorf("follow: message %d came as %d", n, md.Sequence.Consumer)
		}
		// A server that is behind, and has nothing of that time yet, begins too early.
		if !md.Timestamp.Before(from.Since) {
			if err := yield(j.recordAnyway(Facts, delivery{msg, md})); err != nil {
				return yieldError{err}
			}
		}
		*from = From{Seq: md.Sequence.Stream + 1, Since: from.Since}
		j.learn(md.Sequence.Stream)
	}
}

// stopOnReconnect ends a reading when the connection was lost and is back: the consumer may
// be gone with the server that kept it in memory. The function that it returns ends the wait.
func (j *Journal) stopOnReconnect(msgs jetstream.MessagesContext) (end func()) {
	back, ended := j.reconnected.next(), make(chan struct{})
	go func() {
		select {
		case <-back:
			msgs.Stop()
		case <-ended:
		}
	}()
	return func() { close(ended) }
}

// signal tells many of something that happens again and again.
type signal struct {
	mu sync.Mutex
	c  chan struct{}
}

// next is closed when it happens the next time.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

func (s *signal) happen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}

// Times of a follower: after how long without anything it looks whether there is something, how
// often it asks the leader though nothing is known here, and how long a consumer may keep
// silent that has something to give.
const (
	stillTime   = 5 * time.Second
	stillAtMost = 30 * time.Second
	backlogWait = 3 * time.Second
)

// stillness is a follower's, while nothing comes. A consumer is lost without a word when its
// server closes its streams and stays connected, as one does whose disk is full; and one whose
// server no longer takes part goes on as if nothing came. So it is the leader who is asked, and
// not the heartbeats of the consumer's own server that are waited for.
type stillness struct {
	j       *Journal
	from    *From
	filters []string
	owed    bool      // there is something that should have come
	asked   uint64    // the leader had nothing up to here
	looked  time.Time // when something came, or the leader was asked
}

// look asks the leader, if anybody here knows of newer facts or it was long ago.
func (s *stillness) look(ctx context.Context) {
	if known := s.j.known.Load(); (known < s.from.Seq || known <= s.asked) && time.Since(s.looked) < stillAtMost {
		return
	}
	asking, cancel := context.WithTimeout(ctx, time.Second)
	last, err := s.j.LastSeq(asking)
	cancel()
	if err != nil {
		return // who cannot say is asked again
	}
	s.looked = time.Now()
	if last < s.from.Seq || last <= s.asked {
		return
	}
	filters := s.filters
	if len(filters) == 0 {
		filters = []string{event.Root + ".>"}
	}
	for _, f := range filters {
		m, err := s.j.askLast(ctx, Facts, f)
		if err != nil {
			return
		}
		if m != nil && m.Sequence >= s.from.Seq && !m.Time.Before(s.from.Since) {
			s.owed = true
			return
		}
	}
	s.asked = last
}

// learn notes that there is a fact with this sequence.
func (j *Journal) learn(seq uint64) {
	for {
		known := j.known.Load()
		if seq <= known || j.known.CompareAndSwap(known, seq) {
			return
		}
	}
}

// drop deletes a consumer that has served, without holding up who stops: if it fails, the
// consumer ends by itself a minute later.
func (j *Journal) drop(ctx context.Context, stream string, c jetstream.Consumer) {
	if j.nc.Status() != nats.CONNECTED {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = j.streams[stream].DeleteConsumer(ctx, c.CachedInfo().Name)
}

// recordAnyway is the record of m, with the zero Event if that cannot be read.
func (j *Journal) recordAnyway(stream string, m delivery) Record {
	r, err := m.record(stream)
	if err != nil {
		j.cfg.Log.Warn().Err(err).Str("topic", r.Subject).Msg("unreadable fact")
		r.Event = ce.Event{}
	}
	return r
}

// Each hands the last fact of every entity that the filters match to yield, oldest first,
// and returns when all that was there at the start was handed over.
func (j *Journal) Each(ctx context.Context, filters []string, yield func(Record) error) error {
	return j.Newest(ctx, filters, 0, func(p Part) error {
		for _, r := range p.Records {
			if err := yield(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// Part is some of what [Journal.Newest] reads.
type Part struct {
	// Records are of different entities, oldest first.
	Records []Record
	// Seen of Total messages were read.
	Seen, Total uint64
}

// Newest reads the facts that the filters match, up to the end of what was there at the start,
// in parts of so many; 0 puts all into one. Of each part it hands on no more than the newest
// fact of each entity, and does not decode the others. An entity may come in several parts,
// with a newer fact each time: parts bound what is held in memory, and most facts of an entity
// are near each other. yield works on one part while the next is read; there is always a last
// one, with or without records.
//
// It does not ask the server for the last of each subject, as [Journal.Latest] does: nearly
// every fact is that, and to find them out first takes the server seconds for a million.
func (j *Journal) Newest(ctx context.Context, filters []string, size uint64, yield func(Part) error) error {
	return j.parts(ctx, filters, size, func(string) wanted { return newestOnly }, yield)
}

// wanted is what is wanted of the facts under a subject.
type wanted int

const (
	nothing wanted = iota
	newestOnly
	everything
)

// parts is [Journal.Newest], but for what is wanted of what the filters match.
func (j *Journal) parts(ctx context.Context, filters []string, size uint64, want func(subject string) wanted, yield func(Part) error) error {
	type part struct {
		every       []delivery
		newest      map[event.Entity]delivery
		seen, total uint64
	}
	parts := make(chan part)
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		defer close(parts)
		now := part{newest: map[event.Entity]delivery{}}
		hand := func() error {
			select {
			case parts <- now:
				now.every, now.newest = nil, map[event.Entity]delivery{}
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := j.read(ctx, Facts, jetstream.DeliverAllPolicy, filters, func(m delivery) error {
			now.seen++
			now.total = now.seen + m.md.NumPending
			switch want(m.msg.Subject()) {
			case everything:
				now.every = append(now.every, m)
			case newestOnly:
				if e, err := event.EntityOf(m.msg.Subject()); err == nil { // else it is nobody's state
					now.newest[e] = m // the stream gives them in their order
				}
			case nothing:
			}
			if size > 0 && now.seen%size == 0 {
				return hand()
			}
			return nil
		})
		if err != nil {
			return err
		}
		return hand()
	})
	work.Go(func() error {
		for p := range parts {
			records := make([]Record, 0, len(p.every)+len(p.newest))
			for _, m := range p.every {
				records = append(records, j.recordAnyway(Facts, m))
			}
			for _, m := range p.newest {
				records = append(records, j.recordAnyway(Facts, m))
			}
			slices.SortFunc(records, func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) })
			if err := yield(Part{records, p.seen, p.total}); err != nil {
				return err
			}
		}
		return nil
	})
	return work.Wait()
}

// Latest hands the last fact of every subject that the filters match to yield, oldest
// first, and returns at the end of what was there at the start. An entity has a subject
// for each state it was in; its state is the newest that comes. No filter means all facts.
// One that cannot be read comes as from [Journal.Follow].
func (j *Journal) Latest(ctx context.Context, filters []string, yield func(Record) error) error {
	if len(filters) == 0 {
		filters = []string{event.Root + ".>"} // here the server wants one
	}
	return j.read(ctx, Facts, jetstream.DeliverLastPerSubjectPolicy, filters, j.decoding(Facts, yield))
}

// History hands every fact that the filters match to yield, oldest first, and returns at
// the end of what was there at the start. One that cannot be read comes as from
// [Journal.Follow].
func (j *Journal) History(ctx context.Context, filters []string, yield func(Record) error) error {
	return j.read(ctx, Facts, jetstream.DeliverAllPolicy, filters, j.decoding(Facts, yield))
}

// EachIntent hands every intent on a subject that upstream has published and that is still
// kept to yield, oldest first, handled or not. It returns yield's error.
func (j *Journal) EachIntent(ctx context.Context, subject string, yield func(Record) error) error {
	return j.read(ctx, Intents, jetstream.DeliverAllPolicy, []string{subject}, j.decoding(Intents, yield))
}

// delivery is a message that came from a stream and has not been decoded.
type delivery struct {
	msg jetstream.Msg
	md  *jetstream.MsgMetadata
}

// decoding takes messages, and hands their records on.
func (j *Journal) decoding(stream string, yield func(Record) error) func(delivery) error {
	return func(m delivery) error { return yield(j.recordAnyway(stream, m)) }
}

// read goes once through what a stream has; no filter means all, for which the server compares
// no subjects. A gap, as after a lost connection, is an error;
// a consumer that is lost before it gave anything is made again.
func (j *Journal) read(ctx context.Context, stream string, policy jetstream.DeliverPolicy, filters []string, take func(delivery) error) error {
	for deadline := time.Now().Add(silence); ; {
		n, err := j.readOnce(ctx, stream, jetstream.ConsumerConfig{
			DeliverPolicy: policy, FilterSubjects: filters, AckPolicy: jetstream.AckNonePolicy,
			InactiveThreshold: time.Minute, MemoryStorage: true, Replicas: 1,
		}, take)
		if n > 0 || !errors.Is(err, errSilent) || time.Now().After(deadline) {
			return err
		}
	}
}

// silence is how long a stream may not answer, as while a cluster elects.
const silence = 20 * time.Second

// errSilent reports a stream that does not answer.
var errSilent = errors.New("no answer from the stream")

// readOnce reads by a consumer of its own, and returns how many messages it gave. The
// consumer may live on a server of the cluster that is behind; so the leader is asked what
// there is, and the consumer read until it has given that.
func (j *Journal) readOnce(ctx context.Context, stream string, cfg jetstream.ConsumerConfig, take func(delivery) error) (n uint64, err error) {
	goal, err := j.newest(ctx, stream, cfg.FilterSubjects)
	if err != nil || goal == 0 {
		return 0, err
	}
	create, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	cons, err := j.streams[stream].CreateConsumer(create, cfg)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", stream, err)
	}
	defer j.drop(ctx, stream, cons)
	p := progress{stream: stream, pending: cons.CachedInfo().NumPending, goal: goal}
	heard := time.Now()
	for !p.done() {
		before := p.count
		refused, err := p.fetch(ctx, cons, take)
		if err != nil {
			return p.count, err
		}
		if p.count > before {
			heard = time.Now()
			continue
		}
		p.pending = 0
		if err := j.pause(ctx); err != nil {
			return p.count, fmt.Errorf("read %s: %w", stream, err)
		}
		if refused != nil && p.count == 0 || time.Since(heard) > silence {
			return p.count, fmt.Errorf("read %s: %w", stream, errors.Join(errSilent, refused))
		}
		// What was there at the start may have been deleted since.
		if p.goal, err = j.newest(ctx, stream, cfg.FilterSubjects); err != nil {
			return p.count, err
		}
		p.goal = min(p.goal, goal)
	}
	return p.count, nil
}

// pause waits a little. Where nobody serves a consumer the answer comes at once.
func (j *Journal) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-j.ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
	return errors.Join(ctx.Err(), j.ctx.Err())
}

// newest is the sequence of the last message that the filters match, by the leader; 0 for
// none. No filter matches all.
func (j *Journal) newest(ctx context.Context, stream string, filters []string) (seq uint64, err error) {
	if len(filters) == 0 {
		filters = []string{event.Root + ".>"}
	}
	for _, f := range filters {
		m, err := j.lastMessage(ctx, stream, f)
		if err != nil {
			return 0, err
		}
		if m != nil {
			seq = max(seq, m.Sequence)
		}
	}
	return seq, nil
}

// progress is how far a reading has come. It ends by sequence alone: the server of the
// consumer may be behind, and count as pending what was purged before it gives it.
type progress struct {
	stream     string
	count      uint64 // messages given
	pending    uint64 // messages that should come still, by the consumer's server
	last, goal uint64 // sequences: of the newest given, and of the newest there was
}

func (p progress) done() bool { return p.last >= p.goal }

// next is how many messages to ask for.
func (p progress) next() int { return int(max(1, min(500, p.pending))) }

// fetch asks for a batch and hands it to take, up to the end of the reading. It returns why
// the consumer gave nothing, if it said so. A request may be lost while a cluster elects;
// asking again costs nothing.
func (p *progress) fetch(ctx context.Context, cons jetstream.Consumer, take func(delivery) error) (refused, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	batch, err := cons.Fetch(p.next(), jetstream.FetchContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p.stream, err)
	}
	for msg := range batch.Messages() {
		md, err := msg.Metadata()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p.stream, err)
		}
		if p.count++; md.Sequence.Consumer != p.count {
			return nil, fmt.Errorf("read %s: message %d came as %d", p.stream, p.count, md.Sequence.Consumer)
		}
		p.last, p.pending = md.Sequence.Stream, md.NumPending
		if err := take(delivery{msg, md}); err != nil {
			return nil, err
		}
		if p.done() {
			return nil, nil
		}
	}
	return batch.Error(), nil
}
