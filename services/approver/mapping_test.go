package approver_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/approver"
)

// at is the bench with the seller's account at another API.
func (b *bench) at(api account.API, rules ...account.Rule) *bench {
	b.t.Helper()
	b.rt.Accounts = account.File{Accounts: []account.Account{{Name: "cloud", Role: account.Seller, API: api, Policy: rules}}}
	a, err := approver.New(b.rt)
	if err != nil {
		b.t.Fatal(err)
	}
	b.a = a
	return b
}

// request is one request as each API shows it, in a status.
func request(api account.API, status string) *patchbayv1.Connection {
	c := circuit(status)
	c.Api = string(api)
	switch api {
	case account.Fabric:
		c.ProviderStatus = "PENDING_APPROVAL"
		c.Native = &patchbayv1.Native{Status: status, State: "PENDING", Change: "SUBMITTED_FOR_APPROVAL"}
	case account.PacketFabric:
		c.Exchange, c.Name, c.OrderId = "packetfabric", "", ""
		c.Native = &patchbayv1.Native{Status: "pending"}
		c.ZSide = &patchbayv1.Side{Metro: "ATL", ProfileId: "customer-1"}
	default:
		c.Native = &patchbayv1.Native{Status: status}
	}
	return c
}

// The same request is decided alike at every exchange; only what cannot be asked for or
// refused there differs.
func TestOneApproverForAll(t *testing.T) {
	policies := map[string][]account.Rule{"approve": {approveAll}, "reject": {rejectAll}, "ask": {askAll}}
	for _, tt := range []struct {
		status, policy string
		want           map[account.API]string
		told           map[account.API]string
		reason         string
	}{
		{"PENDING_APPROVAL", "approve", map[account.API]string{
			account.ECX: "requested approved", account.Fabric: "requested approved", account.PacketFabric: "requested approved",
		}, nil, "the provisioner carries it out"},
		{"PENDING_APPROVAL", "reject", map[account.API]string{
			account.ECX: "requested rejected", account.Fabric: "requested rejected", account.PacketFabric: "requested rejected",
		}, map[account.API]string{account.ECX: "create", account.Fabric: "create", account.PacketFabric: "create"}, "told to the exchange once"},
		{"PENDING_APPROVAL", "ask", map[account.API]string{
			account.ECX: "requested", account.Fabric: "requested", account.PacketFabric: "requested",
		}, nil, "a person is asked"},
		{"PENDING_DELETE", "reject", map[account.API]string{
			account.ECX: "requested rejected", account.Fabric: "requested",
		}, map[account.API]string{account.ECX: "delete"}, "Fabric has no way to reject a deletion: a person is asked"},
		{"PENDING_DELETE", "ask", map[account.API]string{account.ECX: "requested", account.Fabric: "requested"}, nil, ""},
	} {
		for api, want := range tt.want {
			t.Run(string(api)+" "+tt.status+" "+tt.policy, func(t *testing.T) {
				b := newBench(t, testenv.Journal(t)).at(api, policies[tt.policy]...)
				r := b.announce(request(api, tt.status))
				for range 2 { // the second time adds nothing
					b.handle(r)
					if w, last := b.approval(); w.GetFact() == "rejected" {
						b.handle(last)
					}
					b.wantFacts(want, tt.reason)
				}
				got := ""
				for _, call := range b.fake.calls() {
					got += strings.Fields(call)[0]
				}
				if got != tt.told[api] {
					t.Errorf("told the exchange %q, want %q: %s", got, tt.told[api], tt.reason)
				}
			})
		}
	}
}

// A rule sees where a request at PacketFabric was sent if it was ordered here, of each leg its own.
func TestRoutingID(t *testing.T) {
	to := func(id string) *patchbayv1.Leg {
		return &patchbayv1.Leg{ZSide: &patchbayv1.Endpoint{RoutingId: id, Market: "ATL"}}
	}
	ours := &patchbayv1.Order{Id: "order-1", Fact: "placed", Kind: "create",
		Create: &patchbayv1.CreateIntent{Primary: to("PD-WUY-9VB0"), Secondary: to("TR-1RI-OQ85")}}
	for _, tt := range []struct{ name, order, leg, want string }{
		{"a stranger's", "", "", "requested"},
		{"the primary", "order-1", "primary", "requested approved"},
		{"the secondary", "order-1", "secondary", "requested"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rule := account.Rule{Name: "ours", When: `routingId == "PD-WUY-9VB0"`, Then: account.Approve}
			b := newBench(t, testenv.Journal(t)).at(account.PacketFabric, rule)
			_, err := b.j.Append(t.Context(), journal.Record{}, event.Fact{
				Entity: event.Entity{Noun: event.Order, ID: ours.GetId()}, Name: ours.GetFact(), Data: ours, By: "requester"})
			if err != nil {
				t.Fatal(err)
			}
			c := request(account.PacketFabric, "PENDING_APPROVAL")
			c.OrderId, c.Leg = tt.order, tt.leg
			b.handle(b.announce(c))
			b.wantFacts(tt.want, "only an order tells the routing id")
		})
	}
}

// A person who rejects a deletion at Fabric is told that it cannot be done.
func TestRejectDeletionAtFabric(t *testing.T) {
	b := newBench(t, testenv.Journal(t)).at(account.Fabric, askAll)
	b.handle(b.announce(request(account.Fabric, "PENDING_DELETE")))
	w, _ := b.approval()
	d := &patchbayv1.Decision{ConnectionId: w.GetConnectionId(), Kind: "delete", Digest: w.GetDigest(), By: "ann", Reason: "keep it"}
	if err := b.a.Decision(t.Context(), b.submit("reject", "d-1", d)); err != nil {
		t.Fatal(err)
	}
	b.wantFacts("requested", "it waits on")
	refused, _ := b.refusal()
	if got := refused.GetMessage(); !strings.Contains(got, "no way to reject a delete") {
		t.Errorf("refusal = %q, want it to say that it cannot be done", got)
	}
	if calls := b.fake.calls(); len(calls) != 0 {
		t.Errorf("calls = %q, want none", calls)
	}
}

// Of two seller accounts that are shown one circuit the one in the facts decides, by its
// own rules and with its own client.
func TestOneSellerDecides(t *testing.T) {
	b := newBench(t, testenv.Journal(t))
	other := &fake{circuits: map[string]*patchbayv1.Connection{}}
	b.rt = service.Runtime{
		Journal: b.j,
		Accounts: account.File{Accounts: []account.Account{
			{Name: "cloud-fabric", Role: account.Seller, API: account.Fabric, Policy: []account.Rule{approveAll}},
			{Name: "cloud", Role: account.Seller, API: account.ECX, Policy: []account.Rule{rejectAll}},
		}},
		Clients: map[string]exchange.Client{"cloud": b.fake, "cloud-fabric": other},
	}
	a, err := approver.New(b.rt)
	if err != nil {
		t.Fatal(err)
	}
	b.a = a
	c := circuit("PENDING_APPROVAL")
	other.circuits[c.GetExchangeId()] = proto.CloneOf(c)
	b.handle(b.announce(c))
	_, last := b.approval()
	b.handle(last)
	b.wantFacts("requested rejected", "the account that sells it decides")
	if mine, theirs := b.fake.calls(), other.calls(); len(mine) != 1 || len(theirs) != 0 {
		t.Errorf("calls = %q and %q, want one by the account that decided", mine, theirs)
	}
}
