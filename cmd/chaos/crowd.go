package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/event"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

const publishers = 6

// crowd is who is not us: upstream systems that publish intents, and a person who decides.
type crowd struct {
	r    *reader
	all  []*wish
	over time.Duration // in which everything is published
	seed uint64
	urls string

	mu    sync.Mutex
	acked []ack
	tries int
}

// ack is one publish that was acknowledged.
type ack struct{ begun, done time.Time }

// publish publishes all wishes, by several publishers of which every second names its
// messages by ids for the server's duplicate window.
func (c *crowd) publish(ctx context.Context) error {
	var work sync.WaitGroup
	wrong := make([]error, publishers)
	for n := range publishers {
		work.Go(func() { wrong[n] = c.publisher(ctx, n) })
	}
	work.Wait()
	for _, err := range wrong {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (c *crowd) publisher(ctx context.Context, n int) error {
	nc, js, err := streamsAt(c.urls, nats.Name("publisher"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return fmt.Errorf("publisher %d: %w", n, err)
	}
	defer nc.Close()
	rng := rand.New(rand.NewPCG(c.seed, uint64(100+n)))
	start := time.Now()
	pause := func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	var repeats sync.WaitGroup
	defer repeats.Wait()
	for i := n; i < len(c.all); i += publishers {
		w := c.all[i]
		pause(time.Until(start.Add(c.over * time.Duration(i) / time.Duration(len(c.all)))))
		named := n%2 == 0
		one := func(data []byte) { c.until(ctx, js, w, data, named) }
		late := time.Duration(rng.Int64N(int64(20 * time.Second)))
		work := func() {
			if w.target != nil && !c.r.known(ctx, w.target.orderID()) {
				return
			}
			if w.target != nil {
				pause(late)
			}
			one(w.data)
			for range w.copies - 1 {
				pause(late / 4)
				one(w.data)
			}
			if w.again != nil {
				one(w.again)
			}
		}
		if w.target == nil && w.copies == 1 && w.again == nil {
			work()
		} else {
			repeats.Go(work) // the publisher goes on
		}
	}
	return nil
}

// until publishes until it is acknowledged.
func (c *crowd) until(ctx context.Context, js jetstream.JetStream, w *wish, data []byte, named bool) {
	m := nats.NewMsg("patchbay.intent." + w.kind)
	m.Data = data
	for k, v := range map[string]string{
		"specversion": "1.0", "id": w.id, "source": source, "type": event.IntentType(event.Intent, w.kind),
		"datacontenttype": "application/json",
	} {
		m.Header.Set("ce-"+k, v)
	}
	var opts []jetstream.PublishOpt
	if named {
		opts = append(opts, jetstream.WithMsgID(fmt.Sprintf("%s %x", w.id, len(data))))
	}
	begun := time.Now()
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err := js.PublishMsg(try, m, opts...)
		cancel()
		c.mu.Lock()
		c.tries++
		if err == nil {
			c.acked = append(c.acked, ack{begun, time.Now()})
		}
		c.mu.Unlock()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// published is how often a publish was acknowledged.
func (c *crowd) published() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

// stall is the longest that a publish took that was on its way within a span of time.
func (c *crowd) stall(from, to time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	longest := time.Duration(0)
	for _, a := range c.acked {
		if a.begun.Before(to) && a.done.After(from) {
			longest = max(longest, a.done.Sub(a.begun))
		}
	}
	return longest
}

// person answers what waits for one, and mostly agrees.
func (c *crowd) person(ctx context.Context) error {
	nc, js, err := streamsAt(c.urls, nats.Name("person"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer nc.Close()
	answered := map[string]time.Time{}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(500 * time.Millisecond):
		}
		var all []*patchbayv1.Approval
		c.r.look(func(s *invariants.Story) { all = waiting(s) })
		for _, a := range all {
			key := a.GetConnectionId() + a.GetKind() + a.GetDigest()
			if time.Since(answered[key]) < 10*time.Second {
				continue
			}
			answered[key] = time.Now()
			c.decide(ctx, js, a, n)
		}
	}
}

func (c *crowd) decide(ctx context.Context, js jetstream.JetStream, a *patchbayv1.Approval, n int) {
	verb := "approve"
	if a.GetKind() == "change" && n%3 == 0 {
		verb = "reject"
	}
	data, err := event.Marshal(&patchbayv1.Decision{
		ConnectionId: a.GetConnectionId(), Kind: a.GetKind(), Digest: a.GetDigest(), By: "jane", Reason: "because",
	})
	if err != nil {
		return // the person asks again
	}
	m := nats.NewMsg("patchbay.decision." + verb)
	m.Data = data
	for k, v := range map[string]string{
		"specversion": "1.0", "id": fmt.Sprintf("%s-%s-%d", verb, a.GetConnectionId(), n), "source": "chaos/person",
		"type": event.IntentType(event.Decision, verb), "datacontenttype": "application/json",
	} {
		m.Header.Set("ce-"+k, v)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, _ = js.PublishMsg(ctx, m) // if it is lost, the person decides again
}

// percentile of durations, p from 0 to 100.
func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}
