package bucket

import (
	"context"
	"slices"
	"time"
)

// Part names one part of what a bucket is beside its objects.
type Part string

// The parts of a configuration, in the order in which they are written: what guards the objects comes before them.
const (
	PartPublicAccess Part = "public-access"
	PartEncryption   Part = "encryption"
	PartVersioning   Part = "versioning"
	PartLock         Part = "lock"
	PartClass        Part = "storage-class"
	PartPolicy       Part = "policy"
	PartTags         Part = "tags"
	PartCORS         Part = "cors"
	PartLifecycle    Part = "lifecycle"
	PartPlacement    Part = "location"
	PartWebsite      Part = "website"
	PartLogging      Part = "logging"
	PartNotification Part = "notification"
	PartReplication  Part = "replication"
	PartOther        Part = "other"
)

// Parts returns all parts, in the order of the constants.
func Parts() []Part {
	return []Part{
		PartPublicAccess, PartEncryption, PartVersioning, PartLock, PartClass, PartPolicy, PartTags, PartCORS, PartLifecycle,
		PartPlacement, PartWebsite, PartLogging, PartNotification, PartReplication, PartOther,
	}
}

// Why says why a part could not be read.
type Why string

// Reasons for which a part could not be read.
const (
	// WhyDenied: the credentials may not read it.
	WhyDenied Why = "denied"
	// WhyUnsupported: the server has no such request, so that it cannot have been set through it either.
	WhyUnsupported Why = "unsupported"
	// WhyElsewhere: the provider tells it through another interface, which this program does not speak.
	WhyElsewhere Why = "elsewhere"
)

// Unread is a part that could not be read. It is not absent (I8).
type Unread struct {
	Why    Why    `json:"why"`
	Detail string `json:"detail"`
}

// Configuration is what a bucket is beside its objects. A part is unreadable where Unreadable has it, else present where its
// field is set, else absent. It is plain data: two of them can be compared as JSON.
type Configuration struct {
	PublicAccess *PublicAccess      `json:"publicAccess,omitempty"`
	Encryption   *DefaultEncryption `json:"encryption,omitempty"`
	Versioning   *Versioning        `json:"versioning,omitempty"`
	Lock         *Retention         `json:"lock,omitempty"`
	Class        string             `json:"storageClass,omitempty"` // of objects that are written without one
	Policy       *Policy            `json:"policy,omitempty"`
	Tags         map[string]string  `json:"tags,omitempty"` // labels at GCS, metadata of a container at Azure
	CORS         []CORSRule         `json:"cors,omitempty"`
	Lifecycle    []LifecycleRule    `json:"lifecycle,omitempty"`
	// Location is where the bucket lies, in the provider's word. It is chosen when a bucket is made.
	Location string `json:"location,omitempty"`
	// What follows is read so that it can be told, and never written. Texts are for people, with the provider's own names.
	Website      string   `json:"website,omitempty"`
	Logging      string   `json:"logging,omitempty"`
	Notification []string `json:"notification,omitempty"`
	Replication  []string `json:"replication,omitempty"`
	// Other holds settings that no field has, by the provider's own name, where they are not the provider's default.
	Other map[string]string `json:"other,omitempty"`

	Unreadable map[Part]Unread `json:"unreadable,omitempty"`
}

// PublicAccess is what keeps a bucket from being public whatever else is set.
type PublicAccess struct {
	// The four switches of S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html.
	// GCS's "enforced" prevention sets all of them.
	BlockACLs       bool `json:"blockAcls"`
	IgnoreACLs      bool `json:"ignoreAcls"`
	BlockPolicy     bool `json:"blockPolicy"`
	RestrictBuckets bool `json:"restrictBuckets"`
	// NoACLs says that access is by policy alone: "bucket owner enforced" at S3, uniform bucket-level access at GCS.
	NoACLs bool `json:"noAcls,omitempty"`
}

// All reports that nothing can make the bucket public.
func (p PublicAccess) All() bool {
	return p.BlockACLs && p.IgnoreACLs && p.BlockPolicy && p.RestrictBuckets
}

// Algorithms of a DefaultEncryption.
const (
	// EncryptedByProvider: with keys that the provider keeps: SSE-S3, Google's and Microsoft's default.
	EncryptedByProvider = "provider"
	// EncryptedByKey: with a key of a key service, which Key names.
	EncryptedByKey = "kms"
	// EncryptedTwice is S3's DSSE-KMS.
	EncryptedTwice = "kms-dsse"
)

// DefaultEncryption is how objects are encrypted that are written without a word about it.
type DefaultEncryption struct {
	Algorithm string `json:"algorithm"`
	// Key of the key service, in the provider's form; empty with EncryptedByKey is the provider's own key for the service.
	Key string `json:"key,omitempty"`
	// BucketKey is S3's switch that saves requests to the key service.
	BucketKey bool `json:"bucketKey,omitempty"`
}

// States of Versioning.
const (
	VersioningEnabled   = "enabled"
	VersioningSuspended = "suspended" // versions are no longer made, and those that are there stay
)

// Versioning says whether overwritten and deleted objects stay as old versions. A bucket that never had it has no Versioning.
type Versioning struct {
	State string `json:"state"`
	// MFADelete says that a second factor is needed to delete a version. No program can set it.
	MFADelete bool `json:"mfaDelete,omitempty"`
}

// Retention is object lock, with the retention that objects get which are written without one.
type Retention struct {
	Enabled bool   `json:"enabled"`
	Mode    string `json:"mode,omitempty"`  // "COMPLIANCE" or "GOVERNANCE"; empty where objects get no retention by themselves
	Days    int    `json:"days,omitempty"`  // of retention
	Years   int    `json:"years,omitempty"` // of retention, in the place of days
	// Bucket says that it is GCS's retention policy, which holds for the bucket as a whole; Locked that it can only grow.
	Bucket bool          `json:"bucket,omitempty"`
	Locked bool          `json:"locked,omitempty"`
	Period time.Duration `json:"period,omitempty"` // of GCS's retention policy
}

// CORSRule lets pages of other origins make requests.
type CORSRule struct {
	ID             string   `json:"id,omitempty"`
	Origins        []string `json:"origins"`
	Methods        []string `json:"methods"`
	RequestHeaders []string `json:"requestHeaders,omitempty"`
	// ExposedHeaders are those of the answer that a page may see. GCS has one list for these and RequestHeaders.
	ExposedHeaders []string `json:"exposedHeaders,omitempty"`
	MaxAge         int      `json:"maxAge,omitempty"` // seconds
}

// LifecycleRule does something to objects by their age. All conditions that are set must hold. An action that is zero is none.
type LifecycleRule struct {
	ID       string `json:"id,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`

	// Which objects. Of several prefixes or suffixes, one must fit.
	Prefixes    []string          `json:"prefixes,omitempty"`
	Suffixes    []string          `json:"suffixes,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	LargerThan  int64             `json:"largerThan,omitempty"`  // bytes
	SmallerThan int64             `json:"smallerThan,omitempty"` // bytes
	Classes     []string          `json:"classes,omitempty"`     // only those of these storage classes

	// Actions on the current version.
	Expire      *When        `json:"expire,omitempty"`
	Transitions []Transition `json:"transitions,omitempty"`
	// Actions on versions that are no longer current. Days count from when they ceased to be.
	ExpireNoncurrent      *Noncurrent            `json:"expireNoncurrent,omitempty"`
	NoncurrentTransitions []NoncurrentTransition `json:"noncurrentTransitions,omitempty"`
	// AbortUploads removes unfinished multipart uploads after so many days.
	AbortUploads int `json:"abortUploads,omitempty"`
	// RemoveMarkers removes delete markers that hide nothing any more.
	RemoveMarkers bool `json:"removeMarkers,omitempty"`
	// Other holds conditions and actions that no field above has, by the provider's own names. A rule with one of them
	// is only carried within its provider.
	Other map[string]string `json:"other,omitempty"`
}

// When is an age, or a day from which on the action holds for every object.
type When struct {
	Days int       `json:"days,omitempty"`
	Date time.Time `json:"date,omitzero"`
}

// Transition moves objects to another storage class, in the provider's word.
type Transition struct {
	When
	Class string `json:"class"`
}

// Noncurrent chooses old versions: older than Days, and beyond the newest Keep of them.
type Noncurrent struct {
	Days int `json:"days,omitempty"`
	Keep int `json:"keep,omitempty"`
}

// NoncurrentTransition moves old versions to another storage class.
type NoncurrentTransition struct {
	Noncurrent
	Class string `json:"class"`
}

// Configured is the optional ability to tell what a bucket is beside its objects.
type Configured interface {
	// Configuration reads every part that the provider has. A part that may not be read, or that the server cannot tell,
	// is in Unreadable, with nothing in its field; a part that the provider does not have is absent. An error says that
	// nothing is known: ErrNotExist where there is no bucket, a failure of the moment where trying again may help.
	// It may be called by several goroutines.
	Configuration(ctx context.Context) (Configuration, error)
}

// Configurer is the optional ability to write parts of a configuration.
type Configurer interface {
	// Configure makes one part what c has of it, whole: rules that are there and not in c are gone afterwards. A part
	// that is absent in c is left as it is. Doing it again changes nothing. It returns ErrUnsupported where the store
	// cannot hold the part or a value in it, ErrDenied where the credentials may not write it.
	Configure(ctx context.Context, part Part, c Configuration) error
}

// Has reports whether a part is present.
func (c Configuration) Has(part Part) bool {
	return c.Value(part) != nil
}

// Value returns a present part, and nil for one that is absent or unreadable.
func (c Configuration) Value(part Part) any {
	present := func(ok bool, v any) any {
		if !ok {
			return nil
		}
		return v
	}
	switch part {
	case PartPublicAccess:
		return present(c.PublicAccess != nil, c.PublicAccess)
	case PartEncryption:
		return present(c.Encryption != nil, c.Encryption)
	case PartVersioning:
		return present(c.Versioning != nil, c.Versioning)
	case PartLock:
		return present(c.Lock != nil, c.Lock)
	case PartClass:
		return present(c.Class != "", c.Class)
	case PartPolicy:
		return present(c.Policy != nil, c.Policy)
	case PartTags:
		return present(len(c.Tags) > 0, c.Tags)
	case PartCORS:
		return present(len(c.CORS) > 0, c.CORS)
	case PartLifecycle:
		return present(len(c.Lifecycle) > 0, c.Lifecycle)
	case PartPlacement:
		return present(c.Location != "", c.Location)
	case PartWebsite:
		return present(c.Website != "", c.Website)
	case PartLogging:
		return present(c.Logging != "", c.Logging)
	case PartNotification:
		return present(len(c.Notification) > 0, c.Notification)
	case PartReplication:
		return present(len(c.Replication) > 0, c.Replication)
	case PartOther:
		return present(len(c.Other) > 0, c.Other)
	}
	return nil
}

// Unread enters a part that could not be read.
func (c *Configuration) Unread(part Part, why Why, detail string) {
	if c.Unreadable == nil {
		c.Unreadable = map[Part]Unread{}
	}
	c.Unreadable[part] = Unread{Why: why, Detail: detail}
}

// Note enters a setting of Other.
func (c *Configuration) Note(name, value string) {
	if c.Other == nil {
		c.Other = map[string]string{}
	}
	c.Other[name] = value
}

// Only returns the configuration with nothing but one part.
func (c Configuration) Only(part Part) Configuration {
	out := Configuration{}
	switch part {
	case PartPublicAccess:
		out.PublicAccess = c.PublicAccess
	case PartEncryption:
		out.Encryption = c.Encryption
	case PartVersioning:
		out.Versioning = c.Versioning
	case PartLock:
		out.Lock = c.Lock
	case PartClass:
		out.Class = c.Class
	case PartPolicy:
		out.Policy = c.Policy
	case PartTags:
		out.Tags = c.Tags
	case PartCORS:
		out.CORS = c.CORS
	case PartLifecycle:
		out.Lifecycle = c.Lifecycle
	case PartPlacement, PartWebsite, PartLogging, PartNotification, PartReplication, PartOther:
	}
	return out
}

// Expires reports whether a rule deletes objects.
func (r LifecycleRule) Expires() bool {
	return r.Expire != nil || r.ExpireNoncurrent != nil
}

// Writable are the parts that a Configurer may be asked for; the others are only told.
func Writable() []Part {
	all := Parts()
	return all[:slices.Index(all, PartPlacement)]
}

// ConfiguredOf finds the ability to tell a bucket's configuration, also below a prefix of it: what is told is of the whole bucket.
func ConfiguredOf(b Bucket) (Configured, bool) {
	c, ok := whole(b).(Configured)
	return c, ok
}

// ConfigurerOf finds the ability to write a bucket's configuration, also below a prefix of it.
func ConfigurerOf(b Bucket) (Configurer, bool) {
	c, ok := whole(b).(Configurer)
	return c, ok
}

// whole is the bucket of which b is a part.
func whole(b Bucket) Bucket {
	for {
		s, ok := partOf(b)
		if !ok {
			return b
		}
		b = s.Bucket
	}
}
