package acceptance_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"patchbay.io/pkg/event"
	"patchbay.io/services/sandbox"
)

// disk is a folder whose room a test can take away.
type disk struct {
	folder string
	// take leaves no room for what p writes, and give returns it.
	take, give func(p *program)
}

// smallDisk is a disk of its own, of a few megabytes.
func smallDisk(t *testing.T) disk {
	t.Helper()
	d := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=16m", "none", d).CombinedOutput(); err != nil {
		t.Skipf("no disk of a few megabytes, since this user may not mount one: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", d).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
	filler := filepath.Join(d, "filler")
	return disk{
		folder: d,
		take: func(*program) {
			f, err := os.Create(filler)
			if err != nil {
				t.Fatal(err)
			}
			for page := make([]byte, 4096); err == nil; {
				_, err = f.Write(page)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		},
		give: func(*program) {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// limitedFiles is a disk on which no file may grow.
func limitedFiles(t *testing.T) disk {
	t.Helper()
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skipf("no limit for the files of a program that runs: %v", err)
	}
	limit := func(to string) func(p *program) {
		return func(p *program) {
			out, err := exec.Command("prlimit", fmt.Sprintf("--pid=%d", p.cmd.Process.Pid), "--fsize="+to+":").CombinedOutput()
			if err != nil {
				t.Fatalf("prlimit: %s", out)
			}
		}
	}
	return disk{folder: t.TempDir(), take: limit("4096"), give: limit("unlimited")}
}

// offer hands in a create once, and reports whether it was acknowledged.
func (r *reader) offer(id string, data []byte) bool {
	r.t.Helper()
	m := nats.NewMsg("patchbay.intent.create")
	m.Data = data
	for k, v := range map[string]string{"specversion": "1.0", "id": id, "source": source, "type": "io.patchbay.intent.create.v1"} {
		m.Header.Set("ce-"+k, v)
	}
	answer, err := r.nc.RequestMsg(m, 2*time.Second)
	if err != nil && !errors.Is(err, nats.ErrTimeout) {
		r.t.Fatalf("publish: %v", err)
	}
	return err == nil && strings.Contains(string(answer.Data), `"seq"`)
}

// degraded waits until the health page says so, for all of the given reasons.
func (r *reader) degraded(p *program, limit time.Duration, words ...string) {
	r.t.Helper()
	health := ""
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); r.pause(100 * time.Millisecond) {
		health = string(page(r.t, p.HTTP+"/healthz"))
		missing := len(words)
		for _, w := range words {
			if strings.Contains(health, w) {
				missing--
			}
		}
		if missing == 0 {
			return
		}
	}
	r.t.Fatalf("after %v the health page does not say %q:\n%s", limit, words, health)
}

// A disk that is full while orders are under way ends in refusal, not in loss: what was not
// kept was not acknowledged, and what was acknowledged is carried out once there is room.
func TestDiskFull(t *testing.T) {
	heavy(t)
	for _, tt := range []struct {
		name string
		disk func(*testing.T) disk
		why  string
		// killed: the program is killed while there is no room, and started when there is.
		killed bool
	}{
		{"a disk", smallDisk, "no space left", false},
		{"a disk, and killed", smallDisk, "no space left", true},
		{"files", limitedFiles, "file too large", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const n = 40
			d := tt.disk(t)
			_, base := exchange(t, sandbox.Delays{Provision: 300 * time.Millisecond})
			s := accounts(t, base, approveAll)
			s.data = d.folder
			p := up(t, s)
			s.nats = strings.TrimPrefix(p.NATS, "nats://")
			r := read(t, p.NATS)
			kept := 0
			offer := func() bool { return r.offer(fmt.Sprintf("create-%d", kept), single(kept)) }
			for deadline := time.Now().Add(time.Minute); kept < n/2; {
				if offer() {
					kept++
				} else if time.Now().After(deadline) {
					t.Fatalf("intent %d was not acknowledged, with room", kept)
				}
			}
			d.take(p)
			full := time.Now()
			for kept < n && offer() {
				kept++
			}
			if kept == n {
				t.Fatalf("%d intents were acknowledged, though nothing can be written", n-n/2)
			}
			file := filepath.Join(t.TempDir(), "late.intent.json")
			if err := os.WriteFile(file, single(kept), 0o600); err != nil {
				t.Fatal(err)
			}
			out, code := p.run("intent", "submit", file, "--source", source, "--id", fmt.Sprintf("create-%d", kept))
			if code != 1 || !strings.Contains(out, "the disk of a server may be full") {
				t.Errorf("submit says %q (exit code %d), want that the disk may be full, and 1", out, code)
			}
			r.degraded(p, time.Minute, tt.why, "stream JOURNAL keeps what is written")
			if tt.killed {
				p.kill()
				d.give(p)
				up(t, s)
			} else {
				d.give(p)
			}
			room := time.Now()
			for ; kept < n; kept++ {
				for deadline := time.Now().Add(30 * time.Second); !r.offer(fmt.Sprintf("create-%d", kept), single(kept)); {
					if time.Now().After(deadline) {
						t.Fatal("30s after there is room again, nothing is acknowledged")
					}
				}
			}
			var ids []string
			for i := range n {
				ids = append(ids, event.OrderID(source, fmt.Sprintf("create-%d", i)))
			}
			r.allCompleted(2*time.Minute, ids)
			took := since(room)
			made := r.exactly(base, n)
			t.Logf("%d intents, no room for %.1fs: all completed %s after there was, %d creates sent", n, room.Sub(full).Seconds(), took, made)
		})
	}
}
