package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
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

	notProvisioned   = "NOT_PROVISIONED"
	notDeprovisioned = "NOT_DEPROVISIONED"

	notAvailable = "NOT_AVAILABLE"
	available    = "AVAILABLE"
)

// The APIs by which a circuit is ordered.
const (
	viaECX    = "ecx"
	viaFabric = "fabric"
)

// words are what the exchange and the other company say of a circuit.
type words struct{ status, provider string }

// What a command on a circuit can come to. The wire gives each its code.
var (
	errEnded      = errors.New("circuit is deleted or was refused")
	errInMotion   = errors.New("circuit is in a transient state")
	errNotPending = errors.New("circuit is not waiting for the seller")
	errAtRest     = errors.New("nothing is under way that could fail")
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
//
// Both APIs show every circuit. What one of them has no word for the other's orders
// leave empty, and the wire of the API puts its usual value there.
type circuit struct {
	id, name       string
	api            string   // that ordered it: viaECX or viaFabric
	buyer          *tenant  // who ordered it
	seller         *tenant  // the other company, by profile or by token; nil if there is none
	profile        *profile // nil: between ports, or by a service token
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
	notifications  []string // the addresses of all notices
	purchaseOrder  string
	fabric         fabricOrder
	change         change
	status         string
	providerStatus string
	rejectComment  string
	acknowledged   bool // the buyer has seen the rejection
	forced         bool // an edit has put its words

	created, updated, deleted time.Time
	updatedBy, deletedBy      user
	visible                   time.Time // when lists begin to show it
	history                   []Step
	moves                     int       // counts commands; what was planned before the last is void
	next                      step      // what happens by itself, and
	due                       time.Time // when
	gone                      bool      // vanished
	home                      *Exchange
	face                      face // as of its last change
	number                    int  // by age
}

func (c *circuit) ident() string { return c.id }

// fabricOrder is what only the Fabric API orders or shows. Its zero value is that of a
// circuit ordered elsewhere.
type fabricOrder struct {
	Type        string      `json:"type,omitempty"` // EVPL_VC if empty
	AToken      string      `json:"aToken,omitempty"`
	ZToken      string      `json:"zToken,omitempty"`
	Notices     []notice    `json:"notices,omitempty"` // one of type ALL if empty
	CustomerRef string      `json:"customerRef,omitempty"`
	Term        int         `json:"term,omitempty"`
	Project     string      `json:"project,omitempty"` // the buyer's if empty
	GeoScope    string      `json:"geoScope,omitempty"`
	Description string      `json:"description,omitempty"`
	Extra       []extraInfo `json:"extra,omitempty"`
}

// notice says who is told of what.
type notice struct {
	Type            string   `json:"type"`
	SendInterval    string   `json:"sendInterval,omitempty"`
	Emails          []string `json:"emails"`
	RegisteredUsers []string `json:"registeredUsers,omitempty"`
}

type extraInfo struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// The kinds and outcomes of a change, in Fabric's words.
const (
	creation = "CONNECTION_CREATION"
	updating = "CONNECTION_UPDATE"
	deletion = "CONNECTION_DELETION"
	refresh  = "CONNECTION_PROVIDER_STATUS_REQUEST"

	requested  = "REQUESTED"
	submitted  = "SUBMITTED_FOR_APPROVAL"
	approved   = "APPROVED"
	refused    = "REJECTED"
	completed  = "COMPLETED"
	notWorking = "FAILED"
)

// change is the last thing that somebody wanted of a circuit, and what has become of it.
type change struct {
	ID      string    `json:"id,omitempty"`
	Count   int       `json:"count,omitempty"` // of the circuit's changes, this one included
	Kind    string    `json:"kind,omitempty"`
	Status  string    `json:"status,omitempty"`
	Path    string    `json:"path,omitempty"` // of an update: what is replaced, and
	Value   any       `json:"value,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
}

// begin makes kind the circuit's present change.
func (c *circuit) begin(at time.Time, kind, status string) {
	n := c.change.Count + 1
	c.change = change{ID: derivedID(c.id, "change", strconv.Itoa(n)), Count: n, Kind: kind, Status: status,
		Created: at, Updated: at}
}

// over reports whether nothing more will become of c.
func (c change) over() bool {
	return c.Status == completed || c.Status == refused || c.Status == notWorking
}

// settle says what has become of the present change.
func (c *circuit) settle(at time.Time, status string) {
	c.change.Status, c.change.Updated = status, at
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

// note appends to c's history, marks c as updated and tells whoever watches.
func (c *circuit) note(at time.Time, by, what string) {
	c.updated = at
	c.home.changed = append(c.home.changed, c)
	c.history = append(c.history, Step{
		At: at.UTC(), Status: c.status, ProviderStatus: c.providerStatus, By: by, What: what,
	})
	before := c.face
	c.show()
	for _, tell := range c.home.hooks {
		tell(happening{circuit: c, at: at, by: by, what: what, before: before, after: c.face})
	}
}

// enter moves c. A circuit that has ended lets go of its tags.
func (c *circuit) enter(at time.Time, w words, by, what string) {
	c.status, c.providerStatus, c.forced = w.status, w.provider, false
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
	if c.id == "" {
		c.id = x.newID()
	}
	if c.group == "" {
		c.group = derivedID(c.id, "group")
	}
	c.created, c.updatedBy = now, c.buyer.user
	x.enroll(c)
	by := c.buyer.user.login
	c.begin(now, creation, requested)
	switch c.approval() {
	case bySeller:
		c.settle(now, submitted)
		c.enter(now, words{pendingApproval, notAvailable}, by, "ordered")
		x.wakeRobot(c, now)
	case byAPI:
		c.enter(now, words{pendingAutoApproval, notAvailable}, by, "ordered")
		x.later(c, now.Add(x.delays.Provision), autoApprove)
	default:
		c.status, c.providerStatus = provisioning, notAvailable
		if c.z.port == nil {
			if err := x.landManaged(c); err != nil {
				c.settle(now, notWorking)
				c.enter(now, words{autoApprovalFailed, notAvailable}, "exchange", err.Error())
				return
			}
		}
		x.provision(c, now, by, "ordered")
	}
}

// enroll makes c known, and gives it its tags unless it has ended.
func (x *Exchange) enroll(c *circuit) {
	c.home = x
	if !c.ended() {
		c.a.port.used.take(c.a.tag, c)
		if c.z.port != nil {
			c.z.port.used.take(c.z.tag, c)
		}
	}
	x.circuits[c.id] = c
	x.all = append(x.all, c)
	x.made++
	c.number = x.made
	c.buyer.bought = append(c.buyer.bought, c)
	if c.seller != nil {
		c.seller.sold = append(c.seller.sold, c)
	}
	for _, t := range c.parties() {
		t.party = append(t.party, c)
	}
	x.groups[c.group] = append(x.groups[c.group], c)
}

// parties are the tenants that see c, each once.
func (c *circuit) parties() []*tenant {
	out := []*tenant{c.buyer}
	for _, t := range []*tenant{c.seller, c.a.port.owner} {
		if t != nil && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// derivedID returns the id that belongs to these words: always the same one, so that it
// need not be remembered, and takes nothing from the replayable ids.
func derivedID(of ...string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join(of, "/"))).String()
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
		c.settle(at, notWorking)
		c.enter(at, words{autoApprovalFailed, notAvailable}, "exchange", err.Error())
		return
	}
	c.settle(at, approved)
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
		if t, ok := p.used.next(c.innerTag()); ok {
			c.land(end{p, t})
			return nil
		}
	}
	return errNoLanding
}

// innerTag is the inner tag that the exchange chooses on the Z side. An order by Fabric
// cannot suggest one; a Dot1q circuit keeps its tag as the inner one there.
func (c *circuit) innerTag() int {
	if c.suggested == 0 && c.api == viaFabric && c.a.port.encap == dot1q && c.zEncap() == qinq {
		return c.a.tag.outer
	}
	return c.suggested
}

func (c *circuit) land(z end) {
	c.z = z
	z.port.used.take(z.tag, c)
}

// accept puts c, which waits for its seller, on z and provisions it.
func (x *Exchange) accept(c *circuit, z end, now time.Time, by user) {
	c.land(z)
	c.updatedBy = by
	c.settle(now, approved)
	x.provision(c, now, by.login, "approved")
}

// reject refuses what c's seller was asked for: the circuit itself, its end, or its
// new speed.
func (x *Exchange) reject(c *circuit, comment string, now time.Time, by user) error {
	switch {
	case c.status == pendingApproval:
		c.moveOn()
		c.rejectComment, c.updatedBy = comment, by
		c.settle(now, refused)
		c.enter(now, words{rejected, notAvailable}, by.login, "rejected: "+comment)
	case c.status == pendingDelete:
		c.moveOn()
		c.rejectComment, c.updatedBy = comment, by
		c.deleted, c.deletedBy = time.Time{}, user{}
		c.settle(now, refused)
		c.enter(now, words{provisioned, c.working()}, by.login, "delete rejected: "+comment)
	case c.wantsConsent:
		c.moveOn()
		c.rejectComment, c.updatedBy = comment, by
		c.wanted, c.wantsConsent = nil, false
		c.settle(now, refused)
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
		c.begin(now, deletion, completed)
		c.enter(now, words{deprovisioned, notAvailable}, by.login, "withdrawn")
		return nil
	case c.status == provisioned, c.status == notProvisioned && c.next == "":
		c.moveOn()
		c.wanted, c.wantsConsent = nil, false
		c.deleted, c.deletedBy, c.updatedBy = now, by, by
		c.begin(now, deletion, requested)
		if c.approval() == bySeller && c.status == provisioned {
			c.settle(now, submitted)
			c.enter(now, words{pendingDelete, available}, by.login, "delete asked for")
			x.wakeRobot(c, now)
			return nil
		}
		x.takeDown(c, now, by)
		return nil
	case c.status == notDeprovisioned:
		return x.retry(c, notDeprovisioned, now, by)
	}
	return errInMotion
}

// consent is the seller's agreement to a delete.
func (x *Exchange) consent(c *circuit, now time.Time, by user) error {
	if c.status != pendingDelete {
		return errNotPending
	}
	c.updatedBy = by
	c.settle(now, approved)
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
	c.replaced(now, "/name", name)
	c.note(now, by.login, "renamed to "+name)
	return nil
}

// replaced notes that a field was replaced at once. A change that is under way stays the
// circuit's present one.
func (c *circuit) replaced(now time.Time, path string, value any) {
	if !c.change.over() {
		return
	}
	c.begin(now, updating, completed)
	c.change.Path, c.change.Value = path, value
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
	c.begin(now, updating, approved)
	c.change.Path, c.change.Value = "/bandwidth", to.mbps()
	if c.wantsConsent {
		c.settle(now, submitted)
	}
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
	c.settle(now, approved)
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
	for _, t := range c.parties() {
		t.party = slices.DeleteFunc(t.party, same)
		t.shelf.remove(c)
	}
	x.groups[c.group] = slices.DeleteFunc(x.groups[c.group], same)
	delete(x.circuits, c.id)
	c.gone = true
	x.changed = append(x.changed, c)
	if c.twin != nil {
		c.twin.twin = nil
	}
}

// fail ends what is under way without success. What could not be provisioned keeps its
// tags until it is deleted or tried again.
func (x *Exchange) fail(c *circuit, now time.Time, by user) error {
	to := words{provider: "FAILED"}
	switch c.next {
	case finish:
		to.status = notProvisioned
	case tearDown:
		to.status = notDeprovisioned
	case autoApprove:
		to.status = autoApprovalFailed
	case changeSpeed:
		c.moveOn()
		c.wanted, c.updatedBy = nil, by
		c.settle(now, notWorking)
		c.note(now, by.login, "speed could not be changed")
		return nil
	default:
		return errAtRest
	}
	c.moveOn()
	c.updatedBy = by
	c.settle(now, notWorking)
	c.enter(now, to, by.login, "failed")
	return nil
}

// retry tries again what has failed: provisioning, or taking down.
func (x *Exchange) retry(c *circuit, failed string, now time.Time, by user) error {
	if c.status != failed || c.next != "" {
		return errNotPending
	}
	c.updatedBy = by
	c.settle(now, requested)
	if failed == notDeprovisioned {
		c.providerStatus = deprovisioning
		x.takeDown(c, now, by)
		return nil
	}
	x.provision(c, now, by.login, "tried again")
	return nil
}

// acknowledge is the buyer's receipt for a rejection.
func (x *Exchange) acknowledge(c *circuit, now time.Time, by user) error {
	if c.status != rejected || c.acknowledged {
		return errNotPending
	}
	c.acknowledged, c.updatedBy = true, by
	c.note(now, by.login, "rejection acknowledged")
	return nil
}
