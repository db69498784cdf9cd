package client

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/fatih/color"
	"github.com/mattn/go-isatty"
)

// screen is where output goes.
type screen struct {
	io.Writer
	// terminal tells that somebody is watching, and lines can be rewritten.
	terminal bool
	colour   bool
}

func newScreen(w io.Writer) screen {
	s := screen{Writer: w}
	if f, ok := w.(*os.File); ok {
		s.terminal = isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd())
	}
	s.colour = s.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

// hues are the colours of states, by the first word that a state begins with.
var hues = []struct {
	hue   color.Attribute
	words string
}{
	{color.FgRed, "failed invalid rejected conflicting expired refusal dead"},
	{color.FgYellow, "uncertain orphaned cancelling pending_delete unknown bills reminded deprovisioning"},
	{color.FgGreen, "completed provisioned approved available"},
	{color.FgCyan, "accepted placing placed pending_approval requested provisioning reserved accepting"},
	{color.Faint, "deprovisioned released freed archived"},
}

// paint colours text by the state that it tells of.
func (s screen) paint(state, text string) string {
	if !s.colour {
		return text
	}
	word, _, _ := strings.Cut(strings.ToLower(state), "/")
	if word == "provisioned" && !strings.HasSuffix(strings.ToUpper(state), "/AVAILABLE") && strings.Contains(state, "/") {
		word = "provisioning" // by one side only
	}
	for _, h := range hues {
		for w := range strings.FieldsSeq(h.words) {
			if w == word {
				c := color.New(h.hue)
				c.EnableColor()
				return c.Sprint(text)
			}
		}
	}
	return text
}

func (s screen) faint(text string) string { return s.paint("released", text) }

// table prints rows below a head, in columns as wide as they must be. The text of column
// state, counted from 0, is painted by itself; -1 paints nothing.
func (s screen) table(head []string, rows [][]string, state int) {
	width := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(row []string, paint func(i int, text string) string) {
		var b strings.Builder
		for i, cell := range row {
			text := cell
			if i < len(row)-1 {
				text += strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2)
			}
			b.WriteString(paint(i, text))
		}
		fmt.Fprintln(s, strings.TrimRight(b.String(), " "))
	}
	line(head, func(_ int, text string) string { return s.faint(text) })
	for _, row := range rows {
		line(row, func(i int, text string) string {
			if i == state {
				return s.paint(row[i], text)
			}
			return text
		})
	}
}
