package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
	"patchbay.io/services/sandbox"
)

// terms are how one exchange is spoken to: what is ordered there, where it lands, and the
// requests that its calls make.
type terms struct {
	api                            account.API
	intent                         func() *patchbayv1.CreateIntent
	landing                        *patchbayv1.Endpoint
	create, answer, change, remove sandbox.Match
	rejection                      sandbox.Match
}

func at(method, path string) sandbox.Match { return sandbox.Match{Method: method, Path: path} }

// allTerms are those of all exchanges.
func allTerms() []terms {
	const ecxAll, fabricAll = "/ecx/v3/l2/connections", "/fabric/v4/connections"
	const pfAll, pfRequest = "/v2/services", "/v2/services/requests/{vc_request_uuid}"
	approve, reject, change := at("PATCH", ecxAll), at("PATCH", ecxAll), at("PATCH", ecxAll)
	approve.Action, reject.Action, change.Action = "Approve", "Reject", "update"
	act := at("POST", fabricAll+"/{uuid}/actions")
	equinix := func() *patchbayv1.CreateIntent {
		return inFabric(onPort(acmeDot1q, vlan(100)), toProfile(cloudOpen))
	}
	return []terms{
		{account.ECX, equinix, onPort(cloudDot1q, vlan(700)),
			at("POST", ecxAll), approve, change, at("DELETE", ecxAll), reject},
		{account.Fabric, equinix, onPort(cloudDot1q, vlan(700)),
			at("POST", fabricAll), act, at("PATCH", fabricAll), at("DELETE", fabricAll), act},
		{account.PacketFabric, func() *patchbayv1.CreateIntent {
			return inPacketFabric(onPort(acmeNYC, vlan(100)), toCustomer())
		}, onPort(cloudCHI, vlan(700)), at("POST", pfAll+"/third-party"), at("POST", pfRequest+"/provision"),
			at("PATCH", pfAll), at("DELETE", pfAll+"/{vc_circuit_id}"), at("POST", pfRequest+"/reject")},
	}
}

// decidings are all deciding calls of all exchanges.
func decidings() []deciding {
	var all []deciding
	for _, c := range allTerms() {
		all = append(all, c.creates("create", c.intent))
		switch c.api {
		case account.ECX:
			all = append(all, c.creates("create a pair", pair))
			all = append(all, c.decides()...)
			all = append(all, c.consents(true)...)
		case account.Fabric:
			all = append(all, c.decides()...)
			all = append(all, c.consents(false)...)
		case account.PacketFabric:
			own := c
			own.create = at("POST", "/v2/services/backbone")
			all = append(all, own.creates("create between own ports", func() *patchbayv1.CreateIntent {
				return inPacketFabric(onPort(acmeNYC, vlan(100)), onPort(acmeNYC2, vlan(100)))
			}))
			all = append(all, c.decides()...)
			all = append(all, deciding{c.api, "withdraw", at("DELETE", "/v2/services/requests"), c.asked, buyerRemoves, looksAt})
		}
	}
	return all
}

// creates is the call that places an intent whole.
func (c terms) creates(name string, intent func() *patchbayv1.CreateIntent) deciding {
	p := exchange.Placement{Intent: intent(), Legs: legsOf(intent())}
	return deciding{c.api, name, c.create,
		func(*testing.T, *world) string { return "" },
		func(ctx context.Context, w *world, _ string) exchange.Outcome { return w.buyer.Place(ctx, p) },
		func(t *testing.T, w *world, _ string) string {
			t.Helper()
			found, err := w.buyer.Find(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, circuits := range found.Circuits {
				n += len(circuits)
			}
			return fmt.Sprintf("%d found", n)
		}}
}

// decides are the calls about a circuit that every exchange has.
func (c terms) decides() []deciding {
	return []deciding{
		{c.api, "accept", c.answer, c.asked, c.sellerAccepts(exchange.Create), looksAt},
		{c.api, "reject", c.rejection, c.asked, sellerRejects(exchange.Create), looksAt},
		{c.api, "change", c.change, c.stands, buyerChanges, looksAt},
		{c.api, "delete", c.remove, c.stands, buyerRemoves, looksAt},
	}
}

// consents are a seller's answers to changes and deletions, of which he can refuse the
// latter only at some exchanges.
func (c terms) consents(refuses bool) []deciding {
	wants := func(call func(context.Context, *world, string) exchange.Outcome) func(*testing.T, *world) string {
		return func(t *testing.T, w *world) string {
			t.Helper()
			id := c.stands(t, w)
			want(t, "get ready", call(t.Context(), w, id), exchange.Done)
			return id
		}
	}
	all := []deciding{
		{c.api, "accept a change", c.answer, wants(buyerChanges), c.sellerAccepts(exchange.Change), looksAt},
		{c.api, "reject a change", c.rejection, wants(buyerChanges), sellerRejects(exchange.Change), looksAt},
		{c.api, "accept a deletion", c.answer, wants(buyerRemoves), c.sellerAccepts(exchange.Delete), looksAt},
	}
	if refuses {
		all = append(all, deciding{c.api, "reject a deletion", c.rejection, wants(buyerRemoves), sellerRejects(exchange.Delete), looksAt})
	}
	return all
}

// asked brings a request before the seller, and stands a circuit into service.
func (c terms) asked(t *testing.T, w *world) string {
	t.Helper()
	out := w.buyer.Place(t.Context(), exchange.Placement{Intent: c.intent(), Legs: legs[:1]})
	want(t, "Place", out, exchange.Done)
	return out.IDs[exchange.Primary]
}

func (c terms) stands(t *testing.T, w *world) string {
	t.Helper()
	id := c.asked(t, w)
	want(t, "Accept", c.sellerAccepts(exchange.Create)(t.Context(), w, id), exchange.Done)
	time.Sleep(5 * time.Second)
	if got := w.get(t, w.buyer, id); got.GetStatus() != string(status.Provisioned) {
		t.Fatalf("the circuit is %s, want it in service", face(got))
	}
	return id
}

func (c terms) sellerAccepts(kind string) func(context.Context, *world, string) exchange.Outcome {
	return func(ctx context.Context, w *world, id string) exchange.Outcome {
		a := exchange.Acceptance{ExchangeID: id, Kind: kind}
		if kind == exchange.Create {
			a.PortID, a.Tag = c.landing.GetPortId(), c.landing.GetTag()
		}
		return w.seller.Accept(ctx, a)
	}
}

func sellerRejects(kind string) func(context.Context, *world, string) exchange.Outcome {
	return func(ctx context.Context, w *world, id string) exchange.Outcome {
		return w.seller.Reject(ctx, id, kind, "no room")
	}
}

func buyerChanges(ctx context.Context, w *world, id string) exchange.Outcome {
	return w.buyer.Alter(ctx, id, &patchbayv1.ChangeSet{BandwidthMbps: number(200)})
}

func buyerRemoves(ctx context.Context, w *world, id string) exchange.Outcome {
	return w.buyer.Remove(ctx, id)
}

// looksAt says what the exchange shows of a circuit to its buyer.
func looksAt(t *testing.T, w *world, id string) string {
	t.Helper()
	c, err := w.buyer.Get(t.Context(), id)
	if errors.Is(err, exchange.ErrGone) {
		return "gone"
	}
	if err != nil {
		t.Fatal(err)
	}
	words := []string{c.GetStatus() + "/" + c.GetProviderStatus(), fmt.Sprintf("%d Mbit/s", c.GetBandwidthMbps())}
	if c.GetChangePending() {
		words = append(words, fmt.Sprintf("%d asked for", c.GetPendingBandwidthMbps()))
	}
	if c.GetRejectComment() != "" {
		words = append(words, "“"+c.GetRejectComment()+"”")
	}
	return strings.Join(words, ", ")
}
