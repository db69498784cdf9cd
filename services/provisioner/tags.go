package provisioner

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/hold"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// tags remembers which outer tags are known to be taken, so that many requests at once do
// not try the same ones. It is a hint: that a tag is given away once is the holds' doing.
type tags struct {
	journal *journal.Journal
	loading chan struct{} // has room for whoever reads the holds

	mu     sync.Mutex
	loaded bool
	taken  map[string]bool  // by the key of the tag's hold
	twins  map[string]twins // by redundancy group
	used   map[onPort]inUse // what the exchange said
}

// twinsFor is how long it is remembered where the first of a pair lands: its twin is wanted
// elsewhere, if that is approved by then.
const twinsFor = 30 * 24 * time.Hour

// twins are the ports on which the circuits of a redundancy group land, and since when.
type twins struct {
	ports []string
	at    time.Time
}

// knownFor is how long what an exchange says of a port's tags is believed. It is believed
// again only then, so that a hundred approvals do not ask a hundred times; a tag that was
// taken meanwhile is refused, and the exchange asked anew.
const knownFor = time.Minute

// onPort is a port as an account sees it.
type onPort struct{ account, port string }

// inUse is which spots of a port were in use at a time.
type inUse struct {
	spots []string
	at    time.Time
}

func newTags(j *journal.Journal) *tags {
	return &tags{journal: j, loading: make(chan struct{}, 1), taken: map[string]bool{}, twins: map[string]twins{},
		used: map[onPort]inUse{}}
}

// load reads the holds, if that was not done before or if again is true.
func (t *tags) load(ctx context.Context, again bool) error {
	select {
	case t.loading <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-t.loading }()
	t.mu.Lock()
	done := t.loaded && !again
	t.mu.Unlock()
	if done {
		return nil
	}
	taken := map[string]bool{}
	err := t.journal.Each(ctx, []string{event.Hold.Filter("*", "*")}, func(r journal.Record) error {
		var h patchbayv1.Hold
		if err := r.Into(&h); err != nil {
			return nil // unreadable: taking it says so
		}
		if h.GetKind() == hold.Tag && len(h.GetOwners()) > 0 {
			taken[h.GetKey()] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken, t.loaded = taken, true
	return nil
}

// pick picks a spot at an exchange that nobody is known to have, and notes it as taken.
func (t *tags) pick(exchange string, where []place, tried []string) (spot, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	skip := map[string]bool{}
	for _, s := range tried {
		skip[s] = true
	}
	s, ok := pick(where, func(port string, outer int32) bool {
		return t.taken[hold.TagKey(exchange, port, outer)] || skip[spot{place{port: port}, outer}.String()]
	})
	if ok {
		t.taken[hold.TagKey(exchange, s.port, s.outer)] = true
	}
	return s, ok
}

// forget notes that the tag of a key is free.
func (t *tags) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.taken, key)
}

// use notes which spots of a port are in use.
func (t *tags) use(account, port string, spots []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used[onPort{account, port}] = inUse{spots, time.Now()}
}

// usedOn are the spots of a port in use, if that is known.
func (t *tags) usedOn(account, port string) (spots []string, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u, ok := t.used[onPort{account, port}]
	return u.spots, ok && time.Since(u.at) < knownFor
}

// unknow forgets which spots of a port are in use.
func (t *tags) unknow(account, port string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.used, onPort{account, port})
}

// pair notes on which port a circuit of a redundancy group lands.
func (t *tags) pair(group, port string) {
	if group == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.twins, func(_ string, old twins) bool { return time.Since(old.at) > twinsFor })
	known := t.twins[group]
	if !slices.Contains(known.ports, port) {
		known.ports = append(known.ports, port)
	}
	known.at = time.Now()
	t.twins[group] = known
}

// ports returns where circuits of a group land, as far as this process knows.
func (t *tags) ports(group string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.twins[group].ports)
}

// part forgets a group.
func (t *tags) part(group string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.twins, group)
}
