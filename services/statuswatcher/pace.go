package statuswatcher

import (
	"math/rand/v2"
	"time"
)

// Pace says how often the exchanges are asked, and when their silence is believed. The zero
// Pace is the default.
type Pace struct {
	// Moving is the time between looks while circuits move; default 5s.
	Moving time.Duration
	// Quiet is what it grows to while nothing moves, by half each time; default 1m.
	Quiet time.Duration
	// Full is the time between sweeps over all circuits, which find absences; default
	// 15m, at most 1h. It is four times as long, at most 1h, where the exchange says what
	// has changed; where each list shows everything, each sweep is one. Service tokens are listed as often.
	Full time.Duration
	// Settle is how long a look that goes backward waits for the one that confirms it;
	// default 1s.
	Settle time.Duration
	// Lease is how long the polling of an account is left to a watcher that was not heard of;
	// default 6s.
	Lease time.Duration
	// Gone names accounts whose circuits the operator knows to be gone, so that they are
	// announced as gone although the exchange shows almost none of them any more.
	Gone []string
}

// longestFull bounds how long an absence may go unseen.
const longestFull = time.Hour

func (p Pace) withDefaults() Pace {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&p.Moving, 5 * time.Second}, {&p.Quiet, time.Minute},
		{&p.Full, 15 * time.Minute}, {&p.Settle, time.Second}, {&p.Lease, 6 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	p.Quiet = max(p.Quiet, p.Moving)
	p.Full = min(p.Full, longestFull)
	return p
}

// cadence is the time between the sweeps of one account. It starts fast, and again after
// each change, and slows down while nothing moves.
type cadence struct{ fast, slow, now time.Duration }

func newCadence(p Pace) cadence { return cadence{fast: p.Moving, slow: p.Quiet, now: p.Moving} }

func (c *cadence) moved() { c.now = c.fast }

// next is how long to wait now; it will be longer the next time.
func (c *cadence) next() time.Duration {
	d := c.now
	c.now = min(c.now*3/2, c.slow)
	return jittered(d)
}

// jittered is d give or take a tenth, so that accounts do not ask in step.
func jittered(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}
