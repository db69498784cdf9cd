package status

import "slices"

// mostWays bounds how many ways through a chart are compared.
const mostWays = 256

// stateWords are Fabric's words for a circuit's `state`, as its own events use them too.
// ACTIVE is not among them: it was seen on circuits that stand and on circuits that are
// being taken down. Nor is the empty word.
var stateWords = []Word{
	{"PENDING", PendingApproval},
	{"DRAFT", Provisioning},
	{"PROVISIONING", Provisioning},
	{"PROVISIONED", Provisioned},
	{"REPROVISIONING", Provisioned},
	{"FAILED", Failed},
	{"DEPROVISIONING", Deprovisioning},
	{"DEPROVISIONED", Deprovisioned},
	{"CANCELLED", Deprovisioned},
}

// StateWords returns the words of Fabric's `state` that mean something certain, for
// documents.
func StateWords() []Word { return slices.Clone(stateWords) }

// StateWord returns the status that a word of Fabric's `state` surely means, and false
// for a word that means nothing certain.
func StateWord(word string) (Status, bool) {
	s := lookUp(stateWords, word)
	return s, s != Unknown
}

// silent are the statuses that Fabric's `state` does not tell: a circuit whose deletion
// waits for consent still stands by it, and nobody has seen its word for a rejection.
var silent = []Status{PendingDelete, Rejected}

// Told returns what happened to a circuit between two observations, given the statuses
// that its exchange says it had since the first, oldest first. Told are steps that are on
// every way through the chart that fits those statuses, and only if they make one way
// without a gap; the path is then [Inferred]. Otherwise it is that of [Between].
//
// The statuses have to lead as far as the second observation, or else the exchange has not
// told everything yet. Unlike Between, Told may go backward: it was not concluded.
func Told(api API, flow Flow, from, to State, statuses []Status) Path {
	p := Between(api, flow, from, to)
	if p.Kind != Skipped || len(statuses) == 0 || statuses[len(statuses)-1] != to.Status {
		return p
	}
	seq := slices.Compact(slices.Concat([]Status{from.Status}, statuses))
	var all [][]stage
	for _, c := range possible(api, flow) {
		t := tale{chart: c, seq: seq, to: to.Bare()}
		t.from(stage{from.Bare(), 0}, nil)
		all = append(all, t.ways...)
		if len(all) >= mostWays {
			return p
		}
	}
	sure := shared(all)
	if len(sure) == 0 || !joined(possible(api, flow), from.Bare(), sure, to.Bare()) {
		return p
	}
	return Path{append(sure, to), Inferred}
}

// ToldSinceBirth is [Told] for a circuit that was ordered here and is now seen for the
// first time.
func ToldSinceBirth(api API, flow Flow, to State, statuses []Status) Path {
	p := SinceBirth(api, flow, to)
	if p.Kind != Skipped {
		return p
	}
	birth := Birth(api, flow)
	if t := Told(api, flow, birth, to, statuses); t.Kind == Inferred {
		return Path{slices.Concat([]State{birth}, t.Steps), Inferred}
	}
	return p
}

// stage is a state of a way, and the told status at which the way is by then.
type stage struct {
	state State
	at    int
}

// tale looks for the ways through a chart that fit a sequence of statuses.
type tale struct {
	chart chart
	seq   []Status
	to    State
	ways  [][]stage // what lies between the ends
}

func (t *tale) from(s stage, passed []stage) {
	passed = append(passed, s)
	for _, x := range t.chart.steps {
		if x.From != s.state || len(t.ways) >= mostWays {
			continue
		}
		next, ok := t.next(s, x.To)
		switch {
		case !ok || slices.Contains(passed, next):
		case next.state == t.to && next.at == len(t.seq)-1:
			t.ways = append(t.ways, slices.Clone(passed[1:]))
		default:
			t.from(next, passed)
		}
	}
}

// next is the stage after a step into a state, if it fits what was told.
func (t *tale) next(s stage, into State) (stage, bool) {
	switch {
	case into.Status == t.seq[s.at]:
		return stage{into, s.at}, true
	case s.at+1 < len(t.seq) && into.Status == t.seq[s.at+1]:
		return stage{into, s.at + 1}, true
	}
	return stage{into, s.at}, slices.Contains(silent, into.Status)
}

// shared returns the states that all ways have, in the order of the first. Where another
// has them in another order there is nothing sure.
func shared(ways [][]stage) []State {
	if len(ways) == 0 {
		return nil
	}
	common := slices.Clone(ways[0])
	for _, w := range ways[1:] {
		common = slices.DeleteFunc(common, func(s stage) bool { return !slices.Contains(w, s) })
	}
	for _, w := range ways[1:] {
		in := slices.DeleteFunc(slices.Clone(w), func(s stage) bool { return !slices.Contains(common, s) })
		if !slices.Equal(in, common) {
			return nil
		}
	}
	var states []State
	for _, s := range common {
		states = append(states, s.state)
	}
	return states
}

// joined reports whether one of the charts leads from one end over all states to the other
// in single steps.
func joined(charts []chart, from State, over []State, to State) bool {
	return slices.ContainsFunc(charts, func(c chart) bool {
		at := from
		for _, s := range append(slices.Clone(over), to) {
			if !has(c.steps, at, s) {
				return false
			}
			at = s
		}
		return true
	})
}
