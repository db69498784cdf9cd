package simulation

import (
	"fmt"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// canary is the authorization key that every create carries. It must show up nowhere.
const canary = "xxxxxxxx"

const source = "simulation/upstream"

// What the names of circuits ask of the seller's policy; see accounts.
const (
	approved = "ok"  // approved by a rule
	rejected = "no"  // rejected by a rule
	asked    = "ask" // a person is asked
	expiring = "exp" // a person is asked, and the deadline approves
)

// A wish is one intent, as the world wants it.
type wish struct {
	id   string
	kind string
	data proto.Message
	// raw replaces the data of a wish that nobody can read.
	raw []byte
	// wrong: it must end invalid.
	wrong bool
	// late: it may end invalid though right, or held though wrong, since it may come when
	// something is spent already.
	late bool
	// target of a change or delete.
	target *wish
	// after: it comes when that one is known, and soon.
	after *wish
}

// intent is the data of a create.
func (w wish) intent() *patchbayv1.CreateIntent { return w.data.(*patchbayv1.CreateIntent) }

func (w wish) orderID() string { return event.OrderID(source, w.id) }

// event returns the wish as the CloudEvent that upstream publishes.
func (w wish) event() (ce.Event, error) {
	e := ce.New(ce.CloudEventsVersionV1)
	e.SetID(w.id)
	e.SetSource(source)
	e.SetType(event.IntentType(event.Intent, w.kind))
	e.SetTime(time.Now())
	data := w.raw
	if data == nil {
		var err error
		if data, err = event.Marshal(w.data); err != nil {
			return e, err
		}
	}
	e.DataEncoded = data
	e.SetDataContentType("application/json")
	return e, e.Validate()
}

// way is how a circuit goes from an A-side port to a profile.
type way struct {
	ports   [2]string
	qinqA   bool // the A side has S-tags
	cTagA   bool // and C-tags
	zCTag   bool // the buyer names the C-tag of the Z side
	profile string
	metro   string
	region  string
	free    bool // the profile asks for no key
	single  bool // and sells no pairs
}

// ways are the four of the guide's samples.
func ways() []way {
	return []way{
		{
			ports:   [2]string{"4f891d3b-973e-73e0-bae0-30ac1885197a", "7g831d3b-9740-7420-bae0-30ac1885127a"},
			profile: "7a73af1a-3d74-47ac-b778-6bf455d1174e", metro: "SV",
		},
		{
			ports:   [2]string{"7f891d3b-973e-73e0-bae0-30ac1885197a", "7f891d3b-9740-7400-bae0-30ac1885197a"},
			profile: "31b7263f-7e6a-42d0-859e-80a7fd3b9609", metro: "SV", region: "us-sv", zCTag: true,
		},
		{
			ports:   [2]string{"6f891d3b-972d-73d0-bae3-30ac1995197a", "7f892d5b-993f-73f0-bae0-32ad1889197a"},
			profile: "2a73af1a-3c74-47ac-b778-6bf455d1174e", metro: "SV", qinqA: true, cTagA: true,
		},
		{
			ports:   [2]string{"7f891d3b-96d3-6d30-bae0-30ac1885197a", "7f21d3b-93d3-6d30-cae0-33ac2895297a"},
			profile: "32b7273f-7e7a-43d0-859e-81a7fd3b9609", metro: "SE", region: "us-sv", qinqA: true,
		},
	}
}

// create returns the n-th create of a world, whose tags no other create has.
func create(n int, v way, pair bool, seller string) wish {
	name := fmt.Sprintf("%s-%d", seller, n)
	in := &patchbayv1.CreateIntent{
		Account: "acme-ecx", Name: name, BandwidthMbps: proto.Int32(50),
		PurchaseOrder: fmt.Sprintf("po-%d", n),
		Notifications: []*patchbayv1.Notification{{Type: "ALL", Emails: []string{"john.doe@example.com"}}},
		Primary: &patchbayv1.Leg{
			ASide: &patchbayv1.Endpoint{PortId: v.ports[0], Tag: v.tag(100 + 2*n)},
			ZSide: &patchbayv1.Endpoint{
				ProfileId: v.profile, Metro: v.metro, Region: v.region, AuthorizationKey: canary,
			},
		},
	}
	if v.zCTag {
		in.Primary.ZSide.CTag = proto.Int32(int32(100 + 2*n))
	}
	if pair {
		in.Secondary = &patchbayv1.Leg{
			Name:  name + "-2",
			ASide: &patchbayv1.Endpoint{PortId: v.ports[1], Tag: v.tag(101 + 2*n)},
		}
		if v.zCTag {
			in.Secondary.ZSide = &patchbayv1.Endpoint{CTag: proto.Int32(int32(101 + 2*n))}
		}
	}
	return wish{id: fmt.Sprintf("create-%d", n), kind: "create", data: in}
}

func (v way) tag(n int) *patchbayv1.Tag {
	switch {
	case v.cTagA:
		return &patchbayv1.Tag{STag: proto.Int32(int32(n)), CTag: proto.Int32(int32(n))}
	case v.qinqA:
		return &patchbayv1.Tag{STag: proto.Int32(int32(n))}
	default:
		return &patchbayv1.Tag{Vlan: proto.Int32(int32(n))}
	}
}

// again returns w's identity with another payload.
func (w wish) again() wish {
	in := proto.CloneOf(w.intent())
	in.BandwidthMbps = proto.Int32(200)
	w.data = in
	return w
}

// rival returns another order for what w wants: the tags, or with VLANs of its own on the A
// side what is on the Z side, a token or a tag. At PacketFabric it looks like w.
func (w wish) rival(tags bool) wish {
	in := proto.CloneOf(w.intent())
	in.Name += "-r"
	if in.Secondary != nil {
		in.Secondary.Name += "-r"
	}
	for _, l := range []*patchbayv1.Leg{in.GetPrimary(), in.GetSecondary()} {
		if t := l.GetASide().GetTag(); t.GetVlan() != 0 && !tags {
			t.Vlan = proto.Int32(t.GetVlan() + 500)
		}
	}
	return wish{id: "rival-" + w.id, kind: w.kind, data: in, late: w.late, after: &w}
}

func remove(target wish) wish {
	return wish{
		id: "delete-" + target.id, kind: "delete", target: &target,
		data: &patchbayv1.DeleteIntent{Target: &patchbayv1.Target{Source: source, Id: target.id}},
	}
}

func change(target wish, n int) wish {
	set, in := &patchbayv1.ChangeSet{}, target.intent()
	if in.GetAccount() == "acme-packetfabric" {
		packetFabricChange(set, n, in)
	} else if n%2 == 0 {
		set.Name = in.GetName() + "-new"
	} else {
		set.BandwidthMbps = proto.Int32(100)
	}
	return wish{
		id: fmt.Sprintf("change-%d-%s", n, target.id), kind: "change", target: &target,
		data: &patchbayv1.ChangeIntent{Target: &patchbayv1.Target{OrderId: target.orderID()}, Set: set},
	}
}

// broken returns w, the n-th create, such that it breaks rules.
func (w wish) broken(n int) wish {
	w.id, w.wrong = fmt.Sprintf("wrong-%d", n), true
	in := proto.CloneOf(w.intent())
	in.Secondary = nil
	w.data = in
	switch n % 4 {
	case 0:
		in.Name = "a name that is much too long, with spaces"
	case 1:
		in.Primary.ASide.Tag = &patchbayv1.Tag{Vlan: proto.Int32(1)}
		if z := in.Primary.ZSide; z.GetPortId() != "" {
			z.Tag = in.Primary.ASide.Tag
		}
	case 2:
		in.Primary.ZSide = nil
	case 3:
		w.raw = []byte(`{"name": 7, "speed": 50}`)
	}
	return w
}
