package story

import (
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Duty is what somebody has to do at a circuit that nobody here can: the second confirmation
// that clouds ask for, before it can be used, or to find out what a status means that nobody
// documented. What is zero has none. The exchange goes on by itself once it is done.
func Duty(at *patchbayv1.State) Wait {
	s, p := status.Status(at.GetStatus()), status.Provider(at.GetProviderStatus())
	if s == status.Unknown {
		return Wait{What: "a status that is documented", On: "exchange",
			Advice: "see in the exchange's portal how the circuit is, or ask its support what \"" + Words(at.GetNative()) +
				"\" means; it is looked at as before, and its next status is told"}
	}
	if s != status.Provisioning && s != status.Provisioned {
		return Wait{}
	}
	switch word := at.GetNative().GetStatus(); {
	case word == "PENDING_BGP_PEERING", p == status.ProviderPendingBGP:
		return Wait{What: "BGP peering at the cloud", On: "buyer",
			Advice: "set up the circuit's peering at the cloud provider (at Azure that of the ExpressRoute circuit)"}
	case word == "PENDING_PROVIDER_VLAN":
		return Wait{What: "a VLAN of the cloud's", On: "the other company",
			Advice: "the cloud provider has to assign it; its portal shows whether it waits for anything of yours"}
	case word == "PENDING_INTERFACE_CONFIGURATION":
		return Wait{What: "an interface to be configured", On: "buyer",
			Advice: "the exchange's portal shows at the circuit which interface that is"}
	case p == status.ProviderPendingApproval:
		return Wait{What: "acceptance at the cloud", On: "buyer",
			Advice: "accept the circuit at the cloud provider (at AWS under Direct Connect, Connections); it carries nothing before"}
	default:
		return Wait{}
	}
}

// Line is a wait on one line.
func (w Wait) Line() string {
	line := "waits for " + w.What + " on " + w.On
	if w.Advice != "" {
		line += ": " + w.Advice
	}
	return line
}
