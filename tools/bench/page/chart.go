package page

import (
	"fmt"
	"html"
	"math"
	"strings"

	"patchbay.io/tools/bench/measure"
)

// Chart is a chart of bars, each the median of what was measured with the range across its
// end. It is drawn here: chart libraries draw no ranges across bars, and these few lines
// show well on light and on dark pages.
type Chart struct {
	// Name of the file, without its ending.
	Name  string `json:"name"`
	Title string `json:"title"`
	Bars  []Bar  `json:"bars"`
	// Log is for values that differ by orders of magnitude.
	Log bool `json:"log,omitempty"`
	// Aim, if not 0, is drawn as a line.
	Aim float64 `json:"aim,omitempty"`
}

// Bar is one of a [Chart].
type Bar struct {
	Label string         `json:"label"`
	Value measure.Spread `json:"value"`
}

func (c Chart) file() string { return c.Name + ".svg" }

// Measures of the drawing, in pixels.
const (
	labels = 250 // where bars begin
	plot   = 330 // the longest bar
	after  = 150 // for the figures behind it
	row    = 28
	top    = 40
)

// SVG is the drawing.
func (c Chart) SVG() string {
	width, height := labels+plot+after, top+row*len(c.Bars)+14
	x := c.scale()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n",
		width, height, width, height)
	b.WriteString("<style>text{fill:#24292f}.bar{fill:#4078c0}.range,.aim{stroke:#24292f;fill:none}.aim{stroke-dasharray:4 3}" +
		"@media(prefers-color-scheme:dark){text{fill:#e6edf3}.range,.aim{stroke:#e6edf3}}</style>\n")
	fmt.Fprintf(&b, `<text x="8" y="22" font-weight="bold">%s</text>`+"\n", html.EscapeString(c.Title))
	for i, bar := range c.Bars {
		y := top + row*i
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labels-8, y+16, html.EscapeString(bar.Label))
		if bar.Value.N == 0 {
			fmt.Fprintf(&b, `<text x="%d" y="%d">not measured</text>`+"\n", labels, y+16)
			continue
		}
		fmt.Fprintf(&b, `<rect class="bar" x="%d" y="%d" width="%.1f" height="%d"/>`+"\n", labels, y+3, x(bar.Value.Median), row-10)
		fmt.Fprintf(&b, `<path class="range" d="M%.1f %dH%.1fm0 -4v8M%.1f %dv8"/>`+"\n",
			labels+x(bar.Value.Min), y+12, labels+x(bar.Value.Max), labels+x(bar.Value.Min), y+8)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", labels+x(bar.Value.Max)+8, y+16, bar.Value)
	}
	if c.Aim > 0 {
		fmt.Fprintf(&b, `<path class="aim" d="M%.1f %dV%d"/>`+"\n", labels+x(c.Aim), top-2, height-10)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// scale returns the length of a bar for a value.
func (c Chart) scale() func(float64) float64 {
	most, least := c.Aim, math.Inf(1)
	for _, b := range c.Bars {
		if b.Value.N > 0 {
			most, least = max(most, b.Value.Max), min(least, b.Value.Min)
		}
	}
	if c.Aim > 0 {
		least = min(least, c.Aim)
	}
	if !c.Log || least <= 0 {
		return func(v float64) float64 { return plot * v / max(most, math.SmallestNonzeroFloat64) }
	}
	floor := math.Pow(10, math.Floor(math.Log10(least)))
	if floor == least {
		floor /= 10 // the shortest bar should be seen
	}
	return func(v float64) float64 { return plot * math.Log10(v/floor) / math.Log10(most/floor) }
}
