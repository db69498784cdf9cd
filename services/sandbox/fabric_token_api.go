package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Codes of service tokens. Those marked "ours" stand where the real exchange's code is
// not known.
const (
	fabNoToken        = "EQ-3034016"
	fabTokenDeleted   = "EQ-3034019"
	fabTokenLimit     = "EQ-3142535"
	fabTokenLocal     = "EQ-3142536"
	fabTokenInUse     = "EQ-3034020" // ours: an ACTIVE or EXPIRED token cannot be changed or deleted
	fabTokenSpent     = "EQ-3142537" // ours: a connection was made with it
	fabTokenExpired   = "EQ-3142538" // ours
	fabTokenGone      = "EQ-3142539" // ours: it is deleted
	fabTokenBandwidth = "EQ-3142540" // ours: not among supportedBandwidths
)

// tokenFault is why an order cannot be made with a token, as an error of the connection
// API. property names the token's field in the order.
func tokenFault(err error, property string) fabricError {
	switch {
	case errors.Is(err, errTokenSpent):
		return fabricFault(fabTokenSpent, "Service token is already used and cannot be reused", property)
	case errors.Is(err, errTokenExpired):
		return fabricFault(fabTokenExpired, "Service token has expired", property)
	case errors.Is(err, errTokenDeleted):
		return fabricFault(fabTokenGone, "Service token is deleted", property)
	}
	return fabricFault(fabNoToken, "Token not found", property)
}

// unfit is what is wrong with a connection of that bandwidth between t and a port in
// metro, "" if that is not known. property names the token's field in the order.
func (t *serviceToken) unfit(mbps int, metro, property string) fabricErrors {
	var wrong fabricErrors
	switch {
	case t.sells(mbps):
	case t.limit > 0 && mbps > t.limit:
		wrong = append(wrong, fabricError{Code: fabTokenLimit,
			Message: "The connection bandwidth provided in the connection request exceeds the bandwidth Limit on ServiceToken",
			Details: "Please enter bandwidth less than the Speed limit on ServiceToken",
			Info:    []fabricCause{{Property: property}}})
	default:
		wrong.add(fabTokenBandwidth, "The connection bandwidth is not supported by the ServiceToken", property)
	}
	if metro != "" && !t.reaches(metro) {
		wrong = append(wrong, fabricError{Code: fabTokenLocal,
			Message: "Remote connection cannot be created with the provided ServiceToken",
			Details: "Only local Connection can be created using this ServiceToken",
			Info:    []fabricCause{{Property: "/zSide/accessPoint/port/uuid"}}})
	}
	return wrong
}

func (x *Exchange) fabricTokenOps() map[string]op {
	const tokens = "/fabric/v4/serviceTokens"
	return map[string]op{
		"GET " + tokens:                       {run: x.fabricTokens},
		"POST " + tokens:                      {run: x.fabricTokenCreate},
		"POST " + tokens + "/search":          {run: x.fabricTokenSearch},
		"GET " + tokens + "/{token}":          {run: x.fabricToken},
		"PATCH " + tokens + "/{token}":        {run: x.fabricTokenPatch},
		"DELETE " + tokens + "/{token}":       {run: x.fabricTokenDelete},
		"POST " + tokens + "/{token}/actions": {run: x.fabricTokenAction},
	}
}

// tokenView is a service token as Fabric spells it, except that changeLog is written as
// in its samples.
type tokenView struct {
	Href        string          `json:"href,omitempty"`
	Type        string          `json:"type"`
	UUID        string          `json:"uuid,omitempty"`
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	State       string          `json:"state,omitempty"`
	Expires     string          `json:"expirationDateTime,omitempty"`
	Connection  tokenConnection `json:"connection"`
	Notices     []notice        `json:"notifications,omitempty"`
	Account     *assetAccount   `json:"account,omitempty"`
	ChangeLog   *changeLogView  `json:"changeLog,omitempty"`
	Project     *projectView    `json:"project,omitempty"`
}

// tokenConnection says what a token is good for.
type tokenConnection struct {
	Type       string     `json:"type"`
	Href       string     `json:"href,omitempty"`
	UUID       string     `json:"uuid,omitempty"`
	Remote     bool       `json:"allowRemoteConnection"`
	Custom     bool       `json:"allowCustomBandwidth"`
	Limit      int        `json:"bandwidthLimit,omitempty"`
	Bandwidths []int      `json:"supportedBandwidths,omitempty"`
	A          *tokenSide `json:"aSide,omitempty"`
	Z          *tokenSide `json:"zSide,omitempty"`
}

type tokenSide struct {
	Selectors []tokenSelector `json:"accessPointSelectors"`
}

type tokenSelector struct {
	Type string    `json:"type"`
	Port *assetRef `json:"port,omitempty"`
	Link *linkView `json:"linkProtocol,omitempty"`
}

// connectionType is the type of the connections that t is good for.
func (t *serviceToken) connectionType() string {
	if t.kind == eplToken {
		return "EPL_VC"
	}
	return "EVPL_VC"
}

// view renders t. A token that was only tried out has neither id nor state.
func (t *serviceToken) view() tokenView {
	side := &tokenSide{Selectors: []tokenSelector{{Type: "COLO", Port: portRef(t.at.port), Link: linkOf(t.at)}}}
	v := tokenView{
		Type: t.kind, Name: t.name, Description: t.description, Expires: isoTime(t.expires), Notices: t.notices,
		Connection: tokenConnection{Type: t.connectionType(), Remote: t.remote, Custom: t.custom,
			Limit: t.limit, Bandwidths: t.bandwidths},
	}
	if t.side == aSide {
		v.Connection.A = side
	} else {
		v.Connection.Z = side
	}
	if t.project != "" {
		v.Project = &projectView{t.project}
	}
	if t.id == "" {
		return v
	}
	v.Href, v.UUID, v.State = fabricBase+"/serviceTokens/"+t.id, t.id, t.state
	if t.connection != "" {
		v.Connection.Href, v.Connection.UUID = fabricBase+"/connections/"+t.connection, t.connection
	}
	v.Account = &assetAccount{OrgID: t.issuer.orgNumber()}
	v.ChangeLog = &changeLogView{
		CreatedBy: t.issuer.user.login, CreatedAt: isoTime(t.created),
		UpdatedBy: t.updatedBy.login, UpdatedAt: isoTime(t.updated),
		DeletedBy: t.deletedBy.login, DeletedAt: isoTime(t.deleted),
	}
	return v
}

// tokenRules are what tokens can be searched by (schema ServiceTokenSearchFieldName).
func tokenRules() searchRules[*serviceToken] {
	port := func(side string) func(*serviceToken) any {
		return func(t *serviceToken) any {
			if t.side != side {
				return nil
			}
			return t.at.port.id
		}
	}
	return searchRules[*serviceToken]{
		code: fabBadSearch, sort: "/changeLog/updatedDateTime", path: "/fabric/v4/serviceTokens/search",
		properties: properties[*serviceToken]{
			"/uuid":                      func(t *serviceToken) any { return t.id },
			"/state":                     func(t *serviceToken) any { return t.state },
			"/name":                      func(t *serviceToken) any { return t.name },
			"/project/projectId":         func(t *serviceToken) any { return t.project },
			"/type":                      func(t *serviceToken) any { return t.kind },
			"/expirationDateTime":        func(t *serviceToken) any { return t.expires },
			"/changeLog/createdDateTime": func(t *serviceToken) any { return t.created },
			"/changeLog/updatedDateTime": func(t *serviceToken) any { return t.updated },
			"/connection/aSide/accessPointSelectors/port/uuid": port(aSide),
			"/connection/zSide/accessPointSelectors/port/uuid": port(zSide),
		},
	}
}

// tokensOf are the tokens that who issued or redeemed, the newest first. Nobody can be
// shown the others' without having been told their ids.
func (x *Exchange) tokensOf(who *tenant) iter.Seq[*serviceToken] {
	return func(yield func(*serviceToken) bool) {
		for _, t := range slices.Backward(x.order.passes) {
			redeemed := x.circuits[t.connection]
			if t.issuer != who && (redeemed == nil || redeemed.buyer != who) {
				continue
			}
			if !yield(t) {
				return
			}
		}
	}
}

func (x *Exchange) fabricTokens(q *request) answer {
	return x.findTokens(q, nil, "/fabric/v4/serviceTokens")
}

func (x *Exchange) fabricTokenSearch(q *request) answer {
	return x.findTokens(q, q.body, "/fabric/v4/serviceTokens/search")
}

func (x *Exchange) findTokens(q *request, body []byte, path string) answer {
	rules := tokenRules()
	rules.path = path
	s, wrong := parseSearch(body, q.URL.Query(), rules)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	x.lock()
	defer x.unlock()
	found, page := s.run(x.tokensOf(q.who))
	out := resultView[tokenView]{Pagination: page, Data: []tokenView{}}
	for _, t := range found {
		out.Data = append(out.Data, t.view())
	}
	return answer{status: http.StatusOK, body: out}
}

func unknownToken() answer {
	return answer{status: http.StatusBadRequest, body: fabricErrors{fabricFault(fabNoToken, "Token not found", "tokenUuid")}}
}

// fabricToken shows a token to everybody who knows its id, since whoever holds it may
// redeem it.
func (x *Exchange) fabricToken(q *request) answer {
	x.lock()
	defer x.unlock()
	t := x.passes[q.PathValue("token")]
	if t == nil {
		return unknownToken()
	}
	return answer{status: http.StatusOK, body: t.view()}
}

// ownToken returns the token that the path names, or why q's tenant may not touch it.
func (x *Exchange) ownToken(q *request) (*serviceToken, *answer) {
	t := x.passes[q.PathValue("token")]
	var a answer
	switch {
	case t == nil:
		a = unknownToken()
	case t.issuer != q.who:
		a = fabricForbidden()
	default:
		return t, nil
	}
	return nil, &a
}

// settled is why a token that is not INACTIVE cannot be changed any more, or nil.
func (t *serviceToken) settled() *answer {
	var a answer
	switch t.state {
	case tokenInactive:
		return nil
	case tokenDeleted:
		a = fabricRefusal(http.StatusBadRequest, fabTokenDeleted, "Token already deleted", "tokenUuid")
	default:
		a = fabricRefusal(http.StatusBadRequest, fabTokenInUse,
			"Token in state "+t.state+" can be neither changed nor deleted", "tokenUuid")
	}
	return &a
}

func dryRun(q *request) bool {
	dry, err := strconv.ParseBool(q.URL.Query().Get("dryRun"))
	return err == nil && dry
}

// tokenOrder is the body that asks for a token.
type tokenOrder struct {
	Type        string   `json:"type"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Expires     string   `json:"expirationDateTime"`
	Notices     []notice `json:"notifications"`
	Project     struct {
		ProjectID string `json:"projectId"`
	} `json:"project"`
	Connection struct {
		Type       string     `json:"type"`
		Remote     bool       `json:"allowRemoteConnection"`
		Custom     bool       `json:"allowCustomBandwidth"`
		Limit      int        `json:"bandwidthLimit"`
		Bandwidths []int      `json:"supportedBandwidths"`
		A          *orderSide `json:"aSide"`
		Z          *orderSide `json:"zSide"`
	} `json:"connection"`
}

type orderSide struct {
	Selectors []struct {
		Type string `json:"type"`
		Port struct {
			UUID string `json:"uuid"`
		} `json:"port"`
		Link *linkOrder `json:"linkProtocol"`
	} `json:"accessPointSelectors"`
}

// linkOrder is a link protocol in a request. Some samples write tags as text.
type linkOrder struct {
	Type  string  `json:"type"`
	VLAN  intText `json:"vlanTag"`
	Outer intText `json:"vlanSTag"`
	Inner intText `json:"vlanCTag"`
}

// intText is a whole number that may be written as text.
type intText int

// UnmarshalJSON reads 12 and "12".
func (n *intText) UnmarshalJSON(b []byte) error {
	v, err := strconv.Atoi(strings.Trim(string(b), `"`))
	*n = intText(v)
	return err
}

func (x *Exchange) fabricTokenCreate(q *request) answer {
	var o tokenOrder
	if err := json.Unmarshal(q.body, &o); err != nil {
		return fabricErrors{{Code: fabInvalid, Message: fabInvalidText, Details: err.Error()}}.answer()
	}
	now := x.lock()
	defer x.unlock()
	t, wrong := x.readToken(o, q.who, now)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	if dryRun(q) {
		return answer{status: http.StatusOK, body: t.view()}
	}
	t.id = x.newID()
	t.created, t.updated, t.updatedBy = now, now, q.who.user
	x.issue(t)
	x.tokenEntered(t, now, q.who.user)
	return answer{status: http.StatusCreated, body: t.view()}
}

// readToken makes a token of o, and notes everything that is wrong with it.
func (x *Exchange) readToken(o tokenOrder, issuer *tenant, now time.Time) (*serviceToken, fabricErrors) {
	var wrong fabricErrors
	t := &serviceToken{
		kind: o.Type, name: o.Name, description: o.Description, issuer: issuer,
		remote: o.Connection.Remote, custom: o.Connection.Custom, limit: o.Connection.Limit,
		bandwidths: o.Connection.Bandwidths, notices: o.Notices, project: o.Project.ProjectID,
	}
	if t.project == "" {
		t.project = issuer.project
	}
	if o.Type != vcToken && o.Type != eplToken {
		wrong.invalid("/type", "must be VC_TOKEN or EPL_TOKEN")
	} else if o.Connection.Type != t.connectionType() {
		wrong.invalid("/connection/type", "must be "+t.connectionType()+" in a token of type "+o.Type)
	}
	t.expires = readExpiry(o.Expires, now, &wrong)
	checkBandwidths(t.limit, t.bandwidths, &wrong)
	checkNotices(t.notices, &wrong)
	side := o.Connection.Z
	t.side = zSide
	if side == nil {
		side, t.side = o.Connection.A, aSide
	}
	if (o.Connection.A == nil) == (o.Connection.Z == nil) {
		wrong.invalid("/connection", "must have an aSide or a zSide, and not both")
		return t, wrong
	}
	x.readSelector(t, side, &wrong)
	return t, wrong
}

// readExpiry reads the end of a token's time, which is tokenTerm from now if it is absent.
func readExpiry(text string, now time.Time, wrong *fabricErrors) time.Time {
	if text == "" {
		return now.Add(tokenTerm)
	}
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		wrong.invalid("/expirationDateTime", "must be a date and time")
	case !at.After(now):
		wrong.invalid("/expirationDateTime", "must be in the future")
	case at.After(now.Add(tokenTerm)):
		wrong.invalid("/expirationDateTime", "must be within 90 days")
	}
	return at
}

func checkBandwidths(limit int, bandwidths []int, wrong *fabricErrors) {
	if limit < 0 || limit > 100000 {
		wrong.invalid("/connection/bandwidthLimit", "must be between 0 and 100000")
	}
	if slices.ContainsFunc(bandwidths, func(mbps int) bool { return mbps <= 0 || mbps > 100000 }) {
		wrong.invalid("/connection/supportedBandwidths", "must be between 1 and 100000")
	}
}

func checkNotices(notices []notice, wrong *fabricErrors) {
	for i, n := range notices {
		if len(n.Emails) == 0 {
			wrong.invalid(fmt.Sprintf("/notifications/%d/emails", i), "Not Provided")
		}
		for _, e := range n.Emails {
			if a, err := mail.ParseAddress(e); err != nil || a.Address != e {
				wrong.invalid("/notifications/emails", "Invalid notification emails")
			}
		}
	}
}

// readSelector reads the one access point that a token stands for.
func (x *Exchange) readSelector(t *serviceToken, side *orderSide, wrong *fabricErrors) {
	path := "/connection/" + t.side + "/accessPointSelectors"
	if len(side.Selectors) != 1 || side.Selectors[0].Type != "COLO" {
		wrong.invalid(path, "must be one access point of type COLO")
		return
	}
	s := side.Selectors[0]
	p := x.ports[s.Port.UUID]
	if p == nil || p.owner != t.issuer || p.managed {
		wrong.invalid(path+"/port/uuid", "port does not exist or does not belong to the user")
		return
	}
	if (p.encap == untagged) != (t.kind == eplToken) {
		wrong.invalid("/type", "EPL_TOKEN is for untagged ports, VC_TOKEN for tagged ones")
		return
	}
	t.at = end{p, readLink(s.Link, p, path+"/linkProtocol", wrong)}
	if p.used.holder(t.at.tag) != nil {
		wrong.add(fabDuplicate, "Connection has duplicate buyer-side VLAN ID for port or the same VLAN ID is in the "+
			"process of being deleted and should be freed up soon", path+"/linkProtocol")
	}
}

// readLink reads the tag of a link protocol, which has to suit the port's encapsulation.
// On a QinQ port the inner tag may be absent: the connection then has the whole outer one.
func readLink(l *linkOrder, p *port, path string, wrong *fabricErrors) tag {
	if p.encap == untagged {
		if l != nil && l.Type != "UNTAGGED" {
			wrong.invalid(path, "an untagged port has no tags")
		}
		return tag{}
	}
	if l == nil || l.Type != encapsulation(p.encap) {
		wrong.invalid(path+"/type", "must be "+encapsulation(p.encap)+" as the port is")
		return tag{}
	}
	var out tag
	if p.encap == dot1q {
		out.outer = readTag(l.VLAN, path+"/vlanTag", true, wrong)
		return out
	}
	out.outer = readTag(l.Outer, path+"/vlanSTag", true, wrong)
	out.inner = readTag(l.Inner, path+"/vlanCTag", false, wrong)
	return out
}

func readTag(n intText, path string, needed bool, wrong *fabricErrors) int {
	if n == 0 && !needed {
		return 0
	}
	if n < minTag || n > maxTag {
		wrong.invalid(path, fmt.Sprintf("must be between %d and %d", minTag, maxTag))
	}
	return int(n)
}

func (x *Exchange) fabricTokenDelete(q *request) answer {
	now := x.lock()
	defer x.unlock()
	t, refused := x.ownToken(q)
	if refused == nil {
		refused = t.settled()
	}
	if refused != nil {
		return *refused
	}
	t.deleted, t.deletedBy = now, q.who.user
	x.enterToken(t, tokenDeleted, now, q.who.user)
	return answer{status: http.StatusOK, body: t.view()}
}

// fabricTokenAction sends the e-mail about a token again; there is no other action. The
// sandbox sends no e-mail, but its event.
func (x *Exchange) fabricTokenAction(q *request) answer {
	var o struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(q.body, &o); err != nil || o.Type != "RESEND_EMAIL_NOTIFICATION" {
		var wrong fabricErrors
		wrong.invalid("/type", "must be RESEND_EMAIL_NOTIFICATION")
		return wrong.answer()
	}
	now := x.lock()
	defer x.unlock()
	t, refused := x.ownToken(q)
	if refused == nil {
		refused = t.settled()
	}
	if refused != nil {
		return *refused
	}
	x.tokenEvent(t, tokenNews{"resend_email_notification.succeeded", "Token resend email notification succeeded"}, now, q.who.user)
	return answer{status: http.StatusAccepted, body: t.view()}
}
