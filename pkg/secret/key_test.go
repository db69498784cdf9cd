package secret_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/secret"
)

func TestLoadKey(t *testing.T) {
	raw := strings.Repeat("k", 32)
	text := hex.EncodeToString([]byte(raw))
	tests := []struct {
		name, reason, content string
		mode                  fs.FileMode
		wantErr               string // empty: it loads
	}{
		{name: "raw", content: raw, mode: 0o600},
		{name: "read only", content: raw, mode: 0o400},
		{name: "group may read", reason: "secrets mounted for a group", content: raw, mode: 0o440},
		{name: "hex", content: text, mode: 0o600},
		{name: "hex and line end", reason: "echo adds one", content: text + "\n", mode: 0o600},
		{name: "hex upper case", content: strings.ToUpper(text), mode: 0o600},
		{name: "strangers may read", content: raw, mode: 0o604, wantErr: "mode 0604 lets others at it"},
		{name: "group may write", content: raw, mode: 0o620, wantErr: "chmod 600"},
		{name: "empty", content: "", mode: 0o600, wantErr: "holds 0 bytes"},
		{name: "short", content: raw[1:], mode: 0o600, wantErr: "holds 31 bytes"},
		{name: "raw and line end", reason: "which byte is not the key?", content: raw + "\n", mode: 0o600, wantErr: "holds 33 bytes"},
		{name: "not hex", content: text[2:] + "zz", mode: 0o600, wantErr: "not all hex digits"},
		{name: "huge", content: strings.Repeat("k", 1<<16), mode: 0o600, wantErr: "want 32 bytes"},
	}
	want := secret.NewKey([32]byte([]byte(raw))).HMAC("x")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			key, err := secret.LoadKey(path)
			if tt.wantErr == "" {
				if err != nil {
					t.Fatalf("LoadKey: %v; want a key: %s", err, tt.reason)
				}
				if got := key.HMAC("x"); got != want {
					t.Errorf("HMAC = %s, want %s: the file was not read as its bytes say", got, want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Fatalf("LoadKey: %v, want an error with %q: %s", err, tt.wantErr, tt.reason)
			}
			if !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not name the file", err)
			}
			if tt.content != "" && strings.Contains(err.Error(), tt.content[:min(8, len(tt.content))]) {
				t.Errorf("error %q shows what the file holds", err)
			}
		})
	}
}

func TestLoadKeyWithoutFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := secret.LoadKey(filepath.Join(dir, "none")); err == nil {
		t.Error("LoadKey of no file gave a key; a service must refuse to start")
	}
	if _, err := secret.LoadKey(dir); err == nil {
		t.Error("LoadKey of a directory gave a key")
	}
}

func TestMakeKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	first, err := secret.MakeKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || info.Size() != 32 {
		t.Errorf("key file has mode %04o and %d bytes, want 0600 and 32", info.Mode().Perm(), info.Size())
	}
	again, err := secret.MakeKey(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := secret.LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if again.HMAC("x") != first.HMAC("x") || loaded.HMAC("x") != first.HMAC("x") {
		t.Error("the key changed; the HMACs of the facts written before would be lost")
	}
	other, err := secret.MakeKey(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	if other.HMAC("x") == first.HMAC("x") {
		t.Error("two keys are the same; they must be random")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("directory has %d files, want the two keys and no leftovers", len(entries))
	}
}

func TestMakeKeyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	names := make([]string, 16)
	var g errgroup.Group
	for i := range names {
		g.Go(func() error {
			key, err := secret.MakeKey(path)
			if err == nil {
				names[i] = key.HMAC("x")
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if name != names[0] {
			t.Fatalf("caller %d has another key than caller 0; one makes it, all share it", i)
		}
	}
}

func TestMakeKeyRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.MakeKey(path); err == nil {
		t.Error("MakeKey took a file that holds no key")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "short" {
		t.Errorf("MakeKey changed a file it did not make: %q, %v", got, err)
	}
	if _, err := secret.MakeKey(filepath.Join(t.TempDir(), "none", "key")); err == nil {
		t.Error("MakeKey made a key in a directory that is not there")
	}
}

func TestHMAC(t *testing.T) {
	raw := [32]byte([]byte("0123456789abcdef0123456789abcdef"))
	mac := hmac.New(sha256.New, raw[:])
	mac.Write([]byte(canary))
	sum := hex.EncodeToString(mac.Sum(nil))
	k := secret.NewKey(raw)
	if got, want := k.HMAC(canary), "hmac:"+sum; got != want {
		t.Errorf("HMAC = %s, want %s", got, want)
	}
	if got, want := k.Token(canary), sum[:32]; got != want {
		t.Errorf("Token = %s, want %s, the first 16 bytes", got, want)
	}
	if k.HMAC("a") == k.HMAC("b") {
		t.Error("two secrets have one name")
	}
}

func TestZeroKeyPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the zero Key made an HMAC; anybody could make it too")
		}
	}()
	_ = secret.Key{}.HMAC("x")
}

func ExampleKey() {
	key := secret.NewKey([32]byte([]byte("0123456789abcdef0123456789abcdef")))
	fmt.Println(key)
	fmt.Println(key.HMAC("b7c3"))
	fmt.Println(key.Token("b7c3"))
	// Output:
	// ***
	// hmac:311a24b32494c6288a701c443e24ae205cc2e625e7ec39352fe70397fbb35809
	// 311a24b32494c6288a701c443e24ae20
}

func TestFingerprint(t *testing.T) {
	a, b := secret.NewKey([32]byte{1}), secret.NewKey([32]byte{2})
	if a.Fingerprint() != secret.NewKey([32]byte{1}).Fingerprint() || a.Fingerprint() == b.Fingerprint() {
		t.Errorf("fingerprints %s and %s; want one for each key", a.Fingerprint(), b.Fingerprint())
	}
	if len(a.Fingerprint()) != 16 {
		t.Errorf("fingerprint %q, want 16 digits", a.Fingerprint())
	}
}
