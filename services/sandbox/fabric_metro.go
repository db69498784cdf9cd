package sandbox

import "net/http"

// fabBadMetro is the code of what is wrong with a request for metros.
const fabBadMetro = "EQ-3036013"

func (x *Exchange) fabricMetroOps() map[string]op {
	return map[string]op{
		"GET /fabric/v4/metros":         {run: x.fabricMetros},
		"GET /fabric/v4/metros/{metro}": {run: x.fabricMetro},
		"GET /fabric/v4/health":         {run: x.fabricHealth},
	}
}

// fabricMetroView is a metro as Fabric spells it.
type fabricMetroView struct {
	Href      string           `json:"href"`
	Type      string           `json:"type"`
	Code      string           `json:"code"`
	Region    string           `json:"region"`
	Name      string           `json:"name"`
	Bandwidth int              `json:"localVCBandwidthMax"`
	Connected []connectedMetro `json:"connectedMetros"`
}

type connectedMetro struct {
	Href      string `json:"href"`
	Code      string `json:"code"`
	Bandwidth int    `json:"remoteVCBandwidthMax"`
}

func metroHref(code string) string { return fabricBase + "/metros/" + code }

// showMetro renders m, which is connected with every other metro.
func (x *Exchange) showMetro(m metro) fabricMetroView {
	v := fabricMetroView{Href: metroHref(m.code), Type: "XF_METRO", Code: m.code, Region: m.region, Name: m.name,
		Bandwidth: fabricMbps, Connected: []connectedMetro{}}
	for _, o := range x.order.metros {
		if o.code != m.code {
			v.Connected = append(v.Connected, connectedMetro{metroHref(o.code), o.code, fabricMbps})
		}
	}
	return v
}

// badMetro is what metros answer to a request that is wrong.
func badMetro(message, property, reason string) answer {
	return answer{status: http.StatusBadRequest, body: fabricErrors{{Code: fabBadMetro, Message: message,
		Info: []fabricCause{{Property: property, Reason: reason}}}}}
}

// fabricMetros lists all metros, or those where the tenant has a port.
func (x *Exchange) fabricMetros(q *request) answer {
	query := q.URL.Query()
	presence := query.Get("presence")
	if presence != "" && presence != "MY_PORTS" {
		return badMetro("Invalid Query Parameter", "presence", "Allowed value for presence is MY_PORTS")
	}
	offset, limit, wrong := readPage(query, fabBadMetro)
	if len(wrong) > 0 {
		return badMetro("Invalid Query Parameter", "pagination", "offset must be at least 0, limit at least 1")
	}
	x.lock()
	defer x.unlock()
	present := make(map[string]bool)
	for p := range portsOf(q.who) {
		present[p.metro] = true
	}
	var all []fabricMetroView
	for _, m := range x.order.metros {
		if presence == "" || present[m.code] {
			all = append(all, x.showMetro(m))
		}
	}
	return answer{status: http.StatusOK, body: pageOf(all, offset, limit, "/fabric/v4/metros")}
}

func (x *Exchange) fabricMetro(q *request) answer {
	x.lock()
	defer x.unlock()
	m := x.metro(q.PathValue("metro"))
	if m.code == "" {
		return badMetro("Invalid Path Parameter", "pathparameter-metroCode", "Provide valid metro code")
	}
	return answer{status: http.StatusOK, body: x.showMetro(m)}
}

// healthView says that the exchange is well. The schema has one service where the sample
// has a list of them; this is by the schema.
type healthView struct {
	Href     string        `json:"href"`
	Version  string        `json:"version"`
	Release  string        `json:"release"`
	State    string        `json:"state"`
	Services serviceHealth `json:"apiServices"`
}

type serviceHealth struct {
	Route   string `json:"route"`
	Status  string `json:"status"`
	Changed string `json:"changedDateTime"`
}

func (x *Exchange) fabricHealth(*request) answer {
	return answer{status: http.StatusOK, body: healthView{
		Href: fabricBase + "/health", Version: "4.30", Release: "sandbox", State: "HEALTHY",
		Services: serviceHealth{"/connections", "UP", isoTime(inventoryTime())},
	}}
}
