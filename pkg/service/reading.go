package service

import "sync"

// Reading is how far a service has read the journal at its start, a part of readiness. The
// zero Reading has not begun.
type Reading struct {
	mu          sync.Mutex
	seen, total uint64
	done        bool
}

// Note says that so many facts were read, of so many.
func (r *Reading) Note(seen, total uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, r.total = seen, total
}

// End says that all is known that there was at the start.
func (r *Reading) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
}

// Part is what the page of readiness shows.
func (r *Reading) Part() (done bool, detail any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done, map[string]uint64{"seen": r.seen, "total": r.total}
}
