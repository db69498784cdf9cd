package statuswatcher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/status"
	"patchbay.io/pkg/testenv"
	"patchbay.io/services/statuswatcher"
)

// pushOf is an event about a circuit as Equinix pushes it, shortened.
func pushOf(id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","source":"https://api.equinix.com/fabric/v4/cloudevents","id":"66c62c1a",
		"type":"equinix.fabric.connection.state.provisioned","subject":"/fabric/v4/connections/%s","severitynumber":"9",
		"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00,","data":{"resource":{"state":"PROVISIONED"}}}`, id)
}

// push sends a body to the receiver and returns the status of the answer.
func push(t *testing.T, h http.Handler, header, body string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, statuswatcher.PushPath, strings.NewReader(body))
	r.Header.Set("Authorization", header)
	got := httptest.NewRecorder()
	h.ServeHTTP(got, r)
	return got.Code
}

// pushed runs a watcher that sweeps once and never again, and knows a circuit. Its account is
// the only one, since others would hint at what they see first.
func (w *world) pushed(t *testing.T, id string) http.Handler {
	t.Helper()
	pace := fast
	pace.Moving, pace.Quiet, pace.Full = time.Hour, time.Hour, time.Hour
	w.rt.Accounts.Accounts = w.rt.Accounts.Accounts[:1]
	w.m.put(requested(id))
	watcher, err := statuswatcher.New(w.rt, pace)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- watcher.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	w.facts(t, connection(id), 1)
	return watcher.Receiver("shared")
}

// A pushed event has its circuit looked at, and only what that look shows is written down.
func TestPush(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	h := w.pushed(t, "x-1")
	w.m.move("x-1", status.Provisioning, status.NotAvailable) // the event says more than the exchange shows
	if got := push(t, h, "Bearer shared", "["+pushOf("x-1")+"]"); got != http.StatusNoContent {
		t.Fatalf("answer %d, want 204", got)
	}
	r := w.facts(t, event.Connection.Filter("provisioning.not_available", "*"), 1)[0]
	if tr := transition(t, r); tr.GetObservedBy() != "push" {
		t.Errorf("observed by %q, want push", tr.GetObservedBy())
	}
	if got := w.history(t, event.Connection.Filter("provisioned.*", "*")); len(got) != 0 {
		t.Errorf("%v was written down, and only the event said so", names(got))
	}
}

// An event may write the id of a circuit in another case.
func TestPushInAnotherCase(t *testing.T) {
	const id = "1902767c-2e77-41de-a7cb-bc9db91651a2"
	w := newWorld(t, testenv.Journal(t))
	h := w.pushed(t, id)
	w.m.move(id, status.Provisioning, status.NotAvailable)
	if got := push(t, h, "Bearer shared", pushOf(strings.ToUpper(id))); got != http.StatusNoContent {
		t.Fatalf("answer %d, want 204", got)
	}
	r := w.facts(t, event.Connection.Filter("provisioning.not_available", "*"), 1)[0]
	if want := event.ConnectionID("equinix", id); r.Entity().ID != want {
		t.Errorf("the event was about %s, want %s", r.Entity().ID, want)
	}
}

// A circuit that nobody knows is found by its event, and each account asks for no more than one
// such a second.
func TestPushOfNew(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	h := w.pushed(t, "x-1")
	w.m.put(requested("x-2"))
	begun := time.Now()
	push(t, h, "Bearer shared", pushOf("x-2"))
	for i := range 1000 {
		push(t, h, "Bearer shared", pushOf(fmt.Sprintf("forged-%d", i)))
	}
	if tr := transition(t, w.facts(t, connection("x-2"), 1)[0]); !tr.GetFirst() || tr.GetObservedBy() != "push" {
		t.Errorf("first %v, observed by %q, want the first sighting by push", tr.GetFirst(), tr.GetObservedBy())
	}
	const looks = 2 // of an event
	if n, most := w.m.count("get"), looks*(3+int(time.Since(begun)/time.Second)); n > most {
		t.Errorf("%d circuits were asked for, want no more than %d", n, most)
	}
}

// Whoever sends the same event a thousand times gets two looks.
func TestPushRepeated(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	h := w.pushed(t, "x-1")
	before := w.m.count("get x-1")
	begun := time.Now()
	for range 1000 {
		push(t, h, "Bearer shared", pushOf("x-1"))
	}
	for w.m.count("get x-1") == before {
		waitABit(t)
	}
	if n, most := w.m.count("get x-1")-before, 2+int(time.Since(begun)/time.Second); n > most {
		t.Errorf("the circuit was asked for %d times, want no more than %d: one a second", n, most)
	}
}

func TestPushRefused(t *testing.T) {
	w := newWorld(t, testenv.Journal(t))
	watcher, err := statuswatcher.New(w.rt, fast)
	if err != nil {
		t.Fatal(err)
	}
	h := watcher.Receiver("shared")
	for _, tt := range []struct {
		name, header, body string
		want               int
	}{
		{"no token", "", pushOf("x-1"), http.StatusUnauthorized},
		{"another token", "Bearer other", pushOf("x-1"), http.StatusUnauthorized},
		{"token without scheme", "shared", pushOf("x-1"), http.StatusUnauthorized},
		{"no JSON", "Bearer shared", "hello", http.StatusBadRequest},
		{"nothing", "Bearer shared", "", http.StatusBadRequest},
		{"space that JSON does not know", "Bearer shared", "\f{}", http.StatusBadRequest},
		{"too long", "Bearer shared", `"` + strings.Repeat("x", 2<<20) + `"`, http.StatusRequestEntityTooLarge},
		{"another resource", "Bearer shared", strings.ReplaceAll(pushOf("p-1"), "/connections/", "/ports/"), http.StatusNoContent},
		{"no id", "Bearer shared", pushOf("../x"), http.StatusNoContent},
		{"empty batch", "Bearer shared", "[]", http.StatusNoContent},
	} {
		if got := push(t, h, tt.header, tt.body); got != tt.want {
			t.Errorf("%s: answer %d, want %d", tt.name, got, tt.want)
		}
	}
	get := httptest.NewRecorder()
	h.ServeHTTP(get, httptest.NewRequestWithContext(t.Context(), http.MethodGet, statuswatcher.PushPath, nil))
	if get.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered %d, want 405", get.Code)
	}
}

// Whatever is sent, the receiver answers, and takes nothing that is no JSON.
func FuzzPush(f *testing.F) {
	for _, s := range []string{pushOf("x-1"), "[" + pushOf("x-1") + "]", "{}", "[]", "null", `{"subject":1}`, "[[]]"} {
		f.Add(s)
	}
	w := newWorld(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		watcher, err := statuswatcher.New(w.rt, fast)
		if err != nil {
			t.Fatal(err)
		}
		got := push(t, watcher.Receiver("shared"), "Bearer shared", body)
		if ok := got == http.StatusNoContent; ok && !json.Valid([]byte(body)) {
			t.Errorf("%q was taken", body)
		}
	})
}
