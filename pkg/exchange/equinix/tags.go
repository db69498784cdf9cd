package equinix

import (
	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
)

// TagRule is what the number of a tag has to be. ECX's guide allows 4093 and 4094 too, Fabric's
// schema does not, and the circuits are the same.
const TagRule = "a number from 2 to 4092"

// NoTag says what to do about a number that breaks [TagRule]; empty if it does not.
func NoTag(n int32) (hint string) {
	switch {
	case n >= 2 && n <= 4092:
		return ""
	case n == 4093 || n == 4094:
		return "the exchange's documents disagree about 4093 and 4094, so neither is used; choose another tag"
	default:
		return "choose another tag"
	}
}

// TagHint says what tag to give on a port, nil if it is not known.
func TagHint(p *exchange.Port) string {
	switch {
	case p == nil:
		return `give {"vlan": n} on a Dot1q port, {"sTag": n} on a QinQ port`
	case p.Encapsulation == string(account.QinQ):
		return `give {"sTag": n}, and "cTag" where the Z side is Dot1q`
	}
	return `give {"vlan": n}`
}
