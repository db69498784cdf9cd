package statuswatcher

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/status"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// named is an exchange that knows the key of a circuit and nothing else.
type named struct{ exchange.Client }

func (named) KeyOf(c *patchbayv1.Connection) string { return c.GetName() }

// A new circuit is announced only when the index has come as far as the journal was after
// the circuit was seen. The index is held back here, which no test from outside can do.
func TestAnnounceWaitsForIndex(t *testing.T) {
	j := testenv.Journal(t)
	w, err := New(service.Runtime{
		Journal: j, Log: zerolog.Nop(), Clients: map[string]exchange.Client{"acme": named{}},
		Accounts: account.File{Accounts: []account.Account{{Name: "acme", API: account.ECX, Role: account.Buyer}}},
	}, Pace{})
	if err != nil {
		t.Fatal(err)
	}
	e := event.Entity{Noun: event.Order, ID: "o-1"}
	if _, err := j.Append(t.Context(), journal.Record{}, event.Fact{
		Entity: e, Name: "placing", By: "requester", Order: "o-1", Data: &patchbayv1.Order{
			Id: "o-1", Fact: "placing", Kind: "create", Account: "acme", Legs: []*patchbayv1.OrderLeg{{
				Leg: "primary", State: "placing", Attempt: &patchbayv1.Attempt{Number: 1, LookupKey: "one"},
			}},
		},
	}); err != nil {
		t.Fatal(err)
	}
	c := circuitIn(status.PendingApproval, status.NotAvailable, 1)
	c.CreatedAt, c.UpdatedAt = timestamppb.Now(), timestamppb.Now()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	taken, followed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := w.watches["acme"].takeAll(ctx, []shown{{conn: c, role: exchange.Buyer, by: "sweep", at: time.Now()}}, 0)
		taken <- err
	}()
	select {
	case err := <-taken:
		t.Fatalf("taken with %v before the index knew the order", err)
	case <-time.After(50 * time.Millisecond):
	}
	go func() { followed <- w.index.follow(ctx, j, w.stirred) }()
	if err := <-taken; err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-followed; err != nil {
		t.Error(err)
	}
	last, err := j.Last(t.Context(), event.Entity{Noun: event.Connection, ID: c.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	if got := event.Ext(last.Event, event.ExtCorrelationID); got != "o-1" {
		t.Errorf("order = %q, want o-1", got)
	}
}

func TestParties(t *testing.T) {
	p := newParties(account.File{Accounts: []account.Account{
		{Name: "a", Role: account.Buyer}, {Name: "b", Role: account.Buyer}, {Name: "s", Role: account.Seller},
	}})
	p.learn("a", exchange.Parties{Ports: []string{"p-1"}})
	p.learn("b", exchange.Parties{Ports: []string{"p-1", "p-2"}})
	p.learn("s", exchange.Parties{Profiles: []string{"f-1"}})
	for _, tt := range []struct {
		port, profile, lister, role string
		buyer, seller, observer     string
		reason                      string
	}{
		{"p-2", "f-1", "b", "buyer", "b", "s", "b", "both are told by what they own"},
		{"p-1", "f-9", "b", "buyer", "a", "", "a", "of two owners the first of the file counts"},
		{"p-9", "f-9", "b", "buyer", "b", "", "b", "who is shown it as buyer is the buyer"},
		{"p-9", "f-9", "s", "seller", "", "s", "s", "who is shown it as seller is the seller"},
		{"p-2", "f-1", "s", "seller", "b", "s", "b", "the buyer's account observes"},
		{"p-9", "f-9", "s", "", "", "", "", "nothing tells"},
	} {
		c := &patchbayv1.Connection{ASide: &patchbayv1.Side{PortId: tt.port}, ZSide: &patchbayv1.Side{ProfileId: tt.profile}}
		buyer, seller := p.on(c, tt.lister, tt.role)
		if o := p.observer(buyer, seller); buyer != tt.buyer || seller != tt.seller || o != tt.observer {
			t.Errorf("%s/%s shown to %s as %q: %q, %q, observer %q; want %q, %q, %q: %s", tt.port, tt.profile,
				tt.lister, tt.role, buyer, seller, o, tt.buyer, tt.seller, tt.observer, tt.reason)
		}
	}
	two := newParties(account.File{Accounts: []account.Account{
		{Name: "x", API: account.ECX, Role: account.Seller}, {Name: "f", API: account.Fabric, Role: account.Seller},
	}})
	two.learn("x", exchange.Parties{Profiles: []string{"f-1"}})
	two.learn("f", exchange.Parties{Profiles: []string{"f-1"}})
	c := &patchbayv1.Connection{ZSide: &patchbayv1.Side{ProfileId: "f-1"}}
	for api, want := range map[account.API]string{account.ECX: "x", account.Fabric: "f", account.PacketFabric: ""} {
		if got := two.sellerAt(c, api); got != want {
			t.Errorf("seller at %s = %q, want %q: who orders at an API is answered through it", api, got, want)
		}
	}
	if o := p.observer("left", "s"); o != "s" {
		t.Errorf("observer = %q, want s: an account that has left the file observes nothing", o)
	}
}
