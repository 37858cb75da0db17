package migration

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// place is where something of the file lies: in a folder of this machine, or in a bucket of a store.
type place struct {
	folder string // absolute
	store  string // what tells stores apart: endpoint and account
	// bucket and path in it, with slashes
	bucket, path string
}

// holds reports whether something lies inside of what is cloned: in the folder, or in the bucket under the prefix.
func (p place) holds(inner place) bool {
	if p.folder != "" || inner.folder != "" {
		rel, err := filepath.Rel(p.folder, inner.folder)
		return p.folder != "" && inner.folder != "" && err == nil && filepath.IsLocal(rel)
	}
	return p.store == inner.store && p.bucket == inner.bucket && (strings.HasPrefix(inner.path, p.path) || strings.HasPrefix(inner.path+"/", p.path))
}

// placeOf finds a bucket's end.
func (v *validator) placeOf(f *File, end BucketEnd) place {
	s := f.Stores[end.Store]
	if s.Provider == "file" {
		return place{folder: v.absolute(filepath.Join(end.Bucket, filepath.FromSlash(end.Prefix)))}
	}
	return place{store: storeID(s), bucket: end.Bucket, path: end.Prefix}
}

// placeOfURL finds the archive or the state; false where nothing is there to find.
func (v *validator) placeOfURL(f *File, text, store string) (place, bool) {
	scheme, rest, remote := strings.Cut(text, "://")
	switch {
	case text == "":
		return place{}, false
	case !remote:
		return place{folder: v.absolute(text)}, true
	case strings.EqualFold(scheme, "file"):
		path, err := url.PathUnescape(rest)
		return place{folder: v.absolute(path)}, err == nil
	}
	s, ok := f.Stores[store]
	if strings.HasPrefix(scheme, "minio") || strings.EqualFold(scheme, "az") {
		_, rest, _ = strings.Cut(rest, "/") // the host, or the account
	}
	bucket, path, _ := strings.Cut(rest, "/")
	return place{store: storeID(s), bucket: bucket, path: path}, ok
}

// storeID tells stores apart, whatever they are called and with whichever keys they are opened.
func storeID(s Store) string {
	endpoint := strings.ToLower(strings.TrimRight(s.Endpoint, "/"))
	_, endpoint, named := strings.Cut(endpoint, "://")
	switch {
	case named && s.Provider != "azure":
		return endpoint // S3's protocol is spoken by the providers s3 and minio
	case s.Provider == "minio":
		return "s3 " + endpoint
	}
	return s.Provider + " " + endpoint + " " + s.Account
}

func (v *validator) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(v.dir, path)
}

// places refuses an archive and a state that lie inside of what is cloned: each round of the copy would carry them along, and
// the copy's deletes could reach them.
func (v *validator) places(f *File) {
	for _, kept := range []struct{ what, field, url, store string }{
		{"archive", "archive.url", f.Archive.URL, f.Archive.Store},
		{"state", "state.url", f.stateURL(), f.stateStore()},
		{"state", "state.directory", f.stateDirectory(), ""},
	} {
		inner, ok := v.placeOfURL(f, kept.url, kept.store)
		if !ok {
			continue
		}
		for _, b := range f.Buckets {
			for _, end := range []BucketEnd{b.From, b.To} {
				if v.placeOf(f, end).holds(inner) {
					v.problem(kept.field, fmt.Sprintf("the %s would lie inside bucket %s, which is cloned", kept.what, b.Name), "keep the "+kept.what+" in a bucket or folder of its own")
					break
				}
			}
		}
	}
}

func (f *File) stateURL() string {
	if f.State == nil {
		return ""
	}
	return f.State.URL
}

func (f *File) stateStore() string {
	if f.State == nil {
		return ""
	}
	return f.State.Store
}

func (f *File) stateDirectory() string {
	if f.State != nil && f.State.Directory != "" {
		return f.State.Directory
	}
	return filepath.Join(".crossfade", f.Name)
}

// overlap reports whether a bucket's ends are one place, or one lies in the other: the copy would find its own copies.
func (v *validator) overlap(f *File, b Bucket) bool {
	from, to := v.placeOf(f, b.From), v.placeOf(f, b.To)
	return from.holds(to) || to.holds(from)
}
