package order_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"patchbay.io/pkg/order"
)

var update = flag.Bool("update", false, "rewrite the diagrams in docs")

func charts() map[string]order.Chart {
	return map[string]order.Chart{
		"create":           order.Orders(order.Create),
		"change":           order.Orders(order.Change),
		"delete":           order.Orders(order.Delete),
		"leg of a create":  order.Legs(order.Create),
		"leg of a change":  order.Legs(order.Change),
		"approval":         order.Approvals(),
		"landing":          order.Landings(),
		"hold":             order.Holds(),
		"leg of no create": order.Legs(order.Delete),
	}
}

func TestChartsAreSound(t *testing.T) {
	for name, chart := range charts() {
		seen := map[[2]string]bool{}
		for _, s := range chart {
			if seen[[2]string{s.From, s.To}] {
				t.Errorf("%s: %s to %s stands there twice", name, s.From, s.To)
			}
			seen[[2]string{s.From, s.To}] = true
			if s.To == "" || s.Why == "" || strings.ContainsAny(s.Why, ":;#\n\"") {
				t.Errorf("%s: %s to %q for %q: no word, no reason, or one that breaks the diagram", name, s.From, s.To, s.Why)
			}
			if s.From != "" && !reaches(chart, "", s.From) {
				t.Errorf("%s: nothing leads to %s", name, s.From)
			}
		}
	}
}

func TestEveryOrderCanEnd(t *testing.T) {
	for _, kind := range order.Kinds() {
		chart := order.Orders(kind)
		for _, fact := range order.Facts() {
			known := slices.ContainsFunc(chart, func(s order.Step) bool { return s.To == fact })
			if kind == order.Create && !known {
				t.Errorf("no create is ever %s", fact)
			}
			if known && !order.Ended(fact) && !reaches(chart, fact, order.Failed) {
				t.Errorf("a %s that is %s can never end", kind, fact)
			}
			if order.Ended(fact) && slices.ContainsFunc(chart.Next(fact), func(to string) bool { return to != order.Orphaned }) {
				t.Errorf("a %s goes on after %s: %v; only a notice may follow an end", kind, fact, chart.Next(fact))
			}
		}
		for _, state := range order.LegStates() {
			if !order.LegEnded(state) && !reaches(order.Legs(kind), state, order.Completed) {
				t.Errorf("a leg of a %s that is %s can never be completed", kind, state)
			}
		}
	}
}

// What keeps money safe, read from the tables.
func TestNothingIsBoughtTwice(t *testing.T) {
	for _, from := range []string{order.Cancelling, order.Failed, order.Completed, order.Invalid} {
		if order.Orders(order.Create).Allows(from, order.Placing) {
			t.Errorf("a create that is %s may place, want never", from)
		}
	}
	for _, from := range []string{order.Placed, order.Completed, order.Failed} {
		if order.Legs(order.Create).Allows(from, order.Placing) {
			t.Errorf("a leg that is %s may be placed, want never again", from)
		}
	}
	if order.Legs(order.Create).Allows(order.Uncertain, order.Open) {
		t.Error("a leg whose answer was lost may be open again, want it looked for until it is known")
	}
}

// reaches reports whether one or more steps lead from one word to another.
func reaches(chart order.Chart, from, to string) bool {
	seen := map[string]bool{}
	for queue := chart.Next(from); len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			return true
		}
		if !seen[queue[0]] {
			seen[queue[0]] = true
			queue = append(queue, chart.Next(queue[0])...)
		}
	}
	return false
}

// The page is printed from the tables; it cannot drift from them.
func TestDocs(t *testing.T) {
	const file = "../../docs/states-order.md"
	got := page()
	if *update {
		if err := os.MkdirAll("../../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale; run go test ./pkg/order -update and read the diff", file)
	}
}

func page() []byte {
	var b bytes.Buffer
	b.WriteString(`# Facts of orders, approvals, landings and holds

Printed from the tables of package order; do not edit by hand.

A fact is one event: the entity has entered the state of that name, and the event says all
there is to know about it. An arrow back to the same fact means that the entity is where
it was and knows more. Yellow waits, for somebody or for certainty; green is as hoped, red
is not, grey is given back.
`)
	for _, s := range []struct{ title, about string }{
		{"create", "An order for new circuits. `placing` is written before each call that may buy\n" +
			"something, `uncertain` when its answer was lost. `orphaned` is a notice about a circuit that\n" +
			"belongs to no leg; it ends nothing, and may come after the end."},
		{"leg of a create", "One circuit of such an order: there are two if it is redundant. Each `placing` is one\n" +
			"attempt, counted from 1. After a lost answer there is another only when the exchange was looked\n" +
			"at twice, with time between, and showed nothing."},
		{"change", "An order for other values of a circuit, or for its end."},
		{"leg of a change", "One circuit that is changed or deleted."},
		{"approval", "A seller's consent. A circuit has rounds: its create, any number of changes, its delete."},
		{"landing", "Where a seller puts a circuit, in the same rounds."},
		{"hold", "A scarce thing with its owner: a tag on a port, a service token."},
	} {
		fmt.Fprintf(&b, "\n## %s%s\n\n%s\n\n```mermaid\n%s```\n", strings.ToUpper(s.title[:1]), s.title[1:],
			s.about, order.Diagram(charts()[s.title]))
	}
	return b.Bytes()
}
