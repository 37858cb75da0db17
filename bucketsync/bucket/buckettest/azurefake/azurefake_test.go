package azurefake_test

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket/buckettest/azurefake"
)

// fake asks the server by plain HTTP.
type fake struct {
	t   *testing.T
	url string
}

func start(t *testing.T) fake {
	t.Helper()
	server := azurefake.Start(azurefake.Options{})
	t.Cleanup(server.Close)
	f := fake{t, server.URL() + "/" + azurefake.Account + "/box"}
	f.want(http.StatusCreated, "", http.MethodPut, "?restype=container", nil)
	return f
}

// ask returns the status, the error's code and the body.
func (f fake) ask(method, what string, header http.Header) (status int, code, body string) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.url+what, strings.NewReader(header.Get("body")))
	if err != nil {
		f.t.Fatal(err)
	}
	header = header.Clone()
	header.Del("body")
	request.Header = header
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	_ = answer.Body.Close() // read to its end
	return answer.StatusCode, answer.Header.Get("x-ms-error-code"), string(raw)
}

func (f fake) want(status int, code, method, what string, header http.Header) {
	f.t.Helper()
	if got, gotCode, body := f.ask(method, what, header); got != status || gotCode != code {
		f.t.Errorf("%s %s: %d %s, want %d %s\n%s", method, what, got, gotCode, status, code, body)
	}
}

func blob(pairs ...string) http.Header {
	h := http.Header{"X-Ms-Blob-Type": {"BlockBlob"}, "Body": {"content"}}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func (f fake) list(query string) (lines []string) {
	f.t.Helper()
	for marker := ""; ; {
		_, _, body := f.ask(http.MethodGet, "?restype=container&comp=list&maxresults=2"+query+"&marker="+url.QueryEscape(marker), nil)
		var page struct {
			Blobs struct {
				Blob []struct {
					Name       string
					Properties struct{ ResourceType string }
				}
			}
			NextMarker string
		}
		if err := xml.Unmarshal([]byte(body), &page); err != nil {
			f.t.Fatal(err)
		}
		for _, b := range page.Blobs.Blob {
			lines = append(lines, b.Name+" "+b.Properties.ResourceType)
		}
		if marker = page.NextMarker; marker == "" {
			return lines
		}
	}
}

// The order and the entries that https://github.com/Azure/azure-sdk-for-go/issues/24210 shows of an account.
func TestListingsGoByThePartsOfPaths(t *testing.T) {
	f := start(t)
	for _, path := range []string{"A/dat1", "A-B/dat2", "A-B-C", "A-C", "A.C/dat3", "AB/AB", "AB/dat4", "AB.txt", "ABC"} {
		f.want(http.StatusCreated, "", http.MethodPut, "/"+path, blob())
	}
	want := []string{
		"A directory", "A/dat1 file", "A-B directory", "A-B/dat2 file", "A-B-C file", "A-C file", "A.C directory", "A.C/dat3 file",
		"AB directory", "AB/AB file", "AB/dat4 file", "AB.txt file", "ABC file",
	}
	if got := f.list(""); !slices.Equal(got, want) {
		t.Errorf("the listing is\n%q, want\n%q", got, want)
	}
	if got := f.list("&prefix=AB/"); !slices.Equal(got, []string{"AB/AB file", "AB/dat4 file"}) {
		t.Errorf("below AB: %q", got)
	}
	f.want(http.StatusBadRequest, "InvalidQueryParameterValue", http.MethodGet, "?restype=container&comp=list&prefix=ABC/x", nil)
}

func TestRulesOfAHierarchicalNamespace(t *testing.T) {
	f := start(t)
	put, del := http.MethodPut, http.MethodDelete
	f.want(http.StatusCreated, "", put, "/d/e/x", blob())
	for _, rule := range []struct {
		status       int
		code         string
		method, what string
		header       http.Header
	}{
		// A path is of one kind.
		{http.StatusConflict, "PathConflict", put, "/d/e/x/y", blob()},
		{http.StatusConflict, "PathConflict", put, "/d", blob()},
		{http.StatusConflict, "PathConflict", put, "/d/e/x/", blob("x-ms-meta-hdi_isfolder", "true", "body", "")},
		// Directories are deleted where they are empty, and not with their snapshots; nothing is by a name with a slash at its end.
		{http.StatusConflict, "DirectoryIsNotEmpty", del, "/d/e", nil},
		{http.StatusBadRequest, "InvalidUri", del, "/d/e/", nil},
		{http.StatusAccepted, "", del, "/d/e/x", nil},
		{http.StatusBadRequest, "OperationNotSupportedOnDirectory", del, "/d/e", http.Header{"X-Ms-Delete-Snapshots": {"include"}}},
		{http.StatusAccepted, "", del, "/d/e", nil},
		{http.StatusOK, "", http.MethodHead, "/d", nil}, // what lay in it took nothing with it
		// A directory is an empty blob with the mark of one.
		{http.StatusCreated, "", put, "/made/", blob("x-ms-meta-hdi_isfolder", "true", "body", "")},
		{http.StatusBadRequest, "InvalidUri", put, "/plain/", blob("body", "")},
		{http.StatusBadRequest, "InvalidInput", put, "/full", blob("x-ms-meta-hdi_isfolder", "true")},
		// Conditions.
		{http.StatusConflict, "BlobAlreadyExists", put, "/made", blob("If-None-Match", "*", "x-ms-meta-hdi_isfolder", "true", "body", "")},
		{http.StatusPreconditionFailed, "ConditionNotMet", put, "/new", blob("If-Match", `"0x1"`)},
		// What is not there.
		{http.StatusBadRequest, "InvalidQueryParameterValue", http.MethodGet, "/made?comp=tags", nil},
		{http.StatusConflict, "FeatureNotYetSupportedForHierarchicalNamespaceAccounts", put, "/tagged", blob("x-ms-tags", "a=b")},
		{http.StatusConflict, "FeatureNotYetSupportedForHierarchicalNamespaceAccounts", put, "/page", blob("X-Ms-Blob-Type", "PageBlob")},
		// Names.
		{http.StatusCreated, "", put, "/" + strings.Repeat("n/", 60) + "n", blob()},
		{http.StatusBadRequest, "InvalidUri", put, "/" + strings.Repeat("n/", 61) + "n", blob()},
		{http.StatusBadRequest, "InvalidUri", put, "/two//slashes", blob()},
	} {
		f.want(rule.status, rule.code, rule.method, rule.what, rule.header)
	}
	if got := f.list(""); !slices.Contains(got, "made directory") || slices.Contains(got, "tagged file") {
		t.Errorf("the listing shows %q", got)
	}
}

// What the API of Data Lake Storage made is written over whole, not in blocks.
func TestBlocksAreNotOfTheOtherAPI(t *testing.T) {
	server := azurefake.Start(azurefake.Options{})
	t.Cleanup(server.Close)
	f := fake{t, server.URL() + "/" + azurefake.Account + "/box"}
	f.want(http.StatusCreated, "", http.MethodPut, "?restype=container", nil)
	if err := server.MakeFile("box", "d/file", []byte("x"), azurefake.Rights{Owner: "me", Permissions: "rwxrwxrwx"}); err != nil {
		t.Fatal(err)
	}
	f.want(http.StatusConflict, "InvalidBlobOrBlock", http.MethodPut, "/d/file?comp=block&blockid=YQ==", blob())
	f.want(http.StatusCreated, "", http.MethodPut, "/d/file", blob())
	f.want(http.StatusCreated, "", http.MethodPut, "/d/file?comp=block&blockid=YQ==", blob())
}
