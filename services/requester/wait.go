package requester

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Times of waiting.
const (
	// checkAgain is the pause after an exchange could not be asked to check an intent.
	checkAgain = 30 * time.Second
	// reasonAgain is how often an order may say anew why its exchange could not be asked.
	reasonAgain = 10 * time.Minute
	// lookAgain is the longest pause between two looks for what is uncertain.
	lookAgain = 5 * time.Minute
	// inUseAgain is the longest pause between two attempts of which the exchange says that
	// the tag or token is in use.
	inUseAgain = time.Hour
	// turnAgain is when an order asks again for its turn, if nobody says that it has come.
	turnAgain = 30 * time.Second
	// backstop is when an order that waits for others looks around by itself. Nothing
	// depends on it; it bounds the harm of what nobody thought of.
	backstop = time.Hour
)

// lookalikeTurn is what an order waits for while a request that looks like its own is on
// its way.
const lookalikeTurn = "its turn after a request that looks alike"

// checkOfIntent is what an order waits for whose exchange could not be asked yet.
const checkOfIntent = "the exchange, to check the intent"

// waitsForTurn reports whether o's last fact says that it waits for its turn.
func waitsForTurn(o *patchbayv1.Order) bool {
	return o.GetWait().GetWhat() == lookalikeTurn && has(o, order.Open) && !has(o, order.Placing, order.Uncertain) &&
		o.GetCancelledBy() == ""
}

// accountPaused is what an order waits for whose account an operator has paused.
const accountPaused = "its account to be resumed"

// waitsForAccount reports whether o's last fact says that it waits for its account.
func waitsForAccount(o *patchbayv1.Order) bool {
	return o.GetWait().GetWhat() == accountPaused && has(o, order.Open, order.Uncertain) && !has(o, order.Placing) &&
		o.GetCancelledBy() == ""
}

// whilePaused says in a fact, once, that the order waits for its account, and waits.
func whilePaused(s *state, now time.Time) *step {
	p := s.paused
	advice := service.PauseWords(p) + "; patchbay accounts resume " + p.GetAccount()
	if waitsForAccount(s.order) && s.order.GetWait().GetAdvice() == advice {
		return &step{do: doWait, until: now.Add(s.ease(now, lookAgain))}
	}
	next := s.next("", "")
	sum(next)
	next.Wait = &patchbayv1.Wait{What: accountPaused, On: "operator", Advice: advice}
	return &step{do: doAppend, next: next}
}

// describe says in a fact what its order waits for. A pause before another
// attempt is kept, and so is why the exchange could not be asked; since is when the order
// began to wait for this.
func describe(o, before *patchbayv1.Order, now time.Time) {
	if o.GetOutcome() != "" {
		o.Wait = nil
		return
	}
	w := waitOf(o)
	waitsForCheck := w.GetWhat() == checkOfIntent && o.GetWait().GetWhat() == checkOfIntent
	if waitsForTurn(o) || waitsForAccount(o) || waitsForCheck {
		w = proto.CloneOf(o.GetWait())
	}
	w.Since = timestamppb.New(now)
	if was := before.GetWait(); was.GetWhat() == w.GetWhat() && was.GetOn() == w.GetOn() && was.GetSince() != nil {
		w.Since = was.GetSince()
	}
	for _, l := range inState(o, order.Open) {
		if l.GetAttempt() != nil {
			w.Until = o.GetWait().GetUntil()
		}
	}
	o.Wait = w
}

// waitOf is what an order in this state waits for, and on whom.
func waitOf(o *patchbayv1.Order) *patchbayv1.Wait {
	at := "exchange " + o.GetAccount()
	both := "the other company, then " + at
	if nobodyAgrees(o) {
		both = at
	}
	for _, l := range inState(o, order.Uncertain) {
		if w := waitOfUncertain(l, at); w.GetAdvice() != "" {
			return w
		}
	}
	switch {
	case has(o, order.Placing):
		return whileCancelled(o, &patchbayv1.Wait{What: "the exchange's answer", On: at})
	case has(o, order.Uncertain):
		return whileCancelled(o, waitOfUncertain(inState(o, order.Uncertain)[0], at))
	case has(o, order.Open) && !o.GetChecked():
		return &patchbayv1.Wait{What: checkOfIntent, On: at}
	case has(o, order.Open):
		return waitOfOpen(inState(o, order.Open)[0], at)
	case o.GetCancelledBy() != "" && has(o, order.Placed):
		return &patchbayv1.Wait{What: "the end of what was placed", On: "order " + o.GetCancelledBy(),
			Advice: "that order cancels this one; until a circuit is DEPROVISIONED it bills"}
	case o.GetKind() == exchange.Delete && has(o, order.Placed):
		w := &patchbayv1.Wait{What: "the end of the circuit", On: both}
		if both != at {
			w.Advice = "where the seller has to agree, the circuit bills until then"
		}
		return w
	case o.GetKind() == exchange.Change && has(o, order.Placed):
		return &patchbayv1.Wait{What: "the change", On: both}
	case has(o, order.Placed):
		return &patchbayv1.Wait{What: "the circuit to be provisioned", On: both}
	case o.GetTargetOrderId() != "":
		return &patchbayv1.Wait{What: "the order that is its target", On: "order " + o.GetTargetOrderId()}
	default:
		return &patchbayv1.Wait{What: "its turn", On: "requester"}
	}
}

// nobodyAgrees reports whether the circuits of o are of a flow that has no other company to
// consent, between own ports or by token, or of an exchange that asks nobody about what o
// wants: PacketFabric asks about new circuits only.
func nobodyAgrees(o *patchbayv1.Order) bool {
	return slices.Contains([]string{string(status.OwnFlow), "token"}, o.GetFlow()) ||
		o.GetKind() != exchange.Create && o.GetApi() == string(status.PacketFabric)
}

// whileCancelled adds to w what it is waited for, if the order is cancelled.
func whileCancelled(o *patchbayv1.Order, w *patchbayv1.Wait) *patchbayv1.Wait {
	if by := o.GetCancelledBy(); by != "" {
		w.Advice = "order " + by + " cancels this one: nothing more is placed, and what is found is deleted"
	}
	return w
}

func waitOfOpen(l *patchbayv1.OrderLeg, at string) *patchbayv1.Wait {
	if answer := l.GetAttempt().GetAnswer(); answer != "" {
		return &patchbayv1.Wait{What: "another attempt after: " + answer, On: at}
	}
	return &patchbayv1.Wait{What: "its turn", On: "requester"}
}

func waitOfUncertain(l *patchbayv1.OrderLeg, at string) *patchbayv1.Wait {
	w := &patchbayv1.Wait{What: "certainty whether the exchange carried it out", On: at}
	a := l.GetAttempt()
	switch {
	case len(a.GetCandidates()) > 0:
		w.What, w.On = "a person", "operator"
		w.Advice = "these circuits may be the " + l.GetLeg() + ": " + strings.Join(a.GetCandidates(), ", ") +
			"; look at the exchange which one it is, and delete the others there"
	case l.GetFailure().GetReason() == refused && a.GetNumber() > 1:
		w.Advice = "the exchange says that the tag or token is in use (" + l.GetFailure().GetCode() +
			"); look there who has it: if that is this order's circuit under another name, give it the name " +
			strconv.Quote(l.GetName()) + " back; else end it there, or delete this order"
	}
	return w
}
