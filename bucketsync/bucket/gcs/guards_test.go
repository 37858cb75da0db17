package gcs

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// uploads answers an upload with the object that it describes, and keeps that and the query.
type uploads struct {
	mu     sync.Mutex
	object map[string]any
	query  string
}

func (u *uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	defer u.mu.Unlock()
	if r.Method == http.MethodPost {
		// One request with two parts: the object's resource, then its bytes.
		parts := strings.SplitN(string(body), "\r\n\r\n", 3)
		first, _, _ := strings.Cut(parts[1], "\r\n--")
		_ = json.Unmarshal([]byte(first), &u.object)
		u.query = r.URL.RawQuery
		u.object["generation"], u.object["metageneration"], u.object["size"] = "1", "1", "1"
		u.object["crc32c"] = "qTxfkw==" // of "x"
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(u.object)
}

// A lock and a key go as the service's documents say (https://cloud.google.com/storage/docs/json_api/v1/objects/insert), and
// are read back as what they were.
func TestB16_LocksAndKeysGoAndComeBack(t *testing.T) {
	until := time.Date(2130, 1, 2, 3, 4, 5, 600, time.UTC)
	whole := until.Truncate(time.Second).Add(time.Second)
	for name, c := range map[string]struct {
		lock, want bucket.Lock
		retention  string
	}{
		"locked":   {bucket.Lock{Mode: bucket.Compliance, Until: until}, bucket.Lock{Mode: bucket.Compliance, Until: whole}, "Locked"},
		"unlocked": {bucket.Lock{Mode: bucket.Governance, Until: until, Hold: true}, bucket.Lock{Mode: bucket.Governance, Until: whole, Hold: true}, "Unlocked"},
		"event":    {bucket.Lock{EventHold: true}, bucket.Lock{EventHold: true}, ""},
		"none":     {},
	} {
		t.Run(name, func(t *testing.T) {
			server := &uploads{}
			b := open(t, server.ServeHTTP)
			p := bucket.Properties{Lock: c.lock, Encryption: bucket.Encryption{Kind: bucket.ByService, Key: "projects/p/keys/k"}}
			if _, err := b.Put(t.Context(), "key", strings.NewReader("x"), 1, bucket.PutOptions{Properties: p}); err != nil {
				t.Fatal(err)
			}
			mode := ""
			if r, ok := server.object["retention"].(map[string]any); ok {
				mode, _ = r["mode"].(string)
			}
			if mode != c.retention || !strings.Contains(server.query, "kmsKeyName=projects%2Fp%2Fkeys%2Fk") {
				t.Errorf("sent were %v and %s", server.object, server.query)
			}
			server.object["kmsKeyName"] = "projects/p/keys/k/cryptoKeyVersions/7"
			head, err := b.Head(t.Context(), "key")
			if err != nil || head.Properties.Lock != c.want || !head.Properties.Encryption.Under("projects/p/keys/k") {
				t.Errorf("read back are %+v, %v; want %s", head.Properties, err, c.want)
			}
		})
	}
}

func TestB16_TheBucketsOwnRetentionCounts(t *testing.T) {
	server := &uploads{object: map[string]any{
		"name": "key", "generation": "1", "retentionExpirationTime": "2131-01-01T00:00:00Z", "storageClass": "ARCHIVE",
		"retention": map[string]any{"mode": "Unlocked", "retainUntilTime": "2130-01-01T00:00:00Z"},
	}}
	b := open(t, server.ServeHTTP)
	head, err := b.Head(t.Context(), "key")
	if want := (bucket.Lock{Mode: bucket.Compliance, Until: time.Date(2131, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil || head.Properties.Lock != want {
		t.Errorf("%+v, %v", head.Properties, err)
	}
	// It is read at once, and costs.
	if head.Archived == nil || head.Archived.Offline || head.Archived.Class != "ARCHIVE" {
		t.Errorf("%+v", head.Archived)
	}
	server.object = map[string]any{"name": "key", "generation": "1", "customerEncryption": map[string]any{"keySha256": "abc"}}
	if head, err := b.Head(t.Context(), "key"); err != nil || head.Properties.Encryption != (bucket.Encryption{Kind: bucket.ByCustomer, Key: "abc"}) {
		t.Errorf("%+v, %v", head.Properties, err)
	}
}

func TestB16_GuardsOfABucket(t *testing.T) {
	var document string
	b := open(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, document) })
	for text, want := range map[string]bucket.Guards{
		`{}`:                                       {Holds: true, EventHolds: true},
		`{"objectRetention":{"mode":"Enabled"}}`:   {Retention: true, Holds: true, EventHolds: true},
		`{"objectRetention":{"mode":"Other"}}`:     {Holds: true, EventHolds: true},
		`{"encryption":{"defaultKmsKeyName":"k"}}`: {Holds: true, EventHolds: true, Key: "k"},
	} {
		document = text
		if got, err := b.Guards(t.Context()); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestB16_LocksAndKeysThatTheServiceNames(t *testing.T) {
	for reason, want := range map[string]error{"objectUnderActiveHold": bucket.ErrLocked, "retentionPolicyNotMet": bucket.ErrLocked, "resourceIsEncryptedWithCustomerEncryptionKey": bucket.ErrKeyNeeded} {
		b := open(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"error":{"code":403,"message":"no","errors":[{"reason":"`+reason+`","message":"no"}]}}`)
		})
		if err := b.Delete(t.Context(), bucket.Object{Key: "key"}); !errors.Is(err, want) {
			t.Errorf("%s: got %v", reason, err)
		}
	}
}
