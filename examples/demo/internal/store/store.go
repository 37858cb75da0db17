package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ErrNotFound says that the store answered, and holds no object of that name.
var ErrNotFound = errors.New("no such object")

// A Store keeps whole small objects by name.
//
// Put returns nil only after the store has said that it keeps the object; after
// any error the object may or may not be there. Get returns an error that wraps
// ErrNotFound where the store holds no such object. List returns at most limit
// names that begin with prefix, in the order of their bytes. All three are safe
// to call from several goroutines.
type Store interface {
	Put(ctx context.Context, key string, body []byte) error
	Get(ctx context.Context, key string) ([]byte, error)
	List(ctx context.Context, prefix string, limit int) ([]string, error)
}

// Config says where a store is and how to be let in.
type Config struct {
	URL       string // s3://bucket?…, az://account/container?… or mem://name
	AccessKey string // for Azure the account's name; where empty, the one in URL
	SecretKey string
}

// FromEnv reads STORE_URL, STORE_ACCESS_KEY and STORE_SECRET_KEY.
func FromEnv(getenv func(string) string) Config {
	return Config{
		URL:       getenv("STORE_URL"),
		AccessKey: getenv("STORE_ACCESS_KEY"),
		SecretKey: getenv("STORE_SECRET_KEY"),
	}
}

// Open returns the store that c names. It does not talk to it.
func Open(c Config) (Store, error) {
	where, err := parse(c.URL)
	if err != nil {
		return nil, err
	}
	switch where.scheme {
	case "s3":
		return openS3(where, c)
	case "az":
		return openAzure(where, c)
	default:
		return NewMemory(), nil
	}
}

// location is a store's URL, taken apart.
type location struct {
	scheme   string
	account  string // az only
	bucket   string
	endpoint *url.URL // nil: the provider's own
	region   string
}

func parse(raw string) (location, error) {
	if raw == "" {
		return location{}, errors.New("open store: STORE_URL is not set; give s3://bucket?endpoint=…, az://account/container?endpoint=… or mem://name")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return location{}, fmt.Errorf("open store: parse STORE_URL: %w", err)
	}
	if u.User != nil {
		return location{}, errors.New("open store: STORE_URL holds credentials; give them as STORE_ACCESS_KEY and STORE_SECRET_KEY")
	}
	where := location{scheme: u.Scheme, region: u.Query().Get("region")}
	switch u.Scheme {
	case "s3", "mem":
		where.bucket = u.Host
	case "az":
		where.account, where.bucket = u.Host, strings.Trim(u.Path, "/")
		if where.account == "" {
			return location{}, fmt.Errorf("open store %s: no account; write az://account/container", raw)
		}
	default:
		return location{}, fmt.Errorf("open store %s: unknown scheme %q; use s3, az or mem", raw, u.Scheme)
	}
	if where.bucket == "" || strings.Contains(where.bucket, "/") {
		return location{}, fmt.Errorf("open store %s: want one bucket or container", raw)
	}
	if text := u.Query().Get("endpoint"); text != "" {
		where.endpoint, err = url.Parse(text)
		if err != nil {
			return location{}, fmt.Errorf("open store %s: parse endpoint: %w", raw, err)
		}
		if where.endpoint.Host == "" || (where.endpoint.Scheme != "http" && where.endpoint.Scheme != "https") {
			return location{}, fmt.Errorf("open store %s: endpoint %q is not http://host:port or https://host:port", raw, text)
		}
	}
	return where, nil
}
