package service_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/service"
	"patchbay.io/pkg/testenv"
)

// Every instance shows on its health page, and says once, that an account is paused, by whom
// and why: the one that was asked, the others, and those that start later.
func TestPauseIsShown(t *testing.T) {
	j := testenv.Journal(t)
	run := func() (check func() error, said *testenv.Log, rt *service.Runtime) {
		said = &testenv.Log{}
		rt = &service.Runtime{Name: "requester", Journal: j, Log: zerolog.New(said), Accounts: account.File{
			Accounts: []account.Account{{Name: "acme", API: account.ECX}, {Name: "other", API: account.ECX}},
		}}
		rt.CheckAccounts(func(name string, c func() error) {
			if name == "account acme" {
				check = c
			}
		})
		ctx, cancel := context.WithCancel(context.Background())
		var work errgroup.Group
		work.Go(func() error { return rt.Answer(ctx) })
		t.Cleanup(func() {
			cancel()
			if err := work.Wait(); err != nil {
				t.Errorf("Answer = %v", err)
			}
		})
		return check, said, rt
	}
	shown := func(check func() error, words ...string) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			err := check()
			fits := (err == nil) == (len(words) == 0)
			for _, w := range words {
				fits = fits && err != nil && strings.Contains(err.Error(), w)
			}
			if fits {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the health page says %v, want %q", err, words)
			}
			time.Sleep(5 * time.Millisecond) // until the fact has come
		}
	}
	first, saidFirst, rt := run()
	second, saidSecond, _ := run()
	shown(first)
	var now json.RawMessage
	say := func(fact, reason string) {
		ask(t, rt, service.VerbPause, service.PauseRequest{Account: "acme", Fact: fact, By: "ada", Reason: reason}, &now)
	}
	say(service.Paused, "the API moves")
	say(service.Paused, "the API moves on")
	shown(first, "paused by ada: the API moves on", "since 2")
	shown(second, "paused by ada: the API moves on")
	third, saidThird, _ := run()
	shown(third, "paused by ada: the API moves on")
	say(service.Resumed, "")
	for _, check := range []func() error{first, second, third} {
		shown(check)
	}
	fourth, saidFourth, _ := run()
	say(service.Paused, "again")
	shown(fourth, "paused by ada: again")
	for _, tt := range []struct {
		who             string
		said            *testenv.Log
		paused, resumed int
	}{
		{"who was there", saidFirst, 2, 1}, {"the other", saidSecond, 2, 1},
		{"who came while it was paused", saidThird, 2, 1}, {"who came after", saidFourth, 1, 0},
	} {
		deadline := time.Now().Add(20 * time.Second)
		for tt.said.Count("is paused") < tt.paused && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
		}
		if p, r := tt.said.Count("is paused"), tt.said.Count("is resumed"); p != tt.paused || r != tt.resumed {
			t.Errorf("%s said %d times that it is paused and %d times that it is resumed; want %d and %d", tt.who, p, r, tt.paused, tt.resumed)
		}
	}
}
