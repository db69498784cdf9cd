package order_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

func ExampleCheck() {
	before := &patchbayv1.Order{Id: "o-1", Kind: "create", Fact: "uncertain", Legs: []*patchbayv1.OrderLeg{
		{Leg: "primary", State: "uncertain", Attempt: &patchbayv1.Attempt{Number: 1, Looks: 1}},
	}}
	after := &patchbayv1.Order{Id: "o-1", Kind: "create", Fact: "placing", Legs: []*patchbayv1.OrderLeg{
		{Leg: "primary", State: "placing", Attempt: &patchbayv1.Attempt{Number: 2}},
	}}
	fmt.Println(order.Check(before, after))
	// Output: order o-1, "uncertain" to "placing": leg primary, "uncertain" to "placing": bought again after 1 looks, want 2
}

// of makes an order of one leg, sound as far as a fact and a state alone can tell.
func of(kind order.Kind, fact, state string, attempt int32) *patchbayv1.Order {
	o := &patchbayv1.Order{
		Id: "o-1", Kind: string(kind), Fact: fact, Source: "crm", IntentId: "4711", IntentSequence: 7,
		PayloadDigest: "digest", Account: "acme-ecx", Orphans: []string{"c-9"},
		AcceptedAt: &timestamppb.Timestamp{Seconds: 1},
		Failure:    &patchbayv1.Failure{Reason: "refused"},
		Violations: []*patchbayv1.Violation{{Rule: "required"}},
	}
	if fact == order.Cancelling {
		o.CancelledBy = "o-2"
	}
	if state != "" {
		o.Legs = []*patchbayv1.OrderLeg{{Leg: "primary", State: state, ExchangeId: "x-1", ConnectionId: "c-1",
			Attempt: &patchbayv1.Attempt{Number: attempt, Looks: 2}}}
	}
	return o
}

func TestCheckFollowsTheLife(t *testing.T) {
	type fact struct {
		fact, state string
		attempt     int32
	}
	for _, tt := range []struct {
		reason string
		kind   order.Kind
		life   []fact
	}{
		{"the usual", order.Create, []fact{{"accepted", "open", 0}, {"placing", "placing", 1}, {"placed", "placed", 1}, {"completed", "completed", 1}}},
		{"legs may come with the first placing", order.Create, []fact{{"accepted", "", 0}, {"placing", "placing", 1}}},
		{"a lost answer, found", order.Create, []fact{{"accepted", "open", 0}, {"placing", "placing", 1}, {"uncertain", "uncertain", 1}, {"uncertain", "uncertain", 1}, {"placed", "placed", 1}}},
		{"a lost answer, not there", order.Create, []fact{{"placing", "placing", 1}, {"uncertain", "uncertain", 1}, {"placing", "placing", 2}}},
		{"not sent, then throttled", order.Create, []fact{{"placing", "placing", 1}, {"placing", "placing", 2}, {"accepted", "open", 2}, {"placing", "placing", 3}}},
		{"cancelled in flight", order.Create, []fact{{"placing", "placing", 1}, {"cancelling", "placing", 1}, {"cancelling", "uncertain", 1}, {"cancelling", "placed", 1}, {"failed", "failed", 1}}},
		{"a notice after the end", order.Create, []fact{{"placed", "placed", 1}, {"completed", "completed", 1}, {"orphaned", "completed", 1}, {"orphaned", "completed", 1}}},
		{"a notice on the way", order.Create, []fact{{"placing", "placing", 1}, {"orphaned", "placing", 1}, {"placed", "placed", 1}}},
		{"invalid at once", order.Create, []fact{{"invalid", "", 0}}},
		{"gone already", order.Delete, []fact{{"accepted", "open", 0}, {"completed", "completed", 0}}},
		{"too early", order.Delete, []fact{{"placing", "placing", 1}, {"accepted", "open", 1}, {"placing", "placing", 2}, {"placed", "placed", 2}, {"failed", "failed", 2}}},
		{"a change asked again after one look", order.Change, []fact{{"uncertain", "uncertain", 1}, {"placing", "placing", 2}, {"placed", "placed", 2}, {"completed", "completed", 2}}},
	} {
		var before *patchbayv1.Order
		for i, f := range tt.life {
			after := of(tt.kind, f.fact, f.state, f.attempt)
			if by := before.GetCancelledBy(); by != "" {
				after.CancelledBy = by
			}
			begins := i > 0 || order.Orders(tt.kind).Allows("", f.fact)
			if err := order.Check(before, after); begins && err != nil {
				t.Errorf("%s: step %d: %v", tt.reason, i, err)
			}
			before = after
		}
	}
}

func cancelledOrphan() *patchbayv1.Order {
	o := of(order.Create, "orphaned", "open", 1)
	o.CancelledBy = "o-2"
	return o
}

func TestCheckFinds(t *testing.T) {
	placed := of(order.Create, "placed", "placed", 1)
	for _, tt := range []struct {
		reason string
		before *patchbayv1.Order
		fact   string
		spoil  func(o *patchbayv1.Order)
		want   string
	}{
		{"a beginning in the middle", nil, "placed", nil, "not a step"},
		{"life after the end", of(order.Create, "completed", "completed", 1), "placed", nil, "not a step"},
		{"life after end and notice", of(order.Create, "orphaned", "completed", 1), "placed", nil, "nothing but an end"},
		{"placed after a cancel, by way of a notice", cancelledOrphan(), "placing", func(o *patchbayv1.Order) {
			o.Legs[0].State, o.Legs[0].Attempt.Number = "placing", 2
		}, "once it is cancelled"},
		{"another kind of thing", placed, "placed", func(o *patchbayv1.Order) { o.Kind = "wish" }, "no kind"},
		{"another id", placed, "placed", func(o *patchbayv1.Order) { o.Id = "o-3" }, "id changed"},
		{"another payload", placed, "placed", func(o *patchbayv1.Order) { o.PayloadDigest = "x" }, "payload digest changed"},
		{"another account", placed, "placed", func(o *patchbayv1.Order) { o.Account = "x" }, "account changed"},
		{"another beginning", placed, "placed", func(o *patchbayv1.Order) { o.AcceptedAt = timestamppb.Now() }, "accepted_at changed"},
		{"a forgotten orphan", placed, "placed", func(o *patchbayv1.Order) { o.Orphans = nil }, "orphan c-9 is forgotten"},
		{"a forgotten leg", placed, "accepted", func(o *patchbayv1.Order) { o.Legs = nil }, "leg primary is forgotten"},
		{"a leg too many", placed, "placed", func(o *patchbayv1.Order) {
			o.Legs = append(o.Legs, &patchbayv1.OrderLeg{Leg: "secondary", State: "open"})
		}, "leg secondary came later"},
		{"a leg twice", placed, "placed", func(o *patchbayv1.Order) { o.Legs = append(o.Legs, o.Legs[0]) }, "stands there twice"},
		{"another circuit", placed, "placed", func(o *patchbayv1.Order) { o.Legs[0].ExchangeId = "x-2" }, "exchange's id changed"},
		{"another connection", placed, "placed", func(o *patchbayv1.Order) { o.Legs[0].ConnectionId = "c-2" }, "connection id changed"},
		{"bought twice", placed, "placing", func(o *patchbayv1.Order) {
			o.Legs[0].State, o.Legs[0].Attempt.Number = "placing", 2
		}, "not a step of a create's leg"},
		{"an attempt too many", of(order.Create, "placing", "placing", 1), "placing",
			func(o *patchbayv1.Order) { o.Legs[0].State, o.Legs[0].Attempt.Number = "placing", 3 }, "attempt 3 follows attempt 1"},
		{"an attempt not counted", of(order.Create, "accepted", "open", 1), "placing",
			func(o *patchbayv1.Order) { o.Legs[0].State = "placing" }, "without a new attempt"},
		{"an attempt without a call", placed, "placed", func(o *patchbayv1.Order) { o.Legs[0].Attempt.Number = 2 }, "begins without placing"},
		{"a forgotten look", placed, "placed", func(o *patchbayv1.Order) { o.Legs[0].Attempt.Looks = 1 }, "1 looks after 2"},
		{"placed nowhere", of(order.Create, "placing", "placing", 1), "placed",
			func(o *patchbayv1.Order) { o.Legs[0].ExchangeId = "" }, "id is not known"},
		{"placed without a leg placed", of(order.Create, "placing", "placing", 1), "placed",
			func(o *patchbayv1.Order) { o.Legs[0].State = "placing" }, "no leg is placed"},
		{"placing without a leg", of(order.Create, "accepted", "open", 1), "placing",
			func(o *patchbayv1.Order) { o.Legs[0].State = "open" }, "no leg is placing"},
		{"completed without its leg", placed, "completed", nil, "a leg is not completed"},
		{"failed without its leg", placed, "failed", nil, "a leg has not ended"},
		{"cancelled by nobody", of(order.Create, "accepted", "open", 0), "cancelling",
			func(o *patchbayv1.Order) { o.CancelledBy = "" }, "nobody is named"},
		{"invalid without a rule", nil, "invalid", func(o *patchbayv1.Order) { o.Violations = nil }, "no violation is named"},
		{"a notice of nothing", placed, "orphaned", func(o *patchbayv1.Order) { o.Orphans = nil }, "no orphan is named"},
	} {
		after := of(order.Create, tt.fact, "placed", 1)
		if tt.before != nil {
			after = proto.CloneOf(tt.before)
			after.Fact = tt.fact
			if tt.fact == "placed" {
				after.Legs[0].State = "placed"
			}
		}
		if tt.spoil != nil {
			tt.spoil(after)
		}
		if err := order.Check(tt.before, after); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Check = %v, want %q", tt.reason, err, tt.want)
		}
	}
}

func TestOver(t *testing.T) {
	for _, tt := range []struct {
		fact, state string
		want        bool
	}{
		{"completed", "completed", true}, {"failed", "failed", true}, {"invalid", "", true},
		{"placed", "completed", false}, {"accepted", "", false},
		{"orphaned", "completed", true}, {"orphaned", "placed", false}, {"orphaned", "", false},
	} {
		if got := order.Over(of(order.Create, tt.fact, tt.state, 1)); got != tt.want {
			t.Errorf("an order that is %s with its leg %s is over: %v, want %v", tt.fact, tt.state, got, tt.want)
		}
	}
}

// However an order with one leg walks through the charts, it spends an attempt only on
// placing, and once it has a circuit it never asks for another.
func TestWalksBuyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var before *patchbayv1.Order
		bought := false
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			fact := rapid.SampledFrom(order.Facts()).Draw(t, "fact")
			state := rapid.SampledFrom(order.LegStates()).Draw(t, "state")
			attempt := rapid.Int32Range(0, 3).Draw(t, "attempt")
			after := of(order.Create, fact, state, attempt)
			if order.Check(before, after) != nil {
				continue
			}
			if bought && state == order.Placing {
				t.Fatalf("%v follows %v, want nothing bought after placed", after, before)
			}
			bought = bought || state == order.Placed
			before = after
		}
	})
}
