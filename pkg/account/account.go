// Package account reads the accounts file: which accounts a deployment has at which
// exchange, in which role, where the secrets are, on which ports and tags a seller puts
// requests, and by which rules it answers them. docs/accounts.md explains every key.
//
// The file is strict. Unknown keys, keys written twice and values out of range are
// violations, and [Parse] reports all of them at once, each with its line and its path.
//
// The file holds no secrets, only references: an environment variable or a file. They
// are read when they are needed, by [Account.Resolve], so a rotated secret is picked up
// without a restart. No error shows a secret, nor anything else that somebody wrote
// below "credentials", since that may be a secret in the wrong place.
//
// The package does no I/O but in [Load] and Resolve, and keeps nothing. That the rules of
// a policy are valid CEL is checked by package policy.
package account

import (
	"slices"
	"time"
)

// What a key means that is left out.
const (
	DefaultBudget  = 120             // calls a minute
	DefaultAttempt = time.Minute     // an attempt at something that may create
	DefaultQuiet   = 2 * time.Minute // before the next attempt
)

// API is a protocol that an exchange speaks.
type API string

// The APIs. ECX and Fabric show the same circuits.
const (
	ECX          API = "ecx"
	Fabric       API = "fabric"
	PacketFabric API = "packetfabric"
)

// Role says what an account does.
type Role string

// The roles.
const (
	Buyer  Role = "buyer"
	Seller Role = "seller"
	Both   Role = "both"
)

// Verb is what a rule does with a request.
type Verb string

// The verbs. Wait is one for expiry only, Ask one for rules only.
const (
	Approve Verb = "approve"
	Reject  Verb = "reject"
	Ask     Verb = "ask"
	Wait    Verb = "wait"
)

// Encapsulation is how a port tells circuits apart.
type Encapsulation string

// The encapsulations: one tag, an outer and an inner one, or none.
const (
	Dot1q    Encapsulation = "dot1q"
	QinQ     Encapsulation = "qinq"
	Untagged Encapsulation = "untagged"
)

// File is what an accounts file says, defaults filled in.
type File struct {
	Accounts []Account
}

// Account is the access to one API in a role.
type Account struct {
	Name            string // unique in the file
	API             API
	Role            Role
	BaseURL         string // without a slash at the end
	Credentials     Credentials
	BudgetPerMinute int           // calls a minute, all instances together
	Attempt         time.Duration // after which an attempt without answer is uncertain
	Quiet           time.Duration // after that, before something is tried again
	Landing         []Landing     // sellers only; the first that fits and has a tag left
	Policy          []Rule        // sellers only; the first match wins
}

// Landing says where a seller puts requests.
type Landing struct {
	Metro         string   // of the Equinix APIs; of Metro and Market one is empty
	Market        string   // of PacketFabric
	Ports         []string // the exchange's ids, tried in this order
	Encapsulation Encapsulation
	Tags          Tags // outer tags that may be given away; empty if Untagged
}

// Rule answers the requests it matches.
type Rule struct {
	Name     string // unique in the policy
	When     string // CEL; see package policy for the variables
	Then     Verb   // Approve, Reject or Ask
	Reason   string
	Deadline time.Duration // Ask: how long people have; 0 is for ever
	Remind   time.Duration // Ask: how long between reminders; 0 is never
	OnExpiry Verb          // Ask: Approve, Reject or Wait at the deadline
	Line     int           // of When in the file; 0 if it comes from no file
}

// ByName returns the account of that name.
func (f File) ByName(name string) (Account, bool) {
	i := slices.IndexFunc(f.Accounts, func(a Account) bool { return a.Name == name })
	if i < 0 {
		return Account{}, false
	}
	return f.Accounts[i], true
}

// Buyers returns the accounts that order, in the order of the file.
func (f File) Buyers() []Account { return f.with(Role.Buys) }

// Sellers returns the accounts that answer requests, in the order of the file.
func (f File) Sellers() []Account { return f.with(Role.Sells) }

func (f File) with(can func(Role) bool) []Account {
	var found []Account
	for _, a := range f.Accounts {
		if can(a.Role) {
			found = append(found, a)
		}
	}
	return found
}

// Buys tells whether an account in this role orders.
func (r Role) Buys() bool { return r == Buyer || r == Both }

// Sells tells whether an account in this role answers requests.
func (r Role) Sells() bool { return r == Seller || r == Both }

// Place returns the metro or market, whichever the landing has.
func (l Landing) Place() string {
	if l.Metro != "" {
		return l.Metro
	}
	return l.Market
}

// tagLimits are the lowest and highest tag that an API takes. Equinix' documents
// disagree about 4093 and 4094; both are refused, which is always safe.
func (a API) tagLimits() (low, high int) {
	if a == PacketFabric {
		return 4, 4094
	}
	return 2, 4092
}
