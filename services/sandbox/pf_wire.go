package sandbox

import (
	"cmp"
	"fmt"
	"time"
)

// pfZone is the offset of the exchange's times: not UTC, so that who ignores it is found out.
const pfZone = -6 * 60 * 60

// pfTime writes a time as the exchange's guide has it: microseconds, and an offset without
// a colon.
func pfTime(t time.Time) string {
	return t.In(time.FixedZone("", pfZone)).Format("2006-01-02T15:04:05.000000-0700")
}

// pfMadeAt is when ports were made.
func pfMadeAt() string { return pfTime(inventoryTime()) }

// pfRequestView is a request on the wire.
type pfRequestView struct {
	VCRequestUUID   string         `json:"vc_request_uuid,omitempty"`
	VCCircuitID     string         `json:"vc_circuit_id,omitempty"`
	FromCustomer    pfCustomerView `json:"from_customer"`
	ToCustomer      pfCustomerView `json:"to_customer"`
	Text            string         `json:"text"`
	Status          string         `json:"status"`
	VCMode          string         `json:"vc_mode"`
	RequestType     string         `json:"request_type"`
	Bandwidth       *pfBandwidth   `json:"bandwidth,omitempty"`
	RateLimitIn     int            `json:"rate_limit_in,omitempty"`
	RateLimitOut    int            `json:"rate_limit_out,omitempty"`
	ServiceName     string         `json:"service_name,omitempty"`
	FlexBandwidthID string         `json:"flex_bandwidth_id,omitempty"`
	TimeCreated     string         `json:"time_created"`
	TimeUpdated     string         `json:"time_updated"`
	AllowUntaggedZ  bool           `json:"allow_untagged_z"`
}

// pfCustomerView is a party; only the one who asks has a contact.
type pfCustomerView struct {
	CustomerUUID      string `json:"customer_uuid"`
	Name              string `json:"name"`
	Market            string `json:"market"`
	MarketDescription string `json:"market_description"`
	*pfContact
}

type pfContact struct {
	FirstName string `json:"contact_first_name"`
	LastName  string `json:"contact_last_name"`
	Email     string `json:"contact_email"`
	Phone     string `json:"contact_phone"`
}

// pfShowRequest renders the request v, as s makes it look.
func (x *Exchange) pfShowRequest(v *vc, s showing) pfRequestView {
	party := func(c *pfCustomer, market string) pfCustomerView {
		return pfCustomerView{CustomerUUID: c.uuid, Name: c.tenant.org, Market: market,
			MarketDescription: x.pf.market(market).name}
	}
	out := pfRequestView{
		VCRequestUUID: v.requestID, VCCircuitID: v.circuitID,
		FromCustomer: party(v.buyer, v.a.port.market), ToCustomer: party(v.seller, v.market),
		Text:   fmt.Sprintf("%s is requesting an EVPL connection in %s.", v.buyer.tenant.org, v.market),
		Status: v.status, VCMode: "evpl", RequestType: "marketplace",
		Bandwidth: v.bandwidth.shown(), RateLimitIn: v.rateIn, RateLimitOut: v.rateOut,
		FlexBandwidthID: v.flex, AllowUntaggedZ: !v.a.untagged(),
		TimeCreated: pfTime(v.requested), TimeUpdated: pfTime(v.decided),
	}
	out.FromCustomer.pfContact = &pfContact{v.buyer.first, v.buyer.last, "", v.buyer.phone}
	if v.service != nil {
		out.ServiceName = v.service.name
	}
	if s.status != "" && s.fits(v) {
		out.Status = s.word(s.status)
	}
	return out
}

func (s showing) fits(v *vc) bool { return s.name == "" || s.name == v.description }

func (b pfBandwidth) shown() *pfBandwidth {
	if b == (pfBandwidth{}) {
		return nil
	}
	return &b
}

// pfCircuitView is a virtual circuit on the wire.
type pfCircuitView struct {
	VCCircuitID      string            `json:"vc_circuit_id,omitempty"`
	CustomerUUID     string            `json:"customer_uuid"`
	State            string            `json:"state"`
	ServiceType      string            `json:"service_type"`
	ServiceClass     string            `json:"service_class"`
	Mode             string            `json:"mode"`
	Connected        bool              `json:"connected"`
	FlexBandwidthID  string            `json:"flex_bandwidth_id,omitempty"`
	Bandwidth        *pfBandwidth      `json:"bandwidth,omitempty"`
	AccountUUID      string            `json:"account_uuid,omitempty"`
	Description      string            `json:"description"`
	RateLimitIn      int               `json:"rate_limit_in"`
	RateLimitOut     int               `json:"rate_limit_out"`
	PONumber         string            `json:"po_number,omitempty"`
	TimeCreated      string            `json:"time_created"`
	TimeUpdated      string            `json:"time_updated"`
	IsAwaitingOnramp bool              `json:"is_awaiting_onramp"`
	Interfaces       []pfInterfaceView `json:"interfaces"`
}

// pfInterfaceView is one end of a circuit.
type pfInterfaceView struct {
	PortCircuitID      string `json:"port_circuit_id"`
	Pop                string `json:"pop"`
	Site               string `json:"site"`
	SiteName           string `json:"site_name"`
	Speed              string `json:"speed"`
	Media              string `json:"media"`
	Zone               string `json:"zone"`
	VLAN               int    `json:"vlan,omitempty"`
	SVLAN              int    `json:"svlan,omitempty"`
	Untagged           bool   `json:"untagged"`
	ProvisioningStatus string `json:"provisioning_status"`
	AdminStatus        string `json:"admin_status"`
	OperationalStatus  string `json:"operational_status"`
	CustomerUUID       string `json:"customer_uuid"`
	CustomerName       string `json:"customer_name"`
	Region             string `json:"region"`
	IsCloud            bool   `json:"is_cloud"`
	IsPTP              bool   `json:"is_ptp"`
	TimeCreated        string `json:"time_created"`
	TimeUpdated        string `json:"time_updated"`
}

// pfShowCircuit renders the circuit v, as s makes it look.
func (x *Exchange) pfShowCircuit(v *vc, s showing) pfCircuitView {
	out := pfCircuitView{
		VCCircuitID: v.circuitID, CustomerUUID: v.buyer.uuid, State: v.state, ServiceType: "backbone",
		ServiceClass: "longhaul", Mode: "evpl", Connected: true, FlexBandwidthID: v.flex,
		Bandwidth: v.bandwidth.shown(), AccountUUID: v.bandwidth.AccountUUID, Description: v.description,
		RateLimitIn: cmp.Or(v.rateIn, v.pfRate()), RateLimitOut: cmp.Or(v.rateOut, v.pfRate()), PONumber: v.poNumber,
		TimeCreated: pfTime(v.created), TimeUpdated: pfTime(v.updated),
	}
	if v.a.port.market == v.z.port.market {
		out.ServiceClass = "metro"
	}
	if v.epl {
		out.Mode = "epl"
	}
	provider := ""
	if s.fits(v) {
		if s.status != "" {
			out.State = s.word(s.status)
		}
		provider = s.providerStatus
	}
	for _, e := range []vcEnd{v.a, v.z} {
		i := v.showEnd(e)
		if provider != "" {
			i.ProvisioningStatus = s.word(provider)
		}
		out.Interfaces = append(out.Interfaces, i)
	}
	return out
}

// showEnd renders e. Words of interfaces follow the circuit's state.
func (v *vc) showEnd(e vcEnd) pfInterfaceView {
	p := e.port
	vlan, svlan := e.vlans()
	out := pfInterfaceView{
		PortCircuitID: p.id, Pop: p.pop(), Site: "PF-" + p.pop(), SiteName: "Sandbox " + p.pop(), Speed: "10Gbps",
		Media: "LX", Zone: "A", VLAN: vlan, SVLAN: svlan, Untagged: e.untagged(),
		ProvisioningStatus: "provisioning", AdminStatus: "up", OperationalStatus: "down",
		CustomerUUID: p.owner.uuid, CustomerName: p.owner.tenant.org, Region: "US",
		TimeCreated: pfTime(v.created), TimeUpdated: pfTime(v.updated),
	}
	switch v.state {
	case vcActive:
		out.ProvisioningStatus, out.OperationalStatus = "active", "up"
		if v.a.port.disabled || v.z.port.disabled {
			out.OperationalStatus = "down"
		}
	case vcDeleting, vcDeleted:
		out.ProvisioningStatus = "deleting"
	}
	return out
}
