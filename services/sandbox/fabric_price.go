package sandbox

import (
	"net/http"
	"strconv"
)

const fabBadPrice = "EQ-3038010"

// priceView is what a connection costs.
type priceView struct {
	Type        string       `json:"type"`
	Code        string       `json:"code"`
	Name        string       `json:"name"`
	Description string       `json:"description"`
	Account     assetAccount `json:"account"`
	Charges     []chargeView `json:"charges"`
	Currency    string       `json:"currency"`
	Connection  pricedView   `json:"connection"`
}

type chargeView struct {
	Type  string  `json:"type"`
	Price float64 `json:"price"`
}

type pricedView struct {
	Type      string     `json:"type"`
	Bandwidth int        `json:"bandwidth"`
	ASide     pricedSide `json:"aSide"`
	ZSide     pricedSide `json:"zSide"`
}

type pricedSide struct {
	Point pricedPoint `json:"accessPoint"`
}

type pricedPoint struct {
	Type     string       `json:"type"`
	Location *metroOnly   `json:"location,omitempty"`
	Port     *pricedPort  `json:"port,omitempty"`
	Profile  *profileOnly `json:"profile,omitempty"`
}

type metroOnly struct {
	MetroCode string `json:"metroCode"`
}

type profileOnly struct {
	UUID string `json:"uuid"`
}

type pricedPort struct {
	UUID     string `json:"uuid,omitempty"`
	Settings struct {
		Buyout bool `json:"buyout"`
	} `json:"settings"`
}

// monthly is what a connection costs in a month. The prices are of our own making; only
// that of 100 Mbit/s within a metro is the one of the API's sample.
func monthly(mbps int, remote bool) float64 {
	price := float64(100 + 4*mbps)
	if remote {
		price *= 1.5
	}
	return price
}

// fabricPrices prices one connection for each bandwidth asked for.
func (x *Exchange) fabricPrices(q *request) answer {
	asked, ok := flatFilter(q.body)
	if !ok {
		return badPrice("filter", "Only a list of = and IN below filter.and is understood")
	}
	x.lock()
	defer x.unlock()
	kind := asked.one("/connection/type")
	switch {
	case asked.one("/type") != "VIRTUAL_CONNECTION_PRODUCT":
		return badPrice("/type", "/type must be VIRTUAL_CONNECTION_PRODUCT at this exchange")
	case kind != evplVC && kind != eplVC:
		return badPrice("/connection/type", "/connection/type must be EVPL_VC or EPL_VC at this exchange")
	case len(asked["/connection/bandwidth"]) == 0:
		return badPrice("/connection/bandwidth", "/connection/bandwidth is required")
	}
	a, bad := x.pricedPoint(asked, "/connection/aSide/accessPoint")
	if bad == "" {
		var z pricedPoint
		if z, bad = x.pricedPoint(asked, "/connection/zSide/accessPoint"); bad == "" {
			return x.priced(q, asked, pricedView{Type: kind, ASide: pricedSide{a}, ZSide: pricedSide{z}})
		}
	}
	return badPrice(bad, bad+" has invalid format")
}

// pricedPoint reads one side, or says which property of it is wrong.
func (x *Exchange) pricedPoint(asked asked, prefix string) (pricedPoint, string) {
	p := pricedPoint{Type: asked.one(prefix + "/type")}
	if p.Type != "COLO" && p.Type != "SP" {
		return p, prefix + "/type"
	}
	metro := asked.one(prefix + "/location/metroCode")
	if id := asked.one(prefix + "/port/uuid"); id != "" {
		known := x.ports[id]
		if known == nil {
			return p, prefix + "/port/uuid"
		}
		metro, p.Port = known.metro, &pricedPort{UUID: id}
	}
	if buyout := asked.one(prefix + "/port/settings/buyout"); buyout != "" {
		if p.Port == nil {
			p.Port = new(pricedPort)
		}
		p.Port.Settings.Buyout = buyout == "true"
	}
	if x.metro(metro).code == "" {
		return p, prefix + "/location/metroCode"
	}
	p.Location = &metroOnly{metro}
	if id := asked.one(prefix + "/profile/uuid"); id != "" {
		if x.profiles[id] == nil {
			return p, prefix + "/profile/uuid"
		}
		p.Profile = &profileOnly{id}
	}
	return p, ""
}

// priced answers with the prices of one for every bandwidth.
func (x *Exchange) priced(q *request, asked asked, one pricedView) answer {
	list := asked["/connection/bandwidth"]
	out := resultView[priceView]{Data: []priceView{}, Pagination: links("/fabric/v4/prices/search", 0, max(len(list), fabricPage), len(list))}
	remote := one.ASide.Point.Location.MetroCode != one.ZSide.Point.Location.MetroCode
	for _, text := range list {
		mbps, err := strconv.Atoi(text)
		if err != nil || mbps <= 0 || mbps > maxBandwidth {
			return badPrice("/connection/bandwidth", "/connection/bandwidth has invalid format")
		}
		one.Bandwidth = mbps
		out.Data = append(out.Data, priceView{
			Type: "VIRTUAL_CONNECTION_PRODUCT", Code: "ECX00015.PROD", Name: "Equinix Fabric Virtual Connection Product",
			Description: "Equinix Fabric Virtual Connection", Account: assetAccount{AccountNumber: q.who.account},
			Charges: []chargeView{{"MONTHLY_RECURRING", monthly(mbps, remote)}}, Currency: "USD", Connection: one,
		})
	}
	return answer{status: http.StatusOK, body: out}
}

func badPrice(property, reason string) answer {
	return answer{status: http.StatusBadRequest, body: fabricErrors{{Code: fabBadPrice, Message: "Validation failure",
		Details: "Invalid request body", Info: []fabricCause{{Property: property, Reason: reason}}}}}
}
