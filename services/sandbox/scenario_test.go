package sandbox_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/services/sandbox"
)

func readScenario(t *testing.T, text string) *sandbox.Scenario {
	t.Helper()
	s, err := sandbox.ReadScenario([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReadScenario(t *testing.T) {
	got := readScenario(t, `
steps:
  - at: 1m
    delays: {provision: 30s}
  - {at: 2m, clearFaults: true, robots: [{profile: TR-1RI-OQ85, action: silent}]}
  - at: 2m
    edits:
      - {kind: status, connection: first, status: ODD, providerStatus: ""}
      - {kind: key, profile: 7a73af1a-3d74-47ac-b778-6bf455d1174e, key: k, speedMbps: 50}
      - {kind: expire-tokens}
seed: 7
lockAfter: -1
delays: {answer: 20ms, history: 0s}
robots:
  - {profile: "*", action: reject, after: 5s, comment: "no: room", on: [create, delete]}
faults:
  - {kind: throttle, match: {method: POST, path: /v2/, action: approve, tenant: acme-client, name: n}, times: -1, every: 2,
     after: 3, status: 503, retryAfter: 2s, delay: 1s, body: "{}", value: v}
`)
	usual := sandbox.DefaultDelays()
	first := usual
	first.Answer, first.History = 20*time.Millisecond, 0
	then := first
	then.Provision = 30 * time.Second
	want := &sandbox.Scenario{
		Seed: 7, LockAfter: -1, Delays: &first,
		Robots: []sandbox.Robot{{Profile: "*", Action: "reject", After: 5 * time.Second, Comment: "no: room",
			On: []string{"create", "delete"}}},
		Faults: []sandbox.Fault{{Kind: "throttle", Times: -1, Every: 2, After: 3, Status: 503, RetryAfter: 2 * time.Second,
			Delay: time.Second, Body: "{}", Value: "v",
			Match: sandbox.Match{Method: "POST", Path: "/v2/", Action: "approve", Tenant: "acme-client", Name: "n"}}},
		Steps: []sandbox.ScenarioStep{
			{At: time.Minute, Delays: &then},
			{At: 2 * time.Minute, ClearFaults: true, Robots: []sandbox.Robot{{Profile: "TR-1RI-OQ85", Action: "silent"}}},
			{At: 2 * time.Minute, Edits: []sandbox.Edit{{Kind: "status", Connection: "first", Status: "ODD"},
				{Kind: "key", Profile: dot1qProfile, Key: "k", SpeedMbps: 50}, {Kind: "expire-tokens"}}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if got := readScenario(t, "# nothing\n"); !reflect.DeepEqual(got, &sandbox.Scenario{}) {
		t.Errorf("%+v, want the empty scenario of an empty file", got)
	}
}

// TestWrongScenario finds every mistake at once, by line.
func TestWrongScenario(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // how each line of the error begins
	}{
		{"no YAML", "seed: [", []string{"line 1: not YAML: "}},
		{"a tab", "robots:\n\t- x\n", []string{"line 2: not YAML: a character that nothing may begin with; lines are indented by blanks"}},
		{"a robot and a fault", "robots: [{profile: nobody, action: dance, on: [x]}]\nfaults: [{kind: sloow, status: 42}]\n", []string{
			`line 1: robots[0].profile: "nobody" is`, `line 1: robots[0].action: "dance" is`, `line 1: robots[0].on[0]: "x" is`,
			`line 2: faults[0].kind: "sloow" is`, "line 2: faults[0].status: 42 is"}},
		{"two documents", "seed: 1\n---\nseed: 2\n", []string{"line 2: more than one document"}},
		{"a list", "- seed: 1\n", []string{"line 1: must be a mapping with some of delays, faults, lockAfter, robots, seed, steps"}},
		{"everything at once", `sead: 1
seed: one
seed: 2
delays: {provison: 1s, answer: soon, visible: -1s}
robots:
  - {profile: nobody, action: approve}
  - {profile: "*", action: dance}
  - {profile: "*", action: approve, on: [creates]}
  - {profile: "*", action: approve, on: create}
faults:
  - {kind: slow}
  - {kind: sloow}
  - {kind: throttle, match: {path: /nope, tenant: Nobody, method: FOO, action: Aprove}}
  - {kind: throttle, times: many}
  - null
  - {kind: slow, delay: soon, times: -2, tmies: 1, match: {method: ""}}
  - kind: status
    value: ODD
    match: {method: DELETE, path: "/fabric/v4/connections/{uuid}"}
  - {kind: throttle, match: {method: post, path: /v2.1/}}
  - {kind: throttle, times: "", every: 1e400}
steps:
  - {delays: {provision: 1s}}
  - {at: 2s}
  - {at: 1s}
  - at: 3s
    clearFaults: maybe
    edits:
      - {kind: rename, connection: x}
      - {kind: rename, name: x}
      - {kind: unlock}
      - {kind: dance}
      - {kind: rename, connection: &a x, name: *a}
      - {kind: key, profile: p, speedMbps: fast}
      - {kind: expire-tokens, client: acme}
      - {kind: speed, connection: x, speedMbps: -1, client: [x]}
`, []string{
			"line 1: sead: unknown key; known are delays, faults,", `line 2: seed: "one" is not a whole number`,
			"line 3: seed: is there twice, first on line 2", "line 4: delays.provison: unknown key; known are answer, deprovision, history,",
			`line 4: delays.answer: "soon" is not a duration`, `line 4: delays.visible: "-1s" is not a duration`,
			`line 6: robots[0].profile: "nobody" is not there`, `line 7: robots[1].action: "dance" is none of`,
			`line 8: robots[2].on[0]: "creates" is none of`, "line 9: robots[3].on: must be a list",
			"line 11: faults[0].delay: kind slow needs one", `line 12: faults[1].kind: "sloow" is none of`,
			`line 13: faults[2].match.tenant: "Nobody" is none of Acme or acme-client, Cloud`,
			`line 13: faults[2].match.action: "Aprove" is none of Approve, Reject, update, CONN`,
			`line 13: faults[2].match.method: "FOO" is none of DELETE, GET, PATCH, POST, PUT`,
			`line 13: faults[2].match.path: "/nope" is no endpoint's path`,
			`line 14: faults[3].times: "many" is not a whole number`, "line 15: faults[4]: must be a mapping with some of after, body,",
			`line 16: faults[5].delay: "soon" is not a duration`, "line 16: faults[5].tmies: unknown key",
			"line 16: faults[5].times: -2 is below -1",
			"line 19: faults[6].match: kind status is seen in reads of circuits, and DELETE /fabric/v4/connections/{uuid} is none",
			`line 20: faults[7].match.method: "post" is not for /v2.1/; there it is GET`,
			`line 21: faults[8].times: "" is not a whole number`, `line 21: faults[8].every: "1e400" is not a whole number`,
			"line 23: steps[0]: a step needs at", "line 25: steps[2]: the step at 1s stands after that at 2s",
			`line 27: steps[3].clearFaults: "maybe" is neither true nor`,
			"line 29: steps[3].edits[0].name: kind rename needs it", "line 30: steps[3].edits[1].connection: kind rename needs it",
			"line 31: steps[3].edits[2].client: kind unlock needs it", `line 32: steps[3].edits[3].kind: "dance" is none of rename, speed,`,
			"line 33: steps[3].edits[4].name: must be a single value",
			`line 34: steps[3].edits[5].speedMbps: "fast" is not`, "line 34: steps[3].edits[5].key: kind key needs it",
			`line 34: steps[3].edits[5].profile: "p" is not there`, `line 35: steps[3].edits[6].client: "acme" is none of acme-client,`,
			"line 36: steps[3].edits[7].client: must be a single value", "line 36: steps[3].edits[7].speedMbps: -1 is below 0",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sandbox.ReadScenario([]byte(tt.text))
			var wrong sandbox.Mistakes
			if !errors.As(err, &wrong) {
				t.Fatalf("error %v, want a list of mistakes", err)
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(tt.want) {
				t.Errorf("%d mistakes, want %d:\n%v", len(got), len(tt.want), err)
			}
			for i := range min(len(got), len(tt.want)) {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("%s\nwant %s", got[i], tt.want[i])
				}
			}
		})
	}
}

// TestScenario follows one by the clock.
func TestScenario(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scenario := readScenario(t, `
delays: {provision: 0s, deprovision: 0s, history: 0s}
robots: [{profile: "*", action: approve, after: 5s}]
faults: [{kind: error-before, match: {method: POST, path: /v2/services/third-party}}]
steps:
  - at: 10s
    edits: [{kind: rename, connection: one, name: other}, {kind: rename, connection: nothing, name: x}]
  - at: 20s
    robots: [{profile: "*", action: silent}]
    faults: [{kind: throttle, times: -1, match: {tenant: Globex}}]
    delays: {provision: 1h}
  - {at: 30s, clearFaults: true}
`)
		s := open(t, sandbox.Config{Scenario: scenario})
		s.post(acmeKey, pfThirdParty, pfOrder()).want(http.StatusInternalServerError)
		id, asked := s.create(single()), s.ask(pfOrder())
		time.Sleep(5*time.Second - time.Nanosecond)
		if got := s.state(id); got != "PENDING_APPROVAL/NOT_AVAILABLE" {
			t.Errorf("%s a moment before the robot acts", got)
		}
		time.Sleep(time.Nanosecond)
		if got := s.state(id); got != "PROVISIONED/AVAILABLE" {
			t.Errorf("%s, want it provisioned at once", got)
		}
		if c, _ := s.PFCircuit(asked); c.State != "Active" {
			t.Errorf("%+v, want it active", c)
		}
		time.Sleep(5 * time.Second)
		if c, _ := s.Connection(id); c.Name != "other" || !c.History[len(c.History)-1].At.Equal(time.Now()) {
			t.Errorf("%+v, want it renamed now", c)
		}
		time.Sleep(10 * time.Second)
		s.get(globexKey, "/v2/ports").want(http.StatusTooManyRequests)
		if got := s.Delays(); got != (sandbox.Delays{Provision: time.Hour}) {
			t.Errorf("delays %+v, want only the first changed", got)
		}
		silent := s.create(with(single(), object{"primaryVlanSTag": 101}))
		time.Sleep(10 * time.Second)
		s.get(globexKey, "/v2/ports").want(http.StatusOK)
		if got := s.state(silent); got != "PENDING_APPROVAL/NOT_AVAILABLE" {
			t.Errorf("%s, want it silent", got)
		}
	})
}

// TestReplay runs one scenario twice, to the same end.
func TestReplay(t *testing.T) {
	text, err := os.ReadFile("../../examples/sandbox/bad-day.scenario.yaml")
	if err != nil {
		t.Fatal(err)
	}
	run := func() (v sandbox.Inventory, calls sandbox.CallReport) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, sandbox.Config{Scenario: readScenario(t, string(text))})
			for n := range 6 {
				_, _ = s.try(t.Context(), ask{s.acme, http.MethodPost, connections, // its answer may be lost
					with(single(), object{"primaryName": "first", "primaryVlanSTag": 100 + n})})
				on := object{"interface": object{"port_circuit_id": acmeNYC, "vlan": 100 + n}}
				s.post(acmeKey, pfThirdParty, with(pfOrder(), with(on, object{"service_uuid": pfBackup})))
				s.post(acmeKey, pfThirdParty, with(pfOrder(), on))
				time.Sleep(time.Minute)
			}
			v, calls = s.Inventory(), s.Calls()
		})
		return v, calls
	}
	one, calls := run()
	// Five orders are throttled: three of ECX, and two that were not to meet a 502.
	if len(one.Connections) != 3 || len(one.PacketFabric.Circuits) != 10 {
		t.Errorf("%d and %d circuits, want 3 of 6 and 10 of 12", len(one.Connections), len(one.PacketFabric.Circuits))
	}
	two, again := run()
	if !reflect.DeepEqual(one, two) {
		t.Errorf("the second time\n%+v\nwant\n%+v", two, one)
	}
	if !reflect.DeepEqual(calls, again) {
		t.Errorf("the second time\n%+v\nwant\n%+v", again, calls)
	}
}

// TestScenarioKept lets a scenario's robot decide what is pending in the file.
func TestScenarioKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := filepath.Join(t.TempDir(), "sandbox.jsonl")
		cfg := sandbox.Config{Scenario: readScenario(t, `robots: [{profile: "*", action: reject, after: 5s}]`)}
		s := reopen(t, cfg, state)
		id, asked := s.create(single()), s.ask(pfOrder())
		s = reopen(t, cfg, state)
		time.Sleep(5 * time.Second)
		if got := s.state(id); got != "REJECTED/NOT_AVAILABLE" {
			t.Errorf("%s, want it rejected", got)
		}
		if c, _ := s.PFCircuit(asked); c.Status != "rejected" {
			t.Errorf("%s, want it rejected", c.Status)
		}
	})
}

// TestPFDocs keeps the manual's inventory of PacketFabric and its scenario as they are.
func TestPFDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/sandbox.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(text)
	s := open(t, sandbox.Config{})
	v := s.Inventory().PacketFabric
	var want []string
	for _, c := range v.Customers {
		want = append(want, "`"+c.RoutingID+"` | `"+c.Account+"` | `"+c.Flex+"` |")
	}
	for _, p := range v.Services {
		want = append(want, "| `"+p.UUID+"` | "+p.Name+" | "+p.Seller+" |")
	}
	for _, key := range []string{acmeKey, cloudKey, globexKey} {
		s.get(key, "/v2/ports").want(http.StatusOK)
		want = append(want, "`"+key+"`")
	}
	for _, w := range append(want, strings.Join(v.Markets, ", ")) {
		if !strings.Contains(manual, w) {
			t.Errorf("docs/sandbox.md has no %s", w)
		}
	}
	s.get(acmeKey, "/v2/ports/PF-AP-NYC1-1100001").want(http.StatusOK)
	s.get(cloudKey, "/v2/ports/PF-AP-CHI1-2900002").want(http.StatusOK)
	_, scenario, _ := strings.Cut(manual, "```yaml\n")
	scenario, _, _ = strings.Cut(scenario, "```")
	if got := readScenario(t, scenario); len(got.Steps) != 3 {
		t.Errorf("the manual's scenario has %d steps, want 3", len(got.Steps))
	}
}
