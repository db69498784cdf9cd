package statuswatcher

import (
	"slices"
	"sync"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// parties knows which accounts of ours are on a circuit: a buyer by the port of the A
// side, a seller by the profile of the Z side. Where two accounts have the same port, the
// first of the file counts.
type parties struct {
	file account.File

	mu sync.Mutex
	of map[string]exchange.Parties
}

func newParties(f account.File) *parties {
	return &parties{file: f, of: map[string]exchange.Parties{}}
}

func (p *parties) learn(account string, of exchange.Parties) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[account] = of
}

// on returns the accounts that a circuit's port and profile give away; lister is the
// account that was shown the circuit, and role in which one, if that is certain.
func (p *parties) on(c *patchbayv1.Connection, lister, role string) (buyer, seller string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range slices.Backward(p.file.Accounts) {
		of := p.of[a.Name]
		if a.Role.Buys() && slices.Contains(of.Ports, c.GetASide().GetPortId()) {
			buyer = a.Name
		}
		if a.Role.Sells() && slices.Contains(of.Profiles, c.GetZSide().GetProfileId()) {
			seller = a.Name
		}
	}
	if buyer == "" && role == exchange.Buyer {
		buyer = lister
	}
	if seller == "" && role == exchange.Seller {
		seller = lister
	}
	return buyer, seller
}

// sellerAt is the first account of the file at an API that sells a circuit's profile; empty
// if there is none. Where two APIs show one circuit, both sides are then seen and answered
// through the one that it was ordered by.
func (p *parties) sellerAt(c *patchbayv1.Connection, api account.API) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.file.Sellers() {
		if a.API == api && slices.Contains(p.of[a.Name].Profiles, c.GetZSide().GetProfileId()) {
			return a.Name
		}
	}
	return ""
}

// observer is the one account that observes a circuit: the buyer's if it is ours, else the
// seller's. An account that has left the file observes nothing.
func (p *parties) observer(buyer, seller string) string {
	if _, ok := p.file.ByName(buyer); ok {
		return buyer
	}
	if _, ok := p.file.ByName(seller); ok {
		return seller
	}
	return ""
}

// rolesOf lists the roles in which an account has circuits.
func rolesOf(a account.Account) []string {
	var roles []string
	if a.Role.Buys() {
		roles = append(roles, exchange.Buyer)
	}
	if a.Role.Sells() {
		roles = append(roles, exchange.Seller)
	}
	return roles
}

// soleRole is the role in which an account has circuits, if there is one only.
func soleRole(a account.Account) string {
	if roles := rolesOf(a); len(roles) == 1 {
		return roles[0]
	}
	return ""
}
