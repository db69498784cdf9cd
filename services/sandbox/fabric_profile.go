package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Codes of service profiles.
const (
	fabProfileValue  = "EQ-3001022"
	fabProfileSearch = "EQ-3001202"
	fabGoneProfile   = "EQ-3001114"
)

func (x *Exchange) fabricProfileOps() map[string]op {
	const profiles = "/fabric/v4/serviceProfiles"
	return map[string]op{
		"GET " + profiles:                       {run: x.fabricProfiles},
		"POST " + profiles + "/search":          {run: x.fabricProfileSearch},
		"GET " + profiles + "/{profile}":        {run: x.fabricProfile},
		"GET " + profiles + "/{profile}/metros": {run: x.fabricProfileMetros},
	}
}

// fabricProfileView is a service profile as Fabric spells it. Who is only to buy does not
// see the account's number, the ports and whom the seller is notified by.
type fabricProfileView struct {
	Href        string           `json:"href"`
	Type        string           `json:"type"`
	UUID        string           `json:"uuid"`
	Name        string           `json:"name"`
	Description string           `json:"description"`
	State       string           `json:"state"`
	Visibility  string           `json:"visibility"`
	Account     assetAccount     `json:"account"`
	Project     *projectView     `json:"project,omitempty"`
	ChangeLog   changeLogView    `json:"changeLog"`
	AccessPoint []profileConfig  `json:"accessPointTypeConfigs"`
	Marketing   marketingView    `json:"marketingInfo"`
	Metros      []profileMetro   `json:"metros"`
	Self        bool             `json:"selfProfile"`
	Notices     []notice         `json:"notifications,omitempty"`
	Ports       []profileLanding `json:"ports,omitempty"`
}

type marketingView struct {
	Promotion bool `json:"promotion"`
}

type profileConfig struct {
	Type         string      `json:"type"`
	UUID         string      `json:"uuid"`
	Bandwidths   []int       `json:"supportedBandwidths,omitempty"`
	Remote       bool        `json:"allowRemoteConnections"`
	Custom       bool        `json:"allowCustomBandwidth"`
	AutoApproval bool        `json:"allowBandwidthAutoApproval"`
	Upgrade      bool        `json:"allowBandwidthUpgrade"`
	Link         profileLink `json:"linkProtocolConfig"`
	AutoKey      bool        `json:"enableAutoGenerateServiceKey"`
	Redundant    bool        `json:"connectionRedundancyRequired"`
	Selective    bool        `json:"selectiveRedundancy"`
	API          profileAPI  `json:"apiConfig"`
	Label        string      `json:"connectionLabel"`
	Key          profileKey  `json:"authenticationKey"`
}

type profileLink struct {
	Strategy      string   `json:"encapsulationStrategy"`
	NamedTags     []string `json:"namedTags,omitempty"`
	ReuseOuter    bool     `json:"reuseVlanSTag"`
	Encapsulation string   `json:"encapsulation"`
}

type profileAPI struct {
	Available     bool   `json:"apiAvailable"`
	IntegrationID string `json:"integrationId,omitempty"`
	ManagedPort   bool   `json:"equinixManagedPort"`
	ManagedVLAN   bool   `json:"equinixManagedVlan"`
	Bandwidth     bool   `json:"bandwidthFromApi"`
}

type profileKey struct {
	Required bool   `json:"required"`
	Label    string `json:"label,omitempty"`
}

type profileMetro struct {
	Code          string            `json:"code"`
	Name          string            `json:"name"`
	IBXs          []string          `json:"ibxs"`
	DisplayName   string            `json:"displayName"`
	SellerRegions map[string]string `json:"sellerRegions,omitempty"`
}

type profileLanding struct {
	Type     string       `json:"type"`
	UUID     string       `json:"uuid"`
	Location locationView `json:"location"`
}

// viewPoint reads from which side the caller looks: to buy, or as the seller.
func viewPoint(query url.Values) (string, fabricErrors) {
	side := query.Get("viewPoint")
	if side == "" {
		side = aSide
	}
	if side != aSide && side != zSide {
		var wrong fabricErrors
		wrong.add(fabProfileValue, "viewPoint : must be aSide or zSide", "viewPoint")
		return "", wrong
	}
	return side, nil
}

// showFabricProfile renders p for who looks from that side.
func (x *Exchange) showFabricProfile(p *profile, side string) fabricProfileView {
	made := inventoryTime().Format(time.RFC3339)
	by := p.seller.user.login
	v := fabricProfileView{
		Href: fabricBase + "/serviceProfiles/" + p.id + "?viewPoint=" + side, Type: "L2_PROFILE", UUID: p.id, Name: p.name,
		Description: p.about, State: "ACTIVE", Visibility: "PUBLIC", Account: assetAccount{Organization: p.org},
		ChangeLog:   changeLogView{CreatedBy: by, CreatedAt: made, UpdatedBy: by, UpdatedAt: made},
		AccessPoint: []profileConfig{p.config()}, Metros: x.profileMetros(p), Self: p.self,
	}
	if p.self {
		v.Visibility = "PRIVATE"
	}
	if side == aSide {
		return v
	}
	v.Account.OrgID, v.Project = p.seller.orgNumber(), &projectView{p.seller.project}
	v.Notices = []notice{{Type: "CONNECTION_APPROVAL", Emails: []string{p.seller.user.email}}}
	for port := range portsOf(p.seller) {
		if port.encap == p.encap && p.in(port.metro) {
			v.Ports = append(v.Ports, profileLanding{"XF_PORT", port.id, x.locate(port.metro, port.ibx)})
		}
	}
	return v
}

// config says how p is ordered.
func (p *profile) config() profileConfig {
	c := profileConfig{
		Type: "COLO", UUID: derivedID(p.id, "config"), Bandwidths: p.speeds(), Remote: true, Upgrade: true,
		AutoApproval: p.approval != bySeller, Label: "Connection", Selective: !p.single,
		Link: profileLink{Strategy: "CTAGED", NamedTags: p.namedTags, Encapsulation: encapsulation(p.encap)},
		API:  profileAPI{Available: p.approval == byAPI, Bandwidth: p.keySpeed},
	}
	if p.named() {
		c.Link.Strategy = "NAMED"
	}
	if p.approval == byAPI {
		c.API.IntegrationID, c.API.ManagedPort, c.API.ManagedVLAN = "sandbox-"+p.id[:8], true, true
	}
	if len(p.keys) > 0 {
		c.Key = profileKey{true, "Authorization Key"}
	}
	return c
}

func (x *Exchange) profileMetros(p *profile) []profileMetro {
	var out []profileMetro
	for _, m := range x.order.metros {
		if !p.in(m.code) {
			continue
		}
		v := profileMetro{Code: m.code, Name: m.name, IBXs: m.ibxs, DisplayName: m.name}
		if p.region != "" {
			v.SellerRegions = map[string]string{p.region: strings.ToUpper(p.region)}
		}
		out = append(out, v)
	}
	return out
}

// profilesFor are the profiles that who may order, or, from the Z side, those it sells.
func (x *Exchange) profilesFor(who *tenant, side string) iter.Seq[*profile] {
	return func(yield func(*profile) bool) {
		for _, p := range x.order.profiles {
			if p.visibleTo(who) && (side == aSide || p.seller == who) && !yield(p) {
				return
			}
		}
	}
}

// profileRules are what profiles can be searched by (the list in the sample of
// EQ-3001202) and sorted by (schema ServiceProfileSortBy).
func profileRules(path string) searchRules[*profile] {
	visibility := func(p *profile) any {
		if p.self {
			return "PRIVATE"
		}
		return "PUBLIC"
	}
	return searchRules[*profile]{
		code: fabProfileValue, sort: "/changeLog/updatedDateTime", path: path,
		properties: properties[*profile]{
			"/name":                      func(p *profile) any { return p.name },
			"/uuid":                      func(p *profile) any { return p.id },
			"/state":                     func(*profile) any { return "ACTIVE" },
			"/visibility":                visibility,
			"/type":                      func(*profile) any { return "L2_PROFILE" },
			"/metros/code":               func(*profile) any { return nil }, // see [Exchange.profilesIn]
			"/changeLog/createdDateTime": func(*profile) any { return inventoryTime() },
			"/changeLog/updatedDateTime": func(*profile) any { return inventoryTime() },
		},
	}
}

func (x *Exchange) fabricProfiles(q *request) answer {
	return x.findProfiles(q, nil, "/fabric/v4/serviceProfiles")
}

func (x *Exchange) fabricProfileSearch(q *request) answer {
	body, wrong := x.profileFilter(q.body)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	return x.findProfiles(q, body, "/fabric/v4/serviceProfiles/search")
}

func (x *Exchange) findProfiles(q *request, body []byte, path string) answer {
	side, wrong := viewPoint(q.URL.Query())
	if len(wrong) > 0 {
		return wrong.answer()
	}
	s, wrong := parseSearch(body, q.URL.Query(), profileRules(path))
	if len(wrong) > 0 {
		return wrong.answer()
	}
	x.lock()
	defer x.unlock()
	found, page := s.run(x.profilesFor(q.who, side))
	out := resultView[fabricProfileView]{Pagination: page, Data: []fabricProfileView{}}
	for _, p := range found {
		out.Data = append(out.Data, x.showFabricProfile(p, side))
	}
	return profileAnswer(out)
}

// profileAnswer is a good answer about profiles: unlike all else they name their charset.
func profileAnswer(body any) answer {
	return answer{status: http.StatusOK, body: body, header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}}}
}

// profileFilter checks the filter of a search for profiles, which knows few properties
// and one operator. Metros, of which a profile has several, become the profiles in them.
func (x *Exchange) profileFilter(body []byte) ([]byte, fabricErrors) {
	var s searchRequest
	if err := json.Unmarshal(body, &s); err != nil || s.Filter == nil {
		return body, nil // whoever reads it next says what is wrong
	}
	terms := s.Filter.And
	if terms == nil {
		terms = []expression{*s.Filter}
	}
	var wrong fabricErrors
	kept := []expression{}
	for _, e := range terms {
		switch {
		case !isProfileProperty(e.Property):
			wrong = append(wrong, fabricError{Code: fabProfileSearch, Message: "Unsupported search property",
				Details: "Supported search properties are : /name,/uuid,/state,/metros/code,/visibility,/type"})
		case e.Operator != "=":
			wrong = append(wrong, fabricError{Code: fabProfileSearch, Message: "Unsupported search property",
				Details: "Supported search operator is : ="})
		case e.Property == "/metros/code":
			kept = append(kept, expression{Property: "/uuid", Operator: "IN", Values: x.profilesIn(e.Values)})
		default:
			kept = append(kept, e)
		}
	}
	s.Filter = &expression{And: kept}
	out, err := json.Marshal(s)
	if err != nil {
		panic(err) // what was JSON is so again
	}
	return out, wrong
}

func isProfileProperty(name string) bool {
	switch name {
	case "/name", "/uuid", "/state", "/metros/code", "/visibility", "/type":
		return true
	}
	return false
}

// profilesIn are the ids of the profiles in one of the metros, and an id that none has.
func (x *Exchange) profilesIn(metros []any) []any {
	x.lock()
	defer x.unlock()
	out := []any{""}
	for _, p := range x.order.profiles {
		for _, m := range metros {
			if code, ok := m.(string); ok && x.metro(code).code != "" && p.in(code) {
				out = append(out, p.id)
			}
		}
	}
	return out
}

// profileOf returns the profile that the path names as it shows from that side, or nil.
func (x *Exchange) profileOf(q *request, side string) *profile {
	p := x.profiles[q.PathValue("profile")]
	if p == nil || !p.visibleTo(q.who) || side == zSide && p.seller != q.who {
		return nil
	}
	return p
}

func unknownProfile() answer {
	return fabricRefusal(http.StatusBadRequest, fabGoneProfile,
		"Some of the profile with the given id either not in valid state  or not exist in database", "")
}

func (x *Exchange) fabricProfile(q *request) answer {
	side, wrong := viewPoint(q.URL.Query())
	if len(wrong) > 0 {
		return wrong.answer()
	}
	x.lock()
	defer x.unlock()
	p := x.profileOf(q, side)
	if p == nil {
		return unknownProfile()
	}
	v := x.showFabricProfile(p, side)
	a := profileAnswer(v)
	a.header.Set("ETag", etag(v))
	return a
}

// etag is a mark that changes with v.
func etag(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a view of ours that is no JSON
	}
	sum := sha256.Sum256(b)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// fabricProfileMetros lists the metros of a profile, one page of them.
func (x *Exchange) fabricProfileMetros(q *request) answer {
	offset, limit, wrong := readPage(q.URL.Query(), fabProfileValue)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	x.lock()
	defer x.unlock()
	p := x.profileOf(q, aSide)
	if p == nil {
		return unknownProfile()
	}
	return profileAnswer(pageOf(x.profileMetros(p), offset, limit, q.URL.Path))
}

// readPage reads the bounds of a page of a list.
func readPage(query url.Values, code string) (offset, limit int, wrong fabricErrors) {
	offset, limit = bound(nil, query, "offset", 0), bound(nil, query, "limit", fabricPage)
	if offset < 0 {
		wrong.add(code, "pagination.offset : must be greater than or equal to 0", "pagination.offset")
	}
	if limit < 1 {
		wrong.add(code, "pagination.limit : must be greater than or equal to 1", "pagination.limit")
	}
	return offset, limit, wrong
}

// pageOf is one page of all.
func pageOf[T any](all []T, offset, limit int, path string) resultView[T] {
	total := len(all)
	data := append([]T{}, all[min(offset, total):min(offset+limit, total)]...)
	return resultView[T]{Pagination: links(path, offset, limit, total), Data: data}
}
