package status

import (
	"slices"
	"strings"
)

// API is one of the programming interfaces a circuit can be seen through.
type API string

// The three APIs. The first two show the same circuits of one exchange.
const (
	ECX          API = "ecx"          // Equinix Cloud Exchange, v3
	Fabric       API = "fabric"       // Equinix Fabric, v4
	PacketFabric API = "packetfabric" // PacketFabric, v2
)

// APIs returns every API.
func APIs() []API { return []API{ECX, Fabric, PacketFabric} }

// Native is what an exchange said, in its own words and its own spelling.
//
//	                ECX             Fabric                    PacketFabric
//	Status          status          operation.equinixStatus   status of the request
//	ProviderStatus  providerStatus  operation.providerStatus  –
//	State           –               state                     state of the circuit
//	Change          –               change.status             last word of a workflow that failed
type Native struct {
	Status         string
	ProviderStatus string
	State          string
	Change         string
}

// Word is one row of a table of words: what an exchange says, and what we call it.
// The native word is folded: in upper case, with "_" for a space.
type Word struct {
	Native string
	Status Status
}

// ecxWords are the statuses of ECX v3. Its NOT_PROVISIONED was seen to be passed
// through on the way to PROVISIONED, and nothing tells when it is the end.
var ecxWords = []Word{
	{"PENDING_APPROVAL", PendingApproval},
	{"PENDING_AUTO_APPROVAL", Provisioning},
	{"PROVISIONING", Provisioning},
	{"NOT_PROVISIONED", Provisioning},
	{"PENDING_BGP_PEERING", Provisioning},
	{"PENDING_PROVIDER_VLAN", Provisioning},
	{"PROVISIONED", Provisioned},
	{"REJECTED", Rejected},
	{"AUTO_APPROVAL_FAILED", Failed},
	{"PENDING_DELETE", PendingDelete},
	{"DEPROVISIONING", Deprovisioning},
	{"DEPROVISIONED", Deprovisioned},
	{"DELETED", Deprovisioned},
}

// laterWords came with Fabric v4. ECX is read with them too: it shows the same
// circuits, and a word that Equinix documents anywhere is not an unknown one.
var laterWords = []Word{
	{"DRAFT", Provisioning},
	{"PENDING_INTERFACE_CONFIGURATION", Provisioning},
	{"PENDING_PROVIDER_VLAN_ERROR", Failed},
	{"REJECTED_ACK", Rejected},
	{"NOT_DEPROVISIONED", Deprovisioning},
	{"CANCELLED", Deprovisioned},
}

// requestWords are the statuses of a PacketFabric request that settle the matter.
// Any other leaves it to the state of the circuit.
var requestWords = []Word{
	{"PENDING", PendingApproval},
	{"REJECTED", Rejected},
	{"WITHDRAWN", Deprovisioned},
	{"GONE", Deprovisioned},
}

// circuitWords are the states of a PacketFabric circuit, and of its cloud services.
var circuitWords = []Word{
	{"PENDING", Provisioning},
	{"PROVISIONING", Provisioning},
	{"REQUESTED", Provisioning},
	{"REQUESTING", Provisioning},
	{"ACTIVE", Provisioned},
	{"DELETING", Deprovisioning},
	{"DELETED", Deprovisioned},
}

// Words returns the words of an API, for documents: those in [Native.Status] and,
// of PacketFabric, those in [Native.State].
func Words(api API) (status, state []Word) {
	switch api {
	case ECX, Fabric:
		return slices.Concat(ecxWords, laterWords), nil
	case PacketFabric:
		return slices.Clone(requestWords), slices.Clone(circuitWords)
	default:
		return nil, nil
	}
}

// Normalise puts an exchange's words into ours and keeps them as [State.Native].
// A status that is empty or that nobody documented is [Unknown].
func Normalise(api API, n Native) State {
	s := State{Native: n}
	switch api {
	case ECX:
		s.Status, s.Provider = equinixStatus(n.Status), provider(n.ProviderStatus)
	case Fabric:
		s.Status, s.Provider = equinixStatus(n.Status), provider(n.ProviderStatus)
		if fold(n.Status) == "NOT_PROVISIONED" && (fold(n.State) == "FAILED" || fold(n.Change) == "FAILED") {
			s.Status = Failed
		}
	case PacketFabric:
		s.Status, s.Provider = packetFabricStatus(n), NotAvailable
		if s.Status == Provisioned || s.Status == Deprovisioning {
			s.Provider = Available
		}
	default:
		s.Status, s.Provider = Unknown, ProviderUnknown
	}
	return s
}

func equinixStatus(word string) Status {
	if s := lookUp(ecxWords, word); s != Unknown {
		return s
	}
	return lookUp(laterWords, word)
}

// packetFabricStatus asks the request first. A pending request may bear a circuit
// id already, whose state must not hide that somebody still has to accept it.
func packetFabricStatus(n Native) Status {
	if s := lookUp(requestWords, n.Status); s != Unknown {
		return s
	}
	switch accepted := fold(n.Status) == "PROVISIONED"; {
	case accepted && n.State == "":
		return Provisioning // the circuit is not listed yet
	case accepted || n.Status == "":
		return lookUp(circuitWords, n.State)
	default:
		return Unknown
	}
}

// provider reads a providerStatus. The word is its own translation, but for the two
// ways of saying that there is none.
func provider(word string) Provider {
	p := Provider(fold(word))
	switch {
	case p == "" || p == "N/A":
		return NotAvailable
	case p.Known():
		return p
	default:
		return ProviderUnknown
	}
}

func lookUp(words []Word, word string) Status {
	w := fold(word)
	i := slices.IndexFunc(words, func(x Word) bool { return x.Native == w })
	if i < 0 {
		return Unknown
	}
	return words[i].Status
}

// fold takes spelling out of a word: the APIs are not of one mind about it, nor is
// each with itself ("Active", "deleting", "PENDING DELETE").
func fold(word string) string {
	return strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(word)), " ", "_")
}
