package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/tools/bench/rig"
)

// window is how many intents are under way at any time while throughput is measured.
const window = 64

// system carries out intents: the product, or what it is measured beside.
type system interface {
	// Submit hands in the intent of a wish, and returns when it is kept.
	Submit(context.Context, rig.Wish) error
	// Follow tells what becomes of intents from now on, until ctx ends.
	Follow(ctx context.Context, tell func(rig.Told)) error
}

// load is what is asked of a system.
type load struct {
	// Intents are published for so long, or so many of them. One of the two is set.
	span  time.Duration
	count int
	// every is the time between two of them; 0 is as soon as there is a place.
	every time.Duration
	// enough tells when to leave what is not done; nil is never.
	enough <-chan time.Time
	// failures are counted; else one is an error.
	failures bool
}

// ran is what came of a load.
type ran struct {
	rate    float64 // intents a second, from the first publish to the last PROVISIONED
	intents int
	failed  map[string]string // names of circuits whose intents were given up, and why
	left    int               // intents that were not done when it was enough
	last    time.Time         // when the last circuit was provisioned, or its intent given up
}

// run publishes intents, never more than the window of them unfinished, and returns when
// all have been completed.
func run(ctx context.Context, s system, w *rig.Wishes, l load) (ran, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := customer{
		waiting: map[string]bool{}, open: map[string]bool{}, failed: map[string]string{},
		places: make(chan struct{}, window), done: make(chan struct{}),
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return c.follow(ctx, s) })
	work.Go(func() error { return c.publish(ctx, s, w, l) })
	begun := time.Now()
	select {
	case <-c.done:
	case <-l.enough:
	case <-ctx.Done():
	}
	cancel()
	if err := work.Wait(); err != nil {
		return ran{}, err
	}
	for name, why := range c.failed {
		if !l.failures {
			return ran{}, fmt.Errorf("circuit %s: %s", name, why)
		}
	}
	return ran{
		rate: float64(c.published) / c.last.Sub(begun).Seconds(), intents: c.published,
		failed: c.failed, left: len(c.open), last: c.last,
	}, nil
}

// customer publishes intents and waits for what becomes of them.
type customer struct {
	places chan struct{} // one is taken by each intent until its circuit is provisioned
	done   chan struct{} // closed when all that was published is completed

	mu        sync.Mutex
	waiting   map[string]bool // names of circuits that are not provisioned yet
	open      map[string]bool // names of circuits whose intents are not done with yet
	failed    map[string]string
	published int
	over      bool      // nothing more will be published
	last      time.Time // when the last circuit was provisioned, or its intent given up
}

// publish publishes intents, as places allow.
func (c *customer) publish(ctx context.Context, s system, w *rig.Wishes, l load) error {
	work, ctx := errgroup.WithContext(ctx)
	var over <-chan time.Time
	if l.span > 0 {
		over = time.After(l.span)
	}
	for n := 0; l.count == 0 || n < l.count; n++ {
		select {
		case c.places <- struct{}{}:
			wish := w.Next()
			c.change(func() {
				c.published++
				c.waiting[wish.Name], c.open[wish.Name] = true, true
			})
			work.Go(func() error { return s.Submit(ctx, wish) })
			if l.every > 0 {
				select {
				case <-time.After(l.every):
				case <-ctx.Done():
				}
			}
			continue
		case <-over:
		case <-ctx.Done():
		}
		break
	}
	c.change(func() { c.over = true })
	return work.Wait()
}

// change changes what is known, and tells when nothing more is to come.
func (c *customer) change(how func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	how()
	if c.over && len(c.waiting)+len(c.open) == 0 {
		c.over = false // told once
		close(c.done)
	}
}

// follow takes note of circuits that are provisioned and intents that are done with, until
// ctx ends.
func (c *customer) follow(ctx context.Context, s system) error {
	return s.Follow(ctx, func(t rig.Told) {
		c.change(func() {
			if t.Provisioned || t.Failed != "" {
				c.leave(t.Name)
			}
			if t.Done && c.open[t.Name] {
				delete(c.open, t.Name)
				if t.Failed != "" {
					c.failed[t.Name] = t.Failed
				}
			}
		})
	})
}

// leave gives the circuit's place to another. More facts of the same may follow.
func (c *customer) leave(name string) {
	if c.waiting[name] {
		delete(c.waiting, name)
		c.last = time.Now()
		<-c.places
	}
}
