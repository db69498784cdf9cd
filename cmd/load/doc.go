// Package load measures what the status-watcher costs where an exchange has thousands of
// circuits: calls, delays and memory, in virtual time, with the real status-watcher at its
// default pace, a real nats-server and the sandbox exchange behind the real adapters.
//
// One account buys at one API of the exchange, which has so many circuits at rest. Then
// twenty a minute change behind our back, in turn by a new circuit, a deletion and a new
// name, and everything that the exchange was asked and the journal was told is counted:
//
//	make watch-load
//
// Beside it stands the way of the Terraform providers: to ask for each circuit by itself,
// every half minute.
//
// What is measured is also checked: no transition of the exchange's own books is missing
// in the journal unless the journal says that steps were skipped, and none is in it that
// never was.
//
// The package holds tests only; they are skipped unless asked for.
package load
