package view_test

import (
	"slices"
	"testing"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/testenv"
	"patchbay.io/pkg/view"
)

// A token is found by its HMAC, its account, its state and the circuit that redeemed it.
func TestTokens(t *testing.T) {
	j, r := testenv.Journal(t), testenv.StartRedis(t)
	w, v := newWriter(t, j), open(t, r)
	circuit := w.connection(1, "PROVISIONED", "AVAILABLE")
	add := func(id, state, connection string) event.Entity {
		e := event.Entity{Noun: event.Token, ID: id}
		w.add(event.Fact{Entity: e, Name: event.Slug(state), Data: &patchbayv1.Token{
			Id: id, Account: "acme", State: state, ConnectionId: connection,
		}})
		return e
	}
	fresh, used := add("0af7651916cd43dd8448eb211c80319c", "INACTIVE", ""), add("b7ad6b716920333100f067aa0ba902b7", "ACTIVE", circuit.ID)
	spent := add("4bf92f3577b34da6a3ce929d0e0e4736", "DELETED", "")
	if _, err := v.Rebuild(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		reason string
		q      view.Query
		want   []event.Entity
	}{
		{"all of an account", view.Query{Account: "acme"}, []event.Entity{spent, used, fresh}},
		{"those that may still be used, or are", view.Query{Open: true}, []event.Entity{used, fresh}},
		{"by state", view.Query{Status: "INACTIVE"}, []event.Entity{fresh}},
		{"by the circuit that redeemed it", view.Query{Connection: circuit.ID}, []event.Entity{used}},
	} {
		found, err := v.List(t.Context(), event.Token, tt.q)
		var got []event.Entity
		for _, s := range found {
			got = append(got, s.Entity())
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v; want %v", tt.reason, got, err, tt.want)
		}
	}
	if got, err := v.Find(t.Context(), used.ID[:12]); err != nil || !slices.Equal(got, []event.Entity{used}) {
		t.Errorf("found %v, %v by the beginning of its HMAC, want %v", got, err, used)
	}
}
