package account_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/secret"
)

var update = flag.Bool("update", false, "write the golden files")

func TestGolden(t *testing.T) {
	f, err := account.Load(filepath.Join("testdata", "all.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	got := dump(t, f)
	golden := filepath.Join("testdata", "all.golden.json")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("all.yaml reads as\n%s\nwant, by the golden file (-update writes it),\n%s", got, want)
	}
}

// dump writes f for people and goldens.
func dump(t *testing.T, f account.File) string {
	t.Helper()
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func TestDefaults(t *testing.T) {
	f, err := account.Parse([]byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	a := f.Accounts[0]
	if a.BudgetPerMinute != 120 || a.Attempt != time.Minute || a.Quiet != 2*time.Minute {
		t.Errorf("defaults are %d, %s, %s; want 120, 1m, 2m as documented", a.BudgetPerMinute, a.Attempt, a.Quiet)
	}
}

// The documentation's sample must be a file that works, and its tables must have
// every key that the file has.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "accounts.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(doc)
	if m == nil {
		t.Fatal("docs/accounts.md has no sample")
	}
	f, err := account.Parse(m[1])
	if err != nil {
		t.Fatalf("the sample does not parse:\n%v", err)
	}
	if len(f.Buyers()) != 2 || len(f.Sellers()) != 2 {
		t.Errorf("the sample has %d buyers and %d sellers, want 2 of each, one both", len(f.Buyers()), len(f.Sellers()))
	}
	_, err = account.Parse([]byte(`accounts: [{x: 1, credentials: {}, landing: [{x: 1}], policy: [{x: 1}]}]`))
	var vs account.Violations
	if !errors.As(err, &vs) {
		t.Fatalf("Parse: %v, want violations that list the known keys", err)
	}
	tables := 0
	for _, v := range vs {
		_, known, ok := strings.Cut(v.Message, "known are ")
		if !ok {
			continue
		}
		tables++
		for key := range strings.SplitSeq(known, ", ") {
			if !strings.Contains(string(doc), "| `"+key+"`") && !strings.Contains(string(doc), "`"+key+"` |") {
				t.Errorf("docs/accounts.md has no row for the key %s of %s", key, v.Path)
			}
		}
	}
	if tables != 3 {
		t.Errorf("%d lists of known keys met, want 3; without them this test proves nothing", tables)
	}
}

func TestHelpers(t *testing.T) {
	f := account.Sandbox("http://127.0.0.1:8090/")
	if a, ok := f.ByName("cloud-ecx"); !ok || a.Role != account.Seller {
		t.Errorf("ByName(cloud-ecx) = %v, %t; want the seller", a.Name, ok)
	}
	if _, ok := f.ByName("nobody"); ok {
		t.Error("ByName found an account that is not there")
	}
	if got := names(f.Buyers()); !slices.Equal(got, []string{"acme-ecx", "acme-fabric", "acme-packetfabric"}) {
		t.Errorf("buyers are %v, want acme's", got)
	}
	if got := names(f.Sellers()); !slices.Equal(got, []string{"cloud-ecx", "cloud-fabric", "cloud-packetfabric"}) {
		t.Errorf("sellers are %v, want cloud's", got)
	}
	if !account.Both.Buys() || !account.Both.Sells() {
		t.Error("the role both must buy and sell")
	}
}

func names(accounts []account.Account) []string {
	var names []string
	for _, a := range accounts {
		names = append(names, a.Name)
	}
	return names
}

func TestSandbox(t *testing.T) {
	f := account.Sandbox("http://127.0.0.1:8090/")
	for _, a := range f.Accounts {
		if a.BaseURL != "http://127.0.0.1:8090" {
			t.Errorf("%s is at %s, want no slash at the end", a.Name, a.BaseURL)
		}
		s, err := a.Resolve(func(string) string { return "" })
		if err != nil {
			t.Fatalf("%s: %v; the sandbox's secrets need no environment", a.Name, err)
		}
		tenant, api, _ := strings.Cut(a.Name, "-")
		if api != string(a.API) {
			t.Errorf("%s is at %s, want what its name says", a.Name, a.API)
		}
		want := account.Secrets{ClientID: secret.Secret(tenant + "-client"), ClientSecret: secret.Secret(tenant + "-secret")}
		if a.API == account.PacketFabric {
			want = account.Secrets{APIKey: secret.Secret(tenant + "-api-key")}
		}
		if s != want {
			t.Errorf("%s has other credentials than the sandbox", a.Name)
		}
	}
	equinix := []string{"SV dot1q", "SV qinq", "DC dot1q", "DC qinq", "SE dot1q", "SE qinq"}
	for name, wants := range map[string][]string{
		"cloud-ecx": equinix, "cloud-fabric": equinix,
		"cloud-packetfabric": {"NYC dot1q", "NYC qinq", "CHI dot1q", "CHI qinq", "ATL dot1q", "ATL qinq", "LAX dot1q", "LAX qinq"},
	} {
		cloud, _ := f.ByName(name)
		met := map[string]bool{}
		for _, l := range cloud.Landing {
			met[l.Place()+" "+string(l.Encapsulation)] = true
			for _, p := range l.Ports {
				if met[p] {
					t.Errorf("%s: port %s is in two rules", name, p)
				}
				met[p] = true
			}
		}
		for _, want := range wants {
			if !met[want] {
				t.Errorf("%s: no landing rule for %s", name, want)
			}
		}
	}
}

func TestResolve(t *testing.T) {
	const canary = "c4n4ry-7Zq"
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	id, err := account.ParseRef("env:ID")
	if err != nil {
		t.Fatal(err)
	}
	file, err := account.ParseRef("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	a := account.Account{Name: "acme", Credentials: account.Credentials{ClientID: id, ClientSecret: file}}
	env := func(name string) string { return map[string]string{"ID": "me"}[name] }

	for _, text := range []string{canary, "rotated\r\n"} {
		write(text)
		s, err := a.Resolve(env)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimRight(text, "\r\n")
		if s.ClientID.Reveal() != "me" || s.ClientSecret.Reveal() != want {
			t.Errorf("secrets differ from me and %q; a file is read each time, without its line end", want)
		}
		if strings.Contains(fmt.Sprintf("%+v %#v", s, s), want) {
			t.Error("resolved secrets print")
		}
	}

	for _, tt := range []struct{ name, text, want string }{
		{"empty", "\n", "empty"},
		{"huge", strings.Repeat(canary, 1<<13), "too long"},
	} {
		write(tt.text)
		_, err := a.Resolve(func(string) string { return "" })
		if err == nil {
			t.Fatalf("%s: resolved", tt.name)
		}
		for _, want := range []string{"account acme: clientId: environment variable ID", "clientSecret", path, tt.want} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q lacks %q; all that is missing is named at once", tt.name, err, want)
			}
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: error shows the secret", tt.name)
		}
		if err := a.Unset(env); err != nil {
			t.Errorf("%s: Unset = %v, want nil: a file may yet come to be", tt.name, err)
		}
	}
	if err := a.Unset(func(string) string { return "" }); err == nil || err.Error() != "account acme: clientId: environment variable ID is empty or not set" {
		t.Errorf("Unset = %v, want the variable and nothing else", err)
	}
}

func TestRef(t *testing.T) {
	for _, text := range []string{"env:X", "env:A_1", "file:/p", "file:/a b/c:d"} {
		r, err := account.ParseRef(text)
		if err != nil || r.String() != text || r.IsZero() {
			t.Errorf("ParseRef(%q) = %q, %v; want it back", text, r, err)
		}
	}
	for _, text := range []string{"", "env:", "env:1X", "env:A B", "file:", "file:p", "file:./p", "value:x", "hunter2", "ENV:X", " env:X"} {
		_, err := account.ParseRef(text)
		if err == nil {
			t.Errorf("ParseRef(%q) took what is no reference", text)
		} else if len(text) > 5 && strings.Contains(err.Error(), text) {
			t.Errorf("ParseRef(%q): %q repeats what may be a secret", text, err)
		}
	}
}

func TestLiteralPrintsNothing(t *testing.T) {
	const canary = "c4n4ry-7Zq"
	r := account.Literal(secret.Secret(canary))
	hidden := struct{ r account.Ref }{r}
	a := account.Account{Credentials: account.Credentials{ClientSecret: r}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{r, &r, hidden, a} {
			if got := fmt.Sprintf(format, v); strings.Contains(got, canary) {
				t.Errorf("%s of %T shows the literal: %s", format, v, got)
			}
		}
	}
	text, err := json.Marshal(a)
	if err != nil || strings.Contains(string(text), canary) {
		t.Errorf("json shows the literal: %s, %v", text, err)
	}
}

func ExampleParse() {
	_, err := account.Parse([]byte(`
accounts:
  - name: cloud
    api: ecx
    role: seler
    baseUrl: https://api.equinix.com
    credentials: {clientId: env:ID, clientSecret: hunter2}
    landing:
      - metro: SV
        ports: [p1]
        encapsulation: dot1q
        tags: 100-5000
`))
	fmt.Println(err)
	// Output:
	// line 5: accounts[0].role: "seler" is none of buyer, seller, both
	// line 7: accounts[0].credentials.clientSecret: must be env:NAME or file:/absolute/path, never the secret itself
	// line 12: accounts[0].landing[0].tags: tag 5000 is not within 1 and 4094; ecx takes tags within 2 and 4092
}

func ExampleTags() {
	tags, err := account.ParseTags("300,100-102")
	if err != nil {
		fmt.Println(err)
		return
	}
	for tag := range tags.All() {
		fmt.Println(tag)
	}
	fmt.Println(tags, tags.Contains(200))
	// Output:
	// 100
	// 101
	// 102
	// 300
	// 100-102,300 false
}
