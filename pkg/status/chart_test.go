package status_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"patchbay.io/pkg/status"
)

var update = flag.Bool("update", false, "rewrite the diagrams in docs")

// Steps that go backward on purpose, by their reason.
var returns = []string{"seller refused the deletion", "tried again"}

func TestChartsAreSound(t *testing.T) {
	for _, api := range status.APIs() {
		for _, flow := range status.Flows() {
			steps := status.Chart(api, flow)
			birth := status.Birth(api, flow)
			if !slices.ContainsFunc(steps, func(x status.Step) bool { return x.From == birth }) {
				t.Errorf("%s %s: no step leads out of its birth %v", api, flow, birth)
			}
			for _, x := range steps {
				where := fmt.Sprintf("%s %s: %v to %v", api, flow, x.From, x.To)
				if x.From == x.To || x.From != x.From.Bare() || x.To != x.To.Bare() {
					t.Errorf("%s: not a step between two bare states", where)
				}
				for _, s := range []status.State{x.From, x.To} {
					if !s.Status.Known() || !s.Provider.Known() {
						t.Errorf("%s: %v stands in a chart, which lists only what is known", where, s)
					}
				}
				if x.Why == "" || strings.ContainsAny(x.Why, ":;#\n\"") {
					t.Errorf("%s: reason %q is empty or breaks the diagram", where, x.Why)
				}
				if got, want := status.Backward(x.From, x.To), slices.Contains(returns, x.Why); got != want {
					t.Errorf("%s: Backward = %v, want %v for %q", where, got, want, x.Why)
				}
				if x.From.Status == status.Deprovisioned || x.From.Status == status.Rejected {
					t.Errorf("%s: what is over stays over", where)
				}
			}
		}
	}
}

// Each circuit can be got rid of, from any state that is not an end.
func TestEveryStateLeadsToAnEnd(t *testing.T) {
	for _, api := range status.APIs() {
		for _, flow := range status.Flows() {
			steps := status.Chart(api, flow)
			for _, x := range steps {
				if !endsFrom(steps, x.To, nil) {
					t.Errorf("%s %s: no way from %v to an end", api, flow, x.To)
				}
			}
		}
	}
}

func endsFrom(steps []status.Step, s status.State, passed []status.State) bool {
	if s.Status.Ended() {
		return true
	}
	return slices.ContainsFunc(steps, func(x status.Step) bool {
		return x.From == s && !slices.Contains(passed, x.To) && endsFrom(steps, x.To, append(passed, s))
	})
}

// Every status and providerStatus that a document has stands in a chart of its API.
func TestChartsHaveWhatIsDocumented(t *testing.T) {
	providers := map[status.API][]string{
		status.ECX: {"NOT_AVAILABLE", "AVAILABLE", "PENDING_APPROVAL", "PROVISIONING", "PROVISIONED", "REJECTED",
			"DEPROVISIONING", "DEPROVISIONED", "FAILED"},
		status.Fabric: {"AVAILABLE", "DEPROVISIONED", "DEPROVISIONING", "FAILED", "NOT_AVAILABLE", "PENDING_APPROVAL",
			"PENDING_CONFIGURATION", "PROVISIONED", "PROVISIONING", "REJECTED", "PENDING_BGP", "ERROR", "ORDERING", "DELETING",
			"PENDING DELETE", "N/A"},
		status.PacketFabric: {""},
	}
	for _, api := range status.APIs() {
		steps := status.Chart(api, status.UnknownFlow)
		has := func(fits func(status.State) bool) bool {
			return slices.ContainsFunc(steps, func(x status.Step) bool { return fits(x.From) || fits(x.To) })
		}
		words, states := status.Words(api)
		for _, w := range slices.Concat(words, states) {
			if !has(func(s status.State) bool { return s.Status == w.Status }) {
				t.Errorf("%s: no circuit is ever %s, which %s means", api, w.Status, w.Native)
			}
		}
		for _, word := range providers[api] {
			want := status.Normalise(api, status.Native{ProviderStatus: word}).Provider
			if !want.Known() || !has(func(s status.State) bool { return s.Provider == want }) {
				t.Errorf("%s: no circuit ever has providerStatus %q, %s to us", api, word, want)
			}
		}
	}
}

func TestUnknownFlowHasTheStepsOfAll(t *testing.T) {
	for _, api := range status.APIs() {
		all := status.Chart(api, status.UnknownFlow)
		var n int
		for _, flow := range status.Flows() {
			for _, x := range status.Chart(api, flow) {
				n++
				if !slices.ContainsFunc(all, func(y status.Step) bool { return y.From == x.From && y.To == x.To }) {
					t.Errorf("%s: the chart of the unknown flow lacks %v to %v", api, x.From, x.To)
				}
			}
		}
		if len(all) == 0 || len(all) >= n {
			t.Errorf("%s: %d steps of %d; each is to be listed once", api, len(all), n)
		}
	}
	if got := status.Birth(status.ECX, status.UnknownFlow); got != (status.State{}) {
		t.Errorf("birth of an unknown flow = %v, want none", got)
	}
}

// The pages are printed from the tables; they cannot drift from them.
func TestDocs(t *testing.T) {
	for _, api := range status.APIs() {
		t.Run(string(api), func(t *testing.T) {
			file := "../../docs/states-" + string(api) + ".md"
			got := page(api)
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
				t.Errorf("%s is stale; run go test ./pkg/status -update and read the diff", file)
			}
		})
	}
}

// titles are the names by which people know the APIs.
var titles = map[status.API]string{
	status.ECX:          "Equinix Cloud Exchange (ECX v3)",
	status.Fabric:       "Equinix Fabric (v4)",
	status.PacketFabric: "PacketFabric (v2)",
}

const intro = `Printed from the tables of package status; do not edit by hand.

A circuit has two sides: its status at the exchange and, after the slash, its
providerStatus, the other company's side. Every box is a pair of the two, every arrow
a step that Patchbay announces as one event.

Yellow waits for the other company, blue moves by itself, green carries traffic, red
failed or was refused, grey is gone. A move without an arrow is announced too, as
*unexpected*. A status that nobody documented is UNKNOWN and may stand before and
after any other.

If steps were missed between two looks at a circuit and there is only one way, they
are announced as *inferred*; if there are several, one event says *skipped*. Nothing
that goes backward (a deletion refused, a creation tried again) is ever inferred, unless
the exchange itself tells of it.
`

// page returns the document about one API.
func page(api status.API) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# States of a circuit: %s\n\n%s", titles[api], intro)

	b.WriteString("\n## Words\n\n")
	words, states := status.Words(api)
	if states == nil {
		table(&b, "status", words)
		b.WriteString("\nproviderStatus is taken over in upper case, with `_` for a space; `N/A` and absent are\n" +
			"NOT_AVAILABLE, and what nobody documented is UNKNOWN.\n")
	} else {
		table(&b, "status of the request", words)
		b.WriteString("\nOf any other request, and of a circuit that had none, the circuit's state decides;\n" +
			"that of an accepted request whose circuit is not listed yet is PROVISIONING.\n\n")
		table(&b, "state of the circuit", states)
		b.WriteString("\nThere is no providerStatus: it is AVAILABLE while the circuit is PROVISIONED or\n" +
			"DEPROVISIONING, else NOT_AVAILABLE.\n")
	}
	if api == status.Fabric {
		b.WriteString("\nNOT_PROVISIONED is FAILED if `state` or `change.status` says FAILED.\n\n" +
			"Fabric's own events name the `state` that a circuit had between two looks. These words\n" +
			"make a missed step certain; any other leaves it open:\n\n")
		table(&b, "state", status.StateWords())
	}

	for _, flow := range status.Flows() {
		fmt.Fprintf(&b, "\n## %s\n\n", headings[flow])
		fmt.Fprintf(&b, "A fresh circuit is %s.\n\n", status.Birth(api, flow))
		fmt.Fprintf(&b, "```mermaid\n%s```\n", status.Diagram(api, flow))
	}
	return b.Bytes()
}

var headings = map[status.Flow]string{
	status.ApprovalFlow:   "To a seller who approves each request",
	status.IntegratedFlow: "To a cloud or another company whose system answers by itself",
	status.OwnFlow:        "Between own ports, or by service token",
}

func table(b *bytes.Buffer, title string, words []status.Word) {
	fmt.Fprintf(b, "| %s | Patchbay's status |\n|---|---|\n", title)
	for _, w := range words {
		fmt.Fprintf(b, "| %s | %s |\n", w.Native, w.Status)
	}
}

func ExampleDiagram() {
	diagram := status.Diagram(status.ECX, status.OwnFlow)
	for line := range strings.Lines(diagram) {
		if strings.Contains(line, "-->") {
			fmt.Print(strings.TrimLeft(line, " "))
		}
	}
	// Output:
	// [*] --> provisioning__not_available
	// provisioning__not_available --> provisioned__available : built
	// provisioning__not_available --> deprovisioning__not_available : given up
	// provisioned__available --> deprovisioning__available : deleted
	// deprovisioning__available --> deprovisioned__not_available : taken down
	// deprovisioning__not_available --> deprovisioned__not_available : taken down
	// deprovisioned__not_available --> [*]
}
