// Package exchangetest plays an exchange in memory, for tests of those who order, decide
// and watch through package exchange.
//
// The fake is of one of three kinds, as its API says, and keeps that exchange's own guards: a
// tag on a port is used once, a service token too; only PacketFabric has none for requests,
// and shows so little of one that another may look like it. It asks Fault about every call, and can so fail one that never reached it, or one that did and whose
// answer was lost; code that survives the first often does not survive the second.
// Circuits do not move by themselves: a test calls [Fake.Set].
//
// Only _test.go files may import it.
package exchangetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// The kinds of fakes, by the API they play.
const (
	ecx          = "ecx"
	packetFabric = "packetfabric"
)

// A Fault is what happens to one call.
type Fault struct {
	// Reached: the call had its effect, whatever it answers.
	Reached bool
	// Outcome is the answer to a call that has one; its zero Class means no fault.
	Outcome exchange.Outcome
	// Err is the answer to any other call; nil means no fault.
	Err error
}

// LostAnswer is the fault that matters most: the call worked and nobody was told.
func LostAnswer() Fault {
	return Fault{Reached: true, Outcome: exchange.Outcome{Class: exchange.Unknown, Answer: "connection reset"}}
}

// Lost is a call that did nothing, of which nobody can tell.
func Lost() Fault {
	return Fault{Outcome: exchange.Outcome{Class: exchange.Unknown, Answer: "deadline exceeded"}}
}

// Fake is an exchange and the account at it. The zero Fake works. Set its fields before
// the first call.
type Fake struct {
	// Fault is asked about every call by the method's name, and which call of that method
	// it is, from 1; nil means no faults. It is called without a lock.
	Fault func(call string, n int) Fault
	// API is the kind: "ecx" (the default), "fabric" or "packetfabric".
	API string
	// Single: the legs of a pair go out in calls of their own. Only ECX has both in one.
	Single bool
	// Checked is the answer to Check.
	Checked exchange.Checked
	// Belongs is the answer to Parties.
	Belongs exchange.Parties
	// PortList is the answer to Ports.
	PortList []exchange.Port
	// Now is the exchange's clock; default time.Now.
	Now func() time.Time
	// Ahead is what Find says of that clock.
	Ahead time.Duration

	mu       sync.Mutex
	circuits map[string]*patchbayv1.Connection
	spent    map[string][]string // tokens of each circuit
	calls    map[string]int
	created  int
}

var _ exchange.Client = (*Fake)(nil)

// Calls returns how often a method was called.
func (f *Fake) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// Circuits returns every circuit there ever was, in the order of creation.
func (f *Fake) Circuits() []*patchbayv1.Connection {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*patchbayv1.Connection
	for _, id := range slices.Sorted(maps.Keys(f.circuits)) {
		all = append(all, proto.CloneOf(f.circuits[id]))
	}
	return all
}

// Set changes a circuit, as a seller, a robot or a person at the portal would.
func (f *Fake) Set(id string, change func(*patchbayv1.Connection)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.circuits[id]; c != nil {
		change(c)
	}
}

// Add puts a circuit there that nobody ordered here, and returns its id.
func (f *Fake) Add(c *patchbayv1.Connection) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.add(proto.CloneOf(c))
}

func (f *Fake) add(c *patchbayv1.Connection) string {
	f.created++
	c.ExchangeId = fmt.Sprintf("fake-%06d", f.created)
	if c.GetCreatedAt() == nil {
		c.CreatedAt = timestamppb.New(f.now())
	}
	if f.circuits == nil {
		f.circuits = map[string]*patchbayv1.Connection{}
	}
	f.circuits[c.GetExchangeId()] = c
	return c.GetExchangeId()
}

func (f *Fake) now() time.Time {
	if f.Now == nil {
		return time.Now()
	}
	return f.Now()
}

// fault counts a call and says what is to happen to it.
func (f *Fake) fault(call string) Fault {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = map[string]int{}
	}
	f.calls[call]++
	n := f.calls[call]
	f.mu.Unlock()
	if f.Fault == nil {
		return Fault{}
	}
	return f.Fault(call, n)
}

// decide makes a call that answers with an outcome.
func (f *Fake) decide(ctx context.Context, call string, effect func() exchange.Outcome) exchange.Outcome {
	fault := f.fault(call)
	if ctx.Err() != nil {
		return exchange.Outcome{Class: exchange.NotSent, Answer: ctx.Err().Error()}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault.Outcome.Class == "" {
		return effect()
	}
	if fault.Reached {
		effect()
	}
	return fault.Outcome
}

// ask makes a call that answers with an error; it is never half done.
func (f *Fake) ask(ctx context.Context, call string) error {
	if fault := f.fault(call); fault.Err != nil {
		return fault.Err
	}
	return ctx.Err()
}

// Check answers with Checked.
func (f *Fake) Check(ctx context.Context, _ *patchbayv1.CreateIntent) (exchange.Checked, error) {
	if err := f.ask(ctx, "Check"); err != nil {
		return exchange.Checked{}, err
	}
	return f.Checked, nil
}

// Keys returns what the exchange will show of each leg; see [Fake.KeyOf].
func (f *Fake) Keys(in *patchbayv1.CreateIntent) map[string]string {
	keys := map[string]string{exchange.Primary: f.KeyOf(f.circuit(in, exchange.Primary))}
	if in.GetSecondary() != nil {
		keys[exchange.Secondary] = f.KeyOf(f.circuit(in, exchange.Secondary))
	}
	return keys
}

// circuit is what a leg of an intent becomes, as the exchange shows it.
func (f *Fake) circuit(in *patchbayv1.CreateIntent, leg string) *patchbayv1.Connection {
	name, side := in.GetName(), in.GetPrimary()
	if leg == exchange.Secondary {
		name, side = in.GetSecondary().GetName(), in.GetSecondary()
	}
	c := &patchbayv1.Connection{
		Exchange: "equinix", Api: cmp.Or(f.API, ecx), Name: name, BandwidthMbps: in.GetBandwidthMbps(),
		Status: string(status.PendingApproval), ProviderStatus: string(status.NotAvailable),
		ASide: &patchbayv1.Side{PortId: side.GetASide().GetPortId(), Tag: side.GetASide().GetTag()},
		ZSide: &patchbayv1.Side{ProfileId: side.GetZSide().GetProfileId(), PortId: side.GetZSide().GetPortId()},
	}
	if to := side.GetZSide(); f.API == packetFabric && to.GetRoutingId() != "" {
		// A request shows whom it went to, and neither port nor tag nor description.
		c.Exchange, c.Name = packetFabric, ""
		c.ASide, c.ZSide = nil, &patchbayv1.Side{ProfileId: to.GetRoutingId(), Metro: to.GetMarket()}
	}
	return c
}

// tokens are the service tokens that a leg of an intent spends.
func tokens(in *patchbayv1.CreateIntent, leg string) []string {
	side := in.GetPrimary()
	if leg == exchange.Secondary {
		side = in.GetSecondary()
	}
	all := []string{side.GetASide().GetServiceToken(), side.GetZSide().GetServiceToken()}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// Together reports that both legs go out in one call: at ECX, unless Single.
func (f *Fake) Together() bool { return !f.Single && cmp.Or(f.API, ecx) == ecx }

// Place creates the legs, unless one of their tags or tokens is in use. A secondary that
// names a group joins a primary of that group, or is refused.
func (f *Fake) Place(ctx context.Context, p exchange.Placement) exchange.Outcome {
	return f.decide(ctx, "Place", func() exchange.Outcome {
		for _, leg := range p.Legs {
			if f.used(f.circuit(p.Intent, leg)) || f.spentOn(tokens(p.Intent, leg)) != "" {
				return exchange.Outcome{Class: exchange.Taken, Code: "FAKE-TAKEN", Message: "the VLAN is in use", Answer: "400"}
			}
		}
		if p.Group != "" && !slices.ContainsFunc(slices.Collect(maps.Values(f.circuits)), func(c *patchbayv1.Connection) bool {
			return c.GetRedundancyGroup() == p.Group
		}) {
			return exchange.Outcome{Class: exchange.Refused, Code: "FAKE-GROUP", Message: "no such redundancy group", Answer: "400"}
		}
		ids := map[string]string{}
		group := p.Group
		for _, leg := range p.Legs {
			c := f.circuit(p.Intent, leg)
			if c.Redundancy = leg; !f.Together() && f.API != packetFabric {
				group = cmp.Or(group, fmt.Sprintf("group-%06d", f.created+1))
				c.RedundancyGroup = group
			}
			ids[leg] = f.add(c)
			f.spend(ids[leg], tokens(p.Intent, leg))
		}
		return exchange.Outcome{Class: exchange.Done, IDs: ids, Answer: "200", Group: group}
	})
}

func (f *Fake) spend(id string, tokens []string) {
	if f.spent == nil {
		f.spent = map[string][]string{}
	}
	f.spent[id] = tokens
}

// spentOn returns the circuit that has redeemed one of the tokens. A token is used once, even
// if its circuit has ended.
func (f *Fake) spentOn(tokens []string) string {
	for id, spent := range f.spent {
		if slices.ContainsFunc(tokens, func(t string) bool { return slices.Contains(spent, t) }) {
			return id
		}
	}
	return ""
}

// used reports whether a circuit that has not ended has the port and tag of c.
func (f *Fake) used(c *patchbayv1.Connection) bool {
	if c.GetASide().GetPortId() == "" {
		return false
	}
	for _, other := range f.circuits {
		if !status.Status(other.GetStatus()).Ended() && other.GetASide().GetPortId() == c.GetASide().GetPortId() &&
			proto.Equal(other.GetASide().GetTag(), c.GetASide().GetTag()) {
			return true
		}
	}
	return false
}

// Find returns every circuit that bears the key of a leg, or that has redeemed its token.
func (f *Fake) Find(ctx context.Context, p exchange.Placement) (exchange.Found, error) {
	if err := f.ask(ctx, "Find"); err != nil {
		return exchange.Found{}, err
	}
	keys := f.Keys(p.Intent)
	found := exchange.Found{Circuits: map[string][]*patchbayv1.Connection{}, Ahead: f.Ahead}
	for _, c := range f.Circuits() {
		for _, leg := range p.Legs {
			fits := f.KeyOf(c) == keys[leg]
			if t := tokens(p.Intent, leg); len(t) > 0 {
				fits = f.redeemed(t) == c.GetExchangeId()
			}
			if fits {
				found.Circuits[leg] = append(found.Circuits[leg], c)
			}
		}
	}
	return found, nil
}

func (f *Fake) redeemed(tokens []string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.spentOn(tokens)
}

// Alter changes name, bandwidth and tag at once.
func (f *Fake) Alter(ctx context.Context, id string, set *patchbayv1.ChangeSet) exchange.Outcome {
	return f.decide(ctx, "Alter", func() exchange.Outcome {
		c := f.circuits[id]
		if c == nil || status.Status(c.GetStatus()).Ended() {
			return exchange.Outcome{Class: exchange.Refused, Code: "FAKE-GONE", Message: "no such circuit"}
		}
		if set.GetName() != "" {
			c.Name = set.GetName()
		}
		if set.BandwidthMbps != nil {
			c.BandwidthMbps = set.GetBandwidthMbps()
		}
		if set.GetTag() != nil {
			c.ASide = &patchbayv1.Side{PortId: c.GetASide().GetPortId(), Tag: set.GetTag()}
		}
		return exchange.Outcome{Class: exchange.Done, Answer: "202"}
	})
}

// Remove asks for the end of a circuit: it is PENDING_DELETE then.
func (f *Fake) Remove(ctx context.Context, id string) exchange.Outcome {
	return f.decide(ctx, "Remove", func() exchange.Outcome {
		c := f.circuits[id]
		if c == nil || status.Status(c.GetStatus()).Ended() {
			return exchange.Outcome{Class: exchange.Over, Answer: "404"}
		}
		c.Status = string(status.PendingDelete)
		return exchange.Outcome{Class: exchange.Done, Answer: "200"}
	})
}

// Ports answers with PortList.
func (f *Fake) Ports(ctx context.Context) ([]exchange.Port, error) {
	return f.PortList, f.ask(ctx, "Ports")
}

// Accept moves a request on.
func (f *Fake) Accept(ctx context.Context, a exchange.Acceptance) exchange.Outcome {
	return f.answer(ctx, "Accept", a.ExchangeID, map[status.Status]status.Status{
		status.PendingApproval: status.Provisioning, status.PendingDelete: status.Deprovisioning,
	})
}

// Reject ends a request; a circuit whose deletion is rejected stays.
func (f *Fake) Reject(ctx context.Context, id, _, reason string) exchange.Outcome {
	out := f.answer(ctx, "Reject", id, map[status.Status]status.Status{
		status.PendingApproval: status.Rejected, status.PendingDelete: status.Provisioned,
	})
	if out.Class == exchange.Done {
		f.Set(id, func(c *patchbayv1.Connection) { c.RejectComment = reason })
	}
	return out
}

func (f *Fake) answer(ctx context.Context, call, id string, steps map[status.Status]status.Status) exchange.Outcome {
	return f.decide(ctx, call, func() exchange.Outcome {
		c := f.circuits[id]
		to, ok := steps[status.Status(c.GetStatus())]
		if c == nil || !ok {
			return exchange.Outcome{Class: exchange.Refused, Code: "FAKE-STATE", Message: "nothing to answer"}
		}
		c.Status = string(to)
		return exchange.Outcome{Class: exchange.Done, Answer: "200"}
	})
}

// Get reads one circuit.
func (f *Fake) Get(ctx context.Context, id string) (*patchbayv1.Connection, error) {
	if err := f.ask(ctx, "Get"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.circuits[id]; c != nil {
		return proto.CloneOf(c), nil
	}
	return nil, exchange.ErrGone
}

// List hands over every circuit, whatever the role.
func (f *Fake) List(ctx context.Context, _ string, moving bool, yield func(*patchbayv1.Connection) error) error {
	if err := f.ask(ctx, "List"); err != nil {
		return err
	}
	for _, c := range f.Circuits() {
		s := status.State{Status: status.Status(c.GetStatus()), Provider: status.Provider(c.GetProviderStatus())}
		if moving && !s.InMotion() {
			continue
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

// Parties answers with Belongs.
func (f *Fake) Parties(ctx context.Context) (exchange.Parties, error) {
	return f.Belongs, f.ask(ctx, "Parties")
}

// KeyOf returns port, tag and name of c; of a request at PacketFabric whom it went to and how
// fast it is.
func (f *Fake) KeyOf(c *patchbayv1.Connection) string {
	if f.API == packetFabric && c.GetASide() == nil {
		return fmt.Sprintf("%s/%s/%d", c.GetZSide().GetProfileId(), c.GetZSide().GetMetro(), c.GetBandwidthMbps())
	}
	t := c.GetASide().GetTag()
	return fmt.Sprintf("%s/%d.%d.%d/%s", c.GetASide().GetPortId(), t.GetVlan(), t.GetSTag(), t.GetCTag(), c.GetName())
}
