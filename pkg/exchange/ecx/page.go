package ecx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/exchange/wire"
)

// mostPages bounds a list that says of no page that it is the last.
const mostPages = 5000

// page is one page of a list. Pages count from 0.
type page struct {
	Last    *wire.Flag        `json:"isLastPage"`
	Total   *wire.Number      `json:"totalCount"`
	Content []json.RawMessage `json:"content"`
}

// readPage reads a page. The API answers 204 where there is nothing to list.
func readPage(r wire.Reply) (page, error) {
	var p page
	if r.Status == http.StatusNoContent {
		last := wire.Flag(true)
		return page{Last: &last}, nil
	}
	if json.Unmarshal(r.Body, &p) != nil || p.Content == nil && p.Last == nil && p.Total == nil {
		return page{}, errors.New("a list in a form that is not the exchange's")
	}
	return p, nil
}

// errChanged reports a list that did not hold still while it was read.
var errChanged = errors.New("the list changed while it was read")

// pages reads a list to its end and hands each item to use once. It is an error if the
// end cannot be told or if fewer items came than the exchange counts: rows move from page
// to page while circuits come and go, and one that was missed would look gone.
func (c *Client) pages(ctx context.Context, k wire.Call, size int, use func(wire.Reply, json.RawMessage) error) error {
	seen := make(map[string]bool)
	for n := range mostPages {
		r, err := c.read(ctx, pageQuery(k, n, size))
		if err != nil {
			return err
		}
		p, err := readPage(r)
		if err != nil {
			return fmt.Errorf("%s ecx %s: %w", k.Method, k.Name, err)
		}
		fresh := 0
		for _, item := range p.Content {
			id, err := idOf(item)
			if err != nil {
				return fmt.Errorf("%s ecx %s: %w", k.Method, k.Name, err)
			}
			if seen[id] {
				continue
			}
			seen[id] = true
			fresh++
			if err := use(r, item); err != nil {
				return err
			}
		}
		if ended, err := p.end(n, len(seen), fresh); ended || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s ecx %s: no end after %d pages", k.Method, k.Name, mostPages)
}

// end reports whether page n, of which fresh items were new, is the last, when seen items
// have come in all.
func (p page) end(n, seen, fresh int) (bool, error) {
	whole := p.Total == nil || seen >= int(*p.Total)
	switch {
	case p.Last != nil && bool(*p.Last):
		if n > 0 && !whole {
			return false, errChanged
		}
		return true, nil
	case p.Last == nil && p.Total != nil && whole:
		return true, nil
	case len(p.Content) == 0 && whole, fresh == 0 && p.Total != nil && whole:
		return true, nil
	case fresh == 0:
		return false, errors.New("a page repeats an earlier one, and the list has not ended")
	}
	return false, nil
}

// idOf is the id of an item of a list.
func idOf(item json.RawMessage) (string, error) {
	var i struct {
		UUID wire.ID `json:"uuid"`
	}
	if json.Unmarshal(item, &i) != nil || !event.ValidID(string(i.UUID)) {
		return "", errRow
	}
	return string(i.UUID), nil
}

func pageQuery(k wire.Call, number, size int) wire.Call {
	q := url.Values{}
	for name, values := range k.Query {
		q[name] = values
	}
	q.Set("pageNumber", strconv.Itoa(number))
	q.Set("pageSize", strconv.Itoa(size))
	k.Query = q
	return k
}
