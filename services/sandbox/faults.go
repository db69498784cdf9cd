package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kinds of fault. "Commits" means that what was asked for is done at the exchange.
const (
	LostAnswer   = "lost-answer"   // commits, then the connection closes without an answer
	ResetBefore  = "reset-before"  // the connection closes before anything is done
	ErrorBefore  = "error-before"  // a 5xx, nothing done
	ErrorAfter   = "error-after"   // commits, then a 5xx
	Throttle     = "throttle"      // 429, nothing done; Retry-After if the fault has one
	Slow         = "slow"          // waits first; nothing is done if the client has gone by then
	SlowCommit   = "slow-commit"   // waits first and commits whether or not the client is still there
	SlowAnswer   = "slow-answer"   // commits at once, answers late
	ShowStatus   = "status"        // reads show another status or providerStatus
	Hide         = "hide"          // what the call creates appears in lists only after the delay
	Garbage      = "garbage"       // commits, then a 2xx with a body of no use
	Partial      = "partial"       // commits, then a 2xx without secondaryConnectionId
	ForeignError = "foreign-error" // a 4xx with somebody else's HTML, nothing done
	Redirect     = "redirect"      // 307, nothing done
)

// defaultStatus is the HTTP status of the kinds that answer instead of the exchange.
func defaultStatus(kind string) int {
	switch kind {
	case ErrorBefore, ErrorAfter:
		return 500
	case Throttle:
		return 429
	case Garbage:
		return 200
	case ForeignError:
		return 403
	case Redirect:
		return 307
	}
	return 0
}

func kinds() []string {
	return []string{LostAnswer, ResetBefore, ErrorBefore, ErrorAfter, Throttle, Slow, SlowCommit,
		SlowAnswer, ShowStatus, Hide, Garbage, Partial, ForeignError, Redirect}
}

// Match says which calls a fault is for. What is empty matches every call.
type Match struct {
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`   // an endpoint's template, or a prefix of the path called
	Action string `json:"action,omitempty"` // of a PATCH: Approve, Reject, update; at Fabric an action's type
	Tenant string `json:"tenant,omitempty"` // organization or client id
	// Name is a circuit's: in the body of a create, or of the circuit that the path
	// names. In lists it picks the circuits that a "status" fault shows differently.
	Name string `json:"name,omitempty"`
}

// Fault is scripted misbehaviour.
type Fault struct {
	ID         string        // given by the exchange
	Match      Match         // which calls
	Kind       string        // what happens to them
	Times      int           // how many; 0 means 1, -1 for ever
	Every      int           // only every nth matching call; 0 means each
	After      int           // spare the first n matching calls
	Status     int           // HTTP status instead of the kind's own
	RetryAfter time.Duration // header of a throttle, in whole seconds; 0 means none
	Delay      time.Duration // of the slow kinds and of hide
	Body       string        // answer instead of the kind's own
	Value      string        // of "status": STATUS or STATUS/PROVIDERSTATUS; of redirect: where to
	Seen       int           // matching calls so far
	Applied    int           // calls it happened to so far
}

type faultText struct {
	ID         string `json:"id,omitempty"`
	Match      Match  `json:"match"`
	Kind       string `json:"kind"`
	Times      int    `json:"times,omitempty"`
	Every      int    `json:"every,omitempty"`
	After      int    `json:"after,omitempty"`
	Status     int    `json:"status,omitempty"`
	RetryAfter span   `json:"retryAfter,omitempty"`
	Delay      span   `json:"delay,omitempty"`
	Body       string `json:"body,omitempty"`
	Value      string `json:"value,omitempty"`
	Seen       int    `json:"seen"`
	Applied    int    `json:"applied"`
}

// MarshalJSON writes durations as text.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(faultText{f.ID, f.Match, f.Kind, f.Times, f.Every, f.After, f.Status,
		span(f.RetryAfter), span(f.Delay), f.Body, f.Value, f.Seen, f.Applied})
}

// UnmarshalJSON refuses fields that a fault does not have.
func (f *Fault) UnmarshalJSON(b []byte) error {
	var t faultText
	if err := strict(b, &t); err != nil {
		return err
	}
	*f = Fault{t.ID, t.Match, t.Kind, t.Times, t.Every, t.After, t.Status,
		time.Duration(t.RetryAfter), time.Duration(t.Delay), t.Body, t.Value, t.Seen, t.Applied}
	return nil
}

// call is what a match looks at.
type call struct {
	method, template, path, action string
	tenant                         *tenant
	names                          []string // of the circuits concerned; nil in lists
	list                           bool
	read                           bool // a GET of circuits
}

func (m Match) fits(c call, kind string) bool {
	switch {
	case m.Method != "" && !strings.EqualFold(m.Method, c.method),
		m.Path != "" && m.Path != c.template && !strings.HasPrefix(c.path, m.Path),
		m.Action != "" && !strings.EqualFold(m.Action, c.action):
		return false
	case m.Tenant != "" && (c.tenant == nil || !m.of(c.tenant)):
		return false
	case kind == ShowStatus && !c.read:
		return false
	case m.Name == "" || kind == ShowStatus && c.list:
		return true
	}
	return slices.Contains(c.names, m.Name)
}

// faultList is the faults in the order in which they were added.
type faultList struct {
	mu    sync.Mutex
	count int
	list  []*Fault
}

// pick returns the fault that happens to c, or nil. The first that wants the call
// takes it; those after it do not see it.
func (l *faultList) pick(c call) *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.list {
		if f.Times >= 0 && f.Applied >= max(f.Times, 1) || !f.Match.fits(c, f.Kind) {
			continue
		}
		f.Seen++
		if n := f.Seen - f.After; n <= 0 || n%max(f.Every, 1) != 0 {
			continue
		}
		f.Applied++
		applied := *f
		return &applied
	}
	return nil
}

// AddFault scripts f and returns its id. One that could never happen is refused; the error is
// [Mistakes].
func (x *Exchange) AddFault(f Fault) (string, error) {
	if err := x.checkFault(f).err(); err != nil {
		return "", err
	}
	l := &x.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	f.ID, f.Seen, f.Applied = fmt.Sprintf("fault-%d", l.count), 0, 0
	l.list = append(l.list, &f)
	return f.ID, nil
}

// Faults lists the scripted faults, the exhausted ones too.
func (x *Exchange) Faults() []Fault {
	l := &x.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Fault, 0, len(l.list))
	for _, f := range l.list {
		out = append(out, *f)
	}
	return out
}

// ClearFaults takes the named faults away, or all if none is named.
func (x *Exchange) ClearFaults(ids ...string) {
	l := &x.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = slices.DeleteFunc(l.list, func(f *Fault) bool {
		return len(ids) == 0 || slices.Contains(ids, f.ID)
	})
}
