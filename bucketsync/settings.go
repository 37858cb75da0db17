package bucketsync

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/internal/plan"
)

// merged adds to what is written what the destination's owner has there and no writer of a part leaves alone by itself: tags.
func merged(part bucket.Part, want, has bucket.Configuration) bucket.Configuration {
	if part != bucket.PartTags || len(has.Tags) == 0 {
		return want
	}
	tags := map[string]string{}
	for _, set := range []map[string]string{has.Tags, want.Tags} {
		for key, value := range set {
			tags[key] = value
		}
	}
	want.Tags = tags
	return want
}

// sameSetting reports whether a bucket has a part already as it is wanted.
func sameSetting(part bucket.Part, want, has bucket.Configuration) bool {
	if !has.Has(part) {
		return false
	}
	if part == bucket.PartTags {
		for key, value := range want.Tags {
			if got, ok := has.Tags[key]; !ok || got != value {
				return false
			}
		}
		return true
	}
	if part == bucket.PartEncryption && has.Encryption.Algorithm == want.Encryption.Algorithm {
		got, key := has.Encryption.Key, want.Encryption.Key // a store may answer with a longer name
		return got == key || key != "" && (strings.HasSuffix(got, "/"+key) || strings.HasSuffix(got, ":"+key))
	}
	return string(settingForm(part, want)) == string(settingForm(part, has))
}

// settingForm is a part without what stores change in it: IDs that they give, the order of rules, the form of a policy.
func settingForm(part bucket.Part, c bucket.Configuration) []byte {
	switch part {
	case bucket.PartPolicy:
		var grants []string
		for _, g := range c.Policy.Grants {
			g.Principals, g.Actions, g.Resources = slices.Sorted(slices.Values(g.Principals)), slices.Sorted(slices.Values(g.Actions)), slices.Sorted(slices.Values(g.Resources))
			grants = append(grants, g.String())
		}
		slices.Sort(grants)
		return plan.JSON(grants)
	case bucket.PartCORS:
		rules := slices.Clone(c.CORS)
		for i := range rules {
			rules[i].ID = ""
		}
		return plan.JSON(rules)
	case bucket.PartLifecycle:
		return plan.JSON(singleActions(c.Lifecycle))
	}
	return plan.JSON(c.Value(part))
}

// singleActions are rules taken apart into such as have one action each, sorted: Cloud Storage has no others.
func singleActions(rules []bucket.LifecycleRule) []string {
	var out []string
	for _, r := range rules {
		base := r
		base.ID, base.Expire, base.Transitions, base.ExpireNoncurrent, base.NoncurrentTransitions, base.AbortUploads, base.RemoveMarkers = "", nil, nil, nil, nil, 0, false
		add := func(change func(*bucket.LifecycleRule)) {
			one := base
			change(&one)
			out = append(out, string(plan.JSON(one)))
		}
		if r.Expire != nil {
			add(func(one *bucket.LifecycleRule) { one.Expire = r.Expire })
		}
		for _, t := range r.Transitions {
			add(func(one *bucket.LifecycleRule) { one.Transitions = []bucket.Transition{t} })
		}
		if r.ExpireNoncurrent != nil {
			add(func(one *bucket.LifecycleRule) { one.ExpireNoncurrent = r.ExpireNoncurrent })
		}
		for _, t := range r.NoncurrentTransitions {
			add(func(one *bucket.LifecycleRule) { one.NoncurrentTransitions = []bucket.NoncurrentTransition{t} })
		}
		if r.AbortUploads > 0 {
			add(func(one *bucket.LifecycleRule) { one.AbortUploads = r.AbortUploads })
		}
		if r.RemoveMarkers {
			add(func(one *bucket.LifecycleRule) { one.RemoveMarkers = true })
		}
	}
	slices.Sort(out)
	return out
}

// settingHash names a part as it is, for a change to rely on.
func settingHash(part bucket.Part, c bucket.Configuration) string {
	if unread, ok := c.Unreadable[part]; ok {
		return "unreadable: " + string(unread.Why)
	}
	if !c.Has(part) {
		return "absent"
	}
	sum := sha256.Sum256(settingForm(part, c))
	return hex.EncodeToString(sum[:8])
}
