package scaffold

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// coordinates say where a bucket is. They never hold a key: what a URL carries before its host is left out.
type coordinates struct {
	Provider, Endpoint, Region, Account string
	Bucket, Prefix                      string
}

// place is where coordinates stand in blue's objects.
type place struct {
	coordinates
	// ConfigMap and Key, or the variable of a container.
	ConfigMap, Key string
	Workload       Workload
	Container, Env int
	// Only says that the key holds the bucket's name alone and not a whole URL.
	Only bool
	// Beside are other keys of the same ConfigMap that hold parts of the coordinates, by what they hold.
	Beside map[string]string
}

func schemes() map[string]string {
	return map[string]string{"s3": "s3", "s3a": "s3", "s3n": "s3", "minio": "minio", "gs": "gcs", "gcs": "gcs", "az": "azure", "azblob": "azure", "wasb": "azure", "wasbs": "azure", "abfs": "azure", "abfss": "azure"}
}

func databases() []string {
	return []string{"postgres", "postgresql", "mysql", "mariadb", "mongodb", "mongodb+srv", "redis", "rediss", "amqp", "amqps", "cassandra", "jdbc"}
}

// database reports whether a value leads to a database.
func database(value string) bool {
	scheme, _, ok := strings.Cut(value, ":")
	return ok && slices.Contains(databases(), strings.ToLower(scheme))
}

const azureDomain = ".blob.core.windows.net"

// storeURL reads the coordinates of a bucket out of a URL, in the forms that libraries and charts use.
func storeURL(value string) (coordinates, bool) {
	u, err := url.Parse(strings.TrimSpace(value))
	if err != nil || u.Host == "" {
		return coordinates{}, false
	}
	first, rest, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	provider := schemes()[strings.ToLower(u.Scheme)]
	c := coordinates{Provider: provider, Endpoint: plainURL(u.Query().Get("endpoint")), Region: u.Query().Get("region")}
	switch {
	case provider == "azure" && u.User != nil: // wasbs://container@account.blob…
		c.Account, _, _ = strings.Cut(u.Hostname(), ".")
		c.Bucket, c.Prefix = u.User.Username(), strings.Trim(u.Path, "/")
	case provider == "azure":
		c.Account, c.Bucket, c.Prefix = strings.TrimSuffix(u.Hostname(), azureDomain), first, rest
	case provider != "":
		c.Bucket, c.Prefix = u.Host, strings.Trim(u.Path, "/")
	case u.Scheme == "https" && strings.HasSuffix(u.Hostname(), azureDomain):
		c.Provider, c.Account, c.Bucket, c.Prefix = "azure", strings.TrimSuffix(u.Hostname(), azureDomain), first, rest
	case u.Scheme == "https" && u.Hostname() == "storage.googleapis.com":
		c.Provider, c.Bucket, c.Prefix = "gcs", first, rest
	default:
		var ok bool
		if c, ok = awsHost(u.Hostname(), first, rest, u.Path); !ok {
			return coordinates{}, false
		}
	}
	return c, bucketName.MatchString(c.Bucket)
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9$][a-z0-9.-]{1,61}[a-z0-9]$`)
	awsVirtual = regexp.MustCompile(`^(.+)\.s3[.-]([a-z0-9-]+)\.amazonaws\.com$`)
	awsPath    = regexp.MustCompile(`^s3[.-]([a-z0-9-]+)\.amazonaws\.com$`)
)

func awsHost(host, first, rest, path string) (coordinates, bool) {
	if m := awsVirtual.FindStringSubmatch(host); m != nil {
		return coordinates{Provider: "s3", Bucket: m[1], Region: m[2], Prefix: strings.Trim(path, "/")}, true
	}
	if m := awsPath.FindStringSubmatch(host); m != nil {
		return coordinates{Provider: "s3", Bucket: first, Region: m[1], Prefix: rest}, true
	}
	return coordinates{}, false
}

// plainURL drops what may be a secret of a URL: its user, its query and its fragment.
func plainURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

var bucketKey = regexp.MustCompile(`(?i)(^|[._-])(bucket|container)([._-]?name)?$`)

// storeKeys reads coordinates that stand in several keys: S3_BUCKET beside S3_ENDPOINT and S3_REGION.
func storeKeys(data map[string]string, key string) (coordinates, map[string]string, bool) {
	value := data[key]
	if !bucketKey.MatchString(key) || !bucketName.MatchString(value) {
		return coordinates{}, nil, false
	}
	c, beside := coordinates{Provider: "s3", Bucket: value}, map[string]string{}
	words := strings.ToLower(key)
	for _, other := range sortedKeys(data) {
		lower := strings.ToLower(other)
		switch {
		case strings.Contains(lower, "endpoint"):
			if e := endpointOf(data[other]); e != "" {
				c.Endpoint, beside["endpoint"] = e, other
				words += " " + lower + " " + e
			}
		case strings.HasSuffix(lower, "region"):
			c.Region, beside["region"] = data[other], other
		case strings.Contains(lower, "storage") && strings.HasSuffix(lower, "account"):
			c.Account, beside["account"] = data[other], other
			words += " azure"
		}
	}
	switch {
	case strings.Contains(words, "azure"), strings.Contains(strings.ToLower(key), "container"):
		c.Provider = "azure"
	case strings.Contains(words, "gcs"), strings.Contains(words, "gs_"), strings.Contains(words, "google"):
		c.Provider = "gcs"
	case strings.Contains(words, "minio"):
		c.Provider = "minio"
	}
	if c.Provider == "azure" && c.Account == "" {
		return coordinates{}, nil, false // a container's name alone says too little, and containers are other things too
	}
	return c, beside, true
}

func endpointOf(text string) string {
	if e := plainURL(text); e != "" {
		return e
	}
	if host := regexp.MustCompile(`^[a-zA-Z0-9.-]+:\d+$`).FindString(text); host != "" {
		return "http://" + host
	}
	return ""
}

// placesOf finds every bucket that workloads of one application are told of.
func placesOf(ns Namespace, workloads []Workload) []place {
	var out []place
	seen := map[string]bool{}
	for _, w := range workloads {
		for _, name := range w.ConfigMaps {
			if seen[name] {
				continue
			}
			seen[name] = true
			data := ns.Settings[name]
			for _, key := range sortedKeys(data) {
				if c, ok := storeURL(data[key]); ok {
					out = append(out, place{coordinates: c, ConfigMap: name, Key: key})
				} else if c, beside, ok := storeKeys(data, key); ok {
					out = append(out, place{coordinates: c, ConfigMap: name, Key: key, Only: true, Beside: beside})
				}
			}
		}
		for i, c := range w.Containers {
			for k, e := range c.Env {
				if found, ok := storeURL(e.Value); ok {
					out = append(out, place{coordinates: found, Workload: w, Container: i, Env: k})
				}
			}
		}
	}
	return out
}

// secretKey is one key of a Secret.
type secretKey struct{ Secret, Key string }

// credentials are the keys that open a store, by their names alone.
type credentials struct{ Access, Secret secretKey }

var (
	accessName = regexp.MustCompile(`(?i)access[._-]?key([._-]?id)?$|key[._-]?id$|storage[._-]?account([._-]?name)?$`)
	secretName = regexp.MustCompile(`(?i)secret([._-]?access)?[._-]?key$|account[._-]?key$|storage[._-]?key$`)
)

// credentialsOf finds the keys of a store among the Secrets that workloads refer to.
func credentialsOf(ns Namespace, workloads []Workload) credentials {
	var found credentials
	take := func(role, secret, key string) {
		at := secretKey{secret, key}
		switch {
		case secretName.MatchString(role):
			if found.Secret == (secretKey{}) {
				found.Secret = at
			}
		case accessName.MatchString(role):
			if found.Access == (secretKey{}) {
				found.Access = at
			}
		}
	}
	for _, w := range workloads {
		for _, c := range w.Containers {
			for _, e := range c.Env {
				if e.Secret != "" {
					take(e.Name, e.Secret, e.Key)
				}
			}
		}
		for _, secret := range w.Secrets {
			for _, key := range ns.Secrets[secret] {
				take(key, secret, key)
			}
		}
	}
	return found
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
