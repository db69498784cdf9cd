package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/sandbox"
)

// reader reads the journal as it grows, and knows the story so far.
type reader struct {
	j *journal.Journal

	mu     sync.Mutex
	story  *invariants.Story
	last   map[event.Entity]uint64 // sequence of each entity's last fact
	lines  []string                // the journal, one fact a line
	open   map[string]time.Time    // orders that have not ended, since when
	done   int                     // orders that have
	took   []time.Duration         // from accepted to the outcome
	newest time.Time               // when the last fact came
	wrong  []string
	news   chan struct{} // closed when a fact has come
}

func newReader(j *journal.Journal, canaries []string) *reader {
	return &reader{
		j: j, story: invariants.NewStory(canaries...), last: map[event.Entity]uint64{}, open: map[string]time.Time{},
		newest: time.Now(), news: make(chan struct{}),
	}
}

// follow reads until ctx ends.
func (r *reader) follow(ctx context.Context) error {
	return r.j.Follow(ctx, journal.From{}, []string{event.Root + ".>"}, r.take)
}

func (r *reader) take(rec journal.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest = time.Now()
	if err := r.story.Add(rec); err != nil {
		r.wrong = append(r.wrong, "invariant 3: "+err.Error())
	}
	r.last[rec.Entity()] = rec.Seq
	r.lines = append(r.lines, fmt.Sprintf("%d %s %s %s %s", rec.Seq, rec.Stamp.UTC().Format("15:04:05.000"), rec.Subject, rec.Event.ID(), rec.Event.Data()))
	if e := rec.Entity(); e.Noun == event.Order {
		since, open := r.open[e.ID]
		switch ended := r.story.Order(e.ID).GetOutcome() != ""; {
		case open && ended:
			delete(r.open, e.ID)
			r.done++
			r.took = append(r.took, rec.Stamp.Sub(since))
		case !open && !ended:
			r.open[e.ID] = rec.Stamp
		case !open && len(r.story.Orders[e.ID]) == 1:
			r.done++ // invalid
		}
	}
	close(r.news)
	r.news = make(chan struct{})
	return nil
}

// look lets f see the story so far.
func (r *reader) look(f func(s *invariants.Story)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.story)
}

// known waits until an order exists.
func (r *reader) known(ctx context.Context, id string) bool {
	for {
		r.mu.Lock()
		o, news := r.story.Order(id), r.news
		r.mu.Unlock()
		if o != nil {
			return true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return false
		}
	}
}

// waiting are the requests that wait for a person.
func waiting(s *invariants.Story) []*patchbayv1.Approval {
	var all []*patchbayv1.Approval
	for id := range s.Approvals {
		if a := s.Approval(id); slices.Contains([]string{"requested", "reminded"}, a.GetFact()) {
			all = append(all, a)
		}
	}
	return all
}

// unsettled says what keeps the world from being quiet.
func (r *reader) unsettled(all []*wish, books sandbox.Inventory) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var open []string
	s := r.story
	for id := range r.open {
		o := s.Order(id)
		open = append(open, fmt.Sprintf("order %s of %s is %s and waits for %s on %s", id, o.GetIntentId(), o.GetFact(), o.GetWait().GetWhat(), o.GetWait().GetOn()))
	}
	for _, w := range all {
		if s.Order(w.orderID()) == nil {
			open = append(open, w.id+" has no order")
		}
	}
	for _, a := range waiting(s) {
		open = append(open, "a person is asked about the "+a.GetKind()+" of "+a.GetConnection().GetName())
	}
	for _, c := range invariants.Circuits(books) {
		t := s.Connection(c.ID)
		if got, want := invariants.State(t.GetTo()), c.State(t.GetConnection().GetApi()); got != want {
			open = append(open, fmt.Sprintf("circuit %s is %s in the journal and %s at the exchange", c.Name, got, want))
		}
		if c.Moving {
			open = append(open, "circuit "+c.Name+" moves at the exchange")
		}
	}
	slices.Sort(open)
	return open
}
