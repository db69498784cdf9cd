// Command protoc-gen-jsonschema is a protoc plugin that writes a JSON Schema (draft 7) for
// each message: <Message>.json, which refers to those of other messages by file name.
//
// It describes the protobuf JSON mapping as Patchbay writes it, with the comments of the
// .proto files as descriptions. Since that mapping leaves out what is empty, nothing is
// required, and since a reader of today has to survive a field of tomorrow, nothing is
// forbidden; asyncapi.yaml adds what it knows of each event. It knows the kinds of fields
// that Patchbay uses, and fails on any other.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

const draft = "http://json-schema.org/draft-07/schema#"

// notification is the one message that may also be written as a text.
const notification = "Notification"

func main() {
	protogen.Options{}.Run(func(p *protogen.Plugin) error {
		p.SupportedFeatures = uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL)
		for _, f := range p.Files {
			if !f.Generate {
				continue
			}
			for _, m := range f.Messages {
				if err := write(p, m); err != nil {
					return fmt.Errorf("%s: %w", m.Desc.FullName(), err)
				}
			}
		}
		return nil
	})
}

// schema is the part of JSON Schema that is written.
type schema struct {
	Schema      string     `json:"$schema,omitempty"`
	Ref         string     `json:"$ref,omitempty"`
	Title       string     `json:"title,omitempty"`
	Description string     `json:"description,omitempty"`
	Type        string     `json:"type,omitempty"`
	Format      string     `json:"format,omitempty"`
	Pattern     string     `json:"pattern,omitempty"`
	Minimum     *int64     `json:"minimum,omitempty"`
	Maximum     *int64     `json:"maximum,omitempty"`
	Items       *schema    `json:"items,omitempty"`
	AllOf       []*schema  `json:"allOf,omitempty"`
	AnyOf       []*schema  `json:"anyOf,omitempty"`
	Properties  properties `json:"properties,omitempty"`
}

// properties are written in the order of the .proto file.
type properties []property

type property struct {
	name  string
	value *schema
}

// MarshalJSON writes an object.
func (p properties) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	for i, x := range p {
		value, err := marshal(x.value)
		if err != nil {
			return nil, err
		}
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(&b, "%s%q:%s", sep, x.name, value)
	}
	return []byte(b.String() + "}"), nil
}

func write(p *protogen.Plugin, m *protogen.Message) error {
	name := string(m.Desc.Name())
	s := &schema{Type: "object"}
	for _, f := range m.Fields {
		value, err := field(f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Desc.Name(), err)
		}
		s.Properties = append(s.Properties, property{f.Desc.JSONName(), value})
	}
	if name == notification {
		s = &schema{AnyOf: []*schema{s, {Type: "string", Description: `Short for {"type":"ALL","emails":[it]}; intents only.`}}}
	}
	s.Schema, s.Title, s.Description = draft, name, text(m.Comments)
	b, err := marshal(s)
	if err != nil {
		return err
	}
	_, err = p.NewGeneratedFile(name+".json", "").Write(b)
	return err
}

func field(f *protogen.Field) (*schema, error) {
	if f.Desc.IsMap() {
		return nil, errors.New("there is no rule for maps")
	}
	s, err := single(f)
	if err != nil {
		return nil, err
	}
	if f.Desc.IsList() {
		s = &schema{Type: "array", Items: s}
	}
	if about := text(f.Comments); about != "" {
		if s.Ref != "" { // draft 7 sees nothing beside a $ref
			s = &schema{AllOf: []*schema{s}}
		}
		s.Description = about
	}
	return s, nil
}

// single is the schema of one value of f.
func single(f *protogen.Field) (*schema, error) {
	switch f.Desc.Kind() {
	case protoreflect.StringKind:
		return &schema{Type: "string"}, nil
	case protoreflect.BoolKind:
		return &schema{Type: "boolean"}, nil
	case protoreflect.Int32Kind:
		low, high := int64(-1<<31), int64(1<<31-1)
		return &schema{Type: "integer", Minimum: &low, Maximum: &high}, nil
	case protoreflect.Uint64Kind:
		return &schema{Type: "string", Pattern: "^(0|[1-9][0-9]{0,19})$"}, nil
	case protoreflect.MessageKind:
		return message(f.Message.Desc), nil
	default:
		return nil, fmt.Errorf("there is no rule for kind %s", f.Desc.Kind())
	}
}

func message(d protoreflect.MessageDescriptor) *schema {
	switch d.FullName() {
	case "google.protobuf.Timestamp":
		return &schema{Type: "string", Format: "date-time"}
	case "google.protobuf.Duration":
		return &schema{Type: "string", Pattern: `^-?[0-9]+(\.[0-9]{1,9})?s$`}
	default:
		return &schema{Ref: string(d.Name()) + ".json"}
	}
}

// text is a comment as one paragraph.
func text(c protogen.CommentSet) string {
	return strings.Join(strings.Fields(string(c.Leading)+" "+string(c.Trailing)), " ")
}

func marshal(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return []byte(b.String()), err
}
