package exchange

import (
	"context"
	"time"

	"patchbay.io/pkg/secret"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// What follows is not offered by every exchange. A [Client] is asked by a type assertion
// whether it has it.

// Feed is an exchange that says what has changed, so that calls grow with what changes and
// not with what exists.
type Feed interface {
	// Changed hands every circuit of a role that the exchange says was updated at or after
	// since, by its own clock, to yield. It stops at the first error of yield.
	Changed(ctx context.Context, role string, since time.Time, yield func(*patchbayv1.Connection) error) error
}

// Whole is an exchange that shows everything whatever is asked for: each of its lists is one
// of all circuits in a role, so what a list does not show is absent.
type Whole interface {
	// ListsAll marks an exchange whose List has no other answer.
	ListsAll()
}

// Reminded is an exchange that may stop showing which of its names belong to one circuit.
type Reminded interface {
	// Remind tells of a circuit as it was seen before, perhaps by a process that is no more.
	// It asks the exchange nothing, and what the client knows already stands.
	Remind(c *patchbayv1.Connection)
}

// Batch is an exchange that shows many circuits in one answer.
type Batch interface {
	// GetAll reads circuits by their ids, as many a call as the exchange allows, and hands
	// each to yield. Those that the exchange does not show are left out.
	GetAll(ctx context.Context, exchangeIDs []string, yield func(*patchbayv1.Connection) error) error
}

// A PastState is what an exchange's own events tell of a circuit at some time.
type PastState struct {
	At time.Time
	// State is the exchange's own word, as in Native.State.
	State string
}

// Past is an exchange that tells what happened between two looks.
type Past interface {
	// Past returns the states of a circuit since a time, oldest first.
	Past(ctx context.Context, exchangeID string, since time.Time) ([]PastState, error)
}

// A Token is a service token as its issuer's account sees it.
type Token struct {
	UUID secret.Secret
	// State is INACTIVE, ACTIVE, EXPIRED, DELETED or UNKNOWN; Native the exchange's word.
	State, Native string
	// ConnectionID is the exchange's id of the circuit that redeemed it; empty for none.
	ConnectionID string
	ExpiresAt    time.Time
}

// Tokens is an exchange with service tokens.
type Tokens interface {
	// Tokens hands every service token of the account to yield.
	Tokens(ctx context.Context, yield func(Token) error) error
}

// TagsInUse is an exchange that says which tags of a port are taken.
type TagsInUse interface {
	// InUse returns the tags of a port that the exchange would refuse. A tag with an S-tag
	// and no C-tag, or a VLAN, is taken whole.
	InUse(ctx context.Context, portID string) ([]*patchbayv1.Tag, error)
}

// LandsOn is an exchange whose requests do not show on what kind of port they land, and
// whose profiles do.
type LandsOn interface {
	// LandsOn returns the encapsulation of the ports on which requests for a profile land,
	// as [Port.Encapsulation] has it; empty if any will do or if it is not shown.
	LandsOn(ctx context.Context, profileID string) (string, error)
}
