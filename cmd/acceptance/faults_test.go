package acceptance_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/embedded"
	"patchbay.io/services/sandbox"
)

// publishAll hands in n creates and returns their orders.
func (r *reader) publishAll(n int) []string {
	r.t.Helper()
	var ids []string
	for i := range n {
		ids = append(ids, r.publish("create", fmt.Sprintf("create-%d", i), single(i)))
	}
	return ids
}

// allCompleted waits until every order is completed.
func (r *reader) allCompleted(limit time.Duration, ids []string) {
	r.t.Helper()
	r.until(limit, ended(ids...))
	r.look(func(s *invariants.Story) {
		for _, id := range ids {
			if o := s.Order(id); o.GetOutcome() != "completed" {
				r.t.Errorf("order of %s ended %s: %v", o.GetIntentId(), o.GetOutcome(), o.GetFailure())
			}
		}
	})
}

// exactly compares the number of circuits and of creates that made one with what was ordered.
func (r *reader) exactly(base string, n int) (sent int) {
	r.t.Helper()
	made, sent := created(r.t, base)
	if got := len(books(r.t, base)); got != n || made != n {
		r.t.Errorf("%d circuits by %d creates that made one, want %d of each", got, made, n)
	}
	r.check(base)
	return sent
}

// An exchange that loses the answer of every second create sells each circuit once.
func TestLostAnswers(t *testing.T) {
	heavy(t)
	const n = 100
	x, base := exchange(t, sandbox.Delays{Provision: 200 * time.Millisecond})
	if _, err := x.AddFault(sandbox.Fault{
		Kind: sandbox.LostAnswer, Times: -1, Every: 2,
		Match: sandbox.Match{Method: "POST", Path: "/ecx/v3/l2/connections"},
	}); err != nil {
		t.Fatal(err)
	}
	p := up(t, accounts(t, base, approveAll))
	r := read(t, p.NATS)
	start := time.Now()
	ids := r.publishAll(n)
	r.allCompleted(90*time.Second, ids)
	took := since(start)
	sent := r.exactly(base, n)
	uncertain := 0
	r.look(func(s *invariants.Story) {
		for _, id := range ids {
			for _, o := range s.Orders[id] {
				if o.GetFact() == "uncertain" {
					uncertain++
					break
				}
			}
		}
	})
	lost := x.Faults()[0].Applied
	if lost < n/2 || uncertain < n/2 {
		t.Errorf("%d answers were lost and %d orders were uncertain, want %d or more", lost, uncertain, n/2)
	}
	t.Logf("%d intents, %d answers lost, %d orders were uncertain: %d circuits, %d POSTs sent, in %s",
		n, lost, uncertain, len(books(t, base)), sent, took)
}

// redis is a Redis server that can be emptied and restarted.
type redis struct {
	t    *testing.T
	addr string
	real *exec.Cmd
	fake *embedded.Redis
	dir  string
}

// startRedis starts the real server where there is one, and else miniredis.
func startRedis(t *testing.T) *redis {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &redis{t: t, addr: l.Addr().String(), dir: t.TempDir()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *redis) start() {
	r.t.Helper()
	_, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if r.fake, err = embedded.StartRedis(r.addr); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	r.real = exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--dir", r.dir, "--save", "",
		"--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--logfile", "redis.log")
	if err := r.real.Start(); err != nil {
		r.t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		answer, err := r.command("PING")
		if err == nil && strings.HasPrefix(answer, "+PONG") {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("Redis does not answer: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (r *redis) stop() {
	if r.real == nil {
		r.fake.Stop()
		return
	}
	_ = r.real.Process.Kill() // what it loses does not matter, which is the point
	_ = r.real.Wait()         // killed
}

// flush empties the server.
func (r *redis) flush() {
	r.t.Helper()
	if r.real == nil {
		r.fake.Flush()
		return
	}
	if answer, err := r.command("FLUSHALL"); err != nil || !strings.HasPrefix(answer, "+OK") {
		r.t.Errorf("FLUSHALL: %q %v", answer, err)
	}
}

// command sends one inline command.
func (r *redis) command(line string) (string, error) {
	c, err := net.DialTimeout("tcp", r.addr, time.Second)
	if err != nil {
		return "", err
	}
	b := make([]byte, 64)
	err = errors.Join(c.SetDeadline(time.Now().Add(5*time.Second)), fprintln(c, line))
	n := 0
	if err == nil {
		n, err = c.Read(b)
	}
	return string(b[:n]), errors.Join(err, c.Close())
}

func fprintln(c net.Conn, line string) error {
	_, err := c.Write([]byte(line + "\r\n"))
	return err
}

// Redis emptied and restarted while orders are on their way changes no outcome, and the
// view is built anew.
func TestRedisFlushed(t *testing.T) {
	heavy(t)
	const n = 100
	_, base := exchange(t, sandbox.Delays{Provision: 500 * time.Millisecond})
	store := startRedis(t)
	s := accounts(t, base, approveAll)
	s.args = append(s.args, "--redis-url", "redis://"+store.addr)
	p := up(t, s)
	r := read(t, p.NATS)
	start := time.Now()
	ids := r.publishAll(n)
	r.completed(n/4, ids)
	store.flush()
	r.completed(n/2, ids)
	store.stop()
	r.completed(n*6/10, ids)
	store.start()
	store.flush()
	r.allCompleted(90*time.Second, ids)
	took := since(start)
	sent := r.exactly(base, n)

	r.healthy(p)
	out, code := p.run("rebuild", "--json")
	var report struct {
		Facts, Entities int
		Seconds         float64
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 {
		t.Fatalf("rebuild exits with %d: %v\n%s", code, err, out)
	}
	facts := 0
	r.look(func(s *invariants.Story) { facts = s.Facts })
	if report.Facts < facts || report.Entities < 2*n {
		t.Errorf("rebuild reports %+v, want the %d facts and %d entities or more", report, facts, 2*n)
	}
	if out, code := p.run("list", "orders", "--all", "--json"); code != 0 || strings.Count(out, `"intentId": "create-`) != n {
		t.Errorf("list exits with %d and shows %d orders, want %d", code, strings.Count(out, `"intentId": "create-`), n)
	}
	kind := "redis-server"
	if store.real == nil {
		kind = "miniredis"
	}
	t.Logf("%d intents on %s, flushed twice and restarted once: %d circuits, %d POSTs sent, in %s; rebuild: %s",
		n, kind, n, sent, took, strings.TrimSpace(out))
}

// healthy waits until the program says that it is well.
func (r *reader) healthy(p *program) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		var h struct{ Status string }
		answer := page(r.t, p.HTTP+"/healthz")
		decode(r.t, answer, &h)
		if h.Status == "ok" {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not well after 30s: %s", answer)
		}
		r.pause(100 * time.Millisecond)
	}
}

// completed waits until so many of the orders are.
func (r *reader) completed(n int, ids []string) {
	r.t.Helper()
	r.until(time.Minute, func(s *invariants.Story) string {
		done := 0
		for _, id := range ids {
			if s.Order(id).GetOutcome() != "" {
				done++
			}
		}
		if done < n {
			return fmt.Sprintf("%d orders have ended, want %d", done, n)
		}
		return ""
	})
}
