// Package plant builds the workspace with code that is not in it: the go command replaces
// single files by others while it builds, and the checkout stays as it is. Programs that
// look for bugs plant some this way, to show that they would be found.
//
// It relies on the go command's -overlay, and on git to say where the checkout is.
package plant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Change is made to one file: a piece of code that stands there exactly once becomes
// another.
type Change struct {
	// File is below the checkout, or absolute.
	File      string
	Old, With string
}

// Checkout is the folder of the workspace that the caller stands in.
func Checkout(ctx context.Context) (string, error) {
	top, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return "", fmt.Errorf("not in a checkout: %w", err)
	}
	return strings.TrimSpace(string(top)), nil
}

// Overlay makes the changes in copies that it keeps in dir, and returns the file that
// -overlay takes. Several changes of one file follow each other.
func Overlay(checkout, dir string, changes []Change) (string, error) {
	replace := map[string]string{}
	var wrong []error
	for i, c := range changes {
		file := c.File
		if !filepath.IsAbs(file) {
			file = filepath.Join(checkout, file)
		}
		copied := replace[file]
		if copied == "" {
			copied = filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(file)))
			replace[file] = copied
			wrong = append(wrong, c.make(file, copied))
			continue
		}
		wrong = append(wrong, c.make(copied, copied))
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, list, 0o600)
}

func (c Change) make(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if n := bytes.Count(b, []byte(c.Old)); n != 1 {
		return fmt.Errorf("%s has %d places that read %q, want 1", c.File, n, c.Old)
	}
	return os.WriteFile(to, bytes.Replace(b, []byte(c.Old), []byte(c.With), 1), 0o600)
}

// Bugs that more than one program plants.
var (
	// NoCompare appends whatever others have appended meanwhile.
	NoCompare = []Change{{
		File: "pkg/journal/append.go",
		Old: `ack, err := j.publish(try, Facts, m, jetstream.WithMsgID(id),
			jetstream.WithExpectLastSequenceForSubject(after, e.Filter()))`,
		With: `ack, err := j.publish(try, Facts, m, jetstream.WithMsgID(id))`,
	}}
	// AcknowledgeFirst acknowledges a message before anything is done about it.
	AcknowledgeFirst = []Change{{
		File: "pkg/journal/consume.go",
		Old:  `	err := j.handle(ctx, c, msg, h)`,
		With: `	_ = msg.Ack()
	err := j.handle(ctx, c, msg, h)`,
	}}
)
