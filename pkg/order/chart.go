package order

import "slices"

// Step is one allowed step of an entity. From is empty where the entity begins. A step
// from a fact to itself says that the entity is where it was and knows more.
type Step struct {
	From, To string
	Why      string // what has happened, for people
}

// Chart is the steps of one kind of entity. Read a row as "… may be followed by …,
// because …".
type Chart []Step

// Next returns what may follow from.
func (c Chart) Next(from string) []string {
	var out []string
	for _, s := range c {
		if s.From == from && !slices.Contains(out, s.To) {
			out = append(out, s.To)
		}
	}
	return out
}

// Allows reports whether to may follow from.
func (c Chart) Allows(from, to string) bool { return slices.Contains(c.Next(from), to) }

// Orders returns the chart of the facts of orders of a kind.
func Orders(kind Kind) Chart {
	if kind == Create {
		return slices.Clone(createFacts)
	}
	return slices.Clone(changeFacts)
}

// Legs returns the chart of the states of the legs of orders of a kind.
func Legs(kind Kind) Chart {
	if kind == Create {
		return slices.Clone(createLegs)
	}
	return slices.Clone(changeLegs)
}

// Approvals returns the chart of the facts of approvals.
func Approvals() Chart { return slices.Clone(approvals) }

// Landings returns the chart of the facts of landings.
func Landings() Chart { return slices.Clone(landings) }

// Holds returns the chart of the facts of holds.
func Holds() Chart { return slices.Clone(holds) }

// createFacts has no step from cancelling to placing, and none out of an end but the
// notice: that is what keeps a cancelled or ended order from buying anything.
//
// While cancelling an order stays so: what is found meanwhile stands in its legs.
var createFacts = Chart{
	{"", Accepted, "the intent is sound"},
	{"", Invalid, "the intent breaks rules"},
	{Accepted, Accepted, "knows more, or waits for the exchange"},
	{Accepted, Placing, "about to ask the exchange"},
	{Accepted, Failed, "held, refused or invalid on a closer look"},
	{Accepted, Cancelling, "a delete came"},
	{Placing, Accepted, "not sent, waits for its turn"},
	{Placing, Placing, "not sent, tried again, or the next leg"},
	{Placing, Uncertain, "the answer was lost"},
	{Placing, Placed, "the exchange took it"},
	{Placing, Failed, "refused"},
	{Placing, Cancelling, "a delete came"},
	{Placing, Orphaned, "a circuit that belongs to no leg"},
	{Uncertain, Accepted, "one leg given up, the other not yet asked for"},
	{Uncertain, Uncertain, "looked, and not found"},
	{Uncertain, Placed, "found"},
	{Uncertain, Placing, "not there, tried again"},
	{Uncertain, Failed, "not there, and given up"},
	{Uncertain, Cancelling, "a delete came"},
	{Uncertain, Orphaned, "a circuit that belongs to no leg"},
	{Placed, Accepted, "one leg ended, the other not yet asked for"},
	{Placed, Placed, "one leg knows more"},
	{Placed, Placing, "the next leg"},
	{Placed, Uncertain, "one leg lost its answer"},
	{Placed, Completed, "every leg carries traffic"},
	{Placed, Failed, "rejected or gone"},
	{Placed, Cancelling, "a delete came"},
	{Placed, Orphaned, "a circuit that belongs to no leg"},
	{Cancelling, Cancelling, "found, taken back, or looked for"},
	{Cancelling, Failed, "cancelled"},
	{Cancelling, Completed, "could not be taken back"},
	{Cancelling, Orphaned, "a circuit that belongs to no leg"},
	{Orphaned, Orphaned, "another one"},
	{Orphaned, Accepted, "goes on"},
	{Orphaned, Placing, "goes on"},
	{Orphaned, Uncertain, "goes on"},
	{Orphaned, Placed, "goes on"},
	{Orphaned, Cancelling, "goes on"},
	{Orphaned, Completed, "goes on to its end"},
	{Orphaned, Failed, "goes on to its end"},
	{Failed, Orphaned, "a late circuit"},
	{Completed, Orphaned, "a late circuit"},
}

// changeFacts are those of changes and deletes. Nothing new can come into being, so there
// are no orphans, and nothing has to be taken back.
var changeFacts = Chart{
	{"", Accepted, "the intent is sound"},
	{"", Invalid, "the intent breaks rules"},
	{Accepted, Accepted, "knows more, or waits for the circuit"},
	{Accepted, Placing, "about to ask the exchange"},
	{Accepted, Placed, "somebody asked the exchange before"},
	{Accepted, Completed, "it is so already"},
	{Accepted, Failed, "refused, gone or invalid on a closer look"},
	{Placing, Accepted, "not sent or too early, waits"},
	{Placing, Placing, "not sent, tried again, or the next leg"},
	{Placing, Uncertain, "the answer was lost"},
	{Placing, Placed, "the exchange took it"},
	{Placing, Completed, "it is so already"},
	{Placing, Failed, "refused"},
	{Uncertain, Accepted, "one leg given up, the other not yet asked for"},
	{Uncertain, Uncertain, "looked, and cannot tell"},
	{Uncertain, Placed, "it was taken"},
	{Uncertain, Placing, "it was not, tried again"},
	{Uncertain, Completed, "it is so already"},
	{Uncertain, Failed, "refused or gone"},
	{Placed, Accepted, "one leg ended, the other not yet asked for"},
	{Placed, Placed, "one leg knows more"},
	{Placed, Placing, "the next leg"},
	{Placed, Uncertain, "one leg lost its answer"},
	{Placed, Completed, "every leg is as asked for"},
	{Placed, Failed, "rejected or gone"},
}

// createLegs has no step from placed back to placing: a leg buys one circuit. The one step
// out of uncertain that buys needs two looks that found nothing; see [Check].
var createLegs = Chart{
	{"", Open, "ordered"},
	{Open, Placing, "about to ask the exchange"},
	{Open, Failed, "held, cancelled, or the other leg failed"},
	{Placing, Open, "not sent, waits for its turn"},
	{Placing, Placing, "not sent, tried again"},
	{Placing, Uncertain, "the answer was lost"},
	{Placing, Placed, "the exchange took it"},
	{Placing, Failed, "refused"},
	{Uncertain, Placed, "found"},
	{Uncertain, Placing, "twice not found, tried again"},
	{Uncertain, Failed, "not there, and given up"},
	{Placed, Completed, "carries traffic"},
	{Placed, Failed, "rejected, gone or taken back"},
	{Completed, Failed, "taken back"},
}

// changeLegs lets a leg be done without a call, since what is asked for may be so already.
var changeLegs = Chart{
	{"", Open, "ordered"},
	{Open, Placing, "about to ask the exchange"},
	{Open, Placed, "somebody asked before"},
	{Open, Completed, "it is so already"},
	{Open, Failed, "refused or gone"},
	{Placing, Open, "not sent or too early, waits"},
	{Placing, Placing, "not sent, tried again"},
	{Placing, Uncertain, "the answer was lost"},
	{Placing, Placed, "the exchange took it"},
	{Placing, Completed, "it is so already"},
	{Placing, Failed, "refused"},
	{Uncertain, Placed, "it was taken"},
	{Uncertain, Placing, "it was not, tried again"},
	{Uncertain, Completed, "it is so already"},
	{Uncertain, Failed, "refused or gone"},
	{Placed, Completed, "as asked for"},
	{Placed, Failed, "rejected or gone"},
}

// approvals come in rounds, one for the create of a circuit and one for each change and
// the delete: requested begins a round.
var approvals = Chart{
	{"", "requested", "somebody has to consent"},
	{"", "approved", "policy decided at once"},
	{"", "rejected", "policy decided at once"},
	{"requested", "requested", "the request changed"},
	{"requested", "reminded", "a person was reminded"},
	{"requested", "approved", "policy or a person"},
	{"requested", "rejected", "policy or a person"},
	{"requested", "expired", "nobody decided in time"},
	{"reminded", "requested", "the request changed"},
	{"reminded", "reminded", "once more"},
	{"reminded", "approved", "a person"},
	{"reminded", "rejected", "a person"},
	{"reminded", "expired", "nobody decided in time"},
	{"expired", "requested", "the request changed, or the next round"},
	{"expired", "reminded", "it waits on, and a person was reminded"},
	{"expired", "approved", "by rule, or a person after all"},
	{"expired", "rejected", "by rule, or a person after all"},
	{"approved", "requested", "the next round"},
	{"approved", "approved", "the next round, by policy"},
	{"approved", "rejected", "the next round, by policy"},
	{"rejected", "rejected", "the exchange was told, or the next round"},
	{"rejected", "requested", "the next round"},
	{"rejected", "approved", "the next round, by policy"},
}

// landings come in rounds too. A change or delete lands on what the create reserved, or,
// of a circuit that was landed elsewhere, needs no place: then accepting is the first.
var landings = Chart{
	{"", "reserved", "a port and a tag were chosen"},
	{"", "accepting", "a change or delete needs no place"},
	{"", "failed", "no port or tag fits"},
	{"reserved", "reserved", "taken by another, the next choice"},
	{"reserved", "accepting", "about to tell the exchange"},
	{"reserved", "failed", "no other choice is left"},
	{"reserved", "released", "the request is gone"},
	{"accepting", "accepting", "the answer was lost, looked again"},
	{"accepting", "reserved", "taken at the exchange, the next choice"},
	{"accepting", "accepted", "the exchange took it"},
	{"accepting", "failed", "refused"},
	{"accepting", "released", "the request is gone"},
	{"accepted", "accepting", "the next round"},
	{"accepted", "released", "the circuit is gone"},
	{"failed", "reserved", "there is room again"},
	{"failed", "accepting", "the next round"},
	{"failed", "accepted", "accepted by a person at the exchange"},
	{"failed", "failed", "the next round has no choice either"},
	{"failed", "released", "the request is gone"},
}

// holds begin and end many times: a tag serves one circuit after the other.
var holds = Chart{
	{"", "taken", "its first owner"},
	{"taken", "taken", "an owner of another inner tag came or went"},
	{"taken", "freed", "its last owner went"},
	{"freed", "taken", "the next owner"},
}
