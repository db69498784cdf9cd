package sandbox

import (
	"errors"
	"net/http"
	"slices"
)

// Codes of the ECX v3 wire. Those marked "ours" stand where the real exchange's code
// is not known.
const (
	codeInvalid     = "IC-LAYER2-402"
	codeEnded       = "IC-LAYER2-4021"
	codeUnknown     = "IC-LAYER2-4023"
	codePort        = "IC-LAYER2-PORTS-001"
	codeKey         = "IC-LAYER2-AUTH-004"
	codeKeyUsed     = "IC-LAYER2-AUTH-006"
	codeDevice      = "IC-NFV-CON-06"
	codeNotAllowed  = "IC-USR-403-DELETE"
	codeTagInUse    = "IC-LAYER2-4091" // ours
	codeInMotion    = "IC-LAYER2-4092" // ours
	codeNotPending  = "IC-LAYER2-4093" // ours
	codeNoSuchThing = "IC-LAYER2-404"  // ours
)

// violation is one thing that is wrong with a request.
type violation struct {
	Code     string `json:"errorCode"`
	Message  string `json:"errorMessage"`
	More     string `json:"moreInfo,omitempty"`
	Property string `json:"property,omitempty"`
}

// violations are all that is wrong with a request. A 400 carries them as an array.
type violations []violation

func (v *violations) add(code, message, property string) {
	*v = append(*v, violation{Code: code, Message: message, Property: property})
}

// invalid adds a violation of the general kind, whose news is in moreInfo.
func (v *violations) invalid(property, more string) {
	*v = append(*v, violation{Code: codeInvalid, Message: "Invalid Request", More: more, Property: property})
}

// answer says each violation once: both legs of a pair may suffer from the same.
func (v violations) answer() answer {
	var once violations
	for _, w := range v {
		if !slices.Contains(once, w) {
			once = append(once, w)
		}
	}
	return answer{status: http.StatusBadRequest, body: once}
}

func refuse(code, message, property string) answer {
	return violations{{Code: code, Message: message, Property: property}}.answer()
}

// notFound answers what the exchange has no path or thing for, with an object.
func notFound() answer {
	return answer{status: http.StatusNotFound, body: violation{Code: codeNoSuchThing, Message: "Not Found"}}
}

func unknownConnection() answer {
	return refuse(codeUnknown, "Connection does not exist or do not belong to user,Please check connection Id", "uuid")
}

// saved is the answer to a command on one or two connections.
type saved struct {
	Message               string `json:"message"`
	PrimaryConnectionID   string `json:"primaryConnectionId"`
	SecondaryConnectionID string `json:"secondaryConnectionId,omitempty"`
	Status                string `json:"status,omitempty"`
}

func done(message string, c *circuit) answer {
	return answer{status: http.StatusOK, body: saved{Message: message, PrimaryConnectionID: c.id}}
}

func (x *Exchange) routeECX(handle route) {
	const v3 = "/ecx/v3"
	for pattern, o := range map[string]op{
		"POST " + v3 + "/l2/connections":                         {run: x.ecxCreate},
		"GET " + v3 + "/l2/connections/{uuid}":                   {run: x.ecxGet, read: true},
		"PATCH " + v3 + "/l2/connections/{uuid}":                 {run: x.ecxPatch},
		"DELETE " + v3 + "/l2/connections/{uuid}":                {run: x.ecxDelete},
		"GET " + v3 + "/l2/connections/validateAuthorizationKey": {run: x.ecxValidateKey},
		"GET " + v3 + "/l2/buyer/connections":                    {run: x.ecxBought, read: true, list: true},
		"GET " + v3 + "/l2/seller/connections":                   {run: x.ecxSold, read: true, list: true},
		"GET " + v3 + "/l2/serviceprofiles/services":             {run: x.ecxProfiles},
		"GET " + v3 + "/l2/serviceprofiles/services/{profile}":   {run: x.ecxProfile},
		"GET " + v3 + "/l2/serviceprofiles":                      {run: x.ecxOwnProfiles},
		"GET " + v3 + "/l2/serviceprofiles/{profile}":            {run: x.ecxOwnProfile},
		"POST " + v3 + "/l2/serviceprofiles":                     {run: x.ecxProfileCreate},
		"PUT " + v3 + "/l2/serviceprofiles":                      {run: x.ecxProfileReplace},
		"DELETE " + v3 + "/l2/serviceprofiles/{profile}":         {run: x.ecxProfileDelete},
		"GET " + v3 + "/port/userport":                           {run: x.ecxPorts},
		"GET " + v3 + "/l2/common/metros":                        {run: x.ecxMetros},
		"GET " + v3 + "/l2/buyerPreference":                      {run: x.ecxPreference},
	} {
		o.auth = true
		handle(pattern, o)
	}
}

// of returns the circuit that the path names if q's tenant is a party to it.
func (x *Exchange) of(q *request) *circuit {
	c := x.circuits[q.PathValue("uuid")]
	if c == nil || q.who != c.buyer && q.who != c.seller {
		return nil
	}
	return c
}

func (x *Exchange) ecxGet(q *request) answer {
	x.lock()
	defer x.unlock()
	c := x.of(q)
	if c == nil {
		return unknownConnection()
	}
	return answer{status: http.StatusOK, body: x.showCircuit(c, q.show)}
}

func (x *Exchange) ecxDelete(q *request) answer {
	now := x.lock()
	defer x.unlock()
	c := x.of(q)
	if c == nil {
		return unknownConnection()
	}
	if q.who != c.buyer {
		return answer{status: http.StatusForbidden, body: violations{{
			Code: codeNotAllowed, Message: "User does not have permission to delete the connection"}}}
	}
	if err := x.remove(c, now, q.who.user); err != nil {
		return failed(err)
	}
	return done("deleted connection successfully", c)
}

// failed is the answer for a command that the circuit's state does not allow.
func failed(err error) answer {
	switch {
	case errors.Is(err, errEnded):
		return refuse(codeEnded, "Connection is already deleted", "uuid")
	case errors.Is(err, errNotPending):
		return refuse(codeNotPending, "Connection is not pending for approval", "uuid")
	}
	return refuse(codeInMotion, "Connection is in transient state, please try again later", "uuid")
}
