package configuration

import (
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// cors of S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html), GCS
// (https://cloud.google.com/storage/docs/cross-origin) and Azure
// (https://learn.microsoft.com/rest/api/storageservices/cross-origin-resource-sharing--cors--support-for-the-azure-storage-services),
// where the rules are those of the account.
func (m *mapping) cors() {
	if len(m.Source.CORS) == 0 || m.noPlace(bucket.PartCORS, "CORS") {
		return
	}
	const part = bucket.PartCORS
	if m.From.Provider == azure && !m.to(azure) {
		m.enter(part, Mapped, "the rules of the source's account become the bucket's")
	}
	for _, r := range m.Source.CORS {
		switch m.To.Provider {
		case azure:
			m.enter(part, Lost, "%s: Azure's rules are those of the whole account, and so not changed for one container: az storage cors add --services b --origins %s --methods %s --allowed-headers %s --exposed-headers %s --max-age %d",
				corsWords(r), words(r.Origins), words(r.Methods), words(r.RequestHeaders), words(r.ExposedHeaders), r.MaxAge)
			continue
		case gcs:
			if m.From.Provider != gcs && !m.corsToGCS(&r) {
				continue
			}
		default:
			if m.From.Provider != s3 && m.From.Provider != minio && !m.corsToS3(&r) {
				continue
			}
		}
		m.answer.Apply.CORS = append(m.answer.Apply.CORS, r)
		if m.within() {
			m.enter(part, Kept, "%s", corsWords(r))
		} else {
			m.enter(part, Mapped, "%s", corsWords(r))
		}
	}
}

func words(list []string) string {
	if len(list) == 0 {
		return "''"
	}
	return "'" + strings.Join(list, "' '") + "'"
}

func corsWords(r bucket.CORSRule) string {
	return strings.Join(r.Methods, ", ") + " for " + strings.Join(r.Origins, ", ")
}

// drop takes the values that the destination does not take out of a list, and enters them as lost.
func (m *mapping) drop(list []string, what, why string, bad func(string) bool) []string {
	var kept []string
	for _, v := range list {
		if bad(v) {
			m.enter(bucket.PartCORS, Lost, "%s %s: %s", what, v, why)
			continue
		}
		kept = append(kept, v)
	}
	return kept
}

// partial reports whether a text has a wildcard and is not the wildcard alone.
func partial(s string) bool { return s != "*" && strings.Contains(s, "*") }

// corsToGCS makes a rule of Cloud Storage: one list for the headers of requests and of answers, no wildcard within a name.
func (m *mapping) corsToGCS(r *bucket.CORSRule) bool {
	r.ID = ""
	r.Origins = m.drop(r.Origins, "origin", "Cloud Storage has no wildcard within an origin", partial)
	headers := slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.RequestHeaders, r.ExposedHeaders))))
	headers = m.drop(headers, "header", "Cloud Storage has no wildcard within a header's name", partial)
	r.RequestHeaders, r.ExposedHeaders = headers, headers
	return len(r.Origins) > 0
}

// corsToS3 makes a rule of S3: five methods, and names of exposed headers without a wildcard.
func (m *mapping) corsToS3(r *bucket.CORSRule) bool {
	taken := []string{"GET", "PUT", "POST", "DELETE", "HEAD"}
	if slices.Contains(r.Methods, "*") {
		r.Methods = taken
	}
	r.Methods = m.drop(r.Methods, "method", "S3 takes GET, PUT, POST, DELETE and HEAD, and answers OPTIONS by itself", func(s string) bool { return !slices.Contains(taken, s) })
	r.ExposedHeaders = m.drop(r.ExposedHeaders, "exposed header", "S3 exposes headers by their whole names", func(s string) bool { return strings.Contains(s, "*") })
	return len(r.Methods) > 0 && len(r.Origins) > 0
}
