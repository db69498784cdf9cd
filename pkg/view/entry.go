package view

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/status"
)

// keep is how long the view holds an entity after its end.
const keep = 30 * 24 * time.Hour

// Snapshot is an entity as of one fact. The zero Snapshot stands for none.
type Snapshot struct {
	Noun event.Noun `json:"noun"`
	ID   string     `json:"id"`
	// Fact is the state entered: "placed"; for a connection "provisioned.available".
	Fact string `json:"fact"`
	// Seq is the fact's sequence in the journal.
	Seq uint64 `json:"seq,string"`
	// Number counts the entity's facts from 1.
	Number uint64 `json:"number,string"`
	// EventID is the id of the CloudEvent.
	EventID string `json:"eventId"`
	// Stamp is when the fact was written; see [journal.Record.At].
	Stamp time.Time `json:"stamp"`
	// Ended tells that nothing more is to come but an archive.
	Ended bool `json:"ended,omitempty"`
	// Order is the order it belongs to, if any.
	Order string `json:"order,omitempty"`
	// TraceParent is the trace in which it began.
	TraceParent string `json:"traceparent,omitempty"`
	// Data is the entity whole, as the fact says it: the JSON of a message of proto.
	Data json.RawMessage `json:"data,omitempty"`
}

// None reports whether there is no such entity in the view.
func (s Snapshot) None() bool { return s.Seq == 0 }

// Entity is what the snapshot is of.
func (s Snapshot) Entity() event.Entity { return event.Entity{Noun: s.Noun, ID: s.ID} }

// Into reads the data.
func (s Snapshot) Into(m proto.Message) error { return event.Unmarshal(s.Data, m) }

// entry is all that the view keeps of an entity: a function of its last fact alone, so it
// does not matter whether the view got there by following or by a rebuild.
type entry struct {
	entity  event.Entity
	seq     uint64
	stamp   time.Time
	ended   bool
	body    string // the Snapshot as JSON
	members []member
	index   string // the members as JSON
	digest  string // of an order's payload
}

// member is a place in a sorted set: set, score, name. It is text, since that is how it
// goes to Redis.
type member [3]string

// traits is what an entity's data says of it, as far as the view cares.
type traits struct {
	ended  bool
	labels []string // "status:placed", "account:acme-ecx": sets it is in
	names  []string // what a person may call it
	others []string // what a person may call it if nothing else goes by that name
	digest string
}

// entryOf works out the entry of the entity that r is about. A fact with data that cannot
// be read is found by its id alone.
func entryOf(r journal.Record) (entry, error) {
	e := r.Entity()
	fact := factOf(r.Subject)
	t := traitsOf(e.Noun, fact, r.Event.Data())
	s := Snapshot{
		Noun: e.Noun, ID: e.ID, Fact: fact, Seq: r.Seq, Number: r.Number(), EventID: r.Event.ID(),
		Stamp: r.At().UTC(), Ended: t.ended, Order: event.Ext(r.Event, event.ExtCorrelationID),
		TraceParent: event.Ext(r.Event, event.ExtTraceParent), Data: r.Event.Data(),
	}
	body, err := json.Marshal(s)
	if err != nil {
		return entry{}, fmt.Errorf("snapshot of %s: %w", e, err)
	}
	all := members(s, t)
	index, err := json.Marshal(all)
	if err != nil {
		return entry{}, fmt.Errorf("index of %s: %w", e, err)
	}
	return entry{e, r.Seq, s.Stamp, t.ended, string(body), all, string(index), t.digest}, nil
}

// factOf reads the fact out of a subject: "provisioned.available" of
// patchbay.connection.provisioned.available.<id>.
func factOf(subject string) string {
	t := strings.Split(subject, ".")
	return strings.Join(t[2:max(2, len(t)-1)], ".")
}

func members(s Snapshot, t traits) []member {
	state := "open"
	if s.Ended {
		state = "ended"
	}
	seq := strconv.FormatUint(s.Seq, 10)
	var all []member
	for _, l := range append([]string{"all", state}, t.labels...) {
		if !strings.HasSuffix(l, ":") {
			all = append(all, member{string(s.Noun) + ":" + l, seq, s.ID})
		}
	}
	for rank, names := range [][]string{t.names, t.others} {
		for _, n := range names {
			if n = plain(n); n != "" {
				all = append(all, member{findSet(n), "0", fmt.Sprintf("%s%s%d %s", n, separator, rank, s.Entity())})
			}
		}
	}
	if s.Ended {
		all = append(all, member{endedSet, strconv.FormatInt(s.Stamp.Unix(), 10), s.Entity().String()})
	}
	slices.SortFunc(all, func(a, b member) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(all)
}

// endedSet holds what has ended, by the time of it.
const endedSet = "ended"

// separator ends a name in a member of a find set; plain keeps it out of names.
const separator = "\x1f"

// findSet is where the names are that begin like n. They are in many sets since miniredis
// sorts a set at each look.
func findSet(n string) string { return "find:" + n[:min(2, len(n))] }

// plain writes a name as it is looked up: lower case, nothing that does not print.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToLower(strings.TrimSpace(name)))
}

func traitsOf(n event.Noun, fact string, data []byte) traits {
	bare := traits{ended: strings.HasPrefix(fact, "archived")}
	read, known := readers[n]
	if bare.ended || !known {
		return bare
	}
	t, err := read(fact, data)
	if err != nil {
		return bare
	}
	return t
}

// readers tell the traits of each noun.
var readers = map[event.Noun]func(fact string, data []byte) (traits, error){
	event.Order:      orderTraits,
	event.Connection: connectionTraits,
	event.Approval:   approvalTraits,
	event.Landing:    landingTraits,
	event.Hold:       holdTraits,
	event.Refusal:    refusalTraits,
	event.Sighting:   sightingTraits,
	event.Change:     changeTraits,
	event.Token:      tokenTraits,
}

func orderTraits(fact string, data []byte) (traits, error) {
	var o patchbayv1.Order
	if err := event.Unmarshal(data, &o); err != nil {
		return traits{}, err
	}
	t := traits{
		ended:  fact == "completed" || fact == "failed" || fact == "invalid",
		labels: []string{"status:" + fact, "account:" + o.GetAccount()},
		names:  []string{o.GetId(), o.GetIntentId(), o.GetSource() + " " + o.GetIntentId(), o.GetCreate().GetName()},
		digest: o.GetPayloadDigest(),
	}
	for _, target := range []*patchbayv1.Target{o.GetChange().GetTarget(), o.GetDelete().GetTarget()} {
		t.labels = append(t.labels, "connection:"+target.GetConnectionId())
	}
	for _, l := range o.GetLegs() {
		t.labels = append(t.labels, "connection:"+l.GetConnectionId())
		t.others = append(t.others, l.GetConnectionId(), l.GetExchangeId(), l.GetName())
	}
	return t, nil
}

func connectionTraits(_ string, data []byte) (traits, error) {
	var step patchbayv1.Transition
	if err := event.Unmarshal(data, &step); err != nil {
		return traits{}, err
	}
	c := step.GetConnection()
	t := traits{
		ended: status.Status(c.GetStatus()).Ended(),
		labels: []string{
			"status:" + c.GetStatus(), "provider:" + c.GetProviderStatus(),
			"account:" + c.GetBuyerAccount(), "account:" + c.GetSellerAccount(), "order:" + c.GetOrderId(),
		},
		names: append([]string{c.GetId(), c.GetExchangeId()}, c.GetAliases()...),
	}
	if c.GetOrderId() == "" {
		t.names = append(t.names, c.GetName())
	} else { // the order goes by that name
		t.others = append(t.others, c.GetName())
	}
	return t, nil
}

func approvalTraits(fact string, data []byte) (traits, error) {
	var a patchbayv1.Approval
	err := event.Unmarshal(data, &a)
	return traits{
		ended:  fact == "approved" || fact == "rejected",
		labels: []string{"status:" + fact, "account:" + a.GetAccount(), "connection:" + a.GetConnectionId()},
	}, err
}

func landingTraits(fact string, data []byte) (traits, error) {
	var l patchbayv1.Landing
	err := event.Unmarshal(data, &l)
	return traits{
		ended:  fact == "failed" || fact == "released",
		labels: []string{"status:" + fact, "account:" + l.GetAccount(), "connection:" + l.GetConnectionId()},
	}, err
}

func holdTraits(fact string, data []byte) (traits, error) {
	var h patchbayv1.Hold
	err := event.Unmarshal(data, &h)
	t := traits{ended: fact == "freed", labels: []string{"status:" + fact}, names: []string{h.GetId(), h.GetKey()}}
	for _, o := range h.GetOwners() {
		t.labels = append(t.labels, o.GetNoun()+":"+o.GetId())
	}
	return t, err
}

func refusalTraits(fact string, data []byte) (traits, error) {
	var r patchbayv1.Refusal
	err := event.Unmarshal(data, &r)
	return traits{
		ended:  true,
		labels: []string{"status:" + fact, "order:" + r.GetOrderId(), "connection:" + r.GetConnectionId()},
	}, err
}

func sightingTraits(fact string, data []byte) (traits, error) {
	var s patchbayv1.Sighting
	err := event.Unmarshal(data, &s)
	return traits{
		ended:  true,
		labels: []string{"status:" + fact, "account:" + s.GetAccount(), "connection:" + s.GetConnectionId()},
	}, err
}

func changeTraits(_ string, data []byte) (traits, error) {
	var c patchbayv1.Change
	err := event.Unmarshal(data, &c)
	return traits{
		ended:  slices.Contains([]string{"REJECTED", "COMPLETED", "FAILED"}, c.GetStatus()),
		labels: []string{"status:" + c.GetStatus(), "order:" + c.GetOrderId(), "connection:" + c.GetConnectionId()},
	}, err
}

func tokenTraits(_ string, data []byte) (traits, error) {
	var t patchbayv1.Token
	err := event.Unmarshal(data, &t)
	return traits{
		ended:  t.GetState() == "EXPIRED" || t.GetState() == "DELETED",
		labels: []string{"status:" + t.GetState(), "account:" + t.GetAccount(), "connection:" + t.GetConnectionId()},
		names:  []string{t.GetId()},
	}, err
}
