package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/view"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// FuzzQuestions asks what anybody on the server may ask. Whatever it is, it is answered: with
// an error, or with what was asked for. A pause that is answered is one of the account that
// was named; one that is not changes nothing.
func FuzzQuestions(f *testing.F) {
	for _, s := range []string{
		``, `null`, `[]`, `{}`, `{"noun":"order"}`, `{"noun":"order","open":true,"limit":-1,"after":18446744073709551615}`,
		`{"noun":"connection","status":"*","provider":"\u0000","account":"\n","order":" "}`, `{"noun":"no.such>"}`, `{"find":"crm i-1"}`,
		`{"find":"\u001f"}`, `{"account":"acme","fact":"paused","by":"ada","reason":"the API moves"}`, `{"account":"acme","fact":"resumed","by":"\ud800"}`,
		`{"account":"acme","fact":"deleted","by":"ada"}`, `{"account":"nobody\r\nPatchbay-Error: x","fact":"paused","by":"ada"}`,
	} {
		f.Add(true, []byte(s))
		f.Add(false, []byte(s))
	}
	rt, _ := start(f, account.Account{Name: "acme", API: account.ECX})
	_, err := rt.Journal.Append(f.Context(), journal.Record{}, event.Fact{
		Entity: event.Entity{Noun: event.Order, ID: "o-1"}, Name: "accepted", By: "requester", Order: "o-1",
		Data: &patchbayv1.Order{Id: "o-1", Fact: "accepted", Account: "acme", Source: "crm", IntentId: "i-1"},
	})
	if err != nil {
		f.Fatal(err)
	}
	ask(f, rt, service.VerbRebuild, nil, new(view.Report))
	paused := func(t *testing.T) (by, reason string) {
		err := rt.Free(t.Context(), "acme")
		var p service.AccountPaused
		if err != nil && !errors.As(err, &p) {
			t.Fatal(err)
		}
		return p.Pause.GetBy(), p.Pause.GetReason()
	}
	f.Fuzz(func(t *testing.T, pause bool, body []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		verb, a := service.VerbList, service.ListAnswer{}
		if pause {
			verb = service.VerbPause
		}
		wasBy, wasReason := paused(t)
		got, err := rt.Journal.Ask(ctx, verb, body)
		switch by, reason := paused(t); {
		case ctx.Err() != nil:
			t.Errorf("%s %q is not answered: %v", verb, body, err)
		case (err != nil || !pause) && (by != wasBy || reason != wasReason):
			t.Errorf("%s %q, answered with %q and %v, makes of a pause by %q for %q one by %q for %q", verb, body, got, err, wasBy, wasReason, by, reason)
		case err != nil:
		case pause:
			p, q := new(patchbayv1.AccountPause), service.PauseRequest{}
			if err := errors.Join(json.Unmarshal(body, &q), event.Unmarshal(got, p)); err != nil {
				t.Fatalf("pause %q = %q: %v", body, got, err)
			}
			if q.Account != "acme" || p.GetFact() == service.Paused && (by != p.GetBy() || reason != q.Reason) || q.Fact != service.Paused && by != "" {
				t.Errorf("pause %q = %q, and then it is by %q for %q", body, got, by, reason)
			}
		default:
			if err := json.Unmarshal(got, &a); err != nil || a.Away != "" && a.Snapshots != nil {
				t.Errorf("list %q = %q: %v", body, got, err)
			}
		}
	})
}
