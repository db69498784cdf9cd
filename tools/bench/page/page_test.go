package page_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay.io/tools/bench/measure"
	"patchbay.io/tools/bench/page"
)

func section() *page.Section {
	s := &page.Section{
		Name:   "speed",
		Tables: []page.Table{{Head: []string{"", "ours"}, Rows: [][]string{{"a second", "12"}}}},
		Charts: []page.Chart{{Name: "speed", Title: "Speed <of all>", Aim: 0.5, Bars: []page.Bar{
			{Label: "ours", Value: measure.Of([]float64{1, 2, 4})}, {Label: "not here"},
		}}},
		Notes: []string{"one was skipped"},
	}
	s.Set("ours", measure.Of([]float64{12}))
	return s
}

// Only what stands between the markers is written, and writing it again changes nothing.
func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	const before = "# Page\n\n<!-- speed: written by make bench -->\nold\n<!-- end of speed -->\n\nprose\n"
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for range 2 {
		if err := section().Write(path); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	if texts[0] != texts[1] {
		t.Errorf("the second time the page is\n%s\nthe first time it was\n%s", texts[1], texts[0])
	}
	for _, want := range []string{"# Page\n", "| a second | 12 |", "(performance/speed.svg)", "- one was skipped", "\nprose\n"} {
		if !strings.Contains(texts[0], want) {
			t.Errorf("the page has no %q:\n%s", want, texts[0])
		}
	}
	if strings.Contains(texts[0], "old") {
		t.Errorf("the page still has what stood between the markers:\n%s", texts[0])
	}
	for _, name := range []string{"speed.svg", "results.json"} {
		if _, err := os.Stat(filepath.Join(strings.TrimSuffix(path, ".md"), name)); err != nil {
			t.Error(err)
		}
	}
}

func TestWriteWithoutMarkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte("prose\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := section().Write(path); err == nil || !strings.Contains(err.Error(), "speed") {
		t.Errorf("got error %v, want one that names the markers", err)
	}
}

// A drawing is well-formed, with and without a logarithmic scale, and shows each label.
func TestSVG(t *testing.T) {
	for _, log := range []bool{false, true} {
		c := section().Charts[0]
		c.Log = log
		d := xml.NewDecoder(strings.NewReader(c.SVG()))
		var text strings.Builder
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("log %v: %v\n%s", log, err, c.SVG())
			}
			if data, ok := token.(xml.CharData); ok {
				text.Write(data)
			}
		}
		for _, want := range []string{"Speed <of all>", "ours", "2.00 (1.00–4.00)", "not measured"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("log %v: the drawing does not say %q", log, want)
			}
		}
		if strings.Contains(c.SVG(), "NaN") || strings.Contains(c.SVG(), "Inf") {
			t.Errorf("log %v: the drawing has lengths that are no numbers:\n%s", log, c.SVG())
		}
	}
}
