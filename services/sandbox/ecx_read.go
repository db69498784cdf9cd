package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Page sizes.
const (
	usualPage = 20
	maxPage   = 1000
)

// page is one page of a list.
type page[T any] struct {
	IsFirstPage bool `json:"isFirstPage"`
	IsLastPage  bool `json:"isLastPage"`
	TotalCount  int  `json:"totalCount"`
	PageSize    int  `json:"pageSize"`
	// ProfilePageSize repeats the size in lists of profiles, where sources disagree
	// about the key's first letter.
	ProfilePageSize int `json:"PageSize,omitempty"`
	PageNumber      int `json:"pageNumber"`
	Content         []T `json:"content"`
}

// pager collects the items of one page and counts all.
type pager[T any] struct {
	page[T]
	from int
}

func newPager[T any](q url.Values) (*pager[T], violations) {
	var wrong violations
	number := wholeNumber(q, "pageNumber", 0, &wrong)
	size := wholeNumber(q, "pageSize", usualPage, &wrong)
	if size < 1 || size > maxPage {
		wrong.invalid("pageSize", fmt.Sprintf("Range: pageSize must be between 1 and %d", maxPage))
	}
	p := &pager[T]{page: page[T]{PageNumber: number, PageSize: size, Content: []T{}}}
	p.from = number * size
	return p, wrong
}

// wholeNumber reads a parameter that may be absent.
func wholeNumber(q url.Values, name string, usual int, wrong *violations) int {
	if !q.Has(name) {
		return usual
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < 0 || n > 1<<20 {
		wrong.invalid(name, "Min: "+name+" must be a number not less than 0")
		return usual
	}
	return n
}

// add counts an item, and renders it only if it is on the page.
func (p *pager[T]) add(render func() T) {
	if p.TotalCount >= p.from && len(p.Content) < p.PageSize {
		p.Content = append(p.Content, render())
	}
	p.TotalCount++
}

func (p *pager[T]) done() page[T] {
	p.IsFirstPage = p.PageNumber == 0
	p.IsLastPage = p.from+p.PageSize >= p.TotalCount
	return p.page
}

// values is a query parameter that may be repeated and may hold a comma list.
func values(q url.Values, name string) []string {
	var out []string
	for _, v := range q[name] {
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	}
	return out
}

func within(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }

// ecxBought lists the connections that the tenant ordered, newest first.
func (x *Exchange) ecxBought(q *request) answer {
	metros := values(q.URL.Query(), "metroCode")
	return x.connections(q, func() []*circuit { return q.who.bought }, func(c *circuit) bool {
		return within(metros, c.a.port.metro)
	})
}

// ecxSold lists the connections to the tenant's profiles, newest first.
func (x *Exchange) ecxSold(q *request) answer {
	metros, profiles := values(q.URL.Query(), "metroCode"), values(q.URL.Query(), "profileId")
	return x.connections(q, func() []*circuit { return q.who.sold }, func(c *circuit) bool {
		return within(metros, c.metro) && (len(profiles) == 0 || c.profile != nil && slices.Contains(profiles, c.profile.id))
	})
}

func (x *Exchange) connections(q *request, all func() []*circuit, keep func(*circuit) bool) answer {
	p, wrong := newPager[connectionView](q.URL.Query())
	if len(wrong) > 0 {
		return wrong.answer()
	}
	statuses := values(q.URL.Query(), "status")
	now := x.lock()
	defer x.unlock()
	for _, c := range slices.Backward(all()) {
		if !now.Before(c.visible) && within(statuses, c.status) && keep(c) {
			p.add(func() connectionView { return x.showCircuit(c, q.show) })
		}
	}
	return answer{status: http.StatusOK, body: p.done()}
}

// portView is a port as the v3 API spells it.
type portView struct {
	UUID                   string         `json:"uuid"`
	Name                   string         `json:"name"`
	ProvisionStatus        string         `json:"provisionStatus"`
	Region                 string         `json:"region"`
	Device                 string         `json:"device"`
	TotalBandwidth         int64          `json:"totalBandwidth"`
	AccountUCMID           string         `json:"accountUcmId"`
	AccountName            string         `json:"accountName"`
	Buyout                 bool           `json:"buyout"`
	CustOrgID              string         `json:"custOrgId"`
	CustOrgName            string         `json:"custOrgName"`
	IBX                    string         `json:"ibx"`
	MetroCode              string         `json:"metroCode"`
	MetroDescription       string         `json:"metroDescription"`
	DeviceGroup            *string        `json:"deviceGroup"`
	DevicePriority         string         `json:"devicePriority"`
	Encapsulation          string         `json:"encapsulation"`
	ViewPortPermission     bool           `json:"viewPortPermission"`
	PlaceVCOrderPermission bool           `json:"placeVcOrderPermission"`
	CreatedDate            string         `json:"createdDate"`
	LastUpdatedDate        string         `json:"lastUpdatedDate"`
	SharedPortType         *string        `json:"sharedPortType"`
	SharedPortProduct      *string        `json:"sharedPortProduct"`
	UserPorts              []physicalPort `json:"userPorts"`
	LAG                    bool           `json:"lag"`
	Layer3Enabled          bool           `json:"layer3Enabled"`
}

type physicalPort struct {
	Bandwidth           int64   `json:"bandwidth"`
	CrossConnectID      string  `json:"crossConnectId"`
	CabinetNumber       string  `json:"cabinetNumber"`
	CageNumber          string  `json:"cageNumber"`
	PatchPanelName      *string `json:"patchPanelName"`
	TagProtocolID       string  `json:"tagProtocolId"`
	PortProvisionStatus string  `json:"portProvisionStatus"`
	PatchPanelPorts     *string `json:"patchPanelPorts"`
}

// portSpeed is every port's bandwidth in bits per second.
const portSpeed = 10_000_000_000

// ecxPorts lists the tenant's ports as a bare array.
func (x *Exchange) ecxPorts(q *request) answer {
	x.lock()
	defer x.unlock()
	out := []portView{}
	for _, p := range q.who.ports {
		if p.managed || p.newer {
			continue
		}
		protocol := "0x8100"
		if p.encap == qinq {
			protocol = "0x9100"
		}
		made := portTime(inventoryTime())
		out = append(out, portView{
			UUID: p.id, Name: p.name, ProvisionStatus: "ADDED", Region: x.metro(p.metro).region,
			Device: p.ibx + "-DEVICE-" + strings.ToUpper(p.priority), TotalBandwidth: portSpeed,
			AccountUCMID: "UCM-" + p.owner.orgID, AccountName: p.org, CustOrgID: p.owner.orgID, CustOrgName: p.org,
			IBX: p.ibx, MetroCode: p.metro, MetroDescription: x.metro(p.metro).name, DevicePriority: p.priority,
			Encapsulation: p.encap, ViewPortPermission: true, PlaceVCOrderPermission: true,
			CreatedDate: made, LastUpdatedDate: made,
			UserPorts: []physicalPort{{Bandwidth: portSpeed, CrossConnectID: "ECX." + p.id[:8], CabinetNumber: "-",
				CageNumber: p.ibx + ":01", TagProtocolID: protocol, PortProvisionStatus: "PROVISIONED"}},
		})
	}
	return answer{status: http.StatusOK, body: out}
}

// profileView is a service profile as the v3 API spells it.
type profileView struct {
	UUID                  string          `json:"uuid"`
	Name                  string          `json:"name"`
	AuthKeyLabel          string          `json:"authKeyLabel,omitempty"`
	ConnectionNameLabel   string          `json:"connectionNameLabel"`
	RequiredRedundancy    bool            `json:"requiredRedundancy"`
	AllowCustomSpeed      bool            `json:"allowCustomSpeed"`
	SpeedBands            []speedBand     `json:"speedBands"`
	Description           string          `json:"description"`
	Metros                []metroView     `json:"metros"`
	AdditionalBuyerInfo   []infoField     `json:"additionalBuyerInfo,omitempty"`
	VlanSameAsPrimary     bool            `json:"vlanSameAsPrimary"`
	TagType               string          `json:"tagType"`
	CTagLabel             string          `json:"ctagLabel,omitempty"`
	NamedTags             []string        `json:"namedTags,omitempty"`
	APIAvailable          bool            `json:"apiAvailable"`
	SelfProfile           bool            `json:"selfProfile"`
	SpeedFromAPI          bool            `json:"speedFromAPI"`
	ProfileEncapsulation  string          `json:"profileEncapsulation"`
	GlobalOrganization    string          `json:"globalOrganization,omitempty"`
	OrganizationName      string          `json:"organizationName"`
	AllowHighAvailability bool            `json:"allowHighAvailability"`
	AllowKeyReuse         bool            `json:"allowAuthorizationKeyReUse"`
	AllowSecondary        bool            `json:"allowSecondaryLocation"`
	Integrated            bool            `json:"integrated"`
	Private               bool            `json:"private"`
	State                 string          `json:"state"`
	Features              map[string]bool `json:"features"`
	Ports                 []profilePort   `json:"ports,omitempty"` // only the seller sees them
}

type speedBand struct {
	Speed int    `json:"speed"`
	Unit  string `json:"unit"`
}

type metroView struct {
	Code          string            `json:"code"`
	Name          string            `json:"name"`
	IBXs          []string          `json:"ibxs"`
	DisplayName   string            `json:"displayName"`
	SellerRegions map[string]string `json:"sellerRegions,omitempty"`
	Region        string            `json:"region,omitempty"` // only where metros themselves are listed
}

type profilePort struct {
	ID        string `json:"id"`
	MetroCode string `json:"metroCode"`
}

// showProfile renders p. Only its seller is shown the ports.
func (x *Exchange) showProfile(p *profile, own bool) profileView {
	v := profileView{
		UUID: p.id, Name: p.name, ConnectionNameLabel: "Connection", Description: p.about,
		TagType: "CTAGED", NamedTags: p.namedTags,
		APIAvailable: p.approval == byAPI, SelfProfile: p.self, SpeedFromAPI: p.keySpeed,
		ProfileEncapsulation: p.encap, OrganizationName: p.org,
		AllowHighAvailability: true, AllowKeyReuse: !p.once, AllowSecondary: true,
		Integrated: p.approval == byAPI, Private: p.self, State: p.state(),
		Features: map[string]bool{"cloudReach": true, "testProfile": false},
	}
	if p.named() {
		v.TagType, v.CTagLabel = "NAMED", "Seller-Side C-Tag"
	}
	if len(p.keys) > 0 {
		v.AuthKeyLabel = "Authorization Key"
	}
	for _, mbps := range p.speeds() {
		s := speedOf(mbps)
		v.SpeedBands = append(v.SpeedBands, speedBand{s.value, s.unit})
	}
	for _, m := range x.order.metros {
		if !p.in(m.code) {
			continue
		}
		mv := metroView{Code: m.code, Name: m.name, IBXs: m.ibxs, DisplayName: m.name}
		if p.region != "" {
			mv.SellerRegions = map[string]string{p.region: strings.ToUpper(p.region)}
		}
		v.Metros = append(v.Metros, mv)
	}
	if own {
		for _, port := range p.seller.ports {
			if !port.managed && !port.newer && port.encap == p.encap && p.in(port.metro) {
				v.Ports = append(v.Ports, profilePort{port.id, port.metro})
			}
		}
	}
	return v
}

// ecxProfiles lists what the tenant may order; 204 when that is nothing.
func (x *Exchange) ecxProfiles(q *request) answer {
	return x.profileList(q, false)
}

// ecxOwnProfiles lists what the tenant sells.
func (x *Exchange) ecxOwnProfiles(q *request) answer {
	return x.profileList(q, true)
}

func (x *Exchange) profileList(q *request, own bool) answer {
	p, wrong := newPager[profileView](q.URL.Query())
	if len(wrong) > 0 {
		return wrong.answer()
	}
	metros := values(q.URL.Query(), "metroCode")
	p.ProfilePageSize = p.PageSize
	x.lock()
	defer x.unlock()
	known := len(metros) == 0 || slices.ContainsFunc(metros, func(m string) bool { return x.metro(m).code != "" })
	for _, pr := range x.order.profiles {
		if known && !pr.newer && pr.visibleTo(q.who) && (!own || pr.seller == q.who) {
			p.add(func() profileView { return x.showProfile(pr, own) })
		}
	}
	if len(p.Content) == 0 {
		return answer{status: http.StatusNoContent}
	}
	return answer{status: http.StatusOK, body: p.done()}
}

// ecxProfile shows one profile to a buyer.
func (x *Exchange) ecxProfile(q *request) answer {
	x.lock()
	defer x.unlock()
	p := x.profiles[q.PathValue("profile")]
	if p == nil || !p.visibleTo(q.who) {
		return notFound()
	}
	return answer{status: http.StatusOK, body: x.showProfile(p, false)}
}

// ecxOwnProfile shows one profile to its seller.
func (x *Exchange) ecxOwnProfile(q *request) answer {
	x.lock()
	defer x.unlock()
	p := x.profiles[q.PathValue("profile")]
	if p == nil || p.seller != q.who {
		return notFound()
	}
	return answer{status: http.StatusOK, body: x.showProfile(p, true)}
}

func (x *Exchange) ecxMetros(*request) answer {
	x.lock()
	defer x.unlock()
	out := []metroView{}
	for _, m := range x.order.metros {
		out = append(out, metroView{Code: m.code, Name: m.name, IBXs: m.ibxs, DisplayName: m.name, Region: m.region})
	}
	return answer{status: http.StatusOK, body: out}
}

type preference struct {
	BuyerOrganizationName string   `json:"buyerOrganizationName"`
	Notifications         []string `json:"notifications"`
}

func (x *Exchange) ecxPreference(q *request) answer {
	return answer{status: http.StatusOK, body: preference{q.who.org, []string{q.who.user.email}}}
}

type keyView struct {
	Message   string  `json:"message"`
	Status    string  `json:"status"`
	Primary   keySide `json:"primary"`
	Secondary struct {
		Bandwidth string `json:"bandwidth"`
	} `json:"secondary"`
}

type keySide struct {
	Bandwidth      string `json:"bandwidth"`
	ConnectionID   string `json:"connectionId"`
	ConnectionName string `json:"connectionName"`
	CrossConnectID string `json:"crossConnectId"`
	Port           string `json:"port"`
	VLAN           string `json:"vlan"`
}

// ecxValidateKey says what an authorization key is good for.
func (x *Exchange) ecxValidateKey(q *request) answer {
	params := q.URL.Query()
	x.lock()
	defer x.unlock()
	p := x.profiles[params.Get("profileId")]
	var wrong violations
	for _, name := range []string{"authorizationKey", "metroCode", "profileId", "region"} {
		if params.Get(name) == "" && (name != "region" || p == nil || p.region != "") {
			wrong.invalid(name, "NotEmpty: "+name+" is required")
		}
	}
	if len(wrong) > 0 {
		return wrong.answer()
	}
	if p == nil || !p.visibleTo(q.who) {
		return notFound()
	}
	key := params.Get("authorizationKey")
	mbps, ok := p.keys[key]
	if !ok {
		return refuse(codeKey, "Authorization key validation failed", "authorization_key")
	}
	if p.once && x.keyInUse(p, key) {
		return refuse(codeKeyUsed, "Error while validating Authorization Key, NamedTag already in use", "authorizationkey")
	}
	if mbps == 0 {
		mbps = p.speeds()[0]
	}
	v := keyView{Message: "Authorization key provided is valid", Status: "VALID"}
	v.Primary.Bandwidth = fmt.Sprintf("%dMB", mbps)
	v.Secondary.Bandwidth = v.Primary.Bandwidth
	return answer{status: http.StatusOK, body: v}
}
