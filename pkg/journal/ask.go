package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
)

// ErrNobody reports that nobody answered, or not in time.
var ErrNobody = errors.New("nobody answers")

// errorHeader carries the error of an answer.
const errorHeader = "Patchbay-Error"

// answering is how many requests of a verb an instance answers at one time. An answer may
// have to wait for an exchange.
const answering = 16

// quiet is how long nothing comes when everybody has answered.
const quiet = 500 * time.Millisecond

// Serve answers requests of a verb until ctx ends: of all who serve the verb, one gets
// each request. The answer's error reaches the asker as text.
func (j *Journal) Serve(ctx context.Context, verb string, answer Answer) error {
	return j.serve(ctx, verb, "patchbay", answer)
}

// ServeEach answers requests of a verb until ctx ends, as everybody does who serves it.
func (j *Journal) ServeEach(ctx context.Context, verb string, answer Answer) error {
	return j.serve(ctx, verb, "", answer)
}

// Answer is how a request is answered.
type Answer func(ctx context.Context, request []byte) ([]byte, error)

func (j *Journal) serve(ctx context.Context, verb, queue string, answer Answer) error {
	requests := make(chan *nats.Msg, 64)
	sub, err := j.nc.ChanQueueSubscribe(event.AskSubject(verb), queue, requests)
	if err != nil {
		return fmt.Errorf("serve %s: %w", verb, err)
	}
	var work errgroup.Group
	work.SetLimit(answering)
	defer func() {
		_ = sub.Unsubscribe() // the connection may be gone already
		_ = work.Wait()       // all return nil
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-j.ctx.Done():
			return nil
		case m := <-requests:
			work.Go(func() error {
				j.respond(ctx, verb, m, answer)
				return nil
			})
		}
	}
}

// Served reports whether anybody serves a verb.
func (j *Journal) Served(ctx context.Context, verb string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTry)
	defer cancel()
	_, err := j.nc.RequestWithContext(ctx, event.AskSubject(verb), nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return false, nil
	}
	return err == nil, err
}

func (j *Journal) respond(ctx context.Context, verb string, m *nats.Msg, answer Answer) {
	reply := nats.NewMsg(m.Reply)
	body, err := answer(ctx, m.Data)
	if err != nil {
		reply.Header.Set(errorHeader, oneLine(err.Error()))
	}
	reply.Data = body
	err = m.RespondMsg(reply)
	if errors.Is(err, nats.ErrMaxPayload) {
		reply.Data = nil
		reply.Header.Set(errorHeader, fmt.Sprintf("the answer is longer than the %d bytes that a message may have; ask for less", j.nc.MaxPayload()))
		err = m.RespondMsg(reply)
	}
	if err != nil {
		j.cfg.Log.Warn().Err(err).Str("verb", verb).Msg("answer not sent")
	}
}

// Ask sends a request of a verb to whoever serves it. It waits until ctx ends for an answer. It
// returns [ErrNobody] if none comes.
func (j *Journal) Ask(ctx context.Context, verb string, request []byte) ([]byte, error) {
	m, err := j.nc.RequestWithContext(ctx, event.AskSubject(verb), request)
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", ErrNobody, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", verb, err)
	}
	if e := m.Header.Get(errorHeader); e != "" {
		return nil, fmt.Errorf("ask %s: %s", verb, e)
	}
	return m.Data, nil
}

// AskEach sends a request of a verb to everybody who serves it, and hands each answer to
// yield. It stops when nothing has come for a while, or when ctx ends.
func (j *Journal) AskEach(ctx context.Context, verb string, yield func(answer []byte) error) error {
	answers := make(chan *nats.Msg, 256)
	inbox := j.nc.NewInbox()
	sub, err := j.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return fmt.Errorf("ask %s: %w", verb, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be gone already
	if err := j.nc.PublishRequest(event.AskSubject(verb), inbox, nil); err != nil {
		return fmt.Errorf("ask %s: %w", verb, err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(quiet):
			return nil
		case m := <-answers:
			switch e := m.Header.Get(errorHeader); {
			case e != "":
				return fmt.Errorf("ask %s: %s", verb, e)
			case len(m.Data) == 0:
				return nil // the server says that nobody serves the verb
			}
			if err := yield(m.Data); err != nil {
				return err
			}
		}
	}
}
