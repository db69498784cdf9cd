package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// stream is a way for events of some assets to whoever is subscribed to it.
type stream struct {
	id            string
	name          string
	description   string
	project       string
	owner         *tenant
	created       time.Time
	updated       time.Time
	assets        []streamAsset
	subscriptions []*subscription
}

// streamAsset is something whose events go into a stream.
type streamAsset struct{ asset, id, kind string }

func (x *Exchange) fabricStreamOps() map[string]op {
	const streams = "/fabric/v4/streams"
	const one = streams + "/{stream}"
	const asset, subscription = one + "/{asset}/{asset_id}", one + "/subscriptions/{subscription}"
	return map[string]op{
		"GET " + streams:                 {run: x.fabricStreams},
		"POST " + streams:                {run: x.fabricStreamCreate},
		"GET " + one:                     {run: x.fabricStream},
		"PUT " + one:                     {run: x.fabricStreamChange},
		"DELETE " + one:                  {run: x.fabricStreamDelete},
		"GET " + asset:                   {run: x.fabricStreamAsset},
		"PUT " + asset:                   {run: x.fabricAttach},
		"DELETE " + asset:                {run: x.fabricDetach},
		"GET " + one + "/subscriptions":  {run: x.fabricSubscriptions},
		"POST " + one + "/subscriptions": {run: x.fabricSubscribe},
		"GET " + subscription:            {run: x.fabricSubscription},
		"PUT " + subscription:            {run: x.fabricSubscriptionChange},
		"DELETE " + subscription:         {run: x.fabricUnsubscribe},
	}
}

// streamView is a stream as Fabric spells it.
type streamView struct {
	Href          string        `json:"href"`
	UUID          string        `json:"uuid"`
	Type          string        `json:"type"`
	Name          string        `json:"name"`
	Description   string        `json:"description,omitempty"`
	Project       projectView   `json:"project"`
	State         string        `json:"state"`
	Assets        int           `json:"assetsCount"`
	Subscriptions int           `json:"streamSubscriptionsCount"`
	AlertRules    int           `json:"alertRulesCount"`
	ChangeLog     changeLogView `json:"changeLog"`
}

func (s *stream) href() string { return fabricBase + "/streams/" + s.id }

func (s *stream) view(state string) streamView {
	return streamView{
		Href: s.href(), UUID: s.id, Type: "TELEMETRY_STREAM", Name: s.name, Description: s.description,
		Project: projectView{s.project}, State: state, Assets: len(s.assets), Subscriptions: len(s.subscriptions),
		ChangeLog: changeLogView{CreatedBy: s.owner.user.login, CreatedAt: isoTime(s.created), UpdatedAt: isoTime(s.updated)},
	}
}

// streamOrder is the body that asks for a stream or changes one.
type streamOrder struct {
	Type        string      `json:"type"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Project     projectView `json:"project"`
}

func readBody(q *request, v any) fabricErrors {
	if err := json.Unmarshal(q.body, v); err != nil {
		return fabricErrors{{Code: fabInvalid, Message: fabInvalidText, Details: err.Error()}}
	}
	return nil
}

func (x *Exchange) fabricStreamCreate(q *request) answer {
	var o streamOrder
	wrong := readBody(q, &o)
	if wrong == nil {
		if o.Type != "TELEMETRY_STREAM" {
			wrong.invalid("/type", "must be TELEMETRY_STREAM")
		}
		if o.Name == "" {
			wrong.invalid("/name", "Not Provided")
		}
		if o.Project.ProjectID == "" {
			wrong.invalid("/project/projectId", "Not Provided")
		}
	}
	if len(wrong) > 0 {
		return wrong.answer()
	}
	now := x.lock()
	defer x.unlock()
	s := &stream{id: x.newID(), name: o.Name, description: o.Description, project: o.Project.ProjectID,
		owner: q.who, created: now}
	x.streams = append(x.streams, s)
	return answer{status: http.StatusAccepted, body: s.view(provisioned)}
}

// ownStream returns the tenant's stream that the path names, or nil.
func (x *Exchange) ownStream(q *request) *stream {
	i := slices.IndexFunc(x.streams, func(s *stream) bool { return s.id == q.PathValue("stream") && s.owner == q.who })
	if i < 0 {
		return nil
	}
	return x.streams[i]
}

func (x *Exchange) fabricStreams(q *request) answer {
	offset, limit, wrong := readPage(q.URL.Query(), fabInvalid)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	x.lock()
	defer x.unlock()
	var all []streamView
	for _, s := range x.streams {
		if s.owner == q.who {
			all = append(all, s.view(provisioned))
		}
	}
	return answer{status: http.StatusOK, body: pageOf(all, offset, limit, "/fabric/v4/streams")}
}

func (x *Exchange) fabricStream(q *request) answer {
	x.lock()
	defer x.unlock()
	s := x.ownStream(q)
	if s == nil {
		return unknownUUID()
	}
	return answer{status: http.StatusOK, body: s.view(provisioned)}
}

func (x *Exchange) fabricStreamChange(q *request) answer {
	var o streamOrder
	if wrong := readBody(q, &o); wrong != nil {
		return wrong.answer()
	}
	if o.Name == "" {
		var wrong fabricErrors
		wrong.invalid("/name", "Not Provided")
		return wrong.answer()
	}
	now := x.lock()
	defer x.unlock()
	s := x.ownStream(q)
	if s == nil {
		return unknownUUID()
	}
	s.name, s.description, s.updated = o.Name, o.Description, now
	return answer{status: http.StatusAccepted, body: s.view(provisioned)}
}

func (x *Exchange) fabricStreamDelete(q *request) answer {
	x.lock()
	defer x.unlock()
	s := x.ownStream(q)
	if s == nil {
		return unknownUUID()
	}
	for _, sub := range s.subscriptions {
		sub.end()
	}
	x.streams = slices.DeleteFunc(x.streams, func(o *stream) bool { return o == s })
	return answer{status: http.StatusAccepted, body: s.view(deprovisioned)}
}

// assetView says that a stream has the events of an asset.
type assetView struct {
	Href    string `json:"href"`
	UUID    string `json:"uuid"`
	Type    string `json:"type"`
	Metrics bool   `json:"metricsEnabled"`
	Status  string `json:"attachmentStatus"`
}

func (s *stream) showAsset(a streamAsset, status string) assetView {
	return assetView{Href: s.href() + "/" + a.asset + "/" + a.id, UUID: a.id, Type: a.kind, Status: status}
}

// findAsset returns the asset of the tenant that the path names: a connection, a port,
// the organization or a project.
func (x *Exchange) findAsset(q *request) (streamAsset, bool) {
	a := streamAsset{asset: q.PathValue("asset"), id: q.PathValue("asset_id")}
	switch a.asset {
	case "connections":
		c := x.circuits[a.id]
		if c == nil || !slices.Contains(c.parties(), q.who) {
			return a, false
		}
		a.kind = c.resource().Type
	case "ports":
		a.kind = "XF_PORT"
		return a, x.ports[a.id] != nil && x.ports[a.id].owner == q.who
	case "organizations":
		a.kind = "ORGANIZATION"
		return a, a.id == q.who.orgID
	case "projects":
		a.kind = "PROJECT"
		return a, a.id == q.who.project || slices.ContainsFunc(q.who.bought, func(c *circuit) bool { return c.fabric.Project == a.id })
	default:
		return a, false
	}
	return a, true
}

// covers reports whether e is an event of an asset of s.
func (s *stream) covers(e *cloudEvent) bool {
	return slices.ContainsFunc(s.assets, func(a streamAsset) bool {
		switch a.asset {
		case "organizations":
			return true // its own one
		case "projects":
			return e.project == a.id
		}
		return e.subject == "/fabric/v4/"+a.asset+"/"+a.id
	})
}

func (s *stream) attached(a streamAsset) bool {
	return slices.ContainsFunc(s.assets, func(o streamAsset) bool { return o.asset == a.asset && o.id == a.id })
}

func (x *Exchange) fabricStreamAsset(q *request) answer {
	x.lock()
	defer x.unlock()
	s := x.ownStream(q)
	a, ok := x.findAsset(q)
	if s == nil || !ok || !s.attached(a) {
		return unknownUUID()
	}
	return answer{status: http.StatusOK, body: s.showAsset(a, "ATTACHED")}
}

func (x *Exchange) fabricAttach(q *request) answer {
	x.lock()
	defer x.unlock()
	s := x.ownStream(q)
	a, ok := x.findAsset(q)
	if s == nil || !ok {
		return unknownUUID()
	}
	if !s.attached(a) {
		s.assets = append(s.assets, a)
	}
	return answer{status: http.StatusAccepted, body: s.showAsset(a, "ATTACHING")}
}

func (x *Exchange) fabricDetach(q *request) answer {
	x.lock()
	defer x.unlock()
	s := x.ownStream(q)
	a, ok := x.findAsset(q)
	if s == nil || !ok || !s.attached(a) {
		return unknownUUID()
	}
	s.assets = slices.DeleteFunc(s.assets, func(o streamAsset) bool { return o.asset == a.asset && o.id == a.id })
	return answer{status: http.StatusAccepted, body: s.showAsset(a, "DETACHING")}
}

// subscriptionOrder is the body that asks for a subscription or changes one. Batches are
// not offered, nor sinks other than webhooks that take CloudEvents.
type subscriptionOrder struct {
	Type        string    `json:"type"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Enabled     *bool     `json:"enabled"`
	Metrics     *selector `json:"metricSelector"`
	Events      *selector `json:"eventSelector"`
	Sink        struct {
		Type       string `json:"type"`
		URI        string `json:"uri"`
		Batch      bool   `json:"batchEnabled"`
		Credential *struct {
			Type     string `json:"type"`
			Token    string `json:"accessToken"`
			Key      string `json:"apiKey"`
			Username string `json:"username"`
			Password string `json:"password"`
		} `json:"credential"`
		Settings sinkSettings `json:"settings"`
	} `json:"sink"`
}

// selector picks events by type; a * stands for anything.
type selector struct {
	Include []string `json:"include,omitempty"`
	Except  []string `json:"except,omitempty"`
}

type sinkSettings struct {
	EventURI  string `json:"eventUri,omitempty"`
	MetricURI string `json:"metricUri,omitempty"`
	Format    string `json:"format,omitempty"`
}

// takes reports whether s picks events of that type. Without a selector all are picked.
func (s *selector) takes(kind string) bool {
	if s == nil {
		return true
	}
	fits := func(pattern string) bool {
		before, after, wild := strings.Cut(pattern, "*")
		if !wild {
			return pattern == kind
		}
		return strings.HasPrefix(kind, before) && strings.HasSuffix(kind, after) && len(kind) >= len(before)+len(after)
	}
	return (len(s.Include) == 0 || slices.ContainsFunc(s.Include, fits)) && !slices.ContainsFunc(s.Except, fits)
}

// check says what is wrong with o.
func (o *subscriptionOrder) check() fabricErrors {
	var wrong fabricErrors
	if o.Type != "STREAM_SUBSCRIPTION" {
		wrong.invalid("/type", "must be STREAM_SUBSCRIPTION")
	}
	if o.Name == "" {
		wrong.invalid("/name", "Not Provided")
	}
	for _, s := range []*selector{o.Metrics, o.Events} {
		if s != nil && (len(s.Include) > 8 || len(s.Except) > 8) {
			wrong.invalid("/eventSelector", "must have at most 8 expressions each")
		}
	}
	if o.Sink.Type != "WEBHOOK" {
		wrong.invalid("/sink/type", "must be WEBHOOK: this exchange has no other sinks")
	}
	if o.Sink.Batch {
		wrong.invalid("/sink/batchEnabled", "must be false: this exchange sends each event by itself")
	}
	if f := o.Sink.Settings.Format; f != "" && f != "CLOUDEVENT" {
		wrong.invalid("/sink/settings/format", "must be CLOUDEVENT")
	}
	if u, err := url.Parse(o.address()); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		wrong.invalid("/sink/settings/eventUri", "must be an http or https address")
	}
	if _, ok := o.authorization(); !ok {
		wrong.invalid("/sink/credential", "must be ACCESS_TOKEN, USERNAME_PASSWORD, or an API_KEY of the form instance:key")
	}
	return wrong
}

// address is where the events go.
func (o *subscriptionOrder) address() string {
	if o.Sink.Settings.EventURI != "" {
		return o.Sink.Settings.EventURI
	}
	return o.Sink.URI
}

// authorization is the header that shows the webhook who calls. A token that names its
// scheme, as in the samples, is sent as it is.
func (o *subscriptionOrder) authorization() (string, bool) {
	c := o.Sink.Credential
	if c == nil {
		return "", true
	}
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	switch {
	case c.Type == "ACCESS_TOKEN" && strings.Contains(c.Token, " "):
		return c.Token, true
	case c.Type == "ACCESS_TOKEN" && c.Token != "":
		return "Bearer " + c.Token, true
	case c.Type == "USERNAME_PASSWORD":
		return basic(c.Username + ":" + c.Password), true
	case c.Type == "API_KEY" && strings.Contains(c.Key, ":"):
		return basic(c.Key), true
	}
	return "", false
}

// subscriptionView is a subscription as Fabric spells it, without the secrets of its
// credential.
type subscriptionView struct {
	Href        string         `json:"href"`
	UUID        string         `json:"uuid"`
	Type        string         `json:"type"`
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	State       string         `json:"state"`
	Enabled     bool           `json:"enabled"`
	Metrics     *selector      `json:"metricSelector,omitempty"`
	Events      *selector      `json:"eventSelector,omitempty"`
	Sink        sinkView       `json:"sink"`
	Operation   deliveriesView `json:"operation"`
	ChangeLog   changeLogView  `json:"changeLog"`
}

type sinkView struct {
	URI        string          `json:"uri,omitempty"`
	Type       string          `json:"type"`
	Batch      bool            `json:"batchEnabled"`
	Credential *credentialView `json:"credential,omitempty"`
	Settings   sinkSettings    `json:"settings"`
}

type credentialView struct {
	Type string `json:"type"`
}

type deliveriesView struct {
	Events  int             `json:"eventsDeliveredCount"`
	Metrics int             `json:"metricsDeliveredCount"`
	Alerts  int             `json:"alertsDeliveredCount"`
	Last    string          `json:"lastSuccessfulDeliveryDateTime,omitempty"`
	Errors  []deliveryError `json:"errors"`
}

type deliveryError struct {
	Code    string `json:"errorCode"`
	Message string `json:"errorMessage"`
	At      string `json:"dateTime"`
}

func (s *subscription) view(state string) subscriptionView {
	o := s.order
	v := subscriptionView{
		Href: s.stream.href() + "/subscriptions/" + s.id, UUID: s.id, Type: o.Type, Name: o.Name,
		Description: o.Description, State: state, Enabled: s.enabled(), Metrics: o.Metrics, Events: o.Events,
		Sink:      sinkView{URI: o.Sink.URI, Type: o.Sink.Type, Settings: o.Sink.Settings},
		Operation: deliveriesView{Events: s.delivered, Last: isoTime(s.last), Errors: append([]deliveryError{}, s.errors...)},
		ChangeLog: changeLogView{CreatedBy: s.stream.owner.user.login, CreatedAt: isoTime(s.created), UpdatedAt: isoTime(s.updated)},
	}
	if o.Sink.Credential != nil {
		v.Sink.Credential = &credentialView{o.Sink.Credential.Type}
	}
	return v
}

// readSubscription reads a body that asks for a subscription or changes one.
func readSubscription(q *request) (subscriptionOrder, fabricErrors) {
	var o subscriptionOrder
	if wrong := readBody(q, &o); wrong != nil {
		return o, wrong
	}
	return o, o.check()
}

func (x *Exchange) fabricSubscribe(q *request) answer {
	o, wrong := readSubscription(q)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	now := x.lock()
	defer x.unlock()
	s := x.ownStream(q)
	if s == nil {
		return unknownUUID()
	}
	sub := &subscription{id: x.newID(), stream: s, order: o, created: now}
	s.subscriptions = append(s.subscriptions, sub)
	x.keepTime()
	return answer{status: http.StatusAccepted, body: sub.view(provisioned)}
}

// ownSubscription returns the tenant's subscription that the path names, or nil.
func (x *Exchange) ownSubscription(q *request) *subscription {
	s := x.ownStream(q)
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.subscriptions, func(o *subscription) bool { return o.id == q.PathValue("subscription") })
	if i < 0 {
		return nil
	}
	return s.subscriptions[i]
}

func (x *Exchange) fabricSubscriptions(q *request) answer {
	offset, limit, wrong := readPage(q.URL.Query(), fabInvalid)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	x.lock()
	defer x.unlock()
	s := x.ownStream(q)
	if s == nil {
		return unknownUUID()
	}
	var all []subscriptionView
	for _, sub := range s.subscriptions {
		all = append(all, sub.view(provisioned))
	}
	return answer{status: http.StatusOK, body: pageOf(all, offset, limit, q.URL.Path)}
}

func (x *Exchange) fabricSubscription(q *request) answer {
	x.lock()
	defer x.unlock()
	sub := x.ownSubscription(q)
	if sub == nil {
		return unknownUUID()
	}
	return answer{status: http.StatusOK, body: sub.view(provisioned)}
}

func (x *Exchange) fabricSubscriptionChange(q *request) answer {
	o, wrong := readSubscription(q)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	now := x.lock()
	defer x.unlock()
	sub := x.ownSubscription(q)
	if sub == nil {
		return unknownUUID()
	}
	sub.order, sub.updated = o, now
	x.keepTime()
	return answer{status: http.StatusAccepted, body: sub.view(provisioned)}
}

func (x *Exchange) fabricUnsubscribe(q *request) answer {
	x.lock()
	defer x.unlock()
	sub := x.ownSubscription(q)
	if sub == nil {
		return unknownUUID()
	}
	sub.end()
	sub.stream.subscriptions = slices.DeleteFunc(sub.stream.subscriptions, func(o *subscription) bool { return o == sub })
	return answer{status: http.StatusAccepted, body: sub.view(deprovisioned)}
}

// subscribers are the subscriptions that want events.
func (x *Exchange) subscribers() iter.Seq[*subscription] {
	return func(yield func(*subscription) bool) {
		for _, s := range x.streams {
			for _, sub := range s.subscriptions {
				if sub.enabled() && !yield(sub) {
					return
				}
			}
		}
	}
}
