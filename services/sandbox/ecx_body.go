package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
)

// body is a request's JSON object. Reading a field notes what is wrong with it and
// marks it, so that nobody complains about it twice. Absent, null and "" are the same.
type body struct {
	fields map[string]json.RawMessage
	bad    map[string]bool
	wrong  *violations
}

func parseBody(b []byte, wrong *violations) body {
	out := body{bad: make(map[string]bool), wrong: wrong}
	if len(bytes.TrimSpace(b)) == 0 {
		return out
	}
	if err := json.Unmarshal(b, &out.fields); err != nil {
		wrong.invalid("", "Request body is not a valid JSON object")
	}
	return out
}

func (b body) has(field string) bool {
	switch string(b.fields[field]) {
	case "", "null", `""`:
		return false
	}
	return true
}

// first returns the first of the fields that is given, or the last.
func (b body) first(fields ...string) string {
	for _, f := range fields {
		if b.has(f) {
			return f
		}
	}
	return fields[len(fields)-1]
}

func (b body) fail(field, more string) {
	b.bad[field] = true
	b.wrong.invalid(field, more)
}

func (b body) str(field string) string {
	var s string
	if b.has(field) && json.Unmarshal(b.fields[field], &s) != nil {
		b.fail(field, "Type: "+field+" must be a string")
	}
	return s
}

// num reads an integer, which may also be written as text.
func (b body) num(field string) int {
	if !b.has(field) {
		return 0
	}
	text := strings.TrimSpace(strings.Trim(string(b.fields[field]), `"`))
	n, err := strconv.Atoi(text)
	if err != nil {
		b.fail(field, "Type: "+field+" must be a number")
	}
	return n
}

// vlan reads a tag, 0 if it is not given. label names it in the complaint.
func (b body) vlan(field, label string) int {
	n := b.num(field)
	if b.has(field) && !b.bad[field] && (n < minTag || n > maxTag) {
		b.fail(field, fmt.Sprintf("%s CTag/STag must be between %d and %d", label, minTag, maxTag))
		return 0
	}
	return n
}

// validName reports whether s is words of letters, digits, hyphens and underscores.
func validName(s string) bool {
	for _, r := range s {
		if !strings.ContainsRune(nameCharacters, r) {
			return false
		}
	}
	return s == strings.TrimSpace(s)
}

const nameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_ "

// name reads a connection's name. property is how complaints spell the field, label
// what they call it.
func (b body) name(field, property, label string) string {
	s := b.str(field)
	switch {
	case b.bad[field]:
	case s == "":
		b.wrong.invalid(property, "NotEmpty: "+label+" is required")
	case len(s) > 24:
		b.wrong.invalid(property, "Size: Max 24 characters are allowed for "+label)
	case !validName(s):
		b.wrong.invalid(property, "Pattern: Only number,characters,'_' and space between words are allowed")
	}
	return s
}

func (b body) emails(field string) []string {
	var list []string
	if b.has(field) && json.Unmarshal(b.fields[field], &list) != nil {
		b.fail(field, "Type: "+field+" must be an array of strings")
		return nil
	}
	if len(list) == 0 {
		b.fail(field, "NotEmpty: At least one email is required for "+field)
	}
	for _, e := range list {
		if a, err := mail.ParseAddress(e); err != nil || a.Address != e {
			b.fail(field, "Email: "+strconv.Quote(e)+" is not a valid email")
		}
	}
	return list
}

// speed reads a bandwidth, zero if none is given.
func (b body) speed(field, unitField string) speed {
	s := speed{b.num(field), strings.ToUpper(b.str(unitField))}
	if b.has(field) && !b.bad[field] && s.value <= 0 {
		b.fail(field, "Min: "+field+" must be positive")
	}
	if !b.bad[unitField] && (b.has(field) || b.has(unitField)) && s.unit != "MB" && s.unit != "GB" {
		b.fail(unitField, "Pattern: "+unitField+" must be MB or GB")
	}
	if b.bad[field] || b.bad[unitField] {
		return speed{}
	}
	return s
}

func (b body) info(field string) []infoField {
	var list []infoField
	if b.has(field) && json.Unmarshal(b.fields[field], &list) != nil {
		b.fail(field, "Type: "+field+" must be an array of name and value")
	}
	return list
}

// sells reports whether p sells s.
func (p *profile) sells(s speed) bool { return slices.Contains(p.speeds(), s.mbps()) }
