package migration

import "github.com/crossfade-project/crossfade/internal/cli"

// File is one migration, as migration.yaml declares it.
type File struct {
	// Version of the format of this file.
	Version int `yaml:"version" json:"version" jsonschema:"enum=1"`
	// Name labels all that the migration makes; it is typed to confirm the retirement of blue.
	Name string `yaml:"name" json:"name" jsonschema:"pattern=^[a-z0-9]([-a-z0-9]{0\\,38}[a-z0-9])?$"`
	// Reason is why the applications move.
	Reason Reason `yaml:"reason" json:"reason" jsonschema:"enum=version,enum=hosts,enum=provider"`
	// Rehearsal declares that safety times are shortened on purpose. It is stamped on every report and certificate.
	Rehearsal *Rehearsal `yaml:"rehearsal,omitempty" json:"rehearsal,omitempty"`
	// Blue serves now.
	Blue Side `yaml:"blue" json:"blue"`
	// Green will serve.
	Green Side `yaml:"green" json:"green"`
	// Archive is where export writes what it read.
	Archive Archive `yaml:"archive" json:"archive"`
	// State is where the journal and the plans are kept.
	State *State `yaml:"state,omitempty" json:"state,omitempty"`
	// Stores are the object stores that URLs in this file refer to by name.
	Stores map[string]Store `yaml:"stores,omitempty" json:"stores,omitempty"`
	// Buckets are cloned from one store to another.
	Buckets []Bucket `yaml:"buckets,omitempty" json:"buckets,omitempty"`
	// Prices is a file with the prices of stores, in the form that crossfade sync --print-prices prints, for the estimates in plans. Default
	// those of the program.
	Prices string `yaml:"prices,omitempty" json:"prices,omitempty"`
	// Maps say what is called otherwise on green.
	Maps Maps `yaml:"maps,omitempty" json:"maps,omitempty"`
	// Restore sets how objects are written to green.
	Restore Restore `yaml:"restore,omitempty" json:"restore,omitempty"`
	// Patches change single objects on their way to green.
	Patches []Patch `yaml:"patches,omitempty" json:"patches,omitempty"`
	// Applications are the units that are cut over.
	Applications []Application `yaml:"applications" json:"applications" jsonschema:"minItems=1"`
	// Zones hold the applications' hostnames.
	Zones []Zone `yaml:"zones,omitempty" json:"zones,omitempty"`
	// Cutover sets times that hold for every application.
	Cutover Cutover `yaml:"cutover,omitempty" json:"cutover,omitempty"`
	// Notifications tell somebody of approvals that are needed, breaches, returns and ends.
	Notifications []Notification `yaml:"notifications,omitempty" json:"notifications,omitempty"`
	// Retirement says what of blue may be deleted once it is idle.
	Retirement *Retirement `yaml:"retirement,omitempty" json:"retirement,omitempty"`
}

// Reason is why applications move.
type Reason string

// Reasons to move.
const (
	ReasonVersion  Reason = "version"
	ReasonHosts    Reason = "hosts"
	ReasonProvider Reason = "provider"
)

// Rehearsal shortens the floors under safety times. Without it, the floors are those of the acceptance rules.
type Rehearsal struct {
	// Idle replaces the floor of max(72h, 2 x old TTL) under the time for which blue must be idle.
	Idle Duration `yaml:"idle,omitempty" json:"idle,omitempty"`
	// Soak replaces the floor of 60s that is added to twice the TTL.
	Soak Duration `yaml:"soak,omitempty" json:"soak,omitempty"`
}

// Side is one cluster, as a kubeconfig and one of its contexts.
type Side struct {
	// Kubeconfig is a path; relative paths start at this file. Empty means the usual chain (KUBECONFIG, the home folder).
	Kubeconfig string `yaml:"kubeconfig,omitempty" json:"kubeconfig,omitempty"`
	// Context of the kubeconfig. Empty means its current one.
	Context string `yaml:"context,omitempty" json:"context,omitempty"`
	// Helper is the image of this project as this side's nodes can pull it, for short-lived pods that look at a node.
	Helper string `yaml:"helper,omitempty" json:"helper,omitempty"`
}

// Archive is where the exported objects are kept.
type Archive struct {
	// URL is a path of a folder, a path that ends in .tar.zst, or a URL (file://, s3://, minio://, gs://, az://).
	URL string `yaml:"url" json:"url"`
	// Store names the entry of stores that holds the credentials for the URL.
	Store string `yaml:"store,omitempty" json:"store,omitempty"`
	// Recipients are age public keys (age1…) to which Secrets are encrypted. Default: the identity's own.
	Recipients []string `yaml:"recipients,omitempty" json:"recipients,omitempty"`
	// Identity refers to the age private key that opens them again.
	Identity *SecretRef `yaml:"identity,omitempty" json:"identity,omitempty"`
}

// State is where the journal and what belongs to it are kept.
type State struct {
	// Directory of the journal and the plans; relative paths start at this file. Empty means .crossfade/NAME beside it.
	Directory string `yaml:"directory,omitempty" json:"directory,omitempty"`
	// URL of a second place that gets all of it too, so that a lost machine does not lose the way back: a path of a folder, or
	// a URL (file://, s3://, minio://, gs://, az://) of a part of a bucket that no other migration uses. It also holds the
	// lease that keeps two machines from running the migration at once; without it, the lease is on blue.
	URL string `yaml:"url,omitempty" json:"url,omitempty"`
	// Store names the entry of stores that holds the credentials for the URL.
	Store string `yaml:"store,omitempty" json:"store,omitempty"`
}

// Store is one object store or account, with references to its credentials.
type Store struct {
	// Provider speaks to the store.
	Provider string `yaml:"provider" json:"provider" jsonschema:"enum=s3,enum=minio,enum=gcs,enum=azure,enum=file"`
	// Endpoint is a URL; empty means the provider's own.
	Endpoint string `yaml:"endpoint,omitempty" json:"endpoint,omitempty"`
	// Region of the store, where it has regions.
	Region string `yaml:"region,omitempty" json:"region,omitempty"`
	// Project in which buckets of a GCS store are made.
	Project string `yaml:"project,omitempty" json:"project,omitempty"`
	// Account of an Azure store.
	Account string `yaml:"account,omitempty" json:"account,omitempty"`
	// AccessKey refers to the access key's ID; empty uses the provider's usual chain.
	AccessKey *SecretRef `yaml:"accessKey,omitempty" json:"accessKey,omitempty"`
	// SecretKey refers to the secret key, or the account key of an Azure store.
	SecretKey *SecretRef `yaml:"secretKey,omitempty" json:"secretKey,omitempty"`
	// Anonymous sends no credentials at all, for emulators and public buckets.
	Anonymous bool `yaml:"anonymous,omitempty" json:"anonymous,omitempty"`
}

// SecretRef refers to a secret. Exactly one of its fields is set.
type SecretRef struct {
	// Env is the name of an environment variable.
	Env string `yaml:"env,omitempty" json:"env,omitempty"`
	// File is a path whose content, without its last newline, is the secret; relative paths start at this file.
	File string `yaml:"file,omitempty" json:"file,omitempty"`
	// Secret is a key of a Kubernetes Secret.
	Secret *KubeSecretRef `yaml:"secret,omitempty" json:"secret,omitempty"`
}

// KubeSecretRef names one key of a Secret on one side.
type KubeSecretRef struct {
	// Side that holds the Secret.
	Side string `yaml:"side" json:"side" jsonschema:"enum=blue,enum=green"`
	// Namespace of the Secret.
	Namespace string `yaml:"namespace" json:"namespace"`
	// Name of the Secret.
	Name string `yaml:"name" json:"name"`
	// Key in its data.
	Key string `yaml:"key" json:"key"`
}

// Bucket is one bucket and where it goes.
type Bucket struct {
	// Name by which applications refer to it.
	Name string `yaml:"name" json:"name"`
	// From is the bucket that blue's applications use.
	From BucketEnd `yaml:"from" json:"from"`
	// To is the bucket that green's applications will use.
	To BucketEnd `yaml:"to" json:"to"`
	// Create makes the destination where it is missing.
	Create bool `yaml:"create,omitempty" json:"create,omitempty"`
	// Configuration says when the source's configuration (policy, lifecycle, CORS, versioning, encryption, tags, public access) is
	// written to the destination: create, which is the default, where this migration makes it; apply, also where it was there;
	// ignore, never.
	Configuration string `yaml:"configuration,omitempty" json:"configuration,omitempty" jsonschema:"enum=create,enum=apply,enum=ignore"`
	// Conflict decides about objects that the destination holds, that the migration did not copy there and that differ from
	// the source's: fail, overwrite or skip. Default fail.
	Conflict string `yaml:"conflict,omitempty" json:"conflict,omitempty" jsonschema:"enum=fail,enum=overwrite,enum=skip"`
	// AllowExtra lets the final proof hold although the destination has objects that the source has not.
	AllowExtra bool `yaml:"allowExtra,omitempty" json:"allowExtra,omitempty"`
	// MaxDelete is the share of a side's objects above which nothing of it is deleted: of green's by a sync, of blue's by a
	// rollback. From 0 to 1; default 0.30. Ten objects may be deleted whatever their share, but not with 0, which deletes nothing.
	MaxDelete *float64 `yaml:"maxDelete,omitempty" json:"maxDelete,omitempty" jsonschema:"minimum=0,maximum=1"`
	// Versions copies every version of every key, delete markers among them, in their order. Both sides must keep versions; a
	// destination that is made is made so. The way back brings current objects.
	Versions bool `yaml:"versions,omitempty" json:"versions,omitempty"`
	// Locks says what becomes of objects whose locks the destination cannot hold: refuse, which is the default, or drop, which copies
	// them without and enters each in the ledger of losses.
	Locks string `yaml:"locks,omitempty" json:"locks,omitempty" jsonschema:"enum=refuse,enum=drop"`
	// KMS maps each key of a key service under which objects of the source are encrypted to the destination's, by the providers' own
	// names for them; "provider" leaves it to the destination's default. A key that is not listed is refused.
	KMS map[string]string `yaml:"kms,omitempty" json:"kms,omitempty"`
	// Bandwidth bounds how many bytes a second are read of the bucket's objects, as in 500k, 20M or 1G. Default no bound.
	Bandwidth string `yaml:"bandwidth,omitempty" json:"bandwidth,omitempty"`
	// Hash is the hash that proofs of content are made of: blake3 or sha256. Default the one that is cheaper on the machine that copies.
	Hash string `yaml:"hash,omitempty" json:"hash,omitempty" jsonschema:"enum=blake3,enum=sha256"`
	// Bind writes the destination's coordinates into objects on their way to green.
	Bind []Bind `yaml:"bind,omitempty" json:"bind,omitempty"`
}

// BytesPerSecond is Bandwidth as a number; 0 is no bound.
func (b Bucket) BytesPerSecond() (int64, error) {
	if b.Bandwidth == "" {
		return 0, nil
	}
	return cli.ParseBytes(b.Bandwidth)
}

// BucketEnd is one bucket at one store.
type BucketEnd struct {
	// Store is a name from stores.
	Store string `yaml:"store" json:"store"`
	// Bucket, container or directory.
	Bucket string `yaml:"bucket" json:"bucket"`
	// Prefix of the keys that belong to it.
	Prefix string `yaml:"prefix,omitempty" json:"prefix,omitempty"`
}

// Bind sets keys in the data of a ConfigMap or Secret on green.
type Bind struct {
	// Kind of the object.
	Kind string `yaml:"kind" json:"kind" jsonschema:"enum=ConfigMap,enum=Secret"`
	// Namespace of the object, as blue calls it.
	Namespace string `yaml:"namespace" json:"namespace"`
	// Name of the object.
	Name string `yaml:"name" json:"name"`
	// Set maps a key of the object's data to its new value, in which {{bucket}}, {{endpoint}}, {{region}}, {{account}},
	// {{accessKey}} and {{secretKey}} stand for the destination's. The keys can be used in Secrets only.
	Set map[string]string `yaml:"set" json:"set"`
}

// Maps say what is called otherwise on green. Each maps blue's word to green's; what is not listed keeps its name.
type Maps struct {
	// Namespaces by name.
	Namespaces map[string]string `yaml:"namespaces,omitempty" json:"namespaces,omitempty"`
	// StorageClasses by name.
	StorageClasses map[string]string `yaml:"storageClasses,omitempty" json:"storageClasses,omitempty"`
	// IngressClasses by name.
	IngressClasses map[string]string `yaml:"ingressClasses,omitempty" json:"ingressClasses,omitempty"`
	// PriorityClasses by name.
	PriorityClasses map[string]string `yaml:"priorityClasses,omitempty" json:"priorityClasses,omitempty"`
	// RuntimeClasses by name.
	RuntimeClasses map[string]string `yaml:"runtimeClasses,omitempty" json:"runtimeClasses,omitempty"`
	// Registries maps a prefix of image names to another.
	Registries map[string]string `yaml:"registries,omitempty" json:"registries,omitempty"`
	// Hosts maps ingress hosts.
	Hosts map[string]string `yaml:"hosts,omitempty" json:"hosts,omitempty"`
	// NodePorts maps node ports; the planner finds free ones for what collides and is not listed.
	NodePorts map[int32]int32 `yaml:"nodePorts,omitempty" json:"nodePorts,omitempty"`
}

// Restore sets how objects are written to green.
type Restore struct {
	// Conflicts decides about objects that are on green already and that the migration did not make: fail (the plan names
	// them), skip (they stay), update (they are overwritten and stay their owner's) or adopt (they become the migration's).
	// Default fail.
	Conflicts string `yaml:"conflicts,omitempty" json:"conflicts,omitempty" jsonschema:"enum=fail,enum=skip,enum=update,enum=adopt"`
	// AllowOlder allows a green with a lower minor version than blue's: fields that it does not know are lost.
	AllowOlder bool `yaml:"allowOlder,omitempty" json:"allowOlder,omitempty"`
}

// Patch is a JSON patch or a merge patch of the objects that it names.
type Patch struct {
	// Target chooses the objects, by blue's names.
	Target Target `yaml:"target" json:"target"`
	// Merge is an RFC 7396 merge patch.
	Merge map[string]any `yaml:"merge,omitempty" json:"merge,omitempty"`
	// JSON is an RFC 6902 patch.
	JSON []PatchOp `yaml:"json,omitempty" json:"json,omitempty"`
}

// Target chooses objects.
type Target struct {
	// Group of the API; empty is the core group.
	Group string `yaml:"group,omitempty" json:"group,omitempty"`
	// Kind of the objects.
	Kind string `yaml:"kind" json:"kind"`
	// Namespace of the objects; empty for cluster-scoped ones.
	Namespace string `yaml:"namespace,omitempty" json:"namespace,omitempty"`
	// Name of one object; empty means all of the kind that the selector matches.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Selector is a label selector in kubectl's form.
	Selector string `yaml:"selector,omitempty" json:"selector,omitempty"`
}

// PatchOp is one operation of RFC 6902.
type PatchOp struct {
	// Op is the operation.
	Op string `yaml:"op" json:"op" jsonschema:"enum=add,enum=remove,enum=replace,enum=test,enum=copy,enum=move"`
	// Path is a JSON pointer (RFC 6901).
	Path string `yaml:"path" json:"path"`
	// From is a JSON pointer, for copy and move.
	From string `yaml:"from,omitempty" json:"from,omitempty"`
	// Value for add, replace and test.
	Value any `yaml:"value,omitempty" json:"value,omitempty"`
}
