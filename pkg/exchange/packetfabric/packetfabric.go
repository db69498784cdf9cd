// Package packetfabric speaks the v2 API of PacketFabric for the seam in package exchange.
//
// It relies on package wire for calls that are made once, on package status for the
// exchange's words, and on what is written down about the API; no official description of
// it was to be had, so it reads tolerantly and writes what its public clients write. Only
// a 2xx is a success here: 403, 409, 429 and 5xx are what they are, unlike in those clients.
//
// A circuit to another company is a request until its seller provisions it, and then a
// virtual circuit besides. It is named by the request's uuid for ever; the circuit id is
// an alias. A circuit between ports of one's own has a circuit id only, and that names it.
// Whose request a circuit came from is read from the requests; what was once seen is kept
// in memory, since nobody says how long the exchange shows a request that is settled, and
// what a process before saw is told by [Client.Remind].
//
// Promises:
//   - A call that may create or decide something is one request. Reads may come before it,
//     to tell a request from a circuit, and after a refusal, to tell what is already so.
//   - A list is read whole or is an error, for absence is concluded from it. The circuits
//     are read before the requests, so that one that is just being provisioned is shown
//     as the request it came from.
//   - A circuit is gone if the exchange says 404 in its own form and that it was not
//     found, both of the request and of the circuit. Any other 404 is an error.
//   - Errors, logs and spans bear no secret and no URL; of people in an answer nothing is
//     taken out.
//
// Choices where the documents are silent or disagree:
//   - On an ENNI port the S-VLAN is the outer tag and the VLAN the inner one. A buyer names
//     both. A seller who names the outer one only lands on the same number inside, because
//     the exchange wants a VLAN on every tagged circuit.
//   - The name of a circuit is its description, if the intent has none of its own.
//   - Rate limits are always sent, so that a circuit shows the bandwidth that was asked
//     for. What is shown is the lower rate limit, and the speed where there is none.
//   - The speed goes out where it counts, for dedicated and hourly circuits; usage and flex
//     bandwidth are bound by the rate limits alone.
//   - A seller is known by the uuid of his customer, which the ports of his account and
//     every request to him bear. A routing id stands in no answer that is documented; it is
//     learned from the answer to a request that named it, and from the marketplace if that
//     tells.
//   - To change a tag, the ends of the circuit that are the account's own are sent, the
//     others as they stand.
//   - The filter of the list of ports by market has no documented name, so all are read.
//   - A workflow that failed leaves its circuit as it is, and its last word is shown as
//     Native.Change. To call the circuit failed would let go of a tag that it still holds.
//   - A circuit between two customers whose request is not shown is left out while it is
//     being built, and named by its circuit id afterwards: somebody made it before.
package packetfabric

import (
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// name is that of the exchange, as ids of connections have it.
const name = "packetfabric"

// Paths of the API.
const (
	v2       = "/v2"
	v21      = "/v2.1"
	services = "/services"
	requests = services + "/requests"
)

// Client is an account at PacketFabric. It is safe for use by many goroutines.
type Client struct {
	cfg   exchange.Config
	wire  *wire.Wire
	login *wire.Login
	known *knowledge

	ports   *wire.Memo[string, []port]
	markets *wire.Memo[string, []string]
	offers  *wire.Memo[string, []offer]
}

var (
	_ exchange.Client    = (*Client)(nil)
	_ exchange.TagsInUse = (*Client)(nil)
	_ exchange.Whole     = (*Client)(nil)
	_ exchange.Reminded  = (*Client)(nil)
)

// New returns a client of the account in cfg. It asks nothing of the exchange.
func New(cfg exchange.Config) (*Client, error) {
	w, err := wire.New(cfg, name)
	if err != nil {
		return nil, err
	}
	cfg = w.Config()
	return &Client{
		cfg:     cfg,
		wire:    w,
		login:   newLogin(w),
		known:   newKnowledge(),
		ports:   wire.NewMemo[string, []port](cfg.CacheFor),
		markets: wire.NewMemo[string, []string](cfg.CacheFor),
		offers:  wire.NewMemo[string, []offer](cfg.CacheFor),
	}, nil
}

// Close lets go of idle connections. Calls under way are not disturbed.
func (c *Client) Close() { c.wire.Close() }
