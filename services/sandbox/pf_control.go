package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PacketFabric is what the part of the exchange that speaks PacketFabric has, without
// secrets.
type PacketFabric struct {
	Customers []PFCustomer `json:"customers"`
	Markets   []string     `json:"markets"`
	Ports     []PFPort     `json:"ports"`
	Services  []PFService  `json:"services"`
	Circuits  []PFCircuit  `json:"circuits"` // by age
}

// PFCustomer is what a tenant has at PacketFabric.
type PFCustomer struct {
	Tenant    string `json:"tenant"`
	UUID      string `json:"uuid"`
	RoutingID string `json:"routingId"`
	Account   string `json:"account"`         // uuid for billing
	Flex      string `json:"flexBandwidthId"` // a container of bandwidth
}

// PFPort is a port and the VLANs in use on it.
type PFPort struct {
	ID       string     `json:"id"`
	Tenant   string     `json:"tenant"`
	Market   string     `json:"market"`
	ENNI     bool       `json:"enni"`
	Disabled bool       `json:"disabled"`
	InUse    []TagInUse `json:"inUse,omitempty"` // without a tag: S-tag 0
}

// PFService is a service on the marketplace.
type PFService struct {
	UUID   string `json:"uuid"`
	Name   string `json:"name"`
	Seller string `json:"seller"`
}

// PFCircuit is a request with the circuit that became of it, or a backbone circuit, with
// its whole history.
type PFCircuit struct {
	ID          string    `json:"id"` // the request's, or else the circuit's
	CircuitID   string    `json:"circuitId,omitempty"`
	Description string    `json:"description,omitempty"`
	Buyer       string    `json:"buyer"`
	Seller      string    `json:"seller,omitempty"`
	Market      string    `json:"market"`
	Service     string    `json:"service,omitempty"` // uuid
	Status      string    `json:"status,omitempty"`  // of the request; withdrawn is the sandbox's own word
	State       string    `json:"state,omitempty"`   // of the circuit
	Waits       string    `json:"waits,omitempty"`   // for the seller: create
	Speed       string    `json:"speed,omitempty"`
	RateLimitIn int       `json:"rateLimitIn,omitempty"`
	A           Side      `json:"a"` // sTag is the outer tag: of an ENNI port the S-VLAN, else the VLAN
	Z           *Side     `json:"z,omitempty"`
	Created     time.Time `json:"created"`
	VisibleAt   time.Time `json:"visibleAt"`
	Billed      bool      `json:"billed"`
	History     []Step    `json:"history"`
}

// pfInventory copies the inventory with the circuits to keep. The exchange is locked.
func (x *Exchange) pfInventory(keep func(*vc) bool) PacketFabric {
	out := PacketFabric{Circuits: []PFCircuit{}}
	f := &x.pf
	for _, t := range x.tenants {
		c := f.customers[t]
		out.Customers = append(out.Customers, PFCustomer{t.org, c.uuid, c.routingID, c.account, c.flex})
	}
	for _, m := range f.markets {
		out.Markets = append(out.Markets, m.code)
	}
	for _, p := range f.order {
		v := PFPort{ID: p.id, Tenant: p.owner.tenant.org, Market: p.market, ENNI: p.enni, Disabled: p.disabled}
		for t, holder := range p.used {
			v.InUse = append(v.InUse, TagInUse{STag: t.outer, CTag: t.inner, Connection: holder.id()})
		}
		slices.SortFunc(v.InUse, func(a, b TagInUse) int {
			return cmp.Or(cmp.Compare(a.STag, b.STag), cmp.Compare(a.CTag, b.CTag))
		})
		out.Ports = append(out.Ports, v)
	}
	for _, s := range f.services {
		out.Services = append(out.Services, PFService{s.uuid, s.name, s.seller.tenant.org})
	}
	for _, v := range f.all {
		if keep(v) {
			out.Circuits = append(out.Circuits, v.view())
		}
	}
	return out
}

func (v *vc) view() PFCircuit {
	out := PFCircuit{
		ID: v.id(), CircuitID: v.circuitID, Description: v.description, Buyer: v.buyer.tenant.org, Market: v.market,
		Status: v.status, State: v.state, Speed: v.bandwidth.Speed, RateLimitIn: v.rateIn, A: *v.a.side(),
		Z: v.z.side(), Created: v.created.UTC(), VisibleAt: v.visible.UTC(),
		Billed:  v.state == vcActive || v.state == vcDeleting,
		History: slices.Clone(v.history),
	}
	if v.seller != nil {
		out.Seller, out.Created = v.seller.tenant.org, v.requested.UTC()
	}
	if v.service != nil {
		out.Service = v.service.uuid
	}
	if v.status == pfPending {
		out.Waits = "create"
	}
	return out
}

// PFCircuit returns the request or circuit with that id: a request's uuid or a circuit's id.
func (x *Exchange) PFCircuit(id string) (PFCircuit, bool) {
	x.lock()
	defer x.unlock()
	v := x.pfFind(id)
	if v == nil {
		return PFCircuit{}, false
	}
	return v.view(), true
}

// pfFind returns the request or circuit with that id, or nil.
func (x *Exchange) pfFind(id string) *vc {
	if v := x.pf.requests[id]; v != nil {
		return v
	}
	return x.pf.circuits[id]
}

// pfEdit makes an edit of the portal that concerns v.
func (x *Exchange) pfEdit(v *vc, e Edit, now time.Time) error {
	by := portalUser().login
	switch e.Kind {
	case "rename":
		v.description = e.Name
		v.note(now, by, "renamed to "+e.Name)
	case "speed":
		v.rateIn, v.rateOut = e.SpeedMbps, e.SpeedMbps
		v.note(now, by, fmt.Sprintf("speed is now %d MB", e.SpeedMbps))
	case "status":
		return v.force(e, now)
	case "approve", "reject":
		return x.pfDecide(v, verdict{e.Kind, e.Comment, portalUser()}, now)
	case "delete":
		if v.circuitID == "" {
			return x.pfWithdraw(v, e.Comment, now, by).asError()
		}
		return x.pfRemove(v, now, by).asError()
	case "fail":
		return x.pfFail(v, now, by)
	case "vanish":
		x.pfVanish(v)
	}
	return nil
}

// force sets the word of the circuit, or of the request where there is no circuit yet.
// Whoever has let go of its VLANs never gets them back.
func (v *vc) force(e Edit, now time.Time) error {
	switch {
	case e.Status == "" || e.ProviderStatus != "":
		return errors.New("a circuit of PacketFabric has a status and no providerStatus")
	case v.ended():
		return errEnded
	case v.circuitID == "":
		v.status, v.decided = e.Status, now
	default:
		v.state = e.Status
	}
	v.note(now, portalUser().login, "forced")
	if v.ended() {
		v.release()
		v.moveOn()
	}
	return nil
}

// pfDecide is a verdict that names no landing: the lowest free VLAN of the seller's first
// port in the market is chosen, ENNI ports last.
func (x *Exchange) pfDecide(v *vc, d verdict, now time.Time) error {
	if d.action == "reject" {
		return x.pfReject(v, d.comment, now, d.by.login).asError()
	}
	if v.status != pfPending {
		return errNotPending
	}
	for _, enni := range []bool{false, true} {
		for _, p := range v.seller.ports {
			vlan, ok := p.lowest()
			if p.market != v.market || p.enni != enni || !ok {
				continue
			}
			z := vcEnd{p, tag{outer: vlan}}
			if enni {
				z.tag.inner = vlan
			}
			v.shown = now.Add(x.delays.Visible)
			return x.pfProvision(v, z, now, d.by.login).asError()
		}
	}
	return errNoLanding
}

// pfRobotFor returns the robot that decides v: that of the service, of the seller's
// routing id, or of all.
func (x *Exchange) pfRobotFor(v *vc) (Robot, bool) {
	keys := []string{v.seller.routingID, "*"}
	if v.service != nil {
		keys = append([]string{v.service.uuid}, keys...)
	}
	for _, key := range keys {
		if r, ok := x.robots[key]; ok {
			return r, v.status == pfPending && (len(r.On) == 0 || slices.Contains(r.On, "create"))
		}
	}
	return Robot{}, false
}

// pfWake plans the robot's decision on the request v.
func (x *Exchange) pfWake(v *vc, now time.Time) {
	if r, ok := x.pfRobotFor(v); ok {
		x.pfLater(v, now.Add(r.After), pfRobot)
	}
}

// pfWakeFor plans the decisions of a robot that is new.
func (x *Exchange) pfWakeFor(robot Robot, now time.Time) {
	for _, v := range x.pf.all {
		if v.seller == nil {
			continue
		}
		if r, ok := x.pfRobotFor(v); ok && r.Profile == robot.Profile {
			x.pfWake(v, now)
		}
	}
}

// pfAskRobot lets the robot decide, if there is still one and something to decide.
func (x *Exchange) pfAskRobot(v *vc, at time.Time) {
	if r, ok := x.pfRobotFor(v); ok {
		// A robot that finds no port leaves the request pending, as a person would.
		_ = x.pfDecide(v, verdict{r.Action, r.Comment, robotUser()}, at)
	}
}

// sells reports whether a robot may be set for key: a service or a customer.
func (f *packetFabric) sells(key string) bool {
	return f.service(key) != nil || f.customer(func(c *pfCustomer) bool { return c.routingID == key }) != nil
}

// pfFilter reads which circuits an inventory shall have, as [filter] does; the name is the
// description.
func pfFilter(get func(string) string) func(*vc) bool {
	name, status, tenant, port := get("name"), get("status"), get("tenant"), get("port")
	prefix, wild := strings.CutSuffix(name, "*")
	none, open := get("connections") == "none", get("connections") == "open"
	return func(v *vc) bool {
		switch {
		case none, open && v.ended(),
			status != "" && status != v.word(),
			tenant != "" && tenant != v.buyer.tenant.org && tenant != v.buyer.tenant.clientID,
			port != "" && port != v.a.port.id && (v.z.port == nil || port != v.z.port.id),
			wild && !strings.HasPrefix(v.description, prefix),
			!wild && name != "" && name != v.description:
			return false
		}
		return true
	}
}

// expire ends every login, or those of one client.
func (f *packetFabric) expire(client string) {
	for secret, t := range f.tokens {
		if client == "" || client == t.tenant.clientID {
			delete(f.tokens, secret)
		}
	}
}
