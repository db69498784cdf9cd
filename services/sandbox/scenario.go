package sandbox

import (
	"cmp"
	"time"
)

// Scenario is how an exchange behaves from its start on, by itself: the same scenario and
// the same calls at the same times come to the same end.
type Scenario struct {
	Seed      int64   // as in [Config], which goes before it
	LockAfter int     // as in [Config], which goes before it
	Delays    *Delays // nil: as in [Config]
	Robots    []Robot
	Faults    []Fault
	Steps     []ScenarioStep
}

// ScenarioStep is what changes some time after the start. What has fallen due is done
// before the next look at the exchange, like everything else here.
type ScenarioStep struct {
	At          time.Duration
	Delays      *Delays // nil: as they are
	Robots      []Robot
	ClearFaults bool // take all away, before new ones are added
	Faults      []Fault
	// Edits are made as [Exchange.Edit] makes them, but a connection may be given by its
	// name or description too: the newest of that name. One that cannot be made is logged.
	Edits []Edit
}

// under returns cfg with what it leaves open taken from s.
func (s *Scenario) under(cfg Config) Config {
	cfg.Seed = cmp.Or(cfg.Seed, s.Seed)
	cfg.LockAfter = cmp.Or(cfg.LockAfter, s.LockAfter)
	return cfg
}

// play sets up s at the start of the exchange, and plans its steps.
func (x *Exchange) play(s *Scenario, cfg Config) {
	now := time.Now()
	first := ScenarioStep{Robots: s.Robots, Faults: s.Faults}
	if cfg.Delays == (Delays{}) {
		first.Delays = s.Delays
	}
	x.step(first, now)
	for _, step := range s.Steps {
		x.schedule(now.Add(step.At), func(at time.Time) { x.step(step, at) })
	}
}

// step does what is in s. The exchange is locked, or nobody else knows it yet.
func (x *Exchange) step(s ScenarioStep, now time.Time) {
	log := func(what string, err error) {
		if err != nil {
			x.log.Warn().Err(err).Stringer("at", s.At).Msg("scenario: " + what)
		}
	}
	if s.Delays != nil {
		x.delays = *s.Delays
	}
	for _, r := range s.Robots {
		err := x.checkRobot(r).err()
		if err == nil {
			x.setRobot(r, now)
		}
		log("robot", err)
	}
	if s.ClearFaults {
		x.ClearFaults()
	}
	for _, f := range s.Faults {
		_, err := x.AddFault(f)
		log("fault", err)
	}
	for _, e := range s.Edits {
		e.Connection = x.named(e.Connection)
		log("edit", x.edit(e, now))
	}
}

// named returns the id of the newest connection with that id or name, or what it was given.
func (x *Exchange) named(name string) string {
	if name == "" || x.circuits[name] != nil || x.pfFind(name) != nil {
		return name
	}
	id, made := name, time.Time{}
	for _, c := range x.all {
		if c.name == name && !c.created.Before(made) {
			id, made = c.id, c.created
		}
	}
	for _, v := range x.pf.all {
		if at := v.view().Created; v.description == name && !at.Before(made) {
			id, made = v.id(), at
		}
	}
	return id
}
