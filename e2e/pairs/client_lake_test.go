//go:build unix

package pairs

import (
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// viaDirectories is viaREST for an account with a hierarchical namespace: markers are directories, and the directories that
// come with the blobs in them are not shown.
type viaDirectories struct{ viaREST }

const folderMark = "hdi_isfolder"

func newViaDirectories(endpoint, account, key string) (client, error) {
	c, err := newViaREST(endpoint, account, key)
	if err != nil {
		return nil, err
	}
	flat, ok := c.(viaREST)
	if !ok {
		return nil, fmt.Errorf("a client of another kind: %T", c)
	}
	return viaDirectories{flat}, nil
}

func (c viaDirectories) put(ctx context.Context, bucket string, o object) error {
	o.props = maps.Clone(o.props)
	if o.props == nil {
		o.props = props{}
	}
	maps.DeleteFunc(o.props, func(name, _ string) bool { return strings.HasPrefix(name, tagPrefix) }) // it has none
	if strings.HasSuffix(o.key, "/") {
		o.props[metaPrefix+folderMark] = "true"
	}
	return c.viaREST.put(ctx, bucket, o)
}

func (c viaDirectories) keys(ctx context.Context, bucket string) ([]string, error) {
	directories := map[string]bool{} // with a slash; whether metadata is on it
	var keys []string
	for marker := ""; ; {
		query := url.Values{"restype": {"container"}, "comp": {"list"}, "include": {"metadata"}}
		if marker != "" {
			query.Set("marker", marker)
		}
		body, _, err := c.do(ctx, http.MethodGet, "/"+bucket, query, nil, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Blobs struct {
				Blob []struct {
					Name       string
					Properties struct{ ResourceType string }
					Metadata   struct {
						Entries []struct{ XMLName xml.Name } `xml:",any"`
					}
				}
			}
			NextMarker string
		}
		if err := xml.Unmarshal(body, &page); err != nil {
			return nil, err
		}
		for _, b := range page.Blobs.Blob {
			if b.Properties.ResourceType == "directory" {
				directories[b.Name+"/"] = len(b.Metadata.Entries) > 1 // beside the mark
				continue
			}
			keys = append(keys, b.Name)
		}
		if marker = page.NextMarker; marker == "" {
			break
		}
	}
	holding := map[string]bool{}
	above := func(key string) {
		for i := range len(key) - 1 {
			if key[i] == '/' {
				holding[key[:i+1]] = true
			}
		}
	}
	for _, key := range keys {
		above(key)
	}
	for d := range directories {
		above(d)
	}
	for d, described := range directories {
		if described || !holding[d] {
			keys = append(keys, d)
		}
	}
	return keys, nil
}

func (c viaDirectories) get(ctx context.Context, bucket, key string) (found, error) {
	f, err := c.viaREST.get(ctx, bucket, strings.TrimSuffix(key, "/"))
	delete(f.props, metaPrefix+folderMark)
	return f, err
}
