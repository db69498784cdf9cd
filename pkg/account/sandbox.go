package account

import (
	"strconv"
	"strings"
	"time"

	"patchbay.io/pkg/secret"
)

// How the accounts of the sandbox differ from the defaults. It answers at once or, told
// to misbehave, never; and nobody who watches a demonstration wants to wait for minutes.
const (
	sandboxBudget  = 1200
	sandboxAttempt = 10 * time.Second
	sandboxQuiet   = 20 * time.Second
)

// Sandbox returns the accounts of a deployment without a file, at the sandbox exchange
// that serves baseURL:
//
//   - acme-ecx buys;
//   - cloud-ecx sells. It approves creates, and asks people about deletes and, since no
//     rule matches them, about changes.
//
// Ids and secrets are those of the sandbox's own inventory.
func Sandbox(baseURL string) File {
	base := strings.TrimRight(baseURL, "/")
	return File{Accounts: []Account{
		sandboxAccount("acme-ecx", Buyer, base, "acme"),
		cloud(sandboxAccount("cloud-ecx", Seller, base, "cloud")),
	}}
}

func sandboxAccount(name string, role Role, base, tenant string) Account {
	return Account{
		Name:    name,
		API:     ECX,
		Role:    role,
		BaseURL: base,
		Credentials: Credentials{
			ClientID:     Literal(secret.Secret(tenant + "-client")),
			ClientSecret: Literal(secret.Secret(tenant + "-secret")),
		},
		BudgetPerMinute: sandboxBudget,
		Attempt:         sandboxAttempt,
		Quiet:           sandboxQuiet,
	}
}

// cloud makes a the seller.
func cloud(a Account) Account {
	// Four ports of each encapsulation in each metro; ids name both in hex.
	for _, metro := range []struct{ code, hex string }{{"SV", "05"}, {"DC", "0d"}, {"SE", "5e"}} {
		for _, port := range []struct {
			encapsulation Encapsulation
			hex           string
		}{{Dot1q, "d1"}, {QinQ, "99"}} {
			l := Landing{
				Metro:         metro.code,
				Encapsulation: port.encapsulation,
				Tags:          Tags{spans: []span{{100, 1999}}},
			}
			for n := 1; n <= 4; n++ {
				l.Ports = append(l.Ports,
					"c10"+port.hex+metro.hex+"0-0000-4000-8000-00000000000"+strconv.Itoa(n))
			}
			a.Landing = append(a.Landing, l)
		}
	}
	a.Policy = []Rule{
		{Name: "auto", When: `kind == "create"`, Then: Approve, OnExpiry: Wait},
		{Name: "deletes", When: `kind == "delete"`, Then: Ask, OnExpiry: Wait,
			Reason: "a delete ends somebody's circuit; a person consents"},
	}
	return a
}
