package migration

import "strings"

// ExternalDNS says how external-dns keeps the names. Where it is declared, its Deployments are looked for on both sides, and an
// ownership record that is found is handed over in the message that moves its name.
type ExternalDNS struct {
	// Paused declares that external-dns changes none of the names until the migration is over, on either side: names move
	// and its ownership records stay. What is found to run all the same is refused.
	Paused bool `yaml:"paused,omitempty" json:"paused,omitempty"`
	// Blue says how it runs there, where that cannot be read from a Deployment.
	Blue *ExternalDNSOwner `yaml:"blue,omitempty" json:"blue,omitempty"`
	// Green says the same of green.
	Green *ExternalDNSOwner `yaml:"green,omitempty" json:"green,omitempty"`
}

// ExternalDNSOwner is one installation of external-dns with the TXT registry.
type ExternalDNSOwner struct {
	// Owner is its --txt-owner-id.
	Owner string `yaml:"owner" json:"owner"`
	// Prefix is its --txt-prefix.
	Prefix string `yaml:"prefix,omitempty" json:"prefix,omitempty"`
	// Suffix is its --txt-suffix.
	Suffix string `yaml:"suffix,omitempty" json:"suffix,omitempty"`
	// Wildcard is its --txt-wildcard-replacement.
	Wildcard string `yaml:"wildcard,omitempty" json:"wildcard,omitempty"`
}

func (v *validator) externalDNS(f *File) {
	e := f.Cutover.ExternalDNS
	if e == nil {
		return
	}
	const at = "cutover.externalDNS"
	for side, owner := range map[string]*ExternalDNSOwner{"blue": e.Blue, "green": e.Green} {
		switch {
		case owner == nil:
		case owner.Owner == "" || strings.ContainsAny(owner.Owner, "=,\" \\"):
			v.problem(at+"."+side+".owner", "it is no owner id of external-dns", "give its --txt-owner-id")
		case owner.Prefix != "" && owner.Suffix != "":
			v.problem(at+"."+side, "prefix and suffix exclude each other", "give the one that external-dns has")
		}
	}
	if e.Blue != nil && e.Green != nil && e.Blue.Owner == e.Green.Owner && !e.Paused {
		v.problem(at+".green.owner", "both sides have one owner id, so that each takes the other's records for its own", "give green's external-dns a --txt-owner-id of its own")
	}
}
