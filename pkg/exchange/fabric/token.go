package fabric

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	patchbayv1 "patchbay.io/proto/patchbay/v1"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
	"patchbay.io/pkg/secret"
)

// serviceTokens is where service tokens are.
const serviceTokens = "/serviceTokens"

// States of service tokens. There is none for a used one: that is ACTIVE.
const (
	TokenInactive = "INACTIVE"
	TokenActive   = "ACTIVE"
	TokenExpired  = "EXPIRED"
	TokenDeleted  = "DELETED"
	TokenUnknown  = "UNKNOWN" // a word nobody documented
)

// ErrNoToken reports a service token that the exchange does not know, or does not show to
// this account.
var ErrNoToken = errors.New("no such service token at the exchange")

// ServiceToken is a service token with what it allows.
type ServiceToken struct {
	exchange.Token
	Name, Description string
	// Side is the side that the token stands for: a or z; empty if it does not say.
	Side string
	// Type is VC_TOKEN or EPL_TOKEN.
	Type string
	// PortID and Tag are where the token leads, Metro where that is, if shown.
	PortID, Metro string
	Tag           *patchbayv1.Tag
	Encapsulation string
	// LimitMbps is the most that an A-side token allows; Bands are what a Z-side token
	// allows; 0 and none are no limit.
	LimitMbps   int32
	Bands       []int32
	AllowRemote bool // from another metro too
	AllowCustom bool // bandwidths besides Bands too
}

// tokenRow is a token as the API shows it (schema ServiceToken; samples have other names
// for the time of expiry).
type tokenRow struct {
	UUID        wire.ID   `json:"uuid"`
	Type        wire.Text `json:"type"`
	Name        wire.Text `json:"name"`
	Description wire.Text `json:"description"`
	State       wire.Text `json:"state"`
	Expires     wire.Text `json:"expirationDateTime"`
	Expiry      wire.Text `json:"expiryDateTime"`
	Connection  struct {
		Type        wire.Text         `json:"type"`
		UUID        wire.ID           `json:"uuid"`
		Href        wire.Text         `json:"href"`
		AllowRemote wire.Flag         `json:"allowRemoteConnection"`
		AllowCustom wire.Flag         `json:"allowCustomBandwidth"`
		Limit       wire.Number       `json:"bandwidthLimit"`
		Bands       many[wire.Number] `json:"supportedBandwidths"`
		ASide       selectors         `json:"aSide"`
		ZSide       selectors         `json:"zSide"`
	} `json:"connection"`
}

type selectors struct {
	All many[struct {
		Port struct {
			UUID     wire.ID `json:"uuid"`
			Location struct {
				Metro wire.Text `json:"metroCode"`
			} `json:"location"`
		} `json:"port"`
		Location struct {
			Metro wire.Text `json:"metroCode"`
		} `json:"location"`
		Link link `json:"linkProtocol"`
	}] `json:"accessPointSelectors"`
}

func readToken(b []byte) (ServiceToken, error) {
	var r tokenRow
	if decode(b, &r) != nil || !event.ValidID(string(r.UUID)) {
		return ServiceToken{}, errors.New("a service token in a form that is not the exchange's")
	}
	k := r.Connection
	t := ServiceToken{
		Token: exchange.Token{UUID: secret.Secret(r.UUID), State: tokenState(r.State), Native: string(r.State),
			ConnectionID: connectionID(k.UUID, k.Href)},
		Name: string(r.Name), Description: string(r.Description),
		Type: strings.ToUpper(string(r.Type)), LimitMbps: max(0, int32(k.Limit)),
		AllowRemote: bool(k.AllowRemote), AllowCustom: bool(k.AllowCustom),
	}
	if at := wire.Date(cmp.Or(r.Expires, r.Expiry)); at != nil {
		t.ExpiresAt = at.AsTime()
	}
	for _, b := range k.Bands {
		if b > 0 {
			t.Bands = append(t.Bands, int32(b))
		}
	}
	slices.Sort(t.Bands)
	all := k.ZSide.All
	switch {
	case len(k.ASide.All) > 0:
		t.Side, all = "a", k.ASide.All
	case len(k.ZSide.All) > 0:
		t.Side = "z"
	}
	if len(all) > 0 {
		at := all[0]
		t.PortID, t.Encapsulation = string(at.Port.UUID), encapsulation(at.Link.Type)
		t.Metro, t.Tag = string(cmp.Or(at.Port.Location.Metro, at.Location.Metro)), at.Link.tag(t.Encapsulation)
	}
	return t, nil
}

// tokenState puts the exchange's word into ours.
func tokenState(word wire.Text) string {
	w := strings.ToUpper(strings.TrimSpace(string(word)))
	if slices.Contains([]string{TokenInactive, TokenActive, TokenExpired, TokenDeleted}, w) {
		return w
	}
	return TokenUnknown
}

// connectionID is the id of the circuit that redeemed a token: uuid, or the end of href.
func connectionID(uuid wire.ID, href wire.Text) string {
	id := string(uuid)
	if _, last, ok := strings.Cut(string(href), v4+connections+"/"); ok && id == "" {
		id = event.CanonicalID(strings.Trim(last, "/"))
	}
	if !event.ValidID(id) {
		return ""
	}
	return id
}

// Tokens reads every service token of the account.
func (c *Client) Tokens(ctx context.Context, yield func(exchange.Token) error) error {
	k := v4Call(http.MethodGet, serviceTokens)
	k.Purpose = exchange.ForWatch
	return c.pages(ctx, listed(k, true), func(item json.RawMessage) error {
		t, err := readToken(item)
		if err != nil {
			return err
		}
		return yield(t.Token)
	})
}

// TokenQuery says which service tokens are wanted. Absent fields do not matter; the zero
// query is all.
type TokenQuery struct {
	Name   string
	PortID string // behind the token, on either side
	States []string
}

// SearchTokens hands the account's service tokens that fit q to yield.
func (c *Client) SearchTokens(ctx context.Context, q TokenQuery, yield func(ServiceToken) error) error {
	var all []filter
	if q.Name != "" {
		all = append(all, is("/name", q.Name))
	}
	if len(q.States) > 0 {
		all = append(all, in("/state", q.States...))
	}
	if q.PortID != "" {
		all = append(all, filter{Or: []filter{
			is("/connection/aSide/accessPointSelectors/port/uuid", q.PortID),
			is("/connection/zSide/accessPointSelectors/port/uuid", q.PortID),
		}})
	}
	k := v4Call(http.MethodGet, serviceTokens)
	if len(all) > 0 {
		k = v4Call(http.MethodPost, serviceTokens+"/search")
		k.Body = query{Filter: &filter{And: all}}
	}
	return c.pages(ctx, listed(k, true), func(item json.RawMessage) error {
		t, err := readToken(item)
		if err != nil {
			return err
		}
		return yield(t)
	})
}

// tokenCall returns a call about one token, whose id is a secret in the path.
func tokenCall(method string, uuid secret.Secret) wire.Call {
	k := v4Call(method, serviceTokens+"/{id}", uuid.Reveal())
	k.Secrets = []string{uuid.Reveal()}
	return k
}

var errTokenID = errors.New("that is no id of a service token")

// Token reads one service token. It returns [ErrNoToken] if there is none.
func (c *Client) Token(ctx context.Context, uuid secret.Secret) (ServiceToken, error) {
	if !event.ValidID(uuid.Reveal()) {
		return ServiceToken{}, errTokenID
	}
	r, err := c.read(ctx, tokenCall(http.MethodGet, uuid))
	if own := new(refused); errors.As(err, &own) && own.absent() {
		return ServiceToken{}, fmt.Errorf("%w (%s: %s)", ErrNoToken, own.code, own.words)
	}
	if err != nil {
		return ServiceToken{}, err
	}
	t, err := readToken(r.Body)
	if err == nil && t.UUID != uuid {
		err = errors.New("the exchange answered with another service token")
	}
	return t, err
}

// TokenWish is a service token to be created.
type TokenWish struct {
	Name, Description string
	// Side is the side that the token stands for, where PortID is: a or z.
	Side   string
	PortID string
	// Tag is what the token reserves on the port; none makes it a token for EPL.
	Tag *patchbayv1.Tag
	// Bandwidths are the most that an A-side token allows (one), or those that a Z-side
	// token allows.
	Bandwidths  []int32
	AllowRemote bool
	AllowCustom bool
	// ExpiresAt is at most 90 days ahead.
	ExpiresAt time.Time
	// Emails are told what becomes of it.
	Emails    []string
	ProjectID string
}

// tokenBody is the body of POST /serviceTokens (schema ServiceToken).
type tokenBody struct {
	Type          string              `json:"type"`
	Name          string              `json:"name,omitempty"`
	Description   string              `json:"description,omitempty"`
	Expires       string              `json:"expirationDateTime,omitempty"`
	Connection    tokenConnectionBody `json:"connection"`
	Notifications []notificationBody  `json:"notifications,omitempty"`
	Project       *projectBody        `json:"project,omitempty"`
}

type tokenConnectionBody struct {
	Type        string         `json:"type"`
	AllowRemote bool           `json:"allowRemoteConnection"`
	AllowCustom bool           `json:"allowCustomBandwidth"`
	Limit       int32          `json:"bandwidthLimit,omitempty"`
	Bands       []int32        `json:"supportedBandwidths,omitempty"`
	ASide       *selectorsBody `json:"aSide,omitempty"`
	ZSide       *selectorsBody `json:"zSide,omitempty"`
}

type selectorsBody struct {
	All []accessBody `json:"accessPointSelectors"`
}

func newTokenBody(w TokenWish) tokenBody {
	b := tokenBody{Type: "VC_TOKEN", Name: w.Name, Description: w.Description,
		Connection: tokenConnectionBody{Type: evpl, AllowRemote: w.AllowRemote, AllowCustom: w.AllowCustom}}
	if exchange.Outer(w.Tag) == 0 {
		b.Type, b.Connection.Type = "EPL_TOKEN", epl
	}
	if !w.ExpiresAt.IsZero() {
		b.Expires = w.ExpiresAt.UTC().Format(time.RFC3339)
	}
	at := &selectorsBody{All: []accessBody{{Type: "COLO", Port: &uuidBody{UUID: w.PortID}, Link: linkOf(w.Tag)}}}
	if w.Side == "a" {
		b.Connection.ASide = at
		if len(w.Bandwidths) > 0 {
			b.Connection.Limit = slices.Max(w.Bandwidths)
		}
	} else {
		b.Connection.ZSide, b.Connection.Bands = at, w.Bandwidths
	}
	if len(w.Emails) > 0 {
		b.Notifications = []notificationBody{{Type: "ALL", Emails: w.Emails}}
	}
	if w.ProjectID != "" {
		b.Project = &projectBody{ID: w.ProjectID}
	}
	return b
}

// CreateToken makes the one call that creates a service token. The token is there if the
// outcome is Done; if it is Unknown, a token may exist that can be found by its name.
func (c *Client) CreateToken(ctx context.Context, w TokenWish) (ServiceToken, exchange.Outcome) {
	switch {
	case w.Side != "a" && w.Side != "z":
		return ServiceToken{}, exchange.RefusedHere("side", "a service token stands for side a or z")
	case !event.ValidID(w.PortID):
		return ServiceToken{}, exchange.RefusedHere("portId", "a service token leads to a port")
	}
	k := v4Call(http.MethodPost, serviceTokens)
	k.Body = newTokenBody(w)
	r, out, ok := c.decide(ctx, k, toPlace)
	if !ok {
		return ServiceToken{}, out
	}
	t, err := readToken(r.Body)
	if err != nil {
		return ServiceToken{}, exchange.Outcome{Class: exchange.Unknown, Answer: r.Words() + " without a token"}
	}
	return t, exchange.Outcome{Class: exchange.Done, Answer: r.Words()}
}

// TokenChange has new values of a service token that nobody has used; absent ones stay.
type TokenChange struct {
	Name, Description string
	ExpiresAt         time.Time
}

// UpdateToken makes the one call that changes a service token.
func (c *Client) UpdateToken(ctx context.Context, uuid secret.Secret, to TokenChange) exchange.Outcome {
	var ops []change
	replace := func(path string, value any) { ops = append(ops, change{"replace", path, value}) }
	if to.Name != "" {
		replace("/name", to.Name)
	}
	if to.Description != "" {
		replace("/description", to.Description)
	}
	if !to.ExpiresAt.IsZero() {
		replace("/expirationDateTime", to.ExpiresAt.UTC().Format(time.RFC3339))
	}
	if len(ops) == 0 {
		return exchange.RefusedHere("", "nothing to change")
	}
	k := tokenCall(http.MethodPatch, uuid)
	k.Body, k.ContentType = ops, jsonPatch
	return c.tokenCommand(ctx, k, uuid, toAlter)
}

// DeleteToken makes the one call that takes a service token back. That it is deleted
// already is Over.
func (c *Client) DeleteToken(ctx context.Context, uuid secret.Secret) exchange.Outcome {
	return c.tokenCommand(ctx, tokenCall(http.MethodDelete, uuid), uuid, toRemove)
}

func (c *Client) tokenCommand(ctx context.Context, k wire.Call, uuid secret.Secret, v verb) exchange.Outcome {
	if !event.ValidID(uuid.Reveal()) {
		return exchange.RefusedHere("tokenUuid", errTokenID.Error())
	}
	r, out, ok := c.decide(ctx, k, v)
	if !ok {
		return out
	}
	return done(r, uuid.Reveal(), v)
}
