// Package exchange is the seam to the outside: what Patchbay asks of an account at a
// network exchange, in words that hold for ECX v3, Fabric v4 and PacketFabric alike.
//
// Each API is fitted to the seam by a package of its own below this one. An adapter
// translates words and errors at the door, keeps the exchange's own beside ours, strips
// secrets from what it reads, and makes exactly one request for a call that may create
// or decide something: no client retries, no redirects, no re-sending transport. What
// such a call did is told by the [Class] of its [Outcome]; the classes are the whole
// vocabulary in which certainty is discussed.
//
// Ids of the exchange have one spelling, both ways; see CanonicalID in package event.
//
// All methods return by ctx's deadline. They may be called from many goroutines.
package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Roles of an account on a circuit.
const (
	Buyer  = "buyer"
	Seller = "seller"
)

// Legs of an order.
const (
	Primary   = "primary"
	Secondary = "secondary"
	Both      = "both"
)

// Kinds of orders, approvals and landings.
const (
	Create = "create"
	Change = "change"
	Delete = "delete"
)

// ErrGone reports a circuit that the exchange does not know (any more), or does not show
// to this account.
var ErrGone = errors.New("no such circuit at the exchange")

// Throttled reports that the exchange, or our own budget for it, asks to stay away.
type Throttled struct{ After time.Duration }

func (t Throttled) Error() string { return fmt.Sprintf("throttled, again after %v", t.After) }

// A Class says what is known about a call that may have created or decided something.
type Class string

const (
	// Done: the exchange took it and said so, with the ids where ids are due.
	Done Class = "done"
	// Partial: one of two circuits was created for certain; the other is unknown.
	Partial Class = "partial"
	// NotSent: the request was never written (dial, DNS, TLS). Nothing happened.
	NotSent Class = "not sent"
	// Busy: the exchange or our budget throttled it before it did anything.
	Busy Class = "throttled"
	// Taken: the exchange says that the tag or token is in use; it may be by this
	// very order.
	Taken Class = "taken"
	// Moving: the circuit is in a transient state; ask again after its next transition.
	Moving Class = "moving"
	// Over: what was asked for is already so (a delete of something deleted).
	Over Class = "over"
	// Refused: the exchange will not do it, in its own form and words.
	Refused Class = "refused"
	// Unknown: anything else. It may or may not have happened.
	Unknown Class = "unknown"
)

// An Outcome is what became of one call.
type Outcome struct {
	Class Class
	// IDs has the exchange's id of each leg that was created.
	IDs map[string]string
	// Answer is what came back in a few words: "502 Bad Gateway", "connection reset".
	Answer string
	// Code, Message and Property are the exchange's own, if it gave any.
	Code, Message, Property string
	// Leg is the leg a refusal is about, if the exchange's property tells.
	Leg string
	// After is how long to stay away, when Busy.
	After time.Duration
	// Group ties the legs of a redundant pair, where the exchange has such a thing.
	Group string
}

// A Placement is an intent on its way to the exchange.
type Placement struct {
	// Intent has its secrets in clear and the secondary's absent fields filled in.
	Intent *patchbayv1.CreateIntent
	// Legs to place, in order: both at once, or one.
	Legs []string
	// Group of the pair, where the primary's answer gave one.
	Group string
}

// TokenUsed is the rule that an intent breaks whose service token is spent. The exchange says
// so too while the order that spends it is one of ours, which is not the later intent's fault.
const TokenUsed = "a service token that nobody has used"

// Checked is what a look at the exchange says about an intent.
type Checked struct {
	// Violations has every rule that the intent breaks, for this exchange.
	Violations []*patchbayv1.Violation
	// Flow is how the exchange will treat it; see package status.
	Flow string
	// Notes are sentences for people: what will be sent where, what it rests on.
	Notes []string
}

// Found is what a look for a lost circuit brought.
type Found struct {
	// Circuits that bear the leg's look-up key, by leg, ended ones included.
	Circuits map[string][]*patchbayv1.Connection
	// Ahead is how far the exchange's clock is ahead of ours, by its Date header.
	Ahead time.Duration
}

// Ordering is what the requester asks of a buyer's account.
type Ordering interface {
	// Check holds an intent against ports, profiles and keys at the exchange, which are
	// cached for a while. An error means that the exchange could not be asked.
	Check(ctx context.Context, in *patchbayv1.CreateIntent) (Checked, error)

	// Keys returns the look-up key of each leg: what the exchange will show of it, so
	// that it can be found again. It needs no exchange and no secret.
	Keys(in *patchbayv1.CreateIntent) map[string]string

	// Together reports whether all legs go out in one call.
	Together() bool

	// Place makes the one call that creates the placement's legs.
	Place(ctx context.Context, p Placement) Outcome

	// Find looks for circuits that bear the keys of the placement's legs. An error means
	// that the look failed, and nothing may be concluded from it.
	Find(ctx context.Context, p Placement) (Found, error)

	// Alter makes the one call that changes a circuit.
	Alter(ctx context.Context, exchangeID string, set *patchbayv1.ChangeSet) Outcome

	// Remove makes the one call that asks for the end of a circuit.
	Remove(ctx context.Context, exchangeID string) Outcome
}

// An Acceptance is consent to a request, with the place where it lands.
type Acceptance struct {
	ExchangeID string
	// Kind is what is consented to: create, change or delete. Only a create lands.
	Kind   string
	PortID string
	Tag    *patchbayv1.Tag
	// Redundancy is the request's role in a pair: primary, secondary or empty.
	Redundancy string
	// Description of the circuit by its seller, where the exchange takes one; may be empty.
	Description string
}

// Port is a port of the account.
type Port struct {
	ID, Name, Metro string
	// Encapsulation is dot1q, qinq or untagged.
	Encapsulation string
}

// Landing is what the provisioner and the approver ask of a seller's account.
type Landing interface {
	// Ports returns the account's ports, cached for a while.
	Ports(ctx context.Context) ([]Port, error)

	// Accept makes the one call that accepts a request.
	Accept(ctx context.Context, a Acceptance) Outcome

	// Reject makes the one call that rejects a request of a kind, for a reason.
	Reject(ctx context.Context, exchangeID, kind, reason string) Outcome
}

// Parties is what belongs to an account, by which it is recognised on a circuit.
type Parties struct {
	// Ports by id, of a buyer.
	Ports []string
	// Profiles (or routing ids) by id, of a seller.
	Profiles []string
}

// Observing is what the status-watcher asks of any account.
type Observing interface {
	// Get reads one circuit. It returns [ErrGone] if there is none.
	Get(ctx context.Context, exchangeID string) (*patchbayv1.Connection, error)

	// List reads circuits in a role and hands each to yield: those in motion, or all. It
	// stops at the first error of yield. Among those in motion may be others that were
	// read with them, and one whose status is a word that nobody documented may be missing.
	List(ctx context.Context, role string, moving bool, yield func(*patchbayv1.Connection) error) error

	// Parties returns what belongs to the account. It asks the exchange each time.
	Parties(ctx context.Context) (Parties, error)

	// KeyOf returns the look-up key under which c would have been placed; see
	// [Ordering.Keys]. It is empty if the exchange does not show enough of c.
	KeyOf(c *patchbayv1.Connection) string
}

// Client is an account at an exchange, whole.
type Client interface {
	Ordering
	Landing
	Observing
}
