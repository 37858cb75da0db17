package externaldns

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Arguments are what an installation was told.
type Arguments struct {
	// Owner is --txt-owner-id, by default "default".
	Owner string `json:"owner"`
	Affix
	// Policy is sync (it also deletes), upsert-only or create-only; by default sync.
	Policy string `json:"policy"`
	// Registry is txt, dynamodb, aws-sd or noop; by default txt.
	Registry string `json:"registry"`
	Provider string `json:"provider,omitempty"`
	// Sources are the kinds of objects that it takes names from.
	Sources []string `json:"sources,omitempty"`
	// Domains are those to which it is limited.
	Domains []string `json:"domains,omitempty"`
	// Within is the namespace that it looks into; empty means all.
	Within    string `json:"within,omitempty"`
	Encrypted bool   `json:"encrypted,omitempty"`
	DryRun    bool   `json:"dryRun,omitempty"`
	// Takes is the owner whose records it takes over (--migrate-from-txt-owner).
	Takes string `json:"takes,omitempty"`
	// Unread are arguments whose values stand somewhere else, as in a Secret.
	Unread []string `json:"unread,omitempty"`
}

// envPrefix is what external-dns's environment variables begin with: each is a flag's name in capitals.
const envPrefix = "EXTERNAL_DNS_"

// Is says whether a container runs external-dns: by its image's name, or by an argument that nobody else has.
func Is(c corev1.Container) bool {
	image := c.Image
	if i := strings.LastIndex(image, "/"); i >= 0 {
		image = image[i+1:]
	}
	image, _, _ = strings.Cut(image, "@")
	image, _, _ = strings.Cut(image, ":")
	return image == "external-dns" || slices.ContainsFunc(c.Args, func(arg string) bool { return strings.HasPrefix(arg, "--txt-owner-id") })
}

// FromContainer reads an installation's arguments, which win over its environment.
func FromContainer(c corev1.Container) Arguments {
	a := Arguments{Owner: "default", Policy: "sync", Registry: "txt"}
	for _, env := range c.Env {
		flag, ok := strings.CutPrefix(env.Name, envPrefix)
		if !ok {
			continue
		}
		flag = strings.ReplaceAll(strings.ToLower(flag), "_", "-")
		if env.ValueFrom != nil {
			a.unread(flag, "the environment variable "+env.Name+" takes its value from another object")
			continue
		}
		for value := range strings.SplitSeq(env.Value, "\n") {
			a.set(flag, value)
		}
	}
	if len(c.EnvFrom) > 0 {
		a.Unread = append(a.Unread, "its environment comes from other objects (envFrom)")
	}
	args := slices.Concat(c.Command, c.Args)
	// A list from the environment ends where the arguments have one of their own.
	seen := map[string]bool{}
	for i := 0; i < len(args); i++ {
		flag, ok := strings.CutPrefix(args[i], "--")
		if !ok {
			continue
		}
		flag, value, with := strings.Cut(flag, "=")
		if !with && slices.Contains(valued(), flag) && i+1 < len(args) {
			i++
			value = args[i]
		}
		if strings.Contains(value, "$(") {
			a.unread(flag, "the argument --"+flag+" is "+value)
			continue
		}
		if !seen[flag] {
			seen[flag] = true
			a.forget(flag)
		}
		a.set(flag, value)
	}
	return a
}

// valued are the flags with a value that matter here. The value of any other, where it follows, has no dashes and is passed over.
func valued() []string {
	return []string{
		"txt-owner-id", "txt-prefix", "txt-suffix", "txt-wildcard-replacement", "policy", "registry", "provider", "source", "domain-filter", "namespace", "migrate-from-txt-owner",
	}
}

// forget drops what the environment said of a list.
func (a *Arguments) forget(flag string) {
	switch flag {
	case "source":
		a.Sources = nil
	case "domain-filter":
		a.Domains = nil
	}
}

func (a *Arguments) set(flag, value string) {
	switch flag {
	case "txt-owner-id":
		a.Owner = value
	case "txt-prefix":
		a.Prefix = value
	case "txt-suffix":
		a.Suffix = value
	case "txt-wildcard-replacement":
		a.Wildcard = value
	case "policy":
		a.Policy = value
	case "registry":
		a.Registry = value
	case "provider":
		a.Provider = value
	case "source":
		a.Sources = append(a.Sources, value)
	case "domain-filter":
		a.Domains = append(a.Domains, strings.Trim(value, "."))
	case "namespace":
		a.Within = value
	case "migrate-from-txt-owner":
		a.Takes = value
	case "txt-encrypt-enabled":
		a.Encrypted = value != "false"
	case "no-txt-encrypt-enabled":
		a.Encrypted = false
	case "dry-run":
		a.DryRun = value != "false"
	case "no-dry-run":
		a.DryRun = false
	}
}

func (a *Arguments) unread(flag, why string) {
	if slices.Contains(valued(), flag) {
		a.Unread = append(a.Unread, why)
	}
}

// Concerns says whether an installation may change a name, given the domains to which it is limited.
func (a Arguments) Concerns(name string) bool {
	if len(a.Domains) == 0 {
		return true
	}
	name = strings.TrimSuffix(name, ".")
	return slices.ContainsFunc(a.Domains, func(domain string) bool {
		return domain == "" || name == domain || strings.HasSuffix(name, "."+domain)
	})
}

// String is what matters of the arguments, on one line.
func (a Arguments) String() string {
	text := fmt.Sprintf("owner %s, policy %s, registry %s", a.Owner, a.Policy, a.Registry)
	if a.Prefix != "" {
		text += ", prefix " + a.Prefix
	}
	if a.Suffix != "" {
		text += ", suffix " + a.Suffix
	}
	return text
}
