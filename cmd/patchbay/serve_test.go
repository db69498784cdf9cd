package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A service that waits for NATS is alive, and not ready.
func TestNotReadyWithoutJournal(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"key": strings.Repeat("k", 32),
		"accounts.yaml": "accounts: [{name: acme, api: packetfabric, role: buyer, baseUrl: 'http://127.0.0.1:1', " +
			"credentials: {apiKey: 'file:" + filepath.Join(dir, "key") + "'}}]",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil { // the service listens there
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	cmd := root()
	cmd.SetArgs([]string{
		"status-watcher", "--nats-url", "nats://127.0.0.1:1", "--http-addr", addr, "--log-level", "disabled",
		"--accounts", filepath.Join(dir, "accounts.yaml"), "--key-file", filepath.Join(dir, "key"),
	})
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	get := func(page string) (int, string) {
		for {
			r, err := http.Get("http://" + addr + page)
			if err == nil {
				body, err := io.ReadAll(r.Body)
				_ = r.Body.Close() // it was read
				if err != nil {
					t.Fatal(err)
				}
				return r.StatusCode, string(body)
			}
			select {
			case err := <-ended:
				t.Fatalf("the service ended: %v", err)
			case <-time.After(10 * time.Millisecond): // until it listens
			}
		}
	}
	if code, body := get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "status-watcher journal") {
		t.Errorf("/readyz says %d %s; want 503 and that the journal is not open", code, body)
	}
	if code, body := get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz says %d %s; want 200", code, body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v, want nil when told to stop", err)
	}
}

// A service with a key of its own would take every secret for one that it never saw.
func TestOtherKeyIsRefused(t *testing.T) {
	dir := t.TempDir()
	key, accounts := filepath.Join(dir, "another"), filepath.Join(dir, "accounts.yaml")
	for path, text := range map[string]string{
		key: strings.Repeat("k", 32),
		accounts: "accounts: [{name: acme, api: packetfabric, role: buyer, baseUrl: 'http://127.0.0.1:1', " +
			"credentials: {apiKey: 'file:" + key + "'}}]",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(key string, args ...string) {
		t.Helper()
		cmd := root()
		cmd.SetArgs(append(args, "--http-addr", "127.0.0.1:0", "--log-level", "disabled"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := cmd.ExecuteContext(ctx)
		var own interface{ ExitCode() int }
		if !errors.As(err, &own) || own.ExitCode() != exitInvalid || !strings.Contains(err.Error(), "deployment key "+key) {
			t.Fatalf("%s = %v; want %d and the file %s named", args[0], err, exitInvalid, key)
		}
	}

	r := startUp(t)
	for _, s := range []string{"requester", "approver", "provisioner", "status-watcher"} {
		refused(key, s, "--nats-url", r.NATS, "--accounts", accounts, "--key-file", key)
	}
	// A folder that never had the key gets a new one, and so does one that lost it.
	refused(filepath.Join(dir, "data", "key"), "up", "--nats-url", r.NATS, "--data", filepath.Join(dir, "data"), "--sandbox-addr", "127.0.0.1:0")
}
