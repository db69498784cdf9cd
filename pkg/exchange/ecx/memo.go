package ecx

import (
	"sync"
	"time"
)

// memoSize bounds what is remembered of things that others name.
const memoSize = 1024

// memo remembers values for a while.
type memo[K comparable, V any] struct {
	keep time.Duration // 0: for ever

	mu     sync.Mutex
	values map[K]remembered[V]
}

type remembered[V any] struct {
	value V
	since time.Time
}

func newMemo[K comparable, V any](keep time.Duration) *memo[K, V] {
	return &memo[K, V]{keep: keep, values: make(map[K]remembered[V])}
}

// get returns what is remembered under k, and whether something is.
func (m *memo[K, V]) get(k K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.values[k]
	if !ok || m.keep > 0 && time.Since(r.since) >= m.keep {
		var none V
		return none, false
	}
	return r.value, true
}

// put remembers v. It forgets everything first when there is too much.
func (m *memo[K, V]) put(k K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.values) >= memoSize {
		clear(m.values)
	}
	m.values[k] = remembered[V]{v, time.Now()}
}
