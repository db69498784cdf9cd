package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// pfTokenLife is how long a login lasts.
const pfTokenLife = 30 * 24 * time.Hour

// Calls in one minute, where the exchange documents a limit. Its windows are fixed.
const (
	pfLogins      = 6
	pfPortChanges = 30
)

// pfMessage is the whole answer of many calls, and every error with its request's id.
type pfMessage struct {
	Message   string `json:"message"`
	RequestID string `json:"request_id,omitempty"`
}

func (x *Exchange) routePacketFabric(handle route) {
	const asked, service, port = "/v2/services/requests/{vc_request_uuid}",
		"/v2/services/{vc_circuit_id}", "/v2/ports/{port_circuit_id}"
	for pattern, o := range map[string]op{
		"POST /v2/services/third-party":             {run: x.pfPostRequest},
		"GET /v2/services/requests":                 {run: x.pfRequests, read: true, list: true},
		"GET " + asked:                              {run: x.pfGetRequest, read: true},
		"DELETE " + asked:                           {run: x.pfDeleteRequest},
		"POST " + asked + "/provision":              {run: x.pfPostProvision},
		"POST " + asked + "/reject":                 {run: x.pfPostReject},
		"GET /v2/services":                          {run: x.pfServices, read: true, list: true},
		"GET " + service:                            {run: x.pfGetService, read: true},
		"PATCH " + service:                          {run: x.pfPatchService},
		"DELETE " + service:                         {run: x.pfDeleteService},
		"POST /v2/services/backbone":                {run: x.pfPostBackbone},
		"GET /v2.1/services/{vc_circuit_id}/status": {run: x.pfServiceStatus, read: true},
		"GET /v2/ports":                             {run: x.pfPorts},
		"GET " + port:                               {run: x.pfGetPort},
		"GET " + port + "/vlan-summary":             {run: x.pfVLANs},
		"POST " + port + "/enable":                  {run: x.pfEnable},
		"POST " + port + "/disable":                 {run: x.pfDisable},
		"GET /v2.1/ports/{port_circuit_id}/status":  {run: x.pfPortStatus},
		"GET /v2/locations/markets":                 {run: x.pfMarkets},
		"GET /v2/marketplace/services":              {run: x.pfMarketplace},
		"GET /v2/activity-logs":                     {run: x.pfActivity},
		"GET /v2/auth/logout":                       {run: x.pfLogout},
	} {
		o.auth = true
		handle(pattern, x.pfOp(o))
	}
	handle("POST /v2/auth/login", x.pfOp(op{run: x.pfLogin}))
	nothing := x.pfOp(op{run: func(q *request) answer { return pfNoSuchURL(q) }})
	handle("/v2/", nothing)
	handle("/v2.1/", nothing)
}

// pfOp is o as this API does it: every error has a request id.
func (x *Exchange) pfOp(o op) op {
	run := o.run
	o.run = func(q *request) answer { return x.pfSigned(run(q)) }
	o.speaks = &dialect{
		names: x.pfNames,
		unauthorized: func() answer {
			return x.pfSigned(answer{status: http.StatusUnauthorized, body: pfMessage{Message: "Unauthorized"}})
		},
		tooLarge: func() answer {
			return x.pfSigned(answer{status: http.StatusRequestEntityTooLarge,
				body: pfMessage{Message: "Request body could not be read"}})
		},
		instead: x.pfInstead,
		partial: pfPartial,
	}
	return o
}

// pfSigned gives an error the id of its request.
func (x *Exchange) pfSigned(a answer) answer {
	if m, ok := a.body.(pfMessage); ok && a.status >= 400 {
		x.mu.Lock()
		m.RequestID = x.randomID()
		x.mu.Unlock()
		a.body = m
	}
	return a
}

// pfInstead is the body of a fault's answer, empty where it is not this API's own.
func (x *Exchange) pfInstead(kind string, status int) string {
	switch kind {
	case ForeignError, Garbage, Redirect:
		return ""
	}
	a := x.pfSigned(answer{status: status, body: pfMessage{Message: http.StatusText(status)}})
	b, err := json.Marshal(a.body)
	if err != nil {
		panic(err) // two strings
	}
	return string(b) + "\n"
}

// pfPartial is body without the id that a client needs most.
func pfPartial(body any) any {
	switch b := body.(type) {
	case pfRequestView:
		b.VCRequestUUID = ""
		return b
	case pfCircuitView:
		b.VCCircuitID = ""
		return b
	}
	return body
}

// pfNames returns the description of the circuit that q is about.
func (x *Exchange) pfNames(q *request) []string {
	id := q.PathValue("vc_request_uuid") + q.PathValue("vc_circuit_id")
	if id != "" {
		x.lock()
		defer x.unlock()
		if v := x.pfFind(id); v != nil {
			return []string{v.description}
		}
		return nil
	}
	if q.Method != http.MethodPost {
		return nil
	}
	var b struct{ Description string }
	// A body that is no JSON has no description; the operation says what is wrong with it.
	_ = json.Unmarshal(q.body, &b)
	return []string{b.Description}
}

// refuse is the answer for r.
func (r *pfRefusal) answer() answer {
	return answer{status: r.status, body: pfMessage{Message: r.message}}
}

// pfNoSuchURL is what the exchange says of a path it does not have, and of an id of the
// wrong kind in one it has.
func pfNoSuchURL(q *request) answer {
	return (&pfRefusal{http.StatusNotFound, fmt.Sprintf("Requested URL %s not found", q.URL.Path)}).answer()
}

// pfForbidden refuses a party of the circuit what only the other may do.
func pfForbidden(what string) answer {
	return (&pfRefusal{http.StatusForbidden, "Forbidden: " + what}).answer()
}

// pfTooMany is the answer above a rate limit. The exchange's own body and headers for it
// are not known.
func pfTooMany() answer {
	return (&pfRefusal{http.StatusTooManyRequests, "Too Many Requests"}).answer()
}

// pfWindow counts the calls of a fixed minute.
type pfWindow struct {
	minute time.Time
	calls  int
}

// exceeded counts a call under key and reports whether that was one too many.
func (f *packetFabric) exceeded(key string, most int, now time.Time) bool {
	w := f.windows[key]
	if w == nil {
		w = &pfWindow{}
		f.windows[key] = w
	}
	if minute := now.Truncate(time.Minute); !w.minute.Equal(minute) {
		w.minute, w.calls = minute, 0
	}
	w.calls++
	return w.calls > most
}

// pfSecret is the token or API key of r, which stands alone or after "Bearer".
func pfSecret(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// pfCaller tells who sends r: by its token or key, or by its login where it has none yet.
// The exchange is locked.
func (x *Exchange) pfCaller(r *http.Request, body []byte, now time.Time) *tenant {
	f := &x.pf
	if r.URL.Path == "/v2/auth/login" {
		var c pfCredentials
		// What is no JSON comes from nobody; the operation refuses it.
		_ = json.Unmarshal(body, &c)
		return f.login(c.Login)
	}
	secret := pfSecret(r)
	if t, ok := f.tokens[secret]; ok {
		if now.Before(t.expires) {
			return t.tenant
		}
		delete(f.tokens, secret)
		return nil
	}
	if c := f.customer(func(c *pfCustomer) bool { return secret == c.apiKey }); c != nil {
		return c.tenant
	}
	return nil
}

func (f *packetFabric) login(login string) *tenant {
	c := f.customer(func(c *pfCustomer) bool { return c.tenant.user.login == login })
	if c == nil {
		return nil
	}
	return c.tenant
}

type pfCredentials struct {
	Login    string `json:"login"`
	Password string `json:"password"`
}

// pfLogin gives a token. Who logs in too often is refused even with the right password.
func (x *Exchange) pfLogin(q *request) answer {
	now := x.lock()
	defer x.unlock()
	f := &x.pf
	b, wrong := pfParse(q.body)
	login, password := b.text("login", true), b.text("password", true)
	if f.exceeded("login "+login, pfLogins, now) {
		return pfTooMany()
	}
	if bad := wrong.refusal(); bad != nil {
		return bad.answer()
	}
	t := f.login(login)
	if t == nil || t.password != password {
		return answer{status: http.StatusUnauthorized, body: pfMessage{Message: "Invalid login or password"}}
	}
	secret, expires := strings.ReplaceAll(x.randomID(), "-", ""), now.Add(pfTokenLife)
	f.tokens[secret] = token{t, expires}
	return answer{status: http.StatusOK, body: struct {
		Token       string `json:"token"`
		TimeExpires string `json:"time_expires"`
	}{secret, pfTime(expires)}}
}

// pfLogout ends a login. An API key is for ever.
func (x *Exchange) pfLogout(q *request) answer {
	x.lock()
	defer x.unlock()
	delete(x.pf.tokens, pfSecret(q.Request))
	return answer{status: http.StatusOK, body: pfMessage{Message: "Logged out"}}
}

// pfBody is a JSON object of a request. Reading a field notes what is wrong with it, in the
// words of the library whose texts the exchange's known errors are.
type pfBody struct {
	fields map[string]json.RawMessage
	path   string
	wrong  *pfWrong
}

// pfWrong is all that is wrong with a body.
type pfWrong []string

func (w pfWrong) refusal() *pfRefusal {
	if len(w) == 0 {
		return nil
	}
	return pfBadParam("%s", strings.Join(w, ", "))
}

// pfParse reads a body that may be empty.
func pfParse(body []byte) (pfBody, *pfWrong) {
	b := pfBody{wrong: new(pfWrong)}
	if len(strings.TrimSpace(string(body))) > 0 && json.Unmarshal(body, &b.fields) != nil {
		*b.wrong = pfWrong{"Request body is not a valid JSON object"}
	}
	return b, b.wrong
}

func (b pfBody) fail(field, text string) {
	*b.wrong = append(*b.wrong, b.path+field+": "+text)
}

// has reports whether a field is there and not null, and notes it if it has to be.
func (b pfBody) has(field string, required bool) bool {
	raw, ok := b.fields[field]
	if ok && string(raw) != "null" {
		return true
	}
	if required {
		b.fail(field, "field required")
	}
	return false
}

func (b pfBody) text(field string, required bool) string {
	var s string
	if b.has(field, required) && json.Unmarshal(b.fields[field], &s) != nil {
		b.fail(field, "str type expected")
	}
	return s
}

// one is a text that must be one of some words.
func (b pfBody) one(field string, required bool, words ...string) string {
	s := b.text(field, required)
	if !b.has(field, false) {
		return ""
	}
	for _, w := range words {
		if s == w {
			return s
		}
	}
	b.fail(field, "value is not a valid enumeration member; permitted: '"+strings.Join(words, "', '")+"'")
	return ""
}

// number is a whole number within bounds, 0 if it is not there.
func (b pfBody) number(field string, least, most int) int {
	if !b.has(field, false) {
		return 0
	}
	n, err := strconv.Atoi(string(b.fields[field]))
	switch {
	case err != nil:
		b.fail(field, "value is not a valid integer")
	case n < least:
		b.fail(field, fmt.Sprintf("ensure this value is greater than or equal to %d", least))
	case n > most:
		b.fail(field, fmt.Sprintf("ensure this value is less than or equal to %d", most))
	default:
		return n
	}
	return 0
}

func (b pfBody) flag(field string) bool {
	var v bool
	if b.has(field, false) && json.Unmarshal(b.fields[field], &v) != nil {
		b.fail(field, "value could not be parsed to a boolean")
	}
	return v
}

// object is a field that is an object; an empty one if it is not there.
func (b pfBody) object(field string, required bool) pfBody {
	o := pfBody{path: b.path + field + ".", wrong: b.wrong}
	if b.has(field, required) && json.Unmarshal(b.fields[field], &o.fields) != nil {
		b.fail(field, "value is not a valid dict")
	}
	return o
}

// objects is a field that is a list of objects.
func (b pfBody) objects(field string, required bool) []pfBody {
	var list []map[string]json.RawMessage
	if b.has(field, required) && json.Unmarshal(b.fields[field], &list) != nil {
		b.fail(field, "value is not a valid list")
	}
	var out []pfBody
	for i, fields := range list {
		out = append(out, pfBody{fields, fmt.Sprintf("%s%s.%d.", b.path, field, i), b.wrong})
	}
	return out
}
