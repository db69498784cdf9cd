package ecx

import (
	"patchbay.io/pkg/exchange/wire"
)

const (
	// v3 is where the API's paths begin.
	v3 = "/ecx/v3"
	// connections is where circuits are.
	connections = "/l2/connections"
)

// v3Call returns a call to a path of the API; each id fills the next {id} of name.
func v3Call(method, name string, ids ...string) wire.Call {
	return wire.NewCall(method, v3, name, ids...)
}
