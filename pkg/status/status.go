// Package status is the vocabulary of circuits: what a circuit's status can be at
// any of the three exchanges, how their own words are put into ours, and which
// steps a circuit may take.
//
// One vocabulary serves ECX, Fabric and PacketFabric: a [Status] for the
// exchange's side and a [Provider] for the other company's. The exchange's own
// words are kept beside them, unchanged, as [Native]. The state charts are tables;
// [Between] reads them to tell what must have happened between two observations,
// [Diagram] prints them.
//
// The package imports the standard library only, does no I/O, keeps no state and
// never panics, whatever an exchange says. A word nobody documented becomes
// [Unknown], which is no error and may stand before and after anything.
//
// It never decides what to do about a state. It tells what was seen and what
// follows from it, and keeps the two apart: an inferred state is a conclusion,
// and nobody should spend or delete on the strength of one.
package status

import (
	"slices"
	"strings"
)

// Status is where a circuit stands on the exchange's side.
type Status string

// The statuses, in the order of a circuit's life.
const (
	PendingApproval Status = "PENDING_APPROVAL" // the seller has to accept the request
	Provisioning    Status = "PROVISIONING"     // being built
	Provisioned     Status = "PROVISIONED"      // built
	Rejected        Status = "REJECTED"         // the seller refused the request
	Failed          Status = "FAILED"           // could not be built
	PendingDelete   Status = "PENDING_DELETE"   // the seller has to agree to the deletion
	Deprovisioning  Status = "DEPROVISIONING"   // being taken down
	Deprovisioned   Status = "DEPROVISIONED"    // gone
	Unknown         Status = "UNKNOWN"          // the exchange said something nobody documented
)

// Provider is where a circuit stands on the other company's side.
type Provider string

// The provider statuses. The first two are all that a seller who approves by hand
// produces; the rest is what companies whose own systems are connected report.
const (
	NotAvailable                 Provider = "NOT_AVAILABLE"
	Available                    Provider = "AVAILABLE"
	ProviderPendingApproval      Provider = "PENDING_APPROVAL" // often: the buyer has to confirm at the cloud
	ProviderPendingConfiguration Provider = "PENDING_CONFIGURATION"
	ProviderOrdering             Provider = "ORDERING"
	ProviderProvisioning         Provider = "PROVISIONING"
	ProviderPendingBGP           Provider = "PENDING_BGP"
	ProviderProvisioned          Provider = "PROVISIONED"
	ProviderRejected             Provider = "REJECTED"
	ProviderFailed               Provider = "FAILED"
	ProviderError                Provider = "ERROR"
	ProviderPendingDelete        Provider = "PENDING_DELETE"
	ProviderDeleting             Provider = "DELETING"
	ProviderDeprovisioning       Provider = "DEPROVISIONING"
	ProviderDeprovisioned        Provider = "DEPROVISIONED"
	ProviderUnknown              Provider = "UNKNOWN" // a word nobody documented
)

// Statuses returns every status, [Unknown] last.
func Statuses() []Status {
	return []Status{
		PendingApproval, Provisioning, Provisioned, Rejected, Failed,
		PendingDelete, Deprovisioning, Deprovisioned, Unknown,
	}
}

// Providers returns every provider status, [ProviderUnknown] last.
func Providers() []Provider {
	return []Provider{
		NotAvailable, Available, ProviderPendingApproval, ProviderPendingConfiguration,
		ProviderOrdering, ProviderProvisioning, ProviderPendingBGP, ProviderProvisioned,
		ProviderRejected, ProviderFailed, ProviderError, ProviderPendingDelete,
		ProviderDeleting, ProviderDeprovisioning, ProviderDeprovisioned, ProviderUnknown,
	}
}

// Token returns s as it stands in a subject: in lower case.
func (s Status) Token() string { return strings.ToLower(string(s)) }

// Token returns p as it stands in a subject: in lower case.
func (p Provider) Token() string { return strings.ToLower(string(p)) }

// Known reports whether s is a status other than [Unknown].
func (s Status) Known() bool { return s != Unknown && slices.Contains(Statuses(), s) }

// Known reports whether p is a provider status other than [ProviderUnknown].
func (p Provider) Known() bool { return p != ProviderUnknown && slices.Contains(Providers(), p) }

// Ended reports whether the circuit holds nothing any more, so that its port's tag
// and its service token may be given to another.
//
// Besides DEPROVISIONED that is REJECTED and FAILED: neither leaves a circuit on
// the tag. Fabric can try a failed creation again; should the tag have been given
// away by then, the exchange refuses one of the two, as it uses a tag once.
func (s Status) Ended() bool { return s == Rejected || s == Failed || s == Deprovisioned }

// InMotion reports whether another status is still to come, so that the circuit is
// worth a frequent look. [Unknown] is in motion: nobody can say that it is not.
func (s Status) InMotion() bool { return !s.Ended() && s != Provisioned }

// Waits reports whether the next step is a decision of the other company, for which
// no exchange documents a time limit.
func (s Status) Waits() bool { return s == PendingApproval || s == PendingDelete }

// Bills reports whether the exchange is known to charge for the circuit. A circuit
// whose deletion the seller has not agreed to still bills. False of [Unknown] means
// only that nobody knows.
func (s Status) Bills() bool { return s == Provisioned || s == PendingDelete }

// State is one observation of a circuit. States are compared with ==.
type State struct {
	Status   Status
	Provider Provider
	Native   Native // empty in charts and in inferred states
}

// Gone is the state of a circuit, or of a request for one, that the exchange no
// longer knows. There are no native words: the exchange said nothing.
func Gone() State { return at(Deprovisioned, NotAvailable) }

// Bare returns s without the exchange's own words, as it stands in a chart.
func (s State) Bare() State { return at(s.Status, s.Provider) }

// String returns both sides, as in "PROVISIONED/AVAILABLE".
func (s State) String() string { return string(s.Status) + "/" + string(s.Provider) }

// Ready reports whether traffic may flow: PROVISIONED on the exchange's side, and
// AVAILABLE or PROVISIONED on the other, the latter being the cloud providers' word.
func (s State) Ready() bool {
	return s.Status == Provisioned && (s.Provider == Available || s.Provider == ProviderProvisioned)
}

// InMotion reports whether the circuit is worth a frequent look: its status is in
// motion, or it is PROVISIONED and the other company is not ready.
func (s State) InMotion() bool {
	return s.Status.InMotion() || s.Status == Provisioned && !s.Ready()
}

// unclear reports whether a word of s is one that nobody documented.
func (s State) unclear() bool { return s.Status == Unknown || s.Provider == ProviderUnknown }

// at returns the state of a chart with these two sides.
func at(s Status, p Provider) State { return State{Status: s, Provider: p} }
