package sandbox

import (
	"cmp"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Equinix' own events, in the envelope and with the data of its document of cloud events
// (schema ChangeEvent v1). Where the schema and its samples disagree about a type
// (severitynumber, authid) these are by the schema; time has whole seconds and
// traceparent its stray comma, as in every sample.
const (
	eventSource = fabricBase + "/cloudevents"
	eventSchema = "https://equinix.github.io/equinix-cloudevents/jsonschema/equinix/fabric/v1/ChangeEvent.json"
	eventPrefix = "equinix.fabric."

	// eventsKept is how long events can be asked for (retention P1Y).
	eventsKept = 365 * 24 * time.Hour
)

// cloudEvent is an event as one tenant is told it.
type cloudEvent struct {
	id       string
	kind     string // without eventPrefix
	subject  string
	at       time.Time
	owner    *tenant
	project  string
	auth     authView
	message  string
	resource *resourceView // nil when the resource is deleted
}

// resourceView is what an event is about.
type resourceView struct {
	Href   string      `json:"href"`
	UUID   string      `json:"uuid"`
	Type   string      `json:"type"`
	Name   string      `json:"name,omitempty"`
	State  string      `json:"state"`
	Change *changeNews `json:"change,omitempty"`
}

// changeNews is the change of a resource that an event is about.
type changeNews struct {
	UUID    string       `json:"uuid"`
	Type    string       `json:"type"`
	Status  string       `json:"status"`
	Created string       `json:"createdDateTime"`
	Updated string       `json:"updatedDateTime"`
	Data    []changedOne `json:"data,omitempty"`
}

type changedOne struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// authView says on whose behalf something happened.
type authView struct {
	Type  string `json:"type"` // user or system
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

// cloudEventView is an event on the wire, which is also a structured CloudEvent.
type cloudEventView struct {
	SpecVersion  string    `json:"specversion"`
	Source       string    `json:"source"`
	ID           string    `json:"id"`
	Type         string    `json:"type"`
	Subject      string    `json:"subject"`
	Time         string    `json:"time"`
	DataSchema   string    `json:"dataschema"`
	ContentType  string    `json:"datacontenttype"`
	Severity     string    `json:"severitynumber"`
	SeverityText string    `json:"severitytext"`
	Project      string    `json:"equinixproject,omitempty"`
	Organization string    `json:"equinixorganization,omitempty"`
	AuthType     string    `json:"authtype"`
	AuthID       string    `json:"authid"`
	TraceParent  string    `json:"traceparent"`
	TraceState   string    `json:"tracestate"`
	Data         eventData `json:"data"`
}

type eventData struct {
	Message  string        `json:"message"`
	Resource *resourceView `json:"resource,omitempty"`
	Auth     authView      `json:"auth"`
}

func (e *cloudEvent) view() cloudEventView {
	digits := strings.ReplaceAll(e.id, "-", "")
	return cloudEventView{
		SpecVersion: "1.0", Source: eventSource, ID: e.id, Type: eventPrefix + e.kind, Subject: e.subject,
		Time: e.at.UTC().Format(time.RFC3339), DataSchema: eventSchema, ContentType: "application/json",
		Severity: "9", SeverityText: "INFO", Project: e.project, Organization: e.owner.orgID,
		AuthType: e.auth.Type, AuthID: e.auth.ID,
		TraceParent: "00-" + digits + "-" + digits[16:] + "-00,", TraceState: digits[20:] + "," + digits[:12],
		Data: eventData{e.message, e.resource, e.auth},
	}
}

// eventLog is what has happened, by tenant, the oldest first. Events can be asked for
// until they are a year old.
type eventLog map[*tenant][]*cloudEvent

// record makes e, about the resource of, known to its owner and to whoever is subscribed
// to it.
func (x *Exchange) record(e cloudEvent, of string) {
	list := x.events[e.owner]
	x.told++
	e.id = derivedID(of, "event", strconv.Itoa(x.told), e.at.UTC().Format(time.RFC3339Nano))
	old := 0
	for old < len(list) && e.at.Sub(list[old].at) > eventsKept {
		old++
	}
	x.events[e.owner] = append(list[old:], &e)
	x.publish(&e)
}

// authOf says who did something, by the login.
func (x *Exchange) authOf(login string) authView {
	for _, t := range x.tenants {
		if t.user.login == login {
			return authView{"user", login, t.user.fullName, t.user.email}
		}
	}
	for _, u := range []user{robotUser(), portalUser()} {
		if u.login == login {
			return authView{"user", login, u.fullName, u.email}
		}
	}
	return authView{Type: "system", ID: "equinix"}
}

// connectionEvents tells of a change of a circuit: its buyer, and the other side of a
// circuit by token, of every state and of changed attributes; the seller of a profile of
// the states that there are types for.
func (x *Exchange) connectionEvents(h happening) {
	c, state := h.circuit, strings.ToLower(h.after.state)
	e := cloudEvent{
		kind: "connection.state." + state, subject: fabricConnections + "/" + c.id, at: h.at,
		project: cmp.Or(c.fabric.Project, c.buyer.project), auth: x.authOf(h.by),
		message:  "Connection named " + c.name + " state changed to " + state,
		resource: c.resource(),
	}
	switch {
	case h.after.state != h.before.state && isEventState(state):
	case h.after == h.before:
		return
	default:
		state = ""
		e.kind, e.message = "connection.attribute.changed", "Connection named "+c.name+" attributes are changed"
		e.resource.Change = c.changeNews()
	}
	for _, t := range c.parties() {
		e := e
		e.owner = t
		if t == c.seller && t != c.buyer && c.profile != nil {
			if !slices.Contains([]string{"pending", "provisioned", "deprovisioned", "failed"}, state) {
				continue
			}
			e.kind = "service_profile_connection.state." + state
			e.message = "Service Profile Connection " + c.name + " state changed to " + state
			e.project = t.project
		}
		x.record(e, c.id)
	}
}

// isEventState reports whether there is a type of event for a connection in that state.
func isEventState(state string) bool {
	switch state {
	case "pending", "provisioning", "provisioned", "reprovisioning", "deprovisioning", "deprovisioned", "failed":
		return true
	}
	return false
}

// resource is c as events show it.
func (c *circuit) resource() *resourceView {
	return &resourceView{Href: fabricBase + "/connections/" + c.id, UUID: c.id,
		Type: cmp.Or(c.fabric.Type, "EVPL_VC"), Name: c.name, State: c.face.state}
}

func (c *circuit) changeNews() *changeNews {
	n := &changeNews{UUID: c.change.ID, Type: c.change.Kind, Status: c.change.Status,
		Created: isoTime(c.change.Created), Updated: isoTime(c.change.Updated)}
	if c.change.Path != "" {
		value, err := json.Marshal(c.change.Value)
		if err != nil {
			panic(err) // a value of ours that is no JSON
		}
		n.Data = []changedOne{{"replace", c.change.Path, strings.Trim(string(value), `"`)}}
	}
	return n
}

// tokenEntered tells t's issuer that t is in a new state.
func (x *Exchange) tokenEntered(t *serviceToken, at time.Time, by user) {
	message := map[string]string{
		tokenInactive: "Token successfully deactivated", tokenActive: "Token successfully activated",
		tokenExpired: "Token expired", tokenDeleted: "Token successfully deleted",
	}[t.state]
	x.tokenEvent(t, tokenNews{"state." + strings.ToLower(t.state), message}, at, by)
}

// tokenNews is what happened to a token: the end of an event's type, and its message.
type tokenNews struct{ kind, message string }

// tokenEvent tells t's issuer what has happened to t.
func (x *Exchange) tokenEvent(t *serviceToken, n tokenNews, at time.Time, by user) {
	e := cloudEvent{
		kind: "service_token." + n.kind, subject: "/fabric/v4/serviceTokens/" + t.id, at: at, owner: t.issuer,
		project: t.project, auth: x.authOf(by.login), message: n.message,
		resource: &resourceView{Href: fabricBase + "/serviceTokens/" + t.id, UUID: t.id, Type: t.kind,
			Name: t.name, State: t.state},
	}
	if t.state == tokenDeleted {
		e.resource = nil
	}
	x.record(e, t.id)
}

func (x *Exchange) fabricEventOps() map[string]op {
	return map[string]op{
		"GET /fabric/v4/cloudevents/{event}":            {run: x.fabricEvent},
		"POST /fabric/v4/cloudevents/search":            {run: x.fabricEventSearch},
		"GET /fabric/v4/{asset}/{asset_id}/cloudevents": {run: x.fabricAssetEvents},
	}
}

// eventsOf are the events that who can ask for, the oldest first.
func (x *Exchange) eventsOf(who *tenant, now time.Time) iter.Seq[*cloudEvent] {
	return func(yield func(*cloudEvent) bool) {
		for _, e := range x.events[who] {
			if now.Sub(e.at) <= eventsKept && !yield(e) {
				return
			}
		}
	}
}

func (x *Exchange) fabricEvent(q *request) answer {
	now := x.lock()
	defer x.unlock()
	for e := range x.eventsOf(q.who, now) {
		if e.id == q.PathValue("event") {
			return answer{status: http.StatusOK, body: e.view()}
		}
	}
	return unknownUUID()
}

// unknownUUID is the answer about an event or a stream that there is not.
func unknownUUID() answer {
	return answer{status: http.StatusNotFound, body: fabricErrors{{
		Code: fabNoSuchPath, Message: "uuid not found", Details: "uuid not found"}}}
}

// fabricAssetEvents lists the events of one asset.
func (x *Exchange) fabricAssetEvents(q *request) answer {
	subject := "/fabric/v4/" + q.PathValue("asset") + "/" + q.PathValue("asset_id")
	terms := []expression{{Property: "/subject", Operator: "=", Values: []any{subject}}}
	query := q.URL.Query()
	for name, operator := range map[string]string{"fromDateTime": ">=", "toDateTime": "<="} {
		if at := query.Get(name); at != "" {
			terms = append(terms, expression{Property: "/time", Operator: operator, Values: []any{at}})
		}
	}
	return x.findEvents(q, searchRequest{Filter: &expression{And: terms}}, subject+"/cloudevents")
}

// fabricEventSearch lists the events that a filter takes. With = and IN a * in a value
// stands for anything.
func (x *Exchange) fabricEventSearch(q *request) answer {
	var s searchRequest
	if err := json.Unmarshal(q.body, &s); err != nil || s.Filter == nil {
		return fabricRefusal(http.StatusBadRequest, fabBadSearch, "Invalid request body", "/filter")
	}
	wild := withWildcards(*s.Filter)
	s.Filter = &wild
	return x.findEvents(q, s, "/fabric/v4/cloudevents/search")
}

// withWildcards returns e with the values that have a * as patterns.
func withWildcards(e expression) expression {
	out := e
	out.And, out.Or = wildParts(e.And), wildParts(e.Or)
	if e.Operator != "=" && !strings.EqualFold(e.Operator, "IN") {
		return out
	}
	var exact []any
	var patterns []expression
	for _, v := range e.Values {
		if text, ok := v.(string); ok && strings.Contains(text, "*") {
			patterns = append(patterns, expression{Property: e.Property, Operator: "LIKE", Values: []any{text}})
		} else {
			exact = append(exact, v)
		}
	}
	if len(patterns) == 0 {
		return out
	}
	if len(exact) > 0 {
		patterns = append(patterns, expression{Property: e.Property, Operator: e.Operator, Values: exact})
	}
	return expression{Or: patterns}
}

func wildParts(list []expression) []expression {
	if list == nil {
		return nil
	}
	out := []expression{}
	for _, e := range list {
		out = append(out, withWildcards(e))
	}
	return out
}

// eventRules are what events can be searched by.
func eventRules(path string) searchRules[*cloudEvent] {
	return searchRules[*cloudEvent]{
		code: fabBadSearch, sort: "/time", path: path,
		properties: properties[*cloudEvent]{
			"/id":                  func(e *cloudEvent) any { return e.id },
			"/type":                func(e *cloudEvent) any { return eventPrefix + e.kind },
			"/subject":             func(e *cloudEvent) any { return e.subject },
			"/time":                func(e *cloudEvent) any { return e.at.Truncate(time.Second) },
			"/equinixproject":      func(e *cloudEvent) any { return e.project },
			"/equinixorganization": func(e *cloudEvent) any { return e.owner.orgID },
		},
	}
}

// findEvents lists events, the oldest first, so that what happens meanwhile does not
// shift the pages.
func (x *Exchange) findEvents(q *request, filter searchRequest, path string) answer {
	body, err := json.Marshal(filter)
	if err != nil {
		panic(err) // what was JSON is so again
	}
	s, wrong := parseSearch(body, q.URL.Query(), eventRules(path))
	if len(wrong) > 0 {
		return wrong.answer()
	}
	s.order = []sortView{{"/time", "ASC"}}
	now := x.lock()
	defer x.unlock()
	found, page := s.run(x.eventsOf(q.who, now))
	out := resultView[cloudEventView]{Pagination: page, Data: []cloudEventView{}}
	for _, e := range found {
		out.Data = append(out.Data, e.view())
	}
	return answer{status: http.StatusOK, body: out}
}
