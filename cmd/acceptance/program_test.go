package acceptance_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"patchbay.io/pkg/testenv"
	"patchbay.io/services/sandbox"
)

// program is one run of `patchbay up`.
type program struct {
	t   *testing.T
	cmd *exec.Cmd
	log *testenv.Log
	// ended is closed when the program has ended, with how in how.
	ended chan struct{}
	how   error
	// took is the time from the start to the ready line.
	took time.Duration
	// What the ready line says.
	NATS    string `json:"nats"`
	HTTP    string `json:"http"`
	Sandbox string `json:"sandbox"`
}

// setup says how to start the program. The zero setup is `patchbay up` with a folder of its
// own, on ports that the system picks.
type setup struct {
	data string
	nats string
	args []string
	env  []string
}

// up starts the program and waits until it is ready. It is stopped when the test ends.
func up(t *testing.T, s setup) *program {
	t.Helper()
	if s.data == "" {
		s.data = t.TempDir()
	}
	if s.nats == "" {
		s.nats = "127.0.0.1:0"
	}
	args := append([]string{
		"up", "--data", s.data, "--nats-addr", s.nats, "--http-addr", "127.0.0.1:0",
		"--sandbox-addr", "127.0.0.1:0", "--json", "--log-format", "json",
	}, s.args...)
	p := &program{t: t, cmd: exec.Command(binary, args...), log: &testenv.Log{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), s.env...)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.finish)
	line := make(chan string, 1)
	go func() {
		r := bufio.NewReader(out)
		first, _ := r.ReadString('\n') // without a line the test fails below
		line <- first
		_, _ = io.Copy(p.log, r) // ends with the program
		p.how = p.cmd.Wait()
		close(p.ended)
	}()
	select {
	case first := <-line:
		p.took = time.Since(start)
		if err := json.Unmarshal([]byte(first), p); err != nil {
			t.Fatalf("the first line is %q, want the ready line; log:\n%s", first, p.tail())
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("not ready within 30s; log:\n%s", p.tail())
	}
	return p
}

// tail is the end of the log.
func (p *program) tail() string {
	lines := strings.Split(p.log.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// finish ends the program if it still runs, and shows the log of a test that failed.
func (p *program) finish() {
	_ = p.cmd.Process.Signal(syscall.SIGINT) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second): // twenty are for calls that have begun
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended just now
		select {
		case <-p.ended: // it has told what it waits for
		case <-time.After(10 * time.Second):
			p.kill()
		}
		p.t.Errorf("the program does not stop:\n%s", p.log)
	}
	if strings.Contains(p.log.String(), "DATA RACE") {
		p.t.Errorf("the program has a data race:\n%s", p.log)
	}
	if p.t.Failed() {
		p.t.Logf("end of the log:\n%s", p.tail())
	}
}

// interrupt stops the program as Ctrl-C does, and returns how long that took.
func (p *program) interrupt() time.Duration {
	p.t.Helper()
	start := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		p.t.Fatalf("interrupt: %v", err)
	}
	select {
	case <-p.ended:
		if p.how != nil {
			p.t.Errorf("after an interrupt it exits with %v, want 0; log:\n%s", p.how, p.tail())
		}
	case <-time.After(30 * time.Second):
		p.t.Fatalf("it does not stop within 30s of an interrupt")
	}
	return time.Since(start)
}

// kill ends the program without a chance to tidy up.
func (p *program) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// run runs another command of the program to its end, and returns its output and exit code.
func (p *program) run(args ...string) (string, int) {
	p.t.Helper()
	return p.runIn("", args...)
}

// runIn runs it in a folder.
func (p *program) runIn(dir string, args ...string) (string, int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(args, "--nats-url", p.NATS)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return string(out), code
	}
	p.t.Fatalf("patchbay %s: %v\n%s", strings.Join(args, " "), err, out)
	return "", 0
}

// page reads a page of the program or of its sandbox.
func page(t *testing.T, url string) []byte {
	t.Helper()
	return ask(t, http.MethodGet, url, nil)
}

// ask sends v as JSON and returns the answer, which must be a good one.
func ask(t *testing.T, method, url string, v any) []byte {
	t.Helper()
	var body io.Reader
	if v != nil {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %v\n%s", method, url, resp.Status, err, answer)
	}
	return answer
}

// inventory is all that the sandbox at base has.
func inventory(t *testing.T, base string) sandbox.Inventory {
	t.Helper()
	var i sandbox.Inventory
	decode(t, page(t, base+"/sandbox/inventory"), &i)
	return i
}

// books are the circuits of Equinix as the sandbox at base has them.
func books(t *testing.T, base string) []sandbox.Connection {
	t.Helper()
	return inventory(t, base).Connections
}

// created counts the creates that made circuits at the exchange at base, answered or not,
// and all creates that were sent.
func created(t *testing.T, base string) (made, sent int) {
	t.Helper()
	var r sandbox.CallReport
	decode(t, page(t, base+"/sandbox/calls"), &r)
	for _, e := range r.Endpoints {
		if e.Endpoint == "POST /ecx/v3/l2/connections" {
			sent += e.Calls
		}
	}
	return r.Created, sent
}

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
}

// since writes how long something took, as people read it.
func since(start time.Time) string { return fmt.Sprintf("%.1fs", time.Since(start).Seconds()) }
