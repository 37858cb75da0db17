package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Format is the version of the records that this package writes. Format 2 has Critical; docs/state.md tells of both.
const Format = 2

// oldest is the first format that there was.
const oldest = 1

// Kind says what a record means. Readers keep kinds that they do not know.
type Kind string

// Kinds of records.
const (
	KindOpened   Kind = "opened"   // a process began to write; Data is an Opened
	KindMended   Kind = "mended"   // a torn record was cut off; Data says how many bytes
	KindPlanned  Kind = "planned"  // the plan of a stage is on disk; Plan is its hash
	KindIntent   Kind = "intent"   // a change is about to be made
	KindDone     Kind = "done"     // a change was made; Data is its outcome
	KindFailed   Kind = "failed"   // a change failed; Error says why
	KindFinished Kind = "finished" // a stage is over; Data is its result
	KindReset    Kind = "reset"    // a stage is to be taken again, or was taken back; Error says why
	KindNoted    Kind = "noted"    // something worth keeping; Data is the caller's
)

// Record is one line of the journal.
type Record struct {
	Format int             `json:"format"`
	Seq    uint64          `json:"seq"`
	Time   time.Time       `json:"time"`
	Kind   Kind            `json:"kind"`
	Stage  string          `json:"stage,omitempty"`
	Change string          `json:"change,omitempty"`
	Plan   string          `json:"plan,omitempty"`
	Error  string          `json:"error,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	// Critical is set by a version that adds a kind which nobody may pass over: whoever does not know the kind may read the
	// journal and must not go on with the migration.
	Critical bool `json:"critical,omitempty"`
}

// known reports whether this version acts on a kind.
func (k Kind) known() bool {
	switch k {
	case KindOpened, KindMended, KindPlanned, KindIntent, KindDone, KindFailed, KindFinished, KindReset, KindNoted:
		return true
	}
	return false
}

// Opened is the Data of a KindOpened record: who writes from here on, and with what.
type Opened struct {
	Actor string `json:"actor"`
	Tool  string `json:"tool"`
}

// line is the form on disk. The record's bytes are kept as they are: the hash is of them.
type line struct {
	Hash   string          `json:"hash"`
	Record json.RawMessage `json:"record"`
}

func chain(prev string, record []byte) string {
	h := sha256.New()
	h.Write([]byte(prev))
	h.Write(record)
	return hex.EncodeToString(h.Sum(nil))
}

// encode returns the line for a record, with its newline, and the record's hash.
func encode(prev string, r Record) (raw []byte, hash string, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, "", fmt.Errorf("encode record %d: %w", r.Seq, err)
	}
	hash = chain(prev, body)
	raw, err = json.Marshal(line{Hash: hash, Record: body})
	if err != nil {
		return nil, "", fmt.Errorf("encode record %d: %w", r.Seq, err)
	}
	return append(raw, '\n'), hash, nil
}

// decode reads one line without its newline and checks it against the hash of the line before.
func decode(prev string, raw []byte) (Record, string, error) {
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return Record{}, "", fmt.Errorf("is not a record: %w", err)
	}
	if want := chain(prev, bytes.TrimSpace(l.Record)); l.Hash != want {
		return Record{}, "", fmt.Errorf("its hash does not follow from the record before it: %w", ErrBroken)
	}
	var r Record
	if err := json.Unmarshal(l.Record, &r); err != nil {
		return Record{}, "", fmt.Errorf("is not a record: %w", err)
	}
	return r, l.Hash, nil
}
