package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// The life cycle, in the exchange's words. What an edit forces may be anything else.
const (
	pendingApproval     = "PENDING_APPROVAL"
	pendingAutoApproval = "PENDING_AUTO_APPROVAL"
	provisioning        = "PROVISIONING"
	provisioned         = "PROVISIONED"
	rejected            = "REJECTED"
	autoApprovalFailed  = "AUTO_APPROVAL_FAILED"
	pendingDelete       = "PENDING_DELETE"
	deprovisioning      = "DEPROVISIONING"
	deprovisioned       = "DEPROVISIONED"
	deleted             = "DELETED"

	notAvailable = "NOT_AVAILABLE"
	available    = "AVAILABLE"
)

// words are what the exchange and the other company say of a circuit.
type words struct{ status, provider string }

// What a command on a circuit can come to. The wire gives each its code.
var (
	errEnded      = errors.New("circuit is deleted or was refused")
	errInMotion   = errors.New("circuit is in a transient state")
	errNotPending = errors.New("circuit is not waiting for the seller")
	errNoLanding  = errors.New("seller has no free port for this")
)

// Step is one entry in a circuit's history: it entered a status, or something else
// of note was done to it, by somebody.
type Step struct {
	At             time.Time `json:"at"`
	Status         string    `json:"status"`
	ProviderStatus string    `json:"providerStatus"`
	By             string    `json:"by"`
	What           string    `json:"what"`
}

// end is one side of a circuit.
type end struct {
	port *port
	tag  tag
}

// overlaps reports whether the two cannot both be circuits' ends.
func (e end) overlaps(o end) bool {
	return e.port != nil && e.port == o.port && e.tag.outer != 0 && e.tag.outer == o.tag.outer &&
		(e.tag.inner == o.tag.inner || e.tag.inner == 0 || o.tag.inner == 0)
}

// speed is a bandwidth as the exchange spells it.
type speed struct {
	value int
	unit  string // MB or GB
}

func (s speed) mbps() int {
	if s.unit == "GB" {
		return s.value * 1000
	}
	return s.value
}

func (s speed) String() string { return fmt.Sprintf("%d %s", s.value, s.unit) }

func speedOf(mbps int) speed {
	if mbps >= 1000 && mbps%1000 == 0 {
		return speed{mbps / 1000, "GB"}
	}
	return speed{mbps, "MB"}
}

// circuit is one connection.
type circuit struct {
	id, name       string
	buyer, seller  *tenant
	profile        *profile // nil: between ports of the buyer's own
	a, z           end      // z.port is nil until the circuit has landed
	suggested      int      // inner tag on the Z side that the buyer asks for
	speed          speed
	wanted         *speed // change of speed under way
	wantsConsent   bool   // it waits for the seller
	consented      bool   // a change of speed was approved by the seller once
	leg            string // primary, secondary, or empty when alone
	group          string
	twin           *circuit
	metro, region  string // of the Z side
	key, namedTag  string
	info           []infoField
	notifications  []string
	purchaseOrder  string
	status         string
	providerStatus string
	rejectComment  string

	created, updated, deleted time.Time
	updatedBy, deletedBy      user
	visible                   time.Time // when lists begin to show it
	history                   []Step
	moves                     int       // counts commands; what was planned before the last is void
	next                      step      // what happens by itself, and
	due                       time.Time // when
	gone                      bool      // vanished
	changed                   *[]*circuit
}

type infoField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ended reports whether nothing more will happen to c.
func (c *circuit) ended() bool {
	switch c.status {
	case rejected, autoApprovalFailed, deprovisioned, deleted:
		return true
	}
	return false
}

// approval says who accepts c.
func (c *circuit) approval() approvalKind {
	if c.profile == nil {
		return notNeeded
	}
	return c.profile.approval
}

// zEncap is the encapsulation of the Z side.
func (c *circuit) zEncap() string {
	if c.profile != nil {
		return c.profile.encap
	}
	return c.z.port.encap
}

// innerOnZ reports whether c takes an inner tag on its Z side.
func (c *circuit) innerOnZ() bool { return c.suggested != 0 }

// note appends to c's history and marks c as updated.
func (c *circuit) note(at time.Time, by, what string) {
	c.updated = at
	*c.changed = append(*c.changed, c)
	c.history = append(c.history, Step{
		At: at.UTC(), Status: c.status, ProviderStatus: c.providerStatus, By: by, What: what,
	})
}

// enter moves c. A circuit that has ended lets go of its tags.
func (c *circuit) enter(at time.Time, w words, by, what string) {
	c.status, c.providerStatus = w.status, w.provider
	c.note(at, by, what)
	if c.ended() {
		c.release()
	}
}

func (c *circuit) release() {
	c.a.port.used.free(c.a.tag, c)
	if c.z.port != nil {
		c.z.port.used.free(c.z.tag, c)
	}
}

// add puts a new circuit on the exchange and starts its life.
func (x *Exchange) add(c *circuit, now time.Time) {
	c.id = x.newID()
	c.created, c.updatedBy = now, c.buyer.user
	x.enroll(c)
	by := c.buyer.user.login
	switch c.approval() {
	case bySeller:
		c.enter(now, words{pendingApproval, notAvailable}, by, "ordered")
		x.wakeRobot(c, now)
	case byAPI:
		c.enter(now, words{pendingAutoApproval, notAvailable}, by, "ordered")
		x.later(c, now.Add(x.delays.Provision), autoApprove)
	default:
		c.status, c.providerStatus = provisioning, notAvailable
		if c.z.port == nil {
			if err := x.landManaged(c); err != nil {
				c.enter(now, words{autoApprovalFailed, notAvailable}, "exchange", err.Error())
				return
			}
		}
		x.provision(c, now, by, "ordered")
	}
}

// enroll makes c known, and gives it its tags unless it has ended.
func (x *Exchange) enroll(c *circuit) {
	c.changed = &x.changed
	if !c.ended() {
		c.a.port.used.take(c.a.tag, c)
		if c.z.port != nil {
			c.z.port.used.take(c.z.tag, c)
		}
	}
	x.circuits[c.id] = c
	x.all = append(x.all, c)
	c.buyer.bought = append(c.buyer.bought, c)
	if c.seller != nil {
		c.seller.sold = append(c.seller.sold, c)
	}
}

// provision moves c to PROVISIONING and, later, to its working state.
func (x *Exchange) provision(c *circuit, now time.Time, by, what string) {
	c.moveOn()
	c.enter(now, words{provisioning, notAvailable}, by, what)
	x.later(c, now.Add(x.delays.Provision), finish)
}

// working is the providerStatus of c in service.
func (c *circuit) working() string {
	if c.approval() == byAPI {
		return provisioned
	}
	return available
}

func (x *Exchange) approveByAPI(c *circuit, at time.Time) {
	if err := x.landManaged(c); err != nil {
		c.enter(at, words{autoApprovalFailed, notAvailable}, "exchange", err.Error())
		return
	}
	x.provision(c, at, "provider", "approved by the provider's API")
}

// landManaged puts c on the exchange's own port for its profile.
func (x *Exchange) landManaged(c *circuit) error {
	return c.landOn(c.seller, func(p *port) bool { return p.managed })
}

// landOn puts c on the first free tag of the seller's ports that suit c and choose.
func (c *circuit) landOn(seller *tenant, choose func(*port) bool) error {
	for _, p := range seller.ports {
		if !choose(p) || p.metro != c.metro || p.encap != c.profile.encap {
			continue
		}
		if t, ok := p.used.next(c.suggested); ok {
			c.land(end{p, t})
			return nil
		}
	}
	return errNoLanding
}

func (c *circuit) land(z end) {
	c.z = z
	z.port.used.take(z.tag, c)
}

// accept puts c, which waits for its seller, on z and provisions it.
func (x *Exchange) accept(c *circuit, z end, now time.Time, by user) {
	c.land(z)
	c.updatedBy = by
	x.provision(c, now, by.login, "approved")
}

// reject refuses what c's seller was asked for: the circuit itself, its end, or its
// new speed.
func (x *Exchange) reject(c *circuit, comment string, now time.Time, by user) error {
	switch {
	case c.status == pendingApproval:
		c.moveOn()
		c.rejectComment, c.updatedBy = comment, by
		c.enter(now, words{rejected, notAvailable}, by.login, "rejected: "+comment)
	case c.status == pendingDelete:
		c.moveOn()
		c.rejectComment, c.updatedBy = comment, by
		c.deleted, c.deletedBy = time.Time{}, user{}
		c.enter(now, words{provisioned, c.working()}, by.login, "delete rejected: "+comment)
	case c.wantsConsent:
		c.moveOn()
		c.rejectComment, c.updatedBy = comment, by
		c.wanted, c.wantsConsent = nil, false
		c.note(now, by.login, "speed rejected: "+comment)
	default:
		return errNotPending
	}
	return nil
}

// remove is the buyer's delete.
func (x *Exchange) remove(c *circuit, now time.Time, by user) error {
	switch {
	case c.ended():
		return errEnded
	case c.status == pendingApproval:
		c.moveOn()
		c.deleted, c.deletedBy, c.updatedBy = now, by, by
		c.enter(now, words{deprovisioned, notAvailable}, by.login, "withdrawn")
		return nil
	case c.status == provisioned:
		c.moveOn()
		c.wanted, c.wantsConsent = nil, false
		c.deleted, c.deletedBy, c.updatedBy = now, by, by
		if c.approval() == bySeller {
			c.enter(now, words{pendingDelete, available}, by.login, "delete asked for")
			x.wakeRobot(c, now)
			return nil
		}
		x.takeDown(c, now, by)
		return nil
	}
	return errInMotion
}

// consent is the seller's agreement to a delete.
func (x *Exchange) consent(c *circuit, now time.Time, by user) error {
	if c.status != pendingDelete {
		return errNotPending
	}
	c.updatedBy = by
	x.takeDown(c, now, by)
	return nil
}

func (x *Exchange) takeDown(c *circuit, now time.Time, by user) {
	c.moveOn()
	c.enter(now, words{deprovisioning, c.providerStatus}, by.login, "delete accepted")
	x.later(c, now.Add(x.delays.Deprovision), tearDown)
}

// rename takes effect at once.
func (x *Exchange) rename(c *circuit, name string, now time.Time, by user) error {
	if c.ended() {
		return errEnded
	}
	if c.status == pendingDelete || c.status == deprovisioning {
		return errInMotion
	}
	c.name, c.updatedBy = name, by
	c.note(now, by.login, "renamed to "+name)
	return nil
}

// resize asks for another speed, which needs the seller's consent where the circuit
// did.
func (x *Exchange) resize(c *circuit, to speed, now time.Time, by user) error {
	if c.ended() {
		return errEnded
	}
	if c.status != provisioned || c.wanted != nil {
		return errInMotion
	}
	c.moveOn()
	c.wanted, c.updatedBy = &to, by
	c.wantsConsent = c.approval() == bySeller
	c.note(now, by.login, "speed "+to.String()+" asked for")
	if c.wantsConsent {
		x.wakeRobot(c, now)
		return nil
	}
	x.later(c, now.Add(x.delays.Provision), changeSpeed)
	return nil
}

// agreeSpeed is the seller's consent to another speed.
func (x *Exchange) agreeSpeed(c *circuit, now time.Time, by user) error {
	if !c.wantsConsent {
		return errNotPending
	}
	c.moveOn()
	c.wantsConsent, c.consented, c.updatedBy = false, true, by
	c.note(now, by.login, "speed approved")
	x.later(c, now.Add(x.delays.Provision), changeSpeed)
	return nil
}

// vanish takes every trace of c away.
func (x *Exchange) vanish(c *circuit) {
	c.moveOn()
	c.release()
	same := func(o *circuit) bool { return o == c }
	x.all = slices.DeleteFunc(x.all, same)
	c.buyer.bought = slices.DeleteFunc(c.buyer.bought, same)
	if c.seller != nil {
		c.seller.sold = slices.DeleteFunc(c.seller.sold, same)
	}
	delete(x.circuits, c.id)
	c.gone = true
	x.changed = append(x.changed, c)
	if c.twin != nil {
		c.twin.twin = nil
	}
}
