package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// transitions are what subscribers want.
const transitions = "patchbay.connection.>"

// subscriber is somebody else's program that reacts to transitions. It knows NATS and
// the events' ids, and nothing of ours.
type subscriber struct {
	Name     string `json:"name"`
	Received int    `json:"received"` // messages, repeats too
	Repeated int    `json:"repeated"`
	Missing  int    `json:"missing"` // transitions of the journal that never came
	Foreign  int    `json:"foreign"` // what came and is not in the journal
	Breaks   int    `json:"breaks"`  // how often it went away

	// Error is why it last began anew; empty if it went away by itself.
	Error string `json:"error,omitempty"`

	mu   sync.Mutex
	seen map[string]int // by the event's id
}

func (s *subscriber) take(m jetstream.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := m.Headers().Get("ce-id")
	s.Received++
	s.seen[id]++
	if s.seen[id] > 1 {
		s.Repeated++
	}
}

// compare counts what is missing and what is foreign, given the ids of all transitions.
func (s *subscriber) compare(all map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Missing, s.Foreign = 0, 0
	for id := range all {
		if s.seen[id] == 0 {
			s.Missing++
		}
	}
	for id := range s.seen {
		if !all[id] {
			s.Foreign++
		}
	}
}

// catchUp compares until nothing is missing any more, or it is clear that nothing comes.
func (s *subscriber) catchUp(ctx context.Context, all map[string]bool) {
	for range 60 {
		if s.compare(all); s.Missing == 0 || !sleep(ctx, time.Second) {
			return
		}
	}
}

func (s *subscriber) found() []string {
	var all []string
	if s.Missing > 0 {
		all = append(all, fmt.Sprintf("the %s subscriber never received %d transitions; its last error was %q", s.Name, s.Missing, s.Error))
	}
	if s.Foreign > 0 {
		all = append(all, fmt.Sprintf("the %s subscriber received %d events that are not in the journal", s.Name, s.Foreign))
	}
	return all
}

func newSubscriber(name string) *subscriber { return &subscriber{Name: name, seen: map[string]int{}} }

// durable reads by a durable consumer until ctx ends. With patience 0 it stays; otherwise it
// goes away without a word after at most that long, with messages that it has not
// acknowledged, and comes back.
func (s *subscriber) durable(ctx context.Context, urls string, patience time.Duration, rng *rand.Rand) error {
	for ctx.Err() == nil {
		life, cancel := context.WithCancel(ctx)
		if patience > 0 {
			life, cancel = context.WithTimeout(ctx, time.Duration(1+rng.Int64N(int64(patience))))
		}
		err := s.live(life, urls)
		cancel()
		if err != nil && patience == 0 && !errors.Is(err, context.Canceled) {
			// A server that is away is no reason to give up.
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
		s.mu.Lock()
		s.Breaks++
		if err != nil && ctx.Err() == nil {
			s.Error = err.Error()
		}
		s.mu.Unlock()
	}
	s.Breaks-- // the last was the end
	return nil
}

// streamsAt returns a connection, to be closed, and its streams.
func streamsAt(urls string, opts ...nats.Option) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := nats.Connect(urls, opts...)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}

// live is one life of a durable subscriber.
func (s *subscriber) live(ctx context.Context, urls string) error {
	// A request that was parked at a server which is gone is made anew by the next life; who
	// reconnects may wait for its answer for ever.
	nc, js, err := streamsAt(urls, nats.Name("subscriber"), nats.NoReconnect(), nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2))
	if err != nil {
		return err
	}
	defer nc.Close()
	// A cluster that elects somebody answers nothing, and the client would wait as long as ctx.
	create, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := js.CreateOrUpdateConsumer(create, "JOURNAL", jetstream.ConsumerConfig{
		Durable: "chaos-" + s.Name, FilterSubject: transitions, AckPolicy: jetstream.AckExplicitPolicy, AckWait: 5 * time.Second,
	})
	if err != nil {
		return err
	}
	msgs, err := c.Messages(jetstream.PullMaxMessages(50), jetstream.PullExpiry(5*time.Second), jetstream.PullHeartbeat(time.Second))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, msgs.Stop)()
	defer msgs.Stop()
	for {
		m, err := msgs.Next(jetstream.NextMaxWait(20 * time.Second))
		if err != nil {
			return err // its server is away, or there is no news; begin again
		}
		s.take(m)
		if err := m.Ack(); err != nil {
			return err
		}
	}
}

// late reads everything once, after the fact.
func (s *subscriber) late(ctx context.Context, urls string) error {
	nc, js, err := streamsAt(urls, nats.Name("late subscriber"))
	if err != nil {
		return err
	}
	defer nc.Close()
	create, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := js.CreateConsumer(create, "JOURNAL", jetstream.ConsumerConfig{FilterSubject: transitions, AckPolicy: jetstream.AckNonePolicy})
	if err != nil {
		return err
	}
	for pending := c.CachedInfo().NumPending; pending > 0; pending-- {
		m, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
		if err != nil {
			return fmt.Errorf("%d transitions before the end: %w", pending, err)
		}
		s.take(m)
	}
	return nil
}
