package sandbox

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pfSpeeds are what the exchange sells.
func pfSpeeds() []string {
	return []string{"50Mbps", "100Mbps", "200Mbps", "300Mbps", "400Mbps", "500Mbps", "1Gbps", "2Gbps", "5Gbps",
		"10Gbps", "20Gbps", "30Gbps", "40Gbps", "50Gbps", "60Gbps", "80Gbps", "100Gbps"}
}

// pfMbps reads a speed of [pfSpeeds], 0 for none.
func pfMbps(speed string) int {
	number, giga := strings.CutSuffix(speed, "Gbps")
	n, err := strconv.Atoi(strings.TrimSuffix(number, "Mbps"))
	if err != nil {
		return 0
	}
	if giga {
		n *= 1000
	}
	return n
}

// pfOrder is what requests and backbone circuits are ordered with alike: bandwidth, rate
// limits and a description.
func (b pfBody) order(v *vc) {
	v.description = b.text("description", false)
	v.rateIn = b.number("rate_limit_in", 1, math.MaxInt32)
	v.rateOut = b.number("rate_limit_out", 1, math.MaxInt32)
	v.flex = b.text("flex_bandwidth_id", false)
	v.poNumber = b.text("po_number", false)
	if v.flex != "" && !b.has("bandwidth", false) {
		return
	}
	paid := b.object("bandwidth", true)
	if paid.fields == nil {
		return
	}
	v.bandwidth.AccountUUID = paid.text("account_uuid", v.flex == "")
	if v.bandwidth.AccountUUID == "" && paid.has("account_uuid", false) {
		paid.fail("account_uuid", "value is not a valid uuid")
	}
	v.bandwidth.LonghaulType = paid.one("longhaul_type", false, "dedicated", "usage", "hourly")
	v.bandwidth.SubscriptionTerm = paid.number("subscription_term", 1, 36)
	switch v.bandwidth.SubscriptionTerm {
	case 0, 1, 12, 24, 36:
	default:
		paid.fail("subscription_term", "value is not a valid enumeration member; permitted: 1, 12, 24, 36")
	}
	// Longhaul by usage has no speed; all else is bought by it.
	needed := v.flex == "" && v.bandwidth.LonghaulType != "usage"
	v.bandwidth.Speed = paid.one("speed", needed, pfSpeeds()...)
}

// afford checks what v is to be paid with.
func (v *vc) afford() *pfRefusal {
	switch {
	case v.bandwidth.AccountUUID != "" && v.bandwidth.AccountUUID != v.buyer.account:
		return pfUnknown("Account", v.bandwidth.AccountUUID)
	case v.flex != "" && v.flex != v.buyer.flex:
		return pfUnknown("Flex bandwidth", v.flex)
	}
	return nil
}

// rawEnd is an interface as a body has it.
type rawEnd struct {
	port        string
	vlan, svlan int
	untagged    bool
}

// rawEnd reads an interface, if there is one.
func (b pfBody) rawEnd() rawEnd {
	return rawEnd{
		port: b.text("port_circuit_id", b.fields != nil), vlan: b.number("vlan", pfMinVLAN, pfMaxVLAN),
		svlan: b.number("svlan", pfMinVLAN, pfMaxVLAN), untagged: b.flag("untagged"),
	}
}

// end finds r's port, which must be c's, and checks the tags against it.
func (f *packetFabric) end(r rawEnd, c *pfCustomer) (vcEnd, *pfRefusal) {
	p := f.ports[r.port]
	if p == nil || p.owner != c {
		return vcEnd{}, pfUnknown("Port", r.port)
	}
	e := vcEnd{port: p}
	switch {
	case r.untagged && (r.vlan != 0 || r.svlan != 0):
		return e, pfBadParam("InvalidVlanParam: A VLAN is not allowed if untagged is true.")
	case r.untagged && p.enni:
		return e, pfBadParam("InvalidVlanParam: Untagged is not allowed on ENNI port %s.", p.id)
	case r.untagged:
		return e, nil
	case r.vlan == 0:
		return e, pfBadParam("InvalidVlanParam: You must provide a VLAN unless untagged is set to true.")
	case p.enni && r.svlan == 0:
		return e, pfBadParam("InvalidVlanParam: You must provide an S-VLAN on ENNI port %s.", p.id)
	case !p.enni && r.svlan != 0:
		return e, pfBadParam("InvalidVlanParam: S-VLAN is only applicable to ENNI ports; %s is none.", p.id)
	case p.enni:
		e.tag = tag{r.svlan, r.vlan}
	default:
		e.tag = tag{outer: r.vlan}
	}
	return e, nil
}

// pfPostRequest asks another customer for a circuit. Nothing keeps two equal requests from
// being made, and a pending one holds no VLAN.
func (x *Exchange) pfPostRequest(q *request) answer {
	now := x.lock()
	defer x.unlock()
	f := &x.pf
	b, wrong := pfParse(q.body)
	v := &vc{buyer: f.customers[q.who]}
	routing, service := b.text("routing_id", true), b.text("service_uuid", false)
	v.market = b.text("market", true)
	a := b.object("interface", true).rawEnd()
	b.order(v)
	if bad := wrong.refusal(); bad != nil {
		return bad.answer()
	}
	if bad := x.pfAddress(v, routing, service); bad != nil {
		return bad.answer()
	}
	var bad *pfRefusal
	if v.a, bad = f.end(a, v.buyer); bad == nil {
		bad = v.a.clash(nil)
	}
	if bad == nil {
		bad = v.afford()
	}
	if bad != nil {
		return bad.answer()
	}
	v.visible = now.Add(max(q.hide, x.delays.Visible))
	x.pfAsk(v, now)
	return answer{status: http.StatusCreated, body: x.pfShowRequest(v, q.show), created: []string{v.requestID}}
}

// pfAddress finds out whom v is for.
func (x *Exchange) pfAddress(v *vc, routing, service string) *pfRefusal {
	f := &x.pf
	v.seller = f.customer(func(c *pfCustomer) bool { return c.routingID == routing })
	switch {
	case v.seller == nil:
		return pfUnknown("Customer", routing)
	case v.seller == v.buyer:
		return pfBadParam("Invalid Param: Routing ID %s is your own", routing)
	case f.market(v.market).code == "":
		return pfUnknown("Market", v.market)
	case service == "":
		return nil
	}
	if v.service = f.service(service); v.service == nil || v.service.seller != v.seller {
		return pfUnknown("Service", service)
	}
	return nil
}

// pfRequests lists requests, the newest first. Withdrawn ones are gone.
func (x *Exchange) pfRequests(q *request) answer {
	now := x.lock()
	defer x.unlock()
	c := x.pf.customers[q.who]
	list := c.sent
	switch kind := q.URL.Query().Get("type"); kind {
	case "sent":
	case "received":
		list = c.received
	case "":
		return pfBadParam(`{"type": ["This field is required."]}`).answer()
	default:
		return pfBadParam(`{"type": [%q]}`, strconv.Quote(kind)+" is not a valid choice.").answer()
	}
	out := []pfRequestView{}
	for _, v := range slices.Backward(list) {
		if v.requestID != "" && v.status != pfWithdrawn && !now.Before(v.visible) {
			out = append(out, x.pfShowRequest(v, q.show))
		}
	}
	return answer{status: http.StatusOK, body: out}
}

// pfRequestOf returns the request that the path names if q's tenant is a party to it.
func (x *Exchange) pfRequestOf(q *request) *vc {
	v := x.pf.requests[q.PathValue("vc_request_uuid")]
	if v == nil || v.status == pfWithdrawn || q.who != v.buyer.tenant && q.who != v.seller.tenant {
		return nil
	}
	return v
}

func (x *Exchange) pfGetRequest(q *request) answer {
	x.lock()
	defer x.unlock()
	v := x.pfRequestOf(q)
	if v == nil {
		return pfNoSuchURL(q)
	}
	return answer{status: http.StatusOK, body: x.pfShowRequest(v, q.show)}
}

// pfDeleteRequest lets the buyer withdraw.
func (x *Exchange) pfDeleteRequest(q *request) answer {
	now := x.lock()
	defer x.unlock()
	b, wrong := pfParse(q.body)
	reason := b.text("delete_reason", false)
	v := x.pfRequestOf(q)
	switch bad := wrong.refusal(); {
	case v == nil:
		return pfNoSuchURL(q)
	case bad != nil:
		return bad.answer()
	case q.who != v.buyer.tenant:
		return pfForbidden("only the requester may delete the request")
	}
	if bad := x.pfWithdraw(v, reason, now, q.who.user.login); bad != nil {
		return bad.answer()
	}
	return answer{status: http.StatusOK, body: pfMessage{Message: "Request deleted"}}
}

// pfPostProvision lets the seller accept and land a request.
func (x *Exchange) pfPostProvision(q *request) answer {
	now := x.lock()
	defer x.unlock()
	v := x.pfRequestOf(q)
	if v == nil {
		return pfNoSuchURL(q)
	}
	if q.who != v.seller.tenant {
		return pfForbidden("only the recipient may provision the request")
	}
	b, wrong := pfParse(q.body)
	raw, description := b.object("interface", true).rawEnd(), b.text("description", false)
	bad := wrong.refusal()
	var z vcEnd
	if bad == nil {
		z, bad = x.pf.end(raw, v.seller)
	}
	if bad == nil && z.port.market != v.market {
		bad = pfBadParam("Invalid Param: Port %s is not in market %s", z.port.id, v.market)
	}
	if bad == nil {
		v.shown = now.Add(max(q.hide, x.delays.Visible))
		bad = x.pfProvision(v, z, now, q.who.user.login)
	}
	if bad != nil {
		return bad.answer()
	}
	if description != "" {
		v.description = description
	}
	return answer{status: http.StatusCreated, body: x.pfShowCircuit(v, q.show)}
}

// pfPostReject lets the seller refuse a request; a body is not needed.
func (x *Exchange) pfPostReject(q *request) answer {
	now := x.lock()
	defer x.unlock()
	b, wrong := pfParse(q.body)
	reason := b.text("rejection_reason", false)
	v := x.pfRequestOf(q)
	switch bad := wrong.refusal(); {
	case v == nil:
		return pfNoSuchURL(q)
	case bad != nil:
		return bad.answer()
	case q.who != v.seller.tenant:
		return pfForbidden("only the recipient may reject the request")
	}
	if bad := x.pfReject(v, reason, now, q.who.user.login); bad != nil {
		return bad.answer()
	}
	return answer{status: http.StatusOK, body: x.pfShowRequest(v, q.show)}
}

// pfRate is the rate limit that holds if none is asked for.
func (v *vc) pfRate() int {
	if mbps := pfMbps(v.bandwidth.Speed); mbps != 0 {
		return mbps
	}
	return 1000
}

// pfPostBackbone orders a circuit between two ports of one's own. Nobody approves it.
func (x *Exchange) pfPostBackbone(q *request) answer {
	now := x.lock()
	defer x.unlock()
	f := &x.pf
	b, wrong := pfParse(q.body)
	v := &vc{buyer: f.customers[q.who], epl: b.flag("epl")}
	b.order(v)
	var raw []rawEnd
	sides := b.objects("interfaces", true)
	for _, side := range sides {
		raw = append(raw, side.rawEnd())
	}
	if b.has("interfaces", false) && len(raw) != 2 {
		b.fail("interfaces", "ensure this value has 2 items")
	}
	bad := wrong.refusal()
	if bad == nil {
		bad = v.join(f, raw)
	}
	if bad == nil {
		bad = v.afford()
	}
	if bad != nil {
		return bad.answer()
	}
	v.visible = now.Add(max(q.hide, x.delays.Visible))
	v.shown = v.visible
	x.pfBuild(v, now, q.who.user.login)
	return answer{status: http.StatusCreated, body: x.pfShowCircuit(v, q.show), created: []string{v.circuitID}}
}

// join puts v between two free ends of the buyer's own ports.
func (v *vc) join(f *packetFabric, raw []rawEnd) *pfRefusal {
	var ends [2]vcEnd
	for i, r := range raw {
		var bad *pfRefusal
		if ends[i], bad = f.end(r, v.buyer); bad == nil {
			bad = ends[i].clash(nil)
		}
		if bad != nil {
			return bad
		}
	}
	v.a, v.z = ends[0], ends[1]
	v.market = v.z.port.market
	switch {
	case v.a == v.z:
		return v.a.inUse()
	case v.epl != (v.a.untagged() && v.z.untagged()):
		return pfBadParam("InvalidVlanParam: Both sides of an EPL circuit are untagged, and never of an EVPL circuit.")
	}
	return nil
}

// pfListed reports whether lists show the circuit v at the time now.
func (v *vc) pfListed(now time.Time) bool {
	return v.circuitID != "" && v.state != vcDeleted && !now.Before(v.shown)
}
