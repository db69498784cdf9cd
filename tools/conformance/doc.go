// Package conformance holds no code, only tests: the exchanges' own clients drive the
// sandbox exchange through all that they can do.
//
// The clients are judges. They were written against the real exchange, so what they
// cannot read or do not find is a mistake of the sandbox. They are not used anywhere
// else; that is why this module is outside the workspace.
//
// Each test runs the exchange and the client in a bubble of virtual time, over an HTTP
// server on a network in memory: what takes a real exchange minutes takes no time.
package conformance
