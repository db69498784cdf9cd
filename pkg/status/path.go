package status

import "slices"

// Kind says how two observations of a circuit are connected.
type Kind string

// The kinds of [Path].
const (
	Same       Kind = "same"       // neither side moved; at most the native words differ
	First      Kind = "first"      // nothing was seen before
	Direct     Kind = "direct"     // one step that the chart knows, or UNKNOWN is at one end
	Inferred   Kind = "inferred"   // steps were missed, and there is only one way
	Skipped    Kind = "skipped"    // steps were missed, and which is not certain
	Unexpected Kind = "unexpected" // the chart knows no way
)

// Path is what to announce between two observations.
//
// The last of Steps is the second observation, with its native words. Those before
// it, of which only [Inferred] has any, were never seen and have none. There are no
// Steps if nothing changed, native words included.
type Path struct {
	Steps []State
	Kind  Kind
}

// Between returns what happened to a circuit that was first seen in state from and
// then in state to. The zero from means that it was not seen before.
//
// A path may be inferred if the chart of the flow has exactly one that visits no
// state twice; if the flow is unknown, exactly one in all flows together, where no
// path mixes two flows. What is a step of the chart is taken to have been one step,
// even where there is also a longer way. A way that goes [Backward] is never
// inferred: that a seller refused a deletion must be seen, not concluded.
func Between(api API, flow Flow, from, to State) Path {
	seen := []State{to}
	switch {
	case from == State{}:
		return Path{seen, First}
	case from == to:
		return Path{nil, Same}
	case from.Bare() == to.Bare():
		return Path{seen, Same}
	case from.unclear() || to.unclear():
		return Path{seen, Direct}
	}

	missed := ways(possible(api, flow), from.Bare(), to.Bare())
	switch {
	case len(missed) == 0:
		return Path{seen, Unexpected}
	case slices.ContainsFunc(missed, func(w []State) bool { return len(w) == 0 }):
		return Path{seen, Direct}
	case len(missed) > 1:
		return Path{seen, Skipped}
	}
	steps := append(missed[0], to)
	if turnsBack(from, steps) {
		return Path{seen, Skipped}
	}
	return Path{steps, Inferred}
}

// turnsBack reports whether a path that begins at from takes a step backward.
func turnsBack(from State, steps []State) bool {
	for _, s := range steps {
		if Backward(from, s) {
			return true
		}
		from = s
	}
	return false
}

// SinceBirth returns what happened to a circuit that was ordered here and is now
// seen for the first time, in state to. Its birth, if missed, is the first of the
// inferred steps.
//
// Where the way from birth to the state seen is not certain, birth is not announced
// either: the path is then [Skipped] or [Unexpected]. It is [First] where nothing
// is to be concluded: the circuit is as it was born, the flow is unknown, or the
// state is [Unknown].
func SinceBirth(api API, flow Flow, to State) Path {
	c, ok := charts[api][flow]
	if !ok || to.unclear() || slices.Contains(c.entries(), to.Bare()) {
		return Path{[]State{to}, First}
	}
	birth := c.birth
	p := Between(api, flow, birth, to)
	if p.Kind == Direct || p.Kind == Inferred {
		return Path{slices.Concat([]State{birth}, p.Steps), Inferred}
	}
	return p
}

// ways returns what lies between from and to on each path of any of the charts: an
// empty way is a single step. It stops looking at the second way of a chart, as two
// are as good as many, but never misses the empty one.
func ways(charts []chart, from, to State) [][]State {
	var all [][]State
	for _, c := range charts {
		if has(c.steps, from, to) {
			all = append(all, nil)
		}
		w := walk{chart: c, to: to, useful: c.leadingTo(to)}
		w.from(from, nil)
		for _, way := range w.ways {
			if !slices.ContainsFunc(all, func(x []State) bool { return slices.Equal(x, way) }) {
				all = append(all, way)
			}
		}
	}
	return all
}

// walk looks for two paths to one state.
type walk struct {
	chart  chart
	to     State
	useful []State // from these there is a way
	ways   [][]State
}

// from goes on from s, having passed through the states given, the first state of
// the path being the first of them.
func (w *walk) from(s State, passed []State) {
	passed = append(passed, s)
	for _, x := range w.chart.steps {
		switch {
		case x.From != s || len(w.ways) == 2:
		case x.To == w.to:
			w.ways = append(w.ways, slices.Clone(passed[1:]))
		case slices.Contains(w.useful, x.To) && !slices.Contains(passed, x.To):
			w.from(x.To, passed)
		}
	}
}

// leadingTo returns the states from which there is a way to s.
func (c chart) leadingTo(s State) []State {
	found := []State{s}
	for i := 0; i < len(found); i++ {
		for _, x := range c.steps {
			if x.To == found[i] && !slices.Contains(found, x.From) {
				found = append(found, x.From)
			}
		}
	}
	return found
}

// Backward reports whether a step goes against the direction of a circuit's life.
// A list served from an old copy looks like that, so such a step wants a second,
// direct look at the circuit before it is believed. Some are steps of a chart, as
// when a seller refuses a deletion; they want the second look all the more.
func Backward(from, to State) bool {
	a, b := age(from.Status), age(to.Status)
	if a == 0 || b == 0 {
		return false
	}
	if a != b {
		return b < a
	}
	p, q := providerAge(from), providerAge(to)
	return p != 0 && q != 0 && q < p
}

// age numbers the statuses in the order of a circuit's life; 0 means anywhere.
func age(s Status) int {
	switch s {
	case PendingApproval:
		return 1
	case Provisioning:
		return 2
	case Provisioned:
		return 3
	case Rejected, Failed:
		return 4
	case PendingDelete:
		return 5
	case Deprovisioning:
		return 6
	case Deprovisioned:
		return 7
	default:
		return 0
	}
}

// providerAge does for the other side what age does for the exchange's.
// NOT_AVAILABLE is the beginning, and from deprovisioning on also the end. Failures
// may come at any time.
func providerAge(s State) int {
	switch s.Provider {
	case NotAvailable:
		if age(s.Status) >= age(Deprovisioning) {
			return 8
		}
		return 1
	case ProviderOrdering, ProviderPendingApproval:
		return 2
	case ProviderProvisioning, ProviderPendingConfiguration, ProviderPendingBGP:
		return 3
	case ProviderProvisioned, Available:
		return 4
	case ProviderPendingDelete:
		return 5
	case ProviderDeprovisioning, ProviderDeleting:
		return 6
	case ProviderDeprovisioned:
		return 7
	default:
		return 0
	}
}
