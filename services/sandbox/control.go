package sandbox

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Inventory is all that the exchange has, without secrets.
type Inventory struct {
	Now         time.Time    `json:"now"`
	Tenants     []Tenant     `json:"tenants"`
	Ports       []Port       `json:"ports"`
	Profiles    []Profile    `json:"profiles"`
	Connections []Connection `json:"connections"` // by age

	PacketFabric PacketFabric `json:"packetfabric"`
}

// Tenant is a customer of the exchange.
type Tenant struct {
	Organization string `json:"organization"`
	ClientID     string `json:"clientId"`
	User         string `json:"user"`
	Locked       bool   `json:"locked"`
}

// Port is a port and the VLANs in use on it.
type Port struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Tenant        string     `json:"tenant"`
	Metro         string     `json:"metro"`
	IBX           string     `json:"ibx"`
	Encapsulation string     `json:"encapsulation"` // Dot1q, Qinq or Untagged
	Priority      string     `json:"priority"`      // Primary or Secondary
	Managed       bool       `json:"managed"`       // only the exchange itself lands circuits here
	InUse         []TagInUse `json:"inUse,omitempty"`
}

// Profile is a service profile.
type Profile struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Seller        string   `json:"seller"`
	Approval      string   `json:"approval"` // seller, api or nobody
	Encapsulation string   `json:"encapsulation"`
	KeyRequired   bool     `json:"keyRequired"`
	SpeedFromKey  bool     `json:"speedFromKey"`
	Region        string   `json:"region,omitempty"`
	NamedTags     []string `json:"namedTags,omitempty"`
	Private       bool     `json:"private"`
	About         string   `json:"about"`
}

// Connection is a circuit with its whole history.
type Connection struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	API            string `json:"api"` // that ordered it: ecx or fabric
	Buyer          string `json:"buyer"`
	Seller         string `json:"seller,omitempty"`
	Profile        string `json:"profile,omitempty"`
	Status         string `json:"status"`
	ProviderStatus string `json:"providerStatus"`
	Waits          string `json:"waits,omitempty"` // for the seller: create, delete or change
	SpeedMbps      int    `json:"speedMbps"`
	WantedMbps     int    `json:"wantedMbps,omitempty"`
	A              Side   `json:"a"`
	Z              *Side  `json:"z,omitempty"` // absent until it has landed
	Metro          string `json:"metro"`
	Leg            string `json:"leg,omitempty"`
	Group          string `json:"group,omitempty"`
	// Tokens that the connection was made with: nobody can use them again, so they are no secret.
	AToken        string    `json:"aSideServiceToken,omitempty"`
	ZToken        string    `json:"zSideServiceToken,omitempty"`
	Created       time.Time `json:"created"`
	VisibleAt     time.Time `json:"visibleAt"`
	Billed        bool      `json:"billed"`
	RejectComment string    `json:"rejectComment,omitempty"`
	History       []Step    `json:"history"`
}

// Side is one end of a connection.
type Side struct {
	Port string `json:"port"`
	STag int    `json:"sTag"`
	CTag int    `json:"cTag,omitempty"`
}

// Inventory returns all that the exchange has.
func (x *Exchange) Inventory() Inventory {
	return x.inventory(func(*circuit) bool { return true }, func(*vc) bool { return true })
}

// inventory copies the inventory with the circuits to keep.
func (x *Exchange) inventory(keep func(*circuit) bool, keepVC func(*vc) bool) Inventory {
	now := x.lock()
	defer x.unlock()
	v := Inventory{Now: now.UTC(), Connections: []Connection{}, PacketFabric: x.pfInventory(keepVC)}
	for _, t := range x.tenants {
		v.Tenants = append(v.Tenants, Tenant{t.org, t.clientID, t.user.login,
			x.lockAfter > 0 && t.failures >= x.lockAfter})
	}
	for _, p := range x.order.ports {
		v.Ports = append(v.Ports, Port{p.id, p.name, p.org, p.metro, p.ibx, p.encap, p.priority, p.managed,
			p.used.list()})
	}
	for _, p := range x.order.profiles {
		v.Profiles = append(v.Profiles, Profile{p.id, p.name, p.org, string(p.approval), p.encap,
			len(p.keys) > 0, p.keySpeed, p.region, p.namedTags, p.self, p.about})
	}
	for _, c := range x.all {
		if keep(c) {
			v.Connections = append(v.Connections, c.view())
		}
	}
	return v
}

// Connection returns the circuit with that id.
func (x *Exchange) Connection(id string) (Connection, bool) {
	x.lock()
	defer x.unlock()
	c := x.circuits[id]
	if c == nil {
		return Connection{}, false
	}
	return c.view(), true
}

func (c *circuit) view() Connection {
	v := Connection{
		ID: c.id, Name: c.name, Buyer: c.buyer.org, Status: c.status, ProviderStatus: c.providerStatus,
		Waits: c.pending(), SpeedMbps: c.speed.mbps(), A: c.a.side(), Metro: c.metro, Leg: c.leg, API: c.api,
		AToken: c.fabric.AToken, ZToken: c.fabric.ZToken,
		Created: c.created.UTC(), VisibleAt: c.visible.UTC(), RejectComment: c.rejectComment,
		Billed:  c.status == provisioned || c.status == pendingDelete,
		History: slices.Clone(c.history),
	}
	if c.seller != nil {
		v.Seller = c.seller.org
	}
	if c.profile != nil {
		v.Profile = c.profile.id
	}
	if c.leg != "" {
		v.Group = c.group
	}
	if c.wanted != nil {
		v.WantedMbps = c.wanted.mbps()
	}
	if c.z.port != nil {
		z := c.z.side()
		v.Z = &z
	}
	return v
}

func (e end) side() Side { return Side{e.port.id, e.tag.outer, e.tag.inner} }

// Delays returns the delays in force.
func (x *Exchange) Delays() Delays {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.delays
}

// SetDelays sets all delays; zero means none. What has begun keeps its time.
func (x *Exchange) SetDelays(d Delays) {
	x.lock()
	defer x.unlock()
	x.delays = d
}

// Edit is something done in the exchange's portal, behind every client's back.
type Edit struct {
	Kind           string `json:"kind"`                 // see [Exchange.Edit]
	Connection     string `json:"connection,omitempty"` // id
	Name           string `json:"name,omitempty"`
	SpeedMbps      int    `json:"speedMbps,omitempty"`
	Status         string `json:"status,omitempty"`
	ProviderStatus string `json:"providerStatus,omitempty"`
	Comment        string `json:"comment,omitempty"`
	Profile        string `json:"profile,omitempty"` // id
	Key            string `json:"key,omitempty"`
	Client         string `json:"client,omitempty"` // id
}

// portalUser is who edits are made by.
func portalUser() user { return user{"portal", "Portal User", "portal@example.net"} }

// Edit makes e, or says all that is wrong with it. Kinds that concern a connection:
//
//	rename, speed    the new name or speed stands at once, nobody is asked
//	status           status and providerStatus (either may be empty) are forced to any
//	                 words; what was under way goes on, except when the circuit has ended
//	approve, reject  the seller decides; the portal chooses the landing
//	delete           the buyer deletes: the seller may have to agree
//	fail             what is under way fails: provisioning, taking down or a change of speed
//	vanish           the record is gone, as if it had never been
//
// and others:
//
//	key              the profile accepts one more authorization key
//	unlock           a client's account is unlocked
//	expire-tokens    every access token (or those of one client) ends now
func (x *Exchange) Edit(e Edit) error {
	now := x.lock()
	defer x.unlock()
	return x.edit(e, now)
}

func (x *Exchange) edit(e Edit, now time.Time) error {
	if err := x.checkEdit(e).err(); err != nil {
		return err
	}
	switch e.Kind {
	case "key":
		p := x.profiles[e.Profile]
		if p.keys == nil {
			p.keys = make(map[string]int)
		}
		p.keys[e.Key] = e.SpeedMbps
		return nil
	case "unlock":
		x.client(e.Client).failures = 0
		return nil
	case "expire-tokens":
		for secret, t := range x.tokens {
			if e.Client == "" || e.Client == t.tenant.clientID {
				delete(x.tokens, secret)
			}
		}
		x.pf.expire(e.Client)
		return nil
	}
	var err error
	var word string
	if v := x.pfFind(e.Connection); v != nil {
		word, err = v.word(), x.pfEdit(v, e, now)
	} else if c := x.circuits[e.Connection]; c != nil {
		word, err = c.status, x.editCircuit(c, e, now)
	} else {
		return Mistakes{{Field: "connection", Text: fmt.Sprintf("%q is not there; GET /sandbox/inventory has the ids", e.Connection)}}
	}
	if err != nil {
		return fmt.Errorf("kind: %s of %s, which is %s: %w", e.Kind, e.Connection, word, err)
	}
	return nil
}

func (x *Exchange) editCircuit(c *circuit, e Edit, now time.Time) error {
	by := portalUser()
	switch e.Kind {
	case "rename":
		c.name, c.updatedBy = e.Name, by
		c.replaced(now, "/name", e.Name)
		c.note(now, by.login, "renamed to "+e.Name)
	case "speed":
		c.speed, c.updatedBy = speedOf(e.SpeedMbps), by
		c.replaced(now, "/bandwidth", e.SpeedMbps)
		c.note(now, by.login, "speed is now "+c.speed.String())
	case "status":
		return x.force(c, e, now)
	case "approve", "reject":
		if c.profile == nil {
			return errNotPending
		}
		return x.decideInPortal(c, verdict{e.Kind, e.Comment, by}, now)
	case "delete":
		return x.remove(c, now, by)
	case "fail":
		return x.fail(c, now, by)
	case "vanish":
		x.vanish(c)
	}
	return nil
}

// force sets c's words. Whoever has let go of its tags never gets them back.
func (x *Exchange) force(c *circuit, e Edit, now time.Time) error {
	status, provider := e.Status, e.ProviderStatus
	if c.ended() {
		return errEnded
	}
	if status == "" {
		status = c.status
	}
	if provider == "" {
		provider = c.providerStatus
	}
	c.updatedBy = portalUser()
	c.status, c.providerStatus, c.forced = status, provider, true
	c.note(now, portalUser().login, "forced")
	if c.ended() {
		c.release()
		c.moveOn()
	}
	return nil
}

// checkFilter says why an inventory can have no such circuits.
func (x *Exchange) checkFilter(q url.Values) Mistakes {
	var wrong Mistakes
	for _, key := range slices.Sorted(maps.Keys(q)) {
		if known := []string{"connections", "name", "port", "status", "tenant"}; !slices.Contains(known, key) {
			wrong.add(plain(key), "unknown parameter; known are %s", strings.Join(known, ", "))
		}
	}
	if which := q.Get("connections"); which != "" && which != "none" && which != "open" {
		wrong.add("connections", "%q is none of none, open", which)
	}
	if id := q.Get("port"); id != "" && x.ports[id] == nil && x.pf.ports[id] == nil {
		wrong.add("port", "%q is not there; give the id of a port", id)
	}
	x.checkTenant(&wrong, "tenant", q.Get("tenant"))
	return wrong
}

// filter reads which circuits an inventory shall have: name, status, tenant and port
// may be given, and a name that ends in * is a prefix.
func filter(get func(string) string) func(*circuit) bool {
	name, status, tenant, port := get("name"), get("status"), get("tenant"), get("port")
	prefix, wild := strings.CutSuffix(name, "*")
	none := get("connections") == "none"
	open := get("connections") == "open"
	return func(c *circuit) bool {
		switch {
		case none, open && c.ended(),
			status != "" && status != c.status,
			tenant != "" && tenant != c.buyer.org && tenant != c.buyer.clientID,
			port != "" && port != c.a.port.id && (c.z.port == nil || port != c.z.port.id),
			wild && !strings.HasPrefix(c.name, prefix),
			!wild && name != "" && name != c.name:
			return false
		}
		return true
	}
}
