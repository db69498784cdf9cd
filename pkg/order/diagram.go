package order

import (
	"fmt"
	"slices"
	"strings"
)

// looks are the colours of a diagram, by the words that have them.
var looks = []struct{ class, style, words string }{
	{"waits", "fill:#fff3cd,stroke:#a67c00,color:#222", "uncertain requested reminded expired cancelling"},
	{"good", "fill:#d1e7dd,stroke:#0f5132,color:#222", "completed approved"},
	{"bad", "fill:#f8d7da,stroke:#842029,color:#222", "invalid failed rejected orphaned"},
	{"over", "fill:#e2e3e5,stroke:#41464b,color:#222", "released freed"},
}

// Diagram returns c as a Mermaid state diagram. Yellow is waiting for somebody else or for
// certainty, green is as hoped, red is not, grey is given back.
func Diagram(c Chart) string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	for _, s := range c {
		from := s.From
		if from == "" {
			from = "[*]"
		}
		fmt.Fprintf(&b, "    %s --> %s : %s\n", from, s.To, s.Why)
	}
	for _, word := range c.words() {
		if !slices.ContainsFunc(c.Next(word), func(to string) bool { return to != Orphaned }) {
			fmt.Fprintf(&b, "    %s --> [*]\n", word)
		}
	}
	for _, l := range looks {
		var members []string
		for _, word := range c.words() {
			if slices.Contains(strings.Fields(l.words), word) {
				members = append(members, word)
			}
		}
		if len(members) > 0 {
			fmt.Fprintf(&b, "    classDef %s %s\n    class %s %s\n", l.class, l.style, strings.Join(members, ","), l.class)
		}
	}
	return b.String()
}

// words returns every word of c in the order in which it names them.
func (c Chart) words() []string {
	var out []string
	for _, s := range c {
		for _, word := range []string{s.From, s.To} {
			if word != "" && !slices.Contains(out, word) {
				out = append(out, word)
			}
		}
	}
	return out
}
