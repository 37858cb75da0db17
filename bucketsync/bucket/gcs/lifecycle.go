package gcs

import (
	"strconv"
	"time"

	"cloud.google.com/go/storage"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// A rule of Cloud Storage has one action and conditions that must all hold: https://cloud.google.com/storage/docs/lifecycle.
// What has no field in bucket.LifecycleRule stands in Other under these names.
const (
	otherAction        = "action"
	otherCreatedBefore = "createdBefore"
	otherCustomBefore  = "customTimeBefore"
	otherCustomDays    = "daysSinceCustomTime"
	otherGoneBefore    = "noncurrentTimeBefore"
	otherBothVersions  = "isLive" // "any" where the rule is for current and old versions alike
)

func neutralRule(r storage.LifecycleRule) bucket.LifecycleRule {
	c := r.Condition
	out := bucket.LifecycleRule{Prefixes: c.MatchesPrefix, Suffixes: c.MatchesSuffix, Classes: c.MatchesStorageClasses}
	other := map[string]string{}
	dates := map[string]time.Time{otherCreatedBefore: c.CreatedBefore, otherCustomBefore: c.CustomTimeBefore, otherGoneBefore: c.NoncurrentTimeBefore}
	for name, date := range dates {
		if !date.IsZero() {
			other[name] = date.Format(time.DateOnly)
		}
	}
	if c.DaysSinceCustomTime > 0 {
		other[otherCustomDays] = strconv.FormatInt(c.DaysSinceCustomTime, 10)
	}
	aboutOld := c.DaysSinceNoncurrentTime > 0 || c.NumNewerVersions > 0
	current := bucket.When{Days: int(c.AgeInDays)}
	old := bucket.Noncurrent{Days: int(c.DaysSinceNoncurrentTime), Keep: int(c.NumNewerVersions)}
	switch {
	case c.Liveness == storage.Archived || aboutOld && c.Liveness == storage.LiveAndArchived:
		// Only old versions have newer ones, or a time at which they ceased to be current.
		if c.AgeInDays > 0 {
			other["age"] = strconv.FormatInt(c.AgeInDays, 10) // of an old version, counted from when it was written
		}
	case c.Liveness == storage.LiveAndArchived && r.Action.Type != storage.AbortIncompleteMPUAction:
		other[otherBothVersions] = "any"
	}
	forOld := c.Liveness == storage.Archived || aboutOld
	switch {
	case r.Action.Type == storage.AbortIncompleteMPUAction:
		out.AbortUploads = int(c.AgeInDays)
	case r.Action.Type == storage.DeleteAction && forOld:
		out.ExpireNoncurrent = &old
	case r.Action.Type == storage.DeleteAction:
		out.Expire = &current
	case r.Action.Type == storage.SetStorageClassAction && forOld:
		out.NoncurrentTransitions = []bucket.NoncurrentTransition{{Noncurrent: old, Class: r.Action.StorageClass}}
	case r.Action.Type == storage.SetStorageClassAction:
		out.Transitions = []bucket.Transition{{When: current, Class: r.Action.StorageClass}}
	default:
		other[otherAction] = r.Action.Type
	}
	if len(other) > 0 {
		out.Other = other
	}
	return out
}

// storageRules makes the rules of a neutral one: one for each action. A disabled rule has no form here: it is left out
// by the mapping, as is what Cloud Storage cannot say.
func storageRules(r bucket.LifecycleRule) []storage.LifecycleRule {
	base := storage.LifecycleCondition{MatchesPrefix: r.Prefixes, MatchesSuffix: r.Suffixes, MatchesStorageClasses: r.Classes}
	day := func(name string) time.Time {
		t, _ := time.Parse(time.DateOnly, r.Other[name]) // the zero time where there is none
		return t
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(r.Other[name], 10, 64) // 0 where there is none
		return n
	}
	base.CreatedBefore, base.CustomTimeBefore, base.NoncurrentTimeBefore = day(otherCreatedBefore), day(otherCustomBefore), day(otherGoneBefore)
	base.DaysSinceCustomTime = number(otherCustomDays)
	var out []storage.LifecycleRule
	current := func(days int, action storage.LifecycleAction) {
		c := base
		c.AgeInDays, c.Liveness = int64(days), storage.Live
		if r.Other[otherBothVersions] == "any" {
			c.Liveness = storage.LiveAndArchived
			c.AllObjects = days == 0 && len(r.Other) == 1 && len(r.Prefixes)+len(r.Suffixes)+len(r.Classes) == 0
		}
		out = append(out, storage.LifecycleRule{Action: action, Condition: c})
	}
	old := func(n bucket.Noncurrent, action storage.LifecycleAction) {
		c := base
		c.AgeInDays, c.DaysSinceNoncurrentTime, c.NumNewerVersions, c.Liveness = number("age"), int64(n.Days), int64(n.Keep), storage.Archived
		out = append(out, storage.LifecycleRule{Action: action, Condition: c})
	}
	class := func(name string) storage.LifecycleAction {
		return storage.LifecycleAction{Type: storage.SetStorageClassAction, StorageClass: name}
	}
	remove := storage.LifecycleAction{Type: storage.DeleteAction}
	if r.Expire != nil {
		current(r.Expire.Days, remove)
	}
	for _, t := range r.Transitions {
		current(t.Days, class(t.Class))
	}
	if r.ExpireNoncurrent != nil {
		old(*r.ExpireNoncurrent, remove)
	}
	for _, t := range r.NoncurrentTransitions {
		old(t.Noncurrent, class(t.Class))
	}
	if r.AbortUploads > 0 {
		c := storage.LifecycleCondition{AgeInDays: int64(r.AbortUploads), MatchesPrefix: r.Prefixes, MatchesSuffix: r.Suffixes}
		out = append(out, storage.LifecycleRule{Action: storage.LifecycleAction{Type: storage.AbortIncompleteMPUAction}, Condition: c})
	}
	return out
}
