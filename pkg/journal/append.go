package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
)

// appendTry is the time for one try of an append; appendBudget for all. A leader that
// dies stalls publishing for two to four seconds.
const (
	appendTry    = 5 * time.Second
	appendBudget = 30 * time.Second
)

// Record is a message read from a stream. The zero Record stands for none.
type Record struct {
	Stream  string
	Subject string
	// Seq is its sequence in the stream; 0 for none.
	Seq uint64
	// Stamp is when the server stored it, by the server's clock; zero right after an
	// append.
	Stamp time.Time
	// Event is the CloudEvent; zero for a timer.
	Event ce.Event
	// Delivered counts deliveries to this consumer, this one included.
	Delivered uint64
	// Pending is how many messages the consumer has yet to see after this one, as far as its
	// server knows: one that is behind the others knows of less.
	Pending uint64
}

// None reports whether there is no such message.
func (r Record) None() bool { return r.Seq == 0 }

// Entity is what the fact or timer is about. It is the zero Entity for an intent.
func (r Record) Entity() event.Entity {
	if r.Stream == Timers {
		e, _, _ := parseTimer(r.Subject)
		return e
	}
	e, err := event.EntityOf(r.Subject)
	if err != nil {
		return event.Entity{}
	}
	return e
}

// Archived reports whether the fact stands for others that an archive has put away.
func (r Record) Archived() bool {
	return strings.HasPrefix(r.Subject, event.Root+"."+string(r.Entity().Noun)+"."+event.Archived+".")
}

// At is when the fact was written, as its writer says: what people are told. Unlike Stamp it
// is not when it was taken back from an archive. Where the event has no time, it is Stamp.
func (r Record) At() time.Time {
	if at := r.Event.Time(); !at.IsZero() {
		return at
	}
	return r.Stamp
}

// Into reads the data of the event.
func (r Record) Into(m proto.Message) error { return event.Unmarshal(r.Event.Data(), m) }

// Number is the fact's position among its entity's facts, from 1.
func (r Record) Number() uint64 { return event.Sequence(r.Event) }

// Last returns the last fact of e, as the stream's leader has it; the zero Record if
// there is none. A [Handler] that was woken by a fact finds that fact, or a newer one of the
// same entity, and all that was there before it.
func (j *Journal) Last(ctx context.Context, e event.Entity) (Record, error) {
	return j.last(ctx, Facts, e.Filter())
}

func (j *Journal) last(ctx context.Context, stream, filter string) (Record, error) {
	m, err := j.lastMessage(ctx, stream, filter)
	if err != nil || m == nil {
		return Record{}, err
	}
	return rawRecord(stream, m)
}

// nudge is the fact that woke a handler. A consumer's server may hand a fact out before the
// stream's leader has applied it, so a read in the handler may find less than the handler
// was told; and what is concluded from that, and acknowledged, nobody looks at again.
type nudge struct {
	filter string
	seq    uint64
	// known: the leader has applied the fact, and so all before it.
	known atomic.Bool
}

type nudgeKey struct{}

// nudged remembers r for the reads of its handler.
func nudged(ctx context.Context, r Record) context.Context {
	if e := r.Entity(); r.Stream == Facts && e != (event.Entity{}) {
		return context.WithValue(ctx, nudgeKey{}, &nudge{filter: e.Filter(), seq: r.Seq})
	}
	return ctx
}

// await waits until the leader knows n, and returns the last message of its entity.
func (j *Journal) await(ctx context.Context, n *nudge) (*jetstream.RawStreamMsg, error) {
	deadline := time.Now().Add(appendTry)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		m, err := j.askLast(ctx, Facts, n.filter)
		if err != nil {
			return nil, err
		}
		if m != nil && m.Sequence >= n.seq {
			n.known.Store(true)
			return m, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("read %s: the leader does not know fact %d yet", n.filter, n.seq)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// sole reports whether one server keeps a stream. What it has handed out it knows itself, so
// nobody has to wait until it does.
func (j *Journal) sole(stream string) bool {
	return j.streams[stream].CachedInfo().Config.Replicas == 1
}

// lastMessage is the last message that a filter matches, as the leader has it; nil if there
// is none. In a handler the leader knows what woke it.
func (j *Journal) lastMessage(ctx context.Context, stream, filter string) (*jetstream.RawStreamMsg, error) {
	if n, ok := ctx.Value(nudgeKey{}).(*nudge); ok && stream == Facts && !n.known.Load() && !j.sole(Facts) {
		if m, err := j.await(ctx, n); err != nil || n.filter == filter {
			return m, err
		}
	}
	return j.askLast(ctx, stream, filter)
}

// askLast asks the leader for the last message that a filter matches.
func (j *Journal) askLast(ctx context.Context, stream, filter string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTry)
	defer cancel()
	m, err := j.streams[stream].GetLastMsgForSubject(ctx, filter)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filter, err)
	}
	return m, nil
}

// Intent reads the intent or decision at seq; the zero Record if it was deleted. The leader
// may not have applied yet what another server has handed out; it is given some seconds.
func (j *Journal) Intent(ctx context.Context, seq uint64) (Record, error) {
	deadline, known := time.Now().Add(appendTry), j.sole(Intents)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		m, err := j.askIntent(ctx, seq)
		switch {
		case err != nil:
			return Record{}, fmt.Errorf("read intent %d: %w", seq, err)
		case m != nil:
			return rawRecord(Intents, m)
		case known || time.Now().After(deadline):
			return Record{}, nil
		}
		info, err := j.streams[Intents].Info(ctx)
		if err != nil {
			return Record{}, fmt.Errorf("read intent %d: %w", seq, err)
		}
		if known = info.State.LastSeq >= seq; known {
			continue // it may have come between the two answers
		}
		select {
		case <-ctx.Done():
			return Record{}, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// askIntent asks the leader for the intent or decision at seq; nil if it has none.
func (j *Journal) askIntent(ctx context.Context, seq uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTry)
	defer cancel()
	m, err := j.streams[Intents].GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	return m, err
}

// DropIntent deletes the intent at seq, secrets and all. It is not an error if it is gone.
func (j *Journal) DropIntent(ctx context.Context, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, appendTry)
	defer cancel()
	err := j.streams[Intents].SecureDeleteMsg(ctx, seq)
	if err == nil {
		return nil
	}
	// The client hides why a delete failed; so look whether there is anything left.
	if left, rerr := j.Intent(ctx, seq); rerr == nil && left.None() {
		return nil
	}
	return fmt.Errorf("drop intent %d: %w", seq, err)
}

// Submit publishes an intent or decision as upstream would, and returns its sequence.
// Submitting the same event again within two minutes stores nothing.
func (j *Journal) Submit(ctx context.Context, subject string, e ce.Event) (uint64, error) {
	m := message(subject, e)
	inject(ctx, m.Header)
	ack, err := j.publish(ctx, Intents, m, jetstream.WithMsgID(e.Source()+"\n"+e.ID()+"\n"+digest(e.Data())))
	if err != nil {
		return 0, fmt.Errorf("submit: %w (hand it in again under the same id: it counts once)", err)
	}
	return ack.Sequence, nil
}

// Append adds a fact after the one its writer has read: after is what [Journal.Last]
// gave, the zero Record for none. It returns the new record, whose Stamp is zero, or
// [ErrLost] if another writer came first. Any other error leaves open whether the fact
// was added; who reads again will see.
func (j *Journal) Append(ctx context.Context, after Record, f event.Fact) (Record, error) {
	ctx, span := j.startSend(ctx, &f)
	rec, err := j.appendFact(ctx, after, f)
	endSpan(span, err, ErrLost)
	return rec, err
}

func (j *Journal) appendFact(ctx context.Context, after Record, f event.Fact) (Record, error) {
	e, err := f.Event(after.Number()+1, j.Now())
	if err != nil {
		return Record{}, fmt.Errorf("append to %s: %w", f.Entity, err)
	}
	m := message(f.Subject(), e)
	inject(ctx, m.Header)

	j.cfg.Probe("append.before " + f.Subject())
	seq, err := j.compareAndAppend(ctx, m, e.ID(), after.Seq, f.Entity)
	if err != nil {
		return Record{}, fmt.Errorf("append %s to %s: %w", f.Name, f.Entity, err)
	}
	j.cfg.Probe("append.after " + f.Subject())
	j.meters.sent(ctx, f)
	return Record{Stream: Facts, Subject: f.Subject(), Seq: seq, Event: e}, nil
}

// Put writes a fact as it stands, under its own id, after the one its writer has read. It is
// for taking back what was put away; all others append. It returns [ErrLost] as
// [Journal.Append] does.
func (j *Journal) Put(ctx context.Context, after Record, subject string, e ce.Event) (Record, error) {
	of, err := event.EntityOf(subject)
	if err != nil {
		return Record{}, err
	}
	j.cfg.Probe("append.before " + subject)
	seq, err := j.compareAndAppend(ctx, message(subject, e), e.ID(), after.Seq, of)
	if err != nil {
		return Record{}, fmt.Errorf("put %s: %w", of, err)
	}
	j.cfg.Probe("append.after " + subject)
	return Record{Stream: Facts, Subject: subject, Seq: seq, Event: e}, nil
}

// compareAndAppend publishes m, whose id nobody else has. The same m is published again
// while its answer is lost. On a repeat one server says "wrong last sequence" where three
// say "duplicate"; so the entity's last message is read, and bears our id or does not.
func (j *Journal) compareAndAppend(ctx context.Context, m *nats.Msg, id string, after uint64, e event.Entity) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, appendBudget)
	defer cancel()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		try, cancelTry := context.WithTimeout(ctx, appendTry)
		ack, err := j.publish(try, Facts, m, jetstream.WithMsgID(id),
			jetstream.WithExpectLastSequenceForSubject(after, e.Filter()))
		cancelTry()
		if err == nil {
			j.learn(ack.Sequence)
			return ack.Sequence, nil
		}
		if isConflict(err) {
			last, rerr := j.Last(ctx, e)
			switch {
			case rerr == nil && last.Event.ID() == id:
				return last.Seq, nil
			case rerr == nil && last.Seq != after:
				return 0, ErrLost
			}
			// The server saw a conflict and the leader does not: someone's append is
			// still on its way. Ask again.
			err = errors.Join(err, rerr)
		}
		if errors.Is(err, nats.ErrConnectionClosed) {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, errors.Join(ctx.Err(), err)
		case <-time.After(wait):
		}
	}
}

func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
			api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

func message(subject string, e ce.Event) *nats.Msg {
	h, body := event.Encode(e)
	return &nats.Msg{Subject: subject, Header: nats.Header(h), Data: body}
}

func rawRecord(stream string, m *jetstream.RawStreamMsg) (Record, error) {
	e, err := event.Decode(event.Headers(m.Header), m.Data)
	if err != nil {
		return Record{}, fmt.Errorf("%s %d: %w", stream, m.Sequence, err)
	}
	return Record{Stream: stream, Subject: m.Subject, Seq: m.Sequence, Stamp: m.Time, Event: e}, nil
}
