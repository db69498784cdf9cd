package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader reads what an exchange is told to do, and collects what is wrong on its way through
// a document. Scenario files and the control API share it, so that neither takes what the
// other refuses.
type reader struct {
	wrong    Mistakes
	exchange *Exchange      // to look things up in
	delayed  Delays         // as they are where it reads
	path     string         // of the field that it reads, such as faults[0].match
	lines    map[string]int // of the fields so far, by path
}

// field reads the value of a key.
type field func(*yaml.Node)

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.wrong = append(r.wrong, Mistake{n.Line, r.path, fmt.Sprintf(format, args...)})
}

// within reads n as the part of the present field that has this name.
func (r *reader) within(name string, n *yaml.Node, read field) {
	outer := r.path
	defer func() { r.path = outer }()
	r.path = join(outer, name)
	if r.lines == nil {
		r.lines = make(map[string]int)
	}
	if _, ok := r.lines[r.path]; !ok {
		r.lines[r.path] = n.Line
	}
	read(n)
}

// join is the path of a part of a field.
func join(path, name string) string {
	if path == "" || name == "" || strings.HasPrefix(name, "[") {
		return path + name
	}
	return path + "." + name
}

// check adds what is wrong with n, the present field, when all of it has been read: not with
// what could not be read, which was wrong already.
func (r *reader) check(n *yaml.Node, wrong Mistakes) {
	said := func(path string) bool {
		return slices.ContainsFunc(r.wrong, func(m Mistake) bool { return m.Field == path })
	}
	if said(r.path) {
		return
	}
	for _, m := range wrong {
		m.Field = join(r.path, m.Field)
		if said(m.Field) {
			continue
		}
		m.Line = n.Line
		if line := r.lines[m.Field]; line > 0 {
			m.Line = line
		}
		r.wrong = append(r.wrong, m)
	}
}

// delays reads delays; those that are left out stay as they are.
func (r *reader) delays(to **Delays) field {
	return func(n *yaml.Node) {
		d := r.delayed
		r.mapping(n, map[string]field{
			"provision": r.duration(&d.Provision), "deprovision": r.duration(&d.Deprovision),
			"visible": r.duration(&d.Visible), "answer": r.duration(&d.Answer), "history": r.duration(&d.History),
		})
		*to, r.delayed = &d, d
	}
}

func (r *reader) robot(n *yaml.Node) Robot {
	var robot Robot
	r.mapping(n, map[string]field{
		"profile": r.text(&robot.Profile), "action": r.text(&robot.Action), "after": r.duration(&robot.After),
		"comment": r.text(&robot.Comment), "on": each(r, r.word, &robot.On),
	})
	r.check(n, r.exchange.checkRobot(robot))
	return robot
}

func (r *reader) fault(n *yaml.Node) Fault {
	var f Fault
	r.mapping(n, map[string]field{
		"kind": r.text(&f.Kind), "times": r.number(&f.Times), "every": r.number(&f.Every), "after": r.number(&f.After),
		"status": r.number(&f.Status), "retryAfter": r.duration(&f.RetryAfter), "delay": r.duration(&f.Delay),
		"body": r.text(&f.Body), "value": r.text(&f.Value),
		"match": func(n *yaml.Node) {
			r.mapping(n, map[string]field{
				"method": r.text(&f.Match.Method), "path": r.text(&f.Match.Path), "action": r.text(&f.Match.Action),
				"tenant": r.text(&f.Match.Tenant), "name": r.text(&f.Match.Name),
			})
		},
	})
	r.check(n, r.exchange.checkFault(f))
	return f
}

func (r *reader) edit(n *yaml.Node) Edit {
	var e Edit
	r.mapping(n, map[string]field{
		"kind": r.text(&e.Kind), "connection": r.text(&e.Connection), "name": r.text(&e.Name),
		"speedMbps": r.number(&e.SpeedMbps), "status": r.text(&e.Status), "providerStatus": r.text(&e.ProviderStatus),
		"comment": r.text(&e.Comment), "profile": r.text(&e.Profile), "key": r.text(&e.Key), "client": r.text(&e.Client),
	})
	r.check(n, r.exchange.checkEdit(e))
	return e
}

// mapping reads each key of n with its field.
func (r *reader) mapping(n *yaml.Node, fields map[string]field) {
	known := func() string {
		var keys []string
		for key := range fields {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		return strings.Join(keys, ", ")
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "must be a mapping with some of %s", known())
		return
	}
	lines := make(map[string]int)
	for pair := range slices.Chunk(n.Content, 2) {
		key := pair[0].Value
		read, ok := fields[key]
		switch line := lines[key]; {
		case !ok:
			r.within(plain(key), pair[0], func(n *yaml.Node) { r.fail(n, "unknown key; known are %s", known()) })
		case line != 0:
			r.within(key, pair[0], func(n *yaml.Node) { r.fail(n, "is there twice, first on line %d", line) })
		default:
			lines[key] = pair[0].Line
			r.within(key, pair[1], read)
		}
	}
}

// plain is a key that may be anything, fit to stand in a path.
func plain(key string) string {
	if quoted := strconv.Quote(key); key == "" || len(quoted) > len(key)+2 || strings.ContainsAny(key, " .[:") {
		return quoted
	}
	return key
}

// each reads a list.
func each[T any](r *reader, one func(*yaml.Node) T, to *[]T) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.fail(n, "must be a list")
			return
		}
		for i, item := range n.Content {
			r.within(fmt.Sprintf("[%d]", i), item, func(n *yaml.Node) { *to = append(*to, one(n)) })
		}
	}
}

// word reads a single value. Aliases are no part of this format.
func (r *reader) word(n *yaml.Node) string {
	var text string
	r.text(&text)(n)
	return text
}

// value reads a single value with take.
func (r *reader) value(take func(n *yaml.Node, text string)) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			r.fail(n, "must be a single value, or be left out")
			return
		}
		take(n, n.Value)
	}
}

func (r *reader) text(to *string) field {
	return r.value(func(_ *yaml.Node, text string) { *to = text })
}

func (r *reader) number(to *int) field {
	return r.value(func(n *yaml.Node, text string) {
		i, err := strconv.Atoi(text)
		if err != nil {
			r.fail(n, "%q is not a whole number", text)
			return
		}
		*to = i
	})
}

func (r *reader) flag(to *bool) field {
	return r.value(func(n *yaml.Node, text string) {
		if text != "true" && text != "false" {
			r.fail(n, "%q is neither true nor false", text)
		}
		*to = text == "true"
	})
}

func (r *reader) duration(to *time.Duration) field {
	return r.value(func(n *yaml.Node, text string) {
		if err := (*span)(to).UnmarshalText([]byte(text)); err != nil {
			r.fail(n, "%q is not a duration such as 5s or 2m30s, and at least 0s", text)
		}
	})
}
