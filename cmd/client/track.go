package client

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// tracker folds facts into where the orders that were handed in stand. It is pure.
type tracker struct {
	orders   []*tracked
	circuits map[string]*circuit // by connection id
	// wanted are connections that an order named and of which no fact was seen.
	wanted []string
}

// tracked is one order, by the file it came from.
type tracked struct {
	handed
	// existed: the order was there before the intent was handed in.
	existed bool
	// same: what was handed in says what the order that was there before says.
	same    bool
	order   *patchbayv1.Order
	refusal *patchbayv1.Refusal
	seq     uint64
	since   time.Time
}

// circuit is one connection of a tracked order.
type circuit struct {
	id, leg string
	conn    *patchbayv1.Connection
	seq     uint64
	since   time.Time
}

// news is one change that is worth a line.
type news struct {
	At    time.Time  `json:"at"`
	Noun  event.Noun `json:"noun"`
	ID    string     `json:"id"`
	Order string     `json:"orderId"`
	State string     `json:"state"`
	// Text is what else there is to say.
	Text string `json:"text,omitempty"`
}

func newTracker(all []handed) *tracker {
	t := &tracker{circuits: map[string]*circuit{}}
	for _, h := range all {
		t.orders = append(t.orders, &tracked{handed: h})
	}
	return t
}

// take folds one fact in and returns what is new. Facts that were seen, or that are about
// others, change nothing.
func (t *tracker) take(r journal.Record) []news {
	e := r.Entity()
	switch e.Noun {
	case event.Order:
		return t.takeOrder(r, e.ID)
	case event.Refusal:
		return t.takeRefusal(r, e.ID)
	case event.Connection:
		return t.takeConnection(r, e.ID)
	default:
		return nil
	}
}

func (t *tracker) takeOrder(r journal.Record, id string) []news {
	o := new(patchbayv1.Order)
	var all []news
	for _, tr := range t.orders {
		if tr.orderID != id || r.Seq <= tr.seq || r.Into(o) != nil {
			continue
		}
		tr.order, tr.seq, tr.since = o, r.Seq, r.At()
		for _, l := range o.GetLegs() {
			c := l.GetConnectionId()
			if c != "" && t.circuits[c] == nil {
				t.circuits[c] = &circuit{id: c, leg: l.GetLeg()}
				t.wanted = append(t.wanted, c)
			}
		}
		if len(all) == 0 { // two files may be one order
			all = append(all, news{r.At(), event.Order, id, id, o.GetFact(), orderText(o)})
		}
	}
	return all
}

// orderText is what to say of an order beside its state.
func orderText(o *patchbayv1.Order) string {
	switch {
	case o.GetFailure() != nil:
		return story.Failure(o.GetFailure())
	case len(o.GetViolations()) > 0:
		return counted(len(o.GetViolations()), "violation")
	case order.Over(o) || o.GetWait().GetWhat() == "":
		return ""
	}
	w := story.Wait{What: o.GetWait().GetWhat(), On: o.GetWait().GetOn()}
	if w.On == "operator" {
		w.Advice = o.GetWait().GetAdvice()
	}
	return w.Line()
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (t *tracker) takeRefusal(r journal.Record, id string) []news {
	f := new(patchbayv1.Refusal)
	for _, tr := range t.orders {
		// A refusal answers the submission that caused it, and that alone.
		if tr.orderID == id && r.Into(f) == nil && f.GetFact() == "conflicting" && tr.refusal == nil {
			tr.refusal = f
			return []news{{r.Stamp, event.Refusal, id, id, "conflicting", f.GetMessage()}}
		}
	}
	return nil
}

func (t *tracker) takeConnection(r journal.Record, id string) []news {
	step := new(patchbayv1.Transition)
	if r.Into(step) != nil {
		return nil
	}
	conn := step.GetConnection()
	c := t.circuits[id]
	if c == nil && t.byID(conn.GetOrderId()) != nil {
		c = &circuit{id: id}
		t.circuits[id] = c
	}
	if c == nil || r.Seq <= c.seq {
		return nil
	}
	c.conn, c.seq, c.since = conn, r.Seq, r.At()
	if c.leg == "" {
		c.leg = conn.GetLeg()
	}
	var marks []string
	if story.Unmoved(step) {
		marks = append(marks, "(the exchange's words: "+story.Words(step.GetTo().GetNative())+")")
	}
	for word, set := range map[string]bool{"inferred": step.GetInferred(), "skipped": step.GetSkipped(), "unexpected": step.GetUnexpected()} {
		if set {
			marks = append(marks, word)
		}
	}
	slices.Sort(marks)
	if d := story.Duty(step.GetTo()); d.What != "" {
		marks = append(marks, d.Line())
	}
	return []news{{
		r.At(), event.Connection, id, conn.GetOrderId(),
		conn.GetStatus() + "/" + conn.GetProviderStatus(),
		strings.TrimSpace(conn.GetName() + " " + conn.GetExchangeId() + " " + strings.Join(marks, " ")),
	}}
}

// acted reports whether a circuit is only what a change or delete is about: where it stood
// before is no news.
func (t *tracker) acted(id string) bool {
	return !slices.ContainsFunc(t.orders, func(tr *tracked) bool {
		return tr.kind == intent.Create && slices.ContainsFunc(tr.order.GetLegs(), func(l *patchbayv1.OrderLeg) bool { return l.GetConnectionId() == id })
	})
}

func (t *tracker) byID(order string) *tracked {
	for _, tr := range t.orders {
		if tr.orderID == order {
			return tr
		}
	}
	return nil
}

// circuitsOf returns the circuits of an order, the primary first.
func (t *tracker) circuitsOf(tr *tracked) []*circuit {
	var all []*circuit
	for _, c := range t.circuits {
		named := slices.ContainsFunc(tr.order.GetLegs(), func(l *patchbayv1.OrderLeg) bool { return l.GetConnectionId() == c.id })
		if c.conn != nil && (named || c.conn.GetOrderId() == tr.orderID) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *circuit) int { return strings.Compare(a.leg+a.id, b.leg+b.id) })
	return all
}

// known: an order or a refusal of it was seen.
func (tr *tracked) known() bool { return tr.refusal != nil || tr.order != nil }

// answered: it is known whether the intent was taken.
func (tr *tracked) answered() bool {
	return tr.refusal != nil || tr.order != nil && (!tr.existed || tr.same)
}

// compare holds what was handed in against the order that was there before. A requester
// refuses the same conflict once, so its refusal need not come again. Of secrets an order
// keeps no more than that they were given: whether they differ, only a requester can tell.
func (tr *tracked) compare() {
	was := payloadOf(tr.order)
	now, unreadable := intent.Decode(event.Intent, tr.kind, tr.event.Data())
	if was == nil || len(unreadable) > 0 {
		return
	}
	all := []*patchbayv1.Difference{{Field: "type", Was: tr.order.GetKind(), Now: tr.kind}}
	if tr.order.GetKind() == tr.kind {
		all = intent.Differences(was, now)
	}
	differ := slices.DeleteFunc(slices.Clone(all), func(d *patchbayv1.Difference) bool { return d.GetWas() == d.GetNow() })
	tr.same = len(all) == 0
	if len(differ) > 0 {
		tr.refusal = &patchbayv1.Refusal{
			Fact: "conflicting", OrderId: tr.orderID, Source: tr.event.Source(), IntentId: tr.event.ID(), Differences: differ,
			Message: "source and id belong to an order with other data; hand this in under another --id",
		}
	}
}

// payloadOf is the intent that an order holds, nil if it could not be read.
func payloadOf(o *patchbayv1.Order) proto.Message {
	switch {
	case o.GetCreate() != nil:
		return o.GetCreate()
	case o.GetChange() != nil:
		return o.GetChange()
	case o.GetDelete() != nil:
		return o.GetDelete()
	default:
		return nil
	}
}

// settled: nothing more is to come of it.
func (tr *tracked) settled() bool {
	return tr.refusal != nil || tr.order != nil && order.Over(tr.order)
}

// outcome is the exit code that an order stands for, 0 for none to speak of.
func (tr *tracked) outcome() int {
	switch {
	case tr.refusal != nil, tr.order.GetOutcome() == order.Invalid, tr.order.GetFact() == order.Invalid:
		return exitInvalid
	case !tr.settled():
		return exitWaiting
	case tr.order.GetOutcome() == order.Failed, tr.order.GetFact() == order.Failed:
		return exitFailed
	default:
		return 0
	}
}

// state is the word for where an order stands.
func (tr *tracked) state() string {
	switch {
	case tr.refusal != nil:
		return "conflicting"
	case tr.order == nil:
		return "submitted"
	case tr.order.GetFact() == event.Archived:
		return tr.order.GetOutcome()
	default:
		return tr.order.GetFact()
	}
}

// exitCode is that of all orders together: what needs somebody's attention first.
func (t *tracker) exitCode(waited bool) int {
	for _, code := range []int{exitInvalid, exitFailed, exitWaiting} {
		for _, tr := range t.orders {
			if tr.outcome() == code && (waited || code != exitWaiting || !tr.known()) {
				return code
			}
		}
	}
	return 0
}

// violationRows are violations as rows of a table.
func violationRows(all []*patchbayv1.Violation) [][]string {
	var rows [][]string
	for _, v := range all {
		rows = append(rows, []string{orDash(v.GetField()), orDash(v.GetValue()), v.GetRule(), v.GetHint()})
	}
	return rows
}

var violationHead = []string{"FIELD", "VALUE", "RULE", "HINT"}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
