package fabric

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/account"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/intent"
	"patchbay.io/pkg/secret"
)

// Check holds an intent against the account's ports, profiles, keys and service tokens. An
// intent that passes, and breaks no rule of package intent, is tried with a dry run, and its
// price is asked for; that neither can be had is a note and no error. Of an intent that could
// not be read whole the exchange would miss what the sender wrote and we could not read.
func (c *Client) Check(ctx context.Context, in *patchbayv1.CreateIntent) (exchange.Checked, error) {
	legs := legsOf(in)
	f, err := c.facts(ctx, legs)
	if err != nil {
		return exchange.Checked{}, err
	}
	out := exchange.Checked{Violations: check(in, f), Flow: flowOf(legs, f)}
	sound := len(out.Violations)+len(intent.Check(in))+len(intent.CheckFor(account.Fabric, in)) == 0
	for _, l := range legs {
		metro, err := c.metroOf(ctx, l)
		if err != nil {
			return exchange.Checked{}, err
		}
		b := newCreateBody(in, l, metro)
		out.Notes = append(out.Notes, c.willBeSent(b, l))
		if !sound {
			continue
		}
		out.Notes = append(out.Notes, c.price(ctx, priced{leg: l, body: b, facts: f})...)
		violations, notes, err := c.dryRun(ctx, b, l)
		if err != nil {
			return exchange.Checked{}, err
		}
		out.Violations, out.Notes = append(out.Violations, violations...), append(out.Notes, notes...)
	}
	out.Notes = append(out.Notes, notes(legs, f)...)
	return out, nil
}

// facts looks up what check needs.
func (c *Client) facts(ctx context.Context, legs []leg) (facts, error) {
	ports, err := c.Ports(ctx)
	if err != nil {
		return facts{}, err
	}
	f := facts{now: time.Now(), ports: ports, profiles: make(map[string]*profile),
		keys: make(map[string]keyAnswer), tokens: make(map[string]tokenFacts)}
	for _, l := range legs {
		for _, s := range []struct {
			side string
			end  *patchbayv1.Endpoint
		}{{"aSide", l.A}, {"zSide", l.Z}} {
			if s.end.GetServiceToken() == "" {
				continue
			}
			if f.tokens[l.Which+"."+s.side], err = c.tokenFacts(ctx, secret.Secret(s.end.GetServiceToken()), ports); err != nil {
				return facts{}, err
			}
		}
		id, key := l.Z.GetProfileId(), l.Z.GetAuthorizationKey()
		if id == "" {
			continue
		}
		p, err := c.profile(ctx, id)
		if err != nil {
			return facts{}, err
		}
		f.profiles[id] = p
		if p == nil || !p.NeedsKey || key == "" {
			continue
		}
		if f.keys[l.Which], err = c.key(ctx, key, id, l.Z.GetRegion()); err != nil {
			return facts{}, err
		}
	}
	return f, nil
}

// tokenFacts reads a token. One that the account may not look at may still be good.
func (c *Client) tokenFacts(ctx context.Context, uuid secret.Secret, ports []exchange.Port) (tokenFacts, error) {
	t, err := c.Token(ctx, uuid)
	own := new(refused)
	switch {
	case errors.Is(err, ErrNoToken), errors.Is(err, errTokenID):
		return tokenFacts{absent: true}, nil
	case errors.As(err, &own) && own.status == http.StatusForbidden:
		return tokenFacts{hidden: true}, nil
	case err != nil:
		return tokenFacts{}, err
	}
	if p := portByID(ports, t.PortID); p != nil && t.Metro == "" {
		t.Metro = p.Metro
	}
	return tokenFacts{ServiceToken: t}, nil
}

// willBeSent shows a leg's POST.
func (c *Client) willBeSent(b createBody, l leg) string {
	if l.Which == exchange.Secondary {
		b.Redundancy = &redundancyBody{Group: "(the primary's)", Priority: "SECONDARY"}
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(b.masked()) // texts and numbers always encode
	return "Would be sent: " + http.MethodPost + " " + c.wire.Base() + v4 + connections + " " + strings.TrimSpace(body.String())
}

// notes says what the check rests on.
func notes(legs []leg, f facts) []string {
	var all []string
	add := func(format string, args ...any) {
		if n := fmt.Sprintf(format, args...); !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	for _, l := range legs {
		for _, side := range []string{"aSide", "zSide"} {
			if f.tokens[l.Which+"."+side].hidden {
				add("The exchange does not show this account the service token of %s.%s, so it was not checked.", l.Which, side)
			}
		}
		p := portByID(f.ports, l.A.GetPortId())
		if p != nil && l.untagged() && p.Encapsulation != untagged && p.Encapsulation != "" {
			add("Port %s is %s; whether it takes an untagged circuit is for the exchange to say.", p.ID, pretty(p.Encapsulation))
		}
		if sold := f.profiles[l.Z.GetProfileId()]; sold != nil && !sold.NeedsKey && l.Z.GetAuthorizationKey() != "" {
			add("Profile %s does not ask for the authorization key that is sent.", sold.Name)
		}
	}
	return all
}

// dryRun has the exchange check a body without creating anything.
func (c *Client) dryRun(ctx context.Context, b createBody, l leg) ([]*patchbayv1.Violation, []string, error) {
	if c.notDry.Load() {
		return nil, []string{"No dry run: an earlier one created a circuit."}, nil
	}
	b.Redundancy = nil // a secondary without its group would be refused
	k := v4Call(http.MethodPost, connections)
	k.Name += "?dryRun"
	k.Query, k.Body, k.Secrets = url.Values{"dryRun": {"true"}}, b, l.secrets()
	r, out, ok := c.decide(ctx, k, toPlace)
	if ok {
		if shown, err := readRow(r.Body); err == nil {
			c.notDry.Store(true)
			return nil, nil, fmt.Errorf("a dry run was answered with circuit %s; see whether it is there", shown.UUID)
		}
		return nil, []string{"The exchange took the " + l.Which + " in a dry run."}, nil
	}
	switch {
	case out.Class == exchange.Taken:
		return nil, []string{"In a dry run of the " + l.Which + " the exchange said: " + out.Message}, nil
	case out.Class == exchange.Refused && out.Code != codeNoDryRun:
		return []*patchbayv1.Violation{{Field: l.fieldOf(out.Property), Rule: out.Code + ": " + out.Message, Hint: "the exchange refused it in a dry run"}}, nil, nil
	case out.Class == exchange.Refused:
		return nil, []string{"The exchange has no dry run for this type of circuit."}, nil
	}
	return nil, []string{"No dry run of the " + l.Which + ": " + out.Answer + "."}, nil
}

// properties are the exchange's names of fields; the longest that fits counts.
var properties = []struct{ prefix, field string }{
	{"/aSide/accessPoint/port", "aSide.portId"},
	{"/aSide/accessPoint/linkProtocol", "aSide.tag"},
	{"/aSide/serviceToken", "aSide.serviceToken"},
	{"/aSide", "aSide"},
	{"/zSide/accessPoint/port", "zSide.portId"},
	{"/zSide/accessPoint/linkProtocol", "zSide.tag"},
	{"/zSide/accessPoint/profile", "zSide.profileId"},
	{"/zSide/accessPoint/location", "zSide.metro"},
	{"/zSide/accessPoint/sellerRegion", "zSide.region"},
	{"/zSide/accessPoint/authenticationKey", "zSide.authorizationKey"},
	{"/zSide/accessPoint/peeringType", "zSide.peering"},
	{"/zSide/serviceToken", "zSide.serviceToken"},
	{"/zSide", "zSide"},
	{"/bandwidth", "bandwidthMbps"},
	{"/notifications", "notifications"},
	{"/order/purchaseOrderNumber", "purchaseOrder"},
	{"/order/customerReferenceNumber", "customerReference"},
	{"/order/termLength", "billing.termMonths"},
	{"/project", "projectId"},
	{"/name", "name"},
}

// fieldOf is the intent's name of a field of the exchange's; the leg itself if it has none.
func (l leg) fieldOf(property string) string {
	property = "/" + strings.TrimPrefix(property, "/")
	for _, p := range properties {
		if !strings.HasPrefix(property, p.prefix) {
			continue
		}
		side, name, sided := strings.Cut(p.field, ".")
		switch {
		case sided && (side == "aSide" || side == "zSide"):
			return l.Field(side, name)
		case p.field == "aSide" || p.field == "zSide" || p.field == "name" && l.Which == exchange.Secondary:
			return l.Which + "." + p.field
		}
		return p.field
	}
	return l.Which
}

// priced is a leg whose price is asked for.
type priced struct {
	leg   leg
	body  createBody
	facts facts
}

// price asks for the price of a leg, and says it in sentences.
func (c *Client) price(ctx context.Context, q priced) []string {
	f, ok := q.filter()
	if !ok {
		return []string{"No price of the " + q.leg.Which + ": what is behind a service token is not known."}
	}
	key, err := json.Marshal(f)
	if err != nil {
		return nil // texts always encode
	}
	text, ok := c.prices.Get(string(key))
	if !ok {
		k := v4Call(http.MethodPost, "/prices/search")
		k.Body = query{Filter: &f}
		r, err := c.read(ctx, k)
		if err != nil {
			return []string{"No price of the " + q.leg.Which + ": " + err.Error() + "."}
		}
		text = readPrices(r.Body)
		c.prices.Put(string(key), text)
	}
	if text == "" {
		return []string{"No price of the " + q.leg.Which + ": the exchange has none."}
	}
	return []string{"Price of the " + q.leg.Which + ": " + text + "."}
}

// filter says which price is wanted; false if too little is known of a side.
func (q priced) filter() (filter, bool) {
	const a, z = "/connection/aSide/accessPoint/", "/connection/zSide/accessPoint/"
	from, to := portByID(q.facts.ports, q.leg.A.GetPortId()), portByID(q.facts.ports, q.leg.Z.GetPortId())
	access := q.body.ZSide.Access
	if from == nil || access == nil {
		return filter{}, false
	}
	all := []filter{
		is("/type", "VIRTUAL_CONNECTION_PRODUCT"), is("/connection/type", q.body.Type),
		in("/connection/bandwidth", strconv.Itoa(int(q.body.Bandwidth))),
		is(a+"type", "COLO"), is(a+"location/metroCode", from.Metro),
		is(z+"type", access.Type),
	}
	switch {
	case access.Location != nil:
		all = append(all, is(z+"location/metroCode", access.Location.Metro))
	case to != nil:
		all = append(all, is(z+"location/metroCode", to.Metro))
	}
	if access.Profile != nil {
		all = append(all, is(z+"profile/uuid", access.Profile.UUID))
	}
	return filter{And: all}, true
}

// readPrices writes the charges of the first price (schema PriceSearchResponse); empty if
// there is none.
func readPrices(body []byte) string {
	var answer struct {
		Data many[struct {
			Code     wire.Text `json:"code"`
			Currency wire.Text `json:"currency"`
			Charges  many[struct {
				Type  wire.Text `json:"type"`
				Price wire.Text `json:"price"`
			}] `json:"charges"`
		}] `json:"data"`
	}
	if decode(body, &answer) != nil || len(answer.Data) == 0 {
		return ""
	}
	var parts []string
	first := answer.Data[0]
	for _, x := range first.Charges {
		kind := strings.ToLower(strings.ReplaceAll(string(x.Type), "_", " "))
		parts = append(parts, fmt.Sprintf("%s %s %s", x.Price, first.Currency, kind))
	}
	if len(parts) == 0 {
		return ""
	}
	text := strings.Join(parts, ", ")
	if first.Code != "" {
		text += " (" + string(first.Code) + ")"
	}
	return text
}
