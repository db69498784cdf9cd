package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"patchbay.io/cmd/invariants"
)

const (
	onlyLeader = "leader"
	onlyRedis  = "redis-away"
	onlyDisk   = "disk"
)

func scenarios() []string { return []string{onlyLeader, onlyRedis, onlyDisk} }

// faults are those of the run: all kinds by the seed, or one scenario.
func (r *run) faults() ([]*fault, error) {
	p := newPlot(r.w, r.opts.seed)
	switch r.opts.only {
	case "":
		return p.draw(r.opts.faults), nil
	case onlyLeader:
		return p.leaders(), nil
	case onlyRedis:
		return []*fault{r.redisAway()}, nil
	case onlyDisk:
		return p.disks(), nil
	default:
		return nil, fmt.Errorf("-only %q: there are %s", r.opts.only, strings.Join(scenarios(), ", "))
	}
}

// leaders kills whoever leads the stream of intents, to which publishers publish, every twenty
// seconds.
func (p *plot) leaders() []*fault {
	var all []*fault
	for at := 10 * time.Second; at+10*time.Second <= p.w.opts.over; at += 20 * time.Second {
		f := p.leaderOf("INTENTS")
		f.at, f.span = at, 3*time.Second
		all = append(all, f)
	}
	return all
}

// disks leaves whoever leads the journal no room, again and again.
func (p *plot) disks() []*fault {
	var all []*fault
	const span = 20 * time.Second
	for at := 10 * time.Second; at+span <= p.w.opts.over; at += 2 * span {
		f := p.atLeader("JOURNAL", fault{kind: "disk", what: diskFull, at: at, span: span}, (*program).noRoom, (*program).room)
		all = append(all, f)
	}
	return all
}

// probe is what somebody saw who asked while Redis was away.
type probe struct {
	At     float64 `json:"at"`
	When   string  `json:"when"` // before, away or after
	What   string  `json:"what"`
	Took   float64 `json:"took"`
	Answer string  `json:"answer"`
}

// redisAway takes Redis away for a minute, from the end of the first third on, while people
// ask what they ask.
func (r *run) redisAway() *fault {
	f := &fault{
		at: r.opts.over / 3, span: time.Minute, lane: "redis", kind: "kill", what: "away for a minute", busy: &sync.Mutex{},
	}
	f.begin = func(ctx context.Context) error {
		r.ask(ctx, "before")
		r.w.redis.kill()
		go func() { // it ends with the minute
			for n := range 4 {
				if !sleep(ctx, f.span/5) || n == 4 {
					return
				}
				r.ask(ctx, "away")
			}
		}()
		return nil
	}
	f.end = func(ctx context.Context) error {
		err := r.w.redis.start()
		sleep(ctx, 10*time.Second)
		r.ask(ctx, "after")
		return err
	}
	return f
}

// ask asks as a person would, with the program and at the health page.
func (r *run) ask(ctx context.Context, when string) {
	id := ""
	r.reader.look(func(s *invariants.Story) {
		for o := range s.Orders {
			id = o
			break
		}
	})
	r.probe(when, "/healthz of "+r.w.instances[0].name, func() string {
		b, err := get(ctx, "http://"+r.w.instances[0].http+"/healthz")
		return answerOf(b, err)
	})
	for _, args := range [][]string{{"list", "orders"}, {"get", id}} {
		r.probe(when, "patchbay "+strings.Join(args, " "), func() string {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, r.w.exchange.args[0], append(args, "--nats-url", r.w.natsURL)...)
			out, err := cmd.CombinedOutput()
			return answerOf(out, err)
		})
	}
}

func (r *run) probe(when, what string, ask func() string) {
	start := time.Now()
	answer := ask()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.probes = append(r.probes, probe{r.at(start), when, what, time.Since(start).Seconds(), answer})
}

func answerOf(b []byte, err error) string {
	text := strings.TrimSpace(string(b))
	var page map[string]any
	if json.Unmarshal(b, &page) == nil {
		short, _ := json.Marshal(page) // it was JSON
		text = string(short)
	}
	if len(text) > 600 {
		text = text[:600] + "…"
	}
	if err != nil {
		text = strings.TrimSpace(text + "\n" + err.Error())
	}
	return text
}

// rates compares the orders that ended a second before a fault with those while it was on.
func (r *run) rates(m mark) (before, during float64) {
	ended := func(from, to float64) float64 {
		first, last, n := 0, 0, 0.0
		for _, s := range r.samples {
			if s.At >= from && s.At <= to {
				if n == 0 {
					first = s.Ended
				}
				last = s.Ended
				n++
			}
		}
		if n < 2 {
			return 0
		}
		return float64(last-first) / (n - 1)
	}
	return ended(m.From/2, m.From), ended(m.From, m.To)
}
