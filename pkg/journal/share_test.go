package journal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
)

// team is some instances that consume under one name in virtual time. Each message takes a
// handler a while.
type team struct {
	t     *testing.T
	nats  *embedded.NATS
	limit int
	takes time.Duration

	mu      sync.Mutex
	begun   map[string][]time.Time // by entity
	done    map[string]int
	by      map[string]int // handled to the end, by instance
	changed chan struct{}  // closed and replaced when one is done
}

// member is an instance that can be stopped or killed.
type member struct {
	journal *journal.Journal
	stop    context.CancelFunc
	ended   chan error
}

func newTeam(t *testing.T, limit int, takes time.Duration) *team {
	s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	return &team{t: t, nats: s, limit: limit, takes: takes, begun: map[string][]time.Time{},
		done: map[string]int{}, by: map[string]int{}, changed: make(chan struct{})}
}

func (m *team) open() *journal.Journal {
	m.t.Helper()
	j, err := journal.Open(m.t.Context(), journal.Config{InProcess: m.nats, MaxBytes: 1 << 20})
	if err != nil {
		m.t.Fatal(err)
	}
	return j
}

// join starts an instance.
func (m *team) join(name string) member {
	m.t.Helper()
	ctx, cancel := context.WithCancel(m.t.Context())
	i := member{journal: m.open(), stop: cancel, ended: make(chan error, 1)}
	team := journal.Consumer{
		Durable: "team", Stream: journal.Facts, Filters: []string{event.Order.Filter("*", "*")}, Limit: m.limit,
	}
	go func() {
		i.ended <- i.journal.Consume(ctx, team, func(ctx context.Context, r journal.Record) error { return m.handle(ctx, name, r) })
	}()
	return i
}

func (m *team) handle(ctx context.Context, by string, r journal.Record) error {
	id := r.Entity().ID
	m.mu.Lock()
	m.begun[id] = append(m.begun[id], time.Now())
	m.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(m.takes):
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done[id]++
	m.by[by]++
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

// leave waits for an instance that was stopped, and closes it.
func (m *team) leave(i member) {
	m.t.Helper()
	if err := <-i.ended; err != nil {
		m.t.Errorf("Consume = %v, want nil after a stop", err)
	}
	i.journal.Close()
}

// wait waits until n entities are done.
func (m *team) wait(n int) {
	for {
		m.mu.Lock()
		done, changed := len(m.done), m.changed
		m.mu.Unlock()
		if done >= n {
			return
		}
		<-changed
	}
}

func (m *team) publish(n int) {
	m.t.Helper()
	j := m.open()
	defer j.Close()
	for i := range n {
		mustAppend(m.t, j, journal.Record{}, fact(fmt.Sprintf("o-%d", i), "accepted"))
	}
}

// started is how many entities some handler has begun.
func (m *team) started() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.begun)
}

// latest is how long after a moment an entity was begun for the last time.
func (m *team) latest(after time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var last time.Duration
	for _, times := range m.begun {
		last = max(last, times[len(times)-1].Sub(after))
	}
	return last
}

// Instances that join take their share of what waits, at once.
func TestInstancesShare(t *testing.T) {
	const messages = 120
	took := map[int]time.Duration{}
	for _, size := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			m := newTeam(t, 8, time.Second)
			defer m.nats.Stop()
			m.publish(messages)
			start := time.Now()
			all := []member{m.join("a")}
			m.wait(8) // the first is at work
			for i := 1; i < size; i++ {
				all = append(all, m.join("abc"[i:i+1]))
			}
			m.wait(messages)
			took[size] = time.Since(start)
			for _, i := range all {
				i.stop()
				m.leave(i)
			}
			for id, n := range m.done {
				if n != 1 {
					t.Errorf("%s was handled %d times", id, n)
				}
			}
			for name, n := range m.by {
				if len(m.by) != size || n < messages/size/2 {
					t.Errorf("of %d instances %s did %d of %d; want a fair share: %v", size, name, n, messages, m.by)
				}
			}
		})
	}
	if took[3] > took[1]/2 {
		t.Errorf("three instances took %v, one %v; want less than half", took[3], took[1])
	}
}

// What an instance is at work on when it goes is taken over: after a stop when the time to
// finish is over, after a death when the lease is. What it has no handler for another instance
// does at once.
func TestHandover(t *testing.T) {
	for _, tt := range []struct {
		name   string
		killed bool
		// least and most is when the last message is begun again.
		least, most time.Duration
	}{
		{"stopped", false, 3 * time.Second, 4 * time.Second},
		{"killed", true, 6 * time.Second, 11 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const limit, messages = 32, 40
				m := newTeam(t, limit, 30*time.Second)
				defer m.nats.Stop()
				m.publish(messages)
				a := m.join("a")
				time.Sleep(5 * time.Second) // until a has all that it takes
				if n := m.started(); n != limit {
					t.Fatalf("a has begun %d, want %d", n, limit)
				}
				m.limit = messages // so that b can take over everything
				b := m.join("b")
				time.Sleep(time.Second)
				if n := m.started(); n != messages {
					t.Fatalf("of %d messages %d are begun, want all: a must not keep what it cannot begin", messages, n)
				}
				went := time.Now()
				if tt.killed {
					a.journal.Close()
				} else {
					a.stop()
				}
				m.leave(a)
				m.wait(messages)
				if last := m.latest(went); last < tt.least || last > tt.most {
					t.Errorf("the last message was begun again after %v, want %v to %v", last, tt.least, tt.most)
				}
				for id, n := range m.done {
					if n != 1 {
						t.Errorf("%s was handled to the end %d times", id, n)
					}
				}
				b.stop()
				m.leave(b)
			})
		})
	}
}

// An instance that stops finishes what takes no longer than a moment, and begins no more.
func TestStopFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, messages = 8, 24
		m := newTeam(t, limit, 2*time.Second)
		defer m.nats.Stop()
		m.publish(messages)
		a := m.join("a")
		time.Sleep(time.Second)
		a.stop()
		m.leave(a)
		if m.by["a"] != limit {
			t.Errorf("a handled %d after its stop, want the %d it had begun", m.by["a"], limit)
		}
		start := time.Now()
		b := m.join("b")
		m.wait(messages)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("b took %v for the rest, want two rounds of 2s", took)
		}
		for id, n := range m.begun {
			if len(n) != 1 {
				t.Errorf("%s was begun %d times", id, len(n))
			}
		}
		b.stop()
		m.leave(b)
	})
}
