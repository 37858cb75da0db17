package bucket

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Sentinels that every driver returns (wrapped, found with errors.Is).
var (
	// ErrNotExist says that the object, or the bucket, is not there.
	ErrNotExist = errors.New("does not exist")
	// ErrPrecondition says that the pin of a read or the condition of a write no longer held.
	ErrPrecondition = errors.New("precondition failed")
	// ErrUnsupported says that the store cannot hold or do what was asked: an error of the request, not of the moment.
	ErrUnsupported = errors.New("not supported by this store")
	// ErrDenied says that the credentials do not allow the request.
	ErrDenied = errors.New("access denied")
	// ErrArchived says that the object has to be restored before it can be read.
	ErrArchived = errors.New("archived, and not restored")
	// ErrKeyNeeded says that the object is encrypted under a key that every request must carry.
	ErrKeyNeeded = errors.New("encrypted under a key that only its writer has")
	// ErrLocked says that a lock keeps the object from being changed or deleted.
	ErrLocked = errors.New("locked")
	// ErrSlowDown says that the store asked for fewer requests and still did when the SDK's own retries were used up.
	ErrSlowDown = errors.New("the store asks to slow down")
	// ErrNotEmpty says that a directory of the store's own holds something, and is not deleted for that.
	ErrNotEmpty = errors.New("the directory is not empty")
	// ErrIrregular says that what lies under the key is no object: see Irregular.
	ErrIrregular = errors.New("not an object")
	// ErrDigest says that the bytes of a write were not those of the digest that came with them: nothing was stored.
	ErrDigest = errors.New("the bytes are not those of the given digest")
	// ErrUnordered says that a listing showed another order than the store declares (B1).
	ErrUnordered = errors.New("listing out of order")
)

// Algorithm names a digest. Two digests say something of each other only when their algorithms are the same (B2).
type Algorithm string

// The digests that stores give or that Crossfade computes.
const (
	BLAKE3    Algorithm = "blake3" // of 32 bytes
	MD5       Algorithm = "md5"
	SHA256    Algorithm = "sha256"
	CRC32C    Algorithm = "crc32c"
	CRC64NVME Algorithm = "crc64nvme"
)

// Digest is a typed digest of an object's whole content. The zero value is "unknown", which equals nothing, itself included.
type Digest struct {
	Algorithm Algorithm
	Value     string // lower-case hexadecimal
}

// Object is one object as a listing or a head shows it.
type Object struct {
	Key      string
	Size     int64     // bytes
	ETag     string    // the store's opaque tag, without quotes; never taken for an MD5
	Version  string    // S3 versionId or GCS generation; empty where there is none
	Modified time.Time // the store's clock
	Digests  []Digest  // only those that the store proves to be of the whole content
	// Archived is nil where reading costs no more than its transfer. Listings show it too.
	Archived *Archived
	// Folder says that this is a directory of the store's own. Its key ends with a slash.
	Folder Folder
	// Irregular says what this is, where it is no object. Nothing but its key, ETag and time is known then.
	Irregular Irregular
	// Properties is nil in a listing: only Head fills it.
	Properties *Properties
}

// Properties are what an object carries beside its bytes. Every one is preserved, mapped or entered in the loss ledger (I5).
type Properties struct {
	ContentType        string
	ContentEncoding    string
	ContentLanguage    string
	ContentDisposition string
	CacheControl       string
	Expires            time.Time
	WebsiteRedirect    string
	// Metadata holds the user's own keys in the case in which they were written, where the store keeps it.
	Metadata map[string]string
	Tags     map[string]string
	// StorageClass is the provider's own word for it; it is compared only within one provider.
	StorageClass string
	// Lock and Encryption are written where Capabilities.Locks and Keys say so, or the bucket's Guards; else Put refuses them.
	Lock       Lock       `json:",omitzero"`
	Encryption Encryption `json:",omitzero"`
	// Modes are nil where the store has none. They are written where Capabilities.Modes says so. What is compared, and fingerprints, are without
	// them: umasks and file systems have their say in what becomes of them.
	Modes *Modes `json:"-"`
	// Other holds what a read saw and no field above can hold, by the provider's own names: an Expires that is no
	// date, a second layer of encryption. Put ignores it; the loss ledger does not (I5).
	Other map[string]string
}

// ListOptions choose a half-open range of keys. Zero values list everything.
type ListOptions struct {
	Prefix string
	After  string // only keys greater than After
	Before string // only keys less than Before; empty means no end
	// Folders shows the directories of a store that has its own, too. Without it, only objects are shown.
	Folders bool
	// Irregular shows what lies in the place of an object and is none, too. Without it, such a thing in the range is an error of the
	// listing, ErrIrregular: whoever knows of objects alone would take its key for one that is free.
	Irregular bool
	// Limit says that no more than so many objects will be taken. A driver may ask for a page of that size; 0 says nothing.
	Limit int
}

// Folder is what is known of a directory that a store has of its own, beside its objects: one that comes into being with the
// first key below it, and stays when the last one is deleted. Elsewhere an object of zero bytes whose key ends with a slash
// stands for it.
type Folder uint8

// Kinds of directories.
const (
	// NotFolder is an object.
	NotFolder Folder = iota
	// FolderOwn has properties of its own.
	FolderOwn
	// FolderEmpty has none, and nothing is known to lie in it.
	FolderEmpty
	// FolderHolding has none, and something lies in it: the keys below it say all that is to be said of it. Only listings tell.
	FolderHolding
)

// Bare reports whether it is a directory without properties of its own: nobody need have made it.
func (f Folder) Bare() bool { return f >= FolderEmpty }

// Irregular says in words what lies under a key that is no object: "a symbolic link". It is empty for an object. A driver neither
// follows nor opens, replaces or deletes such a thing: all methods but List answer ErrIrregular. Of a file whose name stands for a key and is not the
// one that its driver gives it, and of a second file of one key, which it says in words of its own, only List knows.
type Irregular string

// What a file system has beside files and directories.
const (
	SymbolicLink Irregular = "a symbolic link"
	NamedPipe    Irregular = "a named pipe"
	Socket       Irregular = "a socket"
	Device       Irregular = "a device"
	OtherKind    Irregular = "neither a file nor a directory"
)

// ReadOptions choose the bytes of an object and pin which version of it they come from.
type ReadOptions struct {
	// Pin is the object as it was seen: the read fails with ErrPrecondition when it is no longer that one (B4).
	// A zero Object pins nothing.
	Pin    Object
	Offset int64 // bytes
	Length int64 // bytes; 0 means to the end
}

// PutOptions say what is written beside the bytes, and on what condition (B5).
type PutOptions struct {
	Properties Properties
	// IfAbsent writes only where no object has the key.
	IfAbsent bool
	// IfMatch writes only over the object as it was seen. A zero Object asks for nothing.
	IfMatch Object
	// MD5 of the whole body, 16 bytes, where the caller knows it. Where the body has another one, nothing is stored and the error is
	// ErrDigest; see Capabilities.ChecksMD5.
	MD5 []byte
	// Upload lets a write in parts be gone on with later; see Resumer. Nil, and where Capabilities.Resumes is not set, a write
	// that fails leaves nothing.
	Upload *Upload
	// Budget is where the driver takes the memory of its buffers from. Nil leaves each Put a bound of its own.
	Budget Budget
}

// Budget is memory that all objects under way share. Whoever holds some of it must be able to end without more; a driver takes a
// buffer for each part as it comes, and gives it back when the part is sent. What is larger than the whole budget gets all of it,
// alone. Both methods wait until there is room, or the context ends; release may be called more than once.
type Budget interface {
	// Buffer returns n bytes, whose content is not defined. They belong to somebody else after release.
	Buffer(ctx context.Context, n int64) (buffer []byte, release func(), err error)
	// Reserve accounts for n bytes that the driver, or its SDK, takes from elsewhere.
	Reserve(ctx context.Context, n int64) (release func(), err error)
}

// Hashed is a body that knows the digests of what was read from it. A driver whose store has checked every part that it sent may
// answer with them instead of hashing the whole a second time.
type Hashed interface {
	io.Reader
	Digests() []Digest
}

// Held is a body that is in memory already. A driver may send it from there instead of copying it, and reads it no further then. It
// leaves the memory alone once Put has returned.
type Held interface {
	io.Reader
	Held() []byte
}

// Lister lists.
type Lister interface {
	// List yields the objects of the range. The order is the store's own: Capabilities say whether it is proven to be
	// by bytes of the key. A failed listing yields a non-nil error as its last pair; a listing that ends
	// without one is complete (B13). The context ends it at any page.
	List(ctx context.Context, opts ListOptions) iter.Seq2[Object, error]
}

// Reader reads. Both methods return ErrNotExist when the key has no object.
type Reader interface {
	// Head returns the object with its Properties.
	Head(ctx context.Context, key string) (Object, error)
	// Open returns the stored bytes as they are: no decompression, exactly Length of them or an error from Read.
	// The returned Object is the one that the bytes come from; where Capabilities.OpenTells and the whole is read, with its
	// Properties and Digests, as Head has them. The caller closes the body.
	Open(ctx context.Context, key string, opts ReadOptions) (io.ReadCloser, Object, error)
}

// Writer writes.
type Writer interface {
	// Put stores exactly size bytes of body under key, in parts where the store wants parts, or nothing: a body that
	// is shorter or longer is an error and leaves the key as it was. The body is read once.
	// It returns the object as the store acknowledged it.
	Put(ctx context.Context, key string, body io.Reader, size int64, opts PutOptions) (Object, error)
	// Delete removes the object as it was seen, on that condition where the store has conditional deletes.
	// Deleting what is not there is not an error.
	Delete(ctx context.Context, obj Object) error
}

// Bucket is one bucket, or container, or directory, at one store.
type Bucket interface {
	Lister
	Reader
	Writer
	// Describe returns what the store can do. It makes no request; see Prober.
	Describe() Capabilities
	// Check finds out whether the bucket is there and may be listed: nil, ErrNotExist, ErrDenied or another error.
	Check(ctx context.Context) error
}

// Maker is the optional ability to make the bucket itself. Making one that exists is not an error.
type Maker interface {
	Make(ctx context.Context) error
}

// Prober is the optional ability to find out from the store what Describe says of it. Where the store does not tell, Describe stays
// as it is: the error is only that of the context.
type Prober interface {
	Probe(ctx context.Context) error
}

// Probe asks a bucket's store what its Describe has to know, where its driver does so. What is not there, or does not answer, shows
// in Check.
func Probe(ctx context.Context, b Bucket) error {
	if p, ok := b.(Prober); ok {
		return p.Probe(ctx)
	}
	return nil
}

// Throttled is the optional ability to tell how many answers of the store have asked to slow down so far. A driver that has it waits as long as
// such an answer says, before it says anything.
type Throttled interface {
	Throttles() int64
}

// Order is what is known of the order in which a store lists.
type Order int

// Orders of listings (B1).
const (
	// Unordered says that nothing is known: the listing must be sorted before it is compared.
	Unordered Order = iota
	// ByBytes says that keys come in the order of their UTF-8 bytes.
	ByBytes
)

// Capabilities are what a store can hold and do. Limits are in bytes; zero means none known.
type Capabilities struct {
	Provider        string // "s3", "minio", "gcs", "azure", "file", "memory"
	URL             string // without credentials
	Endpoint        string // the server, where the URL does not tell it; two buckets are one where both are the same
	Order           Order
	MaxObjectSize   int64
	MaxKeyLength    int
	MaxMetadataSize int
	MaxParts        int // of one multipart upload
	// PartSize is the size above which Put sends an object in parts of at least so many bytes; 0 is that it never does.
	PartSize int64
	// ListPage is how many keys one request of a listing returns at most; 0 is that a listing is no request.
	ListPage int
	// SplitPages is how many pages of a listing are read before it is worth while to list the rest in parts: a server that goes through all that is
	// left for every listing that begins does that once more for each. 0 is that it is soon.
	SplitPages int
	// PutDigest is what Put acknowledges of an object that it sent in parts; empty is MD5. PutHashed says that it acknowledges whatever
	// digests a Hashed body knows, since the store has checked every part.
	PutDigest Algorithm
	PutHashed bool
	// ChecksMD5 says that Put holds what the store received at once against PutOptions.MD5, and acknowledges an MD5 only where that was done: what
	// somebody else says of the bytes may then be given, and need not be computed here.
	ChecksMD5    bool
	MetadataKeys MetadataKeys
	// MetadataName gives the name under which the store keeps a key of user metadata that it cannot keep as it is;
	// the driver turns it back. Nil means that names are kept.
	MetadataName     func(key string) string
	ConditionalPut   bool // IfAbsent is enforced by the store
	ConditionalWrite bool // IfMatch is enforced by the store
	Tags             bool
	WebsiteRedirect  bool
	Expires          bool
	// Locks says that Put writes locks where the bucket holds them (Guards), and Keys that it encrypts under a key that it is told.
	Locks bool
	Keys  bool
	// Modes says that Put makes files and folders with the Modes that it is told.
	Modes bool
	// Resumes says that the bucket is a Resumer, Copies that it is a Copier.
	Resumes bool
	Copies  bool
	// OpenTells says that a read of a whole object answers what Head would: one request then serves for both.
	OpenTells bool
	// FirstWrites is how many writes a second the store takes at first, where it wants to be warmed up; twice as many after 20
	// minutes, and so on. WriteInterval is the least time between two writes of one object (B14).
	FirstWrites   int
	WriteInterval time.Duration
	// KeyProblem says why the store cannot hold a key, or "" when it can. Nil means every key is fine.
	KeyProblem func(key string) string
	// NoneBelow says that the store cannot hold an object below another, a/b beside a, or hides it from listings (B12).
	NoneBelow bool
	// FoldersEmpty says that an object whose key ends with a slash is a folder, and can have no content.
	FoldersEmpty bool
	// PropertyProblem says why the store cannot hold properties that Fits lets pass, or "" when it can: a key of metadata that is
	// no header's name, too many tags. Put refuses the same. Nil means all are fine.
	PropertyProblem func(Properties) string
}

// MetadataKeys is what a store does to the keys of user metadata.
type MetadataKeys int

// What stores do to the keys of user metadata (B9).
const (
	// MetadataAnyCase keeps keys as they were written.
	MetadataAnyCase MetadataKeys = iota
	// MetadataLowerCase folds keys to lower case.
	MetadataLowerCase
	// MetadataIdentifiers takes only letters, digits and underscores, without regard to case.
	MetadataIdentifiers
)
