package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// A link is a way to a server that can be cut, held up and delayed: a relay on a port of
// its own. What is held up is not lost, as on a network that comes back before the two
// ends give up.
type link struct {
	name string
	to   string
	ln   net.Listener

	mu      sync.Mutex
	how     weather
	changed chan struct{} // closed when how has changed
	conns   map[*net.TCPConn]bool
	work    sync.WaitGroup
}

// weather is how a link is; the zero weather is fine.
type weather struct {
	cut   bool // connections are reset, new ones too
	held  bool // nothing passes until it is over
	delay time.Duration
	over  bool // the link is closed for good
}

func newLink(name, to string) (*link, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{name: name, to: to, ln: ln, changed: make(chan struct{}), conns: map[*net.TCPConn]bool{}}
	l.work.Go(l.accept)
	return l, nil
}

func (l *link) addr() string { return l.ln.Addr().String() }

// set changes the weather.
func (l *link) set(how weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.how = how
	close(l.changed)
	l.changed = make(chan struct{})
	if how.cut || how.over {
		for c := range l.conns {
			reset(c)
		}
	}
}

func (l *link) close() {
	_ = l.ln.Close() // accept ends with it
	l.set(weather{over: true})
	l.work.Wait()
}

// reset closes a connection such that the other end sees an error, not an end.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // if it is closed already, that is as well
	_ = c.Close()
}

func (l *link) accept() {
	for {
		c, err := l.ln.Accept()
		if err != nil {
			return // closed
		}
		l.work.Go(func() { l.relay(c.(*net.TCPConn)) })
	}
}

// enter registers a connection, or resets it if none may be.
func (l *link) enter(c *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.how.cut || l.how.over {
		reset(c)
		return false
	}
	l.conns[c] = true
	return true
}

func (l *link) leave(c *net.TCPConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	_ = c.Close() // it may be closed
}

func (l *link) relay(near *net.TCPConn) {
	if !l.enter(near) {
		return
	}
	defer l.leave(near)
	if !l.pass() {
		return
	}
	d := net.Dialer{Timeout: 5 * time.Second}
	c, err := d.Dial("tcp", l.to)
	if err != nil {
		reset(near) // the server is down
		return
	}
	far := c.(*net.TCPConn)
	if !l.enter(far) {
		return
	}
	defer l.leave(far)
	var both sync.WaitGroup
	both.Go(func() { l.carry(far, near) })
	both.Go(func() { l.carry(near, far) })
	both.Wait()
}

// parcel is what was read at once, and when it is due at the other end.
type parcel struct {
	b   []byte
	due time.Time
}

// carry copies src to dst, and an end or an error too.
func (l *link) carry(dst, src *net.TCPConn) {
	queue := make(chan parcel, 64)
	go func() { // it ends with src
		defer close(queue)
		for {
			b := make([]byte, 16<<10)
			n, err := src.Read(b)
			if n > 0 {
				queue <- parcel{b[:n], time.Now().Add(l.delay())}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range queue {
		time.Sleep(time.Until(p.due)) // at most the delay of a fault
		if !l.pass() {
			break
		}
		if _, err := dst.Write(p.b); err != nil {
			break
		}
	}
	if _, more := <-queue; more { // one end is gone, so the other goes too
		reset(src)
		reset(dst)
		for range queue {
			continue // what is left is for nobody
		}
	}
	_ = dst.CloseWrite() // the end; if it is reset already, that is as well
}

func (l *link) delay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.how.delay
}

// pass waits while the link is held up, and reports whether it is still there.
func (l *link) pass() bool {
	for {
		l.mu.Lock()
		how, changed := l.how, l.changed
		l.mu.Unlock()
		if !how.held {
			return !how.cut && !how.over
		}
		<-changed
	}
}
