package acceptance_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"patchbay.io/cmd/invariants"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

var fourExamples = []string{
	"ecx/01-dot1q-to-dot1q.intent.json", "ecx/02-dot1q-to-qinq.intent.json",
	"ecx/03-qinq-to-dot1q.intent.json", "ecx/04-qinq-to-qinq.intent.json",
}

// The four redundant requests of the ECX guide become eight circuits, step by step.
func TestFourExamples(t *testing.T) {
	for _, tt := range []struct {
		delay  string
		reason string
	}{
		{"2s", "the default"},
		{"0s", "nobody can see PROVISIONING; it is inferred"},
		{"5s", "steps far apart"},
	} {
		t.Run(tt.delay, func(t *testing.T) {
			if tt.delay != "0s" {
				heavy(t)
			}
			t.Parallel()
			p := up(t, setup{})
			ask(t, http.MethodPut, p.Sandbox+"/sandbox/delays", object{"provision": tt.delay})
			r := read(t, p.NATS)
			working := subscribe(t, r.nc, "patchbay.connection.provisioned.available.*")

			start := time.Now()
			var ids []string
			for i, file := range fourExamples {
				ids = append(ids, r.publish("create", fmt.Sprintf("guide-%d", i+1), example(t, file)))
			}
			for _, id := range ids {
				r.expect(id, "completed")
			}
			took := since(start)
			events := working(8)
			inferred := 0
			r.look(func(s *invariants.Story) { inferred = checkEight(t, s) })
			r.check(p.Sandbox)
			made, sent := created(t, p.Sandbox)
			if made != 4 || sent != 4 {
				t.Errorf("%d creates of %d sent made circuits, want 4 of 4", made, sent)
			}
			t.Logf("provisioning delay %s: 4 intents, 8 circuits PROVISIONED/AVAILABLE in %s, %d steps inferred, "+
				"%d events at the subscriber", tt.delay, took, inferred, len(events))
		})
	}
}

// checkEight compares the path of each of eight circuits and returns how many steps were
// inferred.
func checkEight(t *testing.T, s *invariants.Story) (inferred int) {
	t.Helper()
	if len(s.Connections) != 8 {
		t.Errorf("%d connections, want 8", len(s.Connections))
	}
	want := []string{"PENDING_APPROVAL/NOT_AVAILABLE", "PROVISIONING/NOT_AVAILABLE", "PROVISIONED/AVAILABLE"}
	for id, path := range s.Connections {
		if got := s.Path(id); !slices.Equal(got, want) {
			t.Errorf("%s went %s, want %s", path[0].GetConnection().GetName(), strings.Join(got, " → "), strings.Join(want, " → "))
		}
		for _, step := range path {
			if step.GetInferred() {
				inferred++
			}
			if step.GetSkipped() || step.GetUnexpected() {
				t.Errorf("%s: %s is skipped or unexpected", step.GetConnection().GetName(), step.GetTo())
			}
		}
	}
	return inferred
}

// subscribe makes a durable subscriber of a subject that knows NATS and CloudEvents and
// nothing of ours. What it returns waits for n events, and looks whether one more comes.
func subscribe(t *testing.T, nc *nats.Conn, subject string) func(n int) []cloudevents.Event {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := js.CreateConsumer(t.Context(), "JOURNAL", jetstream.ConsumerConfig{
		Durable: "working", FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(n int) []cloudevents.Event {
		t.Helper()
		var all []cloudevents.Event
		for len(all) <= n {
			wait := 20 * time.Second
			if len(all) == n {
				wait = 300 * time.Millisecond
			}
			m, err := c.Next(jetstream.FetchMaxWait(wait))
			if err != nil {
				break
			}
			e := cloudEvent(t, m)
			if seq, ok := e.Extensions()["sequence"].(string); !ok || seq != fmt.Sprintf("%020d", 3) {
				t.Errorf("event on %s has sequence %v, want the third", m.Subject(), e.Extensions()["sequence"])
			}
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Error(err)
			}
			all = append(all, e)
		}
		if len(all) != n {
			t.Errorf("a subscriber on %s got %d events, want %d", subject, len(all), n)
		}
		return all
	}
}

// cloudEvent reads the news of a working circuit by the CloudEvents SDK alone.
func cloudEvent(t *testing.T, m jetstream.Msg) cloudevents.Event {
	t.Helper()
	e := decoded(t, m)
	var data struct {
		Connection struct{ ID, Status, ProviderStatus string }
	}
	if err := e.DataAs(&data); err != nil {
		t.Errorf("data on %s: %v", m.Subject(), err)
	}
	if data.Connection.Status != "PROVISIONED" || data.Connection.ProviderStatus != "AVAILABLE" {
		t.Errorf("data on %s says %+v", m.Subject(), data.Connection)
	}
	if e.Type() != "io.patchbay.connection.transitioned.v1" {
		t.Errorf("type on %s is %s", m.Subject(), e.Type())
	}
	return e
}

// circuitOf returns our id of an order's primary circuit, once it is known.
func (r *reader) circuitOf(orderID string) string {
	r.t.Helper()
	var id string
	r.until(time.Minute, func(s *invariants.Story) string {
		for _, l := range s.Order(orderID).GetLegs() {
			if l.GetLeg() == "primary" {
				id = l.GetConnectionId()
			}
		}
		if id == "" {
			return "order " + orderID + " has no circuit"
		}
		return ""
	})
	return id
}

// path waits until connection id is at the last of the states given, and compares its whole
// path with them.
func (r *reader) path(id string, want ...string) []*patchbayv1.Transition {
	r.t.Helper()
	r.until(time.Minute, func(s *invariants.Story) string {
		got := s.Path(id)
		if len(got) == 0 || len(got) < len(want) {
			return fmt.Sprintf("%s went %v, want %v", id, got, want)
		}
		return ""
	})
	var steps []*patchbayv1.Transition
	r.look(func(s *invariants.Story) {
		steps = slices.Clone(s.Connections[id])
		if got := s.Path(id); !slices.Equal(got, want) {
			r.t.Errorf("%s went %s, want %s", id, strings.Join(got, " → "), strings.Join(want, " → "))
		}
	})
	return steps
}
