package story

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/order"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// describe fills in what a fact says. Data that cannot be read leaves the bare fact.
func (t *teller) describe(s *Step, before, now *telling) {
	r := now.record
	s.What = strings.Split(r.Subject, ".")[2]
	if r.Archived() {
		a := new(patchbayv1.Archived)
		if r.Into(a) == nil {
			now.archived = a
			s.say("before this, in an archive: %s", facts(a.GetFacts()))
		}
		return
	}
	switch s.Noun {
	case event.Order:
		o := new(patchbayv1.Order)
		if r.Into(o) == nil {
			now.order = o
			t.describeOrder(s, before.order, now)
		}
	case event.Connection:
		step := new(patchbayv1.Transition)
		if r.Into(step) == nil {
			now.step = step
			t.describeStep(s, now)
		}
	case event.Approval:
		a := new(patchbayv1.Approval)
		if r.Into(a) == nil {
			now.asked, now.who = a, t.nameOf(s.Noun, a.GetConnectionId(), a.GetConnection().GetLeg())
			describeApproval(s, a)
		}
	case event.Landing:
		l := new(patchbayv1.Landing)
		if r.Into(l) == nil {
			now.landed, now.who = l, t.nameOf(s.Noun, l.GetConnectionId(), "")
			describeLanding(s, l)
		}
	default:
		t.describeRest(s, now)
	}
}

func facts(n int32) string {
	if n == 1 {
		return "1 fact"
	}
	return fmt.Sprintf("%d facts", n)
}

// Archived is where something stands that was archived: how it ended.
func Archived(a *patchbayv1.Archived) string { return a.GetOutcome() + " (archived)" }

func (s *Step) say(format string, args ...any) {
	s.Details = append(s.Details, fmt.Sprintf(format, args...))
}

func (t *teller) describeOrder(s *Step, before *patchbayv1.Order, now *telling) {
	o := now.order
	now.who = "order"
	if o.GetId() != t.about.ID {
		now.who = fmt.Sprintf("order %s (%s)", Short(o.GetId()), o.GetKind())
	}
	if s.What == "accepted" && before == nil {
		s.say("%s for account %s", o.GetKind(), o.GetAccount())
	}
	for _, v := range o.GetViolations() {
		s.say("%s", intent.Line(v))
	}
	for _, l := range o.GetLegs() {
		describeLeg(s, legOf(before, l.GetLeg()), l, len(o.GetLegs()) > 1)
	}
	if f := o.GetFailure(); f != nil {
		s.say("%s", Failure(f))
	}
	for _, id := range o.GetOrphans() {
		if !slices.Contains(before.GetOrphans(), id) {
			s.say("circuit %s belongs to no leg: a person should look at it", id)
		}
	}
	if o.GetCancelledBy() != "" && before.GetCancelledBy() == "" {
		s.say("cancelled by order %s", o.GetCancelledBy())
	}
}

func legOf(o *patchbayv1.Order, name string) *patchbayv1.OrderLeg {
	for _, l := range o.GetLegs() {
		if l.GetLeg() == name {
			return l
		}
	}
	return nil
}

// describeLeg says what is new of a leg.
func describeLeg(s *Step, was, l *patchbayv1.OrderLeg, named bool) {
	say := func(format string, args ...any) {
		if named {
			format = l.GetLeg() + ": " + format
		}
		s.say(format, args...)
	}
	a, b := was.GetAttempt(), l.GetAttempt()
	if l.GetState() == "placing" && a.GetNumber() != b.GetNumber() {
		say("attempt %d, within %s", b.GetNumber(), Span(b.GetWithin().AsDuration()))
	}
	if b.GetAnswer() != "" && (a.GetAnswer() != b.GetAnswer() || a.GetNumber() != b.GetNumber()) {
		say("the answer to attempt %d: %s", b.GetNumber(), b.GetAnswer())
	}
	if b.GetLooks() > a.GetLooks() {
		say("looked %d times at the exchange and did not find it", b.GetLooks())
	}
	if len(b.GetCandidates()) > 0 && len(a.GetCandidates()) == 0 {
		say("it may be one of %s", strings.Join(b.GetCandidates(), ", "))
	}
	if l.GetExchangeId() != "" && was.GetExchangeId() == "" {
		say("circuit %s", l.GetExchangeId())
	}
	if f := l.GetFailure(); f != nil && was.GetFailure() == nil && named {
		say("%s", Failure(f))
	}
}

// Failure is why something failed, on one line.
func Failure(f *patchbayv1.Failure) string {
	text := f.GetReason()
	if f.GetMessage() != "" {
		text += ": " + f.GetMessage()
	}
	if said := order.Said(f.GetCode(), f.GetExchangeMessage()); said != "" {
		text += " " + said
	}
	if f.GetProperty() != "" {
		text += ", about its field " + f.GetProperty()
	}
	if f.GetHolder() != "" && !strings.Contains(text, f.GetHolder()) {
		text += ", held by " + f.GetHolder()
	}
	return text
}

func (t *teller) describeStep(s *Step, now *telling) {
	step := now.step
	c, to := step.GetConnection(), step.GetTo()
	now.who = t.nameOf(event.Connection, c.GetId(), c.GetLeg())
	s.What = state(to.GetStatus(), to.GetProviderStatus())
	s.By += " (" + step.GetObservedBy() + ")"
	for _, m := range []struct {
		set  bool
		word string
	}{
		{step.GetFirst(), "first"}, {step.GetInferred(), "inferred"},
		{step.GetSkipped(), "skipped"}, {step.GetUnexpected(), "unexpected"},
	} {
		if m.set {
			s.Marks = append(s.Marks, m.word)
		}
	}
	if Unmoved(step) || step.GetUnexpected() || strings.Contains(s.What, "UNKNOWN") {
		s.say("the exchange's words: %s", Words(to.GetNative()))
	}
	if step.GetFirst() {
		s.say("%s at %s", strings.TrimSpace(c.GetName()+" "+c.GetExchangeId()), c.GetExchange())
	}
	if d := Duty(to); d.What != "" {
		s.say("%s", d.Line())
	}
	if c.GetRejectComment() != "" && to.GetStatus() == "REJECTED" {
		s.say("the seller says: %s", c.GetRejectComment())
	}
	if step.GetExchangeTime() != nil {
		if lag := s.At.Sub(step.GetExchangeTime().AsTime()); lag.Seconds() > 60 {
			s.say("at the exchange %s earlier", Span(lag))
		}
	}
}

// Unmoved reports whether a transition leaves status and providerStatus as they were, so that
// only the exchange's words tell what happened.
func Unmoved(step *patchbayv1.Transition) bool {
	from, to := step.GetFrom(), step.GetTo()
	return !step.GetFirst() && to.GetStatus() == from.GetStatus() && to.GetProviderStatus() == from.GetProviderStatus()
}

// Words are the exchange's own words for a state, on one line.
func Words(n *patchbayv1.Native) string {
	var all []string
	for _, w := range []string{n.GetStatus(), n.GetProviderStatus(), n.GetState(), n.GetChange()} {
		if w != "" {
			all = append(all, w)
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

func describeApproval(s *Step, a *patchbayv1.Approval) {
	switch a.GetFact() {
	case "requested":
		s.say("of a %s; account %s is asked", a.GetKind(), a.GetAccount())
		if a.GetWait() != nil && a.GetRule() != "" {
			s.say("rule %q asks a person", a.GetRule())
		}
		if a.GetDeadline() != nil {
			s.say("until %s, then %s", a.GetDeadline().AsTime().UTC().Format("2006-01-02 15:04:05Z"), a.GetOnExpiry())
		}
	case "reminded":
		s.say("reminder %d", a.GetReminders())
	default:
		if a.GetBy() != "" {
			s.say("%s by %s", a.GetKind(), a.GetBy())
		}
	}
	if a.GetReason() != "" {
		s.say("%s", a.GetReason())
	}
}

func describeLanding(s *Step, l *patchbayv1.Landing) {
	if l.GetPortId() != "" {
		s.say("%s on port %s, %s", l.GetKind(), l.GetPortId(), Tag(l.GetTag()))
	}
	if len(l.GetTaken()) > 0 && l.GetFact() == "reserved" {
		s.say("found taken: %s", strings.Join(l.GetTaken(), ", "))
	}
	if l.GetFailure() != nil {
		s.say("%s", Failure(l.GetFailure()))
	}
}

// Tag is a tag for people.
func Tag(t *patchbayv1.Tag) string {
	switch {
	case t == nil || t.GetUntagged():
		return "untagged"
	case t.Vlan != nil:
		return fmt.Sprintf("VLAN %d", t.GetVlan())
	case t.CTag != nil:
		return fmt.Sprintf("S-tag %d, C-tag %d", t.GetSTag(), t.GetCTag())
	default:
		return fmt.Sprintf("S-tag %d", t.GetSTag())
	}
}

// describeRest is about the nouns that only add to a story.
func (t *teller) describeRest(s *Step, now *telling) {
	r := now.record
	switch s.Noun {
	case event.Hold:
		h := new(patchbayv1.Hold)
		if r.Into(h) == nil {
			s.say("%s %s", h.GetKind(), h.GetKey())
		}
	case event.Change:
		c := new(patchbayv1.Change)
		if r.Into(c) == nil {
			now.who = t.nameOf(s.Noun, c.GetConnectionId(), c.GetConnection().GetLeg())
			s.What, now.change = c.GetStatus(), c
			s.differences(c.GetDifferences())
		}
	case event.Refusal:
		f := new(patchbayv1.Refusal)
		if r.Into(f) == nil {
			s.say("%s", f.GetMessage())
			s.differences(f.GetDifferences())
		}
	case event.Sighting:
		g := new(patchbayv1.Sighting)
		if r.Into(g) == nil {
			now.who = t.nameOf(s.Noun, g.GetConnectionId(), g.GetConnection().GetLeg())
			s.say("account %s is the %s", g.GetAccount(), g.GetRole())
		}
	default:
	}
}

func (s *Step) differences(all []*patchbayv1.Difference) {
	for _, d := range all {
		s.say("%s", Difference(d))
	}
}

// Difference is a difference on one line.
func Difference(d *patchbayv1.Difference) string {
	return fmt.Sprintf("%s: %s → %s", d.GetField(), value(d.GetWas()), value(d.GetNow()))
}

// value shows JSON text; a string loses its quotes.
func value(text string) string {
	var s string
	if text == "" {
		return "absent"
	}
	if json.Unmarshal([]byte(text), &s) == nil {
		return s
	}
	return text
}
