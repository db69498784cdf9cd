package event

import (
	"fmt"
	"strings"

	ce "github.com/cloudevents/sdk-go/v2/event"
)

// Subjects on which upstream writes.
const (
	IntentSubjects   = Root + ".intent.>"
	DecisionSubjects = Root + ".decision.>"
)

// AskSubject is where the request "verb" (check, list, rebuild …) is answered.
func AskSubject(verb string) string { return Root + ".ask." + verb }

// IntentType is the CloudEvents type of an intent or decision: IntentType(Intent, "create")
// is io.patchbay.intent.create.v1.
func IntentType(n Noun, kind string) string { return "io.patchbay." + string(n) + "." + kind + ".v1" }

// IntentSubject is the subject of an intent or decision.
func IntentSubject(n Noun, kind string) string { return Root + "." + string(n) + "." + kind }

// IntentKind reads noun and kind out of a type: "create" of io.patchbay.intent.create.v1.
// It reports false for any other type.
func IntentKind(typ string) (Noun, string, bool) {
	t := strings.Split(typ, ".")
	if len(t) != 5 || t[0] != "io" || t[1] != Root || t[4] != "v1" {
		return "", "", false
	}
	n, kind := Noun(t[2]), t[3]
	switch {
	case n == Intent && (kind == "create" || kind == "change" || kind == "delete"):
	case n == Decision && (kind == "approve" || kind == "reject"):
	default:
		return "", "", false
	}
	return n, kind, true
}

// Slug writes a word as a subject token: lower case, every character that may not stand
// in a token as "_". The empty word is "none".
func Slug(word string) string {
	if word == "" {
		return "none"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, word)
}

// NewIntent writes the event of an intent or decision as upstream would: typ as
// [IntentType] has it, source and id its identity, data its JSON.
func NewIntent(typ, source, id string, data []byte) (ce.Event, error) {
	e := ce.New(ce.CloudEventsVersionV1)
	e.SetType(typ)
	e.SetSource(source)
	e.SetID(id)
	if err := e.SetData("application/json", data); err != nil {
		return e, fmt.Errorf("intent %s: %w", id, err)
	}
	return e, e.Validate()
}
