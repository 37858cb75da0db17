package bucketsync

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/configuration"
	"github.com/crossfade-project/crossfade/internal/plan"
)

const (
	// A part that was acknowledged is looked for so often, so long apart.
	readBackTries = 10
	readBackPause = time.Second
)

// applyPart makes a change that configures.
func applyPart(ctx context.Context, c plan.Change, opts Options) (ConfiguredPart, error) {
	var data configureData
	if err := json.Unmarshal(c.Data, &data); err != nil {
		return ConfiguredPart{}, fmt.Errorf("read the plan's data: %w", err)
	}
	out, err := writePart(ctx, c, data, opts)
	if err != nil && afterProof(data.Part) && ctx.Err() == nil {
		// Both sides are proven equal, and an application waits for its turn to end: a rule is not worth a return to blue.
		opts.Log.WarnContext(ctx, "a part of the configuration could not be written", "bucket", opts.Name, "part", data.Part, "error", err)
		return ConfiguredPart{Part: data.Part, Fate: configuration.Lost, Detail: "set it up by hand: " + err.Error()}, nil
	}
	if err != nil {
		return out, err
	}
	return out, opts.settle(out)
}

// writePart writes one part, reads it back, and says what became of it.
func writePart(ctx context.Context, c plan.Change, data configureData, opts Options) (ConfiguredPart, error) {
	out := ConfiguredPart{Part: data.Part, Fate: configuration.Kept}
	e, err := begin(ctx, opts)
	if err != nil {
		return out, err
	}
	to, ok := bucket.ConfiguredOf(opts.To)
	writer, can := bucket.ConfigurerOf(opts.To)
	if !ok || !can {
		return out, fmt.Errorf("configure %s: %w", e.toCaps.URL, bucket.ErrUnsupported)
	}
	now, err := e.askConfiguration(ctx, to)
	if err != nil {
		return out, fmt.Errorf("look at the destination's configuration: %w", err)
	}
	if sameSetting(data.Part, data.Want, now) {
		return out, nil // a run before this one did it
	}
	if err := e.settingsUnmoved(ctx, c, data, now); err != nil {
		return out, err
	}
	if now.Unreadable[data.Part].Why == bucket.WhyUnsupported {
		return e.partLost(data, "the destination's server does not know it")
	}
	err = e.patience.do(ctx, "configure "+string(data.Part), "", func() error { return writer.Configure(ctx, data.Part, data.Want) })
	if errors.Is(err, bucket.ErrUnsupported) {
		return e.partLost(data, "the destination's server refuses it: "+err.Error())
	}
	if err != nil {
		return out, fmt.Errorf("set up the %s of %s (the rest of the configuration can be left out with %s): %w", data.Part, e.toCaps.URL,
			opts.said("configuration: ignore", "--configuration ignore"), err)
	}
	kept, err := e.readsBack(ctx, to, data)
	if err == nil && !kept {
		return e.partLost(data, "the destination's server acknowledged it and does not show it: look whether it is there")
	}
	return out, err
}

// settingsUnmoved reads again what a change relies on. What a new bucket has of itself is nobody's.
func (e *engine) settingsUnmoved(ctx context.Context, c plan.Change, data configureData, now bucket.Configuration) error {
	if from, ok := bucket.ConfiguredOf(e.opts.From); ok {
		source, err := e.askConfiguration(ctx, from)
		if err != nil {
			return fmt.Errorf("look at the source's configuration: %w", err)
		}
		if is := settingHash(data.Part, source); is != c.ReliesOn[0].Is {
			return &plan.MovedError{Change: c.ID, What: c.ReliesOn[0].What, Was: c.ReliesOn[0].Is, Now: is}
		}
	}
	if !data.New {
		if is := settingHash(data.Part, now); is != c.ReliesOn[1].Is {
			return &plan.MovedError{Change: c.ID, What: c.ReliesOn[1].What, Was: c.ReliesOn[1].Is, Now: is}
		}
		return nil
	}
	own, err := e.opts.readOwn()
	if err == nil && e.opts.Manifest != "" && !own.Made {
		return &plan.MovedError{Change: c.ID, What: "whose bucket it is", Was: e.opts.writer() + "'s", Now: "somebody else's"}
	}
	return err
}

// partLost is the outcome of a part that the destination does not take. Without the key that was chosen for them, objects are
// not written.
func (e *engine) partLost(data configureData, why string) (ConfiguredPart, error) {
	out := ConfiguredPart{Part: data.Part, Fate: configuration.Lost, Detail: why}
	named := data.Part == bucket.PartEncryption && data.Want.Encryption.Algorithm != bucket.EncryptedByProvider
	if named || e.opts.Strict {
		return out, fmt.Errorf("set up the %s of %s: %s (%s leaves it out): %w", data.Part, e.toCaps.URL, why,
			e.opts.said("configuration: ignore", "--configuration ignore"), bucket.ErrUnsupported)
	}
	return out, nil
}

// readsBack reports whether the destination shows what it acknowledged. Amazon's and Google's services may take a while:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel.
func (e *engine) readsBack(ctx context.Context, to bucket.Configured, data configureData) (bool, error) {
	tries := 1
	if e.toCaps.Endpoint == "" && !afterProof(data.Part) { // nobody waits within a freeze
		tries = readBackTries
	}
	for try := 1; ; try++ {
		now, err := e.askConfiguration(ctx, to)
		if err != nil {
			return false, fmt.Errorf("read the destination's %s back: %w", data.Part, err)
		}
		if sameSetting(data.Part, data.Want, now) {
			return true, nil
		}
		if unread := now.Unreadable[data.Part]; unread.Why == bucket.WhyDenied {
			return true, nil // it was acknowledged, and nobody may look
		}
		if try == tries {
			return false, nil
		}
		if err := e.opts.Clock.Sleep(ctx, readBackPause); err != nil {
			return false, err
		}
	}
}

// configured gathers the outcomes of the changes that configure; nil where there is nothing to say.
func configured(p *plan.Plan, rec plan.Recorder) (*Configured, error) {
	planned, err := PlannedOf(p)
	if err != nil || planned.Settings == nil {
		return nil, err
	}
	out := planned.Settings
	for _, c := range p.Changes {
		raw, ok := rec.Done(c.ID)
		if c.Action != ActionConfigure || !ok {
			continue
		}
		var one ConfiguredPart
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, fmt.Errorf("read the outcome of %s: %w", c.ID, err)
		}
		out.Parts = append(out.Parts, one)
	}
	slices.SortFunc(out.Parts, func(a, b ConfiguredPart) int { return cmp.Compare(a.Part, b.Part) })
	return out, nil
}
