package cmd_test

import (
	"path/filepath"
	"reflect"
	"testing"

	"patchbay.io/pkg/account"
)

// TestComposeAccounts checks that the containers begin with the accounts that "up"
// begins with, and that their credentials are to be had.
func TestComposeAccounts(t *testing.T) {
	p := compose(t)
	got, err := account.Load(filepath.Join(root, "deploy", "accounts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := account.Sandbox("http://sandbox:8090")
	if len(got.Accounts) != len(want.Accounts) {
		t.Fatalf("got %d accounts, want %d", len(got.Accounts), len(want.Accounts))
	}
	for i, w := range want.Accounts {
		g := got.Accounts[i]
		gotSecrets, err := g.Resolve(func(name string) string { return *p.Services["requester"].Environment[name] })
		if err != nil {
			t.Errorf("%s: %v", g.Name, err)
		}
		if wantSecrets, err := w.Resolve(nil); err != nil || gotSecrets != wantSecrets {
			t.Errorf("%s: its credentials are not those of the sandbox (%v)", g.Name, err)
		}
		g.Credentials, w.Credentials = account.Credentials{}, account.Credentials{}
		for i := range g.Policy {
			g.Policy[i].Line = 0 // only a file has lines
		}
		if !reflect.DeepEqual(g, w) {
			t.Errorf("got account %+v, want %+v", g, w)
		}
	}
}
