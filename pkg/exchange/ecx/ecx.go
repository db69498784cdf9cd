// Package ecx speaks the ECX v3 API of Equinix for the seam in package exchange.
//
// It relies on package wire and on what is written down about the API; where sources
// contradict each other it reads all spellings and writes the one that every source
// allows. It never believes a text of an answer, only its ids and codes.
//
// Promises:
//   - A call that may create or decide something is one request on a connection of its
//     own: nothing re-sends it, no redirect is followed. Only a 401, which did nothing,
//     is followed by a second request under a new token.
//   - A refused login is not repeated at once; see package equinix. Each Client counts for
//     itself, so a process should have one Client an account.
//   - What is read is stripped: authorization keys, tokens, the access keys of clouds and
//     the addresses of people are never taken out of an answer. Errors, logs and spans
//     bear no secret and no URL.
//   - A list is read whole or is an error, for absence is concluded from it.
//
// Choices where the guide is silent or the documents disagree:
//   - Tags from 2 to 4092 are sent, as numbers. 4093 and 4094 are violations.
//   - An absent metro of the Z side is sent as "", which the guide says is the A port's.
//   - The key of the secondary leg is always sent, inherited or not: some clouds fail
//     without. Its other fields are sent where they differ from the primary's.
//   - Service tokens are refused: a circuit that was ordered by token shows too little to
//     be found again after a lost answer. Fabric v4 shows it; use an account there.
//   - Consent to a delete or a change is ?action=Approve without a body's fields.
//   - Only IC-LAYER2-4023 says that a circuit is gone. A 404 does not: a wrong base URL
//     answers so too, and would end every circuit.
//   - A seller's profiles are listed at /l2/serviceprofiles.
package ecx

import (
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/equinix"
	"patchbay.io/pkg/exchange/wire"
)

// Client is an account at ECX v3. It is safe for use by many goroutines.
type Client struct {
	cfg    exchange.Config
	wire   *wire.Wire
	login  *wire.Login
	bought *bought

	ports    *wire.Memo[string, []exchange.Port]
	profiles *wire.Memo[string, *profile]
	keys     *wire.Memo[string, keyAnswer]
	flows    *wire.Memo[string, string] // by profile, kept for ever
}

var _ exchange.Client = (*Client)(nil)

// New returns a client of the account in cfg. It asks nothing of the exchange.
func New(cfg exchange.Config) (*Client, error) {
	w, err := wire.New(cfg, "ecx")
	if err != nil {
		return nil, err
	}
	cfg = w.Config()
	return &Client{
		cfg:      cfg,
		wire:     w,
		login:    equinix.NewLogin(w),
		bought:   newBought(),
		ports:    wire.NewMemo[string, []exchange.Port](cfg.CacheFor),
		profiles: wire.NewMemo[string, *profile](cfg.CacheFor),
		keys:     wire.NewMemo[string, keyAnswer](cfg.CacheFor),
		flows:    wire.NewMemo[string, string](0),
	}, nil
}

// Close lets go of idle connections. Calls under way are not disturbed.
func (c *Client) Close() { c.wire.Close() }
