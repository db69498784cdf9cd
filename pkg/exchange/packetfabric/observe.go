package packetfabric

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// settling is how long after a request was provisioned its circuit, if it never was shown,
// may still be missing from what the exchange shows. After that it is gone.
const settling = 30 * time.Second

// refused is an answer in the exchange's own form to a call that changes nothing.
type refused struct {
	name, words string
	status      int
}

func (e *refused) Error() string { return fmt.Sprintf("%s: %d %s", e.name, e.status, e.words) }

// errAbsent reports that the exchange says there is no such thing.
var errAbsent = errors.New("not found")

// read makes a call that changes nothing and wants a 2xx. It returns errAbsent if the
// exchange says that there is no such thing.
func (c *Client) read(ctx context.Context, k wire.Call) (wire.Reply, error) {
	r, err := c.wire.Send(ctx, c.login, k)
	switch {
	case err != nil:
		return wire.Reply{}, fmt.Errorf("%s: %w", kind(k), err)
	case r.OK():
		return r, nil
	case r.Status == http.StatusTooManyRequests:
		return r, exchange.Throttled{After: r.RetryAfter()}
	case gone(r):
		return r, fmt.Errorf("%s: %w", kind(k), errAbsent)
	}
	if m, own := readMessage(r.Body); own {
		return r, &refused{name: kind(k), status: r.Status, words: m}
	}
	return r, fmt.Errorf("%s: %s", kind(k), r.Words())
}

// getRequest reads one request. It returns errAbsent if there is none.
func (c *Client) getRequest(ctx context.Context, uuid string, p exchange.Purpose) (request, wire.Reply, error) {
	k := call(http.MethodGet, v2, requests+"/{id}", p, uuid)
	r, err := c.read(ctx, k)
	if err != nil {
		return request{}, r, err
	}
	q, err := readRequest(r.Body)
	if err != nil {
		return request{}, r, malformed(k, err)
	}
	if q.UUID != wire.ID(uuid) {
		return request{}, r, malformed(k, fmt.Errorf("the exchange answered with %s", q.UUID))
	}
	c.known.became(uuid, string(q.Circuit))
	return q, r, nil
}

// getCircuit reads one circuit. It returns errAbsent if there is none.
func (c *Client) getCircuit(ctx context.Context, id string, p exchange.Purpose) (circuit, error) {
	k := call(http.MethodGet, v2, services+"/{id}", p, id)
	r, err := c.read(ctx, k)
	if err != nil {
		return circuit{}, err
	}
	v, err := readCircuit(r.Body)
	if err != nil {
		return circuit{}, malformed(k, err)
	}
	if v.ID != wire.ID(id) {
		return circuit{}, malformed(k, fmt.Errorf("the exchange answered with %s", v.ID))
	}
	c.known.saw(string(v.ID))
	return v, nil
}

// Get reads a circuit by the uuid of its request, or by its own id if it had none. An
// alias finds the circuit too, once its request was seen.
func (c *Client) Get(ctx context.Context, exchangeID string) (*patchbayv1.Connection, error) {
	if !event.ValidID(exchangeID) {
		return nil, fmt.Errorf("%q is no id of a circuit", exchangeID)
	}
	conn, err := c.get(ctx, exchangeID, exchange.ForWatch)
	if errors.Is(err, errAbsent) {
		return nil, fmt.Errorf("circuit %s: %w", exchangeID, exchange.ErrGone)
	}
	return conn, err
}

func (c *Client) get(ctx context.Context, id string, p exchange.Purpose) (*patchbayv1.Connection, error) {
	uuid := id
	if isCircuit(id) {
		if uuid = c.known.requestOf(id); uuid == "" {
			return c.getAlone(ctx, id, "", p)
		}
	}
	q, r, err := c.getRequest(ctx, uuid, p)
	switch circuit := c.known.circuitOf(uuid); {
	case errors.Is(err, errAbsent) && circuit != "":
		return c.getAlone(ctx, circuit, uuid, p)
	case err != nil:
		return nil, err
	case q.waiting() || q.Circuit == "":
		return q.connection(nil), nil
	}
	v, err := c.getCircuit(ctx, string(q.Circuit), p)
	if errors.Is(err, errAbsent) && c.coming(q, r) {
		return q.connection(nil), nil
	}
	if err == nil {
		v, err = c.inMotion(ctx, v)
	}
	if err != nil {
		return nil, err
	}
	return q.connection(&v), nil
}

// getAlone reads a circuit whose request, if it had one, is not shown.
func (c *Client) getAlone(ctx context.Context, id, request string, p exchange.Purpose) (*patchbayv1.Connection, error) {
	v, err := c.getCircuit(ctx, id, p)
	if err == nil {
		v, err = c.inMotion(ctx, v)
	}
	if err != nil {
		return nil, err
	}
	return v.connection(request), nil
}

// coming reports whether the circuit of a request may be yet to be shown: the request
// changed lately, by the clock of the answer that shows it. It is gone otherwise.
func (c *Client) coming(q request, answer wire.Reply) bool {
	at := wire.Date(q.Updated)
	return at != nil && answer.At.Add(answer.Ahead()).Sub(at.AsTime()) < settling && !c.known.wasSeen(string(q.Circuit))
}

// inMotion adds to a circuit in motion what its workflow tells. The circuit itself has the
// last word: if the workflow is over, or nobody knows it any more, the circuit is read
// again. It returns errAbsent if it is gone then.
func (c *Client) inMotion(ctx context.Context, v circuit) (circuit, error) {
	if !v.moves() {
		return v, nil
	}
	k := call(http.MethodGet, v21, services+"/{id}/status", exchange.ForWatch, string(v.ID))
	r, err := c.read(ctx, k)
	var w workflow
	switch {
	case errors.Is(err, errAbsent):
		w.over = true
	case errors.As(err, new(exchange.Throttled)), ctx.Err() != nil:
		return v, err
	case err != nil:
		return v, nil // the circuit tells enough; the log has the error
	default:
		w = readWorkflow(r.Body)
	}
	v.failed = w.failed
	if !w.over {
		return v, nil
	}
	again, err := c.getCircuit(ctx, string(v.ID), exchange.ForWatch)
	again.failed = w.failed
	return again, err
}

// picture is what the lists show.
type picture struct {
	circuits []circuit
	at       map[wire.ID]int // of each circuit by its id
	requests []request
	others   map[string]bool // circuits of requests in the other direction
	last     wire.Reply
}

// circuit returns the circuit of a request, nil if it is not shown or has no say.
func (s picture) circuit(q request) *circuit {
	if q.waiting() || q.Circuit == "" {
		return nil
	}
	if i, ok := s.at[q.Circuit]; ok {
		return &s.circuits[i]
	}
	return nil
}

// Values of the filter by direction, without which the list of requests is refused.
const (
	sent     = "sent"
	received = "received"
)

// look reads the lists of a role: the circuits before the requests.
func (c *Client) look(ctx context.Context, role string, p exchange.Purpose) (picture, error) {
	direction, other := sent, received
	switch role {
	case exchange.Buyer:
	case exchange.Seller:
		direction, other = received, sent
	default:
		return picture{}, fmt.Errorf("%q is no role of a list", role)
	}
	s := picture{at: map[wire.ID]int{}}
	var err error
	if s.circuits, err = c.listCircuits(ctx, p); err != nil {
		return picture{}, err
	}
	for i, v := range s.circuits {
		s.at[v.ID] = i
	}
	if s.requests, s.last, err = c.listRequests(ctx, direction, p); err != nil {
		return picture{}, err
	}
	if role == exchange.Buyer && len(s.unclaimed(c.known, true)) > 0 {
		theirs, _, err := c.listRequests(ctx, other, p)
		if err != nil {
			return picture{}, err
		}
		s.others = map[string]bool{}
		for _, q := range theirs {
			s.others[string(q.Circuit)] = true
		}
	}
	c.known.tidy()
	return s, nil
}

// listCircuits reads all circuits. What has no id of a circuit is something else that the
// account has, and left out.
func (c *Client) listCircuits(ctx context.Context, p exchange.Purpose) ([]circuit, error) {
	k := call(http.MethodGet, v2, services, p)
	r, err := c.read(ctx, k)
	if err != nil {
		return nil, err
	}
	rows, err := readAll(r, func(b []byte) (circuit, error) {
		v, err := readCircuit(b)
		if v.ID == "" && len(b) > 0 && b[0] == '{' {
			return circuit{}, nil
		}
		return v, err
	})
	if err != nil {
		return nil, malformed(k, err)
	}
	var all []circuit
	for _, v := range rows {
		if v.ID != "" {
			c.known.saw(string(v.ID))
			all = append(all, v)
		}
	}
	return all, nil
}

func (c *Client) listRequests(ctx context.Context, direction string, p exchange.Purpose) ([]request, wire.Reply, error) {
	k := call(http.MethodGet, v2, requests, p)
	k.Query = url.Values{"type": {direction}}
	r, err := c.read(ctx, k)
	if err != nil {
		return nil, r, err
	}
	all, err := readAll(r, readRequest)
	if err != nil {
		return nil, r, malformed(k, err)
	}
	for _, q := range all {
		c.known.became(string(q.UUID), string(q.Circuit))
	}
	return all, r, nil
}

// unclaimed returns the circuits that belong to no request that is shown; only those that
// may be between two customers, if shared is set.
func (s picture) unclaimed(k *knowledge, shared bool) []circuit {
	claimed := map[wire.ID]bool{}
	for _, q := range s.requests {
		claimed[q.Circuit] = true
	}
	var rest []circuit
	for _, v := range s.circuits {
		if claimed[v.ID] || s.others[string(v.ID)] || shared && (!v.shared() || k.requestOf(string(v.ID)) != "") {
			continue
		}
		rest = append(rest, v)
	}
	return rest
}

// List reads the requests that the account sent or received, joined with their circuits,
// and for a buyer the circuits that come from none. The API lists all or nothing, so those
// at rest are handed on even if nobody asked: they cost no call, and show at once what was
// changed in the portal. Only of circuits in motion more is asked.
func (c *Client) List(ctx context.Context, role string, _ bool, yield func(*patchbayv1.Connection) error) error {
	s, err := c.look(ctx, role, exchange.ForWatch)
	if err != nil {
		return err
	}
	for _, q := range s.requests {
		v := s.circuit(q)
		if v == nil && !q.waiting() && q.Circuit != "" && !c.coming(q, s.last) {
			continue // its circuit is gone
		}
		if v != nil {
			now, err := c.inMotion(ctx, *v)
			if errors.Is(err, errAbsent) {
				continue
			}
			if err != nil {
				return err
			}
			v = &now
		}
		if err := yield(q.connection(v)); err != nil {
			return err
		}
	}
	if role != exchange.Buyer {
		return nil
	}
	return c.listAlone(ctx, s, yield)
}

// ListsAll marks that: the API has no filters, so what a list lacks is not there.
func (c *Client) ListsAll() {}

// listAlone hands on the circuits whose request is not shown.
func (c *Client) listAlone(ctx context.Context, s picture, yield func(*patchbayv1.Connection) error) error {
	for _, v := range s.unclaimed(c.known, false) {
		request := c.known.requestOf(string(v.ID))
		if request == "" && v.shared() && v.moves() {
			continue // its request is to be shown soon
		}
		now, err := c.inMotion(ctx, v)
		if errors.Is(err, errAbsent) {
			continue
		}
		if err != nil {
			return err
		}
		if err := yield(now.connection(request)); err != nil {
			return err
		}
	}
	return nil
}

// workflow is what of a circuit's last workflow matters.
type workflow struct {
	over   bool
	failed string // its last word, if it came to a bad end
}

// readWorkflow reads the status object. What cannot be read tells nothing.
func readWorkflow(body []byte) workflow {
	var s struct {
		Status struct {
			Object struct {
				State   wire.Text `json:"state"`
				Deleted wire.Flag `json:"deleted"`
			} `json:"object"`
			Current struct {
				State wire.Text `json:"state"`
			} `json:"current"`
			Last struct {
				State    wire.Text         `json:"state"`
				Current  wire.Text         `json:"current_state"`
				Name     wire.Text         `json:"current_name"`
				Final    wire.Flag         `json:"is_final"`
				Failures []json.RawMessage `json:"failures"`
				Progress struct {
					Position wire.Number `json:"position"`
					Steps    wire.Number `json:"steps"`
				} `json:"progress"`
			} `json:"last_workflow"`
		} `json:"status"`
	}
	_ = decode(body, &s) // what cannot be read is absent
	last := s.Status.Last
	word := string(last.State)
	for _, other := range []wire.Text{last.Current, last.Name} {
		if word == "" {
			word = string(other)
		}
	}
	complete := finished(word) || finished(string(s.Status.Current.State))
	w := workflow{over: complete || bool(last.Final) || bool(s.Status.Object.Deleted) ||
		// The position has been seen beyond the steps.
		last.Progress.Steps > 0 && last.Progress.Position >= last.Progress.Steps}
	// The object is called active while it is being created, too, so that word counts only where
	// no workflow is shown.
	object := status.Normalise(status.PacketFabric, status.Native{State: string(s.Status.Object.State)})
	silent := word == "" && s.Status.Current.State == "" && last.Progress.Steps == 0
	if object.Status == status.Deprovisioned || object.Status == status.Provisioned && silent {
		w.over = true
	}
	if bool(last.Final) && len(last.Failures) > 0 && !finished(word) {
		w.failed = word
	}
	return w
}

// finished reports whether a word of a workflow says that it did what it was to do.
func finished(word string) bool {
	switch strings.ToUpper(word) {
	case "COMPLETE", "COMPLETED", "ACTIVE":
		return true
	}
	return false
}
