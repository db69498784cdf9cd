package rig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/journal"
)

// Writes is how many messages the product's streams have taken, by stream.
type Writes map[string]float64

// Sum of all streams.
func (w Writes) Sum() float64 {
	var n float64
	for _, m := range w {
		n += m
	}
	return n
}

// Add adds what came between two counts.
func (w Writes) Add(is, was Writes) {
	for stream := range is {
		w[stream] += is[stream] - was[stream]
	}
}

// Per is what falls on each of n.
func (w Writes) Per(n int) Writes {
	each := Writes{}
	for stream, m := range w {
		each[stream] = m / float64(n)
	}
	return each
}

func productStreams() []string {
	return []string{journal.Intents, journal.Facts, journal.Timers, journal.DeadLetters}
}

// CountWrites reads the streams' own counters. They count what was deleted since, too.
func CountWrites(ctx context.Context, n *NATS) (Writes, error) {
	nc, js, err := open(n)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	w := Writes{}
	for _, name := range productStreams() {
		s, err := js.Stream(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", name, err)
		}
		w[name] = float64(s.CachedInfo().State.LastSeq)
	}
	return w, nil
}

// Samples returns the messages that stand in the product's streams, for [Raw] to write
// again, at most limit of each stream.
func Samples(ctx context.Context, n *NATS, limit int) ([]*nats.Msg, error) {
	nc, js, err := open(n)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	var all []*nats.Msg
	for _, name := range productStreams() {
		s, err := js.Stream(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", name, err)
		}
		st := s.CachedInfo().State
		for seq := st.FirstSeq; seq <= st.LastSeq && seq < st.FirstSeq+uint64(limit); seq++ {
			m, err := s.GetMsg(ctx, seq)
			if err != nil {
				continue // deleted, as intents that are done with are
			}
			all = append(all, plain(m))
		}
	}
	return all, nil
}

// plain is a message without what only the server's own bookkeeping needs.
func plain(m *jetstream.RawStreamMsg) *nats.Msg {
	h := nats.Header{}
	for k, v := range m.Header {
		if len(k) < 5 || k[:5] != "Nats-" {
			h[k] = v
		}
	}
	return &nats.Msg{Subject: "raw." + m.Subject, Header: h, Data: m.Data}
}

// Raw writes messages like the samples into a stream of their own, for so long and with so
// many writers that each wait for their acknowledgement, and returns the messages a second.
// The stream keeps ids for as long as those of the product do, and is deleted afterwards.
func Raw(ctx context.Context, n *NATS, samples []*nats.Msg, span time.Duration, writers int) (rate float64, err error) {
	nc, js, err := open(n)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	if err := makeRaw(ctx, n, js); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, js.DeleteStream(context.WithoutCancel(ctx), rawStream)) }()
	var written atomic.Int64
	begun := time.Now()
	var work errgroup.Group
	for range writers {
		work.Go(func() error {
			for time.Since(begun) < span {
				if err := writeRaw(ctx, js, samples, written.Add(1)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return 0, err
	}
	return float64(written.Load()) / time.Since(begun).Seconds(), nil
}

// RawChains returns how long so many raw appends take one after the other, count times.
func RawChains(ctx context.Context, n *NATS, samples []*nats.Msg, appends, count int) (took []time.Duration, err error) {
	nc, js, err := open(n)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	if err := makeRaw(ctx, n, js); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, js.DeleteStream(context.WithoutCancel(ctx), rawStream)) }()
	for c := range count {
		begun := time.Now()
		for a := range appends {
			if err := writeRaw(ctx, js, samples, int64(c*appends+a)); err != nil {
				return nil, err
			}
		}
		took = append(took, time.Since(begun))
	}
	return took, nil
}

const rawStream = "RAW"

func makeRaw(ctx context.Context, n *NATS, js jetstream.JetStream) error {
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: rawStream, Subjects: []string{"raw.>"}, Storage: jetstream.FileStorage, Replicas: n.Replicas(),
		Discard: jetstream.DiscardNew, MaxBytes: 4 << 30, Duplicates: 2 * time.Minute,
	})
	if err != nil {
		return fmt.Errorf("raw stream: %w", err)
	}
	return nil
}

// writeRaw writes the i-th message, with an id as long as those of the product.
func writeRaw(ctx context.Context, js jetstream.JetStream, samples []*nats.Msg, i int64) error {
	s := samples[int(i)%len(samples)]
	m := &nats.Msg{Subject: s.Subject, Header: maps.Clone(s.Header), Data: s.Data}
	if _, err := js.PublishMsg(ctx, m, jetstream.WithMsgID(fmt.Sprintf("%036d", i))); err != nil {
		return fmt.Errorf("raw write %d: %w", i, err)
	}
	return nil
}

func open(n *NATS) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := n.Connect()
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(30*time.Second))
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}
