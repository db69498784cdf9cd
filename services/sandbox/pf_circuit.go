package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// The words of a request, and of the circuit that becomes of it. Withdrawn is ours: the
// exchange forgets such a request.
const (
	pfPending     = "pending"
	pfProvisioned = "provisioned"
	pfRejected    = "rejected"
	pfWithdrawn   = "withdrawn"

	vcPending      = "Pending"
	vcProvisioning = "Provisioning"
	vcActive       = "Active"
	vcDeleting     = "Deleting"
	vcDeleted      = "Deleted"
)

// vc is a marketplace request with the virtual circuit that became of it, or a backbone
// circuit, which had no request.
//
// A pending request holds no VLAN: of two equal requests both are made, and the seller
// can provision one.
type vc struct {
	requestID      string // empty: backbone
	circuitID      string // empty until provisioned
	number         int    // in circuitID
	buyer, seller  *pfCustomer
	market         string // of the Z side
	a, z           vcEnd  // z.port is nil until provisioned
	description    string
	service        *pfService
	bandwidth      pfBandwidth
	flex           string
	rateIn         int
	rateOut        int
	poNumber       string
	epl            bool
	status         string // of the request
	state          string // of the circuit
	work           pfWorkflow
	visible, shown time.Time // when lists begin to show the request and the circuit

	requested, decided time.Time // the request's times
	created, updated   time.Time // the circuit's times

	history []Step
	moves   int       // counts commands; what was planned before the last is void
	next    pfStep    // what happens by itself, and
	due     time.Time // when
	gone    bool      // vanished
	changed *[]*vc
}

// vcEnd is one side of a vc. A VLAN is the outer tag of a port; of an ENNI port it is the
// inner one, and the S-VLAN the outer. Without a tag the zero tag is held.
type vcEnd struct {
	port *pfPort
	tag  tag
}

func (e vcEnd) untagged() bool { return e.tag == tag{} }

// vlans returns the VLAN and the S-VLAN, 0 for none.
func (e vcEnd) vlans() (vlan, svlan int) {
	if e.port.enni {
		return e.tag.inner, e.tag.outer
	}
	return e.tag.outer, 0
}

// pfBandwidth is what is paid for, as the wire has it.
type pfBandwidth struct {
	AccountUUID      string `json:"account_uuid,omitempty"`
	LonghaulType     string `json:"longhaul_type,omitempty"`
	SubscriptionTerm int    `json:"subscription_term,omitempty"`
	Speed            string `json:"speed,omitempty"`
}

// pfWorkflow is what the exchange does, or did last, to a circuit.
type pfWorkflow struct {
	Name   string    `json:"name,omitempty"`
	Root   string    `json:"root,omitempty"`
	Now    string    `json:"now,omitempty"` // uuid of the part under way
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
	Done   bool      `json:"done,omitempty"`
	Failed int       `json:"failed,omitempty"` // position at which it ended without being done
	Erased time.Time `json:"erased,omitzero"`  // when its history is
}

// pfStep is something that happens to a vc when its time has come.
type pfStep string

const (
	pfStart  pfStep = "start"
	pfFinish pfStep = "finish"
	pfDelete pfStep = "delete"
	pfRobot  pfStep = "robot"
)

// id names v for the control API and the file: for ever the same.
func (v *vc) id() string {
	if v.requestID != "" {
		return v.requestID
	}
	return v.circuitID
}

// word is the latest of the exchange's words for v.
func (v *vc) word() string {
	if v.state != "" {
		return v.state
	}
	return v.status
}

// ended reports whether nothing more will happen to v.
func (v *vc) ended() bool {
	return v.status == pfRejected || v.status == pfWithdrawn || v.state == vcDeleted
}

// note appends to v's history.
func (v *vc) note(at time.Time, by, what string) {
	if v.circuitID != "" {
		v.updated = at
	}
	*v.changed = append(*v.changed, v)
	v.history = append(v.history, Step{At: at.UTC(), Status: v.word(), By: by, What: what})
}

// enter moves the circuit. One that has ended lets go of its VLANs.
func (v *vc) enter(at time.Time, state, by, what string) {
	v.state = state
	v.note(at, by, what)
	if v.ended() {
		v.release()
	}
}

// decide moves the request.
func (v *vc) decide(at time.Time, status, by, what string) {
	v.moveOn()
	v.status, v.decided = status, at
	v.note(at, by, what)
}

func (v *vc) moveOn() {
	v.moves++
	v.next, v.due = "", time.Time{}
}

// take gives v the VLANs of both ends.
func (v *vc) take() {
	v.a.port.used[v.a.tag] = v
	v.z.port.used[v.z.tag] = v
}

func (v *vc) release() {
	for _, e := range []vcEnd{v.a, v.z} {
		if e.port != nil && e.port.used[e.tag] == v {
			delete(e.port.used, e.tag)
		}
	}
}

// clash says who else holds e, in the exchange's words.
func (e vcEnd) clash(self *vc) *pfRefusal {
	if holder := e.port.used[e.tag]; holder == nil || holder == self {
		return nil
	}
	return e.inUse()
}

func (e vcEnd) inUse() *pfRefusal {
	if e.untagged() {
		return pfBadParam("InvalidVlanParam: Untagged is already in use on port %s.", e.port.id)
	}
	vlan, _ := e.vlans()
	return pfBadParam("InvalidVlanParam: VLAN %d is already in use on port %s.", vlan, e.port.id)
}

// pfLater plans s for v at the time at. It is void if v has by then moved on.
func (x *Exchange) pfLater(v *vc, at time.Time, s pfStep) {
	if s != pfRobot {
		v.next, v.due = s, at
	}
	moves := v.moves
	x.schedule(at, func(at time.Time) {
		if v.moves == moves {
			x.pfPerform(v, s, at)
		}
	})
}

// pfPerform does what was planned.
func (x *Exchange) pfPerform(v *vc, s pfStep, at time.Time) {
	if s != pfRobot {
		v.next, v.due = "", time.Time{}
	}
	switch s {
	case pfRobot:
		x.pfAskRobot(v, at)
	case pfStart:
		v.enter(at, vcProvisioning, "exchange", "provisioning")
		x.pfLater(v, v.work.To, pfFinish)
	case pfFinish:
		v.work.Done, v.work.Erased = true, at.Add(x.delays.History)
		v.enter(at, vcActive, "exchange", "active")
	case pfDelete:
		v.work.Done, v.work.Erased = true, at.Add(x.delays.History)
		v.enter(at, vcDeleted, "exchange", "deleted")
	}
}

// pfWork starts a workflow that takes d.
func (x *Exchange) pfWork(v *vc, name string, now time.Time, d time.Duration) {
	v.work = pfWorkflow{Name: name, Root: x.newID(), Now: x.newID(), From: now, To: now.Add(d)}
}

// pfEnroll makes v known, and gives it its VLANs if it is a circuit that has not ended.
func (x *Exchange) pfEnroll(v *vc) {
	f := &x.pf
	v.changed = &f.changed
	if v.requestID != "" {
		f.requests[v.requestID] = v
	}
	if v.circuitID != "" {
		f.circuits[v.circuitID] = v
		if !v.ended() {
			v.take()
		}
	}
	f.all = append(f.all, v)
	v.buyer.sent = append(v.buyer.sent, v)
	if v.seller != nil {
		v.seller.received = append(v.seller.received, v)
	}
}

// pfAsk puts a new request on the exchange.
func (x *Exchange) pfAsk(v *vc, now time.Time) {
	v.requestID, v.status = x.newID(), pfPending
	v.requested, v.decided = now, now
	x.pfEnroll(v)
	v.note(now, v.buyer.tenant.user.login, "requested")
	x.pfWake(v, now)
}

// pfBuild makes a circuit of v, whose ends are free.
func (x *Exchange) pfBuild(v *vc, now time.Time, by string) {
	f := &x.pf
	f.number++
	v.number = f.number
	prefix, from, to := "DC", v.a.port.market, v.z.port.market
	if v.seller == nil {
		prefix, from, to = "BC", v.a.port.pop(), v.z.port.pop()
	}
	v.circuitID = fmt.Sprintf("PF-%s-%s-%s-%d", prefix, from, to, v.number)
	v.created, v.updated = now, now
	x.pfWork(v, pfProvisionWorkflow, now, x.delays.Provision)
	if v.seller == nil {
		v.state = vcProvisioning
		x.pfEnroll(v)
		v.note(now, by, "ordered")
		x.pfLater(v, v.work.To, pfFinish)
		return
	}
	f.circuits[v.circuitID] = v
	v.take()
	v.state = vcPending
	v.decide(now, pfProvisioned, by, "provisioned")
	x.pfLater(v, now.Add(x.delays.Provision/4), pfStart)
}

// pfProvision puts the request v on z. Both ends are checked again: since it was asked
// for, the buyer may have given its VLAN to another circuit.
func (x *Exchange) pfProvision(v *vc, z vcEnd, now time.Time, by string) *pfRefusal {
	if v.status != pfPending {
		return pfNotPending(v)
	}
	if z.untagged() && v.a.untagged() {
		return pfBadParam("InvalidVlanParam: The Z side must not be untagged.")
	}
	for _, e := range []vcEnd{z, v.a} {
		if bad := e.clash(nil); bad != nil {
			return bad
		}
	}
	v.z = z
	x.pfBuild(v, now, by)
	return nil
}

// pfReject refuses the request v.
func (x *Exchange) pfReject(v *vc, reason string, now time.Time, by string) *pfRefusal {
	if v.status != pfPending {
		return pfNotPending(v)
	}
	v.decide(now, pfRejected, by, "rejected: "+reason)
	return nil
}

// pfWithdraw ends the request v for its buyer.
func (x *Exchange) pfWithdraw(v *vc, reason string, now time.Time, by string) *pfRefusal {
	if v.status != pfPending {
		return pfNotPending(v)
	}
	v.decide(now, pfWithdrawn, by, "withdrawn: "+reason)
	return nil
}

// pfRemove takes the circuit v down, also one whose workflow failed.
func (x *Exchange) pfRemove(v *vc, now time.Time, by string) *pfRefusal {
	if v.state != vcActive && v.work.Failed == 0 {
		return pfInMotion(v)
	}
	v.moveOn()
	x.pfWork(v, pfDeleteWorkflow, now, x.delays.Deprovision)
	v.enter(now, vcDeleting, by, "delete asked for")
	x.pfLater(v, v.work.To, pfDelete)
	return nil
}

// pfFail ends the workflow of v where it stands. The circuit stays as it is, for ever.
func (x *Exchange) pfFail(v *vc, now time.Time, by string) error {
	if v.circuitID == "" || v.next == "" {
		return errAtRest
	}
	v.moveOn()
	position, i := v.work.at(now)
	v.work.Failed = position
	v.note(now, by, "failed in "+v.work.states()[i].State)
	return nil
}

// pfVanish takes every trace of v away.
func (x *Exchange) pfVanish(v *vc) {
	f := &x.pf
	v.moveOn()
	v.release()
	same := func(o *vc) bool { return o == v }
	f.all = slices.DeleteFunc(f.all, same)
	v.buyer.sent = slices.DeleteFunc(v.buyer.sent, same)
	if v.seller != nil {
		v.seller.received = slices.DeleteFunc(v.seller.received, same)
	}
	delete(f.requests, v.requestID)
	delete(f.circuits, v.circuitID)
	v.gone = true
	f.changed = append(f.changed, v)
}

// pfRefusal is why a call is refused.
type pfRefusal struct {
	status  int
	message string
}

func pfBadParam(format string, args ...any) *pfRefusal {
	return &pfRefusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// pfUnknown refuses what is not there, or belongs to others.
func pfUnknown(kind, id string) *pfRefusal {
	return &pfRefusal{http.StatusNotFound, fmt.Sprintf("%s not found: %s", kind, id)}
}

func pfNotPending(v *vc) *pfRefusal {
	return pfBadParam("Invalid Param: Request %s is not pending", v.requestID)
}

func pfInMotion(v *vc) *pfRefusal {
	return pfBadParam("Invalid Param: Service %s cannot be changed because it is still in operation", v.circuitID)
}

// asError is r for the control API.
func (r *pfRefusal) asError() error {
	if r == nil {
		return nil
	}
	return fmt.Errorf("%s", r.message)
}
