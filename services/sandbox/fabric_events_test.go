package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/services/sandbox"
)

const eventAPI = "/fabric/v4/cloudevents"

// kinds are the types of events, without what they all begin with.
func kinds(events []object) []string {
	out := []string{}
	for _, e := range events {
		kind, _ := e["type"].(string)
		out = append(out, strings.TrimPrefix(kind, "equinix.fabric."))
	}
	return out
}

// lifeOfOne takes a circuit from its order to its end.
func (s *site) lifeOfOne() string {
	s.t.Helper()
	id := s.post(s.acme, connections, single()).want(http.StatusOK).text("primaryConnectionId")
	time.Sleep(time.Second)
	for _, kind := range []string{"approve", "rename", "delete", "approve"} {
		if err := s.Edit(sandbox.Edit{Kind: kind, Connection: id, Name: "renamed"}); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
	}
	return id
}

func TestEventsOfACircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Seed: 1})
		id := s.lifeOfOne()
		events := "/fabric/v4/connections/" + id + "/cloudevents"
		bought := s.get(s.acme, events).want(http.StatusOK).items()
		if got, want := kinds(bought), []string{"connection.state.pending", "connection.state.provisioning",
			"connection.state.provisioned", "connection.attribute.changed", "connection.attribute.changed",
			"connection.state.deprovisioning", "connection.state.deprovisioned"}; !slices.Equal(got, want) {
			t.Errorf("the buyer is told %v, want %v", got, want)
		}
		sold := s.get(s.cloud, events).want(http.StatusOK).items()
		if got, want := kinds(sold), []string{"service_profile_connection.state.pending",
			"service_profile_connection.state.provisioned", "service_profile_connection.state.deprovisioned"}; !slices.Equal(got, want) {
			t.Errorf("the seller is told %v, want %v", got, want)
		}
		if got := s.get(s.globex, events).items(); len(got) != 0 {
			t.Errorf("a stranger is told %v", kinds(got))
		}
		e := bought[2]
		for field, want := range map[string]string{
			"specversion": "1.0", "source": "https://api.equinix.com/fabric/v4/cloudevents",
			"subject": "/fabric/v4/connections/" + id, "time": "2000-01-01T00:00:03Z", "severitynumber": "9",
			"datacontenttype": "application/json", "authtype": "system", "authid": "equinix",
			"dataschema": "https://equinix.github.io/equinix-cloudevents/jsonschema/equinix/fabric/v1/ChangeEvent.json",
		} {
			if got := fmt.Sprint(e[field]); got != want {
				t.Errorf("%s is %q, want %q", field, got, want)
			}
		}
		data, _ := e["data"].(object)
		if got, want := data["message"], "Connection named one state changed to provisioned"; got != want {
			t.Errorf("message is %q, want %q", got, want)
		}
		if got, want := fmt.Sprint(data["resource"]), fmt.Sprintf("map[href:https://api.equinix.com/fabric/v4/connections/%s "+
			"name:one state:PROVISIONED type:EVPL_VC uuid:%s]", id, id); got != want {
			t.Errorf("resource is %s, want %s", got, want)
		}
		auth, _ := bought[0]["data"].(object)["auth"].(object)
		if got, want := fmt.Sprint(auth), "map[email:john.doe@example.com id:john.doe name:John Doe type:user]"; got != want {
			t.Errorf("the order is by %s, want %s", got, want)
		}
		one := s.get(s.acme, fmt.Sprint(eventAPI, "/", e["id"])).want(http.StatusOK)
		if got := one.text("type"); got != e["type"] {
			t.Errorf("the event alone is %s, want %s", got, e["type"])
		}
		s.get(s.cloud, fmt.Sprint(eventAPI, "/", e["id"])).refused(http.StatusNotFound, "EQ-3045811")
	})
}

func TestEventSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Seed: 1})
		id := s.lifeOfOne()
		s.post(s.cloud, tokenAPI, tokenOrder(700)).want(http.StatusCreated)
		find := func(token string, terms ...object) []object {
			return s.post(token, eventAPI+"/search", object{"filter": object{"and": terms}}).want(http.StatusOK).items()
		}
		term := func(property, operator string, values ...any) object {
			return object{"property": property, "operator": operator, "values": values}
		}
		for _, tt := range []struct {
			name  string
			token string
			terms []object
			want  int
		}{
			{"by wildcard", s.acme, []object{term("/type", "IN", "equinix.fabric.connection.state.*")}, 5},
			{"by two types, one a wildcard", s.acme, []object{term("/type", "IN",
				"equinix.fabric.connection.attribute.*", "equinix.fabric.connection.state.pending")}, 3},
			{"a wildcard that is the beginning", s.acme, []object{term("/subject", "IN", "/fabric/v4/connections/"+id[:8]+"*")}, 7},
			{"by subject", s.acme, []object{term("/subject", "=", "/fabric/v4/connections/"+nowhere)}, 0},
			{"since", s.acme, []object{term("/time", ">=", "2000-01-01T00:00:11Z")}, 3},
			{"of another organization", s.acme, []object{term("/equinixorganization", "=", "90210")}, 0},
			{"of a project", s.acme, []object{term("/equinixproject", "=", "ace00000-0000-4000-8000-00000000000a")}, 7},
			{"tokens", s.cloud, []object{term("/type", "=", "equinix.fabric.service_token.state.inactive")}, 1},
		} {
			if got := find(tt.token, tt.terms...); len(got) != tt.want {
				t.Errorf("%s: found %v, want %d", tt.name, kinds(got), tt.want)
			}
		}
		s.post(s.acme, eventAPI+"/search", object{}).refused(http.StatusBadRequest, "EQ-3000035")
		page := s.get(s.acme, "/fabric/v4/connections/"+id+"/cloudevents?offset=2&limit=2&fromDateTime=2000-01-01T00:00:01Z")
		if got, want := kinds(page.items()), []string{"connection.attribute.changed", "connection.attribute.changed"}; !slices.Equal(got, want) {
			t.Errorf("second page since the approval is %v, want %v", got, want)
		}
		time.Sleep(366 * 24 * time.Hour)
		s.acme = s.login("acme")
		if got := find(s.acme, term("/type", "IN", "equinix.*")); len(got) != 0 {
			t.Errorf("after a year %v can be asked for, want nothing", kinds(got))
		}
	})
}

// hook is a webhook on a network in memory.
type hook struct {
	dial   sandbox.Dial
	status chan int // what the next calls are answered; 204 when there is nothing in it
	got    chan object
	auth   chan string
}

// listen starts a webhook, which ends with the test.
func listen(t *testing.T) *hook {
	t.Helper()
	h := &hook{status: make(chan int, 100), got: make(chan object, 100), auth: make(chan string, 100)}
	h.dial = exchangetest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case status := <-h.status:
			w.WriteHeader(status)
			return
		default:
		}
		var e object
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil || r.Header.Get("Content-Type") != "application/cloudevents+json; charset=UTF-8" {
			t.Errorf("%s %s, error %v; want a structured CloudEvent", r.Method, r.Header.Get("Content-Type"), err)
		}
		h.auth <- r.Header.Get("Authorization")
		h.got <- e
		w.WriteHeader(http.StatusNoContent)
	}))
	return h
}

// events are what has arrived.
func (h *hook) events() []object {
	var out []object
	for {
		select {
		case e := <-h.got:
			out = append(out, e)
		default:
			return out
		}
	}
}

// subscribe sends Acme's events to the webhook and returns the stream's path.
func (s *site) subscribe(more object) string {
	s.t.Helper()
	stream := s.post(s.acme, "/fabric/v4/streams", object{"type": "TELEMETRY_STREAM", "name": "all",
		"project": object{"projectId": "ace00000-0000-4000-8000-00000000000a"}}).want(http.StatusAccepted).text("uuid")
	path := "/fabric/v4/streams/" + stream
	s.do(s.acme, http.MethodPut, path+"/organizations/85287", object{}).want(http.StatusAccepted)
	s.post(s.acme, path+"/subscriptions", with(object{"type": "STREAM_SUBSCRIPTION", "name": "to us",
		"sink": object{"type": "WEBHOOK", "settings": object{"eventUri": "http://hook.example/events", "format": "CLOUDEVENT"},
			"credential": object{"type": "ACCESS_TOKEN", "accessToken": "shared-secret"}}}, more)).want(http.StatusAccepted)
	return path
}

func TestWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := listen(t)
		s := open(t, sandbox.Config{Seed: 1, Dial: h.dial})
		path := s.subscribe(object{"eventSelector": object{"include": []string{"equinix.fabric.connection.state.*"},
			"except": []string{"equinix.fabric.connection.state.deprovision*"}}})
		id := s.lifeOfOne()
		synctest.Wait()
		got := h.events()
		if want := []string{"connection.state.pending", "connection.state.provisioning", "connection.state.provisioned"}; !slices.Equal(kinds(got), want) {
			t.Fatalf("pushed %v, want %v", kinds(got), want)
		}
		if got[0]["subject"] != "/fabric/v4/connections/"+id {
			t.Errorf("pushed an event about %v", got[0]["subject"])
		}
		if auth := <-h.auth; auth != "Bearer shared-secret" {
			t.Errorf("the webhook is shown %q, want the token", auth)
		}
		r := s.get(s.acme, path+"/subscriptions").want(http.StatusOK)
		if strings.Contains(string(r.body), "shared-secret") {
			t.Errorf("the subscription shows its secret: %s", r.body)
		}
		operation, _ := r.items()[0]["operation"].(object)
		if operation["eventsDeliveredCount"] != 3.0 {
			t.Errorf("deliveries are %v, want 3", operation)
		}
	})
}

// TestWebhookInTime has an event pushed when it happens, though nobody looks.
func TestWebhookInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := listen(t)
		s := open(t, sandbox.Config{Seed: 1, Dial: h.dial})
		s.subscribe(nil)
		id := s.post(s.acme, connections, single()).want(http.StatusOK).text("primaryConnectionId")
		if err := s.Edit(sandbox.Edit{Kind: "approve", Connection: id}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for {
			e := <-h.got
			if kinds([]object{e})[0] == "connection.state.provisioned" {
				break
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("the news took %v, want the 2 s of provisioning", took)
		}
	})
}

// TestWebhookIsAway has a push repeated, but not for longer than a minute.
func TestWebhookIsAway(t *testing.T) {
	for _, tt := range []struct {
		name     string
		failures int
		want     int
	}{
		{"comes back", 3, 1},
		{"stays away", 100, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := listen(t)
				s := open(t, sandbox.Config{Seed: 1, Dial: h.dial})
				path := s.subscribe(nil)
				for range tt.failures {
					h.status <- http.StatusServiceUnavailable
				}
				s.post(s.acme, connections, single()).want(http.StatusOK)
				time.Sleep(10 * time.Minute)
				if got := h.events(); len(got) != tt.want {
					t.Errorf("%d events arrived, want %d", len(got), tt.want)
				}
				if tried := tt.failures - len(h.status); tried > 7 {
					t.Errorf("%d attempts, want no more than fit into a minute", tried)
				}
				sub := s.get(s.acme, path+"/subscriptions").items()[0]
				if failed, _ := sub["operation"].(object)["errors"].([]any); len(failed) == 0 {
					t.Error("the subscription shows no errors")
				}
				all := s.post(s.acme, eventAPI+"/search", object{"filter": object{"property": "/type",
					"operator": "=", "values": []string{"equinix.fabric.connection.state.pending"}}}).items()
				if len(all) != 1 {
					t.Errorf("%d events can be asked for, want 1 whether or not it was pushed", len(all))
				}
			})
		})
	}
}

// TestUnsubscribed has nothing pushed, and nothing running, once nobody is subscribed.
func TestUnsubscribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := listen(t)
		dials := 0
		s := open(t, sandbox.Config{Seed: 1, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return h.dial(ctx, network, address)
		}})
		path := s.subscribe(object{"enabled": false})
		s.post(s.acme, connections, single()).want(http.StatusOK)
		sub := s.get(s.acme, path+"/subscriptions").items()[0]["uuid"].(string)
		s.do(s.acme, http.MethodDelete, path+"/subscriptions/"+sub, nil).want(http.StatusAccepted)
		s.do(s.acme, http.MethodDelete, path+"/organizations/85287", nil).want(http.StatusAccepted)
		s.do(s.acme, http.MethodDelete, path, nil).want(http.StatusAccepted)
		s.get(s.acme, path).refused(http.StatusNotFound, "EQ-3045811")
		synctest.Wait()
		if dials != 0 {
			t.Errorf("the webhook was called %d times, want never", dials)
		}
	})
}

func TestStreamIsRefused(t *testing.T) {
	s := open(t, sandbox.Config{Seed: 1})
	path := s.subscribe(object{"enabled": false})
	sub := func(more object) object {
		return with(object{"type": "STREAM_SUBSCRIPTION", "name": "x",
			"sink": object{"type": "WEBHOOK", "uri": "http://hook.example"}}, more)
	}
	for _, tt := range []struct {
		name string
		body any
	}{
		{"no JSON", "["},
		{"no name", sub(object{"name": nil})},
		{"another sink", sub(object{"sink": object{"type": "SLACK", "uri": "http://hook.example"}})},
		{"no address", sub(object{"sink": object{"type": "WEBHOOK"}})},
		{"another format", sub(object{"sink": object{"type": "WEBHOOK", "settings": object{
			"eventUri": "http://hook.example", "format": "OPENTELEMETRY"}}})},
		{"empty credential", sub(object{"sink": object{"type": "WEBHOOK", "uri": "http://hook.example",
			"credential": object{"type": "ACCESS_TOKEN"}}})},
		{"batches", sub(object{"sink": object{"type": "WEBHOOK", "uri": "http://hook.example", "batchEnabled": true}})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.post(s.acme, path+"/subscriptions", tt.body).refused(http.StatusBadRequest, "EQ-3142501")
		})
	}
	s.post(s.acme, "/fabric/v4/streams", object{"type": "TELEMETRY_STREAM"}).refused(http.StatusBadRequest, "EQ-3142501")
	s.post(s.cloud, path+"/subscriptions", sub(nil)).refused(http.StatusNotFound, "EQ-3045811")
	s.do(s.acme, http.MethodPut, path+"/connections/"+nowhere, object{}).refused(http.StatusNotFound, "EQ-3045811")
	s.do(s.acme, http.MethodPut, path+"/ports/"+acmePort, object{}).want(http.StatusAccepted)
	if got := s.get(s.acme, path+"/ports/"+acmePort).want(http.StatusOK).text("attachmentStatus"); got != "ATTACHED" {
		t.Errorf("the port is %s, want ATTACHED", got)
	}
}
