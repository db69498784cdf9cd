package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay.io/services/sandbox"
)

// object is a piece of JSON.
type object = map[string]any

const (
	dot1qPort = "aced1050-0000-4000-8000-000000000001"
	qinqPort  = "ace99050-0000-4000-8000-000000000001"
	// openProfile takes orders without a key; keyed wants one.
	openProfile = "c10f0000-0000-4000-8000-000000000008"
	keyed       = "7a73af1a-3d74-47ac-b778-6bf455d1174e"
)

// single is the n-th create, of one circuit; no two have the same tag. Changes are made to it
// before it is written.
func single(n int, changes ...func(in object)) []byte {
	in := object{
		"account": "acme-ecx", "name": fmt.Sprintf("circuit-%d", n), "bandwidthMbps": 50,
		"notifications": []string{"noc@example.com"},
		"primary": object{
			"aSide": object{"portId": dot1qPort, "tag": object{"vlan": 200 + n}},
			"zSide": object{"profileId": openProfile, "metro": "SV"},
		},
	}
	for _, change := range changes {
		change(in)
	}
	b, err := json.Marshal(in)
	if err != nil {
		panic(err) // maps of texts and numbers
	}
	return b
}

// set returns a change of the field at path, or its removal if value is nil.
func set(path string, value any) func(object) {
	return func(in object) {
		parts := strings.Split(path, ".")
		for _, p := range parts[:len(parts)-1] {
			if in[p] == nil {
				in[p] = object{}
			}
			in, _ = in[p].(object) // a test that names a path through something else panics below
		}
		if value == nil {
			delete(in, parts[len(parts)-1])
		} else {
			in[parts[len(parts)-1]] = value
		}
	}
}

// remove is a delete of the circuits of the create with id.
func remove(id string) []byte {
	return fmt.Appendf(nil, `{"target": {"source": %q, "id": %q}}`, source, id)
}

// serve serves x on a socket until the test ends.
func serve(t *testing.T, x *sandbox.Exchange) string {
	t.Helper()
	srv := httptest.NewServer(x.Handler())
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		x.Close()
	})
	return srv.URL
}

// landings are the ports of the sandbox's seller that take what the tests order.
const landings = `
    landing:
      - metro: SV
        encapsulation: dot1q
        tags: 100-1999
        ports: [c10d1050-0000-4000-8000-000000000001, c10d1050-0000-4000-8000-000000000002]
      - metro: SV
        encapsulation: qinq
        tags: 100-1999
        ports: [c1099050-0000-4000-8000-000000000001, c1099050-0000-4000-8000-000000000002]
`

// accounts writes an accounts file for the exchange at base whose budgets are no bottleneck.
// The policy is YAML; names decide in it.
func accounts(t *testing.T, base, policy string) setup {
	t.Helper()
	var b strings.Builder
	for _, a := range []struct{ name, role, tenant string }{
		{"acme-ecx", "buyer", "acme"}, {"cloud-ecx", "seller", "cloud"},
	} {
		if b.Len() == 0 {
			b.WriteString("accounts:\n")
		}
		fmt.Fprintf(&b, "  - name: %s\n    api: ecx\n    role: %s\n    baseUrl: %s\n"+
			"    credentials: {clientId: env:ID_%s, clientSecret: env:SECRET_%[4]s}\n"+
			"    budgetPerMinute: 60000\n    attempt: 5s\n    quiet: 5s\n", a.name, a.role, base, a.tenant)
	}
	b.WriteString(strings.TrimPrefix(landings, "\n"))
	b.WriteString("    policy:\n" + policy)
	file := filepath.Join(t.TempDir(), "accounts.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return setup{args: []string{"--accounts", file}, env: []string{
		"ID_acme=acme-client", "SECRET_acme=acme-secret", "ID_cloud=cloud-client", "SECRET_cloud=cloud-secret",
	}}
}

// approveAll approves whatever is asked.
const approveAll = `      - {name: all, when: "true", then: approve}
`
