package status

import (
	"fmt"
	"slices"
	"strings"
)

// looks are the colours of a diagram; the first that fits a state is its own.
var looks = []struct {
	class, style string
	fits         func(State) bool
}{
	{"waits", "fill:#fff3cd,stroke:#a67c00,color:#222", func(s State) bool { return s.Status.Waits() }},
	{"ready", "fill:#d1e7dd,stroke:#0f5132,color:#222", State.Ready},
	{"lost", "fill:#f8d7da,stroke:#842029,color:#222",
		func(s State) bool { return s.Status == Rejected || s.Status == Failed }},
	{"gone", "fill:#e2e3e5,stroke:#41464b,color:#222", func(s State) bool { return s.Status == Deprovisioned }},
	{"moves", "fill:#cfe2ff,stroke:#084298,color:#222", func(State) bool { return true }},
}

// Diagram returns the chart of a flow as a Mermaid state diagram. Yellow states wait
// for the other company, blue ones move by themselves, green ones carry traffic,
// red and grey ones have ended.
func Diagram(api API, flow Flow) string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	steps := Chart(api, flow)
	states := statesOf(steps)
	for _, s := range states {
		fmt.Fprintf(&b, "    state %q as %s\n", string(s.Status)+" / "+string(s.Provider), node(s))
	}

	b.WriteString("\n")
	for _, s := range states {
		if beginsSomewhere(api, flow, s) {
			fmt.Fprintf(&b, "    [*] --> %s\n", node(s))
		}
	}
	for _, x := range steps {
		fmt.Fprintf(&b, "    %s --> %s : %s\n", node(x.From), node(x.To), x.Why)
	}
	for _, s := range states {
		if !slices.ContainsFunc(steps, func(x Step) bool { return x.From == s }) {
			fmt.Fprintf(&b, "    %s --> [*]\n", node(s))
		}
	}

	b.WriteString("\n")
	paint(&b, states)
	return b.String()
}

// paint gives each state its colour.
func paint(b *strings.Builder, states []State) {
	members := map[string][]string{}
	for _, s := range states {
		for _, l := range looks {
			if l.fits(s) {
				members[l.class] = append(members[l.class], node(s))
				break
			}
		}
	}
	for _, l := range looks {
		if m := members[l.class]; len(m) > 0 {
			fmt.Fprintf(b, "    classDef %s %s\n    class %s %s\n", l.class, l.style, strings.Join(m, ","), l.class)
		}
	}
}

func beginsSomewhere(api API, flow Flow, s State) bool {
	return slices.ContainsFunc(possible(api, flow), func(c chart) bool {
		return slices.Contains(c.entries(), s)
	})
}

// statesOf returns the states of a chart in the order in which it names them.
func statesOf(steps []Step) []State {
	var all []State
	for _, x := range steps {
		for _, s := range []State{x.From, x.To} {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// node returns the name of a state inside a diagram.
func node(s State) string { return s.Status.Token() + "__" + s.Provider.Token() }
