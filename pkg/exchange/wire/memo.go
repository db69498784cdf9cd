package wire

import (
	"sync"
	"time"
)

// memoSize bounds what is remembered of things that others name.
const memoSize = 1024

// Memo remembers values for a while. It is safe for use by many goroutines.
type Memo[K comparable, V any] struct {
	keep time.Duration // 0: for ever

	mu     sync.Mutex
	values map[K]remembered[V]
}

type remembered[V any] struct {
	value V
	since time.Time
}

// NewMemo returns a memo that forgets a value after keep; 0 is never.
func NewMemo[K comparable, V any](keep time.Duration) *Memo[K, V] {
	return &Memo[K, V]{keep: keep, values: make(map[K]remembered[V])}
}

// Get returns what is remembered under k, and whether something is.
func (m *Memo[K, V]) Get(k K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.values[k]
	if !ok || m.keep > 0 && time.Since(r.since) >= m.keep {
		var none V
		return none, false
	}
	return r.value, true
}

// Put remembers v. It forgets everything first when there is too much.
func (m *Memo[K, V]) Put(k K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.values) >= memoSize {
		clear(m.values)
	}
	m.values[k] = remembered[V]{v, time.Now()}
}
