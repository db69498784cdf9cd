package ecx

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// Codes of the exchange that mean something to us.
const (
	codeEnded   = "IC-LAYER2-4021" // the circuit is deleted already
	codeUnknown = "IC-LAYER2-4023" // no such circuit, or not this account's
	codeKeyUsed = "IC-LAYER2-AUTH-006"
)

// complaint is one error in the exchange's own form.
type complaint struct {
	Code     wire.Text `json:"errorCode"`
	Message  wire.Text `json:"errorMessage"`
	More     wire.Text `json:"moreInfo"`
	Property wire.Text `json:"property"`
}

// complaints reads an error body: an array of complaints or a single one. It reports
// false for anything else, which somebody between us and the exchange may have said.
func complaints(body []byte) ([]complaint, bool) {
	body = bytes.TrimSpace(body)
	var list []complaint
	switch {
	case len(body) == 0:
		return nil, false
	case body[0] == '[':
		if json.Unmarshal(body, &list) != nil {
			return nil, false
		}
	default:
		list = make([]complaint, 1)
		if json.Unmarshal(body, &list[0]) != nil {
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

// The real code for a tag in use is not known, so it is told by the words.
var (
	aboutVLAN = regexp.MustCompile(`(?i)vlan|[sc]-?tag`)
	inUse     = regexp.MustCompile(`(?i)\b(already|duplicate|in use|being used|exists)\b`)
	inMotion  = regexp.MustCompile(`(?i)\btransient\b|\bin progress\b`)
)

func (c complaint) words() string {
	if c.More == "" {
		return string(c.Message)
	}
	return strings.TrimSpace(string(c.Message) + ": " + string(c.More))
}

// taken reports whether c says that a tag or key is used.
func (c complaint) taken() bool {
	if c.Code == codeKeyUsed {
		return true
	}
	words := c.words()
	return inUse.MatchString(words) && aboutVLAN.MatchString(words+" "+string(c.Property))
}

// leg is the leg that c is about, empty if it does not say.
func (c complaint) leg() string {
	switch p := strings.ToLower(string(c.Property)); {
	case strings.HasPrefix(p, exchange.Primary):
		return exchange.Primary
	case strings.HasPrefix(p, exchange.Secondary):
		return exchange.Secondary
	}
	return ""
}

// verb is what a deciding call asks for, as far as its answer's meaning depends on it.
type verb int

const (
	toPlace verb = iota
	toRemove
	toAlter
	toAnswer // accept or reject
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
	switch {
	case v != toRemove && all(list, complaint.taken):
		out.Class = exchange.Taken
	case v == toRemove && (out.Code == codeEnded || out.Code == codeUnknown):
		out.Class = exchange.Over
	case v != toPlace && inMotion.MatchString(out.Message):
		out.Class = exchange.Moving
	}
	return out
}

// tell writes the complaints into out: the words of all, and code, property and leg of
// the first that is not about something in use.
func tell(out *exchange.Outcome, list []complaint, secrets []string) {
	first := list[0]
	var words []string
	for _, c := range list {
		if first.taken() && !c.taken() {
			first = c
		}
		words = append(words, wire.Scrub(c.words(), secrets))
	}
	out.Message = strings.Join(words, "; ")
	out.Code = wire.Scrub(string(first.Code), secrets)
	out.Property = wire.Scrub(string(first.Property), secrets)
	out.Leg = first.leg()
	for _, c := range list {
		if c.leg() != out.Leg {
			out.Leg = ""
		}
	}
}

func all(list []complaint, is func(complaint) bool) bool {
	for _, c := range list {
		if !is(c) {
			return false
		}
	}
	return true
}

// saved is the answer to a command. Its message differs between sources and says nothing.
type saved struct {
	Message   wire.Text `json:"message"`
	Primary   wire.ID   `json:"primaryConnectionId"`
	Secondary wire.ID   `json:"secondaryConnectionId"`
}

func readSaved(body []byte) (saved, bool) {
	var s saved
	return s, json.Unmarshal(body, &s) == nil
}

// placed says what a create did that was answered with a 2xx: Done if there is an id for
// each leg, Partial if for one of two.
func placed(r wire.Reply, legs []string) exchange.Outcome {
	out := exchange.Outcome{Class: exchange.Unknown, Answer: r.Words() + " without ids", IDs: map[string]string{}}
	s, ok := readSaved(r.Body)
	if !ok || len(legs) == 0 {
		return out
	}
	if s.Secondary == s.Primary {
		s.Secondary = ""
	}
	for i, id := range []wire.ID{s.Primary, s.Secondary} {
		if i < len(legs) && event.ValidID(string(id)) {
			out.IDs[legs[i]] = string(id)
		}
	}
	switch len(out.IDs) {
	case len(legs):
		out.Class, out.Answer = exchange.Done, r.Words()
	case 0:
	default:
		out.Class, out.Answer = exchange.Partial, r.Words()+" with one id of two"
	}
	return out
}

// done says what a command on circuit id did that was answered with a 2xx.
func done(r wire.Reply, id string) exchange.Outcome {
	s, ok := readSaved(r.Body)
	if !ok || s.Message == "" && s.Primary == "" || s.Primary != "" && s.Primary != wire.ID(id) {
		return exchange.Outcome{Class: exchange.Unknown, Answer: r.Words() + " in a form that is not the exchange's"}
	}
	return exchange.Outcome{Class: exchange.Done, Answer: r.Words()}
}
