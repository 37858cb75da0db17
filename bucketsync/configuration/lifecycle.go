package configuration

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// lifecycle of S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html), MinIO
// (https://min.io/docs/minio/linux/administration/object-management/object-lifecycle-management.html) and GCS
// (https://cloud.google.com/storage/docs/lifecycle). Azure's is on the management plane.
//
//	S3                                       GCS
//	Expiration Days N                        Delete, age N, isLive true. S3 acts at the midnight after, GCS within a day of it
//	Expiration Date D                        none: GCS's createdBefore looks at when an object was made, S3 at the calendar
//	NoncurrentDays N                         Delete, daysSinceNoncurrentTime N
//	NewerNoncurrentVersions K                numNewerVersions K+1: GCS counts the current version too
//	filter by tags, by size                  none
//	AbortIncompleteMultipartUpload N         AbortIncompleteMultipartUpload, age N
//	ExpiredObjectDeleteMarker                needless: GCS has no delete markers
//	STANDARD_IA, ONEZONE_IA                  NEARLINE
//	GLACIER_IR                               COLDLINE
//	GLACIER, DEEP_ARCHIVE                    ARCHIVE (which is read at once, and dearer)
//	back: ARCHIVE                            GLACIER_IR: the others of S3's would have to be restored before they are read
func (m *mapping) lifecycle() {
	if len(m.Source.Lifecycle) == 0 || m.noPlace(bucket.PartLifecycle, "lifecycle rules") {
		return
	}
	const part = bucket.PartLifecycle
	for i, r := range m.Source.Lifecycle {
		name := r.ID
		if name == "" {
			name = fmt.Sprintf("rule %d", i+1)
		}
		if m.to(azure) {
			m.enter(part, Lost, "%s (%s): Azure's rules are on the management plane: az storage account management-policy create", name, ruleWords(r))
			continue
		}
		made := m.rules(name, r)
		m.answer.Apply.Lifecycle = append(m.answer.Apply.Lifecycle, made...)
	}
	if len(m.answer.Apply.Lifecycle) > 0 {
		m.enter(part, Mapped, "ages are counted anew from when each copy was written")
	}
}

// rules makes the destination's rules of one of the source's.
func (m *mapping) rules(name string, r bucket.LifecycleRule) []bucket.LifecycleRule {
	const part = bucket.PartLifecycle
	before := ruleWords(r)
	r, why := m.rescope(r)
	if why == "" && !m.within() {
		why = m.filterProblem(r)
	}
	if why != "" {
		m.enter(part, Lost, "%s (%s): %s", name, before, why)
		return nil
	}
	if m.within() && !m.to(minio) {
		m.enter(part, Kept, "%s (%s)", name, ruleWords(r))
		return []bucket.LifecycleRule{r}
	}
	out := r
	out.Other = nil
	if m.within() {
		out.Other = r.Other
	}
	m.actions(name, &out, r.Other["isLive"] == "any" && m.Source.Versioning != nil)
	if !out.Expires() && len(out.Transitions)+len(out.NoncurrentTransitions) == 0 && out.AbortUploads == 0 && !out.RemoveMarkers {
		return nil // each action has its own entry
	}
	fate := Mapped
	if m.within() {
		fate = Kept
	}
	m.enter(part, fate, "%s (%s)", name, ruleWords(out))
	if m.to(gcs) || len(out.Prefixes) < 2 {
		return []bucket.LifecycleRule{out}
	}
	// S3 and MinIO have one prefix in a rule.
	var split []bucket.LifecycleRule
	for i, prefix := range out.Prefixes {
		one := out
		one.Prefixes = []string{prefix}
		if one.ID != "" {
			one.ID = fmt.Sprintf("%s-%d", out.ID, i+1)
		}
		split = append(split, one)
	}
	return split
}

// rescope gives a rule the prefix that the keys have at the destination.
func (m *mapping) rescope(r bucket.LifecycleRule) (bucket.LifecycleRule, string) {
	from, to := m.From.Prefix, m.To.Prefix
	if from == to {
		return r, ""
	}
	prefixes := r.Prefixes
	if len(prefixes) == 0 {
		prefixes = []string{""}
	}
	r.Prefixes = nil
	for _, p := range prefixes {
		switch {
		case strings.HasPrefix(p, from):
			r.Prefixes = append(r.Prefixes, to+strings.TrimPrefix(p, from))
		case strings.HasPrefix(from, p):
			r.Prefixes = append(r.Prefixes, to) // it is for all keys that are copied, and others
		}
	}
	if len(r.Prefixes) == 0 {
		return r, "it is for other keys than those that are copied"
	}
	if slices.Contains(r.Prefixes, "") {
		r.Prefixes = nil
	}
	return r, ""
}

// filterProblem says which condition of a rule the destination cannot express.
func (m *mapping) filterProblem(r bucket.LifecycleRule) string {
	for _, name := range slices.Sorted(maps.Keys(r.Other)) {
		if name == "isLive" && m.Source.Versioning == nil {
			continue // without versions there are only current ones
		}
		if name != "isLive" {
			return fmt.Sprintf("%s has no %s", m.To.Provider, name)
		}
	}
	if m.to(gcs) {
		switch {
		case r.Disabled:
			return "Cloud Storage has no rules that are switched off"
		case len(r.Tags) > 0:
			return "Cloud Storage has no rules for tags, and without that it would be for more objects"
		case r.LargerThan > 0 || r.SmallerThan > 0:
			return "Cloud Storage has no rules for sizes, and without that it would be for more objects"
		case r.Expire != nil && !r.Expire.Date.IsZero(), slices.ContainsFunc(r.Transitions, func(t bucket.Transition) bool { return !t.Date.IsZero() }):
			return "Cloud Storage has no rules that begin on a day"
		}
		return ""
	}
	switch {
	case len(r.Suffixes) > 0:
		return m.To.Provider + " has no rules for suffixes, and without that it would be for more objects"
	case m.to(s3) && r.ExpireNoncurrent != nil && m.noncurrent(*r.ExpireNoncurrent).Keep > 100:
		return "S3 keeps at most 100 old versions by a rule, and with that more would be deleted"
	case len(r.Classes) > 0:
		return m.To.Provider + " has no rules for storage classes, and without that it would be for more objects"
	}
	return ""
}

// actions translates what a rule does, with old to old versions as well. What the destination has no word for is taken out, and
// entered as lost.
func (m *mapping) actions(name string, r *bucket.LifecycleRule, old bool) {
	const part = bucket.PartLifecycle
	if old && r.Expire != nil {
		// GCS counts the age of an old version from when it was written, the others from when it was replaced: later.
		r.ExpireNoncurrent = &bucket.Noncurrent{Days: max(r.Expire.Days, 1)}
		m.enter(part, Mapped, "%s: old versions go %d days after they were replaced, which is later than at the source", name, r.ExpireNoncurrent.Days)
	}
	if old && len(r.Transitions) > 0 {
		m.enter(part, Lost, "%s: old versions stay in their class: their age is counted from when they were replaced", name)
	}
	if r.Expire != nil && r.Expire.Date.IsZero() && r.Expire.Days < 1 && !m.to(gcs) {
		r.Expire = &bucket.When{Days: 1}
		m.enter(part, Mapped, "%s: objects go after a day, the least that there is", name)
	}
	if n := r.ExpireNoncurrent; n != nil {
		moved := m.noncurrent(*n)
		r.ExpireNoncurrent = &moved
	}
	var transitions []bucket.Transition
	for _, t := range r.Transitions {
		class, why := m.storageClass(t.Class)
		if why != "" {
			m.enter(part, Lost, "%s: to %s after %d days: %s", name, t.Class, t.Days, why)
			continue
		}
		if days := leastDays(class); days > t.Days {
			m.enter(part, Mapped, "%s: to %s after %d days in place of %d, the least that there is", name, class, days, t.Days)
			t.Days = days
		}
		t.Class = class
		transitions = append(transitions, t)
	}
	r.Transitions = transitions
	var noncurrent []bucket.NoncurrentTransition
	for _, t := range r.NoncurrentTransitions {
		class, why := m.storageClass(t.Class)
		if why != "" {
			m.enter(part, Lost, "%s: old versions to %s after %d days: %s", name, t.Class, t.Days, why)
			continue
		}
		moved := m.noncurrent(t.Noncurrent)
		moved.Days = max(moved.Days, leastDays(class))
		noncurrent = append(noncurrent, bucket.NoncurrentTransition{Noncurrent: moved, Class: class})
	}
	r.NoncurrentTransitions = noncurrent
	if r.AbortUploads > 0 && m.to(minio) {
		m.enter(part, Lost, "%s: MinIO has no rule for unfinished uploads; it removes them by itself, by default after a day", name)
		r.AbortUploads = 0
	}
	if r.RemoveMarkers && m.to(gcs) {
		r.RemoveMarkers = false
		m.enter(part, Mapped, "%s: Cloud Storage has no delete markers to remove", name)
	}
}

// noncurrent translates how old versions are counted: https://cloud.google.com/storage/docs/lifecycle#numnewerversions.
func (m *mapping) noncurrent(n bucket.Noncurrent) bucket.Noncurrent {
	switch {
	case m.to(gcs) && m.From.Provider != gcs && n.Keep > 0:
		n.Keep++
	case m.From.Provider == gcs && !m.to(gcs):
		n.Keep = max(n.Keep-1, 0)
	}
	if !m.to(gcs) && m.From.Provider != minio {
		n.Days = max(n.Days, 1)
	}
	if m.to(s3) {
		n.Days = max(n.Days, 1) // S3 asks for them
	}
	return n
}

// storageClass is the destination's word for a class that is read as fast.
func (m *mapping) storageClass(class string) (to, why string) {
	switch {
	case m.to(minio):
		return "", "a class of MinIO is the name of a tier, which is set up on the server"
	case m.From.Provider == minio:
		return "", "it is the name of a tier of the source's server"
	case m.to(gcs):
		to = map[string]string{"STANDARD_IA": "NEARLINE", "ONEZONE_IA": "NEARLINE", "GLACIER_IR": "COLDLINE", "GLACIER": "ARCHIVE", "DEEP_ARCHIVE": "ARCHIVE"}[class]
	default:
		to = map[string]string{"NEARLINE": "STANDARD_IA", "COLDLINE": "GLACIER_IR", "ARCHIVE": "GLACIER_IR"}[class]
	}
	if to == "" {
		return "", "the destination has no such class"
	}
	return to, ""
}

// leastDays before a transition: https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html.
func leastDays(class string) int {
	if class == "STANDARD_IA" || class == "ONEZONE_IA" {
		return 30
	}
	return 0
}

// ruleWords are a rule in a line.
func ruleWords(r bucket.LifecycleRule) string {
	var what, which []string
	if r.Expire != nil {
		if r.Expire.Date.IsZero() {
			what = append(what, fmt.Sprintf("delete after %d days", r.Expire.Days))
		} else {
			what = append(what, "delete from "+r.Expire.Date.Format("2006-01-02")+" on")
		}
	}
	for _, t := range r.Transitions {
		what = append(what, fmt.Sprintf("to %s after %d days", t.Class, t.Days))
	}
	if n := r.ExpireNoncurrent; n != nil {
		what = append(what, fmt.Sprintf("delete old versions after %d days but the newest %d", n.Days, n.Keep))
	}
	for _, t := range r.NoncurrentTransitions {
		what = append(what, fmt.Sprintf("old versions to %s after %d days", t.Class, t.Days))
	}
	if r.AbortUploads > 0 {
		what = append(what, fmt.Sprintf("abort uploads after %d days", r.AbortUploads))
	}
	if r.RemoveMarkers {
		what = append(what, "remove delete markers")
	}
	for _, p := range r.Prefixes {
		which = append(which, p+"…")
	}
	for _, s := range r.Suffixes {
		which = append(which, "…"+s)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		which = append(which, key+"="+r.Tags[key])
	}
	if r.LargerThan > 0 {
		which = append(which, fmt.Sprintf("over %d bytes", r.LargerThan))
	}
	if r.SmallerThan > 0 {
		which = append(which, fmt.Sprintf("under %d bytes", r.SmallerThan))
	}
	for _, class := range r.Classes {
		which = append(which, "in "+class)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Other)) {
		which = append(which, key+" "+r.Other[key])
	}
	text := strings.Join(what, ", ")
	if len(which) > 0 {
		text += " of " + strings.Join(which, ", ")
	}
	if r.Disabled {
		text += ", switched off"
	}
	return text
}
