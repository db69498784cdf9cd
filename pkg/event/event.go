// Package event names what travels between the services: CloudEvents 1.0, one for
// each state an entity enters.
//
// This is the only package that knows the spelling. For the order 9f… that was placed:
//
//	entity     order/9f…                            a noun and an id
//	NATS       patchbay.order.placed.9f…            the state that was entered
//	filter     patchbay.order.*.9f…                 all facts of the entity
//	type       io.patchbay.order.placed.v1          what happened
//	source     patchbay/requester                   the service that decided it
//	sequence   00000000000000000003                 counts the entity's facts from 1
//
// An event carries the entity's whole new state, so the last event of an entity is its
// state. Data is the protobuf JSON mapping of the messages in patchbay.io/proto. The
// binding to NATS messages is in nats.go of this package; it speaks of headers and
// bytes only, so nothing here knows a client library.
package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// A Noun is a kind of entity. One service writes each noun; see design of the journal.
type Noun string

// The nouns of the journal.
const (
	Order      Noun = "order"
	Refusal    Noun = "refusal"
	Connection Noun = "connection"
	Sighting   Noun = "sighting"
	Change     Noun = "change"
	Token      Noun = "token"
	Approval   Noun = "approval"
	Landing    Noun = "landing"
	Hold       Noun = "hold"
	Account    Noun = "account"
)

// Nouns returns every noun of the journal.
func Nouns() []Noun {
	return []Noun{Order, Refusal, Connection, Sighting, Change, Token, Approval, Landing, Hold, Account}
}

// The nouns of what upstream writes.
const (
	Intent   Noun = "intent"
	Decision Noun = "decision"
)

// Archived is the fact that stands for an entity's facts which an archive has put away.
const Archived = "archived"

// Archived is the [Fact.Name] of that fact: of a connection it has two words, as all its
// facts have.
func (n Noun) Archived() string {
	if n == Connection {
		return Archived + "." + Archived
	}
	return Archived
}

// Root is the first token of every subject.
const Root = "patchbay"

// Extensions of our events beyond the CloudEvents core.
const (
	ExtTraceParent   = "traceparent"
	ExtTraceState    = "tracestate"
	ExtPartitionKey  = "partitionkey"
	ExtSequence      = "sequence"
	ExtCorrelationID = "correlationid"
	ExtCausationID   = "causationid"
	ExtExchange      = "exchange"
)

// ErrMalformed reports bytes or subjects that are not one of our events. No retry helps.
var ErrMalformed = errors.New("malformed event")

// ValidID reports whether id may stand in a subject: 1 to 64 of A-Z a-z 0-9 and "-".
func ValidID(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 64
}

// An Entity is one thing that facts are about.
type Entity struct {
	Noun Noun   `json:"noun"`
	ID   string `json:"id"`
}

// String returns the entity as "noun/id", which is also the partition key of its events.
func (e Entity) String() string { return string(e.Noun) + "/" + e.ID }

// Filter returns the subject filter that matches every fact of e and nothing else. All
// writers of e expect its last sequence under this one string.
func (e Entity) Filter() string { return e.Noun.Filter("*", e.ID) }

// Filter returns a subject filter for facts of n. The fact "*" matches every fact; the
// id "*" every entity.
func (n Noun) Filter(fact, id string) string {
	if n == Connection && fact == "*" {
		fact = "*.*"
	}
	return fmt.Sprintf("%s.%s.%s.%s", Root, n, fact, id)
}

// Matches reports whether a filter without ">" matches a subject.
func Matches(filter, subject string) bool {
	for {
		f, moreF, f2 := strings.Cut(filter, ".")
		s, moreS, s2 := strings.Cut(subject, ".")
		if f != "*" && f != s || f2 != s2 {
			return false
		}
		if !f2 {
			return true
		}
		filter, subject = moreF, moreS
	}
}

// EntityOf reads the entity out of a subject.
func EntityOf(subject string) (Entity, error) {
	n := strings.Count(subject, ".") + 1
	rest, rooted := strings.CutPrefix(subject, Root+".")
	noun, _, _ := strings.Cut(rest, ".")
	e := Entity{Noun(noun), subject[strings.LastIndexByte(subject, '.')+1:]}
	if !rooted || (e.Noun == Connection && n != 5) || (e.Noun != Connection && n != 4) || !ValidID(e.ID) {
		return Entity{}, fmt.Errorf("%w: subject %q", ErrMalformed, subject)
	}
	return e, nil
}

// Origin is the trace in which something began. It is never rewritten on the way.
type Origin struct{ TraceParent, TraceState string }

// A Fact is the news that an entity has entered a state, before it is written down.
type Fact struct {
	Entity Entity
	// Name is the state: "placed"; for a connection "<status>.<providerStatus>" in
	// lower case; for a sighting "buyer" or "seller".
	Name string
	// Data is the entity's whole new state.
	Data proto.Message
	// By is the service that decided: "requester".
	By string
	// Cause is the id of the event or intent that caused it; may be empty.
	Cause string
	// Order is the id of the order it belongs to; empty for circuits nobody ordered here.
	Order string
	// Exchange is "equinix" or "packetfabric"; empty where it does not apply.
	Exchange string
	// Origin is the trace it belongs to; the zero Origin means the present span's.
	Origin Origin
}

// Subject is where the fact is published.
func (f Fact) Subject() string {
	return fmt.Sprintf("%s.%s.%s.%s", Root, f.Entity.Noun, f.Name, f.Entity.ID)
}

// Type is the CloudEvents type of the fact.
func (f Fact) Type() string {
	of := "io.patchbay." + string(f.Entity.Noun)
	if f.Name == f.Entity.Noun.Archived() {
		return of + "." + Archived + ".v1"
	}
	switch f.Entity.Noun {
	case Connection, Change, Token:
		return of + ".transitioned.v1"
	case Sighting:
		return of + ".v1"
	default:
		return of + "." + f.Name + ".v1"
	}
}

// Event writes the fact as the entity's event number sequence. Each call makes an id of
// its own: two events are the same only if somebody copied one.
func (f Fact) Event(sequence uint64, now time.Time) (ce.Event, error) {
	e := ce.New(ce.CloudEventsVersionV1)
	id, err := uuid.NewV7()
	if err != nil {
		return e, fmt.Errorf("event id: %w", err)
	}
	data, err := Marshal(f.Data)
	if err != nil {
		return e, fmt.Errorf("event of %s: %w", f.Entity, err)
	}
	e.SetID(id.String())
	e.SetSource(Root + "/" + f.By)
	e.SetType(f.Type())
	e.SetSubject(f.Entity.String())
	e.SetTime(now.UTC())
	for name, value := range map[string]string{
		ExtPartitionKey:  f.Entity.String(),
		ExtSequence:      fmt.Sprintf("%020d", sequence),
		ExtCorrelationID: f.Order,
		ExtCausationID:   f.Cause,
		ExtExchange:      f.Exchange,
		ExtTraceParent:   f.Origin.TraceParent,
		ExtTraceState:    f.Origin.TraceState,
	} {
		if value != "" {
			e.SetExtension(name, value)
		}
	}
	if err := e.SetData("application/json", json.RawMessage(data)); err != nil {
		return e, fmt.Errorf("event of %s: %w", f.Entity, err)
	}
	return e, e.Validate()
}

// Sequence returns the position of e among its entity's facts, 0 if it has none.
func Sequence(e ce.Event) uint64 {
	var n uint64
	if _, err := fmt.Sscanf(Ext(e, ExtSequence), "%d", &n); err != nil {
		return 0
	}
	return n
}

// Ext returns the extension name of e as text, empty if absent.
func Ext(e ce.Event, name string) string {
	s, _ := e.Extensions()[name].(string)
	return s
}

// OriginOf returns the trace in which e says it began.
func OriginOf(e ce.Event) Origin {
	return Origin{Ext(e, ExtTraceParent), Ext(e, ExtTraceState)}
}

// Marshal writes m in the protobuf JSON mapping, the same bytes each time.
func Marshal(m proto.Message) ([]byte, error) {
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Unmarshal reads data written by [Marshal], by this version or a later one: fields it
// does not know are left out.
func Unmarshal(data []byte, m proto.Message) error {
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
