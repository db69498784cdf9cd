package packetfabric

import (
	"sync"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// goneFor is how long what is known of a circuit is kept while no answer names it. Who
// watches asks for a circuit that lists lack within the hour.
const goneFor = 24 * time.Hour

// knowledge is what answers have told that later ones may not: which circuit a request
// became, that it was there, and which customer a routing id leads to. It has the circuits
// that there are, those that answers have named in the last day, and the customers.
type knowledge struct {
	mu        sync.Mutex
	circuits  map[string]string          // by request
	requests  map[string]string          // by circuit
	seen      map[string]bool            // circuits that were shown
	named     map[string]time.Time       // when an answer last named a circuit
	customers map[string]string          // by routing id
	routes    map[string]map[string]bool // routing ids by customer
}

func newKnowledge() *knowledge {
	return &knowledge{
		circuits: map[string]string{}, requests: map[string]string{}, seen: map[string]bool{}, named: map[string]time.Time{},
		customers: map[string]string{}, routes: map[string]map[string]bool{},
	}
}

// became notes which circuit a request is or will be.
func (k *knowledge) became(request, circuit string) {
	if request == "" || circuit == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if old := k.circuits[request]; old != "" && old != circuit {
		delete(k.requests, old)
	}
	k.circuits[request], k.requests[circuit], k.named[circuit] = circuit, request, time.Now()
}

// tidy forgets the circuits that no answer has named for long. It is called when the list of
// all circuits has been read, so that those which are there have just been named.
func (k *knowledge) tidy() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for circuit, at := range k.named {
		if time.Since(at) > goneFor {
			delete(k.circuits, k.requests[circuit])
			delete(k.requests, circuit)
			delete(k.seen, circuit)
			delete(k.named, circuit)
		}
	}
}

// Remind notes which circuit a request had become when it was seen. Nothing else tells that
// once the exchange shows the request no more.
func (c *Client) Remind(conn *patchbayv1.Connection) {
	uuid := conn.GetExchangeId()
	if conn.GetExchange() != name || isCircuit(uuid) || len(conn.GetAliases()) == 0 || c.known.circuitOf(uuid) != "" {
		return
	}
	circuit := conn.GetAliases()[0]
	c.known.became(uuid, circuit)
	if conn.GetNative().GetState() != "" { // the circuit itself was shown
		c.known.saw(circuit)
	}
}

// circuitOf is the circuit of a request, empty if none is known.
func (k *knowledge) circuitOf(request string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.circuits[request]
}

// requestOf is the request of a circuit, empty if none is known.
func (k *knowledge) requestOf(circuit string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.requests[circuit]
}

// saw notes that a circuit was shown, and wasSeen reports it.
func (k *knowledge) saw(circuit string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen[circuit], k.named[circuit] = true, time.Now()
}

func (k *knowledge) wasSeen(circuit string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen[circuit]
}

// leads notes that a routing id leads to a customer.
func (k *knowledge) leads(routing, customer string) {
	if routing == "" || customer == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.customers[routing] = customer
	if k.routes[customer] == nil {
		k.routes[customer] = map[string]bool{}
	}
	k.routes[customer][routing] = true
}

// customerOf is the customer that a routing id leads to, empty if that is not known.
func (k *knowledge) customerOf(routing string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.customers[routing]
}

// routeTo is the one routing id that is known to lead to a customer, empty if there is
// none or more than one.
func (k *knowledge) routeTo(customer string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.routes[customer]) != 1 {
		return ""
	}
	for routing := range k.routes[customer] {
		return routing
	}
	return ""
}
