package sandbox

import (
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Codes of ports.
const (
	fabNoPort    = "EQ-3035202"
	fabPortQuery = "EQ-3046116"
)

func (x *Exchange) fabricPortOps() map[string]op {
	const ports = "/fabric/v4/ports"
	return map[string]op{
		"GET " + ports:                           {run: x.fabricPorts},
		"POST " + ports + "/search":              {run: x.fabricPortSearch},
		"GET " + ports + "/{port}":               {run: x.fabricPort},
		"GET " + ports + "/{port}/linkProtocols": {run: x.fabricLinks},
	}
}

// assetAccount is who an asset belongs to.
type assetAccount struct {
	AccountNumber int    `json:"accountNumber,omitempty"`
	AccountName   string `json:"accountName,omitempty"`
	OrgID         int    `json:"orgId,omitempty"`
	Organization  string `json:"organizationName,omitempty"`
	UCMID         string `json:"ucmId,omitempty"`
}

// orgNumber is the organization's id, which Fabric writes as a number.
func (t *tenant) orgNumber() int {
	n, err := strconv.Atoi(t.orgID)
	if err != nil {
		panic(err) // an id of ours that is no number
	}
	return n
}

// assetRef points to a port.
type assetRef struct {
	Href string `json:"href"`
	Type string `json:"type,omitempty"`
	UUID string `json:"uuid"`
}

func portRef(p *port) *assetRef {
	return &assetRef{fabricBase + "/ports/" + p.id, "XF_PORT", p.id}
}

// changeLogView says who made and changed an asset, and when.
type changeLogView struct {
	CreatedBy string `json:"createdBy,omitempty"`
	CreatedAt string `json:"createdDateTime,omitempty"`
	UpdatedBy string `json:"updatedBy,omitempty"`
	UpdatedAt string `json:"updatedDateTime,omitempty"`
	DeletedBy string `json:"deletedBy,omitempty"`
	DeletedAt string `json:"deletedDateTime,omitempty"`
}

type projectView struct {
	ProjectID string `json:"projectId"`
}

// locationView says where an asset is.
type locationView struct {
	MetroHref string `json:"metroHref,omitempty"`
	Region    string `json:"region,omitempty"`
	MetroName string `json:"metroName,omitempty"`
	MetroCode string `json:"metroCode"`
	IBX       string `json:"ibx,omitempty"`
}

func (x *Exchange) locate(metro, ibx string) locationView {
	m := x.metro(metro)
	return locationView{fabricBase + "/metros/" + metro, m.region, m.name, metro, ibx}
}

// linkView is how something sits on a port.
type linkView struct {
	Type  string `json:"type"`
	VLAN  int    `json:"vlanTag,omitempty"`
	Outer int    `json:"vlanSTag,omitempty"`
	Inner int    `json:"vlanCTag,omitempty"`
}

// encapsulation is a port's encapsulation as Fabric spells it.
func encapsulation(encap string) string { return strings.ToUpper(encap) }

// linkOf is e's link protocol, nil on an untagged port.
func linkOf(e end) *linkView {
	switch e.port.encap {
	case untagged:
		return nil
	case dot1q:
		return &linkView{Type: "DOT1Q", VLAN: e.tag.outer}
	}
	return &linkView{Type: "QINQ", Outer: e.tag.outer, Inner: e.tag.inner}
}

// fabricPortView is a port as Fabric spells it.
type fabricPortView struct {
	Href          string             `json:"href"`
	Type          string             `json:"type"`
	UUID          string             `json:"uuid"`
	Name          string             `json:"name"`
	Speed         int                `json:"physicalPortsSpeed"`
	SpeedType     string             `json:"physicalPortsType"`
	Count         int                `json:"physicalPortsCount"`
	Source        string             `json:"connectivitySourceType"`
	State         string             `json:"state"`
	Bandwidth     int                `json:"bandwidth"`
	Available     int                `json:"availableBandwidth"`
	Used          int                `json:"usedBandwidth"`
	Project       projectView        `json:"project"`
	Package       codeView           `json:"package"`
	Operation     portOperation      `json:"operation"`
	Account       assetAccount       `json:"account"`
	ChangeLog     changeLogView      `json:"changeLog"`
	Location      locationView       `json:"location"`
	Device        portDevice         `json:"device"`
	Demarcation   string             `json:"demarcationPointIbx"`
	Tether        string             `json:"tetherIbx"`
	Redundancy    priorityView       `json:"redundancy"`
	Encapsulation encapsulationView  `json:"encapsulation"`
	LAG           bool               `json:"lagEnabled"`
	Settings      portSettings       `json:"settings"`
	Physical      []physicalPortView `json:"physicalPorts"`
}

type codeView struct {
	Code string `json:"code"`
}

type portOperation struct {
	Status      string `json:"operationalStatus"`
	Connections int    `json:"connectionCount"`
}

type portDevice struct {
	Name       string       `json:"name"`
	Redundancy priorityView `json:"redundancy"`
}

type priorityView struct {
	Priority string `json:"priority"`
}

// encapsulationView has the tag protocol id as text, by the schema; samples have numbers.
type encapsulationView struct {
	Type       string `json:"type"`
	ProtocolID string `json:"tagProtocolId,omitempty"`
}

type portSettings struct {
	Buyout     bool `json:"buyout"`
	View       bool `json:"viewPortPermission"`
	PlaceOrder bool `json:"placeVcOrderPermission"`
}

type physicalPortView struct {
	Type   string     `json:"type"`
	UUID   string     `json:"uuid"`
	State  string     `json:"state"`
	Speed  int        `json:"interfaceSpeed"`
	Tether tetherView `json:"tether"`
}

type tetherView struct {
	CrossConnectID string `json:"crossConnectId"`
	IBX            string `json:"ibx"`
}

// device is the name of the device that p is on.
func (p *port) device() string { return p.ibx + "-DEVICE-" + strings.ToUpper(p.priority) }

// crossConnect names the cable of p.
func (p *port) crossConnect() string { return "ECX." + p.id[:8] }

// load is what the connections on p come to: how many, and how many Mbit/s.
func (p *port) load() (connections, mbps int) {
	for _, inner := range p.used {
		for _, h := range inner {
			if c, ok := h.(*circuit); ok {
				connections++
				mbps += c.speed.mbps()
			}
		}
	}
	return connections, mbps
}

// fabricMbps is every port's bandwidth.
const fabricMbps = portSpeed / 1_000_000

// showPort renders p.
func (x *Exchange) showPort(p *port) fabricPortView {
	connections, used := p.load()
	priority := priorityView{strings.ToUpper(p.priority)}
	made := inventoryTime().Format(time.RFC3339)
	v := fabricPortView{
		Href: fabricBase + "/ports/" + p.id, Type: "XF_PORT", UUID: p.id, Name: p.name,
		Speed: fabricMbps, SpeedType: "10GBASE_LR", Count: 1, Source: "COLO", State: "ACTIVE",
		Bandwidth: fabricMbps, Available: max(fabricMbps-used, 0), Used: used,
		Project: projectView{p.owner.project}, Package: codeView{"STANDARD"},
		Operation: portOperation{"UP", connections},
		Account: assetAccount{AccountNumber: p.owner.account, AccountName: p.org, OrgID: p.owner.orgNumber(),
			Organization: p.org, UCMID: "UCM-" + p.owner.orgID},
		ChangeLog: changeLogView{CreatedBy: p.owner.user.login, CreatedAt: made, UpdatedBy: p.owner.user.login, UpdatedAt: made},
		Location:  x.locate(p.metro, p.ibx),
		Device:    portDevice{p.device(), priority}, Demarcation: p.ibx, Tether: p.ibx, Redundancy: priority,
		Encapsulation: encapsulationView{Type: encapsulation(p.encap)},
		Settings:      portSettings{View: true, PlaceOrder: true},
		Physical: []physicalPortView{{Type: "XF_PHYSICAL_PORT", UUID: derivedID(p.id, "physical"), State: "ACTIVE",
			Speed: fabricMbps, Tether: tetherView{p.crossConnect(), p.ibx}}},
	}
	switch p.encap {
	case dot1q:
		v.Encapsulation.ProtocolID = "33024" // 0x8100
	case qinq:
		v.Encapsulation.ProtocolID = "37120" // 0x9100
	}
	return v
}

// portsOf are who's own ports, without those that the exchange manages.
func portsOf(who *tenant) iter.Seq[*port] {
	return func(yield func(*port) bool) {
		for _, p := range who.ports {
			if !p.managed && !yield(p) {
				return
			}
		}
	}
}

// fabricPorts lists all ports of the tenant, or the one of that name. There are no pages.
func (x *Exchange) fabricPorts(q *request) answer {
	name := q.URL.Query().Get("name")
	x.lock()
	defer x.unlock()
	out := resultView[fabricPortView]{Data: []fabricPortView{}}
	for p := range portsOf(q.who) {
		if name == "" || name == p.name {
			out.Data = append(out.Data, x.showPort(p))
		}
	}
	out.Pagination = links("/fabric/v4/ports", 0, max(len(out.Data), fabricPage), len(out.Data))
	return answer{status: http.StatusOK, body: out}
}

// portRules are what ports can be searched and sorted by (schemas PortSearchFieldName and
// PortSortBy, as far as ports here have it).
func (x *Exchange) portRules() searchRules[*port] {
	return searchRules[*port]{
		code: fabPortQuery, sort: "/device/name", path: "/fabric/v4/ports/search",
		properties: properties[*port]{
			"/device/name":                         func(p *port) any { return p.device() },
			"/physicalPorts/tether/crossConnectId": func(p *port) any { return p.crossConnect() },
			"/physicalPorts/interface/name":        func(*port) any { return nil },
			"/state":                               func(*port) any { return "ACTIVE" },
			"/project/projectId":                   func(p *port) any { return p.owner.project },
			"/uuid":                                func(p *port) any { return p.id },
			"/name":                                func(p *port) any { return p.name },
			"/account/orgId":                       func(p *port) any { return p.owner.orgNumber() },
			"/account/accountNumber":               func(p *port) any { return p.owner.account },
			"/location/metroCode":                  func(p *port) any { return p.metro },
			"/location/metroName":                  func(p *port) any { return x.metro(p.metro).name },
			"/demarcationPointIbx":                 func(p *port) any { return p.ibx },
			"/device/redundancy/priority":          func(p *port) any { return strings.ToUpper(p.priority) },
			"/lagEnabled":                          func(*port) any { return false },
			"/physicalPortsSpeed":                  func(*port) any { return fabricMbps },
			"/encapsulation/type":                  func(p *port) any { return encapsulation(p.encap) },
			"/package/code":                        func(*port) any { return "STANDARD" },
			"/changeLog/updatedDateTime":           func(*port) any { return inventoryTime() },
			"/changeLog/createdDateTime":           func(*port) any { return inventoryTime() },
			"/bandwidth":                           func(*port) any { return fabricMbps },
			"/settings/productCode":                func(*port) any { return "CX" },
		},
	}
}

func (x *Exchange) fabricPortSearch(q *request) answer {
	s, wrong := parseSearch(q.body, q.URL.Query(), x.portRules())
	if len(wrong) > 0 {
		return wrong.answer()
	}
	x.lock()
	defer x.unlock()
	found, page := s.run(portsOf(q.who))
	out := resultView[fabricPortView]{Pagination: page, Data: []fabricPortView{}}
	for _, p := range found {
		out.Data = append(out.Data, x.showPort(p))
	}
	return answer{status: http.StatusOK, body: out}
}

// ownPort returns the tenant's port that the path names, or nil.
func (x *Exchange) ownPort(q *request) *port {
	p := x.ports[q.PathValue("port")]
	if p == nil || p.owner != q.who || p.managed {
		return nil
	}
	return p
}

// noPort is the answer about a port that there is not. Its additionalInfo is an object
// where the schema has an array, as in the sample of linkProtocols.
type noPort struct {
	Code    string      `json:"errorCode"`
	Message string      `json:"errorMessage"`
	Details string      `json:"details"`
	Info    fabricCause `json:"additionalInfo"`
}

func unknownPort() answer {
	return answer{status: http.StatusBadRequest, body: []noPort{{
		Code: fabNoPort, Message: "Unable to fetch port details",
		Details: "The uuid requested could not be found in system. Please try again after sometime",
		Info:    fabricCause{Property: "portUuid"},
	}}}
}

func (x *Exchange) fabricPort(q *request) answer {
	x.lock()
	defer x.unlock()
	p := x.ownPort(q)
	if p == nil {
		return fabricRefusal(http.StatusBadRequest, fabNoPort, "Unable to fetch port details", "portUuid")
	}
	return answer{status: http.StatusOK, body: x.showPort(p)}
}

// linkProtocolView is a VLAN of a port and who holds it: a connection, or a service
// token that keeps it for one.
type linkProtocolView struct {
	linkView
	UUID      string        `json:"uuid"`
	State     string        `json:"state"`
	Asset     *holderView   `json:"asset,omitempty"`
	Token     *holderView   `json:"serviceToken,omitempty"`
	ChangeLog changeLogView `json:"changeLog"`
}

type holderView struct {
	Href      string `json:"href"`
	UUID      string `json:"uuid"`
	Type      string `json:"type,omitempty"`
	Bandwidth int    `json:"bandwidth,omitempty"`
}

// fabricLinks lists the VLANs of a port that are in use, the lowest first.
func (x *Exchange) fabricLinks(q *request) answer {
	offset := bound(nil, q.URL.Query(), "offset", 0)
	limit := bound(nil, q.URL.Query(), "limit", fabricPage)
	var wrong fabricErrors
	if offset < 0 || limit < 1 {
		wrong.invalid("limit", "offset must be at least 0, limit at least 1")
		return wrong.answer()
	}
	x.lock()
	defer x.unlock()
	p := x.ownPort(q)
	if p == nil {
		return unknownPort()
	}
	var tags []tag
	for outer, inner := range p.used {
		for in := range inner {
			tags = append(tags, tag{outer, in})
		}
	}
	slices.SortFunc(tags, func(a, b tag) int {
		if a.outer != b.outer {
			return a.outer - b.outer
		}
		return a.inner - b.inner
	})
	total := len(tags)
	out := resultView[linkProtocolView]{Data: []linkProtocolView{},
		Pagination: links("/fabric/v4/ports/"+p.id+"/linkProtocols", offset, limit, total)}
	for _, t := range tags[min(offset, total):min(offset+limit, total)] {
		out.Data = append(out.Data, showLink(end{p, t}))
	}
	return answer{status: http.StatusOK, body: out}
}

// showLink renders the tag of e, which somebody holds.
func showLink(e end) linkProtocolView {
	v := linkProtocolView{linkView: linkView{Type: "UNTAGGED"}, State: "RESERVED",
		UUID: derivedID(e.port.id, "tag", fmt.Sprint(e.tag.outer, e.tag.inner))}
	if l := linkOf(e); l != nil {
		v.linkView = *l
	}
	switch h := e.port.used[e.tag.outer][e.tag.inner].(type) {
	case *circuit:
		v.Asset = &holderView{Href: fabricBase + "/connections/" + h.id, UUID: h.id, Bandwidth: h.speed.mbps()}
		v.ChangeLog.CreatedAt = isoTime(h.created)
	case *serviceToken:
		v.Token = &holderView{Href: fabricBase + "/serviceTokens/" + h.id, UUID: h.id, Type: h.kind, Bandwidth: h.limit}
		v.ChangeLog.CreatedAt = isoTime(h.created)
	}
	return v
}
