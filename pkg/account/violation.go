package account

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Violation is one thing that is wrong with an accounts file.
type Violation struct {
	Line    int    // 0 if not known
	Path    string // such as accounts[1].landing[0].tags; empty for the file as a whole
	Message string
}

// String is a line for people.
func (v Violation) String() string {
	var b strings.Builder
	if v.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", v.Line)
	}
	if v.Path != "" {
		b.WriteString(v.Path + ": ")
	}
	return b.String() + v.Message
}

// Violations are all that is wrong, by line.
type Violations []Violation //nolint:errname // a list that can be returned as an error

// Error has a line for each violation.
func (vs Violations) Error() string {
	lines := make([]string, len(vs))
	for i, v := range vs {
		lines[i] = v.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns the violations sorted, or nil if there are none.
func (vs Violations) Err() error {
	if len(vs) == 0 {
		return nil
	}
	slices.SortStableFunc(vs, func(a, b Violation) int { return cmp.Compare(a.Line, b.Line) })
	return vs
}
