package sandbox

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"patchbay.io/pkg/account"
)

// ReadScenario reads a YAML file: see docs/sandbox.md for its keys. Unknown keys are
// mistakes, and so is whatever could never have an effect at an exchange of the default
// inventory. The error is [Mistakes].
func ReadScenario(file []byte) (*Scenario, error) {
	r := &scenarioReader{reader: reader{exchange: New(Config{}), delayed: DefaultDelays()}}
	defer r.exchange.Close()
	s := &Scenario{}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(file))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return s, nil
	case err != nil:
		line, text := account.YAMLError(err)
		return nil, Mistakes{{Line: line, Text: text}}
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, Mistakes{{Line: more.Line, Text: "more than one document"}}
	}
	r.scenario(doc.Content[0], s)
	slices.SortStableFunc(r.wrong, func(a, b Mistake) int { return a.Line - b.Line })
	if err := r.wrong.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// scenarioReader is a reader of a whole scenario.
type scenarioReader struct {
	reader
	reached time.Duration
}

func (r *scenarioReader) scenario(n *yaml.Node, s *Scenario) {
	var seed, lockAfter int
	steps := func() {}
	r.mapping(n, map[string]field{
		"seed": r.number(&seed), "lockAfter": r.number(&lockAfter), "delays": r.delays(&s.Delays),
		"robots": each(&r.reader, r.robot, &s.Robots), "faults": each(&r.reader, r.fault, &s.Faults),
		// Read last, wherever it stands: a step's delays change those from the start.
		"steps": func(n *yaml.Node) {
			steps = func() { r.within("steps", n, each(&r.reader, r.step, &s.Steps)) }
		},
	})
	steps()
	s.Seed, s.LockAfter = int64(seed), lockAfter
}

func (r *scenarioReader) step(n *yaml.Node) ScenarioStep {
	var s ScenarioStep
	at := false
	r.mapping(n, map[string]field{
		"at":     func(n *yaml.Node) { at = true; r.duration(&s.At)(n) },
		"delays": r.delays(&s.Delays), "robots": each(&r.reader, r.robot, &s.Robots),
		"faults": each(&r.reader, r.fault, &s.Faults), "edits": each(&r.reader, r.edit, &s.Edits),
		"clearFaults": r.flag(&s.ClearFaults),
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
