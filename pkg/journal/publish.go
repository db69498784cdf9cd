package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// storeFailed is the server's code for a message that it was not able to keep, and fullText
// what it says beside it when the stream has reached its limit. The client knows neither.
const (
	storeFailed = 10077
	fullText    = "maximum bytes exceeded"
)

// publish hands m to a stream. What it returns as kept is kept. An error says in plain words
// what the servers' silence or refusal means, and [Journal.Healthy] says so too.
func (j *Journal) publish(ctx context.Context, stream string, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := j.js.PublishMsg(ctx, m, opts...)
	var api *jetstream.APIError
	switch {
	case err == nil || isConflict(err):
		if j.refusals.over(stream) {
			j.cfg.Log.Info().Str("stream", stream).Msg("NATS keeps what is written again")
		}
	case errors.As(err, &api) && api.ErrorCode == storeFailed && strings.Contains(api.Description, fullText):
		err = j.refused(stream, fmt.Errorf("stream %s is full, and takes nothing more: %s: %w", stream, j.fullRule(stream), err))
	case j.nc.Status() == nats.CONNECTED &&
		(errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoStreamResponse)):
		// A server that cannot write says nothing at all, so that nobody takes it for an answer.
		err = j.refused(stream, fmt.Errorf("NATS does not say that stream %s keeps what is written: if this lasts, the disk "+
			"of a server may be full or broken, see its log; make room and start it again: %w", stream, err))
	}
	return ack, err
}

// fullRule says how much a stream may hold, and what makes room in it.
func (j *Journal) fullRule(stream string) string {
	limit, part := cmp.Or(j.cfg.MaxBytes, standardBytes), "--journal-bytes"
	if s := j.streams[stream]; s != nil {
		limit = s.CachedInfo().Config.MaxBytes
	}
	room := `make room with "patchbay archive"`
	switch stream {
	case Intents:
		part, room = "a quarter of --journal-bytes", "an intent leaves it when its order has ended"
	case DeadLetters:
		part, room = "a quarter of --journal-bytes", `"patchbay deadletters retry" makes room`
	}
	return fmt.Sprintf("it may hold %d bytes (%s); %s, or raise --journal-bytes", limit, part, room)
}

// refused notes that a stream does not keep what is written, and returns why.
func (j *Journal) refused(stream string, why error) error {
	if j.refusals.note(stream, why) {
		j.cfg.Log.Error().Err(why).Str("stream", stream).Msg("NATS does not keep what is written")
	}
	return why
}

// stale is the age at which a refusal says nothing any more: whoever has something to write
// tries again before.
const stale = appendBudget + 2*time.Minute

// refusals are the streams that do not keep what is written.
type refusals struct {
	mu  sync.Mutex
	all map[string]refusal
}

type refusal struct {
	why         error
	since, last time.Time
}

// note remembers a refusal and reports whether it is the first.
func (r *refusals) note(stream string, why error) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string]refusal{}
	}
	of := r.all[stream]
	now := time.Now()
	if now.Sub(of.last) > stale {
		of.since, first = now, true
	}
	of.why, of.last = why, now
	r.all[stream] = of
	return first
}

// over forgets the refusals of a stream that keeps what is written, and reports whether
// there were any.
func (r *refusals) over(stream string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, was := r.all[stream]
	delete(r.all, stream)
	return was
}

// check returns the refusals that stand.
func (r *refusals) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for stream, of := range r.all {
		if time.Since(of.last) > stale {
			delete(r.all, stream)
			continue
		}
		all = append(all, fmt.Sprintf("since %s: %v", of.since.UTC().Format(time.RFC3339), of.why))
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return errors.New(strings.Join(all, "; "))
}
