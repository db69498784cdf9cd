package requester

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// The rules are not exported, and are the subject here.

const (
	within = time.Minute
	quiet  = 2 * time.Minute
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// leg returns a leg in a state after an attempt that began at noon, if the state needs one.
func leg(name, state string, attempt *patchbayv1.Attempt) *patchbayv1.OrderLeg {
	l := &patchbayv1.OrderLeg{Leg: name, State: state, Attempt: attempt}
	if state == order.Placed || state == order.Completed {
		l.ExchangeId, l.ConnectionId = "x-"+name, event.ConnectionID("equinix", "x-"+name)
	}
	if state == order.Failed {
		l.Failure = &patchbayv1.Failure{Reason: refused}
	}
	return l
}

// tried is a first attempt that began at noon, with looks that found nothing, the last of
// them so long after noon; none if that is 0.
func tried(looks int32, last time.Duration) *patchbayv1.Attempt {
	a := &patchbayv1.Attempt{Number: 1, Within: durationpb.New(within), StartedAt: timestamppb.New(noon), Looks: looks}
	if last > 0 {
		a.LookedAt = timestamppb.New(noon.Add(last))
	}
	return a
}

// inUse is a leg of whose attempt the exchange said that its tag is in use, and for which
// two looks found nothing, the last of them so long after noon.
func inUse(number int32, last time.Duration) *patchbayv1.OrderLeg {
	l := leg("primary", order.Uncertain, tried(2, last))
	l.Attempt.Number, l.Failure = number, &patchbayv1.Failure{Reason: refused}
	return l
}

func circuitAt(status, provider string) circuit {
	return circuit{seq: 7, conn: &patchbayv1.Connection{Status: status, ProviderStatus: provider}}
}

func TestDecideCreate(t *testing.T) {
	ready := map[string]circuit{"primary": circuitAt("PROVISIONED", "AVAILABLE")}
	inferred := map[string]circuit{"primary": circuitAt("PROVISIONED", "AVAILABLE")}
	c := inferred["primary"]
	c.inferred = true
	inferred["primary"] = c
	for _, tt := range []struct {
		name, reason string
		s            state
		legs         []*patchbayv1.OrderLeg
		with         func(*patchbayv1.Order)
		after        time.Duration // now, after noon
		want         do
		fact         string
		until        time.Duration
	}{
		{name: "unchecked", reason: "the exchange is asked before money is spent",
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Open, nil)},
			with: func(o *patchbayv1.Order) { o.Checked = false }, want: doCheck},
		{name: "unchecked in vain", reason: "it is asked again later", s: state{asked: true},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Open, nil)},
			with: func(o *patchbayv1.Order) { o.Checked = false }, want: doWait, until: checkAgain},
		{name: "open", reason: "holds first", legs: []*patchbayv1.OrderLeg{leg("primary", order.Open, nil)}, want: doHold},
		{name: "open and held", reason: "the licence is written before the call", s: state{held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Open, nil)}, want: doPlace, fact: order.Placing},
		{name: "placing", reason: "somebody is at it until D is over", after: within - 1,
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Placing, tried(0, 0))}, want: doWait, until: within + timerSlack},
		{name: "placing for D", reason: "nobody has written down what became of it", after: within,
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Placing, tried(0, 0))}, want: doAppend, fact: order.Uncertain},
		{name: "placing, old nudge", reason: "a stamp from before the attempt concludes nothing", after: -time.Hour,
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Placing, tried(0, 0))}, want: doWait, until: within + timerSlack},
		{name: "uncertain", reason: "look at once", after: time.Second,
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Uncertain, tried(0, 0))}, want: doLook},
		{name: "uncertain, looked", reason: "one look a nudge", after: time.Second, s: state{looked: true},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Uncertain, tried(0, time.Second))}, want: doWait,
			until: time.Second + quiet/4},
		{name: "uncertain, one late look", reason: "two are needed", after: within + quiet + time.Second, s: state{looked: true, held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Uncertain, tried(1, within+quiet))}, want: doWait,
			until: within + quiet + time.Second + within + quiet + time.Second},
		{name: "uncertain, looks before Q is over", reason: "the last has to come after D + Q", after: within + quiet,
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Uncertain, tried(5, within+quiet-1))}, want: doLook},
		{name: "uncertain, looks done", reason: "D, Q and two looks have passed", after: within + quiet, s: state{held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Uncertain, tried(2, within+quiet))}, want: doPlace, fact: order.Placing},
		{name: "in use for the third time, looks done", reason: "what is in use stays so; the pause grows", after: within + quiet, s: state{held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{inUse(3, within+quiet)}, want: doWait, until: 8 * quiet},
		{name: "in use for the third time, after the pause", reason: "it may be free by now", after: 8 * quiet, s: state{held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{inUse(3, within+quiet)}, want: doPlace, fact: order.Placing},
		{name: "in use for the 90th time", reason: "the pause has a limit", after: within + quiet, s: state{held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{inUse(90, within+quiet)}, want: doWait, until: inUseAgain},
		{name: "uncertain, cancelled, looks done", reason: "nothing more is placed", after: within + quiet, s: state{held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Uncertain, tried(2, within+quiet))},
			with: func(o *patchbayv1.Order) { o.CancelledBy = "d" }, want: doAppend, fact: order.Failed},
		{name: "open, cancelled", reason: "nothing more is placed", s: state{held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Open, nil)},
			with: func(o *patchbayv1.Order) { o.CancelledBy = "d" }, want: doAppend, fact: order.Failed},
		{name: "placed", reason: "the watcher will nudge", legs: []*patchbayv1.OrderLeg{leg("primary", order.Placed, tried(0, 0))}, want: doWait},
		{name: "placed and ready", reason: "that is what was asked for", s: state{circuits: ready},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Placed, tried(0, 0))}, want: doAppend, fact: order.Completed},
		{name: "placed, ready by inference", reason: "nobody saw it", s: state{circuits: inferred},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Placed, tried(0, 0))}, want: doWait},
		{name: "one of two ready", reason: "both have to be", s: state{circuits: ready},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Placed, tried(0, 0)), leg("secondary", order.Placed, tried(0, 0))}, want: doWait},
		{name: "one placed, one open", reason: "a turn that was the other leg's is over", s: state{held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Placed, tried(0, 0)), leg("secondary", order.Open, nil)}, want: doHold},
		{name: "one failed, one open", reason: "keep: the other goes on", s: state{held: []string{"secondary"}},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Failed, nil), leg("secondary", order.Open, nil)},
			want: doPlace, fact: order.Placing},
		{name: "one failed, one open, rollback", reason: "alone it is not wanted", s: state{held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{leg("primary", order.Failed, nil), leg("secondary", order.Open, nil)},
			with: func(o *patchbayv1.Order) { o.Create.OnLegFailure = "rollback" }, want: doAppend, fact: order.Failed},
		{name: "one failed, one placed, rollback, unseen", reason: "what nobody has seen cannot be named", s: state{held: []string{"primary"}},
			legs: []*patchbayv1.OrderLeg{leg("secondary", order.Failed, nil), leg("primary", order.Placed, tried(0, 0))},
			with: func(o *patchbayv1.Order) { o.Create.OnLegFailure = "rollback" }, want: doWait},
		{name: "one failed, one placed, rollback", reason: "the other is deleted",
			s:    state{circuits: map[string]circuit{"primary": circuitAt("PENDING_APPROVAL", "NOT_AVAILABLE")}},
			legs: []*patchbayv1.OrderLeg{leg("secondary", order.Failed, nil), leg("primary", order.Placed, tried(0, 0))},
			with: func(o *patchbayv1.Order) { o.Create.OnLegFailure = "rollback" }, want: doRollBack, fact: order.Failed},
		{name: "ended", reason: "nothing follows an outcome", legs: []*patchbayv1.OrderLeg{leg("primary", order.Open, nil)},
			with: func(o *patchbayv1.Order) { o.Outcome = order.Failed }, want: doNothing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.s
			s.order = &patchbayv1.Order{Kind: exchange.Create, Checked: true, Exchange: "equinix",
				Create: &patchbayv1.CreateIntent{}, Legs: tt.legs}
			s.stamp, s.within, s.quiet = noon, within, quiet
			if tt.with != nil {
				tt.with(s.order)
			}
			before := proto.CloneOf(s.order)
			st := decide(&s, noon.Add(tt.after))
			if st.do != tt.want || st.next.GetFact() != tt.fact {
				t.Errorf("decide = %s %q, want %s %q: %s", st.do, st.next.GetFact(), tt.want, tt.fact, tt.reason)
			}
			if tt.until != 0 && !st.until.Equal(noon.Add(tt.until)) {
				t.Errorf("until noon + %v, want %v: %s", st.until.Sub(noon), tt.until, tt.reason)
			}
			if !proto.Equal(before, s.order) {
				t.Errorf("the state was changed: %v", s.order)
			}
		})
	}
}

// A lost answer that comes late changes what is still open, and else is an orphan.
func TestSettle(t *testing.T) {
	done := exchange.Outcome{Class: exchange.Done, IDs: map[string]string{"primary": "x-1"}}
	second := tried(0, 0)
	second.Number = 2
	for _, tt := range []struct {
		name, reason string
		leg          *patchbayv1.OrderLeg
		outcome      string
		out          exchange.Outcome
		want         string // the fact, empty for none
		state        string
	}{
		{"in time", "the attempt is open", leg("primary", order.Placing, tried(0, 0)), "", done, order.Placed, order.Placed},
		{"after D", "the same attempt is still open", leg("primary", order.Uncertain, tried(1, within)), "", done, order.Placed, order.Placed},
		{"adopted before", "somebody found it", &patchbayv1.OrderLeg{Leg: "primary", State: order.Placed, ExchangeId: "x-1", Attempt: tried(0, 0)}, "", done, "", ""},
		{"another stands", "one too many, for a person", leg("primary", order.Placed, tried(0, 0)), "", done, order.Orphaned, order.Placed},
		{"next attempt", "it is not this attempt's", leg("primary", order.Placing, second), "", done, order.Orphaned, order.Placing},
		{"ended", "an outcome is not taken back", leg("primary", order.Failed, tried(0, 0)), order.Failed, done, order.Orphaned, order.Failed},
		{"no id", "a 2xx without an id tells nothing", leg("primary", order.Placing, tried(0, 0)), "",
			exchange.Outcome{Class: exchange.Done}, order.Uncertain, order.Uncertain},
		{"throttled", "nothing happened", leg("primary", order.Placing, tried(0, 0)), "",
			exchange.Outcome{Class: exchange.Busy}, order.Accepted, order.Open},
		{"refused", "the only leg has failed, and with it the order", leg("primary", order.Placing, tried(0, 0)), "",
			exchange.Outcome{Class: exchange.Refused}, order.Failed, order.Failed},
		{"taken", "it may be ours", leg("primary", order.Placing, tried(0, 0)), "",
			exchange.Outcome{Class: exchange.Taken}, order.Uncertain, order.Uncertain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &state{stamp: noon, within: within, quiet: quiet, order: &patchbayv1.Order{
				Kind: exchange.Create, Exchange: "equinix", Legs: []*patchbayv1.OrderLeg{tt.leg}, Outcome: tt.outcome,
			}}
			next := settle(s, call{legs: []string{"primary"}, number: 1, out: tt.out}, noon)
			if next.GetFact() != tt.want || next != nil && next.GetLegs()[0].GetState() != tt.state {
				t.Errorf("settle = %q %v, want %q with the leg %s: %s", next.GetFact(), next.GetLegs(), tt.want, tt.state, tt.reason)
			}
		})
	}
}

// A look counts only after D, and only what may be ours is adopted.
func TestAfterFind(t *testing.T) {
	made := func(id, status string, after time.Duration) *patchbayv1.Connection {
		return &patchbayv1.Connection{ExchangeId: id, Status: status, CreatedAt: timestamppb.New(noon.Add(after))}
	}
	undated := &patchbayv1.Connection{ExchangeId: "x", Status: "PROVISIONED"}
	for _, tt := range []struct {
		name, reason string
		found        []*patchbayv1.Connection
		foreign      []string
		after        time.Duration
		state        string
		looks        int32
		candidates   int
	}{
		{name: "early", reason: "the call may still be under way", after: within - 1, state: order.Uncertain},
		{name: "late", reason: "nothing was there", after: within, state: order.Uncertain, looks: 1},
		{name: "one", reason: "it is ours", found: []*patchbayv1.Connection{made("x", "PENDING_APPROVAL", time.Second)}, state: order.Placed},
		{name: "clocks apart", reason: "five seconds are forgiven", found: []*patchbayv1.Connection{made("x", "PROVISIONED", -slack)}, state: order.Placed},
		{name: "older", reason: "it was there before", found: []*patchbayv1.Connection{made("x", "PROVISIONED", -slack-1)}, after: within, state: order.Uncertain, looks: 1},
		{name: "ended", reason: "it was the answer all the same", found: []*patchbayv1.Connection{made("x", "REJECTED", 1)}, state: order.Placed},
		{name: "ended before", reason: "what lives counts more", found: []*patchbayv1.Connection{made("x", "REJECTED", 1), made("y", "PROVISIONED", 2)},
			state: order.Placed},
		{name: "another's", reason: "it belongs to another order", found: []*patchbayv1.Connection{made("x", "PROVISIONED", 1)}, foreign: []string{"x"},
			after: within, state: order.Uncertain, looks: 1},
		{name: "undated", reason: "nobody can tell", found: []*patchbayv1.Connection{undated}, after: within, state: order.Uncertain, candidates: 1},
		{name: "two", reason: "nobody can tell which", found: []*patchbayv1.Connection{made("x", "PROVISIONED", 1), made("y", "PROVISIONED", 1)},
			after: within, state: order.Uncertain, candidates: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &state{stamp: noon, within: within, quiet: quiet, order: &patchbayv1.Order{Kind: exchange.Create, Exchange: "equinix",
				Legs: []*patchbayv1.OrderLeg{leg("primary", order.Uncertain, tried(0, 0))}}}
			next := afterFind(s, map[string][]*patchbayv1.Connection{"primary": tt.found},
				map[string]sought{"primary": {since: noon, foreign: tt.foreign}}, noon.Add(tt.after))
			got := next.GetLegs()[0]
			if got.GetState() != tt.state || got.GetAttempt().GetLooks() != tt.looks || len(got.GetAttempt().GetCandidates()) != tt.candidates {
				t.Errorf("leg %v, want %s with %d looks and %d candidates: %s", got, tt.state, tt.looks, tt.candidates, tt.reason)
			}
		})
	}
}

// sim is an order at an exchange that has no guard against buying twice, and that shows
// what was bought only after a while shorter than Q.
type sim struct {
	*rapid.T
	o       *patchbayv1.Order
	stamp   time.Time
	clock   time.Time
	single  bool
	grouped bool
	bought  map[string][]bought
	late    []call
	seen    map[string]circuit
}

type bought struct {
	id              string
	created, appear time.Time
}

func (m *sim) state() *state {
	s := &state{order: proto.CloneOf(m.o), stamp: m.stamp, within: within, quiet: quiet, together: !m.single, circuits: m.seen}
	return s
}

// append writes a fact as the shell would, and checks it.
func (m *sim) append(next *patchbayv1.Order) {
	describe(next, m.o, m.clock)
	if err := order.Check(m.o, next); err != nil {
		m.Fatalf("%v", err)
	}
	if next.GetOutcome() == "" && next.GetWait().GetWhat() == "" {
		m.Fatalf("waits for nothing named: %v", next)
	}
	if m.o.GetOutcome() != "" && next.GetFact() != order.Orphaned {
		m.Fatalf("%s after the end", next.GetFact())
	}
	m.o, m.stamp = next, m.clock
}

// nudge does what advance does upon a message stamped now.
func (m *sim) nudge(now time.Time) {
	var held []string
	looked := false
	for range maxSteps {
		s := m.state()
		s.held, s.looked = held, looked
		st := decide(s, now)
		switch st.do {
		case doHold:
			held = st.first
		case doPlace:
			m.place(st)
		case doLook:
			looked = true
			m.look(s, st.legs, now)
		case doAppend, doRollBack:
			m.append(st.next)
		case doWait, doNothing:
			return
		default:
			m.Fatalf("unexpected step %s", st.do)
		}
	}
	m.Fatalf("does not come to rest: %v", m.o)
}

func (m *sim) place(st step) {
	primary := legOf(m.o, exchange.Primary)
	if m.grouped && st.legs[0] == exchange.Secondary && primary.GetState() == order.Placed && m.state().group() == "" {
		m.Fatalf("the secondary is placed without the group of its primary")
	}
	m.append(st.next)
	c := call{legs: st.legs, number: legOf(st.next, st.legs[0]).GetAttempt().GetNumber(), out: exchange.Outcome{Class: exchange.Unknown}}
	written := m.clock
	if rapid.Bool().Draw(m.T, "reached") {
		c.out = exchange.Outcome{Class: exchange.Done, IDs: map[string]string{}}
		if m.grouped {
			c.out.Group = "g"
		}
		for _, leg := range st.legs {
			created := written.Add(time.Duration(rapid.Int64Range(0, int64(within)).Draw(m.T, "created")))
			b := bought{fmt.Sprintf("%s-%d", leg, len(m.bought[leg])), created,
				created.Add(time.Duration(rapid.Int64Range(0, int64(quiet)).Draw(m.T, "appears")))}
			m.bought[leg] = append(m.bought[leg], b)
			c.out.IDs[leg] = b.id
			if len(m.bought[leg]) > 1 {
				m.Fatalf("a second circuit for the %s leg", leg)
			}
		}
	} else if rapid.Bool().Draw(m.T, "told") {
		c.out.Class = rapid.SampledFrom([]exchange.Class{exchange.Refused, exchange.Busy, exchange.NotSent}).Draw(m.T, "class")
	}
	switch rapid.SampledFrom([]string{"told", "lost", "late", "crash"}).Draw(m.T, "answer") {
	case "lost":
		c.out = exchange.Outcome{Class: exchange.Unknown}
		m.settle(c)
	case "late":
		m.late = append(m.late, c)
	case "told":
		m.clock = m.clock.Add(within / 2)
		m.settle(c)
	}
}

func (m *sim) settle(c call) {
	if next := settle(m.state(), c, m.clock); next != nil {
		m.append(next)
	}
}

func (m *sim) look(s *state, legs []string, now time.Time) {
	if rapid.IntRange(0, 3).Draw(m.T, "look") == 0 {
		return // it failed
	}
	found, by := map[string][]*patchbayv1.Connection{}, map[string]sought{}
	for _, leg := range legs {
		by[leg] = sought{since: noon}
		for _, b := range m.bought[leg] {
			if !b.appear.After(m.clock) {
				found[leg] = append(found[leg], &patchbayv1.Connection{ExchangeId: b.id, CreatedAt: timestamppb.New(b.created), RedundancyGroup: m.group()})
			}
		}
	}
	if next := afterFind(s, found, by, now); next != nil {
		m.append(next)
	}
}

// group is what the exchange shows of a pair.
func (m *sim) group() string {
	if m.grouped {
		return "g"
	}
	return ""
}

// TestNeverTwice lets an order live through random delays, losses and crashes. No leg ever
// gets a second circuit; every fact is a step of the charts; every order that has not
// ended waits for something; and once the exchange behaves, nothing stays uncertain.
func TestNeverTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &sim{T: rt, clock: noon, stamp: noon, bought: map[string][]bought{}, seen: map[string]circuit{},
			o: &patchbayv1.Order{Id: "o", Kind: exchange.Create, Fact: order.Accepted, Checked: true, Exchange: "equinix",
				Create: &patchbayv1.CreateIntent{OnLegFailure: rapid.SampledFrom([]string{"keep", "rollback"}).Draw(rt, "policy")},
				Legs:   []*patchbayv1.OrderLeg{leg("primary", order.Open, nil), leg("secondary", order.Open, nil)}}}
		// One call for both legs as at ECX, or two, tied by a group as at Fabric, or not.
		m.single = rapid.Bool().Draw(rt, "single")
		m.grouped = m.single && rapid.Bool().Draw(rt, "grouped")
		for range rapid.IntRange(1, 60).Draw(rt, "events") {
			switch rapid.SampledFrom([]string{"time", "nudge", "nudge", "old nudge", "late", "cancel", "news"}).Draw(rt, "event") {
			case "time":
				m.clock = m.clock.Add(time.Duration(rapid.Int64Range(1, int64(3*time.Minute)).Draw(rt, "passes")))
			case "nudge":
				m.nudge(m.clock)
			case "old nudge":
				m.nudge(m.clock.Add(-time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(rt, "age"))))
			case "late":
				if len(m.late) > 0 {
					m.settle(m.late[0])
					m.late = m.late[1:]
				}
			case "cancel":
				if m.o.GetOutcome() == "" && m.o.GetCancelledBy() == "" && rapid.IntRange(0, 5).Draw(rt, "really") == 0 {
					next := m.state().next(order.Cancelling, "")
					next.CancelledBy = "d"
					m.append(next)
				}
			case "news":
				name := rapid.SampledFrom([]string{"primary", "secondary"}).Draw(rt, "leg")
				m.seen[name] = circuitAt(rapid.SampledFrom([]string{"PENDING_APPROVAL", "PROVISIONED", "REJECTED"}).Draw(rt, "status"), "AVAILABLE")
			}
		}
		for range 40 {
			m.clock = m.clock.Add(time.Minute)
			m.nudge(m.clock)
		}
		for _, l := range m.o.GetLegs() {
			if l.GetState() == order.Placed && len(m.bought[l.GetLeg()]) == 0 {
				rt.Fatalf("leg %s is placed without a circuit", l.GetLeg())
			}
		}
	})
}

func TestWaitOfCancelled(t *testing.T) {
	for _, state := range []string{order.Placing, order.Uncertain, order.Placed} {
		o := &patchbayv1.Order{
			Kind: exchange.Create, Fact: order.Cancelling, CancelledBy: "o-2", Account: "acme", Checked: true,
			Legs: []*patchbayv1.OrderLeg{leg("primary", state, tried(1, 0))},
		}
		describe(o, nil, noon)
		if w := o.GetWait(); !strings.Contains(w.GetOn()+w.GetAdvice(), "order o-2") {
			t.Errorf("%s: waits for %v; want a word of order o-2, which cancels it", state, w)
		}
	}
}
