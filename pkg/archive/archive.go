// Package archive puts what ended long ago out of the journal into a file, and takes it
// back from there.
//
// An archive is a gzip file of one CloudEvent in JSON a line, in the order of the journal;
// its format is in docs/limits.md. What is put away leaves one fact in the journal,
// `<noun>.archived`, with the entity's id, its outcome and, of an order, the digest of its
// payload. So an intent stays known for ever: a repeat is the same order, and another
// payload under the same source and id is refused.
//
// It puts away families: an order, its circuits, and everything that is about them, all of
// them at once, and only if everything in the family ended before the cut and nothing of it
// holds a tag or token.
//
// The steps of [Run] are: write a file beside the one asked for, sync it, read it back,
// give it its name, sync the folder; then, of each entity, append the fact that expects
// the last one written, and purge what lies below. Whoever dies at any step leaves at
// worst a file that is not needed or facts that are in a file and in the journal too; the
// next Run deletes the latter. A fact is purged only if a file has it that was read back.
package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"google.golang.org/protobuf/types/known/timestamppb"

	"patchbay.io/pkg/event"
	"patchbay.io/pkg/journal"
	patchbayv1 "patchbay.io/proto/patchbay/v1"
)

// name is the source of the facts that an archive appends.
const name = "archive"

// Extensions of a line beyond those of the event: where the journal had it.
const (
	extSubject  = "journalsubject"
	extSequence = "journalsequence"
	extTime     = "journaltime"
)

// Options say what to put away, and how.
type Options struct {
	// Before is the cut, by the journal's clock: what has a newer fact stays.
	Before time.Time
	// DryRun only tells what would be put away.
	DryRun bool
	// Probe, if set, is called at each step that the journal does not see; tests crash there.
	Probe func(point string)
}

// Report says what was, or would be, put away.
type Report struct {
	// File is empty if there was nothing to put away.
	File     string `json:"file,omitempty"`
	Entities int    `json:"entities"`
	Facts    int    `json:"facts"`
	// Bytes is the size of the file; 0 of a dry run.
	Bytes int64 `json:"bytes,omitempty"`
	// Moved counts entities that went on meanwhile; they stay.
	Moved int `json:"moved,omitempty"`
	// Finished counts entities whose facts an earlier, interrupted run had left.
	Finished int `json:"finished,omitempty"`
	// Kept counts what stays, by reason.
	Kept map[string]int `json:"kept,omitempty"`
}

// run is one archive in the making.
type run struct {
	j     *journal.Journal
	probe func(string)
	lives map[event.Entity]*life
	// written is what the file has of each entity chosen.
	written map[event.Entity]*written
}

// written is what of an entity is in the file.
type written struct {
	facts int32
	sum   hash.Hash
	// broken: a fact of it cannot be read, so it stays.
	broken bool
}

// Run puts away what ended before the cut into a new file at path. There is no file if
// there is nothing to put away.
func Run(ctx context.Context, j *journal.Journal, path string, opts Options) (Report, error) {
	a := &run{j: j, probe: opts.Probe, lives: map[event.Entity]*life{}, written: map[event.Entity]*written{}}
	if a.probe == nil {
		a.probe = func(string) {}
	}
	if _, err := os.Lstat(path); err == nil && !opts.DryRun {
		return Report{}, fmt.Errorf("%s exists; an archive is never written over", path)
	}
	if err := j.Latest(ctx, nil, a.fold); err != nil {
		return Report{}, err
	}
	chosen, kept := choose(a.lives, opts.Before)
	rep := Report{Kept: kept}
	for _, e := range chosen {
		a.written[e] = &written{sum: sha256.New()}
	}
	if opts.DryRun {
		err := j.History(ctx, nil, func(r journal.Record) error { return a.write(io.Discard, r) })
		a.count(&rep, chosen)
		return rep, err
	}
	if err := a.finish(ctx, &rep); err != nil || len(chosen) == 0 {
		return rep, err
	}
	if err := a.export(ctx, path); err != nil {
		return rep, fmt.Errorf("write %s: %w", path, err)
	}
	rep.File = path
	if info, err := os.Stat(path); err == nil {
		rep.Bytes = info.Size()
	}
	a.count(&rep, chosen)
	for _, e := range chosen {
		if err := a.putAway(ctx, e, &rep); err != nil {
			return rep, err
		}
	}
	return rep, nil
}

// count adds up what is in the file.
func (a *run) count(rep *Report, chosen []event.Entity) {
	for _, e := range chosen {
		if w := a.written[e]; !w.broken {
			rep.Entities++
			rep.Facts += int(w.facts)
		} else {
			rep.Kept[Strange]++
		}
	}
}

// fold keeps the newest fact of each entity.
func (a *run) fold(r journal.Record) error {
	e := r.Entity()
	old := a.lives[e]
	if old != nil && old.last.Seq > r.Seq {
		return nil // they come oldest first
	}
	l := lifeOf(r)
	l.below = old != nil
	a.lives[e] = l
	return nil
}

// finish deletes the facts that an earlier run has put away and then left.
func (a *run) finish(ctx context.Context, rep *Report) error {
	for e, l := range a.lives {
		if !l.archived || !l.below {
			continue
		}
		if err := a.j.Purge(ctx, e, l.last.Seq); err != nil {
			return err
		}
		rep.Finished++
	}
	return nil
}

// export writes the file, reads it back, and only then gives it its name.
func (a *run) export(ctx context.Context, path string) error {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was synced, or is of no use
	a.probe("export.begun")
	z := gzip.NewWriter(f)
	if err := a.j.History(ctx, nil, func(r journal.Record) error { return a.write(z, r) }); err != nil {
		return err
	}
	if err := errors.Join(z.Close(), f.Sync()); err != nil {
		return err
	}
	a.probe("export.written")
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := a.verify(f); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	a.probe("export.named")
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// write writes the line of a record, if its entity is to be put away and it is not newer
// than what was decided upon.
func (a *run) write(out io.Writer, r journal.Record) error {
	w, l := a.written[r.Entity()], a.lives[r.Entity()]
	if w == nil || r.Seq > l.last.Seq {
		return nil
	}
	if r.Event.ID() == "" {
		w.broken = true
		return nil
	}
	line, err := lineOf(r)
	if err != nil {
		return err
	}
	w.facts++
	w.sum.Write(line)
	_, err = out.Write(line)
	return err
}

// lineOf is a record as the archive has it.
func lineOf(r journal.Record) ([]byte, error) {
	e := r.Event.Clone()
	e.SetExtension(extSubject, r.Subject)
	e.SetExtension(extSequence, strconv.FormatUint(r.Seq, 10))
	e.SetExtension(extTime, r.Stamp.UTC().Format(time.RFC3339Nano))
	line, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("%s %d: %w", r.Stream, r.Seq, err)
	}
	return append(line, '\n'), nil
}

// verify reads a file and compares what it has of each entity with what was written.
func (a *run) verify(f io.Reader) error {
	got := map[event.Entity]hash.Hash{}
	err := read(f, func(e event.Entity, _ record, line []byte) error {
		if got[e] == nil {
			got[e] = sha256.New()
		}
		got[e].Write(line)
		return nil
	})
	for e, w := range a.written {
		if err == nil && !w.broken && (got[e] == nil || !bytes.Equal(got[e].Sum(nil), w.sum.Sum(nil))) {
			err = fmt.Errorf("%s is not as it was written", e)
		}
	}
	return err
}

// putAway appends the fact that stands for an entity's, and purges those. An entity that
// went on meanwhile stays.
func (a *run) putAway(ctx context.Context, e event.Entity, rep *Report) error {
	l, w := a.lives[e], a.written[e]
	if w.broken {
		return nil
	}
	last := l.last
	r, err := a.j.Append(ctx, last, event.Fact{
		Entity: e, Name: e.Noun.Archived(), By: name, Cause: last.Event.ID(),
		Order: event.Ext(last.Event, event.ExtCorrelationID), Exchange: event.Ext(last.Event, event.ExtExchange),
		Origin: event.OriginOf(last.Event),
		Data: &patchbayv1.Archived{
			Id: e.ID, Fact: event.Archived, Kind: l.kind, PayloadDigest: l.digest, Outcome: l.outcome, Facts: w.facts,
			ExportDigest: hex.EncodeToString(w.sum.Sum(nil)), At: timestamppb.New(a.j.Now()),
		},
	})
	if errors.Is(err, journal.ErrLost) {
		rep.Moved++
		rep.Entities--
		rep.Facts -= int(w.facts)
		return nil
	}
	if err != nil {
		return err
	}
	return a.j.Purge(ctx, e, r.Seq)
}

// record is a line of an archive, read.
type record struct {
	subject string
	event   ce.Event
}

// read hands each line of an archive to yield.
func read(f io.Reader, yield func(event.Entity, record, []byte) error) error {
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	lines := bufio.NewReader(z)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		r, e, err := parse(line)
		if err == nil {
			err = yield(e, r, line)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}

func parse(line []byte) (r record, e event.Entity, err error) {
	if err := json.Unmarshal(line, &r.event); err != nil {
		return r, e, err
	}
	r.subject = event.Ext(r.event, extSubject)
	for _, ext := range []string{extSubject, extSequence, extTime} {
		r.event.SetExtension(ext, nil)
	}
	if e, err = event.EntityOf(r.subject); err == nil && event.Sequence(r.event) == 0 {
		err = fmt.Errorf("%w: no sequence", event.ErrMalformed)
	}
	return r, e, err
}
