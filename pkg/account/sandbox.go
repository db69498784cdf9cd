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
// that serves baseURL: at each of its APIs one that buys and one that sells.
//
//   - acme-ecx, acme-fabric and acme-packetfabric buy;
//   - cloud-ecx, cloud-fabric and cloud-packetfabric sell. They approve creates, and ask
//     people about deletes and, since no rule matches them, about changes.
//
// Ids and secrets are those of the sandbox's own inventory.
func Sandbox(baseURL string) File {
	base := strings.TrimRight(baseURL, "/")
	var f File
	for _, api := range []API{ECX, Fabric, PacketFabric} {
		f.Accounts = append(f.Accounts,
			sandboxAccount("acme", api, Buyer, base), selling(sandboxAccount("cloud", api, Seller, base)))
	}
	return f
}

func sandboxAccount(tenant string, api API, role Role, base string) Account {
	secretOf := func(what string) Ref { return Literal(secret.Secret(tenant + what)) }
	c := Credentials{ClientID: secretOf("-client"), ClientSecret: secretOf("-secret")}
	if api == PacketFabric {
		c = Credentials{APIKey: secretOf("-api-key")}
	}
	return Account{
		Name:            tenant + "-" + string(api),
		API:             api,
		Role:            role,
		BaseURL:         base,
		Credentials:     c,
		BudgetPerMinute: sandboxBudget,
		Attempt:         sandboxAttempt,
		Quiet:           sandboxQuiet,
	}
}

// selling gives a seller landing rules and a policy.
func selling(a Account) Account {
	a.Landing = equinixLanding()
	if a.API == PacketFabric {
		a.Landing = packetFabricLanding()
	}
	a.Policy = []Rule{
		{Name: "auto", When: `kind == "create"`, Then: Approve, OnExpiry: Wait},
		{Name: "deletes", When: `kind == "delete"`, Then: Ask, OnExpiry: Wait,
			Reason: "a delete ends somebody's circuit; a person consents"},
	}
	return a
}

func sandboxTags() Tags { return Tags{spans: []span{{100, 1999}}} }

// equinixLanding is four ports of each encapsulation in each metro; ids name both in hex.
func equinixLanding() (all []Landing) {
	for _, metro := range []struct{ code, hex string }{{"SV", "05"}, {"DC", "0d"}, {"SE", "5e"}} {
		for _, port := range []struct {
			encapsulation Encapsulation
			hex           string
		}{{Dot1q, "d1"}, {QinQ, "99"}} {
			l := Landing{Metro: metro.code, Encapsulation: port.encapsulation, Tags: sandboxTags()}
			for n := 1; n <= 4; n++ {
				l.Ports = append(l.Ports,
					"c10"+port.hex+metro.hex+"0-0000-4000-8000-00000000000"+strconv.Itoa(n))
			}
			all = append(all, l)
		}
	}
	return all
}

// packetFabricLanding is two ports and two ENNI ports in each market; ids name the market,
// the customer (2), 1 for a port or 9 for an ENNI port, and a number.
func packetFabricLanding() (all []Landing) {
	for _, market := range []string{"NYC", "CHI", "ATL", "LAX"} {
		for _, port := range []struct {
			encapsulation Encapsulation
			digit         string
		}{{Dot1q, "1"}, {QinQ, "9"}} {
			l := Landing{Market: market, Encapsulation: port.encapsulation, Tags: sandboxTags()}
			for n := 1; n <= 2; n++ {
				l.Ports = append(l.Ports, "PF-AP-"+market+"1-2"+port.digit+"0000"+strconv.Itoa(n))
			}
			all = append(all, l)
		}
	}
	return all
}
