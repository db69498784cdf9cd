// Package approval tells what a seller is asked to consent to, and names it, so that a
// decision can say what it is about: whoever decides gives the digest of what he saw, and
// a request that has changed since then has another.
//
// Decided upon is what the buyer asks for: who, which circuit, how fast, between which
// ends. Not part of it are times, the exchange's own words, the names of ports and
// profiles, and, of a create, the port and outer tag on the seller's side, which the
// seller chooses himself.
//
// The package is pure: no I/O, no clock.
package approval

import (
	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Facts of an approval.
const (
	Requested = "requested"
	Reminded  = "reminded"
	Approved  = "approved"
	Rejected  = "rejected"
	Expired   = "expired"
)

// Submitted is the status of a change that waits for the seller.
const Submitted = "SUBMITTED_FOR_APPROVAL"

// Kind returns what c waits for the seller's consent to: create, change, delete, or
// nothing.
func Kind(c *patchbayv1.Connection) string {
	switch {
	case c.GetStatus() == string(status.PendingApproval):
		return exchange.Create
	case c.GetStatus() == string(status.PendingDelete):
		return exchange.Delete
	case c.GetPendingBandwidthMbps() > 0, submitted(c):
		return exchange.Change
	}
	return ""
}

// submitted reports whether the exchange calls a change submitted to the seller. Fabric
// calls a creation and a deletion changes too; only on a circuit that stands it is one.
func submitted(c *patchbayv1.Connection) bool {
	return c.GetNative().GetChange() == Submitted && c.GetStatus() == string(status.Provisioned)
}

// Rejectable reports whether a seller can reject a request of a kind through an API.
// Fabric has an action for the acceptance of a deletion and none for its rejection
// (Fabric v4, ConnectionActionRequest.type); PacketFabric asks about creations only. ECX
// takes a rejection of whatever it asks about.
func Rejectable(api status.API, kind string) bool {
	switch api {
	case status.Fabric:
		return kind != exchange.Delete
	case status.PacketFabric:
		return kind == exchange.Create
	default:
		return true
	}
}

// A Sight is a connection as it was seen last, and what it waits for.
type Sight struct {
	Connection *patchbayv1.Connection
	// Kind is create, change or delete; empty if no consent is asked for.
	Kind string
}

// Latest returns what the last transition and the last change of a connection tell
// together, either of which may be nil. The newer one tells all, since both carry the
// connection whole.
func Latest(t *patchbayv1.Transition, ch *patchbayv1.Change, changeIsNewer bool) Sight {
	s := Sight{Connection: t.GetConnection()}
	if changeIsNewer {
		s.Connection = ch.GetConnection()
	}
	s.Kind = Kind(s.Connection)
	if s.Kind == "" && changeIsNewer && ch.GetStatus() == Submitted {
		s.Kind = exchange.Change // the API does not show to what
	}
	return s
}

// Digest names what is decided upon when c asks for a consent of a kind: SHA-256 in hex
// over its RFC 8785 JSON.
func Digest(c *patchbayv1.Connection, kind string) string {
	return intent.Digest(&patchbayv1.Approval{Kind: kind, Connection: subject(c, kind)})
}

// Differences returns, by field path, what of the things decided upon differs between two
// sights of a connection.
func Differences(kind string, was, now *patchbayv1.Connection) []*patchbayv1.Difference {
	return intent.Differences(subject(was, kind), subject(now, kind))
}

// Contradicts reports whether a circuit as the exchange shows it now is another than the
// one decided upon, in speed or profile. What one of the two does not tell is no
// contradiction, since buyer and seller are not shown the same.
func Contradicts(decided, shown *patchbayv1.Connection) bool {
	for _, of := range []func(*patchbayv1.Connection) int32{
		(*patchbayv1.Connection).GetBandwidthMbps, (*patchbayv1.Connection).GetPendingBandwidthMbps,
	} {
		if was, is := of(decided), of(shown); was != 0 && is != 0 && was != is {
			return true
		}
	}
	was, is := decided.GetZSide().GetProfileId(), shown.GetZSide().GetProfileId()
	return was != "" && is != "" && was != is
}

// subject returns what of c is decided upon.
func subject(c *patchbayv1.Connection, kind string) *patchbayv1.Connection {
	z := side(c.GetZSide())
	if kind == exchange.Create && z != nil {
		z.PortId = ""
		wish := z.GetTag()
		z.Tag = nil
		if wish != nil && wish.CTag != nil { // the inner tag is the buyer's
			z.Tag = &patchbayv1.Tag{CTag: wish.CTag}
		}
	}
	return &patchbayv1.Connection{
		Id: c.GetId(), Exchange: c.GetExchange(), ExchangeId: c.GetExchangeId(),
		Name: c.GetName(), BandwidthMbps: c.GetBandwidthMbps(), PendingBandwidthMbps: c.GetPendingBandwidthMbps(),
		Status: c.GetStatus(), BuyerOrganization: c.GetBuyerOrganization(),
		ASide: side(c.GetASide()), ZSide: z,
		Redundancy: c.GetRedundancy(), RedundancyGroup: c.GetRedundancyGroup(),
	}
}

func side(s *patchbayv1.Side) *patchbayv1.Side {
	if s == nil {
		return nil
	}
	return &patchbayv1.Side{
		PortId: s.GetPortId(), Encapsulation: s.GetEncapsulation(), Tag: proto.CloneOf(s.GetTag()), Metro: s.GetMetro(),
		ProfileId: s.GetProfileId(), Region: s.GetRegion(), Peering: s.GetPeering(),
	}
}
