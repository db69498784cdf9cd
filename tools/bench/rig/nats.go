// Package rig is what is measured on: NATS as one server or three, the sandbox exchange
// behind real sockets, and the product put together as `patchbay up` does it.
//
// Everything syncs to disk before it acknowledges, as when deployed, and keeps its files
// in a folder that the caller removes.
package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"patchbay.io/pkg/journal"
)

// NATS is one server, or a cluster of three whose streams have three replicas.
type NATS struct {
	nodes    []*server.Server // none if it is another process's
	url      string           // where that listens
	replicas int
}

// JoinNATS is one server that another process has started.
func JoinNATS(url string) *NATS { return &NATS{url: url, replicas: 1} }

// ready is how long a cluster gets to elect its leader.
const ready = 30 * time.Second

// StartNATS starts nodes servers that keep their streams below dir: 1 or 3.
func StartNATS(ctx context.Context, dir string, nodes int) (*NATS, error) {
	n := &NATS{replicas: nodes}
	ports, err := FreePorts(ctx, nodes)
	if err != nil {
		return nil, err
	}
	var routes []string
	for _, p := range ports {
		routes = append(routes, fmt.Sprintf("nats-route://127.0.0.1:%d", p))
	}
	for i, p := range ports {
		opts := &server.Options{
			ServerName: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, SyncAlways: true, StoreDir: filepath.Join(dir, fmt.Sprintf("nats-%d", i+1)),
			JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 64 << 20, NoSigs: true, NoLog: true,
		}
		if nodes > 1 {
			opts.Cluster = server.ClusterOpts{Name: "bench", Host: "127.0.0.1", Port: p}
			opts.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		}
		s, err := server.NewServer(opts)
		if err != nil {
			n.Stop()
			return nil, fmt.Errorf("NATS: %w", err)
		}
		s.Start()
		n.nodes = append(n.nodes, s)
	}
	return n, n.wait()
}

func (n *NATS) wait() error {
	deadline := time.Now().Add(ready)
	for _, s := range n.nodes {
		for !s.ReadyForConnections(time.Second) || n.replicas > 1 && !s.JetStreamIsCurrent() {
			if time.Now().After(deadline) {
				n.Stop()
				return errors.New("NATS is not ready after 30s")
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// Replicas of each stream.
func (n *NATS) Replicas() int { return n.replicas }

// Connect connects a client: within the process to one server of its own, else over sockets.
func (n *NATS) Connect() (*nats.Conn, error) {
	if len(n.nodes) == 1 {
		return nats.Connect("", nats.InProcessServer(n.nodes[0]))
	}
	return nats.Connect(n.URL())
}

// Journal says how the product connects.
func (n *NATS) Journal() journal.Config {
	if len(n.nodes) == 1 {
		return journal.Config{InProcess: n.nodes[0]}
	}
	return journal.Config{URL: n.URL(), Replicas: n.replicas}
}

// URL is where the servers listen.
func (n *NATS) URL() string {
	if len(n.nodes) == 0 {
		return n.url
	}
	var all []string
	for _, s := range n.nodes {
		all = append(all, s.ClientURL())
	}
	return strings.Join(all, ",")
}

// Stop ends the servers and waits for them.
func (n *NATS) Stop() {
	for _, s := range n.nodes {
		s.Shutdown()
	}
	for _, s := range n.nodes {
		s.WaitForShutdown()
	}
}

// FreePorts returns ports of the loopback interface that nobody listens on.
func FreePorts(ctx context.Context, n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // it was only to find a free port
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
