package fabric

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

const (
	// v4 is where the API's paths begin.
	v4 = "/fabric/v4"
	// connections is where circuits are.
	connections = "/connections"
)

// Codes of the exchange that mean something to us.
const (
	codeTagTaken  = "EQ-3142102"
	codeEnded     = "EQ-3142509" // the circuit is deleted already
	codeTransient = "EQ-3142510" // the circuit is in a transient state
	codeUnknown   = "EQ-3142519" // no such circuit, or not this account's: with a 400
	codeNotFound  = "EQ-3045811" // the same with a 404
	codeNoDryRun  = "EQ-3142411" // dry run is not supported for this type
	codeTokenGone = "EQ-3034019" // the service token is deleted already
)

// v4Call returns a call to a path of the API; each id fills the next {id} of name.
func v4Call(method, name string, ids ...string) wire.Call {
	return wire.NewCall(method, v4, name, ids...)
}

// complaint is one error in the exchange's own form (schema Error).
type complaint struct {
	Code    wire.Text    `json:"errorCode"`
	Message wire.Text    `json:"errorMessage"`
	Details wire.Text    `json:"details"`
	More    many[detail] `json:"additionalInfo"` // an object where it is about link protocols
}

type detail struct {
	Property wire.Text `json:"property"`
	Reason   wire.Text `json:"reason"`
}

// ownCode is how the exchange's codes begin; some samples have fewer digits than the
// schema's seven.
var ownCode = regexp.MustCompile(`^EQ-\d`)

// complaints reads an error body, which is an array. It reports false for anything else,
// which somebody between us and the exchange may have said. A single object is taken if
// its code is one of the exchange's.
func complaints(body []byte) ([]complaint, bool) {
	var list []complaint
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return nil, false
	case body[0] == '[':
		if decode(body, &list) != nil {
			return nil, false
		}
	default:
		list = make([]complaint, 1)
		if decode(body, &list[0]) != nil || !ownCode.MatchString(string(list[0].Code)) {
			return nil, false
		}
	}
	for _, c := range list {
		if c.Code == "" {
			return nil, false
		}
	}
	return list, len(list) > 0
}

// No code is documented for a tag in use on the Z side, nor for a token or key that is
// used, so they are told by the words.
var (
	scarce = regexp.MustCompile(`(?i)vlan|[sc]-?tag|link-?protocol|token|authentication ?key`)
	inUse  = regexp.MustCompile(`(?i)\balready\b.*\b(use[ds]?|exists?|taken|redeemed|consumed|reserved|connected|associated)\b` +
		`|\bduplicate\b|\bin use\b|\b(being|been) used\b|\bis not available\b|\bcannot be reused\b`)
)

func (c complaint) words() string {
	words := []string{string(c.Message)}
	add := func(t wire.Text) {
		if t != "" && !slices.Contains(words, string(t)) {
			words = append(words, string(t))
		}
	}
	add(c.Details)
	for _, d := range c.More {
		add(d.Reason)
	}
	return strings.TrimPrefix(strings.Join(words, ": "), ": ")
}

// property is the field that c is about, empty if it does not say.
func (c complaint) property() string {
	for _, d := range c.More {
		if d.Property != "" {
			return string(d.Property)
		}
	}
	return ""
}

// taken reports whether c says that a tag or token is used.
func (c complaint) taken() bool {
	if c.Code == codeTagTaken {
		return true
	}
	words := c.words()
	return inUse.MatchString(words) && scarce.MatchString(words+" "+c.property())
}

// verb is what a deciding call asks for, as far as its answer's meaning depends on it.
type verb int

const (
	toPlace verb = iota
	toRemove
	toAlter
	toAnswer // accept, reject and the like
)

// judge says what a deciding call did that was answered. A 2xx is for others to judge.
func judge(r wire.Reply, v verb, secrets []string) exchange.Outcome {
	out, settled := wire.Settled(r)
	if settled {
		return out
	}
	list, own := complaints(r.Body)
	if !own {
		return out
	}
	out.Class = exchange.Refused
	tell(&out, list, secrets)
	has := func(codes ...wire.Text) bool {
		return slices.ContainsFunc(list, func(c complaint) bool { return slices.Contains(codes, c.Code) })
	}
	switch {
	case v == toPlace && !slices.ContainsFunc(list, func(c complaint) bool { return !c.taken() }):
		out.Class = exchange.Taken
	case v == toRemove && has(codeEnded, codeUnknown, codeNotFound, codeTokenGone):
		out.Class = exchange.Over
	case v != toPlace && has(codeTransient):
		out.Class = exchange.Moving
	}
	return out
}

// tell writes the complaints into out: the words of all, and code and property of the
// first that is not about something in use.
func tell(out *exchange.Outcome, list []complaint, secrets []string) {
	first := list[0]
	var words []string
	for _, c := range list {
		if first.taken() && !c.taken() {
			first = c
		}
		if text := wire.Scrub(c.words(), secrets); !slices.Contains(words, text) {
			words = append(words, text)
		}
	}
	out.Message = strings.Join(words, "; ")
	out.Code = wire.Scrub(string(first.Code), secrets)
	out.Property = wire.Scrub(first.property(), secrets)
}

// decide makes a call that may create or decide something. It reports false if there was
// no 2xx; the outcome then says all that is known.
func (c *Client) decide(ctx context.Context, k wire.Call, v verb) (wire.Reply, exchange.Outcome, bool) {
	k.Decides = true
	r, err := c.wire.Send(ctx, c.login, k)
	if err != nil {
		return r, wire.Unanswered(err), false
	}
	if !r.OK() {
		return r, judge(r, v, k.Secrets), false
	}
	return r, exchange.Outcome{}, true
}

// command makes a deciding call on circuit id.
func (c *Client) command(ctx context.Context, k wire.Call, id string, v verb) exchange.Outcome {
	if !event.ValidID(id) {
		return exchange.RefusedHere("uuid", fmt.Sprintf("%q is no id of a circuit", id))
	}
	r, out, ok := c.decide(ctx, k, v)
	if !ok {
		return out
	}
	return done(r, id, v)
}

// done says what a command on circuit id did that was answered with a 2xx. Most answer
// with the circuit. An action answers with an action or the circuit, and its uuid may be
// that of either.
func done(r wire.Reply, id string, v verb) exchange.Outcome {
	var shown struct {
		UUID wire.ID   `json:"uuid"`
		Type wire.Text `json:"type"`
		Href wire.Text `json:"href"`
	}
	whole := json.Valid(r.Body) && decode(r.Body, &shown) == nil
	known := shown.UUID == wire.ID(id)
	if v == toAnswer {
		known = shown.UUID != "" || shown.Type != "" || shown.Href != ""
	}
	if !whole || !known {
		return exchange.Outcome{Class: exchange.Unknown, Answer: r.Words() + " in a form that is not the exchange's"}
	}
	return exchange.Outcome{Class: exchange.Done, Answer: r.Words()}
}

// read makes a call that changes nothing and wants a 2xx.
func (c *Client) read(ctx context.Context, k wire.Call) (wire.Reply, error) {
	r, err := c.wire.Send(ctx, c.login, k)
	if err != nil {
		return wire.Reply{}, fmt.Errorf("%s fabric %s: %w", k.Method, k.Name, err)
	}
	if r.OK() {
		return r, nil
	}
	if r.Status == http.StatusTooManyRequests {
		return r, exchange.Throttled{After: r.RetryAfter()}
	}
	if list, own := complaints(r.Body); own {
		e := &refused{name: k.Method + " fabric " + k.Name, status: r.Status,
			code: wire.Scrub(string(list[0].Code), k.Secrets), words: wire.Scrub(list[0].words(), k.Secrets)}
		return r, e
	}
	return r, fmt.Errorf("%s fabric %s: %s", k.Method, k.Name, r.Words())
}

// refused is an answer in the exchange's own form to a call that changes nothing.
type refused struct {
	name, code, words string
	status            int
}

func (e *refused) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.name, e.status, e.code, e.words)
}

// gone reports that the exchange has no such circuit.
func (e *refused) gone() bool {
	return e.absent() && (e.code == codeUnknown || e.code == codeNotFound)
}

// absent reports that the exchange has, or shows, no such thing as was asked for by its id.
func (e *refused) absent() bool {
	return e.status == http.StatusBadRequest || e.status == http.StatusNotFound
}
