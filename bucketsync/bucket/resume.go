package bucket

import (
	"context"
	"errors"
	"io"
	"maps"
	"time"
)

// ErrUploadGone says that an unfinished upload is not at the store: it was aborted, has expired, or was completed by a request
// whose answer was lost.
var ErrUploadGone = errors.New("the unfinished upload is not there")

// Resumer is the optional ability to go on with a write in parts that was cut off, also by a kill of the process. A bucket that
// has it says so in Capabilities.Resumes, heeds PutOptions.Upload, and answers these.
type Resumer interface {
	// Abort drops an unfinished upload with its parts. One that is not there is no error.
	Abort(ctx context.Context, key, id string) error
	// Unfinished returns the uploads that are under way under exactly this key, those of others included. It is empty where
	// the driver gives uploads their IDs itself, before it begins them: none can then be unknown.
	Unfinished(ctx context.Context, key string) ([]Unfinished, error)
}

// Unfinished is an upload that was begun and neither completed nor aborted.
type Unfinished struct {
	ID    string
	Begun time.Time // by the store's clock
	Parts int       // that it has, at most; 0 is none
}

// Upload lets one Put in parts outlive its process. With it, Put leaves the upload as it is when it fails, for the caller to go
// on with or to abort. A Put that sends the object at once ignores it.
//
// The body then begins at Offset of State, so that nothing is read twice that need not be; it is a Hashed one, whose
// digests are of the whole object. The object must be the same as before, byte for byte.
type Upload struct {
	// State is what Note was told of an earlier Put of this object, or nothing.
	State UploadState
	// Note puts on file what is known now, and returns when it is there. It is called by several goroutines.
	Note func(UploadNote) error
	// Read opens bytes of the object that lie before the body: of parts that had been read and did not arrive.
	Read func(ctx context.Context, offset, length int64) (io.ReadCloser, error)
}

// UploadNote is one thing that is now known of an upload. Each sets the fields of one line.
type UploadNote struct {
	// Opens, before the store is asked for an upload whose ID it makes; Others are those that are there under this key, which
	// are not this one.
	Opens  bool     `json:"opens,omitempty"`
	Others []string `json:"others,omitempty"`
	// ID, PartSize and Form, before the first part is sent. All parts but the last have PartSize bytes; Form is the driver's
	// own word for how they are sent.
	ID       string `json:"id,omitempty"`
	PartSize int64  `json:"partSize,omitempty"`
	Form     string `json:"form,omitempty"`
	// Read is the number of parts, from the first on, that were read from the body; noted before the last of them is sent,
	// and before anything behind it is read.
	Read int `json:"read,omitempty"`
	// Part was acknowledged, and Tag is how the driver knows it again.
	Part int    `json:"part,omitempty"`
	Tag  string `json:"tag,omitempty"`
	// Completes, when all parts are there and before the object is made of them. ETag is what it will have, where that is known:
	// an object with it is made of these parts, each of which the store checked.
	Completes bool   `json:"completes,omitempty"`
	ETag      string `json:"etag,omitempty"`
}

// UploadState is what the notes of one upload come to.
type UploadState struct {
	Opening   bool     // an upload may have been begun whose ID is not known
	Others    []string // see UploadNote
	ID        string
	PartSize  int64
	Form      string
	Read      int
	Tags      map[int]string // by number of part
	Completes bool
	ETag      string
}

// Offset is where the body of a Put begins that goes on.
func (s UploadState) Offset(size int64) int64 { return min(int64(s.Read)*s.PartSize, size) }

// Add takes a note.
func (s *UploadState) Add(n UploadNote) {
	if n.Opens {
		*s = UploadState{Opening: true, Others: n.Others}
	}
	if n.ID != "" {
		*s = UploadState{ID: n.ID, PartSize: n.PartSize, Form: n.Form, Tags: map[int]string{}}
	}
	s.Read = max(s.Read, n.Read)
	if n.Part > 0 && s.Tags != nil {
		s.Tags[n.Part] = n.Tag
	}
	if n.Completes {
		s.Completes, s.ETag = true, n.ETag
	}
}

// Clone is a copy that shares nothing.
func (s UploadState) Clone() UploadState {
	s.Tags = maps.Clone(s.Tags)
	return s
}

// NoteOpening notes that an upload under key is about to begin, beside those that are there. Where they may not be listed, nothing
// could be told apart later, and nothing is noted.
func NoteOpening(ctx context.Context, at Resumer, key string, log *Upload) error {
	found, err := at.Unfinished(ctx, key)
	if errors.Is(err, ErrDenied) || errors.Is(err, ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	note := UploadNote{Opens: true}
	for _, other := range found {
		note.Others = append(note.Others, other.ID)
	}
	return log.Note(note)
}
