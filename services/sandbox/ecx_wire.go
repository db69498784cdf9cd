package sandbox

import (
	"cmp"
	"strings"
	"time"
)

// connectionView is a connection as the v3 API spells it.
type connectionView struct {
	UUID                  string      `json:"uuid"`
	Name                  string      `json:"name"`
	BuyerOrganizationName string      `json:"buyerOrganizationName"`
	AccountName           string      `json:"accountName"`
	PortUUID              string      `json:"portUUID"`
	PortName              string      `json:"portName"`
	VlanSTag              int         `json:"vlanSTag"`
	VlanCTag              int         `json:"vlanCTag,omitempty"`
	ASideEncapsulation    string      `json:"asideEncapsulation"`
	ASidePortPriority     string      `json:"asidePortPriority"`
	MetroCode             string      `json:"metroCode"`
	MetroDescription      string      `json:"metroDescription"`
	ZSideEncapsulation    string      `json:"zsideEncapsulation"`
	ZSidePortUUID         string      `json:"zSidePortUUID,omitempty"`
	ZSidePortName         string      `json:"zSidePortName,omitempty"`
	ZSidePortPriority     string      `json:"zsidePortPriority,omitempty"`
	ZSideVlanSTag         int         `json:"zSideVlanSTag,omitempty"`
	ZSideVlanCTag         int         `json:"zSideVlanCTag,omitempty"`
	SuggestedPrimary      int         `json:"suggestedPrimaryZSideVlanCTag,omitempty"`
	SuggestedSecondary    int         `json:"suggestedSecondaryZSideVlanCTag,omitempty"`
	SellerServiceUUID     string      `json:"sellerServiceUUID,omitempty"`
	SellerServiceName     string      `json:"sellerServiceName,omitempty"`
	SellerOrganization    string      `json:"sellerOrganizationName"`
	SellerMetroCode       string      `json:"sellerMetroCode"`
	SellerMetro           string      `json:"sellerMetroDescription"`
	SellerRegion          string      `json:"sellerRegion,omitempty"`
	InternalProfile       bool        `json:"internalServiceProfile"`
	Status                string      `json:"status"`
	ProviderStatus        string      `json:"providerStatus"`
	UpdateInProgress      bool        `json:"updateInProgress"`
	ConnectionEditable    bool        `json:"connectionEditable"`
	SellerApproved        bool        `json:"sellerApprovedBandwidth"`
	SellerApprovalPending bool        `json:"sellerApprovalPendingForBandwidth"`
	RequestedSpeed        int         `json:"requestedSpeed,omitempty"`
	RequestedSpeedUnit    string      `json:"requestedSpeedUnit,omitempty"`
	RejectComment         string      `json:"rejectComment,omitempty"`
	Speed                 int         `json:"speed"`
	SpeedUnit             string      `json:"speedUnit"`
	BillingTier           string      `json:"billingTier"`
	PurchaseOrderNumber   string      `json:"purchaseOrderNumber,omitempty"`
	RedundancyType        string      `json:"redundancyType,omitempty"`
	RedundancyGroup       string      `json:"redundancyGroup,omitempty"`
	RedundantUUID         string      `json:"redundantUUID,omitempty"`
	AuthorizationKey      string      `json:"authorizationKey,omitempty"`
	NamedTag              string      `json:"namedTag,omitempty"`
	AdditionalInfo        []infoField `json:"additionalInfo,omitempty"`
	VendorToken           string      `json:"vendorToken,omitempty"` // of either side
	Notifications         []string    `json:"notifications"`
	Remote                bool        `json:"remote"`
	Private               bool        `json:"private"`
	Self                  bool        `json:"self"`
	CreatedDate           string      `json:"createdDate"`
	CreatedBy             string      `json:"createdBy"`
	CreatedByFullName     string      `json:"createdByFullName"`
	CreatedByEmail        string      `json:"createdByEmail"`
	LastUpdatedDate       string      `json:"lastUpdatedDate"`
	LastUpdatedBy         string      `json:"lastUpdatedBy"`
	LastUpdatedByFullName string      `json:"lastUpdatedByFullName"`
	LastUpdatedByEmail    string      `json:"lastUpdatedByEmail"`
	DeletedDate           string      `json:"deletedDate,omitempty"`
	DeletedBy             string      `json:"deletedBy,omitempty"`
	DeletedByEmail        string      `json:"deletedByEmail,omitempty"`
}

// showCircuit renders c, as s makes it look.
func (x *Exchange) showCircuit(c *circuit, s showing) connectionView {
	v := connectionView{
		UUID: c.id, Name: c.name, BuyerOrganizationName: c.buyer.org, AccountName: c.buyer.org,
		Status: c.status, ProviderStatus: c.providerStatus,
		UpdateInProgress:      c.wanted != nil,
		ConnectionEditable:    c.status == provisioned && c.wanted == nil,
		SellerApproved:        c.consented,
		SellerApprovalPending: c.wantsConsent,
		RejectComment:         c.rejectComment,
		Speed:                 c.speed.value, SpeedUnit: c.speed.unit, BillingTier: "Up to " + c.speed.String(),
		PurchaseOrderNumber: c.purchaseOrder,
		RedundancyType:      c.leg,
		AuthorizationKey:    c.key, NamedTag: c.namedTag, AdditionalInfo: c.info, Notifications: c.notifications,
		Remote:      c.a.port.metro != c.metro,
		CreatedDate: isoTime(c.created), LastUpdatedDate: isoTime(c.updated), DeletedDate: isoTime(c.deleted),
		CreatedBy: c.buyer.user.login, CreatedByFullName: c.buyer.user.fullName, CreatedByEmail: c.buyer.user.email,
		LastUpdatedBy: c.updatedBy.login, LastUpdatedByFullName: c.updatedBy.fullName,
		LastUpdatedByEmail: c.updatedBy.email,
		DeletedBy:          c.deletedBy.login, DeletedByEmail: c.deletedBy.email,
	}
	if c.leg != "" {
		v.RedundancyGroup = c.group
	}
	if c.wanted != nil {
		v.RequestedSpeed, v.RequestedSpeedUnit = c.wanted.value, c.wanted.unit
	}
	if c.twin != nil {
		v.RedundantUUID = c.twin.id
	}
	v.VendorToken = cmp.Or(c.fabric.AToken, c.fabric.ZToken)
	x.showSides(&v, c)
	if s.name == "" || s.name == c.name {
		if s.status != "" {
			v.Status = s.word(s.status)
		}
		if s.providerStatus != "" {
			v.ProviderStatus = s.word(s.providerStatus)
		}
	}
	return v
}

// showSides fills in what is known of A and Z.
func (x *Exchange) showSides(v *connectionView, c *circuit) {
	a := c.a.port
	v.PortUUID, v.PortName, v.ASidePortPriority = a.id, a.name, a.priority
	v.VlanSTag, v.VlanCTag, v.ASideEncapsulation = c.a.tag.outer, c.a.tag.inner, strings.ToLower(a.encap)
	v.MetroCode, v.MetroDescription = a.metro, x.metro(a.metro).name
	v.SellerMetroCode, v.SellerMetro, v.SellerRegion = c.metro, x.metro(c.metro).name, c.region
	if c.leg == "secondary" {
		v.SuggestedSecondary = c.suggested
	} else {
		v.SuggestedPrimary = c.suggested
	}
	v.ZSideEncapsulation = strings.ToLower(c.zEncap())
	if p := c.profile; p != nil {
		v.SellerServiceUUID, v.SellerServiceName, v.SellerOrganization = p.id, p.name, p.seller.org
		v.Private, v.Self, v.InternalProfile = p.self, p.self, p.self
	} else if c.seller != nil {
		v.SellerOrganization = c.seller.org
	} else {
		v.SellerOrganization, v.Self = c.buyer.org, true
	}
	if z := c.z.port; z != nil {
		v.ZSidePortUUID, v.ZSidePortName, v.ZSidePortPriority = z.id, z.name, z.priority
		v.ZSideVlanSTag, v.ZSideVlanCTag = c.z.tag.outer, c.z.tag.inner
	}
}

// isoTime writes milliseconds and Z, as v3 does in connections.
func isoTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// portTime writes what v3 has in ports.
func portTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.0") }
