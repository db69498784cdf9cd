package packetfabric

import (
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Known are how many entries a client has about circuits, of each kind.
func (c *Client) Known() [4]int {
	c.known.mu.Lock()
	defer c.known.mu.Unlock()
	return [4]int{len(c.known.circuits), len(c.known.requests), len(c.known.seen), len(c.known.named)}
}

// ReadRequest reads a request, for fuzzing.
func ReadRequest(b []byte) (*patchbayv1.Connection, error) {
	r, err := readRequest(b)
	if err != nil {
		return nil, err
	}
	return r.connection(nil), nil
}

// ReadCircuit reads a circuit, for fuzzing: alone, and joined with a request.
func ReadCircuit(b []byte) (alone, joined *patchbayv1.Connection, err error) {
	v, err := readCircuit(b)
	if err != nil {
		return nil, nil, err
	}
	q := request{UUID: "1b074b22-0a81-4189-a05c-12bdbd964728", Circuit: v.ID, Status: "provisioned"}
	return v.connection(""), q.connection(&v), nil
}

// ReadWorkflow reads a status object, for fuzzing.
func ReadWorkflow(b []byte) (over bool, failed string) {
	w := readWorkflow(b)
	return w.over, w.failed
}

// Message is an error in the exchange's own form, for fuzzing.
type Message struct{ Text, Code, Property string }

// ReadMessage reads an error and reports whether it is in the exchange's own form.
func ReadMessage(b []byte) (Message, bool) {
	m, own := readMessage(b)
	return Message{m, codeOf(m), propertyOf(m)}, own
}
