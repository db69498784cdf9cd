package rig

import (
	"context"
	"net"

	"patchbay.io/pkg/embedded"
)

// Part is what of a system a process has.
type Part string

const (
	// Whole is everything.
	Whole Part = ""
	// Front is what outlives its workers: the stores, and the client that hands in intents and
	// learns what becomes of them.
	Front Part = "front"
	// Workers are the rest, on stores of another process.
	Workers Part = "workers"
)

// Place is where a system, or a part of one, is at work. Who starts the stores notes where they
// are, for a part in another process.
type Place struct {
	Part     Part
	Exchange Endpoint
	Dir      string // for its files

	NATS, Redis, Postgres, Temporal string
}

// NATSAt starts one NATS server for the place, or joins the one that is there.
func NATSAt(ctx context.Context, p *Place) (*NATS, error) {
	if p.Part == Workers {
		return JoinNATS(p.NATS), nil
	}
	n, err := StartNATS(ctx, p.Dir, 1)
	if err == nil {
		p.NATS = n.URL()
	}
	return n, err
}

// Redis is miniredis in this process, or that of another.
type Redis struct {
	own  *embedded.Redis // nil if it is another process's
	addr string
}

// RedisAt starts a Redis for the place, or joins the one that is there.
func RedisAt(p *Place) (*Redis, error) {
	if p.Part == Workers {
		return &Redis{addr: p.Redis}, nil
	}
	own, err := embedded.StartRedis("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.Redis = own.Addr()
	return &Redis{own: own}, nil
}

// Dial connects within the process if it can, else over a socket.
func (r *Redis) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if r.own != nil {
		return r.own.Dial()
	}
	return new(net.Dialer).DialContext(ctx, "tcp", r.addr)
}

// Stop ends it if it is this process's.
func (r *Redis) Stop() {
	if r.own != nil {
		r.own.Stop()
	}
}
