package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"testing"
)

// Whatever bytes an index has, an index that is accepted names only blobs and keys below the archive, holds no Secret that is
// not encrypted, and no object twice.
func FuzzDecodeIndex(f *testing.F) {
	raw, _, _, err := encodeIndex(Index{Format: Format, Revision: 1, Entries: []Entry{{Version: "v1", Kind: "ConfigMap", Name: "c",
		Hash: hex.EncodeToString(make([]byte, 32)), Blob: blobName(hex.EncodeToString(make([]byte, 32)))}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"format":1,"revision":1,"entries":[{"kind":"Secret","blob":"../../etc/passwd"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		sum := sha256.Sum256(raw)
		i, err := decodeIndex("index/000001-"+hex.EncodeToString(sum[:])+".json", raw)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, e := range i.Entries {
			if !filepath.IsLocal(e.Blob) || e.Encrypted && !filepath.IsLocal(e.Key) {
				t.Errorf("accepted %q, %q", e.Blob, e.Key)
			}
			if isSecret(e) && !e.Encrypted || seen[e.ID()] {
				t.Errorf("accepted %+v", e)
			}
			seen[e.ID()] = true
		}
	})
}

func TestADecodedIndexNamesOnlyWhatFollowsFromItsHashes(t *testing.T) {
	hash := hex.EncodeToString(make([]byte, 32))
	good := Entry{Version: "v1", Kind: "ConfigMap", Name: "c", Hash: hash, Blob: blobName(hash)}
	for name, bad := range map[string]Entry{
		"climbing blob": {Version: "v1", Kind: "ConfigMap", Name: "d", Hash: hash, Blob: "../../secret"},
		"plain Secret":  {Version: "v1", Kind: "Secret", Name: "c", Hash: hash, Blob: blobName(hash)},
		"huge":          {Version: "v1", Kind: "ConfigMap", Name: "d", Hash: hash, Blob: blobName(hash), Size: MaxBlob + 1},
		"climbing key":  {Version: "v1", Kind: "Secret", Name: "c", Hash: hash, Blob: secretName(hash), Encrypted: true, Key: "../k"},
		"twice":         good,
	} {
		raw, file, _, err := encodeIndex(Index{Format: Format, Revision: 1, Entries: []Entry{good, bad}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeIndex(file, raw); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
