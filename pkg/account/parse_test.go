package account_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"patchbay.io/pkg/account"
)

// valid is a file that others are made of, by replacing a line.
const valid = `accounts:
  - name: a
    api: ecx
    role: seller
    baseUrl: https://api.equinix.com
    credentials:
      clientId: env:ID
      clientSecret: env:SECRET
    landing:
      - metro: SV
        ports: [p1, p2]
        encapsulation: dot1q
        tags: 100-199
    policy:
      - name: r
        when: "true"
        then: ask
`

func TestViolations(t *testing.T) {
	tests := []struct {
		name     string
		old, new string // what is replaced in valid; an empty old replaces the whole
		want     []string
	}{
		{"empty", "", "", []string{"line 1: accounts: is missing"}},
		{"comment", "", "# nothing\n", []string{"accounts: is missing"}},
		{"null", "", "~", []string{"line 1: accounts: is missing"}},
		{"scalar", "", "accounts", []string{"line 1: must be a mapping"}},
		{"no list", "", "accounts: 7", []string{"line 1: accounts: must be a list"}},
		{"empty list", "", "accounts: []", []string{"line 1: accounts: must list at least one"}},
		{"list of scalars", "", "accounts: [x]", []string{"line 1: accounts[0]: must be a mapping"}},
		{"null account", "", "accounts: [~]", []string{"accounts[0]: is missing"}},
		{"not YAML", "", "accounts: [", []string{"line 1: not YAML"}},
		{"bad bytes", "", "\xff\xfe\x00", []string{"not YAML"}},
		{"two documents", "", valid + "---\naccounts: []\n", []string{"a second document"}},
		{"second document broken", "", valid + "---\n[", []string{"not YAML"}},
		{"too long", "", strings.Repeat("#", 1<<20+1), []string{"longer than"}},
		{"empty account", "", "accounts: [{}]", []string{"accounts[0].name: is missing",
			"accounts[0].api: is missing", "accounts[0].role: is missing", "accounts[0].baseUrl: is missing",
			"accounts[0].credentials: is missing"}},
		{"top key", "accounts:", "acounts:", []string{`line 1: unknown key "acounts"; known are accounts`}},
		{"unknown key", "    role:", "    rôle: x\n    role:", []string{`line 4: accounts[0]: unknown key "rôle"`}},
		{"merge key", "    role:", "    <<: {}\n    role:", []string{`unknown key "<<"`}},
		{"odd key", "    role:", "    [x]: 1\n    role:", []string{"line 4: accounts[0]: has an unknown key"}},
		{"key twice", "    role:", "    name: b\n    role:", []string{"line 4: accounts[0].name: is there twice, first on line 2"}},
		{"name", "name: a", "name: a b", []string{`line 2: accounts[0].name: "a b" is not`}},
		{"name is a list", "name: a", "name: [a]", []string{"accounts[0].name: must be a single value"}},
		{"YAML tag", "name: a", "name: !x a", []string{"accounts[0].name: must have no YAML tag"}},
		{"api", "api: ecx", "api: ECX", []string{`"ECX" is none of ecx, fabric, packetfabric`}},
		{"role", "role: seller", "role: ''", []string{`"" is none of buyer, seller, both`}},
		{"buyer with rules", "role: seller", "role: buyer", []string{
			"line 10: accounts[0].landing: is for sellers", "line 15: accounts[0].policy: is for sellers"}},
		{"url", "https://api.equinix.com", "api.equinix.com", []string{"line 5: accounts[0].baseUrl: must be a URL"}},
		{"url without host", "https://api.equinix.com", "https://:80", []string{"must be a URL"}},
		{"url scheme", "https://", "ftp://", []string{"must be a URL"}},
		{"url with password", "https://", "https://u:hunter2@", []string{"must have no user"}},
		{"url with query", "equinix.com", "equinix.com?token=hunter2", []string{"must have no user"}},
		{"credentials scalar", "    credentials:\n      clientId: env:ID\n      clientSecret: env:SECRET\n",
			"    credentials: hunter2\n", []string{"line 6: accounts[0].credentials: must be a mapping"}},
		{"secret in place", "env:SECRET", "hunter2", []string{"line 8: accounts[0].credentials.clientSecret: must be env:NAME"}},
		{"secret as anchor", "env:SECRET", "*hunter2", []string{"begins with * refers"}},
		{"secret as tag", "env:SECRET", "!hunter2", []string{"credentials.clientSecret: "}},
		{"secret as key", "clientSecret: env:SECRET", "hunter2: ", []string{
			"line 8: accounts[0].credentials: has an unknown key here", "clientSecret: is missing"}},
		{"key misspelt", "clientSecret:", "client_secret:", []string{
			`line 8: accounts[0].credentials: unknown key "client_secret"; known are clientId, clientSecret; did you mean clientSecret?`, "clientSecret: is missing"}},
		{"a tab", "    role:", "\trole:", []string{"not YAML: found a tab character that violates indentation"}},
		{"secret as list", "env:SECRET", "[hunter2]", []string{"must be a single value"}},
		{"other API's credentials", "api: ecx", "api: packetfabric", []string{`line 7: accounts[0].credentials: unknown key "clientId"; known are login`,
			`line 8: accounts[0].credentials: unknown key "clientSecret"`, "must have apiKey, or login and password", "accounts[0].landing[0].metro: is not for api packetfabric; write market",
			"accounts[0].landing[0].market: is missing"}},
		{"budget zero", "    role:", "    budgetPerMinute: 0\n    role:", []string{`budgetPerMinute: "0" is no number within`}},
		{"budget text", "    role:", "    budgetPerMinute: 1e3\n    role:", []string{`"1e3" is no number within`}},
		{"attempt", "    role:", "    attempt: 60\n    role:", []string{`attempt: "60" is no duration such as`}},
		{"attempt long", "    role:", "    attempt: 11m\n    role:", []string{"attempt: 11m0s is not within 1s and 10m0s"}},
		{"quiet negative", "    role:", "    quiet: -1s\n    role:", []string{"quiet: -1s is not within"}},
		{"metro", "metro: SV", "metro: sv", []string{`metro: "sv" is not a metro code`}},
		{"no metro", "metro: SV", "metro:", []string{"landing[0].metro: is missing"}},
		{"market at Equinix", "metro: SV", "market: CHI", []string{"market: is not for api ecx", "metro: is missing"}},
		{"no ports", "[p1, p2]", "[]", []string{"ports: must list at least one port"}},
		{"ports scalar", "[p1, p2]", "p1", []string{"ports: must be a list", "must list at least one port"}},
		{"port", "[p1, p2]", "[p1, p_2]", []string{`ports[1]: "p_2" is not a port id`}},
		{"port twice", "[p1, p2]", "[p1, p1]", []string{`ports[1]: "p1" is there already, on line 11`}},
		{"port in two metros", "    policy:", "      - {metro: DC, ports: [p1], encapsulation: dot1q, tags: 5}\n    policy:",
			[]string{"line 14: accounts[0].landing[1].ports[0]: port p1 has another place"}},
		{"encapsulation", "dot1q", "Dot1q", []string{`"Dot1q" is none of dot1q, qinq`}},
		{"tags low", "100-199", "1-199", []string{"tags: ecx takes tags within 2 and 4092 only"}},
		{"tags high", "100-199", "100-4093", []string{"tags: ecx takes tags within 2 and 4092 only"}},
		{"tags text", "100-199", "all", []string{`tags: "all" is not a tag`}},
		{"tags absent", "tags: 100-199", "tags:", []string{"tags: is missing"}},
		{"rule name twice", "        then: ask\n", "        then: ask\n      - {name: r, when: x, then: ask}\n",
			[]string{`line 18: accounts[0].policy[1].name: "r" is there already, on line 15`}},
		{"no when", `when: "true"`, "when:", []string{"policy[0].when: is missing"}},
		{"blank when", `when: "true"`, "when: ' '", []string{"policy[0].when: is blank"}},
		{"long when", `"true"`, strings.Repeat("x", 5000), []string{"policy[0].when: is longer than"}},
		{"then", "then: ask", "then: wait", []string{`"wait" is none of approve, reject, ask`}},
		{"reject without reason", "then: ask", "then: reject", []string{"policy[0].reason: is missing; the buyer"}},
		{"approve with deadline", "then: ask", "then: approve\n        deadline: 1h\n        remind: 1m\n        onExpiry: wait",
			[]string{"deadline: is for rules that ask", "remind: is for rules", "onExpiry: is for rules"}},
		{"expiry without deadline", "then: ask", "then: ask\n        onExpiry: approve", []string{"onExpiry: never happens"}},
		{"expiry word", "then: ask", "then: ask\n        deadline: 1h\n        onExpiry: ask", []string{"is none of approve, reject, wait"}},
		{"late reminder", "then: ask", "then: ask\n        deadline: 1h\n        remind: 1h", []string{"remind: must be shorter"}},
		{"same name", "", valid + strings.TrimPrefix(valid, "accounts:\n"), []string{
			`line 18: accounts[1].name: "a" is there already, on line 2`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.new
			if tt.old != "" {
				text = strings.Replace(valid, tt.old, tt.new, 1)
				if text == valid {
					t.Fatalf("%q is not in the valid file", tt.old)
				}
			}
			_, err := account.Parse([]byte(text))
			var vs account.Violations
			if !errors.As(err, &vs) {
				t.Fatalf("Parse: %v, want violations", err)
			}
			for _, want := range tt.want {
				if !slices.ContainsFunc(vs, func(v account.Violation) bool { return strings.Contains(v.String(), want) }) {
					t.Errorf("no violation with %q among\n%v", want, err)
				}
			}
			if len(vs) != len(tt.want) {
				t.Errorf("%d violations, want %d:\n%v", len(vs), len(tt.want), err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the violations show a secret:\n%v", err)
			}
		})
	}
}

func TestPacketFabricCredentials(t *testing.T) {
	tests := []struct{ credentials, want string }{
		{"{apiKey: env:K}", ""},
		{"{login: env:L, password: env:P}", ""},
		{"{login: env:L}", "credentials.password: is missing"},
		{"{password: env:P}", "credentials.login: is missing"},
		{"{}", "must have apiKey, or login and password"},
		{"{apiKey: env:K, login: env:L}", "not both"},
	}
	for _, tt := range tests {
		_, err := account.Parse([]byte("accounts: [{name: p, api: packetfabric, role: buyer, " +
			"baseUrl: 'https://api.packetfabric.com', credentials: " + tt.credentials + "}]"))
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v, want none", tt.credentials, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.credentials, err, tt.want)
		}
	}
}

// Each level of aliases multiplies what there is to read; the file stays short.
func TestAliasesAreBounded(t *testing.T) {
	text := "accounts:\n  - landing: &l\n    - ports: &p [" + strings.Repeat("p,", 1000) + "]\n" +
		strings.Repeat("    - ports: *p\n", 1000) + strings.Repeat("  - landing: *l\n", 1000)
	_, err := account.Parse([]byte(text))
	if err == nil || !strings.Contains(err.Error(), "more than 100000 values") {
		t.Errorf("a billion values by aliases were read: %.200v", err)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.yaml")
	if _, err := account.Load(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("Load of no file: %v, want that it does not exist, and its name", err)
	}
	if err := os.WriteFile(path, []byte("accounts: {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := account.Load(path)
	var vs account.Violations
	if !errors.As(err, &vs) || !strings.Contains(err.Error(), path) {
		t.Errorf("Load: %v, want violations and the file's name", err)
	}
}

func TestTags(t *testing.T) {
	tests := []struct {
		text, want string // an empty want is an error
		length     int
	}{
		{"5", "5", 1},
		{"1-4094", "1-4094", 4094},
		{"3-3", "3", 1},
		{" 300 , 100 - 199 ", "100-199,300", 101},
		{"3-4,1-2,5", "1-5", 5},
		{"1-2,4-5", "1-2,4-5", 4},
		{text: ""}, {text: ","}, {text: "1,"}, {text: "-1"}, {text: "1-"}, {text: "0"}, {text: "4095"},
		{text: "9-3"}, {text: "1-5,5"}, {text: "1-9,3-4"}, {text: "7,7"}, {text: "1-2-3"}, {text: "+1"},
		{text: "0x10"}, {text: "1e1"}, {text: "99999999999999999999"},
	}
	for _, tt := range tests {
		tags, err := account.ParseTags(tt.text)
		if tt.want == "" {
			if err == nil {
				t.Errorf("ParseTags(%q) = %s, want an error", tt.text, tags)
			}
			continue
		}
		if err != nil || tags.String() != tt.want || tags.Len() != tt.length {
			t.Errorf("ParseTags(%q) = %q of %d, %v; want %q of %d", tt.text, tags, tags.Len(), err, tt.want, tt.length)
		}
		checkTags(t, tags)
	}
	var none account.Tags
	if none.Len() != 0 || none.Contains(0) || none.String() != "" {
		t.Error("the zero Tags is not empty")
	}
}

// checkTags checks that the ways to look at tags agree.
func checkTags(t *testing.T, tags account.Tags) {
	t.Helper()
	again, err := account.ParseTags(tags.String())
	if err != nil || again.String() != tags.String() {
		t.Errorf("%q reads back as %q, %v", tags, again, err)
	}
	all := slices.Collect(tags.All())
	if len(all) != tags.Len() || !slices.IsSorted(all) {
		t.Errorf("%q yields %d tags, sorted %t; want %d in order", tags, len(all), slices.IsSorted(all), tags.Len())
	}
	for tag := range 4097 {
		if _, found := slices.BinarySearch(all, tag); found != tags.Contains(tag) {
			t.Fatalf("%q contains %d: %t, but All says %t", tags, tag, tags.Contains(tag), found)
		}
	}
	for range tags.All() {
		break // must not panic
	}
}

func FuzzParse(f *testing.F) {
	all, err := os.ReadFile(filepath.Join("testdata", "all.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(all), valid, "", "~", "accounts: [{}]", "a: &a [*a]", "accounts: &a [*a]",
		"accounts:\n- landing: &x {}\n  policy: *x", "? [a]\n: b", "%YAML 1.1\n---\n", "accounts: !!binary eA=="} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := account.Parse(data)
		if err != nil {
			var vs account.Violations
			if !errors.As(err, &vs) || len(vs) == 0 || len(file.Accounts) != 0 {
				t.Fatalf("Parse = %v, %v; want violations and nothing else", file, err)
			}
			return
		}
		for _, a := range file.Accounts {
			if a.Name == "" || a.BaseURL == "" || a.BudgetPerMinute < 1 || a.Attempt <= 0 || a.Quiet <= 0 {
				t.Fatalf("accepted without a needed value: %+v", a)
			}
			if !a.Role.Buys() && !a.Role.Sells() {
				t.Fatalf("accepted role %q", a.Role)
			}
			for _, l := range a.Landing {
				if l.Place() == "" || len(l.Ports) == 0 || l.Tags.Len() == 0 {
					t.Fatalf("accepted landing %+v", l)
				}
			}
			for _, r := range a.Policy {
				if r.Name == "" || r.When == "" || r.Then == "" || r.OnExpiry == "" {
					t.Fatalf("accepted rule %+v", r)
				}
			}
		}
	})
}
