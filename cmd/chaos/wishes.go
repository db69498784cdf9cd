package main

import (
	"fmt"
	"math/rand/v2"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// source is upstream's name.
const source = "chaos/upstream"

// canary is the authorization key that creates carry. It must show up nowhere.
const canary = "xxxxxxxx"

// What the seller says, by the name of a circuit, or where a request shows no name by its
// market; see accounts.
const (
	approved = "ok"
	rejected = "no"
	asked    = "ask" // a person is asked, and agrees
)

func marketOf(seller string) string {
	return map[string]string{approved: "NYC", rejected: "CHI", asked: "ATL"}[seller]
}

// A wish is one intent as upstream publishes it.
type wish struct {
	id     string
	kind   string
	data   []byte
	target *wish
	// wants is the outcome that it must come to, empty if that depends on others.
	wants string
	// create is its data if it is one, for those derived from it.
	create *patchbayv1.CreateIntent
	// again is another payload under the same identity, which must change nothing.
	again []byte
	// copies is how often it is published.
	copies int
}

func (w *wish) orderID() string { return event.OrderID(source, w.id) }

// wishes draws n intents of every kind at all three exchanges.
func wishes(rng *rand.Rand, n int, issue func() string) ([]*wish, error) {
	d := &drawing{rng: rng, issue: issue}
	for len(d.all) < n {
		d.draw()
	}
	d.all = d.all[:n]
	return d.all, d.err
}

type drawing struct {
	rng   *rand.Rand
	issue func() string // makes a service token for the Z side
	n     int           // creates so far; each has tags of its own
	all   []*wish
	err   error
}

func (d *drawing) chance(n int) bool { return d.rng.IntN(n) == 0 }

func (d *drawing) add(w *wish, m proto.Message) *wish {
	w.copies = 1
	if d.chance(4) {
		w.copies += 1 + d.rng.IntN(2)
	}
	if m != nil {
		b, err := event.Marshal(m)
		if err != nil {
			d.err = err
		}
		w.data = b
	}
	d.all = append(d.all, w)
	return w
}

// draw draws a create and, now and then, what follows from it.
func (d *drawing) draw() {
	n := d.n
	d.n++
	seller := []string{approved, approved, approved, approved, approved, rejected, asked}[d.rng.IntN(7)]
	in := d.create(n, d.chance(3), seller)
	w := d.add(&wish{id: fmt.Sprintf("create-%d", n), kind: "create", create: in, wants: outcomeOf(in, seller)}, in)
	if d.chance(20) {
		other := proto.CloneOf(in)
		other.Name += "-x"
		w.again, d.err = event.Marshal(other)
	}
	if d.chance(4) {
		d.add(&wish{id: "change-" + w.id, kind: "change", target: w}, &patchbayv1.ChangeIntent{
			Target: &patchbayv1.Target{OrderId: w.orderID()}, Set: &patchbayv1.ChangeSet{Name: in.GetName() + "-new"},
		})
	}
	if d.chance(3) {
		w.wants = "" // it may be cancelled on its way
		d.add(&wish{id: "delete-" + w.id, kind: "delete", target: w}, &patchbayv1.DeleteIntent{
			Target: &patchbayv1.Target{Source: source, Id: w.id},
		})
	}
	if d.chance(12) && in.GetPrimary().GetZSide().GetServiceToken() == "" {
		w.wants = "" // of the two one has the tag
		rival := proto.CloneOf(in)
		rival.Name += "-r"
		if rival.Secondary != nil {
			rival.Secondary.Name += "-r"
		}
		d.add(&wish{id: "rival-" + w.id, kind: "create", create: rival}, rival)
	}
	if d.chance(10) {
		d.wrong(n, in)
	}
}

// wrong adds an intent that breaks a rule.
func (d *drawing) wrong(n int, right *patchbayv1.CreateIntent) {
	in := proto.CloneOf(right)
	in.Secondary = nil
	w := &wish{id: fmt.Sprintf("wrong-%d", n), kind: "create", wants: "invalid"}
	switch n % 3 {
	case 0:
		in.Name = "a name that is much too long, with spaces"
	case 1:
		in.Primary.ZSide = nil
	default:
		w.data = []byte(`{"name": 7, "speed": 50}`)
		d.add(w, nil)
		return
	}
	d.add(w, in)
}

// outcomeOf is what a create must come to that nobody interferes with.
func outcomeOf(in *patchbayv1.CreateIntent, seller string) string {
	z := in.GetPrimary().GetZSide()
	if seller == rejected && z.GetPortId() == "" && z.GetServiceToken() == "" {
		return "failed"
	}
	return "completed"
}

// Ports of the sandbox's inventory; see docs/sandbox.md.
const (
	farPort   = "a867f685-41b0-1b07-6de0-320a5c00abdd"
	tokenPort = "c10d1050-0000-4000-8000-000000000004"
	routing   = "TR-1RI-OQ85"
	billing   = "b2af000f-d15f-4413-9645-6f566e641c29"
)

// way is how a circuit of Equinix goes to a profile of the seller's.
type way struct {
	ports        [2]string
	outer, inner bool // the tags of the ports: S-tags and C-tags, not VLANs
	zCTag        bool
	profile      string
	metro        string
	region       string
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
			profile: "2a73af1a-3c74-47ac-b778-6bf455d1174e", metro: "SV", outer: true, inner: true,
		},
		{
			ports:   [2]string{"7f891d3b-96d3-6d30-bae0-30ac1885197a", "7f21d3b-93d3-6d30-cae0-33ac2895297a"},
			profile: "32b7273f-7e7a-43d0-859e-81a7fd3b9609", metro: "SE", region: "us-sv", outer: true,
		},
	}
}

func (v way) tag(n int32) *patchbayv1.Tag {
	switch {
	case v.inner:
		return &patchbayv1.Tag{STag: &n, CTag: &n}
	case v.outer:
		return &patchbayv1.Tag{STag: &n}
	default:
		return &patchbayv1.Tag{Vlan: &n}
	}
}

// create draws the n-th create. A pair has tags of its own for each leg.
func (d *drawing) create(n int, pair bool, seller string) *patchbayv1.CreateIntent {
	name, tag := fmt.Sprintf("%s-%d", seller, n), int32(100+2*n)
	in := &patchbayv1.CreateIntent{
		Name: name, BandwidthMbps: proto.Int32(50), PurchaseOrder: fmt.Sprintf("po-%d", n),
		Notifications: []*patchbayv1.Notification{{Type: "ALL", Emails: []string{"john.doe@example.com"}}},
		Primary:       &patchbayv1.Leg{},
	}
	if pair {
		in.Secondary = &patchbayv1.Leg{Name: name + "-2"}
	}
	switch api := d.rng.IntN(3); {
	case api == 0:
		in.Account = "acme-ecx"
		ways()[d.rng.IntN(4)].fill(in, tag, true)
	case api == 1 && d.chance(8):
		in.Account, in.Secondary = "acme-fabric", nil
		ways()[0].fill(in, tag, false)
		in.Primary.ZSide = &patchbayv1.Endpoint{ServiceToken: d.issue()}
	case api == 1 && d.chance(4):
		in.Account = "acme-fabric"
		ways()[0].fill(in, tag, false)
		in.Primary.ZSide = &patchbayv1.Endpoint{PortId: farPort, Tag: ways()[0].tag(tag)}
		if pair {
			in.Secondary.ZSide = &patchbayv1.Endpoint{Tag: ways()[0].tag(tag + 1)}
		}
	case api == 1:
		in.Account = "acme-fabric"
		ways()[d.rng.IntN(4)].fill(in, tag, false)
	default:
		d.atPacketFabric(in, tag, seller)
	}
	return in
}

// fill makes in go this way.
func (v way) fill(in *patchbayv1.CreateIntent, tag int32, ecx bool) {
	in.Primary.ASide = &patchbayv1.Endpoint{PortId: v.ports[0], Tag: v.tag(tag)}
	in.Primary.ZSide = &patchbayv1.Endpoint{ProfileId: v.profile, Metro: v.metro, Region: v.region, AuthorizationKey: canary}
	if in.Secondary != nil {
		in.Secondary.ASide = &patchbayv1.Endpoint{PortId: v.ports[1], Tag: v.tag(tag + 1)}
	}
	if !v.zCTag || !ecx {
		return // else it is the buyer's to choose
	}
	in.Primary.ZSide.CTag = proto.Int32(tag)
	if in.Secondary != nil {
		in.Secondary.ZSide = &patchbayv1.Endpoint{CTag: proto.Int32(tag + 1)}
	}
}

// atPacketFabric makes in a request to the seller, which looks like others, or now and then
// a circuit between two ports of our own.
func (d *drawing) atPacketFabric(in *patchbayv1.CreateIntent, tag int32, seller string) {
	speeds := []int32{50, 100, 200, 300, 400, 500, 1000, 2000}
	in.Account, in.BandwidthMbps = "acme-packetfabric", &speeds[d.rng.IntN(len(speeds))]
	in.PurchaseOrder = "" // it has none
	in.Billing = &patchbayv1.Billing{AccountId: billing, TermMonths: proto.Int32(1)}
	own := d.chance(4)
	for i, l := range []*patchbayv1.Leg{in.Primary, in.Secondary} {
		if l == nil {
			continue
		}
		at, t := fmt.Sprintf("1-11%05d", i+1), tag+int32(i)
		l.ASide = &patchbayv1.Endpoint{PortId: "PF-AP-NYC" + at, Tag: &patchbayv1.Tag{Vlan: &t}}
		switch {
		case own:
			l.ZSide = &patchbayv1.Endpoint{PortId: "PF-AP-CHI" + at, Tag: &patchbayv1.Tag{Vlan: &t}}
		case i == 0:
			l.ZSide = &patchbayv1.Endpoint{RoutingId: routing, Market: marketOf(seller)}
		}
	}
}

// secrets are what must show up nowhere.
func secrets(all []*wish) []string {
	found := []string{canary}
	for _, w := range all {
		for _, l := range []*patchbayv1.Leg{w.create.GetPrimary(), w.create.GetSecondary()} {
			if t := l.GetZSide().GetServiceToken(); t != "" {
				found = append(found, t)
			}
		}
	}
	return found
}
