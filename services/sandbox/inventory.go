package sandbox

import (
	"slices"
	"time"
)

// Encapsulations as ports show them.
const (
	dot1q    = "Dot1q"
	qinq     = "Qinq"
	untagged = "Untagged" // carries one circuit, without tags; the Fabric API only
)

// approvalKind says how requests to a service profile are accepted.
type approvalKind string

const (
	bySeller  approvalKind = "seller" // the seller approves creates, deletes and changes of speed
	byAPI     approvalKind = "api"    // the provider's own system does, by itself
	notNeeded approvalKind = "nobody" // provisioned at once
)

type user struct{ login, fullName, email string }

// tenant is a customer of the exchange.
type tenant struct {
	org          string
	orgID        string
	clientID     string
	clientSecret string
	user         user
	password     string
	account      int    // its account with the exchange
	project      string // of its circuits, unless an order names another

	ports    []*port    // in the order of the inventory
	bought   []*circuit // by age
	sold     []*circuit // by age
	party    []*circuit // all it may see, by age
	shelf    shelf      // the same, for searches
	failures int        // failed logins in a row
}

type port struct {
	id       string
	org      string
	metro    string
	ibx      string
	encap    string
	priority string // Primary or Secondary
	managed  bool   // the exchange lands circuits here by itself; sellers neither see nor use it
	name     string
	newer    bool // the lists of ECX leave it out

	owner *tenant
	used  occupancy
}

type metro struct {
	code, name, region string
	ibxs               []string
}

type profile struct {
	id        string
	name      string
	org       string // the seller
	approval  approvalKind
	encap     string         // of the Z side
	keys      map[string]int // authorization key → Mbit/s it stands for, 0 for none; empty: no key needed
	once      bool           // a key is used by one circuit (or pair) at a time
	keySpeed  bool           // the speed comes from the key
	region    string         // the one seller region, required if not empty
	namedTags []string
	self      bool // private to its own organization
	single    bool // sells no redundant pairs
	newer     bool // the lists of ECX leave it out
	about     string

	made    bool     // by its seller, by the API
	gone    bool     // deleted again
	invited []string // addresses of others who may order although it is private
	bands   []int    // nil: all
	metros  []string // nil: all

	seller *tenant
}

// named reports whether the profile is ordered by a named tag.
func (p *profile) named() bool { return len(p.namedTags) > 0 }

// bands are the speeds that a profile of the inventory sells, in Mbit/s.
var bands = []int{50, 100, 200, 500, 1000, 2000, 5000, 10000}

type inventory struct {
	tenants  []tenant
	metros   []metro
	ports    []port
	profiles []profile
	passes   []record
}

// inventoryOrder keeps the order of the table, which lists show.
type inventoryOrder struct {
	metros   []metro
	ports    []*port
	profiles []*profile
	passes   []*serviceToken // by age
}

// inventoryTime is when ports and profiles were made.
func inventoryTime() time.Time { return time.Date(2020, 6, 18, 19, 51, 12, 0, time.UTC) }

// load makes inv the exchange's inventory.
func (x *Exchange) load(inv inventory) {
	byOrg := make(map[string]*tenant)
	for i := range inv.tenants {
		t := &inv.tenants[i]
		byOrg[t.org] = t
		x.tenants = append(x.tenants, t)
	}
	for i := range inv.ports {
		p := &inv.ports[i]
		p.owner, p.used = byOrg[p.org], make(occupancy)
		p.owner.ports = append(p.owner.ports, p)
		if p.name == "" {
			p.name = portName(p)
		}
		x.ports[p.id] = p
		x.order.ports = append(x.order.ports, p)
	}
	for i := range inv.profiles {
		p := &inv.profiles[i]
		p.seller = byOrg[p.org]
		x.profiles[p.id] = p
		x.order.profiles = append(x.order.profiles, p)
	}
	x.order.metros = inv.metros
	for _, r := range inv.passes {
		if err := x.recallPass(r); err != nil {
			panic(err) // a token of ours on a port that is not there
		}
	}
	for _, t := range x.spent {
		t.stock = true
	}
	x.spent = nil // it is kept when it changes
}

// portName makes a name like the exchange's own, with the end of the id for number.
func portName(p *port) string {
	level := "PRI"
	if p.priority == "Secondary" {
		level = "SEC"
	}
	return p.org + "-CX-" + p.ibx + "-NL-" + p.encap + "-STD-10G-" + level + "-" + p.id[len(p.id)-4:]
}

// metro returns the metro with that code, or the zero metro.
func (x *Exchange) metro(code string) metro {
	i := slices.IndexFunc(x.order.metros, func(m metro) bool { return m.code == code })
	if i < 0 {
		return metro{}
	}
	return x.order.metros[i]
}

// defaultInventory is what every exchange starts with. The first eight ports and the
// first four profiles are those of the samples in the exchange's own guide, with the
// encapsulations that the samples' titles name; two of the ids are no UUIDs there
// either.
//
// The other ids are made of the tenant (ace, c10, 610), the encapsulation (d1 Dot1q,
// 99 QinQ), the metro (05 SV, 0d DC, 5e SE) and a number.
func defaultInventory() inventory {
	return inventory{
		tenants: []tenant{
			{org: "Acme", orgID: "85287", clientID: "acme-client", clientSecret: "acme-secret",
				user: user{"john.doe", "John Doe", "john.doe@example.com"}, password: "acme-password",
				account: 270001, project: "ace00000-0000-4000-8000-00000000000a"},
			{org: "Cloud Services", orgID: "90210", clientID: "cloud-client", clientSecret: "cloud-secret",
				user: user{"grace.hall", "Grace Hall", "grace.hall@example.net"}, password: "cloud-password",
				account: 270002, project: "c1000000-0000-4000-8000-00000000000a"},
			{org: "Globex", orgID: "77013", clientID: "globex-client", clientSecret: "globex-secret",
				user: user{"max.muster", "Max Muster", "max.muster@example.org"}, password: "globex-password",
				account: 270003, project: "61000000-0000-4000-8000-00000000000a"},
		},
		metros: []metro{
			{code: "SV", name: "Silicon Valley", region: "AMER", ibxs: []string{"SV1", "SV5"}},
			{code: "DC", name: "Ashburn", region: "AMER", ibxs: []string{"DC5", "DC6"}},
			{code: "SE", name: "Seattle", region: "AMER", ibxs: []string{"SE2", "SE3"}},
		},
		ports: slices.Concat([]port{
			// Sample 1, Dot1q to Dot1q
			{id: "4f891d3b-973e-73e0-bae0-30ac1885197a", org: "Acme", metro: "SV", ibx: "SV1", encap: dot1q, priority: "Primary"},
			{id: "7g831d3b-9740-7420-bae0-30ac1885127a", org: "Acme", metro: "SV", ibx: "SV5", encap: dot1q, priority: "Secondary"},
			// Sample 2, Dot1q to QinQ
			{id: "7f891d3b-973e-73e0-bae0-30ac1885197a", org: "Acme", metro: "SV", ibx: "SV1", encap: dot1q, priority: "Primary"},
			{id: "7f891d3b-9740-7400-bae0-30ac1885197a", org: "Acme", metro: "SV", ibx: "SV5", encap: dot1q, priority: "Secondary"},
			// Sample 3, QinQ to Dot1q
			{id: "6f891d3b-972d-73d0-bae3-30ac1995197a", org: "Acme", metro: "SV", ibx: "SV1", encap: qinq, priority: "Primary"},
			{id: "7f892d5b-993f-73f0-bae0-32ad1889197a", org: "Acme", metro: "SV", ibx: "SV5", encap: qinq, priority: "Secondary"},
			// Sample 4, QinQ to QinQ
			{id: "7f891d3b-96d3-6d30-bae0-30ac1885197a", org: "Acme", metro: "SE", ibx: "SE2", encap: qinq, priority: "Primary"},
			{id: "7f21d3b-93d3-6d30-cae0-33ac2895297a", org: "Acme", metro: "SE", ibx: "SE3", encap: qinq, priority: "Secondary"},
		}, morePorts(), fabricPorts()),
		passes: fabricPasses(),
		profiles: slices.Concat([]profile{
			{id: "7a73af1a-3d74-47ac-b778-6bf455d1174e", name: "Cloud Services Dot1q", org: "Cloud Services",
				approval: bySeller, encap: dot1q, keys: guideKey(),
				about: "Sample 1 of the guide: Dot1q to Dot1q"},
			{id: "31b7263f-7e6a-42d0-859e-80a7fd3b9609", name: "Cloud Services QinQ", org: "Cloud Services",
				approval: bySeller, encap: qinq, keys: guideKey(), region: "us-sv",
				about: "Sample 2 of the guide: Dot1q to QinQ"},
			{id: "2a73af1a-3c74-47ac-b778-6bf455d1174e", name: "Cloud Storage Dot1q", org: "Cloud Services",
				approval: bySeller, encap: dot1q, keys: guideKey(),
				about: "Sample 3 of the guide: QinQ to Dot1q"},
			{id: "32b7273f-7e7a-43d0-859e-81a7fd3b9609", name: "Cloud Storage QinQ", org: "Cloud Services",
				approval: bySeller, encap: qinq, keys: guideKey(), region: "us-sv",
				about: "Sample 4 of the guide: QinQ to QinQ"},
			{id: "c10f0000-0000-4000-8000-000000000005", name: "Cloud Direct", org: "Cloud Services",
				approval: byAPI, encap: dot1q, keys: guideKey(),
				about: "Integrated: approved by the provider's own API, no consent to a delete"},
			{id: "c10f0000-0000-4000-8000-000000000006", name: "Cloud Peering", org: "Cloud Services",
				approval: bySeller, encap: qinq, keys: guideKey(),
				namedTags: []string{"Private", "Microsoft", "Manual"},
				about:     "Named tags; Manual needs the Z-side C-tags"},
			{id: "c10f0000-0000-4000-8000-000000000007", name: "Cloud Express", org: "Cloud Services",
				approval: bySeller, encap: dot1q, keySpeed: true, once: true,
				keys:  map[string]int{"express-50": 50, "express-200": 200, "express-1000": 1000},
				about: "The key names the speed and is used by one circuit (or pair) at a time"},
			{id: "c10f0000-0000-4000-8000-000000000008", name: "Cloud Open", org: "Cloud Services",
				approval: bySeller, encap: dot1q,
				about: "Approved by the seller, no key"},
			{id: "acef0000-0000-4000-8000-000000000001", name: "Acme Backbone", org: "Acme",
				approval: notNeeded, encap: dot1q, self: true,
				about: "Acme's own: nobody approves, only Acme sees it"},
		}, fabricProfiles()),
	}
}

// fabricProfiles are the profiles that only Fabric lists.
func fabricProfiles() []profile {
	return []profile{
		{id: "20d32a80-0d61-4333-bc03-707b591ae2f4", name: "Cloud Connect", org: "Cloud Services",
			approval: bySeller, encap: qinq, newer: true,
			about: "The mapping of approvals from v3 to Fabric: Dot1q to QinQ"},
		{id: "c10f0000-0000-4000-8000-000000000009", name: "Cloud Solo", org: "Cloud Services",
			approval: byAPI, encap: dot1q, single: true, newer: true,
			about: "Integrated, no key, no redundant pairs"},
	}
}

// fabricPorts are the ports of the samples of the Fabric API's guide (a Dot1q port of
// the buyer, the two on which the samples accept, and the one they show), and untagged
// ones: for each tenant two in SV and DC. The guide uses one port as Dot1q and as QinQ; here
// it is Dot1q.
func fabricPorts() []port {
	out := []port{
		{id: "a867f685-41b0-1b07-6de0-320a5c00abdd", org: "Acme", metro: "SV", ibx: "SV1", encap: dot1q, priority: "Primary"},
		{id: "20d32a80-0d61-4333-bc03-707b591ae2f4", org: "Cloud Services", metro: "SV", ibx: "SV1", encap: qinq, priority: "Primary"},
		{id: "754086e4-164d-64d0-84e0-30ac188c7c35", org: "Cloud Services", metro: "SV", ibx: "SV1", encap: qinq, priority: "Primary"},
		{id: "c791f8cb-5ae1-ae10-8ce0-306a5c00a4ee", org: "Cloud Services", metro: "SV", ibx: "SV1", encap: dot1q, priority: "Primary",
			name: "testBuyer-FR4-L-Dot1q-STD-PRI-10G-JN-489"},
	}
	for _, m := range []struct{ code, hex, first, second string }{
		{"SV", "05", "SV1", "SV5"}, {"DC", "0d", "DC5", "DC6"},
	} {
		for _, t := range []struct{ org, hex string }{{"Acme", "ace"}, {"Cloud Services", "c10"}, {"Globex", "610"}} {
			id := t.hex + "00" + m.hex + "0-0000-4000-8000-00000000000"
			out = append(out,
				port{id: id + "1", org: t.org, metro: m.code, ibx: m.first, encap: untagged, priority: "Primary"},
				port{id: id + "2", org: t.org, metro: m.code, ibx: m.second, encap: untagged, priority: "Secondary"})
		}
	}
	for i := range out {
		out[i].newer = true
	}
	return out
}

// guideKey is the authorization key of the guide's samples.
func guideKey() map[string]int { return map[string]int{"xxxxxxxx": 0} }

// morePorts are the ports beside those of the guide: for Acme and Globex two of each
// encapsulation in every metro, for the seller four, and managed ones on which the
// exchange itself lands what needs no seller.
func morePorts() []port {
	var out []port
	for _, m := range []struct{ code, hex, first, second string }{
		{"SV", "05", "SV1", "SV5"}, {"DC", "0d", "DC5", "DC6"}, {"SE", "5e", "SE2", "SE3"},
	} {
		for _, e := range []struct{ encap, hex string }{{dot1q, "d1"}, {qinq, "99"}} {
			for _, t := range []struct {
				org, hex string
				count    int
			}{{"Acme", "ace", 2}, {"Cloud Services", "c10", 4}, {"Globex", "610", 2}} {
				id := func(n string) string { return t.hex + e.hex + m.hex + "0-0000-4000-8000-0000000000" + n }
				for n := range t.count {
					p := port{id: id("0" + string(rune('1'+n))), org: t.org, metro: m.code, ibx: m.first,
						encap: e.encap, priority: "Primary"}
					if n%2 == 1 {
						p.ibx, p.priority = m.second, "Secondary"
					}
					out = append(out, p)
				}
				out = append(out, port{id: id("99"), org: t.org, metro: m.code, ibx: m.first,
					encap: e.encap, priority: "Primary", managed: true})
			}
		}
	}
	return out
}
