package approval_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/approval"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func request() *patchbayv1.Connection {
	return &patchbayv1.Connection{
		Id: "c-1", Exchange: "equinix", ExchangeId: "x-1", Name: "John_1", BandwidthMbps: 50,
		Status: "PENDING_APPROVAL", ProviderStatus: "NOT_AVAILABLE", BuyerOrganization: "Acme",
		ASide: &patchbayv1.Side{PortId: "a-port", Encapsulation: "dot1q", Tag: &patchbayv1.Tag{Vlan: proto.Int32(873)}},
		ZSide: &patchbayv1.Side{ProfileId: "p-1", Metro: "SV"},
	}
}

func TestDigest(t *testing.T) {
	tests := []struct {
		name, kind string
		edit       func(*patchbayv1.Connection)
		same       bool
		reason     string
	}{
		{"nothing", "create", func(*patchbayv1.Connection) {}, true, "the same is the same"},
		{"time", "create", func(c *patchbayv1.Connection) { c.UpdatedAt = timestamppb.Now() }, true, "times are not decided upon"},
		{"provider status", "create", func(c *patchbayv1.Connection) { c.ProviderStatus = "PENDING_APPROVAL" }, true, "nor is our own side"},
		{"native", "create", func(c *patchbayv1.Connection) { c.Native = &patchbayv1.Native{Status: "x"} }, true, "nor are the exchange's words"},
		{"order", "create", func(c *patchbayv1.Connection) { c.OrderId = "o" }, true, "nor who ordered it here"},
		{"port name", "create", func(c *patchbayv1.Connection) { c.ASide.PortName = "x" }, true, "a label"},
		{"landing", "create", func(c *patchbayv1.Connection) {
			c.ZSide.PortId, c.ZSide.Tag = "z", &patchbayv1.Tag{Vlan: proto.Int32(5)}
		}, true, "the seller chooses where a create lands"},
		{"landing of a delete", "delete", func(c *patchbayv1.Connection) { c.ZSide.PortId = "z" }, false, "what is deleted stands somewhere"},
		{"wished inner tag", "create", func(c *patchbayv1.Connection) { c.ZSide.Tag = &patchbayv1.Tag{CTag: proto.Int32(5)} }, false,
			"the buyer chooses the inner tag"},
		{"name", "create", func(c *patchbayv1.Connection) { c.Name = "John_2" }, false, "another circuit"},
		{"bandwidth", "create", func(c *patchbayv1.Connection) { c.BandwidthMbps = 500 }, false, "another price"},
		{"wanted bandwidth", "change", func(c *patchbayv1.Connection) { c.PendingBandwidthMbps = 500 }, false, "it is what is asked for"},
		{"buyer", "create", func(c *patchbayv1.Connection) { c.BuyerOrganization = "Evil" }, false, "another party"},
		{"status", "create", func(c *patchbayv1.Connection) { c.Status = "PENDING_DELETE" }, false, "another question"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := request()
			tt.edit(now)
			same := approval.Digest(request(), tt.kind) == approval.Digest(now, tt.kind)
			if same != tt.same {
				t.Errorf("same digest = %t, want %t: %s", same, tt.same, tt.reason)
			}
			if d := approval.Differences(tt.kind, request(), now); (len(d) == 0) != tt.same {
				t.Errorf("differences = %v, want some: %t: they tell what the digest does", d, !tt.same)
			}
		})
	}
	if approval.Digest(request(), exchange.Create) == approval.Digest(request(), exchange.Delete) {
		t.Error("consent to a create has the digest of consent to a delete")
	}
	if n := len(approval.Digest(request(), exchange.Create)); n != 64 {
		t.Errorf("digest has %d characters, want 64 of hex", n)
	}
}

func TestDifferences(t *testing.T) {
	now := request()
	now.BandwidthMbps = 500
	d := approval.Differences("create", request(), now)
	if len(d) != 1 || d[0].GetField() != "bandwidthMbps" || d[0].GetWas() != "50" || d[0].GetNow() != "500" {
		t.Errorf("differences = %v, want bandwidthMbps from 50 to 500", d)
	}
}

func TestLatest(t *testing.T) {
	seen := func(status string, pending int32) *patchbayv1.Connection {
		return &patchbayv1.Connection{Id: "c-1", Status: status, PendingBandwidthMbps: pending}
	}
	tests := []struct {
		name   string
		t      *patchbayv1.Transition
		ch     *patchbayv1.Change
		newer  bool
		want   string
		reason string
	}{
		{"nothing", nil, nil, false, "", "nothing is known"},
		{"create", &patchbayv1.Transition{Connection: seen("PENDING_APPROVAL", 0)}, nil, false, "create", ""},
		{"delete", &patchbayv1.Transition{Connection: seen("PENDING_DELETE", 500)}, nil, false, "delete", "the status goes first"},
		{"speed", &patchbayv1.Transition{Connection: seen("PROVISIONED", 0)},
			&patchbayv1.Change{Status: approval.Submitted, Connection: seen("PROVISIONED", 500)}, true, "change", ""},
		{"unknown speed", &patchbayv1.Transition{Connection: seen("PROVISIONED", 0)},
			&patchbayv1.Change{Status: approval.Submitted, Connection: seen("PROVISIONED", 0)}, true, "change", "the change says that it waits"},
		{"old change", &patchbayv1.Transition{Connection: seen("DEPROVISIONING", 0)},
			&patchbayv1.Change{Status: approval.Submitted, Connection: seen("PROVISIONED", 500)}, false, "", "what came later tells all"},
		{"done change", &patchbayv1.Transition{Connection: seen("PROVISIONED", 500)},
			&patchbayv1.Change{Status: "COMPLETED", Connection: seen("PROVISIONED", 0)}, true, "", "it has been answered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := approval.Latest(tt.t, tt.ch, tt.newer).Kind; got != tt.want {
				t.Errorf("kind = %q, want %q %s", got, tt.want, tt.reason)
			}
		})
	}
}

func TestRejectable(t *testing.T) {
	for _, tt := range []struct {
		api  status.API
		kind string
		want bool
	}{
		{status.ECX, "create", true}, {status.ECX, "delete", true}, {status.Fabric, "create", true},
		{status.Fabric, "change", true}, {status.Fabric, "delete", false}, {status.PacketFabric, "create", true},
		{status.PacketFabric, "change", false}, {status.PacketFabric, "delete", false},
	} {
		if got := approval.Rejectable(tt.api, tt.kind); got != tt.want {
			t.Errorf("a %s at %s can be rejected: %v, want %v", tt.kind, tt.api, got, tt.want)
		}
	}
}

// Fabric calls creations and deletions changes too.
func TestSubmittedCreationIsNoChange(t *testing.T) {
	for circuit, want := range map[string]string{"PROVISIONED": "change", "PROVISIONING": "", "PENDING_APPROVAL": "create", "PENDING_DELETE": "delete"} {
		c := &patchbayv1.Connection{Status: circuit, Native: &patchbayv1.Native{Change: approval.Submitted}}
		if got := approval.Kind(c); got != want {
			t.Errorf("a %s circuit with a submitted change asks for %q, want %q", circuit, got, want)
		}
	}
}

// FuzzDigest reads connections as the journal has them: two have one digest if and only if
// there is no difference between them.
func FuzzDigest(f *testing.F) {
	f.Add([]byte(`{"id":"c","status":"PENDING_APPROVAL","zSide":{"portId":"p","tag":{"sTag":7,"cTag":8}}}`),
		[]byte(`{"id":"c","status":"PENDING_APPROVAL","zSide":{"portId":"q","tag":{"cTag":8}}}`), uint8(0))
	f.Add([]byte(`{"bandwidthMbps":50,"aSide":{}}`), []byte(`{"bandwidthMbps":50,"aSide":{"tag":{}}}`), uint8(1))
	f.Add([]byte(`{"native":{"change":"SUBMITTED_FOR_APPROVAL"},"status":"PROVISIONED"}`), []byte(`{}`), uint8(2))
	f.Fuzz(func(t *testing.T, before, after []byte, n uint8) {
		kind := []string{exchange.Create, exchange.Change, exchange.Delete}[n%3]
		was, now := new(patchbayv1.Connection), new(patchbayv1.Connection)
		if protojson.Unmarshal(before, was) != nil || protojson.Unmarshal(after, now) != nil {
			t.Skip("no connections")
		}
		same := approval.Digest(was, kind) == approval.Digest(now, kind)
		if d := approval.Differences(kind, was, now); (len(d) == 0) != same {
			t.Errorf("one digest %v, and the differences are %v", same, d)
		}
		if kind := approval.Kind(was); kind != "" && approval.Latest(&patchbayv1.Transition{Connection: was}, nil, false).Kind != kind {
			t.Errorf("%s waits for consent to a %s, but not as a sight", before, kind)
		}
	})
}
