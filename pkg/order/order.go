// Package order is the vocabulary of what Patchbay promises: the facts of an order and the
// states of its legs, and which may follow which. Beside them stand the facts of
// approvals, landings and holds.
//
// The charts are tables. [Check] holds two facts of one order against them, and against
// what no fact may ever change; [Diagram] prints them. The package does no I/O, knows no
// clock and decides nothing: services decide, and tests check what they decided.
package order

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Kind is what the intent of an order asks for.
type Kind string

// The kinds of orders.
const (
	Create Kind = "create"
	Change Kind = "change"
	Delete Kind = "delete"
)

// Kinds returns every kind.
func Kinds() []Kind { return []Kind{Create, Change, Delete} }

// The facts of an order.
const (
	Accepted   = "accepted"   // the intent is sound, and the promise is made
	Invalid    = "invalid"    // the intent breaks rules; final
	Placing    = "placing"    // about to ask the exchange; nobody else may
	Uncertain  = "uncertain"  // asked, and the answer was lost
	Placed     = "placed"     // the exchange took it
	Cancelling = "cancelling" // a delete came before the end: nothing more is placed
	Orphaned   = "orphaned"   // a notice: a circuit exists that belongs to no leg
	Failed     = "failed"     // over, for a reason
	Completed  = "completed"  // over, as asked for
)

// Facts returns every fact of an order, in the order of its life.
func Facts() []string {
	return []string{Accepted, Invalid, Placing, Uncertain, Placed, Cancelling, Orphaned, Failed, Completed}
}

// Ended reports whether a fact is the end of an order. [Orphaned] is none; it may even
// come after the end, so ask [Over] about an order whose last fact it is.
func Ended(fact string) bool { return fact == Invalid || fact == Failed || fact == Completed }

// Over reports whether o has ended: its last fact says so, or is a notice and every leg
// has ended, or it was put away.
func Over(o *patchbayv1.Order) bool {
	if o.GetFact() == event.Archived {
		return true
	}
	if o.GetFact() != Orphaned {
		return Ended(o.GetFact())
	}
	return len(o.GetLegs()) > 0 && !slices.ContainsFunc(o.GetLegs(), func(l *patchbayv1.OrderLeg) bool {
		return !LegEnded(l.GetState())
	})
}

// The states of a leg. Placing, uncertain, placed, failed and completed mean for a leg what
// they mean for an order.
const Open = "open" // nothing is asked of the exchange, as far as anybody knows

// LegStates returns every state of a leg, in the order of its life.
func LegStates() []string { return []string{Open, Placing, Uncertain, Placed, Completed, Failed} }

// LegEnded reports whether nothing more is to come of a leg.
func LegEnded(state string) bool { return state == Completed || state == Failed }

// Said quotes an exchange by its own code and words; it is empty if there are neither.
func Said(code, words string) string {
	if !strings.HasPrefix(words, code) { // PacketFabric's words begin with their code
		words = strings.TrimSpace(code + " " + words)
	}
	if words == "" {
		return ""
	}
	return fmt.Sprintf("(the exchange says %q)", words)
}

// SetFor returns what a change sets on a leg, nil for nothing. A name and a tag belong to
// one circuit, so of a whole order they are the primary's.
func SetFor(o *patchbayv1.Order, leg string) *patchbayv1.ChangeSet {
	set := o.GetChange().GetSet()
	if leg != "secondary" || o.GetChange().GetTarget().GetConnectionId() != "" {
		return set
	}
	set = proto.CloneOf(set)
	if set != nil {
		set.Name, set.Tag = "", nil
	}
	if proto.Size(set) == 0 {
		return nil
	}
	return set
}
