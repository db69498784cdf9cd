package view

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// take gives a lease, or renews it for who has it.
var take = redis.NewScript(`
	local owner = redis.call('GET', KEYS[1])
	if owner and owner ~= ARGV[1] then return 0 end
	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
	return 1`)

// leave gives a lease back, if the caller has it.
var leave = redis.NewScript(`
	if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
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
		return ctx.Err() == nil, ctx.Err()
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
