// Package testenv gives each test servers of its own: the real nats-server, and Redis as
// miniredis plays it, with nothing to install.
//
// Two environment variables put the same tests on the real things:
// PATCHBAY_TEST_NATS=cluster runs a three-node cluster with three replicas of each
// stream, linked into the test's process; PATCHBAY_TEST_REDIS=redis://host:port uses that
// server, of which each test gets and empties one database.
//
// Only _test.go files may import it.
package testenv

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/journal"
)

// NATS is a server, or a cluster, for one test.
type NATS struct {
	// URL of all nodes, comma-separated.
	URL      string
	Replicas int
	// Nodes of the cluster; nil where there is one server.
	Nodes []*server.Server
}

// Clustered reports whether tests run on a three-node cluster.
func Clustered() bool { return os.Getenv("PATCHBAY_TEST_NATS") == "cluster" }

// StartNATS starts what the environment asks for.
func StartNATS(t testing.TB) NATS {
	t.Helper()
	if Clustered() {
		return StartCluster(t)
	}
	s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Addr: "127.0.0.1:0", Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return NATS{URL: s.URL(), Replicas: 1}
}

// StartCluster starts three nodes with JetStream, whatever the environment says.
func StartCluster(t testing.TB) NATS {
	t.Helper()
	// Nodes have to know each other's ports before they listen, so one may be somebody else's
	// by then; a cluster that does not get together is started anew, on other ports.
	for range 3 {
		if n, ok := startCluster(t); ok {
			return n
		}
	}
	t.Fatal("three clusters had no leader after 20s")
	return NATS{}
}

// startCluster reports whether the nodes have come together in time. If not, they are stopped.
func startCluster(t testing.TB) (n NATS, ok bool) {
	t.Helper()
	n.Replicas = 3
	var routes, urls []string
	ports := freePorts(t, 3)
	for _, p := range ports {
		routes = append(routes, fmt.Sprintf("nats-route://127.0.0.1:%d", p))
	}
	for i, p := range ports {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, JetStreamMaxStore: 1 << 40,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: p},
			Routes:  server.RoutesFromStr(strings.Join(routes, ",")),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		n.Nodes = append(n.Nodes, s)
		t.Cleanup(func() { stop(s) })
	}
	deadline := time.Now().Add(20 * time.Second)
	for _, s := range n.Nodes {
		for !s.ReadyForConnections(time.Second) || !s.JetStreamIsCurrent() {
			if time.Now().After(deadline) {
				for _, s := range n.Nodes {
					stop(s)
				}
				return NATS{}, false
			}
			time.Sleep(20 * time.Millisecond)
		}
		urls = append(urls, s.ClientURL())
	}
	n.URL = strings.Join(urls, ",")
	return n, true
}

// Settle waits until every node of a cluster has all that the others have. Without it a
// reader whose consumer lives on a node that is behind is given what was purged just now.
func (n NATS) Settle(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for len(n.Nodes) > 0 {
		have := map[string]bool{}
		for _, s := range n.Nodes {
			z, err := s.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
			if err != nil {
				t.Fatal(err)
			}
			var state []string
			for _, a := range z.AccountDetails {
				for _, m := range a.Streams {
					state = append(state, fmt.Sprint(m.Name, m.State.Msgs, m.State.FirstSeq, m.State.LastSeq, m.State.NumDeleted))
				}
			}
			slices.Sort(state)
			have[strings.Join(state, " ")] = true
		}
		if len(have) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 20s the nodes still have %v", slices.Collect(maps.Keys(have)))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// Journal opens an empty journal of the test's own.
func Journal(t testing.TB) *journal.Journal {
	t.Helper()
	return StartNATS(t).Open(t, journal.Config{})
}

// Open opens the journal at n; cfg may add a probe or a log.
func (n NATS) Open(t testing.TB, cfg journal.Config) *journal.Journal {
	t.Helper()
	cfg.URL, cfg.Replicas = n.URL, n.Replicas
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 256 << 20
	}
	if testing.Verbose() {
		cfg.Log = zerolog.New(zerolog.NewTestWriter(t))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	j, err := journal.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j
}

// Redis is a server for one test.
type Redis struct {
	URL string
	// Flush forgets everything.
	Flush func()
	// Stop ends the server; on a real one it does nothing and reports false.
	Stop func() bool
}

var databases atomic.Int32

// StartRedis starts what the environment asks for.
func StartRedis(t testing.TB) Redis {
	t.Helper()
	real := os.Getenv("PATCHBAY_TEST_REDIS")
	if real == "" {
		r, err := embedded.StartRedis("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Stop)
		return Redis{
			URL: "redis://" + r.Addr(), Flush: r.Flush,
			Stop: func() bool { r.Stop(); return true },
		}
	}
	u, err := url.Parse(real)
	if err != nil {
		t.Fatalf("PATCHBAY_TEST_REDIS: %v", err)
	}
	// Packages run at the same time; CI gives redis-server enough databases.
	u.Path = fmt.Sprintf("/%d", (os.Getpid()%500)*8+int(databases.Add(1))%8)
	opts, err := redis.ParseURL(u.String())
	if err != nil {
		t.Fatalf("PATCHBAY_TEST_REDIS: %v", err)
	}
	c := redis.NewClient(opts)
	flush := func() {
		if err := c.FlushDB(context.Background()).Err(); err != nil {
			t.Errorf("flush %s: %v", u, err)
		}
	}
	flush()
	t.Cleanup(func() {
		flush()
		_ = c.Close() // nothing to do about it
	})
	return Redis{URL: u.String(), Flush: flush, Stop: func() bool { return false }}
}
