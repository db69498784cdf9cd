package view

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Keys. Only what begins with viewRoot is wiped before a rebuild; leases and cooldowns are
// no copy of anything.
const (
	root       = "pb:"
	viewRoot   = root + "v:"
	entityRoot = viewRoot + "e:"    // + noun/id: a hash of seq, body, index
	indexRoot  = viewRoot + "i:"    // + set: a sorted set
	seenRoot   = viewRoot + "seen:" // + order id: the digest of its payload
	markKey    = root + "mark"      // a hash of gen, journal, until while it is built, then seq
	leaseRoot  = root + "lease:"
	coolRoot   = root + "cool:"
)

// buildLease is how long a rebuild that says nothing is believed to be alive.
const buildLease = 10 * time.Second

// mark says what the view in Redis is of. A view has a generation: each rebuild makes a
// new one, and who writes for another writes nothing.
type mark struct {
	gen, journal string
	seq          uint64 // all facts up to here are in the view
	whole        bool   // the rebuild of this generation has ended
	building     bool   // and somebody is at work on it
}

// clock is Redis's own time in milliseconds. Leases hold when they end, beside the expiry of
// their keys, so they end by any server's clock: miniredis looks through all its keys at
// each command if it is to expire them, so ours does not.
const clock = `
	local time = redis.call('TIME')
	local now = time[1] * 1000 + math.floor(time[2] / 1000)`

// unlist takes an entity out of the sets that its index names. What stands in Redis may be
// anybody's: an index that cannot be read names none, and a number that is none is 0. An
// error in a script would look as if Redis were away.
const unlist = `
	local function number(text) return tonumber(text or 0) or 0 end
	local function unlist(root, index)
		local ok, list = pcall(cjson.decode, index or '[]')
		if not ok or type(list) ~= 'table' then return end
		for _, m in ipairs(list) do
			if type(m) == 'table' and type(m[1]) == 'string' and type(m[3]) == 'string' then
				redis.call('ZREM', root .. m[1], m[3])
			end
		end
	end`

// begin starts a generation, unless one has begun since the caller looked or somebody is
// at work on one.
//
// KEYS mark; ARGV generation seen, new generation, journal, lease in ms.
var begin = redis.NewScript(clock + `
	local was = redis.call('HMGET', KEYS[1], 'gen', 'until')
	if (was[1] or '') ~= ARGV[1] or (tonumber(was[2] or 0) or 0) > now then return 0 end
	redis.call('DEL', KEYS[1])
	redis.call('HSET', KEYS[1], 'gen', ARGV[2], 'journal', ARGV[3],
		'until', string.format('%d', now + ARGV[4]))
	return 1`)

// stay says that the rebuild is alive.
//
// KEYS mark; ARGV generation, lease in ms.
var stay = redis.NewScript(clock + `
	if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] then return 0 end
	redis.call('HSET', KEYS[1], 'until', string.format('%d', now + ARGV[2]))
	return 1`)

// finish says that a generation is whole.
//
// KEYS mark; ARGV generation, watermark.
var finish = redis.NewScript(`
	if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] then return 0 end
	redis.call('HSET', KEYS[1], 'seq', ARGV[2])
	redis.call('HDEL', KEYS[1], 'until')
	return 1`)

// put writes entities, each unless the view has a newer fact of it, and raises the
// watermark, unless it is empty.
//
// KEYS mark; ARGV generation, watermark, entity root, index root, then name, seq, body and
// index of each entity.
var put = redis.NewScript(unlist + `
	if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] then return 0 end
	for i = 5, #ARGV, 4 do
		local key = ARGV[3] .. ARGV[i]
		local was = redis.call('HMGET', key, 'seq', 'index')
		if number(was[1]) < tonumber(ARGV[i + 1]) then
			unlist(ARGV[4], was[2])
			for _, m in ipairs(cjson.decode(ARGV[i + 3])) do redis.call('ZADD', ARGV[4] .. m[1], m[2], m[3]) end
			redis.call('HSET', key, 'seq', ARGV[i + 1], 'body', ARGV[i + 2], 'index', ARGV[i + 3])
		end
	end
	if ARGV[2] ~= '' then
		local seq = redis.call('HGET', KEYS[1], 'seq')
		if number(seq) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'seq', ARGV[2]) end
	end
	return 1`)

// forget deletes keys.
//
// KEYS mark, then those; ARGV generation.
var forget = redis.NewScript(`
	if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] then return 0 end
	for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
	return 1`)

// drop forgets entities that ended before the cut, and returns how many. What is remembered of
// an order's payload goes with it: a Redis whose keys do not expire would keep it for ever.
//
// ARGV cut, entity root, index root, ended set, how many at most, root of what is remembered.
var drop = redis.NewScript(unlist + `
	local old = redis.call('ZRANGEBYSCORE', ARGV[3] .. ARGV[4], '-inf', ARGV[1], 'LIMIT', 0, ARGV[5])
	for _, name in ipairs(old) do
		unlist(ARGV[3], redis.call('HGET', ARGV[2] .. name, 'index'))
		redis.call('DEL', ARGV[2] .. name, ARGV[6] .. string.match(name, '[^/]*$'))
		redis.call('ZREM', ARGV[3] .. ARGV[4], name)
	end
	return #old`)

func (v *View) readMark(ctx context.Context) (m mark, err error) {
	err = v.do(ctx, callTime, func(ctx context.Context) error {
		p := v.rdb.Pipeline()
		fields := p.HMGet(ctx, markKey, "gen", "journal", "seq", "until")
		now := p.Time(ctx)
		if _, err := p.Exec(ctx); err != nil {
			return err
		}
		m = markOf(fields.Val(), now.Val())
		return nil
	})
	return m, err
}

// markOf reads the fields gen, journal, seq and until.
func markOf(fields []any, now time.Time) (m mark) {
	if len(fields) != 4 {
		return m
	}
	m.gen, _ = fields[0].(string)
	m.journal, _ = fields[1].(string)
	seq, _ := fields[2].(string)
	n, err := strconv.ParseUint(seq, 10, 64)
	m.seq, m.whole = n, err == nil
	until, _ := fields[3].(string)
	ms, err := strconv.ParseInt(until, 10, 64)
	m.building = err == nil && ms > now.UnixMilli()
	return m
}

// begin returns errMoved if somebody else has begun.
func (v *View) begin(ctx context.Context, seen, gen, journal string) error {
	return v.guarded(ctx, begin, []string{markKey}, seen, gen, journal, buildLease.Milliseconds())
}

func (v *View) stay(ctx context.Context, gen string) error {
	return v.guarded(ctx, stay, []string{markKey}, gen, buildLease.Milliseconds())
}

// put writes entries for a generation and then raises its watermark to seq, unless seq is 0.
// It returns errMoved if the view is of another generation by now.
func (v *View) put(ctx context.Context, gen string, entries []entry, seq uint64) error {
	if err := v.rememberAll(ctx, entries); err != nil {
		return err
	}
	watermark := ""
	if seq > 0 {
		watermark = strconv.FormatUint(seq, 10)
	}
	args := append(make([]any, 0, 4+4*len(entries)), gen, watermark, entityRoot, indexRoot)
	for _, e := range entries {
		args = append(args, e.entity.String(), strconv.FormatUint(e.seq, 10), e.body, e.index)
	}
	return v.guarded(ctx, put, []string{markKey}, args...)
}

// fill writes entries of which the view has nothing yet, for a generation that is being
// built. It does what put does, without a script: it is a transaction that fails if the mark
// has changed. It returns errMoved if the view is of another generation by now.
func (v *View) fill(ctx context.Context, gen string, entries []entry) error {
	moved := false
	err := v.do(ctx, batchTime, func(ctx context.Context) error {
		err := v.rdb.Watch(ctx, func(tx *redis.Tx) error {
			is, err := tx.HGet(ctx, markKey, "gen").Result()
			if moved = errors.Is(err, redis.Nil) || err == nil && is != gen; moved || err != nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				fillWith(ctx, p, entries)
				return nil
			})
			return err
		}, markKey)
		if moved = moved || errors.Is(err, redis.TxFailedErr); moved {
			return nil
		}
		return err
	})
	if err == nil && moved {
		return errMoved
	}
	return err
}

func fillWith(ctx context.Context, p redis.Pipeliner, entries []entry) {
	sets := map[string][]any{} // commands
	for _, e := range entries {
		p.HSet(ctx, entityRoot+e.entity.String(), "seq", strconv.FormatUint(e.seq, 10), "body", e.body, "index", e.index)
		for _, m := range e.members {
			if sets[m[0]] == nil {
				sets[m[0]] = []any{"zadd", indexRoot + m[0]}
			}
			sets[m[0]] = append(sets[m[0]], m[1], m[2])
		}
		if e.digest != "" {
			p.Set(ctx, seenRoot+e.entity.ID, e.digest, keep)
		}
	}
	for _, command := range sets {
		p.Do(ctx, command...)
	}
}

// guarded runs a script that answers 0 if somebody else is ahead; that is errMoved.
func (v *View) guarded(ctx context.Context, s *redis.Script, keys []string, args ...any) error {
	var ok int
	err := v.do(ctx, batchTime, func(ctx context.Context) (err error) {
		ok, err = s.Run(ctx, v.rdb, keys, args...).Int()
		return err
	})
	if err == nil && ok == 0 {
		return errMoved
	}
	return err
}

// finish says that a generation is whole up to seq.
func (v *View) finish(ctx context.Context, gen string, seq uint64) error {
	return v.guarded(ctx, finish, []string{markKey}, gen, strconv.FormatUint(seq, 10))
}

// wipe forgets the view, and nothing else. A pass over the keys that deletes may miss some,
// so there is one that finds none.
func (v *View) wipe(ctx context.Context, gen string) error {
	for {
		n, err := v.wipePass(ctx, gen)
		if err != nil || n == 0 {
			return err
		}
	}
}

// scan is how many keys are asked for at a time. They are many since miniredis sorts all its
// keys at each look.
const scan = 10_000

func (v *View) wipePass(ctx context.Context, gen string) (deleted int, err error) {
	var cursor uint64
	for {
		if err := v.stay(ctx, gen); err != nil {
			return deleted, err
		}
		var keys []string
		err := v.do(ctx, batchTime, func(ctx context.Context) (err error) {
			keys, cursor, err = v.rdb.Scan(ctx, cursor, viewRoot+"*", scan).Result()
			return err
		})
		if err != nil {
			return deleted, err
		}
		for part := range slices.Chunk(keys, 1000) {
			if err := v.guarded(ctx, forget, append([]string{markKey}, part...), gen); err != nil {
				return deleted, err
			}
		}
		if deleted += len(keys); cursor == 0 {
			return deleted, nil
		}
	}
}

// dropOld forgets what ended before the cut.
func (v *View) dropOld(ctx context.Context, cut time.Time) error {
	const many = 256
	for {
		var n int
		err := v.do(ctx, batchTime, func(ctx context.Context) (err error) {
			n, err = drop.Run(ctx, v.rdb, nil, cut.Unix(), entityRoot, indexRoot, endedSet, many, seenRoot).Int()
			return err
		})
		if err != nil || n < many {
			return err
		}
	}
}

// Remember notes that an order exists, and the digest of its payload. It only saves work:
// call it after the append that made the order, and pass over its error.
func (v *View) Remember(ctx context.Context, orderID, digest string) error {
	return v.do(ctx, callTime, func(ctx context.Context) error {
		return v.rdb.Set(ctx, seenRoot+orderID, digest, keep).Err()
	})
}

// Recall returns the digest that an order was remembered with. A hit has to be confirmed
// in the journal; a miss says nothing.
func (v *View) Recall(ctx context.Context, orderID string) (digest string, known bool, err error) {
	err = v.do(ctx, callTime, func(ctx context.Context) error {
		all, err := v.rdb.MGet(ctx, seenRoot+orderID).Result()
		if err == nil && len(all) == 1 {
			digest, known = all[0].(string)
		}
		return err
	})
	return digest, known, err
}

func (v *View) rememberAll(ctx context.Context, entries []entry) error {
	return v.do(ctx, batchTime, func(ctx context.Context) error {
		p := v.rdb.Pipeline()
		for _, e := range entries {
			if e.digest != "" {
				p.Set(ctx, seenRoot+e.entity.ID, e.digest, keep)
			}
		}
		if p.Len() == 0 {
			return nil
		}
		_, err := p.Exec(ctx)
		return err
	})
}

// splitEntity undoes event.Entity.String.
func splitEntity(s string) (noun, id string) {
	noun, id, _ = strings.Cut(s, "/")
	return noun, id
}
