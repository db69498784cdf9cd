package simulation

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// errReset is what both ends of a cut connection see.
var errReset = errors.New("connection reset by peer")

// A network is a listener and the connections to it, all in memory and buffered, so that
// a write does not wait for its reader and a cut can fall between the two. It blocks on
// channels and timers only, and therefore works in virtual time.
type network struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newNetwork() *network {
	return &network{accept: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept, Close and Addr make it a [net.Listener].
func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.accept:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

func (n *network) Addr() net.Addr { return memory{} }

type memory struct{}

func (memory) Network() string { return "memory" }
func (memory) String() string  { return "memory" }

// A line is what one process has of connections; cutting it cuts all of them.
type line struct {
	mu    sync.Mutex
	conns map[interface{ cut() }]bool
	dead  bool
	// wrote, if set, is told before and after each write to the other side.
	wrote func(point string)
}

func newLine() *line { return &line{conns: map[interface{ cut() }]bool{}} }

func (l *line) add(c interface{ cut() }) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return errReset
	}
	l.conns[c] = true
	return nil
}

// cut breaks every connection; new ones may be made, unless dead.
func (l *line) cut(dead bool) {
	l.mu.Lock()
	conns := l.conns
	l.conns = map[interface{ cut() }]bool{}
	l.dead = l.dead || dead
	l.mu.Unlock()
	for c := range conns {
		c.cut()
	}
}

// dial connects l to n.
func (n *network) dial(ctx context.Context, l *line) (net.Conn, error) {
	there, back := newBuffer(), newBuffer()
	client := &conn{in: back, out: there, wrote: l.wrote}
	server := &conn{in: there, out: back}
	if err := l.add(client); err != nil {
		return nil, err
	}
	select {
	case n.accept <- server:
		return client, nil
	case <-n.closed:
		return nil, errReset
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// conn is one end of a connection.
type conn struct {
	in, out *buffer
	wrote   func(string)
}

func (c *conn) Read(p []byte) (int, error) { return c.in.read(p) }

func (c *conn) Write(p []byte) (int, error) {
	if c.wrote != nil {
		c.wrote("write.before")
	}
	n, err := c.out.write(p)
	if c.wrote != nil {
		c.wrote("write.after")
	}
	return n, err
}

func (c *conn) Close() error {
	c.in.end(net.ErrClosed)
	c.out.end(io.EOF)
	return nil
}

func (c *conn) cut() {
	c.in.end(errReset)
	c.out.end(errReset)
}

func (c *conn) LocalAddr() net.Addr  { return memory{} }
func (c *conn) RemoteAddr() net.Addr { return memory{} }

func (c *conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil
}

// SetWriteDeadline does nothing: a write never waits.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// buffer is one direction of a connection.
type buffer struct {
	mu       sync.Mutex
	data     []byte
	err      error
	changed  chan struct{}
	deadline time.Time
	timer    *time.Timer
}

func newBuffer() *buffer { return &buffer{changed: make(chan struct{})} }

// wake tells everybody who waits that something changed. Called with mu held.
func (b *buffer) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *buffer) read(p []byte) (int, error) {
	for {
		b.mu.Lock()
		// What was written before an orderly end is read first; a reset loses it.
		if len(b.data) > 0 && (b.err == nil || errors.Is(b.err, io.EOF)) {
			n := copy(p, b.data)
			b.data = b.data[n:]
			b.mu.Unlock()
			return n, nil
		}
		err, changed := b.err, b.changed
		if err == nil && !b.deadline.IsZero() && !time.Now().Before(b.deadline) {
			err = os.ErrDeadlineExceeded
		}
		b.mu.Unlock()
		if err != nil {
			return 0, err
		}
		<-changed
	}
}

func (b *buffer) write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, errReset
	}
	b.data = append(b.data, p...)
	b.wake()
	return len(p), nil
}

func (b *buffer) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
		b.wake()
	}
	if b.timer != nil {
		b.timer.Stop()
	}
}

func (b *buffer) setDeadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	b.deadline = t
	// A time that is over needs no timer: the readers below see it. The runtime runs such a
	// timer of a bubble on a stack where the race detector crashes.
	if !t.IsZero() && b.err == nil && time.Until(t) > 0 {
		b.timer = time.AfterFunc(time.Until(t), func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.wake()
		})
	}
	b.wake()
}

// borrowed is a connection made by somebody else, such as nats-server's pipe, that can be
// cut and held up.
type borrowed struct {
	net.Conn
	delay func() time.Duration
	made  time.Time
}

// greeting is how long after its making a connection is not held up: the NATS client
// shakes hands with its lock held, and a sleep in there would stop virtual time.
const greeting = time.Second

func (b *borrowed) cut() { _ = b.Close() } // closing is the cut

func (b *borrowed) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if b.delay != nil && time.Since(b.made) > greeting {
		if d := b.delay(); d > 0 {
			time.Sleep(d)
		}
	}
	return n, err
}
