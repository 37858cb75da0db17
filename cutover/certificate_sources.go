package cutover

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Source is one kind of evidence over the time for which it was quiet: what it covers, and where all its looks are kept.
type Source struct {
	Name     string    `json:"name"`
	Coverage Coverage  `json:"coverage"`
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	// Looks that learned something, and those that learned nothing.
	Looks  int `json:"looks"`
	Unseen int `json:"unseen"`
	// LargestGap is the longest time that no look covers, and GapAt its end. What counts or logs by itself has none.
	LargestGap time.Duration `json:"largestGap"`
	GapAt      time.Time     `json:"gapAt,omitzero"`
	// Text is what the last look said.
	Text string `json:"text"`
	// File holds the looks, one a line, relative to the state directory; SHA256 is that of the file.
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	// Confirmed is what was asked once more for the whole of the idle time, when the certificate was made.
	Confirmed *Confirmed `json:"confirmed,omitempty"`
}

// Confirmed is one answer for the whole of the idle time.
type Confirmed struct {
	Text string `json:"text"`
	// File holds the answers as they came.
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// confirm asks once more for the whole of the time, where a source can be asked so: what came late shows too. It completes the
// sources, and returns the answers and what stands against the certificate.
func (o CertifyOptions) confirm(ctx context.Context, sources []Source) (files []EvidenceFile, missing []string) {
	for _, p := range prometheusEvidence(o.Options, o.Retirement) {
		i := slices.IndexFunc(sources, func(s Source) bool { return s.Name == p.Name() })
		if i < 0 {
			missing = append(missing, p.Name()+" was not watched: watch blue again")
			continue
		}
		obs, raw, err := p.Confirm(ctx, o.Idle.Since, o.Idle.Until)
		switch {
		case err != nil:
			missing = append(missing, fmt.Sprintf("%s, asked for the whole time: %v", p.Name(), err))
			continue
		case obs.Use != Quiet:
			missing = append(missing, fmt.Sprintf("%s, asked for the whole time: blue was used: %s: watch it again", p.Name(), strings.Join(obs.Details, "; ")))
			continue
		case obs.Lost != "":
			missing = append(missing, fmt.Sprintf("%s, asked for the whole time: %s: watch blue again", p.Name(), obs.Lost))
			continue
		}
		file := EvidenceFile{Name: strings.TrimSuffix(sources[i].File, ".jsonl") + ".answers.json", Content: raw}
		files = append(files, file)
		sources[i].Confirmed = &Confirmed{Text: obs.Text, File: file.Name, SHA256: sumOf(raw)}
	}
	return files, missing
}

func sumOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// EvidenceDir is the folder of the state directory with the looks of each source.
const EvidenceDir = "evidence"

// An EvidenceFile holds all looks of one source.
type EvidenceFile struct {
	// Name is relative to the state directory, with slashes.
	Name    string
	Content []byte
}

// Sources adds up the samples of a watch, source by source. An error says that these are not the samples from which the idleness
// was concluded.
func (i Idle) Sources(samples []Sample) ([]Source, []EvidenceFile, error) {
	var names []string
	for _, o := range i.Evidence {
		names = append(names, o.Evidence)
	}
	t := newTracker(names)
	for _, s := range samples {
		t.take(s)
	}
	switch {
	case t.hash() != i.Hash || t.samples != i.Samples:
		return nil, nil, fmt.Errorf("the %d recorded looks have the hash %s, and idleness was concluded from %d with %s", t.samples, t.hash(), i.Samples, i.Hash)
	case !t.since().Equal(i.Since) || t.quiet() != i.For:
		return nil, nil, fmt.Errorf("the recorded looks show blue quiet from %s for %s, and not from %s for %s", t.since().Format(time.RFC3339), t.quiet(), i.Since.Format(time.RFC3339), i.For)
	}
	var sources []Source
	var files []EvidenceFile
	for n, name := range names {
		source, content := sourceOf(name, t.began[name], samples)
		source.File = fmt.Sprintf("%s/%02d-%s.jsonl", EvidenceDir, n+1, slug(name))
		source.SHA256 = sumOf(content)
		sources = append(sources, source)
		files = append(files, EvidenceFile{Name: source.File, Content: content})
	}
	return sources, files, nil
}

// sourceOf adds up the looks of one source since it has been quiet.
func sourceOf(name string, began time.Time, samples []Sample) (Source, []byte) {
	s := Source{Name: name, From: began}
	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	for _, sample := range samples {
		i := slices.IndexFunc(sample.Observations, func(o Observation) bool { return o.Evidence == name })
		if i < 0 || sample.Observations[i].At.Before(began) {
			continue
		}
		o := sample.Observations[i]
		if err := out.Encode(o); err != nil {
			// Samples are plain data, and were JSON before.
			panic(fmt.Sprintf("look cannot be marshalled: %v", err))
		}
		if o.Use == Unseen {
			s.Unseen++
			continue
		}
		if s.Looks > 0 {
			if gap := gapBefore(o, s.Until); gap > s.LargestGap {
				s.LargestGap, s.GapAt = gap, o.At
			}
		}
		s.Looks++
		s.Coverage, s.Until, s.Text = o.Coverage, o.At, o.Text
	}
	return s, lines.Bytes()
}

// gapBefore is how long before a look nothing was seen. A state is only known at the looks themselves.
func gapBefore(o Observation, last time.Time) time.Duration {
	if o.Coverage == State {
		return o.At.Sub(last)
	}
	return max(0, o.From.Sub(last))
}

// slug makes a part of a file's name of a source's.
func slug(name string) string {
	s := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	for strings.Contains(s, "--") {
		s = strings.ReplaceAll(s, "--", "-")
	}
	const longest = 60
	return strings.Trim(s[:min(len(s), longest)], "-")
}
