package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// profileOrder is the body that makes a service profile or replaces one: what of it
// matters here. All of it is read leniently, as the real exchange does.
type profileOrder struct {
	UUID        string        `json:"uuid"`
	Name        string        `json:"name"`
	Description string        `json:"description"`
	Private     bool          `json:"private"`
	Invited     []string      `json:"privateUserEmails"`
	Integrated  bool          `json:"apiAvailable"`
	SpeedByAPI  bool          `json:"speedFromAPI"`
	Bands       []speedBand   `json:"speedBands"`
	Ports       []profilePort `json:"ports"`
}

// profileMade is the answer to a profile that was made or replaced.
type profileMade struct {
	UUID string `json:"uuid"`
}

type profileGone struct {
	Message string `json:"message"`
	Status  string `json:"status"`
}

// ecxProfileCreate makes a profile: approved by its seller, without a key, in the metros
// of its ports.
func (x *Exchange) ecxProfileCreate(q *request) answer {
	return x.ecxProfileSave(q, func(profileOrder) *profile {
		p := &profile{id: x.newID(), org: q.who.org, seller: q.who, approval: bySeller, made: true}
		x.profiles[p.id] = p
		x.order.profiles = append(x.order.profiles, p)
		return p
	})
}

// ecxProfileReplace replaces all but the id of a profile that was made here.
func (x *Exchange) ecxProfileReplace(q *request) answer {
	return x.ecxProfileSave(q, func(o profileOrder) *profile { return x.madeProfile(o.UUID, q.who) })
}

// madeProfile returns the profile of that id if who has made it and not deleted it.
func (x *Exchange) madeProfile(id string, who *tenant) *profile {
	p := x.profiles[id]
	if p == nil || p.seller != who || !p.made || p.gone {
		return nil
	}
	return p
}

func noSuchProfile() answer { return refuse(codeInvalid, "Service profile does not exist", "uuid") }

func (x *Exchange) ecxProfileSave(q *request, which func(profileOrder) *profile) answer {
	var wrong violations
	var o profileOrder
	if err := json.Unmarshal(q.body, &o); err != nil {
		wrong.invalid("", "Request body is not a valid JSON object")
		return wrong.answer()
	}
	x.lock()
	defer x.unlock()
	read := x.readProfile(o, q.who, &wrong)
	if len(wrong) > 0 {
		return wrong.answer()
	}
	p := which(o)
	if p == nil {
		return noSuchProfile()
	}
	p.name, p.about, p.self, p.invited = read.name, read.about, read.self, read.invited
	p.encap, p.bands, p.metros = read.encap, read.bands, read.metros
	x.sold = append(x.sold, p)
	return answer{status: http.StatusOK, body: profileMade{p.id}}
}

// readProfile checks o and returns what it says.
func (x *Exchange) readProfile(o profileOrder, seller *tenant, wrong *violations) profile {
	p := profile{name: o.Name, about: o.Description, self: o.Private, invited: o.Invited}
	if o.Name == "" || len(o.Name) > 50 {
		wrong.invalid("name", "Size: name must have 1 to 50 characters")
	}
	if o.Integrated || o.SpeedByAPI {
		wrong.invalid("apiAvailable", "Profiles with an API integration cannot be made here")
	}
	if len(o.Bands) == 0 {
		wrong.invalid("speedBands", "NotEmpty: at least one speed is required")
	}
	for _, b := range o.Bands {
		mbps := speed{b.Speed, strings.ToUpper(b.Unit)}.mbps()
		if mbps <= 0 || !slices.Contains([]string{"MB", "GB"}, strings.ToUpper(b.Unit)) {
			wrong.invalid("speedBands", "Speeds must be positive numbers of MB or GB")
		}
		p.bands = append(p.bands, mbps)
	}
	if len(o.Ports) == 0 {
		wrong.invalid("ports", "NotEmpty: at least one port is required")
	}
	for _, want := range o.Ports {
		port := x.ports[want.ID]
		if port == nil || port.owner != seller || port.managed || port.encap == untagged {
			wrong.add(codePort, "Port does not exist or not belong to user", "ports")
			continue
		}
		if p.encap != "" && p.encap != port.encap {
			wrong.invalid("ports", "Ports must have one encapsulation")
		}
		p.encap = port.encap
		if !slices.Contains(p.metros, port.metro) {
			p.metros = append(p.metros, port.metro)
		}
	}
	return p
}

// ecxProfileDelete deletes a profile that was made here and has no connections any more.
func (x *Exchange) ecxProfileDelete(q *request) answer {
	x.lock()
	defer x.unlock()
	p := x.madeProfile(q.PathValue("profile"), q.who)
	if p == nil {
		return noSuchProfile()
	}
	if slices.ContainsFunc(q.who.sold, func(c *circuit) bool { return c.profile == p && !c.ended() }) {
		return refuse(codeInMotion, "Service profile has connections", "uuid")
	}
	p.gone = true
	x.sold = append(x.sold, p)
	return answer{status: http.StatusOK, body: profileGone{
		fmt.Sprintf("UUID's [%s] successfully deleted", p.id), "SUCCESS"}}
}

// in reports whether p can be ordered in that metro.
func (p *profile) in(metro string) bool { return p.metros == nil || slices.Contains(p.metros, metro) }

// speeds are what p sells, in Mbit/s.
func (p *profile) speeds() []int {
	if p.bands != nil {
		return p.bands
	}
	return bands
}

// visibleTo reports whether t may order from p.
func (p *profile) visibleTo(t *tenant) bool {
	return !p.gone && (!p.self || p.seller == t || slices.Contains(p.invited, t.user.email))
}

// soldRecord is a profile that was made here, as the file of circuits has it.
type soldRecord struct {
	Org     string   `json:"org"`
	Name    string   `json:"name"`
	About   string   `json:"about,omitempty"`
	Encap   string   `json:"encap"`
	Self    bool     `json:"self,omitempty"`
	Invited []string `json:"invited,omitempty"`
	Bands   []int    `json:"bands"`
	Metros  []string `json:"metros"`
	Gone    bool     `json:"gone,omitempty"`
}

func (p *profile) record() *soldRecord {
	return &soldRecord{p.org, p.name, p.about, p.encap, p.self, p.invited, p.bands, p.metros, p.gone}
}

// recallProfile makes the profile of r known.
func (x *Exchange) recallProfile(r record) error {
	s := r.Sold
	p := &profile{id: r.ID, org: s.Org, seller: x.tenant(s.Org), approval: bySeller, made: true, name: s.Name,
		about: s.About, encap: s.Encap, self: s.Self, invited: s.Invited, bands: s.Bands, metros: s.Metros, gone: s.Gone}
	if p.seller == nil {
		return fmt.Errorf("service profile %s is of another inventory", r.ID)
	}
	x.profiles[p.id] = p
	x.order.profiles = append(x.order.profiles, p)
	return nil
}

// madeProfiles are the profiles that were made here.
func (x *Exchange) madeProfiles() []*profile {
	var out []*profile
	for _, p := range x.order.profiles {
		if p.made {
			out = append(out, p)
		}
	}
	return out
}

// state is p's own word.
func (p *profile) state() string {
	if p.gone {
		return deleted
	}
	return "ACTIVE"
}
