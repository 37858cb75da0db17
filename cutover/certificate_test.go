package cutover_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/cutover"
	"github.com/crossfade-project/crossfade/internal/clock"
	"github.com/crossfade-project/crossfade/internal/kube"
	"github.com/crossfade-project/crossfade/internal/migration"
)

// watched is a watch of 73 hours that ends now, with a look an hour of things that count by themselves.
func (w *world) watched(more ...string) (idle cutover.Idle, samples []cutover.Sample) {
	c := clock.NewFake(w.clock.Now().Add(-73 * time.Hour))
	var evidence []cutover.Evidence
	for _, name := range append([]string{"requests", "names"}, more...) {
		evidence = append(evidence, &script{name: name, clock: c, reach: true})
	}
	opts := idleOptions(c, evidence...)
	opts.Rehearsal, opts.Retirement.Interval, opts.Retirement.Idle = nil, migration.Duration(time.Hour), migration.Duration(73*time.Hour)
	opts.Record = func(s cutover.Sample) error {
		samples = append(samples, s)
		return nil
	}
	idle, err := cutover.WatchIdle(context.Background(), opts)
	if err != nil {
		panic(err) // nothing outside can make it fail
	}
	return idle, samples
}

func (w *world) certifyOptions() cutover.CertifyOptions {
	now := w.clock.Now()
	w.opts.Applications[0].Buckets = []string{"media"}
	idle, samples := w.watched()
	return cutover.CertifyOptions{
		Options: w.opts, Idle: idle, Samples: samples, SignedBy: "SHA256:abc", Who: "ann@desk",
		Tool: "v1", Blue: kube.Identity{UID: "b"}, Green: kube.Identity{UID: "g"}, Frozen: now.Add(-80 * time.Hour),
		Data:       []cutover.DataProof{{What: "bucket media", Objects: 3, Bytes: 30, Verified: now.Add(-79 * time.Hour), Hash: "x"}},
		Archive:    cutover.ArchiveProof{URL: "file:///a", Revision: 2, Hash: "y", Made: now.Add(-79 * time.Hour), Verified: now.Add(-79 * time.Hour)},
		RefusesFor: 10 * time.Minute,
		BrownOut: &cutover.BrownOut{
			Began: now.Add(-10 * time.Minute), Ended: now, For: 10 * time.Minute, Services: []string{"Service shop/web"},
			Evidence: []cutover.Observation{{Evidence: "connections", Use: cutover.Quiet, Text: "none"}}, Text: "Service shop/web refused",
		},
	}
}

// C24: outside a rehearsal there is no certificate without a brown-out, or the reason why there was none.
func TestC24_CertificateNeedsTheBrownOut(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*cutover.CertifyOptions)
		want   string
	}{
		"none": {func(o *cutover.CertifyOptions) { o.BrownOut = nil }, "has not refused anybody"},
		"none in a rehearsal that demands one": {func(o *cutover.CertifyOptions) {
			o.BrownOut, o.Rehearsal = nil, &migration.Rehearsal{}
		}, "has not refused anybody"},
		"none demanded": {func(o *cutover.CertifyOptions) { o.BrownOut, o.RefusesFor = nil, 0 }, "has not refused anybody"},
		"too short":     {func(o *cutover.CertifyOptions) { o.BrownOut.Began = o.BrownOut.Ended.Add(-9 * time.Minute) }, "refused for 9m0s, and 10m0s are demanded"},
		"not seen":      {func(o *cutover.CertifyOptions) { o.BrownOut.Evidence[0].Use = cutover.Unseen }, "while blue refused: connections: unseen"},
		"long ago": {func(o *cutover.CertifyOptions) {
			o.BrownOut.Ended = o.BrownOut.Ended.Add(-2 * time.Hour)
			o.BrownOut.Began = o.BrownOut.Began.Add(-3 * time.Hour)
		}, "watch it again"},
		"skipped":           {func(o *cutover.CertifyOptions) { o.BrownOut, o.RefusesFor, o.Skipped = nil, 0, "the hosts are off" }, ""},
		"nothing to refuse": {func(o *cutover.CertifyOptions) { o.BrownOut = &cutover.BrownOut{Text: "nothing leads there"} }, ""},
		"as it should be":   {func(*cutover.CertifyOptions) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			opts := w.certifyOptions()
			tt.change(&opts)
			cert, _, err := cutover.Certify(t.Context(), opts)
			if tt.want != "" {
				if !errors.Is(err, cutover.ErrNotCertified) || !contains(err.Error(), tt.want) {
					t.Errorf("err = %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := cert.NoBrownOut
			if cert.BrownOut != nil {
				want = cert.BrownOut.Text
			}
			if !contains(cert.Markdown(), want) {
				t.Errorf("the page does not say %q", want)
			}
		})
	}
}

// What no source watches stands in the certificate and on its page, with the reason.
func TestC24_CertificateNamesWhatNothingWatches(t *testing.T) {
	w := newWorld(t)
	opts := w.certifyOptions()
	opts.Retirement.Unwatched = map[string]string{"late": "it takes from a queue"}
	cert, _, err := cutover.Certify(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if cert.Unwatched["late"] == "" || !contains(cert.Markdown(), "- late is watched by nothing: it takes from a queue") {
		t.Errorf("%v\n%s", cert.Unwatched, cert.Markdown())
	}
}

func TestI10_CertificateNeedsEveryProof(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*world, *cutover.CertifyOptions)
		want   string
	}{
		"never watched":           {func(_ *world, o *cutover.CertifyOptions) { o.Idle = cutover.Idle{} }, "not shown to be idle"},
		"not long enough":         {func(_ *world, o *cutover.CertifyOptions) { o.Idle.For = 71 * time.Hour }, "blue was idle for 71h"},
		"twice a long TTL":        {func(_ *world, o *cutover.CertifyOptions) { o.OldTTL = 48 * time.Hour }, "blue was idle for 73h"},
		"seen too long ago":       {func(_ *world, o *cutover.CertifyOptions) { o.Idle.Until = o.Idle.Until.Add(-2 * time.Hour) }, "watch it again"},
		"no evidence":             {func(_ *world, o *cutover.CertifyOptions) { o.Idle.Evidence = nil }, "not shown to be idle"},
		"evidence of a use":       {func(_ *world, o *cutover.CertifyOptions) { o.Idle.Evidence[0].Use = cutover.Unseen }, "unseen"},
		"green fails":             {func(w *world, _ *cutover.CertifyOptions) { w.green.status.Store(http.StatusBadGateway) }, "does not pass its checks"},
		"a look is missing":       {func(_ *world, o *cutover.CertifyOptions) { o.Samples = o.Samples[1:] }, "73 recorded looks"},
		"a look was changed":      {func(_ *world, o *cutover.CertifyOptions) { o.Samples[3].Observations[0].Text = "other" }, "idleness was concluded from"},
		"no checks":               {func(_ *world, o *cutover.CertifyOptions) { o.Applications[0].Checks = nil }, "there are none"},
		"a bucket is missing":     {func(_ *world, o *cutover.CertifyOptions) { o.Data = nil }, "only 0 are proven equal"},
		"differences":             {func(_ *world, o *cutover.CertifyOptions) { o.Data[0].Differences = 1 }, "1 differences"},
		"data of before":          {func(_ *world, o *cutover.CertifyOptions) { o.Data[0].Frozen = o.Data[0].Verified.Add(time.Second) }, "after blue's last write"},
		"no archive":              {func(_ *world, o *cutover.CertifyOptions) { o.Archive = cutover.ArchiveProof{} }, "no verified archive"},
		"archive of before":       {func(_ *world, o *cutover.CertifyOptions) { o.Archive.Made = o.Frozen.Add(-time.Second) }, "before blue's last write"},
		"a watch of other times":  {func(_ *world, o *cutover.CertifyOptions) { o.Idle.Since = o.Idle.Since.Add(time.Hour) }, "the recorded looks show blue quiet from"},
		"a longer watch":          {func(_ *world, o *cutover.CertifyOptions) { o.Idle.For += time.Hour }, "the recorded looks show blue quiet from"},
		"another number of looks": {func(_ *world, o *cutover.CertifyOptions) { o.Idle.Samples++ }, "idleness was concluded from 75"},
		"data never proven":       {func(_ *world, o *cutover.CertifyOptions) { o.Data[0].Verified = time.Time{} }, "after blue's last write"},
		"archive without hash":    {func(_ *world, o *cutover.CertifyOptions) { o.Archive.Hash = "" }, "no verified archive"},
		"archive never verified":  {func(_ *world, o *cutover.CertifyOptions) { o.Archive.Verified = time.Time{} }, "no verified archive"},
		"green without name":      {func(_ *world, o *cutover.CertifyOptions) { o.Green.UID = "" }, "which clusters"},
		"clusters without name":   {func(_ *world, o *cutover.CertifyOptions) { o.Blue.UID = "" }, "which clusters"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			opts := w.certifyOptions()
			tt.change(w, &opts)
			_, _, err := cutover.Certify(t.Context(), opts)
			if !errors.Is(err, cutover.ErrNotCertified) || !contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
		})
	}
}

// state is evidence of what stands somewhere at each look.
type state struct{ *script }

func (state) Coverage() cutover.Coverage { return cutover.State }

// Of each source the certificate says what it covers: from its last use on, how often it was looked at and in vain, and the largest gap.
func TestC24_TheCertificateSaysWhatEachSourceCovers(t *testing.T) {
	c := clock.NewFake(hour(0))
	quiet, gone := look{use: cutover.Quiet}, look{err: errors.New("no answer")}
	var samples []cutover.Sample
	opts := idleOptions(c, &script{name: "log", clock: c, reach: true, looks: []look{quiet, {use: cutover.Used}, quiet, gone}},
		state{&script{name: "names", clock: c, reach: true, looks: []look{quiet, quiet, quiet, quiet, gone}}}, &script{name: "flows", clock: c})
	opts.Record = func(s cutover.Sample) error {
		samples = append(samples, s)
		return nil
	}
	idle, err := cutover.WatchIdle(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	sources, _, err := idle.Sources(samples)
	if err != nil {
		t.Fatal(err)
	}
	minute := func(n int) time.Time { return hour(0).Add(time.Duration(n) * time.Minute) }
	for i, want := range []cutover.Source{
		{Coverage: cutover.Whole, From: minute(1), Looks: 10, Unseen: 1},
		{Coverage: cutover.State, From: minute(0), Looks: 11, Unseen: 1, LargestGap: 2 * time.Minute, GapAt: minute(5)},
		{Coverage: cutover.Sampled, From: minute(0), Looks: 12, LargestGap: time.Minute, GapAt: minute(1)},
	} {
		got := sources[i]
		if got.Coverage != want.Coverage || !got.From.Equal(want.From) || !got.Until.Equal(minute(11)) || got.Looks != want.Looks || got.Unseen != want.Unseen || got.LargestGap != want.LargestGap || !got.GapAt.Equal(want.GapAt) {
			t.Errorf("%s: %+v, want %+v", got.Name, got, want)
		}
	}
}

// A Prometheus is asked once more for the whole of the time: what came late, and what is gone by then, is seen.
func TestC24_TheCertificateAsksPrometheusForTheWholeTime(t *testing.T) {
	begin := func(w *world) float64 { return w.clock.Now().Add(-73 * time.Hour).Sub(hour(0)).Hours() }
	for name, tt := range map[string]struct {
		series  func(begin float64) func(time.Time) map[string]float64
		watched string
		want    string
	}{
		"it stands still":     {func(float64) func(time.Time) map[string]float64 { return steady("a", 5) }, "Prometheus: edge", ""},
		"it rose":             {func(h float64) func(time.Time) map[string]float64 { return steady("a", 5, h+50, 6) }, "Prometheus: edge", `asked for the whole time: blue was used: requests{pod="a"} counted 1 more`},
		"data were lost":      {func(h float64) func(time.Time) map[string]float64 { return steady("a", 5, h+50, noData, h+51, 5) }, "Prometheus: edge", "asked for the whole time: requests{pod=\"a\"} has no data from"},
		"it gives no answer":  {nil, "Prometheus: edge", "asked for the whole time: Prometheus answers 400"},
		"nobody looked at it": {func(float64) func(time.Time) map[string]float64 { return steady("a", 5) }, "Prometheus: other", "Prometheus: edge was not watched"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			opts := w.certifyOptions()
			opts.Idle, opts.Samples = w.watched(tt.watched)
			f, evidence, _ := promEvidence(t, migration.IdleQuery{Counter: true})
			opts.Retirement.Prometheus = []migration.IdleQuery{evidence.Query}
			if tt.series != nil {
				f.set("q", tt.series(begin(w)))
			}
			cert, files, err := cutover.Certify(t.Context(), opts)
			if tt.want != "" {
				if !errors.Is(err, cutover.ErrNotCertified) || !contains(err.Error(), tt.want) {
					t.Errorf("err = %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			last, confirmed := files[len(files)-1], cert.Sources[2].Confirmed
			sum := sha256.Sum256(last.Content)
			if confirmed == nil || confirmed.File != last.Name || confirmed.SHA256 != hex.EncodeToString(sum[:]) || !contains(cert.Markdown(), "asked once more, for the whole time: "+confirmed.Text) {
				t.Errorf("confirmed: %+v in %s", confirmed, last.Name)
			}
		})
	}
}

func TestI10_CertificateHoldsOnlyForWhatItCertifies(t *testing.T) {
	w := newWorld(t)
	cert, _, err := cutover.Certify(t.Context(), w.certifyOptions())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(cert)
	if err != nil {
		t.Fatal(err)
	}
	now, blue := w.clock.Now(), kube.Identity{UID: "b"}
	for _, tt := range []struct {
		name      string
		migration string
		blue      kube.Identity
		at        time.Time
		change    func(*cutover.Certificate)
		want      string
	}{
		{"as it is", "move", blue, now, func(*cutover.Certificate) {}, ""},
		{"another migration", "other", blue, now, func(*cutover.Certificate) {}, `of the migration "move"`},
		{"another cluster", "move", kube.Identity{UID: "g"}, now, func(*cutover.Certificate) {}, "it certifies the cluster b, and blue is g"},
		{"too old", "move", blue, now.Add(25 * time.Hour), func(*cutover.Certificate) {}, "the proof is too old"},
		{"changed", "move", blue, now, func(c *cutover.Certificate) { c.Idle.For *= 2 }, "was changed after it was made"},
		{"from the future", "move", blue, now.Add(-time.Hour), func(*cutover.Certificate) {}, "the proof is too old"},
		{"another form", "move", blue, now, func(c *cutover.Certificate) { c.Format = 1 }, "the certificate has format 1"},
		{"no cluster", "move", kube.Identity{}, now, func(c *cutover.Certificate) { c.Blue.UID = "" }, "it certifies the cluster , and blue is "},
	} {
		var c cutover.Certificate
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatal(err)
		}
		tt.change(&c)
		if err := c.Valid(tt.migration, tt.blue, tt.at); (err == nil) != (tt.want == "") || err != nil && !contains(err.Error(), tt.want) {
			t.Errorf("%s: err = %v, want %q", tt.name, err, tt.want)
		}
	}
	if page := cert.Markdown(); contains(page, "Rehearsal") || !contains(page, cert.Hash) {
		t.Errorf("page:\n%s", page)
	}
}

func TestI10_RehearsalIsStamped(t *testing.T) {
	w := newWorld(t)
	w.opts.Rehearsal = &migration.Rehearsal{Idle: migration.Duration(time.Minute)}
	opts := w.certifyOptions()
	cert, _, err := cutover.Certify(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if !cert.Rehearsal || !contains(cert.Markdown(), "Rehearsal") {
		t.Errorf("certificate = %+v", cert)
	}
}

// What compares with blue would be a use of it, by Crossfade itself, at the very end of the idle time.
func TestC24_TheCertificatesOwnChecksLeaveBlueAlone(t *testing.T) {
	w := newWorld(t)
	w.opts.Applications[0].Checks = []migration.Check{
		{Name: "as blue", HTTP: &migration.HTTPCheck{Scheme: "http", Path: "/", SameAsBlue: true, SameBody: true, SameHeaders: []string{"Server"}}},
		{Name: "as fast as blue", Probes: &migration.ProbesCheck{HTTP: migration.HTTPCheck{Scheme: "http", Path: "/"}, Samples: 20, Errors: share(0.5), P95: &migration.Latency{Ratio: share(1000)}}},
		{Name: "nothing else", Probes: &migration.ProbesCheck{HTTP: migration.HTTPCheck{Scheme: "http", Path: "/"}, Samples: 20, P95: &migration.Latency{Ratio: share(1000)}}},
	}
	w.blue.server.Close()
	cert, _, err := cutover.Certify(t.Context(), w.certifyOptions())
	if err != nil {
		t.Fatal(err)
	}
	if len(cert.Checks) != 2 {
		t.Errorf("checks: %v", cert.Checks)
	}
}
