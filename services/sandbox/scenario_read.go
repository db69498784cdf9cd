package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"patchbay.io/pkg/account"
)

// ScenarioError is all that is wrong with a scenario file, by line.
type ScenarioError []ScenarioMistake

// ScenarioMistake is one thing that is wrong. Line is 0 where it is not known.
type ScenarioMistake struct {
	Line int
	Text string
}

func (e ScenarioError) Error() string {
	lines := make([]string, len(e))
	for i, m := range e {
		lines[i] = m.Text
		if m.Line > 0 {
			lines[i] = fmt.Sprintf("line %d: %s", m.Line, m.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// ReadScenario reads a YAML file: see docs/sandbox.md for its keys. Unknown keys are
// mistakes, and so is whatever could never have an effect at an exchange of the default
// inventory. The error is a [ScenarioError] with every mistake.
func ReadScenario(file []byte) (*Scenario, error) {
	r := &scenarioReader{exchange: New(Config{}), delayed: DefaultDelays()}
	defer r.exchange.Close()
	s := &Scenario{}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(file))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return s, nil
	case err != nil:
		line, text := account.YAMLError(err)
		return nil, ScenarioError{{Line: line, Text: text}}
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, ScenarioError{{Line: more.Line, Text: "more than one document"}}
	}
	r.scenario(doc.Content[0], s)
	if len(r.wrong) > 0 {
		slices.SortStableFunc(r.wrong, func(a, b ScenarioMistake) int { return a.Line - b.Line })
		return nil, r.wrong
	}
	return s, nil
}

// scenarioReader collects what is wrong on its way through a document.
type scenarioReader struct {
	wrong    ScenarioError
	exchange *Exchange // to look things up in
	delayed  Delays    // as they are at the step that is being read
	reached  time.Duration
}

// field reads the value of a key.
type field func(*yaml.Node)

func (r *scenarioReader) fail(n *yaml.Node, format string, args ...any) {
	r.wrong = append(r.wrong, ScenarioMistake{n.Line, fmt.Sprintf(format, args...)})
}

func (r *scenarioReader) scenario(n *yaml.Node, s *Scenario) {
	var seed, lockAfter int
	steps := func() {}
	r.mapping(n, map[string]field{
		"seed": r.number(&seed), "lockAfter": r.number(&lockAfter), "delays": r.delays(&s.Delays),
		"robots": each(r, r.robot, &s.Robots), "faults": each(r, r.fault, &s.Faults),
		// Read last, wherever it stands: a step's delays change those from the start.
		"steps": func(n *yaml.Node) { steps = func() { each(r, r.step, &s.Steps)(n) } },
	})
	steps()
	s.Seed, s.LockAfter = int64(seed), lockAfter
}

func (r *scenarioReader) step(n *yaml.Node) ScenarioStep {
	var s ScenarioStep
	at := false
	r.mapping(n, map[string]field{
		"at":     func(n *yaml.Node) { at = true; r.duration(&s.At)(n) },
		"delays": r.delays(&s.Delays), "robots": each(r, r.robot, &s.Robots), "faults": each(r, r.fault, &s.Faults),
		"edits": each(r, r.edit, &s.Edits), "clearFaults": r.flag(&s.ClearFaults),
	})
	switch {
	case !at:
		r.fail(n, "a step needs at, the time after the start")
	case s.At < r.reached:
		r.fail(n, "the step at %s stands after that at %s; steps go by time", s.At, r.reached)
	}
	r.reached = max(r.reached, s.At)
	return s
}

// delays reads delays; those that are left out stay as they are.
func (r *scenarioReader) delays(to **Delays) field {
	return func(n *yaml.Node) {
		d := r.delayed
		r.mapping(n, map[string]field{
			"provision": r.duration(&d.Provision), "deprovision": r.duration(&d.Deprovision),
			"visible": r.duration(&d.Visible), "answer": r.duration(&d.Answer), "history": r.duration(&d.History),
		})
		*to, r.delayed = &d, d
	}
}

func (r *scenarioReader) robot(n *yaml.Node) Robot {
	var robot Robot
	before := len(r.wrong)
	r.mapping(n, map[string]field{
		"profile": r.text(&robot.Profile), "action": r.text(&robot.Action), "after": r.duration(&robot.After),
		"comment": r.text(&robot.Comment), "on": each(r, r.word, &robot.On),
	})
	r.check(n, before, r.exchange.checkRobot(robot))
	return robot
}

func (r *scenarioReader) fault(n *yaml.Node) Fault {
	var f Fault
	before := len(r.wrong)
	r.mapping(n, map[string]field{
		"kind": r.text(&f.Kind), "times": r.number(&f.Times), "every": r.number(&f.Every), "after": r.number(&f.After),
		"status": r.number(&f.Status), "retryAfter": r.duration(&f.RetryAfter), "delay": r.duration(&f.Delay),
		"body": r.text(&f.Body), "value": r.text(&f.Value),
		"match": func(n *yaml.Node) {
			r.mapping(n, map[string]field{
				"method": r.text(&f.Match.Method), "path": r.text(&f.Match.Path), "action": r.text(&f.Match.Action),
				"tenant": r.tenant(&f.Match.Tenant), "name": r.text(&f.Match.Name),
			})
		},
	})
	r.check(n, before, f.check())
	return f
}

func (r *scenarioReader) edit(n *yaml.Node) Edit {
	var e Edit
	before := len(r.wrong)
	r.mapping(n, map[string]field{
		"kind": r.text(&e.Kind), "connection": r.text(&e.Connection), "name": r.text(&e.Name),
		"speedMbps": r.number(&e.SpeedMbps), "status": r.text(&e.Status), "providerStatus": r.text(&e.ProviderStatus),
		"comment": r.text(&e.Comment), "profile": r.text(&e.Profile), "key": r.text(&e.Key), "client": r.text(&e.Client),
	})
	r.check(n, before, e.check())
	return e
}

// check adds each line of err about the whole of n, unless one of its fields has been found
// wrong since before: that would only be said twice.
func (r *scenarioReader) check(n *yaml.Node, before int, err error) {
	if err == nil || len(r.wrong) > before {
		return
	}
	for text := range strings.Lines(err.Error()) {
		r.fail(n, "%s", strings.TrimSpace(text))
	}
}

// mapping reads each key of n with its field.
func (r *scenarioReader) mapping(n *yaml.Node, fields map[string]field) {
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
			r.fail(pair[0], "unknown key %q; known are %s", key, known())
		case line != 0:
			r.fail(pair[0], "%s is there twice, first on line %d", key, line)
		default:
			lines[key] = pair[0].Line
			read(pair[1])
		}
	}
}

// each reads a list.
func each[T any](r *scenarioReader, one func(*yaml.Node) T, to *[]T) field {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.fail(n, "must be a list")
			return
		}
		for _, item := range n.Content {
			*to = append(*to, one(item))
		}
	}
}

// word reads a single value. Aliases are no part of this format.
func (r *scenarioReader) word(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		r.fail(n, "must be a single value")
		return ""
	}
	return n.Value
}

func (r *scenarioReader) text(to *string) field {
	return func(n *yaml.Node) { *to = r.word(n) }
}

func (r *scenarioReader) tenant(to *string) field {
	return func(n *yaml.Node) {
		*to = r.word(n)
		if *to != "" && !slices.ContainsFunc(r.exchange.tenants, func(t *tenant) bool {
			return *to == t.org || *to == t.clientID
		}) {
			r.fail(n, "no tenant %q", *to)
		}
	}
}

func (r *scenarioReader) number(to *int) field {
	return func(n *yaml.Node) {
		text := r.word(n)
		if i, err := strconv.Atoi(text); err == nil {
			*to = i
		} else if text != "" {
			r.fail(n, "%q is not a whole number", text)
		}
	}
}

func (r *scenarioReader) flag(to *bool) field {
	return func(n *yaml.Node) {
		text := r.word(n)
		if text != "true" && text != "false" {
			r.fail(n, "%q is neither true nor false", text)
		}
		*to = text == "true"
	}
}

func (r *scenarioReader) duration(to *time.Duration) field {
	return func(n *yaml.Node) {
		text := r.word(n)
		if text == "" {
			return
		}
		if err := (*span)(to).UnmarshalText([]byte(text)); err != nil {
			r.fail(n, "%q is not a duration such as 5s or 2m30s, and at least 0s", text)
		}
	}
}
