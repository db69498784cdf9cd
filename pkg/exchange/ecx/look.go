package ecx

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
)

// Check holds an intent against the account's ports, the profiles and the keys.
func (c *Client) Check(ctx context.Context, in *patchbayv1.CreateIntent) (exchange.Checked, error) {
	legs := exchange.LegsOf(in)
	f, err := c.facts(ctx, legs)
	if err != nil {
		return exchange.Checked{}, err
	}
	return exchange.Checked{
		Violations: check(in, f),
		Flow:       flowOf(legs, f),
		Notes:      c.notes(in, legs, f),
	}, nil
}

// facts looks up what check needs.
func (c *Client) facts(ctx context.Context, legs []exchange.Leg) (facts, error) {
	ports, err := c.Ports(ctx)
	if err != nil {
		return facts{}, err
	}
	f := facts{ports: ports, profiles: make(map[string]*profile), keys: make(map[string]keyAnswer)}
	for _, l := range legs {
		id := l.Z.GetProfileId()
		if id == "" {
			continue
		}
		p, err := c.profile(ctx, id)
		if err != nil {
			return facts{}, err
		}
		f.profiles[id] = p
		q := keyQuestion{l.Z.GetAuthorizationKey(), id, metroOf(l, ports), l.Z.GetRegion()}
		if p == nil || !p.NeedsKey || q.key == "" || q.metro == "" {
			continue
		}
		if f.keys[l.Which], err = c.key(ctx, q); err != nil {
			return facts{}, err
		}
	}
	return f, nil
}

// notes says what will be sent where, and what it rests on.
func (c *Client) notes(in *patchbayv1.CreateIntent, legs []exchange.Leg, f facts) []string {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(newCreateBody(in, legs).masked()); err != nil {
		return nil // texts and numbers always encode
	}
	notes := []string{
		"Would be sent: " + http.MethodPost + " " + c.wire.Base() + v3 + connections + " " + strings.TrimSpace(body.String()),
		"The price is unknown: ECX v3 does not tell prices.",
		"Whether a tag is free is known only when the exchange takes the order.",
	}
	p := f.profiles[legs[0].Z.GetProfileId()]
	if p == nil {
		return notes
	}
	if p.Encapsulation == "" {
		notes = append(notes, "The exchange does not show the encapsulation of profile "+p.Name+
			", so the C-tags were not held against the tagging table.")
	}
	if !p.NeedsKey && legs[0].Z.GetAuthorizationKey() != "" {
		notes = append(notes, "Profile "+p.Name+" does not ask for the authorization key that is sent.")
	}
	if len(p.Asks) > 0 {
		notes = append(notes, fmt.Sprintf("Profile %s asks for what an intent has no place for: %s.",
			p.Name, strings.Join(p.Asks, ", ")))
	}
	for _, n := range in.GetNotifications() {
		if t := n.GetType(); t != "" && t != "ALL" {
			notes = append(notes, "ECX v3 knows one kind of notification; "+t+" is sent as all others are.")
		}
	}
	return notes
}
