package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
)

// Times of the loop. A message whose handler is alive is never given to another: the
// lease is renewed while the handler works. What a killed instance had in hand is given to
// another when its lease runs out, so after 7 to 10 seconds: long enough for a pause of the
// process or of the network to do no harm, short enough that nobody notices. One that is
// stopped gives back at once what it has not begun.
const (
	lease   = 10 * time.Second
	renewal = 3 * time.Second
	grace   = 3 * time.Second // after a stop handlers at work may begin things for so long
)

// heartbeat is how often a server says that it has nothing to give. Who hears nothing for two
// of them asks again: a request is lost without a word with a server that closes its streams
// and stays connected, as one does whose disk is full.
const heartbeat = 3 * time.Second

// onItsWay is how long an instance that stops waits for messages that were sent to it already,
// to give them back.
const onItsWay = 100 * time.Millisecond

// A Handler does the one next thing for the entity that a message is about. It must be
// safe to repeat. The error says what becomes of the message:
//
//   - nil: done
//   - [Permanent]: set aside in DEADLETTERS; no retry would help
//   - [Later]: delivered again after the time given
//   - [ErrLost] or any other error: delivered again after a growing delay
type Handler func(ctx context.Context, r Record) error

// Permanent marks err as one that no retry will cure.
func Permanent(err error) error { return permanent{err} }

// Later asks for the message again after d.
func Later(d time.Duration, err error) error { return later{err, d} }

type (
	permanent struct{ error }
	later     struct {
		error
		after time.Duration
	}
)

func (p permanent) Unwrap() error { return p.error }
func (l later) Unwrap() error     { return l.error }

// Consumer says who consumes what.
type Consumer struct {
	// Durable is its name, a constant: a renamed consumer starts over from the first message.
	Durable string
	// Stream is Facts, Intents or Timers.
	Stream string
	// Filters are the subjects it wants.
	Filters []string
	// Limit is how many handlers work at one time; default 32.
	Limit int
}

// Consume hands messages to h until ctx ends. It then gives back what no handler has begun,
// ends the context of the handlers at work three seconds later, waits for them and returns
// nil. While NATS is away it waits and
// goes on afterwards.
//
// All instances that consume under one name share its messages. None takes more of them than
// it has handlers free, so what waits waits at the server, for whoever is free first.
func (j *Journal) Consume(ctx context.Context, c Consumer, h Handler) error {
	if c.Limit == 0 {
		c.Limit = 32
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		start := time.Now()
		err := j.consume(ctx, c, h)
		if ctx.Err() != nil || j.ctx.Err() != nil {
			return nil
		}
		j.cfg.Log.Warn().Err(err).Str("consumer", c.Durable).Msg("consumer stopped; starting again")
		if time.Since(start) > time.Minute {
			wait = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return nil
		case <-j.ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (j *Journal) consume(ctx context.Context, c Consumer, h Handler) error {
	create, cancel := context.WithTimeout(ctx, appendTry)
	defer cancel()
	cons, err := j.streams[c.Stream].CreateOrUpdateConsumer(create, jetstream.ConsumerConfig{
		Durable: c.Durable, FilterSubjects: c.Filters, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: lease, MaxDeliver: -1, MaxAckPending: c.maxPending(),
	})
	if err != nil {
		return fmt.Errorf("consumer %s: %w", c.Durable, err)
	}
	handling, done := j.handlerContext(ctx)
	defer done()
	free := make(chan struct{}, c.Limit) // one for each handler without work
	for range c.Limit {
		free <- struct{}{}
	}
	var work errgroup.Group
	defer func() { _ = work.Wait() }() // the handlers' errors are settled one by one
	for {
		n, ok := claim(ctx, free)
		if !ok {
			return nil
		}
		err := j.fetch(ctx, cons, n, func(msg jetstream.Msg) {
			work.Go(func() error {
				defer func() { free <- struct{}{} }()
				j.deliver(handling, c, msg, h)
				return nil
			})
		}, func() { free <- struct{}{} })
		if err != nil {
			return err
		}
	}
}

// claim takes all handlers that are free, and waits for the first. It reports whether there
// is one before ctx ends.
func claim(ctx context.Context, free <-chan struct{}) (n int, ok bool) {
	select {
	case <-ctx.Done():
		return 0, false
	case <-free:
	}
	for n = 1; ; n++ {
		select {
		case <-free:
		default:
			return n, true
		}
	}
}

// fetch waits for up to n messages and begins each as it comes; of the n, it calls unused
// for those that did not come. What comes when ctx has ended goes back.
func (j *Journal) fetch(ctx context.Context, cons jetstream.Consumer, n int, begin func(jetstream.Msg), unused func()) error {
	asking, stop := j.whileAsked(ctx)
	defer stop()
	batch, err := cons.Fetch(n, jetstream.FetchContext(asking), jetstream.FetchHeartbeat(heartbeat))
	if err == nil {
		for msg := range batch.Messages() {
			if ctx.Err() != nil {
				_ = msg.Nak() // if that is lost, the lease runs out
				continue
			}
			n--
			begin(msg)
		}
		err = batch.Error()
	}
	for range n {
		unused()
	}
	if asking.Err() != nil || errors.Is(err, jetstream.ErrNoHeartbeat) {
		return nil
	}
	return err
}

// whileAsked is the time of one request for messages: it ends with the connection, since the
// server has forgotten the request then, and a moment after ctx.
func (j *Journal) whileAsked(ctx context.Context) (context.Context, context.CancelFunc) {
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	reconnected := j.reconnected.next()
	go func() {
		defer cancel()
		select {
		case <-asking.Done():
		case <-j.ctx.Done():
		case <-reconnected:
		case <-ctx.Done():
			select {
			case <-asking.Done():
			case <-j.ctx.Done():
			case <-time.After(onItsWay):
			}
		}
	}()
	return asking, cancel
}

// maxPending is how many messages may be on their way to handlers or wait to come again.
// Intents that wait for room or for their source's budget must not keep others from being
// seen; how many there are their stream bounds.
func (c Consumer) maxPending() int {
	if c.Stream == Intents {
		return -1
	}
	return 10_000
}

// handlerContext outlives ctx by the grace, and ends at once with the connection.
func (j *Journal) handlerContext(ctx context.Context) (context.Context, context.CancelFunc) {
	handling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stopDead := context.AfterFunc(j.ctx, cancel)
	stopGrace := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(grace):
			cancel()
		case <-handling.Done():
		}
	})
	return handling, func() {
		cancel()
		stopDead()
		stopGrace()
	}
}

// deliver runs h on one message and settles it. It writes one log line.
func (j *Journal) deliver(ctx context.Context, c Consumer, msg jetstream.Msg, h Handler) {
	start := time.Now()
	ctx, span := j.startProcess(ctx, c, msg)
	err := j.handle(ctx, c, msg, h)
	outcome, serr := j.settle(ctx, c, msg, err)
	endSpan(span, err, ErrLost)
	j.meters.processed(ctx, c, outcome, time.Since(start))

	line := j.cfg.Log.Debug()
	if outcome == "dead" || serr != nil {
		line = j.cfg.Log.Warn()
	}
	line.Err(err).AnErr("settle", serr).Str("consumer", c.Durable).Str("topic", msg.Subject()).
		Str("outcome", outcome).Stringer("trace", span.SpanContext().TraceID()).
		Dur("took", time.Since(start)).Msg("message")
}

func (j *Journal) handle(ctx context.Context, c Consumer, msg jetstream.Msg, h Handler) error {
	r, err := recordOf(c.Stream, msg)
	if err != nil {
		return Permanent(err)
	}
	if c.Stream == Facts {
		j.learn(r.Seq)
	}
	ctx, cancel := context.WithCancel(ctx)
	var renewing errgroup.Group
	renewing.Go(func() error {
		tick := time.NewTicker(renewal)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				_ = msg.InProgress() // if it is lost, the message comes again; that is allowed
			}
		}
	})
	defer func() {
		cancel()
		_ = renewing.Wait() // it returns nil
	}()
	return h(nudged(ctx, r), r)
}

func recordOf(stream string, msg jetstream.Msg) (Record, error) {
	md, err := msg.Metadata()
	if err != nil {
		return Record{}, fmt.Errorf("metadata of %s: %w", msg.Subject(), err)
	}
	return delivery{msg, md}.record(stream)
}

func (m delivery) record(stream string) (r Record, err error) {
	r = Record{
		Stream: stream, Subject: m.msg.Subject(), Seq: m.md.Sequence.Stream, Stamp: m.md.Timestamp,
		Delivered: m.md.NumDelivered, Pending: m.md.NumPending,
	}
	if stream != Timers {
		r.Event, err = event.Decode(event.Headers(m.msg.Headers()), m.msg.Data())
	}
	return r, err
}

// settle tells the server what became of msg, and us in one word.
func (j *Journal) settle(ctx context.Context, c Consumer, msg jetstream.Msg, err error) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTry)
	defer cancel()
	j.cfg.Probe("ack.before " + msg.Subject())
	if err == nil {
		return "done", msg.Ack()
	}
	md, merr := msg.Metadata()
	if merr != nil {
		return "lost", merr // the lease will run out and bring it back
	}
	var p permanent
	var l later
	switch {
	case errors.As(err, &p):
		if berr := j.bury(ctx, c, msg, err); berr != nil {
			return "retry", errors.Join(berr, msg.NakWithDelay(time.Minute)) // never drop what we could not set aside
		}
		terr := msg.TermWithReason(err.Error())
		if c.Stream == Intents {
			// Its copy is the one to send again; two of them would keep its secrets twice.
			terr = errors.Join(terr, j.DropIntent(ctx, md.Sequence.Stream))
		}
		return "dead", terr
	case errors.As(err, &l):
		return "later", msg.NakWithDelay(l.after)
	case errors.Is(err, ErrLost):
		return "lost", msg.NakWithDelay(50 * time.Millisecond)
	case errors.Is(err, nats.ErrConnectionClosed), ctx.Err() != nil:
		return "cut", nil
	default:
		return "retry", msg.NakWithDelay(backoff(md.NumDelivered))
	}
}

// backoff doubles from a quarter second to a minute.
func backoff(delivered uint64) time.Duration {
	return min(250*time.Millisecond<<min(max(delivered, 1)-1, 8), time.Minute)
}
