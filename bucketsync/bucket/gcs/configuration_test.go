package gcs

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// cloud is a fake of Cloud Storage's requests about one bucket, with the documented rules that a client could break: an emulator keeps
// hardly any of this. https://cloud.google.com/storage/docs/json_api/v1/buckets
type cloud struct {
	t      *testing.T
	mu     sync.Mutex
	bucket map[string]any
	policy map[string]any
	denied string // a path's end that is refused
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var body map[string]any
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			c.t.Error(err)
		}
	}
	status, answer := c.answer(r, body)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		c.t.Error(err)
	}
}

func (c *cloud) answer(r *http.Request, body map[string]any) (int, any) {
	if c.denied != "" && strings.HasSuffix(r.URL.Path, c.denied) {
		return http.StatusForbidden, map[string]any{"error": map[string]any{"code": 403, "message": "denied"}}
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/iam") && r.Method == http.MethodPut:
		if why := c.policyProblem(r, body); why != "" {
			return http.StatusPreconditionFailed, map[string]any{"error": map[string]any{"code": 412, "message": why}}
		}
		body["etag"] = "Ag=="
		c.policy = body
		return http.StatusOK, body
	case strings.HasSuffix(r.URL.Path, "/iam"):
		return http.StatusOK, c.policy
	case strings.HasSuffix(r.URL.Path, "/notificationConfigs"):
		return http.StatusOK, map[string]any{"items": []any{map[string]any{"id": "1", "topic": "//pubsub.googleapis.com/projects/p/topics/t", "event_types": []string{"OBJECT_FINALIZE"}, "payload_format": "JSON_API_V1"}}}
	case r.Method == http.MethodPatch:
		if why := bucketProblem(body); why != "" {
			return http.StatusBadRequest, map[string]any{"error": map[string]any{"code": 400, "message": why}}
		}
		if retention, ok := body["retentionPolicy"].(map[string]any); ok {
			retention["effectiveTime"] = "2026-01-01T00:00:00Z"
		}
		maps.Copy(c.bucket, body)
	}
	return http.StatusOK, c.bucket
}

// policyProblem: a policy is written over the one that was read, and none that is public past the prevention of public access.
func (c *cloud) policyProblem(r *http.Request, body map[string]any) string {
	if body["etag"] != c.policy["etag"] {
		return "the policy changed since it was read"
	}
	if r.URL.Query().Get("alt") == "" {
		return "not JSON"
	}
	raw, _ := json.Marshal(body)
	config, _ := json.Marshal(c.bucket["iamConfiguration"])
	if strings.Contains(string(raw), "allUsers") && strings.Contains(string(config), "enforced") {
		return "public access prevention is enforced"
	}
	return ""
}

// bucketProblem: labels and rules of lifecycle in the forms of the documents.
func bucketProblem(body map[string]any) string {
	labels, _ := body["labels"].(map[string]any)
	for key, value := range labels {
		if !regexp.MustCompile(`^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$`).MatchString(key) || !regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$`).MatchString(value.(string)) {
			return "invalid label " + key
		}
	}
	lifecycle, _ := body["lifecycle"].(map[string]any)
	rules, _ := lifecycle["rule"].([]any)
	for _, raw := range rules {
		rule, _ := raw.(map[string]any)
		action, _ := rule["action"].(map[string]any)
		condition, _ := rule["condition"].(map[string]any)
		if !slices.Contains([]any{"Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"}, action["type"]) || len(condition) == 0 {
			return "a rule needs an action and a condition"
		}
		if class, ok := action["storageClass"]; ok && !slices.Contains([]any{"NEARLINE", "COLDLINE", "ARCHIVE", "STANDARD"}, class) {
			return "no such storage class"
		}
		if action["type"] == "AbortIncompleteMultipartUpload" {
			for name := range condition {
				if !slices.Contains([]string{"age", "matchesPrefix", "matchesSuffix"}, name) {
					return name + " is no condition of this action"
				}
			}
		}
	}
	return ""
}

func openCloud(t *testing.T) (*cloud, *Bucket) {
	t.Helper()
	c := &cloud{
		t: t, bucket: map[string]any{"name": "b", "location": "EUROPE-WEST1", "storageClass": "STANDARD", "etag": "x", "metageneration": "1"},
		policy: map[string]any{"version": 3, "etag": "AQ==", "bindings": []any{map[string]any{"role": "roles/storage.legacyBucketOwner", "members": []string{"projectOwner:p"}}}},
	}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	b, err := Open(t.Context(), Options{Bucket: "b", Endpoint: server.URL, Credentials: Credentials{Anonymous: true}, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c, b
}

// Every part goes over the wire and comes back as it was.
func TestB18_EveryPartComesBack(t *testing.T) {
	c, b := openCloud(t)
	want := bucket.Configuration{
		PublicAccess: &bucket.PublicAccess{BlockACLs: true, IgnoreACLs: true, BlockPolicy: true, RestrictBuckets: true, NoACLs: true},
		Encryption:   &bucket.DefaultEncryption{Algorithm: bucket.EncryptedByKey, Key: "projects/p/locations/l/keyRings/r/cryptoKeys/k"},
		Versioning:   &bucket.Versioning{State: bucket.VersioningEnabled},
		Lock:         &bucket.Retention{Bucket: true, Period: 48 * time.Hour},
		Class:        "NEARLINE",
		Policy: &bucket.Policy{Dialect: bucket.DialectGCS, Document: []byte(`[{"role":"roles/storage.objectViewer","members":["user:ann@example.com"]}]`), Grants: []bucket.Grant{
			{Principals: []string{"user:ann@example.com"}, Actions: []string{"roles/storage.objectViewer"}},
		}},
		Tags: map[string]string{"team": "shop"},
		CORS: []bucket.CORSRule{{Origins: []string{"*"}, Methods: []string{"GET"}, RequestHeaders: []string{"etag"}, ExposedHeaders: []string{"etag"}, MaxAge: 60}},
		Lifecycle: []bucket.LifecycleRule{
			{Prefixes: []string{"tmp/"}, Expire: &bucket.When{Days: 7}},
			{Suffixes: []string{".log"}, Classes: []string{"STANDARD"}, Transitions: []bucket.Transition{{When: bucket.When{Days: 30}, Class: "COLDLINE"}}},
			{ExpireNoncurrent: &bucket.Noncurrent{Days: 14, Keep: 4}},
			{NoncurrentTransitions: []bucket.NoncurrentTransition{{Noncurrent: bucket.Noncurrent{Days: 3}, Class: "ARCHIVE"}}},
			{AbortUploads: 2},
			{Expire: &bucket.When{Days: 400}, Other: map[string]string{"isLive": "any"}},
			{Expire: &bucket.When{}, Other: map[string]string{"createdBefore": "2026-01-02", "isLive": "any"}},
			{Expire: &bucket.When{}, Other: map[string]string{"daysSinceCustomTime": "5", "isLive": "any"}},
		},
	}
	for _, part := range bucket.Writable() {
		for range 2 { // doing it again changes nothing
			if err := b.Configure(t.Context(), part, want); err != nil {
				t.Errorf("%s: %v", part, err)
			}
		}
	}
	got, err := b.Configuration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range bucket.Writable() {
		if part != bucket.PartPolicy && !reflect.DeepEqual(got.Value(part), want.Value(part)) {
			t.Errorf("%s is\n%+v, not\n%+v", part, got.Value(part), want.Value(part))
		}
	}
	// A new bucket's own bindings stay beside what is added, once.
	if len(got.Policy.Grants) != 2 || !reflect.DeepEqual(got.Policy.Grants[1], want.Policy.Grants[0]) {
		t.Errorf("the policy is %+v", got.Policy)
	}
	if !slices.Equal(got.Notification, []string{"[OBJECT_FINALIZE] to topic p/t"}) || got.Location != "EUROPE-WEST1" {
		t.Errorf("it tells %+v", got)
	}
	c.denied = "/iam"
	got, err = b.Configuration(t.Context())
	if err != nil || got.Unreadable[bucket.PartPolicy].Why != bucket.WhyDenied || got.Policy != nil {
		t.Errorf("a policy that may not be read is %+v, %v", got.Policy, err)
	}
}
