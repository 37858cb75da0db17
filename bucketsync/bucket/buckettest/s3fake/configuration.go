package s3fake

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Requests about what a bucket is beside its objects. The key of a fault is the subresource: "lifecycle", "policy".
const (
	GetConfiguration    Op = "get configuration"
	PutConfiguration    Op = "put configuration"
	DeleteConfiguration Op = "delete configuration"
)

// subresources of a bucket, with the error by which S3 says that one is not set; empty is an answer without content:
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
func subresources() map[string]string {
	return map[string]string{
		"policy": "NoSuchBucketPolicy", "lifecycle": "NoSuchLifecycleConfiguration", "cors": "NoSuchCORSConfiguration",
		"encryption": "ServerSideEncryptionConfigurationNotFoundError", "tagging": "NoSuchTagSet",
		"publicAccessBlock": "NoSuchPublicAccessBlockConfiguration", "ownershipControls": "OwnershipControlsNotFoundError",
		"object-lock": "ObjectLockConfigurationNotFoundError", "website": "NoSuchWebsiteConfiguration",
		"replication": "ReplicationConfigurationNotFoundError", "versioning": "VersioningConfiguration",
		"logging": "BucketLoggingStatus", "notification": "NotificationConfiguration", "location": "LocationConstraint",
		"accelerate": "AccelerateConfiguration", "requestPayment": "RequestPaymentConfiguration", "acl": "AccessControlPolicy",
	}
}

// subresource is the one that a request is about, or "".
func subresource(r request) string {
	if r.key != "" {
		return ""
	}
	for name := range subresources() {
		if r.query.Has(name) {
			return name
		}
	}
	return ""
}

// configurationOp is the kind of a request about a subresource of a bucket.
func configurationOp(r request) (Op, bool) {
	if subresource(r) == "" {
		return "", false
	}
	switch r.Method {
	case http.MethodGet:
		return GetConfiguration, true
	case http.MethodPut:
		return PutConfiguration, true
	case http.MethodDelete:
		return DeleteConfiguration, true
	}
	return "", false
}

// faultKey is what the Key of a fault is compared with.
func faultKey(r request) string {
	if name := subresource(r); name != "" {
		return name
	}
	return r.key
}

// Configure sets a subresource of a bucket as it is, without the rules of a request.
func (s *Server) Configure(bucket, subresource, document string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.held(bucket)
	if err != nil {
		return err
	}
	b.configure(subresource, []byte(document))
	return nil
}

// Configured returns the document of a subresource as it was put, or "".
func (s *Server) Configured(bucket, subresource string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[bucket]; b != nil {
		return string(b.configuration[subresource])
	}
	return ""
}

func (c *contents) configure(name string, document []byte) {
	if c.configuration == nil {
		c.configuration = map[string][]byte{}
	}
	c.configuration[name] = document
}

// newBucket is what S3 gives a bucket from the start: objects are encrypted, public access is blocked, lists do not count.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
func newBucket() *contents {
	b := &contents{objects: map[string]*object{}}
	b.configure("encryption", []byte(`<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`))
	b.configure("publicAccessBlock", []byte(`<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`))
	b.configure("ownershipControls", []byte(`<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>`))
	return b
}

func (s *Server) getConfiguration(w http.ResponseWriter, r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.held(r.bucket)
	if err != nil {
		return err
	}
	name := subresource(r)
	document, ok := b.configuration[name]
	absent := subresources()[name]
	switch {
	case ok && name == "policy":
		w.Header().Set("Content-Type", "application/json")
	case ok:
		w.Header().Set("Content-Type", "application/xml")
	case strings.HasPrefix(absent, "NoSuch") || strings.HasSuffix(absent, "Error"):
		return fail(http.StatusNotFound, absent, "%s", r.bucket)
	default:
		document = []byte("<" + absent + "></" + absent + ">")
	}
	_, _ = w.Write(document) // the client may be gone
	return nil
}

func (s *Server) putConfiguration(r request) error {
	document, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return fail(http.StatusBadRequest, "IncompleteBody", "%v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.held(r.bucket)
	if err != nil {
		return err
	}
	name := subresource(r)
	if err := s.rules(b, r.bucket, name, document); err != nil {
		return err
	}
	b.configure(name, document)
	return nil
}

// rules holds a document against what S3 documents.
func (s *Server) rules(b *contents, bucket, name string, document []byte) error {
	switch name {
	case "policy":
		return s.policyRules(b, bucket, document)
	case "lifecycle":
		return lifecycleRules(document)
	case "versioning":
		// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html: lock needs versions.
		if strings.Contains(string(document), "Suspended") && b.configuration["object-lock"] != nil {
			return fail(http.StatusConflict, "InvalidBucketState", "an Object Lock configuration is present on this bucket, so the versioning state cannot be changed")
		}
	case "object-lock":
		if !strings.Contains(string(b.configuration["versioning"]), "Enabled") {
			return fail(http.StatusConflict, "InvalidBucketState", "versioning must be 'Enabled' on the bucket to apply an Object Lock configuration")
		}
	case "tagging":
		return taggingRules(document)
	case "cors":
		return corsRules(document)
	case "encryption":
		if strings.Contains(string(document), "aws:kms") && s.opts.Keys != nil && !slices.ContainsFunc(s.opts.Keys, func(key string) bool { return strings.Contains(string(document), ">"+key+"<") }) {
			return fail(http.StatusBadRequest, "KMS.NotFoundException", "the key does not exist")
		}
	case "publicAccessBlock", "ownershipControls":
	default:
		return fail(http.StatusNotImplemented, "NotImplemented", "PUT %s", name)
	}
	return nil
}

// policyRules: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html, and for public policies
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html.
func (s *Server) policyRules(b *contents, bucket string, document []byte) error {
	var policy struct {
		Statement []struct {
			Effect    string
			Principal any
			Resource  any
			Condition map[string]any
		}
	}
	if err := json.Unmarshal(document, &policy); err != nil || len(policy.Statement) == 0 {
		return fail(http.StatusBadRequest, "MalformedPolicy", "policies must be valid JSON and the first byte must be '{'")
	}
	if len(document) > 20<<10 {
		return fail(http.StatusBadRequest, "PolicyTooLarge", "%d bytes", len(document))
	}
	blocked := strings.Contains(string(b.configuration["publicAccessBlock"]), "<BlockPublicPolicy>true<")
	for _, st := range policy.Statement {
		for _, resource := range values(st.Resource) {
			name := strings.TrimPrefix(resource, "arn:aws:s3:::")
			if name != bucket && !strings.HasPrefix(name, bucket+"/") {
				return fail(http.StatusBadRequest, "MalformedPolicy", "policy has invalid resource")
			}
		}
		for _, principal := range values(st.Principal) {
			if principal == "*" && st.Effect == "Allow" && len(st.Condition) == 0 && blocked {
				return fail(http.StatusForbidden, "AccessDenied", "public policies are blocked by the BlockPublicPolicy block public access setting")
			}
			if strings.HasPrefix(principal, "arn:") && s.opts.Principals != nil && !slices.Contains(s.opts.Principals, principal) {
				return fail(http.StatusBadRequest, "MalformedPolicy", "invalid principal in policy")
			}
		}
	}
	return nil
}

// values are the texts in a value that is one, a list of them, or lists by kind.
func values(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, one := range v {
			out = append(out, values(one)...)
		}
		return out
	case map[string]any:
		var out []string
		for _, one := range v {
			out = append(out, values(one)...)
		}
		return out
	}
	return nil
}

type lifecycleDocument struct {
	Rules []struct {
		ID     string
		Filter *struct {
			Prefix *string
			Tag    []struct{}
			And    *struct {
				Tag                   []struct{}
				ObjectSizeGreaterThan int64
				ObjectSizeLessThan    int64
			}
		}
		Prefix     *string
		Status     string
		Expiration *struct {
			Days                      *int
			Date                      string
			ExpiredObjectDeleteMarker bool
		}
		Transition []struct {
			Days         *int
			StorageClass string
		}
		NoncurrentVersionExpiration    *struct{ NoncurrentDays int }
		NoncurrentVersionTransition    []struct{ NoncurrentDays int }
		AbortIncompleteMultipartUpload *struct{ DaysAfterInitiation int }
	} `xml:"Rule"`
}

// lifecycleRules: https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html and
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html.
func lifecycleRules(document []byte) error {
	var doc lifecycleDocument
	if err := xml.Unmarshal(document, &doc); err != nil || len(doc.Rules) == 0 {
		return fail(http.StatusBadRequest, "MalformedXML", "the XML is not well-formed")
	}
	invalid := func(text string) error { return fail(http.StatusBadRequest, "InvalidArgument", "%s", text) }
	seen := map[string]bool{}
	for _, r := range doc.Rules {
		if r.ID != "" && seen[r.ID] || len(r.ID) > 255 {
			return invalid("rule ID must be unique, of at most 255 characters")
		}
		seen[r.ID] = true
		if r.Filter == nil && r.Prefix == nil {
			return fail(http.StatusBadRequest, "MalformedXML", "a rule needs a filter or a prefix")
		}
		if r.Expiration == nil && len(r.Transition) == 0 && r.NoncurrentVersionExpiration == nil && len(r.NoncurrentVersionTransition) == 0 && r.AbortIncompleteMultipartUpload == nil {
			return fail(http.StatusBadRequest, "InvalidRequest", "at least one action needs to be specified in a rule")
		}
		if e := r.Expiration; e != nil && (e.Days != nil && (*e.Days <= 0 || e.ExpiredObjectDeleteMarker) || e.Date != "" && !strings.Contains(e.Date, "T00:00:00")) {
			return invalid("'Days' for Expiration action must be a positive integer, 'Date' must be at midnight GMT")
		}
		if n := r.NoncurrentVersionExpiration; n != nil && n.NoncurrentDays <= 0 {
			return invalid("'NoncurrentDays' must be a positive integer")
		}
		for _, t := range r.Transition {
			if (t.StorageClass == "STANDARD_IA" || t.StorageClass == "ONEZONE_IA") && t.Days != nil && *t.Days < 30 {
				return invalid("'Days' in Transition action must be greater than or equal to 30 for storageClass " + t.StorageClass)
			}
			if !slices.Contains([]string{"STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE"}, t.StorageClass) {
				return fail(http.StatusBadRequest, "InvalidStorageClass", "%s", t.StorageClass)
			}
		}
		if r.AbortIncompleteMultipartUpload != nil && r.Filter != nil && (len(r.Filter.Tag) > 0 || r.Filter.And != nil && len(r.Filter.And.Tag) > 0) {
			return fail(http.StatusBadRequest, "InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Tags")
		}
	}
	return nil
}

// taggingRules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/CostAllocTagging.html.
func taggingRules(document []byte) error {
	var doc struct {
		Tags []struct{ Key, Value string } `xml:"TagSet>Tag"`
	}
	if err := xml.Unmarshal(document, &doc); err != nil {
		return fail(http.StatusBadRequest, "MalformedXML", "%v", err)
	}
	for _, tag := range doc.Tags {
		if len(tag.Key) == 0 || len([]rune(tag.Key)) > 128 || len([]rune(tag.Value)) > 256 || strings.HasPrefix(tag.Key, "aws:") || len(doc.Tags) > 50 {
			return fail(http.StatusBadRequest, "InvalidTag", "%s", tag.Key)
		}
	}
	return nil
}

// corsRules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html.
func corsRules(document []byte) error {
	var doc struct {
		Rules []struct{ AllowedMethod, AllowedOrigin, AllowedHeader, ExposeHeader []string } `xml:"CORSRule"`
	}
	if err := xml.Unmarshal(document, &doc); err != nil || len(doc.Rules) == 0 || len(doc.Rules) > 100 {
		return fail(http.StatusBadRequest, "MalformedXML", "a CORS configuration has 1 to 100 rules")
	}
	for _, r := range doc.Rules {
		if len(r.AllowedMethod) == 0 || len(r.AllowedOrigin) == 0 {
			return fail(http.StatusBadRequest, "MalformedXML", "a rule needs methods and origins")
		}
		for _, method := range r.AllowedMethod {
			if !slices.Contains([]string{"GET", "PUT", "HEAD", "POST", "DELETE"}, method) {
				return fail(http.StatusBadRequest, "InvalidRequest", "found unsupported HTTP method in CORS config: %s", method)
			}
		}
		for _, text := range slices.Concat(r.AllowedOrigin, r.AllowedHeader) {
			if strings.Count(text, "*") > 1 {
				return fail(http.StatusBadRequest, "InvalidRequest", "%q can not have more than one wildcard", text)
			}
		}
		if strings.Contains(strings.Join(r.ExposeHeader, ""), "*") {
			return fail(http.StatusBadRequest, "InvalidRequest", "ExposeHeader contains wildcard: we currently do not support wildcard for ExposeHeader")
		}
	}
	return nil
}

func (s *Server) deleteConfiguration(w http.ResponseWriter, r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.held(r.bucket)
	if err != nil {
		return err
	}
	delete(b.configuration, subresource(r))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
