package sandbox

import (
	"errors"
	"net/http"
	"time"
)

// fabricAct is what an action on a connection does. It answers only when it refuses.
type fabricAct struct {
	buyer bool // it is the buyer's; otherwise the seller's
	run   func(*fabricActing) *answer
}

// fabricActing is an action on its way.
type fabricActing struct {
	exchange *Exchange
	circuit  *circuit
	body     fabricActionBody
	who      *tenant
	now      time.Time
	data     actionData
}

type fabricActionBody struct {
	Type        string `json:"type"`
	Description string `json:"description"`
	Data        struct {
		ZSide sideBody `json:"zSide"`
	} `json:"data"`
}

// actionView is the answer to an action. Its data is there even if empty, as the
// document of the API requires.
type actionView struct {
	Type        string        `json:"type"`
	Href        string        `json:"href"`
	UUID        string        `json:"uuid"`
	Description string        `json:"description,omitempty"`
	Data        actionData    `json:"data"`
	ChangeLog   changeLogView `json:"changeLog"`
}

type actionData struct {
	ZSide     *sideView `json:"zSide,omitempty"`
	Bandwidth int       `json:"providerBandwidth,omitempty"`
}

// fabricActs are the actions that this exchange knows.
func fabricActs() map[string]fabricAct {
	return map[string]fabricAct{
		"CONNECTION_CREATION_ACCEPTANCE":        {run: (*fabricActing).accept},
		"CONNECTION_CREATION_REJECTION":         {run: decides("create", (*fabricActing).reject)},
		"CONNECTION_UPDATE_ACCEPTANCE":          {run: decides("change", (*fabricActing).agree)},
		"CONNECTION_UPDATE_REJECTION":           {run: decides("change", (*fabricActing).reject)},
		"CONNECTION_DELETION_ACCEPTANCE":        {run: decides("delete", (*fabricActing).consent)},
		"CONNECTION_REJECTION_ACCEPTANCE":       {buyer: true, run: (*fabricActing).acknowledge},
		"CONNECTION_CREATION_RETRY":             {buyer: true, run: retries(notProvisioned)},
		"CONNECTION_DELETION_RETRY":             {buyer: true, run: retries(notDeprovisioned)},
		"CONNECTION_PROVIDER_STATUS_REQUEST":    {buyer: true, run: (*fabricActing).refresh},
		"CONNECTION_PROVIDER_BANDWIDTH_REQUEST": {buyer: true, run: (*fabricActing).providerBandwidth},
	}
}

// fabricAction carries out an action of the seller or the buyer.
func (x *Exchange) fabricAction(q *request) answer {
	now := x.lock()
	defer x.unlock()
	c := x.party(q)
	if c == nil {
		return fabricUnknown()
	}
	a := &fabricActing{exchange: x, circuit: c, who: q.who, now: now}
	if wrong := fabricBody(q.body, &a.body); wrong != nil {
		return wrong.answer()
	}
	act, ok := fabricActs()[a.body.Type]
	if !ok {
		var wrong fabricErrors
		wrong.invalid("/type", "Action type is not supported at this exchange")
		return wrong.answer()
	}
	if act.buyer && q.who != c.buyer || !act.buyer && (c.profile == nil || q.who != c.seller) {
		return fabricForbidden()
	}
	if refusal := act.run(a); refusal != nil {
		return *refusal
	}
	id := derivedID(c.id, "action", now.String())
	return answer{status: http.StatusAccepted, body: actionView{Type: a.body.Type, UUID: c.id,
		Href: fabricBase + "/connections/" + c.id + "/actions/" + id, Description: a.body.Description, Data: a.data,
		ChangeLog: changeLogView{CreatedBy: q.who.user.login, CreatedAt: isoTime(now),
			UpdatedBy: q.who.user.login, UpdatedAt: isoTime(now)}}}
}

// failing is the refusal of an action that the circuit's state does not allow.
func (a *fabricActing) failing(err error) *answer {
	if err == nil {
		return nil
	}
	if a.circuit.ended() && a.circuit.status != rejected {
		err = errEnded
	} else if errors.Is(err, errEnded) {
		err = errInMotion
	}
	refusal := fabricFailed(err)
	return &refusal
}

// decides returns the decision on what a circuit waits for, which must be pending.
func decides(pending string, decide func(*fabricActing) error) func(*fabricActing) *answer {
	return func(a *fabricActing) *answer {
		if a.circuit.pending() != pending {
			return a.failing(errNotPending)
		}
		return a.failing(decide(a))
	}
}

func (a *fabricActing) reject() error {
	return a.exchange.reject(a.circuit, a.body.Description, a.now, a.who.user)
}

func (a *fabricActing) agree() error {
	return a.exchange.agreeSpeed(a.circuit, a.now, a.who.user)
}

func (a *fabricActing) consent() error {
	return a.exchange.consent(a.circuit, a.now, a.who.user)
}

func (a *fabricActing) acknowledge() *answer {
	return a.failing(a.exchange.acknowledge(a.circuit, a.now, a.who.user))
}

func retries(failed string) func(*fabricActing) *answer {
	return func(a *fabricActing) *answer {
		return a.failing(a.exchange.retry(a.circuit, failed, a.now, a.who.user))
	}
}

// refresh notes that the buyer asked for the provider's status, which is always fresh.
func (a *fabricActing) refresh() *answer {
	c := a.circuit
	if c.ended() {
		return a.failing(errEnded)
	}
	if c.change.over() {
		c.begin(a.now, refresh, completed)
	}
	c.note(a.now, a.who.user.login, "provider status asked for")
	return nil
}

func (a *fabricActing) providerBandwidth() *answer {
	if a.circuit.ended() {
		return a.failing(errEnded)
	}
	a.data.Bandwidth = a.circuit.speed.mbps()
	if n := a.circuit.keyBandwidth(); n != 0 {
		a.data.Bandwidth = n
	}
	return nil
}

// keyBandwidth is the bandwidth that c's key stands for, 0 if it stands for none.
func (c *circuit) keyBandwidth() int {
	if c.profile == nil {
		return 0
	}
	return c.profile.keys[c.key]
}

// accept lands a new circuit on the seller's port.
func (a *fabricActing) accept() *answer {
	c := a.circuit
	if c.pending() != "create" {
		return a.failing(errNotPending)
	}
	z, wrong := a.landing()
	if len(wrong) > 0 {
		refusal := wrong.answer()
		return &refusal
	}
	a.exchange.accept(c, z, a.now, a.who.user)
	side := a.exchange.showZ(c)
	a.data.ZSide = &side
	return nil
}

// landing reads the seller's port and tags.
func (a *fabricActing) landing() (end, fabricErrors) {
	const point = "/data/zSide/accessPoint"
	var wrong fabricErrors
	c, z := a.circuit, a.body.Data.ZSide.Point
	if z == nil || z.Type != "COLO" {
		wrong.invalid(point+"/type", "An access point of type COLO is required")
		return end{}, wrong
	}
	p := a.exchange.ports[z.portID()]
	if p == nil || p.owner != a.who || p.managed {
		wrong.invalid(point+"/port/uuid", "Port does not exist or not belong to user")
		return end{}, wrong
	}
	if p.metro != c.metro {
		wrong.invalid(point+"/port/uuid", "Port is not in metro "+c.metro)
	}
	if p.encap != c.profile.encap {
		wrong.invalid(point+"/port/uuid", "Port encapsulation must be "+encapsulation(c.profile.encap))
		return end{}, wrong
	}
	t := wrong.link(point, linking{c.withInner(z), p, c.a.port.encap, c.vcType()})
	e := end{p, t}
	if t.outer != 0 && e.busy() {
		wrong.duplicate(point + "/linkProtocol")
	}
	return e, wrong
}

// withInner is z with the inner tag that c's order suggests, unless the seller chose
// one. An order by ECX may leave it to nobody: then there is none.
func (c *circuit) withInner(z *pointBody) *pointBody {
	if z.Link == nil || z.Link.Inner != nil || c.profile.encap != qinq || c.suggested == 0 {
		return z
	}
	out, link := *z, *z.Link
	link.Inner = &c.suggested
	out.Link = &link
	return &out
}
