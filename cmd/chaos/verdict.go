package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/sandbox"
)

// verdict says of one thing that must hold whether it did.
type verdict struct {
	Number string   `json:"number,omitempty"` // of the invariant
	Text   string   `json:"text"`
	Holds  bool     `json:"holds"`
	Found  []string `json:"found,omitempty"` // what breaks it
}

// promises are what must hold; see docs/certainty.md.
func promises() []verdict {
	return []verdict{
		{Number: "1", Text: "An intent has at most one order, a leg at most one circuit at the exchange."},
		{Number: "2", Text: "No accepted intent is forgotten: each order ends, or waits for a named reason."},
		{Number: "3", Text: "Each circuit's transitions form a path without gap, repeat or disorder, numbered 1, 2, 3 …"},
		{Number: "4", Text: "The journal's statuses equal the exchange's once things are quiet."},
		{Number: "5", Text: "A port's tag is given to one circuit at a time, a service token spent once."},
		{Number: "6", Text: "Redis emptied, stale or away changes no outcome, and ends as the journal says."},
		{Number: "7", Text: "Secrets appear in no fact, Redis value or log."},
		{Number: "8", Text: "Bad input is answered with its violations, and stops nobody else's order."},
		{Number: "outcome", Text: "Who asked for something possible got it, and nothing else."},
		{Number: "subscriber", Text: "Each subscriber received every transition, and nothing that never was."},
		{Number: "program", Text: "Every program ran until somebody ended it, and ended when told."},
	}
}

var numbered = regexp.MustCompile(`(?s)^(?:invariant )?(\w+): (.*)$`)

// judge sorts what was found by what it breaks.
func judge(found []string) []verdict {
	all := promises()
	for _, f := range found {
		m := numbered.FindStringSubmatch(f)
		if m == nil {
			m = []string{"", "program", f}
		}
		i := slices.IndexFunc(all, func(v verdict) bool { return v.Number == m[1] })
		if i < 0 {
			i, m[2] = len(all)-1, f
		}
		all[i].Found = append(all[i].Found, m[2])
	}
	for i := range all {
		all[i].Holds = len(all[i].Found) == 0
	}
	return all
}

// check holds the journal, the exchange's books, Redis, the logs and what subscribers
// received against each other.
func (r *run) check(ctx context.Context) ([]string, error) {
	books, err := r.w.inventory(ctx)
	if err != nil {
		return nil, err
	}
	err = within(ctx, 3*time.Minute, "late subscriber", func(ctx context.Context) error {
		late := newSubscriber("late")
		err := late.late(ctx, r.w.natsURL)
		if err == nil {
			r.subscribers = append(r.subscribers, late)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	story, ids, err := r.retell(ctx)
	if err != nil {
		return nil, err
	}
	found := story.Check(books, "Acme")
	for _, w := range r.crowd.all {
		found = append(found, outcome(w, story.Order(w.orderID()))...)
	}
	found = append(found, r.count(story, books)...)
	for _, s := range r.subscribers {
		s.catchUp(ctx, ids)
		for _, f := range s.found() {
			found = append(found, "subscriber: "+f)
		}
	}
	dead, err := r.deadLetters(ctx)
	if err != nil {
		return nil, err
	}
	found = append(found, dead...)
	// The view may be a moment behind, and whoever is asked may be busy.
	var stale []string
	if err := within(ctx, time.Minute, "the view", func(ctx context.Context) (err error) {
		if stale, err = r.stale(ctx, story); err == nil && len(stale) > 0 {
			err = errors.New(stale[0])
		}
		return err
	}); err != nil && len(stale) == 0 {
		return nil, err
	}
	found = append(found, stale...)
	leaks, err := r.leaks()
	return append(found, leaks...), err
}

// count counts what happened, and returns orders that nobody asked for.
func (r *run) count(story *invariants.Story, books sandbox.Inventory) (unasked []string) {
	r.outcomes, r.circuits = map[string]int{}, len(invariants.Circuits(books))
	for id, facts := range story.Orders {
		o := facts[len(facts)-1]
		r.outcomes[o.GetKind()+" "+strings.TrimSpace(o.GetOutcome()+" "+o.GetFailure().GetReason())]++
		for _, l := range o.GetLegs() {
			r.attempts += int(l.GetAttempt().GetNumber())
		}
		if o.GetSource() != source {
			unasked = append(unasked, fmt.Sprintf("outcome: nobody asked for order %s of %s", id, o.GetSource()))
		}
	}
	for _, path := range story.Connections {
		r.transitions += len(path)
		for _, t := range path {
			if t.GetInferred() {
				r.inferred++
			}
		}
	}
	return unasked
}

// retell reads the journal anew from its beginning: the story, and the ids of all
// transitions.
func (r *run) retell(ctx context.Context) (*invariants.Story, map[string]bool, error) {
	story, ids := invariants.NewStory(r.secrets...), map[string]bool{}
	err := r.j.History(ctx, []string{event.Root + ".>"}, func(rec journal.Record) error {
		if rec.Entity().Noun == event.Connection {
			ids[rec.Event.ID()] = true
		}
		return story.Add(rec)
	})
	return story, ids, err
}

// outcome holds an order against what was asked for.
func outcome(w *wish, o *patchbayv1.Order) []string {
	why := o.GetFailure().GetReason() + " " + o.GetFailure().GetMessage()
	invalid := o.GetOutcome() == "invalid" || o.GetFailure().GetReason() == "invalid"
	switch {
	case o == nil:
		return []string{fmt.Sprintf("2: %s was acknowledged and has no order", w.id)}
	case w.wants == "invalid" && (!invalid || len(o.GetViolations()) == 0):
		return []string{fmt.Sprintf("8: %s breaks rules and ended %q with %d violations", w.id, o.GetOutcome(), len(o.GetViolations()))}
	case w.wants != "invalid" && w.kind == "create" && invalid:
		return []string{fmt.Sprintf("8: %s is right and was found invalid: %v", w.id, o.GetViolations())}
	case w.wants != "" && w.wants != "invalid" && o.GetOutcome() != w.wants:
		return []string{fmt.Sprintf("outcome: %s (order %s) ended %q, want %s: %s", w.id, o.GetId(), o.GetOutcome(), w.wants, why)}
	}
	return nil
}

// deadLetters are what no retry cured; nothing that was published here deserves that.
func (r *run) deadLetters(ctx context.Context) ([]string, error) {
	nc, js, err := streamsAt(r.w.natsURL)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	s, err := js.Stream(ctx, "DEADLETTERS")
	if err != nil {
		return nil, err
	}
	var all []string
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprintf("2: %s is a dead letter: %v", m.Subject, m.Header))
	}
	return all, nil
}

// stale says where the view in Redis differs from the journal.
func (r *run) stale(ctx context.Context, story *invariants.Story) ([]string, error) {
	seen := map[string]bool{}
	for after := uint64(0); ; {
		q, err := json.Marshal(service.ListRequest{Noun: event.Order, Limit: 200, After: after})
		if err != nil {
			return nil, err
		}
		b, err := r.j.Ask(ctx, service.VerbList, q)
		if err != nil {
			return nil, err
		}
		var a service.ListAnswer
		if err := json.Unmarshal(b, &a); err != nil {
			return nil, err
		}
		if a.Away != "" {
			return []string{"6: the view is still away: " + a.Away}, nil
		}
		for _, s := range a.Snapshots {
			r.reader.mu.Lock()
			seq := r.reader.last[event.Entity{Noun: event.Order, ID: s.ID}]
			r.reader.mu.Unlock()
			if s.Seq == seq {
				seen[s.ID] = true
			}
		}
		if after = a.Next; after == 0 {
			break
		}
	}
	var found []string
	for id := range story.Orders {
		if !seen[id] {
			found = append(found, fmt.Sprintf("6: order %s is missing in the view, or older there than in the journal", id))
		}
	}
	return found, nil
}

// leaks looks for secrets in the logs and in what Redis wrote.
func (r *run) leaks() ([]string, error) {
	var found []string
	for _, dir := range []string{r.w.logs, filepath.Join(r.w.dir, "redis")} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			for _, s := range r.secrets {
				if bytes.Contains(b, []byte(s)) {
					found = append(found, "7: a secret stands in "+filepath.Base(path))
					break
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
