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

// Unheard is a way to a server of n on which a request of JetStream's API gets lost once: the
// first of subject, which begins with "$JS.API.", goes where nobody listens.
func (n NATS) Unheard(subject string) journal.InProcess {
	first, _, _ := strings.Cut(n.URL, ",")
	other := strings.Replace(subject, "$JS.API.", "nobodys.", 1) // as long, so nothing else moves
	return &line{server: first, word: []byte(subject), other: []byte(other)}
}

type line struct {
	net.Conn
	server string
	word   []byte
	before func() // optional
	other  []byte // optional, in place of word
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
		if l.before != nil {
			l.before()
		}
		if l.other != nil {
			b = bytes.Replace(b, l.word, l.other, 1)
		}
	}
	return l.Conn.Write(b)
}
