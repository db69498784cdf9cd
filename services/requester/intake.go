package requester

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/secret"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

const (
	// checkTime is how long intake waits for the exchange; after that the driver asks.
	checkTime = 2 * time.Second
	// tries is how often a change or delete is read before its target counts as unknown: a
	// create that was sent right before it may not be an order yet.
	tries = 5
	// look is the longest time until it is read again while that create stands in INTENTS.
	look = 10 * time.Second
)

var errNotYet = errors.New("the target is not known yet")

// asked is an intent as it came, before it is an order.
type asked struct {
	rec     journal.Record
	kind    string
	orderID string
	// message is what could be read, redacted what facts may show of it; nil if nothing.
	message, redacted proto.Message
	violations        []*patchbayv1.Violation
	digest            string
	origin            event.Origin
}

// Intent turns one message of INTENTS into an order. The append that expects no fact
// before it is the claim: of all who try it for one source and id, one wins.
func (r *Requester) Intent(ctx context.Context, rec journal.Record) error {
	a, err := r.readIntent(ctx, rec)
	if err != nil {
		return journal.Permanent(err)
	}
	if r.recall(ctx, a.orderID) {
		if known, err := r.again(ctx, a); known || err != nil {
			return err
		}
	}
	leave, err := r.admit(ctx, a)
	if err != nil {
		if known, again := r.again(ctx, a); known || again != nil {
			return again
		}
		return err
	}
	if err = r.promise(ctx, a); err != nil {
		leave()
	}
	if errors.Is(err, journal.ErrLost) {
		_, err = r.again(ctx, a)
	}
	return err
}

// promise makes an order of an intent. It returns [journal.ErrLost] if there is one already.
func (r *Requester) promise(ctx context.Context, a *asked) error {
	o, err := r.draft(ctx, a)
	if err != nil {
		return err
	}
	_, err = r.rt.Journal.Append(ctx, journal.Record{}, event.Fact{
		Entity: orderEntity(a.orderID), Name: o.GetFact(), Data: o, By: name, Cause: a.rec.Event.ID(),
		Order: a.orderID, Exchange: o.GetExchange(), Origin: a.origin,
	})
	if err == nil {
		r.remember(ctx, a)
	}
	return err
}

// readIntent reads the message. Any error is one that no retry cures.
func (r *Requester) readIntent(ctx context.Context, rec journal.Record) (*asked, error) {
	e := rec.Event
	noun, kind, ok := event.IntentKind(e.Type())
	switch {
	case !ok || noun != event.Intent:
		return nil, fmt.Errorf("type %q is not one of an intent", e.Type())
	case rec.Subject != event.IntentSubject(noun, kind):
		return nil, fmt.Errorf("type %q does not belong on subject %s", e.Type(), rec.Subject)
	case strings.ContainsAny(e.Source()+e.ID(), "\n\r\x00"):
		return nil, errors.New("source or id has a control character")
	}
	a := &asked{rec: rec, kind: kind, orderID: event.OrderID(e.Source(), e.ID()), origin: origin(ctx, rec)}
	r.readData(a, e.Data())
	return a, nil
}

// readData reads what an intent says.
func (r *Requester) readData(a *asked, data []byte) {
	a.message, a.violations = intent.Read(event.Intent, a.kind, data)
	if a.message != nil {
		a.redacted = intent.Redact(a.message, r.rt.Key)
	}
	if _, form := intent.Decode(event.Intent, a.kind, data); len(form) == 0 {
		a.digest = intent.Digest(a.redacted)
	} else {
		// What is no message of ours may have a secret anywhere, so its digest is one under
		// the deployment's key.
		a.digest = intent.RawDigest([]byte(r.rt.Key.HMAC(secret.Secret(data))))
	}
}

var traceParent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// origin is the trace that upstream began, or else the one in which we read the intent.
func origin(ctx context.Context, rec journal.Record) event.Origin {
	o := event.OriginOf(rec.Event)
	if traceParent.MatchString(o.TraceParent) && !strings.Contains(o.TraceParent, strings.Repeat("0", 32)) {
		return o
	}
	return journal.OriginOf(ctx)
}

// draft is the first fact of the order: accepted, or invalid with everything that is wrong.
func (r *Requester) draft(ctx context.Context, a *asked) (*patchbayv1.Order, error) {
	now := timestamppb.New(r.rt.Journal.Now())
	o := &patchbayv1.Order{
		Id: a.orderID, Kind: a.kind, Source: a.rec.Event.Source(), IntentId: a.rec.Event.ID(),
		IntentSequence: a.rec.Seq, PayloadDigest: a.digest, AcceptedAt: now, At: now,
	}
	violations, err := r.examine(ctx, o, a)
	if err != nil {
		return nil, err
	}
	unknown := a.kind != exchange.Create && len(a.violations) == 0 && len(violations) > 0 && o.GetAccount() == ""
	if unknown {
		if err := r.overtaken(ctx, a); err != nil {
			return nil, err
		}
	}
	o.Fact = order.Accepted
	if o.Violations = violations; len(violations) > 0 {
		o.Fact, o.Outcome, o.Legs, o.AcceptedAt = order.Invalid, order.Invalid, nil, nil
	}
	describe(o, nil, now.AsTime())
	return o, nil
}

// overtaken asks to wait if the target of a change or delete may still become known: for
// some seconds in any case, and for as long as its create stands in INTENTS, where it may be
// held for hours. To refuse the delete of what is bought afterwards would be worst.
func (r *Requester) overtaken(ctx context.Context, a *asked) error {
	if a.rec.Delivered < tries {
		return journal.Later(500*time.Millisecond, errNotYet)
	}
	var target *patchbayv1.Target
	switch m := a.message.(type) {
	case *patchbayv1.ChangeIntent:
		target = m.GetTarget()
	case *patchbayv1.DeleteIntent:
		target = m.GetTarget()
	}
	id := targetOrder(target)
	if id == "" {
		return nil
	}
	waits, err := r.onItsWay(ctx, id)
	if err == nil && waits {
		err = journal.Later(min(time.Duration(a.rec.Delivered)*time.Second/tries, look), errNotYet)
	}
	return err
}

// examine puts the intent into the order and returns all that is wrong with it.
func (r *Requester) examine(ctx context.Context, o *patchbayv1.Order, a *asked) ([]*patchbayv1.Violation, error) {
	switch m := a.redacted.(type) {
	case *patchbayv1.CreateIntent:
		o.Create = m
		in, _ := a.message.(*patchbayv1.CreateIntent)
		checked, err := r.examineCreate(ctx, o, in)
		if len(a.violations) > 0 || errors.As(err, new(unaskedError)) {
			err = nil // it is wrong enough to be answered without the exchange, or is asked later
		}
		return merge(a.violations, checked.Violations), err
	case *patchbayv1.ChangeIntent:
		o.Change, o.Checked = m, true
		if len(a.violations) > 0 {
			return a.violations, nil
		}
		violations, err := r.aim(ctx, o, m.GetTarget())
		return append(violations, intent.CheckFor(account.API(o.GetApi()), m)...), err
	case *patchbayv1.DeleteIntent:
		o.Delete, o.Checked = m, true
		if len(a.violations) > 0 {
			return a.violations, nil
		}
		return r.aim(ctx, o, m.GetTarget())
	default:
		return a.violations, nil
	}
}

// unaskedError reports an exchange that could not be asked about an intent. The order is made
// all the same, and the driver asks again before the first attempt.
type unaskedError struct{ error }

func (e unaskedError) Unwrap() error { return e.error }

// examineCreate finds the account and holds the intent against what its exchange knows, if
// the exchange answers in time; if not, the error is an [unaskedError].
func (r *Requester) examineCreate(ctx context.Context, o *patchbayv1.Order, in *patchbayv1.CreateIntent) (exchange.Checked, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	acc, violations, err := r.buyer(ctx, in)
	if err != nil {
		return exchange.Checked{}, journal.Later(5*time.Second, err)
	}
	if len(violations) > 0 {
		return exchange.Checked{Violations: violations}, nil
	}
	o.Account, o.Exchange, o.Api = acc.Name, exchangeOf(acc.API), string(acc.API)
	c, err := r.client(o)
	if err != nil {
		return exchange.Checked{}, err
	}
	full := intent.Expand(in)
	o.Legs = append(o.Legs, &patchbayv1.OrderLeg{Leg: exchange.Primary, State: order.Open, Name: full.GetName()})
	if full.GetSecondary() != nil {
		o.Legs = append(o.Legs, &patchbayv1.OrderLeg{Leg: exchange.Secondary, State: order.Open, Name: full.GetSecondary().GetName()})
	}
	local := intent.CheckFor(acc.API, in)
	checked, err := r.ask(ctx, acc.Name, c, full)
	if err != nil {
		r.rt.Log.Info().Err(err).Str("order", o.GetId()).Msg("check is left for later")
		return exchange.Checked{Violations: local}, unaskedError{err}
	}
	checked.Violations = merge(local, checked.Violations)
	if left, err := r.heldMeanwhile(ctx, o, checked.Violations); left || err != nil {
		return exchange.Checked{Notes: checked.Notes}, err
	}
	o.Checked, o.Flow = true, checked.Flow
	return checked, nil
}

// ask holds the intent against what the exchange knows, unless enough others wait for that.
func (r *Requester) ask(ctx context.Context, acc string, c exchange.Client, in *patchbayv1.CreateIntent) (exchange.Checked, error) {
	leave, err := r.lanes.Enter(ctx, acc+" "+checkLane)
	if err != nil {
		return exchange.Checked{}, err
	}
	defer leave()
	return c.Check(ctx, in)
}

// heldMeanwhile reports whether all that is wrong is that another order has the tag or token,
// which the exchange may have told in words of its own. Such an intent is sound: it came too
// late, and its order says to whom it lost.
func (r *Requester) heldMeanwhile(ctx context.Context, o *patchbayv1.Order, violations []*patchbayv1.Violation) (bool, error) {
	if len(violations) == 0 || o.GetId() == "" {
		return false, nil
	}
	fields, err := r.spoken(ctx, o)
	return err == nil && explained(violations, fields), err
}

// merge adds the exchange's violations of fields that have none yet.
func merge(own, more []*patchbayv1.Violation) []*patchbayv1.Violation {
	known := map[string]bool{}
	for _, v := range own {
		known[v.GetField()] = true
	}
	for _, v := range more {
		if !known[v.GetField()] {
			own = append(own, v)
		}
	}
	return own
}

// again handles an intent whose order exists: a repeat is done, another payload is
// refused. It reports whether there is such an order.
func (r *Requester) again(ctx context.Context, a *asked) (bool, error) {
	o, rec, err := r.lastOrder(ctx, a.orderID)
	if err != nil || o == nil {
		return false, err
	}
	if o.GetPayloadDigest() != a.digest {
		if err := r.refuse(ctx, a, o, rec); err != nil {
			return true, err
		}
	}
	if a.rec.Seq != o.GetIntentSequence() || o.GetOutcome() != "" {
		return true, r.rt.Journal.DropIntent(ctx, a.rec.Seq) // its secrets are of no use
	}
	return true, nil
}

// refuse says that the source and id are another intent's. Saying the same twice is not
// worth a fact.
func (r *Requester) refuse(ctx context.Context, a *asked, o *patchbayv1.Order, order journal.Record) error {
	entity := event.Entity{Noun: event.Refusal, ID: a.orderID}
	last, err := r.rt.Journal.Last(ctx, entity)
	if err != nil {
		return err
	}
	next := conflict(o, a)
	next.Source, next.IntentId = a.rec.Event.Source(), a.rec.Event.ID()
	said := new(patchbayv1.Refusal)
	if !last.None() && last.Into(said) == nil && last.Event.Type() == "io.patchbay.refusal.conflicting.v1" {
		said.At = nil
		if proto.Equal(said, next) {
			return nil
		}
	}
	next.At = timestamppb.New(r.rt.Journal.Now())
	_, err = r.rt.Journal.Append(ctx, last, event.Fact{
		Entity: entity, Name: next.GetFact(), Data: next, By: name, Cause: a.rec.Event.ID(),
		Order: a.orderID, Exchange: o.GetExchange(), Origin: event.OriginOf(order.Event),
	})
	return err
}

// conflict says that the source and id of an intent are those of an order with other data.
func conflict(o *patchbayv1.Order, a *asked) *patchbayv1.Refusal {
	return &patchbayv1.Refusal{
		Fact: "conflicting", OrderId: a.orderID,
		Message: fmt.Sprintf("source and id belong to the order of another payload (%.12s, this is %.12s); "+
			"send a new intent under a new id", o.GetPayloadDigest(), a.digest),
		Differences: differences(o, a),
	}
}

// differences are the fields in which an intent differs from the order under its identity.
func differences(o *patchbayv1.Order, a *asked) []*patchbayv1.Difference {
	if o.GetKind() != a.kind {
		return []*patchbayv1.Difference{{Field: "type", Was: event.IntentType(event.Intent, o.GetKind()), Now: event.IntentType(event.Intent, a.kind)}}
	}
	var all []*patchbayv1.Difference
	if o.GetFact() != event.Archived { // then its payload is not here
		all = intent.Differences(payload(o), a.redacted)
	}
	if len(all) == 0 { // or they differ only in what cannot be read
		all = []*patchbayv1.Difference{{Field: "", Was: o.GetPayloadDigest(), Now: a.digest}}
	}
	return all
}

// payload is the intent that an order holds, nil if it could not be read.
func payload(o *patchbayv1.Order) proto.Message {
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

// recall reports whether an order is remembered. Not remembering costs work, no more.
func (r *Requester) recall(ctx context.Context, orderID string) bool {
	if r.rt.Keys == nil {
		return false
	}
	_, known, err := r.rt.Keys.Recall(ctx, orderID)
	return err == nil && known
}

func (r *Requester) remember(ctx context.Context, a *asked) {
	if r.rt.Keys == nil {
		return
	}
	if err := r.rt.Keys.Remember(ctx, a.orderID, a.digest); err != nil {
		r.rt.Log.Debug().Err(err).Str("order", a.orderID).Msg("key not remembered")
	}
}
