package testenv

import (
	"bytes"
	"strings"
	"sync"
)

// Log keeps what is written to it, and may be read meanwhile.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Count is how often words were written.
func (l *Log) Count(words string) int { return strings.Count(l.String(), words) }
