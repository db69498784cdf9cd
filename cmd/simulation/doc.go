// Package simulation runs the whole system in virtual time: a real nats-server, Redis, the
// sandbox exchanges and every service, several instances of each, in one testing/synctest
// bubble, where days pass in seconds.
//
// Each world has a buyer and a seller at all three APIs. At ECX and Fabric they meet the
// same circuits; PacketFabric's are others.
//
// A seed decides what happens: intents of every kind, by tokens, to profiles, to customers
// and between own ports, good, wrong, repeated, conflicting and rival; people who decide, or
// do not; edits behind our back; answers that are lost, late, wrong or refused; processes
// that crash between any two of their effects; Redis emptied, NATS restarted, connections
// cut and held up. Then everything is healed, and when things are quiet the journal is held
// against the exchanges' own books: see invariants_test.go.
//
// A seed that fails is printed and can be run alone, several times, since the order in
// which goroutines run is not decided by it:
//
//	make sim SEED=4711
//
// The package holds tests only.
package simulation
