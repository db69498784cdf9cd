// Package proto is Patchbay's public contract as files: the AsyncAPI document, the JSON
// Schemas of the messages, and one golden example of each event. They are what systems in
// any language build against; README.md says how they hang together.
//
// The Go code generated from the schema is in patchbay/v1 below. This package imports
// nothing of ours.
package proto

import (
	"embed"
	"io/fs"
)

//go:embed asyncapi.yaml events/*.json schemas/*.json
var files embed.FS

// Files returns asyncapi.yaml, events/<type>.json and schemas/<message>.json.
func Files() fs.FS { return files }
