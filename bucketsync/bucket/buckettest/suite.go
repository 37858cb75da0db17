package buckettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// PageSize is how many keys a listing's page has in tests, where the driver lets one choose.
const PageSize = 7

// Driver is a driver with a store for it.
type Driver struct {
	// Open opens a bucket with pages of PageSize keys. The bucket need not be there.
	Open func(t *testing.T, at At) (bucket.Bucket, error)
	// Endpoint is the URL of the server; empty where there is none, which leaves out what needs one.
	Endpoint string
	// PartSize is the size in bytes over which the driver sends parts; 0 where it never does.
	PartSize int64
	// ResumeSize is the size in bytes of the parts in which a write can be gone on with; 0 where it cannot.
	ResumeSize int64
	// LastPartMakes says that no request after the last part makes the object.
	LastPartMakes bool
	// CopySize is the size in bytes up to which the server copies an object at once; 0 where the driver has it copy nothing.
	CopySize int64
	// NoCredentials says that the store lets everybody in.
	NoCredentials bool
	// Unlimited says that objects of any size can be stored, as far as is known.
	Unlimited bool
	// HidesBelowObjects says that listings of the store leave out keys below another object (a/b beside a).
	HidesBelowObjects bool
}

// At is what a check wants opened.
type At struct {
	Bucket   string
	Endpoint string // the driver's own, or that of a proxy before it
	// WrongCredentials asks for credentials that the store does not know.
	WrongCredentials bool
}

// Check is one check of the suite.
type Check struct {
	Name string
	Run  func(t *testing.T, d Driver)
	// needs says what a driver must have for the check to mean something; nil is nothing.
	needs func(Driver) bool
}

// Applies reports whether the check means something for a driver: where nobody is kept out, nobody can be let in wrongly.
func (c Check) Applies(d Driver) bool { return c.needs == nil || c.needs(d) }

func hasServer(d Driver) bool      { return d.Endpoint != "" }
func hasCredentials(d Driver) bool { return !d.NoCredentials }
func hasParts(d Driver) bool       { return d.PartSize > 0 }
func resumes(d Driver) bool        { return d.ResumeSize > 0 }
func copies(d Driver) bool         { return d.CopySize > 0 }
func hasLimit(d Driver) bool       { return !d.Unlimited }

// Checks returns all checks.
func Checks() []Check {
	return []Check{
		{"I05_EveryPropertyComesBack", checkProperties, nil},
		{"B02_MultipartETagIsNoDigest", checkETags, nil},
		{"B04_OverwriteDuringCopyNeverMixes", checkPins, nil},
		{"B05_WritesAreConditional", checkConditions, nil},
		{"B05_OneOfManyCreates", checkRace, nil},
		{"B08_EncodedBytesArriveAsStored", checkEncoding, nil},
		{"B08_BodyOfAnotherLengthLeavesTheKeyAsItWas", checkLengths, nil},
		{"B08_AnswerOfAnotherLengthIsAnError", checkAnswers, hasServer},
		{"B09_MetadataComesBackOrIsRefused", checkMetadata, nil},
		{"B10_ACopyWithinTheServerHasWhatIsSent", checkCopy, copies},
		{"B11_OversizeIsRefused", checkOversize, hasLimit},
		{"B12_HostileKeysComeBackOrAreRefused", checkKeys, nil},
		{"B13_FailedListingIsNotAnEmptyOne", checkFailedListing, hasServer},
		{"B13_MissingBucketIsNotAnEmptyOne", checkMissing, nil},
		{"B13_WrongCredentialsAreNotAnEmptyListing", checkDenied, hasCredentials},
		{"B15_UnfinishedUploadsAreFoundAndAborted", checkUnfinished, resumes},
		{"B19_BuffersComeFromTheBudget", checkBudget, hasParts},
		{"B20_AWriteInPartsGoesOnWhereItWasCutOff", checkResume, resumes},
		{"ListingRanges", checkRanges, nil},
		{"SizesAndRanges", checkSizes, nil},
		{"Delete", checkDelete, nil},
		{"ContextEndsRequests", checkContext, nil},
	}
}

// Run runs every check that applies.
func Run(t *testing.T, d Driver) {
	t.Helper()
	for _, check := range Checks() {
		if !check.Applies(d) {
			continue
		}
		t.Run(check.Name, func(t *testing.T) { check.Run(t, d) })
	}
}

// fresh makes a bucket for one check, and empties it afterwards.
func fresh(t *testing.T, d Driver) bucket.Bucket {
	t.Helper()
	return freshAt(t, d, At{Bucket: name(), Endpoint: d.Endpoint})
}

func freshAt(t *testing.T, d Driver, at At) bucket.Bucket {
	t.Helper()
	b := open(t, d, at)
	maker, ok := b.(bucket.Maker)
	if !ok {
		t.Fatal("the driver cannot make a bucket")
	}
	for range 2 { // making one that is there is no error
		if err := maker.Make(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t *testing.T, d Driver, at At) bucket.Bucket {
	t.Helper()
	b, err := d.Open(t, at)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func name() string {
	return fmt.Sprintf("cf-%08x", rand.Uint32())
}

// data is size bytes that no server compresses and no two seeds share.
func data(seed uint64, size int64) []byte {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	content := make([]byte, size)
	_, _ = source.Read(content) // never fails
	return content
}

func put(t *testing.T, b bucket.Bucket, key string, content []byte, opts bucket.PutOptions) bucket.Object {
	t.Helper()
	obj, err := b.Put(t.Context(), key, bytes.NewReader(content), int64(len(content)), opts)
	if err != nil {
		t.Fatal(err)
	}
	if obj.Key != key || obj.Size != int64(len(content)) || obj.ETag == "" {
		t.Fatalf("put of %q, %d bytes, is acknowledged as %+v", key, len(content), obj)
	}
	return obj
}

func head(t *testing.T, b bucket.Bucket, key string) bucket.Object {
	t.Helper()
	obj, err := b.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if obj.Key != key || obj.ETag == "" || obj.Properties == nil || obj.Modified.IsZero() {
		t.Fatalf("head of %q is %+v", key, obj)
	}
	if b.Describe().OpenTells {
		_, opened, err := read(t.Context(), b, key, bucket.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(opened.Properties, obj.Properties) || !reflect.DeepEqual(opened.Digests, obj.Digests) || opened.ETag != obj.ETag || opened.Size != obj.Size {
			t.Fatalf("reading %q tells %+v with %+v, a head %+v with %+v", key, opened, opened.Properties, obj, obj.Properties)
		}
	}
	return obj
}

func read(ctx context.Context, b bucket.Bucket, key string, opts bucket.ReadOptions) ([]byte, bucket.Object, error) {
	body, obj, err := b.Open(ctx, key, opts)
	if err != nil {
		return nil, obj, err
	}
	content, err := io.ReadAll(body)
	return content, obj, errors.Join(err, body.Close())
}

// wantContent reads an object whole.
func wantContent(t *testing.T, b bucket.Bucket, key string, want []byte) {
	t.Helper()
	got, obj, err := read(t.Context(), b, key, bucket.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%q has %d bytes, want other %d", key, len(got), len(want))
	}
	if obj.Key != key || obj.Size != int64(len(want)) || obj.ETag == "" {
		t.Fatalf("reading %q gives the object %+v", key, obj)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Logf("an error of several lines: %q", err)
	}
}

// keys lists a range; in an order that is said to be by bytes, it checks that.
func keys(t *testing.T, b bucket.Bucket, opts bucket.ListOptions) []string {
	t.Helper()
	var found []string
	for obj, err := range b.List(t.Context(), opts) {
		if err != nil {
			t.Fatal(err)
		}
		if obj.ETag == "" || obj.Properties != nil {
			t.Fatalf("the listing shows %+v", obj)
		}
		if n := len(found); n > 0 && b.Describe().Order == bucket.ByBytes && found[n-1] >= obj.Key {
			t.Fatalf("the listing shows %q after %q", obj.Key, found[n-1])
		}
		found = append(found, obj.Key)
	}
	return found
}
