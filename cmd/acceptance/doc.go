// Package acceptance runs the program that users run, over real sockets, and asks of it
// what it promises: the built binary, a sandbox exchange, NATS clients of no particular
// kind, and where it matters a real Redis.
//
// Each test starts what it needs in a folder of its own, on ports that the system picks,
// and logs the figures that it measured. Under the race detector the program runs under it
// too, and a race anywhere in it fails the test. Most end by holding the journal against the
// exchange's own books; see package invariants. Where random schedules and virtual time do
// better, package simulation does it.
//
// The package holds tests only.
package acceptance
