package client

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"patchbay.io/cmd/story"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/order"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// standstills are the accounts for which something in the facts waits that is no matter of
// its own: they are paused, or a service cannot reach their exchange. An order says so of its
// own account once it has come to its call; what is to be rejected or landed does not.
func standstills(ctx context.Context, j *journal.Journal, facts []journal.Record) ([]story.Wait, error) {
	accounts := concerned(facts)
	if len(accounts) == 0 {
		return nil, nil
	}
	var all []story.Wait
	for _, name := range accounts {
		p, err := pauseOf(ctx, j, name)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		at := p.GetAt().AsTime()
		all = append(all, story.Wait{Who: "account " + name, What: "somebody to resume it", On: "operator", Since: &at,
			Advice: service.PauseWords(p) + "; patchbay accounts resume " + name})
	}
	far, err := away(ctx, j)
	for _, a := range far {
		if slices.Contains(accounts, a.Account) {
			all = append(all, story.Wait{Who: a.Service, What: "the exchange to be in reach", On: "exchange " + a.Account,
				Advice: a.Away + "; calls are held back and it is tried again each few seconds"})
		}
	}
	return slices.CompactFunc(all, func(a, b story.Wait) bool { return a.Who == b.Who && a.On == b.On }), err
}

// away asks every service which accounts' exchanges it cannot reach.
func away(ctx context.Context, j *journal.Journal) (all []service.AccountState, err error) {
	err = j.AskEach(ctx, service.VerbAccounts, func(answer []byte) error {
		var some []service.AccountState
		err := json.Unmarshal(answer, &some)
		all = append(all, slices.DeleteFunc(some, func(a service.AccountState) bool { return a.Away == "" })...)
		return err
	})
	return all, err
}

// concerned are the accounts of what has not come to its end: orders, and circuits that
// somebody has to decide about.
func concerned(facts []journal.Record) []string {
	of := map[event.Entity][]string{}
	slices.SortFunc(facts, func(a, b journal.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, r := range facts {
		switch e := r.Entity(); e.Noun {
		case event.Order:
			o := new(patchbayv1.Order)
			if of[e] = nil; r.Into(o) == nil && !order.Over(o) {
				of[e] = []string{o.GetAccount()}
			}
		case event.Connection:
			t := new(patchbayv1.Transition)
			if of[e] = nil; r.Into(t) == nil && status.Status(t.GetConnection().GetStatus()).Waits() {
				of[e] = []string{t.GetConnection().GetSellerAccount(), t.GetConnection().GetBuyerAccount()}
			}
		default: // the rest waits with its circuit
		}
	}
	var all []string
	for _, names := range of {
		all = append(all, names...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(name string) bool { return name == "" })
}

// unsaid are those waits that are not told of already.
func unsaid(told, more []story.Wait) []story.Wait {
	return slices.DeleteFunc(more, func(w story.Wait) bool {
		return slices.ContainsFunc(told, func(t story.Wait) bool { return strings.HasSuffix(t.Advice, w.Advice) })
	})
}

// printStandstills says on a line each what stands still.
func printStandstills(out screen, all []story.Wait) {
	for _, w := range all {
		fmt.Fprintf(out, "%s %s\n", w.Who, w.Line())
	}
}
