package load

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
)

// memory is a network of its own.
type memory struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newMemory() *memory { return &memory{conns: make(chan net.Conn), done: make(chan struct{})} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case m.conns <- far:
		return near, nil
	case <-m.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept, Close and Addr make it a [net.Listener].
func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.done) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{} }

// counter counts the calls that pass, by endpoint and purpose, and the bytes of the answers.
type counter struct {
	next  http.Handler
	bytes atomic.Int64

	mu    sync.Mutex
	calls map[string]int
}

// ServeHTTP implements [http.Handler].
func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	what := describe(r, string(body))
	c.mu.Lock()
	c.calls[what]++
	c.mu.Unlock()
	c.next.ServeHTTP(&counted{w, &c.bytes}, r)
}

type counted struct {
	http.ResponseWriter
	bytes *atomic.Int64
}

func (w *counted) Write(p []byte) (int, error) {
	w.bytes.Add(int64(len(p)))
	return w.ResponseWriter.Write(p)
}

// reset starts to count anew and returns what was counted.
func (c *counter) reset() (calls map[string]int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls, c.calls = c.calls, map[string]int{}
	return calls, c.bytes.Swap(0)
}

// fullSweep ends the names of calls that list everything to find absences.
const fullSweep = ", all"

// identifier is a part of a path that names one thing.
var identifier = regexp.MustCompile(`/(PF-[^/]+|[0-9a-z-]{22,})`)

// describe names a call by its endpoint, and a list by what it is for.
func describe(r *http.Request, body string) string {
	what := r.Method + " " + identifier.ReplaceAllString(r.URL.Path, "/{id}")
	switch {
	case strings.HasSuffix(what, "r/connections") && r.URL.Query().Get("status") == "":
		return what + fullSweep
	case strings.HasSuffix(what, "r/connections"):
		return what + ", in motion"
	case !strings.HasSuffix(what, "/connections/search"):
		return what
	case strings.Contains(body, "updatedDateTime"):
		return what + ", changed"
	case strings.Contains(body, `"/uuid"`):
		return what + ", by ids"
	default:
		return what + fullSweep
	}
}
