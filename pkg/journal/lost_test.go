package journal_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/testenv"
)

// misled is a way to a server on which the first request of a word goes to somebody who
// never answers.
type misled struct {
	net.Conn
	server      string
	word, other []byte
	done        atomic.Bool
}

func (m *misled) InProcessConn() (net.Conn, error) {
	u, err := url.Parse(m.server)
	if err != nil {
		return nil, err
	}
	m.Conn, err = net.Dial("tcp", u.Host)
	return m, err
}

func (m *misled) Write(b []byte) (int, error) {
	if bytes.Contains(b, m.word) && !m.done.Swap(true) {
		b = bytes.Replace(b, m.word, m.other, 1)
	}
	return m.Conn.Write(b)
}

// A client whose look at a stream is not answered looks again, however long it may wait.
func TestClientAsksAgain(t *testing.T) {
	t.Parallel()
	if testenv.Clustered() {
		t.Skip("about one server")
	}
	n := testenv.StartNATS(t)
	n.Open(t, journal.Config{}) // which makes the streams
	nc, err := nats.Connect(n.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe("nobody.>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	way := &misled{server: n.URL, word: []byte("$JS.API.STREAM.INFO.JOURNAL"), other: []byte("nobody.STREAM.INFO.JOURNALS")}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	start := time.Now()
	j, err := journal.Open(ctx, journal.Config{InProcess: way, Client: true})
	if err != nil {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
	j.Close()
	if !way.done.Load() {
		t.Error("the client never asked for the stream")
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it asked again after %v, want seconds", took)
	}
}
