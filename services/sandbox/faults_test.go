package sandbox_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

// creates matches the orders of new circuits.
func creates() sandbox.Match {
	return sandbox.Match{Method: http.MethodPost, Path: connections}
}

func (s *site) fault(f sandbox.Fault) string {
	s.t.Helper()
	id, err := s.AddFault(f)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// TestFaults orders once under each kind of fault, with a client that waits ten
// seconds, and then asks what became of it.
func TestFaults(t *testing.T) {
	tests := []struct {
		fault    sandbox.Fault
		status   int           // seen by the client; 0 means no answer
		took     time.Duration // that the client waited
		circuits int           // at the exchange a minute later
		body     string        // part of the answer
		header   [2]string
	}{
		{fault: sandbox.Fault{Kind: sandbox.LostAnswer}, circuits: 1},
		{fault: sandbox.Fault{Kind: sandbox.ResetBefore}},
		{fault: sandbox.Fault{Kind: sandbox.ErrorBefore}, status: 500, body: "Internal Server Error"},
		{fault: sandbox.Fault{Kind: sandbox.ErrorBefore, Status: 503, Body: "busy"}, status: 503, body: "busy"},
		{fault: sandbox.Fault{Kind: sandbox.ErrorAfter, Status: 504}, status: 504, circuits: 1},
		{fault: sandbox.Fault{Kind: sandbox.Throttle}, status: 429, header: [2]string{"Retry-After", ""}},
		{fault: sandbox.Fault{Kind: sandbox.Throttle, RetryAfter: 1500 * time.Millisecond}, status: 429,
			header: [2]string{"Retry-After", "2"}},
		{fault: sandbox.Fault{Kind: sandbox.Slow, Delay: 3 * time.Second}, status: 200, took: 3 * time.Second, circuits: 1},
		{fault: sandbox.Fault{Kind: sandbox.Slow, Delay: 30 * time.Second}, took: 10 * time.Second},
		{fault: sandbox.Fault{Kind: sandbox.SlowCommit, Delay: 30 * time.Second}, took: 10 * time.Second, circuits: 1},
		{fault: sandbox.Fault{Kind: sandbox.SlowAnswer, Delay: 30 * time.Second}, took: 10 * time.Second, circuits: 1},
		{fault: sandbox.Fault{Kind: sandbox.SlowAnswer, Delay: time.Second}, status: 200, took: time.Second, circuits: 1},
		{fault: sandbox.Fault{Kind: sandbox.Hide, Delay: time.Hour}, status: 200, circuits: 1, body: "primaryConnectionId"},
		{fault: sandbox.Fault{Kind: sandbox.Garbage}, status: 200, circuits: 1, body: "<html>",
			header: [2]string{"Content-Type", "text/html"}},
		{fault: sandbox.Fault{Kind: sandbox.Garbage, Body: `{"message":"ok"}`, Status: 202}, status: 202, circuits: 1,
			body: `{"message":"ok"}`},
		{fault: sandbox.Fault{Kind: sandbox.ForeignError}, status: 403, body: "<html>"},
		{fault: sandbox.Fault{Kind: sandbox.ForeignError, Status: 404}, status: 404, body: "Not Found"},
		{fault: sandbox.Fault{Kind: sandbox.Redirect}, status: 307, header: [2]string{"Location", connections}},
		{fault: sandbox.Fault{Kind: sandbox.Redirect, Value: "http://elsewhere/"}, status: 307,
			header: [2]string{"Location", "http://elsewhere/"}},
	}
	for _, tt := range tests {
		t.Run(tt.fault.Kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, sandbox.Config{})
				tt.fault.Match = creates()
				s.fault(tt.fault)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start := time.Now()
				r, err := s.try(ctx, ask{s.acme, http.MethodPost, connections, single()})
				if err != nil {
					r = &reply{}
				}
				if took := time.Since(start); r.status != tt.status || took != tt.took {
					t.Errorf("status %d after %v (%v), want %d after %v", r.status, took, err, tt.status, tt.took)
				}
				if tt.header[0] != "" && r.header.Get(tt.header[0]) != tt.header[1] {
					t.Errorf("%s is %q, want %q", tt.header[0], r.header.Get(tt.header[0]), tt.header[1])
				}
				if !strings.Contains(string(r.body), tt.body) {
					t.Errorf("no %q in %s", tt.body, r.body)
				}
				time.Sleep(time.Minute)
				if got := len(s.Inventory().Connections); got != tt.circuits {
					t.Errorf("%d circuits, want %d", got, tt.circuits)
				}
				calls := s.Calls()
				if calls.Total != 1 || calls.Created != tt.circuits || calls.Recent[0].Status != tt.status && tt.took == 0 ||
					calls.Recent[0].Fault != tt.fault.Kind {
					t.Errorf("calls %+v, want one with %s that created %d", calls, tt.fault.Kind, tt.circuits)
				}
				// The fault is spent.
				s.post(s.acme, connections, with(single(), object{"primaryVlanSTag": 3000})).want(http.StatusOK)
			})
		})
	}
}

func TestPartial(t *testing.T) {
	s := open(t, sandbox.Config{})
	s.fault(sandbox.Fault{Kind: sandbox.Partial, Match: creates()})
	got := s.post(s.acme, connections, pair()).want(http.StatusOK).object()
	if got["primaryConnectionId"] == nil || got["secondaryConnectionId"] != nil {
		t.Errorf("%v, want one of two ids", got)
	}
	if n := len(s.Inventory().Connections); n != 2 {
		t.Errorf("%d circuits, want both", n)
	}
}

func TestShownStatus(t *testing.T) {
	s := open(t, sandbox.Config{})
	one := s.create(single())
	s.create(with(single(), object{"primaryName": "two", "primaryVlanSTag": 101}))
	s.fault(sandbox.Fault{Kind: sandbox.ShowStatus, Match: sandbox.Match{Name: "one"}, Value: "ON_FIRE/SMOKING", Times: -1})
	if got, want := s.state(one), "ON_FIRE/SMOKING"; got != want {
		t.Errorf("state %s, want %s", got, want)
	}
	var got []string
	for _, c := range s.list(s.acme, "/ecx/v3/l2/buyer/connections") {
		got = append(got, c["name"].(string)+" "+c["status"].(string))
	}
	if want := "two PENDING_APPROVAL,one ON_FIRE"; strings.Join(got, ",") != want {
		t.Errorf("list %v, want %s", got, want)
	}
	s.ClearFaults()
	if got, want := s.state(one), "PENDING_APPROVAL/NOT_AVAILABLE"; got != want {
		t.Errorf("state %s without the fault, want %s: only what is shown differs", got, want)
	}
}

// TestHidden finds a circuit by id before lists show it.
func TestHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{Delays: sandbox.Delays{Visible: time.Second}})
		s.fault(sandbox.Fault{Kind: sandbox.Hide, Match: sandbox.Match{Name: "one"}, Delay: time.Minute})
		id := s.create(single())
		s.create(with(single(), object{"primaryName": "two", "primaryVlanSTag": 101}))
		count := func(want int) {
			t.Helper()
			for token, path := range map[string]string{s.acme: "buyer", s.cloud: "seller"} {
				if got := len(s.list(token, "/ecx/v3/l2/"+path+"/connections")); got != want {
					t.Errorf("%s sees %d after %v, want %d", path, got, time.Now(), want)
				}
			}
		}
		count(0)
		time.Sleep(time.Second)
		count(1)
		if got, want := s.state(id), "PENDING_APPROVAL/NOT_AVAILABLE"; got != want {
			t.Errorf("state %s, want %s", got, want)
		}
		time.Sleep(time.Minute)
		count(2)
	})
}

// TestWhichCalls fails some of ten orders.
func TestWhichCalls(t *testing.T) {
	tests := []struct {
		name  string
		fault sandbox.Fault
		want  string // x where the order failed
	}{
		{"once", sandbox.Fault{}, "x........."},
		{"three times", sandbox.Fault{Times: 3}, "xxx......."},
		{"for ever", sandbox.Fault{Times: -1}, "xxxxxxxxxx"},
		{"every second", sandbox.Fault{Times: -1, Every: 2}, ".x.x.x.x.x"},
		{"after two", sandbox.Fault{After: 2}, "..x......."},
		{"after one every third", sandbox.Fault{Times: 2, After: 1, Every: 3}, "...x..x..."},
		{"tenant", sandbox.Fault{Match: sandbox.Match{Tenant: "Globex"}}, ".........."},
		{"client", sandbox.Fault{Match: sandbox.Match{Tenant: "acme-client"}}, "x........."},
		{"name", sandbox.Fault{Match: sandbox.Match{Name: "n5"}}, ".....x...."},
		{"method", sandbox.Fault{Match: sandbox.Match{Method: "GET"}}, ".........."},
		{"prefix", sandbox.Fault{Match: sandbox.Match{Path: "/ecx/"}}, "x........."},
		{"template of another", sandbox.Fault{Match: sandbox.Match{Path: connections + "/{uuid}"}}, ".........."},
		{"action", sandbox.Fault{Match: sandbox.Match{Action: "Approve"}}, ".........."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, sandbox.Config{})
			tt.fault.Kind = sandbox.ErrorBefore
			s.fault(tt.fault)
			var got strings.Builder
			for i := range 10 {
				r := s.post(s.acme, connections, with(single(), object{
					"primaryName": "n" + string(rune('0'+i)), "primaryVlanSTag": 100 + i}))
				got.WriteByte(".x"[min(1, r.status/500)])
			}
			if got.String() != tt.want {
				t.Errorf("%s, want %s", got.String(), tt.want)
			}
		})
	}
}

// TestFaultsAtOnce makes a fault happen as often as it was asked for, among many.
func TestFaultsAtOnce(t *testing.T) {
	s := open(t, sandbox.Config{})
	s.fault(sandbox.Fault{Kind: sandbox.LostAnswer, Match: creates(), Every: 2, Times: -1})
	var wg sync.WaitGroup
	answers := make(chan bool, 40)
	for i := range 40 {
		wg.Go(func() {
			_, err := s.try(t.Context(), ask{s.acme, http.MethodPost, connections,
				with(single(), object{"primaryVlanSTag": 100 + i})})
			answers <- err == nil
		})
	}
	wg.Wait()
	close(answers)
	answered := 0
	for ok := range answers {
		if ok {
			answered++
		}
	}
	if n := len(s.Inventory().Connections); answered != 20 || n != 40 {
		t.Errorf("%d answered and %d circuits, want 20 and 40", answered, n)
	}
	if f := s.Faults()[0]; f.Seen != 40 || f.Applied != 20 {
		t.Errorf("fault seen by %d and applied to %d, want 40 and 20", f.Seen, f.Applied)
	}
}

// TestApproveLost names the call by its action and the circuit by its name.
func TestApproveLost(t *testing.T) {
	s := open(t, sandbox.Config{Delays: sandbox.Delays{Provision: time.Hour}})
	id := s.create(single())
	s.fault(sandbox.Fault{Kind: sandbox.LostAnswer, Match: sandbox.Match{
		Path: connections + "/{uuid}", Action: "approve", Name: "one", Tenant: "Cloud Services"}})
	_, err := s.try(t.Context(), ask{s.cloud, http.MethodPatch, connections + "/" + id + "?action=Approve",
		object{"primaryPortUUID": cloudPort, "primaryVlanSTag": 9}})
	if err == nil {
		t.Error("the approval was answered, want the answer lost")
	}
	if got, want := s.state(id), "PROVISIONING/NOT_AVAILABLE"; got != want {
		t.Errorf("state %s, want %s: the approval was done", got, want)
	}
}

// TestFaultRefused adds faults that make no sense, or could never happen to a call.
func TestFaultRefused(t *testing.T) {
	x := sandbox.New(sandbox.Config{})
	defer x.Close()
	const throttle, show = sandbox.Throttle, sandbox.ShowStatus
	for _, tt := range []struct {
		fault sandbox.Fault
		want  []string // the fields that are wrong
	}{
		{sandbox.Fault{Kind: "gremlin"}, []string{"kind"}},
		{sandbox.Fault{Kind: sandbox.Slow, Every: -1, After: -1}, []string{"every", "after", "delay"}},
		{sandbox.Fault{Kind: show}, []string{"value"}},
		{sandbox.Fault{Kind: throttle, Times: -2, Status: 42}, []string{"times", "status"}},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Method: "FOO", Path: "/nope", Tenant: "Foo", Action: "Aprove"}},
			[]string{"match.tenant", "match.action", "match.method", "match.path"}},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Path: "/sandbox/"}}, []string{"match.path"}},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Path: connections + "//"}}, []string{"match.path"}},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Path: connections + "/x/y"}}, []string{"match.path"}},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Path: connections + "/{id}"}}, []string{"match.path"}},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Method: "PUT", Path: connections}}, []string{"match.method"}},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Method: "post", Path: connections + "/{uuid}"}}, []string{"match.method"}},
		{sandbox.Fault{Kind: show, Value: "x", Match: sandbox.Match{Method: "POST", Path: connections}}, []string{"match"}},
		{sandbox.Fault{Kind: show, Value: "x", Match: sandbox.Match{Path: "/v2/ports"}}, []string{"match"}},

		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Path: "/"}}, nil},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Method: "put", Path: "/ecx"}}, nil},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Method: "PATCH", Path: connections + "/c10f"}}, nil},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Path: "/fabric/v4/connections/c10f/acti"}}, nil},
		{sandbox.Fault{Kind: throttle, Match: sandbox.Match{Path: "/fabric/v4/connections/{uuid}/actions", Action: "connection_creation_retry"}}, nil},
		{sandbox.Fault{Kind: show, Value: "x", Match: sandbox.Match{Method: "POST", Path: "/fabric/v4/connections/search"}}, nil},
	} {
		_, err := x.AddFault(tt.fault)
		var wrong sandbox.Mistakes
		var got []string
		if errors.As(err, &wrong) {
			for _, m := range wrong {
				got = append(got, m.Field)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q are wrong (%v), want %q", tt.fault, got, err, tt.want)
		}
	}
}

// TestCloseEndsWaits closes an exchange that holds an answer back for an hour.
func TestCloseEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sandbox.Config{})
		s.fault(sandbox.Fault{Kind: sandbox.SlowCommit, Delay: time.Hour})
		ended := make(chan error, 1)
		go func() {
			_, err := s.try(t.Context(), ask{s.acme, http.MethodPost, connections, single()})
			ended <- err
		}()
		synctest.Wait()
		s.Close()
		if err := <-ended; err == nil {
			t.Error("the call was answered, want its connection closed")
		}
		if n := len(s.Inventory().Connections); n != 0 {
			t.Errorf("%d circuits, want none: it was not done yet", n)
		}
		s.get(s.acme, "/ecx/v3/port/userport").want(http.StatusServiceUnavailable)
	})
}
