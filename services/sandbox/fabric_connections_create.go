package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// Codes of an order.
const (
	fabGroupRequired    = "EQ-3142514"
	fabPriorityRequired = "EQ-3142515"
	fabGroupInvalid     = "EQ-3142516"
	fabPriorityInvalid  = "EQ-3142517"
	fabTiersDiffer      = "EQ-3142221"
	fabEncapsDiffer     = "EQ-3142222"
	fabSameToken        = "EQ-3142225"
	fabOrderProfile     = "EQ-3142301"
	fabOrderMetro       = "EQ-3142302"
	fabPrimaryOnly      = "EQ-3142303"
	fabNoBandwidth      = "EQ-3142306"
	fabKeyRequired      = "EQ-3142308"
	fabProfilesDiffer   = "EQ-3142320"
)

// The types of connections that this exchange makes.
const (
	evplVC = "EVPL_VC"
	eplVC  = "EPL_VC"
)

// maxBandwidth bounds an order, in Mbit/s.
const maxBandwidth = 100_000

// fabricOrderBody is the body of POST connections.
type fabricOrderBody struct {
	Type        string `json:"type"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Bandwidth   *int   `json:"bandwidth"`
	Order       struct {
		PurchaseOrder string `json:"purchaseOrderNumber"`
		CustomerRef   string `json:"customerReferenceNumber"`
		Term          *int   `json:"termLength"`
	} `json:"order"`
	Notifications []notice `json:"notifications"`
	Redundancy    *struct {
		Group    *string `json:"group"`
		Priority string  `json:"priority"`
	} `json:"redundancy"`
	GeoScope       string      `json:"geoScope"`
	Project        projectView `json:"project"`
	AdditionalInfo []extraInfo `json:"additionalInfo"`
	ASide          *sideBody   `json:"aSide"`
	ZSide          *sideBody   `json:"zSide"`
}

// sideBody is one side of an order: a token or an access point.
type sideBody struct {
	Token *struct {
		UUID string `json:"uuid"`
	} `json:"serviceToken"`
	Point *pointBody `json:"accessPoint"`
}

type pointBody struct {
	Type string `json:"type"`
	Port *struct {
		UUID string `json:"uuid"`
	} `json:"port"`
	Link    *linkBody `json:"linkProtocol"`
	Profile *struct {
		Type string `json:"type"`
		UUID string `json:"uuid"`
	} `json:"profile"`
	Location struct {
		MetroCode string `json:"metroCode"`
	} `json:"location"`
	Region  string `json:"sellerRegion"`
	Key     string `json:"authenticationKey"`
	Peering string `json:"peeringType"`
}

type linkBody struct {
	Type  string `json:"type"`
	VLAN  *int   `json:"vlanTag"`
	Outer *int   `json:"vlanSTag"`
	Inner *int   `json:"vlanCTag"`
}

func (p *pointBody) portID() string {
	if p.Port == nil {
		return ""
	}
	return p.Port.UUID
}

// fabricDraft is an order on its way to a circuit.
type fabricDraft struct {
	exchange *Exchange
	who      *tenant
	now      time.Time
	body     fabricOrderBody
	wrong    fabricErrors
	circuit  *circuit
	first    *circuit // the primary that a secondary belongs to
	a, z     *serviceToken
}

// fabricCreate makes a circuit, or with ?dryRun=true says what it would make.
func (x *Exchange) fabricCreate(q *request) answer {
	now := x.lock()
	defer x.unlock()
	d := &fabricDraft{exchange: x, who: q.who, now: now,
		circuit: &circuit{api: viaFabric, buyer: q.who}}
	if wrong := fabricBody(q.body, &d.body); wrong != nil {
		return wrong.answer()
	}
	d.read()
	if len(d.wrong) > 0 {
		return d.wrong.answer()
	}
	if strings.EqualFold(q.URL.Query().Get("dryRun"), "true") {
		return answer{status: http.StatusOK, body: x.showOrder(d.circuit)}
	}
	d.commit(q.hide)
	return answer{status: http.StatusCreated, body: x.showFabric(d.circuit, q.who, showing{}),
		created: []string{d.circuit.id}}
}

// fabricBody decodes a body. What has the wrong type is named by its place.
func fabricBody(b []byte, into any) fabricErrors {
	err := json.Unmarshal(b, into)
	var mistyped *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mistyped) && mistyped.Field != "":
		var wrong fabricErrors
		wrong.invalid("/"+strings.ReplaceAll(mistyped.Field, ".", "/"), "Must be of type "+mistyped.Type.String())
		return wrong
	}
	return fabricErrors{{Code: fabInvalid, Message: fabInvalidText, Details: "Request body is not a valid JSON document"}}
}

// read fills the circuit and notes everything that is wrong with the order.
func (d *fabricDraft) read() {
	b, c := d.body, d.circuit
	c.fabric = fabricOrder{Type: b.Type, Notices: b.Notifications, CustomerRef: b.Order.CustomerRef,
		Project: b.Project.ProjectID, GeoScope: b.GeoScope, Description: b.Description, Extra: b.AdditionalInfo}
	c.name, c.purchaseOrder, c.notifications = b.Name, b.Order.PurchaseOrder, addresses(b.Notifications)
	if b.Type != evplVC && b.Type != eplVC {
		d.wrong.invalid("/type", "Connection type must be EVPL_VC or EPL_VC at this exchange")
	}
	d.wrong.name("/name", b.Name)
	d.wrong.notices("/notifications", b.Notifications)
	d.wrong.geoScope("/geoScope", b.GeoScope)
	if b.Order.Term != nil {
		c.fabric.Term = d.wrong.term("/order/termLength", *b.Order.Term)
	}
	switch {
	case b.Bandwidth == nil:
		d.wrong.invalid("/bandwidth", "Bandwidth is required")
	case *b.Bandwidth < 0 || *b.Bandwidth > maxBandwidth:
		d.wrong.invalid("/bandwidth", fmt.Sprintf("Bandwidth must be between 0 and %d", maxBandwidth))
	default:
		c.speed = speedOf(*b.Bandwidth)
	}
	d.redundancy()
	d.sides()
	if c.profile == nil && b.Bandwidth != nil && *b.Bandwidth == 0 {
		d.wrong.invalid("/bandwidth", "Bandwidth must be more than 0")
	}
}

// redundancy finds the primary that a secondary belongs to.
func (d *fabricDraft) redundancy() {
	r := d.body.Redundancy
	if r == nil {
		return
	}
	priority := strings.ToUpper(r.Priority)
	if priority != "" && priority != "PRIMARY" && priority != "SECONDARY" {
		d.wrong.add(fabPriorityInvalid, "Invalid redundancy priority", "/redundancy/priority")
		return
	}
	switch {
	case r.Group == nil && priority == "SECONDARY":
		d.wrong.add(fabGroupRequired, "Redundancy group is required", "/redundancy/group")
		return
	case r.Group != nil && priority == "":
		d.wrong.add(fabPriorityRequired, "Redundancy priority is required", "/redundancy/priority")
		return
	case r.Group == nil:
		return
	}
	if priority == "SECONDARY" {
		d.circuit.leg = "secondary"
	}
	group := d.exchange.groups[*r.Group]
	i := slices.IndexFunc(group, func(c *circuit) bool { return c.buyer == d.who && c.leg != "secondary" && !c.ended() })
	taken := slices.ContainsFunc(group, func(c *circuit) bool { return c.leg == "secondary" && !c.ended() })
	switch {
	case i < 0 || taken:
		d.wrong.add(fabGroupInvalid, "Invalid redundancy group", "/redundancy/group")
	case priority == "PRIMARY":
		d.wrong.add(fabPriorityInvalid, "Invalid redundancy priority", "/redundancy/priority")
	default:
		d.first, d.circuit.group = group[i], *r.Group
	}
}

// sides reads where the circuit begins and ends.
func (d *fabricDraft) sides() {
	c, b := d.circuit, d.body
	d.one("/aSide", b.ASide)
	d.one("/zSide", b.ZSide)
	c.a.port, d.a = d.nearEnd(b.ASide)
	switch z := b.ZSide; {
	case z == nil:
	case z.Token != nil:
		if d.z = d.token(z.Token.UUID, zSide); d.z != nil {
			c.z, c.fabric.ZToken = d.z.at, d.z.id
		}
	case z.Point != nil && z.Point.Type == "SP":
		d.toProfile(z.Point)
	case z.Point != nil && z.Point.Type == "COLO":
		c.z.port = d.ownPort(z.Point, "/zSide/accessPoint/port/uuid")
	case z.Point != nil:
		d.wrong.invalid("/zSide/accessPoint/type", "Access point type must be COLO or SP at this exchange")
	}
	if c.z.port != nil {
		c.metro = c.z.port.metro
	}
	if d.a != nil {
		c.a, c.fabric.AToken = d.a.at, d.a.id
	}
	d.counterpart()
	if c.a.port != nil && (c.z.port != nil || c.profile != nil) {
		d.links()
	}
	d.tokens()
}

// one notes unless a side is a token or an access point, and not both.
func (d *fabricDraft) one(property string, s *sideBody) {
	switch {
	case s == nil:
		d.wrong.invalid(property, "Not Provided")
	case (s.Token == nil) == (s.Point == nil):
		d.wrong.invalid(property, "Either a serviceToken or an accessPoint is required")
	}
}

// nearEnd is the port or the token of the A side.
func (d *fabricDraft) nearEnd(s *sideBody) (*port, *serviceToken) {
	switch {
	case s == nil:
	case s.Token != nil:
		return nil, d.token(s.Token.UUID, aSide)
	case s.Point == nil:
	case s.Point.Type != "COLO":
		d.wrong.invalid("/aSide/accessPoint/type", "Access point type must be COLO at this exchange")
	default:
		return d.ownPort(s.Point, "/aSide/accessPoint/port/uuid"), nil
	}
	return nil, nil
}

// token returns the token that one side names if it can be used.
func (d *fabricDraft) token(id, side string) *serviceToken {
	property := "/" + side + "/serviceToken/uuid"
	if d.first != nil && id != "" && (id == d.first.fabric.ZToken || id == d.first.fabric.AToken) {
		d.wrong.add(fabSameToken, "Service token of the primary connection cannot be used for the secondary", property)
		return nil
	}
	t, err := d.exchange.redeemable(id, side)
	if err != nil {
		d.wrong = append(d.wrong, tokenFault(err, property))
		return nil
	}
	if (t.kind == eplToken) != (d.body.Type == eplVC) {
		d.wrong.invalid(property, "Service token is for connections of type "+t.connectionType())
	}
	return t
}

func (d *fabricDraft) ownPort(p *pointBody, property string) *port {
	id := p.portID()
	own := d.exchange.ports[id]
	if own == nil || own.owner != d.who || own.managed {
		reason := "Port does not exist or not belong to user"
		if id == "" {
			reason = "Not Provided"
		}
		d.wrong.invalid(property, reason)
		return nil
	}
	return own
}

// toProfile reads a service profile as the Z side.
func (d *fabricDraft) toProfile(z *pointBody) {
	const point = "/zSide/accessPoint"
	c := d.circuit
	if d.body.Type == eplVC {
		d.wrong.invalid("/type", "Connections to a service profile must be of type EVPL_VC")
	}
	var p *profile
	if z.Profile != nil {
		p = d.exchange.profiles[z.Profile.UUID]
	}
	if p == nil || !p.visibleTo(d.who) {
		d.wrong.add(fabOrderProfile, "Given profile does not exist", point+"/profile/uuid")
		return
	}
	c.profile, c.seller, c.key, c.metro, c.region = p, p.seller, z.Key, z.Location.MetroCode, z.Region
	if d.exchange.metro(c.metro).code == "" || !p.in(c.metro) {
		d.wrong.add(fabOrderMetro, "Service provider does not exist in required zSide metro", point+"/location/metroCode")
	}
	if p.region != "" && p.region != c.region {
		d.wrong.invalid(point+"/sellerRegion", "Seller region must be "+p.region)
	}
	if p.single && c.leg == "secondary" {
		d.wrong.add(fabPrimaryOnly, "Only Primary connection allowed for this CSP", "/redundancy/priority")
	}
	if d.first != nil && d.first.profile != p {
		d.wrong.add(fabProfilesDiffer, "For redundant connection, Service Profile should be the same", point+"/profile/uuid")
	}
	d.authenticate(z, point)
	d.peering(z, point)
}

// authenticate checks the key, and the bandwidth, which may come from it.
func (d *fabricDraft) authenticate(z *pointBody, point string) {
	c, p := d.circuit, d.circuit.profile
	mbps, known := p.keys[z.Key]
	switch {
	case len(p.keys) == 0:
	case z.Key == "":
		d.wrong.add(fabKeyRequired, "Authentication key is required", point+"/authenticationKey")
	case !known:
		d.wrong.invalid(point+"/authenticationKey", "Authentication key is invalid")
	case p.once && d.keyTaken(p, z.Key):
		d.wrong.invalid(point+"/authenticationKey", "Authentication key is already in use")
	}
	if d.body.Bandwidth == nil {
		return
	}
	if p.keySpeed && known && c.speed.value == 0 {
		c.speed = speedOf(mbps)
	}
	if !p.sells(c.speed) || p.keySpeed && known && mbps != c.speed.mbps() {
		d.wrong.add(fabNoBandwidth, "Requested bandwidth is not supported by service profile", "/bandwidth")
	}
}

// keyTaken reports whether another circuit than the primary of this one uses the key.
func (d *fabricDraft) keyTaken(p *profile, key string) bool {
	return d.exchange.keyInUse(p, key) && (d.first == nil || d.first.key != key)
}

// peering takes the kind of peering for the named tag that a profile may want.
func (d *fabricDraft) peering(z *pointBody, point string) {
	p := d.circuit.profile
	if !p.named() {
		if z.Peering != "" {
			d.wrong.invalid(point+"/peeringType", "Peering type is not offered by the service profile")
		}
		return
	}
	i := slices.IndexFunc(p.namedTags, func(t string) bool { return strings.EqualFold(t, z.Peering) })
	if i < 0 {
		d.wrong.invalid(point+"/peeringType", "Peering type must be one of "+strings.ToUpper(strings.Join(p.namedTags, ", ")))
		return
	}
	d.circuit.namedTag = p.namedTags[i]
}

// counterpart finds the other company of an order by token.
func (d *fabricDraft) counterpart() {
	for _, t := range []*serviceToken{d.z, d.a} {
		if d.circuit.seller == nil && t != nil && t.issuer != d.who {
			d.circuit.seller = t.issuer
		}
	}
}

// tokens checks what the tokens allow.
func (d *fabricDraft) tokens() {
	c := d.circuit
	for _, s := range []struct {
		token    *serviceToken
		other    string // metro
		property string
	}{
		{d.a, c.metro, "/aSide/serviceToken/uuid"},
		{d.z, metroOf(c.a.port), "/zSide/serviceToken/uuid"},
	} {
		if s.token != nil && d.body.Bandwidth != nil {
			d.wrong = append(d.wrong, s.token.unfit(c.speed.mbps(), s.other, s.property)...)
		}
	}
	if d.first == nil || d.z == nil || d.exchange.passes[d.first.fabric.ZToken] == nil {
		return
	}
	primary := d.exchange.passes[d.first.fabric.ZToken]
	if !slices.Equal(primary.bandwidths, d.z.bandwidths) {
		d.wrong.add(fabTiersDiffer, "Bandwidth tiers of primary and secondary service token differ", "/zSide/serviceToken/uuid")
	}
	if primary.at.port.encap != d.z.at.port.encap {
		d.wrong.add(fabEncapsDiffer, "Encapsulation of primary and secondary service token differ", "/zSide/serviceToken/uuid")
	}
}

func metroOf(p *port) string {
	if p == nil {
		return ""
	}
	return p.metro
}

// links reads the tags of the sides that are ports, and sees that they are free:
//
//	A      Z      A has           Z has (if it is a port)
//	DOT1Q  DOT1Q  vlanTag         vlanTag
//	DOT1Q  QINQ   vlanTag         vlanSTag, vlanCTag
//	QINQ   DOT1Q  vlanSTag, -CTag vlanTag
//	QINQ   QINQ   vlanSTag        vlanSTag
//
// An untagged port has none, and is all that EPL_VC takes.
func (d *fabricDraft) links() {
	c, b := d.circuit, d.body
	if d.a == nil {
		c.a.tag = d.wrong.link("/aSide/accessPoint", linking{b.ASide.Point, c.a.port, c.zEncap(), b.Type})
		d.free(c.a, "/aSide/accessPoint/linkProtocol")
	}
	if d.z == nil && c.z.port != nil {
		c.z.tag = d.wrong.link("/zSide/accessPoint", linking{b.ZSide.Point, c.z.port, c.a.port.encap, b.Type})
		d.free(c.z, "/zSide/accessPoint/linkProtocol")
	}
	same := c.a.overlaps(c.z) || c.a.port == c.z.port && c.a.port.encap == untagged
	if same {
		d.wrong.duplicate("/zSide/accessPoint/linkProtocol")
	}
}

// free notes if e is held by somebody.
func (d *fabricDraft) free(e end, property string) {
	if e.busy() {
		d.wrong.duplicate(property)
	}
}

// busy reports whether somebody holds e. A tag that could not be read is not busy.
func (e end) busy() bool {
	return (e.tag.outer != 0 || e.port.encap == untagged) && e.port.used.holder(e.tag) != nil
}

func (e *fabricErrors) duplicate(property string) {
	e.add(fabDuplicate, "Connection has duplicate buyer-side VLAN ID for port or the same VLAN ID is in the "+
		"process of being deleted and should be freed up soon", property)
}

// linking is how one side is to sit on its port.
type linking struct {
	point *pointBody
	port  *port
	other string // encapsulation of the other side
	kind  string // of the connection
}

// link reads the tags of one side.
func (e *fabricErrors) link(property string, l linking) tag {
	link := cmp.Or(l.point.Link, &linkBody{})
	at := property + "/linkProtocol"
	if (l.kind == eplVC) != (l.port.encap == untagged) {
		e.invalid(property+"/port/uuid", "Port encapsulation "+encapsulation(l.port.encap)+" does not go with "+l.kind)
		return tag{}
	}
	want := encapsulation(l.port.encap)
	if !strings.EqualFold(link.Type, want) && (link.Type != "" || want != "UNTAGGED") {
		e.invalid(at+"/type", "Link protocol of the port is "+want)
		return tag{}
	}
	both := l.port.encap == qinq && l.other != qinq
	outer, name := link.VLAN, "/vlanTag"
	if l.port.encap == qinq {
		outer, name = link.Outer, "/vlanSTag"
		e.vlan(at+"/vlanTag", link.VLAN, false)
	} else {
		e.vlan(at+"/vlanSTag", link.Outer, false)
	}
	return tag{
		outer: e.vlan(at+name, outer, l.port.encap != untagged),
		inner: e.vlan(at+"/vlanCTag", link.Inner, both),
	}
}

// vlan reads a tag that must be given if wanted, and must not be given otherwise.
func (e *fabricErrors) vlan(property string, n *int, wanted bool) int {
	switch {
	case n == nil && wanted:
		e.invalid(property, "Not Provided")
	case n == nil:
	case !wanted:
		e.invalid(property, "Not allowed by the encapsulation of the ports")
	case *n < minTag || *n > maxTag:
		e.invalid(property, fmt.Sprintf("VLAN must be between %d and %d", minTag, maxTag))
	default:
		return *n
	}
	return 0
}

func (e *fabricErrors) name(property, name string) {
	switch {
	case name == "":
		e.invalid(property, "Not Provided")
	case len(name) > 24:
		e.invalid(property, "Max 24 characters are allowed")
	case !validName(name) || strings.Contains(name, " "):
		e.invalid(property, "Only letters, digits, '-' and '_' are allowed")
	}
}

// notices checks who is to be told: one to twelve addresses for each type.
func (e *fabricErrors) notices(property string, list []notice) {
	kinds := []string{"NOTIFICATION", "BANDWIDTH_ALERT", "CONNECTION_APPROVAL", "PROFILE_LIFECYCLE", "ALL",
		"SALES_REP_NOTIFICATIONS", "TECHNICAL", "ORDERING"}
	if len(list) == 0 {
		e.invalid(property, "Not Provided")
	}
	for _, n := range list {
		if !slices.Contains(kinds, n.Type) {
			e.invalid(property+"/type", "Type must be one of "+strings.Join(kinds, ", "))
		}
		bad := func(reason string) {
			*e = append(*e, fabricError{Code: fabInvalid, Message: fabInvalidText, Details: "Invalid notification emails",
				Info: []fabricCause{{Property: property + "/emails", Reason: reason}}})
		}
		if len(n.Emails) == 0 {
			bad("Not Provided")
		}
		if len(n.Emails) > 12 {
			bad("At most 12 emails are allowed")
		}
		for _, address := range n.Emails {
			if a, err := mail.ParseAddress(address); err != nil || a.Address != address {
				bad(fmt.Sprintf("%q is not a valid email", address))
			}
		}
	}
}

func (e *fabricErrors) geoScope(property, scope string) {
	scopes := []string{"", "CANADA", "CONUS", "JAPAN", "UK", "AUSTRALIA", "BRAZIL", "SWITZERLAND", "EU"}
	if !slices.Contains(scopes, scope) {
		e.invalid(property, "Geo scope must be one of "+strings.Join(scopes[1:], ", "))
	}
}

func (e *fabricErrors) term(property string, months int) int {
	if !slices.Contains([]int{1, 12, 24, 36}, months) {
		e.invalid(property, "Term length must be 1, 12, 24 or 36")
	}
	return months
}

// addresses are all addresses of the notices, each once.
func addresses(list []notice) []string {
	var out []string
	for _, n := range list {
		for _, e := range n.Emails {
			if !slices.Contains(out, e) {
				out = append(out, e)
			}
		}
	}
	return out
}

// commit makes the circuit.
func (d *fabricDraft) commit(hide time.Duration) {
	x, c := d.exchange, d.circuit
	c.id = x.newID()
	c.visible = d.now.Add(max(hide, x.delays.Visible))
	for _, t := range []*serviceToken{d.a, d.z} {
		if t != nil {
			x.redeem(t, c, d.now)
		}
	}
	if d.first != nil {
		d.first.leg, d.first.twin, c.twin = "primary", c, d.first
		x.changed = append(x.changed, d.first)
	}
	x.add(c, d.now)
}
