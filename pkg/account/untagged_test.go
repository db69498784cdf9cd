package account_test

import (
	"strings"
	"testing"

	"patchbay.io/pkg/account"
)

// packetFabric is a seller there with landing rules.
func packetFabric(rules string) string {
	return "accounts:\n  - name: pf\n    api: packetfabric\n    role: seller\n    baseUrl: https://api.packetfabric.com\n" +
		"    credentials: {apiKey: env:KEY}\n    landing:\n" + rules
}

func TestUntagged(t *testing.T) {
	f, err := account.Parse([]byte(packetFabric(
		"      - {market: CHI, ports: [PF-AP-CHI1-1], encapsulation: dot1q, tags: 100-199}\n" +
			"      - {market: CHI, ports: [PF-AP-CHI1-1], encapsulation: untagged}\n")))
	if err != nil {
		t.Fatal(err)
	}
	if l := f.Accounts[0].Landing[1]; l.Encapsulation != account.Untagged || l.Tags.Len() != 0 {
		t.Errorf("rule = %+v, want untagged, without tags", l)
	}
	for _, tt := range []struct{ name, file, want string }{
		{"with tags", packetFabric("      - {market: CHI, ports: [p1], encapsulation: untagged, tags: 100-199}\n"),
			"tags: is not for ports without tags"},
		{"other place", packetFabric("      - {market: CHI, ports: [p1], encapsulation: untagged}\n      - {market: ATL, ports: [p1], encapsulation: untagged}\n"),
			"has another place"},
		{"at ECX", strings.NewReplacer("dot1q", "untagged", "        tags: 100-199\n", "").Replace(valid), `"untagged" is none of dot1q, qinq`},
	} {
		if _, err := account.Parse([]byte(tt.file)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
