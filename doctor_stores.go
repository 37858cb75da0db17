package crossfade

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/migration"
	"github.com/crossfade-project/crossfade/internal/plan"
	"github.com/crossfade-project/crossfade/internal/space"
)

// probePrefix begins the key of every probe object and the name of every probe file. Nothing else is called so.
const probePrefix = "crossfade-doctor-probe-"

const probeContent = "written by crossfade doctor to see whether it may; it can be deleted\n"

// Limits of free space below a folder that a run writes to.
const (
	tooLittleSpace = 64 << 20
	littleSpace    = 1 << 30
	// leftOver is how old a probe object must be to be taken for one that a killed doctor left behind.
	leftOver = time.Hour
)

func newPreflight(name string) *plan.Plan { return plan.New(name, "preflight") }

// storeChecks look at both ends of every bucket, and at the archive.
func (m *Migration) storeChecks() []check {
	var list []check
	for _, b := range m.file.Buckets {
		list = append(list,
			check{name: "bucket " + b.Name + " (from)", do: func(ctx context.Context, f *Finding) { m.examineBucket(ctx, b.Name+" (from)", b.From, false, false, f) }},
			check{name: "bucket " + b.Name + " (to)", do: func(ctx context.Context, f *Finding) { m.examineBucket(ctx, b.Name+" (to)", b.To, b.Create, true, f) }})
	}
	return append(list,
		check{name: "archive: store", do: m.examineArchive},
		check{name: "archive: keys", do: m.examineKeys})
}

// examineBucket lists and reads; what a run writes to is written to, read back and cleared.
func (m *Migration) examineBucket(ctx context.Context, what string, end migration.BucketEnd, mayBeMissing, written bool, f *Finding) {
	p := newPreflight(m.file.Name)
	m.lookAtBucket(ctx, p, what, end, mayBeMissing)
	if f.refused(p.Refusals); f.Status == Failed {
		return
	}
	b, err := m.bucketAt(ctx, end)
	if err != nil {
		f.failed(err, "correct stores."+end.Store)
		return
	}
	hint := "check stores." + end.Store + ": its keys, and what they may do in " + end.Bucket
	if mayBeMissing && errors.Is(b.Check(ctx), bucket.ErrNotExist) {
		f.say("it is not there yet: the sync makes it")
		f.note("whether it may be made and written to is seen then")
		return
	}
	text, err := readOne(ctx, b)
	if err != nil {
		f.failed(err, hint)
		return
	}
	f.say("%s", text)
	if !written {
		return
	}
	if err := probeBucket(ctx, b, false); err != nil {
		f.failed(err, hint)
		return
	}
	f.say("%s; a probe was written, read back and deleted", text)
}

// readOne reads the first byte of the first object that is listed.
func readOne(ctx context.Context, b bucket.Bucket) (string, error) {
	for obj, err := range b.List(ctx, bucket.ListOptions{Irregular: true}) {
		if err != nil {
			return "", fmt.Errorf("list it: %w", err)
		}
		if obj.Irregular != "" || strings.HasPrefix(obj.Key, probePrefix) || obj.Size == 0 {
			continue
		}
		body, _, err := b.Open(ctx, obj.Key, bucket.ReadOptions{Length: 1})
		if err == nil {
			_, err = io.Copy(io.Discard, body)
			err = errors.Join(err, body.Close())
		}
		if errors.Is(err, bucket.ErrNotExist) {
			continue // it went away meanwhile
		}
		if err != nil {
			return "", fmt.Errorf("read %s: %w", obj.Key, err)
		}
		return "listed and read", nil
	}
	return "listed; it holds nothing to read", nil
}

// probeBucket writes an object of its own, reads it back and deletes it, whatever comes between. Conditions are tried where a
// store of state needs them.
func probeBucket(ctx context.Context, b bucket.Bucket, conditions bool) (err error) {
	if err := clearLeft(ctx, b); err != nil {
		return err
	}
	key := probePrefix + strings.ToLower(rand.Text())
	put := func(content string, opts bucket.PutOptions) (bucket.Object, error) {
		return b.Put(ctx, key, strings.NewReader(content), int64(len(content)), opts)
	}
	defer func() {
		// The probe goes also when the doctor is stopped, and when its write failed half way.
		clear, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearLimit)
		defer cancel()
		obj, herr := b.Head(clear, key)
		if errors.Is(herr, bucket.ErrNotExist) || herr != nil && err != nil {
			return
		}
		if derr := b.Delete(clear, obj); derr != nil {
			err = errors.Join(err, fmt.Errorf("delete the probe %s: %w", key, derr))
		}
	}()
	obj, err := put(probeContent, bucket.PutOptions{IfAbsent: b.Describe().ConditionalPut})
	if err != nil {
		return fmt.Errorf("write a probe: %w", err)
	}
	body, _, err := b.Open(ctx, key, bucket.ReadOptions{})
	if err != nil {
		return fmt.Errorf("read the probe back: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(body, int64(len(probeContent)+1)))
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read the probe back: %w", err)
	}
	if string(raw) != probeContent {
		return fmt.Errorf("read the probe back: %s holds %d bytes that are not those that were written", key, len(raw))
	}
	if conditions {
		return probeConditions(b, obj, put)
	}
	return nil
}

// probeConditions demands that the store holds to the conditions of a write: two runs are kept apart by them.
func probeConditions(b bucket.Bucket, first bucket.Object, put func(string, bucket.PutOptions) (bucket.Object, error)) error {
	if caps := b.Describe(); !caps.ConditionalPut || !caps.ConditionalWrite {
		return fmt.Errorf("keep two runs apart at %s: %w: writes under a condition", caps.URL, bucket.ErrUnsupported)
	}
	if _, err := put("second\n", bucket.PutOptions{IfAbsent: true}); !errors.Is(err, bucket.ErrPrecondition) {
		return fmt.Errorf("write the probe only if it is absent, though it is there: the store says %w", orAccepted(err))
	}
	if _, err := put("second\n", bucket.PutOptions{IfMatch: first}); err != nil {
		return fmt.Errorf("write the probe over the one that was seen: %w", err)
	}
	if _, err := put("third\n", bucket.PutOptions{IfMatch: first}); !errors.Is(err, bucket.ErrPrecondition) {
		return fmt.Errorf("write the probe over one that is not there any more: the store says %w", orAccepted(err))
	}
	return nil
}

var errAccepted = errors.New("yes, so that one run could overwrite another's journal")

func orAccepted(err error) error {
	if err == nil {
		return errAccepted
	}
	return err
}

// clearLeft removes the probes of a doctor that was killed.
func clearLeft(ctx context.Context, b bucket.Bucket) error {
	for obj, err := range b.List(ctx, bucket.ListOptions{Prefix: probePrefix}) {
		if err != nil {
			return fmt.Errorf("look for probes that were left: %w", err)
		}
		if !obj.Modified.IsZero() && time.Since(obj.Modified) > leftOver {
			if err := b.Delete(ctx, obj); err != nil {
				return fmt.Errorf("delete the probe %s that was left: %w", obj.Key, err)
			}
		}
	}
	return nil
}

// examineArchive tries the place of the archive, without touching what is in it.
func (m *Migration) examineArchive(ctx context.Context, f *Finding) {
	u, err := bucket.ParseURL(m.file.Archive.URL)
	if err != nil {
		f.fail(err.Error(), "correct archive.url")
		return
	}
	if u.Scheme == bucket.SchemeFile {
		at := m.file.Resolve(u.Path)
		if strings.HasSuffix(at, singleFile) {
			at = filepath.Dir(at)
		}
		examineFolder(at, "the archive's folder", f)
		return
	}
	s, err := m.archiveBucket(ctx, u)
	if err != nil {
		f.failed(err, "correct archive.url and archive.store")
		return
	}
	if err := probeBucket(ctx, s, false); err != nil {
		f.failed(err, "check stores."+m.file.Archive.Store+": its endpoint, its keys, and what they may do in "+u.Bucket)
		return
	}
	f.say("a probe was written, read back and deleted")
}

// examineKeys proves that what an export encrypts can be opened, and what an earlier one has encrypted too.
func (m *Migration) examineKeys(ctx context.Context, f *Finding) {
	opts, err := m.archiveOptions(ctx)
	if err != nil {
		f.failed(err, "correct archive.identity: age-keygen writes a key file")
		return
	}
	if len(opts.Recipients) == 0 {
		f.note("no key is given: the export is refused as soon as it meets a Secret")
		f.say("none")
		return
	}
	if len(opts.Identities) == 0 {
		f.note("archive.identity is not given here: whether its owner can open what is encrypted is not known, and restore needs it")
	}
	if err := archive.CheckKeys(opts); err != nil {
		f.fail(err.Error(), "archive.identity must be the secret key of one of archive.recipients")
		return
	}
	reader, err := m.openArchive(ctx)
	switch {
	case errors.Is(err, archive.ErrEmpty):
		f.say("what is encrypted can be opened; the archive is empty")
	case err != nil:
		f.failed(err, "check archive.url, or name another place")
	case len(opts.Identities) > 0:
		if err := reader.CanOpen(ctx); err != nil {
			f.fail("the archive that is there cannot be opened: "+err.Error(), "use the identity that it was encrypted to, or name another place in archive.url")
			return
		}
		f.say("what is encrypted can be opened, also revision %d that is there", reader.Index().Revision)
	}
}

// hereChecks look at this machine.
func (m *Migration) hereChecks() []check {
	list := []check{{name: "state: folder", do: func(_ context.Context, f *Finding) {
		examineFolder(m.file.StateDir(), "the state directory", f)
	}}}
	if m.file.State != nil && m.file.State.URL != "" {
		list = append(list, check{name: "state: store", do: m.examineState})
	}
	return list
}

// examineState tries the state store, and whether it holds to the conditions by which runs on two machines are kept apart.
func (m *Migration) examineState(ctx context.Context, f *Finding) {
	hint := "check the endpoint and the keys of stores." + m.file.State.Store + ": they must allow to list, read, write and delete there"
	b, err := m.stateBucket(ctx, m.file.State)
	if err != nil {
		f.failed(err, "correct state.url, and stores."+m.file.State.Store)
		return
	}
	if caps := b.Describe(); caps.Provider == "file" && errors.Is(b.Check(ctx), bucket.ErrNotExist) {
		f.say("the folder is not there yet: a run makes it")
		return
	}
	if err := probeBucket(ctx, b, true); err != nil {
		f.failed(err, hint)
		return
	}
	f.say("a probe was written under conditions, read back and deleted")
}

// examineFolder tries to write into a folder, or into what it would be made in.
func examineFolder(dir, what string, f *Finding) {
	at := dir
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			f.fail(at+" is not a folder", "name another place for "+what)
			return
		}
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || filepath.Dir(at) == at {
			f.fail(err.Error(), "name another place for "+what)
			return
		}
		at = filepath.Dir(at)
	}
	file, err := os.CreateTemp(at, "."+probePrefix)
	if err == nil {
		_, err = file.WriteString("probe\n")
		err = errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
	}
	if err != nil {
		f.fail("it cannot be written to: "+err.Error(), "make "+at+" writable for this user, or name another place for "+what)
		return
	}
	free, err := space.Free(at)
	switch {
	case errors.Is(err, space.ErrUnknown):
		f.say("%s is writable", at)
	case err != nil:
		f.fail(err.Error(), "check the file system of "+at)
	case free < tooLittleSpace:
		f.fail(fmt.Sprintf("only %s are free below %s", cli.Bytes(int64(free)), at), "make room, or name another place for "+what)
	default:
		f.say("%s is writable, %s free", at, cli.Bytes(int64(free)))
		if free < littleSpace {
			f.note("less than %s are free", cli.Bytes(littleSpace))
		}
	}
}
