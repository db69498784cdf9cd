package statuswatcher_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/status"
	"patchbay.io/pkg/view"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/statuswatcher"
)

// team is several watchers of one account, each with a line of its own to the one Redis.
type team struct {
	*world
	redis   *embedded.Redis
	members []*member
}

// member is one watcher.
type member struct {
	team *team
	stop func()

	mu    sync.Mutex
	away  bool
	conns []net.Conn
	ice   chan struct{} // what it writes to Redis waits until this is closed; nil if it does not
	lists int
	// listed, if set, is called in the middle of each list.
	listed func() error
}

// newTeam has watchers of one account in a bubble, which end with it.
func newTeam(t *testing.T, n int) *team {
	t.Helper()
	s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	j, err := journal.Open(t.Context(), journal.Config{InProcess: s, MaxBytes: 1 << 24})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	redis, err := embedded.StartRedis("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Stop)
	c := &team{world: newWorld(t, j), redis: redis}
	for range n {
		c.join(t)
	}
	return c
}

// join starts one more watcher.
func (c *team) join(t *testing.T) *member {
	t.Helper()
	m := &member{team: c}
	v, err := view.Open(view.Config{Dial: m.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	w := *c.world
	w.rt.View = v
	w.rt.Accounts.Accounts = []account.Account{{Name: "acme", API: account.ECX, Role: account.Buyer}}
	w.rt.Clients = map[string]exchange.Client{"acme": counted{w.m.buyer("port-1"), m}}
	m.stop = w.run(t, statuswatcher.Pace{})
	c.members = append(c.members, m)
	return m
}

func (m *member) dial(context.Context, string, string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, errors.New("connection refused")
	}
	c, err := m.team.redis.Dial()
	m.conns = append(m.conns, c)
	return icy{c, m}, err
}

// icy is a line that can freeze.
type icy struct {
	net.Conn
	of *member
}

func (c icy) Write(b []byte) (int, error) {
	c.of.mu.Lock()
	ice := c.of.ice
	c.of.mu.Unlock()
	if ice != nil {
		<-ice
	}
	return c.Conn.Write(b)
}

// freeze holds up a watcher in the middle of its next list, and what it says to Redis from
// then on, until thaw is closed. It returns when that has come.
func (m *member) freeze(thaw chan struct{}) {
	caught := make(chan struct{})
	var once sync.Once
	m.mu.Lock()
	m.listed = func() error {
		once.Do(func() {
			m.mu.Lock()
			m.ice = thaw
			m.mu.Unlock()
			close(caught)
			<-thaw
		})
		return nil
	}
	m.mu.Unlock()
	<-caught
}

// cut takes Redis away from a watcher, and mend gives it back.
func (m *member) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = true
	for _, c := range m.conns {
		_ = c.Close()
	}
	m.conns = nil
}

func (m *member) mend() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = false
}

// count is how often a watcher has read a list.
func (m *member) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lists
}

// counted counts the lists of one watcher.
type counted struct {
	*client
	by *member
}

func (c counted) List(ctx context.Context, role string, moving bool, yield func(*patchbayv1.Connection) error) error {
	c.by.mu.Lock()
	c.by.lists++
	listed := c.by.listed
	c.by.mu.Unlock()
	return c.client.List(ctx, role, moving, func(conn *patchbayv1.Connection) error {
		if listed != nil {
			if err := listed(); err != nil {
				return err
			}
		}
		return yield(conn)
	})
}

// pollers are the watchers that read lists within a time.
func (c *team) pollers(within time.Duration) (all []*member) {
	before := map[*member]int{}
	for _, m := range c.members {
		before[m] = m.count()
	}
	time.Sleep(within)
	synctest.Wait()
	for _, m := range c.members {
		if m.count() > before[m] {
			all = append(all, m)
		}
	}
	return all
}

// poller is the one watcher that does.
func (c *team) poller(t *testing.T) *member {
	t.Helper()
	all := c.pollers(2 * time.Minute)
	if len(all) != 1 {
		t.Fatalf("%d watchers poll the account, want one", len(all))
	}
	return all[0]
}

// sees changes a circuit and returns how long it took to be told.
func (c *team) sees(t *testing.T, id string, s status.Status, p status.Provider) time.Duration {
	t.Helper()
	from, start := len(c.history(t, connection(id))), time.Now()
	c.m.move(id, s, p)
	for len(c.history(t, connection(id))) == from {
		if time.Since(start) > time.Hour {
			t.Fatalf("%s in %s was not seen within an hour", id, s)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(start)
}

// As many watchers as one likes read an account's lists as often as one does, and see as much.
func TestCallsDoNotGrowWithWatchers(t *testing.T) {
	lists := map[int]int{}
	for _, n := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			c := newTeam(t, n)
			for i := range 8 {
				id := fmt.Sprintf("x-%d", i)
				c.m.put(requested(id))
				time.Sleep(3 * time.Minute)
				c.m.move(id, status.Provisioning, status.NotAvailable)
				time.Sleep(20 * time.Second)
				c.m.move(id, status.Provisioned, status.Available)
				time.Sleep(2 * time.Minute)
				if got := steps(c.history(t, connection(id))); got !=
					"pending_approval.not_available provisioning.not_available provisioned.available" {
					t.Errorf("with %d watchers %s took the steps %s", n, id, got)
				}
			}
			for _, m := range c.members {
				lists[n] += m.count()
			}
		})
	}
	if got, one := lists[4], lists[1]; got > one*11/10 {
		t.Errorf("four watchers read %d lists and one reads %d; want no more than a tenth more", got, one)
	}
	t.Logf("lists by number of watchers: %v", lists)
}

// Who polls an account hands over within seconds when he is stopped, dies, or is kept from
// the exchange that others reach.
func TestHandover(t *testing.T) {
	for name, end := range map[string]func(*member){
		"stopped": func(m *member) { m.stop() },
		"dead":    func(m *member) { m.cut(); m.stop() }, // what it would give back does not arrive
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTeam(t, 3)
				c.m.put(requested("x-1"))
				was := c.poller(t)
				end(was)
				took := c.sees(t, "x-1", status.Provisioning, status.NotAvailable)
				if longest := map[string]time.Duration{"stopped": 6 * time.Second, "dead": 9 * time.Second}[name]; took > longest {
					t.Errorf("after the one who polled was %s it took %v until another saw a step, want %v at most", name, took, longest)
				}
				if is := c.poller(t); is == was {
					t.Error("he polls on")
				}
				t.Logf("%s: %v", name, took)
			})
		})
	}
}

// Who stops gives the lease back, so that nobody has to wait until it has run out.
func TestStopGivesLeaseBack(t *testing.T) {
	for name, end := range map[string]func(*member){
		"stopped": func(m *member) { m.stop() },
		"dead":    func(m *member) { m.cut(); m.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTeam(t, 1)
				end(c.poller(t))
				v, err := view.Open(view.Config{Dial: (&member{team: c}).dial})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = v.Close() }()
				free, err := v.Lease(t.Context(), "watch:acme", "another", time.Minute)
				if want := name == "stopped"; err != nil || free != want {
					t.Errorf("of who is %s the lease is free at once: %v, %v; want %v", name, free, err, want)
				}
			})
		})
	}
}

// An exchange that one watcher cannot reach is polled by another.
func TestFailingWatcherPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTeam(t, 2)
		c.m.put(requested("x-1"))
		was := c.poller(t)
		was.mu.Lock()
		was.listed = func() error { return errDown }
		was.mu.Unlock()
		time.Sleep(5 * time.Minute) // three sweeps
		if is := c.poller(t); is == was {
			t.Error("who cannot reach the exchange is the only one to ask it")
		}
	})
}

// Without Redis everybody watches, and once it is back one does.
func TestWatchersWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTeam(t, 3)
		c.m.put(requested("x-1"))
		c.poller(t)
		for _, m := range c.members {
			m.cut()
		}
		if n := len(c.pollers(2 * time.Minute)); n != 3 {
			t.Errorf("without Redis %d watchers poll, want all: nobody can know that another does", n)
		}
		for _, m := range c.members {
			m.mend()
		}
		time.Sleep(10 * time.Second)
		c.poller(t)
		c.redis.Flush()
		time.Sleep(10 * time.Second)
		c.poller(t)
	})
}

// A watcher that was frozen in the middle of a list, for longer than its lease, goes on with
// it beside its successor, and with what it was shown before. That tells nothing twice and
// takes nothing back.
func TestFrozenWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTeam(t, 2)
		c.m.put(requested("x-1"))
		frozen := c.poller(t)
		thaw := make(chan struct{})
		frozen.freeze(thaw)
		time.Sleep(10 * time.Second)
		c.m.move("x-1", status.Provisioning, status.NotAvailable)
		time.Sleep(time.Minute)
		c.m.move("x-1", status.Provisioned, status.Available)
		time.Sleep(2 * time.Minute)
		seen := steps(c.history(t, connection("x-1")))
		if !strings.HasSuffix(seen, "provisioned.available") {
			t.Errorf("while one is frozen the other sees %s", seen)
		}
		close(thaw)
		time.Sleep(time.Hour)
		if got := steps(c.history(t, connection("x-1"))); got != seen {
			t.Errorf("after he went on there is %s, want nothing besides %s", got, seen)
		}
		c.poller(t)
	})
}
