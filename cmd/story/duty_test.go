package story_test

import (
	"strings"
	"testing"
	"time"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Where a cloud asks for a second confirmation the story says who has to do what, at the step
// that shows it and for as long as it is so.
func TestDuty(t *testing.T) {
	for _, tt := range []struct {
		api              status.API
		native, provider string
		on, advice       string // nothing is waited for if empty
	}{
		{status.ECX, "PENDING_BGP_PEERING", "NOT_AVAILABLE", "buyer", "ExpressRoute"},
		{status.Fabric, "PENDING_BGP_PEERING", "PENDING_BGP", "buyer", "ExpressRoute"},
		{status.Fabric, "PROVISIONED", "PENDING_BGP", "buyer", "ExpressRoute"},
		{status.Fabric, "DEPROVISIONING", "PENDING_BGP", "", ""},
		{status.ECX, "PENDING_PROVIDER_VLAN", "NOT_AVAILABLE", "the other company", "assign"},
		{status.Fabric, "PENDING_PROVIDER_VLAN_ERROR", "ERROR", "", ""},
		{status.Fabric, "PENDING_INTERFACE_CONFIGURATION", "AVAILABLE", "buyer", "which interface"},
		{status.ECX, "PROVISIONED", "PENDING_APPROVAL", "buyer", "AWS"},
		{status.Fabric, "PROVISIONING", "PENDING_APPROVAL", "buyer", "AWS"},
		{status.Fabric, "PROVISIONED", "AVAILABLE", "", ""},
		{status.ECX, "ON_VACATION", "ABROAD", "exchange", `what "ON_VACATION, ABROAD" means`},
		{status.Fabric, "PROVISIONING", "PROVISIONING", "", ""},
	} {
		t.Run(tt.native+"/"+tt.provider, func(t *testing.T) {
			native := status.Native{Status: tt.native, ProviderStatus: tt.provider}
			is := status.Normalise(tt.api, native)
			p := newTape(t)
			p.step(time.Minute, first, "- "+string(is.Status)+" "+string(is.Provider), func(step *patchbayv1.Transition) {
				step.To.Native = &patchbayv1.Native{Status: tt.native, ProviderStatus: tt.provider}
			})
			s := story.Tell(entity(event.Connection, first), p.all)
			said := strings.Join(s.Steps[0].Details, "\n")
			if tt.on == "" {
				if len(s.Waits) != 0 || strings.Contains(said, "waits for") {
					t.Errorf("waits for %+v, and the step says %q; want nothing", s.Waits, said)
				}
				return
			}
			if len(s.Waits) != 1 || s.Waits[0].On != tt.on || !strings.Contains(s.Waits[0].Advice, tt.advice) || s.Waits[0].Since == nil {
				t.Fatalf("waits for %+v, want one on %s, since when, and with %q in its advice", s.Waits, tt.on, tt.advice)
			}
			if !strings.Contains(said, s.Waits[0].Line()) {
				t.Errorf("the step says %q, want %q in it", said, s.Waits[0].Line())
			}
		})
	}
}
