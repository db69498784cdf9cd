// Package fabric speaks the Fabric v4 API of Equinix for the seam in package exchange.
//
// It relies on package wire and on what is written down about the API; where sources
// contradict each other it reads all spellings and writes the one that every source
// allows. It believes an answer's ids, codes and states; of its texts only those that say
// that a tag or token is in use, for which no code is documented.
//
// Promises:
//   - A call that may create or decide something is one request on a connection of its
//     own: nothing re-sends it, no redirect is followed. Only a 401, which did nothing,
//     is followed by a second request under a new token. Before a POST there may be reads:
//     a metro that the intent leaves to the A port, a group that the primary's answer
//     did not bring.
//   - What is read is stripped: service tokens, authentication keys, additional
//     information and the addresses of people are never taken out of a circuit. Errors,
//     logs and spans bear no secret and no URL.
//   - A list is read whole or is an error, for absence is concluded from it.
//   - A word, a form or a field that no document has hides nothing but itself.
//
// Look-up keys are made of what a circuit shows later:
//
//	A side    Z side            key
//	port      anything          <port>/<S-tag or VLAN>.<C-tag or 0>/<name>, or <port>/untagged/<name>
//	token     port              z:<port>/<tag as above>/<name>
//	token     profile           z:<profile>/<name>
//	token     token             none
//
// A circuit shows the port behind its A-side token, and its key must not be made of that:
// who ordered by token does not know the port. So a Client remembers of the circuits it
// has read which of them name a token, and forgets when there are many. What it forgot has
// another key and is not linked by it; the order's own word links it then.
//
// Choices where the documents are silent or disagree:
//   - Tags from 2 to 4092 are sent, as numbers. 4093 and 4094 are violations.
//   - A tag on neither side is type EPL_VC, else the type is EVPL_VC; so is token to token,
//     and two tokens for EPL are a violation.
//   - A pair is two POSTs. The primary says so by its priority alone; the secondary bears
//     the primary's group, or nothing if there is no primary.
//   - POST has no description, so one is a violation; so is an inner tag for the Z side of
//     a profile, which the seller chooses.
//   - A circuit is gone when the exchange says so in its own form: EQ-3142519 with a 400 or
//     EQ-3045811 with a 404, which are the same answer. Any other 404 is an error: a wrong
//     base URL answers so too, and would end every circuit.
//   - The answer to an action is an action or a circuit; nothing is read of it.
//   - Whose a circuit is follows from its direction. One from an A-side token to a port or
//     token is the buyer's, whichever way it points.
//   - The buyer is whose account the A side's access point names, by organizationName or else
//     accountName; where it names none, or the A side is a token, which is its maker's, whose
//     account the circuit itself names. No document says whether that is the buyer's in a
//     seller's view too. So in one, which is INCOMING, a name that the Z side also has is the
//     seller's own, and there is no buyer rather than a wrong one.
//   - A change is one PATCH, also of several fields. There is no change of a tag.
//   - A dry run that answers with an id is believed to have created a circuit: it is
//     reported, and no dry run is made again.
package fabric

import (
	"sync/atomic"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/equinix"
	"patchbay.io/pkg/exchange/wire"
)

// Client is an account at Fabric v4. It is safe for use by many goroutines.
type Client struct {
	cfg   exchange.Config
	wire  *wire.Wire
	login *wire.Login

	ports    *wire.Memo[string, []exchange.Port]
	profiles *wire.Memo[string, *profile]
	keys     *wire.Memo[string, keyAnswer]
	prices   *wire.Memo[string, string]
	flows    *wire.Memo[string, string]  // by profile, kept for ever
	redeemed *wire.Memo[string, byToken] // by circuit, kept for ever
	notDry   atomic.Bool                 // a dry run created something
}

var (
	_ exchange.Client    = (*Client)(nil)
	_ exchange.Feed      = (*Client)(nil)
	_ exchange.Batch     = (*Client)(nil)
	_ exchange.Past      = (*Client)(nil)
	_ exchange.Tokens    = (*Client)(nil)
	_ exchange.TagsInUse = (*Client)(nil)
	_ exchange.LandsOn   = (*Client)(nil)
)

// New returns a client of the account in cfg. It asks nothing of the exchange.
func New(cfg exchange.Config) (*Client, error) {
	w, err := wire.New(cfg, "fabric")
	if err != nil {
		return nil, err
	}
	cfg = w.Config()
	return &Client{
		cfg:      cfg,
		wire:     w,
		login:    equinix.NewLogin(w),
		ports:    wire.NewMemo[string, []exchange.Port](cfg.CacheFor),
		profiles: wire.NewMemo[string, *profile](cfg.CacheFor),
		keys:     wire.NewMemo[string, keyAnswer](cfg.CacheFor),
		prices:   wire.NewMemo[string, string](cfg.CacheFor),
		flows:    wire.NewMemo[string, string](0),
		redeemed: wire.NewMemo[string, byToken](0),
	}, nil
}

// Close lets go of idle connections. Calls under way are not disturbed.
func (c *Client) Close() { c.wire.Close() }
