package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// patchOp is one operation of a JSON Patch.
type patchOp struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// fabricTokenPatch changes a token that nobody has redeemed.
func (x *Exchange) fabricTokenPatch(q *request) answer {
	var ops []patchOp
	if err := json.Unmarshal(q.body, &ops); err != nil || len(ops) == 0 {
		var wrong fabricErrors
		wrong.invalid("", "body must be a JSON Patch with at least one operation")
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
	changed := *t // the token as it will be, if all is well
	var wrong fabricErrors
	for i, o := range ops {
		changed.patch(o, now, strconv.Itoa(i), &wrong)
	}
	if len(wrong) > 0 {
		return wrong.answer()
	}
	if dryRun(q) {
		return answer{status: http.StatusOK, body: changed.view()}
	}
	changed.updated, changed.updatedBy = now, q.who.user
	moved := !changed.expires.Equal(t.expires)
	*t = changed
	if moved {
		x.planExpiry(t)
	}
	x.spent = append(x.spent, t)
	x.tokenEvent(t, tokenNews{"attribute.changed", "Token successfully updated"}, now, q.who.user)
	return answer{status: http.StatusOK, body: t.view()}
}

// patch carries out one operation, the n-th. The paths are those of the samples.
func (t *serviceToken) patch(o patchOp, now time.Time, n string, wrong *fabricErrors) {
	if !slices.Contains([]string{"replace", "add"}, o.Op) {
		wrong.invalid("/"+n+"/op", "must be replace or add")
		return
	}
	read := func(v any) bool {
		if err := json.Unmarshal(o.Value, v); err != nil {
			wrong.invalid("/"+n+"/value", "is of the wrong type for "+o.Path)
			return false
		}
		return true
	}
	switch o.Path {
	case "/name":
		read(&t.name)
	case "/description":
		read(&t.description)
	case "/expirationDateTime":
		var text string
		if read(&text) {
			t.expires = readExpiry(text, now, wrong)
		}
	case "/notifications":
		t.notices = nil
		if read(&t.notices) {
			checkNotices(t.notices, wrong)
		}
	case "/notifications/emails":
		var emails []string
		if read(&emails) {
			kind := "NOTIFICATION"
			if len(t.notices) > 0 {
				kind = t.notices[0].Type
			}
			t.notices = []notice{{Type: kind, Emails: emails}}
			checkNotices(t.notices, wrong)
		}
	case "/connection/bandwidthLimit":
		if read(&t.limit) {
			checkBandwidths(t.limit, nil, wrong)
		}
	case "/connection/supportedBandwidths":
		t.bandwidths = nil // not the array that the unchanged token has
		if read(&t.bandwidths) {
			checkBandwidths(0, t.bandwidths, wrong)
		}
	default:
		wrong.invalid("/"+n+"/path", "cannot be changed: "+o.Path)
	}
}
