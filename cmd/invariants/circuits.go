package invariants

import (
	"slices"
	"strings"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/status"
	"patchbay.io/services/sandbox"
)

// A Circuit is one circuit as the books of the sandbox have it, of whatever exchange.
type Circuit struct {
	ID         string // of the connection
	ExchangeID string
	Name       string
	Buyer      string // organization
	Created    time.Time
	// Moving says that the exchange will move it by itself.
	Moving bool

	now     sandbox.Step
	history []sandbox.Step
	// states puts a step into our words, as the API tells it.
	states func(s sandbox.Step, api status.API) string
}

// Circuits are all circuits in the books, those of one exchange by age.
func Circuits(books sandbox.Inventory) []Circuit {
	var all []Circuit
	for _, c := range books.Connections {
		all = append(all, Circuit{
			ID: event.ConnectionID("equinix", c.ID), ExchangeID: c.ID, Name: c.Name, Buyer: c.Buyer, Created: c.Created,
			Moving: slices.Contains([]string{"PENDING_AUTO_APPROVAL", "PROVISIONING", "DEPROVISIONING"}, c.Status),
			now:    sandbox.Step{Status: c.Status, ProviderStatus: c.ProviderStatus}, history: c.History,
			states: equinixStates(c.Profile != ""),
		})
	}
	for _, c := range books.PacketFabric.Circuits {
		now := sandbox.Step{Status: c.Status}
		if c.State != "" {
			now.Status = c.State
		}
		all = append(all, Circuit{
			ID: event.ConnectionID("packetfabric", c.ID), ExchangeID: c.ID, Name: c.Description, Buyer: c.Buyer,
			Created: c.Created, Moving: slices.Contains([]string{"Pending", "Provisioning", "Deleting"}, c.State),
			now: now, history: c.History, states: packetFabricStates,
		})
	}
	return all
}

// State is where the circuit stands, as status/providerStatus, by the words of an API.
func (c Circuit) State(api string) string { return c.states(c.now, status.API(api)) }

// Path are the states that the circuit went through, by the words of an API.
func (c Circuit) Path(api string) []string {
	var all []string
	for _, h := range c.history {
		all = append(all, c.states(h, status.API(api)))
	}
	return all
}

// equinixStates reads a step of a circuit of Equinix, which keeps its books in the words of
// ECX. Fabric has words of its own for the provider's side; profile says that there is one.
func equinixStates(profile bool) func(sandbox.Step, status.API) string {
	return func(s sandbox.Step, api status.API) string {
		provider := s.ProviderStatus
		if api == status.Fabric {
			switch s.Status {
			case "PENDING_AUTO_APPROVAL":
				provider = "PROVISIONING"
			case "PROVISIONING":
				if provider = "NOT_AVAILABLE"; profile {
					provider = "PROVISIONING"
				}
			case "PROVISIONED", "PENDING_DELETE":
				provider = "AVAILABLE"
			case "DEPROVISIONING", "REJECTED":
				provider = s.Status
			case "DEPROVISIONED", "DELETED":
				provider = "DEPROVISIONED"
			case "AUTO_APPROVAL_FAILED", "NOT_PROVISIONED", "NOT_DEPROVISIONED":
				provider = "FAILED"
			}
		}
		return states(api, status.Native{Status: s.Status, ProviderStatus: provider})
	}
}

// packetFabricStates reads a step at PacketFabric, of a request, whose words are in lower
// case, or of a circuit.
func packetFabricStates(s sandbox.Step, _ status.API) string {
	if s.Status == strings.ToLower(s.Status) {
		return states(status.PacketFabric, status.Native{Status: s.Status})
	}
	return states(status.PacketFabric, status.Native{State: s.Status})
}

func states(api status.API, n status.Native) string {
	s := status.Normalise(api, n)
	return string(s.Status) + "/" + string(s.Provider)
}
