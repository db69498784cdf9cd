package sandbox_test

import (
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

// reopen starts an exchange on the file of another that is still running, as after a
// kill. The other must not be used again.
func reopen(t *testing.T, cfg sandbox.Config, state string) *site {
	t.Helper()
	x, err := sandbox.Open(cfg, state)
	if err != nil {
		t.Fatal(err)
	}
	return attach(t, x)
}

func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := filepath.Join(t.TempDir(), "data", "sandbox.jsonl")
		cfg := sandbox.Config{Seed: 1, Delays: sandbox.Delays{Provision: time.Minute, Deprovision: time.Minute}}
		s := reopen(t, cfg, state)
		pairs := s.post(s.acme, connections, samples()["Dot1q to QinQ"]).want(http.StatusOK)
		moving := s.create(single())
		s.approve(moving, 7)
		direct := s.create(with(single(), object{"profileUUID": apiProfile, "authorizationKey": "xxxxxxxx", "primaryVlanSTag": 101}))
		own := s.create(with(single(), object{"profileUUID": nil, "primaryZSidePortUUID": acmePort2, "primaryVlanSTag": 102,
			"primaryZSideVlanSTag": 5}))
		refused := s.create(with(single(), object{"primaryVlanSTag": 103}))
		s.patch(s.cloud, refused, "Reject", object{"rejectComment": "no"}).want(http.StatusOK)
		gone := s.create(with(single(), object{"primaryVlanSTag": 104}))
		if err := s.Edit(sandbox.Edit{Kind: "vanish", Connection: gone}); err != nil {
			t.Fatal(err)
		}
		before := s.Inventory()

		time.Sleep(30 * time.Second)
		s = reopen(t, cfg, state)
		after := s.Inventory()
		if !reflect.DeepEqual(before.Connections, after.Connections) || !reflect.DeepEqual(before.Ports, after.Ports) {
			t.Errorf("after a restart:\n%+v\nwant\n%+v", after.Connections, before.Connections)
		}
		r := s.get(s.acme, connections+"/"+pairs.text("primaryConnectionId")).want(http.StatusOK)
		if r.text("redundantUUID") != pairs.text("secondaryConnectionId") || r.text("authorizationKey") != "xxxxxxxx" {
			t.Errorf("%s, want the pair still tied and its key", r.body)
		}
		time.Sleep(29 * time.Second)
		for id, want := range map[string]string{moving: "PROVISIONING/NOT_AVAILABLE",
			direct: "PENDING_AUTO_APPROVAL/NOT_AVAILABLE", own: "PROVISIONING/NOT_AVAILABLE"} {
			if got := s.state(id); got != want {
				t.Errorf("state %s a second before, want %s", got, want)
			}
		}
		time.Sleep(time.Second)
		for id, want := range map[string]string{moving: "PROVISIONED/AVAILABLE", direct: "PROVISIONING/NOT_AVAILABLE",
			own: "PROVISIONED/AVAILABLE", refused: "REJECTED/NOT_AVAILABLE"} {
			if got := s.state(id); got != want {
				t.Errorf("state %s, want %s: what was under way goes on", got, want)
			}
		}
		s.post(s.acme, connections, single()).want(http.StatusBadRequest)
		again := s.create(with(single(), object{"primaryVlanSTag": 103}))
		for _, c := range before.Connections {
			if again == c.ID || again == c.Group {
				t.Errorf("the id %s was given twice", again)
			}
		}
		// A change under way, and one that waits.
		s.patch(s.acme, moving, "update", object{"speed": 1, "speedUnit": "GB"}).want(http.StatusOK)
		s = reopen(t, cfg, state)
		s.patch(s.cloud, moving, "Approve", nil).want(http.StatusOK)
		s = reopen(t, cfg, state)
		time.Sleep(time.Minute)
		if got := s.get(s.acme, connections+"/"+moving).object()["speed"]; got != 1.0 {
			t.Errorf("speed %v, want 1 (GB)", got)
		}
	})
}

func TestKeptFile(t *testing.T) {
	state := filepath.Join(t.TempDir(), "sandbox.jsonl")
	cfg := sandbox.Config{}
	s := reopen(t, cfg, state)
	s.create(single())
	s.create(with(single(), object{"primaryVlanSTag": 101}))
	if info, err := os.Stat(state); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: keys are in the file, so it is for its owner only", info.Mode(), err)
	}
	whole, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(whole), "\n")
	for _, tt := range []struct {
		name, text string
		circuits   int // -1: refused
	}{
		{"empty", "", 0},
		{"whole", string(whole), 2},
		{"cut off in the last line", string(whole[:len(whole)-10]), 1},
		{"spoilt in the middle", "{\n" + first + "\n", -1},
		{"of another inventory", strings.Replace(first, acmePort, "elsewhere", 1) + "\n", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "s")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			x, err := sandbox.Open(cfg, file)
			if tt.circuits < 0 {
				if err == nil {
					t.Error("opened, want an error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			if got := len(x.Inventory().Connections); got != tt.circuits {
				t.Errorf("%d circuits, want %d", got, tt.circuits)
			}
		})
	}
	none, err := sandbox.Open(cfg, "")
	if err != nil {
		t.Fatal(err)
	}
	none.Close()
}
