package azure

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// A lock and a scope go as the service's documents say, with one request and with blocks:
// https://learn.microsoft.com/rest/api/storageservices/put-blob and put-block-list.
func TestB16_LocksAndScopesGo(t *testing.T) {
	until := time.Date(2130, 1, 2, 3, 4, 5, 600, time.UTC)
	p := bucket.Properties{
		Lock: bucket.Lock{Mode: bucket.Compliance, Until: until, Hold: true}, Encryption: bucket.Encryption{Kind: bucket.ByService, Key: "green"},
	}
	for _, size := range []int{10, 2500} {
		f := &fake{t: t}
		b := f.open(t)
		if _, err := b.Put(t.Context(), "key", strings.NewReader(strings.Repeat("x", size)), int64(size), bucket.PutOptions{Properties: p}); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"x-ms-immutability-policy-mode": "locked", "x-ms-immutability-policy-until-date": "Mon, 02 Jan 2130 03:04:06 GMT",
			"x-ms-legal-hold": "true", "x-ms-encryption-scope": "green",
		} {
			if got := f.commit.Get(name); !strings.EqualFold(got, want) {
				t.Errorf("%d bytes: %s is %q, want %q", size, name, got, want)
			}
		}
	}
	f := &fake{t: t}
	if _, err := f.open(t).Put(t.Context(), "key", strings.NewReader("x"), 1, bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for name := range f.commit {
		if low := strings.ToLower(name); strings.HasPrefix(low, "x-ms-immutability") || low == "x-ms-legal-hold" || low == "x-ms-encryption-scope" {
			t.Errorf("%s is sent of an object that has none", name)
		}
	}
}

// answering opens a container whose service answers each request with the same.
func answering(t *testing.T, status int, headers map[string]string) *Bucket {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, v := range headers {
			w.Header().Set(name, v)
		}
		w.Header().Set("ETag", `"0x1"`)
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	b, err := Open(t.Context(), Options{Account: "account", Container: "box", Endpoint: server.URL, Attempts: 1, Credentials: Credentials{AccountKey: "c2VjcmV0"}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestB16_LocksScopesAndTiersComeBack(t *testing.T) {
	until := time.Date(2130, 1, 2, 3, 4, 5, 0, time.UTC)
	retained := map[string]string{"x-ms-immutability-policy-mode": "locked", "x-ms-immutability-policy-until-date": until.Format(http.TimeFormat)}
	unlocked := maps.Clone(retained)
	unlocked["x-ms-immutability-policy-mode"] = "unlocked"
	for name, c := range map[string]struct {
		headers map[string]string
		want    bucket.Properties
		cold    bucket.Archived
	}{
		"locked":         {headers: retained, want: bucket.Properties{Lock: bucket.Lock{Mode: bucket.Compliance, Until: until}}},
		"unlocked":       {headers: unlocked, want: bucket.Properties{Lock: bucket.Lock{Mode: bucket.Governance, Until: until}}},
		"hold":           {headers: map[string]string{"x-ms-legal-hold": "true"}, want: bucket.Properties{Lock: bucket.Lock{Hold: true}}},
		"no hold":        {headers: map[string]string{"x-ms-legal-hold": "false"}},
		"scope":          {headers: map[string]string{"x-ms-encryption-scope": "blue"}, want: bucket.Properties{Encryption: bucket.Encryption{Kind: bucket.ByService, Key: "blue"}}},
		"account's own":  {headers: map[string]string{"x-ms-encryption-scope": "$account-encryption-key"}},
		"customer's key": {headers: map[string]string{"x-ms-encryption-key-sha256": "abc"}, want: bucket.Properties{Encryption: bucket.Encryption{Kind: bucket.ByCustomer, Key: "abc"}}},
		"archive":        {headers: map[string]string{"x-ms-access-tier": "Archive"}, cold: bucket.Archived{Class: "Archive", Offline: true}},
		"rehydrating":    {headers: map[string]string{"x-ms-access-tier": "Archive", "x-ms-archive-status": "rehydrate-pending-to-hot"}, cold: bucket.Archived{Class: "Archive", Offline: true, Restoring: true}},
		"cold":           {headers: map[string]string{"x-ms-access-tier": "Cold"}, cold: bucket.Archived{Class: "Cold"}},
		"hot":            {headers: map[string]string{"x-ms-access-tier": "Hot"}},
	} {
		head, err := answering(t, http.StatusOK, c.headers).Head(t.Context(), "key")
		if err != nil {
			t.Fatal(name, err)
		}
		if head.Properties.Lock != c.want.Lock || head.Properties.Encryption != c.want.Encryption || len(head.Properties.Other) != 0 {
			t.Errorf("%s: %+v", name, head.Properties)
		}
		switch got := head.Archived; {
		case got == nil && c.cold != (bucket.Archived{}), got != nil && *got != c.cold:
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestB16_GuardsOfAContainer(t *testing.T) {
	for name, c := range map[string]struct {
		headers map[string]string
		want    bucket.Guards
	}{
		"plain":     {want: bucket.Guards{}, headers: map[string]string{"x-ms-default-encryption-scope": "$account-encryption-key", "x-ms-has-legal-hold": "true"}},
		"immutable": {want: bucket.Guards{Retention: true, Holds: true, KeepsLocked: true}, headers: map[string]string{"x-ms-immutable-storage-with-versioning-enabled": "true"}},
		"scope":     {want: bucket.Guards{Key: "blue"}, headers: map[string]string{"x-ms-default-encryption-scope": "blue"}},
	} {
		if got, err := answering(t, http.StatusOK, c.headers).Guards(t.Context()); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestB16_WhatTheServiceKeeps(t *testing.T) {
	for code, want := range map[string]error{"BlobArchived": bucket.ErrArchived, "BlobImmutableDueToPolicy": bucket.ErrLocked, "BlobUsesCustomerSpecifiedEncryption": bucket.ErrKeyNeeded} {
		b := answering(t, http.StatusConflict, map[string]string{"x-ms-error-code": code})
		if _, _, err := b.Open(t.Context(), "key", bucket.ReadOptions{}); !errors.Is(err, want) {
			t.Errorf("%s: got %v", code, err)
		}
	}
}
