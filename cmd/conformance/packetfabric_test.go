package conformance_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
	"patchbay.io/services/sandbox"
)

// Ports, customers and services of the sandbox's inventory at PacketFabric.
const (
	acmeNYC      = "PF-AP-NYC1-1100001"
	acmeNYC2     = "PF-AP-NYC1-1100002"
	acmeENNI     = "PF-AP-NYC1-1900001"
	acmeENNI2    = "PF-AP-NYC1-1900002"
	cloudCHI     = "PF-AP-CHI1-2100001"
	cloudENNI    = "PF-AP-CHI1-2900001"
	cloudRouting = "TR-1RI-OQ85"
	cloudBackup  = "c10f0000-0000-4000-8000-0000000000f2"
	acmeBilling  = "b2af000f-d15f-4413-9645-6f566e641c29"
	acmeFlex     = "PF-FB-1000001"
)

// inPacketFabric is an intent for one circuit at PacketFabric.
func inPacketFabric(a, z *patchbayv1.Endpoint) *patchbayv1.CreateIntent {
	return &patchbayv1.CreateIntent{Name: "first", BandwidthMbps: number(50),
		Billing: &patchbayv1.Billing{AccountId: acmeBilling, Longhaul: "dedicated", TermMonths: number(1)},
		Primary: &patchbayv1.Leg{ASide: a, ZSide: z}}
}

func toCustomer() *patchbayv1.Endpoint {
	return &patchbayv1.Endpoint{RoutingId: cloudRouting, Market: "CHI"}
}

// packetFabricWay is a way of ordering a circuit at PacketFabric.
type packetFabricWay struct {
	name    string
	intent  *patchbayv1.CreateIntent
	landing *patchbayv1.Endpoint // where the seller puts it, if he is asked
}

func (way packetFabricWay) flow() status.Flow {
	if way.landing == nil {
		return status.OwnFlow
	}
	return status.ApprovalFlow
}

// packetFabricWays are all ways of ordering.
func packetFabricWays() []packetFabricWay {
	a, z := onPort(acmeNYC, vlan(100)), onPort(cloudCHI, vlan(700))
	service := toCustomer()
	service.ServiceId = cloudBackup
	flex, usage := inPacketFabric(a, toCustomer()), inPacketFabric(a, toCustomer())
	flex.Billing = &patchbayv1.Billing{FlexBandwidthId: acmeFlex}
	usage.Billing = &patchbayv1.Billing{AccountId: acmeBilling, Longhaul: "usage"}
	asked := func(name string, a, landing *patchbayv1.Endpoint) packetFabricWay {
		return packetFabricWay{name, inPacketFabric(a, toCustomer()), landing}
	}
	own := func(name string, a, z *patchbayv1.Endpoint) packetFabricWay {
		return packetFabricWay{name, inPacketFabric(a, z), nil}
	}
	return []packetFabricWay{
		asked("vlan", a, z),
		asked("svlan on ENNI", onPort(acmeENNI, double(100, 101)), z),
		asked("untagged", onPort(acmeNYC, untagged()), z),
		asked("landed on ENNI", a, onPort(cloudENNI, double(700, 701))),
		asked("landed on ENNI by its S-tag", a, onPort(cloudENNI, double(700, 0))),
		asked("landed untagged", a, onPort(cloudCHI, untagged())),
		{"service", inPacketFabric(a, service), z},
		{"flex bandwidth", flex, z},
		{"usage", usage, z},
		own("own vlan to vlan", a, onPort(acmeNYC2, vlan(101))),
		own("own vlan to ENNI", a, onPort(acmeENNI, double(100, 101))),
		own("own ENNI to ENNI", onPort(acmeENNI, double(100, 101)), onPort(acmeENNI2, double(102, 103))),
		own("own untagged to vlan", onPort(acmeNYC, untagged()), onPort(acmeNYC2, vlan(101))),
		own("own EPL", onPort(acmeNYC, untagged()), onPort(acmeNYC2, untagged())),
	}
}

// The faces of a circuit at PacketFabric: a request's word and its circuit's.
const (
	pfAsked    = "PENDING_APPROVAL/NOT_AVAILABLE = ,pending,,"
	pfRejected = "REJECTED/NOT_AVAILABLE = ,rejected,,"
)

// TestPacketFabricWays takes a circuit of each kind from a check to its end.
func TestPacketFabricWays(t *testing.T) {
	for _, way := range packetFabricWays() {
		t.Run(way.name, func(t *testing.T) {
			inWorldOf(t, account.PacketFabric, func(t *testing.T, w *world) {
				if got := w.buyer.Keys(way.intent)[exchange.Primary]; got == "" {
					t.Error("no look-up key")
				}
				id := w.ordered(t, way.intent, string(way.flow()))[exchange.Primary]
				word, built := "", []string{"PROVISIONING/NOT_AVAILABLE = Provisioning,,,", "PROVISIONED/AVAILABLE = Active,,,"}
				if way.landing != nil {
					w.packetFabricLands(t, way, id)
					word = "provisioned"
					built = []string{"PROVISIONING/NOT_AVAILABLE = Pending,provisioned,,",
						"PROVISIONING/NOT_AVAILABLE = Provisioning,provisioned,,", "PROVISIONED/AVAILABLE = Active,provisioned,,"}
				}
				w.seen(t, w.buyer, exchange.Buyer, id)
				w.follows(t, id, way.flow(), built...)
				w.seen(t, w.buyer, exchange.Buyer, id)
				w.packetFabricInUse(t, way, true)
				w.packetFabricChanges(t, way, id)
				want(t, "Remove", w.buyer.Remove(t.Context(), id), exchange.Done)
				w.seen(t, w.buyer, exchange.Buyer, id)
				w.follows(t, id, way.flow(), "DEPROVISIONING/AVAILABLE = Deleting,"+word+",,", "DEPROVISIONED/NOT_AVAILABLE = Deleted,"+word+",,")
				w.packetFabricInUse(t, way, false)
				w.packetFabricGone(t, way, id)
			})
		})
	}
}

// packetFabricLands has the seller see a request and put it on a port.
func (w *world) packetFabricLands(t *testing.T, way packetFabricWay, id string) {
	t.Helper()
	ctx := t.Context()
	asked := w.get(t, w.seller, id)
	if got := face(asked); got != pfAsked || asked.GetASide().GetPortId() != "" {
		t.Errorf("the seller sees %s from port %q, want %s and no port", got, asked.GetASide().GetPortId(), pfAsked)
	}
	w.seen(t, w.buyer, exchange.Buyer, id)
	w.seen(t, w.seller, exchange.Seller, id)
	want(t, "Alter a request", w.buyer.Alter(ctx, id, &patchbayv1.ChangeSet{Name: "x"}), exchange.Refused)
	for _, kind := range []string{exchange.Change, exchange.Delete} {
		want(t, "Accept a "+kind, w.seller.Accept(ctx, exchange.Acceptance{ExchangeID: id, Kind: kind}), exchange.Refused)
		want(t, "Reject a "+kind, w.seller.Reject(ctx, id, kind, "no"), exchange.Refused)
	}
	a := exchange.Acceptance{ExchangeID: id, Kind: exchange.Create, PortID: way.landing.GetPortId(), Tag: way.landing.GetTag()}
	want(t, "Accept", w.seller.Accept(ctx, a), exchange.Done)
	want(t, "Accept again", w.seller.Accept(ctx, a), exchange.Over)
	want(t, "Reject too late", w.seller.Reject(ctx, id, exchange.Create, "no"), exchange.Refused)
	want(t, "Remove too early", w.buyer.Remove(ctx, id), exchange.Moving)
	for _, c := range []exchange.Client{w.buyer, w.seller} {
		shown := w.get(t, c, id)
		if z := shown.GetZSide(); z.GetPortId() != a.PortID || outer(z.GetTag()) != outer(a.Tag) || len(shown.GetAliases()) != 1 {
			t.Errorf("landed on %v as %v, want %s %v and an alias", z, shown.GetAliases(), a.PortID, a.Tag)
		}
		if by := w.get(t, c, shown.GetAliases()[0]); by.GetExchangeId() != id {
			t.Errorf("the alias leads to %s, want the request %s", by.GetExchangeId(), id)
		}
	}
}

// outer is a tag's outer number, and 0 for untagged.
func outer(tag *patchbayv1.Tag) int32 { return max(tag.GetVlan(), tag.GetSTag()) }

// packetFabricInUse checks that the tags of both ends of the buyer's are in use, or are not.
func (w *world) packetFabricInUse(t *testing.T, way packetFabricWay, due bool) {
	t.Helper()
	for _, e := range []*patchbayv1.Endpoint{way.intent.Primary.GetASide(), way.intent.Primary.GetZSide()} {
		if e.GetPortId() == "" {
			continue
		}
		tags, err := w.buyer.(exchange.TagsInUse).InUse(t.Context(), e.GetPortId())
		is := slices.ContainsFunc(tags, func(u *patchbayv1.Tag) bool {
			return outer(u) == outer(e.GetTag()) && u.GetCTag() == e.GetTag().GetCTag() && u.GetUntagged() == e.GetTag().GetUntagged()
		})
		if err != nil || is != due {
			t.Errorf("tags in use on %s: %v, %v; want %v among them: %v", e.GetPortId(), tags, err, e.GetTag(), due)
		}
	}
}

// packetFabricChanges changes description, rate limits and the A side's tag, at once and
// without anybody's consent.
func (w *world) packetFabricChanges(t *testing.T, way packetFabricWay, id string) {
	t.Helper()
	ctx, a := t.Context(), way.intent.Primary.GetASide()
	set := &patchbayv1.ChangeSet{Name: "renamed", BandwidthMbps: number(40)}
	want(t, "Alter", w.buyer.Alter(ctx, id, set), exchange.Done)
	c := w.get(t, w.buyer, id)
	if c.GetName() != "renamed" || c.GetBandwidthMbps() != 40 {
		t.Errorf("after the change %s, %d Mbit/s; want renamed, 40", c.GetName(), c.GetBandwidthMbps())
	}
	want(t, "Alter the term", w.buyer.Alter(ctx, id, &patchbayv1.ChangeSet{TermMonths: number(12)}), exchange.Refused)
	to, z := vlan(200), way.intent.Primary.GetZSide().GetTag()
	if a.GetTag().GetSTag() != 0 {
		to = double(200, 201)
	}
	if a.GetTag().GetUntagged() && z.GetUntagged() {
		want(t, "Tag an EPL", w.buyer.Alter(ctx, id, &patchbayv1.ChangeSet{Tag: to}), exchange.Refused)
		return
	}
	want(t, "Alter the tag", w.buyer.Alter(ctx, id, &patchbayv1.ChangeSet{Tag: to}), exchange.Done)
	if got := w.get(t, w.buyer, id).GetASide().GetTag(); outer(got) != 200 || got.GetCTag() != to.GetCTag() {
		t.Errorf("tag %v after the change, want %v", got, to)
	}
	back := a.GetTag()
	want(t, "Alter it back", w.buyer.Alter(ctx, id, &patchbayv1.ChangeSet{Tag: back}), exchange.Done)
}

// packetFabricGone checks that a circuit is in no list once it has ended, is forgotten some
// time later, and that it cannot end twice.
func (w *world) packetFabricGone(t *testing.T, way packetFabricWay, id string) {
	t.Helper()
	ctx := t.Context()
	want(t, "Remove what has ended", w.buyer.Remove(ctx, id), exchange.Over)
	err := w.buyer.List(ctx, exchange.Buyer, false, func(c *patchbayv1.Connection) error {
		return errors.New("still lists " + face(c))
	})
	if err != nil {
		t.Error(err)
	}
	time.Sleep(2 * time.Minute)
	if _, err := w.buyer.Get(ctx, id); !errors.Is(err, exchange.ErrGone) {
		t.Errorf("Get of what is forgotten: %v, want ErrGone", err)
	}
	want(t, "Remove what is forgotten", w.buyer.Remove(ctx, id), exchange.Over)
	found, err := w.buyer.Find(ctx, exchange.Placement{Intent: way.intent, Legs: legs[:1]})
	for _, c := range found.Circuits[exchange.Primary] {
		if !status.Status(c.GetStatus()).Ended() {
			t.Errorf("Find shows %s after its end", face(c))
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// TestPacketFabricPair orders two circuits, which nothing ties at the exchange.
func TestPacketFabricPair(t *testing.T) {
	inWorldOf(t, account.PacketFabric, func(t *testing.T, w *world) {
		in := inPacketFabric(onPort(acmeNYC, vlan(100)), onPort(acmeENNI, double(100, 101)))
		in.Secondary = &patchbayv1.Leg{Name: "second", ASide: onPort(acmeNYC2, vlan(100)), ZSide: onPort(acmeENNI2, double(100, 101))}
		ids := w.ordered(t, in, "own")
		for _, leg := range legs {
			c := w.get(t, w.buyer, ids[leg])
			if c.GetRedundancy() != "" || c.GetRedundancyGroup() != "" {
				t.Errorf("%s: redundancy %q of %q; PacketFabric shows none", leg, c.GetRedundancy(), c.GetRedundancyGroup())
			}
		}
	})
}

// TestPacketFabricHasNoGuard orders the same twice: both requests stand until the seller
// lands one of them.
func TestPacketFabricHasNoGuard(t *testing.T) {
	inWorldOf(t, account.PacketFabric, func(t *testing.T, w *world) {
		p := exchange.Placement{Intent: inPacketFabric(onPort(acmeNYC, vlan(100)), toCustomer()), Legs: legs[:1]}
		one, two := w.buyer.Place(t.Context(), p), w.buyer.Place(t.Context(), p)
		want(t, "Place", one, exchange.Done)
		want(t, "Place again", two, exchange.Done)
		found, err := w.buyer.Find(t.Context(), p)
		if n := len(found.Circuits[exchange.Primary]); err != nil || n != 2 {
			t.Errorf("%d found, %v; want both, for a person to choose", n, err)
		}
		land := exchange.Acceptance{ExchangeID: one.IDs[exchange.Primary], Kind: exchange.Create, PortID: cloudCHI, Tag: vlan(700)}
		want(t, "Accept one", w.seller.Accept(t.Context(), land), exchange.Done)
		land.ExchangeID, land.Tag = two.IDs[exchange.Primary], vlan(701)
		want(t, "Accept the other", w.seller.Accept(t.Context(), land), exchange.Taken)
		want(t, "Withdraw the other", w.buyer.Remove(t.Context(), land.ExchangeID), exchange.Done)
		if _, err := w.buyer.Get(t.Context(), land.ExchangeID); !errors.Is(err, exchange.ErrGone) {
			t.Errorf("Get of what was withdrawn: %v, want ErrGone", err)
		}
		want(t, "Reject what was withdrawn", w.seller.Reject(t.Context(), land.ExchangeID, exchange.Create, "no"), exchange.Over)
		want(t, "Withdraw it again", w.buyer.Remove(t.Context(), land.ExchangeID), exchange.Over)
		want(t, "Place a third", w.buyer.Place(t.Context(), p), exchange.Taken)
	})
}

// TestPacketFabricRejection has the seller reject a request.
func TestPacketFabricRejection(t *testing.T) {
	inWorldOf(t, account.PacketFabric, func(t *testing.T, w *world) {
		id := w.ordered(t, inPacketFabric(onPort(acmeNYC, vlan(100)), toCustomer()), "approval")[exchange.Primary]
		want(t, "Reject", w.seller.Reject(t.Context(), id, exchange.Create, "no room"), exchange.Done)
		w.follows(t, id, status.ApprovalFlow, pfRejected)
		w.seen(t, w.buyer, exchange.Buyer, id)
		w.seen(t, w.seller, exchange.Seller, id)
		want(t, "Reject again", w.seller.Reject(t.Context(), id, exchange.Create, "no room"), exchange.Over)
		land := exchange.Acceptance{ExchangeID: id, Kind: exchange.Create, PortID: cloudCHI, Tag: vlan(700)}
		want(t, "Accept too late", w.seller.Accept(t.Context(), land), exchange.Refused)
		want(t, "Remove what was rejected", w.buyer.Remove(t.Context(), id), exchange.Over)
	})
}

// TestPacketFabricLandings tries landings that the exchange, or the adapter, refuses.
func TestPacketFabricLandings(t *testing.T) {
	inWorldOf(t, account.PacketFabric, func(t *testing.T, w *world) {
		id := w.ordered(t, inPacketFabric(onPort(acmeNYC, untagged()), toCustomer()), "approval")[exchange.Primary]
		for _, tt := range []struct {
			reason, port string
			tag          *patchbayv1.Tag
		}{
			{"the request does not allow an untagged Z side", cloudCHI, untagged()},
			{"an ENNI port has two tags", cloudENNI, vlan(5)},
			{"the port is no ENNI", cloudCHI, double(5, 6)},
			{"the port is the buyer's", acmeNYC, vlan(5)},
			{"the port is in another market", "PF-AP-ATL1-2100001", vlan(5)},
			{"1 to 3 are reserved", cloudCHI, vlan(3)},
			{"no port", "", vlan(5)},
			{"no tag", cloudCHI, nil},
		} {
			a := exchange.Acceptance{ExchangeID: id, Kind: exchange.Create, PortID: tt.port, Tag: tt.tag}
			if out := w.seller.Accept(t.Context(), a); out.Class != exchange.Refused {
				t.Errorf("Accept on %s %v: %+v, want refused: %s", tt.port, tt.tag, out, tt.reason)
			}
		}
		if got := face(w.get(t, w.buyer, id)); got != pfAsked {
			t.Errorf("%s after refusals, want %s", got, pfAsked)
		}
	})
}

// TestPacketFabricFailure lets the building of a circuit fail: the exchange leaves it as it
// is, and it holds its tags.
func TestPacketFabricFailure(t *testing.T) {
	inWorldOf(t, account.PacketFabric, func(t *testing.T, w *world) {
		id := w.ordered(t, inPacketFabric(onPort(acmeNYC, vlan(100)), onPort(acmeNYC2, vlan(101))), "own")[exchange.Primary]
		if err := w.sandbox.Edit(sandbox.Edit{Kind: "fail", Connection: id}); err != nil {
			t.Fatal(err)
		}
		c := w.get(t, w.buyer, id)
		if c.GetStatus() != "PROVISIONING" || c.GetNative().GetChange() == "" {
			t.Errorf("%s, want PROVISIONING and the workflow's last word", face(c))
		}
		w.packetFabricInUse(t, packetFabricWay{intent: inPacketFabric(onPort(acmeNYC, vlan(100)), toCustomer())}, true)
		want(t, "Remove", w.buyer.Remove(t.Context(), id), exchange.Done)
	})
}

// TestPacketFabricParties reads what belongs to whom.
func TestPacketFabricParties(t *testing.T) {
	inWorldOf(t, account.PacketFabric, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.ordered(t, inPacketFabric(onPort(acmeNYC, vlan(100)), toCustomer()), "approval")[exchange.Primary]
		bought, err := w.buyer.Parties(ctx)
		if err != nil || !slices.Contains(bought.Ports, acmeNYC) || len(bought.Profiles) != 0 {
			t.Errorf("the buyer's parties %+v, %v; want its ports", bought, err)
		}
		sold, err := w.seller.Parties(ctx)
		seller := w.get(t, w.seller, id).GetZSide().GetProfileId()
		if err != nil || !slices.Contains(sold.Profiles, seller) || len(sold.Ports) != 0 {
			t.Errorf("the seller's parties %+v, %v; want %s, whom the request shows", sold, err, seller)
		}
		n := 0
		err = w.seller.List(ctx, exchange.Buyer, false, func(*patchbayv1.Connection) error { n++; return nil })
		if err != nil || n != 0 {
			t.Errorf("the seller bought %d circuits, %v; want none", n, err)
		}
		for _, nowhere := range []string{"00000000-0000-4000-8000-000000000000", "PF-DC-NYC-CHI-9999999"} {
			if _, err := w.buyer.Get(ctx, nowhere); !errors.Is(err, exchange.ErrGone) {
				t.Errorf("Get of nothing: %v, want ErrGone", err)
			}
			want(t, "Remove nothing", w.buyer.Remove(ctx, nowhere), exchange.Over)
		}
	})
}

// TestPacketFabricViolationsAreRefusals holds the rules of Check against the sandbox's own.
func TestPacketFabricViolationsAreRefusals(t *testing.T) {
	a := onPort(acmeNYC, vlan(100))
	slow, free := inPacketFabric(a, toCustomer()), inPacketFabric(a, toCustomer())
	slow.BandwidthMbps, free.Billing = number(51), &patchbayv1.Billing{}
	tests := map[string]*patchbayv1.CreateIntent{
		"port":        inPacketFabric(onPort("nobodys", vlan(100)), toCustomer()),
		"vlan":        inPacketFabric(onPort(acmeNYC, vlan(3)), toCustomer()),
		"S-tag":       inPacketFabric(onPort(acmeNYC, double(100, 101)), toCustomer()),
		"no S-tag":    inPacketFabric(onPort(acmeENNI, vlan(100)), toCustomer()),
		"market":      inPacketFabric(a, &patchbayv1.Endpoint{RoutingId: cloudRouting, Market: "SV"}),
		"service":     inPacketFabric(a, &patchbayv1.Endpoint{RoutingId: cloudRouting, Market: "CHI", ServiceId: acmeBilling}),
		"same end":    inPacketFabric(a, onPort(acmeNYC, vlan(100))),
		"bandwidth":   slow,
		"no account":  free,
		"far side":    inPacketFabric(a, onPort(cloudCHI, vlan(5))),
		"far side vl": inPacketFabric(a, onPort(acmeNYC2, vlan(4095))),
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			inWorldOf(t, account.PacketFabric, func(t *testing.T, w *world) {
				checked, err := w.buyer.Check(t.Context(), in)
				if err != nil || len(checked.Violations) == 0 {
					t.Errorf("Check = %v, %v; want a violation", checked.Violations, err)
				}
				out := w.buyer.Place(t.Context(), exchange.Placement{Intent: in, Legs: legs[:1]})
				if out.Class != exchange.Refused && (name != "same end" || out.Class != exchange.Taken) {
					t.Errorf("Place: %+v, want refused", out)
				}
			})
		})
	}
}
