package view

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"patchbay.io/pkg/event"
)

// Limits of one query.
const (
	defaultLimit = 50
	maxLimit     = 1000
	leastPrefix  = 6 // characters of an id that is not whole
	maxFound     = 20
)

// Query says which entities are wanted. Each field that is set narrows it.
type Query struct {
	// Open wants only what has not ended.
	Open bool
	// Status is an order's fact ("placed") or a connection's status ("PROVISIONED").
	Status string
	// Provider is a connection's providerStatus.
	Provider string
	// Account is the order's account; of a connection, the buyer's or the seller's.
	Account string
	// Order wants what belongs to an order.
	Order string
	// Connection wants what is about a connection.
	Connection string
	// Limit of snapshots in the answer; default 50, at most 1000.
	Limit int
	// After is the Seq of the last snapshot of the page before; 0 for the first page.
	After uint64
}

// sets are the index sets that hold what q wants, the smallest first by experience.
func (q Query) sets(n event.Noun) []string {
	var all []string
	for _, f := range [][2]string{
		{"order:", q.Order}, {"connection:", q.Connection}, {"status:", q.Status},
		{"provider:", q.Provider}, {"account:", q.Account},
	} {
		if f[1] != "" {
			all = append(all, string(n)+":"+f[0]+f[1])
		}
	}
	if q.Open {
		all = append(all, string(n)+":open")
	}
	return append(all, string(n)+":all")
}

// Orders returns the orders that q wants, the most recently changed first.
func (v *View) Orders(ctx context.Context, q Query) ([]Snapshot, error) {
	return v.List(ctx, event.Order, q)
}

// Connections returns the connections that q wants, the most recently changed first.
func (v *View) Connections(ctx context.Context, q Query) ([]Snapshot, error) {
	return v.List(ctx, event.Connection, q)
}

// List returns the entities of a noun that q wants, the most recently changed first. What
// changes between two pages moves to the front and may be missed or seen twice.
//
// This and the other queries answer once [View.Project] or [View.Rebuild] of this very
// View has found or made the view of its journal; until then they return [ErrAway].
func (v *View) List(ctx context.Context, n event.Noun, q Query) ([]Snapshot, error) {
	if err := v.whole(ctx); err != nil {
		return nil, fmt.Errorf("list %s: %w", n, err)
	}
	limit := min(q.Limit, maxLimit)
	if limit <= 0 {
		limit = defaultLimit
	}
	sets := q.sets(n)
	below := "+inf"
	if q.After > 0 {
		below = "(" + strconv.FormatUint(q.After, 10)
	}
	var found []Snapshot
	for len(found) < limit {
		// What the other sets will leave out is not known; so read more than is missing.
		ids, lowest, err := v.page(ctx, sets[0], below, max(limit, 200))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", n, err)
		}
		if len(ids) == 0 {
			break
		}
		below = "(" + lowest
		some, err := v.load(ctx, n, ids, sets[1:])
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", n, err)
		}
		found = append(found, some...)
	}
	return found[:min(limit, len(found))], nil
}

// whole returns ErrAway unless Redis holds the whole view of our journal.
func (v *View) whole(ctx context.Context) error {
	m, err := v.readMark(ctx)
	if err != nil {
		return err
	}
	if ours := v.journal.Load(); ours == nil || m.journal != *ours || !m.whole {
		return fmt.Errorf("%w: it is being built", ErrAway)
	}
	return nil
}

// page reads ids out of a set by falling score, and the score of the last.
func (v *View) page(ctx context.Context, set, below string, n int) (ids []string, lowest string, err error) {
	err = v.do(ctx, callTime, func(ctx context.Context) error {
		all, err := v.rdb.ZRevRangeByScoreWithScores(ctx, indexRoot+set,
			&redis.ZRangeBy{Min: "-inf", Max: below, Count: int64(n)}).Result()
		for _, z := range all {
			id, _ := z.Member.(string)
			ids = append(ids, id)
			lowest = strconv.FormatUint(uint64(z.Score), 10)
		}
		return err
	})
	return ids, lowest, err
}

// load reads the snapshots of ids, of those that are in all the sets.
func (v *View) load(ctx context.Context, n event.Noun, ids, sets []string) ([]Snapshot, error) {
	var rows [][]any
	err := v.do(ctx, callTime, func(ctx context.Context) error {
		p := v.rdb.Pipeline()
		var replies []*redis.SliceCmd
		for _, id := range ids {
			replies = append(replies, p.HMGet(ctx, entityRoot+event.Entity{Noun: n, ID: id}.String(), "body", "index"))
		}
		if _, err := p.Exec(ctx); err != nil {
			return err
		}
		for _, r := range replies {
			rows = append(rows, r.Val())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found []Snapshot
	for _, row := range rows {
		body, there := row[0].(string)
		index, _ := row[1].(string)
		if !there || !inAll(index, sets) {
			continue // it has gone or changed since the ids were read
		}
		var s Snapshot
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAway, err)
		}
		found = append(found, s)
	}
	return found, nil
}

// inAll reports whether the members in index are of all the sets.
func inAll(index string, sets []string) bool {
	var members []member
	if err := json.Unmarshal([]byte(index), &members); err != nil {
		return false
	}
	return !slices.ContainsFunc(sets, func(set string) bool {
		return !slices.ContainsFunc(members, func(m member) bool { return m[0] == set })
	})
}

// Snapshot returns e as the view has it; the zero Snapshot if there is none. What ended
// more than 30 days ago is in the journal only.
func (v *View) Snapshot(ctx context.Context, e event.Entity) (Snapshot, error) {
	if err := v.whole(ctx); err != nil {
		return Snapshot{}, fmt.Errorf("read %s: %w", e, err)
	}
	all, err := v.load(ctx, e.Noun, []string{e.ID}, nil)
	if err != nil {
		return Snapshot{}, fmt.Errorf("read %s: %w", e, err)
	}
	if len(all) == 0 {
		return Snapshot{}, nil
	}
	return all[0], nil
}

// ErrShort reports a text of which nothing goes by the whole, and which is too short to be
// taken for the beginning of something.
var ErrShort = errors.New("too short: give the whole, or six characters of it at least")

// Find returns what goes by ref: the id of an order or connection, the exchange's id or
// alias of a circuit, the id of an intent alone or behind its source and a space, a name;
// or else, from six characters on, what begins with it. Upper and lower case are the same.
// None found is no error; more than one means that ref is ambiguous.
func (v *View) Find(ctx context.Context, ref string) ([]event.Entity, error) {
	name := plain(ref)
	if name == "" {
		return nil, nil
	}
	if err := v.whole(ctx); err != nil {
		return nil, fmt.Errorf("find %q: %w", ref, err)
	}
	found, err := v.named(ctx, findSet(name), "["+name+separator, "["+name+separator+"\xff")
	if err != nil || len(found) > 0 {
		return found, err
	}
	if len(name) < leastPrefix {
		return nil, fmt.Errorf("find %q: %w", ref, ErrShort)
	}
	return v.named(ctx, findSet(name), "["+name, "["+name+"\xff")
}

// named reads entities from a find set between two names. Those that own the name come
// alone; only if there are none come those that merely know it.
func (v *View) named(ctx context.Context, set, from, to string) ([]event.Entity, error) {
	var members []string
	err := v.do(ctx, callTime, func(ctx context.Context) (err error) {
		members, err = v.rdb.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: indexRoot + set, Start: from, Stop: to, ByLex: true, Count: maxFound,
		}).Result()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	byRank := map[string][]event.Entity{}
	for _, m := range members {
		_, owner, _ := strings.Cut(m, separator)
		rank, entity, _ := strings.Cut(owner, " ")
		noun, id := splitEntity(entity)
		if e := (event.Entity{Noun: event.Noun(noun), ID: id}); !slices.Contains(byRank[rank], e) {
			byRank[rank] = append(byRank[rank], e)
		}
	}
	if len(byRank["0"]) > 0 {
		return byRank["0"], nil
	}
	return byRank["1"], nil
}
