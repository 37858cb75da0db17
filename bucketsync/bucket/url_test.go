package bucket

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]URL{
		"s3://shop":                      {Scheme: SchemeS3, Bucket: "shop"},
		"S3://shop/":                     {Scheme: SchemeS3, Bucket: "shop"},
		"s3://shop/a b/%41/":             {Scheme: SchemeS3, Bucket: "shop", Prefix: "a b/%41/"},
		"gs://shop/x":                    {Scheme: SchemeGCS, Bucket: "shop", Prefix: "x"},
		"minio://10.0.0.1:9000/shop/p":   {Scheme: SchemeMinIO, Host: "10.0.0.1:9000", Bucket: "shop", Prefix: "p"},
		"minio+http://localhost:90/shop": {Scheme: SchemeMinIO, Host: "localhost:90", Bucket: "shop", Plain: true},
		"minio://store.test/shop":        {Scheme: SchemeMinIO, Host: "store.test", Bucket: "shop"},
		"az://account/box/dir/":          {Scheme: SchemeAzure, Host: "account", Bucket: "box", Prefix: "dir/"},
		"file:///var/a%20b":              {Scheme: SchemeFile, Path: filepath.FromSlash("/var/a b")},
		"file://localhost/var":           {Scheme: SchemeFile, Path: filepath.FromSlash("/var")},
		"./dir":                          {Scheme: SchemeFile, Path: "dir"},
		"dir":                            {Scheme: SchemeFile, Path: "dir"},
	} {
		got, err := ParseURL(text)
		if err != nil || got != want {
			t.Errorf("ParseURL(%q) = %+v, %v, want %+v", text, got, err, want)
			continue
		}
		again, err := ParseURL(got.String())
		if err != nil || again != want {
			t.Errorf("ParseURL(%q) = %+v, %v, want %+v", got.String(), again, err, want)
		}
	}
}

func TestParseURLRefusesWithAHint(t *testing.T) {
	for _, text := range []string{
		"", "s3://", "s3:///key", "s3:shop", "ftp://shop", "gs://shop?project=x", "minio://shop", "minio://:9000/shop",
		"minio:///shop", "az://account", "az://account/bo", "az://account/Box", "az://account/-box", "az://account/bo--x", "az:///box", "az://account.blob.core.windows.net/box", "file://dir", "file:///a%zz",
		"s3://name:hunter2@shop", "minio://name:hunter2@host:9000/shop", "az://name:hunter2@account/box",
	} {
		_, err := ParseURL(text)
		var typed *URLError
		if !errors.As(err, &typed) || typed.Hint == "" {
			t.Errorf("ParseURL(%q) gives %v, want an error with a hint", text, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error of %q repeats the password: %v", text, err)
		}
	}
}

// FuzzParseURL: whatever parses is printed in a form that parses to the same.
func FuzzParseURL(f *testing.F) {
	for _, seed := range []string{"s3://b/p", "minio://h:1/b", "az://a/box/p", "file:///d%20", "./x", "gs://b", "/0:0", "/C:/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseURL(text)
		if err != nil {
			return
		}
		again, err := ParseURL(u.String())
		if err != nil || again != u {
			t.Fatalf("%q is %+v, printed %q, read %+v, %v", text, u, u.String(), again, err)
		}
	})
}
