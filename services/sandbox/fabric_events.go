package sandbox

import "time"

// tokenEntered tells that t is in a new state.
func (x *Exchange) tokenEntered(t *serviceToken, at time.Time, by user) {
	x.tokenEvent(t, "state", "", at, by)
}

// tokenEvent tells what has happened to t.
func (x *Exchange) tokenEvent(*serviceToken, string, string, time.Time, user) {}
