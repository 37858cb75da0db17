// Package manifests holds the Kubernetes objects of the demo's applications and
// renders them for one side: where its images come from, and where its stores are.
//
//	yaml/*.yaml ── Render(Values) ── one stream of documents, in the order to apply
package manifests

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/template"
)

// Names that the manifests use and that others need.
const (
	Namespace   = "demo"
	ShopBucket  = "shop-data"
	ClockBucket = "clock-data"
	Tag         = "1" // of the images
)

//go:embed yaml/*.yaml
var files embed.FS

// Store is one application's object store, as its environment names it.
type Store struct {
	URL       string // s3://bucket?endpoint=…&region=… or az://account/container?endpoint=…
	AccessKey string
	SecretKey string
}

// Values are what differs between two sides, and between two sets of the applications on one side.
type Values struct {
	// Namespace holds the objects; empty is the demo's own. The group of the custom resource begins with it, so that two
	// sets beside each other share no object.
	Namespace string
	Registry  string // host of the images' names, such as registry.blue.test
	Shop      Store
	Clock     Store
}

// Apps are the names of the applications, which are those of their images too.
func Apps() []string { return []string{"happy-bandit", "shop", "clock"} }

// Image is the full name of an application's image in a registry.
func Image(registry, app string) string {
	return registry + "/crossfade-demo/" + app + ":" + Tag
}

// Render returns all documents as one YAML stream, in the order in which they
// are to be applied. The kind of the last document, Banner, is served shortly
// after its definition is applied: whoever applies waits for that.
func Render(v Values) ([]byte, error) {
	if err := v.check(); err != nil {
		return nil, fmt.Errorf("render the demo's manifests: %w", err)
	}
	if v.Namespace == "" {
		v.Namespace = Namespace
	}
	names, err := fs.Glob(files, "yaml/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("render the demo's manifests: %w", err)
	}
	set, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"quote": quote,
		"image": func(app string) (string, error) { return quote(Image(v.Registry, app)) },
	}).ParseFS(files, names...)
	if err != nil {
		return nil, fmt.Errorf("render the demo's manifests: %w", err)
	}
	var stream bytes.Buffer
	for i, name := range names { // sorted by Glob
		if i > 0 {
			stream.WriteString("---\n")
		}
		if err := set.ExecuteTemplate(&stream, strings.TrimPrefix(name, "yaml/"), v); err != nil {
			return nil, fmt.Errorf("render the demo's manifests: %w", err)
		}
	}
	return stream.Bytes(), nil
}

// check names every value that is missing, not only the first.
func (v Values) check() error {
	var missing []error
	for _, field := range []struct{ name, value string }{
		{"Registry", v.Registry},
		{"Shop.URL", v.Shop.URL}, {"Shop.AccessKey", v.Shop.AccessKey}, {"Shop.SecretKey", v.Shop.SecretKey},
		{"Clock.URL", v.Clock.URL}, {"Clock.AccessKey", v.Clock.AccessKey}, {"Clock.SecretKey", v.Clock.SecretKey},
	} {
		if field.value == "" {
			missing = append(missing, fmt.Errorf("%s is empty", field.name))
		}
	}
	return errors.Join(missing...)
}

// quote writes text as a YAML scalar that is a string whatever it holds: JSON's
// strings are YAML's too.
func quote(text string) (string, error) {
	quoted, err := json.Marshal(text)
	return string(quoted), err
}
