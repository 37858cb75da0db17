package cloudflare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// longestReply bounds what is read of one reply.
const longestReply = 64 << 20

// client speaks the API's envelope.
type client struct {
	http  *http.Client
	base  string
	token string
}

// record is one DNS record as the API has it.
type record struct {
	ID       string          `json:"id,omitempty"`
	Name     string          `json:"name,omitempty"`
	Type     string          `json:"type,omitempty"`
	Content  string          `json:"content,omitempty"`
	TTL      int             `json:"ttl,omitempty"`
	Proxied  *bool           `json:"proxied,omitempty"`
	Priority *int            `json:"priority,omitempty"`
	Comment  string          `json:"comment,omitempty"`
	Tags     []string        `json:"tags,omitempty"`
	Settings json.RawMessage `json:"settings,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
}

func (r record) proxied() bool { return r.Proxied != nil && *r.Proxied }

// batch is one transaction. Cloudflare carries deletes out first, then patches, then posts.
type batch struct {
	Deletes []record `json:"deletes,omitempty"`
	Patches []record `json:"patches,omitempty"`
	Posts   []record `json:"posts,omitempty"`
}

func (b batch) empty() bool { return len(b.Deletes)+len(b.Patches)+len(b.Posts) == 0 }

// envelope is around every reply.
type envelope struct {
	Success bool            `json:"success"`
	Errors  []problem       `json:"errors"`
	Result  json.RawMessage `json:"result"`
	Info    struct {
		Page  int `json:"page"`
		Pages int `json:"total_pages"`
		Total int `json:"total_count"`
	} `json:"result_info"`
}

type problem struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// refusal is a reply that says no.
type refusal struct {
	status   int
	problems []problem
}

func (r *refusal) Error() string {
	var texts []string
	for _, p := range r.problems {
		texts = append(texts, fmt.Sprintf("%d %s", p.Code, strings.TrimSuffix(p.Message, ".")))
	}
	if len(texts) == 0 {
		return fmt.Sprintf("the API answered %d", r.status)
	}
	return fmt.Sprintf("the API answered %d: %s", r.status, strings.Join(texts, "; "))
}

func (r *refusal) has(codes ...int) bool {
	for _, p := range r.problems {
		for _, code := range codes {
			if p.Code == code {
				return true
			}
		}
	}
	return false
}

// call sends one request and reads the result of its reply.
func (c *client) call(ctx context.Context, method, path string, query url.Values, body, into any) (envelope, error) {
	var out envelope
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return out, fmt.Errorf("write the request: %w", err)
		}
		send = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path+"?"+query.Encode(), send)
	if err != nil {
		return out, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(request)
	if err != nil {
		return out, err
	}
	defer func() { _ = answer.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(answer.Body, longestReply))
	if err != nil {
		return out, fmt.Errorf("read the reply: %w", err)
	}
	// What is not JSON comes from something on the way: its status is all that is known.
	parsed := json.Unmarshal(text, &out)
	if answer.StatusCode >= http.StatusBadRequest || parsed == nil && !out.Success {
		return out, &refusal{status: answer.StatusCode, problems: out.Errors}
	}
	if parsed == nil && into != nil {
		parsed = json.Unmarshal(out.Result, into)
	}
	if parsed != nil {
		return out, fmt.Errorf("read the reply: %w", parsed)
	}
	return out, nil
}

const (
	perPage   = 1000
	listTries = 3
)

var errPartial = errors.New("the listing is not whole: records changed while it was read")

// records lists those that a query asks for, all pages. One that others change meanwhile may lack records: it is read
// again, and given up when that does not help (C11).
func (c *client) records(ctx context.Context, zone string, query url.Values) ([]record, error) {
	for range listTries {
		all, whole, err := c.pages(ctx, zone, query)
		if err != nil || whole {
			return all, err
		}
	}
	return nil, errPartial
}

func (c *client) pages(ctx context.Context, zone string, query url.Values) (all []record, whole bool, err error) {
	ids := map[string]bool{}
	total := -1
	for page := 1; ; page++ {
		asked := url.Values{"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(perPage)}, "order": {"name"}}
		for k, v := range query {
			asked[k] = v
		}
		var part []record
		reply, err := c.call(ctx, http.MethodGet, "/zones/"+zone+"/dns_records", asked, nil, &part)
		if err != nil {
			return nil, false, err
		}
		if total >= 0 && reply.Info.Total != total {
			return nil, false, nil
		}
		total = reply.Info.Total
		for _, r := range part {
			if ids[r.ID] {
				return nil, false, nil
			}
			ids[r.ID] = true
		}
		all = append(all, part...)
		if len(part) == 0 || page >= reply.Info.Pages {
			return all, len(all) == total, nil
		}
	}
}

// commit sends one transaction and returns the records that it made.
func (c *client) commit(ctx context.Context, zone string, b batch) ([]record, error) {
	var done batch
	_, err := c.call(ctx, http.MethodPost, "/zones/"+zone+"/dns_records/batch", nil, b, &done)
	return done.Posts, err
}
