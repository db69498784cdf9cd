package requester_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/exchangetest"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/secret"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/testenv"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
	"patchbay.io/services/requester"
)

// FuzzCheck asks what anybody on the server may ask: what an intent would meet. Whatever it
// is, it is answered, with each violation readable and no secret shown; and nothing is
// ordered.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		``, `null`, `[]`, `{}`, `{"kind":"create"}`, `{"kind":"create","data":null}`, `{"kind":7,"data":{}}`, `{"kind":"approve","data":{}}`,
		`{"kind":"create","data":` + single("one", 100) + `}`, `{"kind":"create","data":` + pair("two", 7) + `,"source":"test","id":"taken"}`,
		`{"kind":"create","data":` + spending("three", 100, "a-token-of-mine") + `,"source":"test","id":"\u0000"}`,
		`{"kind":"create","data":` + requests("four", 9, true) + `,"source":"te\nst","id":"free"}`,
		`{"kind":"change","data":{"target":{"source":"test","id":"taken"},"set":{"bandwidthMbps":-1}},"source":"test","id":"2"}`,
		`{"kind":"change","data":{"target":{"orderId":"*"},"set":{"tag":{"vlan":4096}}}}`,
		`{"kind":"delete","data":{"target":{"connectionId":"no.such>"}}}`, `{"kind":"delete","data":{"target":{"source":"a","id":"b"}}}`,
	} {
		f.Add([]byte(s))
	}
	fake := &exchangetest.Fake{Checked: exchange.Checked{Flow: "approval", Notes: []string{"goes to SV"}}}
	j := testenv.Journal(f)
	ctx, cancel := context.WithCancel(context.Background())
	var work errgroup.Group
	work.Go(func() error {
		return requester.Run(ctx, service.Runtime{
			Journal: j, Key: secret.NewKey([32]byte{1}), Log: zerolog.Nop(), Keys: new(memory),
			Accounts: account.File{Accounts: []account.Account{{
				Name: "acme", API: account.ECX, Role: account.Buyer, Attempt: account.DefaultAttempt, Quiet: account.DefaultQuiet,
			}}},
			Clients: map[string]exchange.Client{"acme": fake},
		}, requester.Limits{})
	})
	f.Cleanup(func() {
		cancel()
		if err := work.Wait(); err != nil {
			f.Errorf("Run = %v, want nil after a stop", err)
		}
	})
	for { // until it serves
		if served, err := j.Served(f.Context(), "check"); err != nil {
			f.Fatal(err)
		} else if served {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		got, err := j.Ask(ctx, "check", body)
		if ctx.Err() != nil {
			t.Errorf("%q is not answered: %v", body, err)
		}
		if n := fake.Calls("Place"); n != 0 {
			t.Errorf("%q places %d orders", body, n)
		}
		var q struct {
			Kind string
			Data json.RawMessage
		}
		if err != nil || json.Unmarshal(body, &q) != nil {
			return
		}
		var a struct{ Violations []json.RawMessage }
		if err := json.Unmarshal(got, &a); err != nil {
			t.Fatalf("%q is answered with %q: %v", body, got, err)
		}
		for _, text := range a.Violations {
			v := new(patchbayv1.Violation)
			if err := event.Unmarshal(text, v); err != nil || v.GetRule() == "" {
				t.Errorf("violation %q of %q: no rule, or %v", text, body, err)
			}
		}
		m, _ := intent.Decode(event.Intent, q.Kind, q.Data)
		in, _ := m.(*patchbayv1.CreateIntent)
		for _, leg := range []*patchbayv1.Leg{in.GetPrimary(), in.GetSecondary()} {
			for _, e := range []*patchbayv1.Endpoint{leg.GetASide(), leg.GetZSide()} {
				for _, s := range []string{e.GetServiceToken(), e.GetAuthorizationKey()} {
					if len(s) > 8 && bytes.Count(body, []byte(s)) == 1 && bytes.Contains(got, []byte(s)) {
						t.Errorf("%q is answered with %q, which shows the secret %q", body, got, s)
					}
				}
			}
		}
	})
}
