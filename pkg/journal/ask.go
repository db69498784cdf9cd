package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
)

// errorHeader carries the error of an answer.
const errorHeader = "Patchbay-Error"

// answering is how many requests of a verb an instance answers at one time. An answer may
// have to wait for an exchange.
const answering = 16

// Serve answers requests of a verb until ctx ends: of all who serve the verb, one gets
// each request. The answer's error reaches the asker as text.
func (j *Journal) Serve(ctx context.Context, verb string, answer func(ctx context.Context, request []byte) ([]byte, error)) error {
	requests := make(chan *nats.Msg, 64)
	sub, err := j.nc.ChanQueueSubscribe(event.AskSubject(verb), "patchbay", requests)
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

func (j *Journal) respond(ctx context.Context, verb string, m *nats.Msg, answer func(context.Context, []byte) ([]byte, error)) {
	reply := nats.NewMsg(m.Reply)
	body, err := answer(ctx, m.Data)
	if err != nil {
		reply.Header.Set(errorHeader, oneLine(err.Error()))
	}
	reply.Data = body
	if err := m.RespondMsg(reply); err != nil {
		j.cfg.Log.Warn().Err(err).Str("verb", verb).Msg("answer not sent")
	}
}

// Ask sends a request of a verb to whoever serves it. It waits until ctx ends for an answer.
func (j *Journal) Ask(ctx context.Context, verb string, request []byte) ([]byte, error) {
	m, err := j.nc.RequestWithContext(ctx, event.AskSubject(verb), request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", verb, err)
	}
	if e := m.Header.Get(errorHeader); e != "" {
		return nil, fmt.Errorf("ask %s: %s", verb, e)
	}
	return m.Data, nil
}
