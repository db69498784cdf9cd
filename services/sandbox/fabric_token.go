package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// States of a service token. There is no word for "used": a token is ACTIVE once a
// connection has been made with it.
const (
	tokenInactive = "INACTIVE"
	tokenActive   = "ACTIVE"
	tokenExpired  = "EXPIRED"
	tokenDeleted  = "DELETED"
)

// Types of a service token.
const (
	vcToken  = "VC_TOKEN"
	eplToken = "EPL_TOKEN"
)

// The sides of a connection, as Fabric spells them.
const (
	aSide = "aSide"
	zSide = "zSide"
)

// tokenTerm is how long a token can be used at most, and unless its issuer says
// otherwise (documentation of the portal: at most 90 days).
const tokenTerm = 90 * 24 * time.Hour

// serviceToken is the right to connect, once, to a port of somebody else. Until it is
// redeemed it keeps its VLAN on the port.
type serviceToken struct {
	id          string
	kind        string // vcToken or eplToken
	name        string
	description string
	issuer      *tenant
	side        string // of the connection, that the token stands for: aSide or zSide
	at          end    // the port, and the tag on it
	remote      bool   // connections from other metros are allowed
	custom      bool   // bandwidths beside those of the list are allowed
	limit       int    // Mbit/s, of an A-side token; 0: none
	bandwidths  []int  // of a Z-side token
	notices     []notice
	project     string
	state       string
	connection  string // made with it
	expires     time.Time
	stock       bool // as every exchange starts with it

	created, updated, deleted time.Time
	updatedBy, deletedBy      user
}

func (t *serviceToken) ident() string { return t.id }

// What a token can be unfit for.
var (
	errNoToken      = errors.New("there is no such service token")
	errTokenSpent   = errors.New("a connection has been made with the service token")
	errTokenExpired = errors.New("the service token has expired")
	errTokenDeleted = errors.New("the service token is deleted")
)

// redeemable returns the token of that id for one side of a connection, unless it cannot
// be redeemed: errNoToken, errTokenSpent, errTokenExpired or errTokenDeleted.
func (x *Exchange) redeemable(id, side string) (*serviceToken, error) {
	t := x.passes[id]
	switch {
	case t == nil || t.side != side:
		return nil, errNoToken
	case t.state == tokenActive:
		return nil, errTokenSpent
	case t.state == tokenExpired:
		return nil, errTokenExpired
	case t.state == tokenDeleted:
		return nil, errTokenDeleted
	}
	return t, nil
}

// sells reports whether a connection of that bandwidth may be made with t.
func (t *serviceToken) sells(mbps int) bool {
	if t.limit > 0 && mbps > t.limit {
		return false
	}
	return t.custom || len(t.bandwidths) == 0 || slices.Contains(t.bandwidths, mbps)
}

// reaches reports whether a connection between t and that metro may be made.
func (t *serviceToken) reaches(metro string) bool { return t.remote || t.at.port.metro == metro }

// redeem spends t on c, which takes over the token's tag and has an id already. It must
// come before c is enrolled, in the same look in which redeemable was asked.
func (x *Exchange) redeem(t *serviceToken, c *circuit, now time.Time) {
	t.release()
	t.connection = c.id
	x.enterToken(t, tokenActive, now, c.buyer.user)
}

// enterToken moves t. One that nothing more can be made with lets go of its tag.
func (x *Exchange) enterToken(t *serviceToken, state string, now time.Time, by user) {
	t.state, t.updated, t.updatedBy = state, now, by
	if state == tokenExpired || state == tokenDeleted {
		t.release()
	}
	x.spent = append(x.spent, t)
	x.tokenEntered(t, now, by)
}

func (t *serviceToken) release() { t.at.port.used.free(t.at.tag, t) }

// issue makes t known, keeps its tag for it, and plans its end.
func (x *Exchange) issue(t *serviceToken) {
	if t.created.IsZero() {
		t.created = time.Now()
		t.updated, t.updatedBy = t.created, t.issuer.user
	}
	if t.expires.IsZero() {
		t.expires = t.created.Add(tokenTerm)
	}
	t.state = cmp.Or(t.state, tokenInactive)
	x.used[t.id] = true
	x.passes[t.id] = t
	x.order.passes = append(x.order.passes, t)
	x.spent = append(x.spent, t)
	if t.state == tokenInactive {
		t.at.port.used.take(t.at.tag, t)
		x.planExpiry(t)
	}
}

// planExpiry ends t at its time, unless it is spent or another time is set by then.
func (x *Exchange) planExpiry(t *serviceToken) {
	due := t.expires
	x.schedule(due, func(at time.Time) {
		if t.state == tokenInactive && t.expires.Equal(due) {
			x.enterToken(t, tokenExpired, at, systemUser())
		}
	})
}

// systemUser is who does what happens by itself.
func systemUser() user { return user{"equinix", "", ""} }

// allPasses are the tokens that differ from those of a new exchange, by age.
func (x *Exchange) allPasses() []*serviceToken {
	return slices.DeleteFunc(slices.Clone(x.order.passes), func(t *serviceToken) bool { return t.stock })
}

// passRecord is a service token as the file of circuits has it.
type passRecord struct {
	Kind        string    `json:"kind"`
	Name        string    `json:"name,omitempty"`
	Description string    `json:"description,omitempty"`
	Issuer      string    `json:"issuer"`
	Side        string    `json:"side"`
	At          Side      `json:"at"`
	Remote      bool      `json:"remote,omitempty"`
	Custom      bool      `json:"custom,omitempty"`
	Limit       int       `json:"limit,omitempty"`
	Bandwidths  []int     `json:"bandwidths,omitempty"`
	Notices     []notice  `json:"notices,omitempty"`
	Project     string    `json:"project,omitempty"`
	State       string    `json:"state"`
	Connection  string    `json:"connection,omitempty"`
	Expires     time.Time `json:"expires"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	Deleted     time.Time `json:"deleted,omitzero"`
	UpdatedBy   []string  `json:"updatedBy,omitempty"`
	DeletedBy   []string  `json:"deletedBy,omitempty"`
}

func (t *serviceToken) record() *passRecord {
	return &passRecord{
		Kind: t.kind, Name: t.name, Description: t.description, Issuer: t.issuer.org, Side: t.side, At: t.at.side(),
		Remote: t.remote, Custom: t.custom, Limit: t.limit, Bandwidths: t.bandwidths, Notices: t.notices,
		Project: t.project, State: t.state, Connection: t.connection, Expires: t.expires,
		Created: t.created, Updated: t.updated, Deleted: t.deleted,
		UpdatedBy: t.updatedBy.words(), DeletedBy: t.deletedBy.words(),
	}
}

// recallPass makes the token of r known, in the place of one that every exchange has.
func (x *Exchange) recallPass(r record) error {
	p := r.Pass
	t := &serviceToken{
		id: r.ID, kind: p.Kind, name: p.Name, description: p.Description, issuer: x.tenant(p.Issuer), side: p.Side,
		remote: p.Remote, custom: p.Custom, limit: p.Limit, bandwidths: p.Bandwidths, notices: p.Notices,
		project: p.Project, state: p.State, connection: p.Connection, expires: p.Expires,
		created: p.Created, updated: p.Updated, deleted: p.Deleted,
		updatedBy: asUser(p.UpdatedBy), deletedBy: asUser(p.DeletedBy),
	}
	var ok bool
	if t.at, ok = x.end(&p.At); !ok || t.issuer == nil {
		return fmt.Errorf("service token %s is of another inventory", r.ID)
	}
	if old := x.passes[t.id]; old != nil {
		old.release()
		old.state = tokenDeleted // what was planned for it is void
		x.order.passes = slices.DeleteFunc(x.order.passes, func(o *serviceToken) bool { return o == old })
	}
	x.issue(t)
	return nil
}

// fabricPasses are the service tokens that every exchange starts with, all of the seller
// in SV: for the Z side, beginning with the guide's (its answer names the one after it),
// and for the A side. They are issued when the exchange begins.
func fabricPasses() []record {
	pass := func(id, name string, p passRecord) record {
		p.Name, p.State, p.Issuer, p.Project = name, tokenInactive, "Cloud Services", "c1000000-0000-4000-8000-00000000000a"
		p.Kind, p.Side = cmp.Or(p.Kind, vcToken), cmp.Or(p.Side, zSide)
		return record{ID: id, Pass: &p}
	}
	const first, dot, qin = "20d32a80-0d61-4333-bc03-707b591ae2f", "c10d1050-0000-4000-8000-000000000003",
		"c1099050-0000-4000-8000-000000000003"
	return []record{
		pass(first+"4", "Cloud-Token-1", passRecord{At: Side{Port: dot, STag: 3001}}),
		pass(first+"5", "Cloud-Token-2", passRecord{At: Side{Port: dot, STag: 3002}}),
		pass(first+"6", "Cloud-Token-QinQ", passRecord{At: Side{Port: qin, STag: 3003, CTag: 3001}}),
		pass(first+"7", "Cloud-Token-A", passRecord{Side: aSide, Limit: 1000, At: Side{Port: dot, STag: 3004}}),
		pass(first+"8", "Cloud-Token-EPL", passRecord{Kind: eplToken, At: Side{Port: "c1000050-0000-4000-8000-000000000001"}}),
		pass(first+"9", "Cloud-Token-Bands", passRecord{Bandwidths: []int{50, 200}, At: Side{Port: dot, STag: 3005}}),
	}
}
