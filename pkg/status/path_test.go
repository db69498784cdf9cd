package status_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"patchbay.io/pkg/status"
)

// States that many cases begin or end with.
var (
	asked    = state(status.PendingApproval, status.NotAvailable)
	building = state(status.Provisioning, status.NotAvailable)
	built    = state(status.Provisioned, status.Available)
	refused  = state(status.Rejected, status.NotAvailable)
	leaving  = state(status.PendingDelete, status.Available)
	undoing  = state(status.Deprovisioning, status.Available)
	gone     = state(status.Deprovisioned, status.NotAvailable)
	odd      = state(status.Unknown, status.NotAvailable)
	cloud    = state(status.Provisioned, status.ProviderProvisioned)
	nothing  = status.State{}
)

func TestBetween(t *testing.T) {
	for _, tt := range []struct {
		name     string
		api      status.API
		flow     status.Flow
		from, to status.State
		kind     status.Kind
		want     []status.State
		reason   string
	}{
		{"unseen", status.ECX, status.ApprovalFlow, nothing, built, status.First, []status.State{built},
			"without an order nobody knows how it began"},
		{"unchanged", status.ECX, status.ApprovalFlow, built, built, status.Same, nil, "nothing to announce"},
		{"approved", status.ECX, status.ApprovalFlow, asked, building, status.Direct, []status.State{building}, ""},
		{"rejected", status.ECX, status.ApprovalFlow, asked, refused, status.Direct, []status.State{refused}, ""},
		{"approved and built", status.ECX, status.ApprovalFlow, asked, built, status.Inferred,
			[]status.State{building, built}, "nothing is built without being built"},
		{"deleted", status.ECX, status.ApprovalFlow, built, gone, status.Inferred,
			[]status.State{leaving, undoing, gone}, "a seller who approves by hand agrees to deletions too"},
		{"the whole life", status.ECX, status.ApprovalFlow, building, undoing, status.Inferred,
			[]status.State{built, leaving, undoing}, ""},
		{"deletion refused", status.ECX, status.ApprovalFlow, leaving, built, status.Direct, []status.State{built}, ""},
		{"withdrawn", status.ECX, status.ApprovalFlow, asked, gone, status.Direct, []status.State{gone},
			"no subscriber is told that it was in service"},
		{"vanished", status.ECX, status.ApprovalFlow, building, gone, status.Skipped, []status.State{gone},
			"it may have been given up, or have been in service"},
		{"risen from the dead", status.ECX, status.ApprovalFlow, gone, built, status.Unexpected,
			[]status.State{built}, "the chart knows no way back"},
		{"wrong flow", status.ECX, status.ApprovalFlow, asked, cloud, status.Unexpected, []status.State{cloud},
			"a seller who approves by hand never says PROVISIONED"},
		{"to the unknown", status.ECX, status.ApprovalFlow, asked, odd, status.Direct, []status.State{odd},
			"UNKNOWN may follow anything"},
		{"from the unknown", status.ECX, status.ApprovalFlow, odd, built, status.Direct, []status.State{built},
			"UNKNOWN may precede anything"},
		{"unknown on the other side", status.ECX, status.ApprovalFlow, state(status.Provisioned, status.ProviderUnknown),
			gone, status.Direct, []status.State{gone}, "so may an unknown providerStatus"},
		{"no agreement needed", status.ECX, status.OwnFlow, built, gone, status.Inferred,
			[]status.State{undoing, gone}, "nobody else has to agree"},
		{"cloud", status.ECX, status.IntegratedFlow, building, cloud, status.Direct, []status.State{cloud},
			"cloud providers end at PROVISIONED"},
		{"cloud catches up", status.ECX, status.IntegratedFlow, cloud, built, status.Direct, []status.State{built},
			"a move of the other side alone is a step"},
		{"cloud gone", status.ECX, status.IntegratedFlow, cloud, gone, status.Skipped, []status.State{gone},
			"the cloud may have said DEPROVISIONING or nothing"},
		{"flow unknown, one way", status.ECX, status.UnknownFlow, asked, built, status.Inferred,
			[]status.State{building, built}, "only one flow begins with a request"},
		{"flow unknown, two ways", status.ECX, status.UnknownFlow, built, gone, status.Skipped, []status.State{gone},
			"whether a seller agreed depends on the flow"},
		{"flow nobody has", status.ECX, "barter", asked, built, status.Inferred,
			[]status.State{building, built}, "is an unknown one"},
		{"Fabric: acceptance", status.Fabric, status.ApprovalFlow, asked, built, status.Skipped, []status.State{built},
			"it may have been PROVISIONED/PROVISIONED on the way"},
		{"Fabric: retry", status.Fabric, status.OwnFlow, state(status.Failed, status.ProviderFailed), built,
			status.Skipped, []status.State{built}, "a step backward is never inferred"},
		{"Fabric: own", status.Fabric, status.OwnFlow, built, state(status.Deprovisioned, status.ProviderDeprovisioned),
			status.Inferred, []status.State{state(status.Deprovisioning, status.ProviderDeprovisioning),
				state(status.Deprovisioned, status.ProviderDeprovisioned)}, ""},
		{"PacketFabric: accepted", status.PacketFabric, status.ApprovalFlow, asked, built, status.Inferred,
			[]status.State{building, built}, ""},
		{"PacketFabric: deleted", status.PacketFabric, status.ApprovalFlow, built, gone, status.Inferred,
			[]status.State{undoing, gone}, "the seller has no say in it"},
		{"flow unknown, one way in all", status.PacketFabric, status.UnknownFlow, built, gone, status.Inferred,
			[]status.State{undoing, gone}, "all flows agree on it"},
		{"foreign API", "carrier-pigeon", status.ApprovalFlow, asked, building, status.Unexpected,
			[]status.State{building}, "there is no chart"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := status.Between(tt.api, tt.flow, tt.from, tt.to)
			if got.Kind != tt.kind || !slices.Equal(got.Steps, tt.want) {
				t.Errorf("%v to %v = %s %v, want %s %v: %s",
					tt.from, tt.to, got.Kind, got.Steps, tt.kind, tt.want, tt.reason)
			}
		})
	}
}

func TestBetweenKeepsNativeWords(t *testing.T) {
	auto := status.Normalise(status.ECX, status.Native{Status: "PENDING_AUTO_APPROVAL"})
	bgp := status.Normalise(status.ECX, status.Native{Status: "PENDING_BGP_PEERING"})
	got := status.Between(status.ECX, status.IntegratedFlow, auto, bgp)
	if got.Kind != status.Same || !slices.Equal(got.Steps, []status.State{bgp}) {
		t.Errorf("a change of native words = %s %+v, want it announced as %s", got.Kind, got.Steps, status.Same)
	}

	request := status.Normalise(status.ECX, status.Native{Status: "PENDING_APPROVAL"})
	done := status.Normalise(status.ECX, status.Native{Status: "PROVISIONED", ProviderStatus: "AVAILABLE"})
	got = status.Between(status.ECX, status.ApprovalFlow, request, done)
	if want := []status.State{building, done}; got.Kind != status.Inferred || !slices.Equal(got.Steps, want) {
		t.Errorf("steps = %s %+v, want %+v: only what was seen has native words", got.Kind, got.Steps, want)
	}
}

func TestSinceBirth(t *testing.T) {
	ordering := state(status.Provisioning, status.ProviderOrdering)
	for _, tt := range []struct {
		name   string
		api    status.API
		flow   status.Flow
		to     status.State
		kind   status.Kind
		want   []status.State
		reason string
	}{
		{"as born", status.ECX, status.ApprovalFlow, asked, status.First, []status.State{asked}, ""},
		{"one step on", status.ECX, status.ApprovalFlow, building, status.Inferred,
			[]status.State{asked, building}, "the request was there, though nobody saw it"},
		{"built at once", status.ECX, status.ApprovalFlow, built, status.Inferred,
			[]status.State{asked, building, built}, "subscribers get the same path at every speed"},
		{"own port", status.ECX, status.OwnFlow, built, status.Inferred, []status.State{building, built}, ""},
		{"vanished", status.ECX, status.OwnFlow, gone, status.Skipped, []status.State{gone}, "given up or used"},
		{"not as ordered", status.ECX, status.ApprovalFlow, cloud, status.Unexpected, []status.State{cloud},
			"then its birth is not certain either"},
		{"unknown word", status.ECX, status.ApprovalFlow, odd, status.First, []status.State{odd},
			"nothing follows from it"},
		{"unknown flow", status.ECX, status.UnknownFlow, built, status.First, []status.State{built}, ""},
		{"another way to begin", status.Fabric, status.IntegratedFlow, ordering, status.First,
			[]status.State{ordering}, "no step leads there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := status.SinceBirth(tt.api, tt.flow, tt.to)
			if got.Kind != tt.kind || !slices.Equal(got.Steps, tt.want) {
				t.Errorf("since birth to %v = %s %v, want %s %v: %s",
					tt.to, got.Kind, got.Steps, tt.kind, tt.want, tt.reason)
			}
		})
	}
}

func TestBackward(t *testing.T) {
	for _, tt := range []struct {
		from, to status.State
		want     bool
		reason   string
	}{
		{asked, building, false, "forward"},
		{built, building, true, "a circuit is not unbuilt"},
		{gone, built, true, "nor does it return"},
		{leaving, built, true, "a refused deletion looks just like old news"},
		{refused, building, true, "a refusal is final"},
		{built, built, false, "no step"},
		{built, state(status.Provisioned, status.NotAvailable), true, "the other side is not undone"},
		{state(status.Provisioned, status.ProviderProvisioning), cloud, false, "the other side moves on"},
		{cloud, built, false, "two words for the same"},
		{state(status.Deprovisioned, status.ProviderDeprovisioned), gone, false,
			"at the end NOT_AVAILABLE is the last word"},
		{undoing, gone, false, "forward"},
		{built, state(status.Provisioned, status.ProviderError), false, "failures come at any time"},
		{built, odd, false, "UNKNOWN may follow anything"},
		{odd, asked, false, "UNKNOWN may precede anything"},
		{nothing, asked, false, "nothing was seen before"},
	} {
		if got := status.Backward(tt.from, tt.to); got != tt.want {
			t.Errorf("Backward(%v, %v) = %v, want %v: %s", tt.from, tt.to, got, tt.want, tt.reason)
		}
	}
}

// drawn is a pair of observations, mostly from the chart of the flow.
type drawn struct {
	api      status.API
	flow     status.Flow
	from, to status.State
}

func draw(t *rapid.T) drawn {
	api := rapid.SampledFrom(status.APIs()).Draw(t, "api")
	flow := rapid.SampledFrom(append(status.Flows(), status.UnknownFlow)).Draw(t, "flow")
	var charted []status.State
	for _, x := range status.Chart(api, flow) {
		charted = append(charted, x.From, x.To)
	}
	arbitrary := rapid.Custom(func(t *rapid.T) status.State {
		return status.State{
			Status:   rapid.SampledFrom(status.Statuses()).Draw(t, "status"),
			Provider: rapid.SampledFrom(status.Providers()).Draw(t, "provider"),
			Native:   status.Native{Status: rapid.SampledFrom([]string{"", "X", "Y"}).Draw(t, "native")},
		}
	})
	one := rapid.OneOf(rapid.SampledFrom(charted), rapid.SampledFrom(charted), arbitrary)
	return drawn{api, flow, one.Draw(t, "from"), one.Draw(t, "to")}
}

func TestPathProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		p := status.Between(d.api, d.flow, d.from, d.to)
		if d.from == d.to {
			if len(p.Steps) != 0 || p.Kind != status.Same {
				t.Fatalf("nothing happened, got %s %v", p.Kind, p.Steps)
			}
			return
		}
		if last := p.Steps[len(p.Steps)-1]; last != d.to {
			t.Fatalf("last step %v, want the observation %v", last, d.to)
		}
		if (len(p.Steps) > 1) != (p.Kind == status.Inferred) {
			t.Fatalf("%s path of %d steps: only inferred ones have more than one", p.Kind, len(p.Steps))
		}
		if again := status.Between(d.api, d.flow, d.from, d.to); !slices.Equal(again.Steps, p.Steps) {
			t.Fatalf("a second look says %v, the first said %v", again.Steps, p.Steps)
		}
		check(t, d, p)
	})
}

// check tells whether the steps of p are what its kind promises.
func check(t *rapid.T, d drawn, p status.Path) {
	chart := status.Chart(d.api, d.flow)
	unknown := d.from.Status == status.Unknown || d.to.Status == status.Unknown ||
		d.from.Provider == status.ProviderUnknown || d.to.Provider == status.ProviderUnknown
	seen := []status.State{d.from.Bare()}
	for i, s := range p.Steps {
		if i < len(p.Steps)-1 && s.Native != (status.Native{}) {
			t.Fatalf("inferred state %+v has native words", s)
		}
		if p.Kind != status.Same && slices.Contains(seen, s.Bare()) {
			t.Fatalf("%v comes twice in %v", s, p.Steps)
		}
		charted := slices.ContainsFunc(chart, func(x status.Step) bool {
			return x.From == seen[len(seen)-1] && x.To == s.Bare()
		})
		if knows := p.Kind == status.Direct || p.Kind == status.Inferred; knows && !charted && !unknown {
			t.Fatalf("%s path has the step %v to %v, which is not in the chart", p.Kind, seen[len(seen)-1], s)
		}
		if p.Kind != status.Direct && p.Kind != status.Same && charted && len(p.Steps) == 1 {
			t.Fatalf("%s, but the chart knows %v to %v", p.Kind, d.from, s)
		}
		seen = append(seen, s.Bare())
	}
}

// TestUniqueness counts paths another way: by trying all, without pruning.
func TestUniqueness(t *testing.T) {
	for _, api := range status.APIs() {
		for _, flow := range status.Flows() {
			chart := status.Chart(api, flow)
			var states []status.State
			for _, x := range chart {
				states = append(states, x.From, x.To)
			}
			for _, from := range states {
				for _, to := range states {
					if from == to {
						continue
					}
					n := count(chart, []status.State{from}, to)
					kind := status.Between(api, flow, from, to).Kind
					if n == 0 != (kind == status.Unexpected) || n > 1 && kind == status.Inferred {
						t.Errorf("%s %s: %v to %v is %s, with %d paths", api, flow, from, to, kind, n)
					}
				}
			}
		}
	}
}

func count(chart []status.Step, path []status.State, to status.State) int {
	last := path[len(path)-1]
	if last == to {
		return 1
	}
	n := 0
	for _, x := range chart {
		if x.From == last && !slices.Contains(path, x.To) {
			n += count(chart, append(slices.Clone(path), x.To), to)
		}
	}
	return n
}

func ExampleBetween() {
	waiting := status.Normalise(status.ECX, status.Native{Status: "PENDING_APPROVAL"})
	done := status.Normalise(status.ECX, status.Native{Status: "PROVISIONED", ProviderStatus: "AVAILABLE"})
	p := status.Between(status.ECX, status.ApprovalFlow, waiting, done)
	fmt.Println(p.Kind, p.Steps)
	// Output: inferred [PROVISIONING/NOT_AVAILABLE PROVISIONED/AVAILABLE]
}

func ExampleSinceBirth() {
	done := status.Normalise(status.ECX, status.Native{Status: "PROVISIONED", ProviderStatus: "AVAILABLE"})
	p := status.SinceBirth(status.ECX, status.ApprovalFlow, done)
	fmt.Println(p.Kind, p.Steps)
	// Output: inferred [PENDING_APPROVAL/NOT_AVAILABLE PROVISIONING/NOT_AVAILABLE PROVISIONED/AVAILABLE]
}
