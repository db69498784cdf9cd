package fabric

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"patchbay.io/pkg/exchange"
	"patchbay.io/pkg/exchange/wire"
)

const (
	// pageSize is the most that PaginationRequest allows; the default of 20 loses rows
	// that nobody asks for.
	pageSize = 100
	// mostPages bounds a list that never ends.
	mostPages = 5000
)

// filter is an expression of a search: a property, or others tied by and/or.
type filter struct {
	And      []filter `json:"and,omitempty"`
	Or       []filter `json:"or,omitempty"`
	Property string   `json:"property,omitempty"`
	Operator string   `json:"operator,omitempty"`
	Values   []string `json:"values,omitempty"`
}

func is(property, value string) filter {
	return filter{Property: property, Operator: "=", Values: []string{value}}
}

func in(property string, values ...string) filter {
	return filter{Property: property, Operator: "IN", Values: values}
}

type paging struct {
	Offset int `json:"offset"`
	Limit  int `json:"limit"`
}

type sorting struct {
	Property  string `json:"property"`
	Direction string `json:"direction"`
}

// query is the body of a search.
type query struct {
	Filter     *filter   `json:"filter,omitempty"`
	Pagination *paging   `json:"pagination,omitempty"`
	Sort       []sorting `json:"sort,omitempty"`
}

// search is a search that is to be read to its end.
type search struct {
	path    string // after the version
	query   query
	purpose exchange.Purpose
	secrets []string
	loose   bool           // it is no error when the list moves while it is read
	ahead   *time.Duration // where to put the clock's offset; nil if nobody asks
}

func (c *Client) search(ctx context.Context, s search, use func(json.RawMessage) error) error {
	k := v4Call(http.MethodPost, s.path)
	k.Purpose, k.Secrets = s.purpose, s.secrets
	return c.pages(ctx, listing{loose: s.loose, ahead: s.ahead, at: func(offset int) wire.Call {
		q := s.query
		q.Pagination = &paging{Offset: offset, Limit: pageSize}
		k.Body = q
		return k
	}}, use)
}

// listed is a list that is read by GET. Ports and link protocols declare no paging, so
// their first page is asked for without.
func listed(k wire.Call, declared bool) listing {
	first := k.Query
	return listing{at: func(offset int) wire.Call {
		k.Query = url.Values{}
		for name, values := range first {
			k.Query[name] = values
		}
		if declared || offset > 0 {
			k.Query.Set("offset", strconv.Itoa(offset))
			k.Query.Set("limit", strconv.Itoa(pageSize))
		}
		return k
	}}
}

// page is one page of a list. Some lists come bare: an array and nothing else.
type page struct {
	Pagination *struct {
		Total *wire.Number `json:"total"`
	} `json:"pagination"`
	Data []json.RawMessage `json:"data"`
}

func readPage(r wire.Reply) (page, error) {
	var p page
	if r.Status == http.StatusNoContent {
		return p, nil
	}
	if json.Unmarshal(r.Body, &p.Data) == nil && p.Data != nil {
		return p, nil
	}
	p = page{}
	if decode(r.Body, &p) != nil || p.Data == nil && p.Pagination == nil {
		return page{}, errors.New("a list in a form that is not the exchange's")
	}
	return p, nil
}

// total is how many items the list has, negative if the page does not tell.
func (p page) total() int {
	if p.Pagination == nil || p.Pagination.Total == nil {
		return -1
	}
	return int(*p.Pagination.Total)
}

// errChanged reports a list that did not hold still while it was read.
var errChanged = errors.New("the list changed while it was read")

// listing is a list that is to be read to its end.
type listing struct {
	at    func(offset int) wire.Call
	loose bool
	ahead *time.Duration
}

// pages reads a list to its end and hands each item to use once. It is an error if the
// end cannot be told or if fewer items came than the exchange counts, unless the listing
// is loose: items move from page to page, and one that was missed would look gone.
func (c *Client) pages(ctx context.Context, l listing, use func(json.RawMessage) error) error {
	seen := make(map[string]bool)
	offset, total := 0, -1
	for range mostPages {
		k := l.at(offset)
		r, err := c.read(ctx, k)
		if err != nil {
			return err
		}
		p, err := readPage(r)
		if err != nil {
			return fmt.Errorf("%s fabric %s: %w", k.Method, k.Name, err)
		}
		if l.ahead != nil {
			*l.ahead = r.Ahead()
		}
		fresh := 0
		for _, item := range p.Data {
			id := idOf(item)
			if seen[id] {
				continue
			}
			seen[id] = true
			fresh++
			if err := use(item); err != nil {
				return err
			}
		}
		offset += len(p.Data)
		total = max(total, p.total()) // what went while we read has moved the rest
		ended, err := p.end(total, len(seen), fresh)
		if err != nil && !l.loose {
			return fmt.Errorf("%s fabric %s: %w", k.Method, k.Name, err)
		}
		if ended || err != nil {
			return nil
		}
	}
	k := l.at(0)
	return fmt.Errorf("%s fabric %s: no end after %d pages", k.Method, k.Name, mostPages)
}

// end reports whether a page, of which fresh items were new, is the last, when seen items
// of total have come in all.
func (p page) end(total, seen, fresh int) (bool, error) {
	switch {
	case total < 0, seen >= total:
		return true, nil
	case len(p.Data) == 0, fresh == 0:
		return false, errChanged
	}
	return false, nil
}

// idOf tells items of a list apart: by uuid, or whole where they have none.
func idOf(item json.RawMessage) string {
	var i struct {
		UUID wire.ID `json:"uuid"`
		ID   wire.ID `json:"id"`
	}
	_ = decode(item, &i) // then it has none
	if i.UUID+i.ID == "" {
		return string(item)
	}
	return string(i.UUID + "/" + i.ID)
}
