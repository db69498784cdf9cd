package exchangetest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"patchbay.io/pkg/exchange"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

var (
	someUUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	somePF   = regexp.MustCompile(`PF-[A-Z]{2}-[A-Z0-9-]+`)
)

// OtherCase is h, whose answers have their ids in the other case: UUIDs in upper case, those
// of PacketFabric in lower case.
func OtherCase(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := httptest.NewRecorder()
		h.ServeHTTP(said, r)
		body := somePF.ReplaceAllFunc(someUUID.ReplaceAllFunc(said.Body.Bytes(), bytes.ToUpper), bytes.ToLower)
		w.WriteHeader(said.Code)
		_, _ = io.Copy(w, bytes.NewReader(body)) // the client may be gone
	})
}

// Told asks c about a circuit and an order of it, and returns a line for every answer. A call
// that fails ends the test.
func Told(t *testing.T, c exchange.Client, id string, in *patchbayv1.CreateIntent) []string {
	t.Helper()
	var lines []string
	note := func(call string, answer any, err error) {
		if err != nil {
			t.Fatalf("%s: %v", call, err)
		}
		lines = append(lines, fmt.Sprintf("%s: %+v", call, answer))
	}
	each := func(call string) func(*patchbayv1.Connection) error {
		return func(conn *patchbayv1.Connection) error {
			note(call, conn, nil)
			note("KeyOf", c.KeyOf(conn), nil)
			return nil
		}
	}
	legs := []string{exchange.Primary}
	if c.Together() {
		legs = []string{exchange.Both}
	}
	p := exchange.Placement{Intent: in, Legs: legs}
	note("Place", c.Place(t.Context(), p), nil)
	conn, err := c.Get(t.Context(), id)
	note("Get", conn, err)
	found, err := c.Find(t.Context(), p)
	note("Find", found.Circuits, err)
	note("List", "", c.List(t.Context(), exchange.Buyer, false, each("List")))
	note("Remove", c.Remove(t.Context(), id), nil)
	ports, err := c.Ports(t.Context())
	note("Ports", ports, err)
	parties, err := c.Parties(t.Context())
	note("Parties", parties, err)
	if x, ok := c.(exchange.Batch); ok {
		note("GetAll", "", x.GetAll(t.Context(), []string{id}, each("GetAll")))
	}
	if x, ok := c.(exchange.Tokens); ok {
		note("Tokens", "", x.Tokens(t.Context(), func(k exchange.Token) error {
			note("Token", k.UUID.Reveal()+" "+k.ConnectionID, nil)
			return nil
		}))
	}
	return lines
}
