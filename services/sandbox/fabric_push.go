package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// The bounds of a push. The first is the exchange's own; see its README of cloud events.
const (
	pushWithin  = 60 * time.Second // from the event: an event that could not be delivered by then is dropped
	pushAnswer  = 10 * time.Second // that a webhook may take to answer
	pushPause   = time.Second      // before the second attempt; doubled before each further one
	pushErrors  = 10               // failed attempts that a subscription shows
	pushCode    = "EQ-3040001"     // ours
	contentType = "application/cloudevents+json; charset=UTF-8"
)

// Dial opens a network connection, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// subscription sends the events of a stream to a webhook, one after the other.
type subscription struct {
	id      string
	stream  *stream
	order   subscriptionOrder
	created time.Time
	updated time.Time

	ended     bool
	queue     []*cloudEvent
	pushing   bool // somebody works on the queue
	delivered int
	last      time.Time
	errors    []deliveryError
}

func (s *subscription) enabled() bool {
	return !s.ended && (s.order.Enabled == nil || *s.order.Enabled)
}

// end stops s for ever.
func (s *subscription) end() { s.ended, s.queue = true, nil }

// publish sends e to whoever is subscribed to it.
func (x *Exchange) publish(e *cloudEvent) {
	for s := range x.subscribers() {
		if s.stream.owner != e.owner || !s.stream.covers(e) || !s.order.Events.takes(eventPrefix+e.kind) || x.closed {
			continue
		}
		s.queue = append(s.queue, e)
		if !s.pushing {
			s.pushing = true
			x.pushers.Go(func() { x.push(s) })
		}
	}
}

// push works on s's queue until it is empty or the exchange is closed.
func (x *Exchange) push(s *subscription) {
	ctx, cancel := context.WithCancel(context.Background())
	stop := make(chan struct{})
	defer close(stop)
	x.pushers.Go(func() {
		defer cancel()
		select {
		case <-x.done:
		case <-stop:
		}
	})
	for {
		e, order := x.nextPush(s)
		if e == nil {
			return
		}
		x.deliver(ctx, s, e, order)
	}
}

// nextPush takes the next event of s's queue, or nil when there is nothing left to do.
func (x *Exchange) nextPush(s *subscription) (*cloudEvent, subscriptionOrder) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(s.queue) == 0 || x.closed {
		s.pushing, s.queue = false, nil
		return nil, s.order
	}
	e := s.queue[0]
	s.queue = s.queue[1:]
	return e, s.order
}

// deliver sends e until it is taken, or no longer within the bound.
func (x *Exchange) deliver(ctx context.Context, s *subscription, e *cloudEvent, order subscriptionOrder) {
	pause := pushPause
	for {
		err := x.post(ctx, order, e)
		now := time.Now()
		x.mu.Lock()
		s.note(now, err)
		over := s.ended
		x.mu.Unlock()
		if err == nil || over || now.Add(pause).Sub(e.at) > pushWithin || !x.sleep(pause, nil) {
			return
		}
		pause *= 2
	}
}

// note counts one attempt.
func (s *subscription) note(now time.Time, err error) {
	if err == nil {
		s.delivered, s.last = s.delivered+1, now
		return
	}
	s.errors = append(s.errors, deliveryError{pushCode, err.Error(), isoTime(now)})
	if len(s.errors) > pushErrors {
		s.errors = s.errors[len(s.errors)-pushErrors:]
	}
}

// post sends e once, as a structured CloudEvent.
func (x *Exchange) post(ctx context.Context, order subscriptionOrder, e *cloudEvent) error {
	body, err := json.Marshal(e.view())
	if err != nil {
		panic(err) // an event of ours that is no JSON
	}
	ctx, cancel := context.WithTimeout(ctx, pushAnswer)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, order.address(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	if auth, _ := order.authorization(); auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := x.hooksClient().Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			return outer.Err // without the address, which may have a secret in it
		}
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err == nil && (resp.StatusCode < 200 || resp.StatusCode > 299) {
		err = fmt.Errorf("webhook answered %d", resp.StatusCode)
	}
	return err
}

// hooksClient calls webhooks. It keeps no connections, so that none is left at the end.
func (x *Exchange) hooksClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: x.dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// keepTime makes things happen when they fall due, and not when somebody next looks at
// the exchange, as long as somebody is subscribed.
func (x *Exchange) keepTime() {
	if x.clock || x.closed {
		return
	}
	x.clock = true
	x.pushers.Go(x.tick)
}

// tick does what falls due until nobody is subscribed any more.
func (x *Exchange) tick() {
	for {
		next, on := x.nextDue()
		if !on {
			return
		}
		t := time.NewTimer(time.Until(next))
		select {
		case <-t.C:
		case <-x.sooner:
		case <-x.done:
		}
		t.Stop()
	}
}

// nextDue does what is due and returns when the next thing will be.
func (x *Exchange) nextDue() (time.Time, bool) {
	now := x.lock()
	defer x.unlock()
	on := false
	for range x.subscribers() {
		on = !x.closed
	}
	x.clock = on
	if len(x.agenda) == 0 {
		return now.Add(time.Hour), on
	}
	return x.agenda[0].at, on
}
