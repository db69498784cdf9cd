package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// pfRecord is a request or circuit of PacketFabric as the file has it.
type pfRecord struct {
	Request     string      `json:"request,omitempty"`
	Circuit     string      `json:"circuit,omitempty"`
	Number      int         `json:"number,omitempty"`
	Buyer       string      `json:"buyer"`
	Seller      string      `json:"seller,omitempty"`
	Market      string      `json:"market"`
	A           *Side       `json:"a"`
	Z           *Side       `json:"z,omitempty"`
	Description string      `json:"description,omitempty"`
	Service     string      `json:"service,omitempty"`
	Bandwidth   pfBandwidth `json:"bandwidth,omitzero"`
	Flex        string      `json:"flex,omitempty"`
	RateIn      int         `json:"rateIn,omitempty"`
	RateOut     int         `json:"rateOut,omitempty"`
	PONumber    string      `json:"poNumber,omitempty"`
	EPL         bool        `json:"epl,omitempty"`
	Status      string      `json:"status,omitempty"`
	State       string      `json:"state,omitempty"`
	Work        pfWorkflow  `json:"work,omitzero"`
	Visible     time.Time   `json:"visible,omitzero"`
	Shown       time.Time   `json:"shown,omitzero"`
	Requested   time.Time   `json:"requested,omitzero"`
	Decided     time.Time   `json:"decided,omitzero"`
	Created     time.Time   `json:"created,omitzero"`
	Updated     time.Time   `json:"updated,omitzero"`
	History     []Step      `json:"history"`
	Next        pfStep      `json:"next,omitempty"`
	Due         time.Time   `json:"due,omitzero"`
}

func (e vcEnd) side() *Side {
	if e.port == nil {
		return nil
	}
	return &Side{e.port.id, e.tag.outer, e.tag.inner}
}

func (v *vc) record() record {
	if v.gone {
		return record{ID: v.id(), Gone: true}
	}
	r := &pfRecord{
		Request: v.requestID, Circuit: v.circuitID, Number: v.number, Buyer: v.buyer.tenant.org, Market: v.market,
		A: v.a.side(), Z: v.z.side(), Description: v.description, Bandwidth: v.bandwidth, Flex: v.flex,
		RateIn: v.rateIn, RateOut: v.rateOut, PONumber: v.poNumber, EPL: v.epl, Status: v.status, State: v.state,
		Work: v.work, Visible: v.visible, Shown: v.shown, Requested: v.requested, Decided: v.decided,
		Created: v.created, Updated: v.updated, History: v.history, Next: v.next, Due: v.due,
	}
	if v.seller != nil {
		r.Seller = v.seller.tenant.org
	}
	if v.service != nil {
		r.Service = v.service.uuid
	}
	return record{ID: v.id(), PacketFabric: r}
}

// pfLines are the records of vcs, each once.
func pfLines(vcs []*vc) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	written := make(map[*vc]bool)
	for _, v := range vcs {
		if written[v] {
			continue
		}
		written[v] = true
		if err := enc.Encode(v.record()); err != nil {
			panic(err) // a record of ours that is no JSON
		}
	}
	return b.Bytes()
}

// pfRecall makes a request or circuit of r and lets it go on.
func (x *Exchange) pfRecall(r *pfRecord) error {
	f := &x.pf
	named := func(org string) *pfCustomer {
		return f.customer(func(c *pfCustomer) bool { return c.tenant.org == org })
	}
	v := &vc{
		requestID: r.Request, circuitID: r.Circuit, number: r.Number, buyer: named(r.Buyer), seller: named(r.Seller),
		market: r.Market, description: r.Description, service: f.service(r.Service), bandwidth: r.Bandwidth,
		flex: r.Flex, rateIn: r.RateIn, rateOut: r.RateOut, poNumber: r.PONumber, epl: r.EPL, status: r.Status,
		state: r.State, work: r.Work, visible: r.Visible, shown: r.Shown, requested: r.Requested, decided: r.Decided,
		created: r.Created, updated: r.Updated, history: r.History,
	}
	known := v.buyer != nil && (v.seller != nil) == (r.Seller != "") && (v.service != nil) == (r.Service != "")
	known = known && f.recallEnd(r.A, &v.a) && (r.Z == nil || f.recallEnd(r.Z, &v.z))
	if !known {
		return fmt.Errorf("circuit %s is of another inventory", v.id())
	}
	for _, id := range []string{r.Request, r.Work.Root, r.Work.Now} {
		x.used[id] = true
	}
	f.number = max(f.number, r.Number)
	x.pfEnroll(v)
	if r.Next != "" {
		x.pfLater(v, r.Due, r.Next)
	}
	return nil
}

// recallEnd sets e, unless there is no such port.
func (f *packetFabric) recallEnd(s *Side, e *vcEnd) bool {
	if s == nil || f.ports[s.Port] == nil {
		return false
	}
	*e = vcEnd{f.ports[s.Port], tag{s.STag, s.CTag}}
	return true
}
