package fabric

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// Encapsulations of ports.
const (
	dot1q    = "dot1q"
	qinq     = "qinq"
	untagged = "untagged"
)

// tokenFlow is the flow of circuits between a token and a port or token. Nobody has to
// approve them.
const tokenFlow = "token"

// row is a circuit as the API shows it (schema Connection). What may hold a secret has no
// place here. The decoder does not mind the case of names, so changelog is changeLog.
type row struct {
	UUID      wire.ID     `json:"uuid"`
	Type      wire.Text   `json:"type"`
	Name      wire.Text   `json:"name"`
	State     wire.Text   `json:"state"`
	Direction wire.Text   `json:"direction"`
	Account   holder      `json:"account"`
	Bandwidth wire.Number `json:"bandwidth"`
	Operation struct {
		Status   wire.Text       `json:"equinixStatus"`
		Provider wire.Text       `json:"providerStatus"`
		Errors   many[complaint] `json:"errors"`
	} `json:"operation"`
	Change struct {
		Type        wire.Text     `json:"type"`
		Status      wire.Text     `json:"status"`
		Information wire.Text     `json:"information"`
		Data        many[changed] `json:"data"`
	} `json:"change"`
	Order struct {
		PurchaseOrder wire.Text `json:"purchaseOrderNumber"`
	} `json:"order"`
	Redundancy struct {
		Group    wire.ID   `json:"group"`
		Priority wire.Text `json:"priority"`
	} `json:"redundancy"`
	ASide     side `json:"aSide"`
	ZSide     side `json:"zSide"`
	ChangeLog struct {
		Created wire.Text `json:"createdDateTime"`
		Updated wire.Text `json:"updatedDateTime"`
	} `json:"changeLog"`
}

// changed is one operation of a change request.
type changed struct {
	Path  wire.Text   `json:"path"`
	Value wire.Number `json:"value"`
}

// side is one end of a circuit. A side that was ordered by token shows the token, and
// mostly the access point behind it.
type side struct {
	Token  shown `json:"serviceToken"`
	Access struct {
		Port struct {
			UUID wire.ID   `json:"uuid"`
			Name wire.Text `json:"name"`
		} `json:"port"`
		Link    link `json:"linkProtocol"`
		Profile struct {
			UUID wire.ID   `json:"uuid"`
			Name wire.Text `json:"name"`
		} `json:"profile"`
		Location struct {
			Metro wire.Text `json:"metroCode"`
		} `json:"location"`
		Account holder    `json:"account"`
		Region  wire.Text `json:"sellerRegion"`
		Peering wire.Text `json:"peeringType"`
	} `json:"accessPoint"`
}

// holder is whose something is (schema SimplifiedAccount).
type holder struct {
	Organization wire.Text `json:"organizationName"`
	Name         wire.Text `json:"accountName"`
}

func (h holder) words() string { return cmp.Or(string(h.Organization), string(h.Name)) }

// buyer is the organization that ordered, as far as the circuit tells; the package comment
// says by what.
func (r row) buyer() string {
	a, z, own := r.ASide.Access.Account.words(), r.ZSide.Access.Account.words(), r.Account.words()
	incoming := strings.EqualFold(string(r.Direction), "INCOMING")
	switch {
	case a != "" && !bool(r.ASide.Token):
		return a
	case incoming && own == z:
		return "" // the reader's own name
	}
	return own
}

// link is a tag (schema SimplifiedLinkProtocol). A C-tag of 0 is none.
type link struct {
	Type wire.Text   `json:"type"`
	Tag  wire.Number `json:"vlanTag"`
	STag wire.Number `json:"vlanSTag"`
	CTag wire.Number `json:"vlanCTag"`
}

// errRow reports something that should be a circuit and is none.
var errRow = errors.New("a circuit without a usable id")

// readRow reads a circuit. Fields it does not know, or that have an odd form, are left
// out; only an id it must have.
func readRow(b []byte) (row, error) {
	var r row
	if decode(b, &r) != nil || !event.ValidID(string(r.UUID)) {
		return row{}, errRow
	}
	return r, nil
}

// connection puts a circuit into our words. Which accounts of ours are a party is for the
// caller to say, who knows them all.
func (r row) connection() *patchbayv1.Connection {
	state := status.Normalise(status.Fabric, status.Native{
		Status: string(r.Operation.Status), ProviderStatus: string(r.Operation.Provider),
		State: string(r.State), Change: string(r.Change.Status),
	})
	pending, waits := r.pendingChange()
	return &patchbayv1.Connection{
		Id: event.ConnectionID("equinix", string(r.UUID)), Exchange: "equinix", Api: string(status.Fabric),
		ExchangeId: string(r.UUID), Name: string(r.Name), BandwidthMbps: max(0, int32(r.Bandwidth)),
		Status: string(state.Status), ProviderStatus: string(state.Provider),
		Native: &patchbayv1.Native{
			Status: state.Native.Status, ProviderStatus: state.Native.ProviderStatus,
			State: state.Native.State, Change: state.Native.Change,
		},
		BuyerOrganization: r.buyer(), SellerOrganization: r.ZSide.Access.Account.words(),
		ASide: r.side(r.ASide), ZSide: r.side(r.ZSide),
		Redundancy: strings.ToLower(string(r.Redundancy.Priority)), RedundancyGroup: string(r.Redundancy.Group),
		PurchaseOrder: string(r.Order.PurchaseOrder), RejectComment: r.comment(state.Status),
		ChangePending: waits, PendingBandwidthMbps: pending, Flow: r.flow(),
		CreatedAt: wire.Date(r.ChangeLog.Created), UpdatedAt: wire.Date(r.ChangeLog.Updated),
	}
}

func (r row) side(s side) *patchbayv1.Side {
	a := s.Access
	encap := encapsulation(a.Link.Type)
	if encap == "" && strings.EqualFold(string(r.Type), epl) {
		encap = untagged
	}
	return &patchbayv1.Side{
		PortId: string(a.Port.UUID), PortName: string(a.Port.Name), Encapsulation: encap, Tag: a.Link.tag(encap),
		Metro: string(a.Location.Metro), ProfileId: string(a.Profile.UUID), ProfileName: string(a.Profile.Name),
		Region: string(a.Region), Peering: strings.ToUpper(string(a.Peering)),
	}
}

// tag is what is shown of a tag; nil if nothing is.
func (l link) tag(encap string) *patchbayv1.Tag {
	vlan, s, c := int32(l.Tag), int32(l.STag), int32(l.CTag)
	switch {
	case vlan != 0:
		return &patchbayv1.Tag{Vlan: &vlan}
	case s != 0 && c != 0:
		return &patchbayv1.Tag{STag: &s, CTag: &c}
	case s != 0:
		return &patchbayv1.Tag{STag: &s}
	case c != 0:
		return &patchbayv1.Tag{CTag: &c}
	case encap == untagged:
		return &patchbayv1.Tag{Untagged: true}
	}
	return nil
}

// encapsulation writes DOT1Q and Dot1q in lower case.
func encapsulation(t wire.Text) string { return strings.ToLower(strings.TrimSpace(string(t))) }

// over are the statuses of a change after which nothing more comes of it.
var over = []string{"COMPLETED", "REJECTED", "FAILED"}

// pendingChange is the bandwidth that a change under way is to bring, if it is to bring
// one, and whether a change is under way.
func (r row) pendingChange() (int32, bool) {
	word := strings.ToUpper(string(r.Change.Status))
	if !strings.EqualFold(string(r.Change.Type), "CONNECTION_UPDATE") || word == "" || slices.Contains(over, word) {
		return 0, strings.EqualFold(string(r.State), "REPROVISIONING")
	}
	for _, d := range r.Change.Data {
		if d.Path == "/bandwidth" {
			return max(0, int32(d.Value)), true
		}
	}
	return 0, true
}

// comment is what the seller said who rejected. No document says where the API shows it;
// these are the places it has for such words.
func (r row) comment(s status.Status) string {
	switch {
	case s != status.Rejected:
		return ""
	case r.Change.Information == "" && len(r.Operation.Errors) > 0:
		return string(r.Operation.Errors[0].Message)
	}
	return string(r.Change.Information)
}

// flow is how the exchange treats the circuit, where the circuit itself tells.
func (r row) flow() string {
	switch {
	case r.ZSide.Access.Profile.UUID != "" && !bool(r.ZSide.Token):
		return "" // the profile's, also by an A-side token
	case bool(r.ASide.Token || r.ZSide.Token):
		return tokenFlow
	case r.ASide.Access.Port.UUID != "" && r.ZSide.Access.Port.UUID != "":
		return string(status.OwnFlow)
	}
	return ""
}

// byToken says which sides of a circuit were ordered by token.
type byToken struct{ a, z bool }

// lookUpKey is the key of a circuit; the package comment has the table.
func lookUpKey(by byToken, name string, a, z end) string {
	switch {
	case name == "", by.a && by.z:
		return ""
	case !by.a:
		if a.port == "" || a.tag == "" {
			return ""
		}
		return a.port + "/" + a.tag + "/" + name
	case z.profile != "":
		return "z:" + z.profile + "/" + name
	case z.port == "" || z.tag == "":
		return ""
	}
	return "z:" + z.port + "/" + z.tag + "/" + name
}

// end is what a key is made of on one side.
type end struct{ port, tag, profile string }

// tagText writes a tag for a key; empty if it is not known.
func tagText(t *patchbayv1.Tag) string {
	switch {
	case t.GetUntagged():
		return untagged
	case exchange.Outer(t) == 0:
		return ""
	}
	return fmt.Sprintf("%d.%d", exchange.Outer(t), exchange.Inner(t))
}

// key is the leg's key. A leg that is ordered without a tag takes the whole port.
func (l leg) key() string {
	tag := func(t *patchbayv1.Tag) string { return cmp.Or(tagText(t), untagged) }
	return lookUpKey(byToken{l.A.GetServiceToken() != "", l.Z.GetServiceToken() != ""}, l.Name,
		end{port: l.A.GetPortId(), tag: tag(l.A.GetTag())},
		end{port: l.Z.GetPortId(), tag: tag(l.Z.GetTag()), profile: l.Z.GetProfileId()})
}

// Keys returns the key of each leg.
func (c *Client) Keys(in *patchbayv1.CreateIntent) map[string]string {
	keys := make(map[string]string)
	for _, l := range legsOf(in) {
		keys[l.Which] = l.key()
	}
	return keys
}

// KeyOf returns the key of a circuit, or nothing where it does not show enough.
func (c *Client) KeyOf(conn *patchbayv1.Connection) string {
	by, _ := c.redeemed.Get(conn.GetExchangeId())
	a, z := conn.GetASide(), conn.GetZSide()
	return lookUpKey(by, conn.GetName(),
		end{port: a.GetPortId(), tag: tagText(a.GetTag())},
		end{port: z.GetPortId(), tag: tagText(z.GetTag()), profile: z.GetProfileId()})
}

// taken puts a circuit into our words, with the flow where it is known without asking,
// and remembers what its key rests on.
func (c *Client) taken(r row) *patchbayv1.Connection {
	conn := r.connection()
	if r.ASide.Token {
		c.redeemed.Put(conn.GetExchangeId(), byToken{a: true, z: bool(r.ZSide.Token)})
	}
	if flow, ok := c.flows.Get(conn.GetZSide().GetProfileId()); ok && conn.GetFlow() == "" {
		conn.Flow = flow
	}
	return conn
}

// inRole reports whether the account has the circuit in a role. A direction is as the
// account sees it; INTERNAL is both, but only where there is a seller.
func (c *Client) inRole(r row, role string) bool {
	profile := r.ZSide.Access.Profile.UUID != ""
	if bool(r.ASide.Token) && !profile {
		return role == exchange.Buyer
	}
	switch strings.ToUpper(string(r.Direction)) {
	case "OUTGOING":
		return role == exchange.Buyer
	case "INCOMING":
		return role == exchange.Seller
	case "INTERNAL":
		return role == exchange.Buyer || profile
	}
	if c.cfg.Account.Role.Buys() != c.cfg.Account.Role.Sells() {
		return true // the account has this role only
	}
	ports, known := c.ports.Get("")
	bought := portByID(ports, string(r.ASide.Access.Port.UUID)) != nil
	return !known || bought == (role == exchange.Buyer)
}
