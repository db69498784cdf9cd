package client

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	ce "github.com/cloudevents/sdk-go/v2/event"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/intent"
)

// ownSource is the source of intents that name none.
const ownSource = "patchbay/cli"

// mostBytes of a file are read. It is far more than an intent may have, and less than
// NATS takes.
const mostBytes = 512 << 10

// identity overrides what files say, or do not say, of their events.
type identity struct{ id, source, kind string }

// handed is an intent from a file, ready to be published.
type handed struct {
	file    string
	event   ce.Event
	kind    string
	orderID string
	traceID string
}

// readFiles reads an intent from each file, "-" being in. It returns those that it could read,
// and all that is wrong with the others as one error.
func readFiles(in io.Reader, files []string, as identity) ([]handed, error) {
	if as.id != "" && len(files) > 1 {
		return nil, Fail(exitUsage, "--id names one intent, and there are %d files", len(files))
	}
	var all []handed
	var wrong []error
	for _, name := range files {
		data, err := readFile(in, name)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		h, err := read(data, as)
		if err != nil {
			wrong = append(wrong, Fail(exitInvalid, "%s: %w", name, err))
			continue
		}
		h.file = name
		all = append(all, h)
	}
	return all, errors.Join(wrong...)
}

// unsound is all that is wrong with intents, as far as it can be told without asking anybody.
func unsound(all []handed) error {
	var wrong []error
	for _, h := range all {
		_, violations := intent.Read(event.Intent, h.kind, h.event.Data())
		for _, v := range violations {
			wrong = append(wrong, Fail(exitInvalid, "%s: %s", h.file, intent.Line(v)))
		}
	}
	return errors.Join(wrong...)
}

func readFile(in io.Reader, name string) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, mostBytes+1))
	if len(data) > mostBytes {
		err = Fail(exitInvalid, "%s: more than %d bytes; the data of an intent has at most %d", name, mostBytes, intent.MaxSize)
	}
	return data, err
}

// read makes an event of a CloudEvent in structured JSON, or of bare data. What is missing
// of its identity is filled in: the same data has the same id, however it is laid out.
func read(text []byte, as identity) (handed, error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	if err := valid(text); err != nil {
		return handed{}, fmt.Errorf("not JSON: %w", err)
	}
	fields := map[string]json.RawMessage{}
	whole := json.Unmarshal(text, &fields) == nil && fields["specversion"] != nil
	if !whole {
		fields = map[string]json.RawMessage{
			"specversion": json.RawMessage(`"1.0"`), "datacontenttype": json.RawMessage(`"application/json"`), "data": text,
		}
	}
	data := fields["data"]
	for _, f := range []struct{ name, override, standard string }{
		{"id", as.id, intent.ID(data)},
		{"source", as.source, ownSource},
		{"type", typeOf(as.kind), event.IntentType(event.Intent, intent.KindOf(data))},
		{event.ExtTraceParent, "", newTrace()},
	} {
		if value := chosen(fields[f.name], f.override, f.standard); value != nil {
			fields[f.name] = value
		}
	}
	structured, err := json.Marshal(fields)
	if err != nil {
		return handed{}, err
	}
	var e ce.Event
	if err := json.Unmarshal(structured, &e); err != nil {
		return handed{}, fmt.Errorf("not a CloudEvent: %w", err)
	}
	return handedOver(e)
}

func handedOver(e ce.Event) (handed, error) {
	if err := e.Validate(); err != nil {
		return handed{}, fmt.Errorf("not a CloudEvent: %s", strings.TrimSpace(err.Error()))
	}
	noun, kind, ok := event.IntentKind(e.Type())
	if !ok || noun != event.Intent {
		return handed{}, fmt.Errorf("type %q is no intent: want %s, or .change. or .delete. in it (--type)",
			e.Type(), event.IntentType(event.Intent, intent.Create))
	}
	h := handed{event: e, kind: kind, orderID: event.OrderID(e.Source(), e.ID())}
	if parts := strings.Split(event.OriginOf(e).TraceParent, "-"); len(parts) == 4 {
		h.traceID = parts[1]
	}
	return h, nil
}

// valid says where text stops being JSON.
func valid(text []byte) error {
	var any json.RawMessage
	err := json.Unmarshal(text, &any)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		before := text[:min(int(syntax.Offset), len(text))]
		return fmt.Errorf("line %d: %w", 1+bytes.Count(before, []byte("\n")), err)
	}
	return err
}

// chosen is the JSON of what a field of an event is to be, nil if it stays.
func chosen(has json.RawMessage, override, standard string) json.RawMessage {
	value := override
	if value == "" && has == nil {
		value = standard
	}
	if value == "" {
		return nil
	}
	b, err := json.Marshal(value)
	if err != nil {
		return nil // a string always encodes
	}
	return b
}

// typeOf takes a kind for its type.
func typeOf(kind string) string {
	if slices.Contains([]string{intent.Create, intent.Change, intent.Delete}, kind) {
		return event.IntentType(event.Intent, kind)
	}
	return kind
}

// newTrace begins a trace, so that all that follows from an intent can be found by it.
func newTrace() string {
	var id [24]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "" // it never fails; without a trace an intent is as good
	}
	return "00-" + hex.EncodeToString(id[:16]) + "-" + hex.EncodeToString(id[16:]) + "-01"
}
