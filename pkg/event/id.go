package event

import (
	"strings"

	"github.com/google/uuid"
)

// namespace is UUIDv5 of the DNS name patchbay.io. Every derived id lives in it.
var namespace = uuid.MustParse("fcb1eb1e-ab7d-5eb2-8430-f1470b57d72b")

func derived(a, b string) string {
	return uuid.NewSHA1(namespace, []byte(a+"\n"+b)).String()
}

// OrderID is the id of the order that carries out the intent (source, id), whoever
// computes it.
func OrderID(source, id string) string { return derived(source, id) }

// CanonicalID is the one spelling of an id that an exchange has given: a UUID in lower case,
// an id of PacketFabric's such as PF-AP-LAX1-1234 in upper case, as all documents of the
// exchanges write them. A UUID in another case is the same UUID (RFC 9562, section 4). Any
// other id is opaque and stays as it is.
//
// An id is compared, looked up or hashed in this spelling only. So whatever takes one from
// outside (answers and events of an exchange, intents, the landing ports of an accounts file)
// puts it into this spelling there.
func CanonicalID(id string) string {
	if u, err := uuid.Parse(id); err == nil && len(id) == 36 { // Parse takes other forms too
		return u.String()
	}
	if up := strings.ToUpper(id); ValidID(id) && strings.HasPrefix(up, "PF-") {
		return up
	}
	return id
}

// ConnectionID is our id of the circuit that exchange ("equinix" or "packetfabric")
// calls exchangeID, which is in its one spelling ([CanonicalID]).
func ConnectionID(exchange, exchangeID string) string { return derived(exchange, exchangeID) }

// HoldID is the id of the hold on the thing of a kind ("tag", "token", "lookalike") that
// key names.
func HoldID(kind, key string) string { return derived(kind, key) }

// AccountID is the id under which the journal says whether the account of a name is paused.
func AccountID(name string) string { return derived("account", name) }
