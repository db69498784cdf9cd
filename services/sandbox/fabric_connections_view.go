package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// fabricConnection is a connection as the Fabric API spells it.
type fabricConnection struct {
	Href           string          `json:"href,omitempty"`
	Type           string          `json:"type"`
	UUID           string          `json:"uuid,omitempty"`
	Name           string          `json:"name"`
	Description    string          `json:"description,omitempty"`
	State          *string         `json:"state,omitempty"`
	Change         *changeView     `json:"change,omitempty"`
	Operation      *operationView  `json:"operation,omitempty"`
	Order          *orderView      `json:"order,omitempty"`
	Notifications  []notice        `json:"notifications"`
	Account        *assetAccount   `json:"account,omitempty"`
	ChangeLog      *changeLogView  `json:"changeLog,omitempty"`
	Bandwidth      int             `json:"bandwidth"`
	GeoScope       string          `json:"geoScope,omitempty"`
	Redundancy     *redundancyView `json:"redundancy,omitempty"`
	IsRemote       bool            `json:"isRemote"`
	Direction      string          `json:"direction,omitempty"`
	ASide          sideView        `json:"aSide"`
	ZSide          sideView        `json:"zSide"`
	AdditionalInfo []extraInfo     `json:"additionalInfo,omitempty"`
	Project        projectView     `json:"project"`
}

type changeView struct {
	UUID    string         `json:"uuid"`
	Type    string         `json:"type"`
	Status  string         `json:"status"`
	Created string         `json:"createdDateTime"`
	Updated string         `json:"updatedDateTime,omitempty"`
	Data    *operationData `json:"data,omitempty"`
}

// operationData is one replacement of a JSON Patch.
type operationData struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

type operationView struct {
	ProviderStatus    string        `json:"providerStatus"`
	EquinixStatus     string        `json:"equinixStatus"`
	OperationalStatus string        `json:"operationalStatus,omitempty"`
	Errors            []fabricError `json:"errors,omitempty"`
}

type orderView struct {
	PurchaseOrder string `json:"purchaseOrderNumber,omitempty"`
	CustomerRef   string `json:"customerReferenceNumber,omitempty"`
	BillingTier   string `json:"billingTier,omitempty"`
	Term          int    `json:"termLength,omitempty"`
}

type redundancyView struct {
	Group    string `json:"group,omitempty"`
	Priority string `json:"priority"`
}

// sideView is one end of a connection: what was ordered, and what it has come to.
type sideView struct {
	Token *assetRef  `json:"serviceToken,omitempty"`
	Point *pointView `json:"accessPoint,omitempty"`
}

type pointView struct {
	Type       string        `json:"type"`
	Port       *namedRef     `json:"port,omitempty"`
	Link       *linkView     `json:"linkProtocol,omitempty"`
	Profile    *namedRef     `json:"profile,omitempty"`
	Location   *locationView `json:"location,omitempty"`
	Region     string        `json:"sellerRegion,omitempty"`
	Peering    string        `json:"peeringType,omitempty"`
	AuthKey    string        `json:"authenticationKey,omitempty"`
	AccountOwn *assetAccount `json:"account,omitempty"`
}

type namedRef struct {
	assetRef
	Name string `json:"name,omitempty"`
}

// billingTier spells a bandwidth as the guide's answers do.
func billingTier(mbps int) string {
	if mbps >= 1000 && mbps%1000 == 0 {
		return fmt.Sprintf("Up to %d Gbps", mbps/1000)
	}
	return fmt.Sprintf("Up to %d MB", mbps)
}

// vcType is c's type at Fabric.
func (c *circuit) vcType() string {
	if c.fabric.Type == "" {
		return "EVPL_VC"
	}
	return c.fabric.Type
}

// priority is c's leg at Fabric, where a circuit alone is a primary one.
func (c *circuit) priority() string {
	if c.leg == "secondary" {
		return "SECONDARY"
	}
	return "PRIMARY"
}

// direction says how c looks to one of its parties.
func (c *circuit) direction(who *tenant) string {
	from := who == c.a.port.owner
	to := who == c.seller && c.seller != c.a.port.owner || c.z.port != nil && !c.z.port.managed && who == c.z.port.owner ||
		c.profile != nil && who == c.profile.seller
	switch {
	case from && to:
		return "INTERNAL"
	case to:
		return "INCOMING"
	}
	return "OUTGOING"
}

func (c *circuit) project() string {
	if c.fabric.Project != "" {
		return c.fabric.Project
	}
	return c.buyer.project
}

// notices are who is told of what; an order by ECX tells all of everything.
func (c *circuit) notices() []notice {
	if len(c.fabric.Notices) > 0 {
		return c.fabric.Notices
	}
	return []notice{{Type: "ALL", Emails: c.notifications}}
}

// showFabric renders c for who, as s makes it look.
func (x *Exchange) showFabric(c *circuit, who *tenant, s showing) fabricConnection {
	v := x.showOrder(c)
	w := c.fabricWords()
	v.Href, v.UUID = fabricBase+"/connections/"+c.id, c.id
	v.State, v.Change = &w.state, c.showChange()
	v.Operation = &operationView{ProviderStatus: w.provider, EquinixStatus: w.equinix}
	switch {
	case w.equinix == provisioned || w.equinix == pendingDelete:
		v.Operation.OperationalStatus = "UP"
	case c.status == rejected && c.rejectComment != "":
		v.Operation.Errors = fabricErrors{{Code: fabInvalid, Message: c.rejectComment}}
	}
	v.Redundancy.Group = c.group
	v.Direction = c.direction(who)
	v.Account = &assetAccount{AccountNumber: c.buyer.account, OrgID: c.buyer.orgNumber(), Organization: c.buyer.org}
	v.ChangeLog = &changeLogView{CreatedBy: c.buyer.user.login, CreatedAt: isoTime(c.created),
		UpdatedBy: c.updatedBy.login, UpdatedAt: isoTime(c.updated),
		DeletedBy: c.deletedBy.login, DeletedAt: isoTime(c.deleted)}
	s.apply(&v, c)
	return v
}

// apply puts a fault's words in place of v's own.
func (s showing) apply(v *fabricConnection, c *circuit) {
	if s.name != "" && s.name != c.name {
		return
	}
	if s.status != "" {
		v.Operation.EquinixStatus = s.word(s.status)
	}
	if s.providerStatus != "" {
		v.Operation.ProviderStatus = s.word(s.providerStatus)
	}
	if s.state != "" {
		word := s.word(s.state)
		v.State = &word
	}
}

// showOrder renders what a dry run shows too: c without what only an exchange's record
// has.
func (x *Exchange) showOrder(c *circuit) fabricConnection {
	return fabricConnection{
		Type: c.vcType(), Name: c.name, Description: c.fabric.Description, Bandwidth: c.speed.mbps(),
		GeoScope: c.fabric.GeoScope, Notifications: c.notices(), AdditionalInfo: c.fabric.Extra,
		Order: &orderView{PurchaseOrder: c.purchaseOrder, CustomerRef: c.fabric.CustomerRef,
			BillingTier: billingTier(c.speed.mbps()), Term: c.fabric.Term},
		Redundancy: &redundancyView{Priority: c.priority()},
		IsRemote:   c.a.port.metro != c.metro,
		ASide:      sideView{Token: x.tokenRef(c.fabric.AToken), Point: x.showPoint(c.a)},
		ZSide:      x.showZ(c),
		Project:    projectView{c.project()},
	}
}

func (c *circuit) showChange() *changeView {
	v := &changeView{UUID: c.change.ID, Type: c.change.Kind, Status: c.change.Status,
		Created: isoTime(c.change.Created), Updated: isoTime(c.change.Updated)}
	if c.change.Path != "" {
		v.Data = &operationData{"replace", c.change.Path, c.change.Value}
	}
	return v
}

// tokenRef points to a service token, nil if there is none.
func (x *Exchange) tokenRef(id string) *assetRef {
	if id == "" {
		return nil
	}
	kind := vcToken
	if t := x.passes[id]; t != nil {
		kind = t.kind
	}
	return &assetRef{fabricBase + "/serviceTokens/" + id, kind, id}
}

func (x *Exchange) showPoint(e end) *pointView {
	at := x.locate(e.port.metro, "")
	who := e.port.owner
	return &pointView{Type: "COLO", Port: &namedRef{*portRef(e.port), e.port.name}, Link: linkOf(e), Location: &at,
		AccountOwn: &assetAccount{AccountNumber: who.account, AccountName: who.org, OrgID: who.orgNumber(), Organization: who.org}}
}

// showZ renders the Z side: a profile with, later, the port where the circuit landed, or
// a port.
func (x *Exchange) showZ(c *circuit) sideView {
	v := sideView{Token: x.tokenRef(c.fabric.ZToken)}
	if c.profile == nil {
		v.Point = x.showPoint(c.z)
		return v
	}
	at := x.locate(c.metro, "")
	v.Point = &pointView{Type: "SP", Location: &at, Region: c.region, AuthKey: c.key,
		Peering: strings.ToUpper(c.namedTag),
		Profile: &namedRef{assetRef{fabricBase + "/serviceProfiles/" + c.profile.id, "L2_PROFILE", c.profile.id}, c.profile.name}}
	if c.z.port != nil {
		v.Point.Port, v.Point.Link = &namedRef{*portRef(c.z.port), c.z.port.name}, linkOf(c.z)
	}
	return v
}

// fabricSearch lists the tenant's circuits that match, by default the last changed first.
func (x *Exchange) fabricSearch(q *request) answer {
	s, wrong := parseSearch(q.body, q.URL.Query(), searchRules[*circuit]{
		properties: x.circuitProperties(q.who), code: fabBadSearch,
		sort: "/changeLog/updatedDateTime", path: fabricConnections + "/search"})
	if len(wrong) > 0 {
		return wrong.answer()
	}
	now := x.lock()
	defer x.unlock()
	found, page := s.run(x.candidates(q.who, s.request.Filter, now))
	out := resultView[fabricConnection]{Pagination: page, Sort: s.order, Data: []fabricConnection{}}
	for _, c := range found {
		out.Data = append(out.Data, x.showFabric(c, q.who, q.show))
	}
	return answer{status: http.StatusOK, body: out}
}

// circuitProperties are what who can search its circuits by: those that the API declares,
// and those that only its samples use. What circuits here never have is always absent.
func (x *Exchange) circuitProperties(who *tenant) properties[*circuit] {
	p := properties[*circuit]{
		"/uuid":      func(c *circuit) any { return c.id },
		"/name":      func(c *circuit) any { return c.name },
		"/type":      func(c *circuit) any { return c.vcType() },
		"/state":     func(c *circuit) any { return c.fabricWords().state },
		"/bandwidth": func(c *circuit) any { return c.speed.mbps() },
		"/isRemote":  func(c *circuit) any { return c.a.port.metro != c.metro },
		"/direction": func(c *circuit) any { return c.direction(who) },
		"/geoScope":  func(c *circuit) any { return text(c.fabric.GeoScope) },

		"/account/orgId":            func(c *circuit) any { return c.buyer.orgNumber() },
		"/project/projectId":        func(c *circuit) any { return c.project() },
		"/redundancy/group":         func(c *circuit) any { return c.group },
		"/redundancy/priority":      func(c *circuit) any { return c.priority() },
		"/change/status":            func(c *circuit) any { return c.change.Status },
		"/change/type":              func(c *circuit) any { return c.change.Kind },
		"/operation/equinixStatus":  func(c *circuit) any { return c.fabricWords().equinix },
		"/operation/providerStatus": func(c *circuit) any { return c.fabricWords().provider },

		"/changeLog/createdBy":       func(c *circuit) any { return c.buyer.user.login },
		"/changeLog/createdDateTime": func(c *circuit) any { return instant(c.created) },
		"/changeLog/updatedBy":       func(c *circuit) any { return c.updatedBy.login },
		"/changeLog/lastUpdatedBy":   func(c *circuit) any { return c.updatedBy.login },
		"/changeLog/updatedDateTime": func(c *circuit) any { return instant(c.updated) },
		"/changeLog/deletedBy":       func(c *circuit) any { return text(c.deletedBy.login) },
		"/changeLog/deletedDateTime": func(c *circuit) any { return instant(c.deleted) },

		"/order/purchaseOrderNumber": func(c *circuit) any { return text(c.purchaseOrder) },
		"/aSide/serviceToken/uuid":   func(c *circuit) any { return text(c.fabric.AToken) },
		"/zSide/serviceToken/uuid":   func(c *circuit) any { return text(c.fabric.ZToken) },

		"/zSide/accessPoint/profile/uuid":      func(c *circuit) any { return c.profileID() },
		"/zSide/accessPoint/authenticationKey": func(c *circuit) any { return text(c.key) },
		"/zSide/accessPoint/sellerRegion":      func(c *circuit) any { return text(c.region) },
	}
	for _, side := range []string{"/aSide", "/zSide"} {
		for _, never := range []string{"/accessPoint/name", "/accessPoint/virtualDevice/name",
			"/accessPoint/virtualDevice/uuid", "/accessPoint/router/uuid", "/accessPoint/role",
			"/accessPoint/network/uuid", "/internetAccess/uuid"} {
			p[side+never] = func(*circuit) any { return nil }
		}
	}
	x.sideProperties(p, "/aSide/accessPoint", func(c *circuit) end { return c.a })
	x.sideProperties(p, "/zSide/accessPoint", func(c *circuit) end { return c.z })
	p["/zSide/accessPoint/type"] = func(c *circuit) any {
		if c.profile != nil {
			return "SP"
		}
		return "COLO"
	}
	p["/zSide/accessPoint/location/metroCode"] = func(c *circuit) any { return c.metro }
	p["/zSide/accessPoint/location/metroName"] = func(c *circuit) any { return x.metro(c.metro).name }
	return p
}

// sideProperties adds the properties of an end. They are absent until it has a port; a
// tag that an end does not have is 0, as in the API's samples.
func (x *Exchange) sideProperties(p properties[*circuit], prefix string, of func(*circuit) end) {
	at := func(path string, get func(end) any) {
		p[prefix+path] = func(c *circuit) any {
			if e := of(c); e.port != nil {
				return get(e)
			}
			return nil
		}
	}
	at("/type", func(end) any { return "COLO" })
	at("/port/uuid", func(e end) any { return e.port.id })
	at("/port/name", func(e end) any { return e.port.name })
	at("/location/metroCode", func(e end) any { return e.port.metro })
	at("/location/metroName", func(e end) any { return x.metro(e.port.metro).name })
	at("/account/accountName", func(e end) any { return e.port.owner.org })
	at("/account/accountNumber", func(e end) any { return e.port.owner.account })
	at("/linkProtocol/type", func(e end) any { return encapsulation(e.port.encap) })
	at("/linkProtocol/vlanTag", func(e end) any { return onlyIf(e.port.encap == dot1q, e.tag.outer) })
	at("/linkProtocol/vlanSTag", func(e end) any { return onlyIf(e.port.encap == qinq, e.tag.outer) })
	at("/linkProtocol/vlanCTag", func(e end) any { return e.tag.inner })
	at("/linkProtocol/vlanTagMin", func(e end) any { return e.tag.outer })
	at("/linkProtocol/vlanTagMax", func(e end) any { return e.tag.outer })
}

func onlyIf(is bool, n int) int {
	if is {
		return n
	}
	return 0
}

func (c *circuit) profileID() any {
	if c.profile == nil {
		return nil
	}
	return c.profile.id
}

// text is s, absent if it is empty.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// instant is t, absent if it is zero.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}
