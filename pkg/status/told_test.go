package status_test

import (
	"fmt"
	"testing"

	"patchbay.io/pkg/status"
)

func TestTold(t *testing.T) {
	at := func(s status.Status, p status.Provider) status.State { return status.State{Status: s, Provider: p} }
	pending := at(status.PendingApproval, status.NotAvailable)
	up := at(status.Provisioned, status.Available)
	gone := at(status.Deprovisioned, status.ProviderDeprovisioned)
	for _, tt := range []struct {
		name, reason string
		from, to     status.State
		told         []status.Status
		want         string
	}{
		{"built", "it was accepted and built; what the seller's side did is not told", pending, up,
			[]status.Status{status.PendingApproval, status.Provisioning, status.Provisioned},
			"inferred PROVISIONING/PROVISIONING PROVISIONED/AVAILABLE"},
		{"withdrawn", "it never stood", pending, gone,
			[]status.Status{status.Deprovisioning, status.Deprovisioned},
			"inferred DEPROVISIONING/DEPROVISIONING DEPROVISIONED/DEPROVISIONED"},
		{"not all told", "the last event has not come yet", pending, gone,
			[]status.Status{status.Deprovisioning}, "skipped DEPROVISIONED/DEPROVISIONED"},
		{"nothing told", "as without events", pending, gone, nil, "skipped DEPROVISIONED/DEPROVISIONED"},
		{"no such way", "what the chart does not allow is not concluded", pending, gone,
			[]status.Status{status.Provisioned, status.Deprovisioned}, "skipped DEPROVISIONED/DEPROVISIONED"},
		{"deletion", "whether its provider said so or not, somebody asked for the deletion and the seller agreed: which word is not told",
			up, gone, []status.Status{status.Deprovisioning, status.Deprovisioned}, "skipped DEPROVISIONED/DEPROVISIONED"},
		{"tried again", "what may have been one step is one, whatever else is told", at(status.Provisioning, status.ProviderProvisioning), up,
			[]status.Status{status.Provisioning, status.Failed, status.Provisioning, status.Provisioned},
			"direct PROVISIONED/AVAILABLE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := status.Told(status.Fabric, status.ApprovalFlow, tt.from, tt.to, tt.told)
			got := string(p.Kind)
			for _, s := range p.Steps {
				got += fmt.Sprint(" ", s)
			}
			if got != tt.want {
				t.Errorf("Told = %s, want %s: %s", got, tt.want, tt.reason)
			}
		})
	}
}

func TestToldSinceBirth(t *testing.T) {
	told := []status.Status{status.PendingApproval, status.Provisioning, status.Provisioned}
	p := status.ToldSinceBirth(status.Fabric, status.ApprovalFlow,
		status.State{Status: status.Provisioned, Provider: status.Available}, told)
	if got, want := fmt.Sprint(p), "{[PENDING_APPROVAL/NOT_AVAILABLE PROVISIONING/PROVISIONING PROVISIONED/AVAILABLE] inferred}"; got != want {
		t.Errorf("ToldSinceBirth = %s, want %s", got, want)
	}
}

// Whatever an exchange tells, the steps are those of a chart, and end in what was seen.
func TestToldStaysInTheChart(t *testing.T) {
	for _, flow := range append(status.Flows(), status.UnknownFlow) {
		steps := status.Chart(status.Fabric, flow)
		for _, x := range steps {
			for _, y := range steps {
				for _, first := range status.Statuses() {
					statuses := []status.Status{first, y.To.Status}
					p := status.Told(status.Fabric, flow, x.From, y.To, statuses)
					if p.Kind != status.Inferred {
						continue
					}
					from := x.From
					for _, s := range p.Steps {
						if !allowed(steps, from, s) {
							t.Fatalf("%s: %v to %v told %v: %v to %v is no step", flow, x.From, y.To, statuses, from, s)
						}
						from = s
					}
					if from != y.To {
						t.Fatalf("%s: the path ends in %v, not in %v", flow, from, y.To)
					}
				}
			}
		}
	}
}

func allowed(steps []status.Step, from, to status.State) bool {
	for _, x := range steps {
		if x.From == from && x.To == to {
			return true
		}
	}
	return false
}

func TestStateWord(t *testing.T) {
	for word, want := range map[string]status.Status{"provisioned": status.Provisioned, "PENDING": status.PendingApproval, "Failed": status.Failed} {
		if got, ok := status.StateWord(word); got != want || !ok {
			t.Errorf("StateWord(%q) = %s, %v, want %s", word, got, ok, want)
		}
	}
	for _, word := range []string{"", "ACTIVE", "MOONSTRUCK"} {
		if got, ok := status.StateWord(word); ok {
			t.Errorf("StateWord(%q) = %s; it tells nothing", word, got)
		}
	}
}
