package sandbox

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// pfServices lists the circuits of which the tenant has an end, the newest first.
func (x *Exchange) pfServices(q *request) answer {
	now := x.lock()
	defer x.unlock()
	params, c := q.URL.Query(), x.pf.customers[q.who]
	text, kind, port := params.Get("q"), params.Get("service_type"), params.Get("port_circuit_id")
	out := []pfCircuitView{}
	for _, v := range slices.Backward(x.pf.all) {
		switch {
		case v.buyer != c && v.seller != c, !v.pfListed(now),
			kind != "" && kind != "backbone",
			text != "" && !strings.Contains(v.circuitID+"\n"+v.description, text),
			port != "" && port != v.a.port.id && port != v.z.port.id:
			continue
		}
		out = append(out, x.pfShowCircuit(v, q.show))
	}
	return answer{status: http.StatusOK, body: out}
}

// pfServiceOf returns the circuit that the path names if q's tenant is a party to it and
// the exchange has not forgotten it.
func (x *Exchange) pfServiceOf(q *request, now time.Time) *vc {
	v := x.pf.circuits[q.PathValue("vc_circuit_id")]
	if v == nil || q.who != v.buyer.tenant && (v.seller == nil || q.who != v.seller.tenant) ||
		v.state == vcDeleted && !now.Before(v.work.Erased) {
		return nil
	}
	return v
}

func (x *Exchange) pfGetService(q *request) answer {
	now := x.lock()
	defer x.unlock()
	v := x.pfServiceOf(q, now)
	if v == nil {
		return pfNoSuchURL(q)
	}
	return answer{status: http.StatusOK, body: x.pfShowCircuit(v, q.show)}
}

// pfDeleteService takes a circuit down. Either party may.
func (x *Exchange) pfDeleteService(q *request) answer {
	now := x.lock()
	defer x.unlock()
	v := x.pfServiceOf(q, now)
	if v == nil {
		return pfNoSuchURL(q)
	}
	if bad := x.pfRemove(v, now, q.who.user.login); bad != nil {
		return bad.answer()
	}
	return answer{status: http.StatusOK, body: pfMessage{Message: v.circuitID + " deleted"}}
}

// pfPatchService changes a circuit at once: its ends each by the owner of the port, all
// else by the buyer.
func (x *Exchange) pfPatchService(q *request) answer {
	now := x.lock()
	defer x.unlock()
	v := x.pfServiceOf(q, now)
	if v == nil {
		return pfNoSuchURL(q)
	}
	b, wrong := pfParse(q.body)
	next := *v
	var given []string
	for field, set := range map[string]func(){
		"rate_limit_in":  func() { next.rateIn = b.number("rate_limit_in", 1, math.MaxInt32) },
		"rate_limit_out": func() { next.rateOut = b.number("rate_limit_out", 1, math.MaxInt32) },
		"description":    func() { next.description = b.text("description", false) },
		"po_number":      func() { next.poNumber = b.text("po_number", false) },
	} {
		if b.has(field, false) {
			given = append(given, field)
			set()
		}
	}
	var raw []rawEnd
	for _, side := range b.objects("interfaces", false) {
		raw = append(raw, side.rawEnd())
	}
	bad := wrong.refusal()
	switch {
	case bad != nil:
		return bad.answer()
	case len(given) > 0 && q.who != v.buyer.tenant:
		return pfForbidden("only the owner may change the service")
	case v.state != vcActive:
		return pfInMotion(v).answer()
	}
	if bad := next.move(&x.pf, raw, x.pf.customers[q.who], v); bad != nil {
		return bad.answer()
	}
	v.release()
	v.rateIn, v.rateOut, v.description, v.poNumber = next.rateIn, next.rateOut, next.description, next.poNumber
	v.a, v.z = next.a, next.z
	v.take()
	if len(raw) > 0 {
		given = append(given, "interfaces")
	}
	slices.Sort(given)
	v.note(now, q.who.user.login, "changed: "+strings.Join(given, ", "))
	return answer{status: http.StatusOK, body: x.pfShowCircuit(v, q.show)}
}

// move gives the ends of v, a copy of old, the tags of raw.
func (v *vc) move(f *packetFabric, raw []rawEnd, by *pfCustomer, old *vc) *pfRefusal {
	for _, r := range raw {
		e, bad := f.end(r, by)
		if bad == nil {
			bad = e.clash(old)
		}
		if bad != nil {
			return bad
		}
		switch e.port {
		case v.a.port:
			v.a = e
		case v.z.port:
			v.z = e
		default:
			return pfUnknown("Port", r.port)
		}
	}
	if v.a == v.z {
		return v.a.inUse()
	}
	if v.epl != (v.a.untagged() && v.z.untagged()) {
		return pfBadParam("InvalidVlanParam: Both sides of an EPL circuit are untagged, and never of an EVPL circuit.")
	}
	return nil
}

// pfPortView is a port on the wire.
type pfPortView struct {
	Autoneg           bool   `json:"autoneg"`
	PortCircuitID     string `json:"port_circuit_id"`
	State             string `json:"state"`
	Status            string `json:"status"`
	Speed             string `json:"speed"`
	Media             string `json:"media"`
	Zone              string `json:"zone"`
	Region            string `json:"region"`
	Market            string `json:"market"`
	MarketDescription string `json:"market_description"`
	Pop               string `json:"pop"`
	Site              string `json:"site"`
	SiteCode          string `json:"site_code"`
	OperationalStatus string `json:"operational_status"`
	AdminStatus       string `json:"admin_status"`
	MTU               int    `json:"mtu"`
	Description       string `json:"description"`
	VCMode            string `json:"vc_mode,omitempty"`
	IsLAG             bool   `json:"is_lag"`
	IsLAGMember       bool   `json:"is_lag_member"`
	IsCloud           bool   `json:"is_cloud"`
	IsPTP             bool   `json:"is_ptp"`
	IsNNI             bool   `json:"is_nni"`
	Disabled          bool   `json:"disabled"`
	AccountUUID       string `json:"account_uuid"`
	SubscriptionTerm  int    `json:"subscription_term"`
	CustomerName      string `json:"customer_name"`
	CustomerUUID      string `json:"customer_uuid"`
	TimeCreated       string `json:"time_created"`
	TimeUpdated       string `json:"time_updated"`
}

func (x *Exchange) pfShowPort(p *pfPort) pfPortView {
	v := pfPortView{
		Autoneg: true, PortCircuitID: p.id, State: "active", Status: "active", Speed: "10Gbps", Media: "LX", Zone: "A",
		Region: "US", Market: p.market, MarketDescription: x.pf.market(p.market).name, Pop: p.pop(),
		Site: "Sandbox " + p.pop(), SiteCode: "PF-" + p.pop(), OperationalStatus: "up", AdminStatus: "up", MTU: 9000,
		Description: p.owner.tenant.org + " " + p.id, IsNNI: p.enni, Disabled: p.disabled, AccountUUID: p.owner.account,
		SubscriptionTerm: 12, CustomerName: p.owner.tenant.org, CustomerUUID: p.owner.uuid,
		TimeCreated: pfMadeAt(), TimeUpdated: pfMadeAt(),
	}
	if p.disabled {
		v.OperationalStatus, v.AdminStatus = "down", "down"
	}
	return v
}

// pfPorts lists the tenant's ports, those of a market if one is given.
func (x *Exchange) pfPorts(q *request) answer {
	x.lock()
	defer x.unlock()
	market, out := q.URL.Query().Get("market"), []pfPortView{}
	for _, p := range x.pf.customers[q.who].ports {
		if market == "" || market == p.market {
			out = append(out, x.pfShowPort(p))
		}
	}
	return answer{status: http.StatusOK, body: out}
}

// pfPort does what is to be done with the tenant's port that the path names.
func (x *Exchange) pfPort(q *request, do func(*pfPort, time.Time) answer) answer {
	now := x.lock()
	defer x.unlock()
	p := x.pf.ports[q.PathValue("port_circuit_id")]
	if p == nil || p.owner.tenant != q.who {
		return pfNoSuchURL(q)
	}
	return do(p, now)
}

func (x *Exchange) pfGetPort(q *request) answer {
	return x.pfPort(q, func(p *pfPort, _ time.Time) answer {
		return answer{status: http.StatusOK, body: x.pfShowPort(p)}
	})
}

func (x *Exchange) pfVLANs(q *request) answer {
	return x.pfPort(q, func(p *pfPort, _ time.Time) answer {
		lowest, _ := p.lowest() // 0, and so absent, on a full port
		return answer{status: http.StatusOK, body: struct {
			Lowest int `json:"lowest_available_vlan,omitempty"`
			Max    int `json:"max_vlan"`
		}{lowest, pfMaxVLAN}}
	})
}

func (x *Exchange) pfEnable(q *request) answer  { return x.pfSwitch(q, false) }
func (x *Exchange) pfDisable(q *request) answer { return x.pfSwitch(q, true) }

// pfSwitch enables or disables a port. The limit is per session and device.
func (x *Exchange) pfSwitch(q *request, disabled bool) answer {
	return x.pfPort(q, func(p *pfPort, now time.Time) answer {
		if x.pf.exceeded("port "+p.pop()+" "+pfSecret(q.Request), pfPortChanges, now) {
			return pfTooMany()
		}
		p.disabled = disabled
		word := map[bool]string{true: "disabled", false: "enabled"}[disabled]
		return answer{status: http.StatusOK, body: pfMessage{Message: "Port " + p.id + " " + word}}
	})
}

type pfMarketView struct {
	Name    string `json:"name"`
	Code    string `json:"code"`
	Country string `json:"country"`
}

func (x *Exchange) pfMarkets(*request) answer {
	out := []pfMarketView{}
	for _, m := range x.pf.markets {
		out = append(out, pfMarketView{m.name, m.code, m.country})
	}
	return answer{status: http.StatusOK, body: out}
}

type pfServiceView struct {
	UUID         string   `json:"uuid"`
	Name         string   `json:"name"`
	Description  string   `json:"description"`
	State        string   `json:"state"`
	SKU          string   `json:"sku"`
	Locations    []string `json:"locations"`
	Categories   []string `json:"categories"`
	Published    bool     `json:"published"`
	ServiceType  string   `json:"service_type"`
	RoutingID    string   `json:"routing_id"`
	CustomerUUID string   `json:"customer_uuid"`
	CustomerName string   `json:"customer_name"`
}

// pfMarketplace lists what is for sale, with whom to address.
func (x *Exchange) pfMarketplace(*request) answer {
	out := []pfServiceView{}
	for _, s := range x.pf.services {
		v := pfServiceView{UUID: s.uuid, Name: s.name, Description: s.name, State: "active", SKU: s.sku,
			Categories: []string{}, Published: true, ServiceType: "port-service", RoutingID: s.seller.routingID,
			CustomerUUID: s.seller.uuid, CustomerName: s.seller.tenant.org}
		for _, m := range x.pf.markets {
			v.Locations = append(v.Locations, m.code)
		}
		out = append(out, v)
	}
	return answer{status: http.StatusOK, body: out}
}
