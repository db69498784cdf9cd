package ecx

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// profile is what of a service profile matters to an order.
type profile struct {
	ID, Name, Seller   string
	Encapsulation      string              // of the Z side; empty if not shown
	Metros             map[string][]string // code → seller regions
	Bands              []int32             // Mbit/s
	NamedTags          []string
	Asks               []string // additional information that Patchbay cannot give
	NeedsKey           bool
	NeedsPair          bool
	AnySpeed           bool
	SpeedFromKey       bool
	Named              bool // ordered by named tag
	Integrated, Single bool // Single: of the buyer's own organization
}

// flow is how the exchange treats orders to the profile.
func (p *profile) flow() string {
	switch {
	case p.Integrated:
		return string(status.IntegratedFlow)
	case p.Single:
		return string(status.OwnFlow)
	}
	return string(status.ApprovalFlow)
}

// profileRow is a profile as the API shows it.
type profileRow struct {
	UUID          wire.ID     `json:"uuid"`
	Name          wire.Text   `json:"name"`
	Organization  wire.Text   `json:"organizationName"`
	KeyLabel      wire.Text   `json:"authKeyLabel"`
	NeedsPair     wire.Flag   `json:"requiredRedundancy"`
	CustomSpeed   wire.Flag   `json:"allowCustomSpeed"`
	SpeedFromAPI  wire.Flag   `json:"speedFromAPI"`
	APIAvailable  wire.Flag   `json:"apiAvailable"`
	Integrated    wire.Flag   `json:"integrated"`
	Self          wire.Flag   `json:"selfProfile"`
	TagType       wire.Text   `json:"tagType"`
	NamedTags     []wire.Text `json:"namedTags"`
	Encapsulation wire.Text   `json:"profileEncapsulation"`
	SpeedBands    []struct {
		Speed wire.Number `json:"speed"`
		Unit  wire.Text   `json:"unit"`
	} `json:"speedBands"`
	Metros []struct {
		Code    wire.Text                  `json:"code"`
		Regions map[string]json.RawMessage `json:"sellerRegions"`
	} `json:"metros"`
	Asks []struct {
		Name wire.Text `json:"name"`
	} `json:"additionalBuyerInfo"`
}

func readProfile(b []byte) (*profile, error) {
	var r profileRow
	if err := json.Unmarshal(b, &r); err != nil || !event.ValidID(string(r.UUID)) {
		return nil, errors.New("a profile in a form that is not the exchange's")
	}
	p := &profile{
		ID: string(r.UUID), Name: string(r.Name), Seller: string(r.Organization),
		Encapsulation: encapsulation(r.Encapsulation), Metros: make(map[string][]string),
		NeedsKey: r.KeyLabel != "", NeedsPair: bool(r.NeedsPair), AnySpeed: bool(r.CustomSpeed),
		SpeedFromKey: bool(r.SpeedFromAPI), Integrated: bool(r.APIAvailable || r.Integrated),
		Single: bool(r.Self), Named: strings.EqualFold(string(r.TagType), "NAMED") || len(r.NamedTags) > 0,
	}
	for _, t := range r.NamedTags {
		p.NamedTags = append(p.NamedTags, string(t))
	}
	for _, b := range r.SpeedBands {
		if n := mbps(b.Speed, b.Unit); n > 0 {
			p.Bands = append(p.Bands, n)
		}
	}
	slices.Sort(p.Bands)
	for _, m := range r.Metros {
		p.Metros[strings.ToUpper(string(m.Code))] = slices.Sorted(maps.Keys(m.Regions))
	}
	for _, a := range r.Asks {
		p.Asks = append(p.Asks, string(a.Name))
	}
	return p, nil
}

// profile returns a profile as this account is shown it, nil if it is not shown any.
func (c *Client) profile(ctx context.Context, id string) (*profile, error) {
	if p, ok := c.profiles.Get(id); ok {
		return p, nil
	}
	if !event.ValidID(id) {
		return nil, nil
	}
	r, err := c.read(ctx, v3Call(http.MethodGet, "/l2/serviceprofiles/services/{id}", id))
	if own := new(refused); errors.As(err, &own) &&
		(own.status == http.StatusBadRequest || own.status == http.StatusNotFound) ||
		err == nil && r.Status == http.StatusNoContent {
		c.profiles.Put(id, nil)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := readProfile(r.Body)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", id, err)
	}
	c.profiles.Put(id, p)
	c.flows.Put(id, p.flow())
	return p, nil
}

// keyAnswer is what the exchange thinks of an authorization key.
type keyAnswer struct {
	valid bool
	words string // why it is not valid, in the exchange's words
	mbps  int32  // the speed it stands for; 0 if it does not tell
}

// keyQuestion is an authorization key and what it is for.
type keyQuestion struct{ key, profile, metro, region string }

// key asks whether a key is good for a profile in a metro and region.
func (c *Client) key(ctx context.Context, q keyQuestion) (keyAnswer, error) {
	// The key is not kept, not even as the key of a map.
	sum := sha256.Sum256([]byte(strings.Join([]string{q.key, q.profile, q.metro, q.region}, "\n")))
	if a, ok := c.keys.Get(string(sum[:])); ok {
		return a, nil
	}
	k := v3Call(http.MethodGet, connections+"/validateAuthorizationKey")
	k.Query = url.Values{"authorizationKey": {q.key}, "profileId": {q.profile},
		"metroCode": {q.metro}, "region": {q.region}}
	k.Secrets = []string{q.key}
	r, err := c.read(ctx, k)
	var a keyAnswer
	own := new(refused)
	switch {
	case errors.As(err, &own) && own.status == http.StatusBadRequest:
		a = keyAnswer{words: own.words}
	case err != nil:
		return keyAnswer{}, err
	default:
		if a, err = readKey(r.Body); err != nil {
			return keyAnswer{}, err
		}
		a.words = wire.Scrub(a.words, k.Secrets)
	}
	c.keys.Put(string(sum[:]), a)
	return a, nil
}

// readKey reads the answer about a key. One client of the API expects a list of it.
func readKey(body []byte) (keyAnswer, error) {
	type row struct {
		Message wire.Text `json:"message"`
		Status  wire.Text `json:"status"`
		Primary struct {
			Bandwidth wire.Text `json:"bandwidth"`
		} `json:"primary"`
	}
	var one row
	var list []row
	switch {
	case json.Unmarshal(body, &one) == nil:
	case json.Unmarshal(body, &list) == nil && len(list) > 0:
		one = list[0]
	}
	if one.Status == "" {
		return keyAnswer{}, errors.New("an answer about a key in a form that is not the exchange's")
	}
	return keyAnswer{
		valid: strings.EqualFold(string(one.Status), "VALID"),
		words: string(one.Message),
		mbps:  bandwidth(string(one.Primary.Bandwidth)),
	}, nil
}

// bandwidth reads a speed with its unit, as in "50MB"; 0 if it is none.
func bandwidth(s string) int32 {
	s = strings.ToUpper(strings.ReplaceAll(s, " ", ""))
	digits := strings.TrimRight(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ/")
	var n wire.Number
	_ = n.UnmarshalJSON([]byte(digits)) // never fails
	unit := wire.Text("MB")
	if strings.HasPrefix(s[len(digits):], "G") {
		unit = "GB"
	}
	return mbps(n, unit)
}

// metroOf is the metro where a leg meets a profile: its own, or that of the A port.
func metroOf(l exchange.Leg, ports []exchange.Port) string {
	if m := l.Z.GetMetro(); m != "" {
		return m
	}
	if p := portByID(ports, l.A.GetPortId()); p != nil {
		return p.Metro
	}
	return ""
}

func portByID(ports []exchange.Port, id string) *exchange.Port {
	i := slices.IndexFunc(ports, func(p exchange.Port) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	return &ports[i]
}
