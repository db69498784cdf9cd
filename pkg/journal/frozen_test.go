package journal_test

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/embedded"
	"patchbay.io/pkg/journal"
)

// frozen connects to a server whose answers stop to come once ice is closed, on the
// connections that there are then. It takes no others: who waits for the first word of one
// has the client locked, and in a bubble that would stop the time.
type frozen struct {
	*embedded.NATS
	ice chan struct{}
}

func (f frozen) InProcessConn() (net.Conn, error) {
	select {
	case <-f.ice:
		return nil, net.ErrClosed
	default:
	}
	c, err := f.NATS.InProcessConn()
	return &icy{Conn: c, ice: f.ice, closed: make(chan struct{})}, err
}

type icy struct {
	net.Conn
	ice, closed chan struct{}
	once        sync.Once
}

func (c *icy) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.ice:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c *icy) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A server that is frozen answers nothing and breaks no connection. It is left within half a
// minute.
func TestFrozenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := embedded.StartNATS(embedded.NATSConfig{Dir: t.TempDir(), Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		ice := make(chan struct{})
		j, err := journal.Open(t.Context(), journal.Config{InProcess: frozen{s, ice}, MaxBytes: 1 << 24})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		time.Sleep(time.Minute)
		if err := j.Healthy(); err != nil {
			t.Fatalf("before: %v", err)
		}
		close(ice)
		began := time.Now()
		for j.Healthy() == nil {
			if time.Since(began) > time.Hour {
				t.Fatal("a frozen server was not noticed within an hour")
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > 40*time.Second {
			t.Errorf("a frozen server was noticed after %v, want half a minute", took)
		}
	})
}
