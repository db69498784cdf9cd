package order

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// looksBeforeRetry is how many looks have to find nothing before a leg whose answer was
// lost is bought again.
const looksBeforeRetry = 2

// Check reports what is wrong with after as the fact that follows before in the life of
// one order: a step that the charts do not have, an attempt that is not counted, an id
// that changed, a fact that its own legs contradict. The first fact of an order follows nil.
func Check(before, after *patchbayv1.Order) error {
	kind := Kind(after.GetKind())
	if !slices.Contains(Kinds(), kind) {
		return fmt.Errorf("order %s: no kind %q", after.GetId(), kind)
	}
	errs := []error{
		checkFact(kind, before, after),
		kept(before, after),
		checkLegs(kind, before, after),
		coherent(after),
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("order %s, %q to %q: %w", after.GetId(), before.GetFact(), after.GetFact(), err)
	}
	return nil
}

func checkFact(kind Kind, before, after *patchbayv1.Order) error {
	if before.GetFact() == Orphaned && Over(before) && after.GetFact() != Orphaned && !Ended(after.GetFact()) {
		return errors.New("every leg has ended, so nothing but an end or a notice may follow")
	}
	if before.GetCancelledBy() != "" && after.GetFact() == Placing {
		return errors.New("nothing is placed once it is cancelled")
	}
	if !Orders(kind).Allows(before.GetFact(), after.GetFact()) {
		return fmt.Errorf("not a step of a %s", kind)
	}
	return nil
}

// kept reports what must stay as it was and did not.
func kept(before, after *patchbayv1.Order) error {
	if before == nil {
		return nil
	}
	var errs []error
	for _, x := range []struct{ name, was, now string }{
		{"id", before.GetId(), after.GetId()},
		{"kind", before.GetKind(), after.GetKind()},
		{"source", before.GetSource(), after.GetSource()},
		{"intent id", before.GetIntentId(), after.GetIntentId()},
		{"payload digest", before.GetPayloadDigest(), after.GetPayloadDigest()},
		{"intent sequence", fmt.Sprint(before.GetIntentSequence()), fmt.Sprint(after.GetIntentSequence())},
	} {
		if x.was != x.now {
			errs = append(errs, fmt.Errorf("%s changed from %q to %q", x.name, x.was, x.now))
		}
	}
	if !proto.Equal(before.GetAcceptedAt(), after.GetAcceptedAt()) {
		errs = append(errs, errors.New("accepted_at changed"))
	}
	for _, orphan := range before.GetOrphans() {
		if !slices.Contains(after.GetOrphans(), orphan) {
			errs = append(errs, fmt.Errorf("orphan %s is forgotten", orphan))
		}
	}
	return errors.Join(append(errs,
		setOnce("account", before.GetAccount(), after.GetAccount()),
		setOnce("exchange", before.GetExchange(), after.GetExchange()),
		setOnce("api", before.GetApi(), after.GetApi()),
		setOnce("cancelled_by", before.GetCancelledBy(), after.GetCancelledBy()),
	)...)
}

// setOnce reports a value that was known and is another now.
func setOnce(name, was, now string) error {
	if was != "" && was != now {
		return fmt.Errorf("%s changed from %q to %q", name, was, now)
	}
	return nil
}

func checkLegs(kind Kind, before, after *patchbayv1.Order) error {
	var errs []error
	seen := map[string]bool{}
	for _, now := range after.GetLegs() {
		was := legOf(before, now.GetLeg())
		if was == nil && len(before.GetLegs()) > 0 {
			errs = append(errs, fmt.Errorf("leg %s came later", now.GetLeg()))
		}
		if seen[now.GetLeg()] {
			errs = append(errs, fmt.Errorf("leg %s stands there twice", now.GetLeg()))
		}
		seen[now.GetLeg()] = true
		if err := checkLeg(kind, was, now); err != nil {
			errs = append(errs, fmt.Errorf("leg %s, %q to %q: %w", now.GetLeg(), was.GetState(), now.GetState(), err))
		}
	}
	for _, was := range before.GetLegs() {
		if !seen[was.GetLeg()] {
			errs = append(errs, fmt.Errorf("leg %s is forgotten", was.GetLeg()))
		}
	}
	return errors.Join(errs...)
}

func legOf(o *patchbayv1.Order, leg string) *patchbayv1.OrderLeg {
	for _, l := range o.GetLegs() {
		if l.GetLeg() == leg {
			return l
		}
	}
	return nil
}

func checkLeg(kind Kind, was, now *patchbayv1.OrderLeg) error {
	stays := was.GetState() == now.GetState()
	if !stays && !allowsLeg(kind, was, now) {
		return fmt.Errorf("not a step of a %s's leg", kind)
	}
	return errors.Join(
		checkAttempt(kind, was, now),
		setOnce("connection id", was.GetConnectionId(), now.GetConnectionId()),
		setOnce("exchange's id", was.GetExchangeId(), now.GetExchangeId()),
		placedIsKnown(kind, now),
	)
}

// allowsLeg reports whether a leg may take the step. The first that is seen of it may be
// one step further than the beginning, as when an order fails as soon as it is accepted.
func allowsLeg(kind Kind, was, now *patchbayv1.OrderLeg) bool {
	chart := Legs(kind)
	if was == nil && chart.Allows(Open, now.GetState()) {
		return true
	}
	return chart.Allows(was.GetState(), now.GetState())
}

// checkAttempt checks that attempts are counted, each with a call of its own.
func checkAttempt(kind Kind, was, now *patchbayv1.OrderLeg) error {
	before, after := was.GetAttempt().GetNumber(), now.GetAttempt().GetNumber()
	switch {
	case after < before || after > before+1:
		return fmt.Errorf("attempt %d follows attempt %d", after, before)
	case after == before && was.GetState() != Placing && now.GetState() == Placing:
		return fmt.Errorf("placing without a new attempt: still %d", after)
	case after > before && now.GetState() != Placing:
		return fmt.Errorf("attempt %d begins without placing", after)
	case after == before && now.GetAttempt().GetLooks() < was.GetAttempt().GetLooks():
		return fmt.Errorf("%d looks after %d", now.GetAttempt().GetLooks(), was.GetAttempt().GetLooks())
	case kind == Create && after > before && was.GetState() == Uncertain &&
		was.GetAttempt().GetLooks() < looksBeforeRetry:
		return fmt.Errorf("bought again after %d looks, want %d", was.GetAttempt().GetLooks(), looksBeforeRetry)
	}
	return nil
}

func placedIsKnown(kind Kind, now *patchbayv1.OrderLeg) error {
	if kind == Create && (now.GetState() == Placed || now.GetState() == Completed) && now.GetExchangeId() == "" {
		return errors.New("the exchange's id is not known")
	}
	return nil
}

// coherent reports where a fact says other than its legs.
func coherent(o *patchbayv1.Order) error {
	has := func(states ...string) bool {
		return slices.ContainsFunc(o.GetLegs(), func(l *patchbayv1.OrderLeg) bool {
			return slices.Contains(states, l.GetState())
		})
	}
	switch o.GetFact() {
	case Invalid:
		if len(o.GetViolations()) == 0 {
			return errors.New("no violation is named")
		}
	case Placing, Uncertain:
		if !has(o.GetFact()) {
			return fmt.Errorf("no leg is %s", o.GetFact())
		}
	case Placed:
		if !has(Placed, Completed) {
			return errors.New("no leg is placed")
		}
	case Cancelling:
		if o.GetCancelledBy() == "" {
			return errors.New("nobody is named who cancels it")
		}
	case Orphaned:
		if len(o.GetOrphans()) == 0 {
			return errors.New("no orphan is named")
		}
	case Failed:
		if o.GetFailure().GetReason() == "" || has(Open, Placing, Uncertain, Placed) {
			return errors.New("no reason is named, or a leg has not ended")
		}
	case Completed:
		if has(Open, Placing, Uncertain, Placed, Failed) {
			return errors.New("a leg is not completed")
		}
	}
	return nil
}
