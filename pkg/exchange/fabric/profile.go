package fabric

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
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/status"
)

// profile is what of a service profile matters to an order.
type profile struct {
	ID, Name, State string
	Encapsulation   string              // of the Z side; empty if not shown
	Metros          map[string][]string // code → seller regions
	Most            map[string]int32    // code → highest bandwidth, where one is shown
	Bands           []int32             // Mbit/s
	NamedTags       []string
	NeedsKey        bool
	NeedsPair       bool
	AnySpeed        bool
	SpeedFromKey    bool // the bandwidth may be left to the key
	Named           bool // ordered by peering type
	Integrated      bool // the seller's own system answers
	Self            bool // the buyer's own
	NoRemote        bool // only from its own metros
}

// flow is how the exchange treats orders to the profile. It is empty where one buys from
// oneself: no document says whether anybody has to approve that.
func (p *profile) flow() string {
	switch {
	case p.Integrated:
		return string(status.IntegratedFlow)
	case p.Self:
		return ""
	}
	return string(status.ApprovalFlow)
}

// learn remembers how orders to p are treated. That p belongs to the account's own company
// (schema ServiceProfile, selfProfile) matters if the account buys; others buy from a seller.
func (c *Client) learn(id string, p *profile) {
	p.Self = p.Self && c.cfg.Account.Role.Buys()
	c.flows.Put(id, p.flow())
}

// profileRow is a profile as the API shows it (schema ServiceProfile).
type profileRow struct {
	UUID    wire.ID           `json:"uuid"`
	Name    wire.Text         `json:"name"`
	State   wire.Text         `json:"state"`
	Self    wire.Flag         `json:"selfProfile"`
	Configs many[profileType] `json:"accessPointTypeConfigs"`
	Metros  many[struct {
		Code    wire.Text                  `json:"code"`
		Most    wire.Number                `json:"vcBandwidthMax"`
		Regions map[string]json.RawMessage `json:"sellerRegions"`
	}] `json:"metros"`
}

// profileType is how a profile is reached: from ports (COLO) or from virtual devices.
type profileType struct {
	Type        wire.Text         `json:"type"`
	Bands       many[wire.Number] `json:"supportedBandwidths"`
	AllowRemote *wire.Flag        `json:"allowRemoteConnections"`
	AllowCustom wire.Flag         `json:"allowCustomBandwidth"`
	NeedsPair   wire.Flag         `json:"connectionRedundancyRequired"`
	Link        struct {
		Strategy      wire.Text       `json:"encapsulationStrategy"`
		Encapsulation wire.Text       `json:"encapsulation"`
		NamedTags     many[wire.Text] `json:"namedTags"`
	} `json:"linkProtocolConfig"`
	API struct {
		Available wire.Flag `json:"apiAvailable"`
		Bandwidth wire.Flag `json:"bandwidthFromApi"`
	} `json:"apiConfig"`
	Key struct {
		Required wire.Flag `json:"required"`
	} `json:"authenticationKey"`
}

func readProfile(b []byte) (*profile, error) {
	var r profileRow
	if decode(b, &r) != nil || !event.ValidID(string(r.UUID)) {
		return nil, errors.New("a profile in a form that is not the exchange's")
	}
	p := &profile{
		ID: string(r.UUID), Name: string(r.Name), State: strings.ToUpper(string(r.State)), Self: bool(r.Self),
		Metros: make(map[string][]string), Most: make(map[string]int32),
	}
	for _, m := range r.Metros {
		code := strings.ToUpper(string(m.Code))
		p.Metros[code] = slices.Sorted(maps.Keys(m.Regions))
		if m.Most > 0 {
			p.Most[code] = int32(m.Most)
		}
	}
	i := slices.IndexFunc(r.Configs, func(t profileType) bool { return strings.EqualFold(string(t.Type), "COLO") })
	if i >= 0 {
		p.configure(r.Configs[i])
	}
	return p, nil
}

func (p *profile) configure(t profileType) {
	p.Encapsulation = encapsulation(t.Link.Encapsulation)
	p.NeedsKey, p.NeedsPair = bool(t.Key.Required), bool(t.NeedsPair)
	p.AnySpeed, p.Integrated = bool(t.AllowCustom), bool(t.API.Available)
	p.SpeedFromKey = bool(t.API.Bandwidth)
	p.NoRemote = t.AllowRemote != nil && !bool(*t.AllowRemote)
	p.Named = strings.EqualFold(string(t.Link.Strategy), "NAMED") || len(t.Link.NamedTags) > 0
	for _, name := range t.Link.NamedTags {
		p.NamedTags = append(p.NamedTags, strings.ToUpper(string(name)))
	}
	for _, b := range t.Bands {
		if b > 0 {
			p.Bands = append(p.Bands, int32(b))
		}
	}
	slices.Sort(p.Bands)
}

// profile returns a profile as this account is shown it, nil if it is not shown any.
func (c *Client) profile(ctx context.Context, id string) (*profile, error) {
	if p, ok := c.profiles.Get(id); ok {
		return p, nil
	}
	if !event.ValidID(id) {
		return nil, nil
	}
	k := v4Call(http.MethodGet, "/serviceProfiles/{id}", id)
	k.Query = url.Values{"viewPoint": {"aSide"}}
	r, err := c.read(ctx, k)
	if own := new(refused); errors.As(err, &own) && own.absent() {
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
	c.learn(id, p)
	c.profiles.Put(id, p)
	return p, nil
}

// keyAnswer is what the exchange thinks of an authentication key.
type keyAnswer struct {
	valid bool
	words string // why it is not valid, in the exchange's words
}

// key asks whether an authentication key is good for a profile and region.
func (c *Client) key(ctx context.Context, key, profileID, region string) (keyAnswer, error) {
	// The key is not kept, not even as the key of a map.
	sum := sha256.Sum256([]byte(strings.Join([]string{key, profileID, region}, "\n")))
	if a, ok := c.keys.Get(string(sum[:])); ok {
		return a, nil
	}
	all := []filter{is("/zSide/accessPoint/authenticationKey", key), is("/zSide/accessPoint/profile/uuid", profileID)}
	if region != "" {
		all = append(all, is("/zSide/accessPoint/sellerRegion", region))
	}
	k := v4Call(http.MethodPost, connections+"/validate")
	k.Body, k.Secrets = query{Filter: &filter{And: all}}, []string{key}
	_, err := c.read(ctx, k)
	a := keyAnswer{valid: err == nil}
	if own := new(refused); errors.As(err, &own) && own.status == http.StatusBadRequest {
		a.words = own.words
	} else if err != nil {
		return keyAnswer{}, err
	}
	c.keys.Put(string(sum[:]), a)
	return a, nil
}
