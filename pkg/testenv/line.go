package testenv

import (
	"bytes"
	"net"
	"net/url"
	"strings"
	"sync/atomic"

	"patchbay.io/pkg/journal"
)

// Interrupted is a way to a server of n, for a [journal.Config], on which before happens
// once: right before the first message with word in it is sent.
func (n NATS) Interrupted(word string, before func()) journal.InProcess {
	first, _, _ := strings.Cut(n.URL, ",")
	return &line{server: first, word: []byte(word), before: before}
}

type line struct {
	net.Conn
	server string
	word   []byte
	before func()
	gone   atomic.Bool
}

// InProcessConn connects.
func (l *line) InProcessConn() (net.Conn, error) {
	u, err := url.Parse(l.server)
	if err != nil {
		return nil, err
	}
	l.Conn, err = net.Dial("tcp", u.Host)
	return l, err
}

// Write looks for the word.
func (l *line) Write(b []byte) (int, error) {
	if bytes.Contains(b, l.word) && !l.gone.Swap(true) {
		l.before()
	}
	return l.Conn.Write(b)
}
