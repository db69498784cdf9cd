package policy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/policy"
)

// request is what most cases ask about.
func request() policy.Request {
	return policy.Request{
		Kind:          "create",
		Buyer:         "Acme",
		Name:          "JohnDoe_Dot1Q",
		BandwidthMbps: 500,
		CurrentMbps:   200,
		Metro:         "SV",
		Region:        "us-sv",
		Profile:       "7a73af1a",
		ProfileName:   "Cloud Services",
		Account:       "cloud-ecx",
		API:           "ecx",
		Exchange:      "equinix",
		RoutingID:     "TR-1RI-OQ85",
		BuyerMetro:    "DC",
		BuyerPort:     "port-1",
		BuyerTag:      870,
		BuyerAccount:  "acme-ecx",
		Peering:       "PRIVATE",
		Redundancy:    "secondary",
		Token:         true,
		PurchaseOrder: "po-1",
	}
}

func TestMarketIsTheMetroOfPacketFabric(t *testing.T) {
	r := request()
	r.Exchange, r.Metro = "packetfabric", "ATL"
	if d := compile(t, approve("r", `market == "ATL" && metro == "ATL"`)).Decide(r); d.Then != account.Approve {
		t.Errorf("%+v, want the market under both names", d)
	}
}

func approve(name, when string) account.Rule {
	return account.Rule{Name: name, When: when, Then: account.Approve}
}

func compile(t *testing.T, rules ...account.Rule) policy.Policy {
	t.Helper()
	p, err := policy.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryVariable(t *testing.T) {
	for _, when := range []string{
		`kind == "create"`, `buyer == "Acme"`, `name.startsWith("JohnDoe")`, `bandwidthMbps == 500`,
		`metro == "SV"`, `region == "us-sv"`, `profile == "7a73af1a"`, `profileName.contains("Cloud")`,
		`account == "cloud-ecx"`, `true`, `api == "ecx"`, `exchange == "equinix"`, `market == ""`, `buyerMetro == "DC"`,
		`currentMbps < bandwidthMbps`, `routingId == "TR-1RI-OQ85"`, `buyerPort == "port-1"`, `buyerTag in [870, 871]`,
		`buyerAccount == "acme-ecx"`,
		`peering == "PRIVATE"`, `redundancy == "secondary"`, `token`, `purchaseOrder.startsWith("po")`, `metro in ["DC", "SV"] && !name.matches("(?i)test")`,
		`["Acme", "Globex"].exists(b, buyer == b)`, `bandwidthMbps <= 1000 || 1/0 == 1`,
	} {
		p := compile(t, approve("r", when))
		if d := p.Decide(request()); d.Then != account.Approve || d.Rule != "r" {
			t.Errorf("%s: %+v, want approval by r", when, d)
		}
		if d := compile(t, approve("r", "!("+when+")")).Decide(request()); d.Then != account.Ask || d.Rule != "" {
			t.Errorf("not %s: %+v, want ask, by no rule", when, d)
		}
	}
}

func TestFirstMatchWins(t *testing.T) {
	ask := account.Rule{Name: "big", When: "bandwidthMbps > 1000", Then: account.Ask, Reason: "big",
		Deadline: 72 * time.Hour, Remind: time.Hour, OnExpiry: account.Reject}
	p := compile(t,
		account.Rule{Name: "banned", When: `buyer == "Shady"`, Then: account.Reject, Reason: "no"},
		ask,
		approve("rest", "true"))
	tests := []struct {
		name string
		set  func(*policy.Request)
		want policy.Decision
	}{
		{"first", func(r *policy.Request) { r.Buyer, r.BandwidthMbps = "Shady", 5000 },
			policy.Decision{Rule: "banned", Then: account.Reject, Reason: "no", OnExpiry: account.Wait}},
		{"second, whole", func(r *policy.Request) { r.BandwidthMbps = 5000 },
			policy.Decision{Rule: "big", Then: account.Ask, Reason: "big", Deadline: ask.Deadline,
				Remind: ask.Remind, OnExpiry: account.Reject}},
		{"last", func(*policy.Request) {},
			policy.Decision{Rule: "rest", Then: account.Approve, OnExpiry: account.Wait}},
	}
	for _, tt := range tests {
		r := request()
		tt.set(&r)
		for range 2 { // a decision depends on the request alone
			if got := p.Decide(r); got != tt.want {
				t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
			}
		}
	}
}

func TestNoRules(t *testing.T) {
	want := policy.Decision{Then: account.Ask, Reason: "no rule matches", OnExpiry: account.Wait}
	for name, p := range map[string]policy.Policy{"zero": {}, "compiled": compile(t)} {
		if got := p.Decide(request()); got != want {
			t.Errorf("%s policy: %+v, want %+v", name, got, want)
		}
	}
}

// What cannot be evaluated asks, whatever stands before or after it.
func TestAnErrorNeverApproves(t *testing.T) {
	nested := "[0,1,2,3,4,5,6,7,8,9]"
	costly := "true"
	for i := range 6 {
		costly = fmt.Sprintf("%s.all(x%d, %s)", nested, i, costly)
	}
	for name, when := range map[string]string{
		"division":   `1000 / (bandwidthMbps - 500) > 1`,
		"index":      `["SV"][bandwidthMbps] == metro`,
		"conversion": `int(buyer) > 1`,
		"overflow":   `bandwidthMbps * 9223372036854775807 > 0`,
		"regexp":     `buyer.matches(name + "(")`,
		"cost":       costly,
	} {
		bad := account.Rule{Name: "bad", When: when, Then: account.Approve,
			Deadline: time.Hour, OnExpiry: account.Approve}
		d := compile(t, bad, approve("rest", "true")).Decide(request())
		if d.Then != account.Ask || d.OnExpiry != account.Wait || d.Deadline != 0 || d.Rule != "bad" {
			t.Errorf("%s: %+v, want ask and wait, without end, by the rule that failed", name, d)
		}
		if !strings.Contains(d.Reason, "rule bad could not be evaluated: ") {
			t.Errorf("%s: reason %q does not say what happened", name, d.Reason)
		}
		d = compile(t, approve("before", "true"), bad).Decide(request())
		if d.Then != account.Approve {
			t.Errorf("%s: %+v; a rule that was not reached must not matter", name, d)
		}
	}
}

func TestCompileReportsEverything(t *testing.T) {
	rules := []account.Rule{
		{Name: "a", When: `mbps > 5 && metr == "SV"`, Line: 7},
		approve("b", `true`),
		{Name: "c", When: `bandwidthMbps`, Line: 9},
		{Name: "d", When: `kind = "create"`, Line: 11},
		{Name: "e", When: ``, Line: 12},
		{Name: "f", When: `bandwidthMbps > "5"`, Line: 13},
		{Name: "g", When: `dyn(true)`, Line: 14},
		{Name: "h", When: strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), Line: 15},
		{Name: "i", When: `kind == "create" && now() > 1`, Line: 16},
		{Name: "j", When: `buyer.matches("(")`, Line: 17},
		{Name: "k", When: `kind ==`, Line: 18},
	}
	_, err := policy.Compile(rules)
	var vs account.Violations
	if !errors.As(err, &vs) {
		t.Fatalf("Compile: %v, want violations", err)
	}
	for _, want := range []string{
		"line 7: policy[0].when: at 1:1: undeclared reference to 'mbps'",
		"line 7: policy[0].when: at 1:13: undeclared reference to 'metr'",
		"line 9: policy[2].when: must be true or false, not of type int",
		"line 11: policy[3].when: at 1:6",
		"line 12: policy[4].when: ",
		"line 13: policy[5].when: at 1:15: found no matching overload",
		"line 14: policy[6].when: must be true or false, not of type dyn",
		"line 15: policy[7].when: ",
		"line 16: policy[8].when: ",
		"line 17: policy[9].when: ",
		"line 18: policy[10].when: at 1:8: Syntax error: mismatched input '<EOF>'",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q among\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "expecting {") {
		t.Errorf("tokens of the grammar are shown:\n%v", err)
	}
	if strings.Contains(err.Error(), "policy[1]") {
		t.Errorf("a good rule is reported:\n%v", err)
	}
}

func TestCheck(t *testing.T) {
	f := account.File{Accounts: []account.Account{
		{Name: "buyer"},
		{Name: "seller", Policy: []account.Rule{{Name: "a", When: "x", Line: 5}}},
		{Name: "other", Policy: []account.Rule{approve("a", "true"), {Name: "b", When: "y"}}},
	}}
	err := policy.Check(f)
	for _, want := range []string{"line 5: accounts[1].policy[0].when: ", "accounts[2].policy[1].when: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check: %v, want %q", err, want)
		}
	}
	if err := policy.Check(account.Sandbox("http://127.0.0.1:8090")); err != nil {
		t.Errorf("the sandbox's accounts: %v", err)
	}
}

func TestSandboxPolicy(t *testing.T) {
	cloud, _ := account.Sandbox("http://127.0.0.1:8090").ByName("cloud-ecx")
	p := compile(t, cloud.Policy...)
	for kind, want := range map[string]struct {
		rule string
		then account.Verb
	}{
		"create": {"auto", account.Approve},
		"delete": {"deletes", account.Ask},
		"change": {"", account.Ask},
	} {
		r := request()
		r.Kind = kind
		if d := p.Decide(r); d.Rule != want.rule || d.Then != want.then || d.Deadline != 0 {
			t.Errorf("%s: %+v, want %s by %q", kind, d, want.then, want.rule)
		}
	}
}

// The documentation's sample and examples must compile, and its table must have the
// variables that there are.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "accounts.md"))
	if err != nil {
		t.Fatal(err)
	}
	sample := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(doc)
	if sample == nil {
		t.Fatal("docs/accounts.md has no sample")
	}
	f, err := account.Parse(sample[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.Check(f); err != nil {
		t.Errorf("the sample's rules:\n%v", err)
	}
	_, text, _ := strings.Cut(string(doc), "### What a rule can see")
	text, _, _ = strings.Cut(text, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (string|int|bool) \\|").FindAllStringSubmatch(text, -1)
	if want := reflect.TypeFor[policy.Request]().NumField() + 1; len(rows) != want { // the market is a metro
		t.Errorf("the table of variables has %d rows, want %d", len(rows), want)
	}
	for _, row := range rows {
		compile(t, approve("r", row[2]+"("+row[1]+") == "+row[1])) // also of that type
	}
	examples := regexp.MustCompile(`(?m)^    (.+)$`).FindAllStringSubmatch(text, -1)
	if len(examples) != 3 {
		t.Errorf("%d examples found, want 3", len(examples))
	}
	for _, m := range examples {
		compile(t, approve("r", m[1]))
	}
}

func TestManyAtOnceInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := compile(t, approve("r", `buyer.matches("^A") && ["SV"].exists(m, m == metro)`))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					if d := p.Decide(request()); d.Then != account.Approve {
						t.Errorf("%+v, want approval", d)
					}
				}
			})
		}
		wg.Wait()
	})
}

func ExamplePolicy_Decide() {
	p, err := policy.Compile([]account.Rule{
		{Name: "small", When: `kind == "create" && bandwidthMbps <= 1000`, Then: account.Approve},
		{Name: "deletes", When: `kind == "delete"`, Then: account.Ask, Deadline: 72 * time.Hour},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range []policy.Request{
		{Kind: "create", BandwidthMbps: 50},
		{Kind: "delete"},
		{Kind: "create", BandwidthMbps: 5000},
	} {
		d := p.Decide(r)
		fmt.Printf("%s %q %s %s\n", d.Then, d.Rule, d.Deadline, d.OnExpiry)
	}
	// Output:
	// approve "small" 0s wait
	// ask "deletes" 72h0m0s wait
	// ask "" 0s wait
}

// FuzzRule compiles any text. What compiles decides the same each time, and never both a
// condition and its opposite.
func FuzzRule(f *testing.F) {
	for _, when := range []string{
		`kind == "create" && bandwidthMbps <= 1000`, `name.matches("(?i)^a+$")`, `[1,2].all(x, x in [bandwidthMbps])`, `1/0 == 1 || true`,
		`duration("1h") > timestamp("x")`, `has(buyer.x)`, `"a" + 1`, `dyn(1) == dyn("1")`, `size(name * 3) > 2`, `true // yes`, `{"a": [b"x", null]}.a[0] == b"y"`,
	} {
		f.Add(when, 500, "Acme")
	}
	f.Fuzz(func(t *testing.T, when string, mbps int, buyer string) {
		p, err := policy.Compile([]account.Rule{approve("r", when)})
		if err != nil {
			var wrong account.Violations
			if !errors.As(err, &wrong) || len(wrong) == 0 || wrong[0].Path != "policy[0].when" {
				t.Fatalf("%q: %v, want violations of policy[0].when", when, err)
			}
			return
		}
		r := request()
		r.BandwidthMbps, r.Buyer = mbps, buyer
		d := p.Decide(r)
		if again := p.Decide(r); again != d {
			t.Errorf("%q decides %+v, then %+v", when, d, again)
		}
		not, err := policy.Compile([]account.Rule{approve("r", "!("+when+"\n)")})
		if err != nil {
			return // too deep now, or a text that is no expression by itself
		}
		opposite := not.Decide(r)
		failed := d.Then == account.Ask && d.Rule == "r" || opposite.Then == account.Ask && opposite.Rule == "r"
		if !failed && (d.Then == account.Approve) == (opposite.Then == account.Approve) {
			t.Errorf("%q decides %+v, and its opposite %+v", when, d, opposite)
		}
	})
}
