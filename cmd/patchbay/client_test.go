package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/event"
)

// startUp runs `patchbay up` on ports of its own and returns where everything is.
func startUp(t *testing.T) ready {
	t.Helper()
	out, in := io.Pipe()
	cmd := root()
	cmd.SetArgs([]string{"up", "--json", "--data", t.TempDir(), "--log-level", "disabled", "--relaxed-sync",
		"--nats-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--sandbox-addr", "127.0.0.1:0"})
	cmd.SetOut(in)
	ctx, cancel := context.WithCancel(t.Context())
	var work errgroup.Group
	work.Go(func() error {
		err := cmd.ExecuteContext(ctx)
		return errors.Join(err, in.CloseWithError(errors.Join(io.EOF, err)))
	})
	t.Cleanup(func() {
		cancel()
		if err := work.Wait(); err != nil {
			t.Errorf("up = %v, want nil when told to stop", err)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("up does not get ready: %v", err)
	}
	var r ready
	if err := json.Unmarshal(line, &r); err != nil || !r.Ready {
		t.Fatalf("ready line %s: %v", line, err)
	}
	return r
}

// patchbay runs a client's command line and returns what it printed and its exit code.
func patchbay(t *testing.T, r ready, args ...string) (string, int) {
	t.Helper()
	cmd := root()
	cmd.SetArgs(append(args, "--nats-url", r.NATS))
	var out strings.Builder
	cmd.SetOut(&out)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := cmd.ExecuteContext(ctx)
	if err != nil {
		out.WriteString(err.Error())
	}
	var own interface{ ExitCode() int }
	switch {
	case err == nil:
		return out.String(), exitDone
	case errors.As(err, &own):
		return out.String(), own.ExitCode()
	default:
		return out.String(), exitError
	}
}

// A pair from the guide lives and dies, as its user sees it.
func TestLifeOfAPair(t *testing.T) {
	r := startUp(t)
	const pair = "../../examples/ecx/05-john-demo-connection.intent.json"
	steps := []step{
		{"check", []string{"intent", "check", pair}, exitDone, []string{"ok", "account acme-ecx"}},
		{"submit", []string{"intent", "submit", pair, "--wait"}, exitDone, []string{"PROVISIONED/AVAILABLE", "completed"}},
		{"again", []string{"intent", "submit", pair}, exitDone, []string{"handed in before"}},
	}
	for _, s := range steps {
		s.expect(t, r)
	}
	var deleted errgroup.Group // whoever waits sees it to its end
	deleted.Go(func() error {
		step{"delete", []string{"intent", "submit", "../../examples/ecx/10-delete-order.intent.json", "--wait"}, exitFailed,
			[]string{"PENDING_DELETE/AVAILABLE", "failed", "you owe us"}}.expect(t, r)
		return nil
	})
	t.Cleanup(func() { _ = deleted.Wait() }) // it returns nil
	var waiting []struct{ ConnectionID string }
	for deadline := time.Now().Add(time.Minute); len(waiting) != 2; {
		out, _ := patchbay(t, r, "approvals", "--json")
		if err := json.Unmarshal([]byte(out), &waiting); err != nil || time.Now().After(deadline) {
			t.Fatalf("approvals = %s, %v; want both legs", out, err)
		}
	}
	for _, s := range []step{
		{"wait no longer", []string{"intent", "submit", "../../examples/ecx/10-delete-order.intent.json", "--wait", "--timeout", "100ms"},
			exitWaiting, []string{"Still waiting"}},
		{"explain who must act", []string{"explain", "John_Demo_Connection"}, exitDone,
			[]string{"waits for approval", "operator", "patchbay approve", "bills", "trace"}},
		{"too many", []string{"approve", event.OrderID("patchbay/cli", "5b0645ac25e3b6f4bd8b87026cd09548fe3c7028140a8c062be799779afefe1f")}, exitUsage, []string{"say which connection"}},
	} {
		s.expect(t, r)
	}
	step{"approve", []string{"approve", waiting[0].ConnectionID, "--by", "ada"}, exitDone, []string{"approved by ada"}}.expect(t, r)
	step{"reject", []string{"reject", waiting[1].ConnectionID, "--by", "ada", "--reason", "you owe us"}, exitDone, []string{"rejected by ada"}}.expect(t, r)
	_ = deleted.Wait() // it returns nil
	step{"what is left", []string{"list", "connections", "--status", "PROVISIONED"}, exitDone,
		[]string{waiting[1].ConnectionID}}.soon(t, r) // lists may be a moment behind
	step{"rebuild", []string{"rebuild"}, exitDone, []string{"facts a second"}}.expect(t, r)
	step{"watch needs good words", []string{"watch", "--since", "yesterday"}, exitUsage, []string{"yesterday"}}.expect(t, r)
	if out, code := runAlone(t, "health", "--http-addr", strings.TrimPrefix(r.HTTP, "http://")); code != exitDone || !strings.Contains(out, "ok") {
		t.Errorf("health = %d %q, want 0", code, out)
	}
}

func runAlone(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := root()
	cmd.SetArgs(args)
	var out strings.Builder
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		return out.String() + err.Error(), exitError
	}
	return out.String(), exitDone
}

// Whoever has the variable of the client set and asks for a NATS of its own would else get
// a second set of services on the journal of the first.
func TestUpWithTwoNATS(t *testing.T) {
	t.Setenv("PATCHBAY_NATS_URL", "nats://127.0.0.1:1")
	cmd := root()
	cmd.SetArgs([]string{"up", "--data", t.TempDir(), "--nats-addr", "127.0.0.1:0"})
	err := cmd.ExecuteContext(t.Context())
	var own interface{ ExitCode() int }
	if !errors.As(err, &own) || own.ExitCode() != exitUsage || !strings.Contains(err.Error(), "PATCHBAY_NATS_URL") {
		t.Errorf("up = %v, want an error of usage that names the variable", err)
	}
}

// What is wrong is said as a whole, in the words of the command line, and before a port that
// another process has gets in the way.
func TestUpRefuses(t *testing.T) {
	taken, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }() // nothing was written to it
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "accounts.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unset := file("accounts:\n  - {name: me, api: ecx, role: buyer, baseUrl: \"http://127.0.0.1:1\", credentials: {clientId: \"env:NO_ID\", clientSecret: \"env:NO_SECRET\"}}\n")
	for _, tt := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"a taken port", nil, exitError, []string{"--nats-addr", "in use"}},
		{"no port", []string{"--nats-addr", ":bad"}, exitError, []string{"--nats-addr", `"bad" is no port`}},
		{"a word that is no level", []string{"--log-level", "loud"}, exitUsage, []string{`"loud": want trace, debug`}},
		{"numbers that make no sense", []string{"--journal-bytes", "-5", "--replicas", "6", "--source-per-minute", "-1", "--source-open", "-1"}, exitUsage,
			[]string{"--journal-bytes -5: give at least 1048576", "--replicas 6", "--source-per-minute -1", "--source-open -1"}},
		{"a journal without room", []string{"--journal-bytes", "100000"}, exitUsage, []string{"--journal-bytes 100000"}},
		{"a wrong file", []string{"--accounts", file("accounts: [{naam: me}]")}, exitInvalid, []string{`unknown key "naam"`}},
		{"variables that are not set", []string{"--accounts", unset}, exitInvalid,
			[]string{"account me: clientId: environment variable NO_ID is empty or not set", "NO_SECRET", "start again"}},
	} {
		cmd := root()
		cmd.SetArgs(append([]string{"up", "--data", t.TempDir(), "--log-level", "disabled", "--nats-addr", taken.Addr().String()}, tt.args...))
		err := cmd.ExecuteContext(t.Context())
		code := exitError
		var own interface{ ExitCode() int }
		if errors.As(err, &own) {
			code = own.ExitCode()
		}
		for _, want := range tt.want {
			if err == nil || code != tt.code || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: up = %v, code %d; want %d and %q", tt.name, err, code, tt.code, want)
			}
		}
	}
	err = func() error {
		cmd := root()
		cmd.SetArgs([]string{"approver", "--accounts", unset})
		return cmd.ExecuteContext(t.Context())
	}()
	if err == nil || !strings.Contains(err.Error(), "--key-file") {
		t.Errorf("approver = %v; want it to miss its key, and no variable of an account that only buys", err)
	}
}

func TestReadyTellsWhatToDo(t *testing.T) {
	const submit, export = "patchbay intent submit examples", "export PATCHBAY_NATS_URL=nats://127.0.0.1:5222"
	for _, tt := range []struct {
		name         string
		r            ready
		want, hidden []string
	}{
		{"all as it comes", ready{NATS: "nats://127.0.0.1:4222", Sandbox: "http://127.0.0.1:8090"}, []string{submit, "patchbay watch"}, []string{"export"}},
		{"another port", ready{NATS: "nats://127.0.0.1:5222", Sandbox: "http://127.0.0.1:8090"}, []string{export, submit}, nil},
		{"accounts of one's own", ready{NATS: "nats://127.0.0.1:4222"}, []string{"patchbay watch", "sandbox   none", "--accounts"}, []string{submit}},
	} {
		var out strings.Builder
		if err := tt.r.print(&out, false); err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: said\n%s\nwant %q in it", tt.name, out.String(), want)
			}
		}
		for _, hidden := range tt.hidden {
			if strings.Contains(out.String(), hidden) {
				t.Errorf("%s: said\n%s\nwant no %q in it", tt.name, out.String(), hidden)
			}
		}
	}
}

// step is a command line, and what is to come of it.
type step struct {
	name string
	args []string
	code int
	want []string
}

// run says what is wrong with what came of it; nothing if all is well.
func (s step) run(t *testing.T, r ready) string {
	t.Helper()
	out, code := patchbay(t, r, s.args...)
	if code != s.code {
		return fmt.Sprintf("%s: exit code = %d, want %d; said\n%s", s.name, code, s.code, out)
	}
	for _, w := range s.want {
		if !strings.Contains(out, w) {
			return fmt.Sprintf("%s: said\n%s\nwant %q in it", s.name, out, w)
		}
	}
	return ""
}

func (s step) expect(t *testing.T, r ready) {
	t.Helper()
	if wrong := s.run(t, r); wrong != "" {
		t.Error(wrong)
	}
}

// soon repeats the step until that comes of it which is to come, for a minute at most.
func (s step) soon(t *testing.T, r ready) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		wrong := s.run(t, r)
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(wrong)
		}
	}
}

// Each example of a create can be handed in as it is.
func TestExamplesAreRight(t *testing.T) {
	r := startUp(t)
	files, err := filepath.Glob("../../examples/ecx/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, ".request.json") || strings.Contains(string(data), `"target"`) {
			continue // what the exchange takes, or about what is not here
		}
		if out, code := patchbay(t, r, "intent", "check", f); code != exitDone {
			t.Errorf("%s: exit code = %d, want 0; said\n%s", f, code, out)
		}
	}
}

// Each instructive wrong intent is answered with the violations that stand beside it.
func TestWrongExamplesAreAnswered(t *testing.T) {
	r := startUp(t)
	files, err := filepath.Glob("../../examples/wrong/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out, code := patchbay(t, r, "intent", "submit", f)
		if code != exitInvalid {
			t.Errorf("%s: exit code = %d, want 3; said\n%s", f, code, out)
		}
		if json.Valid(data) && !strings.Contains(out, "FIELD") {
			t.Errorf("%s: said\n%s\nwant the violations as a table", f, out)
		}
	}
}

// An operator pauses an account: its orders wait and say why, and go on once it is resumed.
func TestPauseAccount(t *testing.T) {
	r := startUp(t)
	const example = "../../examples/ecx/01-dot1q-to-dot1q.intent.json"
	paused := step{"paused", []string{"intent", "submit", example, "--wait", "--timeout", "100ms"}, exitWaiting,
		[]string{"waits for its account to be resumed on operator: paused by ada: the API moves"}}
	step := func(wantCode int, want string, args ...string) {
		t.Helper()
		out, code := patchbay(t, r, args...)
		if code != wantCode || !strings.Contains(out, want) {
			t.Fatalf("%s: exit code %d, want %d, with %q:\n%s", strings.Join(args, " "), code, wantCode, want, out)
		}
	}
	step(1, `no account "acme-exc"; the accounts file has acme-ecx,`, "accounts", "pause", "acme-exc")
	step(0, "acme-ecx is paused", "accounts", "pause", "acme-ecx", "--by", "root")
	step(0, "acme-ecx is paused; before it was paused by root", "accounts", "pause", "acme-ecx", "--by", "ada", "--reason", "the API moves")
	step(0, "paused by ada: the API moves", "accounts", "list")
	paused.soon(t, r)
	step(0, "patchbay accounts resume acme-ecx", "explain", "JohnDoe_Dot1Q_To_Dot1Q")
	step(0, "account acme-ecx waits for somebody to resume it on operator: paused by ada: the API moves", "get", "JohnDoe_Dot1Q_To_Dot1Q")

	// Paused on the seller's side, what was approved waits to be landed.
	step(0, "cloud-ecx is paused", "accounts", "pause", "cloud-ecx", "--by", "bob", "--reason", "the ports move")
	step(0, "acme-ecx is resumed", "accounts", "resume", "acme-ecx")
	step(0, "acme-ecx was not paused", "accounts", "resume", "acme-ecx")
	for deadline := time.Now().Add(time.Minute); ; {
		out, _ := patchbay(t, r, "explain", "JohnDoe_Dot1Q_To_Dot1Q")
		if strings.Contains(out, "account cloud-ecx waits for somebody to resume it") &&
			strings.Contains(out, "paused by bob: the ports move; patchbay accounts resume cloud-ecx") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("of an order whose landing waits for a paused account explain says\n%s", out)
		}
	}
	step(0, "cloud-ecx is resumed", "accounts", "resume", "cloud-ecx")
	step(0, "completed", "intent", "submit", example, "--wait")
	if out, _ := patchbay(t, r, "accounts", "list"); strings.Contains(out, "paused") || !strings.Contains(out, "cloud-packetfabric") {
		t.Errorf("after the account was resumed:\n%s", out)
	}
}
