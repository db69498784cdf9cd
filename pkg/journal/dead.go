package journal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay.io/pkg/event"
)

// Headers of a dead letter, beside those the message had.
const (
	headerCause    = "Patchbay-Cause"
	headerStream   = "Patchbay-Stream"
	headerSubject  = "Patchbay-Subject"
	headerSequence = "Patchbay-Sequence"
	headerConsumer = "Patchbay-Consumer"
)

// A DeadLetter is a message that no retry could cure, kept byte for byte.
type DeadLetter struct {
	// Seq names it in DEADLETTERS.
	Seq   uint64    `json:"seq"`
	At    time.Time `json:"at"`
	Cause string    `json:"cause"`
	// Where it came from, and who could not handle it.
	Stream   string `json:"stream"`
	Subject  string `json:"subject"`
	Origin   uint64 `json:"originSeq"`
	Consumer string `json:"consumer"`
	// EventID is its CloudEvents id, if it had one.
	EventID string `json:"eventId,omitempty"`
	// Bytes is the size of its body. The body itself may hold secrets and is not shown.
	Bytes int `json:"bytes"`
}

// bury keeps msg, byte for byte, with the reason it could not be handled.
func (j *Journal) bury(ctx context.Context, c Consumer, msg jetstream.Msg, why error) error {
	md, err := msg.Metadata()
	if err != nil {
		return err
	}
	h := nats.Header{}
	for k, v := range msg.Headers() {
		if !strings.HasPrefix(strings.ToLower(k), "nats-") {
			h[k] = v
		}
	}
	h.Set(headerCause, oneLine(why.Error()))
	h.Set(headerStream, c.Stream)
	h.Set(headerSubject, msg.Subject())
	h.Set(headerSequence, strconv.FormatUint(md.Sequence.Stream, 10))
	h.Set(headerConsumer, c.Durable)
	dead := &nats.Msg{
		Subject: fmt.Sprintf("%s.deadletter.%s.%s", event.Root, strings.ToLower(c.Stream), c.Durable),
		Header:  h, Data: msg.Data(),
	}
	// The same message buried twice by two deliveries is one dead letter.
	id := fmt.Sprintf("dead %s %d %s", c.Stream, md.Sequence.Stream, c.Durable)
	_, err = j.publish(ctx, DeadLetters, dead, jetstream.WithMsgID(id))
	return err
}

// Dead lists the dead letters, oldest first.
func (j *Journal) Dead(ctx context.Context) ([]DeadLetter, error) {
	info, err := j.streams[DeadLetters].Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	var all []DeadLetter
	for seq := info.State.FirstSeq; seq > 0 && seq <= info.State.LastSeq; seq++ {
		m, err := j.streams[DeadLetters].GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("dead letter %d: %w", seq, err)
		}
		origin, _ := strconv.ParseUint(m.Header.Get(headerSequence), 10, 64)
		all = append(all, DeadLetter{
			Seq: m.Sequence, At: m.Time, Cause: m.Header.Get(headerCause), Stream: m.Header.Get(headerStream),
			Subject: m.Header.Get(headerSubject), Origin: origin, Consumer: m.Header.Get(headerConsumer),
			EventID: m.Header.Get("ce-id"), Bytes: len(m.Data),
		})
	}
	return all, nil
}

// Redrive sends the dead letter at seq again where it came from, and removes it. A fact
// is never written twice: its durable is nudged instead, by a timer that is due at once.
func (j *Journal) Redrive(ctx context.Context, seq uint64) error {
	m, err := j.streams[DeadLetters].GetMsg(ctx, seq)
	if err != nil {
		return fmt.Errorf("dead letter %d: %w", seq, err)
	}
	again := &nats.Msg{Subject: m.Header.Get(headerSubject), Header: nats.Header{}, Data: m.Data}
	for k, v := range m.Header {
		if !strings.HasPrefix(k, "Patchbay-") && !strings.HasPrefix(k, "Nats-") {
			again.Header[k] = v
		}
	}
	if m.Header.Get(headerStream) == Intents {
		_, err = j.publish(ctx, Intents, again)
	} else {
		err = j.nudge(ctx, m.Header.Get(headerStream), again.Subject)
	}
	if err != nil {
		return fmt.Errorf("dead letter %d: %w", seq, err)
	}
	if err := j.streams[DeadLetters].DeleteMsg(ctx, seq); err != nil {
		return fmt.Errorf("dead letter %d: %w", seq, err)
	}
	return nil
}

// nudge makes a due message for the entity of a subject.
func (j *Journal) nudge(ctx context.Context, stream, subject string) error {
	e := Record{Stream: stream, Subject: subject}.Entity()
	if e == (event.Entity{}) {
		return fmt.Errorf("%w: subject %q", event.ErrMalformed, subject)
	}
	return j.Arm(ctx, e, "redrive", j.Now())
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
