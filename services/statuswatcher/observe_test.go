package statuswatcher

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// The tests of this file look inside, since the core is all there is to test: what a look
// adds to the journal is a function of values, and no server is needed to try it.

func stamp(second int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC))
}

func circuitIn(s status.Status, p status.Provider, second int) *patchbayv1.Connection {
	c := &patchbayv1.Connection{
		Id: "c-1", Exchange: "equinix", Api: "ecx", ExchangeId: "x-1", Name: "one", BandwidthMbps: 50,
		Flow: "approval", CreatedAt: stamp(0), UpdatedAt: stamp(second),
	}
	setState(c, status.State{Status: s, Provider: p, Native: status.Native{Status: string(s), ProviderStatus: string(p)}})
	return c
}

// fold is the past after news was written down.
func fold(p past, n news) past {
	for _, s := range n.sightings {
		sighted := map[string]string{s.GetRole(): s.GetAccount()}
		for role, account := range p.sighted {
			sighted[role] = account
		}
		p.sighted = sighted
	}
	for _, c := range n.changes {
		p.change, p.newer = c, true
	}
	for _, t := range n.transitions {
		p.conn, p.newer = t.GetConnection(), false
	}
	return p
}

// brief is news in one line: "+" inferred, "?" skipped, "!" unexpected, "1" first.
func brief(n news) string {
	var all string
	for _, s := range n.sightings {
		all += fmt.Sprintf(" %s=%s", s.GetRole(), s.GetAccount())
	}
	for _, c := range n.changes {
		all += " " + c.GetStatus()
		if c.GetOrderId() != "" {
			all += ":" + c.GetOrderId()
		}
		for _, d := range c.GetDifferences() {
			all += fmt.Sprintf("(%s %s>%s)", d.GetField(), d.GetWas(), d.GetNow())
		}
	}
	for _, t := range n.transitions {
		all += " " + t.GetTo().GetStatus() + "/" + t.GetTo().GetProviderStatus()
		for _, f := range []struct {
			on   bool
			mark string
		}{{t.GetInferred(), "+"}, {t.GetSkipped(), "?"}, {t.GetUnexpected(), "!"}, {t.GetFirst(), "1"}} {
			if f.on {
				all += f.mark
			}
		}
	}
	return all
}

func TestObserveSteps(t *testing.T) {
	pending := circuitIn(status.PendingApproval, status.NotAvailable, 1)
	provisioned := circuitIn(status.Provisioned, status.Available, 10)
	gone := status.Gone()
	native := proto.CloneOf(pending)
	native.Native.Status = "Pending approval"
	odd := circuitIn(status.Unknown, status.NotAvailable, 11)
	odd.Native.Status = "MOONSTRUCK"
	back := stateOf(circuitIn(status.PendingApproval, status.NotAvailable, 12))
	for _, tt := range []struct {
		name, reason string
		was          *patchbayv1.Connection
		sight        sight
		around       surroundings
		want         string
		verdict      verdict
	}{
		{"first, foreign", "nothing is concluded about a circuit nobody ordered here", nil,
			sight{conn: provisioned}, surroundings{}, " PROVISIONED/AVAILABLE1", taken},
		{"first, ordered", "the way since its birth is the only one", nil,
			sight{conn: provisioned}, surroundings{order: "o-1", leg: "primary"},
			" PENDING_APPROVAL/NOT_AVAILABLE+1 PROVISIONING/NOT_AVAILABLE+ PROVISIONED/AVAILABLE", taken},
		{"same", "nothing happened", pending, sight{conn: pending}, surroundings{}, "", taken},
		{"next", "a step of the chart", pending,
			sight{conn: circuitIn(status.Provisioning, status.NotAvailable, 2)}, surroundings{}, " PROVISIONING/NOT_AVAILABLE", taken},
		{"missed one", "there is one way only", pending, sight{conn: provisioned}, surroundings{},
			" PROVISIONING/NOT_AVAILABLE+ PROVISIONED/AVAILABLE", taken},
		{"missed too much", "it was built or given up", pending,
			sight{conn: circuitIn(status.Deprovisioned, status.NotAvailable, 9)}, surroundings{}, " DEPROVISIONED/NOT_AVAILABLE", taken},
		{"no way", "the chart knows none", circuitIn(status.Rejected, status.NotAvailable, 3),
			sight{conn: circuitIn(status.PendingDelete, status.Available, 9)}, surroundings{}, " PENDING_DELETE/AVAILABLE!", taken},
		{"native words", "the exchange's own words are news too", pending, sight{conn: native}, surroundings{},
			" PENDING_APPROVAL/NOT_AVAILABLE", taken},
		{"unknown", "a word nobody documented may follow anything", provisioned, sight{conn: odd}, surroundings{},
			" UNKNOWN/NOT_AVAILABLE", taken},
		{"older", "the exchange itself says that it is old", provisioned,
			sight{conn: circuitIn(status.PendingDelete, status.Available, 9)}, surroundings{}, "", stale},
		{"backward", "a list served from an old copy looks like that", provisioned,
			sight{conn: circuitIn(status.PendingApproval, status.NotAvailable, 12)}, surroundings{}, "", doubtful},
		{"backward, in a list again", "a list does not confirm a list", provisioned,
			sight{conn: circuitIn(status.PendingApproval, status.NotAvailable, 12), doubt: &back}, surroundings{}, "", doubtful},
		{"backward, twice", "the circuit itself says so", provisioned,
			sight{conn: circuitIn(status.PendingApproval, status.NotAvailable, 12), doubt: &back, direct: true}, surroundings{},
			" PENDING_APPROVAL/NOT_AVAILABLE!", taken},
		{"backward, another doubt", "what was doubted is not what is seen", provisioned,
			sight{conn: circuitIn(status.PendingApproval, status.NotAvailable, 12), doubt: &gone, direct: true}, surroundings{}, "", doubtful},
		{"gone", "one look is not enough to call it gone", provisioned, sight{direct: true}, surroundings{}, "", doubtful},
		{"gone, twice", "the buyer's deletion has to be agreed to", provisioned,
			sight{doubt: &gone, direct: true}, surroundings{},
			" PENDING_DELETE/AVAILABLE+ DEPROVISIONING/AVAILABLE+ DEPROVISIONED/NOT_AVAILABLE", taken},
		{"gone after its end", "it has ended already", circuitIn(status.Rejected, status.NotAvailable, 3),
			sight{doubt: &gone, direct: true}, surroundings{}, "", taken},
		{"never there", "what was never seen cannot end", nil, sight{doubt: &gone, direct: true}, surroundings{}, "", taken},
		{"seller learned", "an account of ours turns out to be a party", pending,
			sight{conn: pending}, surroundings{seller: "cloud"}, " seller=cloud", taken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := past{conn: tt.was}
			n, v := observe(p, tt.sight, tt.around)
			if got := brief(n); got != tt.want || v != tt.verdict {
				t.Errorf("news =%s (%s), want%s (%s): %s", got, v, tt.want, tt.verdict, tt.reason)
			}
			if again, v := observe(fold(p, n), tt.sight, tt.around); v == taken && !again.none() {
				t.Errorf("the same look again =%s, want nothing", brief(again))
			}
			for i, tr := range n.transitions {
				if last := i == len(n.transitions)-1; !last && tr.GetTo().GetNative() != nil {
					t.Errorf("step %d has native words %v, which nobody has said", i+1, tr.GetTo().GetNative())
				}
			}
		})
	}
}

func TestObserveChanges(t *testing.T) {
	base := circuitIn(status.Provisioned, status.Available, 1)
	with := func(f func(*patchbayv1.Connection)) *patchbayv1.Connection {
		c := proto.CloneOf(base)
		c.UpdatedAt = stamp(2)
		f(c)
		return c
	}
	speed, old := int32(200), int32(50)
	waits := with(func(c *patchbayv1.Connection) { c.ChangePending, c.PendingBandwidthMbps = true, 200 })
	faster := with(func(c *patchbayv1.Connection) { c.BandwidthMbps = 200 })
	renamed := with(func(c *patchbayv1.Connection) { c.Name = "two" })
	busy := with(func(c *patchbayv1.Connection) { c.ChangePending = true })
	order := changeOrder{id: "o-9", set: &patchbayv1.ChangeSet{BandwidthMbps: &speed}, placed: true}
	both := changeOrder{id: "o-9", set: &patchbayv1.ChangeSet{Name: "two", BandwidthMbps: &speed}, placed: true}
	same := changeOrder{id: "o-9", set: &patchbayv1.ChangeSet{BandwidthMbps: &old}, placed: true}
	calling := changeOrder{id: "o-9", set: same.set}
	settled := changeOrder{id: "o-9", set: same.set, placed: true, settled: true}
	asked := &patchbayv1.Change{Status: submitted, OrderId: "o-9", Connection: waits}
	for _, tt := range []struct {
		name, reason string
		was          *patchbayv1.Connection
		change       *patchbayv1.Change
		now          *patchbayv1.Connection
		orders       []changeOrder
		want         string
	}{
		{"renamed in the portal", "nobody here asked for it", base, nil, renamed, nil,
			` COMPLETED(name "one">"two")`},
		{"faster by order", "the new speed is the order's", base, nil, faster, []changeOrder{order},
			" COMPLETED:o-9(bandwidthMbps 50>200)"},
		{"renamed meanwhile", "the order asked for a speed, not for a name", base, nil, renamed, []changeOrder{order},
			` COMPLETED(name "one">"two")`},
		{"a part of it", "the speed is still to come", base, nil, renamed, []changeOrder{both},
			` REQUESTED:o-9(name "one">"two")`},
		{"waits for the seller", "the pending speed is the order's", base, nil, waits, []changeOrder{order},
			" SUBMITTED_FOR_APPROVAL:o-9(pendingBandwidthMbps 0>200)(changePending false>true)"},
		{"requested", "something is under way, and one order is open", base, nil, busy, []changeOrder{order},
			" REQUESTED:o-9(changePending false>true)"},
		{"approved", "the seller agreed and the exchange works on it", waits, asked, busy, []changeOrder{order},
			" APPROVED:o-9(pendingBandwidthMbps 200>0)"},
		{"completed", "the pending speed has come", waits, asked, faster, []changeOrder{order},
			" COMPLETED:o-9(bandwidthMbps 50>200)(pendingBandwidthMbps 200>0)(changePending true>false)"},
		{"rejected", "the pending speed is gone and the old one stands", waits, asked, with(func(*patchbayv1.Connection) {}),
			[]changeOrder{order}, " REJECTED:o-9(pendingBandwidthMbps 200>0)(changePending true>false)"},
		{"rejected, nobody's", "the same without an order", waits, nil, with(func(*patchbayv1.Connection) {}), nil,
			" REJECTED(pendingBandwidthMbps 200>0)(changePending true>false)"},
		{"nothing to do", "the values were there already", base, nil, base, []changeOrder{same}, " COMPLETED:o-9"},
		{"not yet taken", "the exchange has not said that it took the order", base, nil, base, []changeOrder{calling}, ""},
		{"told already", "once an order", base, nil, base, []changeOrder{settled}, ""},
		{"not there yet", "the order was taken and nothing shows", base, nil, base, []changeOrder{order}, ""},
		{"a tag learned", "a value that was not shown before is no change", base, nil,
			with(func(c *patchbayv1.Connection) { c.ZSide = &patchbayv1.Side{Tag: &patchbayv1.Tag{Vlan: &speed}} }), nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := past{conn: tt.was, change: tt.change, newer: tt.change != nil}
			n, _ := observe(p, sight{conn: tt.now}, surroundings{changes: tt.orders})
			if got := brief(n); got != tt.want {
				t.Errorf("news =%s, want%s: %s", got, tt.want, tt.reason)
			}
			for i, o := range tt.orders {
				for _, c := range n.changes {
					tt.orders[i].settled = o.settled || c.GetOrderId() == o.id && final(c.GetStatus())
				}
			}
			if again, _ := observe(fold(p, n), sight{conn: tt.now}, surroundings{changes: tt.orders}); !again.none() {
				t.Errorf("the same look again =%s, want nothing", brief(again))
			}
		})
	}
}

// Fabric names the state of a change request, and calls more than changes so.
func TestObserveChangeWords(t *testing.T) {
	speed := int32(200)
	order := changeOrder{id: "o-9", set: &patchbayv1.ChangeSet{BandwidthMbps: &speed}, placed: true}
	at := func(s status.Status, word string, edits ...func(*patchbayv1.Connection)) *patchbayv1.Connection {
		c := circuitIn(s, status.Available, 1)
		c.Api, c.Native.Change = "fabric", word
		for _, edit := range edits {
			edit(c)
		}
		return c
	}
	busy := func(c *patchbayv1.Connection) { c.ChangePending = true }
	waiting := func(c *patchbayv1.Connection) { c.ChangePending, c.PendingBandwidthMbps = true, 200 }
	faster := func(c *patchbayv1.Connection) { c.BandwidthMbps = 200 }
	up, asked := status.Provisioned, &patchbayv1.Change{Status: "SUBMITTED_FOR_APPROVAL", Native: "SUBMITTED_FOR_APPROVAL", OrderId: "o-9"}
	for _, tt := range []struct {
		name, reason string
		was          *patchbayv1.Connection
		change       *patchbayv1.Change
		now          *patchbayv1.Connection
		orders       []changeOrder
		want         string
	}{
		{"creation ends", "the status tells it", at(up, "APPROVED"), nil, at(up, "COMPLETED"), nil, " PROVISIONED/AVAILABLE"},
		{"deletion asked for", "the status tells it", at(up, "COMPLETED"), nil,
			at(status.PendingDelete, "SUBMITTED_FOR_APPROVAL"), nil, " PENDING_DELETE/AVAILABLE"},
		{"submitted", "the seller is asked", at(up, "COMPLETED"), nil, at(up, "SUBMITTED_FOR_APPROVAL", waiting), []changeOrder{order},
			" SUBMITTED_FOR_APPROVAL:o-9(pendingBandwidthMbps 0>200)(changePending false>true) PROVISIONED/AVAILABLE"},
		{"approved", "the exchange's word counts", at(up, "SUBMITTED_FOR_APPROVAL", waiting), asked, at(up, "APPROVED", waiting),
			[]changeOrder{order}, " APPROVED:o-9 PROVISIONED/AVAILABLE"},
		{"failed", "as the exchange says", at(up, "SUBMITTED_FOR_APPROVAL", waiting), asked, at(up, "FAILED"), []changeOrder{order},
			" FAILED:o-9(pendingBandwidthMbps 200>0)(changePending true>false) PROVISIONED/AVAILABLE"},
		{"refused between two looks", "nothing else tells the order's end", at(up, "COMPLETED"), nil, at(up, "REJECTED"),
			[]changeOrder{order}, " REJECTED:o-9 PROVISIONED/AVAILABLE"},
		{"completed", "with its values", at(up, "APPROVED", busy), asked, at(up, "COMPLETED", faster), []changeOrder{order},
			" COMPLETED:o-9(bandwidthMbps 50>200)(changePending true>false) PROVISIONED/AVAILABLE"},
		{"completed, not shown yet", "the values come later", at(up, "APPROVED", busy), asked, at(up, "COMPLETED"), []changeOrder{order},
			" APPROVED:o-9(changePending true>false) PROVISIONED/AVAILABLE"},
		{"undocumented", "a word nobody knows ends nothing", at(up, "APPROVED", busy), asked, at(up, "MOONSTRUCK", busy),
			[]changeOrder{order}, " UNKNOWN:o-9 PROVISIONED/AVAILABLE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := past{conn: tt.was, change: tt.change}
			n, _ := observe(p, sight{conn: tt.now}, surroundings{changes: tt.orders})
			if got := brief(n); got != tt.want {
				t.Errorf("news =%s, want%s: %s", got, tt.want, tt.reason)
			}
			for _, c := range n.changes {
				if c.GetNative() != tt.now.GetNative().GetChange() {
					t.Errorf("native = %q, want the exchange's own word", c.GetNative())
				}
				if c.GetOrderId() == "o-9" && final(c.GetStatus()) {
					tt.orders[0].settled = true
				}
			}
			died := n
			died.transitions = nil
			if again, _ := observe(fold(p, died), sight{conn: tt.now}, surroundings{changes: tt.orders}); len(again.changes) > 0 {
				t.Errorf("after dying between the two =%s, want no change again", brief(again))
			}
			if again, _ := observe(fold(p, n), sight{conn: tt.now}, surroundings{changes: tt.orders}); !again.none() {
				t.Errorf("the same look again =%s, want nothing", brief(again))
			}
		})
	}
}

// A change and a step in one look: the change does not give the step away.
func TestObserveBoth(t *testing.T) {
	p := past{conn: circuitIn(status.Provisioned, status.Available, 1)}
	now := circuitIn(status.PendingDelete, status.Available, 2)
	now.Name = "two"
	n, _ := observe(p, sight{conn: now}, surroundings{})
	if got, want := brief(n), ` COMPLETED(name "one">"two") PENDING_DELETE/AVAILABLE`; got != want {
		t.Fatalf("news =%s, want%s", got, want)
	}
	if got := n.changes[0].GetConnection(); got.GetStatus() != "PROVISIONED" || got.GetName() != "two" {
		t.Errorf("the change shows %s %s, want the new name in the state that was announced", got.GetName(), got.GetStatus())
	}
	// Dying between the two loses neither.
	n.transitions = nil
	again, _ := observe(fold(p, n), sight{conn: now}, surroundings{})
	if got, want := brief(again), " PENDING_DELETE/AVAILABLE"; got != want {
		t.Errorf("after dying between the two =%s, want%s", got, want)
	}
}

// Whatever an exchange shows, in whatever order, and wherever the writer dies: the facts
// are a path without gap that ends in what was last shown and believed, and a look that
// is taken twice adds nothing the second time.
func TestObserveProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p past
		var doubt *status.State
		second := 0
		around := surroundings{order: rapid.SampledFrom([]string{"", "o-1"}).Draw(t, "order")}
		flow := rapid.SampledFrom([]string{"", "approval", "integrated", "own", "token"}).Draw(t, "flow")
		api := rapid.SampledFrom(status.APIs()).Draw(t, "api")
		for range rapid.IntRange(1, 30).Draw(t, "looks") {
			s := sight{direct: rapid.Bool().Draw(t, "direct"), doubt: doubt}
			if !s.direct || rapid.IntRange(0, 9).Draw(t, "shown") > 0 {
				second += rapid.IntRange(-1, 3).Draw(t, "later")
				s.conn = circuitIn(rapid.SampledFrom(status.Statuses()).Draw(t, "status"),
					rapid.SampledFrom(status.Providers()).Draw(t, "provider"), second)
				s.conn.Api, s.conn.Flow = string(api), flow
				s.conn.Name = rapid.SampledFrom([]string{"one", "two"}).Draw(t, "name")
				s.conn.Native.Change = rapid.SampledFrom([]string{"", "REQUESTED", "COMPLETED", "MOONSTRUCK"}).Draw(t, "change")
			}
			n, v := observe(p, s, around)
			if v != taken && !n.none() {
				t.Fatalf("a %s look has news%s", v, brief(n))
			}
			at := past{}.conn
			if p.conn != nil {
				at = p.conn
			}
			for i, tr := range n.transitions {
				if (tr.GetFrom() == nil) != (at == nil) || at != nil && stateOf(at) != stateOfWire(tr.GetFrom()) {
					t.Fatalf("step %d begins at %v, the path is at %v", i+1, tr.GetFrom(), at)
				}
				at = tr.GetConnection()
			}
			// The writer may die after any fact; the next look then goes on from there.
			if died := rapid.IntRange(0, 9).Draw(t, "died"); v == taken && died < len(n.transitions) {
				n.transitions = n.transitions[:died]
				p = fold(p, n)
				n, v = observe(p, s, around)
				if v == doubtful {
					doubt = nil // the way there was one of the inferred
					continue
				}
			}
			p = fold(p, n)
			doubt = nil
			switch v {
			case doubtful:
				seen := status.Gone()
				if s.conn != nil {
					seen = stateOf(s.conn)
				}
				doubt = &seen
			case stale:
			case taken:
				if s.conn != nil && (stateOf(p.conn) != stateOf(s.conn) || p.newest().GetName() != s.conn.GetName() && !stateOf(p.conn).Status.Ended()) {
					t.Fatalf("folded to %v %s, shown %v %s", stateOf(p.conn), p.newest().GetName(), stateOf(s.conn), s.conn.GetName())
				}
				if again, _ := observe(p, s, around); !again.none() {
					t.Fatalf("the same look again brings%s", brief(again))
				}
			}
		}
	})
}

func stateOfWire(s *patchbayv1.State) status.State {
	c := &patchbayv1.Connection{Status: s.GetStatus(), ProviderStatus: s.GetProviderStatus(), Native: s.GetNative()}
	return stateOf(c)
}
