package fabric

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

// bandwidth checks the speed against what profiles sell and tokens allow.
func (c *checker) bandwidth() {
	const path = "bandwidthMbps"
	given := c.in.GetBandwidthMbps()
	if c.in.BandwidthMbps == nil && c.speedFromKey() {
		return // the schema allows 0
	}
	if given < 1 || given > mostMbps {
		var value any
		if c.in.BandwidthMbps != nil {
			value = given
		}
		c.violate(path, value, fmt.Sprintf("a bandwidth of 1 to %d Mbit/s", mostMbps), "only a profile that takes it from the key goes without")
		return
	}
	for _, l := range c.legs {
		c.sold(path, given, l)
		for _, side := range []string{"aSide", "zSide"} {
			c.allowed(path, given, c.tokens[l.Which+"."+side])
		}
	}
}

// speedFromKey reports whether every leg's profile takes the speed from the key.
func (c *checker) speedFromKey() bool {
	return !slices.ContainsFunc(c.legs, func(l leg) bool {
		p := c.profiles[l.Z.GetProfileId()]
		return p == nil || !p.SpeedFromKey
	})
}

// sold checks the speed against what the leg's profile sells.
func (c *checker) sold(path string, given int32, l leg) {
	p := c.profiles[l.Z.GetProfileId()]
	if p == nil {
		return
	}
	if !p.AnySpeed && !p.SpeedFromKey && len(p.Bands) > 0 && !slices.Contains(p.Bands, given) {
		c.violate(path, given, "a bandwidth that profile "+p.Name+" sells", "sold are "+list(p.Bands)+" Mbit/s")
	}
	if most := p.Most[strings.ToUpper(l.Z.GetMetro())]; most > 0 && given > most {
		c.violate(path, given, "a bandwidth that profile "+p.Name+" sells in "+l.Z.GetMetro(),
			fmt.Sprintf("the most is %d Mbit/s", most))
	}
}

// allowed checks the speed against what a token allows.
func (c *checker) allowed(path string, given int32, t tokenFacts) {
	if t.LimitMbps > 0 && given > t.LimitMbps {
		c.violate(path, given, "a bandwidth that the service token allows", fmt.Sprintf("the most is %d Mbit/s", t.LimitMbps))
	}
	if len(t.Bands) > 0 && !t.AllowCustom && !slices.Contains(t.Bands, given) {
		c.violate(path, given, "a bandwidth that the service token allows", "allowed are "+list(t.Bands)+" Mbit/s")
	}
}

func list(numbers []int32) string {
	var all []string
	for _, n := range numbers {
		all = append(all, strconv.Itoa(int(n)))
	}
	return strings.Join(all, ", ")
}

// token checks a service token: there, not used, not expired, for this side and metro.
func (c *checker) token(l leg, side string, e *patchbayv1.Endpoint) {
	t, asked := c.tokens[l.Which+"."+side]
	if e.GetServiceToken() == "" || !asked || t.hidden {
		return
	}
	path := l.Field(side, "serviceToken")
	say := func(rule, hint string) { c.violate(path, wire.Masked, rule, hint) }
	switch {
	case t.absent:
		say("a service token that exists", "the exchange knows no such token; ask who gave it to you")
		return
	case t.State == TokenActive:
		say(exchange.TokenUsed, "a token is used once; ask for another")
	case t.State == TokenExpired || !t.ExpiresAt.IsZero() && t.ExpiresAt.Before(c.now):
		say("a service token that has not expired", "ask for another")
	case t.State == TokenDeleted:
		say("a service token that was not deleted", "ask for another")
	}
	if t.Side != "" && t.Side+"Side" != side {
		say("a service token for the "+strings.ToUpper(side[:1])+" side", "it stands for the "+strings.ToUpper(t.Side)+" side")
	}
	c.tokenType(l, t, say)
	c.tokenMetro(l, side, t, say)
}

// tokenType checks that a token's kind of circuit is the one that is ordered.
func (c *checker) tokenType(l leg, t tokenFacts, say func(rule, hint string)) {
	switch {
	case t.Type == "EPL_TOKEN" && !l.untagged():
		say("a service token for tagged circuits", "it is for untagged ones; leave the tag of the port out")
	case t.Type == "VC_TOKEN" && l.untagged():
		say("a service token for untagged circuits", "it is for tagged ones; give the port's side a tag")
	}
}

// tokenMetro checks that a local token is used in its own metro.
func (c *checker) tokenMetro(l leg, side string, t tokenFacts, say func(rule, hint string)) {
	far := l.A
	if side == "aSide" {
		far = l.Z
	}
	metro := far.GetMetro()
	if p := portByID(c.ports, far.GetPortId()); p != nil {
		metro = p.Metro
	}
	if t.AllowRemote || t.Metro == "" || metro == "" || strings.EqualFold(t.Metro, metro) {
		return
	}
	say("a service token for metro "+metro, "it allows local circuits only, in "+t.Metro)
}
