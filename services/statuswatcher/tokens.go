package statuswatcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Service tokens are listed as rarely as circuits are swept over whole, since that costs
// calls by what exists, and at once when a circuit that redeemed one is placed, seen or
// has ended. Of several accounts that have the same token the one that told of it first
// goes on; a token that a list leaves out is as it was.

// tokenNote is what the journal says of a token, with its last record.
type tokenNote struct {
	token    *patchbayv1.Token
	fact     journal.Record
	archived bool
	version  uint64
}

func (x *index) noteToken(id string, r journal.Record) (ok bool) {
	if r.Archived() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.away[id] = true
		delete(x.tokens, id)
		return true
	}
	var t patchbayv1.Token
	if r.Into(&t) != nil {
		return false
	}
	r.Event.DataEncoded = nil // what is needed of it is kept beside
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.away[id] {
		return true
	}
	x.version++
	n := x.tokens[id]
	n.version = x.version
	if r.Seq > n.fact.Seq {
		n.fact, n.token = r, &t
	}
	x.tokens[id] = n
	return true
}

func (x *index) token(id string) tokenNote {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.tokens[id]
	n.archived = x.away[id]
	return n
}

// redeemed has the tokens of all accounts at an exchange listed soon.
func (w *Watcher) redeemed(ex string) {
	for _, a := range w.watches {
		if exchangeOf(a.account.API) != ex {
			continue
		}
		select {
		case a.redeem <- struct{}{}:
		default: // it is coming already
		}
	}
}

// listingTokens lists the account's tokens until ctx ends, unless another watcher polls the
// account; hints it follows in any case. After a hint they are listed
// twice, as the exchange may show late what has become of one.
func (a *watch) listingTokens(ctx context.Context, issuer exchange.Tokens) {
	doubts := map[string]string{}
	var wait time.Duration
	var again, open bool
	for {
		timer := time.After(max(wait, a.awayFor()))
		select {
		case <-ctx.Done():
			return
		case <-a.redeem:
			again = true
			if !pause(ctx, max(firstWait, a.awayFor())) {
				return
			}
		case <-timer:
			if !again && !open && !a.polls() {
				wait = jittered(a.pace.Moving)
				continue
			}
			again = false
		}
		var err error
		open, err = a.listTokens(ctx, issuer, doubts)
		switch {
		case err != nil:
			a.mind(err)
			a.rt.Log.Debug().Err(err).Str("account", a.account.Name).Msg("tokens not read")
			wait = jittered(a.pace.Quiet)
		case again, open:
			wait = jittered(a.pace.Moving)
		default:
			wait = jittered(a.pace.Full)
		}
	}
}

// listTokens takes in the account's tokens. It reports whether one has to be shown once
// more: what goes backward is kept in doubts until then.
func (a *watch) listTokens(ctx context.Context, issuer exchange.Tokens, doubts map[string]string) (open bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	ctx, span := a.tracer().Start(ctx, "tokens", trace.WithNewRoot(),
		trace.WithAttributes(attribute.String("patchbay.account", a.account.Name)))
	defer span.End()
	if err := a.sync(ctx); err != nil {
		return false, err
	}
	before := a.index.now()
	var shown []*patchbayv1.Token
	err = issuer.Tokens(ctx, func(t exchange.Token) error {
		shown = append(shown, a.tokenOf(t))
		return nil
	})
	a.meters.looked(ctx, a.account.Name, "tokens", err)
	if err != nil {
		return false, fmt.Errorf("list tokens of %s: %w", a.account.Name, err)
	}
	for _, t := range shown {
		again, err := a.takeToken(ctx, t, before, doubts)
		if err != nil {
			return false, err
		}
		open = open || again
	}
	return open, nil
}

// tokenOf is a token as facts have it: known by its HMAC.
func (a *watch) tokenOf(t exchange.Token) *patchbayv1.Token {
	f := &patchbayv1.Token{
		Id: a.rt.Key.Token(t.UUID), Account: a.account.Name, State: t.State, Native: t.Native,
		ObservedBy: "sweep", ObservedAt: timestamppb.New(a.rt.Journal.Now()),
	}
	if f.State == "" {
		f.State = "UNKNOWN"
	}
	if t.ConnectionID != "" {
		f.ConnectionId = event.ConnectionID(exchangeOf(a.account.API), t.ConnectionID)
	}
	if !t.ExpiresAt.IsZero() {
		f.ExpiresAt = timestamppb.New(t.ExpiresAt)
	}
	return f
}

// takeToken writes down what is new of a token. Who was overtaken has it shown again.
func (a *watch) takeToken(ctx context.Context, t *patchbayv1.Token, before uint64, doubts map[string]string) (again bool, err error) {
	n := a.index.token(t.GetId())
	if n.version > before {
		return true, nil
	}
	if n.archived || n.token != nil && !a.tells(n.token) || sameToken(n.token, t) {
		delete(doubts, t.GetId())
		return false, nil
	}
	if goesBack(n.token, t) && doubts[t.GetId()] != t.GetState() {
		doubts[t.GetId()] = t.GetState()
		return true, nil
	}
	delete(doubts, t.GetId())
	t.From = n.token.GetState()
	r, err := a.rt.Journal.Append(ctx, n.fact, event.Fact{
		Entity: event.Entity{Noun: event.Token, ID: t.GetId()}, Name: token(t.GetState()), Data: t, By: name,
		Exchange: exchangeOf(a.account.API), Origin: originOf(n.fact),
	})
	if errors.Is(err, journal.ErrLost) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("token %s: %w", t.GetId(), err)
	}
	a.index.note(r)
	return false, nil
}

// originOf is the trace of what was told before; none for the first.
func originOf(r journal.Record) event.Origin {
	if r.None() {
		return event.Origin{}
	}
	return event.OriginOf(r.Event)
}

// tells reports whether this account tells of a token that was told of before.
func (a *watch) tells(t *patchbayv1.Token) bool {
	_, there := a.rt.Accounts.ByName(t.GetAccount())
	return t.GetAccount() == a.account.Name || !there
}

// sameToken reports whether there is nothing new about a token.
func sameToken(known, t *patchbayv1.Token) bool {
	return known != nil && known.GetState() == t.GetState() && known.GetNative() == t.GetNative() &&
		(t.GetConnectionId() == "" || known.GetConnectionId() == t.GetConnectionId())
}

// goesBack reports whether a token is shown in an earlier state of its life than it was
// in, which has to be shown twice. An unknown word may stand anywhere.
func goesBack(known, t *patchbayv1.Token) bool {
	lives := []string{"INACTIVE", "ACTIVE", "EXPIRED", "DELETED"}
	was, is := slices.Index(lives, known.GetState()), slices.Index(lives, t.GetState())
	return is >= 0 && is < was
}
