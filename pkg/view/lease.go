package view

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// take gives a lease, or renews it for who has it.
//
// KEYS lease; ARGV owner, time in ms.
var take = redis.NewScript(clock + `
	local was = redis.call('HMGET', KEYS[1], 'owner', 'until')
	if was[1] and was[1] ~= ARGV[1] and (tonumber(was[2] or 0) or 0) > now then return 0 end
	redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%d', now + ARGV[2]))
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	return 1`)

// leave gives a lease back, if the caller has it.
//
// KEYS lease; ARGV owner.
var leave = redis.NewScript(`
	if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('DEL', KEYS[1]) end
	return 1`)

// Lease reports whether owner has the lease of a name for the next ttl. It takes a free
// one and renews its own.
//
// A lease only keeps two instances from doing the same work at once; nothing goes wrong
// if they do, since what they write is decided by the journal. So while Redis is away
// everybody has every lease. The only error is ctx's.
func (v *View) Lease(ctx context.Context, name, owner string, ttl time.Duration) (held bool, err error) {
	var got int
	err = v.do(ctx, callTime, func(ctx context.Context) (err error) {
		got, err = take.Run(ctx, v.rdb, []string{leaseRoot + name}, owner, ttl.Milliseconds()).Int()
		return err
	})
	if err != nil {
		over := ended(ctx)
		return over == nil, over
	}
	return got == 1, nil
}

// Release gives a lease back, if owner has it. While Redis is away it returns [ErrAway],
// and the lease runs out.
func (v *View) Release(ctx context.Context, name, owner string) error {
	return v.do(ctx, callTime, func(ctx context.Context) error {
		return leave.Run(ctx, v.rdb, []string{leaseRoot + name}, owner).Err()
	})
}
