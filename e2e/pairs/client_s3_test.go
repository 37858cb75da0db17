//go:build unix

package pairs

import (
	"bytes"
	"context"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
)

// viaXML is S3's protocol by plain requests without signatures, for the fake, which checks none. No SDK lets everything through.
type viaXML struct {
	endpoint string
	http     *http.Client
}

func (c viaXML) do(ctx context.Context, method, bucket, key string, query url.Values, header http.Header, body []byte) ([]byte, http.Header, error) {
	target := c.endpoint + "/" + bucket
	if key != "" {
		target += "/" + url.PathEscape(key)
	}
	request, err := http.NewRequest(method, target+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if header != nil {
		request.Header = header
	}
	return ask(ctx, c.http, request)
}

func (c viaXML) makeBucket(ctx context.Context, bucket string) error {
	_, _, err := c.do(ctx, http.MethodPut, bucket, "", nil, nil, nil)
	return err
}

func (c viaXML) put(ctx context.Context, bucket string, o object) error {
	header := http.Header{}
	for _, name := range append(contentHeaders(), expires) {
		if value := o.props[name]; value != "" {
			header.Set(name, value)
		}
	}
	if to := o.props[redirect]; to != "" {
		header.Set("x-amz-website-redirect-location", to)
	}
	for key, value := range o.props.part(metaPrefix) {
		header.Set("x-amz-meta-"+key, word(value))
	}
	tags := url.Values{}
	for key, value := range o.props.part(tagPrefix) {
		tags.Set(key, value)
	}
	if len(tags) > 0 {
		header.Set("x-amz-tagging", tags.Encode())
	}
	_, _, err := c.do(ctx, http.MethodPut, bucket, o.key, nil, header, o.content())
	return err
}

func (c viaXML) keys(ctx context.Context, bucket string) ([]string, error) {
	var keys []string
	query := url.Values{"list-type": {"2"}, "encoding-type": {"url"}}
	for {
		body, _, err := c.do(ctx, http.MethodGet, bucket, "", query, nil, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Contents              []struct{ Key string }
			NextContinuationToken string
		}
		if err := xml.Unmarshal(body, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			key, err := url.QueryUnescape(o.Key)
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
		if page.NextContinuationToken == "" {
			return keys, nil
		}
		query.Set("continuation-token", page.NextContinuationToken)
	}
}

func (c viaXML) get(ctx context.Context, bucket, key string) (found, error) {
	body, header, err := c.do(ctx, http.MethodGet, bucket, key, nil, nil, nil)
	if err != nil {
		return found{}, err
	}
	p := props{}
	for _, name := range append(contentHeaders(), expires) {
		p.set(name, header.Get(name))
	}
	p.set(redirect, header.Get("x-amz-website-redirect-location"))
	for name, values := range header {
		if key, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-meta-"); ok {
			p.set(metaPrefix+key, unword(values[0]))
		}
	}
	raw, _, err := c.do(ctx, http.MethodGet, bucket, key, url.Values{"tagging": {""}}, nil, nil)
	if err != nil {
		return found{}, err
	}
	var tags struct {
		TagSet struct {
			Tag []struct{ Key, Value string }
		}
	}
	if err := xml.Unmarshal(raw, &tags); err != nil {
		return found{}, err
	}
	for _, tag := range tags.TagSet.Tag {
		p.set(tagPrefix+tag.Key, tag.Value)
	}
	return see(body, p), nil
}
