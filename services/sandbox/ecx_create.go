package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// draft is a create on its way to one or two circuits.
type draft struct {
	exchange *Exchange
	buyer    *tenant
	body     body
	wrong    violations
	legs     []*circuit
	tokens   map[*circuit][]*serviceToken // that a leg is ordered with
}

// ecxCreate makes one circuit or a redundant pair, wholly or not at all.
func (x *Exchange) ecxCreate(q *request) answer {
	now := x.lock()
	defer x.unlock()
	d := &draft{exchange: x, buyer: q.who, tokens: make(map[*circuit][]*serviceToken)}
	d.body = parseBody(q.body, &d.wrong)
	if len(d.wrong) > 0 {
		return d.wrong.answer()
	}
	d.read()
	if len(d.wrong) > 0 {
		return d.wrong.answer()
	}
	return d.commit(now, q.hide)
}

// read fills the legs and notes everything that is wrong with them.
func (d *draft) read() {
	d.notOffered()
	d.legs = []*circuit{d.leg("primary")}
	if !d.hasSecondary() {
		return
	}
	second := d.leg("secondary")
	first := d.legs[0]
	if first.profile != second.profile && first.profile != nil && second.profile != nil {
		d.wrong.invalid("secondaryProfileUUID", "Primary and secondary service profile must be the same")
	}
	for _, e := range []end{first.a, first.z} {
		if e.overlaps(second.a) {
			d.inUse("secondaryVlanSTag")
		}
		if e.overlaps(second.z) {
			d.inUse("secondaryZSideVlanSTag")
		}
	}
	d.legs = append(d.legs, second)
}

func (d *draft) hasSecondary() bool {
	for f := range d.body.fields {
		if strings.HasPrefix(f, "secondary") && d.body.has(f) {
			return true
		}
	}
	return false
}

func (d *draft) inUse(property string) {
	d.wrong.add(codeTagInUse, "VLAN is already in use on the port", property)
}

// notOffered refuses the A sides that this exchange does not have.
func (d *draft) notOffered() {
	for _, f := range []string{"virtualDeviceUUID", "secondaryVirtualDeviceUUID"} {
		if d.body.has(f) {
			d.wrong.add(codeDevice, "Virtual device does not exist or is not usable", f)
		}
	}
}

// field is the name of a field of the leg. The fields that both legs share by name
// have no prefix on the primary leg; what the secondary leg leaves out it inherits.
func (d *draft) field(leg, name string) string {
	own := leg + name
	if leg == "primary" {
		return own
	}
	return d.body.first(own, "primary"+name)
}

func (d *draft) shared(leg, name string) string {
	if leg == "secondary" {
		if own := "secondary" + strings.ToUpper(name[:1]) + name[1:]; d.body.has(own) {
			return own
		}
	}
	return name
}

// leg reads one circuit.
func (d *draft) leg(which string) *circuit {
	b := d.body
	label := strings.ToUpper(which[:1]) + which[1:]
	c := &circuit{
		api: viaECX, buyer: d.buyer,
		name:          b.name(which+"Name", label+"Name", label+" Connection Name"),
		purchaseOrder: b.str("purchaseOrderNumber"),
		info:          b.info("additionalInfo"),
		key:           b.str(d.shared(which, "authorizationKey")),
	}
	if which == "primary" || b.has("secondaryNotifications") {
		c.notifications = b.emails(d.shared(which, "notifications"))
	} else {
		c.notifications = d.legs[0].notifications
	}
	if which == "primary" && len(c.purchaseOrder) > 30 {
		d.wrong.invalid("purchaseOrderNumber", "Size: Max 30 characters are allowed for purchaseOrderNumber")
	}
	if token := which + "ServiceToken"; b.has(token) {
		if t := d.token(c, token, aSide); t != nil {
			c.a, c.fabric.AToken = t.at, t.id
		}
	} else {
		c.a.port = d.ownPort(d.field(which, "PortUUID"))
	}
	if d.target(c, which) {
		d.bandwidth(c, which)
		d.tags(c, which, label)
	}
	return c
}

// ownPort returns the buyer's port that the field names, or nil with a complaint.
func (d *draft) ownPort(field string) *port {
	p := d.exchange.ports[d.body.str(field)]
	if p == nil || p.owner != d.buyer || p.managed {
		d.wrong.add(codePort, "Port does not exist or not belong to user", field)
		return nil
	}
	return p
}

// token returns the service token that the field names if it can be redeemed for c.
func (d *draft) token(c *circuit, field, side string) *serviceToken {
	t, err := d.exchange.redeemable(d.body.str(field), side)
	if err == nil && len(d.legs) > 0 && slices.Contains(d.tokens[d.legs[0]], t) {
		err = errTokenSpent // by the other leg
	}
	if err == nil && t.kind != vcToken {
		err = errNoToken // ECX has no circuits without tags
	}
	if err != nil {
		d.wrong.invalid(field, "Service token cannot be used: "+err.Error())
		return nil
	}
	d.tokens[c] = append(d.tokens[c], t)
	if t.issuer != d.buyer {
		c.seller = t.issuer
	}
	return t
}

// zToken reads a Z-side token, which excludes all else that says where c goes.
func (d *draft) zToken(c *circuit, field string) bool {
	for _, f := range []string{"profileUUID", "primaryZSidePortUUID", "primaryServiceToken", "authorizationKey"} {
		if d.body.has(f) {
			d.wrong.invalid(f, f+" is not allowed with "+field)
		}
	}
	if d.hasSecondary() {
		d.wrong.invalid(field, "A redundant connection cannot be ordered with a Z-side service token")
	}
	t := d.token(c, field, zSide)
	if t == nil {
		return false
	}
	c.z, c.fabric.ZToken, c.metro = t.at, t.id, t.at.port.metro
	return true
}

// fits notes what c's tokens do not allow.
func (d *draft) fits(c *circuit, field string) {
	for _, t := range d.tokens[c] {
		other := c.metro
		if t.side == zSide && c.a.port != nil {
			other = c.a.port.metro
		}
		if !t.sells(c.speed.mbps()) || !t.reaches(other) {
			d.wrong.invalid(field, "Service token does not allow this speed or metro")
		}
	}
}

// target finds out where c goes: to a service profile, to a port of the buyer's own or to
// that of a service token.
func (d *draft) target(c *circuit, which string) bool {
	if f := "primaryZSideServiceToken"; d.body.has(f) {
		return d.zToken(c, f)
	}
	zPort := d.field(which, "ZSidePortUUID")
	profileField := d.shared(which, "profileUUID")
	if d.body.has(zPort) && !d.body.has(profileField) {
		c.z.port = d.ownPort(zPort)
		if c.z.port != nil {
			c.metro = c.z.port.metro
		}
		return c.z.port != nil
	}
	p := d.exchange.profiles[d.body.str(profileField)]
	if p == nil || !p.visibleTo(d.buyer) {
		d.wrong.invalid(profileField, "Service profile does not exist")
		return false
	}
	if d.body.has(zPort) {
		d.wrong.invalid(zPort, "Either a service profile or a Z-side port is allowed")
	}
	c.profile, c.seller = p, p.seller
	d.place(c, which)
	d.authorize(c, which)
	return true
}

// place reads the metro and region of the Z side.
func (d *draft) place(c *circuit, which string) {
	metroField := d.shared(which, "sellerMetroCode")
	c.metro = d.body.str(metroField)
	if c.metro == "" && c.a.port != nil {
		c.metro = c.a.port.metro
	}
	if c.metro != "" && (d.exchange.metro(c.metro).code == "" || !c.profile.in(c.metro)) {
		d.wrong.invalid(metroField, "Service provider does not exist in metro "+c.metro)
	}
	regionField := d.shared(which, "sellerRegion")
	c.region = d.body.str(regionField)
	switch {
	case c.profile.region == "" || c.profile.region == c.region:
	case c.region == "":
		d.wrong.invalid(regionField, "NotEmpty: Seller region is required by the service profile")
	default:
		d.wrong.invalid(regionField, "Seller region is not offered by the service profile")
	}
}

// authorize checks the key and the named tag.
func (d *draft) authorize(c *circuit, which string) {
	p := c.profile
	if _, ok := p.keys[c.key]; len(p.keys) > 0 && !ok {
		d.wrong.add(codeKey, "Authorization key validation failed", "authorization_key")
	}
	given := d.body.str("namedTag")
	switch {
	case p.named():
		i := slices.IndexFunc(p.namedTags, func(t string) bool { return strings.EqualFold(t, given) })
		if i >= 0 {
			c.namedTag = p.namedTags[i]
		} else if which == "primary" {
			d.wrong.invalid("namedTag", "Named tag must be one of "+strings.Join(p.namedTags, ", "))
		}
	case given != "" && which == "primary":
		d.wrong.invalid("namedTag", "Service profile does not offer named tags")
	}
	if p.once && d.exchange.keyInUse(p, c.key) {
		d.wrong.add(codeKeyUsed, "Error while validating Authorization Key, NamedTag already in use", "authorizationkey")
	}
}

// keyInUse reports whether a circuit to p that has not ended was ordered with key.
func (x *Exchange) keyInUse(p *profile, key string) bool {
	return slices.ContainsFunc(x.all, func(c *circuit) bool {
		return c.profile == p && c.key == key && !c.ended()
	})
}

// bandwidth reads the speed, or takes it from the key where the profile does.
func (d *draft) bandwidth(c *circuit, which string) {
	field, unit := d.shared(which, "speed"), d.shared(which, "speedUnit")
	c.speed = d.body.speed(field, unit)
	if d.body.bad[field] || d.body.bad[unit] {
		return
	}
	if c.profile == nil {
		if c.speed.mbps() == 0 {
			d.wrong.invalid(field, "NotEmpty: Speed is required")
		}
		d.fits(c, field)
		return
	}
	d.fits(c, field)
	if c.profile.keySpeed {
		mbps := c.profile.keys[c.key]
		if c.speed.value == 0 {
			c.speed = speedOf(mbps)
		}
		if mbps != 0 && c.speed.mbps() != mbps {
			d.wrong.invalid(field, "Speed differs from that of the authorization key")
		}
		return
	}
	switch {
	case c.speed.value == 0:
		d.wrong.invalid(field, "NotEmpty: Speed is required")
	case !c.profile.sells(c.speed):
		d.wrong.invalid(field, "Speed "+c.speed.String()+" is not supported by the service profile")
	}
}

// tags reads the VLANs by the tagging table:
//
//	A      Z      S-tag  C-tag  Z-side C-tag
//	Dot1q  QinQ   yes    no     yes
//	Dot1q  Dot1q  yes    no     no
//	QinQ   Dot1q  yes    yes    no
//	QinQ   QinQ   yes    no     no
//
// With named tags the Z-side C-tag is asked for by Manual, and by nothing else.
func (d *draft) tags(c *circuit, which, label string) {
	if c.a.port == nil {
		return
	}
	zEncap := c.zEncap()
	zInner := c.a.port.encap == dot1q && zEncap == qinq
	if c.profile != nil && c.profile.named() {
		zInner = strings.EqualFold(d.body.str("namedTag"), "Manual")
	}
	if c.fabric.AToken == "" {
		c.a.tag.outer = d.tag(d.field(which, "VlanSTag"), label, true)
		c.a.tag.inner = d.tag(d.field(which, "VlanCTag"), label, c.a.port.encap == qinq && zEncap == dot1q)
		d.free(c.a, which+"VlanSTag")
	}
	if c.fabric.ZToken != "" {
		return // the token has the tags
	}
	c.suggested = d.tag(d.field(which, "ZSideVlanCTag"), label, zInner)
	if c.profile == nil {
		c.z.tag = tag{d.tag(d.field(which, "ZSideVlanSTag"), label, true), c.suggested}
		d.free(c.z, which+"ZSideVlanSTag")
		if c.z.overlaps(c.a) {
			d.inUse(which + "ZSideVlanSTag")
		}
	}
}

// tag reads a VLAN that must be given if wanted, and must not be given otherwise.
func (d *draft) tag(field, label string, wanted bool) int {
	n := d.body.vlan(field, label)
	switch {
	case d.body.bad[field]:
	case wanted && n == 0:
		d.wrong.invalid(field, "NotEmpty: "+field+" is required by the encapsulation of the ports")
	case !wanted && n != 0:
		d.wrong.invalid(field, field+" is not allowed by the encapsulation of the ports")
		return 0
	}
	return n
}

// free notes if e is held by somebody.
func (d *draft) free(e end, property string) {
	if e.tag.outer != 0 && e.port.used.holder(e.tag) != nil {
		d.inUse(property)
	}
}

// commit makes the circuits.
func (d *draft) commit(now time.Time, hide time.Duration) answer {
	x := d.exchange
	if len(d.legs) == 2 {
		first, second := d.legs[0], d.legs[1]
		first.leg, second.leg = "primary", "secondary"
		first.twin, second.twin = second, first
		first.group = x.newID()
		second.group = first.group
	}
	s := saved{Message: "Connection Saved Successfully"}
	var created []string
	for _, c := range d.legs {
		c.visible = now.Add(max(hide, x.delays.Visible))
		c.id = x.newID()
		for _, t := range d.tokens[c] {
			x.redeem(t, c, now)
		}
		x.add(c, now)
		created = append(created, c.id)
	}
	s.PrimaryConnectionID = created[0]
	if len(created) == 2 {
		s.SecondaryConnectionID = created[1]
	}
	return answer{status: http.StatusOK, body: s, created: created}
}
