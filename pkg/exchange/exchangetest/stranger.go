package exchangetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/status"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// A Stranger is an exchange that answers with anything at all.
type Stranger struct {
	// Login is the path of logins, and Granted what they are answered with.
	Login, Granted string
	Intent         *patchbayv1.CreateIntent // to order
	Secret         string                   // of the intent, that nobody may be told; empty is none
	// Open makes a client of the account at cfg.BaseURL.
	Open func(dial func(context.Context, string, string) (net.Conn, error)) (exchange.Client, error)
}

// strangeID is a circuit that the stranger is asked about.
const strangeID = "1902767c-2e77-41de-a7cb-bc9db91651a2"

// Ask makes every call there is of a client of s, and checks what holds whatever it is
// answered: it ends in time, an outcome is of a known class and has what the class promises,
// a circuit has an id and words of ours, ids are in their one spelling, and the intent's secret is not told. The answers are the parts of
// script between lines "--", over and over; a part may begin with its HTTP status.
func (s Stranger) Ask(t *testing.T, script string) {
	t.Helper()
	c, err := s.Open(Serve(t, s.handler(strings.Split(script, "\n--\n"))))
	if err != nil {
		t.Fatal(err)
	}
	if open, ok := c.(interface{ Close() }); ok {
		defer open.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	q := questioning{t, s, script}
	q.order(ctx, c)
	q.land(ctx, c)
	q.observe(ctx, c)
	q.offers(ctx, c)
	if ctx.Err() != nil {
		t.Errorf("%q: the calls took more than 30s", script)
	}
}

func (s Stranger) handler(parts []string) http.Handler {
	var mu sync.Mutex
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a broken request is as good as a whole one
		if r.URL.Path == s.Login {
			_, _ = io.WriteString(w, s.Granted) // the client may be gone
			return
		}
		mu.Lock()
		part := parts[n%len(parts)]
		n++
		mu.Unlock()
		first, rest, _ := strings.Cut(part, " ")
		if code, err := strconv.Atoi(first); err == nil && code >= 200 && code <= 999 {
			w.WriteHeader(code)
			part = rest
		}
		_, _ = io.WriteString(w, part) // the client may be gone, and some statuses have no body
	})
}

// questioning is one run of [Stranger.Ask].
type questioning struct {
	t      *testing.T
	s      Stranger
	script string
}

func (q questioning) order(ctx context.Context, c exchange.Client) {
	q.t.Helper()
	checked, err := c.Check(ctx, q.s.Intent)
	if err != nil && len(checked.Violations) > 0 {
		q.t.Errorf("%q: Check found %v and could not look: %v", q.script, checked.Violations, err)
	}
	for _, v := range checked.Violations {
		if v.GetRule() == "" {
			q.t.Errorf("%q: Check found %v, which breaks no rule", q.script, v)
		}
	}
	legs := exchange.LegsOf(q.s.Intent)
	for _, l := range legs {
		if c.Keys(q.s.Intent)[l.Which] == "" {
			q.t.Errorf("%q: the %s leg has no look-up key", q.script, l.Which)
		}
	}
	p := exchange.Placement{Intent: q.s.Intent, Legs: []string{exchange.Primary}}
	if c.Together() {
		p.Legs = []string{exchange.Both}
	}
	out := c.Place(ctx, p)
	q.outcome("Place", out)
	if text := fmt.Sprintf("%+v", out); q.s.Secret != "" && strings.Contains(text, q.s.Secret) {
		q.t.Errorf("%q: Place tells the secret that it sent: %s", q.script, text)
	}
	want := len(p.LegsToPlace())
	if n := len(out.IDs); out.Class == exchange.Done && n != want || out.Class == exchange.Partial && (n == 0 || n >= want) ||
		out.Class != exchange.Done && out.Class != exchange.Partial && n > 0 {
		q.t.Errorf("%q: Place is %s with the ids %v of %d legs", q.script, out.Class, out.IDs, want)
	}
	found, _ := c.Find(ctx, p)
	for _, leg := range found.Circuits {
		for _, circuit := range leg {
			q.circuit("Find", circuit)
		}
	}
	q.outcome("Alter", c.Alter(ctx, strangeID, &patchbayv1.ChangeSet{Name: "new", BandwidthMbps: proto.Int32(100)}))
	q.outcome("Remove", c.Remove(ctx, strangeID))
}

func (q questioning) land(ctx context.Context, c exchange.Client) {
	q.t.Helper()
	ports, _ := c.Ports(ctx)
	for _, p := range ports {
		if p.ID == "" {
			q.t.Errorf("%q: a port without an id: %+v", q.script, p)
		}
		q.spelling("Ports", p.ID)
	}
	for _, kind := range []string{exchange.Create, exchange.Change, exchange.Delete} {
		q.outcome("Accept", c.Accept(ctx, exchange.Acceptance{ExchangeID: strangeID, Kind: kind, PortID: "p-1",
			Tag: &patchbayv1.Tag{Vlan: proto.Int32(7)}}))
		q.outcome("Reject", c.Reject(ctx, strangeID, kind, "no"))
	}
}

func (q questioning) observe(ctx context.Context, c exchange.Client) {
	q.t.Helper()
	circuit, err := c.Get(ctx, strangeID)
	if err == nil {
		q.circuit("Get", circuit)
		if circuit.GetExchangeId() != strangeID && !slices.Contains(circuit.GetAliases(), strangeID) {
			q.t.Errorf("%q: Get of %s is %s", q.script, strangeID, circuit.GetExchangeId())
		}
		_ = c.KeyOf(circuit) // must not panic
	}
	for _, role := range []string{exchange.Buyer, exchange.Seller} {
		for _, moving := range []bool{true, false} {
			_ = c.List(ctx, role, moving, q.yield("List")) // may well fail
		}
	}
	parties, _ := c.Parties(ctx)
	q.spelling("Parties", parties.Ports...)
	q.spelling("Parties", parties.Profiles...)
}

// offers asks for what not every exchange has.
func (q questioning) offers(ctx context.Context, c exchange.Client) {
	q.t.Helper()
	since := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if x, ok := c.(exchange.Feed); ok {
		_ = x.Changed(ctx, exchange.Buyer, since, q.yield("Changed")) // may well fail
	}
	if x, ok := c.(exchange.Batch); ok {
		_ = x.GetAll(ctx, []string{strangeID}, q.yield("GetAll")) // may well fail
	}
	if x, ok := c.(exchange.Past); ok {
		past, _ := x.Past(ctx, strangeID, since)
		if !slices.IsSortedFunc(past, func(a, b exchange.PastState) int { return a.At.Compare(b.At) }) {
			q.t.Errorf("%q: the past is out of order: %v", q.script, past)
		}
	}
	if x, ok := c.(exchange.Tokens); ok {
		_ = x.Tokens(ctx, func(token exchange.Token) error { // may well fail
			if token.UUID == "" || token.State == "" {
				q.t.Errorf("%q: a token without an id or state: %+v", q.script, token)
			}
			q.spelling("Tokens", token.UUID.Reveal(), token.ConnectionID)
			return nil
		})
	}
	if x, ok := c.(exchange.TagsInUse); ok {
		tags, _ := x.InUse(ctx, "p-1")
		for _, tag := range tags {
			if outer := exchange.Outer(tag); outer < 1 || outer > 4095 {
				q.t.Errorf("%q: the tag %v is in use", q.script, tag)
			}
		}
	}
	if x, ok := c.(exchange.LandsOn); ok {
		_, _ = x.LandsOn(ctx, "p-1") // must not panic
	}
}

// yield takes what a list hands over.
func (q questioning) yield(call string) func(*patchbayv1.Connection) error {
	return func(c *patchbayv1.Connection) error {
		q.circuit(call, c)
		return nil
	}
}

func (q questioning) outcome(call string, out exchange.Outcome) {
	q.t.Helper()
	classes := []exchange.Class{exchange.Done, exchange.Partial, exchange.NotSent, exchange.Busy, exchange.Taken,
		exchange.Moving, exchange.Over, exchange.Refused, exchange.Unknown}
	if !slices.Contains(classes, out.Class) || out.Answer == "" && out.Class != exchange.Done ||
		(out.Class == exchange.Busy) != (out.After > 0) {
		q.t.Errorf("%q: %s is %+v", q.script, call, out)
	}
	for _, id := range out.IDs {
		if !event.ValidID(id) {
			q.t.Errorf("%q: %s has the id %q", q.script, call, id)
		}
		q.spelling(call, id)
	}
}

// spelling checks that ids of the exchange are in their one spelling.
func (q questioning) spelling(call string, ids ...string) {
	q.t.Helper()
	for _, id := range ids {
		if one := event.CanonicalID(id); id != one {
			q.t.Errorf("%q: %s has the id %q, want %q", q.script, call, id, one)
		}
	}
}

// circuit checks that c can be told apart, is in our words and can be written down.
func (q questioning) circuit(call string, c *patchbayv1.Connection) {
	q.t.Helper()
	if !event.ValidID(c.GetExchangeId()) || c.GetBandwidthMbps() < 0 || c.GetPendingBandwidthMbps() < 0 ||
		!slices.Contains(status.Statuses(), status.Status(c.GetStatus())) ||
		!slices.Contains(status.Providers(), status.Provider(c.GetProviderStatus())) {
		q.t.Errorf("%q: %s reads %v", q.script, call, c)
	}
	q.spelling(call, c.GetExchangeId(), c.GetRedundancyGroup(),
		c.GetASide().GetPortId(), c.GetZSide().GetPortId(), c.GetZSide().GetProfileId())
	q.spelling(call, c.GetAliases()...)
	if c.GetId() != event.ConnectionID(c.GetExchange(), c.GetExchangeId()) {
		q.t.Errorf("%q: %s reads %v, which has another's id", q.script, call, c)
	}
	if _, err := event.Marshal(c); err != nil {
		q.t.Errorf("%q: %s reads what cannot be written down: %v", q.script, call, err)
	}
}
