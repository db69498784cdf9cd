package sandbox

import (
	"net/http"
	"strings"
	"time"
)

// ecxPatch carries out ?action=: Approve and Reject of the seller, update of the
// buyer.
func (x *Exchange) ecxPatch(q *request) answer {
	now := x.lock()
	defer x.unlock()
	c := x.of(q)
	if c == nil {
		return unknownConnection()
	}
	action := q.URL.Query().Get("action")
	seller := strings.EqualFold(action, "Approve") || strings.EqualFold(action, "Reject")
	var wrong violations
	if !seller && !strings.EqualFold(action, "update") {
		wrong.invalid("action", "Action must be one of Approve, Reject, update")
		return wrong.answer()
	}
	if seller && q.who != c.seller || !seller && q.who != c.buyer {
		return unknownConnection()
	}
	b := parseBody(q.body, &wrong)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	switch {
	case strings.EqualFold(action, "Approve"):
		return x.ecxApprove(c, b, now)
	case seller:
		return x.ecxReject(c, b, now)
	}
	return x.ecxUpdate(c, b, now)
}

func (x *Exchange) ecxReject(c *circuit, b body, now time.Time) answer {
	comment := b.str("rejectComment")
	if len(*b.wrong) > 0 {
		return b.wrong.answer()
	}
	if err := x.reject(c, comment, now, c.seller.user); err != nil {
		return failed(err)
	}
	return done("Successfully Rejected", c)
}

// ecxApprove consents to what c waits for. A new circuit lands on the port and tags
// of the body; with secondary fields too, the other leg of a pair lands with it.
func (x *Exchange) ecxApprove(c *circuit, b body, now time.Time) answer {
	switch c.pending() {
	case "delete":
		if err := x.consent(c, now, c.seller.user); err != nil {
			return failed(err)
		}
		return done("Successfully Approved", c)
	case "change":
		if err := x.agreeSpeed(c, now, c.seller.user); err != nil {
			return failed(err)
		}
		return done("Successfully Approved", c)
	case "":
		return failed(errNotPending)
	}
	own, other := "primary", ""
	if b.has("secondaryPortUUID") {
		switch {
		case c.leg == "secondary" && !b.has("primaryPortUUID"):
			own = "secondary"
		case c.leg == "primary" && c.twin != nil:
			other = "secondary"
		}
	}
	z := c.landing(x, b, own)
	var z2 end
	if other != "" {
		if c.twin.status != pendingApproval {
			return failed(errNotPending)
		}
		z2 = c.twin.landing(x, b, other)
		if z.overlaps(z2) {
			b.wrong.add(codeTagInUse, "VLAN is already in use on the port", "secondaryVlanSTag")
		}
	}
	if len(*b.wrong) > 0 {
		return b.wrong.answer()
	}
	by := c.seller.user
	s := saved{Message: "Successfully Approved", PrimaryConnectionID: c.id}
	x.accept(c, z, now, by)
	if other != "" {
		x.accept(c.twin, z2, now, by)
		s.SecondaryConnectionID = c.twin.id
	}
	return answer{status: http.StatusOK, body: s}
}

// landing reads the seller's port and tags for c. The inner tag, where c has one on
// its Z side, is the seller's choice, or else what the buyer asked for.
func (c *circuit) landing(x *Exchange, b body, which string) end {
	portField, label := which+"PortUUID", strings.ToUpper(which[:1])+which[1:]
	p := x.ports[b.str(portField)]
	if p == nil || p.owner != c.seller || p.managed {
		b.wrong.add(codePort, "Port does not exist or not belong to user", portField)
		p = nil
	}
	if p != nil && p.metro != c.metro {
		b.wrong.invalid(portField, "Port is not in metro "+c.metro)
	}
	if p != nil && p.encap != c.profile.encap {
		b.wrong.invalid(portField, "Port encapsulation must be "+c.profile.encap)
	}
	outer, inner := which+"VlanSTag", which+"VlanCTag"
	t := tag{b.vlan(outer, label), b.vlan(inner, label)}
	switch {
	case t.outer == 0 && !b.bad[outer]:
		b.wrong.invalid(outer, "NotEmpty: "+outer+" is required")
	case t.inner == 0:
		t.inner = c.suggested
	case !c.innerOnZ():
		b.wrong.invalid(inner, inner+" is not allowed by the encapsulation of the ports")
	}
	if p != nil && t.outer != 0 && p.used.holder(t) != nil {
		b.wrong.add(codeTagInUse, "VLAN is already in use on the port", outer)
	}
	return end{p, t}
}

// ecxUpdate renames c at once, asks for another speed, or both.
func (x *Exchange) ecxUpdate(c *circuit, b body, now time.Time) answer {
	var name string
	if b.has("connectionNewName") {
		name = b.name("connectionNewName", "connectionNewName", "Connection Name")
	}
	to := b.speed("speed", "speedUnit")
	if len(*b.wrong) == 0 && name == "" && to.value == 0 {
		b.wrong.invalid("connectionNewName", "NotEmpty: Connection name or speed is required")
	}
	if to.value != 0 && c.profile != nil && !c.profile.sells(to) {
		b.wrong.invalid("speed", "Speed "+to.String()+" is not supported by the service profile")
	}
	if len(*b.wrong) > 0 {
		return b.wrong.answer()
	}
	by := c.buyer.user
	if to.value != 0 && to.mbps() != c.speed.mbps() {
		if err := x.resize(c, to, now, by); err != nil {
			return failed(err)
		}
	}
	if name != "" {
		if err := x.rename(c, name, now, by); err != nil {
			return failed(err)
		}
	}
	return answer{status: http.StatusOK, body: saved{
		Message:             "Update connection is submitted successfully. We will notify you once update process finished.",
		PrimaryConnectionID: c.id, Status: "submitted",
	}}
}
