package status

import "slices"

// Flow is the way a circuit takes through the chart of its API. It follows from
// what was ordered.
type Flow string

// The flows. The zero Flow is that of a circuit about which nobody can tell: it
// may take the steps of any other, but only of one of them at a time.
const (
	UnknownFlow    Flow = ""
	ApprovalFlow   Flow = "approval"   // to a seller who accepts each request by hand
	IntegratedFlow Flow = "integrated" // to a company, mostly a cloud, whose own system answers
	OwnFlow        Flow = "own"        // between ports of one owner, or by service token
)

// Flows returns every flow but [UnknownFlow].
func Flows() []Flow { return []Flow{ApprovalFlow, IntegratedFlow, OwnFlow} }

// Step is one allowed step of a circuit between two states, which are bare.
type Step struct {
	From, To State
	Why      string // what has happened, for people
}

// chart is what circuits of one flow do at one API: the state a fresh one is
// usually in, and the steps. Read a row as "a circuit may go from … to …, because …".
type chart struct {
	birth State
	steps []Step
}

var charts = map[API]map[Flow]chart{
	ECX: {
		ApprovalFlow:   ecxApproval,
		IntegratedFlow: ecxIntegrated,
		OwnFlow:        ecxOwn,
	},
	Fabric: {
		ApprovalFlow:   fabricApproval,
		IntegratedFlow: fabricIntegrated,
		OwnFlow:        fabricOwn,
	},
	PacketFabric: {
		ApprovalFlow:   packetFabricApproval,
		IntegratedFlow: packetFabricOwn,
		OwnFlow:        packetFabricOwn,
	},
}

// ecxApproval has one way only from PROVISIONED to DEPROVISIONED: a seller who
// approves by hand has to agree to every deletion too, so the exchange always
// passes through PENDING_DELETE.
//
// "Given up" and "withdrawn" are steps although the guide is silent about them:
// without them a request that vanished before it was built would be concluded to
// have been in service.
var ecxApproval = chart{
	birth: at(PendingApproval, NotAvailable),
	steps: []Step{
		{at(PendingApproval, NotAvailable), at(Provisioning, NotAvailable), "seller approved"},
		{at(PendingApproval, NotAvailable), at(Rejected, NotAvailable), "seller refused"},
		{at(PendingApproval, NotAvailable), at(Deprovisioning, NotAvailable), "buyer withdrew"},
		{at(PendingApproval, NotAvailable), at(Deprovisioned, NotAvailable), "buyer withdrew"},
		{at(Provisioning, NotAvailable), at(Provisioned, Available), "built"},
		{at(Provisioning, NotAvailable), at(Deprovisioning, NotAvailable), "given up"},
		{at(Provisioned, Available), at(PendingDelete, Available), "buyer asked for deletion, still billed"},
		{at(PendingDelete, Available), at(Deprovisioning, Available), "seller agreed"},
		{at(PendingDelete, Available), at(Provisioned, Available), "seller refused the deletion"},
		{at(Deprovisioning, Available), at(Deprovisioned, NotAvailable), "taken down"},
		{at(Deprovisioning, NotAvailable), at(Deprovisioned, NotAvailable), "taken down"},
	},
}

// ecxIntegrated is wide because the cloud's side moves by itself. That it is being
// approved automatically, peers by BGP or waits for a VLAN is PROVISIONING in other
// words, hence no step of its own.
var ecxIntegrated = chart{
	birth: at(Provisioning, NotAvailable),
	steps: []Step{
		{at(Provisioning, NotAvailable), at(Provisioning, ProviderPendingApproval), "cloud wants the buyer's consent"},
		{at(Provisioning, NotAvailable), at(Provisioning, ProviderProvisioning), "cloud began"},
		{at(Provisioning, ProviderPendingApproval), at(Provisioning, ProviderProvisioning), "cloud began"},
		{at(Provisioning, ProviderProvisioning), at(Provisioning, ProviderProvisioned), "cloud done first"},
		{at(Provisioning, NotAvailable), at(Provisioned, Available), "built"},
		{at(Provisioning, NotAvailable), at(Provisioned, ProviderProvisioned), "built"},
		{at(Provisioning, NotAvailable), at(Provisioned, NotAvailable), "built, cloud silent"},
		{at(Provisioning, NotAvailable), at(Provisioned, ProviderPendingApproval), "built, cloud wants consent"},
		{at(Provisioning, NotAvailable), at(Provisioned, ProviderProvisioning), "built, cloud busy"},
		{at(Provisioning, ProviderPendingApproval), at(Provisioned, ProviderPendingApproval), "built, cloud wants consent"},
		{at(Provisioning, ProviderProvisioning), at(Provisioned, ProviderProvisioning), "built, cloud busy"},
		{at(Provisioning, ProviderProvisioning), at(Provisioned, ProviderProvisioned), "built"},
		{at(Provisioning, ProviderProvisioning), at(Provisioned, Available), "built"},
		{at(Provisioning, ProviderProvisioned), at(Provisioned, ProviderProvisioned), "built"},
		{at(Provisioned, NotAvailable), at(Provisioned, ProviderPendingApproval), "cloud wants the buyer's consent"},
		{at(Provisioned, NotAvailable), at(Provisioned, ProviderProvisioning), "cloud began"},
		{at(Provisioned, NotAvailable), at(Provisioned, ProviderProvisioned), "cloud done"},
		{at(Provisioned, NotAvailable), at(Provisioned, Available), "cloud done"},
		{at(Provisioned, ProviderPendingApproval), at(Provisioned, ProviderProvisioning), "buyer consented"},
		{at(Provisioned, ProviderPendingApproval), at(Provisioned, ProviderProvisioned), "buyer consented"},
		{at(Provisioned, ProviderPendingApproval), at(Provisioned, Available), "buyer consented"},
		{at(Provisioned, ProviderProvisioning), at(Provisioned, ProviderProvisioned), "cloud done"},
		{at(Provisioned, ProviderProvisioning), at(Provisioned, Available), "cloud done"},
		{at(Provisioned, ProviderProvisioned), at(Provisioned, Available), "cloud done"},
		{at(Provisioning, NotAvailable), at(Failed, NotAvailable), "automatic approval failed"},
		{at(Provisioning, NotAvailable), at(Failed, ProviderFailed), "automatic approval failed"},
		{at(Provisioning, NotAvailable), at(Failed, ProviderRejected), "cloud refused"},
		{at(Provisioning, ProviderPendingApproval), at(Failed, ProviderRejected), "cloud refused"},
		{at(Provisioning, ProviderProvisioning), at(Failed, ProviderFailed), "cloud failed"},
		{at(Provisioning, NotAvailable), at(Deprovisioning, NotAvailable), "given up"},
		{at(Failed, NotAvailable), at(Deprovisioned, NotAvailable), "cleared away"},
		{at(Failed, ProviderFailed), at(Deprovisioned, NotAvailable), "cleared away"},
		{at(Failed, ProviderRejected), at(Deprovisioned, NotAvailable), "cleared away"},
		{at(Provisioned, Available), at(Deprovisioning, Available), "deleted"},
		{at(Provisioned, ProviderProvisioned), at(Deprovisioning, ProviderProvisioned), "deleted"},
		{at(Provisioned, Available), at(Deprovisioning, ProviderDeprovisioning), "deleted"},
		{at(Provisioned, ProviderProvisioned), at(Deprovisioning, ProviderDeprovisioning), "deleted"},
		{at(Provisioned, ProviderPendingApproval), at(Deprovisioning, ProviderPendingApproval), "deleted before consent"},
		{at(Deprovisioning, Available), at(Deprovisioning, ProviderDeprovisioning), "cloud began to take down"},
		{at(Deprovisioning, ProviderProvisioned), at(Deprovisioning, ProviderDeprovisioning), "cloud began to take down"},
		{at(Deprovisioning, NotAvailable), at(Deprovisioned, NotAvailable), "taken down"},
		{at(Deprovisioning, Available), at(Deprovisioned, NotAvailable), "taken down"},
		{at(Deprovisioning, ProviderProvisioned), at(Deprovisioned, NotAvailable), "taken down"},
		{at(Deprovisioning, ProviderProvisioned), at(Deprovisioned, ProviderDeprovisioned), "taken down"},
		{at(Deprovisioning, ProviderPendingApproval), at(Deprovisioned, NotAvailable), "taken down"},
		{at(Deprovisioning, ProviderPendingApproval), at(Deprovisioned, ProviderDeprovisioned), "taken down"},
		{at(Deprovisioning, ProviderDeprovisioning), at(Deprovisioned, ProviderDeprovisioned), "taken down"},
		{at(Deprovisioning, ProviderDeprovisioning), at(Deprovisioned, NotAvailable), "taken down"},
	},
}

var ecxOwn = chart{
	birth: at(Provisioning, NotAvailable),
	steps: []Step{
		{at(Provisioning, NotAvailable), at(Provisioned, Available), "built"},
		{at(Provisioning, NotAvailable), at(Deprovisioning, NotAvailable), "given up"},
		{at(Provisioned, Available), at(Deprovisioning, Available), "deleted"},
		{at(Deprovisioning, Available), at(Deprovisioned, NotAvailable), "taken down"},
		{at(Deprovisioning, NotAvailable), at(Deprovisioned, NotAvailable), "taken down"},
	},
}

// fabricApproval differs from ECX in that acceptance sets the provider's side to
// work too, that a failure has a state, and that a failed creation can be retried.
var fabricApproval = chart{
	birth: at(PendingApproval, NotAvailable),
	steps: []Step{
		{at(PendingApproval, NotAvailable), at(PendingApproval, ProviderPendingApproval), "request reached the seller"},
		{at(PendingApproval, NotAvailable), at(Provisioning, ProviderProvisioning), "seller accepted"},
		{at(PendingApproval, ProviderPendingApproval), at(Provisioning, ProviderProvisioning), "seller accepted"},
		{at(PendingApproval, NotAvailable), at(Rejected, ProviderRejected), "seller refused"},
		{at(PendingApproval, ProviderPendingApproval), at(Rejected, ProviderRejected), "seller refused"},
		{at(PendingApproval, NotAvailable), at(Deprovisioning, ProviderDeprovisioning), "buyer withdrew"},
		{at(PendingApproval, ProviderPendingApproval), at(Deprovisioning, ProviderDeprovisioning), "buyer withdrew"},
		{at(PendingApproval, NotAvailable), at(Deprovisioned, NotAvailable), "buyer withdrew"},
		{at(PendingApproval, ProviderPendingApproval), at(Deprovisioned, NotAvailable), "buyer withdrew"},
		{at(Provisioning, ProviderProvisioning), at(Provisioned, Available), "built"},
		{at(Provisioning, ProviderProvisioning), at(Provisioned, ProviderProvisioned), "built"},
		{at(Provisioned, ProviderProvisioned), at(Provisioned, Available), "seller's side in service"},
		{at(Provisioning, ProviderProvisioning), at(Failed, ProviderFailed), "could not be built"},
		{at(Provisioning, ProviderProvisioning), at(Failed, ProviderError), "could not be built"},
		{at(Failed, ProviderFailed), at(Provisioning, ProviderProvisioning), "tried again"},
		{at(Failed, ProviderError), at(Provisioning, ProviderProvisioning), "tried again"},
		{at(Failed, ProviderFailed), at(Deprovisioning, ProviderDeprovisioning), "cleared away"},
		{at(Failed, ProviderError), at(Deprovisioning, ProviderDeprovisioning), "cleared away"},
		{at(Provisioned, Available), at(PendingDelete, Available), "buyer asked for deletion, still billed"},
		{at(Provisioned, Available), at(PendingDelete, ProviderPendingDelete), "buyer asked for deletion, still billed"},
		{at(Provisioned, ProviderProvisioned), at(PendingDelete, ProviderPendingDelete), "buyer asked for deletion, still billed"},
		{at(PendingDelete, Available), at(Provisioned, Available), "seller refused the deletion"},
		{at(PendingDelete, ProviderPendingDelete), at(Provisioned, Available), "seller refused the deletion"},
		{at(PendingDelete, Available), at(Deprovisioning, ProviderDeprovisioning), "seller agreed"},
		{at(PendingDelete, ProviderPendingDelete), at(Deprovisioning, ProviderDeprovisioning), "seller agreed"},
		{at(Deprovisioning, ProviderDeprovisioning), at(Deprovisioned, ProviderDeprovisioned), "taken down"},
		{at(Deprovisioning, ProviderDeprovisioning), at(Deprovisioned, NotAvailable), "taken down"},
	},
}

var fabricIntegrated = chart{
	birth: at(Provisioning, ProviderProvisioning),
	steps: []Step{
		{at(Provisioning, NotAvailable), at(Provisioning, ProviderProvisioning), "cloud began"},
		{at(Provisioning, ProviderOrdering), at(Provisioning, ProviderProvisioning), "cloud took the order"},
		{at(Provisioning, ProviderPendingConfiguration), at(Provisioning, ProviderProvisioning), "configured at the cloud"},
		{at(Provisioning, ProviderProvisioning), at(Provisioning, ProviderPendingConfiguration), "waits for configuration"},
		{at(Provisioning, ProviderProvisioning), at(Provisioning, ProviderPendingBGP), "waits for BGP"},
		{at(Provisioning, ProviderPendingBGP), at(Provisioned, ProviderProvisioned), "built"},
		{at(Provisioning, ProviderProvisioning), at(Provisioned, ProviderProvisioning), "built, cloud busy"},
		{at(Provisioning, ProviderProvisioning), at(Provisioned, ProviderPendingApproval), "built, cloud wants consent"},
		{at(Provisioning, ProviderProvisioning), at(Provisioned, ProviderPendingBGP), "built, waits for BGP"},
		{at(Provisioning, ProviderProvisioning), at(Provisioned, ProviderProvisioned), "built"},
		{at(Provisioning, ProviderProvisioning), at(Provisioned, Available), "built"},
		{at(Provisioned, ProviderPendingApproval), at(Provisioned, ProviderProvisioning), "buyer consented"},
		{at(Provisioned, ProviderPendingApproval), at(Provisioned, ProviderProvisioned), "buyer consented"},
		{at(Provisioned, ProviderPendingBGP), at(Provisioned, ProviderProvisioned), "BGP up"},
		{at(Provisioned, ProviderProvisioning), at(Provisioned, ProviderProvisioned), "cloud done"},
		{at(Provisioned, ProviderProvisioning), at(Provisioned, Available), "cloud done"},
		{at(Provisioned, ProviderProvisioned), at(Provisioned, Available), "cloud done"},
		{at(Provisioning, ProviderProvisioning), at(Failed, ProviderFailed), "automatic approval or building failed"},
		{at(Provisioning, ProviderProvisioning), at(Failed, ProviderError), "no VLAN from the cloud, or building failed"},
		{at(Failed, ProviderFailed), at(Provisioning, ProviderProvisioning), "tried again"},
		{at(Failed, ProviderError), at(Provisioning, ProviderProvisioning), "tried again"},
		{at(Failed, ProviderFailed), at(Deprovisioning, ProviderDeprovisioning), "cleared away"},
		{at(Failed, ProviderError), at(Deprovisioning, ProviderDeprovisioning), "cleared away"},
		{at(Failed, ProviderFailed), at(Deprovisioned, ProviderFailed), "cleared away"},
		{at(Provisioned, Available), at(Deprovisioning, ProviderDeprovisioning), "deleted"},
		{at(Provisioned, ProviderProvisioned), at(Deprovisioning, ProviderDeprovisioning), "deleted"},
		{at(Provisioned, ProviderPendingApproval), at(Deprovisioning, ProviderDeprovisioning), "deleted before consent"},
		{at(Deprovisioning, ProviderDeprovisioning), at(Deprovisioning, ProviderDeleting), "cloud began to take down"},
		{at(Deprovisioning, ProviderDeprovisioning), at(Deprovisioned, ProviderDeprovisioned), "taken down"},
		{at(Deprovisioning, ProviderDeprovisioning), at(Deprovisioned, NotAvailable), "taken down"},
		{at(Deprovisioning, ProviderDeleting), at(Deprovisioned, ProviderDeprovisioned), "taken down"},
		{at(Deprovisioning, ProviderDeleting), at(Deprovisioned, NotAvailable), "taken down"},
	},
}

var fabricOwn = chart{
	birth: at(Provisioning, NotAvailable),
	steps: []Step{
		{at(Provisioning, NotAvailable), at(Provisioned, Available), "built"},
		{at(Provisioning, NotAvailable), at(Failed, ProviderFailed), "could not be built"},
		{at(Provisioning, NotAvailable), at(Failed, ProviderError), "could not be built"},
		{at(Failed, ProviderFailed), at(Provisioning, NotAvailable), "tried again"},
		{at(Failed, ProviderError), at(Provisioning, NotAvailable), "tried again"},
		{at(Failed, ProviderFailed), at(Deprovisioning, ProviderDeprovisioning), "cleared away"},
		{at(Failed, ProviderError), at(Deprovisioning, ProviderDeprovisioning), "cleared away"},
		{at(Provisioned, Available), at(Deprovisioning, ProviderDeprovisioning), "deleted"},
		{at(Deprovisioning, ProviderDeprovisioning), at(Deprovisioned, ProviderDeprovisioned), "taken down"},
		{at(Deprovisioning, ProviderDeprovisioning), at(Deprovisioned, NotAvailable), "taken down"},
	},
}

// packetFabricApproval begins with a request and goes on with its circuit. Once it
// is accepted the seller has no say: the buyer deletes alone.
var packetFabricApproval = chart{
	birth: at(PendingApproval, NotAvailable),
	steps: append([]Step{
		{at(PendingApproval, NotAvailable), at(Provisioning, NotAvailable), "seller accepted"},
		{at(PendingApproval, NotAvailable), at(Rejected, NotAvailable), "seller refused"},
		{at(PendingApproval, NotAvailable), at(Deprovisioned, NotAvailable), "buyer withdrew"},
	}, packetFabricOwn.steps...),
}

// packetFabricOwn serves the integrated flow too: PacketFabric does not show the
// cloud's side.
var packetFabricOwn = chart{
	birth: at(Provisioning, NotAvailable),
	steps: []Step{
		{at(Provisioning, NotAvailable), at(Provisioned, Available), "built"},
		{at(Provisioning, NotAvailable), at(Deprovisioning, Available), "given up"},
		{at(Provisioned, Available), at(Deprovisioning, Available), "deleted"},
		{at(Deprovisioning, Available), at(Deprovisioned, NotAvailable), "taken down"},
	},
}

// Chart returns the steps of a flow, each once; of [UnknownFlow], those of all.
func Chart(api API, flow Flow) []Step {
	var all []Step
	for _, c := range possible(api, flow) {
		for _, x := range c.steps {
			if !has(all, x.From, x.To) {
				all = append(all, x)
			}
		}
	}
	return all
}

// entries returns the states in which a circuit of c may begin: its birth, and those
// that no step leads to.
func (c chart) entries() []State {
	found := []State{c.birth}
	for _, x := range c.steps {
		led := slices.ContainsFunc(c.steps, func(y Step) bool { return y.To == x.From })
		if !led && !slices.Contains(found, x.From) {
			found = append(found, x.From)
		}
	}
	return found
}

// Birth returns the state of a fresh circuit; the zero State if the flow is unknown.
func Birth(api API, flow Flow) State { return charts[api][flow].birth }

// possible returns the charts that a circuit of this flow may follow.
func possible(api API, flow Flow) []chart {
	if c, ok := charts[api][flow]; ok {
		return []chart{c}
	}
	var all []chart
	for _, f := range Flows() {
		if c, ok := charts[api][f]; ok {
			all = append(all, c)
		}
	}
	return all
}

func has(steps []Step, from, to State) bool {
	return slices.ContainsFunc(steps, func(x Step) bool { return x.From == from && x.To == to })
}
