package fabric

import (
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/intent"
)

// Types of circuits that are ordered.
const (
	evpl = "EVPL_VC" // tagged
	epl  = "EPL_VC"  // untagged, port to port
)

// createBody is the body of POST /connections (schema ConnectionPostRequest).
type createBody struct {
	Type          string             `json:"type"`
	Name          string             `json:"name"`
	Order         *orderBody         `json:"order,omitempty"`
	Bandwidth     int32              `json:"bandwidth"`
	Redundancy    *redundancyBody    `json:"redundancy,omitempty"`
	ASide         sideBody           `json:"aSide"`
	ZSide         sideBody           `json:"zSide"`
	Project       *projectBody       `json:"project,omitempty"`
	Notifications []notificationBody `json:"notifications"`
}

type orderBody struct {
	PurchaseOrder string `json:"purchaseOrderNumber,omitempty"`
	Reference     string `json:"customerReferenceNumber,omitempty"`
	Term          int32  `json:"termLength,omitempty"`
}

type redundancyBody struct {
	Group    string `json:"group,omitempty"` // an empty one is refused
	Priority string `json:"priority"`
}

type projectBody struct {
	ID string `json:"projectId"`
}

type notificationBody struct {
	Type   string   `json:"type"`
	Emails []string `json:"emails"`
}

// sideBody has a token or an access point.
type sideBody struct {
	Token  *uuidBody   `json:"serviceToken,omitempty"`
	Access *accessBody `json:"accessPoint,omitempty"`
}

type uuidBody struct {
	Type string `json:"type,omitempty"`
	UUID string `json:"uuid"`
}

// accessBody is a port (COLO) or a service profile (SP).
type accessBody struct {
	Type     string        `json:"type"`
	Port     *uuidBody     `json:"port,omitempty"`
	Link     *linkBody     `json:"linkProtocol,omitempty"`
	Profile  *uuidBody     `json:"profile,omitempty"`
	Location *locationBody `json:"location,omitempty"`
	Region   string        `json:"sellerRegion,omitempty"`
	Key      string        `json:"authenticationKey,omitempty"`
	Peering  string        `json:"peeringType,omitempty"`
}

type locationBody struct {
	Metro string `json:"metroCode"`
}

type linkBody struct {
	Type string `json:"type"`
	Tag  int32  `json:"vlanTag,omitempty"`
	STag int32  `json:"vlanSTag,omitempty"`
	CTag int32  `json:"vlanCTag,omitempty"`
}

// newCreateBody writes one leg. The metro is where its profile is met.
func newCreateBody(in *patchbayv1.CreateIntent, l leg, metro string) createBody {
	b := createBody{
		Type: evpl, Name: l.Name, Bandwidth: in.GetBandwidthMbps(),
		Notifications: notifications(intent.Expand(in).GetNotifications()),
		ASide:         sideOf(l.A, l.A.GetMetro()), ZSide: sideOf(l.Z, metro),
	}
	if l.untagged() {
		b.Type = epl
	}
	order := orderBody{PurchaseOrder: in.GetPurchaseOrder(), Reference: in.GetCustomerReference(),
		Term: in.GetBilling().GetTermMonths()}
	if order != (orderBody{}) {
		b.Order = &order
	}
	if l.Pair && l.Which == exchange.Primary {
		b.Redundancy = &redundancyBody{Priority: "PRIMARY"}
	}
	if in.GetProjectId() != "" {
		b.Project = &projectBody{ID: in.GetProjectId()}
	}
	return b
}

// sideOf writes one end.
func sideOf(e *patchbayv1.Endpoint, metro string) sideBody {
	if e.GetServiceToken() != "" {
		return sideBody{Token: &uuidBody{UUID: e.GetServiceToken()}}
	}
	b := &accessBody{}
	if metro != "" {
		b.Location = &locationBody{Metro: metro}
	}
	if e.GetProfileId() == "" {
		b.Type, b.Port, b.Link = "COLO", &uuidBody{UUID: e.GetPortId()}, linkOf(e.GetTag())
		return sideBody{Access: b}
	}
	b.Type, b.Profile = "SP", &uuidBody{Type: "L2_PROFILE", UUID: e.GetProfileId()}
	b.Region, b.Key, b.Peering = e.GetRegion(), e.GetAuthorizationKey(), strings.ToUpper(e.GetPeering())
	return sideBody{Access: b}
}

// linkOf writes a tag; nil for none.
func linkOf(t *patchbayv1.Tag) *linkBody {
	switch {
	case t.GetVlan() != 0:
		return &linkBody{Type: "DOT1Q", Tag: t.GetVlan()}
	case t.GetSTag() != 0:
		return &linkBody{Type: "QINQ", STag: t.GetSTag(), CTag: t.GetCTag()}
	}
	return nil
}

func notifications(all []*patchbayv1.Notification) []notificationBody {
	list := []notificationBody{}
	for _, n := range all {
		kind := n.GetType()
		if kind == "" {
			kind = "ALL"
		}
		list = append(list, notificationBody{Type: kind, Emails: n.GetEmails()})
	}
	return list
}

// masked returns b with *** for its secrets.
func (b createBody) masked() createBody {
	for _, s := range []*sideBody{&b.ASide, &b.ZSide} {
		if s.Token != nil {
			s.Token = &uuidBody{UUID: wire.Masked}
		}
		if s.Access != nil && s.Access.Key != "" {
			access := *s.Access
			access.Key = wire.Masked
			s.Access = &access
		}
	}
	return b
}

// secrets lists what of a leg must not be seen.
func (l leg) secrets() []string {
	var list []string
	for _, s := range []string{l.A.GetServiceToken(), l.Z.GetServiceToken(), l.Z.GetAuthorizationKey(),
		l.A.GetAuthorizationKey()} {
		if s != "" {
			list = append(list, s)
		}
	}
	return list
}
