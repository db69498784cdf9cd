package sandbox_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"patchbay.io/services/sandbox"
)

// An exchange in a test's own process, told to throttle the next call.
func ExampleNew() {
	x := sandbox.New(sandbox.Config{Seed: 1})
	defer x.Close()
	if _, err := x.AddFault(sandbox.Fault{Kind: sandbox.Throttle}); err != nil {
		fmt.Println(err)
	}
	for range 2 {
		w := httptest.NewRecorder()
		login := `{"grant_type":"client_credentials","client_id":"acme-client","client_secret":"acme-secret"}`
		x.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/oauth2/v1/token", strings.NewReader(login)))
		fmt.Println(w.Code)
	}
	fmt.Println(x.Calls().Total, "calls")
	// Output:
	// 429
	// 200
	// 2 calls
}

// TestDocs keeps the inventory and the faults of the manual as they are.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/sandbox.md")
	if err != nil {
		t.Fatal(err)
	}
	x := sandbox.New(sandbox.Config{})
	defer x.Close()
	var want []string
	v := x.Inventory()
	for _, p := range v.Profiles {
		want = append(want, "| `"+p.ID+"` | "+p.Name+" |")
	}
	for _, p := range v.Ports {
		if !strings.HasSuffix(p.ID[:8], "0") || !strings.Contains(p.ID, "-0000-4000-8000-") {
			want = append(want, "`"+p.ID+"`")
		}
	}
	if len(want) != 11+8+4 {
		t.Errorf("%d ids to be found, want 11 profiles and the guides' 8 and 4 ports", len(want))
	}
	for _, k := range []string{sandbox.LostAnswer, sandbox.ResetBefore, sandbox.ErrorBefore, sandbox.ErrorAfter,
		sandbox.Throttle, sandbox.Slow, sandbox.SlowCommit, sandbox.SlowAnswer, sandbox.ShowStatus, sandbox.Hide,
		sandbox.Garbage, sandbox.Partial, sandbox.ForeignError, sandbox.Redirect} {
		want = append(want, "| `"+k+"` |")
	}
	for _, w := range want {
		if !bytes.Contains(text, []byte(w)) {
			t.Errorf("docs/sandbox.md has no %s", w)
		}
	}
	if !slices.ContainsFunc(v.Ports, func(p sandbox.Port) bool { return p.ID == "c10995e0-0000-4000-8000-000000000004" }) {
		t.Error("the manual's example of a port id is no port")
	}
}

// BenchmarkList reads the first page of a list of four thousand circuits.
func BenchmarkList(b *testing.B) {
	s := open(b, sandbox.Config{})
	for i := range 4000 {
		s.create(with(single(), object{"primaryVlanSTag": 2 + i}))
	}
	for b.Loop() {
		s.get(s.acme, "/ecx/v3/l2/buyer/connections?pageSize=100&status=PENDING_APPROVAL").want(http.StatusOK)
	}
}
