package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Robot plays a human seller in the portal: it decides the requests to a profile
// some time after they arrive. Without a robot the seller is silent.
type Robot struct {
	Profile string        // id of a profile or (PacketFabric) service, a routing id, or "*" for all that have none of their own
	Action  string        // "approve" or "reject"; "silent" takes the robot away
	After   time.Duration // from the request to the decision; in JSON text such as "5s"
	Comment string        // of a rejection
	On      []string      // which requests: "create", "delete", "change"; empty means creates only
}

type robotText struct {
	Profile string   `json:"profile"`
	Action  string   `json:"action"`
	After   span     `json:"after"`
	Comment string   `json:"comment,omitempty"`
	On      []string `json:"on,omitempty"`
}

// MarshalJSON writes After as text.
func (r Robot) MarshalJSON() ([]byte, error) {
	return json.Marshal(robotText{r.Profile, r.Action, span(r.After), r.Comment, r.On})
}

// UnmarshalJSON refuses fields that a robot does not have.
func (r *Robot) UnmarshalJSON(b []byte) error {
	var t robotText
	if err := strict(b, &t); err != nil {
		return err
	}
	*r = Robot{t.Profile, t.Action, time.Duration(t.After), t.Comment, t.On}
	return nil
}

// robotUser is who a robot acts as.
func robotUser() user { return user{"robot", "Seller's Robot", "robot@example.net"} }

// SetRobot sets or takes away a robot. It also decides what is pending already,
// After from now. The error is [Mistakes].
func (x *Exchange) SetRobot(r Robot) error {
	now := x.lock()
	defer x.unlock()
	if err := x.checkRobot(r).err(); err != nil {
		return err
	}
	x.setRobot(r, now)
	return nil
}

// checkRobot says all that is wrong with r.
func (x *Exchange) checkRobot(r Robot) Mistakes {
	var wrong Mistakes
	if r.Profile != "*" && x.profiles[r.Profile] == nil && !x.pf.sells(r.Profile) {
		wrong.add("profile", "%q is not there; give the id of a profile or service, a routing id, or *", r.Profile)
	}
	if words := []string{"approve", "reject", "silent"}; !slices.Contains(words, r.Action) {
		wrong.add("action", "%q is none of %s", r.Action, strings.Join(words, ", "))
	}
	for i, on := range r.On {
		if words := []string{"create", "delete", "change"}; !slices.Contains(words, on) {
			wrong.add(fmt.Sprintf("on[%d]", i), "%q is none of %s", on, strings.Join(words, ", "))
		}
	}
	return wrong
}

func (x *Exchange) setRobot(r Robot, now time.Time) {
	if r.Action == "silent" {
		delete(x.robots, r.Profile)
		return
	}
	x.robots[r.Profile] = r
	for _, c := range x.all {
		if c.profile != nil && (r.Profile == "*" || r.Profile == c.profile.id) {
			x.wakeRobot(c, now)
		}
	}
	x.pfWakeFor(r, now)
}

// Robots lists the robots, by profile.
func (x *Exchange) Robots() []Robot {
	x.lock()
	defer x.unlock()
	out := []Robot{}
	for _, r := range x.robots {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Robot) int {
		if a.Profile < b.Profile {
			return -1
		}
		return 1
	})
	return out
}

func (c *circuit) pending() string {
	switch {
	case c.status == pendingApproval:
		return "create"
	case c.status == pendingDelete:
		return "delete"
	case c.wantsConsent:
		return "change"
	}
	return ""
}

// robotFor returns the robot that decides what c waits for, if one does.
func (x *Exchange) robotFor(c *circuit) (Robot, bool) {
	r, ok := x.robots[c.profile.id]
	if !ok {
		r, ok = x.robots["*"]
	}
	on := r.On
	if len(on) == 0 {
		on = []string{"create"}
	}
	return r, ok && slices.Contains(on, c.pending())
}

// wakeRobot plans the robot's decision on what c waits for. The robot is asked again
// when the time has come: it may have changed or gone.
func (x *Exchange) wakeRobot(c *circuit, now time.Time) {
	r, ok := x.robotFor(c)
	if !ok {
		return
	}
	x.later(c, now.Add(r.After), askRobot)
}

// askRobot lets the robot decide, if there is still one and something to decide.
func (x *Exchange) askRobot(c *circuit, at time.Time) {
	if r, ok := x.robotFor(c); ok {
		// A robot that finds no port leaves the request pending, as a person would.
		_ = x.decideInPortal(c, verdict{r.Action, r.Comment, robotUser()}, at)
	}
}

// verdict is a decision of a seller.
type verdict struct {
	action  string // approve or reject
	comment string
	by      user
}

// decideInPortal is a verdict that names no landing: the portal chooses one.
func (x *Exchange) decideInPortal(c *circuit, v verdict, now time.Time) error {
	if v.action == "reject" {
		return x.reject(c, v.comment, now, v.by)
	}
	switch c.pending() {
	case "create":
		if err := c.landOn(c.seller, func(p *port) bool { return !p.managed }); err != nil {
			return err
		}
		c.updatedBy = v.by
		c.settle(now, approved)
		x.provision(c, now, v.by.login, "approved")
		return nil
	case "delete":
		return x.consent(c, now, v.by)
	case "change":
		return x.agreeSpeed(c, now, v.by)
	}
	return errNotPending
}
