package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"

	"patchbay.io/cmd/invariants"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/sandbox"
)

// source is upstream's name in every test.
const source = "acceptance/upstream"

// A reader reads the journal as it grows, and knows the story so far.
type reader struct {
	t *testing.T
	*tail
}

// tail is what readers share that report to different parts of one test.
type tail struct {
	j *journal.Journal
	// nc is a connection that knows nothing of ours.
	nc *nats.Conn

	mu    sync.Mutex
	story *invariants.Story
	news  chan struct{} // closed when a fact has come
}

// read starts a reader of the journal at url, in which no canary may appear.
func read(t *testing.T, url string, canaries ...string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	j, err := journal.Open(ctx, journal.Config{URL: url, Name: "acceptance", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t, &tail{j: j, nc: nc, story: invariants.NewStory(canaries...), news: make(chan struct{})}}
	var work sync.WaitGroup
	work.Go(func() {
		if err := j.Follow(ctx, journal.From{}, []string{event.Root + ".>"}, r.take); err != nil {
			t.Errorf("follow the journal: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		work.Wait()
		nc.Close()
		j.Close()
	})
	return r
}

// with is r for a part of its test.
func (r *reader) with(t *testing.T) *reader { return &reader{t, r.tail} }

func (r *reader) take(rec journal.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.story.Add(rec)
	close(r.news)
	r.news = make(chan struct{})
	return err
}

// look lets f see the story so far.
func (r *reader) look(f func(s *invariants.Story)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.story)
}

// until waits until open says that nothing is open any more. It gives up when no order has
// ended for the limit, so that a machine with much to do may take its time for many.
func (r *reader) until(limit time.Duration, open func(s *invariants.Story) string) {
	r.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for ends := 0; ; {
		r.mu.Lock()
		what, now, news := open(r.story), over(r.story), r.news
		r.mu.Unlock()
		if what == "" {
			return
		}
		if now > ends {
			ends = now
			deadline.Reset(limit)
		}
		select {
		case <-news:
		case <-deadline.C:
			r.t.Fatalf("%v after the last of %d orders that have ended: %s", limit, ends, what)
		}
	}
}

// over counts the orders that have ended.
func over(s *invariants.Story) (n int) {
	for id := range s.Orders {
		if s.Order(id).GetOutcome() != "" {
			n++
		}
	}
	return n
}

// ended says which of the orders have not ended.
func ended(ids ...string) func(*invariants.Story) string {
	return func(s *invariants.Story) string {
		var open []string
		for _, id := range ids {
			switch o := s.Order(id); {
			case o == nil:
				open = append(open, "order "+id+" does not exist")
			case o.GetOutcome() == "":
				open = append(open, "order "+id+" is "+o.GetFact()+" and waits for "+protojson.Format(o.GetWait()))
			}
		}
		return strings.Join(open[:min(len(open), 3)], "; ")
	}
}

// settled says which circuits differ from the books of the exchanges.
func settled(books sandbox.Inventory) func(*invariants.Story) string {
	all := invariants.Circuits(books)
	return func(s *invariants.Story) string {
		for _, c := range all {
			at := s.Connection(c.ID)
			if got, want := invariants.State(at.GetTo()), c.State(at.GetConnection().GetApi()); got != want {
				return fmt.Sprintf("circuit %s is %s at the exchange and %s in the journal", c.Name, want, got)
			}
		}
		return ""
	}
}

// check holds the journal against the books of the sandbox at base once they agree. What
// speaks of one of the given words is no violation.
func (r *reader) check(base string, but ...string) {
	r.t.Helper()
	all := inventory(r.t, base)
	r.until(30*time.Second, settled(all))
	all = inventory(r.t, base)
	// What an order holds is given back a moment after it has ended.
	r.until(30*time.Second, func(s *invariants.Story) string {
		return strings.Join(slices.DeleteFunc(s.Check(all, "Acme"), func(v string) bool {
			return slices.ContainsFunc(but, func(word string) bool { return strings.Contains(v, word) })
		}), "\n")
	})
}

// order returns the last fact of an order.
func (r *reader) order(id string) *patchbayv1.Order {
	var o *patchbayv1.Order
	r.look(func(s *invariants.Story) { o = s.Order(id) })
	if o == nil {
		r.t.Fatalf("order %s does not exist", id)
	}
	return o
}

// expect waits for an order's end and compares it.
func (r *reader) expect(id, outcome string) *patchbayv1.Order {
	r.t.Helper()
	r.until(time.Minute, ended(id))
	o := r.order(id)
	if o.GetOutcome() != outcome {
		r.t.Errorf("order %s ended %s, want %s: %s", id, o.GetOutcome(), outcome, protojson.Format(o.GetFailure()))
	}
	return o
}

// publish hands an intent in as any program could, and returns the order's id. It tries
// again while NATS is away.
func (r *reader) publish(kind, id string, data []byte) string {
	r.t.Helper()
	r.send("patchbay.intent."+kind, "io.patchbay.intent."+kind+".v1", id, data)
	return event.OrderID(source, id)
}

func (r *reader) send(subject, typ, id string, data []byte) {
	r.t.Helper()
	m := nats.NewMsg(subject)
	m.Data = data
	for k, v := range map[string]string{
		"specversion": "1.0", "id": id, "source": source, "type": typ, "datacontenttype": "application/json",
	} {
		m.Header.Set("ce-"+k, v)
	}
	r.raw(m)
}

// raw hands a message to JetStream and waits until it is taken.
func (r *reader) raw(m *nats.Msg) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		answer, err := r.nc.RequestMsg(m, 5*time.Second)
		if err == nil && !strings.Contains(string(answer.Data), `"error"`) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Errorf("publish on %s: %v", m.Subject, err)
			return
		}
		r.pause(100 * time.Millisecond)
	}
}

// pause waits between two tries of something that nobody announces.
func (r *reader) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.t.Context().Done():
	}
}

// decide hands in a person's decision about what is asked of connection id.
func (r *reader) decide(verb, id, reason string) {
	r.t.Helper()
	var a *patchbayv1.Approval
	r.look(func(s *invariants.Story) { a = s.Approval(id) })
	data, err := json.Marshal(map[string]string{
		"connectionId": id, "kind": a.GetKind(), "digest": a.GetDigest(), "by": "jane", "reason": reason,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.send("patchbay.decision."+verb, "io.patchbay.decision."+verb+".v1", verb+"-"+id+"-"+a.GetKind(), data)
}

// asked waits until a person is asked about kind at connection id.
func (r *reader) asked(id, kind string) {
	r.t.Helper()
	r.until(time.Minute, func(s *invariants.Story) string {
		if a := s.Approval(id); a.GetKind() != kind || a.GetFact() != "requested" {
			return "nobody is asked about the " + kind + " of " + id + ": " + protojson.Format(a)
		}
		return ""
	})
}

// exchange starts a sandbox in this process and returns it with its address.
func exchange(t *testing.T, d sandbox.Delays) (*sandbox.Exchange, string) {
	t.Helper()
	x := sandbox.New(sandbox.Config{Delays: d, LockAfter: -1})
	return x, serve(t, x)
}

// example reads a file of the examples.
func example(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// consumerOf returns a count of the messages of a stream that some durable consumer has yet
// to acknowledge.
func (r *reader) consumerOf(stream string) func() uint64 {
	r.t.Helper()
	js, err := jetstream.New(r.nc)
	if err != nil {
		r.t.Fatal(err)
	}
	return func() uint64 {
		s, err := js.Stream(r.t.Context(), stream)
		if err != nil {
			r.t.Fatal(err)
		}
		waiting := uint64(0)
		consumers := s.ListConsumers(r.t.Context())
		for c := range consumers.Info() {
			waiting += c.NumPending + uint64(c.NumAckPending)
		}
		if err := consumers.Err(); err != nil {
			r.t.Fatal(err)
		}
		return waiting
	}
}
