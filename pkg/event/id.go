package event

import "github.com/google/uuid"

// namespace is UUIDv5 of the DNS name patchbay.io. Every derived id lives in it.
var namespace = uuid.MustParse("fcb1eb1e-ab7d-5eb2-8430-f1470b57d72b")

func derived(a, b string) string {
	return uuid.NewSHA1(namespace, []byte(a+"\n"+b)).String()
}

// OrderID is the id of the order that carries out the intent (source, id), whoever
// computes it.
func OrderID(source, id string) string { return derived(source, id) }

// ConnectionID is our id of the circuit that exchange ("equinix" or "packetfabric")
// calls exchangeID.
func ConnectionID(exchange, exchangeID string) string { return derived(exchange, exchangeID) }

// HoldID is the id of the hold on the thing of a kind ("tag", "token", "lookalike") that
// key names.
func HoldID(kind, key string) string { return derived(kind, key) }

// AccountID is the id under which the journal says whether the account of a name is paused.
func AccountID(name string) string { return derived("account", name) }
