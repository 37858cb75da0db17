package configuration

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-project/crossfade/bucketsync/bucket"
)

// identify lists somebody whom the configuration names, once for each place that names him.
func (m *mapping) identify(principal, named, actions string) {
	if principal == bucket.Everybody || ofProject(principal) {
		return
	}
	kind := kindOf(principal)
	who := Identity{Principal: principal, Kind: kind, Named: named, Make: m.makeWords(kind, named, actions)}
	same := func(i Identity) bool {
		return i.Principal == who.Principal && i.Named == who.Named && i.Make == who.Make
	}
	if !slices.ContainsFunc(m.answer.Identities, same) {
		m.answer.Identities = append(m.answer.Identities, who)
	}
}

// kindOf names the kind of a principal by its form: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html,
// https://cloud.google.com/iam/docs/principal-identifiers.
func kindOf(principal string) string {
	kind, name, _ := strings.Cut(principal, ":")
	switch {
	case strings.Contains(principal, ":role/"):
		return "IAM role"
	case strings.Contains(principal, ":assumed-role/"):
		return "session of an IAM role"
	case strings.Contains(principal, ":user/"):
		return "IAM user"
	case strings.HasPrefix(principal, "arn:") && strings.HasSuffix(principal, ":root"), isAccount(principal):
		return "account"
	case kind == "Service":
		return "service of the provider"
	case kind == "Federated":
		return "identity provider"
	case kind == "CanonicalUser":
		return "account by its canonical ID"
	case kind == "serviceAccount" && strings.Contains(name, ".svc.id.goog["):
		return "workload identity of a Kubernetes service account"
	case kind == "serviceAccount":
		return "service account"
	case kind == "principal" || kind == "principalSet":
		return "workload identity"
	case kind == "user" || kind == "group" || kind == "domain":
		return kind
	case strings.HasPrefix(principal, "signatures of "):
		return "shared access signatures"
	}
	return "principal"
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// writes reports whether actions change objects.
func writes(actions string) bool {
	for _, word := range []string{"put", "delete", "*", "write", "create", "admin", "objectuser", "owner", "restore", "abort"} {
		if strings.Contains(strings.ToLower(actions), word) {
			return true
		}
	}
	// Letters of Azure's permissions: add, create, write, delete.
	return !strings.ContainsAny(actions, ":/., ") && strings.ContainsAny(actions, "acwd")
}

// makeWords say what green needs in the place of an identity.
func (m *mapping) makeWords(kind, named, actions string) string {
	at := m.To.Bucket
	switch {
	case named != "policy":
		return "one that may do the same at " + at + ", where " + named + " is set up again"
	case m.sameRealm():
		switch kind {
		case "IAM role", "session of an IAM role":
			return "it is kept in the policy: it must exist, and where green's pods take it on, its trust policy must name green's OIDC provider and service account"
		case "workload identity of a Kubernetes service account", "workload identity":
			return "it is kept in the policy: where green's cluster is in another project or pool, bind the role to that pool's name of the service account"
		case "shared access signatures":
			return "the stored access policy is kept, and signatures are not: sign them anew with the key of green's account"
		}
		return "it is kept in the policy: it must exist on green's side, and be let in there"
	case kind == "service of the provider":
		return "nothing: it is a service of the source's provider, and what it did has to be done in another way"
	}
	may, verb := "read", "reader"
	if writes(actions) {
		may, verb = "read and write", "writer"
	}
	switch m.To.Provider {
	case s3:
		objects := "s3:GetObject and s3:ListBucket"
		if verb == "writer" {
			objects += ", s3:PutObject and s3:DeleteObject"
		}
		return fmt.Sprintf("an IAM role for the %s with %s on arn:aws:s3:::%s, which green's service account may take on (IRSA or EKS Pod Identity)", verb, objects, at)
	case minio:
		return fmt.Sprintf("a MinIO user or service account for the %s, with a policy that lets it %s %s", verb, may, at)
	case gcs:
		role := "roles/storage.objectViewer"
		if verb == "writer" {
			role = "roles/storage.objectUser"
		}
		return fmt.Sprintf("a service account, or green's Kubernetes service account by workload identity, with %s on gs://%s", role, at)
	case azure:
		role := "Storage Blob Data Reader"
		if verb == "writer" {
			role = "Storage Blob Data Contributor"
		}
		return fmt.Sprintf("a managed identity with %s on the container %s, federated with green's service account (workload identity)", role, at)
	}
	return fmt.Sprintf("an account of the operating system that may %s the directory", may)
}
