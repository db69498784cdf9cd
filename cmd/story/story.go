// Package story tells the life of an order or a connection from its facts: what happened,
// by whom, how long each step took, what it waits for now and who has to act.
//
// It is pure. It is given the facts, of the entity and of those that belong to it, and the
// time; it asks nobody. So a story can be told with nothing but the journal at hand.
package story

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Story is the life of one order or connection.
type Story struct {
	Noun  event.Noun `json:"noun"`
	ID    string     `json:"id"`
	Title string     `json:"title"`
	// State entered last, and when.
	State string    `json:"state"`
	Since time.Time `json:"since"`
	// Ended tells that nothing more is to come.
	Ended bool `json:"ended"`
	// About names it in other people's words: account, intent, exchange's id.
	About []Word `json:"about,omitempty"`
	// Trace is the id of the trace in which it began.
	Trace string `json:"traceId,omitempty"`
	Steps []Step `json:"steps"`
	// Waits are what it waits for now.
	Waits []Wait `json:"waits,omitempty"`
	// Circuits that belong to it.
	Circuits []Circuit `json:"circuits,omitempty"`
}

// Word is one thing that may be known of an entity.
type Word struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Step is one fact.
type Step struct {
	At time.Time `json:"at"`
	// Took is the time since the step before of the same entity; 0 for its first.
	Took time.Duration `json:"-"`
	// Seconds is Took for JSON.
	Seconds float64    `json:"tookSeconds,omitempty"`
	Noun    event.Noun `json:"noun"`
	ID      string     `json:"id"`
	// Who is the entity in few words: "primary", "order 5c1f09aa (delete)".
	Who string `json:"who"`
	// What happened: the state entered.
	What string `json:"what"`
	// By is the service that decided or saw it.
	By string `json:"by"`
	// Marks tell how a transition is known: first, inferred, skipped, unexpected.
	Marks   []string `json:"marks,omitempty"`
	Details []string `json:"details,omitempty"`
	Seq     uint64   `json:"seq,string"`
}

// Wait is something that is waited for.
type Wait struct {
	Who    string     `json:"who"`
	What   string     `json:"what"`
	On     string     `json:"on"`
	Since  *time.Time `json:"since,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
	Advice string     `json:"advice,omitempty"`
}

// Circuit is where a circuit stands and whether it costs money.
type Circuit struct {
	ID         string    `json:"id"`
	ExchangeID string    `json:"exchangeId"`
	Leg        string    `json:"leg,omitempty"`
	State      string    `json:"state"`
	Since      time.Time `json:"since"`
	// Bills is yes, no or unknown.
	Bills string `json:"bills"`
}

// Tell tells the story of an entity, an order or a connection, from facts of its own and
// of all that belongs to it, in any order.
func Tell(about event.Entity, facts []journal.Record) Story {
	slices.SortFunc(facts, func(a, b journal.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	t := teller{about: about, story: Story{Noun: about.Noun, ID: about.ID}, last: map[event.Entity]*telling{}}
	for _, r := range facts {
		t.take(r)
	}
	t.conclude()
	return t.story
}

// telling is an entity as of the fact that was told last.
type telling struct {
	record journal.Record
	who    string
	order  *patchbayv1.Order
	step   *patchbayv1.Transition
	asked  *patchbayv1.Approval
	landed *patchbayv1.Landing
	change *patchbayv1.Change
	// archived stands for all facts before it.
	archived *patchbayv1.Archived
}

type teller struct {
	about event.Entity
	story Story
	last  map[event.Entity]*telling
	ids   []event.Entity // in the order in which they appeared
}

// take tells one fact.
func (t *teller) take(r journal.Record) {
	e := r.Entity()
	before := t.last[e]
	now := &telling{record: r}
	if before == nil {
		t.ids = append(t.ids, e)
		before = new(telling)
	}
	s := Step{At: r.At(), Noun: e.Noun, ID: e.ID, By: strings.TrimPrefix(r.Event.Source(), event.Root+"/"), Seq: r.Seq}
	if !before.record.None() {
		s.Took = max(0, r.At().Sub(before.record.At())) // writers' clocks may differ a little
		s.Seconds = s.Took.Seconds()
	}
	t.describe(&s, before, now)
	if now.who == "" {
		now.who = string(e.Noun)
	}
	s.Who = now.who
	t.last[e] = now
	t.story.Steps = append(t.story.Steps, s)
	if t.story.Trace == "" && e == t.about {
		t.story.Trace = TraceID(event.OriginOf(r.Event).TraceParent)
	}
}

// TraceID reads the trace id out of a traceparent; empty if there is none.
func TraceID(traceparent string) string {
	parts := strings.Split(traceparent, "-")
	if len(parts) != 4 {
		return ""
	}
	return parts[1]
}

// legOf names a connection by its leg, where an order has told it.
func (t *teller) legOf(connection string) string {
	for _, e := range t.ids {
		last := t.last[e]
		if last == nil {
			continue
		}
		for _, l := range last.order.GetLegs() {
			if l.GetConnectionId() == connection {
				return l.GetLeg()
			}
		}
	}
	return ""
}

// nameOf names an entity about a connection: "connection primary", "approval 3f29ab01".
func (t *teller) nameOf(n event.Noun, connection, leg string) string {
	if leg == "" {
		leg = t.legOf(connection)
	}
	switch {
	case leg != "":
		return string(n) + " " + leg
	case t.about.ID == connection || connection == "":
		return string(n)
	default:
		return string(n) + " " + Short(connection)
	}
}

// Short is the beginning of an id, enough to tell it from others on a screen.
func Short(id string) string { return id[:min(8, len(id))] }

func (t *teller) conclude() {
	if last := t.last[t.about]; last != nil {
		t.story.Since = last.record.At()
		switch {
		case last.order != nil:
			t.orderHead(last.order)
		case last.step != nil:
			t.connectionHead(last.step)
		case last.archived != nil:
			t.story.Title = last.archived.GetKind()
			t.story.State, t.story.Ended = Archived(last.archived), true
		}
	}
	for _, e := range t.ids {
		switch last := t.last[e]; e.Noun {
		case event.Order:
			if last.order != nil && !order.Over(last.order) {
				t.wait(last.who, last.order.GetWait())
			}
		case event.Approval:
			if open(last.asked) {
				t.wait(last.who, last.asked.GetWait())
			}
		case event.Landing:
			t.wait(last.who, last.landed.GetWait())
		case event.Connection:
			t.circuit(e, last)
		default: // the others wait for nothing
		}
	}
	slices.SortStableFunc(t.story.Circuits, func(a, b Circuit) int { return strings.Compare(a.Leg, b.Leg) })
}

func (t *teller) orderHead(o *patchbayv1.Order) {
	t.story.Title = o.GetKind()
	if name := o.GetCreate().GetName(); name != "" {
		t.story.Title += " " + name
	}
	t.story.State, t.story.Ended = o.GetFact(), order.Over(o)
	t.know("account", o.GetAccount())
	t.know("intent", strings.TrimSpace(o.GetSource()+" "+o.GetIntentId()))
	t.know("target order", o.GetTargetOrderId())
	t.know("cancelled by", o.GetCancelledBy())
}

func (t *teller) connectionHead(s *patchbayv1.Transition) {
	c := s.GetConnection()
	t.story.Title = t.nameNow(c)
	t.story.State = state(c.GetStatus(), c.GetProviderStatus())
	t.story.Ended = status.Status(c.GetStatus()).Ended()
	t.know("exchange", strings.TrimSpace(c.GetExchange()+" "+c.GetExchangeId()))
	t.know("buyer", join(c.GetBuyerOrganization(), c.GetBuyerAccount()))
	t.know("seller", join(c.GetSellerOrganization(), c.GetSellerAccount()))
	t.know("order", c.GetOrderId())
}

// nameNow is the name that the story's circuit has, which a change may have given it since its
// last transition.
func (t *teller) nameNow(c *patchbayv1.Connection) string {
	changed := t.last[event.Entity{Noun: event.Change, ID: t.about.ID}]
	if changed == nil || changed.record.Seq < t.last[t.about].record.Seq || changed.change.GetConnection() == nil {
		return c.GetName()
	}
	if name := changed.change.GetConnection().GetName(); name != c.GetName() {
		return name + " (before: " + c.GetName() + ")"
	}
	return c.GetName()
}

// know adds a word unless there is nothing to say.
func (t *teller) know(name, value string) {
	if value != "" {
		t.story.About = append(t.story.About, Word{name, value})
	}
}

func join(organization, account string) string {
	switch {
	case account == "":
		return organization
	case organization == "":
		return "account " + account
	}
	return organization + " (account " + account + ")"
}

func open(a *patchbayv1.Approval) bool {
	return a.GetFact() == "requested" || a.GetFact() == "reminded" || a.GetFact() == "expired" && a.GetBy() == ""
}

func (t *teller) wait(who string, w *patchbayv1.Wait) {
	if w.GetWhat() == "" {
		return
	}
	told := Wait{Who: who, What: w.GetWhat(), On: w.GetOn(), Advice: w.GetAdvice()}
	if w.GetSince() != nil {
		at := w.GetSince().AsTime()
		told.Since = &at
	}
	if w.GetUntil() != nil {
		at := w.GetUntil().AsTime()
		told.Until = &at
	}
	t.story.Waits = append(t.story.Waits, told)
}

// circuit says where a circuit stands. One that waits for the other company waits for
// somebody even if no account of ours is asked.
func (t *teller) circuit(e event.Entity, last *telling) {
	c := last.step.GetConnection()
	if c == nil {
		return
	}
	s := status.Status(c.GetStatus())
	at := last.record.At()
	told := Circuit{ID: e.ID, ExchangeID: c.GetExchangeId(), Leg: c.GetLeg(), Since: at, Bills: "no",
		State: state(c.GetStatus(), c.GetProviderStatus())}
	switch {
	case s.Bills():
		told.Bills = "yes"
	case !s.Known():
		told.Bills = "unknown"
	}
	t.story.Circuits = append(t.story.Circuits, told)
	if d := Duty(last.step.GetTo()); d.What != "" {
		d.Who, d.Since = last.who, &at
		t.story.Waits = append(t.story.Waits, d)
	}
	asked := t.last[event.Entity{Noun: event.Approval, ID: e.ID}]
	if !s.Waits() || asked != nil && open(asked.asked) {
		return
	}
	w := Wait{Who: last.who, What: "the seller's consent", On: "seller " + cmp.Or(join(c.GetSellerOrganization(), c.GetSellerAccount()), "at the exchange"), Since: &at}
	if s == status.PendingDelete {
		w.Advice = "the circuit bills until the seller consents to its end"
	}
	t.story.Waits = append(t.story.Waits, w)
}

func state(s, provider string) string { return s + "/" + provider }
