// Package page is what the benchmarks leave behind: results as JSON, tables and charts.
//
// A page of documentation has a pair of markers for each section, and only what stands
// between them is ever written; prose around it is people's. So no figure is typed by hand.
package page

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"patchbay.io/tools/bench/measure"
)

// Section is the outcome of one group of measurements.
type Section struct {
	Name       string             `json:"name"`
	Conditions measure.Conditions `json:"conditions"`
	Tables     []Table            `json:"tables"`
	Charts     []Chart            `json:"charts"`
	// Notes are what a reader has to know besides, as what was skipped and why.
	Notes []string `json:"notes,omitempty"`
	// Values are the figures themselves.
	Values map[string]measure.Spread `json:"values"`
}

// Table is a heading and rows; all but the first column are numbers.
type Table struct {
	Head []string   `json:"head"`
	Rows [][]string `json:"rows"`
}

// Set notes a figure.
func (s *Section) Set(name string, v measure.Spread) {
	if s.Values == nil {
		s.Values = map[string]measure.Spread{}
	}
	s.Values[name] = v
}

// Markdown is the section as it stands in a page; charts are files of folder.
func (s *Section) Markdown(folder string) string {
	var b strings.Builder
	for _, t := range s.Tables {
		b.WriteString(t.markdown() + "\n")
	}
	for _, c := range s.Charts {
		fmt.Fprintf(&b, "![%s](%s/%s)\n\n", c.Title, folder, c.file())
	}
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "- %s\n", n)
	}
	if len(s.Notes) > 0 {
		b.WriteString("\n")
	}
	b.WriteString(s.under())
	return b.String()
}

// under says what the section was taken under.
func (s *Section) under() string {
	c := s.Conditions
	var remarks string
	if c.Busy() {
		remarks += " **Draft: others were using the machine.**"
	}
	if c.Short {
		remarks += " **Draft: from a short run.**"
	}
	return fmt.Sprintf("*Taken %s in %.0f s on %d cores of %s, %s, commit %s; load average %s.*%s\n",
		c.At.Format("2006-01-02 15:04 UTC"), c.Took, c.Cores, c.CPU, c.Go, c.Commit, c.Load, remarks)
}

func (t Table) markdown() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.Head)
	rule := make([]string, len(t.Head))
	for i := range rule {
		if rule[i] = "---:"; i == 0 {
			rule[i] = "---"
		}
	}
	line(rule)
	for _, r := range t.Rows {
		line(r)
	}
	return b.String()
}

func begin(name string) string { return "<!-- " + name + ": written by make bench -->" }
func end(name string) string   { return "<!-- end of " + name + " -->" }

// Write puts the section into the page at path, between its markers, its charts into the
// folder beside it that has the page's name, and its results into that folder too.
func (s *Section) Write(path string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(old), begin(s.Name))
	_, tail, closed := strings.Cut(rest, end(s.Name))
	if !ok || !closed {
		return fmt.Errorf("%s has no lines %q and %q for what was measured", path, begin(s.Name), end(s.Name))
	}
	folder := strings.TrimSuffix(path, filepath.Ext(path))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, c := range s.Charts {
		if err := os.WriteFile(filepath.Join(folder, c.file()), []byte(c.SVG()), 0o644); err != nil {
			return err
		}
	}
	if err := s.keep(filepath.Join(folder, "results.json")); err != nil {
		return err
	}
	text := head + begin(s.Name) + "\n\n" + s.Markdown(filepath.Base(folder)) + "\n" + end(s.Name) + tail
	return os.WriteFile(path, []byte(text), 0o644)
}

// keep puts the section's results beside those of the others.
func (s *Section) keep(path string) error {
	all := map[string]*Section{}
	switch b, err := os.ReadFile(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(b, &all); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	all[s.Name] = s
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
