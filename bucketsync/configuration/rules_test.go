package configuration_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
	"github.com/crossfade-project/crossfade/bucketsync/configuration"
)

func mapped(t *testing.T, from, to string, c bucket.Configuration) configuration.Answer {
	t.Helper()
	return configuration.Map(configuration.Request{From: end(from, "blue"), To: end(to, "green"), Source: c})
}

// A statement for everybody is carried only with a condition that names who is meant, by what S3 takes for one. At a server of one's
// own nothing stands above the bucket, and what is public there is known to be.
func TestB18_GreenIsNeverMorePublicThanBlue(t *testing.T) {
	const statement = `{"Effect":%q,"Principal":%s,"Action":"s3:GetObject","Resource":"arn:aws:s3:::blue/*"%s}`
	for _, test := range []struct {
		effect, principal, condition string
		kept                         bool
	}{
		{"Allow", `"*"`, ``, false},
		{"Allow", `{"AWS":"*"}`, ``, false},
		{"Allow", `{"AWS":["arn:aws:iam::111122223333:role/a","*"]}`, ``, false},
		{"Allow", `{"AWS":"arn:aws:iam::111122223333:role/a"}`, ``, true},
		{"Deny", `"*"`, ``, true},
		{"Allow", `"*"`, `{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`, true},
		{"Allow", `"*"`, `{"StringLike":{"aws:PrincipalOrgID":"o-*"}}`, false},
		{"Allow", `"*"`, `{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}`, false},
		{"Allow", `"*"`, `{"StringEqualsIfExists":{"aws:SourceVpce":"vpce-1"}}`, false},
		{"Allow", `"*"`, `{"StringEquals":{"aws:SourceVpce":"${aws:username}"}}`, false},
		{"Allow", `"*"`, `{"IpAddress":{"aws:SourceIp":["192.0.2.0/24"]}}`, true},
		{"Allow", `"*"`, `{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","0.0.0.0/1"]}}`, false},
		{"Allow", `"*"`, `{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, false},
		{"Allow", `"*"`, `{"StringEquals":{"aws:Referer":"https://example.com"}}`, false},
		{"Allow", `"*"`, `{"StringEquals":{"aws:SourceVpce":"vpce-1"},"Bool":{"aws:SecureTransport":"true"}}`, true},
	} {
		condition := ""
		if test.condition != "" {
			condition = `,"Condition":` + test.condition
		}
		document := `{"Version":"2012-10-17","Statement":[` + fmt.Sprintf(statement, test.effect, test.principal, condition) + `]}`
		policy, err := bucket.ParseS3Policy([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		got := mapped(t, "s3", "s3", bucket.Configuration{Policy: policy})
		if (got.Apply.Policy != nil) != test.kept {
			t.Errorf("%s: carried is %v", document, got.Apply.Policy != nil)
		}
		if own := mapped(t, "minio", "minio", bucket.Configuration{Policy: policy}); own.Apply.Policy == nil {
			t.Errorf("%s is not carried between servers of one's own", document)
		}
	}
	// NotPrincipal lets in everybody but a few.
	policy, err := bucket.ParseS3Policy([]byte(`{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"s3:*","Resource":"arn:aws:s3:::blue/*"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := mapped(t, "s3", "s3", bucket.Configuration{Policy: policy}); got.Apply.Policy != nil {
		t.Errorf("everybody but one account is carried: %s", got.Apply.Policy.Document)
	}
}

// Resources follow the bucket; a statement about another bucket, or one that only begins like it, does not come along.
func TestB18_APolicyIsAboutTheNewBucket(t *testing.T) {
	const role = `{"AWS":"arn:aws:iam::111122223333:role/a"}`
	policy, err := bucket.ParseS3Policy([]byte(`{"Id":"p","Statement":[
		{"Sid":"1","Effect":"Allow","Principal":` + role + `,"Action":"s3:ListBucket","Resource":"arn:aws-cn:s3:::blue"},
		{"Sid":"2","Effect":"Allow","Principal":` + role + `,"Action":"s3:GetObject","Resource":["arn:aws:s3:::blue/blue/*","arn:aws:s3:::blue"]},
		{"Sid":"3","Effect":"Allow","Principal":` + role + `,"Action":"s3:GetObject","Resource":["arn:aws:s3:::blue/*","arn:aws:s3:::blue-2/*"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got := mapped(t, "s3", "s3", bucket.Configuration{Policy: policy})
	var doc struct {
		ID        string `json:"Id"`
		Statement []struct {
			Sid      string
			Resource []string
		}
	}
	if err := json.Unmarshal(got.Apply.Policy.Document, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.ID != "p" || len(doc.Statement) != 2 || doc.Statement[0].Resource[0] != "arn:aws-cn:s3:::green" ||
		!reflect.DeepEqual(doc.Statement[1].Resource, []string{"arn:aws:s3:::green/blue/*", "arn:aws:s3:::green"}) {
		t.Errorf("the policy is %s", got.Apply.Policy.Document)
	}
	if !mentions(got, "it names another bucket") {
		t.Errorf("nothing is said of the third statement: %+v", got.Entries)
	}
	// Between accounts of different kinds of servers, a name is nobody's.
	other := configuration.Map(configuration.Request{From: configuration.End{Provider: "s3", Bucket: "blue", Server: true}, To: end("s3", "green"), Source: bucket.Configuration{Policy: policy}})
	if other.Apply.Policy != nil || len(other.Identities) == 0 {
		t.Errorf("a policy of another server's users is carried: %+v", other)
	}
}

// A rule that deletes is carried only if it deletes the same or later, and of the same objects or fewer.
func TestB18_ARuleNeverDeletesMoreOrEarlier(t *testing.T) {
	days := func(n int) *bucket.When { return &bucket.When{Days: n} }
	for _, test := range []struct {
		name     string
		from, to string
		versions bool
		rule     bucket.LifecycleRule
		want     []bucket.LifecycleRule
	}{
		{"days", "s3", "gcs", false, bucket.LifecycleRule{ID: "x", Prefixes: []string{"a"}, Expire: days(7)}, []bucket.LifecycleRule{{ID: "x", Prefixes: []string{"a"}, Expire: days(7)}}},
		{"versions to keep count the current one", "s3", "gcs", true, bucket.LifecycleRule{ExpireNoncurrent: &bucket.Noncurrent{Days: 1, Keep: 3}}, []bucket.LifecycleRule{{ExpireNoncurrent: &bucket.Noncurrent{Days: 1, Keep: 4}}}},
		{"and back", "gcs", "s3", true, bucket.LifecycleRule{ExpireNoncurrent: &bucket.Noncurrent{Keep: 4}}, []bucket.LifecycleRule{{ExpireNoncurrent: &bucket.Noncurrent{Days: 1, Keep: 3}}}},
		{"more versions than S3 keeps", "gcs", "s3", true, bucket.LifecycleRule{ExpireNoncurrent: &bucket.Noncurrent{Keep: 200}}, nil},
		{"tags", "s3", "gcs", false, bucket.LifecycleRule{Tags: map[string]string{"a": "b"}, Expire: days(1)}, nil},
		{"size", "s3", "gcs", false, bucket.LifecycleRule{LargerThan: 5, Expire: days(1)}, nil},
		{"a rule that is off", "s3", "gcs", false, bucket.LifecycleRule{Disabled: true, Expire: days(1)}, nil},
		{"suffix", "gcs", "s3", false, bucket.LifecycleRule{Suffixes: []string{".x"}, Expire: days(1)}, nil},
		{"suffix to MinIO", "gcs", "minio", false, bucket.LifecycleRule{Suffixes: []string{".x"}, Expire: days(1)}, nil},
		{"class", "gcs", "s3", false, bucket.LifecycleRule{Classes: []string{"NEARLINE"}, Expire: days(1)}, nil},
		{"condition of GCS alone", "gcs", "s3", false, bucket.LifecycleRule{Expire: days(1), Other: map[string]string{"createdBefore": "2026-01-01"}}, nil},
		{"two prefixes", "gcs", "s3", false, bucket.LifecycleRule{Prefixes: []string{"a", "b"}, Expire: days(1)}, []bucket.LifecycleRule{{Prefixes: []string{"a"}, Expire: days(1)}, {Prefixes: []string{"b"}, Expire: days(1)}}},
		{"old versions with the current ones", "gcs", "s3", true, bucket.LifecycleRule{Expire: days(30), Other: map[string]string{"isLive": "any"}}, []bucket.LifecycleRule{{Expire: days(30), ExpireNoncurrent: &bucket.Noncurrent{Days: 30}}}},
		{"current versions alone", "gcs", "s3", true, bucket.LifecycleRule{Expire: days(30)}, []bucket.LifecycleRule{{Expire: days(30)}}},
		{"at once", "gcs", "s3", false, bucket.LifecycleRule{Expire: days(0)}, []bucket.LifecycleRule{{Expire: days(1)}}},
		{"tiers of a server", "s3", "minio", false, bucket.LifecycleRule{Expire: days(90), Transitions: []bucket.Transition{{When: bucket.When{Days: 30}, Class: "GLACIER"}}}, []bucket.LifecycleRule{{Expire: days(90)}}},
		{"no action is left", "s3", "minio", false, bucket.LifecycleRule{AbortUploads: 3}, nil},
		{"the least of S3", "gcs", "s3", false, bucket.LifecycleRule{Transitions: []bucket.Transition{{When: bucket.When{Days: 3}, Class: "NEARLINE"}}}, []bucket.LifecycleRule{{Transitions: []bucket.Transition{{When: bucket.When{Days: 30}, Class: "STANDARD_IA"}}}}},
		{"to a class that is read at once", "gcs", "s3", false, bucket.LifecycleRule{Transitions: []bucket.Transition{{When: bucket.When{Days: 3}, Class: "ARCHIVE"}}}, []bucket.LifecycleRule{{Transitions: []bucket.Transition{{When: bucket.When{Days: 3}, Class: "GLACIER_IR"}}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := bucket.Configuration{Lifecycle: []bucket.LifecycleRule{test.rule}}
			if test.versions {
				c.Versioning = &bucket.Versioning{State: bucket.VersioningEnabled}
			}
			got := mapped(t, test.from, test.to, c)
			if !reflect.DeepEqual(got.Apply.Lifecycle, test.want) {
				t.Errorf("it becomes %+v, not %+v", got.Apply.Lifecycle, test.want)
			}
			if test.want == nil && !strings.Contains(fmt.Sprint(got.Entries), string(configuration.Lost)) {
				t.Errorf("nothing is lost: %+v", got.Entries)
			}
		})
	}
}

// Where the keys have another prefix at the destination, rules follow them, and those for other keys stay away.
func TestB18_RulesFollowThePrefix(t *testing.T) {
	r := configuration.Request{From: end("s3", "blue"), To: end("s3", "green"), Source: bucket.Configuration{Lifecycle: []bucket.LifecycleRule{
		{ID: "inside", Prefixes: []string{"shop/tmp/"}, Expire: &bucket.When{Days: 1}},
		{ID: "all", Expire: &bucket.When{Days: 2}},
		{ID: "other", Prefixes: []string{"bank/"}, Expire: &bucket.When{Days: 3}},
	}}}
	r.From.Prefix, r.To.Prefix = "shop/", "old/"
	got := configuration.Map(r).Apply.Lifecycle
	if len(got) != 2 || got[0].Prefixes[0] != "old/tmp/" || got[1].Prefixes[0] != "old/" {
		t.Errorf("the rules are %+v", got)
	}
}

// Property: whatever a policy's document holds, taking it apart ends without a panic, and what it grants to everybody is seen by Public.
func FuzzB18_Policy(f *testing.F) {
	f.Add([]byte(policyS3))
	f.Add([]byte(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`))
	f.Add([]byte(`{"Statement":[{"Principal":{"AWS":["*"]},"NotAction":"a","NotResource":["b"],"Condition":{"StringEquals":{"aws:SourceIp":1}}}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		policy, err := bucket.ParseS3Policy(document)
		if err != nil {
			return
		}
		got := configuration.Map(configuration.Request{From: end("s3", "blue"), To: end("s3", "green"), Source: bucket.Configuration{Policy: policy}})
		if p := got.Apply.Policy; p != nil {
			for _, g := range p.Grants {
				if g.Public() && g.Conditions == "" {
					t.Errorf("it is carried for everybody: %s", p.Document)
				}
			}
		}
	})
}
