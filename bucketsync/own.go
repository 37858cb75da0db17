package bucketsync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/configuration"
)

// ownBucket is what is remembered beside the manifest.
type ownBucket struct {
	Format int    `json:"format"`
	To     string `json:"to"`
	// Made says that this migration made the destination, or was about to.
	Made bool `json:"made"`
	// Settled are the parts that were written, or that the destination does not take: whoever changes one of them afterwards
	// has reasons, and is left alone.
	Settled map[bucket.Part]configuration.Fate `json:"settled,omitempty"`
	// Source is what was read, and Answer what became of it.
	Source bucket.Configuration `json:"source"`
	Answer configuration.Answer `json:"answer"`
}

const ownBucketFormat = 1

func (o Options) configurationFile() string { return o.Manifest + ".configuration" }

// readOwn reads what is remembered of the destination; nothing where nothing is.
func (o Options) readOwn() (own ownBucket, err error) {
	if o.Manifest == "" {
		return own, nil
	}
	raw, err := os.ReadFile(o.configurationFile())
	if errors.Is(err, fs.ErrNotExist) {
		return own, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &own)
	}
	if err != nil {
		return own, fmt.Errorf("read what is remembered of the destination: %w", err)
	}
	if own.Format != ownBucketFormat || own.To != o.To.Describe().URL {
		return ownBucket{}, nil
	}
	return own, nil
}

func (o Options) writeOwn(own ownBucket) error {
	if o.Manifest == "" {
		return nil
	}
	own.Format, own.To = ownBucketFormat, o.To.Describe().URL
	raw, err := json.MarshalIndent(own, "", " ")
	if err != nil {
		return fmt.Errorf("remember the destination: %w", err)
	}
	path := o.configurationFile()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("remember the destination: %w", err)
	}
	// Whole or not at all.
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		return fmt.Errorf("remember the destination: %w", err)
	}
	return os.Rename(path+".new", path)
}

// remember notes, before the destination is made, that it is this migration's, with what the source has and what becomes of it.
func (e *engine) remember(ctx context.Context) error {
	own := ownBucket{Made: true}
	if from, ok := bucket.ConfiguredOf(e.opts.From); ok && e.opts.Configuration != ConfigureIgnore {
		var err error
		if own.Source, err = e.askConfiguration(ctx, from); err != nil {
			return fmt.Errorf("read the source's configuration: %w", err)
		}
		own.Answer = configuration.Map(configuration.Request{
			From: configurationEnd(e.opts.From), To: configurationEnd(e.opts.To), Source: own.Source, Keys: e.opts.Keys,
		})
	}
	return e.opts.writeOwn(own)
}

// settle notes that a part of an own destination has been seen to.
func (o Options) settle(one ConfiguredPart) error {
	own, err := o.readOwn()
	if err != nil || !own.Made {
		return err
	}
	if own.Settled == nil {
		own.Settled = map[bucket.Part]configuration.Fate{}
	}
	own.Settled[one.Part] = one.Fate
	return o.writeOwn(own)
}
