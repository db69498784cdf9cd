package sandbox

import (
	"fmt"
	"slices"
	"strings"
)

// packetFabric is the part of the exchange that speaks PacketFabric v2: customers, which
// are the tenants of the other APIs too, with ports, services and circuits of its own.
type packetFabric struct {
	customers map[*tenant]*pfCustomer
	markets   []pfMarket
	ports     map[string]*pfPort
	order     []*pfPort
	services  []*pfService
	requests  map[string]*vc // by request uuid
	circuits  map[string]*vc // by circuit id
	all       []*vc          // by age
	number    int            // of the last circuit id
	changed   []*vc          // since the last look
	tokens    map[string]token
	windows   map[string]*pfWindow
}

// pfCustomer is what a tenant has here besides what it has elsewhere.
type pfCustomer struct {
	tenant    *tenant
	uuid      string
	routingID string
	account   string // uuid for billing
	flex      string // id of a flex bandwidth container
	apiKey    string
	first     string
	last      string
	phone     string

	ports    []*pfPort
	sent     []*vc // requests and backbone circuits, by age
	received []*vc // requests, by age
}

type pfMarket struct{ code, name, country string }

type pfPort struct {
	id       string
	owner    *pfCustomer
	market   string
	enni     bool
	disabled bool
	used     map[tag]*vc
}

// pop is where the port is.
func (p *pfPort) pop() string { return p.market + "1" }

// pfService is a service on the marketplace. It is in every market.
type pfService struct {
	uuid, name, sku string
	seller          *pfCustomer
}

// Bounds of a VLAN: 1 to 3 are reserved.
const (
	pfMinVLAN = 4
	pfMaxVLAN = 4094
)

// newPacketFabric returns the inventory that every exchange starts with. The customer
// uuids, the billing account, the phone and the empty e-mail address of the buyer and the
// seller are those of the sample in the exchange's own guide to marketplace requests; the
// routing ids are examples of its Terraform provider.
func newPacketFabric(tenants []*tenant) packetFabric {
	f := packetFabric{
		customers: make(map[*tenant]*pfCustomer),
		markets: []pfMarket{{"NYC", "New York City", "US"}, {"CHI", "Chicago", "US"},
			{"ATL", "Atlanta", "US"}, {"LAX", "Los Angeles", "US"}},
		ports:    make(map[string]*pfPort),
		requests: make(map[string]*vc),
		circuits: make(map[string]*vc),
		number:   1000000,
		tokens:   make(map[string]token),
		windows:  make(map[string]*pfWindow),
	}
	for i, c := range []pfCustomer{
		{uuid: "9972df99-3a8e-44f0-87e1-51a3005d913b", routingID: "PD-WUY-9VB0", flex: "PF-FB-1000001",
			account: "b2af000f-d15f-4413-9645-6f566e641c29", apiKey: "acme-api-key", phone: "1234567890"},
		{uuid: "5ea91f45-4325-4503-8d7d-1eb5f075be97", routingID: "TR-1RI-OQ85", flex: "PF-FB-2000001",
			account: "c10f0000-0000-4000-8000-0000000000ac", apiKey: "cloud-api-key", phone: "1234567891"},
		{uuid: "610f0000-0000-4000-8000-000000000001", routingID: "GX-1RI-0003", flex: "PF-FB-3000001",
			account: "610f0000-0000-4000-8000-0000000000ac", apiKey: "globex-api-key", phone: "1234567892"},
	} {
		t := tenants[i]
		c.tenant = t
		c.first, c.last, _ = strings.Cut(t.user.fullName, " ")
		f.customers[t] = &c
		f.addPorts(&c, i+1)
	}
	cloud := f.customers[tenants[1]]
	f.services = []*pfService{
		{"c10f0000-0000-4000-8000-0000000000f1", "Cloud Connect", "CLOUD-CONNECT", cloud},
		{"c10f0000-0000-4000-8000-0000000000f2", "Cloud Backup", "CLOUD-BACKUP", cloud},
	}
	return f
}

// addPorts gives c in every market two ports and two ENNI ports. Their numbers are made of
// the customer, 1 for a port or 9 for an ENNI port, and a number.
func (f *packetFabric) addPorts(c *pfCustomer, customer int) {
	for _, m := range f.markets {
		for _, kind := range []int{1, 9} {
			for n := 1; n <= 2; n++ {
				p := &pfPort{owner: c, market: m.code, enni: kind == 9, used: make(map[tag]*vc)}
				p.id = fmt.Sprintf("PF-AP-%s-%d%d%05d", p.pop(), customer, kind, n)
				c.ports = append(c.ports, p)
				f.ports[p.id] = p
				f.order = append(f.order, p)
			}
		}
	}
}

// customer returns the one that passes, or nil.
func (f *packetFabric) customer(passes func(*pfCustomer) bool) *pfCustomer {
	for _, c := range f.customers {
		if passes(c) {
			return c
		}
	}
	return nil
}

// market returns the market with that code, or the zero market.
func (f *packetFabric) market(code string) pfMarket {
	i := slices.IndexFunc(f.markets, func(m pfMarket) bool { return m.code == code })
	if i < 0 {
		return pfMarket{}
	}
	return f.markets[i]
}

func (f *packetFabric) service(uuid string) *pfService {
	i := slices.IndexFunc(f.services, func(s *pfService) bool { return s.uuid == uuid })
	if i < 0 {
		return nil
	}
	return f.services[i]
}

// lowest returns the lowest VLAN that is no circuit's tag on p, neither outer nor inner.
func (p *pfPort) lowest() (int, bool) {
	used := make(map[int]bool, 2*len(p.used))
	for t := range p.used {
		used[t.outer], used[t.inner] = true, true
	}
	for vlan := pfMinVLAN; vlan <= pfMaxVLAN; vlan++ {
		if !used[vlan] {
			return vlan, true
		}
	}
	return 0, false
}
