package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
)

const fabricConnections = "/fabric/v4/connections"

func (x *Exchange) fabricConnectionOps() map[string]op {
	const one = fabricConnections + "/{uuid}"
	return map[string]op{
		"POST " + fabricConnections:               {run: x.fabricCreate},
		"POST " + fabricConnections + "/validate": {run: x.fabricValidate},
		"POST " + fabricConnections + "/search":   {run: x.fabricSearch, read: true, list: true},
		"GET " + one:                              {run: x.fabricGet, read: true},
		"PATCH " + one:                            {run: x.fabricPatch},
		"DELETE " + one:                           {run: x.fabricDelete},
		"POST " + one + "/actions":                {run: x.fabricAction},
		"POST /fabric/v4/prices/search":           {run: x.fabricPrices},
	}
}

// fabricNames are the names of the circuits that a call is about.
func (x *Exchange) fabricNames(q *request) []string {
	if id := q.PathValue("uuid"); id != "" {
		x.lock()
		defer x.unlock()
		if c := x.circuits[id]; c != nil {
			return []string{c.name}
		}
		return nil
	}
	if q.Method != http.MethodPost {
		return nil
	}
	var named struct{ Name string }
	// A body that is no JSON has no name; the operation says what is wrong with it.
	_ = json.Unmarshal(q.body, &named)
	return []string{named.Name}
}

// fabricPartial is an answer without the redundancy that a secondary order needs.
func fabricPartial(body any) any {
	if v, ok := body.(fabricConnection); ok {
		v.Redundancy = nil
		return v
	}
	return body
}

// party returns the circuit that the path names if q's tenant may see it.
func (x *Exchange) party(q *request) *circuit {
	c := x.circuits[q.PathValue("uuid")]
	if c == nil || !slices.Contains(c.parties(), q.who) {
		return nil
	}
	return c
}

// fabricUnknown is the answer for a circuit that is not there, or not the caller's: of
// the two documented ones the 400, which a sample gives for this very call.
func fabricUnknown() answer {
	return answer{status: http.StatusBadRequest, body: fabricErrors{{Code: fabUnknown,
		Message: "Connection does not exist or do not belong to user,Please check connection Id"}}}
}

// fabricFailed is the answer for a command that the circuit's state does not allow.
func fabricFailed(err error) answer {
	if errors.Is(err, errEnded) {
		return fabricRefusal(http.StatusBadRequest, fabDeleted, "Connection already deleted", "uuid")
	}
	return fabricRefusal(http.StatusBadRequest, fabTransient, "Connection is in transient state", "uuid")
}

func (x *Exchange) fabricGet(q *request) answer {
	direction := q.URL.Query().Get("direction")
	x.lock()
	defer x.unlock()
	c := x.party(q)
	if c == nil || direction != "" && !strings.EqualFold(direction, c.direction(q.who)) {
		return fabricUnknown()
	}
	return answer{status: http.StatusOK, body: x.showFabric(c, q.who, q.show)}
}

func (x *Exchange) fabricDelete(q *request) answer {
	now := x.lock()
	defer x.unlock()
	c := x.party(q)
	if c == nil {
		return fabricUnknown()
	}
	if q.who != c.buyer {
		return fabricRefusal(http.StatusForbidden, fabNotAllowed, "account is not authorized", "")
	}
	if err := x.remove(c, now, q.who.user); err != nil {
		return fabricFailed(err)
	}
	return answer{status: http.StatusOK, body: x.showFabric(c, q.who, showing{})}
}
