// Package embedded runs NATS and Redis inside this process: the real nats-server with
// JetStream, and miniredis. `patchbay up` and the tests stand on it; separate services
// never link it.
//
// What NATS acknowledges is on disk before it says so, unless [NATSConfig.Relaxed] is
// set. Redis is in memory only, which is all that a view needs.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/rs/zerolog"
)

// NATSConfig says where the server keeps its streams and where it listens.
type NATSConfig struct {
	// Dir keeps the streams. Required.
	Dir string
	// Addr is host:port to listen on; port 0 picks one. Empty means not to listen at all:
	// only this process can connect, by [NATS.InProcessConn].
	Addr string
	// Relaxed lets the server acknowledge before it has synced to disk.
	Relaxed bool
	// Log gets the server's warnings and errors. The zero Log drops them.
	Log zerolog.Logger
}

// NATS is a running server.
type NATS struct {
	cfg NATSConfig // with the port that was picked

	mu  sync.Mutex // nobody connects while it is started anew
	srv *server.Server
}

// StartNATS starts a server and waits until it takes connections.
func StartNATS(cfg NATSConfig) (*NATS, error) {
	srv, err := start(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Addr != "" {
		cfg.Addr = srv.Addr().String()
	}
	return &NATS{cfg: cfg, srv: srv}, nil
}

func start(cfg NATSConfig) (*server.Server, error) {
	opts := &server.Options{
		ServerName: "patchbay", JetStream: true, StoreDir: cfg.Dir, SyncAlways: !cfg.Relaxed,
		NoSigs: true, NoLog: true, DontListen: cfg.Addr == "",
		JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 64 << 20,
	}
	if cfg.Addr != "" {
		host, port, err := net.SplitHostPort(cfg.Addr)
		if err != nil {
			return nil, fmt.Errorf("NATS address %q: %w", cfg.Addr, err)
		}
		if opts.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("NATS address %q: %q is no port; want host:port, as in 127.0.0.1:4222", cfg.Addr, port)
		}
		if opts.Host = host; opts.Port == 0 {
			opts.Port = server.RANDOM_PORT
		}
		if err := free(cfg.Addr); err != nil {
			return nil, fmt.Errorf("NATS address %s: %w", cfg.Addr, err)
		}
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("NATS: %w", err)
	}
	srv.SetLogger(lines{cfg.Log}, false, false)
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		srv.Shutdown()
		return nil, errors.New("NATS did not start within 10s")
	}
	return srv, nil
}

// free reports why nobody can listen on addr. The server itself would try for long and
// say nothing.
func free(addr string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// InProcessConn connects without a socket.
func (n *NATS) InProcessConn() (net.Conn, error) { return n.server().InProcessConn() }

// URL is where the server listens.
func (n *NATS) URL() string { return n.server().ClientURL() }

// Stop ends the server and waits for it. Stop [NATS.Keep] first.
func (n *NATS) Stop() { stop(n.server()) }

func (n *NATS) server() *server.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.srv
}

func stop(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}

// KeepTime starts the server's clock goroutine outside of any testing/synctest bubble.
// A test that starts a server in a bubble calls it in TestMain.
func KeepTime() { ats.Register() }

// Redis is a running miniredis. Its keys do not expire by themselves: to do so it would
// look through all of them at each command.
type Redis struct {
	m *miniredis.Miniredis

	mu      sync.Mutex
	stopped bool
}

// StartRedis listens on addr; "" keeps it off the network.
func StartRedis(addr string) (*Redis, error) {
	m := miniredis.NewMiniRedis()
	if addr != "" {
		if err := m.StartAddr(addr); err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
	}
	return &Redis{m: m}, nil
}

// Dial connects without a socket. It fails once the server is stopped.
func (r *Redis) Dial() (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil, net.ErrClosed
	}
	c, err := r.m.Dial()
	if err != nil {
		return nil, err
	}
	return newLine(c), nil
}

// Addr is where it listens.
func (r *Redis) Addr() string { return r.m.Addr() }

// Flush forgets everything.
func (r *Redis) Flush() { r.m.FlushAll() }

// Stop ends the server. It may be called again.
func (r *Redis) Stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.m.Close()
}
