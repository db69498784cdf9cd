package account

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxValues bounds the work of reading: aliases let a short file have a great many.
const maxValues = 100_000

// walker goes through a YAML document and collects what is wrong with it. It decodes by
// hand because the library's decoder knows no paths and stops at some mistakes.
type walker struct {
	found Violations
	left  int // values that may still be read
}

// value is what stands at a path. Absent values have no node and their parent's line.
type value struct {
	node *yaml.Node
	path string
	line int
	mute bool // its keys must not be shown, since one may be a misplaced secret
}

// document returns the only document of data.
func (w *walker) document(data []byte) value {
	top := value{line: 1}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return top
	case err != nil:
		w.syntax(err)
		return top
	}
	if err := dec.Decode(&more); err == nil {
		w.found = append(w.found, Violation{Line: more.Line, Message: "a second document; the file is one"})
	} else if !errors.Is(err, io.EOF) {
		w.syntax(err)
	}
	return at(doc.Content[0], "")
}

// syntaxLine finds the line in an error of the library.
var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax reports an error of the library, less what it quotes from the file.
func (w *walker) syntax(err error) {
	line, text := YAMLError(err)
	w.found = append(w.found, Violation{Line: line, Message: text})
}

// YAMLError says an error of the YAML library in words for whoever wrote the file, and on which
// line it is; 0 is not known.
func YAMLError(err error) (line int, text string) {
	text = err.Error()
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // none is 0
	}
	switch {
	case strings.Contains(text, "unknown anchor"):
		text = "a value that begins with * refers to an anchor that is not there; quote it"
	case strings.Contains(text, "cannot start any token"):
		text = "a character that nothing may begin with; lines are indented by blanks, not by tabs, and a text that begins with @ or ` is quoted"
	default:
		text = syntaxLine.ReplaceAllString(text, "")
	}
	return line, "not YAML: " + text
}

// at is the value of n, or of what n is an alias of.
func at(n *yaml.Node, path string) value {
	v := value{node: n, path: path, line: n.Line}
	for v.node.Kind == yaml.AliasNode {
		v.node = v.node.Alias
	}
	return v
}

// present tells whether something other than null stands there.
func (v value) present() bool {
	return v.node != nil && (v.node.Kind != yaml.ScalarNode || v.node.ShortTag() != "!!null")
}

func (v value) join(key string) string {
	if v.path == "" {
		return key
	}
	return v.path + "." + key
}

// fail reports what is wrong with v.
func (w *walker) fail(v value, format string, args ...any) {
	w.found = append(w.found, Violation{Line: v.line, Path: v.path, Message: fmt.Sprintf(format, args...)})
}

// spend tells whether n more values may be read.
func (w *walker) spend(v value, n int) bool {
	if w.left >= 0 && w.left < n {
		w.fail(v, "more than %d values; are there aliases of aliases?", maxValues)
	}
	if w.left < n {
		w.left = -1
		return false
	}
	w.left -= n
	return true
}

// need reports v if it is absent.
func (w *walker) need(v value) bool {
	if !v.present() {
		w.fail(v, "is missing")
	}
	return v.present()
}

// object returns the values of a mapping by key, absent ones included, and reports keys
// that are unknown or there twice.
func (w *walker) object(v value, keys ...string) (map[string]value, bool) {
	if !w.need(v) {
		return nil, false
	}
	if v.node.Kind != yaml.MappingNode {
		w.fail(v, "must be a mapping with some of %s", strings.Join(keys, ", "))
		return nil, false
	}
	if !w.spend(v, len(v.node.Content)) {
		return nil, false
	}
	fields := make(map[string]value, len(keys))
	for pair := range slices.Chunk(v.node.Content, 2) {
		key := at(pair[0], v.path)
		name := key.node.Value
		switch earlier, twice := fields[name]; {
		case key.node.Kind != yaml.ScalarNode || !slices.Contains(keys, name):
			w.unknown(v, key, keys)
		case twice:
			key.path = v.join(name)
			w.fail(key, "is there twice, first on line %d", earlier.line)
		default:
			fields[name] = at(pair[1], v.join(name))
		}
	}
	for _, name := range keys {
		if _, ok := fields[name]; !ok {
			fields[name] = value{path: v.join(name), line: v.line}
		}
	}
	return fields, true
}

// credentialKeys are keys of credentials by what people write for them.
var credentialKeys = map[string]string{
	"clientid": "clientId", "id": "clientId", "client": "clientId",
	"clientsecret": "clientSecret", "secret": "clientSecret",
	"login": "login", "user": "login", "username": "login", "email": "login",
	"password": "password", "apikey": "apiKey", "key": "apiKey", "token": "apiKey",
}

// unknown reports a key of v that is none of keys.
func (w *walker) unknown(v, key value, keys []string) {
	known := strings.Join(keys, ", ")
	meant := credentialKeys[strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(key.node.Value))]
	if v.mute && slices.Contains(keys, meant) {
		known += "; did you mean " + meant + "?"
	}
	// A word of ours is no secret, however it is spelt.
	if v.mute && meant == "" || key.node.Kind != yaml.ScalarNode {
		w.fail(key, "has an unknown key here; known are %s", known)
		return
	}
	w.fail(key, "unknown key %q; known are %s", shorten(key.node.Value), known)
}

// shorten keeps messages readable.
func shorten(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// list returns the items of a sequence; none if v is absent.
func (w *walker) list(v value) []value {
	if !v.present() {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		w.fail(v, "must be a list")
		return nil
	}
	if !w.spend(v, len(v.node.Content)) {
		return nil
	}
	items := make([]value, len(v.node.Content))
	for i, n := range v.node.Content {
		items[i] = at(n, v.path+"["+strconv.Itoa(i)+"]")
	}
	return items
}

// text returns a scalar as it is written; false if it is absent or no scalar.
func (w *walker) text(v value) (string, bool) {
	if !v.present() {
		return "", false
	}
	if v.node.Kind != yaml.ScalarNode {
		w.fail(v, "must be a single value")
		return "", false
	}
	if v.node.Style&yaml.TaggedStyle != 0 {
		w.fail(v, "must have no YAML tag; quote it if it begins with !")
		return "", false
	}
	return v.node.Value, true
}

// shaped returns a text that must be there and match.
func (w *walker) shaped(v value, shape *regexp.Regexp, want string) string {
	if !w.need(v) {
		return ""
	}
	text, ok := w.text(v)
	if ok && !shape.MatchString(text) {
		w.fail(v, "%q is not %s", shorten(text), want)
	}
	return text
}

// word returns one of some words; def if v is absent, which an empty def does not allow.
func word[T ~string](w *walker, v value, def T, words ...T) T {
	if !v.present() && def != "" {
		return def
	}
	if !w.need(v) {
		return ""
	}
	text, ok := w.text(v)
	if !ok {
		return ""
	}
	if i := slices.Index(words, T(text)); i >= 0 {
		return words[i]
	}
	w.fail(v, "%q is none of %s", shorten(text), join(words))
	return ""
}

func join[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return strings.Join(texts, ", ")
}

// duration returns a duration of at least a second and at most most; def if v is absent.
func (w *walker) duration(v value, def, most time.Duration) time.Duration {
	text, ok := w.text(v)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		w.fail(v, "%q is no duration such as 90s, 10m or 72h", shorten(text))
	case d < time.Second || d > most:
		w.fail(v, "%s is not within 1s and %s", d, most)
	default:
		return d
	}
	return def
}

// number returns a number within 1 and most; def if v is absent.
func (w *walker) number(v value, def, most int) int {
	text, ok := w.text(v)
	if !ok {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		w.fail(v, "%q is no number within 1 and %d", shorten(text), most)
		return def
	}
	return n
}
