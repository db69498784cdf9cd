package conformance_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
)

// Ports and profiles of the sandbox's inventory.
const (
	qinqA       = "6f891d3b-972d-73d0-bae3-30ac1995197a"
	qinqB       = "7f892d5b-993f-73f0-bae0-32ad1889197a"
	dot1qA      = "4f891d3b-973e-73e0-bae0-30ac1885197a"
	dot1qB      = "7g831d3b-9740-7420-bae0-30ac1885127a"
	storage     = "2a73af1a-3c74-47ac-b778-6bf455d1174e" // sold by hand, Dot1q
	cloudDirect = "c10f0000-0000-4000-8000-000000000005" // integrated
)

var legs = []string{exchange.Primary, exchange.Secondary}

// pair is the guide's third sample.
func pair() *patchbayv1.CreateIntent {
	tag := func(s, c int32) *patchbayv1.Tag { return &patchbayv1.Tag{STag: &s, CTag: &c} }
	mbps := int32(50)
	return &patchbayv1.CreateIntent{
		Name: "JohnDoe_QinQ_To_Dot1Q", BandwidthMbps: &mbps, PurchaseOrder: "1234567890",
		Notifications: []*patchbayv1.Notification{{Emails: []string{"john.doe@example.com"}}},
		Primary: &patchbayv1.Leg{
			ASide: &patchbayv1.Endpoint{PortId: qinqA, Tag: tag(771, 117)},
			ZSide: &patchbayv1.Endpoint{ProfileId: storage, Metro: "SV", Region: "us-sv", AuthorizationKey: "xxxxxxxx"},
		},
		Secondary: &patchbayv1.Leg{Name: "JohnDoe_QinQ_To_Dot1Q2",
			ASide: &patchbayv1.Endpoint{PortId: qinqB, Tag: tag(881, 118)}},
	}
}

func placement(in *patchbayv1.CreateIntent) exchange.Placement {
	return exchange.Placement{Intent: in, Legs: legs}
}

// stands fails the test unless a circuit is shown in a state, to both parties.
func (w *world) stands(t *testing.T, id, status, provider string) *patchbayv1.Connection {
	t.Helper()
	var shown *patchbayv1.Connection
	for _, c := range []exchange.Client{w.seller, w.buyer} {
		var err error
		if shown, err = c.Get(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if shown.GetStatus() != status || shown.GetProviderStatus() != provider {
			t.Fatalf("circuit %s is %s/%s, want %s/%s", id, shown.GetStatus(), shown.GetProviderStatus(), status, provider)
		}
	}
	return shown
}

// landing is a free Dot1q port of the seller in SV.
func (w *world) landing(t *testing.T) string {
	t.Helper()
	ports, err := w.seller.Ports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(ports, func(p exchange.Port) bool { return p.Metro == "SV" && p.Encapsulation == "dot1q" })
	if i < 0 {
		t.Fatalf("no Dot1q port in SV among %v", ports)
	}
	return ports[i].ID
}

// TestLifeOfAPair goes from a check to the end of both circuits.
func TestLifeOfAPair(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, in := t.Context(), pair()
		checked, err := w.buyer.Check(ctx, in)
		if err != nil || len(checked.Violations) != 0 || checked.Flow != "approval" {
			t.Fatalf("Check = %+v, %v; want no violations and the approval flow", checked, err)
		}
		placed := w.buyer.Place(ctx, placement(in))
		want(t, "Place", placed, exchange.Done)
		found, err := w.buyer.Find(ctx, placement(in))
		if err != nil {
			t.Fatal(err)
		}
		if found.Ahead.Abs() > 5*time.Second {
			t.Errorf("the clock is %v ahead, and it is the same clock", found.Ahead)
		}
		keys := w.buyer.Keys(in)
		for i, leg := range legs {
			id := placed.IDs[leg]
			if got := found.Circuits[leg]; len(got) != 1 || got[0].GetExchangeId() != id {
				t.Fatalf("%s: found %v, want %s alone", leg, got, id)
			}
			shown := w.stands(t, id, "PENDING_APPROVAL", "NOT_AVAILABLE")
			if got := w.buyer.KeyOf(shown); got != keys[leg] || shown.GetRedundancy() != leg {
				t.Errorf("%s: key %s, redundancy %s; want %s", leg, got, shown.GetRedundancy(), keys[leg])
			}
			w.live(t, id, int32(500+i))
		}
	})
}

// live takes a circuit from its approval to its end.
func (w *world) live(t *testing.T, id string, vlan int32) {
	t.Helper()
	ctx := t.Context()
	land := exchange.Acceptance{ExchangeID: id, Kind: exchange.Create, PortID: w.landing(t), Tag: &patchbayv1.Tag{Vlan: &vlan}}
	want(t, "Accept", w.seller.Accept(ctx, land), exchange.Done)
	want(t, "Accept again", w.seller.Accept(ctx, land), exchange.Refused)
	w.stands(t, id, "PROVISIONING", "NOT_AVAILABLE")
	want(t, "Remove too early", w.buyer.Remove(ctx, id), exchange.Moving)
	time.Sleep(3 * time.Second)
	shown := w.stands(t, id, "PROVISIONED", "AVAILABLE")
	if z := shown.GetZSide(); z.GetPortId() != land.PortID || z.GetTag().GetVlan() != vlan {
		t.Errorf("landed on %v, want port %s and VLAN %d", z, land.PortID, vlan)
	}

	mbps := int32(1000)
	want(t, "Alter", w.buyer.Alter(ctx, id, &patchbayv1.ChangeSet{Name: "John_Demo", BandwidthMbps: &mbps}), exchange.Done)
	if c := w.stands(t, id, "PROVISIONED", "AVAILABLE"); !c.GetChangePending() || c.GetPendingBandwidthMbps() != mbps {
		t.Errorf("change pending %v for %d, want it to wait for %d", c.GetChangePending(), c.GetPendingBandwidthMbps(), mbps)
	}
	want(t, "Accept the change", w.seller.Accept(ctx, exchange.Acceptance{ExchangeID: id, Kind: exchange.Change}), exchange.Done)
	time.Sleep(3 * time.Second)
	if c := w.stands(t, id, "PROVISIONED", "AVAILABLE"); c.GetBandwidthMbps() != mbps || c.GetName() != "John_Demo" || c.GetChangePending() {
		t.Errorf("after the change: %v", c)
	}

	want(t, "Remove", w.buyer.Remove(ctx, id), exchange.Done)
	w.stands(t, id, "PENDING_DELETE", "AVAILABLE")
	want(t, "Reject the end", w.seller.Reject(ctx, id, exchange.Delete, "still in use"), exchange.Done)
	if c := w.stands(t, id, "PROVISIONED", "AVAILABLE"); c.GetRejectComment() != "still in use" {
		t.Errorf("reject comment %q, want the seller's words", c.GetRejectComment())
	}
	want(t, "Remove again", w.buyer.Remove(ctx, id), exchange.Done)
	want(t, "Consent", w.seller.Accept(ctx, exchange.Acceptance{ExchangeID: id, Kind: exchange.Delete}), exchange.Done)
	w.stands(t, id, "DEPROVISIONING", "AVAILABLE")
	time.Sleep(3 * time.Second)
	w.stands(t, id, "DEPROVISIONED", "NOT_AVAILABLE")
	want(t, "Remove what is gone", w.buyer.Remove(ctx, id), exchange.Over)
}

func TestRejection(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		out := w.buyer.Place(t.Context(), placement(pair()))
		want(t, "Place", out, exchange.Done)
		id := out.IDs[exchange.Secondary]
		want(t, "Reject", w.seller.Reject(t.Context(), id, exchange.Create, "no room"), exchange.Done)
		if c := w.stands(t, id, "REJECTED", "NOT_AVAILABLE"); c.GetRejectComment() != "no room" {
			t.Errorf("reject comment %q, want the seller's", c.GetRejectComment())
		}
		want(t, "Reject again", w.seller.Reject(t.Context(), id, exchange.Create, "no room"), exchange.Refused)
	})
}

func TestIntegratedPair(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		in := pair()
		one, two := int32(873), int32(874)
		in.Primary.ASide = &patchbayv1.Endpoint{PortId: dot1qA, Tag: &patchbayv1.Tag{Vlan: &one}}
		in.Secondary.ASide = &patchbayv1.Endpoint{PortId: dot1qB, Tag: &patchbayv1.Tag{Vlan: &two}}
		in.Primary.ZSide.ProfileId = cloudDirect
		checked, err := w.buyer.Check(t.Context(), in)
		if err != nil || len(checked.Violations) != 0 || checked.Flow != "integrated" {
			t.Fatalf("Check = %+v, %v; want the integrated flow", checked, err)
		}
		out := w.buyer.Place(t.Context(), placement(in))
		want(t, "Place", out, exchange.Done)
		time.Sleep(10 * time.Second)
		shown, err := w.buyer.Get(t.Context(), out.IDs[exchange.Primary])
		if err != nil || shown.GetStatus() != "PROVISIONED" || shown.GetProviderStatus() != "PROVISIONED" {
			t.Errorf("%v, %v; want it provisioned without anybody's consent", shown, err)
		}
		if shown.GetFlow() != "integrated" {
			t.Errorf("flow %q, want the profile's", shown.GetFlow())
		}
	})
}

func TestListsAndParties(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		out := w.buyer.Place(ctx, placement(pair()))
		want(t, "Place", out, exchange.Done)
		want(t, "Reject", w.seller.Reject(ctx, out.IDs[exchange.Secondary], exchange.Create, "no"), exchange.Done)
		for _, tt := range []struct {
			client exchange.Client
			role   string
			moving bool
			want   int
		}{
			{w.buyer, exchange.Buyer, false, 2}, {w.buyer, exchange.Buyer, true, 1},
			{w.seller, exchange.Seller, false, 2}, {w.seller, exchange.Seller, true, 1},
			{w.seller, exchange.Buyer, false, 0},
		} {
			n := 0
			err := tt.client.List(ctx, tt.role, tt.moving, func(*patchbayv1.Connection) error { n++; return nil })
			if err != nil || n != tt.want {
				t.Errorf("list of the %s, moving %v: %d circuits, %v; want %d", tt.role, tt.moving, n, err, tt.want)
			}
		}
		bought, err := w.buyer.Parties(ctx)
		if err != nil || !slices.Contains(bought.Ports, qinqA) || len(bought.Profiles) != 0 {
			t.Errorf("the buyer's parties %+v, %v; want its ports", bought, err)
		}
		sold, err := w.seller.Parties(ctx)
		if err != nil || !slices.Contains(sold.Profiles, storage) || len(sold.Ports) != 0 {
			t.Errorf("the seller's parties %+v, %v; want its profiles", sold, err)
		}
		if _, err := w.buyer.Get(ctx, "00000000-0000-4000-8000-000000000000"); !errors.Is(err, exchange.ErrGone) {
			t.Errorf("Get of nothing: %v, want ErrGone", err)
		}
		want(t, "Remove nothing", w.buyer.Remove(ctx, "00000000-0000-4000-8000-000000000000"), exchange.Over)
	})
}

// TestViolationsAreRefusals holds the rules of Check against the sandbox's own: what the
// one finds wrong the other refuses, by the exchange's own words and never by accident.
func TestViolationsAreRefusals(t *testing.T) {
	tests := map[string]func(*patchbayv1.CreateIntent){
		"port":      func(in *patchbayv1.CreateIntent) { in.Primary.ASide.PortId = "nobodys" },
		"tag":       func(in *patchbayv1.CreateIntent) { *in.Primary.ASide.Tag.STag = 4093 },
		"C-tag":     func(in *patchbayv1.CreateIntent) { in.Primary.ASide.Tag.CTag = nil },
		"profile":   func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.ProfileId = "none" },
		"metro":     func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.Metro = "XX" },
		"key":       func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.AuthorizationKey = "wrong" },
		"no key":    func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.AuthorizationKey = "" },
		"bandwidth": func(in *patchbayv1.CreateIntent) { *in.BandwidthMbps = 70 },
		"peering":   func(in *patchbayv1.CreateIntent) { in.Primary.ZSide.Peering = "PRIVATE" },
		"Z C-tag":   func(in *patchbayv1.CreateIntent) { n := int32(5); in.Primary.ZSide.CTag = &n },
	}
	for name, breakIt := range tests {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				in := pair()
				breakIt(in)
				checked, err := w.buyer.Check(t.Context(), in)
				if err != nil || len(checked.Violations) != 1 {
					t.Errorf("Check = %v, %v; want one violation", checked.Violations, err)
				}
				want(t, "Place", w.buyer.Place(t.Context(), placement(in)), exchange.Refused)
			})
		})
	}
}
