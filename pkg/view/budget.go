package view

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"patchbay.io/pkg/exchange"
)

// longestWait is how long a call waits for its turn before it is told to come again.
const longestWait = 30 * time.Second

var (
	_ exchange.Budget = (*View)(nil)
	_ exchange.Cooler = (*View)(nil)
)

// gate is one rate limit. Watching goes through two: its own and everybody's.
type gate struct {
	name      string // of the account and what the gate is for
	perMinute int
}

// gates returns what a call for p has to pass, the narrowest first.
func (v *View) gates(account string, perMinute int, p exchange.Purpose) []gate {
	all := gate{account + ":all", perMinute}
	if p != exchange.ForWatch {
		return []gate{all}
	}
	share := max(1, int(v.cfg.WatchShare*float64(perMinute)))
	return []gate{{account + ":watch", share}, all}
}

// limit lets a small flurry out at once and yet never more than perMinute calls in any
// minute: what the burst may use up is taken off the rate.
func (g gate) limit() redis_rate.Limit {
	burst := max(1, g.perMinute/4)
	return redis_rate.Limit{Rate: g.perMinute - (burst - 1), Burst: burst, Period: time.Minute}
}

// Take lets a call out when the account's budget allows it: perMinute calls in any minute
// by all replicas together, of which watching gets no more than its share, so that there
// is always something left for orders. No perMinute means no limit. It waits for the
// turn, and returns [exchange.Throttled] instead if that is more than 30 seconds or ctx's
// deadline away. An account that was cooled is stayed away from.
//
// While Redis is away this process takes a fixed share of the budget for itself.
func (v *View) Take(ctx context.Context, account string, perMinute int, p exchange.Purpose) error {
	until := time.Now().Add(longestWait)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	gates := v.gates(account, perMinute, p)
	if perMinute <= 0 {
		gates = nil
	}
	for {
		wait, err := v.cooling(ctx, account)
		for err == nil && wait <= 0 && len(gates) > 0 {
			if wait, err = v.pass(ctx, gates[0], until); wait <= 0 {
				gates = gates[1:]
			}
		}
		switch {
		case err != nil:
			return err
		case wait <= 0:
			return nil
		case time.Now().Add(wait).After(until):
			return exchange.Throttled{After: wait}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// pass goes through a gate, or returns how long to wait before trying again.
func (v *View) pass(ctx context.Context, g gate, until time.Time) (wait time.Duration, err error) {
	if v.cfg.Alone {
		return v.passHere(g), nil
	}
	err = v.do(ctx, callTime, func(ctx context.Context) error {
		r, err := v.rates.Allow(ctx, root+g.name, g.limit())
		if err == nil && r.Allowed == 0 {
			wait = max(r.RetryAfter, time.Millisecond)
		}
		return err
	})
	if err == nil || ended(ctx) != nil {
		return wait, err
	}
	return v.passAlone(ctx, g, until)
}

// passHere goes through the gate that is kept here whole, or returns how long to wait before
// trying again. The time between two turns is rounded up, so that no minute has a call too many.
func (v *View) passHere(g gate) (wait time.Duration) {
	whole := g.limit()
	turns := time.Duration(whole.Rate)
	l := v.limiter(g, rate.Every((whole.Period+turns-1)/turns), whole.Burst)
	if l.Allow() {
		return 0
	}
	missing := max(0, 1-l.Tokens()) // others may have come between
	return max(time.Duration(missing*float64(time.Second)/float64(l.Limit())), time.Millisecond)
}

// passAlone goes through this process's own gate. A turn that is near is taken and waited
// for here, since one that is given back would be lost to others.
func (v *View) passAlone(ctx context.Context, g gate, until time.Time) (time.Duration, error) {
	turn := v.limiter(g, rate.Limit(float64(g.perMinute)*v.cfg.AwayShare/60), 1).Reserve()
	wait := turn.Delay()
	if wait <= 0 {
		return 0, nil
	}
	if time.Now().Add(wait).After(until) {
		turn.Cancel()
		return wait, nil
	}
	select {
	case <-ctx.Done():
		turn.Cancel()
		return 0, ctx.Err()
	case <-time.After(wait):
		return 0, nil
	}
}

// limiter is the gate as it is kept here.
func (v *View) limiter(g gate, r rate.Limit, burst int) *rate.Limiter {
	v.mu.Lock()
	defer v.mu.Unlock()
	// The name alone will not do: the budget of an account may change.
	key := fmt.Sprintf("%s %d", g.name, g.perMinute)
	l := v.local[key]
	if l == nil {
		l = rate.NewLimiter(r, burst)
		v.local[key] = l
	}
	return l
}

// Cool tells all replicas to stay away from an account until then, as after a 429. An
// earlier time than one given before changes nothing.
func (v *View) Cool(ctx context.Context, account string, until time.Time) {
	v.mu.Lock()
	if v.cool[account].Before(until) {
		v.cool[account] = until
	}
	v.mu.Unlock()
	left := time.Until(until)
	if v.cfg.Alone || left < time.Millisecond {
		return
	}
	// While Redis is away the others find out by themselves.
	_ = v.do(ctx, callTime, func(ctx context.Context) error {
		return cool.Run(ctx, v.rdb, []string{coolRoot + account}, left.Milliseconds()).Err()
	})
}

// cool lengthens a cooldown to ARGV[1] milliseconds from now.
//
// KEYS cooldown; ARGV milliseconds.
var cool = redis.NewScript(clock + `
	local left = (tonumber(redis.call('GET', KEYS[1]) or 0) or 0) - now
	if left < tonumber(ARGV[1]) then
		redis.call('SET', KEYS[1], string.format('%d', now + ARGV[1]), 'PX', ARGV[1])
	end
	return 1`)

// cooling returns how long to stay away from an account, as far as can be told. The time
// is that of Redis, so that clocks need not agree.
func (v *View) cooling(ctx context.Context, account string) (time.Duration, error) {
	v.mu.Lock()
	left := time.Until(v.cool[account])
	v.mu.Unlock()
	if v.cfg.Alone {
		return left, nil
	}
	var shared time.Duration
	err := v.do(ctx, callTime, func(ctx context.Context) error {
		p := v.rdb.Pipeline() // each call asks, and a script costs many times as much
		until, now := p.Get(ctx, coolRoot+account), p.Time(ctx)
		if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		if ms, err := until.Int64(); err == nil { // else there is none, or nothing that can be read
			shared = time.UnixMilli(ms).Sub(now.Val())
		}
		return nil
	})
	if over := ended(ctx); err != nil && over != nil {
		return 0, over
	}
	return max(left, shared), nil
}
