package sandbox

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// Codes of the Fabric v4 wire that several operations use. Those marked "ours" stand
// where the real exchange's code is not known.
const (
	fabInvalid     = "EQ-3142501"
	fabDuplicate   = "EQ-3142102"
	fabDeleted     = "EQ-3142509"
	fabTransient   = "EQ-3142510"
	fabUnknown     = "EQ-3142519"
	fabUser        = "EQ-3000039"
	fabForbidden   = "EQ-3045003"
	fabNotAllowed  = "EQ-3142401"
	fabNoSuchPath  = "EQ-3045811"
	fabBadMethod   = "EQ-3142569"
	fabBadSearch   = "EQ-3000035"
	fabInternal    = "EQ-3045004"
	fabThrottled   = "EQ-3000429" // ours
	fabTooLarge    = "EQ-3000413" // ours
	fabMediaType   = "EQ-3040016"
	fabInvalidText = "Invalid input"
)

// fabricError is one thing that is wrong with a request to Fabric.
type fabricError struct {
	Code          string        `json:"errorCode"`
	Message       string        `json:"errorMessage"`
	CorrelationID string        `json:"correlationId,omitempty"`
	Details       string        `json:"details,omitempty"`
	Help          string        `json:"help,omitempty"`
	Info          []fabricCause `json:"additionalInfo,omitempty"`
}

// fabricCause says where a request is wrong.
type fabricCause struct {
	Property string `json:"property,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// fabricErrors are all that is wrong with a request. Fabric answers every refusal with
// such an array. The endpoint adds the correlation id.
type fabricErrors []fabricError

func (e *fabricErrors) add(code, message, property string) {
	*e = append(*e, fabricFault(code, message, property))
}

// invalid adds a violation of the general kind.
func (e *fabricErrors) invalid(property, reason string) {
	*e = append(*e, fabricError{Code: fabInvalid, Message: fabInvalidText, Details: reason,
		Info: []fabricCause{{Property: property, Reason: reason}}})
}

// answer is a 400 that says each violation once.
func (e fabricErrors) answer() answer {
	var once fabricErrors
	for _, one := range e {
		if !slices.ContainsFunc(once, one.equal) {
			once = append(once, one)
		}
	}
	return answer{status: http.StatusBadRequest, body: once}
}

func (e fabricError) equal(o fabricError) bool {
	return e.Code == o.Code && e.Message == o.Message && slices.Equal(e.Info, o.Info)
}

func fabricFault(code, message, property string) fabricError {
	e := fabricError{Code: code, Message: message}
	if property != "" {
		e.Info = []fabricCause{{Property: property, Reason: message}}
	}
	return e
}

// fabricRefusal is an answer with one error.
func fabricRefusal(status int, code, message, property string) answer {
	return answer{status: status, body: fabricErrors{fabricFault(code, message, property)}}
}

func fabricBadBearer() answer {
	return fabricRefusal(http.StatusUnauthorized, fabUser, "User not found in request or invalid.", "")
}

func fabricForbidden() answer {
	return answer{status: http.StatusForbidden, body: fabricErrors{{Code: fabForbidden,
		Message: "Operation not allowed", Details: "Operation not allowed for current user"}}}
}

// correlate returns body with the correlation id in each error that has none: the
// caller's own, or else one that belongs to the call.
func correlate(body any, q *request) any {
	list, ok := body.(fabricErrors)
	if !ok {
		return body
	}
	id := cmp.Or(q.Header.Get("X-Correlation-Id"),
		derivedID("correlation", q.Method, q.URL.String(), time.Now().Format(time.RFC3339Nano)))
	out := slices.Clone(list)
	for i := range out {
		out[i].CorrelationID = cmp.Or(out[i].CorrelationID, id)
	}
	return out
}

// fabricInstead is the body of a fault's answer.
func fabricInstead(kind string, status int) string {
	switch {
	case kind == Throttle:
		return `[{"errorCode":"` + fabThrottled + `","errorMessage":"Request rejected due to rate limiting"}]` + "\n"
	case kind == ErrorBefore || kind == ErrorAfter || status >= 500:
		return `[{"errorCode":"` + fabInternal + `","errorMessage":"Internal Server Error"}]` + "\n"
	}
	return ""
}
