package hold_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/hold"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func TestOfLeg(t *testing.T) {
	vlan := func(n int32) *patchbayv1.Tag { return &patchbayv1.Tag{Vlan: &n} }
	port := func(id string, t *patchbayv1.Tag) *patchbayv1.Endpoint {
		return &patchbayv1.Endpoint{PortId: id, Tag: t}
	}
	token := func(s string) *patchbayv1.Endpoint { return &patchbayv1.Endpoint{ServiceToken: s} }
	customer := &patchbayv1.Endpoint{RoutingId: "TR-1", Market: "ATL"}
	for _, tt := range []struct {
		name   string
		a, z   *patchbayv1.Endpoint
		second *patchbayv1.Leg
		leg    string
		want   []string // kind, key, inner, field
	}{
		{name: "profile", a: port("p", vlan(5)), z: &patchbayv1.Endpoint{ProfileId: "x"},
			want: []string{"tag equinix/p/5 0 primary.aSide.tag"}},
		{name: "inner tag", a: port("p", &patchbayv1.Tag{STag: proto.Int32(5), CTag: proto.Int32(6)}), z: &patchbayv1.Endpoint{ProfileId: "x"},
			want: []string{"tag equinix/p/5 6 primary.aSide.tag"}},
		{name: "token", a: port("p", vlan(5)), z: token("hmac:1"),
			want: []string{"tag equinix/p/5 0 primary.aSide.tag", "token hmac:1 0 primary.zSide.serviceToken"}},
		{name: "two tokens", a: token("hmac:1"), z: token("hmac:2"),
			want: []string{"token hmac:1 0 primary.aSide.serviceToken", "token hmac:2 0 primary.zSide.serviceToken"}},
		{name: "own port", a: port("p", vlan(5)), z: port("q", vlan(7)),
			want: []string{"tag equinix/p/5 0 primary.aSide.tag", "tag equinix/q/7 0 primary.zSide.tag"}},
		{name: "EPL", a: port("p", nil), z: port("q", nil),
			want: []string{"tag equinix/p/0 0 primary.aSide.tag", "tag equinix/q/0 0 primary.zSide.tag"}},
		{name: "request", a: port("p", &patchbayv1.Tag{Untagged: true}), z: customer,
			want: []string{"tag equinix/p/0 0 primary.aSide.tag", "lookalike acme/TR-1/ATL/50 0 "}},
		{name: "secondary", a: port("p", vlan(5)), z: customer, leg: "secondary",
			second: &patchbayv1.Leg{ASide: port("q", vlan(6)), ZSide: &patchbayv1.Endpoint{Market: "NYC"}},
			want:   []string{"tag equinix/q/6 0 secondary.aSide.tag", "lookalike acme/TR-1/NYC/50 0 "}},
		{name: "secondary on the primary's far port", a: port("p", vlan(5)), z: port("q", vlan(7)), leg: "secondary",
			second: &patchbayv1.Leg{ASide: port("r", vlan(6)), ZSide: &patchbayv1.Endpoint{Tag: vlan(8)}},
			want:   []string{"tag equinix/r/6 0 secondary.aSide.tag", "tag equinix/q/8 0 secondary.zSide.tag"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.leg == "" {
				tt.leg = "primary"
			}
			o := &patchbayv1.Order{Id: "o-1", Account: "acme", Exchange: "equinix", Create: &patchbayv1.CreateIntent{
				BandwidthMbps: proto.Int32(50), Primary: &patchbayv1.Leg{ASide: tt.a, ZSide: tt.z}, Secondary: tt.second,
			}}
			var got []string
			for _, w := range hold.OfLeg(o, tt.leg) {
				got = append(got, fmt.Sprintf("%s %s %d %s", w.Kind, w.Key, w.Owner.GetInner(), w.Field))
				if w.Owner.GetId() != "o-1" || w.Owner.GetNoun() != "order" || w.Owner.GetLeg() != tt.leg {
					t.Errorf("owner %v, want the order's %s leg", w.Owner, tt.leg)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("OfLeg = %q, want %q", got, tt.want)
			}
		})
	}
	if got := hold.OfLeg(new(patchbayv1.Order), "primary"); len(got) > 0 {
		t.Errorf("of an order without an intent: %v, want none", got)
	}
}

// FuzzTake takes and frees on top of any hold that the journal may have.
func FuzzTake(f *testing.F) {
	f.Add([]byte(`{"id":"h","owners":[{"id":"o","noun":"order","leg":"primary","inner":7}]}`), "o", "primary", int32(7))
	f.Add([]byte(`{"owners":[{"id":"o","inner":7},{"id":"o","inner":7},{"inner":-1}]}`), "o", "", int32(0))
	f.Add([]byte(`{}`), "", "", int32(0))
	f.Fuzz(func(t *testing.T, data []byte, id, leg string, inner int32) {
		h := new(patchbayv1.Hold)
		if event.Unmarshal(data, h) != nil {
			t.Skip("no hold")
		}
		w := hold.Want{Kind: hold.Tag, Key: "equinix/p/5", Owner: &patchbayv1.Owner{Id: id, Noun: "order", Leg: leg, Inner: inner}}
		now := time.Unix(1, 0)
		taken, err := hold.Take(h, w, now)
		var held hold.HeldError
		switch {
		case errors.As(err, &held):
			if !slices.Contains(h.GetOwners(), held.Holder) || taken != h {
				t.Errorf("%s: refused for %v, who has nothing", data, held.Holder)
			}
			return
		case err != nil:
			t.Fatal(err)
		}
		if again, err := hold.Take(taken, w, now); again != taken || err != nil {
			t.Errorf("%s: taken again it is %v, %v, want it as it was", data, again, err)
		}
		if len(taken.GetOwners()) > 1 && taken != h && slices.ContainsFunc(h.GetOwners(), func(o *patchbayv1.Owner) bool {
			return o.GetInner() == inner || o.GetInner() == 0 || inner == 0
		}) {
			t.Errorf("%s: inner tag %d was given to a second owner", data, inner)
		}
		freed := hold.Free(taken, w.Owner, now)
		if taken != h && !slices.EqualFunc(freed.GetOwners(), h.GetOwners(), func(a, b *patchbayv1.Owner) bool { return proto.Equal(a, b) }) {
			t.Errorf("%s: taken and freed it is %v", data, freed)
		}
	})
}
