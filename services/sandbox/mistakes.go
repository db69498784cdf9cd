package sandbox

import (
	"fmt"
	"strings"
)

// Mistakes is all that is wrong with what the exchange was told to do: with a scenario, or
// with a fault, a robot or an edit.
type Mistakes []Mistake

// Mistake is one thing that is wrong.
type Mistake struct {
	Line  int    `json:"line,omitempty"`  // of the scenario file; 0 where there is none
	Field string `json:"field,omitempty"` // such as "match.tenant"; empty if it is about the whole
	Text  string `json:"text"`            // the value, the rule and what to do
}

// Error has a line for each.
func (w Mistakes) Error() string {
	lines := make([]string, len(w))
	for i, m := range w {
		lines[i] = m.Text
		if m.Field != "" {
			lines[i] = m.Field + ": " + lines[i]
		}
		if m.Line > 0 {
			lines[i] = fmt.Sprintf("line %d: %s", m.Line, lines[i])
		}
	}
	return strings.Join(lines, "\n")
}

// add says what is wrong with a field.
func (w *Mistakes) add(field, format string, args ...any) {
	*w = append(*w, Mistake{Field: field, Text: fmt.Sprintf(format, args...)})
}

// err is nil if nothing is wrong.
func (w Mistakes) err() error {
	if len(w) == 0 {
		return nil
	}
	return w
}
