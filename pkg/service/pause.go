package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// Facts of an account that an operator has paused: nothing that creates or decides is sent
// to its exchange before it is resumed. Looks go on, since they commit to nothing, and since
// what is uncertain is resolved by them alone.
const (
	Paused  = "paused"
	Resumed = "resumed"
)

// AccountPaused is the error of what waits for an account to be resumed.
type AccountPaused struct{ Pause *patchbayv1.AccountPause }

func (p AccountPaused) Error() string {
	return "account " + p.Pause.GetAccount() + " is " + PauseWords(p.Pause)
}

// PauseWords says who paused an account, and why: "paused by ada: reason".
func PauseWords(p *patchbayv1.AccountPause) string {
	words := p.GetFact() + " by " + p.GetBy()
	if p.GetReason() != "" {
		words += ": " + p.GetReason()
	}
	return words
}

// Free returns [AccountPaused] if an account is paused now, as the journal's leader has it.
// Who is about to create or decide something at an exchange asks right before.
func (rt *Runtime) Free(ctx context.Context, account string) error {
	p, _, err := rt.pause(ctx, account)
	if err == nil && p.GetFact() == Paused {
		return AccountPaused{p}
	}
	return err
}

// nobodys is the id of a circuit that no exchange has. Asking for it shows whether the
// exchange answers.
const nobodys = "00000000-0000-4000-8000-000000000000"

// lookTime is what a try gets to find out whether an exchange can be reached again.
const lookTime = 10 * time.Second

// Reach returns [exchange.Throttled] if an account's exchange cannot be reached, as far as
// this process knows; once in a while it looks. Who is about to write down that he calls an
// exchange asks before, since an attempt that cannot arrive is worth no fact.
func (rt *Runtime) Reach(ctx context.Context, account string) error {
	b := rt.breakers[account]
	if b == nil {
		return nil
	}
	return b.Reach(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, lookTime)
		defer cancel()
		_, err := rt.Clients[account].Get(ctx, nobodys)
		return err
	})
}

// away says why an account's exchange cannot be reached; nil if it can.
func (rt *Runtime) away(account string) error {
	if b := rt.breakers[account]; b != nil {
		return b.Away()
	}
	return nil
}

// CheckAccounts has check put on the health page which accounts' exchanges are out of reach,
// and which accounts are paused.
func (rt *Runtime) CheckAccounts(check func(name string, check func() error)) {
	known := rt.known()
	for _, a := range rt.Accounts.Accounts {
		check("account "+a.Name, func() error {
			return errors.Join(known.standing(a.Name), rt.away(a.Name))
		})
	}
}

// pause reads the last fact about an account; nil if it never was paused.
func (rt *Runtime) pause(ctx context.Context, account string) (*patchbayv1.AccountPause, journal.Record, error) {
	r, err := rt.Journal.Last(ctx, event.Entity{Noun: event.Account, ID: event.AccountID(account)})
	if err != nil || r.None() {
		return nil, r, err
	}
	p := new(patchbayv1.AccountPause)
	if err := r.Into(p); err != nil {
		return nil, r, journal.Permanent(fmt.Errorf("account %s: %w", account, err))
	}
	return p, r, nil
}

// PauseRequest asks, by [VerbPause], to pause an account or to resume it.
type PauseRequest struct {
	Account string `json:"account"`
	// Fact is what is to be the case: [Paused] or [Resumed].
	Fact   string `json:"fact"`
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
}

// setPause writes down what was asked for, unless it is so already, and answers with what is
// the case then.
func (rt *Runtime) setPause(ctx context.Context, request []byte) ([]byte, error) {
	var q PauseRequest
	if err := json.Unmarshal(request, &q); err != nil {
		return nil, fmt.Errorf("read the question: %w", err)
	}
	if _, ok := rt.Accounts.ByName(q.Account); !ok {
		var names []string
		for _, a := range rt.Accounts.Accounts {
			names = append(names, a.Name)
		}
		return nil, fmt.Errorf("there is no account %q; the accounts file has %s", q.Account, strings.Join(names, ", "))
	}
	if q.Fact != Paused && q.Fact != Resumed || q.By == "" {
		return nil, fmt.Errorf("fact must be %s or %s, and by say who asks", Paused, Resumed)
	}
	for {
		p, last, err := rt.pause(ctx, q.Account)
		if err != nil {
			return nil, err
		}
		if p.GetFact() == q.Fact && (q.Fact == Resumed || p.GetReason() == q.Reason) || p == nil && q.Fact == Resumed {
			return event.Marshal(p)
		}
		id := event.AccountID(q.Account)
		p = &patchbayv1.AccountPause{
			Id: id, Fact: q.Fact, Account: q.Account, By: q.By, Reason: q.Reason,
			At: timestamppb.New(rt.Journal.Now()),
		}
		_, err = rt.Journal.Append(ctx, last, event.Fact{
			Entity: event.Entity{Noun: event.Account, ID: id}, Name: q.Fact, Data: p, By: rt.Name,
			Origin: journal.OriginOf(ctx),
		})
		if err == nil {
			return event.Marshal(p)
		}
		if !errors.Is(err, journal.ErrLost) {
			return nil, err
		}
	}
}

// AccountState is how an account stands, as one instance says by [VerbAccounts].
type AccountState struct {
	Account string `json:"account"`
	API     string `json:"api"`
	Role    string `json:"role"`
	// Paused says who paused the account and why, since when; empty if nobody has.
	Paused string     `json:"paused,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
	// Service is the instance's, and Away says why it cannot reach the account's exchange;
	// empty if it can, as far as it knows.
	Service string `json:"service"`
	Away    string `json:"away,omitempty"`
}

// accounts answers how each account stands.
func (rt *Runtime) accounts(ctx context.Context, _ []byte) ([]byte, error) {
	all := []AccountState{}
	for _, a := range rt.Accounts.Accounts {
		s := AccountState{Account: a.Name, API: string(a.API), Role: string(a.Role), Service: rt.Name}
		p, _, err := rt.pause(ctx, a.Name)
		if err != nil {
			return nil, err
		}
		if err := rt.away(a.Name); err != nil {
			s.Away = err.Error()
		}
		if p.GetFact() == Paused {
			at := p.GetAt().AsTime()
			s.Paused, s.Since = PauseWords(p), &at
		}
		all = append(all, s)
	}
	return json.Marshal(all)
}
