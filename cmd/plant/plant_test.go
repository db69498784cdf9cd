package plant_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"patchbay.io/cmd/plant"
)

// Changes of one file follow each other, and the file itself stays as it is.
func TestOverlay(t *testing.T) {
	checkout, dir := t.TempDir(), t.TempDir()
	file := filepath.Join(checkout, "a.go")
	write(t, file, "one two")
	overlay, err := plant.Overlay(checkout, dir, []plant.Change{
		{File: "a.go", Old: "one", With: "three"}, {File: file, Old: "three two", With: "four"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Replace map[string]string }
	if err := json.Unmarshal(read(t, overlay), &list); err != nil {
		t.Fatal(err)
	}
	if got := string(read(t, list.Replace[file])); got != "four" {
		t.Errorf("the copy reads %q, want four", got)
	}
	if got := string(read(t, file)); got != "one two" {
		t.Errorf("the file itself reads %q, want it unchanged", got)
	}
}

// A place that is not there, or twice, is refused: the code has moved on.
func TestOverlayRefuses(t *testing.T) {
	checkout := t.TempDir()
	write(t, filepath.Join(checkout, "a.go"), "twice twice")
	for _, old := range []string{"twice", "never"} {
		_, err := plant.Overlay(checkout, t.TempDir(), []plant.Change{{File: "a.go", Old: old, With: "x"}})
		if err == nil || !strings.Contains(err.Error(), "want 1") {
			t.Errorf("a change of %q is refused with %v, want the number of places", old, err)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
