package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"patchbay.io/cmd/plant"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every bug finds its place in the sources of today.
func TestBugsFit(t *testing.T) {
	checkout, err := plant.Checkout(t.Context())
	if err != nil {
		t.Skipf("the sources are not in a checkout: %v", err)
	}
	for _, b := range bugs() {
		if _, err := plant.Overlay(checkout, t.TempDir(), b.changes); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
	}
}

// A program that is built with the clock tells another time of day, and measures as ever.
func TestClock(t *testing.T) {
	dir := t.TempDir()
	main := filepath.Join(dir, "main.go")
	if err := os.WriteFile(main, []byte(`package main
import "time"
func main() {
	start := time.Now()
	time.Sleep(time.Millisecond)
	println(start.Unix(), time.Since(start) < time.Minute)
}`), 0o600); err != nil {
		t.Fatal(err)
	}
	changes, err := clock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := plant.Overlay("", dir, changes)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "-overlay", overlay, main)
	cmd.Env = append(os.Environ(), clockVariable+"=-90m", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var seconds int64
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&seconds); err != nil {
		t.Fatal(err)
	}
	behind := time.Since(time.Unix(seconds, 0))
	if behind < 89*time.Minute || behind > 91*time.Minute || !strings.Contains(string(out), "true") {
		t.Errorf("it says %q, which is %v behind; want 90 minutes, and to measure right", out, behind)
	}
}

// A program that is built with the disk finds it full while the file is there, and only then.
func TestDisk(t *testing.T) {
	dir := t.TempDir()
	main, full := filepath.Join(dir, "main.go"), filepath.Join(dir, "full")
	if err := os.WriteFile(main, []byte(`package main
import ("errors"; "os"; "syscall")
func main() {
	f, _ := os.Create(os.Args[2])
	_, one := f.WriteString("one")
	os.Create(os.Args[1])
	_, two := f.WriteString("two")
	_, at := f.WriteAt([]byte("at"), 0)
	os.Remove(os.Args[1])
	_, three := f.WriteString("three")
	println(one == nil, errors.Is(two, syscall.ENOSPC), errors.Is(at, syscall.ENOSPC), three == nil)
}`), 0o600); err != nil {
		t.Fatal(err)
	}
	changes, err := disk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := plant.Overlay("", dir, changes)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	cmd := exec.CommandContext(t.Context(), "go", "run", "-overlay", overlay, main, full, file)
	cmd.Env = append(os.Environ(), diskVariable+"="+full, "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "true true true true\n"; string(out) != want {
		t.Errorf("it says %q, want %q", out, want)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "onethree" {
		t.Errorf("the file has %q, %v; want what was written while there was room", b, err)
	}
}

// A seed draws the same wishes and the same faults each time.
func TestSeed(t *testing.T) {
	draw := func() ([]*wish, []string) {
		issued := 0
		all, err := wishes(rand.New(rand.NewPCG(7, 1)), 300, func() string { issued++; return strings.Repeat("t", issued) })
		if err != nil {
			t.Fatal(err)
		}
		w := &world{opts: options{over: time.Minute, quiet: time.Minute}, exchange: &program{}, redis: &program{}}
		for range 3 {
			w.nodes = append(w.nodes, &program{})
			w.routes = append(w.routes, &link{})
		}
		for range 8 {
			w.instances = append(w.instances, &instance{program: &program{}, redis: &link{}, sandbox: &link{}})
		}
		var faults []string
		for _, f := range newPlot(w, 7).draw(60) {
			faults = append(faults, f.at.String()+f.kind+f.what+f.span.String())
		}
		return all, faults
	}
	one, faults := draw()
	two, again := draw()
	if !reflect.DeepEqual(faults, again) {
		t.Error("the faults of a seed differ")
	}
	kinds := map[string]int{}
	for i, w := range one {
		if w.id != two[i].id || !bytes.Equal(w.data, two[i].data) {
			t.Fatalf("wish %d of a seed is %s and %s", i, w.id, two[i].id)
		}
		kinds[w.kind]++
		kinds[w.create.GetAccount()]++
		if w.wants == "invalid" {
			kinds["wrong"]++
		}
		if w.target != nil && w.target.create == nil {
			t.Errorf("%s is about %s, which creates nothing", w.id, w.target.id)
		}
	}
	for _, kind := range []string{"create", "change", "delete", "wrong", "acme-ecx", "acme-fabric", "acme-packetfabric"} {
		if kinds[kind] == 0 {
			t.Errorf("of 300 wishes none is of kind %s", kind)
		}
	}
}

// What was found stands under what it breaks, and whatever is not known breaks something.
func TestJudge(t *testing.T) {
	for _, v := range judge(nil) {
		if !v.Holds {
			t.Errorf("%s is broken though nothing was found", v.Number)
		}
	}
	got := map[string][]string{}
	for _, v := range judge([]string{"invariant 1: two circuits", "2: no order,\nat all", "subscriber: lost one", "requester-1 ended by itself", "77: what"}) {
		if v.Holds == (len(v.Found) > 0) {
			t.Errorf("%s holds: %v, and was found to be %v", v.Number, v.Holds, v.Found)
		}
		if !v.Holds {
			got[v.Number] = v.Found
		}
	}
	want := map[string][]string{
		"1": {"two circuits"}, "2": {"no order,\nat all"}, "subscriber": {"lost one"}, "program": {"requester-1 ended by itself", "77: what"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the verdict is %v, want %v", got, want)
	}
}

// An order that did not come to what was asked for is found, and one that did is not.
func TestOutcome(t *testing.T) {
	for _, tt := range []struct {
		want, got, reason string
		broken            string
	}{
		{"completed", "completed", "", ""},
		{"completed", "failed", "refused", "outcome: "},
		{"failed", "failed", "rejected", ""},
		{"", "failed", "held", ""},
		{"invalid", "completed", "", "8: "},
		{"completed", "invalid", "", "8: "},
	} {
		o := &patchbayv1.Order{Outcome: tt.got, Failure: &patchbayv1.Failure{Reason: tt.reason}}
		found := strings.Join(outcome(&wish{id: "one", kind: "create", wants: tt.want}, o), "; ")
		if !strings.HasPrefix(found, tt.broken) || tt.broken == "" && found != "" {
			t.Errorf("wanted %q, got %q %s: found %q, want %q", tt.want, tt.got, tt.reason, found, tt.broken)
		}
	}
	if found := outcome(&wish{id: "one", kind: "create"}, nil); len(found) != 1 || !strings.HasPrefix(found[0], "2: ") {
		t.Errorf("a wish without an order: found %v, want that it is forgotten", found)
	}
}

// A subscriber that lost something, or made something up, is found out.
func TestCompare(t *testing.T) {
	s := newSubscriber("test")
	s.seen = map[string]int{"a": 2, "x": 1}
	s.compare(map[string]bool{"a": true, "b": true})
	if s.Missing != 1 || s.Foreign != 1 || len(s.found()) != 2 {
		t.Errorf("missing %d, foreign %d, found %v; want one of each", s.Missing, s.Foreign, s.found())
	}
	s.seen = map[string]int{"a": 1, "b": 1}
	s.compare(map[string]bool{"a": true, "b": true})
	if found := s.found(); len(found) != 0 {
		t.Errorf("found %v in a subscriber that has everything", found)
	}
}

// The page of any run can be drawn, and what stands in it is text.
func TestPage(t *testing.T) {
	for _, o := range []*report{{}, {
		Samples:  []sample{{At: 1, Facts: 3}, {At: 2, Facts: 9}},
		Faults:   []mark{{Lane: "redis", Kind: "kill", What: "<killed>", From: 0.5, To: 1}, {Lane: "nats-1", Kind: "freeze", From: 1, To: 2}},
		Verdicts: judge([]string{"1: two circuits"}), Rates: []float64{1, 2}, Probes: []probe{{Answer: "gone"}},
	}} {
		var page bytes.Buffer
		if err := o.page(&page); err != nil {
			t.Fatal(err)
		}
		if o.Faults != nil && (!strings.Contains(page.String(), "two circuits") || !strings.Contains(page.String(), "&lt;killed&gt;")) {
			t.Errorf("the page does not say what was found, or not as text:\n%s", page.String())
		}
	}
}
