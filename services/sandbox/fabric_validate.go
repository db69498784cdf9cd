package sandbox

import (
	"fmt"
	"net/http"
	"strconv"
)

const fabBadArgument = "EQ-2041022"

// validated is the answer to a validation that went well.
type validated struct {
	Info []extraInfo        `json:"additionalInfo"`
	Data []fabricConnection `json:"data"`
}

// fabricValidate says whether an authentication key is good for a profile, or whether
// tags of a port are free. The connections that the key is used by already come along.
func (x *Exchange) fabricValidate(q *request) answer {
	asked, ok := flatFilter(q.body)
	if !ok {
		return badArgument("filter", "Only a list of = and IN below filter.and is understood")
	}
	x.lock()
	defer x.unlock()
	const z = "/zSide/accessPoint"
	if id := asked.one(z + "/port/uuid"); id != "" {
		return x.validateTags(q, id, asked)
	}
	key := asked.one(z + "/authenticationKey")
	p := x.profiles[asked.one(z+"/profile/uuid")]
	if p == nil || !p.visibleTo(q.who) {
		return badArgument(z+"/profile/uuid", "Given profile does not exist")
	}
	if region := asked.one(z + "/sellerRegion"); p.region != "" && region != "" && region != p.region {
		return badArgument(z+"/sellerRegion", "Seller region is not offered by the service profile")
	}
	if _, ok := p.keys[key]; len(p.keys) > 0 && !ok {
		return badArgument(z+"/authenticationKey", "Authorization key provided is not valid")
	}
	out := validated{Info: []extraInfo{{"message", "Authorization key provided is valid"}}, Data: []fabricConnection{}}
	for _, c := range q.who.bought {
		if c.profile == p && c.key == key && !c.ended() {
			out.Data = append(out.Data, x.showFabric(c, q.who, q.show))
		}
	}
	return answer{status: http.StatusOK, body: out}
}

// validateTags answers whether the tags of a port are free.
func (x *Exchange) validateTags(q *request, id string, asked asked) answer {
	const link = "/zSide/accessPoint/linkProtocol"
	p := x.ports[id]
	if p == nil || p.owner != q.who || p.managed {
		return badArgument("/zSide/accessPoint/port/uuid", "Port does not exist or not belong to user")
	}
	names := []string{link + "/vlanTag"}
	if p.encap == qinq {
		names = []string{link + "/vlanSTag", link + "/vlanCTag"}
	}
	var tags [2]int
	for i, name := range names {
		n, err := strconv.Atoi(asked.one(name))
		if err != nil && i == 1 && asked.one(name) == "" {
			continue // a whole S-tag
		}
		if err != nil || n < minTag || n > maxTag {
			return badArgument(name, fmt.Sprintf("VLAN must be between %d and %d", minTag, maxTag))
		}
		tags[i] = n
	}
	if (end{p, tag{tags[0], tags[1]}}).busy() {
		return badArgument(names[0], "vlanTag(s) provided is not available")
	}
	return answer{status: http.StatusOK, body: validated{
		Info: []extraInfo{{"message", "vlanTag(s) provided is available"}}, Data: []fabricConnection{}}}
}

func badArgument(property, reason string) answer {
	return answer{status: http.StatusBadRequest, body: fabricErrors{{Code: fabBadArgument,
		Message: "Invalid argument value passed.", Details: reason,
		Info: []fabricCause{{Property: property, Reason: reason}}}}}
}

// asked are the values of a filter by property.
type asked map[string][]string

// flatFilter reads a body whose filter is a list of properties and their values.
func flatFilter(body []byte) (asked, bool) {
	var r searchRequest
	if fabricBody(body, &r) != nil || r.Filter == nil || r.Filter.And == nil {
		return nil, false
	}
	out := make(asked)
	for _, e := range r.Filter.And {
		if e.Property == "" || e.Operator != "=" && e.Operator != "IN" {
			return nil, false
		}
		for _, v := range e.Values {
			out[e.Property] = append(out[e.Property], operandOf(v).text)
		}
	}
	return out, true
}

// one is the first value of a property, or "".
func (a asked) one(property string) string {
	if len(a[property]) == 0 {
		return ""
	}
	return a[property][0]
}
