package story

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Page is where a story is written.
type Page struct {
	W io.Writer
	// Now is the present, for how long ago something was.
	Now time.Time
	// Zone of the times; default UTC.
	Zone *time.Location
	// Paint colours text by the state it tells of; nil leaves it plain.
	Paint func(state, text string) string
}

func (p Page) paint(state, text string) string {
	if p.Paint == nil {
		return text
	}
	return p.Paint(state, text)
}

func (p Page) clock(at time.Time, layout string) string {
	zone := p.Zone
	if zone == nil {
		zone = time.UTC
	}
	return at.In(zone).Format(layout)
}

// Write writes the story for people.
func (s Story) Write(p Page) error {
	var b strings.Builder
	s.head(&b, p)
	s.steps(&b, p)
	s.present(&b, p)
	_, err := io.WriteString(p.W, b.String())
	return err
}

func (s Story) head(b *strings.Builder, p Page) {
	fmt.Fprintf(b, "%s %s  %s\n", s.Noun, s.ID, s.Title)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %-13s %s\n", name, text)
		}
	}
	line("state", fmt.Sprintf("%s for %s", p.paint(s.State, s.State), Span(p.Now.Sub(s.Since))))
	for _, w := range s.About {
		line(w.Name, w.Value)
	}
	line("trace", s.Trace)
	b.WriteByte('\n')
}

func (s Story) steps(b *strings.Builder, p Page) {
	var who, what int
	for _, step := range s.Steps {
		who = max(who, utf8.RuneCountInString(step.Who))
		what = max(what, utf8.RuneCountInString(step.What))
	}
	day := ""
	for _, step := range s.Steps {
		if d := p.clock(step.At, "2006-01-02"); d != day {
			fmt.Fprintf(b, "  %s %s\n", d, p.clock(step.At, "MST"))
			day = d
		}
		took := ""
		if step.Took > 0 {
			took = "+" + Span(step.Took)
		}
		fmt.Fprintf(b, "  %s %8s  %s  %s  %s\n", p.clock(step.At, "15:04:05.000"), took,
			pad(step.Who, who), p.paint(step.What, pad(step.What, what)), marked(step))
		for _, d := range step.Details {
			fmt.Fprintf(b, "%27s%s\n", "", d)
		}
	}
}

// marked is who it was, and how a transition is known.
func marked(s Step) string {
	if len(s.Marks) == 0 {
		return s.By
	}
	return s.By + " [" + strings.Join(s.Marks, ", ") + "]"
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

func (s Story) present(b *strings.Builder, p Page) {
	for _, w := range s.Waits {
		fmt.Fprintf(b, "\n  %s waits for %s\n", w.Who, w.What)
		fmt.Fprintf(b, "    on       %s\n", w.On)
		if w.Since != nil {
			fmt.Fprintf(b, "    since    %s (%s)\n", p.clock(*w.Since, time.DateTime), Span(p.Now.Sub(*w.Since)))
		}
		if w.Until != nil {
			fmt.Fprintf(b, "    until    %s (%s)\n", p.clock(*w.Until, time.DateTime), ahead(w.Until.Sub(p.Now)))
		}
		if w.Advice != "" {
			fmt.Fprintf(b, "    to do    %s\n", w.Advice)
		}
	}
	for i, c := range s.Circuits {
		if i == 0 {
			b.WriteByte('\n')
		}
		leg := ""
		if c.Leg != "" {
			leg = c.Leg + " "
		}
		fmt.Fprintf(b, "  circuit %s%s: %s for %s; %s\n", leg, c.ID, p.paint(c.State, c.State), Span(p.Now.Sub(c.Since)),
			map[string]string{"yes": p.paint("bills", "bills"), "no": "does not bill",
				"unknown": "nobody here knows whether it bills"}[c.Bills])
	}
}

func ahead(d time.Duration) string {
	if d < 0 {
		return Span(-d) + " ago"
	}
	return "in " + Span(d)
}

// Span is a duration for people, in two units at most: "850ms", "2m3s", "3d4h".
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return trim(d.Round(time.Second))
	case d < 24*time.Hour:
		return trim(d.Round(time.Minute))
	default:
		h := int(d.Round(time.Hour).Hours())
		return fmt.Sprintf("%dd%dh", h/24, h%24)
	}
}

// trim leaves out units of which there are none.
func trim(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
