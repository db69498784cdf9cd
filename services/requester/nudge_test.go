package requester

import (
	"slices"
	"testing"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// A fact nudges those who have something to do after it: not the order of which somebody who
// goes on with it wrote it, but the orders that wait for that one.
func TestRelated(t *testing.T) {
	const id, deletion, target = "o-1", "o-2", "o-3"
	j := testenv.Journal(t)
	var last journal.Record
	for _, tt := range []struct {
		reason string
		o      *patchbayv1.Order
		want   []string
	}{
		{"intake leaves the order to its nudge",
			&patchbayv1.Order{Fact: order.Accepted, Kind: exchange.Create}, []string{id}},
		{"who makes the call writes down what became of it",
			&patchbayv1.Order{Fact: order.Placing, Kind: exchange.Create}, nil},
		{"who made the call waits by a timer",
			&patchbayv1.Order{Fact: order.Placed, Kind: exchange.Create}, nil},
		{"another order has written it",
			&patchbayv1.Order{Fact: order.Cancelling, Kind: exchange.Create, CancelledBy: deletion}, []string{deletion, id}},
		{"the order that cancels waits for the end",
			&patchbayv1.Order{Fact: order.Failed, Kind: exchange.Create, CancelledBy: deletion}, []string{deletion}},
		{"the cancelled order waits for the deletion",
			&patchbayv1.Order{Fact: order.Completed, Kind: exchange.Delete, TargetOrderId: target}, []string{target}},
	} {
		tt.o.Id = id
		var err error
		last, err = j.Append(t.Context(), last, event.Fact{Entity: orderEntity(id), Name: tt.o.GetFact(), Data: tt.o, By: "test"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := relatedTo(last)
		got = slices.DeleteFunc(got, func(id string) bool { return id == "" })
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("after %s: %v, %v; want %v: %s", tt.o.GetFact(), got, err, tt.want, tt.reason)
		}
	}
}
