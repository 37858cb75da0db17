package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Format is the version of the archive's layout that this package writes.
const Format = 1

// Entry is one object of a revision.
type Entry struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// App is the application that the object belongs to; empty for what several share.
	App string `json:"app,omitempty"`
	// Role says why an object is here that is not to be written to green: RoleInformation. Empty means: restore it.
	Role string `json:"role,omitempty"`
	// Blob is the name of the file that holds the object.
	Blob      string `json:"blob"`
	Encrypted bool   `json:"encrypted,omitempty"`
	// Key names the file of the key under which Hash was made, for encrypted entries.
	Key string `json:"key,omitempty"`
	// Size of the object's canonical JSON in bytes.
	Size int64 `json:"size"`
	// Hash is the SHA-256 of the canonical JSON; for encrypted entries the HMAC-SHA-256 under the archive's key.
	Hash string `json:"hash"`
}

// RoleInformation marks entries that are kept to be read, not to be restored: the volume behind a claim, say.
const RoleInformation = "information"

// ID names the object, whatever its version: "apps/Deployment/shop/web".
func (e Entry) ID() string {
	return strings.Join([]string{e.Group, e.Kind, e.Namespace, e.Name}, "/")
}

// Payload is the data of an application that no object and no bucket holds, in encrypted pieces.
type Payload struct {
	App    string  `json:"app"`
	Size   int64   `json:"size"`
	Pieces []Piece `json:"pieces"`
}

// Piece is one part of a payload.
type Piece struct {
	Blob string `json:"blob"`
	Key  string `json:"key"`
	Hash string `json:"hash"`
	Size int64  `json:"size"`
}

// Index is what one revision holds.
type Index struct {
	Format    int    `json:"format"`
	Migration string `json:"migration"`
	Revision  int    `json:"revision"`
	// Previous is the hash of the index of the revision before; empty in the first.
	Previous string `json:"previous,omitempty"`
	// Change is the ID of the change that wrote the revision, so that a killed one is recognized.
	Change      string    `json:"change,omitempty"`
	BlueUID     string    `json:"blueUID"`
	BlueVersion string    `json:"blueVersion"`
	Tool        string    `json:"tool,omitempty"`
	Made        time.Time `json:"made"`
	// Recipients are the age public keys that open what is encrypted.
	Recipients []string `json:"recipients,omitempty"`
	// Unread lists APIs that blue listed and did not serve: what they hold is not here.
	Unread   []string  `json:"unread,omitempty"`
	Entries  []Entry   `json:"entries"`
	Payloads []Payload `json:"payloads,omitempty"`
	// Hash of the index as it is stored. It stands in the file's name, not in the file.
	Hash string `json:"-"`
}

// Counts returns the number of entries per kind.
func (i Index) Counts() map[string]int {
	counts := map[string]int{}
	for _, e := range i.Entries {
		counts[e.Kind]++
	}
	return counts
}

// Bytes returns the size of all entries and payloads.
func (i Index) Bytes() int64 {
	var n int64
	for _, e := range i.Entries {
		n += e.Size
	}
	for _, p := range i.Payloads {
		n += p.Size
	}
	return n
}

var (
	indexName = regexp.MustCompile(`^index/([0-9]{6})-([0-9a-f]{64})\.json$`)
	hashForm  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	keyForm   = regexp.MustCompile(`^keys/[0-9a-f]{32}\.age$`)
)

func blobName(hash string) string   { return "blobs/" + hash[:2] + "/" + hash }
func secretName(hash string) string { return "secrets/" + hash[:2] + "/" + hash + ".age" }

// encodeIndex returns the bytes of an index and the name of its file.
func encodeIndex(i Index) (raw []byte, name, hash string, err error) {
	slices.SortFunc(i.Entries, func(a, b Entry) int { return strings.Compare(a.ID(), b.ID()) })
	slices.SortFunc(i.Payloads, func(a, b Payload) int { return strings.Compare(a.App, b.App) })
	raw, err = json.MarshalIndent(i, "", " ")
	if err != nil {
		return nil, "", "", fmt.Errorf("encode the index: %w", err)
	}
	raw = append(raw, '\n')
	sum := sha256.Sum256(raw)
	hash = hex.EncodeToString(sum[:])
	return raw, indexFile(i.Revision, hash), hash, nil
}

func indexFile(revision int, hash string) string {
	return fmt.Sprintf("index/%06d-%s.json", revision, hash)
}

// decodeIndex reads an index from outside: its hash is in its name, and all that it names must have the one form that this
// package gives it, so that no name can climb out of the archive.
func decodeIndex(name string, raw []byte) (Index, error) {
	m := indexName.FindStringSubmatch(name)
	if m == nil {
		return Index{}, corrupt(name, "is no name of an index")
	}
	sum := sha256.Sum256(raw)
	if hex.EncodeToString(sum[:]) != m[2] {
		return Index{}, corrupt(name, "its content does not have the hash that its name says")
	}
	var i Index
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&i); err != nil {
		return Index{}, corrupt(name, "it is not JSON of an index: "+err.Error())
	}
	if i.Format < 1 || i.Format > Format {
		return Index{}, fmt.Errorf("%s has format %d and this version reads up to %d: use a newer crossfade", name, i.Format, Format)
	}
	if revision, err := strconv.Atoi(m[1]); err != nil || revision != i.Revision {
		return Index{}, corrupt(name, "its name and its content disagree on the revision")
	}
	i.Hash = m[2]
	return i, i.check(name)
}

func (i Index) check(name string) error {
	seen := map[string]bool{}
	for _, e := range i.Entries {
		if err := e.check(); err != nil {
			return corrupt(name, fmt.Sprintf("entry %q: %s", e.ID(), err))
		}
		if seen[e.ID()] {
			return corrupt(name, fmt.Sprintf("entry %q stands twice", e.ID()))
		}
		seen[e.ID()] = true
	}
	for _, p := range i.Payloads {
		for _, piece := range p.Pieces {
			if err := piece.check(); err != nil {
				return corrupt(name, fmt.Sprintf("payload of %q: %s", p.App, err))
			}
		}
	}
	return nil
}

func (e Entry) check() error {
	if e.Encrypted {
		return Piece{Blob: e.Blob, Key: e.Key, Hash: e.Hash, Size: e.Size}.check()
	}
	switch {
	case !hashForm.MatchString(e.Hash) || e.Blob != blobName(e.Hash):
		return fmt.Errorf("blob %q does not follow from its hash", e.Blob)
	case e.Size < 0 || e.Size > MaxBlob:
		return fmt.Errorf("size %d is out of bounds", e.Size)
	case isSecret(e):
		return fmt.Errorf("a Secret is not encrypted")
	}
	return nil
}

func (p Piece) check() error {
	switch {
	case !hashForm.MatchString(p.Hash) || p.Blob != secretName(p.Hash):
		return fmt.Errorf("blob %q does not follow from its hash", p.Blob)
	case !keyForm.MatchString(p.Key):
		return fmt.Errorf("key %q is no name of a key", p.Key)
	case p.Size < 0 || p.Size > MaxBlob:
		return fmt.Errorf("size %d is out of bounds", p.Size)
	}
	return nil
}

func isSecret(e Entry) bool { return e.Group == "" && e.Kind == "Secret" }
