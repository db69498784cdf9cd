package intent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"patchbay.io/pkg/event"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

const (
	// MaxSize is the size of the largest intent, in bytes.
	MaxSize = 64 << 10
	// maxDepth is more than the schema needs: notifications of a leg would be at 5.
	maxDepth = 16
	// maxViolations keeps an answer small enough to be published.
	maxViolations = 100
)

// allNotifications is the type of a notification that names none.
const allNotifications = "ALL"

// Decode reads data strictly as an intent or decision of a kind. It collects every
// violation of form: text that is no JSON, fields that the schema does not have or that
// come twice, values of another type, null. The message is nil if the data could not be
// read at all; else it has the fields that could be.
//
// The result is in canonical form: a notification written as a string has become one of
// type ALL, several of them one, and an id that an exchange has given has its one spelling
// ([event.CanonicalID]).
func Decode(noun event.Noun, kind string, data []byte) (proto.Message, []*patchbayv1.Violation) {
	m, r := decode(noun, kind, data)
	return m, r.result()
}

func decode(noun event.Noun, kind string, data []byte) (proto.Message, *reader) {
	r := new(reader)
	m := New(noun, kind)
	if m == nil {
		r.add("", "", "an intent (create, change, delete) or a decision (approve, reject)", "")
		return nil, r
	}
	root, violation := parse(data)
	if violation != nil {
		r.violations = append(r.violations, violation)
		return nil, r
	}
	r.root = m.ProtoReflect().Descriptor()
	r.object("", root, m.ProtoReflect())
	return m, r
}

// reader fills a message from a JSON tree and collects what is wrong.
type reader struct {
	root       protoreflect.MessageDescriptor
	violations []*patchbayv1.Violation
	spoilt     []string          // paths whose value could not be read, or was given elsewhere
	moved      map[string]string // canonical path to the path as written
}

func (r *reader) add(field, value, rule, hint string) {
	r.violations = append(r.violations, &patchbayv1.Violation{Field: field, Value: value, Rule: rule, Hint: hint})
}

// lost reports a value that cannot be used, at a path whose rules need no further word.
func (r *reader) lost(path string, v *node, rule, hint string) {
	r.add(path, v.shown(path), rule, hint)
	r.spoilt = append(r.spoilt, path)
}

// explains reports whether v, found by a check of the decoded message, only misses what
// could not be read.
func (r *reader) explains(v *patchbayv1.Violation) bool {
	f := v.GetField()
	return v.GetValue() == "" && slices.ContainsFunc(r.spoilt, func(path string) bool {
		return f == path || f == parent(path) || below(f, path)
	})
}

// parent returns the path of the object or list that holds what is at path.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// below reports whether path lies inside the object or list at outer.
func below(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "["))
}

// asWritten returns the path at which the sender wrote the value of a path.
func (r *reader) asWritten(path string) string {
	if p, ok := r.moved[path]; ok {
		return p
	}
	return path
}

// result returns the violations, of which the first hundred are told apart.
func (r *reader) result() []*patchbayv1.Violation {
	if n := len(r.violations); n > maxViolations {
		return append(r.violations[:maxViolations:maxViolations], &patchbayv1.Violation{
			Rule: fmt.Sprintf("%d more rules are broken", n-maxViolations),
		})
	}
	return r.violations
}

func (r *reader) object(path string, n *node, m protoreflect.Message) {
	if n.kind != '{' {
		r.lost(path, n, "an object", "")
		return
	}
	seen := map[string]bool{}
	for _, x := range n.members {
		p := join(path, x.name)
		field := m.Descriptor().Fields().ByJSONName(x.name)
		switch {
		case field == nil:
			r.unknown(path, x.name, m.Descriptor())
		case seen[x.name]:
			r.add(p, x.value.shown(p), "a field once", "it is given before")
		default:
			r.field(p, x.value, fieldOf{m, field})
		}
		seen[x.name] = true
	}
}

// unknown reports a field that the schema does not have. Its value is not shown: it may
// be a secret under a misspelt name.
func (r *reader) unknown(path, name string, d protoreflect.MessageDescriptor) {
	hint := ""
	if meant := suggest(path, name, d, r.root); meant != "" {
		hint = "did you mean " + meant + "?"
		r.spoilt = append(r.spoilt, meant)
	}
	r.add(join(path, name), "", "unknown field", hint)
}

// fieldOf is one field of one message.
type fieldOf struct {
	message protoreflect.Message
	field   protoreflect.FieldDescriptor
}

func (r *reader) field(path string, v *node, f fieldOf) {
	switch {
	case v.kind == 'n':
		r.lost(path, v, "not null", "leave the field out")
	case f.field.IsList():
		r.list(path, v, f)
	case f.field.Kind() == protoreflect.MessageKind:
		r.object(path, v, f.message.Mutable(f.field).Message())
	default:
		if x, ok := r.scalar(path, v, f.field); ok {
			f.message.Set(f.field, x)
		}
	}
}

func (r *reader) list(path string, v *node, f fieldOf) {
	if v.kind != '[' {
		r.lost(path, v, "a list", "put it in [ ]")
		return
	}
	list := f.message.Mutable(f.field).List()
	short := -1 // where the addresses given as strings are gathered
	for i, item := range v.items {
		p := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case item.kind == 'n':
			r.lost(p, item, "not null", "leave it out")
		case f.field.Kind() != protoreflect.MessageKind:
			if x, ok := r.scalar(p, item, f.field); ok {
				r.move(fmt.Sprintf("%s[%d]", path, list.Len()), p)
				list.Append(x)
			}
		case item.kind == '"' && isNotification(f.field.Message()):
			short = r.address(list, short, item.str, path+"\n"+p)
		default:
			r.move(fmt.Sprintf("%s[%d]", path, list.Len()), p)
			r.object(p, item, list.AppendMutable().Message())
		}
	}
}

func isNotification(d protoreflect.MessageDescriptor) bool {
	return d == (*patchbayv1.Notification)(nil).ProtoReflect().Descriptor()
}

// address adds an e-mail address to the notification at index at of list, which it makes
// if at is negative, and returns the index. The paths are those of list and item.
func (r *reader) address(list protoreflect.List, at int, email, paths string) int {
	listPath, itemPath, _ := strings.Cut(paths, "\n")
	if at < 0 {
		at = list.Len()
		n := &patchbayv1.Notification{Type: allNotifications}
		list.Append(protoreflect.ValueOfMessage(n.ProtoReflect()))
	}
	m := list.Get(at).Message()
	emails := m.Mutable(m.Descriptor().Fields().ByJSONName("emails")).List()
	r.move(fmt.Sprintf("%s[%d].emails[%d]", listPath, at, emails.Len()), itemPath)
	emails.Append(protoreflect.ValueOfString(email))
	return at
}

// move remembers where the sender wrote what is at path now.
func (r *reader) move(path, written string) {
	if path == written {
		return
	}
	if r.moved == nil {
		r.moved = map[string]string{}
	}
	r.moved[path] = written
}

// exchangeIDs are the fields that name a thing at the exchange, by their JSON names.
var exchangeIDs = map[string]bool{"portId": true, "profileId": true, "serviceToken": true, "serviceId": true}

func (r *reader) scalar(path string, v *node, f protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	switch f.Kind() {
	case protoreflect.StringKind:
		if v.kind == '"' && exchangeIDs[f.JSONName()] {
			return protoreflect.ValueOfString(event.CanonicalID(v.str)), true
		}
		if v.kind == '"' {
			return protoreflect.ValueOfString(v.str), true
		}
		r.lost(path, v, "a text", quotes(v))
	case protoreflect.BoolKind:
		if v.kind == 'b' {
			return protoreflect.ValueOfBool(v.text == "true"), true
		}
		r.lost(path, v, "true or false", "")
	case protoreflect.Int32Kind:
		if v.kind == '0' {
			if n, err := strconv.ParseInt(v.text, 10, 32); err == nil {
				return protoreflect.ValueOfInt32(int32(n)), true
			}
		}
		r.lost(path, v, "a whole number", noQuotes(v))
	default:
		r.lost(path, v, "a field that an intent may set", "")
	}
	return protoreflect.Value{}, false
}

func quotes(v *node) string {
	if v.kind == '0' || v.kind == 'b' {
		return "put it in quotes"
	}
	return ""
}

func noQuotes(v *node) string {
	if v.kind == '"' {
		if _, err := strconv.ParseInt(v.str, 10, 32); err == nil {
			return "write it without quotes"
		}
	}
	return ""
}

// node is one value of a JSON text.
type node struct {
	kind    byte   // { [ " 0 (number) b (boolean) n (null)
	text    string // of a number or boolean, as written
	str     string
	members []member
	items   []*node
}

type member struct {
	name  string
	value *node
}

// shown is the value as a violation shows it. Objects and lists are not opened: there may
// be secrets inside, and the violation is not about them.
func (n *node) shown(path string) string {
	switch n.kind {
	case '{':
		return "{…}"
	case '[':
		return "[…]"
	case '"':
		return shown(path, n.str)
	default:
		if isSecretPath(path) {
			return mask
		}
		return shorten(n.text)
	}
}

var errDeep = errors.New("too deep")

// parse reads data as one JSON object, or says what it is instead.
func parse(data []byte) (*node, *patchbayv1.Violation) {
	if len(data) > MaxSize {
		return nil, &patchbayv1.Violation{Rule: fmt.Sprintf("at most %d bytes", MaxSize),
			Value: fmt.Sprintf("%d bytes", len(data))}
	}
	if at := invalidUTF8(data); at >= 0 {
		return nil, &patchbayv1.Violation{Rule: "UTF-8 text", Hint: "other bytes at " + position(data, at)}
	}
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, malformed(data, err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	n, err := tree(d, 0)
	switch {
	case errors.Is(err, errDeep):
		return nil, &patchbayv1.Violation{Rule: fmt.Sprintf("objects and lists at most %d deep", maxDepth),
			Hint: "deeper at " + position(data, int(d.InputOffset())-1)}
	case err != nil:
		return nil, malformed(data, err)
	case n.kind != '{':
		return nil, &patchbayv1.Violation{Value: n.shown(""), Rule: "a JSON object", Hint: "begin with {"}
	}
	return n, nil
}

// malformed says where and why data is no JSON.
func malformed(data []byte, err error) *patchbayv1.Violation {
	v := &patchbayv1.Violation{Rule: "one JSON object and nothing after it"}
	if len(bytes.TrimSpace(data)) == 0 {
		v.Hint = "the text is empty"
		return v
	}
	v.Hint = err.Error()
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) {
		v.Hint += " at " + position(data, int(syntax.Offset)-1)
	}
	return v
}

// position names the byte of data at offset as people count: from 1.
func position(data []byte, offset int) string {
	before := data[:max(0, min(offset, len(data)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

// invalidUTF8 returns where data stops being UTF-8, -1 if nowhere.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// tree reads the next value of d, which is valid JSON.
func tree(d *json.Decoder, depth int) (*node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, errDeep
		}
		return branch(d, t, depth+1)
	case string:
		return &node{kind: '"', str: t}, nil
	case json.Number:
		return &node{kind: '0', text: t.String()}, nil
	case bool:
		return &node{kind: 'b', text: strconv.FormatBool(t)}, nil
	default:
		return &node{kind: 'n', text: "null"}, nil
	}
}

// branch reads what follows the delimiter that opens an object or list.
func branch(d *json.Decoder, open json.Delim, depth int) (*node, error) {
	n := &node{kind: byte(open)}
	for d.More() {
		var x member
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			x.name, _ = name.(string) // the decoder takes nothing else for a name
		}
		var err error
		if x.value, err = tree(d, depth); err != nil {
			return nil, err
		}
		if open == '{' {
			n.members = append(n.members, x)
		} else {
			n.items = append(n.items, x.value)
		}
	}
	_, err := d.Token() // the closing delimiter
	return n, err
}
