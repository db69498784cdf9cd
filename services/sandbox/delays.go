package sandbox

import (
	"encoding/json"
	"fmt"
	"time"
)

// Delays are the times that things take. In JSON each is a string such as "5s".
type Delays struct {
	Provision   time.Duration // from acceptance to PROVISIONED; also each automatic approval and change of speed
	Deprovision time.Duration // from DEPROVISIONING to DEPROVISIONED
	Visible     time.Duration // from a create to the circuit's first appearance in lists
	Answer      time.Duration // from doing what was asked to answering
	History     time.Duration // from the end of a workflow of PacketFabric to its erasure
}

// DefaultDelays returns two seconds for provisioning and deprovisioning, a minute for
// the history of a workflow, and no delay else.
func DefaultDelays() Delays {
	return Delays{Provision: 2 * time.Second, Deprovision: 2 * time.Second, History: time.Minute}
}

type delaysText struct {
	Provision   *span `json:"provision,omitempty"`
	Deprovision *span `json:"deprovision,omitempty"`
	Visible     *span `json:"visible,omitempty"`
	Answer      *span `json:"answer,omitempty"`
	History     *span `json:"history,omitempty"`
}

// MarshalJSON writes every delay as text.
func (d Delays) MarshalJSON() ([]byte, error) {
	return json.Marshal(delaysText{
		(*span)(&d.Provision), (*span)(&d.Deprovision), (*span)(&d.Visible), (*span)(&d.Answer),
		(*span)(&d.History),
	})
}

// UnmarshalJSON sets the delays that are given and leaves the others as they are.
func (d *Delays) UnmarshalJSON(b []byte) error {
	t := delaysText{
		(*span)(&d.Provision), (*span)(&d.Deprovision), (*span)(&d.Visible), (*span)(&d.Answer),
		(*span)(&d.History),
	}
	return strict(b, &t)
}

// span is a duration whose JSON is text.
type span time.Duration

func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err != nil {
		return err
	}
	if d < 0 {
		return fmt.Errorf("duration %s is negative", d)
	}
	*s = span(d)
	return nil
}
