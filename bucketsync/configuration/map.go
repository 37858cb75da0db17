package configuration

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// Providers, as bucket.Capabilities name them.
const (
	s3     = "s3"
	minio  = "minio"
	gcs    = "gcs"
	azure  = "azure"
	file   = "file"
	memory = "memory"
)

// End is one of the two buckets.
type End struct {
	Provider string // "s3", "minio", "gcs", "azure", "file"
	Bucket   string // its name, as policies have it
	Prefix   string // of the keys that are copied
	// Server is set where the bucket is not at the provider's own service, but at a server of that kind: nothing above the bucket
	// has a say there.
	Server bool
}

// Request is what is to be mapped.
type Request struct {
	From, To End
	Source   bucket.Configuration
	// Keys maps keys of the source's key service to the destination's; ProviderKey as a value leaves it to the destination.
	Keys map[string]string
}

// ProviderKey as a value of Request.Keys is no key: the destination encrypts as it does by default.
const ProviderKey = "provider"

// Fate is what becomes of a part, or of a piece of one.
type Fate string

// Fates.
const (
	Kept    Fate = "kept"    // as it is
	Mapped  Fate = "mapped"  // in another form
	Lost    Fate = "lost"    // the destination does not get it
	Unknown Fate = "unknown" // nobody can tell whether there is anything
)

// Entry is one line of the account.
type Entry struct {
	Part   bucket.Part `json:"part"`
	Fate   Fate        `json:"fate"`
	Detail string      `json:"detail"`
}

// Refusal is a part that is not mapped before somebody has decided.
type Refusal struct {
	Part bucket.Part `json:"part"`
	Why  string      `json:"why"`
	Mend string      `json:"mend"`
}

// Identity is somebody whom the source's configuration names.
type Identity struct {
	Principal string `json:"principal"` // in the words of the source's provider
	Kind      string `json:"kind"`      // "IAM role", "service account", "workload identity", …
	Named     string `json:"named"`     // by what
	Make      string `json:"make"`      // what green needs
}

// Answer is what becomes of a configuration.
type Answer struct {
	Apply      bucket.Configuration `json:"apply"`
	Entries    []Entry              `json:"entries,omitempty"`
	Refusals   []Refusal            `json:"refusals,omitempty"`
	Identities []Identity           `json:"identities,omitempty"`
}

// Map says what becomes of the source's configuration at the destination. It is a pure function: the same request gives
// the same answer, in the same order.
func Map(r Request) Answer {
	m := &mapping{Request: r}
	m.unreadable()
	m.publicAccess()
	m.encryption()
	m.versioning()
	m.lock()
	m.class()
	m.policy()
	m.tags()
	m.cors()
	m.lifecycle()
	m.rest()
	return m.answer
}

type mapping struct {
	Request
	answer Answer
}

// within reports whether both ends speak of a configuration in the same words.
func (m *mapping) within() bool { return m.From.Provider == m.To.Provider }

// sameRealm reports whether names of users, roles and accounts mean the same at both ends.
func (m *mapping) sameRealm() bool { return m.within() && m.From.Server == m.To.Server }

func (m *mapping) to(providers ...string) bool { return slices.Contains(providers, m.To.Provider) }

func (m *mapping) enter(part bucket.Part, fate Fate, format string, args ...any) {
	m.answer.Entries = append(m.answer.Entries, Entry{Part: part, Fate: fate, Detail: fmt.Sprintf(format, args...)})
}

func (m *mapping) refuse(part bucket.Part, why, mend string) {
	m.answer.Refusals = append(m.answer.Refusals, Refusal{Part: part, Why: why, Mend: mend})
}

// guards are the parts without which green would protect its objects less than blue: they are not passed over in silence.
func guards(part bucket.Part) bool {
	switch part {
	case bucket.PartPolicy, bucket.PartEncryption, bucket.PartPublicAccess, bucket.PartLock:
		return true
	}
	return false
}

func (m *mapping) unreadable() {
	for _, part := range bucket.Parts() {
		u, ok := m.Source.Unreadable[part]
		if !ok {
			continue
		}
		switch {
		case m.to(file, memory):
			m.enter(part, Unknown, "it could not be read at the source (%s), and a directory has none", u.Detail)
		case u.Why == bucket.WhyUnsupported:
			m.enter(part, Unknown, "the source's server does not tell: %s", u.Detail)
		case u.Why == bucket.WhyDenied && guards(part):
			m.refuse(part, "it could not be read at the source: "+u.Detail, "give the source's credentials the right to read the bucket's configuration (docs/buckets.md lists the rights), or leave the configuration out: configuration: ignore, or --configuration ignore")
		default:
			m.enter(part, Lost, "it could not be read at the source (%s): look at it there, and set it up at the destination by hand", u.Detail)
		}
	}
}

// noPlace says that a directory has no such part. It reports whether it did.
func (m *mapping) noPlace(part bucket.Part, what string) bool {
	if !m.to(file, memory) {
		return false
	}
	m.enter(part, Lost, "%s: a directory has none", what)
	return true
}

func (m *mapping) encryption() {
	e := m.Source.Encryption
	if e == nil || m.noPlace(bucket.PartEncryption, "encryption by default") {
		return
	}
	const part = bucket.PartEncryption
	if e.Algorithm == bucket.EncryptedByProvider {
		switch {
		case m.to(gcs, azure):
			// https://cloud.google.com/storage/docs/encryption/default-keys,
			// https://learn.microsoft.com/azure/storage/common/storage-service-encryption
			m.enter(part, Kept, "%s always encrypts, with keys of its own", m.To.Provider)
		default:
			m.answer.Apply.Encryption = &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByProvider}
			m.enter(part, Kept, "with the keys of the store itself")
		}
		return
	}
	if e.Key == "" && m.within() {
		m.answer.Apply.Encryption = &bucket.DefaultEncryption{Algorithm: e.Algorithm, BucketKey: e.BucketKey}
		m.enter(part, Mapped, "with the destination account's own key for the key service: readers of another account need a key of yours")
		return
	}
	key, ok := m.Keys[e.Key]
	switch {
	case !ok || key == "":
		m.refuse(part, fmt.Sprintf("new objects are encrypted under %s of a key service, and no key of the destination is named for it", keyName(e.Key)),
			fmt.Sprintf("map the key: kms of the bucket in the migration file, or --kms %s=KEY; %q in its stead leaves it to the destination's own keys", e.Key, ProviderKey))
	case key == ProviderKey:
		m.enter(part, Lost, "%s is not used: the destination encrypts with its own keys", keyName(e.Key))
		if m.to(s3) {
			m.answer.Apply.Encryption = &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByProvider}
		}
	case m.to(azure):
		m.refuse(part, "an encryption scope of Azure is chosen when a container is made, and this program makes containers without one",
			fmt.Sprintf("make the container yourself with the scope %s (az storage container create --default-encryption-scope), or map the key to %q", key, ProviderKey))
	default:
		to := &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByKey, Key: key}
		if m.within() {
			to.Algorithm, to.BucketKey = e.Algorithm, e.BucketKey
		}
		m.answer.Apply.Encryption = to
		m.enter(part, Mapped, "%s becomes %s", keyName(e.Key), key)
		if to.Algorithm != e.Algorithm {
			m.enter(part, Lost, "a second layer of encryption (%s): %s has one", e.Algorithm, m.To.Provider)
		}
	}
}

func keyName(key string) string {
	if key == "" {
		return "the provider's own key"
	}
	return "the key " + key
}

// versioning: https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html, https://cloud.google.com/storage/docs/object-versioning.
func (m *mapping) versioning() {
	v := m.Source.Versioning
	if v == nil || m.noPlace(bucket.PartVersioning, "versioning") {
		return
	}
	const part = bucket.PartVersioning
	switch {
	case m.to(azure):
		m.enter(part, Lost, "%s at the source; Azure's is of the whole account, and on the management plane: az storage account blob-service-properties update --enable-versioning true", v.State)
		return
	case v.State == bucket.VersioningSuspended && m.to(gcs):
		m.enter(part, Mapped, "suspended at the source: off, as in any new bucket")
		return
	}
	m.answer.Apply.Versioning = &bucket.Versioning{State: v.State}
	m.enter(part, Kept, "%s", v.State)
	if v.MFADelete {
		m.enter(part, Lost, "MFA delete: only the root user of the account can switch it on, with the device in hand")
	}
}

// lock: what a bucket gives to objects that are written without retention. Objects' own retention is carried with each of them.
func (m *mapping) lock() {
	l := m.Source.Lock
	if l == nil || !l.Enabled && !l.Bucket || m.noPlace(bucket.PartLock, "object lock") {
		return
	}
	const part = bucket.PartLock
	what := "objects can be locked"
	if l.Mode != "" {
		what = fmt.Sprintf("%s retention for %d days", strings.ToLower(l.Mode), l.Days)
		if l.Years > 0 {
			what = fmt.Sprintf("%s retention for %d years", strings.ToLower(l.Mode), l.Years)
		}
	}
	if l.Bucket {
		what = fmt.Sprintf("a retention policy of %s", l.Period)
	}
	switch {
	case m.within() && m.to(gcs) && l.Bucket:
		m.answer.Apply.Lock = &bucket.Retention{Bucket: true, Period: l.Period}
		m.enter(part, Kept, "%s", what)
		if l.Locked {
			m.enter(part, Lost, "the lock of the retention policy: a locked one can never be shortened or removed, so it is left to you (gcloud storage buckets update --lock-retention-period)")
		}
	case (m.From.Provider == s3 || m.From.Provider == minio) && m.to(s3, minio):
		kept := *l
		m.answer.Apply.Lock = &kept
		m.enter(part, Kept, "%s", what)
	case m.to(azure) || l.Bucket:
		m.enter(part, Lost, "%s: %s", what, lockHint(m.To.Provider))
	default:
		m.enter(part, Mapped, "objects can be locked: so that they can at the destination, it is made for that")
		if l.Mode != "" {
			m.enter(part, Lost, "%s for objects that are written without: %s", what, lockHint(m.To.Provider))
		}
	}
}

func lockHint(provider string) string {
	switch provider {
	case gcs:
		return "set a retention policy at the destination (gcloud storage buckets update --retention-period)"
	case azure:
		return "Azure's immutability policies are on the management plane: az storage container immutability-policy create"
	}
	return "set a default retention at the destination (aws s3api put-object-lock-configuration)"
}

func (m *mapping) class() {
	if m.Source.Class == "" || m.noPlace(bucket.PartClass, "a storage class") {
		return
	}
	if m.within() && m.to(gcs) {
		m.answer.Apply.Class = m.Source.Class
		m.enter(bucket.PartClass, Kept, "%s", m.Source.Class)
		return
	}
	m.enter(bucket.PartClass, Lost, "%s for objects that are written without a class: at %s each write names its own", m.Source.Class, m.To.Provider)
}

// rest are the parts that are told and never written: each leads to other resources, which are not this program's.
func (m *mapping) rest() {
	c := m.Source
	if c.Location != "" {
		m.enter(bucket.PartPlacement, Mapped, "the source lies in %s; the destination is made where its store says", c.Location)
	}
	if c.Website != "" {
		m.enter(bucket.PartWebsite, Lost, "%s: set it up at the destination, and move the names that lead to it", c.Website)
	}
	if c.Logging != "" {
		m.enter(bucket.PartLogging, Lost, "%s: choose where the destination's logs go", c.Logging)
	}
	for _, n := range c.Notification {
		m.enter(bucket.PartNotification, Lost, "%s: make a receiver for green, and name it at the destination after the switch: before it, every copy would be an event", n)
	}
	for _, r := range c.Replication {
		m.enter(bucket.PartReplication, Lost, "%s: replicate from the destination anew", r)
		if _, role, ok := strings.Cut(r, "by role "); ok {
			m.identify(role, "replication", "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Other)) {
		m.enter(bucket.PartOther, Lost, "%s: %s", name, c.Other[name])
	}
}
