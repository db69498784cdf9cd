package packetfabric

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// readMessage reads an error in the exchange's own form, {"message":"…"}. It reports false
// for anything else, which somebody between us and the exchange may have said.
func readMessage(body []byte) (string, bool) {
	var e struct {
		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil || len(e.Message) == 0 {
		return "", false
	}
	var text wire.Text
	_ = text.UnmarshalJSON(e.Message) // never fails
	if text == "" {
		text = wire.Text(bytes.TrimSpace(e.Message)) // JSON that is no text is a message too
	}
	return string(text), text != "" && text != "null"
}

// Messages have no code of their own; a word before a colon serves for one, and so does
// the path of a field for the property.
var (
	codeBefore  = regexp.MustCompile(`^([A-Z][A-Za-z]+(?: [A-Z][A-Za-z]+)*): `)
	fieldBefore = regexp.MustCompile(`^([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*): `)
	tagInUse    = regexp.MustCompile(`(?i)\bvlan\b.*\b(already|in use)\b|^InvalidVlanParam: .*\b(already|in use)\b`)
	notFound    = regexp.MustCompile(`(?i)\bnot found\b`)
)

// codeOf and propertyOf read what a message begins with.
func codeOf(message string) string     { return first(codeBefore, message) }
func propertyOf(message string) string { return first(fieldBefore, message) }

func first(re *regexp.Regexp, text string) string {
	if m := re.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// gone reports whether r says, in the exchange's own form, that there is no such thing.
// Every documented 404 says "not found"; what stands before an exchange and knows no such
// path often says something else.
func gone(r wire.Reply) bool {
	m, own := readMessage(r.Body)
	return r.Status == http.StatusNotFound && own && notFound.MatchString(m)
}

// judge says what a deciding call did that was answered. A 2xx is for others to judge.
func judge(r wire.Reply) exchange.Outcome {
	out, settled := wire.Settled(r)
	m, own := readMessage(r.Body)
	if settled || !own || r.OK() {
		return out
	}
	out.Class, out.Message = exchange.Refused, m
	out.Code, out.Property = codeOf(m), propertyOf(m)
	if r.Status == http.StatusBadRequest && tagInUse.MatchString(m) {
		out.Class = exchange.Taken
	}
	return out
}

// done says what a command did that was answered with a 2xx: its body is a JSON object, or
// there is none. What it says is not believed.
func done(r wire.Reply) exchange.Outcome {
	if body := bytes.TrimSpace(r.Body); len(body) > 0 && (body[0] != '{' || !json.Valid(body)) {
		return exchange.Outcome{Class: exchange.Unknown, Answer: r.Words() + " in a form that is not the exchange's"}
	}
	return exchange.Outcome{Class: exchange.Done, Answer: r.Words()}
}

// undecided is the outcome of a command before which something could not be read: nothing
// that decides was sent. Who may not even read may not command either.
func undecided(err error) exchange.Outcome {
	out := wire.Unanswered(err)
	if out.Class == exchange.Unknown {
		out.Class, out.Answer = exchange.NotSent, "not sent: "+err.Error()
	}
	var denied *refused
	if errors.As(err, &denied) && denied.status == http.StatusForbidden {
		out.Class, out.Message = exchange.Refused, denied.words
	}
	return out
}
