package service_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/testenv"
	"patchbay.io/pkg/view"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// start runs a runtime that answers for accounts, on servers of the test's own.
func start(t testing.TB, accounts ...account.Account) (*service.Runtime, testenv.Redis) {
	t.Helper()
	redis := testenv.StartRedis(t)
	v, err := view.Open(view.Config{URL: redis.URL})
	if err != nil {
		t.Fatal(err)
	}
	rt := &service.Runtime{Journal: testenv.Journal(t), View: v, Accounts: account.File{Accounts: accounts}}
	ctx, cancel := context.WithCancel(t.Context())
	var work errgroup.Group
	work.Go(func() error { return rt.Answer(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := work.Wait(); err != nil {
			t.Errorf("Answer = %v, want nil when told to stop", err)
		}
		v.Close()
	})
	return rt, redis
}

func ask(t testing.TB, rt *service.Runtime, verb string, question, answer any) {
	t.Helper()
	body, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		got, err := rt.Journal.Ask(ctx, verb, body)
		if err == nil {
			if err := json.Unmarshal(got, answer); err != nil {
				t.Fatal(err)
			}
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("ask %s: %v", verb, err)
		}
		time.Sleep(10 * time.Millisecond) // until Answer has subscribed
	}
}

// listed asks for a list until the view answers: Redis that is slow is away for a moment.
func listed(t *testing.T, rt *service.Runtime, q service.ListRequest) (list service.ListAnswer) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		list = service.ListAnswer{}
		ask(t, rt, service.VerbList, q, &list)
		if list.Away == "" || time.Now().After(deadline) {
			return list
		}
	}
}

func TestAnswer(t *testing.T) {
	rt, redis := start(t)
	for _, id := range []string{"order-one", "order-two"} {
		_, err := rt.Journal.Append(t.Context(), journal.Record{}, event.Fact{
			Entity: event.Entity{Noun: event.Order, ID: id}, Name: "accepted", By: "requester", Order: id,
			Data: &patchbayv1.Order{Id: id, Fact: "accepted", Account: "acme", Source: "crm", IntentId: "i-" + id},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var list service.ListAnswer
	ask(t, rt, service.VerbList, service.ListRequest{Noun: event.Order}, &list)
	if list.Away == "" {
		t.Errorf("before there is a view the list is %+v, want it to be away", list)
	}
	var report view.Report
	ask(t, rt, service.VerbRebuild, nil, &report)
	if report.Entities != 2 || report.Facts != 2 {
		t.Errorf("rebuild = %+v, want two entities of two facts", report)
	}
	list = listed(t, rt, service.ListRequest{Noun: event.Order, Account: "acme", Limit: 1})
	if len(list.Snapshots) != 1 || list.Snapshots[0].ID != "order-two" || list.Next != list.Snapshots[0].Seq {
		t.Fatalf("first page = %+v, want order-two and where to go on", list)
	}
	next := list.Next
	list = listed(t, rt, service.ListRequest{Noun: event.Order, Account: "acme", Limit: 1, After: next})
	if len(list.Snapshots) != 1 || list.Snapshots[0].ID != "order-one" {
		t.Errorf("second page = %+v, want order-one", list)
	}
	list = listed(t, rt, service.ListRequest{Find: "crm i-order-one"})
	if len(list.Entities) != 1 || list.Entities[0].ID != "order-one" {
		t.Errorf("find by source and id = %+v, want order-one", list)
	}
	if !redis.Stop() {
		return
	}
	list = service.ListAnswer{}
	ask(t, rt, service.VerbList, service.ListRequest{Noun: event.Order}, &list)
	if list.Away == "" {
		t.Errorf("without Redis the list is %+v, want it to be away", list)
	}
}
