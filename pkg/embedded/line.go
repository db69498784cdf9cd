package embedded

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// line is a client's end of a connection to a server that writes each answer before it reads
// the next command. The server never waits for the client to read, as with a socket: a
// client that first writes many commands and then reads their answers would wait for ever.
type line struct {
	net.Conn // what the server answers
	server   net.Conn
}

// newLine makes server's other end a line.
func newLine(server net.Conn) net.Conn {
	near, far := net.Pipe()
	go func() {
		relay(far, server)
		_ = far.Close()    // the client reads that the server is gone
		_ = server.Close() // and the server that the client is
	}()
	return &line{near, server}
}

// relay copies src to dst until either ends, and reads on while dst waits.
func relay(dst io.Writer, src io.Reader) {
	var (
		mu   sync.Mutex
		held []byte
		more = make(chan struct{}, 1)
	)
	go func() {
		defer close(more)
		b := make([]byte, 4096)
		for {
			n, err := src.Read(b)
			mu.Lock()
			held = append(held, b[:n]...)
			mu.Unlock()
			select {
			case more <- struct{}{}:
			default: // said already
			}
			if err != nil {
				return
			}
		}
	}()
	for range more {
		mu.Lock()
		out := held
		held = nil
		mu.Unlock()
		if _, err := dst.Write(out); err != nil {
			return
		}
	}
}

func (l *line) Write(b []byte) (int, error) { return l.server.Write(b) }

func (l *line) Close() error { return errors.Join(l.server.Close(), l.Conn.Close()) }

func (l *line) SetDeadline(t time.Time) error {
	return errors.Join(l.SetReadDeadline(t), l.SetWriteDeadline(t))
}

func (l *line) SetWriteDeadline(t time.Time) error { return l.server.SetWriteDeadline(t) }
