package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// callLog counts calls and remembers the last of them.
type callLog struct {
	mu     sync.Mutex
	counts map[callKey]*CallCount
	recent []Call // a ring once it is full
	next   int
}

type callKey struct{ endpoint, tenant string }

// recentCalls is how many calls are remembered one by one.
const recentCalls = 1000

// CallCount counts the calls of one tenant to one endpoint.
type CallCount struct {
	Endpoint string         `json:"endpoint"` // method and path template
	Tenant   string         `json:"tenant"`   // organization, or empty when the caller is not known
	Calls    int            `json:"calls"`
	Created  int            `json:"created"`  // calls that created circuits, answered or not
	Circuits int            `json:"circuits"` // circuits created by them
	Answers  map[string]int `json:"answers"`  // by HTTP status; "none" where the connection was closed
}

// Call is one request and what became of it.
type Call struct {
	At       time.Time `json:"at"`
	Endpoint string    `json:"endpoint"`
	Path     string    `json:"path"`
	Action   string    `json:"action,omitempty"`
	Tenant   string    `json:"tenant"`
	Status   int       `json:"status"` // 0: closed without an answer
	TookMS   float64   `json:"tookMs"`
	Fault    string    `json:"fault,omitempty"` // kind
	Created  []string  `json:"created,omitempty"`
}

// CallReport is what the exchange was asked since it began or calls were reset.
type CallReport struct {
	Total     int         `json:"total"`
	Created   int         `json:"created"` // creates that were done, answered or not
	Endpoints []CallCount `json:"endpoints"`
	Recent    []Call      `json:"recent"` // the last 1000, oldest first
}

func (l *callLog) add(c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = make(map[callKey]*CallCount)
	}
	k := callKey{c.Endpoint, c.Tenant}
	n := l.counts[k]
	if n == nil {
		n = &CallCount{Endpoint: c.Endpoint, Tenant: c.Tenant, Answers: make(map[string]int)}
		l.counts[k] = n
	}
	n.Calls++
	if len(c.Created) > 0 {
		n.Created++
		n.Circuits += len(c.Created)
	}
	status := "none"
	if c.Status != 0 {
		status = fmt.Sprint(c.Status)
	}
	n.Answers[status]++
	if len(l.recent) < recentCalls {
		l.recent = append(l.recent, c)
		return
	}
	l.recent[l.next] = c
	l.next = (l.next + 1) % recentCalls
}

// Calls reports the calls so far. Calls to the control API are not counted.
func (x *Exchange) Calls() CallReport {
	l := &x.calls
	l.mu.Lock()
	defer l.mu.Unlock()
	r := CallReport{
		Endpoints: []CallCount{},
		Recent:    append(slices.Clone(l.recent[l.next:]), l.recent[:l.next]...),
	}
	for _, n := range l.counts {
		c := *n
		c.Answers = maps.Clone(n.Answers)
		r.Endpoints = append(r.Endpoints, c)
		r.Total += c.Calls
		r.Created += c.Created
	}
	slices.SortFunc(r.Endpoints, func(a, b CallCount) int {
		return strings.Compare(a.Endpoint+"\n"+a.Tenant, b.Endpoint+"\n"+b.Tenant)
	})
	return r
}

// ResetCalls forgets the calls so far.
func (x *Exchange) ResetCalls() {
	l := &x.calls
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts, l.recent, l.next = nil, nil, 0
}
