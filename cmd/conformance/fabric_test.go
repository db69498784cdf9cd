package conformance_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/fabric"
	"patchbay.io/pkg/status"
	"patchbay.io/services/sandbox"
)

// Ports, profiles and tokens of the sandbox's inventory that Fabric lists, all in SV.
const (
	acmeDot1q    = "aced1050-0000-4000-8000-000000000001"
	acmeDot1q2   = "aced1050-0000-4000-8000-000000000002"
	acmeQinQ     = "ace99050-0000-4000-8000-000000000001"
	acmeQinQ2    = "ace99050-0000-4000-8000-000000000002"
	acmeBare     = "ace00050-0000-4000-8000-000000000001"
	acmeBare2    = "ace00050-0000-4000-8000-000000000002"
	cloudDot1q   = "c10d1050-0000-4000-8000-000000000001"
	cloudQinQ    = "c1099050-0000-4000-8000-000000000001"
	cloudOpen    = "c10f0000-0000-4000-8000-000000000008"
	cloudPeering = "c10f0000-0000-4000-8000-000000000006"
	cloudExpress = "c10f0000-0000-4000-8000-000000000007"
	cloudConnect = "20d32a80-0d61-4333-bc03-707b591ae2f4"
	zToken       = "20d32a80-0d61-4333-bc03-707b591ae2f4"
	zTokenQinQ   = "20d32a80-0d61-4333-bc03-707b591ae2f6"
	aToken       = "20d32a80-0d61-4333-bc03-707b591ae2f7"
	eplToken     = "20d32a80-0d61-4333-bc03-707b591ae2f8"
)

// inFabric is an intent for one circuit at Fabric.
func inFabric(a, z *patchbayv1.Endpoint) *patchbayv1.CreateIntent {
	return &patchbayv1.CreateIntent{Name: "Conn-1", BandwidthMbps: number(50),
		Notifications: []*patchbayv1.Notification{{Emails: []string{"john.doe@example.com"}}},
		Primary:       &patchbayv1.Leg{ASide: a, ZSide: z}}
}

func byToken(id string) *patchbayv1.Endpoint { return &patchbayv1.Endpoint{ServiceToken: id} }

func toProfile(id string) *patchbayv1.Endpoint {
	return &patchbayv1.Endpoint{ProfileId: id, Metro: "SV"}
}

func withKey(e *patchbayv1.Endpoint, key string) *patchbayv1.Endpoint {
	e.AuthorizationKey = key
	return e
}

// fabricWay is a way of ordering a circuit at Fabric.
type fabricWay struct {
	name   string
	intent *patchbayv1.CreateIntent
	// checked is the flow that Check names, and flow that of the chart.
	checked string
	flow    status.Flow
	landing *patchbayv1.Endpoint // where the seller puts it, if he is asked
	keyless bool                 // it has no look-up key
}

// fabricWays are all ways of ordering.
func fabricWays() []fabricWay {
	peering := withKey(toProfile(cloudPeering), "xxxxxxxx")
	peering.Peering = "MICROSOFT"
	fast := inFabric(onPort(acmeDot1q, vlan(100)), withKey(toProfile(cloudExpress), "express-50"))
	fast.BandwidthMbps = nil
	dot, qin := onPort(cloudDot1q, vlan(700)), onPort(cloudQinQ, double(700, 701))
	own := func(name string, a, z *patchbayv1.Endpoint) fabricWay {
		return fabricWay{name: name, intent: inFabric(a, z), checked: "own", flow: status.OwnFlow}
	}
	token := func(name string, a, z *patchbayv1.Endpoint) fabricWay {
		return fabricWay{name: name, intent: inFabric(a, z), checked: "token", flow: status.OwnFlow}
	}
	asked := func(name string, in *patchbayv1.CreateIntent, landing *patchbayv1.Endpoint) fabricWay {
		return fabricWay{name: name, intent: in, checked: "approval", flow: status.ApprovalFlow, landing: landing}
	}
	both := token("token to token", byToken(aToken), byToken(zTokenQinQ))
	both.keyless = true
	return []fabricWay{
		token("Z token", onPort(acmeDot1q, vlan(100)), byToken(zToken)),
		token("A token to a port", byToken(aToken), onPort(acmeDot1q, vlan(100))),
		both,
		token("EPL token", onPort(acmeBare, nil), byToken(eplToken)),
		asked("A token to a profile", inFabric(byToken(aToken), toProfile(cloudOpen)), dot),
		asked("profile", inFabric(onPort(acmeDot1q, vlan(100)), toProfile(cloudConnect)), qin),
		asked("profile from QinQ", inFabric(onPort(acmeQinQ, double(100, 101)), toProfile(cloudOpen)), dot),
		asked("key", inFabric(onPort(acmeDot1q, vlan(100)), withKey(toProfile(storage), "xxxxxxxx")), dot),
		asked("key that names the bandwidth", fast, dot),
		asked("named tag", inFabric(onPort(acmeDot1q, vlan(100)), peering), qin),
		{name: "integrated profile", checked: "integrated", flow: status.IntegratedFlow,
			intent: inFabric(onPort(acmeDot1q, vlan(100)), withKey(toProfile(cloudDirect), "xxxxxxxx"))},
		own("own Dot1q to Dot1q", onPort(acmeDot1q, vlan(100)), onPort(acmeDot1q2, vlan(101))),
		own("own Dot1q to QinQ", onPort(acmeDot1q, vlan(100)), onPort(acmeQinQ, double(101, 102))),
		own("own QinQ to Dot1q", onPort(acmeQinQ, double(100, 101)), onPort(acmeDot1q, vlan(102))),
		own("own QinQ to QinQ", onPort(acmeQinQ, double(100, 0)), onPort(acmeQinQ2, double(101, 0))),
		own("own EPL", onPort(acmeBare, nil), onPort(acmeBare2, nil)),
	}
}

// fabricBuilt are the faces of a circuit from its order, or its seller's consent, until it
// stands, by flow; fabricEnded those after its deletion, or the seller's consent to it.
var (
	fabricBuilt = map[status.Flow][]string{
		status.ApprovalFlow: {
			"PROVISIONING/PROVISIONING = PROVISIONING,PROVISIONING,PROVISIONING,APPROVED",
			"PROVISIONED/AVAILABLE = PROVISIONED,PROVISIONED,AVAILABLE,COMPLETED"},
		status.IntegratedFlow: {
			"PROVISIONING/PROVISIONING = PROVISIONING,PROVISIONING,PROVISIONING,REQUESTED",
			"PROVISIONING/PROVISIONING = PROVISIONING,PROVISIONING,PROVISIONING,APPROVED",
			"PROVISIONED/AVAILABLE = PROVISIONED,PROVISIONED,AVAILABLE,COMPLETED"},
		status.OwnFlow: {
			"PROVISIONING/NOT_AVAILABLE = PROVISIONING,PROVISIONING,NOT_AVAILABLE,REQUESTED",
			"PROVISIONED/AVAILABLE = PROVISIONED,PROVISIONED,AVAILABLE,COMPLETED"},
	}
	fabricEnded = []string{"DEPROVISIONED/DEPROVISIONED = DEPROVISIONED,DEPROVISIONED,DEPROVISIONED,COMPLETED"}
)

const fabricAsked = "PENDING_APPROVAL/NOT_AVAILABLE = PENDING,PENDING_APPROVAL,NOT_AVAILABLE,SUBMITTED_FOR_APPROVAL"

// TestFabricWays takes a circuit of each kind from a check to its end.
func TestFabricWays(t *testing.T) {
	for _, way := range fabricWays() {
		t.Run(way.name, func(t *testing.T) {
			inWorldOf(t, account.Fabric, func(t *testing.T, w *world) {
				if got := w.buyer.Keys(way.intent)[exchange.Primary]; (got == "") != way.keyless {
					t.Errorf("look-up key %q, want one: %v", got, !way.keyless)
				}
				id := w.ordered(t, way.intent, way.checked)[exchange.Primary]
				w.fabricInUse(t, way, true)
				if way.landing != nil {
					w.fabricLands(t, way, id)
				}
				w.seen(t, w.buyer, exchange.Buyer, id)
				w.follows(t, id, way.flow, fabricBuilt[way.flow]...)
				w.seen(t, w.buyer, exchange.Buyer, id)
				w.fabricChanges(t, way, id)
				w.fabricEnds(t, way, id)
				w.seen(t, w.buyer, exchange.Buyer, id)
				w.fabricInUse(t, way, false)
				w.fabricPast(t, way, id)
			})
		})
	}
}

// fabricInUse checks that the tags of both of the buyer's ends are in use, or are not.
func (w *world) fabricInUse(t *testing.T, way fabricWay, due bool) {
	t.Helper()
	for _, e := range []*patchbayv1.Endpoint{way.intent.Primary.GetASide(), way.intent.Primary.GetZSide()} {
		if e.GetPortId() == "" || e.GetTag() == nil {
			continue
		}
		tags, err := w.buyer.(exchange.TagsInUse).InUse(t.Context(), e.GetPortId())
		is := slices.ContainsFunc(tags, func(u *patchbayv1.Tag) bool {
			return u.GetVlan() == e.GetTag().GetVlan() && u.GetSTag() == e.GetTag().GetSTag() && u.GetCTag() == e.GetTag().GetCTag()
		})
		if err != nil || is != due {
			t.Errorf("tags in use on %s: %v, %v; want %v among them: %v", e.GetPortId(), tags, err, e.GetTag(), due)
		}
	}
}

// fabricLands has the seller see a request and put it on a port.
func (w *world) fabricLands(t *testing.T, way fabricWay, id string) {
	t.Helper()
	if got := face(w.get(t, w.seller, id)); got != fabricAsked {
		t.Errorf("the seller sees %s, want %s", got, fabricAsked)
	}
	w.seen(t, w.buyer, exchange.Buyer, id)
	w.seen(t, w.seller, exchange.Seller, id)
	due := "dot1q"
	if way.landing.GetTag().GetSTag() != 0 {
		due = "qinq"
	}
	kind, err := w.seller.(exchange.LandsOn).LandsOn(t.Context(), way.intent.Primary.GetZSide().GetProfileId())
	if err != nil || kind != due {
		t.Errorf("the profile lands on ports of %q, %v; want %q", kind, err, due)
	}
	a := exchange.Acceptance{ExchangeID: id, Kind: exchange.Create, PortID: way.landing.GetPortId(), Tag: way.landing.GetTag()}
	want(t, "Accept", w.seller.Accept(t.Context(), a), exchange.Done)
	want(t, "Accept again", w.seller.Accept(t.Context(), a), exchange.Moving)
	want(t, "Remove too early", w.buyer.Remove(t.Context(), id), exchange.Moving)
	z := w.get(t, w.buyer, id).GetZSide()
	if tag := z.GetTag(); z.GetPortId() != a.PortID || tag.GetVlan() != a.Tag.GetVlan() || tag.GetCTag() != a.Tag.GetCTag() {
		t.Errorf("landed on %v, want %s %v", z, a.PortID, a.Tag)
	}
}

// fabricChanges changes name and bandwidth, with the seller's consent where it is wanted.
func (w *world) fabricChanges(t *testing.T, way fabricWay, id string) {
	t.Helper()
	ctx := t.Context()
	want(t, "Alter the tag", w.buyer.Alter(ctx, id, &patchbayv1.ChangeSet{Tag: vlan(5)}), exchange.Refused)
	bound, mbps := way.intent.BandwidthMbps == nil, int32(200)
	set := &patchbayv1.ChangeSet{Name: "renamed", BandwidthMbps: &mbps}
	if bound {
		want(t, "Alter what the key says", w.buyer.Alter(ctx, id, set), exchange.Refused)
		set.BandwidthMbps, mbps = nil, 50
	}
	want(t, "Alter", w.buyer.Alter(ctx, id, set), exchange.Done)
	if c := w.get(t, w.buyer, id); way.landing != nil && !bound {
		if !c.GetChangePending() || c.GetPendingBandwidthMbps() != mbps {
			t.Errorf("change pending %v for %d, want it to wait for %d", c.GetChangePending(), c.GetPendingBandwidthMbps(), mbps)
		}
		w.seen(t, w.seller, exchange.Seller, id)
		consent := exchange.Acceptance{ExchangeID: id, Kind: exchange.Change}
		want(t, "Accept the change", w.seller.Accept(ctx, consent), exchange.Done)
	}
	w.trail(t, id, way.flow)
	c := w.get(t, w.buyer, id)
	if c.GetName() != "renamed" || c.GetBandwidthMbps() != mbps || c.GetChangePending() {
		t.Errorf("after the change %s, %d Mbit/s, pending %v; want it done", c.GetName(), c.GetBandwidthMbps(), c.GetChangePending())
	}
}

// fabricEnds deletes a circuit, with the seller's consent where it is wanted.
func (w *world) fabricEnds(t *testing.T, way fabricWay, id string) {
	t.Helper()
	ctx := t.Context()
	want(t, "Remove", w.buyer.Remove(ctx, id), exchange.Done)
	going := "DEPROVISIONING/DEPROVISIONING = DEPROVISIONING,DEPROVISIONING,DEPROVISIONING,REQUESTED"
	if way.landing != nil {
		waits := "PENDING_DELETE/AVAILABLE = PROVISIONED,PENDING_DELETE,AVAILABLE,SUBMITTED_FOR_APPROVAL"
		if got := face(w.get(t, w.seller, id)); got != waits {
			t.Errorf("the seller sees %s, want %s", got, waits)
		}
		w.seen(t, w.seller, exchange.Seller, id)
		out := w.seller.Reject(ctx, id, exchange.Delete, "still in use")
		want(t, "Reject the end", out, exchange.Refused)
		if out.Answer != "not sent" {
			t.Errorf("answer %q, want nothing sent: Fabric has no such action", out.Answer)
		}
		want(t, "Consent", w.seller.Accept(ctx, exchange.Acceptance{ExchangeID: id, Kind: exchange.Delete}), exchange.Done)
		going = strings.Replace(going, "REQUESTED", "APPROVED", 1)
	}
	w.follows(t, id, way.flow, append([]string{going}, fabricEnded...)...)
	want(t, "Remove what is gone", w.buyer.Remove(ctx, id), exchange.Over)
}

// fabricPast checks what the exchange's own events tell of a circuit's life.
func (w *world) fabricPast(t *testing.T, way fabricWay, id string) {
	t.Helper()
	past, err := w.buyer.(exchange.Past).Past(t.Context(), id, w.start)
	var states []string
	for i, p := range past {
		if n := len(states); n == 0 || states[n-1] != p.State {
			states = append(states, p.State)
		}
		if i > 0 && p.At.Before(past[i-1].At) {
			t.Errorf("%s at %v comes after %v", p.State, p.At, past[i-1].At)
		}
	}
	lived := []string{"PROVISIONING", "PROVISIONED", "REPROVISIONING", "PROVISIONED", "DEPROVISIONING", "DEPROVISIONED"}
	if way.landing != nil {
		lived = append([]string{"PENDING"}, lived...)
	}
	if way.intent.BandwidthMbps == nil {
		lived = slices.DeleteFunc(lived, func(s string) bool { return s == "REPROVISIONING" })
		lived = slices.Compact(lived)
	}
	if err != nil || !slices.Equal(states, lived) {
		t.Errorf("the past is %v, %v; want %v", states, err, lived)
	}
}

// TestFabricPair orders two circuits that know of each other.
func TestFabricPair(t *testing.T) {
	inWorldOf(t, account.Fabric, func(t *testing.T, w *world) {
		in := inFabric(onPort(acmeDot1q, vlan(100)), toProfile(cloudOpen))
		in.Secondary = &patchbayv1.Leg{Name: "Conn-2", ASide: onPort(acmeDot1q2, vlan(100))}
		ids := w.ordered(t, in, "approval")
		one, two := w.get(t, w.buyer, ids[exchange.Primary]), w.get(t, w.seller, ids[exchange.Secondary])
		if one.GetRedundancyGroup() == "" || one.GetRedundancyGroup() != two.GetRedundancyGroup() {
			t.Errorf("groups %q and %q, want one", one.GetRedundancyGroup(), two.GetRedundancyGroup())
		}
		if one.GetRedundancy() != exchange.Primary || two.GetRedundancy() != exchange.Secondary {
			t.Errorf("the legs are %q and %q, want primary and secondary", one.GetRedundancy(), two.GetRedundancy())
		}
		for leg, tag := range map[string]int32{exchange.Primary: 700, exchange.Secondary: 701} {
			a := exchange.Acceptance{ExchangeID: ids[leg], Kind: exchange.Create, PortID: cloudDot1q, Tag: vlan(tag), Redundancy: leg}
			want(t, "Accept "+leg, w.seller.Accept(t.Context(), a), exchange.Done)
			w.follows(t, ids[leg], status.ApprovalFlow, fabricBuilt[status.ApprovalFlow]...)
		}
	})
}

// TestFabricPairWithoutGroup places the secondary when the answer that had the group is lost.
func TestFabricPairWithoutGroup(t *testing.T) {
	inWorldOf(t, account.Fabric, func(t *testing.T, w *world) {
		in := inFabric(onPort(acmeDot1q, vlan(100)), toProfile(cloudOpen))
		in.Secondary = &patchbayv1.Leg{Name: "Conn-2", ASide: onPort(acmeDot1q2, vlan(100))}
		w.fault(t, sandbox.Fault{Kind: sandbox.LostAnswer, Match: sandbox.Match{Method: "POST", Path: "/fabric/v4/connections"}})
		place := func(leg string) exchange.Outcome {
			return w.buyer.Place(t.Context(), exchange.Placement{Intent: in, Legs: []string{leg}})
		}
		want(t, "Place the primary", place(exchange.Primary), exchange.Unknown)
		two := place(exchange.Secondary)
		want(t, "Place the secondary", two, exchange.Done)
		shown := w.get(t, w.buyer, two.IDs[exchange.Secondary])
		if c, ok := w.sandbox.Connection(two.IDs[exchange.Secondary]); !ok || c.Group == "" || shown.GetRedundancyGroup() != c.Group {
			t.Errorf("the secondary is in group %q, want that of the primary", shown.GetRedundancyGroup())
		}
	})
}

func (w *world) fault(t *testing.T, f sandbox.Fault) {
	t.Helper()
	if _, err := w.sandbox.AddFault(f); err != nil {
		t.Fatal(err)
	}
}

// TestFabricRejections has the seller reject an order, and then a change.
func TestFabricRejections(t *testing.T) {
	inWorldOf(t, account.Fabric, func(t *testing.T, w *world) {
		ctx := t.Context()
		id := w.ordered(t, inFabric(onPort(acmeDot1q, vlan(100)), toProfile(cloudOpen)), "approval")[exchange.Primary]
		want(t, "Reject", w.seller.Reject(ctx, id, exchange.Create, "no room"), exchange.Done)
		w.follows(t, id, status.ApprovalFlow, "REJECTED/REJECTED = FAILED,REJECTED,REJECTED,REJECTED")
		if c := w.get(t, w.buyer, id); c.GetRejectComment() != "no room" {
			t.Errorf("reject comment %q, want the seller's", c.GetRejectComment())
		}
		want(t, "Reject again", w.seller.Reject(ctx, id, exchange.Create, "no room"), exchange.Moving)
		want(t, "Acknowledge", w.buyer.(*fabric.Client).Acknowledge(ctx, id), exchange.Done)
		w.follows(t, id, status.ApprovalFlow, "REJECTED/REJECTED = FAILED,REJECTED_ACK,REJECTED,REJECTED")

		next := w.ordered(t, inFabric(onPort(acmeDot1q, vlan(101)), toProfile(cloudOpen)), "approval")[exchange.Primary]
		land := exchange.Acceptance{ExchangeID: next, Kind: exchange.Create, PortID: cloudDot1q, Tag: vlan(700)}
		want(t, "Accept", w.seller.Accept(ctx, land), exchange.Done)
		w.follows(t, next, status.ApprovalFlow, fabricBuilt[status.ApprovalFlow]...)
		want(t, "Alter", w.buyer.Alter(ctx, next, &patchbayv1.ChangeSet{BandwidthMbps: number(200)}), exchange.Done)
		want(t, "Reject the change", w.seller.Reject(ctx, next, exchange.Change, "full"), exchange.Done)
		w.follows(t, next, status.ApprovalFlow, "PROVISIONED/AVAILABLE = PROVISIONED,PROVISIONED,AVAILABLE,REJECTED")
		if c := w.get(t, w.buyer, next); c.GetChangePending() || c.GetBandwidthMbps() != 50 {
			t.Errorf("%d Mbit/s, change pending %v; want it as it was", c.GetBandwidthMbps(), c.GetChangePending())
		}
	})
}

// TestFabricFailures tries again what failed at the exchange.
func TestFabricFailures(t *testing.T) {
	inWorldOf(t, account.Fabric, func(t *testing.T, w *world) {
		ctx, buyer := t.Context(), w.buyer.(*fabric.Client)
		id := w.ordered(t, inFabric(onPort(acmeDot1q, vlan(100)), onPort(acmeDot1q2, vlan(101))), "own")[exchange.Primary]
		fail := func() {
			t.Helper()
			if err := w.sandbox.Edit(sandbox.Edit{Kind: "fail", Connection: id}); err != nil {
				t.Fatal(err)
			}
		}
		fail()
		if c := w.get(t, buyer, id); c.GetStatus() != "FAILED" || c.GetNative().GetStatus() != "NOT_PROVISIONED" {
			t.Errorf("%s, want FAILED in the exchange's words NOT_PROVISIONED", face(c))
		}
		want(t, "Retry", buyer.Retry(ctx, id, exchange.Create), exchange.Done)
		w.trail(t, id, status.OwnFlow)
		want(t, "Remove", buyer.Remove(ctx, id), exchange.Done)
		fail()
		if c := w.get(t, buyer, id); c.GetStatus() != "DEPROVISIONING" || c.GetNative().GetStatus() != "NOT_DEPROVISIONED" {
			t.Errorf("%s, want DEPROVISIONING in the exchange's words NOT_DEPROVISIONED", face(c))
		}
		want(t, "Retry the end", buyer.Retry(ctx, id, exchange.Delete), exchange.Done)
		w.trail(t, id, status.OwnFlow)
		if c := w.get(t, buyer, id); c.GetStatus() != "DEPROVISIONED" {
			t.Errorf("%s, want DEPROVISIONED", face(c))
		}
	})
}

// TestFabricTaken orders what somebody has already.
func TestFabricTaken(t *testing.T) {
	inWorldOf(t, account.Fabric, func(t *testing.T, w *world) {
		first := inFabric(onPort(acmeDot1q, vlan(100)), byToken(zToken))
		w.ordered(t, first, "token")
		again := func(in *patchbayv1.CreateIntent) exchange.Outcome {
			return w.buyer.Place(t.Context(), exchange.Placement{Intent: in, Legs: legs[:1]})
		}
		want(t, "Place the same", again(first), exchange.Taken)
		want(t, "Place on the same tag", again(inFabric(onPort(acmeDot1q, vlan(100)), toProfile(cloudOpen))), exchange.Taken)
		want(t, "Place by the same token", again(inFabric(onPort(acmeDot1q, vlan(101)), byToken(zToken))), exchange.Taken)
		if n := len(w.sandbox.Inventory().Connections); n != 1 {
			t.Errorf("%d circuits, want one", n)
		}
	})
}

// TestFabricTokens follows a token as its issuer sees it.
func TestFabricTokens(t *testing.T) {
	inWorldOf(t, account.Fabric, func(t *testing.T, w *world) {
		states := func() map[string]exchange.Token {
			t.Helper()
			all := map[string]exchange.Token{}
			err := w.seller.(exchange.Tokens).Tokens(t.Context(), func(k exchange.Token) error {
				all[k.UUID.Reveal()] = k
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		if got := states()[zToken]; got.State != "INACTIVE" || got.ConnectionID != "" || got.ExpiresAt.Before(time.Now()) {
			t.Errorf("a fresh token is %s of %q until %v", got.State, got.ConnectionID, got.ExpiresAt)
		}
		id := w.ordered(t, inFabric(onPort(acmeDot1q, vlan(100)), byToken(zToken)), "token")[exchange.Primary]
		if got := states()[zToken]; got.State != "ACTIVE" || got.ConnectionID != id {
			t.Errorf("a token that is spent is %s of %q, want ACTIVE of %s", got.State, got.ConnectionID, id)
		}
		time.Sleep(91 * 24 * time.Hour)
		if got := states()[aToken]; got.State != "EXPIRED" {
			t.Errorf("a token is %s after 91 days, want EXPIRED", got.State)
		}
	})
}

// TestFabricChanged asks for what changed since a time: that, and nothing older.
func TestFabricChanged(t *testing.T) {
	inWorldOf(t, account.Fabric, func(t *testing.T, w *world) {
		own := func(tag int32) string {
			return w.ordered(t, inFabric(onPort(acmeDot1q, vlan(tag)), onPort(acmeDot1q2, vlan(tag))), "own")[exchange.Primary]
		}
		first := own(100)
		own(101)
		time.Sleep(time.Hour)
		since := time.Now()
		want(t, "Alter", w.buyer.Alter(t.Context(), first, &patchbayv1.ChangeSet{Name: "renamed"}), exchange.Done)
		third := own(102)
		var got []string
		err := w.buyer.(exchange.Feed).Changed(t.Context(), exchange.Buyer, since, func(c *patchbayv1.Connection) error {
			got = append(got, c.GetExchangeId())
			return nil
		})
		due := []string{first, third}
		slices.Sort(got)
		slices.Sort(due)
		if err != nil || !slices.Equal(got, due) {
			t.Errorf("changed since an hour: %v, %v; want %v", got, err, due)
		}
	})
}

// TestFabricListsAndParties reads what belongs to whom.
func TestFabricListsAndParties(t *testing.T) {
	inWorldOf(t, account.Fabric, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.ordered(t, inFabric(onPort(acmeDot1q, vlan(100)), toProfile(cloudOpen)), "approval")
		w.ordered(t, inFabric(onPort(acmeDot1q, vlan(101)), onPort(acmeDot1q2, vlan(101))), "own")
		for _, tt := range []struct {
			client exchange.Client
			role   string
			want   int
			reason string
		}{
			{w.buyer, exchange.Buyer, 2, "it ordered both"},
			{w.buyer, exchange.Seller, 0, "it sells nothing"},
			{w.seller, exchange.Seller, 1, "one is to its profile"},
			{w.seller, exchange.Buyer, 0, "it ordered nothing"},
		} {
			n := 0
			err := tt.client.List(ctx, tt.role, false, func(*patchbayv1.Connection) error { n++; return nil })
			if err != nil || n != tt.want {
				t.Errorf("%d circuits as %s, %v; want %d: %s", n, tt.role, err, tt.want, tt.reason)
			}
		}
		bought, err := w.buyer.Parties(ctx)
		if err != nil || !slices.Contains(bought.Ports, acmeDot1q) || len(bought.Profiles) != 0 {
			t.Errorf("the buyer's parties %+v, %v; want its ports", bought, err)
		}
		sold, err := w.seller.Parties(ctx)
		if err != nil || !slices.Contains(sold.Profiles, cloudOpen) || len(sold.Ports) != 0 {
			t.Errorf("the seller's parties %+v, %v; want its profiles", sold, err)
		}
		const nowhere = "00000000-0000-4000-8000-000000000000"
		if _, err := w.buyer.Get(ctx, nowhere); !errors.Is(err, exchange.ErrGone) {
			t.Errorf("Get of nothing: %v, want ErrGone", err)
		}
		want(t, "Remove nothing", w.buyer.Remove(ctx, nowhere), exchange.Over)
	})
}

// TestFabricViolationsAreRefusals holds the rules of Check against the sandbox's own.
func TestFabricViolationsAreRefusals(t *testing.T) {
	dot := onPort(acmeDot1q, vlan(100))
	keyed := withKey(toProfile(storage), "xxxxxxxx")
	tests := map[string]*patchbayv1.CreateIntent{
		"port":                inFabric(onPort("nobodys", vlan(100)), keyed),
		"tag":                 inFabric(onPort(acmeDot1q, vlan(4093)), keyed),
		"no tag":              inFabric(onPort(acmeDot1q, nil), keyed),
		"C-tag":               inFabric(onPort(acmeQinQ, double(100, 0)), keyed),
		"profile":             inFabric(dot, toProfile("none")),
		"metro":               inFabric(dot, &patchbayv1.Endpoint{ProfileId: storage, Metro: "XX", AuthorizationKey: "xxxxxxxx"}),
		"key":                 inFabric(dot, withKey(toProfile(storage), "wrong")),
		"no key":              inFabric(dot, toProfile(storage)),
		"token":               inFabric(dot, byToken(acmeDot1q)),
		"token of the side":   inFabric(dot, byToken(aToken)),
		"token for EPL":       inFabric(dot, byToken(eplToken)),
		"Z C-tag":             inFabric(dot, onPort(acmeQinQ, double(100, 0))),
		"another Z port":      inFabric(dot, onPort(cloudDot1q, vlan(5))),
		"peering":             inFabric(dot, &patchbayv1.Endpoint{ProfileId: cloudOpen, Metro: "SV", Peering: "PRIVATE"}),
		"QinQ tag on Dot1q":   inFabric(onPort(acmeDot1q, double(5, 6)), keyed),
		"C-tags on QinQ both": inFabric(onPort(acmeQinQ, double(5, 6)), onPort(acmeQinQ2, double(5, 0))),
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			inWorldOf(t, account.Fabric, func(t *testing.T, w *world) {
				checked, err := w.buyer.Check(t.Context(), in)
				if err != nil || len(checked.Violations) == 0 {
					t.Errorf("Check = %v, %v; want a violation", checked.Violations, err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				out := w.buyer.Place(ctx, exchange.Placement{Intent: in, Legs: legs[:1]})
				want(t, "Place", out, exchange.Refused)
				if out.Code == "" {
					t.Errorf("refused without a code: %+v", out)
				}
			})
		})
	}
}
