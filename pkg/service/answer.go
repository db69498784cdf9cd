package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/view"
)

// Verbs of questions that every service answers.
const (
	VerbList    = "list"
	VerbRebuild = "rebuild"
	VerbPause   = "pause"
	// VerbAccounts is answered by every instance, since each knows for itself what it can reach.
	VerbAccounts = "accounts"
)

// VerbIntake asks requesters for their [IntakeAnswer]. Every instance answers, since each
// knows for itself whom it holds back.
const VerbIntake = "intake"

// IntakeAnswer says how much intake takes, and of whom it has taken what.
type IntakeAnswer struct {
	// PerMinute and Open are the limits of one source; 0 is none.
	PerMinute int `json:"perMinute"`
	Open      int `json:"open"`
	// Stopped is why intents of all sources wait; empty if they do not.
	Stopped string `json:"stopped,omitempty"`
	// Sources that have orders under way or have handed in lately: those that wait first, then
	// the busiest.
	Sources []SourceUse `json:"sources,omitempty"`
}

// mostSources bounds the sources that an answer lists.
const mostSources = 100

// Join adds the answer of another instance. All count the same facts, and differ by what is
// on its way; so of two numbers the greater one stays, and a reason to wait that either has.
func (a *IntakeAnswer) Join(other IntakeAnswer) {
	a.Stopped = cmp.Or(a.Stopped, other.Stopped)
	by := map[string]SourceUse{}
	for _, u := range slices.Concat(a.Sources, other.Sources) {
		had := by[u.Source]
		by[u.Source] = SourceUse{
			Source: u.Source, LastMinute: max(had.LastMinute, u.LastMinute), Deletes: max(had.Deletes, u.Deletes),
			Open: max(had.Open, u.Open), Waits: cmp.Or(had.Waits, u.Waits),
		}
	}
	a.Sources = slices.Collect(maps.Values(by))
	a.Shorten()
}

// Shorten puts the sources in order, those first that wait and then the busiest, and leaves out
// what would be too many.
func (a *IntakeAnswer) Shorten() {
	waits := func(u SourceUse) int { return min(len(u.Waits), 1) }
	slices.SortFunc(a.Sources, func(a, b SourceUse) int {
		return cmp.Or(cmp.Compare(waits(b), waits(a)), cmp.Compare(b.Open+b.LastMinute, a.Open+a.LastMinute), cmp.Compare(a.Source, b.Source))
	})
	a.Sources = a.Sources[:min(len(a.Sources), mostSources)]
}

// SourceUse is what one source has used of its budget.
type SourceUse struct {
	Source string `json:"source"`
	// LastMinute counts its creates and changes of the last minute, Deletes its deletes.
	LastMinute int `json:"lastMinute"`
	Deletes    int `json:"deletes"`
	// Open is how many of its creates and changes are under way.
	Open int `json:"open"`
	// Waits is why its further intents wait; empty if they do not.
	Waits string `json:"waits,omitempty"`
}

// answerBytes bounds the snapshots of one answer; NATS takes messages up to 1 MiB.
const answerBytes = 512 << 10

// ListRequest asks the view, by [VerbList], for entities of a noun; or, if Find is set, for
// what goes by that name.
type ListRequest struct {
	Find string `json:"find,omitempty"`

	Noun event.Noun `json:"noun,omitempty"`
	// The rest narrows the list as in [view.Query].
	Open       bool   `json:"open,omitempty"`
	Status     string `json:"status,omitempty"`
	Provider   string `json:"provider,omitempty"`
	Account    string `json:"account,omitempty"`
	Order      string `json:"order,omitempty"`
	Connection string `json:"connection,omitempty"`
	Limit      int    `json:"limit,omitempty"`
	After      uint64 `json:"after,omitempty"`
}

// ListAnswer is what the view says.
type ListAnswer struct {
	// Away says why the view cannot be asked now; then the journal still can.
	Away      string          `json:"away,omitempty"`
	Snapshots []view.Snapshot `json:"snapshots,omitempty"`
	// Next is the After of the next page, 0 if there is none.
	Next uint64 `json:"next,omitempty"`
	// Entities answer Find.
	Entities []event.Entity `json:"entities,omitempty"`
}

// Answer answers the questions that any instance of any service can answer, until ctx
// ends: what is in the view, the order to build it anew, how the accounts stand, and the
// order to pause one. It also keeps up to date what [Runtime.CheckAccounts] shows.
func (rt *Runtime) Answer(ctx context.Context) error {
	var work errgroup.Group
	known := rt.known()
	work.Go(func() error { return rt.watchPauses(ctx, known) })
	work.Go(func() error { return rt.Journal.Serve(ctx, VerbList, rt.list) })
	work.Go(func() error { return rt.Journal.Serve(ctx, VerbRebuild, rt.rebuild) })
	work.Go(func() error { return rt.Journal.Serve(ctx, VerbPause, rt.setPause) })
	work.Go(func() error { return rt.Journal.ServeEach(ctx, VerbAccounts, rt.accounts) })
	return work.Wait()
}

func (rt *Runtime) list(ctx context.Context, request []byte) ([]byte, error) {
	var q ListRequest
	if err := json.Unmarshal(request, &q); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	a, err := rt.look(ctx, q)
	if errors.Is(err, view.ErrAway) {
		a, err = ListAnswer{Away: err.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(a)
}

func (rt *Runtime) look(ctx context.Context, q ListRequest) (ListAnswer, error) {
	if rt.View == nil {
		return ListAnswer{}, view.ErrAway
	}
	if q.Find != "" {
		found, err := rt.View.Find(ctx, q.Find)
		return ListAnswer{Entities: found}, err
	}
	all, err := rt.View.List(ctx, q.Noun, view.Query{
		Open: q.Open, Status: q.Status, Provider: q.Provider, Account: q.Account,
		Order: q.Order, Connection: q.Connection, Limit: q.Limit, After: q.After,
	})
	return page(all, q.Limit), err
}

// page keeps as many snapshots as fit into a message. Next is set if more may follow.
func page(all []view.Snapshot, limit int) ListAnswer {
	var a ListAnswer
	size := 0
	for i, s := range all {
		size += len(s.Data) + 512
		if i > 0 && size > answerBytes {
			break
		}
		a.Snapshots = append(a.Snapshots, s)
	}
	if n := len(a.Snapshots); n > 0 && (n < len(all) || n == limit) {
		a.Next = a.Snapshots[n-1].Seq
	}
	return a
}

func (rt *Runtime) rebuild(ctx context.Context, _ []byte) ([]byte, error) {
	if rt.View == nil {
		return nil, view.ErrAway
	}
	report, err := rt.View.Rebuild(ctx, rt.Journal)
	if err != nil {
		return nil, err
	}
	return json.Marshal(report)
}
