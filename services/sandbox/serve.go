package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds what a client may send.
const maxBody = 1 << 20

// op is one operation of an API.
type op struct {
	auth   bool     // needs a bearer token
	list   bool     // shows many circuits
	read   bool     // shows circuits
	speaks *dialect // nil: that of ECX
	run    func(*request) answer
}

// dialect is how an API says what every API has to say. What is nil is said as ECX
// says it.
type dialect struct {
	names        func(*request) []string              // of the circuits that a call is about
	unauthorized func() answer                        // no token, or a bad one
	tooLarge     func() answer                        // a body that could not be read
	instead      func(kind string, status int) string // body of a fault's answer
	partial      func(body any) any                   // body without one of its ids
}

// request is one call to an operation.
type request struct {
	*http.Request
	body []byte
	who  *tenant // nil only where the operation needs no token
	hide time.Duration
	show showing
}

// showing is how a fault makes circuits look. Empty words leave a circuit's own.
type showing struct{ name, status, providerStatus, state string }

// word is what a word of a fault shows: two quotation marks stand for the empty word.
func (s showing) word(w string) string {
	if w == `""` {
		return ""
	}
	return w
}

// answer is what an operation says. A nil body is an empty one.
type answer struct {
	status  int
	body    any
	created []string // ids of the circuits that the call made
	header  http.Header
}

// endpoint serves o: it tells who calls, lets a fault happen, and keeps count.
func (x *Exchange) endpoint(o op) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			// The client went away in the middle of its request, or sent far too much.
			a := answer{status: http.StatusRequestEntityTooLarge, body: violation{
				Code: "IC-LAYER2-413", Message: "Request body could not be read"}}
			if o.speaks != nil && o.speaks.tooLarge != nil {
				a = o.speaks.tooLarge()
			}
			writeJSON(w, a.status, a.body)
			return
		}
		q := &request{Request: r, body: body, who: x.caller(r, body)}
		s := &served{exchange: x, op: o, request: q, start: start, call: x.describe(o, q)}
		s.fault = x.faults.pick(s.call)
		s.serve(w)
	})
}

// describe says what faults are matched with.
func (x *Exchange) describe(o op, q *request) call {
	c := call{method: q.Method, template: template(q.Request), path: q.URL.Path,
		action: q.URL.Query().Get("action"), tenant: q.who, list: o.list, read: o.read}
	if strings.HasSuffix(c.template, "/actions") {
		var typed struct{ Type string }
		// A body that is no JSON has no type; the operation says what is wrong with it.
		_ = json.Unmarshal(q.body, &typed)
		c.action = typed.Type
	}
	if o.speaks != nil && o.speaks.names != nil {
		c.names = o.speaks.names(q)
		return c
	}
	if id := q.PathValue("uuid"); id != "" {
		x.lock()
		if circuit := x.circuits[id]; circuit != nil {
			c.names = append(c.names, circuit.name)
		}
		x.unlock()
		return c
	}
	if q.Method == http.MethodPost {
		var names struct{ PrimaryName, SecondaryName string }
		// A body that is no JSON has no names; the operation says what is wrong with it.
		_ = json.Unmarshal(q.body, &names)
		c.names = []string{names.PrimaryName, names.SecondaryName}
	}
	return c
}

// template is the endpoint's path with its variables.
func template(r *http.Request) string {
	if _, path, ok := strings.Cut(r.Pattern, " "); ok {
		return path
	}
	return r.Pattern
}

// served is one call on its way to an answer.
type served struct {
	exchange *Exchange
	op       op
	request  *request
	start    time.Time
	call     call
	fault    *Fault
	created  []string
}

func (s *served) kind() string {
	if s.fault == nil {
		return ""
	}
	return s.fault.Kind
}

func (s *served) serve(w http.ResponseWriter) {
	switch s.kind() {
	case ResetBefore:
		s.hangUp(w)
	case ErrorBefore, Throttle, ForeignError, Redirect:
		s.instead(w)
	case Slow:
		if s.wait(s.request.Context().Done()) {
			s.write(w, s.run())
			return
		}
		s.hangUp(w)
	case SlowCommit:
		if s.wait(nil) {
			s.write(w, s.run())
			return
		}
		s.hangUp(w)
	case LostAnswer:
		s.run()
		s.hangUp(w)
	case ErrorAfter, Garbage:
		s.run()
		s.instead(w)
	default:
		s.write(w, s.run())
	}
}

// wait sleeps for the fault's delay. It reports false if the exchange was closed or
// gone was closed before that.
func (s *served) wait(gone <-chan struct{}) bool {
	return s.exchange.sleep(s.fault.Delay, gone)
}

func (x *Exchange) sleep(d time.Duration, gone <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-gone:
		return false
	case <-x.done:
		return false
	}
}

// run does what was asked for.
func (s *served) run() answer {
	q := s.request
	if s.op.auth && q.who == nil {
		if s.op.speaks != nil && s.op.speaks.unauthorized != nil {
			return s.op.speaks.unauthorized()
		}
		return badBearer()
	}
	switch s.kind() {
	case Hide:
		q.hide = s.fault.Delay
	case ShowStatus:
		status, rest, _ := strings.Cut(s.fault.Value, "/")
		provider, state, _ := strings.Cut(rest, "/")
		q.show = showing{s.fault.Match.Name, status, provider, state}
	}
	a := s.op.run(q)
	s.created = a.created
	if s.kind() == Partial {
		a.body = s.partial(a.body)
	}
	return a
}

// partial is body without one of its ids.
func (s *served) partial(body any) any {
	if s.op.speaks != nil && s.op.speaks.partial != nil {
		return s.op.speaks.partial(body)
	}
	if m, ok := body.(saved); ok {
		m.SecondaryConnectionID = ""
		return m
	}
	return body
}

// write sends a, after the exchange's usual delay.
func (s *served) write(w http.ResponseWriter, a answer) {
	delay := s.exchange.Delays().Answer
	if s.kind() == SlowAnswer {
		delay += s.fault.Delay
	}
	if delay > 0 && !s.exchange.sleep(delay, s.request.Context().Done()) {
		s.hangUp(w)
		return
	}
	s.record(a.status)
	maps.Copy(w.Header(), a.header)
	writeJSON(w, a.status, correlate(a.body, s.request))
}

// instead sends the fault's answer.
func (s *served) instead(w http.ResponseWriter) {
	f, h := s.fault, w.Header()
	status := defaultStatus(f.Kind)
	if f.Status != 0 {
		status = f.Status
	}
	body := f.Body
	switch f.Kind {
	case Throttle:
		if f.RetryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
		}
	case Redirect:
		h.Set("Location", s.request.URL.RequestURI())
		if f.Value != "" {
			h.Set("Location", f.Value)
		}
	}
	h.Set("Content-Type", "application/json")
	if f.Kind == ForeignError || f.Kind == Garbage && body == "" {
		h.Set("Content-Type", "text/html")
	}
	if body == "" && s.op.speaks != nil && s.op.speaks.instead != nil {
		body = s.op.speaks.instead(f.Kind, status)
	}
	if body == "" {
		body = defaultBody(f.Kind, status)
	}
	s.record(status)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the client may be gone; that is its business
}

func defaultBody(kind string, status int) string {
	switch kind {
	case ForeignError, Garbage:
		return fmt.Sprintf("<html><head><title>%d</title></head><body><h1>%s</h1></body></html>\n",
			status, http.StatusText(status))
	case Throttle:
		return `{"errorCode":"IC-LAYER2-429","errorMessage":"Request rejected due to rate limiting"}` + "\n"
	case Redirect:
		return ""
	}
	return `{"errorCode":"IC-LAYER2-500","errorMessage":"Internal Server Error"}` + "\n"
}

// hangUp closes the connection without an answer.
func (s *served) hangUp(w http.ResponseWriter) {
	s.record(0)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or no connection to close: the server's own way
	}
	_ = conn.Close() // the client shall see it break, one way or another
}

// record counts the call and logs it.
func (s *served) record(status int) {
	took := time.Since(s.start)
	c := Call{At: s.start.UTC(), Endpoint: s.call.method + " " + s.call.template, Path: s.call.path,
		Action: s.call.action, Status: status, Fault: s.kind(), Created: s.created,
		TookMS: float64(took.Microseconds()) / 1000}
	if s.call.tenant != nil {
		c.Tenant = s.call.tenant.org
	}
	s.exchange.calls.add(c)
	s.exchange.log.Debug().Str("endpoint", c.Endpoint).Str("path", c.Path).Str("tenant", c.Tenant).
		Int("status", status).Str("fault", c.Fault).Dur("took", took).Msg("request")
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		panic(err) // a body of ours that is no JSON
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client may be gone; that is its business
}

// strict decodes b into v and refuses what v has no place for.
func strict(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return fmt.Errorf("more than one JSON value")
	}
	return nil
}
