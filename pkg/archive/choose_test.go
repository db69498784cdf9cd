package archive

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

var today = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// told is a last fact.
type told struct {
	noun event.Noun
	id   string
	fact string
	age  int // in days
	data proto.Message
}

func (f told) life(t *testing.T, seq uint64) *life {
	t.Helper()
	e, err := event.Fact{Entity: event.Entity{Noun: f.noun, ID: f.id}, Name: f.fact, By: "test", Data: f.data}.Event(1, today)
	if err != nil {
		t.Fatal(err)
	}
	return lifeOf(journal.Record{
		Stream: journal.Facts, Subject: fmt.Sprintf("patchbay.%s.%s.%s", f.noun, f.fact, f.id), Seq: seq,
		Stamp: today.Add(-time.Duration(f.age) * 24 * time.Hour), Event: e,
	})
}

func created(id, fact, outcome string, age int, circuits ...string) told {
	o := &patchbayv1.Order{Id: id, Kind: "create", Fact: fact, Outcome: outcome, Exchange: "equinix"}
	for _, c := range circuits {
		o.Legs = append(o.Legs, &patchbayv1.OrderLeg{Leg: "primary", State: "completed", ConnectionId: c})
	}
	return told{event.Order, id, fact, age, o}
}

func circuit(id, status, order string, age int) told {
	return told{event.Connection, id, strings.ToLower(status) + ".x", age,
		&patchbayv1.Transition{Connection: &patchbayv1.Connection{Id: id, Status: status, OrderId: order}}}
}

func deleted(id, circuit string, age int) told {
	return told{event.Order, id, "completed", age, &patchbayv1.Order{Id: id, Kind: "delete", Fact: "completed", Outcome: "completed",
		Delete: &patchbayv1.DeleteIntent{Target: &patchbayv1.Target{ConnectionId: circuit}}}}
}

func hold(fact string, age int, owners ...string) told {
	h := &patchbayv1.Hold{Id: "h", Fact: fact, Kind: "tag"}
	for _, o := range owners {
		h.Owners = append(h.Owners, &patchbayv1.Owner{Id: o, Noun: "order"})
	}
	return told{event.Hold, "h", fact, age, h}
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		facts        []told
		want         string // entities, in the order in which they go
		kept         string
	}{
		{"a life that is over", "the circuit goes first",
			[]told{created("o", "completed", "completed", 40, "c"), circuit("c", "DEPROVISIONED", "o", 40), deleted("d", "c", 40)},
			"connection/c order/o order/d", ""},
		{"a circuit that stands", "an order that is completed is not at its end",
			[]told{created("o", "completed", "completed", 400, "c"), circuit("c", "PROVISIONED", "o", 400)}, "", "2 open"},
		{"an order under way", "it stays with all that is about it",
			[]told{created("o", "completed", "completed", 40, "c"), circuit("c", "DEPROVISIONED", "o", 40),
				{event.Order, "d", "placed", 40, &patchbayv1.Order{Id: "d", Kind: "delete", Fact: "placed", TargetOrderId: "o"}}},
			"", "3 open"},
		{"young", "the family is as young as its youngest",
			[]told{created("o", "completed", "completed", 40, "c"), circuit("c", "DEPROVISIONED", "o", 40), deleted("d", "c", 29)},
			"", "3 young"},
		{"an approval waits", "", []told{circuit("c", "DEPROVISIONED", "", 40),
			{event.Approval, "c", "requested", 40, &patchbayv1.Approval{ConnectionId: "c", Fact: "requested"}}}, "", "2 open"},
		{"a landing that was not released", "", []told{circuit("c", "DEPROVISIONED", "", 40),
			{event.Landing, "c", "accepted", 40, &patchbayv1.Landing{ConnectionId: "c", Fact: "accepted"}}}, "", "2 open"},
		{"all about a circuit", "what may be asked for and shown of one goes with it", []told{circuit("c", "REJECTED", "", 40),
			{event.Approval, "c", "rejected", 41, &patchbayv1.Approval{ConnectionId: "c", Fact: "rejected"}},
			{event.Landing, "c", "released", 42, &patchbayv1.Landing{ConnectionId: "c", Fact: "released"}},
			{event.Sighting, "c", "seller", 43, &patchbayv1.Sighting{ConnectionId: "c", Role: "seller"}},
			{event.Change, "c", "requested", 44, &patchbayv1.Change{ConnectionId: "c", Status: "REQUESTED"}},
			{event.Refusal, "c", "decision", 45, &patchbayv1.Refusal{ConnectionId: "c", Fact: "decision"}},
		}, "connection/c approval/c landing/c sighting/c change/c refusal/c", ""},
		{"held", "who still has a tag stays, and so does the tag",
			[]told{created("o", "failed", "failed", 40), hold("taken", 40, "o")}, "", "1 held, 1 open"},
		{"a hold that was given back", "it goes without who had it",
			[]told{created("o", "failed", "failed", 2), hold("freed", 40)}, "hold/h", "1 young"},
		{"a circuit nobody saw", "a person should look what it is",
			[]told{created("o", "failed", "failed", 40, "c")}, "", "1 unseen"},
		{"an orphan", "it is a circuit of the order, too",
			[]told{{event.Order, "o", "orphaned", 40, &patchbayv1.Order{Id: "o", Kind: "create", Fact: "orphaned", Outcome: "failed",
				Exchange: "equinix", Orphans: []string{"X"}, Legs: []*patchbayv1.OrderLeg{{Leg: "primary", State: "failed"}}}},
				circuit(event.ConnectionID("equinix", "X"), "PROVISIONED", "", 40)}, "", "2 open"},
		{"what was put away", "it stands for a circuit that is known",
			[]told{created("o", "completed", "completed", 40, "c"),
				{event.Connection, "c", "archived.archived", 1, &patchbayv1.Archived{Id: "c", Fact: "archived"}}}, "order/o", ""},
		{"tokens", "", []told{{event.Token, "t", "deleted", 40, &patchbayv1.Token{Id: "t", State: "DELETED"}},
			{event.Token, "u", "active", 40, &patchbayv1.Token{Id: "u", State: "ACTIVE"}}}, "token/t", "1 open"},
		{"an inferred end", "nobody has seen it", []told{{event.Connection, "c", "deprovisioned.x", 40,
			&patchbayv1.Transition{Inferred: true, Connection: &patchbayv1.Connection{Id: "c", Status: "DEPROVISIONED"}}}}, "", "1 open"},
		{"a word nobody documented", "it may go on", []told{circuit("c", "UNKNOWN", "", 40)}, "", "1 open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := map[event.Entity]*life{}
			for i, f := range tt.facts {
				all[event.Entity{Noun: f.noun, ID: f.id}] = f.life(t, uint64(i+1))
			}
			chosen, kept := choose(all, today.Add(-30*24*time.Hour))
			var names, counts []string
			for _, e := range chosen {
				names = append(names, e.String())
			}
			for _, reason := range slices.Sorted(maps.Keys(kept)) {
				word, _, _ := strings.Cut(reason, ":")
				counts = append(counts, fmt.Sprintf("%d %s", kept[reason], word))
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("chose %q, want %q: %s", got, tt.want, tt.reason)
			}
			if got := strings.Join(counts, ", "); got != tt.kept {
				t.Errorf("kept %q, want %q: %s", got, tt.kept, tt.reason)
			}
		})
	}
}
