package sandbox

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// fabricBase is what every link of Fabric begins with, as at the real exchange.
const fabricBase = "https://api.equinix.com/fabric/v4"

// face is how a circuit shows at Fabric.
type face struct {
	state, equinix, provider string
	change                   string // its status
	name                     string
	bandwidth                int
}

// happening is a change of a circuit, for those who watch it.
type happening struct {
	circuit       *circuit
	at            time.Time
	by            string // login of who did it; "exchange" for the exchange itself
	what          string // for people
	before, after face   // before is zero for a new circuit
}

// show renews c's face, and its place in what its parties search.
func (c *circuit) show() {
	before, w := c.face.equinix, c.fabricWords()
	c.face = face{state: w.state, equinix: w.equinix, provider: w.provider, change: c.change.Status,
		name: c.name, bandwidth: c.speed.mbps()}
	for _, t := range c.parties() {
		t.shelf.put(c, before)
	}
}

// fabricStates are Fabric's state, equinixStatus and providerStatus for the exchange's
// own statuses. What is not here has a state of its own; see [circuit.fabricWords].
var fabricStates = map[string]face{
	pendingApproval:     {state: "PENDING", equinix: pendingApproval, provider: notAvailable},
	pendingAutoApproval: {state: provisioning, equinix: provisioning, provider: provisioning},
	provisioned:         {state: provisioned, equinix: provisioned, provider: available},
	pendingDelete:       {state: provisioned, equinix: pendingDelete, provider: available},
	deprovisioning:      {state: deprovisioning, equinix: deprovisioning, provider: deprovisioning},
	deprovisioned:       {state: deprovisioned, equinix: deprovisioned, provider: deprovisioned},
	deleted:             {state: deprovisioned, equinix: deleted, provider: deprovisioned},
	rejected:            {state: "FAILED", equinix: rejected, provider: rejected},
	autoApprovalFailed:  {state: "FAILED", equinix: autoApprovalFailed, provider: "FAILED"},
	notProvisioned:      {state: "FAILED", equinix: notProvisioned, provider: "FAILED"},
	notDeprovisioned:    {state: "FAILED", equinix: notDeprovisioned, provider: "FAILED"},
}

// fabricWords are c's words at Fabric. Words that an edit has forced are shown as they
// are, with the state that goes with the status, or "" where none does.
func (c *circuit) fabricWords() face {
	w := fabricStates[c.status]
	switch {
	case c.status == provisioning && c.profile != nil:
		w = face{state: provisioning, equinix: provisioning, provider: provisioning}
	case c.status == provisioning:
		w = face{state: provisioning, equinix: provisioning, provider: notAvailable}
	case c.status == rejected && c.acknowledged:
		w.equinix = "REJECTED_ACK"
	case c.status == provisioned && c.wanted != nil && !c.wantsConsent:
		w.state = "REPROVISIONING"
	}
	if c.forced {
		w.equinix, w.provider = c.status, c.providerStatus
	}
	return w
}

// fabricDialect is how Fabric says what every API has to say.
func (x *Exchange) fabricDialect() *dialect {
	return &dialect{
		names:        x.fabricNames,
		unauthorized: fabricBadBearer,
		tooLarge: func() answer {
			return fabricRefusal(http.StatusRequestEntityTooLarge, fabTooLarge, "Request body could not be read", "")
		},
		instead: fabricInstead,
		partial: fabricPartial,
	}
}

// routeFabric adds the Fabric API. What is no operation is answered 405 where the path
// is one, and 404 where it is not.
func (x *Exchange) routeFabric(handle route) {
	ops := x.fabricConnectionOps()
	for _, more := range []map[string]op{x.fabricTokenOps(), x.fabricPortOps(), x.fabricProfileOps(), x.fabricMetroOps(),
		x.fabricEventOps(), x.fabricStreamOps()} {
		maps.Copy(ops, more)
	}
	speaks := x.fabricDialect()
	var paths []string
	for pattern, o := range ops {
		o.auth, o.speaks = true, speaks
		handle(pattern, o)
		_, path, _ := strings.Cut(pattern, " ")
		paths = append(paths, path)
	}
	handle("/fabric/v4/", op{auth: true, speaks: speaks, run: func(q *request) answer {
		for _, p := range paths {
			if samePath(p, q.URL.Path) {
				return answer{status: http.StatusMethodNotAllowed, body: fabricErrors{{Code: fabBadMethod,
					Message: "Method not supported, Please check the URL passed", Details: "Method:" + q.Method}}}
			}
		}
		return fabricRefusal(http.StatusNotFound, fabNoSuchPath, "path not found", "")
	}})
}

// samePath reports whether path is one of template.
func samePath(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, w := range want {
		if w != got[i] && !strings.HasPrefix(w, "{") {
			return false
		}
	}
	return true
}
