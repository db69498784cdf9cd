package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a page of a search.
const (
	fabricPage    = 20
	fabricMaxPage = 100
)

// properties are what a kind of resource can be searched and sorted by: a string, an int,
// a bool, a time, or nil where the resource has none.
type properties[T any] map[string]func(T) any

// searchRules are what differs between the searches of one kind of resource and another.
type searchRules[T any] struct {
	properties properties[T]
	code       string // of every refusal
	sort       string // property by which a search without an order is sorted, newest first
	path       string // of links to other pages
}

// searchRequest is the body of a search.
type searchRequest struct {
	Filter     *expression `json:"filter"`
	Pagination struct {
		Offset *int `json:"offset"`
		Limit  *int `json:"limit"`
	} `json:"pagination"`
	Sort []struct {
		Property  string `json:"property"`
		Direction string `json:"direction"`
	} `json:"sort"`
}

// expression is a filter: all of And, any of Or, or a comparison.
type expression struct {
	And      []expression `json:"and"`
	Or       []expression `json:"or"`
	Property string       `json:"property"`
	Operator string       `json:"operator"`
	Values   []any        `json:"values"`
}

// pageView says which part of a result an answer has.
type pageView struct {
	Offset   int     `json:"offset"`
	Limit    int     `json:"limit"`
	Total    int     `json:"total"`
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
}

// sortView is an order as an answer repeats it.
type sortView struct {
	Property  string `json:"property"`
	Direction string `json:"direction"`
}

// resultView is the answer to a search.
type resultView[T any] struct {
	Pagination pageView   `json:"pagination"`
	Sort       []sortView `json:"sort,omitempty"`
	Data       []T        `json:"data"`
}

// searching is a search that has been understood.
type searching[T any] struct {
	match   func(T) bool
	request searchRequest
	rules   searchRules[T]
	offset  int
	limit   int
	order   []sortView
}

// parseSearch understands the body of a search. The query may give offset and limit
// where the body does not.
func parseSearch[T any](body []byte, query url.Values, rules searchRules[T]) (searching[T], fabricErrors) {
	var wrong fabricErrors
	s := searching[T]{rules: rules, match: func(T) bool { return true }}
	if len(strings.TrimSpace(string(body))) > 0 {
		if err := json.Unmarshal(body, &s.request); err != nil {
			return s, fabricErrors{{Code: rules.code, Message: "Invalid request body", Details: err.Error()}}
		}
	}
	s.offset = bound(s.request.Pagination.Offset, query, "offset", 0)
	s.limit = bound(s.request.Pagination.Limit, query, "limit", fabricPage)
	if s.offset < 0 {
		wrong.add(rules.code, "Invalid request body: offset must be at least 0", "pagination.offset")
	}
	if s.limit < 1 || s.limit > fabricMaxPage {
		wrong.add(rules.code, "Invalid request body: limit must be between 1 and 100", "pagination.limit")
	}
	if s.request.Filter != nil {
		s.match = compile(*s.request.Filter, rules, &wrong)
	}
	for _, o := range s.request.Sort {
		v := sortView{o.Property, cmp.Or(strings.ToUpper(o.Direction), "DESC")}
		if rules.properties[v.Property] == nil {
			wrong.add(rules.code, "Invalid request body: unsupported property "+strconv.Quote(v.Property), "sort.property")
		}
		if v.Direction != "ASC" && v.Direction != "DESC" {
			wrong.add(rules.code, "Invalid request body: direction must be ASC or DESC", "sort.direction")
		}
		s.order = append(s.order, v)
	}
	if len(s.order) == 0 {
		s.order = []sortView{{rules.sort, "DESC"}}
	}
	return s, wrong
}

// bound reads a number of the body or else of the query; what is no number is -1.
func bound(given *int, query url.Values, name string, usual int) int {
	if given != nil {
		return *given
	}
	if !query.Has(name) {
		return usual
	}
	n, err := strconv.Atoi(query.Get(name))
	if err != nil {
		return -1
	}
	return n
}

// run returns the page of the items that match. Items that are alike in all that they
// are sorted by stay in the order in which they come.
func (s searching[T]) run(items iter.Seq[T]) ([]T, pageView) {
	var found []T
	for one := range items {
		if s.match(one) {
			found = append(found, one)
		}
	}
	if s.offset < len(found) {
		s.sort(found)
	}
	total := len(found)
	found = found[min(s.offset, total):min(s.offset+s.limit, total)]
	return found, links(s.rules.path, s.offset, s.limit, total)
}

func (s searching[T]) sort(found []T) {
	type keyed struct {
		item T
		keys []any
	}
	list := make([]keyed, len(found))
	keys := make([]any, len(found)*len(s.order))
	for i, one := range found {
		list[i] = keyed{one, keys[i*len(s.order) : (i+1)*len(s.order)]}
		for j, o := range s.order {
			list[i].keys[j] = s.rules.properties[o.Property](one)
		}
	}
	slices.SortStableFunc(list, func(a, b keyed) int {
		for j, o := range s.order {
			if c := rank(a.keys[j], b.keys[j]); c != 0 {
				if o.Direction == "DESC" {
					return -c
				}
				return c
			}
		}
		return 0
	})
	for i := range list {
		found[i] = list[i].item
	}
}

// links says where a page is among total items.
func links(path string, offset, limit, total int) pageView {
	p := pageView{Offset: offset, Limit: limit, Total: total}
	at := func(offset int) *string {
		s := fmt.Sprintf("%s?offset=%d&limit=%d", path, offset, limit)
		return &s
	}
	if offset+limit < total {
		p.Next = at(offset + limit)
	}
	if offset > 0 {
		p.Previous = at(max(offset-limit, 0))
	}
	return p
}

// compile makes a test of e. A property that a resource does not have matches IS NULL
// and the operators that deny something.
func compile[T any](e expression, rules searchRules[T], wrong *fabricErrors) func(T) bool {
	switch {
	case e.And != nil:
		return all(parts(e.And, rules, wrong), true)
	case e.Or != nil:
		return all(parts(e.Or, rules, wrong), false)
	}
	get := rules.properties[e.Property]
	if get == nil {
		wrong.add(rules.code, "Invalid request body: unsupported property "+strconv.Quote(e.Property), e.Property)
		return func(T) bool { return false }
	}
	test, err := comparison(strings.ToUpper(strings.TrimSpace(e.Operator)), e.Values)
	if err != nil {
		wrong.add(rules.code, "Invalid request body: "+err.Error(), e.Property)
		return func(T) bool { return false }
	}
	return func(one T) bool { return test(get(one)) }
}

func parts[T any](list []expression, rules searchRules[T], wrong *fabricErrors) []func(T) bool {
	var out []func(T) bool
	for _, e := range list {
		out = append(out, compile(e, rules, wrong))
	}
	return out
}

// all tests whether every one of tests says yes, or, for any, whether one of them does.
func all[T any](tests []func(T) bool, every bool) func(T) bool {
	return func(one T) bool {
		for _, t := range tests {
			if t(one) != every {
				return !every
			}
		}
		return every
	}
}

// comparison returns the test of an operator with its values.
func comparison(operator string, values []any) (func(any) bool, error) {
	ops := make([]operand, len(values))
	for i, v := range values {
		ops[i] = operandOf(v)
	}
	if name, ok := strings.CutPrefix(operator, "NOT "); ok {
		test, err := comparison(name, values)
		return func(v any) bool { return !test(v) }, err
	}
	want := 1
	var test func(any) bool
	switch operator {
	case "=", "IN":
		want, test = -1, oneOf(ops)
	case "!=":
		same := oneOf(ops)
		want, test = -1, func(v any) bool { return !same(v) }
	case "IS NULL":
		return func(v any) bool { return v == nil }, nil
	case "IS NOT NULL":
		return func(v any) bool { return v != nil }, nil
	case "LIKE", "ILIKE", "ILKE":
		return like(operator != "LIKE", values)
	case ">":
		test = func(v any) bool { c, ok := ops[0].compare(v); return ok && c > 0 }
	case ">=":
		test = func(v any) bool { c, ok := ops[0].compare(v); return ok && c >= 0 }
	case "<":
		test = func(v any) bool { c, ok := ops[0].compare(v); return ok && c < 0 }
	case "<=":
		test = func(v any) bool { c, ok := ops[0].compare(v); return ok && c <= 0 }
	case "BETWEEN":
		want, test = 2, func(v any) bool {
			low, ok := ops[0].compare(v)
			high, _ := ops[1].compare(v)
			return ok && low >= 0 && high <= 0
		}
	default:
		return nil, fmt.Errorf("unsupported operator %q", operator)
	}
	if len(values) == 0 || want > 0 && len(values) != want {
		return nil, fmt.Errorf("operator %s has %d values", operator, len(values))
	}
	return test, nil
}

// like returns the test of a pattern. Both % and * stand for any text; a pattern without
// either is found anywhere.
func like(fold bool, values []any) (func(any) bool, error) {
	if len(values) == 0 {
		return nil, fmt.Errorf("operator LIKE has no values")
	}
	var patterns []*regexp.Regexp
	for _, v := range values {
		text := fmt.Sprint(v)
		if !strings.ContainsAny(text, "%*") {
			text = "%" + text + "%"
		}
		pattern := strings.NewReplacer("%", ".*", `\*`, ".*").Replace(regexp.QuoteMeta(text))
		if fold {
			pattern = "(?i)" + pattern
		}
		patterns = append(patterns, regexp.MustCompile("(?s)^"+pattern+"$"))
	}
	return func(v any) bool {
		return v != nil && slices.ContainsFunc(patterns, func(r *regexp.Regexp) bool { return r.MatchString(fmt.Sprint(v)) })
	}, nil
}

// operand is a value of a filter in each form it can be compared in.
type operand struct {
	text   string
	number float64
	is     bool // number is set
	at     time.Time
}

func operandOf(v any) operand {
	o := operand{text: fmt.Sprint(v)}
	if f, ok := v.(float64); ok {
		o.text, o.number, o.is = strconv.FormatFloat(f, 'f', -1, 64), f, true
	} else if f, err := strconv.ParseFloat(o.text, 64); err == nil {
		o.number, o.is = f, true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999Z", time.DateOnly} {
		if t, err := time.Parse(layout, o.text); err == nil {
			o.at = t
			break
		}
	}
	return o
}

// compare orders v against o. It reports false where the two cannot be compared.
func (o operand) compare(v any) (int, bool) {
	switch v := v.(type) {
	case string:
		return strings.Compare(v, o.text), true
	case int:
		return cmp.Compare(float64(v), o.number), o.is
	case bool:
		return strings.Compare(strconv.FormatBool(v), strings.ToLower(o.text)), true
	case time.Time:
		return v.Compare(o.at), !o.at.IsZero()
	}
	return 0, false
}

// oneOf tests whether a value is among ops.
func oneOf(ops []operand) func(any) bool {
	texts := make(map[string]bool, len(ops))
	for _, o := range ops {
		texts[o.text] = true
	}
	return func(v any) bool {
		if s, ok := v.(string); ok {
			return texts[s]
		}
		return slices.ContainsFunc(ops, func(o operand) bool { c, ok := o.compare(v); return ok && c == 0 })
	}
}

// rank orders two values of one property; nothing comes first.
func rank(a, b any) int {
	switch a := a.(type) {
	case nil:
		if b == nil {
			return 0
		}
		return -1
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b)
		}
	case int:
		if b, ok := b.(int); ok {
			return cmp.Compare(a, b)
		}
	case bool:
		if b, ok := b.(bool); ok {
			return strings.Compare(strconv.FormatBool(a), strconv.FormatBool(b))
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b)
		}
	}
	return 1
}
