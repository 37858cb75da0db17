package crossfade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-project/crossfade/export"
	"github.com/crossfade-project/crossfade/internal/archive"
	"github.com/crossfade-project/crossfade/internal/cli"
	"github.com/crossfade-project/crossfade/internal/mend"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// noteBackup is kept each time the archive was proven to be whole.
const noteBackup = "backup"

// backup is the note of one proof.
type backup struct {
	Stage string `json:"stage"` // what was about to begin
	archive.VerifyReport
}

// exportAgain mends whatever has become of an archive while blue is there.
const exportAgain = "put it back from a copy, or move what is left of it away and run `crossfade run --redo export`; blue still has everything"

// exportKept is what mends it once blue is half gone: what is left of both may be all there is.
const exportKept = "put it back from a copy, and throw away nothing of what is left of it: a part of blue may be deleted already, and the rest is kept until the archive is whole"

// mendArchive says what to do about an archive that is no backup any more.
func (m *Migration) mendArchive() string {
	if log, err := m.log(); err == nil && retireBegan(log) {
		return exportKept
	}
	return exportAgain
}

// backedUp makes a stage one that begins only with a proven backup.
func backedUp(s stage) stage {
	s.backup = true
	return s
}

// proveBackup refuses to begin a stage that writes to green or moves a name unless the archive that the export wrote is still
// there and whole: every index down to the first, every blob with its hash. It is read anew each time, since what was whole
// an hour ago proves nothing.
func (m *Migration) proveBackup(ctx context.Context, s stage) error {
	if !s.backup {
		return nil
	}
	if !m.journal.Stage(stageExport).Finished {
		return &RefusedError{Stage: s.name, Refusals: []plan.Refusal{{
			What: stageExport, Why: "it comes before " + s.name + " and is not done", Mend: "run `crossfade export` first, or `crossfade run`",
		}}}
	}
	began := m.opts.Clock.Now()
	report, refusal := m.lookAtBackup(ctx)
	for pause := time.Second; refusal != nil && refusal.silent && m.opts.Clock.Now().Add(pause).Before(began.Add(insistFor)); pause = min(2*pause, 15*time.Second) {
		m.opts.Log.WarnContext(ctx, "the archive is read again", "before", s.name, "pause", pause, "limit", insistFor, "because", refusal.Why)
		if err := m.opts.Clock.Sleep(ctx, pause); err != nil {
			return err
		}
		report, refusal = m.lookAtBackup(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if refusal != nil {
		return &RefusedError{Stage: s.name, Refusals: []plan.Refusal{refusal.Refusal}}
	}
	m.opts.Log.InfoContext(ctx, "the archive is whole", "before", s.name, "revision", report.Revision, "objects", report.Objects, "took", cli.Duration(m.opts.Clock.Now().Sub(began)))
	return m.journal.Note(noteBackup, backup{Stage: s.name, VerifyReport: report})
}

// backupRefusal says why the archive is no backup. Silent means that its store gave no answer, which says nothing of the archive.
type backupRefusal struct {
	plan.Refusal
	silent bool
}

// lookAtBackup reads the whole of the archive, and that it is the one that this migration wrote.
func (m *Migration) lookAtBackup(ctx context.Context) (archive.VerifyReport, *backupRefusal) {
	what := "archive at " + m.file.Archive.URL
	reader, err := m.openArchive(ctx)
	var report archive.VerifyReport
	if err == nil {
		report, err = reader.Verify(ctx)
	}
	switch {
	case errors.Is(err, archive.ErrEmpty):
		return report, &backupRefusal{Refusal: plan.Refusal{What: what, Why: "the archive that the export wrote is not there any more", Mend: m.mendArchive()}}
	case errors.Is(err, archive.ErrCorrupt), errors.Is(err, archive.ErrNotExist):
		why, _ := mend.Apart(err, "")
		return report, &backupRefusal{Refusal: plan.Refusal{What: what, Why: why, Mend: m.mendArchive()}}
	case errors.Is(err, archive.ErrNoIdentity):
		why, _ := mend.Apart(err, "")
		return report, &backupRefusal{Refusal: plan.Refusal{What: what, Why: why, Mend: "give archive.identity the key whose recipient the export encrypted to"}}
	case err != nil:
		return report, &backupRefusal{silent: true, Refusal: plan.Refusal{What: what, Why: "it could not be read: " + err.Error(), Mend: "see that archive.url can be read from here; what was done stays done, and the same command goes on"}}
	}
	written, err := m.revisionsWritten()
	if err != nil {
		return report, &backupRefusal{Refusal: plan.Refusal{What: what, Why: err.Error(), Mend: m.mendArchive()}}
	}
	for stage, index := range written {
		if !slices.Contains(report.Chain, index) {
			return report, &backupRefusal{Refusal: plan.Refusal{
				What: what, Why: fmt.Sprintf("what %s wrote (index %.12s…) is not in it: the archive was replaced, or taken back to an older state", stage, index), Mend: m.mendArchive(),
			}}
		}
	}
	return report, nil
}

// revisionsWritten are the indexes that the last export and the deltas since then wrote, by stage.
func (m *Migration) revisionsWritten() (map[string]string, error) {
	exported, err := m.known(stageExport)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	names := []string{stageExport}
	for _, a := range m.file.Applications {
		names = append(names, "delta/"+a.Name)
	}
	for _, name := range names {
		s, err := m.known(name)
		if err != nil {
			return nil, err
		}
		if !s.Finished || s.Ended.Before(exported.Ended) {
			continue
		}
		var result export.Result
		if err := m.resultOf(name, &result); err != nil {
			return nil, err
		}
		out[name] = result.Index
	}
	return out, nil
}
