package sandbox

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
)

// replacement is one operation of a JSON Patch.
type replacement struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// fabricUpdate is what a patch comes to. What is nil stays as it is.
type fabricUpdate struct {
	name    *string
	speed   *speed
	term    *int
	notices []notice
}

// fabricPatch renames a circuit, or changes its term or its notifications, at once, and
// asks for another bandwidth, for which the seller may have to be asked.
func (x *Exchange) fabricPatch(q *request) answer {
	now := x.lock()
	defer x.unlock()
	if kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || kind != "application/json-patch+json" {
		return fabricRefusal(http.StatusUnsupportedMediaType, fabMediaType,
			"Unsupported media type, application/json-patch+json is required", "contentType")
	}
	c := x.party(q)
	if c == nil {
		return fabricUnknown()
	}
	if q.who != c.buyer {
		return fabricForbidden()
	}
	var ops []replacement
	if wrong := fabricBody(q.body, &ops); wrong != nil {
		return wrong.answer()
	}
	u, wrong := c.readPatch(ops)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	if strings.EqualFold(q.URL.Query().Get("dryRun"), "true") {
		return answer{status: http.StatusOK, body: x.tryUpdate(c, u)}
	}
	if err := x.update(c, u, now); err != nil {
		return fabricFailed(err)
	}
	return answer{status: http.StatusAccepted, body: x.showFabric(c, q.who, showing{})}
}

// readPatch understands a patch of c.
func (c *circuit) readPatch(ops []replacement) (fabricUpdate, fabricErrors) {
	var u fabricUpdate
	var wrong fabricErrors
	if len(ops) == 0 {
		wrong.invalid("", "At least one operation is required")
	}
	for _, o := range ops {
		if o.Op != "replace" {
			wrong.invalid("/op", fmt.Sprintf("Operation %q is not supported", o.Op))
			continue
		}
		var into any
		switch o.Path {
		case "/name":
			into = &u.name
		case "/bandwidth":
			u.speed = new(speed)
			into = &u.speed.value
		case "/order/termLength":
			into = &u.term
		case "/notifications":
			into = &u.notices
		default:
			wrong.invalid("/path", fmt.Sprintf("Path %q cannot be updated at this exchange", o.Path))
			continue
		}
		if json.Unmarshal(o.Value, into) != nil {
			wrong.invalid(o.Path, "Invalid value")
			continue
		}
		c.check(o.Path, &u, &wrong)
	}
	return u, wrong
}

// check notes what is wrong with the value for path.
func (c *circuit) check(path string, u *fabricUpdate, wrong *fabricErrors) {
	switch path {
	case "/name":
		if u.name == nil {
			u.name = new(string)
		}
		wrong.name(path, *u.name)
	case "/order/termLength":
		if u.term == nil {
			u.term = new(int)
		}
		wrong.term(path, *u.term)
	case "/notifications":
		wrong.notices(path, u.notices)
	case "/bandwidth":
		*u.speed = speedOf(u.speed.value)
		switch mbps := u.speed.mbps(); {
		case mbps <= 0 || mbps > maxBandwidth:
			wrong.invalid(path, fmt.Sprintf("Bandwidth must be between 1 and %d", maxBandwidth))
		case c.profile != nil && (!c.profile.sells(*u.speed) || c.profile.keySpeed):
			wrong.add(fabNoBandwidth, "Requested bandwidth is not supported by service profile", path)
		default:
			c.checkTokens(mbps, wrong)
		}
	}
}

// checkTokens notes if a token that c was ordered with does not allow the bandwidth.
func (c *circuit) checkTokens(mbps int, wrong *fabricErrors) {
	for property, id := range map[string]string{
		"/aSide/serviceToken/uuid": c.fabric.AToken, "/zSide/serviceToken/uuid": c.fabric.ZToken,
	} {
		if t := c.home.passes[id]; t != nil && !t.sells(mbps) {
			*wrong = append(*wrong, t.unfit(mbps, "", property)...)
		}
	}
}

// update carries out u wholly or not at all.
func (x *Exchange) update(c *circuit, u fabricUpdate, now time.Time) error {
	by := c.buyer.user
	switch {
	case c.ended():
		return errEnded
	case c.status == pendingDelete || c.status == deprovisioning:
		return errInMotion
	}
	if u.speed != nil && u.speed.mbps() != c.speed.mbps() {
		if err := x.resize(c, *u.speed, now, by); err != nil {
			return err
		}
	}
	if u.name != nil {
		if err := x.rename(c, *u.name, now, by); err != nil {
			return err
		}
	}
	c.updatedBy = by
	if u.term != nil {
		c.fabric.Term = *u.term
		c.replaced(now, "/order/termLength", *u.term)
		c.note(now, by.login, "term is now "+fmt.Sprint(*u.term))
	}
	if u.notices != nil {
		c.fabric.Notices, c.notifications = u.notices, addresses(u.notices)
		c.replaced(now, "/notifications", u.notices)
		c.note(now, by.login, "notifications changed")
	}
	return nil
}

// tryUpdate shows c as u would make it.
func (x *Exchange) tryUpdate(c *circuit, u fabricUpdate) fabricConnection {
	v := x.showFabric(c, c.buyer, showing{})
	if u.name != nil {
		v.Name = *u.name
	}
	if u.speed != nil {
		v.Bandwidth, v.Order.BillingTier = u.speed.mbps(), billingTier(u.speed.mbps())
	}
	if u.term != nil {
		v.Order.Term = *u.term
	}
	if u.notices != nil {
		v.Notifications = u.notices
	}
	return v
}
