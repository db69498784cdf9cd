// Package journal keeps every fact, and is the only place that knows NATS.
//
// The stream JOURNAL is the only truth. The last message of an entity is its state; a
// fact is added by [Journal.Append], which names the last fact its writer has read, so
// of two writers one wins and the other gets [ErrLost], reads again and decides again.
// No lock and no leader is needed for that, on one server or on three.
//
// A message is only a nudge: [Journal.Consume] hands each to a handler that reads the
// entity's last fact, works out the one next thing, does it, and returns. What the
// handler returns decides what becomes of the message. Waiting is never done by holding
// a message but by a state of the entity plus a timer; see [Journal.Arm].
//
// Beside it stand INTENTS, which upstream writes and only the requester reads; TIMERS,
// messages that NATS delivers later; DEADLETTERS, what no retry can cure; and DEPLOYMENT, one
// message that tells by which key the facts name secrets.
//
// The package promises that an append it reports as done is on disk on a majority of
// replicas if the server syncs always, and that it never reports somebody else's append
// as its own. It does not promise order between entities.
package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"patchbay.io/pkg/event"
)

// Streams.
const (
	Facts       = "JOURNAL"
	Intents     = "INTENTS"
	Timers      = "TIMERS"
	DeadLetters = "DEADLETTERS"
)

// pingEvery is how often a silent server is asked whether it is there. One that is frozen is
// left for another after the third time, so within half a minute; the library's own times make
// that six.
const pingEvery = 10 * time.Second

// standardBytes is the size of a journal for which nobody named one.
const standardBytes = 1 << 30

// ErrLost reports that another writer's fact came first. Read again and decide again.
var ErrLost = errors.New("another fact came first")

// ErrNoJournal reports to a [Config.Client] that there is no journal to look at.
var ErrNoJournal = errors.New("is patchbay running?")

// InProcess is a NATS server in this very process.
type InProcess interface {
	InProcessConn() (net.Conn, error)
}

// Config says which NATS to use and how. The zero value of each optional field is a
// sensible default.
type Config struct {
	// URL of the servers, comma-separated; or InProcess.
	URL       string
	InProcess InProcess
	// Name of the connection, as the servers show it.
	Name string
	// Client only looks: the streams are not made, and [Open] fails with [ErrNoJournal]
	// where they, or the servers, are not there.
	Client bool
	// Make makes a client make the streams, as everybody else does.
	Make bool
	// Replicas of each stream. The default is 3 where NATS is a cluster of three servers or
	// more and else 1, and never fewer than a stream has.
	Replicas int
	// MaxBytes of the journal; the other streams get a quarter. The default is what a stream has
	// already, and 1 GiB where it is made.
	MaxBytes int64
	// Key is the fingerprint of the deployment key. The first that comes is kept, and [Open]
	// fails with [ErrOtherKey] where another came before. Empty does not compare.
	Key string
	// Turns of the readings at a start, shared by the journals of one process; nil lets all read
	// at once.
	Turns *Turns
	// Log gets a line per message handled.
	Log zerolog.Logger
	// TracerProvider makes the spans; default OpenTelemetry's global one. Services that share
	// a process give their own, so that each goes by its own name.
	TracerProvider trace.TracerProvider
	// Probe, if set, is called before and after each effect; tests crash there.
	Probe func(point string)
}

func (c Config) withDefaults() Config {
	if c.Probe == nil {
		c.Probe = func(string) {}
	}
	return c
}

// Journal is a connection to the streams. It is safe for use by many goroutines.
type Journal struct {
	cfg     Config
	nc      *nats.Conn
	js      jetstream.JetStream
	streams map[string]jetstream.Stream
	meters  meters
	ahead   atomic.Int64 // server clock minus ours, in nanoseconds
	room    room
	// refusals are the streams that keep nothing of what we write.
	refusals refusals
	ctx      context.Context
	kill     context.CancelFunc
	stopped  chan struct{} // the clock goroutine has ended
	// reconnected happens when the connection was lost and is back.
	reconnected *signal
	// known is the newest sequence of a fact that anybody here has seen.
	known atomic.Uint64
}

// Open connects, makes the streams if they are not there, and learns the server's clock.
// It waits for the servers until ctx ends; a client does not wait for them.
func Open(ctx context.Context, cfg Config) (*Journal, error) {
	cfg = cfg.withDefaults()
	reconnected := new(signal)
	opts := []nats.Option{
		nats.ReconnectHandler(func(*nats.Conn) { reconnected.happen() }),
		nats.Name(cfg.Name), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(!cfg.Client),
		nats.ReconnectWait(250 * time.Millisecond), nats.Timeout(5 * time.Second),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			cfg.Log.Warn().Err(err).Msg("nats")
		}),
	}
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	}
	nc, err := nats.Connect(cfg.URL, opts...)
	if err != nil && cfg.Client {
		return nil, fmt.Errorf("no NATS at %s (%w): %w", redacted(cfg.URL), err, ErrNoJournal)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	j := &Journal{cfg: cfg, nc: nc, streams: map[string]jetstream.Stream{}, stopped: make(chan struct{}), reconnected: reconnected}
	if j.meters, err = newMeters(); err != nil {
		nc.Close()
		return nil, err
	}
	if err := j.prepare(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	j.ctx, j.kill = context.WithCancel(context.Background())
	go j.keepTime()
	return j, nil
}

// prepare makes the streams, again and again until the servers are there.
func (j *Journal) prepare(ctx context.Context) error {
	var err error
	if j.js, err = jetstream.New(j.nc, jetstream.WithDefaultTimeout(5*time.Second)); err != nil {
		return err
	}
	ready := j.ensureStreams
	if j.cfg.Client && !j.cfg.Make {
		ready = j.findStreams
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		if err = ready(ctx); err == nil {
			err = j.readClock(ctx)
		}
		if err == nil && j.cfg.Key != "" {
			err = j.compareKey(ctx)
		}
		if err == nil || errors.Is(err, ErrNoJournal) || errors.Is(err, ErrOtherKey) {
			return err
		}
		j.cfg.Log.Debug().Err(err).Msg("waiting for JetStream")
		select {
		case <-ctx.Done():
			return fmt.Errorf("prepare streams: %w", errors.Join(ctx.Err(), err))
		case <-time.After(wait):
		}
	}
}

func (j *Journal) ensureStreams(ctx context.Context) error {
	replicas := j.replicas(ctx)
	all := j.streamConfigs()
	if j.cfg.Key != "" {
		all = append(all, keyStream())
	}
	for _, s := range all {
		if err := j.ensureStream(ctx, s, replicas); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	return nil
}

func (j *Journal) ensureStream(ctx context.Context, s jetstream.StreamConfig, replicas int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s.Replicas = replicas
	h, err := j.js.Stream(ctx, s.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		// If somebody else makes it otherwise at this moment, it is found the next time.
		h, err = j.js.CreateStream(ctx, s)
	case err == nil:
		was := h.CachedInfo().Config
		if j.cfg.Replicas == 0 {
			// A server may be away just now; that is no reason to drop what it keeps.
			s.Replicas = max(replicas, was.Replicas)
		}
		if j.cfg.MaxBytes == 0 {
			s.MaxBytes = was.MaxBytes
		}
		// An update that changes nothing would still disturb whoever uses the stream.
		if !same(was, s) {
			h, err = j.js.UpdateStream(ctx, s)
		}
		if err == nil && was.MaxBytes != s.MaxBytes {
			j.cfg.Log.Warn().Str("stream", s.Name).Int64("was", was.MaxBytes).Int64("now", s.MaxBytes).
				Msg("the limit of a stream was changed, since --journal-bytes says so")
		}
	}
	if err == nil {
		j.streams[s.Name] = h
	}
	return err
}

// same reports whether a stream is as we want it.
func same(was, want jetstream.StreamConfig) bool {
	return slices.Equal(was.Subjects, want.Subjects) && was.Replicas == want.Replicas &&
		was.MaxBytes == want.MaxBytes && was.Discard == want.Discard && was.Retention == want.Retention &&
		was.Storage == want.Storage && was.Duplicates == want.Duplicates &&
		was.MaxMsgsPerSubject == want.MaxMsgsPerSubject && was.AllowMsgSchedules == want.AllowMsgSchedules && was.AllowMsgTTL == want.AllowMsgTTL
}

func (j *Journal) streamConfigs() []jetstream.StreamConfig {
	maxBytes := cmp.Or(j.cfg.MaxBytes, standardBytes)
	var facts []string
	for _, n := range event.Nouns() {
		facts = append(facts, fmt.Sprintf("%s.%s.>", event.Root, n))
	}
	base := jetstream.StreamConfig{
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		MaxBytes: maxBytes / 4, MaxMsgsPerSubject: -1, Duplicates: 2 * time.Minute,
	}
	journal, intents, timers, dead := base, base, base, base
	journal.Name, journal.Subjects = Facts, facts
	journal.MaxBytes = maxBytes
	intents.Name, intents.Subjects = Intents, []string{event.IntentSubjects, event.DecisionSubjects}
	dead.Name, dead.Subjects = DeadLetters, []string{event.Root + ".deadletter.>"}
	// Schedules forbid DiscardNew; a full stream would then drop timers, so no limit but one
	// timer and one due message of a purpose and entity: the newest says all there is to say.
	timers.Name, timers.Subjects = Timers, []string{timerRoot + ">", dueRoot + ">"}
	timers.Discard, timers.MaxBytes, timers.MaxMsgsPerSubject = jetstream.DiscardOld, -1, 1
	timers.AllowMsgSchedules, timers.AllowMsgTTL = true, true
	return []jetstream.StreamConfig{journal, intents, timers, dead}
}

// InTurn runs a reading of much of the journal when its turn has come, where there are [Turns].
func (j *Journal) InTurn(ctx context.Context, read func() error) error {
	return j.cfg.Turns.Take(ctx, read)
}

// Close ends the connection at once. Handlers at work get their context cancelled; stop
// [Journal.Consume] by its context first for a graceful end.
func (j *Journal) Close() {
	j.kill()
	j.nc.Close()
	<-j.stopped
}

// Healthy reports why the journal cannot be reached, or does not keep what is written; nil
// if all is well.
func (j *Journal) Healthy() error {
	if s := j.nc.Status(); s != nats.CONNECTED {
		return fmt.Errorf("NATS is %s", s)
	}
	return j.refusals.check()
}

// Now is the time by the NATS server's clock, as well as we know it.
func (j *Journal) Now() time.Time { return time.Now().Add(j.Ahead()) }

// Ahead is how far the NATS server's clock is ahead of ours.
func (j *Journal) Ahead() time.Duration { return time.Duration(j.ahead.Load()) }

// keepTime learns the server's clock, and how full the streams are, once a minute.
func (j *Journal) keepTime() {
	defer close(j.stopped)
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-j.ctx.Done():
			return
		case <-tick.C:
			if err := j.readClock(j.ctx); err != nil && j.ctx.Err() == nil {
				j.cfg.Log.Debug().Err(err).Msg("read the server's clock")
			}
			if _, err := j.Uses(j.ctx); err != nil && j.ctx.Err() == nil {
				j.cfg.Log.Debug().Err(err).Msg("measure the streams")
			}
		}
	}
}

func (j *Journal) readClock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	asked := time.Now()
	info, err := j.streams[Facts].Info(ctx)
	if err != nil {
		return fmt.Errorf("stream info: %w", err)
	}
	middle := asked.Add(time.Since(asked) / 2)
	j.ahead.Store(int64(info.TimeStamp.Sub(middle)))
	j.room.note(useOf(info))
	return nil
}

// LastSeq is the sequence of the newest fact of all.
func (j *Journal) LastSeq(ctx context.Context) (uint64, error) {
	info, err := j.streams[Facts].Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("stream info: %w", err)
	}
	return info.State.LastSeq, nil
}

// Identity tells this journal from any other that ever was: it changes when the stream
// is made anew.
func (j *Journal) Identity(ctx context.Context) (string, error) {
	info, err := j.streams[Facts].Info(ctx)
	if err != nil {
		return "", fmt.Errorf("stream info: %w", err)
	}
	return info.Created.UTC().Format(time.RFC3339Nano), nil
}
